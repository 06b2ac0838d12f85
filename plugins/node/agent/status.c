/* SPDX-License-Identifier: Apache-2.0 */
/* A pod's status, from what was asked for, what was seen, and what went wrong. Source: kubelet's generateAPIPodStatus. */
#include "agent.h"
#include <string.h>

#define LOST_MESSAGE "The container could not be located when the pod was deleted.  The container used to be Running"
#define MESSAGE_TOTAL 12288

typedef struct {
  const NodeStatusInput *input;
  CubeView spec;
  CubeBuilder *builder;
  guint message_limit;
  /* what the phase is made of */
  guint n_running, n_waiting, n_stopped, n_stopped_for_good, n_succeeded, n_unknown;
  gboolean is_pending_init, has_failed_init, has_started;
} Build;

static void
set_time (CubeMut *object, const char *key, gint64 ns)
{
  char text[32];
  if (ns <= 0)
    {
      cube_mut_set_null (object, key);
      return;
    }
  cube_time_format (ns / 1000, text);
  cube_mut_set_string (object, key, text);
}

static char *
container_id (Build *build, const char *id)
{
  g_autofree char *runtime = node_agent_runtime_name (build->input->agent);
  return g_strdup_printf ("%s://%s", runtime, id);
}

static void
set_cut_message (Build *build, CubeMut *object, const char *message)
{
  if (message == NULL || *message == '\0')
    return;
  g_autofree char *cut = g_strndup (message, build->message_limit);
  g_autofree char *valid = g_utf8_make_valid (cut, -1);
  cube_mut_set_string (object, "message", valid);
}

static void
set_terminated (Build *build, CubeMut *state, const NodeContainer *container)
{
  const CubeContainer *status = container->status;
  CubeMut *terminated = cube_mut_set_object (state, "terminated");
  g_autofree char *id = container_id (build, status->id);
  const char *reason = status->reason != NULL && *status->reason != '\0' ? status->reason : status->exit_code == 0 ? "Completed" : "Error";
  cube_mut_set_int (terminated, "exitCode", status->exit_code);
  cube_mut_set_string (terminated, "reason", reason);
  set_cut_message (build, terminated, container->message);
  set_time (terminated, "startedAt", status->started_ns);
  set_time (terminated, "finishedAt", status->finished_ns);
  cube_mut_set_string (terminated, "containerID", id);
}

static void
set_lost (CubeMut *state, const char *message)
{
  CubeMut *terminated = cube_mut_set_object (state, "terminated");
  cube_mut_set_int (terminated, "exitCode", 137);
  cube_mut_set_string (terminated, "reason", "ContainerStatusUnknown");
  cube_mut_set_string (terminated, "message", message);
  cube_mut_set_null (terminated, "startedAt");
  cube_mut_set_null (terminated, "finishedAt");
}

static void
set_waiting (CubeMut *state, const char *reason, const char *message)
{
  CubeMut *waiting = cube_mut_set_object (state, "waiting");
  cube_mut_set_string (waiting, "reason", reason);
  cube_mut_set_string (waiting, "message", message);
}

static void
set_state (Build *build, CubeMut *state, const NodeContainer *container)
{
  switch (container->status->state)
    {
    case CUBE_CONTAINER_RUNNING: set_time (cube_mut_set_object (state, "running"), "startedAt", container->status->started_ns); break;
    case CUBE_CONTAINER_EXITED: set_terminated (build, state, container); break;
    case CUBE_CONTAINER_CREATED: cube_mut_set_object (state, "waiting"); break;
    default: set_lost (state, "The container could not be located when the pod was terminated");
    }
}

static CubeView
find_named (CubeView list, const char *name)
{
  CubeIter it;
  CubeView entry;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &entry);)
    if (g_strcmp0 (cube_view_get_string (entry, "name"), name) == 0)
      return entry;
  return cube_view_none ();
}

