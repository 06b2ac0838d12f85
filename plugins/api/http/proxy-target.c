/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy-target.h"
#include <gio/gio.h>
#include <string.h>

#define KUBELET_PORT "10250"

void
http_proxy_target_clear (HttpProxyTarget *target)
{
  g_clear_pointer (&target->scheme, g_free);
  g_clear_pointer (&target->host, g_free);
  g_clear_pointer (&target->kubelet_path, g_free);
  g_clear_pointer (&target->node, g_free);
}

gboolean
http_proxy_split (const char *id, char **ret_scheme, char **ret_name, char **ret_port)
{
  g_auto (GStrv) parts = g_strsplit (id, ":", 4);
  guint n = g_strv_length (parts);
  const char *scheme = n == 3 ? parts[0] : "",
             *name = n == 3  ? parts[1]
                     : n > 0 ? parts[0]
                             : "",
             *port = n > 1 && n < 4 ? parts[n - 1] : "";
  if (n == 0 || n > 3 || *name == '\0' || (*scheme != '\0' && strcmp (scheme, "http") != 0 && strcmp (scheme, "https") != 0))
    return FALSE;
  *ret_scheme = g_strdup (*scheme != '\0' ? scheme : "http");
  *ret_name = g_strdup (name);
  *ret_port = g_strdup (port);
  return TRUE;
}

gboolean
http_proxy_is_allowed (const char *ip)
{
  g_autoptr (GInetAddress) address = ip != NULL ? g_inet_address_new_from_string (ip) : NULL;
  if (address == NULL)
    return FALSE;
  /* ::ffff:127.0.0.1 is 127.0.0.1 */
  if (g_str_has_prefix (ip, "::ffff:") && strchr (ip, '.') != NULL)
    return http_proxy_is_allowed (ip + strlen ("::ffff:"));
  return !g_inet_address_get_is_loopback (address) && !g_inet_address_get_is_link_local (address)
         && !g_inet_address_get_is_multicast (address) && !g_inet_address_get_is_any (address) && strcmp (ip, "255.255.255.255") != 0;
}

static gboolean
bad_request (GError **error, const char *message)
{
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, message);
  return FALSE;
}

static gboolean
set_host (HttpProxyTarget *target, const char *ip, GError **error)
{
  if (!http_proxy_is_allowed (ip))
    return bad_request (error, "address not allowed");
  target->host = g_strdup (ip);
  return TRUE;
}

static gboolean
set_port (HttpProxyTarget *target, const char *text, const char *what, const char *id, GError **error)
{
  guint64 port = 0;
  if (*text != '\0' && !g_ascii_string_to_unsigned (text, 10, 1, G_MAXUINT16, &port, NULL))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid %s request \"%s\"", what, id);
      return FALSE;
    }
  target->port = (guint16) port;
  return TRUE;
}

static CubeValue *
get (CubeClient *client, CubeSchema *schema, const char *plural, const char *ns, const char *name, GError **error)
{
  g_autoptr (CubeObject) object = cube_client_get (client, cube_schema_resource (schema, "v1", plural), ns, name, error);
  return object != NULL ? cube_object_value (object) : NULL;
}

/* ---- pods ---- */

static guint16
first_port (CubeView spec)
{
  CubeIter containers;
  CubeView container;
  for (cube_iter_init (&containers, cube_view_member (spec, "containers")); cube_iter_next (&containers, NULL, &container);)
    {
      CubeView port = cube_view_element (cube_view_member (container, "ports"), 0);
      if (cube_view_exists (port))
        return (guint16) cube_view_get_int (port, 0, "containerPort");
    }
  return 0;
}

static gboolean
find_pod (CubeClient *client, CubeSchema *schema, const char *ns, const char *name, const char *port, const char *id,
          HttpProxyTarget *target, GError **error)
{
  g_autoptr (CubeValue) pod = get (client, schema, "pods", ns, name, error);
  if (pod == NULL || !set_port (target, port, "pod", id, error))
    return FALSE;
  if (target->port == 0)
    target->port = first_port (cube_value_get (pod, "spec"));
  return set_host (target, cube_view_string (cube_value_get (pod, "status", "podIP")), error);
}

/* ---- services ---- */

/* The name of the Service's port that is asked for by name or number; "" also stands for the one without a name. NULL with @error. */
static char *
port_name (CubeView service, const char *name, const char *asked, GError **error)
{
  CubeIter ports;
  CubeView port;
  guint64 number;
  if (!g_ascii_string_to_unsigned (asked, 10, 0, G_MAXUINT16, &number, NULL))
    return g_strdup (asked);
  for (cube_iter_init (&ports, cube_view_get (service, "spec", "ports")); cube_iter_next (&ports, NULL, &port);)
    if (cube_view_get_int (port, -1, "port") == (gint64) number)
      return g_strdup (cube_view_string_or (cube_view_get (port, "name"), ""));
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no service port %s found for service \"%s\"", asked, name);
  return NULL;
}

