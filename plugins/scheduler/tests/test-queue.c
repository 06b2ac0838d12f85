/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

static Record *
record_of (GHashTable *classes, const char *name, int priority)
{
  g_autofree char *spec = g_strdup_printf ("'priority':%d", priority);
  Record *record = g_new0 (Record, 1);

  record->pod = test_pod (classes, name, "", spec, "");
  return record;
}

static void
record_drop (Record *record)
{
  pod_unref (record->pod);
  g_free (record);
}

static void
test_order (void)
{
  g_autoptr (GHashTable) classes = g_hash_table_new (g_int64_hash, g_int64_equal);
  Record *low = record_of (classes, "low", 0), *first = record_of (classes, "first", 5), *second = record_of (classes, "second", 5);
  Record *gone = record_of (classes, "gone", 9);
  Queue queue;

  queue_init (&queue);
  queue_add (&queue, low, 1);
  queue_add (&queue, gone, 2);
  queue_add (&queue, first, 3);
  queue_add (&queue, second, 4);
  queue_remove (&queue, gone);
  g_assert_true (queue_pop (&queue, 10) == first);
  g_assert_true (queue_pop (&queue, 10) == second);
  g_assert_true (queue_pop (&queue, 10) == low);
  g_assert_null (queue_pop (&queue, 10));
  g_assert_cmpuint (low->attempts, ==, 1);
  record_drop (low);
  record_drop (first);
  record_drop (second);
  record_drop (gone);
  queue_clear (&queue);
}

/* Many in random order come out sorted, with some taken from the middle. */
static void
test_heap (void)
{
  g_autoptr (GHashTable) classes = g_hash_table_new (g_int64_hash, g_int64_equal);
  GRand *rand = g_rand_new_with_seed (7);
  Record *all[200];
  int last = G_MAXINT;
  guint n = 0;
  Queue queue;

  queue_init (&queue);
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    {
      all[i] = record_of (classes, "p", g_rand_int_range (rand, 0, 50));
      queue_add (&queue, all[i], i);
    }
  for (guint i = 0; i < G_N_ELEMENTS (all); i += 3)
    queue_remove (&queue, all[i]);
  for (Record *record; (record = queue_pop (&queue, 1000)) != NULL; n++)
    {
      g_assert_cmpint (record->pod->info.priority, <=, last);
      last = record->pod->info.priority;
    }
  g_assert_cmpuint (n, ==, 133);
  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    record_drop (all[i]);
  g_rand_free (rand);
  queue_clear (&queue);
}

static void
test_backoff (void)
{
  static const gint64 waits[] = { 1, 2, 4, 8, 10, 10 };
  g_autoptr (GHashTable) classes = g_hash_table_new (g_int64_hash, g_int64_equal);
  Record *pod = record_of (classes, "p", 0);
  gint64 now = 1;
  Queue queue;

  queue_init (&queue);
  queue_add (&queue, pod, now);
  for (guint i = 0; i < G_N_ELEMENTS (waits); i++)
    {
      g_assert_true (queue_pop (&queue, now) == pod);
      queue_add_error (&queue, pod, now);
      g_assert_cmpint (queue_next_us (&queue), ==, now + waits[i] * G_USEC_PER_SEC);
      g_assert_null (queue_pop (&queue, now + waits[i] * G_USEC_PER_SEC - 1));
      now += waits[i] * G_USEC_PER_SEC;
    }
  record_drop (pod);
  queue_clear (&queue);
}

static void
test_hints (void)
{
  g_autoptr (GHashTable) classes = g_hash_table_new (g_int64_hash, g_int64_equal);
  Record *pod = record_of (classes, "p", 0), *busy = record_of (classes, "busy", 0);
  Queue queue;

  queue_init (&queue);
  queue_add (&queue, pod, 1);
  g_assert_true (queue_pop (&queue, 1) == pod);
  pod->wake_on = CUBE_WAKE_NODE_LABEL;
  queue_add_unschedulable (&queue, pod, 1);
  queue_wake (&queue, CUBE_WAKE_POD_DELETE, 2);
  g_assert_cmpint (pod->place, ==, PLACE_UNSCHEDULABLE);
  queue_wake (&queue, CUBE_WAKE_NODE_LABEL, 2);
  g_assert_cmpint (pod->place, ==, PLACE_BACKOFF);
  /* Others first; with nothing else to do the back-off is not sat out. */
  queue_add (&queue, busy, 3);
  g_assert_true (queue_pop (&queue, 4) == busy);
  g_assert_true (queue_pop (&queue, 4) == pod);
  queue_add_unschedulable (&queue, pod, 5);
  queue_wake (&queue, CUBE_WAKE_NODE_LABEL, 3 * G_USEC_PER_SEC);
  g_assert_cmpint (pod->place, ==, PLACE_ACTIVE);
  g_assert_true (queue_pop (&queue, 3 * G_USEC_PER_SEC) == pod);
  queue_add_unschedulable (&queue, pod, 5);
  g_assert_null (queue_pop (&queue, 299 * G_USEC_PER_SEC));
  g_assert_true (queue_pop (&queue, 300 * G_USEC_PER_SEC + 5) == pod); /* five minutes */
  record_drop (pod);
  record_drop (busy);
  queue_clear (&queue);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scheduler/queue/order", test_order);
  g_test_add_func ("/scheduler/queue/heap", test_heap);
  g_test_add_func ("/scheduler/queue/backoff", test_backoff);
  g_test_add_func ("/scheduler/queue/hints", test_hints);
  return g_test_run ();
}
