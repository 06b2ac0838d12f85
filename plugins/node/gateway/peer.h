/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who is at the other end: both ends show a certificate of the cluster's authority, and its subject says who. */
#include <gio/gio.h>

#define PEER_NODE_PREFIX "system:node:"
#define PEER_NODES "system:nodes"
#define PEER_SERVER "kube-apiserver-kubelet-client"
#define PEER_MASTERS "system:masters"

typedef struct {
  GTlsCertificate *identity; /* with its key */
  GTlsCertificate *authority;
} PeerCredentials;
void peer_credentials_clear (PeerCredentials *credentials);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (PeerCredentials, peer_credentials_clear)

/* An agent's, from the kubeconfig it got by joining. FALSE with a sentence when the file is of another kind. */
gboolean peer_read_kubeconfig (const char *path, const char *node_name, PeerCredentials *ret_credentials, GError **error);
/* Is @certificate signed by @authority, in time, and its CN @common_name with @organization among its O? */
gboolean peer_check (GTlsCertificate *certificate, GTlsCertificate *authority, const char *common_name, const char *organization, GError **error);
