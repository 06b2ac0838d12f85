/* SPDX-License-Identifier: Apache-2.0 */
/* The PodScheduled condition of a pod that found no node. */
#include "driver.h"
#include <string.h>

typedef struct {
  CubeRequest request;
  CubeValue *body;
  char *ns, *name;
} Patch;

static void
patch_done (CubeResponse *response, GError *error, gpointer data)
{
  Patch *patch = data;

  if (error != NULL && !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    g_message ("pod %s/%s: its condition could not be written: %s", patch->ns, patch->name, error->message);
  g_clear_error (&error);
  cube_response_unref (response);
  cube_value_unref (patch->body);
  g_free (patch->ns);
  g_free (patch->name);
  g_free (patch);
}

/* The PodScheduled condition @pod has. */
static CubeView
present_condition (CubeView pod)
{
  return cube_condition_find (cube_view_member (pod, "status"), "PodScheduled");
}

static CubeValue *
make_patch (Driver *driver, const Pod *pod, CubeView present, const char *reason, const char *message, const char *nominated)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *status, *condition;
  char now[32];

  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "uid", pod->info.uid);
  status = cube_mut_set_object (root, "status");
  if (nominated != NULL)
    cube_mut_set_string (status, "nominatedNodeName", nominated);
  condition = cube_mut_append_object (cube_mut_set_array (status, "conditions"));
  cube_mut_set_string (condition, "type", "PodScheduled");
  cube_mut_set_string (condition, "status", "False");
  cube_mut_set_string (condition, "reason", reason);
  cube_mut_set_string (condition, "message", message);
  cube_mut_set_null (condition, "lastProbeTime");
  cube_time_format (cube_context_now_us (driver->context), now);
  if (g_strcmp0 (cube_view_get_string (present, "status"), "False") == 0)
    cube_mut_set_string (condition, "lastTransitionTime", cube_view_string_or (cube_view_member (present, "lastTransitionTime"), now));
  else
    cube_mut_set_string (condition, "lastTransitionTime", now);
  if (cube_object_generation (pod->info.object) > 0)
    cube_mut_set_int (condition, "observedGeneration", cube_object_generation (pod->info.object));
  return cube_builder_end (builder);
}

void
condition_write (Driver *driver, const Pod *pod, const char *reason, const char *message, const char *nominated)
{
  g_autoptr (CubeValue) value = NULL;
  CubeView present;
  Patch *patch;

  if (driver->is_standalone)
    return;
  value = cube_object_value (pod->info.object);
  present = present_condition (cube_value_root (value));
  if (nominated == NULL && g_strcmp0 (cube_view_get_string (present, "status"), "False") == 0
      && g_strcmp0 (cube_view_get_string (present, "reason"), reason) == 0
      && g_strcmp0 (cube_view_get_string (present, "message"), message) == 0)
    return;
  patch = g_new0 (Patch, 1);
  patch->ns = g_strdup (pod->info.ns);
  patch->name = g_strdup (pod->info.name);
  patch->body = make_patch (driver, pod, present, reason, message, nominated);
  patch->request = (CubeRequest) CUBE_REQUEST_INIT;
  patch->request.verb = CUBE_VERB_PATCH;
  patch->request.resource = driver->pods_resource;
  patch->request.subresource = "status";
  patch->request.ns = patch->ns;
  patch->request.name = patch->name;
  patch->request.patch_type = CUBE_PATCH_STRATEGIC;
  patch->request.body = patch->body;
  cube_client_execute_async (driver->client, &patch->request, driver->loop, patch_done, patch);
}
