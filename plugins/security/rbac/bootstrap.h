/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Brings the bootstrap policy into the store: makes what is missing, adds missing rules and subjects, again until all of it is there. */
#include <cube/client.h>

typedef struct _Bootstrap Bootstrap;

/* On @loop. */
Bootstrap *bootstrap_start (CubeContext *context, CubeLoop *loop, GError **error);
void bootstrap_stop (Bootstrap *bootstrap);          /* on its loop; also frees. NULL is fine */
gboolean bootstrap_is_done (Bootstrap *bootstrap);   /* any thread */
/* What to write over @current so that it holds @wanted; NULL = nothing. @ret_must_replace: a changed roleRef, delete first. For tests. (transfer full) */
CubeValue *bootstrap_reconcile (const char *resource, CubeView current, CubeView wanted, gboolean *ret_must_replace);
