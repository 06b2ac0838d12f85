/* SPDX-License-Identifier: Apache-2.0 */
/* Parses a Pod of about 2.2 KB into a packed value, beside json-glib in the same run, and measures an object at rest.
 * Prints one "name value unit" a line; fails when a goal of the design is missed by far. */
#include <cube/object.h>
#include <malloc.h>
#include <string.h>

static const char pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"web-5d59d67564-2xkqj\",\"generateName\":\"web-5d59d67564-\",\"namespace\":\"default\","
    "\"uid\":\"0d1f6a4c-61a1-4a70-9a62-3c6b8f5d9a10\",\"resourceVersion\":\"123456\",\"creationTimestamp\":\"2026-01-02T03:04:05Z\",\"labels\":{\"app\":\"web\","
    "\"pod-template-hash\":\"5d59d67564\",\"tier\":\"frontend\"},\"annotations\":{\"example.com/checksum\":\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c\"},"
    "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"web-5d59d67564\",\"uid\":\"6a0f1d3e-0a5e-4b8e-8f0b-7f2a0f6a8b11\","
    "\"controller\":true,\"blockOwnerDeletion\":true}]},\"spec\":{\"volumes\":[{\"name\":\"token\",\"projected\":{\"sources\":[{\"serviceAccountToken\":"
    "{\"expirationSeconds\":3607,\"path\":\"token\"}},{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}}],"
    "\"defaultMode\":420}}],\"containers\":[{\"name\":\"web\",\"image\":\"registry.example.com/team/web:1.25.3\",\"ports\":[{\"name\":\"http\",\"containerPort\":8080,"
    "\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"LOG_LEVEL\",\"value\":\"info\"},{\"name\":\"POD_IP\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":"
    "\"status.podIP\"}}}],\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"256Mi\"},\"requests\":{\"cpu\":\"100m\",\"memory\":\"128Mi\"}},\"volumeMounts\":"
    "[{\"name\":\"token\",\"readOnly\":true,\"mountPath\":\"/var/run/secrets/kubernetes.io/serviceaccount\"}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\","
    "\"port\":8080,\"scheme\":\"HTTP\"},\"timeoutSeconds\":1,\"periodSeconds\":10,\"successThreshold\":1,\"failureThreshold\":3},\"terminationMessagePath\":"
    "\"/dev/termination-log\",\"imagePullPolicy\":\"IfNotPresent\"}],\"restartPolicy\":\"Always\",\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\","
    "\"serviceAccountName\":\"default\",\"nodeName\":\"node-17\",\"schedulerName\":\"default-scheduler\",\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\","
    "\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300}]},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
    "\"lastProbeTime\":null,\"lastTransitionTime\":\"2026-01-02T03:04:09Z\"}],\"hostIP\":\"10.0.0.17\",\"podIP\":\"10.244.17.5\",\"qosClass\":\"Burstable\"}}";

#define ROUNDS 20000

typedef void (*Step) (gpointer data);

static double
measure_us (Step step, gpointer data, guint rounds)
{
  double best = 1e9;
  for (guint part = 0; part < 5; part++)
    {
      gint64 start = g_get_monotonic_time ();
      for (guint i = 0; i < rounds / 5; i++)
        step (data);
      double each = (double) (g_get_monotonic_time () - start) / (rounds / 5);
      best = MIN (best, each);
    }
  return best;
}

static void
parse_ours (gpointer data)
{
  cube_value_unref (cube_value_from_json (pod, sizeof pod - 1, NULL, NULL));
}

static void
parse_json_glib (gpointer data)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  json_parser_load_from_data (parser, pod, sizeof pod - 1, NULL);
}

static void
make_object (gpointer data)
{
  cube_object_unref (cube_object_new (cube_value_root (data), 7, NULL));
}

static void
load_object (gpointer data)
{
  gsize length;
  const char *json = cube_object_json (data, &length);
  cube_object_unref (cube_object_new_from_json (json, length, 8, NULL));
}

static void
write_text (gpointer data)
{
  g_free (cube_view_to_json (cube_value_root (data), NULL));
}

static void
edit (gpointer data)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (data));
  cube_mut_set_string (cube_mut_ensure (cube_builder_root (builder), "spec"), "nodeName", "node-18");
  g_autoptr (CubeValue) value = cube_builder_end (builder);
}

static void
read_path (gpointer data)
{
  g_assert_cmpstr (cube_view_get_string (cube_value_root (data), "status", "podIP"), ==, "10.244.17.5");
}

int
main (void)
{
  g_autoptr (CubeValue) value = cube_value_from_json (pod, sizeof pod - 1, NULL, NULL);
  g_autoptr (CubeObject) object = cube_object_new (cube_value_root (value), 7, NULL);
  double ours = measure_us (parse_ours, NULL, ROUNDS * 5), theirs = measure_us (parse_json_glib, NULL, ROUNDS / 4);
  gsize length;
  cube_object_json (object, &length);
  double at_rest = (double) malloc_usable_size (object) / (double) length;
  g_print ("document %zu bytes\n", sizeof pod - 1);
  g_print ("parse %.2f us\nparse-json-glib %.2f us\nparse-ratio %.1f x\n", ours, theirs, theirs / ours);
  g_print ("object-new %.2f us\n", measure_us (make_object, value, ROUNDS));
  g_print ("object-from-json %.2f us\n", measure_us (load_object, object, ROUNDS));
  g_print ("write %.2f us\n", measure_us (write_text, value, ROUNDS));
  g_print ("edit %.2f us\n", measure_us (edit, value, ROUNDS));
  g_print ("read-path %.3f us\n", measure_us (read_path, value, ROUNDS * 20));
  g_print ("value-memory %.2f x JSON\nobject-memory %.2f x JSON\n", (double) cube_value_memory (value) / (double) length, at_rest);
  return theirs / ours >= 10 && at_rest <= 1.6 ? 0 : 1;
}
