/* SPDX-License-Identifier: Apache-2.0 */
/* Node objects, their heartbeats, and nodes that are taken down: annotation sim.cube.dev/down="true" stops a node's life until it is removed. */
#include "sim.h"
#include <stdlib.h>
#include <string.h>

#define DOWN "sim.cube.dev/down"
#define LEASE_SECONDS 40
#define AT_ONCE 256 /* nodes registered in one go before the loop turns */

static char *
node_name (const Sim *sim, guint index)
{
  return g_strdup_printf ("%s%u", sim->name_prefix, index);
}

int
sim_node_index (const Sim *sim, const char *name)
{
  gsize length = strlen (sim->name_prefix);
  guint64 index;
  if (name == NULL || strncmp (name, sim->name_prefix, length) != 0
      || !g_ascii_string_to_unsigned (name + length, 10, 0, sim->n_nodes - 1, &index, NULL))
    return -1;
  return (int) index;
}

gboolean
sim_node_is_down (const Sim *sim, const char *name)
{
  return g_hash_table_contains (sim->down, name);
}

/* ---- registering ---- */

static void
add_condition (CubeMut *conditions, const char *type, const char *status, const char *reason, const char *message, const char *now)
{
  CubeMut *condition = cube_mut_append_object (conditions);
  cube_mut_set_string (condition, "type", type);
  cube_mut_set_string (condition, "status", status);
  cube_mut_set_string (condition, "lastHeartbeatTime", now);
  cube_mut_set_string (condition, "lastTransitionTime", now);
  cube_mut_set_string (condition, "reason", reason);
  cube_mut_set_string (condition, "message", message);
}

static void
fill_amounts (const Sim *sim, CubeMut *amounts)
{
  cube_mut_set_string (amounts, "cpu", sim->cpu);
  cube_mut_set_string (amounts, "memory", sim->memory);
  cube_mut_set_string (amounts, "pods", sim->max_pods);
  cube_mut_set_string (amounts, "ephemeral-storage", "1Ti");
}

