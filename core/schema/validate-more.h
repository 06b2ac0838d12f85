/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* More short ways to say a rule, of the kinds that are written less often. */
#include "hooks-kinds.h"

/* @object's string member is one of the NULL-terminated @values; empty is fine. The text lists them in their order. */
G_GNUC_INTERNAL void cube_check_one_of (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field,
                                        const char *const *values);
/* As for one member, of each element of the list member @field; the path has the index unless @plain. */
G_GNUC_INTERNAL void cube_check_each_of (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field,
                                         const char *const *values, gboolean plain);
G_GNUC_INTERNAL void cube_check_bytes (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gsize most);
G_GNUC_INTERNAL void cube_check_count (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, guint most);
/* Below @min: the value with @detail. Absent is fine. */
G_GNUC_INTERNAL void cube_check_least (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gint64 min,
                                       const char *detail);
G_GNUC_INTERNAL void cube_check_most (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gint64 max,
                                      const char *detail);
G_GNUC_INTERNAL void cube_check_forbidden (CubeFieldErrors *errors, const CubePath *path, const char *detail);
/* Elements of the list of strings at @path are unique. */
G_GNUC_INTERNAL void cube_check_distinct (CubeFieldErrors *errors, const CubePath *path, CubeView list);
G_GNUC_INTERNAL gboolean cube_list_has (CubeView list, const char *text);
G_GNUC_INTERNAL const char *cube_name_check_lower_subdomain (const char *text);
G_GNUC_INTERNAL const char *cube_name_check_domain_path (const char *text);
G_GNUC_INTERNAL const char *cube_name_check_three_segments (const char *text);
G_GNUC_INTERNAL const char *cube_name_check_two_segments (const char *text);
/* A CSI driver's name: given, at most 63 bytes, a DNS subdomain. @given: the structure says it is required. */
G_GNUC_INTERNAL void cube_check_driver_name (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field);
/* As Kubernetes prints an unset value. */
G_GNUC_INTERNAL void cube_check_add_null (CubeFieldErrors *errors, const char *type, const CubePath *path, const char *detail);
/* Addresses of load balancers: status of services and ingresses. @modes: of a service. */
G_GNUC_INTERNAL void cube_check_balancer_status (CubeFieldErrors *errors, const CubePath *path, CubeView balancer, gboolean modes);
G_GNUC_INTERNAL void cube_check_reachable (CubeFieldErrors *errors, const CubePath *path, CubeView value);
/* A list of meta/v1 conditions. */
G_GNUC_INTERNAL void cube_check_conditions (CubeFieldErrors *errors, const CubePath *path, CubeView conditions);
/* An event of core/v1 with a time of its own. */
G_GNUC_INTERNAL void cube_check_timed_event (CubeFieldErrors *errors, CubeView event);
G_GNUC_INTERNAL void cube_check_claim_spec (CubeFieldErrors *errors, const CubePath *path, CubeView spec);
G_GNUC_INTERNAL void cube_check_client_config (CubeFieldErrors *errors, const CubePath *path, CubeView client);
G_GNUC_INTERNAL void cube_check_client_service (CubeFieldErrors *errors, const CubePath *path, CubeView service);
/* "1,3-5" of indexes below @completions (negative: unknown). The problem, or NULL; counts them. */
G_GNUC_INTERNAL char *cube_check_indexes (const char *text, gint64 completions, gint64 *ret_count, GArray *ranges);
G_GNUC_INTERNAL void cube_check_job_status (CubeView object, CubeView old, CubeFieldErrors *errors);
/* The labels of a new job that makes its selector itself. */
G_GNUC_INTERNAL void cube_check_job_labels (CubeFieldErrors *errors, CubeView object);
G_GNUC_INTERNAL void cube_check_job_policies (CubeFieldErrors *errors, const CubePath *path, CubeView spec);
G_GNUC_INTERNAL void cube_check_service_more (CubeFieldErrors *errors, CubeView object, const char *type, gboolean is_reachable);
G_GNUC_INTERNAL void cube_check_service_update (CubeFieldErrors *errors, CubeView spec, CubeView old);
G_GNUC_INTERNAL void cube_check_service_status (CubeFieldErrors *errors, CubeView object);
G_GNUC_INTERNAL void cube_check_quota_amounts (CubeFieldErrors *errors, const CubePath *path, CubeView hard);
G_GNUC_INTERNAL void cube_check_quota_scopes (CubeFieldErrors *errors, CubeView spec);
G_GNUC_INTERNAL void cube_check_limit_ratio (CubeFieldErrors *errors, const CubePath *path, CubeView item);
G_GNUC_INTERNAL void cube_check_node_status (CubeFieldErrors *errors, CubeView status, gboolean is_update);
/* Volumes of the kinds validate-volume.c does not know; @volume: the path of the volume. */
G_GNUC_INTERNAL void cube_check_rare_volume (CubeFieldErrors *errors, const CubePath *volume, const char *kind, CubeView source,
                                             CubeView name);
/* @template: of the volume @name at @path. */
G_GNUC_INTERNAL void cube_check_ephemeral_volume (const CubePodCheck *pod, const CubePath *path, CubeView template, CubeView name);
G_GNUC_INTERNAL void cube_check_trust_bundle (CubeFieldErrors *errors, const CubePath *path, CubeView bundle);
G_GNUC_INTERNAL void cube_check_pod_certificate (CubeFieldErrors *errors, const CubePath *path, CubeView source);
G_GNUC_INTERNAL void cube_check_pod_sums (CubeFieldErrors *errors, const CubePath *path, CubeView spec, CubeView resources);
G_GNUC_INTERNAL void cube_check_pod_status (CubeFieldErrors *errors, CubeView object, CubeView old);
G_GNUC_INTERNAL void cube_check_pod_resize (CubeFieldErrors *errors, CubeView object, CubeView old);
G_GNUC_INTERNAL void cube_check_windows_options (const CubePodCheck *pod, const CubePath *security, CubeView options);
G_GNUC_INTERNAL void cube_check_windows (const CubePodCheck *pod, const CubePath *path);
/* Whether it is worth to look for profiles there. */
G_GNUC_INTERNAL gboolean cube_has_profiles (CubeView annotations);
/* Profiles in annotations (at @path): their form; what a new pod says in @spec is the same; an update leaves them alone. */
G_GNUC_INTERNAL void cube_check_profiles (CubeFieldErrors *errors, const CubePath *path, CubeView annotations, CubeView spec);
G_GNUC_INTERNAL void cube_check_profiles_match (CubeFieldErrors *errors, const CubePath *spec_path, CubeView annotations, CubeView spec);
G_GNUC_INTERNAL void cube_check_profiles_kept (CubeFieldErrors *errors, const CubePath *path, CubeView annotations, CubeView old);
/* The openAPIV3Schema of a CustomResourceDefinition. */
G_GNUC_INTERNAL void cube_check_definition_schema (CubeFieldErrors *errors, const CubePath *path, CubeView schema);
