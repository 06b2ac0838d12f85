/* SPDX-License-Identifier: Apache-2.0 */
/* The database as a file: what is made, what is refused, what a full disk does. */
#include <context/context.h>
#include <cube/storage.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

extern const CubePluginDescriptor cube_plugin_storage_sqlite;

typedef struct {
  CubeProcess *process;
  CubeContext *context;
  char *directory, *path;
} Place;

static void
place_init (Place *place)
{
  place->process = cube_process_new ();
  place->context = cube_process_new_context (place->process, "storage-sqlite", cube_view_none ());
  place->directory = g_dir_make_tmp ("cube-sqlite-XXXXXX", NULL);
  place->path = g_build_filename (place->directory, "store.db", NULL);
}

static void
place_clear (Place *place)
{
  g_autoptr (GDir) dir = g_dir_open (place->directory, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;)
    {
      g_autofree char *path = g_build_filename (place->directory, name, NULL);
      g_remove (path);
    }
  g_rmdir (place->directory);
  cube_process_free (place->process);
  g_free (place->directory);
  g_free (place->path);
}

static const CubeStorageOps *
ops (void)
{
  return cube_plugin_storage_sqlite.impls[0].ops;
}

static gpointer
storage_new (Place *place)
{
  gpointer state = NULL;
  g_assert_true (cube_plugin_storage_sqlite.load (place->context, &state, NULL));
  return state;
}

static gpointer
storage_open (Place *place)
{
  gpointer state = storage_new (place);
  g_autoptr (GError) error = NULL;
  gboolean is_open = ops ()->open (state, place->directory, &error);
  g_assert_no_error (error);
  g_assert_true (is_open);
  return state;
}

static void
storage_close (gpointer state)
{
  ops ()->close (state);
  cube_plugin_storage_sqlite.unload (state);
}

static gboolean
put (gpointer state, guint64 revision, const char *key, gsize length, GError **error)
{
  g_autofree char *json = g_strnfill (length, ' ');
  g_autoptr (GRand) rand = g_rand_new_with_seed (revision);
  for (gsize i = 0; i < length; i++) /* what does not compress well */
    json[i] = (char) g_rand_int_range (rand, 33, 127);
  CubeStorageChange change = { key, json, length, revision, 0 };
  return ops ()->commit (state, &change, 1, error);
}

static void
fill (Place *place, guint n)
{
  gpointer state = storage_open (place);
  for (guint i = 1; i <= n; i++)
    {
      g_autofree char *key = g_strdup_printf ("/pods\x1f"
                                              "d\x1fp%u",
                                              i);
      g_assert_true (put (state, i, key, 2000, NULL));
    }
  storage_close (state);
}

static gboolean
count_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  (*(guint *) data)++;
  return TRUE;
}

/* What looking at it without opening it finds: nothing, or something about @word. It leaves no file. */
static void
check_says (Place *place, const char *word)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *index = g_strconcat (place->path, "-shm", NULL);
  gboolean had_index = g_file_test (index, G_FILE_TEST_EXISTS);
  gpointer state = storage_new (place);
  gboolean is_fine = ops ()->check (state, place->directory, &error);
  if (word == NULL)
    g_assert_no_error (error);
  g_assert_cmpint (is_fine, ==, word == NULL);
  if (word != NULL && strstr (error->message, word) == NULL)
    g_error ("check: %s: not about %s", error->message, word);
  storage_close (state);
  g_assert_cmpint (g_file_test (index, G_FILE_TEST_EXISTS), ==, had_index);
}

/* Refused with a message that has @word, and the file is as it was. */
static void
check_refused (Place *place, const char *word)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *before = NULL, *after = NULL;
  gsize length = 0, length_after = 0;
  guint n = 0;
  g_assert_true (g_file_get_contents (place->path, &before, &length, NULL));
  gpointer state = storage_new (place);
  gboolean is_usable = ops ()->open (state, place->directory, &error) && ops ()->load (state, count_row, &n, &error);
  g_assert_false (is_usable);
  g_assert_nonnull (error);
  if (strstr (error->message, word) == NULL)
    g_error ("%s: not about %s", error->message, word);
  g_assert_nonnull (strstr (error->message, place->path));
  storage_close (state);
  check_says (place, word);
  g_assert_true (g_file_get_contents (place->path, &after, &length_after, NULL));
  g_assert_cmpmem (before, length, after, length_after);
}

