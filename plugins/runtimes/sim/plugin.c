/* SPDX-License-Identifier: Apache-2.0 */
#include "loopcall.h"
#include "sim.h"
#include <cube/plugin.h>
#include <stdlib.h>

static gboolean
read_duration (CubeView config, const char *key, gint64 fallback_us, gint64 *ret_us)
{
  const char *text = cube_view_string (cube_view_member (config, key));
  gint64 ns;
  *ret_us = fallback_us;
  if (text == NULL || !cube_duration_parse (text, &ns))
    return text == NULL;
  *ret_us = MAX (ns / 1000, 0);
  return TRUE;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Sim *sim = g_new0 (Sim, 1);
  CubeView config = cube_context_config (context);
  sim->context = context;
  sim->name_prefix = g_strdup (cube_view_string_or (cube_view_member (config, "name-prefix"), "sim-node-"));
  sim->cpu = g_strdup (cube_view_string_or (cube_view_member (config, "cpu"), "32"));
  sim->memory = g_strdup (cube_view_string_or (cube_view_member (config, "memory"), "256Gi"));
  sim->max_pods = g_strdup (cube_view_string_or (cube_view_member (config, "pods"), "110"));
  read_duration (config, "start-delay", 0, &sim->start_delay_us);
  read_duration (config, "stop-delay", 0, &sim->stop_delay_us);
  read_duration (config, "heartbeat", 10 * G_USEC_PER_SEC, &sim->heartbeat_us);
  sim->heartbeat_us = MAX (sim->heartbeat_us, G_USEC_PER_SEC / 10);
  *ret_state = sim;
  return TRUE;
}

static void
unload (gpointer state)
{
  Sim *sim = state;
  g_clear_pointer (&sim->down, g_hash_table_unref);
  g_free (sim->name_prefix);
  g_free (sim->cpu);
  g_free (sim->memory);
  g_free (sim->max_pods);
  g_free (sim);
}

static void
begin (gpointer data)
{
  Sim *sim = data;
  sim_nodes_start (sim);
  sim_pods_start (sim);
}

static gboolean
component_start (gpointer state, GError **error)
{
  Sim *sim = state;
  g_autofree char *wanted = cube_context_fact (sim->context, "sim-nodes");
  CubeSchema *schema = cube_context_schema (sim->context);
  sim->n_nodes = wanted != NULL ? (guint) atoi (wanted) : 0;
  if (sim->n_nodes == 0)
    return TRUE;
  sim->client = cube_context_client (sim->context);
  sim->loop = cube_context_get_loop (sim->context, "sim");
  sim->nodes = cube_schema_resource (schema, "v1", "nodes");
  sim->pods = cube_schema_resource (schema, "v1", "pods");
  sim->leases = cube_schema_resource (schema, "coordination.k8s.io/v1", "leases");
  cube_loop_post (sim->loop, begin, sim, NULL);
  return TRUE;
}

static void
end (gpointer data)
{
  Sim *sim = data;
  sim->is_stopping = TRUE;
  sim_pods_stop (sim);
  sim_nodes_stop (sim);
}

static void
component_stop (gpointer state)
{
  Sim *sim = state;
  if (sim->loop != NULL)
    loopcall_sync (sim->loop, end, sim);
}

static const CubeComponentOps component = {
  .ops_size = sizeof (CubeComponentOps),
  .role = "node",
  .order = 41,
  .start = component_start,
  .stop = component_stop,
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "sim-nodes", component),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (
        .name = "runtimes-sim", .version = "1.0", .license = "Apache-2.0", .description = "simulated nodes: pods live without containers",
        .impls = impls, .load = load, .unload = unload,
        .config_schema =
            "name-prefix string sim-node- names are the prefix and a number from 0\ncpu string 32 of each node\nmemory string 256Gi\n"
            "pods string 110\nstart-delay duration 0s from bound to Running\nstop-delay duration 0s from deleted to gone\n"
            "heartbeat duration 10s between renewals of a node's Lease");
