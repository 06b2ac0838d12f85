/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.TokenIssuer and cube.auth.Authenticator "serviceaccount-token". */
#include "tokens.h"

#include "pki.h"

#include <cube/client.h>
#include <cube/scalar.h>
#include <string.h>

typedef struct {
  CubeContext *context;
  Tokens *tokens;
} State;

static gint64
context_now (gpointer data)
{
  return cube_context_now_us (((State *) data)->context);
}

static guint64
context_random (gpointer data)
{
  guint64 bits;

  cube_context_random_bytes (((State *) data)->context, &bits, sizeof bits);
  return bits;
}

/* A read of the store's memory. */
static TokenObjectState
look_up (gpointer data, const char *resource, const char *ns, const char *name, char **ret_uid, gint64 *ret_deletion_us)
{
  State *state = data;
  const CubeResource *kind = cube_schema_resource (cube_context_schema (state->context), "v1", resource);
  CubeClient *client = cube_context_client (state->context);
  g_autoptr (CubeObject) object = NULL;
  g_autoptr (GError) error = NULL;

  if (kind == NULL || client == NULL)
    return TOKEN_OBJECT_UNKNOWN;
  object = cube_client_get (client, kind, ns, name, &error);
  if (object == NULL)
    return g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND) ? TOKEN_OBJECT_ABSENT : TOKEN_OBJECT_UNKNOWN;
  *ret_uid = g_strdup (cube_object_uid (object));
  *ret_deletion_us = 0;
  if (cube_object_deletion_timestamp (object) != NULL)
    cube_time_parse (cube_object_deletion_timestamp (object), ret_deletion_us);
  return TOKEN_OBJECT_PRESENT;
}

/* ---- cube.auth.Authenticator ---- */

static gboolean
token_authenticate (gpointer data, const CubeCredentials *credentials, CubeUser **ret_user, GError **error)
{
  State *state = data;

  *ret_user = NULL;
  return credentials->bearer_token == NULL || tokens_check (state->tokens, credentials->bearer_token, NULL, ret_user, NULL, error);
}

/* ---- cube.auth.TokenIssuer ---- */

static gboolean
token_issue (gpointer data, const CubeTokenRequest *request, char **ret_token, gint64 *ret_expires_us, GError **error)
{
  State *state = data;

  *ret_token = tokens_issue (state->tokens, request, ret_expires_us, error);
  return *ret_token != NULL;
}

static gboolean
token_review (gpointer data, const char *token, const char *const *audiences, CubeUser **ret_user, char ***ret_audiences, GError **error)
{
  State *state = data;

  if (!tokens_check (state->tokens, token, audiences, ret_user, ret_audiences, error))
    return FALSE;
  if (*ret_user != NULL)
    return TRUE;
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "invalid bearer token");
  return FALSE;
}

static char *
token_jwks (gpointer data)
{
  return jwt_key_to_jwks (tokens_key (((State *) data)->tokens));
}

static char *
token_openid_configuration (gpointer data)
{
  State *state = data;
  g_autofree char *address = cube_context_fact (state->context, "advertise-address"),
                  *port = cube_context_fact (state->context, "listen-port");
  g_autofree char *uri = NULL, *issuer = NULL;
  GString *text = g_string_new ("{\"issuer\":");

  uri = address == NULL || port == NULL ? g_strconcat (tokens_issuer (state->tokens), "/openid/v1/jwks", NULL)
        : strchr (address, ':') != NULL ? g_strdup_printf ("https://[%s]:%s/openid/v1/jwks", address, port)
                                        : g_strdup_printf ("https://%s:%s/openid/v1/jwks", address, port);
  cube_json_append_string (text, tokens_issuer (state->tokens), -1);
  g_string_append (text, ",\"jwks_uri\":");
  cube_json_append_string (text, uri, -1);
  g_string_append (text, ",\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],"
                         "\"id_token_signing_alg_values_supported\":[\"ES256\"]}");
  return g_string_free (text, FALSE);
}

/* ---- the plugin ---- */

static char *
issuer_of (CubeContext *context)
{
  const char *configured = cube_view_string (cube_view_member (cube_context_config (context), "issuer"));
  g_autofree char *domain = NULL;

  if (configured != NULL && *configured != '\0')
    return g_strdup (configured);
  domain = cube_context_fact (context, "cluster-domain");
  return g_strconcat ("https://kubernetes.default.svc.", domain != NULL ? domain : "cluster.local", NULL);
}

static GPtrArray *
audiences_of (CubeContext *context)
{
  GPtrArray *audiences = g_ptr_array_new ();
  CubeIter it;
  CubeView element;

  for (cube_iter_init (&it, cube_view_member (cube_context_config (context), "api-audiences")); cube_iter_next (&it, NULL, &element);)
    if (cube_view_string (element) != NULL)
      g_ptr_array_add (audiences, (gpointer) cube_view_string (element));
  g_ptr_array_add (audiences, NULL);
  return audiences;
}

static JwtKey *
open_key (CubeContext *context, GError **error)
{
  const char *data_dir = cube_context_data_dir (context);
  g_autofree char *directory = data_dir != NULL ? g_build_filename (data_dir, "pki", NULL) : NULL;
  g_autofree char *path = directory != NULL ? g_build_filename (directory, "sa.key", NULL) : NULL;

  return directory == NULL || pki_ensure_directory (directory, error) ? jwt_key_open (path, error) : NULL;
}

static gboolean
token_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  g_autofree State *state = g_new0 (State, 1);
  TokenSeams seams = { context_now, context_random, look_up, state };
  g_autofree char *issuer = issuer_of (context);
  g_autoptr (GPtrArray) audiences = audiences_of (context);
  JwtKey *key = open_key (context, error);

  if (key == NULL)
    {
      g_prefix_error (error, "service account tokens: ");
      return FALSE;
    }
  state->context = context;
  state->tokens = tokens_new (key, issuer, (const char *const *) audiences->pdata, &seams);
  *ret_state = g_steal_pointer (&state);
  return TRUE;
}

static void
token_unload (gpointer data)
{
  State *state = data;

  tokens_free (state->tokens);
  g_free (state);
}

static const CubeAuthenticatorOps authenticator_ops = {
  .ops_size = sizeof authenticator_ops,
  .order = 20,
  .authenticate = token_authenticate,
};

static const CubeTokenIssuerOps issuer_ops = {
  .ops_size = sizeof issuer_ops,
  .issue = token_issue,
  .review = token_review,
  .get_jwks = token_jwks,
  .get_openid_configuration = token_openid_configuration,
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_AUTHENTICATOR, CUBE_AUTHENTICATOR_VERSION, "serviceaccount-token", authenticator_ops),
  CUBE_IMPL (CUBE_TOKEN_ISSUER, CUBE_TOKEN_ISSUER_VERSION, "serviceaccount-token", issuer_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "security-serviceaccount-token", .version = "1", .description = "tokens of service accounts",
                    .license = "Apache-2.0", .impls = impls, .load = token_load, .unload = token_unload,
                    .config_schema =
                        "issuer string \"\" who signs: the iss of every token (empty: https://kubernetes.default.svc.<domain>)\n"
                        "api-audiences string-list [] audiences the API server answers to (empty: the issuer)\n");