static void
test_modes (void)
{
  Place place;
  place_init (&place);
  mode_t mask = umask (0);
  gpointer state = storage_open (&place);
  g_assert_true (put (state, 1, "k", 10, NULL));
  umask (mask);
  static const char *const names[] = { "store.db", "store.db-wal", "store.db-shm", "store.lock" };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      g_autofree char *path = g_build_filename (place.directory, names[i], NULL);
      struct stat st;
      g_assert_cmpint (stat (path, &st), ==, 0);
      g_assert_cmphex (st.st_mode & 07777, ==, 0600);
    }
  storage_close (state);
  place_clear (&place);
}

static void
test_lock (void)
{
  Place place;
  g_autoptr (GError) error = NULL;
  place_init (&place);
  gpointer first = storage_open (&place), second = storage_new (&place);
  g_assert_false (ops ()->open (second, place.directory, &error));
  g_autofree char *wanted = g_strdup_printf ("in use by process %d", (int) getpid ());
  g_assert_nonnull (strstr (error->message, wanted));
  storage_close (second);
  check_says (&place, "held by another process");
  storage_close (first);
  first = storage_open (&place);
  g_assert_true (put (first, 1, "k", 10, NULL));
  storage_close (first);
  check_says (&place, NULL);
  place_clear (&place);
}

static void
overwrite (Place *place, off_t at, const char *bytes, gsize length)
{
  int fd = open (place->path, O_WRONLY | O_CLOEXEC);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (pwrite (fd, bytes, length, at), ==, length);
  close (fd);
}

static void
test_refused (void)
{
  Place place;
  g_autofree char *noise = g_strnfill (4096, '\xa5');
  place_init (&place);
  g_assert_true (g_file_set_contents (place.path, "this is a letter to my aunt", -1, NULL));
  check_refused (&place, "backup");
  g_remove (place.path);
  fill (&place, 50);
  overwrite (&place, 0, noise, 100); /* the header */
  check_refused (&place, "backup");
  g_remove (place.path);
  fill (&place, 50);
  overwrite (&place, 8192, noise, 4096); /* a page */
  check_refused (&place, "backup");
  g_remove (place.path);
  fill (&place, 50);
  g_assert_cmpint (truncate (place.path, 5 * 4096), ==, 0);
  check_refused (&place, "backup");
  place_clear (&place);
}

static void
run_sql (Place *place, const char *sql)
{
  sqlite3 *db;
  g_assert_cmpint (sqlite3_open (place->path, &db), ==, SQLITE_OK);
  g_assert_cmpint (sqlite3_exec (db, sql, NULL, NULL, NULL), ==, SQLITE_OK);
  sqlite3_close (db);
}

static void
test_identity (void)
{
  Place place;
  place_init (&place);
  run_sql (&place, "CREATE TABLE recipes (name, text)");
  check_refused (&place, "another program");
  g_remove (place.path);
  fill (&place, 3);
  run_sql (&place, "PRAGMA user_version=99");
  check_refused (&place, "newer cube");
  run_sql (&place, "PRAGMA user_version=1; DROP TABLE log");
  check_refused (&place, "tables");
  place_clear (&place);
}

/* A row bigger than what one looks at first: beyond the size that is checked at open, damage is found while loading. */
static void
test_damage_in_bulk (void)
{
  Place place;
  g_autofree char *noise = g_strnfill (4096, '\xa5');
  place_init (&place);
  fill (&place, 5000);
  overwrite (&place, 4096 * 2000, noise, 4096);
  check_refused (&place, "backup");
  place_clear (&place);
}

static void
test_backup (void)
{
  Place place, copy;
  g_autoptr (GError) error = NULL;
  guint n = 0;
  place_init (&place);
  place_init (&copy);
  fill (&place, 20);
  gpointer state = storage_open (&place);
  g_assert_true (ops ()->backup (state, copy.path, &error));
  g_assert_no_error (error);
  g_assert_false (ops ()->backup (state, copy.path, &error)); /* never over something */
  g_assert_nonnull (error);
  storage_close (state);
  state = storage_open (&copy);
  g_assert_true (ops ()->load (state, count_row, &n, NULL));
  g_assert_cmpuint (n, ==, 20);
  storage_close (state);
  place_clear (&place);
  place_clear (&copy);
}

