/* SPDX-License-Identifier: Apache-2.0 */
/* cube.service.Type "NodePort": a port on every node, and what a load balancer in front of the cluster was given. */
#include "fronts.h"

/* (transfer container) NULL = everybody: no list, or one with a range of everything in it. */
static const char **
allowed_sources (CubeView service)
{
  CubeView ranges = cube_view_get (service, "spec", "loadBalancerSourceRanges"), range;
  guint n = cube_view_length (ranges), at = 0;
  g_autofree const char **list = n > 0 ? g_new0 (const char *, n + 1) : NULL;
  CubeIter it;

  if (list == NULL)
    return NULL;
  for (cube_iter_init (&it, ranges); cube_iter_next (&it, NULL, &range);)
    {
      const char *text = cube_view_string_or (range, "");

      if (g_str_has_suffix (text, "/0"))
        return NULL;
      list[at++] = text;
    }
  return g_steal_pointer (&list);
}

static void
add_balanced (CubeView service, CubeView port, const char *policy, const GArray *endpoints, GArray *fronts)
{
  CubeView ingress;
  CubeIter it;

  for (cube_iter_init (&it, cube_view_get (service, "status", "loadBalancer", "ingress")); cube_iter_next (&it, NULL, &ingress);)
    if (g_strcmp0 (cube_view_get_string (ingress, "ipMode"), "Proxy") != 0)
      front_append (fronts, service, port,
                    &(FrontSpec){ .kind = CUBE_FRONT_LOAD_BALANCER_IP,
                                  .ip = cube_view_get_string (ingress, "ip"),
                                  .port = cube_view_get_int (port, 0, "port"),
                                  .policy = policy,
                                  .is_external = TRUE,
                                  .allowed_sources = allowed_sources (service) },
                    endpoints);
}

static void
nodeport_compile (gpointer state, CubeView service, const GArray *const *port_endpoints, guint n_ports, const char *node_name,
                  GArray *fronts)
{
  const char *policy = cube_view_string_or (cube_view_get (service, "spec", "externalTrafficPolicy"), "Cluster");
  CubeView ports = cube_view_get (service, "spec", "ports");

  for (guint i = 0; i < n_ports; i++)
    {
      CubeView port = cube_view_element (ports, i);

      front_append (fronts, service, port,
                    &(FrontSpec){ .kind = CUBE_FRONT_NODE_PORT,
                                  .ip = "",
                                  .port = cube_view_get_int (port, 0, "nodePort"),
                                  .policy = policy,
                                  .is_external = TRUE },
                    port_endpoints[i]);
      if (g_strcmp0 (cube_view_get_string (service, "spec", "type"), "LoadBalancer") == 0)
        add_balanced (service, port, policy, port_endpoints[i], fronts);
    }
}

static const CubeServiceTypeOps type_ops = { .ops_size = sizeof type_ops, .type = "NodePort", .compile = nodeport_compile };

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_SERVICE_TYPE, CUBE_SERVICE_TYPE_VERSION, "NodePort", type_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "services-nodeport", .version = "1", .description = "services on a port of every node", .license = "Apache-2.0",
                    .impls = impls);
