/* SPDX-License-Identifier: Apache-2.0 */
/* Field ownership: sets of creates, updates and applies; conflicts; removal. */
#include "test-schema.h"

#define NOW "2026-01-02T03:04:05Z"
#define LATER "2026-01-02T04:04:05Z"

static CubeValue *
apply (const CubeResource *kind, CubeView live, const char *applied, const char *manager, gboolean force, const char *now, GError **error)
{
  g_autoptr (CubeValue) config = parse (applied);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (live);
  if (!cube_schema_apply (kind, "", cube_builder_root (builder), cube_value_root (config), manager, force, now, error))
    return NULL;
  return cube_builder_end (builder);
}

static CubeValue *
apply_ok (const CubeResource *kind, CubeView live, const char *applied, const char *manager, gboolean force, const char *now)
{
  g_autoptr (GError) error = NULL;
  CubeValue *value = apply (kind, live, applied, manager, force, now, &error);
  g_assert_no_error (error);
  return value;
}

static CubeValue *
update (const CubeResource *kind, const char *subresource, CubeView old, const char *object, const char *manager, const char *now)
{
  g_autoptr (CubeValue) value = parse (object);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  cube_schema_update_managed (kind, subresource, cube_builder_root (builder), old, manager, now);
  return cube_builder_end (builder);
}

static void
assert_managed (CubeValue *value, const char *expected)
{
  assert_json (cube_value_get (value, "metadata", "managedFields"), expected);
}

static void
test_create (void)
{
  g_autoptr (CubeValue) pod = update (
      resource ("v1", "pods"), "", cube_view_none (),
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"uid\":\"u\",\"labels\":{\"app\":\"x\"}},\"spec\":"
      "{\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"1\"}},\"ports\":[{\"containerPort\":80}],"
      "\"args\":[\"a\"]}],\"securityContext\":{},\"restartPolicy\":\"Always\"},\"status\":{}}",
      "kubectl", NOW);
  assert_managed (
      pod,
      "[{\"manager\":\"kubectl\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"" NOW
      "\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":"
      "{\"f:metadata\":{\"f:labels\":{\".\":{},\"f:app\":{}}},\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},"
      "\"f:name\":{},\"f:image\":{},\"f:resources\":{\".\":{},\"f:limits\":{\".\":{},\"f:cpu\":{}}},\"f:args\":{},\"f:ports\":{\".\":{},"
      "\"k:{\\\"containerPort\\\":80,\\\"protocol\\\":\\\"TCP\\\"}\":{\".\":{},\"f:containerPort\":{}}}}},\"f:securityContext\":{},"
      "\"f:restartPolicy\":{}}}}]");
}

#define DEPLOYMENT(replicas, image)                                                                                                        \
  "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"namespace\":\"n\"},\"spec\":{\"replicas\":" replicas \
  ",\"template\":{\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"" image "\"}]}}}}"
#define DEPLOYMENT_FIELDS                                                                                                                   \
  "{\"f:spec\":{\"f:replicas\":{},\"f:template\":{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"app\\\"}\":{\".\":{},\"f:image\":{}," \
  "\"f:name\":{}}}}}}}"
#define ENTRY(manager, operation, time, fields)                                                                                            \
  "{\"manager\":\"" manager "\",\"operation\":\"" operation "\",\"apiVersion\":\"apps/v1\",\"time\":\"" time                               \
  "\",\"fieldsType\":\"FieldsV1\","                                                                                                        \
  "\"fieldsV1\":" fields "}"

static void
test_apply_again (void)
{
  const CubeResource *kind = resource ("apps/v1", "deployments");
  g_autoptr (CubeValue) first = apply_ok (kind, cube_view_none (), DEPLOYMENT ("1", "a"), "me", FALSE, NOW);
  assert_managed (first, "[" ENTRY ("me", "Apply", NOW, DEPLOYMENT_FIELDS) "]");
  /* nothing new: nothing changes, times neither */
  g_autoptr (CubeValue) second = apply_ok (kind, cube_value_root (first), DEPLOYMENT ("1", "a"), "me", FALSE, LATER);
  g_assert_true (cube_view_equal (cube_value_root (first), cube_value_root (second)));
  g_autoptr (CubeValue) third = apply_ok (kind, cube_value_root (first), DEPLOYMENT ("2", "a"), "me", FALSE, LATER);
  assert_managed (third, "[" ENTRY ("me", "Apply", LATER, DEPLOYMENT_FIELDS) "]");
  /* a dropped field goes with its last owner */
  g_autoptr (CubeValue) fourth = apply_ok (
      kind, cube_value_root (third),
      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"namespace\":\"n\"},\"spec\":{\"template\":{\"spec\":"
      "{\"containers\":[{\"name\":\"app\",\"image\":\"a\"}]}}}}",
      "me", FALSE, LATER);
  g_assert_false (cube_view_exists (cube_value_get (fourth, "spec", "replicas")));
}

