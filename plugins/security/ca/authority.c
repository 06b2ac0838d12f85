/* SPDX-License-Identifier: Apache-2.0 */
#include "authority.h"

#include "subject.h"

#include <string.h>

#define SECONDS_OF_DAY G_GINT64_CONSTANT (86400)
#define CA_DAYS 3650
#define LEAF_DAYS 365
#define BACKDATED_SECONDS 300 /* a clock that is a little behind must not refuse a certificate just made */
#define CSR_LIMIT 65536

struct _Authority {
  char *directory;
  AuthoritySeams seams;
  GMutex lock; /* over making the authority; afterwards the rest is read only */
  gboolean is_open;
  gnutls_x509_crt_t certificate;
  gnutls_x509_privkey_t key;
  char *certificate_pem;
};

Authority *
authority_new (const char *directory, const AuthoritySeams *seams)
{
  Authority *authority = g_new0 (Authority, 1);

  authority->directory = g_strdup (directory);
  authority->seams = *seams;
  g_mutex_init (&authority->lock);
  return authority;
}

void
authority_free (Authority *authority)
{
  if (authority == NULL)
    return;
  if (authority->certificate != NULL)
    gnutls_x509_crt_deinit (authority->certificate);
  if (authority->key != NULL)
    gnutls_x509_privkey_deinit (authority->key);
  g_mutex_clear (&authority->lock);
  g_free (authority->directory);
  g_free (authority->certificate_pem);
  g_free (authority);
}

static gint64
now_seconds (Authority *authority)
{
  return authority->seams.now_us (authority->seams.data) / G_USEC_PER_SEC;
}

static int
write_serial (Authority *authority, gnutls_x509_crt_t certificate)
{
  guint8 serial[16];

  authority->seams.random_bytes (authority->seams.data, serial, sizeof serial);
  serial[0] = (serial[0] & 0x7f) | 0x40; /* RFC 5280 §4.1.2.2: positive, never zero */
  return gnutls_x509_crt_set_serial (certificate, serial, sizeof serial);
}

static int
write_validity (gnutls_x509_crt_t certificate, gint64 from, gint64 until)
{
  int code = gnutls_x509_crt_set_activation_time (certificate, (time_t) from);

  return code < 0 ? code : gnutls_x509_crt_set_expiration_time (certificate, (time_t) until);
}

/* RFC 5280 §4.2.1.2, method 1: SHA-1 of the public key. */
static int
key_identifier (gnutls_x509_crt_t certificate, guint8 *id, size_t *size)
{
  return gnutls_x509_crt_get_key_id (certificate, GNUTLS_KEYID_USE_SHA1, id, size);
}

static char *
export_pem (gnutls_x509_crt_t certificate, GError **error)
{
  gnutls_datum_t out = { NULL, 0 };
  int code = gnutls_x509_crt_export2 (certificate, GNUTLS_X509_FMT_PEM, &out);

  if (code >= 0)
    return pki_datum_to_string (&out);
  pki_fail (error, code, "cannot export a certificate");
  return NULL;
}

/* ---- the authority's own certificate ---- */

static int
fill_ca (Authority *authority, gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
  guint8 id[64];
  size_t size = sizeof id;
  gint64 now = now_seconds (authority);
  int code = gnutls_x509_crt_set_version (certificate, 3);

  if (code >= 0)
    code = gnutls_x509_crt_set_key (certificate, key);
  if (code >= 0)
    code = write_serial (authority, certificate);
  if (code >= 0)
    code = gnutls_x509_crt_set_dn_by_oid (certificate, GNUTLS_OID_X520_COMMON_NAME, 0, "cube-ca", 7);
  if (code >= 0)
    code = write_validity (certificate, now - BACKDATED_SECONDS, now + CA_DAYS * SECONDS_OF_DAY);
  if (code >= 0)
    code = gnutls_x509_crt_set_basic_constraints (certificate, 1, -1);
  if (code >= 0)
    code = gnutls_x509_crt_set_key_usage (certificate, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN | GNUTLS_KEY_DIGITAL_SIGNATURE);
  if (code >= 0)
    code = key_identifier (certificate, id, &size);
  if (code >= 0)
    code = gnutls_x509_crt_set_subject_key_id (certificate, id, size);
  if (code >= 0)
    code = gnutls_x509_crt_sign2 (certificate, certificate, key, GNUTLS_DIG_SHA256, 0);
  return code;
}

