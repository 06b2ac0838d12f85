/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes as one class of pods sees them, ranked: filtered and scored once, then only where pods came or went. Feasible nodes stand in buckets by total
 * score, so that the best is found, and a tie broken by chance, without looking at the others.
 *
 * A policy that normalises sees all feasible nodes at once. Its raw scores are kept; a node that changes within their range, at an end that others hold too,
 * needs no new round. Normalising is expected to depend on the smallest and largest raw score alone, as all of Kubernetes' does. */
#include "driver.h"
#include <string.h>

typedef struct {
  guint policy;
  gint64 *raw, *norm; /* by node */
  gint64 min, max;    /* of the feasible */
  guint n_min, n_max;
  gint64 norm_min, norm_max;
} Normal;

struct _Pass {
  Engine *engine;
  Profile *profile;
  Pod *pod;
  Run filter_run, score_run;
  guint n_nodes;
  guint64 structure, seen; /* of the cache when last in step */
  gint64 *base;            /* by node: the part that is not normalised */
  gint32 *total;           /* by node: -1 = not feasible */
  guint32 *spot;           /* by node: in its bucket */
  const char **reason;     /* by node */
  guint8 *refuser;
  GArray **buckets; /* by total: of guint32 */
  gint top, n_buckets;
  Normal *normals;
  guint n_normals, n_feasible;
  gboolean is_stale; /* normalise anew */
  gboolean is_told;  /* refusal is of the present state */
  Refusal refusal;
};

/* ---- buckets ---- */

static void
put_in_bucket (Pass *pass, guint node, gint total)
{
  GArray *bucket;
  guint32 index = node;

  total = CLAMP (total, 0, pass->n_buckets - 1);
  if (pass->buckets[total] == NULL)
    pass->buckets[total] = g_array_new (FALSE, FALSE, sizeof (guint32));
  bucket = pass->buckets[total];
  pass->total[node] = total;
  pass->spot[node] = bucket->len;
  g_array_append_val (bucket, index);
  pass->top = MAX (pass->top, total);
}

static void
take_from_bucket (Pass *pass, guint node)
{
  GArray *bucket = pass->buckets[pass->total[node]];
  guint32 last = g_array_index (bucket, guint32, bucket->len - 1);

  g_array_index (bucket, guint32, pass->spot[node]) = last;
  pass->spot[last] = pass->spot[node];
  g_array_set_size (bucket, bucket->len - 1);
  pass->total[node] = -1;
}

/* ---- normalising ---- */

static void
note_extremes (Normal *normal, gint64 raw, gint64 norm)
{
  if (normal->n_min == 0 || raw < normal->min)
    {
      normal->min = raw;
      normal->n_min = 0;
      normal->norm_min = norm;
    }
  if (normal->n_max == 0 || raw > normal->max)
    {
      normal->max = raw;
      normal->n_max = 0;
      normal->norm_max = norm;
    }
  normal->n_min += raw == normal->min;
  normal->n_max += raw == normal->max;
}

static void
normalize_one (Pass *pass, Normal *normal)
{
  Score *score = &pass->profile->scores[normal->policy];
  GArray *scratch = pass->engine->raw;
  guint n = 0;

  g_array_set_size (scratch, MAX (pass->n_nodes, 1));
  for (guint i = 0; i < pass->n_nodes; i++)
    if (pass->total[i] >= 0)
      g_array_index (scratch, gint64, n++) = normal->raw[i];
  score->ops->normalize (score->impl->state, (gint64 *) (gpointer) scratch->data, n);
  normal->n_min = normal->n_max = n = 0;
  for (guint i = 0; i < pass->n_nodes; i++)
    if (pass->total[i] >= 0)
      {
        normal->norm[i] = CLAMP (g_array_index (scratch, gint64, n), 0, MAX_SCORE);
        n++;
        note_extremes (normal, normal->raw[i], normal->norm[i]);
      }
}

static gint
total_of (const Pass *pass, guint node)
{
  gint64 total = pass->base[node];

  for (guint i = 0; i < pass->n_normals; i++)
    total += pass->normals[i].norm[node] * pass->profile->scores[pass->normals[i].policy].weight;
  return (gint) total;
}

