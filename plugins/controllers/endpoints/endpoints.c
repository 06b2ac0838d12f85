/* SPDX-License-Identifier: Apache-2.0 */
/* Endpoints: the older form of a service's addresses, one object a service. */
#include "endpoints.h"
#include <cube/plugin.h>
#include <string.h>

#define LABEL_MANAGED_BY "endpoints.kubernetes.io/managed-by"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define MANAGER "endpoint-controller"
#define ANNOTATION_TRIGGER "endpoints.kubernetes.io/last-change-trigger-time"
#define ANNOTATION_CAPACITY "endpoints.kubernetes.io/over-capacity"
#define ANNOTATION_LEADER "control-plane.alpha.kubernetes.io/leader"

typedef struct {
  CubeControllerEnv *env;
  const CubeResource *resource;
  CubeObject *service;
  CubeValue *subsets, *labels;
  gboolean is_truncated;
} Pass;

static CubeValue *
labels_of (CubeObject *service, CubeView view)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *labels = cube_builder_root (builder);
  for (guint i = 0; i < cube_object_n_labels (service); i++)
    {
      const char *key, *value;
      cube_object_label_at (service, i, &key, &value);
      cube_mut_set_string (labels, key, value);
    }
  cube_mut_set_string (labels, LABEL_HEADLESS, service_is_headless (view) ? "" : NULL);
  cube_mut_set_string (labels, LABEL_MANAGED_BY, MANAGER);
  return cube_builder_end (builder);
}

static gboolean
is_right (const Pass *pass, CubeView current)
{
  CubeView subsets = cube_view_member (current, "subsets");
  const char *capacity = cube_view_get_string (current, "metadata", "annotations", ANNOTATION_CAPACITY);
  gboolean same = cube_view_equal (subsets, cube_value_root (pass->subsets))
                  || (cube_view_length (subsets) == 0 && cube_view_length (cube_value_root (pass->subsets)) == 0);
  return same && cube_view_equal (cube_view_get (current, "metadata", "labels"), cube_value_root (pass->labels))
         && (g_strcmp0 (capacity, "truncated") == 0) == pass->is_truncated;
}

static void
fill (const Pass *pass, CubeMut *root)
{
  char now[40];
  CubeMut *metadata = cube_mut_ensure_object (root, "metadata"), *annotations = cube_mut_ensure_object (metadata, "annotations");
  cube_time_format_micro (cube_context_now_us (pass->env->context), now);
  cube_mut_set_string (annotations, ANNOTATION_TRIGGER, now);
  cube_mut_set_string (annotations, ANNOTATION_CAPACITY, pass->is_truncated ? "truncated" : NULL);
  cube_mut_set_view (metadata, "labels", cube_value_root (pass->labels));
  if (cube_view_length (cube_value_root (pass->subsets)) > 0)
    cube_mut_set_view (root, "subsets", cube_value_root (pass->subsets));
  else
    cube_mut_remove (root, "subsets");
}

static gboolean
change (CubeMut *root, CubeView current, gpointer data)
{
  if (is_right (data, current))
    return FALSE;
  fill (data, root);
  return TRUE;
}

