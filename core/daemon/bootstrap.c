/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"
#include <cube/client.h>
#include <string.h>

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

static gboolean
set_data (CubeMut *root, CubeView current, gpointer data)
{
  CubeMut *map = cube_mut_ensure_object (root, "data");
  CubeIter it;
  const char *key;
  CubeView value;
  for (cube_iter_init (&it, cube_value_root (data)); cube_iter_next (&it, &key, &value);)
    cube_mut_set_view (map, key, value);
  return !cube_mut_equal_view (root, current);
}

/* What a machine that joins must know: where, who signs, and what all nodes agree on. */
static CubeValue *
compose_cluster_info (CubeContext *context, const char *server, const char *ca_pem)
{
  static const char *const facts[] = { "service-cidr", "cluster-dns", "cluster-domain", "node-port-range" };
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autofree char *ca_data = g_base64_encode ((const guchar *) ca_pem, strlen (ca_pem));
  g_autofree char *text = g_strdup_printf ("apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n    server: %s\n"
                                           "    certificate-authority-data: %s\n",
                                           server, ca_data);
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "kubeconfig", text);
  for (guint i = 0; i < G_N_ELEMENTS (facts); i++)
    {
      g_autofree char *fact = cube_context_fact (context, facts[i]);
      if (fact != NULL)
        cube_mut_set_string (root, facts[i], fact);
    }
  return cube_builder_end (builder);
}

gboolean
cube_bootstrap_cluster_info (CubeContext *context, const char *server, GError **error)
{
  CubeClient *client = cube_context_client (context);
  const CubeResource *maps = cube_schema_resource (cube_context_schema (context), "v1", "configmaps");
  g_autofree char *joined = cube_join_server (context), *ca_pem = cube_authority_pem (context, error);
  if (ca_pem == NULL)
    return FALSE;
  g_autoptr (CubeValue) data = compose_cluster_info (context, joined != NULL ? joined : server, ca_pem);
  g_autoptr (CubeObject) there = cube_client_get (client, maps, "kube-public", "cluster-info", NULL), written = NULL;
  if (there != NULL)
    {
      written = cube_client_modify (client, maps, NULL, "kube-public", "cluster-info", set_data, data, error);
      return written != NULL;
    }
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "ConfigMap");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", "cluster-info");
  cube_mut_set_view (root, "data", cube_value_root (data));
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  written = cube_client_create (client, maps, "kube-public", value, error);
  return written != NULL;
}
