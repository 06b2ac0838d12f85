/* SPDX-License-Identifier: Apache-2.0 */
/* The two strategies: RollingUpdate and Recreate. */
#include "deployment.h"
#include <string.h>

/* Kubernetes' NewRSNewReplicas. */
gint64
rollout_new_set_size (const Rollout *rollout, gint64 current)
{
  if (rollout->is_recreate)
    return rollout->replicas;
  gint64 room = rollout->replicas + rollout->max_surge - rollout_sum_wanted (rollout, FALSE);
  return room <= 0 ? current : current + MIN (room, rollout->replicas - current);
}

static gboolean
grow_new_set (Rollout *rollout, gboolean *ret_is_scaled, GError **error)
{
  gint64 have = rollout->new_set->wanted;
  if (have == rollout->replicas)
    return TRUE;
  gint64 size = have > rollout->replicas ? rollout->replicas : rollout_new_set_size (rollout, have);
  return rollout_scale_set (rollout, rollout->new_set, size, ret_is_scaled, error);
}

typedef gint64 (*Removable) (const Set *set);

static gint64
unhealthy (const Set *set)
{
  return MAX (set->wanted - set->available, 0);
}

static gint64
all_of_them (const Set *set)
{
  return set->wanted;
}

/* Takes up to @budget replicas from the old sets, oldest first. */
static gboolean
shrink_old_sets (Rollout *rollout, gint64 budget, Removable removable, gboolean *ret_is_scaled, GError **error)
{
  for (guint i = 0; i < rollout->sets->len && budget > 0; i++)
    {
      Set *set = rollout->sets->pdata[i];
      if (set == rollout->new_set || set->wanted == 0)
        continue;
      gint64 n = MIN (removable (set), budget);
      if (n <= 0)
        continue;
      budget -= n;
      if (!rollout_scale_set (rollout, set, set->wanted - n, ret_is_scaled, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
shrink_old (Rollout *rollout, gboolean *ret_is_scaled, GError **error)
{
  gint64 min_available = rollout->replicas - rollout->max_unavailable;
  gint64 new_unavailable = rollout->new_set->wanted - rollout->new_set->available;
  gint64 budget = rollout_sum_wanted (rollout, FALSE) - min_available - new_unavailable;
  if (rollout_sum_wanted (rollout, TRUE) == 0 || budget <= 0)
    return TRUE;
  if (!shrink_old_sets (rollout, budget, unhealthy, ret_is_scaled, error))
    return FALSE;
  gint64 surplus = rollout_sum_available (rollout) - min_available;
  return surplus <= 0 || shrink_old_sets (rollout, surplus, all_of_them, ret_is_scaled, error);
}

gboolean
rollout_roll (Rollout *rollout, GError **error)
{
  gboolean is_scaled = FALSE;
  if (!rollout_sync_new_set (rollout, TRUE, error) || !grow_new_set (rollout, &is_scaled, error))
    return FALSE;
  if (!is_scaled && !shrink_old (rollout, &is_scaled, error))
    return FALSE;
  return is_scaled || !rollout_is_complete (rollout) || rollout_clean_history (rollout, error);
}

/* A pod of an old ReplicaSet that has not ended yet, also one that is going. */
static gboolean
is_old_pod_left (Rollout *rollout)
{
  const CubeResource *pods = cube_schema_resource (cube_client_schema (rollout->env->client), "v1", "pods");
  for (guint i = 0; i < rollout->sets->len; i++)
    {
      Set *set = rollout->sets->pdata[i];
      if (set == rollout->new_set)
        continue;
      if (set->replicas > 0)
        return TRUE;
      g_autoptr (GPtrArray) list =
          cube_client_list_owned (rollout->env->client, pods, cube_object_namespace (set->object), cube_object_uid (set->object), NULL);
      for (guint j = 0; list != NULL && j < list->len; j++)
        {
          g_autoptr (CubeValue) value = cube_object_value (list->pdata[j]);
          const char *phase = cube_view_string (cube_value_get (value, "status", "phase"));
          if (g_strcmp0 (phase, "Succeeded") != 0 && g_strcmp0 (phase, "Failed") != 0)
            return TRUE;
        }
    }
  return FALSE;
}

gboolean
rollout_recreate (Rollout *rollout, GError **error)
{
  gboolean is_scaled = FALSE;
  if (!rollout_sync_new_set (rollout, FALSE, error) || !shrink_old_sets (rollout, G_MAXINT64, all_of_them, &is_scaled, error))
    return FALSE;
  if (is_scaled || is_old_pod_left (rollout))
    return TRUE;
  if (rollout->new_set == NULL && !rollout_sync_new_set (rollout, TRUE, error))
    return FALSE;
  if (!rollout_scale_set (rollout, rollout->new_set, rollout->replicas, &is_scaled, error))
    return FALSE;
  return is_scaled || !rollout_is_complete (rollout) || rollout_clean_history (rollout, error);
}
