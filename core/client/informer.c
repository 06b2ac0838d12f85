/* SPDX-License-Identifier: Apache-2.0 */
/* Informers: a watch that heals itself. After a gap the difference to what was told before is delivered. What was told is kept as a set of references on
 * the objects (24 bytes each); in-process reads go to the store itself. */
#include "client-private.h"

#define RETRY_MIN_US 100000
#define RETRY_MAX_US (10 * G_USEC_PER_SEC)
#define BATCH 256 /* events delivered before the loop gets a turn */

struct _CubeInformer {
  CubeClient *client;
  const CubeResource *resource;
  char *ns;
  CubeSelector *labels, *fields;
  CubeLoop *loop;
  CubeInformerFunc changed;
  gpointer data;
  CubeWatch *watch;
  GMutex lock;         /* of known: written on the loop, read by any thread */
  GHashTable *known;   /* set of CubeObject by (namespace, name) */
  GHashTable *unseen;  /* during a new list: those of known it has not shown yet */
  gint has_synced;     /* atomic */
  gboolean *was_freed; /* set while delivering: the callback may free us */
  CubeTimer *timer;    /* the next step: start, or more of a long batch */
  gint64 retry_us;
};

static guint
hash_name (gconstpointer data)
{
  return g_str_hash (cube_object_name (data)) * 31 + g_str_hash (cube_object_namespace (data));
}

static gboolean
equal_names (gconstpointer a, gconstpointer b)
{
  return g_str_equal (cube_object_name (a), cube_object_name (b)) && g_str_equal (cube_object_namespace (a), cube_object_namespace (b));
}

static void pump (gpointer data);
static void start (gpointer data);

static void
schedule (CubeInformer *informer, CubeTask task, gint64 delay_us)
{
  cube_timer_cancel (informer->timer);
  informer->timer = cube_loop_after (informer->loop, delay_us, task, informer, NULL);
}

static void
on_timer_pump (gpointer data)
{
  CubeInformer *informer = data;

  g_clear_pointer (&informer->timer, cube_timer_cancel);
  pump (informer);
}

static void
on_timer_start (gpointer data)
{
  CubeInformer *informer = data;
  CubeTimer *timer;

  g_mutex_lock (&informer->lock); /* cube_informer_new () on another thread has noted the timer */
  timer = g_steal_pointer (&informer->timer);
  g_mutex_unlock (&informer->lock);
  cube_timer_cancel (timer);
  start (informer);
}

/* Files @object as told and tells it. FALSE = the callback freed the informer. */
static gboolean
tell (CubeInformer *informer, CubeEventType type, CubeObject *object)
{
  g_autoptr (CubeObject) old = NULL;
  gboolean was_freed = FALSE;

  if (informer->unseen != NULL)
    g_hash_table_remove (informer->unseen, object);
  g_mutex_lock (&informer->lock);
  old = g_hash_table_lookup (informer->known, object);
  if (old != NULL)
    cube_object_ref (old);
  if (type == CUBE_EVENT_DELETED)
    g_hash_table_remove (informer->known, object);
  else
    g_hash_table_add (informer->known, cube_object_ref (object));
  g_mutex_unlock (&informer->lock);

  if (type == CUBE_EVENT_DELETED && old == NULL)
    return TRUE;
  if (type != CUBE_EVENT_DELETED && old != NULL && cube_object_revision (old) >= cube_object_revision (object))
    return TRUE; /* told before the gap */
  if (type != CUBE_EVENT_DELETED)
    type = old == NULL ? CUBE_EVENT_ADDED : CUBE_EVENT_MODIFIED;
  /* cppcheck-suppress autoVariables ; taken back below unless the informer is gone */
  informer->was_freed = &was_freed;
  if (old != NULL && type == CUBE_EVENT_MODIFIED && g_strcmp0 (cube_object_uid (old), cube_object_uid (object)) != 0)
    {
      /* Deleted and made again during a gap. */
      informer->changed (CUBE_EVENT_DELETED, old, old, informer->data);
      if (was_freed)
        return FALSE;
      informer->changed (CUBE_EVENT_ADDED, object, NULL, informer->data);
    }
  else
    informer->changed (type, object, old, informer->data);
  if (was_freed)
    return FALSE;
  informer->was_freed = NULL;
  return TRUE;
}

