/* SPDX-License-Identifier: Apache-2.0 */
/* A program of the build: writes the manual page and the shells' completion from the table of commands, so that they say what --help says.
 *   cube-document man|bash|zsh|fish */
#include "cli.h"
#include <stdio.h>
#include <string.h>
#include <config.h>

/* ---- the manual page ---- */

/* @text with what roff would take for its own made plain. */
static void
roff (const char *text)
{
  if (*text == '.')
    fputs ("\\&", stdout);
  for (; *text != '\0'; text++)
    switch (*text)
      {
      case '\\': fputs ("\\e", stdout); break;
      case '-': fputs ("\\-", stdout); break;
      case '~': fputs ("\\(ti", stdout); break;
      case '\'': fputs ("\\(aq", stdout); break;
      case '`': fputs ("\\(ga", stdout); break;
      case '\n': fputs ("\n.PP\n", stdout); break;
      default: putchar (*text);
      }
}

static void
roff_line (const char *macro, const char *text)
{
  printf ("%s\n", macro);
  roff (text);
  putchar ('\n');
}

static void
man_option (const CubeCommandOption *option)
{
  printf (".TP\n\\fB");
  if (option->letter != 0)
    printf ("\\-%c\\fR, \\fB", option->letter);
  printf ("\\-\\-");
  roff (option->name);
  printf ("\\fR");
  if (option->arg_name != NULL)
    printf (" \\fI%s\\fR", option->arg_name);
  putchar ('\n');
  roff (option->description);
  putchar ('\n');
}

/* Lines "term\tmeaning" as a list. */
static void
man_pairs (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) parts = g_strsplit (lines[i], "\t", 2);
      printf (".TP\n\\fB");
      roff (parts[0]);
      printf ("\\fR\n");
      roff (parts[1]);
      putchar ('\n');
    }
}

static void
man_command (const CubeCommand *command)
{
  const CubeCommandOption *option;
  guint position = 0;
  printf (".SS cube %s [\\fIOPTION\\fR...]\n", command->name);
  roff (command->description);
  putchar ('\n');
  while ((option = cube_command_next_option (command, &position)) != NULL)
    man_option (option);
  roff_line (".PP", "Exit status:");
  man_pairs (command->status);
  roff_line (".PP", "Examples:");
  man_pairs (command->examples);
}

static void
man_configuration (void)
{
  g_auto (GStrv) lines = g_strsplit (cube_config_keys, "\n", -1);
  roff_line (".SH CONFIGURATION",
             "A YAML file, given with --config. An unknown key or a wrong type is refused with its name. The command line wins over it.");
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], " ", 4);
      printf (".TP\n\\fB%s\\fR (%s", words[0], words[1]);
      if (!g_str_equal (words[2], "-"))
        {
          printf (", default ");
          roff (words[2]);
        }
      printf (")\n");
      roff (words[3]);
      putchar ('\n');
    }
}

