/* SPDX-License-Identifier: Apache-2.0 */
#include <cube/error.h>
#include <cube/object.h>
#include <cube/selector.h>
#include <string.h>

static const char pod[] =
    "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\",\"namespace\":\"default\",\"resourceVersion\":\"7\",\"uid\":\"u-1\","
    "\"generation\":3,\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"finalizers\":[\"x/y\"],\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","
    "\"name\":\"rs\",\"uid\":\"u-2\",\"controller\":true}],\"creationTimestamp\":\"2026-01-02T03:04:05Z\"},"
    "\"spec\":{\"template\":{\"metadata\":{\"name\":\"inner\"}}}}";

static CubeObject *
make (const char *text, guint64 revision)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, &error);
  g_assert_no_error (error);
  CubeObject *object = cube_object_new (cube_value_root (value), revision, &error);
  g_assert_no_error (error);
  return object;
}

static void
check_revision (CubeObject *object, const char *want)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  g_assert_nonnull (value);
  g_assert_cmpstr (cube_view_get_string (cube_value_root (value), "metadata", "resourceVersion"), ==, want);
  g_assert_cmpstr (cube_view_get_string (cube_value_root (value), "metadata", "name"), ==, "web");
}

static void
test_header (void)
{
  g_autoptr (CubeObject) object = make (pod, 42);
  const char *key, *label;
  g_assert_cmpstr (cube_object_kind (object), ==, "Pod");
  g_assert_cmpstr (cube_object_api_version (object), ==, "v1");
  g_assert_cmpstr (cube_object_namespace (object), ==, "default");
  g_assert_cmpstr (cube_object_uid (object), ==, "u-1");
  g_assert_cmpint (cube_object_generation (object), ==, 3);
  g_assert_cmpuint (cube_object_revision (object), ==, 42);
  g_assert_cmpstr (cube_object_label (object, "b"), ==, "2");
  g_assert_null (cube_object_label (object, "c"));
  cube_object_label_at (object, 0, &key, &label);
  g_assert_cmpstr (key, ==, "a");
  g_assert_cmpstr (label, ==, "1");
  g_assert_cmpstr (cube_object_controller (object)->name, ==, "rs");
  g_assert_true (cube_object_has_finalizer (object, "x/y"));
  g_assert_null (cube_object_finalizers (object)[1]);
  g_assert_cmpstr (cube_object_creation_timestamp (object), ==, "2026-01-02T03:04:05Z");
  g_assert_null (cube_object_deletion_timestamp (object));
}

static void
test_splice (void)
{
  g_autoptr (CubeObject) object = make (pod, 0);
  check_revision (object, NULL);
  cube_object_set_revision (object, 5);
  check_revision (object, "5");
  cube_object_set_revision (object, G_MAXUINT64);
  check_revision (object, "18446744073709551615");
  gsize length, again_length;
  const char *json = cube_object_json (object, &length);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) again = cube_object_new_from_json (json, length, 6, &error);
  g_assert_no_error (error);
  cube_object_json (again, &again_length);
  g_assert_cmpuint (length, ==, again_length);
  check_revision (again, "6");
  g_autoptr (CubeObject) foreign = cube_object_new_from_json (pod, strlen (pod), 8, &error);
  g_assert_no_error (error);
  check_revision (foreign, "8");
  g_autoptr (GBytes) bytes = cube_object_bytes (foreign);
  g_assert_cmpuint (g_bytes_get_size (bytes), ==, length);
}

static void
test_malformed (void)
{
  static const char *const bad[] = { "[]",
                                     "{}",
                                     "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}",
                                     "{\"apiVersion\":\"v1\",\"kind\":1,\"metadata\":{\"name\":\"x\"}}",
                                     "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"\"}}",
                                     "{\"metadata\":{",
                                     "" };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      g_assert_null (cube_object_new_from_json (bad[i], strlen (bad[i]), 1, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

static void
test_labels (void)
{
  static const struct {
    const char *text;
    gboolean matches;
  } cases[] = { { "a=1", TRUE },
                { "a==1,b!=3", TRUE },
                { "a in (0,1)", TRUE },
                { "a notin (1)", FALSE },
                { "a", TRUE },
                { "!a", FALSE },
                { "!c", TRUE },
                { "c!=1", TRUE },
                { "b>1", TRUE },
                { "b<2", FALSE },
                { "", TRUE },
                { "c notin (x)", TRUE },
                { " a = 1 , b in ( 2 ) ", TRUE } };
  g_autoptr (CubeObject) object = make (pod, 1);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeSelector) selector = cube_selector_parse_labels (cases[i].text, &error);
      g_assert_no_error (error);
      if (cube_selector_matches_object (selector, object) != cases[i].matches)
        g_error ("%s", cases[i].text);
      g_autofree char *text = cube_selector_to_string (selector);
      g_autoptr (CubeSelector) again = cube_selector_parse_labels (text, &error);
      g_assert_no_error (error);
      g_assert_cmpint (cube_selector_matches_object (again, object), ==, cases[i].matches);
    }
  static const char *const bad[] = { "a=1,", "=1", "a in 1", "a in (1", "a b", "a=b=c", "a>x", "-a=1", "a=!" };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      if (cube_selector_parse_labels (bad[i], &error) != NULL)
        g_error ("accepted: %s", bad[i]);
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

static const char *
get_field (const char *field, gpointer data)
{
  return strcmp (field, "spec.nodeName") == 0 ? "n,1" : NULL;
}

static void
test_fields (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeSelector) selector = cube_selector_parse_fields ("spec.nodeName=n\\,1,status.phase!=Failed,x=", &error);
  g_assert_no_error (error);
  g_assert_true (cube_selector_matches_fields (selector, get_field, NULL));
  g_assert_cmpstr (cube_selector_requires (selector, "spec.nodeName"), ==, "n,1");
  g_autofree char *text = cube_selector_to_string (selector);
  g_assert_cmpstr (text, ==, "spec.nodeName=n\\,1,status.phase!=Failed,x=");
  g_assert_null (cube_selector_parse_fields ("abc", &error));
}

static void
test_views (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (
      "{\"matchLabels\":{\"a\":\"1\"},\"matchExpressions\":[{\"key\":\"b\",\"operator\":\"NotIn\",\"values\":[\"3\"]},{\"key\":\"z\",\"operator\":\"DoesNotExist\"}]}",
      -1, NULL, &error);
  g_autoptr (CubeSelector) selector = cube_selector_from_view (cube_value_root (value), &error);
  g_assert_no_error (error);
  g_autoptr (CubeObject) object = make (pod, 1);
  g_assert_true (cube_selector_matches_object (selector, object));
  g_autoptr (CubeSelector) nothing = cube_selector_from_view (cube_view_none (), NULL);
  g_assert_true (cube_selector_is_empty_set (nothing));
  g_assert_false (cube_selector_matches_object (nothing, object));
  g_autoptr (CubeSelector) map = cube_selector_from_map (cube_value_get (value, "matchLabels"));
  g_assert_true (cube_selector_matches_object (map, object));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/object/header", test_header);
  g_test_add_func ("/object/splice", test_splice);
  g_test_add_func ("/object/malformed", test_malformed);
  g_test_add_func ("/selector/labels", test_labels);
  g_test_add_func ("/selector/fields", test_fields);
  g_test_add_func ("/selector/views", test_views);
  return g_test_run ();
}
