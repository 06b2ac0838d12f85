/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The downward API: what a pod may know of itself, as text. Pure; any thread. */
#include <cube/value.h>

typedef struct {            /* of the node; used where a container sets no limit */
  const char *name, *ip;
  gint64 cpu_millis, memory_bytes, disk_bytes; /* allocatable */
} CubeDownwardNode;

/* fieldRef: metadata.name … status.podIPs; @ips (nullable) NULL-terminated. (transfer full) NULL with error: no such field. */
char *cube_downward_field (CubeView pod, const char *path, const CubeDownwardNode *node, char **ips, GError **error);
/* resourceFieldRef: limits.cpu … in units of @divisor (nullable), rounded up. (transfer full) */
char *cube_downward_resource (CubeView pod, CubeView container, const char *resource, const char *divisor, const CubeDownwardNode *node, GError **error);
