/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"
#include <string.h>

void
workload_set_owner (CubeMut *metadata, const CubeObject *owner)
{
  CubeMut *reference = cube_mut_append_object (cube_mut_ensure_array (metadata, "ownerReferences"));
  cube_mut_set_string (reference, "apiVersion", cube_object_api_version (owner));
  cube_mut_set_string (reference, "kind", cube_object_kind (owner));
  cube_mut_set_string (reference, "name", cube_object_name (owner));
  cube_mut_set_string (reference, "uid", cube_object_uid (owner));
  cube_mut_set_bool (reference, "controller", TRUE);
  cube_mut_set_bool (reference, "blockOwnerDeletion", TRUE);
}

typedef struct {
  const CubeObject *owner, *owned;
} Claim;

static gboolean
same_object (CubeView current, const CubeObject *object)
{
  return g_strcmp0 (cube_view_get_string (current, "metadata", "uid"), cube_object_uid (object)) == 0;
}

static gboolean
adopt (CubeMut *root, CubeView current, gpointer data)
{
  const Claim *claim = data;
  CubeIter it;
  CubeView reference;
  if (!same_object (current, claim->owned) || cube_view_exists (cube_view_get (current, "metadata", "deletionTimestamp")))
    return FALSE;
  for (cube_iter_init (&it, cube_view_get (current, "metadata", "ownerReferences")); cube_iter_next (&it, NULL, &reference);)
    if (cube_view_get_bool (reference, FALSE, "controller"))
      return FALSE; /* somebody was quicker */
  workload_set_owner (cube_mut_ensure_object (root, "metadata"), claim->owner);
  return TRUE;
}

static gboolean
release (CubeMut *root, CubeView current, gpointer data)
{
  const Claim *claim = data;
  CubeMut *references = cube_mut_get (root, "metadata", "ownerReferences");
  gboolean is_changed = FALSE;
  if (!same_object (current, claim->owned))
    return FALSE;
  for (guint i = cube_mut_length (references); i-- > 0;)
    if (g_strcmp0 (cube_mut_string (cube_mut_member (cube_mut_element (references, i), "uid")), cube_object_uid (claim->owner)) == 0)
      is_changed = cube_mut_remove_element (references, i);
  if (is_changed && cube_mut_length (references) == 0)
    cube_mut_remove (cube_mut_member (root, "metadata"), "ownerReferences");
  return is_changed;
}

static CubeObject *
change_owner (CubeControllerEnv *env, const WorkloadClaim *claim, CubeObject *owned, CubeChangeFunc change, GError **error)
{
  Claim pair = { claim->owner, owned };
  return cube_client_modify (env->client, claim->resource, NULL, cube_object_namespace (owned), cube_object_name (owned), change, &pair,
                             error);
}

/* The owner as it is now exists still, is the same and is not going away: only then may it adopt. */
static gboolean
may_adopt (CubeControllerEnv *env, const WorkloadClaim *claim)
{
  const CubeResource *resource =
      cube_schema_find_kind (cube_client_schema (env->client), cube_object_api_version (claim->owner), cube_object_kind (claim->owner));
  g_autoptr (CubeObject) now =
      cube_client_get (env->client, resource, cube_object_namespace (claim->owner), cube_object_name (claim->owner), NULL);
  return now != NULL && strcmp (cube_object_uid (now), cube_object_uid (claim->owner)) == 0 && cube_object_deletion_timestamp (now) == NULL;
}

static gboolean
release_strays (CubeControllerEnv *env, const WorkloadClaim *claim, GPtrArray *owned, GPtrArray *claimed, GError **error)
{
  gboolean is_going = cube_object_deletion_timestamp (claim->owner) != NULL;
  for (guint i = 0; i < owned->len; i++)
    {
      CubeObject *object = owned->pdata[i];
      const CubeOwnerRef *controller = cube_object_controller (object);
      if (controller == NULL || strcmp (controller->uid, cube_object_uid (claim->owner)) != 0)
        continue;
      if (cube_selector_matches_object (claim->selector, object))
        {
          g_ptr_array_add (claimed, cube_object_ref (object));
          continue;
        }
      if (is_going)
        continue;
      g_autoptr (GError) problem = NULL;
      g_autoptr (CubeObject) released = change_owner (env, claim, object, release, &problem);
      if (released == NULL && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
    }
  return TRUE;
}

static gboolean
adopt_orphans (CubeControllerEnv *env, const WorkloadClaim *claim, GPtrArray *matching, GPtrArray *claimed, GError **error)
{
  gboolean is_allowed = FALSE, is_asked = FALSE;
  for (guint i = 0; i < matching->len; i++)
    {
      CubeObject *object = matching->pdata[i];
      if (cube_object_controller (object) != NULL || cube_object_deletion_timestamp (object) != NULL)
        continue;
      if (!is_asked)
        is_allowed = may_adopt (env, claim);
      is_asked = TRUE;
      if (!is_allowed)
        return TRUE;
      g_autoptr (GError) problem = NULL;
      CubeObject *adopted = change_owner (env, claim, object, adopt, &problem);
      if (adopted == NULL && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
      const CubeOwnerRef *controller = adopted != NULL ? cube_object_controller (adopted) : NULL;
      if (controller != NULL && strcmp (controller->uid, cube_object_uid (claim->owner)) == 0)
        g_ptr_array_add (claimed, adopted);
      else
        cube_object_unref (adopted);
    }
  return TRUE;
}

GPtrArray *
workload_claim (CubeControllerEnv *env, const WorkloadClaim *claim, GError **error)
{
  const char *ns = cube_object_namespace (claim->owner);
  g_autoptr (GPtrArray) claimed = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  g_autoptr (GPtrArray) owned = cube_client_list_owned (env->client, claim->resource, ns, cube_object_uid (claim->owner), error);
  if (owned == NULL || !release_strays (env, claim, owned, claimed, error))
    return NULL;
  if (cube_object_deletion_timestamp (claim->owner) != NULL || cube_selector_is_empty_set (claim->selector))
    return g_steal_pointer (&claimed);
  g_autoptr (GPtrArray) matching = cube_client_list (env->client, claim->resource, ns, claim->selector, NULL, error);
  if (matching == NULL || !adopt_orphans (env, claim, matching, claimed, error))
    return NULL;
  return g_steal_pointer (&claimed);
}

void
workload_map_pod (CubeControllerEnv *env, const char *kind, const CubeResource *owner_resource, WorkloadSelectorOf selector_of,
                  CubeEventType type, CubeObject *object, CubeObject *old)
{
  cube_map_owner (env, object, kind);
  if (old != NULL)
    cube_map_owner (env, old, kind);
  if (cube_object_controller (object) != NULL || type == CUBE_EVENT_DELETED)
    return;
  /* An orphan: whoever selects it may adopt it. */
  g_autoptr (GPtrArray) owners = cube_client_list (env->client, owner_resource, cube_object_namespace (object), NULL, NULL, NULL);
  for (guint i = 0; owners != NULL && i < owners->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (owners->pdata[i]);
      g_autoptr (CubeSelector) selector = selector_of (cube_value_root (value));
      if (selector == NULL || cube_selector_is_empty_set (selector) || !cube_selector_matches_object (selector, object))
        continue;
      g_autofree char *key = cube_object_key (owners->pdata[i]);
      cube_queue_add (env->queue, key);
    }
}
