/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <config.h>

static int (*const runners[CUBE_N_COMMANDS]) (int argc, char **argv, const CubeCommandContext *context) = {
  [CUBE_COMMAND_UP] = cube_command_up,
  [CUBE_COMMAND_SERVER] = cube_command_up,
  [CUBE_COMMAND_AGENT] = cube_command_agent,
  [CUBE_COMMAND_TOKEN] = cube_command_token,
  [CUBE_COMMAND_DOWN] = cube_command_down,
  [CUBE_COMMAND_UNINSTALL] = cube_command_uninstall,
  [CUBE_COMMAND_STATUS] = cube_command_status,
  [CUBE_COMMAND_PLUGINS] = cube_command_plugins,
  [CUBE_COMMAND_KUBECONFIG] = cube_command_kubeconfig,
  [CUBE_COMMAND_DOCTOR] = cube_command_doctor,
  [CUBE_COMMAND_VERSION] = cube_command_version,
};

/* ---- printing ---- */

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

void
cube_cli_print_value (CubeView view, const char *output)
{
  g_autofree char *text = NULL;
  if (g_str_equal (output, "yaml"))
    text = cube_view_to_yaml (view, NULL);
  else
    {
      GString *out = g_string_new (NULL);
      cube_view_append_json_pretty (view, out, 2);
      g_string_append_c (out, '\n');
      text = g_string_free (out, FALSE);
    }
  fputs (text, stdout);
}

static void
print_help (const CubeCommand *command, FILE *file)
{
  GString *out = g_string_new (NULL);
  if (command != NULL)
    cube_help_command (out, command);
  else
    cube_help_overview (out);
  fputs (out->str, file);
  g_string_free (out, TRUE);
}

/* ---- parsing ---- */

void
cube_arguments_clear (CubeArguments *arguments)
{
  cube_options_clear (&arguments->options);
  g_clear_pointer (&arguments->output, g_free);
  g_clear_pointer (&arguments->ttl, g_free);
  g_clear_pointer (&arguments->description, g_free);
}

/* GOption's own, made of the table. (transfer full): g_free */
static GOptionEntry *
make_entries (const CubeCommand *command, CubeArguments *arguments)
{
  GArray *entries = g_array_new (TRUE, TRUE, sizeof (GOptionEntry));
  const CubeCommandOption *option;
  guint position = 0;
  while ((option = cube_command_next_option (command, &position)) != NULL)
    {
      GOptionEntry entry = { option->name,        option->letter,  0, option->type, (char *) arguments + option->offset,
                             option->description, option->arg_name };
      g_array_append_val (entries, entry);
    }
  return (GOptionEntry *) g_array_free (entries, FALSE);
}

/* The long option of @command that the first unknown one in @argv was probably meant to be. */
static const char *
nearest_option (const CubeCommand *command, char **argv)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  const CubeCommandOption *option;
  guint position = 0;
  while ((option = cube_command_next_option (command, &position)) != NULL)
    g_ptr_array_add (names, (gpointer) option->name);
  g_ptr_array_add (names, NULL);
  for (guint i = 1; argv[i] != NULL && !g_str_equal (argv[i], "--"); i++)
    {
      if (!g_str_has_prefix (argv[i], "--"))
        continue;
      g_auto (GStrv) parts = g_strsplit (argv[i] + 2, "=", 2);
      if (!g_strv_contains ((const char *const *) names->pdata, parts[0]))
        return cube_help_nearest (parts[0], (const char *const *) names->pdata);
    }
  return NULL;
}

static gboolean
refuse (const CubeCommand *command, const char *message, const char *nearest, int *ret_status)
{
  g_printerr ("cube %s: %s%s%s%s (see cube %s --help)\n", command->name, message, nearest != NULL ? "; did you mean --" : "",
              nearest != NULL ? nearest : "", nearest != NULL ? "?" : "", command->name);
  *ret_status = 2;
  return FALSE;
}

/* Values that the table lists completely are checked here, once. */
static gboolean
check_output (const CubeCommand *command, const CubeArguments *arguments, int *ret_status)
{
  if (arguments->output == NULL || g_str_equal (arguments->output, "json") || g_str_equal (arguments->output, "yaml"))
    return TRUE;
  g_autofree char *message = g_strdup_printf ("output \"%s\" is unknown (known: json, yaml)", arguments->output);
  return refuse (command, message, NULL, ret_status);
}

