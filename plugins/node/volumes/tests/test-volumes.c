/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes on a real file system; what needs mounts runs only as root. */

#include <cube/node.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <tests/client/fixture.h>
#include <sys/stat.h>
#include <unistd.h>

extern const CubePluginDescriptor cube_plugin_node_volumes;

typedef struct {
  Fixture core;
  gpointer state;
  char *dir, *volume;
  CubeObject *pod;
  CubeValue *pod_value;
} World;

static void
world_init (World *world)
{
  g_autoptr (CubeValue) space = json ("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'default'}}");
  memset (world, 0, sizeof *world);
  fixture_init (&world->core, TRUE, 0);
  CubeContext *context = cube_process_new_context (world->core.process, "node-volumes", cube_view_none ());
  g_assert_true (cube_plugin_node_volumes.load (context, &world->state, NULL));
  world->dir = g_dir_make_tmp ("cube-volumes-XXXXXX", NULL);
  world->volume = g_build_filename (world->dir, "volumes", "v", NULL);
  g_autoptr (CubeObject) created = cube_client_create (world->core.client, resource (&world->core, "v1", "namespaces"), NULL, space, NULL);
  g_assert_nonnull (created);
  world->pod = create_pod (&world->core, "p", "'app':'web'");
  world->pod_value = cube_object_value (world->pod);
}

static const CubeVolumeOps *
ops_of (const char *id)
{
  for (const CubeInterfaceImpl *impl = cube_plugin_node_volumes.impls; impl->interface != NULL; impl++)
    if (g_str_equal (impl->id, id))
      return impl->ops;
  g_assert_not_reached ();
}

static CubeVolumeRequest
request_for (World *world, const CubeValue *source)
{
  return (CubeVolumeRequest){ .context = world->core.context,
                              .client = world->core.client,
                              .pod = world->pod,
                              .pod_view = cube_value_root (world->pod_value),
                              .volume_name = "v",
                              .source = cube_value_root (source),
                              .dir = world->volume,
                              .fs_group = -1 };
}

static gboolean
set_up (World *world, const char *id, const CubeValue *source, gint64 fs_group, GError **error)
{
  CubeVolumeRequest request = request_for (world, source);
  g_autofree char *path = NULL;
  request.fs_group = fs_group;
  gboolean ok = ops_of (id)->set_up (world->state, &request, &path, error);
  if (ok && !g_str_equal (id, "hostPath"))
    g_assert_cmpstr (path, ==, world->volume);
  return ok;
}

static void
tear_down (World *world, const char *id)
{
  g_autoptr (CubeValue) nothing = json ("{}");
  g_autoptr (GError) error = NULL;
  CubeVolumeRequest request = request_for (world, nothing);
  g_assert_true (ops_of (id)->tear_down (world->state, &request, &error));
  g_assert_no_error (error);
  g_assert_false (g_file_test (world->volume, G_FILE_TEST_EXISTS));
  g_assert_true (ops_of (id)->tear_down (world->state, &request, &error)); /* again does no harm */
}

static void
world_clear (World *world)
{
  g_autofree char *volumes = g_build_filename (world->dir, "volumes", NULL);
  cube_plugin_node_volumes.unload (world->state);
  cube_value_unref (world->pod_value);
  cube_object_unref (world->pod);
  fixture_clear (&world->core);
  g_rmdir (volumes);
  g_assert_cmpint (g_rmdir (world->dir), ==, 0);
  g_free (world->volume);
  g_free (world->dir);
}

static void
assert_file (World *world, const char *name, const char *expected)
{
  g_autofree char *path = g_build_filename (world->volume, name, NULL);
  g_autofree char *text = NULL;
  g_file_get_contents (path, &text, NULL, NULL);
  g_assert_cmpstr (text, ==, expected);
}

static guint
mode_of (World *world, const char *name)
{
  g_autofree char *path = g_build_filename (world->volume, name, NULL);
  struct stat st;
  g_assert_cmpint (stat (path, &st), ==, 0);
  return st.st_mode & 07777;
}

static char *
data_link (World *world)
{
  g_autofree char *path = g_build_filename (world->volume, "..data", NULL);
  return g_file_read_link (path, NULL);
}

static gboolean
change_key (CubeMut *root, CubeView current, gpointer data)
{
  CubeMut *map = cube_mut_ensure_object (root, "data");
  cube_mut_set_string (map, "key", data);
  cube_mut_set_string (map, "second", "2");
  return TRUE;
}