static void
normalize_all (Pass *pass)
{
  for (guint i = 0; i < pass->n_normals; i++)
    normalize_one (pass, &pass->normals[i]);
  for (gint i = 0; i < pass->n_buckets; i++)
    if (pass->buckets[i] != NULL)
      g_array_set_size (pass->buckets[i], 0);
  pass->top = 0;
  for (guint i = 0; i < pass->n_nodes; i++)
    if (pass->total[i] >= 0)
      put_in_bucket (pass, i, total_of (pass, i));
  pass->is_stale = FALSE;
}

/* A feasible node leaves the range. */
static void
retire_raw (Pass *pass, Normal *normal, guint node)
{
  gint64 raw = normal->raw[node];

  if (normal->min == normal->max)
    {
      normal->n_min--;
      normal->n_max--;
      return;
    }
  if (raw == normal->min && --normal->n_min == 0)
    pass->is_stale = TRUE;
  if (raw == normal->max && --normal->n_max == 0)
    pass->is_stale = TRUE;
}

/* It enters with @raw. */
static void
admit_raw (Pass *pass, Normal *normal, guint node, gint64 raw)
{
  normal->raw[node] = raw;
  if (normal->n_min > 0 && raw == normal->min)
    {
      normal->norm[node] = normal->norm_min;
      normal->n_min++;
      normal->n_max += normal->min == normal->max;
    }
  else if (normal->n_max > 0 && raw == normal->max)
    {
      normal->norm[node] = normal->norm_max;
      normal->n_max++;
    }
  else
    pass->is_stale = TRUE;
}

/* ---- one node ---- */

static gint64
score_node (Pass *pass, guint policy, const Node *node)
{
  Score *score = &pass->profile->scores[policy];
  gint64 factor, since = sample_begin (pass->engine, &factor);
  gint64 raw = score->ops->score (score->impl->state, &score->cycle, pass->score_run.data[policy], &pass->pod->info, &node->info);

  if (factor != 0)
    score->spent_us += (cube_context_monotonic_us (pass->engine->context) - since) * factor;
  return raw;
}

static void
score_base (Pass *pass, const Node *node)
{
  Profile *profile = pass->profile;
  gint64 base = 0;

  for (guint i = 0; i < profile->n_scores; i++)
    if ((pass->score_run.skipped >> i & 1) == 0 && !CUBE_OPS_HAS (profile->scores[i].ops, normalize))
      {
        gint64 raw = score_node (pass, i, node);

        base += CLAMP (raw, 0, MAX_SCORE) * profile->scores[i].weight;
      }
  pass->base[node->index] = base;
}

static gboolean
filter_node (Pass *pass, const Node *node)
{
  const char *reason = NULL;
  guint policy = 0;
  CubeFit fit = run_filter (pass->engine, pass->profile, &pass->filter_run, pass->pod, node, &reason, &policy);

  pass->reason[node->index] = reason;
  pass->refuser[node->index] = (guint8) (policy | (fit == CUBE_FIT_UNSCHEDULABLE ? 0x80 : 0) | (fit == CUBE_FIT_ERROR ? 0x40 : 0));
  return fit == CUBE_FIT_OK;
}

static void
refresh_node (Pass *pass, const Node *node)
{
  guint index = node->index;
  gboolean was_feasible = pass->total[index] >= 0, is_feasible = filter_node (pass, node);

  pass->is_told = FALSE;
  if (was_feasible)
    take_from_bucket (pass, index);
  if (!is_feasible)
    {
      for (guint i = 0; was_feasible && i < pass->n_normals; i++)
        retire_raw (pass, &pass->normals[i], index);
      pass->n_feasible -= was_feasible;
      return;
    }
  pass->n_feasible += !was_feasible;
  score_base (pass, node);
  for (guint i = 0; i < pass->n_normals; i++)
    {
      Normal *normal = &pass->normals[i];
      gint64 raw = score_node (pass, normal->policy, node);

      if (was_feasible && raw == normal->raw[index])
        continue;
      if (was_feasible)
        retire_raw (pass, normal, index);
      admit_raw (pass, normal, index, raw);
    }
  put_in_bucket (pass, index, total_of (pass, index));
}

