/* SPDX-License-Identifier: Apache-2.0 */
#include "restriction.h"

#include <string.h>

#define OWN "'ownerReferences':[{'apiVersion':'v1','kind':'Node','name':'n','uid':'u','controller':true}]"
#define MIRROR "'name':'p','annotations':{'kubernetes.io/config.mirror':'h'}"

static const CubeResource resources[] = {
  { .group = "", .resource = "pods", .is_namespaced = TRUE },
  { .group = "", .resource = "nodes" },
  { .group = "coordination.k8s.io", .resource = "leases", .is_namespaced = TRUE },
  { .group = "", .resource = "serviceaccounts", .is_namespaced = TRUE },
  { .group = "", .resource = "secrets", .is_namespaced = TRUE },
  { .group = "", .resource = "events", .is_namespaced = TRUE },
  { .group = "storage.k8s.io", .resource = "csinodes" },
  { .group = "", .resource = "persistentvolumeclaims", .is_namespaced = TRUE },
  { .group = "certificates.k8s.io", .resource = "certificatesigningrequests" },
  { .group = "rbac.authorization.k8s.io", .resource = "clusterroles" },
};

typedef struct {
  CubeVerb verb;
  const char *resource, *sub, *ns, *name, *old, *object, *words; /* words NULL = allowed */
} Case;

static CubeValue *
json (const char *text)
{
  g_autofree char *copy = g_strdelimit (g_strdup (text), "'", '"');
  g_autoptr (GError) error = NULL;
  CubeValue *value = cube_value_from_json (copy, -1, NULL, &error);

  g_assert_no_error (error);
  return value;
}

static CubeValue *
look_up (gpointer data, const char *resource, const char *ns, const char *name)
{
  if (g_str_equal (resource, "nodes"))
    return json ("{'metadata':{'uid':'u'}}");
  return g_str_equal (name, "p") ? json ("{'metadata':{'uid':'pu'},'spec':{'nodeName':'n'}}")
                                 : json ("{'metadata':{'uid':'ou'},'spec':{'nodeName':'m'}}");
}

static const CubeResource *
find (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (resources); i++)
    if (g_str_equal (resources[i].resource, name))
      return &resources[i];
  g_error ("%s", name);
}

static void
check (const char *user_name, const Case *c)
{
  const char *const groups[] = { "system:nodes", NULL };
  g_autoptr (CubeUser) user = cube_user_new (user_name, "", groups);
  g_autoptr (CubeValue) old = c->old != NULL ? json (c->old) : NULL, object = c->object != NULL ? json (c->object) : NULL;
  CubeAdmissionRequest request = { .verb = c->verb,
                                   .resource = find (c->resource),
                                   .subresource = c->sub,
                                   .ns = c->ns,
                                   .name = c->name,
                                   .user = user,
                                   .old = old != NULL ? cube_value_root (old) : cube_view_none () };
  RestrictionWorld world = { look_up, NULL };
  g_autoptr (GError) error = NULL;
  gboolean is_allowed = restriction_check (&world, &request, object != NULL ? cube_value_root (object) : cube_view_none (), &error);

  if (is_allowed != (c->words == NULL) || (c->words != NULL && strstr (error->message, c->words) == NULL))
    g_error ("%s %s/%s %s: found \"%s\", wanted \"%s\"", cube_verb_name (c->verb), c->resource, c->sub, c->name,
             error != NULL ? error->message : "allowed", c->words != NULL ? c->words : "allowed");
}

