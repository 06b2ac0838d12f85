/* SPDX-License-Identifier: Apache-2.0 */
/* R2, R3: the power goes at every point; every I/O call fails in turn. What was acknowledged is there, what failed is not. */
#include "fault-vfs.h"
#include <context/context.h>
#include <cube/storage.h>
#include <glib/gstdio.h>
#include <string.h>

extern const CubePluginDescriptor cube_plugin_storage_sqlite;

#define KEYS 6
#define STEPS 40

/* The state after so many commits: key → revision, 0 = not there. */
typedef struct {
  guint64 revisions[KEYS];
} Model;

typedef struct {
  CubeProcess *process;
  CubeContext *context;
  char *directory, *cut_directory;
  gpointer state;
  GRand *rand;
  Model acknowledged, wanted; /* wanted: with the commit under way */
  guint64 revision;
  guint cuts;
} Run;

static const CubeStorageOps *
ops (void)
{
  return cube_plugin_storage_sqlite.impls[0].ops;
}

static void
clear_directory (const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;)
    {
      g_autofree char *path = g_build_filename (directory, name, NULL);
      g_remove (path);
    }
}

static void
run_init (Run *run, guint seed)
{
  *run = (Run){ .process = cube_process_new_simulated (seed, 1), .rand = g_rand_new_with_seed (seed) };
  run->context = cube_process_new_context (run->process, "storage-sqlite", cube_view_none ());
  run->directory = g_dir_make_tmp ("cube-faults-XXXXXX", NULL);
  run->cut_directory = g_dir_make_tmp ("cube-faults-XXXXXX", NULL);
  g_assert_true (cube_plugin_storage_sqlite.load (run->context, &run->state, NULL));
}

static void
run_clear (Run *run)
{
  cube_plugin_storage_sqlite.unload (run->state);
  fault_vfs_reset ();
  clear_directory (run->directory);
  clear_directory (run->cut_directory);
  g_rmdir (run->directory);
  g_rmdir (run->cut_directory);
  g_free (run->directory);
  g_free (run->cut_directory);
  g_rand_free (run->rand);
  cube_process_free (run->process);
}

/* One commit of a few changes; FALSE: it was refused. */
static gboolean
run_step (Run *run)
{
  CubeStorageChange changes[4];
  g_autoptr (GPtrArray) texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GError) error = NULL;
  guint n = g_rand_int_range (run->rand, 1, 5);
  run->wanted = run->acknowledged;
  for (guint i = 0; i < n; i++)
    {
      guint key = g_rand_int_range (run->rand, 0, KEYS);
      guint64 previous = run->wanted.revisions[key];
      gboolean is_delete = previous != 0 && g_rand_int_range (run->rand, 0, 4) == 0;
      g_autofree char *pad = g_strnfill (g_rand_int_range (run->rand, 1, 9000), ' ');
      for (char *at = pad; *at != '\0'; at++)
        *at = (char) g_rand_int_range (run->rand, 'A', 'z');
      char *json = g_strdup_printf ("{\"revision\":%" G_GUINT64_FORMAT ",\"pad\":\"%s\"}", ++run->revision, pad);
      changes[i] = (CubeStorageChange){ g_strdup_printf ("key-%u", key), is_delete ? NULL : json, strlen (json), run->revision, previous };
      g_ptr_array_add (texts, json);
      g_ptr_array_add (texts, (gpointer) changes[i].key);
      run->wanted.revisions[key] = is_delete ? 0 : run->revision;
    }
  gboolean is_done = ops ()->commit (run->state, changes, n, &error);
  g_assert_true (is_done == (error == NULL));
  if (is_done)
    run->acknowledged = run->wanted;
  return is_done;
}

