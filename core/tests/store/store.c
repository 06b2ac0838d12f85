/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"
#include <string.h>

static void
test_basics (gconstpointer data)
{
  Fixture f;
  fixture_init (&f, GPOINTER_TO_INT (data), FALSE);
  fixture_open (&f);
  g_assert_null (cube_store_get (f.store, PODS, "default", "a"));
  guint64 first = put_pod (&f, "a", 0, 10), second = put_pod (&f, "b", 0, 10);
  g_assert_cmpuint (second, ==, first + 1);
  g_assert_cmpuint (cube_store_revision (f.store), ==, second);
  g_autoptr (CubeObject) object = cube_store_get (f.store, PODS, "default", "a");
  g_assert_cmpuint (cube_object_revision (object), ==, first);
  g_autoptr (GHashTable) counts = cube_store_count (f.store);
  g_assert_cmpuint (GPOINTER_TO_UINT (g_hash_table_lookup (counts, PODS)), ==, 2);
  guint64 third = delete_pod (&f, "a", first);
  g_assert_cmpuint (third, ==, second + 1);
  g_assert_null (cube_store_get (f.store, PODS, "default", "a"));
  fixture_close (&f);
  fixture_open (&f);
  g_assert_null (cube_store_get (f.store, PODS, "default", "a"));
  g_autoptr (CubeObject) again = cube_store_get (f.store, PODS, "default", "b");
  g_assert_cmpuint (cube_object_revision (again), ==, second);
  g_assert_cmpuint (cube_store_revision (f.store), ==, third);
  g_assert_cmpuint (put_pod (&f, "a", 0, 1), ==, third + 1);
  fixture_clear (&f);
}

static void
expect (Fixture *f, const char *name, CubeObject *object, guint64 expected, int code, guint64 current)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) found = NULL;
  g_assert_null (cube_store_commit (f->store, PODS, "default", name, object, expected, &found, &error));
  g_assert_error (error, CUBE_ERROR, code);
  g_assert_cmpuint (found != NULL ? cube_object_revision (found) : 0, ==, current);
}

static void
test_expected (gconstpointer data)
{
  Fixture f;
  fixture_init (&f, GPOINTER_TO_INT (data), FALSE);
  fixture_open (&f);
  guint64 first = put_pod (&f, "a", 0, 10), second = put_pod (&f, "a", first, 11);
  expect (&f, "a", make_pod ("default", "a", 1), 0, CUBE_ERROR_ALREADY_EXISTS, second);
  expect (&f, "a", make_pod ("default", "a", 1), first, CUBE_ERROR_CONFLICT, second);
  expect (&f, "a", NULL, first, CUBE_ERROR_CONFLICT, second);
  expect (&f, "x", make_pod ("default", "x", 1), first, CUBE_ERROR_NOT_FOUND, 0);
  expect (&f, "x", NULL, first, CUBE_ERROR_NOT_FOUND, 0);
  expect (&f, "x", NULL, CUBE_REVISION_ANY, CUBE_ERROR_NOT_FOUND, 0);
  expect (&f, "x", make_pod ("default", "y", 1), 0, CUBE_ERROR_BAD_REQUEST, 0);
  expect (&f, "x\x1f", make_pod ("default", "x\x1f", 1), 0, CUBE_ERROR_BAD_REQUEST, 0);
  g_assert_cmpuint (cube_store_revision (f.store), ==, second);
  g_assert_cmpuint (put_pod (&f, "a", CUBE_REVISION_ANY, 1), ==, second + 1);
  g_assert_cmpuint (put_pod (&f, "new", CUBE_REVISION_ANY, 1), ==, second + 2);
  fixture_clear (&f);
}

static gboolean
count_visit (CubeObject *object, gpointer data)
{
  (*(guint *) data)++;
  return TRUE;
}

static guint
snapshot_count (CubeSnapshot *snapshot)
{
  guint n = 0;
  cube_snapshot_visit (snapshot, NULL, NULL, NULL, count_visit, &n);
  g_assert_cmpuint (n, ==, cube_snapshot_length (snapshot));
  return n;
}

