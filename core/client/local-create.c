/* SPDX-License-Identifier: Apache-2.0 */
/* create, and what every door that takes a body shares: identity, decoding, the object made of the result. */
#include "local-private.h"

#define GENERATE_ATTEMPTS 8
#define GENERATE_BASE_MAX 58

/* ---- the body against the request ---- */

/* As Go's decoder, for the two fields that are looked at before all others. */
static gboolean
check_text (CubeMut *root, const char *key, const char *kind, GError **error)
{
  CubeMut *value = cube_mut_member (root, key);
  CubeValueType type = value != NULL ? cube_mut_type (value) : CUBE_VALUE_NULL;
  if (type == CUBE_VALUE_NULL || type == CUBE_VALUE_STRING)
    return TRUE;
  g_set_error (
      error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
      "the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse error: json: cannot unmarshal "
      "%s into Go struct field .%s of type string",
      kind, type == CUBE_VALUE_INT || type == CUBE_VALUE_DOUBLE ? "number" : cube_value_type_name (type), key);
  return FALSE;
}

static gboolean
check_type (CubeCall *call, CubeMut *root, GError **error)
{
  const CubeSubresource *sub = *call->sub != '\0' ? cube_resource_find_subresource (call->resource, call->sub) : NULL;
  const char *kind = sub != NULL && sub->kind != NULL ? sub->kind : call->resource->kind;
  const char *found_version = cube_mut_string (cube_mut_member (root, "apiVersion")),
             *found_kind = cube_mut_string (cube_mut_member (root, "kind"));

  if (!check_text (root, "apiVersion", kind, error) || !check_text (root, "kind", kind, error))
    return FALSE;
  if (found_version != NULL && *found_version != '\0' && !g_str_equal (found_version, call->resource->api_version))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "the API version in the data (%s) does not match the expected API version (%s)", found_version,
                   call->resource->api_version);
      return FALSE;
    }
  if (found_kind != NULL && *found_kind != '\0' && !g_str_equal (found_kind, kind))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "%s in version \"%s\" cannot be handled as a %s: no kind \"%s\" is served at this path", found_kind,
                   call->resource->version, kind, found_kind);
      return FALSE;
    }
  cube_mut_set_string (root, "kind", kind);
  cube_mut_set_string (root, "apiVersion", call->resource->api_version);
  return TRUE;
}

static gboolean
check_namespace (CubeCall *call, CubeMut *metadata, GError **error)
{
  const char *found = cube_mut_string (cube_mut_member (metadata, "namespace"));

  if (!call->resource->is_namespaced)
    {
      cube_mut_remove (metadata, "namespace");
      return TRUE;
    }
  if (*call->ns == '\0')
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "an empty namespace may not be set during creation");
      return FALSE;
    }
  if (found != NULL && *found != '\0' && !g_str_equal (found, call->ns))
    {
      if (call->request->verb == CUBE_VERB_CREATE)
        g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                             "the namespace of the provided object does not match the namespace sent on the request");
      else
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                     "the namespace of the object (%s) does not match the namespace on the request (%s)", found, call->ns);
      return FALSE;
    }
  if (found == NULL || *found == '\0')
    cube_mut_set_string (metadata, "namespace", call->ns);
  return TRUE;
}

gboolean
cube_local_check_identity (CubeCall *call, CubeMut *root, GError **error)
{
  CubeMut *metadata;
  const char *found;

  if (cube_mut_type (root) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "the object provided is unrecognized (must be of type %s): found %s, wanted an object", call->resource->kind,
                   cube_value_type_name (cube_mut_type (root)));
      return FALSE;
    }
  if (!check_type (call, root, error))
    return FALSE;
  if (cube_mut_member (root, "metadata") != NULL && cube_mut_type (cube_mut_member (root, "metadata")) != CUBE_VALUE_OBJECT
      && cube_mut_type (cube_mut_member (root, "metadata")) != CUBE_VALUE_NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "%s in version \"%s\" cannot be handled as a %s: metadata: found %s, wanted an object", call->resource->kind,
                   call->resource->version, call->resource->kind,
                   cube_value_type_name (cube_mut_type (cube_mut_member (root, "metadata"))));
      return FALSE;
    }
  metadata = cube_mut_ensure (root, "metadata");
  if (!check_namespace (call, metadata, error))
    return FALSE;
  if (call->request->verb == CUBE_VERB_CREATE)
    return TRUE;
  found = cube_mut_string (cube_mut_member (metadata, "name"));
  if (found != NULL && *found != '\0' && !g_str_equal (found, call->name))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "the name of the object (%s) does not match the name on the URL (%s)", found,
                   call->name);
      return FALSE;
    }
  if (found == NULL || *found == '\0')
    cube_mut_set_string (metadata, "name", call->name);
  return TRUE;
}

