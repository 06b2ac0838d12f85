/* SPDX-License-Identifier: Apache-2.0 */
/* What the strategies of single kinds do beyond their schema line. */
#include "strategy.h"

#define GATED "Scheduling is blocked due to non-empty scheduling gates"
#define TEMPLATE_GENERATION "deprecated.daemonset.template.generation"

/* ---- create ---- */

/* matchLabelKeys of a pod's (anti-)affinity become requirements with the pod's own values. */
static void
merge_label_keys (CubeMut *term, CubeMut *labels, const char *field, const char *operator)
{
  CubeMut *keys = cube_mut_member (term, field);
  for (guint i = 0; i < cube_mut_length (keys); i++)
    {
      const char *key = cube_mut_string (cube_mut_element (keys, i));
      CubeMut *value = key == NULL ? NULL : cube_mut_member (labels, key);
      if (value == NULL || cube_mut_member (term, "labelSelector") == NULL)
        continue;
      CubeMut *requirement = cube_mut_append_object (cube_mut_ensure_array (cube_mut_member (term, "labelSelector"), "matchExpressions"));
      cube_mut_set_string (requirement, "key", key);
      cube_mut_set_string (requirement, "operator", operator);
      cube_mut_append (cube_mut_set_array (requirement, "values"), cube_mut_new_copy (cube_mut_builder (term), value));
    }
}

static void
merge_affinity (CubeMut *affinity, CubeMut *labels)
{
  static const char *const kinds[] = { "podAffinity", "podAntiAffinity" };
  for (guint k = 0; k < G_N_ELEMENTS (kinds); k++)
    {
      CubeMut *required = cube_mut_get (affinity, kinds[k], "requiredDuringSchedulingIgnoredDuringExecution");
      CubeMut *preferred = cube_mut_get (affinity, kinds[k], "preferredDuringSchedulingIgnoredDuringExecution");
      guint n = cube_mut_length (required);
      for (guint i = 0; i < n + cube_mut_length (preferred); i++)
        {
          CubeMut *term = i < n ? cube_mut_element (required, i) : cube_mut_member (cube_mut_element (preferred, i - n), "podAffinityTerm");
          merge_label_keys (term, labels, "matchLabelKeys", "In");
          merge_label_keys (term, labels, "mismatchLabelKeys", "NotIn");
        }
    }
}

static void
create_pod (CubeMut *root)
{
  CubeMut *spec = cube_mut_member (root, "spec");
  CubeMut *status = cube_mut_set_object (root, "status");
  cube_mut_set_string (status, "phase", "Pending");
  if (spec == NULL)
    return;
  cube_mut_set_string (status, "qosClass", cube_pod_qos_class (cube_mut_pack (spec)));
  if (cube_mut_length (cube_mut_member (spec, "schedulingGates")) > 0)
    {
      CubeMut *condition = cube_mut_append_object (cube_mut_set_array (status, "conditions"));
      cube_mut_set_string (condition, "type", "PodScheduled");
      cube_mut_set_string (condition, "status", "False");
      cube_mut_set_string (condition, "reason", "SchedulingGated");
      cube_mut_set_string (condition, "message", GATED);
    }
  CubeMut *affinity = cube_mut_member (spec, "affinity");
  if (affinity != NULL)
    merge_affinity (affinity, cube_mut_get (root, "metadata", "labels"));
}

static void
create_namespace (CubeMut *root)
{
  CubeMut *finalizers = cube_mut_ensure_array (cube_mut_ensure_object (root, "spec"), "finalizers");
  for (guint i = 0; i < cube_mut_length (finalizers); i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_element (finalizers, i)), "kubernetes") == 0)
      return;
  cube_mut_append_string (finalizers, "kubernetes");
}

