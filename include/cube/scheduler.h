/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The scheduling framework's extension points. All run on the scheduler's loop (one cycle at a time) unless said otherwise: no locks needed, must not
 * block. Policies are pure: what they need of the cluster is in the pod, the node and the cycle. Pods of one template may share one pass: a policy whose
 * answer depends on more than (pod spec and labels, node) must say so with is_pod_specific. Source: the scheduling framework of Kubernetes 1.36. */
#include <cube/client.h>
#include <cube/plugin.h>
CUBE_BEGIN_DECLS

typedef struct { const char *name; gint64 amount; } CubeResourceAmount; /* an extended or further resource, in units */
typedef struct { const char *protocol, *host_ip; gint32 port; } CubeHostPort;

/* A pod as the scheduler sees it; immutable. Further members are appended only. */
typedef struct {
  guint32 struct_size;
  CubeObject *object;
  CubeView view, spec;                 /* parsed, valid as long as the struct; of a pod on a node: those of a pod of the same class */
  const char *ns, *name, *uid, *scheduler_name;
  gint32 priority;
  gint64 cpu_millis, memory_bytes, ephemeral_bytes;   /* effective requests */
  gint64 nonzero_cpu_millis, nonzero_memory_bytes;    /* with Kubernetes' defaults 100m and 200Mi for scoring */
  const CubeResourceAmount *extended; guint n_extended;
  const CubeHostPort *host_ports; guint n_host_ports;
  guint64 class_hash;                  /* pods of equal scheduling needs share it */
} CubePodInfo;

/* A node with what is bound or assumed on it. Immutable during a cycle. */
typedef struct {
  guint32 struct_size;
  CubeObject *object;
  CubeView view, spec, labels;         /* labels: metadata.labels */
  const char *name;
  gboolean is_unschedulable;
  gint64 allocatable_cpu_millis, allocatable_memory_bytes, allocatable_ephemeral_bytes, allocatable_pods;
  gint64 requested_cpu_millis, requested_memory_bytes, requested_ephemeral_bytes;
  gint64 nonzero_cpu_millis, nonzero_memory_bytes;
  const CubeResourceAmount *allocatable_extended; guint n_allocatable_extended;
  const CubeResourceAmount *requested_extended; guint n_requested_extended;
  const CubePodInfo *const *pods; guint n_pods;
  guint64 generation;                  /* grows whenever anything above changes */
} CubeNodeInfo;

typedef struct {
  guint32 struct_size;
  CubeContext *context;
  const CubeNodeInfo *const *nodes; guint n_nodes;    /* the cycle's snapshot */
  CubeView args;                       /* the policy's pluginConfig arguments of this profile, NONE = none */
} CubeCycle;

typedef enum {
  CUBE_FIT_OK = 0,
  CUBE_FIT_SKIP,                /* PreFilter/PreScore: nothing to do for this pod */
  CUBE_FIT_UNSCHEDULABLE,       /* may fit after preemption */
  CUBE_FIT_UNRESOLVABLE,        /* preempting pods would not help */
  CUBE_FIT_WAIT,                /* Permit */
  CUBE_FIT_ERROR
} CubeFit;

/* What an event can do for a pod a policy refused: bits. */
enum {
  CUBE_WAKE_NODE_ADD = 1 << 0, CUBE_WAKE_NODE_ALLOCATABLE = 1 << 1, CUBE_WAKE_NODE_LABEL = 1 << 2, CUBE_WAKE_NODE_TAINT = 1 << 3,
  CUBE_WAKE_NODE_CONDITION = 1 << 4, CUBE_WAKE_POD_DELETE = 1 << 5, CUBE_WAKE_POD_ADD = 1 << 6, CUBE_WAKE_POD_UPDATE = 1 << 7,
  CUBE_WAKE_VOLUME = 1 << 8, CUBE_WAKE_OTHER = 1 << 9
};

