/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who may what: subjects → bindings → roles, kept by events and asked by every request.
 * A reader-writer lock guards it: readers never call out under it. Any thread. */
#include "rules.h"

typedef struct _Index Index;

Index *index_new (void);
void index_free (Index *index);
/* @ns "" = ClusterRole or ClusterRoleBinding. @object NONE = it is gone. */
void index_put_role (Index *index, const char *ns, const char *name, CubeView object);
void index_put_binding (Index *index, const char *ns, const char *name, CubeView object);
/* @ret_reason (nullable) (transfer full): why, NULL when there is nothing to say. */
gboolean index_allows (Index *index, const CubeAttributes *attributes, char **ret_reason);
/* Every role that applies to @user in @ns ("" = cluster-wide only). (transfer full) (element-type Role) */
GPtrArray *index_roles_of (Index *index, const CubeUser *user, const char *ns);
/* NULL: there is none. (transfer full) */
Role *index_get_role (Index *index, const char *ns, const char *name);
