/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of services and what they lead to. */
#include "validate-more.h"
#include <arpa/inet.h>

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- addresses ---- */

/* Addresses that mean something only on one machine or one link. */
void
cube_check_reachable (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  struct in_addr four;
  struct in6_addr six;
  const char *text = cube_view_string_or (value, ""), *why = NULL;
  if (inet_pton (AF_INET, text, &four) == 1)
    {
      guint32 address = ntohl (four.s_addr);
      if (address == 0)
        {
          cube_check_add (errors, "Invalid", path, value, "may not be unspecified (%s)", text);
          return;
        }
      if (address >> 24 == 127)
        why = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
      else if (address >> 16 == 0xa9fe)
        why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
      else if (address >> 8 == 0xe00000)
        why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    }
  else if (inet_pton (AF_INET6, text, &six) == 1)
    {
      if (IN6_IS_ADDR_UNSPECIFIED (&six))
        {
          cube_check_add (errors, "Invalid", path, value, "may not be unspecified (%s)", text);
          return;
        }
      if (IN6_IS_ADDR_LOOPBACK (&six))
        why = "may not be in the loopback range (127.0.0.0/8, ::1/128)";
      else if (IN6_IS_ADDR_LINKLOCAL (&six))
        why = "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
      else if (IN6_IS_ADDR_MC_LINKLOCAL (&six))
        why = "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)";
    }
  if (why != NULL)
    cube_check_add (errors, "Invalid", path, value, "%s", why);
}

static const char *
check_host (const char *text)
{
  if (*text != '*')
    return cube_name_check_dns1123_subdomain (text);
  if (text[1] == '.' && cube_name_check_dns1123_subdomain (text + 2) == NULL)
    return NULL;
  return "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric "
         "characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is "
         "'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
}

/* ---- Service ---- */

static void
check_service_port (CubeFieldErrors *errors, const CubePath *at, CubeView port, gboolean needs_name, const char *type)
{
  CubeView node = cube_view_member (port, "nodePort");
  if (needs_name)
    cube_check_required (errors, at, port, "name", "");
  cube_check_name (errors, at, port, "name", cube_name_check_dns1123_label);
  if (cube_view_get_int (port, 0, "port") < 1 || cube_view_get_int (port, 0, "port") > 65535)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "port"), cube_view_member (port, "port"), "must be between 1 and 65535, inclusive");
  if (cube_view_exists (cube_view_member (port, "targetPort")))
    cube_check_port (errors, &CUBE_AT (at, "targetPort"), cube_view_member (port, "targetPort"));
  cube_check_name (errors, at, port, "appProtocol", cube_name_check_qualified);
  if (strcmp (type, "ClusterIP") == 0 && cube_view_int (node, 0) != 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (at, "nodePort"), cube_view_none (), "may not be used when `type` is 'ClusterIP'");
}

