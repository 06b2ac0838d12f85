/* SPDX-License-Identifier: Apache-2.0 */
#include "pem.h"
#include <cube/error.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_x509_crq_t, gnutls_x509_crq_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)

static gboolean
fail (GError **error, int code, const char *what)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s: %s", what, gnutls_strerror (code));
  return FALSE;
}

char *
cube_pem_key_hash (const char *certificate_pem, GError **error)
{
  gnutls_datum_t datum = { (guchar *) certificate_pem, (guint) strlen (certificate_pem) };
  g_auto (gnutls_x509_crt_t) certificate = NULL;
  guint8 id[32];
  size_t size = sizeof id;
  int code = gnutls_x509_crt_init (&certificate);
  if (code >= 0)
    code = gnutls_x509_crt_import (certificate, &datum, GNUTLS_X509_FMT_PEM);
  if (code >= 0)
    code = gnutls_x509_crt_get_key_id (certificate, GNUTLS_KEYID_USE_SHA256, id, &size);
  if (code < 0 || size != sizeof id)
    {
      fail (error, code, "the authority's certificate cannot be read");
      return NULL;
    }
  GString *text = g_string_new ("sha256:");
  for (gsize i = 0; i < size; i++)
    g_string_append_printf (text, "%02x", id[i]);
  return g_string_free (text, FALSE);
}

static char *
take (gnutls_datum_t *datum)
{
  char *text = g_strndup ((const char *) datum->data, datum->size);
  gnutls_memset (datum->data, 0, datum->size);
  gnutls_free (datum->data);
  return text;
}

static int
write_dn (gnutls_x509_crq_t request, const char *oid, const char *text)
{
  return gnutls_x509_crq_set_dn_by_oid (request, oid, 0, text, (guint) strlen (text));
}

static int
fill_request (gnutls_x509_crq_t request, gnutls_x509_privkey_t key, const char *common_name, const char *organization)
{
  int code = gnutls_x509_crq_set_version (request, 1);
  if (code >= 0)
    code = write_dn (request, GNUTLS_OID_X520_ORGANIZATION_NAME, organization);
  if (code >= 0)
    code = write_dn (request, GNUTLS_OID_X520_COMMON_NAME, common_name);
  if (code >= 0)
    code = gnutls_x509_crq_set_key (request, key);
  return code >= 0 ? gnutls_x509_crq_sign2 (request, key, GNUTLS_DIG_SHA256, 0) : code;
}

static int
make_key (gnutls_x509_privkey_t key, CubePemKey kind)
{
  if (kind == CUBE_PEM_RSA)
    return gnutls_x509_privkey_generate (key, GNUTLS_PK_RSA, 2048, 0);
  return gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);
}

static int
export_key (gnutls_x509_privkey_t key, CubePemKey kind, gnutls_datum_t *ret_pem)
{
  if (kind == CUBE_PEM_RSA)
    return gnutls_x509_privkey_export2 (key, GNUTLS_X509_FMT_PEM, ret_pem);
  return gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, ret_pem);
}

gboolean
cube_pem_make_request (CubePemKey kind, const char *common_name, const char *organization, char **ret_key_pem, char **ret_request_pem,
                       GError **error)
{
  g_auto (gnutls_x509_privkey_t) key = NULL;
  g_auto (gnutls_x509_crq_t) request = NULL;
  gnutls_datum_t key_pem = { NULL, 0 }, request_pem = { NULL, 0 };
  int code = gnutls_x509_privkey_init (&key);
  if (code >= 0)
    code = make_key (key, kind);
  if (code >= 0)
    code = gnutls_x509_crq_init (&request);
  if (code >= 0)
    code = fill_request (request, key, common_name, organization);
  if (code >= 0)
    code = gnutls_x509_crq_export2 (request, GNUTLS_X509_FMT_PEM, &request_pem);
  if (code < 0)
    return fail (error, code, "cannot make a certificate signing request");
  *ret_request_pem = take (&request_pem);
  code = export_key (key, kind, &key_pem);
  if (code < 0)
    {
      g_clear_pointer (ret_request_pem, g_free);
      return fail (error, code, "cannot export a key");
    }
  *ret_key_pem = take (&key_pem);
  return TRUE;
}

gboolean
cube_pem_validity (GTlsCertificate *certificate, gint64 *ret_from, gint64 *ret_until)
{
  g_autoptr (GDateTime) from = g_tls_certificate_get_not_valid_before (certificate),
                        until = g_tls_certificate_get_not_valid_after (certificate);
  if (from == NULL || until == NULL)
    return FALSE;
  *ret_from = g_date_time_to_unix (from);
  *ret_until = g_date_time_to_unix (until);
  return TRUE;
}