static gboolean
model_row (const char *key, const char *json, gsize length, guint64 revision, gpointer data)
{
  Model *model = data;
  guint index = key[strlen ("key-")] - '0';
  g_autofree char *text = g_strndup (json, length), *begin = g_strdup_printf ("{\"revision\":%" G_GUINT64_FORMAT ",", revision);
  g_assert_cmpuint (index, <, KEYS);
  g_assert_cmpuint (model->revisions[index], ==, 0);
  g_assert_true (g_str_has_prefix (text, begin));
  model->revisions[index] = revision;
  return TRUE;
}

static Model
read_model (Run *run, const char *directory)
{
  Model model = { { 0 } };
  gpointer state = NULL;
  g_autoptr (GError) error = NULL;
  g_assert_true (cube_plugin_storage_sqlite.load (run->context, &state, NULL));
  if (ops ()->open (state, directory, &error))
    ops ()->load (state, model_row, &model, &error);
  g_assert_no_error (error);
  cube_plugin_storage_sqlite.unload (state);
  return model;
}

static gboolean
model_equal (const Model *a, const Model *b)
{
  return memcmp (a, b, sizeof *a) == 0;
}

/* ---- R2 ---- */

static void
cut_here (gpointer data)
{
  Run *run = data;
  clear_directory (run->cut_directory);
  fault_vfs_cut (run->directory, run->cut_directory, run->rand);
  Model found = read_model (run, run->cut_directory);
  g_assert_true (model_equal (&found, &run->acknowledged) || model_equal (&found, &run->wanted));
  run->cuts++;
}

static void
test_power_cut (void)
{
  guint cuts = 0;
  for (guint seed = 1; cuts < 500; seed++)
    {
      Run run;
      run_init (&run, seed);
      fault_vfs_reset ();
      fault_vfs_set_hook (cut_here, &run);
      g_assert_true (ops ()->open (run.state, run.directory, NULL));
      for (guint i = 0; i < STEPS; i++)
        {
          g_assert_true (run_step (&run));
          if (i % 10 == 9)
            g_assert_true (ops ()->compact (run.state, run.revision - 5, NULL));
        }
      ops ()->close (run.state);
      cuts += run.cuts;
      run_clear (&run);
    }
  g_test_message ("%u cuts", cuts);
}

/* ---- R3 ---- */

/* FALSE: the workload ended before the call that was to fail. */
static gboolean
run_with_fault (guint nth, guint count, gboolean is_full)
{
  Run run;
  run_init (&run, 7);
  fault_vfs_reset ();
  fault_vfs_fail (nth, count, is_full);
  gboolean is_open = ops ()->open (run.state, run.directory, NULL);
  for (guint i = 0; i < STEPS / 2 && is_open; i++)
    {
      run_step (&run);
      if (i % 10 == 9)
        ops ()->compact (run.state, run.revision - 5, NULL);
    }
  gboolean has_failed = fault_vfs_has_failed ();
  fault_vfs_fail (0, 0, FALSE);
  if (is_open)
    g_assert_true (run_step (&run)); /* it recovers by itself */
  ops ()->close (run.state);
  Model found = read_model (&run, run.directory);
  g_assert_true (model_equal (&found, &run.acknowledged));
  run_clear (&run);
  return has_failed;
}

static void
test_io_errors (void)
{
  GLogLevelFlags fatal = g_log_set_always_fatal (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL); /* a checkpoint that fails warns */
  guint nth = 1;
  while (run_with_fault (nth, 1, FALSE))
    nth++;
  guint points = nth - 1;
  g_assert_cmpuint (points, >, 100);
  for (nth = 1; nth < points; nth += 3)
    {
      run_with_fault (nth, 5, FALSE);
      run_with_fault (nth, 5, TRUE);
    }
  g_test_message ("%u calls failed in turn", points);
  g_log_set_always_fatal (fatal);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  fault_vfs_register ();
  g_test_add_func ("/storage/sqlite/power-cut", test_power_cut);
  g_test_add_func ("/storage/sqlite/io-errors", test_io_errors);
  return g_test_run ();
}
