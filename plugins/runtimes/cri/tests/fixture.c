/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <unistd.h>

const char *
fixture_dir (void)
{
  return g_getenv ("CRI_TEST_DIR");
}

static void
event_free (gpointer data)
{
  Event *event = data;

  g_free (event->id);
  g_free (event);
}

static void
on_event (CubeRuntimeEventType type, const char *id, gpointer data)
{
  Fixture *fixture = data;
  Event *event = g_new0 (Event, 1);

  event->type = type;
  event->id = g_strdup (id);
  g_mutex_lock (&fixture->lock);
  g_ptr_array_add (fixture->events, event);
  g_cond_broadcast (&fixture->changed);
  g_mutex_unlock (&fixture->lock);
}

/* Waits for the event, among those that came and those that come. */
void
fixture_wait_for_event (Fixture *fixture, CubeRuntimeEventType type, const char *id)
{
  gint64 end = g_get_monotonic_time () + SECONDS (20);
  gboolean is_found = FALSE;

  g_mutex_lock (&fixture->lock);
  while (!is_found)
    {
      for (guint i = 0; i < fixture->events->len && !is_found; i++)
        {
          const Event *event = g_ptr_array_index (fixture->events, i);

          is_found = event->type == type && g_strcmp0 (event->id, id) == 0;
        }
      if (!is_found && !g_cond_wait_until (&fixture->changed, &fixture->lock, end))
        g_error ("no event of type %d for %s", type, id);
    }
  g_mutex_unlock (&fixture->lock);
}

void
fixture_forget_events (Fixture *fixture)
{
  g_mutex_lock (&fixture->lock);
  g_ptr_array_set_size (fixture->events, 0);
  g_mutex_unlock (&fixture->lock);
}

void
fixture_set_up (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *socket = g_build_filename (fixture_dir (), "containerd.sock", NULL);
  g_autoptr (GError) error = NULL;

  static const CubePair labels[] = { { "io.kubernetes.pod.name", "web" }, { "app", "web" }, { NULL, NULL } };
  static guint uid;

  g_mutex_init (&fixture->lock);
  g_cond_init (&fixture->changed);
  fixture->events = g_ptr_array_new_with_free_func (event_free);
  harness_start (&fixture->harness, socket);
  fixture->harness.ops->set_event_func (fixture->harness.state, on_event, fixture);
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_LOST, NULL);

  fixture->config.name = "web";
  fixture->config.ns = "default";
  fixture->config.uid = g_strdup_printf ("uid-%d-%u", getpid (), uid++);
  fixture->config.hostname = "web";
  fixture->config.log_directory = g_build_filename (fixture_dir (), "log", fixture->config.uid, NULL);
  fixture->config.labels = labels;
  fixture->config.cgroup_parent = g_strdup_printf ("%s/%s", g_getenv ("CRI_TEST_CGROUP"), fixture->config.uid);
  g_mkdir_with_parents (fixture->config.log_directory, 0755);
  fixture->harness.ops->run_sandbox (fixture->harness.state, &fixture->config, &fixture->sandbox, NULL, &error);
  g_assert_no_error (error);
}

void
fixture_tear_down (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  fixture->harness.ops->set_event_func (fixture->harness.state, NULL, NULL);
  fixture->harness.ops->stop_sandbox (fixture->harness.state, fixture->sandbox, &error);
  g_assert_no_error (error);
  fixture->harness.ops->remove_sandbox (fixture->harness.state, fixture->sandbox, &error);
  g_assert_no_error (error);
  harness_stop (&fixture->harness);
  g_free (fixture->sandbox);
  g_free ((char *) fixture->config.uid);
  g_free ((char *) fixture->config.cgroup_parent);
  g_free ((char *) fixture->config.log_directory);
  g_ptr_array_unref (fixture->events);
  g_cond_clear (&fixture->changed);
  g_mutex_clear (&fixture->lock);
}

CubeContainer *
fixture_status_of (Fixture *fixture, const char *id)
{
  g_autoptr (GError) error = NULL;
  CubeContainer *container = fixture->harness.ops->container_status (fixture->harness.state, id, &error);

  g_assert_no_error (error);
  return container;
}

char *
fixture_start_container (Fixture *fixture, const char *name, const char *script)
{
  const char *const command[] = { "/bin/sh", "-c", script, NULL };
  const CubePair labels[] = { { "io.kubernetes.container.name", name }, { NULL, NULL } };
  const CubePair env[] = { { "GREETING", "hello" }, { NULL, NULL } };
  CubeContainerConfig config = {
    .name = name,
    .image = "cube.local/busybox:1",
    .user_image = "cube.local/busybox:1",
    .command = command,
    .labels = labels,
    .env = env,
    .log_path = "0.log",
  };
  g_autoptr (GError) error = NULL;
  char *id = NULL;

  fixture->harness.ops->create_container (fixture->harness.state, fixture->sandbox, &config, &fixture->config, &id, NULL, &error);
  g_assert_no_error (error);
  fixture->harness.ops->start_container (fixture->harness.state, id, &error);
  g_assert_no_error (error);
  return id;
}
