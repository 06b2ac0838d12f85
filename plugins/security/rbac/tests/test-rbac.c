/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregation.h"
#include "bootstrap.h"
#include "escalation.h"
#include "index.h"
#include "policy.h"

#include <string.h>

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
put (Index *index, gboolean is_binding, const char *ns, const char *name, const char *text)
{
  g_autoptr (CubeValue) value = text != NULL ? json (text) : NULL;
  CubeView view = value != NULL ? cube_value_root (value) : cube_view_none ();

  if (is_binding)
    index_put_binding (index, ns, name, view);
  else
    index_put_role (index, ns, name, view);
}

static gboolean
may (Index *index, const char *name, const char *verb, const char *resource, const char *ns, char **ret_reason)
{
  g_autoptr (CubeUser) user = cube_user_new (name, "", NULL);
  CubeAttributes attributes = { user, verb, "", "v1", resource, "", ns, "", "" };

  return index_allows (index, &attributes, ret_reason);
}

static void
test_policy (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) items = policy_parse (policy_text, &error);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  guint n_roles = 0;

  g_assert_no_error (error);
  for (guint i = 0; i < items->len; i++)
    {
      const PolicyItem *item = items->pdata[i];
      g_autoptr (CubeObject) object = cube_object_new (cube_value_root (item->object), 0, &error);

      g_assert_no_error (error);
      g_assert_true (g_hash_table_add (seen, g_strdup_printf ("%s %s/%s", item->resource, item->ns, item->name)));
      n_roles += g_str_equal (item->resource, "clusterroles");
      if (g_str_has_suffix (item->resource, "bindings")) /* its role is there too */
        {
          const char *kind = cube_value_get (item->object, "roleRef", "kind").doc != NULL
                                 ? cube_view_get_string (cube_value_root (item->object), "roleRef", "kind")
                                 : "";
          const char *role = cube_view_get_string (cube_value_root (item->object), "roleRef", "name");
          gboolean is_found = FALSE;

          for (guint j = 0; j < items->len && !is_found; j++)
            {
              const PolicyItem *other = items->pdata[j];
              is_found =
                  g_str_equal (other->name, role) && g_str_equal (other->resource, g_str_equal (kind, "Role") ? "roles" : "clusterroles");
            }
          g_assert_true (is_found);
        }
    }
  g_assert_cmpuint (n_roles, >=, 60);
  g_assert_null (policy_parse ("rule get core pods\n", &error));
  g_assert_nonnull (strstr (error->message, "line 1"));
}

static void
test_index_changes (void)
{
  Index *index = index_new ();
  g_autofree char *reason = NULL;
  const char *binding =
      "{'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'u'},{'kind':'User','name':'u'},{'kind':'ServiceAccount','name':'s'}]}";

  put (index, TRUE, "n", "b", binding);
  g_assert_false (may (index, "u", "get", "pods", "n", &reason));
  g_assert_cmpstr (reason, ==, "RBAC: role.rbac.authorization.k8s.io \"r\" not found");
  g_clear_pointer (&reason, g_free);
  put (index, FALSE, "n", "r", "{'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]}");
  g_assert_true (may (index, "u", "get", "pods", "n", &reason));
  g_assert_cmpstr (reason, ==, "RBAC: allowed by RoleBinding \"b/n\" of Role \"r\" to User \"u\"");
  g_clear_pointer (&reason, g_free);
  g_assert_true (may (index, "system:serviceaccount:n:s", "get", "pods", "n", NULL)); /* the binding's own namespace */
  g_assert_false (may (index, "u", "get", "pods", "m", NULL));
  g_assert_false (may (index, "u", "get", "pods", "", NULL));
  put (index, FALSE, "n", "r", "{'rules':[{'verbs':['list'],'apiGroups':[''],'resources':['pods']}]}");
  g_assert_false (may (index, "u", "get", "pods", "n", NULL));
  g_assert_true (may (index, "u", "list", "pods", "n", NULL));
  put (index, TRUE, "n", "b", "{'roleRef':{'kind':'Role','name':'r'},'subjects':[{'kind':'User','name':'v'}]}");
  g_assert_false (may (index, "u", "list", "pods", "n", NULL));
  g_assert_true (may (index, "v", "list", "pods", "n", NULL));
  put (index, TRUE, "n", "b", NULL);
  g_assert_false (may (index, "v", "list", "pods", "n", NULL));
  put (index, FALSE, "n", "r", NULL);
  put (index, FALSE, "n", "r", NULL);
  put (index, TRUE, "n", "never", NULL);
  index_free (index);
}

