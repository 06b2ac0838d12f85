/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Authenticator "x509": client certificates of the cluster's authority. */
#include "verifier.h"

typedef struct {
  CubeContext *context;
  GMutex lock;
  Verifier *verifier;
  guint64 generation; /* of the authority it was made from */
} State;

static Verifier *
make_verifier (State *state, GError **error)
{
  g_autoptr (GPtrArray) authorities = cube_registry_list (cube_context_registry (state->context), CUBE_CERTIFICATE_AUTHORITY);
  const CubeImpl *impl;
  const CubeCertificateAuthorityOps *ops;
  g_autofree char *pem = NULL;

  if (authorities->len == 0)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
                           "no certificate authority is loaded to check client certificates with");
      return NULL;
    }
  impl = authorities->pdata[0];
  ops = impl->ops;
  if (!CUBE_OPS_HAS (ops, get_ca) || !ops->get_ca (impl->state, &pem, error))
    return NULL;
  return verifier_new (pem, error);
}

/* The current verifier; made anew after authorities came or went. (transfer full) */
static Verifier *
get_verifier (State *state, GError **error)
{
  guint64 generation = cube_registry_generation (cube_context_registry (state->context), CUBE_CERTIFICATE_AUTHORITY);
  Verifier *verifier = NULL;

  g_mutex_lock (&state->lock);
  if (state->verifier == NULL || state->generation != generation)
    {
      g_clear_pointer (&state->verifier, verifier_unref);
      state->verifier = make_verifier (state, error);
      state->generation = generation;
    }
  if (state->verifier != NULL)
    verifier = verifier_ref (state->verifier);
  g_mutex_unlock (&state->lock);
  return verifier;
}

static gboolean
x509_authenticate (gpointer data, const CubeCredentials *credentials, CubeUser **ret_user, GError **error)
{
  State *state = data;
  g_autoptr (Verifier) verifier = NULL;

  *ret_user = NULL;
  if (credentials->certificate == NULL)
    return TRUE;
  verifier = get_verifier (state, error);
  return verifier != NULL && verifier_check (verifier, credentials->certificate, cube_context_now_us (state->context), ret_user, error);
}

static gboolean
x509_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->context = context;
  g_mutex_init (&state->lock);
  *ret_state = state;
  return TRUE;
}

/* The authority's certificate is read here, so that no request waits for the disk. */
static gboolean
x509_start (gpointer data, GError **error)
{
  State *state = data;
  g_autoptr (Verifier) verifier = NULL;

  if (!cube_context_has_role (state->context, "api"))
    return TRUE;
  verifier = get_verifier (state, error);
  return verifier != NULL;
}

static void
x509_unload (gpointer data)
{
  State *state = data;

  verifier_unref (state->verifier);
  g_mutex_clear (&state->lock);
  g_free (state);
}

static const CubeAuthenticatorOps ops = { .ops_size = sizeof ops, .order = 10, .authenticate = x509_authenticate };

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_AUTHENTICATOR, CUBE_AUTHENTICATOR_VERSION, "x509", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-x509", .version = "1", .description = "users by client certificate", .license = "Apache-2.0",
                    .impls = impls, .load = x509_load, .start = x509_start, .unload = x509_unload);
