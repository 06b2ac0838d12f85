/* SPDX-License-Identifier: Apache-2.0 */
/* Defaults and strategies against outputs known from Kubernetes. */
#include "test-schema.h"

#define POD_DEFAULTS                                                                                                                       \
  "\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"securityContext\":{},"               \
  "\"schedulerName\":\"default-scheduler\""
#define CONTAINER_DEFAULTS "\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\""

static void
test_pod (void)
{
  const CubeResource *pods = resource ("v1", "pods");
  g_autoptr (CubeValue) value = prepare (
      pods,
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"hostNetwork\":true,"
      "\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"ports\":[{\"containerPort\":80}],\"resources\":{\"limits\":{\"cpu\":\"1000m\"}},"
      "\"livenessProbe\":{\"httpGet\":{\"port\":80}}},{\"name\":\"d\",\"image\":\"r:5000/x:1\"}],\"volumes\":[{\"name\":\"v\"},"
      "{\"name\":\"s\",\"secret\":{\"secretName\":\"x\"}}],\"serviceAccountName\":\"robot\"}}");
  assert_json (
      cube_value_root (value),
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"hostNetwork\":true,"
      "\"containers\":[{\"name\":\"c\",\"image\":\"nginx\",\"ports\":[{\"containerPort\":80,\"hostPort\":80,\"protocol\":\"TCP\"}],"
      "\"resources\":{\"limits\":{\"cpu\":\"1\"},\"requests\":{\"cpu\":\"1\"}},\"imagePullPolicy\":\"Always\"," CONTAINER_DEFAULTS ","
      "\"livenessProbe\":{\"httpGet\":{\"path\":\"/\",\"port\":80,\"scheme\":\"HTTP\"},\"timeoutSeconds\":1,\"periodSeconds\":10,"
      "\"successThreshold\":1,\"failureThreshold\":3}},"
      "{\"name\":\"d\",\"image\":\"r:5000/x:1\",\"imagePullPolicy\":\"IfNotPresent\",\"resources\":{}," CONTAINER_DEFAULTS "}],"
      "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}},{\"name\":\"s\",\"secret\":{\"secretName\":\"x\",\"defaultMode\":420}}],"
      "\"serviceAccountName\":\"robot\",\"serviceAccount\":\"robot\",\"enableServiceLinks\":true," POD_DEFAULTS "},\"status\":{}}");

  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_prepare_create (pods, cube_builder_root (builder));
  g_autoptr (CubeValue) created = cube_builder_end (builder);
  assert_json (cube_value_get (created, "status"), "{\"phase\":\"Pending\",\"qosClass\":\"Burstable\"}");
  g_assert_cmpint (cube_view_get_int (cube_value_root (created), 0, "metadata", "generation"), ==, 1);
}

static void
test_deployment (void)
{
  g_autoptr (CubeValue) value = prepare (
      resource ("apps/v1", "deployments"),
      "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},"
      "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x@sha256:12\"}]}}}}");
  assert_json (
      cube_value_root (value),
      "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":1,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":"
      "{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"x@sha256:12\",\"imagePullPolicy\":\"IfNotPresent\",\"resources\":{}," CONTAINER_DEFAULTS
      "}]," POD_DEFAULTS "}},\"strategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"maxUnavailable\":\"25%\","
      "\"maxSurge\":\"25%\"}},\"revisionHistoryLimit\":10,\"progressDeadlineSeconds\":600},\"status\":{}}");
}

static void
test_service (void)
{
  g_autoptr (CubeValue) value =
      prepare (resource ("v1", "services"),
               "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"type\":\"LoadBalancer\",\"ports\":[{\"port\":80}],\"selector\":{\"a\":\"b\"}}}");
  assert_json (
      cube_value_root (value),
      "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"type\":\"LoadBalancer\",\"ports\":[{\"port\":80,\"protocol\":\"TCP\",\"targetPort\":80}],"
      "\"selector\":{\"a\":\"b\"},\"sessionAffinity\":\"None\",\"externalTrafficPolicy\":\"Cluster\",\"internalTrafficPolicy\":\"Cluster\","
      "\"allocateLoadBalancerNodePorts\":true},\"status\":{\"loadBalancer\":{}}}");
}

