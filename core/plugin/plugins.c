/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins of this process: loading, starting, replacing and removing them while it runs, and what `cube plugins` says of them. */
#include "config-schema.h"
#include "image.h"
#include "registry.h"
#include <gio/gio.h>
#include <string.h>

#define DRAIN_US (5 * G_USEC_PER_SEC)
#define SETTLE_US (200 * 1000) /* a file being written is loaded once it has been quiet for this long */

typedef enum { LOADED, STARTED, STOPPED, FAILED } State;
static const char *const state_names[] = { "loaded", "running", "stopped", "failed" };

typedef struct {
  char *name, *path;
  CubePluginImage *image; /* NULL when it never came so far */
  CubeContext *context;
  gpointer state;
  State progress;
  char *problem;
} Plugin;

typedef struct {
  CubePlugins *plugins;
  char *path;
  CubeTimer *timer;
} Pending;

struct _CubePlugins {
  CubeProcess *process;
  CubeRegistry *registry;
  CubeValue *config;
  CubeContext *context; /* our own */
  CubeLoop *loop;       /* main */
  GPtrArray *list;      /* Plugin */
  gboolean is_started;
  GError *config_error; /* the first while loading; NULL = none */
  GPtrArray *monitors;  /* GFileMonitor */
  GHashTable *pending;  /* path → Pending */
  GHashTable *disabled; /* name → GINT_TO_POINTER (whether there is such a plugin) */
};

static void
plugin_free (gpointer data)
{
  Plugin *plugin = data;
  cube_plugin_image_free (plugin->image);
  g_free (plugin->name);
  g_free (plugin->path);
  g_free (plugin->problem);
  g_free (plugin);
}

static void
pending_free (gpointer data)
{
  Pending *pending = data;
  cube_timer_cancel (pending->timer);
  g_free (pending->path);
  g_free (pending);
}

CubePlugins *
cube_plugins_new (CubeProcess *process, CubeRegistry *registry, CubeView config)
{
  CubePlugins *plugins = g_new0 (CubePlugins, 1);
  plugins->process = process;
  plugins->registry = registry;
  plugins->config = cube_view_exists (config) ? cube_value_new_copy (config) : NULL;
  plugins->list = g_ptr_array_new_with_free_func (plugin_free);
  plugins->monitors = g_ptr_array_new_with_free_func (g_object_unref);
  plugins->pending = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, pending_free);
  plugins->disabled = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  plugins->context = cube_process_new_context (process, "plugins", cube_view_none ());
  plugins->loop = cube_context_get_loop (plugins->context, "main");
  return plugins;
}

void
cube_plugins_free (CubePlugins *plugins)
{
  if (plugins == NULL)
    return;
  g_ptr_array_unref (plugins->monitors);
  g_hash_table_unref (plugins->pending);
  g_hash_table_unref (plugins->disabled);
  g_ptr_array_unref (plugins->list);
  g_clear_error (&plugins->config_error);
  cube_value_unref (plugins->config);
  g_free (plugins);
}

static Plugin *
find_plugin (CubePlugins *plugins, const char *name, const char *path)
{
  for (guint i = 0; i < plugins->list->len; i++)
    {
      Plugin *plugin = plugins->list->pdata[i];
      if ((name != NULL && plugin->name != NULL && g_str_equal (plugin->name, name)) || (path != NULL && g_str_equal (plugin->path, path)))
        return plugin;
    }
  return NULL;
}

static void
set_progress (CubePlugins *plugins, Plugin *plugin, State progress, const char *problem)
{
  plugin->progress = progress;
  g_free (plugin->problem);
  plugin->problem = g_strdup (problem);
}

/* ---- one plugin's steps ---- */

static gboolean
register_impls (CubePlugins *plugins, Plugin *plugin, GError **error)
{
  for (const CubeInterfaceImpl *impl = plugin->image->descriptor.impls; impl->interface != NULL; impl++)
    if (!cube_registry_add (plugins->registry, impl, plugin->name, plugin->state, plugin->context, error))
      {
        cube_registry_remove_plugin (plugins->registry, plugin->name);
        return FALSE;
      }
  return TRUE;
}

