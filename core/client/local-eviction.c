/* SPDX-License-Identifier: Apache-2.0 */
/* pods/eviction: a delete that asks the disruption budgets first. Writes up to three objects, so it runs where it may wait. */
#include "local-private.h"

#define BUDGET_ATTEMPTS 5
#define REFUSED "Cannot evict pod as it would violate the pod's disruption budget."

static GError *
refuse (gint32 retry_after_s, const char *format, ...)
{
  GError *error = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_TOO_MANY_REQUESTS, REFUSED);
  g_autofree char *cause = NULL;
  va_list args;

  va_start (args, format);
  cause = g_strdup_vprintf (format, args);
  va_end (args);
  cube_error_add_cause (error, "DisruptionBudget", NULL, "%s", cause);
  if (cube_error_get_details (error) != NULL)
    cube_error_get_details (error)->retry_after_s = retry_after_s;
  return error;
}

/* Pods that are not (or no more) running disrupt nothing. */
static gboolean
needs_no_budget (CubeObject *pod, CubeView value)
{
  const char *phase = cube_view_string_or (cube_view_get (value, "status", "phase"), "");

  return cube_object_deletion_timestamp (pod) != NULL || g_str_equal (phase, "Succeeded") || g_str_equal (phase, "Failed")
         || g_str_equal (phase, "Pending");
}

/* The budgets whose selector takes in the pod. (element-type CubeObject) */
static GPtrArray *
budgets_of (CubeCall *call, const CubeResource *resource, CubeObject *pod)
{
  g_autoptr (GPtrArray) all = cube_client_list (call->client, resource, call->ns, NULL, NULL, NULL);
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);

  for (guint i = 0; all != NULL && i < all->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (all->pdata[i]);
      CubeView selector = cube_value_get (value, "spec", "selector");
      g_autoptr (CubeSelector) parsed = cube_view_exists (selector) ? cube_selector_from_view (selector, NULL) : NULL;

      if (parsed != NULL && cube_selector_matches_object (parsed, pod))
        g_ptr_array_add (found, cube_object_ref (all->pdata[i]));
    }
  return found;
}

/* Takes one disruption from the budget. NULL = taken; the error tells why not. */
static GError *
check_budget (CubeObject *budget, CubeView value)
{
  gint64 allowed = cube_view_get_int (value, 0, "status", "disruptionsAllowed"),
         healthy = cube_view_get_int (value, 0, "status", "currentHealthy");
  gint64 desired = cube_view_get_int (value, 0, "status", "desiredHealthy");
  CubeView conditions = cube_view_get (value, "status", "conditions"), condition;
  const char *key;
  CubeIter it;

  if (cube_view_get_int (value, 0, "status", "observedGeneration") < cube_object_generation (budget))
    return refuse (10, "The disruption budget %s is still being processed by the server.", cube_object_name (budget));
  if (allowed > 0)
    return NULL;
  for (cube_iter_init (&it, conditions); cube_iter_next (&it, &key, &condition);)
    if (g_strcmp0 (cube_view_get_string (condition, "type"), "DisruptionAllowed") == 0
        && g_strcmp0 (cube_view_get_string (condition, "reason"), "SyncFailed") == 0)
      return refuse (0, "The disruption budget %s does not allow evicting pods currently because it failed sync: %s",
                     cube_object_name (budget), cube_view_string_or (cube_view_get (condition, "message"), ""));
  return refuse (0, "The disruption budget %s needs %" G_GINT64_FORMAT " healthy pods and has %" G_GINT64_FORMAT " currently",
                 cube_object_name (budget), desired, healthy);
}

/* An unready pod may go under a budget that is met, or always when the budget says so. */
static gboolean
may_go_unready (CubeView budget, CubeView pod)
{
  const char *policy = cube_view_string_or (cube_view_get (budget, "spec", "unhealthyPodEvictionPolicy"), "IfHealthyBudget");
  gint64 healthy = cube_view_get_int (budget, 0, "status", "currentHealthy"),
         desired = cube_view_get_int (budget, 0, "status", "desiredHealthy");

  if (cube_condition_is_true (cube_view_member (pod, "status"), "Ready"))
    return FALSE;
  return g_str_equal (policy, "AlwaysAllow") || (healthy >= desired && desired > 0);
}

