/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include <cube/error.h>

GPtrArray *
cri_list_images (gpointer state, GError **error)
{
  Cri__ListImagesRequest request = CRI__LIST_IMAGES_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ListImagesResponse *response;
  GPtrArray *images;

  answer = cri_call (state, CRI_LIST_IMAGES, &request.base, 2 * CRI_PULSE_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ListImagesResponse *) answer;
  images = g_ptr_array_new_full ((guint) response->n_images, (GDestroyNotify) cube_image_free);
  for (size_t i = 0; i < response->n_images; i++)
    g_ptr_array_add (images, cri_image_from_message (response->images[i]));
  return images;
}

CubeImage *
cri_image_status (gpointer state, const char *image, GError **error)
{
  Cri__ImageStatusRequest request = CRI__IMAGE_STATUS_REQUEST__INIT;
  Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ImageStatusResponse *response;

  spec.image = cri_text (image);
  request.image = &spec;
  answer = cri_call (state, CRI_IMAGE_STATUS, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return NULL;
  response = (const Cri__ImageStatusResponse *) answer;
  return response->image != NULL ? cri_image_from_message (response->image) : NULL;
}

/* The credentials of a registry, as a docker configuration writes them. */
static Cri__AuthConfig *
auth_config (CriArena *arena, CubeView json)
{
  Cri__AuthConfig *auth = cri_arena_message (arena, Cri__AuthConfig, cri__auth_config__init);

  auth->username = cri_text (cube_view_get_string (json, "username"));
  auth->password = cri_text (cube_view_get_string (json, "password"));
  auth->auth = cri_text (cube_view_get_string (json, "auth"));
  auth->server_address = cri_text (cube_view_get_string (json, "serveraddress"));
  auth->identity_token = cri_text (cube_view_get_string (json, "identitytoken"));
  auth->registry_token = cri_text (cube_view_get_string (json, "registrytoken"));
  return auth;
}

/* Without a deadline: an image takes as long as it takes, the caller cancels. */
gboolean
cri_pull_image (gpointer state, const char *image, const char *auth_json, char **ret_image_ref, GCancellable *cancellable, GError **error)
{
  g_autoptr (CriArena) arena = cri_arena_new ();
  Cri__PullImageRequest request = CRI__PULL_IMAGE_REQUEST__INIT;
  Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  CubeValue *auth = NULL;

  spec.image = cri_text (image);
  request.image = &spec;
  if (auth_json != NULL)
    {
      auth = cube_value_from_json (auth_json, -1, NULL, error);
      if (auth == NULL)
        {
          g_prefix_error (error, "credentials for image %s: ", image);
          return FALSE;
        }
      request.auth = auth_config (arena, cube_value_root (auth));
    }
  answer = cri_call (state, CRI_PULL_IMAGE, &request.base, 0, cancellable, error);
  cube_value_unref (auth);
  if (answer == NULL)
    return FALSE;
  if (ret_image_ref != NULL)
    *ret_image_ref = cri_copy_text (((Cri__PullImageResponse *) answer)->image_ref);
  return TRUE;
}

gboolean
cri_remove_image (gpointer state, const char *image, GError **error)
{
  Cri__RemoveImageRequest request = CRI__REMOVE_IMAGE_REQUEST__INIT;
  Cri__ImageSpec spec = CRI__IMAGE_SPEC__INIT;
  g_autoptr (GError) own_error = NULL;

  spec.image = cri_text (image);
  request.image = &spec;
  if (cri_do (state, CRI_REMOVE_IMAGE, &request.base, CRI_TIMEOUT_MS, NULL, &own_error) || cri_is_gone (&own_error))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&own_error));
  return FALSE;
}

gboolean
cri_image_fs (gpointer state, guint64 *ret_used_bytes, char **ret_mountpoint, GError **error)
{
  Cri__Empty request = CRI__EMPTY__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;
  const Cri__ImageFsInfoResponse *response;
  const Cri__FilesystemUsage *usage;

  answer = cri_call (state, CRI_IMAGE_FS_INFO, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return FALSE;
  response = (const Cri__ImageFsInfoResponse *) answer;
  if (response->n_image_filesystems == 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "the runtime names no image filesystem");
      return FALSE;
    }
  usage = response->image_filesystems[0];
  if (ret_used_bytes != NULL)
    *ret_used_bytes = usage->used_bytes != NULL ? usage->used_bytes->value : 0;
  if (ret_mountpoint != NULL)
    *ret_mountpoint = cri_copy_text (usage->fs_id != NULL ? usage->fs_id->mountpoint : NULL);
  return TRUE;
}
