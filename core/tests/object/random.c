/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded random documents: text and back, YAML and back, the two parsers against each other, the builder against a naive model (json-glib). */
#include "core/object/json-scan.h"
#include <cube/error.h>

static CubeMut *
random_string (CubeBuilder *builder)
{
  static const char *const pieces[] = { "a",    "B", " ",          "\n", "\"",   "\\", "é", "😀", ": ",   " #",       "-",
                                        "true", "0", "1e3",        "\t", "~",    "'",  "%", "|", "\x7f", "\xc2\x85", "\xe2\x80\xa8",
                                        "null", "x", "2024-01-01", "\r", "\x01", ">",  "&", "*", "<<",   "?" };
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint n = (guint) g_test_rand_int_range (0, 6); n > 0; n--)
    g_string_append (text, pieces[g_test_rand_int_range (0, G_N_ELEMENTS (pieces))]);
  return cube_mut_new_string (builder, text->str, (gssize) text->len);
}

static CubeMut *
random_number (CubeBuilder *builder)
{
  static const double exponents[] = { 1, 1e-7, 1e5, 1e21, 1e-300, 1e300, 0.1 };
  switch (g_test_rand_int_range (0, 4))
    {
    case 0: return cube_mut_new_int (builder, g_test_rand_int_range (-100, 100));
    case 1: return cube_mut_new_int (builder, (gint64) (((guint64) g_test_rand_int () << 32) | (guint32) g_test_rand_int ()));
    case 2: return cube_mut_new_int (builder, g_test_rand_bit () ? G_MININT64 : G_MAXINT64);
    default:
      return cube_mut_new_double (builder,
                                  g_test_rand_double_range (-1, 1) * exponents[g_test_rand_int_range (0, G_N_ELEMENTS (exponents))]);
    }
}

static CubeMut *
random_node (CubeBuilder *builder, guint depth)
{
  int kind = g_test_rand_int_range (0, depth == 0 ? 4 : 7);
  if (kind == 0)
    return random_string (builder);
  if (kind == 1)
    return random_number (builder);
  if (kind == 2)
    return cube_mut_new_bool (builder, g_test_rand_bit ());
  if (kind == 3)
    return cube_mut_new_null (builder);
  guint n = (guint) g_test_rand_int_range (0, 6);
  if (kind == 4)
    {
      CubeMut *array = cube_mut_new_array (builder);
      for (guint i = 0; i < n; i++)
        cube_mut_append (array, random_node (builder, depth - 1));
      return array;
    }
  CubeMut *object = cube_mut_new_object (builder);
  for (guint i = 0; i < n; i++)
    cube_mut_set (object, cube_mut_string (random_string (builder)), random_node (builder, depth - 1));
  return object;
}

static CubeValue *
random_value (void)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  cube_builder_set_root (builder, random_node (builder, 5));
  return cube_builder_end (builder);
}

static void
test_text (void)
{
  for (guint round = 0; round < 2000; round++)
    {
      g_autoptr (CubeValue) value = random_value ();
      g_autoptr (GError) error = NULL;
      CubeView root = cube_value_root (value);
      g_autoptr (GString) pretty = g_string_new (NULL);
      g_autofree char *json = cube_view_to_json (root, NULL);
      cube_view_append_json_pretty (root, pretty, 2);
      g_autoptr (CubeValue) again = cube_value_from_json (json, -1, NULL, &error);
      g_assert_no_error (error);
      g_autoptr (CubeValue) from_pretty = cube_value_from_json (pretty->str, (gssize) pretty->len, NULL, &error);
      g_assert_no_error (error);
      if (!cube_view_equal (root, cube_value_root (again)))
        g_error ("differs: %s", json);
      g_assert_true (cube_view_equal (root, cube_value_root (from_pretty)));
      g_assert_cmpuint (cube_view_hash (root, 1), ==, cube_view_hash (cube_value_root (again), 1));
      g_autofree char *json_again = cube_view_to_json (cube_value_root (from_pretty), NULL);
      g_assert_cmpstr (json, ==, json_again);
      /* The scanner reads the same. */
      CubeTapeWriter writer;
      CubeJsonError problem;
      cube_tape_writer_init (&writer);
      g_assert_true (cube_json_scan (json, strlen (json), 128, 1000000, &writer, &problem));
      g_autoptr (CubeValue) scanned = cube_tape_writer_end (&writer);
      g_assert_true (cube_view_equal (root, cube_value_root (scanned)));
      g_assert_cmpuint (cube_value_memory (scanned), ==, cube_value_memory (again));
    }
}

