/* SPDX-License-Identifier: Apache-2.0 */
/* Watching a store: every change once, in order, whole; places lost and found again. */
#include "../store/fixture.h"
#include <string.h>

/* ---- a subscriber that checks what it gets against what it had ---- */

typedef struct {
  CubeBus *bus;
  CubeLoop *loop;
  CubeSubscription *subscription;
  GHashTable *state; /* name → GSIZE revision: as of the last change */
  guint64 last, progress;
  guint changes, calls;
  GMutex lock;
  GCond cond;
  gboolean is_gone;
} Watcher;

static void
watcher_check (Watcher *w, const CubeChange *change)
{
  const char *name = cube_object_name (change->object);
  guint64 had = GPOINTER_TO_SIZE (g_hash_table_lookup (w->state, name));
  g_assert_cmpuint (change->revision, >, w->last);
  g_assert_cmpuint (change->revision, ==, cube_object_revision (change->object));
  g_assert_cmpuint (change->old != NULL ? cube_object_revision (change->old) : 0, ==, had);
  if (change->is_delete)
    g_hash_table_remove (w->state, name);
  else
    g_hash_table_insert (w->state, g_strdup (name), GSIZE_TO_POINTER (change->revision));
  w->last = change->revision;
  w->changes++;
}

static void
watcher_ready (gpointer data)
{
  Watcher *w = data;
  g_autoptr (GError) error = NULL;
  CubeChange change;
  guint64 progress = 0;
  g_mutex_lock (&w->lock);
  w->calls++;
  while (cube_subscription_next (w->subscription, &change, &progress, &error))
    {
      watcher_check (w, &change);
      cube_change_clear (&change);
    }
  g_assert_no_error (error);
  g_assert_cmpuint (progress, >=, w->progress);
  g_assert_cmpuint (progress, >=, w->last);
  w->progress = progress;
  g_cond_broadcast (&w->cond);
  g_mutex_unlock (&w->lock);
}

static void
watcher_subscribe (gpointer data)
{
  Watcher *w = data;
  g_autoptr (GError) error = NULL;
  g_mutex_lock (&w->lock);
  w->subscription = cube_bus_subscribe (w->bus, PODS, w->last, w->loop, watcher_ready, w, &error);
  g_assert_no_error (error);
  g_mutex_unlock (&w->lock);
}

static void
watcher_free (gpointer data)
{
  Watcher *w = data;
  g_mutex_lock (&w->lock);
  g_clear_pointer (&w->subscription, cube_subscription_free);
  w->is_gone = TRUE;
  g_cond_broadcast (&w->cond);
  g_mutex_unlock (&w->lock);
}

static gboolean
note_object (CubeObject *object, gpointer data)
{
  Watcher *w = data;
  g_hash_table_insert (w->state, g_strdup (cube_object_name (object)), GSIZE_TO_POINTER (cube_object_revision (object)));
  return TRUE;
}

/* As a client does: list, then watch from the list's revision. */
static void
watcher_start (Watcher *w, Fixture *f, const char *loop)
{
  *w = (Watcher){ .bus = cube_store_bus (f->store), .loop = cube_context_get_loop (f->context, loop) };
  g_mutex_init (&w->lock);
  g_cond_init (&w->cond);
  w->state = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  CubeSnapshot *snapshot = cube_store_snapshot (f->store, PODS);
  cube_snapshot_visit (snapshot, NULL, NULL, NULL, note_object, w);
  w->last = cube_snapshot_revision (snapshot);
  cube_snapshot_unref (snapshot);
  cube_loop_post (w->loop, watcher_subscribe, w, NULL);
}

static void
watcher_wait (Watcher *w, guint64 revision)
{
  g_mutex_lock (&w->lock);
  while (w->last < revision)
    g_cond_wait (&w->cond, &w->lock);
  g_mutex_unlock (&w->lock);
}

static void
watcher_stop (Watcher *w)
{
  cube_loop_post (w->loop, watcher_free, w, NULL);
  g_mutex_lock (&w->lock);
  while (!w->is_gone)
    g_cond_wait (&w->cond, &w->lock);
  g_mutex_unlock (&w->lock);
  g_hash_table_unref (w->state);
  g_mutex_clear (&w->lock);
  g_cond_clear (&w->cond);
}

/* ---- many writers, many watchers, readers between ---- */

#define WRITERS 4
#define WRITES 400
#define WATCHERS 9

typedef struct {
  Fixture *f;
  guint seed;
} Writer;

