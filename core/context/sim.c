/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated process: every loop on the caller's thread, a virtual clock, order chosen by a seed. Two runs of one seed are the same run. */
#include "loop.h"
#include "loop-private.h"

struct _CubeSim {
  guint64 random[2]; /* xoroshiro128+ */
  gint64 now_us;
  guint64 next_order;
  GPtrArray *loops;  /* borrowed */
  GSequence *timers; /* CubeTimer, by (due, order) */
};

static guint64
split_mix (guint64 *state)
{
  guint64 z = (*state += 0x9e3779b97f4a7c15ULL);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

CubeSim *
cube_sim_new (guint64 seed, gint64 start_us)
{
  CubeSim *sim = g_new0 (CubeSim, 1);
  sim->random[0] = split_mix (&seed);
  sim->random[1] = split_mix (&seed);
  sim->now_us = start_us;
  sim->loops = g_ptr_array_new ();
  sim->timers = g_sequence_new (NULL);
  return sim;
}

void
cube_sim_free (CubeSim *sim)
{
  g_ptr_array_unref (sim->loops);
  g_sequence_free (sim->timers);
  g_free (sim);
}

CubeLoop *
cube_sim_new_loop (CubeSim *sim, const char *name)
{
  CubeLoop *loop = g_new0 (CubeLoop, 1);
  loop->name = g_strdup (name);
  loop->sim = sim;
  g_mutex_init (&loop->lock);
  g_queue_init (&loop->sim_queue);
  g_ptr_array_add (sim->loops, loop);
  return loop;
}

gint64
cube_sim_now (CubeSim *sim)
{
  return sim->now_us;
}

guint64
cube_sim_random (CubeSim *sim)
{
  guint64 a = sim->random[0], b = sim->random[1], result = a + b;
  b ^= a;
  sim->random[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
  sim->random[1] = (b << 37) | (b >> 27);
  return result;
}

static gint
timer_compare (gconstpointer a, gconstpointer b, gpointer unused)
{
  const CubeTimer *x = a, *y = b;
  if (x->due_us != y->due_us)
    return x->due_us < y->due_us ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

void
cube_sim_add_timer (CubeSim *sim, CubeTimer *timer, gint64 delay_us)
{
  timer->due_us = sim->now_us + MAX (delay_us, 0);
  timer->order = sim->next_order++;
  timer->place = g_sequence_insert_sorted (sim->timers, timer, timer_compare, NULL);
}

void
cube_sim_remove_timer (CubeSim *sim, CubeTimer *timer)
{
  GSequenceIter *place = g_steal_pointer (&timer->place);
  if (place == NULL)
    return;
  g_sequence_remove (place);
  cube_timer_fire (timer); /* is_cancelled is set: drops the job */
  cube_timer_unref (timer);
}

/* A timer that is due becomes a job of its loop, so that loops interleave by the seed. */
static void
timer_job (gpointer data)
{
  cube_timer_fire (data);
}

static void
timer_job_free (gpointer data)
{
  CubeTimer *timer = data;
  if (!g_atomic_int_get (&timer->has_run))
    g_atomic_int_set (&timer->is_cancelled, TRUE);
  cube_timer_fire (timer);
  cube_timer_unref (timer);
}

static void
move_due_timers (CubeSim *sim)
{
  for (;;)
    {
      GSequenceIter *first = g_sequence_get_begin_iter (sim->timers);
      if (g_sequence_iter_is_end (first))
        return;
      CubeTimer *timer = g_sequence_get (first);
      if (timer->due_us > sim->now_us)
        return;
      timer->place = NULL;
      g_sequence_remove (first);
      cube_loop_post (timer->loop, timer_job, timer, timer_job_free);
    }
}

static gboolean
run_one (CubeSim *sim)
{
  guint n_ready = 0;
  for (guint i = 0; i < sim->loops->len; i++)
    n_ready += !g_queue_is_empty (&((CubeLoop *) sim->loops->pdata[i])->sim_queue);
  if (n_ready == 0)
    return FALSE;
  guint chosen = n_ready == 1 ? 0 : (guint) (cube_sim_random (sim) % n_ready);
  for (guint i = 0; i < sim->loops->len; i++)
    {
      CubeLoop *loop = sim->loops->pdata[i];
      if (g_queue_is_empty (&loop->sim_queue) || chosen-- != 0)
        continue;
      g_autofree CubeJob *job = g_queue_pop_head (&loop->sim_queue);
      cube_job_run (job);
      return TRUE;
    }
  return FALSE;
}

gboolean
cube_sim_step (CubeSim *sim, gint64 until_us)
{
  move_due_timers (sim);
  if (run_one (sim))
    return TRUE;
  GSequenceIter *first = g_sequence_get_begin_iter (sim->timers);
  gint64 due_us = g_sequence_iter_is_end (first) ? G_MAXINT64 : ((CubeTimer *) g_sequence_get (first))->due_us;
  if (due_us > until_us)
    {
      sim->now_us = MAX (sim->now_us, until_us);
      return FALSE;
    }
  sim->now_us = due_us;
  return TRUE;
}
