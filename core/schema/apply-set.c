/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of fields, as a tree of path elements. */
#include "apply.h"

#define INDEX_FROM 12u

CubeFieldSet *
cube_field_set_new (const char *name)
{
  CubeFieldSet *set = g_new0 (CubeFieldSet, 1);
  set->name = g_strdup (name);
  return set;
}

void
cube_field_set_free (CubeFieldSet *set)
{
  if (set == NULL)
    return;
  g_clear_pointer (&set->index, g_hash_table_unref);
  g_clear_pointer (&set->children, g_ptr_array_unref);
  g_free (set->name);
  g_free (set);
}

static guint
count (const CubeFieldSet *set)
{
  return set->children == NULL ? 0 : set->children->len;
}

static CubeFieldSet *
at (const CubeFieldSet *set, guint index)
{
  return g_ptr_array_index (set->children, index);
}

CubeFieldSet *
cube_field_set_child (const CubeFieldSet *set, const char *name)
{
  if (set == NULL)
    return NULL;
  if (set->index != NULL)
    return g_hash_table_lookup (set->index, name);
  for (guint i = 0; i < count (set); i++)
    if (strcmp (at (set, i)->name, name) == 0)
      return at (set, i);
  return NULL;
}

CubeFieldSet *
cube_field_set_ensure (CubeFieldSet *set, const char *name)
{
  CubeFieldSet *child = cube_field_set_child (set, name);
  if (child != NULL)
    return child;
  child = cube_field_set_new (name);
  if (set->children == NULL)
    set->children = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_field_set_free);
  g_ptr_array_add (set->children, child);
  if (set->index != NULL)
    {
      g_hash_table_insert (set->index, child->name, child);
    }
  else if (set->children->len > INDEX_FROM)
    {
      set->index = g_hash_table_new (g_str_hash, g_str_equal);
      for (guint i = 0; i < set->children->len; i++)
        g_hash_table_insert (set->index, at (set, i)->name, at (set, i));
    }
  return child;
}

static void
drop_at (CubeFieldSet *set, guint index)
{
  if (set->index != NULL)
    g_hash_table_remove (set->index, at (set, index)->name);
  g_ptr_array_remove_index_fast (set->children, index);
}

void
cube_field_set_drop (CubeFieldSet *set, const char *name)
{
  for (guint i = 0; i < count (set); i++)
    if (strcmp (at (set, i)->name, name) == 0)
      {
        drop_at (set, i);
        return;
      }
}

/* ---- to and from fieldsV1 ---- */

static void
read_into (CubeFieldSet *set, CubeView fields, guint depth)
{
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, fields); cube_iter_next (&it, &key, &v);)
    {
      if (key != NULL && strcmp (key, ".") == 0)
        {
          set->is_member = TRUE;
        }
      else if (key != NULL && depth < CUBE_APPLY_MAX_DEPTH)
        {
          CubeFieldSet *child = cube_field_set_ensure (set, key);
          if (cube_view_length (v) == 0)
            child->is_member = TRUE;
          else
            read_into (child, v, depth + 1);
        }
    }
}

CubeFieldSet *
cube_field_set_from_view (CubeView fields)
{
  CubeFieldSet *set = cube_field_set_new (NULL);
  if (cube_view_type (fields) == CUBE_VALUE_OBJECT)
    read_into (set, fields, 0);
  return set;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  const CubeFieldSet *const *left = a, *const *right = b;
  return strcmp ((*left)->name, (*right)->name);
}

CubeMut *
cube_field_set_to_mut (const CubeFieldSet *set, CubeBuilder *builder)
{
  CubeMut *object = cube_mut_new_object (builder);
  gboolean is_first = TRUE;
  if (set->children == NULL)
    return object;
  g_autoptr (GPtrArray) sorted = g_ptr_array_copy (set->children, NULL, NULL);
  g_ptr_array_set_free_func (sorted, NULL);
  g_ptr_array_sort (sorted, compare_names);
  for (guint i = 0; i < sorted->len; i++)
    {
      const CubeFieldSet *child = g_ptr_array_index (sorted, i);
      if (cube_field_set_is_empty (child))
        continue;
      if (is_first && set->is_member)
        cube_mut_set_object (object, ".");
      is_first = FALSE;
      cube_mut_set (object, child->name, cube_field_set_to_mut (child, builder));
    }
  return object;
}

