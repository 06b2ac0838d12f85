/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the driver. Everything here runs on the loop "scheduler" unless said otherwise. */
#include <cube/scalar.h>
#include <cube/scheduler.h>

#define MAX_POLICIES 64 /* of one interface in one profile */
#define MAX_SCORE 100
#define MAX_WEIGHT 100

typedef struct _Driver Driver;
typedef struct _Profile Profile;
typedef struct _Pass Pass;

/* ---- pods (pod.c) ---- */

/* What pods of equal scheduling needs share. */
typedef struct {
  gint ref_count; /* loop only */
  guint64 hash;
  CubeValue *value; /* of the pod it was first seen with */
  gint64 cpu_millis, memory_bytes, ephemeral_bytes, nonzero_cpu_millis, nonzero_memory_bytes;
  CubeResourceAmount *extended;
  CubeHostPort *host_ports;
  guint n_extended, n_host_ports;
  gint32 priority;
  const char *scheduler_name;
  gboolean is_gated;
  GHashTable *table; /* where it stands; weak */
  Pass *pass;        /* (nullable) its ranked nodes */
  guint n_seen;      /* attempts of its pods since the nodes last changed shape */
  guint64 structure;
} Class;

typedef struct {
  CubePodInfo info; /* first: CubePodInfo * is Pod * */
  gint ref_count;   /* atomic: workers hold pods too */
  Class *class;
  CubeValue *value; /* (nullable) its own document, while a policy may ask for it */
} Pod;

Class *class_ref (Class *class);
void class_unref (Class *class);
/* The class of the parsed @value. @table: hash → Class. (transfer full) */
Class *class_of (GHashTable *table, CubeView value, guint64 seed);
Pod *pod_new (CubeObject *object, Class *class);
Pod *pod_ref (Pod *pod);
void pod_unref (Pod *pod);
void pod_parse (Pod *pod);  /* gives it a document of its own */
void pod_forget (Pod *pod); /* back to its class's */
/* "" = not on a node */
const char *pod_node_name (CubeView value);
gboolean pod_is_terminal (CubeView value);

/* ---- nodes (cache.c) ---- */

typedef struct {
  CubeNodeInfo info; /* first */
  guint index;       /* in the cache's nodes */
  gboolean is_real;  /* FALSE = only pods speak of it */
  CubeValue *value;
  GPtrArray *pods;   /* Pod, held */
  GArray *allocatable_extended, *requested_extended; /* CubeResourceAmount with strings of their own */
  char *name;
} Node;

#define CHANGE_LOG 65536 /* power of two */

typedef struct {
  GHashTable *by_name; /* name → Node */
  GPtrArray *nodes;    /* the real ones: cycle->nodes */
  guint64 structure;   /* grows when nodes come, go or change but for their pods */
  guint64 generation;
  guint32 *changes;    /* ring of indices of nodes whose pods changed */
  guint64 n_changes;
} Cache;

Cache *cache_new (void);
void cache_free (Cache *cache);
guint32 cache_put_node (Cache *cache, CubeObject *object); /* answers CUBE_WAKE_* bits */
void cache_remove_node (Cache *cache, const char *name);
Node *cache_add_pod (Cache *cache, Pod *pod, const char *node_name);
void cache_remove_pod (Cache *cache, Pod *pod, Node *node);
/* @fresh takes @stale's place; they are of one class. */
void cache_swap_pod (Cache *cache, Node *node, Pod *stale, Pod *fresh);

/* ---- the queue (queue.c) ---- */

typedef enum { PLACE_NONE = 0, PLACE_ACTIVE, PLACE_BACKOFF, PLACE_UNSCHEDULABLE, PLACE_GATED, PLACE_BINDING, PLACE_BOUND } Place;