static void
check_service_ports (CubeView spec, const char *type, CubeFieldErrors *errors)
{
  g_autoptr (GHashTable) names = NULL, numbers = NULL, nodes = NULL;
  CubeView ports = cube_view_member (spec, "ports"), v;
  CubePath list = CUBE_AT (&spec_path, "ports");
  CubeIter it;
  guint i = 0, n = cube_view_length (ports);
  gboolean headless = g_strcmp0 (cube_view_string (cube_view_member (spec, "clusterIP")), "None") == 0;
  if (n == 0 && !headless && strcmp (type, "ExternalName") != 0)
    cube_check_add (errors, "Required", &list, cube_view_none (), "%s", "");
  for (cube_iter_init (&it, ports); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name"), node = cube_view_member (v, "nodePort");
      const char *protocol = cube_view_string_or (cube_view_member (v, "protocol"), "TCP");
      check_service_port (errors, &at, v, n > 1, type);
      if (!cube_is_empty (name) && !cube_check_unique (&names, cube_view_string_or (name, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
      g_autofree char *pair =
          g_strdup_printf ("{\"protocol\":\"%s\",\"port\":%" G_GINT64_FORMAT "}", protocol, cube_view_get_int (v, 0, "port"));
      if (!cube_check_unique (&numbers, pair))
        {
          g_autoptr (CubeValue) shown = cube_value_from_json (pair, -1, NULL, NULL);
          cube_check_add (errors, "Duplicate", &at, shown == NULL ? cube_view_none () : cube_value_root (shown), "%s", "");
        }
      g_autofree char *node_pair = g_strdup_printf ("%s/%" G_GINT64_FORMAT, protocol, cube_view_int (node, 0));
      if (cube_view_int (node, 0) != 0 && !cube_check_unique (&nodes, node_pair))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "nodePort"), node, "%s", "");
    }
}

static void
check_affinity (CubeView spec, CubeFieldErrors *errors)
{
  CubeView affinity = cube_view_member (spec, "sessionAffinity"), config = cube_view_member (spec, "sessionAffinityConfig");
  CubeView seconds = cube_view_get (config, "clientIP", "timeoutSeconds");
  CubePath at = CUBE_AT (&spec_path, "sessionAffinityConfig"), client_at = CUBE_AT (&at, "clientIP");
  const char *text = cube_view_string_or (affinity, "");
  if (strcmp (text, "None") == 0 && cube_view_exists (config))
    cube_check_add (errors, "Forbidden", &at, cube_view_none (), "must not be set when session affinity is None");
  if (strcmp (text, "ClientIP") != 0)
    return;
  if (!cube_view_exists (config))
    cube_check_add (errors, "Required", &at, cube_view_none (), "when session affinity type is ClientIP");
  else if (!cube_view_exists (cube_view_member (config, "clientIP")))
    cube_check_add (errors, "Required", &client_at, cube_view_none (), "when session affinity type is ClientIP");
  else if (!cube_view_exists (seconds))
    cube_check_add (errors, "Required", &CUBE_AT (&client_at, "timeoutSeconds"), cube_view_none (),
                    "when session affinity type is ClientIP");
  else if (cube_view_exists (seconds) && (cube_view_int (seconds, 0) < 1 || cube_view_int (seconds, 0) > 86400))
    cube_check_add (errors, "Invalid", &CUBE_AT (&client_at, "timeoutSeconds"), seconds, "must be greater than 0 and less than 86400");
}

static void
check_cluster_ips (CubeView spec, const char *type, CubeFieldErrors *errors)
{
  static const char *const external_forbids[] = { "clusterIPs", "ipFamilies", "ipFamilyPolicy" };
  CubeView ips = cube_view_member (spec, "clusterIPs"), first = cube_view_element (ips, 0), ip = cube_view_member (spec, "clusterIP"), v;
  CubePath list = CUBE_AT (&spec_path, "clusterIPs");
  if (strcmp (type, "ExternalName") == 0)
    {
      for (guint i = 0; i < G_N_ELEMENTS (external_forbids); i++)
        if (!cube_is_empty (cube_view_member (spec, external_forbids[i])))
          cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, external_forbids[i]), cube_view_none (),
                          "may not be set for ExternalName services");
      return;
    }
  gboolean headless = g_strcmp0 (cube_view_string (ip), "None") == 0;
  if (headless && (strcmp (type, "LoadBalancer") == 0 || strcmp (type, "NodePort") == 0))
    cube_check_add_text (errors, "Invalid", &CUBE_AT_INDEX (&list, 0), "None", "may not be set to 'None' for %s services", type);
  if (!cube_is_empty (ip) && cube_view_exists (first) && !cube_view_equal (ip, first))
    cube_check_add (errors, "Invalid", &list, ips, "first value must match `clusterIP`");
  if (cube_view_length (ips) > 2)
    cube_check_add (errors, "Invalid", &list, ips, "may only hold up to 2 values");
  CubeIter it;
  guint i = 0;
  for (cube_iter_init (&it, ips); cube_iter_next (&it, NULL, &v); i++)
    {
      if (g_strcmp0 (cube_view_string (v), "None") == 0)
        {
          if (cube_view_length (ips) > 1)
            cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "'None' must be the first and only value");
        }
      else if (!cube_is_empty (v))
        {
          cube_check_ip (errors, &CUBE_AT_INDEX (&list, i), v);
        }
    }
  if (cube_view_length (ips) == 0 && !cube_is_empty (ip) && !headless)
    cube_check_ip (errors, &CUBE_AT_INDEX (&list, 0), ip);
  int a = cube_ip_family (cube_view_string (first)), b = cube_ip_family (cube_view_string (cube_view_element (ips, 1)));
  if (a != 0 && a == b)
    cube_check_add (errors, "Invalid", &list, ips, "may specify no more than one IP for each IP family");
}

