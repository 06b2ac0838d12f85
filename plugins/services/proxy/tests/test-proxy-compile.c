/* SPDX-License-Identifier: Apache-2.0 */
/* From a Service and its slices to fronts, by the two types as they are built. */
#include "endpoints.h"
#include "front.h"
#include "fronts.h"
#include <string.h>

extern const CubePluginDescriptor cube_plugin_services_clusterip, cube_plugin_services_nodeport;

static GArray *
compile (const CubePluginDescriptor *plugin, const char *service_json, const char *slice_json)
{
  CubeValue *service = cube_value_from_json (service_json, -1, NULL, NULL);
  GPtrArray *slices = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  const CubeServiceTypeOps *ops = plugin->impls[0].ops;
  GArray *fronts = g_array_new (FALSE, FALSE, sizeof (CubeFront)), **by_port;
  guint n;

  g_assert_nonnull (service);
  g_array_set_clear_func (fronts, front_clear);
  if (slice_json != NULL)
    g_ptr_array_add (slices, cube_value_from_json (slice_json, -1, NULL, NULL));
  by_port = endpoints_by_port (cube_value_root (service), slices, "here", &n);
  ops->compile (NULL, cube_value_root (service), (const GArray *const *) by_port, n, "here", fronts);
  endpoints_free (by_port, n);
  g_ptr_array_unref (slices);
  cube_value_unref (service);
  return fronts;
}

#define SLICE                                                                                                                              \
  "{\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"web\",\"port\":8080,\"protocol\":\"TCP\"}],\"endpoints\":["                            \
  "{\"addresses\":[\"10.244.0.1\"],\"nodeName\":\"here\",\"conditions\":{\"ready\":true}},"                                                \
  "{\"addresses\":[\"10.244.1.1\"],\"nodeName\":\"there\"},"                                                                               \
  "{\"addresses\":[\"10.244.1.2\"],\"nodeName\":\"there\",\"conditions\":{\"ready\":false}},"                                              \
  "{\"addresses\":[\"10.244.1.3\"],\"nodeName\":\"there\",\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}}]}"
#define ELSEWHERE                                                                                                                          \
  "{\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"web\",\"port\":8080}],\"endpoints\":[{\"addresses\":[\"10.244.1.1\"],\"nodeName\":\"there\"}]}"
#define ENDING                                                                                                                             \
  "{\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"web\",\"port\":8080}],\"endpoints\":["                                                 \
  "{\"addresses\":[\"10.244.1.3\"],\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}},"                               \
  "{\"addresses\":[\"10.244.1.4\"],\"conditions\":{\"ready\":false,\"serving\":false,\"terminating\":true}}]}"
#define SERVICE(type, more)                                                                                                                \
  "{\"spec\":{\"type\":\"" type "\",\"clusterIP\":\"10.96.0.9\",\"clusterIPs\":[\"10.96.0.9\"]," more                                      \
  "\"ports\":[{\"name\":\"web\",\"port\":80,\"protocol\":\"TCP\",\"nodePort\":30080}]}}"

static void
test_cluster_ip (void)
{
  g_autoptr (GArray) fronts = compile (&cube_plugin_services_clusterip, SERVICE ("ClusterIP", ""), SLICE);
  const CubeFront *front = &g_array_index (fronts, CubeFront, 0);

  g_assert_cmpuint (fronts->len, ==, 1);
  g_assert_cmpstr (front->ip, ==, "10.96.0.9");
  g_assert_cmpuint (front->port, ==, 80);
  g_assert_cmpuint (front->n_endpoints, ==, 2); /* the ready ones */
  g_assert_cmpstr (front->endpoints[0].ip, ==, "10.244.0.1");
  g_assert_cmpuint (front->endpoints[0].port, ==, 8080);
  g_assert_true (front->endpoints[0].is_local);
  g_assert_false (front->endpoints[1].is_local);
  g_assert_false (front->needs_masquerade);
}

static void
test_terminating (void)
{
  g_autoptr (GArray) fronts = compile (&cube_plugin_services_clusterip, SERVICE ("ClusterIP", ""), ENDING);

  g_assert_cmpuint (g_array_index (fronts, CubeFront, 0).n_endpoints, ==, 1); /* nothing else is there, and it still serves */
  g_assert_cmpstr (g_array_index (fronts, CubeFront, 0).endpoints[0].ip, ==, "10.244.1.3");
}

