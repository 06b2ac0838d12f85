/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over one pod, on a blocking worker: what should be, what is, and the steps between. Source: kubelet's order of SyncPod. */
#include "agent.h"
#include <glib/gstdio.h>
#include <string.h>

#define RETRY_US (10 * G_USEC_PER_SEC)

gboolean
node_is_sidecar (CubeView container, CubeContainerKind kind)
{
  return kind == CUBE_CONTAINER_INIT && g_strcmp0 (cube_view_get_string (container, "restartPolicy"), "Always") == 0;
}

static const char *
restart_policy (CubeView pod)
{
  return cube_view_string_or (cube_view_get (pod, "spec", "restartPolicy"), "Always");
}

/* Does a rule of the container say so of this exit code? */
static gboolean
rules_restart (CubeView container, gint32 exit_code)
{
  CubeIter it, values;
  CubeView rule, value;
  for (cube_iter_init (&it, cube_view_member (container, "restartPolicyRules")); cube_iter_next (&it, NULL, &rule);)
    {
      gboolean is_in = FALSE;
      for (cube_iter_init (&values, cube_view_get (rule, "exitCodes", "values")); cube_iter_next (&values, NULL, &value);)
        is_in |= cube_view_int (value, -1) == exit_code;
      if (is_in == (g_strcmp0 (cube_view_get_string (rule, "exitCodes", "operator"), "In") == 0))
        return TRUE;
    }
  return FALSE;
}

gboolean
node_should_restart (CubeView pod, CubeView container, CubeContainerKind kind, const NodeContainer *last, gboolean is_deleting)
{
  if (is_deleting)
    return FALSE;
  if (last == NULL)
    return TRUE;
  if (last->status->state == CUBE_CONTAINER_RUNNING)
    return FALSE;
  if (last->status->state != CUBE_CONTAINER_EXITED || node_is_sidecar (container, kind))
    return TRUE;
  const char *own = cube_view_get_string (container, "restartPolicy");
  const char *policy = own != NULL ? own : restart_policy (pod);
  if (rules_restart (container, last->status->exit_code))
    return TRUE;
  if (g_str_equal (policy, "Never"))
    return FALSE;
  if (kind == CUBE_CONTAINER_INIT || g_str_equal (policy, "OnFailure"))
    return last->status->exit_code != 0;
  return TRUE;
}

void
node_job_reload (NodeJob *job)
{
  g_clear_pointer (&job->snapshot, node_snapshot_free);
  job->snapshot = node_observed_snapshot (job->agent->observed, job->pod->uid);
}

static gboolean
is_cancelled (NodeJob *job)
{
  return g_cancellable_is_cancelled (job->cancellable);
}

static void
again_after (NodeJob *job, gint64 delay_us)
{
  job->again_us = job->again_us == 0 ? delay_us : MIN (job->again_us, delay_us);
}

static void
again_after_failure (NodeJob *job)
{
  again_after (job, RETRY_US + (gint64) (cube_context_random (job->agent->context) % (RETRY_US / 2)));
}

/* ---- killing one ---- */

static gboolean
kill_container (NodeJob *job, CubeView container, CubeContainerKind kind, NodeContainer *target, const char *message, const char *probe)
{
  g_autoptr (GError) error = NULL;
  gint64 grace = cube_view_get_int (job->spec, 30, "terminationGracePeriodSeconds");
  if (probe != NULL)
    grace = cube_view_get_int (container, grace, g_str_equal (probe, "liveness") ? "livenessProbe" : "startupProbe",
                               "terminationGracePeriodSeconds");
  NodeKillRequest kill = { .agent = job->agent,
                           .object = job->object,
                           .pod = cube_value_root (job->value),
                           .container = container,
                           .kind = kind,
                           .target = target,
                           .ips = job->ips,
                           .grace_seconds = grace,
                           .message = message,
                           .cancellable = job->cancellable };
  if (node_container_kill (&kill, &job->runtime, &error))
    return TRUE;
  if (!is_cancelled (job))
    node_pod_event (job->pod, NULL, "Warning", "FailedKillPod", "error killing pod: %s", error->message);
  again_after_failure (job);
  return FALSE;
}

