/* SPDX-License-Identifier: Apache-2.0 */
/* The Node object: registration, status, Lease. One blocking pass every ten seconds; written only on change or every five minutes. */
#include "agent.h"
#include <glib/gstdio.h>
#include <string.h>

#define PERIOD_US (10 * G_USEC_PER_SEC)
#define EAGER_US (50 * 1000) /* until the node is ready for the first time */
#define EAGER_LAST_US (400 * 1000)
#define REPORT_US (300 * G_USEC_PER_SEC)
#define LATE_US (30 * G_USEC_PER_SEC) /* a runtime that does not answer may be busy for so long */
#define IMAGES_US (30 * G_USEC_PER_SEC)
#define LEASE_SECONDS 40
#define MAX_IMAGES 50
#define MAX_IMAGE_NAMES 5
#define KUBELET_PORT 10250
#define KUBELET_VERSION "v1.36.0"

struct _NodeRegistration {
  NodeAgent *agent;
  CubeTimer *timer;
  gboolean is_busy, is_asked, is_ready;
  gint network_ready; /* atomic */
  gint64 eager_us;
  char *configured_cidr;
  char *problem; /* why it is not registered, as last told */
  /* the pass's (one at a time) */
  gboolean is_registered, is_changed;
  char *wanted_cidr;
  CubeRuntimeStatus runtime;
  char *runtime_problem; /* NULL = ready */
  GPtrArray *images;     /* (nullable) CubeImage */
  gint64 runtime_us, images_us, reported_us;
  CubeValue *reported; /* status without heartbeat times */
  CubeObject *node;
  gboolean was_ready, has_started_event;
};

static void begin_pass (gpointer data);

/* ---- the object ---- */

static void
set_labels (CubeMut *metadata, const NodeMachine *machine)
{
  CubeMut *labels = cube_mut_ensure_object (metadata, "labels");
  cube_mut_set_string (labels, "beta.kubernetes.io/arch", machine->arch);
  cube_mut_set_string (labels, "beta.kubernetes.io/os", "linux");
  cube_mut_set_string (labels, "kubernetes.io/arch", machine->arch);
  cube_mut_set_string (labels, "kubernetes.io/hostname", machine->hostname);
  cube_mut_set_string (labels, "kubernetes.io/os", "linux");
  cube_mut_set_string (cube_mut_ensure_object (metadata, "annotations"), "volumes.kubernetes.io/controller-managed-attach-detach", "true");
}

static gboolean
reconcile_labels (CubeMut *root, CubeView current, gpointer data)
{
  NodeAgent *agent = data;
  set_labels (cube_mut_ensure_object (root, "metadata"), agent->machine);
  return !cube_mut_equal_view (root, current);
}

static gboolean
register_node (NodeRegistration *self, GError **error)
{
  NodeAgent *agent = self->agent;
  const CubeResource *nodes = node_agent_resource (agent, "v1", "nodes");
  g_autoptr (CubeObject) there = cube_client_get (agent->client, nodes, NULL, agent->node_name, NULL);
  if (there == NULL)
    {
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      CubeMut *root = cube_builder_root (builder);
      cube_mut_set_string (root, "apiVersion", "v1");
      cube_mut_set_string (root, "kind", "Node");
      CubeMut *metadata = cube_mut_set_object (root, "metadata");
      cube_mut_set_string (metadata, "name", agent->node_name);
      set_labels (metadata, agent->machine);
      g_autoptr (CubeValue) value = cube_builder_end (builder);
      there = cube_client_create (agent->client, nodes, NULL, value, error);
      if (there == NULL)
        return FALSE;
    }
  CubeObject *node = cube_client_modify (agent->client, nodes, NULL, NULL, agent->node_name, reconcile_labels, agent, error);
  if (node == NULL)
    return FALSE;
  g_clear_pointer (&self->node, cube_object_unref);
  self->node = node;
  self->is_registered = TRUE;
  return TRUE;
}

/* ---- the runtime ---- */