static void
man (void)
{
  static const char files[] = "DIR/admin.kubeconfig\tthe administrator's kubeconfig file, mode 0600\n"
                              "DIR/pki/\tthe certificate authority and the key that signs tokens\n"
                              "DIR/store/\tthe database\n"
                              "DIR/plugins/\ta folder for plugins of your own, watched while Cube runs\n"
                              "DIR/containerd/\tthe container runtime's configuration, log, images and state\n"
                              "DIR/cube.log\tthe log\n"
                              "DIR/cube.sock, DIR/cube.lock, DIR/cube.state\tcontrol socket, lock, what up was started with\n"
                              "cube.service, cube-agent.service\tsystemd units of cube up and cube agent\n"
                              "/etc/default/cube\tenvironment of the first; CUBE_OPTIONS holds further options\n"
                              "/etc/default/cube-agent\tof the second, mode 0600: CUBE_SERVER, CUBE_TOKEN, CUBE_CA_HASH, CUBE_OPTIONS";
  static const char variables[] = "CUBE_SERVER\tcube agent: the server to join, as --server\n"
                                  "CUBE_TOKEN\tcube agent: the join token, as --token\n"
                                  "CUBE_CA_HASH\tcube agent: the hash of the server's authority, as --ca-hash";
  printf (".\\\" made from the table of commands: core/cli/commands.c\n.TH CUBE 1 \"\" \"cube %s\" \"User Commands\"\n", CUBE_VERSION);
  printf (".SH NAME\ncube \\- Kubernetes as one small program and its plugins\n");
  printf (".SH SYNOPSIS\n\\fBcube\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR...]\n");
  roff_line (
      ".SH DESCRIPTION",
      "Cube runs a Kubernetes cluster on this machine: a core that holds objects and tells everyone about changes, and plugins (shared objects) that do "
      "everything else. kubectl, Helm and client libraries work with it unchanged.");
  roff_line (".PP", "A first step:");
  printf (".PP\n.nf\ncube doctor\ncube up\nexport KUBECONFIG=$(cube kubeconfig)\nkubectl get nodes\n.fi\n.SH COMMANDS\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    man_command (&cube_commands[i]);
  man_configuration ();
  roff_line (".SH ENVIRONMENT", "The command line wins over it.");
  man_pairs (variables);
  roff_line (".SH FILES", "DIR is the data directory: /var/lib/cube as root, else ~/.local/share/cube.");
  man_pairs (files);
  printf (".SH SEE ALSO\n\\fBkubectl\\fR(1), \\fBcontainerd\\fR(8), \\fBnft\\fR(8)\n");
}

/* ---- completion ---- */

/* @text within single quotes of bash and fish. */
static void
quoted (const char *text)
{
  putchar ('\'');
  for (; *text != '\0'; text++)
    if (*text == '\'')
      fputs ("'\\''", stdout);
    else
      putchar (*text);
  putchar ('\'');
}

/* The first sentence, without its end. (transfer full) */
static char *
short_description (const CubeCommandOption *option)
{
  const char *end = strstr (option->description, ". ");
  char *text = end != NULL ? g_strndup (option->description, (gsize) (end - option->description)) : g_strdup (option->description);
  if (g_str_has_suffix (text, "."))
    text[strlen (text) - 1] = '\0';
  return text;
}

static void
bash_value (const CubeCommand *command, const CubeCommandOption *option)
{
  if (option->arg_name == NULL)
    return;
  printf ("    %s:--%s", command->name, option->name);
  if (option->letter != 0)
    printf (" | %s:-%c", command->name, option->letter);
  if (option->complete == NULL)
    printf (") return ;;\n");
  else if (g_str_equal (option->complete, "DIR") || g_str_equal (option->complete, "FILE"))
    printf (") compopt -o filenames; mapfile -t COMPREPLY < <(compgen -%c -- \"$current\"); return ;;\n",
            g_str_equal (option->complete, "DIR") ? 'd' : 'f');
  else
    printf (") mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$current\"); return ;;\n", option->complete);
}

static void
bash (void)
{
  const CubeCommandOption *option;
  printf ("# bash completion of cube, made from its table of commands\n_cube ()\n{\n"
          "  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words=\n  COMPREPLY=()\n"
          "  if [ \"$COMP_CWORD\" = 1 ]; then\n    mapfile -t COMPREPLY < <(compgen -W 'help --help --version");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    printf (" %s", cube_commands[i].name);
  printf ("' -- \"$current\")\n    return\n  fi\n"
          "  # --option=value comes as three words\n"
          "  if [ \"$current\" = = ]; then current=; elif [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
          "  case $command:$before in\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    for (guint position = 0; (option = cube_command_next_option (&cube_commands[i], &position)) != NULL;)
      bash_value (&cube_commands[i], option);
  printf ("  esac\n  case $command in\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    {
      printf ("    %s) words='", cube_commands[i].name);
      for (guint position = 0; (option = cube_command_next_option (&cube_commands[i], &position)) != NULL;)
        printf ("%s--%s", position > 1 ? " " : "", option->name);
      printf ("' ;;\n");
    }
  printf ("    help) words='");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    printf ("%s%s", i > 0 ? " " : "", cube_commands[i].name);
  printf ("' ;;\n  esac\n  mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n}\ncomplete -F _cube cube\n");
}

/* @text where a quote, a colon or a bracket would end something. */
static void
zsh_text (const char *text)
{
  for (; *text != '\0'; text++)
    if (*text == '\'')
      fputs ("'\\''", stdout);
    else
      {
        if (strchr (":[]\\", *text) != NULL)
          putchar ('\\');
        putchar (*text);
      }
}

static void
zsh_option (const CubeCommandOption *option)
{
  g_autofree char *text = short_description (option);
  gboolean is_many = option->type == G_OPTION_ARG_FILENAME_ARRAY;
  const char *value = option->arg_name != NULL ? "=" : "";
  printf (" \\\n        ");
  if (option->letter != 0)
    printf ("'(-%c --%s)'{-%c%s,--%s%s}'", option->letter, option->name, option->letter, option->arg_name != NULL ? "+" : "", option->name,
            value);
  else
    printf ("'%s--%s%s", is_many ? "*" : "", option->name, value);
  putchar ('[');
  zsh_text (text);
  putchar (']');
  if (option->arg_name != NULL)
    {
      putchar (':');
      zsh_text (option->arg_name);
      putchar (':');
    }
  if (option->complete != NULL && g_str_equal (option->complete, "DIR"))
    printf ("_files -/");
  else if (option->complete != NULL && g_str_equal (option->complete, "FILE"))
    printf ("_files");
  else if (option->complete != NULL)
    printf ("(%s)", option->complete);
  putchar ('\'');
}

static void
zsh (void)
{
  const CubeCommandOption *option;
  printf (
      "#compdef cube\n# zsh completion of cube, made from its table of commands\n_cube () {\n  local command\n  local -a commands\n  commands=(\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    {
      printf ("    '%s:", cube_commands[i].name);
      zsh_text (cube_commands[i].summary);
      printf ("'\n");
    }
  printf (
      "  )\n  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n  command=$words[2]\n  shift words\n  (( CURRENT-- ))\n"
      "  case $command in\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    {
      printf ("    %s)\n      _arguments", cube_commands[i].name);
      for (guint position = 0; (option = cube_command_next_option (&cube_commands[i], &position)) != NULL;)
        zsh_option (option);
      printf (" ;;\n");
    }
  printf ("    help) _describe command commands ;;\n  esac\n}\n_cube \"$@\"\n");
}

static void
fish_option (const CubeCommand *command, const CubeCommandOption *option)
{
  g_autofree char *text = short_description (option);
  printf ("complete -c cube -n '__fish_seen_subcommand_from %s'", command->name);
  if (option->letter != 0)
    printf (" -s %c", option->letter);
  printf (" -l %s", option->name);
  if (option->arg_name != NULL && option->complete != NULL && g_str_equal (option->complete, "DIR"))
    printf (" -x -a '(__fish_complete_directories)'");
  else if (option->arg_name != NULL && option->complete != NULL && g_str_equal (option->complete, "FILE"))
    printf (" -r -F");
  else if (option->arg_name != NULL)
    {
      printf (" -x");
      if (option->complete != NULL)
        printf (" -a '%s'", option->complete);
    }
  printf (" -d ");
  quoted (text);
  putchar ('\n');
}

static void
fish (void)
{
  const CubeCommandOption *option;
  printf ("# fish completion of cube, made from its table of commands\ncomplete -c cube -f\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    {
      printf ("complete -c cube -n __fish_use_subcommand -a %s -d ", cube_commands[i].name);
      quoted (cube_commands[i].summary);
      putchar ('\n');
      for (guint position = 0; (option = cube_command_next_option (&cube_commands[i], &position)) != NULL;)
        fish_option (&cube_commands[i], option);
    }
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    void (*write) (void);
  } documents[] = { { "man", man }, { "bash", bash }, { "zsh", zsh }, { "fish", fish } };
  for (guint i = 0; argc == 2 && i < G_N_ELEMENTS (documents); i++)
    if (g_str_equal (argv[1], documents[i].name))
      {
        documents[i].write ();
        return fflush (stdout) == 0 ? 0 : 1;
      }
  g_printerr ("Usage: cube-document man|bash|zsh|fish\n");
  return 2;
}