static gpointer
writer_run (gpointer data)
{
  Writer *writer = data;
  g_autoptr (GRand) rand = g_rand_new_with_seed (writer->seed);
  for (guint i = 0; i < WRITES; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%d", g_rand_int_range (rand, 0, 40));
      g_autoptr (GError) error = NULL;
      CubeObject *object = g_rand_int_range (rand, 0, 4) == 0 ? NULL : make_pod ("default", name, 20);
      g_autoptr (CubeObject) done = cube_store_commit (writer->f->store, PODS, "default", name, object, CUBE_REVISION_ANY, NULL, &error);
      g_assert_true (done != NULL || g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND));
    }
  return NULL;
}

typedef struct {
  Fixture *f;
  gint must_stop; /* atomic */
} Readers;

typedef struct {
  guint64 revision;
  guint n;
  char last[32];
} Seen;

static gboolean
reader_visit (CubeObject *object, gpointer data)
{
  Seen *seen = data;
  g_assert_cmpuint (cube_object_revision (object), <=, seen->revision);
  g_assert_cmpstr (cube_object_name (object), >, seen->last);
  g_strlcpy (seen->last, cube_object_name (object), sizeof seen->last);
  seen->n++;
  return TRUE;
}

static gpointer
reader_run (gpointer data)
{
  Readers *readers = data;
  guint64 last = 0;
  while (!g_atomic_int_get (&readers->must_stop))
    {
      CubeSnapshot *snapshot = cube_store_snapshot (readers->f->store, PODS);
      Seen seen = { .revision = cube_snapshot_revision (snapshot) };
      g_assert_cmpuint (seen.revision, >=, last);
      last = seen.revision;
      cube_snapshot_visit (snapshot, NULL, NULL, NULL, reader_visit, &seen);
      g_assert_cmpuint (seen.n, ==, cube_snapshot_length (snapshot));
      cube_snapshot_unref (snapshot);
      CubeObject *object = cube_store_get (readers->f->store, PODS, "default", "p7");
      if (object != NULL)
        cube_object_unref (object);
    }
  return NULL;
}

static gboolean
check_final (CubeObject *object, gpointer data)
{
  Watcher *w = data;
  g_assert_cmpuint (GPOINTER_TO_SIZE (g_hash_table_lookup (w->state, cube_object_name (object))), ==, cube_object_revision (object));
  return TRUE;
}

static void
test_concurrent (void)
{
  static const char *const loops[] = { "api-0", "api-1", "controllers" };
  Fixture f;
  Watcher watchers[WATCHERS];
  Writer writers[WRITERS];
  GThread *threads[WRITERS + 1];
  fixture_init (&f, STORAGE_MEMORY, FALSE);
  fixture_open (&f);
  Readers readers = { &f, 0 };
  threads[WRITERS] = g_thread_new ("reader", reader_run, &readers);
  for (guint i = 0; i < WRITERS; i++)
    {
      writers[i] = (Writer){ &f, i };
      threads[i] = g_thread_new ("writer", writer_run, &writers[i]);
      watcher_start (&watchers[i * 2], &f, loops[i % 3]);
      watcher_start (&watchers[i * 2 + 1], &f, loops[(i + 1) % 3]);
    }
  watcher_start (&watchers[WATCHERS - 1], &f, "main"); /* never run: the slow one */
  for (guint i = 0; i < WRITERS; i++)
    g_thread_join (threads[i]);
  g_atomic_int_set (&readers.must_stop, 1);
  g_thread_join (threads[WRITERS]);
  CubeSnapshot *snapshot = cube_store_snapshot (f.store, PODS);
  for (guint i = 0; i < WATCHERS - 1; i++)
    {
      watcher_wait (&watchers[i], cube_snapshot_revision (snapshot));
      cube_snapshot_visit (snapshot, NULL, NULL, NULL, check_final, &watchers[i]);
      g_assert_cmpuint (g_hash_table_size (watchers[i].state), ==, cube_snapshot_length (snapshot));
      watcher_stop (&watchers[i]);
    }
  cube_snapshot_unref (snapshot);
  while (g_main_context_iteration (NULL, FALSE))
    ;
  watcher_wait (&watchers[WATCHERS - 1], cube_store_revision (f.store));
  watcher_free (&watchers[WATCHERS - 1]);
  g_hash_table_unref (watchers[WATCHERS - 1].state);
  fixture_clear (&f);
}

/* ---- one thread: wake-ups, windows, restarts ---- */

static void
count_ready (gpointer data)
{
  (*(guint *) data)++;
}

static guint
drain (CubeSubscription *subscription, guint64 *ret_progress)
{
  CubeChange change;
  guint n = 0;
  g_autoptr (GError) error = NULL;
  for (; cube_subscription_next (subscription, &change, ret_progress, &error); n++)
    cube_change_clear (&change);
  g_assert_no_error (error);
  return n;
}

