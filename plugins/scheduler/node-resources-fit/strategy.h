/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The scoring strategies of NodeResourcesFit, on plain numbers. */
#include <cube/scheduler.h>

typedef enum { STRATEGY_LEAST = 0, STRATEGY_MOST, STRATEGY_RATIO } StrategyType;
typedef struct { char *name; gint64 weight; } StrategyResource;
typedef struct { gint64 utilization, score; } ShapePoint; /* score 0 … 100 */

typedef struct {
  StrategyType type;
  GArray *resources; /* StrategyResource */
  GArray *shape;     /* ShapePoint, by utilization */
} Strategy;

Strategy *strategy_new (CubeView args);
void strategy_free (Strategy *strategy);
gint64 strategy_score (const Strategy *strategy, const CubePodInfo *pod, const CubeNodeInfo *node);

gint64 least_allocated (gint64 requested, gint64 allocatable);
gint64 most_allocated (gint64 requested, gint64 allocatable);
gint64 shape_score (const GArray *shape, gint64 utilization);
