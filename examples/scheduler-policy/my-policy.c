/* SPDX-License-Identifier: Apache-2.0 */
/* A scheduling policy of one's own. A pod with the annotation my-policy.example/prefer: KEY=VALUE is drawn to the nodes with that label; all other pods are
 * packed on the first node by name that has room (the last, when built with -DPACK_LAST).
 *
 *   cc -shared -fPIC -o my-policy.so my-policy.c $(pkg-config --cflags --libs cube)
 */
#include <cube/scheduler.h>
#include <string.h>

#define ANNOTATION "my-policy.example/prefer"

#ifdef PACK_LAST
#define VERSION "2"
#define IS_BETTER(a, b) (strcmp ((a), (b)) > 0)
#else
#define VERSION "1"
#define IS_BETTER(a, b) (strcmp ((a), (b)) < 0)
#endif

/* Once per pod, before its nodes are scored. @nodes are those that have passed every filter. What is found goes to score() as cycle_data. */
static CubeFit
pre_score (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, const CubeNodeInfo *const *nodes, guint n_nodes,
           gpointer *ret_cycle_data)
{
  const char *best = NULL;

  for (guint i = 0; i < n_nodes; i++)
    if (best == NULL || IS_BETTER (nodes[i]->name, best))
      best = nodes[i]->name;
  *ret_cycle_data = (gpointer) best; /* lives as long as the cycle */
  return CUBE_FIT_OK;
}

/* Whether @node has the label @wanted, "key=value". */
static gboolean
has_label (const CubeNodeInfo *node, const char *wanted)
{
  const char *equals = strchr (wanted, '=');
  g_autofree char *key = equals != NULL ? g_strndup (wanted, (gsize) (equals - wanted)) : g_strdup (wanted);
  const char *value = cube_view_string (cube_view_member (node->labels, key));

  return value != NULL && (equals == NULL || strcmp (value, equals + 1) == 0);
}

/* Once per node: 0 (poor) to 100 (good). */
static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  const char *wanted = cube_view_get_string (pod->view, "metadata", "annotations", ANNOTATION);

  if (wanted != NULL)
    return has_label (node, wanted) ? 100 : 0;
  return g_strcmp0 (cycle_data, node->name) == 0 ? 100 : 0;
}

static const CubeScoreOps score_ops = {
  .ops_size = sizeof score_ops,
  .default_weight = 20,    /* against 1 to 3 of the policies that come with Cube: this one decides */
  .is_pod_specific = TRUE, /* annotations are no part of what pods of one template share */
  .pre_score = pre_score,
  .score = score,
};

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL; /* whatever you need; every function above gets it as its first argument */
  return TRUE;
}

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "MyPolicy", score_ops), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "my-policy", .version = VERSION, .description = "draws pods to the node they prefer, packs the others",
                    .license = "Apache-2.0", .impls = impls, .load = load);
