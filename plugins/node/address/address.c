/* SPDX-License-Identifier: Apache-2.0 */
/* An address for a node without a network: pods, node ports and the API need one that is no loopback, as Kubernetes' objects do. */
#include "hostaddress.h"
#include "link.h"
#include <cube/context.h>
#include <cube/plugin.h>

#define LINK_PREFIX "cubeh"
#define DUMMY_ADDRESS "192.0.0.8" /* RFC 7600: the IPv4 dummy address */

static gboolean
address_start (gpointer state, GError **error)
{
  CubeContext *context = state;
  g_autofree char *name = cube_host_link_name (context, LINK_PREFIX), *advertised = cube_context_fact (context, "advertise-address"),
                  *runtime = cube_context_fact (context, "runtime"), *teardown = cube_context_fact (context, "teardown"),
                  *found = cube_host_address ();
  if (g_strcmp0 (runtime, "cri") != 0 || teardown != NULL)
    return TRUE;
  if (advertised != NULL || found != NULL)
    {
      node_link_remove (name); /* of a time without a network */
      return TRUE;
    }
  if (!node_link_ensure (name, DUMMY_ADDRESS, error))
    return FALSE;
  g_message ("this machine has no network: its node has the address %s, on link %s", DUMMY_ADDRESS, name);
  cube_context_set_fact (context, "advertise-address", DUMMY_ADDRESS);
  return TRUE;
}

/* The link outlives a restart, as pods do. */
static void
address_stop (gpointer state)
{
  g_autofree char *name = cube_host_link_name (state, LINK_PREFIX), *teardown = cube_context_fact (state, "teardown");
  if (teardown != NULL)
    node_link_remove (name);
}

static gboolean
address_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

/* Before everything that asks for the node's address: the API's certificate has it too. */
static const CubeComponentOps ops = { .ops_size = sizeof ops, .role = "node", .order = 4, .start = address_start, .stop = address_stop };

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "node-address", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "node-address", .version = "1", .license = "Apache-2.0",
                    .description = "gives a node without a network an address of its own", .impls = impls, .load = address_load);
