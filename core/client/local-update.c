/* SPDX-License-Identifier: Apache-2.0 */
/* update: a whole object in the place of another; the end that update and patch share. */
#include "local-private.h"

#define UPDATE_ATTEMPTS 5

typedef struct {
  CubeCallStep retry; /* NULL = a conflict is the answer */
  CubeObject *last;   /* what an update that turns into a removal answers with */
} UpdateExtra;

static void
update_extra_free (gpointer data)
{
  UpdateExtra *extra = data;

  cube_object_unref (extra->last);
  g_free (extra);
}

static UpdateExtra *
update_extra (CubeCall *call)
{
  if (call->extra == NULL)
    {
      call->extra = g_new0 (UpdateExtra, 1);
      call->extra_free = update_extra_free;
    }
  return call->extra;
}

/* metadata that no update changes, from the object before. */
static void
keep_metadata (CubeMut *metadata, CubeView old)
{
  static const char *const kept[] = { "creationTimestamp", "deletionTimestamp", "generation", "resourceVersion" };

  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    cube_mut_set_view (metadata, kept[i], cube_view_member (old, kept[i]));
  if (cube_mut_member (metadata, "deletionGracePeriodSeconds") == NULL)
    cube_mut_set_view (metadata, "deletionGracePeriodSeconds", cube_view_member (old, "deletionGracePeriodSeconds"));
  cube_mut_remove (metadata, "selfLink");
}

/* The uid a body names is a precondition; none means the one there is. */
static gboolean
check_uid (CubeCall *call, CubeMut *metadata, CubeView old, GError **error)
{
  const char *asked = cube_mut_string (cube_mut_member (metadata, "uid"));
  const char *have = cube_view_string_or (cube_view_member (old, "uid"), "");

  if (asked != NULL && *asked != '\0' && !g_str_equal (asked, have))
    {
      g_autofree char *why = g_strdup_printf ("Precondition failed: UID in precondition: %s, UID in object meta: %s", asked, have);

      g_propagate_error (error, cube_error_conflict (call->resource->group, call->resource->resource, call->name, why));
      return FALSE;
    }
  cube_mut_set_string (metadata, "uid", have);
  return TRUE;
}

/* The resourceVersion a body names is a precondition. @ret_is_conditional: it named one. */
static gboolean
check_revision (CubeCall *call, CubeMut *metadata, CubeView old, gboolean *ret_is_conditional, GError **error)
{
  const char *text = cube_mut_string (cube_mut_member (metadata, "resourceVersion"));
  guint64 asked = 0;

  if (!cube_parse_revision (text, &asked, error))
    return FALSE;
  *ret_is_conditional = asked != 0;
  if (asked == 0 && call->request->verb == CUBE_VERB_UPDATE && !cube_strategy_updates_unconditionally (call->resource))
    {
      CubeFieldErrors *errors = cube_field_errors_new ();
      g_autoptr (CubeValue) empty = cube_value_from_json ("\"\"", 2, NULL, NULL);

      cube_field_errors_add (errors, "Invalid", "metadata.resourceVersion", cube_value_root (empty), "must be specified for an update");
      g_propagate_error (error, cube_field_errors_to_error (errors, call->resource->group, call->resource->kind, call->name));
      cube_field_errors_free (errors);
      return FALSE;
    }
  if (asked != 0 && asked != cube_object_revision (call->old))
    {
      g_propagate_error (error, cube_call_conflict (call));
      return FALSE;
    }
  return TRUE;
}

static gboolean
validate_changed (CubeCall *call, CubeView view, CubeView old, GError **error)
{
  CubeFieldErrors *errors = cube_field_errors_new ();
  GError *failure;

  cube_schema_validate_metadata (call->resource, cube_view_member (view, "metadata"), errors);
  cube_schema_validate_metadata_update (cube_view_member (view, "metadata"), cube_view_member (old, "metadata"), errors);
  cube_schema_validate_update (call->resource, call->sub, view, old, errors);
  failure = cube_field_errors_to_error (errors, call->resource->group, call->resource->kind, call->name);
  cube_field_errors_free (errors);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, failure);
  return FALSE;
}

/* ---- after the store's answer ---- */

static CubeCallState
step_updated (CubeCall *call)
{
  UpdateExtra *extra = update_extra (call);

  if (call->commit_error == NULL)
    {
      cube_admission_finish (call, call->committed, TRUE);
      return cube_call_answer_object (call, extra->last != NULL ? extra->last : call->committed);
    }
  cube_admission_finish (call, NULL, FALSE);
  g_clear_pointer (&extra->last, cube_object_unref);
  if (g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND)
      || (g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_CONFLICT) && call->committed == NULL))
    return cube_call_fail (call, cube_call_not_found (call));
  if (!g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    return cube_call_fail (call, g_steal_pointer (&call->commit_error));
  if (extra->retry != NULL && ++call->attempts < UPDATE_ATTEMPTS)
    return extra->retry (call);
  return cube_call_fail (call, cube_call_conflict (call));
}

/* ---- the shared end ---- */

typedef struct {
  CubeObject *object; /* NULL = nothing changed */
  gboolean is_conditional;
  gboolean is_removal; /* the last finalizer went: the object goes too */
} Changed;

