/* SPDX-License-Identifier: Apache-2.0 */
/* Life of a store, and reading. */
#include "store-private.h"
#include <string.h>

#define DEFAULT_HISTORY 10000
#define DEFAULT_COMPACT_EVERY_US (5 * 60 * G_USEC_PER_SEC)
#define MAX_KEPT 64
#define MAX_KEPT_AGE_US (5 * 60 * G_USEC_PER_SEC)

struct _CubeSnapshot {
  gint ref_count;
  guint64 revision;
  CubeTree tree;
  char *resource_key;
};

typedef struct {
  CubeSnapshot *snapshot;
  gint64 kept_us;
} Kept;

/* ---- tables ---- */

static void
table_free (gpointer data)
{
  CubeTable *table = data;
  cube_tree_clear (&table->tree);
  g_mutex_clear (&table->lock);
  g_free (table->key);
  g_free (table);
}

static CubeTable *
table_new (CubeStore *store, const char *resource_key)
{
  CubeTable *table = g_new0 (CubeTable, 1);
  table->key = g_strdup (resource_key);
  table->is_volatile = store->volatile_resources != NULL && g_strv_contains ((const char *const *) store->volatile_resources, resource_key);
  g_mutex_init (&table->lock);
  return table;
}

CubeTable *
cube_store_table (CubeStore *store, const char *resource_key, gboolean make)
{
  g_rw_lock_reader_lock (&store->tables_lock);
  CubeTable *table = g_hash_table_lookup (store->tables, resource_key);
  g_rw_lock_reader_unlock (&store->tables_lock);
  if (table != NULL || !make)
    return table;
  g_rw_lock_writer_lock (&store->tables_lock);
  table = g_hash_table_lookup (store->tables, resource_key);
  if (table == NULL)
    {
      table = table_new (store, resource_key);
      g_hash_table_insert (store->tables, table->key, table);
    }
  g_rw_lock_writer_unlock (&store->tables_lock);
  return table;
}

void
cube_store_change_indexes (CubeStore *store, CubeTable *table, CubeObject *old, CubeObject *object)
{
  for (guint i = 0; i < CUBE_INDEX_N; i++)
    if (cube_index_covers (store->indexes[i], table->key))
      cube_index_change (store->indexes[i], table->key, old, object);
}

/* ---- life ---- */

static void
kept_free (gpointer data)
{
  Kept *kept = data;
  cube_snapshot_unref (kept->snapshot);
  g_free (kept);
}

static void
store_destroy (CubeStore *store)
{
  g_queue_clear_full (&store->kept, kept_free);
  g_mutex_clear (&store->kept_lock);
  cube_bus_free (store->bus);
  for (guint i = 0; i < CUBE_INDEX_N; i++)
    cube_index_free (store->indexes[i]);
  g_hash_table_unref (store->tables);
  g_rw_lock_clear (&store->tables_lock);
  g_strfreev (store->volatile_resources);
  g_clear_error (&store->trouble);
  g_free (store);
}

CubeStore *
cube_store_new (CubeContext *context, const CubeStorageOps *storage, gpointer storage_state, const CubeStoreOptions *options,
                GError **error)
{
  g_return_val_if_fail (context != NULL && storage != NULL, NULL);
  CubeStore *store = g_new0 (CubeStore, 1);
  store->context = context;
  store->ops = storage;
  store->storage = storage_state;
  store->history = options != NULL && options->history > 0 ? options->history : DEFAULT_HISTORY;
  store->compact_every_us = options != NULL && options->compact_every_us > 0 ? options->compact_every_us : DEFAULT_COMPACT_EVERY_US;
  if (options != NULL && options->volatile_resources != NULL)
    store->volatile_resources = g_strdupv ((char **) options->volatile_resources);
  store->bus = cube_bus_new (store->history);
  g_rw_lock_init (&store->tables_lock);
  store->tables = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, table_free);
  for (guint i = 0; i < CUBE_INDEX_N; i++)
    store->indexes[i] = cube_index_new (i);
  g_mutex_init (&store->kept_lock);
  g_queue_init (&store->kept);
  if (!cube_store_load (store, error))
    {
      store_destroy (store);
      return NULL;
    }
  store->next_compact_us = cube_context_monotonic_us (context) + store->compact_every_us;
  store->compact_candidate = store->newest_stored;
  cube_store_start_committer (store);
  return store;
}

void
cube_store_free (CubeStore *store)
{
  if (store == NULL)
    return;
  cube_store_stop_committer (store);
  store_destroy (store);
}

CubeBus *
cube_store_bus (CubeStore *store)
{
  return store->bus;
}

guint64
cube_store_revision (CubeStore *store)
{
  return __atomic_load_n (&store->revision, __ATOMIC_ACQUIRE);
}

/* ---- reading ---- */

CubeObject *
cube_store_get (CubeStore *store, const char *resource_key, const char *ns, const char *name)
{
  CubeTable *table = cube_store_table (store, resource_key, FALSE);
  if (table == NULL)
    return NULL;
  g_mutex_lock (&table->lock);
  CubeObject *object = cube_tree_lookup (&table->tree, ns != NULL ? ns : "", name);
  if (object != NULL)
    cube_object_ref (object);
  g_mutex_unlock (&table->lock);
  return object;
}

