/* SPDX-License-Identifier: Apache-2.0 */
/* Services: families of addresses, what an update may change, the status. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const char *const source_ranges = "service.beta.kubernetes.io/load-balancer-source-ranges";

static int
family_of (CubeView family)
{
  const char *text = cube_view_string_or (family, "");
  return strcmp (text, "IPv4") == 0 ? 4 : strcmp (text, "IPv6") == 0 ? 6 : 0;
}

static void
check_families (CubeFieldErrors *errors, CubeView spec)
{
  CubeView ips = cube_view_member (spec, "clusterIPs"), families = cube_view_member (spec, "ipFamilies"), v;
  CubePath ips_at = CUBE_AT (&spec_path, "clusterIPs"), families_at = CUBE_AT (&spec_path, "ipFamilies");
  static const char *const known[] = { "IPv4", "IPv6", NULL };
  CubeIter it;
  guint i = 0;
  cube_check_each_of (errors, &spec_path, spec, "ipFamilies", known, FALSE);
  cube_check_distinct (errors, &families_at, families);
  for (cube_iter_init (&it, ips); cube_iter_next (&it, NULL, &v); i++)
    {
      int have = cube_ip_family (cube_view_string (v)), want = family_of (cube_view_element (families, i));
      if (have != 0 && want != 0 && have != want)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&ips_at, i), v, "expected an IPv%d value as indicated by `ipFamilies[%u]`", want,
                        i);
    }
}

static void
check_required (CubeFieldErrors *errors, CubeView spec, const char *type, gboolean is_reachable)
{
  CubeView ip = cube_view_member (spec, "clusterIP"), ips = cube_view_member (spec, "clusterIPs"),
           port = cube_view_member (spec, "healthCheckNodePort");
  gboolean balanced = strcmp (type, "LoadBalancer") == 0, external = strcmp (type, "ExternalName") == 0;
  CubePath ips_at = CUBE_AT (&spec_path, "clusterIPs");
  cube_check_required (errors, &spec_path, spec, "type", "");
  cube_check_required (errors, &spec_path, spec, "sessionAffinity", "");
  if (is_reachable)
    cube_check_required (errors, &spec_path, spec, "externalTrafficPolicy", "");
  if (!external && cube_is_empty (cube_view_member (spec, "internalTrafficPolicy")))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "internalTrafficPolicy"), cube_view_none (), "%s", "");
  if (balanced && !cube_view_exists (cube_view_member (spec, "allocateLoadBalancerNodePorts")))
    cube_field_errors_add (errors, "Required", "allocateLoadBalancerNodePorts", cube_view_none (), "%s", "");
  if (cube_view_int (port, 0) != 0)
    cube_check_range (errors, &spec_path, spec, "healthCheckNodePort", 1, 65535);
  if (external)
    return;
  if (cube_is_empty (ip) && cube_view_length (ips) > 0)
    cube_check_add (errors, "Invalid", &ips_at, ips, "must be empty when `clusterIP` is not specified");
}

static void
check_annotations (CubeFieldErrors *errors, CubeView object, const char *type)
{
  static const CubePath metadata = { NULL, "metadata", 0, FALSE };
  CubePath at = CUBE_AT (&metadata, "annotations");
  CubeView annotations = cube_view_get (object, "metadata", "annotations");
  if (cube_view_length (annotations) == 0)
    return;
  CubeView mode = cube_view_member (annotations, "service.kubernetes.io/topology-mode"),
           hints = cube_view_member (annotations, "service.kubernetes.io/topology-aware-hints");
  if (cube_view_exists (mode) && cube_view_exists (hints) && !cube_view_equal (mode, hints))
    cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, "service.kubernetes.io/topology-mode"), mode,
                    "must match annotations[service.kubernetes.io/topology-aware-hints] when both are specified");
  CubeView ranges = cube_view_member (annotations, source_ranges);
  if (!cube_view_exists (ranges) || cube_view_length (cube_view_get (object, "spec", "loadBalancerSourceRanges")) > 0)
    return;
  if (strcmp (type, "LoadBalancer") != 0)
    {
      cube_check_forbidden (errors, &CUBE_AT_KEY (&at, source_ranges), "may only be used when `type` is 'LoadBalancer'");
      return;
    }
  g_auto (GStrv) list = g_strsplit (cube_view_string_or (ranges, ""), ",", -1);
  for (guint i = 0; list[i] != NULL; i++)
    if (*g_strstrip (list[i]) != '\0' && cube_cidr_family (list[i]) == 0)
      {
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, source_ranges), ranges,
                        "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        break;
      }
}

void
cube_check_service_more (CubeFieldErrors *errors, CubeView object, const char *type, gboolean is_reachable)
{
  CubeView spec = cube_view_member (object, "spec");
  check_families (errors, spec);
  check_required (errors, spec, type, is_reachable);
  check_annotations (errors, object, type);
}

/* ---- update ---- */

