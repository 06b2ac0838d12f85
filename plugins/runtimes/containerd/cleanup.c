/* SPDX-License-Identifier: Apache-2.0 */
/* What a containerd that is gone for good may have left behind. */
#include "containerd.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

void
containerd_end_process (pid_t pid, gint64 timeout_us)
{
  int fd = (int) syscall (SYS_pidfd_open, pid, 0);
  if (fd < 0)
    return; /* gone */
  struct pollfd wait = { .fd = fd, .events = POLLIN };
  syscall (SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0);
  if (poll (&wait, 1, (int) (timeout_us / 1000)) == 0)
    {
      syscall (SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
      poll (&wait, 1, 5000);
    }
  close (fd);
}

char *
containerd_command_line (const char *pid)
{
  g_autofree char *path = g_build_filename ("/proc", pid, "cmdline", NULL);
  g_autofree char *text = NULL;
  gsize length;
  if (!g_file_get_contents (path, &text, &length, NULL) || length == 0)
    return NULL;
  for (gsize i = 0; i + 1 < length; i++)
    if (text[i] == '\0')
      text[i] = '\n';
  return g_steal_pointer (&text);
}

static void
end_shims (const ContainerdPaths *paths)
{
  g_autofree char *mark = g_strdup_printf ("\n-address\n%s", paths->socket);
  g_autoptr (GDir) proc = g_dir_open ("/proc", 0, NULL);
  const char *name;
  while (proc != NULL && (name = g_dir_read_name (proc)) != NULL)
    {
      if (!g_ascii_isdigit (*name))
        continue;
      g_autofree char *line = containerd_command_line (name);
      if (line != NULL && strstr (line, "containerd-shim") != NULL && strstr (line, mark) != NULL)
        containerd_end_process (atoi (name), 2 * G_USEC_PER_SEC);
    }
}

static void
unmount_below (const char *dir)
{
  g_autofree char *text = NULL;
  g_autofree char *prefix = g_strconcat (dir, "/", NULL);
  if (!g_file_get_contents ("/proc/self/mountinfo", &text, NULL, NULL))
    return;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = g_strv_length (lines); i-- > 0;) /* innermost last in the file */
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", 6);
      if (g_strv_length (words) < 5)
        continue;
      g_autofree char *point = g_strcompress (words[4]);
      if (g_str_has_prefix (point, prefix) && umount2 (point, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        g_warning ("unmount %s: %s", point, g_strerror (errno));
    }
}

void
containerd_sweep (const ContainerdPaths *paths)
{
  end_shims (paths);
  unmount_below (paths->state);
}
