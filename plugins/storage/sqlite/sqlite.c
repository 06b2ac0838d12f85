/* SPDX-License-Identifier: Apache-2.0 */
/* cube.Storage "sqlite": one table that is only ever appended to, so that an object is written once a change:
 *   log (rev, prev, key, json)   prev: the revision of the row this one supersedes, 0 = none; json: text, or compressed (codec.h); NULL: a deletion
 * Live are the rows that no other supersedes and that are no deletion. Compaction removes superseded rows up to a revision. */
#include "sqlite-private.h"
#include <errno.h>
#include <string.h>

#define LOAD_MMAP_BYTES "4294967296" /* address space only, while loading */

/* ---- errors ---- */

static int
error_code (int rc, int system_errno)
{
  switch (rc & 0xff)
    {
    case SQLITE_FULL: return CUBE_ERROR_NO_SPACE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN: return system_errno == ENOSPC || system_errno == EDQUOT ? CUBE_ERROR_NO_SPACE : CUBE_ERROR_INTERNAL;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return CUBE_ERROR_STORE_READ_ERROR;
    default: return CUBE_ERROR_INTERNAL;
    }
}

void
sqlite_set_error (GError **error, sqlite3 *db, const char *path, const char *doing)
{
  int rc = db != NULL ? sqlite3_extended_errcode (db) : SQLITE_NOMEM, system_errno = db != NULL ? sqlite3_system_errno (db) : 0;
  const char *detail = system_errno != 0 && (rc & 0xff) == SQLITE_IOERR ? g_strerror (system_errno) : NULL;
  int code = error_code (rc, system_errno);
  g_set_error (error, CUBE_ERROR, code, "%s %s: %s%s%s%s", path, doing, db != NULL ? sqlite3_errmsg (db) : "out of memory",
               detail != NULL ? ": " : "", detail != NULL ? detail : "", code == CUBE_ERROR_STORE_READ_ERROR ? "; " SQLITE_WAY_OUT : "");
}

gboolean
sqlite_exec (sqlite3 *db, const char *path, const char *sql, GError **error)
{
  if (sqlite3_exec (db, sql, NULL, NULL, NULL) == SQLITE_OK)
    return TRUE;
  sqlite_set_error (error, db, path, "cannot be used");
  return FALSE;
}

static gboolean
run (sqlite3_stmt *stmt)
{
  int rc = sqlite3_step (stmt);
  sqlite3_reset (stmt);
  return rc == SQLITE_DONE;
}

/* ---- reading ---- */

static sqlite3_stmt *
query (Sqlite *self, const char *sql, guint64 revision, GError **error)
{
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v2 (self->db, sql, -1, &stmt, NULL) != SQLITE_OK)
    {
      sqlite_set_error (error, self->db, self->path, "cannot be read");
      return NULL;
    }
  sqlite3_bind_int64 (stmt, 1, revision);
  return stmt;
}

gboolean
sqlite_get_revision (gpointer state, guint64 *ret_newest, guint64 *ret_oldest, GError **error)
{
  Sqlite *self = state;
  sqlite3_stmt *stmt = query (self, "SELECT max(rev) FROM log", 0, error);
  if (stmt == NULL)
    return FALSE;
  gboolean is_read = sqlite3_step (stmt) == SQLITE_ROW;
  if (is_read)
    {
      *ret_newest = MAX ((guint64) sqlite3_column_int64 (stmt, 0), self->compacted);
      *ret_oldest = self->compacted;
    }
  else
    sqlite_set_error (error, self->db, self->path, "cannot be read");
  sqlite3_finalize (stmt);
  return is_read;
}

typedef struct {
  Sqlite *self;
  GHashTable *superseded; /* revisions */
  CubeStorageRow row;
  CubeStorageHistoryRow history_row;
  gpointer data;
  guint64 damaged; /* revision of a row that cannot be unpacked */
} Reader;

/* Steps through rows (rev, key, json, …); @each may stop it. */
static gboolean
each_row (Reader *reader, sqlite3_stmt *stmt, gboolean (*each) (sqlite3_stmt *stmt, Reader *reader), GError **error)
{
  Sqlite *self = reader->self;
  int rc;
  while ((rc = sqlite3_step (stmt)) == SQLITE_ROW)
    if (!each (stmt, reader))
      {
        rc = SQLITE_DONE;
        break;
      }
  if (rc != SQLITE_DONE)
    sqlite_set_error (error, self->db, self->path, "is damaged");
  else if (reader->damaged != 0)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR,
                 "%s is damaged: row %" G_GUINT64_FORMAT " cannot be unpacked; " SQLITE_WAY_OUT, self->path, reader->damaged);
  sqlite3_finalize (stmt);
  return rc == SQLITE_DONE && reader->damaged == 0;
}

