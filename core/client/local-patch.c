/* SPDX-License-Identifier: Apache-2.0 */
/* patch: the four kinds, onto the current object; again when it changed meanwhile. */
#include "local-private.h"

#define MAX_OPERATIONS 10000

static GError *
options_error (const char *field, const char *reason, const char *body)
{
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "PatchOptions.meta.k8s.io \"\" is invalid: %s: %s", field, body);

  cube_error_set_object (error, "meta.k8s.io", "PatchOptions", NULL);
  cube_error_add_cause (error, reason, field, "%s", body);
  return error;
}

static GError *
check_options (CubeCall *call)
{
  const CubeRequest *request = call->request;

  if (request->body == NULL)
    return g_error_new_literal (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "error decoding patch: the request has no body");
  if (*call->name == '\0')
    return g_error_new_literal (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "name must be provided");
  if (request->patch_type == CUBE_PATCH_APPLY)
    {
      gboolean has_manager = (request->field_manager != NULL && *request->field_manager != '\0') || call->client->field_manager != NULL;

      return has_manager ? NULL : options_error ("fieldManager", "FieldValueRequired", "Required value: is required for apply patch");
    }
  if (request->force)
    return options_error ("force", "FieldValueForbidden", "Forbidden: may not be specified for non-apply patch");
  return NULL;
}

static const char *
json_type (CubeView view)
{
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_OBJECT: return "object";
    case CUBE_VALUE_ARRAY: return "array";
    case CUBE_VALUE_STRING: return "string";
    case CUBE_VALUE_BOOL: return "bool";
    default: return "number";
    }
}

/* A list of operations, each an object. */
static gboolean
check_json_patch (CubeView patch, GError **error)
{
  CubeView operation;
  CubeIter it;

  if (cube_view_type (patch) != CUBE_VALUE_ARRAY)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "error decoding patch: json: cannot unmarshal %s into Go value of type jsonpatch.Patch", json_type (patch));
      return FALSE;
    }
  for (cube_iter_init (&it, patch); cube_iter_next (&it, NULL, &operation);)
    if (cube_view_type (operation) != CUBE_VALUE_OBJECT)
      {
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                     "error decoding patch: json: cannot unmarshal %s into Go value of type jsonpatch.Operation", json_type (operation));
        return FALSE;
      }
  return TRUE;
}

static gboolean
apply_json (CubeBuilder *builder, CubeView patch, GError **error)
{
  g_autoptr (GError) failure = NULL;

  if (!check_json_patch (patch, error))
    return FALSE;
  if (cube_view_length (patch) > MAX_OPERATIONS)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE,
                   "Request entity too large: The allowed maximum operations in a JSON patch is %d, got %u", MAX_OPERATIONS,
                   cube_view_length (patch));
      return FALSE;
    }
  if (cube_patch_json (builder, patch, MAX_OPERATIONS, 0, &failure))
    return TRUE;
  if (!g_error_matches (failure, CUBE_ERROR, CUBE_ERROR_INVALID) && !g_error_matches (failure, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST))
    {
      g_propagate_error (error, g_steal_pointer (&failure));
      return FALSE;
    }
  /* of an operation that makes no sense, too, Kubernetes hears only when it does it */
  g_debug ("JSON patch refused: %s", failure->message);
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INVALID, "the server rejected our request due to an error in our request");
  if (error != NULL)
    cube_error_set_object (*error, "", "", NULL);
  return FALSE;
}

static gboolean
is_blank (CubeView view)
{
  const char *text = cube_view_string (view);
  return !cube_view_exists (view) || cube_view_type (view) == CUBE_VALUE_NULL || (text != NULL && *text == '\0');
}

/* An apply says itself what it is; for other patches the path does. */
static gboolean
check_apply_type (CubeCall *call, GError **error)
{
  CubeView body = cube_value_root (call->request->body);
  if (cube_view_type (body) != CUBE_VALUE_OBJECT)
    return TRUE; /* cube_local_check_identity says it */
  if (is_blank (cube_view_member (body, "apiVersion")))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "Incorrect version specified in apply patch. Specified patch version: , expected: %s", call->resource->api_version);
      return FALSE;
    }
  if (is_blank (cube_view_member (body, "kind")))
    {
      g_autofree char *json = cube_view_to_json (body, NULL);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "error decoding YAML: Object 'Kind' is missing in '%.200s'", json);
      return FALSE;
    }
  return TRUE;
}