/* The labels by which a job finds its pods; needs metadata.uid. */
static void
create_job (CubeMut *root)
{
  const char *name = cube_mut_string (cube_mut_get (root, "metadata", "name"));
  const char *uid = cube_mut_string (cube_mut_get (root, "metadata", "uid"));
  CubeMut *spec = cube_mut_member (root, "spec");
  if (spec == NULL || name == NULL || uid == NULL || cube_mut_bool (cube_mut_member (spec, "manualSelector"), FALSE))
    return;
  g_autofree char *name_copy = g_strdup (name), *uid_copy = g_strdup (uid);
  const char *const pairs[][2] = { { "job-name", name_copy },
                                   { "batch.kubernetes.io/job-name", name_copy },
                                   { "controller-uid", uid_copy },
                                   { "batch.kubernetes.io/controller-uid", uid_copy } };
  CubeMut *labels = cube_mut_ensure (spec, "template", "metadata", "labels");
  for (guint i = 0; i < G_N_ELEMENTS (pairs); i++)
    if (cube_mut_member (labels, pairs[i][0]) == NULL)
      cube_mut_set_string (labels, pairs[i][0], pairs[i][1]);
  CubeMut *selector = cube_mut_ensure (spec, "selector", "matchLabels");
  if (cube_mut_member (selector, "batch.kubernetes.io/controller-uid") == NULL)
    cube_mut_set_string (selector, "batch.kubernetes.io/controller-uid", uid_copy);
}

static void
create_volume (CubeMut *root)
{
  cube_mut_set_string (cube_mut_ensure_object (root, "status"), "phase", "Pending");
}

/* dataSource and dataSourceRef say the same when only one is given and no namespace is involved. */
static void
join_data_sources (CubeMut *root)
{
  CubeMut *spec = cube_mut_member (root, "spec");
  CubeMut *source = cube_mut_member (spec, "dataSource"), *reference = cube_mut_member (spec, "dataSourceRef");
  if (source != NULL && reference == NULL)
    cube_mut_set (spec, "dataSourceRef", cube_mut_new_copy (cube_mut_builder (spec), source));
  else if (reference != NULL && source == NULL && cube_mut_member (reference, "namespace") == NULL)
    cube_mut_set (spec, "dataSource", cube_mut_new_copy (cube_mut_builder (spec), reference));
}

static void
trim_secrets (CubeMut *root)
{
  CubeMut *secrets = cube_mut_member (root, "secrets");
  for (guint i = 0; i < cube_mut_length (secrets); i++)
    {
      CubeMut *secret = cube_mut_element (secrets, i);
      if (cube_mut_length (secret) <= 1)
        continue;
      CubeMut *name = cube_mut_member (secret, "name"), *trimmed = cube_mut_new_object (cube_mut_builder (root));
      if (name != NULL)
        cube_mut_set (trimmed, "name", cube_mut_new_copy (cube_mut_builder (root), name));
      cube_mut_replace_element (secrets, i, trimmed);
    }
}

static void
set_template_generation (CubeMut *root, gint64 generation)
{
  char text[24];
  g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, generation);
  cube_mut_set_string (cube_mut_ensure (root, "metadata", "annotations"), TEMPLATE_GENERATION, text);
}

static const char *
crd_storage_version (CubeMut *root)
{
  CubeMut *versions = cube_mut_get (root, "spec", "versions");
  for (guint i = 0; i < cube_mut_length (versions); i++)
    if (cube_mut_bool (cube_mut_member (cube_mut_element (versions, i), "storage"), FALSE))
      return cube_mut_string (cube_mut_member (cube_mut_element (versions, i), "name"));
  return NULL;
}

static void
add_stored_version (CubeMut *root)
{
  g_autofree char *version = g_strdup (crd_storage_version (root));
  if (version == NULL)
    return;
  CubeMut *stored = cube_mut_ensure_array (cube_mut_ensure_object (root, "status"), "storedVersions");
  for (guint i = 0; i < cube_mut_length (stored); i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_element (stored, i)), version) == 0)
      return;
  cube_mut_append_string (stored, version);
}

