/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The node agent's own declarations. Who owns what:
 * - everything of NodeAgent and NodePod that is not said to be otherwise belongs to the loop "node";
 * - a pod's job (one at a time) runs on a blocking worker with a NodeJob: references taken on the loop;
 * - NodeObserved and what stands under NodePod.lock may be used by any thread. */
#include <cube/client.h>
#include <cube/context.h>
#include <cube/error.h>
#include <cube/node.h>
#include <cube/plugin.h>
#include <cube/runtime.h>
#include <cube/scalar.h>

#define NODE_LABEL_POD_NAME "io.kubernetes.pod.name"
#define NODE_LABEL_POD_NAMESPACE "io.kubernetes.pod.namespace"
#define NODE_LABEL_POD_UID "io.kubernetes.pod.uid"
#define NODE_LABEL_CONTAINER "io.kubernetes.container.name"
#define NODE_ANNOTATION_HASH "io.kubernetes.container.hash"
#define NODE_ANNOTATION_RESTART_COUNT "io.kubernetes.container.restartCount"
#define NODE_ANNOTATION_MESSAGE_PATH "io.kubernetes.container.terminationMessagePath"
#define NODE_ANNOTATION_MESSAGE_POLICY "io.kubernetes.container.terminationMessagePolicy"
#define NODE_ANNOTATION_MESSAGE_FILE "cube.local/termination-message-file"
#define NODE_ANNOTATION_PRE_STOP "io.kubernetes.container.preStopHandler"
#define NODE_ANNOTATION_GRACE "io.kubernetes.pod.terminationGracePeriod"
#define NODE_ANNOTATION_OWNER "cube.local/cluster" /* whose sandbox it is: one runtime may serve several */

#define NODE_MIN_GRACE_SECONDS 2
#define NODE_BACKOFF_FIRST_US (10 * G_USEC_PER_SEC)
#define NODE_BACKOFF_LAST_US (300 * G_USEC_PER_SEC)
#define NODE_BACKOFF_RESET_US (600 * G_USEC_PER_SEC)

typedef struct _NodeAgent NodeAgent;
typedef struct _NodePod NodePod;
typedef struct _NodeObserved NodeObserved;
typedef struct _NodeProber NodeProber;
typedef struct _NodeScratch NodeScratch;

/* ---- scratch.c: memory of one call, freed at once ---- */
NodeScratch *node_scratch_new (void);
void node_scratch_free (NodeScratch *scratch);
gpointer node_scratch_alloc (NodeScratch *scratch, gsize size); /* zeroed */
char *node_scratch_strdup (NodeScratch *scratch, const char *text); /* NULL stays NULL */
char *node_scratch_take (NodeScratch *scratch, char *text);
char *node_scratch_printf (NodeScratch *scratch, const char *format, ...) G_GNUC_PRINTF (2, 3);
const char *const *node_scratch_texts (NodeScratch *scratch, CubeView list); /* NULL when empty */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NodeScratch, node_scratch_free)

/* ---- runtime.c: the runtime for the length of a call ---- */
typedef struct {
  const CubeImpl *impl;
  const CubeRuntimeOps *ops;
  gpointer state;
} NodeRuntime;
gboolean node_runtime_open (NodeAgent *agent, NodeRuntime *ret_runtime, GError **error);
void node_runtime_close (NodeRuntime *runtime);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (NodeRuntime, node_runtime_close)

/* ---- observed.c: what runs, as last seen ---- */
typedef struct {            /* immutable, refcounted (g_atomic_rc_box) */
  CubeContainer *status;
  char *uid, *ns, *pod_name, *name, *sandbox_id;
  char *message;            /* the termination message, read once when it ended */
} NodeContainer;
typedef struct {
  CubeSandbox *status;
} NodeSandbox;
NodeContainer *node_container_ref (NodeContainer *container);
void node_container_unref (NodeContainer *container);
NodeSandbox *node_sandbox_ref (NodeSandbox *sandbox);
void node_sandbox_unref (NodeSandbox *sandbox);
typedef struct {            /* one pod's, newest first */
  GPtrArray *sandboxes;     /* (element-type NodeSandbox) */
  GPtrArray *containers;    /* (element-type NodeContainer) */
} NodeSnapshot;
void node_snapshot_free (NodeSnapshot *snapshot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NodeSnapshot, node_snapshot_free)
NodeContainer *node_snapshot_find (const NodeSnapshot *snapshot, const char *name, guint nth); /* the nth newest of that name; borrowed */
NodeSandbox *node_snapshot_sandbox (const NodeSnapshot *snapshot); /* the newest; borrowed */
gboolean node_snapshot_is_running (const NodeSnapshot *snapshot);  /* any container runs, or was made and may yet */