static gboolean
is_reachable (CubeView spec, const char *type)
{
  return strcmp (type, "LoadBalancer") == 0 || strcmp (type, "NodePort") == 0
         || (strcmp (type, "ClusterIP") == 0 && cube_view_length (cube_view_member (spec, "externalIPs")) > 0);
}

static void
check_type_fields (CubeView spec, const char *type, CubeFieldErrors *errors)
{
  gboolean balanced = strcmp (type, "LoadBalancer") == 0;
  gboolean external = is_reachable (spec, type);
  CubeView policy = cube_view_member (spec, "externalTrafficPolicy"), health = cube_view_member (spec, "healthCheckNodePort");
  static const char *const balancer_only[][2] = { { "allocateLoadBalancerNodePorts", "allocateLoadBalancerNodePorts" },
                                                  { "loadBalancerClass", "loadBalancerClass" },
                                                  { "loadBalancerSourceRanges", "LoadBalancerSourceRanges" } };
  for (guint i = 0; i < G_N_ELEMENTS (balancer_only) && !balanced; i++)
    if (!cube_is_empty (cube_view_member (spec, balancer_only[i][0])))
      cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, balancer_only[i][1]), cube_view_none (),
                      "may only be used when `type` is 'LoadBalancer'");
  cube_check_name (errors, &spec_path, spec, "loadBalancerClass", cube_name_check_qualified);
  if (!cube_is_empty (policy) && !external)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "externalTrafficPolicy"), policy,
                    "may only be set for externally-accessible services");
  if (cube_view_int (health, 0) != 0 && !(balanced && g_strcmp0 (cube_view_string (policy), "Local") == 0))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "healthCheckNodePort"), health,
                    "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
  CubeView spread = cube_view_member (spec, "trafficDistribution");
  const char *how = cube_view_string (spread);
  if (how != NULL && strcmp (how, "PreferClose") != 0 && strcmp (how, "PreferSameZone") != 0 && strcmp (how, "PreferSameNode") != 0)
    cube_check_add (errors, "NotSupported", &CUBE_AT (&spec_path, "trafficDistribution"), spread,
                    "supported values: \"PreferClose\", \"PreferSameZone\", \"PreferSameNode\"");
  CubePath ranges = CUBE_AT (&spec_path, "LoadBalancerSourceRanges");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "loadBalancerSourceRanges")); balanced && cube_iter_next (&it, NULL, &v); i++)
    {
      g_autofree char *text = g_strstrip (g_strdup (cube_view_string_or (v, "")));
      if (cube_cidr_family (text) == 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&ranges, i), v,
                        "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
    }
}

void
cube_hook_service (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), external = cube_view_member (spec, "externalName"), v;
  const char *type = cube_view_string_or (cube_view_member (spec, "type"), "ClusterIP");
  CubePath list = CUBE_AT (&spec_path, "externalIPs");
  CubeIter it;
  guint i = 0;
  if (strcmp (subresource, "status") == 0)
    cube_check_service_status (errors, object);
  if (*subresource != '\0')
    return;
  check_service_ports (spec, type, errors);
  check_cluster_ips (spec, type, errors);
  if (strcmp (type, "ExternalName") == 0)
    {
      g_autofree char *name = g_strdup (cube_view_string_or (external, ""));
      gsize length = strlen (name);
      const char *why;
      if (length > 0 && name[length - 1] == '.')
        name[length - 1] = '\0';
      if (length == 0)
        cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "externalName"), cube_view_none (), "%s", "");
      else if ((why = cube_name_check_dns1123_subdomain (name)) != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "externalName"), external, "%s", why);
    }
  cube_check_labels (errors, &CUBE_AT (&spec_path, "selector"), cube_view_member (spec, "selector"));
  check_affinity (spec, errors);
  for (cube_iter_init (&it, cube_view_member (spec, "externalIPs")); cube_iter_next (&it, NULL, &v); i++)
    {
      cube_check_ip (errors, &CUBE_AT_INDEX (&list, i), v);
      cube_check_reachable (errors, &CUBE_AT_INDEX (&list, i), v);
    }
  check_type_fields (spec, type, errors);
  cube_check_service_more (errors, object, type, is_reachable (spec, type));
  if (cube_view_exists (old))
    cube_check_service_update (errors, spec, cube_view_member (old, "spec"));
}

