/* SPDX-License-Identifier: Apache-2.0 */
/* pods/binding (and bindings): gives a pod its node. */
#include "local-private.h"

#define BIND_ATTEMPTS 8

static GError *
bind_conflict (CubeCall *call, const char *format, ...)
{
  g_autofree char *why = NULL;
  va_list args;

  va_start (args, format);
  why = g_strdup_vprintf (format, args);
  va_end (args);
  return cube_error_conflict ("", "pods/binding", call->name, why);
}

static void
set_scheduled_condition (CubeCall *call, CubeMut *root)
{
  CubeMut *conditions = cube_mut_ensure_array (cube_mut_ensure (root, "status"), "conditions"), *condition = NULL;
  char now[32];

  for (guint i = 0; i < cube_mut_length (conditions) && condition == NULL; i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_member (cube_mut_element (conditions, i), "type")), "PodScheduled") == 0)
      condition = cube_mut_element (conditions, i);
  if (condition == NULL)
    {
      condition = cube_mut_append_object (conditions);
      cube_mut_set_string (condition, "type", "PodScheduled");
    }
  if (g_strcmp0 (cube_mut_string (cube_mut_member (condition, "status")), "True") == 0)
    return;
  cube_call_now (call, now);
  cube_mut_remove (condition, "reason");
  cube_mut_remove (condition, "message");
  cube_mut_set_string (condition, "status", "True");
  cube_mut_set_null (condition, "lastProbeTime");
  cube_mut_set_string (condition, "lastTransitionTime", now);
}

/* Labels and annotations of the Binding go onto the pod. */
static void
merge_map (CubeMut *metadata, const char *key, CubeView from)
{
  const char *name;
  CubeView value;
  CubeIter it;

  for (cube_iter_init (&it, from); cube_iter_next (&it, &name, &value);)
    cube_mut_set_view (cube_mut_ensure_object (metadata, key), name, value);
}

static GError *
check_bindable (CubeCall *call, CubeView pod, CubeView binding)
{
  const char *node = cube_view_get_string (pod, "spec", "nodeName"), *uid = cube_view_get_string (binding, "metadata", "uid");

  if (uid != NULL && *uid != '\0' && !g_str_equal (uid, cube_object_uid (call->old)))
    {
      g_autofree char *why =
          g_strdup_printf ("Precondition failed: UID in precondition: %s, UID in object meta: %s", uid, cube_object_uid (call->old));

      return cube_error_conflict ("", "pods", call->name, why);
    }
  if (cube_object_deletion_timestamp (call->old) != NULL)
    return bind_conflict (call, "pod %s is being deleted, cannot be assigned to a host", call->name);
  if (node != NULL && *node != '\0')
    return bind_conflict (call, "pod %s is already assigned to node \"%s\"", call->name, node);
  if (cube_view_length (cube_view_get (pod, "spec", "schedulingGates")) > 0)
    return bind_conflict (call, "pod %s has non-empty .spec.schedulingGates", call->name);
  return NULL;
}

static GError *
invalid_binding (CubeCall *call, const char *reason, const char *field, const char *body)
{
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "Binding \"%s\" is invalid: %s: %s", call->name, field, body);

  cube_error_set_object (error, "", "Binding", call->name);
  cube_error_add_cause (error, reason, field, "%s", body);
  return error;
}

static GError *
check_binding (CubeCall *call, CubeView binding)
{
  const char *name = cube_view_get_string (binding, "metadata", "name"), *kind = cube_view_get_string (binding, "target", "kind");
  const char *target = cube_view_get_string (binding, "target", "name");

  if (name != NULL && *name != '\0' && !g_str_equal (name, call->name))
    return g_error_new_literal (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "name in URL does not match name in Binding object");
  if (kind != NULL && *kind != '\0' && !g_str_equal (kind, "Node") && !g_str_equal (kind, "Minion"))
    {
      g_autofree char *body = g_strdup_printf ("Unsupported value: \"%s\": supported values: \"Node\", \"<empty>\"", kind);

      return invalid_binding (call, "FieldValueNotSupported", "target.kind", body);
    }
  if (target == NULL || *target == '\0')
    return invalid_binding (call, "FieldValueRequired", "target.name", "Required value");
  return NULL;
}

static CubeCallState step_bound (CubeCall *call);

static CubeCallState
bind_once (CubeCall *call)
{
  CubeView binding = cube_value_root (call->request->body);
  g_autoptr (CubeValue) pod = NULL, bound = NULL;
  g_autoptr (CubeBuilder) builder = NULL;
  GError *error = NULL;
  CubeObject *object;
  CubeMut *root;

  g_clear_pointer (&call->old, cube_object_unref);
  call->old = cube_store_get (call->local->store, "/pods", call->ns, call->name);
  if (call->old == NULL)
    return cube_call_fail (call, cube_error_not_found ("", "pods", call->name));
  pod = cube_object_value (call->old);
  error = check_bindable (call, cube_value_root (pod), binding);
  if (error != NULL)
    return cube_call_fail (call, error);
  builder = cube_builder_new_from (cube_value_root (pod));
  root = cube_builder_root (builder);
  cube_mut_set_string (cube_mut_ensure (root, "spec"), "nodeName", cube_view_get_string (binding, "target", "name"));
  merge_map (cube_mut_ensure (root, "metadata"), "labels", cube_view_get (binding, "metadata", "labels"));
  merge_map (cube_mut_ensure (root, "metadata"), "annotations", cube_view_get (binding, "metadata", "annotations"));
  set_scheduled_condition (call, root);
  bound = cube_builder_end (builder);
  object = cube_object_new (cube_value_root (bound), 0, &error);
  if (object == NULL)
    return cube_call_fail (call, error);
  if (!call->is_dry_run)
    return cube_call_propose (call, object, cube_object_revision (call->old), step_bound);
  cube_object_unref (object);
  call->response->is_created = TRUE;
  return cube_call_answer_value (call, cube_status_success (call, NULL));
}

static CubeCallState
step_bound (CubeCall *call)
{
  if (call->commit_error == NULL)
    {
      cube_admission_finish (call, call->committed, TRUE);
      call->response->is_created = TRUE;
      return cube_call_answer_value (call, cube_status_success (call, NULL));
    }
  if (g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_CONFLICT) && ++call->attempts < BIND_ATTEMPTS)
    return bind_once (call);
  if (g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    return cube_call_fail (call, cube_call_conflict (call));
  if (g_error_matches (call->commit_error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return cube_call_fail (call, cube_error_not_found ("", "pods", call->name));
  return cube_call_fail (call, g_steal_pointer (&call->commit_error));
}

CubeCallState
cube_local_bind (CubeCall *call)
{
  GError *error = NULL;
  CubeView binding;

  if (call->request->body == NULL)
    return cube_call_fail_bad_request (call, "the request has no body, wanted a Binding");
  binding = cube_value_root (call->request->body);
  if (*call->name == '\0') /* POST bindings names the pod in the body */
    {
      call->made_name = g_strdup (cube_view_string_or (cube_view_get (binding, "metadata", "name"), ""));
      call->name = call->made_name;
    }
  call->storage = cube_schema_find_key (call->local->schema, "/pods");
  if (call->storage == NULL)
    return cube_call_fail (call, cube_error_not_found ("", "pods", call->name));
  error = check_binding (call, binding);
  if (error != NULL)
    return cube_call_fail (call, error);
  if (!cube_admission_pass (call, binding, &error))
    return cube_call_fail (call, error);
  return bind_once (call);
}