static gboolean
is_same_owner (CubeMut *a, CubeMut *b)
{
  static const char *const texts[] = { "apiVersion", "kind", "name", "uid" }, *const flags[] = { "controller", "blockOwnerDeletion" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_member (a, texts[i])), cube_mut_string (cube_mut_member (b, texts[i]))) != 0)
      return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++)
    if (cube_mut_bool (cube_mut_member (a, flags[i]), FALSE) != cube_mut_bool (cube_mut_member (b, flags[i]), FALSE))
      return FALSE;
  return TRUE;
}

/* The same owner named twice counts once, with a warning. */
static void
dedup_owners (CubeCall *call, CubeMut *root)
{
  CubeMut *owners = cube_mut_get (root, "metadata", "ownerReferences");
  g_autoptr (GString) uids = g_string_new (NULL);
  g_autofree char *text = NULL;

  for (guint i = 1; i < cube_mut_length (owners);)
    {
      CubeMut *owner = cube_mut_element (owners, i);
      guint first = 0;

      while (first < i && !is_same_owner (cube_mut_element (owners, first), owner))
        first++;
      if (first == i)
        {
          i++;
          continue;
        }
      g_string_append_printf (uids, "%s%s", uids->len > 0 ? ", " : "", cube_mut_string (cube_mut_member (owner, "uid")));
      cube_mut_remove_element (owners, i);
    }
  if (uids->len == 0)
    return;
  text = g_strdup_printf (
      ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests "
      "as early as 1.24; please fix your requests; duplicate UID(s) observed: %s",
      uids->str);
  cube_call_warn (call, text);
}

gboolean
cube_local_decode (CubeCall *call, CubeMut *root, char **duplicates, GError **error)
{
  static const CubeStrictness strictness[] = { CUBE_STRICT_WARN, CUBE_STRICT_IGNORE, CUBE_STRICT_WARN, CUBE_STRICT_STRICT };
  guint asked = MIN ((guint) call->request->field_validation, G_N_ELEMENTS (strictness) - 1);

  if (call->response->warnings == NULL)
    call->response->warnings = g_ptr_array_new_with_free_func (g_free);
  if (!cube_schema_decode (call->resource, call->sub, root, strictness[asked], duplicates, call->response->warnings, error))
    return FALSE;
  dedup_owners (call, root);
  cube_schema_set_defaults (call->resource, root);
  return TRUE;
}

CubeObject *
cube_local_make_object (CubeCall *call, CubeView view, GError **error)
{
  g_autoptr (CubeObject) object = cube_object_new (view, 0, error);

  if (object == NULL || call->storage == call->resource)
    return g_steal_pointer (&object);
  return cube_schema_convert (call->storage, object, error);
}

/* ---- metadata of a new object ---- */

static void
set_new_metadata (CubeCall *call, CubeMut *metadata)
{
  static const char *const wiped[] = { "creationTimestamp",          "uid",      "deletionTimestamp",
                                       "deletionGracePeriodSeconds", "selfLink", "resourceVersion" };
  char uid[37], now[32];

  for (guint i = 0; i < G_N_ELEMENTS (wiped); i++)
    cube_mut_remove (metadata, wiped[i]);
  cube_uuid_format (cube_context_random (call->local->context), cube_context_random (call->local->context), uid);
  cube_call_now (call, now);
  cube_mut_set_string (metadata, "uid", uid);
  cube_mut_set_string (metadata, "creationTimestamp", now);
}

