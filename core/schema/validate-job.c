/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: indexes, policies, and what a status may say and change. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- indexes ---- */

static gboolean
parse_index (const char *text, gint64 *ret_number)
{
  if (*text == '\0' || strspn (text, "0123456789") != strlen (text) || strlen (text) > 10)
    return FALSE;
  *ret_number = g_ascii_strtoll (text, NULL, 10);
  return TRUE;
}

/* One `n` or `n-m` after index @previous. */
static char *
check_interval (const char *fragment, gint64 completions, gint64 previous, gint64 *ret_first, gint64 *ret_last)
{
  g_auto (GStrv) ends = g_strsplit (fragment, "-", -1);
  guint n = g_strv_length (ends);
  if (n > 2 || n == 0)
    return g_strdup_printf (n == 0 ? "cannot convert string to integer for index: \"%s\""
                                   : "the fragment \"%s\" violates the requirement that an index interval can have at most two parts "
                                     "separated by '-'",
                            fragment);
  gint64 numbers[2];
  for (guint i = 0; i < n; i++)
    {
      if (!parse_index (ends[i], &numbers[i]))
        return g_strdup_printf ("cannot convert string to integer for index: \"%s\"", ends[i]);
      gint64 before = i == 0 ? previous : numbers[0];
      if (numbers[i] <= before)
        return g_strdup_printf ("non-increasing order, previous: %" G_GINT64_FORMAT ", current: %" G_GINT64_FORMAT, before, numbers[i]);
      if (completions >= 0 && numbers[i] >= completions)
        return g_strdup_printf ("too large index: \"%s\"", ends[i]);
    }
  *ret_first = numbers[0];
  *ret_last = numbers[n - 1];
  return NULL;
}

char *
cube_check_indexes (const char *text, gint64 completions, gint64 *ret_count, GArray *ranges)
{
  gint64 last = -1, count = 0;
  if (*text == '\0')
    return NULL;
  g_auto (GStrv) fragments = g_strsplit (text, ",", -1);
  for (guint i = 0; fragments[i] != NULL; i++)
    {
      gint64 pair[2];
      char *why = check_interval (fragments[i], completions, last, &pair[0], &pair[1]);
      if (why != NULL)
        return why;
      last = pair[1];
      count += pair[1] - pair[0] + 1;
      if (ranges != NULL)
        g_array_append_vals (ranges, pair, 2);
    }
  if (ret_count != NULL)
    *ret_count = count;
  return NULL;
}

/* ---- spec ---- */

static gboolean
has_container (CubeView template, const char *name)
{
  static const char *const lists[] = { "containers", "initContainers" };
  CubeIter it;
  CubeView v;
  for (guint i = 0; i < 2; i++)
    for (cube_iter_init (&it, cube_view_get (template, "spec", lists[i])); cube_iter_next (&it, NULL, &v);)
      if (g_strcmp0 (cube_view_string (cube_view_member (v, "name")), name) == 0)
        return TRUE;
  return FALSE;
}

