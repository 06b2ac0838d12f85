/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The bootstrap policy: text → the objects a cluster starts with. */
#include <cube/value.h>

extern const char policy_text[];

typedef struct {
  const char *resource; /* "clusterroles", "roles", "clusterrolebindings", "rolebindings" */
  char *ns, *name;      /* ns "" = cluster-wide */
  CubeValue *object;
} PolicyItem;

void policy_item_free (PolicyItem *item);
/* (transfer full) (element-type PolicyItem) in the text's order. NULL on error, which names the line. */
GPtrArray *policy_parse (const char *text, GError **error);