/* Kills a running container that must not go on as it is. TRUE: it may be started again in this pass. */
static gboolean
kill_if_unfit (NodeJob *job, CubeView container, CubeContainerKind kind, NodeContainer *running)
{
  const char *name = running->name, *probe = g_hash_table_lookup (job->failed, running->status->id);
  const char *hash = g_hash_table_lookup (running->status->annotations, NODE_ANNOTATION_HASH);
  g_autofree char *wanted = node_config_hash (container);
  g_autofree char *message = NULL;
  const char *word = kind == CUBE_CONTAINER_INIT ? "Init container" : "Container";
  gboolean is_changed = kind != CUBE_CONTAINER_EPHEMERAL && hash != NULL && !g_str_equal (hash, wanted);
  gboolean will_restart =
      is_changed || node_is_sidecar (container, kind) || !g_str_equal (restart_policy (cube_value_root (job->value)), "Never");
  const char *suffix = will_restart && kind == CUBE_CONTAINER_REGULAR ? ", will be restarted" : "";
  if (is_changed)
    message = g_strdup_printf ("%s %s definition changed%s", word, name, suffix);
  else if (probe != NULL)
    message = g_strdup_printf ("%s %s failed %s probe%s", word, name, probe, suffix);
  else
    return FALSE;
  return kill_container (job, container, kind, running, message, is_changed ? NULL : probe) && will_restart;
}

/* ---- sandbox ---- */

static void
set_sandbox (NodeJob *job, const NodeSandbox *sandbox)
{
  g_free (job->sandbox_id);
  g_strfreev (job->ips);
  job->sandbox_id = g_strdup (sandbox->status->id);
  if (cube_view_get_bool (job->spec, FALSE, "hostNetwork"))
    {
      job->ips = g_new0 (char *, 2);
      job->ips[0] = g_strdup (job->agent->machine->ip);
    }
  else
    job->ips = g_strdupv (sandbox->status->ips);
}

static gboolean
is_usable (NodeJob *job, const NodeSandbox *sandbox)
{
  gboolean wants_host = cube_view_get_bool (job->spec, FALSE, "hostNetwork");
  return sandbox->status->is_ready && (sandbox->status->network == CUBE_NAMESPACE_NODE) == wants_host
         && (wants_host || (sandbox->status->ips != NULL && sandbox->status->ips[0] != NULL));
}

/* Is there anything a new sandbox would be for? */
static gboolean
has_work (NodeJob *job)
{
  CubeContainerIter it;
  CubeView container, pod = cube_value_root (job->value);
  CubeContainerKind kind;
  NodeSandbox *sandbox = node_snapshot_sandbox (job->snapshot);
  if (sandbox == NULL)
    return TRUE;
  if (g_str_equal (restart_policy (pod), "Never") && job->snapshot->containers->len > 0)
    return FALSE;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_REGULAR); cube_containers_next (&it, &container, &kind, NULL);)
    {
      const NodeContainer *last = node_snapshot_find (job->snapshot, cube_view_get_string (container, "name"), 0);
      if (last == NULL || last->status->state != CUBE_CONTAINER_EXITED || node_should_restart (pod, container, kind, last, FALSE))
        return TRUE;
    }
  return FALSE;
}

static gboolean
stop_old_sandbox (NodeJob *job, const NodeSandbox *sandbox)
{
  g_autoptr (GError) error = NULL;
  for (guint i = 0; i < job->snapshot->containers->len; i++)
    {
      NodeContainer *container = job->snapshot->containers->pdata[i];
      if (container->status->state == CUBE_CONTAINER_RUNNING
          && !kill_container (job, cube_view_none (), CUBE_CONTAINER_REGULAR, container, NULL, NULL))
        return FALSE;
    }
  if (job->runtime.ops->stop_sandbox (job->runtime.state, sandbox->status->id, &error))
    {
      node_sandbox_unref (node_observed_refresh_sandbox (job->agent->observed, &job->runtime, sandbox->status->id));
      return TRUE;
    }
  node_pod_event (job->pod, NULL, "Warning", "FailedKillPod", "error killing pod: %s", error->message);
  again_after_failure (job);
  return FALSE;
}

