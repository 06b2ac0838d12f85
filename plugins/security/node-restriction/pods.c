/* SPDX-License-Identifier: Apache-2.0 */
/* What a node may do to pods. */
#include "podrefs.h"
#include "restriction.h"

static gboolean
is_on (CubeView pod, const char *node)
{
  return g_strcmp0 (cube_view_get_string (pod, "spec", "nodeName"), node) == 0;
}

static gboolean
check_references (const char *node, const CubeAdmissionRequest *request, CubeView pod, GError **error)
{
  static const struct {
    const char *resource, *words;
  } kinds[] = {
    { "serviceaccounts", "a service account" },
    { "secrets", "secrets" },
    { "configmaps", "configmaps" },
    { "persistentvolumeclaims", "persistentvolumeclaims" },
    { "resourceclaims", "resourceclaims" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (podrefs_has (pod, kinds[i].resource, NULL))
      return admission_forbid (request, error, "node \"%s\" can not create pods that reference %s", node, kinds[i].words);
  return TRUE;
}

/* The pod goes when the node does, and the node is the one that asks. */
static gboolean
check_owner (const RestrictionWorld *world, const char *node, const CubeAdmissionRequest *request, CubeView pod, GError **error)
{
  CubeView owners = cube_view_get (pod, "metadata", "ownerReferences"), owner = cube_view_element (owners, 0);
  g_autoptr (CubeValue) self = NULL;

  if (cube_view_length (owners) != 1)
    return admission_forbid (request, error, "node \"%s\" can only create pods with a single owner reference set to itself", node);
  self = world->look_up (world->data, "nodes", "", node);
  if (self == NULL || g_strcmp0 (cube_view_get_string (owner, "apiVersion"), "v1") != 0
      || g_strcmp0 (cube_view_get_string (owner, "kind"), "Node") != 0 || g_strcmp0 (cube_view_get_string (owner, "name"), node) != 0
      || g_strcmp0 (cube_view_get_string (owner, "uid"), cube_view_string (cube_value_get (self, "metadata", "uid"))) != 0)
    return admission_forbid (request, error, "node \"%s\" can only create pods with an owner reference set to itself", node);
  if (!cube_view_get_bool (owner, FALSE, "controller"))
    return admission_forbid (request, error,
                             "node \"%s\" can only create pods with an owner reference set to itself with controller set to true", node);
  return !cube_view_get_bool (owner, FALSE, "blockOwnerDeletion")
         || admission_forbid (request, error, "node \"%s\" must not set blockOwnerDeletion on an owner reference", node);
}

static gboolean
check_create (const RestrictionWorld *world, const char *node, const CubeAdmissionRequest *request, CubeView pod, GError **error)
{
  if (!cube_view_exists (cube_view_get (pod, "metadata", "annotations", "kubernetes.io/config.mirror")))
    return admission_forbid (request, error,
                             "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"%s\" can only create mirror pods", node);
  if (!is_on (pod, node))
    return admission_forbid (request, error, "node \"%s\" can only create pods with spec.nodeName set to itself", node);
  return check_owner (world, node, request, pod, error) && check_references (node, request, pod, error);
}

static gboolean
check_status (const char *node, const CubeAdmissionRequest *request, CubeView pod, GError **error)
{
  if (request->verb != CUBE_VERB_UPDATE)
    return admission_forbid (request, error, "unexpected operation \"%s\", node \"%s\" can only update pod status",
                             cube_verb_name (request->verb), node);
  if (!is_on (request->old, node))
    return admission_forbid (request, error, "node \"%s\" can only update pod status for pods with spec.nodeName set to itself", node);
  if (!cube_view_equal (cube_view_get (request->old, "metadata", "labels"), cube_view_get (pod, "metadata", "labels")))
    return admission_forbid (request, error, "node \"%s\" cannot update labels through pod status", node);
  return cube_view_equal (cube_view_get (request->old, "status", "resourceClaimStatuses"),
                          cube_view_get (pod, "status", "resourceClaimStatuses"))
         || admission_forbid (request, error, "node \"%s\" cannot update resource claim statuses", node);
}

static gboolean
check_eviction (const RestrictionWorld *world, const char *node, const CubeAdmissionRequest *request, GError **error)
{
  g_autoptr (CubeValue) pod = world->look_up (world->data, "pods", request->ns, request->name);

  return (pod != NULL && is_on (cube_value_root (pod), node))
         || admission_forbid (request, error, "node %s can only evict pods with spec.nodeName set to itself", node);
}

gboolean
restriction_check_pod (const RestrictionWorld *world, const char *node, const CubeAdmissionRequest *request, CubeView object,
                       GError **error)
{
  if (g_strcmp0 (request->subresource, "status") == 0)
    return check_status (node, request, object, error);
  if (g_strcmp0 (request->subresource, "eviction") == 0)
    return check_eviction (world, node, request, error);
  if (!admission_is_whole (request->subresource))
    return admission_forbid (request, error, "unexpected pod subresource \"%s\", only 'status' and 'eviction' are allowed",
                             request->subresource);
  if (request->verb == CUBE_VERB_CREATE)
    return check_create (world, node, request, object, error);
  if (request->verb == CUBE_VERB_DELETE)
    return is_on (request->old, node)
           || admission_forbid (request, error, "node \"%s\" can only delete pods with spec.nodeName set to itself", node);
  return admission_forbid (request, error, "unexpected operation \"%s\", node \"%s\" can only create and delete mirror pods",
                           cube_verb_name (request->verb), node);
}
