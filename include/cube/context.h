/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a plugin may use of the process: clock, randomness, loops, timers, blocking workers, its configuration, the client, the registry.
 * Everything that makes a run differ from another comes through here, so that the simulator can own it: under simulation all loops are
 * one serial loop on a virtual clock and blocking jobs run inline. No plugin makes a thread of its own. */
#include <cube/types.h>
#include <cube/value.h>
CUBE_BEGIN_DECLS

typedef void (*CubeTask) (gpointer data);

/* ---- loops: serial executors. Tasks of one loop never run at the same time; order of posting is kept. ---- */
/* The loop called @name, made at first use ("main", "controllers", "scheduler", "node", "api-0", …). (transfer none), lives as long as the process. */
CUBE_EXPORT CubeLoop *cube_context_get_loop (CubeContext *context, const char *name);
CUBE_EXPORT void cube_loop_post (CubeLoop *loop, CubeTask task, gpointer data, GDestroyNotify destroy); /* any thread */
CUBE_EXPORT gboolean cube_loop_is_current (CubeLoop *loop); /* TRUE on the loop's own thread */
/* The GMainContext behind it, for libraries that need one (libsoup, GDBus). NULL under simulation. (transfer none) */
CUBE_EXPORT GMainContext *cube_loop_get_main_context (CubeLoop *loop);
/* Runs @task once after @delay_us. Any thread may call; the task runs on the loop. (transfer full): cube_timer_cancel or
 * cube_timer_free. After cancel returns on the loop's thread the task will not run. */
CUBE_EXPORT CubeTimer *cube_loop_after (CubeLoop *loop, gint64 delay_us, CubeTask task, gpointer data, GDestroyNotify destroy);
CUBE_EXPORT void cube_timer_cancel (CubeTimer *timer); /* cancels if not yet run, and frees the handle; NULL is fine */

/* ---- blocking work: a bounded pool; @work may block, @done (nullable) then runs on @loop. Under simulation both run in turn on the loop. ---- */
CUBE_EXPORT void cube_context_run_blocking (CubeContext *context, CubeTask work, CubeLoop *loop, CubeTask done, gpointer data);
/* The same for work that waits for somebody outside for as long as they like: a client that does not read, a program that takes no input. In a pool of its
 * own, so that however many wait, what the cluster itself has to do goes on. Since: 0.2 */
CUBE_EXPORT void cube_context_run_stream (CubeContext *context, CubeTask work, CubeLoop *loop, CubeTask done, gpointer data);

/* ---- clock and randomness ---- */
CUBE_EXPORT gint64 cube_context_now_us (CubeContext *context);       /* wall clock, µs since the epoch */
CUBE_EXPORT gint64 cube_context_monotonic_us (CubeContext *context); /* never goes back */
CUBE_EXPORT guint64 cube_context_random (CubeContext *context);      /* 64 unpredictable bits (seeded under simulation); any thread */
CUBE_EXPORT void cube_context_random_bytes (CubeContext *context, void *buffer, gsize length); /* for keys and tokens */
CUBE_EXPORT gboolean cube_context_is_simulated (CubeContext *context);

/* ---- what the process is ---- */
CUBE_EXPORT CubeClient *cube_context_client (CubeContext *context);     /* as the plugin's own identity system:cube:<plugin>; live from start() */
CUBE_EXPORT CubeRegistry *cube_context_registry (CubeContext *context);
CUBE_EXPORT CubeSchema *cube_context_schema (CubeContext *context);
CUBE_EXPORT CubeView cube_context_config (CubeContext *context);        /* the plugin's own part of the configuration, validated; NONE = none */
CUBE_EXPORT const char *cube_context_data_dir (CubeContext *context);   /* absolute; NULL under simulation or --data-dir-less runs */
CUBE_EXPORT const char *cube_context_node_name (CubeContext *context);  /* of this machine's agent */
/* A fact of the process by name, NULL = unknown: "listen-address", "listen-port", "advertise-address", "cluster-cidr", "service-cidr",
 * "cluster-dns", "cluster-domain", "runtime" (cri|sim), "sim-nodes", "roles", "ca-file", "runtime-endpoint", "version". (transfer full) */
CUBE_EXPORT char *cube_context_fact (CubeContext *context, const char *name);
CUBE_EXPORT void cube_context_set_fact (CubeContext *context, const char *name, const char *value);
CUBE_EXPORT gboolean cube_context_has_role (CubeContext *context, const char *role); /* "api", "controllers", "scheduler", "node" */

/* ---- health and figures: shown by `cube plugins`, `cube status`, /metrics, /readyz ---- */
CUBE_EXPORT void cube_context_set_health (CubeContext *context, gboolean is_healthy, const char *message);
CUBE_EXPORT void cube_context_add_time (CubeContext *context, gint64 spent_us); /* time spent in this plugin's callbacks */
/* Metrics by Prometheus name; labels as a ready text `verb="get",code="200"` or NULL. Cheap, any thread. */
CUBE_EXPORT void cube_metric_add (const char *name, const char *labels, double delta); /* a counter */
CUBE_EXPORT void cube_metric_set (const char *name, const char *labels, double value); /* a gauge */
CUBE_EXPORT void cube_metric_observe (const char *name, const char *labels, double seconds); /* a histogram of seconds */
CUBE_EXPORT void cube_metrics_dump (GString *out); /* appends all of them in the text exposition format */
CUBE_END_DECLS
