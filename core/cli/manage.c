/* SPDX-License-Identifier: Apache-2.0 */
/* cube status, down, plugins, kubeconfig: ask the running daemon. */
#include "cli.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static CubeValue *
ask (const CubeOptions *options, const char *command, const char *op)
{
  g_autoptr (GError) error = NULL;
  CubeValue *answer = cube_control_call (options->data_dir, op, &error);
  if (answer == NULL)
    g_printerr ("cube %s: no cluster runs in %s (%s)\n  start one: cube up --data-dir %s\n", command, options->data_dir, error->message,
                options->data_dir);
  return answer;
}

static void
print_status (CubeView status)
{
  CubeIter it;
  CubeView element;
  guint n_plugins = 0, n_ill = 0;
  printf ("%s, pid %" G_GINT64_FORMAT "\n", cube_view_get_bool (status, FALSE, "ready") ? "ready" : "not ready",
          cube_view_get_int (status, 0, "pid"));
  printf ("  server      %s\n", cube_view_string_or (cube_view_member (status, "server"), "-"));
  printf ("  kubeconfig  %s\n", cube_view_string_or (cube_view_member (status, "kubeconfig"), "-"));
  printf ("  roles       %s, runtime %s\n", cube_view_get_string (status, "roles"), cube_view_get_string (status, "runtime"));
  for (cube_iter_init (&it, cube_view_member (status, "waitingFor")); cube_iter_next (&it, NULL, &element);)
    {
      printf ("  waiting for ");
      cube_cli_print_safe (cube_view_string (element));
      putchar ('\n');
    }
  for (cube_iter_init (&it, cube_view_member (status, "warnings")); cube_iter_next (&it, NULL, &element);)
    {
      printf ("  warning     ");
      cube_cli_print_safe (cube_view_string (element));
      putchar ('\n');
    }
  for (cube_iter_init (&it, cube_view_member (status, "plugins")); cube_iter_next (&it, NULL, &element); n_plugins++)
    n_ill += !cube_view_get_bool (element, FALSE, "healthy");
  printf ("  plugins     %u, %u not healthy (cube plugins)\n", n_plugins, n_ill);
}

int
cube_command_status (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse_complete (argc, argv, context, &arguments, &status))
    return status;
  g_autoptr (CubeValue) answer = ask (&arguments.options, "status", "status");
  if (answer == NULL)
    return 1;
  if (arguments.output != NULL)
    cube_cli_print_value (cube_value_root (answer), arguments.output);
  else
    print_status (cube_value_root (answer));
  return cube_view_get_bool (cube_value_root (answer), FALSE, "ready") ? 0 : 1;
}

static void
print_plugin (CubeView plugin)
{
  CubeIter it;
  CubeView element;
  g_autofree char *spent = g_strdup_printf ("%.1f ms", (double) cube_view_get_int (plugin, 0, "timeMicros") / 1000);
  printf ("%-32s %-9s %-9s %12s  ", cube_view_string_or (cube_view_member (plugin, "name"), "-"),
          cube_view_string_or (cube_view_member (plugin, "version"), "-"),
          cube_view_get_bool (plugin, FALSE, "healthy") ? "healthy" : cube_view_get_string (plugin, "state"), spent);
  for (cube_iter_init (&it, cube_view_member (plugin, "interfaces")); cube_iter_next (&it, NULL, &element);)
    printf ("%s ", cube_view_string (element));
  putchar ('\n');
  const char *message = cube_view_get_string (plugin, "message");
  if (message == NULL)
    return;
  printf ("    ");
  cube_cli_print_safe (message);
  putchar ('\n');
}

int
cube_command_plugins (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse_complete (argc, argv, context, &arguments, &status))
    return status;
  g_autoptr (CubeValue) answer = ask (&arguments.options, "plugins", "plugins");
  if (answer == NULL)
    return 1;
  if (arguments.output != NULL)
    {
      cube_cli_print_value (cube_value_root (answer), arguments.output);
      return 0;
    }
  CubeIter it;
  CubeView element;
  printf ("%-32s %-9s %-9s %12s  %s\n", "NAME", "VERSION", "HEALTH", "TIME", "INTERFACES");
  for (cube_iter_init (&it, cube_value_root (answer)); cube_iter_next (&it, NULL, &element);)
    print_plugin (element);
  return 0;
}

int
cube_command_kubeconfig (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse_complete (argc, argv, context, &arguments, &status))
    return status;
  g_autofree char *path = g_build_filename (arguments.options.data_dir, "admin.kubeconfig", NULL);
  g_autofree char *text = NULL;
  g_autoptr (GError) error = NULL;
  if (!g_file_get_contents (path, &text, NULL, &error))
    {
      g_printerr ("cube kubeconfig: %s\n", error->message);
      return 1;
    }
  printf ("%s%s", arguments.is_raw ? text : path, arguments.is_raw ? "" : "\n");
  return 0;
}

/* TRUE once nobody holds the data directory's lock. */
static gboolean
is_unlocked (const char *data_dir)
{
  g_autofree char *path = g_build_filename (data_dir, "cube.lock", NULL);
  int fd = open (path, O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT;
  gboolean is_free = flock (fd, LOCK_EX | LOCK_NB) == 0;
  close (fd);
  return is_free;
}

/* Nobody answers: a daemon that was killed. Its containers and network may still be there. */
static int
tear_down_dead (CubeOptions *options, const CubeCommandContext *context)
{
  g_autoptr (GError) error = NULL;
  if (!cube_state_read (options, &error) && !g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    {
      g_printerr ("cube down: %s\n  put the file right, or remove it to end this as a cluster with the default options\n", error->message);
      return 1;
    }
  g_auto (GStrv) roles = g_strsplit (options->roles, ",", -1);
  if (!g_str_equal (options->runtime, "cri") || !g_strv_contains ((const char *const *) roles, "node"))
    {
      /* Everything such a cluster had was in the process that is gone, but for the name it was called by. */
      g_autofree char *socket_path = g_build_filename (options->data_dir, "cube.sock", NULL);
      unlink (socket_path);
      printf ("The cluster in %s is down.\n", options->data_dir);
      return 0;
    }
  g_free (options->roles);
  options->roles = g_strdup ("node");
  options->is_teardown = TRUE;
  return cube_daemon_run (options, context->builtin);
}

int
cube_command_down (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  CubeOptions *options = &arguments.options;
  int status;
  if (!cube_cli_parse_complete (argc, argv, context, &arguments, &status))
    return status;
  gint timeout_s = arguments.timeout_s >= 0 ? arguments.timeout_s : 90;
  g_autoptr (CubeValue) answer = cube_control_call (options->data_dir, "down", NULL);
  gint64 deadline = g_get_monotonic_time () + (gint64) timeout_s * G_USEC_PER_SEC;
  while (!is_unlocked (options->data_dir) && g_get_monotonic_time () < deadline)
    {
      g_usleep (20 * 1000);
      if (answer == NULL) /* one that starts has its lock before it listens */
        answer = cube_control_call (options->data_dir, "down", NULL);
    }
  /* Nobody answered, so nobody cleaned up: a killed daemon, perhaps one that was still dying a moment ago. */
  if (answer == NULL && is_unlocked (options->data_dir) && g_file_test (options->data_dir, G_FILE_TEST_IS_DIR))
    return tear_down_dead (options, context);
  if (!is_unlocked (options->data_dir))
    {
      g_printerr ("cube down: still not down after %d s; see %s/cube.log\n", timeout_s, options->data_dir);
      return 1;
    }
  printf ("The cluster in %s is down.\n", options->data_dir);
  return 0;
}
