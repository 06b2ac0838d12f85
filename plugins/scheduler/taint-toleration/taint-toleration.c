/* SPDX-License-Identifier: Apache-2.0 */
/* TaintToleration: NoSchedule and NoExecute refuse, PreferNoSchedule costs points. */
#include "toleration.h"
#include <cube/scheduler.h>

static const char *const hard[] = { "NoSchedule", "NoExecute", NULL };
static const char *const soft[] = { "PreferNoSchedule", NULL };

static CubeFit
filter (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node,
        const char **ret_reason)
{
  CubeView taints = cube_view_member (node->spec, "taints");

  if (!cube_view_exists (taints) || toleration_count_untolerated (taints, cube_view_member (pod->spec, "tolerations"), hard, 1) == 0)
    return CUBE_FIT_OK;
  *ret_reason = "node(s) had untolerated taint(s)";
  return CUBE_FIT_UNRESOLVABLE;
}

static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  CubeView taints = cube_view_member (node->spec, "taints");

  return cube_view_exists (taints) ? toleration_count_untolerated (taints, cube_view_member (pod->spec, "tolerations"), soft, G_MAXUINT)
                                   : 0;
}

static void
normalize (gpointer state, gint64 *scores, guint n_scores)
{
  cube_score_normalize (scores, n_scores, 100, TRUE);
}

static const CubeFilterOps filter_ops = { .ops_size = sizeof filter_ops,
                                          .wake_on = CUBE_WAKE_NODE_ADD | CUBE_WAKE_NODE_TAINT,
                                          .filter = filter };
static const CubeScoreOps score_ops = { .ops_size = sizeof score_ops, .default_weight = 3, .score = score, .normalize = normalize };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, "TaintToleration", filter_ops),
  CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "TaintToleration", score_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "scheduler-taint-toleration", .version = "1",
                    .description = "keeps pods off nodes whose taints they do not tolerate", .license = "Apache-2.0", .impls = impls,
                    .load = load);
