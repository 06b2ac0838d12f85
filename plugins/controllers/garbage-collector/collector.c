/* SPDX-License-Identifier: Apache-2.0 */
/* Deletes what lost its last owner, and does the owner's part of foreground and orphan deletion. The owner graph is the store's owner index: nothing is kept here.
 * A key is "<api version>|<resource>|<namespace>|<name>". */
#include <cube/controller.h>
#include <cube/plugin.h>
#include <string.h>

#define FOREGROUND "foregroundDeletion"
#define ORPHAN "orphan"
#define SCHEMA_DELAY_US (200 * 1000)

typedef struct {
  CubeControllerWatch *watches;
  CubeControllerOps ops;
} Static;
static Static plugin; /* the ops are filled in from the schema when the plugin is loaded */

/* Custom kinds come and go: one informer each, on the loop. */
typedef struct {
  CubeControllerEnv *env; /* NULL = stopped */
  GHashTable *informers;  /* CubeResource → CubeInformer */
  CubeTimer *timer;
} Custom;

/* ---- keys ---- */

static void
add_key (CubeControllerEnv *env, const CubeResource *resource, const CubeObject *object)
{
  g_autofree char *key =
      g_strdup_printf ("%s|%s|%s|%s", resource->api_version, resource->resource, cube_object_namespace (object), cube_object_name (object));
  cube_queue_add (env->queue, key);
}

static const CubeResource *
resource_of (CubeControllerEnv *env, const CubeObject *object)
{
  return cube_schema_find_kind (cube_client_schema (env->client), cube_object_api_version (object), cube_object_kind (object));
}

/* ---- owners ---- */

typedef enum { OWNER_SOLID, OWNER_DANGLING, OWNER_WAITING } OwnerState;

static OwnerState
owner_state (CubeControllerEnv *env, const CubeObject *object, const CubeOwnerRef *reference)
{
  const CubeResource *resource = cube_schema_find_kind (cube_client_schema (env->client), reference->api_version, reference->kind);
  if (resource == NULL)
    return OWNER_SOLID; /* a kind we do not know may exist: never delete for it */
  const char *ns = resource->is_namespaced ? cube_object_namespace (object) : NULL;
  if (resource->is_namespaced && *ns == '\0')
    return OWNER_SOLID; /* told by an event; nothing is deleted for a reference that cannot be */
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) owner = cube_client_get (env->client, resource, ns, reference->name, &error);
  if (owner == NULL)
    return g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND) ? OWNER_DANGLING : OWNER_SOLID;
  if (strcmp (cube_object_uid (owner), reference->uid) != 0)
    return OWNER_DANGLING;
  return cube_object_deletion_timestamp (owner) != NULL && cube_object_has_finalizer (owner, FOREGROUND) ? OWNER_WAITING : OWNER_SOLID;
}

/* ---- events ---- */

/* Everything that names @uid as an owner. (transfer full) (element-type CubeObject) */
static GPtrArray *
find_dependents (CubeControllerEnv *env, const char *uid)
{
  GPtrArray *all = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  g_autoptr (GPtrArray) resources = cube_schema_list (cube_client_schema (env->client));
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      if (resource->storage != resource || !(resource->verbs & (1u << CUBE_VERB_DELETE)))
        continue;
      g_autoptr (GPtrArray) some = cube_client_list_owned (env->client, resource, NULL, uid, NULL);
      if (some != NULL)
        g_ptr_array_extend_and_steal (all, g_steal_pointer (&some));
    }
  return all;
}

static void
wake_dependents (CubeControllerEnv *env, const CubeObject *owner)
{
  g_autoptr (GPtrArray) dependents = find_dependents (env, cube_object_uid (owner));
  for (guint i = 0; i < dependents->len; i++)
    {
      const CubeResource *resource = resource_of (env, dependents->pdata[i]);
      if (resource != NULL)
        add_key (env, resource, dependents->pdata[i]);
    }
}

static void
wake_owners (CubeControllerEnv *env, const CubeObject *object)
{
  guint n;
  const CubeOwnerRef *owners = cube_object_owners (object, &n);
  for (guint i = 0; i < n; i++)
    {
      const CubeResource *resource = cube_schema_find_kind (cube_client_schema (env->client), owners[i].api_version, owners[i].kind);
      if (resource == NULL || owner_state (env, object, &owners[i]) != OWNER_WAITING)
        continue;
      g_autofree char *key = g_strdup_printf ("%s|%s|%s|%s", resource->api_version, resource->resource,
                                              resource->is_namespaced ? cube_object_namespace (object) : "", owners[i].name);
      cube_queue_add (env->queue, key);
    }
}

