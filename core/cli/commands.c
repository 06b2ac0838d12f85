/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of commands and options. */
#include "cli.h"

/* A table is read by its columns. */
/* clang-format off */

#define STRING(name, letter, member, arg, complete, text) \
  { name, letter, G_OPTION_ARG_STRING, G_STRUCT_OFFSET (CubeArguments, member), arg, complete, text }
#define PATH(name, letter, member, arg, complete, text) \
  { name, letter, G_OPTION_ARG_FILENAME, G_STRUCT_OFFSET (CubeArguments, member), arg, complete, text }
#define PATHS(name, letter, member, arg, complete, text) \
  { name, letter, G_OPTION_ARG_FILENAME_ARRAY, G_STRUCT_OFFSET (CubeArguments, member), arg, complete, text }
#define INT(name, letter, member, arg, text) \
  { name, letter, G_OPTION_ARG_INT, G_STRUCT_OFFSET (CubeArguments, member), arg, NULL, text }
#define FLAG(name, letter, member, text) \
  { name, letter, G_OPTION_ARG_NONE, G_STRUCT_OFFSET (CubeArguments, member), NULL, NULL, text }
#define END { NULL, 0, 0, 0, NULL, NULL, NULL }

const CubeCommandOption cube_command_help_options[] = { FLAG ("help", 'h', is_help, "Show this help."), END };

static const CubeCommandOption cluster_options[] = {
  PATH ("data-dir", 'd', options.data_dir, "DIR", "DIR",
        "Where the cluster lives; one folder is one cluster (default /var/lib/cube as root, else ~/.local/share/cube)."),
  PATH ("config", 'c', options.config_path, "FILE", "FILE", "Configuration file (YAML). The command line wins over it."), END
};

static const CubeCommandOption output_options[] = {
  STRING ("output", 'o', output, "FORMAT", "json yaml", "Print json or yaml instead of text, for scripts."), END
};

#define LISTEN \
  STRING ("listen", 'l', options.listen, "ADDR:PORT", NULL, \
          "Address of the API (default 0.0.0.0:6443, with the sim runtime 127.0.0.1:6443). Port 0 picks a free one.")
#define ROLES \
  STRING ("roles", 0, options.roles, "LIST", "api controllers scheduler node api,controllers,scheduler api,controllers,scheduler,node", \
          "What runs in this process: api, controllers, scheduler, node, with commas between (default all).")
#define RUNTIME \
  STRING ("runtime", 0, options.runtime, "NAME", "cri sim", \
          "cri: real containers by containerd (default); sim: simulated nodes, without root or any other program.")
#define PLUGIN_DIR \
  PATHS ("plugin-dir", 0, options.plugin_dirs, "PATH", "DIR", "A further plugin folder; may be given several times. DIR/plugins is always one.")

#define SIM_NODES \
  INT ("sim-nodes", 0, options.sim_nodes, "N", "Number of simulated nodes (default 1 with the sim runtime, else 0).")
#define NODE_NAME \
  STRING ("node-name", 0, options.node_name, "NAME", NULL, "Name of this machine's node (default its host name).")
#define FOREGROUND \
  FLAG ("foreground", 'f', options.is_foreground, "Stay in the foreground and log to standard error; for systemd and for debugging.")
#define LOG \
  STRING ("log-level", 0, options.log_level, "LEVEL", "error warning info debug", \
          "What is logged: error, warning, info (default) or debug; each has those before it."), \
  STRING ("log-format", 0, options.log_format, "FORMAT", "text json", "How: text (default), or json, an object a line.")
#define UP_TIMEOUT INT ("timeout", 0, timeout_s, "SECONDS", "How long to wait for readiness (default 120).")

