/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"

static const char *const immortal[] = { "default", "kube-system", "kube-public", NULL };

/* Reviews ask about a namespace without putting anything into it. */
gboolean
lifecycle_handles (CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  if (verb == CUBE_VERB_DELETE)
    return admission_is (resource, "", "namespaces") && admission_is_whole (subresource);
  return verb == CUBE_VERB_CREATE && resource->is_namespaced
         && !admission_is (resource, "authorization.k8s.io", "localsubjectaccessreviews");
}

static gboolean
refuse_terminating (const CubeAdmissionRequest *request, GError **error)
{
  GError *local = NULL;

  admission_forbid (request, &local, "unable to create new content in namespace %s because it is being terminated", request->ns);
  cube_error_add_cause (local, "NamespaceTerminating", "metadata.namespace", "namespace %s is being terminated", request->ns);
  g_propagate_error (error, local);
  return FALSE;
}

gboolean
lifecycle_check (const CubeAdmissionRequest *request, const CubeObject *found, GError **error)
{
  if (request->verb == CUBE_VERB_DELETE)
    return !g_strv_contains (immortal, request->name) || admission_forbid (request, error, "this namespace may not be deleted");
  if (found == NULL)
    {
      g_propagate_error (error, cube_error_not_found ("", "namespaces", request->ns));
      return FALSE;
    }
  return cube_object_deletion_timestamp (found) == NULL || refuse_terminating (request, error);
}
