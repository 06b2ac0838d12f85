/* SPDX-License-Identifier: Apache-2.0 */
/* Structural validation of built-in kinds, from the tables alone. `status` is written by components and is not judged here. */
#include "structure.h"
#include "object/tape.h"

static void
add (CubeFieldErrors *errors, const char *type, const CubePath *path, CubeView value, const char *detail)
{
  g_autofree char *text = cube_path_to_string (path);
  cube_field_errors_add (errors, type, text, value, "%s", detail);
}

static gboolean
enum_has (const char *enums, const char *text)
{
  for (; *enums != '\001'; enums += strlen (enums) + 1)
    if (strcmp (enums, text) == 0)
      return TRUE;
  return FALSE;
}

static void
check_enum (const char *enums, CubeView value, const CubePath *path, CubeFieldErrors *errors)
{
  const char *text = cube_view_string (value);
  if (text == NULL || enum_has (enums, text))
    return;
  g_autoptr (GString) detail = g_string_new ("supported values: ");
  for (const char *at = enums; *at != '\001'; at += strlen (at) + 1)
    g_string_append_printf (detail, "%s\"%s\"", at == enums ? "" : ", ", at);
  add (errors, "NotSupported", path, value, detail->str);
}

static void
validate_shape (const CubeTypeTable *table, const CubeField *field, guint16 shape_index, CubeView value, const CubePath *path,
                CubeFieldErrors *errors)
{
  const CubeShape *shape = &table->shapes[shape_index];
  CubePath child = { path, NULL, 0, FALSE };
  CubeIter it;
  CubeView v;
  switch (shape->kind)
    {
    case CUBE_SHAPE_REF: cube_structure_validate (table, &table->types[shape->ref], value, path, errors); break;
    case CUBE_SHAPE_LIST:
      if (table->shapes[shape->ref].kind != CUBE_SHAPE_REF && field->enums == 0)
        break;
      for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v); child.index++)
        validate_shape (table, field, shape->ref, v, &child, errors);
      break;
    case CUBE_SHAPE_MAP:
      child.is_key = TRUE;
      if (table->shapes[shape->ref].kind == CUBE_SHAPE_REF)
        for (cube_iter_init (&it, value); cube_iter_next (&it, &child.name, &v);)
          validate_shape (table, field, shape->ref, v, &child, errors);
      break;
    case CUBE_SHAPE_STRING:
      if (field->enums != 0 && (field->flags & CUBE_FIELD_OPEN_ENUM) == 0)
        check_enum (table->pool + field->enums, value, path, errors);
      break;
    case CUBE_SHAPE_INT32:
    case CUBE_SHAPE_INT64:
      if ((field->flags & CUBE_FIELD_MINIMUM) != 0 && cube_view_int (value, field->minimum) < field->minimum)
        {
          g_autofree char *detail = g_strdup_printf ("must be greater than or equal to %d", field->minimum);
          add (errors, "Invalid", path, value, detail);
        }
      break;
    default: break;
    }
}

static gboolean
is_missing (const CubeTypeTable *table, const CubeField *field, CubeView value)
{
  switch (table->shapes[field->shape].kind)
    {
    case CUBE_SHAPE_STRING: return cube_view_string_length (value) == 0;
    case CUBE_SHAPE_LIST:
    case CUBE_SHAPE_MAP: return cube_view_length (value) == 0;
    case CUBE_SHAPE_REF: return !cube_view_exists (value);
    default: return FALSE; /* numbers: zero is for the range checks */
    }
}

static void
check_required (const CubeTypeTable *table, const CubeType *type, CubeView object, const CubePath *path, CubeFieldErrors *errors)
{
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &table->fields[type->first_field + i];
      if ((field->flags & CUBE_FIELD_REQUIRED) == 0)
        continue;
      CubePath child = { path, table->pool + field->name, 0, FALSE };
      if (is_missing (table, field, cube_view_member (object, child.name)))
        add (errors, "Required", &child, cube_view_none (), "");
    }
}

void
cube_structure_validate (const CubeTypeTable *table, const CubeType *type, CubeView object, const CubePath *path, CubeFieldErrors *errors)
{
  CubeIter it;
  CubeView v;
  guint32 length;
  CubePath child = { path, NULL, 0, FALSE };
  if ((type->flags & CUBE_TYPE_HAS_RULES) == 0)
    return;
  check_required (table, type, object, path, errors);
  for (cube_iter_init (&it, object); cube_iter_next_full (&it, &child.name, &length, &v);)
    {
      if (path == NULL && (strcmp (child.name, "metadata") == 0 || strcmp (child.name, "status") == 0))
        continue;
      const CubeField *field = cube_type_find (table, type, child.name, length);
      if (field != NULL)
        validate_shape (table, field, field->shape, v, &child, errors);
    }
}

void
cube_structure_validate_update (const CubeTypeTable *table, const CubeType *type, CubeView object, CubeView old, const CubePath *path,
                                CubeFieldErrors *errors)
{
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &table->fields[type->first_field + i];
      const CubeShape *shape = &table->shapes[field->shape];
      CubePath child = { path, table->pool + field->name, 0, FALSE };
      if (shape->kind != CUBE_SHAPE_REF && (field->flags & CUBE_FIELD_IMMUTABLE) == 0)
        continue;
      if (path == NULL && (strcmp (child.name, "metadata") == 0 || strcmp (child.name, "status") == 0))
        continue;
      CubeView now = cube_view_member (object, child.name), before = cube_view_member (old, child.name);
      if ((field->flags & CUBE_FIELD_IMMUTABLE) != 0)
        {
          if (!cube_view_equal (now, before) && (cube_view_exists (now) || cube_view_exists (before)))
            add (errors, "Invalid", &child, now, "field is immutable");
        }
      else if (cube_view_exists (now) && cube_view_exists (before))
        {
          cube_structure_validate_update (table, &table->types[shape->ref], now, before, &child, errors);
        }
    }
}
