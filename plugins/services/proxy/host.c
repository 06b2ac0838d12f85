/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"
#include <cube/error.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <unistd.h>

#define IP_FORWARD "/proc/sys/net/ipv4/ip_forward"
#define BRIDGE_FILTER "/proc/sys/net/bridge/bridge-nf-call-iptables"

/* 1 into a kernel setting, unless it is there. */
static gboolean
switch_on (const char *path)
{
  g_autofree char *value = NULL;
  int fd, saved = 0;

  if (!g_file_get_contents (path, &value, NULL, NULL))
    return FALSE;
  if (g_ascii_strtoll (value, NULL, 10) == 1)
    return TRUE;
  fd = open (path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write (fd, "1\n", 2) != 2)
    saved = errno;
  if (fd >= 0)
    close (fd);
  errno = saved;
  return saved == 0;
}

gboolean
host_prepare (gboolean *ret_is_bridge_filtered, GError **error)
{
  errno = ENOENT;
  if (!switch_on (IP_FORWARD))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s: %s", IP_FORWARD, g_strerror (errno));
      return FALSE;
    }
  *ret_is_bridge_filtered = switch_on (BRIDGE_FILTER);
  return TRUE;
}

static void
on_deleted (GObject *process, GAsyncResult *result, gpointer data)
{
  g_subprocess_wait_finish (G_SUBPROCESS (process), result, NULL); /* fails when there was no such flow: fine */
}

void
host_delete_flows (GPtrArray *arguments)
{
  g_autofree char *program = g_find_program_in_path ("conntrack");

  if (program == NULL && g_file_test ("/usr/sbin/conntrack", G_FILE_TEST_IS_EXECUTABLE))
    program = g_strdup ("/usr/sbin/conntrack");
  for (guint i = 0; i < arguments->len && program != NULL; i++)
    {
      g_autoptr (GPtrArray) argv = g_ptr_array_new ();
      g_autoptr (GSubprocess) process = NULL;
      char **list = arguments->pdata[i];

      g_ptr_array_add (argv, program);
      for (guint j = 0; list[j] != NULL; j++)
        g_ptr_array_add (argv, list[j]);
      g_ptr_array_add (argv, NULL);
      process = g_subprocess_newv ((const char *const *) argv->pdata, G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_SILENCE,
                                   NULL);
      if (process != NULL)
        g_subprocess_wait_async (process, NULL, on_deleted, NULL);
    }
}