/* An address that is a pod's own. Others may lead anywhere: whoever may write EndpointSlices would see with the server's eyes. */
static gboolean
is_address_of_pod (CubeClient *client, CubeSchema *schema, const char *ns, CubeView endpoint, const char *address)
{
  CubeView ref = cube_view_get (endpoint, "targetRef");
  const char *pod_name = cube_view_get_string (ref, "name"), *pod_ns = cube_view_string_or (cube_view_get (ref, "namespace"), ns);
  if (g_strcmp0 (cube_view_get_string (ref, "kind"), "Pod") != 0 || pod_name == NULL || strcmp (pod_ns, ns) != 0)
    return FALSE;
  g_autoptr (CubeValue) pod = get (client, schema, "pods", ns, pod_name, NULL);
  CubeIter addresses;
  CubeView entry;
  if (pod == NULL)
    return FALSE;
  for (cube_iter_init (&addresses, cube_value_get (pod, "status", "podIPs")); cube_iter_next (&addresses, NULL, &entry);)
    if (g_strcmp0 (cube_view_get_string (entry, "ip"), address) == 0)
      return TRUE;
  return g_strcmp0 (cube_view_string (cube_value_get (pod, "status", "podIP")), address) == 0;
}

typedef struct {
  char *ip;
  guint16 port;
} Candidate;

static void
candidate_clear (gpointer data)
{
  g_free (((Candidate *) data)->ip);
}

static void
add_candidates (GArray *candidates, CubeClient *client, CubeSchema *schema, const char *ns, CubeView slice, const char *wanted)
{
  CubeIter ports, endpoints;
  CubeView port, endpoint;
  for (cube_iter_init (&ports, cube_view_member (slice, "ports")); cube_iter_next (&ports, NULL, &port);)
    {
      gint64 number = cube_view_get_int (port, 0, "port");
      if (strcmp (cube_view_string_or (cube_view_get (port, "name"), ""), wanted) != 0 || number <= 0 || number > G_MAXUINT16)
        continue;
      for (cube_iter_init (&endpoints, cube_view_member (slice, "endpoints")); cube_iter_next (&endpoints, NULL, &endpoint);)
        {
          const char *address = cube_view_string (cube_view_element (cube_view_member (endpoint, "addresses"), 0));
          if (address == NULL || !cube_view_bool (cube_view_get (endpoint, "conditions", "ready"), TRUE)
              || !is_address_of_pod (client, schema, ns, endpoint, address))
            continue;
          Candidate candidate = { g_strdup (address), (guint16) number };
          g_array_append_val (candidates, candidate);
        }
    }
}

static gboolean
find_service (CubeClient *client, CubeSchema *schema, const char *ns, const char *name, const char *port, HttpProxyTarget *target,
              GError **error)
{
  g_autoptr (CubeValue) service = get (client, schema, "services", ns, name, error);
  g_autofree char *wanted = service != NULL ? port_name (cube_value_root (service), name, port, error) : NULL;
  g_autofree char *text = g_strdup_printf ("kubernetes.io/service-name=%s", name);
  g_autoptr (CubeSelector) labels = wanted != NULL ? cube_selector_parse_labels (text, error) : NULL;
  const CubeResource *resource = cube_schema_resource (schema, "discovery.k8s.io/v1", "endpointslices");
  if (labels == NULL)
    return FALSE;
  g_autoptr (GPtrArray) slices = cube_client_list (client, resource, ns, labels, NULL, error);
  g_autoptr (GArray) candidates = g_array_new (FALSE, FALSE, sizeof (Candidate));
  g_array_set_clear_func (candidates, candidate_clear);
  if (slices == NULL)
    return FALSE;
  for (guint i = 0; i < slices->len; i++)
    {
      g_autoptr (CubeValue) slice = cube_object_value (slices->pdata[i]);
      add_candidates (candidates, client, schema, ns, cube_value_root (slice), wanted);
    }
  if (candidates->len == 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no endpoints available for service \"%s\"", name);
      return FALSE;
    }
  const Candidate *chosen = &g_array_index (candidates, Candidate, (guint) g_random_int_range (0, (gint32) candidates->len));
  target->port = chosen->port;
  return set_host (target, chosen->ip, error);
}

/* ---- nodes ---- */

static gboolean
find_node (CubeClient *client, CubeSchema *schema, const char *name, const char *port, const char *id, HttpProxyTarget *target,
           GError **error)
{
  g_autoptr (CubeValue) node = get (client, schema, "nodes", NULL, name, error);
  CubeIter addresses;
  CubeView address;
  if (node == NULL || !set_port (target, port, "node", id, error))
    return FALSE;
  if (*port == '\0' || strcmp (port, KUBELET_PORT) == 0) /* no socket of its own: the agent is asked */
    {
      target->node = g_strdup (name);
      return TRUE;
    }
  for (cube_iter_init (&addresses, cube_value_get (node, "status", "addresses")); cube_iter_next (&addresses, NULL, &address);)
    if (g_strcmp0 (cube_view_get_string (address, "type"), "InternalIP") == 0)
      return set_host (target, cube_view_get_string (address, "address"), error);
  return bad_request (error, "address not allowed");
}

gboolean
http_proxy_find (CubeClient *client, CubeSchema *schema, const char *resource, const char *ns, const char *id, HttpProxyTarget *ret_target,
                 GError **error)
{
  g_autofree char *name = NULL, *port = NULL, *what = g_strndup (resource, strlen (resource) - 1);
  HttpProxyTarget target = { 0 };
  gboolean is_found = FALSE;
  if (!http_proxy_split (id, &target.scheme, &name, &port))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid %s request \"%s\"", what, id);
  else if (strcmp (resource, "pods") == 0)
    is_found = find_pod (client, schema, ns, name, port, id, &target, error);
  else if (strcmp (resource, "services") == 0)
    is_found = find_service (client, schema, ns, name, port, &target, error);
  else
    is_found = find_node (client, schema, name, port, id, &target, error);
  if (is_found)
    *ret_target = target;
  else
    http_proxy_target_clear (&target);
  return is_found;
}
