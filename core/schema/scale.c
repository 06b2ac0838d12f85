/* SPDX-License-Identifier: Apache-2.0 */
/* The scale subresource: an autoscaling/v1 Scale seen in an object, and written back to it. */
#include "json-path.h"

static const char *
path_or (const char *path, const char *fallback)
{
  return path == NULL ? fallback : path;
}

static char *
selector_text (const CubeResource *resource, CubeView object)
{
  const CubeResourceType *type = cube_resource_type (resource);
  if (resource->is_custom)
    return type->scale_selector == NULL ? NULL : cube_json_path_text (object, type->scale_selector);
  CubeView selector_view = cube_view_get (object, "spec", "selector");
  gboolean is_map = strcmp (resource->kind, "ReplicationController") == 0;
  g_autoptr (CubeSelector) selector = is_map ? cube_selector_from_map (selector_view) : cube_selector_from_view (selector_view, NULL);
  return selector == NULL ? NULL : cube_selector_to_string (selector);
}

CubeValue *
cube_schema_scale_of (const CubeResource *resource, CubeView object)
{
  static const char *const copied[] = { "name", "namespace", "uid", "resourceVersion", "creationTimestamp" };
  const CubeResourceType *type = cube_resource_type (resource);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "kind", "Scale");
  cube_mut_set_string (root, "apiVersion", "autoscaling/v1");
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  for (guint i = 0; i < G_N_ELEMENTS (copied); i++)
    cube_mut_set_view (metadata, copied[i], cube_view_get (object, "metadata", copied[i]));
  gint64 wanted = cube_view_int (cube_json_path_first (object, path_or (type->scale_spec, ".spec.replicas")), 0);
  gint64 have = cube_view_int (cube_json_path_first (object, path_or (type->scale_status, ".status.replicas")), 0);
  CubeMut *spec = cube_mut_set_object (root, "spec"), *status;
  if (wanted != 0)
    cube_mut_set_int (spec, "replicas", wanted);
  status = cube_mut_set_object (root, "status");
  cube_mut_set_int (status, "replicas", have);
  g_autofree char *selector = selector_text (resource, object);
  if (selector != NULL && *selector != '\0')
    cube_mut_set_string (status, "selector", selector);
  return cube_builder_end (builder);
}

/* ".spec.replicas" → the object that holds it, made when absent. */
static CubeMut *
holder_of (CubeMut *root, const char *path, char **ret_last)
{
  g_auto (GStrv) parts = g_strsplit (*path == '.' ? path + 1 : path, ".", -1);
  guint n = g_strv_length (parts);
  for (guint i = 0; i + 1 < n; i++)
    root = cube_mut_ensure_object (root, parts[i]);
  *ret_last = n == 0 ? NULL : g_strdup (parts[n - 1]);
  return root;
}

gboolean
cube_schema_set_scale (const CubeResource *resource, CubeMut *root, CubeView scale, GError **error)
{
  const CubeResourceType *type = cube_resource_type (resource);
  CubeView replicas = cube_view_get (scale, "spec", "replicas"), version = cube_view_get (scale, "metadata", "resourceVersion");
  g_autofree char *last = NULL;
  if (cube_view_int (replicas, 0) < 0)
    {
      g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
      cube_field_errors_add (errors, "Invalid", "spec.replicas", replicas, "must be greater than or equal to 0");
      g_propagate_error (error, cube_field_errors_to_error (errors, "autoscaling", "Scale",
                                                            cube_view_string_or (cube_view_get (scale, "metadata", "name"), "")));
      return FALSE;
    }
  CubeMut *holder = holder_of (root, path_or (type->scale_spec, ".spec.replicas"), &last);
  if (last != NULL)
    cube_mut_set_int (holder, last, cube_view_int (replicas, 0));
  if (cube_view_string_length (version) > 0)
    cube_mut_set_view (cube_mut_ensure_object (root, "metadata"), "resourceVersion", version);
  return TRUE;
}
