/* SPDX-License-Identifier: Apache-2.0 */
#include "fake-runtime.h"

#include <cube/error.h>
#include <string.h>

typedef struct {
  char *id, *name, *ns, *uid, *ip;
  guint32 attempt;
  gboolean is_ready;
  gint64 created_ns;
  CubeNamespaceMode network;
  GHashTable *labels, *annotations;
} FakeSandbox;

typedef struct {
  FakeRuntime *fake;
  char *id, *sandbox_id, *name, *image, *log_path;
  guint32 attempt;
  CubeContainerState state;
  gint64 created_ns, started_ns, finished_ns;
  gint32 exit_code;
  GHashTable *labels, *annotations;
  CubeTimer *timer;
} FakeContainer;

static gint64
now_ns (FakeRuntime *fake)
{
  return cube_context_now_us (fake->context) * 1000;
}

static void G_GNUC_PRINTF (2, 3) note (FakeRuntime *fake, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_ptr_array_add (fake->calls, g_strdup_vprintf (format, args));
  va_end (args);
}

static void
tell (FakeRuntime *fake, CubeRuntimeEventType type, const char *id)
{
  if (fake->func != NULL && !fake->is_mute)
    fake->func (type, id, fake->func_data);
}

static GHashTable *
copy_pairs (const CubePair *pairs)
{
  GHashTable *table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (; pairs != NULL && pairs->key != NULL; pairs++)
    g_hash_table_insert (table, g_strdup (pairs->key), g_strdup (pairs->value));
  return table;
}

static GHashTable *
copy_table (GHashTable *table)
{
  GHashTable *copy = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  GHashTableIter it;
  gpointer key, value;
  for (g_hash_table_iter_init (&it, table); g_hash_table_iter_next (&it, &key, &value);)
    g_hash_table_insert (copy, g_strdup (key), g_strdup (value));
  return copy;
}

static gboolean
fail (GError **error, CubeErrorCode code, const char *message)
{
  g_set_error_literal (error, CUBE_ERROR, code, message);
  return FALSE;
}

/* ---- sandboxes ---- */

static void
sandbox_free (gpointer data)
{
  FakeSandbox *sandbox = data;
  g_free (sandbox->id);
  g_free (sandbox->name);
  g_free (sandbox->ns);
  g_free (sandbox->uid);
  g_free (sandbox->ip);
  g_hash_table_unref (sandbox->labels);
  g_hash_table_unref (sandbox->annotations);
  g_free (sandbox);
}

static gboolean
fake_status (gpointer state, CubeRuntimeStatus *ret_status, GError **error)
{
  FakeRuntime *fake = state;
  if (fake->asked != NULL)
    fake->asked (fake->asked_data);
  *ret_status = (CubeRuntimeStatus){
    .runtime_ready = TRUE, .network_ready = TRUE, .name = g_strdup ("fake"), .version = g_strdup ("1"), .api_version = g_strdup ("v1")
  };
  return TRUE;
}

static gboolean
fake_run_sandbox (gpointer state, const CubeSandboxConfig *config, char **ret_id, GCancellable *cancellable, GError **error)
{
  FakeRuntime *fake = state;
  FakeSandbox *sandbox;
  if (fake->sandbox_error != NULL)
    return fail (error, CUBE_ERROR_INTERNAL, fake->sandbox_error);
  sandbox = g_new0 (FakeSandbox, 1);
  sandbox->id = g_strdup_printf ("sandbox-%u", ++fake->serial);
  sandbox->name = g_strdup (config->name);
  sandbox->ns = g_strdup (config->ns);
  sandbox->uid = g_strdup (config->uid);
  sandbox->ip = g_strdup_printf ("10.9.0.%u", fake->serial);
  sandbox->attempt = config->attempt;
  sandbox->is_ready = TRUE;
  sandbox->created_ns = now_ns (fake);
  sandbox->network = config->security.network;
  sandbox->labels = copy_pairs (config->labels);
  sandbox->annotations = copy_pairs (config->annotations);
  g_hash_table_insert (fake->sandboxes, sandbox->id, sandbox);
  note (fake, "sandbox %s %u", config->name, config->attempt);
  *ret_id = g_strdup (sandbox->id);
  tell (fake, CUBE_RUNTIME_EVENT_STARTED, sandbox->id);
  return TRUE;
}

static void
end_container (FakeContainer *container, gint32 code)
{
  if (container->state == CUBE_CONTAINER_EXITED)
    return;
  g_clear_pointer (&container->timer, cube_timer_cancel);
  container->state = CUBE_CONTAINER_EXITED;
  container->exit_code = code;
  container->finished_ns = now_ns (container->fake);
  tell (container->fake, CUBE_RUNTIME_EVENT_STOPPED, container->id);
}

