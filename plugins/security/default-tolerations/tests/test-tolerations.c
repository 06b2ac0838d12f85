/* SPDX-License-Identifier: Apache-2.0 */
#include "tolerations.h"

#define NOT_READY "{'key':'node.kubernetes.io/not-ready','operator':'Exists','effect':'NoExecute','tolerationSeconds':300}"
#define UNREACHABLE "{'key':'node.kubernetes.io/unreachable','operator':'Exists','effect':'NoExecute','tolerationSeconds':200}"

static CubeValue *
json (const char *text)
{
  g_autofree char *copy = g_strdelimit (g_strdup (text), "'", '"');

  return cube_value_from_json (copy, -1, NULL, NULL);
}

static void
check (const char *before, const char *after)
{
  g_autoptr (CubeValue) a = json (before), b = json (after), out = NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (a));

  tolerations_add (cube_builder_root (builder), 300, 200);
  out = cube_builder_end (builder);
  g_assert_true (cube_view_equal (cube_value_root (out), cube_value_root (b)));
}

static void
test_add (void)
{
  check ("{'spec':{}}", "{'spec':{'tolerations':[" NOT_READY "," UNREACHABLE "]}}");
  check ("{'spec':{'tolerations':[" NOT_READY "]}}", "{'spec':{'tolerations':[" NOT_READY "," UNREACHABLE "]}}");
  check ("{'spec':{'tolerations':[{'operator':'Exists'}]}}", "{'spec':{'tolerations':[{'operator':'Exists'}]}}");
  check ("{'spec':{'tolerations':[{'operator':'Exists','effect':'NoSchedule'}]}}",
         "{'spec':{'tolerations':[{'operator':'Exists','effect':'NoSchedule'}," NOT_READY "," UNREACHABLE "]}}");
  check ("{'spec':{'tolerations':[{'key':'node.kubernetes.io/unreachable','operator':'Exists'}]}}",
         "{'spec':{'tolerations':[{'key':'node.kubernetes.io/unreachable','operator':'Exists'}," NOT_READY "]}}");
  check ("{}", "{}");
  check ("{'spec':7}", "{'spec':7}");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/default-tolerations/add", test_add);
  return g_test_run ();
}
