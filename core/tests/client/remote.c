/* SPDX-License-Identifier: Apache-2.0 */
/* The suite against the back over HTTPS: a bare API server of its own for every test, found through the environment (CUBE_BINARY). */
#include "suite.h"
#include <client/remote-config.h>
#include <glib/gstdio.h>

static char *directory; /* of the server that runs */

static char *
run (const char *const *args)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *output = NULL, *problem = NULL;
  int status = 0;

  g_spawn_sync (NULL, (char **) args, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &problem, &status, &error);
  g_assert_no_error (error);
  if (!g_spawn_check_wait_status (status, NULL))
    g_error ("%s %s: %s%s", args[0], args[1], output, problem);
  return g_steal_pointer (&output);
}

static void
server_start (void)
{
  const char *binary = g_getenv ("CUBE_BINARY");

  g_assert_nonnull (binary);
  directory = g_dir_make_tmp ("cube-remote-XXXXXX", NULL);
  g_free (run ((const char *const[]){ binary, "up", "--data-dir", directory, "--listen", "127.0.0.1:0", "--roles", "api", "--runtime",
                                      "sim", NULL }));
}

static void
server_stop (void)
{
  g_autofree char *target = g_steal_pointer (&directory);

  g_free (run ((const char *const[]){ g_getenv ("CUBE_BINARY"), "down", "--data-dir", target, NULL }));
  g_free (run ((const char *const[]){ "rm", "-rf", target, NULL }));
}

static void
init (Fixture *fixture)
{
  g_autofree char *kubeconfig = NULL;
  g_autoptr (GError) error = NULL;

  server_start ();
  fixture_init (fixture, FALSE, 0);
  cube_client_unref (fixture->client);
  kubeconfig = g_build_filename (directory, "admin.kubeconfig", NULL);
  fixture->client = cube_client_new_remote (fixture->context, kubeconfig, &error);
  g_assert_no_error (error);
}

static void
clear (Fixture *fixture)
{
  fixture_clear (fixture);
  server_stop ();
}

/* ---- what only a network has ---- */

typedef struct {
  CubeInformer *informer;
  GString *log;
  const char *wanted;
} Seen;

static void
on_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  if (!g_str_equal (cube_object_name (object), "kube-root-ca.crt"))
    g_string_append_printf (((Seen *) data)->log, "%c%s ", "+~-"[type], cube_object_name (object));
}

static gboolean
has_seen (gpointer data)
{
  Seen *seen = data;

  return g_str_equal (seen->log->str, seen->wanted);
}

/* The server goes and comes back on the same port with changes made meanwhile unknown to us: the informer tells the difference. */
static void
test_reconnect (void)
{
  Seen seen = { .log = g_string_new (NULL), .wanted = "+a +b " };
  g_autoptr (GError) error = NULL;
  g_autofree char *kubeconfig = NULL, *server = NULL, *listen = NULL;
  const char *binary = g_getenv ("CUBE_BINARY");
  g_autoptr (CubeKubeconfig) config = NULL;
  g_autoptr (CubeObject) none = NULL;
  Fixture fixture;

  init (&fixture);
  cube_object_unref (create_config_map (&fixture, "a", "1"));
  cube_object_unref (create_config_map (&fixture, "b", "1"));
  seen.informer =
      cube_informer_new (fixture.client, resource (&fixture, "v1", "configmaps"), "default", NULL, NULL, fixture.loop, on_changed, &seen);
  fixture_wait (&fixture, has_seen, &seen);
  kubeconfig = g_build_filename (directory, "admin.kubeconfig", NULL);
  config = cube_kubeconfig_read (kubeconfig, &error);
  g_assert_no_error (error);
  listen = g_strdup (config->server + strlen ("https://"));
  g_free (run ((const char *const[]){ binary, "down", "--data-dir", directory, NULL }));
  none = cube_client_get (fixture.client, resource (&fixture, "v1", "configmaps"), "default", "a", &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE);
  g_clear_error (&error);
  g_free (
      run ((const char *const[]){ binary, "up", "--data-dir", directory, "--listen", listen, "--roles", "api", "--runtime", "sim", NULL }));
  cube_object_unref (create_config_map (&fixture, "c", "1"));
  seen.wanted = "+a +b +c ";
  fixture_wait (&fixture, has_seen, &seen);
  cube_informer_free (seen.informer);
  g_string_free (seen.log, TRUE);
  clear (&fixture);
}

static void
test_kubeconfig_refused (void)
{
  static const struct {
    const char *text, *message;
  } cases[] = {
    { "kind: Config\n", "current-context is not set" },
    { "current-context: a\n", "there is no context \"a\"" },
    { "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\n", "context \"a\": there is no cluster \"c\"" },
    { "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'ftp://x'}}]\n",
      "server \"ftp://x\" is no https URL" },
    { "current-context: a\ncontexts: [{name: a, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: 'https://x', certificate-authority-data: '!'}}]\n",
      "certificate-authority-data is no base64 of PEM" },
    { "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: 'https://x'}}]\n"
      "users: [{name: u, user: {exec: {command: x}}}]\n",
      "the user logs in by a program (exec, auth-provider): only certificates and tokens are supported" },
  };
  g_autofree char *folder = g_dir_make_tmp ("cube-config-XXXXXX", NULL), *path = g_build_filename (folder, "config", NULL);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *wanted = g_strdup_printf ("kubeconfig %s: %s", path, cases[i].message);
      CubeKubeconfig *config;

      g_assert_true (g_file_set_contents (path, cases[i].text, -1, NULL));
      config = cube_kubeconfig_read (path, &error);
      g_assert_null (config);
      assert_error (error, CUBE_ERROR_BAD_REQUEST, wanted);
    }
  g_remove (path);
  g_rmdir (folder);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  suite_add ("remote", init, clear);
  g_test_add_func ("/client/remote/reconnect", test_reconnect);
  g_test_add_func ("/client/remote/kubeconfig-refused", test_kubeconfig_refused);
  return g_test_run ();
}
