/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of roles and bindings, autoscalers, disruption budgets. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- roles ---- */

static void
check_rules (CubeView object, gboolean is_namespaced, CubeFieldErrors *errors)
{
  CubePath list = { NULL, "rules", 0, FALSE };
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (object, "rules")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), urls_at = CUBE_AT (&at, "nonResourceURLs");
      CubeView urls = cube_view_member (v, "nonResourceURLs");
      if (cube_is_empty (cube_view_member (v, "verbs")))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "verbs"), cube_view_none (), "verbs must contain at least one value");
      if (cube_view_length (urls) > 0)
        {
          if (is_namespaced)
            cube_check_add (errors, "Invalid", &urls_at, urls, "namespaced rules cannot apply to non-resource URLs");
          if (!cube_is_empty (cube_view_member (v, "apiGroups")) || !cube_is_empty (cube_view_member (v, "resources"))
              || !cube_is_empty (cube_view_member (v, "resourceNames")))
            cube_check_add (errors, "Invalid", &urls_at, urls, "rules cannot apply to both regular resources and non-resource URLs");
          continue;
        }
      if (cube_is_empty (cube_view_member (v, "apiGroups")))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "apiGroups"), cube_view_none (),
                        "resource rules must supply at least one api group");
      if (cube_is_empty (cube_view_member (v, "resources")))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "resources"), cube_view_none (),
                        "resource rules must supply at least one resource");
    }
}

void
cube_hook_role (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  check_rules (object, TRUE, errors);
}

void
cube_hook_cluster_role (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView aggregation = cube_view_member (object, "aggregationRule");
  check_rules (object, FALSE, errors);
  if (cube_view_exists (aggregation) && cube_is_empty (cube_view_member (aggregation, "clusterRoleSelectors")))
    cube_field_errors_add (errors, "Required", "aggregationRule.clusterRoleSelectors", cube_view_none (),
                           "at least one clusterRoleSelector required if aggregationRule is non-nil");
  CubePath rule = { NULL, "aggregationRule", 0, FALSE }, list = CUBE_AT (&rule, "clusterRoleSelectors");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (aggregation, "clusterRoleSelectors")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      g_autoptr (CubeSelector) selector = cube_selector_from_view (v, NULL);
      cube_check_label_selector (errors, &at, v);
      if (selector == NULL)
        cube_check_add (errors, "Invalid", &at, v, "invalid label selector.");
    }
}

static void
check_subject (CubeFieldErrors *errors, const CubePath *at, CubeView subject, gboolean is_namespaced)
{
  CubeView kind = cube_view_member (subject, "kind"), group = cube_view_member (subject, "apiGroup");
  const char *text = cube_view_string_or (kind, ""), *group_text = cube_view_string_or (group, "");
  if (strcmp (text, "ServiceAccount") == 0)
    {
      cube_check_name (errors, at, subject, "name", cube_name_check_dns1123_subdomain);
      if (*group_text != '\0')
        cube_check_add (errors, "NotSupported", &CUBE_AT (at, "apiGroup"), group, "supported values: \"\"");
      if (!is_namespaced)
        cube_check_required (errors, at, subject, "namespace", "");
    }
  else if (strcmp (text, "User") == 0 || strcmp (text, "Group") == 0)
    {
      if (strcmp (group_text, "rbac.authorization.k8s.io") != 0)
        cube_check_add_text (errors, "NotSupported", &CUBE_AT (at, "apiGroup"), group_text,
                             "supported values: \"rbac.authorization.k8s.io\"");
    }
  else
    {
      cube_check_add_text (errors, "NotSupported", &CUBE_AT (at, "kind"), text,
                           "supported values: \"ServiceAccount\", \"User\", \"Group\"");
    }
}

