/* SPDX-License-Identifier: Apache-2.0 */
/* What the storage holds → tables, indexes and the bus's history. Before anybody else has the store. */
#include "store-private.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
  CubeStore *store;
  CubeTable *last;    /* of the last row: rows of one resource often follow each other */
  GHashTable *batches; /* CubeTable → GPtrArray of CubeObject */
  GError *error;
  /* history */
  guint64 from;
  GHashTable *states; /* key → CubeObject: the state before the next change */
} Load;

/* The table of a storage key and what follows the resource in it; NULL = not an object's. */
static CubeTable *
load_table (Load *load, const char *key, const char **ret_ns)
{
  const char *end = strchr (key, CUBE_STORE_SEPARATOR[0]);
  if (end == NULL || strchr (end + 1, CUBE_STORE_SEPARATOR[0]) == NULL)
    return NULL;
  *ret_ns = end + 1;
  gsize length = end - key;
  if (load->last == NULL || strncmp (load->last->key, key, length) != 0 || load->last->key[length] != '\0')
    {
      g_autofree char *resource_key = g_strndup (key, length);
      load->last = cube_store_table (load->store, resource_key, TRUE);
    }
  return load->last;
}

static gboolean
load_mark (CubeStore *store, const char *json, gsize length, guint64 revision)
{
  static const char prefix[] = "{\"revision\":";
  if (length < sizeof prefix || strncmp (json, prefix, sizeof prefix - 1) != 0)
    return FALSE;
  g_autofree char *digits = g_strndup (json + sizeof prefix - 1, length - (sizeof prefix - 1));
  store->mark = g_ascii_strtoull (digits, NULL, 10);
  store->mark_revision = revision;
  return TRUE;
}

static gboolean
load_fail (Load *load, const char *key, const GError *why)
{
  g_autofree char *shown = g_strdelimit (g_strdup (key), CUBE_STORE_SEPARATOR "\x01", ' ');
  g_set_error (&load->error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR,
               "stored object \"%s\" cannot be read: %s; restore a backup, or remove its row", shown, why != NULL ? why->message : "unknown kind of row");
  return FALSE;
}

static gboolean
load_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  Load *load = data;
  g_autoptr (GError) error = NULL;
  const char *ns;
  if (strcmp (key, CUBE_STORE_MARK_KEY) == 0)
    return load_mark (load->store, json, length, revision) || load_fail (load, key, NULL);
  CubeTable *table = load_table (load, key, &ns);
  if (table == NULL)
    return load_fail (load, key, NULL);
  if (table->is_volatile)
    return TRUE; /* stored when it was not volatile yet */
  CubeObject *object = cube_object_new_from_json (json, length, revision, &error);
  if (object == NULL)
    return load_fail (load, key, error);
  GPtrArray *batch = g_hash_table_lookup (load->batches, table);
  if (batch == NULL)
    {
      batch = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
      g_hash_table_insert (load->batches, table, batch);
    }
  g_ptr_array_add (batch, object);
  return TRUE;
}

static int
compare_objects (gconstpointer a, gconstpointer b)
{
  const CubeObject *first = *(CubeObject *const *) a, *second = *(CubeObject *const *) b;
  int order = strcmp (cube_object_namespace (first), cube_object_namespace (second));
  return order != 0 ? order : strcmp (cube_object_name (first), cube_object_name (second));
}

/* Sorted first: a tree filled in order has full nodes. */
static void
load_fill (Load *load)
{
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, load->batches);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      CubeTable *table = key;
      GPtrArray *batch = value;
      g_ptr_array_sort (batch, compare_objects);
      for (guint i = 0; i < batch->len; i++)
        {
          CubeObject *replaced = cube_tree_put (&table->tree, batch->pdata[i]);
          cube_store_change_indexes (load->store, table, replaced, batch->pdata[i]);
          g_clear_pointer (&replaced, cube_object_unref);
        }
    }
}

/* ---- history ---- */

