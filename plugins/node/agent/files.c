/* SPDX-License-Identifier: Apache-2.0 */
/* Files of the agent's own: below its pods' directory, by directory descriptor, never through a link. */
#include "agent.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

char *
node_files_pod_dir (NodeAgent *agent, const char *uid)
{
  return g_build_filename (agent->pods_dir, uid, NULL);
}

gboolean
node_files_is_uid (const char *text)
{
  return text != NULL && *text != '\0' && *text != '.' && strlen (text) <= 128
         && strspn (text, "0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ-_.") == strlen (text);
}

static gboolean
fail (GError **error, const char *path)
{
  int code = errno;
  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (code), "%s: %s", path, g_strerror (code));
  return FALSE;
}

gboolean
node_files_write (const char *path, const char *text, gssize length, guint mode, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *temporary = g_strconcat (path, ".new", NULL);
  gsize size = length < 0 ? strlen (text) : (gsize) length, done = 0;
  if (g_mkdir_with_parents (dir, 0750) != 0)
    return fail (error, dir);
  unlink (temporary);
  int fd = open (temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
  if (fd < 0)
    return fail (error, temporary);
  gboolean ok = fchmod (fd, mode) == 0;
  while (ok && done < size)
    {
      ssize_t n = write (fd, text + done, size - done);
      if (n > 0)
        done += (gsize) n;
      else if (errno != EINTR)
        ok = FALSE;
    }
  if (!ok)
    fail (error, temporary);
  close (fd);
  if (ok && rename (temporary, path) != 0)
    ok = fail (error, path);
  if (!ok)
    unlink (temporary);
  return ok;
}

static gboolean
remove_at (int parent, const char *name, dev_t device, guint depth, GError **error)
{
  struct stat st;
  if (unlinkat (parent, name, 0) == 0 || errno == ENOENT)
    return TRUE;
  if (errno != EISDIR && errno != EPERM && errno != EBUSY)
    return fail (error, name);
  int fd = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fstat (fd, &st) != 0)
    {
      gboolean ok = fail (error, name);
      if (fd >= 0)
        close (fd);
      return ok;
    }
  if (st.st_dev != device || depth > 256)
    {
      close (fd);
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_BUSY, depth > 256 ? "%s is nested too deeply" : "%s is still mounted", name);
      return FALSE;
    }
  DIR *dir = fdopendir (fd);
  gboolean ok = TRUE;
  for (struct dirent *entry; dir != NULL && ok && (entry = readdir (dir)) != NULL;)
    if (strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0)
      ok = remove_at (fd, entry->d_name, device, depth + 1, error);
  closedir (dir);
  if (ok && unlinkat (parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    ok = fail (error, name);
  return ok;
}

gboolean
node_files_remove_tree (const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);
  g_autofree char *name = g_path_get_basename (path);
  struct stat st;
  int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT || fail (error, dir);
  gboolean ok = fstat (fd, &st) == 0 ? remove_at (fd, name, st.st_dev, 0, error) : fail (error, dir);
  close (fd);
  return ok;
}

/* Unescapes what mountinfo writes as \040. */
static char *
unescape_mount (const char *text)
{
  return g_strcompress (text);
}

void
node_files_unmount_below (const char *dir)
{
  g_autofree char *text = NULL;
  g_autofree char *prefix = g_strconcat (dir, "/", NULL);
  if (!g_file_get_contents ("/proc/self/mountinfo", &text, NULL, NULL))
    return;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = g_strv_length (lines); i-- > 0;) /* innermost, latest first */
    {
      g_auto (GStrv) fields = g_strsplit (lines[i], " ", 6);
      if (g_strv_length (fields) < 5)
        continue;
      g_autofree char *point = unescape_mount (fields[4]);
      if (g_str_has_prefix (point, prefix) && umount2 (point, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        g_warning ("cannot unmount %s: %s", point, g_strerror (errno));
    }
}
