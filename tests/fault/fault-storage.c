/* SPDX-License-Identifier: Apache-2.0 */
#include "fault-storage.h"

struct _FaultStorage {
  const CubeStorageOps *ops;
  gpointer state;
  GMutex lock;
  GCond cond;
  guint until_failure, failures;
  int code;
  gint64 delay_us;
  gboolean is_held, is_waiting;
  guint commits, changes;
};

FaultStorage *
fault_storage_new (const CubeStorageOps *ops, gpointer state)
{
  FaultStorage *fault = g_new0 (FaultStorage, 1);
  fault->ops = ops;
  fault->state = state;
  g_mutex_init (&fault->lock);
  g_cond_init (&fault->cond);
  return fault;
}

void
fault_storage_free (FaultStorage *fault)
{
  g_mutex_clear (&fault->lock);
  g_cond_clear (&fault->cond);
  g_free (fault);
}

void
fault_storage_fail (FaultStorage *fault, guint nth, guint count, int code)
{
  g_mutex_lock (&fault->lock);
  fault->until_failure = nth - 1;
  fault->failures = count;
  fault->code = code;
  g_mutex_unlock (&fault->lock);
}

void
fault_storage_heal (FaultStorage *fault)
{
  fault_storage_fail (fault, 1, 0, 0);
}

void
fault_storage_delay (FaultStorage *fault, gint64 delay_us)
{
  g_mutex_lock (&fault->lock);
  fault->delay_us = delay_us;
  g_mutex_unlock (&fault->lock);
}

void
fault_storage_hold (FaultStorage *fault, gboolean is_held)
{
  g_mutex_lock (&fault->lock);
  fault->is_held = is_held;
  g_cond_broadcast (&fault->cond);
  g_mutex_unlock (&fault->lock);
}

void
fault_storage_wait_held (FaultStorage *fault)
{
  g_mutex_lock (&fault->lock);
  while (!fault->is_waiting)
    g_cond_wait (&fault->cond, &fault->lock);
  g_mutex_unlock (&fault->lock);
}

guint
fault_storage_commits (FaultStorage *fault)
{
  g_mutex_lock (&fault->lock);
  guint commits = fault->commits;
  g_mutex_unlock (&fault->lock);
  return commits;
}

guint
fault_storage_changes (FaultStorage *fault)
{
  g_mutex_lock (&fault->lock);
  guint changes = fault->changes;
  g_mutex_unlock (&fault->lock);
  return changes;
}

/* TRUE: this commit fails. */
static gboolean
is_due (FaultStorage *fault)
{
  if (fault->failures == 0)
    return FALSE;
  if (fault->until_failure > 0)
    {
      fault->until_failure--;
      return FALSE;
    }
  if (fault->failures != G_MAXUINT)
    fault->failures--;
  return TRUE;
}

static gboolean
fault_commit (gpointer state, const CubeStorageChange *changes, guint n_changes, GError **error)
{
  FaultStorage *fault = state;
  g_mutex_lock (&fault->lock);
  fault->is_waiting = TRUE;
  g_cond_broadcast (&fault->cond);
  while (fault->is_held)
    g_cond_wait (&fault->cond, &fault->lock);
  fault->is_waiting = FALSE;
  gint64 delay_us = fault->delay_us;
  gboolean must_fail = is_due (fault);
  int code = fault->code;
  if (!must_fail)
    {
      fault->commits++;
      fault->changes += n_changes;
    }
  g_mutex_unlock (&fault->lock);
  if (delay_us > 0)
    g_usleep (delay_us);
  if (must_fail)
    {
      g_set_error (error, CUBE_ERROR, code, "injected fault");
      return FALSE;
    }
  return fault->ops->commit (fault->state, changes, n_changes, error);
}

static gboolean
fault_open (gpointer state, const char *location, GError **error)
{
  FaultStorage *fault = state;
  return fault->ops->open (fault->state, location, error);
}

static void
fault_close (gpointer state)
{
  FaultStorage *fault = state;
  fault->ops->close (fault->state);
}

static gboolean
fault_get_revision (gpointer state, guint64 *ret_newest, guint64 *ret_oldest, GError **error)
{
  FaultStorage *fault = state;
  return fault->ops->get_revision (fault->state, ret_newest, ret_oldest, error);
}

static gboolean
fault_load (gpointer state, CubeStorageRow row, gpointer data, GError **error)
{
  FaultStorage *fault = state;
  return fault->ops->load (fault->state, row, data, error);
}

static gboolean
fault_load_history (gpointer state, guint64 revision, CubeStorageHistoryRow row, gpointer data, GError **error)
{
  FaultStorage *fault = state;
  return fault->ops->load_history (fault->state, revision, row, data, error);
}

static gboolean
fault_compact (gpointer state, guint64 revision, GError **error)
{
  FaultStorage *fault = state;
  return fault->ops->compact (fault->state, revision, error);
}

const CubeStorageOps fault_storage_ops = {
  .ops_size = sizeof (CubeStorageOps),
  .open = fault_open,
  .close = fault_close,
  .get_revision = fault_get_revision,
  .load = fault_load,
  .load_history = fault_load_history,
  .commit = fault_commit,
  .compact = fault_compact,
};
