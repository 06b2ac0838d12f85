/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include <cube/error.h>
#include <cube/failpoint.h>
#include <string.h>

#define RUNTIME "/runtime.v1.RuntimeService/"
#define IMAGE "/runtime.v1.ImageService/"

static const struct {
  const char *path;
  const ProtobufCMessageDescriptor *response;
} methods[CRI_N_METHODS] = {
  [CRI_VERSION_CALL] = { RUNTIME "Version", &cri__version_response__descriptor },
  [CRI_STATUS] = { RUNTIME "Status", &cri__status_response__descriptor },
  [CRI_UPDATE_RUNTIME_CONFIG] = { RUNTIME "UpdateRuntimeConfig", &cri__empty__descriptor },
  [CRI_RUN_POD_SANDBOX] = { RUNTIME "RunPodSandbox", &cri__run_pod_sandbox_response__descriptor },
  [CRI_STOP_POD_SANDBOX] = { RUNTIME "StopPodSandbox", &cri__empty__descriptor },
  [CRI_REMOVE_POD_SANDBOX] = { RUNTIME "RemovePodSandbox", &cri__empty__descriptor },
  [CRI_POD_SANDBOX_STATUS] = { RUNTIME "PodSandboxStatus", &cri__pod_sandbox_status_response__descriptor },
  [CRI_LIST_POD_SANDBOX] = { RUNTIME "ListPodSandbox", &cri__list_pod_sandbox_response__descriptor },
  [CRI_CREATE_CONTAINER] = { RUNTIME "CreateContainer", &cri__create_container_response__descriptor },
  [CRI_START_CONTAINER] = { RUNTIME "StartContainer", &cri__empty__descriptor },
  [CRI_STOP_CONTAINER] = { RUNTIME "StopContainer", &cri__empty__descriptor },
  [CRI_REMOVE_CONTAINER] = { RUNTIME "RemoveContainer", &cri__empty__descriptor },
  [CRI_LIST_CONTAINERS] = { RUNTIME "ListContainers", &cri__list_containers_response__descriptor },
  [CRI_CONTAINER_STATUS] = { RUNTIME "ContainerStatus", &cri__container_status_response__descriptor },
  [CRI_UPDATE_CONTAINER_RESOURCES] = { RUNTIME "UpdateContainerResources", &cri__empty__descriptor },
  [CRI_REOPEN_CONTAINER_LOG] = { RUNTIME "ReopenContainerLog", &cri__empty__descriptor },
  [CRI_EXEC_SYNC] = { RUNTIME "ExecSync", &cri__exec_sync_response__descriptor },
  [CRI_EXEC] = { RUNTIME "Exec", &cri__streaming_response__descriptor },
  [CRI_ATTACH] = { RUNTIME "Attach", &cri__streaming_response__descriptor },
  [CRI_PORT_FORWARD] = { RUNTIME "PortForward", &cri__streaming_response__descriptor },
  [CRI_LIST_CONTAINER_STATS] = { RUNTIME "ListContainerStats", &cri__list_container_stats_response__descriptor },
  [CRI_LIST_POD_SANDBOX_STATS] = { RUNTIME "ListPodSandboxStats", &cri__list_pod_sandbox_stats_response__descriptor },
  [CRI_LIST_IMAGES] = { IMAGE "ListImages", &cri__list_images_response__descriptor },
  [CRI_IMAGE_STATUS] = { IMAGE "ImageStatus", &cri__image_status_response__descriptor },
  [CRI_PULL_IMAGE] = { IMAGE "PullImage", &cri__pull_image_response__descriptor },
  [CRI_REMOVE_IMAGE] = { IMAGE "RemoveImage", &cri__empty__descriptor },
  [CRI_IMAGE_FS_INFO] = { IMAGE "ImageFsInfo", &cri__image_fs_info_response__descriptor },
};

/* The one table from gRPC's codes to Cube's. */
static const CubeErrorCode error_codes[] = {
  [CUBE_GRPC_OK] = CUBE_ERROR_INTERNAL,
  [CUBE_GRPC_CANCELLED] = CUBE_ERROR_SERVICE_UNAVAILABLE,
  [CUBE_GRPC_UNKNOWN] = CUBE_ERROR_INTERNAL,
  [CUBE_GRPC_INVALID_ARGUMENT] = CUBE_ERROR_BAD_REQUEST,
  [CUBE_GRPC_DEADLINE_EXCEEDED] = CUBE_ERROR_TIMEOUT,
  [CUBE_GRPC_NOT_FOUND] = CUBE_ERROR_NOT_FOUND,
  [CUBE_GRPC_ALREADY_EXISTS] = CUBE_ERROR_ALREADY_EXISTS,
  [CUBE_GRPC_PERMISSION_DENIED] = CUBE_ERROR_FORBIDDEN,
  [CUBE_GRPC_RESOURCE_EXHAUSTED] = CUBE_ERROR_TOO_MANY_REQUESTS,
  [CUBE_GRPC_FAILED_PRECONDITION] = CUBE_ERROR_CONFLICT,
  [CUBE_GRPC_ABORTED] = CUBE_ERROR_CONFLICT,
  [CUBE_GRPC_OUT_OF_RANGE] = CUBE_ERROR_BAD_REQUEST,
  [CUBE_GRPC_UNIMPLEMENTED] = CUBE_ERROR_NOT_IMPLEMENTED,
  [CUBE_GRPC_INTERNAL] = CUBE_ERROR_INTERNAL,
  [CUBE_GRPC_UNAVAILABLE] = CUBE_ERROR_SERVICE_UNAVAILABLE,
  [CUBE_GRPC_DATA_LOSS] = CUBE_ERROR_INTERNAL,
  [CUBE_GRPC_UNAUTHENTICATED] = CUBE_ERROR_UNAUTHORIZED,
};