NodeObserved *node_observed_new (NodeAgent *agent);
void node_observed_free (NodeObserved *observed);
void node_observed_start (NodeObserved *observed); /* events and the slow relist begin. Loop */
void node_observed_stop (NodeObserved *observed);  /* no event after it. Not on the loop */
gboolean node_observed_has_synced (NodeObserved *observed);
gboolean node_observed_is_idle (NodeObserved *observed);
void node_observed_relist_soon (NodeObserved *observed); /* loop */
NodeSnapshot *node_observed_snapshot (NodeObserved *observed, const char *uid);
GHashTable *node_observed_uids (NodeObserved *observed); /* (transfer full) uid → "ns/name" of what is ours */
/* Blocking; by the one who just did something to it. @sandbox_id NULL = as known. */
NodeContainer *node_observed_refresh_container (NodeObserved *observed, const NodeRuntime *runtime, const char *id, const char *sandbox_id); /* (transfer full) (nullable) */
NodeSandbox *node_observed_refresh_sandbox (NodeObserved *observed, const NodeRuntime *runtime, const char *id);
void node_observed_forget (NodeObserved *observed, const char *id);
gboolean node_observed_relist (NodeObserved *observed, const NodeRuntime *runtime, GHashTable *changed_uids, GError **error);

/* ---- machine.c: the machine and its addresses ---- */
typedef struct {
  gint64 cpus, memory_bytes, disk_bytes, hugepages_2m_bytes, hugepages_1g_bytes, swap_bytes;
  gint64 allocatable_memory_bytes, allocatable_disk_bytes;
  guint max_pods;
  char *hostname, *ip, *machine_id, *system_uuid, *boot_id, *kernel, *os_image, *arch;
} NodeMachine;
NodeMachine *node_machine_read (NodeAgent *agent);
void node_machine_free (NodeMachine *machine);
char *node_machine_resolv_conf (void); /* text of the host's resolver file */

/* ---- network.c ---- */
gboolean node_network_configure (NodeAgent *agent, const char *pod_cidr, GError **error); /* writes the CNI configuration; blocking */
void node_network_remove (NodeAgent *agent);                                              /* the bridge and the configuration */

/* ---- node.c: the Node object and its Lease ---- */
typedef struct _NodeRegistration NodeRegistration;
NodeRegistration *node_registration_new (NodeAgent *agent);
void node_registration_free (NodeRegistration *registration);
void node_registration_start (NodeRegistration *registration);
void node_registration_check_soon (NodeRegistration *registration); /* something about the runtime changed. Loop */
gboolean node_registration_is_network_ready (NodeRegistration *registration);
gboolean node_registration_is_idle (NodeRegistration *registration);

/* ---- sources.c: what volumes are made from, watched one by one. Loop ---- */
typedef struct _NodeSources NodeSources;
typedef void (*NodeSourceChanged) (NodeAgent *agent, CubeEventType type, CubeObject *object, const char *kind);
NodeSources *node_sources_new (NodeAgent *agent, NodeSourceChanged changed);
void node_sources_free (NodeSources *sources);
void node_sources_pods_changed (NodeSources *sources); /* NULL is fine */

