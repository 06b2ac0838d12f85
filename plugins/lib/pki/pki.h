/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Key material at rest and in text: private files, P-256 keys, base64url, X.509 helpers. Shared by the plugins that own keys. */
#include <glib.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

/* GnuTLS's answer @code as an error of G_IO_ERROR: "@what: text". Always FALSE. */
gboolean pki_fail (GError **error, int code, const char *what);

/* Makes @path (0700) and refuses one that is no directory, of another owner, or open to group or others. */
gboolean pki_ensure_directory (const char *path, GError **error);
/* Whole file or nothing: a temporary file, fsync, rename, fsync of the directory. */
gboolean pki_write_file (const char *path, const char *text, guint mode, GError **error);
/* Reads a regular file of at most 64 KiB without following a link. @is_secret: refuses one that is not ours or is readable by others.
 * An absent file: TRUE with *ret_text NULL. */
gboolean pki_read_file (const char *path, gboolean is_secret, char **ret_text, GError **error);

/* A new ECDSA P-256 key. */
gnutls_x509_privkey_t pki_key_new (GError **error);
gnutls_x509_privkey_t pki_key_from_pem (const char *pem, GError **error);
char *pki_key_to_pem (gnutls_x509_privkey_t key, GError **error); /* PKCS #8; wipe it with pki_wipe */
/* The key of @path, made at first use (@path NULL: a key that is not kept). */
gnutls_x509_privkey_t pki_key_load_or_make (const char *path, GError **error);
void pki_wipe (char *text); /* zeroes and frees; NULL is fine */

char *pki_base64url (const void *data, gsize length);  /* without padding */
/* Strict: no padding, no white space, no stray bits. NULL when malformed or longer than @max bytes. */
guint8 *pki_base64url_decode (const char *text, gsize length, gsize max, gsize *ret_length);
char *pki_datum_to_string (gnutls_datum_t *datum);     /* takes over and frees the datum */

G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_x509_crt_t, gnutls_x509_crt_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_x509_crq_t, gnutls_x509_crq_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_privkey_t, gnutls_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC (gnutls_pubkey_t, gnutls_pubkey_deinit, NULL)
