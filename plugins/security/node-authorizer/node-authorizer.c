/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Authorizer "node". */
#include "node-rules.h"

#include <cube/client.h>

static GPtrArray *
pods_on (gpointer context, const char *node)
{
  g_autoptr (GPtrArray) objects = cube_client_list_pods_on (cube_context_client (context), node, NULL);
  GPtrArray *pods = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);

  for (guint i = 0; objects != NULL && i < objects->len; i++)
    g_ptr_array_add (pods, cube_object_value (objects->pdata[i]));
  return pods;
}

static CubeValue *
look_up (gpointer context, const char *api_version, const char *resource, const char *ns, const char *name)
{
  const CubeResource *kind = cube_schema_resource (cube_context_schema (context), api_version, resource);
  g_autoptr (CubeObject) object = kind != NULL ? cube_client_get (cube_context_client (context), kind, ns, name, NULL) : NULL;

  return object != NULL ? cube_object_value (object) : NULL;
}

static CubeDecision
node_authorize (gpointer context, const CubeAttributes *attributes, char **ret_reason)
{
  const char *node = node_rules_identity (attributes->user);
  NodeWorld world = { pods_on, look_up, context };

  return node != NULL ? node_rules_decide (&world, node, attributes, ret_reason) : CUBE_DECISION_NO_OPINION;
}

static gboolean
node_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

static const CubeAuthorizerOps ops = { .ops_size = sizeof ops, .order = 10, .authorize = node_authorize };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_AUTHORIZER, CUBE_AUTHORIZER_VERSION, "node", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-node-authorizer", .version = "1", .description = "what nodes may ask for", .license = "Apache-2.0",
                    .impls = impls, .load = node_load);
