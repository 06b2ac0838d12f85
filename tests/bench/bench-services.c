/* SPDX-License-Identifier: Apache-2.0 */
/* Packet rules of many services, in a network namespace of its own: all of them at once, one endpoint more, and the same for a restart. */
#include "host.h"
#include "rules.h"
#include <sched.h>
#include <stdlib.h>

#define ENDPOINTS 3

static void
put (Rules *rules, guint number, guint n)
{
  CubeEndpoint endpoints[ENDPOINTS + 1] = { 0 };
  CubeFront fronts[1] = { { .kind = CUBE_FRONT_CLUSTER_IP, .port = 80 } };
  char key[32];

  for (guint i = 0; i < n; i++)
    {
      g_snprintf (endpoints[i].ip, sizeof endpoints[i].ip, "10.%u.%u.%u", 200 + i, number / 250, number % 250 + 1);
      endpoints[i].port = 8080;
    }
  for (guint i = 0; i < G_N_ELEMENTS (fronts); i++)
    {
      g_snprintf (fronts[i].ip, sizeof fronts[i].ip, "10.96.%u.%u", number / 250, number % 250 + 1);
      fronts[i].protocol = CUBE_PROTOCOL_TCP;
      fronts[i].endpoints = endpoints;
      fronts[i].n_endpoints = n;
    }
  g_snprintf (key, sizeof key, "ns/service-%u", number);
  rules_set_service (rules, key, fronts, G_N_ELEMENTS (fronts));
}

static double
commit (Rules *rules)
{
  g_autoptr (GError) error = NULL;
  gint64 began = g_get_monotonic_time ();

  if (!rules_commit (rules, &error))
    g_error ("%s", error->message);
  return (double) (g_get_monotonic_time () - began) / 1000;
}

static int
compare (gconstpointer a, gconstpointer b)
{
  return *(const double *) a < *(const double *) b ? -1 : 1;
}

static void
measure_changes (Rules *rules, guint n_services)
{
  double times[200];

  for (guint i = 0; i < G_N_ELEMENTS (times); i++)
    {
      gint64 began = g_get_monotonic_time ();

      put (rules, i % n_services, i / n_services % 2 == 0 ? ENDPOINTS + 1 : ENDPOINTS);
      commit (rules);
      times[i] = (double) (g_get_monotonic_time () - began) / 1000;
    }
  qsort (times, G_N_ELEMENTS (times), sizeof times[0], compare);
  g_print ("one endpoint more: p50 %.3f ms, p99 %.3f ms (goal 5 ms)\n", times[100], times[197]);
}

int
main (int argc, char **argv)
{
  guint n_services = argc > 1 ? (guint) atoi (argv[1]) : 10000;
  Layout layout = { "cube-bench", "10.96.0.0/16", TRUE };
  Rules *rules, *second;
  gint64 began;
  double empty;

  if (unshare (CLONE_NEWNET) != 0)
    {
      g_print ("needs root for a network namespace\n");
      return 77;
    }
  rules = rules_new (&layout);
  began = g_get_monotonic_time ();
  empty = commit (rules);
  for (guint i = 0; i < n_services; i++)
    put (rules, i, ENDPOINTS);
  commit (rules);
  g_print ("%u services of %d endpoints: %.3f s, of it the empty table %.3f s (goal 0.3 s)\n", n_services, ENDPOINTS,
           (double) (g_get_monotonic_time () - began) / G_USEC_PER_SEC, empty / 1000);
  measure_changes (rules, n_services);
  rules_free (rules);
  second = rules_new (&layout);
  for (guint i = 0; i < n_services; i++)
    put (second, i, ENDPOINTS);
  g_print ("a restart over the table there is: %.3f s\n", commit (second) / 1000);
  rules_free (second);
  return 0;
}
