/* SPDX-License-Identifier: Apache-2.0 */
/* What every namespace and every node is given, on a virtual clock. */
#include "room.h"

extern const CubePluginDescriptor cube_plugin_controllers_serviceaccount, cube_plugin_controllers_node_ipam;
#define S G_USEC_PER_SEC

static gboolean
get_ca (gpointer state, char **ret_pem, GError **error)
{
  *ret_pem = g_strdup ("-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n");
  return TRUE;
}
static const CubeCertificateAuthorityOps authority = { .ops_size = sizeof authority, .get_ca = get_ca };

static void
begin (Room *room, const char *cidr)
{
  static const CubeInterfaceImpl impl = CUBE_IMPL (CUBE_CERTIFICATE_AUTHORITY, CUBE_CERTIFICATE_AUTHORITY_VERSION, "test", authority);
  g_autoptr (GError) error = NULL;
  room_init (room);
  cube_registry_add (room->fixture.registry, &impl, "test-authority", NULL, room->fixture.context, &error);
  g_assert_no_error (error);
  if (cidr != NULL)
    cube_context_set_fact (room->fixture.context, "cluster-cidr", cidr);
  room_load (room, &cube_plugin_controllers_serviceaccount, NULL);
  room_load (room, &cube_plugin_controllers_node_ipam, NULL);
  room_start (room);
}

static void
test_accounts (void)
{
  Room room;
  begin (&room, NULL);
  put (&room, "v1", "namespaces", NULL, "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'x'}}");
  room_run (&room, S);
  g_assert_cmpuint (revision_of (&room, "v1", "serviceaccounts", "x", "default"), >, 0);
  {
    g_autoptr (CubeValue) map = look (&room, "v1", "configmaps", "x", "kube-root-ca.crt");
    assert_at (map, "data", "{'ca.crt':'-----BEGIN CERTIFICATE-----\\nQQ==\\n-----END CERTIFICATE-----\\n'}");
    assert_at (
        map, "metadata.annotations",
        "{'kubernetes.io/description':'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
        "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.'}");
  }
  drop (&room, "v1", "serviceaccounts", "x", "default", CUBE_PROPAGATION_DEFAULT);
  merge (&room, "v1", "configmaps", NULL, "x", "kube-root-ca.crt", "{'data':{'ca.crt':'other','more':'1'}}");
  room_run (&room, S);
  g_assert_cmpuint (revision_of (&room, "v1", "serviceaccounts", "x", "default"), >, 0);
  g_autoptr (CubeValue) map = look (&room, "v1", "configmaps", "x", "kube-root-ca.crt");
  assert_at (map, "data", "{'ca.crt':'-----BEGIN CERTIFICATE-----\\nQQ==\\n-----END CERTIFICATE-----\\n'}");
  room_clear (&room);
}

static void
put_node (Room *room, const char *name, const char *spec)
{
  put (room, "v1", "nodes", NULL, "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'spec':{%s}}", name, spec);
}

static char *
range_of (Room *room, const char *name)
{
  g_autoptr (CubeValue) node = look (room, "v1", "nodes", NULL, name);
  return text_at (node, "spec.podCIDR");
}

static void
assert_range (Room *room, const char *name, const char *wanted)
{
  g_autofree char *range = range_of (room, name);
  g_assert_cmpstr (range, ==, wanted);
}

static void
test_ranges (void)
{
  Room room;
  begin (&room, "10.9.0.0/22");
  put_node (&room, "own", "'podCIDR':'10.9.0.0/24','podCIDRs':['10.9.0.0/24']");
  room_run (&room, S);
  put_node (&room, "a", "");
  put_node (&room, "b", "");
  room_run (&room, S);
  g_autofree char *a = range_of (&room, "a"), *b = range_of (&room, "b");
  g_assert_cmpstr (a, !=, b);
  g_assert_true (g_str_has_prefix (a, "10.9.") && g_str_has_prefix (b, "10.9."));
  g_assert_cmpstr (a, !=, "10.9.0.0/24");
  g_assert_cmpstr (b, !=, "10.9.0.0/24");
  room_stop (&room); /* whoever goes on keeps what was given */
  room_start (&room);
  put_node (&room, "c", "");
  put_node (&room, "late", "");
  room_run (&room, 60 * S);
  assert_range (&room, "a", a);
  g_autofree char *c = range_of (&room, "c"), *late = range_of (&room, "late");
  g_assert_true ((*c == '\0') != (*late == '\0')); /* four ranges, five nodes */
  g_autofree char *message = event_message (&room, "default", "CIDRNotAvailable");
  g_assert_nonnull (message);
  drop (&room, "v1", "nodes", NULL, "a", CUBE_PROPAGATION_DEFAULT); /* its range serves again */
  room_run (&room, 1000 * S);
  assert_range (&room, *c == '\0' ? "c" : "late", a);
  room_clear (&room);
}

static void
test_default_range (void)
{
  Room room;
  begin (&room, NULL);
  put_node (&room, "a", "");
  room_run (&room, S);
  assert_range (&room, "a", "10.244.0.0/24");
  g_autofree char *fact = cube_context_fact (room.fixture.context, "cluster-cidr");
  g_assert_cmpstr (fact, ==, "10.244.0.0/16");
  room_clear (&room);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/controllers/cluster/accounts", test_accounts);
  g_test_add_func ("/controllers/cluster/ranges", test_ranges);
  g_test_add_func ("/controllers/cluster/default-range", test_default_range);
  return g_test_run ();
}
