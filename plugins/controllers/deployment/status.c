/* SPDX-License-Identifier: Apache-2.0 */
/* What a Deployment says of itself: counts, conditions, progress; and forgetting old ReplicaSets. */
#include "deployment.h"
#include <string.h>

typedef struct {
  gint64 replicas, updated, ready, available, unavailable, terminating;
} Counts;

typedef struct {
  Rollout *rollout;
  Counts counts;
  gboolean is_rollout;
} Write;

static Counts
count (const Rollout *rollout)
{
  Counts counts = { 0 };
  for (guint i = 0; i < rollout->sets->len; i++)
    {
      const Set *set = rollout->sets->pdata[i];
      counts.replicas += set->replicas;
      counts.ready += set->ready;
      counts.available += set->available;
      counts.terminating += set->terminating;
    }
  counts.updated = rollout->new_set != NULL ? rollout->new_set->replicas : 0;
  counts.unavailable = MAX (rollout_sum_wanted (rollout, FALSE) - counts.available, 0);
  return counts;
}

static gboolean
is_complete (const Rollout *rollout, const Counts *counts)
{
  return counts->updated == rollout->replicas && counts->replicas == rollout->replicas && counts->available == rollout->replicas;
}

gboolean
rollout_is_complete (const Rollout *rollout)
{
  Counts counts = count (rollout);
  return is_complete (rollout, &counts);
}

static gint64
old_count (CubeView status, const char *key)
{
  return cube_view_get_int (status, 0, key);
}

static gboolean
is_progressing (const Counts *counts, CubeView old)
{
  return counts->updated > old_count (old, "updatedReplicas")
         || counts->replicas - counts->updated < old_count (old, "replicas") - old_count (old, "updatedReplicas")
         || counts->ready > old_count (old, "readyReplicas") || counts->available > old_count (old, "availableReplicas");
}

/* µs until the rollout is judged stuck; negative: it is. G_MAXINT64: it cannot be. */
static gint64
time_left (const Rollout *rollout, CubeView old_status)
{
  CubeView progressing = cube_condition_find (old_status, "Progressing");
  const char *reason = cube_view_get_string (progressing, "reason");
  const char *since = cube_view_get_string (progressing, "lastUpdateTime");
  gint64 since_us;
  if (rollout->progress_deadline_s == 0 || reason == NULL || g_str_equal (reason, "NewReplicaSetAvailable"))
    return G_MAXINT64;
  if (g_str_equal (reason, "ProgressDeadlineExceeded"))
    return -1;
  if (since == NULL || !cube_time_parse (since, &since_us))
    return G_MAXINT64;
  return since_us + rollout->progress_deadline_s * G_USEC_PER_SEC - rollout->now_us;
}

static char *
progress_text (const Rollout *rollout, const char *what)
{
  if (rollout->new_set != NULL)
    return g_strdup_printf ("ReplicaSet \"%s\" %s", cube_object_name (rollout->new_set->object), what);
  return g_strdup_printf ("Deployment \"%s\" %s", cube_object_name (rollout->object), what);
}

/* Progress is shown by a fresh lastUpdateTime, so the condition is replaced even when status and reason stay. */
static gboolean
set_progressing (const Rollout *rollout, CubeMut *status, CubeView old_status)
{
  g_autofree char *text = progress_text (rollout, "is progressing.");
  CubeView old = cube_condition_find (old_status, "Progressing");
  g_autofree char *since = g_strdup (cube_view_get_string (old, "lastTransitionTime"));
  gboolean keep = g_strcmp0 (cube_view_get_string (old, "status"), "True") == 0 && since != NULL;
  workload_remove_condition (status, "Progressing");
  workload_set_condition (status, "Progressing", "True", "ReplicaSetUpdated", text, rollout->now_us, TRUE);
  CubeMut *conditions = cube_mut_member (status, "conditions");
  if (keep)
    cube_mut_set_string (cube_mut_element (conditions, cube_mut_length (conditions) - 1), "lastTransitionTime", since);
  return TRUE;
}

