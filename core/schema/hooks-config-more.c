/* SPDX-License-Identifier: Apache-2.0 */
/* More rules of configuration: scopes of quotas, ratios of limits, status of nodes and namespaces, runtime classes, revisions, reviews, the
 * newer events. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- ResourceQuota ---- */

static const char *const scopes[] = {
  "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass",
  NULL
};

static gboolean
scope_fits (const char *scope, const char *resource)
{
  static const char *const pods[] = { "pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory", NULL };
  static const char *const claims[] = { "persistentvolumeclaims", "requests.storage", NULL };
  if (strcmp (scope, "BestEffort") == 0)
    return strcmp (resource, "pods") == 0;
  if (strcmp (scope, "VolumeAttributesClass") == 0)
    return g_strv_contains (claims, resource);
  return g_strv_contains (pods, resource);
}

static void
check_scope (CubeFieldErrors *errors, const CubePath *at, const CubePath *fit_at, CubeView hard, CubeView scope, CubeView all)
{
  const char *text = cube_view_string_or (scope, ""), *name;
  CubeIter it;
  if (!g_strv_contains (scopes, text))
    {
      cube_check_add (errors, "Invalid", at, scope, "unsupported scope");
      return;
    }
  for (cube_iter_init (&it, hard); cube_iter_next (&it, &name, NULL);)
    if (strchr (name, '/') == NULL && !scope_fits (text, name))
      {
        cube_check_add (errors, "Invalid", fit_at, all, "unsupported scope applied to resource");
        return;
      }
}

static void
check_scope_expression (CubeFieldErrors *errors, const CubePath *at, CubeView expression)
{
  static const char *const exists_only[] = { "Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity",
                                             NULL };
  CubeView operator= cube_view_member (expression, "operator"), values = cube_view_member (expression, "values");
  const char *text = cube_view_string_or (operator, ""), *scope = cube_view_string_or (cube_view_member (expression, "scopeName"), "");
  if (g_strv_contains (exists_only, scope) && strcmp (text, "Exists") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "operator"), operator,
                    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
  if (strcmp (text, "In") == 0 || strcmp (text, "NotIn") == 0)
    {
      if (cube_view_length (values) == 0)
        cube_check_add (errors, "Required", &CUBE_AT (at, "values"), cube_view_none (),
                        "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
    }
  else if (strcmp (text, "Exists") == 0 || strcmp (text, "DoesNotExist") == 0)
    {
      if (cube_view_length (values) > 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "values"), values,
                        "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
    }
  else
    {
      cube_check_add (errors, "Invalid", &CUBE_AT (at, "operator"), operator, "not a valid selector operator");
    }
}

void
cube_check_quota_amounts (CubeFieldErrors *errors, const CubePath *path, CubeView hard)
{
  static const char *const counted[] = { "pods",       "resourcequotas",         "services",           "replicationcontrollers", "secrets",
                                         "configmaps", "persistentvolumeclaims", "services.nodeports", "services.loadbalancers", NULL };
  CubeIter it;
  const char *name;
  CubeView v;
  CubeQuantity quantity;
  static const char *const plain[] = { "cpu",
                                       "memory",
                                       "ephemeral-storage",
                                       "requests.cpu",
                                       "requests.memory",
                                       "requests.storage",
                                       "requests.ephemeral-storage",
                                       "limits.cpu",
                                       "limits.memory",
                                       "limits.ephemeral-storage",
                                       NULL };
  for (cube_iter_init (&it, hard); cube_iter_next (&it, &name, NULL);)
    if (strchr (name, '/') == NULL && !g_strv_contains (plain, name) && !g_strv_contains (counted, name)
        && !g_str_has_prefix (name, "hugepages-") && !g_str_has_prefix (name, "requests.hugepages-"))
      cube_check_add_text (errors, "Invalid", &CUBE_AT_KEY (path, name), name, "must be a standard resource for quota");
  for (cube_iter_init (&it, hard); cube_iter_next (&it, &name, &v);)
    if ((g_strv_contains (counted, name) || g_str_has_prefix (name, "count/")) && cube_quantity_from_view (v, &quantity)
        && cube_quantity_millis (&quantity) % 1000 != 0)
      cube_check_add (errors, "Invalid", &CUBE_AT_KEY (path, name), v, "must be an integer");
}

void
cube_check_quota_scopes (CubeFieldErrors *errors, CubeView spec)
{
  CubePath list = CUBE_AT (&spec_path, "scopes"), selector_at = CUBE_AT (&spec_path, "scopeSelector"),
           expressions = CUBE_AT (&selector_at, "matchExpressions");
  CubeView all = cube_view_member (spec, "scopes"), hard = cube_view_member (spec, "hard"),
           terms = cube_view_get (spec, "scopeSelector", "matchExpressions"), v;
  gboolean best = FALSE, not_best = FALSE, ending = FALSE, not_ending = FALSE;
  CubeIter it;
  for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &v);)
    check_scope (errors, &list, &list, hard, v, all);
  for (cube_iter_init (&it, terms); cube_iter_next (&it, NULL, &v);)
    {
      CubeView name = cube_view_member (v, "scopeName");
      const char *text = cube_view_string_or (name, "");
      check_scope (errors, &CUBE_AT (&expressions, "scopeName"), &expressions, hard, name, name);
      check_scope_expression (errors, &expressions, v);
      best |= strcmp (text, "BestEffort") == 0;
      not_best |= strcmp (text, "NotBestEffort") == 0;
      ending |= strcmp (text, "Terminating") == 0;
      not_ending |= strcmp (text, "NotTerminating") == 0;
    }
  if ((best && not_best) || (ending && not_ending))
    cube_check_add (errors, "Invalid", &expressions, terms, "conflicting scopes");
}

