/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "ServiceAccount". */
#include "account.h"

#include <cube/scalar.h>

static gboolean
handles (gpointer context, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return verb == CUBE_VERB_CREATE && admission_is_whole (subresource) && admission_is (resource, "", "pods");
}

static void
apply (CubeContext *context, CubeMut *pod, CubeView account)
{
  char suffix[6];

  cube_name_suffix (cube_context_random (context), 5, suffix);
  account_apply (pod, account, suffix);
}

static gboolean
mutate (gpointer data, CubeAdmissionRequest *request, CubeMut *object, GError **error)
{
  CubeContext *context = data;
  g_autofree char *name = NULL;
  g_autoptr (CubeObject) account = NULL;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (GError) local = NULL;

  if (account_is_mirror (object))
    return account_check_mirror (request, object, error);
  name = g_strdup (account_name (object));
  account_set_name (object, name);
  account = admission_look_up (context, "v1", "serviceaccounts", request->ns, name, &local);
  if (local != NULL)
    return admission_forbid (request, error, "error looking up service account %s/%s: %s", request->ns, name, local->message);
  if (account != NULL)
    {
      value = cube_object_value (account);
      apply (context, object, cube_value_root (value));
      return TRUE;
    }
  if (!g_str_equal (name, "default"))
    return admission_forbid (request, error, "error looking up service account %s/%s: serviceaccount \"%s\" not found", request->ns, name,
                             name);
  /* A new namespace's account is a moment away, and it will say nothing. Without controllers nobody makes it: a bare API. */
  if (cube_context_has_role (context, "controllers"))
    apply (context, object, cube_view_none ());
  return TRUE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

static const CubeAdmissionOps ops = { .ops_size = sizeof ops, .order = 20, .handles = handles, .mutate = mutate };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "ServiceAccount", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-serviceaccount-admission", .version = "1",
                    .description = "accounts, token volumes and pull secrets of pods", .license = "Apache-2.0", .impls = impls,
                    .load = load);