static gnutls_x509_crt_t
make_ca (Authority *authority, gnutls_x509_privkey_t key, GError **error)
{
  g_auto (gnutls_x509_crt_t) certificate = NULL;
  int code = gnutls_x509_crt_init (&certificate);

  if (code >= 0)
    code = fill_ca (authority, certificate, key);
  if (code >= 0)
    return g_steal_pointer (&certificate);
  pki_fail (error, code, "cannot make the certificate authority");
  return NULL;
}

/* Does the certificate of @path fit the key, and may it still sign? */
static gboolean
check_ca (Authority *authority, const char *path, gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key, GError **error)
{
  guint8 a[64], b[64];
  size_t n_a = sizeof a, n_b = sizeof b;
  gint64 until = (gint64) gnutls_x509_crt_get_expiration_time (certificate);
  int code = gnutls_x509_crt_get_key_id (certificate, GNUTLS_KEYID_USE_SHA256, a, &n_a);

  if (code >= 0)
    code = gnutls_x509_privkey_get_key_id (key, GNUTLS_KEYID_USE_SHA256, b, &n_b);
  if (code < 0)
    return pki_fail (error, code, path);
  if (n_a != n_b || memcmp (a, b, n_a) != 0)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s does not belong to the key beside it: restore both from one backup", path);
  else if (gnutls_x509_crt_get_ca_status (certificate, NULL) <= 0)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s is no certificate of an authority", path);
  else if (until <= now_seconds (authority))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL,
                 "%s expired at %" G_GINT64_FORMAT " (seconds since 1970), now is %" G_GINT64_FORMAT, path, until, now_seconds (authority));
  else
    return TRUE;
  return FALSE;
}

static gnutls_x509_crt_t
parse_ca (Authority *authority, const char *path, const char *pem, gnutls_x509_privkey_t key, GError **error)
{
  gnutls_datum_t datum = { (guchar *) pem, (guint) strlen (pem) };
  g_auto (gnutls_x509_crt_t) certificate = NULL;
  int code = gnutls_x509_crt_init (&certificate);

  if (code >= 0)
    code = gnutls_x509_crt_import (certificate, &datum, GNUTLS_X509_FMT_PEM);
  if (code < 0)
    {
      pki_fail (error, code, path);
      return NULL;
    }
  return check_ca (authority, path, certificate, key, error) ? g_steal_pointer (&certificate) : NULL;
}

/* The key is written first: a start that was cut between the two goes on with the key it finds. */
static gboolean
open_files (Authority *authority, const char *key_path, const char *certificate_path, GError **error)
{
  g_autofree char *pem = NULL;
  g_auto (gnutls_x509_privkey_t) key = NULL;
  g_auto (gnutls_x509_crt_t) certificate = NULL;

  if (certificate_path != NULL && !pki_read_file (certificate_path, FALSE, &pem, error))
    return FALSE;
  if (pem != NULL && !g_file_test (key_path, G_FILE_TEST_EXISTS))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s is there but %s is missing: restore it, or move both away to start anew",
                   certificate_path, key_path);
      return FALSE;
    }
  key = pki_key_load_or_make (key_path, error);
  if (key == NULL)
    return FALSE;
  certificate = pem != NULL ? parse_ca (authority, certificate_path, pem, key, error) : make_ca (authority, key, error);
  if (certificate == NULL)
    return FALSE;
  authority->certificate_pem = export_pem (certificate, error);
  if (authority->certificate_pem == NULL)
    return FALSE;
  if (pem == NULL && certificate_path != NULL && !pki_write_file (certificate_path, authority->certificate_pem, 0644, error))
    {
      g_clear_pointer (&authority->certificate_pem, g_free);
      return FALSE;
    }
  authority->key = g_steal_pointer (&key);
  authority->certificate = g_steal_pointer (&certificate);
  return TRUE;
}

