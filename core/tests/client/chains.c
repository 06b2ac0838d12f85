/* SPDX-License-Identifier: Apache-2.0 */
/* The chains of plugins around a request: authenticators, and admission of what is posted to subresources. */
#include "fixture.h"

/* ---- authenticators ---- */

/* Knows the token its state spells, calls "bad…" tokens wrong in its own words, and has nothing to say of others. */
static gboolean
authenticate (gpointer state, const CubeCredentials *credentials, CubeUser **ret_user, GError **error)
{
  const char *token = credentials->bearer_token;

  *ret_user = NULL;
  if (token != NULL && g_str_equal (token, state))
    *ret_user = cube_user_new (state, "", NULL);
  else if (token != NULL && (g_str_has_prefix (token, "bad") || g_str_equal (token, "second")))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "%s", g_str_equal (token, "bad-both") ? "wrong" : (const char *) state);
  return *error == NULL;
}

static const CubeAuthenticatorOps first_ops = { .ops_size = sizeof first_ops, .order = 1, .authenticate = authenticate };
static const CubeAuthenticatorOps second_ops = { .ops_size = sizeof second_ops, .order = 2, .authenticate = authenticate };
static const CubeInterfaceImpl first_impl = CUBE_IMPL (CUBE_AUTHENTICATOR, CUBE_AUTHENTICATOR_VERSION, "first", first_ops),
                               second_impl = CUBE_IMPL (CUBE_AUTHENTICATOR, CUBE_AUTHENTICATOR_VERSION, "second", second_ops);

static void
test_authenticators (void)
{
  struct {
    const char *token, *user, *error;
  } cases[] = {
    { "first", "first", NULL },
    { "second", "second", NULL }, /* the first calls it wrong */
    { "bad", NULL, "[invalid bearer token, first, second]" },
    { "bad-both", NULL, "[invalid bearer token, wrong]" }, /* said twice, told once */
    { "other", NULL, "invalid bearer token" },
    { NULL, NULL, "Unauthorized" },
  };
  Fixture fixture;
  GError *error = NULL;

  fixture_init (&fixture, FALSE, 100);
  g_assert_true (cube_registry_add (fixture.registry, &first_impl, "test", (gpointer) "first", fixture.context, NULL));
  g_assert_true (cube_registry_add (fixture.registry, &second_impl, "test", (gpointer) "second", fixture.context, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      CubeCredentials credentials = { .bearer_token = cases[i].token };
      CubeUser *user = cube_authenticate (fixture.registry, &credentials, &error);

      g_assert_cmpstr (user != NULL ? user->name : NULL, ==, cases[i].user);
      cube_user_unref (user);
      if (cases[i].error != NULL)
        assert_error (error, CUBE_ERROR_UNAUTHORIZED, cases[i].error);
      g_assert_no_error (error);
    }
  fixture_clear (&fixture);
}

/* ---- admission of subresources ---- */

typedef struct {
  GString *seen; /* resource/subresource:kind … */
  gboolean is_refusing;
} Gate;

static gboolean
gate_handles (gpointer state, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return verb == CUBE_VERB_CREATE && *subresource != '\0';
}

static gboolean
gate_validate (gpointer state, CubeAdmissionRequest *request, CubeView object, GError **error)
{
  Gate *gate = state;

  g_string_append_printf (gate->seen, "%s/%s:%s:%s ", request->resource->resource, request->subresource, request->name,
                          cube_view_string_or (cube_view_member (object, "kind"), ""));
  if (gate->is_refusing)
    g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "not today");
  return !gate->is_refusing;
}

static const CubeAdmissionOps gate_ops = { .ops_size = sizeof gate_ops, .handles = gate_handles, .validate = gate_validate };
static const CubeInterfaceImpl gate_impl = CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "gate", gate_ops);

static gboolean
issue (gpointer state, const CubeTokenRequest *request, char **ret_token, gint64 *ret_expires_us, GError **error)
{
  *ret_token = g_strdup ("token");
  *ret_expires_us = G_GINT64_CONSTANT (1700003600) * G_USEC_PER_SEC;
  return TRUE;
}

static const CubeTokenIssuerOps issuer_ops = { .ops_size = sizeof issuer_ops, .issue = issue };
static const CubeInterfaceImpl issuer_impl = CUBE_IMPL (CUBE_TOKEN_ISSUER, CUBE_TOKEN_ISSUER_VERSION, "issuer", issuer_ops);

static CubeResponse *
post (Fixture *fixture, const char *plural, const char *subresource, const char *name, CubeValue *body, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;

  request.verb = CUBE_VERB_CREATE;
  request.resource = resource (fixture, "v1", plural);
  request.subresource = subresource;
  request.ns = "default";
  request.name = name;
  request.body = body;
  return cube_client_execute (fixture->client, &request, error);
}

static void
test_subresources (void)
{
  static const char *const posts[][4] = {
    { "pods", "binding", "web", "{'apiVersion':'v1','kind':'Binding','metadata':{'name':'web'},'target':{'kind':'Node','name':'n'}}" },
    { "serviceaccounts", "token", "robot", "{'apiVersion':'authentication.k8s.io/v1','kind':'TokenRequest','spec':{}}" },
    { "pods", "eviction", "web", "{'apiVersion':'policy/v1','kind':'Eviction','metadata':{'name':'web'}}" },
  };
  Gate gate = { g_string_new (NULL), TRUE };
  Fixture fixture;
  GError *error = NULL;

  fixture_init (&fixture, FALSE, 100);
  g_assert_true (cube_registry_add (fixture.registry, &gate_impl, "test", &gate, fixture.context, NULL));
  g_assert_true (cube_registry_add (fixture.registry, &issuer_impl, "test", NULL, fixture.context, NULL));
  {
    g_autoptr (CubeValue) account = json ("{'apiVersion':'v1','kind':'ServiceAccount','metadata':{'name':'robot'}}");
    g_autoptr (CubeObject) pod = create_pod (&fixture, "web", ""), robot = create (&fixture, "v1", "serviceaccounts", "default", account);
  }
  for (guint round = 0; round < 2; round++)
    {
      gate.is_refusing = round == 0;
      for (guint i = 0; i < G_N_ELEMENTS (posts); i++)
        {
          g_autoptr (CubeValue) body = json ("%s", posts[i][3]);
          g_autoptr (CubeResponse) response = post (&fixture, posts[i][0], posts[i][1], posts[i][2], body, &error);

          g_assert_true ((response == NULL) == gate.is_refusing);
          if (gate.is_refusing)
            assert_error (error, CUBE_ERROR_FORBIDDEN, "not today");
          g_assert_no_error (error);
        }
      g_assert_cmpstr (gate.seen->str, ==, "pods/binding:web:Binding serviceaccounts/token:robot:TokenRequest pods/eviction:web:Eviction ");
      g_string_truncate (gate.seen, 0);
    }
  fixture_clear (&fixture);
  g_string_free (gate.seen, TRUE);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/client/chains/authenticators", test_authenticators);
  g_test_add_func ("/client/chains/subresources", test_subresources);
  return g_test_run ();
}