static const char *
list_name (CubeContainerKind kind)
{
  return kind == CUBE_CONTAINER_INIT        ? "initContainerStatuses"
         : kind == CUBE_CONTAINER_EPHEMERAL ? "ephemeralContainerStatuses"
                                            : "containerStatuses";
}

/* Nothing of that name runs or lies about: what it was before, or that it is to come. */
static void
set_absent (Build *build, CubeMut *entry, CubeMut *state, CubeMut *last, CubeView old, CubeContainerKind kind)
{
  gboolean has_init = cube_view_length (cube_view_member (build->spec, "initContainers")) > 0;
  CubeView terminated = cube_view_get (old, "state", "terminated");
  gint64 restarts = cube_view_get_int (old, 0, "restartCount");
  if (cube_view_exists (terminated))
    {
      cube_mut_set_view (state, "terminated", terminated);
      cube_mut_set_view (entry, "lastState", cube_view_member (old, "lastState"));
    }
  else if (cube_view_exists (cube_view_get (old, "state", "running")))
    {
      set_waiting (state, has_init ? "PodInitializing" : "ContainerCreating", NULL);
      set_lost (last, LOST_MESSAGE);
      restarts += !cube_view_exists (cube_view_get (build->input->pod, "metadata", "deletionTimestamp"));
    }
  else
    {
      set_waiting (state, has_init && kind != CUBE_CONTAINER_EPHEMERAL ? "PodInitializing" : "ContainerCreating", NULL);
      cube_mut_set_view (entry, "lastState", cube_view_member (old, "lastState"));
    }
  cube_mut_set_int (entry, "restartCount", restarts);
}

/* A container that could not be started waits, with why; how its forerunner ended moves to lastState. */
static void
apply_reason (Build *build, CubeView container, CubeContainerKind kind, const NodeContainer *current, CubeMut *entry)
{
  NodePod *worker = build->input->worker;
  const char *name = cube_view_get_string (container, "name");
  gboolean is_deleting = cube_view_exists (cube_view_get (build->input->pod, "metadata", "deletionTimestamp"));
  g_autofree char *reason = NULL;
  g_autofree char *message = NULL;
  if (worker == NULL || build->input->is_terminal || (current != NULL && current->status->state == CUBE_CONTAINER_RUNNING))
    return;
  g_mutex_lock (&worker->lock);
  NodeReason *noted = g_hash_table_lookup (worker->reasons, name);
  if (noted != NULL)
    {
      reason = g_strdup (noted->reason);
      message = g_strdup (noted->message);
    }
  g_mutex_unlock (&worker->lock);
  if (reason == NULL || !node_should_restart (build->input->pod, container, kind, current, is_deleting))
    return;
  CubeMut *state = cube_mut_member (entry, "state");
  CubeMut *terminated = cube_mut_member (state, "terminated");
  if (terminated != NULL)
    cube_mut_set (cube_mut_set_object (entry, "lastState"), "terminated", cube_mut_new_copy (build->builder, terminated));
  cube_mut_remove (state, "terminated");
  set_waiting (state, reason, message);
}

static void
set_mounts (CubeMut *entry, CubeView container)
{
  CubeView mounts = cube_view_member (container, "volumeMounts"), mount;
  CubeIter it;
  if (cube_view_length (mounts) == 0)
    return;
  CubeMut *list = cube_mut_set_array (entry, "volumeMounts");
  for (cube_iter_init (&it, mounts); cube_iter_next (&it, NULL, &mount);)
    {
      CubeMut *item = cube_mut_append_object (list);
      cube_mut_set_view (item, "name", cube_view_member (mount, "name"));
      cube_mut_set_view (item, "mountPath", cube_view_member (mount, "mountPath"));
      if (!cube_view_get_bool (mount, FALSE, "readOnly"))
        continue;
      cube_mut_set_bool (item, "readOnly", TRUE);
      cube_mut_set_string (item, "recursiveReadOnly", "Disabled");
    }
}

