/* SPDX-License-Identifier: Apache-2.0 */
/* A structural schema becomes a table like the built-in one, so that decoding, defaults and apply are the same code. */
#include "crd-compile.h"

#define MAX_DEPTH 100u
#define MAX_FIELDS 60000u /* indices are 16 bits wide */

typedef struct {
  GArray *types, *fields, *shapes, *slots;
  GString *pool;
  GHashTable *strings; /* text → offset */
  gboolean overflow;
} Compiler;

static guint32
pool_add (Compiler *compiler, const char *text)
{
  gpointer at;
  if (text == NULL)
    return 0;
  if (g_hash_table_lookup_extended (compiler->strings, text, NULL, &at))
    return GPOINTER_TO_UINT (at);
  guint32 offset = (guint32) compiler->pool->len;
  g_string_append_len (compiler->pool, text, (gssize) strlen (text) + 1);
  g_hash_table_insert (compiler->strings, g_strdup (text), GUINT_TO_POINTER (offset));
  return offset;
}

static guint16
add_shape (Compiler *compiler, CubeShapeKind kind, guint16 ref, guint flags)
{
  CubeShape shape = { (guint8) kind, (guint8) flags, ref, 0 };
  if (compiler->shapes->len >= MAX_FIELDS)
    {
      compiler->overflow = TRUE;
      return 0;
    }
  g_array_append_val (compiler->shapes, shape);
  return (guint16) (compiler->shapes->len - 1);
}

static guint16 compile_value (Compiler *compiler, CubeView schema, guint depth);

static gboolean
holds_defaults (Compiler *compiler, const CubeField *field)
{
  const CubeShape *shape = &g_array_index (compiler->shapes, CubeShape, field->shape);
  while (shape->kind == CUBE_SHAPE_LIST || shape->kind == CUBE_SHAPE_MAP)
    shape = &g_array_index (compiler->shapes, CubeShape, shape->ref);
  return field->default_json != 0
         || (shape->kind == CUBE_SHAPE_REF && (g_array_index (compiler->types, CubeType, shape->ref).flags & CUBE_TYPE_HAS_DEFAULTS) != 0);
}

static guint16
list_flags (CubeView schema)
{
  const char *list = cube_view_get_string (schema, "x-kubernetes-list-type"), *map = cube_view_get_string (schema, "x-kubernetes-map-type");
  guint16 flags = CUBE_FIELD_POINTER;
  if (g_strcmp0 (list, "map") == 0)
    flags |= CUBE_FIELD_LIST_MAP;
  else if (g_strcmp0 (list, "set") == 0)
    flags |= CUBE_FIELD_LIST_SET;
  else if (g_strcmp0 (cube_view_get_string (schema, "type"), "array") == 0)
    flags |= CUBE_FIELD_LIST_ATOMIC;
  if (g_strcmp0 (map, "atomic") == 0)
    flags |= CUBE_FIELD_MAP_ATOMIC;
  return flags;
}

static CubeField
compile_field (Compiler *compiler, const char *name, CubeView schema, guint depth)
{
  CubeField field = { 0 };
  CubeView keys = cube_view_member (schema, "x-kubernetes-list-map-keys"), value = cube_view_member (schema, "default");
  g_autoptr (GString) joined = g_string_new (NULL);
  for (guint i = 0; i < cube_view_length (keys); i++)
    g_string_append_printf (joined, "%s%s", i > 0 ? "," : "", cube_view_string_or (cube_view_element (keys, i), ""));
  g_autofree char *json = cube_view_exists (value) ? cube_view_to_json (value, NULL) : NULL;
  field.name = pool_add (compiler, name);
  field.name_length = (guint8) strlen (name);
  field.default_json = pool_add (compiler, json);
  field.list_keys = joined->len > 0 ? pool_add (compiler, joined->str) : 0;
  field.flags = list_flags (schema);
  field.shape = compile_value (compiler, schema, depth + 1);
  return field;
}

