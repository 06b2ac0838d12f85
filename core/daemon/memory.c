/* SPDX-License-Identifier: Apache-2.0 */
/* Gives the memory of a burst back: glibc keeps what a thread's arena has grown to, even when all but its last page is free. */
#include "daemon.h"
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#define PERIOD_US (5 * G_USEC_PER_SEC)
#define WORTH_BYTES (8 * 1024 * 1024) /* a look at every free piece is not for less */

struct _CubeMemoryWatch {
  CubeContext *context;
  CubeTimer *timer;
  gsize resident; /* bytes, when last trimmed */
};

static gsize
resident_bytes (void)
{
  gsize pages = 0;
  FILE *file = fopen ("/proc/self/statm", "re");
  if (file == NULL)
    return 0;
  if (fscanf (file, "%*u %zu", &pages) != 1)
    pages = 0;
  fclose (file);
  return pages * (gsize) sysconf (_SC_PAGESIZE);
}

static void
trim (gpointer data)
{
  CubeMemoryWatch *watch = data;
  malloc_trim (0);
  watch->resident = resident_bytes ();
}

static void look (gpointer data);

static void
look_later (gpointer data)
{
  CubeMemoryWatch *watch = data;
  watch->timer = cube_loop_after (cube_context_get_loop (watch->context, "main"), PERIOD_US, look, watch, NULL);
}

static void
look (gpointer data)
{
  CubeMemoryWatch *watch = data;
  gsize resident = resident_bytes ();
  cube_timer_cancel (g_steal_pointer (&watch->timer));
  watch->resident = MIN (watch->resident, resident);
  if (resident < watch->resident + WORTH_BYTES || mallinfo2 ().fordblks < WORTH_BYTES)
    look_later (watch);
  else
    cube_context_run_blocking (watch->context, trim, cube_context_get_loop (watch->context, "main"), look_later, watch);
}

CubeMemoryWatch *
cube_memory_watch_new (CubeContext *context)
{
  CubeMemoryWatch *watch = g_new0 (CubeMemoryWatch, 1);
  watch->context = context;
  watch->resident = resident_bytes ();
  look_later (watch);
  return watch;
}

void
cube_memory_watch_free (CubeMemoryWatch *watch)
{
  cube_timer_cancel (watch->timer);
  g_free (watch);
}