void
cube_warn_service (CubeView object, CubeView old, GPtrArray *warnings)
{
  CubeView spec = cube_view_member (object, "spec");
  const char *type = cube_view_string_or (cube_view_member (spec, "type"), "");
  gboolean headless = g_strcmp0 (cube_view_string (cube_view_member (spec, "clusterIP")), "None") == 0,
           external = strcmp (type, "ExternalName") == 0;
  gboolean has_ips = cube_view_length (cube_view_member (spec, "externalIPs")) > 0;
  const char *affinity = cube_view_string_or (cube_view_member (spec, "sessionAffinity"), "None");
  if (cube_view_exists (cube_view_get (object, "metadata", "annotations", "service.kubernetes.io/topology-aware-hints")))
    g_ptr_array_add (warnings, g_strdup ("annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
                                         "service.kubernetes.io/topology-mode instead"));
  if (headless && !cube_is_empty (cube_view_member (spec, "loadBalancerIP")))
    g_ptr_array_add (warnings, g_strdup ("spec.loadBalancerIP is ignored for headless services"));
  if (headless && strcmp (affinity, "None") != 0)
    g_ptr_array_add (warnings, g_strdup ("spec.SessionAffinity is ignored for headless services"));
  if (has_ips)
    g_ptr_array_add (warnings, g_strdup (headless   ? "spec.externalIPs is ignored for headless services"
                                         : external ? "spec.externalIPs is ignored when spec.type is \"ExternalName\""
                                                    : "spec.externalIPs is deprecated and may no longer be implemented in some clusters"));
  if (!external && !cube_is_empty (cube_view_member (spec, "externalName")))
    g_ptr_array_add (warnings, g_strdup ("spec.externalName is ignored when spec.type is not \"ExternalName\""));
  if (g_strcmp0 (cube_view_string (cube_view_member (spec, "trafficDistribution")), "PreferClose") == 0)
    g_ptr_array_add (warnings, g_strdup ("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\""));
}

/* ---- Endpoints and EndpointSlice ---- */

void
cube_hook_endpoints (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const lists[] = { "addresses", "notReadyAddresses" };
  CubePath subsets = { NULL, "subsets", 0, FALSE };
  CubeView all = cube_view_member (object, "subsets"), v, a;
  CubeIter it, inner;
  guint i = 0;
  if (*subresource != '\0' || cube_view_equal (all, cube_view_member (old, "subsets")))
    return;
  for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&subsets, i), ports_at = CUBE_AT (&at, "ports");
      CubeView ports = cube_view_member (v, "ports");
      if (cube_view_length (cube_view_member (v, "addresses")) + cube_view_length (cube_view_member (v, "notReadyAddresses")) == 0)
        cube_check_add (errors, "Required", &at, cube_view_none (), "must specify `addresses` or `notReadyAddresses`");
      for (guint l = 0; l < 2; l++)
        {
          CubePath list = CUBE_AT (&at, lists[l]);
          guint j = 0;
          for (cube_iter_init (&inner, cube_view_member (v, lists[l])); cube_iter_next (&inner, NULL, &a); j++)
            {
              CubePath address = CUBE_AT_INDEX (&list, j);
              cube_check_ip (errors, &CUBE_AT (&address, "ip"), cube_view_member (a, "ip"));
              cube_check_reachable (errors, &CUBE_AT (&address, "ip"), cube_view_member (a, "ip"));
              cube_check_name (errors, &address, a, "hostname", cube_name_check_dns1123_label);
              cube_check_name (errors, &address, a, "nodeName", cube_name_check_dns1123_subdomain);
            }
        }
      guint j = 0;
      for (cube_iter_init (&inner, ports); cube_iter_next (&inner, NULL, &a); j++)
        {
          CubePath port = CUBE_AT_INDEX (&ports_at, j);
          if (cube_view_length (ports) > 1)
            cube_check_required (errors, &port, a, "name", "");
          cube_check_name (errors, &port, a, "name", cube_name_check_dns1123_label);
          cube_check_range (errors, &port, a, "port", 1, 65535);
          cube_check_required (errors, &port, a, "protocol", "");
          cube_check_name (errors, &port, a, "appProtocol", cube_name_check_qualified);
        }
    }
}

