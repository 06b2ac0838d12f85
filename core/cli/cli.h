/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the commands of `cube`. Each takes what follows its name and returns the exit status: 0 fine, 1 failed, 2 wrong usage. */
#include <daemon/daemon.h>

CUBE_EXPORT int cube_main (int argc, char **argv, const CubePluginDescriptor *const *builtin);

typedef struct {
  const CubePluginDescriptor *const *builtin;
  const char *name; /* the command's own: "up", "server" … */
} CubeCommandContext;

int cube_command_up (int argc, char **argv, const CubeCommandContext *context);   /* also server */
int cube_command_agent (int argc, char **argv, const CubeCommandContext *context);
int cube_command_down (int argc, char **argv, const CubeCommandContext *context);
int cube_command_uninstall (int argc, char **argv, const CubeCommandContext *context);
int cube_command_status (int argc, char **argv, const CubeCommandContext *context);
int cube_command_plugins (int argc, char **argv, const CubeCommandContext *context);
int cube_command_kubeconfig (int argc, char **argv, const CubeCommandContext *context);
int cube_command_version (int argc, char **argv, const CubeCommandContext *context);

/* Parses @entries plus --data-dir and --config into @options, and completes them. FALSE: an answer was printed, *ret_status is the exit status. */
gboolean cube_cli_parse (int *argc, char ***argv, const char *command, const char *summary, const char *description, const GOptionEntry *entries,
                         CubeOptions *options, int *ret_status);
/* `cube ARGV --foreground` in the background, unless it runs already; waits until it is ready and says so. Returns the exit status. */
int cube_cli_start_daemon (int argc, char **argv, const CubeOptions *options, int timeout_s);
gboolean cube_cli_is_terminal (void);
/* Prints @text with control bytes escaped. */
void cube_cli_print_safe (const char *text);
