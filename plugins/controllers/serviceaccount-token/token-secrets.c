/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets of the type kubernetes.io/service-account-token: filled for the account they name, deleted without it. Keys: "ns/name" of a Secret, and
 * "@ns/name" of an account, whose Secrets are then looked at. */
#include <cube/auth.h>
#include <cube/controller.h>
#include <cube/plugin.h>
#include <string.h>

#define TYPE "kubernetes.io/service-account-token"
#define ACCOUNT_NAME "kubernetes.io/service-account.name"
#define ACCOUNT_UID "kubernetes.io/service-account.uid"
#define NEVER_S (G_GINT64_CONSTANT (1) << 32) /* the longest a token may be asked for */

typedef struct {
  char *ca_base64; /* NULL = there is no authority */
} State;

static const CubeResource *
core_resource (CubeControllerEnv *env, const char *plural)
{
  return cube_schema_resource (cube_client_schema (env->client), "v1", plural);
}

static gboolean
is_token_secret (CubeView secret)
{
  return g_strcmp0 (cube_view_get_string (secret, "type"), TYPE) == 0;
}

static const char *
annotation (CubeView object, const char *key)
{
  return cube_view_string_or (cube_view_get (object, "metadata", "annotations", key), "");
}

static const char *
datum (CubeView secret, const char *key)
{
  return cube_view_string_or (cube_view_get (secret, "data", key), "");
}

/* ---- the token ---- */

static char *
issue (CubeControllerEnv *env, const CubeObject *secret, const CubeObject *account, GError **error)
{
  g_autoptr (GPtrArray) issuers = cube_registry_list (cube_context_registry (env->context), CUBE_TOKEN_ISSUER);
  CubeTokenRequest request = { .ns = cube_object_namespace (secret),
                               .service_account = cube_object_name (account),
                               .service_account_uid = cube_object_uid (account),
                               .secret_name = cube_object_name (secret),
                               .secret_uid = cube_object_uid (secret),
                               .expiration_seconds = NEVER_S };
  g_autofree char *token = NULL;
  gint64 expires_us;
  if (issuers->len == 0)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no plugin issues service account tokens");
      return NULL;
    }
  const CubeImpl *issuer = issuers->pdata[0];
  if (!((const CubeTokenIssuerOps *) issuer->ops)->issue (issuer->state, &request, &token, &expires_us, error))
    return NULL;
  return g_base64_encode ((const guchar *) token, strlen (token));
}

/* ---- filling ---- */

typedef struct {
  const State *state;
  const CubeObject *account;
  const char *token; /* base64; NULL = the Secret has one */
} Filling;

static gboolean
fill (CubeMut *root, CubeView current, gpointer data)
{
  const Filling *filling = data;
  g_autofree char *ns =
      g_base64_encode ((const guchar *) cube_object_namespace (filling->account), strlen (cube_object_namespace (filling->account)));
  if (!is_token_secret (current) || g_strcmp0 (annotation (current, ACCOUNT_NAME), cube_object_name (filling->account)) != 0)
    return FALSE;
  cube_mut_set_string (cube_mut_ensure (root, "metadata", "annotations"), ACCOUNT_UID, cube_object_uid (filling->account));
  CubeMut *content = cube_mut_ensure_object (root, "data");
  if (filling->state->ca_base64 != NULL)
    cube_mut_set_string (content, "ca.crt", filling->state->ca_base64);
  if (*datum (current, "namespace") == '\0')
    cube_mut_set_string (content, "namespace", ns);
  if (*datum (current, "token") == '\0' && filling->token != NULL)
    cube_mut_set_string (content, "token", filling->token);
  return !cube_mut_equal_view (root, current);
}

