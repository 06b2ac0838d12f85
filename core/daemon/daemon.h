/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the process that `cube up` runs, and what the command line and it share. */
#include <context/context.h>
#include <plugin/registry.h>

#define CUBE_KUBERNETES_VERSION "v1.36" /* whose API is spoken */

/* What the command line and the configuration file say; everything owned. */
typedef struct {
  char *data_dir;          /* absolute */
  char *listen;            /* ADDR:PORT */
  char *roles;             /* comma-separated */
  char *runtime;           /* "cri" or "sim" */
  char *node_name;
  char *config_path;       /* NULL = none */
  char **plugin_dirs;      /* beside the built ones; NULL-terminated */
  gint sim_nodes;          /* -1 = by runtime */
  gboolean is_agent;       /* `cube agent`: no store of its own, the objects are a server's */
  char *kubeconfig;        /* agent: (nullable) how to reach the server and who to be there */
  char *server, *token, *ca_hash; /* agent: (nullable) the server to join, once; https://ADDR:PORT, ID.SECRET, sha256:HEX */
  char *log_level, *log_format; /* names; log.h */
  gboolean is_foreground;
  gboolean is_teardown;    /* `cube down` without a living daemon: attach, clean up, end */
  CubeValue *config;       /* the file, parsed and checked; NULL = none */
} CubeOptions;

extern const char cube_config_keys[]; /* the configuration's schema, as a plugin's config_schema */
void cube_options_init (CubeOptions *options);
void cube_options_clear (CubeOptions *options);
/* Reads options->config_path, checks every key, and fills what the command line left unset; then the defaults. Errors name file and key. */
gboolean cube_options_complete (CubeOptions *options, GError **error);
/* Splits ADDR:PORT ("[::1]:6443", ":0", "127.0.0.1:6443"). */
gboolean cube_options_split_listen (const char *listen, char **ret_address, guint16 *ret_port, GError **error);

/* Every folder plugins come from, the data directory's own last; they need not exist. (transfer full) (element-type filename) */
GPtrArray *cube_options_plugin_dirs (const CubeOptions *options);
/* Loads every plugin of these folders and the built-in ones, as the configuration says. */
CubePlugins *cube_options_load_plugins (const CubeOptions *options, CubeProcess *process, CubeRegistry *registry,
                                        const CubePluginDescriptor *const *builtin);
const char *cube_options_storage_plugin (const CubeOptions *options);
char *cube_options_storage_location (const CubeOptions *options); /* (transfer full) */

/* Whether the addresses, ranges and names of the configuration can be used; errors name @where and the key. */
gboolean cube_options_check_values (CubeView config, const char *where, GError **error);

/* <data-dir>/cube.state (JSON, 0600): what the last `up` ran with. Reading replaces what @options says, except its data_dir and a config it has.
 * G_FILE_ERROR_NOENT when there is none. */
gboolean cube_state_write (const CubeOptions *options, GError **error);
gboolean cube_state_read (CubeOptions *options, GError **error);

/* Runs until SIGTERM, SIGINT or `down`. Returns the exit status. */
int cube_daemon_run (const CubeOptions *options, const CubePluginDescriptor *const *builtin);

/* ---- the control socket: <data-dir>/cube.sock, one JSON request and answer a connection ---- */
typedef CubeValue *(*CubeControlFunc) (const char *op, CubeView request, gpointer data); /* (transfer full); main loop */
typedef struct _CubeControl CubeControl;
CubeControl *cube_control_listen (const char *data_dir, CubeControlFunc func, gpointer data, GError **error);
void cube_control_free (CubeControl *control); /* removes the socket */
/* Asks a running daemon. G_IO_ERROR_CONNECTION_REFUSED or NOT_FOUND when there is none. (transfer full) */
CubeValue *cube_control_call (const char *data_dir, const char *op, GError **error);
/* The same with more than an operation: @request is an object with "op". */
CubeValue *cube_control_ask (const char *data_dir, const CubeValue *request, GError **error);

/* ---- pieces of the daemon ---- */
/* The address packets to @remote (in digits) leave with; nothing is sent. NULL: there is no way. (transfer full) */
char *cube_local_address (const char *remote);
/* kube-public/cluster-info; @server is its address when no other is advertised. */
gboolean cube_bootstrap_cluster_info (CubeContext *context, const char *server, GError **error);
/* Where other machines reach this server. NULL: nowhere. (transfer full) */
char *cube_join_server (CubeContext *context);
char *cube_authority_pem (CubeContext *context, GError **error); /* (transfer full) */
/* Answers "token-create", "token-list", "token-delete"; NULL for other operations. (transfer full) */
CubeValue *cube_tokens_answer (CubeContext *context, const char *op, CubeView request);
/* An agent's client of its server (joined first, when it has to be): *ret_kubeconfig is the file that says where it is and who we are. FALSE names what is missing.
 * TRUE without a client: torn down before it ever joined. */
gboolean cube_agent_connect (CubeContext *context, const CubeOptions *options, CubeClient **ret_client, char **ret_kubeconfig, char **ret_server,
                             GError **error);
/* Keeps the certificate an agent got by joining new. NULL: it has a file of somebody else's. Main loop. */
typedef struct _CubeRenewal CubeRenewal;
CubeRenewal *cube_renewal_start (CubeContext *context, CubeClient *client, const CubeOptions *options, const char *path);
void cube_renewal_stop (CubeRenewal *renewal);
/* The nodes this agent answers for, as the server has them. (transfer full) */
CubeInformer *cube_agent_watch_nodes (CubeContext *context, CubeClient *client, const CubeOptions *options);
/* Writes <data-dir>/admin.kubeconfig (0600) for @server; a current one is left as it is. (transfer full) path */
char *cube_kubeconfig_write (CubeContext *context, const char *server, GError **error);
/* Looks every few seconds whether a burst of requests left memory behind, and gives it back to the system. Free it when no worker runs any more. */
typedef struct _CubeMemoryWatch CubeMemoryWatch;
CubeMemoryWatch *cube_memory_watch_new (CubeContext *context);
void cube_memory_watch_free (CubeMemoryWatch *watch);
/* The namespaces every cluster has. */
gboolean cube_bootstrap_namespaces (CubeContext *context, GError **error);
