/* SPDX-License-Identifier: Apache-2.0 */
/* CustomResourceDefinitions become resources that are served: the ones that are there before the API opens, the others as they come. */
#include <cube/client.h>
#include <cube/plugin.h>
#include <cube/scalar.h>
#include "loopcall.h"
#include <string.h>
#include <workload/workload.h>

typedef struct {
  CubeContext *context;
  CubeClient *client;
  CubeSchema *schema;
  CubeLoop *loop;
  const CubeResource *definitions;
  CubeInformer *informer;
} Custom;

/* ---- what the status says ---- */

typedef struct {
  Custom *custom;
  const char *problem; /* NULL: it is served */
} Verdict;

static void
add_stored_version (CubeMut *status, CubeView spec)
{
  CubeIter it;
  CubeView version;
  CubeMut *stored = cube_mut_ensure_array (status, "storedVersions");
  for (cube_iter_init (&it, cube_view_member (spec, "versions")); cube_iter_next (&it, NULL, &version);)
    {
      const char *name = cube_view_get_string (version, "name");
      gboolean is_there = !cube_view_get_bool (version, FALSE, "storage");
      for (guint i = 0; i < cube_mut_length (stored); i++)
        is_there |= g_strcmp0 (cube_mut_string (cube_mut_element (stored, i)), name) == 0;
      if (!is_there)
        cube_mut_append_string (stored, name);
    }
}

static gboolean
write_verdict (CubeMut *root, CubeView current, gpointer data)
{
  const Verdict *verdict = data;
  char now[32];
  CubeView spec = cube_view_member (current, "spec");
  CubeMut *status = cube_mut_ensure_object (root, "status");
  CubeMut *conditions = cube_mut_ensure_array (status, "conditions");
  gboolean is_good = verdict->problem == NULL;
  cube_time_format (cube_context_now_us (verdict->custom->context), now);
  workload_state_condition (conditions, "NamesAccepted", is_good, is_good ? "NoConflicts" : "NotAccepted",
                            is_good ? "no conflicts found" : verdict->problem, now);
  workload_state_condition (conditions, "Established", is_good, is_good ? "InitialNamesAccepted" : "NotAccepted",
                            is_good ? "the initial names have been accepted" : "not all names are accepted", now);
  cube_mut_set_view (status, "acceptedNames", cube_view_member (spec, "names"));
  add_stored_version (status, spec);
  return !cube_mut_equal_view (status, cube_view_member (current, "status"));
}

/* ---- coming and going ---- */

static void
serve (Custom *custom, CubeObject *definition)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_object_value (definition);
  gboolean is_served = cube_schema_put_custom (custom->schema, cube_value_root (value), &error);
  Verdict verdict = { custom, is_served ? NULL : error->message };
  g_autoptr (GError) problem = NULL;
  g_autoptr (CubeObject) told = cube_client_modify (custom->client, custom->definitions, "status", NULL, cube_object_name (definition),
                                                    write_verdict, &verdict, &problem);
  if (told == NULL && !g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    g_warning ("customresourcedefinition %s: %s", cube_object_name (definition), problem->message);
}

/* Its objects go with it. */
static void
withdraw (Custom *custom, CubeObject *definition)
{
  const char *name = cube_object_name (definition), *dot = strchr (name, '.');
  if (dot == NULL)
    return;
  g_autofree char *plural = g_strndup (name, (gsize) (dot - name));
  g_autofree char *key = g_strdup_printf ("%s/%s", dot + 1, plural);
  const CubeResource *resource = cube_schema_find_key (custom->schema, key);
  if (resource == NULL || !resource->is_custom)
    return;
  CubeRequest request = { .verb = CUBE_VERB_DELETE_COLLECTION, .resource = resource, .grace_seconds = -1 };
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeResponse) response = cube_client_execute (custom->client, &request, &error);
  if (response == NULL)
    g_warning ("objects of %s: %s", name, error->message);
  cube_schema_remove_custom (custom->schema, dot + 1, plural);
}

static void
changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  if (type == CUBE_EVENT_DELETED)
    withdraw (data, object);
  else
    serve (data, object);
}

/* ---- the component ---- */

static void
begin (gpointer data)
{
  Custom *custom = data;
  custom->informer = cube_informer_new (custom->client, custom->definitions, NULL, NULL, NULL, custom->loop, changed, custom);
}

static void
end (gpointer data)
{
  g_clear_pointer (&((Custom *) data)->informer, cube_informer_free);
}

static gboolean
component_start (gpointer state, GError **error)
{
  Custom *custom = state;
  custom->client = cube_context_client (custom->context);
  custom->schema = cube_context_schema (custom->context);
  custom->definitions = cube_schema_resource (custom->schema, "apiextensions.k8s.io/v1", "customresourcedefinitions");
  custom->loop = cube_context_get_loop (custom->context, "custom");
  g_autoptr (GPtrArray) there = cube_client_list (custom->client, custom->definitions, NULL, NULL, NULL, error);
  for (guint i = 0; there != NULL && i < there->len; i++) /* before anybody can ask for them */
    serve (custom, there->pdata[i]);
  if (there != NULL)
    cube_loop_post (custom->loop, begin, custom, NULL);
  return there != NULL;
}

static void
component_stop (gpointer state)
{
  Custom *custom = state;
  if (custom->loop != NULL)
    loopcall_sync (custom->loop, end, custom);
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Custom *custom = g_new0 (Custom, 1);
  custom->context = context;
  *ret_state = custom;
  return TRUE;
}

static const CubeComponentOps component = {
  .ops_size = sizeof (CubeComponentOps), .role = "api", .order = 8, .start = component_start, .stop = component_stop
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "custom-resources", component),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "api-custom", .version = "1.0", .license = "Apache-2.0", .description = "serves custom resources",
                    .impls = impls, .load = load, .unload = g_free);
