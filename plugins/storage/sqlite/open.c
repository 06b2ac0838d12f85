/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a database: creation, the lock, and every reason to refuse one. A file that is refused is never written to. */
#include "sqlite-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK_MAX_BYTES (1024 * 1024) /* beyond, only what is read is checked */

static gboolean
fail_errno (GError **error, const char *doing, const char *path)
{
  int code = errno == ENOSPC || errno == EDQUOT ? CUBE_ERROR_NO_SPACE : CUBE_ERROR_INTERNAL;
  g_set_error (error, CUBE_ERROR, code, "%s %s: %s", doing, path, g_strerror (errno));
  return FALSE;
}

static gboolean
sync_directory (const char *directory, GError **error)
{
  int fd = open (directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean is_synced = fd >= 0 && fsync (fd) == 0;
  if (!is_synced)
    fail_errno (error, "fsync", directory);
  if (fd >= 0)
    close (fd);
  return is_synced;
}

static gboolean
take_lock (Sqlite *self, const char *directory, GError **error)
{
  g_autofree char *path = g_build_filename (directory, "store.lock", NULL);
  char holder[32] = "";
  self->lock_fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (self->lock_fd < 0)
    return fail_errno (error, "open", path);
  if (flock (self->lock_fd, LOCK_EX | LOCK_NB) != 0)
    {
      if (errno != EWOULDBLOCK)
        return fail_errno (error, "lock", path);
      ssize_t n = pread (self->lock_fd, holder, sizeof holder - 1, 0);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s is in use by process %s: stop it, or use another data directory", self->path,
                   n > 0 ? g_strstrip (holder) : "(unknown)");
      return FALSE;
    }
  g_snprintf (holder, sizeof holder, "%d\n", (int) getpid ());
  if (ftruncate (self->lock_fd, 0) != 0 || pwrite (self->lock_fd, holder, strlen (holder), 0) < 0)
    return fail_errno (error, "write", path);
  return TRUE;
}

/* The empty file is made here, so that it has its mode before anything is in it; the log and the index take the mode from it. */
static gboolean
create_file (Sqlite *self, const char *directory, gboolean *ret_is_new, GError **error)
{
  struct stat st;
  *ret_is_new = FALSE;
  if (lstat (self->path, &st) == 0)
    {
      *ret_is_new = S_ISREG (st.st_mode) && st.st_size == 0;
      if (S_ISREG (st.st_mode))
        return TRUE;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR, "%s is no regular file", self->path);
      return FALSE;
    }
  int fd = open (self->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail_errno (error, "create", self->path);
  close (fd);
  *ret_is_new = TRUE;
  return sync_directory (directory, error);
}

static gboolean
get_int (Sqlite *self, const char *sql, gint64 *ret_value, GError **error)
{
  sqlite3_stmt *stmt = NULL;
  int rc = sqlite3_prepare_v2 (self->db, sql, -1, &stmt, NULL);
  if (rc == SQLITE_OK)
    rc = sqlite3_step (stmt);
  if (rc == SQLITE_ROW)
    *ret_value = sqlite3_column_int64 (stmt, 0);
  else
    sqlite_set_error (error, self->db, self->path, "cannot be read");
  sqlite3_finalize (stmt);
  return rc == SQLITE_ROW;
}

gboolean
sqlite_check_pages (Sqlite *self, GError **error)
{
  sqlite3_stmt *stmt = NULL;
  g_autofree char *found = NULL;
  if (sqlite3_prepare_v2 (self->db, "PRAGMA quick_check(1)", -1, &stmt, NULL) == SQLITE_OK && sqlite3_step (stmt) == SQLITE_ROW)
    found = g_strdup ((const char *) sqlite3_column_text (stmt, 0));
  sqlite3_finalize (stmt);
  if (found != NULL && strcmp (found, "ok") == 0)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR, "%s is damaged (%s): " SQLITE_WAY_OUT, self->path,
               found != NULL ? found : sqlite3_errmsg (self->db));
  return FALSE;
}

static gboolean
create_schema (Sqlite *self, GError **error)
{
  g_autofree char *sql = g_strdup_printf ("PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; BEGIN IMMEDIATE;"
                                          "CREATE TABLE log (rev INTEGER PRIMARY KEY, prev INTEGER NOT NULL, key TEXT NOT NULL, json);"
                                          "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;"
                                          "INSERT INTO meta VALUES ('compacted', 0);"
                                          "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
                                          SQLITE_APPLICATION_ID, SQLITE_SCHEMA_VERSION);
  return sqlite_exec (self->db, self->path, sql, error);
}

