/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the interface registry and the plugins it holds. */
#include <context/context.h>
#include <cube/plugin.h>

CubeRegistry *cube_registry_new (void);
void cube_registry_free (CubeRegistry *registry);
/* Adds one implementation. CUBE_ERROR_ALREADY_EXISTS when (interface, id) is taken. Strings are interned. */
gboolean cube_registry_add (CubeRegistry *registry, const CubeInterfaceImpl *impl, const char *plugin, gpointer state, CubeContext *context, GError **error);
/* In one step, so that nobody finds both or neither: what the plugins @gone (nullable, NULL-terminated) offer goes, @impls (nullable) come.
 * CUBE_ERROR_ALREADY_EXISTS, and nothing changed, when one of @impls is another plugin's. */
gboolean cube_registry_swap (CubeRegistry *registry, const char *const *gone, const CubeInterfaceImpl *impls, const char *plugin, gpointer state, CubeContext *context, GError **error);
/* @impl, held by the caller, stays in use as long as this process serves: its plugin cannot be replaced. */
void cube_registry_pin (CubeRegistry *registry, const CubeImpl *impl);
/* Whether the registry or anybody else holds an implementation that came with @context, and whether one of them is pinned. */
gboolean cube_registry_is_held (CubeRegistry *registry, const CubeContext *context, gboolean *ret_is_pinned /* (nullable) */);
/* Takes every implementation of @plugin out and tells the watchers. */
void cube_registry_remove_plugin (CubeRegistry *registry, const char *plugin);
/* Waits until nobody holds an implementation of @plugin (at most @timeout_us). */
gboolean cube_registry_drain (CubeRegistry *registry, const char *plugin, gint64 timeout_us);

/* ---- the known interfaces ---- */
typedef struct {
  const char *name;
  guint32 version;
  guint32 min_size; /* bytes of the mandatory part of its ops struct */
} CubeInterface;
const CubeInterface *cube_interface_find (const char *name);

/* ---- plugins ---- */
typedef struct _CubePlugins CubePlugins;
CubePlugins *cube_plugins_new (CubeProcess *process, CubeRegistry *registry, CubeView config /* plugin name → object; copied */);
void cube_plugins_free (CubePlugins *plugins);
void cube_plugins_add_builtin (CubePlugins *plugins, const CubePluginDescriptor *const *table);
/* Loads every *.so of @dir (sorted by name). A plugin that cannot be loaded is reported and left out. */
void cube_plugins_load_dir (CubePlugins *plugins, const char *dir);
/* One file through the whole handshake; replaces a loaded plugin of the same name. Errors name the file and say what to do. Main loop. */
gboolean cube_plugins_load_file (CubePlugins *plugins, const char *path, GError **error);
/* After loading: FALSE when a plugin that is here was left out because the configuration says something it does not know. @warnings gets a
 * sentence for each name in the configuration that no plugin has (it may come later). */
gboolean cube_plugins_check_config (CubePlugins *plugins, GPtrArray *warnings, GError **error);
/* start() of all loaded; from now on new ones are started at once, and the folders are watched. Errors only for plugins the configuration requires. */
gboolean cube_plugins_start (CubePlugins *plugins, const char *const *required, GError **error);
void cube_plugins_watch_dir (CubePlugins *plugins, const char *dir);
void cube_plugins_set_disabled (CubePlugins *plugins, CubeView names /* list of strings */); /* before loading */
/* Stops all, last loaded first; @keep (nullable): a plugin left running. */
void cube_plugins_stop (CubePlugins *plugins, const char *keep);
/* [{name, version, description, license, path, state, healthy, message, timeMicros, interfaces: ["cube.x/id"]}], failed ones too. (transfer full) */
CubeValue *cube_plugins_describe (CubePlugins *plugins);
