/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping a number of pods: what ReplicaSet and ReplicationController have in common. */
#include "workload.h"
#include <string.h>

#define BURST 500 /* creates or deletes in one go */

typedef struct {
  gint64 replicas, fully_labeled, ready, available, terminating, observed_generation;
  const char *failure_reason, *failure_message; /* NULL: no failure to show */
  gint64 now_us;
} Status;

typedef struct {
  CubeControllerEnv *env;
  const CubeResource *resource;
  CubeObject *owner;
  CubeView view;
  GPtrArray *pods;   /* claimed, all */
  GPtrArray *active; /* of those */
  gint64 wanted, min_ready_s, wait_us;
} Round;

/* Pods whose number per node counts when some have to go: those of all owners with the same controller (a Deployment's other ReplicaSets). */
static GPtrArray *
find_related (Round *round)
{
  const CubeOwnerRef *controller = cube_object_controller (round->owner);
  GPtrArray *related = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  if (controller == NULL)
    {
      for (guint i = 0; i < round->active->len; i++)
        g_ptr_array_add (related, cube_object_ref (round->active->pdata[i]));
      return related;
    }
  const CubeResource *pods = cube_schema_resource (cube_client_schema (round->env->client), "v1", "pods");
  g_autoptr (GPtrArray) siblings =
      cube_client_list_owned (round->env->client, round->resource, cube_object_namespace (round->owner), controller->uid, NULL);
  for (guint i = 0; siblings != NULL && i < siblings->len; i++)
    {
      g_autoptr (GPtrArray) theirs = cube_client_list_owned (round->env->client, pods, cube_object_namespace (round->owner),
                                                             cube_object_uid (siblings->pdata[i]), NULL);
      if (theirs != NULL)
        g_ptr_array_extend_and_steal (related, g_steal_pointer (&theirs));
    }
  return related;
}

/* @ret_change: -1 pods were deleted, 1 made, 0 nothing. */
static gboolean
manage (Round *round, int *ret_change, GError **error)
{
  gint64 difference = round->wanted - (gint64) round->active->len;
  *ret_change = 0;
  if (difference == 0 || cube_object_deletion_timestamp (round->owner) != NULL)
    return TRUE;
  guint n = (guint) MIN (difference > 0 ? difference : -difference, BURST);
  *ret_change = difference > 0 ? 1 : -1;
  if (difference > 0)
    return workload_create_pods (round->env, round->owner, cube_view_get (round->view, "spec", "template"), n, NULL, error);
  g_autoptr (GPtrArray) related = find_related (round);
  workload_rank_for_deletion (round->active, related, cube_context_now_us (round->env->context));
  g_autoptr (GPtrArray) doomed = g_ptr_array_new ();
  for (guint i = 0; i < n && i < round->active->len; i++)
    g_ptr_array_add (doomed, round->active->pdata[i]);
  return workload_delete_pods (round->env, round->owner, doomed, error);
}

static void
count_pods (Round *round, Status *status)
{
  CubeView labels = cube_view_get (round->view, "spec", "template", "metadata", "labels");
  g_autoptr (CubeSelector) template = cube_selector_from_map (labels);
  gboolean has_labels = cube_view_length (labels) > 0;
  for (guint i = 0; i < round->pods->len; i++)
    {
      CubeObject *pod = round->pods->pdata[i];
      g_autoptr (CubeValue) value = cube_object_value (pod);
      CubeView root = cube_value_root (value);
      const char *phase = cube_view_get_string (root, "status", "phase");
      if (!workload_pod_is_active (root))
        {
          status->terminating +=
              cube_object_deletion_timestamp (pod) != NULL && g_strcmp0 (phase, "Succeeded") != 0 && g_strcmp0 (phase, "Failed") != 0;
          continue;
        }
      g_ptr_array_add (round->active, pod);
      status->replicas++;
      status->fully_labeled += !has_labels || cube_selector_matches_object (template, pod);
      status->ready += workload_pod_is_ready (root);
      status->available += workload_pod_is_available (root, round->min_ready_s, status->now_us, &round->wait_us);
    }
}

static gboolean
set_count (CubeMut *status, CubeView old, const char *key, gint64 value, gboolean is_always)
{
  if (cube_view_get_int (old, 0, key) == value && (!is_always || cube_view_exists (cube_view_member (old, key))))
    return FALSE;
  if (value == 0 && !is_always)
    cube_mut_remove (status, key);
  else
    cube_mut_set_int (status, key, value);
  return TRUE;
}

