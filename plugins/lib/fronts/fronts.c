/* SPDX-License-Identifier: Apache-2.0 */
#include "fronts.h"

static CubeProtocol
protocol_of (CubeView port)
{
  const char *name = cube_view_string_or (cube_view_member (port, "protocol"), "TCP");

  return g_str_equal (name, "UDP") ? CUBE_PROTOCOL_UDP : g_str_equal (name, "SCTP") ? CUBE_PROTOCOL_SCTP : CUBE_PROTOCOL_TCP;
}

static guint32
affinity_of (CubeView service)
{
  if (g_strcmp0 (cube_view_get_string (service, "spec", "sessionAffinity"), "ClientIP") != 0)
    return 0;
  return (guint32) CLAMP (cube_view_get_int (service, 10800, "spec", "sessionAffinityConfig", "clientIP", "timeoutSeconds"), 1, 86400);
}

static gboolean
is_usable (const FrontSpec *spec)
{
  if (spec->port < 1 || spec->port > G_MAXUINT16 || spec->ip == NULL)
    return FALSE;
  return spec->kind == CUBE_FRONT_NODE_PORT || g_hostname_is_ip_address (spec->ip);
}

void
front_append (GArray *fronts, CubeView service, CubeView port, const FrontSpec *spec, const GArray *endpoints)
{
  CubeFront front = {
    .kind = spec->kind, .port = (guint16) spec->port, .protocol = protocol_of (port), .affinity_seconds = affinity_of (service)
  };
  GArray *chosen;

  if (!is_usable (spec))
    {
      g_free (spec->allowed_sources);
      return;
    }
  g_strlcpy (front.ip, spec->ip, sizeof front.ip);
  chosen = cube_endpoints_choose (endpoints, spec->policy, &front.is_drop);
  front.n_endpoints = chosen->len;
  front.endpoints = (const CubeEndpoint *) g_array_free (chosen, chosen->len == 0);
  front.needs_masquerade = spec->is_external && g_strcmp0 (spec->policy, "Local") != 0;
  front.allowed_sources = (const char *const *) spec->allowed_sources;
  g_array_append_val (fronts, front);
}

void
front_clear (gpointer data)
{
  CubeFront *front = data;

  g_free ((gpointer) front->endpoints);
  g_free ((gpointer) front->allowed_sources);
}
