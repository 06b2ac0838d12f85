/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Routes to other nodes' pods: as data, as text, in the kernel. */
#include <cube/value.h>
#include <netinet/in.h>

typedef struct {
  struct in_addr network, gateway;
  guint prefix;
} Route;

/* A Node's pods by way of its InternalIP. FALSE: it has no range or address yet, or none of IPv4. */
gboolean route_of_node (CubeView node, Route *ret_route);
gboolean route_equal (const Route *a, const Route *b);
char *route_to_text (const Route *route); /* "10.244.1.0/24 192.0.2.11" (transfer full) */
gboolean route_from_text (const char *text, Route *ret_route);

/* Puts @route in the main table (in place of one that leads elsewhere), or takes it out; one that is not there is no error. */
gboolean route_add (const Route *route, GError **error);
gboolean route_delete (const Route *route, GError **error);
