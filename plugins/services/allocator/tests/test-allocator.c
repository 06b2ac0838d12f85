/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger and the plan: what a Service gets, keeps and gives back. */
#include "plan.h"
#include <arpa/inet.h>

static guint64 next_random;

static guint64
fixed_random (gpointer data)
{
  return next_random++;
}

static guint32
ip (const char *text)
{
  struct in_addr address;

  g_assert_cmpint (inet_pton (AF_INET, text, &address), ==, 1);
  return ntohl (address.s_addr);
}

static Ledger *
new_ledger (const char *cidr)
{
  g_autoptr (GError) error = NULL;
  Ledger *ledger = ledger_new (cidr, "30000-32767", &error);

  g_assert_no_error (error);
  return ledger;
}

static void
test_bands (void)
{
  Ledger *ledger = new_ledger ("10.96.0.0/24"), *small = new_ledger ("10.96.0.0/29");
  guint32 got = 0;
  guint16 port = 0;

  g_assert_cmpint (ledger_pick_ip (ledger, 0, "a", FALSE, &got), ==, LEDGER_OK);
  g_assert_cmpuint (got, ==, ip ("10.96.0.16")); /* a /24 keeps 16 for those who ask */
  g_assert_cmpint (ledger_pick_port (ledger, 0, "a", FALSE, &port), ==, LEDGER_OK);
  g_assert_cmpuint (port, ==, 30086);
  for (guint i = 17; i < 255; i++)
    g_assert_cmpint (ledger_pick_ip (ledger, 7, "a", FALSE, &got), ==, LEDGER_OK);
  g_assert_cmpint (ledger_pick_ip (ledger, 0, "a", FALSE, &got), ==, LEDGER_OK);
  g_assert_cmpuint (got, ==, ip ("10.96.0.1")); /* the rest is full */
  for (guint i = 2; i < 16; i++)
    g_assert_cmpint (ledger_pick_ip (ledger, 3, "a", FALSE, &got), ==, LEDGER_OK);
  g_assert_cmpint (ledger_pick_ip (ledger, 3, "a", FALSE, &got), ==, LEDGER_FULL);
  g_assert_cmpuint (ledger_n_free_ips (ledger), ==, 0);
  g_assert_cmpuint (ledger_n_free_ips (small), ==, 6); /* neither the network's address nor the last */
  ledger_free (ledger);
  ledger_free (small);
}

static void
test_owners (void)
{
  Ledger *ledger = new_ledger ("10.96.0.0/16");
  gboolean is_new;

  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.0.9"), "a", FALSE, &is_new), ==, LEDGER_OK);
  g_assert_true (is_new);
  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.0.9"), "a", FALSE, &is_new), ==, LEDGER_OK);
  g_assert_false (is_new);
  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.0.9"), "b", FALSE, NULL), ==, LEDGER_TAKEN);
  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.0.0"), "b", FALSE, NULL), ==, LEDGER_OUTSIDE);
  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.255.255"), "b", FALSE, NULL), ==, LEDGER_OUTSIDE);
  ledger_release_ip (ledger, ip ("10.96.0.9"), "b");
  g_assert_false (ledger_has_ip (ledger, ip ("10.96.0.9"), "b"));
  ledger_release_ip (ledger, ip ("10.96.0.9"), "a");
  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.0.9"), "b", TRUE, NULL), ==, LEDGER_OK); /* only asked */
  g_assert_cmpint (ledger_take_ip (ledger, ip ("10.96.0.9"), "c", FALSE, NULL), ==, LEDGER_OK);
  ledger_free (ledger);
}