static void
check_binding (CubeView object, CubeView old, gboolean is_namespaced, CubeFieldErrors *errors)
{
  CubePath at = { NULL, "roleRef", 0, FALSE }, list = { NULL, "subjects", 0, FALSE };
  CubeView role = cube_view_member (object, "roleRef"), v;
  const char *group = cube_view_string_or (cube_view_member (role, "apiGroup"), ""),
             *kind = cube_view_string_or (cube_view_member (role, "kind"), "");
  if (strcmp (group, "rbac.authorization.k8s.io") != 0)
    cube_check_add_text (errors, "NotSupported", &CUBE_AT (&at, "apiGroup"), group, "supported values: \"rbac.authorization.k8s.io\"");
  if (strcmp (kind, "ClusterRole") != 0 && (!is_namespaced || strcmp (kind, "Role") != 0))
    cube_check_add_text (errors, "NotSupported", &CUBE_AT (&at, "kind"), kind,
                         is_namespaced ? "supported values: \"Role\", \"ClusterRole\"" : "supported values: \"ClusterRole\"");
  cube_check_name (errors, &at, role, "name", cube_name_check_path_segment);
  CubeIter it;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (object, "subjects")); cube_iter_next (&it, NULL, &v); i++)
    check_subject (errors, &CUBE_AT_INDEX (&list, i), v, is_namespaced);
  if (cube_view_exists (old) && !cube_view_equal (role, cube_view_member (old, "roleRef")))
    cube_check_add (errors, "Invalid", &at, role, "cannot change roleRef");
}

void
cube_hook_role_binding (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  check_binding (object, old, TRUE, errors);
}

void
cube_hook_cluster_role_binding (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  check_binding (object, old, FALSE, errors);
}

/* ---- HorizontalPodAutoscaler ---- */

static void
check_reference (CubeFieldErrors *errors, const CubePath *at, CubeView reference, gboolean needs_group)
{
  const char *version = cube_view_string_or (cube_view_member (reference, "apiVersion"), "");
  cube_check_name (errors, at, reference, "kind", cube_name_check_path_segment);
  cube_check_name (errors, at, reference, "name", cube_name_check_path_segment);
  if (needs_group && *version != '\0' && strchr (version, '/') == NULL && strcmp (version, "v1") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "apiVersion"), cube_view_member (reference, "apiVersion"),
                    "apiVersion must specify API group");
}

static void
check_target (CubeFieldErrors *errors, const CubePath *at, CubeView target)
{
  static const char *const amounts[] = { "value", "averageValue" };
  CubeView type = cube_view_member (target, "type");
  const char *text = cube_view_string_or (type, "");
  CubeQuantity quantity;
  if (*text == '\0')
    cube_check_add (errors, "Required", &CUBE_AT (at, "type"), cube_view_none (), "must specify a metric target type");
  else if (strcmp (text, "Utilization") != 0 && strcmp (text, "Value") != 0 && strcmp (text, "AverageValue") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "type"), type, "must be either Utilization, Value, or AverageValue");
  for (guint i = 0; i < 2; i++)
    if (cube_quantity_from_view (cube_view_member (target, amounts[i]), &quantity) && quantity.mantissa <= 0)
      cube_check_add (errors, "Invalid", &CUBE_AT (at, amounts[i]), cube_view_member (target, amounts[i]), "must be positive");
}

static void
check_metric_source (CubeFieldErrors *errors, const CubePath *at, const char *kind, CubeView source)
{
  CubeView target = cube_view_member (source, "target");
  CubePath target_at = CUBE_AT (at, "target"), metric_at = CUBE_AT (at, "metric"), average = CUBE_AT (&target_at, "averageValue");
  gboolean has_value = cube_view_exists (cube_view_member (target, "value")),
           has_average = cube_view_exists (cube_view_member (target, "averageValue"));
  check_target (errors, &target_at, target);
  if (g_str_has_suffix (kind, "Resource"))
    {
      cube_check_required (errors, at, source, "name", "must specify a resource name");
      if (*kind == 'C')
        cube_check_required (errors, at, source, "container", "must specify a container");
      if (*kind == 'C')
        cube_check_name (errors, at, source, "container", cube_name_check_dns1123_label);
      return;
    }
  cube_check_required (errors, &metric_at, cube_view_member (source, "metric"), "name", "must specify a metric name");
  cube_check_name (errors, &metric_at, cube_view_member (source, "metric"), "name", cube_name_check_path_segment);
  if (cube_view_exists (cube_view_get (source, "metric", "selector")))
    cube_check_label_selector (errors, &CUBE_AT (&metric_at, "selector"), cube_view_get (source, "metric", "selector"));
  if (*kind == 'O')
    check_reference (errors, &CUBE_AT (at, "describedObject"), cube_view_member (source, "describedObject"), FALSE);
  if (*kind == 'O' && !has_value && !has_average)
    cube_check_add (errors, "Required", &average, cube_view_none (), "must set either a target value or averageValue");
  if (*kind == 'E' && !has_value && !has_average)
    cube_check_add (errors, "Required", &average, cube_view_none (), "must set either a target value for metric or a per-pod target");
  if (*kind == 'E' && has_value && has_average)
    cube_check_forbidden (errors, &CUBE_AT (&target_at, "value"), "may not set both a target value for metric and a per-pod target");
  if (*kind == 'P' && !has_average)
    cube_check_add (errors, "Required", &average, cube_view_none (), "must specify a positive target averageValue");
}

