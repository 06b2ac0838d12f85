/* SPDX-License-Identifier: Apache-2.0 */
/* The ConfigMaps and Secrets this node's volumes are made from, each watched by its name: a node may see those and no others. */
#include "agent.h"
#include <string.h>

#define UPDATE_US (50 * 1000)
#define MAX_WATCHED 200 /* a connection each; the rest is looked at with the pods' passes */

typedef struct {
  NodeAgent *agent;
  CubeInformer *informer;
  char *kind;
} Source;

struct _NodeSources {
  NodeAgent *agent;
  NodeSourceChanged changed;
  GHashTable *watched; /* "kind/ns/name" → Source */
  CubeTimer *timer;
};

static void
source_free (gpointer data)
{
  Source *source = data;
  cube_informer_free (source->informer);
  g_free (source->kind);
  g_free (source);
}

static void
on_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Source *source = data;
  source->agent->sources->changed (source->agent, type, object, source->kind);
}

static Source *
source_new (NodeAgent *agent, const char *key)
{
  g_auto (GStrv) parts = g_strsplit (key, "/", 3);
  g_autofree char *by_name = g_strdup_printf ("metadata.name=%s", parts[2]);
  g_autoptr (CubeSelector) fields = cube_selector_parse_fields (by_name, NULL);
  const char *resource = g_str_equal (parts[0], "secret") ? "secrets" : "configmaps";
  Source *source = g_new0 (Source, 1);
  source->agent = agent;
  source->kind = g_strdup (parts[0]);
  source->informer = cube_informer_new (agent->client, node_agent_resource (agent, "v1", resource), parts[1], NULL, fields, agent->loop,
                                        on_changed, source);
  return source;
}

/* ---- what the pods refer to ---- */

typedef struct {
  GHashTable *wanted;
  const char *ns;
} Gathering;

static void
gather (const char *kind, const char *name, gpointer data)
{
  Gathering *gathering = data;
  if (cube_name_check_dns1123_subdomain (name) == NULL)
    g_hash_table_add (gathering->wanted, g_strdup_printf ("%s/%s/%s", kind, gathering->ns, name));
}

static GHashTable *
wanted_sources (NodeAgent *agent)
{
  GHashTable *wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, agent->pods); g_hash_table_iter_next (&it, NULL, &value);)
    {
      NodePod *pod = value;
      Gathering gathering = { wanted, pod->ns };
      if (pod->value != NULL && !pod->is_gone && pod->stage == NODE_POD_SYNCING)
        node_volumes_each_reference (cube_value_get (pod->value, "spec"), gather, &gathering);
    }
  return wanted;
}

static gboolean
is_unwanted (gpointer key, gpointer value, gpointer wanted)
{
  return !g_hash_table_contains (wanted, key);
}

static void
update (gpointer data)
{
  NodeSources *sources = data;
  g_autoptr (GHashTable) wanted = wanted_sources (sources->agent);
  GHashTableIter it;
  gpointer key;
  g_clear_pointer (&sources->timer, cube_timer_cancel);
  g_hash_table_foreach_remove (sources->watched, is_unwanted, wanted);
  for (g_hash_table_iter_init (&it, wanted); g_hash_table_iter_next (&it, &key, NULL);)
    if (g_hash_table_size (sources->watched) < MAX_WATCHED && !g_hash_table_contains (sources->watched, key))
      g_hash_table_insert (sources->watched, g_strdup (key), source_new (sources->agent, key));
}

void
node_sources_pods_changed (NodeSources *sources)
{
  if (sources != NULL && sources->timer == NULL)
    sources->timer = cube_loop_after (sources->agent->loop, UPDATE_US, update, sources, NULL);
}

NodeSources *
node_sources_new (NodeAgent *agent, NodeSourceChanged changed)
{
  NodeSources *sources = g_new0 (NodeSources, 1);
  sources->agent = agent;
  sources->changed = changed;
  sources->watched = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, source_free);
  return sources;
}

void
node_sources_free (NodeSources *sources)
{
  if (sources == NULL)
    return;
  g_clear_pointer (&sources->timer, cube_timer_cancel);
  g_hash_table_unref (sources->watched);
  g_free (sources);
}
