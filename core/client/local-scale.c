/* SPDX-License-Identifier: Apache-2.0 */
/* The scale subresource: a small window on spec.replicas of a workload. */
#include "local-private.h"

/* status.selector of a Scale is text: key=value pairs and set expressions. */
static char *
selector_text (CubeView object)
{
  CubeView selector = cube_view_get (object, "spec", "selector");
  g_autoptr (CubeSelector) parsed = NULL;

  if (!cube_view_exists (selector))
    return g_strdup ("");
  if (cube_view_exists (cube_view_member (selector, "matchLabels")) || cube_view_exists (cube_view_member (selector, "matchExpressions")))
    parsed = cube_selector_from_view (selector, NULL);
  else
    parsed = cube_selector_from_map (selector);
  return parsed != NULL ? cube_selector_to_string (parsed) : g_strdup ("");
}

static CubeValue *
make_scale (CubeView object, guint64 revision)
{
  static const char *const kept[] = { "name", "namespace", "uid", "creationTimestamp" };
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *metadata, *status;
  g_autofree char *selector = selector_text (object);
  char text[24];

  cube_mut_set_string (root, "kind", "Scale");
  cube_mut_set_string (root, "apiVersion", "autoscaling/v1");
  metadata = cube_mut_set_object (root, "metadata");
  for (guint i = 0; i < G_N_ELEMENTS (kept); i++)
    cube_mut_set_view (metadata, kept[i], cube_view_get (object, "metadata", kept[i]));
  g_snprintf (text, sizeof text, "%" G_GUINT64_FORMAT, revision);
  cube_mut_set_string (metadata, "resourceVersion", text);
  cube_mut_set_int (cube_mut_set_object (root, "spec"), "replicas", cube_view_get_int (object, 0, "spec", "replicas"));
  status = cube_mut_set_object (root, "status");
  cube_mut_set_int (status, "replicas", cube_view_get_int (object, 0, "status", "replicas"));
  if (*selector != '\0')
    cube_mut_set_string (status, "selector", selector);
  return cube_builder_end (builder);
}

static CubeCallState
answer_scale (CubeCall *call, CubeObject *object)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  CubeValue *scale = make_scale (cube_value_root (value), cube_object_revision (object));

  return cube_call_answer_value (call, scale);
}

static GError *
check_scale (CubeCall *call, CubeView scale)
{
  const char *kind = cube_view_string (cube_view_member (scale, "kind")), *name = cube_view_get_string (scale, "metadata", "name");
  CubeView replicas = cube_view_get (scale, "spec", "replicas");

  if (cube_view_type (scale) != CUBE_VALUE_OBJECT || (kind != NULL && !g_str_equal (kind, "Scale")))
    return g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "expected input object type to be Scale, but %s",
                        kind != NULL ? kind : "no object");
  if (name != NULL && *name != '\0' && !g_str_equal (name, call->name))
    return g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "the name of the object (%s) does not match the name on the URL (%s)", name,
                        call->name);
  if (cube_view_exists (replicas) && cube_view_type (replicas) != CUBE_VALUE_INT && cube_view_type (replicas) != CUBE_VALUE_NULL)
    return g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                        "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas: found %s, wanted an integer",
                        cube_value_type_name (cube_view_type (replicas)));
  if (cube_view_int (replicas, 0) < 0)
    {
      GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID,
                                   "Scale.autoscaling \"%s\" is invalid: spec.replicas: Invalid value: %" G_GINT64_FORMAT
                                   ": must be greater than or equal to 0",
                                   call->name, cube_view_int (replicas, 0));

      cube_error_set_object (error, "autoscaling", "Scale", call->name);
      cube_error_add_cause (error, "FieldValueInvalid", "spec.replicas",
                            "Invalid value: %" G_GINT64_FORMAT ": must be greater than or equal to 0", cube_view_int (replicas, 0));
      return error;
    }
  return NULL;
}

/* The Scale that the request asks for: its body, or the current one patched. */
static CubeValue *
wanted_scale (CubeCall *call, CubeView object, GError **error)
{
  g_autoptr (CubeValue) current = NULL;
  g_autoptr (CubeBuilder) builder = NULL;
  CubeView patch;

  if (call->request->body == NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "the request has no body, wanted a Scale");
      return NULL;
    }
  if (call->request->verb == CUBE_VERB_UPDATE)
    return cube_value_ref ((CubeValue *) call->request->body);
  current = make_scale (object, cube_object_revision (call->old));
  builder = cube_builder_new_from (cube_value_root (current));
  cube_mut_remove (cube_mut_get (cube_builder_root (builder), "metadata"), "resourceVersion");
  patch = cube_value_root (call->request->body);
  if (call->request->patch_type == CUBE_PATCH_JSON)
    {
      if (!cube_patch_json (builder, patch, 0, 0, error))
        return NULL;
    }
  else
    cube_patch_merge (cube_builder_root (builder), patch);
  return cube_builder_end (builder);
}

static CubeCallState step_scaled (CubeCall *call);

static CubeCallState
write_scale (CubeCall *call)
{
  g_autoptr (CubeObject) old_asked = NULL;
  g_autoptr (CubeValue) old = NULL, scale = NULL;
  CubeBuilder *builder;
  CubeCallState state;
  GError *error = NULL;
  CubeMut *root;
  const char *saved = call->sub;

  if (!cube_call_read_old (call))
    return CUBE_CALL_DONE;
  old_asked = cube_call_old_as_asked (call);
  if (old_asked == NULL)
    return CUBE_CALL_DONE;
  old = cube_object_value (old_asked);
  scale = wanted_scale (call, cube_value_root (old), &error);
  if (scale == NULL)
    return cube_call_fail (call, error);
  error = check_scale (call, cube_value_root (scale));
  if (error != NULL)
    return cube_call_fail (call, error);
  builder = cube_builder_new_from (cube_value_root (old));
  root = cube_builder_root (builder);
  cube_mut_set_int (cube_mut_ensure (root, "spec"), "replicas", cube_view_int (cube_value_get (scale, "spec", "replicas"), 0));
  cube_mut_set_view (cube_mut_ensure (root, "metadata"), "resourceVersion", cube_value_get (scale, "metadata", "resourceVersion"));
  if (cube_view_exists (cube_value_get (scale, "metadata", "uid")))
    cube_mut_set_view (cube_mut_ensure (root, "metadata"), "uid", cube_value_get (scale, "metadata", "uid"));
  call->sub = ""; /* the object itself is what changes */
  state = cube_local_write_update (call, builder, old_asked, write_scale);
  call->sub = saved;
  if (state == CUBE_CALL_DONE)
    return step_scaled (call);
  call->extra_then = call->step;
  call->step = step_scaled;
  return state;
}

static CubeCallState
step_scaled (CubeCall *call)
{
  CubeCallStep then = call->extra_then;

  call->extra_then = NULL;
  if (then != NULL && then (call) == CUBE_CALL_COMMIT)
    return CUBE_CALL_COMMIT; /* written again: write_scale has set the steps anew */
  if (call->error != NULL || call->response->object == NULL)
    return CUBE_CALL_DONE;
  answer_scale (call, call->response->object);
  g_clear_pointer (&call->response->object, cube_object_unref);
  return CUBE_CALL_DONE;
}

CubeCallState
cube_local_scale (CubeCall *call)
{
  if (*call->name == '\0')
    return cube_call_fail_bad_request (call, "name must be provided");
  if (call->request->verb != CUBE_VERB_GET)
    return write_scale (call);
  if (!cube_call_read_old (call))
    return CUBE_CALL_DONE;
  return answer_scale (call, call->old);
}
