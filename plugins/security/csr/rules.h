/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a CertificateSigningRequest asks for, and whether its signer may give it. No clock, no client. */
#include <cube/auth.h>

#define SIGNER_CLIENT "kubernetes.io/kube-apiserver-client"
#define SIGNER_KUBELET "kubernetes.io/kube-apiserver-client-kubelet"

typedef struct {
  char *pem;          /* PKCS #10 */
  char *common_name;
  char **organizations;
  gboolean has_alternative_names;
} RequestedSubject;
void requested_subject_clear (RequestedSubject *subject);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (RequestedSubject, requested_subject_clear)

/* Reads spec.request. Errors say what is unreadable. */
gboolean rules_read (CubeView spec, RequestedSubject *ret_subject, GError **error);
/* Is it what the signer of a kubelet's client certificates signs? Returns NULL, or the sentence that says why not. (transfer full) */
char *rules_check_kubelet (CubeView spec, const RequestedSubject *subject);
/* The same for kube-apiserver-client. */
char *rules_check_client (CubeView spec, const RequestedSubject *subject);
/* How long the certificate is good for, seconds: spec.expirationSeconds (at least 600) within @longest. */
gint64 rules_seconds (CubeView spec, gint64 longest);
