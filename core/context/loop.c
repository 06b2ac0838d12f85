/* SPDX-License-Identifier: Apache-2.0 */
/* Loops backed by a GMainContext, each on a thread of its own ("main": on the caller's). */
#include "loop.h"
#include "loop-private.h"

/* ---- inbox: one GSource a loop; posting costs a lock, and a wake-up only when the queue was empty ---- */

typedef struct {
  GSource source;
  CubeLoop *loop;
} InboxSource;

static gboolean
inbox_has_jobs (GSource *source)
{
  CubeLoop *loop = ((InboxSource *) source)->loop;
  g_mutex_lock (&loop->lock);
  gboolean has = loop->queue->len > 0;
  g_mutex_unlock (&loop->lock);
  return has;
}

static gboolean
inbox_prepare (GSource *source, gint *timeout)
{
  *timeout = -1;
  return inbox_has_jobs (source);
}

static gboolean
inbox_dispatch (GSource *source, GSourceFunc unused_func, gpointer unused_data)
{
  CubeLoop *loop = ((InboxSource *) source)->loop;
  g_mutex_lock (&loop->lock);
  GArray *jobs = loop->queue;
  loop->queue = g_array_new (FALSE, FALSE, sizeof (CubeJob));
  g_mutex_unlock (&loop->lock);
  for (guint i = 0; i < jobs->len; i++)
    cube_job_run (&g_array_index (jobs, CubeJob, i));
  g_array_unref (jobs);
  return G_SOURCE_CONTINUE;
}

static GSourceFuncs inbox_funcs = { inbox_prepare, inbox_has_jobs, inbox_dispatch, NULL, NULL, NULL };

static CubeLoop *
loop_new (const char *name, GMainContext *context)
{
  CubeLoop *loop = g_new0 (CubeLoop, 1);
  loop->name = g_strdup (name);
  loop->context = context;
  g_mutex_init (&loop->lock);
  loop->queue = g_array_new (FALSE, FALSE, sizeof (CubeJob));
  loop->inbox = g_source_new (&inbox_funcs, sizeof (InboxSource));
  ((InboxSource *) loop->inbox)->loop = loop;
  g_source_set_name (loop->inbox, "cube-inbox");
  g_source_set_can_recurse (loop->inbox, FALSE);
  g_source_attach (loop->inbox, context);
  return loop;
}

static gpointer
loop_thread (gpointer data)
{
  CubeLoop *loop = data;
  g_main_context_push_thread_default (loop->context);
  g_main_loop_run (loop->main_loop);
  while (g_main_context_iteration (loop->context, FALSE)) /* what is ready still runs */
    ;
  g_main_context_pop_thread_default (loop->context);
  return NULL;
}

CubeLoop *
cube_loop_new_thread (const char *name)
{
  CubeLoop *loop = loop_new (name, g_main_context_new ());
  loop->main_loop = g_main_loop_new (loop->context, FALSE);
  loop->thread = g_thread_new (name, loop_thread, loop);
  return loop;
}

CubeLoop *
cube_loop_new_main (void)
{
  return loop_new ("main", g_main_context_ref (g_main_context_default ()));
}

static void
loop_quit (gpointer data)
{
  g_main_loop_quit (((CubeLoop *) data)->main_loop);
}

void
cube_loop_stop (CubeLoop *loop)
{
  if (loop->sim != NULL || loop->is_stopped)
    return;
  if (loop->thread != NULL)
    {
      cube_loop_post (loop, loop_quit, loop, NULL);
      g_thread_join (g_steal_pointer (&loop->thread));
    }
  loop->is_stopped = TRUE;
}

void
cube_loop_free (CubeLoop *loop)
{
  cube_loop_stop (loop);
  if (loop->inbox != NULL)
    {
      g_source_destroy (loop->inbox);
      g_source_unref (loop->inbox);
    }
  for (guint i = 0; loop->queue != NULL && i < loop->queue->len; i++)
    cube_job_drop (&g_array_index (loop->queue, CubeJob, i));
  g_clear_pointer (&loop->queue, g_array_unref);
  for (CubeJob *job; (job = g_queue_pop_head (&loop->sim_queue)) != NULL; g_free (job))
    cube_job_drop (job);
  g_clear_pointer (&loop->main_loop, g_main_loop_unref);
  g_clear_pointer (&loop->context, g_main_context_unref);
  g_mutex_clear (&loop->lock);
  g_free (loop->name);
  g_free (loop);
}

