/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake with a plugin file: each thing that can be wrong with one is refused with a sentence, and hurts nobody else. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <plugin/config-schema.h>
#include <plugin/registry.h>
#include <cube/scheduler.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *samples; /* folder of the sample plugins */

typedef struct {
  CubeProcess *process;
  CubeRegistry *registry;
  CubePlugins *plugins;
  char *dir;
} Fixture;

static void
set_up_with (Fixture *fixture, const char *config_json)
{
  g_autoptr (CubeValue) config = config_json != NULL ? cube_value_from_json (config_json, -1, NULL, NULL) : NULL;
  fixture->process = cube_process_new ();
  fixture->registry = cube_registry_new ();
  cube_process_set_registry (fixture->process, fixture->registry);
  fixture->dir = g_dir_make_tmp ("cube-plugin-XXXXXX", NULL);
  cube_process_set_data_dir (fixture->process, fixture->dir);
  fixture->plugins = cube_plugins_new (fixture->process, fixture->registry, config != NULL ? cube_value_root (config) : cube_view_none ());
}

static void
set_up (Fixture *fixture, gconstpointer unused)
{
  set_up_with (fixture, NULL);
}

static void
remove_dir (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  for (const char *name; dir != NULL && (name = g_dir_read_name (dir)) != NULL;)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);
      if (g_file_test (child, G_FILE_TEST_IS_DIR))
        remove_dir (child);
      else
        g_unlink (child);
    }
  g_rmdir (path);
}

static void
tear_down (Fixture *fixture, gconstpointer unused)
{
  cube_plugins_stop (fixture->plugins, NULL);
  cube_plugins_free (fixture->plugins);
  cube_process_free (fixture->process);
  cube_registry_free (fixture->registry);
  remove_dir (fixture->dir);
  g_free (fixture->dir);
}

static char *
sample (const char *name)
{
  return g_strdup_printf ("%s/sample-%s.so", samples, name);
}

static void
refused (Fixture *fixture, const char *path, const char *words)
{
  g_autoptr (GError) error = NULL;
  g_assert_false (cube_plugins_load_file (fixture->plugins, path, &error));
  g_assert_nonnull (error);
  if (strstr (error->message, words) == NULL || strstr (error->message, path) == NULL)
    g_error ("message \"%s\" does not name %s and say \"%s\"", error->message, path, words);
  g_autoptr (CubeValue) list = cube_plugins_describe (fixture->plugins);
  CubeView last = cube_view_element (cube_value_root (list), cube_view_length (cube_value_root (list)) - 1);
  g_assert_cmpstr (cube_view_get_string (last, "state"), ==, "failed");
  g_assert_false (cube_view_get_bool (last, TRUE, "healthy"));
}

static gint64
ask (Fixture *fixture)
{
  const CubeImpl *impl = cube_registry_lookup (fixture->registry, CUBE_SCORE_PLUGIN, "sample");
  if (impl == NULL)
    return -1;
  gint64 score = ((const CubeScoreOps *) impl->ops)->score (impl->state, NULL, NULL, NULL, NULL);
  cube_impl_unref (impl);
  return score;
}

static void
test_good (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = sample ("good");
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, &error));
  g_assert_no_error (error);
  g_assert_cmpint (ask (fixture), ==, 7);
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, &error));
  cube_plugins_stop (fixture->plugins, NULL);
  g_assert_cmpint (ask (fixture), ==, -1);
}

