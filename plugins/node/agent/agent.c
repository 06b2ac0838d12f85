/* SPDX-License-Identifier: Apache-2.0 */
/* The node agent as a plugin: what it listens to, its pods, its beginning and its end. */
#include "agent.h"
#include <glib/gstdio.h>
#include <string.h>

#define MAX_JOBS 40
#define HOUSEKEEPING_US (60 * G_USEC_PER_SEC)
#define ROTATION_US (10 * G_USEC_PER_SEC)
#define GUESTS_US (5 * G_USEC_PER_SEC)
#define STOP_WAIT_US (20 * G_USEC_PER_SEC)

/* ---- a bounded number of blocking jobs ---- */

typedef struct {
  NodeAgent *agent;
  CubeTask work, done;
  gpointer data;
} Job;

static void run_next (NodeAgent *agent);

static void
bounded_work (gpointer data)
{
  Job *job = data;
  job->work (job->data);
}

static void
bounded_done (gpointer data)
{
  g_autofree Job *job = data;
  job->agent->n_jobs--;
  job->done (job->data);
  run_next (job->agent);
}

static void
run_next (NodeAgent *agent)
{
  while (agent->n_jobs < MAX_JOBS && !g_queue_is_empty (&agent->waiting_jobs))
    {
      agent->n_jobs++;
      cube_context_run_blocking (agent->context, bounded_work, agent->loop, bounded_done, g_queue_pop_head (&agent->waiting_jobs));
    }
}

void
node_agent_run (NodeAgent *agent, CubeTask work, CubeTask done, gpointer data)
{
  Job *job = g_new0 (Job, 1);
  *job = (Job){ agent, work, done, data };
  g_queue_push_tail (&agent->waiting_jobs, job);
  run_next (agent);
}

/* ---- guests ---- */

gboolean
node_agent_enter (NodeAgent *agent, GError **error)
{
  g_mutex_lock (&agent->lock);
  gboolean is_open = agent->is_open;
  agent->n_guests += is_open;
  g_mutex_unlock (&agent->lock);
  if (!is_open)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "the agent of this node does not run");
  return is_open;
}

void
node_agent_leave (NodeAgent *agent)
{
  g_mutex_lock (&agent->lock);
  agent->n_guests--;
  g_cond_broadcast (&agent->changed);
  g_mutex_unlock (&agent->lock);
}

static void
let_in (NodeAgent *agent, gboolean is_open)
{
  g_mutex_lock (&agent->lock);
  agent->is_open = is_open;
  g_mutex_unlock (&agent->lock);
}

static void
wait_for_guests (NodeAgent *agent)
{
  gint64 until = cube_context_monotonic_us (agent->context) + GUESTS_US;
  g_mutex_lock (&agent->lock);
  while (agent->n_guests > 0 && !cube_context_is_simulated (agent->context) && g_cond_wait_until (&agent->changed, &agent->lock, until))
    ;
  if (agent->n_guests > 0)
    g_warning ("%u callers have not left the node's agent", agent->n_guests);
  g_mutex_unlock (&agent->lock);
}

/* ---- small things ---- */

const CubeResource *
node_agent_resource (NodeAgent *agent, const char *api_version, const char *resource)
{
  return cube_schema_resource (cube_context_schema (agent->context), api_version, resource);
}

char *
node_agent_runtime_name (NodeAgent *agent)
{
  g_mutex_lock (&agent->lock);
  char *name = g_strdup (agent->runtime_name != NULL ? agent->runtime_name : "containerd");
  g_mutex_unlock (&agent->lock);
  return name;
}

NodePod *
node_agent_find_pod (NodeAgent *agent, const char *ns, const char *name, const char *uid)
{
  GHashTableIter it;
  gpointer value;
  if (uid != NULL && *uid != '\0')
    return g_hash_table_lookup (agent->pods, uid);
  for (g_hash_table_iter_init (&it, agent->pods); g_hash_table_iter_next (&it, NULL, &value);)
    {
      NodePod *pod = value;
      if (g_strcmp0 (pod->ns, ns) == 0 && g_strcmp0 (pod->name, name) == 0 && !pod->is_gone)
        return pod;
    }
  return NULL;
}

