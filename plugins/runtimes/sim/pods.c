/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a pod on a simulated node: Running and Ready after the start delay, gone after the stop delay. Annotations of the pod:
 *   sim.cube.dev/exit-after: "5s"   its containers end by themselves after that, sim.cube.dev/exit-code: "0" with that code
 *   sim.cube.dev/not-ready: "true"  runs, but is not ready while the annotation is there
 *   sim.cube.dev/image-error: "true" waits with ErrImagePull */
#include "sim.h"
#include <string.h>

typedef struct {
  Sim *sim;
  char *uid, *ns, *name, *node;
  char *address;
  CubeObject *object; /* as last seen */
  CubeTimer *timer;
  gboolean is_started, is_ended;
  int exit_code;
  gint64 started_us;
} SimPod;

static void
pod_free (gpointer data)
{
  SimPod *pod = data;
  cube_timer_cancel (pod->timer);
  g_free (pod->uid);
  g_free (pod->ns);
  g_free (pod->name);
  g_free (pod->node);
  g_free (pod->address);
  cube_object_unref (pod->object);
  g_free (pod);
}

static const char *
annotation (CubeView pod, const char *key)
{
  return cube_view_get_string (pod, "metadata", "annotations", key);
}

/* ---- status ---- */

static void
add_condition (CubeMut *conditions, const char *type, gboolean is_true, const char *reason, const char *message, const char *now)
{
  CubeMut *condition = cube_mut_append_object (conditions);
  cube_mut_set_string (condition, "type", type);
  cube_mut_set_string (condition, "status", is_true ? "True" : "False");
  cube_mut_set_string (condition, "lastTransitionTime", now);
  cube_mut_set_string (condition, "reason", reason);
  cube_mut_set_string (condition, "message", message);
}

static void
fill_state (const SimPod *pod, CubeMut *status, gboolean has_image, const char *started, const char *now)
{
  CubeMut *state = cube_mut_set_object (status, "state");
  if (!has_image)
    {
      CubeMut *waiting = cube_mut_set_object (state, "waiting");
      cube_mut_set_string (waiting, "reason", "ErrImagePull");
      cube_mut_set_string (waiting, "message", "simulated: the image cannot be pulled");
      return;
    }
  if (!pod->is_ended)
    {
      cube_mut_set_string (cube_mut_set_object (state, "running"), "startedAt", started);
      return;
    }
  CubeMut *ended = cube_mut_set_object (state, "terminated");
  cube_mut_set_int (ended, "exitCode", pod->exit_code);
  cube_mut_set_string (ended, "reason", pod->exit_code == 0 ? "Completed" : "Error");
  cube_mut_set_string (ended, "startedAt", started);
  cube_mut_set_string (ended, "finishedAt", now);
}

static void
add_containers (const SimPod *pod, CubeMut *out, CubeView containers, gboolean has_image, gboolean is_ready, const char *started,
                const char *now)
{
  CubeIter it;
  CubeView container;
  for (cube_iter_init (&it, containers); cube_iter_next (&it, NULL, &container);)
    {
      const char *name = cube_view_get_string (container, "name"), *image = cube_view_get_string (container, "image");
      g_autofree char *id = g_strdup_printf ("sim://%s/%s", pod->uid, name);
      CubeMut *status = cube_mut_append_object (out);
      cube_mut_set_string (status, "name", name);
      cube_mut_set_string (status, "image", image);
      cube_mut_set_string (status, "imageID", has_image ? image : "");
      cube_mut_set_string (status, "containerID", has_image ? id : NULL);
      cube_mut_set_bool (status, "ready", is_ready && has_image && !pod->is_ended);
      cube_mut_set_bool (status, "started", has_image && !pod->is_ended);
      cube_mut_set_int (status, "restartCount", 0);
      fill_state (pod, status, has_image, started, now);
    }
}