/* A name from generateName, or the given one; "" when there is neither (validation says so). */
static void
make_name (CubeCall *call, CubeMut *metadata)
{
  const char *name = cube_mut_string (cube_mut_member (metadata, "name"));
  const char *base = cube_mut_string (cube_mut_member (metadata, "generateName"));
  char suffix[6];

  g_clear_pointer (&call->made_name, g_free);
  if (name != NULL && *name != '\0')
    {
      call->made_name = g_strdup (name);
      if (call->request->verb == CUBE_VERB_CREATE)
        call->attempts = GENERATE_ATTEMPTS;
    }
  else if (base != NULL && *base != '\0')
    {
      cube_name_suffix (cube_context_random (call->local->context), 5, suffix);
      call->made_name = g_strdup_printf ("%.*s%s", GENERATE_BASE_MAX, base, suffix);
      cube_mut_set_string (metadata, "name", call->made_name);
    }
  else if (g_str_equal (call->storage->key, "/limitranges"))
    {
      char uuid[37];

      cube_uuid_format (cube_context_random (call->local->context), cube_context_random (call->local->context), uuid);
      call->made_name = g_strdup (uuid);
      cube_mut_set_string (metadata, "name", uuid);
    }
  call->name = call->made_name != NULL ? call->made_name : "";
}

/* ---- the two ends of a create ---- */

static gboolean
validate_new (CubeCall *call, CubeView view, GError **error)
{
  CubeFieldErrors *errors = cube_field_errors_new ();
  GError *failure;

  cube_schema_validate_create (call->resource, view, errors);
  if (cube_field_errors_count (errors) == 0)
    cube_schema_validate_metadata (call->resource, cube_view_member (view, "metadata"), errors);
  failure = cube_field_errors_to_error (errors, call->resource->group, call->resource->kind, call->name);
  cube_field_errors_free (errors);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, failure);
  return FALSE;
}

static CubeCallState
step_created (CubeCall *call)
{
  GError *error;

  if (call->commit_error == NULL)
    {
      cube_admission_finish (call, call->committed, TRUE);
      call->response->is_created = TRUE;
      return cube_call_answer_object (call, call->committed);
    }
  cube_admission_finish (call, NULL, FALSE);
  if (!g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS)
      && !g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    return cube_call_fail (call, g_steal_pointer (&call->commit_error));
  if (call->request->verb == CUBE_VERB_PATCH) /* somebody else was first: apply to theirs */
    return call->attempts++ < GENERATE_ATTEMPTS ? cube_local_patch (call) : cube_call_fail (call, cube_call_conflict (call));
  if (call->request->verb == CUBE_VERB_UPDATE)
    return call->attempts++ < GENERATE_ATTEMPTS ? cube_local_update (call) : cube_call_fail (call, cube_call_conflict (call));
  if (call->attempts + 1 < GENERATE_ATTEMPTS)
    {
      call->attempts++;
      return cube_local_create (call);
    }
  error = cube_error_already_exists (call->resource->group, call->resource->resource, call->name);
  if (call->attempts < GENERATE_ATTEMPTS) /* the name was made here, and eight were taken */
    {
      g_autoptr (GError) plain = g_steal_pointer (&error);

      error = g_error_new (CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS, "%s, the server was not able to generate a unique name for the object",
                           plain->message);
      cube_error_set_object (error, call->resource->group, call->resource->resource, call->name);
      if (cube_error_get_details (error) != NULL)
        cube_error_get_details (error)->retry_after_s = 1;
    }
  return cube_call_fail (call, error);
}

