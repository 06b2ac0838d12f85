/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"

static const CubeResource pods = { .group = "", .version = "v1", .resource = "pods", .is_namespaced = TRUE };
static const CubeResource deployments = { .group = "apps", .version = "v1", .resource = "deployments", .is_namespaced = TRUE };
static const CubeResource namespaces = { .group = "", .version = "v1", .resource = "namespaces" };
static const CubeResource reviews = {
  .group = "authorization.k8s.io", .version = "v1", .resource = "localsubjectaccessreviews", .is_namespaced = TRUE
};

static CubeObject *
make_namespace (const char *extra)
{
  g_autofree char *text = g_strdup_printf ("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"n\"%s}}", extra);
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, NULL);

  return cube_object_new (cube_value_root (value), 1, NULL);
}

static void
test_create (void)
{
  CubeAdmissionRequest request = { .verb = CUBE_VERB_CREATE, .resource = &pods, .subresource = "", .ns = "n", .name = "p" };
  g_autoptr (CubeObject) living = make_namespace (""), ending = make_namespace (",\"deletionTimestamp\":\"2026-01-02T03:04:05Z\"");
  g_autoptr (GError) error = NULL;
  CubeErrorDetails *details;
  CubeCause *cause;

  g_assert_true (lifecycle_check (&request, living, &error));
  g_assert_no_error (error);
  g_assert_false (lifecycle_check (&request, NULL, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
  g_assert_cmpstr (error->message, ==, "namespaces \"n\" not found");
  g_clear_error (&error);
  g_assert_false (lifecycle_check (&request, ending, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN);
  g_assert_cmpstr (error->message, ==,
                   "pods \"p\" is forbidden: unable to create new content in namespace n because it is being terminated");
  details = cube_error_get_details (error);
  cause = details->causes->pdata[0];
  g_assert_cmpstr (cause->reason, ==, "NamespaceTerminating");
  g_assert_cmpstr (cause->message, ==, "namespace n is being terminated");
  g_assert_cmpstr (cause->field, ==, "metadata.namespace");
  g_clear_error (&error);
  request.resource = &deployments;
  g_assert_false (lifecycle_check (&request, ending, &error));
  g_assert_true (g_str_has_prefix (error->message, "deployments.apps \"p\" is forbidden: "));
}

static void
test_delete (void)
{
  static const struct {
    const char *name;
    gboolean may;
  } cases[] = { { "default", FALSE }, { "kube-system", FALSE }, { "kube-public", FALSE }, { "kube-node-lease", TRUE }, { "x", TRUE } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      CubeAdmissionRequest request = {
        .verb = CUBE_VERB_DELETE, .resource = &namespaces, .subresource = "", .ns = "", .name = cases[i].name
      };
      g_autoptr (GError) error = NULL;
      g_autofree char *words = g_strdup_printf ("namespaces \"%s\" is forbidden: this namespace may not be deleted", cases[i].name);

      g_assert_cmpint (lifecycle_check (&request, NULL, &error), ==, cases[i].may);
      if (!cases[i].may)
        g_assert_cmpstr (error->message, ==, words);
    }
}

static void
test_handles (void)
{
  g_assert_true (lifecycle_handles (CUBE_VERB_CREATE, &pods, ""));
  g_assert_true (lifecycle_handles (CUBE_VERB_CREATE, &pods, "eviction"));
  g_assert_false (lifecycle_handles (CUBE_VERB_UPDATE, &pods, ""));
  g_assert_false (lifecycle_handles (CUBE_VERB_DELETE, &pods, ""));
  g_assert_false (lifecycle_handles (CUBE_VERB_CREATE, &namespaces, ""));
  g_assert_true (lifecycle_handles (CUBE_VERB_DELETE, &namespaces, ""));
  g_assert_false (lifecycle_handles (CUBE_VERB_CREATE, &reviews, ""));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/namespace-lifecycle/create", test_create);
  g_test_add_func ("/namespace-lifecycle/delete", test_delete);
  g_test_add_func ("/namespace-lifecycle/handles", test_handles);
  return g_test_run ();
}