static gboolean
create_sandbox (NodeJob *job, guint attempt)
{
  g_autoptr (NodeScratch) scratch = node_scratch_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *id = NULL;
  CubeSandboxConfig *config = node_config_sandbox (job, attempt, scratch, &error);
  if (config != NULL)
    g_mkdir_with_parents (config->log_directory, 0755);
  if (config == NULL || !job->runtime.ops->run_sandbox (job->runtime.state, config, &id, job->cancellable, &error))
    {
      if (!is_cancelled (job))
        node_pod_event (job->pod, NULL, "Warning", "FailedCreatePodSandBox", "Failed to create pod sandbox: %s", error->message);
      again_after_failure (job);
      return FALSE;
    }
  NodeSandbox *sandbox = node_observed_refresh_sandbox (job->agent->observed, &job->runtime, id);
  if (sandbox == NULL)
    {
      node_pod_event (job->pod, NULL, "Warning", "FailedPodSandBoxStatus", "Unable to get pod sandbox status: sandbox %s is gone", id);
      again_after_failure (job);
      return FALSE;
    }
  set_sandbox (job, sandbox);
  node_sandbox_unref (sandbox);
  return TRUE;
}

/* Dead sandboxes but the newest, with what was in them, are of no use any more. */
static void
remove_old_sandboxes (NodeJob *job)
{
  for (guint i = 1; i < job->snapshot->sandboxes->len; i++)
    {
      const NodeSandbox *sandbox = job->snapshot->sandboxes->pdata[i];
      gboolean is_needed = FALSE;
      if (sandbox->status->is_ready)
        job->runtime.ops->stop_sandbox (job->runtime.state, sandbox->status->id, NULL);
      for (guint c = 0; c < job->snapshot->containers->len; c++)
        is_needed |= g_strcmp0 (((NodeContainer *) job->snapshot->containers->pdata[c])->sandbox_id, sandbox->status->id) == 0;
      if (!is_needed && job->runtime.ops->remove_sandbox (job->runtime.state, sandbox->status->id, NULL))
        node_observed_forget (job->agent->observed, sandbox->status->id);
    }
}

static gboolean
ensure_sandbox (NodeJob *job)
{
  const NodeSandbox *sandbox = node_snapshot_sandbox (job->snapshot);
  if (sandbox != NULL && is_usable (job, sandbox))
    {
      set_sandbox (job, sandbox);
      return TRUE;
    }
  if (!has_work (job))
    return FALSE;
  guint attempt = 0;
  if (sandbox != NULL)
    {
      attempt = sandbox->status->attempt + 1;
      node_pod_event (job->pod, NULL, "Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.");
      if (!stop_old_sandbox (job, sandbox))
        return FALSE;
    }
  if (!create_sandbox (job, attempt))
    return FALSE;
  node_job_reload (job);
  return TRUE;
}

/* ---- containers ---- */

static gboolean
is_in_sandbox (NodeJob *job, const NodeContainer *container)
{
  return container != NULL && (container->sandbox_id == NULL || g_strcmp0 (container->sandbox_id, job->sandbox_id) == 0);
}

static gboolean
start (NodeJob *job, CubeView container, CubeContainerKind kind)
{
  gboolean ok = !is_cancelled (job) && node_container_start (job, container, kind);
  node_job_reload (job);
  return ok;
}

/* A regular container was made in this sandbox: the init containers are done with. */
static gboolean
is_initialized (NodeJob *job)
{
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_REGULAR); cube_containers_next (&it, &container, NULL, NULL);)
    if (is_in_sandbox (job, node_snapshot_find (job->snapshot, cube_view_get_string (container, "name"), 0)))
      return TRUE;
  return FALSE;
}

static gboolean
sync_sidecar (NodeJob *job, CubeView container, NodeContainer *last)
{
  const char *name = cube_view_get_string (container, "name");
  if (is_in_sandbox (job, last) && last->status->state == CUBE_CONTAINER_RUNNING
      && !kill_if_unfit (job, container, CUBE_CONTAINER_INIT, last))
    return !cube_view_exists (cube_view_member (container, "startupProbe")) || g_hash_table_contains (job->started, name);
  node_job_reload (job);
  return start (job, container, CUBE_CONTAINER_INIT) && !cube_view_exists (cube_view_member (container, "startupProbe"));
}

/* TRUE: done, the next may begin. */
static gboolean
sync_init (NodeJob *job, CubeView container, NodeContainer *last)
{
  if (!is_in_sandbox (job, last))
    {
      start (job, container, CUBE_CONTAINER_INIT);
      return FALSE;
    }
  if (last->status->state == CUBE_CONTAINER_RUNNING)
    return FALSE;
  if (last->status->state == CUBE_CONTAINER_EXITED && last->status->exit_code == 0)
    return TRUE;
  if (last->status->state == CUBE_CONTAINER_EXITED
      && !node_should_restart (cube_value_root (job->value), container, CUBE_CONTAINER_INIT, last, FALSE))
    {
      job->is_hopeless = TRUE;
      return FALSE;
    }
  start (job, container, CUBE_CONTAINER_INIT);
  return FALSE;
}

