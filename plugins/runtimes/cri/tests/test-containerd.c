/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * The plugin against a real containerd.  integration.sh gives a folder in
 * which one runs: CRI_TEST_DIR with containerd.sock, config.toml and pid.
 */
#include <cube/error.h>
#include <cube/runtime.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "context/context.h"
#include "fixture.h"

static void
test_status (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  CubeRuntimeStatus status;
  g_autoptr (GError) error = NULL;

  g_assert_true (fixture->harness.ops->status (fixture->harness.state, &status, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (status.name, ==, "containerd");
  g_assert_cmpstr (status.api_version, ==, "v1");
  g_assert_true (status.runtime_ready);
  g_assert_true (status.network_ready);
  cube_runtime_status_clear (&status);
}

/* The daemon names its runtime when it has started it. */
static void
test_late_endpoint (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *endpoint = cube_context_fact (fixture->harness.context, "runtime-endpoint");
  CubeRuntimeStatus status;
  g_autoptr (GError) error = NULL;
  Harness late;

  harness_start (&late, NULL);
  g_assert_false (late.ops->status (late.state, &status, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE);
  g_clear_error (&error);
  cube_context_set_fact (late.context, "runtime-endpoint", "unix:///nonexistent/socket");
  g_assert_false (late.ops->status (late.state, &status, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE);
  g_clear_error (&error);
  cube_context_set_fact (late.context, "runtime-endpoint", endpoint);
  g_assert_true (late.ops->status (late.state, &status, &error));
  g_assert_no_error (error);
  cube_runtime_status_clear (&status);
  harness_stop (&late);
}

static void
ignore_event (CubeRuntimeEventType type G_GNUC_UNUSED, const char *id G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED)
{
}

static gpointer
begin_events (gpointer data)
{
  Harness *harness = data;

  harness->ops->set_event_func (harness->state, ignore_event, NULL);
  return NULL;
}

/* The agent's end may come while its loop still begins to listen; the first time the listener's loop is made, too. */
static void
test_events_end_at_once (Fixture *fixture G_GNUC_UNUSED, gconstpointer data G_GNUC_UNUSED)
{
  for (guint i = 0; i < 50; i++)
    {
      Harness harness;
      GThread *thread;

      harness_start (&harness, "unix:///nonexistent/socket");
      thread = g_thread_new ("begin", begin_events, &harness);
      if (i % 2 == 1)
        g_thread_yield ();
      harness.ops->set_event_func (harness.state, NULL, NULL);
      g_thread_join (thread);
      harness.ops->set_event_func (harness.state, NULL, NULL);
      harness_stop (&harness);
    }
}

static void
test_sandbox (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  CubeSandbox *sandbox = fixture->harness.ops->sandbox_status (fixture->harness.state, fixture->sandbox, &error);
  GPtrArray *list;
  gboolean is_listed = FALSE;

  g_assert_no_error (error);
  g_assert_true (sandbox->is_ready);
  g_assert_cmpstr (sandbox->name, ==, "web");
  g_assert_cmpstr (sandbox->uid, ==, fixture->config.uid);
  g_assert_cmpint (sandbox->created_ns, >, 0);
  g_assert_true (g_str_has_prefix (sandbox->ips[0], "10.231."));
  g_assert_cmpstr (g_hash_table_lookup (sandbox->labels, "app"), ==, "web");
  cube_sandbox_free (sandbox);

  list = fixture->harness.ops->list_sandboxes (fixture->harness.state, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < list->len; i++)
    is_listed |= g_str_equal (((CubeSandbox *) g_ptr_array_index (list, i))->id, fixture->sandbox);
  g_assert_true (is_listed);
  g_ptr_array_unref (list);
}

static void
test_container (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "echo $GREETING; exit 3");
  g_autofree char *log = NULL;
  g_autoptr (GError) error = NULL;
  CubeContainer *container;

  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_STARTED, id);
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_STOPPED, id);
  container = fixture_status_of (fixture, id);
  g_assert_cmpint (container->state, ==, CUBE_CONTAINER_EXITED);
  g_assert_cmpint (container->exit_code, ==, 3);
  g_assert_cmpstr (container->reason, ==, "Error");
  /* containerd notes the start once the task's answer is back: a process this short may have ended by then */
  g_assert_cmpint (container->created_ns, >, 0);
  g_assert_cmpint (container->started_ns, >=, container->created_ns);
  g_assert_cmpint (container->finished_ns, >=, container->created_ns);
  g_assert_true (g_file_get_contents (container->log_path, &log, NULL, &error));
  g_assert_nonnull (strstr (log, " stdout F hello"));
  cube_container_free (container);
  g_assert_true (fixture->harness.ops->remove_container (fixture->harness.state, id, &error));
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_DELETED, id);
  g_assert_null (fixture->harness.ops->container_status (fixture->harness.state, id, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
  g_clear_error (&error);
  /* What is gone has been stopped and removed. */
  g_assert_true (fixture->harness.ops->stop_container (fixture->harness.state, id, 0, NULL, &error));
  g_assert_true (fixture->harness.ops->remove_container (fixture->harness.state, id, &error));
}

static void
test_stop (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "trap 'exit 0' TERM; while :; do sleep 0.1; done");
  g_autofree char *stubborn = fixture_start_container (fixture, "stubborn", "trap '' TERM; while :; do sleep 0.1; done");
  g_autoptr (GError) error = NULL;
  CubeContainer *container;

  g_assert_true (fixture->harness.ops->stop_container (fixture->harness.state, id, 10, NULL, &error));
  container = fixture_status_of (fixture, id);
  g_assert_cmpint (container->state, ==, CUBE_CONTAINER_EXITED);
  g_assert_cmpint (container->exit_code, ==, 0);
  cube_container_free (container);
  g_assert_true (fixture->harness.ops->stop_container (fixture->harness.state, stubborn, 0, NULL, &error));
  container = fixture_status_of (fixture, stubborn);
  g_assert_cmpint (container->exit_code, ==, 137);
  cube_container_free (container);
}

static void
test_exec_sync (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  const char *const command[] = { "/bin/sh", "-c", "echo out; echo err >&2; exit 7", NULL };
  const char *const flood[] = { "/bin/sh", "-c", "head -c 100000 /dev/zero", NULL };
  const char *const sleeper[] = { "/bin/sleep", "1000", NULL };
  g_autoptr (GBytes) out = NULL, err = NULL, much = NULL;
  g_autoptr (GError) error = NULL;
  gint32 code = -1;

  g_assert_true (fixture->harness.ops->exec_sync (fixture->harness.state, id, command, SECONDS (20), &out, &err, &code, NULL, &error));
  g_assert_no_error (error);
  g_assert_cmpint (code, ==, 7);
  g_assert_cmpmem (g_bytes_get_data (out, NULL), g_bytes_get_size (out), "out\n", 4);
  g_assert_cmpmem (g_bytes_get_data (err, NULL), g_bytes_get_size (err), "err\n", 4);

  g_assert_true (fixture->harness.ops->exec_sync (fixture->harness.state, id, flood, SECONDS (20), &much, NULL, NULL, NULL, &error));
  g_assert_cmpuint (g_bytes_get_size (much), ==, 16384);

  g_assert_false (fixture->harness.ops->exec_sync (fixture->harness.state, id, sleeper, SECONDS (1), NULL, NULL, NULL, NULL, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT);
}

static void
test_stats_and_resources (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  CubeLinuxResources resources = { .cpu_shares = 512, .memory_limit_bytes = 64 * 1024 * 1024 };
  g_autoptr (GError) error = NULL;
  const CubeStats *found = NULL;
  GPtrArray *list;

  g_assert_true (fixture->harness.ops->update_resources (fixture->harness.state, id, &resources, &error));
  g_assert_no_error (error);
  g_assert_true (fixture->harness.ops->reopen_log (fixture->harness.state, id, &error));
  g_assert_no_error (error);
  list = fixture->harness.ops->list_stats (fixture->harness.state, &error);
  g_assert_no_error (error);
  for (guint i = 0; i < list->len; i++)
    if (g_str_equal (((CubeStats *) g_ptr_array_index (list, i))->id, id))
      found = g_ptr_array_index (list, i);
  g_assert_nonnull (found);
  g_assert_cmpuint (found->cpu_usage_ns, >, 0);
  g_assert_cmpuint (found->memory_working_set, >, 0);
  g_ptr_array_unref (list);
  list = fixture->harness.ops->list_sandbox_stats (fixture->harness.state, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (list->len, >, 0);
  g_ptr_array_unref (list);
}

static void
test_images (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *mountpoint = NULL;
  guint64 used = 0;
  GPtrArray *list = fixture->harness.ops->list_images (fixture->harness.state, &error);
  CubeImage *image;

  g_assert_no_error (error);
  g_assert_cmpuint (list->len, >=, 3);
  g_ptr_array_unref (list);
  image = fixture->harness.ops->image_status (fixture->harness.state, "cube.local/busybox:1", &error);
  g_assert_no_error (error);
  g_assert_true (g_strv_contains ((const char *const *) image->tags, "cube.local/busybox:1"));
  g_assert_cmpuint (image->size_bytes, >, 0);
  cube_image_free (image);
  g_assert_null (fixture->harness.ops->image_status (fixture->harness.state, "cube.local/none:1", &error));
  g_assert_no_error (error);
  g_assert_true (fixture->harness.ops->remove_image (fixture->harness.state, "cube.local/none:1", &error));
  g_assert_true (fixture->harness.ops->image_fs (fixture->harness.state, &used, &mountpoint, &error));
  g_assert_no_error (error);
  g_assert_nonnull (mountpoint);
  g_assert_false (fixture->harness.ops->pull_image (fixture->harness.state, "127.0.0.1:1/none:1", NULL, NULL, NULL, &error));
  g_assert_nonnull (error);
}

/* The pid of the container's first process, by its command line. */
static pid_t
find_process (const char *marker)
{
  g_autoptr (GDir) proc = g_dir_open ("/proc", 0, NULL);
  const char *name;

  while ((name = g_dir_read_name (proc)) != NULL)
    {
      g_autofree char *path = g_build_filename ("/proc", name, "cmdline", NULL);
      g_autofree char *line = NULL;
      gsize size;

      if (!g_ascii_isdigit (name[0]) || !g_file_get_contents (path, &line, &size, NULL))
        continue;
      for (gsize i = 0; i + 1 < size; i++)
        if (line[i] == '\0')
          line[i] = ' ';
      if (strstr (line, marker) != NULL && atoi (name) != getpid ())
        return atoi (name);
    }
  return 0;
}

static void
test_killed (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "exec sleep 98765");
  pid_t pid = 0;
  gint64 begin;
  CubeContainer *container;

  while (pid == 0)
    pid = find_process ("sleep 98765");
  begin = g_get_monotonic_time ();
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_STOPPED, id);
  g_test_message ("death seen after %" G_GINT64_FORMAT " ms", (g_get_monotonic_time () - begin) / 1000);
  container = fixture_status_of (fixture, id);
  g_assert_cmpint (container->state, ==, CUBE_CONTAINER_EXITED);
  g_assert_cmpint (container->exit_code, ==, 137);
  cube_container_free (container);
}

typedef struct {
  Fixture *fixture;
  guint number;
  gint64 sandbox_us, create_us, start_us;
} Pod;

/* A pod's whole life, beside others'. */
static gpointer
live (gpointer data)
{
  Pod *pod = data;
  const CubeRuntimeOps *ops = pod->fixture->harness.ops;
  gpointer state = pod->fixture->harness.state;
  CubeSandboxConfig sandbox_config = pod->fixture->config;
  const char *const command[] = { "/bin/sleep", "1000", NULL };
  CubeContainerConfig config = { .name = "main", .image = "cube.local/busybox:1", .command = command, .log_path = "main.log" };
  g_autofree char *uid = g_strdup_printf ("%s-%u", sandbox_config.uid, pod->number);
  g_autofree char *sandbox = NULL, *container = NULL;
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time (), now;

  sandbox_config.uid = sandbox_config.name = uid;
  ops->run_sandbox (state, &sandbox_config, &sandbox, NULL, &error);
  g_assert_no_error (error);
  pod->sandbox_us = (now = g_get_monotonic_time ()) - begin;
  begin = now;
  ops->create_container (state, sandbox, &config, &sandbox_config, &container, NULL, &error);
  g_assert_no_error (error);
  pod->create_us = (now = g_get_monotonic_time ()) - begin;
  ops->start_container (state, container, &error);
  g_assert_no_error (error);
  pod->start_us = g_get_monotonic_time () - now;
  fixture_wait_for_event (pod->fixture, CUBE_RUNTIME_EVENT_STARTED, container);
  ops->stop_container (state, container, 0, NULL, &error);
  g_assert_no_error (error);
  fixture_wait_for_event (pod->fixture, CUBE_RUNTIME_EVENT_STOPPED, container);
  ops->stop_sandbox (state, sandbox, &error);
  g_assert_no_error (error);
  ops->remove_sandbox (state, sandbox, &error);
  g_assert_no_error (error);
  return NULL;
}

static void
test_pods_side_by_side (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  Pod pods[9] = { { 0 } };
  GThread *threads[G_N_ELEMENTS (pods)];
  gint64 begin = g_get_monotonic_time ();

  pods[0].fixture = fixture;
  live (&pods[0]);
  g_test_message ("one pod: sandbox %" G_GINT64_FORMAT " ms, create %" G_GINT64_FORMAT " ms, start %" G_GINT64_FORMAT " ms",
                  pods[0].sandbox_us / 1000, pods[0].create_us / 1000, pods[0].start_us / 1000);
  begin = g_get_monotonic_time ();
  for (guint i = 1; i < G_N_ELEMENTS (pods); i++)
    {
      pods[i].fixture = fixture;
      pods[i].number = i;
      threads[i] = g_thread_new ("pod", live, &pods[i]);
    }
  for (guint i = 1; i < G_N_ELEMENTS (pods); i++)
    g_thread_join (threads[i]);
  g_test_message ("eight pods' lives side by side: %" G_GINT64_FORMAT " ms", (g_get_monotonic_time () - begin) / 1000);
}

static void
test_sandbox_killed (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  CubeSandbox *sandbox;
  pid_t pid = 0;

  while (pid == 0)
    pid = find_process ("/pause");
  g_assert_cmpint (kill (pid, SIGKILL), ==, 0);
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_STOPPED, fixture->sandbox);
  sandbox = fixture->harness.ops->sandbox_status (fixture->harness.state, fixture->sandbox, &error);
  g_assert_no_error (error);
  g_assert_false (sandbox->is_ready);
  cube_sandbox_free (sandbox);
}

