/* SPDX-License-Identifier: Apache-2.0 */
/* NodeName: a pod that names its node goes nowhere else. */
#include <cube/scheduler.h>
#include <string.h>

static const char *
wanted_node (const CubePodInfo *pod)
{
  return cube_view_string_or (cube_view_member (pod->spec, "nodeName"), "");
}

static CubeFit
pre_filter (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, gpointer *ret_cycle_data, char **ret_reason)
{
  return *wanted_node (pod) == '\0' ? CUBE_FIT_SKIP : CUBE_FIT_OK;
}

static CubeFit
filter (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node,
        const char **ret_reason)
{
  const char *wanted = wanted_node (pod);

  if (*wanted == '\0' || strcmp (wanted, node->name) == 0)
    return CUBE_FIT_OK;
  *ret_reason = "node(s) didn't match the requested node name";
  return CUBE_FIT_UNRESOLVABLE;
}

static const CubeFilterOps filter_ops = {
  .ops_size = sizeof filter_ops, .wake_on = CUBE_WAKE_NODE_ADD, .pre_filter = pre_filter, .filter = filter
};

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, "NodeName", filter_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "scheduler-node-name", .version = "1", .description = "keeps pods to the node they name",
                    .license = "Apache-2.0", .impls = impls, .load = load);
