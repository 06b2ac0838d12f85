/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SPDY/3.1 inside a port-forward's WebSocket, the server's side: each forwarded connection is a pair of streams (data, error) and a session of
 * its own towards the agent. Everything runs on the worker's loop. */
#include "session.h"

#define HTTP_TUNNEL_PROTOCOL "SPDY/3.1+portforward.k8s.io"

typedef struct _HttpTunnel HttpTunnel;
HttpTunnel *http_tunnel_new (HttpSession *session);
/* FALSE: no SPDY; the connection is to be closed. */
gboolean http_tunnel_feed (HttpTunnel *tunnel, const guint8 *bytes, gsize length);
void http_tunnel_drained (HttpSession *session); /* ops of the session that holds it */
void http_tunnel_end (HttpSession *session);
