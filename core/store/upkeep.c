/* SPDX-License-Identifier: Apache-2.0 */
/* When the storage fails, and what is done from time to time. Committer only. */
#include "store-private.h"
#include <string.h>

#define PROBE_EVERY_US G_USEC_PER_SEC
#define MAX_UNCOMPACTED 10 /* windows of history the storage holds at most before it is compacted early */
#define COMPACT_SLICE 500  /* revisions at a time */

char *
cube_store_mark_json (guint64 mark)
{
  return g_strdup_printf ("{\"revision\":%" G_GUINT64_FORMAT "}", mark);
}

gboolean
cube_store_may_write (CubeStore *store, GError **error)
{
  if (store->trouble == NULL || cube_context_monotonic_us (store->context) >= store->next_probe_us)
    return TRUE;
  if (error != NULL)
    *error = g_error_copy (store->trouble);
  return FALSE;
}

void
cube_store_note_failure (CubeStore *store, const GError *error)
{
  if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    return; /* another server wrote: the storage is well */
  gint64 now = cube_context_monotonic_us (store->context);
  if (store->trouble != NULL && now < store->next_probe_us)
    return;
  store->next_probe_us = now + PROBE_EVERY_US;
  if (store->trouble != NULL && store->trouble->code == error->code)
    return;
  if (store->trouble == NULL)
    g_warning ("store: read-only: %s; trying again every second", error->message);
  g_clear_error (&store->trouble);
  store->trouble = g_error_copy (error);
  g_autofree char *message = g_strdup_printf ("read-only: %s; reads go on, a write is tried every second", error->message);
  cube_context_set_health (store->context, FALSE, message);
  cube_metric_set ("cube_store_read_only", NULL, 1);
}

void
cube_store_note_success (CubeStore *store)
{
  if (store->trouble == NULL)
    return;
  g_message ("store: writes work again");
  g_clear_error (&store->trouble);
  cube_context_set_health (store->context, TRUE, NULL);
  cube_metric_set ("cube_store_read_only", NULL, 0);
}

/* A write of our own: the mark as it is (or a first one). */
gboolean
cube_store_write_mark (CubeStore *store, GError **error)
{
  guint64 revision = ++store->last_assigned, mark = MAX (store->mark, revision);
  g_autofree char *json = cube_store_mark_json (mark);
  CubeStorageChange change = { CUBE_STORE_MARK_KEY, json, strlen (json), revision, store->mark_revision };
  if (!store->ops->commit (store->storage, &change, 1, error))
    return FALSE;
  store->mark = mark;
  store->mark_revision = store->newest_stored = revision;
  return TRUE;
}

static void
store_probe (CubeStore *store)
{
  g_autoptr (GError) error = NULL;
  if (cube_store_write_mark (store, &error))
    cube_store_note_success (store);
  else
    cube_store_note_failure (store, error);
}

/* One slice: a long compaction does not hold up what comes in meanwhile. */
static void
store_compact (CubeStore *store)
{
  g_autoptr (GError) error = NULL;
  guint64 revision = MIN (store->compact_target, store->compacted + COMPACT_SLICE);
  if (store->ops->compact (store->storage, revision, &error))
    store->compacted = revision;
  else
    {
      g_warning ("store: history up to revision %" G_GUINT64_FORMAT " stays in the storage: %s", revision, error->message);
      store->compact_target = store->compacted; /* until the next interval */
    }
}

/* History younger than one interval is kept, and not more than some windows of it. */
gint64
cube_store_upkeep (CubeStore *store, gboolean is_idle)
{
  gint64 now = cube_context_monotonic_us (store->context);
  guint64 limit = (guint64) MAX_UNCOMPACTED * store->history;
  if (store->trouble != NULL && now >= store->next_probe_us)
    store_probe (store);
  if (now >= store->next_compact_us)
    {
      cube_store_drop_kept (store);
      store->compact_target = MAX (store->compact_target, store->compact_candidate);
      store->compact_candidate = store->newest_stored;
      store->next_compact_us = now + store->compact_every_us;
    }
  if (store->newest_stored > store->compact_target + limit + limit / 2) /* not for every commit */
    store->compact_target = store->newest_stored - limit;
  if (store->trouble != NULL)
    return MIN (store->next_probe_us, store->next_compact_us);
  if (store->compacted < store->compact_target && (is_idle || store->compact_target - store->compacted > limit))
    store_compact (store);
  return store->compacted < store->compact_target ? now : store->next_compact_us;
}
