/* SPDX-License-Identifier: Apache-2.0 */
/* One pod's state machine, on the loop: syncing → terminating → terminated. Its passes, kills and clean-up run on workers, one pass at a time. */
#include "agent.h"
#include <string.h>

#define RESYNC_US (60 * G_USEC_PER_SEC)
#define ORPHAN_GRACE_SECONDS 1
#define DEADLINE_MESSAGE "Pod was active on the node longer than the specified deadline"

typedef struct {
  NodePod *pod;
  NodeContainer *target;
  CubeObject *object;
  CubeValue *value;
  CubeView container;
  CubeContainerKind kind;
  GCancellable *cancellable;
  gint64 grace_seconds;
  char **ips;
  gboolean ok, is_done;
} NodeKill;

static void dispatch (NodePod *pod);
static void update_status (NodePod *pod);

static void
backoff_free (gpointer data)
{
  g_free (((NodeBackoff *) data)->message);
  g_free (data);
}

static void
reason_free (gpointer data)
{
  g_free (((NodeReason *) data)->reason);
  g_free (((NodeReason *) data)->message);
  g_free (data);
}

NodePod *
node_pod_new (NodeAgent *agent, const char *uid, const char *ns, const char *name)
{
  NodePod *pod = g_new0 (NodePod, 1);
  g_atomic_ref_count_init (&pod->refs);
  pod->agent = agent;
  pod->uid = g_strdup (uid);
  pod->ns = g_strdup (ns);
  pod->name = g_strdup (name);
  pod->grace_seconds = -1;
  pod->kills = g_ptr_array_new ();
  pod->backoffs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, backoff_free);
  pod->reasons = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, reason_free);
  pod->failed_mounts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_mutex_init (&pod->lock);
  return pod;
}

NodePod *
node_pod_ref (NodePod *pod)
{
  g_atomic_ref_count_inc (&pod->refs);
  return pod;
}

void
node_pod_unref (NodePod *pod)
{
  if (pod == NULL || !g_atomic_ref_count_dec (&pod->refs))
    return;
  g_clear_pointer (&pod->object, cube_object_unref);
  cube_value_unref (pod->value);
  cube_value_unref (pod->status);
  g_ptr_array_unref (pod->kills);
  g_hash_table_unref (pod->backoffs);
  g_hash_table_unref (pod->reasons);
  g_hash_table_unref (pod->failed_mounts);
  g_mutex_clear (&pod->lock);
  g_free (pod->uid);
  g_free (pod->ns);
  g_free (pod->name);
  g_free (pod->final_phase);
  g_free (pod->final_reason);
  g_free (pod->final_message);
  g_free (pod);
}

/* ---- what anybody may say of it ---- */

void
node_pod_set_reason (NodePod *pod, const char *container, const char *reason, const char *message)
{
  g_mutex_lock (&pod->lock);
  if (reason == NULL)
    g_hash_table_remove (pod->reasons, container);
  else
    {
      NodeReason *entry = g_new0 (NodeReason, 1);
      *entry = (NodeReason){ g_strdup (reason), g_strdup (message) };
      g_hash_table_replace (pod->reasons, g_strdup (container), entry);
    }
  g_mutex_unlock (&pod->lock);
}

void
node_object_event (NodeAgent *agent, CubeObject *object, CubeView pod, const char *container, const char *type, const char *reason,
                   const char *message)
{
  g_autofree char *path = NULL;
  CubeContainerIter it;
  CubeView view;
  CubeContainerKind kind;
  for (cube_containers_init (&it, cube_view_member (pod, "spec"), CUBE_CONTAINER_ALL);
       container != NULL && cube_containers_next (&it, &view, &kind, NULL);)
    if (g_strcmp0 (cube_view_get_string (view, "name"), container) == 0)
      path = g_strdup_printf ("spec.%s{%s}",
                              kind == CUBE_CONTAINER_INIT        ? "initContainers"
                              : kind == CUBE_CONTAINER_EPHEMERAL ? "ephemeralContainers"
                                                                 : "containers",
                              container);
  cube_recorder_event (agent->recorder, object, path, type, reason, "%s", message);
}

