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

/* ---- downward API: resourceFieldRef ---- */

static gboolean
node_default (const NodeMachine *machine, const char *resource, CubeQuantity *ret)
{
  if (g_str_equal (resource, "cpu"))
    cube_quantity_set_int (ret, machine->cpus, 0, CUBE_QUANTITY_DECIMAL_SI);
  else if (g_str_equal (resource, "memory"))
    cube_quantity_set_int (ret, machine->allocatable_memory_bytes, 0, CUBE_QUANTITY_BINARY_SI);
  else if (g_str_equal (resource, "ephemeral-storage"))
    cube_quantity_set_int (ret, machine->allocatable_disk_bytes, 0, CUBE_QUANTITY_BINARY_SI);
  else
    return FALSE;
  return TRUE;
}

char *
node_downward_resource (CubeView pod, CubeView container, const char *resource, const char *divisor, const NodeMachine *machine, GError **error)
{
  CubeQuantity value, unit;
  const char *dot = resource != NULL ? strchr (resource, '.') : NULL;
  if (dot == NULL || (!g_str_has_prefix (resource, "limits.") && !g_str_has_prefix (resource, "requests.")))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "unsupported container resource : %s", resource != NULL ? resource : "");
      return NULL;
    }
  g_autofree char *list = g_strndup (resource, (gsize) (dot - resource));
  gboolean found = read_quantity (container, list, dot + 1, &value) && cube_quantity_value (&value) > 0;
  if (!found && g_str_equal (list, "limits"))
    found = cube_quantity_from_view (cube_view_get (pod, "spec", "resources", "limits", dot + 1), &value) || node_default (machine, dot + 1, &value);
  if (!found)
    cube_quantity_set_int (&value, 0, 0, CUBE_QUANTITY_DECIMAL_SI);
  if (divisor == NULL || !cube_quantity_parse (divisor, &unit, NULL) || cube_quantity_millis (&unit) <= 0)
    cube_quantity_set_int (&unit, 1, 0, CUBE_QUANTITY_DECIMAL_SI);
  gboolean is_cpu = g_str_equal (dot + 1, "cpu");
  gint64 a = is_cpu ? cube_quantity_millis (&value) : cube_quantity_value (&value);
  gint64 b = MAX (is_cpu ? cube_quantity_millis (&unit) : cube_quantity_value (&unit), 1);
  return g_strdup_printf ("%" G_GINT64_FORMAT, a / b + (a % b > 0));
}