/* Is there an owner that is not there, is going in the foreground, or cannot be (told once, when the object is first seen)? */
static gboolean
needs_look (CubeControllerEnv *env, CubeEventType type, const CubeObject *object)
{
  guint n;
  const CubeOwnerRef *owners = cube_object_owners (object, &n);
  for (guint i = 0; i < n; i++)
    {
      const CubeResource *resource = cube_schema_find_kind (cube_client_schema (env->client), owners[i].api_version, owners[i].kind);
      if (owner_state (env, object, &owners[i]) != OWNER_SOLID
          || (type == CUBE_EVENT_ADDED && resource != NULL && resource->is_namespaced && *cube_object_namespace (object) == '\0'))
        return TRUE;
    }
  return FALSE;
}

static gboolean
has_same_owners (const CubeObject *a, const CubeObject *b)
{
  guint n_a, n_b;
  const CubeOwnerRef *of_a = cube_object_owners (a, &n_a), *of_b = cube_object_owners (b, &n_b);
  gboolean is_same = n_a == n_b;
  for (guint i = 0; is_same && i < n_a; i++)
    is_same = strcmp (of_a[i].uid, of_b[i].uid) == 0 && of_a[i].blocks_owner_deletion == of_b[i].blocks_owner_deletion;
  return is_same;
}

static void
on_object (CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  const CubeResource *resource = resource_of (env, object);
  if (resource == NULL)
    return;
  if (type == CUBE_EVENT_DELETED)
    {
      wake_dependents (env, object);
      wake_owners (env, object);
      return;
    }
  if (old != NULL && !has_same_owners (object, old))
    wake_owners (env, old); /* one of them may wait for it no longer */
  gboolean is_ending = cube_object_deletion_timestamp (object) != NULL
                       && (cube_object_has_finalizer (object, FOREGROUND) || cube_object_has_finalizer (object, ORPHAN));
  if (is_ending || needs_look (env, type, object))
    add_key (env, resource, object);
}

static void
map_any (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  on_object (env, type, object, old);
}

/* ---- custom kinds ---- */

static void
on_custom (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  on_object (((Custom *) data)->env, type, object, old);
}

/* Makes the informers equal to the custom kinds that are served. */
static void
follow_schema (gpointer data)
{
  Custom *custom = data;
  GHashTableIter iter;
  gpointer resource, informer;
  g_clear_pointer (&custom->timer, cube_timer_cancel);
  g_autoptr (GPtrArray) resources = cube_schema_list (cube_client_schema (custom->env->client));
  for (g_hash_table_iter_init (&iter, custom->informers); g_hash_table_iter_next (&iter, &resource, &informer);)
    if (!g_ptr_array_find (resources, resource, NULL))
      {
        cube_informer_free (informer);
        g_hash_table_iter_remove (&iter);
      }
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *one = resources->pdata[i];
      if (one->is_custom && one->storage == one && !g_hash_table_contains (custom->informers, one))
        g_hash_table_insert (custom->informers, (gpointer) one,
                             cube_informer_new (custom->env->client, one, NULL, NULL, NULL, custom->env->loop, on_custom, custom));
    }
}

/* The definition is known before the schema is: a moment later. */
static void
map_definition (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  Custom *custom = state;
  on_object (env, type, object, old);
  if (custom->timer == NULL)
    custom->timer = cube_loop_after (env->loop, SCHEMA_DELAY_US, follow_schema, custom, NULL);
}

static gboolean
start (gpointer state, CubeControllerEnv *env, GError **error)
{
  Custom *custom = state;
  custom->env = env;
  follow_schema (custom);
  return TRUE;
}

static void
stop (gpointer state, CubeControllerEnv *env)
{
  Custom *custom = state;
  GHashTableIter iter;
  gpointer informer;
  g_clear_pointer (&custom->timer, cube_timer_cancel);
  for (g_hash_table_iter_init (&iter, custom->informers); g_hash_table_iter_next (&iter, NULL, &informer);)
    cube_informer_free (informer);
  g_hash_table_remove_all (custom->informers);
  custom->env = NULL;
}

/* ---- what is done about an object ---- */

static gboolean
remove_finalizer (CubeMut *root, CubeView current, gpointer finalizer)
{
  CubeMut *list = cube_mut_get (root, "metadata", "finalizers");
  gboolean is_changed = FALSE;
  for (guint i = cube_mut_length (list); i-- > 0;)
    if (g_strcmp0 (cube_mut_string (cube_mut_element (list, i)), finalizer) == 0)
      is_changed = cube_mut_remove_element (list, i);
  if (is_changed && cube_mut_length (list) == 0)
    cube_mut_remove (cube_mut_member (root, "metadata"), "finalizers");
  return is_changed;
}

