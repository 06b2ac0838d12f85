/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "loop.h"

typedef struct {
  CubeTask task;
  gpointer data;
  GDestroyNotify destroy;
} CubeJob;

static inline void
cube_job_run (CubeJob *job)
{
  job->task (job->data);
  if (job->destroy != NULL)
    job->destroy (job->data);
}

static inline void
cube_job_drop (CubeJob *job)
{
  if (job->destroy != NULL)
    job->destroy (job->data);
}

struct _CubeLoop {
  char *name;
  CubeSim *sim;            /* set: simulated */
  GMainContext *context;   /* real */
  GMainLoop *main_loop;
  GThread *thread;         /* NULL for "main" */
  GSource *inbox;
  GMutex lock;
  GArray *queue;           /* CubeJob */
  gboolean is_stopped;
  GQueue sim_queue;        /* CubeJob *, simulated */
};

struct _CubeTimer {
  gint ref_count;
  CubeLoop *loop;
  gint is_cancelled;       /* atomic */
  gint has_run;            /* atomic: the task ran or was dropped */
  CubeJob job;
  GSource *source;         /* real */
  GSequenceIter *place;    /* simulated: in sim->timers, NULL once taken */
  gint64 due_us;
  guint64 order;
};

void cube_timer_unref (CubeTimer *timer);
void cube_timer_fire (CubeTimer *timer);
CubeTimer *cube_timer_new (CubeLoop *loop, CubeTask task, gpointer data, GDestroyNotify destroy);
void cube_sim_add_timer (CubeSim *sim, CubeTimer *timer, gint64 delay_us);
void cube_sim_remove_timer (CubeSim *sim, CubeTimer *timer);
