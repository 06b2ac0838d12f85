/* SPDX-License-Identifier: Apache-2.0 */
/* Where a pod may go: node selectors, affinity, tolerations, spread. */
#include "validate-more.h"

static void
check_node_requirement (CubeFieldErrors *errors, const CubePath *path, CubeView requirement)
{
  CubeView operator= cube_view_member (requirement, "operator"), values = cube_view_member (requirement, "values");
  const char *text = cube_view_string_or (operator, ""), *why;
  CubePath at = CUBE_AT (path, "values");
  guint n = cube_view_length (values);
  if (strcmp (text, "In") == 0 || strcmp (text, "NotIn") == 0)
    {
      if (n == 0)
        cube_check_add (errors, "Required", &at, cube_view_none (), "must be specified when `operator` is 'In' or 'NotIn'");
    }
  else if (strcmp (text, "Exists") == 0 || strcmp (text, "DoesNotExist") == 0)
    {
      if (n > 0)
        cube_check_add (errors, "Forbidden", &at, cube_view_none (), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  else if (strcmp (text, "Gt") == 0 || strcmp (text, "Lt") == 0)
    {
      if (n != 1)
        cube_check_add (errors, "Required", &at, cube_view_none (), "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  else
    {
      cube_check_add (errors, "Invalid", &CUBE_AT (path, "operator"), operator, "not a valid selector operator");
    }
  if ((why = cube_name_check_qualified (cube_view_string_or (cube_view_member (requirement, "key"), ""))) != NULL)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (path, "key"), cube_view_string_or (cube_view_member (requirement, "key"), ""), "%s",
                         why);
}

static void
check_node_field (CubeFieldErrors *errors, const CubePath *path, CubeView requirement)
{
  CubeView operator= cube_view_member (requirement, "operator"), values = cube_view_member (requirement, "values");
  CubeView key = cube_view_member (requirement, "key");
  const char *text = cube_view_string_or (operator, ""), *why;
  CubePath at = CUBE_AT (path, "values");
  if (strcmp (text, "In") != 0 && strcmp (text, "NotIn") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, "operator"), operator, "not a valid selector operator");
  else if (cube_view_length (values) != 1)
    cube_check_add (errors, "Required", &at, cube_view_none (),
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
  if (g_strcmp0 (cube_view_string (key), "metadata.name") != 0)
    {
      cube_check_add (errors, "Invalid", &CUBE_AT (path, "key"), key, "not a valid field selector key");
      return;
    }
  for (guint i = 0; i < cube_view_length (values); i++)
    {
      CubeView v = cube_view_element (values, i);
      if ((why = cube_name_check_dns1123_subdomain (cube_view_string_or (v, ""))) != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&at, i), v, "%s", why);
    }
}

static void
check_node_term (CubeFieldErrors *errors, const CubePath *path, CubeView term, gboolean check_values)
{
  CubeIter it;
  CubeView v;
  CubePath list = CUBE_AT (path, "matchExpressions"), fields = CUBE_AT (path, "matchFields");
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (term, "matchExpressions")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), values = CUBE_AT (&at, "values");
      check_node_requirement (errors, &at, v);
      CubeView texts = cube_view_member (v, "values"), text;
      CubeIter inner;
      guint j = 0;
      const char *why;
      for (cube_iter_init (&inner, texts); check_values && cube_iter_next (&inner, NULL, &text); j++)
        if ((why = cube_name_check_label_value (cube_view_string_or (text, ""))) != NULL)
          cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&values, j), text, "%s", why);
    }
  i = 0;
  for (cube_iter_init (&it, cube_view_member (term, "matchFields")); cube_iter_next (&it, NULL, &v); i++)
    check_node_field (errors, &CUBE_AT_INDEX (&fields, i), v);
}

void
cube_check_node_selector (CubeFieldErrors *errors, const CubePath *path, CubeView selector)
{
  CubeIter it;
  CubeView v, terms = cube_view_member (selector, "nodeSelectorTerms");
  CubePath list = CUBE_AT (path, "nodeSelectorTerms");
  guint i = 0;
  if (cube_view_length (terms) == 0)
    cube_check_add (errors, "Required", &list, cube_view_none (), "must have at least one node selector term");
  for (cube_iter_init (&it, terms); cube_iter_next (&it, NULL, &v); i++)
    check_node_term (errors, &CUBE_AT_INDEX (&list, i), v, TRUE);
}

static void
check_weight (CubeFieldErrors *errors, const CubePath *path, CubeView preferred)
{
  CubeView weight = cube_view_member (preferred, "weight");
  if (cube_view_int (weight, 0) < 1 || cube_view_int (weight, 0) > 100)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, "weight"), weight, "must be in the range 1-100");
}

