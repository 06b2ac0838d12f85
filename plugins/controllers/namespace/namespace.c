/* SPDX-License-Identifier: Apache-2.0 */
/* Empties a namespace that is being deleted: pods first, then everything else; then lets it go. */
#include <cube/controller.h>
#include <cube/plugin.h>
#include <cube/scalar.h>
#include <string.h>
#include <workload/workload.h>

#define FINALIZER "kubernetes"
#define AGAIN_US (500 * 1000) /* the net below the watch of pods: content with finalizers */

typedef struct {
  CubeControllerEnv *env;
  const char *ns;
  GPtrArray *remaining;   /* utf8 "pods. has 1 resource instances" */
  GHashTable *finalizers; /* utf8 → count */
  GPtrArray *failures;    /* utf8 */
  gint64 now_us;
} Sweep;

/* Counts what is left of @resource and which finalizers hold it. */
static guint
count (Sweep *sweep, const CubeResource *resource)
{
  g_autoptr (GPtrArray) list = cube_client_list (sweep->env->client, resource, sweep->ns, NULL, NULL, NULL);
  guint n = list != NULL ? list->len : 0;
  if (n == 0)
    return 0;
  g_ptr_array_add (sweep->remaining, g_strdup_printf ("%s.%s has %u resource instances", resource->resource, resource->group, n));
  for (guint i = 0; i < n; i++)
    for (const char *const *finalizer = cube_object_finalizers (list->pdata[i]); *finalizer != NULL; finalizer++)
      {
        guint before = GPOINTER_TO_UINT (g_hash_table_lookup (sweep->finalizers, *finalizer));
        g_hash_table_insert (sweep->finalizers, g_strdup (*finalizer), GUINT_TO_POINTER (before + 1));
      }
  return n;
}

static gboolean
is_empty (Sweep *sweep, const CubeResource *resource)
{
  CubeRequest request = { .verb = CUBE_VERB_LIST, .resource = resource, .ns = sweep->ns, .limit = 1, .grace_seconds = -1 };
  g_autoptr (CubeResponse) response = cube_client_execute (sweep->env->client, &request, NULL);
  return response != NULL && response->objects->len == 0;
}

static guint
delete_all (Sweep *sweep, const CubeResource *resource)
{
  if (is_empty (sweep, resource))
    return 0;
  CubeRequest request = { .verb = CUBE_VERB_DELETE_COLLECTION,
                          .resource = resource,
                          .ns = sweep->ns,
                          .propagation = CUBE_PROPAGATION_BACKGROUND,
                          .grace_seconds = -1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeResponse) response = cube_client_execute (sweep->env->client, &request, &error);
  if (response == NULL)
    g_ptr_array_add (sweep->failures, g_strdup (error->message));
  return count (sweep, resource);
}

static gint
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static char *
join (GPtrArray *parts)
{
  g_ptr_array_sort (parts, compare_text);
  g_ptr_array_add (parts, NULL);
  char *text = g_strjoinv (", ", (char **) parts->pdata);
  g_ptr_array_set_size (parts, (gint) parts->len - 1);
  return text;
}

static gboolean
write_conditions (CubeMut *root, CubeView current, gpointer data)
{
  Sweep *sweep = data;
  char now[32];
  CubeMut *conditions = cube_mut_ensure_array (cube_mut_ensure_object (root, "status"), "conditions");
  g_autoptr (GPtrArray) held = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer finalizer, n;
  g_hash_table_iter_init (&iter, sweep->finalizers);
  while (g_hash_table_iter_next (&iter, &finalizer, &n))
    g_ptr_array_add (held, g_strdup_printf ("%s in %u resource instances", (char *) finalizer, GPOINTER_TO_UINT (n)));
  g_autofree char *left = join (sweep->remaining), *holders = join (held), *failed = join (sweep->failures);
  g_autofree char *remain = g_strconcat ("Some resources are remaining: ", left, NULL);
  g_autofree char *some = g_strconcat ("Some content in the namespace has finalizers remaining: ", holders, NULL);
  g_autofree char *failure = g_strdup_printf ("Failed to delete all resource types, %u remaining: %s", sweep->failures->len, failed);
  cube_time_format (sweep->now_us, now);
  workload_state_condition (conditions, "NamespaceDeletionDiscoveryFailure", FALSE, "ResourcesDiscovered",
                            "All resources successfully discovered", now);
  workload_state_condition (conditions, "NamespaceDeletionGroupVersionParsingFailure", FALSE, "ParsedGroupVersions",
                            "All legacy kube types successfully parsed", now);
  gboolean has_failed = sweep->failures->len > 0, has_rest = sweep->remaining->len > 0, is_held = held->len > 0;
  workload_state_condition (conditions, "NamespaceDeletionContentFailure", has_failed,
                            has_failed ? "ContentDeletionFailed" : "ContentDeleted",
                            has_failed ? failure : "All content successfully deleted, may be waiting on finalization", now);
  workload_state_condition (conditions, "NamespaceContentRemaining", has_rest, has_rest ? "SomeResourcesRemain" : "ContentRemoved",
                            has_rest ? remain : "All content successfully removed", now);
  workload_state_condition (conditions, "NamespaceFinalizersRemaining", is_held,
                            is_held ? "SomeFinalizersRemain" : "ContentHasNoFinalizers",
                            is_held ? some : "All content-preserving finalizers finished", now);
  return !cube_mut_equal_view (conditions, cube_view_get (current, "status", "conditions"));
}

