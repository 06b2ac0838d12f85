/* SPDX-License-Identifier: Apache-2.0 */
/* Probes: one worker for each probe of each running container, on timers of the loop; the asking itself blocks on a worker. */
#include "agent.h"
#include <string.h>

#define EARLY_US (50 * 1000)

typedef enum { PROBE_LIVENESS, PROBE_READINESS, PROBE_STARTUP, PROBE_N } ProbeKind;
static const char *const fields[] = { "livenessProbe", "readinessProbe", "startupProbe" };
static const char *const titles[] = { "Liveness", "Readiness", "Startup" };
static const char *const words[] = { "liveness", "readiness", "startup" };

typedef enum { RESULT_UNKNOWN, RESULT_SUCCESS, RESULT_WARNING, RESULT_FAILURE } ProbeResult;

typedef struct {
  gatomicrefcount refs;
  NodeProber *prober;
  NodePod *pod;
  char *container, *id; /* of the container watched */
  ProbeKind kind;
  CubeValue *spec; /* the container's part of the pod */
  char **ips;
  gint64 started_us;
  gboolean has_startup;
  CubeTimer *timer;
  guint n_early; /* tries before the first period was over */
  gboolean is_busy, is_removed, is_held;
  ProbeResult settled; /* what counts */
  ProbeResult run;     /* the kind of the current run */
  guint run_length;
  /* the asking's */
  ProbeResult answer;
  char *output;
} Worker;

struct _NodeProber {
  NodeAgent *agent;
  GHashTable *pods; /* uid → GPtrArray of Worker */
  guint n_busy;
};

static void arm (Worker *worker, gint64 delay_us);

static Worker *
worker_ref (Worker *worker)
{
  g_atomic_ref_count_inc (&worker->refs);
  return worker;
}

static void
worker_unref (Worker *worker)
{
  if (!g_atomic_ref_count_dec (&worker->refs))
    return;
  node_pod_unref (worker->pod);
  cube_value_unref (worker->spec);
  g_strfreev (worker->ips);
  g_free (worker->container);
  g_free (worker->id);
  g_free (worker->output);
  g_free (worker);
}

static void
worker_remove (gpointer data)
{
  Worker *worker = data;
  worker->is_removed = TRUE;
  g_clear_pointer (&worker->timer, cube_timer_cancel);
  worker_unref (worker);
}

static CubeView
probe_of (const Worker *worker)
{
  return cube_value_get (worker->spec, fields[worker->kind]);
}

static Worker *
find_worker (NodeProber *prober, const char *uid, const char *container, ProbeKind kind)
{
  GPtrArray *list = g_hash_table_lookup (prober->pods, uid);
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      Worker *worker = list->pdata[i];
      if (worker->kind == kind && g_str_equal (worker->container, container))
        return worker;
    }
  return NULL;
}

/* ---- asking; on a worker ---- */

static void
ask_exec (Worker *worker, CubeView exec, gint64 timeout_us)
{
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (NodeScratch) scratch = node_scratch_new ();
  g_autoptr (GBytes) out = NULL;
  g_autoptr (GBytes) err = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  gint32 code = 0;
  const char *const *command = node_scratch_texts (scratch, cube_view_member (exec, "command"));
  if (!node_runtime_open (worker->prober->agent, &runtime, &error) || command == NULL
      || !runtime.ops->exec_sync (runtime.state, worker->id, command, timeout_us, &out, &err, &code, NULL, &error))
    {
      worker->answer = g_error_matches (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT) ? RESULT_FAILURE : RESULT_UNKNOWN;
      worker->output = g_strdup (error != NULL ? error->message : "no command");
      return;
    }
  if (out != NULL)
    g_string_append_len (text, g_bytes_get_data (out, NULL), (gssize) MIN (g_bytes_get_size (out), 10240));
  if (err != NULL)
    g_string_append_len (text, g_bytes_get_data (err, NULL), (gssize) MIN (g_bytes_get_size (err), 10240));
  worker->answer = code == 0 ? RESULT_SUCCESS : RESULT_FAILURE;
  worker->output = g_utf8_make_valid (text->str, (gssize) text->len);
}