static void
check_node_affinity (CubeFieldErrors *errors, const CubePath *path, CubeView affinity)
{
  CubeIter it;
  CubeView v, required = cube_view_member (affinity, "requiredDuringSchedulingIgnoredDuringExecution");
  CubePath list = CUBE_AT (path, "preferredDuringSchedulingIgnoredDuringExecution");
  guint i = 0;
  if (cube_view_exists (required))
    cube_check_node_selector (errors, &CUBE_AT (path, "requiredDuringSchedulingIgnoredDuringExecution"), required);
  for (cube_iter_init (&it, cube_view_member (affinity, "preferredDuringSchedulingIgnoredDuringExecution")); cube_iter_next (&it, NULL, &v);
       i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      check_weight (errors, &at, v);
      check_node_term (errors, &CUBE_AT (&at, "preference"), cube_view_member (v, "preference"), FALSE);
    }
}

static gboolean
selector_names (CubeView selector, const char *key)
{
  CubeIter it;
  CubeView v;
  if (cube_view_exists (cube_view_get (selector, "matchLabels", key)))
    return TRUE;
  for (cube_iter_init (&it, cube_view_member (selector, "matchExpressions")); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "key"), key) == 0)
      return TRUE;
  return FALSE;
}

static void
check_label_keys (CubeFieldErrors *errors, const CubePath *path, CubeView term, const char *field, gboolean forbids_selected)
{
  CubeView keys = cube_view_member (term, field), selector = cube_view_member (term, "labelSelector"), v;
  CubePath list = CUBE_AT (path, field);
  CubeIter it;
  guint i = 0;
  const char *why;
  if (cube_view_length (keys) == 0)
    return;
  if (!cube_view_exists (selector))
    cube_check_add (errors, "Forbidden", &list, cube_view_none (), "must not be specified when labelSelector is not set");
  for (cube_iter_init (&it, keys); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *key = cube_view_string_or (v, "");
      if ((why = cube_name_check_qualified (key)) != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "%s", why);
      else if (forbids_selected && selector_names (selector, key))
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "exists in both matchLabelKeys and labelSelector");
    }
}

static void
check_both_keys (CubeFieldErrors *errors, const CubePath *path, CubeView term)
{
  CubeView other = cube_view_member (term, "mismatchLabelKeys"), v;
  CubePath list = CUBE_AT (path, "matchLabelKeys");
  CubeIter it;
  guint i = 0;
  if (cube_view_length (other) == 0)
    return;
  for (cube_iter_init (&it, cube_view_member (term, "matchLabelKeys")); cube_iter_next (&it, NULL, &v); i++)
    if (cube_list_has (other, cube_view_string_or (v, "")))
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "exists in both matchLabelKeys and mismatchLabelKeys");
}

static void
check_pod_term (CubeFieldErrors *errors, const CubePath *path, CubeView term)
{
  CubeIter it;
  CubeView v, key = cube_view_member (term, "topologyKey");
  const char *why;
  cube_check_label_selector (errors, &CUBE_AT (path, "labelSelector"), cube_view_member (term, "labelSelector"));
  cube_check_label_selector (errors, &CUBE_AT (path, "namespaceSelector"), cube_view_member (term, "namespaceSelector"));
  for (cube_iter_init (&it, cube_view_member (term, "namespaces")); cube_iter_next (&it, NULL, &v);)
    if ((why = cube_name_check_dns1123_label (cube_view_string_or (v, ""))) != NULL)
      cube_check_add (errors, "Invalid", &CUBE_AT (path, "namespace"), v, "%s", why);
  check_label_keys (errors, path, term, "matchLabelKeys", FALSE);
  check_label_keys (errors, path, term, "mismatchLabelKeys", FALSE);
  check_both_keys (errors, path, term);
  if (cube_is_empty (key))
    cube_check_add (errors, "Required", &CUBE_AT (path, "topologyKey"), cube_view_none (), "can not be empty");
  else if ((why = cube_name_check_qualified (cube_view_string_or (key, ""))) != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, "topologyKey"), key, "%s", why);
}

static void
check_pod_affinity (CubeFieldErrors *errors, const CubePath *path, CubeView affinity)
{
  CubeIter it;
  CubeView v;
  CubePath required = CUBE_AT (path, "requiredDuringSchedulingIgnoredDuringExecution");
  CubePath preferred = CUBE_AT (path, "preferredDuringSchedulingIgnoredDuringExecution");
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (affinity, required.name)); cube_iter_next (&it, NULL, &v); i++)
    check_pod_term (errors, &CUBE_AT_INDEX (&required, i), v);
  i = 0;
  for (cube_iter_init (&it, cube_view_member (affinity, preferred.name)); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&preferred, i);
      check_weight (errors, &at, v);
      check_pod_term (errors, &CUBE_AT (&at, "podAffinityTerm"), cube_view_member (v, "podAffinityTerm"));
    }
}

