/* SPDX-License-Identifier: Apache-2.0 */
/* cube agent: a worker node of a server elsewhere. */
#include "cli.h"

static const char agent_description[] =
    "Starts a worker node: its objects are those of the server the kubeconfig file names; its pods run here. Progress goes to standard output;\n"
    "the log to DIR/cube.log. Returns 0 once the node is Ready. While the server is away, pods go on and the agent keeps trying.\n\n"
    "Examples:\n  cube agent --kubeconfig node.kubeconfig\n";

int
cube_command_agent (int argc, char **argv, const CubeCommandContext *context)
{
  CubeOptions options;
  cube_options_init (&options);
  gint timeout_s = 120;
  int status;
  const GOptionEntry entries[] = {
    { "kubeconfig", 'k', 0, G_OPTION_ARG_FILENAME, &options.kubeconfig, "The server and who to be there", "FILE" },
    { "runtime", 0, 0, G_OPTION_ARG_STRING, &options.runtime,
      "cri: real containers by containerd (default); sim: simulated nodes, no root needed", "NAME" },
    { "sim-nodes", 0, 0, G_OPTION_ARG_INT, &options.sim_nodes, "Simulated nodes (default 1 with --runtime sim, else 0)", "N" },
    { "node-name", 0, 0, G_OPTION_ARG_STRING, &options.node_name, "Name of this machine's node (default its host name)", "NAME" },
    { "plugin-dir", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.plugin_dirs,
      "A further plugin folder (may be repeated; DIR/plugins is always one)", "PATH" },
    { "foreground", 'f', 0, G_OPTION_ARG_NONE, &options.is_foreground, "Stay in the foreground, log to standard error", NULL },
    { "timeout", 0, 0, G_OPTION_ARG_INT, &timeout_s, "How long to wait for readiness (default 120)", "SECONDS" },
    { NULL }
  };
  g_auto (GStrv) original = g_new0 (char *, (gsize) argc + 1);
  for (int i = 0; i < argc; i++)
    original[i] = g_strdup (argv[i]);
  int original_argc = argc;
  options.is_agent = TRUE;
  options.roles = g_strdup ("node");
  if (cube_cli_parse (&argc, &argv, context->name, "start a worker node of a server elsewhere", agent_description, entries, &options,
                      &status))
    status = options.is_foreground ? cube_daemon_run (&options, context->builtin)
                                   : cube_cli_start_daemon (original_argc, original, &options, timeout_s);
  cube_options_clear (&options);
  return status;
}
