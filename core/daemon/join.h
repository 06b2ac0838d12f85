/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: how an agent comes to its server: discovery by the authority's hash, a token for a moment, a certificate for good. */
#include "daemon.h"

/* Makes <data-dir>/agent.kubeconfig of options' server, token and ca_hash. Blocks up to two minutes. Main thread, before the loops have work. */
gboolean cube_join (CubeContext *context, const CubeOptions *options, const char *path, GError **error);
/* A new certificate for node @name by a CertificateSigningRequest of @client, written to @path with the server and authority that stand there or are
 * given. Blocks up to a minute. Any thread but the client's. */
gboolean cube_join_renew (CubeContext *context, CubeClient *client, const char *name, const char *path, const char *server, const char *ca_pem,
                          GError **error);