/* Puts the candidate in order, admits it, and packs it. NULL with @error. */
static CubeValue *
pack_changed (CubeCall *call, CubeBuilder *builder, CubeView old, Changed *changed, GError **error)
{
  CubeMut *root = cube_builder_root (builder), *metadata = cube_mut_ensure (root, "metadata");
  CubeView old_metadata = cube_view_member (old, "metadata");
  char now[32];

  if (!check_revision (call, metadata, old, &changed->is_conditional, error) || !check_uid (call, metadata, old_metadata, error))
    return NULL;
  keep_metadata (metadata, old_metadata);
  cube_schema_prepare_update (call->resource, call->sub, root, old);
  if (!cube_admission_begin (call, CUBE_VERB_UPDATE, root, old, error))
    return NULL;
  if (call->request->patch_type != CUBE_PATCH_APPLY || call->request->verb != CUBE_VERB_PATCH)
    {
      cube_call_now (call, now);
      cube_schema_update_managed (call->resource, call->sub, root, old, call->manager, now);
    }
  return cube_builder_end (builder);
}

static gboolean
build_changed (CubeCall *call, CubeBuilder *builder, CubeView old, Changed *changed, GError **error)
{
  g_autoptr (CubeValue) value = pack_changed (call, builder, old, changed, error);
  CubeView view;

  if (value == NULL)
    return FALSE;
  view = cube_value_root (value);
  if (!validate_changed (call, view, old, error) || !cube_admission_validate (call, view, error))
    return FALSE;
  if (call->response->warnings == NULL)
    call->response->warnings = g_ptr_array_new_with_free_func (g_free);
  cube_schema_warnings (call->resource, view, old, call->response->warnings);
  if (cube_view_equal (view, old))
    return TRUE;
  changed->object = cube_local_make_object (call, view, error);
  if (changed->object == NULL)
    return FALSE;
  changed->is_removal = cube_local_is_deletable (call->storage, changed->object, view);
  return TRUE;
}

CubeCallState
cube_local_write_update (CubeCall *call, CubeBuilder *builder, CubeObject *old_asked, CubeCallStep retry)
{
  g_autoptr (CubeValue) old = cube_object_value (old_asked);
  Changed changed = { 0 };
  UpdateExtra *extra = update_extra (call);
  GError *error = NULL;
  gboolean is_built = build_changed (call, builder, cube_value_root (old), &changed, &error);

  cube_builder_free (builder);
  if (!is_built)
    return cube_call_fail (call, error);
  if (changed.object == NULL || call->is_dry_run)
    {
      CubeObject *answer = changed.object != NULL ? changed.object : call->old;

      cube_admission_finish (call, answer, FALSE);
      if (changed.object != NULL)
        cube_object_set_revision (changed.object, cube_object_revision (call->old));
      cube_call_answer_object (call, answer);
      cube_object_unref (changed.object);
      return CUBE_CALL_DONE;
    }
  extra->retry = changed.is_conditional ? NULL : retry;
  if (changed.is_removal)
    {
      cube_object_set_revision (changed.object, cube_object_revision (call->old));
      extra->last = changed.object;
      return cube_call_propose (call, NULL, cube_object_revision (call->old), step_updated);
    }
  return cube_call_propose (call, changed.object, cube_object_revision (call->old), step_updated);
}

/* PUT of a name that does not exist. */
static CubeCallState
create_instead (CubeCall *call, CubeBuilder *builder)
{
  const char *uid = cube_mut_string (cube_mut_get (cube_builder_root (builder), "metadata", "uid"));

  if (*call->sub == '\0' && cube_strategy_creates_on_update (call->resource) && (uid == NULL || *uid == '\0'))
    return cube_local_write_create (call, builder);
  cube_builder_free (builder);
  return cube_call_fail (call, cube_call_not_found (call));
}

CubeCallState
cube_local_update (CubeCall *call)
{
  g_autoptr (CubeBuilder) builder = NULL;
  g_autoptr (CubeObject) old_asked = NULL;
  GError *error = NULL;
  CubeMut *root;

  if (call->request->body == NULL)
    return cube_call_fail_bad_request (call, "the request has no body, wanted a %s", call->resource->kind);
  if (*call->name == '\0')
    return cube_call_fail_bad_request (call, "name must be provided");
  if (call->response->warnings != NULL)
    g_ptr_array_set_size (call->response->warnings, 0);
  builder = cube_builder_new_from (cube_value_root (call->request->body));
  root = cube_builder_root (builder);
  if (!cube_local_check_identity (call, root, &error) || !cube_local_decode (call, root, call->request->body_duplicates, &error))
    return cube_call_fail (call, error);
  g_clear_pointer (&call->old, cube_object_unref);
  call->old = cube_store_get (call->local->store, call->storage->key, call->ns, call->name);
  if (call->old == NULL)
    return create_instead (call, g_steal_pointer (&builder));
  old_asked = cube_call_old_as_asked (call);
  if (old_asked == NULL)
    return CUBE_CALL_DONE;
  return cube_local_write_update (call, g_steal_pointer (&builder), old_asked, cube_local_update);
}