static void
check_list_change (CubeFieldErrors *errors, CubeView spec, CubeView old, const char *field, const char *unset, const char *release)
{
  CubeView now = cube_view_member (spec, field), before = cube_view_member (old, field);
  CubePath at = CUBE_AT (&spec_path, field);
  guint n = cube_view_length (now), n_before = cube_view_length (before);
  if (n_before == 0)
    return;
  if (n == 0)
    {
      cube_check_add_null (errors, "Invalid", &CUBE_AT_INDEX (&at, 0), unset);
      return;
    }
  for (guint i = 0; i < (n == n_before ? n : 1); i++)
    if (!cube_is_empty (cube_view_element (before, i)) && !cube_view_equal (cube_view_element (now, i), cube_view_element (before, i)))
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, i), now, "may not change once set");
  if (n < n_before && g_strcmp0 (cube_view_get_string (spec, "ipFamilyPolicy"), "SingleStack") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "ipFamilyPolicy"), cube_view_member (spec, "ipFamilyPolicy"), "%s", release);
}

static gboolean
needs_health_port (CubeView spec)
{
  return g_strcmp0 (cube_view_get_string (spec, "type"), "LoadBalancer") == 0
         && g_strcmp0 (cube_view_get_string (spec, "externalTrafficPolicy"), "Local") == 0;
}

void
cube_check_service_update (CubeFieldErrors *errors, CubeView spec, CubeView old)
{
  const char *type = cube_view_string_or (cube_view_member (spec, "type"), ""),
             *old_type = cube_view_string_or (cube_view_member (old, "type"), "");
  CubeView port = cube_view_member (spec, "healthCheckNodePort"), old_port = cube_view_member (old, "healthCheckNodePort");
  gboolean was_headless = g_strcmp0 (cube_view_get_string (old, "clusterIP"), "None") == 0,
           is_headless = g_strcmp0 (cube_view_get_string (spec, "clusterIP"), "None") == 0;
  if (needs_health_port (spec) && needs_health_port (old) && cube_view_int (old_port, 0) != 0
      && cube_view_int (port, 0) != cube_view_int (old_port, 0))
    cube_check_forbidden (errors, &CUBE_AT (&spec_path, "healthCheckNodePort"), "field is immutable");
  if (strcmp (type, "LoadBalancer") == 0 && strcmp (old_type, "LoadBalancer") == 0)
    cube_check_immutable (errors, &spec_path, spec, old, "loadBalancerClass", "may not change once set");
  if (strcmp (type, "ExternalName") == 0 || strcmp (old_type, "ExternalName") == 0)
    return;
  if (!(was_headless && is_headless))
    check_list_change (errors, spec, old, "clusterIPs", "primary clusterIP can not be unset",
                       "must be set to 'SingleStack' when releasing the secondary clusterIP");
  /* headless services without a selector keep their families open; families left out are filled in with the addresses */
  gboolean is_open = was_headless && is_headless && cube_view_length (cube_view_member (old, "selector")) == 0,
           is_left_out = cube_view_length (cube_view_member (spec, "ipFamilies")) == 0
                         && cube_view_length (cube_view_member (spec, "clusterIPs")) > 0;
  if (!is_open && !is_left_out)
    check_list_change (errors, spec, old, "ipFamilies", "primary ipFamily can not be unset",
                       "must be set to 'SingleStack' when releasing the secondary ipFamily");
}

void
cube_check_service_status (CubeFieldErrors *errors, CubeView object)
{
  static const CubePath status_path = { NULL, "status", 0, FALSE };
  CubePath at = CUBE_AT (&status_path, "loadBalancer");
  CubeView balancer = cube_view_get (object, "status", "loadBalancer");
  if (cube_view_length (cube_view_member (balancer, "ingress")) > 0
      && g_strcmp0 (cube_view_get_string (object, "spec", "type"), "LoadBalancer") != 0)
    cube_check_forbidden (errors, &CUBE_AT (&at, "ingress"), "may only be used when `spec.type` is 'LoadBalancer'");
  cube_check_balancer_status (errors, &at, balancer, TRUE);
}
