/* SPDX-License-Identifier: Apache-2.0 */
/* The plugins of this process: loading, starting, replacing and removing them while it runs, and what `cube plugins` says of them. */
#include "config-schema.h"
#include "image.h"
#include "registry.h"
#include <gio/gio.h>
#include <string.h>

#define DRAIN_US (5 * G_USEC_PER_SEC)
#define SETTLE_US (200 * 1000)       /* a file being written is loaded once it has been quiet for this long */
#define GONE_US (2 * G_USEC_PER_SEC) /* a file that is written anew may be away for a moment */
#define RETIRED_US (50 * 1000)
#define RETIRED_LONG_US (5 * G_USEC_PER_SEC)

typedef enum { LOADED, STARTED, STOPPED, FAILED } State;
static const char *const state_names[] = { "loaded", "running", "stopped", "failed" };

typedef struct {
  char *name, *path;
  CubePluginImage *image; /* NULL when it never came so far */
  CubeContext *context;
  gpointer state;
  State progress;
  char *problem;
  gboolean is_unfinished; /* its file was being written when we looked */
  gint64 retired_us;      /* when another took its place; 0 = none did */
} Plugin;

typedef struct {
  CubePlugins *plugins;
  char *path;
  CubeTimer *timer;
  gboolean is_gone; /* it was not there when we last looked */
} Pending;

struct _CubePlugins {
  CubeProcess *process;
  CubeRegistry *registry;
  CubeValue *config;
  CubeContext *context; /* our own */
  CubeLoop *loop;       /* main */
  GPtrArray *list;      /* Plugin */
  GPtrArray *retired;   /* Plugin: replaced or removed, stopped once nobody uses them */
  CubeTimer *retired_timer;
  gboolean is_started, is_stopping;
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
  plugins->retired = g_ptr_array_new_with_free_func (plugin_free);
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
  cube_timer_cancel (plugins->retired_timer);
  g_ptr_array_unref (plugins->retired);
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
  set_progress (plugins, plugin, LOADED, NULL);
  return TRUE;
}

/* Nobody uses it. */
static void
plugin_end (CubePlugins *plugins, Plugin *plugin)
{
  const CubePluginDescriptor *descriptor = &plugin->image->descriptor;
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
      return FALSE;
    }
  set_progress (plugins, plugin, STARTED, NULL);
  return TRUE;
}

/* Offers what it has, in place of what the plugins @gone (nullable) offer. */
static gboolean
plugin_offer (CubePlugins *plugins, Plugin *plugin, const char *const *gone, GError **error)
{
  if (cube_registry_swap (plugins->registry, gone, plugin->image->descriptor.impls, plugin->name, plugin->state, plugin->context, error))
    return TRUE;
  g_prefix_error (error, "plugin %s (%s): ", plugin->name, plugin->path);
  return FALSE;
}

/* Load, start when the process runs, offer: a plugin is asked for nothing before it has started, and while another gives way to it there is
 * always one of the two. */
static gboolean
bring_up (CubePlugins *plugins, Plugin *plugin, const char *const *gone, GError **error)
{
  if (!plugin_load (plugins, plugin, error))
    return FALSE;
  if ((!plugins->is_started || plugin_start (plugins, plugin, error)) && plugin_offer (plugins, plugin, gone, error))
    return TRUE;
  plugin_end (plugins, plugin);
  return FALSE;
}

/* ---- those that made way ---- */

static void sweep_retired (gpointer data);

static void
sweep_once (CubePlugins *plugins)
{
  gint64 now_us = cube_context_monotonic_us (plugins->context);
  for (guint i = plugins->retired->len; i-- > 0;)
    {
      Plugin *plugin = plugins->retired->pdata[i];
      if (!cube_registry_is_held (plugins->registry, plugin->context, NULL))
        {
          plugin_end (plugins, plugin);
          g_ptr_array_remove_index (plugins->retired, i);
        }
      else if (plugin->problem == NULL && now_us - plugin->retired_us > RETIRED_LONG_US)
        {
          plugin->problem = g_strdup ("in use"); /* said */
          g_message ("plugin %s: what it was before is still in use by a long call; it is stopped when that ends", plugin->name);
        }
    }
  if (plugins->retired->len > 0 && plugins->retired_timer == NULL && !plugins->is_stopping)
    plugins->retired_timer = cube_loop_after (plugins->loop, RETIRED_US, sweep_retired, plugins, NULL);
}

static void
sweep_retired (gpointer data)
{
  CubePlugins *plugins = data;
  cube_timer_cancel (g_steal_pointer (&plugins->retired_timer));
  sweep_once (plugins);
}