gboolean
sqlite_check_identity (Sqlite *self, gboolean may_create, GError **error)
{
  gint64 application = 0, version = 0, objects = 0;
  if (!get_int (self, "PRAGMA application_id", &application, error) || !get_int (self, "PRAGMA user_version", &version, error)
      || !get_int (self, "SELECT count(*) FROM sqlite_master", &objects, error))
    return FALSE;
  if (application == 0 && objects == 0)
    return !may_create || create_schema (self, error); /* the end came between the file and its tables */
  if (application != SQLITE_APPLICATION_ID)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR, "%s is a database of another program: " SQLITE_WAY_OUT, self->path);
      return FALSE;
    }
  if (version > SQLITE_SCHEMA_VERSION)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR,
                   "%s was written by a newer cube (format %" G_GINT64_FORMAT
                   ", this one knows %d): use that version, or restore a backup made before",
                   self->path, version, SQLITE_SCHEMA_VERSION);
      return FALSE;
    }
  return TRUE;
}

static gboolean
check_old (Sqlite *self, GError **error)
{
  struct stat st;
  if (!sqlite_check_identity (self, TRUE, error))
    return FALSE;
  return (stat (self->path, &st) == 0 && st.st_size > CHECK_MAX_BYTES) || sqlite_check_pages (self, error);
}

gboolean
sqlite_prepare (Sqlite *self, GError **error)
{
  static const char insert[] = "INSERT INTO log (rev, prev, key, json) VALUES (?1, ?2, ?3, ?4)";
  if (sqlite3_prepare_v3 (self->db, "BEGIN IMMEDIATE", -1, SQLITE_PREPARE_PERSISTENT, &self->begin, NULL) != SQLITE_OK
      || sqlite3_prepare_v3 (self->db, "COMMIT", -1, SQLITE_PREPARE_PERSISTENT, &self->commit, NULL) != SQLITE_OK
      || sqlite3_prepare_v3 (self->db, "ROLLBACK", -1, SQLITE_PREPARE_PERSISTENT, &self->rollback, NULL) != SQLITE_OK
      || sqlite3_prepare_v3 (self->db, insert, -1, SQLITE_PREPARE_PERSISTENT, &self->insert, NULL) != SQLITE_OK)
    {
      sqlite_set_error (error, self->db, self->path, "has not the expected tables");
      return FALSE;
    }
  return TRUE;
}

static gboolean
open_database (Sqlite *self, const char *directory, GError **error)
{
  gboolean is_new;
  gint64 compacted = 0;
  if (CUBE_FAILPOINT ("sqlite/open"))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s: failpoint sqlite/open", self->path);
      return FALSE;
    }
  if (g_mkdir_with_parents (directory, 0700) != 0)
    return fail_errno (error, "create", directory);
  if (!take_lock (self, directory, error) || !create_file (self, directory, &is_new, error))
    return FALSE;
  if (sqlite3_open_v2 (self->path, &self->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
    {
      sqlite_set_error (error, self->db, self->path, "cannot be opened");
      return FALSE;
    }
  sqlite3_extended_result_codes (self->db, 1);
  sqlite3_busy_timeout (self->db, 5000);
  if (!sqlite_exec (self->db, self->path, "PRAGMA cache_size=-256", error)
      || !(is_new ? create_schema (self, error) : check_old (self, error)))
    return FALSE;
  if (!sqlite_exec (self->db, self->path, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0", error))
    return FALSE;
  if (!get_int (self, "SELECT value FROM meta WHERE name = 'compacted'", &compacted, error) || !sqlite_prepare (self, error))
    return FALSE;
  self->compacted = compacted;
  sqlite_watch_log (self);
  return TRUE;
}

gboolean
sqlite_open (gpointer state, const char *location, GError **error)
{
  Sqlite *self = state;
  if (location == NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "the sqlite storage needs a directory");
      return FALSE;
    }
  self->path = g_build_filename (location, "store.db", NULL);
  if (open_database (self, location, error))
    return TRUE;
  sqlite_close (self);
  return FALSE;
}

void
sqlite_close (gpointer state)
{
  Sqlite *self = state;
  sqlite_finish_checkpoint (self);
  g_clear_pointer (&self->begin, sqlite3_finalize);
  g_clear_pointer (&self->commit, sqlite3_finalize);
  g_clear_pointer (&self->rollback, sqlite3_finalize);
  g_clear_pointer (&self->insert, sqlite3_finalize);
  g_clear_pointer (&self->db, sqlite3_close);
  if (self->lock_fd >= 0)
    close (self->lock_fd);
  self->lock_fd = -1;
  g_clear_pointer (&self->path, g_free);
}