static void
test_refusals (Fixture *fixture, gconstpointer unused)
{
  static const char *const table[][2] = {
    { "no-symbol", "has no symbol cube_plugin_descriptor" },
    { "major", "was built for plugin ABI 9.0; this cube speaks 1.x" },
    { "load-fails", "no such device" },
    { "unknown-interface", "offers the interface cube.oracle.Oracle" },
    { "small-ops", "are mandatory" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      g_autofree char *path = sample (table[i][0]);
      refused (fixture, path, table[i][1]);
    }
  g_autofree char *text = g_build_filename (fixture->dir, "text.so", NULL);
  g_assert_true (
      g_file_set_contents (text, "not a library, only a text that is longer than an ELF header would have to be, at the least", -1, NULL));
  refused (fixture, text, "not an ELF shared object");
  g_autofree char *folder = g_build_filename (fixture->dir, "folder.so", NULL);
  g_mkdir (folder, 0755);
  refused (fixture, folder, "not a regular file");
  g_autofree char *absent = g_build_filename (fixture->dir, "absent.so", NULL);
  refused (fixture, absent, "No such file");
  g_autofree char *good = sample ("good");
  g_autofree char *open_to_all = g_build_filename (fixture->dir, "open.so", NULL), *content = NULL;
  gsize length;
  g_assert_true (g_file_get_contents (good, &content, &length, NULL) && g_file_set_contents (open_to_all, content, (gssize) length, NULL));
  g_chmod (open_to_all, 0777);
  refused (fixture, open_to_all, "writable by others");
  g_chmod (open_to_all, 0755);
  g_assert_true (g_file_set_contents (text, content, (gssize) (length / 2), NULL));
  refused (fixture, text, "cannot be loaded");
  g_assert_cmpint (ask (fixture), ==, -1);
  g_assert_true (cube_plugins_load_file (fixture->plugins, open_to_all, NULL)); /* after all that, a good one loads */
  g_assert_cmpint (ask (fixture), ==, 7);
}

static void
test_old_minor (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = sample ("old-minor");
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, &error));
  g_assert_no_error (error);
  g_assert_cmpint (ask (fixture), ==, 7);
}

static void
test_replacing (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *good = sample ("good"), *newer = sample ("newer"), *broken = sample ("load-fails");
  g_assert_true (cube_plugins_load_file (fixture->plugins, good, &error));
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, &error));
  const CubeImpl *before = cube_registry_lookup (fixture->registry, CUBE_SCORE_PLUGIN, "sample");
  gconstpointer old_ops = before->ops;
  cube_impl_unref (before);
  g_assert_true (cube_plugins_load_file (fixture->plugins, newer, &error));
  const CubeImpl *after = cube_registry_lookup (fixture->registry, CUBE_SCORE_PLUGIN, "sample");
  g_assert_nonnull (after);
  g_assert_true (after->ops != old_ops);
  cube_impl_unref (after);
  g_autoptr (CubeValue) list = cube_plugins_describe (fixture->plugins);
  g_assert_cmpuint (cube_view_length (cube_value_root (list)), ==, 1);
  g_assert_cmpstr (cube_view_get_string (cube_view_element (cube_value_root (list), 0), "version"), ==, "2");
  g_assert_false (cube_plugins_load_file (fixture->plugins, broken, &error)); /* named sample too: the running one takes over again */
  g_assert_cmpint (ask (fixture), ==, 7);
}

/* ---- files that change ---- */

/* A copy of a sample, written over what is there, as cp does. (transfer full) */
static char *
put (Fixture *fixture, const char *name)
{
  g_autofree char *from = sample (name), *content = NULL;
  char *path = g_build_filename (fixture->dir, "a.so", NULL);
  gsize length;
  g_assert_true (g_file_get_contents (from, &content, &length, NULL));
  FILE *file = fopen (path, "w");
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (content, 1, length, file), ==, length);
  fclose (file);
  g_chmod (path, 0755);
  return path;
}

static const char *
message_of_first (CubeValue *list)
{
  return cube_view_get_string (cube_view_element (cube_value_root (list), 0), "message");
}

static const char *
version_of_first (CubeValue *list)
{
  return cube_view_get_string (cube_view_element (cube_value_root (list), 0), "version");
}