static void
run_loops (Fixture *f)
{
  cube_process_run_until (f->process, cube_context_now_us (f->context) + 1000);
}

static void
test_wakeups (void)
{
  Fixture f;
  guint calls = 0;
  guint64 progress = 0;
  g_autoptr (GError) error = NULL;
  fixture_init (&f, STORAGE_MEMORY, TRUE);
  fixture_open (&f);
  guint64 first = put_pod (&f, "before", 0, 1);
  CubeLoop *loop = cube_context_get_loop (f.context, "main");
  CubeSubscription *s = cube_bus_subscribe (cube_store_bus (f.store), PODS, 0, loop, count_ready, &calls, &error);
  g_assert_no_error (error);
  run_loops (&f);
  g_assert_cmpuint (calls, ==, 1); /* there was something to take already */
  put_pod (&f, "a", 0, 1);
  run_loops (&f);
  g_assert_cmpuint (calls, ==, 1); /* not drained: not told again */
  g_assert_cmpuint (drain (s, &progress), ==, 2);
  g_assert_cmpuint (progress, ==, first + 1);
  run_loops (&f);
  g_assert_cmpuint (calls, ==, 1);
  for (guint i = 0; i < 5; i++)
    {
      g_autofree char *name = g_strdup_printf ("b%u", i);
      put_pod (&f, name, 0, 1);
    }
  run_loops (&f);
  g_assert_cmpuint (calls, ==, 2);
  g_assert_cmpuint (drain (s, &progress), ==, 5);
  /* A change elsewhere moves the bookmark and wakes nobody. */
  g_autoptr (CubeObject) other =
      cube_store_commit (f.store, "/configmaps", "default", "c", make_object ("ConfigMap", "default", "c", NULL, NULL, 1), 0, NULL, &error);
  g_assert_no_error (error);
  run_loops (&f);
  g_assert_cmpuint (calls, ==, 2);
  g_assert_cmpuint (drain (s, &progress), ==, 0);
  g_assert_cmpuint (progress, ==, cube_object_revision (other));
  put_pod (&f, "c", 0, 1);
  cube_subscription_free (s); /* told, but gone before its turn */
  run_loops (&f);
  g_assert_cmpuint (calls, ==, 2);
  fixture_clear (&f);
}

typedef struct {
  CubeSubscription *both[2];
  guint calls;
} Pair;

static void
pair_ready (gpointer data)
{
  Pair *pair = data;
  pair->calls++;
  for (guint i = 0; i < 2; i++)
    g_clear_pointer (&pair->both[i], cube_subscription_free);
}

static void
test_free_in_callback (void)
{
  Fixture f;
  Pair pair = { { NULL, NULL }, 0 };
  fixture_init (&f, STORAGE_MEMORY, TRUE);
  fixture_open (&f);
  CubeLoop *loop = cube_context_get_loop (f.context, "main");
  for (guint i = 0; i < 2; i++)
    pair.both[i] = cube_bus_subscribe (cube_store_bus (f.store), PODS, 0, loop, pair_ready, &pair, NULL);
  put_pod (&f, "a", 0, 1);
  run_loops (&f);
  g_assert_cmpuint (pair.calls, ==, 1);
  fixture_clear (&f);
}

