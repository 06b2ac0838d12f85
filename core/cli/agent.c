/* SPDX-License-Identifier: Apache-2.0 */
/* cube agent: a worker node of a server elsewhere. */
#include "cli.h"

int
cube_command_agent (int argc, char **argv, const CubeCommandContext *context)
{
  g_auto (CubeArguments) arguments;
  int status;
  if (!cube_cli_parse (argc, argv, context, &arguments, &status))
    return status;
  arguments.options.is_agent = TRUE;
  arguments.options.roles = g_strdup ("node");
  if (!cube_cli_complete (context, &arguments, &status))
    return status;
  return cube_cli_start_daemon (argc, argv, &arguments, context);
}