/* What an apply sends is decoded by itself first: unknown fields and wrong types are of the body, not of the object. */
static gboolean
apply_apply (CubeCall *call, CubeMut *root, GError **error)
{
  g_autoptr (CubeBuilder) applied = cube_builder_new_from (cube_value_root (call->request->body));
  g_autoptr (CubeValue) value = NULL;
  CubeMut *applied_root = cube_builder_root (applied);
  char now[32];

  if (!check_apply_type (call, error) || !cube_local_check_identity (call, applied_root, error))
    return FALSE;
  if (cube_mut_length (cube_mut_get (applied_root, "metadata", "managedFields")) > 0)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "metadata.managedFields must be nil");
      return FALSE;
    }
  if (call->response->warnings == NULL)
    call->response->warnings = g_ptr_array_new_with_free_func (g_free);
  if (!cube_schema_decode (call->resource, call->sub, applied_root,
                           call->request->field_validation == CUBE_VALIDATION_STRICT   ? CUBE_STRICT_STRICT
                           : call->request->field_validation == CUBE_VALIDATION_IGNORE ? CUBE_STRICT_IGNORE
                                                                                       : CUBE_STRICT_WARN,
                           call->request->body_duplicates, call->response->warnings, error))
    return FALSE;
  value = cube_builder_end (applied);
  cube_call_now (call, now);
  return cube_schema_apply (call->resource, call->sub, root, cube_value_root (value), call->manager, call->request->force, now, error);
}

static gboolean
patch_candidate (CubeCall *call, CubeBuilder *builder, GError **error)
{
  CubeMut *root = cube_builder_root (builder);
  CubeView patch = cube_value_root (call->request->body);

  switch (call->request->patch_type)
    {
    case CUBE_PATCH_JSON: return apply_json (builder, patch, error);
    case CUBE_PATCH_APPLY: return apply_apply (call, root, error);
    case CUBE_PATCH_MERGE:
    case CUBE_PATCH_STRATEGIC:
      if (cube_view_type (patch) != CUBE_VALUE_OBJECT)
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                       "error decoding patch: json: cannot unmarshal %s into Go value of type map[string]interface {}", json_type (patch));
          return FALSE;
        }
      if (call->request->patch_type == CUBE_PATCH_STRATEGIC)
        return cube_schema_patch_strategic (call->resource, root, patch, error);
      cube_patch_merge (root, patch);
      return TRUE;
    case CUBE_PATCH_NONE:
    default:
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE,
                           "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
                           "application/merge-patch+json, application/apply-patch+yaml, application/strategic-merge-patch+json");
      return FALSE;
    }
}

/* A resourceVersion that the patch only carried along from the current object is no precondition. */
static void
forget_carried_revision (CubeCall *call, CubeBuilder *builder)
{
  CubeView patch = cube_value_root (call->request->body);
  CubeMut *metadata = cube_mut_member (cube_builder_root (builder), "metadata");
  const char *found = cube_mut_string (cube_mut_member (metadata, "resourceVersion"));
  char current[24];

  g_snprintf (current, sizeof current, "%" G_GUINT64_FORMAT, cube_object_revision (call->old));
  if (call->request->patch_type == CUBE_PATCH_JSON ? g_strcmp0 (found, current) == 0
                                                   : !cube_view_exists (cube_view_get (patch, "metadata", "resourceVersion")))
    cube_mut_remove (metadata, "resourceVersion");
}

static CubeCallState
apply_to_nothing (CubeCall *call)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  const char *uid = cube_view_string (cube_value_get (call->request->body, "metadata", "uid"));
  GError *error = NULL;
  CubeMut *root;

  if (uid != NULL && *uid != '\0')
    {
      g_autofree char *why = g_strdup_printf ("uid mismatch: the provided object specified uid %s, and no existing object was found", uid);

      return cube_call_fail (call, cube_error_conflict (call->resource->group, call->resource->resource, call->name, why));
    }
  if (!patch_candidate (call, builder, &error))
    return cube_call_fail (call, error);
  root = cube_builder_root (builder);
  if (!cube_local_check_identity (call, root, &error) || !cube_local_decode (call, root, NULL, &error))
    return cube_call_fail (call, error);
  return cube_local_write_create (call, g_steal_pointer (&builder));
}

CubeCallState
cube_local_patch (CubeCall *call)
{
  g_autoptr (CubeBuilder) builder = NULL;
  g_autoptr (CubeObject) old_asked = NULL;
  g_autoptr (CubeValue) old = NULL;
  GError *error = check_options (call);

  if (error != NULL)
    return cube_call_fail (call, error);
  if (call->response->warnings != NULL)
    g_ptr_array_set_size (call->response->warnings, 0);
  g_clear_pointer (&call->old, cube_object_unref);
  call->old = cube_store_get (call->local->store, call->storage->key, call->ns, call->name);
  if (call->old == NULL)
    return call->request->patch_type == CUBE_PATCH_APPLY && *call->sub == '\0' ? apply_to_nothing (call)
                                                                               : cube_call_fail (call, cube_call_not_found (call));
  old_asked = cube_call_old_as_asked (call);
  if (old_asked == NULL)
    return CUBE_CALL_DONE;
  old = cube_object_value (old_asked);
  builder = cube_builder_new_from (cube_value_root (old));
  if (!patch_candidate (call, builder, &error))
    return cube_call_fail (call, error);
  forget_carried_revision (call, builder);
  if (!cube_local_check_identity (call, cube_builder_root (builder), &error)
      || !cube_local_decode (call, cube_builder_root (builder), NULL, &error))
    return cube_call_fail (call, error);
  return cube_local_write_update (call, g_steal_pointer (&builder), old_asked, cube_local_patch);
}
