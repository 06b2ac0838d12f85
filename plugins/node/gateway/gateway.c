/* SPDX-License-Identifier: Apache-2.0 */
/* cube.Component "node-gateway" on an agent, cube.node.Agent "*" on a server. */
#include "gateway.h"

typedef struct {
  GatewayTo to; /* first: the state of cube.node.Agent */
  GatewayAt *at;
} Gateway;

static gboolean
start (gpointer state, GError **error)
{
  Gateway *self = state;
  CubeContext *context = self->to.context;
  g_autofree char *is_agent = cube_context_fact (context, "agent"), *runtime = cube_context_fact (context, "runtime"),
                  *kubeconfig = cube_context_fact (context, "kubeconfig"), *port = NULL;
  g_auto (PeerCredentials) credentials = { NULL, NULL };
  g_autoptr (GError) problem = NULL;

  if (g_strcmp0 (is_agent, "true") != 0 || g_strcmp0 (runtime, "cri") != 0 || kubeconfig == NULL)
    return TRUE;
  if (!peer_read_kubeconfig (kubeconfig, cube_context_node_name (context), &credentials, &problem))
    {
      g_message ("no logs and exec through the server, this agent has no certificate of its node: %s", problem->message);
      return TRUE;
    }
  self->at = gateway_at_new (context, kubeconfig, error);
  if (self->at == NULL)
    return FALSE;
  port = g_strdup_printf ("%u", gateway_at_port (self->at));
  cube_context_set_fact (context, "gateway-port", port);
  return TRUE;
}

static void
stop (gpointer state)
{
  g_clear_pointer (&((Gateway *) state)->at, gateway_at_free);
}

static const CubeComponentOps component = { .ops_size = sizeof component, .role = "node", .order = 38, .start = start, .stop = stop };
static CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "node-gateway", component),
                                     CUBE_IMPL (CUBE_NODE_AGENT, CUBE_NODE_AGENT_VERSION, "*", gateway_to_ops),
                                     { NULL } };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Gateway *self = g_new0 (Gateway, 1);

  self->to.context = context;
  g_mutex_init (&self->to.lock);
  if (!cube_context_has_role (context, "api"))
    impls[1].interface = NULL;
  *ret_state = self;
  return TRUE;
}

static void
unload (gpointer state)
{
  Gateway *self = state;

  peer_credentials_clear (&self->to.credentials);
  g_mutex_clear (&self->to.lock);
  g_free (self);
}

CUBE_PLUGIN_DEFINE (.name = "node-gateway", .version = "1", .description = "logs, exec, attach and port-forward of pods on other machines",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = unload);
