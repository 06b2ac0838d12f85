/* SPDX-License-Identifier: Apache-2.0 */
/* When spec.replicas changed, perhaps in the middle of a rollout: every active ReplicaSet gets its share. */
#include "deployment.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static gint64
annotated (const Set *set, const char *key)
{
  const char *text = rollout_annotation (set->value, key);
  return text != NULL ? g_ascii_strtoll (text, NULL, 10) : -1;
}

gboolean
rollout_is_scaling (const Rollout *rollout)
{
  for (guint i = 0; i < rollout->sets->len; i++)
    {
      const Set *set = rollout->sets->pdata[i];
      gint64 desired = annotated (set, DESIRED_REPLICAS);
      if (set->wanted > 0 && desired >= 0 && desired != rollout->replicas)
        return TRUE;
    }
  return FALSE;
}

/* The only active one, or with none active the new or else the latest; NULL when several are active. */
static Set *
find_active_or_latest (const Rollout *rollout)
{
  Set *active = NULL;
  for (guint i = 0; i < rollout->sets->len; i++)
    {
      Set *set = rollout->sets->pdata[i];
      if (set->wanted == 0)
        continue;
      if (active != NULL)
        return NULL;
      active = set;
    }
  if (active != NULL || rollout->sets->len == 0)
    return active;
  return rollout->new_set != NULL ? rollout->new_set : rollout->sets->pdata[rollout->sets->len - 1];
}

static gint64
share_of (const Rollout *rollout, const Set *set)
{
  if (rollout->replicas == 0)
    return -set->wanted;
  gint64 before = annotated (set, MAX_REPLICAS);
  if (before <= 0)
    before = cube_view_get_int (rollout->view, 0, "status", "replicas");
  if (before <= 0)
    return 0;
  return (gint64) round ((double) set->wanted * (double) (rollout->replicas + rollout->max_surge) / (double) before) - set->wanted;
}

static gint
bigger_newer (gconstpointer a, gconstpointer b)
{
  const Set *x = *(const Set *const *) a, *y = *(const Set *const *) b;
  if (x->wanted != y->wanted)
    return x->wanted > y->wanted ? -1 : 1;
  return -g_strcmp0 (cube_object_creation_timestamp (x->object), cube_object_creation_timestamp (y->object));
}

static gint
bigger_older (gconstpointer a, gconstpointer b)
{
  const Set *x = *(const Set *const *) a, *y = *(const Set *const *) b;
  return x->wanted != y->wanted ? bigger_newer (a, b) : -bigger_newer (a, b);
}

static gboolean
scale_in_proportion (Rollout *rollout, GError **error)
{
  g_autoptr (GPtrArray) active = g_ptr_array_new ();
  for (guint i = 0; i < rollout->sets->len; i++)
    if (((Set *) rollout->sets->pdata[i])->wanted > 0)
      g_ptr_array_add (active, rollout->sets->pdata[i]);
  gint64 allowed = rollout->replicas > 0 ? rollout->replicas + rollout->max_surge : 0;
  gint64 to_add = allowed - rollout_sum_wanted (rollout, FALSE), added = 0;
  g_ptr_array_sort (active, to_add > 0 ? bigger_newer : bigger_older);
  g_autofree gint64 *sizes = g_new0 (gint64, active->len + 1);
  for (guint i = 0; i < active->len; i++)
    {
      const Set *set = active->pdata[i];
      gint64 left = to_add - added, share = left != 0 ? share_of (rollout, set) : 0;
      share = to_add > 0 ? MIN (share, left) : MAX (share, left);
      sizes[i] = set->wanted + share;
      added += share;
    }
  for (guint i = 0; i < active->len; i++)
    {
      gint64 size = sizes[i] + (i == 0 ? to_add - added : 0);
      if (!rollout_scale_set (rollout, active->pdata[i], MAX (size, 0), NULL, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
is_saturated (const Rollout *rollout)
{
  const Set *set = rollout->new_set;
  return set != NULL && set->wanted == rollout->replicas && annotated (set, DESIRED_REPLICAS) == rollout->replicas
         && set->available == rollout->replicas;
}

gboolean
rollout_scale (Rollout *rollout, GError **error)
{
  Set *only = find_active_or_latest (rollout);
  if (only != NULL)
    return only->wanted == rollout->replicas && annotated (only, DESIRED_REPLICAS) == rollout->replicas
               ? TRUE
               : rollout_scale_set (rollout, only, rollout->replicas, NULL, error);
  if (is_saturated (rollout))
    {
      for (guint i = 0; i < rollout->sets->len; i++)
        {
          Set *set = rollout->sets->pdata[i];
          if (set != rollout->new_set && set->wanted > 0 && !rollout_scale_set (rollout, set, 0, NULL, error))
            return FALSE;
        }
      return TRUE;
    }
  return rollout->is_recreate || scale_in_proportion (rollout, error);
}