void
node_pod_event (NodePod *pod, const char *container, const char *type, const char *reason, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_mutex_lock (&pod->lock);
  g_autoptr (CubeObject) object = pod->object != NULL ? cube_object_ref (pod->object) : NULL;
  g_autoptr (CubeValue) value = pod->value != NULL ? cube_value_ref (pod->value) : NULL;
  g_mutex_unlock (&pod->lock);
  if (object != NULL)
    node_object_event (pod->agent, object, cube_value_root (value), container, type, reason, message);
}

/* ---- status ---- */

typedef struct {
  NodePod *pod;
  CubeValue *status;
  const CubeResource *pods;
  gboolean ok;
} StatusWrite;

/* Conditions of others stay as they are now. */
static gboolean
is_foreign (CubeView ours, const char *type)
{
  return !cube_view_exists (cube_condition_find (ours, type));
}

static gboolean
change_status (CubeMut *root, CubeView current, gpointer data)
{
  StatusWrite *write = data;
  CubeView status = cube_value_root (write->status), condition, value;
  CubeIter it;
  const char *key;
  if (g_strcmp0 (cube_view_get_string (current, "metadata", "uid"), write->pod->uid) != 0)
    return FALSE;
  CubeMut *target = cube_mut_set_object (root, "status");
  for (cube_iter_init (&it, cube_view_member (current, "status")); cube_iter_next (&it, &key, &value);)
    if (g_str_equal (key, "nominatedNodeName") || g_str_equal (key, "resize") || g_str_equal (key, "resourceClaimStatuses"))
      cube_mut_set_view (target, key, value);
  for (cube_iter_init (&it, status); cube_iter_next (&it, &key, &value);)
    cube_mut_set_view (target, key, value);
  CubeMut *conditions = cube_mut_ensure_array (target, "conditions");
  guint at = 0;
  for (cube_iter_init (&it, cube_view_get (current, "status", "conditions")); cube_iter_next (&it, NULL, &condition);)
    if (is_foreign (status, cube_view_get_string (condition, "type")))
      cube_mut_insert (conditions, at++, cube_mut_new_view (cube_mut_builder (root), condition));
  return !cube_mut_equal_view (root, current);
}

static void
status_work (gpointer data)
{
  StatusWrite *write = data;
  g_autoptr (GError) error = NULL;
  NodePod *pod = write->pod;
  g_autoptr (CubeObject) written =
      cube_client_modify (pod->agent->client, write->pods, "status", pod->ns, pod->name, change_status, write, &error);
  write->ok = written != NULL || g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
  if (!write->ok)
    g_warning ("pod %s/%s: status not written: %s", pod->ns, pod->name, error->message);
}

static void
status_done (gpointer data)
{
  StatusWrite *write = data;
  NodePod *pod = write->pod;
  gboolean ok = write->ok;
  pod->is_status_busy = FALSE;
  cube_value_unref (write->status);
  g_free (write);
  if (!ok)
    g_clear_pointer (&pod->status, cube_value_unref); /* written again with the next look at it */
  if (pod->is_status_dirty || !ok)
    update_status (pod);
  if (!pod->is_status_busy && pod->stage != NODE_POD_SYNCING)
    dispatch (pod); /* it waited for the last word to be told */
  node_pod_unref (pod);
}

static CubeView
old_status (NodePod *pod)
{
  return pod->status != NULL ? cube_value_root (pod->status) : cube_value_get (pod->value, "status");
}

static CubeValue *
build_status (NodePod *pod)
{
  g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (pod->agent->observed, pod->uid);
  NodeStatusInput input = { .agent = pod->agent,
                            .pod = cube_value_root (pod->value),
                            .old = old_status (pod),
                            .snapshot = snapshot,
                            .worker = pod,
                            .is_terminal = pod->stage != NODE_POD_SYNCING && !node_snapshot_is_running (snapshot) };
  node_prober_update (pod->agent->prober, pod, snapshot);
  return node_status_build (&input);
}