/* The JSON of a row; NULL for a deletion, and for a damaged row (noted). */
static const char *
row_json (Reader *reader, sqlite3_stmt *stmt, gsize *ret_length)
{
  int type = sqlite3_column_type (stmt, 2);
  const char *json = sqlite3_column_blob (stmt, 2);
  *ret_length = sqlite3_column_bytes (stmt, 2);
  if (type != SQLITE_BLOB)
    return type == SQLITE_NULL ? NULL : json;
  json = codec_unpack (reader->self->codec, json, *ret_length, ret_length);
  if (json == NULL)
    reader->damaged = sqlite3_column_int64 (stmt, 0);
  return json;
}

/* Newest first: what supersedes a row has been seen before the row. */
static gboolean
live_row (sqlite3_stmt *stmt, Reader *reader)
{
  gsize length;
  guint64 revision = sqlite3_column_int64 (stmt, 0), previous = sqlite3_column_int64 (stmt, 3);
  if (revision > reader->self->compacted && previous != 0)
    g_hash_table_add (reader->superseded, GSIZE_TO_POINTER (previous));
  if (g_hash_table_remove (reader->superseded, GSIZE_TO_POINTER (revision)))
    return TRUE;
  const char *key = (const char *) sqlite3_column_text (stmt, 1), *json = row_json (reader, stmt, &length);
  if (json == NULL)
    return reader->damaged == 0;
  return reader->row (key, json, length, revision, reader->data);
}

gboolean
sqlite_load (gpointer state, CubeStorageRow row, gpointer data, GError **error)
{
  Sqlite *self = state;
  g_autoptr (GHashTable) superseded = g_hash_table_new (g_direct_hash, g_direct_equal);
  Reader reader = { .self = self, .superseded = superseded, .row = row, .data = data };
  sqlite3_exec (self->db, "PRAGMA mmap_size=" LOAD_MMAP_BYTES, NULL, NULL, NULL);
  sqlite3_stmt *stmt = query (self, "SELECT rev, key, json, prev FROM log ORDER BY rev DESC", 0, error);
  gboolean is_read = stmt != NULL && each_row (&reader, stmt, live_row, error);
  sqlite3_exec (self->db, "PRAGMA mmap_size=0", NULL, NULL, NULL);
  return is_read;
}

static gboolean
history_row (sqlite3_stmt *stmt, Reader *reader)
{
  gsize length;
  const char *key = (const char *) sqlite3_column_text (stmt, 1), *json = row_json (reader, stmt, &length);
  if (json == NULL && reader->damaged != 0)
    return FALSE;
  return reader->history_row (key, json, length, sqlite3_column_int64 (stmt, 0), reader->data);
}

static gboolean
sqlite_load_history (gpointer state, guint64 revision, CubeStorageHistoryRow row, gpointer data, GError **error)
{
  static const char before[] =
      "SELECT rev, key, json FROM log WHERE rev IN (SELECT prev FROM log WHERE rev > ?1 AND prev BETWEEN 1 AND ?1) ORDER BY rev";
  Sqlite *self = state;
  Reader reader = { .self = self, .history_row = row, .data = data };
  sqlite3_stmt *stmt = query (self, before, revision, error);
  if (stmt == NULL || !each_row (&reader, stmt, history_row, error))
    return FALSE;
  stmt = query (self, "SELECT rev, key, json FROM log WHERE rev > ?1 ORDER BY rev", revision, error);
  return stmt != NULL && each_row (&reader, stmt, history_row, error);
}

/* ---- writing ---- */

static gboolean
insert_change (Sqlite *self, const CubeStorageChange *change)
{
  gsize packed_length;
  const void *packed =
      self->must_compress && change->json != NULL ? codec_pack (self->codec, change->json, change->length, &packed_length) : NULL;
  sqlite3_bind_int64 (self->insert, 1, change->revision);
  sqlite3_bind_int64 (self->insert, 2, change->previous);
  sqlite3_bind_text (self->insert, 3, change->key, -1, SQLITE_STATIC);
  if (packed != NULL)
    sqlite3_bind_blob64 (self->insert, 4, packed, packed_length, SQLITE_STATIC);
  else if (change->json != NULL)
    sqlite3_bind_text64 (self->insert, 4, change->json, change->length, SQLITE_STATIC, SQLITE_UTF8);
  else
    sqlite3_bind_null (self->insert, 4);
  return run (self->insert);
}

/* The error is taken before the rollback: it would be lost. */
static gboolean
give_up (Sqlite *self, const char *doing, GError **error)
{
  sqlite_set_error (error, self->db, self->path, doing);
  if (!sqlite3_get_autocommit (self->db))
    run (self->rollback);
  return FALSE;
}