static const CubeCommandOption up_options[] = { LISTEN, ROLES, RUNTIME, SIM_NODES, NODE_NAME, PLUGIN_DIR, FOREGROUND, LOG, UP_TIMEOUT, END };
static const CubeCommandOption agent_options[] = {
  STRING ("server", 's', options.server, "https://ADDR:PORT", NULL, "The server to join."),
  STRING ("token", 't', options.token, "TOKEN", NULL, "A join token of that server; cube token create makes one."),
  STRING ("ca-hash", 0, options.ca_hash, "sha256:HEX", NULL, "Hash of the public key of the server's certificate authority; cube token create prints it."),
  PATH ("kubeconfig", 'k', options.kubeconfig, "FILE", "FILE", "Instead of joining: the server, and who to be there. Simulated nodes need it."),
  RUNTIME,
  SIM_NODES,
  NODE_NAME,
  PLUGIN_DIR,
  FOREGROUND,
  LOG,
  UP_TIMEOUT,
  END
};
static const CubeCommandOption token_options[] = {
  STRING ("ttl", 0, ttl, "TIME", "1h 24h 168h 0", "create: how long the token is good for (default 24h; 0 = for ever)."),
  STRING ("description", 0, description, "TEXT", NULL, "create: what it is for, shown by cube token list."),
  END
};
static const CubeCommandOption doctor_options[] = {
  LISTEN,
  RUNTIME,
  PATH ("kubeconfig", 'k', options.kubeconfig, "FILE", "FILE", "Look as cube agent with this file would: is its server there?"),
  PLUGIN_DIR,
  END
};
static const CubeCommandOption down_options[] = { INT ("timeout", 0, timeout_s, "SECONDS", "How long to wait (default 90)."), END };
static const CubeCommandOption uninstall_options[] = { FLAG ("yes", 'y', is_yes, "Do not ask."), END };
static const CubeCommandOption kubeconfig_options[] = { FLAG ("raw", 0, is_raw, "Print the file itself. It holds a private key."), END };

#define OPTIONS(...) ((const CubeCommandOption *const[]){ __VA_ARGS__, NULL })
#define RUN "Run a cluster"
#define LOOK "Look at it"
#define HELP "When in doubt"
#define UP_STATUS "0\tevery node is ready\n1\tit did not come up, or not in time; the reason and a remedy are on standard error\n2\twrong usage"