const char *
cube_loop_name (CubeLoop *loop)
{
  return loop->name;
}

void
cube_loop_post (CubeLoop *loop, CubeTask task, gpointer data, GDestroyNotify destroy)
{
  CubeJob job = { task, data, destroy };
  if (loop->sim != NULL)
    {
      g_queue_push_tail (&loop->sim_queue, g_memdup2 (&job, sizeof job));
      return;
    }
  g_mutex_lock (&loop->lock);
  gboolean was_empty = loop->queue->len == 0;
  g_array_append_val (loop->queue, job);
  g_mutex_unlock (&loop->lock);
  if (was_empty)
    g_main_context_wakeup (loop->context);
}

gboolean
cube_loop_is_current (CubeLoop *loop)
{
  return loop->sim != NULL || g_main_context_is_owner (loop->context);
}

GMainContext *
cube_loop_get_main_context (CubeLoop *loop)
{
  return loop->context;
}

/* ---- timers ---- */

CubeTimer *
cube_timer_new (CubeLoop *loop, CubeTask task, gpointer data, GDestroyNotify destroy)
{
  CubeTimer *timer = g_new0 (CubeTimer, 1);
  timer->ref_count = 2; /* the holder's and the source's */
  timer->loop = loop;
  timer->job = (CubeJob){ task, data, destroy };
  return timer;
}

void
cube_timer_unref (CubeTimer *timer)
{
  if (!g_atomic_int_dec_and_test (&timer->ref_count))
    return;
  g_clear_pointer (&timer->source, g_source_unref);
  g_free (timer);
}

void
cube_timer_fire (CubeTimer *timer)
{
  if (!g_atomic_int_compare_and_exchange (&timer->has_run, FALSE, TRUE))
    return;
  if (g_atomic_int_get (&timer->is_cancelled))
    cube_job_drop (&timer->job);
  else
    cube_job_run (&timer->job);
}

typedef struct {
  GSource source;
  CubeTimer *timer;
} TimerSource;

static gboolean
timer_dispatch (GSource *source, GSourceFunc unused_func, gpointer unused_data)
{
  cube_timer_fire (((TimerSource *) source)->timer);
  return G_SOURCE_REMOVE;
}

static void
timer_finalize (GSource *source)
{
  CubeTimer *timer = ((TimerSource *) source)->timer;
  if (g_atomic_int_compare_and_exchange (&timer->has_run, FALSE, TRUE))
    cube_job_drop (&timer->job); /* destroyed before its time */
  timer->source = NULL;
  cube_timer_unref (timer);
}

static GSourceFuncs timer_funcs = { NULL, NULL, timer_dispatch, timer_finalize, NULL, NULL };

CubeTimer *
cube_loop_after (CubeLoop *loop, gint64 delay_us, CubeTask task, gpointer data, GDestroyNotify destroy)
{
  CubeTimer *timer = cube_timer_new (loop, task, data, destroy);
  if (loop->sim != NULL)
    {
      cube_sim_add_timer (loop->sim, timer, delay_us);
      return timer;
    }
  GSource *source = g_source_new (&timer_funcs, sizeof (TimerSource));
  ((TimerSource *) source)->timer = timer;
  g_source_set_ready_time (source, g_get_monotonic_time () + MAX (delay_us, 0));
  /* The holder's reference keeps the GSource struct valid for cancel; finalize drops the timer's second reference. */
  timer->source = source;
  g_source_attach (source, loop->context);
  return timer;
}

void
cube_timer_cancel (CubeTimer *timer)
{
  if (timer == NULL)
    return;
  g_atomic_int_set (&timer->is_cancelled, TRUE);
  if (timer->loop->sim != NULL)
    {
      cube_sim_remove_timer (timer->loop->sim, timer);
      cube_timer_unref (timer);
      return;
    }
  GSource *source = g_steal_pointer (&timer->source);
  if (source != NULL)
    {
      g_source_destroy (source);
      g_source_unref (source);
    }
  cube_timer_unref (timer);
}
