/* SPDX-License-Identifier: Apache-2.0 */
#include "verifier.h"

#include "pki.h"

#include <string.h>

#define MAX_CHAIN 5
#define MAX_CACHED 1024
#define MAX_GROUPS 256
#define MAX_TEXT 1024

struct _Verifier {
  gint ref_count;
  gnutls_x509_trust_list_t trust; /* read only once made */
  GMutex lock;                    /* over the cache */
  GHashTable *cache;              /* SHA-256 in hex → Known */
};

typedef struct {
  CubeUser *user;               /* (nullable) names nobody */
  gint64 not_before, not_after; /* seconds; the narrowest of the chain */
} Known;

static void
known_free (gpointer data)
{
  Known *known = data;

  if (known->user != NULL)
    cube_user_unref (known->user);
  g_free (known);
}

static gboolean
refuse (GError **error, const char *text)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED, "client certificate: %s", text);
  return FALSE;
}

Verifier *
verifier_new (const char *ca_pem, GError **error)
{
  g_autoptr (Verifier) verifier = g_new0 (Verifier, 1);
  gnutls_datum_t datum = { (guchar *) ca_pem, (guint) strlen (ca_pem) };
  int code;

  verifier->ref_count = 1;
  g_mutex_init (&verifier->lock);
  verifier->cache = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, known_free);
  code = gnutls_x509_trust_list_init (&verifier->trust, 0);
  if (code >= 0)
    code = gnutls_x509_trust_list_add_trust_mem (verifier->trust, &datum, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
  if (code > 0)
    return g_steal_pointer (&verifier);
  pki_fail (error, code, "the authority's certificate cannot be read");
  return NULL;
}

Verifier *
verifier_ref (Verifier *verifier)
{
  g_atomic_int_inc (&verifier->ref_count);
  return verifier;
}

void
verifier_unref (Verifier *verifier)
{
  if (verifier == NULL || !g_atomic_int_dec_and_test (&verifier->ref_count))
    return;
  if (verifier->trust != NULL)
    gnutls_x509_trust_list_deinit (verifier->trust, 1);
  g_hash_table_unref (verifier->cache);
  g_mutex_clear (&verifier->lock);
  g_free (verifier);
}

/* ---- the chain the peer sent ---- */

typedef struct {
  gnutls_x509_crt_t certificates[MAX_CHAIN];
  guint n;
} Chain;

static void
chain_clear (Chain *chain)
{
  for (guint i = 0; i < chain->n; i++)
    gnutls_x509_crt_deinit (chain->certificates[i]);
  chain->n = 0;
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Chain, chain_clear)

static gboolean
chain_add (Chain *chain, GByteArray *der, GError **error)
{
  gnutls_datum_t datum = { der->data, der->len };
  gnutls_x509_crt_t certificate = NULL;

  if (gnutls_x509_crt_init (&certificate) < 0)
    return refuse (error, "out of memory");
  if (gnutls_x509_crt_import (certificate, &datum, GNUTLS_X509_FMT_DER) < 0)
    {
      gnutls_x509_crt_deinit (certificate);
      return refuse (error, "unreadable");
    }
  chain->certificates[chain->n++] = certificate;
  return TRUE;
}

static gboolean
chain_read (Chain *chain, GTlsCertificate *certificate, GError **error)
{
  for (GTlsCertificate *at = certificate; at != NULL; at = g_tls_certificate_get_issuer (at))
    {
      g_autoptr (GByteArray) der = NULL;

      if (chain->n == MAX_CHAIN)
        return refuse (error, "more than 5 certificates in the chain");
      g_object_get (at, "certificate", &der, NULL);
      if (der == NULL || der->len > 65536)
        return refuse (error, "unreadable");
      if (!chain_add (chain, der, error))
        return FALSE;
    }
  return chain->n > 0 || refuse (error, "none");
}

static void
chain_validity (const Chain *chain, Known *known)
{
  known->not_before = G_MININT64;
  known->not_after = G_MAXINT64;
  for (guint i = 0; i < chain->n; i++)
    {
      known->not_before = MAX (known->not_before, (gint64) gnutls_x509_crt_get_activation_time (chain->certificates[i]));
      known->not_after = MIN (known->not_after, (gint64) gnutls_x509_crt_get_expiration_time (chain->certificates[i]));
    }
}

/* Time is not judged here: the clock is the context's, not the library's. */
static gboolean
chain_verify (Verifier *verifier, Chain *chain, GError **error)
{
  gnutls_typed_vdata_st purpose = { GNUTLS_DT_KEY_PURPOSE_OID, (guchar *) GNUTLS_KP_TLS_WWW_CLIENT, 0 };
  guint status = 0;
  int code = gnutls_x509_trust_list_verify_crt2 (verifier->trust, chain->certificates, chain->n, &purpose, 1,
                                                 GNUTLS_VERIFY_DISABLE_TIME_CHECKS, &status, NULL);

  if (code < 0)
    return refuse (error, gnutls_strerror (code));
  if (status & GNUTLS_CERT_PURPOSE_MISMATCH)
    return refuse (error, "not for client authentication");
  if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
    return refuse (error, "signed by unknown authority");
  return status == 0 || refuse (error, "not signed by the cluster's authority, or with too weak a signature");
}

