/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules and warnings of single kinds, as hooks-common.c lists them. */
#include "validate.h"

#define CUBE_WARN(name) G_GNUC_INTERNAL void name (CubeView object, CubeView old, GPtrArray *warnings)

/* hooks-workloads.c */
CUBE_HOOK (cube_hook_deployment);
CUBE_HOOK (cube_hook_replica_set);
CUBE_HOOK (cube_hook_replication_controller);
CUBE_HOOK (cube_hook_daemon_set);
CUBE_HOOK (cube_hook_stateful_set);
CUBE_HOOK (cube_hook_job);
CUBE_HOOK (cube_hook_cron_job);
CUBE_HOOK (cube_hook_pod_template);
CUBE_WARN (cube_warn_template);
CUBE_WARN (cube_warn_cron_job);
/* hooks-network.c */
CUBE_HOOK (cube_hook_service);
CUBE_HOOK (cube_hook_endpoints);
CUBE_HOOK (cube_hook_endpoint_slice);
CUBE_HOOK (cube_hook_ingress);
CUBE_HOOK (cube_hook_network_policy);
CUBE_WARN (cube_warn_service);
CUBE_WARN (cube_warn_ingress);
CUBE_WARN (cube_warn_endpoint_slice);
/* hooks-config.c */
CUBE_HOOK (cube_hook_config_map);
CUBE_HOOK (cube_hook_secret);
CUBE_HOOK (cube_hook_node);
CUBE_HOOK (cube_hook_lease);
CUBE_HOOK (cube_hook_limit_range);
CUBE_HOOK (cube_hook_resource_quota);
CUBE_HOOK (cube_hook_priority_class);
CUBE_HOOK (cube_hook_event);
CUBE_WARN (cube_warn_node);
/* hooks-policy.c */
CUBE_HOOK (cube_hook_role);
CUBE_HOOK (cube_hook_cluster_role);
CUBE_HOOK (cube_hook_role_binding);
CUBE_HOOK (cube_hook_cluster_role_binding);
CUBE_HOOK (cube_hook_autoscaler);
CUBE_HOOK (cube_hook_disruption_budget);
/* hooks-storage.c, hooks-storage-drivers.c */
CUBE_HOOK (cube_hook_persistent_volume);
CUBE_HOOK (cube_hook_volume_claim);
CUBE_HOOK (cube_hook_storage_class);
CUBE_HOOK (cube_hook_attributes_class);
CUBE_HOOK (cube_hook_volume_attachment);
CUBE_HOOK (cube_hook_csi_driver);
CUBE_HOOK (cube_hook_csi_node);
CUBE_HOOK (cube_hook_storage_capacity);
/* hooks-admission.c */
CUBE_HOOK (cube_hook_webhooks);
CUBE_HOOK (cube_hook_validating_policy);
CUBE_HOOK (cube_hook_mutating_policy);
CUBE_HOOK (cube_hook_policy_binding);
/* hooks-flow.c */
CUBE_HOOK (cube_hook_flow_schema);
CUBE_HOOK (cube_hook_priority_level);
/* hooks-certificates.c */
CUBE_HOOK (cube_hook_signing_request);
CUBE_HOOK (cube_hook_api_service);
/* hooks-network-more.c */
CUBE_HOOK (cube_hook_ingress_class);
CUBE_HOOK (cube_hook_service_cidr);
CUBE_HOOK (cube_hook_ip_address);
/* hooks-config-more.c */
CUBE_HOOK (cube_hook_namespace);
CUBE_HOOK (cube_hook_runtime_class);
CUBE_HOOK (cube_hook_revision);
CUBE_HOOK (cube_hook_access_review);
CUBE_HOOK (cube_hook_self_review);
CUBE_HOOK (cube_hook_local_review);
CUBE_HOOK (cube_hook_new_event);
/* hooks-crd.c, hooks-claims.c */
CUBE_HOOK (cube_hook_definition);
CUBE_HOOK (cube_hook_resource_claim);
CUBE_HOOK (cube_hook_claim_template);
CUBE_HOOK (cube_hook_device_class);
CUBE_HOOK (cube_hook_resource_slice);
