/* SPDX-License-Identifier: Apache-2.0 */
/* Copies the write-ahead log into the database beside the commits, so that no acknowledged write waits for it. */
#include "sqlite-private.h"

#ifndef CHECKPOINT_FRAMES
#define CHECKPOINT_FRAMES 1000 /* 4 MB of log */
#endif
#define CHECKPOINT_NOW_FRAMES (16 * CHECKPOINT_FRAMES) /* the job cannot keep up: the writer waits this once */

static int
log_grew (void *data, sqlite3 *db, const char *name, int frames)
{
  ((Sqlite *) data)->wal_frames = frames;
  return SQLITE_OK;
}

void
sqlite_watch_log (Sqlite *self)
{
  sqlite3_wal_hook (self->db, log_grew, self);
}

/* On a worker, with a connection of its own. What it copies the writer reuses: once all of the log is in the database the next commit starts the log
 * anew. A failure loses nothing; it is tried again, and a full disk shows itself in the writer. */
static void
checkpoint_job (gpointer data)
{
  Sqlite *self = data;
  if (self->checkpointer == NULL
      && sqlite3_open_v2 (self->path, &self->checkpointer, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
    sqlite3_exec (self->checkpointer, "PRAGMA cache_size=-64; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0", NULL, NULL, NULL);
  int rc = CUBE_FAILPOINT ("sqlite/checkpoint")
               ? SQLITE_IOERR
               : sqlite3_wal_checkpoint_v2 (self->checkpointer, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  if (rc != SQLITE_OK && rc != SQLITE_BUSY)
    g_warning ("%s: checkpoint: %s", self->path, sqlite3_errmsg (self->checkpointer));
  g_mutex_lock (&self->lock);
  self->is_running = FALSE;
  g_cond_broadcast (&self->idle);
  g_mutex_unlock (&self->lock);
}

void
sqlite_maybe_checkpoint (Sqlite *self)
{
  if (self->wal_frames < CHECKPOINT_FRAMES)
    return;
  g_mutex_lock (&self->lock);
  gboolean must_start = !self->is_running;
  self->is_running = TRUE;
  g_mutex_unlock (&self->lock);
  if (self->wal_frames >= CHECKPOINT_NOW_FRAMES)
    sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
  if (must_start && cube_context_is_simulated (self->context))
    checkpoint_job (self); /* nobody may be left to run the loop when the store is closed */
  else if (must_start)
    cube_context_run_blocking (self->context, checkpoint_job, NULL, NULL, self);
}

void
sqlite_finish_checkpoint (Sqlite *self)
{
  g_mutex_lock (&self->lock);
  while (self->is_running)
    g_cond_wait (&self->idle, &self->lock);
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&self->checkpointer, sqlite3_close);
}
