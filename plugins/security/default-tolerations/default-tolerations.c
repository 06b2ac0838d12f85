/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "DefaultTolerationSeconds". */
#include "admission.h"
#include "tolerations.h"

#define DEFAULT_SECONDS 300

typedef struct {
  gint64 not_ready_seconds, unreachable_seconds;
} State;

static gboolean
handles (gpointer data, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return (verb == CUBE_VERB_CREATE || verb == CUBE_VERB_UPDATE) && admission_is_whole (subresource) && admission_is (resource, "", "pods");
}

static gboolean
mutate (gpointer data, CubeAdmissionRequest *request, CubeMut *object, GError **error)
{
  State *state = data;

  tolerations_add (object, state->not_ready_seconds, state->unreachable_seconds);
  return TRUE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);
  CubeView config = cube_context_config (context);

  state->not_ready_seconds = cube_view_get_int (config, DEFAULT_SECONDS, "not-ready-seconds");
  state->unreachable_seconds = cube_view_get_int (config, DEFAULT_SECONDS, "unreachable-seconds");
  *ret_state = state;
  return TRUE;
}

static const CubeAdmissionOps ops = { .ops_size = sizeof ops, .order = 50, .handles = handles, .mutate = mutate };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "DefaultTolerationSeconds", ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "security-default-tolerations", .version = "1", .description = "how long pods stay on a node that is gone",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = g_free,
                    .config_schema = "not-ready-seconds int 300 seconds a pod stays on a node that is not ready\n"
                                     "unreachable-seconds int 300 seconds a pod stays on a node that cannot be reached\n");