static void
create_apiservice (CubeMut *root)
{
  if (cube_mut_get (root, "spec", "service") != NULL)
    return;
  CubeMut *condition = cube_mut_append_object (cube_mut_set_array (cube_mut_ensure_object (root, "status"), "conditions"));
  cube_mut_set_string (condition, "type", "Available");
  cube_mut_set_string (condition, "status", "True");
  cube_mut_set_string (condition, "reason", "Local");
  cube_mut_set_string (condition, "message", "Local APIServices are always available");
}

void
cube_strategy_create_hook (CubeStrategyHook hook, CubeMut *root)
{
  switch (hook)
    {
    case CUBE_STRATEGY_HOOK_POD: create_pod (root); break;
    case CUBE_STRATEGY_HOOK_NAMESPACE: create_namespace (root); break;
    case CUBE_STRATEGY_HOOK_JOB: create_job (root); break;
    case CUBE_STRATEGY_HOOK_PERSISTENT_VOLUME: create_volume (root); break;
    case CUBE_STRATEGY_HOOK_VOLUME_CLAIM: join_data_sources (root); break;
    case CUBE_STRATEGY_HOOK_SERVICE_ACCOUNT: trim_secrets (root); break;
    case CUBE_STRATEGY_HOOK_DAEMON_SET: set_template_generation (root, 1); break;
    case CUBE_STRATEGY_HOOK_CRD: add_stored_version (root); break;
    case CUBE_STRATEGY_HOOK_APISERVICE: create_apiservice (root); break;
    default: break;
    }
}

/* ---- update ---- */

static void
update_daemon_set (CubeMut *root, CubeView old)
{
  const char *text = cube_view_get_string (old, "metadata", "annotations", TEMPLATE_GENERATION);
  gint64 generation = text == NULL ? 1 : g_ascii_strtoll (text, NULL, 10);
  if (!cube_mut_equal_view (cube_mut_get (root, "spec", "template"), cube_view_get (old, "spec", "template")))
    generation++;
  set_template_generation (root, generation);
}

static gboolean
same (CubeMut *spec, CubeView old, const char *key)
{
  return cube_mut_equal_view (cube_mut_member (spec, key), cube_view_member (old, key));
}

static gboolean
type_needs_node_port (const char *type)
{
  return g_strcmp0 (type, "NodePort") == 0 || g_strcmp0 (type, "LoadBalancer") == 0;
}

static void
drop_node_ports (CubeMut *spec, CubeView old)
{
  CubeMut *ports = cube_mut_member (spec, "ports");
  CubeView old_ports = cube_view_member (old, "ports");
  for (guint i = 0; i < cube_mut_length (ports); i++)
    {
      CubeMut *port = cube_mut_element (ports, i);
      gint64 number = cube_mut_int (cube_mut_member (port, "nodePort"), 0);
      gboolean known = number == 0;
      for (guint o = 0; o < cube_view_length (old_ports) && !known; o++)
        known = cube_view_get_int (cube_view_element (old_ports, o), 0, "nodePort") == number;
      if (!known)
        return;
    }
  for (guint i = 0; i < cube_mut_length (ports); i++)
    cube_mut_remove (cube_mut_element (ports, i), "nodePort");
}

