/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A scheduler with Kubernetes' default policies. */
#include <driver.h>
#include "../../../core/tests/client/fixture.h"

/* Registers the default policies; @with_binder FALSE = all but the DefaultBinder. */
void policies_add (CubeRegistry *registry, CubeProcess *process, gboolean with_binder);
const CubeFilterOps *filter_ops_of (CubeRegistry *registry, const char *id, gpointer *ret_state);
const CubeScoreOps *score_ops_of (CubeRegistry *registry, const char *id, gpointer *ret_state);

/* Objects with a uid of their own, no server involved. @metadata and @spec are members, ' for ", "" = none. */
CubeObject *node_object (const char *name, const char *metadata, const char *spec, const char *allocatable, const char *status);
CubeObject *pod_object (const char *name, const char *metadata, const char *spec, const char *container);
Pod *test_pod (GHashTable *classes, const char *name, const char *metadata, const char *spec, const char *container);
