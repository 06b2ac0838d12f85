/* SPDX-License-Identifier: Apache-2.0 */
/* NoExecute taints: a pod that does not tolerate one goes at once, one that tolerates it for a time goes when that is over. */
#include "lifecycle.h"
#include <string.h>
#include <toleration.h>
#include <workload/workload.h>

typedef struct {
  gboolean is_tainted, is_tolerated;
  gint64 seconds;  /* the smallest tolerationSeconds of those used; -1 = for ever */
  gint64 added_us; /* of the newest taint; 0 = unknown */
} Verdict;

static gint64
seconds_for (CubeView tolerations, const char *key, const char *value, gboolean *ret_covered)
{
  CubeIter it;
  CubeView toleration;
  gint64 least = -1;
  *ret_covered = FALSE;
  for (cube_iter_init (&it, tolerations); cube_iter_next (&it, NULL, &toleration);)
    if (toleration_covers (toleration, key, value, "NoExecute"))
      {
        CubeView seconds = cube_view_member (toleration, "tolerationSeconds");
        if (cube_view_type (seconds) == CUBE_VALUE_INT && (least < 0 || cube_view_int (seconds, 0) < least))
          least = MAX (cube_view_int (seconds, 0), 0);
        *ret_covered = TRUE;
      }
  return least;
}

static Verdict
judge (CubeView node, CubeView pod)
{
  Verdict verdict = { .is_tolerated = TRUE, .seconds = -1 };
  CubeView tolerations = cube_view_get (pod, "spec", "tolerations"), taint;
  CubeIter it;
  for (cube_iter_init (&it, cube_view_get (node, "spec", "taints")); cube_iter_next (&it, NULL, &taint);)
    {
      const char *added = cube_view_get_string (taint, "timeAdded");
      gboolean is_covered;
      gint64 added_us;
      if (g_strcmp0 (cube_view_get_string (taint, "effect"), "NoExecute") != 0)
        continue;
      gint64 seconds = seconds_for (tolerations, cube_view_get_string (taint, "key"), cube_view_get_string (taint, "value"), &is_covered);
      verdict.is_tainted = TRUE;
      verdict.is_tolerated &= is_covered;
      if (seconds >= 0 && (verdict.seconds < 0 || seconds < verdict.seconds))
        verdict.seconds = seconds;
      if (added != NULL && cube_time_parse (added, &added_us))
        verdict.added_us = MAX (verdict.added_us, added_us);
    }
  return verdict;
}

/* ---- waiting ---- */

static void
stop_waiting (Lifecycle *self, CubeControllerEnv *env, const char *key, CubeObject *pod)
{
  g_mutex_lock (&self->lock);
  gboolean was_waiting = g_hash_table_remove (self->waiting, key);
  g_mutex_unlock (&self->lock);
  if (was_waiting && pod != NULL)
    cube_recorder_event (env->recorder, pod, NULL, "Normal", "TaintManagerEviction", "Cancelling deletion of Pod %s", key);
}

/* µs until the pod has to go: from when the taint came, or the pod when it came later, or from when this was first seen. */
static gint64
time_left (Lifecycle *self, const char *key, CubeObject *pod, const Verdict *verdict)
{
  gint64 now = cube_context_now_us (self->context), made;
  g_mutex_lock (&self->lock);
  gint64 *since = g_hash_table_lookup (self->waiting, key);
  if (since == NULL)
    {
      since = g_new (gint64, 1);
      *since = verdict->added_us > 0 && verdict->added_us < now ? verdict->added_us : now;
      if (cube_object_creation_timestamp (pod) != NULL && cube_time_parse (cube_object_creation_timestamp (pod), &made))
        *since = MIN (MAX (*since, made), now);
      g_hash_table_insert (self->waiting, g_strdup (key), since);
    }
  else if (verdict->added_us > *since)
    *since = MIN (verdict->added_us, now); /* another taint since */
  gint64 left = *since + MIN (verdict->seconds, G_MAXINT32) * G_USEC_PER_SEC - now;
  g_mutex_unlock (&self->lock);
  return left;
}

/* ---- going ---- */

typedef struct {
  CubeObject *pod;
  gint64 now_us;
} Target;

static gboolean
add_condition (CubeMut *root, CubeView pod, gpointer data)
{
  const Target *target = data;
  if (g_strcmp0 (cube_view_get_string (pod, "metadata", "uid"), cube_object_uid (target->pod)) != 0)
    return FALSE;
  return workload_set_condition (cube_mut_ensure_object (root, "status"), "DisruptionTarget", "True", "DeletionByTaintManager",
                                 "Taint manager: deleting due to NoExecute taint", target->now_us, FALSE);
}

