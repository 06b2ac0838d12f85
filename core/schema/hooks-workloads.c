/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of the kinds that make pods: selectors, templates, strategies, what an update may change. */
#include "validate.h"
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- shared ---- */

static void
check_selector (CubeView spec, const char *what, CubeFieldErrors *errors)
{
  CubeView view = cube_view_member (spec, "selector"), labels = cube_view_get (spec, "template", "metadata", "labels");
  CubePath at = CUBE_AT (&spec_path, "selector");
  if (!cube_view_exists (view))
    return;
  guint before = cube_field_errors_count (errors);
  cube_check_label_selector (errors, &at, view);
  if (cube_field_errors_count (errors) != before)
    return;
  g_autoptr (CubeSelector) selector = cube_selector_from_view (view, NULL);
  if (selector == NULL)
    cube_check_add (errors, "Invalid", &at, view, "invalid label selector");
  else if (cube_selector_is_everything (selector))
    cube_check_add (errors, "Invalid", &at, view, "empty selector is invalid for %s", what);
  else if (!cube_selector_matches_labels (selector, labels))
    cube_field_errors_add (errors, "Invalid", "spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
}

/* @kind: of the text about activeDeadlineSeconds. */
static void
check_template (CubeView spec, CubeView old_spec, const char *kind, CubeFieldErrors *errors)
{
  CubeView template = cube_view_member (spec, "template"), pod = cube_view_member (template, "spec"),
           policy = cube_view_member (pod, "restartPolicy");
  CubePath at = CUBE_AT (&spec_path, "template"), pod_at = CUBE_AT (&at, "spec");
  if (!cube_view_exists (template) || (cube_view_exists (old_spec) && cube_view_equal (template, cube_view_member (old_spec, "template"))))
    return;
  cube_check_pod_template (errors, &at, template);
  if (!cube_is_empty (policy) && g_strcmp0 (cube_view_string (policy), "Always") != 0)
    cube_check_add (errors, "NotSupported", &CUBE_AT (&pod_at, "restartPolicy"), policy, "supported values: \"Always\"");
  if (cube_view_exists (cube_view_member (pod, "activeDeadlineSeconds")))
    cube_check_add (errors, "Forbidden", &CUBE_AT (&pod_at, "activeDeadlineSeconds"), cube_view_none (),
                    "activeDeadlineSeconds in %s is not Supported", kind);
}

/* An int or a percentage, not negative; @limit: at most 100%. */
static void
check_amount (CubeFieldErrors *errors, const CubePath *path, CubeView value, gboolean limit)
{
  if (!cube_view_exists (value))
    return;
  if (cube_view_type (value) != CUBE_VALUE_STRING)
    {
      if (cube_view_int (value, 0) < 0)
        cube_check_add (errors, "Invalid", path, value, "must be greater than or equal to 0");
      return;
    }
  const char *text = cube_view_string (value);
  gsize digits = strspn (text, "0123456789");
  if (digits == 0 || strcmp (text + digits, "%") != 0)
    cube_check_add (
        errors, "Invalid", path, value,
        "a valid percent string must be a numeric string followed by an ending '%%' (e.g. '1%%',  or '93%%', regex used for validation is "
        "'[0-9]+%%')");
  else if (limit && g_ascii_strtoull (text, NULL, 10) > 100)
    cube_check_add (errors, "Invalid", path, value, "must not be greater than 100%%");
}

static gboolean
is_zero (CubeView value)
{
  return cube_view_type (value) == CUBE_VALUE_STRING ? g_ascii_strtoull (cube_view_string (value), NULL, 10) == 0
                                                     : cube_view_int (value, 0) == 0;
}

static void
check_status_counts (CubeView status, gboolean is_stateful, CubeFieldErrors *errors)
{
  static const char *const counts[] = { "updatedReplicas", "readyReplicas", "availableReplicas", "fullyLabeledReplicas",
                                        "currentReplicas" };
  CubePath at = { NULL, "status", 0, FALSE };
  gint64 total = cube_view_get_int (status, 0, "replicas");
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, status); cube_iter_next (&it, &key, &v);)
    if (cube_view_type (v) == CUBE_VALUE_INT && cube_view_int (v, 0) < 0)
      cube_check_add (errors, "Invalid", &CUBE_AT (&at, key), v, "must be greater than or equal to 0");
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      v = cube_view_member (status, counts[i]);
      if (cube_view_int (v, 0) > total)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, counts[i]), v, "cannot be greater than status.replicas");
    }
  if (cube_view_get_int (status, 0, "availableReplicas") > cube_view_get_int (status, 0, "readyReplicas"))
    cube_check_add (errors, "Invalid", &CUBE_AT (&at, "availableReplicas"), cube_view_member (status, "availableReplicas"),
                    "cannot be greater than %sreadyReplicas", is_stateful ? "status." : "");
}

