/* SPDX-License-Identifier: Apache-2.0 */
/* cube.auth.Admission "Priority", and the two classes every cluster has. */
#include "loopcall.h"
#include "priority-rules.h"

#define API_VERSION "scheduling.k8s.io/v1"

typedef struct {
  CubeContext *context;
  CubeLoop *loop;
  CubeInformer *informer; /* (nullable) where there is no API */
  GMutex lock;            /* over defaults */
  GHashTable *defaults;   /* classes with globalDefault: name → CubeObject */
} State;

/* ---- which class is the default ---- */

static void
on_class (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  State *state = data;
  g_autoptr (CubeValue) value = type != CUBE_EVENT_DELETED ? cube_object_value (object) : NULL;
  gboolean is_default = value != NULL && cube_view_bool (cube_value_get (value, "globalDefault"), FALSE);

  g_mutex_lock (&state->lock);
  if (is_default)
    g_hash_table_replace (state->defaults, g_strdup (cube_object_name (object)), cube_object_ref (object));
  else
    g_hash_table_remove (state->defaults, cube_object_name (object));
  g_mutex_unlock (&state->lock);
}

/* Of several the one with the lowest value, as upstream. (transfer full) NULL = none. */
static CubeValue *
default_class (State *state)
{
  CubeValue *best = NULL;
  GHashTableIter it;
  gpointer object;

  g_mutex_lock (&state->lock);
  for (g_hash_table_iter_init (&it, state->defaults); g_hash_table_iter_next (&it, NULL, &object);)
    {
      CubeValue *value = cube_object_value (object);

      if (best == NULL || cube_view_int (cube_value_get (value, "value"), 0) < cube_view_int (cube_value_get (best, "value"), 0))
        {
          cube_value_unref (best);
          best = g_steal_pointer (&value);
        }
      cube_value_unref (value);
    }
  g_mutex_unlock (&state->lock);
  return best;
}

/* ---- pods ---- */

