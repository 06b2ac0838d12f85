/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "DenyServiceExternalIPs". */
#include "external-ips.h"

typedef struct {
  gboolean is_allowed;
} State;

static gboolean
handles (gpointer data, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return !((State *) data)->is_allowed && (verb == CUBE_VERB_CREATE || verb == CUBE_VERB_UPDATE) && admission_is (resource, "", "services");
}

static gboolean
validate (gpointer data, CubeAdmissionRequest *request, CubeView object, GError **error)
{
  return external_ips_check (request, object, error);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->is_allowed = cube_view_get_bool (cube_context_config (context), FALSE, "allow");
  *ret_state = state;
  return TRUE;
}

static const CubeAdmissionOps ops = { .ops_size = sizeof ops, .order = 60, .handles = handles, .validate = validate };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "DenyServiceExternalIPs", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-deny-external-ips", .version = "1", .description = "no service takes foreign addresses",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = g_free,
                    .config_schema = "allow bool false whether services may name external addresses\n");