static CubeObject *
make (const Pass *pass, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Endpoints");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", cube_object_name (pass->service));
  fill (pass, root);
  g_autoptr (CubeValue) body = cube_builder_end (builder);
  return cube_client_create (pass->env->client, pass->resource, cube_object_namespace (pass->service), body, error);
}

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
write_out (const Pass *pass, GError **error)
{
  const char *ns = cube_object_namespace (pass->service), *name = cube_object_name (pass->service);
  g_autoptr (GError) problem = NULL;
  gboolean is_new = FALSE;
  g_autoptr (CubeObject) written =
      cube_client_modify (pass->env->client, pass->resource, NULL, ns, name, change, (gpointer) pass, &problem);
  if (written == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_clear_error (&problem);
      is_new = TRUE;
      written = make (pass, &problem);
    }
  if (written != NULL || is_quiet (problem))
    return TRUE;
  if (is_new)
    cube_recorder_event (pass->env->recorder, pass->service, NULL, "Warning", "FailedToCreateEndpoint",
                         "Failed to create endpoint for service %s/%s: %s", ns, name, problem->message);
  else
    cube_recorder_event (pass->env->recorder, pass->service, NULL, "Warning", "FailedToUpdateEndpoint",
                         "Failed to update endpoint %s/%s: %s", ns, name, problem->message);
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gboolean
run (CubeControllerEnv *env, CubeObject *service, GError **error)
{
  CubeSchema *schema = cube_client_schema (env->client);
  g_autoptr (CubeValue) value = cube_object_value (service);
  CubeView view = cube_value_root (value);
  if (cube_object_deletion_timestamp (service) != NULL || !service_has_pods (view))
    return TRUE;
  g_autoptr (CubeSelector) selector = cube_selector_from_map (cube_view_get (view, "spec", "selector"));
  g_autoptr (GPtrArray) pods =
      cube_client_list (env->client, cube_schema_resource (schema, "v1", "pods"), cube_object_namespace (service), selector, NULL, error);
  if (pods == NULL)
    return FALSE;
  Pass pass = { .env = env, .resource = cube_schema_resource (schema, "v1", "endpoints"), .service = service };
  g_autoptr (CubeValue) subsets = pass.subsets = subsets_make (view, pods, &pass.is_truncated);
  g_autoptr (CubeValue) labels = pass.labels = labels_of (service, view);
  return write_out (&pass, error);
}

/* The service is gone, and what bore its name goes too: but not what somebody elects a leader with. */
static gboolean
clean (CubeControllerEnv *env, const char *ns, const char *name, GError **error)
{
  const CubeResource *resource = cube_schema_resource (cube_client_schema (env->client), "v1", "endpoints");
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) endpoints = cube_client_get (env->client, resource, ns, name, &problem);
  if (endpoints != NULL)
    {
      g_autoptr (CubeValue) value = cube_object_value (endpoints);
      if (cube_view_exists (cube_value_get (value, "metadata", "annotations", ANNOTATION_LEADER))
          || cube_client_delete (env->client, resource, ns, name, cube_object_uid (endpoints), -1, CUBE_PROPAGATION_DEFAULT, &problem))
        return TRUE;
    }
  if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  gint64 started = cube_context_monotonic_us (env->context);
  g_autofree char *ns = NULL, *name = NULL;
  g_autoptr (GError) problem = NULL;
  cube_key_split (key, &ns, &name);
  g_autoptr (CubeObject) service =
      cube_client_get (env->client, cube_schema_resource (cube_client_schema (env->client), "v1", "services"), ns, name, &problem);
  if (service == NULL && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  gboolean is_done = service != NULL ? run (env, service, error) : clean (env, ns, name, error);
  service_pods_took (state, env, ns, name, started);
  return is_done ? 0 : -1;
}

/* ---- what wakes it ---- */

static void
map_service (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  service_pods_map_service (state, env, type, object);
}

static void
map_pod (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  service_pods_map_pod (state, env, type, object, old);
}

/* Leftovers of a time nobody watched, and what others changed. */
static void
map_endpoints (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  if (g_strcmp0 (cube_object_label (object, LABEL_MANAGED_BY), MANAGER) == 0
      || (old != NULL && cube_object_label (old, LABEL_MANAGED_BY) != NULL))
    service_pods_enqueue (state, env, cube_object_namespace (object), cube_object_name (object));
}

static gboolean
start (gpointer state, CubeControllerEnv *env, GError **error)
{
  service_pods_reset (state);
  return TRUE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = service_pods_new ();
  return TRUE;
}

static void
unload (gpointer state)
{
  service_pods_free (state);
}

static const CubeControllerWatch watches[] = {
  { "v1", "services", map_service }, { "v1", "pods", map_pod }, { "v1", "endpoints", map_endpoints }, { NULL, NULL, NULL }
};
static const CubeControllerOps ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = start, .workers = 2
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "endpoint", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-endpoints", .version = "1.0", .license = "Apache-2.0",
                    .description = "writes the Endpoints of Services", .impls = impls, .load = load, .unload = unload);
