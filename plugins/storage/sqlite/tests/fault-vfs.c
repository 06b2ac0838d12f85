/* SPDX-License-Identifier: Apache-2.0 */
#include "fault-vfs.h"
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>

#define SECTOR 512

typedef struct {
  gint64 offset; /* -1: a truncation to ->length */
  gsize length;
  guint8 *data;
} Pending;

/* What is known of a path, whoever has it open. */
typedef struct {
  char *path;
  GByteArray *durable;
  GPtrArray *pending; /* Pending since the last sync */
} Content;

typedef struct {
  sqlite3_file base;
  Content *content; /* NULL: not followed */
  sqlite3_file *real;
} File;

static struct {
  sqlite3_vfs vfs, *real;
  sqlite3_io_methods methods;
  GHashTable *contents; /* path → Content */
  guint calls, fail_at, fail_count;
  gboolean is_full, has_failed, is_passing;
  void (*hook) (gpointer data);
  gpointer hook_data;
} fault;

#define REAL(file) (((File *) (file))->real)

/* ---- faults ---- */

static gboolean
call_fails (void)
{
  if (fault.is_passing)
    return FALSE;
  fault.calls++;
  if (fault.fail_at == 0 || fault.calls < fault.fail_at || fault.calls >= fault.fail_at + fault.fail_count)
    return FALSE;
  fault.has_failed = TRUE;
  return TRUE;
}

static void
before_change (void)
{
  if (fault.is_passing || fault.hook == NULL)
    return;
  fault.is_passing = TRUE;
  fault.hook (fault.hook_data);
  fault.is_passing = FALSE;
}

/* ---- contents ---- */

static void
pending_free (gpointer data)
{
  g_free (((Pending *) data)->data);
  g_free (data);
}

static void
content_free (gpointer data)
{
  Content *content = data;
  g_free (content->path);
  g_byte_array_unref (content->durable);
  g_ptr_array_unref (content->pending);
  g_free (content);
}

static Content *
content_get (const char *path)
{
  Content *content = g_hash_table_lookup (fault.contents, path);
  if (content == NULL)
    {
      g_autofree char *bytes = NULL;
      gsize length = 0;
      content = g_new0 (Content, 1);
      content->path = g_strdup (path);
      content->durable = g_byte_array_new ();
      content->pending = g_ptr_array_new_with_free_func (pending_free);
      if (g_file_get_contents (path, &bytes, &length, NULL))
        g_byte_array_append (content->durable, (const guint8 *) bytes, length);
      g_hash_table_insert (fault.contents, content->path, content);
    }
  return content;
}

static void
content_note (Content *content, gint64 offset, const void *data, gsize length)
{
  if (content == NULL || fault.is_passing)
    return;
  Pending *pending = g_new (Pending, 1);
  *pending = (Pending){ offset, length, data != NULL ? g_memdup2 (data, length) : NULL };
  g_ptr_array_add (content->pending, pending);
}

static void
bytes_write (GByteArray *bytes, gint64 offset, const guint8 *data, gsize length)
{
  guint old = bytes->len;
  if (bytes->len < offset + length)
    {
      g_byte_array_set_size (bytes, offset + length);
      memset (bytes->data + old, 0, bytes->len - old);
    }
  memcpy (bytes->data + offset, data, length);
}

/* @rand NULL: all of it. */
static void
bytes_apply (GByteArray *bytes, const Pending *pending, GRand *rand)
{
  if (pending->offset < 0)
    {
      if ((rand == NULL || g_rand_boolean (rand)) && pending->length < bytes->len)
        g_byte_array_set_size (bytes, pending->length);
      return;
    }
  for (gsize at = 0; at < pending->length;)
    {
      gsize part = MIN (SECTOR - (pending->offset + at) % SECTOR, pending->length - at);
      if (rand == NULL || g_rand_int_range (rand, 0, 4) != 0)
        bytes_write (bytes, pending->offset + at, pending->data + at, part);
      at += part;
    }
}

