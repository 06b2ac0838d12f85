/* SPDX-License-Identifier: Apache-2.0 */
/* A `ctr` that hangs, as it does when the containerd it connects to is gone: the import must end when it is told to. */
#include "../containerd.h"
#include <cube/error.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
  char *dir, *pid_file;
  GCancellable *cancellable;
  GError *error;
} Import;

static void
install (Import *import, const char *script)
{
  g_autofree char *ctr = NULL, *path = NULL;

  import->dir = g_dir_make_tmp ("cube-ctr-XXXXXX", NULL);
  import->pid_file = g_build_filename (import->dir, "pid", NULL);
  import->cancellable = g_cancellable_new ();
  ctr = g_build_filename (import->dir, "ctr", NULL);
  g_assert_true (g_file_set_contents_full (ctr, script, -1, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
  path = g_strdup_printf ("%s:/usr/bin:/bin", import->dir);
  g_setenv ("PATH", path, TRUE);
  g_setenv ("PID_FILE", import->pid_file, TRUE);
}

static void
clear (Import *import)
{
  g_autofree char *ctr = g_build_filename (import->dir, "ctr", NULL);

  g_unlink (ctr);
  g_unlink (import->pid_file);
  g_rmdir (import->dir);
  g_free (import->dir);
  g_free (import->pid_file);
  g_object_unref (import->cancellable);
  g_clear_error (&import->error);
}

static gpointer
run (gpointer data)
{
  Import *import = data;
  ContainerdPaths paths = { .socket = (char *) "/nowhere/containerd.sock" };
  const char *const dirs[] = { import->dir, NULL };

  return GINT_TO_POINTER (containerd_import_images (&paths, dirs, import->cancellable, &import->error));
}

static pid_t
wait_for_pid (Import *import)
{
  g_autofree char *text = NULL;

  while (!g_file_get_contents (import->pid_file, &text, NULL, NULL) || strchr (text, '\n') == NULL)
    {
      g_clear_pointer (&text, g_free);
      g_usleep (1000);
    }
  return atoi (text);
}

static void
test_hangs (void)
{
  Import import = { 0 };
  GThread *thread;
  pid_t pid;

  install (&import, "#!/bin/sh\necho $$ > $PID_FILE.new; mv $PID_FILE.new $PID_FILE\nexec sleep 1000\n");
  thread = g_thread_new ("import", run, &import);
  pid = wait_for_pid (&import);
  g_cancellable_cancel (import.cancellable);
  g_assert_false (GPOINTER_TO_INT (g_thread_join (thread)));
  g_assert_error (import.error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
  g_assert_cmpint (kill (pid, 0), ==, -1);
  g_assert_cmpint (errno, ==, ESRCH);
  clear (&import);
}

static void
test_fails (void)
{
  Import import = { 0 };

  install (&import, "#!/bin/sh\necho ' no such socket ' >&2\nexit 1\n");
  g_assert_false (GPOINTER_TO_INT (run (&import)));
  g_assert_error (import.error, CUBE_ERROR, CUBE_ERROR_INTERNAL);
  g_assert_cmpstr (import.error->message, ==, "ctr: no such socket");
  clear (&import);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/containerd/images/hangs", test_hangs);
  g_test_add_func ("/containerd/images/fails", test_fails);
  return g_test_run ();
}
