/* SPDX-License-Identifier: Apache-2.0 */
/* The suite against the in-process back, on a virtual clock and on real threads. */
#include "suite.h"

static void
init_simulated (Fixture *fixture)
{
  fixture_init (fixture, TRUE, 0);
}

static void
init_threads (Fixture *fixture)
{
  fixture_init (fixture, FALSE, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  suite_add ("simulated", init_simulated, fixture_clear);
  suite_add ("threads", init_threads, fixture_clear);
  return g_test_run ();
}
