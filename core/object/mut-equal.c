/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a mutable tree without packing it: the first difference ends it. Objects with duplicate keys equal only objects with as many members. */
#include "builder.h"
#include "members.h"

static gboolean
has_duplicates (CubeView object)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);
  CubeIter iter;
  const char *key;
  for (cube_iter_init (&iter, object); cube_iter_next (&iter, &key, NULL);)
    if (!g_hash_table_add (seen, (gpointer) key))
      return TRUE;
  return FALSE;
}

static gboolean
equal_objects (const CubeMut *node, CubeView view)
{
  CubeIter iter;
  const char *key;
  guint32 length, place = 0;
  CubeView value;
  CubeMembers *members = node->object;
  gboolean in_order = TRUE;
  if (cube_mut_length (node) != cube_view_length (view))
    return FALSE;
  for (cube_iter_init (&iter, view); cube_iter_next_full (&iter, &key, &length, &value);)
    {
      while (place < members->n && members->members[place].key == NULL)
        place++;
      const CubeMember *member = &members->members[place++];
      if (member->length != length || memcmp (member->key, key, length) != 0)
        {
          in_order = FALSE;
          member = cube_members_find (node->builder, members, key, length);
        }
      if (member == NULL || !cube_mut_equal_view (member->child, value))
        return FALSE;
    }
  return in_order || !has_duplicates (view);
}

gboolean
cube_mut_equal_view (const CubeMut *node, CubeView view)
{
  CubeValueType type = cube_mut_type (node), other = cube_view_type (view);
  CubeIter iter;
  CubeView value;
  if (node == NULL)
    return !cube_view_exists (view);
  if (node->is_view)
    return cube_view_equal (node->view, view);
  gboolean is_number = type == CUBE_VALUE_INT || type == CUBE_VALUE_DOUBLE;
  if (is_number && (other == CUBE_VALUE_INT || other == CUBE_VALUE_DOUBLE))
    {
      g_autoptr (CubeValue) number = cube_mut_to_value (node);
      return cube_view_equal (cube_value_root (number), view);
    }
  if (type != other)
    return FALSE;
  switch (type)
    {
    case CUBE_VALUE_BOOL: return (node->integer != 0) == cube_view_bool (view, FALSE);
    case CUBE_VALUE_STRING:
      return node->string.length == cube_view_string_length (view)
             && memcmp (node->string.text, cube_view_string (view), node->string.length) == 0;
    case CUBE_VALUE_ARRAY:
      if (node->array.n != cube_view_length (view))
        return FALSE;
      for (cube_iter_init (&iter, view); cube_iter_next (&iter, NULL, &value);)
        if (!cube_mut_equal_view (node->array.items[iter.index - 1], value))
          return FALSE;
      return TRUE;
    case CUBE_VALUE_OBJECT: return equal_objects (node, view);
    default: return TRUE;
    }
}

gboolean
cube_mut_equal (const CubeMut *a, const CubeMut *b)
{
  if (a == NULL || b == NULL)
    return a == b;
  if (b->is_view)
    return cube_mut_equal_view (a, b->view);
  g_autoptr (CubeValue) value = cube_mut_to_value (b);
  return value != NULL && cube_mut_equal_view (a, cube_value_root (value));
}
