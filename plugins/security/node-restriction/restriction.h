/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "admission.h"

typedef struct {
  /* (transfer full) NULL = absent. Must not block. */
  CubeValue *(*look_up) (gpointer data, const char *resource, const char *ns, const char *name);
  gpointer data;
} RestrictionWorld;

/* One check for every verb. NULL identity = no node, passes. */
gboolean restriction_check (const RestrictionWorld *world, const CubeAdmissionRequest *request, CubeView object, GError **error);
/* Of nodes.c: the labels a node may not give itself among those that differ, as text; NULL = none. (transfer full) */
char *restriction_forbidden_labels (CubeView before, CubeView now);
gboolean restriction_check_node (const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error);
/* Of pods.c. */
gboolean restriction_check_pod (const RestrictionWorld *world, const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error);