static gboolean
is_status (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView count = cube_view_get (object, "status", "collisionCount"), before = cube_view_get (old, "status", "collisionCount");
  if (strcmp (subresource, "status") == 0)
    check_status_counts (cube_view_member (object, "status"), g_strcmp0 (cube_view_get_string (object, "kind"), "StatefulSet") == 0,
                         errors);
  if (strcmp (subresource, "status") == 0 && cube_view_exists (before) && cube_view_int (count, 0) < cube_view_int (before, 0))
    cube_field_errors_add (errors, "Invalid", "status.collisionCount", count, "cannot be decremented");
  return *subresource != '\0';
}

/* ---- Deployment ---- */

static void
check_rolling (CubeView strategy, CubeFieldErrors *errors)
{
  CubePath at = CUBE_AT (&spec_path, "strategy"), rolling_at = CUBE_AT (&at, "rollingUpdate");
  CubeView rolling = cube_view_member (strategy, "rollingUpdate");
  CubeView unavailable = cube_view_member (rolling, "maxUnavailable"), surge = cube_view_member (rolling, "maxSurge");
  const char *type = cube_view_string_or (cube_view_member (strategy, "type"), "");
  if (strcmp (type, "Recreate") == 0)
    {
      if (cube_view_exists (rolling))
        cube_check_add (errors, "Forbidden", &rolling_at, cube_view_none (), "may not be specified when strategy `type` is 'Recreate'");
      return;
    }
  if (*type != '\0' && strcmp (type, "RollingUpdate") != 0)
    cube_check_add (errors, "NotSupported", &at, strategy, "supported values: \"Recreate\", \"RollingUpdate\"");
  if (strcmp (type, "RollingUpdate") != 0)
    return;
  if (!cube_view_exists (rolling))
    {
      cube_check_add (errors, "Required", &rolling_at, cube_view_none (), "this should be defaulted and never be nil");
      return;
    }
  check_amount (errors, &CUBE_AT (&rolling_at, "maxUnavailable"), unavailable, TRUE);
  check_amount (errors, &CUBE_AT (&rolling_at, "maxSurge"), surge, FALSE);
  if (is_zero (unavailable) && is_zero (surge))
    cube_check_add (errors, "Invalid", &CUBE_AT (&rolling_at, "maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0");
}

void
cube_hook_deployment (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), deadline = cube_view_member (spec, "progressDeadlineSeconds");
  if (is_status (subresource, object, old, errors))
    return;
  check_selector (spec, "deployment", errors);
  check_template (spec, cube_view_member (old, "spec"), "ReplicaSet", errors);
  check_rolling (cube_view_member (spec, "strategy"), errors);
  cube_check_not_negative (errors, &spec_path, spec, "progressDeadlineSeconds");
  if (cube_view_exists (deadline) && cube_view_int (deadline, 0) <= cube_view_get_int (spec, 0, "minReadySeconds"))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
  cube_check_not_negative (errors, &spec_path, spec, "revisionHistoryLimit");
}

void
cube_hook_replica_set (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  if (is_status (subresource, object, old, errors))
    return;
  check_selector (cube_view_member (object, "spec"), "deployment", errors);
  check_template (cube_view_member (object, "spec"), cube_view_member (old, "spec"), "ReplicaSet", errors);
}