/* Fields that belonged to the old type go when the type changes and the client did not touch them. */
static void
update_service (CubeMut *root, CubeView old_root)
{
  CubeMut *spec = cube_mut_member (root, "spec");
  CubeView old = cube_view_member (old_root, "spec");
  const char *type = cube_mut_string (cube_mut_member (spec, "type")), *old_type = cube_view_get_string (old, "type");
  if (spec == NULL || g_strcmp0 (type, old_type) == 0)
    return;
  gboolean external = g_strcmp0 (type, "ExternalName") == 0;
  static const char *const cluster_fields[] = { "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy" };
  if (external && same (spec, old, "clusterIP") && same (spec, old, "clusterIPs"))
    for (guint i = 0; i < G_N_ELEMENTS (cluster_fields); i++)
      if (same (spec, old, cluster_fields[i]))
        cube_mut_remove (spec, cluster_fields[i]);
  gboolean balanced = g_strcmp0 (type, "LoadBalancer") == 0;
  if (type_needs_node_port (old_type) && !type_needs_node_port (type))
    {
      drop_node_ports (spec, old);
      if (same (spec, old, "externalTrafficPolicy") && cube_mut_length (cube_mut_member (spec, "externalIPs")) == 0)
        cube_mut_remove (spec, "externalTrafficPolicy");
    }
  static const char *const balancer_fields[] = { "healthCheckNodePort", "allocateLoadBalancerNodePorts", "loadBalancerClass" };
  for (guint i = 0; i < G_N_ELEMENTS (balancer_fields) && g_strcmp0 (old_type, "LoadBalancer") == 0 && !balanced; i++)
    if (same (spec, old, balancer_fields[i]))
      cube_mut_remove (spec, balancer_fields[i]);
}

void
cube_strategy_update_hook (CubeStrategyHook hook, CubeMut *root, CubeView old)
{
  switch (hook)
    {
    case CUBE_STRATEGY_HOOK_SERVICE: update_service (root, old); break;
    case CUBE_STRATEGY_HOOK_DAEMON_SET: update_daemon_set (root, old); break;
    case CUBE_STRATEGY_HOOK_NAMESPACE: cube_mut_set_view (root, "spec", cube_view_member (old, "spec")); break;
    case CUBE_STRATEGY_HOOK_NODE:
      if (!cube_view_exists (cube_view_get (old, "spec", "configSource")))
        cube_mut_remove (cube_mut_ensure_object (root, "spec"), "configSource");
      break;
    case CUBE_STRATEGY_HOOK_SECRET:
      if (cube_mut_member (root, "type") == NULL)
        cube_mut_set_view (root, "type", cube_view_member (old, "type"));
      break;
    case CUBE_STRATEGY_HOOK_SERVICE_ACCOUNT: trim_secrets (root); break;
    case CUBE_STRATEGY_HOOK_VOLUME_CLAIM: join_data_sources (root); break;
    case CUBE_STRATEGY_HOOK_CRD: add_stored_version (root); break;
    default: break;
    }
}

/* ---- status ---- */

static gboolean
is_decision (const char *type)
{
  return g_strcmp0 (type, "Approved") == 0 || g_strcmp0 (type, "Denied") == 0;
}

/* Approved and Denied are set through the approval door only. */
static void
keep_decisions (CubeMut *root, CubeView old)
{
  CubeMut *kept = cube_mut_new_array (cube_mut_builder (root));
  CubeView old_conditions = cube_view_get (old, "status", "conditions");
  for (guint i = 0; i < cube_view_length (old_conditions); i++)
    {
      CubeView condition = cube_view_element (old_conditions, i);
      if (is_decision (cube_view_get_string (condition, "type")))
        cube_mut_append (kept, cube_mut_new_view (cube_mut_builder (root), condition));
    }
  CubeMut *conditions = cube_mut_get (root, "status", "conditions");
  for (guint i = 0; i < cube_mut_length (conditions); i++)
    {
      CubeMut *condition = cube_mut_element (conditions, i);
      if (!is_decision (cube_mut_string (cube_mut_member (condition, "type"))))
        cube_mut_append (kept, cube_mut_new_copy (cube_mut_builder (root), condition));
    }
  if (cube_mut_length (kept) > 0)
    cube_mut_set (cube_mut_ensure_object (root, "status"), "conditions", kept);
}

static void
update_pod_status (CubeMut *root, CubeView old)
{
  CubeMut *metadata = cube_mut_ensure_object (root, "metadata"), *status = cube_mut_ensure_object (root, "status");
  cube_mut_set_view (metadata, "ownerReferences", cube_view_get (old, "metadata", "ownerReferences"));
  if (cube_mut_member (status, "qosClass") == NULL)
    cube_mut_set_view (status, "qosClass", cube_view_get (old, "status", "qosClass"));
  if (cube_mut_int (cube_mut_member (status, "observedGeneration"), 0) == 0)
    cube_mut_set_view (status, "observedGeneration", cube_view_get (old, "status", "observedGeneration"));
}