static void
write_status (NodePod *pod)
{
  StatusWrite *write = g_new0 (StatusWrite, 1);
  write->pod = node_pod_ref (pod);
  write->status = cube_value_ref (pod->status);
  write->pods = node_agent_resource (pod->agent, "v1", "pods");
  pod->is_status_busy = TRUE;
  cube_context_run_blocking (pod->agent->context, status_work, pod->agent->loop, status_done, write);
}

static void
update_status (NodePod *pod)
{
  if (pod->object == NULL || pod->is_gone || pod->agent->is_stopping)
    return;
  if (!node_observed_has_synced (pod->agent->observed))
    return; /* nothing is known yet: after a restart the last status stands */
  if (pod->is_status_busy)
    {
      pod->is_status_dirty = TRUE;
      return;
    }
  pod->is_status_dirty = FALSE;
  CubeValue *fresh = build_status (pod);
  gboolean is_same = cube_view_equal (cube_value_root (fresh), old_status (pod));
  cube_value_unref (pod->status);
  pod->status = fresh;
  if (!is_same)
    write_status (pod);
}

/* ---- termination ---- */

static void
begin_termination (NodePod *pod)
{
  if (pod->stage != NODE_POD_SYNCING)
    return;
  pod->stage = NODE_POD_TERMINATING;
  node_prober_stop_liveness (pod->agent->prober, pod->uid);
  if (pod->cancellable != NULL)
    g_cancellable_cancel (pod->cancellable);
  g_clear_pointer (&pod->deadline, cube_timer_cancel);
}

static void
end_for_good (NodePod *pod, const char *phase, const char *reason, const char *message)
{
  g_free (pod->final_phase);
  g_free (pod->final_reason);
  g_free (pod->final_message);
  pod->final_phase = g_strdup (phase);
  pod->final_reason = g_strdup (reason);
  pod->final_message = g_strdup (message);
  begin_termination (pod);
}

static void
deadline_due (gpointer data)
{
  NodePod *pod = data;
  g_clear_pointer (&pod->deadline, cube_timer_cancel);
  if (pod->stage != NODE_POD_SYNCING)
    return;
  node_pod_event (pod, NULL, "Normal", "DeadlineExceeded", "%s", DEADLINE_MESSAGE);
  end_for_good (pod, "Failed", "DeadlineExceeded", DEADLINE_MESSAGE);
  update_status (pod);
  dispatch (pod);
}

static void
arm_deadline (NodePod *pod)
{
  gint64 seconds = cube_view_int (cube_value_get (pod->value, "spec", "activeDeadlineSeconds"), 0), started;
  const char *text = cube_view_get_string (old_status (pod), "startTime");
  if (seconds <= 0 || pod->deadline != NULL || text == NULL || !cube_time_parse (text, &started))
    return;
  gint64 left = started + seconds * G_USEC_PER_SEC - cube_context_now_us (pod->agent->context);
  pod->deadline = cube_loop_after (pod->agent->loop, MAX (left, 0), deadline_due, pod, NULL);
}

/* ---- kills ---- */

static void
kill_work (gpointer data)
{
  NodeKill *kill = data;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (GError) error = NULL;
  NodeKillRequest request = { .agent = kill->pod->agent,
                              .object = kill->object,
                              .pod = kill->value != NULL ? cube_value_root (kill->value) : cube_view_none (),
                              .container = kill->container,
                              .kind = kill->kind,
                              .target = kill->target,
                              .ips = kill->ips,
                              .grace_seconds = kill->grace_seconds,
                              .cancellable = kill->cancellable };
  kill->ok = node_runtime_open (kill->pod->agent, &runtime, &error) && node_container_kill (&request, &runtime, &error);
  if (!kill->ok && !g_cancellable_is_cancelled (kill->cancellable))
    g_warning ("pod %s/%s: container %s: %s", kill->pod->ns, kill->pod->name, kill->target->name, error->message);
}