void
cube_hook_replication_controller (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), selector = cube_view_member (spec, "selector"), v;
  CubeView labels = cube_view_get (spec, "template", "metadata", "labels");
  CubeIter it;
  const char *key;
  if (is_status (subresource, object, old, errors))
    return;
  cube_check_required (errors, &spec_path, spec, "selector", "");
  cube_check_required (errors, &spec_path, spec, "template", "");
  for (cube_iter_init (&it, selector); cube_view_exists (cube_view_member (spec, "template")) && cube_iter_next (&it, &key, &v);)
    if (!cube_view_equal (cube_view_member (labels, key), v))
      {
        cube_field_errors_add (errors, "Invalid", "spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
        break;
      }
  check_template (spec, cube_view_member (old, "spec"), "ReplicationController", errors);
}

/* ---- DaemonSet ---- */

void
cube_hook_daemon_set (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), rolling = cube_view_get (spec, "updateStrategy", "rollingUpdate");
  CubePath at = CUBE_AT (&spec_path, "updateStrategy"), rolling_at = CUBE_AT (&at, "rollingUpdate");
  if (is_status (subresource, object, old, errors))
    return;
  check_selector (spec, "daemonset", errors);
  check_template (spec, cube_view_member (old, "spec"), "DaemonSet", errors);
  cube_check_not_negative (errors, &spec_path, spec, "revisionHistoryLimit");
  const char *type = cube_view_string_or (cube_view_get (spec, "updateStrategy", "type"), "");
  if (*type != '\0' && strcmp (type, "OnDelete") != 0 && strcmp (type, "RollingUpdate") != 0)
    cube_check_add (errors, "NotSupported", &at, cube_view_member (spec, "updateStrategy"),
                    "supported values: \"RollingUpdate\", \"OnDelete\"");
  if (strcmp (type, "RollingUpdate") != 0)
    return;
  if (!cube_view_exists (rolling))
    {
      cube_check_add (errors, "Required", &rolling_at, cube_view_none (), "%s", "");
      return;
    }
  CubeView unavailable = cube_view_member (rolling, "maxUnavailable"), surge = cube_view_member (rolling, "maxSurge");
  check_amount (errors, &CUBE_AT (&rolling_at, "maxUnavailable"), unavailable, TRUE);
  check_amount (errors, &CUBE_AT (&rolling_at, "maxSurge"), surge, TRUE);
  if (!is_zero (unavailable) && !is_zero (surge))
    cube_check_add (errors, "Invalid", &CUBE_AT (&rolling_at, "maxSurge"), surge, "may not be set when maxUnavailable is non-zero");
  if (is_zero (unavailable) && is_zero (surge))
    cube_check_add (errors, "Required", &CUBE_AT (&rolling_at, "maxUnavailable"), cube_view_none (), "cannot be 0 when maxSurge is 0");
}

/* ---- StatefulSet ---- */

static void
check_stateful_update (CubeView spec, CubeView old, CubeFieldErrors *errors)
{
  static const char *const free_fields[] = {
    "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds"
  };
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (spec);
  for (guint i = 0; i < G_N_ELEMENTS (free_fields); i++)
    cube_mut_set_view (cube_builder_root (builder), free_fields[i], cube_view_member (old, free_fields[i]));
  if (!cube_mut_equal_view (cube_builder_root (builder), old))
    cube_check_add (
        errors, "Forbidden", &spec_path, cube_view_none (),
        "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
        "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
}

/* The claims a set makes are volumes of its pods. */
static CubeValue *
with_claims (CubeView spec)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (spec);
  CubeMut *pod = cube_mut_ensure (cube_builder_root (builder), "template", "spec"), *volumes = cube_mut_ensure_array (pod, "volumes");
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (spec, "volumeClaimTemplates")); cube_iter_next (&it, NULL, &v);)
    {
      const char *name = cube_view_string_or (cube_view_get (v, "metadata", "name"), "");
      gboolean is_known = FALSE;
      for (guint i = 0; i < cube_mut_length (volumes) && !is_known; i++)
        is_known = g_strcmp0 (cube_mut_string (cube_mut_member (cube_mut_element (volumes, i), "name")), name) == 0;
      if (is_known)
        continue;
      CubeMut *volume = cube_mut_append_object (volumes);
      cube_mut_set_string (volume, "name", name);
      cube_mut_set_string (cube_mut_set_object (volume, "persistentVolumeClaim"), "claimName", name);
    }
  return cube_builder_end (builder);
}