/* ---- LimitRange ---- */

static double
as_double (const CubeQuantity *quantity)
{
  return (double) cube_quantity_millis (quantity) / 1000.0;
}

void
cube_check_limit_ratio (CubeFieldErrors *errors, const CubePath *path, CubeView item)
{
  CubePath at = CUBE_AT (path, "maxLimitRequestRatio"), request_at = CUBE_AT (path, "defaultRequest");
  CubeQuantity ratio, low, high, one;
  CubeIter it;
  const char *name;
  CubeView v;
  cube_quantity_set_int (&one, 1, 0, CUBE_QUANTITY_DECIMAL_SI);
  for (cube_iter_init (&it, cube_view_member (item, "maxLimitRequestRatio")); cube_iter_next (&it, &name, &v);)
    {
      if (!cube_quantity_from_view (v, &ratio))
        continue;
      if (cube_quantity_compare (&ratio, &one) < 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, name), v, "ratio %s is less than 1", cube_view_string_or (v, ""));
      if (cube_quantity_from_view (cube_view_get (item, "min", name), &low)
          && cube_quantity_from_view (cube_view_get (item, "max", name), &high) && low.mantissa > 0
          && as_double (&ratio) > as_double (&high) / as_double (&low))
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, name), v, "ratio %s is greater than max/min = %f",
                        cube_view_string_or (v, ""), as_double (&high) / as_double (&low));
    }
  for (cube_iter_init (&it, cube_view_member (item, "defaultRequest")); cube_iter_next (&it, &name, &v);)
    {
      CubeView limit = cube_view_get (item, "default", name);
      gboolean is_fixed = g_str_has_prefix (name, "hugepages-") || (strchr (name, '/') != NULL && strstr (name, "kubernetes.io/") == NULL);
      if (is_fixed && cube_quantity_from_view (v, &low) && cube_quantity_from_view (limit, &high)
          && cube_quantity_compare (&low, &high) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&request_at, name), v,
                        "default value %s must equal to defaultRequest value %s in %s", cube_view_string_or (limit, ""),
                        cube_view_string_or (v, ""), name);
    }
}

/* ---- Node ---- */

static gboolean
is_feature (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", -1);
  if (!g_ascii_isupper (*text))
    return FALSE;
  for (guint i = 0; parts[i] != NULL; i++)
    {
      if (!g_ascii_isalpha (*parts[i]))
        return FALSE;
      for (const char *at = parts[i]; *at != '\0'; at++)
        if (!g_ascii_isalnum (*at))
          return FALSE;
    }
  return TRUE;
}

static void
check_features (CubeFieldErrors *errors, CubeView list)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath at = CUBE_AT (&status_path, "declaredFeatures");
  const char *last = "";
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *text = cube_view_string_or (v, "");
      CubePath here = CUBE_AT_INDEX (&at, i);
      if (strlen (text) > 253)
        cube_check_add (errors, "Invalid", &here, v, "invalid feature name \"%s\": must be no more than 253 characters", text);
      else if (!is_feature (text))
        cube_check_add (errors, "Invalid", &here, v,
                        "invalid feature name \"%s\": must start with an UpperCamelCase segment, with subsequent segments separated by '/' "
                        "(e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes",
                        text);
      if (!cube_check_unique (&seen, text))
        cube_check_add (errors, "Duplicate", &here, v, "%s", "");
      else if (strcmp (text, last) < 0)
        cube_check_add (errors, "Invalid", &here, v, "list must be sorted alphabetically");
      last = text;
    }
}