static gint64
evict (Lifecycle *self, CubeControllerEnv *env, const char *key, CubeObject *pod, GError **error)
{
  const CubeResource *pods = cube_schema_resource (cube_client_schema (env->client), "v1", "pods");
  const char *ns = cube_object_namespace (pod), *name = cube_object_name (pod);
  Target target = { pod, cube_context_now_us (env->context) };
  g_autoptr (GError) problem = NULL;
  cube_recorder_event (env->recorder, pod, NULL, "Normal", "TaintManagerEviction", "Marking for deletion Pod %s", key);
  g_autoptr (CubeObject) told = cube_client_modify (env->client, pods, "status", ns, name, add_condition, &target, &problem);
  gboolean is_done =
      told != NULL && cube_client_delete (env->client, pods, ns, name, cube_object_uid (pod), -1, CUBE_PROPAGATION_DEFAULT, &problem);
  if (!is_done && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  stop_waiting (self, env, key, NULL);
  return 0;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  CubeSchema *schema = cube_client_schema (env->client);
  g_autofree char *ns = NULL, *name = NULL;
  g_autoptr (CubeObject) node = NULL;
  cube_key_split (key, &ns, &name);
  g_autoptr (CubeObject) pod = cube_client_get (env->client, cube_schema_resource (schema, "v1", "pods"), ns, name, NULL);
  if (pod == NULL || cube_object_deletion_timestamp (pod) != NULL)
    {
      stop_waiting (state, env, key, NULL);
      return 0;
    }
  g_autoptr (CubeValue) pod_value = cube_object_value (pod), node_value = NULL;
  const char *node_name = cube_view_string (cube_value_get (pod_value, "spec", "nodeName"));
  if (node_name != NULL && *node_name != '\0')
    node = cube_client_get (env->client, cube_schema_resource (schema, "v1", "nodes"), NULL, node_name, NULL);
  if (node != NULL)
    node_value = cube_object_value (node);
  Verdict verdict = judge (node_value != NULL ? cube_value_root (node_value) : cube_view_none (), cube_value_root (pod_value));
  if (verdict.is_tainted && !verdict.is_tolerated)
    return evict (state, env, key, pod, error);
  if (!verdict.is_tainted || verdict.seconds < 0)
    {
      stop_waiting (state, env, key, pod);
      return 0;
    }
  gint64 left = time_left (state, key, pod, &verdict);
  return left > 0 ? left : evict (state, env, key, pod, error);
}

/* ---- what wakes it ---- */

/* The NoExecute taints of a node, packed as text to compare; NULL = none. */
static char *
taints_of (CubeObject *node)
{
  g_autoptr (CubeValue) value = node != NULL ? cube_object_value (node) : NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  CubeIter it;
  CubeView taint;
  if (value == NULL)
    return NULL;
  for (cube_iter_init (&it, cube_value_get (value, "spec", "taints")); cube_iter_next (&it, NULL, &taint);)
    if (g_strcmp0 (cube_view_get_string (taint, "effect"), "NoExecute") == 0)
      cube_view_append_json (taint, text);
  return text->len > 0 ? g_strdup (text->str) : NULL;
}

static void
map_node (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  Lifecycle *self = state;
  const char *name = cube_object_name (object);
  g_autofree char *now = type != CUBE_EVENT_DELETED ? taints_of (object) : NULL, *was = taints_of (old);
  if (now != NULL)
    g_hash_table_add (self->tainted, g_strdup (name));
  else
    g_hash_table_remove (self->tainted, name);
  if (g_strcmp0 (now, was) == 0)
    return;
  g_autoptr (GPtrArray) pods = cube_client_list_pods_on (env->client, name, NULL);
  for (guint i = 0; pods != NULL && i < pods->len; i++)
    {
      g_autofree char *key = cube_object_key (pods->pdata[i]);
      cube_queue_add (env->queue, key);
    }
}

/* A pod that comes to a tainted node, or whose tolerations changed. Nothing is read while no node is tainted. */
static void
map_pod (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  Lifecycle *self = state;
  if (g_hash_table_size (self->tainted) == 0)
    return;
  g_autofree char *key = cube_object_key (object);
  if (type == CUBE_EVENT_DELETED || cube_object_deletion_timestamp (object) != NULL)
    {
      stop_waiting (self, env, key, NULL);
      return;
    }
  g_autoptr (CubeValue) value = cube_object_value (object), old_value = old != NULL ? cube_object_value (old) : NULL;
  const char *node = cube_view_string (cube_value_get (value, "spec", "nodeName"));
  if (node == NULL || !g_hash_table_contains (self->tainted, node))
    return;
  if (old_value == NULL || g_strcmp0 (cube_view_string (cube_value_get (old_value, "spec", "nodeName")), node) != 0
      || !cube_view_equal (cube_value_get (value, "spec", "tolerations"), cube_value_get (old_value, "spec", "tolerations")))
    cube_queue_add (env->queue, key);
}

static gboolean
start (gpointer state, CubeControllerEnv *env, GError **error)
{
  Lifecycle *self = state;
  g_hash_table_remove_all (self->tainted);
  g_mutex_lock (&self->lock);
  g_hash_table_remove_all (self->waiting);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static const CubeControllerWatch watches[] = { { "v1", "nodes", map_node }, { "v1", "pods", map_pod }, { NULL, NULL, NULL } };
const CubeControllerOps lifecycle_eviction_ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 4
};
