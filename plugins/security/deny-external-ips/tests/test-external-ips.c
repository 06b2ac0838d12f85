/* SPDX-License-Identifier: Apache-2.0 */
#include "external-ips.h"

static const CubeResource services = { .group = "", .version = "v1", .resource = "services", .is_namespaced = TRUE };

static void
test_check (void)
{
  static const struct {
    const char *old, *object;
    gboolean may;
  } cases[] = {
    { NULL, "{\"spec\":{}}", TRUE },
    { NULL, "{\"spec\":{\"externalIPs\":[]}}", TRUE },
    { NULL, "{\"spec\":{\"externalIPs\":[\"1.2.3.4\"]}}", FALSE },
    { "{\"spec\":{\"externalIPs\":[\"1.2.3.4\"]}}", "{\"spec\":{\"externalIPs\":[\"1.2.3.4\"]}}", TRUE },
    { "{\"spec\":{\"externalIPs\":[\"1.2.3.4\"]}}", "{\"spec\":{\"externalIPs\":[\"1.2.3.4\",\"1.2.3.5\"]}}", FALSE },
    { "{\"spec\":{\"externalIPs\":[\"1.2.3.4\"]}}", "{\"spec\":{}}", TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeValue) old = cases[i].old != NULL ? cube_value_from_json (cases[i].old, -1, NULL, NULL) : NULL;
      g_autoptr (CubeValue) object = cube_value_from_json (cases[i].object, -1, NULL, NULL);
      CubeAdmissionRequest request = { .verb = old != NULL ? CUBE_VERB_UPDATE : CUBE_VERB_CREATE,
                                       .resource = &services,
                                       .name = "s",
                                       .old = old != NULL ? cube_value_root (old) : cube_view_none () };
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (external_ips_check (&request, cube_value_root (object), &error), ==, cases[i].may);
      if (!cases[i].may)
        g_assert_cmpstr (error->message, ==, "services \"s\" is forbidden: Use of external IPs is denied by admission control.");
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/deny-external-ips/check", test_check);
  return g_test_run ();
}