static GPtrArray *
all_pods (NodeAgent *agent)
{
  GPtrArray *pods = g_ptr_array_new_with_free_func ((GDestroyNotify) node_pod_unref);
  GHashTableIter it;
  gpointer value;
  for (g_hash_table_iter_init (&it, agent->pods); g_hash_table_iter_next (&it, NULL, &value);)
    g_ptr_array_add (pods, node_pod_ref (value));
  return pods;
}

/* ---- orphans: what runs and nobody wants ---- */

static void
adopt_orphans (NodeAgent *agent)
{
  g_autoptr (GHashTable) uids = node_observed_uids (agent->observed);
  GHashTableIter it;
  gpointer uid, key;
  if (!agent->are_pods_synced)
    return;
  for (g_hash_table_iter_init (&it, uids); g_hash_table_iter_next (&it, &uid, &key);)
    {
      g_autofree char *ns = NULL;
      const char *slash = strchr (key, '/');
      if (g_hash_table_contains (agent->pods, uid) || slash == NULL)
        continue;
      ns = g_strndup (key, (gsize) (slash - (const char *) key));
      NodePod *pod = node_pod_new (agent, uid, ns, slash + 1);
      pod->is_gone = TRUE;
      g_hash_table_insert (agent->pods, pod->uid, pod);
      g_message ("pod %s (%s) runs and is not wanted here: it is ended", (const char *) key, (const char *) uid);
    }
}

void
node_agent_runtime_changed (NodeAgent *agent)
{
  if (!node_observed_has_synced (agent->observed))
    return;
  adopt_orphans (agent);
  g_autoptr (GPtrArray) pods = all_pods (agent);
  for (guint i = 0; i < pods->len; i++)
    node_pod_wake (pods->pdata[i]);
}

/* ---- directories of pods that are no more ---- */

typedef struct {
  NodeAgent *agent;
  GHashTable *wanted;
} Sweep;

static void
sweep_work (gpointer data)
{
  Sweep *sweep = data;
  g_autoptr (GDir) dir = g_dir_open (sweep->agent->pods_dir, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autoptr (GError) error = NULL;
      g_autofree char *path = g_build_filename (sweep->agent->pods_dir, name, NULL);
      if (g_hash_table_contains (sweep->wanted, name) || !node_files_is_uid (name))
        continue;
      if (!node_volumes_tear_down (sweep->agent, name, NULL, cube_view_none (), &error) || !node_files_remove_tree (path, &error))
        g_warning ("left over of pod %s: %s", name, error->message);
    }
}

static void
sweep_done (gpointer data)
{
  Sweep *sweep = data;
  g_hash_table_unref (sweep->wanted);
  g_free (sweep);
}

static void
housekeeping_due (gpointer data)
{
  NodeAgent *agent = data;
  Sweep *sweep = g_new0 (Sweep, 1);
  GHashTableIter it;
  gpointer uid;
  g_clear_pointer (&agent->housekeeping, cube_timer_cancel);
  agent->housekeeping = cube_loop_after (agent->loop, HOUSEKEEPING_US, housekeeping_due, agent, NULL);
  if (!agent->are_pods_synced || !node_observed_has_synced (agent->observed))
    {
      g_free (sweep);
      return;
    }
  adopt_orphans (agent);
  sweep->agent = agent;
  sweep->wanted = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (g_hash_table_iter_init (&it, agent->pods); g_hash_table_iter_next (&it, &uid, NULL);)
    g_hash_table_add (sweep->wanted, g_strdup (uid));
  node_agent_run (agent, sweep_work, sweep_done, sweep);
}

/* ---- logs grow ---- */

static void
rotation_work (gpointer data)
{
  NodeAgent *agent = data;
  g_auto (NodeRuntime) runtime = { 0 };
  if (node_runtime_open (agent, &runtime, NULL))
    node_rotate_logs (agent, &runtime);
}

static void rotation_due (gpointer data);