/* A bit that flips inside a page SQLite has no reason to doubt. */
static void
test_flipped_bit (void)
{
  Place place;
  g_autofree char *content = NULL;
  gsize length;
  place_init (&place);
  fill (&place, 50);
  g_assert_true (g_file_get_contents (place.path, &content, &length, NULL));
  gsize at = 20 * 4096 + 3000; /* in the middle of a row's bytes */
  content[at] ^= 1;
  overwrite (&place, at, content + at, 1);
  check_refused (&place, "cannot be unpacked");
  place_clear (&place);
}

typedef struct {
  const char *json;
  guint seen;
} Wanted;

static gboolean
check_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  Wanted *wanted = data;
  g_assert_cmpmem (json, length, wanted->json, strlen (wanted->json));
  wanted->seen++;
  return TRUE;
}

/* Small, big, compressible and not: what comes back is what was given. */
static void
test_codec (void)
{
  Place place;
  place_init (&place);
  for (gsize length = 2; length < 4000000; length *= 3)
    {
      g_autofree char *json = g_strnfill (length, 'a');
      for (gsize i = length / 2; i < length; i++)
        json[i] = (char) g_random_int_range (33, 127);
      CubeStorageChange change = { "/pods\x1f"
                                   "d\x1fp",
                                   json, length, 1, 0 };
      gpointer state = storage_open (&place);
      g_assert_true (ops ()->commit (state, &change, 1, NULL));
      storage_close (state);
      Wanted wanted = { json, 0 };
      state = storage_open (&place);
      g_assert_true (ops ()->load (state, check_row, &wanted, NULL));
      g_assert_cmpuint (wanted.seen, ==, 1);
      storage_close (state);
      g_remove (place.path);
    }
  place_clear (&place);
}

/* A disk that fills up: NO_SPACE, nothing lost, and it goes on as soon as there is room. */
static void
test_full (void)
{
  Place place;
  g_autoptr (GError) error = NULL;
  guint64 revision = 0;
  guint n = 0;
  if (!g_test_subprocess ())
    {
      g_test_trap_subprocess (NULL, 0, G_TEST_SUBPROCESS_INHERIT_STDERR);
      g_test_trap_assert_passed ();
      return;
    }
  place_init (&place);
  if (unshare (CLONE_NEWNS) != 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0
      || mount ("tmpfs", place.directory, "tmpfs", 0, "size=1m") != 0)
    {
      place_clear (&place);
      g_test_skip ("needs root for a small file system of its own");
      return;
    }
  gpointer state = storage_open (&place);
  g_autofree char *filler = g_build_filename (place.directory, "filler", NULL);
  g_autofree char *content = g_strnfill (300000, 'x');
  g_assert_true (g_file_set_contents (filler, content, 300000, NULL));
  while (put (state, revision + 1, "k", 2000, &error))
    g_assert_cmpuint (++revision, <, 1000);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NO_SPACE);
  g_clear_error (&error);
  g_assert_false (put (state, revision + 1, "k", 2000, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NO_SPACE);
  g_clear_error (&error);
  g_remove (filler);
  g_assert_true (put (state, revision + 1, "k", 2000, &error));
  g_assert_no_error (error);
  storage_close (state);
  state = storage_open (&place);
  g_assert_true (ops ()->load (state, count_row, &n, NULL));
  g_assert_cmpuint (n, ==, revision + 1);
  storage_close (state);
  umount (place.directory);
  place_clear (&place);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/storage/sqlite/modes", test_modes);
  g_test_add_func ("/storage/sqlite/lock", test_lock);
  g_test_add_func ("/storage/sqlite/refused", test_refused);
  g_test_add_func ("/storage/sqlite/identity", test_identity);
  g_test_add_func ("/storage/sqlite/damage-in-bulk", test_damage_in_bulk);
  g_test_add_func ("/storage/sqlite/flipped-bit", test_flipped_bit);
  g_test_add_func ("/storage/sqlite/codec", test_codec);
  g_test_add_func ("/storage/sqlite/backup", test_backup);
  g_test_add_func ("/storage/sqlite/full", test_full);
  return g_test_run ();
}
