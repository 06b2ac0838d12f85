/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include <cube/client.h>

gboolean
cube_bootstrap_namespaces (CubeContext *context, GError **error)
{
  static const char *const names[] = { "default", "kube-system", "kube-public", "kube-node-lease" };
  CubeClient *client = cube_context_client (context);
  const CubeResource *namespaces = cube_schema_resource (cube_context_schema (context), "v1", "namespaces");
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autoptr (GError) problem = NULL;
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      CubeMut *root = cube_builder_root (builder);
      cube_mut_set_string (root, "apiVersion", "v1");
      cube_mut_set_string (root, "kind", "Namespace");
      cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", names[i]);
      g_autoptr (CubeValue) value = cube_builder_end (builder);
      g_autoptr (CubeObject) there = cube_client_get (client, namespaces, NULL, names[i], NULL);
      g_autoptr (CubeObject) made = there == NULL ? cube_client_create (client, namespaces, NULL, value, &problem) : NULL;
      if (there == NULL && made == NULL && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS))
        {
          g_propagate_prefixed_error (error, g_steal_pointer (&problem), "namespace %s: ", names[i]);
          return FALSE;
        }
    }
  return TRUE;
}