/* What only a broken or hostile object can hold grants nothing and hurts nobody. */
static void
test_malformed (void)
{
  static const char *const roles[] = { "{}",
                                       "{'rules':null}",
                                       "{'rules':7}",
                                       "{'rules':[1,null,'x',[]]}",
                                       "{'rules':[{'verbs':'get'}]}",
                                       "{'rules':[{'verbs':['get',7],'apiGroups':{},'resources':['pods']}]}" };
  static const char *const bindings[] = { "{}", "{'roleRef':[]}", "{'subjects':7}",
                                          "{'subjects':[{},7,{'kind':'User'},{'kind':'Zebra','name':'u'}]}" };
  Index *index = index_new ();

  for (guint i = 0; i < G_N_ELEMENTS (roles); i++)
    {
      put (index, FALSE, "", "r", roles[i]);
      put (index, TRUE, "", "b", "{'roleRef':{'kind':'ClusterRole','name':'r'},'subjects':[{'kind':'User','name':'u'}]}");
      g_assert_false (may (index, "u", "get", "pods", "", NULL));
    }
  for (guint i = 0; i < G_N_ELEMENTS (bindings); i++)
    {
      put (index, TRUE, "", "b", bindings[i]);
      g_assert_false (may (index, "u", "get", "pods", "", NULL));
    }
  index_free (index);
}

/* ---- escalation ---- */

typedef struct {
  const char *what, *resource, *object, *refused; /* NULL = allowed */
} EscalationCase;

static CubeResource
resource_named (const char *name)
{
  CubeResource resource = { .group = "rbac.authorization.k8s.io", .version = "v1", .resource = name };

  return resource;
}

static void
test_escalation (void)
{
  static const EscalationCase cases[] = {
    { "what one has", "roles", "{'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]}", NULL },
    { "one name of it", "roles", "{'rules':[{'verbs':['list'],'apiGroups':[''],'resources':['pods'],'resourceNames':['x']}]}", NULL },
    { "a verb more", "roles", "{'rules':[{'verbs':['get','delete'],'apiGroups':[''],'resources':['pods']}]}",
      "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}" },
    { "all verbs", "roles", "{'rules':[{'verbs':['*'],'apiGroups':[''],'resources':['pods']}]}", "Verbs:[\"*\"]" },
    { "a subresource", "roles", "{'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods/exec']}]}", "Resources:[\"pods/exec\"]" },
    { "a subresource by star", "roles", "{'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods/log']}]}", NULL },
    { "all names of a named", "roles", "{'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['secrets']}]}",
      "Resources:[\"secrets\"]" },
    { "the name", "roles", "{'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['secrets'],'resourceNames':['mine']}]}", NULL },
    { "a path", "clusterroles", "{'rules':[{'verbs':['get'],'nonResourceURLs':['/metrics/slis']}]}", NULL },
    { "all paths", "clusterroles", "{'rules':[{'verbs':['get'],'nonResourceURLs':['*']}]}", "NonResourceURLs:[\"*\"]" },
    { "aggregation", "clusterroles", "{'aggregationRule':{'clusterRoleSelectors':[{}]}}",
      "must have cluster-admin privileges to use an aggregationRule" },
    { "a binding to what one has", "rolebindings",
      "{'roleRef':{'kind':'ClusterRole','name':'own'},'subjects':[{'kind':'User','name':'z'}]}", NULL },
    { "a binding to more", "rolebindings", "{'roleRef':{'kind':'ClusterRole','name':'more'},'subjects':[{'kind':'User','name':'z'}]}",
      "{APIGroups:[\"*\"], Resources:[\"*\"], Verbs:[\"*\"]}" },
    { "a binding by the verb bind", "rolebindings", "{'roleRef':{'kind':'ClusterRole','name':'bindable'},'subjects':[]}", NULL },
    { "a binding to nothing", "rolebindings", "{'roleRef':{'kind':'ClusterRole','name':'none'},'subjects':[]}",
      "clusterroles.rbac.authorization.k8s.io \"none\" not found" },
  };
  const char *groups[] = { "g1", "g2", NULL };
  g_autoptr (CubeUser) user = cube_user_new ("u", "", groups);
  Index *index = index_new ();

  put (
      index, FALSE, "", "own",
      "{'rules':[{'verbs':['get','list'],'apiGroups':[''],'resources':['pods','*/log']},"
      "{'verbs':['get'],'apiGroups':[''],'resources':['secrets'],'resourceNames':['mine']},{'verbs':['get'],'nonResourceURLs':['/metrics/*']},"
      "{'verbs':['bind'],'apiGroups':['rbac.authorization.k8s.io'],'resources':['clusterroles'],'resourceNames':['bindable']}]}");
  put (index, FALSE, "", "more", "{'rules':[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]}");
  put (index, FALSE, "", "bindable", "{'rules':[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]}");
  put (index, TRUE, "", "b", "{'roleRef':{'kind':'ClusterRole','name':'own'},'subjects':[{'kind':'Group','name':'g2'}]}");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      CubeResource resource = resource_named (cases[i].resource);
      CubeAdmissionRequest request = { .verb = CUBE_VERB_CREATE,
                                       .resource = &resource,
                                       .subresource = "",
                                       .name = "new",
                                       .user = user,
                                       .ns = g_str_has_prefix (cases[i].resource, "cluster") ? "" : "n" };
      g_autoptr (CubeValue) object = json (cases[i].object);
      g_autoptr (GError) error = NULL;
      gboolean is_allowed = escalation_check (index, &request, cube_value_root (object), &error);

      g_test_message ("%s: %s", cases[i].what, error != NULL ? error->message : "allowed");
      g_assert_cmpint (is_allowed, ==, cases[i].refused == NULL);
      if (cases[i].refused != NULL)
        g_assert_nonnull (strstr (error->message, cases[i].refused));
      if (i == 2)
        g_assert_cmpstr (
            error->message, ==,
            "roles.rbac.authorization.k8s.io \"new\" is forbidden: user \"u\" (groups=[\"g1\" \"g2\"]) is attempting to grant RBAC permissions "
            "not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}");
    }
  index_free (index);
}