static void
ask_http (Worker *worker, CubeView get, gint64 timeout_us)
{
  const char *host = cube_view_get_string (get, "host");
  g_autoptr (GError) error = NULL;
  g_autofree char *body = NULL;
  gboolean is_foreign = FALSE;
  guint status = 0;
  NodeHttpRequest request = { .scheme = cube_view_get_string (get, "scheme"),
                              .host = host != NULL && *host != '\0' ? host
                                      : worker->ips != NULL         ? worker->ips[0]
                                                                    : NULL,
                              .path = cube_view_string_or (cube_view_member (get, "path"), "/"),
                              .headers = cube_view_member (get, "httpHeaders"),
                              .user_agent = "kube-probe/1.36",
                              .timeout_us = timeout_us };
  if (request.host == NULL || !node_port_resolve (cube_view_member (get, "port"), cube_value_root (worker->spec), &request.port, &error))
    {
      worker->answer = RESULT_UNKNOWN;
      worker->output = g_strdup (error != NULL ? error->message : "the pod has no address");
      return;
    }
  if (!node_http_get (&request, &status, &body, &is_foreign, &error))
    {
      worker->answer = RESULT_FAILURE;
      worker->output = g_strdup (error->message);
    }
  else if (is_foreign)
    {
      worker->answer = RESULT_WARNING;
      worker->output = g_strdup_printf ("Probe terminated redirects, Response body: %s", body);
    }
  else
    {
      worker->answer = status >= 200 && status < 400 ? RESULT_SUCCESS : RESULT_FAILURE;
      worker->output =
          worker->answer == RESULT_SUCCESS ? g_strdup (body) : g_strdup_printf ("HTTP probe failed with statuscode: %u", status);
    }
}

static void
ask_tcp (Worker *worker, CubeView tcp, gint64 timeout_us)
{
  const char *host = cube_view_get_string (tcp, "host");
  g_autoptr (GError) error = NULL;
  guint16 port;
  if (host == NULL || *host == '\0')
    host = worker->ips != NULL ? worker->ips[0] : NULL;
  if (host == NULL || !node_port_resolve (cube_view_member (tcp, "port"), cube_value_root (worker->spec), &port, &error))
    worker->answer = RESULT_UNKNOWN;
  else
    worker->answer = node_tcp_probe (host, port, timeout_us, &error) ? RESULT_SUCCESS : RESULT_FAILURE;
  worker->output = g_strdup (error != NULL ? error->message : "");
}

static void
ask_work (gpointer data)
{
  Worker *worker = data;
  CubeView probe = probe_of (worker);
  gint64 timeout_us = MAX (cube_view_get_int (probe, 1, "timeoutSeconds"), 1) * G_USEC_PER_SEC;
  for (guint i = 0; i < 3; i++)
    {
      g_clear_pointer (&worker->output, g_free);
      if (cube_view_exists (cube_view_member (probe, "exec")))
        ask_exec (worker, cube_view_member (probe, "exec"), timeout_us);
      else if (cube_view_exists (cube_view_member (probe, "httpGet")))
        ask_http (worker, cube_view_member (probe, "httpGet"), timeout_us);
      else if (cube_view_exists (cube_view_member (probe, "tcpSocket")))
        ask_tcp (worker, cube_view_member (probe, "tcpSocket"), timeout_us);
      else
        {
          worker->answer = RESULT_FAILURE;
          worker->output =
              g_strdup ("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): no client for it");
        }
      if (worker->answer != RESULT_UNKNOWN)
        return;
    }
}

/* ---- what an answer means ---- */

static gint64
period_us (const Worker *worker)
{
  return MAX (cube_view_get_int (probe_of (worker), 10, "periodSeconds"), 1) * G_USEC_PER_SEC;
}

