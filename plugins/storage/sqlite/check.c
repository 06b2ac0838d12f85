/* SPDX-License-Identifier: Apache-2.0 */
/* Reading all of a database that nobody has open, without changing it. */
#include "sqlite-private.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean
any_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  return TRUE;
}

/* Held while we look, so that nobody opens it meanwhile. FALSE: a process has it. @ret_fd -1: there is none yet. */
static gboolean
take_lock (const char *location, int *ret_fd, GError **error)
{
  g_autofree char *path = g_build_filename (location, "store.lock", NULL);
  *ret_fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (*ret_fd < 0 || flock (*ret_fd, LOCK_SH | LOCK_NB) == 0)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s is held by another process", path);
  close (*ret_fd);
  *ret_fd = -1;
  return FALSE;
}

static gboolean
check_database (Sqlite *self, GError **error)
{
  guint64 newest, oldest;
  if (sqlite3_open_v2 (self->path, &self->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
    {
      sqlite_set_error (error, self->db, self->path, "cannot be opened");
      return FALSE;
    }
  sqlite3_extended_result_codes (self->db, 1);
  return sqlite_check_identity (self, FALSE, error) && sqlite_check_pages (self, error) && sqlite_prepare (self, error)
         && sqlite_get_revision (self, &newest, &oldest, error) && sqlite_load (self, any_row, NULL, error);
}

gboolean
sqlite_check (gpointer state, const char *location, GError **error)
{
  Sqlite *self = state;
  struct stat st;
  int lock_fd;
  if (!take_lock (location, &lock_fd, error))
    return FALSE;
  self->path = g_build_filename (location, "store.db", NULL);
  g_autofree char *log = g_strconcat (self->path, "-wal", NULL), *index = g_strconcat (self->path, "-shm", NULL);
  gboolean had_log = access (log, F_OK) == 0, had_index = access (index, F_OK) == 0;
  gboolean is_there = lstat (self->path, &st) == 0 && !(S_ISREG (st.st_mode) && st.st_size == 0);
  gboolean ok = !is_there || check_database (self, error);
  sqlite_close (self);
  if (!had_log && lock_fd >= 0)
    unlink (log); /* looking made it, and it is empty */
  if (!had_index && lock_fd >= 0)
    unlink (index);
  if (lock_fd >= 0)
    close (lock_fd);
  return ok;
}
