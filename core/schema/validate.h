/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Private to the validation of built-in kinds: short ways to say a rule, and the rules that several kinds share. */
#include "hooks.h"

#define CUBE_AT(parent, name) ((CubePath){ (parent), (name), 0, FALSE })
#define CUBE_AT_INDEX(parent, index) ((CubePath){ (parent), NULL, (index), FALSE })
#define CUBE_AT_KEY(parent, key) ((CubePath){ (parent), (key), 0, TRUE })

typedef const char *(*CubeNameCheck) (const char *text); /* NULL = fine */

/* ---- saying it ---- */
G_GNUC_INTERNAL void cube_check_add (CubeFieldErrors *errors, const char *type, const CubePath *path, CubeView value, const char *format,
                                     ...) G_GNUC_PRINTF (5, 6);
/* The value shown is @text. */
G_GNUC_INTERNAL void cube_check_add_text (CubeFieldErrors *errors, const char *type, const CubePath *path, const char *text,
                                          const char *format, ...) G_GNUC_PRINTF (5, 6);

/* ---- rules of one field: @object's member @field, at @path.@field ---- */
G_GNUC_INTERNAL gboolean cube_is_empty (CubeView value); /* absent, "", [] or {} */
G_GNUC_INTERNAL void cube_check_required (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field,
                                          const char *detail);
G_GNUC_INTERNAL void cube_check_name (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field,
                                      CubeNameCheck check); /* unless empty */
G_GNUC_INTERNAL void cube_check_range (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gint64 min,
                                       gint64 max); /* if set */
G_GNUC_INTERNAL void cube_check_not_negative (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field);
G_GNUC_INTERNAL void cube_check_immutable (CubeFieldErrors *errors, const CubePath *path, CubeView object, CubeView old, const char *field,
                                           const char *detail);
G_GNUC_INTERNAL void cube_check_no_backsteps (CubeFieldErrors *errors, const CubePath *path, CubeView value);
G_GNUC_INTERNAL void cube_check_relative_path (CubeFieldErrors *errors, const CubePath *path, CubeView value);
G_GNUC_INTERNAL void cube_check_ip (CubeFieldErrors *errors, const CubePath *path, CubeView value);
G_GNUC_INTERNAL int cube_ip_family (const char *text);   /* 4, 6 or 0 */
G_GNUC_INTERNAL int cube_cidr_family (const char *text); /* 4, 6 or 0 */
G_GNUC_INTERNAL void cube_check_cidr (CubeFieldErrors *errors, const CubePath *path, CubeView value);
/* A port: a number in range or a port name. */
G_GNUC_INTERNAL void cube_check_port (CubeFieldErrors *errors, const CubePath *path, CubeView value);
G_GNUC_INTERNAL gboolean cube_check_unique (GHashTable **seen, const char *text); /* FALSE: there already; *seen made when needed */
G_GNUC_INTERNAL const char *cube_name_check_env_relaxed (const char *text);
G_GNUC_INTERNAL const char *cube_name_check_header (const char *text);

/* What is wrong with a cron schedule; NULL = nothing. (transfer full) */
G_GNUC_INTERNAL char *cube_cron_problem (const char *schedule);

/* ---- shared rules ---- */
G_GNUC_INTERNAL void cube_check_labels (CubeFieldErrors *errors, const CubePath *path, CubeView labels);
G_GNUC_INTERNAL void cube_check_annotations (CubeFieldErrors *errors, const CubePath *path, CubeView annotations);
G_GNUC_INTERNAL void cube_check_label_selector (CubeFieldErrors *errors, const CubePath *path, CubeView selector);
G_GNUC_INTERNAL void cube_check_node_selector (CubeFieldErrors *errors, const CubePath *path, CubeView selector);
/* Names and amounts of a map of resources; @container: the names a container may use. */
G_GNUC_INTERNAL void cube_check_resources (CubeFieldErrors *errors, const CubePath *path, CubeView resources, gboolean container);
G_GNUC_INTERNAL const char *cube_check_resource_name (const char *name, gboolean container);

/* ---- pods ---- */
typedef struct {
  CubeFieldErrors *errors;
  CubeView spec, volumes, metadata;
  gboolean is_template, host_network;
  const char *restart_policy, *os;
  gboolean *has_host_process; /* set when the pod or a container says something of it */
} CubePodCheck;
G_GNUC_INTERNAL void cube_check_pod_spec (CubeFieldErrors *errors, const CubePath *path, CubeView spec, CubeView metadata,
                                          gboolean is_template);
/* {metadata, spec} of workloads. */
G_GNUC_INTERNAL void cube_check_pod_template (CubeFieldErrors *errors, const CubePath *path, CubeView template);
G_GNUC_INTERNAL void cube_check_containers (const CubePodCheck *pod, const CubePath *path);
G_GNUC_INTERNAL void cube_check_volumes (const CubePodCheck *pod, const CubePath *path);
G_GNUC_INTERNAL void cube_check_affinity (CubeFieldErrors *errors, const CubePath *path, CubeView affinity);
G_GNUC_INTERNAL void cube_check_tolerations (CubeFieldErrors *errors, const CubePath *path, CubeView tolerations);
G_GNUC_INTERNAL void cube_check_topology_spread (CubeFieldErrors *errors, const CubePath *path, CubeView constraints);
G_GNUC_INTERNAL void cube_check_pod_security (const CubePodCheck *pod, const CubePath *path, CubeView security);
G_GNUC_INTERNAL void cube_check_container_security (const CubePodCheck *pod, const CubePath *path, CubeView security);
G_GNUC_INTERNAL void cube_check_field_ref (CubeFieldErrors *errors, const CubePath *path, CubeView reference, gboolean is_volume);
G_GNUC_INTERNAL void cube_check_resource_field_ref (CubeFieldErrors *errors, const CubePath *path, CubeView reference, gboolean is_volume);
G_GNUC_INTERNAL void cube_warn_pod (CubeView metadata, CubeView spec, const CubePath *path, GPtrArray *warnings);

/* ---- kinds (hooks-*.c): as in hooks-common.c's table ---- */
#define CUBE_HOOK(name) G_GNUC_INTERNAL void name (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
CUBE_HOOK (cube_hook_pod);
G_GNUC_INTERNAL void cube_warn_pod_object (CubeView object, CubeView old, GPtrArray *warnings);