static gboolean
ensure_open_locked (Authority *authority, GError **error)
{
  g_autofree char *key_path = NULL, *certificate_path = NULL;

  if (authority->is_open)
    return TRUE;
  if (authority->directory != NULL)
    {
      if (!pki_ensure_directory (authority->directory, error))
        return FALSE;
      key_path = g_build_filename (authority->directory, "ca.key", NULL);
      certificate_path = g_build_filename (authority->directory, "ca.crt", NULL);
    }
  authority->is_open = open_files (authority, key_path, certificate_path, error);
  return authority->is_open;
}

static gboolean
ensure_open (Authority *authority, GError **error)
{
  gboolean is_open;

  g_mutex_lock (&authority->lock);
  is_open = ensure_open_locked (authority, error);
  g_mutex_unlock (&authority->lock);
  if (!is_open)
    g_prefix_error (error, "certificate authority: ");
  return is_open;
}

gboolean
authority_get_ca (Authority *authority, char **ret_certificate_pem, GError **error)
{
  if (!ensure_open (authority, error))
    return FALSE;
  *ret_certificate_pem = g_strdup (authority->certificate_pem);
  return TRUE;
}

/* ---- what it issues ---- */

static int
fill_identifiers (Authority *authority, gnutls_x509_crt_t certificate)
{
  guint8 id[64];
  size_t size = sizeof id;
  int code = key_identifier (certificate, id, &size);

  if (code >= 0)
    code = gnutls_x509_crt_set_subject_key_id (certificate, id, size);
  size = sizeof id;
  if (code >= 0)
    code = gnutls_x509_crt_get_subject_key_id (authority->certificate, id, &size, NULL);
  if (code >= 0)
    code = gnutls_x509_crt_set_authority_key_id (certificate, id, size);
  return code;
}

/* Everything but key and subject; then the signature. */
static gboolean
finish_leaf (Authority *authority, gnutls_x509_crt_t certificate, const Subject *subject, guint key_usage, GError **error)
{
  gint64 now = now_seconds (authority), seconds = subject->valid_seconds > 0 ? subject->valid_seconds : LEAF_DAYS * SECONDS_OF_DAY;
  gint64 limit = (gint64) gnutls_x509_crt_get_expiration_time (authority->certificate);
  gint64 until = seconds < limit - now ? now + seconds : limit;
  int code = gnutls_x509_crt_set_version (certificate, 3);

  if (code >= 0)
    code = write_serial (authority, certificate);
  if (code >= 0)
    code = write_validity (certificate, now - BACKDATED_SECONDS, until);
  if (code >= 0)
    code = gnutls_x509_crt_set_basic_constraints (certificate, 0, -1);
  if (code >= 0)
    code = gnutls_x509_crt_set_key_usage (certificate, key_usage);
  if (code >= 0)
    code = fill_identifiers (authority, certificate);
  if (code < 0 || !subject_write (subject, certificate, error))
    return code < 0 ? pki_fail (error, code, "cannot make a certificate") : FALSE;
  code = gnutls_x509_crt_sign2 (certificate, authority->certificate, authority->key, GNUTLS_DIG_SHA256, 0);
  return code >= 0 || pki_fail (error, code, "cannot sign a certificate");
}

static gboolean
issue_with_key (Authority *authority, const Subject *subject, gnutls_x509_privkey_t key, char **ret_certificate_pem, GError **error)
{
  g_auto (gnutls_x509_crt_t) certificate = NULL;
  int code = gnutls_x509_crt_init (&certificate);

  if (code >= 0)
    code = gnutls_x509_crt_set_key (certificate, key);
  if (code < 0)
    return pki_fail (error, code, "cannot make a certificate");
  if (!finish_leaf (authority, certificate, subject, GNUTLS_KEY_DIGITAL_SIGNATURE, error))
    return FALSE;
  *ret_certificate_pem = export_pem (certificate, error);
  return *ret_certificate_pem != NULL;
}