static void
add_builtin_field (Compiler *compiler, GArray *fields, const char *name, const char *builtin_type)
{
  CubeField field = { 0 };
  field.name = pool_add (compiler, name);
  field.name_length = (guint8) strlen (name);
  field.flags = CUBE_FIELD_POINTER;
  field.shape = builtin_type == NULL ? add_shape (compiler, CUBE_SHAPE_STRING, 0, 0)
                                     : add_shape (compiler, CUBE_SHAPE_BUILTIN_REF, cube_builtin_type_index (builtin_type), 0);
  g_array_append_val (fields, field);
}

static void
fill_slots (Compiler *compiler, CubeType *type, const GArray *fields)
{
  guint size = 1;
  while (size < 2 * fields->len)
    size *= 2;
  type->slots = compiler->slots->len;
  type->slot_mask = (guint16) (size - 1);
  g_array_set_size (compiler->slots, compiler->slots->len + size);
  guint16 *slots = &g_array_index (compiler->slots, guint16, type->slots);
  for (guint i = 0; i < fields->len; i++)
    {
      const char *name = compiler->pool->str + g_array_index (fields, CubeField, i).name;
      guint at = cube_key_hash (name, strlen (name)) & type->slot_mask;
      while (slots[at] != 0)
        at = (at + 1) & type->slot_mask;
      slots[at] = (guint16) (i + 1);
    }
}

static guint16
compile_object (Compiler *compiler, CubeView schema, const char *name, gboolean has_meta, gboolean preserve, guint depth)
{
  g_autoptr (GArray) fields = g_array_new (FALSE, FALSE, sizeof (CubeField));
  CubeType type = { 0 };
  guint16 index = (guint16) compiler->types->len;
  g_array_append_val (compiler->types, type); /* its place; filled below */
  if (has_meta)
    {
      add_builtin_field (compiler, fields, "apiVersion", NULL);
      add_builtin_field (compiler, fields, "kind", NULL);
      add_builtin_field (compiler, fields, "metadata", "meta/v1.ObjectMeta");
    }
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (schema, "properties")); cube_iter_next (&it, &key, &v);)
    {
      if (has_meta && (strcmp (key, "apiVersion") == 0 || strcmp (key, "kind") == 0 || strcmp (key, "metadata") == 0))
        continue;
      if (strlen (key) > 255 || compiler->fields->len + fields->len >= MAX_FIELDS || compiler->types->len >= MAX_FIELDS)
        {
          compiler->overflow = TRUE;
          return index;
        }
      CubeField field = compile_field (compiler, key, v, depth);
      if (holds_defaults (compiler, &field))
        type.flags |= CUBE_TYPE_HAS_DEFAULTS;
      g_array_append_val (fields, field);
    }
  type.name = pool_add (compiler, name);
  type.first_field = (guint16) compiler->fields->len;
  type.n_fields = (guint16) fields->len;
  type.flags |= preserve ? CUBE_TYPE_PRESERVE : 0;
  fill_slots (compiler, &type, fields);
  if (fields->len > 0)
    g_array_append_vals (compiler->fields, fields->data, fields->len);
  g_array_index (compiler->types, CubeType, index) = type;
  return index;
}

static CubeShapeKind
scalar_kind (CubeView schema)
{
  const char *type = cube_view_string_or (cube_view_member (schema, "type"), ""), *format = cube_view_get_string (schema, "format");
  if (cube_view_get_bool (schema, FALSE, "x-kubernetes-int-or-string"))
    return CUBE_SHAPE_INT_OR_STRING;
  if (strcmp (type, "string") == 0)
    return CUBE_SHAPE_STRING;
  if (strcmp (type, "integer") == 0)
    return g_strcmp0 (format, "int32") == 0 ? CUBE_SHAPE_INT32 : CUBE_SHAPE_INT64;
  if (strcmp (type, "number") == 0)
    return CUBE_SHAPE_DOUBLE;
  if (strcmp (type, "boolean") == 0)
    return CUBE_SHAPE_BOOL;
  return CUBE_SHAPE_ANY;
}