gboolean
cube_cli_parse (int argc, char **argv, const CubeCommandContext *context, CubeArguments *arguments, int *ret_status)
{
  const CubeCommand *command = context->command;
  *arguments = (CubeArguments){ .timeout_s = -1 };
  cube_options_init (&arguments->options);
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) parser = g_option_context_new (NULL);
  g_autofree GOptionEntry *entries = make_entries (command, arguments);
  g_autofree char **args = g_new0 (char *, (gsize) argc + 1); /* the parser takes out what it knows */
  memcpy (args, argv, (gsize) argc * sizeof *args);
  g_option_context_set_help_enabled (parser, FALSE);
  g_option_context_add_main_entries (parser, entries, NULL);
  gboolean ok = g_option_context_parse (parser, &argc, &args, &error);
  if (ok && arguments->is_help)
    {
      print_help (command, stdout);
      *ret_status = 0;
      return FALSE;
    }
  if (ok && argc > 1)
    g_set_error (&error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "unexpected argument \"%s\"", args[1]);
  if (error != NULL)
    return refuse (command, error->message,
                   g_error_matches (error, G_OPTION_ERROR, G_OPTION_ERROR_UNKNOWN_OPTION) ? nearest_option (command, argv) : NULL,
                   ret_status);
  return check_output (command, arguments, ret_status);
}

gboolean
cube_cli_complete (const CubeCommandContext *context, CubeArguments *arguments, int *ret_status)
{
  g_autoptr (GError) error = NULL;
  return cube_options_complete (&arguments->options, &error) || refuse (context->command, error->message, NULL, ret_status);
}

gboolean
cube_cli_parse_complete (int argc, char **argv, const CubeCommandContext *context, CubeArguments *arguments, int *ret_status)
{
  return cube_cli_parse (argc, argv, context, arguments, ret_status) && cube_cli_complete (context, arguments, ret_status);
}

/* ---- cube version ---- */

int
cube_command_version (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse (argc, argv, context, &arguments, &status))
    return status;
  g_autofree char *abi = g_strdup_printf ("%d.%d", CUBE_ABI_MAJOR, CUBE_ABI_MINOR);
  if (arguments.output == NULL)
    {
      printf ("cube %s (Kubernetes API %s, plugin ABI %s)\n", CUBE_VERSION, CUBE_KUBERNETES_VERSION, abi);
      return 0;
    }
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "cube", CUBE_VERSION);
  cube_mut_set_string (root, "kubernetes", CUBE_KUBERNETES_VERSION);
  cube_mut_set_string (root, "pluginABI", abi);
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  cube_cli_print_value (cube_value_root (value), arguments.output);
  return 0;
}

/* ---- main ---- */

static int
unknown_command (const char *name)
{
  const char *names[CUBE_N_COMMANDS + 1] = { NULL };
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    names[i] = cube_commands[i].name;
  const char *nearest = cube_help_nearest (name, names);
  g_printerr ("cube: unknown command \"%s\"", name);
  if (nearest != NULL)
    g_printerr ("; did you mean cube %s?", nearest);
  g_printerr (" (see cube --help)\n");
  return 2;
}

static const CubeCommand *
find_command (const char *name)
{
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    if (g_str_equal (cube_commands[i].name, name))
      return &cube_commands[i];
  return NULL;
}

static int
help (const char *name)
{
  const CubeCommand *command = name != NULL ? find_command (name) : NULL;
  if (name != NULL && command == NULL)
    return unknown_command (name);
  print_help (command, stdout);
  return 0;
}

int
cube_main (int argc, char **argv, const CubePluginDescriptor *const *builtin)
{
  setlocale (LC_ALL, "");
  if (argc < 2)
    {
      print_help (NULL, stderr);
      return 2;
    }
  if (g_str_equal (argv[1], "help") || g_str_equal (argv[1], "--help") || g_str_equal (argv[1], "-h"))
    return help (argv[2]);
  const CubeCommand *command = find_command (g_str_equal (argv[1], "--version") ? "version" : argv[1]);
  if (command == NULL)
    return unknown_command (argv[1]);
  CubeCommandContext context = { builtin, command };
  return runners[command - cube_commands](argc - 1, argv + 1, &context);
}
