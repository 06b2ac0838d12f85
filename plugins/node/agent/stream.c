/* SPDX-License-Identifier: Apache-2.0 */
/* What a front end asks of this node: logs, exec, attach, port-forward. Any thread: only the client and the observed state are used. */
#include "agent.h"
#include <string.h>

typedef struct {
  NodeAgent *agent;
  char *uid, *id;
} Watched;

static void
watched_free (gpointer data)
{
  Watched *watched = data;
  node_agent_leave (watched->agent);
  g_free (watched->uid);
  g_free (watched->id);
  g_free (watched);
}

static NodeContainer *
find_id (const NodeSnapshot *snapshot, const char *id)
{
  for (guint i = 0; i < snapshot->containers->len; i++)
    if (g_strcmp0 (((NodeContainer *) snapshot->containers->pdata[i])->status->id, id) == 0)
      return snapshot->containers->pdata[i];
  return NULL;
}

static gboolean
is_watched_running (gpointer data)
{
  Watched *watched = data;
  if (watched->agent->is_stopping)
    return FALSE;
  g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (watched->agent->observed, watched->uid);
  NodeContainer *container = find_id (snapshot, watched->id);
  return container != NULL && container->status->state != CUBE_CONTAINER_EXITED;
}

/* The pod as the API has it. (transfer full) */
static CubeValue *
get_pod (NodeAgent *agent, const char *ns, const char *name, const char *uid, GError **error)
{
  g_autoptr (CubeObject) object = cube_client_get (agent->client, node_agent_resource (agent, "v1", "pods"), ns, name, error);
  if (object == NULL)
    return NULL;
  if (uid != NULL && *uid != '\0' && !g_str_equal (cube_object_uid (object), uid))
    {
      g_propagate_error (error, cube_error_not_found ("", "pods", name));
      return NULL;
    }
  return cube_object_value (object);
}

static const char *
choose_container (CubeView pod, const char *asked)
{
  if (asked != NULL && *asked != '\0')
    return asked;
  const char *marked = cube_view_get_string (pod, "metadata", "annotations", "kubectl.kubernetes.io/default-container");
  return marked != NULL ? marked : cube_view_get_string (cube_view_element (cube_view_get (pod, "spec", "containers"), 0), "name");
}

static CubeView
find_status (CubeView pod, const char *name)
{
  static const char *const lists[] = { "containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses" };
  CubeIter it;
  CubeView status;
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    for (cube_iter_init (&it, cube_view_get (pod, "status", lists[i])); cube_iter_next (&it, NULL, &status);)
      if (g_strcmp0 (cube_view_get_string (status, "name"), name) == 0)
        return status;
  return cube_view_none ();
}

/* containerd://ID → ID */
static const char *
plain_id (const char *text)
{
  const char *at = text != NULL ? strstr (text, "://") : NULL;
  return at != NULL ? at + 3 : text;
}

/* Whose log is meant, in Kubernetes' words when there is none. Source: kubelet's validateContainerLogStatus. */
static const char *
log_id (CubeView pod, const char *name, gboolean previous, GError **error)
{
  CubeView status = find_status (pod, name);
  const char *pod_name = cube_view_get_string (pod, "metadata", "name"),
             *last = plain_id (cube_view_get_string (status, "lastState", "terminated", "containerID"));
  const char *reason = cube_view_get_string (status, "state", "waiting", "reason"),
             *own = plain_id (cube_view_get_string (status, "containerID"));
  if (!cube_view_exists (status))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is not available", name, pod_name);
  else if (previous)
    {
      if (last != NULL)
        return last;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "previous terminated container \"%s\" in pod \"%s\" not found", name,
                   pod_name);
    }
  else if (own != NULL && (reason == NULL || last == NULL)
           && (cube_view_exists (cube_view_get (status, "state", "running"))
               || cube_view_exists (cube_view_get (status, "state", "terminated"))))
    return own;
  else if (last != NULL)
    return last;
  else if (cube_view_exists (cube_view_get (status, "state", "terminated")))
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is terminated", name, pod_name);
  else if (reason == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is waiting to start - no logs yet", name,
                 pod_name);
  else
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "container \"%s\" in pod \"%s\" is waiting to start: %s", name, pod_name,
                 g_str_equal (reason, "ErrImagePull")       ? "image can't be pulled"
                 : g_str_equal (reason, "ImagePullBackOff") ? "trying and failing to pull image"
                                                            : reason);
  return NULL;
}

