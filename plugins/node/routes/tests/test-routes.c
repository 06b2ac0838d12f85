/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

static gboolean
read_node (const char *range, const char *address, Route *ret_route)
{
  g_autofree char *json =
      g_strdup_printf ("{\"spec\":{\"podCIDR\":\"%s\"},\"status\":{\"addresses\":[{\"type\":\"Hostname\",\"address\":\"9.9.9.9\"},"
                       "{\"type\":\"InternalIP\",\"address\":\"%s\"}]}}",
                       range, address);
  g_autoptr (CubeValue) node = cube_value_from_json (json, -1, NULL, NULL);
  return route_of_node (cube_value_root (node), ret_route);
}

static void
test_of_node (void)
{
  Route route, again;
  g_autofree char *text = NULL;

  g_assert_true (read_node ("10.244.1.0/24", "192.0.2.11", &route));
  text = route_to_text (&route);
  g_assert_cmpstr (text, ==, "10.244.1.0/24 192.0.2.11");
  g_assert_true (route_from_text (text, &again));
  g_assert_true (route_equal (&route, &again));
  g_assert_true (read_node ("10.244.1.7/24", "192.0.2.11", &again)); /* the host's part does not count */
  g_assert_true (route_equal (&route, &again));
  g_assert_true (read_node ("10.244.1.0/24", "192.0.2.12", &again));
  g_assert_false (route_equal (&route, &again));
}

static void
test_refused (void)
{
  static const char *const bad[][2] = {
    { "", "192.0.2.1" },
    { "10.244.1.0", "192.0.2.1" },
    { "10.244.1.0/33", "192.0.2.1" },
    { "0.0.0.0/0", "192.0.2.1" },
    { "10.0.0.0/7", "192.0.2.1" },
    { "fd00::/64", "192.0.2.1" },
    { "10.244.1.0/24", "" },
    { "10.244.1.0/24", "127.0.0.1" },
    { "10.244.1.0/24", "0.0.0.0" },
    { "10.244.1.0/24", "224.0.0.1" },
    { "10.244.1.0/24", "fd00::1" },
    { "10.244.1.0/24 dev lo", "192.0.2.1" },
  };
  Route route;

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (read_node (bad[i][0], bad[i][1], &route));
  g_assert_false (route_from_text ("", &route));
  g_assert_false (route_from_text ("10.244.1.0/24", &route));
  g_assert_false (route_from_text ("10.244.1.0/24 192.0.2.1 x", &route));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/node/routes/of-node", test_of_node);
  g_test_add_func ("/node/routes/refused", test_refused);
  return g_test_run ();
}