void
cube_hook_stateful_set (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), strategy = cube_view_member (spec, "updateStrategy");
  CubeView policy = cube_view_member (spec, "podManagementPolicy"), rolling = cube_view_member (strategy, "rollingUpdate");
  const char *type = cube_view_string_or (cube_view_member (strategy, "type"), ""), *manage = cube_view_string_or (policy, "");
  CubePath at = CUBE_AT (&spec_path, "updateStrategy"), rolling_at = CUBE_AT (&at, "rollingUpdate");
  if (is_status (subresource, object, old, errors))
    return;
  if (*manage == '\0')
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "podManagementPolicy"), cube_view_none (), "%s", "");
  if (*type == '\0')
    cube_check_add (errors, "Required", &at, cube_view_none (), "%s", "");
  static const char *const retentions[] = { "Retain", "Delete", NULL };
  CubePath keep_at = CUBE_AT (&spec_path, "persistentVolumeClaimRetentionPolicy");
  cube_check_one_of (errors, &keep_at, cube_view_member (spec, "persistentVolumeClaimRetentionPolicy"), "whenDeleted", retentions);
  cube_check_one_of (errors, &keep_at, cube_view_member (spec, "persistentVolumeClaimRetentionPolicy"), "whenScaled", retentions);
  if (*manage != '\0' && strcmp (manage, "OrderedReady") != 0 && strcmp (manage, "Parallel") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "podManagementPolicy"), policy, "must be 'OrderedReady' or 'Parallel'");
  if (*type != '\0' && strcmp (type, "RollingUpdate") != 0 && strcmp (type, "OnDelete") != 0)
    cube_check_add (errors, "Invalid", &at, strategy, "must be 'RollingUpdate' or 'OnDelete'");
  if (strcmp (type, "OnDelete") == 0 && cube_view_exists (rolling))
    cube_check_add (errors, "Invalid", &rolling_at, rolling, "only allowed for updateStrategy 'RollingUpdate'");
  cube_check_not_negative (errors, &rolling_at, rolling, "partition");
  CubeView unavailable = cube_view_member (rolling, "maxUnavailable");
  check_amount (errors, &CUBE_AT (&rolling_at, "maxUnavailable"), unavailable, TRUE);
  if (cube_view_exists (unavailable) && is_zero (unavailable))
    cube_check_add (errors, "Invalid", &CUBE_AT (&rolling_at, "maxUnavailable"), unavailable, "cannot be 0");
  cube_check_not_negative (errors, &CUBE_AT (&spec_path, "ordinals"), cube_view_member (spec, "ordinals"), "start");
  check_selector (spec, "statefulset", errors);
  if (cube_view_length (cube_view_member (spec, "volumeClaimTemplates")) > 0)
    {
      g_autoptr (CubeValue) whole = with_claims (spec);
      gboolean is_same =
          cube_view_exists (old) && cube_view_equal (cube_view_member (spec, "template"), cube_view_get (old, "spec", "template"));
      if (!is_same)
        check_template (cube_value_root (whole), cube_view_none (), "StatefulSet", errors);
    }
  else
    {
      check_template (spec, cube_view_member (old, "spec"), "StatefulSet", errors);
    }
  if (cube_view_exists (old))
    check_stateful_update (spec, cube_view_member (old, "spec"), errors);
  else
    cube_check_name (errors, &spec_path, spec, "serviceName", cube_name_check_dns1123_label);
}

/* ---- Job ---- */