static gboolean
open_logs (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const CubeLogOptions *options,
           const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  NodeAgent *agent = state;
  g_autoptr (CubeValue) value = get_pod (agent, ns, pod, uid, error);
  if (value == NULL)
    return FALSE;
  const char *name = choose_container (cube_value_root (value), container),
             *id = log_id (cube_value_root (value), name, options->previous, error);
  if (id == NULL)
    return FALSE;
  const char *pod_uid = cube_view_string (cube_value_get (value, "metadata", "uid"));
  g_autoptr (NodeSnapshot) snapshot = node_observed_snapshot (agent->observed, pod_uid);
  NodeContainer *found = find_id (snapshot, id);
  if (found == NULL || found->status->log_path == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unable to retrieve container logs for containerd://%s", id);
      return FALSE;
    }
  if (!node_agent_enter (agent, error)) /* once more, for as long as the log is open */
    return FALSE;
  Watched *watched = g_new0 (Watched, 1);
  *watched = (Watched){ agent, g_strdup (pod_uid), g_strdup (id) };
  return node_logs_open (agent, found->status->log_path, options, is_watched_running, watched, watched_free, sink_ops, sink, ret_stream,
                         error);
}

/* The id of a running container. (transfer full) */
static char *
running_id (NodeAgent *agent, const char *ns, const char *pod, const char *uid, const char *container, GError **error)
{
  g_autoptr (CubeValue) value = get_pod (agent, ns, pod, uid, error);
  if (value == NULL)
    return NULL;
  const char *name = choose_container (cube_value_root (value), container);
  g_autoptr (NodeSnapshot) snapshot =
      node_observed_snapshot (agent->observed, cube_view_string (cube_value_get (value, "metadata", "uid")));
  NodeContainer *found = node_snapshot_find (snapshot, name, 0);
  if (found != NULL && found->status->state == CUBE_CONTAINER_RUNNING)
    return g_strdup (found->status->id);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "container not found (\"%s\")", name);
  return NULL;
}

static gboolean
open_exec (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const char *const *command,
           gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink,
           CubeStream *ret_stream, GError **error)
{
  NodeAgent *agent = state;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autofree char *id = running_id (agent, ns, pod, uid, container, error);
  return id != NULL && node_runtime_open (agent, &runtime, error)
         && runtime.ops->exec (runtime.state, id, command, has_stdin, has_stdout, has_stderr, tty, sink_ops, sink, ret_stream, error);
}

static gboolean
open_attach (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, gboolean has_stdin,
             gboolean has_stdout, gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink,
             CubeStream *ret_stream, GError **error)
{
  NodeAgent *agent = state;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autofree char *id = running_id (agent, ns, pod, uid, container, error);
  return id != NULL && node_runtime_open (agent, &runtime, error)
         && runtime.ops->attach (runtime.state, id, has_stdin, has_stdout, has_stderr, tty, sink_ops, sink, ret_stream, error);
}

static gboolean
open_port_forward (gpointer state, const char *ns, const char *pod, const char *uid, const guint16 *ports, guint n_ports,
                   const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  NodeAgent *agent = state;
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (CubeValue) value = get_pod (agent, ns, pod, uid, error);
  if (value == NULL || !node_runtime_open (agent, &runtime, error))
    return FALSE;
  g_autoptr (NodeSnapshot) snapshot =
      node_observed_snapshot (agent->observed, cube_view_string (cube_value_get (value, "metadata", "uid")));
  NodeSandbox *sandbox = node_snapshot_sandbox (snapshot);
  if (sandbox == NULL || !sandbox->status->is_ready)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "failed to find sandbox for pod %s/%s", ns, pod);
      return FALSE;
    }
  return runtime.ops->port_forward (runtime.state, sandbox->status->id, ports, n_ports, sink_ops, sink, ret_stream, error);
}

/* ---- statistics ---- */

static void
set_usage (CubeMut *entry, const CubeStats *stats)
{
  char time[32];
  cube_time_format (stats->timestamp_ns / 1000, time);
  CubeMut *cpu = cube_mut_set_object (entry, "cpu"), *memory = cube_mut_set_object (entry, "memory");
  cube_mut_set_string (cpu, "time", time);
  cube_mut_set_int (cpu, "usageCoreNanoSeconds", (gint64) stats->cpu_usage_ns);
  cube_mut_set_string (memory, "time", time);
  cube_mut_set_int (memory, "usageBytes", (gint64) stats->memory_usage);
  cube_mut_set_int (memory, "workingSetBytes", (gint64) stats->memory_working_set);
  cube_mut_set_int (memory, "rssBytes", (gint64) stats->memory_rss);
  cube_mut_set_int (memory, "pageFaults", (gint64) stats->memory_page_faults);
  cube_mut_set_int (memory, "majorPageFaults", (gint64) stats->memory_major_page_faults);
}