static void
test_expired (void)
{
  Fixture f;
  guint calls = 0;
  guint64 progress;
  g_autoptr (GError) error = NULL;
  CubeChange change;
  fixture_init (&f, STORAGE_MEMORY, TRUE);
  f.history = 16;
  fixture_open (&f);
  CubeBus *bus = cube_store_bus (f.store);
  CubeLoop *loop = cube_context_get_loop (f.context, "main");
  guint64 first = put_pod (&f, "a", 0, 1), last = first;
  CubeSubscription *slow = cube_bus_subscribe (bus, PODS, 0, loop, count_ready, &calls, NULL);
  for (guint i = 0; i < 30; i++)
    last = put_pod (&f, "a", last, i);
  g_assert_false (cube_subscription_next (slow, &change, &progress, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED);
  g_clear_error (&error);
  cube_subscription_free (slow);
  g_assert_null (cube_bus_subscribe (bus, PODS, last - 17, loop, count_ready, &calls, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED);
  g_autofree char *wanted =
      g_strdup_printf ("too old resource version: %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT ")", last - 17, last - 16);
  g_assert_cmpstr (error->message, ==, wanted);
  g_clear_error (&error);
  CubeSubscription *s = cube_bus_subscribe (bus, PODS, last - 16, loop, count_ready, &calls, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (drain (s, &progress), ==, 16);
  cube_subscription_free (s);
  fixture_clear (&f);
}

static char *
describe_from (Fixture *f, guint64 after)
{
  GString *text = g_string_new (NULL);
  g_autoptr (GError) error = NULL;
  guint calls = 0;
  CubeChange change;
  CubeSubscription *s =
      cube_bus_subscribe (cube_store_bus (f->store), PODS, after, cube_context_get_loop (f->context, "main"), count_ready, &calls, &error);
  g_assert_no_error (error);
  while (cube_subscription_next (s, &change, NULL, &error))
    {
      gsize length, old_length = 0;
      cube_object_json (change.object, &length);
      if (change.old != NULL)
        cube_object_json (change.old, &old_length);
      g_string_append_printf (text, "%s%" G_GUINT64_FORMAT " %s %zu/%" G_GUINT64_FORMAT ":%zu\n", change.is_delete ? "-" : "+",
                              change.revision, cube_object_name (change.object), length,
                              change.old != NULL ? cube_object_revision (change.old) : 0, old_length);
      cube_change_clear (&change);
    }
  g_assert_no_error (error);
  cube_subscription_free (s);
  return g_string_free (text, FALSE);
}

/* What a watcher would get from every revision on is the same after a restart, also past a compaction. */
static void
test_restart (gconstpointer data)
{
  Fixture f;
  g_autoptr (GError) error = NULL;
  fixture_init (&f, GPOINTER_TO_INT (data), TRUE);
  fixture_open (&f);
  guint64 last[7] = { 0 }, newest = 0;
  for (guint i = 0; i < 60; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i % 7);
      gboolean is_delete = i % 5 == 4 && last[i % 7] != 0;
      newest = is_delete ? delete_pod (&f, name, last[i % 7]) : put_pod (&f, name, last[i % 7], i);
      last[i % 7] = is_delete ? 0 : newest;
    }
  g_autofree char *all = describe_from (&f, 0), *half = describe_from (&f, newest - 30), *few = describe_from (&f, newest - 5);
  fixture_close (&f);
  fixture_open (&f);
  g_autofree char *all_again = describe_from (&f, 0), *few_again = describe_from (&f, newest - 5);
  g_assert_cmpstr (all_again, ==, all);
  g_assert_cmpstr (few_again, ==, few);
  fixture_close (&f);
  g_assert_true (fault_storage_ops.open (f.fault, f.directory, NULL));
  g_assert_true (fault_storage_ops.compact (f.fault, newest - 30, NULL));
  fault_storage_ops.close (f.fault);
  fixture_open (&f);
  g_autofree char *half_again = describe_from (&f, newest - 30);
  g_assert_cmpstr (half_again, ==, half);
  g_assert_null (cube_bus_subscribe (cube_store_bus (f.store), PODS, newest - 31, cube_context_get_loop (f.context, "main"), count_ready,
                                     NULL, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED);
  fixture_clear (&f);
}

/* What was volatile is forgotten by a restart: nobody may resume as if nothing had been missed. */
static void
test_volatile_restart (void)
{
  Fixture f;
  g_autoptr (GError) error = NULL;
  fixture_init (&f, STORAGE_MEMORY, TRUE);
  fixture_open (&f);
  g_autoptr (CubeObject) lease =
      cube_store_commit (f.store, LEASES, "d", "l", make_object ("Lease", "d", "l", NULL, NULL, 1), 0, NULL, &error);
  g_assert_no_error (error);
  guint64 seen = cube_object_revision (lease);
  fixture_close (&f);
  fixture_open (&f);
  CubeLoop *loop = cube_context_get_loop (f.context, "main");
  g_assert_null (cube_bus_subscribe (cube_store_bus (f.store), LEASES, seen, loop, count_ready, NULL, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED);
  guint calls = 0;
  CubeSubscription *s =
      cube_bus_subscribe (cube_store_bus (f.store), LEASES, cube_store_revision (f.store), loop, count_ready, &calls, NULL);
  g_assert_nonnull (s);
  cube_subscription_free (s);
  s = cube_bus_subscribe (cube_store_bus (f.store), PODS, seen, loop, count_ready, &calls, NULL); /* nothing was lost here */
  g_assert_nonnull (s);
  cube_subscription_free (s);
  fixture_clear (&f);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/bus/concurrent", test_concurrent);
  g_test_add_func ("/bus/wakeups", test_wakeups);
  g_test_add_func ("/bus/free-in-callback", test_free_in_callback);
  g_test_add_func ("/bus/expired", test_expired);
  g_test_add_data_func ("/bus/restart/memory", GINT_TO_POINTER (STORAGE_MEMORY), test_restart);
  g_test_add_data_func ("/bus/restart/sqlite", GINT_TO_POINTER (STORAGE_SQLITE), test_restart);
  g_test_add_func ("/bus/restart/volatile", test_volatile_restart);
  return g_test_run ();
}
