/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cube.runtime.Runtime: a container runtime in CRI's vocabulary. Every op may block (called on blocking workers, several at once) and honours
 * @cancellable where it has one. All strings UTF-8. Returned structs are freed by the matching cube_*_free. Errors: CUBE_ERROR codes: NOT_FOUND (no such
 * sandbox/container/image), SERVICE_UNAVAILABLE (runtime not reachable), TIMEOUT, INTERNAL, ALREADY_EXISTS. Source: CRI runtime.v1. */
#include <cube/stream.h>
#include <gio/gio.h>
CUBE_BEGIN_DECLS
#define CUBE_RUNTIME "cube.runtime.Runtime"
#define CUBE_RUNTIME_VERSION 1

typedef struct { const char *key, *value; } CubePair; /* arrays end with key == NULL */

typedef enum { CUBE_NAMESPACE_POD = 0, CUBE_NAMESPACE_CONTAINER = 1, CUBE_NAMESPACE_NODE = 2, CUBE_NAMESPACE_TARGET = 3 } CubeNamespaceMode; /* CRI's numbers */

typedef struct {
  gboolean has_run_as_user, has_run_as_group, has_privileged_set;
  gint64 run_as_user, run_as_group;
  const char *run_as_username;
  const gint64 *supplemental_groups; guint n_supplemental_groups;
  gboolean is_privileged, is_readonly_rootfs, no_new_privs;
  const char *const *add_capabilities, *const *drop_capabilities; /* NULL-terminated; nullable */
  const char *seccomp_profile;    /* "RuntimeDefault", "Unconfined", "localhost/<path>"; NULL = RuntimeDefault */
  const char *apparmor_profile;
  const char *selinux_user, *selinux_role, *selinux_type, *selinux_level;
  CubeNamespaceMode network, pid, ipc; const char *target_id;
  const char *const *masked_paths, *const *readonly_paths;
} CubeSecurityContext;

typedef struct {
  gint64 cpu_period, cpu_quota, cpu_shares, memory_limit_bytes, oom_score_adj; /* 0 = unset (quota 0 = no limit) */
  const char *cpuset_cpus, *cpuset_mems;
  const CubePair *unified;
} CubeLinuxResources;

typedef struct {
  const char *name, *uid, *ns; guint32 attempt;      /* pod metadata */
  const char *hostname, *log_directory, *runtime_handler, *cgroup_parent;
  const char *const *dns_servers, *const *dns_searches, *const *dns_options;
  struct { gint32 protocol /* 0 TCP 1 UDP 2 SCTP */, container_port, host_port; const char *host_ip; } *ports; guint n_ports;
  const CubePair *labels, *annotations, *sysctls;
  CubeSecurityContext security;
  CubeLinuxResources overhead, resources;
} CubeSandboxConfig;

typedef struct { const char *container_path, *host_path; gboolean is_readonly, selinux_relabel; gint32 propagation /* 0 private 1 host-to-container 2 bidirectional */; } CubeMount;
typedef struct { const char *container_path, *host_path, *permissions; } CubeDevice;

typedef struct {
  const char *name; guint32 attempt;
  const char *image;              /* the image's ref as resolved by the runtime (image id) */
  const char *user_image;         /* as the pod says it */
  const char *const *command, *const *args; const char *working_dir;
  const CubePair *env, *labels, *annotations;
  const CubeMount *mounts; guint n_mounts;
  const CubeDevice *devices; guint n_devices;
  const char *log_path;           /* relative to the sandbox's log_directory */
  gboolean stdin_open, stdin_once, tty;
  CubeLinuxResources resources;
  CubeSecurityContext security;
  int stop_signal;                /* 0 = the image's */
} CubeContainerConfig;

typedef struct {
  char *id, *name, *ns, *uid; guint32 attempt;
  gboolean is_ready;
  gint64 created_ns;
  char **ips;                     /* NULL-terminated; first is primary; filled by sandbox_status */
  CubeNamespaceMode network;
  GHashTable *labels, *annotations; /* utf8 → utf8; never NULL */
  char *runtime_handler;
} CubeSandbox;

typedef enum { CUBE_CONTAINER_CREATED = 0, CUBE_CONTAINER_RUNNING = 1, CUBE_CONTAINER_EXITED = 2, CUBE_CONTAINER_UNKNOWN = 3 } CubeContainerState;
typedef struct {
  char *id, *sandbox_id, *name; guint32 attempt;
  CubeContainerState state;
  gint64 created_ns, started_ns, finished_ns; /* 0 = not yet; list fills created only */
  gint32 exit_code;
  char *image, *image_ref, *reason, *message, *log_path; /* log_path absolute */
  GHashTable *labels, *annotations;
} CubeContainer;

