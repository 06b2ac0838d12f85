/* SPDX-License-Identifier: Apache-2.0 */
/* NodeResourcesBalancedAllocation: prefers nodes whose resources the pod brings nearer to equal use. */
#include <cube/scheduler.h>
#include <math.h>
#include <string.h>

#define MAX_RESOURCES 16

typedef struct {
  char *names[MAX_RESOURCES];
  guint n;
} Resources;

static gint64
amount_of (const CubeResourceAmount *amounts, guint n, const char *name)
{
  for (guint i = 0; i < n; i++)
    if (strcmp (amounts[i].name, name) == 0)
      return amounts[i].amount;
  return 0;
}

static gint64
asked_for (const CubePodInfo *pod, const char *name)
{
  if (strcmp (name, "cpu") == 0)
    return pod->cpu_millis;
  if (strcmp (name, "memory") == 0)
    return pod->memory_bytes;
  if (strcmp (name, "ephemeral-storage") == 0)
    return pod->ephemeral_bytes;
  return amount_of (pod->extended, pod->n_extended, name);
}

static void
on_node (const CubeNodeInfo *node, const char *name, gint64 *ret_requested, gint64 *ret_allocatable)
{
  gboolean is_cpu = strcmp (name, "cpu") == 0, is_memory = strcmp (name, "memory") == 0,
           is_ephemeral = strcmp (name, "ephemeral-storage") == 0;

  *ret_requested = is_cpu         ? node->requested_cpu_millis
                   : is_memory    ? node->requested_memory_bytes
                   : is_ephemeral ? node->requested_ephemeral_bytes
                                  : amount_of (node->requested_extended, node->n_requested_extended, name);
  *ret_allocatable = is_cpu         ? node->allocatable_cpu_millis
                     : is_memory    ? node->allocatable_memory_bytes
                     : is_ephemeral ? node->allocatable_ephemeral_bytes
                                    : amount_of (node->allocatable_extended, node->n_allocatable_extended, name);
}

/* 100 = every resource used alike. */
static gint64
balance (const double *fractions, guint n)
{
  double spread = 0;

  if (n == 2)
    spread = fabs (fractions[0] - fractions[1]) / 2;
  else if (n > 2)
    {
      double mean = 0, sum = 0;

      for (guint i = 0; i < n; i++)
        mean += fractions[i] / n;
      for (guint i = 0; i < n; i++)
        sum += (fractions[i] - mean) * (fractions[i] - mean);
      spread = sqrt (sum / n);
    }
  return (gint64) ((1 - spread) * 100);
}

static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  const Resources *resources = cycle_data != NULL ? cycle_data : state;
  double with[MAX_RESOURCES], without[MAX_RESOURCES];
  guint n = 0;

  for (guint i = 0; i < resources->n; i++)
    {
      const char *name = resources->names[i];
      gint64 requested, allocatable, own = asked_for (pod, name);
      gboolean is_extended = strcmp (name, "cpu") != 0 && strcmp (name, "memory") != 0 && strcmp (name, "ephemeral-storage") != 0;

      on_node (node, name, &requested, &allocatable);
      if (allocatable <= 0 || (is_extended && own == 0))
        continue;
      without[n] = MIN ((double) requested / (double) allocatable, 1);
      with[n++] = MIN ((double) (requested + own) / (double) allocatable, 1);
    }
  return 50 + (50 + balance (with, n) - balance (without, n)) / 2;
}

static Resources *
resources_new (CubeView list)
{
  Resources *resources = g_new0 (Resources, 1);
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, list); resources->n < MAX_RESOURCES && cube_iter_next (&it, NULL, &one);)
    if (cube_view_get_string (one, "name") != NULL)
      resources->names[resources->n++] = g_strdup (cube_view_get_string (one, "name"));
  if (resources->n == 0)
    {
      resources->names[resources->n++] = g_strdup ("cpu");
      resources->names[resources->n++] = g_strdup ("memory");
    }
  return resources;
}

static void
resources_free (gpointer data)
{
  Resources *resources = data;

  for (guint i = 0; i < resources->n; i++)
    g_free (resources->names[i]);
  g_free (resources);
}

static CubeFit
pre_score (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, const CubeNodeInfo *const *nodes, guint n_nodes,
           gpointer *ret_cycle_data)
{
  const Resources *resources = state;
  gboolean asks = FALSE;

  if (cube_view_exists (cube_view_member (cycle->args, "resources")))
    resources = *ret_cycle_data = resources_new (cube_view_member (cycle->args, "resources"));
  for (guint i = 0; i < resources->n && !asks; i++)
    asks = asked_for (pod, resources->names[i]) > 0;
  return asks ? CUBE_FIT_OK : CUBE_FIT_SKIP;
}

static void
free_data (gpointer state, gpointer cycle_data)
{
  resources_free (cycle_data);
}

static const CubeScoreOps score_ops = {
  .ops_size = sizeof score_ops, .default_weight = 1, .pre_score = pre_score, .score = score, .free_data = free_data
};

/* The state is the default list. */
static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = resources_new (cube_view_none ());
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "NodeResourcesBalancedAllocation", score_ops),
                                           { NULL } };

CUBE_PLUGIN_DEFINE (.name = "scheduler-balanced-allocation", .version = "1", .description = "prefers nodes whose resources are used evenly",
                    .license = "Apache-2.0", .impls = impls, .load = load, .unload = resources_free);
