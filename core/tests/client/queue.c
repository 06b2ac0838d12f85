/* SPDX-License-Identifier: Apache-2.0 */
/* The work queue on a virtual clock, and with real workers. */
#include "fixture.h"

typedef struct {
  Fixture *fixture;
  CubeQueue *queue;
  GString *log;
  gint64 answer;     /* of process */
  guint fails;       /* so many times -1 first */
  gboolean must_add; /* process adds its own key once while running */
  gint running, worst, total;
  gint64 last_at, gap;
} Test;

static gint64
process (const char *key, gpointer data)
{
  Test *test = data;
  gint64 now = cube_context_monotonic_us (test->fixture->context);

  g_string_append_printf (test->log, "%s ", key);
  test->gap = now - test->last_at;
  test->last_at = now;
  if (test->must_add)
    {
      test->must_add = FALSE;
      cube_queue_add (test->queue, key);
      cube_queue_add (test->queue, key);
    }
  if (test->fails > 0)
    {
      test->fails--;
      return -1;
    }
  return test->answer;
}

static void
setup (Test *test, Fixture *fixture, guint workers)
{
  fixture_init (fixture, TRUE, 0);
  *test = (Test){ .fixture = fixture, .log = g_string_new (NULL) };
  test->queue = cube_queue_new (fixture->context, "test", fixture->loop, workers, process, test);
}

static void
teardown (Test *test, Fixture *fixture)
{
  cube_queue_free (test->queue);
  g_string_free (test->log, TRUE);
  fixture_clear (fixture);
}

static void
test_dedupe (void)
{
  Fixture fixture;
  Test test;

  for (guint workers = 0; workers < 3; workers++)
    {
      setup (&test, &fixture, workers);
      cube_queue_add (test.queue, "a");
      cube_queue_add (test.queue, "b");
      cube_queue_add (test.queue, "a");
      g_assert_cmpuint (cube_queue_length (test.queue), ==, 2);
      fixture_run (&fixture, G_USEC_PER_SEC);
      g_assert_cmpstr (test.log->str, ==, "a b ");
      /* Added while it is worked on: once more, afterwards. */
      test.must_add = TRUE;
      cube_queue_add (test.queue, "c");
      fixture_run (&fixture, G_USEC_PER_SEC);
      g_assert_cmpstr (test.log->str, ==, "a b c c ");
      teardown (&test, &fixture);
    }
}

static void
test_delay (void)
{
  Fixture fixture;
  Test test;

  setup (&test, &fixture, 2);
  cube_queue_add_after (test.queue, "late", 5 * G_USEC_PER_SEC);
  cube_queue_add_after (test.queue, "late", 2 * G_USEC_PER_SEC); /* the earliest wins */
  cube_queue_add_after (test.queue, "late", 9 * G_USEC_PER_SEC);
  cube_queue_add_after (test.queue, "later", 3 * G_USEC_PER_SEC);
  fixture_run (&fixture, 1900000);
  g_assert_cmpstr (test.log->str, ==, "");
  fixture_run (&fixture, 200000);
  g_assert_cmpstr (test.log->str, ==, "late ");
  fixture_run (&fixture, 20 * G_USEC_PER_SEC);
  g_assert_cmpstr (test.log->str, ==, "late later ");
  test.answer = 7 * G_USEC_PER_SEC;
  cube_queue_add (test.queue, "again");
  fixture_run (&fixture, 15 * G_USEC_PER_SEC);
  g_assert_cmpstr (test.log->str, ==, "late later again again again ");
  teardown (&test, &fixture);
}

static void
test_backoff (void)
{
  Fixture fixture;
  Test test;
  gint64 expected = 5000;

  setup (&test, &fixture, 1);
  test.fails = 20;
  cube_queue_add (test.queue, "bad");
  fixture_run (&fixture, 1000);
  for (guint i = 1; i < 20; i++)
    {
      gsize length = test.log->len;

      fixture_run (&fixture, expected);
      g_assert_cmpuint (test.log->len, >, length);
      g_assert_cmpint (test.gap, >=, expected);
      g_assert_cmpint (test.gap, <=, expected + 2000);
      expected = MIN (expected * 2, 1000 * G_USEC_PER_SEC);
    }
  /* A success forgets the failures. */
  fixture_run (&fixture, 2000 * G_USEC_PER_SEC);
  test.fails = 1;
  cube_queue_add (test.queue, "bad");
  fixture_run (&fixture, 10000);
  g_assert_cmpint (test.gap, <=, 6000);
  teardown (&test, &fixture);
}

static guint
count_keys (Test *test)
{
  g_auto (GStrv) keys = g_strsplit (test->log->str, " ", -1);

  return g_strv_length (keys) - 1;
}

static void
test_bucket (void)
{
  Fixture fixture;
  Test test;

  setup (&test, &fixture, 1);
  for (guint i = 0; i < 200; i++)
    {
      g_autofree char *key = g_strdup_printf ("k%u", i);

      cube_queue_add_failed (test.queue, key);
    }
  fixture_run (&fixture, 100000);
  /* A hundred at once, the others ten a second. */
  g_assert_cmpuint (count_keys (&test), <=, 102);
  fixture_run (&fixture, 5 * G_USEC_PER_SEC);
  g_assert_cmpuint (count_keys (&test), >=, 145);
  g_assert_cmpuint (count_keys (&test), <=, 153);
  fixture_run (&fixture, 10 * G_USEC_PER_SEC);
  g_assert_cmpuint (count_keys (&test), ==, 200);
  teardown (&test, &fixture);
}

/* ---- real workers ---- */

static gint in_flight[8];

static gint64
process_threads (const char *key, gpointer data)
{
  Test *test = data;
  int which = key[0] - 'a', running = g_atomic_int_add (&test->running, 1) + 1;

  g_assert_cmpint (g_atomic_int_add (&in_flight[which], 1), ==, 0); /* never two at once for one key */
  if (running > g_atomic_int_get (&test->worst))
    g_atomic_int_set (&test->worst, running);
  g_usleep (200);
  g_atomic_int_add (&in_flight[which], -1);
  g_atomic_int_add (&test->running, -1);
  g_atomic_int_inc (&test->total);
  return g_atomic_int_get (&test->total) % 7 == 0 ? -1 : 0;
}

static gboolean
is_busy_enough (gpointer data)
{
  return g_atomic_int_get (&((Test *) data)->total) >= 300;
}

static void
test_threads (void)
{
  Fixture fixture;
  Test test;

  fixture_init (&fixture, FALSE, 0);
  test = (Test){ .fixture = &fixture };
  test.queue = cube_queue_new (fixture.context, "threads", fixture.loop, 4, process_threads, &test);
  for (guint i = 0; i < 4000; i++)
    {
      const char key[2] = { (char) ('a' + i % 8), '\0' };

      cube_queue_add (test.queue, key);
      if (i % 8 == 7)
        g_usleep (100);
    }
  fixture_wait (&fixture, is_busy_enough, &test);
  cube_queue_free (test.queue); /* while workers run */
  g_assert_cmpint (g_atomic_int_get (&test.running), ==, 0);
  g_assert_cmpint (test.worst, <=, 4);
  g_assert_cmpint (test.worst, >=, 2);
  fixture_clear (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/client/queue/dedupe", test_dedupe);
  g_test_add_func ("/client/queue/delay", test_delay);
  g_test_add_func ("/client/queue/backoff", test_backoff);
  g_test_add_func ("/client/queue/bucket", test_bucket);
  g_test_add_func ("/client/queue/threads", test_threads);
  return g_test_run ();
}
