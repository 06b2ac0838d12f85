/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include <cube/error.h>

gboolean
cri_run_sandbox (gpointer state, const CubeSandboxConfig *config, char **ret_id, GCancellable *cancellable, GError **error)
{
  g_autoptr (CriArena) arena = cri_arena_new ();
  Cri__RunPodSandboxRequest request = CRI__RUN_POD_SANDBOX_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;

  request.config = cri_sandbox_config (arena, config);
  request.runtime_handler = cri_text (config->runtime_handler);
  /* Twice the usual: the network is set up within it. */
  answer = cri_call (state, CRI_RUN_POD_SANDBOX, &request.base, 2 * CRI_TIMEOUT_MS, cancellable, error);
  if (answer == NULL)
    return FALSE;
  *ret_id = cri_copy_text (((Cri__RunPodSandboxResponse *) answer)->pod_sandbox_id);
  if (*ret_id != NULL)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "sandbox of pod %s/%s: the runtime gave no id", config->ns, config->name);
  return FALSE;
}

gboolean
cri_stop_sandbox (gpointer state, const char *id, GError **error)
{
  Cri__StopPodSandboxRequest request = CRI__STOP_POD_SANDBOX_REQUEST__INIT;
  g_autoptr (GError) own_error = NULL;

  request.pod_sandbox_id = cri_text (id);
  if (cri_do (state, CRI_STOP_POD_SANDBOX, &request.base, CRI_TIMEOUT_MS, NULL, &own_error) || cri_is_gone (&own_error))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&own_error));
  return FALSE;
}

gboolean
cri_remove_sandbox (gpointer state, const char *id, GError **error)
{
  Cri__RemovePodSandboxRequest request = CRI__REMOVE_POD_SANDBOX_REQUEST__INIT;
  g_autoptr (GError) own_error = NULL;

  request.pod_sandbox_id = cri_text (id);
  if (cri_do (state, CRI_REMOVE_POD_SANDBOX, &request.base, CRI_TIMEOUT_MS, NULL, &own_error) || cri_is_gone (&own_error))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&own_error));
  return FALSE;
}

CubeSandbox *
cri_sandbox_status (gpointer state, const char *id, GError **error)
{
  Cri__PodSandboxStatusRequest request = CRI__POD_SANDBOX_STATUS_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__PodSandboxStatusResponse *response;

  request.pod_sandbox_id = cri_text (id);
  answer = cri_call (state, CRI_POD_SANDBOX_STATUS, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__PodSandboxStatusResponse *) answer;
  if (response->status != NULL)
    return cri_sandbox_from_status (response->status);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "sandbox %s: the runtime gave no status", id);
  return NULL;
}

GPtrArray *
cri_list_sandboxes (gpointer state, GError **error)
{
  Cri__ListPodSandboxRequest request = CRI__LIST_POD_SANDBOX_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ListPodSandboxResponse *response;
  GPtrArray *sandboxes;

  answer = cri_call (state, CRI_LIST_POD_SANDBOX, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ListPodSandboxResponse *) answer;
  sandboxes = g_ptr_array_new_full ((guint) response->n_items, (GDestroyNotify) cube_sandbox_free);
  for (size_t i = 0; i < response->n_items; i++)
    g_ptr_array_add (sandboxes, cri_sandbox_from_item (response->items[i]));
  return sandboxes;
}