static void
kill_free (NodeKill *kill)
{
  node_pod_unref (kill->pod);
  node_container_unref (kill->target);
  g_clear_pointer (&kill->object, cube_object_unref);
  cube_value_unref (kill->value);
  g_object_unref (kill->cancellable);
  g_strfreev (kill->ips);
  g_free (kill);
}

static void
retry_due (gpointer data)
{
  NodePod *pod = data;
  g_clear_pointer (&pod->timer, cube_timer_cancel);
  dispatch (pod);
}

static void
wake_after (NodePod *pod, gint64 delay_us)
{
  g_clear_pointer (&pod->timer, cube_timer_cancel);
  if (!pod->agent->is_stopping)
    pod->timer = cube_loop_after (pod->agent->loop, delay_us, retry_due, pod, NULL);
}

/* One that never ran has nothing to stop; it goes with its sandbox. */
static gboolean
may_run (const NodeContainer *container)
{
  return container->status->state == CUBE_CONTAINER_RUNNING || container->status->state == CUBE_CONTAINER_UNKNOWN;
}

/* A runtime that says it stopped a container, and still shows it running, is not asked again at once. */
static gboolean
has_ended (const NodeKill *kill)
{
  g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (kill->pod->agent->observed, kill->pod->uid);
  for (guint i = 0; i < snapshot->containers->len; i++)
    {
      const NodeContainer *container = snapshot->containers->pdata[i];
      if (g_str_equal (container->status->id, kill->target->status->id) && may_run (container))
        return FALSE;
    }
  return TRUE;
}

static void
kill_done (gpointer data)
{
  NodeKill *kill = data;
  NodePod *pod = kill->pod;
  gboolean ok = g_cancellable_is_cancelled (kill->cancellable) || (kill->ok && has_ended (kill));
  g_ptr_array_remove_fast (pod->kills, kill);
  if (!pod->agent->is_stopping)
    {
      update_status (pod);
      if (ok)
        dispatch (pod);
      else
        wake_after (pod, G_USEC_PER_SEC);
    }
  kill_free (kill);
}

static CubeView
find_container (NodePod *pod, const char *name, CubeContainerKind *ret_kind, guint *ret_index)
{
  CubeContainerIter it;
  CubeView container;
  if (pod->value != NULL)
    for (cube_containers_init (&it, cube_value_get (pod->value, "spec"), CUBE_CONTAINER_ALL);
         cube_containers_next (&it, &container, ret_kind, ret_index);)
      if (g_strcmp0 (cube_view_get_string (container, "name"), name) == 0)
        return container;
  *ret_kind = CUBE_CONTAINER_REGULAR;
  *ret_index = 0;
  return cube_view_none ();
}

static gint64
wanted_grace (NodePod *pod)
{
  if (pod->object == NULL)
    return ORPHAN_GRACE_SECONDS;
  gint64 fallback = cube_view_int (cube_value_get (pod->value, "spec", "terminationGracePeriodSeconds"), 30);
  return cube_view_int (cube_value_get (pod->value, "metadata", "deletionGracePeriodSeconds"), fallback);
}

static gboolean
is_being_killed (NodePod *pod, const NodeContainer *container)
{
  for (guint i = 0; i < pod->kills->len; i++)
    if (g_str_equal (((NodeKill *) pod->kills->pdata[i])->target->status->id, container->status->id))
      return TRUE;
  return FALSE;
}