static void
check_failure_rules (CubeFieldErrors *errors, const CubePath *spec_at, CubeView spec)
{
  static const char *const states[] = { "False", "True", "Unknown", NULL };
  CubeView policy = cube_view_member (spec, "podFailurePolicy"), v, c;
  CubePath at = CUBE_AT (spec_at, "podFailurePolicy"), list = CUBE_AT (&at, "rules");
  CubeIter it, inner;
  guint i = 0;
  cube_check_count (errors, &at, policy, "rules", 20);
  for (cube_iter_init (&it, cube_view_member (policy, "rules")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath rule = CUBE_AT_INDEX (&list, i), codes_at = CUBE_AT (&rule, "onExitCodes"), conditions = CUBE_AT (&rule, "onPodConditions");
      CubeView codes = cube_view_member (v, "onExitCodes"), name = cube_view_member (codes, "containerName");
      guint j = 0;
      cube_check_required (errors, &rule, v, "action", "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
      cube_check_count (errors, &rule, v, "onPodConditions", 20);
      for (cube_iter_init (&inner, cube_view_member (v, "onPodConditions")); cube_iter_next (&inner, NULL, &c); j++)
        {
          CubePath condition = CUBE_AT_INDEX (&conditions, j);
          cube_check_name (errors, &condition, c, "type", cube_name_check_qualified);
          cube_check_required (errors, &condition, c, "status", "valid values: [\"False\" \"True\" \"Unknown\"]");
          cube_check_one_of (errors, &condition, c, "status", states);
        }
      if (!cube_view_exists (codes))
        continue;
      cube_check_required (errors, &codes_at, codes, "operator", "valid values: [\"In\" \"NotIn\"]");
      cube_check_count (errors, &codes_at, codes, "values", 255);
      if (cube_view_exists (name) && !has_container (cube_view_member (spec, "template"), cube_view_string_or (name, "")))
        cube_check_add (errors, "Invalid", &CUBE_AT (&codes_at, "containerName"), name,
                        "must be one of the container or initContainer names in the pod template");
    }
}

static void
check_success_rule (CubeFieldErrors *errors, const CubePath *at, CubeView rule, gint64 completions)
{
  CubeView count = cube_view_member (rule, "succeededCount"), indexes = cube_view_member (rule, "succeededIndexes");
  gint64 listed = 0, number = cube_view_int (count, 0);
  if (!cube_view_exists (count) && !cube_view_exists (indexes))
    cube_check_add (errors, "Required", at, cube_view_none (), "at least one of succeededCount or succeededIndexes must be specified");
  cube_check_bytes (errors, at, rule, "succeededIndexes", 65536);
  g_autofree char *why = cube_check_indexes (cube_view_string_or (indexes, ""), completions, &listed, NULL);
  if (why != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "succeededIndexes"), indexes, "error parsing succeededIndexes: %s", why);
  if (!cube_view_exists (count))
    return;
  cube_check_not_negative (errors, at, rule, "succeededCount");
  if (completions >= 0 && number > completions)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "succeededCount"), count,
                    "must be less than or equal to %" G_GINT64_FORMAT " (the number of specified completions)", completions);
  if (why == NULL && cube_view_exists (indexes) && number > listed)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "succeededCount"), count,
                    "must be less than or equal to %" G_GINT64_FORMAT " (the number of indexes in the specified succeededIndexes field)",
                    listed);
}

void
cube_check_job_policies (CubeFieldErrors *errors, const CubePath *at, CubeView spec)
{
  CubeView success = cube_view_member (spec, "successPolicy"), failed = cube_view_member (spec, "maxFailedIndexes"),
           parallelism = cube_view_member (spec, "parallelism"), v;
  CubePath success_at = CUBE_AT (at, "successPolicy"), rules = CUBE_AT (&success_at, "rules");
  gint64 completions = cube_view_get_int (spec, -1, "completions");
  CubeIter it;
  guint i = 0;
  static const char *const modes[] = { "NonIndexed", "Indexed", NULL };
  cube_check_one_of (errors, at, spec, "completionMode", modes);
  cube_check_name (errors, at, spec, "managedBy", cube_name_check_domain_path);
  cube_check_bytes (errors, at, spec, "managedBy", 63);
  if (cube_view_exists (cube_view_member (spec, "podFailurePolicy")))
    check_failure_rules (errors, at, spec);
  if (completions > 100000 && cube_view_exists (cube_view_member (spec, "backoffLimitPerIndex")))
    {
      static const char *const detail =
          "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index";
      if (cube_view_int (parallelism, 0) > 10000)
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "parallelism"), parallelism, "%s", detail);
      if (cube_view_int (failed, 0) > 10000)
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "maxFailedIndexes"), failed, "%s", detail);
    }
  if (!cube_view_exists (success))
    return;
  if (cube_view_length (cube_view_member (success, "rules")) == 0)
    cube_check_add (errors, "Required", &rules, cube_view_none (),
                    "at least one rules must be specified when the successPolicy is specified");
  cube_check_count (errors, &success_at, success, "rules", 20);
  for (cube_iter_init (&it, cube_view_member (success, "rules")); cube_iter_next (&it, NULL, &v); i++)
    check_success_rule (errors, &CUBE_AT_INDEX (&rules, i), v, completions);
}