static void
test_snapshots (void)
{
  Fixture f;
  fixture_init (&f, STORAGE_MEMORY, FALSE);
  fixture_open (&f);
  CubeSnapshot *empty = cube_store_snapshot (f.store, PODS);
  guint64 last = 0;
  for (guint i = 0; i < 200; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      last = put_pod (&f, name, 0, 1);
    }
  CubeSnapshot *full = cube_store_snapshot (f.store, PODS);
  g_assert_cmpuint (cube_snapshot_revision (full), ==, last);
  for (guint i = 0; i < 200; i += 2)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      delete_pod (&f, name, CUBE_REVISION_ANY);
    }
  CubeSnapshot *half = cube_store_snapshot (f.store, PODS);
  g_assert_cmpuint (snapshot_count (empty), ==, 0);
  g_assert_cmpuint (snapshot_count (full), ==, 200);
  g_assert_cmpuint (snapshot_count (half), ==, 100);
  cube_store_keep_snapshot (f.store, full);
  cube_store_keep_snapshot (f.store, full);
  CubeSnapshot *found = cube_store_find_snapshot (f.store, PODS, last);
  g_assert_true (found == full);
  g_assert_null (cube_store_find_snapshot (f.store, PODS, last + 1));
  g_assert_null (cube_store_find_snapshot (f.store, LEASES, last));
  cube_snapshot_unref (found);
  cube_snapshot_unref (empty);
  cube_snapshot_unref (full);
  cube_snapshot_unref (half);
  fixture_clear (&f);
}

static void
commit (Fixture *f, const char *key, const char *ns, const char *name, CubeObject *object)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) result = cube_store_commit (f->store, key, ns, name, object, CUBE_REVISION_ANY, NULL, &error);
  g_assert_no_error (error);
}

static void
check_indexes (Fixture *f)
{
  g_autoptr (GArray) owned = cube_store_find_owned (f->store, "uid-1");
  g_assert_cmpuint (owned->len, ==, 2);
  guint pods = 0;
  for (guint i = 0; i < owned->len; i++)
    pods += g_str_equal (g_array_index (owned, CubeStoreHit, i).resource_key, PODS);
  g_assert_cmpuint (pods, ==, 1);
  g_autoptr (GArray) none = cube_store_find_owned (f->store, "uid-2");
  g_assert_cmpuint (none->len, ==, 0);
  g_autoptr (GPtrArray) on_a = cube_store_find_pods_on (f->store, "node-a");
  g_autoptr (GPtrArray) on_b = cube_store_find_pods_on (f->store, "node-b");
  g_assert_cmpuint (on_a->len, ==, 0);
  g_assert_cmpuint (on_b->len, ==, 2);
  g_assert_cmpstr (cube_object_name (on_b->pdata[0]), ==, "p");
}

static void
test_indexes (gconstpointer data)
{
  Fixture f;
  fixture_init (&f, GPOINTER_TO_INT (data), FALSE);
  fixture_open (&f);
  commit (&f, PODS, "d", "p", make_object ("Pod", "d", "p", NULL, "uid-2", 1));
  commit (&f, PODS, "d", "p", make_object ("Pod", "d", "p", "node-a", "uid-1", 1));
  commit (&f, PODS, "d", "q", make_object ("Pod", "d", "q", "node-b", NULL, 1));
  commit (&f, "apps/replicasets", "d", "p", make_object ("ReplicaSet", "d", "p", "node-a", "uid-1", 1));
  commit (&f, PODS, "d", "gone", make_object ("Pod", "d", "gone", "node-b", "uid-1", 1));
  commit (&f, PODS, "d", "p", make_object ("Pod", "d", "p", "node-b", "uid-1", 2));
  commit (&f, PODS, "d", "gone", NULL);
  check_indexes (&f);
  fixture_close (&f);
  fixture_open (&f);
  check_indexes (&f);
  fixture_clear (&f);
}

/* ---- batches ---- */

typedef struct {
  GMutex lock;
  GCond cond;
  guint waiting;
  GString *log; /* in order of the answers */
} Answers;

typedef struct {
  Answers *answers;
  const char *name;
} Asked;

