/* SPDX-License-Identifier: Apache-2.0 */
/* NodeResourcesFit: a node must have room for what a pod asks for; the emptiest (or fullest) scores best. */
#include "strategy.h"
#include <string.h>

/* ---- filter ---- */

typedef struct {
  GString *reasons; /* NULL until there is one */
  gboolean is_unresolvable;
  CubeView args;
} Shortage;

static void
note (Shortage *shortage, const char *reason, const char *resource)
{
  if (shortage->reasons == NULL)
    shortage->reasons = g_string_new (NULL);
  else
    g_string_append_c (shortage->reasons, '\n');
  g_string_append (shortage->reasons, reason);
  g_string_append (shortage->reasons, resource);
}

static void
check (Shortage *shortage, const char *resource, gint64 wanted, gint64 requested, gint64 allocatable)
{
  if (wanted <= 0 || wanted <= allocatable - requested)
    return;
  note (shortage, "Insufficient ", resource);
  shortage->is_unresolvable |= wanted > allocatable;
}

static gint64
amount_of (const CubeResourceAmount *amounts, guint n, const char *name)
{
  for (guint i = 0; i < n; i++)
    if (strcmp (amounts[i].name, name) == 0)
      return amounts[i].amount;
  return 0;
}

static gboolean
is_ignored (CubeView args, const char *name)
{
  const char *slash = strchr (name, '/');
  gsize group_length = slash != NULL ? (gsize) (slash - name) : 0;
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, cube_view_member (args, "ignoredResources")); cube_iter_next (&it, NULL, &one);)
    if (g_strcmp0 (cube_view_string (one), name) == 0)
      return TRUE;
  for (cube_iter_init (&it, cube_view_member (args, "ignoredResourceGroups")); slash != NULL && cube_iter_next (&it, NULL, &one);)
    {
      const char *group = cube_view_string_or (one, "");

      if (strlen (group) == group_length && strncmp (group, name, group_length) == 0)
        return TRUE;
    }
  return FALSE;
}

static CubeFit
filter (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node,
        const char **ret_reason)
{
  Shortage shortage = { NULL, FALSE, cycle->args };

  if (node->n_pods + 1 > node->allocatable_pods)
    note (&shortage, "Too many pods", "");
  check (&shortage, "cpu", pod->cpu_millis, node->requested_cpu_millis, node->allocatable_cpu_millis);
  check (&shortage, "memory", pod->memory_bytes, node->requested_memory_bytes, node->allocatable_memory_bytes);
  check (&shortage, "ephemeral-storage", pod->ephemeral_bytes, node->requested_ephemeral_bytes, node->allocatable_ephemeral_bytes);
  for (guint i = 0; i < pod->n_extended; i++)
    {
      const CubeResourceAmount *wanted = &pod->extended[i];

      if (!is_ignored (cycle->args, wanted->name))
        check (&shortage, wanted->name, wanted->amount, amount_of (node->requested_extended, node->n_requested_extended, wanted->name),
               amount_of (node->allocatable_extended, node->n_allocatable_extended, wanted->name));
    }
  if (shortage.reasons == NULL)
    return CUBE_FIT_OK;
  *ret_reason = g_intern_string (shortage.reasons->str);
  g_string_free (shortage.reasons, TRUE);
  return shortage.is_unresolvable ? CUBE_FIT_UNRESOLVABLE : CUBE_FIT_UNSCHEDULABLE;
}

/* ---- score ---- */

static CubeFit
pre_score (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, const CubeNodeInfo *const *nodes, guint n_nodes,
           gpointer *ret_cycle_data)
{
  if (cube_view_exists (cube_view_member (cycle->args, "scoringStrategy")))
    *ret_cycle_data = strategy_new (cycle->args);
  return CUBE_FIT_OK;
}

static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  return strategy_score (cycle_data != NULL ? cycle_data : state, pod, node);
}

static void
free_data (gpointer state, gpointer cycle_data)
{
  strategy_free (cycle_data);
}

static const CubeFilterOps filter_ops = { .ops_size = sizeof filter_ops,
                                          .wake_on =
                                              CUBE_WAKE_NODE_ADD | CUBE_WAKE_NODE_ALLOCATABLE | CUBE_WAKE_POD_DELETE | CUBE_WAKE_POD_UPDATE,
                                          .filter = filter };
static const CubeScoreOps score_ops = {
  .ops_size = sizeof score_ops, .default_weight = 1, .pre_score = pre_score, .score = score, .free_data = free_data
};

/* The state is the default strategy. */
static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = strategy_new (cube_view_none ());
  return TRUE;
}

static void
unload (gpointer state)
{
  strategy_free (state);
}

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, "NodeResourcesFit", filter_ops),
  CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "NodeResourcesFit", score_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "scheduler-node-resources-fit", .version = "1", .description = "fits pods into what nodes have left",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = unload);