/* What is mapped is ours: the file may be cut, and written anew in place. */
static void
test_cut (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *path = put (fixture, "good");
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_cmpint (truncate (path, 0), ==, 0);
  g_assert_cmpint (ask (fixture), ==, 7);
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, NULL));
  g_autoptr (GError) error = NULL;
  g_assert_false (cube_plugins_load_file (fixture->plugins, path, &error));
  g_assert_nonnull (strstr (error->message, "not an ELF shared object"));
  g_assert_cmpint (ask (fixture), ==, 7);
  g_free (put (fixture, "newer"));
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_cmpint (truncate (path, 0), ==, 0);
  g_assert_cmpint (ask (fixture), ==, 7);
  g_autoptr (CubeValue) list = cube_plugins_describe (fixture->plugins);
  g_assert_cmpstr (version_of_first (list), ==, "2");
}

static void
test_written (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *path = put (fixture, "good");
  int fd = open (path, O_WRONLY | O_CLOEXEC), reader = open (path, O_RDONLY | O_CLOEXEC);
  gboolean has_leases = fcntl (reader, F_SETLEASE, F_RDLCK) != 0 && errno == EAGAIN;
  close (reader);
  if (has_leases)
    refused (fixture, path, "somebody is writing the file");
  else
    g_test_skip ("this file system has no leases");
  close (fd);
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
}

/* The old one is stopped when the last call on it has ended, the new one answers meanwhile. */
static void
test_in_use (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *path = put (fixture, "good");
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, NULL));
  const CubeImpl *held = cube_registry_lookup (fixture->registry, CUBE_SCORE_PLUGIN, "sample");
  const CubeScoreOps *ops = held->ops;
  gpointer state = held->state;
  g_free (put (fixture, "newer"));
  gint64 before = g_get_monotonic_time ();
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_cmpint (g_get_monotonic_time () - before, <, G_USEC_PER_SEC); /* nobody waited */
  g_assert_cmpint (ops->score (state, NULL, NULL, NULL, NULL), ==, 7);
  g_assert_cmpint (ask (fixture), ==, 7);
  cube_impl_unref (held);
  while (ops->score (state, NULL, NULL, NULL, NULL) == 7)
    g_main_context_iteration (NULL, TRUE);
  g_assert_cmpint (ask (fixture), ==, 7);
}

/* Those that cannot make way say so, and are whole again when their file is. */
static void
test_stays (Fixture *fixture, gconstpointer is_pinned)
{
  g_autofree char *path = put (fixture, is_pinned != NULL ? "good" : "kept");
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, NULL));
  const CubeImpl *held = cube_registry_lookup (fixture->registry, CUBE_SCORE_PLUGIN, "sample");
  if (is_pinned != NULL)
    cube_registry_pin (fixture->registry, held);
  cube_impl_unref (held);
  g_free (put (fixture, "newer"));
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_autoptr (CubeValue) list = cube_plugins_describe (fixture->plugins);
  g_assert_cmpstr (version_of_first (list), ==, "1");
  g_assert_cmpstr (message_of_first (list), ==, "its file was replaced; in use, it runs on as it was until cube is restarted");
  g_autofree char *other = sample ("newer");
  g_autoptr (GError) error = NULL;
  g_assert_false (cube_plugins_load_file (fixture->plugins, other, &error)); /* nor by a file elsewhere */
  g_assert_nonnull (strstr (error->message, "it runs on as it was until cube is restarted"));
  g_assert_cmpint (ask (fixture), ==, 7);
  g_free (put (fixture, is_pinned != NULL ? "good" : "kept"));
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_autoptr (CubeValue) again = cube_plugins_describe (fixture->plugins);
  g_assert_null (message_of_first (again));
}

/* Touched, or written again as it was: nothing is loaded anew. */
static void
test_touched (Fixture *fixture, gconstpointer unused)
{
  g_autofree char *path = put (fixture, "good");
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, NULL));
  guint64 before = cube_registry_generation (fixture->registry, CUBE_SCORE_PLUGIN);
  g_free (put (fixture, "good"));
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_cmpuint (cube_registry_generation (fixture->registry, CUBE_SCORE_PLUGIN), ==, before);
  g_free (put (fixture, "newer"));
  g_assert_true (cube_plugins_load_file (fixture->plugins, path, NULL));
  g_assert_cmpuint (cube_registry_generation (fixture->registry, CUBE_SCORE_PLUGIN), ==, before + 1); /* never none in between */
}

