/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of ingress classes and of the cluster's addresses. */
#include "validate-more.h"
#include <arpa/inet.h>

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- IngressClass ---- */

static void
check_parameters (CubeFieldErrors *errors, CubeView parameters)
{
  static const char *const scopes[] = { "Cluster", "Namespace", NULL };
  CubePath at = CUBE_AT (&spec_path, "parameters");
  CubeView space = cube_view_member (parameters, "namespace");
  const char *scope = cube_view_string_or (cube_view_member (parameters, "scope"), "");
  cube_check_name (errors, &at, parameters, "apiGroup", cube_name_check_dns1123_subdomain);
  cube_check_name (errors, &at, parameters, "kind", cube_name_check_path_segment);
  cube_check_name (errors, &at, parameters, "name", cube_name_check_path_segment);
  cube_check_required (errors, &at, parameters, "scope", "");
  if (*scope == '\0')
    cube_check_add_text (errors, "NotSupported", &CUBE_AT (&at, "scope"), "", "supported values: \"Cluster\", \"Namespace\"");
  cube_check_one_of (errors, &at, parameters, "scope", scopes);
  if (strcmp (scope, "Namespace") == 0)
    {
      if (cube_is_empty (space))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "namespace"), cube_view_none (), "`parameters.scope` is set to 'Namespace'");
      cube_check_name (errors, &at, parameters, "namespace", cube_name_check_dns1123_label);
    }
  else if (strcmp (scope, "Cluster") == 0 && cube_view_exists (space))
    {
      cube_check_forbidden (errors, &CUBE_AT (&at, "namespace"), "`parameters.scope` is set to 'Cluster'");
    }
}

void
cube_hook_ingress_class (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), parameters = cube_view_member (spec, "parameters");
  if (cube_view_exists (old))
    cube_check_immutable (errors, &spec_path, spec, cube_view_member (old, "spec"), "controller", "field is immutable");
  else
    cube_check_required (errors, &spec_path, spec, "controller", "");
  cube_check_bytes (errors, &spec_path, spec, "controller", 250);
  cube_check_name (errors, &spec_path, spec, "controller", cube_name_check_domain_path);
  if (cube_view_exists (parameters))
    check_parameters (errors, parameters);
}

/* ---- ServiceCIDR and IPAddress ---- */

/* The canonical text of a CIDR of whose address no bit is beyond the prefix; NULL if there is none. */
static char *
canonical_cidr (const char *text)
{
  guint8 bytes[16];
  char shown[INET6_ADDRSTRLEN];
  int family = cube_cidr_family (text);
  if (family == 0)
    return NULL;
  const char *slash = strchr (text, '/');
  g_autofree char *address = g_strndup (text, (gsize) (slash - text));
  guint bits = (guint) g_ascii_strtoull (slash + 1, NULL, 10), size = family == 4 ? 4 : 16;
  inet_pton (family == 4 ? AF_INET : AF_INET6, address, bytes);
  for (guint i = 0; i < size; i++)
    bytes[i] &= i * 8 >= bits ? 0 : (i + 1) * 8 <= bits ? 0xff : (guint8) (0xff << (8 - bits % 8));
  inet_ntop (family == 4 ? AF_INET : AF_INET6, bytes, shown, sizeof shown);
  return g_strdup_printf ("%s/%u", shown, bits);
}

static void
check_new_cidrs (CubeFieldErrors *errors, CubeView spec)
{
  CubeView cidrs = cube_view_member (spec, "cidrs"), v;
  CubePath at = CUBE_AT (&spec_path, "cidrs");
  CubeIter it;
  guint i = 0;
  if (cube_view_length (cidrs) == 0)
    {
      cube_check_add (errors, "Required", &at, cube_view_none (), "at least one CIDR required");
      return;
    }
  if (cube_view_length (cidrs) > 2)
    {
      cube_check_add (errors, "Invalid", &at, spec, "may only hold up to 2 values");
      return;
    }
  int a = cube_cidr_family (cube_view_string (cube_view_element (cidrs, 0))),
      b = cube_cidr_family (cube_view_string (cube_view_element (cidrs, 1)));
  if (a != 0 && a == b)
    cube_check_add (errors, "Invalid", &at, spec,
                    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
  for (cube_iter_init (&it, cidrs); cube_iter_next (&it, NULL, &v); i++)
    {
      g_autofree char *plain = canonical_cidr (cube_view_string_or (v, ""));
      if (plain == NULL)
        cube_check_cidr (errors, &CUBE_AT_INDEX (&at, i), v);
      else if (strcmp (plain, cube_view_string_or (v, "")) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, i), v, "must be in canonical form (\"%s\")", plain);
    }
}

void
cube_hook_service_cidr (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), now = cube_view_member (spec, "cidrs"), before = cube_view_get (old, "spec", "cidrs");
  CubePath at = CUBE_AT (&spec_path, "cidrs");
  guint n = cube_view_length (now), n_before = cube_view_length (before);
  if (*subresource != '\0')
    return;
  if (!cube_view_exists (old))
    {
      check_new_cidrs (errors, spec);
      return;
    }
  if (n == n_before)
    {
      for (guint i = 0; i < n; i++)
        if (!cube_view_equal (cube_view_element (now, i), cube_view_element (before, i)))
          cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, i), cube_view_element (now, i), "field is immutable");
      return;
    }
  if (n != 2 || n_before != 1)
    cube_check_add (errors, "Invalid", &at, now, "field is immutable");
  else if (!cube_view_equal (cube_view_element (now, 0), cube_view_element (before, 0)))
    cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, 0), cube_view_element (now, 0), "field is immutable");
  else
    check_new_cidrs (errors, spec);
}

void
cube_hook_ip_address (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const CubePath metadata = { NULL, "metadata", 0, FALSE };
  CubeView name = cube_view_get (object, "metadata", "name"), parent = cube_view_get (object, "spec", "parentRef");
  CubePath at = CUBE_AT (&spec_path, "parentRef");
  guint8 bytes[16];
  char shown[INET6_ADDRSTRLEN];
  int family = cube_ip_family (cube_view_string (name));
  if (family == 0)
    {
      cube_check_ip (errors, &CUBE_AT (&metadata, "name"), name);
    }
  else
    {
      inet_pton (family == 4 ? AF_INET : AF_INET6, cube_view_string (name), bytes);
      inet_ntop (family == 4 ? AF_INET : AF_INET6, bytes, shown, sizeof shown);
      if (strcmp (shown, cube_view_string (name)) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&metadata, "name"), name, "must be in canonical form (\"%s\")", shown);
    }
  cube_check_name (errors, &at, parent, "group", cube_name_check_dns1123_subdomain);
  cube_check_name (errors, &at, parent, "resource", cube_name_check_path_segment);
  cube_check_name (errors, &at, parent, "name", cube_name_check_path_segment);
  cube_check_name (errors, &at, parent, "namespace", cube_name_check_path_segment);
}
