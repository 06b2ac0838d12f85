/* SPDX-License-Identifier: Apache-2.0 */
/* Which pods go first: Kubernetes' ActivePodsWithRanks, each pod read once. */
#include "workload.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
  CubeObject *pod;
  gboolean is_assigned, is_ready;
  int phase; /* 0 Pending, 1 Unknown, 2 Running */
  gint64 deletion_cost;
  guint neighbours;               /* active related pods on the same node */
  guint ready_bucket, age_bucket; /* log2 of nanoseconds; 0 = not at all */
  gint64 restarts, sidecar_restarts;
} Rank;

static guint
bucket_of (gint64 since_us, gint64 now_us)
{
  guint64 ns = now_us > since_us ? (guint64) (now_us - since_us) * 1000 : 0;
  return ns > 0 ? 64 - (guint) __builtin_clzll (ns) : 0;
}

static gint64
max_restarts (CubeView statuses)
{
  gint64 most = 0;
  CubeIter it;
  CubeView status;
  for (cube_iter_init (&it, statuses); cube_iter_next (&it, NULL, &status);)
    most = MAX (most, cube_view_get_int (status, 0, "restartCount"));
  return most;
}

static Rank
rank_pod (CubeObject *pod, GHashTable *per_node, gint64 now_us)
{
  g_autoptr (CubeValue) value = cube_object_value (pod);
  CubeView root = cube_value_root (value);
  const char *node = cube_view_get_string (root, "spec", "nodeName");
  const char *phase = cube_view_get_string (root, "status", "phase");
  const char *cost = cube_view_get_string (root, "metadata", "annotations", "controller.kubernetes.io/pod-deletion-cost");
  CubeView ready = cube_condition_find (cube_view_member (root, "status"), "Ready");
  gint64 since_us;
  Rank rank = { .pod = pod, .is_assigned = node != NULL && *node != '\0', .is_ready = workload_pod_is_ready (root) };
  rank.phase = g_strcmp0 (phase, "Running") == 0 ? 2 : g_strcmp0 (phase, "Unknown") == 0 ? 1 : 0;
  rank.deletion_cost = cost != NULL ? g_ascii_strtoll (cost, NULL, 10) : 0;
  rank.neighbours = rank.is_assigned && per_node != NULL ? GPOINTER_TO_UINT (g_hash_table_lookup (per_node, node)) : 0;
  const char *ready_text = cube_view_get_string (ready, "lastTransitionTime");
  if (rank.is_ready && ready_text != NULL && cube_time_parse (ready_text, &since_us))
    rank.ready_bucket = bucket_of (since_us, now_us);
  const char *created = cube_object_creation_timestamp (pod);
  if (created != NULL && cube_time_parse (created, &since_us))
    rank.age_bucket = bucket_of (since_us, now_us);
  rank.restarts = max_restarts (cube_view_get (root, "status", "containerStatuses"));
  rank.sidecar_restarts = max_restarts (cube_view_get (root, "status", "initContainerStatuses"));
  return rank;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int
compare (const void *x, const void *y)
{
  const Rank *a = x, *b = y;
  int order;
  if ((order = ORDER (a->is_assigned, b->is_assigned)) != 0 || (order = ORDER (a->phase, b->phase)) != 0
      || (order = ORDER (a->is_ready, b->is_ready)) != 0 || (order = ORDER (a->deletion_cost, b->deletion_cost)) != 0
      || (order = ORDER (b->neighbours, a->neighbours)) != 0)
    return order;
  if (a->is_ready && b->is_ready && (order = ORDER (a->ready_bucket, b->ready_bucket)) != 0)
    return order;
  if ((order = ORDER (b->restarts, a->restarts)) != 0 || (order = ORDER (b->sidecar_restarts, a->sidecar_restarts)) != 0
      || (order = ORDER (a->age_bucket, b->age_bucket)) != 0)
    return order;
  return strcmp (cube_object_uid (a->pod), cube_object_uid (b->pod));
}

/* node name → number of pods. (transfer full) */
static GHashTable *
count_per_node (GPtrArray *pods)
{
  GHashTable *count = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < pods->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (pods->pdata[i]);
      const char *node = cube_view_string (cube_value_get (value, "spec", "nodeName"));
      if (node != NULL && workload_pod_is_active (cube_value_root (value)))
        g_hash_table_insert (count, g_strdup (node), GUINT_TO_POINTER (GPOINTER_TO_UINT (g_hash_table_lookup (count, node)) + 1));
    }
  return count;
}

void
workload_rank_for_deletion (GPtrArray *pods, GPtrArray *related, gint64 now_us)
{
  g_autoptr (GHashTable) per_node = related != NULL ? count_per_node (related) : NULL;
  g_autofree Rank *ranks = g_new0 (Rank, pods->len + 1);
  for (guint i = 0; i < pods->len; i++)
    ranks[i] = rank_pod (pods->pdata[i], per_node, now_us);
  qsort (ranks, pods->len, sizeof *ranks, compare);
  for (guint i = 0; i < pods->len; i++)
    pods->pdata[i] = ranks[i].pod;
}