static void
test_policies (void)
{
  g_autoptr (GArray) inside =
      compile (&cube_plugin_services_clusterip, SERVICE ("ClusterIP", "\"internalTrafficPolicy\":\"Local\","), ELSEWHERE);
  g_autoptr (GArray) local = compile (&cube_plugin_services_nodeport, SERVICE ("NodePort", "\"externalTrafficPolicy\":\"Local\","), SLICE);
  g_autoptr (GArray) cluster =
      compile (&cube_plugin_services_nodeport, SERVICE ("NodePort", "\"externalTrafficPolicy\":\"Cluster\","), SLICE);
  g_autoptr (GArray) none = compile (&cube_plugin_services_nodeport, SERVICE ("NodePort", "\"externalTrafficPolicy\":\"Local\","), NULL);

  g_assert_true (g_array_index (inside, CubeFront, 0).is_drop);
  g_assert_cmpuint (g_array_index (inside, CubeFront, 0).n_endpoints, ==, 0);
  g_assert_cmpuint (g_array_index (local, CubeFront, 0).n_endpoints, ==, 1);
  g_assert_false (g_array_index (local, CubeFront, 0).needs_masquerade);
  g_assert_cmpuint (g_array_index (cluster, CubeFront, 0).n_endpoints, ==, 2);
  g_assert_true (g_array_index (cluster, CubeFront, 0).needs_masquerade);
  g_assert_cmpuint (g_array_index (cluster, CubeFront, 0).port, ==, 30080);
  g_assert_cmpint (g_array_index (cluster, CubeFront, 0).kind, ==, CUBE_FRONT_NODE_PORT);
  g_assert_false (g_array_index (none, CubeFront, 0).is_drop); /* nobody anywhere: refused */
}

static void
test_affinity_and_addresses (void)
{
  g_autoptr (GArray) fronts =
      compile (&cube_plugin_services_clusterip,
               SERVICE ("ClusterIP", "\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":60}},"
                                     "\"externalIPs\":[\"203.0.113.1\",\"nonsense\"],"),
               SLICE);

  g_assert_cmpuint (fronts->len, ==, 2);
  g_assert_cmpuint (g_array_index (fronts, CubeFront, 0).affinity_seconds, ==, 60);
  g_assert_cmpint (g_array_index (fronts, CubeFront, 1).kind, ==, CUBE_FRONT_EXTERNAL_IP);
  g_assert_true (g_array_index (fronts, CubeFront, 1).needs_masquerade);
}

static void
test_load_balancer (void)
{
  static const char service[] =
      "{\"spec\":{\"type\":\"LoadBalancer\",\"loadBalancerSourceRanges\":[\"192.0.2.0/24\"],\"ports\":[{\"name\":\"web\",\"port\":80,"
      "\"nodePort\":30080}]},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"203.0.113.7\",\"ipMode\":\"VIP\"},"
      "{\"ip\":\"203.0.113.8\",\"ipMode\":\"Proxy\"},{\"hostname\":\"x\"}]}}}";
  g_autoptr (GArray) fronts = compile (&cube_plugin_services_nodeport, service, SLICE);

  g_assert_cmpuint (fronts->len, ==, 2);
  g_assert_cmpstr (g_array_index (fronts, CubeFront, 1).ip, ==, "203.0.113.7");
  g_assert_nonnull (g_array_index (fronts, CubeFront, 1).allowed_sources);
  g_assert_null (g_array_index (fronts, CubeFront, 0).allowed_sources); /* node ports are not guarded */
}

/* Endpoints keep place and number while others come and go. */
static void
test_settle (void)
{
  CubeEndpoint list[4] = { 0 };
  CubeFront source = {
    .kind = CUBE_FRONT_CLUSTER_IP, .ip = "10.96.0.9", .port = 80, .protocol = CUBE_PROTOCOL_TCP, .endpoints = list, .n_endpoints = 4
  };
  Front *before, *after;
  Target kept;

  for (guint i = 0; i < 4; i++)
    {
      g_snprintf (list[i].ip, sizeof list[i].ip, "10.244.0.%u", i + 1);
      list[i].port = 8080;
    }
  before = front_new (&source, "ns/a");
  front_settle (before, NULL);
  g_assert_cmpuint (before->targets->len, ==, 4);
  kept = g_array_index (before->targets, Target, 1);
  g_strlcpy (list[0].ip, "10.244.0.77", sizeof list[0].ip);
  source.n_endpoints = 3;
  after = front_new (&source, "ns/a");
  front_settle (after, before);
  g_assert_cmpuint (after->targets->len, ==, 3);
  g_assert_cmpmem (&g_array_index (after->targets, Target, 1), sizeof kept, &kept, sizeof kept);
  front_free (before);
  front_free (after);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/services/compile/cluster-ip", test_cluster_ip);
  g_test_add_func ("/services/compile/terminating", test_terminating);
  g_test_add_func ("/services/compile/policies", test_policies);
  g_test_add_func ("/services/compile/affinity-and-addresses", test_affinity_and_addresses);
  g_test_add_func ("/services/compile/load-balancer", test_load_balancer);
  g_test_add_func ("/services/compile/settle", test_settle);
  return g_test_run ();
}