static CubeMut *
pod_entry (CubeMut *pods, GHashTable *entries, const CubeStats *stats)
{
  const char *uid = stats->labels != NULL ? g_hash_table_lookup (stats->labels, NODE_LABEL_POD_UID) : NULL;
  CubeMut *entry = uid != NULL ? g_hash_table_lookup (entries, uid) : NULL;
  if (entry != NULL || uid == NULL)
    return entry;
  entry = cube_mut_append_object (pods);
  CubeMut *ref = cube_mut_set_object (entry, "podRef");
  cube_mut_set_string (ref, "name", g_hash_table_lookup (stats->labels, NODE_LABEL_POD_NAME));
  cube_mut_set_string (ref, "namespace", g_hash_table_lookup (stats->labels, NODE_LABEL_POD_NAMESPACE));
  cube_mut_set_string (ref, "uid", uid);
  cube_mut_set_array (entry, "containers");
  g_hash_table_insert (entries, g_strdup (uid), entry);
  return entry;
}

static CubeValue *
make_summary (NodeAgent *agent, GError **error)
{
  g_auto (NodeRuntime) runtime = { 0 };
  if (!node_runtime_open (agent, &runtime, error))
    return NULL;
  g_autoptr (GPtrArray) list = runtime.ops->list_stats (runtime.state, error);
  if (list == NULL)
    return NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (GHashTable) entries = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  CubeMut *root = cube_builder_root (builder);
  cube_mut_set_string (cube_mut_set_object (root, "node"), "nodeName", agent->node_name);
  CubeMut *pods = cube_mut_set_array (root, "pods");
  for (guint i = 0; i < list->len; i++)
    {
      const CubeStats *stats = list->pdata[i];
      CubeMut *pod = pod_entry (pods, entries, stats);
      if (pod == NULL)
        continue;
      CubeMut *entry = cube_mut_append_object (cube_mut_member (pod, "containers"));
      cube_mut_set_string (entry, "name", g_hash_table_lookup (stats->labels, NODE_LABEL_CONTAINER));
      set_usage (entry, stats);
      CubeMut *rootfs = cube_mut_set_object (entry, "rootfs");
      cube_mut_set_int (rootfs, "usedBytes", (gint64) stats->rootfs_used_bytes);
      cube_mut_set_int (rootfs, "inodesUsed", (gint64) stats->rootfs_inodes);
    }
  return cube_builder_end (builder);
}

/* ---- the door ---- */

static gboolean
stream_logs (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const CubeLogOptions *options,
             const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  if (!node_agent_enter (state, error))
    return FALSE;
  gboolean ok = open_logs (state, ns, pod, uid, container, options, sink_ops, sink, ret_stream, error);
  node_agent_leave (state);
  return ok;
}

static gboolean
stream_exec (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const char *const *command,
             gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink,
             CubeStream *ret_stream, GError **error)
{
  if (!node_agent_enter (state, error))
    return FALSE;
  gboolean ok =
      open_exec (state, ns, pod, uid, container, command, has_stdin, has_stdout, has_stderr, tty, sink_ops, sink, ret_stream, error);
  node_agent_leave (state);
  return ok;
}

static gboolean
stream_attach (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, gboolean has_stdin,
               gboolean has_stdout, gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink,
               CubeStream *ret_stream, GError **error)
{
  if (!node_agent_enter (state, error))
    return FALSE;
  gboolean ok = open_attach (state, ns, pod, uid, container, has_stdin, has_stdout, has_stderr, tty, sink_ops, sink, ret_stream, error);
  node_agent_leave (state);
  return ok;
}

static gboolean
stream_port_forward (gpointer state, const char *ns, const char *pod, const char *uid, const guint16 *ports, guint n_ports,
                     const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  if (!node_agent_enter (state, error))
    return FALSE;
  gboolean ok = open_port_forward (state, ns, pod, uid, ports, n_ports, sink_ops, sink, ret_stream, error);
  node_agent_leave (state);
  return ok;
}

static CubeValue *
stats_summary (gpointer state, GError **error)
{
  if (!node_agent_enter (state, error))
    return NULL;
  CubeValue *summary = make_summary (state, error);
  node_agent_leave (state);
  return summary;
}

const CubeNodeAgentOps node_agent_ops = { .ops_size = sizeof node_agent_ops,
                                          .logs = stream_logs,
                                          .exec = stream_exec,
                                          .attach = stream_attach,
                                          .port_forward = stream_port_forward,
                                          .stats_summary = stats_summary };
