/* SPDX-License-Identifier: Apache-2.0 */
/* EndpointSlices: where a service's pods are. */
#include "endpointslice.h"
#include <cube/plugin.h>
#include <string.h>

#define MADE_HERE_MAX 20000

typedef struct {
  ServicePods *services;
  GMutex lock;
  GHashTable *written; /* uid of a slice → revision this controller wrote last: its own echo is no news */
} State;

/* ---- writing ---- */

static void
note_written (State *state, const CubeObject *slice)
{
  g_mutex_lock (&state->lock);
  if (g_hash_table_size (state->written) > MADE_HERE_MAX)
    g_hash_table_remove_all (state->written);
  g_hash_table_insert (state->written, g_strdup (cube_object_uid (slice)), GSIZE_TO_POINTER (cube_object_revision (slice)));
  g_mutex_unlock (&state->lock);
}

static gboolean
is_own_echo (State *state, const CubeObject *slice)
{
  g_mutex_lock (&state->lock);
  gsize revision = GPOINTER_TO_SIZE (g_hash_table_lookup (state->written, cube_object_uid (slice)));
  g_mutex_unlock (&state->lock);
  return revision == cube_object_revision (slice);
}

static void
set_metadata (Pass *pass, const Slice *slice, CubeMut *metadata)
{
  if (slice->object == NULL)
    {
      g_autofree char *prefix = g_strconcat (cube_object_name (pass->object), "-", NULL);
      g_autofree char *sample = g_strconcat (prefix, "xxxxx", NULL);
      cube_mut_set_string (metadata, "generateName",
                           cube_name_check_dns1123_subdomain (sample) == NULL ? prefix : cube_object_name (pass->object));
      cube_mut_set_string (metadata, "namespace", cube_object_namespace (pass->object));
      CubeMut *owner = cube_mut_append_object (cube_mut_set_array (metadata, "ownerReferences"));
      cube_mut_set_string (owner, "apiVersion", "v1");
      cube_mut_set_string (owner, "kind", "Service");
      cube_mut_set_string (owner, "name", cube_object_name (pass->object));
      cube_mut_set_string (owner, "uid", cube_object_uid (pass->object));
      cube_mut_set_bool (owner, "controller", TRUE);
      cube_mut_set_bool (owner, "blockOwnerDeletion", TRUE);
    }
  cube_mut_set_view (metadata, "labels", cube_value_root (pass->labels));
  if (pass->trigger != NULL)
    cube_mut_set_string (cube_mut_ensure_object (metadata, "annotations"), ANNOTATION_TRIGGER, pass->trigger);
}

static CubeValue *
slice_body (Pass *pass, const Slice *slice)
{
  g_autoptr (CubeBuilder) builder = slice->value != NULL ? cube_builder_new_from (cube_value_root (slice->value)) : cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "discovery.k8s.io/v1");
  cube_mut_set_string (root, "kind", "EndpointSlice");
  set_metadata (pass, slice, cube_mut_ensure_object (root, "metadata"));
  cube_mut_set_string (root, "addressType", slice->is_ipv6 ? "IPv6" : "IPv4");
  CubeMut *endpoints = cube_mut_set_array (root, "endpoints");
  for (guint i = 0; i < slice->endpoints->len; i++)
    cube_mut_append (endpoints, cube_mut_new_view (builder, cube_value_root (slice->endpoints->pdata[i])));
  if (slice->group != NULL)
    cube_mut_set_view (root, "ports", cube_value_root (slice->group->ports));
  else
    cube_mut_set_array (root, "ports");
  return cube_builder_end (builder);
}

