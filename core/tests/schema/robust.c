/* SPDX-License-Identifier: Apache-2.0 */
/* Random documents of every kind, made from the tables with wrong values strewn in, through every operation: nothing may crash,
 * and what decodes once decodes again to the same. */
#include "test-schema.h"

#define DEPTH 9u

static CubeMut *make_shape (CubeBuilder *builder, guint16 shape, guint depth);

static CubeMut *
make_wrong (CubeBuilder *builder)
{
  switch (g_test_rand_int_range (0, 7))
    {
    case 0: return cube_mut_new_null (builder);
    case 1: return cube_mut_new_int (builder, (gint64) g_test_rand_int () * (1 << 20));
    case 2: return cube_mut_new_bool (builder, TRUE);
    case 3: return cube_mut_new_double (builder, g_test_rand_double ());
    case 4: return cube_mut_new_array (builder);
    case 5: return cube_mut_new_object (builder);
    default: return cube_mut_new_string (builder, "\xc3\xa4 \"x\"/..", -1);
    }
}

static CubeMut *
make_text (CubeBuilder *builder, guint8 kind)
{
  static const char *const texts[] = { "a",      "",   "web-1", "25%", "10m", "1Gi", "2026-01-02T03:04:05Z", "YQ==", "RollingUpdate",
                                       "Always", "TCP" };
  if (kind == CUBE_SHAPE_QUANTITY)
    return cube_mut_new_string (builder, g_test_rand_bit () ? "100m" : "1Gi", -1);
  if (kind == CUBE_SHAPE_TIME || kind == CUBE_SHAPE_MICROTIME)
    return cube_mut_new_string (builder, "2026-01-02T03:04:05Z", -1);
  if (kind == CUBE_SHAPE_BYTES)
    return cube_mut_new_string (builder, "YWI=", -1);
  return cube_mut_new_string (builder, texts[g_test_rand_int_range (0, G_N_ELEMENTS (texts))], -1);
}

static CubeMut *
make_object (CubeBuilder *builder, guint16 type_index, guint depth)
{
  const CubeTypeTable *table = &cube_builtin_types;
  const CubeType *type = &table->types[type_index];
  CubeMut *object = cube_mut_new_object (builder);
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &table->fields[type->first_field + i];
      if (g_test_rand_int_range (0, 3) == 0)
        cube_mut_set (object, table->pool + field->name, make_shape (builder, field->shape, depth + 1));
    }
  if (g_test_rand_int_range (0, 30) == 0)
    cube_mut_set_int (object, "unknownField", 1);
  return object;
}

static CubeMut *
make_shape (CubeBuilder *builder, guint16 shape_index, guint depth)
{
  const CubeShape *shape = &cube_builtin_types.shapes[shape_index];
  CubeMut *node;
  if (depth > DEPTH || g_test_rand_int_range (0, 60) == 0)
    return depth > DEPTH ? cube_mut_new_null (builder) : make_wrong (builder);
  switch (shape->kind)
    {
    case CUBE_SHAPE_INT32:
    case CUBE_SHAPE_INT64: return cube_mut_new_int (builder, g_test_rand_int_range (-2, 5));
    case CUBE_SHAPE_BOOL: return cube_mut_new_bool (builder, g_test_rand_bit ());
    case CUBE_SHAPE_DOUBLE: return cube_mut_new_double (builder, 0.5);
    case CUBE_SHAPE_INT_OR_STRING: return g_test_rand_bit () ? cube_mut_new_int (builder, 3) : cube_mut_new_string (builder, "25%", -1);
    case CUBE_SHAPE_LIST:
      node = cube_mut_new_array (builder);
      for (int n = g_test_rand_int_range (0, 3); n > 0; n--)
        cube_mut_append (node, make_shape (builder, shape->ref, depth + 1));
      return node;
    case CUBE_SHAPE_MAP:
      node = cube_mut_new_object (builder);
      for (int n = g_test_rand_int_range (0, 3); n > 0; n--)
        cube_mut_set (node, n == 1 ? "cpu" : "memory", make_shape (builder, shape->ref, depth + 1));
      return node;
    case CUBE_SHAPE_REF: return make_object (builder, shape->ref, depth);
    case CUBE_SHAPE_OBJECT:
    case CUBE_SHAPE_ANY: return cube_mut_new_object (builder);
    case CUBE_SHAPE_SCHEMA_OR_BOOL: return cube_mut_new_bool (builder, TRUE);
    case CUBE_SHAPE_SCHEMA_OR_ARRAY:
    case CUBE_SHAPE_SCHEMA_OR_STRINGS: return cube_mut_new_array (builder);
    default: return make_text (builder, shape->kind);
    }
}

