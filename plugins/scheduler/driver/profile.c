/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: which policies a schedulerName uses, in which order and weight. The configuration has the shape of KubeSchedulerConfiguration's profiles. */
#include "driver.h"
#include <string.h>

/* Kubernetes' order; others follow by id. */
static const char *const known_order[] = { "NodeUnschedulable",  "NodeName",
                                           "TaintToleration",    "NodeAffinity",
                                           "NodePorts",          "NodeResourcesFit",
                                           "VolumeRestrictions", "NodeVolumeLimits",
                                           "VolumeBinding",      "VolumeZone",
                                           "PodTopologySpread",  "InterPodAffinity",
                                           "DefaultPreemption",  "NodeResourcesBalancedAllocation",
                                           "ImageLocality" };

static guint
rank_of (const char *id)
{
  if (g_str_equal (id, "DefaultBinder"))
    return G_MAXUINT; /* binders of others are asked first */
  for (guint i = 0; i < G_N_ELEMENTS (known_order); i++)
    if (g_str_equal (id, known_order[i]))
      return i;
  return G_N_ELEMENTS (known_order);
}

static gint
compare_impls (gconstpointer a, gconstpointer b)
{
  const CubeImpl *x = *(const CubeImpl *const *) a, *y = *(const CubeImpl *const *) b;
  guint one = rank_of (x->id), two = rank_of (y->id);

  return one != two ? (one < two ? -1 : 1) : strcmp (x->id, y->id);
}

/* ---- reading the configuration ---- */

static gboolean
check_weights (CubeView plugins, const char *name, GError **error)
{
  CubeIter points, it;
  const char *point;
  CubeView set, one;

  for (cube_iter_init (&points, plugins); cube_iter_next (&points, &point, &set);)
    for (cube_iter_init (&it, cube_view_member (set, "enabled")); cube_iter_next (&it, NULL, &one);)
      {
        gint64 weight = cube_view_int (cube_view_member (one, "weight"), 0);

        if (weight >= 0 && weight <= MAX_WEIGHT)
          continue;
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "profile %s: %s of %s: weight %" G_GINT64_FORMAT ", expected 1 to %d", name,
                     cube_view_string_or (cube_view_member (one, "name"), "a policy"), point, weight, MAX_WEIGHT);
        return FALSE;
      }
  return TRUE;
}

static Profile *
profile_new (CubeView config, const char *name, int percentage)
{
  Profile *profile = g_new0 (Profile, 1);

  profile->name = g_strdup (name);
  profile->config = config;
  profile->percentage = percentage;
  profile->reserves = g_array_new (FALSE, FALSE, sizeof (Hook));
  profile->permits = g_array_new (FALSE, FALSE, sizeof (Hook));
  profile->binds = g_array_new (FALSE, FALSE, sizeof (Hook));
  profile->post_filters = g_array_new (FALSE, FALSE, sizeof (Hook));
  return profile;
}

static void
profile_free (gpointer data)
{
  Profile *profile = data;

  profile_drop (profile);
  g_array_unref (profile->reserves);
  g_array_unref (profile->permits);
  g_array_unref (profile->binds);
  g_array_unref (profile->post_filters);
  g_free (profile->name);
  g_free (profile);
}

static gboolean
read_percentage (CubeView view, const char *where, int fallback, int *ret_percentage, GError **error)
{
  gint64 percentage = cube_view_int (cube_view_member (view, "percentageOfNodesToScore"), fallback);

  if (percentage < 0 || percentage > 100)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: percentageOfNodesToScore %" G_GINT64_FORMAT ", expected 0 to 100", where,
                   percentage);
      return FALSE;
    }
  *ret_percentage = (int) percentage;
  return TRUE;
}

static gboolean
add_profile (GPtrArray *profiles, CubeView config, int general, gboolean is_only, GError **error)
{
  const char *name = cube_view_get_string (config, "schedulerName");
  int percentage;

  if (cube_view_type (config) != CUBE_VALUE_OBJECT || (name == NULL && !is_only))
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INVALID, "profiles: each needs a schedulerName where there are several");
      return FALSE;
    }
  if (name == NULL)
    name = "default-scheduler";
  for (guint i = 0; i < profiles->len; i++)
    if (g_str_equal (((Profile *) profiles->pdata[i])->name, name))
      {
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "profiles: schedulerName \"%s\" occurs twice", name);
        return FALSE;
      }
  if (!read_percentage (config, name, general, &percentage, error) || !check_weights (cube_view_member (config, "plugins"), name, error))
    return FALSE;
  g_ptr_array_add (profiles, profile_new (config, name, percentage));
  return TRUE;
}