static gboolean
write_slice (State *state, Pass *pass, const Slice *slice, GError **error)
{
  CubeClient *client = pass->env->client;
  const char *ns = cube_object_namespace (pass->object);
  if (slice->is_doomed)
    {
      g_autoptr (GError) problem = NULL;
      if (cube_client_delete (client, pass->slices, ns, cube_object_name (slice->object), cube_object_uid (slice->object), -1,
                              CUBE_PROPAGATION_DEFAULT, &problem)
          || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  if (!slice->is_changed)
    return TRUE;
  g_autoptr (CubeValue) body = slice_body (pass, slice);
  g_autoptr (CubeObject) written = slice->object == NULL
                                       ? cube_client_create (client, pass->slices, ns, body, error)
                                       : cube_client_update (client, pass->slices, NULL, ns, cube_object_name (slice->object), body, error);
  if (written == NULL)
    return FALSE;
  note_written (state, written);
  return TRUE;
}

/* New addresses before old ones go. */
static gboolean
write_plan (State *state, Pass *pass, GPtrArray *plan, GError **error)
{
  for (int doomed = 0; doomed <= 1; doomed++)
    for (guint i = 0; i < plan->len; i++)
      {
        const Slice *slice = plan->pdata[i];
        if (slice->is_doomed == doomed && !write_slice (state, pass, slice, error))
          return FALSE;
      }
  return TRUE;
}

/* ---- one pass ---- */

static gboolean
is_quiet (const GError *error)
{
  CubeErrorDetails *details = cube_error_get_details (error);
  for (guint i = 0; details != NULL && details->causes != NULL && i < details->causes->len; i++)
    if (g_strcmp0 (((CubeCause *) details->causes->pdata[i])->reason, "NamespaceTerminating") == 0)
      return TRUE;
  return FALSE;
}

static gboolean
run (State *state, Pass *pass, GError **error)
{
  const char *ns = cube_object_namespace (pass->object), *name = cube_object_name (pass->object), *reason = NULL, *what = NULL;
  g_autoptr (GError) problem = NULL;
  g_autoptr (GPtrArray) existing = NULL, plan = NULL;

  if (!desired_compute (pass, &problem))
    reason = "FailedToListPods", what = "Error listing Pods";
  else if ((existing = cube_client_list_owned (pass->env->client, pass->slices, ns, cube_object_uid (pass->object), &problem)) == NULL)
    reason = "FailedToListEndpointSlices", what = "Error listing Endpoint Slices";
  else
    {
      plan = plan_make (pass, existing);
      if (!write_plan (state, pass, plan, &problem))
        reason = "FailedToUpdateEndpointSlices", what = "Error updating Endpoint Slices";
    }
  if (reason == NULL || is_quiet (problem))
    return TRUE;
  if (!g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    cube_recorder_event (pass->env->recorder, pass->object, NULL, "Warning", reason, "%s for Service %s/%s: %s", what, ns, name,
                         problem->message);
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gint64
reconcile (gpointer data, CubeControllerEnv *env, const char *key, GError **error)
{
  State *state = data;
  CubeSchema *schema = cube_client_schema (env->client);
  gint64 started = cube_context_monotonic_us (env->context);
  g_autofree char *ns = NULL, *name = NULL;
  g_autoptr (GError) problem = NULL;
  cube_key_split (key, &ns, &name);
  g_autoptr (CubeObject) service = cube_client_get (env->client, cube_schema_resource (schema, "v1", "services"), ns, name, &problem);
  if (service == NULL)
    {
      if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return 0; /* its slices have an owner that is gone: the garbage collector's */
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  Pass pass = { .env = env,
                .object = service,
                .value = cube_object_value (service),
                .slices = cube_schema_resource (schema, "discovery.k8s.io/v1", "endpointslices") };
  pass.view = cube_value_root (pass.value);
  gboolean is_done = cube_object_deletion_timestamp (service) != NULL || !service_has_pods (pass.view) || run (state, &pass, error);
  desired_clear (&pass);
  service_pods_took (state->services, env, ns, name, started);
  return is_done ? 0 : -1;
}

/* ---- what wakes it ---- */

static void
map_service (gpointer data, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  service_pods_map_service (((State *) data)->services, env, type, object);
}

static void
map_pod (gpointer data, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  service_pods_map_pod (((State *) data)->services, env, type, object, old);
}

static void
map_slice (gpointer data, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  State *state = data;
  CubeObject *labelled = old != NULL && cube_object_label (object, LABEL_SERVICE) == NULL ? old : object;
  const char *service = cube_object_label (labelled, LABEL_SERVICE);
  if (service == NULL || g_strcmp0 (cube_object_label (labelled, LABEL_MANAGED_BY), MANAGER) != 0)
    return;
  if (type == CUBE_EVENT_DELETED)
    {
      g_mutex_lock (&state->lock);
      g_hash_table_remove (state->written, cube_object_uid (object));
      g_mutex_unlock (&state->lock);
    }
  else if (is_own_echo (state, object))
    return;
  service_pods_enqueue (state->services, env, cube_object_namespace (object), service);
}

static gboolean
start (gpointer data, CubeControllerEnv *env, GError **error)
{
  State *state = data;
  service_pods_reset (state->services);
  g_hash_table_remove_all (state->written);
  return TRUE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);
  state->services = service_pods_new ();
  state->written = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_mutex_init (&state->lock);
  *ret_state = state;
  return TRUE;
}

static void
unload (gpointer data)
{
  State *state = data;
  service_pods_free (state->services);
  g_hash_table_unref (state->written);
  g_mutex_clear (&state->lock);
  g_free (state);
}

static const CubeControllerWatch watches[] = {
  { "v1", "services", map_service }, { "v1", "pods", map_pod }, { "discovery.k8s.io/v1", "endpointslices", map_slice }, { NULL, NULL, NULL }
};
static const CubeControllerOps ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 5
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "endpointslice", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-endpointslice", .version = "1.0", .license = "Apache-2.0",
                    .description = "writes the EndpointSlices of Services", .impls = impls, .load = load, .unload = unload);
