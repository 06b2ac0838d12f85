/* SPDX-License-Identifier: Apache-2.0 */
/* Strategies: what a create or an update through each door may and may not set; data of the schema files, exceptions as hooks. */
#include "strategy.h"
#include "defaults.h"

/* ---- generation ---- */

static gboolean
differs_outside_metadata (CubeMut *root, CubeView old, gboolean ignore_status)
{
  for (guint i = 0; i < cube_mut_length (root); i++)
    {
      const char *key;
      CubeMut *member = cube_mut_member_at (root, i, &key);
      if (strcmp (key, "metadata") != 0 && !(ignore_status && strcmp (key, "status") == 0)
          && !cube_mut_equal_view (member, cube_view_member (old, key)))
        return TRUE;
    }
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, old); cube_iter_next (&it, &key, &v);)
    if (strcmp (key, "metadata") != 0 && !(ignore_status && strcmp (key, "status") == 0) && cube_mut_member (root, key) == NULL)
      return TRUE;
  return FALSE;
}

static gboolean
part_differs (CubeMut *root, CubeView old, const char *part)
{
  if (strcmp (part, "*") == 0)
    return differs_outside_metadata (root, old, FALSE)
           || !cube_mut_equal_view (cube_mut_get (root, "metadata", "labels"), cube_view_get (old, "metadata", "labels"));
  if (strcmp (part, "*-status") == 0)
    return differs_outside_metadata (root, old, TRUE);
  const char *dot = strchr (part, '.');
  if (dot == NULL)
    return !cube_mut_equal_view (cube_mut_member (root, part), cube_view_member (old, part));
  g_autofree char *head = g_strndup (part, (gsize) (dot - part));
  return !cube_mut_equal_view (cube_mut_get (root, head, dot + 1), cube_view_get (old, head, dot + 1));
}

static void
raise_generation (const CubeResourceType *type, CubeMut *root, CubeView old)
{
  gint64 generation = cube_view_get_int (old, 0, "metadata", "generation");
  const char *parts = type->generation;
  if (parts != NULL && *parts != '\0')
    {
      g_auto (GStrv) list = g_strsplit (parts, ",", -1);
      gboolean changed = FALSE;
      for (guint i = 0; list[i] != NULL && !changed; i++)
        changed = part_differs (root, old, list[i]);
      generation += changed ? 1 : 0;
    }
  CubeMut *metadata = cube_mut_ensure_object (root, "metadata");
  if (generation > 0)
    cube_mut_set_int (metadata, "generation", generation);
  else
    cube_mut_remove (metadata, "generation");
}

/* ---- create ---- */

static void
reset_status (const CubeResource *resource, CubeMut *root)
{
  const CubeResourceType *type = cube_resource_type (resource);
  const CubeField *field = cube_type_find (type->table, &type->table->types[type->type], "status", 6);
  cube_mut_remove (root, "status");
  if (field == NULL || (field->flags & CUBE_FIELD_STRUCT) == 0)
    return;
  CubeMut *status = cube_mut_set_object (root, "status");
  cube_defaults_apply (type->table, &type->table->types[type->table->shapes[field->shape].ref], status);
}

void
cube_schema_prepare_create (const CubeResource *resource, CubeMut *root)
{
  const CubeResourceType *type = cube_resource_type (resource);
  if (cube_mut_type (root) != CUBE_VALUE_OBJECT)
    return;
  if ((type->strategy & CUBE_STRATEGY_STATUS) != 0 && (type->strategy & CUBE_STRATEGY_STATUS_ON_CREATE) == 0)
    reset_status (resource, root);
  if (type->generation != NULL)
    cube_mut_set_int (cube_mut_ensure_object (root, "metadata"), "generation", 1);
  cube_strategy_create_hook (type->create_hook, root);
}

/* ---- update ---- */

static void
restore (CubeMut *root, CubeView old, const char *key)
{
  cube_mut_set_view (root, key, cube_view_member (old, key));
}

/* Everything of @old except what @keep names. */
static void
restore_others (CubeMut *root, CubeView old, const char *const *keep)
{
  for (guint i = 0; i < cube_mut_length (root);)
    {
      const char *key;
      cube_mut_member_at (root, i, &key);
      if (!g_strv_contains (keep, key) && !cube_view_exists (cube_view_member (old, key)))
        {
          g_autofree char *name = g_strdup (key);
          cube_mut_remove (root, name);
        }
      else
        {
          i++;
        }
    }
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, old); cube_iter_next (&it, &key, &v);)
    if (!g_strv_contains (keep, key))
      cube_mut_set_view (root, key, v);
}

static void
restore_metadata (CubeMut *root, CubeView old)
{
  static const char *const kept[] = { "labels",          "annotations",       "finalizers",
                                      "ownerReferences", "deletionTimestamp", "deletionGracePeriodSeconds",
                                      "generation",      "selfLink",          NULL };
  CubeMut *metadata = cube_mut_ensure_object (root, "metadata");
  CubeView old_metadata = cube_view_member (old, "metadata");
  for (guint i = 0; kept[i] != NULL; i++)
    restore (metadata, old_metadata, kept[i]);
}

static void
update_status (const CubeResource *resource, CubeMut *root, CubeView old)
{
  static const char *const keep[] = { "apiVersion", "kind", "metadata", "status", NULL };
  const CubeResourceType *type = cube_resource_type (resource);
  restore_others (root, old, keep);
  if ((type->strategy & CUBE_STRATEGY_STATUS_KEEPS_METADATA) != 0 || resource->is_custom)
    restore_metadata (root, old);
  else if ((type->strategy & CUBE_STRATEGY_STATUS_KEEPS_LABELS) != 0)
    restore (cube_mut_ensure_object (root, "metadata"), cube_view_member (old, "metadata"), "labels");
  cube_strategy_status_hook (type->update_hook, root, old);
}

void
cube_schema_prepare_update (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView old)
{
  const CubeResourceType *type = cube_resource_type (resource);
  if (cube_mut_type (root) != CUBE_VALUE_OBJECT)
    return;
  if (subresource == NULL || *subresource == '\0')
    {
      if ((type->strategy & CUBE_STRATEGY_STATUS) != 0)
        restore (root, old, "status");
      if ((type->strategy & CUBE_STRATEGY_UPDATE_KEEPS_SPEC) != 0)
        restore (root, old, "spec");
      cube_strategy_update_hook (type->update_hook, root, old);
    }
  else if (strcmp (subresource, "status") == 0)
    {
      update_status (resource, root, old);
      gint64 generation = cube_view_get_int (old, 0, "metadata", "generation");
      if (generation > 0)
        cube_mut_set_int (cube_mut_ensure_object (root, "metadata"), "generation", generation);
      return;
    }
  else
    {
      cube_strategy_subresource (subresource, root, old);
    }
  raise_generation (type, root, old);
}