static void
check_runtime (NodeRegistration *self)
{
  g_auto (NodeRuntime) runtime = { 0 };
  g_autoptr (GError) error = NULL;
  CubeRuntimeStatus status = { 0 };
  gboolean is_up = node_runtime_open (self->agent, &runtime, &error) && runtime.ops->status (runtime.state, &status, &error);
  gint64 now = cube_context_monotonic_us (self->agent->context);
  if (!is_up && g_error_matches (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT) && self->runtime_us != 0 && now - self->runtime_us < LATE_US)
    return; /* as it was */
  g_clear_pointer (&self->runtime_problem, g_free);
  if (!is_up)
    {
      self->runtime_problem = g_strdup ("container runtime is down");
      g_atomic_int_set (&self->network_ready, FALSE);
      return;
    }
  cube_runtime_status_clear (&self->runtime);
  self->runtime = status;
  self->runtime_us = now;
  g_mutex_lock (&self->agent->lock);
  g_free (self->agent->runtime_name);
  self->agent->runtime_name = g_strdup (status.name != NULL ? status.name : "unknown");
  g_mutex_unlock (&self->agent->lock);
  if (!status.runtime_ready)
    self->runtime_problem =
        g_strdup_printf ("container runtime not ready: %s", status.runtime_reason != NULL ? status.runtime_reason : "RuntimeReady=false");
  else if (!status.network_ready)
    self->runtime_problem = g_strdup_printf ("container runtime network not ready: %s",
                                             status.network_reason != NULL ? status.network_reason : "NetworkReady=false");
  g_atomic_int_set (&self->network_ready, status.network_ready);
  if (self->images == NULL || now - self->images_us >= IMAGES_US)
    {
      g_clear_pointer (&self->images, g_ptr_array_unref);
      self->images = runtime.ops->list_images (runtime.state, NULL);
      self->images_us = now;
    }
}

/* ---- status ---- */

static void
set_quantity (CubeMut *map, const char *name, gint64 value, const char *suffix)
{
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT "%s", value, suffix);
  cube_mut_set_string (map, name, text);
}

static void
set_resources (CubeMut *status, const NodeMachine *machine)
{
  CubeMut *capacity = cube_mut_set_object (status, "capacity");
  CubeMut *allocatable = cube_mut_set_object (status, "allocatable");
  for (guint i = 0; i < 2; i++)
    {
      CubeMut *map = i == 0 ? allocatable : capacity;
      set_quantity (map, "cpu", machine->cpus, "");
      if (i == 0)
        set_quantity (map, "ephemeral-storage", machine->allocatable_disk_bytes, "");
      else
        set_quantity (map, "ephemeral-storage", machine->disk_bytes / 1024, "Ki");
      set_quantity (map, "hugepages-1Gi", machine->hugepages_1g_bytes, "");
      set_quantity (map, "hugepages-2Mi", machine->hugepages_2m_bytes, "");
      set_quantity (map, "memory", (i == 0 ? machine->allocatable_memory_bytes : machine->memory_bytes) / 1024, "Ki");
      set_quantity (map, "pods", machine->max_pods, "");
    }
}

static void
add_address (CubeMut *addresses, const char *type, const char *address)
{
  CubeMut *entry = cube_mut_append_object (addresses);
  cube_mut_set_string (entry, "type", type);
  cube_mut_set_string (entry, "address", address);
}

static void
set_info (CubeMut *status, const NodeRegistration *self, const NodeMachine *machine)
{
  CubeMut *info = cube_mut_set_object (status, "nodeInfo");
  g_autofree char *version = g_strdup_printf ("%s://%s", self->runtime.name != NULL ? self->runtime.name : "unknown",
                                              self->runtime.version != NULL ? self->runtime.version : "");
  cube_mut_set_string (info, "architecture", machine->arch);
  cube_mut_set_string (info, "bootID", machine->boot_id);
  cube_mut_set_string (info, "containerRuntimeVersion", version);
  cube_mut_set_string (info, "kernelVersion", machine->kernel);
  cube_mut_set_string (info, "kubeProxyVersion", "");
  cube_mut_set_string (info, "kubeletVersion", KUBELET_VERSION);
  cube_mut_set_string (info, "machineID", machine->machine_id);
  cube_mut_set_string (info, "operatingSystem", "linux");
  cube_mut_set_string (info, "osImage", machine->os_image);
  cube_mut_set_string (info, "systemUUID", machine->system_uuid);
  cube_mut_set_int (cube_mut_set_object (info, "swap"), "capacity", machine->swap_bytes);
}

static gint
compare_images (gconstpointer a, gconstpointer b)
{
  const CubeImage *x = *(CubeImage *const *) a, *y = *(CubeImage *const *) b;
  if (x->size_bytes != y->size_bytes)
    return x->size_bytes > y->size_bytes ? -1 : 1;
  return g_strcmp0 (x->id, y->id);
}

