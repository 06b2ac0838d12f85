/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Policy rules, compiled for asking: immutable, refcounted roles with their rules by resource. Any thread. */
#include <cube/auth.h>

typedef struct {
  guint32 verb_mask;      /* the common verbs as bits; RULE_ALL_VERBS for "*" */
  char **verbs;           /* all arrays NULL-terminated, never NULL */
  char **groups, **resources, **names, **urls;
} Rule;

typedef struct _Role Role;

Rule *rule_new (CubeView rule);
Rule *rule_new_from_texts (const char *verb, const char *group, const char *resource, const char *name, const char *url); /* NULL = none */
void rule_free (Rule *rule);

/* @rules: the array of a Role or ClusterRole; anything malformed in it grants nothing. */
Role *role_new (CubeView rules);
Role *role_ref (Role *role);
void role_unref (Role *role);
const GPtrArray *role_rules (const Role *role); /* (element-type Rule) */
gboolean role_allows (const Role *role, const CubeAttributes *attributes);

/* Rules of @wanted (element-type Rule) that no rule of @owned covers, one of each verb, group, resource, name. (transfer full) */
GPtrArray *rules_not_covered (const GPtrArray *owned, const GPtrArray *wanted);
/* Merges what differs in verbs alone, sorted; one line a rule as Kubernetes prints it. */
char *rules_to_text (const GPtrArray *rules);
void rule_append (const Rule *rule, CubeMut *resource_rules, CubeMut *non_resource_rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Role, role_unref)