static void
check_metric (CubeFieldErrors *errors, const CubePath *at, CubeView metric)
{
  static const char *const kinds[][2] = { { "Object", "object" },
                                          { "Pods", "pods" },
                                          { "Resource", "resource" },
                                          { "ContainerResource", "containerResource" },
                                          { "External", "external" } };
  static const char *const types[] = { "ContainerResource", "External", "Object", "Pods", "Resource", NULL };
  const char *type = cube_view_string_or (cube_view_member (metric, "type"), "");
  cube_check_required (errors, at, metric, "type", "must specify a metric source type");
  cube_check_one_of (errors, at, metric, "type", types);
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++)
    {
      CubeView source = cube_view_member (metric, kinds[i][1]);
      CubePath here = CUBE_AT (at, kinds[i][1]), target_at = CUBE_AT (&here, "target");
      gboolean is_own = strcmp (type, kinds[i][0]) == 0;
      if (is_own && !cube_view_exists (source))
        cube_check_add (errors, "Required", &here, cube_view_none (), "must populate information for the given metric source");
      else if (!is_own && cube_view_exists (source))
        cube_check_add (errors, "Forbidden", &here, cube_view_none (), "must populate the given metric source only");
      if (!is_own || !cube_view_exists (source))
        continue;
      check_metric_source (errors, &here, kinds[i][0], source);
      CubeView target = cube_view_member (source, "target"), utilization = cube_view_member (target, "averageUtilization");
      gboolean has_value = cube_view_exists (cube_view_member (target, "averageValue"));
      if (cube_view_exists (utilization) && cube_view_int (utilization, 0) < 1)
        cube_check_add (errors, "Invalid", &CUBE_AT (&target_at, "averageUtilization"), utilization, "must be greater than 0");
      if (i != 2 && i != 3)
        continue;
      if (!has_value && !cube_view_exists (utilization))
        cube_check_add (errors, "Required", &CUBE_AT (&target_at, "averageUtilization"), cube_view_none (),
                        "must set either a target raw value or a target utilization");
      if (has_value && cube_view_exists (utilization))
        cube_check_add (errors, "Forbidden", &CUBE_AT (&target_at, "averageValue"), cube_view_none (),
                        "may not set both a target raw value and a target utilization");
    }
}

static void
check_behavior (CubeView spec, CubeFieldErrors *errors)
{
  static const char *const sides[] = { "scaleUp", "scaleDown" };
  CubePath at = CUBE_AT (&spec_path, "behavior");
  for (guint s = 0; s < 2; s++)
    {
      CubeView rules = cube_view_get (spec, "behavior", sides[s]), window = cube_view_member (rules, "stabilizationWindowSeconds"), v;
      CubePath side = CUBE_AT (&at, sides[s]), list = CUBE_AT (&side, "policies");
      CubeIter it;
      guint i = 0;
      if (!cube_view_exists (rules))
        continue;
      if (cube_view_int (window, 0) < 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&side, "stabilizationWindowSeconds"), window, "must be greater than or equal to zero");
      if (cube_view_int (window, 0) > 3600)
        cube_check_add (errors, "Invalid", &CUBE_AT (&side, "stabilizationWindowSeconds"), window, "must be less than or equal to 3600");
      static const char *const choices[] = { "Disabled", "Max", "Min", NULL }, *const types[] = { "Percent", "Pods", NULL };
      CubeQuantity tolerance;
      cube_check_one_of (errors, &side, rules, "selectPolicy", choices);
      if (cube_quantity_from_view (cube_view_member (rules, "tolerance"), &tolerance) && tolerance.mantissa < 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&side, "tolerance"), cube_view_member (rules, "tolerance"),
                        "must be greater than or equal to 0");
      if (cube_view_length (cube_view_member (rules, "policies")) == 0)
        cube_check_add (errors, "Required", &list, cube_view_none (), "must specify at least one Policy");
      for (cube_iter_init (&it, cube_view_member (rules, "policies")); cube_iter_next (&it, NULL, &v); i++)
        {
          CubePath policy = CUBE_AT_INDEX (&list, i);
          cube_check_one_of (errors, &policy, v, "type", types);
          CubeView value = cube_view_member (v, "value"), period = cube_view_member (v, "periodSeconds");
          if (cube_view_int (value, 0) <= 0)
            cube_check_add (errors, "Invalid", &CUBE_AT (&policy, "value"), value, "must be greater than zero");
          if (cube_view_int (period, 0) <= 0)
            cube_check_add (errors, "Invalid", &CUBE_AT (&policy, "periodSeconds"), period, "must be greater than zero");
          else if (cube_view_int (period, 0) > 1800)
            cube_check_add (errors, "Invalid", &CUBE_AT (&policy, "periodSeconds"), period, "must be less than or equal to 1800");
        }
    }
}