static void
test_conflict (void)
{
  const CubeResource *kind = resource ("apps/v1", "deployments");
  g_autoptr (GError) error = NULL, errors = NULL;
  g_autoptr (CubeValue) created = update (kind, "", cube_view_none (), DEPLOYMENT ("1", "a"), "manager", NOW);
  /* the same values are shared */
  g_autoptr (CubeValue) shared = apply_ok (kind, cube_value_root (created), DEPLOYMENT ("1", "a"), "me", FALSE, LATER);
  g_assert_cmpuint (cube_view_length (cube_value_get (shared, "metadata", "managedFields")), ==, 2);
  g_assert_null (apply (kind, cube_value_root (created), DEPLOYMENT ("2", "a"), "me", FALSE, LATER, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_CONFLICT);
  g_assert_cmpstr (error->message, ==, "Apply failed with 1 conflict: conflict with \"manager\" using apps/v1: .spec.replicas");
  g_assert_null (apply (kind, cube_value_root (created), DEPLOYMENT ("2", "b"), "me", FALSE, LATER, &errors));
  g_assert_cmpstr (errors->message, ==,
                   "Apply failed with 2 conflicts: conflicts with \"manager\" using apps/v1:\n- .spec.replicas\n"
                   "- .spec.template.spec.containers[name=\"app\"].image");
  g_autoptr (CubeValue) forced = apply_ok (kind, cube_value_root (created), DEPLOYMENT ("2", "a"), "me", TRUE, LATER);
  g_assert_cmpint (cube_view_get_int (cube_value_root (forced), 0, "spec", "replicas"), ==, 2);
  g_assert_false (cube_view_exists (cube_view_dotted (cube_value_root (forced), "metadata.managedFields[1].fieldsV1.f:spec.f:replicas")));
  /* an element that another owns too stays when one drops it */
  g_autoptr (CubeValue) dropped = apply_ok (
      kind, cube_value_root (shared),
      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"namespace\":\"n\"},\"spec\":{\"replicas\":1}}",
      "me", FALSE, LATER);
  g_assert_cmpuint (cube_view_length (cube_value_get (dropped, "spec", "template", "spec", "containers")), ==, 1);
}

/* kubectl moves to the server: what it applied itself before is no conflict, and its annotation follows. */
static void
test_kubectl (void)
{
  const CubeResource *kind = resource ("v1", "configmaps");
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) created = update (
      kind, "", cube_view_none (),
      "{\"metadata\":{\"name\":\"c\",\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"data\\\":{\\\"a\\\":\\\"1\\\"}}\"}},"
      "\"data\":{\"a\":\"1\",\"b\":\"1\"}}",
      "kubectl-client-side-apply", NOW);
  g_autoptr (CubeValue) applied =
      apply_ok (kind, cube_value_root (created), "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"2\"}}", "kubectl", FALSE, LATER);
  g_assert_cmpstr (cube_view_get_string (cube_value_root (applied), "data", "a"), ==, "2");
  g_assert_cmpstr (
      cube_view_get_string (cube_value_root (applied), "metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"), ==,
      "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"2\"}}\n");
  g_assert_null (
      apply (kind, cube_value_root (created), "{\"metadata\":{\"name\":\"c\"},\"data\":{\"b\":\"2\"}}", "kubectl", FALSE, LATER, &error));
  g_assert_cmpstr (error->message, ==, "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .data.b");
}

static void
test_list_removal (void)
{
  const CubeResource *kind = resource ("v1", "pods");
  g_autoptr (CubeValue) first = apply_ok (
      kind, cube_view_none (),
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"labels\":{\"a\":\"1\",\"b\":\"2\"},\"finalizers\":[\"x/a\",\"x/b\"]},"
      "\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
      "me", FALSE, NOW);
  g_autoptr (CubeValue) second = apply_ok (
      kind, cube_value_root (first),
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"finalizers\":[\"x/b\"]},\"spec\":{\"containers\":[{\"name\":\"b\"}]}}",
      "me", FALSE, LATER);
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (second));
  cube_mut_remove (cube_mut_member (cube_builder_root (builder), "metadata"), "managedFields");
  g_autoptr (CubeValue) plain = cube_builder_end (builder);
  assert_json (
      cube_value_root (plain),
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"finalizers\":[\"x/b\"]},\"spec\":{\"containers\":[{\"name\":\"b\"}]}}");
}

