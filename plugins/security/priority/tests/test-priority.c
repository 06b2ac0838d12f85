/* SPDX-License-Identifier: Apache-2.0 */
#include "priority-rules.h"

static const CubeResource pods = { .group = "", .version = "v1", .resource = "pods", .is_namespaced = TRUE };

static void
check (const char *pod, const PriorityClass *chosen, const char *expected, const char *words)
{
  g_autofree char *a = g_strdelimit (g_strdup (pod), "'", '"'), *b = expected != NULL ? g_strdelimit (g_strdup (expected), "'", '"') : NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (a, -1, NULL, NULL),
                        wanted = b != NULL ? cube_value_from_json (b, -1, NULL, NULL) : NULL, out = NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  CubeAdmissionRequest request = { .verb = CUBE_VERB_CREATE, .resource = &pods, .name = "p" };
  g_autoptr (GError) error = NULL;

  g_assert_cmpint (priority_apply (&request, cube_builder_root (builder), chosen, &error), ==, words == NULL);
  if (words != NULL)
    {
      g_assert_cmpstr (error->message, ==, words);
      return;
    }
  out = cube_builder_end (builder);
  g_assert_true (cube_view_equal (cube_value_root (out), cube_value_root (wanted)));
}

static void
test_apply (void)
{
  const PriorityClass none = PRIORITY_NO_CLASS, high = { "high", 1000, "Never" };

  check ("{'spec':{}}", &none, "{'spec':{'priority':0,'preemptionPolicy':'PreemptLowerPriority'}}", NULL);
  check ("{'spec':{}}", &high, "{'spec':{'priorityClassName':'high','priority':1000,'preemptionPolicy':'Never'}}", NULL);
  check ("{'spec':{'priority':1000,'preemptionPolicy':'Never'}}", &high,
         "{'spec':{'priorityClassName':'high','priority':1000,'preemptionPolicy':'Never'}}", NULL);
  check (
      "{'spec':{'priority':7}}", &high, NULL,
      "pods \"p\" is forbidden: the integer value of priority (7) must not be provided in pod spec; priority admission controller computed 1000 from the "
      "given PriorityClass name");
  check (
      "{'spec':{'preemptionPolicy':'PreemptLowerPriority'}}", &high, NULL,
      "pods \"p\" is forbidden: the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission "
      "controller computed Never from the given PriorityClass name");
}

static void
test_system (void)
{
  g_assert_cmpint (priority_system_class ("system-node-critical")->value, ==, 2000001000);
  g_assert_cmpint (priority_system_class ("system-cluster-critical")->value, ==, 2000000000);
  g_assert_null (priority_system_class ("x"));
  for (guint i = 0; priority_system_names[i] != NULL; i++)
    g_assert_nonnull (priority_system_description (priority_system_names[i]));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/priority/apply", test_apply);
  g_test_add_func ("/priority/system", test_system);
  return g_test_run ();
}
