/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* SPDY/3.1, the server's side: within a port-forward's WebSocket, or on the connection itself (kubectl before 1.31, Go programs). The tunnel knows frames;
 * what its streams are for is known to its ops, which run them as sessions of their own towards the agent. Everything runs on the worker's loop. */
#include "session.h"

#define HTTP_TUNNEL_PROTOCOL "SPDY/3.1+portforward.k8s.io"

typedef struct _HttpTunnel HttpTunnel;
typedef struct {
  gpointer (*create) (HttpTunnel *tunnel);
  /* The client opens a stream; @headers: names in lower case. FALSE = refused, with a SPDY status in @ret_status. */
  gboolean (*take) (HttpTunnel *tunnel, guint32 stream, GHashTable *headers, guint32 *ret_status);
  void (*taken) (HttpTunnel *tunnel, guint32 stream); /* after the stream was answered */
  void (*data) (HttpTunnel *tunnel, guint32 stream, const guint8 *bytes, gsize length, gboolean is_fin);
  void (*reset) (HttpTunnel *tunnel, guint32 stream);
  void (*drained) (HttpTunnel *tunnel); /* there is room on the connection */
  void (*close) (HttpTunnel *tunnel);   /* hangs its sessions up */
  void (*free) (gpointer streams);
} HttpTunnelOps;

struct _HttpTunnel {
  HttpSession *session;
  const HttpTunnelOps *ops;
  gpointer streams; /* of the ops */
  gpointer frames;  /* private */
};

HttpTunnel *http_tunnel_new (HttpSession *session, const HttpTunnelOps *ops);
/* FALSE: no SPDY; the connection is to be closed. */
gboolean http_tunnel_feed (HttpTunnel *tunnel, const guint8 *bytes, gsize length);
void http_tunnel_drained (HttpSession *session); /* ops of the session that holds it */
void http_tunnel_end (HttpSession *session);

extern const HttpTunnelOps http_tunnel_forward; /* each forwarded connection is a pair of streams (data, error) */
extern const HttpTunnelOps http_tunnel_command; /* exec and attach: a stream each for input, outputs, error, resize */
