/* SPDX-License-Identifier: Apache-2.0 */
#include <cube/failpoint.h>

#ifdef CUBE_FAILPOINTS
#define FIU_ENABLE
#include <fiu-control.h>
#include <fiu.h>
#include <signal.h>
#include <string.h>

enum { FAIL = 1, KILL = 2 }; /* what fiu_fail () gives back */

/* A mistake in the variable must not look like a test that passed. */
static void
enable (const char *entry)
{
  g_auto (GStrv) parts = g_strsplit_set (entry, "=:", 3);
  guint n = g_strv_length (parts);
  int action = n < 2 ? 0 : g_str_equal (parts[1], "fail") ? FAIL : g_str_equal (parts[1], "kill") ? KILL : 0;
  char *end = NULL;
  double probability = n == 3 ? g_ascii_strtod (parts[2], &end) : 1;
  if (action == 0 || (end != NULL && *end != '\0') || !(probability >= 0 && probability <= 1)
      || fiu_enable_random (parts[0], action, NULL, 0, (float) probability) != 0)
    g_error ("CUBE_FAILPOINTS: \"%s\": expected NAME=ACTION[:PROBABILITY], ACTION fail or kill, PROBABILITY 0 to 1", entry);
}

static gboolean
set_up (void)
{
  const char *text = g_getenv ("CUBE_FAILPOINTS");
  g_auto (GStrv) entries = g_strsplit (text != NULL ? text : "", " ", -1);
  fiu_init (0);
  for (guint i = 0; entries[i] != NULL; i++)
    if (*entries[i] != '\0')
      enable (entries[i]);
  return text != NULL;
}

gboolean
cube_failpoint_hit (const char *name)
{
  static gsize once;
  static gboolean is_used;
  if (g_once_init_enter (&once))
    {
      is_used = set_up ();
      g_once_init_leave (&once, 1);
    }
  int action = is_used ? fiu_fail (name) : 0;
  if (action == KILL)
    raise (SIGKILL);
  return action != 0;
}
#else
gboolean
cube_failpoint_hit (const char *name)
{
  return FALSE;
}
#endif
