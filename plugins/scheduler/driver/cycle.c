/* SPDX-License-Identifier: Apache-2.0 */
/* One pod's way through filters and scores. Pods whose policies look at nothing but their class take the ranked list of the class (pass.c); the others,
 * and the first pod of a class, look at a window of the nodes as Kubernetes does. */
#include "driver.h"
#include <string.h>

#define MIN_FEASIBLE 100
#define SAMPLE_EVERY 64
#define SAMPLE_ALL_UNTIL 1024
#define MAX_PASSES 64
#define MAX_PASS_NODES 4000000 /* nodes in all ranked lists together */

void
engine_init (Engine *engine, Cache *cache, CubeContext *context)
{
  *engine = (Engine){ .cache = cache, .context = context };
  engine->sample = g_new0 (guint64, 1);
  engine->passes = g_ptr_array_new_with_free_func ((GDestroyNotify) pass_free);
  engine->feasible = g_array_new (FALSE, FALSE, sizeof (Node *));
  engine->raw = g_array_new (FALSE, FALSE, sizeof (gint64));
  engine->total = g_array_new (FALSE, FALSE, sizeof (gint64));
}

void
engine_clear (Engine *engine)
{
  g_clear_pointer (&engine->passes, g_ptr_array_unref);
  g_clear_pointer (&engine->feasible, g_array_unref);
  g_clear_pointer (&engine->raw, g_array_unref);
  g_clear_pointer (&engine->total, g_array_unref);
  g_clear_pointer (&engine->sample, g_free);
}

void
engine_forget (Engine *engine)
{
  g_ptr_array_set_size (engine->passes, 0);
}

void
refusal_clear (Refusal *refusal)
{
  g_free (refusal->message);
  *refusal = (Refusal){ 0 };
}

/* ---- calling policies ---- */

/* Now, when the call that follows is one of the timed ones; @ret_factor: how many it stands for, 0 = not timed. */
gint64
sample_begin (Engine *engine, gint64 *ret_factor)
{
  guint64 n = ++*engine->sample;

  *ret_factor = n <= SAMPLE_ALL_UNTIL ? 1 : n % SAMPLE_EVERY == 0 ? SAMPLE_EVERY : 0;
  return *ret_factor != 0 ? cube_context_monotonic_us (engine->context) : 0;
}

static void
aim (Engine *engine, CubeCycle *cycle)
{
  cycle->nodes = (const CubeNodeInfo *const *) engine->cache->nodes->pdata;
  cycle->n_nodes = engine->cache->nodes->len;
}

/* PreFilter of the policies that are (or are not) @specific. OK, or the refusal of @ret_policy. */
CubeFit
run_pre_filters (Engine *engine, Profile *profile, Run *run, const Pod *pod, gboolean specific, char **ret_reason, guint *ret_policy)
{
  for (guint i = 0; i < profile->n_filters; i++)
    {
      Filter *filter = &profile->filters[i];
      CubeFit fit;

      if (!filter->ops->is_pod_specific != !specific)
        continue;
      aim (engine, &filter->cycle);
      if (!CUBE_OPS_HAS (filter->ops, pre_filter))
        continue;
      fit = filter->ops->pre_filter (filter->impl->state, &filter->cycle, &pod->info, &run->data[i], ret_reason);
      run->done |= G_GUINT64_CONSTANT (1) << i;
      if (fit == CUBE_FIT_SKIP)
        run->skipped |= G_GUINT64_CONSTANT (1) << i;
      else if (fit != CUBE_FIT_OK)
        {
          *ret_policy = i;
          return fit;
        }
    }
  return CUBE_FIT_OK;
}

void
run_free_filters (Profile *profile, Run *run)
{
  for (guint i = 0; i < profile->n_filters; i++)
    if (run->data[i] != NULL && CUBE_OPS_HAS (profile->filters[i].ops, free_data))
      profile->filters[i].ops->free_data (profile->filters[i].impl->state, run->data[i]);
  memset (run, 0, sizeof *run);
}