static CubeValue *
compose_status (const SimPod *pod, CubeView view)
{
  char now[32], started[32];
  gboolean has_image = g_strcmp0 (annotation (view, "sim.cube.dev/image-error"), "true") != 0;
  gboolean is_ready = has_image && !pod->is_ended && g_strcmp0 (annotation (view, "sim.cube.dev/not-ready"), "true") != 0;
  const char *why = pod->is_ended ? "PodCompleted" : is_ready ? NULL : "ContainersNotReady";
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *status = cube_mut_set_object (cube_builder_root (builder), "status");
  cube_time_format (cube_context_now_us (pod->sim->context), now);
  cube_time_format (pod->started_us, started);
  cube_mut_set_string (status, "phase", !has_image ? "Pending" : !pod->is_ended ? "Running" : pod->exit_code == 0 ? "Succeeded" : "Failed");
  CubeMut *conditions = cube_mut_set_array (status, "conditions");
  add_condition (conditions, "PodReadyToStartContainers", TRUE, NULL, NULL, started);
  add_condition (conditions, "Initialized", TRUE, NULL, NULL, started);
  add_condition (conditions, "Ready", is_ready, why, NULL, now);
  add_condition (conditions, "ContainersReady", is_ready, why, NULL, now);
  CubeView scheduled = cube_view_none ();
  CubeIter it;
  for (cube_iter_init (&it, cube_view_get (view, "status", "conditions")); cube_iter_next (&it, NULL, &scheduled);)
    if (g_strcmp0 (cube_view_get_string (scheduled, "type"), "PodScheduled") == 0)
      cube_mut_append (conditions, cube_mut_new_view (builder, scheduled));
  cube_mut_set_string (status, "podIP", pod->address);
  cube_mut_set_string (cube_mut_append_object (cube_mut_set_array (status, "podIPs")), "ip", pod->address);
  cube_mut_set_string (status, "startTime", started);
  add_containers (pod, cube_mut_set_array (status, "containerStatuses"), cube_view_get (view, "spec", "containers"), has_image, is_ready,
                  started, now);
  return cube_builder_end (builder);
}

static void
write_status (SimPod *pod)
{
  g_autoptr (CubeValue) value = cube_object_value (pod->object);
  CubeRequest request = { .verb = CUBE_VERB_PATCH,
                          .resource = pod->sim->pods,
                          .subresource = "status",
                          .ns = pod->ns,
                          .name = pod->name,
                          .patch_type = CUBE_PATCH_MERGE,
                          .precondition_uid = pod->uid,
                          .grace_seconds = -1 };
  sim_write (pod->sim, &request, compose_status (pod, cube_value_root (value)), NULL, NULL);
}

/* ---- its steps ---- */

static void
ended (gpointer data)
{
  SimPod *pod = data;
  cube_timer_cancel (g_steal_pointer (&pod->timer));
  pod->is_ended = TRUE;
  if (!sim_node_is_down (pod->sim, pod->node))
    write_status (pod);
}

static void
started (gpointer data)
{
  SimPod *pod = data;
  gint64 after_ns;
  cube_timer_cancel (g_steal_pointer (&pod->timer));
  pod->is_started = TRUE;
  pod->started_us = cube_context_now_us (pod->sim->context);
  if (sim_node_is_down (pod->sim, pod->node))
    return;
  write_status (pod);
  g_autoptr (CubeValue) value = cube_object_value (pod->object);
  const char *after = annotation (cube_value_root (value), "sim.cube.dev/exit-after");
  const char *code = annotation (cube_value_root (value), "sim.cube.dev/exit-code");
  if (after == NULL || !cube_duration_parse (after, &after_ns))
    return;
  pod->exit_code = code != NULL ? (int) CLAMP (g_ascii_strtoll (code, NULL, 10), 0, 255) : 0;
  pod->timer = cube_loop_after (pod->sim->loop, after_ns / 1000, ended, pod, NULL);
}

static void
stopped (gpointer data)
{
  SimPod *pod = data;
  cube_timer_cancel (g_steal_pointer (&pod->timer));
  if (sim_node_is_down (pod->sim, pod->node))
    return;
  CubeRequest request = {
    .verb = CUBE_VERB_DELETE, .resource = pod->sim->pods, .ns = pod->ns, .name = pod->name, .precondition_uid = pod->uid, .grace_seconds = 0
  };
  sim_write (pod->sim, &request, NULL, NULL, NULL);
}

