/* SPDX-License-Identifier: Apache-2.0 */
/* RBAC: authorizer, escalation check, bootstrap policy, aggregation. */
#include "aggregation.h"
#include "bootstrap.h"
#include "escalation.h"
#include "index.h"
#include "loopcall.h"

#include <cube/controller.h>

#define API_VERSION "rbac.authorization.k8s.io/v1"
#define LOOP "security"

static const char *const kinds[] = { "roles", "clusterroles", "rolebindings", "clusterrolebindings" };

typedef struct {
  CubeContext *context;
  CubeLoop *loop;
  Index *index;
  CubeInformer *informers[G_N_ELEMENTS (kinds)];
  gint has_synced;      /* atomic */
  Bootstrap *bootstrap; /* (nullable) */
  GError *error;        /* of starting it */
} State;

/* ---- the index follows the store ---- */

static void
on_role (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  State *state = data;
  g_autoptr (CubeValue) value = type == CUBE_EVENT_DELETED ? NULL : cube_object_value (object);

  index_put_role (state->index, cube_object_namespace (object), cube_object_name (object),
                  value != NULL ? cube_value_root (value) : cube_view_none ());
}

static void
on_binding (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  State *state = data;
  g_autoptr (CubeValue) value = type == CUBE_EVENT_DELETED ? NULL : cube_object_value (object);

  index_put_binding (state->index, cube_object_namespace (object), cube_object_name (object),
                     value != NULL ? cube_value_root (value) : cube_view_none ());
}

static gboolean
has_synced (State *state)
{
  if (g_atomic_int_get (&state->has_synced))
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    if (state->informers[i] == NULL || !cube_informer_has_synced (state->informers[i]))
      return FALSE;
  g_atomic_int_set (&state->has_synced, 1);
  return TRUE;
}

/* ---- cube.auth.Authorizer ---- */

static CubeDecision
rbac_authorize (gpointer data, const CubeAttributes *attributes, char **ret_reason)
{
  State *state = data;

  if (attributes->user == NULL)
    return CUBE_DECISION_NO_OPINION;
  if (cube_user_in_group (attributes->user, "system:masters"))
    return CUBE_DECISION_ALLOW;
  if (!has_synced (state))
    return CUBE_DECISION_NO_OPINION;
  return index_allows (state->index, attributes, ret_reason) ? CUBE_DECISION_ALLOW : CUBE_DECISION_NO_OPINION;
}

static void
rbac_list_rules (gpointer data, const CubeUser *user, const char *ns, CubeMut *resource_rules, CubeMut *non_resource_rules)
{
  State *state = data;
  g_autoptr (GPtrArray) roles = index_roles_of (state->index, user, ns != NULL ? ns : "");

  for (guint i = 0; i < roles->len; i++)
    {
      const GPtrArray *rules = role_rules (roles->pdata[i]);

      for (guint j = 0; j < rules->len; j++)
        rule_append (rules->pdata[j], resource_rules, non_resource_rules);
    }
}

/* ---- cube.auth.Admission ---- */

static gboolean
rbac_handles (gpointer data, CubeVerb verb, const CubeResource *resource, const char *subresource)
{
  if (verb == CUBE_VERB_DELETE || !g_str_equal (resource->group, "rbac.authorization.k8s.io")
      || (subresource != NULL && *subresource != '\0'))
    return FALSE;
  return g_strv_contains ((const char *const[]){ kinds[0], kinds[1], kinds[2], kinds[3], NULL }, resource->resource);
}

static gboolean
rbac_validate (gpointer data, CubeAdmissionRequest *request, CubeView object, GError **error)
{
  State *state = data;

  return escalation_check (state->index, request, object, error);
}

/* ---- cube.Component: the bootstrap policy ---- */

static void
start_bootstrap (gpointer data)
{
  State *state = data;

  state->bootstrap = bootstrap_start (state->context, state->loop, &state->error);
}

static void
stop_bootstrap (gpointer data)
{
  State *state = data;

  g_clear_pointer (&state->bootstrap, bootstrap_stop);
}

static gboolean
policy_start (gpointer data, GError **error)
{
  State *state = data;

  loopcall_sync (state->loop, start_bootstrap, state);
  if (state->bootstrap != NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&state->error));
  return FALSE;
}

static void
policy_stop (gpointer data)
{
  loopcall_sync (((State *) data)->loop, stop_bootstrap, data);
}

static gboolean
policy_is_ready (gpointer data, char **ret_why)
{
  State *state = data;

  if (has_synced (state) && state->bootstrap != NULL && bootstrap_is_done (state->bootstrap))
    return TRUE;
  if (ret_why != NULL)
    *ret_why = g_strdup (has_synced (state) ? "default roles and bindings are being written" : "roles and bindings are being read");
  return FALSE;
}

/* ---- the plugin ---- */

static gboolean
rbac_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->context = context;
  state->index = index_new ();
  *ret_state = state;
  return TRUE;
}

static gboolean
rbac_start (gpointer data, GError **error)
{
  State *state = data;

  state->loop = cube_context_get_loop (state->context, LOOP);
  if (!cube_context_has_role (state->context, "api"))
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      const CubeResource *resource = cube_schema_resource (cube_context_schema (state->context), API_VERSION, kinds[i]);

      if (resource == NULL)
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "%s %s is not served, RBAC needs it", API_VERSION, kinds[i]);
          return FALSE;
        }
      state->informers[i] = cube_informer_new (cube_context_client (state->context), resource, NULL, NULL, NULL, state->loop,
                                               i < 2 ? on_role : on_binding, state);
    }
  return TRUE;
}

static void
free_informers (gpointer data)
{
  State *state = data;

  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    g_clear_pointer (&state->informers[i], cube_informer_free);
}

static void
rbac_stop (gpointer data)
{
  State *state = data;

  g_atomic_int_set (&state->has_synced, 0);
  loopcall_sync (state->loop, free_informers, state);
}

static void
rbac_unload (gpointer data)
{
  State *state = data;

  index_free (state->index);
  g_clear_error (&state->error);
  g_free (state);
}

static const CubeAuthorizerOps authorizer_ops = {
  .ops_size = sizeof authorizer_ops,
  .order = 20,
  .authorize = rbac_authorize,
  .list_rules = rbac_list_rules,
};

static const CubeAdmissionOps admission_ops = {
  .ops_size = sizeof admission_ops,
  .order = 5,
  .handles = rbac_handles,
  .validate = rbac_validate,
};

static const CubeComponentOps component_ops = {
  .ops_size = sizeof component_ops,
  .role = "api",
  .order = 12,
  .start = policy_start,
  .stop = policy_stop,
  .is_ready = policy_is_ready,
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_AUTHORIZER, CUBE_AUTHORIZER_VERSION, "rbac", authorizer_ops),
  CUBE_IMPL (CUBE_ADMISSION, CUBE_ADMISSION_VERSION, "rbac-escalation", admission_ops),
  CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "rbac-policy", component_ops),
  CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "clusterrole-aggregation", aggregation_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "security-rbac", .version = "1", .description = "role-based authorization with Kubernetes' default policy",
                    .license = "Apache-2.0", .impls = impls, .load = rbac_load, .start = rbac_start, .stop = rbac_stop,
                    .unload = rbac_unload);
