/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the process behind every CubeContext: clock, loops, timers, workers, facts; real or simulated. */
#include <cube/auth.h>
#include <cube/client.h>
#include <cube/context.h>
#include <cube/plugin.h>

typedef struct _CubeProcess CubeProcess;

CubeProcess *cube_process_new (void);
/* One thread, a virtual clock that starts at @start_us, randomness from @seed. Drive with cube_process_step. */
CubeProcess *cube_process_new_simulated (guint64 seed, gint64 start_us);
/* Stops all loops and workers (tasks already posted are run or freed), frees contexts. Main thread. */
void cube_process_free (CubeProcess *process);
void cube_process_stop_workers (CubeProcess *process); /* waits for running blocking work; nothing more is taken */
void cube_process_stop_loops (CubeProcess *process);   /* workers and loops */

/* Simulation: runs one ready task of a loop chosen by the seed, or moves the clock to the next timer (not beyond @until_us). FALSE: nothing left to do
 * until then (the clock stands at @until_us). */
gboolean cube_process_step (CubeProcess *process, gint64 until_us);
/* Simulation: steps until @until_us (virtual µs). */
void cube_process_run_until (CubeProcess *process, gint64 until_us);

/* A context for plugin (or core room) @name. @config is copied. Lives as long as the process. (transfer none) */
CubeContext *cube_process_new_context (CubeProcess *process, const char *name, CubeView config);
void cube_process_set_schema (CubeProcess *process, CubeSchema *schema);
void cube_process_set_registry (CubeProcess *process, CubeRegistry *registry);
void cube_process_set_client (CubeProcess *process, CubeClient *client); /* contexts derive theirs from it: user system:cube:<name> */
void cube_process_set_data_dir (CubeProcess *process, const char *data_dir);
void cube_process_set_node_name (CubeProcess *process, const char *node_name);

const char *cube_context_name (CubeContext *context);
CubeProcess *cube_context_process (CubeContext *context);
gboolean cube_context_get_health (CubeContext *context, char **ret_message); /* (transfer full) (nullable) */
gint64 cube_context_get_time (CubeContext *context);