void
cube_strategy_status_hook (CubeStrategyHook hook, CubeMut *root, CubeView old)
{
  if (hook == CUBE_STRATEGY_HOOK_CERTIFICATE_REQUEST)
    keep_decisions (root, old);
  else if (hook == CUBE_STRATEGY_HOOK_POD)
    update_pod_status (root, old);
}

/* ---- other doors ---- */

/* The old object in place of the given one, with metadata of the given one. */
static void
start_from_old (CubeMut *root, CubeView old)
{
  CubeMut *fresh = cube_mut_new_view (cube_mut_builder (root), old);
  CubeMut *metadata = cube_mut_member (root, "metadata");
  if (metadata != NULL)
    cube_mut_set (fresh, "metadata", cube_mut_new_copy (cube_mut_builder (root), metadata));
  cube_mut_become (root, fresh);
}

static void
update_ephemeral_containers (CubeMut *root, CubeView old)
{
  CubeMut *given = cube_mut_get (root, "spec", "ephemeralContainers");
  CubeMut *copy = given == NULL ? NULL : cube_mut_new_copy (cube_mut_builder (root), given);
  start_from_old (root, old);
  if (copy != NULL)
    cube_mut_set (cube_mut_ensure_object (root, "spec"), "ephemeralContainers", copy);
  else
    cube_mut_remove (cube_mut_ensure_object (root, "spec"), "ephemeralContainers");
}

static void
take_resources (CubeMut *from, CubeMut *to)
{
  static const char *const fields[] = { "resources", "resizePolicy" };
  for (guint i = 0; i < cube_mut_length (to) && i < cube_mut_length (from); i++)
    for (guint f = 0; f < G_N_ELEMENTS (fields); f++)
      {
        CubeMut *value = cube_mut_member (cube_mut_element (from, i), fields[f]);
        if (value != NULL)
          cube_mut_set (cube_mut_element (to, i), fields[f], cube_mut_new_copy (cube_mut_builder (to), value));
        else
          cube_mut_remove (cube_mut_element (to, i), fields[f]);
      }
}

static void
update_resize (CubeMut *root, CubeView old)
{
  CubeMut *given = cube_mut_member (root, "spec");
  CubeMut *copy = given == NULL ? NULL : cube_mut_new_copy (cube_mut_builder (root), given);
  start_from_old (root, old);
  CubeMut *spec = cube_mut_member (root, "spec");
  take_resources (cube_mut_member (copy, "containers"), cube_mut_member (spec, "containers"));
  take_resources (cube_mut_member (copy, "initContainers"), cube_mut_member (spec, "initContainers"));
  CubeMut *resources = cube_mut_member (copy, "resources");
  if (resources != NULL)
    cube_mut_set (spec, "resources", cube_mut_new_copy (cube_mut_builder (root), resources));
}

static void
update_approval (CubeMut *root, CubeView old)
{
  CubeMut *given = cube_mut_get (root, "status", "conditions");
  CubeMut *copy = given == NULL ? NULL : cube_mut_new_copy (cube_mut_builder (root), given);
  start_from_old (root, old);
  if (copy != NULL)
    cube_mut_set (cube_mut_ensure_object (root, "status"), "conditions", copy);
}

void
cube_strategy_subresource (const char *subresource, CubeMut *root, CubeView old)
{
  if (strcmp (subresource, "ephemeralcontainers") == 0)
    update_ephemeral_containers (root, old);
  else if (strcmp (subresource, "resize") == 0)
    update_resize (root, old);
  else if (strcmp (subresource, "approval") == 0)
    update_approval (root, old);
  else if (strcmp (subresource, "finalize") == 0)
    cube_mut_set_view (root, "status", cube_view_member (old, "status"));
}