static void
rotation_done (gpointer data)
{
  NodeAgent *agent = data;
  g_clear_pointer (&agent->rotation, cube_timer_cancel);
  if (!agent->is_stopping)
    agent->rotation = cube_loop_after (agent->loop, ROTATION_US, rotation_due, agent, NULL);
}

static void
rotation_due (gpointer data)
{
  NodeAgent *agent = data;
  g_clear_pointer (&agent->rotation, cube_timer_cancel);
  node_agent_run (agent, rotation_work, rotation_done, agent);
}

/* ---- informers ---- */

static void
pod_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  NodeAgent *agent = data;
  const char *uid = cube_object_uid (object);
  gint64 begun = cube_context_monotonic_us (agent->context);
  NodePod *pod = g_hash_table_lookup (agent->pods, uid);
  if (agent->is_stopping || !node_files_is_uid (uid))
    return;
  node_sources_pods_changed (agent->sources);
  if (type == CUBE_EVENT_DELETED)
    {
      if (pod != NULL)
        node_pod_set_gone (pod);
      return;
    }
  if (pod == NULL)
    {
      pod = node_pod_new (agent, uid, cube_object_namespace (object), cube_object_name (object));
      g_hash_table_insert (agent->pods, pod->uid, pod);
    }
  node_pod_ref (pod);
  node_pod_set_object (pod, object);
  node_pod_unref (pod);
  cube_context_add_time (agent->context, cube_context_monotonic_us (agent->context) - begun);
}

static void
node_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  NodeAgent *agent = data;
  g_autoptr (CubeValue) value = cube_object_value (object);
  g_autofree char *known = cube_context_fact (agent->context, "pod-cidr");
  const char *cidr = cube_view_string (cube_value_get (value, "spec", "podCIDR"));
  if (!agent->is_stopping && (type == CUBE_EVENT_DELETED || (cidr != NULL && g_strcmp0 (cidr, known) != 0)))
    node_registration_check_soon (agent->registration);
}

/* What a volume was made from has changed: those pods look again. */
static void
source_changed (NodeAgent *agent, CubeEventType type, CubeObject *object, const char *kind)
{
  g_autoptr (GPtrArray) pods = NULL;
  if (type == CUBE_EVENT_DELETED || agent->is_stopping)
    return;
  pods = all_pods (agent);
  for (guint i = 0; i < pods->len; i++)
    {
      NodePod *pod = pods->pdata[i];
      if (pod->value != NULL && pod->stage == NODE_POD_SYNCING && g_str_equal (pod->ns, cube_object_namespace (object))
          && node_volumes_refer_to (cube_value_get (pod->value, "spec"), kind, cube_object_name (object)))
        node_pod_wake (pod);
    }
}

static void
config_map_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  source_changed (data, type, object, "configMap");
}

static void
secret_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  source_changed (data, type, object, "secret");
}

/* The informers' first lists come through the loop before this does. */
static void
check_synced (gpointer data)
{
  NodeAgent *agent = data;
  if (agent->is_stopping || agent->are_pods_synced)
    return;
  g_clear_pointer (&agent->housekeeping, cube_timer_cancel);
  if (!cube_informer_has_synced (agent->pod_informer))
    {
      agent->housekeeping = cube_loop_after (agent->loop, 20 * 1000, check_synced, agent, NULL);
      return;
    }
  agent->are_pods_synced = TRUE;
  agent->housekeeping = cube_loop_after (agent->loop, 2 * G_USEC_PER_SEC, housekeeping_due, agent, NULL);
  node_agent_runtime_changed (agent);
}

