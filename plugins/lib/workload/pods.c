/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"
#include <string.h>

gboolean
workload_pod_is_active (CubeView pod)
{
  const char *phase = cube_view_get_string (pod, "status", "phase");
  return g_strcmp0 (phase, "Succeeded") != 0 && g_strcmp0 (phase, "Failed") != 0
         && !cube_view_exists (cube_view_get (pod, "metadata", "deletionTimestamp"));
}

static CubeView
ready_condition (CubeView pod)
{
  return cube_condition_find (cube_view_member (pod, "status"), "Ready");
}

gboolean
workload_pod_is_ready (CubeView pod)
{
  return g_strcmp0 (cube_view_get_string (ready_condition (pod), "status"), "True") == 0;
}

gboolean
workload_pod_is_available (CubeView pod, gint64 min_ready_s, gint64 now_us, gint64 *ret_wait_us)
{
  gint64 since_us;
  if (!workload_pod_is_ready (pod))
    return FALSE;
  if (min_ready_s <= 0)
    return TRUE;
  const char *text = cube_view_get_string (ready_condition (pod), "lastTransitionTime");
  if (text == NULL || !cube_time_parse (text, &since_us))
    return FALSE;
  gint64 wait_us = since_us + min_ready_s * G_USEC_PER_SEC - now_us;
  if (wait_us <= 0)
    return TRUE;
  if (ret_wait_us != NULL)
    *ret_wait_us = *ret_wait_us > 0 ? MIN (*ret_wait_us, wait_us) : wait_us;
  return FALSE;
}

/* ---- conditions ---- */

CubeMut *
workload_find_condition (CubeMut *conditions, const char *type, guint *ret_index)
{
  for (guint i = 0; i < cube_mut_length (conditions); i++)
    {
      CubeMut *condition = cube_mut_element (conditions, i);
      if (g_strcmp0 (cube_mut_string (cube_mut_member (condition, "type")), type) != 0)
        continue;
      if (ret_index != NULL)
        *ret_index = i;
      return condition;
    }
  return NULL;
}

void
workload_state_condition (CubeMut *conditions, const char *type, gboolean is_true, const char *reason, const char *message, const char *now)
{
  const char *status = is_true ? "True" : "False";
  CubeMut *condition = workload_find_condition (conditions, type, NULL);
  if (condition == NULL)
    condition = cube_mut_append_object (conditions);
  if (g_strcmp0 (cube_mut_string (cube_mut_member (condition, "status")), status) != 0)
    cube_mut_set_string (condition, "lastTransitionTime", now);
  cube_mut_set_string (condition, "type", type);
  cube_mut_set_string (condition, "status", status);
  cube_mut_set_string (condition, "reason", reason);
  cube_mut_set_string (condition, "message", message);
}

gboolean
workload_remove_condition (CubeMut *status_root, const char *type)
{
  CubeMut *conditions = cube_mut_member (status_root, "conditions");
  guint index;
  if (conditions == NULL || workload_find_condition (conditions, type, &index) == NULL)
    return FALSE;
  cube_mut_remove_element (conditions, index);
  if (cube_mut_length (conditions) == 0)
    cube_mut_remove (status_root, "conditions");
  return TRUE;
}

gboolean
workload_set_condition (CubeMut *status_root, const char *type, const char *status, const char *reason, const char *message, gint64 now_us,
                        gboolean with_update_time)
{
  CubeMut *conditions = cube_mut_ensure_array (status_root, "conditions");
  char now[32];
  guint index;
  cube_time_format (now_us, now);
  g_autofree char *transition = g_strdup (now);
  CubeMut *old = workload_find_condition (conditions, type, &index);
  if (old != NULL)
    {
      gboolean has_status = g_strcmp0 (cube_mut_string (cube_mut_member (old, "status")), status) == 0;
      if (has_status && g_strcmp0 (cube_mut_string (cube_mut_member (old, "reason")), reason) == 0)
        return FALSE;
      const char *since = cube_mut_string (cube_mut_member (old, "lastTransitionTime"));
      if (has_status && since != NULL)
        {
          g_free (transition);
          transition = g_strdup (since);
        }
      cube_mut_remove_element (conditions, index);
    }
  CubeMut *condition = cube_mut_append_object (conditions);
  cube_mut_set_string (condition, "type", type);
  cube_mut_set_string (condition, "status", status);
  if (with_update_time)
    cube_mut_set_string (condition, "lastUpdateTime", now);
  cube_mut_set_string (condition, "lastTransitionTime", transition);
  cube_mut_set_string (condition, "reason", reason);
  cube_mut_set_string (condition, "message", message);
  return TRUE;
}