static void
add_image_names (CubeMut *names, char **from)
{
  for (guint i = 0; from != NULL && from[i] != NULL && cube_mut_length (names) < MAX_IMAGE_NAMES; i++)
    cube_mut_append_string (names, from[i]);
}

static void
set_images (CubeMut *status, const NodeRegistration *self)
{
  CubeMut *images = cube_mut_set_array (status, "images");
  if (self->images == NULL)
    return;
  g_ptr_array_sort (self->images, compare_images);
  for (guint i = 0; i < self->images->len && i < MAX_IMAGES; i++)
    {
      const CubeImage *image = self->images->pdata[i];
      CubeMut *entry = cube_mut_append_object (images);
      CubeMut *names = cube_mut_set_array (entry, "names");
      add_image_names (names, image->digests);
      add_image_names (names, image->tags);
      cube_mut_set_int (entry, "sizeBytes", (gint64) image->size_bytes);
    }
}

/* Keeps what others wrote and the order; heartbeat only when @heartbeat. */
static void
set_condition (CubeMut *conditions, CubeView old, const char *type, const char *status, const char *reason, const char *message,
               const char *now, gboolean heartbeat)
{
  CubeView before = cube_condition_find (old, type);
  gboolean is_same = g_strcmp0 (cube_view_get_string (before, "status"), status) == 0;
  CubeMut *entry = cube_mut_append_object (conditions);
  cube_mut_set_string (entry, "type", type);
  cube_mut_set_string (entry, "status", status);
  if (heartbeat)
    {
      const char *since = is_same ? cube_view_get_string (before, "lastTransitionTime") : NULL;
      cube_mut_set_string (entry, "lastHeartbeatTime", now);
      cube_mut_set_string (entry, "lastTransitionTime", since != NULL ? since : now);
    }
  cube_mut_set_string (entry, "reason", reason);
  cube_mut_set_string (entry, "message", message);
}

static gboolean
is_ours (const char *type)
{
  return type == NULL || g_str_equal (type, "MemoryPressure") || g_str_equal (type, "DiskPressure") || g_str_equal (type, "PIDPressure")
         || g_str_equal (type, "Ready");
}

static void
set_conditions (CubeMut *status, CubeView old, const NodeRegistration *self, gboolean heartbeat)
{
  CubeMut *conditions = cube_mut_new_array (cube_mut_builder (status));
  char now[32];
  CubeIter it;
  CubeView condition;
  cube_time_format (cube_context_now_us (self->agent->context), now);
  for (cube_iter_init (&it, cube_view_member (old, "conditions")); heartbeat && cube_iter_next (&it, NULL, &condition);)
    if (!is_ours (cube_view_get_string (condition, "type")))
      cube_mut_append (conditions, cube_mut_new_view (cube_mut_builder (status), condition));
  set_condition (conditions, old, "MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available", now,
                 heartbeat);
  set_condition (conditions, old, "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", now, heartbeat);
  set_condition (conditions, old, "PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available", now,
                 heartbeat);
  if (self->runtime_problem == NULL)
    set_condition (conditions, old, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now, heartbeat);
  else
    set_condition (conditions, old, "Ready", "False", "KubeletNotReady", self->runtime_problem, now, heartbeat);
  cube_mut_set (status, "conditions", conditions);
}

/* Where the server comes for logs and exec; the number means nothing when the agent is in its process. */
static gint64
gateway_port (NodeAgent *agent)
{
  g_autofree char *port = cube_context_fact (agent->context, "gateway-port");
  return port != NULL ? g_ascii_strtoll (port, NULL, 10) : KUBELET_PORT;
}

static void
fill_status (CubeMut *status, CubeView old, const NodeRegistration *self, gboolean heartbeat)
{
  const NodeMachine *machine = self->agent->machine;
  CubeMut *addresses = cube_mut_set_array (status, "addresses");
  add_address (addresses, "InternalIP", machine->ip);
  add_address (addresses, "Hostname", machine->hostname);
  set_resources (status, machine);
  set_conditions (status, old, self, heartbeat);
  cube_mut_set_int (cube_mut_set_object (cube_mut_set_object (status, "daemonEndpoints"), "kubeletEndpoint"), "Port",
                    gateway_port (self->agent));
  set_images (status, self);
  set_info (status, self, machine);
}

static gboolean
change_status (CubeMut *root, CubeView current, gpointer data)
{
  fill_status (cube_mut_ensure_object (root, "status"), cube_view_member (current, "status"), data, TRUE);
  return TRUE;
}