/* ---- the whole ---- */

static void
allocate (Pass *pass)
{
  Profile *profile = pass->profile;
  guint n = pass->n_nodes;
  gint64 highest = 0;

  pass->base = g_new0 (gint64, n);
  pass->total = g_new (gint32, n);
  memset (pass->total, 0xff, sizeof (gint32) * n);
  pass->spot = g_new0 (guint32, n);
  pass->reason = g_new0 (const char *, n);
  pass->refuser = g_new0 (guint8, n);
  for (guint i = 0; i < profile->n_scores; i++)
    highest += MAX_SCORE * profile->scores[i].weight;
  pass->n_buckets = (gint) highest + 1;
  pass->buckets = g_new0 (GArray *, pass->n_buckets);
}

static void
find_normals (Pass *pass)
{
  Profile *profile = pass->profile;

  pass->normals = g_new0 (Normal, MAX (profile->n_scores, 1));
  for (guint i = 0; i < profile->n_scores; i++)
    if ((pass->score_run.skipped >> i & 1) == 0 && CUBE_OPS_HAS (profile->scores[i].ops, normalize))
      {
        Normal *normal = &pass->normals[pass->n_normals++];

        normal->policy = i;
        normal->raw = g_new0 (gint64, pass->n_nodes);
        normal->norm = g_new0 (gint64, pass->n_nodes);
      }
}

/* Policies that look beyond the class have said they have nothing to say of it. */
static void
skip_specific (Pass *pass)
{
  Profile *profile = pass->profile;

  for (guint i = 0; i < profile->n_filters; i++)
    if (profile->filters[i].ops->is_pod_specific)
      pass->filter_run.skipped |= G_GUINT64_CONSTANT (1) << i;
  for (guint i = 0; i < profile->n_scores; i++)
    if (profile->scores[i].ops->is_pod_specific)
      pass->score_run.skipped |= G_GUINT64_CONSTANT (1) << i;
}

static void
fill_policy (Pass *pass, guint policy, gint64 *into)
{
  GPtrArray *nodes = pass->engine->cache->nodes;
  Score *score = &pass->profile->scores[policy];
  gint64 since = cube_context_monotonic_us (pass->engine->context);
  const CubeScoreOps *ops = score->ops;

  for (guint i = 0; i < pass->n_nodes; i++)
    if (pass->total[i] >= 0)
      {
        gint64 raw = ops->score (score->impl->state, &score->cycle, pass->score_run.data[policy], &pass->pod->info,
                                 &((const Node *) nodes->pdata[i])->info);

        if (into != NULL)
          into[i] = raw;
        else
          pass->base[i] += CLAMP (raw, 0, MAX_SCORE) * score->weight;
      }
  score->spent_us += MAX (cube_context_monotonic_us (pass->engine->context) - since, 1);
}

static void
fill (Pass *pass)
{
  GPtrArray *nodes = pass->engine->cache->nodes;
  GArray *feasible = pass->engine->feasible;
  Profile *profile = pass->profile;

  g_array_set_size (feasible, 0);
  for (guint i = 0; i < nodes->len; i++)
    if (filter_node (pass, nodes->pdata[i]))
      {
        pass->total[i] = 0;
        pass->n_feasible++;
        g_array_append_val (feasible, nodes->pdata[i]);
      }
  run_pre_scores (pass->engine, profile, &pass->score_run, pass->pod, (const CubeNodeInfo *const *) (gconstpointer) feasible->data,
                  feasible->len, FALSE);
  find_normals (pass);
  for (guint i = 0; i < profile->n_scores; i++)
    if ((pass->score_run.skipped >> i & 1) == 0 && !CUBE_OPS_HAS (profile->scores[i].ops, normalize))
      fill_policy (pass, i, NULL);
  for (guint i = 0; i < pass->n_normals; i++)
    fill_policy (pass, pass->normals[i].policy, pass->normals[i].raw);
  normalize_all (pass);
}

