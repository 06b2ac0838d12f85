/* SPDX-License-Identifier: Apache-2.0 */
/* The status of pods, sums of their resources, resizes, and pods of Windows. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- resources of the pod ---- */

static gboolean
sum_of (CubeView spec, const char *side, const char *name, CubeQuantity *sum)
{
  gboolean has_any = FALSE;
  CubeQuantity quantity;
  CubeIter it;
  CubeView v;
  cube_quantity_set_int (sum, 0, 0, CUBE_QUANTITY_DECIMAL_SI);
  for (cube_iter_init (&it, cube_view_member (spec, "containers")); cube_iter_next (&it, NULL, &v);)
    if (cube_quantity_from_view (cube_view_get (v, "resources", side, name), &quantity))
      {
        cube_quantity_add (sum, &quantity);
        has_any = TRUE;
      }
  return has_any;
}

static void
check_container_limits (CubeFieldErrors *errors, const CubePath *path, CubeView spec, CubeView limits)
{
  CubePath list = CUBE_AT (path, "containers");
  CubeIter it, inner;
  const char *name;
  CubeView container, limit;
  CubeQuantity a, b;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "containers")); cube_iter_next (&it, NULL, &container); i++)
    for (cube_iter_init (&inner, limits); cube_iter_next (&inner, &name, &limit);)
      {
        CubeView own = cube_view_get (container, "resources", "limits", name);
        CubePath at = CUBE_AT_INDEX (&list, i), key = CUBE_AT_KEY (&at, name);
        if (cube_quantity_from_view (own, &a) && cube_quantity_from_view (limit, &b) && cube_quantity_compare (&a, &b) > 0)
          cube_check_add (errors, "Invalid", &CUBE_AT (&key, "limits"), own, "must be less than or equal to pod limits of %s",
                          cube_view_string_or (limit, ""));
      }
}

void
cube_check_pod_sums (CubeFieldErrors *errors, const CubePath *path, CubeView spec, CubeView resources)
{
  static const char *const sides[] = { "requests", "limits" };
  CubeIter it;
  const char *name;
  CubeView v;
  CubeQuantity own, sum;
  char text[64];
  for (guint i = 0; i < 2; i++)
    {
      CubePath side = CUBE_AT (path, sides[i]);
      for (cube_iter_init (&it, cube_view_member (resources, sides[i])); cube_iter_next (&it, &name, &v);)
        {
          if (i == 1 && !g_str_has_prefix (name, "hugepages-"))
            continue;
          if (!cube_quantity_from_view (v, &own) || !sum_of (spec, sides[i], name, &sum) || cube_quantity_compare (&own, &sum) >= 0)
            continue;
          cube_quantity_format (&sum, text);
          cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&side, name), v, "must be greater than or equal to aggregate container %s of %s",
                          sides[i], text);
        }
    }
  check_container_limits (errors, path, spec, cube_view_member (resources, "limits"));
}

/* ---- status ---- */

static CubeView
named (CubeView list, const char *name)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_string (cube_view_member (v, "name")), name) == 0)
      return v;
  return cube_view_none ();
}

static void
check_addresses (CubeFieldErrors *errors, CubeView status)
{
  static const char *const lists[][2] = { { "podIPs", "podIP" }, { "hostIPs", "hostIP" } };
  for (guint i = 0; i < 2; i++)
    {
      CubePath list = CUBE_AT (&status_path, lists[i][0]);
      CubeView all = cube_view_member (status, lists[i][0]), single = cube_view_member (status, lists[i][1]), v;
      int families[2] = { 0, 0 };
      CubeIter it;
      guint j = 0;
      for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &v); j++)
        {
          CubeView ip = cube_view_member (v, "ip");
          int family = cube_ip_family (cube_view_string_or (ip, ""));
          CubePath at = CUBE_AT_INDEX (&list, j);
          if (family == 0)
            cube_check_ip (errors, i == 0 ? &at : &CUBE_AT (&at, "ip"), ip);
          if (j < 2)
            families[j] = family;
          if (i == 1 && j == 0 && !cube_is_empty (single) && !cube_view_equal (ip, single))
            cube_check_add (errors, "Invalid", &CUBE_AT (&at, "ip"), ip, "must be equal to `hostIP`");
        }
      if (j > 2 || (j == 2 && families[0] != 0 && families[0] == families[1]))
        cube_check_add (errors, "Invalid", &list, all, "may specify no more than one IP for each IP family");
    }
}