static void
check_job_policy (CubeView policy, const CubePath *spec_at, gboolean per_index, CubeFieldErrors *errors)
{
  CubePath at = CUBE_AT (spec_at, "podFailurePolicy"), rules = CUBE_AT (&at, "rules");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (policy, "rules")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath rule = CUBE_AT_INDEX (&rules, i), codes_at = CUBE_AT (&rule, "onExitCodes"), values_at = CUBE_AT (&codes_at, "values");
      CubeView codes = cube_view_member (v, "onExitCodes"), values = cube_view_member (codes, "values"), code;
      gboolean has_codes = cube_view_exists (codes), has_conditions = cube_view_length (cube_view_member (v, "onPodConditions")) > 0;
      if (g_strcmp0 (cube_view_string (cube_view_member (v, "action")), "FailIndex") == 0 && !per_index)
        cube_check_add (errors, "Invalid", &CUBE_AT (&rule, "action"), cube_view_member (v, "action"),
                        "requires the backoffLimitPerIndex to be set");
      if (has_codes && has_conditions)
        cube_check_add (errors, "Invalid", &rule, cube_view_none (), "specifying both OnExitCodes and OnPodConditions is not supported");
      if (!has_codes && !has_conditions)
        cube_check_add (errors, "Invalid", &rule, cube_view_none (), "specifying one of OnExitCodes and OnPodConditions is required");
      if (!has_codes)
        continue;
      gboolean is_in = g_strcmp0 (cube_view_string (cube_view_member (codes, "operator")), "In") == 0;
      gint64 last = G_MININT64;
      CubeIter inner;
      guint j = 0;
      if (cube_view_length (values) == 0)
        cube_check_add (errors, "Invalid", &values_at, values, "at least one value is required");
      for (cube_iter_init (&inner, values); cube_iter_next (&inner, NULL, &code); j++)
        {
          gint64 number = cube_view_int (code, 0);
          if (is_in && number == 0)
            cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&values_at, j), code, "must not be 0 for the In operator");
          if (number == last)
            cube_check_add (errors, "Duplicate", &CUBE_AT_INDEX (&values_at, j), code, "%s", "");
          else if (number < last)
            cube_check_add (errors, "Invalid", &values_at, values, "must be ordered");
          last = number;
        }
    }
}

static void
check_indexed (CubeView spec, const CubePath *at, CubeFieldErrors *errors)
{
  static const char *const indexed_only[] = { "backoffLimitPerIndex", "maxFailedIndexes", "successPolicy" };
  CubeView completions = cube_view_member (spec, "completions"), parallelism = cube_view_member (spec, "parallelism");
  CubeView failed = cube_view_member (spec, "maxFailedIndexes"), per_index = cube_view_member (spec, "backoffLimitPerIndex");
  if (g_strcmp0 (cube_view_string (cube_view_member (spec, "completionMode")), "Indexed") != 0)
    {
      for (guint i = 0; i < G_N_ELEMENTS (indexed_only); i++)
        if (cube_view_exists (cube_view_member (spec, indexed_only[i])))
          cube_check_add (errors, "Invalid", &CUBE_AT (at, indexed_only[i]), cube_view_member (spec, indexed_only[i]),
                          "requires indexed completion mode");
      return;
    }
  if (!cube_view_exists (completions))
    cube_check_add (errors, "Required", &CUBE_AT (at, "completions"), cube_view_none (), "when completion mode is Indexed");
  if (cube_view_int (parallelism, 0) > 100000)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "parallelism"), parallelism,
                    "must be less than or equal to 100000 when completion mode is Indexed");
  if (cube_view_exists (completions) && cube_view_exists (failed) && cube_view_int (failed, 0) > cube_view_int (completions, 0))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "maxFailedIndexes"), failed, "must be less than or equal to completions");
  if (cube_view_int (failed, 0) > 100000)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "maxFailedIndexes"), failed, "must be less than or equal to 100000");
  if (cube_view_int (completions, 0) > 100000 && cube_view_exists (per_index) && !cube_view_exists (failed))
    cube_check_add (errors, "Required", &CUBE_AT (at, "maxFailedIndexes"), cube_view_none (),
                    "must be specified when completions is above 100000");
}