static void
tell_events (NodeRegistration *self)
{
  NodeAgent *agent = self->agent;
  gboolean is_ready = self->runtime_problem == NULL;
  if (!self->has_started_event)
    cube_recorder_event (agent->recorder, self->node, NULL, "Normal", "Starting", "Starting kubelet.");
  if (is_ready != self->was_ready || (!self->has_started_event && is_ready))
    cube_recorder_event (agent->recorder, self->node, NULL, "Normal", is_ready ? "NodeReady" : "NodeNotReady", "Node %s status is now: %s",
                         agent->node_name, is_ready ? "NodeReady" : "NodeNotReady");
  self->has_started_event = TRUE;
  self->was_ready = is_ready;
}

static void
report_status (NodeRegistration *self)
{
  NodeAgent *agent = self->agent;
  gint64 now = cube_context_monotonic_us (agent->context);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (GError) error = NULL;
  fill_status (cube_builder_root (builder), cube_view_none (), self, FALSE);
  g_autoptr (CubeValue) fresh = cube_builder_end (builder);
  gboolean is_same = self->reported != NULL && cube_view_equal (cube_value_root (fresh), cube_value_root (self->reported));
  if (is_same && now - self->reported_us < REPORT_US)
    return;
  g_autoptr (CubeObject) written = cube_client_modify (agent->client, node_agent_resource (agent, "v1", "nodes"), "status", NULL,
                                                       agent->node_name, change_status, self, &error);
  if (written == NULL)
    {
      g_warning ("node %s: status not written: %s", agent->node_name, error->message);
      if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        self->is_registered = FALSE;
      return;
    }
  cube_value_unref (self->reported);
  self->reported = g_steal_pointer (&fresh);
  self->reported_us = now;
  self->is_changed = TRUE;
  tell_events (self);
}

/* ---- the Lease ---- */

static void
fill_lease (CubeMut *root, const NodeRegistration *self)
{
  NodeAgent *agent = self->agent;
  char now[40];
  cube_time_format_micro (cube_context_now_us (agent->context), now);
  CubeMut *owners = cube_mut_set_array (cube_mut_ensure_object (root, "metadata"), "ownerReferences");
  CubeMut *owner = cube_mut_append_object (owners);
  cube_mut_set_string (owner, "apiVersion", "v1");
  cube_mut_set_string (owner, "kind", "Node");
  cube_mut_set_string (owner, "name", agent->node_name);
  cube_mut_set_string (owner, "uid", cube_object_uid (self->node));
  CubeMut *spec = cube_mut_ensure_object (root, "spec");
  cube_mut_set_string (spec, "holderIdentity", agent->node_name);
  cube_mut_set_int (spec, "leaseDurationSeconds", LEASE_SECONDS);
  cube_mut_set_string (spec, "renewTime", now);
}

static gboolean
change_lease (CubeMut *root, CubeView current, gpointer data)
{
  fill_lease (root, data);
  return TRUE;
}

static void
renew_lease (NodeRegistration *self)
{
  NodeAgent *agent = self->agent;
  const CubeResource *leases = node_agent_resource (agent, "coordination.k8s.io/v1", "leases");
  g_autoptr (GError) error = NULL;
  if (leases == NULL)
    return;
  g_autoptr (CubeObject) lease =
      cube_client_modify (agent->client, leases, NULL, "kube-node-lease", agent->node_name, change_lease, self, &error);
  if (lease == NULL && g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      CubeMut *root = cube_builder_root (builder);
      cube_mut_set_string (root, "apiVersion", "coordination.k8s.io/v1");
      cube_mut_set_string (root, "kind", "Lease");
      CubeMut *metadata = cube_mut_set_object (root, "metadata");
      cube_mut_set_string (metadata, "name", agent->node_name);
      cube_mut_set_string (metadata, "namespace", "kube-node-lease");
      fill_lease (root, self);
      g_autoptr (CubeValue) value = cube_builder_end (builder);
      g_clear_error (&error);
      lease = cube_client_create (agent->client, leases, "kube-node-lease", value, &error);
    }
  if (lease == NULL)
    g_warning ("node %s: lease not renewed: %s", agent->node_name, error->message);
}

/* ---- passes ---- */

static gboolean
ensure_registered (NodeRegistration *self)
{
  g_autoptr (GError) error = NULL;
  if (self->is_registered || register_node (self, &error))
    {
      g_clear_pointer (&self->problem, g_free);
      return TRUE;
    }
  if (g_strcmp0 (self->problem, error->message) != 0) /* once, not with each try */
    g_warning ("node %s: not registered: %s", self->agent->node_name, error->message);
  g_free (self->problem);
  self->problem = g_strdup (error->message);
  return FALSE;
}