static void
begin_kill (NodePod *pod, const NodeSnapshot *snapshot, NodeContainer *container, CubeView view, CubeContainerKind kind)
{
  NodeKill *kill = g_new0 (NodeKill, 1);
  const NodeSandbox *sandbox = node_snapshot_sandbox (snapshot);
  kill->pod = node_pod_ref (pod);
  kill->target = node_container_ref (container);
  kill->object = pod->object != NULL ? cube_object_ref (pod->object) : NULL;
  kill->value = pod->value != NULL ? cube_value_ref (pod->value) : NULL;
  kill->container = view;
  kill->kind = kind;
  kill->grace_seconds = pod->grace_seconds;
  kill->cancellable = g_cancellable_new ();
  kill->ips = sandbox != NULL && sandbox->status->ips != NULL ? g_strdupv (sandbox->status->ips) : NULL;
  g_ptr_array_add (pod->kills, kill);
  node_agent_run (pod->agent, kill_work, kill_done, kill);
}

/* Regular containers at once; then the sidecars, the last started first. TRUE: something is still to end. */
static gboolean
kill_running (NodePod *pod, const NodeSnapshot *snapshot)
{
  NodeContainer *last_sidecar = NULL;
  CubeView last_view = cube_view_none ();
  guint last_index = 0, n_regular = 0;
  gboolean has_sidecar = FALSE;
  for (guint i = 0; i < snapshot->containers->len; i++)
    {
      NodeContainer *container = snapshot->containers->pdata[i];
      CubeContainerKind kind;
      guint index;
      if (!may_run (container))
        continue;
      CubeView view = find_container (pod, container->name, &kind, &index);
      if (node_is_sidecar (view, kind))
        {
          if (!has_sidecar || index > last_index)
            {
              last_sidecar = container;
              last_view = view;
              last_index = index;
            }
          has_sidecar = TRUE;
          continue;
        }
      n_regular++;
      if (!is_being_killed (pod, container))
        begin_kill (pod, snapshot, container, view, kind);
    }
  if (n_regular == 0 && last_sidecar != NULL && !is_being_killed (pod, last_sidecar))
    begin_kill (pod, snapshot, last_sidecar, last_view, CUBE_CONTAINER_INIT);
  return n_regular > 0 || last_sidecar != NULL;
}

/* ---- clean-up ---- */

typedef struct {
  NodePod *pod;
  NodeSnapshot *snapshot;
  CubeObject *object;
  CubeValue *value;
  gboolean is_last;     /* remove everything, not just stop */
  gboolean must_delete; /* the API object too */
  gboolean ok;
} Cleanup;

static gboolean
stop_sandboxes (Cleanup *cleanup, const NodeRuntime *runtime, GError **error)
{
  NodeObserved *observed = cleanup->pod->agent->observed;
  for (guint i = 0; i < cleanup->snapshot->sandboxes->len; i++)
    {
      const NodeSandbox *sandbox = cleanup->snapshot->sandboxes->pdata[i];
      if (!sandbox->status->is_ready)
        continue;
      if (!runtime->ops->stop_sandbox (runtime->state, sandbox->status->id, error))
        return FALSE;
      node_sandbox_unref (node_observed_refresh_sandbox (observed, runtime, sandbox->status->id));
    }
  return TRUE;
}

static gboolean
remove_all (Cleanup *cleanup, const NodeRuntime *runtime, GError **error)
{
  NodeAgent *agent = cleanup->pod->agent;
  g_autofree char *pod_dir = node_files_pod_dir (agent, cleanup->pod->uid);
  g_autofree char *log_dir = g_strdup_printf ("%s/%s_%s_%s", agent->logs_dir, cleanup->pod->ns, cleanup->pod->name, cleanup->pod->uid);
  for (guint i = 0; i < cleanup->snapshot->containers->len; i++)
    {
      const NodeContainer *container = cleanup->snapshot->containers->pdata[i];
      if (!runtime->ops->remove_container (runtime->state, container->status->id, error))
        return FALSE;
      node_observed_forget (agent->observed, container->status->id);
    }
  for (guint i = 0; i < cleanup->snapshot->sandboxes->len; i++)
    {
      const NodeSandbox *sandbox = cleanup->snapshot->sandboxes->pdata[i];
      if (!runtime->ops->remove_sandbox (runtime->state, sandbox->status->id, error))
        return FALSE;
      node_observed_forget (agent->observed, sandbox->status->id);
    }
  return node_files_remove_tree (pod_dir, error) && node_files_remove_tree (log_dir, error);
}

