/* SPDX-License-Identifier: Apache-2.0 */
/* What the storage holds → tables, indexes and the bus's history. Before anybody else has the store. */
#include "store-private.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (256 * 1024)
#define MAX_PARSERS 4
#define N_BUFFERS (2 * MAX_PARSERS) /* reading waits when all are full */

/* Rows read, to be parsed by a worker. */
typedef struct {
  CubeTable *table;
  gsize key, json, length; /* where in bytes */
  guint64 revision;
  CubeObject *object;
} Row;

typedef struct {
  GArray *rows;      /* Row */
  GByteArray *bytes; /* of this chunk's rows: what the storage gives is its own. NULL once parsed */
  char *failed_key;  /* of the first row that is no object */
  GError *error;
} Chunk;

typedef struct {
  CubeStore *store;
  CubeTable *last; /* of the last row: rows of one resource often follow each other */
  Chunk *chunk;    /* being filled */
  GPtrArray *chunks;
  GThread *parsers[MAX_PARSERS]; /* none: one thread does it all */
  guint n_parsers, n_buffers;
  GMutex lock; /* the next three */
  GCond changed;
  GQueue todo;         /* Chunk to be parsed */
  GPtrArray *buffers;  /* GByteArray to be filled again */
  gboolean is_read;    /* no more chunks */
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
  if (load->error != NULL)
    return FALSE; /* the first one is told */
  g_autofree char *shown = g_strdelimit (g_strdup (key), CUBE_STORE_SEPARATOR "\x01", ' ');
  g_set_error (&load->error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR,
               "stored object \"%s\" cannot be read: %s; restore a backup, or remove its row", shown,
               why != NULL ? why->message : "unknown kind of row");
  return FALSE;
}

static void
row_clear (gpointer data)
{
  g_clear_pointer (&((Row *) data)->object, cube_object_unref);
}

static void
chunk_free (gpointer data)
{
  Chunk *chunk = data;
  g_array_unref (chunk->rows);
  g_clear_pointer (&chunk->bytes, g_byte_array_unref);
  g_clear_error (&chunk->error);
  g_free (chunk->failed_key);
  g_free (chunk);
}

static Chunk *
chunk_new (Load *load)
{
  Chunk *chunk = g_new0 (Chunk, 1);
  chunk->rows = g_array_new (FALSE, FALSE, sizeof (Row));
  g_array_set_clear_func (chunk->rows, row_clear);
  if (load->n_buffers < N_BUFFERS)
    {
      load->n_buffers++;
      chunk->bytes = g_byte_array_sized_new (CHUNK_BYTES);
    }
  else
    {
      g_mutex_lock (&load->lock);
      while (load->buffers->len == 0)
        g_cond_wait (&load->changed, &load->lock);
      chunk->bytes = g_ptr_array_steal_index_fast (load->buffers, load->buffers->len - 1);
      g_mutex_unlock (&load->lock);
    }
  return chunk;
}

static void
chunk_parse (Load *load, Chunk *chunk)
{
  const char *bytes = (const char *) chunk->bytes->data;
  for (guint i = 0; i < chunk->rows->len && chunk->error == NULL; i++)
    {
      Row *row = &g_array_index (chunk->rows, Row, i);
      row->object = cube_object_new_from_json (bytes + row->json, row->length, row->revision, &chunk->error);
      if (row->object == NULL)
        chunk->failed_key = g_strdup (bytes + row->key);
    }
  g_byte_array_set_size (chunk->bytes, 0);
  g_mutex_lock (&load->lock);
  g_ptr_array_add (load->buffers, g_steal_pointer (&chunk->bytes));
  g_cond_broadcast (&load->changed);
  g_mutex_unlock (&load->lock);
}

static gpointer
parser_run (gpointer data)
{
  Load *load = data;
  g_mutex_lock (&load->lock);
  for (;;)
    {
      Chunk *chunk = g_queue_pop_head (&load->todo);
      if (chunk == NULL && load->is_read)
        break;
      if (chunk == NULL)
        {
          g_cond_wait (&load->changed, &load->lock);
          continue;
        }
      g_mutex_unlock (&load->lock);
      chunk_parse (load, chunk);
      g_mutex_lock (&load->lock);
    }
  g_mutex_unlock (&load->lock);
  return NULL;
}

/* Parsing is most of a start: beside the reading of the rest, on every processor. */
static void
load_flush (Load *load, gboolean is_last)
{
  if (load->chunk == NULL)
    return;
  while (!is_last && !cube_context_is_simulated (load->store->context) && load->n_parsers < MIN (g_get_num_processors (), MAX_PARSERS))
    load->parsers[load->n_parsers++] = g_thread_new ("parser", parser_run, load);
  Chunk *chunk = g_steal_pointer (&load->chunk);
  g_ptr_array_add (load->chunks, chunk);
  if (load->n_parsers == 0)
    {
      chunk_parse (load, chunk);
      return;
    }
  g_mutex_lock (&load->lock);
  g_queue_push_tail (&load->todo, chunk);
  g_cond_broadcast (&load->changed);
  g_mutex_unlock (&load->lock);
}

static gsize
chunk_add (Chunk *chunk, const char *bytes, gsize length)
{
  gsize at = chunk->bytes->len;
  g_byte_array_append (chunk->bytes, (const guint8 *) bytes, length);
  return at;
}