/* A service that listens a moment after its start is asked again soon, not a period later; nothing is told of these tries. */
static gboolean
is_early (const Worker *worker)
{
  CubeView probe = probe_of (worker);
  return worker->kind == PROBE_READINESS && worker->answer == RESULT_FAILURE && worker->settled == RESULT_FAILURE
         && !cube_view_exists (cube_view_member (probe, "exec")) && (EARLY_US << worker->n_early) < period_us (worker);
}

static void
tell (Worker *worker)
{
  const char *title = titles[worker->kind];
  if (worker->answer == RESULT_UNKNOWN)
    node_pod_event (worker->pod, worker->container, "Warning", "Unhealthy", "%s probe errored and resulted in unknown state: %s", title,
                    worker->output);
  else if (worker->answer == RESULT_FAILURE)
    node_pod_event (worker->pod, worker->container, "Warning", "Unhealthy", "%s probe failed: %s", title, worker->output);
  else if (worker->answer == RESULT_WARNING)
    node_pod_event (worker->pod, worker->container, "Warning", "ProbeWarning", "%s probe warning: %s", title, worker->output);
}

static void
settle (Worker *worker)
{
  CubeView probe = probe_of (worker);
  ProbeResult result = worker->answer == RESULT_WARNING ? RESULT_SUCCESS : worker->answer;
  gint64 threshold =
      result == RESULT_SUCCESS ? cube_view_get_int (probe, 1, "successThreshold") : cube_view_get_int (probe, 3, "failureThreshold");
  if (result == RESULT_UNKNOWN)
    return; /* the state stays */
  worker->run_length = worker->run == result ? worker->run_length + 1 : 1;
  worker->run = result;
  if (worker->run_length < MAX (threshold, 1))
    return;
  gboolean is_changed = worker->settled != result;
  worker->settled = result;
  if (worker->kind == PROBE_STARTUP || (worker->kind == PROBE_LIVENESS && result == RESULT_FAILURE))
    worker->is_held = TRUE; /* until there is a new container */
  if (is_changed)
    node_pod_probes_changed (worker->pod);
}

static void
ask_done (gpointer data)
{
  Worker *worker = data;
  static const char *const results[] = { "unknown", "successful", "successful", "failed" };
  g_autofree char *labels =
      g_strdup_printf ("probe_type=\"%s\",result=\"%s\",container=\"%s\",pod=\"%s\",namespace=\"%s\",pod_uid=\"%s\"", titles[worker->kind],
                       results[worker->answer], worker->container, worker->pod->name, worker->pod->ns, worker->pod->uid);
  gint64 early_us = 0;
  worker->is_busy = FALSE;
  worker->prober->n_busy--;
  if (!worker->is_removed && !worker->prober->agent->is_stopping)
    {
      cube_metric_add ("prober_probe_total", labels, 1);
      if (is_early (worker))
        early_us = (gint64) EARLY_US << worker->n_early++;
      else
        tell (worker);
      settle (worker);
    }
  if (!worker->is_removed && !worker->is_held && !worker->prober->agent->is_stopping)
    arm (worker, early_us > 0 ? early_us : period_us (worker));
  worker_unref (worker);
}

static gboolean
is_due (Worker *worker)
{
  NodeProber *prober = worker->prober;
  gint64 age_us = cube_context_now_us (prober->agent->context) - worker->started_us;
  if (age_us / G_USEC_PER_SEC < cube_view_get_int (probe_of (worker), 0, "initialDelaySeconds"))
    return FALSE;
  if (worker->kind == PROBE_STARTUP || !worker->has_startup)
    return TRUE;
  Worker *startup = find_worker (prober, worker->pod->uid, worker->container, PROBE_STARTUP);
  return startup == NULL || startup->settled == RESULT_SUCCESS;
}

