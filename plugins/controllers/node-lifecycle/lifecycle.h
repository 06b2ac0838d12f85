/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Node health and what follows from it: one state for both controllers of this plugin, under one lock. */
#include <cube/controller.h>
#include <cube/plugin.h>
#include <cube/scalar.h>

#define TAINT_NOT_READY "node.kubernetes.io/not-ready"
#define TAINT_UNREACHABLE "node.kubernetes.io/unreachable"

typedef struct {
  guint n_ready, n_not_ready;
  gint64 next_us; /* when the next node may get a NoExecute taint, monotonic */
} Zone;

typedef struct {
  char *uid, *zone;
  char ready;                 /* 'T', 'F', 'U'; 0 = never posted */
  gint64 probe_us;            /* when a sign of life was last seen here, monotonic */
  gint64 down_us;             /* since when it is not ready as seen here, monotonic */
  char *heartbeat, *renewed;  /* the signs as they stood then */
  gboolean must_mark_pods;
} Health;

typedef struct {
  CubeContext *context;
  gint64 monitor_us, grace_us, startup_us, evict_us, slow_evict_us; /* the last two: between two nodes of a zone */
  guint large_zone, unhealthy_percent;
  GMutex lock;
  GHashTable *nodes;   /* name → Health */
  GHashTable *zones;   /* name → Zone */
  gboolean is_seeded, was_all_down;
  GHashTable *tainted; /* set of names of nodes with a NoExecute taint */
  GHashTable *waiting; /* key of a pod → gint64: when its wait was first seen, wall µs */
} Lifecycle;

extern const CubeControllerOps lifecycle_node_ops, lifecycle_eviction_ops;

/* ---- zones.c: under the lock ---- */
Health *lifecycle_know (Lifecycle *self, CubeObject *node);      /* its entry, made when new; follows a moved zone */
void lifecycle_forget (Lifecycle *self, const char *name);
void lifecycle_set_ready (Lifecycle *self, Health *health, char ready);
gboolean lifecycle_is_all_down (Lifecycle *self);
/* May a node of @zone get a NoExecute taint now? Takes the turn if so; else *ret_wait_us says when to ask again. */
gboolean lifecycle_take_turn (Lifecycle *self, const char *zone, gint64 *ret_wait_us);
void lifecycle_clear (Lifecycle *self);                          /* knows no node any more */

/* ---- taints.c ---- */
char lifecycle_ready_of (CubeView node);
/* Brings the taints of @name in line with its conditions; @wanted: key of its NoExecute taint, NULL = none. */
gboolean lifecycle_write_taints (CubeControllerEnv *env, const char *name, const char *wanted, GError **error);
gboolean lifecycle_has_no_execute (CubeView node);                /* one of ours */