static gboolean
fill_secret (const State *state, CubeControllerEnv *env, const CubeObject *secret, CubeView view, const CubeObject *account, GError **error)
{
  g_autofree char *token = NULL;
  if (*datum (view, "token") == '\0' && (token = issue (env, secret, account, error)) == NULL)
    return FALSE;
  Filling filling = { state, account, token };
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) changed = cube_client_modify (env->client, core_resource (env, "secrets"), NULL, cube_object_namespace (secret),
                                                       cube_object_name (secret), fill, &filling, &problem);
  if (changed != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gboolean
delete_secret (CubeControllerEnv *env, const CubeObject *secret, GError **error)
{
  g_autoptr (GError) problem = NULL;
  if (cube_client_delete (env->client, core_resource (env, "secrets"), cube_object_namespace (secret), cube_object_name (secret),
                          cube_object_uid (secret), -1, CUBE_PROPAGATION_DEFAULT, &problem)
      || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND) || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

/* ---- a Secret that is gone ---- */

static gboolean
drop_reference (CubeMut *root, CubeView current, gpointer name)
{
  CubeMut *secrets = cube_mut_member (root, "secrets");
  gboolean is_changed = FALSE;
  for (guint i = cube_mut_length (secrets); i-- > 0;)
    if (g_strcmp0 (cube_mut_string (cube_mut_member (cube_mut_element (secrets, i), "name")), name) == 0)
      {
        cube_mut_remove_element (secrets, i);
        is_changed = TRUE;
      }
  return is_changed;
}

static gboolean
drop_references (CubeControllerEnv *env, const char *ns, const char *name, GError **error)
{
  const CubeResource *accounts = core_resource (env, "serviceaccounts");
  g_autoptr (GPtrArray) list = cube_client_list (env->client, accounts, ns, NULL, NULL, error);
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (list->pdata[i]);
      g_autoptr (GError) problem = NULL;
      if (cube_view_length (cube_value_get (value, "secrets")) == 0)
        continue;
      g_autoptr (CubeObject) changed = cube_client_modify (env->client, accounts, NULL, ns, cube_object_name (list->pdata[i]),
                                                           drop_reference, (gpointer) name, &problem);
      if (changed != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        continue;
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  return list != NULL;
}

/* ---- the controller ---- */

static gboolean
look_at_secret (const State *state, CubeControllerEnv *env, const char *ns, const char *name, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) secret = cube_client_get (env->client, core_resource (env, "secrets"), ns, name, &problem);
  if (secret == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return drop_references (env, ns, name, error);
  g_autoptr (CubeValue) value = secret != NULL ? cube_object_value (secret) : NULL;
  const char *account_name = value != NULL ? annotation (cube_value_root (value), ACCOUNT_NAME) : "";
  if (value != NULL
      && (!is_token_secret (cube_value_root (value)) || *account_name == '\0' || cube_object_deletion_timestamp (secret) != NULL))
    return TRUE;
  g_autoptr (CubeObject) account =
      value != NULL ? cube_client_get (env->client, core_resource (env, "serviceaccounts"), ns, account_name, &problem) : NULL;
  if (account == NULL && (value == NULL || !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND)))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  const char *uid = annotation (cube_value_root (value), ACCOUNT_UID);
  if (account == NULL || (*uid != '\0' && strcmp (uid, cube_object_uid (account)) != 0))
    return delete_secret (env, secret, error);
  return fill_secret (state, env, secret, cube_value_root (value), account, error);
}

static gboolean
look_at_account (CubeControllerEnv *env, const char *ns, const char *name, GError **error)
{
  g_autoptr (GPtrArray) list = cube_client_list (env->client, core_resource (env, "secrets"), ns, NULL, NULL, error);
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (list->pdata[i]);
      if (!is_token_secret (cube_value_root (value)) || strcmp (annotation (cube_value_root (value), ACCOUNT_NAME), name) != 0)
        continue;
      g_autofree char *key = cube_object_key (list->pdata[i]);
      cube_queue_add (env->queue, key);
    }
  return list != NULL;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  gboolean is_account = *key == '@';
  g_autofree char *ns = NULL, *name = NULL;
  cube_key_split (key + (is_account ? 1 : 0), &ns, &name);
  return (is_account ? look_at_account (env, ns, name, error) : look_at_secret (state, env, ns, name, error)) ? 0 : -1;
}

static void
map_secret (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  g_autofree char *key = NULL;
  if (!is_token_secret (cube_value_root (value)))
    return;
  key = cube_object_key (object);
  cube_queue_add (env->queue, key);
}

static void
map_account (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  g_autofree char *key = NULL;
  if (type == CUBE_EVENT_MODIFIED)
    return;
  key = g_strdup_printf ("@%s/%s", cube_object_namespace (object), cube_object_name (object));
  cube_queue_add (env->queue, key);
}

static gboolean
start (gpointer data, CubeControllerEnv *env, GError **error)
{
  State *state = data;
  g_autoptr (GPtrArray) authorities = cube_registry_list (cube_context_registry (env->context), CUBE_CERTIFICATE_AUTHORITY);
  g_autofree char *pem = NULL;
  if (state->ca_base64 != NULL || authorities->len == 0)
    return TRUE;
  const CubeImpl *authority = authorities->pdata[0];
  if (!((const CubeCertificateAuthorityOps *) authority->ops)->get_ca (authority->state, &pem, error))
    return FALSE;
  state->ca_base64 = g_base64_encode ((const guchar *) pem, strlen (pem));
  return TRUE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = g_new0 (State, 1);
  return TRUE;
}

static void
unload (gpointer state)
{
  g_free (((State *) state)->ca_base64);
  g_free (state);
}

static const CubeControllerWatch watches[] = { { "v1", "secrets", map_secret },
                                               { "v1", "serviceaccounts", map_account },
                                               { NULL, NULL, NULL } };
static const CubeControllerOps ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 2
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "serviceaccount-token", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-serviceaccount-token", .version = "1.0", .license = "Apache-2.0",
                    .description = "fills the Secrets that ask for a service account's token", .impls = impls, .load = load,
                    .unload = unload);