GPtrArray *
profiles_new (CubeView config, GError **error)
{
  g_autoptr (GPtrArray) profiles = g_ptr_array_new_with_free_func (profile_free);
  CubeView list = cube_view_member (config, "profiles"), one;
  CubeIter it;
  int general;

  if (!read_percentage (config, "configuration", 0, &general, error))
    return NULL;
  if (cube_view_exists (list) && cube_view_type (list) != CUBE_VALUE_ARRAY)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "profiles: found %s, expected an array",
                   cube_value_type_name (cube_view_type (list)));
      return NULL;
    }
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &one);)
    if (!add_profile (profiles, one, general, cube_view_length (list) == 1, error))
      return NULL;
  if (profiles->len == 0)
    g_ptr_array_add (profiles, profile_new (cube_view_none (), "default-scheduler", general));
  return g_steal_pointer (&profiles);
}

/* Whether @id is named in the list; * stands for all. */
static gboolean
is_named (CubeView list, const char *id, gboolean with_star, gint64 *ret_weight)
{
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &one);)
    {
      const char *name = cube_view_string_or (cube_view_member (one, "name"), "");

      if (g_str_equal (name, id) || (with_star && g_str_equal (name, "*")))
        {
          if (ret_weight != NULL && cube_view_int (cube_view_member (one, "weight"), 0) > 0)
            *ret_weight = cube_view_int (cube_view_member (one, "weight"), 0);
          return TRUE;
        }
    }
  return FALSE;
}

/* Everything loaded takes part unless disabled; the point's own words win over multiPoint's. */
static gboolean
is_enabled (const Profile *profile, const char *point, const char *id, gint64 *ret_weight)
{
  const char *const points[] = { point, "multiPoint" };

  for (guint i = 0; i < G_N_ELEMENTS (points); i++)
    {
      CubeView set = cube_view_get (profile->config, "plugins", points[i]);

      if (is_named (cube_view_member (set, "enabled"), id, FALSE, ret_weight))
        return TRUE;
      if (is_named (cube_view_member (set, "disabled"), id, TRUE, NULL))
        return FALSE;
    }
  return TRUE;
}

static CubeView
args_of (const Profile *profile, const char *id)
{
  CubeIter it;
  CubeView one;

  for (cube_iter_init (&it, cube_view_member (profile->config, "pluginConfig")); cube_iter_next (&it, NULL, &one);)
    if (g_strcmp0 (cube_view_get_string (one, "name"), id) == 0)
      return cube_view_member (one, "args");
  return cube_view_none ();
}

/* ---- the implementations of the moment ---- */

static CubeCycle
cycle_of (const Profile *profile, CubeContext *context, const char *id)
{
  return (CubeCycle){ .struct_size = sizeof (CubeCycle), .context = context, .args = args_of (profile, id) };
}

static void
load_filters (Profile *profile, CubeContext *context, CubeRegistry *registry)
{
  g_autoptr (GPtrArray) list = cube_registry_list (registry, CUBE_FILTER_PLUGIN);

  g_ptr_array_sort (list, compare_impls);
  for (guint i = 0; i < list->len; i++)
    {
      const CubeImpl *impl = list->pdata[i];
      const CubeFilterOps *ops = impl->ops;

      if (!is_enabled (profile, "filter", impl->id, NULL))
        continue;
      if (profile->n_filters == MAX_POLICIES)
        {
          g_warning ("profile %s: more than %d filter policies; %s and later ones are left out", profile->name, MAX_POLICIES, impl->id);
          return;
        }
      profile->filters[profile->n_filters++] =
          (Filter){ .impl = cube_impl_ref (impl), .ops = ops, .cycle = cycle_of (profile, context, impl->id) };
      profile->has_specific |= ops->is_pod_specific;
    }
}

