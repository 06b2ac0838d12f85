/* SPDX-License-Identifier: Apache-2.0 */
/* Strategic merge patches, conversions, apply. */
#include "test-schema.h"

static void
check (const char *object, const char *patch, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = parse (object), patch_value = parse (patch);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_patch_strategic (resource ("v1", "pods"), cube_builder_root (builder), cube_value_root (patch_value), &error);
  g_assert_no_error (error);
  g_autoptr (CubeValue) result = cube_builder_end (builder);
  assert_json (cube_value_root (result), expected);
}

static void
test_strategic (void)
{
  /* lists merge by key; what the patch names stands in its order, the rest keeps its place among the old ones */
  check ("{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"1\"}]}}",
         "{\"spec\":{\"containers\":[{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\"}]}}",
         "{\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":\"2\"},{\"name\":\"c\"}]}}");
  check ("{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
         "{\"spec\":{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}}", "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}");
  check ("{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
         "{\"spec\":{\"containers\":[{\"name\":\"z\"},{\"$patch\":\"replace\"}]}}", "{\"spec\":{\"containers\":[{\"name\":\"z\"}]}}");
  check (
      "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
      "{\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"b\"},{\"name\":\"a\"}],\"containers\":[{\"name\":\"a\",\"image\":\"2\"}]}}",
      "{\"spec\":{\"containers\":[{\"name\":\"b\"},{\"name\":\"a\",\"image\":\"2\"}]}}");
  check ("{\"metadata\":{\"finalizers\":[\"a/1\",\"b/1\"]}}",
         "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a/1\"],\"finalizers\":[\"c/1\"]}}",
         "{\"metadata\":{\"finalizers\":[\"c/1\",\"b/1\"]}}");
  check ("{\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
         "{\"spec\":{\"volumes\":[{\"$retainKeys\":[\"name\",\"hostPath\"],\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]}}",
         "{\"spec\":{\"volumes\":[{\"name\":\"v\",\"hostPath\":{\"path\":\"/\"}}]}}");
  check ("{\"metadata\":{\"labels\":{\"a\":\"1\",\"b\":\"2\"}}}", "{\"metadata\":{\"labels\":{\"a\":null,\"c\":\"3\"}}}",
         "{\"metadata\":{\"labels\":{\"b\":\"2\",\"c\":\"3\"}}}");
  check ("{\"metadata\":{\"labels\":{\"a\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"c\":\"3\"}}}",
         "{\"metadata\":{\"labels\":{\"c\":\"3\"}}}");
  check ("{\"metadata\":{\"labels\":{\"a\":\"1\"}}}", "{\"metadata\":{\"labels\":{\"$patch\":\"delete\"}}}",
         "{\"metadata\":{\"labels\":{}}}");
  /* lists without a merge strategy are replaced */
  check ("{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"1\",\"2\"]}]}}",
         "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"3\"]}]}}",
         "{\"spec\":{\"containers\":[{\"name\":\"a\",\"args\":[\"3\"]}]}}");
}

static void
test_strategic_errors (void)
{
  static const char *const patches[][2] = {
    { "{\"spec\":{\"containers\":[{\"image\":\"x\"}]}}", "map: {\"image\":\"x\"} does not contain declared merge key: name" },
    { "{\"spec\":{\"containers\":[{\"name\":\"a\",\"$patch\":\"merge\"}]}}", "merging lists cannot yet be specified in the patch" },
    { "{\"spec\":{\"$patch\":\"burn\"}}", "unknown patch type found: burn" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (patches); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeValue) value = parse ("{\"spec\":{\"containers\":[{\"name\":\"a\"}]}}"), patch = parse (patches[i][0]);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
      g_assert_false (cube_schema_patch_strategic (resource ("v1", "pods"), cube_builder_root (builder), cube_value_root (patch), &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
      g_assert_cmpstr (error->message, ==, patches[i][1]);
    }
}

static void
check_conversion (const CubeResource *to, const CubeResource *back, const char *object, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = parse (object);
  g_autoptr (CubeObject) from = cube_object_new (cube_value_root (value), 7, &error);
  g_assert_no_error (error);
  g_autoptr (CubeObject) converted = cube_schema_convert (to, from, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cube_object_revision (converted), ==, 7);
  g_autoptr (CubeValue) have = cube_object_value (converted);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (have));
  cube_mut_remove (cube_mut_member (cube_builder_root (builder), "metadata"), "resourceVersion");
  g_autoptr (CubeValue) plain = cube_builder_end (builder);
  assert_json (cube_value_root (plain), expected);
  g_autoptr (CubeObject) again = cube_schema_convert (back, converted, &error);
  g_assert_no_error (error);
  g_autoptr (CubeValue) before = cube_object_value (from), after = cube_object_value (again);
  g_assert_true (cube_view_equal (cube_value_root (before), cube_value_root (after)));
}

static void
test_conversion (void)
{
  check_conversion (
      resource ("events.k8s.io/v1", "events"), resource ("v1", "events"),
      "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"e\",\"namespace\":\"d\"},\"involvedObject\":{\"kind\":\"Pod\"},"
      "\"message\":\"hello\",\"count\":2,\"source\":{\"component\":\"x\"},\"reportingComponent\":\"x\"}",
      "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"e\",\"namespace\":\"d\"},\"regarding\":{\"kind\":\"Pod\"},"
      "\"note\":\"hello\",\"deprecatedCount\":2,\"deprecatedSource\":{\"component\":\"x\"},\"reportingController\":\"x\"}");
  check_conversion (
      resource ("autoscaling/v1", "horizontalpodautoscalers"), resource ("autoscaling/v2", "horizontalpodautoscalers"),
      "{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\",\"namespace\":\"d\"},\"spec\":"
      "{\"maxReplicas\":3,\"metrics\":[{\"type\":\"Resource\",\"resource\":{\"name\":\"cpu\",\"target\":{\"type\":\"Utilization\","
      "\"averageUtilization\":80}}}]},\"status\":{\"desiredReplicas\":1}}",
      "{\"apiVersion\":\"autoscaling/v1\",\"kind\":\"HorizontalPodAutoscaler\",\"metadata\":{\"name\":\"h\",\"namespace\":\"d\"},\"spec\":"
      "{\"maxReplicas\":3,\"targetCPUUtilizationPercentage\":80},\"status\":{\"desiredReplicas\":1}}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/patch/strategic", test_strategic);
  g_test_add_func ("/schema/patch/errors", test_strategic_errors);
  g_test_add_func ("/schema/convert", test_conversion);
  return g_test_run ();
}
