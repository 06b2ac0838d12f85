/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.CertificateAuthority "ca": the cluster's own authority below the data directory. */
#include "authority.h"

static gint64
context_now (gpointer context)
{
  return cube_context_now_us (context);
}

static void
context_random (gpointer context, void *buffer, gsize length)
{
  cube_context_random_bytes (context, buffer, length);
}

static gboolean
ca_get_ca (gpointer state, char **ret_certificate_pem, GError **error)
{
  return authority_get_ca (state, ret_certificate_pem, error);
}

static gboolean
ca_issue (gpointer state, const CubeCertificateRequest *request, char **ret_certificate_pem, char **ret_key_pem, GError **error)
{
  return authority_issue (state, request, ret_certificate_pem, ret_key_pem, error);
}

static gboolean
ca_sign_csr (gpointer state, const char *csr_pem, const CubeCertificateRequest *overrides, char **ret_certificate_pem, GError **error)
{
  return authority_sign_csr (state, csr_pem, overrides, ret_certificate_pem, error);
}

static gboolean
ca_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  AuthoritySeams seams = { context_now, context_random, context };
  const char *data_dir = cube_context_data_dir (context);
  g_autofree char *directory = data_dir != NULL ? g_build_filename (data_dir, "pki", NULL) : NULL;

  *ret_state = authority_new (directory, &seams);
  return TRUE;
}

static void
ca_unload (gpointer state)
{
  authority_free (state);
}

static const CubeCertificateAuthorityOps ops = {
  .ops_size = sizeof ops,
  .get_ca = ca_get_ca,
  .issue = ca_issue,
  .sign_csr = ca_sign_csr,
};

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CERTIFICATE_AUTHORITY, CUBE_CERTIFICATE_AUTHORITY_VERSION, "ca", ops),
                                           { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-ca", .version = "1", .description = "the cluster's certificate authority", .license = "Apache-2.0",
                    .impls = impls, .load = ca_load, .unload = ca_unload);
