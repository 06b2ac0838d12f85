/* SPDX-License-Identifier: Apache-2.0 */
/* cube.service.Type "ClusterIP": the addresses inside the cluster, and the external ones any type may carry. */
#include "fronts.h"

static void
add_external (CubeView service, CubeView port, const GArray *endpoints, GArray *fronts)
{
  const char *policy = cube_view_string_or (cube_view_get (service, "spec", "externalTrafficPolicy"), "Cluster");
  CubeView ip;
  CubeIter it;

  for (cube_iter_init (&it, cube_view_get (service, "spec", "externalIPs")); cube_iter_next (&it, NULL, &ip);)
    front_append (fronts, service, port,
                  &(FrontSpec){ .kind = CUBE_FRONT_EXTERNAL_IP,
                                .ip = cube_view_string (ip),
                                .port = cube_view_get_int (port, 0, "port"),
                                .policy = policy,
                                .is_external = TRUE },
                  endpoints);
}

static void
clusterip_compile (gpointer state, CubeView service, const GArray *const *port_endpoints, guint n_ports, const char *node_name,
                   GArray *fronts)
{
  const char *policy = cube_view_string_or (cube_view_get (service, "spec", "internalTrafficPolicy"), "Cluster");
  CubeView ports = cube_view_get (service, "spec", "ports");

  for (guint i = 0; i < n_ports; i++)
    {
      CubeView port = cube_view_element (ports, i), ip;
      CubeIter it;
      guint n = 0;

      for (cube_iter_init (&it, cube_view_get (service, "spec", "clusterIPs")); cube_iter_next (&it, NULL, &ip); n++)
        front_append (
            fronts, service, port,
            &(FrontSpec){
                .kind = CUBE_FRONT_CLUSTER_IP, .ip = cube_view_string (ip), .port = cube_view_get_int (port, 0, "port"), .policy = policy },
            port_endpoints[i]);
      if (n == 0)
        front_append (fronts, service, port,
                      &(FrontSpec){ .kind = CUBE_FRONT_CLUSTER_IP,
                                    .ip = cube_view_get_string (service, "spec", "clusterIP"),
                                    .port = cube_view_get_int (port, 0, "port"),
                                    .policy = policy },
                      port_endpoints[i]);
      add_external (service, port, port_endpoints[i], fronts);
    }
}

static const CubeServiceTypeOps type_ops = { .ops_size = sizeof type_ops, .type = "ClusterIP", .compile = clusterip_compile };

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_SERVICE_TYPE, CUBE_SERVICE_TYPE_VERSION, "ClusterIP", type_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "services-clusterip", .version = "1", .description = "services on addresses inside the cluster",
                    .license = "Apache-2.0", .impls = impls);
