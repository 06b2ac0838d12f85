/* SPDX-License-Identifier: Apache-2.0 */
/* The container iterator, a pod's resources and class, and the doors of a pod. */
#include "test-schema.h"

#define SPEC                                                                                                                                            \
  "{\"containers\":[{\"name\":\"a\",\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"1Gi\"},\"limits\":{\"cpu\":\"1\"}}},"                    \
  "{\"name\":\"b\",\"resources\":{\"requests\":{\"cpu\":\"0.5\"}}}],\"initContainers\":[{\"name\":\"i\",\"resources\":{\"requests\":{\"cpu\":\"2\"}}}," \
  "{\"name\":\"s\",\"restartPolicy\":\"Always\",\"resources\":{\"requests\":{\"cpu\":\"200m\"}}}],\"ephemeralContainers\":[{\"name\":\"e\"}],"          \
  "\"overhead\":{\"cpu\":\"10m\"}}"

static void
test_containers (void)
{
  g_autoptr (CubeValue) spec = parse (SPEC);
  g_autoptr (GString) seen = g_string_new (NULL);
  CubeContainerIter iter;
  CubeContainerKind kind;
  CubeView container;
  guint index;
  cube_containers_init (&iter, cube_value_root (spec), CUBE_CONTAINER_ALL);
  while (cube_containers_next (&iter, &container, &kind, &index))
    g_string_append_printf (seen, "%s:%d:%u ", cube_view_get_string (container, "name"), kind, index);
  g_assert_cmpstr (seen->str, ==, "i:2:0 s:2:1 a:1:0 b:1:1 e:4:0 ");
  g_string_truncate (seen, 0);
  cube_containers_init (&iter, cube_value_root (spec), CUBE_CONTAINER_REGULAR);
  while (cube_containers_next (&iter, &container, NULL, NULL))
    g_string_append (seen, cube_view_get_string (container, "name"));
  g_assert_cmpstr (seen->str, ==, "ab");
}

static void
test_resources (void)
{
  g_autoptr (CubeValue) spec = parse (SPEC);
  CubeView root = cube_value_root (spec);
  g_assert_cmpint (cube_pod_request (root, "cpu"), ==, 2010); /* the init container is larger than all others and the sidecar */
  g_assert_cmpint (cube_pod_request (root, "memory"), ==, 1ll << 30);
  g_assert_cmpint (cube_pod_request (root, "nvidia.com/gpu"), ==, 0);
  g_assert_cmpint (cube_pod_limit (root, "cpu"), ==, 1010);
  g_autoptr (CubeValue) level =
      parse ("{\"resources\":{\"requests\":{\"cpu\":\"3\"}},\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"1\"}}}]}");
  g_assert_cmpint (cube_pod_request (cube_value_root (level), "cpu"), ==, 3000);
}

static void
test_class (void)
{
  static const char *const cases[][2] = {
    { SPEC, "Burstable" },
    { "{\"containers\":[{\"name\":\"a\"}]}", "BestEffort" },
    { "{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"1000m\",\"memory\":\"1Gi\"}}}]}",
      "Guaranteed" },
    { "{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1\",\"memory\":\"1Gi\"},\"requests\":{\"cpu\":\"1\",\"memory\":\"1Gi\"}}},{}]}",
      "Burstable" },
    { "{\"containers\":[{\"resources\":{\"requests\":{\"cpu\":\"0\"}}}]}", "BestEffort" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeValue) spec = parse (cases[i][0]);
      g_assert_cmpstr (cube_pod_qos_class (cube_value_root (spec)), ==, cases[i][1]);
    }
}

static void
check_door (const char *door, const char *given, const char *expected)
{
  g_autoptr (CubeValue) old =
      parse ("{\"metadata\":{\"name\":\"a\",\"generation\":1,\"ownerReferences\":[{\"uid\":\"1\"}]},\"spec\":{\"nodeName\":\"n\","
             "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]},\"status\":{\"qosClass\":\"BestEffort\",\"phase\":\"Pending\"}}");
  g_autoptr (CubeValue) value = parse (given);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_prepare_update (resource ("v1", "pods"), door, cube_builder_root (builder), cube_value_root (old));
  g_autoptr (CubeValue) result = cube_builder_end (builder);
  assert_json (cube_value_root (result), expected);
}

static void
test_doors (void)
{
  check_door (
      "status", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"other\"},\"status\":{\"phase\":\"Running\"}}",
      "{\"metadata\":{\"name\":\"a\",\"generation\":1,\"ownerReferences\":[{\"uid\":\"1\"}]},\"spec\":{\"nodeName\":\"n\",\"containers\":"
      "[{\"name\":\"c\",\"image\":\"i\"}]},\"status\":{\"phase\":\"Running\",\"qosClass\":\"BestEffort\"}}");
  check_door (
      "ephemeralcontainers", "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"nodeName\":\"other\",\"ephemeralContainers\":[{\"name\":\"e\"}]}}",
      "{\"metadata\":{\"name\":\"a\",\"generation\":2},\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\",\"image\":\"i\"}],"
      "\"ephemeralContainers\":[{\"name\":\"e\"}]},\"status\":{\"qosClass\":\"BestEffort\",\"phase\":\"Pending\"}}");
  check_door (
      "resize",
      "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"evil\",\"resources\":{\"limits\":"
      "{\"cpu\":\"1\"}}}]}}",
      "{\"metadata\":{\"name\":\"a\",\"generation\":2},\"spec\":{\"nodeName\":\"n\",\"containers\":[{\"name\":\"c\","
      "\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"1\"}}}]},\"status\":{\"qosClass\":\"BestEffort\",\"phase\":\"Pending\"}}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/pods/containers", test_containers);
  g_test_add_func ("/schema/pods/resources", test_resources);
  g_test_add_func ("/schema/pods/class", test_class);
  g_test_add_func ("/schema/pods/doors", test_doors);
  return g_test_run ();
}
