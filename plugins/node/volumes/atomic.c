/* SPDX-License-Identifier: Apache-2.0 */
/* Files that change all at once: DIR/..data → ..TIME.RANDOM, visible names → ..data/NAME. Source: Kubernetes' atomic writer's layout.
 * All work is done below a directory descriptor: what a container put into the volume's place cannot lead elsewhere. */
#include "volumes.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA "..data"
#define DATA_NEW "..data_tmp"

static gboolean
fail (GError **error, const char *what)
{
  int code = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: %s", what, g_strerror (code));
  return FALSE;
}

static void
file_free (gpointer data)
{
  VolumesFile *file = data;
  g_free (file->path);
  g_bytes_unref (file->bytes);
  g_free (file);
}

GPtrArray *
volumes_files_new (void)
{
  return g_ptr_array_new_with_free_func (file_free);
}

static gboolean
is_path_ok (const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  if (*path == '\0' || *path == '/' || g_str_has_prefix (path, ".."))
    return FALSE;
  for (guint i = 0; parts[i] != NULL; i++)
    if (*parts[i] == '\0' || g_str_equal (parts[i], ".") || g_str_equal (parts[i], "..") || strlen (parts[i]) > 255)
      return FALSE;
  return TRUE;
}

gboolean
volumes_files_add (GPtrArray *files, const char *path, GBytes *bytes, guint mode, GError **error)
{
  if (!is_path_ok (path))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                   "invalid path %s: it must be relative, without \"..\", each part at most 255 bytes", path);
      g_bytes_unref (bytes);
      return FALSE;
    }
  for (guint i = 0; i < files->len; i++)
    if (g_str_equal (((VolumesFile *) files->pdata[i])->path, path))
      {
        g_ptr_array_remove_index (files, i); /* the later source wins */
        break;
      }
  VolumesFile *file = g_new0 (VolumesFile, 1);
  *file = (VolumesFile){ g_strdup (path), bytes, mode };
  g_ptr_array_add (files, file);
  return TRUE;
}

gboolean
volumes_make_dir (const char *path, guint mode, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  if (g_mkdir_with_parents (parent, 0750) != 0 || (mkdir (path, mode) != 0 && errno != EEXIST))
    return fail (error, path);
  return TRUE;
}

/* ---- trees ---- */

