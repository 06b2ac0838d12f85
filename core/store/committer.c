/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of proposals and the thread that drains it. */
#include "store-private.h"
#include <string.h>

#define MAX_PENDING 4096
#define MAX_BATCH 1024
#define MAX_BATCH_BYTES (8 * 1024 * 1024)

static CubeProposal *
proposal_new (CubeTable *table, const char *ns, const char *name, CubeObject *object, guint64 expected, CubeProposalDone done,
              gpointer data)
{
  gsize key_length = strlen (table->key), ns_length = strlen (ns), name_length = strlen (name);
  CubeProposal *proposal = g_malloc0 (sizeof (CubeProposal) + key_length + 2 * (ns_length + name_length) + 5);
  *proposal = (CubeProposal){ .table = table, .object = object, .expected = expected, .done = done, .data = data };
  char *at = proposal->key;
  at = g_stpcpy (at, table->key);
  at = g_stpcpy (at, CUBE_STORE_SEPARATOR);
  at = g_stpcpy (at, ns);
  at = g_stpcpy (at, CUBE_STORE_SEPARATOR);
  at = g_stpcpy (at, name) + 1;
  proposal->ns = at;
  at = g_stpcpy (at, ns) + 1;
  proposal->name = at;
  g_stpcpy (at, name);
  return proposal;
}

/* Lock held. Takes what waits, up to a batch; the rest stays. */
static CubeProposal *
committer_take (CubeCommitter *committer)
{
  CubeProposal *first = committer->first, *last = first;
  if (first == NULL)
    return NULL;
  gsize bytes = 0, length = 0;
  guint n = 1;
  for (;; n++)
    {
      if (last->object != NULL)
        cube_object_json (last->object, &length);
      bytes += length;
      if (last->next == NULL || n == MAX_BATCH || bytes > MAX_BATCH_BYTES)
        break;
      last = last->next;
    }
  committer->first = last->next;
  last->next = NULL;
  if (committer->first == NULL)
    committer->last = &committer->first;
  if (committer->n_pending >= MAX_PENDING)
    g_cond_broadcast (&committer->space);
  committer->n_pending -= n;
  return first;
}

static gpointer
committer_run (gpointer data)
{
  CubeStore *store = data;
  CubeCommitter *committer = &store->committer;
  gint64 next_us = store->next_compact_us;
  g_mutex_lock (&committer->lock);
  for (;;)
    {
      CubeProposal *first = committer_take (committer);
      if (first == NULL && committer->must_stop)
        break;
      if (first == NULL)
        {
          committer->is_waiting = TRUE;
          gboolean is_woken = g_cond_wait_until (&committer->work, &committer->lock, next_us);
          committer->is_waiting = FALSE;
          if (is_woken)
            continue;
        }
      g_mutex_unlock (&committer->lock);
      if (first != NULL)
        cube_store_run_batch (store, first);
      next_us = cube_store_upkeep (store, first == NULL);
      g_mutex_lock (&committer->lock);
    }
  g_mutex_unlock (&committer->lock);
  return NULL;
}

/* Under simulation. A proposal made by a done callback is committed by the call that runs it, or by the one made inside. */
static void
committer_run_inline (CubeStore *store)
{
  CubeCommitter *committer = &store->committer;
  while (!committer->is_critical)
    {
      CubeProposal *first = committer_take (committer);
      if (first == NULL)
        break;
      committer->is_critical = TRUE;
      cube_store_run_batch (store, first);
      cube_store_upkeep (store, TRUE);
    }
}

void
cube_store_start_committer (CubeStore *store)
{
  CubeCommitter *committer = &store->committer;
  g_mutex_init (&committer->lock);
  g_cond_init (&committer->work);
  g_cond_init (&committer->space);
  committer->last = &committer->first;
  if (!cube_context_is_simulated (store->context))
    committer->thread = g_thread_new ("committer", committer_run, store);
}

void
cube_store_stop_committer (CubeStore *store)
{
  CubeCommitter *committer = &store->committer;
  if (committer->thread != NULL)
    {
      g_mutex_lock (&committer->lock);
      committer->must_stop = TRUE;
      g_cond_signal (&committer->work);
      g_mutex_unlock (&committer->lock);
      g_thread_join (committer->thread);
    }
  g_mutex_clear (&committer->lock);
  g_cond_clear (&committer->work);
  g_cond_clear (&committer->space);
}

void
cube_store_propose (CubeStore *store, const char *resource_key, const char *ns, const char *name, CubeObject *object, guint64 expected,
                    CubeProposalDone done, gpointer data)
{
  g_return_if_fail (resource_key != NULL && name != NULL && done != NULL);
  CubeCommitter *committer = &store->committer;
  CubeTable *table = cube_store_table (store, resource_key, TRUE);
  CubeProposal *proposal = proposal_new (table, ns != NULL ? ns : "", name, object, expected, done, data);
  g_mutex_lock (&committer->lock);
  while (committer->n_pending >= MAX_PENDING && committer->thread != NULL && committer->thread != g_thread_self ())
    g_cond_wait (&committer->space, &committer->lock);
  *committer->last = proposal;
  committer->last = &proposal->next;
  committer->n_pending++;
  if (committer->is_waiting)
    g_cond_signal (&committer->work);
  g_mutex_unlock (&committer->lock);
  if (committer->thread == NULL)
    committer_run_inline (store);
}

/* ---- waiting for the answer ---- */

typedef struct {
  GMutex lock;
  GCond cond;
  gboolean is_done;
  CubeObject *object;
  GError *error;
} Waiter;

static void
waiter_done (guint64 revision, CubeObject *object, const GError *error, gpointer data)
{
  Waiter *waiter = data;
  g_mutex_lock (&waiter->lock);
  waiter->object = object != NULL ? cube_object_ref (object) : NULL;
  waiter->error = error != NULL ? g_error_copy (error) : NULL;
  waiter->is_done = TRUE;
  g_cond_signal (&waiter->cond);
  g_mutex_unlock (&waiter->lock);
}

CubeObject *
cube_store_commit (CubeStore *store, const char *resource_key, const char *ns, const char *name, CubeObject *object, guint64 expected,
                   CubeObject **ret_current, GError **error)
{
  g_return_val_if_fail (store->committer.thread == NULL || store->committer.thread != g_thread_self (), NULL);
  Waiter waiter = { .is_done = FALSE };
  g_mutex_init (&waiter.lock);
  g_cond_init (&waiter.cond);
  cube_store_propose (store, resource_key, ns, name, object, expected, waiter_done, &waiter);
  g_mutex_lock (&waiter.lock);
  while (!waiter.is_done)
    g_cond_wait (&waiter.cond, &waiter.lock);
  g_mutex_unlock (&waiter.lock);
  g_mutex_clear (&waiter.lock);
  g_cond_clear (&waiter.cond);
  if (waiter.error == NULL)
    return waiter.object;
  if (ret_current != NULL)
    *ret_current = waiter.object;
  else
    g_clear_pointer (&waiter.object, cube_object_unref);
  g_propagate_error (error, waiter.error);
  return NULL;
}