void
cube_check_node_status (CubeFieldErrors *errors, CubeView status, gboolean is_update)
{
  static const char *const maps[] = { "capacity", "allocatable" };
  g_autoptr (GPtrArray) earlier = g_ptr_array_new_with_free_func (g_free);
  CubePath addresses = CUBE_AT (&status_path, "addresses");
  CubeIter it;
  const char *name;
  CubeView v;
  CubeQuantity quantity;
  guint i = 0;
  for (guint m = 0; m < 2; m++)
    {
      CubePath at = CUBE_AT (&status_path, maps[m]);
      for (cube_iter_init (&it, cube_view_member (status, maps[m])); cube_iter_next (&it, &name, &v);)
        {
          gboolean is_counted = strcmp (name, "pods") == 0 || (strchr (name, '/') != NULL && strstr (name, "kubernetes.io/") == NULL);
          if (!cube_quantity_from_view (v, &quantity))
            continue;
          if (quantity.mantissa < 0)
            cube_check_add (errors, "Invalid", &CUBE_AT (&at, name), v, "must be greater than or equal to 0");
          if (is_counted && cube_quantity_millis (&quantity) % 1000 != 0)
            cube_check_add (errors, "Invalid", &CUBE_AT (&at, name), v, "must be an integer");
        }
    }
  if (cube_view_exists (cube_view_member (status, "declaredFeatures")))
    check_features (errors, cube_view_member (status, "declaredFeatures"));
  for (cube_iter_init (&it, cube_view_member (status, "addresses")); is_update && cube_iter_next (&it, NULL, &v); i++)
    {
      g_autofree char *pair = g_strdup_printf ("%s %s", cube_view_string_or (cube_view_member (v, "type"), ""),
                                               cube_view_string_or (cube_view_member (v, "address"), ""));
      gboolean is_known = FALSE;
      for (guint e = 0; e < earlier->len && !is_known; e++)
        is_known = strcmp (earlier->pdata[e], pair) == 0;
      if (is_known)
        cube_check_add (errors, "Duplicate", &CUBE_AT_INDEX (&addresses, i), v, "%s", "");
      g_ptr_array_add (earlier, g_steal_pointer (&pair));
    }
}

/* ---- Namespace ---- */

