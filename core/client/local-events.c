/* SPDX-License-Identifier: Apache-2.0 */
/* Events live for an hour after their last write: once a minute those that are older go. No clock is kept with an event: the store's revision of an hour
 * ago says which they are. */
#include "local-private.h"

#define TTL_MINUTES 60
#define TICK_US (60 * G_USEC_PER_SEC)
#define MAX_A_TICK 2000

typedef struct {
  CubeLocal *local;
  CubeTimer *timer;
  guint64 revisions[TTL_MINUTES]; /* the store's, minute by minute; a ring */
  guint at, n;
} Expiry;

typedef struct {
  guint64 until;
  GPtrArray *found;
} Collect;

static gboolean
collect_old (CubeObject *event, gpointer data)
{
  Collect *collect = data;

  if (cube_object_revision (event) <= collect->until)
    g_ptr_array_add (collect->found, cube_object_ref (event));
  return collect->found->len < MAX_A_TICK;
}

static void
on_expired (guint64 revision, CubeObject *object, const GError *error, gpointer data)
{
  /* Written again meanwhile, or gone: nothing to do. */
}

static void
expire (Expiry *expiry, guint64 until)
{
  CubeSnapshot *snapshot = cube_store_snapshot (expiry->local->store, "/events");
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  Collect collect = { until, found };

  cube_snapshot_visit (snapshot, NULL, NULL, NULL, collect_old, &collect);
  cube_snapshot_unref (snapshot);
  for (guint i = 0; i < found->len; i++)
    {
      CubeObject *event = found->pdata[i];

      cube_store_propose (expiry->local->store, "/events", cube_object_namespace (event), cube_object_name (event), NULL,
                          cube_object_revision (event), on_expired, NULL);
    }
}

static void
on_tick (gpointer data)
{
  Expiry *expiry = data;

  g_clear_pointer (&expiry->timer, cube_timer_cancel);
  if (expiry->n == TTL_MINUTES)
    expire (expiry, expiry->revisions[expiry->at]);
  else
    expiry->n++;
  expiry->revisions[expiry->at] = cube_store_revision (expiry->local->store);
  expiry->at = (expiry->at + 1) % TTL_MINUTES;
  expiry->timer = cube_loop_after (cube_context_get_loop (expiry->local->context, "main"), TICK_US, on_tick, expiry, NULL);
}

gpointer
cube_event_expiry_new (CubeLocal *local)
{
  Expiry *expiry = g_new0 (Expiry, 1);

  expiry->local = local;
  expiry->timer = cube_loop_after (cube_context_get_loop (local->context, "main"), TICK_US, on_tick, expiry, NULL);
  return expiry;
}

void
cube_event_expiry_free (gpointer data)
{
  Expiry *expiry = data;

  cube_timer_cancel (expiry->timer);
  g_free (expiry);
}