static void
load_scores (Profile *profile, CubeContext *context, CubeRegistry *registry)
{
  g_autoptr (GPtrArray) list = cube_registry_list (registry, CUBE_SCORE_PLUGIN);

  g_ptr_array_sort (list, compare_impls);
  for (guint i = 0; i < list->len; i++)
    {
      const CubeImpl *impl = list->pdata[i];
      const CubeScoreOps *ops = impl->ops;
      gint64 weight = ops->default_weight > 0 ? MIN (ops->default_weight, MAX_WEIGHT) : 1;

      if (!is_enabled (profile, "score", impl->id, &weight))
        continue;
      if (profile->n_scores == MAX_POLICIES)
        {
          g_warning ("profile %s: more than %d score policies; %s and later ones are left out", profile->name, MAX_POLICIES, impl->id);
          return;
        }
      profile->scores[profile->n_scores++] =
          (Score){ .impl = cube_impl_ref (impl), .ops = ops, .cycle = cycle_of (profile, context, impl->id), .weight = weight };
      profile->has_specific |= ops->is_pod_specific;
    }
}

static void
load_hooks (Profile *profile, GArray *hooks, CubeContext *context, CubeRegistry *registry, const char *interface, const char *point)
{
  g_autoptr (GPtrArray) list = cube_registry_list (registry, interface);

  g_ptr_array_sort (list, compare_impls);
  for (guint i = 0; i < list->len; i++)
    {
      const CubeImpl *impl = list->pdata[i];
      Hook hook = { impl, impl->ops, cycle_of (profile, context, impl->id) };

      if (!is_enabled (profile, point, impl->id, NULL))
        continue;
      cube_impl_ref (impl);
      g_array_append_val (hooks, hook);
    }
}

static gboolean
binds_need_document (const Profile *profile)
{
  for (guint i = 0; i < profile->binds->len; i++)
    {
      const CubeBindOps *ops = g_array_index (profile->binds, Hook, i).ops;

      if (!CUBE_OPS_HAS (ops, bind_async) || CUBE_OPS_HAS (ops, pre_bind) || CUBE_OPS_HAS (ops, post_bind))
        return TRUE;
    }
  return FALSE;
}

void
profile_load (Profile *profile, CubeContext *context, CubeRegistry *registry)
{
  profile_drop (profile);
  load_filters (profile, context, registry);
  load_scores (profile, context, registry);
  load_hooks (profile, profile->reserves, context, registry, CUBE_RESERVE_PLUGIN, "reserve");
  load_hooks (profile, profile->permits, context, registry, CUBE_PERMIT_PLUGIN, "permit");
  load_hooks (profile, profile->binds, context, registry, CUBE_BIND_PLUGIN, "bind");
  load_hooks (profile, profile->post_filters, context, registry, CUBE_POST_FILTER_PLUGIN, "postFilter");
  profile->needs_document =
      profile->has_specific || profile->reserves->len > 0 || profile->permits->len > 0 || binds_need_document (profile);
}

static void
drop_hooks (GArray *hooks)
{
  for (guint i = 0; i < hooks->len; i++)
    cube_impl_unref (g_array_index (hooks, Hook, i).impl);
  g_array_set_size (hooks, 0);
}

void
profile_drop (Profile *profile)
{
  profile_report_time (profile);
  for (guint i = 0; i < profile->n_filters; i++)
    cube_impl_unref (profile->filters[i].impl);
  for (guint i = 0; i < profile->n_scores; i++)
    cube_impl_unref (profile->scores[i].impl);
  profile->n_filters = profile->n_scores = 0;
  profile->has_specific = profile->needs_document = FALSE;
  drop_hooks (profile->reserves);
  drop_hooks (profile->permits);
  drop_hooks (profile->binds);
  drop_hooks (profile->post_filters);
}

static void
report (const CubeImpl *impl, gint64 *spent_us)
{
  if (*spent_us > 0)
    cube_context_add_time (impl->context, *spent_us);
  *spent_us = 0;
}

void
profile_report_time (Profile *profile)
{
  for (guint i = 0; i < profile->n_filters; i++)
    report (profile->filters[i].impl, &profile->filters[i].spent_us);
  for (guint i = 0; i < profile->n_scores; i++)
    report (profile->scores[i].impl, &profile->scores[i].spent_us);
}
