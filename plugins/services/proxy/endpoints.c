/* SPDX-License-Identifier: Apache-2.0 */
#include "endpoints.h"

#define PROXY_NAME_LABEL "service.kubernetes.io/service-proxy-name"

gboolean
endpoints_is_served (const CubeObject *object, CubeView service)
{
  const char *ip = cube_view_get_string (service, "spec", "clusterIP");

  return cube_object_label (object, PROXY_NAME_LABEL) == NULL
         && g_strcmp0 (cube_view_get_string (service, "spec", "type"), "ExternalName") != 0 && ip != NULL && *ip != '\0'
         && !g_str_equal (ip, "None");
}

/* The slice's number for the Service's port; 0 = it has none. */
static guint16
port_in (CubeView slice, CubeView wanted)
{
  const char *name = cube_view_string_or (cube_view_member (wanted, "name"), ""),
             *protocol = cube_view_string_or (cube_view_member (wanted, "protocol"), "TCP");
  CubeView port;
  CubeIter it;

  for (cube_iter_init (&it, cube_view_member (slice, "ports")); cube_iter_next (&it, NULL, &port);)
    {
      gint64 number = cube_view_get_int (port, 0, "port");

      if (g_str_equal (cube_view_string_or (cube_view_member (port, "name"), ""), name)
          && g_str_equal (cube_view_string_or (cube_view_member (port, "protocol"), "TCP"), protocol) && number > 0
          && number <= G_MAXUINT16)
        return (guint16) number;
    }
  return 0;
}

static void
append_endpoint (GArray *endpoints, CubeView item, guint16 port, const char *node_name)
{
  const char *address = cube_view_string (cube_view_element (cube_view_member (item, "addresses"), 0));
  CubeEndpoint endpoint = {
    .port = port,
    .is_ready = cube_view_get_bool (item, TRUE, "conditions", "ready"),
    .is_serving = cube_view_get_bool (item, TRUE, "conditions", "serving"),
    .is_terminating = cube_view_get_bool (item, FALSE, "conditions", "terminating"),
    .node_name = cube_view_get_string (item, "nodeName"),
    .zone = cube_view_get_string (item, "zone"),
  };

  if (address == NULL)
    return;
  endpoint.is_local = endpoint.node_name != NULL && g_strcmp0 (endpoint.node_name, node_name) == 0;
  g_strlcpy (endpoint.ip, address, sizeof endpoint.ip);
  g_array_append_val (endpoints, endpoint);
}

static void
append_slice (GArray *endpoints, CubeView slice, CubeView port, const char *node_name)
{
  guint16 number = g_strcmp0 (cube_view_get_string (slice, "addressType"), "IPv4") == 0 ? port_in (slice, port) : 0;
  CubeView item;
  CubeIter it;

  if (number == 0)
    return;
  for (cube_iter_init (&it, cube_view_member (slice, "endpoints")); cube_iter_next (&it, NULL, &item);)
    append_endpoint (endpoints, item, number, node_name);
}

GArray **
endpoints_by_port (CubeView service, GPtrArray *slices, const char *node_name, guint *ret_n)
{
  CubeView ports = cube_view_get (service, "spec", "ports");
  guint n = cube_view_length (ports);
  GArray **by_port = g_new0 (GArray *, n + 1);

  for (guint i = 0; i < n; i++)
    {
      by_port[i] = g_array_new (FALSE, FALSE, sizeof (CubeEndpoint));
      for (guint j = 0; slices != NULL && j < slices->len; j++)
        append_slice (by_port[i], cube_value_root (slices->pdata[j]), cube_view_element (ports, i), node_name);
    }
  *ret_n = n;
  return by_port;
}

void
endpoints_free (GArray **by_port, guint n)
{
  for (guint i = 0; i < n; i++)
    g_array_unref (by_port[i]);
  g_free (by_port);
}