typedef struct { char *id; char **tags, **digests; guint64 size_bytes; gboolean has_uid; gint64 uid; char *username; } CubeImage;
typedef struct {
  char *id;                          /* container or sandbox */
  gint64 timestamp_ns;
  guint64 cpu_usage_ns, memory_working_set, memory_usage, memory_rss, memory_page_faults, memory_major_page_faults;
  guint64 rootfs_used_bytes, rootfs_inodes;
  guint64 network_rx_bytes, network_tx_bytes; /* sandboxes */
  GHashTable *labels;
} CubeStats;
typedef struct { gboolean runtime_ready, network_ready; char *runtime_reason, *network_reason; char *name, *version, *api_version; } CubeRuntimeStatus;

typedef enum { CUBE_RUNTIME_EVENT_CREATED, CUBE_RUNTIME_EVENT_STARTED, CUBE_RUNTIME_EVENT_STOPPED, CUBE_RUNTIME_EVENT_DELETED, CUBE_RUNTIME_EVENT_OOM,
               CUBE_RUNTIME_EVENT_LOST /* events may have been missed, or the runtime went or came back: list again */ } CubeRuntimeEventType;
/* On an arbitrary thread: post and return. @id: container or sandbox id, NULL for LOST. */
typedef void (*CubeRuntimeEventFunc) (CubeRuntimeEventType type, const char *id, gpointer data);

typedef struct {
  guint32 ops_size;
  gboolean (*status) (gpointer state, CubeRuntimeStatus *ret_status /* cube_runtime_status_clear */, GError **error);
  gboolean (*set_pod_cidr) (gpointer state, const char *cidr, GError **error);                                                                    /* (nullable) */
  gboolean (*run_sandbox) (gpointer state, const CubeSandboxConfig *config, char **ret_id, GCancellable *cancellable, GError **error);
  gboolean (*stop_sandbox) (gpointer state, const char *id, GError **error);    /* idempotent; missing is success */
  gboolean (*remove_sandbox) (gpointer state, const char *id, GError **error);  /* the same */
  CubeSandbox *(*sandbox_status) (gpointer state, const char *id, GError **error);
  GPtrArray *(*list_sandboxes) (gpointer state, GError **error);                /* (element-type CubeSandbox) all */
  gboolean (*create_container) (gpointer state, const char *sandbox_id, const CubeContainerConfig *config, const CubeSandboxConfig *sandbox, char **ret_id, GCancellable *cancellable, GError **error);
  gboolean (*start_container) (gpointer state, const char *id, GError **error);
  gboolean (*stop_container) (gpointer state, const char *id, gint64 grace_seconds, GCancellable *cancellable, GError **error); /* TERM, then KILL; blocks till dead; missing is success */
  gboolean (*remove_container) (gpointer state, const char *id, GError **error);
  CubeContainer *(*container_status) (gpointer state, const char *id, GError **error);
  GPtrArray *(*list_containers) (gpointer state, GError **error);               /* (element-type CubeContainer) all */
  gboolean (*update_resources) (gpointer state, const char *id, const CubeLinuxResources *resources, GError **error);
  gboolean (*reopen_log) (gpointer state, const char *id, GError **error);
  /* Runs to the end; output bounded to 16 KiB each. @timeout_us 0 = none → CUBE_ERROR_TIMEOUT. @ret_stdout etc. (transfer full) (nullable). */
  gboolean (*exec_sync) (gpointer state, const char *id, const char *const *command, gint64 timeout_us, GBytes **ret_stdout, GBytes **ret_stderr, gint32 *ret_exit_code, GCancellable *cancellable, GError **error);
  gboolean (*exec) (gpointer state, const char *id, const char *const *command, gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty,
                    const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  gboolean (*attach) (gpointer state, const char *id, gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty,
                      const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  gboolean (*port_forward) (gpointer state, const char *sandbox_id, const guint16 *ports, guint n_ports, const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  GPtrArray *(*list_stats) (gpointer state, GError **error);         /* (element-type CubeStats) containers */
  GPtrArray *(*list_sandbox_stats) (gpointer state, GError **error); /* (nullable) */
  GPtrArray *(*list_images) (gpointer state, GError **error);        /* (element-type CubeImage) */
  CubeImage *(*image_status) (gpointer state, const char *image, GError **error); /* NULL without error: not present */
  gboolean (*pull_image) (gpointer state, const char *image, const char *auth_json /* nullable: {"username","password","auth",…} */, char **ret_image_ref, GCancellable *cancellable, GError **error);
  gboolean (*remove_image) (gpointer state, const char *image, GError **error);
  gboolean (*image_fs) (gpointer state, guint64 *ret_used_bytes, char **ret_mountpoint, GError **error);
  void (*set_event_func) (gpointer state, CubeRuntimeEventFunc func, gpointer data); /* NULL func ends it */
} CubeRuntimeOps;

CUBE_EXPORT void cube_runtime_status_clear (CubeRuntimeStatus *status);
CUBE_EXPORT void cube_sandbox_free (CubeSandbox *sandbox);
CUBE_EXPORT void cube_container_free (CubeContainer *container);
CUBE_EXPORT void cube_image_free (CubeImage *image);
CUBE_EXPORT void cube_stats_free (CubeStats *stats);
CUBE_END_DECLS