static void
check_claim_statuses (CubeFieldErrors *errors, CubeView spec, CubeView status)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (&status_path, "resourceClaimStatuses");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (status, "resourceClaimStatuses")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      const char *text = cube_view_string_or (name, "");
      if (!cube_view_exists (named (cube_view_member (spec, "resourceClaims"), text)))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "name"), name, "must match the name of an entry in `spec.resourceClaims`");
      if (!cube_check_unique (&seen, text))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
      cube_check_name (errors, &at, v, "resourceClaimName", cube_name_check_dns1123_subdomain);
    }
}

static void
check_conditions (CubeFieldErrors *errors, CubeView status)
{
  static const char *const own[] = { "PodScheduled", "Ready", "Initialized", NULL };
  CubePath list = CUBE_AT (&status_path, "conditions");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (status, "conditions")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView type = cube_view_member (v, "type");
      const char *text = cube_view_string_or (type, ""), *why = g_strv_contains (own, text) ? NULL : cube_name_check_qualified (text);
      if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "Type"), type, "%s", why);
      cube_check_least (errors, &at, v, "observedGeneration", 0, "must be a non-negative integer");
    }
}

void
cube_check_pod_status (CubeFieldErrors *errors, CubeView object, CubeView old_object)
{
  CubeView status = cube_view_member (object, "status"), old = cube_view_member (old_object, "status"),
           spec = cube_view_member (object, "spec");
  CubeView nominated = cube_view_member (status, "nominatedNodeName");
  check_conditions (errors, status);
  cube_check_least (errors, &status_path, status, "observedGeneration", 0, "must be a non-negative integer");
  if (!cube_is_empty (nominated) && !cube_view_equal (nominated, cube_view_member (old, "nominatedNodeName")))
    cube_check_name (errors, &status_path, status, "nominatedNodeName", cube_name_check_dns1123_subdomain);
  check_addresses (errors, status);
  check_claim_statuses (errors, spec, status);
}

/* ---- resize ---- */

void
cube_check_pod_resize (CubeFieldErrors *errors, CubeView object, CubeView old)
{
  static const char *const lists[] = { "containers", "initContainers" }, *const sides[] = { "requests", "limits" };
  CubeView resources = cube_view_get (object, "spec", "resources"), before = cube_view_get (old, "spec", "resources");
  CubePath resources_at = CUBE_AT (&spec_path, "resources");
  CubeIter it;
  const char *key;
  for (guint i = 0; i < 2; i++)
    {
      CubePath at = CUBE_AT (&spec_path, lists[i]);
      CubeView now = cube_view_get (object, "spec", lists[i]), past = cube_view_get (old, "spec", lists[i]);
      for (guint c = 0; c < cube_view_length (now) && cube_view_length (now) == cube_view_length (past); c++)
        if (!cube_view_equal (cube_view_member (cube_view_element (now, c), "name"),
                              cube_view_member (cube_view_element (past, c), "name")))
          {
            CubePath here = CUBE_AT_INDEX (&at, c);
            cube_check_add (errors, "Forbidden", &CUBE_AT (&here, "name"), cube_view_none (),
                            "%s may not be renamed or reordered on resize", lists[i]);
          }
    }
  if (!cube_view_exists (before))
    return;
  if (!cube_view_exists (resources))
    {
      cube_check_forbidden (errors, &resources_at, "pod-level resources cannot be removed");
      return;
    }
  for (guint i = 0; i < 2; i++)
    for (cube_iter_init (&it, cube_view_member (before, sides[i])); cube_iter_next (&it, &key, NULL);)
      if (!cube_view_exists (cube_view_get (resources, sides[i], key)))
        {
          cube_check_add (errors, "Forbidden", &CUBE_AT (&resources_at, sides[i]), cube_view_none (),
                          "pod-level resource %s cannot be removed", sides[i]);
          break;
        }
}
