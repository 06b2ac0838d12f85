/* SPDX-License-Identifier: Apache-2.0 */
/* cube.Storage "memory": keeps everything in this process, for tests and the simulator. What was committed survives close and open of the same
 * plugin state, as a disk would. */
#include <cube/plugin.h>
#include <cube/storage.h>
#include <string.h>

typedef struct {
  guint64 revision, previous;
  char *key;
  char *json; /* NULL = deletion */
  gsize length;
} Entry;

typedef struct {
  GPtrArray *log;   /* Entry, in order of revision */
  GHashTable *live; /* key → Entry */
  guint64 newest, compacted;
} Memory;

static void
entry_free (gpointer data)
{
  Entry *entry = data;
  g_free (entry->key);
  g_free (entry->json);
  g_free (entry);
}

static gboolean
memory_load_plugin (CubeContext *context, gpointer *ret_state, GError **error)
{
  Memory *memory = g_new0 (Memory, 1);
  memory->log = g_ptr_array_new_with_free_func (entry_free);
  memory->live = g_hash_table_new (g_str_hash, g_str_equal);
  *ret_state = memory;
  return TRUE;
}

static void
memory_unload (gpointer state)
{
  Memory *memory = state;
  g_hash_table_unref (memory->live);
  g_ptr_array_unref (memory->log);
  g_free (memory);
}

static gboolean
memory_open (gpointer state, const char *location, GError **error)
{
  return TRUE;
}

static void
memory_close (gpointer state)
{
}

static gboolean
memory_get_revision (gpointer state, guint64 *ret_newest, guint64 *ret_oldest, GError **error)
{
  Memory *memory = state;
  *ret_newest = memory->newest;
  *ret_oldest = memory->compacted;
  return TRUE;
}

static gboolean
memory_load (gpointer state, CubeStorageRow row, gpointer data, GError **error)
{
  Memory *memory = state;
  for (guint i = 0; i < memory->log->len; i++)
    {
      Entry *entry = memory->log->pdata[i];
      if (g_hash_table_lookup (memory->live, entry->key) == entry && !row (entry->key, entry->json, entry->length, entry->revision, data))
        break;
    }
  return TRUE;
}

static gboolean
memory_load_history (gpointer state, guint64 revision, CubeStorageHistoryRow row, gpointer data, GError **error)
{
  Memory *memory = state;
  g_autoptr (GHashTable) wanted = g_hash_table_new (g_direct_hash, g_direct_equal);
  for (guint i = 0; i < memory->log->len; i++)
    {
      Entry *entry = memory->log->pdata[i];
      if (entry->revision > revision && entry->previous != 0)
        g_hash_table_add (wanted, GSIZE_TO_POINTER (entry->previous));
    }
  for (guint i = 0; i < memory->log->len; i++)
    {
      Entry *entry = memory->log->pdata[i];
      if (entry->revision <= revision && !g_hash_table_contains (wanted, GSIZE_TO_POINTER (entry->revision)))
        continue;
      if (!row (entry->key, entry->json, entry->length, entry->revision, data))
        break;
    }
  return TRUE;
}

static gboolean
memory_commit (gpointer state, const CubeStorageChange *changes, guint n_changes, GError **error)
{
  Memory *memory = state;
  for (guint i = 0; i < n_changes; i++)
    {
      Entry *entry = g_new0 (Entry, 1);
      *entry = (Entry){ changes[i].revision, changes[i].previous, g_strdup (changes[i].key), NULL, changes[i].length };
      if (changes[i].json != NULL)
        entry->json = g_memdup2 (changes[i].json, MAX (changes[i].length, 1));
      g_ptr_array_add (memory->log, entry);
      g_hash_table_remove (memory->live, entry->key);
      if (entry->json != NULL)
        g_hash_table_insert (memory->live, entry->key, entry);
      memory->newest = entry->revision;
    }
  return TRUE;
}

static gboolean
memory_compact (gpointer state, guint64 revision, GError **error)
{
  Memory *memory = state;
  g_autoptr (GPtrArray) kept = g_ptr_array_new_with_free_func (entry_free);
  g_autoptr (GHashTable) superseded = g_hash_table_new (g_direct_hash, g_direct_equal);
  for (guint i = 0; i < memory->log->len; i++)
    {
      Entry *entry = memory->log->pdata[i];
      if (entry->revision <= revision && entry->previous != 0)
        g_hash_table_add (superseded, GSIZE_TO_POINTER (entry->previous));
    }
  for (guint i = 0; i < memory->log->len; i++)
    {
      Entry *entry = memory->log->pdata[i];
      if (g_hash_table_contains (superseded, GSIZE_TO_POINTER (entry->revision)) || (entry->json == NULL && entry->revision <= revision))
        entry_free (entry);
      else
        g_ptr_array_add (kept, entry);
    }
  g_ptr_array_set_free_func (memory->log, NULL);
  g_ptr_array_unref (memory->log);
  memory->log = g_steal_pointer (&kept);
  memory->compacted = MAX (memory->compacted, revision);
  return TRUE;
}

static const CubeStorageOps memory_ops = {
  .ops_size = sizeof (CubeStorageOps),
  .open = memory_open,
  .close = memory_close,
  .get_revision = memory_get_revision,
  .load = memory_load,
  .load_history = memory_load_history,
  .commit = memory_commit,
  .compact = memory_compact,
};

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_STORAGE, CUBE_STORAGE_VERSION, "memory", memory_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "storage-memory", .version = "0.1.0", .description = "keeps objects in memory only, for tests and simulation",
                    .license = "Apache-2.0", .impls = impls, .load = memory_load_plugin, .unload = memory_unload);
