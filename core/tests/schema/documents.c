/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery, OpenAPI, tables, field selectors. */
#include "schema/table.h"
#include "test-schema.h"

static CubeValue *
take_json (char *text)
{
  g_autofree char *owned = text;
  g_assert_nonnull (owned);
  g_autoptr (GError) error = NULL;
  CubeParseLimits limits = { 64 << 20, 0, 10000000 };
  CubeValue *value = cube_value_from_json (owned, -1, &limits, &error);
  g_assert_no_error (error);
  return value;
}

static void
test_discovery (void)
{
  CubeSchema *schema = cube_schema_get_default ();
  g_autoptr (CubeValue) groups = take_json (cube_schema_discovery_groups (schema));
  g_assert_cmpstr (cube_view_string (cube_view_dotted (cube_value_root (groups), "groups[1].name")), ==, "apps");
  g_autoptr (CubeValue) core = take_json (cube_schema_discovery_resources (schema, "", "v1"));
  CubeIter it;
  CubeView v;
  gboolean found = FALSE;
  for (cube_iter_init (&it, cube_value_get (core, "resources")); cube_iter_next (&it, NULL, &v);)
    if (strcmp (cube_view_get_string (v, "name"), "pods") == 0)
      {
        found = TRUE;
        assert_json (
            v, "{\"name\":\"pods\",\"singularName\":\"pod\",\"namespaced\":true,\"kind\":\"Pod\",\"verbs\":[\"create\",\"delete\","
               "\"deletecollection\",\"get\",\"list\",\"patch\",\"update\",\"watch\"],\"shortNames\":[\"po\"],\"categories\":[\"all\"],"
               "\"storageVersionHash\":\"xPOwRZ+Yhw8=\"}");
      }
  g_assert_true (found);
  g_autoptr (CubeValue) aggregated = take_json (cube_schema_discovery_aggregated (schema, FALSE, "v2"));
  g_assert_cmpstr (cube_view_string (cube_view_dotted (cube_value_root (aggregated), "items[0].metadata.name")), ==,
                   "apiregistration.k8s.io");
  g_autoptr (CubeValue) core_aggregated = take_json (cube_schema_discovery_aggregated (schema, TRUE, "v2"));
  g_assert_cmpuint (cube_view_length (cube_value_get (core_aggregated, "items")), ==, 1);
  g_autoptr (CubeValue) apps = take_json (cube_schema_discovery_group (schema, "apps"));
  assert_json (cube_value_root (apps),
               "{\"kind\":\"APIGroup\",\"apiVersion\":\"v1\",\"name\":\"apps\",\"versions\":[{\"groupVersion\":\"apps/v1\","
               "\"version\":\"v1\"}],\"preferredVersion\":{\"groupVersion\":\"apps/v1\",\"version\":\"v1\"}}");
  g_assert_null (cube_schema_discovery_group (schema, "nothing"));
  g_assert_null (cube_schema_discovery_resources (schema, "apps", "v7"));
}

/* Every $ref of a document leads somewhere. */
static void
check_refs (CubeView view, CubeView schemas, const char *prefix)
{
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, view); cube_iter_next (&it, &key, &v);)
    {
      const char *text = cube_view_string (v);
      if (key != NULL && strcmp (key, "$ref") == 0 && text != NULL)
        {
          g_assert_true (g_str_has_prefix (text, prefix));
          if (!cube_view_exists (cube_view_member (schemas, text + strlen (prefix))))
            g_error ("%s leads nowhere", text);
        }
      else
        {
          check_refs (v, schemas, prefix);
        }
    }
}