static void
set_readiness (Build *build, CubeMut *entry, CubeView container, CubeContainerKind kind, const NodeContainer *current)
{
  const NodeStatusInput *input = build->input;
  gboolean is_plain_init = kind == CUBE_CONTAINER_INIT && !node_is_sidecar (container, kind);
  gboolean is_running =
      current != NULL && current->status->state == CUBE_CONTAINER_RUNNING && cube_mut_get (entry, "state", "running") != NULL;
  const char *uid = input->worker != NULL ? input->worker->uid : "";
  gboolean is_started =
      is_running && kind != CUBE_CONTAINER_EPHEMERAL
      && (is_plain_init || input->worker == NULL || node_prober_is_started (input->agent->prober, uid, container, current));
  gboolean is_ready =
      is_started && !is_plain_init && (input->worker == NULL || node_prober_is_ready (input->agent->prober, uid, container, current));
  CubeMut *exit_code = cube_mut_get (entry, "state", "terminated", "exitCode");
  if (is_plain_init)
    {
      is_ready = exit_code != NULL && cube_mut_int (exit_code, 1) == 0;
      is_started = FALSE;
    }
  cube_mut_set_bool (entry, "ready", is_ready);
  cube_mut_set_bool (entry, "started", is_started);
}

static CubeMut *
build_entry (Build *build, CubeView container, CubeContainerKind kind)
{
  const char *name = cube_view_string_or (cube_view_member (container, "name"), "");
  CubeView old = find_named (cube_view_member (build->input->old, list_name (kind)), name);
  const NodeContainer *current = node_snapshot_find (build->input->snapshot, name, 0),
                      *before = node_snapshot_find (build->input->snapshot, name, 1);
  CubeMut *entry = cube_mut_new_object (build->builder);
  cube_mut_set_string (entry, "name", name);
  CubeMut *state = cube_mut_set_object (entry, "state"), *last = cube_mut_set_object (entry, "lastState");
  cube_mut_set_bool (entry, "ready", FALSE);
  cube_mut_set_int (entry, "restartCount", 0);
  cube_mut_set_view (entry, "image", cube_view_member (container, "image"));
  cube_mut_set_string (entry, "imageID", "");
  if (current == NULL)
    set_absent (build, entry, state, last, old, kind);
  else
    {
      g_autofree char *id = container_id (build, current->status->id);
      set_state (build, state, current);
      if (before != NULL && before->status->state == CUBE_CONTAINER_EXITED)
        set_terminated (build, last, before);
      else if (g_strcmp0 (cube_view_get_string (old, "containerID"), id) == 0)
        cube_mut_set_view (entry, "lastState", cube_view_member (old, "lastState"));
      else if (cube_view_exists (cube_view_get (old, "state", "terminated")))
        cube_mut_set_view (last, "terminated", cube_view_get (old, "state", "terminated"));
      cube_mut_set_int (entry, "restartCount", current->status->attempt);
      if (current->status->image != NULL)
        cube_mut_set_string (entry, "image", current->status->image);
      cube_mut_set_string (entry, "imageID", current->status->image_ref != NULL ? current->status->image_ref : "");
      cube_mut_set_string (entry, "containerID", id);
    }
  apply_reason (build, container, kind, current, entry);
  set_readiness (build, entry, container, kind, current);
  CubeView resources = cube_view_member (container, "resources");
  if (cube_view_exists (cube_view_member (resources, "requests")))
    cube_mut_set_view (entry, "allocatedResources", cube_view_member (resources, "requests"));
  if (current != NULL && current->status->state == CUBE_CONTAINER_RUNNING && cube_view_length (resources) > 0)
    cube_mut_set_view (entry, "resources", resources);
  set_mounts (entry, container);
  return entry;
}

/* ---- phase ---- */