static guint16
compile_value (Compiler *compiler, CubeView schema, guint depth)
{
  const char *type = cube_view_string_or (cube_view_member (schema, "type"), "");
  gboolean preserve = cube_view_get_bool (schema, FALSE, "x-kubernetes-preserve-unknown-fields");
  gboolean embedded = cube_view_get_bool (schema, FALSE, "x-kubernetes-embedded-resource");
  guint flags = (cube_view_get_bool (schema, FALSE, "nullable") ? CUBE_SHAPE_FLAG_NULLABLE : 0) | (preserve ? CUBE_SHAPE_FLAG_PRESERVE : 0)
                | (embedded ? CUBE_SHAPE_FLAG_EMBEDDED : 0);
  if (depth > MAX_DEPTH)
    {
      compiler->overflow = TRUE;
      return add_shape (compiler, CUBE_SHAPE_ANY, 0, flags);
    }
  if (strcmp (type, "array") == 0)
    {
      CubeView items = cube_view_member (schema, "items");
      guint16 element = cube_view_exists (items) ? compile_value (compiler, items, depth + 1) : add_shape (compiler, CUBE_SHAPE_ANY, 0, 0);
      return add_shape (compiler, CUBE_SHAPE_LIST, element, flags);
    }
  if (strcmp (type, "object") != 0)
    return add_shape (compiler, scalar_kind (schema), 0, flags);
  CubeView additional = cube_view_member (schema, "additionalProperties");
  if (cube_view_type (additional) == CUBE_VALUE_OBJECT)
    {
      guint16 element = compile_value (compiler, additional, depth + 1);
      return add_shape (compiler, CUBE_SHAPE_MAP, element, flags);
    }
  gboolean any =
      cube_view_bool (additional, FALSE) || (preserve && cube_view_length (cube_view_member (schema, "properties")) == 0 && !embedded);
  if (any)
    return add_shape (compiler, CUBE_SHAPE_OBJECT, 0, flags);
  return add_shape (compiler, CUBE_SHAPE_REF, compile_object (compiler, schema, "", embedded, preserve, depth), flags);
}

const CubeTypeTable *
cube_crd_compile (CubeView schema, const char *type_name, GError **error)
{
  Compiler compiler = {
    g_array_new (FALSE, TRUE, sizeof (CubeType)),
    g_array_new (FALSE, TRUE, sizeof (CubeField)),
    g_array_new (FALSE, TRUE, sizeof (CubeShape)),
    g_array_new (FALSE, TRUE, sizeof (guint16)),
    g_string_new_len ("", 1),
    g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL),
    FALSE,
  };
  g_array_set_size (compiler.types, 1);
  g_array_set_size (compiler.shapes, 1);
  g_array_set_size (compiler.slots, 1);
  gboolean preserve = !cube_view_exists (schema) || cube_view_get_bool (schema, FALSE, "x-kubernetes-preserve-unknown-fields");
  guint16 root = compile_object (&compiler, schema, type_name, TRUE, preserve, 0);
  add_shape (&compiler, CUBE_SHAPE_REF, root, 0);
  g_hash_table_unref (compiler.strings);

  CubeTypeTable *table = g_new0 (CubeTypeTable, 1);
  table->n_types = compiler.types->len;
  table->n_fields = compiler.fields->len;
  table->n_shapes = compiler.shapes->len;
  table->types = (CubeType *) (gpointer) g_array_free (compiler.types, FALSE);
  table->fields = (CubeField *) (gpointer) g_array_free (compiler.fields, FALSE);
  table->shapes = (CubeShape *) (gpointer) g_array_free (compiler.shapes, FALSE);
  table->slots = (guint16 *) (gpointer) g_array_free (compiler.slots, FALSE);
  table->pool = g_string_free (compiler.pool, FALSE);
  if (!compiler.overflow)
    return table;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "the schema of %s is too large: at most %u fields, %u levels, names of 255 bytes",
               type_name, MAX_FIELDS, MAX_DEPTH);
  g_free ((gpointer) table->types);
  g_free ((gpointer) table->fields);
  g_free ((gpointer) table->shapes);
  g_free ((gpointer) table->slots);
  g_free ((gpointer) table->pool);
  g_free (table);
  return NULL;
}
