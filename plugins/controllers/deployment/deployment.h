/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One reconcile of a Deployment: what was read, what follows from it. Source: the Deployment controller of Kubernetes 1.36. */
#include <workload/workload.h>

#define REVISION "deployment.kubernetes.io/revision"
#define REVISION_HISTORY "deployment.kubernetes.io/revision-history"
#define DESIRED_REPLICAS "deployment.kubernetes.io/desired-replicas"
#define MAX_REPLICAS "deployment.kubernetes.io/max-replicas"
#define TEMPLATE_HASH "pod-template-hash"

typedef struct {
  CubeObject *object;
  CubeValue *value;
  gint64 wanted;                              /* spec.replicas */
  gint64 replicas, ready, available, terminating; /* of its status */
} Set;

typedef struct {
  CubeControllerEnv *env;
  const CubeResource *deployments, *sets_resource;
  CubeObject *object;
  CubeValue *value;
  CubeView view, spec;
  gint64 now_us;
  gint64 replicas, max_surge, max_unavailable, min_ready_s;
  gint64 progress_deadline_s;                 /* 0 = none */
  gboolean is_recreate;
  GPtrArray *sets;                            /* Set, by creation */
  Set *new_set;                               /* one of sets, or NULL */
  /* a condition to set with the next status write; reason NULL = none */
  const char *progress_status, *progress_reason;
  char *progress_message;
  gint64 collision_count;                     /* to write; -1 = as it is */
} Rollout;

/* ---- sets.c ---- */
gboolean rollout_read_sets (Rollout *rollout, GError **error); /* claims and sorts */
Set *rollout_set_refresh (Set *set, CubeObject *object /* (transfer full) */);
void rollout_set_free (gpointer set);
gint64 rollout_sum_wanted (const Rollout *rollout, gboolean is_old_only);
gint64 rollout_sum_available (const Rollout *rollout);
/* Finds the ReplicaSet of the present template, brings its annotations and the Deployment's revision up to date; makes it when there is none and @create. FALSE + error, or
 * FALSE without (a name collision: try again). */
gboolean rollout_sync_new_set (Rollout *rollout, gboolean create, GError **error);
gboolean rollout_scale_set (Rollout *rollout, Set *set, gint64 size, gboolean *ret_is_scaled, GError **error);
const char *rollout_annotation (const CubeValue *value, const char *key);

/* ---- rolling.c ---- */
gint64 rollout_new_set_size (const Rollout *rollout, gint64 current);
gboolean rollout_roll (Rollout *rollout, GError **error);
gboolean rollout_recreate (Rollout *rollout, GError **error);

/* ---- scaling.c ---- */
gboolean rollout_is_scaling (const Rollout *rollout);
gboolean rollout_scale (Rollout *rollout, GError **error);

/* ---- status.c ---- */
/* Writes the status. @is_rollout: judges progress too. *ret_again_us: when to look again at a rollout that may be stuck. */
gboolean rollout_write_status (Rollout *rollout, gboolean is_rollout, gint64 *ret_again_us, GError **error);
gboolean rollout_mark_paused (Rollout *rollout, GError **error);
gboolean rollout_clean_history (Rollout *rollout, GError **error);
gboolean rollout_is_complete (const Rollout *rollout);
