/* SPDX-License-Identifier: Apache-2.0 */
/* The rules against a real kernel: packets from a pod, the node and outside, in network namespaces of their own. */
#include "host.h"
#include "net.h"
#include "rules.h"
#include "ruleset.h"
#include <errno.h>
#include <gio/gio.h>
#include <string.h>

#define TABLE "cube-test"
#define VIP "10.96.7.7"

static gboolean is_bridge_filtered;

static CubeEndpoint
endpoint (int place)
{
  CubeEndpoint made = { .port = 8080, .is_ready = TRUE, .is_serving = TRUE, .is_local = TRUE };

  g_strlcpy (made.ip, net_ips[place], sizeof made.ip);
  return made;
}

static guint
fill (CubeEndpoint *endpoints, guint mask)
{
  guint n = 0;

  for (int i = NET_POD_1; i <= NET_POD_3; i++)
    if (mask & (1u << i))
      endpoints[n++] = endpoint (i);
  return n;
}

#define ALL ((1u << NET_POD_1) | (1u << NET_POD_2) | (1u << NET_POD_3))

static CubeFront
front (CubeFrontKind kind, const char *ip, guint16 port)
{
  CubeFront made = { .kind = kind, .port = port, .protocol = CUBE_PROTOCOL_TCP };

  g_strlcpy (made.ip, ip, sizeof made.ip);
  return made;
}

static void
put (Rules *rules, const char *key, CubeFront made, guint mask)
{
  CubeEndpoint endpoints[NET_PODS];
  g_autoptr (GError) error = NULL;

  made.endpoints = endpoints;
  made.n_endpoints = fill (endpoints, mask);
  rules_set_service (rules, key, &made, 1);
  rules_commit (rules, &error);
  g_assert_no_error (error);
}

static void
drop (Rules *rules, const char *key)
{
  g_autoptr (GError) error = NULL;

  rules_set_service (rules, key, NULL, 0);
  rules_commit (rules, &error);
  g_assert_no_error (error);
}

static Rules *
new_rules (void)
{
  Layout layout = { TABLE, "10.96.0.0/16", is_bridge_filtered };
  Rules *rules = rules_new (&layout);
  g_autoptr (GError) error = NULL;

  rules_set_pod_cidrs (rules, (const char *const[]){ "10.244.0.0/16", "10.244.0.0/24", NULL }, &error);
  g_assert_no_error (error);
  rules_commit (rules, &error);
  g_assert_no_error (error);
  return rules;
}

static void
end_rules (Rules *rules)
{
  g_autoptr (GError) error = NULL;

  rules_remove_table (rules, &error);
  g_assert_no_error (error);
  rules_free (rules);
}

static void
assert_spread (NetPlace from, const char *ip, guint16 port, guint mask)
{
  guint hits[NET_N] = { 0 };

  for (guint i = 0; i < 60; i++)
    {
      int place = net_connect (from, ip, port);

      g_assert_cmpint (place, >=, NET_POD_1);
      g_assert_cmpint (place, <=, NET_POD_3);
      hits[place]++;
    }
  for (int i = NET_POD_1; i <= NET_POD_3; i++)
    g_assert_cmpint (hits[i] > 0, ==, (mask & (1u << i)) != 0);
}

static void
test_cluster_ip (void)
{
  Rules *rules = new_rules ();

  put (rules, "default/web", front (CUBE_FRONT_CLUSTER_IP, VIP, 80), ALL);
  assert_spread (NET_NODE, VIP, 80, ALL);
  assert_spread (NET_POD_1, VIP, 80, ALL); /* to another pod on the same bridge, and to itself */
  assert_spread (NET_OUTSIDE, VIP, 80, ALL);
  put (rules, "default/web", front (CUBE_FRONT_CLUSTER_IP, VIP, 80), 1u << NET_POD_2);
  assert_spread (NET_POD_1, VIP, 80, 1u << NET_POD_2);
  put (rules, "default/web", front (CUBE_FRONT_CLUSTER_IP, VIP, 80), ALL);
  assert_spread (NET_POD_3, VIP, 80, ALL);
  drop (rules, "default/web");
  g_assert_cmpint (net_connect (NET_POD_1, VIP, 80), ==, -ETIMEDOUT); /* nobody's address: dropped */
  end_rules (rules);
}