CubeFit
run_filter (Engine *engine, Profile *profile, Run *run, const Pod *pod, const Node *node, const char **ret_reason, guint *ret_policy)
{
  gint64 factor, since = sample_begin (engine, &factor);

  for (guint i = 0; i < profile->n_filters; i++)
    {
      Filter *filter = &profile->filters[i];
      CubeFit fit;

      if ((run->skipped >> i & 1) != 0)
        continue;
      fit = filter->ops->filter (filter->impl->state, &filter->cycle, run->data[i], &pod->info, &node->info, ret_reason);
      if (factor != 0)
        {
          gint64 now = cube_context_monotonic_us (engine->context);

          filter->spent_us += (now - since) * factor;
          since = now;
        }
      if (fit != CUBE_FIT_OK && fit != CUBE_FIT_SKIP)
        {
          *ret_policy = i;
          if (*ret_reason == NULL)
            *ret_reason = filter->impl->id;
          return fit;
        }
    }
  return CUBE_FIT_OK;
}

void
run_pre_scores (Engine *engine, Profile *profile, Run *run, const Pod *pod, const CubeNodeInfo *const *nodes, guint n_nodes,
                gboolean specific)
{
  for (guint i = 0; i < profile->n_scores; i++)
    {
      Score *score = &profile->scores[i];

      if (!score->ops->is_pod_specific != !specific)
        continue;
      aim (engine, &score->cycle);
      if (CUBE_OPS_HAS (score->ops, pre_score)
          && score->ops->pre_score (score->impl->state, &score->cycle, &pod->info, nodes, n_nodes, &run->data[i]) != CUBE_FIT_OK)
        run->skipped |= G_GUINT64_CONSTANT (1) << i;
      run->done |= G_GUINT64_CONSTANT (1) << i;
    }
}

void
run_free_scores (Profile *profile, Run *run)
{
  for (guint i = 0; i < profile->n_scores; i++)
    if (run->data[i] != NULL && CUBE_OPS_HAS (profile->scores[i].ops, free_data))
      profile->scores[i].ops->free_data (profile->scores[i].impl->state, run->data[i]);
  memset (run, 0, sizeof *run);
}

/* ---- why no node fits, in Kubernetes' words ---- */

/* @reasons: one a line. */
void
count_reasons (GArray *counts, const char *reasons)
{
  for (guint i = 0; i < counts->len; i++)
    if (g_array_index (counts, ReasonCount, i).reason == reasons)
      {
        g_array_index (counts, ReasonCount, i).count++;
        return;
      }
  ReasonCount fresh = { reasons, 1 };
  g_array_append_val (counts, fresh);
}