static void
check_job_spec (CubeView spec, const CubePath *at, CubeView old, CubeFieldErrors *errors)
{
  static const char *const counts[] = {
    "parallelism",          "completions",     "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished",
    "backoffLimitPerIndex", "maxFailedIndexes"
  };
  CubeView template = cube_view_member (spec, "template"), policy = cube_view_member (spec, "podFailurePolicy");
  CubePath template_at = CUBE_AT (at, "template"), pod_at = CUBE_AT (&template_at, "spec"), restart_at = CUBE_AT (&pod_at, "restartPolicy");
  CubeView restart = cube_view_get (template, "spec", "restartPolicy");
  const char *text = cube_view_string_or (restart, "");
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    cube_check_not_negative (errors, at, spec, counts[i]);
  gboolean per_index = cube_view_exists (cube_view_member (spec, "backoffLimitPerIndex"));
  if (cube_view_exists (cube_view_member (spec, "maxFailedIndexes")) && !per_index)
    cube_check_add (errors, "Required", &CUBE_AT (at, "backoffLimitPerIndex"), cube_view_none (), "when maxFailedIndexes is specified");
  check_indexed (spec, at, errors);
  cube_check_job_policies (errors, at, spec);
  if (cube_view_exists (policy))
    check_job_policy (policy, at, per_index, errors);
  if (g_strcmp0 (cube_view_string (cube_view_member (spec, "podReplacementPolicy")), "Failed") != 0 && cube_view_exists (policy)
      && cube_view_exists (cube_view_member (spec, "podReplacementPolicy")))
    cube_check_add (errors, "NotSupported", &CUBE_AT (at, "podReplacementPolicy"), cube_view_member (spec, "podReplacementPolicy"),
                    "supported values: \"Failed\"");
  if (!cube_view_exists (old) || !cube_view_equal (template, cube_view_member (old, "template")))
    cube_check_pod_template (errors, &template_at, template);
  if (*text == '\0' || strcmp (text, "Always") == 0)
    cube_check_add (errors, "Required", &restart_at, cube_view_none (), "valid values: \"OnFailure\", \"Never\"");
  else if (strcmp (text, "OnFailure") != 0 && strcmp (text, "Never") != 0)
    cube_check_add (errors, "NotSupported", &restart_at, restart, "supported values: \"OnFailure\", \"Never\"");
  else if (cube_view_exists (policy) && strcmp (text, "Never") != 0)
    cube_check_add (errors, "Invalid", &restart_at, restart, "only \"Never\" is supported when podFailurePolicy is specified");
}

/* A template stays as it is, but for what a queue may set while the job is suspended. */
static gboolean
template_may_change (CubeView spec, CubeView old_object)
{
  CubeView template = cube_view_member (spec, "template"), old = cube_view_get (old_object, "spec", "template");
  if (cube_view_equal (template, old))
    return TRUE;
  if (!cube_view_get_bool (old_object, FALSE, "spec", "suspend") || cube_view_exists (cube_view_get (old_object, "status", "startTime")))
    return FALSE;
  static const char *const free_fields[] = { "nodeSelector", "tolerations", "schedulingGates" };
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (template);
  CubeMut *root = cube_builder_root (builder), *pod = cube_mut_ensure_object (root, "spec");
  cube_mut_set_view (root, "metadata", cube_view_member (old, "metadata"));
  for (guint i = 0; i < G_N_ELEMENTS (free_fields); i++)
    cube_mut_set_view (pod, free_fields[i], cube_view_get (old, "spec", free_fields[i]));
  CubeView affinity = cube_view_get (old, "spec", "affinity");
  if (cube_view_exists (affinity))
    cube_mut_set_view (cube_mut_ensure_object (pod, "affinity"), "nodeAffinity", cube_view_member (affinity, "nodeAffinity"));
  else if (cube_mut_length (cube_mut_member (pod, "affinity")) == 1 && cube_mut_get (pod, "affinity", "nodeAffinity") != NULL)
    cube_mut_remove (pod, "affinity");
  return cube_mut_equal_view (root, old);
}

