/* SPDX-License-Identifier: Apache-2.0 */
#include "loopcall.h"

typedef struct {
  GMutex lock;
  GCond done_changed;
  gboolean is_done;
  CubeTask task;
  gpointer data;
} Call;

static void
run (gpointer data)
{
  Call *call = data;

  call->task (call->data);
  g_mutex_lock (&call->lock);
  call->is_done = TRUE;
  g_cond_signal (&call->done_changed);
  g_mutex_unlock (&call->lock);
}

void
loopcall_sync (CubeLoop *loop, CubeTask task, gpointer data)
{
  Call call = { .task = task, .data = data };

  if (cube_loop_is_current (loop))
    {
      task (data);
      return;
    }
  g_mutex_init (&call.lock);
  g_cond_init (&call.done_changed);
  cube_loop_post (loop, run, &call, NULL);
  g_mutex_lock (&call.lock);
  while (!call.is_done)
    g_cond_wait (&call.done_changed, &call.lock);
  g_mutex_unlock (&call.lock);
  g_cond_clear (&call.done_changed);
  g_mutex_clear (&call.lock);
}