const CubeCommand cube_commands[CUBE_N_COMMANDS] = {
  [CUBE_COMMAND_UP] = {
    "up", RUN, "start a cluster on this machine and wait until it is ready",
    "Starts a cluster on this machine: control plane, node and network in one process that goes on in the background. Progress goes to standard "
    "output, the log to DIR/cube.log.\n"
    "On a cluster that runs already it changes nothing and says where it is. When something is missing, cube doctor says what.",
    OPTIONS (up_options, cluster_options),
    "cube up\twith real containers; needs root\n"
    "cube up --runtime sim --sim-nodes 10 --data-dir ~/c --listen 127.0.0.1:0\tten simulated nodes, without root\n"
    "cube up --roles api\tan API server alone, in which nobody else touches an object",
    UP_STATUS },
  [CUBE_COMMAND_SERVER] = {
    "server", RUN, "start the control plane only (API, controllers, scheduler)",
    "The same as cube up --roles api,controllers,scheduler; then it prints the command that other machines join with.", OPTIONS (up_options, cluster_options),
    "cube server --listen 0.0.0.0:6443\ta control plane without a node of its own", UP_STATUS },
  [CUBE_COMMAND_AGENT] = {
    "agent", RUN, "start a worker node of a server elsewhere",
    "Starts a worker node of a server on another machine. The first time it joins: cube token create on the server prints the whole command. It gets a "
    "certificate of its own, kept in DIR/agent.kubeconfig and renewed in time; later starts need no option.\n"
    "The environment may say it too, so that the token is in no list of processes: CUBE_SERVER, CUBE_TOKEN and CUBE_CA_HASH stand for --server, --token and --ca-hash.\n"
    "Progress goes to standard output, the log to DIR/cube.log. While the server is away, pods go on and the agent keeps trying.",
    OPTIONS (agent_options, cluster_options), "cube agent --server https://192.0.2.10:6443 --token TOKEN --ca-hash HASH\tjoin, the node named like this machine\n"
    "cube agent\tlater, on the same machine",
    "0\tthe node is ready\n1\tit did not come up, or not in time; the reason and a remedy are on standard error\n2\twrong usage" },
  [CUBE_COMMAND_TOKEN] = {
    "token", RUN, "create, list or delete join tokens for agents",
    "To be run where the server runs: cube token create, cube token list, cube token delete ID.\n"
    "create prints the command that another machine joins with. Whoever has a token can join a node until its time is over: keep it secret. Tokens are Secrets "
    "kube-system/bootstrap-token-ID, as Kubernetes has them; list does not show their secret part.",
    OPTIONS (token_options, output_options, cluster_options),
    "cube token create\tprint how a machine joins within a day\ncube token create --ttl 1h --description rack-3\twithin an hour\n"
    "cube token delete abcdef\tnobody joins with it any more",
    "0\tdone\n1\tno server runs there, or it refused; standard error says why\n2\twrong usage" },
  [CUBE_COMMAND_DOWN] = {
    "down", RUN, "end everything `up` started",
    "Ends pods, network, containerd and the daemon, also when the daemon was killed. The data stays: cube up brings the same cluster back.",
    OPTIONS (down_options, cluster_options), "cube down\tend the default cluster\ncube down --data-dir ~/c\tend that one",
    "0\tnothing of it runs any more\n1\tit did not end in time\n2\twrong usage" },
  [CUBE_COMMAND_UNINSTALL] = {
    "uninstall", RUN, "end the cluster and remove everything it left on this machine",
    "Does what cube down does, then removes the data directory with everything in it, the cluster's link, packet rules and mounts. Other clusters are "
    "not touched. There is no way back.",
    OPTIONS (uninstall_options, cluster_options), "cube uninstall\task, then remove the default cluster\ncube uninstall --yes --data-dir ~/c\tremove that one",
    "0\tnothing is left\n1\tsomething could not be removed; standard error names it\n2\twrong usage, or the answer was not yes" },
  [CUBE_COMMAND_STATUS] = {
    "status", LOOK, "say what runs, where, and how it is",
    "Asks the running cluster for its process, server address, kubeconfig, roles, versions, plugins, and what it still waits for.",
    OPTIONS (output_options, cluster_options), "cube status\tfor people\ncube status -o json | jq -r .server\tfor scripts",
    "0\tthe cluster is ready\n1\tit is not ready, or does not run\n2\twrong usage" },
  [CUBE_COMMAND_PLUGINS] = {
    "plugins", LOOK, "list the plugins: from where, which interfaces, health, time spent",
    "Lists the plugins of the running cluster, those that were refused with the reason.", OPTIONS (output_options, cluster_options),
    "cube plugins\ta line each\ncube plugins -o json\twith path, license and description", "0\tlisted\n1\tno cluster runs there\n2\twrong usage" },
  [CUBE_COMMAND_KUBECONFIG] = {
    "kubeconfig", LOOK, "print the path of the kubeconfig file, or the file",
    "Prints the path of the one file every client needs: server, certificate authority, the administrator's certificate and key.",
    OPTIONS (kubeconfig_options, cluster_options),
    "export KUBECONFIG=$(cube kubeconfig)\tmake it the file of this shell\ncube kubeconfig --raw > there\tto take it elsewhere",
    "0\tprinted\n1\tthere is none yet\n2\twrong usage" },
  [CUBE_COMMAND_DOCTOR] = {
    "doctor", HELP, "check this machine and cluster, and say what to do",
    "Looks at everything cube up will need: kernel, rights, cgroups, ports, clock, disk, memory, containerd, CNI plugins, plugins, configuration; and at the cluster "
    "under the data directory. Features of the kernel are tried, in namespaces that end with the trial; the disk's speed is measured in the data directory. "
    "Nothing is changed.\n"
    "One line a check: ok, warning (it works, but), or problem (cube up would fail), and under the last two a remedy.",
    OPTIONS (doctor_options, output_options, cluster_options),
    "cube doctor\tis this machine ready for real containers?\n"
    "cube doctor --runtime sim\tfor simulated nodes?\n"
    "cube doctor --kubeconfig node.kubeconfig\tfor a worker node of that server?\n"
    "cube doctor -o json\tfor scripts",
    "0\tcube up can be expected to work\n1\tthere is a problem\n2\twrong usage" },
  [CUBE_COMMAND_VERSION] = {
    "version", HELP, "print the version", "Prints the version of Cube, of the Kubernetes API it speaks, and of its plugin ABI.",
    OPTIONS (output_options), "cube version -o json\tfor scripts", "0\tprinted\n2\twrong usage" },
};

/* clang-format on */

const CubeCommandOption *
cube_command_next_option (const CubeCommand *command, guint *position)
{
  guint n = (*position)++;
  for (guint list = 0; command->options[list] != NULL; list++)
    for (const CubeCommandOption *option = command->options[list]; option->name != NULL; option++)
      if (n-- == 0)
        return option;
  return n == 0 ? cube_command_help_options : NULL;
}