/* ---- bootstrap ---- */

static void
check_reconcile (const char *resource, const char *current, const char *wanted, const char *expected, gboolean must_replace)
{
  g_autoptr (CubeValue) a = json (current), b = json (wanted), c = expected != NULL ? json (expected) : NULL, out = NULL;
  gboolean replaces = FALSE;

  out = bootstrap_reconcile (resource, cube_value_root (a), cube_value_root (b), &replaces);
  g_assert_cmpint (replaces, ==, must_replace);
  if (must_replace)
    return;
  g_assert_true ((out != NULL) == (c != NULL));
  if (c != NULL)
    g_assert_true (cube_view_equal (cube_value_root (out), cube_value_root (c)));
}

static void
test_reconcile (void)
{
  const char *rule = "{'metadata':{},'rules':[{'verbs':['get'],'apiGroups':[''],'resources':['pods']}]}";

  check_reconcile ("clusterroles", rule, rule, NULL, FALSE);
  check_reconcile ("clusterroles", "{'metadata':{},'rules':[{'verbs':['*'],'apiGroups':['*'],'resources':['*']}]}", rule, NULL, FALSE);
  check_reconcile ("clusterroles", "{'metadata':{},'rules':[]}", rule, rule, FALSE);
  check_reconcile ("clusterroles", "{'metadata':{'annotations':{'rbac.authorization.kubernetes.io/autoupdate':'false'}},'rules':[]}", rule,
                   NULL, FALSE);
  check_reconcile ("clusterroles", "{'metadata':{'labels':{'a':'1'}}}", "{'metadata':{'labels':{'b':'2'}}}",
                   "{'metadata':{'labels':{'a':'1','b':'2'}}}", FALSE);
  check_reconcile ("clusterroles", "{'metadata':{},'rules':[7],'aggregationRule':{}}", "{'metadata':{},'rules':[],'aggregationRule':{}}",
                   NULL, FALSE);
  check_reconcile (
      "clusterrolebindings", "{'metadata':{},'roleRef':{'kind':'ClusterRole','name':'a'},'subjects':[{'kind':'User','name':'u'}]}",
      "{'metadata':{},'roleRef':{'kind':'ClusterRole','name':'a'},'subjects':[{'kind':'Group','name':'u'}]}",
      "{'metadata':{},'roleRef':{'kind':'ClusterRole','name':'a'},'subjects':[{'kind':'User','name':'u'},{'kind':'Group','name':'u'}]}",
      FALSE);
  check_reconcile ("clusterrolebindings", "{'metadata':{},'roleRef':{'kind':'ClusterRole','name':'a'}}",
                   "{'metadata':{},'roleRef':{'kind':'ClusterRole','name':'b'}}", NULL, TRUE);
}

/* ---- aggregation ---- */

static void
test_aggregation (void)
{
  static const char *const texts[] = {
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'z','labels':{'to':'x'}},'rules':[{'verbs':['a']},{'verbs':['b']}]}",
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'a','labels':{'also':'y'}},'rules':[{'verbs':['b']}]}",
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'m'},'rules':[{'verbs':['c']}]}",
    "{'apiVersion':'rbac.authorization.k8s.io/v1','kind':'ClusterRole','metadata':{'name':'self','labels':{'to':'x'}},'rules':[{'verbs':['d']}]}",
  };
  g_autoptr (GPtrArray) roles = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  g_autoptr (CubeValue) self =
      json ("{'aggregationRule':{'clusterRoleSelectors':[{'matchLabels':{'to':'x'}},{'matchLabels':{'also':'y'}}]}}");
  g_autoptr (CubeValue) expected = json ("[{'verbs':['b']},{'verbs':['a']}]"), rules = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      g_autoptr (CubeValue) value = json (texts[i]);
      CubeObject *object = cube_object_new (cube_value_root (value), i + 1, &error);

      g_assert_no_error (error);
      g_ptr_array_add (roles, object);
    }
  rules = aggregation_rules (cube_value_root (self), "self", roles, &error);
  g_assert_no_error (error);
  g_assert_true (cube_view_equal (cube_value_root (rules), cube_value_root (expected)));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/rbac/policy", test_policy);
  g_test_add_func ("/rbac/index-changes", test_index_changes);
  g_test_add_func ("/rbac/malformed", test_malformed);
  g_test_add_func ("/rbac/escalation", test_escalation);
  g_test_add_func ("/rbac/reconcile", test_reconcile);
  g_test_add_func ("/rbac/aggregation", test_aggregation);
  return g_test_run ();
}