static void
test_node_port (void)
{
  Rules *rules = new_rules ();
  CubeFront made = front (CUBE_FRONT_NODE_PORT, "", 30080);

  made.needs_masquerade = TRUE;
  put (rules, "default/web", made, ALL);
  assert_spread (NET_OUTSIDE, NET_NODE_IP, 30080, ALL);
  g_assert_cmpstr (net_last_peer (), ==, "10.244.0.1"); /* the node's own address on the way to the pod */
  assert_spread (NET_NODE, NET_NODE_IP, 30080, ALL);
  assert_spread (NET_POD_1, NET_NODE_IP, 30080, ALL);
  assert_spread (NET_POD_1, "10.244.0.1", 30080, ALL);
  made.needs_masquerade = FALSE; /* policy Local */
  put (rules, "default/web", made, ALL);
  assert_spread (NET_OUTSIDE, NET_NODE_IP, 30080, ALL);
  g_assert_cmpstr (net_last_peer (), ==, NET_OUTSIDE_IP);
  end_rules (rules);
}

static void
test_no_endpoints (void)
{
  Rules *rules = new_rules ();
  CubeFront made = front (CUBE_FRONT_CLUSTER_IP, VIP, 80), udp = front (CUBE_FRONT_CLUSTER_IP, VIP, 53);

  udp.protocol = CUBE_PROTOCOL_UDP;
  put (rules, "default/web", made, 0);
  put (rules, "default/dns", udp, 0);
  put (rules, "default/port", front (CUBE_FRONT_NODE_PORT, "", 30080), 0);
  g_assert_cmpint (net_connect (NET_POD_1, VIP, 80), ==, -ECONNREFUSED);
  g_assert_cmpint (net_connect (NET_NODE, VIP, 80), ==, -ECONNREFUSED);
  g_assert_cmpint (net_connect (NET_OUTSIDE, NET_NODE_IP, 30080), ==, -ECONNREFUSED);
  g_assert_cmpint (net_ask_udp (NET_POD_1, VIP, 53), ==, -ECONNREFUSED);
  g_assert_cmpint (net_connect (NET_POD_1, VIP, 81), ==, -ECONNREFUSED); /* not a port of the service */
  made.is_drop = TRUE;
  put (rules, "default/web", made, 0);
  g_assert_cmpint (net_connect (NET_POD_1, VIP, 80), ==, -ETIMEDOUT);
  put (rules, "default/web", front (CUBE_FRONT_CLUSTER_IP, VIP, 80), ALL);
  put (rules, "default/dns", udp, ALL);
  assert_spread (NET_POD_1, VIP, 80, ALL);
  g_assert_cmpint (net_ask_udp (NET_POD_1, VIP, 53), >=, NET_POD_1);
  end_rules (rules);
}

static void
check_affinity (Rules *rules, CubeFront made, NetPlace from, const char *ip)
{
  int first, second;

  made.affinity_seconds = 100;
  put (rules, "default/web", made, ALL);
  first = net_connect (from, ip, made.port);
  g_assert_cmpint (first, >=, NET_POD_1);
  for (guint i = 0; i < 20; i++)
    g_assert_cmpint (net_connect (from, ip, made.port), ==, first);
  put (rules, "default/web", made, ALL & ~(1u << first));
  second = net_connect (from, ip, made.port);
  g_assert_cmpint (second, >=, NET_POD_1);
  g_assert_cmpint (second, !=, first);
  for (guint i = 0; i < 20; i++)
    g_assert_cmpint (net_connect (from, ip, made.port), ==, second);
  put (rules, "default/web", made, ALL); /* more endpoints: the client stays */
  for (guint i = 0; i < 20; i++)
    g_assert_cmpint (net_connect (from, ip, made.port), ==, second);
  drop (rules, "default/web");
}

static void
test_affinity (void)
{
  Rules *rules = new_rules ();
  CubeFront port = front (CUBE_FRONT_NODE_PORT, "", 30080);

  check_affinity (rules, front (CUBE_FRONT_CLUSTER_IP, VIP, 80), NET_OUTSIDE, VIP);
  check_affinity (rules, front (CUBE_FRONT_CLUSTER_IP, VIP, 80), NET_NODE, VIP);
  port.needs_masquerade = TRUE;
  check_affinity (rules, port, NET_OUTSIDE, NET_NODE_IP);
  g_assert_cmpstr (net_last_peer (), ==, "10.244.0.1");
  end_rules (rules);
}

