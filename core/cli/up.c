/* SPDX-License-Identifier: Apache-2.0 */
/* cube up, server (and, for agent.c, agent): start the daemon in the background and wait until it is ready; or run it in the foreground. */
#include "cli.h"
#include <daemon/log.h>
#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_US (20 * 1000)
#define REASON_FD 3 /* the daemon's end of the pipe */

/* In the child: `cube <same arguments> --foreground` with its output in the log, the reason of an early end in the pipe. */
static void
become_daemon (char *const *args, int log_fd, int null_fd, int reason_fd)
{
  setsid ();
  dup2 (null_fd, STDIN_FILENO);
  dup2 (log_fd, STDOUT_FILENO);
  dup2 (log_fd, STDERR_FILENO);
  dup2 (reason_fd, REASON_FD);
  fcntl (REASON_FD, F_SETFD, 0); /* when it was that one already */
  close_range (REASON_FD + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  execv ("/proc/self/exe", args);
  _exit (127);
}

static int
open_log (const CubeOptions *options, GError **error)
{
  g_autofree char *path = g_build_filename (options->data_dir, "cube.log", NULL);
  if (g_mkdir_with_parents (options->data_dir, 0700) != 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "data directory %s: %s", options->data_dir, g_strerror (errno));
      return -1;
    }
  int fd = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "log %s: %s", path, g_strerror (errno));
  return fd;
}

/* Starts the daemon detached. Returns its pid, or -1; *ret_reason_fd: where its reason can be read, should it end early. */
static pid_t
spawn_daemon (int argc, char **argv, const CubeOptions *options, int *ret_reason_fd, GError **error)
{
  int ends[2];
  int log_fd = open_log (options, error);
  if (log_fd < 0)
    return -1;
  int null_fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null_fd < 0 || pipe2 (ends, O_CLOEXEC | O_NONBLOCK) != 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "/dev/null or a pipe: %s", g_strerror (errno));
      close (log_fd);
      return -1;
    }
  g_autoptr (GPtrArray) args = g_ptr_array_new ();
  g_ptr_array_add (args, (gpointer) "cube");
  for (int i = 0; i < argc; i++)
    g_ptr_array_add (args, argv[i]);
  g_ptr_array_add (args, (gpointer) "--foreground");
  g_ptr_array_add (args, NULL);
  g_setenv (CUBE_REASON_FD, G_STRINGIFY (REASON_FD), TRUE);
  pid_t pid = fork ();
  if (pid == 0)
    become_daemon ((char *const *) args->pdata, log_fd, null_fd, ends[1]);
  g_unsetenv (CUBE_REASON_FD);
  if (pid < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "fork: %s", g_strerror (errno));
  close (log_fd);
  close (null_fd);
  close (ends[1]);
  *ret_reason_fd = ends[0];
  return pid;
}

/* What the daemon that ended with @status said, or how it ended. (transfer full) */
static char *
reason_of_end (int reason_fd, int status)
{
  char text[4096];
  ssize_t n = read (reason_fd, text, sizeof text - 1);
  if (n > 0)
    return g_strndup (text, (gsize) n);
  return WIFSIGNALED (status)
             ? g_strdup_printf ("the daemon was ended by signal %d (%s)", WTERMSIG (status), g_strsignal (WTERMSIG (status)))
             : g_strdup ("the daemon ended without a word");
}

