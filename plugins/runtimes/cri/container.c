/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include <cube/error.h>

gboolean
cri_create_container (gpointer state, const char *sandbox_id, const CubeContainerConfig *config, const CubeSandboxConfig *sandbox,
                      char **ret_id, GCancellable *cancellable, GError **error)
{
  g_autoptr (CriArena) arena = cri_arena_new ();
  Cri__CreateContainerRequest request = CRI__CREATE_CONTAINER_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;

  request.pod_sandbox_id = cri_text (sandbox_id);
  request.config = cri_container_config (arena, config);
  request.sandbox_config = cri_sandbox_config (arena, sandbox);
  answer = cri_call (state, CRI_CREATE_CONTAINER, &request.base, CRI_TIMEOUT_MS, cancellable, error);
  if (answer == NULL)
    return FALSE;
  *ret_id = cri_copy_text (((Cri__CreateContainerResponse *) answer)->container_id);
  if (*ret_id != NULL)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "container %s of pod %s/%s: the runtime gave no id", config->name, sandbox->ns,
               sandbox->name);
  return FALSE;
}

gboolean
cri_start_container (gpointer state, const char *id, GError **error)
{
  Cri__StartContainerRequest request = CRI__START_CONTAINER_REQUEST__INIT;

  request.container_id = cri_text (id);
  return cri_do (state, CRI_START_CONTAINER, &request.base, CRI_TIMEOUT_MS, NULL, error);
}

gboolean
cri_stop_container (gpointer state, const char *id, gint64 grace_seconds, GCancellable *cancellable, GError **error)
{
  Cri__StopContainerRequest request = CRI__STOP_CONTAINER_REQUEST__INIT;
  g_autoptr (GError) own_error = NULL;
  gint64 grace = CLAMP (grace_seconds, 0, G_MAXINT32);

  request.container_id = cri_text (id);
  request.timeout = grace;
  if (cri_do (state, CRI_STOP_CONTAINER, &request.base, CRI_TIMEOUT_MS + grace * 1000, cancellable, &own_error) || cri_is_gone (&own_error))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&own_error));
  return FALSE;
}

gboolean
cri_remove_container (gpointer state, const char *id, GError **error)
{
  Cri__RemoveContainerRequest request = CRI__REMOVE_CONTAINER_REQUEST__INIT;
  g_autoptr (GError) own_error = NULL;

  request.container_id = cri_text (id);
  if (cri_do (state, CRI_REMOVE_CONTAINER, &request.base, CRI_TIMEOUT_MS, NULL, &own_error) || cri_is_gone (&own_error))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&own_error));
  return FALSE;
}

CubeContainer *
cri_container_status (gpointer state, const char *id, GError **error)
{
  Cri__ContainerStatusRequest request = CRI__CONTAINER_STATUS_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ContainerStatusResponse *response;

  request.container_id = cri_text (id);
  answer = cri_call (state, CRI_CONTAINER_STATUS, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ContainerStatusResponse *) answer;
  if (response->status != NULL)
    return cri_container_from_status (response->status);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "container %s: the runtime gave no status", id);
  return NULL;
}

GPtrArray *
cri_list_containers (gpointer state, GError **error)
{
  Cri__ListContainersRequest request = CRI__LIST_CONTAINERS_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ListContainersResponse *response;
  GPtrArray *containers;

  answer = cri_call (state, CRI_LIST_CONTAINERS, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ListContainersResponse *) answer;
  containers = g_ptr_array_new_full ((guint) response->n_containers, (GDestroyNotify) cube_container_free);
  for (size_t i = 0; i < response->n_containers; i++)
    g_ptr_array_add (containers, cri_container_from_item (response->containers[i]));
  return containers;
}

gboolean
cri_update_resources (gpointer state, const char *id, const CubeLinuxResources *resources, GError **error)
{
  g_autoptr (CriArena) arena = cri_arena_new ();
  Cri__UpdateContainerResourcesRequest request = CRI__UPDATE_CONTAINER_RESOURCES_REQUEST__INIT;

  request.container_id = cri_text (id);
  request.linux_ = cri_resources (arena, resources);
  return cri_do (state, CRI_UPDATE_CONTAINER_RESOURCES, &request.base, CRI_TIMEOUT_MS, NULL, error);
}

gboolean
cri_reopen_log (gpointer state, const char *id, GError **error)
{
  Cri__ReopenContainerLogRequest request = CRI__REOPEN_CONTAINER_LOG_REQUEST__INIT;

  request.container_id = cri_text (id);
  return cri_do (state, CRI_REOPEN_CONTAINER_LOG, &request.base, CRI_TIMEOUT_MS, NULL, error);
}

static void
give_output (GBytes **ret_bytes, const ProtobufCBinaryData *output)
{
  if (ret_bytes != NULL)
    *ret_bytes = g_bytes_new (output->data, MIN (output->len, CRI_EXEC_OUTPUT_BYTES));
}

gboolean
cri_exec_sync (gpointer state, const char *id, const char *const *command, gint64 timeout_us, GBytes **ret_stdout, GBytes **ret_stderr,
               gint32 *ret_exit_code, GCancellable *cancellable, GError **error)
{
  Cri__ExecSyncRequest request = CRI__EXEC_SYNC_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ExecSyncResponse *response;
  /* The protocol counts seconds; the call's own deadline keeps what is finer. */
  gint64 timeout_ms = timeout_us > 0 ? MAX (timeout_us / 1000, 1) : 0;

  request.container_id = cri_text (id);
  request.cmd = cri_texts (command, &request.n_cmd);
  request.timeout = (timeout_ms + 999) / 1000;
  answer = cri_call (state, CRI_EXEC_SYNC, &request.base, timeout_ms, cancellable, error);
  if (answer == NULL)
    return FALSE;
  response = (const Cri__ExecSyncResponse *) answer;
  give_output (ret_stdout, &response->stdout_);
  give_output (ret_stderr, &response->stderr_);
  if (ret_exit_code != NULL)
    *ret_exit_code = response->exit_code;
  return TRUE;
}
