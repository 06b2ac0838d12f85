/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include <cube/error.h>
#include <string.h>

#include "streaming.h"

static gboolean
check_version (const Cri__VersionResponse *version, GError **error)
{
  if (g_str_equal (version->version, CRI_VERSION))
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED, "runtime api version is not supported: %s speaks '%s', wanted '%s'",
               version->runtime_name, version->version, CRI_VERSION);
  return FALSE;
}

/* Whether the condition holds; @ret_reason why not, in Kubernetes' words. */
static gboolean
read_condition (const Cri__RuntimeStatus *status, const char *type, char **ret_reason)
{
  for (size_t i = 0; status != NULL && i < status->n_conditions; i++)
    {
      const Cri__RuntimeCondition *condition = status->conditions[i];
      g_autofree char *text = NULL;

      if (!g_str_equal (condition->type, type))
        continue;
      if (condition->status)
        return TRUE;
      text = g_strdup_printf ("%s=false reason:%s message:%s", type, condition->reason, condition->message);
      *ret_reason = g_utf8_make_valid (text, -1);
      return FALSE;
    }
  *ret_reason = g_strdup_printf ("%s is not reported by the runtime", type);
  return FALSE;
}

gboolean
cri_status (gpointer state, CubeRuntimeStatus *ret_status, GError **error)
{
  Cri__VersionRequest version_request = CRI__VERSION_REQUEST__INIT;
  Cri__StatusRequest request = CRI__STATUS_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) version_answer = NULL;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__VersionResponse *version;
  const Cri__RuntimeStatus *status;

  version_request.version = cri_text (CRI_VERSION);
  version_answer = cri_call (state, CRI_VERSION_CALL, &version_request.base, CRI_PULSE_TIMEOUT_MS, NULL, error);
  if (version_answer == NULL)
    return FALSE;
  version = (const Cri__VersionResponse *) version_answer;
  if (!check_version (version, error))
    return FALSE;
  answer = cri_call (state, CRI_STATUS, &request.base, CRI_PULSE_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return FALSE;
  status = ((const Cri__StatusResponse *) answer)->status;
  memset (ret_status, 0, sizeof *ret_status);
  ret_status->runtime_ready = read_condition (status, "RuntimeReady", &ret_status->runtime_reason);
  ret_status->network_ready = read_condition (status, "NetworkReady", &ret_status->network_reason);
  ret_status->name = cri_copy_text (version->runtime_name);
  ret_status->version = cri_copy_text (version->runtime_version);
  ret_status->api_version = cri_copy_text (version->runtime_api_version);
  return TRUE;
}

gboolean
cri_set_pod_cidr (gpointer state, const char *cidr, GError **error)
{
  Cri__UpdateRuntimeConfigRequest request = CRI__UPDATE_RUNTIME_CONFIG_REQUEST__INIT;
  Cri__RuntimeConfig config = CRI__RUNTIME_CONFIG__INIT;
  Cri__NetworkConfig network = CRI__NETWORK_CONFIG__INIT;

  network.pod_cidr = cri_text (cidr);
  config.network_config = &network;
  request.runtime_config = &config;
  return cri_do (state, CRI_UPDATE_RUNTIME_CONFIG, &request.base, CRI_PULSE_TIMEOUT_MS, NULL, error);
}

/* -- the plugin */

/* "unix:///path" or a plain path, from the configuration, else what the daemon
 * says of the runtime it started.  There is no third: the containerd a machine
 * happens to have belongs to somebody else, whose containers would be ours to
 * clean up.  NULL if there is none (yet). */
static char *
find_socket (CubeContext *context)
{
  g_autofree char *endpoint = NULL;
  const char *configured = cube_view_get_string (cube_context_config (context), "endpoint");

  if (configured != NULL && configured[0] != '\0')
    endpoint = g_strdup (configured);
  else
    endpoint = cube_context_fact (context, "runtime-endpoint");
  if (endpoint == NULL || endpoint[0] == '\0')
    return NULL;
  if (g_str_has_prefix (endpoint, "unix://"))
    return g_strdup (endpoint + strlen ("unix://"));
  return g_steal_pointer (&endpoint);
}

