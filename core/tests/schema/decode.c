/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding: pruning, type errors, strictness, canonical forms; and the fixtures of every kind when CUBE_VECTORS names them. */
#include "test-schema.h"

static GError *
decode_error (const char *api_version, const char *name, const char *json, CubeStrictness strictness)
{
  GError *error = NULL;
  g_autoptr (CubeValue) value = parse (json);
  g_auto (GStrv) duplicates = cube_value_duplicate_keys (value);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_decode (resource (api_version, name), "", cube_builder_root (builder), strictness, duplicates, NULL, &error);
  return error;
}

static void
test_type_errors (void)
{
  static const struct {
    const char *api_version, *resource, *json, *message;
  } cases[] = {
    { "apps/v1", "deployments", "{\"spec\":{\"replicas\":\"3\"}}",
      "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field "
      "DeploymentSpec.spec.replicas of type int32" },
    { "v1", "pods", "{\"spec\":{\"containers\":{\"name\":\"a\"}}}",
      "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal object into Go struct field PodSpec.spec.containers of type "
      "[]v1.Container" },
    { "v1", "pods", "{\"spec\":{\"containers\":[{\"stdin\":\"yes\"}]}}",
      "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal string into Go struct field Container.spec.containers.stdin "
      "of type bool" },
    { "apps/v1", "deployments", "{\"spec\":{\"replicas\":1.5}}",
      "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number 1.5 into Go struct field "
      "DeploymentSpec.spec.replicas of type int32" },
    { "apps/v1", "deployments", "{\"spec\":{\"replicas\":99999999999}}",
      "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number 99999999999 into Go struct field "
      "DeploymentSpec.spec.replicas of type int32" },
    { "v1", "pods", "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"many\"}}}]}}",
      "Pod in version \"v1\" cannot be handled as a Pod: quantities must match the regular expression "
      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
    { "v1", "secrets", "{\"data\":{\"a\":\"?\"}}",
      "Secret in version \"v1\" cannot be handled as a Secret: illegal base64 data at input byte 0" },
    { "v1", "pods", "{\"metadata\":{\"labels\":{\"a\":1}}}",
      "Pod in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels.a of "
      "type string" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = decode_error (cases[i].api_version, cases[i].resource, cases[i].json, CUBE_STRICT_WARN);
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
      g_assert_cmpstr (error->message, ==, cases[i].message);
    }
}

static void
test_strict (void)
{
  const char *json = "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"foo\":1,\"containers\":[{\"name\":\"a\",\"imagee\":\"x\"}]},"
                     "\"metadata\":{\"name\":\"b\"}}";
  g_autoptr (GError) error = decode_error ("v1", "pods", json, CUBE_STRICT_STRICT);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
  g_assert_cmpstr (error->message, ==,
                   "Pod in version \"v1\" cannot be handled as a Pod: strict decoding error: unknown field \"spec.foo\", "
                   "unknown field \"spec.containers[0].imagee\", duplicate field \"metadata\"");
}

static void
test_prune (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value =
      parse ("{\"metadata\":{\"name\":\"a\",\"name\":\"b\",\"creationTimestamp\":null},"
             "\"spec\":{\"foo\":1,\"hostNetwork\":false,\"nodeName\":\"\",\"containers\":[{\"name\":\"a\",\"x\":{}}]}}");
  g_auto (GStrv) duplicates = cube_value_duplicate_keys (value);
  g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_decode (resource ("v1", "pods"), NULL, cube_builder_root (builder), CUBE_STRICT_WARN, duplicates, warnings, &error);
  g_assert_no_error (error);
  g_autoptr (CubeValue) result = cube_builder_end (builder);
  assert_json (cube_value_root (result), "{\"metadata\":{\"name\":\"b\"},\"spec\":{\"containers\":[{\"name\":\"a\"}]}}");
  g_assert_cmpuint (warnings->len, ==, 3);
  g_assert_cmpstr (warnings->pdata[0], ==, "unknown field \"spec.foo\"");
  g_assert_cmpstr (warnings->pdata[1], ==, "unknown field \"spec.containers[0].x\"");
  g_assert_cmpstr (warnings->pdata[2], ==, "duplicate field \"metadata.name\"");
}

static void
test_canonical (void)
{
  g_autoptr (CubeValue) value = prepare (resource ("v1", "nodes"), "{\"metadata\":{\"name\":\"a\"},\"status\":{\"capacity\":"
                                                                   "{\"cpu\":2,\"memory\":\"1024Ki\",\"x\":\"1000m\"}}}");
  CubeView capacity = cube_value_get (value, "status", "capacity");
  assert_json (capacity, "{\"cpu\":\"2\",\"memory\":\"1Mi\",\"x\":\"1\"}");
  assert_json (cube_value_get (value, "status", "allocatable"), "{\"cpu\":\"2\",\"memory\":\"1Mi\",\"x\":\"1\"}");
}

/* ---- every kind ---- */

static guint n_fixtures;

static void
check_fixture (const char *path)
{
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  gsize length;
  g_file_get_contents (path, &text, &length, &error);
  g_assert_no_error (error);
  g_autoptr (CubeValue) value = cube_value_from_json (text, (gssize) length, NULL, &error);
  g_assert_no_error (error);
  CubeView root = cube_value_root (value);
  const char *api_version = cube_view_get_string (root, "apiVersion"), *kind = cube_view_get_string (root, "kind");
  const CubeResource *found = cube_schema_find_kind (cube_schema_get_default (), api_version, kind);
  if (found == NULL)
    return;
  g_autoptr (GPtrArray) warnings = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (root);
  cube_schema_decode (found, NULL, cube_builder_root (builder), CUBE_STRICT_WARN, NULL, warnings, &error);
  if (error != NULL || warnings->len > 0)
    g_error ("%s: %s", path, error != NULL ? error->message : (char *) warnings->pdata[0]);
  g_autoptr (CubeValue) result = cube_builder_end (builder);
  if (!cube_view_equal (root, cube_value_root (result)))
    {
      g_autofree char *have = cube_view_to_json (cube_value_root (result), NULL), *want = cube_view_to_json (root, NULL);
      g_error ("%s\nhave %s\nwant %s", path, have, want);
    }
  cube_schema_set_defaults (found, cube_builder_root (builder));
  n_fixtures++;
}

static void
check_folder (const char *folder)
{
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      if (g_file_test (path, G_FILE_TEST_IS_DIR))
        check_folder (path);
      else if (g_str_has_suffix (name, ".json"))
        check_fixture (path);
    }
}

static void
test_fixtures (void)
{
  const char *vectors = g_getenv ("CUBE_VECTORS");
  if (vectors == NULL)
    {
      g_test_skip ("CUBE_VECTORS does not name the folder of the API fixtures");
      return;
    }
  g_autofree char *archive = g_build_filename (vectors, "api-fixtures-v0.36.3.tar.gz", NULL);
  if (!g_file_test (archive, G_FILE_TEST_EXISTS))
    {
      g_test_skip ("no api-fixtures-v0.36.3.tar.gz in CUBE_VECTORS");
      return;
    }
  g_autoptr (GError) error = NULL;
  g_autofree char *folder = g_dir_make_tmp ("cube-fixtures-XXXXXX", &error);
  g_assert_no_error (error);
  const char *const unpack[] = { "tar", "-C", folder, "-xzf", archive, NULL }, *const clean[] = { "rm", "-rf", folder, NULL };
  g_spawn_sync (NULL, (char **) unpack, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, &error);
  g_assert_no_error (error);
  check_folder (folder);
  g_spawn_sync (NULL, (char **) clean, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL);
  g_test_message ("%u kinds", n_fixtures);
  g_assert_cmpuint (n_fixtures, >, 50);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/decode/type-errors", test_type_errors);
  g_test_add_func ("/schema/decode/strict", test_strict);
  g_test_add_func ("/schema/decode/prune", test_prune);
  g_test_add_func ("/schema/decode/canonical", test_canonical);
  if (g_getenv ("CUBE_VECTORS") != NULL) /* data of others that may be here or not */
    g_test_add_func ("/schema/decode/fixtures", test_fixtures);
  return g_test_run ();
}
