/* SPDX-License-Identifier: Apache-2.0 */
#include "core/object/json-scan.h"
#include <cube/error.h>

static CubeValue *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  CubeValue *value = cube_value_from_json (text, -1, NULL, &error);
  g_assert_no_error (error);
  return value;
}

static void
test_read (void)
{
  g_autoptr (CubeValue) value =
      parse ("{\"a\":{\"b\":[1,2.5,\"x\\u0000y\",true,null,-9223372036854775808,9007199254740993]},\"a2\":\"\",\"d\":1,\"d\":2}");
  g_assert_cmpint (cube_view_get_int (cube_value_root (value), 0, "d"), ==, 2);
  CubeView array = cube_value_get (value, "a", "b");
  g_assert_cmpuint (cube_view_length (array), ==, 7);
  g_assert_cmpfloat (cube_view_double (cube_view_element (array, 1), 0), ==, 2.5);
  g_assert_cmpuint (cube_view_string_length (cube_view_element (array, 2)), ==, 3);
  g_assert_true (cube_view_bool (cube_view_element (array, 3), FALSE));
  g_assert_cmpint (cube_view_type (cube_view_element (array, 4)), ==, CUBE_VALUE_NULL);
  g_assert_cmpint (cube_view_int (cube_view_element (array, 5), 0), ==, G_MININT64);
  g_assert_cmpint (cube_view_int (cube_view_dotted (cube_value_root (value), "a.b[6]"), 0), ==, G_GINT64_CONSTANT (9007199254740993));
  g_assert_false (cube_view_exists (cube_view_element (array, 7)));
  g_assert_cmpstr (cube_view_get_string (cube_value_root (value), "a2"), ==, "");
  g_auto (GStrv) twice = cube_value_duplicate_keys (value);
  g_assert_cmpstr (twice[0], ==, "d");
  g_assert_null (twice[1]);
  g_autofree char *json = cube_view_to_json (array, NULL);
  g_assert_cmpstr (json, ==, "[1,2.5,\"x\\u0000y\",true,null,-9223372036854775808,9007199254740993]");
}

static void
expect_error (const char *text, const char *pattern)
{
  g_autoptr (GError) error = NULL;
  g_assert_null (cube_value_from_json (text, -1, NULL, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
  if (!g_pattern_match_simple (pattern, error->message))
    g_error ("%s: got \"%s\", wanted \"%s\"", text, error->message, pattern);
}

static void
test_errors (void)
{
  expect_error ("", "*byte 0 (line 1, column 1)*unexpected end*");
  expect_error ("{\n \"a\": tru}", "*byte 8 (line 2, column 7)*");
  expect_error ("[1,]", "*byte 3*");
  expect_error ("{} x", "*byte 3*unexpected data*");
  expect_error ("\"\xff\"", "*byte 1*UTF-8*");
  expect_error ("[1e999]", "*byte 1*out of range*");
  expect_error ("[\"\\ud800\"]", "*surrogate*");
}

static void
test_numbers (void)
{
  static const char *const same[] = {
    "0", "-1", "1.5", "1e+21", "1e-7", "0.000001", "123456.789", "9223372036854775807", "0.1", "1.7976931348623157e+308", "5e-324"
  };
  for (guint i = 0; i < G_N_ELEMENTS (same); i++)
    {
      g_autoptr (CubeValue) value = parse (same[i]);
      g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
      g_autoptr (CubeValue) again = parse (json);
      g_assert_true (cube_view_equal (cube_value_root (value), cube_value_root (again)));
      if (i < G_N_ELEMENTS (same) - 1)
        g_assert_cmpstr (json, ==, same[i]);
    }
  g_autoptr (CubeValue) large = parse ("[18446744073709551615,123456789012345678901234567890,9223372036854775808]");
  CubeIter iter;
  CubeView v;
  for (cube_iter_init (&iter, cube_value_root (large)); cube_iter_next (&iter, NULL, &v);)
    g_assert_cmpint (cube_view_type (v), ==, CUBE_VALUE_DOUBLE);
}

static void
test_equal (void)
{
  g_autoptr (CubeValue) a = parse ("{\"x\":1,\"y\":[1,2]}");
  g_autoptr (CubeValue) b = parse ("{\"y\":[1.0,2],\"x\":7,\"x\":1}");
  g_assert_true (cube_view_equal (cube_value_root (a), cube_value_root (b)));
  g_assert_cmpuint (cube_view_hash (cube_value_root (a), 3), ==, cube_view_hash (cube_value_root (b), 3));
  g_autoptr (CubeValue) c = parse ("{\"x\":1,\"y\":[2,1]}");
  g_assert_false (cube_view_equal (cube_value_root (a), cube_value_root (c)));
}

static void
test_builder (void)
{
  g_autoptr (CubeValue) base = parse ("{\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\"}},\"spec\":{\"list\":[1,2,3]}}");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (base));
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (cube_mut_ensure (root, "metadata", "labels"), "y", "2");
  cube_mut_remove (cube_mut_get (root, "metadata", "labels"), "x");
  cube_mut_append_string (cube_mut_get (root, "spec", "list"), "four");
  cube_mut_remove_element (cube_mut_get (root, "spec", "list"), 0);
  cube_mut_set_int (cube_mut_ensure (root, "status"), "n", 5);
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
  g_assert_cmpstr (json, ==,
                   "{\"metadata\":{\"name\":\"a\",\"labels\":{\"y\":\"2\"}},\"spec\":{\"list\":[2,3,\"four\"]},\"status\":{\"n\":5}}");
}

static void
test_yaml (void)
{
  static const char text[] =
      "a: yes\nb: 0x10\nc: 010\nd: '1'\ne: [1, two, ~]\non: x\nf: |\n  l1\n  l2\ng: 1e3\nh: 2024-01-01\n---\n# nothing\n---\n- x: 1\n  y: {}\n";
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, -1, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (documents->len, ==, 2);
  g_autofree char *json = cube_view_to_json (cube_value_root (documents->pdata[0]), NULL);
  g_assert_cmpstr (
      json, ==,
      "{\"a\":true,\"b\":16,\"c\":8,\"d\":\"1\",\"e\":[1,\"two\",null],\"true\":\"x\",\"f\":\"l1\\nl2\\n\",\"g\":1000,\"h\":\"2024-01-01\"}");
  g_autofree char *yaml = cube_view_to_yaml (cube_value_root (documents->pdata[0]), NULL);
  g_autoptr (GPtrArray) again = cube_values_from_yaml (yaml, -1, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (cube_view_equal (cube_value_root (again->pdata[0]), cube_value_root (documents->pdata[0])));
  static const char *const bad[] = {
    "a: &x 1\nb: *x\n", "a: !!binary aGk=\n", "<<: {a: 1}\n", "a: [", "? [a]\n: 1\n", "a: .inf\n", "\tx: 1"
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) problem = NULL;
      g_assert_null (cube_values_from_yaml (bad[i], -1, NULL, &problem));
      g_assert_error (problem, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
      g_assert_nonnull (strstr (problem->message, "line "));
    }
}

static void
test_json_node (void)
{
  g_autoptr (CubeValue) value = parse ("{\"a\":[1,2.5,\"x\",true,null,{}]}");
  g_autoptr (JsonNode) node = cube_view_to_json_node (cube_value_root (value));
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) again = cube_value_from_json_node (node, &error);
  g_assert_no_error (error);
  g_assert_true (cube_view_equal (cube_value_root (value), cube_value_root (again)));
}

static void
test_merge_patch (void)
{
  g_autoptr (CubeValue) target = parse ("{\"a\":{\"b\":1,\"c\":2},\"d\":[1]}");
  g_autoptr (CubeValue) patch = parse ("{\"a\":{\"b\":null,\"e\":{\"f\":null}},\"d\":{\"x\":1}}");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (target));
  cube_patch_merge (cube_builder_root (builder), cube_value_root (patch));
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
  g_assert_cmpstr (json, ==, "{\"a\":{\"c\":2,\"e\":{}},\"d\":{\"x\":1}}");
}