static gboolean
change_status (CubeMut *root, CubeView current, gpointer data)
{
  const Status *wanted = data;
  CubeMut *status = cube_mut_ensure_object (root, "status");
  CubeView old = cube_view_member (current, "status");
  gboolean is_changed = set_count (status, old, "replicas", wanted->replicas, TRUE);
  is_changed |= set_count (status, old, "fullyLabeledReplicas", wanted->fully_labeled, FALSE);
  is_changed |= set_count (status, old, "readyReplicas", wanted->ready, FALSE);
  is_changed |= set_count (status, old, "availableReplicas", wanted->available, FALSE);
  if (wanted->terminating >= 0)
    is_changed |= set_count (status, old, "terminatingReplicas", wanted->terminating, TRUE);
  is_changed |= set_count (status, old, "observedGeneration",
                           MAX (wanted->observed_generation, cube_view_get_int (old, 0, "observedGeneration")), FALSE);
  if (wanted->failure_reason != NULL && !cube_view_exists (cube_condition_find (old, "ReplicaFailure")))
    is_changed |=
        workload_set_condition (status, "ReplicaFailure", "True", wanted->failure_reason, wanted->failure_message, wanted->now_us, FALSE);
  else if (wanted->failure_reason == NULL)
    is_changed |= workload_remove_condition (status, "ReplicaFailure");
  return is_changed;
}

static gboolean
write_status (Round *round, Status *status, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) written = cube_client_modify (round->env->client, round->resource, "status", cube_object_namespace (round->owner),
                                                       cube_object_name (round->owner), change_status, status, &problem);
  if (written != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}

static gint64
run_round (Round *round, const CubeSelector *selector, GError **error)
{
  const CubeResource *pods = cube_schema_resource (cube_client_schema (round->env->client), "v1", "pods");
  WorkloadClaim claim = { pods, round->owner, selector };
  Status status = { .now_us = cube_context_now_us (round->env->context), .observed_generation = cube_object_generation (round->owner) };
  g_autoptr (GError) problem = NULL;
  int change;
  round->pods = workload_claim (round->env, &claim, error);
  if (round->pods == NULL)
    return -1;
  round->active = g_ptr_array_new ();
  count_pods (round, &status);
  if (!g_str_equal (cube_object_kind (round->owner), "ReplicaSet"))
    status.terminating = -1; /* ReplicationController has no such field */
  if (!manage (round, &change, &problem))
    {
      status.failure_reason = change > 0 ? "FailedCreate" : "FailedDelete";
      status.failure_message = problem->message;
    }
  gboolean is_written = write_status (round, &status, problem == NULL ? error : NULL);
  g_ptr_array_unref (round->active);
  if (problem != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  /* More than one burst to go: the pods just made wake us; deletions of pods do too. */
  return is_written ? round->wait_us : -1;
}

gint64
replicas_reconcile (const ReplicasKind *kind, CubeControllerEnv *env, const char *key, GError **error)
{
  g_autofree char *ns = NULL, *name = NULL;
  cube_key_split (key, &ns, &name);
  const CubeResource *resource = cube_schema_resource (cube_client_schema (env->client), kind->api_version, kind->resource_name);
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) owner = cube_client_get (env->client, resource, ns, name, &problem);
  if (owner == NULL)
    {
      if (g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        return 0;
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  g_autoptr (CubeValue) value = cube_object_value (owner);
  g_autoptr (CubeSelector) selector = kind->selector_of (cube_value_root (value));
  if (selector == NULL || cube_selector_is_everything (selector))
    return 0; /* validation lets none in; nothing sensible can be done */
  Round round = { .env = env, .resource = resource, .owner = owner, .view = cube_value_root (value) };
  round.wanted = cube_view_get_int (round.view, 1, "spec", "replicas");
  round.min_ready_s = cube_view_get_int (round.view, 0, "spec", "minReadySeconds");
  gint64 again = run_round (&round, selector, error);
  g_clear_pointer (&round.pods, g_ptr_array_unref);
  return again;
}

void
replicas_map_pod (const ReplicasKind *kind, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old)
{
  const CubeResource *resource = cube_schema_resource (cube_client_schema (env->client), kind->api_version, kind->resource_name);
  workload_map_pod (env, kind->kind, resource, kind->selector_of, type, object, old);
}
