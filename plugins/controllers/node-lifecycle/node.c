/* SPDX-License-Identifier: Apache-2.0 */
/* The health of nodes: a node that gives no sign of life for the grace period is Unknown, and its pods are not ready. Woken by nodes and by the one moment
 * each node's grace ends; a Lease renewed only notes the time. */
#include "lifecycle.h"
#include <string.h>
#include <workload/workload.h>

static const char *
ready_heartbeat (CubeView node)
{
  return cube_view_get_string (cube_condition_find (cube_view_member (node, "status"), "Ready"), "lastHeartbeatTime");
}

/* @sign differs from the last: the node lives. */
static void
note_sign (Lifecycle *self, Health *health, char **last, const char *sign)
{
  if (sign == NULL || g_strcmp0 (*last, sign) == 0)
    return;
  if (*last != NULL)
    health->probe_us = cube_context_monotonic_us (self->context);
  g_free (*last);
  *last = g_strdup (sign);
}

/* ---- silence ---- */

typedef struct {
  const char *created;
  gint64 now_us;
} Silence;

static gboolean
mark_unknown (CubeMut *root, CubeView node, gpointer data)
{
  static const char *const types[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };
  const Silence *silence = data;
  CubeMut *conditions = cube_mut_ensure_array (cube_mut_ensure_object (root, "status"), "conditions");
  gboolean is_changed = FALSE;
  char now[32];
  cube_time_format (silence->now_us, now);
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    {
      CubeMut *condition = workload_find_condition (conditions, types[i], NULL);
      gboolean is_new = condition == NULL;
      if (!is_new && g_strcmp0 (cube_mut_string (cube_mut_member (condition, "status")), "Unknown") == 0)
        continue;
      if (is_new)
        {
          condition = cube_mut_append_object (conditions);
          cube_mut_set_string (condition, "type", types[i]);
          cube_mut_set_string (condition, "lastHeartbeatTime", silence->created);
        }
      cube_mut_set_string (condition, "status", "Unknown");
      cube_mut_set_string (condition, "reason", is_new ? "NodeStatusNeverUpdated" : "NodeStatusUnknown");
      cube_mut_set_string (condition, "message", is_new ? "Kubelet never posted node status." : "Kubelet stopped posting node status.");
      cube_mut_set_string (condition, "lastTransitionTime", now);
      is_changed = TRUE;
    }
  return is_changed;
}

typedef struct {
  CubeObject *pod;
  gint64 now_us;
  gboolean did;
} Mark;

static gboolean
mark_pod (CubeMut *root, CubeView pod, gpointer data)
{
  Mark *mark = data;
  CubeMut *ready = workload_find_condition (cube_mut_get (root, "status", "conditions"), "Ready", NULL);
  char now[32];
  mark->did = ready != NULL && g_strcmp0 (cube_mut_string (cube_mut_member (ready, "status")), "True") == 0
              && g_strcmp0 (cube_view_get_string (pod, "metadata", "uid"), cube_object_uid (mark->pod)) == 0;
  if (!mark->did)
    return FALSE;
  cube_time_format (mark->now_us, now);
  cube_mut_set_string (ready, "status", "False");
  cube_mut_set_string (ready, "lastTransitionTime", now);
  return TRUE;
}

