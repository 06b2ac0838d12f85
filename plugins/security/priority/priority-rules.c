/* SPDX-License-Identifier: Apache-2.0 */
#include "priority-rules.h"

#define PREEMPT "PreemptLowerPriority"

static const PriorityClass system_classes[] = {
  { "system-node-critical", 2000001000, PREEMPT },
  { "system-cluster-critical", 2000000000, PREEMPT },
};
static const char *const descriptions[] = {
  "Used for system critical pods that must not be moved from their current node.",
  "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
};
const char *const priority_system_names[] = { "system-node-critical", "system-cluster-critical", NULL };

const PriorityClass *
priority_system_class (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (system_classes); i++)
    if (g_str_equal (system_classes[i].name, name))
      return &system_classes[i];
  return NULL;
}

const char *
priority_system_description (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (system_classes); i++)
    if (g_str_equal (system_classes[i].name, name))
      return descriptions[i];
  return NULL;
}

PriorityClass
priority_class_of (CubeView object)
{
  PriorityClass found = { cube_view_string_or (cube_view_get (object, "metadata", "name"), ""), cube_view_get_int (object, 0, "value"),
                          cube_view_get_string (object, "preemptionPolicy") };

  return found;
}

gboolean
priority_apply (const CubeAdmissionRequest *request, CubeMut *pod, const PriorityClass *chosen, GError **error)
{
  CubeMut *spec = cube_mut_ensure_object (pod, "spec"), *given = cube_mut_member (spec, "priority");
  const char *policy = chosen->preemption_policy != NULL ? chosen->preemption_policy : PREEMPT;
  const char *given_policy = cube_mut_string (cube_mut_member (spec, "preemptionPolicy"));

  if (cube_mut_type (given) == CUBE_VALUE_INT && cube_mut_int (given, 0) != chosen->value)
    return admission_forbid (request, error,
                             "the integer value of priority (%" G_GINT64_FORMAT
                             ") must not be provided in pod spec; priority admission controller computed "
                             "%" G_GINT64_FORMAT " from the given PriorityClass name",
                             cube_mut_int (given, 0), chosen->value);
  if (given_policy != NULL && !g_str_equal (given_policy, policy))
    return admission_forbid (
        request, error,
        "the string value of PreemptionPolicy (%s) must not be provided in pod spec; priority admission controller computed %s from "
        "the given PriorityClass name",
        given_policy, policy);
  if (*chosen->name != '\0')
    cube_mut_set_string (spec, "priorityClassName", chosen->name);
  cube_mut_set_int (spec, "priority", chosen->value);
  cube_mut_set_string (spec, "preemptionPolicy", policy);
  return TRUE;
}
