/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections share of TLS. */
#include "http.h"
#include <gnutls/gnutls.h>
#include <string.h>

struct _HttpCredentials {
  gint ref_count;
  gnutls_certificate_credentials_t native;
  gnutls_priority_t priority; /* 8 KB: not once a connection */
};

HttpCredentials *
http_credentials_ref (HttpCredentials *credentials)
{
  g_atomic_int_inc (&credentials->ref_count);
  return credentials;
}

void
http_credentials_unref (HttpCredentials *credentials)
{
  if (credentials == NULL || !g_atomic_int_dec_and_test (&credentials->ref_count))
    return;
  if (credentials->native != NULL)
    gnutls_certificate_free_credentials (credentials->native);
  if (credentials->priority != NULL)
    gnutls_priority_deinit (credentials->priority);
  g_free (credentials);
}

int
http_credentials_set (HttpCredentials *credentials, gpointer session)
{
  int code = gnutls_priority_set (session, credentials->priority);
  return code == 0 ? gnutls_credentials_set (session, GNUTLS_CRD_CERTIFICATE, credentials->native) : code;
}

HttpCredentials *
http_credentials_new (const char *chain_pem, const char *key_pem, GError **error)
{
  HttpCredentials *credentials = g_new0 (HttpCredentials, 1);
  gnutls_datum_t chain = { (unsigned char *) chain_pem, (unsigned int) strlen (chain_pem) };
  gnutls_datum_t key = { (unsigned char *) key_pem, (unsigned int) strlen (key_pem) };
  credentials->ref_count = 1;
  int code = gnutls_certificate_allocate_credentials (&credentials->native);
  if (code == 0)
    code = gnutls_certificate_set_x509_key_mem (credentials->native, &chain, &key, GNUTLS_X509_FMT_PEM);
  if (code >= 0)
    code = gnutls_priority_init (&credentials->priority, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2", NULL);
  if (code >= 0)
    return credentials;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "server certificate: %s", gnutls_strerror (code));
  http_credentials_unref (credentials);
  return NULL;
}
