/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/context.h>

/* Runs @task on @loop and returns when it has run: at once when called on the loop itself (always so under simulation). Not under a lock the
 * loop may want. For start and stop, where something must begin or end on its own loop. */
void loopcall_sync (CubeLoop *loop, CubeTask task, gpointer data);