/* @plugin offers nothing any more. Calls under way hold what they use: it stops when the last has ended, and nobody waits for that. */
static void
retire (CubePlugins *plugins, Plugin *plugin)
{
  g_ptr_array_set_free_func (plugins->list, NULL);
  g_ptr_array_remove (plugins->list, plugin);
  g_ptr_array_set_free_func (plugins->list, plugin_free);
  set_progress (plugins, plugin, plugin->progress, NULL);
  plugin->retired_us = cube_context_monotonic_us (plugins->context);
  g_ptr_array_add (plugins->retired, plugin);
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

static gboolean
is_running (const Plugin *plugin)
{
  return plugin->progress == STARTED || plugin->progress == LOADED;
}

/* Whether what it is cannot be handed over to another: a part of this process that runs as long as it does, or one that says so. */
static gboolean
must_stay (CubePlugins *plugins, const Plugin *plugin)
{
  gboolean is_pinned;
  cube_registry_is_held (plugins->registry, plugin->context, &is_pinned);
  return is_pinned || plugin->image->descriptor.is_kept;
}

/* Says once that what runs differs from what lies there. */
static void
note_stay (CubePlugins *plugins, Plugin *plugin, const char *what)
{
  g_autofree char *text = g_strdup_printf ("%s; in use, it runs on as it was until cube is restarted", what);
  if (g_strcmp0 (plugin->problem, text) == 0)
    return;
  g_message ("plugin %s: %s", plugin->name, text);
  set_progress (plugins, plugin, plugin->progress, text);
}

static Plugin *
note_failure (CubePlugins *plugins, const char *path, const char *message)
{
  Plugin *plugin = find_plugin (plugins, NULL, path);
  if (plugin == NULL)
    {
      plugin = g_new0 (Plugin, 1);
      plugin->path = g_strdup (path);
      plugin->progress = FAILED;
      add_to_list (plugins, plugin);
    }
  set_progress (plugins, plugin, plugin->progress, message); /* the one that runs goes on */
  return plugin;
}

/* Those @fresh takes the place of: the running one of its name, and the running one of its file. */
static GPtrArray *
find_replaced (CubePlugins *plugins, const Plugin *fresh)
{
  GPtrArray *found = g_ptr_array_new ();
  for (guint i = 0; i < plugins->list->len; i++)
    {
      Plugin *plugin = plugins->list->pdata[i];
      if (is_running (plugin) && (g_str_equal (plugin->name, fresh->name) || g_str_equal (plugin->path, fresh->path)))
        g_ptr_array_add (found, plugin);
    }
  return found;
}

static gboolean
may_replace (CubePlugins *plugins, GPtrArray *replaced, const Plugin *fresh, GError **error)
{
  for (guint i = 0; i < replaced->len; i++)
    {
      Plugin *old = replaced->pdata[i];
      if (!plugins->is_started)
        return g_set_error (error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS, "plugin %s: the name \"%s\" is already taken by %s", fresh->path,
                            fresh->name, old->path),
               FALSE;
      if (must_stay (plugins, old) || old->image->handle == fresh->image->handle)
        return g_set_error (error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS,
                            "plugin %s: %s of %s is in use; it runs on as it was until cube is restarted", fresh->path, old->name,
                            old->path),
               FALSE;
    }
  return TRUE;
}

static void
take_place (CubePlugins *plugins, Plugin *fresh, GPtrArray *replaced)
{
  for (guint i = 0; i < replaced->len; i++)
    retire (plugins, replaced->pdata[i]);
  for (Plugin *stale; (stale = find_plugin (plugins, fresh->name, fresh->path)) != NULL;)
    drop_from_list (plugins, stale); /* one that failed */
  add_to_list (plugins, fresh);
  sweep_once (plugins);
  /* At the start one a plugin; later it is news. */
  g_log (G_LOG_DOMAIN, plugins->is_started ? G_LOG_LEVEL_MESSAGE : G_LOG_LEVEL_DEBUG, "plugin %s %s %s from %s", fresh->name,
         fresh->image->descriptor.version, replaced->len > 0 ? "replaced" : "loaded", fresh->path);
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
  g_autoptr (GPtrArray) replaced = find_replaced (plugins, fresh);
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 0; i < replaced->len; i++)
    g_ptr_array_add (names, ((Plugin *) replaced->pdata[i])->name);
  g_ptr_array_add (names, NULL);
  if (!may_replace (plugins, replaced, fresh, error) || !bring_up (plugins, fresh, (const char *const *) names->pdata, error))
    {
      plugin_free (fresh);
      return FALSE;
    }
  take_place (plugins, fresh, replaced);
  return TRUE;
}

/* TRUE when the file at @path changes nothing now: it is what runs, or what runs must stay. */
static gboolean
is_settled (CubePlugins *plugins, const char *path)
{
  Plugin *plugin = find_plugin (plugins, NULL, path);
  if (!plugins->is_started || plugin == NULL || !is_running (plugin))
    return FALSE;
  if (cube_plugin_image_is_current (plugin->image))
    {
      set_progress (plugins, plugin, plugin->progress, NULL);
      return TRUE;
    }
  if (!must_stay (plugins, plugin))
    return FALSE;
  note_stay (plugins, plugin, "its file was replaced");
  return TRUE;
}