static void
test_openapi (void)
{
  CubeSchema *schema = cube_schema_get_default ();
  g_autoptr (CubeValue) index = take_json (cube_schema_openapi_v3_index (schema));
  CubeIter it;
  const char *path;
  CubeView v;
  guint n = 0;
  for (cube_iter_init (&it, cube_value_get (index, "paths")); cube_iter_next (&it, &path, &v); n++)
    {
      g_autoptr (CubeValue) doc = take_json (cube_schema_openapi_v3 (schema, path));
      check_refs (cube_value_root (doc), cube_value_get (doc, "components", "schemas"), "#/components/schemas/");
    }
  g_assert_cmpuint (n, >, 18);
  g_assert_null (cube_schema_openapi_v3 (schema, "apis/nothing/v1"));
  g_autoptr (CubeValue) apps = take_json (cube_schema_openapi_v3 (schema, "apis/apps/v1"));
  CubeView deployment = cube_value_get (apps, "components", "schemas", "io.k8s.api.apps.v1.Deployment");
  assert_json (cube_view_member (deployment, "x-kubernetes-group-version-kind"),
               "[{\"group\":\"apps\",\"kind\":\"Deployment\",\"version\":\"v1\"}]");
  CubeView patch = cube_value_get (apps, "paths", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch");
  g_assert_cmpstr (cube_view_get_string (patch, "x-kubernetes-action"), ==, "patch");
  g_assert_cmpstr (cube_view_string (cube_view_dotted (patch, "parameters[2].name")), ==, "fieldValidation");
  CubeView containers = cube_value_get (apps, "components", "schemas", "io.k8s.api.core.v1.PodSpec", "properties", "containers");
  g_assert_cmpstr (cube_view_get_string (containers, "x-kubernetes-patch-merge-key"), ==, "name");
  g_autoptr (CubeValue) swagger = take_json (cube_schema_openapi_v2 (schema));
  check_refs (cube_value_root (swagger), cube_value_get (swagger, "definitions"), "#/definitions/");
}

/* ---- tables ---- */

static void
test_cells_known (void)
{
  for (guint i = 0; cube_builtin_resources[i] != NULL; i++)
    {
      const char *const *cells = cube_resource_type (cube_builtin_resources[i])->cells;
      for (guint c = 0; cells[c] != NULL; c++)
        if (!cube_table_knows_cell (cells[c]))
          g_error ("%s: cell %s has no function", cube_builtin_resources[i]->resource, cells[c]);
    }
}

static void
check_row (const char *api_version, const char *name, const char *json, const char *expected)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = parse (json);
  g_autoptr (CubeObject) object = cube_object_new (cube_value_root (value), 1, &error);
  g_assert_no_error (error);
  gint64 now;
  g_assert_true (cube_time_parse ("2026-01-01T01:00:00Z", &now));
  g_autoptr (GString) out = g_string_new (NULL);
  cube_schema_append_cells (resource (api_version, name), object, now, out);
  g_autoptr (CubeValue) have = parse (out->str);
  assert_json (cube_value_root (have), expected);
}

#define META "\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"creationTimestamp\":\"2026-01-01T00:55:00Z\"}"

static void
test_pod_rows (void)
{
  check_row (
      "v1", "pods",
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META ",\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"d\"}],"
      "\"nodeName\":\"n\"},\"status\":{\"phase\":\"Running\",\"podIP\":\"10.0.0.1\",\"conditions\":[{\"type\":\"Initialized\",\"status\":\"True\"}],"
      "\"containerStatuses\":[{\"name\":\"c\",\"ready\":true,\"restartCount\":2,\"state\":{\"running\":{}},\"lastState\":{\"terminated\":"
      "{\"exitCode\":1,\"finishedAt\":\"2026-01-01T00:59:30Z\"}}},{\"name\":\"d\",\"ready\":false,\"restartCount\":0,"
      "\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}}}]}}",
      "[\"a\",\"1/2\",\"CrashLoopBackOff\",\"2 (30s ago)\",\"5m\",\"10.0.0.1\",\"n\",\"<none>\",\"<none>\"]");
  check_row (
      "v1", "pods",
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META ",\"spec\":{\"initContainers\":[{\"name\":\"i\"},{\"name\":\"s\","
      "\"restartPolicy\":\"Always\"}],\"containers\":[{\"name\":\"c\"}]},\"status\":{\"phase\":\"Pending\",\"initContainerStatuses\":"
      "[{\"name\":\"i\",\"state\":{\"terminated\":{\"exitCode\":2}}}]}}",
      "[\"a\",\"0/2\",\"Init:ExitCode:2\",\"0\",\"5m\",\"<none>\",\"<none>\",\"<none>\",\"<none>\"]");
  check_row ("v1", "pods",
             "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"deletionTimestamp\":"
             "\"2026-01-01T00:55:00Z\"},\"spec\":{\"containers\":[{\"name\":\"c\"}]},\"status\":{\"phase\":\"Running\"}}",
             "[\"a\",\"0/1\",\"Terminating\",\"0\",\"<unknown>\",\"<none>\",\"<none>\",\"<none>\",\"<none>\"]");
}