static gboolean
fails_here (Sqlite *self, const char *name, GError **error)
{
  if (!CUBE_FAILPOINT (name))
    return FALSE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s: failpoint %s", self->path, name);
  if (!sqlite3_get_autocommit (self->db))
    run (self->rollback);
  return TRUE;
}

static gboolean
sqlite_commit (gpointer state, const CubeStorageChange *changes, guint n_changes, GError **error)
{
  Sqlite *self = state;
  if (fails_here (self, "sqlite/begin", error))
    return FALSE;
  if (!run (self->begin))
    return give_up (self, "cannot be written", error);
  for (guint i = 0; i < n_changes; i++)
    if (fails_here (self, "sqlite/insert", error))
      return FALSE;
    else if (!insert_change (self, &changes[i]))
      return give_up (self, "cannot be written", error);
  if (fails_here (self, "sqlite/commit", error))
    return FALSE;
  if (!run (self->commit))
    return give_up (self, "cannot be written", error);
  (void) CUBE_FAILPOINT ("sqlite/committed"); /* to die at: it is durable, and nobody knows */
  sqlite_maybe_checkpoint (self);
  return TRUE;
}

static gboolean
sqlite_compact (gpointer state, guint64 revision, GError **error)
{
  Sqlite *self = state;
  g_autofree char *sql =
      g_strdup_printf ("BEGIN IMMEDIATE;"
                       "DELETE FROM log WHERE rev IN (SELECT prev FROM log WHERE rev > %1$" G_GUINT64_FORMAT
                       " AND rev <= %2$" G_GUINT64_FORMAT " AND prev > 0);"
                       "DELETE FROM log WHERE rev > %1$" G_GUINT64_FORMAT " AND rev <= %2$" G_GUINT64_FORMAT " AND json IS NULL;"
                       "UPDATE meta SET value = %2$" G_GUINT64_FORMAT " WHERE name = 'compacted';"
                       "COMMIT",
                       self->compacted, revision);
  if (revision <= self->compacted)
    return TRUE;
  if (fails_here (self, "sqlite/compact", error))
    return FALSE;
  if (sqlite3_exec (self->db, sql, NULL, NULL, NULL) != SQLITE_OK)
    return give_up (self, "cannot be compacted", error);
  self->compacted = revision;
  sqlite_maybe_checkpoint (self);
  return TRUE;
}

static gboolean
sqlite_backup (gpointer state, const char *path, GError **error)
{
  Sqlite *self = state;
  sqlite3_stmt *stmt = NULL;
  gboolean is_done = sqlite3_prepare_v2 (self->db, "VACUUM INTO ?1", -1, &stmt, NULL) == SQLITE_OK
                     && sqlite3_bind_text (stmt, 1, path, -1, SQLITE_STATIC) == SQLITE_OK && sqlite3_step (stmt) == SQLITE_DONE;
  if (!is_done)
    sqlite_set_error (error, self->db, path, "cannot be written as a backup");
  sqlite3_finalize (stmt);
  return is_done;
}

/* ---- the plugin ---- */

static gboolean
sqlite_load_plugin (CubeContext *context, gpointer *ret_state, GError **error)
{
  Sqlite *self = g_new0 (Sqlite, 1);
  self->context = context;
  self->lock_fd = -1;
  self->codec = codec_new ();
  self->must_compress = cube_view_get_bool (cube_context_config (context), TRUE, "compress");
  g_mutex_init (&self->lock);
  g_cond_init (&self->idle);
  *ret_state = self;
  return TRUE;
}

static void
sqlite_unload (gpointer state)
{
  Sqlite *self = state;
  sqlite_close (self);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->idle);
  codec_free (self->codec);
  g_free (self);
}

static const CubeStorageOps sqlite_ops = {
  .ops_size = sizeof (CubeStorageOps),
  .open = sqlite_open,
  .close = sqlite_close,
  .get_revision = sqlite_get_revision,
  .load = sqlite_load,
  .load_history = sqlite_load_history,
  .commit = sqlite_commit,
  .compact = sqlite_compact,
  .backup = sqlite_backup,
  .check = sqlite_check,
};

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_STORAGE, CUBE_STORAGE_VERSION, "sqlite", sqlite_ops), { NULL } };

CUBE_PLUGIN_DEFINE (
        .name = "storage-sqlite", .version = "0.1.0", .description = "keeps objects in an SQLite database (write-ahead log, durable)",
        .license = "Apache-2.0", .impls = impls, .load = sqlite_load_plugin, .unload = sqlite_unload,
        .config_schema =
            "compress bool true compress objects in the database (a fifth of the bytes); rows already there stay as they are\n");