static void
check_hints (CubeFieldErrors *errors, const CubePath *path, CubeView hints, const char *field, CubeNameCheck check)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (path, field);
  CubeIter it;
  CubeView v;
  guint i = 0;
  cube_check_count (errors, path, hints, field, 8);
  for (cube_iter_init (&it, cube_view_member (hints, field)); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      if (!cube_check_unique (&seen, cube_view_string_or (name, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
      cube_check_name (errors, &at, v, "name", check);
    }
}

/* An IPv6 address as it is always written; forms with an IPv4 address in them are left alone. */
static void
check_canonical (CubeFieldErrors *errors, const CubePath *at, CubeView value)
{
  const char *text = cube_view_string_or (value, "");
  struct in6_addr address;
  char shown[INET6_ADDRSTRLEN];
  if (strchr (text, '.') != NULL || inet_pton (AF_INET6, text, &address) != 1 || inet_ntop (AF_INET6, &address, shown, sizeof shown) == NULL
      || strchr (shown, '.') != NULL || strcmp (shown, text) == 0)
    return;
  cube_check_add (errors, "Invalid", at, value, "must be in canonical form (\"%s\")", shown);
}

static void
check_endpoint (CubeFieldErrors *errors, const CubePath *at, CubeView endpoint, const char *type)
{
  CubeView addresses = cube_view_member (endpoint, "addresses"), v;
  CubePath list = CUBE_AT (at, "addresses");
  CubeIter it;
  guint i = 0;
  if (cube_view_length (addresses) == 0)
    cube_check_add (errors, "Required", &list, cube_view_none (), "must contain at least 1 address");
  cube_check_count (errors, at, endpoint, "addresses", 100);
  for (cube_iter_init (&it, addresses); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath address = CUBE_AT_INDEX (&list, i);
      const char *why = strcmp (type, "FQDN") == 0 ? cube_name_check_two_segments (cube_view_string_or (v, "")) : NULL;
      if (why != NULL)
        cube_check_add (errors, "Invalid", &address, v, "%s", why);
      if (strcmp (type, "FQDN") == 0)
        continue;
      int family = cube_ip_family (cube_view_string_or (v, ""));
      if (family == 0)
        cube_check_ip (errors, &address, v);
      else if (family == 6 && strcmp (type, "IPv4") == 0)
        cube_check_add (errors, "Invalid", &list, v, "must be an IPv4 address");
      else if (family == 4 && strcmp (type, "IPv6") == 0)
        cube_check_add (errors, "Invalid", &list, v, "must be an IPv6 address");
      else
        cube_check_reachable (errors, &address, v);
      if (family == 6 && strcmp (type, "IPv6") == 0)
        check_canonical (errors, &address, v);
    }
  cube_check_name (errors, at, endpoint, "nodeName", cube_name_check_dns1123_subdomain);
  cube_check_name (errors, at, endpoint, "hostname", cube_name_check_dns1123_label);
  cube_check_labels (errors, &CUBE_AT (at, "deprecatedTopology"), cube_view_member (endpoint, "deprecatedTopology"));
  cube_check_count (errors, at, endpoint, "deprecatedTopology", 16);
  CubeView hints = cube_view_member (endpoint, "hints");
  if (!cube_view_exists (hints))
    return;
  check_hints (errors, &CUBE_AT (at, "hints"), hints, "forZones", cube_name_check_label_value);
  check_hints (errors, &CUBE_AT (at, "hints"), hints, "forNodes", cube_name_check_dns1123_subdomain);
}

void
cube_hook_endpoint_slice (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  g_autoptr (GHashTable) names = NULL;
  CubePath ports = { NULL, "ports", 0, FALSE }, endpoints = { NULL, "endpoints", 0, FALSE };
  const char *type = cube_view_string_or (cube_view_member (object, "addressType"), "");
  CubeView all = cube_view_member (object, "endpoints"), v;
  CubeIter it;
  guint i = 0;
  if (*subresource != '\0')
    return;
  cube_check_count (errors, NULL, object, "ports", 20000);
  for (cube_iter_init (&it, cube_view_member (object, "ports")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&ports, i);
      const char *name = cube_view_string_or (cube_view_member (v, "name"), "");
      cube_check_name (errors, &at, v, "name", cube_name_check_dns1123_label);
      if (!cube_check_unique (&names, name))
        cube_check_add_text (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
      cube_check_name (errors, &at, v, "appProtocol", cube_name_check_qualified);
    }
  if (cube_view_equal (all, cube_view_member (old, "endpoints")))
    return;
  cube_check_count (errors, NULL, object, "endpoints", 1000);
  i = 0;
  for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &v); i++)
    check_endpoint (errors, &CUBE_AT_INDEX (&endpoints, i), v, type);
}

void
cube_warn_endpoint_slice (CubeView object, CubeView old, GPtrArray *warnings)
{
  if (!cube_view_exists (old) && g_strcmp0 (cube_view_string (cube_view_member (object, "addressType")), "FQDN") == 0)
    g_ptr_array_add (warnings, g_strdup ("spec.addressType: FQDN endpoints are deprecated"));
}

/* ---- Ingress ---- */

static void
check_backend (CubeFieldErrors *errors, const CubePath *at, CubeView backend)
{
  CubeView service = cube_view_member (backend, "service"), reference = cube_view_member (backend, "resource"),
           port = cube_view_member (service, "port");
  CubePath service_at = CUBE_AT (at, "service"), port_at = CUBE_AT (&service_at, "port"), resource_at = CUBE_AT (at, "resource");
  if (cube_view_exists (service) && cube_view_exists (reference))
    {
      cube_check_add_text (errors, "Invalid", at, "", "cannot set both resource and service backends");
    }
  else if (cube_view_exists (reference))
    {
      cube_check_required (errors, &resource_at, reference, "kind", "");
      cube_check_required (errors, &resource_at, reference, "name", "");
    }
  else if (cube_view_exists (service))
    {
      gboolean has_name = !cube_is_empty (cube_view_member (port, "name")), has_number = cube_view_get_int (port, 0, "number") != 0;
      cube_check_required (errors, &service_at, service, "name", "");
      cube_check_name (errors, &service_at, service, "name", cube_name_check_dns1123_label);
      if (has_name && has_number)
        cube_check_add_text (errors, "Invalid", at, "", "cannot set both port name & port number");
      else if (has_name)
        cube_check_name (errors, &port_at, port, "name", cube_name_check_port_name);
      else if (has_number)
        cube_check_range (errors, &port_at, port, "number", 1, 65535);
      else
        cube_check_add (errors, "Required", at, cube_view_none (), "port name or number is required");
    }
  else
    {
      cube_check_add_text (errors, "Invalid", at, "", "resource or service backend is required");
    }
}

static void
check_ingress_path (CubeFieldErrors *errors, const CubePath *at, CubeView path)
{
  static const char *const never[] = { "//", "/./", "/../", "%2f", "%2F" }, *const never_last[] = { "/..", "/." };
  CubeView type = cube_view_member (path, "pathType"), text = cube_view_member (path, "path");
  const char *kind = cube_view_string_or (type, ""), *where = cube_view_string_or (text, "");
  CubePath path_at = CUBE_AT (at, "path");
  if (*kind == '\0')
    cube_check_add (errors, "Required", &CUBE_AT (at, "pathType"), cube_view_none (), "pathType must be specified");
  if (strcmp (kind, "Exact") == 0 || strcmp (kind, "Prefix") == 0)
    {
      if (*where != '/')
        cube_check_add_text (errors, "Invalid", &path_at, where, "must be an absolute path");
      for (guint i = 0; i < G_N_ELEMENTS (never); i++)
        if (strstr (where, never[i]) != NULL)
          cube_check_add (errors, "Invalid", &path_at, text, "must not contain '%s'", never[i]);
      for (guint i = 0; i < G_N_ELEMENTS (never_last); i++)
        if (g_str_has_suffix (where, never_last[i]))
          cube_check_add (errors, "Invalid", &path_at, text, "cannot end with '%s'", never_last[i]);
    }
  else if (strcmp (kind, "ImplementationSpecific") == 0 && *where != '\0' && *where != '/')
    {
      cube_check_add (errors, "Invalid", &path_at, text, "must be an absolute path");
    }
  check_backend (errors, &CUBE_AT (at, "backend"), cube_view_member (path, "backend"));
}

static void
check_tls (CubeFieldErrors *errors, CubeView spec)
{
  CubePath list = CUBE_AT (&spec_path, "tls");
  CubeIter it, inner;
  CubeView v, host;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "tls")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), hosts = CUBE_AT (&at, "hosts");
      guint j = 0;
      for (cube_iter_init (&inner, cube_view_member (v, "hosts")); cube_iter_next (&inner, NULL, &host); j++)
        {
          const char *why = check_host (cube_view_string_or (host, ""));
          if (why != NULL)
            cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&hosts, j), host, "%s", why);
        }
      cube_check_name (errors, &at, v, "secretName", cube_name_check_dns1123_subdomain);
    }
}

