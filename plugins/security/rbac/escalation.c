/* SPDX-License-Identifier: Apache-2.0 */
#include "escalation.h"

#include <string.h>

#define GROUP "rbac.authorization.k8s.io"

static gboolean
forbid (const CubeAdmissionRequest *request, const char *why, GError **error)
{
  GError *local = g_error_new (CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "%s.%s \"%s\" is forbidden: %s", request->resource->resource, GROUP,
                               request->name, why);

  cube_error_set_object (local, GROUP, request->resource->resource, request->name);
  g_propagate_error (error, local);
  return FALSE;
}

static char *
groups_text (const CubeUser *user)
{
  GString *out = g_string_new ("[");

  for (guint i = 0; user->groups[i] != NULL; i++)
    {
      if (i > 0)
        g_string_append_c (out, ' ');
      cube_json_append_string (out, user->groups[i], -1);
    }
  g_string_append_c (out, ']');
  return g_string_free (out, FALSE);
}

/* All rules a user holds in a namespace ("" = everywhere); the roles keep them alive. */
static GPtrArray *
rules_held (const GPtrArray *roles)
{
  GPtrArray *rules = g_ptr_array_new ();

  for (guint i = 0; i < roles->len; i++)
    {
      const GPtrArray *of_role = role_rules (roles->pdata[i]);

      for (guint j = 0; j < of_role->len; j++)
        g_ptr_array_add (rules, of_role->pdata[j]);
    }
  return rules;
}

static gboolean
holds (Index *index, const CubeAdmissionRequest *request, const GPtrArray *wanted, GError **error)
{
  g_autoptr (GPtrArray) roles = index_roles_of (index, request->user, request->ns != NULL ? request->ns : "");
  g_autoptr (GPtrArray) held = rules_held (roles), missing = rules_not_covered (held, wanted);
  g_autofree char *lines = NULL, *groups = NULL, *why = NULL;

  if (missing->len == 0)
    return TRUE;
  lines = rules_to_text (missing);
  groups = groups_text (request->user);
  why = g_strdup_printf ("user \"%s\" (groups=%s) is attempting to grant RBAC permissions not currently held:\n%s", request->user->name,
                         groups, lines);
  return forbid (request, why, error);
}

static gboolean
may (Index *index, const CubeAdmissionRequest *request, const char *verb, const char *resource, const char *ns, const char *name)
{
  CubeAttributes attributes = { request->user, verb, GROUP, "v1", resource, "", ns, name, "" };

  return index_allows (index, &attributes, NULL);
}

static gboolean
holds_everything (Index *index, const CubeAdmissionRequest *request)
{
  g_autoptr (GPtrArray) roles = index_roles_of (index, request->user, ""), held = rules_held (roles);
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func ((GDestroyNotify) rule_free), missing = NULL;

  g_ptr_array_add (all, rule_new_from_texts ("*", "*", "*", NULL, NULL));
  g_ptr_array_add (all, rule_new_from_texts ("*", NULL, NULL, NULL, "*"));
  missing = rules_not_covered (held, all);
  return missing->len == 0;
}

/* An aggregated role takes up rules nobody has seen yet. */
static gboolean
check_aggregation (Index *index, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  CubeView now = cube_view_member (object, "aggregationRule"), before = cube_view_member (request->old, "aggregationRule");

  if (cube_view_equal (now, before) || (!cube_view_exists (now) && !cube_view_exists (before)) || holds_everything (index, request))
    return TRUE;
  return forbid (request, "must have cluster-admin privileges to use an aggregationRule", error);
}

static gboolean
check_role (Index *index, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  CubeView rules = cube_view_member (object, "rules");
  g_autoptr (Role) role = NULL;

  if (may (index, request, "escalate", request->resource->resource, request->ns, request->name))
    return TRUE;
  if (!cube_view_exists (request->old) || !cube_view_equal (rules, cube_view_member (request->old, "rules")))
    {
      role = role_new (rules);
      if (!holds (index, request, role_rules (role), error))
        return FALSE;
    }
  return check_aggregation (index, request, object, error);
}

static gboolean
check_binding (Index *index, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  CubeView ref = cube_view_member (object, "roleRef");
  const char *kind = cube_view_string_or (cube_view_member (ref, "kind"), ""),
             *name = cube_view_string_or (cube_view_member (ref, "name"), "");
  gboolean is_role = g_str_equal (kind, "Role");
  g_autoptr (Role) role = NULL;

  if (cube_view_exists (request->old) && cube_view_equal (ref, cube_view_member (request->old, "roleRef"))
      && cube_view_equal (cube_view_member (object, "subjects"), cube_view_member (request->old, "subjects")))
    return TRUE;
  if (may (index, request, "bind", is_role ? "roles" : "clusterroles", request->ns, name))
    return TRUE;
  role = index_get_role (index, is_role ? request->ns : "", name);
  if (role == NULL)
    {
      g_propagate_error (error, cube_error_not_found (GROUP, is_role ? "roles" : "clusterroles", name));
      return FALSE;
    }
  return holds (index, request, role_rules (role), error);
}

gboolean
escalation_check (Index *index, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  if (request->user == NULL || cube_user_in_group (request->user, "system:masters"))
    return TRUE;
  return g_str_has_suffix (request->resource->resource, "bindings") ? check_binding (index, request, object, error)
                                                                    : check_role (index, request, object, error);
}