static void
start_informers (NodeAgent *agent)
{
  g_autofree char *is_remote = cube_context_fact (agent->context, "agent");
  if (g_strcmp0 (is_remote, "true") == 0)
    agent->sources = node_sources_new (agent, source_changed);
  g_autofree char *on_node = g_strdup_printf ("spec.nodeName=%s", agent->node_name);
  g_autofree char *by_name = g_strdup_printf ("metadata.name=%s", agent->node_name);
  g_autoptr (CubeSelector) pods = cube_selector_parse_fields (on_node, NULL);
  g_autoptr (CubeSelector) nodes = cube_selector_parse_fields (by_name, NULL);
  agent->node_informer =
      cube_informer_new (agent->client, node_agent_resource (agent, "v1", "nodes"), NULL, NULL, nodes, agent->loop, node_changed, agent);
  agent->pod_informer =
      cube_informer_new (agent->client, node_agent_resource (agent, "v1", "pods"), NULL, NULL, pods, agent->loop, pod_changed, agent);
  if (agent->sources != NULL)
    return;
  agent->config_map_informer = cube_informer_new (agent->client, node_agent_resource (agent, "v1", "configmaps"), NULL, NULL, NULL,
                                                  agent->loop, config_map_changed, agent);
  agent->secret_informer =
      cube_informer_new (agent->client, node_agent_resource (agent, "v1", "secrets"), NULL, NULL, NULL, agent->loop, secret_changed, agent);
}

static void
runtime_replaced (gpointer data)
{
  NodeAgent *agent = data;
  if (!agent->is_stopping)
    node_observed_start (agent->observed);
}

static void
start_on_loop (gpointer data)
{
  NodeAgent *agent = data;
  node_observed_start (agent->observed);
  start_informers (agent);
  node_registration_start (agent->registration);
  check_synced (agent);
  agent->rotation = cube_loop_after (agent->loop, ROTATION_US, rotation_due, agent, NULL);
}

/* ---- the component ---- */

static gboolean
is_wanted (NodeAgent *agent)
{
  g_autofree char *runtime = cube_context_fact (agent->context, "runtime");
  return g_strcmp0 (runtime, "cri") == 0;
}

static char *
fact_or (NodeAgent *agent, const char *name, const char *fallback)
{
  char *value = cube_context_fact (agent->context, name);
  return value != NULL ? value : g_strdup (fallback);
}

static gboolean
agent_start (gpointer state, GError **error)
{
  NodeAgent *agent = state;
  const char *data_dir = cube_context_data_dir (agent->context), *name = cube_context_node_name (agent->context);
  if (!is_wanted (agent))
    return TRUE;
  if (data_dir == NULL || name == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "the node agent needs a data directory and a node name");
      return FALSE;
    }
  agent->is_stopping = FALSE;
  agent->registry = cube_context_registry (agent->context);
  agent->client = cube_context_client (agent->context);
  agent->loop = cube_context_get_loop (agent->context, "node");
  agent->node_name = g_strdup (name);
  agent->owner = g_strdup_printf ("%08x/%s", cube_hash_fnv32a (data_dir, strlen (data_dir), 0), name);
  agent->pods_dir = g_build_filename (data_dir, "pods", NULL);
  agent->logs_dir = g_build_filename (data_dir, "logs", "pods", NULL);
  agent->cluster_domain = fact_or (agent, "cluster-domain", "cluster.local");
  agent->cluster_dns = cube_context_fact (agent->context, "cluster-dns");
  agent->started_us = cube_context_monotonic_us (agent->context);
  if (g_mkdir_with_parents (agent->pods_dir, 0750) != 0 || g_mkdir_with_parents (agent->logs_dir, 0755) != 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "cannot make %s or %s", agent->pods_dir, agent->logs_dir);
      return FALSE;
    }
  agent->machine = node_machine_read (agent);
  agent->recorder = cube_recorder_new (agent->context, agent->client, "kubelet", agent->node_name);
  agent->pods = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) node_pod_unref);
  agent->observed = node_observed_new (agent);
  agent->registration = node_registration_new (agent);
  agent->prober = node_prober_new (agent);
  agent->runtime_watch = cube_registry_watch (agent->registry, CUBE_RUNTIME, agent->loop, runtime_replaced, agent);
  agent->is_component_running = TRUE;
  let_in (agent, TRUE);
  cube_loop_post (agent->loop, start_on_loop, agent, NULL);
  return TRUE;
}

/* ---- the end ---- */

typedef struct {
  NodeAgent *agent;
  GMutex lock;
  GCond changed;
  gboolean is_done;
  gint64 until_us;
} Ending;

static void finish_ending (gpointer data);