static void
count_regular (Build *build, CubeView container, CubeMut *entry)
{
  CubeMut *terminated = cube_mut_get (entry, "state", "terminated"), *before = cube_mut_get (entry, "lastState", "terminated");
  const NodeContainer *current = node_snapshot_find (build->input->snapshot, cube_view_get_string (container, "name"), 0);
  if (cube_mut_get (entry, "state", "running") != NULL)
    {
      build->n_running++;
      build->has_started = TRUE;
    }
  else if (terminated != NULL)
    {
      gboolean is_success = cube_mut_int (cube_mut_member (terminated, "exitCode"), 1) == 0;
      build->n_stopped++;
      build->has_started = TRUE;
      build->n_succeeded += is_success;
      build->n_stopped_for_good +=
          current == NULL || !node_should_restart (build->input->pod, container, CUBE_CONTAINER_REGULAR, current, FALSE);
    }
  else if (before != NULL)
    {
      build->n_stopped++;
      build->has_started = TRUE;
    }
  else if (cube_mut_get (entry, "state", "waiting") != NULL)
    build->n_waiting++;
  else
    build->n_unknown++;
}

static void
count_init (Build *build, CubeView container, CubeMut *entry)
{
  CubeMut *terminated = cube_mut_get (entry, "state", "terminated"), *before = cube_mut_get (entry, "lastState", "terminated");
  const NodeContainer *current = node_snapshot_find (build->input->snapshot, cube_view_get_string (container, "name"), 0);
  gboolean is_running = cube_mut_get (entry, "state", "running") != NULL;
  if (node_is_sidecar (container, CUBE_CONTAINER_INIT))
    {
      if (is_running)
        build->n_running++;
      if (!cube_mut_bool (cube_mut_member (entry, "started"), FALSE) && terminated == NULL && before == NULL)
        build->is_pending_init = TRUE;
      return;
    }
  if (terminated != NULL && cube_mut_int (cube_mut_member (terminated, "exitCode"), 1) == 0)
    return;
  if (terminated != NULL && current != NULL && !node_should_restart (build->input->pod, container, CUBE_CONTAINER_INIT, current, FALSE))
    build->has_failed_init = TRUE;
  else if (is_running || before == NULL || terminated == NULL)
    build->is_pending_init = TRUE;
}

static const char *
find_phase (Build *build)
{
  const char *old = cube_view_get_string (build->input->old, "phase");
  if (g_strcmp0 (old, "Failed") == 0 || g_strcmp0 (old, "Succeeded") == 0)
    return g_str_equal (old, "Failed") ? "Failed" : "Succeeded";
  if (build->has_failed_init)
    return "Failed";
  if (build->input->is_terminal && build->n_running == 0 && build->n_stopped > 0)
    return build->n_succeeded == cube_view_length (cube_view_member (build->spec, "containers")) ? "Succeeded" : "Failed";
  if (build->is_pending_init && !build->has_started)
    return build->input->is_terminal ? "Failed" : "Pending";
  if (build->n_waiting > 0)
    return build->input->is_terminal ? "Failed" : "Pending";
  if (build->n_running > 0 && build->n_unknown == 0)
    return "Running";
  if (build->n_stopped > 0 && build->n_unknown == 0)
    {
      if (build->n_stopped != build->n_stopped_for_good)
        return "Running";
      return build->n_stopped == build->n_succeeded ? "Succeeded" : "Failed";
    }
  return "Pending";
}

/* ---- conditions ---- */

static const char *const our_conditions[] = { "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled" };

