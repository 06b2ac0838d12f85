/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cube.service.Type: a service type turns a Service and its EndpointSlices into rules as data; one proxy per node writes them (nftables). */
#include <cube/client.h>
#include <cube/plugin.h>
CUBE_BEGIN_DECLS
#define CUBE_SERVICE_TYPE "cube.service.Type"
#define CUBE_SERVICE_TYPE_VERSION 1

typedef enum { CUBE_PROTOCOL_TCP = 6, CUBE_PROTOCOL_UDP = 17, CUBE_PROTOCOL_SCTP = 132 } CubeProtocol;
typedef struct {
  char ip[46]; guint16 port;
  gboolean is_ready, is_serving, is_terminating, is_local; /* on this node */
  const char *node_name, *zone;
} CubeEndpoint;
typedef enum { CUBE_FRONT_CLUSTER_IP, CUBE_FRONT_NODE_PORT, CUBE_FRONT_EXTERNAL_IP, CUBE_FRONT_LOAD_BALANCER_IP } CubeFrontKind;

/* One address and port traffic comes in at, with the endpoints it goes to. */
typedef struct {
  CubeFrontKind kind;
  char ip[46];                    /* "" for NODE_PORT: every address of the node */
  guint16 port; CubeProtocol protocol;
  const CubeEndpoint *endpoints; guint n_endpoints; /* already chosen by readiness and traffic policy; 0 = reject */
  gboolean is_drop;               /* local policy without local endpoints: drop, not reject */
  gboolean needs_masquerade;      /* source NAT (external traffic under Cluster policy) */
  guint32 affinity_seconds;       /* 0 = none; ClientIP */
  const char *const *allowed_sources; /* loadBalancerSourceRanges; NULL = all */
} CubeFront;

typedef struct {
  guint32 ops_size;
  const char *type;               /* "ClusterIP", "NodePort" … the Service's spec.type this adds fronts for */
  /* Appends CubeFronts to @fronts (element-type CubeFront) for @service on this node; @endpoints by port name in @port_endpoints: port index → array. The proxy
   * calls the types a Service's type implies (a NodePort service: ClusterIP and NodePort). Pure; proxy's loop. `endpoints` and the vector
   * `allowed_sources` of an appended front are g_malloc'd and become the caller's; the strings in them stay @service's and @port_endpoints'. */
  void (*compile) (gpointer state, CubeView service, const GArray *const *port_endpoints, guint n_ports, const char *node_name, GArray *fronts);
} CubeServiceTypeOps;
/* Helper: of @all (element-type CubeEndpoint) those traffic under @policy ("Cluster" or "Local") goes to: ready ones, else serving and terminating ones. Empty with
 * @ret_is_drop TRUE: there are some, but none on this node. (transfer full) (element-type CubeEndpoint) */
CUBE_EXPORT GArray *cube_endpoints_choose (const GArray *all, const char *policy, gboolean *ret_is_drop);
CUBE_END_DECLS
