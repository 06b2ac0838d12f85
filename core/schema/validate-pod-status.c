/* SPDX-License-Identifier: Apache-2.0 */
/* The status of pods and sums of their resources. */
#include "validate-more.h"

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

static void
check_user (CubeFieldErrors *errors, const CubePath *path, CubeView user)
{
  static const char *const ids[] = { "uid", "gid" };
  CubePath groups = CUBE_AT (path, "supplementalGroups");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (guint k = 0; k < G_N_ELEMENTS (ids); k++)
    cube_check_range (errors, path, user, ids[k], 0, G_MAXINT32);
  for (cube_iter_init (&it, cube_view_member (user, "supplementalGroups")); cube_iter_next (&it, NULL, &v); i++)
    if (cube_view_int (v, 0) < 0 || cube_view_int (v, 0) > G_MAXINT32)
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&groups, i), v, "must be between 0 and 2147483647, inclusive");
}

/* What a device plugin tells of one resource of a container. */
static void
check_devices (CubeFieldErrors *errors, const CubePath *path, CubeView devices)
{
  static const char *const words[] = { "Healthy", "Unhealthy", "Unknown", NULL };
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (path, "resources");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, devices); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView id = cube_view_member (v, "resourceID"), message = cube_view_member (v, "message");
      if (!cube_check_unique (&seen, cube_view_string_or (id, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "resourceID"), id, "%s", "");
      cube_check_one_of (errors, &at, v, "health", words);
      if (cube_view_exists (message) && cube_is_empty (message))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "message"), cube_view_none (), "must be non-empty if specified");
      cube_check_bytes (errors, &at, v, "message", 1024);
    }
}

static void
check_allocated (CubeFieldErrors *errors, const CubePath *path, CubeView statuses, CubeView container)
{
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, statuses); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "name"), claims = cube_view_get (container, "resources", "claims");
      const char *text = cube_view_string_or (name, "");
      gboolean is_claim = g_str_has_prefix (text, "claim:"),
               is_known = !is_claim && cube_view_exists (cube_view_get (container, "resources", "requests", text));
      for (guint c = 0; is_claim && !is_known && c < cube_view_length (claims); c++)
        {
          CubeView claim = cube_view_element (claims, c);
          const char *request = cube_view_string_or (cube_view_member (claim, "request"), "");
          g_autofree char *key = g_strconcat ("claim:", cube_view_string_or (cube_view_member (claim, "name"), ""),
                                              *request == '\0' ? "" : "/", request, NULL);
          is_known = strcmp (key, text) == 0;
        }
      if (!is_known && is_claim)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "name"), name,
                        "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or "
                        "'claim:<claimName>' if request is empty");
      else if (!is_known)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "name"), name, "must match one of the container's resource requests");
      check_devices (errors, &at, cube_view_member (v, "resources"));
    }
}

/* Images that are mounted as volumes. */
static void
check_images (CubeFieldErrors *errors, const CubePath *path, CubeView mounts)
{
  CubePath list = CUBE_AT (path, "volumeMounts");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, mounts); cube_iter_next (&it, NULL, &v); i++)
    {
      CubeView image = cube_view_get (v, "volumeStatus", "image");
      CubePath at = CUBE_AT_INDEX (&list, i), status = CUBE_AT (&at, "volumeStatus"), image_at = CUBE_AT (&status, "imageVolumeStatus");
      if (!cube_view_exists (image))
        continue;
      cube_check_required (errors, &image_at, image, "imageRef", "imageRef must not be empty");
      cube_check_bytes (errors, &image_at, image, "imageRef", 256);
    }
}

static void
check_container_statuses (CubeFieldErrors *errors, CubeView spec, CubeView status)
{
  static const char *const lists[][2] = { { "containerStatuses", "containers" },
                                          { "initContainerStatuses", "initContainers" },
                                          { "ephemeralContainerStatuses", NULL } };
  gboolean is_windows = g_strcmp0 (cube_view_get_string (spec, "os", "name"), "windows") == 0;
  for (guint l = 0; l < G_N_ELEMENTS (lists); l++)
    {
      CubePath list = CUBE_AT (&status_path, lists[l][0]);
      CubeIter it;
      CubeView v;
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (status, lists[l][0])); cube_iter_next (&it, NULL, &v); i++)
        {
          CubePath at = CUBE_AT_INDEX (&list, i), user_at = CUBE_AT (&at, "user"), linux_at = CUBE_AT (&user_at, "linux"),
                   allocated_at = CUBE_AT (&at, "allocatedResourcesStatus");
          CubeView user = cube_view_get (v, "user", "linux"), allocated = cube_view_member (v, "allocatedResourcesStatus");
          if (cube_view_exists (user) && is_windows)
            cube_check_forbidden (errors, &linux_at, "cannot be set for a windows pod");
          else if (cube_view_exists (user))
            check_user (errors, &linux_at, user);
          check_images (errors, &at, cube_view_member (v, "volumeMounts"));
          if (cube_view_length (allocated) == 0)
            continue;
          if (lists[l][1] == NULL)
            cube_check_forbidden (errors, &allocated_at, "must not be specified in container status");
          else
            check_allocated (errors, &allocated_at, allocated,
                             named (cube_view_member (spec, lists[l][1]), cube_view_string_or (cube_view_member (v, "name"), "")));
        }
    }
}

static void
check_extended (CubeFieldErrors *errors, CubeView spec, CubeView extended)
{
  CubePath path = CUBE_AT (&status_path, "extendedResourceClaimStatus"), list = CUBE_AT (&path, "requestMappings");
  CubeView mappings = cube_view_member (extended, "requestMappings"), v;
  CubeIter it;
  guint i = 0;
  if (!cube_view_exists (extended))
    return;
  if (cube_view_length (mappings) == 0)
    cube_check_add (errors, "Required", &list, cube_view_none (), "at least one request mapping is required");
  cube_check_required (errors, &path, extended, "resourceClaimName", "");
  for (cube_iter_init (&it, mappings); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "containerName"), resource = cube_view_member (v, "resourceName");
      CubeView container = named (cube_view_member (spec, "containers"), cube_view_string_or (name, ""));
      if (!cube_view_exists (container))
        container = named (cube_view_member (spec, "initContainers"), cube_view_string_or (name, ""));
      if (!cube_view_exists (container))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "containerName"), name,
                        "must match the name of an entry in spec.initContainers.name or spec.containers.name");
      else if (!cube_view_exists (cube_view_get (container, "resources", "requests", cube_view_string_or (resource, ""))))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "resourceName"), resource,
                        "must match the extended resource name of an entry in spec.initContainers.resources.requests or "
                        "spec.containers.resources.requests");
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
  check_container_statuses (errors, spec, status);
  check_extended (errors, spec, cube_view_member (status, "extendedResourceClaimStatus"));
  if (!cube_view_equal (cube_view_member (spec, "nodeName"), cube_view_get (old_object, "spec", "nodeName")))
    cube_check_forbidden (errors, &CUBE_AT (&status_path, "nodeName"), "may not be changed directly");
}
