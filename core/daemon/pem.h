/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the few things of X.509 an agent does itself. */
#include <gio/gio.h>

/* "sha256:" and the hash of the certificate's public key (SubjectPublicKeyInfo) in hex, as kubeadm's discovery-token-ca-cert-hash. (transfer full) */
char *cube_pem_key_hash (const char *certificate_pem, GError **error);
typedef enum { CUBE_PEM_EC, CUBE_PEM_RSA } CubePemKey; /* P-256 in PKCS #8; RSA of 2048 bits in PKCS #1 */
/* A new key and a request signed with it. (transfer full) */
gboolean cube_pem_make_request (CubePemKey kind, const char *common_name, const char *organization, char **ret_key_pem, char **ret_request_pem,
                                GError **error);
/* When @certificate begins and ends, seconds since the epoch. */
gboolean cube_pem_validity (GTlsCertificate *certificate, gint64 *ret_from, gint64 *ret_until);