static void
due (gpointer data)
{
  Worker *worker = data;
  g_clear_pointer (&worker->timer, cube_timer_cancel);
  if (worker->is_busy || worker->is_removed || worker->is_held)
    return;
  if (!is_due (worker))
    {
      gint64 wait_us = MIN (period_us (worker), G_USEC_PER_SEC);
      arm (worker, wait_us);
      return;
    }
  worker->is_busy = TRUE;
  worker->prober->n_busy++;
  cube_context_run_blocking (worker->prober->agent->context, ask_work, worker->prober->agent->loop, ask_done, worker_ref (worker));
}

static void
arm (Worker *worker, gint64 delay_us)
{
  g_clear_pointer (&worker->timer, cube_timer_cancel);
  worker->timer = cube_loop_after (worker->prober->agent->loop, delay_us, due, worker, NULL);
}

/* ---- workers come and go with their containers ---- */

static void
add_worker (NodeProber *prober, NodePod *pod, GPtrArray *list, CubeView container, const NodeContainer *running, char **ips, ProbeKind kind)
{
  NodeAgent *agent = prober->agent;
  Worker *worker = g_new0 (Worker, 1);
  gint64 up_us = cube_context_monotonic_us (agent->context) - agent->started_us;
  gboolean is_old = running->status->started_ns / 1000 < cube_context_now_us (agent->context) - up_us;
  g_atomic_ref_count_init (&worker->refs);
  worker->prober = prober;
  worker->pod = node_pod_ref (pod);
  worker->container = g_strdup (running->name);
  worker->id = g_strdup (running->status->id);
  worker->kind = kind;
  worker->spec = cube_value_new_copy (container);
  worker->ips = g_strdupv (ips);
  worker->started_us = running->status->started_ns / 1000;
  worker->has_startup = cube_view_exists (cube_view_member (container, "startupProbe"));
  worker->settled = kind == PROBE_LIVENESS ? RESULT_SUCCESS : kind == PROBE_READINESS ? RESULT_FAILURE : RESULT_UNKNOWN;
  if (is_old) /* it ran before this agent did: what the status says stays until a probe says otherwise */
    {
      CubeIter it;
      CubeView status;
      for (guint i = 0; i < 2; i++)
        for (cube_iter_init (&it, cube_value_get (pod->value, "status", i == 0 ? "containerStatuses" : "initContainerStatuses"));
             cube_iter_next (&it, NULL, &status);)
          if (g_strcmp0 (cube_view_get_string (status, "name"), worker->container) == 0
              && ((kind == PROBE_READINESS && cube_view_get_bool (status, FALSE, "ready"))
                  || (kind == PROBE_STARTUP && cube_view_get_bool (status, FALSE, "started"))))
            worker->settled = RESULT_SUCCESS;
    }
  worker->is_held = kind == PROBE_STARTUP && worker->settled == RESULT_SUCCESS;
  g_ptr_array_add (list, worker);
  gint64 jitter_us = up_us < period_us (worker) ? (gint64) (cube_context_random (agent->context) % (guint64) period_us (worker)) : 0;
  gint64 initial_us = MAX (cube_view_get_int (probe_of (worker), 0, "initialDelaySeconds"), 0) * G_USEC_PER_SEC
                      - (cube_context_now_us (agent->context) - worker->started_us);
  if (!worker->is_held)
    arm (worker, MAX (is_old ? jitter_us : 0, MAX (initial_us, 0)));
}

static void
drop_stale (GPtrArray *list, const NodeSnapshot *snapshot)
{
  for (guint i = list->len; i-- > 0;)
    {
      const Worker *worker = list->pdata[i];
      const NodeContainer *current = node_snapshot_find (snapshot, worker->container, 0);
      if (current == NULL || current->status->state != CUBE_CONTAINER_RUNNING || !g_str_equal (current->status->id, worker->id))
        g_ptr_array_remove_index (list, i);
    }
}

