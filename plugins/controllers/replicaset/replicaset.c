/* SPDX-License-Identifier: Apache-2.0 */
/* ReplicaSet: keeps spec.replicas pods that match spec.selector. */
#include <cube/plugin.h>
#include <workload/workload.h>

static CubeSelector *
selector_of (CubeView set)
{
  return cube_selector_from_view (cube_view_get (set, "spec", "selector"), NULL);
}

static const ReplicasKind kind = { "apps/v1", "replicasets", "ReplicaSet", selector_of };

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  return replicas_reconcile (&kind, env, key, error);
}

static void
map_pod (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  replicas_map_pod (&kind, env, type, object, old);
}

static const CubeControllerWatch watches[] = { { "apps/v1", "replicasets", NULL }, { "v1", "pods", map_pod }, { NULL, NULL, NULL } };
static const CubeControllerOps ops = { .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .workers = 5 };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "replicaset", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-replicaset", .version = "1.0", .license = "Apache-2.0",
                    .description = "keeps the replicas of ReplicaSets", .impls = impls, .load = load);