static void
asked_done (guint64 revision, CubeObject *object, const GError *error, gpointer data)
{
  g_autofree Asked *asked = data;
  g_mutex_lock (&asked->answers->lock);
  g_string_append_printf (asked->answers->log, "%s:%s ", asked->name, error == NULL ? "ok" : cube_error_reason (error));
  asked->answers->waiting--;
  g_cond_signal (&asked->answers->cond);
  g_mutex_unlock (&asked->answers->lock);
}

static void
ask (Fixture *f, Answers *answers, const char *key, const char *name, gboolean is_delete, guint64 expected)
{
  Asked *asked = g_new0 (Asked, 1);
  *asked = (Asked){ answers, name };
  g_mutex_lock (&answers->lock);
  answers->waiting++;
  g_mutex_unlock (&answers->lock);
  cube_store_propose (f->store, key, "default", name, is_delete ? NULL : make_pod ("default", name, 5), expected, asked_done, asked);
}

static void
check_answers (Answers *answers, const char *wanted)
{
  g_mutex_lock (&answers->lock);
  while (answers->waiting > 0)
    g_cond_wait (&answers->cond, &answers->lock);
  g_assert_cmpstr (answers->log->str, ==, wanted);
  g_string_truncate (answers->log, 0);
  g_mutex_unlock (&answers->lock);
}

static void
test_batch (void)
{
  Fixture f;
  Answers answers = { .log = g_string_new (NULL) };
  fixture_init (&f, STORAGE_MEMORY, FALSE);
  fixture_open (&f);
  fault_storage_hold (f.fault, TRUE);
  ask (&f, &answers, PODS, "first", FALSE, 0);
  fault_storage_wait_held (f.fault);
  /* One transaction for all that waits; each sees the ones before it. */
  guint64 base = cube_store_revision (f.store) + 1;
  ask (&f, &answers, PODS, "a", FALSE, 0); /* base + 1 */
  ask (&f, &answers, PODS, "a", FALSE, 0);
  ask (&f, &answers, PODS, "a", FALSE, base + 1); /* base + 2 */
  ask (&f, &answers, PODS, "a", FALSE, base + 1);
  ask (&f, &answers, PODS, "a", TRUE, base + 2); /* base + 3 */
  ask (&f, &answers, PODS, "a", FALSE, base + 3);
  ask (&f, &answers, PODS, "a", FALSE, 0); /* base + 4 */
  ask (&f, &answers, PODS, "b", FALSE, 0); /* base + 5 */
  g_assert_null (cube_store_get (f.store, PODS, "default", "first"));
  fault_storage_hold (f.fault, FALSE);
  check_answers (&answers, "first:ok a:ok a:AlreadyExists a:ok a:Conflict a:ok a:NotFound a:ok b:ok ");
  g_assert_cmpuint (fault_storage_commits (f.fault), ==, 2);
  g_assert_cmpuint (fault_storage_changes (f.fault), ==, 6);
  g_assert_cmpuint (cube_store_revision (f.store), ==, base + 5);
  g_autoptr (CubeObject) object = cube_store_get (f.store, PODS, "default", "a");
  g_assert_cmpuint (cube_object_revision (object), ==, base + 4);
  g_string_free (answers.log, TRUE);
  fixture_clear (&f);
}

