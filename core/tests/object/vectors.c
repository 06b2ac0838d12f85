/* SPDX-License-Identifier: Apache-2.0 */
/* Replays JSONTestSuite and the RFC 6902 test suite from $CUBE_VECTORS when it is set, and runs vectors of our own. */
#include "core/object/json-scan.h"
#include <cube/error.h>

static const char *
vectors (void)
{
  const char *root = g_getenv ("CUBE_VECTORS");
  if (root == NULL)
    g_test_skip ("CUBE_VECTORS is not set");
  return root;
}

static gboolean
scans (const char *data, gsize length)
{
  CubeTapeWriter writer;
  CubeJsonError problem;
  cube_tape_writer_init (&writer);
  gboolean is_fine = cube_json_scan (data, length, 10000, G_MAXUINT, &writer, &problem);
  g_assert_true (is_fine == (problem.problem == NULL));
  g_assert_cmpuint (problem.problem == NULL ? 0 : problem.offset, <=, length);
  cube_tape_writer_clear (&writer);
  return is_fine;
}

static void
test_json_suite (void)
{
  const char *root = vectors (), *name;
  if (root == NULL)
    return;
  g_autofree char *path = g_build_filename (root, "json", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (path, 0, &error);
  g_assert_no_error (error);
  CubeParseLimits limits = { .max_depth = 10000 };
  guint n = 0;
  while ((name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *file = g_build_filename (path, name, NULL);
      g_autofree char *data = NULL;
      g_autoptr (GError) problem = NULL;
      gsize length;
      if (!g_str_has_suffix (name, ".json") || !g_file_get_contents (file, &data, &length, NULL))
        continue;
      g_autoptr (CubeValue) value = cube_value_from_json (data, (gssize) length, &limits, &problem);
      g_assert_true ((value == NULL) == (problem != NULL));
      if ((*name == 'y' && value == NULL) || (*name == 'n' && value != NULL) || scans (data, length) != (value != NULL))
        g_error ("%s: %s", name, problem != NULL ? problem->message : "accepted");
      n++;
    }
  g_test_message ("%u files", n);
  g_assert_cmpuint (n, >, 300);
}

static void
run_patch_case (CubeView test)
{
  CubeView doc = cube_view_member (test, "doc"), patch = cube_view_member (test, "patch"), expected = cube_view_member (test, "expected");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (doc);
  g_autoptr (GError) error = NULL;
  g_autofree char *text = cube_view_to_json (test, NULL);
  if (cube_view_get_bool (test, FALSE, "disabled"))
    return;
  gboolean is_fine = cube_patch_json (builder, patch, 0, 0, &error);
  g_assert_true (is_fine == (error == NULL));
  if (cube_view_exists (cube_view_member (test, "error")))
    {
      if (is_fine)
        g_error ("accepted: %s", text);
      return;
    }
  if (!is_fine)
    g_error ("%s: %s", text, error->message);
  g_autoptr (CubeValue) result = cube_builder_end (builder);
  if (cube_view_exists (expected) && !cube_view_equal (cube_value_root (result), expected))
    g_error ("wrong result: %s", text);
}

static void
test_patch_suite (void)
{
  static const char *const names[] = { "tests.json", "spec_tests.json" };
  const char *root = vectors ();
  guint n = 0;
  for (guint i = 0; root != NULL && i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *file = g_build_filename (root, "json-patch", names[i], NULL);
      g_autofree char *data = NULL;
      gsize length;
      g_autoptr (GError) error = NULL;
      if (!g_file_get_contents (file, &data, &length, &error))
        g_assert_no_error (error);
      g_autoptr (CubeValue) tests = cube_value_from_json (data, (gssize) length, NULL, &error);
      g_assert_no_error (error);
      CubeIter iter;
      CubeView test;
      for (cube_iter_init (&iter, cube_value_root (tests)); cube_iter_next (&iter, NULL, &test); n++)
        run_patch_case (test);
    }
  if (root != NULL)
    g_assert_cmpuint (n, >, 50);
}

static const char *const accepted[] = {
  "[]",
  "{}",
  "0",
  "-0",
  "-0.0e-0",
  "1E+2",
  "\"\"",
  "\" \\u0000 \\ud83d\\ude00 \\/\"",
  " [ 1 , [ ] , { } ] ",
  "{\"\":{\"\":null}}",
  "true",
  "[1e-400]",
  "\t{\"a\"\n:\r1}",
  "[\"\xf0\x9f\x98\x80\x7f\"]",
  "{\"a\":1,\"a\":2}",
  "[123456789012345678901234567890]",
  "[18446744073709551616]",
  "[-9223372036854775809]",
};
static const char *const refused[] = {
  "",
  " ",
  "[",
  "]",
  "{",
  "}",
  "[1,]",
  "[,1]",
  "{,}",
  "{\"a\"}",
  "{\"a\":}",
  "{\"a\":1,}",
  "{1:1}",
  "{a:1}",
  "01",
  "-",
  "-01",
  "1.",
  ".1",
  "1e",
  "1e+",
  "+1",
  "0x1",
  "tru",
  "TRUE",
  "nul",
  "NaN",
  "Infinity",
  "\"",
  "\"\\\"",
  "\"\\x\"",
  "\"\\u12\"",
  "\"\\ud800\"",
  "\"\\udc00\"",
  "\"\\ud800\\u0041\"",
  "\"\n\"",
  "\"\x01\"",
  "'a'",
  "[1]2",
  "[1] x",
  "{} {}",
  "1 2",
  "\"\xff\"",
  "\"\xc0\x80\"",
  "\"\xed\xa0\x80\"",
  "\"\xf4\x90\x80\x80\"",
  "\"\xe2\x82\"",
  "\xef\xbb\xbf{}",
  "/**/1",
  "[1e400]",
  "[-1e400]",
  "[\"a\" \"b\"]",
  "[1 2]",
  "{\"a\":1 \"b\":2}",
  "{\"a\" 1}",
  "[}",
  "{]",
  "[1}",
  "{\"a\":1]",
  "\\u0031",
  "[\"\t\"]",
};

static void
test_own (void)
{
  for (guint i = 0; i < G_N_ELEMENTS (accepted); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeValue) value = cube_value_from_json (accepted[i], -1, NULL, &error);
      if (value == NULL || !scans (accepted[i], strlen (accepted[i])))
        g_error ("refused %s", accepted[i]);
      g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
      g_autoptr (CubeValue) again = cube_value_from_json (json, -1, NULL, &error);
      g_assert_no_error (error);
      g_assert_true (cube_view_equal (cube_value_root (value), cube_value_root (again)));
    }
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeValue) value = cube_value_from_json (refused[i], -1, NULL, &error);
      if (value != NULL || scans (refused[i], strlen (refused[i])))
        g_error ("accepted %s", refused[i]);
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

/* Every prefix of a document is refused, with an offset inside it; no byte beyond the length is read. */
static void
test_prefixes (void)
{
  static const char text[] = "{\"a\":[1.5e3,\"x\\u00e9\\n\",true,null],\"b\":{\"c\":-12}}";
  for (gsize length = 0; length < sizeof text - 1; length++)
    {
      g_autofree char *exact = g_memdup2 (text, length);
      g_autoptr (GError) error = NULL;
      g_assert_null (cube_value_from_json (exact != NULL ? exact : "", (gssize) length, NULL, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

static char *
nested (guint depth)
{
  char *text = g_malloc (depth * 2 + 1);
  memset (text, '[', depth);
  memset (text + depth, ']', depth);
  text[depth * 2] = '\0';
  return text;
}

static void
test_depth (void)
{
  static const struct {
    guint depth, limit;
    gboolean is_fine;
  } cases[] = { { 128, 0, TRUE },       { 129, 0, FALSE },           { 1000, 1000, TRUE },
                { 10000, 10000, TRUE }, { 10001, G_MAXUINT, FALSE }, { 1000000, G_MAXUINT, FALSE } };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = nested (cases[i].depth);
      g_autoptr (GError) error = NULL;
      CubeParseLimits limits = { .max_depth = cases[i].limit };
      g_autoptr (CubeValue) value = cube_value_from_json (text, -1, &limits, &error);
      g_assert_true ((value != NULL) == cases[i].is_fine);
      if (value == NULL)
        {
          g_assert_nonnull (strstr (error->message, "nested too deeply"));
          continue;
        }
      g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
      g_assert_cmpstr (json, ==, text);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
      for (CubeMut *node = cube_builder_root (builder); node != NULL; node = cube_mut_element (node, 0))
        continue;
      g_autoptr (CubeValue) packed = cube_builder_end (builder);
      g_assert_true (cube_view_equal (cube_value_root (value), cube_value_root (packed)));
    }
}

static void
test_limits (void)
{
  g_autoptr (GError) error = NULL;
  CubeParseLimits few = { .max_nodes = 5 }, small = { .max_bytes = 10 };
  g_autoptr (CubeValue) fits = cube_value_from_json ("[1,2,3,{}]", -1, &few, &error);
  g_assert_no_error (error);
  g_assert_null (cube_value_from_json ("[1,2,3,4,5,6,7,8,9,10,11,12]", -1, &few, &error));
  g_assert_nonnull (strstr (error->message, "too many values"));
  g_clear_error (&error);
  g_assert_null (cube_value_from_json ("[1,2,3,4,5]", -1, &small, &error));
  g_assert_nonnull (strstr (error->message, "exceeds the limit"));
}

/* 100 MB of one string, and of small values. */
static void
test_large (void)
{
  const gsize size = 100 * 1000 * 1000;
  CubeParseLimits limits = { .max_bytes = 200 * 1000 * 1000, .max_nodes = 100 * 1000 * 1000 };
  g_autoptr (GError) error = NULL;
  if (!g_test_slow ())
    {
      g_test_skip ("slow");
      return;
    }
  g_autofree char *text = g_malloc (size + 1);
  memset (text, 'x', size);
  text[0] = text[size - 1] = '"';
  text[size] = '\0';
  g_assert_null (cube_value_from_json (text, (gssize) size, NULL, &error));
  g_clear_error (&error);
  CubeValue *value = cube_value_from_json (text, (gssize) size, &limits, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cube_view_string_length (cube_value_root (value)), ==, size - 2);
  cube_value_unref (value);
  for (gsize i = 0; i < size; i += 2)
    memcpy (text + i, "1,", 2);
  text[0] = '[';
  text[1] = '1';
  text[size - 1] = ']';
  for (gsize i = 2; i + 1 < size; i += 2)
    memcpy (text + i, ",1", 2);
  text[size - 2] = ' ';
  text[size - 1] = ']';
  value = cube_value_from_json (text, (gssize) size, &limits, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cube_view_length (cube_value_root (value)), ==, (size - 2) / 2);
  cube_value_unref (value);
}

static void
expect_yaml_error (const char *text, gsize length, const CubeParseLimits *limits)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, limits, &error);
  if (documents != NULL)
    g_error ("accepted: %.60s", text);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
}

static void
test_yaml_bombs (void)
{
  static const char laughs[] = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n";
  expect_yaml_error (laughs, strlen (laughs), NULL);
  g_autofree char *deep = nested (10000);
  expect_yaml_error (deep, strlen (deep), NULL);
  g_autoptr (GString) blocks = g_string_new (NULL);
  for (guint i = 0; i < 500; i++)
    g_string_append_printf (blocks, "%*sa:\n", (int) i, "");
  expect_yaml_error (blocks->str, blocks->len, NULL);
  g_autoptr (GString) many = g_string_new ("[");
  for (guint i = 0; i < 2000; i++)
    g_string_append (many, "1,");
  g_string_append_c (many, ']');
  expect_yaml_error (many->str, many->len, &(CubeParseLimits){ .max_nodes = 1000 });
  expect_yaml_error (many->str, many->len, &(CubeParseLimits){ .max_bytes = 100 });
  expect_yaml_error ("a: \xff\n", 5, NULL);
  expect_yaml_error ("\xff\xfe"
                     "a\0:\0 \0b\0",
                     10, NULL);
  expect_yaml_error ("a: b\0c", 6, NULL);
  expect_yaml_error ("!<tag:example.com,2000:x> a", 27, NULL);
  expect_yaml_error ("null: 1", 7, NULL);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  if (g_getenv ("CUBE_VECTORS") != NULL)
    { /* data of others that may be here or not; ours run in any case */
      g_test_add_func ("/vectors/json-suite", test_json_suite);
      g_test_add_func ("/vectors/patch-suite", test_patch_suite);
    }
  g_test_add_func ("/vectors/own", test_own);
  g_test_add_func ("/vectors/prefixes", test_prefixes);
  g_test_add_func ("/vectors/depth", test_depth);
  g_test_add_func ("/vectors/limits", test_limits);
  if (g_test_slow ())
    g_test_add_func ("/vectors/large", test_large);
  g_test_add_func ("/vectors/yaml-bombs", test_yaml_bombs);
  return g_test_run ();
}