void
node_prober_update (NodeProber *prober, NodePod *pod, const NodeSnapshot *snapshot)
{
  GPtrArray *list = g_hash_table_lookup (prober->pods, pod->uid);
  const NodeSandbox *sandbox = node_snapshot_sandbox (snapshot);
  char *host_ips[] = { prober->agent->machine->ip, NULL };
  CubeContainerIter it;
  CubeView container;
  CubeContainerKind kind;
  gboolean is_host = cube_view_bool (cube_value_get (pod->value, "spec", "hostNetwork"), FALSE);
  if (list != NULL)
    drop_stale (list, snapshot);
  for (cube_containers_init (&it, cube_value_get (pod->value, "spec"), CUBE_CONTAINER_REGULAR | CUBE_CONTAINER_INIT);
       cube_containers_next (&it, &container, &kind, NULL);)
    {
      const NodeContainer *current = node_snapshot_find (snapshot, cube_view_get_string (container, "name"), 0);
      if (current == NULL || current->status->state != CUBE_CONTAINER_RUNNING)
        continue;
      for (guint probe = 0; probe < PROBE_N; probe++)
        {
          if (!cube_view_exists (cube_view_member (container, fields[probe]))
              || find_worker (prober, pod->uid, current->name, probe) != NULL)
            continue;
          if (pod->stage != NODE_POD_SYNCING && probe != PROBE_READINESS)
            continue;
          if (list == NULL)
            {
              list = g_ptr_array_new_with_free_func (worker_remove);
              g_hash_table_insert (prober->pods, g_strdup (pod->uid), list);
            }
          add_worker (prober, pod, list, container, current, is_host ? host_ips : sandbox != NULL ? sandbox->status->ips : NULL, probe);
        }
    }
}

void
node_prober_remove (NodeProber *prober, const char *uid)
{
  g_hash_table_remove (prober->pods, uid);
}

void
node_prober_stop_liveness (NodeProber *prober, const char *uid)
{
  GPtrArray *list = g_hash_table_lookup (prober->pods, uid);
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      Worker *worker = list->pdata[i];
      if (worker->kind == PROBE_READINESS)
        continue;
      worker->settled = RESULT_SUCCESS;
      worker->is_held = TRUE;
      g_clear_pointer (&worker->timer, cube_timer_cancel);
    }
}

gboolean
node_prober_is_started (NodeProber *prober, const char *uid, CubeView container, const NodeContainer *status)
{
  if (status == NULL || status->status->state != CUBE_CONTAINER_RUNNING)
    return FALSE;
  if (!cube_view_exists (cube_view_member (container, "startupProbe")))
    return TRUE;
  const Worker *worker = find_worker (prober, uid, status->name, PROBE_STARTUP);
  return worker != NULL && g_str_equal (worker->id, status->status->id) && worker->settled == RESULT_SUCCESS;
}

gboolean
node_prober_is_ready (NodeProber *prober, const char *uid, CubeView container, const NodeContainer *status)
{
  if (!node_prober_is_started (prober, uid, container, status))
    return FALSE;
  if (!cube_view_exists (cube_view_member (container, "readinessProbe")))
    return TRUE;
  const Worker *worker = find_worker (prober, uid, status->name, PROBE_READINESS);
  return worker != NULL && g_str_equal (worker->id, status->status->id) && worker->settled == RESULT_SUCCESS;
}

const char *
node_prober_failed (NodeProber *prober, const char *uid, const char *container, const char *id)
{
  static const ProbeKind deadly[] = { PROBE_LIVENESS, PROBE_STARTUP };
  for (guint i = 0; i < G_N_ELEMENTS (deadly); i++)
    {
      const Worker *worker = find_worker (prober, uid, container, deadly[i]);
      if (worker != NULL && g_str_equal (worker->id, id) && worker->settled == RESULT_FAILURE)
        return words[deadly[i]];
    }
  return NULL;
}

NodeProber *
node_prober_new (NodeAgent *agent)
{
  NodeProber *prober = g_new0 (NodeProber, 1);
  prober->agent = agent;
  prober->pods = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  return prober;
}

gboolean
node_prober_is_idle (NodeProber *prober)
{
  return prober->n_busy == 0;
}

void
node_prober_free (NodeProber *prober)
{
  if (prober == NULL)
    return;
  g_hash_table_unref (prober->pods);
  g_free (prober);
}
