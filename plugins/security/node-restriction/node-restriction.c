/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "NodeRestriction". */
#include "restriction.h"

static CubeValue *
look_up (gpointer context, const char *resource, const char *ns, const char *name)
{
  g_autoptr (CubeObject) object = admission_look_up (context, "v1", resource, ns, name, NULL);

  return object != NULL ? cube_object_value (object) : NULL;
}

/* Who asks is not known yet here; the check itself begins with it and is a comparison of a few bytes for others. */
static gboolean
handles (gpointer context, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return TRUE;
}

static gboolean
validate (gpointer context, CubeAdmissionRequest *request, CubeView object, GError **error)
{
  RestrictionWorld world = { look_up, context };

  return restriction_check (&world, request, object, error);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

static const CubeAdmissionOps ops = { .ops_size = sizeof ops, .order = 30, .handles = handles, .validate = validate };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "NodeRestriction", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-node-restriction", .version = "1", .description = "what nodes may write", .license = "Apache-2.0",
                    .impls = impls, .load = load);