static void
end_all_in (FakeRuntime *fake, const char *sandbox_id, gint32 code)
{
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, fake->containers); g_hash_table_iter_next (&it, NULL, &value);)
    if (g_str_equal (((FakeContainer *) value)->sandbox_id, sandbox_id))
      end_container (value, code);
}

static gboolean
fake_stop_sandbox (gpointer state, const char *id, GError **error)
{
  FakeRuntime *fake = state;
  FakeSandbox *sandbox = g_hash_table_lookup (fake->sandboxes, id);
  if (sandbox == NULL || !sandbox->is_ready)
    return TRUE;
  note (fake, "stop-sandbox %s", sandbox->name);
  end_all_in (fake, id, 137);
  sandbox->is_ready = FALSE;
  return TRUE;
}

static gboolean
fake_remove_sandbox (gpointer state, const char *id, GError **error)
{
  FakeRuntime *fake = state;
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, fake->containers); g_hash_table_iter_next (&it, NULL, &value);)
    if (g_str_equal (((FakeContainer *) value)->sandbox_id, id))
      g_hash_table_iter_remove (&it);
  if (g_hash_table_remove (fake->sandboxes, id))
    note (fake, "remove-sandbox");
  return TRUE;
}

static CubeSandbox *
describe_sandbox (const FakeSandbox *sandbox, gboolean with_ip)
{
  CubeSandbox *status = g_new0 (CubeSandbox, 1);
  const char *ips[] = { with_ip ? sandbox->ip : NULL, NULL };
  status->id = g_strdup (sandbox->id);
  status->name = g_strdup (sandbox->name);
  status->ns = g_strdup (sandbox->ns);
  status->uid = g_strdup (sandbox->uid);
  status->attempt = sandbox->attempt;
  status->is_ready = sandbox->is_ready;
  status->created_ns = sandbox->created_ns;
  status->network = sandbox->network;
  status->ips = g_strdupv ((char **) ips);
  status->labels = copy_table (sandbox->labels);
  status->annotations = copy_table (sandbox->annotations);
  return status;
}

static CubeSandbox *
fake_sandbox_status (gpointer state, const char *id, GError **error)
{
  FakeRuntime *fake = state;
  const FakeSandbox *sandbox = g_hash_table_lookup (fake->sandboxes, id);
  if (sandbox != NULL)
    return describe_sandbox (sandbox, TRUE);
  fail (error, CUBE_ERROR_NOT_FOUND, "no such sandbox");
  return NULL;
}

static GPtrArray *
fake_list_sandboxes (gpointer state, GError **error)
{
  FakeRuntime *fake = state;
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_sandbox_free);
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, fake->sandboxes); g_hash_table_iter_next (&it, NULL, &value);)
    g_ptr_array_add (list, describe_sandbox (value, FALSE));
  return list;
}

/* ---- containers ---- */

static void
container_free (gpointer data)
{
  FakeContainer *container = data;
  cube_timer_cancel (container->timer);
  g_free (container->id);
  g_free (container->sandbox_id);
  g_free (container->name);
  g_free (container->image);
  g_free (container->log_path);
  g_hash_table_unref (container->labels);
  g_hash_table_unref (container->annotations);
  g_free (container);
}

static gboolean
fake_create_container (gpointer state, const char *sandbox_id, const CubeContainerConfig *config, const CubeSandboxConfig *sandbox,
                       char **ret_id, GCancellable *cancellable, GError **error)
{
  FakeRuntime *fake = state;
  FakeContainer *container = g_new0 (FakeContainer, 1);
  container->fake = fake;
  container->id = g_strdup_printf ("container-%u", ++fake->serial);
  container->sandbox_id = g_strdup (sandbox_id);
  container->name = g_strdup (config->name);
  container->image = g_strdup (config->user_image);
  container->log_path = g_build_filename (sandbox->log_directory, config->log_path, NULL);
  container->attempt = config->attempt;
  container->created_ns = now_ns (fake);
  container->labels = copy_pairs (config->labels);
  container->annotations = copy_pairs (config->annotations);
  g_hash_table_insert (fake->containers, container->id, container);
  *ret_id = g_strdup (container->id);
  return TRUE;
}

static void
life_is_over (gpointer data)
{
  FakeContainer *container = data;
  const FakeScript *script = g_hash_table_lookup (container->fake->scripts, container->name);
  end_container (container, script != NULL ? script->exit_code : 0);
}