static void
pass_work (gpointer data)
{
  NodeRegistration *self = data;
  g_autoptr (GError) error = NULL;
  /* first of all: the node's address range is given to the Node, and a runtime that starts may take its time */
  gboolean is_registered = ensure_registered (self);
  if (self->wanted_cidr != NULL && g_strcmp0 (self->wanted_cidr, self->configured_cidr) != 0)
    {
      if (node_network_configure (self->agent, self->wanted_cidr, &error))
        {
          g_free (self->configured_cidr);
          self->configured_cidr = g_strdup (self->wanted_cidr);
        }
      else
        g_warning ("%s", error->message);
      g_clear_error (&error);
    }
  check_runtime (self);
  if (!is_registered)
    return;
  report_status (self);
  renew_lease (self);
}

static gint64
next_delay (NodeRegistration *self)
{
  if (self->is_asked)
    return 0;
  if (self->runtime_problem != NULL || !self->is_registered)
    {
      self->eager_us =
          MIN (MAX (self->eager_us * 3 / 2, EAGER_US), self->is_ready || self->problem != NULL ? PERIOD_US / 5 : EAGER_LAST_US);
      return self->eager_us;
    }
  self->eager_us = 0;
  return PERIOD_US + (gint64) (cube_context_random (self->agent->context) % (PERIOD_US / 25));
}

static void
pass_due (gpointer data)
{
  NodeRegistration *self = data;
  g_clear_pointer (&self->timer, cube_timer_cancel);
  begin_pass (self);
}

static void
pass_done (gpointer data)
{
  NodeRegistration *self = data;
  self->is_busy = FALSE;
  if (self->agent->is_stopping)
    return;
  gboolean is_ready = self->runtime_problem == NULL && self->is_registered;
  cube_context_set_health (self->agent->context, is_ready, self->runtime_problem);
  if (is_ready && !self->is_ready)
    node_agent_runtime_changed (self->agent);
  self->is_ready = is_ready;
  g_clear_pointer (&self->timer, cube_timer_cancel);
  self->timer = cube_loop_after (self->agent->loop, next_delay (self), pass_due, self, NULL);
}

static void
begin_pass (gpointer data)
{
  NodeRegistration *self = data;
  NodeAgent *agent = self->agent;
  if (self->is_busy || agent->is_stopping)
    return;
  self->is_asked = FALSE;
  self->is_busy = TRUE;
  if (agent->node_informer != NULL)
    {
      g_autoptr (CubeObject) node = cube_informer_get (agent->node_informer, NULL, agent->node_name);
      g_autoptr (CubeValue) value = node != NULL ? cube_object_value (node) : NULL;
      const char *cidr = value != NULL ? cube_view_string (cube_value_get (value, "spec", "podCIDR")) : NULL;
      if (cidr != NULL && g_strcmp0 (cidr, self->wanted_cidr) != 0)
        {
          g_free (self->wanted_cidr);
          self->wanted_cidr = g_strdup (cidr);
        }
    }
  cube_context_run_blocking (agent->context, pass_work, agent->loop, pass_done, self);
}

NodeRegistration *
node_registration_new (NodeAgent *agent)
{
  NodeRegistration *self = g_new0 (NodeRegistration, 1);
  self->agent = agent;
  return self;
}

void
node_registration_start (NodeRegistration *self)
{
  begin_pass (self);
}

void
node_registration_check_soon (NodeRegistration *self)
{
  self->is_asked = TRUE;
  if (self->is_busy)
    return;
  g_clear_pointer (&self->timer, cube_timer_cancel);
  begin_pass (self);
}

gboolean
node_registration_is_network_ready (NodeRegistration *self)
{
  return g_atomic_int_get (&self->network_ready);
}

gboolean
node_registration_is_idle (NodeRegistration *self)
{
  return !self->is_busy;
}

void
node_registration_free (NodeRegistration *self)
{
  if (self == NULL)
    return;
  cube_timer_cancel (self->timer);
  cube_runtime_status_clear (&self->runtime);
  g_free (self->configured_cidr);
  g_free (self->wanted_cidr);
  g_free (self->runtime_problem);
  g_clear_pointer (&self->images, g_ptr_array_unref);
  cube_value_unref (self->reported);
  if (self->node != NULL)
    cube_object_unref (self->node);
  g_free (self);
}
