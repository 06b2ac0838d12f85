/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

typedef struct {
  const CubePluginDescriptor *plugin;
  gpointer state;
} Loaded;

void
room_init (Room *room)
{
  *room = (Room){ 0 };
  fixture_init (&room->fixture, TRUE, 0);
  room->plugins = g_ptr_array_new_with_free_func (g_free);
}

void
room_load (Room *room, const CubePluginDescriptor *plugin, const char *config)
{
  g_autoptr (CubeValue) value = config != NULL ? json ("%s", config) : NULL;
  CubeContext *context =
      cube_process_new_context (room->fixture.process, plugin->name, value != NULL ? cube_value_root (value) : cube_view_none ());
  Loaded *loaded = g_new0 (Loaded, 1);
  g_autoptr (GError) error = NULL;

  loaded->plugin = plugin;
  plugin->load (context, &loaded->state, &error);
  g_assert_no_error (error);
  for (const CubeInterfaceImpl *impl = plugin->impls; impl->interface != NULL; impl++)
    {
      cube_registry_add (room->fixture.registry, impl, plugin->name, loaded->state, context, &error);
      g_assert_no_error (error);
    }
  g_ptr_array_add (room->plugins, loaded);
}

void
room_start (Room *room)
{
  room->controllers = cube_controllers_start (room->fixture.context, room->fixture.local);
}

void
room_stop (Room *room)
{
  g_clear_pointer (&room->controllers, cube_controllers_stop);
}

void
room_clear (Room *room)
{
  room_stop (room);
  room_run (room, 1000);
  for (guint i = 0; i < room->plugins->len; i++)
    {
      Loaded *loaded = room->plugins->pdata[i];

      cube_registry_remove_plugin (room->fixture.registry, loaded->plugin->name);
      if (loaded->plugin->unload != NULL)
        loaded->plugin->unload (loaded->state);
    }
  g_ptr_array_unref (room->plugins);
  fixture_clear (&room->fixture);
}

void
room_run (Room *room, gint64 duration_us)
{
  fixture_run (&room->fixture, duration_us);
}

gint64
room_now (Room *room)
{
  return cube_context_now_us (room->fixture.context);
}

static CubeValue *
parse (const char *format, va_list args)
{
  g_autofree char *text = g_strdup_vprintf (format, args);

  return json ("%s", text);
}

void
put (Room *room, const char *api_version, const char *plural, const char *ns, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autoptr (CubeValue) value = parse (format, args);
  va_end (args);
  cube_object_unref (create (&room->fixture, api_version, plural, ns, value));
}

void
merge (Room *room, const char *api_version, const char *plural, const char *subresource, const char *ns, const char *name,
       const char *format, ...)
{
  va_list args;

  va_start (args, format);
  g_autoptr (CubeValue) value = parse (format, args);
  va_end (args);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) done = cube_client_patch (room->fixture.client, resource (&room->fixture, api_version, plural), subresource, ns,
                                                   name, CUBE_PATCH_MERGE, value, &error);
  g_assert_no_error (error);
}

void
drop (Room *room, const char *api_version, const char *plural, const char *ns, const char *name, CubePropagation propagation)
{
  g_autoptr (GError) error = NULL;

  cube_client_delete (room->fixture.client, resource (&room->fixture, api_version, plural), ns, name, NULL, -1, propagation, &error);
  g_assert_no_error (error);
}

CubeValue *
look (Room *room, const char *api_version, const char *plural, const char *ns, const char *name)
{
  g_autoptr (CubeObject) object = cube_client_get (room->fixture.client, resource (&room->fixture, api_version, plural), ns, name, NULL);

  return object != NULL ? cube_object_value (object) : NULL;
}

guint64
revision_of (Room *room, const char *api_version, const char *plural, const char *ns, const char *name)
{
  g_autoptr (CubeObject) object = cube_client_get (room->fixture.client, resource (&room->fixture, api_version, plural), ns, name, NULL);

  return object != NULL ? cube_object_revision (object) : 0;
}

GPtrArray *
all (Room *room, const char *api_version, const char *plural, const char *ns)
{
  g_autoptr (GError) error = NULL;
  GPtrArray *found = cube_client_list (room->fixture.client, resource (&room->fixture, api_version, plural), ns, NULL, NULL, &error);

  g_assert_no_error (error);
  return found;
}

char *
text_at (CubeValue *value, const char *path)
{
  CubeView view = value != NULL ? cube_view_dotted (cube_value_root (value), path) : cube_view_none ();

  if (!cube_view_exists (view))
    return g_strdup ("");
  return cube_view_type (view) == CUBE_VALUE_STRING ? g_strdup (cube_view_string (view)) : cube_view_to_json (view, NULL);
}

char *
event_message (Room *room, const char *ns, const char *reason)
{
  g_autoptr (GPtrArray) events = all (room, "v1", "events", ns);

  for (guint i = events->len; i-- > 0;)
    {
      g_autoptr (CubeValue) value = cube_object_value (events->pdata[i]);

      if (g_strcmp0 (cube_view_string (cube_value_get (value, "reason")), reason) == 0)
        return g_strdup (cube_view_string (cube_value_get (value, "message")));
    }
  return NULL;
}