static gboolean
fake_start_container (gpointer state, const char *id, GError **error)
{
  FakeRuntime *fake = state;
  FakeContainer *container = g_hash_table_lookup (fake->containers, id);
  const FakeScript *script = container != NULL ? g_hash_table_lookup (fake->scripts, container->name) : NULL;
  if (container == NULL)
    return fail (error, CUBE_ERROR_NOT_FOUND, "no such container");
  if (script != NULL && script->stays_created)
    return fail (error, CUBE_ERROR_SERVICE_UNAVAILABLE, "the runtime is away");
  if (script != NULL && script->fails_to_start)
    {
      end_container (container, 128);
      return fail (error, CUBE_ERROR_INTERNAL, "exec: not found");
    }
  note (fake, "start %s %u", container->name, container->attempt);
  container->state = CUBE_CONTAINER_RUNNING;
  container->started_ns = now_ns (fake);
  if (script != NULL && script->lives_us > 0)
    container->timer = cube_loop_after (cube_context_get_loop (fake->context, "main"), script->lives_us, life_is_over, container, NULL);
  tell (fake, CUBE_RUNTIME_EVENT_STARTED, id);
  return TRUE;
}

static gboolean
fake_stop_container (gpointer state, const char *id, gint64 grace_seconds, GCancellable *cancellable, GError **error)
{
  FakeRuntime *fake = state;
  FakeContainer *container = g_hash_table_lookup (fake->containers, id);
  if (container == NULL || container->state == CUBE_CONTAINER_EXITED)
    return TRUE;
  const FakeScript *script = g_hash_table_lookup (fake->scripts, container->name);
  note (fake, "stop %s %" G_GINT64_FORMAT, container->name, grace_seconds);
  if (container->state == CUBE_CONTAINER_CREATED || (script != NULL && script->ignores_stop))
    return TRUE; /* as containerd: there is no process to stop */
  end_container (container, 143);
  return TRUE;
}

static gboolean
fake_remove_container (gpointer state, const char *id, GError **error)
{
  FakeRuntime *fake = state;
  g_hash_table_remove (fake->containers, id);
  return TRUE;
}

static CubeContainer *
describe_container (const FakeContainer *container, gboolean is_full)
{
  CubeContainer *status = g_new0 (CubeContainer, 1);
  status->id = g_strdup (container->id);
  status->sandbox_id = is_full ? NULL : g_strdup (container->sandbox_id); /* as CRI: only the listing says it */
  status->name = g_strdup (container->name);
  status->attempt = container->attempt;
  status->state = container->state;
  status->created_ns = container->created_ns;
  status->image = g_strdup (container->image);
  status->image_ref = g_strdup ("sha256:1");
  status->labels = copy_table (container->labels);
  status->annotations = copy_table (container->annotations);
  if (is_full)
    {
      status->started_ns = container->started_ns;
      status->finished_ns = container->finished_ns;
      status->exit_code = container->exit_code;
      status->log_path = g_strdup (container->log_path);
    }
  return status;
}

static CubeContainer *
fake_container_status (gpointer state, const char *id, GError **error)
{
  FakeRuntime *fake = state;
  const FakeContainer *container = g_hash_table_lookup (fake->containers, id);
  if (container != NULL)
    return describe_container (container, TRUE);
  fail (error, CUBE_ERROR_NOT_FOUND, "no such container");
  return NULL;
}

static GPtrArray *
fake_list_containers (gpointer state, GError **error)
{
  FakeRuntime *fake = state;
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_container_free);
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, fake->containers); g_hash_table_iter_next (&it, NULL, &value);)
    g_ptr_array_add (list, describe_container (value, FALSE));
  return list;
}

static gboolean
fake_exec_sync (gpointer state, const char *id, const char *const *command, gint64 timeout_us, GBytes **ret_stdout, GBytes **ret_stderr,
                gint32 *ret_exit_code, GCancellable *cancellable, GError **error)
{
  FakeRuntime *fake = state;
  const FakeContainer *container = g_hash_table_lookup (fake->containers, id);
  const FakeScript *script = container != NULL ? g_hash_table_lookup (fake->scripts, container->name) : NULL;
  if (container == NULL || container->state != CUBE_CONTAINER_RUNNING)
    return fail (error, CUBE_ERROR_NOT_FOUND, "no such running container");
  note (fake, "exec %s %s", container->name, command[0]);
  *ret_exit_code = script != NULL ? script->exec_exit_code : 0;
  return TRUE;
}

/* ---- images ---- */

static GPtrArray *
fake_list_images (gpointer state, GError **error)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) cube_image_free);
}