static void
test_config_map (void)
{
  World world;
  g_autoptr (GError) error = NULL;
  world_init (&world);
  g_autoptr (CubeValue) source = json ("{'name':'cm','defaultMode':416}");
  g_assert_false (set_up (&world, "configMap", source, -1, &error));
  assert_error (error, CUBE_ERROR_NOT_FOUND, "configmap \"cm\" not found");
  g_autoptr (CubeObject) map = create_config_map (&world.core, "cm", "one");
  g_assert_true (set_up (&world, "configMap", source, -1, &error));
  assert_file (&world, "key", "one");
  g_assert_cmpuint (mode_of (&world, "key"), ==, 0640);
  g_autofree char *first = data_link (&world);
  g_assert_true (set_up (&world, "configMap", source, -1, &error));
  g_autofree char *again = data_link (&world);
  g_assert_cmpstr (first, ==, again); /* nothing changed: nothing is written */
  g_autoptr (CubeObject) changed = cube_client_modify (world.core.client, resource (&world.core, "v1", "configmaps"), NULL, "default", "cm",
                                                       change_key, (gpointer) "two", NULL);
  g_assert_true (set_up (&world, "configMap", source, -1, &error));
  g_autofree char *swapped = data_link (&world);
  g_assert_cmpstr (first, !=, swapped);
  assert_file (&world, "key", "two");
  assert_file (&world, "second", "2");
  g_autofree char *old = g_build_filename (world.volume, first, NULL);
  g_assert_false (g_file_test (old, G_FILE_TEST_EXISTS));
  g_autoptr (CubeValue) items = json ("{'name':'cm','items':[{'key':'key','path':'deep/er/file','mode':256}]}");
  g_assert_true (set_up (&world, "configMap", items, -1, &error));
  assert_file (&world, "deep/er/file", "two");
  assert_file (&world, "second", NULL); /* gone with the items */
  g_assert_cmpuint (mode_of (&world, "deep/er/file"), ==, 0400);
  g_autoptr (CubeValue) missing = json ("{'name':'cm','items':[{'key':'nope','path':'x'}]}");
  g_assert_false (set_up (&world, "configMap", missing, -1, &error));
  assert_error (error, CUBE_ERROR_NOT_FOUND, "configmap references non-existent config key: nope");
  g_autoptr (CubeValue) optional = json ("{'name':'absent','optional':true}");
  g_assert_true (set_up (&world, "configMap", optional, -1, &error));
  assert_file (&world, "deep/er/file", NULL);
  tear_down (&world, "configMap");
  world_clear (&world);
}