static gboolean
delete_object (Cleanup *cleanup, GError **error)
{
  NodePod *pod = cleanup->pod;
  g_autoptr (GError) problem = NULL;
  if (cube_client_delete (pod->agent->client, node_agent_resource (pod->agent, "v1", "pods"), pod->ns, pod->name, pod->uid, 0,
                          CUBE_PROPAGATION_DEFAULT, &problem)
      || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND) || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static void
cleanup_work (gpointer data)
{
  Cleanup *cleanup = data;
  NodeAgent *agent = cleanup->pod->agent;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (GError) error = NULL;
  CubeView pod = cleanup->value != NULL ? cube_value_root (cleanup->value) : cube_view_none ();
  cleanup->ok = node_runtime_open (agent, &runtime, &error) && stop_sandboxes (cleanup, &runtime, &error)
                && node_volumes_tear_down (agent, cleanup->pod->uid, cleanup->object, pod, &error)
                && (!cleanup->must_delete || delete_object (cleanup, &error))
                && (!cleanup->is_last || remove_all (cleanup, &runtime, &error));
  if (!cleanup->ok)
    g_warning ("pod %s/%s: clean-up: %s", cleanup->pod->ns, cleanup->pod->name, error->message);
}

static void
cleanup_done (gpointer data)
{
  Cleanup *cleanup = data;
  NodePod *pod = cleanup->pod;
  NodeAgent *agent = pod->agent;
  gboolean ok = cleanup->ok, is_last = cleanup->is_last;
  pod->is_busy = FALSE;
  pod->is_cleaned = ok;
  pod->is_deleted_by_us = ok && cleanup->must_delete;
  node_snapshot_free (cleanup->snapshot);
  g_clear_pointer (&cleanup->object, cube_object_unref);
  cube_value_unref (cleanup->value);
  g_free (cleanup);
  if (ok && is_last)
    {
      pod->stage = NODE_POD_TERMINATED;
      node_prober_remove (agent->prober, pod->uid);
      node_pod_close (pod);
      if (g_hash_table_lookup (agent->pods, pod->uid) == pod)
        g_hash_table_remove (agent->pods, pod->uid);
    }
  else if (ok)
    {
      pod->stage = NODE_POD_TERMINATED;
      update_status (pod);
      dispatch (pod);
    }
  else
    wake_after (pod, 2 * G_USEC_PER_SEC);
  node_pod_unref (pod);
}

static gboolean
is_deleting (NodePod *pod)
{
  return pod->object != NULL && cube_object_deletion_timestamp (pod->object) != NULL;
}

static void
begin_cleanup (NodePod *pod, NodeSnapshot *snapshot /* (transfer full) */)
{
  Cleanup *cleanup = g_new0 (Cleanup, 1);
  cleanup->pod = node_pod_ref (pod);
  cleanup->snapshot = snapshot;
  cleanup->object = pod->object != NULL ? cube_object_ref (pod->object) : NULL;
  cleanup->value = pod->value != NULL ? cube_value_ref (pod->value) : NULL;
  cleanup->must_delete = is_deleting (pod) && !pod->is_gone;
  cleanup->is_last = cleanup->must_delete || pod->is_gone || pod->object == NULL;
  pod->is_busy = TRUE;
  node_agent_run (pod->agent, cleanup_work, cleanup_done, cleanup);
}

static void
step_termination (NodePod *pod)
{
  gint64 grace = wanted_grace (pod);
  if (pod->is_busy)
    return;
  if (pod->grace_seconds >= 0 && grace < pod->grace_seconds)
    for (guint i = 0; i < pod->kills->len; i++)
      g_cancellable_cancel (((NodeKill *) pod->kills->pdata[i])->cancellable); /* begun again with less */
  pod->grace_seconds = pod->grace_seconds < 0 ? grace : MIN (grace, pod->grace_seconds);
  g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (pod->agent->observed, pod->uid);
  if (kill_running (pod, snapshot) || pod->kills->len > 0)
    return;
  if (pod->is_cleaned && !is_deleting (pod) && !pod->is_gone && pod->object != NULL)
    {
      pod->stage = NODE_POD_TERMINATED;
      return;
    }
  if (pod->object != NULL && !pod->is_gone)
    {
      update_status (pod); /* how it ended is told before it goes */
      if (pod->is_status_busy)
        return;
    }
  begin_cleanup (pod, g_steal_pointer (&snapshot));
}

/* ---- syncing ---- */

static void
job_work (gpointer data)
{
  node_job_sync (data);
}

static void
job_free (NodeJob *job)
{
  node_pod_unref (job->pod);
  cube_object_unref (job->object);
  cube_value_unref (job->value);
  node_runtime_close (&job->runtime);
  node_snapshot_free (job->snapshot);
  g_object_unref (job->cancellable);
  g_hash_table_unref (job->started);
  g_hash_table_unref (job->failed);
  g_clear_pointer (&job->services, g_ptr_array_unref);
  g_clear_pointer (&job->volumes, g_hash_table_unref);
  g_free (job->sandbox_id);
  g_strfreev (job->ips);
  g_free (job);
}

static void
job_done (gpointer data)
{
  NodeJob *job = data;
  NodePod *pod = job->pod;
  gint64 again_us = job->again_us;
  pod->is_busy = FALSE;
  pod->cancellable = NULL;
  if (pod->agent->is_stopping)
    {
      job_free (job);
      return;
    }
  update_status (pod);
  const char *phase = node_status_phase (pod->status);
  if (pod->stage == NODE_POD_SYNCING && (g_str_equal (phase, "Succeeded") || g_str_equal (phase, "Failed")))
    begin_termination (pod);
  if (pod->stage == NODE_POD_SYNCING)
    {
      arm_deadline (pod);
      wake_after (pod, again_us > 0 ? again_us : RESYNC_US + (gint64) (cube_context_random (pod->agent->context) % (RESYNC_US / 2)));
    }
  if (pod->is_dirty || pod->stage != NODE_POD_SYNCING)
    dispatch (pod);
  job_free (job);
}

static void
note_probes (NodeJob *job)
{
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_ALL); cube_containers_next (&it, &container, NULL, NULL);)
    {
      const char *name = cube_view_get_string (container, "name");
      const NodeContainer *current = node_snapshot_find (job->snapshot, name, 0);
      if (current == NULL)
        continue;
      const char *failed = node_prober_failed (job->agent->prober, job->pod->uid, name, current->status->id);
      if (failed != NULL)
        g_hash_table_insert (job->failed, g_strdup (current->status->id), (gpointer) failed);
      if (node_prober_is_started (job->agent->prober, job->pod->uid, container, current))
        g_hash_table_add (job->started, g_strdup (name));
    }
}

