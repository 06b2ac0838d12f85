/* SPDX-License-Identifier: Apache-2.0 */
#include "podrefs.h"

#include <string.h>

static gboolean
collect (const char *resource, const char *name, gpointer data)
{
  g_hash_table_add (data, g_strdup_printf ("%s/%s", resource, name));
  return FALSE;
}

static void
check (const char *spec, const char *expected)
{
  g_autofree char *quoted = g_strdelimit (g_strdup (spec), "'", '"');
  g_autofree char *text = g_strdup_printf ("{\"metadata\":{\"name\":\"p\"},\"spec\":%s}", quoted), *joined = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, &error);
  g_autoptr (GHashTable) set = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_auto (GStrv) wanted = g_strsplit (expected, " ", -1);
  guint n = *expected != '\0' ? g_strv_length (wanted) : 0;

  g_assert_no_error (error);
  g_assert_false (podrefs_visit (cube_value_root (value), collect, set));
  for (guint i = 0; i < n; i++)
    if (!g_hash_table_contains (set, wanted[i]))
      g_error ("%s: %s is missing", spec, wanted[i]);
  g_assert_cmpuint (g_hash_table_size (set), ==, n);
}

static void
test_visit (void)
{
  static const char *const kinds[] = { "containers", "initContainers", "ephemeralContainers" };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      g_autofree char *env = g_strdup_printf ("{'%s':[{'env':[{'name':'A','valueFrom':{'secretKeyRef':{'name':'s','key':'k'}}},"
                                              "{'name':'B','valueFrom':{'configMapKeyRef':{'name':'c','key':'k'}}}],"
                                              "'envFrom':[{'secretRef':{'name':'t'}},{'configMapRef':{'name':'d'}}]}]}",
                                              kinds[i]);
      check (env, "secrets/s configmaps/c secrets/t configmaps/d");
    }
  check ("{'serviceAccountName':'a','imagePullSecrets':[{'name':'x'},{'name':'y'}]}", "serviceaccounts/a secrets/x secrets/y");
  check (
      "{'volumes':[{'name':'v','secret':{'secretName':'s'}},{'name':'w','configMap':{'name':'c'}},{'name':'z','persistentVolumeClaim':{'claimName':'q'}}]}",
      "secrets/s configmaps/c persistentvolumeclaims/q");
  check (
      "{'volumes':[{'name':'v','projected':{'sources':[{'secret':{'name':'s'}},{'configMap':{'name':'c'}},{'serviceAccountToken':{'path':'t'}}]}}]}",
      "secrets/s configmaps/c");
  check ("{'volumes':[{'name':'v','csi':{'driver':'d','nodePublishSecretRef':{'name':'s'}}},{'name':'w','azureFile':{'secretName':'t'}},"
         "{'name':'x','cephfs':{'secretRef':{'name':'u'}}}]}",
         "secrets/s secrets/t secrets/u");
  check ("{'volumes':[{'name':'v','ephemeral':{'volumeClaimTemplate':{}}}],'resourceClaims':[{'name':'r','resourceClaimName':'rc'}]}",
         "persistentvolumeclaims/p-v resourceclaims/rc");
  check ("{'containers':[{'name':'a','image':'i','env':[{'name':'secretName','value':'x'}]}],'volumes':7}", "");
}

static void
test_has (void)
{
  const char *text = "{\"spec\":{\"imagePullSecrets\":[{\"name\":\"x\"}]}}";
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, NULL);

  g_assert_true (podrefs_has (cube_value_root (value), "secrets", "x"));
  g_assert_true (podrefs_has (cube_value_root (value), "secrets", NULL));
  g_assert_false (podrefs_has (cube_value_root (value), "secrets", "y"));
  g_assert_false (podrefs_has (cube_value_root (value), "configmaps", NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/podrefs/visit", test_visit);
  g_test_add_func ("/podrefs/has", test_has);
  return g_test_run ();
}