static void
add_condition (Build *build, CubeMut *conditions, const char *type, gboolean is_true, const char *reason, const char *message)
{
  char now[32];
  const char *status = is_true ? "True" : "False";
  CubeView before = cube_condition_find (build->input->old, type);
  const char *since =
      g_strcmp0 (cube_view_get_string (before, "status"), status) == 0 ? cube_view_get_string (before, "lastTransitionTime") : NULL;
  cube_time_format (cube_context_now_us (build->input->agent->context), now);
  CubeMut *entry = cube_mut_append_object (conditions);
  cube_mut_set_string (entry, "type", type);
  cube_mut_set_int (entry, "observedGeneration", cube_view_get_int (build->input->pod, 0, "metadata", "generation"));
  cube_mut_set_string (entry, "status", status);
  cube_mut_set_null (entry, "lastProbeTime");
  cube_mut_set_string (entry, "lastTransitionTime", since != NULL ? since : now);
  cube_mut_set_string (entry, "reason", reason);
  cube_mut_set_string (entry, "message", message);
}

static void
add_names (GString *message, const char *label, GString *names)
{
  if (names->len > 0)
    g_string_append_printf (message, "%s%s: [%s]", message->len > 0 ? ", " : "", label, names->str);
}

static void
add_name (GString *names, const char *name)
{
  g_string_append_printf (names, "%s%s", names->len > 0 ? " " : "", name);
}

static void
collect_unready (Build *build, CubeMut *list, CubeContainerKind kind, GString *unready)
{
  for (guint i = 0; i < cube_mut_length (list); i++)
    {
      CubeMut *entry = cube_mut_element (list, i);
      const char *name = cube_mut_string (cube_mut_member (entry, "name"));
      CubeView container = find_named (cube_view_member (build->spec, kind == CUBE_CONTAINER_INIT ? "initContainers" : "containers"), name);
      if ((kind != CUBE_CONTAINER_INIT || node_is_sidecar (container, kind)) && !cube_mut_bool (cube_mut_member (entry, "ready"), FALSE))
        add_name (unready, name);
    }
}

static void
add_initialized (Build *build, CubeMut *conditions, CubeMut *inits, const char *phase)
{
  g_autoptr (GString) incomplete = g_string_new (NULL);
  g_autoptr (GString) message = g_string_new (NULL);
  for (guint i = 0; i < cube_mut_length (inits) && !build->has_started; i++)
    {
      CubeMut *entry = cube_mut_element (inits, i);
      const char *name = cube_mut_string (cube_mut_member (entry, "name"));
      gboolean is_sidecar = node_is_sidecar (find_named (cube_view_member (build->spec, "initContainers"), name), CUBE_CONTAINER_INIT);
      if (!cube_mut_bool (cube_mut_member (entry, is_sidecar ? "started" : "ready"), FALSE))
        add_name (incomplete, name);
    }
  add_names (message, "containers with incomplete status", incomplete);
  if (g_str_equal (phase, "Succeeded"))
    add_condition (build, conditions, "Initialized", TRUE, "PodCompleted", NULL);
  else if (incomplete->len > 0)
    add_condition (build, conditions, "Initialized", FALSE, "ContainersNotInitialized", message->str);
  else
    add_condition (build, conditions, "Initialized", TRUE, NULL, NULL);
}

/* Why a readiness gate holds the pod back; empty = none does. */
static void
check_gates (Build *build, GString *message)
{
  CubeIter it;
  CubeView gate, pod_status = cube_view_member (build->input->pod, "status");
  for (cube_iter_init (&it, cube_view_member (build->spec, "readinessGates")); cube_iter_next (&it, NULL, &gate);)
    {
      const char *type = cube_view_string_or (cube_view_member (gate, "conditionType"), "");
      const char *status = cube_view_get_string (cube_condition_find (pod_status, type), "status");
      if (status == NULL)
        g_string_append_printf (message, "%scorresponding condition of pod readiness gate \"%s\" does not exist.",
                                message->len > 0 ? ", " : "", type);
      else if (!g_str_equal (status, "True"))
        g_string_append_printf (message, "%sthe status of pod readiness gate \"%s\" is not \"True\", but %s", message->len > 0 ? ", " : "",
                                type, status);
    }
}

