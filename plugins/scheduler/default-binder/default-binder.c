/* SPDX-License-Identifier: Apache-2.0 */
/* DefaultBinder: creates pods/binding, without waiting, so that many binds share one commit. */
#include <cube/scheduler.h>

typedef struct {
  CubeContext *context;
  const CubeResource *pods;
} State;

typedef struct {
  CubeRequest request;
  CubeValue *body;
  CubeBindDone done;
  gpointer data;
} Call;

static CubeValue *
make_binding (const CubePodInfo *pod, const char *node_name)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *metadata, *target;

  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Binding");
  metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", pod->name);
  cube_mut_set_string (metadata, "namespace", pod->ns);
  cube_mut_set_string (metadata, "uid", pod->uid);
  target = cube_mut_set_object (root, "target");
  cube_mut_set_string (target, "kind", "Node");
  cube_mut_set_string (target, "name", node_name);
  return cube_builder_end (builder);
}

static void
fill_request (State *state, CubeRequest *request, const CubePodInfo *pod, const CubeValue *body)
{
  *request = (CubeRequest) CUBE_REQUEST_INIT;
  request->verb = CUBE_VERB_CREATE;
  request->resource = state->pods;
  request->subresource = "binding";
  request->ns = pod->ns;
  request->name = pod->name;
  request->body = body;
}

static void
answered (CubeResponse *response, GError *error, gpointer data)
{
  Call *call = data;

  call->done (error, call->data);
  cube_response_unref (response);
  cube_value_unref (call->body);
  g_slice_free (Call, call);
}

static void
bind_async (gpointer data, const CubePodInfo *pod, const char *node_name, CubeLoop *loop, CubeBindDone done, gpointer done_data)
{
  State *state = data;
  Call *call = g_slice_new0 (Call);

  call->body = make_binding (pod, node_name);
  call->done = done;
  call->data = done_data;
  fill_request (state, &call->request, pod, call->body);
  /* ns and name are the pod's: it lives until done has run, and done is the last to look at the request's owner. */
  cube_client_execute_async (cube_context_client (state->context), &call->request, loop, answered, call);
}

static CubeFit
bind_blocking (gpointer data, const CubePodInfo *pod, const char *node_name, GError **error)
{
  State *state = data;
  g_autoptr (CubeValue) body = make_binding (pod, node_name);
  g_autoptr (CubeResponse) response = NULL;
  CubeRequest request;

  fill_request (state, &request, pod, body);
  response = cube_client_execute (cube_context_client (state->context), &request, error);
  return response != NULL ? CUBE_FIT_OK : CUBE_FIT_ERROR;
}

static const CubeBindOps bind_ops = { .ops_size = sizeof bind_ops, .bind = bind_blocking, .bind_async = bind_async };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->context = context;
  state->pods = cube_schema_resource (cube_context_schema (context), "v1", "pods");
  *ret_state = state;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_BIND_PLUGIN, CUBE_BIND_VERSION, "DefaultBinder", bind_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "scheduler-default-binder", .version = "1", .description = "binds pods through pods/binding",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = g_free);