static gboolean
is_idle (NodeAgent *agent)
{
  GHashTableIter it;
  gpointer value;
  if (agent->n_jobs > 0 || !node_observed_is_idle (agent->observed) || !node_registration_is_idle (agent->registration)
      || !node_prober_is_idle (agent->prober))
    return FALSE;
  for (g_hash_table_iter_init (&it, agent->pods); g_hash_table_iter_next (&it, NULL, &value);)
    if (((NodePod *) value)->is_status_busy)
      return FALSE;
  return TRUE;
}

static void
retry_ending (gpointer data)
{
  finish_ending (data);
}

static void
finish_ending (gpointer data)
{
  Ending *ending = data;
  NodeAgent *agent = ending->agent;
  g_clear_pointer (&agent->housekeeping, cube_timer_cancel);
  if (!is_idle (agent) && cube_context_monotonic_us (agent->context) < ending->until_us)
    {
      agent->housekeeping = cube_loop_after (agent->loop, 10 * 1000, retry_ending, ending, NULL);
      return;
    }
  g_mutex_lock (&ending->lock);
  ending->is_done = TRUE;
  g_cond_signal (&ending->changed);
  g_mutex_unlock (&ending->lock);
}

static void
begin_ending (gpointer data)
{
  Ending *ending = data;
  NodeAgent *agent = ending->agent;
  agent->is_stopping = TRUE;
  g_clear_pointer (&agent->pod_informer, cube_informer_free);
  g_clear_pointer (&agent->node_informer, cube_informer_free);
  g_clear_pointer (&agent->config_map_informer, cube_informer_free);
  g_clear_pointer (&agent->secret_informer, cube_informer_free);
  g_clear_pointer (&agent->sources, node_sources_free);
  g_clear_pointer (&agent->rotation, cube_timer_cancel);
  g_autoptr (GPtrArray) pods = all_pods (agent);
  for (guint i = 0; i < pods->len; i++)
    node_pod_close (pods->pdata[i]);
  finish_ending (ending);
}

/* No socket, no runtime that could be asked: it was ended before. */
static gboolean
has_runtime (NodeAgent *agent)
{
  g_autofree char *endpoint = cube_context_fact (agent->context, "runtime-endpoint");
  return endpoint == NULL || !g_str_has_prefix (endpoint, "unix://") || g_file_test (endpoint + strlen ("unix://"), G_FILE_TEST_EXISTS);
}

/* Ends every sandbox of this cluster with what is in it; blocking. */
static void
tear_down (NodeAgent *agent)
{
  if (!has_runtime (agent))
    return;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GHashTable) changed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (node_runtime_open (agent, &runtime, &error) && node_observed_relist (agent->observed, &runtime, changed, &error))
    {
      g_autoptr (GHashTable) uids = node_observed_uids (agent->observed);
      GHashTableIter it;
      gpointer uid;
      for (g_hash_table_iter_init (&it, uids); g_hash_table_iter_next (&it, &uid, NULL);)
        {
          g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (agent->observed, uid);
          for (guint i = 0; i < snapshot->sandboxes->len; i++)
            {
              const char *id = ((NodeSandbox *) snapshot->sandboxes->pdata[i])->status->id;
              g_autoptr (GError) problem = NULL;
              if (!runtime.ops->stop_sandbox (runtime.state, id, &problem) || !runtime.ops->remove_sandbox (runtime.state, id, &problem))
                g_warning ("sandbox %s: %s", id, problem->message);
            }
        }
    }
  else
    g_warning ("pods are not torn down: %s", error->message);
  node_files_unmount_below (agent->pods_dir);
  g_clear_error (&error);
  if (!node_files_remove_tree (agent->pods_dir, &error) || !node_files_remove_tree (agent->logs_dir, &error))
    g_warning ("%s", error->message);
  node_network_remove (agent);
}

static void
drop_waiting (NodeAgent *agent)
{
  for (Job *job; (job = g_queue_pop_head (&agent->waiting_jobs)) != NULL;)
    g_free (job);
}