/* ---- the selector a job makes itself ---- */

void
cube_check_job_labels (CubeFieldErrors *errors, CubeView object)
{
  CubeView spec = cube_view_member (object, "spec"), selector = cube_view_member (spec, "selector"),
           labels = cube_view_get (spec, "template", "metadata", "labels");
  const char *name = cube_view_get_string (object, "metadata", "name"), *uid = cube_view_get_string (object, "metadata", "uid");
  const char *const wanted[][2] = {
    { "controller-uid", uid }, { "job-name", name }, { "batch.kubernetes.io/controller-uid", uid }, { "batch.kubernetes.io/job-name", name }
  };
  CubePath at = { NULL, "spec.template.metadata.labels", 0, FALSE };
  gboolean is_own = TRUE;
  if (cube_view_get_bool (spec, FALSE, "manualSelector") || !cube_view_exists (selector) || name == NULL || uid == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
    {
      CubeView label = cube_view_member (labels, wanted[i][0]);
      if (!cube_view_exists (label))
        cube_check_add (errors, "Required", &CUBE_AT_KEY (&at, wanted[i][0]), cube_view_none (), "must be '%s'", wanted[i][1]);
      else if (g_strcmp0 (cube_view_string (label), wanted[i][1]) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, wanted[i][0]), labels, "must be '%s'", wanted[i][1]);
    }
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (selector, "matchLabels")); cube_iter_next (&it, &key, &v);)
    {
      gboolean is_known = FALSE;
      for (guint i = 0; i < G_N_ELEMENTS (wanted); i++)
        is_known |= strcmp (key, wanted[i][0]) == 0 && g_strcmp0 (cube_view_string (v), wanted[i][1]) == 0;
      is_own &= is_known;
    }
  if (!is_own)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "selector"), selector, "`selector` not auto-generated");
}

/* ---- status ---- */

static gboolean
is_true (CubeView status, const char *type)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (status, "conditions")); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_string (cube_view_member (v, "type")), type) == 0)
      return g_strcmp0 (cube_view_string (cube_view_member (v, "status")), "True") == 0;
  return FALSE;
}

static gboolean
changed (CubeView status, CubeView old, const char *field)
{
  CubeView now = cube_view_member (status, field), before = cube_view_member (old, field);
  return !cube_view_equal (now, before) && (cube_view_exists (now) || cube_view_exists (before));
}

static void
refuse_conditions (CubeFieldErrors *errors, const char *detail)
{
  cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, "conditions"), cube_view_none (), "%s", detail);
}