static void
test_json_patch (void)
{
  g_autoptr (CubeValue) target = parse ("{\"a\":[1,2],\"b\":{\"c\":1}}");
  g_autoptr (CubeValue) patch =
      parse ("[{\"op\":\"add\",\"path\":\"/a/-\",\"value\":3},{\"op\":\"move\",\"from\":\"/b/c\",\"path\":\"/d\"},"
             "{\"op\":\"test\",\"path\":\"/d\",\"value\":1},{\"op\":\"replace\",\"path\":\"/a/0\",\"value\":{\"x/y\":0}},"
             "{\"op\":\"copy\",\"from\":\"/a/0\",\"path\":\"/b/z\"},{\"op\":\"remove\",\"path\":\"/a/0/x~1y\"}]");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (target));
  g_autoptr (GError) error = NULL;
  g_assert_true (cube_patch_json (builder, cube_value_root (patch), 0, 0, &error));
  g_assert_no_error (error);
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  g_autofree char *json = cube_view_to_json (cube_value_root (value), NULL);
  g_assert_cmpstr (json, ==, "{\"a\":[{},2,3],\"b\":{\"z\":{\"x/y\":0}},\"d\":1}");
}

static void
test_status (void)
{
  g_autoptr (GError) error = cube_error_not_found ("apps", "deployments", "x");
  cube_error_add_cause (error, "FieldValueInvalid", "spec.x", "bad %d", 7);
  g_autoptr (GError) copy = g_error_copy (error);
  g_autoptr (CubeValue) status = cube_error_to_status (copy);
  g_autofree char *json = cube_view_to_json (cube_value_root (status), NULL);
  g_assert_cmpstr (
      json, ==,
      "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"deployments.apps \\\"x\\\" not found\","
      "\"reason\":\"NotFound\",\"details\":{\"name\":\"x\",\"group\":\"apps\",\"kind\":\"deployments\",\"causes\":[{\"reason\":"
      "\"FieldValueInvalid\",\"message\":\"bad 7\",\"field\":\"spec.x\"}]},\"code\":404}");
  g_autoptr (GError) back = cube_error_from_status (status, 404);
  g_assert_error (back, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
  g_assert_cmpstr (cube_error_get_details (back)->name, ==, "x");
  g_assert_cmpuint (cube_error_get_details (back)->causes->len, ==, 1);
}

/* Each thread has a parser of its own; nothing may be its first document. */
static gpointer
parse_nothing (gpointer data)
{
  expect_error ("", "*unexpected end*");
  return NULL;
}

static void
test_nothing_first (void)
{
  g_thread_join (g_thread_new ("fresh", parse_nothing, NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/value/read", test_read);
  g_test_add_func ("/value/errors", test_errors);
  g_test_add_func ("/value/nothing-first", test_nothing_first);
  g_test_add_func ("/value/numbers", test_numbers);
  g_test_add_func ("/value/equal", test_equal);
  g_test_add_func ("/value/builder", test_builder);
  g_test_add_func ("/value/yaml", test_yaml);
  g_test_add_func ("/value/json-node", test_json_node);
  g_test_add_func ("/value/merge-patch", test_merge_patch);
  g_test_add_func ("/value/json-patch", test_json_patch);
  g_test_add_func ("/value/status", test_status);
  return g_test_run ();
}
