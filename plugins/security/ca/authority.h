/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The certificate authority itself, without the plugin around it: clock and randomness are handed in. */
#include <cube/auth.h>

typedef struct _Authority Authority;

typedef struct {
  gint64 (*now_us) (gpointer data);
  void (*random_bytes) (gpointer data, void *buffer, gsize length);
  gpointer data;
} AuthoritySeams;

/* @directory is where ca.key and ca.crt live (made at first use); NULL = kept in memory only. */
Authority *authority_new (const char *directory, const AuthoritySeams *seams);
void authority_free (Authority *authority);
/* All three: any thread, may block on the disk. PEM texts (transfer full). */
gboolean authority_get_ca (Authority *authority, char **ret_certificate_pem, GError **error);
gboolean authority_issue (Authority *authority, const CubeCertificateRequest *request, char **ret_certificate_pem, char **ret_key_pem,
                          GError **error);
gboolean authority_sign_csr (Authority *authority, const char *csr_pem, const CubeCertificateRequest *overrides, char **ret_certificate_pem,
                             GError **error);
