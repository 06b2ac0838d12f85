/* SPDX-License-Identifier: Apache-2.0 */
/* Does a pod fit here? The scheduler may have been wrong, or nobody asked it. Source: kubelet's admission. */
#include "agent.h"
#include <string.h>

static gint64
used_by_others (NodeAgent *agent, const NodePod *candidate, const char *resource, guint *ret_n)
{
  GHashTableIter it;
  gpointer value;
  gint64 used = 0;
  *ret_n = 0;
  for (g_hash_table_iter_init (&it, agent->pods); g_hash_table_iter_next (&it, NULL, &value);)
    {
      const NodePod *pod = value;
      if (pod == candidate || pod->value == NULL || !pod->is_admitted || pod->stage == NODE_POD_TERMINATED || pod->final_phase != NULL)
        continue;
      used += resource != NULL ? cube_pod_request (cube_value_get (pod->value, "spec"), resource) : 0;
      (*ret_n)++;
    }
  return used;
}

static gboolean
fits (NodeAgent *agent, NodePod *pod, CubeView spec, const char *resource, gint64 capacity, const char **ret_reason, char **ret_message)
{
  guint n;
  gint64 wanted = cube_pod_request (spec, resource), used = used_by_others (agent, pod, resource, &n);
  if (wanted == 0 || wanted + used <= capacity)
    return TRUE;
  g_autofree char *reason = g_strconcat ("OutOf", resource, NULL);
  *ret_reason = g_intern_string (reason);
  *ret_message = g_strdup_printf ("Node didn't have enough resource: %s, requested: %" G_GINT64_FORMAT ", used: %" G_GINT64_FORMAT
                                  ", capacity: %" G_GINT64_FORMAT,
                                  resource, wanted, used, capacity);
  return FALSE;
}

static gboolean
matches_selector (NodeAgent *agent, CubeView spec)
{
  CubeIter it;
  const char *key;
  CubeView value, selector = cube_view_member (spec, "nodeSelector");
  if (cube_view_length (selector) == 0 || agent->node_informer == NULL)
    return TRUE;
  g_autoptr (CubeObject) node = cube_informer_get (agent->node_informer, NULL, agent->node_name);
  for (cube_iter_init (&it, selector); node != NULL && cube_iter_next (&it, &key, &value);)
    if (g_strcmp0 (cube_object_label (node, key), cube_view_string (value)) != 0)
      return FALSE;
  return TRUE;
}

gboolean
node_admit (NodeAgent *agent, NodePod *pod, const char **ret_reason, char **ret_message)
{
  CubeView spec = cube_value_get (pod->value, "spec");
  const NodeMachine *machine = agent->machine;
  guint n;
  used_by_others (agent, pod, NULL, &n);
  if (n + 1 > machine->max_pods)
    {
      *ret_reason = "OutOfpods";
      *ret_message = g_strdup_printf ("Node didn't have enough resource: pods, requested: 1, used: %u, capacity: %u", n, machine->max_pods);
      return FALSE;
    }
  if (!fits (agent, pod, spec, "cpu", machine->cpus * 1000, ret_reason, ret_message)
      || !fits (agent, pod, spec, "memory", machine->allocatable_memory_bytes, ret_reason, ret_message)
      || !fits (agent, pod, spec, "ephemeral-storage", machine->allocatable_disk_bytes, ret_reason, ret_message))
    return FALSE;
  if (matches_selector (agent, spec))
    return TRUE;
  *ret_reason = "NodeAffinity";
  *ret_message = g_strdup ("Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
  return FALSE;
}