/* A transaction that fails takes its whole batch with it, and nothing of it is ever seen. */
static void
test_failed_batch (gconstpointer data)
{
  Fixture f;
  Answers answers = { .log = g_string_new (NULL) };
  g_autofree char *health = NULL;
  fixture_init (&f, GPOINTER_TO_INT (data), FALSE);
  fixture_open (&f);
  guint64 first = put_pod (&f, "a", 0, 1);
  commit (&f, LEASES, "default", "l", make_object ("Lease", "default", "l", NULL, NULL, 1));
  guint64 before = cube_store_revision (f.store);
  GLogLevelFlags fatal = g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* it warns, and should */
  fault_storage_hold (f.fault, TRUE);
  ask (&f, &answers, PODS, "x", FALSE, 0);
  fault_storage_wait_held (f.fault);
  fault_storage_fail (f.fault, 2, G_MAXUINT, CUBE_ERROR_NO_SPACE);
  ask (&f, &answers, PODS, "b", FALSE, 0);
  ask (&f, &answers, PODS, "b", FALSE, 0);
  ask (&f, &answers, PODS, "a", FALSE, first);
  ask (&f, &answers, PODS, "x", FALSE, 7777);
  ask (&f, &answers, LEASES, "l", FALSE, before);
  fault_storage_hold (f.fault, FALSE);
  check_answers (&answers, "x:ok b:InternalError b:InternalError a:InternalError x:Conflict l:ok ");
  g_assert_null (cube_store_get (f.store, PODS, "default", "b"));
  g_autoptr (CubeObject) a = cube_store_get (f.store, PODS, "default", "a");
  g_assert_cmpuint (cube_object_revision (a), ==, first);
  g_assert_false (cube_context_get_health (f.context, &health));
  g_assert_nonnull (strstr (health, "read-only"));
  ask (&f, &answers, PODS, "c", FALSE, 0); /* not even tried */
  check_answers (&answers, "c:InternalError ");
  fault_storage_heal (f.fault);
  /* It finds out by itself. */
  g_autofree char *now = NULL;
  for (gint64 end = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
       !cube_context_get_health (f.context, &now) && g_get_monotonic_time () < end;)
    {
      g_clear_pointer (&now, g_free);
      g_usleep (10000);
    }
  g_assert_true (cube_context_get_health (f.context, NULL));
  g_assert_cmpuint (put_pod (&f, "b", 0, 1), >, before);
  g_log_set_always_fatal (fatal);
  guint64 last = cube_store_revision (f.store);
  fixture_close (&f);
  fixture_open (&f);
  g_assert_cmpuint (cube_store_revision (f.store), >=, last);
  g_assert_null (cube_store_get (f.store, PODS, "default", "c"));
  g_string_free (answers.log, TRUE);
  fixture_clear (&f);
}

/* ---- volatile resources ---- */

static void
test_volatile (gconstpointer data)
{
  Fixture f;
  fixture_init (&f, GPOINTER_TO_INT (data), FALSE);
  fixture_open (&f);
  commit (&f, LEASES, "default", "l", make_object ("Lease", "default", "l", NULL, NULL, 1));
  guint commits = fault_storage_commits (f.fault);
  for (guint i = 0; i < 100; i++)
    commit (&f, LEASES, "default", "l", make_object ("Lease", "default", "l", NULL, NULL, i));
  g_assert_cmpuint (fault_storage_commits (f.fault), ==, commits);
  guint64 last = cube_store_revision (f.store);
  fixture_close (&f);
  fixture_open (&f);
  g_assert_cmpuint (cube_store_revision (f.store), >=, last);
  g_assert_null (cube_store_get (f.store, LEASES, "default", "l"));
  g_assert_cmpuint (put_pod (&f, "a", 0, 1), >, last);
  commit (&f, LEASES, "default", "l", make_object ("Lease", "default", "l", NULL, NULL, 1));
  last = cube_store_revision (f.store);
  fixture_close (&f);
  fixture_open (&f);
  g_assert_cmpuint (cube_store_revision (f.store), >=, last);
  fixture_clear (&f);
}

/* ---- compaction ---- */

static void
test_compaction (gconstpointer data)
{
  Fixture f;
  fixture_init (&f, GPOINTER_TO_INT (data), TRUE); /* inline: compaction is due after a commit */
  f.history = 10;
  fixture_open (&f);
  guint64 last[20] = { 0 };
  for (guint i = 0; i < 2000; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i % 20);
      if (i % 7 == 6 && last[i % 20] != 0)
        {
          delete_pod (&f, name, last[i % 20]);
          last[i % 20] = 0;
        }
      else
        last[i % 20] = put_pod (&f, name, last[i % 20], i % 50);
    }
  guint64 newest = 0, oldest = 0;
  g_assert_true (fault_storage_ops.get_revision (f.fault, &newest, &oldest, NULL));
  g_assert_cmpuint (newest, ==, cube_store_revision (f.store));
  g_assert_cmpuint (oldest, >, newest - 300);
  fixture_close (&f);
  fixture_open (&f);
  g_assert_cmpuint (cube_store_revision (f.store), ==, newest);
  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      g_autoptr (CubeObject) object = cube_store_get (f.store, PODS, "default", name);
      g_assert_cmpuint (object != NULL ? cube_object_revision (object) : 0, ==, last[i]);
    }
  fixture_clear (&f);
}