static gboolean
check_time (const Known *known, gint64 now_us, GError **error)
{
  gint64 now = now_us / G_USEC_PER_SEC;

  if (now < known->not_before)
    return refuse (error, "not yet valid");
  return now <= known->not_after || refuse (error, "expired");
}

/* ---- its subject ---- */

static gboolean
read_dn (gnutls_x509_crt_t certificate, const char *oid, guint index, char **ret_text, GError **error)
{
  char buffer[MAX_TEXT];
  size_t size = sizeof buffer;
  int code = gnutls_x509_crt_get_dn_by_oid (certificate, oid, (int) index, 0, buffer, &size);

  if (code == GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE)
    return FALSE;
  if (code < 0 || strlen (buffer) != size || !g_utf8_validate (buffer, (gssize) size, NULL))
    return refuse (error, "a subject that is no text of at most 1,023 bytes");
  *ret_text = g_strdup (buffer);
  return TRUE;
}

static gboolean
read_groups (gnutls_x509_crt_t certificate, GPtrArray *groups, GError **error)
{
  g_autoptr (GError) local = NULL;
  char *text = NULL;

  for (guint i = 0; i < MAX_GROUPS && read_dn (certificate, GNUTLS_OID_X520_ORGANIZATION_NAME, i, &text, &local); i++)
    g_ptr_array_add (groups, text);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (!g_ptr_array_find_with_equal_func (groups, "system:authenticated", g_str_equal, NULL))
    g_ptr_array_add (groups, g_strdup ("system:authenticated"));
  g_ptr_array_add (groups, NULL);
  return TRUE;
}

/* CN is the user, each O a group; the fingerprint goes along as the credential's id. */
static gboolean
read_user (gnutls_x509_crt_t certificate, const char *fingerprint, CubeUser **ret_user, GError **error)
{
  g_autoptr (GPtrArray) groups = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *name = NULL;
  g_autoptr (GError) local = NULL;
  CubeUser *user;
  char **ids;

  if (!read_dn (certificate, GNUTLS_OID_X520_COMMON_NAME, 0, &name, &local) && local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (name == NULL || *name == '\0')
    {
      *ret_user = NULL;
      return TRUE;
    }
  if (!read_groups (certificate, groups, error))
    return FALSE;
  user = cube_user_new (name, "", (const char *const *) groups->pdata);
  ids = g_new0 (char *, 2);
  ids[0] = g_strconcat ("X509SHA256=", fingerprint, NULL);
  if (user->extra == NULL)
    user->extra = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_strfreev);
  g_hash_table_insert (user->extra, g_strdup ("authentication.kubernetes.io/credential-id"), ids);
  *ret_user = user;
  return TRUE;
}

/* ---- the cache ---- */

static gboolean
look_up (Verifier *verifier, const char *fingerprint, Known *ret_known)
{
  Known *known;

  g_mutex_lock (&verifier->lock);
  known = g_hash_table_lookup (verifier->cache, fingerprint);
  if (known != NULL)
    {
      *ret_known = *known;
      if (ret_known->user != NULL)
        cube_user_ref (ret_known->user);
    }
  g_mutex_unlock (&verifier->lock);
  return known != NULL;
}

/* Only certificates that verified get here, so nobody without one can make it grow. */
static void
remember (Verifier *verifier, const char *fingerprint, const Known *known)
{
  Known *copy = g_memdup2 (known, sizeof *known);

  if (copy->user != NULL)
    cube_user_ref (copy->user);
  g_mutex_lock (&verifier->lock);
  if (g_hash_table_size (verifier->cache) >= MAX_CACHED)
    g_hash_table_remove_all (verifier->cache);
  g_hash_table_replace (verifier->cache, g_strdup (fingerprint), copy);
  g_mutex_unlock (&verifier->lock);
}

static gboolean
examine (Verifier *verifier, GTlsCertificate *certificate, const char *fingerprint, Known *ret_known, GError **error)
{
  g_auto (Chain) chain = { { NULL }, 0 };

  if (!chain_read (&chain, certificate, error) || !chain_verify (verifier, &chain, error))
    return FALSE;
  chain_validity (&chain, ret_known);
  return read_user (chain.certificates[0], fingerprint, &ret_known->user, error);
}

gboolean
verifier_check (Verifier *verifier, GTlsCertificate *certificate, gint64 now_us, CubeUser **ret_user, GError **error)
{
  g_autoptr (GByteArray) der = NULL;
  g_autofree char *fingerprint = NULL;
  Known known = { NULL, 0, 0 };

  g_object_get (certificate, "certificate", &der, NULL);
  if (der == NULL)
    return refuse (error, "unreadable");
  fingerprint = g_compute_checksum_for_data (G_CHECKSUM_SHA256, der->data, der->len);
  if (!look_up (verifier, fingerprint, &known))
    {
      if (!examine (verifier, certificate, fingerprint, &known, error))
        return FALSE;
      remember (verifier, fingerprint, &known);
    }
  if (!check_time (&known, now_us, error))
    {
      if (known.user != NULL)
        cube_user_unref (known.user);
      return FALSE;
    }
  *ret_user = known.user;
  return TRUE;
}