static void
begin_sync (NodePod *pod)
{
  NodeJob *job = g_new0 (NodeJob, 1);
  job->pod = node_pod_ref (pod);
  job->agent = pod->agent;
  job->object = cube_object_ref (pod->object);
  job->value = cube_value_ref (pod->value);
  job->spec = cube_value_get (job->value, "spec");
  job->cancellable = g_cancellable_new ();
  job->started = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  job->failed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  job->is_network_ready = node_registration_is_network_ready (pod->agent->registration);
  node_job_reload (job);
  note_probes (job);
  pod->is_busy = TRUE;
  pod->is_dirty = FALSE;
  pod->cancellable = job->cancellable;
  node_agent_run (pod->agent, job_work, job_done, job);
}

static gboolean
admit (NodePod *pod)
{
  const char *reason = NULL, *phase = cube_view_string (cube_value_get (pod->value, "status", "phase"));
  g_autofree char *message = NULL, *told = NULL;
  g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (pod->agent->observed, pod->uid);
  pod->is_admitted = TRUE;
  if (g_strcmp0 (phase, "Failed") == 0 || g_strcmp0 (phase, "Succeeded") == 0)
    {
      begin_termination (pod);
      return FALSE;
    }
  if (snapshot->sandboxes->len > 0 || node_admit (pod->agent, pod, &reason, &message))
    return TRUE;
  node_pod_event (pod, NULL, "Warning", reason, "%s", message);
  told = g_strconcat ("Pod was rejected: ", message, NULL);
  end_for_good (pod, "Failed", reason, told);
  update_status (pod);
  return FALSE;
}