static void
test_update (void)
{
  const CubeResource *kind = resource ("apps/v1", "deployments");
  g_autoptr (CubeValue) first = update (kind, "", cube_view_none (), DEPLOYMENT ("1", "a"), "one", NOW);
  g_autoptr (CubeValue) same = update (kind, "", cube_value_root (first), DEPLOYMENT ("1", "a"), "two", LATER);
  g_assert_true (cube_view_equal (cube_value_root (first), cube_value_root (same)));
  g_autoptr (CubeValue) second = update (kind, "", cube_value_root (first), DEPLOYMENT ("2", "a"), "two", LATER);
  assert_managed (second, "[" ENTRY ("one", "Update", NOW,
                                     "{\"f:spec\":{\"f:template\":{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"app\\\"}\":"
                                     "{\".\":{},\"f:image\":{},\"f:name\":{}}}}}}}") "," ENTRY ("two", "Update", LATER,
                                                                                                "{\"f:spec\":{\"f:replicas\":{}}}") "]");
  g_autoptr (CubeValue) status = update (
      kind, "status", cube_value_root (first),
      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\",\"namespace\":\"n\"},\"spec\":{\"replicas\":1,\"template\":"
      "{\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"a\"}]}}},\"status\":{\"replicas\":1}}",
      "two", LATER);
  assert_json (cube_view_dotted (cube_value_root (status), "metadata.managedFields[1]"),
               "{\"manager\":\"two\",\"operation\":\"Update\",\"apiVersion\":\"apps/v1\",\"time\":\"" LATER
               "\",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":"
               "{\"f:status\":{\"f:replicas\":{}}},\"subresource\":\"status\"}");
}

static void
test_reset (void)
{
  const CubeResource *kind = resource ("v1", "configmaps");
  g_autoptr (CubeValue) first = update (kind, "", cube_view_none (), "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"}}", "one", NOW);
  g_autoptr (CubeValue) reset = update (kind, "", cube_value_root (first),
                                        "{\"metadata\":{\"name\":\"c\",\"managedFields\":[{}]},\"data\":{\"a\":\"1\"}}", "one", LATER);
  g_assert_false (cube_view_exists (cube_value_get (reset, "metadata", "managedFields")));
  /* an apply starts to track again: what was there has an owner */
  g_autoptr (GError) error = NULL;
  g_assert_null (
      apply (kind, cube_value_root (reset), "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"2\"}}", "me", FALSE, LATER, &error));
  g_assert_cmpstr (error->message, ==, "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .data.a");
}

static void
test_many_updaters (void)
{
  const CubeResource *kind = resource ("v1", "configmaps");
  g_autoptr (CubeValue) value = update (kind, "", cube_view_none (), "{\"metadata\":{\"name\":\"c\"},\"data\":{\"a\":\"1\"}}", "m", NOW);
  for (guint i = 0; i < 14; i++)
    {
      g_autofree char *name = g_strdup_printf ("m%u", i), *now = g_strdup_printf ("2026-01-02T05:04:%02uZ", i),
                      *key = g_strdup_printf ("k%u", i);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
      cube_mut_set_string (cube_mut_member (cube_builder_root (builder), "data"), key, "v");
      cube_schema_update_managed (kind, "", cube_builder_root (builder), cube_value_root (value), name, now);
      CubeValue *next = cube_builder_end (builder);
      cube_value_unref (value);
      value = next;
    }
  CubeView entries = cube_value_get (value, "metadata", "managedFields");
  g_assert_cmpuint (cube_view_length (entries), ==, 10);
  g_assert_cmpstr (cube_view_string (cube_view_dotted (entries, "[0].manager")), ==, "ancient-changes");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/schema/apply/create", test_create);
  g_test_add_func ("/schema/apply/again", test_apply_again);
  g_test_add_func ("/schema/apply/conflict", test_conflict);
  g_test_add_func ("/schema/apply/kubectl", test_kubectl);
  g_test_add_func ("/schema/apply/lists", test_list_removal);
  g_test_add_func ("/schema/apply/update", test_update);
  g_test_add_func ("/schema/apply/reset", test_reset);
  g_test_add_func ("/schema/apply/many-updaters", test_many_updaters);
  return g_test_run ();
}