static gboolean
plugin_load (CubePlugins *plugins, Plugin *plugin, GError **error)
{
  const CubePluginDescriptor *descriptor = &plugin->image->descriptor;
  CubeView config = plugins->config != NULL ? cube_view_member (cube_value_root (plugins->config), plugin->name) : cube_view_none ();
  g_autofree char *where = g_strdup_printf ("configuration plugins.%s", plugin->name);
  g_autoptr (GError) problem = NULL;
  if (!cube_config_validate (descriptor->config_schema, config, where, &problem))
    {
      if (plugins->config_error == NULL)
        plugins->config_error = g_error_copy (problem);
      g_propagate_error (error, g_steal_pointer (&problem));
      return FALSE;
    }
  plugin->context = cube_process_new_context (plugins->process, plugin->name, config);
  if (descriptor->load != NULL && !descriptor->load (plugin->context, &plugin->state, error))
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "its load() failed without saying why");
      g_prefix_error (error, "plugin %s (%s): ", plugin->name, plugin->path);
      return FALSE;
    }
  if (register_impls (plugins, plugin, error))
    return TRUE;
  if (descriptor->unload != NULL)
    descriptor->unload (plugin->state);
  plugin->state = NULL;
  g_prefix_error (error, "plugin %s (%s): ", plugin->name, plugin->path);
  return FALSE;
}

static void
plugin_stop (CubePlugins *plugins, Plugin *plugin)
{
  const CubePluginDescriptor *descriptor = &plugin->image->descriptor;
  cube_registry_remove_plugin (plugins->registry, plugin->name);
  if (!cube_registry_drain (plugins->registry, plugin->name, DRAIN_US))
    g_warning ("plugin %s: still in use after %d s; stopping it all the same", plugin->name, (int) (DRAIN_US / G_USEC_PER_SEC));
  if (plugin->progress == STARTED && descriptor->stop != NULL)
    descriptor->stop (plugin->state);
  if (descriptor->unload != NULL)
    descriptor->unload (plugin->state);
  plugin->state = NULL;
  set_progress (plugins, plugin, STOPPED, NULL);
}

static gboolean
plugin_start (CubePlugins *plugins, Plugin *plugin, GError **error)
{
  const CubePluginDescriptor *descriptor = &plugin->image->descriptor;
  if (descriptor->start != NULL && !descriptor->start (plugin->state, error))
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "its start() failed without saying why");
      g_prefix_error (error, "plugin %s (%s): ", plugin->name, plugin->path);
      plugin_stop (plugins, plugin);
      return FALSE;
    }
  set_progress (plugins, plugin, STARTED, NULL);
  return TRUE;
}

/* load, and start when the process runs */
static gboolean
bring_up (CubePlugins *plugins, Plugin *plugin, GError **error)
{
  if (!plugin_load (plugins, plugin, error))
    return FALSE;
  set_progress (plugins, plugin, LOADED, NULL);
  return !plugins->is_started || plugin_start (plugins, plugin, error);
}

/* ---- adding, replacing, removing ---- */

static Plugin *
new_plugin (CubePluginImage *image)
{
  Plugin *plugin = g_new0 (Plugin, 1);
  plugin->image = image;
  plugin->name = g_strdup (image->descriptor.name);
  plugin->path = g_strdup (image->path);
  return plugin;
}

static void
add_to_list (CubePlugins *plugins, Plugin *plugin)
{
  g_ptr_array_add (plugins->list, plugin);
}

static void
drop_from_list (CubePlugins *plugins, Plugin *plugin)
{
  g_ptr_array_remove (plugins->list, plugin);
}

static void
note_failure (CubePlugins *plugins, const char *path, const char *message)
{
  Plugin *plugin = find_plugin (plugins, NULL, path);
  if (plugin != NULL && plugin->progress != FAILED)
    {
      g_free (plugin->problem);
      plugin->problem = g_strdup (message);
      return;
    }
  if (plugin == NULL)
    {
      plugin = g_new0 (Plugin, 1);
      plugin->path = g_strdup (path);
      add_to_list (plugins, plugin);
    }
  set_progress (plugins, plugin, FAILED, message);
}

static gboolean
is_running (const Plugin *plugin)
{
  return plugin->progress == STARTED || plugin->progress == LOADED;
}

static gboolean
install (CubePlugins *plugins, CubePluginImage *image, GError **error)
{
  if (g_hash_table_contains (plugins->disabled, image->descriptor.name))
    {
      g_hash_table_insert (plugins->disabled, g_strdup (image->descriptor.name), GINT_TO_POINTER (TRUE));
      cube_plugin_image_free (image);
      return TRUE;
    }
  Plugin *fresh = new_plugin (image);
  Plugin *old = find_plugin (plugins, fresh->name, NULL);
  gboolean was_running = old != NULL && is_running (old);
  if (was_running && !plugins->is_started)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS, "plugin %s: the name \"%s\" is already taken by %s", fresh->path,
                   fresh->name, old->path);
      plugin_free (fresh);
      return FALSE;
    }
  if (was_running)
    plugin_stop (plugins, old);
  GError *problem = NULL;
  if (bring_up (plugins, fresh, &problem))
    {
      g_autofree char *path = g_strdup (fresh->path);
      for (Plugin *stale; (stale = find_plugin (plugins, fresh->name, path)) != NULL;)
        drop_from_list (plugins, stale);
      add_to_list (plugins, fresh);
      /* At the start one a plugin; later it is news. */
      g_log (G_LOG_DOMAIN, plugins->is_started ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_DEBUG, "plugin %s %s %s from %s", fresh->name,
             fresh->image->descriptor.version, was_running ? "replaced" : "loaded", fresh->path);
      return TRUE;
    }
  plugin_free (fresh);
  g_autoptr (GError) again = NULL;
  if (was_running && !bring_up (plugins, old, &again)) /* the old one takes over again */
    set_progress (plugins, old, FAILED, again->message);
  g_propagate_error (error, problem);
  return FALSE;
}