static void
dispatch (NodePod *pod)
{
  NodeAgent *agent = pod->agent;
  if (agent->is_stopping || !node_observed_has_synced (agent->observed))
    return;
  if (pod->stage == NODE_POD_SYNCING && pod->object == NULL)
    begin_termination (pod);
  if (pod->stage == NODE_POD_TERMINATED && !is_deleting (pod) && !pod->is_gone)
    return;
  if (pod->stage != NODE_POD_SYNCING)
    {
      pod->stage = NODE_POD_TERMINATING;
      step_termination (pod);
      return;
    }
  if (pod->is_busy)
    {
      pod->is_dirty = TRUE;
      return;
    }
  if (!pod->is_admitted && !admit (pod))
    {
      step_termination (pod);
      return;
    }
  begin_sync (pod);
}

/* ---- what comes from outside, on the loop ---- */

void
node_pod_set_object (NodePod *pod, CubeObject *object)
{
  gboolean is_first = pod->object == NULL;
  gboolean is_same_spec = !is_first && cube_object_generation (pod->object) == cube_object_generation (object)
                          && cube_object_deletion_timestamp (object) == NULL;
  CubeValue *value = cube_object_value (object);
  gboolean is_meta_same =
      is_same_spec && pod->value != NULL
      && cube_view_equal (cube_value_get (value, "metadata", "annotations"), cube_value_get (pod->value, "metadata", "annotations"))
      && cube_view_equal (cube_value_get (value, "metadata", "labels"), cube_value_get (pod->value, "metadata", "labels"))
      && cube_view_equal (cube_value_get (value, "metadata", "deletionGracePeriodSeconds"),
                          cube_value_get (pod->value, "metadata", "deletionGracePeriodSeconds"))
      && cube_view_equal (cube_value_get (value, "spec"), cube_value_get (pod->value, "spec"));
  g_mutex_lock (&pod->lock);
  CubeObject *before = pod->object;
  CubeValue *before_value = pod->value;
  pod->object = cube_object_ref (object);
  pod->value = value;
  g_mutex_unlock (&pod->lock);
  if (before != NULL)
    cube_object_unref (before);
  cube_value_unref (before_value);
  if (is_deleting (pod))
    begin_termination (pod);
  if (is_first)
    update_status (pod);
  if (!is_meta_same)
    dispatch (pod);
}

void
node_pod_set_gone (NodePod *pod)
{
  pod->is_gone = TRUE;
  begin_termination (pod);
  dispatch (pod);
}

void
node_pod_wake (NodePod *pod)
{
  update_status (pod);
  dispatch (pod);
}

void
node_pod_probes_changed (NodePod *pod)
{
  node_pod_wake (pod);
}

void
node_pod_close (NodePod *pod)
{
  g_clear_pointer (&pod->timer, cube_timer_cancel);
  g_clear_pointer (&pod->deadline, cube_timer_cancel);
  if (pod->cancellable != NULL)
    g_cancellable_cancel (pod->cancellable);
  for (guint i = 0; i < pod->kills->len; i++)
    g_cancellable_cancel (((NodeKill *) pod->kills->pdata[i])->cancellable);
}
