/* SPDX-License-Identifier: Apache-2.0 */
#include "lifecycle.h"

static gboolean
read_duration (CubeView config, const char *key, gint64 fallback_s, gint64 *ret_us, GError **error)
{
  const char *text = cube_view_string (cube_view_member (config, key));
  gint64 ns;
  *ret_us = fallback_s * G_USEC_PER_SEC;
  if (text == NULL)
    return TRUE;
  if (!cube_duration_parse (text, &ns) || ns < 1000000)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: found \"%s\", wanted a duration of at least 1ms", key, text);
      return FALSE;
    }
  *ret_us = ns / 1000;
  return TRUE;
}

static void
unload (gpointer state)
{
  Lifecycle *self = state;
  g_hash_table_unref (self->nodes);
  g_hash_table_unref (self->zones);
  g_hash_table_unref (self->tainted);
  g_hash_table_unref (self->waiting);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  CubeView config = cube_context_config (context);
  Lifecycle *self = g_new0 (Lifecycle, 1);
  self->context = context;
  g_mutex_init (&self->lock);
  lifecycle_clear (self);
  self->tainted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->waiting = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->large_zone = CLAMP (cube_view_get_int (config, 50, "large-zone"), 0, 1000000);
  self->unhealthy_percent = CLAMP (cube_view_get_int (config, 55, "unhealthy-zone-percent"), 1, 100);
  if (!read_duration (config, "monitor-period", 5, &self->monitor_us, error)
      || !read_duration (config, "grace-period", 50, &self->grace_us, error)
      || !read_duration (config, "startup-grace-period", 60, &self->startup_us, error)
      || !read_duration (config, "eviction-interval", 10, &self->evict_us, error)
      || !read_duration (config, "secondary-eviction-interval", 100, &self->slow_evict_us, error))
    {
      unload (self);
      return FALSE;
    }
  *ret_state = self;
  return TRUE;
}

/* The ids give the names Kubernetes shows in events: node-controller, taint-eviction-controller. */
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "node", lifecycle_node_ops),
                                           CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "taint-eviction", lifecycle_eviction_ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (
        .name = "controllers-node-lifecycle", .version = "1.0", .license = "Apache-2.0",
        .description = "notices silent nodes, taints them and moves their pods", .impls = impls, .load = load, .unload = unload,
        .config_schema =
            "monitor-period duration 5s from a node's loss to its first NoExecute taint, and how often one that may not be emptied yet is looked at again\n"
            "grace-period duration 50s silence after which a node is Unknown\n"
            "startup-grace-period duration 60s the same for a node that never posted its status\n"
            "eviction-interval duration 10s between two nodes of a zone that get a NoExecute taint\n"
            "secondary-eviction-interval duration 100s the same in a large zone that is disrupted in part\n"
            "large-zone int 50 nodes; a disrupted zone of no more is not emptied at all\n"
            "unhealthy-zone-percent int 55 of nodes not ready make a zone disrupted in part, when they are more than 2\n");
