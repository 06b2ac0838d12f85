/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "peer.h"
#include "wire.h"
#include <cube/node.h>

#define GATEWAY_PORT 10250
#define GATEWAY_TIMEOUT_S 10 /* to connect, to shake hands, to answer */

/* ---- at.c: the agent's end: listens, and opens streams of the agent in this process ---- */
typedef struct _GatewayAt GatewayAt;
GatewayAt *gateway_at_new (CubeContext *context, const char *kubeconfig, GError **error);
guint16 gateway_at_port (GatewayAt *at);
void gateway_at_free (GatewayAt *at); /* streams end */

/* ---- to.c: the server's end: cube.node.Agent "*" ---- */
typedef struct {
  CubeContext *context;
  GMutex lock;
  PeerCredentials credentials; /* under lock */
  gint64 made_us;
} GatewayTo;
extern const CubeNodeAgentOps gateway_to_ops;