static gboolean
drop_finalizer (CubeMut *root, CubeView current, gpointer unused)
{
  CubeMut *list = cube_mut_get (root, "spec", "finalizers");
  gboolean is_changed = FALSE;
  for (guint i = cube_mut_length (list); i-- > 0;)
    if (g_strcmp0 (cube_mut_string (cube_mut_element (list, i)), FINALIZER) == 0)
      is_changed = cube_mut_remove_element (list, i);
  return is_changed;
}

static void
sweep_content (Sweep *sweep)
{
  CubeSchema *schema = cube_client_schema (sweep->env->client);
  const CubeResource *pods = cube_schema_resource (schema, "v1", "pods");
  if (delete_all (sweep, pods) > 0)
    return; /* pods first: nothing they may still need goes before them */
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      guint32 needed = (1u << CUBE_VERB_DELETE) | (1u << CUBE_VERB_LIST);
      if (resource->is_namespaced && resource->storage == resource && resource != pods && (resource->verbs & needed) == needed)
        delete_all (sweep, resource);
    }
}

static gboolean
finish (Sweep *sweep, const CubeResource *namespaces, gboolean is_empty_now, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) told =
      cube_client_modify (sweep->env->client, namespaces, "status", NULL, sweep->ns, write_conditions, sweep, &problem);
  g_autoptr (CubeObject) let_go = NULL;
  if (told != NULL && is_empty_now)
    let_go = cube_client_modify (sweep->env->client, namespaces, "finalize", NULL, sweep->ns, drop_finalizer, NULL, &problem);
  if (problem == NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  const CubeResource *namespaces = cube_schema_resource (cube_client_schema (env->client), "v1", "namespaces");
  g_autoptr (CubeObject) object = cube_client_get (env->client, namespaces, NULL, key, NULL);
  if (object == NULL || cube_object_deletion_timestamp (object) == NULL)
    return 0;
  Sweep sweep = { .env = env, .ns = key, .now_us = cube_context_now_us (env->context) };
  sweep.remaining = g_ptr_array_new_with_free_func (g_free);
  sweep.failures = g_ptr_array_new_with_free_func (g_free);
  sweep.finalizers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  sweep_content (&sweep);
  gboolean is_done = sweep.remaining->len == 0 && sweep.failures->len == 0;
  gboolean ok = finish (&sweep, namespaces, is_done, error);
  g_ptr_array_unref (sweep.remaining);
  g_ptr_array_unref (sweep.failures);
  g_hash_table_unref (sweep.finalizers);
  return !ok ? -1 : is_done ? 0 : AGAIN_US;
}

/* A pod is gone: its namespace may be waiting for that. */
static void
map_pod (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  if (type != CUBE_EVENT_DELETED)
    return;
  const CubeResource *namespaces = cube_schema_resource (cube_client_schema (env->client), "v1", "namespaces");
  g_autoptr (CubeObject) ns = cube_client_get (env->client, namespaces, NULL, cube_object_namespace (object), NULL);
  if (ns != NULL && cube_object_deletion_timestamp (ns) != NULL)
    cube_queue_add (env->queue, cube_object_namespace (object));
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeControllerWatch watches[] = { { "v1", "namespaces", NULL }, { "v1", "pods", map_pod }, { NULL, NULL, NULL } };
static const CubeControllerOps ops = { .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .workers = 4 };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "namespace", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-namespace", .version = "1.0", .license = "Apache-2.0",
                    .description = "empties namespaces that are being deleted", .impls = impls, .load = load);
