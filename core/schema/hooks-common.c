/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds with rules of their own. */
#include "hooks-kinds.h"

typedef struct {
  const char *group, *kind;
  void (*validate) (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors);
  void (*warn) (CubeView object, CubeView old, GPtrArray *warnings);
} KindHook;

/* The kinds written most stand first. */
static const KindHook kind_hooks[] = {
  { "", "Pod", cube_hook_pod, cube_warn_pod_object },
  { "apps", "ReplicaSet", cube_hook_replica_set, cube_warn_template },
  { "apps", "Deployment", cube_hook_deployment, cube_warn_template },
  { "apps", "StatefulSet", cube_hook_stateful_set, cube_warn_template },
  { "apps", "DaemonSet", cube_hook_daemon_set, cube_warn_template },
  { "batch", "Job", cube_hook_job, cube_warn_template },
  { "batch", "CronJob", cube_hook_cron_job, cube_warn_cron_job },
  { "", "ReplicationController", cube_hook_replication_controller, cube_warn_template },
  { "", "PodTemplate", cube_hook_pod_template, NULL },
  { "", "Service", cube_hook_service, cube_warn_service },
  { "", "Endpoints", cube_hook_endpoints, NULL },
  { "discovery.k8s.io", "EndpointSlice", cube_hook_endpoint_slice, cube_warn_endpoint_slice },
  { "networking.k8s.io", "Ingress", cube_hook_ingress, cube_warn_ingress },
  { "networking.k8s.io", "NetworkPolicy", cube_hook_network_policy, NULL },
  { "", "ConfigMap", cube_hook_config_map, NULL },
  { "", "Secret", cube_hook_secret, NULL },
  { "", "Event", cube_hook_event, NULL },
  { "", "Node", cube_hook_node, cube_warn_node },
  { "coordination.k8s.io", "Lease", cube_hook_lease, NULL },
  { "", "LimitRange", cube_hook_limit_range, NULL },
  { "", "ResourceQuota", cube_hook_resource_quota, NULL },
  { "scheduling.k8s.io", "PriorityClass", cube_hook_priority_class, NULL },
  { "rbac.authorization.k8s.io", "Role", cube_hook_role, NULL },
  { "rbac.authorization.k8s.io", "ClusterRole", cube_hook_cluster_role, NULL },
  { "rbac.authorization.k8s.io", "RoleBinding", cube_hook_role_binding, NULL },
  { "rbac.authorization.k8s.io", "ClusterRoleBinding", cube_hook_cluster_role_binding, NULL },
  { "autoscaling", "HorizontalPodAutoscaler", cube_hook_autoscaler, NULL },
  { "policy", "PodDisruptionBudget", cube_hook_disruption_budget, NULL },
  { "", "Namespace", cube_hook_namespace, NULL },
  { "node.k8s.io", "RuntimeClass", cube_hook_runtime_class, NULL },
  { "apps", "ControllerRevision", cube_hook_revision, NULL },
  { "authorization.k8s.io", "SubjectAccessReview", cube_hook_access_review, NULL },
  { "authorization.k8s.io", "SelfSubjectAccessReview", cube_hook_self_review, NULL },
  { "authorization.k8s.io", "LocalSubjectAccessReview", cube_hook_local_review, NULL },
  { "events.k8s.io", "Event", cube_hook_new_event, NULL },
  { "apiextensions.k8s.io", "CustomResourceDefinition", cube_hook_definition, NULL },
  { "resource.k8s.io", "ResourceClaim", cube_hook_resource_claim, NULL },
  { "resource.k8s.io", "ResourceClaimTemplate", cube_hook_claim_template, NULL },
  { "resource.k8s.io", "DeviceClass", cube_hook_device_class, NULL },
  { "resource.k8s.io", "ResourceSlice", cube_hook_resource_slice, NULL },
  { "networking.k8s.io", "IngressClass", cube_hook_ingress_class, NULL },
  { "networking.k8s.io", "ServiceCIDR", cube_hook_service_cidr, NULL },
  { "networking.k8s.io", "IPAddress", cube_hook_ip_address, NULL },
  { "", "PersistentVolumeClaim", cube_hook_volume_claim, NULL },
  { "", "PersistentVolume", cube_hook_persistent_volume, NULL },
  { "storage.k8s.io", "StorageClass", cube_hook_storage_class, NULL },
  { "storage.k8s.io", "VolumeAttributesClass", cube_hook_attributes_class, NULL },
  { "storage.k8s.io", "VolumeAttachment", cube_hook_volume_attachment, NULL },
  { "storage.k8s.io", "CSIDriver", cube_hook_csi_driver, NULL },
  { "storage.k8s.io", "CSINode", cube_hook_csi_node, NULL },
  { "storage.k8s.io", "CSIStorageCapacity", cube_hook_storage_capacity, NULL },
  { "admissionregistration.k8s.io", "ValidatingWebhookConfiguration", cube_hook_webhooks, NULL },
  { "admissionregistration.k8s.io", "MutatingWebhookConfiguration", cube_hook_webhooks, NULL },
  { "admissionregistration.k8s.io", "ValidatingAdmissionPolicy", cube_hook_validating_policy, NULL },
  { "admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", cube_hook_policy_binding, NULL },
  { "admissionregistration.k8s.io", "MutatingAdmissionPolicy", cube_hook_mutating_policy, NULL },
  { "admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding", cube_hook_policy_binding, NULL },
  { "flowcontrol.apiserver.k8s.io", "FlowSchema", cube_hook_flow_schema, NULL },
  { "flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration", cube_hook_priority_level, NULL },
  { "certificates.k8s.io", "CertificateSigningRequest", cube_hook_signing_request, NULL },
  { "apiregistration.k8s.io", "APIService", cube_hook_api_service, NULL },
};

static const KindHook *
find_hook (const CubeResource *resource)
{
  for (guint i = 0; i < G_N_ELEMENTS (kind_hooks); i++)
    if (strcmp (kind_hooks[i].kind, resource->kind) == 0 && strcmp (kind_hooks[i].group, resource->group) == 0)
      return &kind_hooks[i];
  return NULL;
}

void
cube_hooks_validate (const CubeResource *resource, const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  const KindHook *hook = find_hook (resource);
  if (hook != NULL && hook->validate != NULL)
    hook->validate (subresource, object, old, errors);
}

void
cube_hooks_warn (const CubeResource *resource, CubeView object, CubeView old, GPtrArray *warnings)
{
  const KindHook *hook = find_hook (resource);
  if (hook != NULL && hook->warn != NULL)
    hook->warn (object, old, warnings);
}