static CubeValue *
random_object (const CubeResource *kind)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = make_object (builder, cube_resource_type (kind)->type, 0);
  cube_builder_set_root (builder, root);
  cube_mut_set_string (root, "apiVersion", kind->api_version);
  cube_mut_set_string (root, "kind", kind->kind);
  if (cube_mut_type (cube_mut_member (root, "metadata")) != CUBE_VALUE_OBJECT)
    cube_mut_set_object (root, "metadata");
  cube_mut_set_string (cube_mut_member (root, "metadata"), "name", "a");
  cube_mut_remove (cube_mut_member (root, "metadata"), "namespace");
  return cube_builder_end (builder);
}

/* Decode, default, again: the second time nothing changes. NULL when it does not decode. */
static CubeValue *
settle (const CubeResource *kind, CubeView given)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (given);
  if (!cube_schema_decode (kind, "", cube_builder_root (builder), CUBE_STRICT_IGNORE, NULL, NULL, &error))
    {
      g_assert_nonnull (error);
      return NULL;
    }
  cube_schema_set_defaults (kind, cube_builder_root (builder));
  g_autoptr (CubeValue) once = cube_builder_end (builder);
  g_autoptr (CubeBuilder) again = cube_builder_new_from (cube_value_root (once));
  cube_schema_decode (kind, "", cube_builder_root (again), CUBE_STRICT_STRICT, NULL, NULL, &error);
  g_assert_no_error (error);
  cube_schema_set_defaults (kind, cube_builder_root (again));
  g_autoptr (CubeValue) twice = cube_builder_end (again);
  if (!cube_view_equal (cube_value_root (once), cube_value_root (twice)))
    {
      g_autofree char *a = cube_view_to_json (cube_value_root (once), NULL), *b = cube_view_to_json (cube_value_root (twice), NULL);
      g_error ("%s\nonce  %s\ntwice %s", kind->resource, a, b);
    }
  return g_steal_pointer (&once);
}

static void
run_all (const CubeResource *kind, CubeView object, CubeView old)
{
  g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
  g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (object);
  CubeMut *root = cube_builder_root (builder);
  cube_schema_prepare_create (kind, root);
  cube_schema_prepare_update (kind, "", root, old);
  for (const CubeSubresource *sub = kind->subresources; sub->name != NULL; sub++)
    cube_schema_prepare_update (kind, sub->name, root, old);
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  cube_schema_validate_create (kind, cube_value_root (value), errors);
  cube_schema_validate_update (kind, "", cube_value_root (value), old, errors);
  cube_schema_warnings (kind, cube_value_root (value), old, warnings);
  g_autoptr (GError) failure = cube_field_errors_to_error (errors, kind->group, kind->kind, "a");
  cube_schema_patch_strategic (kind, root, old, NULL);
  cube_schema_apply (kind, "", root, old, "me", TRUE, "2026-01-02T03:04:05Z", NULL);
  cube_schema_update_managed (kind, "", root, old, "me", "2026-01-02T03:04:05Z");
  g_autoptr (CubeObject) stored = cube_object_new (object, 3, NULL);
  if (stored == NULL)
    return;
  g_autoptr (GString) cells = g_string_new (NULL);
  cube_schema_append_cells (kind, stored, 0, cells);
  cube_value_unref (parse (cells->str));
  g_autoptr (CubeObject) converted = cube_schema_convert (kind->storage, stored, NULL);
}

static void
test_random (void)
{
  guint settled = 0;
  for (guint i = 0; cube_builtin_resources[i] != NULL; i++)
    for (guint round = 0; round < 25; round++)
      {
        const CubeResource *kind = cube_builtin_resources[i];
        g_autoptr (CubeValue) given = random_object (kind), other = random_object (kind);
        g_autoptr (CubeValue) object = settle (kind, cube_value_root (given));
        settled += object != NULL ? 1 : 0;
        run_all (kind, cube_value_root (object != NULL ? object : given), cube_value_root (other));
      }
  g_test_message ("%u documents decoded", settled);
  g_assert_cmpuint (settled, >, 100);
}

/* A document of one kind taken for another. */
static void
test_foreign (void)
{
  guint n = 0;
  while (cube_builtin_resources[n] != NULL)
    n++;
  for (guint round = 0; round < 500; round++)
    {
      const CubeResource *kind = cube_builtin_resources[g_test_rand_int_range (0, (gint) n)];
      g_autoptr (CubeValue) given = random_object (cube_builtin_resources[g_test_rand_int_range (0, (gint) n)]);
      g_autoptr (CubeValue) object = settle (kind, cube_value_root (given));
      run_all (kind, cube_value_root (given), cube_value_root (given));
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/robust/random", test_random);
  g_test_add_func ("/schema/robust/foreign", test_foreign);
  return g_test_run ();
}
