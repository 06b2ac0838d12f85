/* SPDX-License-Identifier: Apache-2.0 */
/* <data-dir>/cube.state: the completed options of the last `up`, so that `down` knows what a daemon was that can no longer be asked. */
#include "daemon.h"
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *
state_path (const char *data_dir)
{
  return g_build_filename (data_dir, "cube.state", NULL);
}

gboolean
cube_state_write (const CubeOptions *options, GError **error)
{
  g_autofree char *path = state_path (options->data_dir);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (root, "roles", options->roles);
  cube_mut_set_string (root, "runtime", options->runtime);
  cube_mut_set_string (root, "listen", options->listen);
  cube_mut_set_string (root, "nodeName", options->node_name);
  cube_mut_set_int (root, "simNodes", options->sim_nodes);
  cube_mut_set_bool (root, "agent", options->is_agent);
  if (options->kubeconfig != NULL)
    cube_mut_set_string (root, "kubeconfig", options->kubeconfig);
  CubeMut *dirs = cube_mut_set_array (root, "pluginDirs");
  for (guint i = 0; options->plugin_dirs != NULL && options->plugin_dirs[i] != NULL; i++)
    {
      g_autofree char *absolute = g_canonicalize_filename (options->plugin_dirs[i], NULL);
      cube_mut_append_string (dirs, absolute);
    }
  if (options->config != NULL)
    cube_mut_set_view (root, "config", cube_value_root (options->config));
  g_autoptr (CubeValue) value = cube_builder_end (builder);
  gsize length;
  g_autofree char *text = cube_view_to_json (cube_value_root (value), &length);
  return g_file_set_contents_full (path, text, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

/* A state that somebody else could have written would name plugin folders: it is not read. */
static gboolean
check_owner (const char *path, GError **error)
{
  GStatBuf info;
  if (g_lstat (path, &info) != 0 || (S_ISREG (info.st_mode) && info.st_uid == geteuid () && (info.st_mode & 022) == 0))
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN,
               "%s: expected a regular file of user %u that only its owner writes; found owner %u, mode %o", path, geteuid (), info.st_uid,
               info.st_mode & 07777);
  return FALSE;
}

static void
take_string (char **option, CubeView root, const char *key)
{
  const char *text = cube_view_get_string (root, key);
  if (text == NULL)
    return;
  g_free (*option);
  *option = g_strdup (text);
}

static void
take_plugin_dirs (CubeOptions *options, CubeView list)
{
  g_autoptr (GStrvBuilder) builder = g_strv_builder_new ();
  CubeIter it;
  CubeView element;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &element);)
    if (cube_view_string (element) != NULL)
      g_strv_builder_add (builder, cube_view_string (element));
  g_strfreev (options->plugin_dirs);
  options->plugin_dirs = g_strv_builder_end (builder);
}

gboolean
cube_state_read (CubeOptions *options, GError **error)
{
  g_autofree char *path = state_path (options->data_dir);
  g_autofree char *text = NULL;
  gsize length;
  if (!check_owner (path, error) || !g_file_get_contents (path, &text, &length, error))
    return FALSE;
  g_autoptr (CubeValue) value = cube_value_from_json (text, (gssize) length, NULL, error);
  if (value == NULL)
    {
      g_prefix_error (error, "%s: ", path);
      return FALSE;
    }
  CubeView root = cube_value_root (value);
  if (cube_view_get_string (root, "roles") == NULL || cube_view_get_string (root, "runtime") == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: expected strings \"roles\" and \"runtime\"", path);
      return FALSE;
    }
  take_string (&options->roles, root, "roles");
  take_string (&options->runtime, root, "runtime");
  take_string (&options->listen, root, "listen");
  take_string (&options->node_name, root, "nodeName");
  take_string (&options->kubeconfig, root, "kubeconfig");
  options->is_agent = cube_view_get_bool (root, FALSE, "agent");
  take_plugin_dirs (options, cube_view_member (root, "pluginDirs"));
  options->sim_nodes = (gint) CLAMP (cube_view_get_int (root, 0, "simNodes"), 0, 1000000);
  if (options->config == NULL && cube_view_exists (cube_view_member (root, "config")))
    options->config = cube_value_new_copy (cube_view_member (root, "config"));
  return TRUE;
}