static void
test_source_ranges (void)
{
  Rules *rules = new_rules ();
  CubeFront made = front (CUBE_FRONT_LOAD_BALANCER_IP, "203.0.113.9", 80);

  made.needs_masquerade = TRUE;
  made.allowed_sources = (const char *const[]){ "10.244.0.11/32", "172.16.0.0/12", NULL };
  put (rules, "default/web", made, ALL);
  assert_spread (NET_POD_1, "203.0.113.9", 80, ALL);
  g_assert_cmpint (net_connect (NET_OUTSIDE, "203.0.113.9", 80), ==, -ETIMEDOUT);
  made.allowed_sources = (const char *const[]){ "192.168.50.0/24", NULL };
  put (rules, "default/web", made, ALL);
  assert_spread (NET_OUTSIDE, "203.0.113.9", 80, ALL);
  g_assert_cmpint (net_connect (NET_POD_1, "203.0.113.9", 80), ==, -ETIMEDOUT);
  drop (rules, "default/web");
  end_rules (rules);
}

static void
test_egress (void)
{
  Rules *rules = new_rules ();

  g_assert_cmpint (net_connect (NET_POD_1, NET_OUTSIDE_IP, 8080), ==, NET_OUTSIDE);
  g_assert_cmpstr (net_last_peer (), ==, NET_NODE_IP);
  g_assert_cmpint (net_connect (NET_POD_1, net_ips[NET_POD_2], 8080), ==, NET_POD_2);
  g_assert_cmpstr (net_last_peer (), ==, net_ips[NET_POD_1]);
  end_rules (rules);
}

/* Somebody else empties the table: the next commit says so, and the one after writes all of it. A new process takes the table over as it is. */
static void
test_resync (void)
{
  Rules *rules = new_rules (), *second;
  g_autoptr (GError) error = NULL;
  CubeEndpoint endpoints[NET_PODS];
  CubeFront made = front (CUBE_FRONT_CLUSTER_IP, VIP, 80);

  put (rules, "default/web", made, ALL);
  g_assert_true (nft_ruleset_run ("delete table ip " TABLE "\n", NULL));
  made.endpoints = endpoints;
  made.n_endpoints = fill (endpoints, 1u << NET_POD_1);
  rules_set_service (rules, "default/web", &made, 1);
  g_assert_false (rules_commit (rules, &error));
  g_assert_nonnull (strstr (error->message, "packet rules: message"));
  g_clear_error (&error);
  g_assert_true (rules_commit (rules, &error));
  assert_spread (NET_POD_2, VIP, 80, 1u << NET_POD_1);
  rules_free (rules);
  g_assert_cmpint (net_connect (NET_POD_2, VIP, 80), ==, NET_POD_1);

  second = new_rules ();
  put (second, "default/other", front (CUBE_FRONT_CLUSTER_IP, "10.96.7.8", 80), ALL);
  assert_spread (NET_POD_2, "10.96.7.8", 80, ALL);
  g_assert_cmpint (net_connect (NET_POD_2, VIP, 80), ==, -ETIMEDOUT); /* what the earlier process knew is gone */
  end_rules (second);
}

/* Two services want one front: the first has it; when it goes, the other is said to wait. */
static void
test_conflict (void)
{
  Rules *rules = new_rules ();
  g_autoptr (GPtrArray) waiting = NULL;

  put (rules, "default/one", front (CUBE_FRONT_EXTERNAL_IP, "203.0.113.9", 80), 1u << NET_POD_1);
  put (rules, "default/two", front (CUBE_FRONT_EXTERNAL_IP, "203.0.113.9", 80), 1u << NET_POD_2);
  g_assert_cmpint (net_connect (NET_OUTSIDE, "203.0.113.9", 80), ==, NET_POD_1);
  g_assert_null (rules_take_waiting (rules));
  drop (rules, "default/one");
  waiting = rules_take_waiting (rules);
  g_assert_cmpuint (waiting->len, ==, 1);
  g_assert_cmpstr (waiting->pdata[0], ==, "default/two");
  put (rules, "default/two", front (CUBE_FRONT_EXTERNAL_IP, "203.0.113.9", 80), 1u << NET_POD_2);
  g_assert_cmpint (net_connect (NET_OUTSIDE, "203.0.113.9", 80), ==, NET_POD_2);
  end_rules (rules);
}

static void
test_udp_flows (void)
{
  Rules *rules = new_rules ();
  CubeFront made = front (CUBE_FRONT_CLUSTER_IP, VIP, 53);
  g_autoptr (GPtrArray) flows = NULL;
  g_autofree char *line = NULL;

  made.protocol = CUBE_PROTOCOL_UDP;
  put (rules, "kube-system/dns", made, (1u << NET_POD_1) | (1u << NET_POD_2));
  g_assert_null (rules_take_stale_flows (rules));
  put (rules, "kube-system/dns", made, 1u << NET_POD_2);
  flows = rules_take_stale_flows (rules);
  g_assert_cmpuint (flows->len, ==, 1);
  line = g_strjoinv (" ", flows->pdata[0]);
  g_assert_cmpstr (line, ==, "-D -p udp --orig-port-dst 53 --dst-nat 10.244.0.11 --orig-dst " VIP);
  end_rules (rules);
}

