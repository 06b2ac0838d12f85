/* SPDX-License-Identifier: Apache-2.0 */
/* Removes pods nobody else will: of nodes that are gone, of nodes out of service, ended ones beyond a number, terminating ones that never had a node. */
#include <cube/plugin.h>
#include <string.h>
#include <workload/workload.h>

#define TAINT_OUT_OF_SERVICE "node.kubernetes.io/out-of-service"
#define KEY_NODE "node/"
#define KEY_POD "pod/"
#define KEY_ENDED "ended"
#define ENDED_DELAY_US G_USEC_PER_SEC /* many end together */

typedef struct {
  gint64 quarantine_us, period_us;
  guint threshold;   /* ended pods that are kept; 0 = all */
  GHashTable *nodes; /* names of nodes → is it out of service; on the loop */
  GHashTable *ended; /* set of keys of ended pods; on the loop */
} State;

/* ---- removing one ---- */

typedef struct {
  CubeObject *pod;
  gboolean is_orphan;
  gint64 now_us;
} Removal;

static gboolean
fail_pod (CubeMut *root, CubeView pod, gpointer data)
{
  const Removal *removal = data;
  const char *phase = cube_view_get_string (pod, "status", "phase");
  CubeMut *status = cube_mut_ensure_object (root, "status");
  if (g_strcmp0 (cube_view_get_string (pod, "metadata", "uid"), cube_object_uid (removal->pod)) != 0 || g_strcmp0 (phase, "Failed") == 0
      || g_strcmp0 (phase, "Succeeded") == 0)
    return FALSE;
  cube_mut_set_string (status, "phase", "Failed");
  if (removal->is_orphan)
    workload_set_condition (status, "DisruptionTarget", "True", "DeletionByPodGC", "PodGC: node no longer exists", removal->now_us, FALSE);
  return TRUE;
}