static const char *
remedy (const char *why)
{
  static const struct {
    const char *word, *advice;
  } table[] = {
    { "in use by another cube", "a cluster already runs there: cube status, or choose another --data-dir" },
    { "ddress already in use", "another program has the port: choose one with --listen ADDR:PORT, or --listen :0 for a free one" },
    { "ermission denied", "run it as root, or with --runtime sim and a --data-dir of yours" },
    { "configuration plugins.", "correct the file given with --config" },
    { "o space left on device", "make room on the disk of DIR; nothing is lost" },
    { "disk is full", "make room on the disk of DIR; nothing is lost" },
    { "no storage plugin", "the plugin folder is incomplete, or the configuration names another: cube plugins lists what there is" },
    { "containerd", "are the packages containerd and runc installed? The details are in DIR/containerd/containerd.log" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    if (strstr (why, table[i].word) != NULL)
      return table[i].advice;
  return "cube doctor looks for the cause; the log says more: DIR/cube.log";
}

static void
show_failure (const char *why, const CubeOptions *options)
{
  g_autoptr (GString) advice = g_string_new (remedy (why));
  g_string_replace (advice, "DIR", options->data_dir, 0);
  g_printerr ("cube: %s\n  %s\n", why, advice->str);
}

static void
show_progress (const char *text, char **last)
{
  if (g_strcmp0 (text, *last) == 0)
    return;
  g_free (*last);
  *last = g_strdup (text);
  printf ("  … ");
  cube_cli_print_safe (text);
  putchar ('\n');
  fflush (stdout);
}

static void
show_ready (CubeView status, const CubeOptions *options)
{
  if (options->is_agent)
    {
      printf ("Node %s is ready. Its server is %s.\n`cube down` ends the agent and its pods.\n", options->node_name,
              cube_view_string_or (cube_view_member (status, "server"), "-"));
      return;
    }
  printf ("The cluster is ready at %s.\n  export KUBECONFIG=%s\n  kubectl get nodes\n`cube down` ends it.\n",
          cube_view_string_or (cube_view_member (status, "server"), "(no API in this process)"),
          cube_view_string_or (cube_view_member (status, "kubeconfig"), "(none)"));
}

static void
show_warnings (CubeView status)
{
  CubeIter it;
  CubeView element;
  for (cube_iter_init (&it, cube_view_member (status, "warnings")); cube_iter_next (&it, NULL, &element);)
    {
      printf ("  warning: ");
      cube_cli_print_safe (cube_view_string (element));
      putchar ('\n');
    }
}

static void
progress_of (CubeView status, char **last)
{
  CubeView waiting = cube_view_member (status, "waitingFor");
  const char *first = cube_view_string (cube_view_element (waiting, 0));
  g_autofree char *text = first != NULL ? g_strdup_printf ("waiting for %s", first)
                                        : g_strdup_printf ("starting %s", cube_view_string_or (cube_view_member (status, "step"), "up"));
  show_progress (text, last);
}

/* Polls until ready, dead, or out of time. @pid 0: one that ran before. */
static int
wait_ready (pid_t pid, int reason_fd, const CubeOptions *options, gint64 timeout_us)
{
  gint64 deadline = g_get_monotonic_time () + timeout_us;
  g_autofree char *last = NULL;
  for (;; g_usleep (POLL_US))
    {
      int status;
      if (pid > 0 && waitpid (pid, &status, WNOHANG) == pid)
        {
          g_autofree char *why = reason_of_end (reason_fd, status);
          fflush (stdout);
          show_failure (why, options);
          return 1;
        }
      g_autoptr (CubeValue) answer = cube_control_call (options->data_dir, "status", NULL);
      if (answer == NULL)
        continue;
      CubeView root = cube_value_root (answer);
      if (cube_view_get_bool (root, FALSE, "ready"))
        {
          show_warnings (root);
          show_ready (root, options);
          return 0;
        }
      progress_of (root, &last);
      if (g_get_monotonic_time () < deadline)
        continue;
      g_printerr (
          "cube: not ready after %d s (%s); it goes on trying. `cube status` shows it, `cube doctor` looks for the cause, `cube down` ends it.\n",
          (int) (timeout_us / G_USEC_PER_SEC), last);
      return 1;
    }
}

/* A server of its own is there for others. */
static void
tell_how_to_join (const char *data_dir)
{
  printf ("Other machines join, within 24 hours, by (`cube token create` makes more of it):\n  ");
  fflush (stdout);
  cube_cli_print_join (data_dir, 24 * 3600, "made by cube server", NULL);
}

int
cube_cli_start_daemon (int argc, char **argv, const CubeArguments *arguments, const CubeCommandContext *context)
{
  const CubeOptions *options = &arguments->options;
  if (options->is_foreground)
    return cube_daemon_run (options, context->builtin);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) running = cube_control_call (options->data_dir, "status", NULL);
  if (running != NULL && cube_view_get_bool (cube_value_root (running), FALSE, "agent") != options->is_agent)
    {
      g_printerr ("cube: in %s runs %s already\n  choose another --data-dir, or end it: cube down --data-dir %s\n", options->data_dir,
                  options->is_agent ? "a server" : "an agent", options->data_dir);
      return 1;
    }
  int reason_fd = -1;
  pid_t pid = running != NULL ? 0 : spawn_daemon (argc, argv, options, &reason_fd, &error);
  if (pid >= 0)
    {
      int status = wait_ready (pid, reason_fd, options, (gint64) (arguments->timeout_s >= 0 ? arguments->timeout_s : 120) * G_USEC_PER_SEC);
      if (reason_fd >= 0)
        close (reason_fd);
      if (status == 0 && pid > 0 && context->command == &cube_commands[CUBE_COMMAND_SERVER] && !g_str_equal (options->runtime, "sim"))
        tell_how_to_join (options->data_dir);
      return status;
    }
  show_failure (error->message, options);
  return 1;
}

int
cube_command_up (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse (argc, argv, context, &arguments, &status))
    return status;
  if (arguments.options.roles == NULL && context->command == &cube_commands[CUBE_COMMAND_SERVER])
    arguments.options.roles = g_strdup ("api,controllers,scheduler");
  if (!cube_cli_complete (context, &arguments, &status))
    return status;
  return cube_cli_start_daemon (argc, argv, &arguments, context);
}