/* Enough for several parsers, over a storage that keeps no order the trees could use. */
static void
test_load_many (void)
{
  Fixture f;
  g_autoptr (GError) error = NULL;
  fixture_init (&f, STORAGE_SQLITE, FALSE);
  fixture_open (&f);
  Answers answers = { .log = g_string_new (NULL) };
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < 3000; i++)
    {
      g_ptr_array_add (names, g_strdup_printf ("p%u", i * 2654435761u));
      Asked *asked = g_new0 (Asked, 1);
      *asked = (Asked){ &answers, names->pdata[i] };
      g_mutex_lock (&answers.lock);
      answers.waiting++;
      g_mutex_unlock (&answers.lock);
      cube_store_propose (f.store, PODS, "default", names->pdata[i],
                          make_object ("Pod", "default", names->pdata[i], i % 2 ? "odd" : "even", "uid-1", 900), 0, asked_done, asked);
    }
  fixture_close (&f); /* commits what was accepted */
  g_assert_cmpuint (answers.waiting, ==, 0);
  fixture_open (&f);
  CubeSnapshot *snapshot = cube_store_snapshot (f.store, PODS);
  g_assert_cmpuint (snapshot_count (snapshot), ==, 3000);
  cube_snapshot_unref (snapshot);
  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (CubeObject) object = cube_store_get (f.store, PODS, "default", names->pdata[i]);
      g_assert_nonnull (object);
    }
  g_autoptr (GPtrArray) odd = cube_store_find_pods_on (f.store, "odd");
  g_autoptr (GArray) owned = cube_store_find_owned (f.store, "uid-1");
  g_assert_cmpuint (odd->len, ==, 1500);
  g_assert_cmpuint (owned->len, ==, 3000);
  g_string_free (answers.log, TRUE);
  fixture_clear (&f);
}

/* Bytes that are no object: refused, with the name of the row. */
static void
test_load_bad (void)
{
  Fixture f;
  g_autoptr (GError) error = NULL;
  CubeStorageChange change = { "/pods\x1f"
                               "default\x1f"
                               "bad",
                               "{\"a\":", 5, 5, 0 };
  fixture_init (&f, STORAGE_MEMORY, FALSE);
  g_assert_true (fault_storage_ops.commit (f.fault, &change, 1, NULL));
  g_assert_false (fixture_try_open (&f, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_STORE_READ_ERROR);
  g_assert_nonnull (strstr (error->message, "/pods default bad"));
  g_clear_error (&error);
  fixture_clear (&f);
}

int
main (int argc, char **argv)
{
  static const struct {
    const char *name;
    StorageKind kind;
  } kinds[] = { { "memory", STORAGE_MEMORY }, { "sqlite", STORAGE_SQLITE } };
  static const struct {
    const char *name;
    GTestDataFunc run;
  } tests[] = {
    { "basics", test_basics },     { "expected", test_expected },     { "indexes", test_indexes }, { "failed-batch", test_failed_batch },
    { "volatile", test_volatile }, { "compaction", test_compaction },
  };
  g_test_init (&argc, &argv, NULL);
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    for (guint t = 0; t < G_N_ELEMENTS (tests); t++)
      {
        g_autofree char *path = g_strdup_printf ("/store/%s/%s", kinds[k].name, tests[t].name);
        g_test_add_data_func (path, GINT_TO_POINTER (kinds[k].kind), tests[t].run);
      }
  g_test_add_func ("/store/snapshots", test_snapshots);
  g_test_add_func ("/store/batch", test_batch);
  g_test_add_func ("/store/load/many", test_load_many);
  g_test_add_func ("/store/load/bad", test_load_bad);
  return g_test_run ();
}