gboolean
cube_plugins_load_file (CubePlugins *plugins, const char *path, GError **error)
{
  g_autofree char *copy_dir = NULL;
  if (plugins->is_started)
    {
      const char *data_dir = cube_context_data_dir (plugins->context);
      copy_dir = data_dir != NULL ? g_build_filename (data_dir, "run", "plugins", NULL)
                                  : g_build_filename (g_get_tmp_dir (), "cube-plugins", NULL);
    }
  GError *problem = NULL;
  CubePluginImage *image = cube_plugin_image_open (path, copy_dir, &problem);
  if (image != NULL && install (plugins, image, &problem))
    return TRUE;
  note_failure (plugins, path, problem->message);
  g_propagate_error (error, problem);
  return FALSE;
}

void
cube_plugins_add_builtin (CubePlugins *plugins, const CubePluginDescriptor *const *table)
{
  for (; table != NULL && *table != NULL; table++)
    {
      g_autoptr (GError) error = NULL;
      CubePluginImage *image = cube_plugin_image_new_builtin (*table, &error);
      if (image == NULL || !install (plugins, image, &error))
        g_warning ("%s", error->message);
    }
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

void
cube_plugins_load_dir (CubePlugins *plugins, const char *dir_path)
{
  g_autoptr (GDir) dir = g_dir_open (dir_path, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".so"))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *path = g_build_filename (dir_path, names->pdata[i], NULL);
      if (!cube_plugins_load_file (plugins, path, &error))
        g_warning ("%s", error->message);
    }
}

gboolean
cube_plugins_check_config (CubePlugins *plugins, GPtrArray *warnings, GError **error)
{
  CubeView config = plugins->config != NULL ? cube_value_root (plugins->config) : cube_view_none ();
  CubeIter it;
  CubeView part;
  GHashTableIter disabled;
  gpointer name;
  const char *key;
  if (plugins->config_error != NULL)
    {
      g_propagate_error (error, g_error_copy (plugins->config_error));
      return FALSE;
    }
  for (cube_iter_init (&it, config); cube_iter_next (&it, &key, &part);)
    if (find_plugin (plugins, key, NULL) == NULL && !g_hash_table_contains (plugins->disabled, key))
      g_ptr_array_add (warnings, g_strdup_printf ("configuration plugins.%s: there is no plugin of this name yet", key));
  for (g_hash_table_iter_init (&disabled, plugins->disabled); g_hash_table_iter_next (&disabled, &name, NULL);)
    if (!GPOINTER_TO_INT (g_hash_table_lookup (plugins->disabled, name)))
      g_ptr_array_add (warnings, g_strdup_printf ("configuration disabledPlugins: there is no plugin \"%s\" yet", (const char *) name));
  return TRUE;
}

gboolean
cube_plugins_start (CubePlugins *plugins, const char *const *required, GError **error)
{
  for (guint i = 0; i < plugins->list->len; i++)
    {
      Plugin *plugin = plugins->list->pdata[i];
      g_autoptr (GError) problem = NULL;
      if (plugin->progress != LOADED || plugin_start (plugins, plugin, &problem))
        continue;
      g_warning ("%s", problem->message);
      set_progress (plugins, plugin, FAILED, problem->message);
    }
  plugins->is_started = TRUE;
  for (; required != NULL && *required != NULL; required++)
    {
      Plugin *plugin = find_plugin (plugins, *required, NULL);
      if (plugin != NULL && plugin->progress == STARTED)
        continue;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "plugin %s is required by the configuration and did not start: %s",
                   *required,
                   plugin == NULL            ? "there is no such plugin"
                   : plugin->problem != NULL ? plugin->problem
                                             : "see the log");
      return FALSE;
    }
  return TRUE;
}

void
cube_plugins_set_disabled (CubePlugins *plugins, CubeView names)
{
  CubeIter it;
  CubeView element;
  for (cube_iter_init (&it, names); cube_iter_next (&it, NULL, &element);)
    if (cube_view_string (element) != NULL)
      g_hash_table_insert (plugins->disabled, g_strdup (cube_view_string (element)), NULL);
}

