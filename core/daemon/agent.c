/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent has instead of a store: a client of a server elsewhere. */
#include "daemon.h"
#include <client/remote-config.h>

gboolean
cube_agent_connect (CubeContext *context, const CubeOptions *options, CubeClient **ret_client, char **ret_kubeconfig, char **ret_server,
                    GError **error)
{
  if (options->kubeconfig == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "an agent needs a server: --kubeconfig FILE names it");
      return FALSE;
    }
  g_autoptr (CubeKubeconfig) config = cube_kubeconfig_read (options->kubeconfig, error);
  if (config == NULL)
    return FALSE;
  CubeClient *client = cube_client_new_remote (context, options->kubeconfig, error);
  if (client == NULL)
    return FALSE;
  *ret_client = client;
  *ret_kubeconfig = g_strdup (options->kubeconfig);
  *ret_server = g_strdup (config->server);
  return TRUE;
}

static void
node_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  /* only what is known counts: readiness is asked for */
}

CubeInformer *
cube_agent_watch_nodes (CubeContext *context, CubeClient *client, const CubeOptions *options)
{
  const CubeResource *nodes = cube_schema_resource (cube_context_schema (context), "v1", "nodes");
  g_autofree char *text = g_strdup_printf ("metadata.name=%s", options->node_name);
  /* Simulated nodes have names of their own. */
  g_autoptr (CubeSelector) own = g_str_equal (options->runtime, "cri") ? cube_selector_parse_fields (text, NULL) : NULL;
  return cube_informer_new (client, nodes, NULL, NULL, own, cube_context_get_loop (context, "main"), node_changed, NULL);
}