static void
check_job_update (CubeView spec, CubeView old_object, CubeFieldErrors *errors)
{
  static const char *const fixed[] = { "selector",  "completionMode", "podFailurePolicy", "backoffLimitPerIndex",
                                       "managedBy", "successPolicy" };
  CubeView old = cube_view_member (old_object, "spec"), completions = cube_view_member (spec, "completions");
  for (guint i = 0; i < G_N_ELEMENTS (fixed); i++)
    cube_check_immutable (errors, &spec_path, spec, old, fixed[i], "field is immutable");
  if (!template_may_change (spec, old_object))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "template"), cube_view_member (spec, "template"), "field is immutable");
  if (cube_view_equal (completions, cube_view_member (old, "completions")))
    return;
  if (g_strcmp0 (cube_view_string (cube_view_member (spec, "completionMode")), "Indexed") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "completions"), completions, "field is immutable");
  else if (!cube_view_equal (completions, cube_view_member (spec, "parallelism")))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "completions"), completions,
                    "can only be modified in tandem with spec.parallelism");
}

/* The name of the last pod has to be a host name. */
static void
check_indexed_name (CubeView object, CubeFieldErrors *errors)
{
  gint64 completions = cube_view_get_int (object, 0, "spec", "completions");
  if (g_strcmp0 (cube_view_get_string (object, "spec", "completionMode"), "Indexed") != 0 || completions <= 0)
    return;
  CubeView name = cube_view_get (object, "metadata", "name");
  g_autofree char *pod = g_strdup_printf ("%s-%" G_GINT64_FORMAT, cube_view_string_or (name, ""), completions - 1);
  if (cube_name_check_dns1123_label (pod) != NULL)
    cube_field_errors_add (errors, "Invalid", "metadata.name", name, "will not able to create pod with invalid DNS label: %s", pod);
}

void
cube_hook_job (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), labels = cube_view_get (spec, "template", "metadata", "labels");
  if (strcmp (subresource, "status") == 0)
    cube_check_job_status (object, old, errors);
  if (*subresource != '\0')
    return;
  if (!cube_view_exists (old))
    {
      check_indexed_name (object, errors);
      cube_check_job_labels (errors, object);
    }
  check_job_spec (spec, &spec_path, cube_view_member (old, "spec"), errors);
  CubeView view = cube_view_member (spec, "selector");
  g_autoptr (CubeSelector) selector = cube_view_exists (view) ? cube_selector_from_view (view, NULL) : NULL;
  if (!cube_view_exists (view))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "selector"), cube_view_none (), "%s", "");
  else if (selector != NULL && !cube_selector_matches_labels (selector, labels))
    cube_field_errors_add (errors, "Invalid", "spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  if (cube_view_exists (old))
    check_job_update (spec, old, errors);
}

/* Well formed, and known where the machine has a database of zones. */
static gboolean
is_zone (const char *text)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", -1);
  for (guint i = 0; parts[i] != NULL; i++)
    {
      gsize length = strlen (parts[i]);
      if (length < 1 || length > 14 || strcmp (parts[i], ".") == 0 || strcmp (parts[i], "..") == 0 || *parts[i] == '-')
        return FALSE;
      for (const char *at = parts[i]; *at != '\0'; at++)
        if (!g_ascii_isalnum (*at) && strchr (".-_+", *at) == NULL)
          return FALSE;
    }
  g_autoptr (GTimeZone) known = g_time_zone_new_identifier ("Europe/London");
  g_autoptr (GTimeZone) zone = known == NULL ? NULL : g_time_zone_new_identifier (text);
  return known == NULL || zone != NULL;
}

