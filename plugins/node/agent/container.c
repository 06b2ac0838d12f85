/* SPDX-License-Identifier: Apache-2.0 */
/* One container: started, stopped, its dead forerunners removed. */
#include "agent.h"
#include <string.h>
#include <unistd.h>

/* ---- back-off ---- */

gboolean
node_backoff_is_waiting (GHashTable *backoffs, const char *key, gint64 since_us, gint64 now_us, gint64 *ret_left_us)
{
  NodeBackoff *backoff = g_hash_table_lookup (backoffs, key);
  if (backoff == NULL || since_us - backoff->updated_us > NODE_BACKOFF_RESET_US || now_us - since_us >= backoff->delay_us)
    return FALSE;
  if (ret_left_us != NULL)
    *ret_left_us = backoff->delay_us - (now_us - since_us);
  return TRUE;
}

void
node_backoff_next (GHashTable *backoffs, const char *key, gint64 event_us, gint64 now_us, const char *message)
{
  NodeBackoff *backoff = g_hash_table_lookup (backoffs, key);
  if (backoff == NULL)
    {
      backoff = g_new0 (NodeBackoff, 1);
      g_hash_table_insert (backoffs, g_strdup (key), backoff);
    }
  if (backoff->delay_us == 0 || event_us - backoff->updated_us > NODE_BACKOFF_RESET_US)
    backoff->delay_us = NODE_BACKOFF_FIRST_US;
  else
    backoff->delay_us = MIN (backoff->delay_us * 2, NODE_BACKOFF_LAST_US);
  backoff->updated_us = now_us;
  g_free (backoff->message);
  backoff->message = g_strdup (message);
}

/* TRUE: it crashed lately and waits. @last: the newest of that name, ended. */
static gboolean
is_in_backoff (NodeJob *job, CubeView container, const NodeContainer *last)
{
  const char *name = cube_view_get_string (container, "name");
  gint64 now = cube_context_now_us (job->agent->context);
  gint64 ended = last->status->finished_ns / 1000, left = 0;
  NodePod *pod = job->pod;
  if (ended <= 0 || ended > now)
    ended = now;
  NodeBackoff *backoff = g_hash_table_lookup (pod->backoffs, name);
  if (!node_backoff_is_waiting (pod->backoffs, name, ended, now, &left))
    {
      node_backoff_next (pod->backoffs, name, ended, now, NULL);
      return FALSE;
    }
  char delay[40];
  cube_duration_format (backoff->delay_us * 1000, delay);
  g_autofree char *message =
      g_strdup_printf ("back-off %s restarting failed container=%s pod=%s_%s(%s)", delay, name, pod->name, pod->ns, pod->uid);
  node_pod_event (pod, name, "Warning", "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", name, pod->name, pod->ns,
                  pod->uid);
  node_pod_set_reason (pod, name, "CrashLoopBackOff", message);
  left = MIN (left + 1000, 60 * G_USEC_PER_SEC);
  job->again_us = job->again_us == 0 ? left : MIN (job->again_us, left);
  return TRUE;
}

/* ---- start ---- */

static gboolean
note_failure (NodeJob *job, const char *name, const char *reason, const char *message)
{
  node_pod_event (job->pod, name, "Warning", "Failed", "Error: %s", message);
  node_pod_set_reason (job->pod, name, reason, message);
  job->again_us = job->again_us == 0
                      ? NODE_BACKOFF_FIRST_US + (gint64) (cube_context_random (job->agent->context) % (NODE_BACKOFF_FIRST_US / 2))
                      : job->again_us;
  return FALSE;
}

static gboolean
run_post_start (NodeJob *job, CubeView container, CubeContainerKind kind, NodeContainer *running)
{
  CubeView handler = cube_view_get (container, "lifecycle", "postStart");
  const char *name = cube_view_get_string (container, "name");
  g_autoptr (GError) error = NULL;
  if (!cube_view_exists (handler)
      || node_hook_run (job->agent, &job->runtime, handler, container, name, job->pod->name, running->status->id, job->ips, 0,
                        job->cancellable, &error))
    return TRUE;
  node_pod_event (job->pod, name, "Warning", "FailedPostStartHook", "PostStartHook failed");
  NodeKillRequest kill = { .agent = job->agent,
                           .object = job->object,
                           .pod = cube_value_root (job->value),
                           .container = container,
                           .kind = kind,
                           .target = running,
                           .ips = job->ips,
                           .grace_seconds = cube_view_get_int (job->spec, 30, "terminationGracePeriodSeconds"),
                           .message = "FailedPostStartHook",
                           .cancellable = job->cancellable };
  g_autoptr (GError) kill_error = NULL;
  if (!node_container_kill (&kill, &job->runtime, &kill_error))
    g_warning ("pod %s/%s: container %s: %s", job->pod->ns, job->pod->name, name, kill_error->message);
  return note_failure (job, name, "PostStartHookError", error->message);
}

static guint
next_attempt (NodeJob *job, const char *name)
{
  NodeContainer *last = node_snapshot_find (job->snapshot, name, 0);
  if (last != NULL)
    return last->status->attempt + 1;
  /* the log files remember what the runtime forgot */
  CubeIter it;
  CubeView status;
  CubeView all = cube_value_get (job->value, "status", "containerStatuses");
  for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &status);)
    if (g_strcmp0 (cube_view_get_string (status, "name"), name) == 0 && cube_view_get_string (status, "containerID") != NULL)
      return (guint) cube_view_get_int (status, 0, "restartCount") + 1;
  return 0;
}

