/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a certificate is to say, gathered from a caller's request and a signing request, checked before anything is signed. */
#include <cube/auth.h>
#include "pki.h"

typedef struct {
  char *common_name;
  GPtrArray *organizations; /* (element-type utf8) */
  GPtrArray *dns_names;     /* (element-type utf8) */
  GPtrArray *ip_addresses;  /* (element-type utf8) */
  gboolean is_server, is_client;
  gint64 valid_seconds;     /* 0 = a year */
} Subject;

Subject *subject_new (void);
void subject_free (Subject *subject);
/* Takes over what @request sets. */
gboolean subject_add_request (Subject *subject, const CubeCertificateRequest *request, GError **error);
/* Verifies the proof of possession of @csr and takes over its subject, names and usages as far as they may be asked for at all. */
gboolean subject_add_csr (Subject *subject, gnutls_x509_crq_t csr, GError **error);
gboolean subject_check (const Subject *subject, GError **error);
gboolean subject_write (const Subject *subject, gnutls_x509_crt_t certificate, GError **error);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Subject, subject_free)
