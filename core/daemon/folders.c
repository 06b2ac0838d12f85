/* SPDX-License-Identifier: Apache-2.0 */
/* Where plugins and the database are, by the options. */
#include "daemon.h"
#include <config.h>

static CubeView
config_of (const CubeOptions *options)
{
  return options->config != NULL ? cube_value_root (options->config) : cube_view_none ();
}

/* Beside the binary in a build folder; below the same prefix as the binary, wherever that was moved to; else where it was meant to be
 * installed. (transfer full) */
static char *
main_plugin_dir (void)
{
  g_autofree char *exe = g_file_read_link ("/proc/self/exe", NULL);
  g_autofree char *exe_dir = exe != NULL ? g_path_get_dirname (exe) : g_strdup (".");
  g_autofree char *prefix = g_path_get_dirname (exe_dir);
  g_autofree char *beside = g_build_filename (exe_dir, "plugins", NULL);
  g_autofree char *installed = g_build_filename (prefix, CUBE_LIBDIR, "cube", "plugins", NULL);
  if (g_file_test (beside, G_FILE_TEST_IS_DIR))
    return g_steal_pointer (&beside);
  if (g_file_test (installed, G_FILE_TEST_IS_DIR))
    return g_steal_pointer (&installed);
  return g_strdup (CUBE_PLUGIN_DIR);
}

GPtrArray *
cube_options_plugin_dirs (const CubeOptions *options)
{
  GPtrArray *dirs = g_ptr_array_new_with_free_func (g_free);
  CubeIter it;
  CubeView element;
  g_ptr_array_add (dirs, main_plugin_dir ());
  for (cube_iter_init (&it, cube_view_member (config_of (options), "pluginFolders")); cube_iter_next (&it, NULL, &element);)
    g_ptr_array_add (dirs, g_strdup (cube_view_string (element)));
  for (guint i = 0; options->plugin_dirs != NULL && options->plugin_dirs[i] != NULL; i++)
    g_ptr_array_add (dirs, g_strdup (options->plugin_dirs[i]));
  g_ptr_array_add (dirs, g_build_filename (options->data_dir, "plugins", NULL));
  return dirs;
}

CubePlugins *
cube_options_load_plugins (const CubeOptions *options, CubeProcess *process, CubeRegistry *registry,
                           const CubePluginDescriptor *const *builtin)
{
  CubePlugins *plugins = cube_plugins_new (process, registry, cube_view_member (config_of (options), "plugins"));
  g_autoptr (GPtrArray) dirs = cube_options_plugin_dirs (options);
  cube_plugins_set_disabled (plugins, cube_view_member (config_of (options), "disabledPlugins"));
  cube_plugins_add_builtin (plugins, builtin);
  for (guint i = 0; i < dirs->len; i++)
    cube_plugins_load_dir (plugins, dirs->pdata[i]);
  return plugins;
}

const char *
cube_options_storage_plugin (const CubeOptions *options)
{
  return cube_view_string_or (cube_view_member (cube_view_member (config_of (options), "storage"), "plugin"), "sqlite");
}

char *
cube_options_storage_location (const CubeOptions *options)
{
  const char *location = cube_view_string (cube_view_member (cube_view_member (config_of (options), "storage"), "location"));
  return location != NULL ? g_strdup (location) : g_build_filename (options->data_dir, "store", NULL);
}
