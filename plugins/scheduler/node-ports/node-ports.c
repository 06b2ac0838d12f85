/* SPDX-License-Identifier: Apache-2.0 */
/* NodePorts: two pods of a node never share a port of the host. */
#include <cube/scheduler.h>
#include <string.h>

static CubeFit
pre_filter (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, gpointer *ret_cycle_data, char **ret_reason)
{
  return pod->n_host_ports == 0 ? CUBE_FIT_SKIP : CUBE_FIT_OK;
}

static gboolean
is_any_address (const char *ip)
{
  return *ip == '\0' || strcmp (ip, "0.0.0.0") == 0;
}

static gboolean
ports_conflict (const CubeHostPort *a, const CubeHostPort *b)
{
  return a->port == b->port && strcmp (a->protocol, b->protocol) == 0
         && (is_any_address (a->host_ip) || is_any_address (b->host_ip) || strcmp (a->host_ip, b->host_ip) == 0);
}

static gboolean
pods_conflict (const CubePodInfo *a, const CubePodInfo *b)
{
  for (guint i = 0; i < a->n_host_ports; i++)
    for (guint j = 0; j < b->n_host_ports; j++)
      if (ports_conflict (&a->host_ports[i], &b->host_ports[j]))
        return TRUE;
  return FALSE;
}

static CubeFit
filter (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node,
        const char **ret_reason)
{
  for (guint i = 0; i < node->n_pods; i++)
    if (pods_conflict (pod, node->pods[i]))
      {
        *ret_reason = "node(s) didn't have free ports for the requested pod ports";
        return CUBE_FIT_UNSCHEDULABLE;
      }
  return CUBE_FIT_OK;
}

static const CubeFilterOps filter_ops = {
  .ops_size = sizeof filter_ops, .wake_on = CUBE_WAKE_NODE_ADD | CUBE_WAKE_POD_DELETE, .pre_filter = pre_filter, .filter = filter
};

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, "NodePorts", filter_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "scheduler-node-ports", .version = "1", .description = "keeps pods off nodes where their host ports are taken",
                    .license = "Apache-2.0", .impls = impls, .load = load);