static gboolean
sync_init_containers (NodeJob *job)
{
  gboolean initialized = is_initialized (job);
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_INIT); cube_containers_next (&it, &container, NULL, NULL);)
    {
      gboolean is_sidecar = node_is_sidecar (container, CUBE_CONTAINER_INIT);
      NodeContainer *last = node_snapshot_find (job->snapshot, cube_view_get_string (container, "name"), 0);
      if (initialized && !is_sidecar)
        continue;
      gboolean is_done = is_sidecar ? sync_sidecar (job, container, last) : sync_init (job, container, last);
      if (!is_done && !initialized)
        return FALSE;
    }
  return TRUE;
}

static gboolean
regulars_remain (NodeJob *job)
{
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_REGULAR); cube_containers_next (&it, &container, NULL, NULL);)
    {
      const NodeContainer *last = node_snapshot_find (job->snapshot, cube_view_get_string (container, "name"), 0);
      if (last == NULL || last->status->state != CUBE_CONTAINER_EXITED
          || node_should_restart (cube_value_root (job->value), container, CUBE_CONTAINER_REGULAR, last, FALSE))
        return TRUE;
    }
  return FALSE;
}

static void
sync_regular (NodeJob *job, CubeView container)
{
  NodeContainer *last = node_snapshot_find (job->snapshot, cube_view_get_string (container, "name"), 0);
  if (last != NULL && last->status->state == CUBE_CONTAINER_RUNNING)
    {
      if (!kill_if_unfit (job, container, CUBE_CONTAINER_REGULAR, last))
        return;
      node_job_reload (job);
    }
  else if (!node_should_restart (cube_value_root (job->value), container, CUBE_CONTAINER_REGULAR, last, FALSE))
    return;
  start (job, container, CUBE_CONTAINER_REGULAR);
}

static void
sync_containers (NodeJob *job)
{
  CubeContainerIter it;
  CubeView container;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_EPHEMERAL); cube_containers_next (&it, &container, NULL, NULL);)
    if (node_snapshot_find (job->snapshot, cube_view_get_string (container, "name"), 0) == NULL)
      start (job, container, CUBE_CONTAINER_EPHEMERAL);
  if (!regulars_remain (job) || !sync_init_containers (job))
    return;
  for (cube_containers_init (&it, job->spec, CUBE_CONTAINER_REGULAR);
       cube_containers_next (&it, &container, NULL, NULL) && !is_cancelled (job);)
    sync_regular (job, container);
}

/* ---- the pass ---- */

static gboolean
make_directories (NodeJob *job)
{
  g_autofree char *pod_dir = node_files_pod_dir (job->agent, job->pod->uid);
  if (g_mkdir_with_parents (pod_dir, 0750) == 0)
    return TRUE;
  node_pod_event (job->pod, NULL, "Warning", "Failed", "error making pod data directories: mkdir %s", pod_dir);
  again_after_failure (job);
  return FALSE;
}

void
node_job_sync (NodeJob *job)
{
  g_autoptr (GError) error = NULL;
  if (!node_runtime_open (job->agent, &job->runtime, &error))
    {
      again_after (job, G_USEC_PER_SEC);
      return;
    }
  if (!job->is_network_ready && !cube_view_get_bool (job->spec, FALSE, "hostNetwork") && node_snapshot_sandbox (job->snapshot) == NULL)
    {
      node_pod_event (job->pod, NULL, "Warning", "NetworkNotReady",
                      "network is not ready: container runtime network not ready: NetworkReady=false");
      again_after (job, G_USEC_PER_SEC);
      return;
    }
  if (!make_directories (job))
    return;
  if (!node_volumes_set_up (job, &error))
    {
      again_after (job, 2 * G_USEC_PER_SEC + (gint64) (cube_context_random (job->agent->context) % G_USEC_PER_SEC));
      return;
    }
  if (is_cancelled (job) || !ensure_sandbox (job))
    return;
  sync_containers (job);
  node_job_reload (job);
  if (!is_cancelled (job))
    {
      node_container_prune (job);
      remove_old_sandboxes (job);
    }
}