void
fault_vfs_cut (const char *directory, const char *to, GRand *rand)
{
  GHashTableIter iter;
  gpointer value;
  gboolean all = g_rand_int_range (rand, 0, 4) == 0, none = !all && g_rand_int_range (rand, 0, 3) == 0;
  g_hash_table_iter_init (&iter, fault.contents);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Content *content = value;
      g_autofree char *dir = g_path_get_dirname (content->path), *name = g_path_get_basename (content->path);
      if (strcmp (dir, directory) != 0)
        continue;
      g_autoptr (GByteArray) bytes = g_byte_array_new ();
      g_byte_array_append (bytes, content->durable->data, content->durable->len);
      for (guint i = 0; i < content->pending->len && !none; i++)
        bytes_apply (bytes, content->pending->pdata[i], all ? NULL : rand);
      g_autofree char *path = g_build_filename (to, name, NULL);
      if (!g_file_test (content->path, G_FILE_TEST_EXISTS) || (g_str_has_suffix (name, "-wal") && bytes->len == 0))
        g_remove (path);
      else
        g_assert_true (g_file_set_contents_full (path, (const char *) bytes->data, bytes->len, G_FILE_SET_CONTENTS_NONE, 0600, NULL));
    }
}

/* ---- the methods of a file ---- */

static int
file_close (sqlite3_file *file)
{
  int rc = REAL (file)->pMethods->xClose (REAL (file));
  g_free (REAL (file));
  return rc;
}

static int
file_read (sqlite3_file *file, void *data, int n, sqlite3_int64 offset)
{
  return call_fails () ? SQLITE_IOERR_READ : REAL (file)->pMethods->xRead (REAL (file), data, n, offset);
}

static int
file_write (sqlite3_file *file, const void *data, int n, sqlite3_int64 offset)
{
  before_change ();
  if (call_fails ())
    return fault.is_full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
  int rc = REAL (file)->pMethods->xWrite (REAL (file), data, n, offset);
  if (rc == SQLITE_OK)
    content_note (((File *) file)->content, offset, data, n);
  return rc;
}

static int
file_truncate (sqlite3_file *file, sqlite3_int64 size)
{
  before_change ();
  if (call_fails ())
    return SQLITE_IOERR_TRUNCATE;
  int rc = REAL (file)->pMethods->xTruncate (REAL (file), size);
  if (rc == SQLITE_OK)
    content_note (((File *) file)->content, -1, NULL, size);
  return rc;
}

static int
file_sync (sqlite3_file *file, int flags)
{
  Content *content = ((File *) file)->content;
  before_change ();
  if (call_fails ())
    return SQLITE_IOERR_FSYNC;
  int rc = REAL (file)->pMethods->xSync (REAL (file), flags);
  if (rc == SQLITE_OK && content != NULL && !fault.is_passing)
    {
      for (guint i = 0; i < content->pending->len; i++)
        bytes_apply (content->durable, content->pending->pdata[i], NULL);
      g_ptr_array_set_size (content->pending, 0);
    }
  return rc;
}

static int
file_size (sqlite3_file *file, sqlite3_int64 *ret_size)
{
  return call_fails () ? SQLITE_IOERR_FSTAT : REAL (file)->pMethods->xFileSize (REAL (file), ret_size);
}

static int
file_lock (sqlite3_file *file, int level)
{
  return REAL (file)->pMethods->xLock (REAL (file), level);
}

static int
file_unlock (sqlite3_file *file, int level)
{
  return REAL (file)->pMethods->xUnlock (REAL (file), level);
}

static int
file_check_lock (sqlite3_file *file, int *ret_locked)
{
  return REAL (file)->pMethods->xCheckReservedLock (REAL (file), ret_locked);
}

static int
file_control (sqlite3_file *file, int op, void *arg)
{
  return REAL (file)->pMethods->xFileControl (REAL (file), op, arg);
}