void
cube_plugins_stop (CubePlugins *plugins, const char *keep)
{
  g_ptr_array_set_size (plugins->monitors, 0);
  g_hash_table_remove_all (plugins->pending);
  for (guint i = plugins->list->len; i-- > 0;)
    {
      Plugin *plugin = plugins->list->pdata[i];
      if (is_running (plugin) && g_strcmp0 (plugin->name, keep) != 0)
        plugin_stop (plugins, plugin);
    }
}

/* ---- watching folders ---- */

static void
remove_file (CubePlugins *plugins, const char *path)
{
  Plugin *plugin = find_plugin (plugins, NULL, path);
  if (plugin == NULL)
    return;
  if (is_running (plugin))
    {
      plugin_stop (plugins, plugin);
      g_message ("plugin %s removed (%s is gone)", plugin->name, path);
    }
  drop_from_list (plugins, plugin);
}

static void
settle (gpointer data)
{
  Pending *pending = data;
  CubePlugins *plugins = pending->plugins;
  g_autofree char *path = g_strdup (pending->path);
  g_hash_table_remove (plugins->pending, path);
  g_autoptr (GError) error = NULL;
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    remove_file (plugins, path);
  else if (!cube_plugins_load_file (plugins, path, &error))
    g_warning ("%s", error->message);
}

static void
folder_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
  CubePlugins *plugins = data;
  g_autofree char *path = g_file_get_path (event == G_FILE_MONITOR_EVENT_RENAMED && other != NULL ? other : file);
  if (event == G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED && find_plugin (plugins, NULL, path) != NULL
      && is_running (find_plugin (plugins, NULL, path)))
    return;
  if (path == NULL || !g_str_has_suffix (path, ".so"))
    return;
  Pending *pending = g_new0 (Pending, 1);
  pending->plugins = plugins;
  pending->path = g_steal_pointer (&path);
  pending->timer = cube_loop_after (plugins->loop, SETTLE_US, settle, pending, NULL);
  g_hash_table_replace (plugins->pending, pending->path, pending);
}

void
cube_plugins_watch_dir (CubePlugins *plugins, const char *dir)
{
  g_autoptr (GFile) file = g_file_new_for_path (dir);
  g_autoptr (GError) error = NULL;
  GFileMonitor *monitor = g_file_monitor_directory (file, G_FILE_MONITOR_WATCH_MOVES, NULL, &error);
  if (monitor == NULL)
    {
      g_warning ("plugin folder %s is not watched: %s", dir, error->message);
      return;
    }
  g_signal_connect (monitor, "changed", G_CALLBACK (folder_changed), plugins);
  g_ptr_array_add (plugins->monitors, monitor);
}

/* ---- saying what there is ---- */

static void
describe_running (CubeMut *entry, const Plugin *plugin)
{
  const CubePluginDescriptor *descriptor = &plugin->image->descriptor;
  cube_mut_set_string (entry, "version", descriptor->version);
  cube_mut_set_string (entry, "description", descriptor->description);
  cube_mut_set_string (entry, "license", descriptor->license);
  CubeMut *interfaces = cube_mut_set_array (entry, "interfaces");
  for (const CubeInterfaceImpl *impl = descriptor->impls; impl->interface != NULL; impl++)
    {
      g_autofree char *text = g_strdup_printf ("%s/%s", impl->interface, impl->id);
      cube_mut_append_string (interfaces, text);
    }
  if (plugin->context == NULL)
    return;
  g_autofree char *message = NULL;
  gboolean is_healthy = cube_context_get_health (plugin->context, &message);
  cube_mut_set_bool (entry, "healthy", is_healthy && is_running (plugin));
  cube_mut_set_string (entry, "message", plugin->problem != NULL ? plugin->problem : message);
  cube_mut_set_int (entry, "timeMicros", cube_context_get_time (plugin->context));
}

CubeValue *
cube_plugins_describe (CubePlugins *plugins)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *array = cube_mut_new_array (builder);
  cube_builder_set_root (builder, array);
  for (guint i = 0; i < plugins->list->len; i++) /* main loop: nobody else changes the list */
    {
      const Plugin *plugin = plugins->list->pdata[i];
      CubeMut *entry = cube_mut_append_object (array);
      cube_mut_set_string (entry, "name", plugin->name);
      cube_mut_set_string (entry, "path", plugin->path);
      cube_mut_set_string (entry, "state", state_names[plugin->progress]);
      if (plugin->image != NULL)
        describe_running (entry, plugin);
      else
        {
          cube_mut_set_bool (entry, "healthy", FALSE);
          cube_mut_set_string (entry, "message", plugin->problem);
        }
    }
  return cube_builder_end (builder);
}