void
cube_hook_namespace (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const standard[] = { "kubernetes", "orphan", "foregroundDeletion", NULL };
  CubePath list = CUBE_AT (&spec_path, "finalizers");
  CubeIter it;
  CubeView v;
  guint i = 0;
  if (strcmp (subresource, "status") == 0)
    {
      CubeView phase = cube_view_get (object, "status", "phase");
      gboolean is_going = cube_view_exists (cube_view_get (object, "metadata", "deletionTimestamp")),
               is_terminating = g_strcmp0 (cube_view_string (phase), "Terminating") == 0;
      if (is_going != is_terminating)
        cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, "Phase"), phase,
                        is_going ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
                                 : "may only be 'Active' if `deletionTimestamp` is empty");
      return;
    }
  if (cube_view_exists (old) && strcmp (subresource, "finalize") != 0)
    return;
  for (cube_iter_init (&it, cube_view_get (object, "spec", "finalizers")); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *text = cube_view_string_or (v, ""), *why = cube_name_check_qualified (text);
      CubePath at = CUBE_AT_INDEX (&list, i);
      if (why != NULL)
        cube_check_add (errors, "Invalid", &at, v, "%s", why);
      else if (strchr (text, '/') == NULL && !g_strv_contains (standard, text))
        cube_check_add (errors, "Invalid", &at, v, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/* ---- RuntimeClass ---- */

void
cube_hook_runtime_class (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const CubePath overhead = { NULL, "overhead", 0, FALSE }, scheduling = { NULL, "scheduling", 0, FALSE };
  CubePath list = CUBE_AT (&scheduling, "tolerations");
  CubeView tolerations = cube_view_get (object, "scheduling", "tolerations");
  if (!cube_view_exists (old))
    {
      cube_check_required (errors, NULL, object, "handler", "");
      cube_check_name (errors, NULL, object, "handler", cube_name_check_dns1123_label);
    }
  cube_check_resources (errors, &CUBE_AT (&overhead, "limits"), cube_view_get (object, "overhead", "podFixed"), TRUE);
  cube_check_labels (errors, &CUBE_AT (&scheduling, "nodeSelector"), cube_view_get (object, "scheduling", "nodeSelector"));
  if (cube_view_length (tolerations) == 0)
    return;
  cube_check_tolerations (errors, &list, tolerations);
  static const char *const fields[] = { "key", "operator", "value", "effect" };
  for (guint i = 1; i < cube_view_length (tolerations); i++)
    for (guint j = 0; j < i; j++)
      {
        gboolean is_same = TRUE;
        for (guint f = 0; f < G_N_ELEMENTS (fields); f++)
          is_same &= strcmp (cube_view_string_or (cube_view_get (cube_view_element (tolerations, i), fields[f]), ""),
                             cube_view_string_or (cube_view_get (cube_view_element (tolerations, j), fields[f]), ""))
                     == 0;
        if (is_same)
          {
            cube_check_add (errors, "Duplicate", &CUBE_AT_INDEX (&list, i), cube_view_element (tolerations, i), "%s", "");
            break;
          }
      }
}

/* ---- ControllerRevision ---- */

void
cube_hook_revision (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView data = cube_view_member (object, "data");
  if (cube_view_exists (old))
    {
      if (!cube_view_equal (data, cube_view_member (old, "data")))
        cube_field_errors_add (errors, "Invalid", "data", data, "field is immutable");
      return;
    }
  if (!cube_view_exists (data) || cube_view_type (data) == CUBE_VALUE_NULL)
    cube_field_errors_add (errors, "Required", "data", cube_view_none (), "data is mandatory");
  else if (cube_view_type (data) != CUBE_VALUE_OBJECT)
    cube_field_errors_add (errors, "Required", "data", cube_view_none (), "data must be a valid JSON object");
}

/* ---- reviews of access ---- */

static void
check_raw_selectors (CubeFieldErrors *errors, const CubePath *path, CubeView attributes)
{
  static const char *const fields[] = { "fieldSelector", "labelSelector" };
  for (guint i = 0; i < 2; i++)
    {
      CubeView selector = cube_view_member (attributes, fields[i]), raw = cube_view_member (selector, "rawSelector");
      CubePath at = CUBE_AT (path, fields[i]);
      if (!cube_is_empty (raw) && cube_view_length (cube_view_member (selector, "requirements")) > 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "rawSelector"), raw, "may not specified at the same time as requirements");
    }
}

/* A review is no object that is kept: its metadata says nothing, but where it asks. */
static void
check_review_metadata (CubeFieldErrors *errors, CubeView object, const char *detail)
{
  static const char *const never[] = { "name", "generateName", "labels", "annotations", "ownerReferences", "finalizers" };
  CubeView metadata = cube_view_member (object, "metadata");
  gboolean is_empty = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (never); i++)
    is_empty &= cube_is_empty (cube_view_member (metadata, never[i]));
  if (is_empty)
    return;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (metadata);
  cube_mut_remove (cube_builder_root (builder), "creationTimestamp"); /* the server's own */
  g_autoptr (CubeValue) shown = cube_builder_end (builder);
  cube_field_errors_add (errors, "Invalid", "metadata", cube_value_root (shown), "%s", detail);
}

static void
check_review (CubeFieldErrors *errors, CubeView object, gboolean has_subject)
{
  CubeView spec = cube_view_member (object, "spec"), resource = cube_view_member (spec, "resourceAttributes"),
           other = cube_view_member (spec, "nonResourceAttributes");
  CubePath resource_at = CUBE_AT (&spec_path, "resourceAttributes");
  if (cube_view_exists (resource) && cube_view_exists (other))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "nonResourceAttributes"), other,
                    "cannot be specified in combination with resourceAttributes");
  if (!cube_view_exists (resource) && !cube_view_exists (other))
    cube_check_add_null (errors, "Invalid", &resource_at, "exactly one of nonResourceAttributes or resourceAttributes must be specified");
  if (has_subject && cube_is_empty (cube_view_member (spec, "user")) && cube_view_length (cube_view_member (spec, "groups")) == 0)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (&spec_path, "user"), "", "at least one of user or group must be specified");
  if (cube_view_exists (resource))
    check_raw_selectors (errors, &resource_at, resource);
}

void
cube_hook_access_review (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  check_review (errors, object, TRUE);
  check_review_metadata (errors, object, "must be empty");
}

void
cube_hook_self_review (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  check_review (errors, object, FALSE);
  check_review_metadata (errors, object, "must be empty");
}