static gint
compare_texts (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* "COUNT REASON" of every line, sorted as text. (transfer full) */
static GPtrArray *
reason_texts (GArray *counts)
{
  g_autoptr (GHashTable) table = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GPtrArray *texts = g_ptr_array_new_with_free_func (g_free);
  GHashTableIter iter;
  gpointer key, value;

  for (guint i = 0; i < counts->len; i++)
    {
      const ReasonCount *one = &g_array_index (counts, ReasonCount, i);
      g_auto (GStrv) lines = g_strsplit (one->reason, "\n", -1);

      for (guint j = 0; lines[j] != NULL; j++)
        {
          guint so_far = GPOINTER_TO_UINT (g_hash_table_lookup (table, lines[j]));

          g_hash_table_replace (table, g_strdup (lines[j]), GUINT_TO_POINTER (so_far + one->count));
        }
    }
  for (g_hash_table_iter_init (&iter, table); g_hash_table_iter_next (&iter, &key, &value);)
    g_ptr_array_add (texts, g_strdup_printf ("%u %s", GPOINTER_TO_UINT (value), (const char *) key));
  g_ptr_array_sort (texts, compare_texts);
  return texts;
}

char *
refusal_text (guint n_nodes, GArray *counts, const char *pre_filter)
{
  GString *text = g_string_new (NULL);
  g_autoptr (GPtrArray) texts = NULL;

  if (n_nodes == 0)
    return g_string_free (g_string_assign (text, "no nodes available to schedule pods"), FALSE);
  g_string_printf (text, "0/%u nodes are available:", n_nodes);
  if (pre_filter != NULL)
    g_string_append_printf (text, " %s.", pre_filter);
  if (pre_filter != NULL || counts == NULL)
    return g_string_free (text, FALSE);
  texts = reason_texts (counts);
  for (guint i = 0; i < texts->len; i++)
    g_string_append_printf (text, "%s %s", i > 0 ? "," : "", (const char *) texts->pdata[i]);
  if (texts->len > 0)
    g_string_append_c (text, '.');
  return g_string_free (text, FALSE);
}

/* ---- one pod by itself ---- */

static guint
n_to_find (const Profile *profile, guint n_nodes)
{
  guint percentage = (guint) profile->percentage;

  if (n_nodes < MIN_FEASIBLE || profile->percentage >= 100)
    return n_nodes;
  if (percentage == 0)
    percentage = MAX (50 > n_nodes / 125 ? 50 - n_nodes / 125 : 0, 5);
  return MAX ((guint) ((guint64) n_nodes * percentage / 100), MIN_FEASIBLE);
}

static gboolean
find_feasible (Engine *engine, Profile *profile, Run *run, const Pod *pod, Refusal *refusal)
{
  GPtrArray *nodes = engine->cache->nodes;
  guint wanted = n_to_find (profile, nodes->len), seen = 0, policy = 0;
  g_autoptr (GArray) counts = g_array_new (FALSE, FALSE, sizeof (ReasonCount));

  g_array_set_size (engine->feasible, 0);
  for (; seen < nodes->len && engine->feasible->len < wanted; seen++)
    {
      Node *node = nodes->pdata[(profile->next_start + seen) % nodes->len];
      const char *reason = NULL;
      CubeFit fit = run_filter (engine, profile, run, pod, node, &reason, &policy);

      if (fit == CUBE_FIT_OK)
        {
          g_array_append_val (engine->feasible, node);
          continue;
        }
      count_reasons (counts, reason);
      refusal->wake_on |= profile->filters[policy].ops->wake_on;
      refusal->is_error |= fit == CUBE_FIT_ERROR;
      refusal->can_preempt |= fit == CUBE_FIT_UNSCHEDULABLE;
    }
  profile->next_start = nodes->len > 0 ? (profile->next_start + seen) % nodes->len : 0;
  if (engine->feasible->len > 0)
    return TRUE;
  refusal->wake_on |= CUBE_WAKE_NODE_ADD;
  refusal->message = refusal_text (nodes->len, counts, NULL);
  return FALSE;
}

static void
add_scores (Engine *engine, Score *score, gpointer data, const Pod *pod)
{
  guint n = engine->feasible->len;
  gint64 *raw = (gint64 *) (gpointer) engine->raw->data, *total = (gint64 *) (gpointer) engine->total->data;
  gint64 since = cube_context_monotonic_us (engine->context);

  for (guint i = 0; i < n; i++)
    raw[i] = score->ops->score (score->impl->state, &score->cycle, data, &pod->info, &g_array_index (engine->feasible, Node *, i)->info);
  if (CUBE_OPS_HAS (score->ops, normalize))
    score->ops->normalize (score->impl->state, raw, n);
  for (guint i = 0; i < n; i++)
    total[i] += CLAMP (raw[i], 0, MAX_SCORE) * score->weight;
  score->spent_us += MAX (cube_context_monotonic_us (engine->context) - since, 1); /* rounded up to what the clock can tell */
}

/* The best, one of several by chance. */
static Node *
pick (Engine *engine)
{
  const gint64 *total = (const gint64 *) (gconstpointer) engine->total->data;
  guint best = 0, ties = 1;

  for (guint i = 1; i < engine->feasible->len; i++)
    {
      if (total[i] > total[best])
        {
          best = i;
          ties = 1;
        }
      else if (total[i] == total[best] && cube_context_random (engine->context) % ++ties == 0)
        best = i;
    }
  return g_array_index (engine->feasible, Node *, best);
}

static Node *
choose_alone (Engine *engine, Profile *profile, Run *run, const Pod *pod, Refusal *refusal)
{
  Run scores = { 0 };
  Node *chosen;

  if (!find_feasible (engine, profile, run, pod, refusal))
    return NULL;
  if (engine->feasible->len == 1)
    return g_array_index (engine->feasible, Node *, 0);
  g_array_set_size (engine->raw, engine->feasible->len);
  g_array_set_size (engine->total, engine->feasible->len);
  memset (engine->total->data, 0, sizeof (gint64) * engine->feasible->len);
  run_pre_scores (engine, profile, &scores, pod, (const CubeNodeInfo *const *) (gconstpointer) engine->feasible->data,
                  engine->feasible->len, FALSE);
  run_pre_scores (engine, profile, &scores, pod, (const CubeNodeInfo *const *) (gconstpointer) engine->feasible->data,
                  engine->feasible->len, TRUE);
  for (guint i = 0; i < profile->n_scores; i++)
    if ((scores.skipped >> i & 1) == 0)
      add_scores (engine, &profile->scores[i], scores.data[i], pod);
  chosen = pick (engine);
  run_free_scores (profile, &scores);
  return chosen;
}

static void
refuse_whole (Engine *engine, Profile *profile, guint policy, CubeFit fit, const char *reason, Refusal *refusal)
{
  refusal->wake_on = profile->filters[policy].ops->wake_on;
  refusal->is_error = fit == CUBE_FIT_ERROR;
  refusal->message = refusal_text (engine->cache->nodes->len, NULL, reason != NULL ? reason : profile->filters[policy].impl->id);
}

/* ---- by class ---- */

/* Whether no policy that looks beyond the class has anything to say of @pod. Leaves its findings in @run. */
static gboolean
is_of_class_only (Engine *engine, Profile *profile, Run *run, const Pod *pod, CubeFit *ret_fit, char **ret_reason, guint *ret_policy)
{
  GPtrArray *nodes = engine->cache->nodes;
  Run scores = { 0 };
  gboolean is_plain = TRUE;

  *ret_fit = CUBE_FIT_OK;
  if (!profile->has_specific)
    return TRUE;
  *ret_fit = run_pre_filters (engine, profile, run, pod, TRUE, ret_reason, ret_policy);
  if (*ret_fit != CUBE_FIT_OK)
    return FALSE;
  for (guint i = 0; i < profile->n_filters; i++)
    if (profile->filters[i].ops->is_pod_specific && (run->skipped >> i & 1) == 0)
      return FALSE;
  run_pre_scores (engine, profile, &scores, pod, (const CubeNodeInfo *const *) nodes->pdata, nodes->len, TRUE);
  for (guint i = 0; i < profile->n_scores; i++)
    is_plain &= !profile->scores[i].ops->is_pod_specific || (scores.skipped >> i & 1) != 0;
  run_free_scores (profile, &scores);
  return is_plain;
}

static void
make_room (Engine *engine)
{
  guint n_nodes = MAX (engine->cache->nodes->len, 1), most = CLAMP (MAX_PASS_NODES / n_nodes, 1, MAX_PASSES);

  while (engine->passes->len >= most)
    g_ptr_array_remove_index (engine->passes, 0); /* the oldest made */
}

static Node *
choose_of_class (Engine *engine, Profile *profile, Pod *pod, Refusal *refusal)
{
  Class *class = pod->class;

  if (class->pass != NULL && !pass_is_valid (class->pass, profile, engine))
    g_ptr_array_remove (engine->passes, class->pass);
  if (class->pass == NULL)
    {
      Pass *pass;

      make_room (engine);
      pass = pass_new (engine, profile, pod, refusal);
      if (pass == NULL)
        return NULL;
      g_ptr_array_add (engine->passes, pass);
    }
  return pass_choose (class->pass, refusal);
}

Node *
engine_choose (Engine *engine, Profile *profile, Pod *pod, Refusal *ret_refusal)
{
  Class *class = pod->class;
  g_autofree char *reason = NULL;
  guint policy = 0;
  Run run = { 0 };
  CubeFit fit;
  Node *node;

  *ret_refusal = (Refusal){ 0 };
  if (engine->cache->nodes->len == 0)
    {
      ret_refusal->wake_on = CUBE_WAKE_NODE_ADD;
      ret_refusal->message = refusal_text (0, NULL, NULL);
      return NULL;
    }
  if (is_of_class_only (engine, profile, &run, pod, &fit, &reason, &policy) && profile->percentage == 0)
    {
      if (class->structure != engine->cache->structure)
        {
          class->structure = engine->cache->structure;
          class->n_seen = 0;
        }
      if (class->n_seen++ > 0)
        {
          run_free_filters (profile, &run);
          return choose_of_class (engine, profile, pod, ret_refusal);
        }
    }
  if (fit == CUBE_FIT_OK)
    fit = run_pre_filters (engine, profile, &run, pod, FALSE, &reason, &policy);
  if (fit != CUBE_FIT_OK)
    {
      refuse_whole (engine, profile, policy, fit, reason, ret_refusal);
      node = NULL;
    }
  else
    node = choose_alone (engine, profile, &run, pod, ret_refusal);
  run_free_filters (profile, &run);
  return node;
}