/* The list is complete: what it did not show is gone. */
static gboolean
end_of_list (CubeInformer *informer)
{
  g_autoptr (GHashTable) gone = g_steal_pointer (&informer->unseen);
  GHashTableIter iter;
  gpointer object;

  g_atomic_int_set (&informer->has_synced, TRUE);
  informer->retry_us = RETRY_MIN_US;
  if (gone == NULL)
    return TRUE;
  g_hash_table_iter_init (&iter, gone);
  while (g_hash_table_iter_next (&iter, &object, NULL))
    if (!tell (informer, CUBE_EVENT_DELETED, object))
      return FALSE;
  return TRUE;
}

static void
restart (CubeInformer *informer, const GError *error)
{
  g_clear_pointer (&informer->watch, cube_watch_free);
  if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT) || g_error_matches (error, CUBE_ERROR, CUBE_ERROR_EXPIRED))
    {
      schedule (informer, on_timer_start, 0);
      return;
    }
  g_debug ("informer of %s: %s; again in %" G_GINT64_FORMAT " ms", informer->resource->resource, error->message, informer->retry_us / 1000);
  schedule (informer, on_timer_start, informer->retry_us);
  informer->retry_us = MIN (informer->retry_us * 2, RETRY_MAX_US);
}

static void
pump (gpointer data)
{
  CubeInformer *informer = data;
  g_autoptr (GError) error = NULL;
  guint delivered = 0;
  CubeEvent event;

  while (informer->watch != NULL && cube_watch_next (informer->watch, &event, &error))
    {
      gboolean is_alive = TRUE;

      if (event.type == CUBE_EVENT_BOOKMARK)
        is_alive = event.is_initial_end ? end_of_list (informer) : TRUE;
      else
        is_alive = tell (informer, event.type, event.object);
      cube_event_clear (&event);
      if (!is_alive)
        return;
      if (++delivered == BATCH)
        {
          schedule (informer, on_timer_pump, 0);
          return;
        }
    }
  if (error != NULL)
    restart (informer, error);
}

static void
start (gpointer data)
{
  CubeInformer *informer = data;
  g_autoptr (GError) error = NULL;
  CubeRequest request = CUBE_REQUEST_INIT;
  GHashTableIter iter;
  gpointer object;

  g_clear_pointer (&informer->unseen, g_hash_table_unref);
  informer->unseen = g_hash_table_new_full (hash_name, equal_names, (GDestroyNotify) cube_object_unref, NULL);
  g_hash_table_iter_init (&iter, informer->known);
  while (g_hash_table_iter_next (&iter, &object, NULL))
    g_hash_table_add (informer->unseen, cube_object_ref (object));

  request.verb = CUBE_VERB_WATCH;
  request.resource = informer->resource;
  request.ns = informer->ns;
  request.labels = informer->labels;
  request.fields = informer->fields;
  request.send_initial_events = TRUE;
  request.revision_match = CUBE_MATCH_NOT_OLDER_THAN;
  request.allow_bookmarks = TRUE;
  informer->watch = cube_client_watch (informer->client, &request, informer->loop, pump, informer, &error);
  if (informer->watch == NULL)
    restart (informer, error);
}

CubeInformer *
cube_informer_new (CubeClient *client, const CubeResource *resource, const char *ns, const CubeSelector *labels, const CubeSelector *fields,
                   CubeLoop *loop, CubeInformerFunc changed, gpointer data)
{
  CubeInformer *informer = g_new0 (CubeInformer, 1);

  informer->client = cube_client_ref (client);
  informer->resource = resource;
  informer->ns = g_strdup (ns);
  informer->labels = labels != NULL ? cube_selector_ref ((CubeSelector *) labels) : NULL;
  informer->fields = fields != NULL ? cube_selector_ref ((CubeSelector *) fields) : NULL;
  informer->loop = loop;
  informer->changed = changed;
  informer->data = data;
  g_mutex_init (&informer->lock);
  informer->known = g_hash_table_new_full (hash_name, equal_names, (GDestroyNotify) cube_object_unref, NULL);
  informer->retry_us = RETRY_MIN_US;
  g_mutex_lock (&informer->lock);
  schedule (informer, on_timer_start, 0);
  g_mutex_unlock (&informer->lock);
  return informer;
}