static void
free_parts (NodeAgent *agent)
{
  drop_waiting (agent);
  g_clear_pointer (&agent->housekeeping, cube_timer_cancel);
  g_clear_pointer (&agent->pods, g_hash_table_unref);
  g_clear_pointer (&agent->prober, node_prober_free);
  g_clear_pointer (&agent->registration, node_registration_free);
  g_clear_pointer (&agent->observed, node_observed_free);
  g_clear_pointer (&agent->recorder, cube_recorder_free);
  g_clear_pointer (&agent->machine, node_machine_free);
  g_clear_pointer (&agent->node_name, g_free);
  g_clear_pointer (&agent->owner, g_free);
  g_clear_pointer (&agent->pods_dir, g_free);
  g_clear_pointer (&agent->logs_dir, g_free);
  g_clear_pointer (&agent->cluster_domain, g_free);
  g_clear_pointer (&agent->cluster_dns, g_free);
  agent->are_pods_synced = FALSE;
}

static void
wait_until_idle (NodeAgent *agent)
{
  Ending ending = { .agent = agent, .until_us = cube_context_monotonic_us (agent->context) + STOP_WAIT_US };
  if (cube_context_is_simulated (agent->context))
    {
      begin_ending (&ending);
      return;
    }
  g_mutex_init (&ending.lock);
  g_cond_init (&ending.changed);
  cube_loop_post (agent->loop, begin_ending, &ending, NULL);
  g_mutex_lock (&ending.lock);
  while (!ending.is_done)
    g_cond_wait (&ending.changed, &ending.lock);
  g_mutex_unlock (&ending.lock);
  g_cond_clear (&ending.changed);
  g_mutex_clear (&ending.lock);
}

static void
agent_stop (gpointer state)
{
  NodeAgent *agent = state;
  if (!agent->is_component_running)
    return;
  g_autofree char *teardown = cube_context_fact (agent->context, "teardown");
  agent->is_component_running = FALSE;
  let_in (agent, FALSE);
  g_clear_pointer (&agent->runtime_watch, cube_registry_unwatch);
  node_observed_stop (agent->observed);
  wait_until_idle (agent);
  wait_for_guests (agent);
  if (g_strcmp0 (teardown, "true") == 0)
    tear_down (agent);
  free_parts (agent);
}

static gboolean
agent_is_ready (gpointer state, char **ret_why)
{
  NodeAgent *agent = state;
  g_autofree char *cidr = NULL;
  if (!agent->is_component_running)
    return TRUE;
  cidr = cube_context_fact (agent->context, "pod-cidr");
  if (cidr != NULL)
    return TRUE;
  *ret_why = g_strdup_printf ("node %s has no address range for pods yet", agent->node_name);
  return FALSE;
}

static const CubeComponentOps component_ops = {
  .ops_size = sizeof component_ops, .role = "node", .order = 40, .start = agent_start, .stop = agent_stop, .is_ready = agent_is_ready
};

/* The agent's id is the node's name, known at load. */
static CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "node-agent", component_ops),
  { CUBE_NODE_AGENT, CUBE_NODE_AGENT_VERSION, sizeof (CubeNodeAgentOps), "node", &node_agent_ops },
  { NULL },
};

static gboolean
agent_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  NodeAgent *agent = g_new0 (NodeAgent, 1);
  const char *name = cube_context_node_name (context);
  agent->context = context;
  g_mutex_init (&agent->lock);
  g_cond_init (&agent->changed);
  g_queue_init (&agent->waiting_jobs);
  impls[1].interface = name != NULL && is_wanted (agent) && cube_context_has_role (context, "node") ? CUBE_NODE_AGENT : NULL;
  impls[1].id = name != NULL ? g_intern_string (name) : "node";
  *ret_state = agent;
  return TRUE;
}

static void
agent_unload (gpointer state)
{
  NodeAgent *agent = state;
  agent_stop (agent);
  g_free (agent->runtime_name);
  g_mutex_clear (&agent->lock);
  g_cond_clear (&agent->changed);
  g_free (agent);
}

CUBE_PLUGIN_DEFINE (.name = "node-agent", .version = "0.1.0", .description = "Runs the pods of this node", .license = "Apache-2.0",
                    .impls = impls, .load = agent_load, .unload = agent_unload);