/* `cycle_data` is the policy's own for one pod's cycle: set by pre_filter or pre_score, freed with free_data. */
#define CUBE_FILTER_PLUGIN "cube.scheduler.Filter"
#define CUBE_FILTER_VERSION 1
typedef struct {
  guint32 ops_size;
  guint32 wake_on;               /* CUBE_WAKE_* bits that can turn a refusal of this policy */
  gboolean is_pod_specific;      /* the answer depends on more than the pod's class and the node */
  CubeFit (*pre_filter) (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, gpointer *ret_cycle_data, char **ret_reason); /* (nullable) */
  /* @ret_reason: static text in Kubernetes' words ("Insufficient cpu", "node(s) had untolerated taint(s)") or one interned with g_intern_string;
   * several reasons: separate with '\n'. */
  CubeFit (*filter) (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node, const char **ret_reason);
  void (*free_data) (gpointer state, gpointer cycle_data); /* (nullable) */
  /* (nullable) For one (un)reserved pod on @node: lets a cached cycle_data be adjusted in preemption dry runs. */
  void (*add_pod) (gpointer state, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node, gboolean is_removal);
} CubeFilterOps;

#define CUBE_SCORE_PLUGIN "cube.scheduler.Score"
#define CUBE_SCORE_VERSION 1
typedef struct {
  guint32 ops_size;
  gint32 default_weight;         /* as Kubernetes' default profile; 0 = 1 */
  gboolean is_pod_specific;
  CubeFit (*pre_score) (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, const CubeNodeInfo *const *nodes, guint n_nodes, gpointer *ret_cycle_data); /* (nullable) */
  gint64 (*score) (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node); /* 0 … 100 before normalising */
  void (*normalize) (gpointer state, gint64 *scores, guint n_scores); /* (nullable) to 0 … 100 in place */
  void (*free_data) (gpointer state, gpointer cycle_data);            /* (nullable) */
} CubeScoreOps;
/* Kubernetes' DefaultNormalizeScore. */
CUBE_EXPORT void cube_score_normalize (gint64 *scores, guint n_scores, gint64 max, gboolean is_reversed);

#define CUBE_RESERVE_PLUGIN "cube.scheduler.Reserve"
#define CUBE_RESERVE_VERSION 1
typedef struct {
  guint32 ops_size;
  CubeFit (*reserve) (gpointer state, const CubePodInfo *pod, const char *node_name, char **ret_reason);
  void (*unreserve) (gpointer state, const CubePodInfo *pod, const char *node_name); /* idempotent */
} CubeReserveOps;

#define CUBE_PERMIT_PLUGIN "cube.scheduler.Permit"
#define CUBE_PERMIT_VERSION 1
typedef struct {
  guint32 ops_size;
  CubeFit (*permit) (gpointer state, const CubePodInfo *pod, const char *node_name, gint64 *ret_timeout_us, char **ret_reason); /* OK, WAIT, UNSCHEDULABLE */
} CubePermitOps;

#define CUBE_BIND_PLUGIN "cube.scheduler.Bind"
#define CUBE_BIND_VERSION 1
typedef void (*CubeBindDone) (GError *error /* (transfer full) NULL = bound */, gpointer data);
typedef struct {
  guint32 ops_size;
  CubeFit (*pre_bind) (gpointer state, const CubePodInfo *pod, const char *node_name, char **ret_reason); /* (nullable) on a worker; may block */
  CubeFit (*bind) (gpointer state, const CubePodInfo *pod, const char *node_name, GError **error);        /* (nullable) on a worker; SKIP = the next one's */
  void (*post_bind) (gpointer state, const CubePodInfo *pod, const char *node_name);                      /* (nullable) on the loop */
  /* (nullable) Instead of bind, which is not called then: begins to bind on the loop, must not block. @pod lives until @done has run on the loop. */
  void (*bind_async) (gpointer state, const CubePodInfo *pod, const char *node_name, CubeLoop *loop, CubeBindDone done, gpointer data);
} CubeBindOps;

#define CUBE_POST_FILTER_PLUGIN "cube.scheduler.PostFilter"
#define CUBE_POST_FILTER_VERSION 1
typedef struct {
  guint32 ops_size;
  /* No node fits: may nominate one (preemption). OK with *ret_nominated (transfer full), or UNSCHEDULABLE with a reason. */
  CubeFit (*post_filter) (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, char **ret_nominated, char **ret_reason);
} CubePostFilterOps;
CUBE_END_DECLS
