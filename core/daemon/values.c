/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration's addresses, ranges and names may be. A plugin that cannot use one would be left out, and the cluster limp. */
#include "daemon.h"
#include <arpa/inet.h>
#include <cube/scalar.h>
#include <stdio.h>

static gboolean
is_address (const char *text)
{
  return g_hostname_is_ip_address (text);
}

static gboolean
is_ipv4_range (const char *text, guint min_prefix, guint max_prefix)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  struct in_addr address;
  return g_strv_length (parts) == 2 && inet_pton (AF_INET, parts[0], &address) == 1
         && g_ascii_string_to_unsigned (parts[1], 10, min_prefix, max_prefix, NULL, NULL);
}

static gboolean
is_service_range (const char *text)
{
  return is_ipv4_range (text, 8, 30);
}

static gboolean
is_cluster_range (const char *text)
{
  return is_ipv4_range (text, 8, 24);
}

static gboolean
is_port_range (const char *text)
{
  guint first, last;
  char rest;
  return sscanf (text, "%5u-%5u%c", &first, &last, &rest) == 2 && first >= 1 && last <= G_MAXUINT16 && last >= first;
}

static gboolean
is_domain (const char *text)
{
  return cube_name_check_dns1123_subdomain (text) == NULL;
}

gboolean
cube_options_check_values (CubeView config, const char *where, GError **error)
{
  static const struct {
    const char *key;
    gboolean (*is_good) (const char *text);
    const char *wanted;
  } table[] = {
    { "advertiseAddress", is_address, "an IP address" },
    { "clusterDNS", is_address, "an IP address" },
    { "clusterCIDR", is_cluster_range, "an IPv4 range from /8 to /24 such as 10.244.0.0/16" },
    { "serviceCIDR", is_service_range, "an IPv4 range from /8 to /30 such as 10.96.0.0/16" },
    { "nodePortRange", is_port_range, "two ports such as 30000-32767" },
    { "clusterDomain", is_domain, "a DNS name such as cluster.local" },
    { "nodeName", is_domain, "a DNS name in lower case" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      const char *text = cube_view_string (cube_view_member (config, table[i].key));
      if (text == NULL || table[i].is_good (text))
        continue;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: %s \"%s\": expected %s", where, table[i].key, text, table[i].wanted);
      return FALSE;
    }
  return TRUE;
}
