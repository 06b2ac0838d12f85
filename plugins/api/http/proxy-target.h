/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where a proxy subresource leads: pods/, services/ and nodes/[SCHEME:]NAME[:PORT]/proxy. */
#include <cube/cube.h>

typedef struct {
  char *scheme;        /* "http" or "https" */
  char *host;          /* an IP address in digits: nothing is looked up again between the check and the connection */
  guint16 port;        /* 0 = the scheme's */
  char *kubelet_path;  /* set instead of the others: the node's agent itself is meant */
  char *node;
} HttpProxyTarget;

/* "[SCHEME:]NAME[:PORT]". FALSE: it is none. */
gboolean http_proxy_split (const char *id, char **ret_scheme, char **ret_name, char **ret_port);
/* May block on the client. Errors in Kubernetes' words: CUBE_ERROR_BAD_REQUEST, _NOT_FOUND, _SERVICE_UNAVAILABLE. */
gboolean http_proxy_find (CubeClient *client, CubeSchema *schema, const char *resource, const char *ns, const char *id, HttpProxyTarget *ret_target,
                          GError **error);
void http_proxy_target_clear (HttpProxyTarget *target);
/* Not this machine's own, not the link's, nobody's group: what a pod may not have as its address is no way to what listens on the server itself. */
gboolean http_proxy_is_allowed (const char *ip);
