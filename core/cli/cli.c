/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <config.h>

typedef struct {
  const char *name, *summary;
  int (*run) (int argc, char **argv, const CubeCommandContext *context);
} Command;

static const Command commands[] = {
  { "up", "start a cluster on this machine and wait until it is ready", cube_command_up },
  { "down", "end everything `up` started", cube_command_down },
  { "uninstall", "end the cluster and remove everything it left on this machine", cube_command_uninstall },
  { "status", "say what runs, where, and how it is", cube_command_status },
  { "server", "start the control plane only (API, controllers, scheduler)", cube_command_up },
  { "agent", "start a worker node of a server elsewhere", cube_command_agent },
  { "plugins", "list the plugins: from where, which interfaces, health, time spent", cube_command_plugins },
  { "kubeconfig", "print the path of the kubeconfig file, or the file", cube_command_kubeconfig },
  { "version", "print the version", cube_command_version },
};

static void
print_help (FILE *out)
{
  fprintf (out, "Usage: cube COMMAND [OPTION…]\n\nKubernetes as a small program of plugins.\n\nCommands:\n");
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    fprintf (out, "  %-11s %s\n", commands[i].name, commands[i].summary);
  fprintf (out, "\n`cube COMMAND --help` says more. A first step: cube up && export KUBECONFIG=$(cube kubeconfig) && kubectl get nodes\n");
}

gboolean
cube_cli_is_terminal (void)
{
  return isatty (STDOUT_FILENO) == 1;
}

void
cube_cli_print_safe (const char *text)
{
  for (const char *at = text; *at != '\0'; at++)
    if ((guchar) *at < 0x20 || *at == 0x7f)
      printf ("\\x%02x", (guchar) *at);
    else
      putchar (*at);
}

gboolean
cube_cli_parse (int *argc, char ***argv, const char *command, const char *summary, const char *description, const GOptionEntry *entries,
                CubeOptions *options, int *ret_status)
{
  const GOptionEntry common[] = { { "data-dir", 'd', 0, G_OPTION_ARG_FILENAME, &options->data_dir,
                                    "Where the cluster lives (default /var/lib/cube as root, else ~/.local/share/cube)", "DIR" },
                                  { "config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config_path, "Configuration file (YAML)", "FILE" },
                                  { NULL } };
  g_autoptr (GError) error = NULL;
  g_autofree char *usage = g_strdup_printf ("- %s", summary);
  g_autoptr (GOptionContext) context = g_option_context_new (usage);
  g_autofree char *prgname = g_strdup_printf ("cube %s", command);
  g_set_prgname (prgname);
  g_option_context_add_main_entries (context, common, NULL);
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, NULL);
  if (description != NULL)
    g_option_context_set_description (context, description);
  if (g_option_context_parse (context, argc, argv, &error) && *argc > 1)
    g_set_error (&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "unexpected argument \"%s\"", (*argv)[1]);
  if (error != NULL)
    {
      g_printerr ("cube %s: %s (see cube %s --help)\n", command, error->message, command);
      *ret_status = 2;
      return FALSE;
    }
  if (cube_options_complete (options, &error))
    return TRUE;
  g_printerr ("cube %s: %s\n", command, error->message);
  *ret_status = 2;
  return FALSE;
}

int
cube_command_version (int argc, char **argv, const CubeCommandContext *context)
{
  printf ("cube %s (Kubernetes API v1.36, plugin ABI %d.%d)\n", CUBE_VERSION, CUBE_ABI_MAJOR, CUBE_ABI_MINOR);
  return 0;
}

int
cube_main (int argc, char **argv, const CubePluginDescriptor *const *builtin)
{
  setlocale (LC_ALL, "");
  if (argc < 2 || g_str_equal (argv[1], "help") || g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h"))
    {
      print_help (argc < 2 ? stderr : stdout);
      return argc < 2 ? 2 : 0;
    }
  const char *name = g_str_equal (argv[1], "--version") ? "version" : argv[1];
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      CubeCommandContext context = { builtin, commands[i].name };
      if (g_str_equal (commands[i].name, name))
        return commands[i].run (argc - 1, argv + 1, &context);
    }
  fprintf (stderr, "cube: unknown command \"%s\"\n\n", argv[1]);
  print_help (stderr);
  return 2;
}
