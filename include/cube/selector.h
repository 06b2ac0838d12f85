/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Label and field selectors. Immutable, refcounted, any thread. */
#include <cube/object.h>
CUBE_BEGIN_DECLS
/* kubectl -l syntax: a=b, a==b, a!=b, a in (x,y), a notin (x), a, !a, a>1, a<1. NULL or "" = everything.
 * Limits: 64 KiB of text, 1,024 requirements. Errors: CUBE_ERROR_BAD_REQUEST in Kubernetes' words. */
CUBE_EXPORT CubeSelector *cube_selector_parse_labels (const char *text, GError **error);
/* --field-selector syntax: a.b=x,c!=y with \ escapes. */
CUBE_EXPORT CubeSelector *cube_selector_parse_fields (const char *text, GError **error);
/* A LabelSelector object {matchLabels, matchExpressions} (apps, policies): an empty one selects everything, NONE nothing. */
CUBE_EXPORT CubeSelector *cube_selector_from_view (CubeView label_selector, GError **error);
/* A plain map (ReplicationController, Service): empty or NONE selects nothing. */
CUBE_EXPORT CubeSelector *cube_selector_from_map (CubeView map);
CUBE_EXPORT CubeSelector *cube_selector_ref (CubeSelector *selector);
CUBE_EXPORT void cube_selector_unref (CubeSelector *selector);
CUBE_EXPORT gboolean cube_selector_is_everything (const CubeSelector *selector); /* NULL → TRUE */
CUBE_EXPORT gboolean cube_selector_is_empty_set (const CubeSelector *selector);  /* selects nothing at all */
CUBE_EXPORT gboolean cube_selector_matches_object (const CubeSelector *selector, const CubeObject *object); /* by labels */
CUBE_EXPORT gboolean cube_selector_matches_labels (const CubeSelector *selector, CubeView labels);          /* a map; NONE = no labels */
/* For field selectors: @get answers a field's text or NULL when unset (compared as ""). */
typedef const char *(*CubeFieldGetter) (const char *field, gpointer data);
CUBE_EXPORT gboolean cube_selector_matches_fields (const CubeSelector *selector, CubeFieldGetter get, gpointer data);
/* Calls @visit for every requirement: key, operator ("=", "!=", "in", "notin", "exists", "!", "gt", "lt"), values (NULL-terminated). */
typedef gboolean (*CubeRequirementVisit) (const char *key, const char *op, const char *const *values, gpointer data);
CUBE_EXPORT gboolean cube_selector_visit (const CubeSelector *selector, CubeRequirementVisit visit, gpointer data);
/* If the selector demands key=value (exactly one), that value, else NULL: lets a store use an index. */
CUBE_EXPORT const char *cube_selector_requires (const CubeSelector *selector, const char *key);
CUBE_EXPORT char *cube_selector_to_string (const CubeSelector *selector); /* canonical text, as kubectl prints it */
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeSelector, cube_selector_unref)
CUBE_END_DECLS