/* ---- agent.c ---- */
struct _NodeAgent {
  CubeContext *context;
  CubeRegistry *registry;
  CubeLoop *loop;
  CubeClient *client;
  CubeRecorder *recorder;
  char *node_name, *owner, *pods_dir, *logs_dir, *cluster_domain, *cluster_dns;
  char *runtime_name;       /* "containerd"; under lock */
  GMutex lock;
  GCond changed;            /* n_guests */
  guint n_guests;           /* calls from outside and followed logs; under lock */
  gboolean is_open;         /* guests may come; under lock */
  NodeMachine *machine;     /* fixed at start */
  NodeObserved *observed;
  NodeRegistration *registration;
  NodeProber *prober;
  CubeRegistryWatch *runtime_watch;
  CubeInformer *pod_informer, *node_informer;
  CubeInformer *config_map_informer, *secret_informer; /* in the server's process, where all of them cost nothing … */
  NodeSources *sources;                                /* … and elsewhere */
  GHashTable *pods;         /* uid → NodePod */
  gboolean are_pods_synced, is_stopping, is_component_running;
  guint n_jobs;
  GQueue waiting_jobs;
  CubeTimer *housekeeping, *rotation;
  gint64 started_us;
};
/* Whoever comes from another thread is let in, or not any more; the parts stand until the last has left. */
gboolean node_agent_enter (NodeAgent *agent, GError **error);
void node_agent_leave (NodeAgent *agent);
/* A bounded number of these at once, the rest wait their turn. Loop. */
void node_agent_run (NodeAgent *agent, CubeTask work, CubeTask done, gpointer data);
const CubeResource *node_agent_resource (NodeAgent *agent, const char *api_version, const char *resource);
NodePod *node_agent_find_pod (NodeAgent *agent, const char *ns, const char *name, const char *uid); /* loop; borrowed */
void node_agent_runtime_changed (NodeAgent *agent); /* pods that failed for the runtime's sake try again. Loop */
char *node_agent_runtime_name (NodeAgent *agent);

/* ---- pod.c: one pod's state machine ---- */
typedef enum { NODE_POD_SYNCING, NODE_POD_TERMINATING, NODE_POD_TERMINATED } NodePodStage;
typedef struct { gint64 delay_us, updated_us; char *message; } NodeBackoff;
typedef struct { char *reason, *message; } NodeReason;

struct _NodePod {
  gatomicrefcount refs;
  NodeAgent *agent;
  char *uid, *ns, *name;
  CubeObject *object;       /* NULL: nobody wants it (an orphan) */
  CubeValue *value;
  NodePodStage stage;
  gboolean is_gone;         /* from the API */
  gboolean is_busy, is_dirty;
  gboolean is_admitted, is_deleted_by_us, has_finished_once;
  gboolean is_cleaned;      /* volumes and sandbox are down */
  gint64 grace_seconds;     /* of the kills under way; -1 = none yet */
  GCancellable *cancellable; /* of the job under way */
  GPtrArray *kills;         /* NodeKill under way */
  CubeTimer *timer, *deadline;
  /* status */
  CubeValue *status;        /* as last generated */
  gboolean is_status_busy, is_status_dirty;
  char *final_phase, *final_reason, *final_message; /* what ended it: deadline, admission */
  /* any thread */
  GMutex lock;
  GHashTable *reasons;      /* container → NodeReason */
  GHashTable *failed_mounts; /* volume → message of the last event */
  /* the job's */
  GHashTable *backoffs;     /* container or image → NodeBackoff */
};
NodePod *node_pod_new (NodeAgent *agent, const char *uid, const char *ns, const char *name);
NodePod *node_pod_ref (NodePod *pod);
void node_pod_unref (NodePod *pod);
void node_pod_set_object (NodePod *pod, CubeObject *object);
void node_pod_set_gone (NodePod *pod);
void node_pod_wake (NodePod *pod);
void node_pod_probes_changed (NodePod *pod); /* status at once, and a sync when something must be killed */
void node_pod_close (NodePod *pod);          /* the agent stops: timers, cancellation */
void node_pod_set_reason (NodePod *pod, const char *container, const char *reason, const char *message); /* any thread; NULL reason clears */
void node_pod_event (NodePod *pod, const char *container, const char *type, const char *reason, const char *format, ...) G_GNUC_PRINTF (5, 6); /* loop or the pod's job */
void node_object_event (NodeAgent *agent, CubeObject *object, CubeView pod, const char *container, const char *type, const char *reason, const char *message);

