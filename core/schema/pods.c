/* SPDX-License-Identifier: Apache-2.0 */
/* Pods: the one iterator over containers, resources as scheduler and quota count them, quality of service. */
#include "types.h"

static const struct {
  CubeContainerKind kind;
  const char *list;
} stages[] = {
  { CUBE_CONTAINER_INIT, "initContainers" },
  { CUBE_CONTAINER_REGULAR, "containers" },
  { CUBE_CONTAINER_EPHEMERAL, "ephemeralContainers" },
};

void
cube_containers_init (CubeContainerIter *iter, CubeView pod_spec, guint kinds)
{
  memset (iter, 0, sizeof *iter);
  iter->spec = pod_spec;
  iter->mask = kinds;
}

gboolean
cube_containers_next (CubeContainerIter *iter, CubeView *ret_container, CubeContainerKind *ret_kind, guint *ret_index)
{
  for (; iter->stage < G_N_ELEMENTS (stages); iter->stage++, iter->is_open = FALSE)
    {
      if ((iter->mask & stages[iter->stage].kind) == 0)
        continue;
      if (!iter->is_open)
        {
          cube_iter_init (&iter->it, cube_view_member (iter->spec, stages[iter->stage].list));
          iter->is_open = TRUE;
          iter->index = 0;
        }
      CubeView container;
      if (!cube_iter_next (&iter->it, NULL, &container))
        continue;
      if (ret_container != NULL)
        *ret_container = container;
      if (ret_kind != NULL)
        *ret_kind = stages[iter->stage].kind;
      if (ret_index != NULL)
        *ret_index = iter->index;
      iter->index++;
      return TRUE;
    }
  return FALSE;
}

/* ---- resources ---- */

static gint64
amount (CubeView quantities, const char *resource)
{
  CubeQuantity quantity;
  if (!cube_quantity_from_view (cube_view_member (quantities, resource), &quantity))
    return 0;
  return strcmp (resource, "cpu") == 0 ? cube_quantity_millis (&quantity) : cube_quantity_value (&quantity);
}

static gboolean
is_sidecar (CubeView container)
{
  return g_strcmp0 (cube_view_get_string (container, "restartPolicy"), "Always") == 0;
}

static gint64
add_saturating (gint64 a, gint64 b)
{
  gint64 sum;
  return __builtin_add_overflow (a, b, &sum) ? G_MAXINT64 : sum;
}

static gint64
pod_total (CubeView spec, const char *resource, const char *side)
{
  gint64 total = 0, sidecars = 0, highest = 0;
  CubeContainerIter iter;
  CubeView container;
  CubeContainerKind kind;
  cube_containers_init (&iter, spec, CUBE_CONTAINER_INIT | CUBE_CONTAINER_REGULAR);
  while (cube_containers_next (&iter, &container, &kind, NULL))
    {
      gint64 own = amount (cube_view_get (container, "resources", side), resource);
      if (kind == CUBE_CONTAINER_REGULAR)
        {
          total = add_saturating (total, own);
        }
      else if (is_sidecar (container))
        {
          sidecars = add_saturating (sidecars, own);
          highest = MAX (highest, sidecars);
        }
      else
        {
          highest = MAX (highest, add_saturating (sidecars, own));
        }
    }
  total = MAX (add_saturating (total, sidecars), highest);
  CubeView level = cube_view_get (spec, "resources", side, resource);
  if (cube_view_exists (level)
      && (strcmp (resource, "cpu") == 0 || strcmp (resource, "memory") == 0 || g_str_has_prefix (resource, "hugepages-")))
    total = amount (cube_view_get (spec, "resources", side), resource);
  return total;
}

gint64
cube_pod_request (CubeView pod_spec, const char *resource)
{
  gint64 total = pod_total (pod_spec, resource, "requests");
  return add_saturating (total, amount (cube_view_member (pod_spec, "overhead"), resource));
}

gint64
cube_pod_limit (CubeView pod_spec, const char *resource)
{
  gint64 total = pod_total (pod_spec, resource, "limits");
  return total == 0 ? 0 : add_saturating (total, amount (cube_view_member (pod_spec, "overhead"), resource));
}

/* ---- quality of service ---- */

typedef struct {
  gint64 requests[2], limits[2]; /* cpu millis, memory bytes */
  gboolean all_limited;
} Qos;

static void
count_qos (Qos *qos, CubeView resources)
{
  static const char *const names[2] = { "cpu", "memory" };
  for (guint i = 0; i < 2; i++)
    {
      gint64 limit = amount (cube_view_member (resources, "limits"), names[i]);
      qos->requests[i] = add_saturating (qos->requests[i], amount (cube_view_member (resources, "requests"), names[i]));
      qos->limits[i] = add_saturating (qos->limits[i], limit);
      qos->all_limited &= limit > 0;
    }
}

const char *
cube_pod_qos_class (CubeView pod_spec)
{
  Qos qos = { { 0, 0 }, { 0, 0 }, TRUE };
  CubeView level = cube_view_member (pod_spec, "resources");
  if (cube_view_length (cube_view_member (level, "requests")) > 0 || cube_view_length (cube_view_member (level, "limits")) > 0)
    {
      count_qos (&qos, level);
    }
  else
    {
      CubeContainerIter iter;
      CubeView container;
      cube_containers_init (&iter, pod_spec, CUBE_CONTAINER_INIT | CUBE_CONTAINER_REGULAR);
      while (cube_containers_next (&iter, &container, NULL, NULL))
        count_qos (&qos, cube_view_member (container, "resources"));
    }
  if (qos.requests[0] == 0 && qos.requests[1] == 0 && qos.limits[0] == 0 && qos.limits[1] == 0)
    return "BestEffort";
  gboolean equal = qos.requests[0] == qos.limits[0] && qos.requests[1] == qos.limits[1];
  return qos.all_limited && equal ? "Guaranteed" : "Burstable";
}

CubeView
cube_condition_find (CubeView status, const char *type)
{
  CubeIter it;
  CubeView condition;
  for (cube_iter_init (&it, cube_view_member (status, "conditions")); cube_iter_next (&it, NULL, &condition);)
    if (g_strcmp0 (cube_view_get_string (condition, "type"), type) == 0)
      return condition;
  return cube_view_none ();
}

gboolean
cube_condition_is_true (CubeView status, const char *type)
{
  return g_strcmp0 (cube_view_get_string (cube_condition_find (status, type), "status"), "True") == 0;
}