typedef struct {
  CubeControllerEnv *env;
  const CubeObject *object;
  const char *owner_uid; /* NULL: every reference that is not solid */
} Unlink;

static gboolean
is_unwanted (const Unlink *unlink, CubeView reference)
{
  const char *uid = cube_view_get_string (reference, "uid");
  guint n;
  const CubeOwnerRef *owners = cube_object_owners (unlink->object, &n);
  if (unlink->owner_uid != NULL)
    return g_strcmp0 (uid, unlink->owner_uid) == 0;
  for (guint i = 0; i < n; i++)
    if (g_strcmp0 (owners[i].uid, uid) == 0)
      return owner_state (unlink->env, unlink->object, &owners[i]) != OWNER_SOLID;
  return FALSE;
}

static gboolean
unlink_owners (CubeMut *root, CubeView current, gpointer data)
{
  CubeMut *list = cube_mut_get (root, "metadata", "ownerReferences");
  gboolean is_changed = FALSE;
  guint n = cube_mut_length (list);
  for (guint i = n; i-- > 0;)
    {
      CubeView reference = cube_view_element (cube_view_get (current, "metadata", "ownerReferences"), i);
      if (is_unwanted (data, reference))
        is_changed = cube_mut_remove_element (list, i);
    }
  if (is_changed && cube_mut_length (list) == 0)
    cube_mut_remove (cube_mut_member (root, "metadata"), "ownerReferences");
  return is_changed;
}

static gboolean
change (CubeControllerEnv *env, const CubeResource *resource, const CubeObject *object, CubeChangeFunc func, gpointer data, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) changed =
      cube_client_modify (env->client, resource, NULL, cube_object_namespace (object), cube_object_name (object), func, data, &problem);
  if (changed != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

/* As it was looked at: whoever adopts it meanwhile keeps it. */
static gboolean
delete_object (CubeControllerEnv *env, const CubeResource *resource, const CubeObject *object, CubePropagation propagation, GError **error)
{
  CubeRequest request = CUBE_REQUEST_INIT;
  char revision[24];
  g_autoptr (GError) problem = NULL;
  g_snprintf (revision, sizeof revision, "%" G_GUINT64_FORMAT, cube_object_revision (object));
  request.verb = CUBE_VERB_DELETE;
  request.resource = resource;
  request.ns = cube_object_namespace (object);
  request.name = cube_object_name (object);
  request.propagation = propagation;
  request.precondition_uid = cube_object_uid (object);
  request.precondition_revision = revision;
  g_autoptr (CubeResponse) response = cube_client_execute (env->client, &request, &problem);
  if (response != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem)); /* a conflict: looked at again */
  return FALSE;
}

/* The owner waits for those of its dependents that block it; all of them are looked at, and go because their owner is going. */
static gboolean
end_foreground (CubeControllerEnv *env, const CubeResource *resource, const CubeObject *object, GError **error)
{
  g_autoptr (GPtrArray) dependents = find_dependents (env, cube_object_uid (object));
  gboolean is_blocked = FALSE;
  for (guint i = 0; i < dependents->len; i++)
    {
      guint n;
      const CubeOwnerRef *owners = cube_object_owners (dependents->pdata[i], &n);
      const CubeResource *its = resource_of (env, dependents->pdata[i]);
      for (guint j = 0; j < n; j++)
        is_blocked |= strcmp (owners[j].uid, cube_object_uid (object)) == 0 && owners[j].blocks_owner_deletion;
      if (its != NULL && cube_object_deletion_timestamp (dependents->pdata[i]) == NULL)
        add_key (env, its, dependents->pdata[i]);
    }
  return is_blocked || change (env, resource, object, remove_finalizer, (gpointer) FOREGROUND, error);
}

static gboolean
end_orphan (CubeControllerEnv *env, const CubeResource *resource, const CubeObject *object, GError **error)
{
  g_autoptr (GPtrArray) dependents = find_dependents (env, cube_object_uid (object));
  for (guint i = 0; i < dependents->len; i++)
    {
      const CubeResource *its = resource_of (env, dependents->pdata[i]);
      Unlink unlink = { env, dependents->pdata[i], cube_object_uid (object) };
      if (its != NULL && !change (env, its, dependents->pdata[i], unlink_owners, &unlink, error))
        return FALSE;
    }
  return change (env, resource, object, remove_finalizer, (gpointer) ORPHAN, error);
}

