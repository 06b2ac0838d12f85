/* SPDX-License-Identifier: Apache-2.0 */
/* What every namespace and every node is given, on a virtual clock. */
#include "room.h"

extern const CubePluginDescriptor cube_plugin_controllers_serviceaccount, cube_plugin_controllers_node_ipam,
    cube_plugin_controllers_serviceaccount_token;
#define S G_USEC_PER_SEC

static gboolean
get_ca (gpointer state, char **ret_pem, GError **error)
{
  *ret_pem = g_strdup ("-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n");
  return TRUE;
}
static const CubeCertificateAuthorityOps authority = { .ops_size = sizeof authority, .get_ca = get_ca };

/* "account/secret" and how often: each token is another one. */
static guint n_issued;

static gboolean
issue (gpointer state, const CubeTokenRequest *request, char **ret_token, gint64 *ret_expires_us, GError **error)
{
  *ret_token = g_strdup_printf ("%s/%s/%s#%u", request->ns, request->service_account, request->secret_name, ++n_issued);
  *ret_expires_us = 0;
  return TRUE;
}
static const CubeTokenIssuerOps issuer = { .ops_size = sizeof issuer, .issue = issue };

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
put_token_secret (Room *room, const char *name, const char *account)
{
  put (room, "v1", "secrets", "x",
       "{'apiVersion':'v1','kind':'Secret','type':'kubernetes.io/service-account-token','metadata':{'name':'%s',"
       "'annotations':{'kubernetes.io/service-account.name':'%s'}},'data':{'mine':'bWluZQ=='}}",
       name, account);
}

static void
assert_datum (Room *room, const char *name, const char *key, const char *wanted)
{
  g_autoptr (CubeValue) secret = look (room, "v1", "secrets", "x", name);
  const char *text = cube_view_string (cube_value_get (secret, "data", key));
  gsize length = 0;
  g_autofree guchar *bytes = text != NULL ? g_base64_decode (text, &length) : NULL;
  g_autofree char *found = g_strndup ((const char *) bytes, length);

  g_assert_cmpstr (found, ==, wanted);
}

static void
test_token_secrets (void)
{
  static const CubeInterfaceImpl impl = CUBE_IMPL (CUBE_TOKEN_ISSUER, CUBE_TOKEN_ISSUER_VERSION, "test-issuer", issuer);
  Room room;

  n_issued = 0;
  begin (&room, NULL);
  g_assert_true (cube_registry_add (room.fixture.registry, &impl, "test-issuer", NULL, room.fixture.context, NULL));
  room_load (&room, &cube_plugin_controllers_serviceaccount_token, NULL);
  put (&room, "v1", "namespaces", NULL, "{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'x'}}");
  put (&room, "v1", "serviceaccounts", "x",
       "{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'robot'},'secrets':[{'name':'a'},{'name':'other'}]}");
  room_run (&room, S);
  put_token_secret (&room, "a", "robot");
  put_token_secret (&room, "b", "nobody");
  room_run (&room, S);
  g_assert_cmpuint (revision_of (&room, "v1", "secrets", "x", "b"), ==, 0); /* of no account */
  assert_datum (&room, "a", "token", "x/robot/a#1");
  assert_datum (&room, "a", "namespace", "x");
  assert_datum (&room, "a", "ca.crt", "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n");
  assert_datum (&room, "a", "mine", "mine");
  {
    g_autoptr (CubeValue) secret = look (&room, "v1", "secrets", "x", "a"), account = look (&room, "v1", "serviceaccounts", "x", "robot");
    g_assert_cmpstr (cube_view_string (cube_value_get (secret, "metadata", "annotations", "kubernetes.io/service-account.uid")), ==,
                     cube_view_string (cube_value_get (account, "metadata", "uid")));
  }

  merge (&room, "v1", "secrets", NULL, "x", "a", "{'data':{'ca.crt':'b3RoZXI=','token':null}}"); /* put back */
  room_run (&room, S);
  assert_datum (&room, "a", "token", "x/robot/a#2");
  assert_datum (&room, "a", "ca.crt", "-----BEGIN CERTIFICATE-----\nQQ==\n-----END CERTIFICATE-----\n");

  drop (&room, "v1", "secrets", "x", "a", CUBE_PROPAGATION_DEFAULT);
  room_run (&room, S);
  {
    g_autoptr (CubeValue) account = look (&room, "v1", "serviceaccounts", "x", "robot");
    assert_at (account, "secrets", "[{'name':'other'}]");
  }

  put_token_secret (&room, "c", "robot");
  room_run (&room, S);
  assert_datum (&room, "c", "token", "x/robot/c#3");
  drop (&room, "v1", "serviceaccounts", "x", "robot", CUBE_PROPAGATION_DEFAULT);
  room_run (&room, S);
  g_assert_cmpuint (revision_of (&room, "v1", "secrets", "x", "c"), ==, 0); /* gone with its account */
  g_assert_cmpuint (n_issued, ==, 3);
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
  g_test_add_func ("/controllers/cluster/token-secrets", test_token_secrets);
  g_test_add_func ("/controllers/cluster/ranges", test_ranges);
  g_test_add_func ("/controllers/cluster/default-range", test_default_range);
  return g_test_run ();
}