static CubeValue *
compose_status (Sim *sim, guint index)
{
  char now[32];
  g_autofree char *name = node_name (sim, index);
  g_autofree char *address = g_strdup_printf ("100.%u.%u.%u", 64 + ((index >> 16) & 63), (index >> 8) & 255, index & 255);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *status = cube_mut_set_object (cube_builder_root (builder), "status");
  cube_time_format (cube_context_now_us (sim->context), now);
  fill_amounts (sim, cube_mut_set_object (status, "capacity"));
  fill_amounts (sim, cube_mut_set_object (status, "allocatable"));
  CubeMut *conditions = cube_mut_set_array (status, "conditions");
  add_condition (conditions, "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", now);
  add_condition (conditions, "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now);
  add_condition (conditions, "PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available", now);
  add_condition (conditions, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now);
  CubeMut *addresses = cube_mut_set_array (status, "addresses");
  CubeMut *internal = cube_mut_append_object (addresses);
  cube_mut_set_string (internal, "type", "InternalIP");
  cube_mut_set_string (internal, "address", address);
  CubeMut *host = cube_mut_append_object (addresses);
  cube_mut_set_string (host, "type", "Hostname");
  cube_mut_set_string (host, "address", name);
  g_autofree char *version = cube_context_fact (sim->context, "version");
  g_autofree char *kubelet = g_strdup_printf ("v1.36.0-cube%s", version != NULL ? version : "");
  CubeMut *info = cube_mut_set_object (status, "nodeInfo");
  static const char *const fixed[][2] = { { "architecture", "amd64" },
                                          { "operatingSystem", "linux" },
                                          { "containerRuntimeVersion", "sim://1" },
                                          { "bootID", "" },
                                          { "kernelVersion", "" },
                                          { "kubeProxyVersion", "" },
                                          { "machineID", "" },
                                          { "osImage", "simulated" },
                                          { "systemUUID", "" } };
  for (guint i = 0; i < G_N_ELEMENTS (fixed); i++)
    cube_mut_set_string (info, fixed[i][0], fixed[i][1]);
  cube_mut_set_string (info, "kubeletVersion", kubelet);
  return cube_builder_end (builder);
}

static CubeValue *
compose_node (const Sim *sim, guint index)
{
  g_autofree char *name = node_name (sim, index);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Node");
  CubeMut *metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", name);
  CubeMut *labels = cube_mut_set_object (metadata, "labels");
  cube_mut_set_string (labels, "kubernetes.io/hostname", name);
  cube_mut_set_string (labels, "kubernetes.io/os", "linux");
  cube_mut_set_string (labels, "kubernetes.io/arch", "amd64");
  cube_mut_set_string (labels, "type", "sim");
  return cube_builder_end (builder);
}

typedef struct {
  Sim *sim;
  guint index;
} Registration;

static void
registered (gpointer data)
{
  ((Sim *) data)->n_registered++;
}

static void
write_status (Sim *sim, guint index, CubeTask done)
{
  g_autofree char *name = node_name (sim, index);
  CubeRequest request = { .verb = CUBE_VERB_PATCH,
                          .resource = sim->nodes,
                          .subresource = "status",
                          .name = name,
                          .patch_type = CUBE_PATCH_STRATEGIC,
                          .grace_seconds = -1 };
  sim_write (sim, &request, compose_status (sim, index), done, sim);
}

static void
node_made (gpointer data)
{
  g_autofree Registration *registration = data;
  if (!registration->sim->is_stopping)
    write_status (registration->sim, registration->index, registered);
}

/* A Lease by server-side apply: made when it is missing, renewed when it is there. */
static void
renew_lease (Sim *sim, guint index)
{
  char now[40];
  g_autofree char *name = node_name (sim, index);
  if (sim_node_is_down (sim, name))
    return;
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_time_format_micro (cube_context_now_us (sim->context), now);
  cube_mut_set_string (root, "apiVersion", "coordination.k8s.io/v1");
  cube_mut_set_string (root, "kind", "Lease");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", name);
  CubeMut *spec = cube_mut_set_object (root, "spec");
  cube_mut_set_string (spec, "holderIdentity", name);
  cube_mut_set_int (spec, "leaseDurationSeconds", LEASE_SECONDS);
  cube_mut_set_string (spec, "renewTime", now);
  CubeRequest request = { .verb = CUBE_VERB_PATCH,
                          .resource = sim->leases,
                          .ns = "kube-node-lease",
                          .name = name,
                          .patch_type = CUBE_PATCH_APPLY,
                          .force = TRUE,
                          .field_manager = "kubelet",
                          .grace_seconds = -1 };
  sim_write (sim, &request, cube_builder_end (builder), NULL, NULL);
}

/* ---- heartbeats: a slice of the nodes each second, so that many nodes make a steady small load ---- */

static void
beat (gpointer data)
{
  Sim *sim = data;
  gint64 period_us = MIN (sim->heartbeat_us, G_USEC_PER_SEC);
  guint n = (guint) (((guint64) sim->n_nodes * (guint64) period_us + (guint64) sim->heartbeat_us - 1) / (guint64) sim->heartbeat_us);
  cube_timer_cancel (g_steal_pointer (&sim->heartbeat));
  if (sim->n_nodes * (guint64) G_USEC_PER_SEC < (guint64) sim->heartbeat_us)
    {
      period_us = sim->heartbeat_us; /* few nodes: all at once, seldom */
      n = sim->n_nodes;
    }
  for (guint i = 0; i < n; i++)
    renew_lease (sim, sim->next_heartbeat++ % sim->n_nodes);
  sim->heartbeat = cube_loop_after (sim->loop, period_us, beat, sim, NULL);
}

static void
register_some (gpointer data)
{
  g_autofree Registration *from = data;
  Sim *sim = from->sim;
  guint end = MIN (from->index + AT_ONCE, sim->n_nodes);
  if (sim->is_stopping)
    return;
  for (guint i = from->index; i < end; i++)
    {
      Registration *registration = g_new (Registration, 1);
      *registration = (Registration){ sim, i };
      CubeRequest request = { .verb = CUBE_VERB_CREATE, .resource = sim->nodes, .grace_seconds = -1 };
      sim_write (sim, &request, compose_node (sim, i), node_made, registration);
      renew_lease (sim, i);
    }
  if (end == sim->n_nodes)
    return;
  Registration *rest = g_new (Registration, 1);
  *rest = (Registration){ sim, end };
  cube_loop_post (sim->loop, register_some, rest, NULL);
}

static void
node_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Sim *sim = data;
  int index = sim_node_index (sim, cube_object_name (object));
  if (index < 0)
    return;
  const char *name = g_intern_string (cube_object_name (object));
  gboolean was_down = sim_node_is_down (sim, name);
  g_autoptr (CubeValue) value = cube_object_value (object);
  gboolean is_down =
      type == CUBE_EVENT_DELETED || g_strcmp0 (cube_view_string (cube_value_get (value, "metadata", "annotations", DOWN)), "true") == 0;
  if (is_down && !was_down)
    g_hash_table_add (sim->down, (gpointer) name);
  if (is_down || !was_down)
    return;
  g_hash_table_remove (sim->down, name);
  write_status (sim, (guint) index, NULL);
  renew_lease (sim, (guint) index);
  sim_pods_resume (sim, name);
}

void
sim_nodes_start (Sim *sim)
{
  Registration *first = g_new (Registration, 1);
  *first = (Registration){ sim, 0 };
  sim->down = g_hash_table_new (g_str_hash, g_str_equal);
  register_some (first);
  sim->node_informer = cube_informer_new (sim->client, sim->nodes, NULL, NULL, NULL, sim->loop, node_changed, sim);
  sim->heartbeat = cube_loop_after (sim->loop, sim->heartbeat_us, beat, sim, NULL);
}

void
sim_nodes_stop (Sim *sim)
{
  cube_timer_cancel (g_steal_pointer (&sim->heartbeat));
  g_clear_pointer (&sim->node_informer, cube_informer_free);
}
