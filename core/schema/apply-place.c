/* SPDX-License-Identifier: Apache-2.0 */
/* Places: which rules of ownership the types give to a value. */
#include "apply.h"
#include "object/tape.h"

static void
enter_shape (CubePlace *place, const CubeShape *shape)
{
  place->shape = shape;
  if (shape->kind == CUBE_SHAPE_REF)
    {
      place->type = &place->table->types[shape->ref];
    }
  else if (shape->kind == CUBE_SHAPE_BUILTIN_REF)
    {
      place->table = &cube_builtin_types;
      place->type = &cube_builtin_types.types[shape->ref];
    }
}

CubePlace
cube_place_root (const CubeResource *resource)
{
  const CubeResourceType *type = cube_resource_type (resource);
  CubePlace place = { type->table, &type->table->types[type->type], NULL, 0, NULL };
  return place;
}

CubePlace
cube_place_member (const CubePlace *place, const char *key, gsize length, gboolean *ret_is_declared)
{
  CubePlace member = { place->table, NULL, NULL, 0, NULL };
  const CubeField *field = place->type == NULL ? NULL : cube_type_find (place->table, place->type, key, length);
  if (field != NULL)
    {
      member.flags = field->flags;
      member.list_keys = cube_pool (place->table, field->list_keys);
      enter_shape (&member, &place->table->shapes[field->shape]);
    }
  else if (place->shape != NULL && place->shape->kind == CUBE_SHAPE_MAP)
    {
      enter_shape (&member, &place->table->shapes[place->shape->ref]);
    }
  if (ret_is_declared != NULL)
    *ret_is_declared = field != NULL;
  return member;
}

CubePlace
cube_place_element (const CubePlace *list)
{
  CubePlace element = { list->table, NULL, NULL, 0, NULL };
  if (list->shape != NULL && list->shape->kind == CUBE_SHAPE_LIST)
    enter_shape (&element, &list->table->shapes[list->shape->ref]);
  return element;
}

CubePlaceKind
cube_place_kind (const CubePlace *place, CubeView value)
{
  switch (cube_view_type (value))
    {
    case CUBE_VALUE_OBJECT:
      if ((place->flags & CUBE_FIELD_MAP_ATOMIC) != 0 || (place->type != NULL && (place->type->flags & CUBE_TYPE_MAP_ATOMIC) != 0))
        return CUBE_PLACE_LEAF;
      return CUBE_PLACE_MAP;
    case CUBE_VALUE_ARRAY:
      if ((place->flags & CUBE_FIELD_LIST_MAP) != 0 && place->list_keys != NULL)
        return CUBE_PLACE_LIST_MAP;
      return (place->flags & CUBE_FIELD_LIST_SET) != 0 ? CUBE_PLACE_LIST_SET : CUBE_PLACE_LEAF;
    default: return CUBE_PLACE_LEAF;
    }
}

gboolean
cube_place_is_always (const CubePlace *place)
{
  if (place->shape == NULL)
    return FALSE;
  return (place->flags & CUBE_FIELD_STRUCT) != 0 || ((place->flags & CUBE_FIELD_ALWAYS) != 0 && place->shape->kind == CUBE_SHAPE_LIST);
}

static void
append_key_value (const CubePlace *element, CubeView value, const char *key, gsize length, GString *out)
{
  if (cube_view_exists (value))
    {
      cube_view_append_json (value, out);
      return;
    }
  const CubeField *field = element->type == NULL ? NULL : cube_type_find (element->table, element->type, key, length);
  const char *text = field == NULL ? NULL : cube_pool (element->table, field->default_json);
  g_string_append (out, text != NULL ? text : "null");
}

void
cube_place_append_key (const CubePlace *list, CubePlaceKind kind, CubeView element, GString *out)
{
  if (kind == CUBE_PLACE_LIST_SET)
    {
      g_string_append (out, "v:");
      cube_view_append_json (element, out);
      return;
    }
  CubePlace place = cube_place_element (list);
  g_string_append (out, "k:{");
  for (const char *at = list->list_keys; *at != '\0';)
    {
      gsize length = strcspn (at, ",");
      char key[128];
      gsize kept = MIN (length, sizeof key - 1);
      memcpy (key, at, kept);
      key[kept] = '\0';
      g_string_append (out, at == list->list_keys ? "\"" : ",\"");
      g_string_append_len (out, key, (gssize) kept);
      g_string_append (out, "\":");
      append_key_value (&place, cube_view_member (element, key), key, kept, out);
      at += length + (at[length] == ',' ? 1 : 0);
    }
  g_string_append_c (out, '}');
}

GHashTable *
cube_place_index (const CubePlace *list, CubePlaceKind kind, CubeView array)
{
  GHashTable *index = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GString) key = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &v); i++)
    {
      g_string_truncate (key, 0);
      cube_place_append_key (list, kind, v, key);
      if (!g_hash_table_contains (index, key->str))
        g_hash_table_insert (index, g_strdup (key->str), GUINT_TO_POINTER (i + 1));
    }
  return index;
}
