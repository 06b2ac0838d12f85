/* SPDX-License-Identifier: Apache-2.0 */
/* cube.Component "node-routes": the pods of every other node by way of that node's address, so that pods reach each other. */
#include "loopcall.h"
#include "table.h"
#include <cube/client.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>

#define DELAY_US (20 * 1000)
#define REPAIR_US (30 * G_USEC_PER_SEC) /* what somebody else took away comes back */
#define RETRY_US (2 * G_USEC_PER_SEC)

typedef struct {
  CubeContext *context;
  CubeLoop *loop;
  CubeInformer *informer;
  CubeTimer *timer;
  GHashTable *wanted; /* node → Route */
  GHashTable *made;   /* text → itself; also those of an earlier start */
  char *path, *problem;
  gboolean is_soon;
} Routes;

/* ---- what was made, kept for the next start ---- */

static void
read_made (Routes *self)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents (self->path, &text, NULL, NULL))
    return;
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  Route route;
  for (guint i = 0; lines[i] != NULL; i++)
    if (route_from_text (lines[i], &route))
      g_hash_table_add (self->made, g_strdup (lines[i]));
}

static gboolean
write_made (Routes *self, GError **error)
{
  GString *text = g_string_new (NULL);
  GHashTableIter it;
  gpointer line;
  for (g_hash_table_iter_init (&it, self->made); g_hash_table_iter_next (&it, &line, NULL);)
    g_string_append_printf (text, "%s\n", (const char *) line);
  g_autofree char *content = g_string_free (text, FALSE);
  return g_file_set_contents_full (self->path, content, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

/* ---- to the kernel ---- */

static void apply (gpointer data);

static void
schedule (Routes *self, gint64 delay_us)
{
  cube_timer_cancel (self->timer);
  self->timer = cube_loop_after (self->loop, delay_us, apply, self, NULL);
}

static gboolean
is_wanted (Routes *self, const char *text)
{
  GHashTableIter it;
  gpointer value;
  Route route;
  if (!route_from_text (text, &route))
    return FALSE;
  for (g_hash_table_iter_init (&it, self->wanted); g_hash_table_iter_next (&it, NULL, &value);)
    if (route_equal (value, &route))
      return TRUE;
  return FALSE;
}

/* Takes out what leads to nobody any more (everything with @all). FALSE: something stays; it is told. */
static gboolean
remove_stale (Routes *self, gboolean all, GError **error)
{
  GHashTableIter it;
  gpointer text;
  Route route;
  for (g_hash_table_iter_init (&it, self->made); g_hash_table_iter_next (&it, &text, NULL);)
    {
      if ((!all && is_wanted (self, text)) || !route_from_text (text, &route))
        continue;
      if (!route_delete (&route, error))
        return FALSE;
      g_hash_table_iter_remove (&it);
    }
  return TRUE;
}

/* Each is noted before it is made: a crash between leaves nothing unknown. */
static gboolean
add_wanted (Routes *self, GError **error)
{
  GHashTableIter it;
  gpointer value;
  guint n_before = g_hash_table_size (self->made);
  gboolean ok = TRUE;
  for (g_hash_table_iter_init (&it, self->wanted); g_hash_table_iter_next (&it, NULL, &value);)
    g_hash_table_add (self->made, route_to_text (value));
  if (g_hash_table_size (self->made) != n_before && !write_made (self, error))
    return FALSE;
  for (g_hash_table_iter_init (&it, self->wanted); g_hash_table_iter_next (&it, NULL, &value);)
    if (!route_add (value, ok ? error : NULL)) /* one that cannot be made does not keep the others back */
      ok = FALSE;
  return ok;
}

static void
tell (Routes *self, const GError *error)
{
  if (error != NULL && g_strcmp0 (self->problem, error->message) != 0)
    g_warning ("%s", error->message);
  g_free (self->problem);
  self->problem = error != NULL ? g_strdup (error->message) : NULL;
  cube_context_set_health (self->context, error == NULL, self->problem);
}

static void
apply (gpointer data)
{
  Routes *self = data;
  g_autoptr (GError) error = NULL;
  g_clear_pointer (&self->timer, cube_timer_cancel);
  self->is_soon = FALSE;
  if (!cube_informer_has_synced (self->informer)) /* before, nothing is known to be gone */
    {
      schedule (self, DELAY_US);
      return;
    }
  guint n_before = g_hash_table_size (self->made);
  if (remove_stale (self, FALSE, &error) && g_hash_table_size (self->made) != n_before)
    write_made (self, &error);
  if (error == NULL)
    add_wanted (self, &error);
  tell (self, error);
  schedule (self, error != NULL ? RETRY_US : REPAIR_US);
}

/* ---- what changes ---- */

static void
node_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Routes *self = data;
  const char *name = cube_object_name (object);
  g_autoptr (CubeValue) value = cube_object_value (object);
  const Route *before = g_hash_table_lookup (self->wanted, name);
  Route route;
  if (g_strcmp0 (name, cube_context_node_name (self->context)) == 0)
    return;
  /* Simulated nodes have no network. */
  gboolean has_route = type != CUBE_EVENT_DELETED && g_strcmp0 (cube_object_label (object, "type"), "sim") != 0
                       && route_of_node (cube_value_root (value), &route);
  if (has_route ? before != NULL && route_equal (before, &route) : before == NULL)
    return;
  if (has_route)
    g_hash_table_replace (self->wanted, g_strdup (name), g_memdup2 (&route, sizeof route));
  else
    g_hash_table_remove (self->wanted, name);
  if (!self->is_soon)
    schedule (self, DELAY_US);
  self->is_soon = TRUE;
}

/* ---- the component ---- */

static void
begin (gpointer data)
{
  Routes *self = data;
  const CubeResource *nodes = cube_schema_resource (cube_context_schema (self->context), "v1", "nodes");
  read_made (self);
  self->informer = cube_informer_new (cube_context_client (self->context), nodes, NULL, NULL, NULL, self->loop, node_changed, self);
  schedule (self, DELAY_US);
}

static void
end (gpointer data)
{
  Routes *self = data;
  g_autofree char *teardown = cube_context_fact (self->context, "teardown");
  g_autoptr (GError) error = NULL;
  g_clear_pointer (&self->timer, cube_timer_cancel);
  g_clear_pointer (&self->informer, cube_informer_free);
  g_hash_table_remove_all (self->wanted);
  if (teardown != NULL && !remove_stale (self, TRUE, &error))
    g_warning ("%s", error->message);
  else if (teardown != NULL)
    g_unlink (self->path);
}

static gboolean
start (gpointer state, GError **error)
{
  Routes *self = state;
  g_autofree char *runtime = cube_context_fact (self->context, "runtime");
  if (g_strcmp0 (runtime, "cri") != 0 || cube_context_data_dir (self->context) == NULL)
    return TRUE;
  self->path = g_build_filename (cube_context_data_dir (self->context), "routes", NULL);
  self->loop = cube_context_get_loop (self->context, "routes");
  loopcall_sync (self->loop, begin, self);
  return TRUE;
}

static void
stop (gpointer state)
{
  Routes *self = state;
  if (self->loop == NULL)
    return;
  loopcall_sync (self->loop, end, self);
  self->loop = NULL;
  g_clear_pointer (&self->path, g_free);
  g_clear_pointer (&self->problem, g_free);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Routes *self = g_new0 (Routes, 1);
  self->context = context;
  self->wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->made = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  *ret_state = self;
  return TRUE;
}

static void
unload (gpointer state)
{
  Routes *self = state;
  g_hash_table_unref (self->wanted);
  g_hash_table_unref (self->made);
  g_free (self);
}

static const CubeComponentOps component = { .ops_size = sizeof component, .role = "node", .order = 36, .start = start, .stop = stop };
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "node-routes", component), { NULL } };

CUBE_PLUGIN_DEFINE (.name = "node-routes", .version = "1", .description = "routes to the pods of other nodes", .license = "Apache-2.0",
                    .impls = impls, .load = load, .unload = unload);