static void
test_cases (void)
{
  static const Case cases[] = {
    /* pods */
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL, "{'metadata':{" MIRROR "," OWN "},'spec':{'nodeName':'n'}}", NULL },
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL, "{'metadata':{'name':'p'},'spec':{'nodeName':'n'}}", "can only create mirror pods" },
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL, "{'metadata':{" MIRROR "," OWN "},'spec':{'nodeName':'m'}}",
      "with spec.nodeName set to itself" },
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL, "{'metadata':{" MIRROR "},'spec':{'nodeName':'n'}}",
      "a single owner reference set to itself" },
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL, "{'metadata':{" MIRROR "," OWN "},'spec':{'nodeName':'n','serviceAccountName':'s'}}",
      "reference a service account" },
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL,
      "{'metadata':{" MIRROR "," OWN "},'spec':{'nodeName':'n','ephemeralContainers':[{'envFrom':[{'secretRef':{'name':'s'}}]}]}}",
      "reference secrets" },
    { CUBE_VERB_CREATE, "pods", "", "a", "p", NULL,
      "{'metadata':{" MIRROR "," OWN "},'spec':{'nodeName':'n','resourceClaims':[{'resourceClaimName':'s'}]}}",
      "reference resourceclaims" },
    { CUBE_VERB_DELETE, "pods", "", "a", "p", "{'spec':{'nodeName':'n'}}", NULL, NULL },
    { CUBE_VERB_DELETE, "pods", "", "a", "p", "{'spec':{'nodeName':'m'}}", NULL, "can only delete pods with spec.nodeName set to itself" },
    { CUBE_VERB_UPDATE, "pods", "", "a", "p", "{'spec':{'nodeName':'n'}}", "{'spec':{'nodeName':'n'}}", "unexpected operation" },
    { CUBE_VERB_UPDATE, "pods", "status", "a", "p", "{'spec':{'nodeName':'n'}}", "{'spec':{'nodeName':'n'},'status':{'phase':'Running'}}",
      NULL },
    { CUBE_VERB_UPDATE, "pods", "status", "a", "p", "{'spec':{'nodeName':'m'}}", "{'spec':{'nodeName':'n'}}",
      "can only update pod status for pods with spec.nodeName" },
    { CUBE_VERB_UPDATE, "pods", "status", "a", "p", "{'spec':{'nodeName':'n'}}",
      "{'metadata':{'labels':{'a':'b'}},'spec':{'nodeName':'n'}}", "cannot update labels" },
    { CUBE_VERB_UPDATE, "pods", "status", "a", "p", "{'spec':{'nodeName':'n'}}",
      "{'spec':{'nodeName':'n'},'status':{'resourceClaimStatuses':[{}]}}", "cannot update resource claim statuses" },
    { CUBE_VERB_CREATE, "pods", "status", "a", "p", NULL, "{}", "unexpected operation" },
    { CUBE_VERB_CREATE, "pods", "eviction", "a", "p", NULL, "{}", NULL },
    { CUBE_VERB_CREATE, "pods", "eviction", "a", "o", NULL, "{}", "can only evict pods" },
    { CUBE_VERB_CREATE, "pods", "binding", "a", "p", NULL, "{}", "only 'status' and 'eviction' are allowed" },
    { CUBE_VERB_UPDATE, "pods", "ephemeralcontainers", "a", "p", "{}", "{}", "only 'status' and 'eviction' are allowed" },
    /* nodes */
    { CUBE_VERB_CREATE, "nodes", "", "", "n", NULL,
      "{'metadata':{'labels':{'kubernetes.io/hostname':'n','x':'y'}},'spec':{'taints':[{'key':'a'}]}}", NULL },
    { CUBE_VERB_CREATE, "nodes", "", "", "m", NULL, "{}", "node \"n\" is not allowed to modify node \"m\"" },
    { CUBE_VERB_CREATE, "nodes", "", "", "n", NULL, "{'metadata':{'labels':{'node-role.kubernetes.io/control-plane':''}}}",
      "is not allowed to set the following labels: node-role.kubernetes.io/control-plane" },
    { CUBE_VERB_CREATE, "nodes", "", "", "n", NULL, "{'metadata':{'ownerReferences':[{'uid':'x'}]}}",
      "is not allowed to modify ownerReferences" },
    { CUBE_VERB_UPDATE, "nodes", "", "", "n", "{}", "{'metadata':{'ownerReferences':[{'uid':'x'}]}}",
      "is not allowed to modify ownerReferences" },
    { CUBE_VERB_UPDATE, "nodes", "status", "", "n", "{}", "{'metadata':{'ownerReferences':[{'uid':'x'}]}}",
      "is not allowed to modify ownerReferences" },
    { CUBE_VERB_UPDATE, "nodes", "", "", "n", "{'spec':{'taints':[{'key':'a'}]}}", "{'spec':{}}", "is not allowed to modify taints" },
    { CUBE_VERB_UPDATE, "nodes", "", "", "n", "{}", "{'spec':{'providerID':'x'},'metadata':{'annotations':{'a':'b'}}}", NULL },
    { CUBE_VERB_UPDATE, "nodes", "", "", "n", "{}", "{'spec':{'externalID':'x'}}", "is not allowed to modify spec.externalID" },
    { CUBE_VERB_UPDATE, "nodes", "", "", "n", "{'metadata':{'labels':{'node-restriction.kubernetes.io/a':'b'}}}", "{}",
      "is not allowed to modify labels: node-restriction.kubernetes.io/a" },
    { CUBE_VERB_UPDATE, "nodes", "status", "", "n", "{}", "{'status':{'conditions':[]}}", NULL },
    { CUBE_VERB_UPDATE, "nodes", "proxy", "", "n", "{}", "{}", "is not allowed to write nodes/proxy" },
    { CUBE_VERB_DELETE, "nodes", "", "", "n", "{}", NULL, "is not allowed to delete itself" },
    { CUBE_VERB_DELETE, "nodes", "", "", "m", "{}", NULL, "is not allowed to modify node \"m\"" },
    /* the rest */
    { CUBE_VERB_UPDATE, "leases", "", "kube-node-lease", "n", "{}", "{}", NULL },
    { CUBE_VERB_UPDATE, "leases", "", "kube-node-lease", "m", "{}", "{}", "with the same name as the requesting node" },
    { CUBE_VERB_CREATE, "leases", "", "kube-system", "n", NULL, "{}", "system namespace" },
    { CUBE_VERB_DELETE, "csinodes", "", "", "m", "{}", NULL, "can only access CSINode" },
    { CUBE_VERB_CREATE, "serviceaccounts", "token", "a", "s", NULL,
      "{'spec':{'boundObjectRef':{'apiVersion':'v1','kind':'Pod','name':'p','uid':'pu'}}}", NULL },
    { CUBE_VERB_CREATE, "serviceaccounts", "token", "a", "s", NULL, "{'spec':{}}", "not bound to a pod" },
    { CUBE_VERB_CREATE, "serviceaccounts", "token", "a", "s", NULL,
      "{'spec':{'boundObjectRef':{'apiVersion':'v1','kind':'Pod','name':'p'}}}", "without a uid" },
    { CUBE_VERB_CREATE, "serviceaccounts", "token", "a", "s", NULL,
      "{'spec':{'boundObjectRef':{'apiVersion':'v1','kind':'Pod','name':'p','uid':'x'}}}", "does not match" },
    { CUBE_VERB_CREATE, "serviceaccounts", "token", "a", "s", NULL,
      "{'spec':{'boundObjectRef':{'apiVersion':'v1','kind':'Pod','name':'o','uid':'ou'}}}", "different node" },
    { CUBE_VERB_CREATE, "serviceaccounts", "", "a", "s", NULL, "{}", "is not allowed to create serviceaccounts" },
    { CUBE_VERB_UPDATE, "persistentvolumeclaims", "status", "a", "q", "{}", "{'status':{}}", NULL },
    { CUBE_VERB_UPDATE, "persistentvolumeclaims", "", "a", "q", "{}", "{}", "can only update the status" },
    { CUBE_VERB_CREATE, "certificatesigningrequests", "", "", "c", NULL, "{'spec':{'signerName':'kubernetes.io/kubelet-serving'}}", NULL },
    { CUBE_VERB_CREATE, "certificatesigningrequests", "", "", "c", NULL, "{'spec':{'signerName':'kubernetes.io/kube-apiserver-client'}}",
      "can only request certificates" },
    { CUBE_VERB_CREATE, "events", "", "a", "e", NULL, "{}", NULL },
    { CUBE_VERB_DELETE, "events", "", "a", "e", "{}", NULL, "is not allowed to delete events" },
    { CUBE_VERB_CREATE, "secrets", "", "a", "e", NULL, "{}", "is not allowed to create secrets" },
    { CUBE_VERB_UPDATE, "clusterroles", "", "", "e", "{}", "{}", "is not allowed to update clusterroles" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      Case free_case = cases[i];

      check ("system:node:n", &cases[i]);
      free_case.words = NULL;
      check ("jane", &free_case); /* nobody else is held to it */
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/node-restriction/cases", test_cases);
  return g_test_run ();
}