/* The object of a historical row: the live one where the row is still the newest of its key. */
static CubeObject *
history_object (CubeTable *table, const char *key, const char *ns, const char *json, gsize length, guint64 revision, GError **error)
{
  const char *name = strchr (ns, CUBE_STORE_SEPARATOR[0]) + 1;
  g_autofree char *only_ns = g_strndup (ns, name - 1 - ns);
  CubeObject *live = cube_tree_lookup (&table->tree, only_ns, name);
  if (live != NULL && cube_object_revision (live) == revision)
    return cube_object_ref (live);
  return cube_object_new_from_json (json, length, revision, error);
}

static void
history_publish (Load *load, CubeTable *table, CubeObject *object, CubeObject *old, guint64 revision)
{
  CubeChange change = { revision, object, old, FALSE };
  g_autoptr (CubeObject) last = NULL;
  if (object == NULL && old == NULL)
    return; /* a deletion of something forgotten: nobody can have seen it */
  if (object == NULL)
    {
      gsize length;
      const char *json = cube_object_json (old, &length);
      last = cube_object_new_from_json (json, length, revision, NULL);
      change.object = last;
      change.is_delete = TRUE;
    }
  if (change.object != NULL)
    cube_bus_preload (load->store->bus, table->key, &change);
}

static gboolean
history_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  Load *load = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) object = NULL;
  const char *ns;
  if (strcmp (key, CUBE_STORE_MARK_KEY) == 0)
    return TRUE;
  CubeTable *table = load_table (load, key, &ns);
  if (table == NULL)
    return load_fail (load, key, NULL);
  if (table->is_volatile)
    return TRUE;
  if (json != NULL)
    {
      object = history_object (table, key, ns, json, length, revision, &error);
      if (object == NULL)
        return load_fail (load, key, error);
    }
  if (revision > load->from)
    history_publish (load, table, object, g_hash_table_lookup (load->states, key), revision);
  if (object != NULL)
    g_hash_table_insert (load->states, g_strdup (key), g_steal_pointer (&object));
  else
    g_hash_table_remove (load->states, key);
  return TRUE;
}

static gboolean
load_history (Load *load, guint64 oldest, GError **error)
{
  CubeStore *store = load->store;
  /* More than two windows back is hardly asked for, and reading it would slow the start down. */
  guint64 reach = 2 * (guint64) store->history;
  load->from = MAX (oldest, store->newest_stored > reach ? store->newest_stored - reach : 0);
  cube_bus_set_floor (store->bus, load->from);
  if (load->from >= store->newest_stored)
    return TRUE;
  load->states = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cube_object_unref);
  gboolean is_read = store->ops->load_history (store->storage, load->from, history_row, load, error);
  g_hash_table_unref (load->states);
  return is_read;
}

gboolean
cube_store_load (CubeStore *store, GError **error)
{
  Load load = { .store = store };
  guint64 oldest = 0;
  if (!store->ops->get_revision (store->storage, &store->newest_stored, &oldest, error))
    return FALSE;
  load.batches = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_ptr_array_unref);
  gboolean is_read = store->ops->load (store->storage, load_row, &load, error);
  if (is_read && load.error == NULL)
    load_fill (&load);
  g_hash_table_unref (load.batches);
  is_read = is_read && load.error == NULL && load_history (&load, oldest, error);
  if (load.error != NULL)
    {
      if (error != NULL && *error == NULL)
        g_propagate_error (error, load.error);
      else
        g_error_free (load.error);
      return FALSE;
    }
  if (!is_read)
    return FALSE;
  store->compacted = store->compact_target = oldest;
  store->last_assigned = MAX (MAX (store->newest_stored, store->mark), 1);
  __atomic_store_n (&store->revision, store->last_assigned, __ATOMIC_RELEASE);
  cube_bus_set_newest (store->bus, store->last_assigned);
  for (guint i = 0; store->volatile_resources != NULL && store->volatile_resources[i] != NULL; i++)
    cube_bus_set_resource_floor (store->bus, store->volatile_resources[i], store->last_assigned);
  return TRUE;
}
