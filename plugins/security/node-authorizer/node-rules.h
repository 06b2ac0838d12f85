/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a node may ask for: a list of allowed (group, resource, subresource, verbs), each with a relation to the node. */
#include <cube/auth.h>

/* The world as the rules need it; must not block. */
typedef struct {
  /* (transfer full) (element-type CubeValue) pods bound to @node. */
  GPtrArray *(*pods_on) (gpointer data, const char *node);
  /* (transfer full) NULL = absent. */
  CubeValue *(*look_up) (gpointer data, const char *api_version, const char *resource, const char *ns, const char *name);
  gpointer data;
} NodeWorld;

/* NULL if @user is no node. Borrowed from it. */
const char *node_rules_identity (const CubeUser *user);
CubeDecision node_rules_decide (const NodeWorld *world, const char *node, const CubeAttributes *attributes, char **ret_reason);