static void
test_others (void)
{
  g_autoptr (CubeValue) job = prepare (resource ("batch/v1", "jobs"), "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"template\":{\"spec\":"
                                                                      "{\"restartPolicy\":\"Never\",\"containers\":[]}}}}");
  CubeView spec = cube_value_get (job, "spec");
  g_assert_cmpint (cube_view_get_int (spec, 0, "completions"), ==, 1);
  g_assert_cmpint (cube_view_get_int (spec, 0, "parallelism"), ==, 1);
  g_assert_cmpint (cube_view_get_int (spec, 0, "backoffLimit"), ==, 6);
  g_assert_cmpstr (cube_view_get_string (spec, "completionMode"), ==, "NonIndexed");
  g_assert_cmpstr (cube_view_get_string (spec, "podReplacementPolicy"), ==, "TerminatingOrFailed");

  g_autoptr (CubeValue) set = prepare (resource ("apps/v1", "statefulsets"), "{\"metadata\":{\"name\":\"a\"},\"spec\":{}}");
  assert_json (cube_value_get (set, "spec", "updateStrategy"), "{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":0}}");
  assert_json (cube_value_get (set, "spec", "persistentVolumeClaimRetentionPolicy"),
               "{\"whenDeleted\":\"Retain\",\"whenScaled\":\"Retain\"}");

  g_autoptr (CubeValue) space = prepare (resource ("v1", "namespaces"), "{\"metadata\":{\"name\":\"a\"}}");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (space));
  cube_schema_prepare_create (resource ("v1", "namespaces"), cube_builder_root (builder));
  g_autoptr (CubeValue) created = cube_builder_end (builder);
  assert_json (cube_value_root (created), "{\"metadata\":{\"name\":\"a\",\"labels\":{\"kubernetes.io/metadata.name\":\"a\"}},"
                                          "\"spec\":{\"finalizers\":[\"kubernetes\"]},\"status\":{\"phase\":\"Active\"}}");
}

static CubeValue *
update (const CubeResource *kind, const char *subresource, const char *object, const char *old)
{
  g_autoptr (CubeValue) value = parse (object), before = parse (old);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_prepare_update (kind, subresource, cube_builder_root (builder), cube_value_root (before));
  return cube_builder_end (builder);
}

static void
test_update (void)
{
  const CubeResource *deployments = resource ("apps/v1", "deployments");
  const char *old = "{\"metadata\":{\"generation\":3,\"labels\":{\"a\":\"b\"}},\"spec\":{\"replicas\":1},\"status\":{\"replicas\":1}}";
  g_autoptr (CubeValue) spec = update (deployments, "", "{\"metadata\":{},\"spec\":{\"replicas\":2},\"status\":{\"replicas\":9}}", old);
  assert_json (cube_value_root (spec), "{\"metadata\":{\"generation\":4},\"spec\":{\"replicas\":2},\"status\":{\"replicas\":1}}");
  g_autoptr (CubeValue) same = update (deployments, "", "{\"metadata\":{\"generation\":7},\"spec\":{\"replicas\":1}}", old);
  assert_json (cube_value_root (same), "{\"metadata\":{\"generation\":3},\"spec\":{\"replicas\":1},\"status\":{\"replicas\":1}}");
  g_autoptr (CubeValue) status = update (deployments, "status",
                                         "{\"metadata\":{\"labels\":{}},\"spec\":{\"replicas\":2},\"x\":1,"
                                         "\"status\":{\"replicas\":9}}",
                                         old);
  assert_json (cube_value_root (status), "{\"metadata\":{\"generation\":3,\"labels\":{\"a\":\"b\"}},\"spec\":{\"replicas\":1},"
                                         "\"status\":{\"replicas\":9}}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/defaults/pod", test_pod);
  g_test_add_func ("/schema/defaults/deployment", test_deployment);
  g_test_add_func ("/schema/defaults/service", test_service);
  g_test_add_func ("/schema/defaults/others", test_others);
  g_test_add_func ("/schema/strategy/update", test_update);
  return g_test_run ();
}
