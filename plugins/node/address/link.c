/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"
#include <gio/gio.h>
#include <net/if.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

static struct nl_sock *
open_socket (void)
{
  struct nl_sock *socket = nl_socket_alloc ();
  if (socket != NULL && nl_connect (socket, NETLINK_ROUTE) == 0)
    return socket;
  nl_socket_free (socket);
  return NULL;
}

static int
add_link (struct nl_sock *socket, const char *name)
{
  struct rtnl_link *link = rtnl_link_alloc ();
  rtnl_link_set_name (link, name);
  rtnl_link_set_flags (link, IFF_UP);
  int result = rtnl_link_set_type (link, "bridge");
  if (result == 0)
    result = rtnl_link_add (socket, link, NLM_F_CREATE);
  rtnl_link_put (link);
  return result;
}

static int
add_address (struct nl_sock *socket, const char *name, const char *text)
{
  struct rtnl_addr *address = rtnl_addr_alloc ();
  struct nl_addr *local = NULL;
  int result = nl_addr_parse (text, AF_INET, &local);
  if (result == 0)
    {
      rtnl_addr_set_ifindex (address, (int) if_nametoindex (name));
      rtnl_addr_set_local (address, local);
      result = rtnl_addr_add (socket, address, NLM_F_REPLACE);
      nl_addr_put (local);
    }
  rtnl_addr_put (address);
  return result;
}

gboolean
node_link_ensure (const char *name, const char *address, GError **error)
{
  struct nl_sock *socket = open_socket ();
  int result = socket == NULL ? -NLE_BAD_SOCK : add_link (socket, name);
  if (result == 0)
    result = add_address (socket, name, address);
  nl_socket_free (socket);
  if (result == 0)
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "link %s with address %s: %s", name, address, nl_geterror (result));
  return FALSE;
}

void
node_link_remove (const char *name)
{
  struct nl_sock *socket = if_nametoindex (name) != 0 ? open_socket () : NULL;
  struct rtnl_link *link = socket != NULL ? rtnl_link_alloc () : NULL;
  if (link != NULL)
    {
      rtnl_link_set_name (link, name);
      rtnl_link_delete (socket, link);
      rtnl_link_put (link);
    }
  nl_socket_free (socket);
}
