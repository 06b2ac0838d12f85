/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults: what the schema files declare, then the type's hook, then what lies below; outer before inner, as Kubernetes does. */
#include "defaults.h"

void
cube_mut_default_string (CubeMut *object, const char *key, const char *text)
{
  const char *given = cube_mut_string (cube_mut_member (object, key));
  if (given == NULL || *given == '\0')
    cube_mut_set_string (object, key, text);
}

void
cube_mut_default_int (CubeMut *object, const char *key, gint64 number)
{
  if (cube_mut_member (object, key) == NULL)
    cube_mut_set_int (object, key, number);
}

void
cube_mut_default_bool (CubeMut *object, const char *key, gboolean truth)
{
  if (cube_mut_member (object, key) == NULL)
    cube_mut_set_bool (object, key, truth);
}

gboolean
cube_mut_string_is (CubeMut *object, const char *key, const char *text)
{
  return g_strcmp0 (cube_mut_string (cube_mut_member (object, key)), text) == 0;
}

CubeMut *
cube_mut_new_json (CubeBuilder *builder, const char *json)
{
  gsize length = strlen (json);
  if (json[0] == '"' && memchr (json, '\\', length) == NULL)
    return cube_mut_new_string (builder, json + 1, (gssize) length - 2);
  if (strcmp (json, "{}") == 0)
    return cube_mut_new_object (builder);
  if (strcmp (json, "true") == 0 || strcmp (json, "false") == 0)
    return cube_mut_new_bool (builder, json[0] == 't');
  if (strspn (json, "-0123456789") == length)
    return cube_mut_new_int (builder, g_ascii_strtoll (json, NULL, 10));
  g_autoptr (CubeValue) value = cube_value_from_json (json, (gssize) length, NULL, NULL);
  return value == NULL ? cube_mut_new_null (builder) : cube_mut_new_view (builder, cube_value_root (value));
}

/* Without a pointer in Go's struct the zero value is the unset one. */
static gboolean
is_unset (const CubeField *field, CubeMut *member)
{
  if (member == NULL)
    return TRUE;
  if ((field->flags & CUBE_FIELD_POINTER) != 0)
    return FALSE;
  switch (cube_mut_type (member))
    {
    case CUBE_VALUE_STRING: return *cube_mut_string (member) == '\0';
    case CUBE_VALUE_INT: return cube_mut_int (member, 1) == 0;
    case CUBE_VALUE_ARRAY: return cube_mut_length (member) == 0;
    default: return FALSE;
    }
}

static void
apply_declared (const CubeTypeTable *table, const CubeType *type, CubeMut *object)
{
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &table->fields[type->first_field + i];
      if (field->default_json == 0 && (field->flags & CUBE_FIELD_STRUCT) == 0)
        continue;
      const char *name = table->pool + field->name;
      if (!is_unset (field, cube_mut_member (object, name)))
        continue;
      CubeBuilder *builder = cube_mut_builder (object);
      cube_mut_set (object, name,
                    field->default_json != 0 ? cube_mut_new_json (builder, table->pool + field->default_json)
                                             : cube_mut_new_object (builder));
    }
}

static void
apply_shape (const CubeTypeTable *table, guint16 shape_index, CubeMut *node)
{
  const CubeShape *shape = &table->shapes[shape_index];
  switch (shape->kind)
    {
    case CUBE_SHAPE_REF:
      if (cube_mut_type (node) == CUBE_VALUE_OBJECT)
        cube_defaults_apply (table, &table->types[shape->ref], node);
      break;
    case CUBE_SHAPE_LIST:
      for (guint i = 0; cube_mut_type (node) == CUBE_VALUE_ARRAY && i < cube_mut_length (node); i++)
        apply_shape (table, shape->ref, cube_mut_element (node, i));
      break;
    case CUBE_SHAPE_MAP:
      for (guint i = 0; cube_mut_type (node) == CUBE_VALUE_OBJECT && i < cube_mut_length (node); i++)
        apply_shape (table, shape->ref, cube_mut_member_at (node, i, NULL));
      break;
    default: break;
    }
}

/* Whether a value of that shape can hold anything with a default. */
static gboolean
has_defaults (const CubeTypeTable *table, guint16 shape_index)
{
  const CubeShape *shape = &table->shapes[shape_index];
  while (shape->kind == CUBE_SHAPE_LIST || shape->kind == CUBE_SHAPE_MAP)
    shape = &table->shapes[shape->ref];
  return shape->kind == CUBE_SHAPE_REF && (table->types[shape->ref].flags & CUBE_TYPE_HAS_DEFAULTS) != 0;
}

void
cube_defaults_apply (const CubeTypeTable *table, const CubeType *type, CubeMut *object)
{
  if ((type->flags & CUBE_TYPE_HAS_DEFAULTS) == 0)
    return;
  apply_declared (table, type, object);
  if (type->default_hook != CUBE_DEFAULT_NONE)
    cube_default_hook (type->default_hook, object);
  for (guint i = 0; i < cube_mut_length (object); i++)
    {
      const char *key;
      CubeMut *child = cube_mut_member_at (object, i, &key);
      const CubeField *field = cube_type_find (table, type, key, strlen (key));
      if (field != NULL && has_defaults (table, field->shape))
        apply_shape (table, field->shape, child);
    }
}

void
cube_schema_set_defaults (const CubeResource *resource, CubeMut *root)
{
  const CubeResourceType *type = cube_resource_type (resource);
  if (cube_mut_type (root) == CUBE_VALUE_OBJECT)
    cube_defaults_apply (type->table, &type->table->types[type->type], root);
}
