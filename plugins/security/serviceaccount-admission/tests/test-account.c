/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#define VOLUME                                                                                                                                   \
  "{'name':'kube-api-access-bcdfg','projected':{'defaultMode':420,'sources':[{'serviceAccountToken':{'expirationSeconds':3607,'path':'token'}}," \
  "{'configMap':{'name':'kube-root-ca.crt','items':[{'key':'ca.crt','path':'ca.crt'}]}},"                                                        \
  "{'downwardAPI':{'items':[{'path':'namespace','fieldRef':{'apiVersion':'v1','fieldPath':'metadata.namespace'}}]}}]}}"
#define MOUNT "{'name':'kube-api-access-bcdfg','readOnly':true,'mountPath':'/var/run/secrets/kubernetes.io/serviceaccount'}"
#define OWN "{'name':'v','mountPath':'/var/run/secrets/kubernetes.io/serviceaccount'}"

static CubeValue *
json (const char *text)
{
  g_autofree char *copy = g_strdelimit (g_strdup (text), "'", '"');
  g_autoptr (GError) error = NULL;
  CubeValue *value = cube_value_from_json (copy, -1, NULL, &error);

  g_assert_no_error (error);
  return value;
}

static void
check (const char *pod, const char *account, const char *expected)
{
  g_autoptr (CubeValue) a = json (pod), b = account != NULL ? json (account) : NULL, c = json (expected), out = NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (a));

  account_apply (cube_builder_root (builder), b != NULL ? cube_value_root (b) : cube_view_none (), "bcdfg");
  out = cube_builder_end (builder);
  g_assert_true (cube_view_equal (cube_value_root (out), cube_value_root (c)));
}

static void
test_apply (void)
{
  const char *plain = "{'spec':{'containers':[{'name':'a'}]}}";
  const char *mounted = "{'spec':{'containers':[{'name':'a','volumeMounts':[" MOUNT "]}],'volumes':[" VOLUME "]}}";

  check (plain, "{}", mounted);
  check (plain, NULL, mounted);
  check (plain, "{'automountServiceAccountToken':false}", plain);
  check ("{'spec':{'automountServiceAccountToken':true,'containers':[{'name':'a'}]}}", "{'automountServiceAccountToken':false}",
         "{'spec':{'automountServiceAccountToken':true,'containers':[{'name':'a','volumeMounts':[" MOUNT "]}],'volumes':[" VOLUME "]}}");
  check ("{'spec':{'automountServiceAccountToken':false,'containers':[{'name':'a'}]}}", "{}",
         "{'spec':{'automountServiceAccountToken':false,'containers':[{'name':'a'}]}}");
  /* a mount of one's own stays, and alone needs no volume */
  check ("{'spec':{'containers':[{'volumeMounts':[" OWN "]}]}}", "{}", "{'spec':{'containers':[{'volumeMounts':[" OWN "]}]}}");
  check ("{'spec':{'initContainers':[{}],'containers':[{'volumeMounts':[" OWN "]}]}}", "{}",
         "{'spec':{'initContainers':[{'volumeMounts':[" MOUNT "]}],'containers':[{'volumeMounts':[" OWN "]}],'volumes':[" VOLUME "]}}");
  /* a volume that is there already, as in a pod copied from another */
  check ("{'spec':{'containers':[{}],'volumes':[{'name':'kube-api-access-zzzzz'}]}}", "{}",
         "{'spec':{'containers':[{'volumeMounts':[{'name':'kube-api-access-zzzzz','readOnly':true,'mountPath':"
         "'/var/run/secrets/kubernetes.io/serviceaccount'}]}],'volumes':[{'name':'kube-api-access-zzzzz'}]}}");
  check ("{'spec':{'automountServiceAccountToken':false}}", "{'imagePullSecrets':[{'name':'s'}]}",
         "{'spec':{'automountServiceAccountToken':false,'imagePullSecrets':[{'name':'s'}]}}");
  check ("{'spec':{'automountServiceAccountToken':false,'imagePullSecrets':[{'name':'o'}]}}", "{'imagePullSecrets':[{'name':'s'}]}",
         "{'spec':{'automountServiceAccountToken':false,'imagePullSecrets':[{'name':'o'}]}}");
  check ("{'spec':{'containers':7,'initContainers':[7,null],'volumes':{}}}", "{'imagePullSecrets':7}",
         "{'spec':{'containers':7,'initContainers':[7,null],'volumes':{}}}");
}

static void
test_name (void)
{
  static const struct {
    const char *pod, *name;
  } cases[] = {
    { "{}", "default" },
    { "{'spec':{'serviceAccountName':''}}", "default" },
    { "{'spec':{'serviceAccountName':'x'}}", "x" },
    { "{'spec':{'serviceAccount':'old'}}", "old" },
    { "{'spec':{'serviceAccountName':'x','serviceAccount':'old'}}", "x" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeValue) value = json (cases[i].pod);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
      CubeMut *pod = cube_builder_root (builder);

      g_assert_cmpstr (account_name (pod), ==, cases[i].name);
      account_set_name (pod, cases[i].name);
      g_assert_cmpstr (cube_mut_string (cube_mut_get (pod, "spec", "serviceAccountName")), ==, cases[i].name);
      g_assert_cmpstr (cube_mut_string (cube_mut_get (pod, "spec", "serviceAccount")), ==, cases[i].name);
    }
}

static void
test_mirror (void)
{
  static const CubeResource pods = { .group = "", .version = "v1", .resource = "pods", .is_namespaced = TRUE };
  static const struct {
    const char *spec, *words;
  } cases[] = {
    { "{}", NULL },
    { "{'volumes':[{'emptyDir':{}}]}", NULL },
    { "{'serviceAccountName':'x'}", "pods \"m\" is forbidden: a mirror pod may not reference service accounts" },
    { "{'volumes':[{'secret':{'secretName':'s'}}]}", "pods \"m\" is forbidden: a mirror pod may not reference secrets" },
    { "{'volumes':[{'projected':{'sources':[{'configMap':{}},{'serviceAccountToken':{}}]}}]}",
      "pods \"m\" is forbidden: a mirror pod may not use ServiceAccountToken volume projections" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = g_strdup_printf ("{'metadata':{'annotations':{'kubernetes.io/config.mirror':'h'}},'spec':%s}", cases[i].spec);
      g_autoptr (CubeValue) value = json (text);
      g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
      CubeAdmissionRequest request = { .verb = CUBE_VERB_CREATE, .resource = &pods, .ns = "n", .name = "m" };
      g_autoptr (GError) error = NULL;

      g_assert_true (account_is_mirror (cube_builder_root (builder)));
      g_assert_cmpint (account_check_mirror (&request, cube_builder_root (builder), &error), ==, cases[i].words == NULL);
      if (cases[i].words != NULL)
        g_assert_cmpstr (error->message, ==, cases[i].words);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/serviceaccount-admission/apply", test_apply);
  g_test_add_func ("/serviceaccount-admission/name", test_name);
  g_test_add_func ("/serviceaccount-admission/mirror", test_mirror);
  return g_test_run ();
}
