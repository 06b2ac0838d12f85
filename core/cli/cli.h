/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the commands of `cube`. Each takes what follows its name and returns the exit status: 0 fine, 1 failed, 2 wrong usage. */
#include <daemon/daemon.h>

CUBE_EXPORT int cube_main (int argc, char **argv, const CubePluginDescriptor *const *builtin);

/* ---- the table of commands: parsing, --help, the man page and the shells' completion are made of it ---- */
typedef enum {
  CUBE_COMMAND_UP,
  CUBE_COMMAND_SERVER,
  CUBE_COMMAND_AGENT,
  CUBE_COMMAND_TOKEN,
  CUBE_COMMAND_DOWN,
  CUBE_COMMAND_UNINSTALL,
  CUBE_COMMAND_STATUS,
  CUBE_COMMAND_PLUGINS,
  CUBE_COMMAND_KUBECONFIG,
  CUBE_COMMAND_DOCTOR,
  CUBE_COMMAND_VERSION,
  CUBE_N_COMMANDS
} CubeCommandId;

/* What options set, of every command. */
typedef struct {
  CubeOptions options;
  char *ttl, *description; /* of a join token */
  char *output;     /* NULL, "json" or "yaml" */
  gint timeout_s;   /* -1 = the command's default */
  gboolean is_raw, is_yes, is_help;
} CubeArguments;

typedef struct {
  const char *name;        /* NULL ends a list */
  char letter;             /* 0 = none */
  GOptionArg type;
  gsize offset;            /* into CubeArguments */
  const char *arg_name;    /* NULL for G_OPTION_ARG_NONE */
  const char *complete;    /* its possible values, with spaces between; "DIR" or "FILE"; NULL = anything */
  const char *description; /* a sentence or two */
} CubeCommandOption;

typedef struct {
  const char *name, *group;
  const char *summary;     /* half a sentence */
  const char *description; /* paragraphs, each one line of text */
  const CubeCommandOption *const *options; /* lists, ends with NULL */
  const char *examples;    /* lines "command\tsaying what" */
  const char *status;      /* lines "0\tmeaning" */
} CubeCommand;

extern const CubeCommand cube_commands[CUBE_N_COMMANDS];
extern const CubeCommandOption cube_command_help_options[]; /* --help, which every command has */
/* Every option of @command in turn, --help last. @position starts at 0; NULL at the end. */
const CubeCommandOption *cube_command_next_option (const CubeCommand *command, guint *position);

typedef struct {
  const CubePluginDescriptor *const *builtin;
  const CubeCommand *command;
} CubeCommandContext;

int cube_command_up (int argc, char **argv, const CubeCommandContext *context);   /* also server */
int cube_command_agent (int argc, char **argv, const CubeCommandContext *context);
int cube_command_token (int argc, char **argv, const CubeCommandContext *context);
int cube_command_down (int argc, char **argv, const CubeCommandContext *context);
int cube_command_uninstall (int argc, char **argv, const CubeCommandContext *context);
int cube_command_status (int argc, char **argv, const CubeCommandContext *context);
int cube_command_plugins (int argc, char **argv, const CubeCommandContext *context);
int cube_command_kubeconfig (int argc, char **argv, const CubeCommandContext *context);
int cube_command_doctor (int argc, char **argv, const CubeCommandContext *context);
int cube_command_version (int argc, char **argv, const CubeCommandContext *context);

/* ---- what the commands share ---- */
void cube_arguments_clear (CubeArguments *arguments);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CubeArguments, cube_arguments_clear)
/* Parses the command's options into @arguments (zeroed by it). FALSE: an answer was printed, *ret_status is the exit status. */
gboolean cube_cli_parse (int argc, char **argv, const CubeCommandContext *context, CubeArguments *arguments, int *ret_status);
/* Reads the configuration and fills the defaults. */
gboolean cube_cli_complete (const CubeCommandContext *context, CubeArguments *arguments, int *ret_status);
/* Both in turn. */
gboolean cube_cli_parse_complete (int argc, char **argv, const CubeCommandContext *context, CubeArguments *arguments, int *ret_status);
/* `cube ARGV` in the foreground when it says so; else, unless it runs already, ARGV --foreground in the background: waits until it is ready and says so.
 * Returns the exit status. */
int cube_cli_start_daemon (int argc, char **argv, const CubeArguments *arguments, const CubeCommandContext *context);
/* Makes a join token and prints how another machine joins with it. FALSE: standard error says why not. */
gboolean cube_cli_print_join (const char *data_dir, gint64 ttl_seconds, const char *description, const char *output);
gboolean cube_cli_is_terminal (void);
/* Prints @text with control bytes escaped. */
void cube_cli_print_safe (const char *text);
void cube_cli_print_value (CubeView view, const char *output); /* "json" or "yaml" */

/* ---- help.c ---- */
void cube_help_overview (GString *out);
void cube_help_command (GString *out, const CubeCommand *command);
/* Appends @text at most @width columns wide, every line but the first after @indent spaces; ends with a line end. */
void cube_help_wrap (GString *out, const char *text, guint indent, guint width);
/* The one of @words (NULL-terminated) that @word was probably meant to be, or NULL. */
const char *cube_help_nearest (const char *word, const char *const *words);