static void
test_hostile_paths (void)
{
  static const char *const paths[] = { "../up", "/etc/x", "a/../../b", "..data", "..x", "a//b", "" };
  World world;
  world_init (&world);
  g_autoptr (CubeObject) map = create_config_map (&world.core, "cm", "one");
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      g_autoptr (CubeValue) source = json ("{'name':'cm','items':[{'key':'key','path':'%s'}]}", paths[i]);
      g_autoptr (GError) error = NULL;
      g_assert_false (set_up (&world, "configMap", source, -1, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
    }
  world_clear (&world);
}

/* A container with the volume mounted may put a link in the way of the next write. */
static void
test_planted_link (void)
{
  World world;
  g_autoptr (GError) error = NULL;
  world_init (&world);
  g_autoptr (CubeObject) map = create_config_map (&world.core, "cm", "one");
  g_autoptr (CubeValue) source = json ("{'name':'cm','items':[{'key':'key','path':'d/file'}]}");
  g_assert_true (set_up (&world, "configMap", source, -1, &error));
  g_autofree char *victim = g_build_filename (world.dir, "victim", NULL);
  g_autofree char *first = data_link (&world);
  g_autofree char *inner = g_build_filename (world.volume, first, "d", "file", NULL);
  g_assert_true (g_file_set_contents (victim, "safe", -1, NULL));
  g_assert_cmpint (unlink (inner), ==, 0);
  g_assert_cmpint (symlink (victim, inner), ==, 0);
  g_assert_true (set_up (&world, "configMap", source, -1, &error));
  g_autofree char *text = NULL;
  g_assert_true (g_file_get_contents (victim, &text, NULL, NULL));
  g_assert_cmpstr (text, ==, "safe");
  assert_file (&world, "d/file", "one");
  tear_down (&world, "configMap");
  g_unlink (victim);
  world_clear (&world);
}

static void
test_host_path (void)
{
  World world;
  g_autoptr (GError) error = NULL;
  world_init (&world);
  g_autofree char *made = g_build_filename (world.dir, "made", NULL);
  g_autoptr (CubeValue) make = json ("{'path':'%s','type':'DirectoryOrCreate'}", made);
  g_autoptr (CubeValue) as_file = json ("{'path':'%s','type':'File'}", made);
  g_autoptr (CubeValue) up = json ("{'path':'/tmp/../etc'}");
  g_assert_true (set_up (&world, "hostPath", make, -1, &error));
  g_assert_true (g_file_test (made, G_FILE_TEST_IS_DIR));
  g_assert_false (set_up (&world, "hostPath", as_file, -1, &error));
  g_autofree char *expected = g_strdup_printf ("hostPath type check failed: %s is not a file", made);
  assert_error (error, CUBE_ERROR_INVALID, expected);
  g_assert_false (set_up (&world, "hostPath", up, -1, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
  g_rmdir (made);
  world_clear (&world);
}

static gboolean
can_mount (void)
{
  static int known = -1;
  if (known < 0)
    {
      g_autofree char *status = NULL;
      g_file_get_contents ("/proc/self/status", &status, NULL, NULL);
      const char *line = status != NULL ? strstr (status, "CapEff:") : NULL;
      known = line != NULL && (g_ascii_strtoull (line + 8, NULL, 16) & (1ULL << 21)) != 0; /* CAP_SYS_ADMIN */
    }
  return known;
}

static void
test_empty_dir (void)
{
  World world;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) disk = json ("{}");
  g_autoptr (CubeValue) memory = json ("{'medium':'Memory','sizeLimit':'1Mi'}");
  world_init (&world);
  g_assert_true (set_up (&world, "emptyDir", disk, -1, &error));
  g_assert_cmpuint (mode_of (&world, "."), ==, 0777);
  g_autofree char *kept = g_build_filename (world.volume, "kept", NULL);
  g_assert_true (g_file_set_contents (kept, "x", -1, NULL));
  g_assert_true (set_up (&world, "emptyDir", disk, -1, &error));
  assert_file (&world, "kept", "x");
  tear_down (&world, "emptyDir");
  if (can_mount ())
    {
      g_autofree char *large = g_malloc0 (2 << 20);
      g_assert_true (set_up (&world, "emptyDir", memory, 1234, &error));
      g_assert_no_error (error);
      g_assert_cmpuint (mode_of (&world, ".") & 02070, ==, 02070);
      g_assert_false (g_file_set_contents (kept, large, 2 << 20, NULL)); /* beyond its size */
      g_assert_true (set_up (&world, "emptyDir", memory, 1234, &error));
      tear_down (&world, "emptyDir");
    }
  world_clear (&world);
}

static void
test_secret_and_projected (void)
{
  World world;
  g_autoptr (GError) error = NULL;
  if (!can_mount ())
    {
      g_test_skip ("needs to mount");
      return;
    }
  world_init (&world);
  g_autoptr (CubeValue) secret = json ("{'apiVersion':'v1','kind':'Secret','metadata':{'name':'s'},'data':{'password':'Z2VoZWlt'}}");
  g_autoptr (CubeObject) object = create (&world.core, "v1", "secrets", "default", secret);
  g_autoptr (CubeValue) source = json ("{'secretName':'s'}");
  g_assert_true (set_up (&world, "secret", source, 4321, &error));
  assert_file (&world, "password", "geheim");
  g_assert_cmpuint (mode_of (&world, "password"), ==, 0644);
  tear_down (&world, "secret");
  g_autoptr (CubeValue) missing = json ("{'secretName':'s','items':[{'key':'nope','path':'x'}]}");
  g_assert_false (set_up (&world, "secret", missing, -1, &error));
  assert_error (error, CUBE_ERROR_NOT_FOUND, "references non-existent secret key: nope");
  g_autoptr (CubeValue) projected = json (
      "{'sources':[{'secret':{'name':'s'}},{'downwardAPI':{'items':[{'path':'ns','fieldRef':{'fieldPath':'metadata.namespace'}},{'path':'labels','fieldRef':{'fieldPath':'metadata.labels'}}]}}]}");
  g_assert_true (set_up (&world, "projected", projected, -1, &error));
  g_assert_no_error (error);
  assert_file (&world, "password", "geheim");
  assert_file (&world, "ns", "default");
  assert_file (&world, "labels", "app=\"web\"");
  tear_down (&world, "projected");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/volumes/config-map", test_config_map);
  g_test_add_func ("/volumes/hostile-paths", test_hostile_paths);
  g_test_add_func ("/volumes/planted-link", test_planted_link);
  g_test_add_func ("/volumes/host-path", test_host_path);
  g_test_add_func ("/volumes/empty-dir", test_empty_dir);
  g_test_add_func ("/volumes/secret-and-projected", test_secret_and_projected);
  return g_test_run ();
}