static gboolean
judge_progress (const Write *write, CubeMut *status, CubeView old)
{
  const Rollout *rollout = write->rollout;
  CubeView current = cube_condition_find (old, "Progressing");
  if (rollout->progress_deadline_s == 0)
    return workload_remove_condition (status, "Progressing");
  if (write->counts.replicas == write->counts.updated
      && g_strcmp0 (cube_view_get_string (current, "reason"), "NewReplicaSetAvailable") == 0)
    return FALSE; /* an old rollout that is through */
  if (is_complete (rollout, &write->counts))
    {
      g_autofree char *text = progress_text (rollout, "has successfully progressed.");
      return workload_set_condition (status, "Progressing", "True", "NewReplicaSetAvailable", text, rollout->now_us, TRUE);
    }
  if (is_progressing (&write->counts, old))
    return set_progressing (rollout, status, old);
  if (time_left (rollout, old) >= 0)
    return FALSE;
  g_autofree char *text = progress_text (rollout, "has timed out progressing.");
  return workload_set_condition (status, "Progressing", "False", "ProgressDeadlineExceeded", text, rollout->now_us, TRUE);
}

static gboolean
show_failure (const Rollout *rollout, CubeMut *status)
{
  CubeView failure = cube_view_none ();
  if (rollout->new_set != NULL)
    failure = cube_condition_find (cube_value_get (rollout->new_set->value, "status"), "ReplicaFailure");
  for (guint i = 0; i < rollout->sets->len && !cube_view_exists (failure); i++)
    failure = cube_condition_find (cube_value_get (((Set *) rollout->sets->pdata[i])->value, "status"), "ReplicaFailure");
  if (!cube_view_exists (failure))
    return workload_remove_condition (status, "ReplicaFailure");
  return workload_set_condition (status, "ReplicaFailure", cube_view_get_string (failure, "status"),
                                 cube_view_get_string (failure, "reason"), cube_view_get_string (failure, "message"), rollout->now_us,
                                 TRUE);
}

static gboolean
set_count (CubeMut *status, CubeView old, const char *key, gint64 value)
{
  if (old_count (old, key) == value)
    return FALSE;
  if (value != 0)
    cube_mut_set_int (status, key, value);
  else
    cube_mut_remove (status, key);
  return TRUE;
}

static gboolean
set_counts (const Write *write, CubeMut *status, CubeView old)
{
  const Counts *counts = &write->counts;
  gboolean is_changed = set_count (status, old, "observedGeneration",
                                   MAX (cube_object_generation (write->rollout->object), old_count (old, "observedGeneration")));
  is_changed |= set_count (status, old, "replicas", counts->replicas);
  is_changed |= set_count (status, old, "updatedReplicas", counts->updated);
  is_changed |= set_count (status, old, "readyReplicas", counts->ready);
  is_changed |= set_count (status, old, "availableReplicas", counts->available);
  is_changed |= set_count (status, old, "unavailableReplicas", counts->unavailable);
  if (old_count (old, "terminatingReplicas") != counts->terminating || !cube_view_exists (cube_view_member (old, "terminatingReplicas")))
    {
      cube_mut_set_int (status, "terminatingReplicas", counts->terminating);
      is_changed = TRUE;
    }
  if (write->rollout->collision_count >= 0)
    is_changed |= set_count (status, old, "collisionCount", write->rollout->collision_count);
  return is_changed;
}

static gboolean
change_status (CubeMut *root, CubeView current, gpointer data)
{
  const Write *write = data;
  const Rollout *rollout = write->rollout;
  CubeMut *status = cube_mut_ensure_object (root, "status");
  CubeView old = cube_view_member (current, "status");
  gboolean is_changed = set_counts (write, status, old);
  gboolean is_available = write->counts.available >= rollout->replicas - rollout->max_unavailable;
  is_changed |= workload_set_condition (
      status, "Available", is_available ? "True" : "False", is_available ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
      is_available ? "Deployment has minimum availability." : "Deployment does not have minimum availability.", rollout->now_us, TRUE);
  if (rollout->progress_reason != NULL && rollout->progress_deadline_s > 0)
    is_changed |= workload_set_condition (status, "Progressing", rollout->progress_status, rollout->progress_reason,
                                          rollout->progress_message, rollout->now_us, TRUE);
  else if (write->is_rollout)
    is_changed |= judge_progress (write, status, old);
  if (write->is_rollout)
    is_changed |= show_failure (rollout, status);
  return is_changed;
}

