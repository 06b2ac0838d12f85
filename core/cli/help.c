/* SPDX-License-Identifier: Apache-2.0 */
/* What --help prints, and what a misspelt word was meant to be. */
#include "cli.h"
#include <string.h>

#define WIDTH 80
#define MAX_WORD 64

void
cube_help_wrap (GString *out, const char *text, guint indent, guint width)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  guint column = indent;
  for (guint i = 0; words[i] != NULL; i++)
    {
      guint length = (guint) g_utf8_strlen (words[i], -1);
      if (i > 0 && column + 1 + length > width)
        {
          g_string_append_printf (out, "\n%*s", (int) indent, "");
          column = indent;
        }
      else if (i > 0)
        {
          g_string_append_c (out, ' ');
          column++;
        }
      g_string_append (out, words[i]);
      column += length;
    }
  g_string_append_c (out, '\n');
}

static void
append_options (GString *out, const CubeCommand *command)
{
  guint position = 0;
  const CubeCommandOption *option;
  g_string_append (out, "\nOptions:\n");
  while ((option = cube_command_next_option (command, &position)) != NULL)
    {
      g_string_append (out, "  ");
      if (option->letter != 0)
        g_string_append_printf (out, "-%c, ", option->letter);
      g_string_append_printf (out, "--%s", option->name);
      if (option->arg_name != NULL)
        g_string_append_printf (out, " %s", option->arg_name);
      g_string_append_printf (out, "\n%8s", "");
      cube_help_wrap (out, option->description, 8, WIDTH);
    }
}

static void
append_examples (GString *out, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_string_append (out, "\nExamples:\n");
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) parts = g_strsplit (lines[i], "\t", 2);
      g_string_append_printf (out, "  %s\n        %s\n", parts[0], parts[1]);
    }
}

static void
append_status (GString *out, const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_string_append (out, "\nExit status:\n");
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) parts = g_strsplit (lines[i], "\t", 2);
      g_string_append_printf (out, "  %s  ", parts[0]);
      cube_help_wrap (out, parts[1], 5, WIDTH);
    }
}

void
cube_help_command (GString *out, const CubeCommand *command)
{
  g_auto (GStrv) paragraphs = g_strsplit (command->description, "\n", -1);
  g_string_append_printf (out, "Usage: cube %s [OPTION…]\n\ncube %s: ", command->name, command->name);
  cube_help_wrap (out, command->summary, 0, WIDTH);
  for (guint i = 0; paragraphs[i] != NULL; i++)
    {
      g_string_append_c (out, '\n');
      cube_help_wrap (out, paragraphs[i], 0, WIDTH);
    }
  append_options (out, command);
  append_examples (out, command->examples);
  append_status (out, command->status);
}

void
cube_help_overview (GString *out)
{
  g_string_append (out, "Usage: cube COMMAND [OPTION…]\n\nKubernetes as one small program and its plugins.\n");
  for (guint i = 0; i < CUBE_N_COMMANDS; i++)
    {
      if (i == 0 || !g_str_equal (cube_commands[i].group, cube_commands[i - 1].group))
        g_string_append_printf (out, "\n%s:\n", cube_commands[i].group);
      g_string_append_printf (out, "  %-11s ", cube_commands[i].name);
      cube_help_wrap (out, cube_commands[i].summary, 14, WIDTH);
    }
  g_string_append (out, "\nFirst steps:\n  cube doctor\n  cube up\n  export KUBECONFIG=$(cube kubeconfig)\n  kubectl get nodes\n"
                        "\ncube COMMAND --help says more, so does the manual page cube(1).\n");
}

/* Levenshtein's distance of words shorter than MAX_WORD. */
static guint
distance (const char *a, const char *b)
{
  guint row[MAX_WORD + 1];
  gsize n = strlen (b);
  for (guint j = 0; j <= n; j++)
    row[j] = j;
  for (guint i = 1; a[i - 1] != '\0'; i++)
    {
      guint diagonal = row[0];
      row[0] = i;
      for (guint j = 1; j <= n; j++)
        {
          guint here = MIN (diagonal + (a[i - 1] != b[j - 1]), MIN (row[j], row[j - 1]) + 1);
          diagonal = row[j];
          row[j] = here;
        }
    }
  return row[n];
}

const char *
cube_help_nearest (const char *word, const char *const *words)
{
  const char *best = NULL;
  gsize length = strlen (word);
  guint least = 1 + (guint) length / 3;
  if (length < 2 || length > MAX_WORD)
    return NULL;
  for (; *words != NULL; words++)
    {
      guint d = strlen (*words) > MAX_WORD ? G_MAXUINT : g_str_has_prefix (*words, word) ? 1 : distance (word, *words);
      if (d > least || (d == least && best != NULL))
        continue;
      best = *words;
      least = d;
    }
  return best;
}
