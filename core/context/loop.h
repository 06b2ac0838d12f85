/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: loops and timers, real and simulated. */
#include <cube/context.h>

typedef struct _CubeSim CubeSim;

CubeLoop *cube_loop_new_thread (const char *name); /* a thread of its own */
CubeLoop *cube_loop_new_main (void);               /* the default main context, run by the caller */
void cube_loop_stop (CubeLoop *loop);              /* ends the thread after what is queued; idempotent */
void cube_loop_free (CubeLoop *loop);
const char *cube_loop_name (CubeLoop *loop);

CubeSim *cube_sim_new (guint64 seed, gint64 start_us);
void cube_sim_free (CubeSim *sim);
CubeLoop *cube_sim_new_loop (CubeSim *sim, const char *name);
gint64 cube_sim_now (CubeSim *sim);
guint64 cube_sim_random (CubeSim *sim);
gboolean cube_sim_step (CubeSim *sim, gint64 until_us);