static GError *
take_disruption (CubeCall *call, const CubeResource *resource, const char *name, CubeView pod)
{
  for (guint attempt = 0; attempt < BUDGET_ATTEMPTS; attempt++)
    {
      GError *error = NULL;
      g_autoptr (CubeObject) budget = cube_client_get (call->client, resource, call->ns, name, &error), written = NULL;
      g_autoptr (CubeValue) value = NULL, changed = NULL;
      g_autoptr (CubeBuilder) builder = NULL;
      CubeMut *status;
      char now[32];

      if (budget == NULL)
        {
          gboolean is_gone = g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);

          if (is_gone)
            g_clear_error (&error);
          return error;
        }
      value = cube_object_value (budget);
      if (may_go_unready (cube_value_root (value), pod))
        return NULL;
      error = check_budget (budget, cube_value_root (value));
      if (error != NULL || call->is_dry_run)
        return error;
      builder = cube_builder_new_from (cube_value_root (value));
      status = cube_mut_ensure (cube_builder_root (builder), "status");
      cube_mut_set_int (status, "disruptionsAllowed", cube_mut_int (cube_mut_member (status, "disruptionsAllowed"), 0) - 1);
      cube_call_now (call, now);
      cube_mut_set_string (cube_mut_ensure_object (status, "disruptedPods"), call->name, now);
      changed = cube_builder_end (builder);
      written = cube_client_update (call->client, resource, "status", call->ns, name, changed, &error);
      if (written != NULL)
        return NULL;
      if (!g_error_matches (error, CUBE_ERROR, CUBE_ERROR_CONFLICT))
        return error;
      g_clear_error (&error);
    }
  {
    GError *error =
        g_error_new (CUBE_ERROR, CUBE_ERROR_TIMEOUT, "Timeout: couldn't update PodDisruptionBudget \"%s\" due to conflicts", name);

    if (cube_error_get_details (error) != NULL)
      cube_error_get_details (error)->retry_after_s = 10;
    return error;
  }
}

static gboolean
set_disruption_condition (CubeMut *root, CubeView current, gpointer data)
{
  CubeMut *conditions = cube_mut_ensure_array (cube_mut_ensure (root, "status"), "conditions"), *condition = NULL;
  CubeCall *call = data;
  char now[32];

  if (cube_view_exists (cube_view_get (current, "metadata", "deletionTimestamp")))
    return FALSE;
  for (guint i = 0; i < cube_mut_length (conditions) && condition == NULL; i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_member (cube_mut_element (conditions, i), "type")), "DisruptionTarget") == 0)
      condition = cube_mut_element (conditions, i);
  if (condition == NULL)
    condition = cube_mut_append_object (conditions);
  cube_call_now (call, now);
  cube_mut_set_string (condition, "type", "DisruptionTarget");
  cube_mut_set_string (condition, "status", "True");
  cube_mut_set_string (condition, "reason", "EvictionByEvictionAPI");
  cube_mut_set_string (condition, "message", "Eviction API: evicting");
  cube_mut_set_string (condition, "lastTransitionTime", now);
  return TRUE;
}

static CubeValue *
delete_options (CubeView eviction)
{
  CubeView options = cube_view_member (eviction, "deleteOptions");

  return cube_view_type (options) == CUBE_VALUE_OBJECT ? cube_value_new_copy (options) : NULL;
}

static CubeCallState
delete_pod (CubeCall *call)
{
  g_autoptr (CubeValue) options = delete_options (cube_value_root (call->request->body));
  g_autoptr (CubeResponse) answer = NULL;
  CubeRequest request = CUBE_REQUEST_INIT;
  GError *error = NULL;

  request.verb = CUBE_VERB_DELETE;
  request.resource = call->resource;
  request.ns = call->ns;
  request.name = call->name;
  request.user = call->user;
  request.body = options;
  request.is_dry_run = call->is_dry_run;
  request.precondition_uid = cube_object_uid (call->old);
  answer = cube_local_run (call->client, &request, &error);
  if (answer == NULL)
    return cube_call_fail (call, error);
  cube_admission_finish (call, NULL, TRUE);
  call->response->is_created = TRUE;
  return cube_call_answer_value (call, cube_status_success (call, NULL));
}

CubeCallState
cube_local_evict (CubeCall *call)
{
  const CubeResource *budgets_resource = cube_schema_resource (call->local->schema, "policy/v1", "poddisruptionbudgets");
  g_autoptr (GPtrArray) budgets = NULL;
  g_autoptr (CubeValue) pod = NULL;
  g_autoptr (CubeObject) marked = NULL;
  const char *name;
  GError *error = NULL;

  if (call->request->body == NULL)
    return cube_call_fail_bad_request (call, "the request has no body, wanted an Eviction");
  name = cube_view_string (cube_value_get (call->request->body, "metadata", "name"));
  if (name != NULL && *name != '\0' && !g_str_equal (name, call->name))
    return cube_call_fail_bad_request (call, "name in URL does not match name in Eviction object");
  if (!cube_call_read_old (call))
    return CUBE_CALL_DONE;
  if (!cube_admission_pass (call, cube_value_root (call->request->body), &error))
    return cube_call_fail (call, error);
  pod = cube_object_value (call->old);
  if (needs_no_budget (call->old, cube_value_root (pod)) || budgets_resource == NULL)
    return delete_pod (call);
  budgets = budgets_of (call, budgets_resource, call->old);
  if (budgets->len > 1)
    return cube_call_fail (
        call, g_error_new_literal (CUBE_ERROR, CUBE_ERROR_INTERNAL,
                                   "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."));
  if (budgets->len == 1)
    error = take_disruption (call, budgets_resource, cube_object_name (budgets->pdata[0]), cube_value_root (pod));
  if (error != NULL)
    return cube_call_fail (call, error);
  if (!call->is_dry_run)
    {
      marked = cube_client_modify (call->client, call->resource, "status", call->ns, call->name, set_disruption_condition, call, &error);
      if (marked == NULL)
        return cube_call_fail (call, error);
    }
  return delete_pod (call);
}
