/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The rules of all services as the kernel has them: fronts go in, the difference goes out in one transaction. One thread. */
#include "layout.h"
#include <cube/service.h>

typedef struct _Rules Rules;

Rules *rules_new (const Layout *layout);
void rules_free (Rules *rules);
/* The fronts of service @key from the next commit on; none removes it. Fronts of a family other than IPv4 are left out. */
void rules_set_service (Rules *rules, const char *key, const CubeFront *fronts, guint n);
/* The addresses of pods of the cluster: NULL-terminated ranges. At once. */
gboolean rules_set_pod_cidrs (Rules *rules, const char *const *cidrs, GError **error);
/* Writes what changed since the last one; all of it when it is the first one or the last one failed. Blocks for the kernel. */
gboolean rules_commit (Rules *rules, GError **error);
void rules_forget_kernel (Rules *rules); /* the next commit writes all of it */
/* Services whose front another service had first and that may have it now: (transfer full) (element-type utf8) (nullable) */
GPtrArray *rules_take_waiting (Rules *rules);
/* UDP flows to an endpoint that is gone, since the last call: (transfer full) (element-type GStrv arguments of conntrack) (nullable) */
GPtrArray *rules_take_stale_flows (Rules *rules);
gboolean rules_remove_table (Rules *rules, GError **error);
guint rules_n_fronts (Rules *rules);