static gboolean
remove_pod (CubeControllerEnv *env, CubeObject *pod, gboolean must_fail, gboolean is_orphan, GError **error)
{
  const CubeResource *pods = cube_schema_resource (cube_client_schema (env->client), "v1", "pods");
  const char *ns = cube_object_namespace (pod), *name = cube_object_name (pod);
  Removal removal = { pod, is_orphan, cube_context_now_us (env->context) };
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) told =
      must_fail ? cube_client_modify (env->client, pods, "status", ns, name, fail_pod, &removal, &problem) : cube_object_ref (pod);
  if ((told != NULL && cube_client_delete (env->client, pods, ns, name, cube_object_uid (pod), 0, CUBE_PROPAGATION_DEFAULT, &problem))
      || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

/* ---- a node that is gone, or out of service ---- */

static gboolean
is_out_of_service (CubeView node)
{
  CubeIter it;
  CubeView taint;
  for (cube_iter_init (&it, cube_view_get (node, "spec", "taints")); cube_iter_next (&it, NULL, &taint);)
    if (g_strcmp0 (cube_view_get_string (taint, "key"), TAINT_OUT_OF_SERVICE) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
is_ready (CubeView node)
{
  return g_strcmp0 (cube_view_get_string (cube_condition_find (cube_view_member (node, "status"), "Ready"), "status"), "True") == 0;
}

static gint64
sweep_node (CubeControllerEnv *env, const char *name, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) node =
      cube_client_get (env->client, cube_schema_resource (cube_client_schema (env->client), "v1", "nodes"), NULL, name, &problem);
  gboolean is_orphan = node == NULL;
  if (is_orphan && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  if (!is_orphan)
    {
      g_autoptr (CubeValue) value = cube_object_value (node);
      if (is_ready (cube_value_root (value)) || !is_out_of_service (cube_value_root (value)))
        return 0;
    }
  g_autoptr (GPtrArray) pods = cube_client_list_pods_on (env->client, name, error);
  for (guint i = 0; pods != NULL && i < pods->len; i++)
    {
      CubeObject *pod = pods->pdata[i];
      if ((is_orphan || cube_object_deletion_timestamp (pod) != NULL) && !remove_pod (env, pod, TRUE, is_orphan, error))
        return -1;
    }
  return pods != NULL ? 0 : -1;
}

/* ---- a terminating pod without a node ---- */

static gint64
sweep_pod (CubeControllerEnv *env, const char *key, GError **error)
{
  g_autofree char *ns = NULL, *name = NULL;
  cube_key_split (key, &ns, &name);
  g_autoptr (CubeObject) pod =
      cube_client_get (env->client, cube_schema_resource (cube_client_schema (env->client), "v1", "pods"), ns, name, NULL);
  if (pod == NULL || cube_object_deletion_timestamp (pod) == NULL)
    return 0;
  g_autoptr (CubeValue) value = cube_object_value (pod);
  const char *node = cube_view_string (cube_value_get (value, "spec", "nodeName"));
  return (node != NULL && *node != '\0') || remove_pod (env, pod, TRUE, FALSE, error) ? 0 : -1;
}

/* ---- too many ended pods ---- */

typedef struct {
  CubeObject *object;
  gboolean is_evicted;
} Ended;

static int
compare_ended (gconstpointer a, gconstpointer b)
{
  const Ended *x = a, *y = b;
  if (x->is_evicted != y->is_evicted)
    return x->is_evicted ? -1 : 1;
  int by_age = g_strcmp0 (cube_object_creation_timestamp (x->object), cube_object_creation_timestamp (y->object));
  return by_age != 0 ? by_age : strcmp (cube_object_name (x->object), cube_object_name (y->object));
}

static gboolean
has_ended (CubeView pod)
{
  const char *phase = cube_view_get_string (pod, "status", "phase");
  return phase != NULL && strcmp (phase, "Pending") != 0 && strcmp (phase, "Running") != 0 && strcmp (phase, "Unknown") != 0;
}

static gint64
sweep_ended (State *state, CubeControllerEnv *env, GError **error)
{
  g_autoptr (GPtrArray) pods =
      cube_client_list (env->client, cube_schema_resource (cube_client_schema (env->client), "v1", "pods"), NULL, NULL, NULL, error);
  g_autoptr (GArray) ended = g_array_new (FALSE, FALSE, sizeof (Ended));
  for (guint i = 0; pods != NULL && i < pods->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (pods->pdata[i]);
      CubeView pod = cube_value_root (value);
      Ended entry = { pods->pdata[i], g_strcmp0 (cube_view_get_string (pod, "status", "reason"), "Evicted") == 0 };
      if (has_ended (pod))
        g_array_append_val (ended, entry);
    }
  if (pods == NULL)
    return -1;
  g_array_sort (ended, compare_ended);
  for (guint i = 0; i + state->threshold < ended->len; i++)
    if (!remove_pod (env, g_array_index (ended, Ended, i).object, FALSE, FALSE, error))
      return -1;
  return 0;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  if (g_str_has_prefix (key, KEY_NODE))
    return sweep_node (env, key + strlen (KEY_NODE), error);
  if (g_str_has_prefix (key, KEY_POD))
    return sweep_pod (env, key + strlen (KEY_POD), error);
  return sweep_ended (state, env, error);
}

/* ---- what wakes it ---- */

static void
look_at_node (CubeControllerEnv *env, const char *name, gint64 delay_us)
{
  g_autofree char *key = g_strconcat (KEY_NODE, name, NULL);
  cube_queue_add_after (env->queue, key, delay_us);
}

static void
map_node (gpointer data, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  State *state = data;
  const char *name = cube_object_name (object);
  if (type == CUBE_EVENT_DELETED)
    {
      g_hash_table_remove (state->nodes, name);
      look_at_node (env, name, state->quarantine_us);
      return;
    }
  g_autoptr (CubeValue) value = cube_object_value (object);
  gboolean is_out = is_out_of_service (cube_value_root (value));
  g_hash_table_insert (state->nodes, g_strdup (name), GINT_TO_POINTER (is_out));
  if (is_out && !is_ready (cube_value_root (value)))
    look_at_node (env, name, 0);
}

static void
count_ended (State *state, CubeControllerEnv *env, CubeObject *pod, gboolean is_ended)
{
  char *key = cube_object_key (pod);
  if (!is_ended)
    {
      g_hash_table_remove (state->ended, key);
      g_free (key);
      return;
    }
  if (g_hash_table_add (state->ended, key) && state->threshold > 0 && g_hash_table_size (state->ended) > state->threshold)
    cube_queue_add_after (env->queue, KEY_ENDED, ENDED_DELAY_US);
}

static void
map_pod (gpointer data, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  State *state = data;
  gpointer is_out;
  if (type == CUBE_EVENT_DELETED)
    {
      count_ended (state, env, object, FALSE);
      return;
    }
  g_autoptr (CubeValue) value = cube_object_value (object);
  const char *node = cube_view_string (cube_value_get (value, "spec", "nodeName"));
  gboolean is_going = cube_object_deletion_timestamp (object) != NULL;
  count_ended (state, env, object, has_ended (cube_value_root (value)));
  if (node == NULL || *node == '\0')
    {
      g_autofree char *key = cube_object_key (object), *pod_key = g_strconcat (KEY_POD, key, NULL);
      if (is_going)
        cube_queue_add_after (env->queue, pod_key, state->period_us);
    }
  else if (!g_hash_table_lookup_extended (state->nodes, node, NULL, &is_out))
    look_at_node (env, node, state->quarantine_us); /* unknown, or not told of yet: looked up then */
  else if (is_going && GPOINTER_TO_INT (is_out))
    look_at_node (env, node, state->period_us);
}

static gboolean
start (gpointer data, CubeControllerEnv *env, GError **error)
{
  State *state = data;
  g_hash_table_remove_all (state->nodes);
  g_hash_table_remove_all (state->ended);
  return TRUE;
}

static gboolean
read_duration (CubeView config, const char *key, gint64 fallback_s, gint64 *ret_us)
{
  const char *text = cube_view_string (cube_view_member (config, key));
  gint64 ns = fallback_s * G_GINT64_CONSTANT (1000000000);
  gboolean is_valid = text == NULL || (cube_duration_parse (text, &ns) && ns > 0);
  *ret_us = ns / 1000;
  return is_valid;
}

static void
unload (gpointer data)
{
  State *state = data;
  g_hash_table_unref (state->nodes);
  g_hash_table_unref (state->ended);
  g_free (state);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  CubeView config = cube_context_config (context);
  State *state = g_new0 (State, 1);
  state->nodes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  state->ended = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  state->threshold = CLAMP (cube_view_get_int (config, 12500, "terminated-pod-threshold"), 0, G_MAXINT32);
  if (!read_duration (config, "orphan-quarantine", 40, &state->quarantine_us) || !read_duration (config, "period", 20, &state->period_us))
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INVALID, "orphan-quarantine and period: wanted durations longer than 0");
      unload (state);
      return FALSE;
    }
  *ret_state = state;
  return TRUE;
}

static const CubeControllerWatch watches[] = { { "v1", "nodes", map_node }, { "v1", "pods", map_pod }, { NULL, NULL, NULL } };
static const CubeControllerOps ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 1
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "pod-garbage-collector", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-pod-gc", .version = "1.0", .license = "Apache-2.0",
                    .description = "removes pods that nobody else will", .impls = impls, .load = load, .unload = unload,
                    .config_schema =
                        "terminated-pod-threshold int 12500 ended pods that are kept, 0 = all\n"
                        "orphan-quarantine duration 40s from a node's removal until its pods go\n"
                        "period duration 20s until a terminating pod without a node, or on a node out of service, is removed\n");