/* A pod the driver knows. */
typedef struct {
  char *uid;
  Pod *pod;
  Node *node;      /* bound or assumed */
  Place place;
  guint slot;      /* in a heap */
  GList link;      /* in a list */
  guint attempts, errors;
  guint32 wake_on; /* of the policies that refused it; 0 = anything wakes it */
  gboolean is_error;
  gint64 added_us; /* monotonic: into its present part */
  guint64 order;   /* of arrival */
  gint64 due_us;   /* end of back-off */
  gint64 first_us; /* first seen, for the histogram */
  char *told;      /* (nullable) the message of the condition it was last given */
} Record;

typedef struct {
  GPtrArray *active, *backoff; /* heaps of Record */
  GQueue unschedulable, gated;
  gint64 initial_us, max_us;
  guint64 next_order;
} Queue;

void queue_init (Queue *queue);
void queue_clear (Queue *queue);
void queue_add (Queue *queue, Record *record, gint64 now_us);                   /* active, or gated */
void queue_add_unschedulable (Queue *queue, Record *record, gint64 now_us);     /* refused */
void queue_add_error (Queue *queue, Record *record, gint64 now_us);             /* into back-off */
void queue_remove (Queue *queue, Record *record);
Record *queue_pop (Queue *queue, gint64 now_us);                                /* NULL = none is due */
void queue_wake (Queue *queue, guint32 bits, gint64 now_us);                    /* something happened */
void queue_wake_one (Queue *queue, Record *record, gint64 now_us);              /* the pod itself changed */
gint64 queue_next_us (Queue *queue);                                            /* when to look again; -1 = no need */
guint queue_length (const Queue *queue);

/* ---- profiles (profile.c) ---- */

typedef struct {
  const CubeImpl *impl;
  const CubeFilterOps *ops;
  CubeCycle cycle;
  gint64 spent_us;
} Filter;

typedef struct {
  const CubeImpl *impl;
  const CubeScoreOps *ops;
  CubeCycle cycle;
  gint64 weight, spent_us;
} Score;

typedef struct { const CubeImpl *impl; gconstpointer ops; CubeCycle cycle; } Hook;

struct _Profile {
  char *name;
  CubeView config;
  int percentage; /* of nodes to score; 0 = by the number of nodes */
  Filter filters[MAX_POLICIES];
  Score scores[MAX_POLICIES];
  guint n_filters, n_scores;
  GArray *reserves, *permits, *binds, *post_filters; /* Hook */
  gboolean has_specific;   /* a policy asks for more than the class */
  gboolean needs_document; /* a policy may read the pod itself */
  guint next_start;
  CubeRecorder *recorder;  /* (nullable) events in its name */
};

GPtrArray *profiles_new (CubeView config, GError **error); /* (element-type Profile) */
void profile_load (Profile *profile, CubeContext *context, CubeRegistry *registry);
void profile_drop (Profile *profile); /* lets the implementations go */
void profile_report_time (Profile *profile);

/* ---- filter and score (cycle.c) ---- */

/* The policies' data of one pod's (or one class's) cycle. */
typedef struct {
  gpointer data[MAX_POLICIES];
  guint64 skipped, done; /* bits */
} Run;

typedef struct {
  char *message;       /* "0/3 nodes are available: …" without PostFilter's part */
  guint32 wake_on;
  gboolean is_error, can_preempt;
} Refusal;

void refusal_clear (Refusal *refusal);

typedef struct {
  Cache *cache;
  CubeContext *context;
  guint64 *sample; /* counts evaluations */
  GPtrArray *passes;
  guint64 stamp;
  /* scratch */
  GArray *feasible, *raw, *total;
} Engine;

void engine_init (Engine *engine, Cache *cache, CubeContext *context);
void engine_clear (Engine *engine);
void engine_forget (Engine *engine); /* drops every ranked list: policies changed */
/* The node for @pod, or NULL with @ret_refusal filled. */
Node *engine_choose (Engine *engine, Profile *profile, Pod *pod, Refusal *ret_refusal);

