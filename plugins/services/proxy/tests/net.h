/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A node, three pods on its bridge and a client outside, each a network namespace that ends with the test process. */
#include <glib.h>

#define NET_PODS 3
typedef enum { NET_NODE, NET_POD_1, NET_POD_2, NET_POD_3, NET_OUTSIDE, NET_N } NetPlace;
#define NET_NODE_IP "192.168.50.1"
#define NET_OUTSIDE_IP "192.168.50.2"
extern const char *const net_ips[NET_N]; /* pods: 10.244.0.11 … */

/* FALSE where the machine does not let us (not root). The calling thread is then on the node. */
gboolean net_start (void);
void net_stop (void);
void net_enter (NetPlace place); /* the calling thread only */
/* Which place's server answers a TCP connection from @from; or -errno. All listen on 8080, the one outside too; ETIMEDOUT after half a second. */
extern int net_wait_ms; /* how long an exchange waits for each answer */
int net_connect (NetPlace from, const char *ip, guint16 port);
int net_ask_udp (NetPlace from, const char *ip, guint16 port); /* the same with a datagram */
/* The client's address the server saw in the last answered connection. */
const char *net_last_peer (void);