gboolean
rollout_write_status (Rollout *rollout, gboolean is_rollout, gint64 *ret_again_us, GError **error)
{
  Write write = { rollout, count (rollout), is_rollout };
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) written =
      cube_client_modify (rollout->env->client, rollout->deployments, "status", cube_object_namespace (rollout->object),
                          cube_object_name (rollout->object), change_status, &write, &problem);
  if (written == NULL && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  if (written == NULL || ret_again_us == NULL)
    return TRUE;
  g_autoptr (CubeValue) value = cube_object_value (written);
  gint64 left = time_left (rollout, cube_value_get (value, "status"));
  *ret_again_us = left >= 0 && left < G_MAXINT64 ? left + G_USEC_PER_SEC : 0;
  return TRUE;
}

/* ---- paused ---- */

static gboolean
change_paused (CubeMut *root, CubeView current, gpointer data)
{
  const Rollout *rollout = data;
  gboolean is_paused = cube_view_get_bool (rollout->spec, FALSE, "paused");
  return workload_set_condition (cube_mut_ensure_object (root, "status"), "Progressing", "Unknown",
                                 is_paused ? "DeploymentPaused" : "DeploymentResumed",
                                 is_paused ? "Deployment is paused" : "Deployment is resumed", rollout->now_us, TRUE);
}

gboolean
rollout_mark_paused (Rollout *rollout, GError **error)
{
  CubeView condition = cube_condition_find (cube_view_member (rollout->view, "status"), "Progressing");
  const char *reason = cube_view_get_string (condition, "reason");
  gboolean is_paused = cube_view_get_bool (rollout->spec, FALSE, "paused");
  gboolean says_paused = g_strcmp0 (reason, "DeploymentPaused") == 0;
  if (rollout->progress_deadline_s == 0 || g_strcmp0 (reason, "ProgressDeadlineExceeded") == 0 || is_paused == says_paused)
    return TRUE;
  g_autoptr (CubeObject) written =
      cube_client_modify (rollout->env->client, rollout->deployments, "status", cube_object_namespace (rollout->object),
                          cube_object_name (rollout->object), change_paused, rollout, error);
  return written != NULL;
}

/* ---- history ---- */

static gint
compare_revision (gconstpointer a, gconstpointer b)
{
  const char *x = rollout_annotation ((*(const Set *const *) a)->value, REVISION),
             *y = rollout_annotation ((*(const Set *const *) b)->value, REVISION);
  gint64 left = x != NULL ? g_ascii_strtoll (x, NULL, 10) : 0, right = y != NULL ? g_ascii_strtoll (y, NULL, 10) : 0;
  return (left > right) - (left < right);
}

gboolean
rollout_clean_history (Rollout *rollout, GError **error)
{
  CubeView limit = cube_view_member (rollout->spec, "revisionHistoryLimit");
  g_autoptr (GPtrArray) old = g_ptr_array_new ();
  for (guint i = 0; i < rollout->sets->len; i++)
    {
      Set *set = rollout->sets->pdata[i];
      if (set != rollout->new_set && cube_object_deletion_timestamp (set->object) == NULL)
        g_ptr_array_add (old, set);
    }
  gint64 surplus = (gint64) old->len - cube_view_int (limit, 10);
  g_ptr_array_sort (old, compare_revision);
  for (guint i = 0; i < old->len && (gint64) i < surplus; i++)
    {
      const Set *set = old->pdata[i];
      gint64 observed = cube_view_int (cube_value_get (set->value, "status", "observedGeneration"), 0);
      if (set->replicas != 0 || set->wanted != 0 || cube_object_generation (set->object) > observed)
        continue;
      g_autoptr (GError) problem = NULL;
      if (cube_client_delete (rollout->env->client, rollout->sets_resource, cube_object_namespace (set->object),
                              cube_object_name (set->object), cube_object_uid (set->object), -1, CUBE_PROPAGATION_DEFAULT, &problem)
          || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        continue;
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  return TRUE;
}