void
cube_hook_local_review (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), space = cube_view_get (spec, "resourceAttributes", "namespace"),
           other = cube_view_member (spec, "nonResourceAttributes");
  CubePath at = CUBE_AT (&spec_path, "resourceAttributes");
  check_review (errors, object, TRUE);
  check_review_metadata (errors, object, "must be empty except for namespace");
  if (cube_view_exists (cube_view_member (spec, "resourceAttributes"))
      && strcmp (cube_view_string_or (space, ""), cube_view_string_or (cube_view_get (object, "metadata", "namespace"), "")) != 0)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (&at, "namespace"), cube_view_string_or (space, ""), "must match metadata.namespace");
  if (cube_view_exists (other))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "nonResourceAttributes"), other, "disallowed on this kind of request");
}

/* ---- events.k8s.io ---- */

static void
check_text (CubeFieldErrors *errors, CubeView object, const char *field, const char *shown_as, gboolean is_needed, gsize most)
{
  CubeView value = cube_view_member (object, field);
  CubePath at = { NULL, shown_as, 0, FALSE };
  if (is_needed && cube_is_empty (value))
    cube_check_add (errors, "Required", &at, cube_view_none (), "%s", "");
  else if (cube_view_string_length (value) > most)
    cube_check_add_text (errors, "Invalid", &at, "", "can have at most %" G_GSIZE_FORMAT " characters", most);
}

void
cube_check_timed_event (CubeFieldErrors *errors, CubeView event)
{
  check_text (errors, event, "reportingComponent", "reportingComponent", TRUE, 253);
  cube_check_name (errors, NULL, event, "reportingComponent", cube_name_check_qualified);
  check_text (errors, event, "reportingInstance", "reportingInstance", TRUE, 128);
  check_text (errors, event, "action", "action", TRUE, 128);
  check_text (errors, event, "reason", "reason", TRUE, 128);
  check_text (errors, event, "message", "message", FALSE, 1024);
}

void
cube_hook_new_event (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const old_fields[][2] = { { "deprecatedFirstTimestamp", "firstTimestamp" },
                                               { "deprecatedLastTimestamp", "lastTimestamp" },
                                               { "deprecatedCount", "count" },
                                               { "deprecatedSource", "source" } };
  static const char *const fixed[][2] = { { "regarding", "involvedObject" },
                                          { "reason", "reason" },
                                          { "note", "message" },
                                          { "type", "type" },
                                          { "eventTime", "eventTime" },
                                          { "action", "action" },
                                          { "related", "related" },
                                          { "reportingController", "reportingController" },
                                          { "reportingInstance", "reportingInstance" } };
  CubeView type = cube_view_member (object, "type"), series = cube_view_member (object, "series");
  const char *text = cube_view_string_or (type, "");
  CubePath series_at = { NULL, "series", 0, FALSE };
  cube_hook_event (subresource, object, old, errors);
  if (cube_view_exists (series))
    {
      if (cube_view_get_int (series, 0, "count") < 2)
        cube_check_add (errors, "Invalid", &CUBE_AT (&series_at, "count"), cube_view_member (series, "count"), "should be at least 2");
      cube_check_required (errors, &series_at, series, "lastObservedTime", "");
    }
  if (cube_view_exists (old))
    {
      for (guint i = 0; i < G_N_ELEMENTS (fixed); i++)
        {
          CubeView now = cube_view_member (object, fixed[i][0]), before = cube_view_member (old, fixed[i][0]);
          if (!cube_view_equal (now, before) && !(cube_is_empty (now) && cube_is_empty (before)))
            cube_check_add (errors, "Invalid", &CUBE_AT (NULL, fixed[i][1]), now, "field is immutable");
        }
      return;
    }
  check_text (errors, object, "reportingController", "reportingController", TRUE, 253);
  cube_check_name (errors, NULL, object, "reportingController", cube_name_check_qualified);
  check_text (errors, object, "reportingInstance", "reportingInstance", TRUE, 128);
  check_text (errors, object, "action", "action", TRUE, 128);
  check_text (errors, object, "reason", "reason", TRUE, 128);
  check_text (errors, object, "note", "message", FALSE, 1024);
  if (strcmp (text, "Normal") != 0 && strcmp (text, "Warning") != 0)
    cube_check_add_text (errors, "Invalid", &((CubePath){ NULL, "type", 0, FALSE }), "", "has invalid value: %s", text);
  for (guint i = 0; i < G_N_ELEMENTS (old_fields); i++)
    {
      CubeView value = cube_view_member (object, old_fields[i][0]);
      gboolean is_set = cube_view_type (value) == CUBE_VALUE_INT ? cube_view_int (value, 0) != 0 : !cube_is_empty (value);
      if (is_set)
        cube_check_add (errors, "Invalid", &CUBE_AT (NULL, old_fields[i][1]), value, "needs to be unset");
    }
}