static int
file_sector (sqlite3_file *file)
{
  return REAL (file)->pMethods->xSectorSize (REAL (file));
}

static int
file_characteristics (sqlite3_file *file)
{
  return REAL (file)->pMethods->xDeviceCharacteristics (REAL (file));
}

static int
file_shm_map (sqlite3_file *file, int page, int size, int extend, void volatile **ret_map)
{
  return call_fails () ? SQLITE_IOERR_SHMMAP : REAL (file)->pMethods->xShmMap (REAL (file), page, size, extend, ret_map);
}

static int
file_shm_lock (sqlite3_file *file, int offset, int n, int flags)
{
  return REAL (file)->pMethods->xShmLock (REAL (file), offset, n, flags);
}

static void
file_shm_barrier (sqlite3_file *file)
{
  REAL (file)->pMethods->xShmBarrier (REAL (file));
}

static int
file_shm_unmap (sqlite3_file *file, int delete_flag)
{
  return REAL (file)->pMethods->xShmUnmap (REAL (file), delete_flag);
}

/* ---- the VFS ---- */

static int
vfs_open (sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
  File *self = (File *) file;
  memset (self, 0, sizeof *self);
  if (call_fails ())
    return SQLITE_CANTOPEN;
  self->real = g_malloc0 (fault.real->szOsFile);
  int rc = fault.real->xOpen (fault.real, path, self->real, flags, ret_flags);
  if (rc != SQLITE_OK)
    {
      g_free (self->real);
      return rc;
    }
  if (path != NULL && !fault.is_passing && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) != 0)
    self->content = content_get (path);
  file->pMethods = &fault.methods;
  return SQLITE_OK;
}

static int
vfs_delete (sqlite3_vfs *vfs, const char *path, int sync_dir)
{
  before_change ();
  if (call_fails ())
    return SQLITE_IOERR_DELETE;
  if (!fault.is_passing)
    g_hash_table_remove (fault.contents, path);
  return fault.real->xDelete (fault.real, path, sync_dir);
}

static const sqlite3_io_methods methods = {
  .iVersion = 2,
  .xClose = file_close,
  .xRead = file_read,
  .xWrite = file_write,
  .xTruncate = file_truncate,
  .xSync = file_sync,
  .xFileSize = file_size,
  .xLock = file_lock,
  .xUnlock = file_unlock,
  .xCheckReservedLock = file_check_lock,
  .xFileControl = file_control,
  .xSectorSize = file_sector,
  .xDeviceCharacteristics = file_characteristics,
  .xShmMap = file_shm_map,
  .xShmLock = file_shm_lock,
  .xShmBarrier = file_shm_barrier,
  .xShmUnmap = file_shm_unmap,
};

void
fault_vfs_register (void)
{
  fault.real = sqlite3_vfs_find (NULL);
  fault.vfs = *fault.real;
  fault.vfs.zName = "fault";
  fault.vfs.szOsFile = sizeof (File);
  fault.vfs.xOpen = vfs_open;
  fault.vfs.xDelete = vfs_delete;
  fault.methods = methods;
  fault.contents = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, content_free);
  g_assert_cmpint (sqlite3_vfs_register (&fault.vfs, 1), ==, SQLITE_OK);
}

void
fault_vfs_reset (void)
{
  fault.calls = fault.fail_at = fault.fail_count = 0;
  fault.has_failed = FALSE;
  fault.hook = NULL;
  g_hash_table_remove_all (fault.contents);
}

guint
fault_vfs_calls (void)
{
  return fault.calls;
}

void
fault_vfs_fail (guint nth, guint count, gboolean is_full)
{
  fault.fail_at = nth;
  fault.fail_count = count;
  fault.is_full = is_full;
}

gboolean
fault_vfs_has_failed (void)
{
  return fault.has_failed;
}

void
fault_vfs_set_hook (void (*hook) (gpointer data), gpointer data)
{
  fault.hook = hook;
  fault.hook_data = data;
}