gboolean
cube_informer_has_synced (CubeInformer *informer)
{
  return g_atomic_int_get (&informer->has_synced);
}

static gboolean
is_in_view (CubeInformer *informer, CubeObject *object)
{
  return (informer->ns == NULL || *informer->ns == '\0' || g_str_equal (cube_object_namespace (object), informer->ns))
         && (informer->labels == NULL || cube_selector_matches_object (informer->labels, object))
         && (informer->fields == NULL || cube_selector_matches_resource (informer->fields, informer->resource, object));
}


static CubeObject *
find_known (CubeInformer *informer, const char *ns, const char *name)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *metadata;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (CubeObject) probe = NULL;
  CubeObject *found;

  cube_mut_set_string (root, "apiVersion", informer->resource->api_version);
  cube_mut_set_string (root, "kind", informer->resource->kind);
  metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", name);
  if (ns != NULL && *ns != '\0')
    cube_mut_set_string (metadata, "namespace", ns);
  value = cube_builder_end (builder);
  probe = cube_object_new (cube_value_root (value), 0, NULL);
  if (probe == NULL)
    return NULL;
  g_mutex_lock (&informer->lock);
  found = g_hash_table_lookup (informer->known, probe);
  if (found != NULL)
    cube_object_ref (found);
  g_mutex_unlock (&informer->lock);
  return found;
}

CubeObject *
cube_informer_get (CubeInformer *informer, const char *ns, const char *name)
{
  g_autoptr (CubeObject) found = NULL;

  if (informer->client->ops->peek == NULL)
    return find_known (informer, ns, name);
  found = informer->client->ops->peek (informer->client, informer->resource, ns, name);
  return found != NULL && is_in_view (informer, found) ? g_steal_pointer (&found) : NULL;
}

static GPtrArray *
list_store (CubeInformer *informer, const char *ns)
{
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;

  request.verb = CUBE_VERB_LIST;
  request.resource = informer->resource;
  request.ns = informer->ns != NULL && *informer->ns != '\0' ? informer->ns : ns;
  request.labels = informer->labels;
  request.fields = informer->fields;
  response = cube_client_execute (informer->client, &request, NULL);
  return response != NULL && response->objects != NULL ? g_ptr_array_ref (response->objects)
                                                       : g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  const CubeObject *one = *(CubeObject *const *) a, *two = *(CubeObject *const *) b;
  int order = strcmp (cube_object_namespace (one), cube_object_namespace (two));

  return order != 0 ? order : strcmp (cube_object_name (one), cube_object_name (two));
}

static GPtrArray *
list_known (CubeInformer *informer)
{
  GPtrArray *all = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  GHashTableIter iter;
  gpointer object;

  g_mutex_lock (&informer->lock);
  g_hash_table_iter_init (&iter, informer->known);
  while (g_hash_table_iter_next (&iter, &object, NULL))
    g_ptr_array_add (all, cube_object_ref (object));
  g_mutex_unlock (&informer->lock);
  g_ptr_array_sort (all, compare_names);
  return all;
}

GPtrArray *
cube_informer_list (CubeInformer *informer, const char *ns, const CubeSelector *labels)
{
  g_autoptr (GPtrArray) all = informer->client->ops->peek != NULL ? list_store (informer, ns) : list_known (informer);
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);

  for (guint i = 0; i < all->len; i++)
    {
      CubeObject *object = all->pdata[i];

      if ((ns == NULL || *ns == '\0' || g_str_equal (cube_object_namespace (object), ns))
          && (labels == NULL || cube_selector_matches_object (labels, object)))
        g_ptr_array_add (found, cube_object_ref (object));
    }
  return found;
}

void
cube_informer_free (CubeInformer *informer)
{
  if (informer == NULL)
    return;
  if (informer->was_freed != NULL)
    *informer->was_freed = TRUE;
  cube_timer_cancel (informer->timer);
  cube_watch_free (informer->watch);
  g_clear_pointer (&informer->unseen, g_hash_table_unref);
  g_hash_table_unref (informer->known);
  cube_selector_unref (informer->labels);
  cube_selector_unref (informer->fields);
  g_mutex_clear (&informer->lock);
  g_free (informer->ns);
  cube_client_unref (informer->client);
  g_free (informer);
}
