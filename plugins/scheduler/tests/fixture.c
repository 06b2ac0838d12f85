/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

extern const CubePluginDescriptor cube_plugin_scheduler_node_name, cube_plugin_scheduler_node_unschedulable,
    cube_plugin_scheduler_node_resources_fit, cube_plugin_scheduler_balanced_allocation, cube_plugin_scheduler_node_affinity,
    cube_plugin_scheduler_taint_toleration, cube_plugin_scheduler_node_ports, cube_plugin_scheduler_image_locality,
    cube_plugin_scheduler_default_binder;

typedef struct {
  const CubePluginDescriptor *plugin;
  gpointer state;
} Loaded;

static void
unload (gpointer data)
{
  Loaded *loaded = data;

  if (loaded->plugin->unload != NULL)
    loaded->plugin->unload (loaded->state);
  g_free (loaded);
}

static void
add (CubeRegistry *registry, CubeProcess *process, const CubePluginDescriptor *plugin)
{
  CubeContext *context = cube_process_new_context (process, plugin->name, cube_view_none ());
  g_autoptr (GError) error = NULL;
  gpointer state = NULL;

  g_assert_true (plugin->load (context, &state, &error));
  for (const CubeInterfaceImpl *impl = plugin->impls; impl->interface != NULL; impl++)
    g_assert_true (cube_registry_add (registry, impl, plugin->name, state, context, &error));
  if (g_test_initialized ())
    {
      Loaded *loaded = g_new (Loaded, 1);

      *loaded = (Loaded){ plugin, state };
      g_test_queue_destroy (unload, loaded); /* after the test and its world */
    }
}

void
policies_add (CubeRegistry *registry, CubeProcess *process, gboolean with_binder)
{
  const CubePluginDescriptor *const all[] = { &cube_plugin_scheduler_node_name,          &cube_plugin_scheduler_node_unschedulable,
                                              &cube_plugin_scheduler_node_resources_fit, &cube_plugin_scheduler_node_affinity,
                                              &cube_plugin_scheduler_taint_toleration,   &cube_plugin_scheduler_balanced_allocation,
                                              &cube_plugin_scheduler_node_ports,         &cube_plugin_scheduler_image_locality };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    add (registry, process, all[i]);
  if (with_binder)
    add (registry, process, &cube_plugin_scheduler_default_binder);
}

static const CubeImpl *
impl_of (CubeRegistry *registry, const char *interface, const char *id, gpointer *ret_state)
{
  const CubeImpl *impl = cube_registry_lookup (registry, interface, id);

  g_assert_nonnull (impl);
  *ret_state = impl->state;
  cube_impl_unref (impl);
  return impl;
}

const CubeFilterOps *
filter_ops_of (CubeRegistry *registry, const char *id, gpointer *ret_state)
{
  return impl_of (registry, CUBE_FILTER_PLUGIN, id, ret_state)->ops;
}

const CubeScoreOps *
score_ops_of (CubeRegistry *registry, const char *id, gpointer *ret_state)
{
  return impl_of (registry, CUBE_SCORE_PLUGIN, id, ret_state)->ops;
}

static CubeObject *
object_of (CubeValue *value)
{
  g_autoptr (GError) error = NULL;
  CubeObject *object = cube_object_new (cube_value_root (value), 0, &error);

  g_assert_no_error (error);
  return object;
}

static const char *
comma (const char *members)
{
  return *members != '\0' ? "," : "";
}

CubeObject *
node_object (const char *name, const char *metadata, const char *spec, const char *allocatable, const char *status)
{
  g_autoptr (CubeValue) value = json ("{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s','uid':'node-%s'%s%s},'spec':{%s},"
                                      "'status':{'allocatable':{%s}%s%s}}",
                                      name, name, comma (metadata), metadata, spec,
                                      *allocatable != '\0' ? allocatable : "'cpu':'4','memory':'8Gi','pods':'110'", comma (status), status);

  return object_of (value);
}

CubeObject *
pod_object (const char *name, const char *metadata, const char *spec, const char *container)
{
  g_autoptr (CubeValue) value = json ("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default','uid':'pod-%s'%s%s},"
                                      "'spec':{'containers':[{'name':'a','image':'x'%s%s}]%s%s}}",
                                      name, name, comma (metadata), metadata, comma (container), container, comma (spec), spec);

  return object_of (value);
}

Pod *
test_pod (GHashTable *classes, const char *name, const char *metadata, const char *spec, const char *container)
{
  g_autoptr (CubeObject) object = pod_object (name, metadata, spec, container);
  g_autoptr (CubeValue) value = cube_object_value (object);
  Class *class = class_of (classes, cube_value_root (value), 1);
  Pod *pod = pod_new (object, class);

  class_unref (class);
  return pod;
}
