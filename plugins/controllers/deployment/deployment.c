/* SPDX-License-Identifier: Apache-2.0 */
/* Deployment: rolls ReplicaSets from one pod template to the next. */
#include "deployment.h"
#include <cube/plugin.h>
#include <string.h>

/* maxSurge rounds up, maxUnavailable down; both nought would never move. */
static void
resolve_limits (Rollout *rollout)
{
  CubeView rolling = cube_view_get (rollout->spec, "strategy", "rollingUpdate");
  int surge = 0, unavailable = 0;
  rollout->is_recreate = g_strcmp0 (cube_view_get_string (rollout->spec, "strategy", "type"), "Recreate") == 0;
  if (rollout->is_recreate)
    return;
  cube_int_or_percent (cube_view_member (rolling, "maxSurge"), (int) rollout->replicas, TRUE, &surge);
  cube_int_or_percent (cube_view_member (rolling, "maxUnavailable"), (int) rollout->replicas, FALSE, &unavailable);
  if (surge == 0 && unavailable == 0)
    unavailable = 1;
  rollout->max_surge = surge;
  rollout->max_unavailable = MIN (unavailable, rollout->replicas);
}

static void
rollout_init (Rollout *rollout, CubeControllerEnv *env, CubeObject *object)
{
  CubeSchema *schema = cube_client_schema (env->client);
  *rollout = (Rollout){ .env = env, .object = object, .value = cube_object_value (object), .collision_count = -1 };
  rollout->deployments = cube_schema_resource (schema, "apps/v1", "deployments");
  rollout->sets_resource = cube_schema_resource (schema, "apps/v1", "replicasets");
  rollout->view = cube_value_root (rollout->value);
  rollout->spec = cube_view_member (rollout->view, "spec");
  rollout->now_us = cube_context_now_us (env->context);
  rollout->replicas = cube_view_get_int (rollout->spec, 1, "replicas");
  rollout->min_ready_s = cube_view_get_int (rollout->spec, 0, "minReadySeconds");
  gint64 deadline = cube_view_get_int (rollout->spec, 0, "progressDeadlineSeconds");
  rollout->progress_deadline_s = deadline == G_MAXINT32 ? 0 : deadline;
  resolve_limits (rollout);
}

static void
rollout_clear (Rollout *rollout)
{
  g_clear_pointer (&rollout->sets, g_ptr_array_unref);
  cube_value_unref (rollout->value);
  g_free (rollout->progress_message);
}

static gboolean
run (Rollout *rollout, gint64 *ret_again_us, GError **error)
{
  gboolean is_paused = cube_view_get_bool (rollout->spec, FALSE, "paused");
  if (!rollout_read_sets (rollout, error))
    return FALSE;
  if (cube_object_deletion_timestamp (rollout->object) != NULL)
    return rollout_sync_new_set (rollout, FALSE, error) && rollout_write_status (rollout, FALSE, NULL, error);
  if (!rollout_mark_paused (rollout, error))
    return FALSE;
  if (is_paused || rollout_is_scaling (rollout))
    return rollout_sync_new_set (rollout, FALSE, error) && rollout_scale (rollout, error)
           && (!is_paused || rollout_clean_history (rollout, error)) && rollout_write_status (rollout, FALSE, NULL, error);
  if (!(rollout->is_recreate ? rollout_recreate : rollout_roll) (rollout, error))
    return FALSE;
  return rollout_write_status (rollout, TRUE, ret_again_us, error);
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  g_autofree char *ns = NULL, *name = NULL;
  cube_key_split (key, &ns, &name);
  g_autoptr (GError) problem = NULL;
  const CubeResource *deployments = cube_schema_resource (cube_client_schema (env->client), "apps/v1", "deployments");
  g_autoptr (CubeObject) object = cube_client_get (env->client, deployments, ns, name, &problem);
  if (object == NULL)
    {
      if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return 0;
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  Rollout rollout;
  gint64 again_us = 0;
  rollout_init (&rollout, env, object);
  if (cube_view_length (cube_view_member (rollout.spec, "selector")) == 0)
    {
      cube_recorder_event (env->recorder, object, NULL, "Warning", "SelectingAll",
                           "This deployment is selecting all pods. A non-empty selector is required.");
      rollout_clear (&rollout);
      return 0;
    }
  if (!run (&rollout, &again_us, &problem))
    again_us = problem != NULL ? -1 : 10 * 1000; /* without an error: a name collision, soon again */
  rollout_clear (&rollout);
  if (problem != NULL)
    g_propagate_error (error, g_steal_pointer (&problem));
  return again_us;
}

static CubeSelector *
selector_of (CubeView deployment)
{
  return cube_selector_from_view (cube_view_get (deployment, "spec", "selector"), NULL);
}

static void
map_set (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  const CubeResource *deployments = cube_schema_resource (cube_client_schema (env->client), "apps/v1", "deployments");
  workload_map_pod (env, "Deployment", deployments, selector_of, type, object, old);
}

static const CubeControllerWatch watches[] = { { "apps/v1", "deployments", NULL },
                                               { "apps/v1", "replicasets", map_set },
                                               { NULL, NULL, NULL } };
static const CubeControllerOps ops = { .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .workers = 5 };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "deployment", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-deployment", .version = "1.0", .license = "Apache-2.0",
                    .description = "rolls Deployments from one template to the next", .impls = impls, .load = load);