gboolean
authority_issue (Authority *authority, const CubeCertificateRequest *request, char **ret_certificate_pem, char **ret_key_pem,
                 GError **error)
{
  g_autoptr (Subject) subject = subject_new ();
  g_auto (gnutls_x509_privkey_t) key = NULL;
  g_autofree char *certificate_pem = NULL;
  char *key_pem;

  if (!subject_add_request (subject, request, error) || !subject_check (subject, error) || !ensure_open (authority, error))
    return FALSE;
  key = pki_key_new (error);
  if (key == NULL || !issue_with_key (authority, subject, key, &certificate_pem, error))
    return FALSE;
  key_pem = pki_key_to_pem (key, error);
  if (key_pem == NULL)
    return FALSE;
  *ret_certificate_pem = g_steal_pointer (&certificate_pem);
  *ret_key_pem = key_pem;
  return TRUE;
}

static gnutls_x509_crq_t
parse_csr (const char *csr_pem, GError **error)
{
  gsize length = strlen (csr_pem);
  gnutls_datum_t datum = { (guchar *) csr_pem, (guint) length };
  g_auto (gnutls_x509_crq_t) csr = NULL;
  int code = length <= CSR_LIMIT ? gnutls_x509_crq_init (&csr) : GNUTLS_E_LARGE_PACKET;

  if (code >= 0)
    code = gnutls_x509_crq_import (csr, &datum, GNUTLS_X509_FMT_PEM);
  if (code >= 0)
    return g_steal_pointer (&csr);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
               "certificate signing request: not readable as PEM (PKCS #10, at most %d bytes): %s", CSR_LIMIT, gnutls_strerror (code));
  return NULL;
}

/* A usage the key's owner did not ask for is not given, when the request says anything about usages. */
static gboolean
check_usages (const Subject *subject, const CubeCertificateRequest *overrides, GError **error)
{
  gboolean is_silent = !subject->is_server && !subject->is_client;

  if (overrides == NULL || is_silent || (subject->is_server >= overrides->is_server && subject->is_client >= overrides->is_client))
    return TRUE;
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                       "certificate signing request: the usages to be signed go beyond those it asks for");
  return FALSE;
}

gboolean
authority_sign_csr (Authority *authority, const char *csr_pem, const CubeCertificateRequest *overrides, char **ret_certificate_pem,
                    GError **error)
{
  g_autoptr (Subject) subject = subject_new ();
  g_auto (gnutls_x509_crq_t) csr = parse_csr (csr_pem, error);
  g_auto (gnutls_x509_crt_t) certificate = NULL;
  guint bits = 0, usage = GNUTLS_KEY_DIGITAL_SIGNATURE;
  int code;

  if (csr == NULL || !subject_add_csr (subject, csr, error) || !check_usages (subject, overrides, error))
    return FALSE;
  if (overrides != NULL && !subject_add_request (subject, overrides, error))
    return FALSE;
  if (!subject_check (subject, error) || !ensure_open (authority, error))
    return FALSE;
  code = gnutls_x509_crt_init (&certificate);
  if (code >= 0)
    {
      g_auto (gnutls_pubkey_t) public_key = NULL;

      code = gnutls_pubkey_init (&public_key);
      if (code >= 0)
        code = gnutls_pubkey_import_x509_crq (public_key, csr, 0);
      if (code >= 0)
        code = gnutls_x509_crt_set_pubkey (certificate, public_key);
    }
  if (code < 0)
    return pki_fail (error, code, "certificate signing request: unusable key");
  if (gnutls_x509_crq_get_pk_algorithm (csr, &bits) == GNUTLS_PK_RSA)
    usage |= GNUTLS_KEY_KEY_ENCIPHERMENT;
  if (!finish_leaf (authority, certificate, subject, usage, error))
    return FALSE;
  *ret_certificate_pem = export_pem (certificate, error);
  return *ret_certificate_pem != NULL;
}