void
cube_check_affinity (CubeFieldErrors *errors, const CubePath *path, CubeView affinity)
{
  if (!cube_view_exists (affinity))
    return;
  check_node_affinity (errors, &CUBE_AT (path, "nodeAffinity"), cube_view_member (affinity, "nodeAffinity"));
  check_pod_affinity (errors, &CUBE_AT (path, "podAffinity"), cube_view_member (affinity, "podAffinity"));
  check_pod_affinity (errors, &CUBE_AT (path, "podAntiAffinity"), cube_view_member (affinity, "podAntiAffinity"));
}

void
cube_check_tolerations (CubeFieldErrors *errors, const CubePath *path, CubeView tolerations)
{
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, tolerations); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i), operator_at = CUBE_AT (&at, "operator");
      CubeView operator= cube_view_member (v, "operator"), value = cube_view_member (v, "value"), effect = cube_view_member (v, "effect");
      const char *key = cube_view_string_or (cube_view_member (v, "key"), ""), *op = cube_view_string_or (operator, ""), *why;
      gboolean is_exists = strcmp (op, "Exists") == 0, is_equal = !is_exists && (*op == '\0' || strcmp (op, "Equal") == 0);
      if (*key != '\0' && (why = cube_name_check_qualified (key)) != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "key"), cube_view_member (v, "key"), "%s", why);
      if (*key == '\0' && !is_exists)
        cube_check_add_text (errors, "Invalid", &operator_at, op,
                             "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
      if (cube_view_exists (cube_view_member (v, "tolerationSeconds")) && g_strcmp0 (cube_view_string (effect), "NoExecute") != 0)
        cube_check_add_text (errors, "Invalid", &CUBE_AT (&at, "effect"), cube_view_string_or (effect, ""),
                             "effect must be 'NoExecute' when `tolerationSeconds` is set");
      if (is_equal && (why = cube_name_check_label_value (cube_view_string_or (value, ""))) != NULL)
        cube_check_add (errors, "Invalid", &operator_at, value, "%s", why);
      if (!is_exists && !is_equal)
        cube_check_add (errors, "NotSupported", &operator_at, operator, "supported values: \"Equal\", \"Exists\"%s",
                        strcmp (op, "Lt") == 0 || strcmp (op, "Gt") == 0 ? ", \"Lt\", \"Gt\"" : "");
      if (is_exists && !cube_is_empty (value))
        cube_check_add (errors, "Invalid", &operator_at, value, "value must be empty when `operator` is 'Exists'");
    }
}

static void
check_spread (CubeFieldErrors *errors, const CubePath *at, CubeView constraint)
{
  CubeView skew = cube_view_member (constraint, "maxSkew"), domains = cube_view_member (constraint, "minDomains");
  CubeView action = cube_view_member (constraint, "whenUnsatisfiable");
  const char *text = cube_view_string_or (action, "");
  if (cube_view_int (skew, 0) <= 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "maxSkew"), skew, "must be greater than zero");
  cube_check_required (errors, at, constraint, "topologyKey", "can not be empty");
  if (strcmp (text, "DoNotSchedule") != 0 && strcmp (text, "ScheduleAnyway") != 0)
    cube_check_add_text (errors, "NotSupported", &CUBE_AT (at, "whenUnsatisfiable"), text,
                         "supported values: \"DoNotSchedule\", \"ScheduleAnyway\"");
  if (cube_view_exists (domains) && cube_view_int (domains, 0) <= 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "minDomains"), domains, "must be greater than zero");
  if (cube_view_exists (domains) && strcmp (text, "DoNotSchedule") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "minDomains"), domains,
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not %s", text);
  check_label_keys (errors, at, constraint, "matchLabelKeys", TRUE);
  cube_check_label_selector (errors, &CUBE_AT (at, "labelSelector"), cube_view_member (constraint, "labelSelector"));
}

void
cube_check_topology_spread (CubeFieldErrors *errors, const CubePath *path, CubeView constraints)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, constraints); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      check_spread (errors, &at, v);
      g_autofree char *pair = g_strdup_printf ("{%s, %s}", cube_view_string_or (cube_view_member (v, "topologyKey"), ""),
                                               cube_view_string_or (cube_view_member (v, "whenUnsatisfiable"), ""));
      if (!cube_check_unique (&seen, pair))
        cube_check_add_text (errors, "Duplicate", &CUBE_AT (&at, "{topologyKey, whenUnsatisfiable}"), pair, "%s", "");
    }
}