void
cri_convert_error (GError **error, GCancellable *cancellable)
{
  GError *converted;
  int code;

  if (error == NULL || *error == NULL || (*error)->domain != CUBE_GRPC_ERROR)
    return;
  code = (*error)->code;
  if (code == CUBE_GRPC_CANCELLED && g_cancellable_is_cancelled (cancellable))
    {
      g_clear_error (error);
      g_cancellable_set_error_if_cancelled (cancellable, error);
      return;
    }
  converted = g_error_new_literal (
      CUBE_ERROR, code >= 0 && code < (int) G_N_ELEMENTS (error_codes) ? error_codes[code] : CUBE_ERROR_INTERNAL, (*error)->message);
  g_clear_error (error);
  *error = converted;
}

void
cri_set_reachable (Cri *self, gboolean is_reachable, const char *why)
{
  g_autofree char *message = NULL;

  g_mutex_lock (&self->lock);
  if (self->socket_path == NULL)
    message = g_strdup (why);
  else if (is_reachable)
    message = g_strdup_printf ("%s answers", self->socket_path);
  else
    message = g_strdup_printf ("%s: %s", self->socket_path, why);
  if (self->health == NULL || self->is_reachable != is_reachable || !g_str_equal (self->health, message))
    {
      self->is_reachable = is_reachable;
      g_free (self->health);
      self->health = g_strdup (message);
      cube_context_set_health (self->context, is_reachable, message);
    }
  g_mutex_unlock (&self->lock);
}

/* Only what says something about the runtime as a whole touches the health. */
static void
note_outcome (Cri *self, const GError *error)
{
  if (error == NULL)
    cri_set_reachable (self, TRUE, NULL);
  else if (g_error_matches (error, CUBE_GRPC_ERROR, CUBE_GRPC_UNAVAILABLE))
    cri_set_reachable (self, FALSE, error->message);
}

static void
observe (CriMethod method, gint64 spent_us)
{
  g_autofree char *labels = g_strdup_printf ("method=\"%s\"", strrchr (methods[method].path, '/') + 1);

  cube_metric_observe ("cube_cri_call_seconds", labels, (double) spent_us / G_USEC_PER_SEC);
}

/* "cri/METHOD": the call is not made. "cri/METHOD/after": it was, and its answer is lost. */
static gboolean
fails_here (CriMethod method, const char *when, GError **error)
{
#ifdef CUBE_FAILPOINTS
  g_autofree char *name = g_strconcat ("cri", strrchr (methods[method].path, '/'), when, NULL);
  if (cube_failpoint_hit (name))
    {
      g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_UNAVAILABLE, "failpoint %s", name);
      return TRUE;
    }
#endif
  return FALSE;
}

CubeGrpcMessage *
cri_call (Cri *self, CriMethod method, const ProtobufCMessage *request, gint64 timeout_ms, GCancellable *cancellable, GError **error)
{
  GError *own_error = NULL;
  gint64 begin = cube_context_monotonic_us (self->context);
  g_autoptr (CubeGrpcChannel) channel = cri_get_channel (self, &own_error);
  CubeGrpcMessage *answer = NULL;

  if (channel != NULL && !fails_here (method, "", &own_error))
    answer =
        cube_grpc_channel_unary (channel, methods[method].path, request, methods[method].response, timeout_ms, cancellable, &own_error);
  if (answer != NULL && fails_here (method, "/after", &own_error))
    g_clear_pointer (&answer, cube_grpc_message_free);
  observe (method, cube_context_monotonic_us (self->context) - begin);
  note_outcome (self, own_error);
  cri_convert_error (&own_error, cancellable);
  if (own_error != NULL)
    g_propagate_error (error, own_error);
  return answer;
}

gboolean
cri_do (Cri *self, CriMethod method, const ProtobufCMessage *request, gint64 timeout_ms, GCancellable *cancellable, GError **error)
{
  g_autoptr (CubeGrpcMessage) answer = cri_call (self, method, request, timeout_ms, cancellable, error);

  return answer != NULL;
}

gboolean
cri_is_gone (GError **error)
{
  if (!g_error_matches (*error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return FALSE;
  g_clear_error (error);
  return TRUE;
}
