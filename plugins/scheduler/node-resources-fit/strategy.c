/* SPDX-License-Identifier: Apache-2.0 */
#include "strategy.h"
#include <math.h>
#include <string.h>

gint64
least_allocated (gint64 requested, gint64 allocatable)
{
  if (allocatable <= 0 || requested > allocatable)
    return 0;
  return (gint64) ((__int128) (allocatable - requested) * 100 / allocatable);
}

gint64
most_allocated (gint64 requested, gint64 allocatable)
{
  if (allocatable <= 0)
    return 0;
  return (gint64) ((__int128) MIN (requested, allocatable) * 100 / allocatable);
}

gint64
shape_score (const GArray *shape, gint64 utilization)
{
  const ShapePoint *points = (const ShapePoint *) (gconstpointer) shape->data;

  for (guint i = 0; i < shape->len; i++)
    {
      if (utilization > points[i].utilization)
        continue;
      if (i == 0)
        return points[0].score;
      return points[i - 1].score
             + (points[i].score - points[i - 1].score) * (utilization - points[i - 1].utilization)
                   / (points[i].utilization - points[i - 1].utilization);
    }
  return shape->len > 0 ? points[shape->len - 1].score : 0;
}

/* ---- reading ---- */

static void
resource_clear (gpointer data)
{
  g_free (((StrategyResource *) data)->name);
}

static void
add_resource (Strategy *strategy, const char *name, gint64 weight)
{
  StrategyResource resource = { g_strdup (name), CLAMP (weight, 1, 100) };

  g_array_append_val (strategy->resources, resource);
}

static gint
compare_points (gconstpointer a, gconstpointer b)
{
  const ShapePoint *x = a, *y = b;

  return x->utilization < y->utilization ? -1 : x->utilization > y->utilization;
}

Strategy *
strategy_new (CubeView args)
{
  CubeView scoring = cube_view_member (args, "scoringStrategy"), one;
  const char *type = cube_view_string_or (cube_view_member (scoring, "type"), "LeastAllocated");
  Strategy *strategy = g_new0 (Strategy, 1);
  CubeIter it;

  strategy->type = g_str_equal (type, "MostAllocated")              ? STRATEGY_MOST
                   : g_str_equal (type, "RequestedToCapacityRatio") ? STRATEGY_RATIO
                                                                    : STRATEGY_LEAST;
  strategy->resources = g_array_new (FALSE, FALSE, sizeof (StrategyResource));
  g_array_set_clear_func (strategy->resources, resource_clear);
  strategy->shape = g_array_new (FALSE, FALSE, sizeof (ShapePoint));
  for (cube_iter_init (&it, cube_view_member (scoring, "resources")); cube_iter_next (&it, NULL, &one);)
    if (cube_view_get_string (one, "name") != NULL)
      add_resource (strategy, cube_view_get_string (one, "name"), cube_view_get_int (one, 1, "weight"));
  if (strategy->resources->len == 0)
    {
      add_resource (strategy, "cpu", 1);
      add_resource (strategy, "memory", 1);
    }
  for (cube_iter_init (&it, cube_view_get (scoring, "requestedToCapacityRatio", "shape")); cube_iter_next (&it, NULL, &one);)
    {
      ShapePoint point = { CLAMP (cube_view_get_int (one, 0, "utilization"), 0, 100),
                           CLAMP (cube_view_get_int (one, 0, "score"), 0, 10) * 10 };

      g_array_append_val (strategy->shape, point);
    }
  g_array_sort (strategy->shape, compare_points);
  for (guint i = strategy->shape->len; i-- > 1;) /* two of one utilization would divide by nothing */
    if (g_array_index (strategy->shape, ShapePoint, i).utilization == g_array_index (strategy->shape, ShapePoint, i - 1).utilization)
      g_array_remove_index (strategy->shape, i);
  return strategy;
}

void
strategy_free (Strategy *strategy)
{
  g_array_unref (strategy->resources);
  g_array_unref (strategy->shape);
  g_free (strategy);
}

/* ---- scoring ---- */

static gint64
amount_of (const CubeResourceAmount *amounts, guint n, const char *name)
{
  for (guint i = 0; i < n; i++)
    if (strcmp (amounts[i].name, name) == 0)
      return amounts[i].amount;
  return 0;
}

static void
amounts_of (const CubePodInfo *pod, const CubeNodeInfo *node, const char *name, gint64 *ret_requested, gint64 *ret_allocatable)
{
  if (strcmp (name, "cpu") == 0)
    {
      *ret_requested = node->nonzero_cpu_millis + pod->nonzero_cpu_millis;
      *ret_allocatable = node->allocatable_cpu_millis;
    }
  else if (strcmp (name, "memory") == 0)
    {
      *ret_requested = node->nonzero_memory_bytes + pod->nonzero_memory_bytes;
      *ret_allocatable = node->allocatable_memory_bytes;
    }
  else if (strcmp (name, "ephemeral-storage") == 0)
    {
      *ret_requested = node->requested_ephemeral_bytes + pod->ephemeral_bytes;
      *ret_allocatable = node->allocatable_ephemeral_bytes;
    }
  else
    {
      gint64 own = amount_of (pod->extended, pod->n_extended, name);

      /* An extended resource the pod does not ask for is none of its business. */
      *ret_requested = amount_of (node->requested_extended, node->n_requested_extended, name) + own;
      *ret_allocatable = own > 0 ? amount_of (node->allocatable_extended, node->n_allocatable_extended, name) : 0;
    }
}

gint64
strategy_score (const Strategy *strategy, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  gint64 sum = 0, weights = 0;

  for (guint i = 0; i < strategy->resources->len; i++)
    {
      const StrategyResource *resource = &g_array_index (strategy->resources, StrategyResource, i);
      gint64 requested, allocatable, score;

      amounts_of (pod, node, resource->name, &requested, &allocatable);
      if (allocatable <= 0)
        continue;
      if (strategy->type == STRATEGY_LEAST)
        score = least_allocated (requested, allocatable);
      else if (strategy->type == STRATEGY_MOST)
        score = most_allocated (requested, allocatable);
      else
        score = shape_score (strategy->shape, requested > allocatable ? 100 : (gint64) ((__int128) requested * 100 / allocatable));
      if (strategy->type == STRATEGY_RATIO && score <= 0)
        continue;
      sum += score * resource->weight;
      weights += resource->weight;
    }
  if (weights == 0)
    return 0;
  return strategy->type == STRATEGY_RATIO ? (gint64) round ((double) sum / (double) weights) : sum / weights;
}