/* ---- status.c ---- */
typedef struct {
  NodeAgent *agent;
  CubeView pod;             /* the whole object */
  CubeView old;             /* the status before */
  const NodeSnapshot *snapshot;
  NodePod *worker;
  gboolean is_terminal;     /* everything has been stopped for good */
} NodeStatusInput;
CubeValue *node_status_build (const NodeStatusInput *input);
const char *node_status_phase (const CubeValue *status);
gboolean node_should_restart (CubeView pod, CubeView container, CubeContainerKind kind, const NodeContainer *last, gboolean is_deleting);
gboolean node_is_sidecar (CubeView container, CubeContainerKind kind);

/* ---- sync.c: the work of one pass ---- */
typedef struct {
  NodePod *pod;
  NodeAgent *agent;
  CubeObject *object;
  CubeValue *value;
  CubeView spec;
  NodeRuntime runtime;
  NodeSnapshot *snapshot;
  GCancellable *cancellable;
  GHashTable *started;      /* set of container names */
  GHashTable *failed;       /* container → "liveness" or "startup" */
  GPtrArray *services;      /* of the namespace, listed at first use */
  char *sandbox_id, **ips;
  GHashTable *volumes;      /* name → host path */
  gboolean is_network_ready;
  /* result */
  gint64 again_us;          /* sync again after; 0 = in the usual time */
  gboolean is_hopeless;     /* an init container failed for good */
} NodeJob;
void node_job_sync (NodeJob *job);       /* blocking */
void node_job_reload (NodeJob *job);     /* snapshot anew */

/* ---- container.c ---- */
gboolean node_container_start (NodeJob *job, CubeView container, CubeContainerKind kind); /* FALSE: the reason was noted */
/* preStop, TERM, KILL; blocking. @container view NONE after a restart without the pod. */
typedef struct {
  NodeAgent *agent;
  CubeObject *object;       /* (nullable) */
  CubeView pod, container;  /* may be NONE */
  CubeContainerKind kind;
  NodeContainer *target;
  char **ips;
  gint64 grace_seconds;
  const char *message;      /* NULL = Stopping container X */
  GCancellable *cancellable;
} NodeKillRequest;
gboolean node_container_kill (const NodeKillRequest *request, const NodeRuntime *runtime, GError **error);
void node_container_prune (NodeJob *job); /* one dead one per container stays */
gboolean node_backoff_is_waiting (GHashTable *backoffs, const char *key, gint64 since_us, gint64 now_us, gint64 *ret_left_us);
void node_backoff_next (GHashTable *backoffs, const char *key, gint64 event_us, gint64 now_us, const char *message);

/* ---- image.c ---- */
/* The image for a container: as the policy says. (transfer full) NULL: reason and message are set (and events sent). */
char *node_image_ensure (NodeJob *job, CubeView container, const char **ret_reason, char **ret_message);
gboolean node_image_check_name (const char *image, char **ret_normal); /* FALSE: invalid reference format */

/* ---- config.c, env.c, dns.c, resources.c: from a pod to what the runtime is told ---- */
CubeSandboxConfig *node_config_sandbox (NodeJob *job, guint attempt, NodeScratch *scratch, GError **error);
CubeContainerConfig *node_config_container (NodeJob *job, CubeView container, CubeContainerKind kind, const char *image, guint attempt, NodeScratch *scratch, GError **error);
char *node_config_hash (CubeView container);
void node_config_security (CubeView pod_spec, CubeView container, CubeSecurityContext *security, NodeScratch *scratch);
const CubePair *node_env_build (NodeJob *job, CubeView container, GHashTable **ret_map, NodeScratch *scratch, GError **error);
char *node_env_expand (const char *text, GHashTable *map); /* $(NAME); (transfer full) */
void node_dns_fill (NodeJob *job, CubeSandboxConfig *config, NodeScratch *scratch);
char *node_dns_hostname (CubeView pod, char **ret_domain, const char *cluster_domain); /* (transfer full); @ret_domain NULL = none */
gboolean node_dns_write_hosts (NodeJob *job, GError **error); /* <pod dir>/etc-hosts */
void node_resources_fill (NodeAgent *agent, CubeView pod_spec, CubeView container, CubeLinuxResources *resources);