void
cube_hook_ingress (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), rules = cube_view_member (spec, "rules"),
           backend = cube_view_member (spec, "defaultBackend"), v, p;
  CubePath list = CUBE_AT (&spec_path, "rules");
  CubeIter it, inner;
  guint i = 0;
  if (strcmp (subresource, "status") == 0)
    {
      CubePath status_at = { NULL, "status", 0, FALSE };
      cube_check_balancer_status (errors, &CUBE_AT (&status_at, "loadBalancer"), cube_view_get (object, "status", "loadBalancer"), FALSE);
    }
  if (*subresource != '\0' || cube_view_equal (spec, cube_view_member (old, "spec")))
    return;
  CubeView class = cube_view_get (object, "metadata", "annotations", "kubernetes.io/ingress.class"),
           class_name = cube_view_member (spec, "ingressClassName");
  if (!cube_view_exists (old) && cube_view_exists (class) && cube_view_exists (class_name) && !cube_view_equal (class, class_name))
    cube_check_add (errors, "Invalid", &CUBE_AT (&((CubePath){ NULL, "annotations", 0, FALSE }), "kubernetes.io/ingress.class"), class,
                    "must match `ingressClassName` when both are specified");
  check_tls (errors, spec);
  if (cube_view_length (rules) == 0 && !cube_view_exists (backend))
    {
      g_autoptr (CubeValue) none = cube_value_from_json ("[]", -1, NULL, NULL);
      cube_check_add (errors, "Invalid", &spec_path, cube_value_root (none), "either `defaultBackend` or `rules` must be specified");
    }
  if (cube_view_exists (backend))
    check_backend (errors, &CUBE_AT (&spec_path, "defaultBackend"), backend);
  cube_check_name (errors, &spec_path, spec, "ingressClassName", cube_name_check_dns1123_subdomain);
  for (cube_iter_init (&it, rules); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), http_at = CUBE_AT (&at, "http"), paths_at = CUBE_AT (&http_at, "paths");
      CubeView host = cube_view_member (v, "host"), http = cube_view_member (v, "http");
      if (cube_ip_family (cube_view_string (host)) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "host"), host, "must be a DNS name, not an IP address");
      cube_check_name (errors, &at, v, "host", check_host);
      guint j = 0;
      for (cube_iter_init (&inner, cube_view_member (http, "paths")); cube_iter_next (&inner, NULL, &p); j++)
        check_ingress_path (errors, &CUBE_AT_INDEX (&paths_at, j), p);
    }
}