static void
add_ready (Build *build, CubeMut *conditions, CubeMut *inits, CubeMut *regulars, const char *phase)
{
  g_autoptr (GString) unready = g_string_new (NULL);
  g_autoptr (GString) message = g_string_new (NULL);
  g_autoptr (GString) gates = g_string_new (NULL);
  const char *reason = NULL;
  collect_unready (build, inits, CUBE_CONTAINER_INIT, unready);
  collect_unready (build, regulars, CUBE_CONTAINER_REGULAR, unready);
  if (g_str_equal (phase, "Succeeded"))
    reason = "PodCompleted";
  else if (g_str_equal (phase, "Failed"))
    reason = "PodFailed";
  else if (unready->len > 0)
    {
      reason = "ContainersNotReady";
      add_names (message, "containers with unready status", unready);
    }
  const char *text = message->len > 0 ? message->str : NULL;
  check_gates (build, gates);
  if (reason != NULL || gates->len == 0)
    add_condition (build, conditions, "Ready", reason == NULL, reason, text);
  else
    add_condition (build, conditions, "Ready", FALSE, "ReadinessGatesNotReady", gates->str);
  add_condition (build, conditions, "ContainersReady", reason == NULL, reason, text);
}

static gboolean
has_sandbox (Build *build)
{
  const NodeSandbox *sandbox = node_snapshot_sandbox (build->input->snapshot);
  return sandbox != NULL && sandbox->status->is_ready && !build->input->is_terminal;
}

static void
add_conditions (Build *build, CubeMut *status, CubeMut *inits, CubeMut *regulars, const char *phase)
{
  CubeMut *conditions = cube_mut_set_array (status, "conditions");
  CubeIter it;
  CubeView condition;
  for (cube_iter_init (&it, cube_view_get (build->input->pod, "status", "conditions")); cube_iter_next (&it, NULL, &condition);)
    {
      const char *type = cube_view_get_string (condition, "type");
      gboolean is_ours = FALSE;
      for (guint i = 0; i < G_N_ELEMENTS (our_conditions); i++)
        is_ours |= g_strcmp0 (type, our_conditions[i]) == 0;
      if (!is_ours)
        cube_mut_append (conditions, cube_mut_new_view (build->builder, condition));
    }
  add_condition (build, conditions, "PodReadyToStartContainers", has_sandbox (build), NULL, NULL);
  add_initialized (build, conditions, inits, phase);
  add_ready (build, conditions, inits, regulars, phase);
  add_condition (build, conditions, "PodScheduled", TRUE, NULL, NULL);
}

/* ---- the whole ---- */

static void
insert_by_name (CubeMut *list, CubeMut *entry)
{
  const char *name = cube_mut_string (cube_mut_member (entry, "name"));
  guint at = 0;
  while (at < cube_mut_length (list) && strcmp (cube_mut_string (cube_mut_member (cube_mut_element (list, at), "name")), name) < 0)
    at++;
  cube_mut_insert (list, at, entry);
}

static void
set_addresses (Build *build, CubeMut *status)
{
  const NodeStatusInput *input = build->input;
  const char *host_ip = input->agent->machine->ip;
  const NodeSandbox *sandbox = node_snapshot_sandbox (input->snapshot);
  gboolean is_host = cube_view_get_bool (build->spec, FALSE, "hostNetwork");
  cube_mut_set_string (status, "hostIP", host_ip);
  cube_mut_set_string (cube_mut_append_object (cube_mut_set_array (status, "hostIPs")), "ip", host_ip);
  CubeMut *list = cube_mut_new_array (build->builder);
  for (guint i = 0; !is_host && sandbox != NULL && sandbox->status->ips != NULL && sandbox->status->ips[i] != NULL && i < 2; i++)
    cube_mut_set_string (cube_mut_append_object (list), "ip", sandbox->status->ips[i]);
  if (is_host)
    cube_mut_set_string (cube_mut_append_object (list), "ip", host_ip);
  if (cube_mut_length (list) == 0 && cube_view_exists (cube_view_member (input->old, "podIP")))
    {
      cube_mut_set_view (status, "podIP", cube_view_member (input->old, "podIP"));
      cube_mut_set_view (status, "podIPs", cube_view_member (input->old, "podIPs"));
    }
  else if (cube_mut_length (list) > 0)
    {
      cube_mut_set_string (status, "podIP", cube_mut_string (cube_mut_get (cube_mut_element (list, 0), "ip")));
      cube_mut_set (status, "podIPs", list);
    }
}

