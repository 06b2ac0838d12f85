/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps what is right where it is, fills what has to be written anyway, and makes a new slice only when nothing has room. */
#include "endpointslice.h"
#include <string.h>

static void
slice_free (gpointer data)
{
  Slice *slice = data;
  cube_object_unref (slice->object);
  cube_value_unref (slice->value);
  g_ptr_array_unref (slice->endpoints);
  g_free (slice);
}

static Slice *
slice_new (GPtrArray *plan, Group *group, gboolean is_ipv6)
{
  Slice *slice = g_new0 (Slice, 1);
  slice->group = group;
  slice->is_ipv6 = is_ipv6;
  slice->is_changed = TRUE;
  slice->endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  g_ptr_array_add (plan, slice);
  return slice;
}

static Group *
find_group (Pass *pass, gboolean is_ipv6, CubeView ports)
{
  for (guint i = 0; i < pass->groups->len; i++)
    {
      Group *group = pass->groups->pdata[i];
      if (group->is_ipv6 == is_ipv6
          && (cube_view_equal (cube_value_root (group->ports), ports)
              || (cube_view_length (ports) == 0 && cube_view_length (cube_value_root (group->ports)) == 0)))
        return group;
    }
  return NULL;
}

/* The newest moment a pod of a changed endpoint became what it is. */
static void
note_trigger (Pass *pass, Slice *slice)
{
  slice->is_changed = TRUE;
  if (pass->trigger == NULL)
    {
      char now[40];
      cube_time_format_micro (cube_context_now_us (pass->env->context), now);
      pass->trigger = g_strdup (now);
    }
}

static void
keep_endpoints (Pass *pass, Slice *slice, CubeView endpoints)
{
  CubeIter it;
  CubeView endpoint;
  for (cube_iter_init (&it, endpoints); cube_iter_next (&it, NULL, &endpoint);)
    {
      g_autofree char *key = endpoint_key (endpoint);
      Desired *desired = g_hash_table_lookup (slice->group->by_key, key);
      if (desired == NULL || desired->is_placed)
        {
          note_trigger (pass, slice); /* gone */
          continue;
        }
      desired->is_placed = TRUE;
      g_ptr_array_add (slice->endpoints, cube_value_ref (desired->value));
      if (!cube_view_equal (endpoint, cube_value_root (desired->value)))
        note_trigger (pass, slice);
    }
}

static void
read_existing (Pass *pass, GPtrArray *plan, CubeObject *object)
{
  g_autoptr (CubeValue) value = cube_object_value (object);
  CubeView view = cube_value_root (value);
  gboolean is_ipv6 = g_strcmp0 (cube_view_get_string (view, "addressType"), "IPv6") == 0;
  Slice *slice = slice_new (plan, find_group (pass, is_ipv6, cube_view_member (view, "ports")), is_ipv6);
  slice->object = cube_object_ref (object);
  slice->value = cube_value_ref (value);
  slice->is_changed = !cube_view_equal (cube_view_get (view, "metadata", "labels"), cube_value_root (pass->labels));
  if (slice->group != NULL)
    keep_endpoints (pass, slice, cube_view_member (view, "endpoints"));
  slice->is_doomed = slice->endpoints->len == 0;
}

/* The fullest slice of @group with room for @n more; among those that are written anyway, any room will do. */
static Slice *
find_room (GPtrArray *plan, Group *group, guint n, gboolean is_changed)
{
  Slice *best = NULL;
  for (guint i = 0; i < plan->len; i++)
    {
      Slice *slice = plan->pdata[i];
      if (slice->group != group || slice->is_doomed || slice->is_changed != is_changed
          || slice->endpoints->len + (is_changed ? 1 : n) > SLICE_MAX)
        continue;
      if (best == NULL || slice->endpoints->len > best->endpoints->len)
        best = slice;
    }
  return best;
}

/* A slice that would be removed serves again rather than one being removed and one made. */
static Slice *
take_doomed (GPtrArray *plan, Group *group, gboolean is_ipv6)
{
  for (int same_group = 1; same_group >= 0; same_group--)
    for (guint i = 0; i < plan->len; i++)
      {
        Slice *slice = plan->pdata[i];
        if (!slice->is_doomed || slice->is_ipv6 != is_ipv6 || (same_group && slice->group != group))
          continue;
        slice->is_doomed = FALSE;
        slice->is_changed = TRUE;
        slice->group = group;
        return slice;
      }
  return NULL;
}

static void
place_rest (Pass *pass, GPtrArray *plan, Group *group)
{
  g_autoptr (GPtrArray) rest = g_ptr_array_new ();
  guint done = 0;
  for (guint i = 0; i < group->endpoints->len; i++)
    if (!((Desired *) group->endpoints->pdata[i])->is_placed)
      g_ptr_array_add (rest, group->endpoints->pdata[i]);
  while (done < rest->len)
    {
      guint n = rest->len - done;
      Slice *slice = find_room (plan, group, n, TRUE);
      if (slice == NULL && n < SLICE_MAX)
        slice = find_room (plan, group, n, FALSE);
      if (slice == NULL)
        slice = take_doomed (plan, group, group->is_ipv6);
      if (slice == NULL)
        slice = slice_new (plan, group, group->is_ipv6);
      note_trigger (pass, slice);
      for (; done < rest->len && slice->endpoints->len < SLICE_MAX; done++)
        {
          Desired *desired = rest->pdata[done];
          desired->is_placed = TRUE;
          g_ptr_array_add (slice->endpoints, cube_value_ref (desired->value));
        }
    }
}

/* A service without endpoints has one empty slice of each family: "none" is told from "not looked at yet". */
static void
keep_placeholder (Pass *pass, GPtrArray *plan, gboolean is_ipv6)
{
  for (guint i = 0; i < plan->len; i++)
    {
      Slice *slice = plan->pdata[i];
      if (slice->is_ipv6 == is_ipv6 && !slice->is_doomed)
        return;
    }
  for (guint i = 0; i < plan->len; i++) /* it is there already */
    {
      Slice *slice = plan->pdata[i];
      CubeView view = slice->value != NULL ? cube_value_root (slice->value) : cube_view_none ();
      if (slice->is_ipv6 != is_ipv6 || cube_view_length (cube_view_member (view, "endpoints")) > 0
          || cube_view_length (cube_view_member (view, "ports")) > 0)
        continue;
      slice->is_doomed = FALSE;
      return;
    }
  Slice *slice = take_doomed (plan, NULL, is_ipv6);
  if (slice == NULL)
    slice = slice_new (plan, NULL, is_ipv6);
  note_trigger (pass, slice);
}

GPtrArray *
plan_make (Pass *pass, GPtrArray *existing)
{
  GPtrArray *plan = g_ptr_array_new_with_free_func (slice_free);
  for (guint i = 0; i < existing->len; i++)
    {
      const char *manager = cube_object_label (existing->pdata[i], LABEL_MANAGED_BY),
                 *service = cube_object_label (existing->pdata[i], LABEL_SERVICE);
      if (g_strcmp0 (manager, MANAGER) == 0 && g_strcmp0 (service, cube_object_name (pass->object)) == 0)
        read_existing (pass, plan, existing->pdata[i]);
    }
  for (guint i = 0; i < pass->groups->len; i++)
    place_rest (pass, plan, pass->groups->pdata[i]);
  for (int is_ipv6 = 0; is_ipv6 <= 1; is_ipv6++)
    if (service_wants_family (pass->view, is_ipv6))
      keep_placeholder (pass, plan, is_ipv6);
  return plan;
}