CubeSnapshot *
cube_store_snapshot (CubeStore *store, const char *resource_key)
{
  CubeSnapshot *snapshot = g_new0 (CubeSnapshot, 1);
  snapshot->ref_count = 1;
  snapshot->resource_key = g_strdup (resource_key);
  CubeTable *table = cube_store_table (store, resource_key, TRUE);
  g_mutex_lock (&table->lock);
  /* The committer moves the revision under the lock of the table it changes: the tree holds this table's changes up to it and none after. */
  snapshot->tree = cube_tree_copy (&table->tree);
  snapshot->revision = cube_store_revision (store);
  g_mutex_unlock (&table->lock);
  return snapshot;
}

CubeSnapshot *
cube_snapshot_ref (CubeSnapshot *snapshot)
{
  g_atomic_int_inc (&snapshot->ref_count);
  return snapshot;
}

void
cube_snapshot_unref (CubeSnapshot *snapshot)
{
  if (snapshot == NULL || !g_atomic_int_dec_and_test (&snapshot->ref_count))
    return;
  cube_tree_clear (&snapshot->tree);
  g_free (snapshot->resource_key);
  g_free (snapshot);
}

guint64
cube_snapshot_revision (const CubeSnapshot *snapshot)
{
  return snapshot->revision;
}

guint
cube_snapshot_length (const CubeSnapshot *snapshot)
{
  return snapshot->tree.length;
}

void
cube_snapshot_visit (const CubeSnapshot *snapshot, const char *ns, const char *after_ns, const char *after_name, CubeSnapshotVisit visit,
                     gpointer data)
{
  cube_tree_visit (&snapshot->tree, ns, after_ns, after_name, visit, data);
}

/* ---- kept snapshots ---- */

/* kept_lock held: takes what is too many or too old off the list, to be freed outside. */
static GList *
kept_overdue (CubeStore *store)
{
  gint64 oldest = cube_context_monotonic_us (store->context) - MAX_KEPT_AGE_US;
  GList *overdue = NULL;
  while (store->kept.length > MAX_KEPT || (store->kept.tail != NULL && ((Kept *) store->kept.tail->data)->kept_us < oldest))
    overdue = g_list_prepend (overdue, g_queue_pop_tail (&store->kept));
  return overdue;
}

void
cube_store_drop_kept (CubeStore *store)
{
  g_mutex_lock (&store->kept_lock);
  GList *overdue = kept_overdue (store);
  g_mutex_unlock (&store->kept_lock);
  g_list_free_full (overdue, kept_free);
}

static CubeSnapshot *
kept_find (CubeStore *store, const char *resource_key, guint64 revision)
{
  for (GList *l = store->kept.head; l != NULL; l = l->next)
    {
      CubeSnapshot *snapshot = ((Kept *) l->data)->snapshot;
      if (snapshot->revision == revision && strcmp (snapshot->resource_key, resource_key) == 0)
        return snapshot;
    }
  return NULL;
}

void
cube_store_keep_snapshot (CubeStore *store, CubeSnapshot *snapshot)
{
  g_mutex_lock (&store->kept_lock);
  if (kept_find (store, snapshot->resource_key, snapshot->revision) == NULL)
    {
      Kept *kept = g_new0 (Kept, 1);
      kept->snapshot = cube_snapshot_ref (snapshot);
      kept->kept_us = cube_context_monotonic_us (store->context);
      g_queue_push_head (&store->kept, kept);
    }
  GList *overdue = kept_overdue (store);
  g_mutex_unlock (&store->kept_lock);
  g_list_free_full (overdue, kept_free);
}

CubeSnapshot *
cube_store_find_snapshot (CubeStore *store, const char *resource_key, guint64 revision)
{
  g_mutex_lock (&store->kept_lock);
  GList *overdue = kept_overdue (store);
  CubeSnapshot *snapshot = kept_find (store, resource_key, revision);
  if (snapshot != NULL)
    cube_snapshot_ref (snapshot);
  g_mutex_unlock (&store->kept_lock);
  g_list_free_full (overdue, kept_free);
  return snapshot;
}

/* ---- indexes and counts ---- */

static void
hit_clear (gpointer data)
{
  cube_object_unref (((CubeStoreHit *) data)->object);
}

static void
hit_add (const char *resource_key, CubeObject *object, gpointer data)
{
  CubeStoreHit hit = { resource_key, cube_object_ref (object) };
  g_array_append_val ((GArray *) data, hit);
}

GArray *
cube_store_find_owned (CubeStore *store, const char *owner_uid)
{
  GArray *hits = g_array_new (FALSE, FALSE, sizeof (CubeStoreHit));
  g_array_set_clear_func (hits, hit_clear);
  cube_index_find (store->indexes[CUBE_INDEX_OWNER], owner_uid, hit_add, hits);
  return hits;
}

static void
pod_add (const char *resource_key, CubeObject *object, gpointer data)
{
  g_ptr_array_add (data, cube_object_ref (object));
}

GPtrArray *
cube_store_find_pods_on (CubeStore *store, const char *node_name)
{
  GPtrArray *pods = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  cube_index_find (store->indexes[CUBE_INDEX_NODE], node_name, pod_add, pods);
  return pods;
}

GHashTable *
cube_store_count (CubeStore *store)
{
  GHashTable *counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter iter;
  gpointer value;
  g_rw_lock_reader_lock (&store->tables_lock);
  g_hash_table_iter_init (&iter, store->tables);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      CubeTable *table = value;
      g_mutex_lock (&table->lock);
      guint length = table->tree.length;
      g_mutex_unlock (&table->lock);
      if (length > 0)
        g_hash_table_insert (counts, g_strdup (table->key), GUINT_TO_POINTER (length));
    }
  g_rw_lock_reader_unlock (&store->tables_lock);
  return counts;
}