static gboolean
apply_named (State *state, const CubeAdmissionRequest *request, CubeMut *pod, const char *name, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (CubeObject) object = admission_look_up (state->context, API_VERSION, "priorityclasses", NULL, name, &local);
  g_autoptr (CubeValue) value = NULL;
  const PriorityClass *of_system = priority_system_class (name);
  PriorityClass found;

  if (object == NULL && of_system != NULL)
    return priority_apply (request, pod, of_system, error);
  if (local != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (object == NULL)
    return admission_forbid (request, error, "no PriorityClass with name %s was found", name);
  value = cube_object_value (object);
  found = priority_class_of (cube_value_root (value));
  return priority_apply (request, pod, &found, error);
}

static gboolean
admit_new_pod (State *state, const CubeAdmissionRequest *request, CubeMut *pod, GError **error)
{
  g_autofree char *name = g_strdup (cube_mut_string (cube_mut_get (pod, "spec", "priorityClassName")));
  g_autoptr (CubeValue) fallback = NULL;
  PriorityClass chosen = PRIORITY_NO_CLASS;

  if (name != NULL && *name != '\0')
    return apply_named (state, request, pod, name, error);
  fallback = default_class (state);
  if (fallback != NULL)
    chosen = priority_class_of (cube_value_root (fallback));
  return priority_apply (request, pod, &chosen, error);
}

/* An update that leaves the priority out keeps it. */
static void
keep_priority (const CubeAdmissionRequest *request, CubeMut *pod)
{
  static const char *const keys[] = { "priority", "preemptionPolicy" };
  CubeMut *spec = cube_mut_member (pod, "spec");

  for (guint i = 0; i < G_N_ELEMENTS (keys) && cube_mut_type (spec) == CUBE_VALUE_OBJECT; i++)
    {
      CubeView before = cube_view_get (request->old, "spec", keys[i]);

      if (cube_view_exists (before) && cube_mut_member (spec, keys[i]) == NULL)
        cube_mut_set_view (spec, keys[i], before);
    }
}

static gboolean
priority_handles (gpointer data, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  return (verb == CUBE_VERB_CREATE || verb == CUBE_VERB_UPDATE) && admission_is_whole (subresource)
         && (admission_is (resource, "", "pods") || admission_is (resource, "scheduling.k8s.io", "priorityclasses"));
}

static gboolean
priority_mutate (gpointer data, CubeAdmissionRequest *request, CubeMut *object, GError **error)
{
  if (!admission_is (request->resource, "", "pods"))
    return TRUE;
  if (request->verb == CUBE_VERB_CREATE)
    return admit_new_pod (data, request, object, error);
  keep_priority (request, object);
  return TRUE;
}

static gboolean
priority_validate (gpointer data, CubeAdmissionRequest *request, CubeView object, GError **error)
{
  State *state = data;
  g_autoptr (CubeValue) other = NULL;
  const char *name;

  if (admission_is (request->resource, "", "pods") || !cube_view_get_bool (object, FALSE, "globalDefault"))
    return TRUE;
  other = default_class (state);
  name = other != NULL ? cube_view_string (cube_value_get (other, "metadata", "name")) : NULL;
  if (name == NULL || g_strcmp0 (name, request->name) == 0)
    return TRUE;
  return admission_forbid (request, error, "PriorityClass %s is already marked as default. Only one default can exist", name);
}

/* ---- cube.Component: the system's classes ---- */

static gboolean
ensure_class (State *state, const char *name, GError **error)
{
  const PriorityClass *wanted = priority_system_class (name);
  g_autoptr (CubeObject) found = admission_look_up (state->context, API_VERSION, "priorityclasses", NULL, name, error), made = NULL;
  g_autoptr (CubeBuilder) builder = NULL;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (GError) local = NULL;
  CubeMut *root;

  if (found != NULL || *error != NULL)
    return found != NULL;
  builder = cube_builder_new ();
  root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", API_VERSION);
  cube_mut_set_string (root, "kind", "PriorityClass");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", name);
  cube_mut_set_int (root, "value", wanted->value);
  cube_mut_set_string (root, "description", priority_system_description (name));
  cube_mut_set_string (root, "preemptionPolicy", wanted->preemption_policy);
  value = cube_builder_end (builder);
  made =
      cube_client_create (cube_context_client (state->context),
                          cube_schema_resource (cube_context_schema (state->context), API_VERSION, "priorityclasses"), NULL, value, &local);
  if (made != NULL || g_error_matches (local, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
classes_start (gpointer data, GError **error)
{
  g_autoptr (GError) local = NULL;

  for (guint i = 0; priority_system_names[i] != NULL; i++)
    if (!ensure_class (data, priority_system_names[i], &local))
      {
        g_propagate_prefixed_error (error, g_steal_pointer (&local), "priority class %s: ", priority_system_names[i]);
        return FALSE;
      }
  return TRUE;
}

static void
classes_stop (gpointer data)
{
}

/* ---- the plugin ---- */

static gboolean
priority_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->context = context;
  g_mutex_init (&state->lock);
  state->defaults = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cube_object_unref);
  *ret_state = state;
  return TRUE;
}

static gboolean
priority_start (gpointer data, GError **error)
{
  State *state = data;
  const CubeResource *resource = cube_schema_resource (cube_context_schema (state->context), API_VERSION, "priorityclasses");

  state->loop = cube_context_get_loop (state->context, "security");
  if (resource != NULL && cube_context_has_role (state->context, "api"))
    state->informer = cube_informer_new (cube_context_client (state->context), resource, NULL, NULL, NULL, state->loop, on_class, state);
  return TRUE;
}

static void
free_informer (gpointer data)
{
  g_clear_pointer (&((State *) data)->informer, cube_informer_free);
}

static void
priority_stop (gpointer data)
{
  loopcall_sync (((State *) data)->loop, free_informer, data);
}

static void
priority_unload (gpointer data)
{
  State *state = data;

  g_hash_table_unref (state->defaults);
  g_mutex_clear (&state->lock);
  g_free (state);
}

static const CubeAdmissionOps admission_ops = {
  .ops_size = sizeof admission_ops,
  .order = 40,
  .handles = priority_handles,
  .mutate = priority_mutate,
  .validate = priority_validate,
};

static const CubeComponentOps component_ops = {
  .ops_size = sizeof component_ops, .role = "api", .order = 12, .start = classes_start, .stop = classes_stop
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "Priority", admission_ops),
  CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "priority-classes", component_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "security-priority", .version = "1", .description = "priorities of pods by their class",
                    .license = "Apache-2.0", .impls = impls, .load = priority_load, .start = priority_start, .stop = priority_stop,
                    .unload = priority_unload);
