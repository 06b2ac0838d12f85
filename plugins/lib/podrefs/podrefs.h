/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Every object of its namespace that a pod refers to. The specification is walked as a whole by the names of its members, so containers of
 * every kind and volumes of every kind are covered without a list of them here. */
#include <cube/value.h>

/* @resource: "secrets", "configmaps", "persistentvolumeclaims", "serviceaccounts", "resourceclaims". TRUE = stop. */
typedef gboolean (*PodrefVisit) (const char *resource, const char *name, gpointer data);

/* TRUE if @visit stopped it. @pod: the whole pod (ephemeral volumes are named after it). */
gboolean podrefs_visit (CubeView pod, PodrefVisit visit, gpointer data);
gboolean podrefs_has (CubeView pod, const char *resource, const char *name); /* @name NULL = any */