static void
check_status_conditions (CubeFieldErrors *errors, CubeView status, CubeView old, CubeView spec)
{
  gboolean complete = is_true (status, "Complete"), failed = is_true (status, "Failed"), target = is_true (status, "FailureTarget"),
           met = is_true (status, "SuccessCriteriaMet");
  static const char *const terminal[] = { "Failed", "Complete", "FailureTarget" };
  if (!changed (status, old, "conditions"))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (terminal); i++)
    if (is_true (old, terminal[i]) && !is_true (status, terminal[i]))
      {
        g_autofree char *text = g_strdup_printf ("cannot disable the terminal %s=True condition", terminal[i]);
        refuse_conditions (errors, text);
      }
  if (is_true (old, "SuccessCriteriaMet") && !met)
    refuse_conditions (errors, "cannot disable the SuccessCriteriaMet=True condition");
  if (complete && failed)
    refuse_conditions (errors, "cannot set Complete=True and Failed=true conditions");
  if (complete && target)
    refuse_conditions (errors, "cannot set Complete=True and FailureTarget=true conditions");
  if (failed && !target)
    refuse_conditions (errors, "cannot set Failed=True condition without the FailureTarget=true condition");
  if (complete && !met)
    refuse_conditions (errors, "cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
  if (met && failed)
    refuse_conditions (errors, "cannot set SuccessCriteriaMet=True and Failed=true conditions");
  if (met && target)
    refuse_conditions (errors, "cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
  if (complete && !met && cube_view_exists (cube_view_member (spec, "successPolicy")))
    refuse_conditions (errors, "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
  if (is_true (old, "Complete") && !is_true (old, "SuccessCriteriaMet") && met)
    refuse_conditions (errors, "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
}

static void
check_status_times (CubeFieldErrors *errors, CubeView status, CubeView old, gboolean is_suspended)
{
  gboolean complete = is_true (status, "Complete"), finished = complete || is_true (status, "Failed");
  CubeView end = cube_view_member (status, "completionTime"), start = cube_view_member (status, "startTime");
  CubePath end_at = CUBE_AT (&status_path, "completionTime"), start_at = CUBE_AT (&status_path, "startTime");
  gboolean conditions = changed (status, old, "conditions");
  if ((conditions || changed (status, old, "completionTime")) && cube_view_exists (end) && !complete)
    cube_check_add (errors, "Invalid", &end_at, end, "cannot set completionTime when there is no Complete=True condition");
  if (conditions && complete && !cube_view_exists (end))
    cube_check_add (errors, "Required", &end_at, cube_view_none (), "completionTime is required for Complete jobs");
  if (conditions && finished && !cube_view_exists (start))
    cube_check_add (errors, "Required", &start_at, cube_view_none (), "startTime is required for finished job");
  if (cube_view_exists (end) && cube_view_exists (start) && (changed (status, old, "completionTime") || changed (status, old, "startTime"))
      && strcmp (cube_view_string_or (end, ""), cube_view_string_or (start, "")) < 0)
    cube_check_add (errors, "Invalid", &end_at, end, "must be equal to or after `startTime`");
  if (cube_view_exists (cube_view_member (old, "completionTime")) && changed (status, old, "completionTime"))
    cube_check_immutable (errors, &status_path, status, old, "completionTime", "field is immutable");
  if (cube_view_exists (cube_view_member (old, "startTime")) && changed (status, old, "startTime") && !is_suspended)
    cube_check_immutable (errors, &status_path, status, old, "startTime", "field is immutable for unsuspended job once set");
}

static void
check_uncounted (CubeFieldErrors *errors, CubeView uncounted)
{
  static const char *const lists[] = { "succeeded", "failed" };
  g_autoptr (GHashTable) seen = NULL;
  CubePath at = CUBE_AT (&status_path, "uncountedTerminatedPods");
  CubeIter it;
  CubeView v;
  for (guint l = 0; l < 2; l++)
    {
      CubePath list = CUBE_AT (&at, lists[l]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (uncounted, lists[l])); cube_iter_next (&it, NULL, &v); i++)
        {
          if (cube_is_empty (v))
            cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "must not be empty");
          else if (!cube_check_unique (&seen, cube_view_string_or (v, "")))
            cube_check_add (errors, "Duplicate", &CUBE_AT_INDEX (&list, i), v, "%s", "");
        }
    }
}

static void
check_status_indexes (CubeFieldErrors *errors, CubeView status, CubeView old, CubeView spec)
{
  CubeView done = cube_view_member (status, "completedIndexes"), failed = cube_view_member (status, "failedIndexes");
  gint64 completions = cube_view_get_int (spec, -1, "completions");
  gboolean is_indexed = g_strcmp0 (cube_view_get_string (spec, "completionMode"), "Indexed") == 0;
  g_autoptr (GArray) a = g_array_new (FALSE, FALSE, sizeof (gint64)), b = g_array_new (FALSE, FALSE, sizeof (gint64));
  CubePath done_at = CUBE_AT (&status_path, "completedIndexes"), failed_at = CUBE_AT (&status_path, "failedIndexes");
  if (!changed (status, old, "completedIndexes") && !changed (status, old, "failedIndexes"))
    return;
  if (!is_indexed && !cube_is_empty (done))
    {
      cube_check_add (errors, "Invalid", &done_at, done, "cannot set non-empty completedIndexes when non-indexed completion mode");
      return;
    }
  g_autofree char *why = cube_check_indexes (cube_view_string_or (done, ""), completions, NULL, a),
                  *why_failed = cube_check_indexes (cube_view_string_or (failed, ""), completions, NULL, b);
  if (why != NULL)
    cube_check_add (errors, "Invalid", &done_at, done, "error parsing completedIndexes: %s", why);
  if (cube_view_exists (failed) && !cube_view_exists (cube_view_member (spec, "backoffLimitPerIndex")))
    cube_check_add (errors, "Invalid", &failed_at, failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
  if (why_failed != NULL)
    cube_check_add (errors, "Invalid", &failed_at, failed, "error parsing failedIndexes: %s", why_failed);
  for (guint i = 0, j = 0; why == NULL && why_failed == NULL && i < a->len && j < b->len;)
    {
      const gint64 *x = &g_array_index (a, gint64, i), *y = &g_array_index (b, gint64, j);
      if (x[1] < y[0])
        {
          i += 2;
          continue;
        }
      if (y[1] < x[0])
        {
          j += 2;
          continue;
        }
      cube_check_add (errors, "Invalid", &failed_at, failed, "failedIndexes and completedIndexes overlap at index: %" G_GINT64_FORMAT,
                      MAX (x[0], y[0]));
      break;
    }
}

void
cube_check_job_status (CubeView object, CubeView old_object, CubeFieldErrors *errors)
{
  static const char *const counts[] = { "active", "succeeded", "failed", "ready", "terminating" };
  CubeView status = cube_view_member (object, "status"), old = cube_view_member (old_object, "status"),
           spec = cube_view_member (object, "spec");
  gboolean finished = is_true (status, "Complete") || is_true (status, "Failed");
  for (guint i = 0; i < G_N_ELEMENTS (counts); i++)
    {
      CubeView v = cube_view_member (status, counts[i]);
      cube_check_not_negative (errors, &status_path, status, counts[i]);
      if (i > 0 && i < 3 && cube_view_int (v, 0) < cube_view_get_int (old, 0, counts[i]))
        cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, counts[i]), v, "cannot decrease the %s counter", counts[i]);
    }
  check_uncounted (errors, cube_view_member (status, "uncountedTerminatedPods"));
  check_status_conditions (errors, status, old, spec);
  check_status_times (errors, status, old, cube_view_get_bool (object, FALSE, "spec", "suspend"));
  check_status_indexes (errors, status, old, spec);
  CubeView ready = cube_view_member (status, "ready"), active = cube_view_member (status, "active");
  if (changed (status, old, "ready") && cube_view_int (ready, 0) > cube_view_int (active, 0))
    cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, "ready"), ready, "cannot set more ready pods than active");
  if (!finished)
    return;
  if ((changed (status, old, "active") || changed (status, old, "conditions")) && cube_view_int (active, 0) > 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, "active"), active, "active>0 is invalid for finished job");
  CubeView ending = cube_view_member (status, "terminating"), uncounted = cube_view_member (status, "uncountedTerminatedPods");
  if ((changed (status, old, "terminating") || changed (status, old, "conditions")) && cube_view_int (ending, 0) > 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, "terminating"), ending, "terminating>0 is invalid for finished job");
  if (cube_view_length (cube_view_member (uncounted, "succeeded")) + cube_view_length (cube_view_member (uncounted, "failed")) > 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&status_path, "uncountedTerminatedPods"), uncounted, "must be empty for finished job");
}