static void
advance (SimPod *pod)
{
  Sim *sim = pod->sim;
  if (sim_node_is_down (sim, pod->node))
    return;
  if (cube_object_deletion_timestamp (pod->object) != NULL)
    {
      cube_timer_cancel (pod->timer);
      pod->timer = NULL;
      if (sim->stop_delay_us > 0)
        pod->timer = cube_loop_after (sim->loop, sim->stop_delay_us, stopped, pod, NULL);
      else
        stopped (pod);
    }
  else if (!pod->is_started && pod->timer == NULL)
    {
      if (sim->start_delay_us > 0)
        pod->timer = cube_loop_after (sim->loop, sim->start_delay_us, started, pod, NULL);
      else
        started (pod);
    }
}

static SimPod *
new_pod (Sim *sim, CubeObject *object, const char *node)
{
  SimPod *pod = g_new0 (SimPod, 1);
  guint32 address = sim->next_address++;
  pod->sim = sim;
  pod->uid = g_strdup (cube_object_uid (object));
  pod->ns = g_strdup (cube_object_namespace (object));
  pod->name = g_strdup (cube_object_name (object));
  pod->node = g_strdup (node);
  pod->address = g_strdup_printf ("10.%u.%u.%u", 128 + ((address >> 16) & 63), (address >> 8) & 255, address & 255);
  pod->object = cube_object_ref (object);
  g_hash_table_insert (sim->lives, pod->uid, pod);
  return pod;
}

/* After a restart of ours: a pod that runs already keeps its address and goes on. */
static gboolean
take_over (SimPod *pod, CubeView view)
{
  const char *phase = cube_view_get_string (view, "status", "phase");
  const char *address = cube_view_get_string (view, "status", "podIP");
  const char *since = cube_view_get_string (view, "status", "startTime");
  if (g_strcmp0 (phase, "Running") != 0 && g_strcmp0 (phase, "Succeeded") != 0 && g_strcmp0 (phase, "Failed") != 0)
    return FALSE;
  pod->is_started = TRUE;
  pod->is_ended = g_strcmp0 (phase, "Running") != 0;
  if (address != NULL)
    {
      g_free (pod->address);
      pod->address = g_strdup (address);
    }
  if (since != NULL)
    cube_time_parse (since, &pod->started_us);
  return TRUE;
}

static gboolean
same_readiness (CubeView a, CubeView b)
{
  return g_strcmp0 (annotation (a, "sim.cube.dev/not-ready"), annotation (b, "sim.cube.dev/not-ready")) == 0
         && g_strcmp0 (annotation (a, "sim.cube.dev/image-error"), annotation (b, "sim.cube.dev/image-error")) == 0;
}

static void
update (SimPod *pod, CubeObject *object)
{
  g_autoptr (CubeValue) before = cube_object_value (pod->object);
  g_autoptr (CubeValue) now = cube_object_value (object);
  gboolean was_going = cube_object_deletion_timestamp (pod->object) != NULL;
  cube_object_unref (pod->object);
  pod->object = cube_object_ref (object);
  if (pod->is_started && !pod->is_ended && !same_readiness (cube_value_root (before), cube_value_root (now))
      && !sim_node_is_down (pod->sim, pod->node))
    write_status (pod);
  if (!was_going)
    advance (pod);
}

static void
pod_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Sim *sim = data;
  SimPod *pod = g_hash_table_lookup (sim->lives, cube_object_uid (object));
  if (type == CUBE_EVENT_DELETED)
    {
      g_hash_table_remove (sim->lives, cube_object_uid (object));
      return;
    }
  if (pod != NULL)
    {
      update (pod, object);
      return;
    }
  g_autoptr (CubeValue) value = cube_object_value (object);
  const char *node = cube_view_string (cube_value_get (value, "spec", "nodeName"));
  if (sim_node_index (sim, node) < 0)
    return;
  pod = new_pod (sim, object, node);
  if (!take_over (pod, cube_value_root (value)) || cube_object_deletion_timestamp (object) != NULL)
    advance (pod);
}

void
sim_pods_resume (Sim *sim, const char *node_name)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, sim->lives);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    if (g_str_equal (((SimPod *) value)->node, node_name))
      advance (value);
}

void
sim_pods_start (Sim *sim)
{
  sim->lives = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, pod_free);
  sim->pod_informer = cube_informer_new (sim->client, sim->pods, NULL, NULL, NULL, sim->loop, pod_changed, sim);
}

void
sim_pods_stop (Sim *sim)
{
  g_clear_pointer (&sim->pod_informer, cube_informer_free);
  g_clear_pointer (&sim->lives, g_hash_table_unref);
}
