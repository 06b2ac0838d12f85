/* SPDX-License-Identifier: Apache-2.0 */
/* The schema's part of creating a Pod of about 2 KB as kubectl sends it: parse, decode, defaults, strategy, pack, validate.
 * Prints one "name value unit" a line; fails when the goal (15 µs) is missed by far. */
#include "schema/schema-ops.h"

static const char pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-5d59d67564-2xkqj\",\"generateName\":\"web-5d59d67564-\",\"namespace\":\"default\","
    "\"labels\":{\"app\":\"web\",\"pod-template-hash\":\"5d59d67564\",\"tier\":\"frontend\"},\"annotations\":{\"example.com/checksum\":"
    "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":"
    "\"web-5d59d67564\",\"uid\":\"6a0f1d3e-0a5e-4b8e-8f0b-7f2a0f6a8b11\",\"controller\":true,\"blockOwnerDeletion\":true}]},\"spec\":{\"volumes\":"
    "[{\"name\":\"token\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{\"name\":"
    "\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},{\"downwardAPI\":{\"items\":[{\"path\":\"namespace\",\"fieldRef\":"
    "{\"apiVersion\":\"v1\",\"fieldPath\":\"metadata.namespace\"}}]}}],\"defaultMode\":420}},{\"name\":\"data\",\"emptyDir\":{\"sizeLimit\":\"64Mi\"}}],"
    "\"containers\":[{\"name\":\"web\",\"image\":\"registry.example.com/team/web:1.25.3\",\"ports\":[{\"name\":\"http\",\"containerPort\":8080,\"protocol\":"
    "\"TCP\"}],\"env\":[{\"name\":\"LOG_LEVEL\",\"value\":\"info\"},{\"name\":\"POD_IP\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":"
    "\"status.podIP\"}}}],\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"256Mi\"},\"requests\":{\"cpu\":\"100m\",\"memory\":\"128Mi\"}},"
    "\"volumeMounts\":[{\"name\":\"token\",\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"},{\"name\":\"data\","
    "\"mountPath\":\"/data\"}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":8080},\"initialDelaySeconds\":3,\"periodSeconds\":10},"
    "\"readinessProbe\":{\"httpGet\":{\"path\":\"/ready\",\"port\":8080},\"periodSeconds\":5},\"securityContext\":{\"allowPrivilegeEscalation\":false,"
    "\"capabilities\":{\"drop\":[\"ALL\"]},\"runAsNonRoot\":true,\"readOnlyRootFilesystem\":true}}],\"restartPolicy\":\"Always\","
    "\"serviceAccountName\":\"default\",\"affinity\":{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":"
    "[{\"matchExpressions\":[{\"key\":\"kubernetes.io/arch\",\"operator\":\"In\",\"values\":[\"amd64\",\"arm64\"]}]}]}}},\"tolerations\":[{\"key\":"
    "\"node.kubernetes.io/not-ready\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300},{\"key\":"
    "\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}]}}";

#define ROUNDS 20000u

typedef struct {
  const CubeResource *pods;
  CubeValue *given, *ready;
} Bench;

typedef void (*Step) (Bench *bench);

static double
measure_us (Step step, Bench *bench)
{
  double best = 1e9;
  for (guint part = 0; part < 5; part++)
    {
      gint64 start = g_get_monotonic_time ();
      for (guint i = 0; i < ROUNDS / 5; i++)
        step (bench);
      best = MIN (best, (double) (g_get_monotonic_time () - start) / (ROUNDS / 5));
    }
  return best;
}

static void
parse (Bench *bench)
{
  cube_value_unref (cube_value_from_json (pod, sizeof pod - 1, NULL, NULL));
}

static void
decode (Bench *bench)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (bench->given));
  cube_schema_decode (bench->pods, "", cube_builder_root (builder), CUBE_STRICT_STRICT, NULL, NULL, NULL);
}

static void
prepare (Bench *bench)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (bench->given));
  CubeMut *root = cube_builder_root (builder);
  cube_schema_decode (bench->pods, "", root, CUBE_STRICT_STRICT, NULL, NULL, NULL);
  cube_schema_set_defaults (bench->pods, root);
  cube_schema_prepare_create (bench->pods, root);
}

static void
validate (Bench *bench)
{
  g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
  cube_schema_validate_create (bench->pods, cube_value_root (bench->ready), errors);
  g_assert_cmpuint (cube_field_errors_count (errors), ==, 0);
}

static void
all (Bench *bench)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (bench->given));
  CubeMut *root = cube_builder_root (builder);
  cube_schema_decode (bench->pods, "", root, CUBE_STRICT_STRICT, NULL, NULL, NULL);
  cube_schema_set_defaults (bench->pods, root);
  cube_schema_prepare_create (bench->pods, root);
  g_autoptr (CubeValue) ready = cube_builder_end (builder);
  g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
  cube_schema_validate_create (bench->pods, cube_value_root (ready), errors);
}

static void
manage (Bench *bench)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (bench->ready));
  cube_schema_update_managed (bench->pods, "", cube_builder_root (builder), cube_view_none (), "kubectl", "2026-01-02T03:04:05Z");
}

int
main (void)
{
  Bench bench = { cube_schema_resource (cube_schema_get_default (), "v1", "pods"), NULL, NULL };
  bench.given = cube_value_from_json (pod, sizeof pod - 1, NULL, NULL);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (bench.given));
  cube_schema_set_defaults (bench.pods, cube_builder_root (builder));
  cube_schema_prepare_create (bench.pods, cube_builder_root (builder));
  bench.ready = cube_builder_end (builder);
  double total;
  g_print ("pod-bytes %zu bytes\n", sizeof pod - 1);
  g_print ("parse %.2f us\n", measure_us (parse, &bench));
  g_print ("decode %.2f us\n", measure_us (decode, &bench));
  g_print ("decode-default-strategy %.2f us\n", measure_us (prepare, &bench));
  g_print ("validate %.2f us\n", measure_us (validate, &bench));
  g_print ("managed-fields %.2f us\n", measure_us (manage, &bench));
  g_print ("decode-default-strategy-pack-validate %.2f us\n", total = measure_us (all, &bench));
  cube_value_unref (bench.given);
  cube_value_unref (bench.ready);
  return total < 60 ? 0 : 1;
}
