/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "NamespaceLifecycle". */
#include "lifecycle.h"

static gboolean
handles (gpointer context, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return lifecycle_handles (verb, resource, subresource);
}

/* In the first phase and first of all, so that nobody else reserves anything for a namespace that is not there. */
static gboolean
mutate (gpointer context, CubeAdmissionRequest *request, CubeMut *object, GError **error)
{
  g_autoptr (CubeObject) found = NULL;
  g_autoptr (GError) local = NULL;

  if (request->verb == CUBE_VERB_CREATE)
    {
      if (request->ns == NULL || *request->ns == '\0')
        return TRUE;
      found = admission_look_up (context, "v1", "namespaces", NULL, request->ns, &local);
      if (local != NULL)
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
    }
  return lifecycle_check (request, found, error);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

static const CubeAdmissionOps ops = { .ops_size = sizeof ops, .order = 0, .handles = handles, .mutate = mutate };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "NamespaceLifecycle", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-namespace-lifecycle", .version = "1", .description = "nothing new in absent or ending namespaces",
                    .license = "Apache-2.0", .impls = impls, .load = load);