/* ---- algebra ---- */

gboolean
cube_field_set_is_empty (const CubeFieldSet *set)
{
  if (set == NULL)
    return TRUE;
  if (set->is_member)
    return FALSE;
  for (guint i = 0; i < count (set); i++)
    if (!cube_field_set_is_empty (at (set, i)))
      return FALSE;
  return TRUE;
}

static gboolean
is_within (const CubeFieldSet *a, const CubeFieldSet *b)
{
  if (a->is_member && (b == NULL || !b->is_member))
    return FALSE;
  for (guint i = 0; i < count (a); i++)
    if (!is_within (at (a, i), cube_field_set_child (b, at (a, i)->name)))
      return FALSE;
  return TRUE;
}

gboolean
cube_field_set_equal (const CubeFieldSet *a, const CubeFieldSet *b)
{
  return is_within (a, b) && is_within (b, a);
}

void
cube_field_set_add_all (CubeFieldSet *set, const CubeFieldSet *other)
{
  set->is_member |= other->is_member;
  for (guint i = 0; i < count (other); i++)
    cube_field_set_add_all (cube_field_set_ensure (set, at (other, i)->name), at (other, i));
}

gboolean
cube_field_set_subtract (CubeFieldSet *set, const CubeFieldSet *other, gboolean whole)
{
  gboolean is_changed = FALSE;
  if (other->is_member && set->is_member)
    {
      set->is_member = FALSE;
      is_changed = TRUE;
    }
  for (guint i = count (set); i-- > 0;)
    {
      CubeFieldSet *child = at (set, i);
      const CubeFieldSet *taken = cube_field_set_child (other, child->name);
      if (taken == NULL)
        continue;
      if (whole && taken->is_member)
        {
          is_changed |= !cube_field_set_is_empty (child);
          drop_at (set, i);
          continue;
        }
      is_changed |= cube_field_set_subtract (child, taken, whole);
      if (!child->is_member && count (child) == 0)
        drop_at (set, i);
    }
  return is_changed;
}

/* k:{"name":"x"} → [name="x"] */
static void
append_keys (GString *path, const char *json)
{
  g_autoptr (CubeValue) keys = cube_value_from_json (json, -1, NULL, NULL);
  CubeIter it;
  const char *key;
  CubeView v;
  gboolean is_first = TRUE;
  g_string_append_c (path, '[');
  if (keys != NULL)
    for (cube_iter_init (&it, cube_value_root (keys)); cube_iter_next (&it, &key, &v); is_first = FALSE)
      {
        g_string_append_printf (path, "%s%s=", is_first ? "" : ",", key == NULL ? "" : key);
        cube_view_append_json (v, path);
      }
  g_string_append_c (path, ']');
}

static void
append_element (GString *path, const char *name)
{
  if (g_str_has_prefix (name, "f:"))
    g_string_append_printf (path, ".%s", name + 2);
  else if (g_str_has_prefix (name, "k:"))
    append_keys (path, name + 2);
  else if (g_str_has_prefix (name, "v:"))
    g_string_append_printf (path, "[=%s]", name + 2);
  else
    g_string_append_printf (path, "[%s]", strlen (name) > 2 ? name + 2 : name);
}

static void
visit_common (const CubeFieldSet *set, const CubeFieldSet *other, GString *path, CubeFieldSetVisit visit, gpointer data)
{
  if (set->is_member && other->is_member)
    visit (path->str, data);
  for (guint i = 0; i < count (set); i++)
    {
      const CubeFieldSet *same = cube_field_set_child (other, at (set, i)->name);
      gsize length = path->len;
      if (same == NULL)
        continue;
      append_element (path, same->name);
      visit_common (at (set, i), same, path, visit, data);
      g_string_truncate (path, length);
    }
}

void
cube_field_set_visit_common (const CubeFieldSet *set, const CubeFieldSet *other, CubeFieldSetVisit visit, gpointer data)
{
  g_autoptr (GString) path = g_string_new (NULL);
  visit_common (set, other, path, visit, data);
}
