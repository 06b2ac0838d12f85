/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"
#include <string.h>

static const struct {
  const char *condition, *status, *taint;
} rules[] = {
  { "Ready", "False", TAINT_NOT_READY },
  { "Ready", "Unknown", TAINT_UNREACHABLE },
  { "MemoryPressure", "True", "node.kubernetes.io/memory-pressure" },
  { "DiskPressure", "True", "node.kubernetes.io/disk-pressure" },
  { "PIDPressure", "True", "node.kubernetes.io/pid-pressure" },
  { "NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable" },
};
#define TAINT_UNSCHEDULABLE "node.kubernetes.io/unschedulable"

static const char *
status_of (CubeView node, const char *type)
{
  return cube_view_get_string (cube_condition_find (cube_view_member (node, "status"), type), "status");
}

char
lifecycle_ready_of (CubeView node)
{
  const char *status = status_of (node, "Ready");
  return status == NULL ? 0 : strcmp (status, "True") == 0 ? 'T' : strcmp (status, "False") == 0 ? 'F' : 'U';
}

gboolean
lifecycle_has_no_execute (CubeView node)
{
  CubeIter it;
  CubeView taint;
  for (cube_iter_init (&it, cube_view_get (node, "spec", "taints")); cube_iter_next (&it, NULL, &taint);)
    {
      const char *key = cube_view_get_string (taint, "key");
      if (g_strcmp0 (cube_view_get_string (taint, "effect"), "NoExecute") == 0
          && (g_strcmp0 (key, TAINT_NOT_READY) == 0 || g_strcmp0 (key, TAINT_UNREACHABLE) == 0))
        return TRUE;
    }
  return FALSE;
}

/* ---- writing ---- */

typedef struct {
  const char *wanted;
  gint64 now_us;
} Wish;

/* Adds or removes the taint (@key, @effect); TRUE if something changed. */
static gboolean
set_taint (CubeMut *spec, const char *key, const char *effect, gboolean is_wanted, gint64 now_us)
{
  CubeMut *taints = cube_mut_member (spec, "taints");
  for (guint i = 0; i < cube_mut_length (taints); i++)
    {
      CubeMut *taint = cube_mut_element (taints, i);
      if (g_strcmp0 (cube_mut_string (cube_mut_member (taint, "key")), key) != 0
          || g_strcmp0 (cube_mut_string (cube_mut_member (taint, "effect")), effect) != 0)
        continue;
      if (is_wanted)
        return FALSE;
      cube_mut_remove_element (taints, i);
      if (cube_mut_length (taints) == 0)
        cube_mut_remove (spec, "taints");
      return TRUE;
    }
  if (!is_wanted)
    return FALSE;
  CubeMut *taint = cube_mut_append_object (cube_mut_ensure_array (spec, "taints"));
  char now[32];
  cube_time_format (now_us, now);
  cube_mut_set_string (taint, "key", key);
  cube_mut_set_string (taint, "effect", effect);
  cube_mut_set_string (taint, "timeAdded", now);
  return TRUE;
}

static gboolean
change (CubeMut *root, CubeView node, gpointer data)
{
  const Wish *wish = data;
  CubeMut *spec = cube_mut_ensure_object (root, "spec");
  gboolean is_changed = FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (rules); i++)
    is_changed |= set_taint (spec, rules[i].taint, "NoSchedule", g_strcmp0 (status_of (node, rules[i].condition), rules[i].status) == 0,
                             wish->now_us);
  is_changed |=
      set_taint (spec, TAINT_UNSCHEDULABLE, "NoSchedule", cube_view_get_bool (node, FALSE, "spec", "unschedulable"), wish->now_us);
  is_changed |= set_taint (spec, TAINT_NOT_READY, "NoExecute", g_strcmp0 (wish->wanted, TAINT_NOT_READY) == 0, wish->now_us);
  is_changed |= set_taint (spec, TAINT_UNREACHABLE, "NoExecute", g_strcmp0 (wish->wanted, TAINT_UNREACHABLE) == 0, wish->now_us);
  return is_changed;
}

gboolean
lifecycle_write_taints (CubeControllerEnv *env, const char *name, const char *wanted, GError **error)
{
  const CubeResource *nodes = cube_schema_resource (cube_client_schema (env->client), "v1", "nodes");
  Wish wish = { wanted, cube_context_now_us (env->context) };
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) node = cube_client_modify (env->client, nodes, NULL, NULL, name, change, &wish, &problem);
  if (node != NULL || g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&problem));
  return FALSE;
}
