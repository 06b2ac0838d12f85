/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregation.h"

#include <cube/selector.h>
#include <string.h>

#define API_VERSION "rbac.authorization.k8s.io/v1"
#define MANAGER "clusterrole-aggregation-controller"

static GPtrArray *
parse_selectors (CubeView aggregated, GError **error)
{
  g_autoptr (GPtrArray) selectors = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_selector_unref);
  CubeIter it;
  CubeView view;

  for (cube_iter_init (&it, cube_view_get (aggregated, "aggregationRule", "clusterRoleSelectors")); cube_iter_next (&it, NULL, &view);)
    {
      CubeSelector *selector = cube_selector_from_view (view, error);

      if (selector == NULL)
        return NULL;
      g_ptr_array_add (selectors, selector);
    }
  return g_steal_pointer (&selectors);
}

static gboolean
is_selected (const GPtrArray *selectors, const CubeObject *role)
{
  for (guint i = 0; i < selectors->len; i++)
    if (cube_selector_matches_object (selectors->pdata[i], role))
      return TRUE;
  return FALSE;
}

static void
add_rules (CubeMut *out, const CubeObject *role)
{
  g_autoptr (CubeValue) value = cube_object_value (role);
  CubeIter it;
  CubeView rule;

  for (cube_iter_init (&it, cube_value_get (value, "rules")); cube_iter_next (&it, NULL, &rule);)
    {
      gboolean is_known = FALSE;

      for (guint i = 0; !is_known && i < cube_mut_length (out); i++)
        is_known = cube_mut_equal_view (cube_mut_element (out, i), rule);
      if (!is_known)
        cube_mut_append (out, cube_mut_new_view (cube_mut_builder (out), rule));
    }
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (cube_object_name (*(CubeObject *const *) a), cube_object_name (*(CubeObject *const *) b));
}

CubeValue *
aggregation_rules (CubeView aggregated, const char *own_name, GPtrArray *roles, GError **error)
{
  g_autoptr (GPtrArray) selectors = parse_selectors (aggregated, error);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *out = cube_mut_new_array (builder);

  if (selectors == NULL)
    return NULL;
  g_ptr_array_sort (roles, compare_names);
  for (guint i = 0; i < roles->len; i++)
    if (!g_str_equal (cube_object_name (roles->pdata[i]), own_name) && is_selected (selectors, roles->pdata[i]))
      add_rules (out, roles->pdata[i]);
  return cube_mut_to_value (out);
}

static gboolean
apply_rules (CubeControllerEnv *env, const CubeResource *resource, const char *name, const CubeValue *rules, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeValue) body = NULL;
  g_autoptr (CubeResponse) response = NULL;

  cube_mut_set_string (root, "apiVersion", API_VERSION);
  cube_mut_set_string (root, "kind", "ClusterRole");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", name);
  cube_mut_set_view (root, "rules", cube_value_root (rules));
  body = cube_builder_end (builder);
  request.verb = CUBE_VERB_PATCH;
  request.patch_type = CUBE_PATCH_APPLY;
  request.resource = resource;
  request.name = name;
  request.body = body;
  request.field_manager = MANAGER;
  request.force = TRUE;
  response = cube_client_execute (cube_context_client (env->context), &request, error);
  return response != NULL;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  const CubeResource *resource = cube_schema_resource (cube_context_schema (env->context), API_VERSION, "clusterroles");
  g_autoptr (CubeObject) object = cube_client_get (env->client, resource, NULL, key, error);
  g_autoptr (CubeValue) value = NULL, rules = NULL;
  g_autoptr (GPtrArray) roles = NULL;

  if (object == NULL)
    {
      if (!g_error_matches (*error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return -1;
      g_clear_error (error);
      return 0;
    }
  value = cube_object_value (object);
  if (!cube_view_exists (cube_value_get (value, "aggregationRule")))
    return 0;
  roles = cube_client_list (env->client, resource, NULL, NULL, NULL, error);
  rules = roles != NULL ? aggregation_rules (cube_value_root (value), key, roles, error) : NULL;
  if (rules == NULL)
    return -1;
  if (cube_view_equal (cube_value_root (rules), cube_value_get (value, "rules"))
      || (cube_view_length (cube_value_root (rules)) == 0 && cube_view_length (cube_value_get (value, "rules")) == 0))
    return 0;
  return apply_rules (env, resource, key, rules, error) ? 0 : -1;
}

/* Any role may be part of any aggregated one. */
static void
map_role (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  const CubeResource *resource = cube_schema_resource (cube_context_schema (env->context), API_VERSION, "clusterroles");
  g_autoptr (GPtrArray) roles = cube_client_list (env->client, resource, NULL, NULL, NULL, NULL);

  for (guint i = 0; roles != NULL && i < roles->len; i++)
    {
      gsize length = 0;
      const char *json = cube_object_json (roles->pdata[i], &length);

      if (memmem (json, length, "\"aggregationRule\":{", strlen ("\"aggregationRule\":{")) != NULL)
        cube_queue_add (env->queue, cube_object_name (roles->pdata[i]));
    }
}

static const CubeControllerWatch watches[] = { { API_VERSION, "clusterroles", map_role }, { NULL, NULL, NULL } };

const CubeControllerOps aggregation_ops = {
  .ops_size = sizeof aggregation_ops,
  .watches = watches,
  .reconcile = reconcile,
  .workers = 1,
};
