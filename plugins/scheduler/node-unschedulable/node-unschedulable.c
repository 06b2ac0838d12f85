/* SPDX-License-Identifier: Apache-2.0 */
/* NodeUnschedulable: cordoned nodes take no pod that does not tolerate it. */
#include "toleration.h"
#include <cube/scheduler.h>

static CubeFit
filter (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node,
        const char **ret_reason)
{
  if (!node->is_unschedulable
      || toleration_any (cube_view_member (pod->spec, "tolerations"), "node.kubernetes.io/unschedulable", NULL, "NoSchedule"))
    return CUBE_FIT_OK;
  *ret_reason = "node(s) were unschedulable";
  return CUBE_FIT_UNRESOLVABLE;
}

static const CubeFilterOps filter_ops = { .ops_size = sizeof filter_ops,
                                          .wake_on = CUBE_WAKE_NODE_ADD | CUBE_WAKE_NODE_TAINT,
                                          .filter = filter };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, "NodeUnschedulable", filter_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "scheduler-node-unschedulable", .version = "1", .description = "keeps pods off cordoned nodes",
                    .license = "Apache-2.0", .impls = impls, .load = load);