static void
test_ranges (void)
{
  static const char *const bad[] = { "", "10.96.0.0", "10.96.0.0/33", "10.96.0.0/4", "fd00::/108", "x/16" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (ledger_new (bad[i], "30000-32767", &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
  g_assert_null (ledger_new ("10.96.0.0/16", "32767-30000", NULL));
  g_assert_null (ledger_new ("10.96.0.0/16", "30000-99999", NULL));
  g_assert_null (ledger_new ("10.96.0.0/16", "30000", NULL));
}

/* ---- plans ---- */

typedef struct {
  Ledger *ledger;
  gboolean is_dry_run;
} Fixture;

/* The service after admission, or NULL with @error; an accepted plan's reservations stay. */
static CubeValue *
admit (Fixture *fixture, const char *uid, const char *service, CubeValue *old, GError **error)
{
  g_autoptr (CubeValue) value = cube_value_from_json (service, -1, NULL, NULL);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  Plan *plan = plan_new (fixture->ledger, uid, "web");
  CubeValue *result = NULL;

  plan->random = fixed_random;
  plan->is_dry_run = fixture->is_dry_run;
  if (plan_apply (plan, cube_builder_root (builder), old != NULL ? cube_value_root (old) : cube_view_none (), error))
    result = cube_builder_end (builder);
  plan_free (plan);
  return result;
}

static void
assert_at (CubeValue *value, const char *path, const char *expected)
{
  g_autofree char *json = cube_view_to_json (cube_view_dotted (cube_value_root (value), path), NULL);

  g_assert_cmpstr (json, ==, expected);
}

static void
assert_refused (Fixture *fixture, const char *uid, const char *service, CubeValue *old, const char *message)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (admit (fixture, uid, service, old, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
  g_assert_cmpstr (error->message, ==, message);
}

static void
test_create (void)
{
  Fixture fixture = { .ledger = new_ledger ("10.96.0.0/16") };
  g_autoptr (CubeValue) first = NULL, port = NULL, headless = NULL, bare = NULL, external = NULL;

  next_random = 0;
  first = admit (&fixture, "a", "{\"spec\":{\"type\":\"ClusterIP\",\"selector\":{\"a\":\"b\"}}}", NULL, NULL);
  assert_at (first, "spec.clusterIP", "\"10.96.1.0\"");
  assert_at (first, "spec.clusterIPs", "[\"10.96.1.0\"]");
  assert_at (first, "spec.ipFamilies", "[\"IPv4\"]");
  assert_at (first, "spec.ipFamilyPolicy", "\"SingleStack\"");
  port = admit (
      &fixture, "b",
      "{\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.50\",\"ports\":[{\"port\":53,\"protocol\":\"UDP\"},{\"port\":53,\"protocol\":\"TCP\"},"
      "{\"port\":80,\"protocol\":\"TCP\",\"nodePort\":30001}]}}",
      NULL, NULL);
  assert_at (port, "spec.clusterIPs", "[\"10.96.0.50\"]");
  g_assert_cmpint (
      cube_view_int (cube_view_dotted (cube_value_root (port), "spec.ports[0].nodePort"), 0), ==,
      cube_view_int (cube_view_dotted (cube_value_root (port), "spec.ports[1].nodePort"), 1)); /* one number for both protocols */
  headless = admit (&fixture, "c", "{\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"None\",\"selector\":{\"a\":\"b\"}}}", NULL, NULL);
  assert_at (headless, "spec.clusterIPs", "[\"None\"]");
  bare = admit (&fixture, "d", "{\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"None\"}}", NULL, NULL);
  assert_at (bare, "spec.ipFamilies", "[\"IPv4\",\"IPv6\"]");
  assert_at (bare, "spec.ipFamilyPolicy", "\"RequireDualStack\"");
  external = admit (&fixture, "e", "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x\"}}", NULL, NULL);
  g_assert_false (cube_view_exists (cube_value_get (external, "spec", "clusterIP")));
  ledger_free (fixture.ledger);
}

static void
test_refusals (void)
{
  Fixture fixture = { .ledger = new_ledger ("10.96.0.0/16") };
  g_autoptr (CubeValue) first =
      admit (&fixture, "a", "{\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.50\",\"ports\":[{\"port\":80,\"nodePort\":30001}]}}",
             NULL, NULL);

  g_assert_nonnull (first);
  assert_refused (
      &fixture, "b", "{\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.96.0.50\"}}", NULL,
      "Service \"web\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.50\"]: failed to allocate IP 10.96.0.50: provided IP is already allocated");
  assert_refused (
      &fixture, "b", "{\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.97.0.50\"}}", NULL,
      "Service \"web\" is invalid: spec.clusterIPs: Invalid value: [\"10.97.0.50\"]: failed to allocate IP 10.97.0.50: the provided IP (10.97.0.50) is "
      "not in the valid range. The range of valid IPs is 10.96.0.0/16");
  assert_refused (&fixture, "b",
                  "{\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.96.0.51\",\"ports\":[{\"port\":80,\"nodePort\":30001}]}}", NULL,
                  "Service \"web\" is invalid: spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated");
  assert_refused (
      &fixture, "b", "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":80,\"nodePort\":80}]}}", NULL,
      "Service \"web\" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is "
      "30000-32767");
  assert_refused (
      &fixture, "b", "{\"spec\":{\"type\":\"ClusterIP\",\"ipFamilyPolicy\":\"RequireDualStack\"}}", NULL,
      "Service \"web\" is invalid: spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured for dual-stack services");
  assert_refused (&fixture, "b", "{\"spec\":{\"type\":\"ClusterIP\",\"ipFamilies\":[\"IPv6\"]}}", NULL,
                  "Service \"web\" is invalid: spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster");
  g_assert_true (ledger_has_ip (fixture.ledger, ip ("10.96.0.51"), "somebody")); /* a refused plan gave back what it took */
  ledger_free (fixture.ledger);
}

static void
test_update (void)
{
  Fixture fixture = { .ledger = new_ledger ("10.96.0.0/16") };
  g_autoptr (CubeValue) old = NULL, same = NULL, other = NULL;
  g_autofree char *expected = NULL;

  old = admit (&fixture, "a", "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"name\":\"x\",\"port\":80},{\"name\":\"y\",\"port\":81}]}}",
               NULL, NULL);
  same = admit (&fixture, "a", "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"name\":\"y\",\"port\":8081},{\"name\":\"z\",\"port\":82}]}}",
                old, NULL);
  g_assert_true (cube_view_equal (cube_value_get (same, "spec", "clusterIPs"), cube_value_get (old, "spec", "clusterIPs")));
  g_assert_true (cube_view_equal (cube_view_dotted (cube_value_root (same), "spec.ports[0].nodePort"),
                                  cube_view_dotted (cube_value_root (old), "spec.ports[1].nodePort")));
  g_assert_false (cube_view_equal (cube_view_dotted (cube_value_root (same), "spec.ports[1].nodePort"),
                                   cube_view_dotted (cube_value_root (old), "spec.ports[0].nodePort")));
  assert_refused (&fixture, "a", "{\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"10.96.0.9\",\"clusterIPs\":[\"10.96.0.9\"]}}", old,
                  "Service \"web\" is invalid: spec.clusterIPs[0]: Invalid value: [\"10.96.0.9\"]: may not change once set");
  other = admit (&fixture, "a", "{\"spec\":{\"type\":\"ExternalName\",\"externalName\":\"x\"}}", old, NULL);
  g_assert_nonnull (other);
  ledger_free (fixture.ledger);
}

static void
test_dry_run (void)
{
  Fixture fixture = { .ledger = new_ledger ("10.96.0.0/16"), .is_dry_run = TRUE };
  guint before = ledger_n_free_ips (fixture.ledger);
  g_autoptr (CubeValue) value =
      admit (&fixture, "a", "{\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":80,\"name\":\"a\"},{\"port\":81,\"name\":\"b\"}]}}",
             NULL, NULL);

  g_assert_true (cube_view_exists (cube_value_get (value, "spec", "clusterIP")));
  g_assert_false (cube_view_equal (cube_view_dotted (cube_value_root (value), "spec.ports[0].nodePort"),
                                   cube_view_dotted (cube_value_root (value), "spec.ports[1].nodePort")));
  g_assert_cmpuint (ledger_n_free_ips (fixture.ledger), ==, before);
  ledger_free (fixture.ledger);
}

static void
test_health_check (void)
{
  Fixture fixture = { .ledger = new_ledger ("10.96.0.0/16") };
  g_autoptr (CubeValue) value =
      admit (&fixture, "a",
             "{\"spec\":{\"type\":\"LoadBalancer\",\"externalTrafficPolicy\":\"Local\",\"allocateLoadBalancerNodePorts\":false,"
             "\"ports\":[{\"port\":80}]}}",
             NULL, NULL);

  g_assert_cmpint (cube_view_int (cube_value_get (value, "spec", "healthCheckNodePort"), 0), >=, 30086);
  g_assert_false (cube_view_exists (cube_view_dotted (cube_value_root (value), "spec.ports[0].nodePort")));
  ledger_free (fixture.ledger);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/services/ledger/bands", test_bands);
  g_test_add_func ("/services/ledger/owners", test_owners);
  g_test_add_func ("/services/ledger/ranges", test_ranges);
  g_test_add_func ("/services/plan/create", test_create);
  g_test_add_func ("/services/plan/refusals", test_refusals);
  g_test_add_func ("/services/plan/update", test_update);
  g_test_add_func ("/services/plan/dry-run", test_dry_run);
  g_test_add_func ("/services/plan/health-check", test_health_check);
  return g_test_run ();
}
