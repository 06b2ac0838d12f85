/* SPDX-License-Identifier: Apache-2.0 */
#include "volumes.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static gboolean
fail (GError **error, const char *what)
{
  int code = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: %s", what, g_strerror (code));
  return FALSE;
}

gboolean
volumes_is_mount (const char *path)
{
  struct stat own, above;
  g_autofree char *parent = g_path_get_dirname (path);
  return lstat (path, &own) == 0 && S_ISDIR (own.st_mode) && lstat (parent, &above) == 0 && own.st_dev != above.st_dev;
}

gboolean
volumes_mount_tmpfs (const char *path, guint mode, gint64 size_bytes, GError **error)
{
  g_autofree char *options =
      size_bytes > 0 ? g_strdup_printf ("mode=%04o,size=%" G_GINT64_FORMAT, mode, size_bytes) : g_strdup_printf ("mode=%04o", mode);
  if (volumes_is_mount (path))
    return TRUE;
  if (mount ("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0)
    return TRUE;
  return fail (error, path);
}

gboolean
volumes_unmount (const char *path, GError **error)
{
  while (volumes_is_mount (path))
    if (umount2 (path, UMOUNT_NOFOLLOW) != 0 && umount2 (path, UMOUNT_NOFOLLOW | MNT_DETACH) != 0)
      return fail (error, path);
  return TRUE;
}

/* ---- fsGroup: everything below belongs to the group; links themselves only ---- */

static gboolean
set_group_at (int parent, const char *name, gid_t group, gboolean is_readonly, guint depth, GError **error)
{
  struct stat st;
  if (fstatat (parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
    return errno == ENOENT || fail (error, name);
  if (fchownat (parent, name, (uid_t) -1, group, AT_SYMLINK_NOFOLLOW) != 0)
    return fail (error, name);
  if (!S_ISREG (st.st_mode) && !S_ISDIR (st.st_mode))
    return TRUE;
  int fd = openat (parent, name, (S_ISDIR (st.st_mode) ? O_DIRECTORY : 0) | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  mode_t more = is_readonly ? 0440 : 0660;
  if (S_ISDIR (st.st_mode))
    more |= 02110;
  if (fd < 0 || fchmod (fd, (st.st_mode & 07777) | more) != 0)
    {
      gboolean ok = fail (error, name);
      if (fd >= 0)
        close (fd);
      return ok;
    }
  DIR *dir = S_ISDIR (st.st_mode) && depth < 256 ? fdopendir (fd) : NULL;
  gboolean ok = TRUE;
  for (struct dirent *entry; ok && dir != NULL && (entry = readdir (dir)) != NULL;)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      ok = set_group_at (fd, entry->d_name, group, is_readonly, depth + 1, error);
  if (dir != NULL)
    closedir (dir);
  else
    close (fd);
  return ok;
}

gboolean
volumes_set_group (const char *path, gint64 fs_group, gboolean is_readonly, GError **error)
{
  return fs_group < 0 || set_group_at (AT_FDCWD, path, (gid_t) fs_group, is_readonly, 0, error);
}
