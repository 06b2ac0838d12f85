/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the rules of containers share among their files. */
#include "validate-more.h"

typedef struct {
  const CubePodCheck *pod;
  CubeFieldErrors *errors;
  CubeView container;
  CubeContainerKind kind;
  gboolean is_sidecar;
} CubeContainerCheck;

/* An element of @list has @value as @field. */
G_GNUC_INTERNAL gboolean cube_list_names (CubeView list, const char *field, CubeView value);
G_GNUC_INTERNAL void cube_check_container_resources (const CubeContainerCheck *check, const CubePath *path, CubeView resources);
G_GNUC_INTERNAL void cube_check_resize_policies (const CubeContainerCheck *check, const CubePath *path, CubeView policies);
G_GNUC_INTERNAL void cube_check_container_restart (const CubeContainerCheck *check, const CubePath *path);