Pass *
pass_new (Engine *engine, Profile *profile, Pod *pod, Refusal *ret_refusal)
{
  Pass *pass = g_new0 (Pass, 1);
  g_autofree char *reason = NULL;
  guint policy = 0;
  CubeFit fit;

  pass->engine = engine;
  pass->profile = profile;
  pass->pod = pod_new (pod->info.object, pod->class); /* of its class, without a document of its own */
  pod->class->pass = pass;
  pass->n_nodes = engine->cache->nodes->len;
  pass->structure = engine->cache->structure;
  pass->seen = engine->cache->n_changes;
  skip_specific (pass);
  fit = run_pre_filters (engine, profile, &pass->filter_run, pass->pod, FALSE, &reason, &policy);
  if (fit != CUBE_FIT_OK)
    {
      ret_refusal->wake_on = profile->filters[policy].ops->wake_on;
      ret_refusal->is_error = fit == CUBE_FIT_ERROR;
      ret_refusal->message = refusal_text (pass->n_nodes, NULL, reason != NULL ? reason : profile->filters[policy].impl->id);
      pass_free (pass);
      return NULL;
    }
  allocate (pass);
  fill (pass);
  return pass;
}

void
pass_free (Pass *pass)
{
  if (pass->pod->class->pass == pass)
    pass->pod->class->pass = NULL;
  run_free_filters (pass->profile, &pass->filter_run);
  run_free_scores (pass->profile, &pass->score_run);
  for (guint i = 0; i < pass->n_normals; i++)
    {
      g_free (pass->normals[i].raw);
      g_free (pass->normals[i].norm);
    }
  for (gint i = 0; i < pass->n_buckets; i++)
    if (pass->buckets[i] != NULL)
      g_array_unref (pass->buckets[i]);
  g_free (pass->buckets);
  g_free (pass->normals);
  g_free (pass->base);
  g_free (pass->total);
  g_free (pass->spot);
  g_free (pass->reason);
  g_free (pass->refuser);
  refusal_clear (&pass->refusal);
  pod_unref (pass->pod);
  g_free (pass);
}

gboolean
pass_is_valid (const Pass *pass, const Profile *profile, const Engine *engine)
{
  guint64 behind = engine->cache->n_changes - pass->seen;

  return pass->profile == profile && pass->structure == engine->cache->structure && behind < CHANGE_LOG
         && behind <= (guint64) pass->n_nodes + 64;
}

static void
tell_refusal (Pass *pass, Refusal *ret_refusal)
{
  if (!pass->is_told)
    {
      g_autoptr (GArray) counts = g_array_new (FALSE, FALSE, sizeof (ReasonCount));

      refusal_clear (&pass->refusal);
      pass->refusal.wake_on = CUBE_WAKE_NODE_ADD;
      for (guint i = 0; i < pass->n_nodes; i++)
        {
          guint8 refuser = pass->refuser[i];

          count_reasons (counts, pass->reason[i]);
          pass->refusal.wake_on |= pass->profile->filters[refuser & 0x3f].ops->wake_on;
          pass->refusal.can_preempt |= (refuser & 0x80) != 0;
          pass->refusal.is_error |= (refuser & 0x40) != 0;
        }
      pass->refusal.message = refusal_text (pass->n_nodes, counts, NULL);
      pass->is_told = TRUE;
    }
  *ret_refusal = pass->refusal;
  ret_refusal->message = g_strdup (pass->refusal.message);
}

Node *
pass_choose (Pass *pass, Refusal *ret_refusal)
{
  Cache *cache = pass->engine->cache;
  GArray *bucket;
  guint32 index;

  for (; pass->seen < cache->n_changes; pass->seen++)
    refresh_node (pass, cache->nodes->pdata[cache->changes[pass->seen % CHANGE_LOG]]);
  if (pass->n_feasible == 0)
    {
      tell_refusal (pass, ret_refusal);
      return NULL;
    }
  if (pass->is_stale)
    normalize_all (pass);
  while (pass->buckets[pass->top] == NULL || pass->buckets[pass->top]->len == 0)
    pass->top--;
  bucket = pass->buckets[pass->top];
  index = g_array_index (bucket, guint32, bucket->len == 1 ? 0 : cube_context_random (pass->engine->context) % bucket->len);
  return cache->nodes->pdata[index];
}