static void
test_same_name (Fixture *fixture, gconstpointer unused)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *good = sample ("good"), *newer = sample ("newer");
  g_assert_true (cube_plugins_load_file (fixture->plugins, good, &error));
  refused (fixture, newer, "already taken");
}

static gboolean
start_noted (gpointer state, GError **error)
{
  (*(guint *) state)++;
  return TRUE;
}

static guint n_started;

static gboolean
load_noting (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = &n_started;
  return TRUE;
}

static void
test_builtin (Fixture *fixture, gconstpointer unused)
{
  static const CubeInterfaceImpl none[] = { { NULL, 0, 0, NULL, NULL } };
#define BUILTIN(name_)                                                                                                                     \
  {                                                                                                                                        \
    .struct_size = sizeof (CubePluginDescriptor), .abi_major = CUBE_ABI_MAJOR, .name = name_, .version = "1", .impls = none,               \
    .load = load_noting, .start = start_noted                                                                                              \
  }
  static const CubePluginDescriptor one = BUILTIN ("one"), two = BUILTIN ("two"), three = BUILTIN ("three");
  static const CubePluginDescriptor *const table[] = { &one, &two, &three, NULL };
  n_started = 0;
  cube_plugins_add_builtin (fixture->plugins, table);
  g_autoptr (CubeValue) list = cube_plugins_describe (fixture->plugins);
  g_assert_cmpuint (cube_view_length (cube_value_root (list)), ==, 3);
  g_assert_true (cube_plugins_start (fixture->plugins, NULL, NULL));
  g_assert_cmpuint (n_started, ==, 3);
}

static void
test_configuration (void)
{
  static const struct {
    const char *config, *words;
  } table[] = {
    { "{\"sample\":{\"colour\":\"blue\",\"size\":3}}", NULL },
    { "{\"sample\":{\"hue\":1}}", "configuration plugins.sample: unknown key \"hue\" (known: colour, size)" },
    { "{\"sample\":{\"size\":\"big\"}}", "configuration plugins.sample: key \"size\": found string, expected int" },
    { "{\"sample\":[]}", "found array, expected an object" },
  };
  for (guint i = 0; i < G_N_ELEMENTS (table); i++)
    {
      Fixture fixture;
      g_autoptr (GError) error = NULL;
      g_autofree char *path = sample ("good");
      set_up_with (&fixture, table[i].config);
      g_assert_true (cube_plugins_load_file (fixture.plugins, path, &error) == (table[i].words == NULL));
      if (table[i].words != NULL && strstr (error->message, table[i].words) == NULL)
        g_error ("\"%s\" does not say \"%s\"", error->message, table[i].words);
      tear_down (&fixture, NULL);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  samples = argv[1];
  g_unsetenv ("CUBE_PLUGINS_IN_PLACE");
#define TEST(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)
  TEST ("/plugin/good", test_good);
  TEST ("/plugin/refusals", test_refusals);
  TEST ("/plugin/old-minor", test_old_minor);
  TEST ("/plugin/replacing", test_replacing);
  TEST ("/plugin/cut", test_cut);
  TEST ("/plugin/written", test_written);
  TEST ("/plugin/in-use", test_in_use);
  TEST ("/plugin/touched", test_touched);
  g_test_add ("/plugin/kept", Fixture, NULL, set_up, test_stays, tear_down);
  g_test_add ("/plugin/pinned", Fixture, "pinned", set_up, test_stays, tear_down);
  TEST ("/plugin/same-name", test_same_name);
  TEST ("/plugin/builtin", test_builtin);
  g_test_add_func ("/plugin/configuration", test_configuration);
  return g_test_run ();
}