/* ---- changes under load ---- */

typedef struct {
  Rules *rules;
  gint is_done, n_commits; /* atomic */
} Churn;

static gpointer
churn (gpointer data)
{
  Churn *self = data;
  static const guint masks[] = { 1u << NET_POD_1, (1u << NET_POD_1) | (1u << NET_POD_2), ALL, (1u << NET_POD_2) | (1u << NET_POD_3),
                                 1u << NET_POD_3 };

  net_enter (NET_NODE);
  while (!g_atomic_int_get (&self->is_done))
    put (self->rules, "default/web", front (CUBE_FRONT_CLUSTER_IP, VIP, 80),
         masks[(guint) g_atomic_int_add (&self->n_commits, 1) % G_N_ELEMENTS (masks)]);
  return NULL;
}

/* A pod's packet to itself needs its source translated, also when the pod stopped being an endpoint while the packet was between the hooks: however many
 * changes there were before, the address stays until later ones. */
static void
test_hairpin_stays (void)
{
  Rules *rules = new_rules ();
  CubeFront made = front (CUBE_FRONT_CLUSTER_IP, VIP, 80);
  g_autofree char *get = g_strdup_printf ("get element ip " TABLE " hairpin { %s . %s }\n", net_ips[NET_POD_1], net_ips[NET_POD_1]);
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < 3000; i++)
    put (rules, "default/web", made, i % 2 == 0 ? ALL : 1u << NET_POD_2);
  nft_ruleset_run (get, &error);
  g_assert_no_error (error);
  end_rules (rules);
}

/* Not one connection may be lost while the endpoints change all the time. */
static void
test_steady_load (void)
{
  Rules *rules = new_rules ();
  Churn self = { .rules = rules };
  GThread *thread;
  guint n = 0, n_lost = 0;

  put (rules, "default/web", front (CUBE_FRONT_CLUSTER_IP, VIP, 80), ALL);
  net_wait_ms =
      4000; /* a packet may get lost on a busy machine: TCP sends it again after a second; a connection that goes nowhere stays lost */
  thread = g_thread_new ("churn", churn, &self);
  /* Not beyond 10,000: further on ports come again while their old flows are still known, and say nothing of the changes. */
  for (; n < 3000 || (n < 10000 && g_atomic_int_get (&self.n_commits) < 500); n++)
    {
      int place = net_connect (n % 2 == 0 ? NET_OUTSIDE : NET_POD_1, VIP, 80);

      if (place >= NET_POD_1)
        continue;
      n_lost++;
      g_test_message ("connection %u: %d (%s)", n, place, g_strerror (-place));
    }
  g_atomic_int_set (&self.is_done, 1);
  g_thread_join (thread);
  net_wait_ms = 500;
  g_assert_cmpint (g_atomic_int_get (&self.n_commits), >=, 50);
  g_test_message ("%u connections, %d changes, %u lost", n, g_atomic_int_get (&self.n_commits), n_lost);
  end_rules (rules);
  g_assert_cmpuint (n_lost, ==, 0);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  int status;

  g_test_init (&argc, &argv, NULL);
  if (!net_start ())
    {
      g_print ("1..0 # SKIP needs root for network namespaces\n");
      return 0;
    }
  host_prepare (&is_bridge_filtered, &error);
  g_assert_no_error (error);
  g_test_add_func ("/proxy/rules/cluster-ip", test_cluster_ip);
  g_test_add_func ("/proxy/rules/node-port", test_node_port);
  g_test_add_func ("/proxy/rules/no-endpoints", test_no_endpoints);
  g_test_add_func ("/proxy/rules/affinity", test_affinity);
  g_test_add_func ("/proxy/rules/source-ranges", test_source_ranges);
  g_test_add_func ("/proxy/rules/egress", test_egress);
  g_test_add_func ("/proxy/rules/resync", test_resync);
  g_test_add_func ("/proxy/rules/conflict", test_conflict);
  g_test_add_func ("/proxy/rules/udp-flows", test_udp_flows);
  g_test_add_func ("/proxy/rules/hairpin-stays", test_hairpin_stays);
  g_test_add_func ("/proxy/rules/steady-load", test_steady_load);
  status = g_test_run ();
  net_stop ();
  return status;
}
