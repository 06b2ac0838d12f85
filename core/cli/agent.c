/* SPDX-License-Identifier: Apache-2.0 */
/* cube agent: a worker node of a server elsewhere. */
#include "cli.h"

/* What is not to be seen in a list of processes, or comes from a unit's EnvironmentFile=. The command line wins. */
static void
take_variable (char **option, const char *name, gboolean is_last_reader)
{
  const char *value = g_getenv (name);
  if (*option == NULL && value != NULL && *value != '\0')
    *option = g_strdup (value);
  if (is_last_reader)
    g_unsetenv (name); /* containerd and its children need not know */
}

static void
take_environment (CubeOptions *options)
{
  take_variable (&options->server, "CUBE_SERVER", options->is_foreground);
  take_variable (&options->ca_hash, "CUBE_CA_HASH", options->is_foreground);
  take_variable (&options->token, "CUBE_TOKEN", options->is_foreground);
}

int
cube_command_agent (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse (argc, argv, context, &arguments, &status))
    return status;
  arguments.options.is_agent = TRUE;
  arguments.options.roles = g_strdup ("node");
  take_environment (&arguments.options);
  if (!cube_cli_complete (context, &arguments, &status))
    return status;
  return cube_cli_start_daemon (argc, argv, &arguments, context);
}
