/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Authenticator "bootstrap-token" and the controller that deletes tokens whose time is over. */
#include "token.h"

#include <cube/controller.h>
#include <string.h>

static const CubeResource *
secrets_of (CubeContext *context)
{
  return cube_schema_resource (cube_context_schema (context), "v1", "secrets");
}

static gboolean
authenticate (gpointer data, const CubeCredentials *credentials, CubeUser **ret_user, GError **error)
{
  CubeContext *context = data;
  char id[TOKEN_ID_LENGTH + 1];
  const char *secret;
  g_autofree char *name = NULL;
  g_autoptr (CubeObject) object = NULL;
  g_autoptr (CubeValue) value = NULL;

  *ret_user = NULL;
  if (!token_split (credentials->bearer_token, id, &secret))
    return TRUE;
  name = g_strconcat (TOKEN_SECRET_PREFIX, id, NULL);
  object = cube_client_get (cube_context_client (context), secrets_of (context), TOKEN_NAMESPACE, name, NULL);
  if (object == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "bootstrap token %s: unknown", id);
      return FALSE;
    }
  value = cube_object_value (object);
  *ret_user = token_check (cube_value_root (value), id, secret, cube_context_now_us (context), error);
  return *ret_user != NULL;
}

/* ---- tokens whose time is over ---- */

static void
map_secret (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  g_autofree char *key = NULL;

  if (type == CUBE_EVENT_DELETED || !g_str_equal (cube_object_namespace (object), TOKEN_NAMESPACE)
      || !g_str_has_prefix (cube_object_name (object), TOKEN_SECRET_PREFIX))
    return;
  key = cube_object_key (object);
  cube_queue_add (env->queue, key);
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  g_autofree char *ns = NULL, *name = NULL;
  g_autoptr (CubeObject) object = NULL;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (GError) problem = NULL;
  gint64 until, now = cube_context_now_us (env->context);

  cube_key_split (key, &ns, &name);
  object = cube_client_get (env->client, secrets_of (env->context), ns, name, &problem);
  if (object == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return 0;
  if (object == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  value = cube_object_value (object);
  if (g_strcmp0 (cube_view_string (cube_value_get (value, "type")), TOKEN_SECRET_TYPE) != 0)
    return 0;
  until = token_expiry_us (cube_value_root (value));
  if (until == G_MAXINT64)
    return 0;
  if (until > now)
    return until - now;
  if (!cube_client_delete (env->client, secrets_of (env->context), ns, name, cube_object_uid (object), -1, CUBE_PROPAGATION_DEFAULT,
                           &problem)
      && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  return 0;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

static const CubeAuthenticatorOps authenticator = { .ops_size = sizeof authenticator, .order = 15, .authenticate = authenticate };
static const CubeControllerWatch watches[] = { { "v1", "secrets", map_secret }, { NULL, NULL, NULL } };
static const CubeControllerOps cleaner = { .ops_size = sizeof cleaner, .watches = watches, .reconcile = reconcile, .workers = 1 };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_AUTHENTICATOR, CUBE_AUTHENTICATOR_VERSION, "bootstrap-token", authenticator),
                                           CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "token-cleaner", cleaner),
                                           { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-bootstrap-token", .version = "1", .description = "users by bootstrap token, for machines that join",
                    .license = "Apache-2.0", .impls = impls, .load = load);
