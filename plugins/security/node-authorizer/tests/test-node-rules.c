/* SPDX-License-Identifier: Apache-2.0 */
#include "node-rules.h"

#include <cube/selector.h>
#include <string.h>

#define POD                                                                                                                                        \
  "{'metadata':{'name':'p','namespace':'a'},'spec':{'nodeName':'n','serviceAccountName':'sa','volumes':[{'name':'s','secret':{'secretName':'s'}}," \
  "{'name':'c','persistentVolumeClaim':{'claimName':'q'}}],'containers':[{'envFrom':[{'configMapRef':{'name':'c'}}]}]}}"
#define OTHER "{'metadata':{'name':'o','namespace':'a'},'spec':{'nodeName':'m'}}"

static CubeValue *
json (const char *text)
{
  g_autofree char *copy = g_strdelimit (g_strdup (text), "'", '"');

  return cube_value_from_json (copy, -1, NULL, NULL);
}

static GPtrArray *
pods_on (gpointer data, const char *node)
{
  GPtrArray *pods = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);

  g_ptr_array_add (pods, json (g_str_equal (node, "n") ? POD : OTHER));
  return pods;
}

static CubeValue *
look_up (gpointer data, const char *api_version, const char *resource, const char *ns, const char *name)
{
  if (g_str_equal (resource, "pods"))
    return g_str_equal (name, "p") ? json (POD) : g_str_equal (name, "o") ? json (OTHER) : NULL;
  if (g_str_equal (resource, "persistentvolumes"))
    return g_str_equal (name, "pv") ? json ("{'spec':{'claimRef':{'namespace':'a','name':'q'}}}") : json ("{'spec':{}}");
  return json ("{'spec':{'nodeName':'m'}}");
}

/* "verb group/resource[/sub] ns name [field selector]", "-" = none */
static CubeDecision
decide (const char *question)
{
  NodeWorld world = { pods_on, look_up, NULL };
  g_auto (GStrv) words = g_strsplit (question, " ", 5), path = g_strsplit (words[1], "/", 3);
  g_autoptr (CubeSelector) fields = words[4] != NULL ? cube_selector_parse_fields (words[4], NULL) : NULL;
  CubeAttributes a = { .verb = words[0],
                       .group = path[0],
                       .version = "v1",
                       .resource = path[1],
                       .subresource = path[2] != NULL ? path[2] : "",
                       .ns = g_str_equal (words[2], "-") ? "" : words[2],
                       .name = g_str_equal (words[3], "-") ? "" : words[3],
                       .path = "",
                       .has_fields = TRUE,
                       .fields = fields };
  g_autofree char *reason = NULL;

  return node_rules_decide (&world, "n", &a, &reason);
}

static void
test_decide (void)
{
  static const char *const allowed[] = {
    "get /nodes - n",
    "patch /nodes/status - n",
    "create /nodes - -",
    "list /nodes - - metadata.name=n",
    "get /secrets a s",
    "get /configmaps a c",
    "watch /secrets a - metadata.name=s",
    "get /persistentvolumeclaims a q",
    "get /persistentvolumes - pv",
    "create /serviceaccounts/token a sa",
    "get /serviceaccounts a sa",
    "get /pods a p",
    "list /pods - - spec.nodeName=n",
    "watch /pods - - spec.nodeName=n",
    "delete /pods a p",
    "update /pods/status a p",
    "create /pods/eviction a p",
    "get coordination.k8s.io/leases kube-node-lease n",
    "create coordination.k8s.io/leases kube-node-lease -",
    "list /services - -",
    "create events.k8s.io/events a -",
    "list node.k8s.io/runtimeclasses - -",
    "create authentication.k8s.io/tokenreviews - -",
    "get storage.k8s.io/csinodes - n",
  };
  static const char *const refused[] = {
    "get /nodes - m",
    "patch /nodes - m",
    "delete /nodes - n",
    "list /nodes - -",
    "list /nodes - - metadata.name=m",
    "get /secrets a x",
    "get /secrets b s",
    "list /secrets a -",
    "list /secrets - -",
    "watch /secrets - - metadata.name=s",
    "update /secrets a s",
    "get /configmaps a s",
    "get /persistentvolumes - other",
    "create /serviceaccounts/token a default",
    "get /pods a o",
    "get /pods a none",
    "list /pods - -",
    "list /pods a - spec.nodeName=m",
    "update /pods a p",
    "create /pods/exec a p",
    "get coordination.k8s.io/leases kube-node-lease m",
    "get coordination.k8s.io/leases kube-system n",
    "get apps/secrets a s",
    "get storage.k8s.io/volumeattachments - x",
    "create /namespaces - -",
    "get /pods/log a p",
    "create rbac.authorization.k8s.io/clusterrolebindings - -",
    "list /pods - - spec.nodeName!=n",
    "list resource.k8s.io/resourceslices - -",
  };

  for (guint i = 0; i < G_N_ELEMENTS (allowed); i++)
    if (decide (allowed[i]) != CUBE_DECISION_ALLOW)
      g_error ("not allowed: %s", allowed[i]);
  for (guint i = 0; i < G_N_ELEMENTS (refused); i++)
    if (decide (refused[i]) != CUBE_DECISION_NO_OPINION)
      g_error ("allowed: %s", refused[i]);
}

static void
test_identity (void)
{
  const char *const nodes[] = { "system:nodes", NULL };
  g_autoptr (CubeUser) good = cube_user_new ("system:node:n", "", nodes), no_group = cube_user_new ("system:node:n", "", NULL);
  g_autoptr (CubeUser) no_prefix = cube_user_new ("n", "", nodes), empty = cube_user_new ("system:node:", "", nodes);

  g_assert_cmpstr (node_rules_identity (good), ==, "n");
  g_assert_null (node_rules_identity (no_group));
  g_assert_null (node_rules_identity (no_prefix));
  g_assert_null (node_rules_identity (empty));
  g_assert_null (node_rules_identity (NULL));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/node-authorizer/decide", test_decide);
  g_test_add_func ("/node-authorizer/identity", test_identity);
  return g_test_run ();
}