static void
test_yaml (void)
{
  for (guint round = 0; round < 2000; round++)
    {
      g_autoptr (CubeValue) value = random_value ();
      g_autoptr (GError) error = NULL;
      g_autofree char *yaml = cube_view_to_yaml (cube_value_root (value), NULL);
      g_autoptr (GPtrArray) documents = cube_values_from_yaml (yaml, -1, NULL, &error);
      if (documents == NULL || documents->len != 1 || !cube_view_equal (cube_value_root (value), cube_value_root (documents->pdata[0])))
        {
          g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
          g_error ("%s\n%s\n%s", error != NULL ? error->message : "differs", json, yaml);
        }
    }
}

/* Damaged text: both parsers agree on what is valid, and nothing crashes. */
static void
test_damaged (void)
{
  static const char bytes[] = "{}[],:\"\\0123e.-tfn \x01\xff\xc3";
  for (guint round = 0; round < 20000; round++)
    {
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      g_autoptr (GString) json = g_string_new (NULL);
      cube_mut_append_json (random_node (builder, 3), json);
      for (guint n = (guint) g_test_rand_int_range (1, 4); n > 0 && json->len > 0; n--)
        json->str[g_test_rand_int_range (0, (gint32) json->len)] = bytes[g_test_rand_int_range (0, sizeof bytes - 1)];
      CubeTapeWriter writer;
      CubeJsonError problem;
      g_autoptr (GError) error = NULL;
      cube_tape_writer_init (&writer);
      gboolean scans = cube_json_scan (json->str, json->len, 128, 1000000, &writer, &problem);
      g_autoptr (CubeValue) value = cube_value_from_json (json->str, (gssize) json->len, NULL, &error);
      if (scans != (value != NULL))
        g_error ("parsers disagree: %s", json->str);
      if (scans)
        {
          g_autoptr (CubeValue) scanned = cube_tape_writer_end (&writer);
          g_assert_true (cube_view_equal (cube_value_root (value), cube_value_root (scanned)));
        }
      cube_tape_writer_clear (&writer);
    }
}

/* ---- the builder against json-glib's tree ---- */

static const char *
random_key (char text[16], guint n_keys)
{
  g_snprintf (text, 16, "k%d", g_test_rand_int_range (0, (gint32) n_keys));
  return text;
}

static void
edit_object (CubeMut *object, JsonObject *model, guint n_keys)
{
  char key[16];
  random_key (key, n_keys);
  int kind = g_test_rand_int_range (0, 3);
  if (kind == 0)
    {
      g_assert_true (cube_mut_remove (object, key) == json_object_has_member (model, key));
      json_object_remove_member (model, key);
    }
  else
    {
      int number = g_test_rand_int_range (0, 1000);
      cube_mut_set_int (object, key, number);
      json_object_set_int_member (model, key, number);
    }
  g_assert_cmpuint (cube_mut_length (object), ==, json_object_get_size (model));
  random_key (key, n_keys);
  g_assert_cmpint (cube_mut_int (cube_mut_member (object, key), -1), ==, json_object_get_int_member_with_default (model, key, -1));
}

static void
edit_array (CubeMut *array, GArray *model)
{
  gint64 number = g_test_rand_int_range (0, 1000);
  guint place = (guint) g_test_rand_int_range (0, (gint32) model->len + 1);
  if (g_test_rand_bit () || place == model->len)
    {
      cube_mut_insert (array, place, cube_mut_new_int (cube_mut_builder (array), number));
      g_array_insert_val (model, place, number);
    }
  else if (g_test_rand_bit ())
    {
      g_assert_true (cube_mut_remove_element (array, place));
      g_array_remove_index (model, place);
    }
  else
    {
      cube_mut_replace_element (array, place, cube_mut_new_int (cube_mut_builder (array), number));
      g_array_index (model, gint64, place) = number;
    }
  g_assert_cmpuint (cube_mut_length (array), ==, model->len);
}