void
cube_hook_cron_job (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), template = cube_view_get (spec, "jobTemplate", "spec"),
           name = cube_view_get (object, "metadata", "name");
  CubePath at = CUBE_AT (&spec_path, "jobTemplate"), job_at = CUBE_AT (&at, "spec");
  CubeView zone = cube_view_member (spec, "timeZone"), schedule = cube_view_member (spec, "schedule");
  if (*subresource != '\0')
    return;
  if (!cube_view_exists (old) && cube_view_string_length (name) > 52)
    cube_field_errors_add (errors, "Invalid", "metadata.name", name, "must be no more than 52 characters");
  cube_check_not_negative (errors, &spec_path, spec, "startingDeadlineSeconds");
  cube_check_not_negative (errors, &spec_path, spec, "successfulJobsHistoryLimit");
  cube_check_not_negative (errors, &spec_path, spec, "failedJobsHistoryLimit");
  if (cube_view_exists (zone) && cube_view_string_length (zone) == 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "timeZone"), zone, "timeZone must be nil or non-empty string");
  else if (g_strcmp0 (cube_view_string (zone), "Local") == 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "timeZone"), zone,
                    "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  else if (cube_view_exists (zone) && !cube_view_equal (zone, cube_view_get (old, "spec", "timeZone"))
           && !is_zone (cube_view_string_or (zone, "")))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "timeZone"), zone, "unknown time zone %s", cube_view_string_or (zone, ""));
  g_autofree char *problem = cube_view_string_length (schedule) > 0 ? cube_cron_problem (cube_view_string (schedule)) : NULL;
  if (problem != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "schedule"), schedule, "%s", problem);
  gboolean has_zone = strstr (cube_view_string_or (schedule, ""), "TZ") != NULL,
           had_zone = strstr (cube_view_string_or (cube_view_get (old, "spec", "schedule"), ""), "TZ") != NULL;
  if (has_zone && had_zone && cube_view_exists (zone))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "schedule"), schedule,
                    "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  if (has_zone && !had_zone)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "schedule"), schedule,
                    "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
  if (cube_view_exists (cube_view_member (template, "selector")))
    cube_check_add (errors, "Invalid", &CUBE_AT (&job_at, "selector"), cube_view_member (template, "selector"),
                    "`selector` will be auto-generated");
  if (cube_view_bool (cube_view_member (template, "manualSelector"), FALSE))
    cube_check_add (errors, "NotSupported", &CUBE_AT (&job_at, "manualSelector"), cube_view_member (template, "manualSelector"),
                    "supported values: \"nil\", \"false\"");
  check_job_spec (template, &job_at, cube_view_get (old, "spec", "jobTemplate", "spec"), errors);
}

void
cube_hook_pod_template (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubePath at = { NULL, "template", 0, FALSE };
  CubeView template = cube_view_member (object, "template");
  if (*subresource == '\0' && !cube_view_equal (template, cube_view_member (old, "template")))
    cube_check_pod_template (errors, &at, template);
}

/* ---- warnings ---- */

static void
warn_template (CubeView template, CubeView old_template, const CubePath *path, GPtrArray *warnings)
{
  if (!cube_view_equal (template, old_template))
    cube_warn_pod (cube_view_member (template, "metadata"), cube_view_member (template, "spec"), path, warnings);
}

static void
warn_name (CubeView object, CubeView old, GPtrArray *warnings)
{
  const char *name = cube_view_string_or (cube_view_get (object, "metadata", "name"), ""), *why = cube_name_check_dns1123_label (name);
  if (!cube_view_exists (old) && *name != '\0' && why != NULL)
    g_ptr_array_add (warnings,
                     g_strdup_printf ("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
                                      "a DNS label is recommended: [%s]",
                                      why));
}

void
cube_warn_template (CubeView object, CubeView old, GPtrArray *warnings)
{
  warn_name (object, old, warnings);
  warn_template (cube_view_get (object, "spec", "template"), cube_view_get (old, "spec", "template"), &CUBE_AT (&spec_path, "template"),
                 warnings);
  CubeView limit = cube_view_get (object, "spec", "revisionHistoryLimit");
  if (cube_view_int (limit, 0) < 0)
    g_ptr_array_add (
        warnings, g_strdup ("spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"));
}

void
cube_warn_cron_job (CubeView object, CubeView old, GPtrArray *warnings)
{
  CubePath at = CUBE_AT (&spec_path, "jobTemplate"), job_at = CUBE_AT (&at, "spec");
  warn_name (object, old, warnings);
  warn_template (cube_view_get (object, "spec", "jobTemplate", "spec", "template"),
                 cube_view_get (old, "spec", "jobTemplate", "spec", "template"), &CUBE_AT (&job_at, "template"), warnings);
  if (cube_view_exists (old) && strstr (cube_view_string_or (cube_view_get (object, "spec", "schedule"), ""), "TZ") != NULL)
    g_ptr_array_add (warnings, g_strdup ("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
                                         "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"));
}
