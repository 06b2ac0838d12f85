/* SPDX-License-Identifier: Apache-2.0 */
/* CustomResourceDefinitions: compile, prune, default, validate, columns, scale; and the texts of field errors. */
#include "test-schema.h"

#define CRD                                                                                                                                           \
  "{\"metadata\":{\"name\":\"crontabs.example.com\"},\"spec\":{\"group\":\"example.com\",\"scope\":\"Namespaced\",\"names\":"                         \
  "{\"plural\":\"crontabs\",\"kind\":\"CronTab\",\"shortNames\":[\"ct\"]},\"versions\":[{\"name\":\"v1\",\"served\":true,\"storage\":true,"           \
  "\"subresources\":{\"status\":{},\"scale\":{\"specReplicasPath\":\".spec.replicas\",\"statusReplicasPath\":\".status.replicas\"}},"                 \
  "\"additionalPrinterColumns\":[{\"name\":\"Cron\",\"type\":\"string\",\"jsonPath\":\".spec.cron\"},{\"name\":\"Ready\",\"type\":\"string\","        \
  "\"jsonPath\":\".status.conditions[?(@.type==\\\"Ready\\\")].status\"}],\"selectableFields\":[{\"jsonPath\":\".spec.cron\"}],"                      \
  "\"schema\":{\"openAPIV3Schema\":{\"type\":\"object\",\"description\":\"A table.\",\"properties\":{\"spec\":{\"type\":\"object\",\"required\":"     \
  "[\"cron\"],\"properties\":{\"cron\":{\"type\":\"string\",\"pattern\":\"^[a-z]+$\",\"maxLength\":5},\"replicas\":{\"type\":\"integer\","            \
  "\"minimum\":1,\"maximum\":10,\"default\":2},\"port\":{\"x-kubernetes-int-or-string\":true},\"mode\":{\"type\":\"string\",\"enum\":[\"a\",\"b\"]}," \
  "\"free\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true},\"items\":{\"type\":\"array\",\"items\":{\"type\":\"object\","        \
  "\"properties\":{\"n\":{\"type\":\"integer\",\"default\":7}}}}}},\"status\":{\"type\":\"object\",\"x-kubernetes-preserve-unknown-fields\":true}}}}}]}}"

static const CubeResource *
crontabs (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) crd = parse (CRD);
  cube_schema_put_custom (cube_schema_get_default (), cube_value_root (crd), &error);
  g_assert_no_error (error);
  return resource ("example.com/v1", "crontabs");
}

static void
test_register (void)
{
  CubeSchema *schema = cube_schema_get_default ();
  const CubeResource *kind = crontabs ();
  guint64 generation = cube_schema_generation (schema);
  g_assert_true (crontabs () == kind); /* the same definition again changes nothing */
  g_assert_cmpuint (cube_schema_generation (schema), ==, generation);
  g_assert_cmpstr (kind->key, ==, "example.com/crontabs");
  g_assert_cmpstr (kind->list_kind, ==, "CronTabList");
  g_assert_true (cube_schema_find_key (schema, "example.com/crontabs") == kind);
  g_assert_true (cube_schema_find_kind (schema, "example.com/v1", "CronTab") == kind);
  g_assert_nonnull (cube_resource_find_subresource (kind, "scale"));
  g_assert_true (cube_schema_is_selectable (kind, "spec.cron"));
  g_autofree char *openapi = cube_schema_openapi_v3 (schema, "apis/example.com/v1");
  g_assert_nonnull (strstr (openapi, "\"com.example.v1.CronTab\""));
  g_assert_nonnull (strstr (openapi, "A table."));
  g_autofree char *groups = cube_schema_discovery_groups (schema);
  g_assert_nonnull (strstr (groups, "example.com/v1"));
  cube_schema_remove_custom (schema, "example.com", "crontabs");
  g_assert_null (cube_schema_resource (schema, "example.com/v1", "crontabs"));
  g_assert_null (cube_schema_find_key (schema, "example.com/crontabs"));
  g_assert_cmpuint (cube_schema_generation (schema), >, generation);
}