static CubeImage *
fake_image_status (gpointer state, const char *name, GError **error)
{
  FakeRuntime *fake = state;
  if (!g_hash_table_contains (fake->images, name))
    return NULL;
  CubeImage *image = g_new0 (CubeImage, 1);
  image->id = g_strdup_printf ("sha256:%s", name);
  return image;
}

static gboolean
fake_pull_image (gpointer state, const char *name, const char *auth_json, char **ret_image_ref, GCancellable *cancellable, GError **error)
{
  FakeRuntime *fake = state;
  fake->n_pulls++;
  if (fake->pull_error != NULL)
    return fail (error, CUBE_ERROR_INTERNAL, fake->pull_error);
  g_hash_table_add (fake->images, g_strdup (name));
  *ret_image_ref = g_strdup_printf ("sha256:%s", name);
  return TRUE;
}

static void
fake_set_event_func (gpointer state, CubeRuntimeEventFunc func, gpointer data)
{
  FakeRuntime *fake = state;
  fake->func = func;
  fake->func_data = data;
}

const CubeRuntimeOps fake_runtime_ops = {
  .ops_size = sizeof fake_runtime_ops,
  .status = fake_status,
  .run_sandbox = fake_run_sandbox,
  .stop_sandbox = fake_stop_sandbox,
  .remove_sandbox = fake_remove_sandbox,
  .sandbox_status = fake_sandbox_status,
  .list_sandboxes = fake_list_sandboxes,
  .create_container = fake_create_container,
  .start_container = fake_start_container,
  .stop_container = fake_stop_container,
  .remove_container = fake_remove_container,
  .container_status = fake_container_status,
  .list_containers = fake_list_containers,
  .exec_sync = fake_exec_sync,
  .list_images = fake_list_images,
  .image_status = fake_image_status,
  .pull_image = fake_pull_image,
  .set_event_func = fake_set_event_func,
};

/* ---- what a test does with it ---- */

FakeRuntime *
fake_runtime_new (CubeContext *context)
{
  FakeRuntime *fake = g_new0 (FakeRuntime, 1);
  fake->context = context;
  fake->sandboxes = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, sandbox_free);
  fake->containers = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, container_free);
  fake->images = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  fake->scripts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  fake->calls = g_ptr_array_new_with_free_func (g_free);
  return fake;
}

void
fake_runtime_free (FakeRuntime *fake)
{
  g_hash_table_unref (fake->containers);
  g_hash_table_unref (fake->sandboxes);
  g_hash_table_unref (fake->images);
  g_hash_table_unref (fake->scripts);
  g_ptr_array_unref (fake->calls);
  g_free (fake->pull_error);
  g_free (fake->sandbox_error);
  g_free (fake);
}

FakeScript *
fake_runtime_script (FakeRuntime *fake, const char *container)
{
  FakeScript *script = g_hash_table_lookup (fake->scripts, container);
  if (script == NULL)
    {
      script = g_new0 (FakeScript, 1);
      g_hash_table_insert (fake->scripts, g_strdup (container), script);
    }
  return script;
}

guint
fake_runtime_count (FakeRuntime *fake, const char *call)
{
  guint n = 0;
  for (guint i = 0; i < fake->calls->len; i++)
    n += g_str_has_prefix (fake->calls->pdata[i], call);
  return n;
}

int
fake_runtime_index (FakeRuntime *fake, const char *call)
{
  for (guint i = 0; i < fake->calls->len; i++)
    if (g_str_has_prefix (fake->calls->pdata[i], call))
      return (int) i;
  return -1;
}

void
fake_runtime_exit (FakeRuntime *fake, const char *name, gint32 code)
{
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, fake->containers); g_hash_table_iter_next (&it, NULL, &value);)
    {
      FakeContainer *container = value;
      if (g_str_equal (container->name, name) && container->state == CUBE_CONTAINER_RUNNING)
        end_container (container, code);
    }
}

void
fake_runtime_kill_sandbox (FakeRuntime *fake, const char *pod)
{
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, fake->sandboxes); g_hash_table_iter_next (&it, NULL, &value);)
    {
      FakeSandbox *sandbox = value;
      if (!g_str_equal (sandbox->name, pod) || !sandbox->is_ready)
        continue;
      sandbox->is_ready = FALSE;
      end_all_in (fake, sandbox->id, 137);
      tell (fake, CUBE_RUNTIME_EVENT_STOPPED, sandbox->id);
    }
}

guint
fake_runtime_running (FakeRuntime *fake)
{
  GHashTableIter it;
  gpointer value;
  guint n = 0;
  for (g_hash_table_iter_init (&it, fake->containers); g_hash_table_iter_next (&it, NULL, &value);)
    n += ((FakeContainer *) value)->state == CUBE_CONTAINER_RUNNING;
  return n;
}