void
cube_hook_autoscaler (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), low = cube_view_member (spec, "minReplicas"),
           high = cube_view_member (spec, "maxReplicas"), v;
  CubePath list = CUBE_AT (&spec_path, "metrics");
  CubeIter it;
  guint i = 0;
  if (strcmp (subresource, "status") == 0)
    {
      static const CubePath status_at = { NULL, "status", 0, FALSE };
      cube_check_not_negative (errors, &status_at, cube_view_member (object, "status"), "currentReplicas");
      cube_check_not_negative (errors, &status_at, cube_view_member (object, "status"), "desiredReplicas");
    }
  if (*subresource != '\0')
    return;
  check_reference (errors, &CUBE_AT (&spec_path, "scaleTargetRef"), cube_view_member (spec, "scaleTargetRef"), TRUE);
  if (cube_view_exists (low) && cube_view_int (low, 1) < 1)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "minReplicas"), low, "must be greater than or equal to 1");
  if (cube_view_int (high, 0) == 0)
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "maxReplicas"), cube_view_none (), "must be set and greater than 0");
  else if (cube_view_int (high, 0) < 1)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "maxReplicas"), high, "must be greater than or equal to 1");
  else if (cube_view_int (high, 0) < cube_view_int (low, 1))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "maxReplicas"), high, "must be greater than or equal to `minReplicas`");
  for (cube_iter_init (&it, cube_view_member (spec, "metrics")); cube_iter_next (&it, NULL, &v); i++)
    check_metric (errors, &CUBE_AT_INDEX (&list, i), v);
  check_behavior (spec, errors);
}

/* ---- PodDisruptionBudget ---- */

void
cube_hook_disruption_budget (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const fields[] = { "minAvailable", "maxUnavailable" };
  static const char *const counts[] = { "disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods" };
  CubeView spec = cube_view_member (object, "spec");
  for (guint i = 0; strcmp (subresource, "status") == 0 && i < G_N_ELEMENTS (counts); i++)
    cube_check_not_negative (errors, &((CubePath){ NULL, "status", 0, FALSE }), cube_view_member (object, "status"), counts[i]);
  if (strcmp (subresource, "status") == 0)
    {
      CubePath status_at = { NULL, "status", 0, FALSE };
      cube_check_conditions (errors, &CUBE_AT (&status_at, "conditions"), cube_view_get (object, "status", "conditions"));
    }
  if (*subresource != '\0')
    return;
  if (cube_view_exists (cube_view_member (spec, fields[0])) && cube_view_exists (cube_view_member (spec, fields[1])))
    cube_check_add (errors, "Invalid", &spec_path, spec, "minAvailable and maxUnavailable cannot be both set");
  for (guint i = 0; i < 2; i++)
    {
      CubeView value = cube_view_member (spec, fields[i]);
      const char *text = cube_view_string (value);
      if (text != NULL && g_str_has_suffix (text, "%") && g_ascii_strtoull (text, NULL, 10) > 100)
        cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, fields[i]), value, "must not be greater than 100%%");
      else if (text == NULL && cube_view_int (value, 0) < 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, fields[i]), value, "must be greater than or equal to 0");
    }
  cube_check_label_selector (errors, &CUBE_AT (&spec_path, "selector"), cube_view_member (spec, "selector"));
}