static gboolean
create_and_start (NodeJob *job, CubeView container, CubeContainerKind kind, const char *image)
{
  const char *name = cube_view_get_string (container, "name");
  g_autoptr (NodeScratch) scratch = node_scratch_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;
  CubeContainerConfig *config = node_config_container (job, container, kind, image, next_attempt (job, name), scratch, &error);
  if (config == NULL)
    return note_failure (job, name, "CreateContainerConfigError", error->message);
  NodeSandbox *sandbox = node_snapshot_sandbox (job->snapshot);
  CubeSandboxConfig *sandbox_config = node_config_sandbox (job, sandbox != NULL ? sandbox->status->attempt : 0, scratch, &error);
  if (sandbox_config == NULL)
    return note_failure (job, name, "CreateContainerConfigError", error->message);
  if (!job->runtime.ops->create_container (job->runtime.state, job->sandbox_id, config, sandbox_config, &id, job->cancellable, &error))
    return note_failure (job, name, "CreateContainerError", error->message);
  node_pod_event (job->pod, name, "Normal", "Created", "Container created");
  if (!job->runtime.ops->start_container (job->runtime.state, id, &error))
    {
      node_container_unref (node_observed_refresh_container (job->agent->observed, &job->runtime, id, job->sandbox_id));
      return note_failure (job, name, "RunContainerError", error->message);
    }
  node_pod_set_reason (job->pod, name, NULL, NULL);
  NodeContainer *running = node_observed_refresh_container (job->agent->observed, &job->runtime, id, job->sandbox_id);
  node_pod_event (job->pod, name, "Normal", "Started", "Container started");
  gboolean ok = running == NULL || run_post_start (job, container, kind, running);
  node_container_unref (running);
  return ok;
}

gboolean
node_container_start (NodeJob *job, CubeView container, CubeContainerKind kind)
{
  const char *name = cube_view_get_string (container, "name");
  NodeContainer *last = node_snapshot_find (job->snapshot, name, 0);
  const char *reason = NULL;
  g_autofree char *message = NULL;
  if (last != NULL && last->status->state == CUBE_CONTAINER_EXITED && kind != CUBE_CONTAINER_EPHEMERAL
      && is_in_backoff (job, container, last))
    return FALSE;
  g_autofree char *image = node_image_ensure (job, container, &reason, &message);
  if (image == NULL)
    {
      gint64 again_us = job->again_us;
      note_failure (job, name, reason, reason);
      node_pod_set_reason (job->pod, name, reason, message);
      job->again_us = again_us > 0 ? again_us : job->again_us;
      return FALSE;
    }
  return create_and_start (job, container, kind, image);
}

/* ---- stop ---- */

static gint64
run_pre_stop (const NodeKillRequest *request, const NodeRuntime *runtime, gint64 grace)
{
  CubeView handler = cube_view_get (request->container, "lifecycle", "preStop");
  CubeContext *context = request->agent->context;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) recorded = NULL;
  const CubeContainer *status = request->target->status;
  if (!cube_view_exists (request->container))
    {
      const char *text = g_hash_table_lookup (status->annotations, NODE_ANNOTATION_PRE_STOP);
      recorded = text != NULL ? cube_value_from_json (text, -1, NULL, NULL) : NULL;
      handler = recorded != NULL ? cube_value_root (recorded) : cube_view_none ();
    }
  if (!cube_view_exists (handler) || grace <= 0 || status->state != CUBE_CONTAINER_RUNNING)
    return grace;
  gint64 begun = cube_context_monotonic_us (context);
  if (!node_hook_run (request->agent, runtime, handler, request->container, request->target->name, request->target->pod_name, status->id,
                      request->ips, grace * G_USEC_PER_SEC, request->cancellable, &error)
      && request->object != NULL && !g_cancellable_is_cancelled (request->cancellable))
    node_object_event (request->agent, request->object, request->pod, request->target->name, "Warning", "FailedPreStopHook",
                       "PreStopHook failed");
  return grace - (cube_context_monotonic_us (context) - begun) / G_USEC_PER_SEC;
}

gboolean
node_container_kill (const NodeKillRequest *request, const NodeRuntime *runtime, GError **error)
{
  NodeContainer *target = request->target;
  g_autofree char *message =
      request->message != NULL ? g_strdup (request->message) : g_strdup_printf ("Stopping container %s", target->name);
  if (request->object != NULL && target->status->state == CUBE_CONTAINER_RUNNING)
    node_object_event (request->agent, request->object, request->pod, target->name, "Normal", "Killing", message);
  gint64 grace = run_pre_stop (request, runtime, request->grace_seconds);
  if (request->grace_seconds > 0)
    grace = MAX (grace, NODE_MIN_GRACE_SECONDS);
  gboolean ok = runtime->ops->stop_container (runtime->state, target->status->id, MAX (grace, 0), request->cancellable, error);
  node_container_unref (node_observed_refresh_container (request->agent->observed, runtime, target->status->id, NULL));
  return ok;
}

/* ---- garbage ---- */

/* Of each name the newest, and one dead one. */
void
node_container_prune (NodeJob *job)
{
  g_autoptr (GHashTable) dead = g_hash_table_new (g_str_hash, g_str_equal);
  for (guint i = 0; i < job->snapshot->containers->len; i++)
    {
      NodeContainer *container = job->snapshot->containers->pdata[i];
      if (container->status->state != CUBE_CONTAINER_EXITED || g_hash_table_add (dead, container->name))
        continue;
      if (job->runtime.ops->remove_container (job->runtime.state, container->status->id, NULL))
        {
          const char *file = g_hash_table_lookup (container->status->annotations, NODE_ANNOTATION_MESSAGE_FILE);
          g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
          if (file != NULL && g_str_has_prefix (file, pod_dir))
            unlink (file);
          if (container->status->log_path != NULL && g_str_has_prefix (container->status->log_path, job->agent->logs_dir))
            unlink (container->status->log_path);
          node_observed_forget (job->agent->observed, container->status->id);
        }
    }
}