void
cube_warn_ingress (CubeView object, CubeView old, GPtrArray *warnings)
{
  if (!cube_view_exists (old) && cube_view_exists (cube_view_get (object, "metadata", "annotations", "kubernetes.io/ingress.class"))
      && cube_is_empty (cube_view_get (object, "spec", "ingressClassName")))
    g_ptr_array_add (warnings,
                     g_strdup ("annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"));
}

/* ---- NetworkPolicy ---- */

/* @inner lies in @outer and is smaller. */
static gboolean
is_strict_subset (const char *inner, const char *outer)
{
  guint8 a[16], b[16];
  int family = cube_cidr_family (inner), same = cube_cidr_family (outer);
  if (family != same)
    return FALSE;
  g_auto (GStrv) in = g_strsplit (inner, "/", 2), out = g_strsplit (outer, "/", 2);
  guint in_bits = (guint) g_ascii_strtoull (in[1], NULL, 10), out_bits = (guint) g_ascii_strtoull (out[1], NULL, 10);
  inet_pton (family == 4 ? AF_INET : AF_INET6, in[0], a);
  inet_pton (family == 4 ? AF_INET : AF_INET6, out[0], b);
  for (guint i = 0; i < out_bits; i++)
    if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8) & 1) != 0)
      return FALSE;
  return in_bits > out_bits;
}

