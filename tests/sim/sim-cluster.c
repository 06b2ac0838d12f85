/* SPDX-License-Identifier: Apache-2.0 */
#include "sim-cluster.h"
#include <daemon/daemon.h>
#include <string.h>

/* ---- the disk ---- */

typedef struct {
  char *json;
  gsize length;
  guint64 revision;
} Row;

struct _SimDisk {
  GTree *rows;
  guint64 newest, digest;
};

static void
row_free (gpointer data)
{
  Row *row = data;
  g_free (row->json);
  g_free (row);
}

static gint
compare_keys (gconstpointer a, gconstpointer b, gpointer unused)
{
  return strcmp (a, b);
}

SimDisk *
sim_disk_new (void)
{
  SimDisk *disk = g_new0 (SimDisk, 1);
  disk->rows = g_tree_new_full (compare_keys, NULL, g_free, row_free);
  return disk;
}

guint64
sim_disk_digest (const SimDisk *disk)
{
  return disk->digest;
}

static gboolean
disk_open (gpointer state, const char *location, GError **error)
{
  return TRUE;
}

static void
disk_close (gpointer state)
{
}

static gboolean
disk_get_revision (gpointer state, guint64 *ret_newest, guint64 *ret_oldest, GError **error)
{
  SimDisk *disk = state;
  *ret_newest = *ret_oldest = disk->newest;
  return TRUE;
}

typedef struct {
  CubeStorageRow row;
  gpointer data;
} Load;

static gboolean
load_row (gpointer key, gpointer value, gpointer data)
{
  const Row *row = value;
  const Load *load = data;
  return !load->row (key, row->json, row->length, row->revision, load->data);
}

static gboolean
disk_load (gpointer state, CubeStorageRow row, gpointer data, GError **error)
{
  Load load = { row, data };
  g_tree_foreach (((SimDisk *) state)->rows, load_row, &load);
  return TRUE;
}

static gboolean
disk_load_history (gpointer state, guint64 revision, CubeStorageHistoryRow row, gpointer data, GError **error)
{
  return TRUE; /* watches start anew after a crash */
}

static void
mix (SimDisk *disk, const void *bytes, gsize length)
{
  const guint8 *at = bytes;
  for (gsize i = 0; i < length; i++)
    disk->digest = (disk->digest ^ at[i]) * G_GUINT64_CONSTANT (0x100000001b3);
}

static gboolean
disk_commit (gpointer state, const CubeStorageChange *changes, guint n_changes, GError **error)
{
  SimDisk *disk = state;
  for (guint i = 0; i < n_changes; i++)
    {
      mix (disk, changes[i].key, strlen (changes[i].key));
      disk->newest = MAX (disk->newest, changes[i].revision);
      if (changes[i].json == NULL)
        {
          g_tree_remove (disk->rows, changes[i].key);
          continue;
        }
      mix (disk, changes[i].json, changes[i].length);
      Row *row = g_new0 (Row, 1);
      *row = (Row){ g_memdup2 (changes[i].json, changes[i].length), changes[i].length, changes[i].revision };
      g_tree_replace (disk->rows, g_strdup (changes[i].key), row);
    }
  return TRUE;
}

static gboolean
disk_compact (gpointer state, guint64 revision, GError **error)
{
  return TRUE;
}

const CubeStorageOps sim_disk_ops = {
  .ops_size = sizeof (CubeStorageOps),
  .open = disk_open,
  .close = disk_close,
  .get_revision = disk_get_revision,
  .load = disk_load,
  .load_history = disk_load_history,
  .commit = disk_commit,
  .compact = disk_compact,
};

/* ---- the process ---- */

/* What the simulation runs: everything but what talks to a machine. */
static gboolean
is_wanted (const char *file)
{
  static const char *const prefixes[] = {
    "controllers-", "scheduler-", "runtimes-sim", "security-namespace-lifecycle", "security-default-tolerations", "security-priority"
  };
  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (file, prefixes[i]))
      return TRUE;
  return FALSE;
}

static gint
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

extern const CubePluginDescriptor *const cube_builtin_plugins[];

