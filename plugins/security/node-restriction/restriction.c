/* SPDX-License-Identifier: Apache-2.0 */
#include "restriction.h"

#include <string.h>

#define USER_PREFIX "system:node:"

static const char *
identity (const CubeUser *user)
{
  return user != NULL && g_str_has_prefix (user->name, USER_PREFIX) && cube_user_in_group (user, "system:nodes")
             ? user->name + strlen (USER_PREFIX)
             : NULL;
}

static gboolean
check_lease (const char *node, const CubeAdmissionRequest *request, GError **error)
{
  if (g_strcmp0 (request->ns, "kube-node-lease") != 0)
    return admission_forbid (request, error, "can only access leases in the \"kube-node-lease\" system namespace");
  return g_str_equal (request->name, node)
         || admission_forbid (request, error, "can only access node lease with the same name as the requesting node");
}

static gboolean
check_csi_node (const char *node, const CubeAdmissionRequest *request, GError **error)
{
  return g_str_equal (request->name, node)
         || admission_forbid (request, error, "can only access CSINode with the same name as the requesting node");
}

/* A token for a pod that runs here, and for no longer than that pod. */
static gboolean
check_token (const RestrictionWorld *world, const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  CubeView reference = cube_view_get (object, "spec", "boundObjectRef");
  const char *name = cube_view_get_string (reference, "name"), *uid = cube_view_get_string (reference, "uid");
  g_autoptr (CubeValue) pod = NULL;

  if (g_strcmp0 (cube_view_get_string (reference, "kind"), "Pod") != 0
      || g_strcmp0 (cube_view_get_string (reference, "apiVersion"), "v1") != 0 || name == NULL)
    return admission_forbid (request, error, "node requested token not bound to a pod");
  if (uid == NULL || *uid == '\0')
    return admission_forbid (request, error, "node requested token with a pod binding without a uid");
  pod = world->look_up (world->data, "pods", request->ns, name);
  if (pod == NULL || g_strcmp0 (cube_view_string (cube_value_get (pod, "metadata", "uid")), uid) != 0)
    return admission_forbid (
        request, error,
        "the UID in the bound object reference (%s) does not match the UID in record. The object might have been deleted "
        "and then recreated",
        uid);
  return g_strcmp0 (cube_view_string (cube_value_get (pod, "spec", "nodeName")), node) == 0
         || admission_forbid (request, error, "node requested token bound to a pod scheduled on a different node");
}

static gboolean
check_claim (const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  if (request->verb != CUBE_VERB_UPDATE || g_strcmp0 (request->subresource, "status") != 0)
    return admission_forbid (request, error, "node \"%s\" can only update the status of persistentvolumeclaims", node);
  return cube_view_equal (cube_view_member (request->old, "spec"), cube_view_member (object, "spec"))
         || admission_forbid (request, error, "node \"%s\" is not allowed to update fields other than status", node);
}

static gboolean
check_signing_request (const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  const char *signer = cube_view_get_string (object, "spec", "signerName");

  return (request->verb == CUBE_VERB_CREATE && admission_is_whole (request->subresource)
          && (g_strcmp0 (signer, "kubernetes.io/kubelet-serving") == 0
              || g_strcmp0 (signer, "kubernetes.io/kube-apiserver-client-kubelet") == 0))
         || admission_forbid (request, error, "node \"%s\" can only request certificates of kubelets, found signer \"%s\"", node,
                              signer != NULL ? signer : "");
}

static gboolean
check_slice (const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  CubeView slice = request->verb == CUBE_VERB_CREATE ? object : request->old;

  if (g_strcmp0 (cube_view_get_string (slice, "spec", "nodeName"), node) == 0
      && (request->verb == CUBE_VERB_DELETE || g_strcmp0 (cube_view_get_string (object, "spec", "nodeName"), node) == 0))
    return TRUE;
  return admission_forbid (request, error,
                           "can only create, update or delete ResourceSlices with spec.nodeName set to the requesting node");
}

/* What may be written without a bond to the node: records, and questions that change nothing. */
static gboolean
is_free (const CubeAdmissionRequest *request)
{
  const CubeResource *r = request->resource;

  if (request->verb == CUBE_VERB_DELETE || !admission_is_whole (request->subresource))
    return FALSE;
  return admission_is (r, "", "events") || admission_is (r, "events.k8s.io", "events")
         || (request->verb == CUBE_VERB_CREATE
             && (admission_is (r, "authentication.k8s.io", "tokenreviews")
                 || admission_is (r, "authorization.k8s.io", "subjectaccessreviews")
                 || admission_is (r, "authorization.k8s.io", "localsubjectaccessreviews")
                 || admission_is (r, "authorization.k8s.io", "selfsubjectaccessreviews")
                 || admission_is (r, "authorization.k8s.io", "selfsubjectrulesreviews")
                 || admission_is (r, "authentication.k8s.io", "selfsubjectreviews")));
}

gboolean
restriction_check (const RestrictionWorld *world, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  const CubeResource *r = request->resource;
  const char *node = identity (request->user);

  if (node == NULL || is_free (request))
    return TRUE;
  if (admission_is (r, "", "pods"))
    return restriction_check_pod (world, node, request, object, error);
  if (admission_is (r, "", "nodes"))
    return restriction_check_node (node, request, object, error);
  if (admission_is (r, "coordination.k8s.io", "leases"))
    return check_lease (node, request, error);
  if (admission_is (r, "storage.k8s.io", "csinodes"))
    return check_csi_node (node, request, error);
  if (admission_is (r, "", "serviceaccounts") && g_strcmp0 (request->subresource, "token") == 0)
    return check_token (world, node, request, object, error);
  if (admission_is (r, "", "persistentvolumeclaims"))
    return check_claim (node, request, object, error);
  if (admission_is (r, "certificates.k8s.io", "certificatesigningrequests"))
    return check_signing_request (node, request, object, error);
  if (admission_is (r, "resource.k8s.io", "resourceslices"))
    return check_slice (node, request, object, error);
  return admission_forbid (request, error, "node \"%s\" is not allowed to %s %s", node, cube_verb_name (request->verb), r->resource);
}