/* A CertificateSigningRequest says who made it: that is ours to say, never the client's. */
static void
stamp_requester (CubeCall *call, CubeMut *root)
{
  CubeMut *spec, *groups, *extra;
  GHashTableIter iter;
  gpointer key, values;

  if (!g_str_equal (call->storage->key, "certificates.k8s.io/certificatesigningrequests"))
    return;
  spec = cube_mut_ensure (root, "spec");
  cube_mut_set_string (spec, "username", call->user->name);
  cube_mut_set_string (spec, "uid", *call->user->uid != '\0' ? call->user->uid : NULL);
  groups = cube_mut_set_array (spec, "groups");
  for (char **group = call->user->groups; *group != NULL; group++)
    cube_mut_append_string (groups, *group);
  cube_mut_remove (spec, "extra");
  if (call->user->extra == NULL)
    return;
  extra = cube_mut_set_object (spec, "extra");
  g_hash_table_iter_init (&iter, call->user->extra);
  while (g_hash_table_iter_next (&iter, &key, &values))
    {
      CubeMut *list = cube_mut_set_array (extra, key);

      for (char **value = values; *value != NULL; value++)
        cube_mut_append_string (list, *value);
    }
}

static CubeObject *
build_created (CubeCall *call, CubeBuilder *builder, GError **error)
{
  CubeMut *root = cube_builder_root (builder), *metadata;
  g_autoptr (CubeValue) value = NULL;
  CubeView view;
  char now[32];

  metadata = cube_mut_ensure_object (root, "metadata");
  set_new_metadata (call, metadata);
  make_name (call, metadata);
  cube_schema_prepare_create (call->resource, root); /* a job's labels have its uid */
  stamp_requester (call, root);
  if (!cube_admission_begin (call, CUBE_VERB_CREATE, root, cube_view_none (), error))
    return NULL;
  if (call->request->patch_type != CUBE_PATCH_APPLY || call->request->verb != CUBE_VERB_PATCH)
    {
      cube_call_now (call, now);
      cube_schema_update_managed (call->resource, "", root, cube_view_none (), call->manager, now);
    }
  value = cube_builder_end (builder);
  view = cube_value_root (value);
  if (!validate_new (call, view, error) || !cube_admission_validate (call, view, error))
    return NULL;
  if (call->response->warnings == NULL)
    call->response->warnings = g_ptr_array_new_with_free_func (g_free);
  cube_schema_warnings (call->resource, view, cube_view_none (), call->response->warnings);
  return cube_local_make_object (call, view, error);
}

CubeCallState
cube_local_write_create (CubeCall *call, CubeBuilder *builder)
{
  GError *error = NULL;
  CubeObject *object = build_created (call, builder, &error);

  cube_builder_free (builder);
  if (object == NULL)
    return cube_call_fail (call, error);
  if (!call->is_dry_run)
    return cube_call_propose (call, object, 0, step_created);
  cube_admission_finish (call, NULL, FALSE);
  if (call->old == NULL)
    call->old = cube_store_get (call->local->store, call->storage->key, call->ns, call->name);
  if (call->old != NULL)
    {
      cube_object_unref (object);
      return cube_call_fail (call, cube_error_already_exists (call->resource->group, call->resource->resource, call->name));
    }
  call->response->is_created = TRUE;
  cube_call_answer_object (call, object);
  cube_object_unref (object);
  return CUBE_CALL_DONE;
}

CubeCallState
cube_local_create (CubeCall *call)
{
  g_autoptr (CubeBuilder) builder = NULL;
  GError *error = NULL;
  const char *revision;
  CubeMut *root;

  if (call->request->body == NULL)
    return cube_call_fail_bad_request (call, "the request has no body, wanted a %s", call->resource->kind);
  if (call->response->warnings != NULL)
    g_ptr_array_set_size (call->response->warnings, 0); /* of an earlier attempt */
  builder = cube_builder_new_from (cube_value_root (call->request->body));
  root = cube_builder_root (builder);
  if (!cube_local_check_identity (call, root, &error) || !cube_local_decode (call, root, call->request->body_duplicates, &error))
    return cube_call_fail (call, error);
  revision = cube_mut_string (cube_mut_get (root, "metadata", "resourceVersion"));
  if (revision != NULL && *revision != '\0')
    return cube_call_fail (
        call, g_error_new_literal (CUBE_ERROR, CUBE_ERROR_UNKNOWN, "resourceVersion should not be set on objects to be created"));
  return cube_local_write_create (call, g_steal_pointer (&builder));
}