static void
set_head (Build *build, CubeMut *status, const char *phase)
{
  const NodeStatusInput *input = build->input;
  const NodePod *worker = input->worker;
  const char *started = cube_view_get_string (input->old, "startTime");
  char now[32];
  cube_time_format (cube_context_now_us (input->agent->context), now);
  cube_mut_set_int (status, "observedGeneration", cube_view_get_int (input->pod, 0, "metadata", "generation"));
  cube_mut_set_string (status, "phase", phase);
  if (worker != NULL && worker->final_reason != NULL)
    {
      cube_mut_set_string (status, "reason", worker->final_reason);
      cube_mut_set_string (status, "message", worker->final_message);
    }
  else if (g_strcmp0 (phase, cube_view_get_string (input->old, "phase")) == 0)
    {
      cube_mut_set_view (status, "reason", cube_view_member (input->old, "reason"));
      cube_mut_set_view (status, "message", cube_view_member (input->old, "message"));
    }
  cube_mut_set_string (status, "startTime", started != NULL ? started : now);
  cube_mut_set_string (status, "qosClass", cube_pod_qos_class (build->spec));
}

CubeValue *
node_status_build (const NodeStatusInput *input)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  Build build = { .input = input, .spec = cube_view_member (input->pod, "spec"), .builder = builder };
  CubeMut *status = cube_builder_root (builder);
  CubeMut *regulars = cube_mut_new_array (builder), *inits = cube_mut_new_array (builder), *ephemerals = cube_mut_new_array (builder);
  CubeContainerIter it;
  CubeView container;
  CubeContainerKind kind;
  guint n = 0;
  for (cube_containers_init (&it, build.spec, CUBE_CONTAINER_ALL); cube_containers_next (&it, &container, &kind, NULL);)
    n++;
  build.message_limit = MESSAGE_TOTAL / MAX (n, 1);
  for (cube_containers_init (&it, build.spec, CUBE_CONTAINER_ALL); cube_containers_next (&it, &container, &kind, NULL);)
    {
      CubeMut *entry = build_entry (&build, container, kind);
      if (kind == CUBE_CONTAINER_REGULAR)
        count_regular (&build, container, entry);
      else if (kind == CUBE_CONTAINER_INIT)
        count_init (&build, container, entry);
      if (kind == CUBE_CONTAINER_INIT)
        cube_mut_append (inits, entry);
      else
        insert_by_name (kind == CUBE_CONTAINER_REGULAR ? regulars : ephemerals, entry);
    }
  const char *phase = input->worker != NULL && input->worker->final_phase != NULL ? input->worker->final_phase : find_phase (&build);
  set_head (&build, status, phase);
  set_addresses (&build, status);
  add_conditions (&build, status, inits, regulars, phase);
  if (cube_mut_length (inits) > 0)
    cube_mut_set (status, "initContainerStatuses", inits);
  cube_mut_set (status, "containerStatuses", regulars);
  if (cube_mut_length (ephemerals) > 0)
    cube_mut_set (status, "ephemeralContainerStatuses", ephemerals);
  return cube_builder_end (builder);
}

const char *
node_status_phase (const CubeValue *status)
{
  return status != NULL ? cube_view_string_or (cube_value_get (status, "phase"), "Pending") : "Pending";
}