static void
add_builtin_plugins (SimCluster *cluster)
{
  g_autoptr (GPtrArray) wanted = g_ptr_array_new ();
  for (const CubePluginDescriptor *const *at = cube_builtin_plugins; *at != NULL; at++)
    if (is_wanted ((*at)->name))
      g_ptr_array_add (wanted, (gpointer) *at);
  g_ptr_array_add (wanted, NULL);
  cube_plugins_add_builtin (cluster->plugins, (const CubePluginDescriptor *const *) wanted->pdata);
}

static void
load_plugins (SimCluster *cluster)
{
  add_builtin_plugins (cluster);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (cluster->plugin_dir, 0, &error);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_assert_no_error (error);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;)
    if (g_str_has_suffix (name, ".so") && is_wanted (name))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    {
      g_autofree char *path = g_build_filename (cluster->plugin_dir, names->pdata[i], NULL);
      cube_plugins_load_file (cluster->plugins, path, &error);
      g_assert_no_error (error);
    }
}

static gint
compare_components (gconstpointer a, gconstpointer b)
{
  const CubeImpl *x = *(const CubeImpl *const *) a, *y = *(const CubeImpl *const *) b;
  return ((const CubeComponentOps *) x->ops)->order - ((const CubeComponentOps *) y->ops)->order;
}

static void
start_components (SimCluster *cluster)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) components = cube_registry_list (cluster->registry, CUBE_COMPONENT);
  g_ptr_array_sort (components, compare_components);
  for (guint i = 0; i < components->len; i++)
    {
      const CubeImpl *impl = components->pdata[i];
      ((const CubeComponentOps *) impl->ops)->start (impl->state, &error);
      g_assert_no_error (error);
    }
}

void
sim_cluster_start (SimCluster *cluster)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *nodes = g_strdup_printf ("%u", cluster->n_nodes);
  static const char *const volatile_resources[] = { "coordination.k8s.io/leases", NULL };
  CubeStoreOptions options = { .volatile_resources = volatile_resources };
  cluster->process = cube_process_new_simulated (cluster->seed * 1000 + cluster->n_incarnations++, cluster->now_us);
  cluster->registry = cube_registry_new ();
  cube_process_set_registry (cluster->process, cluster->registry);
  cube_process_set_schema (cluster->process, cube_schema_get_default ());
  cube_process_set_node_name (cluster->process, "sim");
  cluster->context = cube_process_new_context (cluster->process, "core", cube_view_none ());
  cube_context_set_fact (cluster->context, "roles", "api,controllers,scheduler,node");
  cube_context_set_fact (cluster->context, "runtime", "sim");
  cube_context_set_fact (cluster->context, "sim-nodes", nodes);
  cube_context_set_fact (cluster->context, "version", "0");
  cluster->plugins = cube_plugins_new (cluster->process, cluster->registry, cube_view_none ());
  load_plugins (cluster);
  cluster->store = cube_store_new (cluster->context, &sim_disk_ops, cluster->disk, &options, &error);
  g_assert_no_error (error);
  cluster->client = cube_client_new_local (cluster->context, cluster->store, cube_schema_get_default (), cluster->registry);
  cube_process_set_client (cluster->process, cluster->client);
  cube_plugins_start (cluster->plugins, NULL, &error);
  g_assert_no_error (error);
  cube_bootstrap_namespaces (cluster->context, &error);
  g_assert_no_error (error);
  start_components (cluster);
  cluster->controllers = cube_controllers_start (cluster->context, cluster->client);
}

void
sim_cluster_crash (SimCluster *cluster)
{
  cluster->now_us = cube_context_now_us (cluster->context);
  /* Nothing of it is stepped again, and nothing is ended in order: that is the point. */
  cluster->process = NULL;
  cluster->client = NULL;
  cluster->controllers = NULL;
}

void
sim_cluster_run (SimCluster *cluster, gint64 for_us)
{
  cluster->now_us = cube_context_now_us (cluster->context) + for_us;
  cube_process_run_until (cluster->process, cluster->now_us);
}