static void
restart_containerd (void)
{
  g_autofree char *script =
      g_strdup_printf ("cd %s && echo $$ > pid && exec containerd --config config.toml >> log/containerd.log 2>&1", fixture_dir ());
  char *argv[] = { (char *) "setsid", (char *) "-f", (char *) "sh", (char *) "-c", script, NULL };
  g_autoptr (GError) error = NULL;

  g_spawn_sync (NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
}

static void
test_recovery (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  g_autofree char *pid_path = g_build_filename (fixture_dir (), "pid", NULL);
  g_autofree char *text = NULL, *health = NULL;
  g_autoptr (GError) error = NULL;
  CubeContainer *container;
  CubeRuntimeStatus status;
  gint64 begin;

  fixture_forget_events (fixture);
  g_assert_true (g_file_get_contents (pid_path, &text, NULL, &error));
  g_assert_cmpint (kill (atoi (text), SIGKILL), ==, 0);
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_LOST, NULL);
  while (fixture->harness.ops->start_container (fixture->harness.state, "none", &error)
         || !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE))
    g_clear_error (&error);
  g_clear_error (&error);
  g_assert_false (cube_context_get_health (fixture->harness.context, &health));
  g_test_message ("health: %s", health);
  g_assert_nonnull (strstr (health, "containerd.sock"));

  fixture_forget_events (fixture);
  restart_containerd ();
  begin = g_get_monotonic_time ();
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_LOST, NULL);
  while (!fixture->harness.ops->status (fixture->harness.state, &status, NULL)) /* it listens before it is initialized */
    g_usleep (1000);
  cube_runtime_status_clear (&status);
  g_test_message ("recovered %" G_GINT64_FORMAT " ms after the restart", (g_get_monotonic_time () - begin) / 1000);
  g_clear_pointer (&health, g_free);
  g_assert_true (cube_context_get_health (fixture->harness.context, &health));
  container = fixture_status_of (fixture, id);
  g_assert_cmpint (container->state, ==, CUBE_CONTAINER_RUNNING);
  cube_container_free (container);
  fixture_forget_events (fixture);
  g_assert_true (fixture->harness.ops->stop_container (fixture->harness.state, id, 0, NULL, &error));
  fixture_wait_for_event (fixture, CUBE_RUNTIME_EVENT_STOPPED, id);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (fixture_dir () == NULL)
    {
      g_printerr ("CRI_TEST_DIR is not set: run integration.sh\n");
      return 77;
    }
#define ADD(name, function) g_test_add ("/cri/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
  ADD ("status", test_status);
  ADD ("late-endpoint", test_late_endpoint);
  ADD ("events-end-at-once", test_events_end_at_once);
  ADD ("sandbox", test_sandbox);
  ADD ("container", test_container);
  ADD ("stop", test_stop);
  ADD ("exec-sync", test_exec_sync);
  ADD ("stats-and-resources", test_stats_and_resources);
  ADD ("images", test_images);
  ADD ("killed", test_killed);
  ADD ("pods-side-by-side", test_pods_side_by_side);
  ADD ("sandbox-killed", test_sandbox_killed);
  ADD ("recovery", test_recovery);
  add_streaming_tests ();
  return g_test_run ();
}
