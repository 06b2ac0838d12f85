/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"
#include <arpa/inet.h>
#include <errno.h>
#include <gio/gio.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PROTOCOL 199 /* rtm_protocol: whose routes they are, for people who look */
#define SHORTEST_PREFIX 8

static gboolean
parse_range (const char *text, Route *route)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  guint64 prefix;
  if (g_strv_length (parts) != 2 || inet_pton (AF_INET, parts[0], &route->network) != 1
      || !g_ascii_string_to_unsigned (parts[1], 10, SHORTEST_PREFIX, 32, &prefix, NULL))
    return FALSE;
  route->prefix = (guint) prefix;
  route->network.s_addr &= htonl (0xffffffffu << (32 - route->prefix));
  return TRUE;
}

/* Neither loopback nor multicast, nor nothing. */
static gboolean
parse_gateway (const char *text, Route *route)
{
  if (inet_pton (AF_INET, text, &route->gateway) != 1)
    return FALSE;
  guint32 first = ntohl (route->gateway.s_addr) >> 24;
  return first != 0 && first != 127 && first < 224;
}

gboolean
route_of_node (CubeView node, Route *ret_route)
{
  const char *range = cube_view_get_string (node, "spec", "podCIDR");
  Route route = { 0 };
  CubeIter it;
  CubeView address;
  if (range == NULL || !parse_range (range, &route))
    return FALSE;
  for (cube_iter_init (&it, cube_view_get (node, "status", "addresses")); cube_iter_next (&it, NULL, &address);)
    if (g_strcmp0 (cube_view_get_string (address, "type"), "InternalIP") == 0
        && parse_gateway (cube_view_string_or (cube_view_member (address, "address"), ""), &route))
      {
        *ret_route = route;
        return TRUE;
      }
  return FALSE;
}

gboolean
route_equal (const Route *a, const Route *b)
{
  return a->network.s_addr == b->network.s_addr && a->prefix == b->prefix && a->gateway.s_addr == b->gateway.s_addr;
}

char *
route_to_text (const Route *route)
{
  char network[INET_ADDRSTRLEN], gateway[INET_ADDRSTRLEN];
  inet_ntop (AF_INET, &route->network, network, sizeof network);
  inet_ntop (AF_INET, &route->gateway, gateway, sizeof gateway);
  return g_strdup_printf ("%s/%u %s", network, route->prefix, gateway);
}

gboolean
route_from_text (const char *text, Route *ret_route)
{
  g_auto (GStrv) parts = g_strsplit (text, " ", 2);
  return g_strv_length (parts) == 2 && parse_range (parts[0], ret_route) && parse_gateway (parts[1], ret_route);
}

/* ---- the kernel ---- */

typedef struct {
  struct nlmsghdr header;
  struct rtmsg route;
  struct {
    struct rtattr head;
    struct in_addr address;
  } network, gateway;
} Request;

static int
ask_kernel (Request *request)
{
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char more[512];
  } answer = { 0 };
  struct timeval patience = { .tv_sec = 5 };
  int fd = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), code = 0;
  if (fd < 0)
    return errno;
  setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (send (fd, request, sizeof *request, 0) < 0 || recv (fd, &answer, sizeof answer, 0) < 0)
    code = errno;
  else if (answer.header.nlmsg_type == NLMSG_ERROR)
    code = -answer.error.error;
  close (fd);
  return code;
}

static int
change (const Route *route, guint16 type, guint16 flags)
{
  Request request = {
    .header = { sizeof request, type, (guint16) (NLM_F_REQUEST | NLM_F_ACK | flags), 1, 0 },
    .route = { .rtm_family = AF_INET,
               .rtm_dst_len = (guint8) route->prefix,
               .rtm_table = RT_TABLE_MAIN,
               .rtm_protocol = PROTOCOL,
               .rtm_scope = RT_SCOPE_UNIVERSE,
               .rtm_type = RTN_UNICAST },
    .network = { { sizeof request.network, RTA_DST }, route->network },
    .gateway = { { sizeof request.gateway, RTA_GATEWAY }, route->gateway },
  };
  return ask_kernel (&request);
}

static gboolean
judge (const Route *route, int code, GError **error)
{
  g_autofree char *text = route_to_text (route);
  if (code == 0)
    return TRUE;
  if (code == ENETUNREACH || code == EHOSTUNREACH)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE,
                 "route %s: the node's address is on no network of this machine; nodes must share a link", text);
  else
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "route %s: %s", text, g_strerror (code));
  return FALSE;
}

gboolean
route_add (const Route *route, GError **error)
{
  return judge (route, change (route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE), error);
}

gboolean
route_delete (const Route *route, GError **error)
{
  int code = change (route, RTM_DELROUTE, 0);
  return judge (route, code == ESRCH || code == ENETUNREACH || code == EHOSTUNREACH ? 0 : code, error);
}