static gboolean
load_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  Load *load = data;
  const char *ns;
  if (strcmp (key, CUBE_STORE_MARK_KEY) == 0)
    return load_mark (load->store, json, length, revision) || load_fail (load, key, NULL);
  CubeTable *table = load_table (load, key, &ns);
  if (table == NULL)
    return load_fail (load, key, NULL);
  if (table->is_volatile)
    return TRUE; /* stored when it was not volatile yet */
  if (load->chunk != NULL && load->chunk->bytes->len + length + strlen (key) + 1 > CHUNK_BYTES)
    load_flush (load, FALSE);
  if (load->chunk == NULL)
    load->chunk = chunk_new (load);
  Row row = { .table = table, .length = length, .revision = revision };
  row.key = chunk_add (load->chunk, key, strlen (key) + 1);
  row.json = chunk_add (load->chunk, json, length);
  g_array_append_val (load->chunk->rows, row);
  return TRUE;
}

static GPtrArray *
load_batch (Load *load, CubeTable *table)
{
  GPtrArray *batch = g_hash_table_lookup (load->batches, table);
  if (batch == NULL)
    {
      batch = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
      g_hash_table_insert (load->batches, table, batch);
    }
  return batch;
}

/* Waits for the parsers; objects → a batch a table. */
static gboolean
load_collect (Load *load)
{
  load_flush (load, TRUE);
  g_mutex_lock (&load->lock);
  load->is_read = TRUE;
  g_cond_broadcast (&load->changed);
  g_mutex_unlock (&load->lock);
  for (guint i = 0; i < load->n_parsers; i++)
    g_thread_join (load->parsers[i]);
  for (guint i = 0; i < load->chunks->len; i++)
    {
      Chunk *chunk = load->chunks->pdata[i];
      if (chunk->error != NULL)
        return load_fail (load, chunk->failed_key, chunk->error);
      for (guint j = 0; j < chunk->rows->len; j++)
        {
          Row *row = &g_array_index (chunk->rows, Row, j);
          g_ptr_array_add (load_batch (load, row->table), g_steal_pointer (&row->object));
        }
    }
  g_ptr_array_set_size (load->chunks, 0);
  return TRUE;
}

/* ---- filling ---- */

/* With the names at hand: sorting looks at each many times. */
typedef struct {
  const char *ns, *name;
  CubeObject *object;
} Sorted;

static int
compare_sorted (gconstpointer a, gconstpointer b)
{
  const Sorted *first = a, *second = b;
  int order = strcmp (first->ns, second->ns);
  return order != 0 ? order : strcmp (first->name, second->name);
}

/* Sorted first: a tree filled in order has full nodes. */
static void
sort_batch (GPtrArray *batch)
{
  g_autofree Sorted *sorted = g_new (Sorted, batch->len);
  for (guint i = 0; i < batch->len; i++)
    {
      CubeObject *object = batch->pdata[i];
      sorted[i] = (Sorted){ cube_object_namespace (object), cube_object_name (object), object };
    }
  qsort (sorted, batch->len, sizeof (Sorted), compare_sorted);
  for (guint i = 0; i < batch->len; i++)
    batch->pdata[i] = sorted[i].object;
}

typedef struct {
  Load *load;
  CubeIndex *index;
} IndexJob;

static gpointer
fill_index (gpointer data)
{
  IndexJob *job = data;
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, job->load->batches);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      CubeTable *table = key;
      GPtrArray *batch = value;
      for (guint i = 0; i < batch->len && cube_index_covers (job->index, table->key); i++)
        cube_index_change (job->index, table->key, NULL, batch->pdata[i]);
    }
  return NULL;
}

static void
fill_trees (Load *load)
{
  GHashTableIter iter;
  gpointer key, value;
  g_hash_table_iter_init (&iter, load->batches);
  while (g_hash_table_iter_next (&iter, &key, &value))
    {
      CubeTable *table = key;
      GPtrArray *batch = value;
      for (guint i = 0; i < batch->len; i++)
        {
          CubeObject *replaced = cube_tree_put (&table->tree, batch->pdata[i]);
          g_clear_pointer (&replaced, cube_object_unref);
        }
    }
}

/* The indexes beside the trees, when there is enough to do. */
static void
load_fill (Load *load)
{
  GHashTableIter iter;
  gpointer value;
  g_hash_table_iter_init (&iter, load->batches);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    sort_batch (value);
  IndexJob jobs[CUBE_INDEX_N];
  GThread *threads[CUBE_INDEX_N] = { NULL };
  for (guint i = 0; i < CUBE_INDEX_N; i++)
    {
      jobs[i] = (IndexJob){ load, load->store->indexes[i] };
      if (load->n_parsers > 0)
        threads[i] = g_thread_new ("indexer", fill_index, &jobs[i]);
      else
        fill_index (&jobs[i]);
    }
  fill_trees (load);
  for (guint i = 0; i < CUBE_INDEX_N; i++)
    if (threads[i] != NULL)
      g_thread_join (threads[i]);
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
  g_mutex_init (&load.lock);
  g_cond_init (&load.changed);
  load.buffers = g_ptr_array_new_with_free_func ((GDestroyNotify) g_byte_array_unref);
  load.chunks = g_ptr_array_new_with_free_func (chunk_free);
  gboolean is_read = store->ops->load (store->storage, load_row, &load, error);
  if (load_collect (&load) && is_read && load.error == NULL)
    load_fill (&load);
  g_hash_table_unref (load.batches);
  g_ptr_array_unref (load.chunks);
  g_ptr_array_unref (load.buffers);
  g_mutex_clear (&load.lock);
  g_cond_clear (&load.changed);
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