static void
test_decode (void)
{
  g_autoptr (GError) error = NULL;
  const CubeResource *kind = crontabs ();
  g_autoptr (CubeValue) value = parse (
      "{\"apiVersion\":\"example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"x\":1},"
      "\"spec\":{\"cron\":\"ab\",\"replicas\":null,\"bad\":1,\"port\":\"x\",\"free\":{\"any\":[1]},\"items\":[{},{\"n\":1,\"m\":2}]}}");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);
  cube_schema_decode (kind, "", cube_builder_root (builder), CUBE_STRICT_WARN, NULL, warnings, &error);
  g_assert_no_error (error);
  cube_schema_set_defaults (kind, cube_builder_root (builder));
  cube_schema_prepare_create (kind, cube_builder_root (builder));
  g_autoptr (CubeValue) result = cube_builder_end (builder);
  assert_json (
      cube_value_root (result),
      "{\"apiVersion\":\"example.com/v1\",\"kind\":\"CronTab\",\"metadata\":{\"name\":\"a\",\"namespace\":\"d\","
      "\"generation\":1},\"spec\":{\"cron\":\"ab\",\"replicas\":2,\"port\":\"x\",\"free\":{\"any\":[1]},\"items\":[{\"n\":7},{\"n\":1}]}}");
  g_assert_cmpuint (warnings->len, ==, 3);
  g_assert_cmpstr (warnings->pdata[0], ==, "unknown field \"metadata.x\"");
  g_assert_cmpstr (warnings->pdata[1], ==, "unknown field \"spec.bad\"");
  g_assert_cmpstr (warnings->pdata[2], ==, "unknown field \"spec.items[1].m\"");
}

static char *
validation_text (const CubeResource *kind, const char *json)
{
  g_autoptr (CubeValue) value = parse (json);
  g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
  cube_schema_validate_create (kind, cube_value_root (value), errors);
  g_autoptr (GError) error = cube_field_errors_to_error (errors, kind->group, kind->kind, "a");
  return g_strdup (error == NULL ? "" : error->message);
}

#define META "\"metadata\":{\"name\":\"a\",\"namespace\":\"d\"}"

static void
test_validate (void)
{
  static const char *const cases[][2] = {
    { "{" META ",\"spec\":{\"cron\":\"abc\",\"replicas\":3}}", "" },
    { "{" META ",\"spec\":{}}", "CronTab.example.com \"a\" is invalid: spec.cron: Required value" },
    { "{" META ",\"spec\":{\"cron\":\"A\"}}",
      "CronTab.example.com \"a\" is invalid: spec.cron: Invalid value: \"A\": spec.cron in body should match '^[a-z]+$'" },
    { "{" META ",\"spec\":{\"cron\":\"abcdef\"}}",
      "CronTab.example.com \"a\" is invalid: spec.cron: Too long: may not be more than 5 bytes" },
    { "{" META ",\"spec\":{\"cron\":\"a\",\"replicas\":0}}",
      "CronTab.example.com \"a\" is invalid: spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1" },
    { "{" META ",\"spec\":{\"cron\":\"a\",\"replicas\":\"x\"}}",
      "CronTab.example.com \"a\" is invalid: spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"" },
    { "{" META ",\"spec\":{\"cron\":\"a\",\"mode\":\"c\"}}",
      "CronTab.example.com \"a\" is invalid: spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\"" },
  };
  const CubeResource *kind = crontabs ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = validation_text (kind, cases[i][0]);
      g_assert_cmpstr (text, ==, cases[i][1]);
    }
}