/* The lock is held. */
static gboolean
use_socket (Cri *self, const char *path, GError **error)
{
  CubeGrpcChannel *channel;

  if (g_strcmp0 (path, self->socket_path) == 0)
    return TRUE;
  channel = cube_grpc_channel_new_unix (path, error);
  if (channel == NULL)
    return FALSE;
  if (self->channel != NULL)
    cube_grpc_channel_shutdown (self->channel);
  cube_grpc_channel_unref (self->channel);
  self->channel = channel;
  g_free (self->socket_path);
  self->socket_path = g_strdup (path);
  return TRUE;
}

/* The daemon may learn of its runtime after the plugin is loaded, or of
 * another one, so each call asks. */
CubeGrpcChannel *
cri_get_channel (Cri *self, GError **error)
{
  g_autofree char *path = find_socket (self->context);
  CubeGrpcChannel *channel = NULL;

  if (path == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
                   "container runtime: no endpoint is known yet; the daemon starts one, or 'endpoint' names it");
      return NULL;
    }
  g_mutex_lock (&self->lock);
  if (use_socket (self, path, error))
    channel = cube_grpc_channel_ref (self->channel);
  g_mutex_unlock (&self->lock);
  return channel;
}

static gboolean
cri_load (CubeContext *context, gpointer *ret_state, GError **error G_GNUC_UNUSED)
{
  Cri *self = g_new0 (Cri, 1);

  self->context = context;
  g_mutex_init (&self->lock);
  self->events = cri_events_new (self);
  *ret_state = self;
  return TRUE;
}

static void
cri_stop (gpointer state)
{
  Cri *self = state;

  cri_events_stop (self->events);
  g_mutex_lock (&self->lock);
  if (self->channel != NULL)
    cube_grpc_channel_shutdown (self->channel);
  g_mutex_unlock (&self->lock);
}

static void
cri_unload (gpointer state)
{
  Cri *self = state;

  cri_events_free (self->events);
  cube_grpc_channel_unref (self->channel);
  g_free (self->socket_path);
  g_free (self->health);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static const CubeRuntimeOps cri_ops = {
  .ops_size = sizeof (CubeRuntimeOps),
  .status = cri_status,
  .set_pod_cidr = cri_set_pod_cidr,
  .run_sandbox = cri_run_sandbox,
  .stop_sandbox = cri_stop_sandbox,
  .remove_sandbox = cri_remove_sandbox,
  .sandbox_status = cri_sandbox_status,
  .list_sandboxes = cri_list_sandboxes,
  .create_container = cri_create_container,
  .start_container = cri_start_container,
  .stop_container = cri_stop_container,
  .remove_container = cri_remove_container,
  .container_status = cri_container_status,
  .list_containers = cri_list_containers,
  .update_resources = cri_update_resources,
  .reopen_log = cri_reopen_log,
  .exec_sync = cri_exec_sync,
  .exec = cri_exec,
  .attach = cri_attach,
  .port_forward = cri_port_forward,
  .list_stats = cri_list_stats,
  .list_sandbox_stats = cri_list_sandbox_stats,
  .list_images = cri_list_images,
  .image_status = cri_image_status,
  .pull_image = cri_pull_image,
  .remove_image = cri_remove_image,
  .image_fs = cri_image_fs,
  .set_event_func = cri_set_event_func,
};

static const CubeInterfaceImpl cri_impls[] = {
  CUBE_IMPL (CUBE_RUNTIME, CUBE_RUNTIME_VERSION, "cri", cri_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "runtimes-cri", .version = "0.1.0", .description = "runs containers by any runtime with a CRI socket",
                    .license = "Apache-2.0", .impls = cri_impls, .load = cri_load, .stop = cri_stop, .unload = cri_unload,
                    .config_schema = "endpoint string - the runtime's socket, a path or unix://path; - is the one the daemon started");