static void
check_model (CubeBuilder *builder, JsonObject *object, GArray *array)
{
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  CubeView in_object = cube_value_get (value, "o"), in_array = cube_value_get (value, "a"), v;
  CubeIter iter;
  const char *key;
  JsonObjectIter in_model;
  const char *model_key;
  JsonNode *model_node;
  g_assert_cmpuint (cube_view_length (in_object), ==, json_object_get_size (object));
  cube_iter_init (&iter, in_object);
  json_object_iter_init_ordered (&in_model, object);
  while (json_object_iter_next_ordered (&in_model, &model_key, &model_node))
    {
      g_assert_true (cube_iter_next (&iter, &key, &v));
      g_assert_cmpstr (key, ==, model_key);
      g_assert_cmpint (cube_view_int (v, -1), ==, json_node_get_int (model_node));
    }
  for (cube_iter_init (&iter, in_array); cube_iter_next (&iter, NULL, &v);)
    g_assert_cmpint (cube_view_int (v, -1), ==, g_array_index (array, gint64, iter.index - 1));
}

static void
test_builder (void)
{
  for (guint round = 0; round < 60; round++)
    {
      guint n_keys = round % 2 == 0 ? 8 : 100;
      g_autoptr (JsonObject) object = json_object_new ();
      g_autoptr (GArray) array = g_array_new (FALSE, FALSE, sizeof (gint64));
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      cube_mut_set_object (cube_builder_root (builder), "o");
      cube_mut_set_array (cube_builder_root (builder), "a");
      for (guint step = 0; step < 500; step++)
        {
          edit_object (cube_mut_get (cube_builder_root (builder), "o"), object, n_keys);
          edit_array (cube_mut_get (cube_builder_root (builder), "a"), array);
          if (step % 50 != 49)
            continue;
          check_model (builder, object, array);
          /* Go on with a packed and lazily expanded copy. */
          g_autoptr (CubeValue) packed = cube_builder_end (builder);
          cube_builder_free (builder);
          builder = cube_builder_new_from (cube_value_root (packed));
        }
    }
}

/* A hundred thousand keys, each set, found, removed: not quadratic. */
static void
test_large_maps (void)
{
  const guint n = 100000;
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  char key[16];
  g_test_timer_start ();
  for (guint i = 0; i < n; i++)
    {
      g_snprintf (key, sizeof key, "k%u", i);
      cube_mut_set_int (root, key, i);
    }
  for (guint i = 0; i < n; i++)
    {
      g_snprintf (key, sizeof key, "k%u", i);
      g_assert_cmpint (cube_mut_int (cube_mut_member (root, key), -1), ==, i);
    }
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  g_assert_cmpuint (cube_view_length (cube_value_root (value)), ==, n);
  for (guint i = 0; i < n; i++)
    {
      g_snprintf (key, sizeof key, "k%u", i);
      g_assert_true (cube_mut_remove (root, key));
    }
  g_assert_cmpuint (cube_mut_length (root), ==, 0);
  g_assert_cmpfloat (g_test_timer_elapsed (), <, 5);
}

/* Patches that would grow without bound are stopped by size, depth or work. */
static void
test_patch_bounds (void)
{
  static const char *const operations[] = {
    "{\"op\":\"copy\",\"from\":\"\",\"path\":\"/a\"}",       /* depth and size double */
    "{\"op\":\"copy\",\"from\":\"/s\",\"path\":\"/l/-\"}",   /* size */
    "{\"op\":\"test\",\"path\":\"/l\",\"value\":{}}",        /* fails at once */
    "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b/a/c\"}", /* no such place */
  };
  for (guint i = 0; i < G_N_ELEMENTS (operations); i++)
    {
      g_autoptr (GString) patch = g_string_new ("[");
      g_autoptr (GString) base = g_string_new ("{\"a\":1,\"l\":[],\"s\":\"");
      g_autoptr (GError) error = NULL;
      for (guint n = 0; n < 2000; n++)
        g_string_append_printf (patch, "%s%s", n > 0 ? "," : "", operations[i]);
      g_string_append_c (patch, ']');
      for (guint n = 0; n < 1000; n++)
        g_string_append (base, "0123456789");
      g_string_append (base, "\"}");
      g_autoptr (CubeValue) doc = cube_value_from_json (base->str, -1, NULL, &error);
      g_autoptr (CubeValue) operations_value = cube_value_from_json (patch->str, -1, NULL, &error);
      g_assert_no_error (error);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (doc));
      g_assert_false (cube_patch_json (builder, cube_value_root (operations_value), 0, 0, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/random/text", test_text);
  g_test_add_func ("/random/yaml", test_yaml);
  g_test_add_func ("/random/damaged", test_damaged);
  g_test_add_func ("/random/builder", test_builder);
  g_test_add_func ("/random/large-maps", test_large_maps);
  g_test_add_func ("/random/patch-bounds", test_patch_bounds);
  return g_test_run ();
}