static gboolean
remove_at (int parent, const char *name, guint depth, GError **error)
{
  if (unlinkat (parent, name, 0) == 0 || errno == ENOENT)
    return TRUE;
  if ((errno != EISDIR && errno != EPERM) || depth > 256)
    return fail (error, name);
  int fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  if (dir == NULL)
    return fail (error, name);
  gboolean ok = TRUE;
  for (struct dirent *entry; ok && (entry = readdir (dir)) != NULL;)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      ok = remove_at (fd, entry->d_name, depth + 1, error);
  closedir (dir);
  return ok && (unlinkat (parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT || fail (error, name));
}

gboolean
volumes_remove_tree (const char *path, GError **error)
{
  g_autofree char *parent = g_path_get_dirname (path);
  g_autofree char *name = g_path_get_basename (path);
  int fd = open (parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT || fail (error, parent);
  gboolean ok = remove_at (fd, name, 0, error);
  close (fd);
  return ok;
}

/* ---- what is there ---- */

static gboolean
holds (int dir, const VolumesFile *file)
{
  gsize size, done = 0;
  const char *wanted = g_bytes_get_data (file->bytes, &size);
  struct stat st;
  char block[8192];
  gboolean is_same = TRUE;
  int fd = openat (dir, file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &st) != 0 || !S_ISREG (st.st_mode) || (gsize) st.st_size != size)
    is_same = FALSE;
  while (is_same && done < size)
    {
      ssize_t n = read (fd, block, MIN (sizeof block, size - done));
      if (n <= 0 || memcmp (block, wanted + done, (gsize) n) != 0)
        is_same = FALSE;
      else
        done += (gsize) n;
    }
  if (fd >= 0)
    close (fd);
  return is_same;
}

static guint
count_files (int parent, const char *name, guint depth)
{
  int fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  guint n = 0;
  if (dir == NULL)
    return 0;
  for (struct dirent *entry; depth < 64 && (entry = readdir (dir)) != NULL;)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      n += entry->d_type == DT_DIR ? count_files (fd, entry->d_name, depth + 1) : 1;
  closedir (dir);
  return n;
}

/* The name ..data points to; NULL = none. (transfer full) */
static char *
current_name (int root)
{
  char target[256];
  ssize_t n = readlinkat (root, DATA, target, sizeof target - 1);
  if (n <= 0)
    return NULL;
  target[n] = '\0';
  return g_str_has_prefix (target, "..") && strchr (target, '/') == NULL ? g_strdup (target) : NULL;
}

static gboolean
is_unchanged (int root, const char *current, GPtrArray *files)
{
  if (current == NULL || count_files (root, current, 0) != files->len)
    return FALSE;
  int dir = openat (root, current, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  gboolean is_same = dir >= 0;
  for (guint i = 0; i < files->len && is_same; i++)
    is_same = holds (dir, files->pdata[i]);
  if (dir >= 0)
    close (dir);
  return is_same;
}

/* ---- writing ---- */

/* The directory a file goes into, made below @dir. */
static int
open_parent (int dir, const char *path, const char **ret_name)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  const char *slash = strrchr (path, '/');
  int at = fcntl (dir, F_DUPFD_CLOEXEC, 0);
  for (guint i = 0; at >= 0 && parts[i] != NULL && parts[i + 1] != NULL; i++)
    {
      if (mkdirat (at, parts[i], 0755) != 0 && errno != EEXIST)
        {
          close (at);
          return -1;
        }
      int next = openat (at, parts[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      close (at);
      at = next;
    }
  *ret_name = slash != NULL ? slash + 1 : path;
  return at;
}

static gboolean
write_one (int dir, const VolumesFile *file, gint64 fs_group, GError **error)
{
  gsize size, done = 0;
  const char *data = g_bytes_get_data (file->bytes, &size), *name = NULL;
  int parent = open_parent (dir, file->path, &name);
  int fd = parent >= 0 ? openat (parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600) : -1;
  gboolean ok = fd >= 0;
  while (ok && done < size)
    {
      ssize_t n = write (fd, data + done, size - done);
      if (n > 0)
        done += (gsize) n;
      else if (errno != EINTR)
        ok = FALSE;
    }
  guint mode = fs_group >= 0 ? file->mode | 0440 : file->mode;
  ok = ok && (fs_group < 0 || fchown (fd, (uid_t) -1, (gid_t) fs_group) == 0) && fchmod (fd, mode) == 0;
  if (!ok)
    fail (error, file->path);
  if (fd >= 0)
    close (fd);
  if (parent >= 0)
    close (parent);
  return ok;
}

static char *
fresh_name (CubeContext *context)
{
  g_autoptr (GDateTime) now = g_date_time_new_from_unix_utc (cube_context_now_us (context) / G_USEC_PER_SEC);
  g_autofree char *stamp = g_date_time_format (now, "%Y_%m_%d_%H_%M_%S");
  return g_strdup_printf ("..%s.%010u", stamp, (guint32) cube_context_random (context));
}

/* Visible names: a link for the first part of each path; those of gone files go. */
static gboolean
set_links (int root, GPtrArray *files, GError **error)
{
  g_autoptr (GHashTable) wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < files->len; i++)
    {
      const char *path = ((VolumesFile *) files->pdata[i])->path;
      g_autofree char *first = g_strndup (path, strcspn (path, "/"));
      g_autofree char *target = g_strconcat (DATA "/", first, NULL);
      if (symlinkat (target, root, first) != 0 && errno != EEXIST)
        return fail (error, first);
      g_hash_table_add (wanted, g_steal_pointer (&first));
    }
  int fd = openat (root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
  for (struct dirent *entry; dir != NULL && (entry = readdir (dir)) != NULL;)
    if (entry->d_type == DT_LNK && !g_str_has_prefix (entry->d_name, "..") && !g_hash_table_contains (wanted, entry->d_name))
      unlinkat (root, entry->d_name, 0);
  if (dir != NULL)
    closedir (dir);
  return TRUE;
}

static gboolean
write_all (CubeContext *context, int root, const char *current, GPtrArray *files, gint64 fs_group, GError **error)
{
  g_autofree char *name = fresh_name (context);
  if (mkdirat (root, name, 0755) != 0)
    return fail (error, name);
  int dir = openat (root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  gboolean ok = dir >= 0 && fchmod (dir, 0755) == 0;
  for (guint i = 0; i < files->len && ok; i++)
    ok = write_one (dir, files->pdata[i], fs_group, error);
  if (dir >= 0)
    close (dir);
  unlinkat (root, DATA_NEW, 0);
  if (ok && (symlinkat (name, root, DATA_NEW) != 0 || renameat (root, DATA_NEW, root, DATA) != 0))
    ok = fail (error, DATA);
  if (!ok)
    {
      remove_at (root, name, 0, NULL);
      return FALSE;
    }
  if (!set_links (root, files, error))
    return FALSE;
  return current == NULL || remove_at (root, current, 0, error);
}

gboolean
volumes_write (CubeContext *context, const char *dir, GPtrArray *files, gint64 fs_group, GError **error)
{
  int root = open (dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (root < 0)
    return fail (error, dir);
  g_autofree char *current = current_name (root);
  gboolean ok = is_unchanged (root, current, files) || write_all (context, root, current, files, fs_group, error);
  close (root);
  return ok;
}
