/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of nodes by zone, and how fast a zone's nodes may be emptied: many nodes lost at once are more likely a broken network than broken machines. */
#include "lifecycle.h"
#include <string.h>

typedef enum { ZONE_NORMAL, ZONE_PARTIAL, ZONE_FULL } ZoneState;

static void
health_free (gpointer data)
{
  Health *health = data;
  g_free (health->uid);
  g_free (health->zone);
  g_free (health->heartbeat);
  g_free (health->renewed);
  g_free (health);
}

static char *
zone_of (CubeObject *node)
{
  const char *region = cube_object_label (node, "topology.kubernetes.io/region"),
             *zone = cube_object_label (node, "topology.kubernetes.io/zone");
  return g_strdup_printf ("%s:%s", region != NULL ? region : "", zone != NULL ? zone : "");
}

static void
count (Lifecycle *self, const Health *health, int by)
{
  Zone *zone = g_hash_table_lookup (self->zones, health->zone);
  if (zone == NULL)
    {
      zone = g_new0 (Zone, 1);
      g_hash_table_insert (self->zones, g_strdup (health->zone), zone);
    }
  if (health->ready == 'T')
    zone->n_ready += by;
  else
    zone->n_not_ready += by;
}

void
lifecycle_clear (Lifecycle *self)
{
  g_clear_pointer (&self->nodes, g_hash_table_unref);
  g_clear_pointer (&self->zones, g_hash_table_unref);
  self->nodes = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, health_free);
  self->zones = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->is_seeded = self->was_all_down = FALSE;
}

void
lifecycle_forget (Lifecycle *self, const char *name)
{
  Health *health = g_hash_table_lookup (self->nodes, name);
  if (health == NULL)
    return;
  count (self, health, -1);
  g_hash_table_remove (self->nodes, name);
}

/* A node that never posted is as old as it says; one that did is heard from now. */
static gint64
first_probe (Lifecycle *self, CubeObject *node, char ready)
{
  gint64 now = cube_context_monotonic_us (self->context), made;
  const char *created = cube_object_creation_timestamp (node);
  if (ready != 0 || created == NULL || !cube_time_parse (created, &made))
    return now;
  return now - CLAMP (cube_context_now_us (self->context) - made, 0, self->startup_us);
}

Health *
lifecycle_know (Lifecycle *self, CubeObject *node)
{
  const char *name = cube_object_name (node);
  g_autofree char *zone = zone_of (node);
  Health *health = g_hash_table_lookup (self->nodes, name);
  if (health != NULL && strcmp (health->uid, cube_object_uid (node)) != 0)
    {
      lifecycle_forget (self, name);
      health = NULL;
    }
  if (health == NULL)
    {
      g_autoptr (CubeValue) value = cube_object_value (node);
      health = g_new0 (Health, 1);
      health->uid = g_strdup (cube_object_uid (node));
      health->ready = lifecycle_ready_of (cube_value_root (value));
      health->probe_us = first_probe (self, node, health->ready);
      health->down_us = cube_context_monotonic_us (self->context);
      health->must_mark_pods = health->ready == 'U'; /* whoever said so may not have come to it */
      g_hash_table_insert (self->nodes, g_strdup (name), health);
    }
  else if (strcmp (health->zone, zone) == 0)
    return health;
  else
    count (self, health, -1);
  g_free (health->zone);
  health->zone = g_steal_pointer (&zone);
  count (self, health, 1);
  return health;
}

void
lifecycle_set_ready (Lifecycle *self, Health *health, char ready)
{
  if (health->ready == ready)
    return;
  count (self, health, -1);
  if (health->ready == 'T')
    health->down_us = cube_context_monotonic_us (self->context);
  health->ready = ready;
  count (self, health, 1);
}

static ZoneState
state_of (Lifecycle *self, const Zone *zone)
{
  if (zone->n_ready == 0 && zone->n_not_ready > 0)
    return ZONE_FULL;
  if (zone->n_not_ready > 2 && zone->n_not_ready * 100 >= (zone->n_ready + zone->n_not_ready) * self->unhealthy_percent)
    return ZONE_PARTIAL;
  return ZONE_NORMAL;
}

gboolean
lifecycle_is_all_down (Lifecycle *self)
{
  GHashTableIter iter;
  gpointer data;
  gboolean has_nodes = FALSE;
  for (g_hash_table_iter_init (&iter, self->zones); g_hash_table_iter_next (&iter, NULL, &data);)
    {
      const Zone *zone = data;
      if (zone->n_ready + zone->n_not_ready == 0)
        continue;
      has_nodes = TRUE;
      if (state_of (self, zone) != ZONE_FULL)
        return FALSE;
    }
  return has_nodes;
}

gboolean
lifecycle_take_turn (Lifecycle *self, const char *name, gint64 *ret_wait_us)
{
  Zone *zone = g_hash_table_lookup (self->zones, name);
  gint64 now = cube_context_monotonic_us (self->context), interval = self->evict_us;
  if (state_of (self, zone) == ZONE_PARTIAL)
    {
      interval = self->slow_evict_us;
      if (zone->n_ready + zone->n_not_ready <= self->large_zone)
        {
          *ret_wait_us = self->monitor_us; /* not at all while this lasts */
          return FALSE;
        }
    }
  if (zone->next_us > now)
    {
      *ret_wait_us = zone->next_us - now;
      return FALSE;
    }
  zone->next_us = now + interval;
  return TRUE;
}
