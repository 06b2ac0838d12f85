/* SPDX-License-Identifier: Apache-2.0 */
/* Resources as the kernel is told them. Source: kubelet's formulas. */
#include "agent.h"
#include <string.h>

#define CPU_PERIOD_US 100000

static gboolean
read_quantity (CubeView container, const char *list, const char *resource, CubeQuantity *ret)
{
  return cube_quantity_from_view (cube_view_get (container, "resources", list, resource), ret);
}

static gint64
cpu_shares (gint64 millis)
{
  return millis == 0 ? 2 : CLAMP (millis * 1024 / 1000, 2, 262144);
}

static gint64
oom_score (NodeAgent *agent, CubeView pod_spec, CubeView container)
{
  const char *qos = cube_pod_qos_class (pod_spec);
  const char *priority = cube_view_get_string (pod_spec, "priorityClassName");
  CubeQuantity request;
  gint64 capacity = MAX (agent->machine->memory_bytes, 1);
  if (g_strcmp0 (priority, "system-node-critical") == 0 || g_strcmp0 (qos, "Guaranteed") == 0)
    return -997;
  if (g_strcmp0 (qos, "BestEffort") == 0)
    return 1000;
  gint64 bytes = read_quantity (container, "requests", "memory", &request) ? cube_quantity_value (&request) : 0;
  gint64 score = 1000 - (gint64) ((__int128) 1000 * bytes / capacity);
  return score < 3 ? 3 : MIN (score, 999);
}

void
node_resources_fill (NodeAgent *agent, CubeView pod_spec, CubeView container, CubeLinuxResources *resources)
{
  CubeQuantity request, limit;
  gboolean has_limit = read_quantity (container, "limits", "cpu", &limit);
  gboolean has_request = read_quantity (container, "requests", "cpu", &request);
  resources->cpu_shares = cpu_shares (has_request ? cube_quantity_millis (&request) : has_limit ? cube_quantity_millis (&limit) : 0);
  if (has_limit && cube_quantity_millis (&limit) > 0)
    {
      resources->cpu_period = CPU_PERIOD_US;
      resources->cpu_quota = MAX (cube_quantity_millis (&limit) * CPU_PERIOD_US / 1000, 1000);
    }
  if (read_quantity (container, "limits", "memory", &limit))
    resources->memory_limit_bytes = cube_quantity_value (&limit);
  resources->oom_score_adj = oom_score (agent, pod_spec, container);
}