static gboolean
load_file (CubePlugins *plugins, const char *path, gboolean *ret_is_busy, GError **error)
{
  GError *problem = NULL;
  *ret_is_busy = FALSE;
  if (is_settled (plugins, path))
    return TRUE;
  CubePluginImage *image = cube_plugin_image_open (path, ret_is_busy, &problem);
  if (image != NULL && install (plugins, image, &problem))
    return TRUE;
  if (!*ret_is_busy || !plugins->is_started)
    note_failure (plugins, path, problem->message)->is_unfinished = *ret_is_busy;
  g_propagate_error (error, problem);
  return FALSE;
}

gboolean
cube_plugins_load_file (CubePlugins *plugins, const char *path, GError **error)
{
  gboolean is_busy;
  return load_file (plugins, path, &is_busy, error);
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

/* Stops it, unless somebody does not let go of it: then it is left alone, whoever holds it may still call it. */
static void
plugin_stop (CubePlugins *plugins, Plugin *plugin, gint64 patience_us)
{
  cube_registry_remove_plugin (plugins->registry, plugin->name);
  if (cube_registry_drain (plugins->registry, plugin->name, patience_us))
    plugin_end (plugins, plugin);
  else if (patience_us > 0)
    g_warning ("plugin %s: still in use after %d s; left as it is", plugin->name, (int) (patience_us / G_USEC_PER_SEC));
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
      plugin_stop (plugins, plugin, DRAIN_US);
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
  gint64 patience_us = plugins->is_stopping ? 0 : DRAIN_US;
  plugins->is_stopping = TRUE;
  g_ptr_array_set_size (plugins->monitors, 0);
  g_hash_table_remove_all (plugins->pending);
  for (guint i = plugins->list->len; i-- > 0;)
    {
      Plugin *plugin = plugins->list->pdata[i];
      if (is_running (plugin) && g_strcmp0 (plugin->name, keep) != 0)
        plugin_stop (plugins, plugin, patience_us);
    }
  sweep_once (plugins);
  cube_timer_cancel (g_steal_pointer (&plugins->retired_timer));
}

/* ---- watching folders ---- */

static void look_later (CubePlugins *plugins, const char *path, gboolean is_gone);

static void
remove_file (CubePlugins *plugins, const char *path)
{
  Plugin *plugin = find_plugin (plugins, NULL, path);
  if (plugin == NULL)
    return;
  if (!is_running (plugin))
    drop_from_list (plugins, plugin);
  else if (must_stay (plugins, plugin))
    note_stay (plugins, plugin, "its file is gone");
  else
    {
      g_message ("plugin %s removed (%s is gone)", plugin->name, path);
      cube_registry_remove_plugin (plugins->registry, plugin->name);
      retire (plugins, plugin);
      sweep_once (plugins);
    }
}

static void
settle (gpointer data)
{
  Pending *pending = data;
  CubePlugins *plugins = pending->plugins;
  g_autofree char *path = g_strdup (pending->path);
  g_autoptr (GError) error = NULL;
  gboolean is_there = g_file_test (path, G_FILE_TEST_EXISTS), was_gone = pending->is_gone, is_busy;
  g_hash_table_remove (plugins->pending, path);
  if (!is_there && was_gone)
    remove_file (plugins, path);
  else if (!is_there)
    look_later (plugins, path, TRUE);
  else if (load_file (plugins, path, &is_busy, &error))
    return;
  else if (is_busy)
    look_later (plugins, path, FALSE);
  else
    g_warning ("%s", error->message);
}

static void
look_later (CubePlugins *plugins, const char *path, gboolean is_gone)
{
  Pending *pending = g_new0 (Pending, 1);
  pending->plugins = plugins;
  pending->path = g_strdup (path);
  pending->is_gone = is_gone;
  pending->timer = cube_loop_after (plugins->loop, is_gone ? GONE_US : SETTLE_US, settle, pending, NULL);
  g_hash_table_replace (plugins->pending, pending->path, pending);
}

static void
folder_changed (GFileMonitor *monitor, GFile *file, GFile *other, GFileMonitorEvent event, gpointer data)
{
  CubePlugins *plugins = data;
  g_autofree char *path = g_file_get_path (event == G_FILE_MONITOR_EVENT_RENAMED && other != NULL ? other : file);
  if (event == G_FILE_MONITOR_EVENT_ATTRIBUTE_CHANGED && find_plugin (plugins, NULL, path) != NULL
      && is_running (find_plugin (plugins, NULL, path)))
    return;
  if (path != NULL && g_str_has_suffix (path, ".so"))
    look_later (plugins, path, FALSE);
}

static gboolean
has_changed (CubePlugins *plugins, const char *path)
{
  Plugin *plugin = find_plugin (plugins, NULL, path);
  if (plugin == NULL)
    return g_hash_table_size (plugins->disabled) == 0; /* else it may be one of those */
  if (is_running (plugin))
    return !cube_plugin_image_is_current (plugin->image);
  return plugin->is_unfinished;
}

/* What came between the start and now. */
static void
look_at_folder (CubePlugins *plugins, const char *dir_path)
{
  g_autoptr (GDir) dir = g_dir_open (dir_path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir_path, name, NULL);
      if (g_str_has_suffix (name, ".so") && has_changed (plugins, path))
        look_later (plugins, path, FALSE);
    }
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
  look_at_folder (plugins, dir);
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