static void
check_except (CubeFieldErrors *errors, const CubePath *path, CubeView block)
{
  const char *whole = cube_view_string_or (cube_view_member (block, "cidr"), "");
  CubePath list = CUBE_AT (path, "except");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (block, "except")); cube_iter_next (&it, NULL, &v); i++)
    if (cube_cidr_family (cube_view_string_or (v, "")) == 0)
      cube_check_cidr (errors, &CUBE_AT_INDEX (&list, i), v);
    else if (cube_cidr_family (whole) != 0 && !is_strict_subset (cube_view_string (v), whole))
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "must be a strict subset of `cidr`");
}

static void
check_peer (CubeFieldErrors *errors, const CubePath *at, CubeView peer)
{
  CubeView block = cube_view_member (peer, "ipBlock"), pods = cube_view_member (peer, "podSelector"),
           spaces = cube_view_member (peer, "namespaceSelector");
  CubePath block_at = CUBE_AT (at, "ipBlock");
  if (!cube_view_exists (block) && !cube_view_exists (pods) && !cube_view_exists (spaces))
    cube_check_add (errors, "Required", at, cube_view_none (), "must specify a peer");
  if (cube_view_exists (block) && (cube_view_exists (pods) || cube_view_exists (spaces)))
    cube_check_add (errors, "Forbidden", at, cube_view_none (), "may not specify both ipBlock and another peer");
  cube_check_label_selector (errors, &CUBE_AT (at, "podSelector"), pods);
  cube_check_label_selector (errors, &CUBE_AT (at, "namespaceSelector"), spaces);
  if (cube_view_exists (block) && !cube_is_empty (cube_view_member (block, "cidr")))
    cube_check_cidr (errors, &CUBE_AT (&block_at, "cidr"), cube_view_member (block, "cidr"));
  check_except (errors, &block_at, block);
}

static void
check_policy_port (CubeFieldErrors *errors, const CubePath *at, CubeView v)
{
  static const char *const protocols[] = { "TCP", "UDP", "SCTP", NULL };
  CubeView port = cube_view_member (v, "port"), end = cube_view_member (v, "endPort");
  cube_check_one_of (errors, at, v, "protocol", protocols);
  if (cube_view_exists (port))
    cube_check_port (errors, &CUBE_AT (at, "port"), port);
  if (!cube_view_exists (end))
    return;
  if (!cube_view_exists (port))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "endPort"), end, "may not be specified when `port` is not specified");
  else if (cube_view_type (port) == CUBE_VALUE_STRING)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "endPort"), end, "may not be specified when `port` is non-numeric");
  else if (cube_view_int (end, 0) < cube_view_int (port, 0))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "endPort"), port, "must be greater than or equal to `port`");
}

void
cube_hook_network_policy (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const sides[][2] = { { "ingress", "from" }, { "egress", "to" } };
  CubeView spec = cube_view_member (object, "spec"), v, p;
  CubeIter it, inner;
  if (*subresource != '\0' || cube_view_equal (spec, cube_view_member (old, "spec")))
    return;
  cube_check_label_selector (errors, &CUBE_AT (&spec_path, "podSelector"), cube_view_member (spec, "podSelector"));
  for (guint s = 0; s < 2; s++)
    {
      CubePath list = CUBE_AT (&spec_path, sides[s][0]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (spec, sides[s][0])); cube_iter_next (&it, NULL, &v); i++)
        {
          CubePath at = CUBE_AT_INDEX (&list, i), ports = CUBE_AT (&at, "ports"), peers = CUBE_AT (&at, sides[s][1]);
          guint j = 0;
          for (cube_iter_init (&inner, cube_view_member (v, "ports")); cube_iter_next (&inner, NULL, &p); j++)
            check_policy_port (errors, &CUBE_AT_INDEX (&ports, j), p);
          j = 0;
          for (cube_iter_init (&inner, cube_view_member (v, sides[s][1])); cube_iter_next (&inner, NULL, &p); j++)
            check_peer (errors, &CUBE_AT_INDEX (&peers, j), p);
        }
    }
  static const char *const types[] = { "Ingress", "Egress", NULL };
  cube_check_each_of (errors, &spec_path, spec, "policyTypes", types, FALSE);
  if (cube_view_length (cube_view_member (spec, "policyTypes")) > 2)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "policyTypes"), cube_view_member (spec, "policyTypes"),
                    "may not specify more than two policyTypes");
}
