/* SPDX-License-Identifier: Apache-2.0 */
/* NodeAffinity: nodeSelector and required terms refuse, preferred terms score; a profile may add an affinity of its own. */
#include <cube/scheduler.h>
#include <stdlib.h>
#include <string.h>

/* ---- terms ---- */

static gboolean
is_in (CubeView values, const char *text)
{
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, values); cube_iter_next (&it, NULL, &one);)
    if (g_strcmp0 (cube_view_string (one), text) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
compares (const char *have, CubeView values, gboolean is_greater)
{
  const char *want = cube_view_string (cube_view_element (values, 0));
  gint64 a, b;

  if (have == NULL || want == NULL || !g_ascii_string_to_signed (have, 10, G_MININT64, G_MAXINT64, &a, NULL)
      || !g_ascii_string_to_signed (want, 10, G_MININT64, G_MAXINT64, &b, NULL))
    return FALSE;
  return is_greater ? a > b : a < b;
}

/* @have NULL = the node has no such label. */
static gboolean
requirement_holds (CubeView requirement, const char *have)
{
  const char *word = cube_view_string_or (cube_view_member (requirement, "operator"), "");
  CubeView values = cube_view_member (requirement, "values");

  if (strcmp (word, "In") == 0)
    return have != NULL && is_in (values, have);
  if (strcmp (word, "NotIn") == 0)
    return have == NULL || !is_in (values, have);
  if (strcmp (word, "Exists") == 0)
    return have != NULL;
  if (strcmp (word, "DoesNotExist") == 0)
    return have == NULL;
  if (strcmp (word, "Gt") == 0 || strcmp (word, "Lt") == 0)
    return compares (have, values, *word == 'G');
  return FALSE;
}

/* An empty term matches nothing. */
static gboolean
term_matches (CubeView term, const CubeNodeInfo *node)
{
  CubeView expressions = cube_view_member (term, "matchExpressions"), fields = cube_view_member (term, "matchFields"), one;
  CubeIter it;

  if (cube_view_length (expressions) == 0 && cube_view_length (fields) == 0)
    return FALSE;
  for (cube_iter_init (&it, expressions); cube_iter_next (&it, NULL, &one);)
    if (!requirement_holds (one,
                            cube_view_string (cube_view_member (node->labels, cube_view_string_or (cube_view_member (one, "key"), "")))))
      return FALSE;
  for (cube_iter_init (&it, fields); cube_iter_next (&it, NULL, &one);)
    if (g_strcmp0 (cube_view_get_string (one, "key"), "metadata.name") != 0 || !requirement_holds (one, node->name))
      return FALSE;
  return TRUE;
}

static gboolean
required_holds (CubeView required, const CubeNodeInfo *node)
{
  CubeIter it;
  CubeView term;

  if (!cube_view_exists (required))
    return TRUE;
  for (cube_iter_init (&it, cube_view_member (required, "nodeSelectorTerms")); cube_iter_next (&it, NULL, &term);)
    if (term_matches (term, node))
      return TRUE;
  return FALSE;
}

static gboolean
selector_holds (CubeView selector, const CubeNodeInfo *node)
{
  const char *key;
  CubeIter it;
  CubeView value;

  for (cube_iter_init (&it, selector); cube_iter_next (&it, &key, &value);)
    if (g_strcmp0 (cube_view_string (cube_view_member (node->labels, key)), cube_view_string (value)) != 0)
      return FALSE;
  return TRUE;
}

static gint64
preferred_weight (CubeView affinity, const CubeNodeInfo *node)
{
  gint64 sum = 0;
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, cube_view_member (affinity, "preferredDuringSchedulingIgnoredDuringExecution"));
       cube_iter_next (&it, NULL, &one);)
    if (term_matches (cube_view_member (one, "preference"), node))
      sum += cube_view_get_int (one, 0, "weight");
  return sum;
}

/* ---- filter ---- */

typedef struct {
  CubeView selector, required, added;
} Needs;

static CubeView
affinity_of (const CubePodInfo *pod)
{
  return cube_view_get (pod->spec, "affinity", "nodeAffinity");
}

static CubeFit
pre_filter (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, gpointer *ret_cycle_data, char **ret_reason)
{
  Needs needs = { cube_view_member (pod->spec, "nodeSelector"),
                  cube_view_member (affinity_of (pod), "requiredDuringSchedulingIgnoredDuringExecution"),
                  cube_view_get (cycle->args, "addedAffinity", "requiredDuringSchedulingIgnoredDuringExecution") };

  if (cube_view_length (needs.selector) == 0 && !cube_view_exists (needs.required) && !cube_view_exists (needs.added))
    return CUBE_FIT_SKIP;
  *ret_cycle_data = g_memdup2 (&needs, sizeof needs);
  return CUBE_FIT_OK;
}

static CubeFit
filter (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node,
        const char **ret_reason)
{
  const Needs *needs = cycle_data;

  if (!required_holds (needs->added, node))
    *ret_reason = "node(s) didn't match scheduler-enforced node affinity";
  else if (!selector_holds (needs->selector, node) || !required_holds (needs->required, node))
    *ret_reason = "node(s) didn't match Pod's node affinity/selector";
  else
    return CUBE_FIT_OK;
  return CUBE_FIT_UNRESOLVABLE;
}

static void
free_data (gpointer state, gpointer cycle_data)
{
  g_free (cycle_data);
}

/* ---- score ---- */

static gboolean
has_preference (CubeView affinity)
{
  return cube_view_length (cube_view_member (affinity, "preferredDuringSchedulingIgnoredDuringExecution")) > 0;
}

static CubeFit
pre_score (gpointer state, const CubeCycle *cycle, const CubePodInfo *pod, const CubeNodeInfo *const *nodes, guint n_nodes,
           gpointer *ret_cycle_data)
{
  return has_preference (affinity_of (pod)) || has_preference (cube_view_member (cycle->args, "addedAffinity")) ? CUBE_FIT_OK
                                                                                                                : CUBE_FIT_SKIP;
}

static gint64
score (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  return preferred_weight (affinity_of (pod), node) + preferred_weight (cube_view_member (cycle->args, "addedAffinity"), node);
}

static void
normalize (gpointer state, gint64 *scores, guint n_scores)
{
  cube_score_normalize (scores, n_scores, 100, FALSE);
}

static const CubeFilterOps filter_ops = { .ops_size = sizeof filter_ops,
                                          .wake_on = CUBE_WAKE_NODE_ADD | CUBE_WAKE_NODE_LABEL,
                                          .pre_filter = pre_filter,
                                          .filter = filter,
                                          .free_data = free_data };
static const CubeScoreOps score_ops = {
  .ops_size = sizeof score_ops, .default_weight = 2, .pre_score = pre_score, .score = score, .normalize = normalize
};

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = NULL;
  return TRUE;
}

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_FILTER_PLUGIN, CUBE_FILTER_VERSION, "NodeAffinity", filter_ops),
  CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "NodeAffinity", score_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "scheduler-node-affinity", .version = "1",
                    .description = "sends pods to the nodes their selectors and affinities name", .license = "Apache-2.0", .impls = impls,
                    .load = load);