/* What was stored before a rule became stricter may stay as it is. */
static void
test_ratcheting (void)
{
  const CubeResource *kind = crontabs ();
  g_autoptr (CubeValue) old = parse ("{" META ",\"spec\":{\"cron\":\"OLD\",\"replicas\":3}}");
  static const char *const cases[][2] = { { "{" META ",\"spec\":{\"cron\":\"OLD\",\"replicas\":4}}", "0" },
                                          { "{" META ",\"spec\":{\"cron\":\"NEW\",\"replicas\":3}}", "1" } };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeValue) value = parse (cases[i][0]);
      g_autoptr (CubeFieldErrors) errors = cube_field_errors_new ();
      cube_schema_validate_update (kind, "", cube_value_root (value), cube_value_root (old), errors);
      g_assert_cmpuint (cube_field_errors_count (errors), ==, (guint) (cases[i][1][0] - '0'));
    }
}

static void
test_builtin (void)
{
  static const char *const cases[][4] = {
    { "apps/v1", "deployments",
      "{" META ",\"spec\":{\"replicas\":-1,\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":"
      "{\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}}}",
      "Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0" },
    { "v1", "pods", "{\"metadata\":{\"name\":\"A\",\"namespace\":\"d\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
      "Pod \"a\" is invalid: metadata.name: Invalid value: \"A\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
      "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
      "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')" },
    { "v1", "pods", "{" META ",\"spec\":{\"dnsPolicy\":\"x\",\"containers\":[]}}",
      "Pod \"a\" is invalid: [spec.containers: Required value, spec.dnsPolicy: Unsupported value: \"x\": supported values: \"ClusterFirstWithHostNet\", "
      "\"ClusterFirst\", \"Default\", \"None\"]" },
    { "v1", "nodes", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"d\"}}",
      "Node \"a\" is invalid: metadata.namespace: Forbidden: not allowed on this type" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = validation_text (resource (cases[i][0], cases[i][1]), cases[i][2]);
      g_assert_cmpstr (text, ==, cases[i][3]);
    }
}

static void
test_table_and_scale (void)
{
  g_autoptr (GError) error = NULL;
  const CubeResource *kind = crontabs ();
  g_autoptr (CubeValue) value =
      parse ("{\"apiVersion\":\"example.com/v1\",\"kind\":\"CronTab\"," META ",\"spec\":{\"cron\":\"ab\",\"replicas\":3},"
             "\"status\":{\"replicas\":1,\"conditions\":[{\"type\":\"X\",\"status\":\"False\"},"
             "{\"type\":\"Ready\",\"status\":\"True\"}]}}");
  g_autoptr (CubeObject) object = cube_object_new (cube_value_root (value), 5, &error);
  g_assert_no_error (error);
  g_autoptr (GString) out = g_string_new (NULL);
  cube_schema_append_cells (kind, object, 0, out);
  g_assert_cmpstr (out->str, ==, "[\"a\",\"ab\",\"True\"]");
  g_autoptr (CubeValue) scale = cube_schema_scale_of (kind, cube_value_root (value));
  assert_json (cube_value_root (scale), "{\"kind\":\"Scale\",\"apiVersion\":\"autoscaling/v1\"," META ",\"spec\":{\"replicas\":3},"
                                        "\"status\":{\"replicas\":1}}");
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  g_autoptr (CubeValue) wanted = parse ("{\"spec\":{\"replicas\":5}}");
  g_assert_true (cube_schema_set_scale (kind, cube_builder_root (builder), cube_value_root (wanted), &error));
  g_assert_cmpint (cube_mut_int (cube_mut_get (cube_builder_root (builder), "spec", "replicas"), 0), ==, 5);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/custom/register", test_register);
  g_test_add_func ("/schema/custom/decode", test_decode);
  g_test_add_func ("/schema/custom/validate", test_validate);
  g_test_add_func ("/schema/custom/ratcheting", test_ratcheting);
  g_test_add_func ("/schema/custom/table", test_table_and_scale);
  g_test_add_func ("/schema/builtin/validate", test_builtin);
  return g_test_run ();
}