static void
test_rows (void)
{
  check_row ("apps/v1", "deployments",
             "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"," META ",\"spec\":{\"replicas\":3,\"selector\":"
             "{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}},\"status\":"
             "{\"readyReplicas\":1,\"updatedReplicas\":2}}",
             "[\"a\",\"1/3\",2,0,\"5m\",\"c\",\"i\",\"a=b\"]");
  check_row (
      "v1", "services",
      "{\"apiVersion\":\"v1\",\"kind\":\"Service\"," META ",\"spec\":{\"type\":\"NodePort\",\"clusterIP\":\"10.1.1.1\","
      "\"ports\":[{\"port\":80,\"nodePort\":30000,\"protocol\":\"TCP\"},{\"port\":53,\"protocol\":\"UDP\"}],\"selector\":{\"b\":\"2\",\"a\":\"1\"}}}",
      "[\"a\",\"NodePort\",\"10.1.1.1\",\"<none>\",\"80:30000/TCP,53/UDP\",\"5m\",\"a=1,b=2\"]");
  check_row (
      "v1", "nodes",
      "{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":{\"name\":\"n\",\"creationTimestamp\":\"2026-01-01T00:00:00Z\","
      "\"labels\":{\"node-role.kubernetes.io/control-plane\":\"\"}},\"spec\":{\"unschedulable\":true},\"status\":{\"conditions\":[{\"type\":"
      "\"Ready\",\"status\":\"True\"}],\"nodeInfo\":{\"kubeletVersion\":\"v1\",\"osImage\":\"Debian\"},\"addresses\":[{\"type\":\"InternalIP\","
      "\"address\":\"1.2.3.4\"}]}}",
      "[\"n\",\"Ready,SchedulingDisabled\",\"control-plane\",\"60m\",\"v1\",\"1.2.3.4\",\"<none>\",\"Debian\","
      "\"<unknown>\",\"<unknown>\"]");
  check_row ("v1", "configmaps",
             "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"," META ",\"data\":{\"a\":\"1\"},\"binaryData\":{\"b\":\"\"}}",
             "[\"a\",2,\"5m\"]");
  check_row ("batch/v1", "jobs",
             "{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\"," META ",\"spec\":{\"completions\":2,\"template\":{\"spec\":{}}},"
             "\"status\":{\"succeeded\":1,\"startTime\":\"2026-01-01T00:58:00Z\"}}",
             "[\"a\",\"Running\",\"1/2\",\"2m\",\"5m\",\"\",\"\",\"<none>\"]");
}

static void
test_selectable (void)
{
  g_autoptr (GError) error = NULL;
  const CubeResource *pods = resource ("v1", "pods");
  g_assert_true (cube_schema_is_selectable (pods, "spec.nodeName"));
  g_assert_false (cube_schema_is_selectable (pods, "spec.hostname"));
  g_autoptr (CubeValue) value = parse ("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META ",\"spec\":{\"nodeName\":\"n\"},"
                                       "\"status\":{\"phase\":\"Running\",\"podIPs\":[{\"ip\":\"1.1.1.1\"}]}}");
  g_autoptr (CubeObject) object = cube_object_new (cube_value_root (value), 1, &error);
  static const struct {
    const char *text;
    gboolean matches;
  } cases[] = { { "spec.nodeName=n", TRUE },      { "spec.nodeName!=n", FALSE },      { "status.phase=Running,metadata.name=a", TRUE },
                { "status.podIP=1.1.1.1", TRUE }, { "spec.hostNetwork=false", TRUE }, { "metadata.namespace=other", FALSE } };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeSelector) selector = cube_selector_parse_fields (cases[i].text, &error);
      g_assert_no_error (error);
      g_assert_cmpint (cube_selector_matches_resource (selector, pods, object), ==, cases[i].matches);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/discovery", test_discovery);
  g_test_add_func ("/schema/openapi", test_openapi);
  g_test_add_func ("/schema/table/cells", test_cells_known);
  g_test_add_func ("/schema/table/pods", test_pod_rows);
  g_test_add_func ("/schema/table/others", test_rows);
  g_test_add_func ("/schema/selectable", test_selectable);
  return g_test_run ();
}