/* ---- volumes.c ---- */
gboolean node_volumes_set_up (NodeJob *job, GError **error);
gboolean node_volumes_tear_down (NodeAgent *agent, const char *uid, const CubeObject *object, CubeView pod, GError **error);
/* Calls @func with "configMap" or "secret" and a name for every one the pod's volumes are made from. */
void node_volumes_each_reference (CubeView pod_spec, void (*func) (const char *kind, const char *name, gpointer data), gpointer data);
gboolean node_volumes_refer_to (CubeView pod_spec, const char *kind, const char *name); /* "configMap" or "secret" */
/* A mount's subPath, opened (made if missing) without ever leaving the volume; -1 with error. */
int node_volumes_open_sub_path (const char *volume_path, const char *sub_path, GError **error);
/* The same bound to @target, so that nothing done to the volume later leads elsewhere. (transfer full): @target */
char *node_volumes_mount_sub_path (const char *volume_path, const char *sub_path, const char *target, GError **error);

/* ---- files.c ---- */
char *node_files_pod_dir (NodeAgent *agent, const char *uid);
gboolean node_files_write (const char *path, const char *text, gssize length, guint mode, GError **error); /* atomically */
gboolean node_files_remove_tree (const char *path, GError **error); /* never follows a link, never leaves the file system */
gboolean node_files_is_uid (const char *text);
void node_files_unmount_below (const char *dir);

/* ---- hook.c, http.c ---- */
typedef struct {
  const char *scheme, *host, *path; guint16 port; CubeView headers; const char *user_agent;
  gint64 timeout_us; GCancellable *cancellable;
} NodeHttpRequest;
/* @ret_body at most 10 KiB. FALSE: transport error */
gboolean node_http_get (const NodeHttpRequest *request, guint *ret_status, char **ret_body, gboolean *ret_is_foreign_redirect, GError **error);
gboolean node_port_resolve (CubeView port, CubeView container, guint16 *ret_port, GError **error);
gboolean node_tcp_probe (const char *host, guint16 port, gint64 timeout_us, GError **error);
/* Runs a lifecycle handler. FALSE: error is the message of Kubernetes. */
gboolean node_hook_run (NodeAgent *agent, const NodeRuntime *runtime, CubeView handler, CubeView container, const char *container_name, const char *pod_name, const char *id, char **ips, gint64 limit_us,
                        GCancellable *cancellable, GError **error);

/* ---- probe.c ---- */
NodeProber *node_prober_new (NodeAgent *agent);
void node_prober_free (NodeProber *prober);
gboolean node_prober_is_idle (NodeProber *prober);
void node_prober_update (NodeProber *prober, NodePod *pod, const NodeSnapshot *snapshot); /* loop: workers for what runs */
void node_prober_remove (NodeProber *prober, const char *uid);
void node_prober_stop_liveness (NodeProber *prober, const char *uid);
gboolean node_prober_is_started (NodeProber *prober, const char *uid, CubeView container, const NodeContainer *status);
gboolean node_prober_is_ready (NodeProber *prober, const char *uid, CubeView container, const NodeContainer *status);
const char *node_prober_failed (NodeProber *prober, const char *uid, const char *container, const char *id); /* "liveness", "startup" or NULL */

/* ---- admit.c ---- */
gboolean node_admit (NodeAgent *agent, NodePod *pod, const char **ret_reason, char **ret_message);

/* ---- logs.c, stream.c, rotate.c, stats.c ---- */
extern const CubeNodeAgentOps node_agent_ops;
gboolean node_logs_open (NodeAgent *agent, const char *path, const CubeLogOptions *options, gboolean (*is_running) (gpointer data), gpointer data, GDestroyNotify destroy,
                         const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
char *node_logs_tail (const char *path, guint max_lines, gsize max_bytes); /* of a CRI log, text only; (transfer full) (nullable) */
void node_rotate_logs (NodeAgent *agent, const NodeRuntime *runtime); /* blocking */