/* for pass.c */
gint64 sample_begin (Engine *engine, gint64 *ret_factor);
CubeFit run_filter (Engine *engine, Profile *profile, Run *run, const Pod *pod, const Node *node, const char **ret_reason, guint *ret_policy);
CubeFit run_pre_filters (Engine *engine, Profile *profile, Run *run, const Pod *pod, gboolean specific, char **ret_reason, guint *ret_policy);
void run_free_filters (Profile *profile, Run *run);
void run_pre_scores (Engine *engine, Profile *profile, Run *run, const Pod *pod, const CubeNodeInfo *const *nodes, guint n_nodes, gboolean specific);
void run_free_scores (Profile *profile, Run *run);

typedef struct { const char *reason; guint count; } ReasonCount;
void count_reasons (GArray *counts, const char *reasons);
char *refusal_text (guint n_nodes, GArray *counts, const char *pre_filter);

/* ---- ranked lists of one class (pass.c) ---- */
Pass *pass_new (Engine *engine, Profile *profile, Pod *pod, Refusal *ret_refusal);
void pass_free (Pass *pass);
gboolean pass_is_valid (const Pass *pass, const Profile *profile, const Engine *engine);
Node *pass_choose (Pass *pass, Refusal *ret_refusal); /* brings it up to date first */

/* ---- binding (bind.c) and the driver (driver.c) ---- */

#define DECISIONS 1024 /* the last ones are kept */

typedef struct {
  Pod *pod;
  char *node;    /* NULL = refused, with @message */
  char *message;
  gint64 time_us;
} Decision;

struct _Driver {
  gint ref_count;
  CubeContext *context;
  CubeLoop *loop;
  CubeClient *client;
  CubeRegistry *registry;
  CubeRegistryWatch *watches[6];
  guint64 generations[6];
  CubeInformer *pods_informer, *nodes_informer;
  CubeElection *election;
  const CubeResource *pods_resource;
  GHashTable *classes; /* &hash → Class, weak */
  GHashTable *records; /* uid → Record */
  GPtrArray *profiles;
  Cache *cache;
  Queue queue;
  Engine engine;
  guint64 seed;
  guint32 pending_wake;
  guint n_binding;
  gboolean is_posted, is_stopping, is_standalone; /* standalone: fed by hand, without store */
  gint is_ready;                                  /* atomic */
  CubeTimer *timer, *poll;
  Decision *decisions; /* ring */
  guint64 n_decisions;
  guint64 n_scheduled, n_refused, n_errors, n_reported[3];
  GPtrArray *permits; /* bindings that wait for a Permit policy */
  CubeTimer *permit_timer;
};

Driver *driver_new (CubeContext *context, GError **error);
gboolean driver_start (Driver *driver, gboolean is_standalone, GError **error);
void driver_stop (Driver *driver);
Driver *driver_ref (Driver *driver);
void driver_unref (Driver *driver);
void driver_kick (Driver *driver);
void driver_wake (Driver *driver, guint32 bits);
void driver_on_pod (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data);
void driver_on_node (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data);
const Decision *driver_decision (Driver *driver, const char *uid);
Profile *driver_profile (Driver *driver, const char *name);
Record *driver_record (Driver *driver, const char *uid);

void bind_begin (Driver *driver, Profile *profile, Record *record, Node *node);
void bind_stop (Driver *driver); /* lets go of what waits for a Permit policy */
void driver_settle (Driver *driver, Pod *pod, const char *node_name, const char *problem, gboolean is_error); /* a binding ended; @problem NULL = well */
void driver_decide (Driver *driver, const Pod *pod, const char *node, const char *message);
/* After a refusal: PostFilter, event, condition, queue. */
void driver_refuse (Driver *driver, Profile *profile, Record *record, Refusal *refusal);
/* The PodScheduled=False condition, and the nomination when there is one. */
void condition_write (Driver *driver, const Pod *pod, const char *reason, const char *message, const char *nominated);