static gboolean
mark_pods (CubeControllerEnv *env, const char *node, GError **error)
{
  const CubeResource *pods = cube_schema_resource (cube_client_schema (env->client), "v1", "pods");
  g_autoptr (GPtrArray) found = cube_client_list_pods_on (env->client, node, error);
  for (guint i = 0; found != NULL && i < found->len; i++)
    {
      Mark mark = { found->pdata[i], cube_context_now_us (env->context), FALSE };
      g_autoptr (GError) problem = NULL;
      g_autoptr (CubeObject) pod = cube_client_modify (env->client, pods, "status", cube_object_namespace (mark.pod),
                                                       cube_object_name (mark.pod), mark_pod, &mark, &problem);
      if (pod != NULL && mark.did)
        cube_recorder_event (env->recorder, pod, NULL, "Warning", "NodeNotReady", "Node is not ready");
      if (pod != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        continue;
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  return found != NULL;
}

/* ---- one pass ---- */

/* All nodes are known before the first is judged: zones are counted. */
static gboolean
seed (Lifecycle *self, CubeControllerEnv *env, GError **error)
{
  g_mutex_lock (&self->lock);
  gboolean is_seeded = self->is_seeded;
  g_mutex_unlock (&self->lock);
  if (is_seeded)
    return TRUE;
  g_autoptr (GPtrArray) nodes =
      cube_client_list (env->client, cube_schema_resource (cube_client_schema (env->client), "v1", "nodes"), NULL, NULL, NULL, error);
  if (nodes == NULL)
    return FALSE;
  g_mutex_lock (&self->lock);
  for (guint i = 0; i < nodes->len; i++)
    lifecycle_know (self, nodes->pdata[i]);
  self->is_seeded = TRUE;
  self->was_all_down = lifecycle_is_all_down (self);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

/* When the first node comes back after all were gone it was the network, or us: everybody's grace starts anew. Under the lock. */
static void
follow_all_down (Lifecycle *self, CubeControllerEnv *env)
{
  GHashTableIter iter;
  gpointer name, data;
  gboolean is_all_down = lifecycle_is_all_down (self);
  if (is_all_down == self->was_all_down)
    return;
  self->was_all_down = is_all_down;
  for (g_hash_table_iter_init (&iter, self->nodes); g_hash_table_iter_next (&iter, &name, &data);)
    {
      Health *health = data;
      if (!is_all_down)
        {
          health->probe_us = cube_context_monotonic_us (self->context);
          health->down_us = health->probe_us + self->grace_us - self->monitor_us;
        }
      cube_queue_add (env->queue, name);
    }
}

/* What the node says of itself and how long its grace still lasts. */
static gint64
observe (Lifecycle *self, CubeControllerEnv *env, CubeObject *node, CubeView view, gboolean *ret_must_mark)
{
  g_mutex_lock (&self->lock);
  Health *health = lifecycle_know (self, node);
  lifecycle_set_ready (self, health, lifecycle_ready_of (view));
  note_sign (self, health, &health->heartbeat, ready_heartbeat (view));
  follow_all_down (self, env);
  gint64 grace = health->ready == 0 ? self->startup_us : self->grace_us;
  gint64 remains = health->probe_us + grace - cube_context_monotonic_us (self->context);
  *ret_must_mark = health->must_mark_pods;
  g_mutex_unlock (&self->lock);
  return remains;
}

static gboolean
fall_silent (Lifecycle *self, CubeControllerEnv *env, CubeObject **node, gboolean was_ready, GError **error)
{
  const CubeResource *nodes = cube_schema_resource (cube_client_schema (env->client), "v1", "nodes");
  Silence silence = { cube_object_creation_timestamp (*node), cube_context_now_us (env->context) };
  CubeObject *told = cube_client_modify (env->client, nodes, "status", NULL, cube_object_name (*node), mark_unknown, &silence, error);
  if (told == NULL)
    return FALSE;
  if (was_ready)
    cube_recorder_event (env->recorder, told, NULL, "Normal", "NodeNotReady", "Node %s status is now: NodeNotReady",
                         cube_object_name (told));
  g_mutex_lock (&self->lock);
  Health *health = lifecycle_know (self, told);
  lifecycle_set_ready (self, health, 'U');
  health->must_mark_pods |= was_ready;
  follow_all_down (self, env);
  g_mutex_unlock (&self->lock);
  cube_object_unref (*node);
  *node = told;
  return TRUE;
}

/* The key of the NoExecute taint the node shall have now; NULL = none. *ret_wait_us > 0: its turn comes later. */
static const char *
choose_eviction (Lifecycle *self, CubeObject *node, gint64 *ret_wait_us)
{
  g_autoptr (CubeValue) value = cube_object_value (node);
  char ready = lifecycle_ready_of (cube_value_root (value));
  const char *key = ready == 'F' ? TAINT_NOT_READY : ready == 'U' ? TAINT_UNREACHABLE : NULL;
  *ret_wait_us = 0;
  if (key == NULL)
    return NULL;
  g_mutex_lock (&self->lock);
  Health *health = lifecycle_know (self, node);
  /* A moment's patience: when others fall silent at the same time it is not the nodes. */
  gint64 patience = health->down_us + self->monitor_us - cube_context_monotonic_us (self->context);
  gboolean may = FALSE;
  if (lifecycle_is_all_down (self))
    may = FALSE;
  else if (lifecycle_has_no_execute (cube_value_root (value)))
    may = TRUE;
  else if (patience > 0)
    *ret_wait_us = patience;
  else
    may = lifecycle_take_turn (self, health->zone, ret_wait_us);
  g_mutex_unlock (&self->lock);
  return may ? key : NULL;
}

static gboolean
after_silence (Lifecycle *self, CubeControllerEnv *env, CubeObject *node, GError **error)
{
  if (!mark_pods (env, cube_object_name (node), error))
    return FALSE;
  g_mutex_lock (&self->lock);
  lifecycle_know (self, node)->must_mark_pods = FALSE;
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  Lifecycle *self = state;
  g_autoptr (GError) problem = NULL;
  gboolean must_mark;
  gint64 wait_us;
  g_autoptr (CubeObject) node =
      cube_client_get (env->client, cube_schema_resource (cube_client_schema (env->client), "v1", "nodes"), NULL, key, &problem);
  if (node == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_mutex_lock (&self->lock);
      lifecycle_forget (self, key);
      follow_all_down (self, env);
      g_mutex_unlock (&self->lock);
      return 0;
    }
  if (node == NULL || !seed (self, env, &problem))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  g_autoptr (CubeValue) value = cube_object_value (node);
  char ready = lifecycle_ready_of (cube_value_root (value));
  gint64 remains = observe (self, env, node, cube_value_root (value), &must_mark);
  if (remains <= 0)
    {
      must_mark |= ready == 'T';
      if (!fall_silent (self, env, &node, ready == 'T', error))
        return -1;
    }
  const char *wanted = choose_eviction (self, node, &wait_us);
  if (!lifecycle_write_taints (env, key, wanted, error) || (must_mark && !after_silence (self, env, node, error)))
    return -1;
  if (wait_us > 0)
    return remains > 0 ? MIN (wait_us, remains) : wait_us;
  return MAX (remains, 0); /* silent already: its next sign wakes us */
}

/* ---- what wakes it ---- */

static void
map_node (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  const char *name = cube_object_name (object);
  if (type == CUBE_EVENT_ADDED)
    cube_recorder_event (env->recorder, object, NULL, "Normal", "RegisteredNode", "Node %s event: Registered Node %s in Controller", name,
                         name);
  else if (type == CUBE_EVENT_DELETED)
    cube_recorder_event (env->recorder, object, NULL, "Normal", "RemovingNode", "Node %s event: Removing Node %s from Controller", name,
                         name);
  cube_queue_add (env->queue, name);
}

static void
map_lease (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  Lifecycle *self = state;
  if (type == CUBE_EVENT_DELETED || strcmp (cube_object_namespace (object), "kube-node-lease") != 0)
    return;
  g_autoptr (CubeValue) value = cube_object_value (object);
  g_mutex_lock (&self->lock);
  Health *health = g_hash_table_lookup (self->nodes, cube_object_name (object));
  if (health != NULL)
    note_sign (self, health, &health->renewed, cube_view_string (cube_value_get (value, "spec", "renewTime")));
  g_mutex_unlock (&self->lock);
}

static gboolean
start (gpointer state, CubeControllerEnv *env, GError **error)
{
  Lifecycle *self = state;
  g_mutex_lock (&self->lock);
  lifecycle_clear (self);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static const CubeControllerWatch watches[] = { { "v1", "nodes", map_node },
                                               { "coordination.k8s.io/v1", "leases", map_lease },
                                               { NULL, NULL, NULL } };
const CubeControllerOps lifecycle_node_ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 4
};