static void
warn_of_namespace (CubeControllerEnv *env, const CubeObject *object)
{
  guint n;
  const CubeOwnerRef *owners = cube_object_owners (object, &n);
  for (guint i = 0; i < n; i++)
    {
      const CubeResource *resource = cube_schema_find_kind (cube_client_schema (env->client), owners[i].api_version, owners[i].kind);
      if (resource != NULL && resource->is_namespaced && *cube_object_namespace (object) == '\0')
        cube_recorder_event (env->recorder, object, NULL, "Warning", "OwnerRefInvalidNamespace",
                             "ownerRef [%s/%s, namespace: %s, name: %s, uid: %s] does not exist in namespace \"%s\"", owners[i].api_version,
                             owners[i].kind, "", owners[i].name, owners[i].uid, cube_object_namespace (object));
    }
}

static gboolean
collect (CubeControllerEnv *env, const CubeResource *resource, const CubeObject *object, GError **error)
{
  guint n, n_solid = 0, n_waiting = 0;
  const CubeOwnerRef *owners = cube_object_owners (object, &n);
  for (guint i = 0; i < n; i++)
    {
      OwnerState state = owner_state (env, object, &owners[i]);
      n_solid += state == OWNER_SOLID;
      n_waiting += state == OWNER_WAITING;
    }
  if (n == 0)
    return TRUE;
  warn_of_namespace (env, object);
  if (n_solid > 0)
    {
      Unlink unlink = { env, object, NULL };
      return n_solid == n || change (env, resource, object, unlink_owners, &unlink, error);
    }
  if (n_waiting > 0)
    {
      g_autoptr (GPtrArray) dependents = find_dependents (env, cube_object_uid (object));
      if (dependents->len > 0)
        return delete_object (env, resource, object, CUBE_PROPAGATION_FOREGROUND, error);
    }
  CubePropagation propagation = cube_object_has_finalizer (object, ORPHAN)       ? CUBE_PROPAGATION_ORPHAN
                                : cube_object_has_finalizer (object, FOREGROUND) ? CUBE_PROPAGATION_FOREGROUND
                                                                                 : CUBE_PROPAGATION_BACKGROUND;
  return delete_object (env, resource, object, propagation, error);
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (key, "|", 4);
  const CubeResource *resource =
      g_strv_length (parts) == 4 ? cube_schema_resource (cube_client_schema (env->client), parts[0], parts[1]) : NULL;
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) object =
      resource != NULL ? cube_client_get (env->client, resource, *parts[2] != '\0' ? parts[2] : NULL, parts[3], &problem) : NULL;
  if (object == NULL)
    {
      if (problem == NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return 0;
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  if (cube_object_deletion_timestamp (object) == NULL)
    return collect (env, resource, object, error) ? 0 : -1;
  if (cube_object_has_finalizer (object, ORPHAN))
    return end_orphan (env, resource, object, error) ? 0 : -1;
  if (cube_object_has_finalizer (object, FOREGROUND))
    return end_foreground (env, resource, object, error) ? 0 : -1;
  return 0;
}

/* ---- the plugin ---- */

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Custom *custom = g_new0 (Custom, 1);
  custom->informers = g_hash_table_new (NULL, NULL);
  *ret_state = custom;
  return TRUE;
}

static void
unload (gpointer state)
{
  g_hash_table_unref (((Custom *) state)->informers);
  g_free (state);
}

/* One watch for every stored kind that can be deleted. The table is a constant of the process once it is made. */
static void __attribute__ ((constructor)) fill_watches (void)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (cube_schema_get_default ());
  plugin.watches = g_new0 (CubeControllerWatch, resources->len + 1);
  guint n = 0;
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      guint32 needed = (1u << CUBE_VERB_DELETE) | (1u << CUBE_VERB_WATCH);
      if (resource->storage == resource && (resource->verbs & needed) == needed && strcmp (resource->key, "/events") != 0
          && strcmp (resource->key, "coordination.k8s.io/leases") != 0)
        plugin.watches[n++] =
            (CubeControllerWatch){ resource->api_version, resource->resource,
                                   strcmp (resource->resource, "customresourcedefinitions") == 0 ? map_definition : map_any };
    }
  plugin.ops = (CubeControllerOps){
    .ops_size = sizeof (CubeControllerOps), .watches = plugin.watches, .reconcile = reconcile, .start = start, .stop = stop, .workers = 4
  };
}

static const CubeInterfaceImpl impls[] = { { CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, sizeof (CubeControllerOps),
                                             "generic-garbage-collector", &plugin.ops },
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-garbage-collector", .version = "1.0", .license = "Apache-2.0",
                    .description = "deletes what lost its owners", .impls = impls, .load = load, .unload = unload);
