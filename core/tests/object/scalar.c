/* SPDX-License-Identifier: Apache-2.0 */
#include <cube/error.h>
#include <cube/scalar.h>
#include <string.h>

static void
test_quantities (void)
{
  static const struct {
    const char *text, *canonical;
    gint64 value, millis;
  } cases[] = {
    { "0", "0", 0, 0 },
    { "1000m", "1", 1, 1000 },
    { "1024Mi", "1Gi", 1073741824, G_GINT64_CONSTANT (1073741824000) },
    { "0.5", "500m", 1, 500 },
    { "1.5Gi", "1536Mi", 1610612736, G_GINT64_CONSTANT (1610612736000) },
    { "1.1Gi", "1181116006400m", 1181116007, G_GINT64_CONSTANT (1181116006400) },
    { "512Ki", "512Ki", 524288, 524288000 },
    { "1000Ki", "1000Ki", 1024000, 1024000000 },
    { "0.5Ki", "512", 512, 512000 },
    { "1e3", "1e3", 1000, 1000000 },
    { "1E3", "1e3", 1000, 1000000 },
    { "12e1", "120", 120, 120000 },
    { "1k", "1k", 1000, 1000000 },
    { "-1.5", "-1500m", -2, -1500 },
    { "+3M", "3M", 3000000, G_GINT64_CONSTANT (3000000000) },
    { "0.1n", "1n", 1, 1 },
    { "1.0000000001", "1000000001n", 2, 1001 },
    { "100000", "100k", 100000, 100000000 },
    { "9223372036854775807", "9223372036854775807", G_MAXINT64, G_MAXINT64 },
    { "100Ei", "9223372036854775807", G_MAXINT64, G_MAXINT64 },
    { "8Ei", "9223372036854775807", G_MAXINT64, G_MAXINT64 },
    { "1000E", "1000E", G_MAXINT64, G_MAXINT64 },
    { ".5", "500m", 1, 500 },
    { "1.", "1", 1, 1000 },
    { "005", "5", 5, 5000 },
    { "9999999999999999999999999999999999999e1", "99999999999999999999999999999999999990", G_MAXINT64, G_MAXINT64 },
    { "-9999999999999999999999999999999999999e17", "-999999999999999999999999999999999999900e15", G_MININT64, G_MININT64 },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      CubeQuantity quantity;
      char text[64];
      cube_quantity_parse (cases[i].text, &quantity, &error);
      g_assert_no_error (error);
      cube_quantity_format (&quantity, text);
      g_test_message ("%s", cases[i].text);
      g_assert_cmpstr (text, ==, cases[i].canonical);
      g_assert_cmpint (cube_quantity_value (&quantity), ==, cases[i].value);
      g_assert_cmpint (cube_quantity_millis (&quantity), ==, cases[i].millis);
    }
  static const char *const bad[] = { "", "x", "1x", "1 ", " 1", "1.2.3", "1mm", "1KI", "e3", "1e", "1e1.5", "--1", "1ki", ".", "1Ki2" };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      CubeQuantity quantity;
      if (cube_quantity_parse (bad[i], &quantity, &error))
        g_error ("accepted: %s", bad[i]);
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

static void
test_arithmetic (void)
{
  CubeQuantity a, b;
  char text[64];
  cube_quantity_parse ("1Gi", &a, NULL);
  cube_quantity_parse ("512Mi", &b, NULL);
  cube_quantity_add (&a, &b);
  cube_quantity_format (&a, text);
  g_assert_cmpstr (text, ==, "1536Mi");
  cube_quantity_sub (&a, &b);
  g_assert_cmpint (cube_quantity_compare (&a, &b), ==, 1);
  cube_quantity_parse ("100m", &a, NULL);
  cube_quantity_parse ("0.1", &b, NULL);
  g_assert_cmpint (cube_quantity_compare (&a, &b), ==, 0);
}

static void
test_times (void)
{
  gint64 us;
  char text[40];
  g_assert_true (cube_time_parse ("2026-01-02T03:04:05Z", &us));
  cube_time_format (us, text);
  g_assert_cmpstr (text, ==, "2026-01-02T03:04:05Z");
  g_assert_true (cube_time_parse ("2026-01-02T03:04:05.000006+01:00", &us));
  cube_time_format_micro (us, text);
  g_assert_cmpstr (text, ==, "2026-01-02T02:04:05.000006Z");
  g_assert_true (cube_time_parse ("1969-12-31T23:59:59Z", &us));
  g_assert_cmpint (us, ==, -1000000);
  g_assert_false (cube_time_parse ("2026-02-29T00:00:00Z", &us));
  g_assert_true (cube_time_parse ("2024-02-29T00:00:00Z", &us));
  g_assert_false (cube_time_parse ("2024-02-29", &us));
}

static void
test_durations (void)
{
  static const char *const same[] = { "1h2m3.5s", "1.5ms", "0s", "-2m0s", "100ns", "1.000000001s", "2562047h47m16.854775807s" };
  gint64 ns;
  char text[40];
  for (guint i = 0; i < G_N_ELEMENTS (same); i++)
    {
      g_assert_true (cube_duration_parse (same[i], &ns));
      cube_duration_format (ns, text);
      g_assert_cmpstr (text, ==, same[i]);
    }
  g_assert_true (cube_duration_parse ("1.5h", &ns));
  g_assert_cmpint (ns, ==, G_GINT64_CONSTANT (5400000000000));
  g_assert_false (cube_duration_parse ("1", &ns));
  g_assert_false (cube_duration_parse ("", &ns));
  g_assert_false (cube_duration_parse ("9999999999999h", &ns));
  cube_duration_human (G_GINT64_CONSTANT (330) * 1000000, text);
  g_assert_cmpstr (text, ==, "5m30s");
  cube_duration_human (G_GINT64_CONSTANT (76) * 3600 * 1000000, text);
  g_assert_cmpstr (text, ==, "3d4h");
}

static void
test_names (void)
{
  g_assert_null (cube_name_check_dns1123_label ("a-1"));
  g_assert_nonnull (cube_name_check_dns1123_label ("A"));
  g_assert_cmpstr (cube_name_check_dns1123_label ("a.b"), ==, "must not contain dots");
  g_assert_null (cube_name_check_dns1123_subdomain ("a.b"));
  g_assert_nonnull (cube_name_check_dns1123_subdomain ("a..b"));
  g_assert_nonnull (cube_name_check_dns1035_label ("1a"));
  g_assert_null (cube_name_check_qualified ("example.com/My_Name.1"));
  g_assert_cmpstr (cube_name_check_qualified ("/x"), ==, "prefix part must be non-empty");
  g_assert_null (cube_name_check_label_value (""));
  g_assert_nonnull (cube_name_check_label_value ("-"));
  g_assert_nonnull (cube_name_check_config_map_key (""));
  g_assert_null (cube_name_check_port_name ("http-1"));
  char text[40];
  cube_name_safe_encode ("5d59d67564", text);
  g_assert_cmpuint (strlen (text), ==, 10);
  cube_name_suffix (123456789, 5, text);
  g_assert_cmpuint (strlen (text), ==, 5);
  cube_uuid_format (G_MAXUINT64, 0, text);
  g_assert_cmpstr (text, ==, "ffffffff-ffff-4fff-8000-000000000000");
  g_assert_cmphex (cube_hash_fnv32a ("a", 1, 0), ==, 0xe40c292c);
}

static void
test_int_or_percent (void)
{
  g_autoptr (CubeValue) value = cube_value_from_json ("[3,\"25%\",\"x\",\"%\",null]", -1, NULL, NULL);
  CubeView root = cube_value_root (value);
  int n;
  g_assert_true (cube_int_or_percent (cube_view_element (root, 0), 10, TRUE, &n));
  g_assert_cmpint (n, ==, 3);
  g_assert_true (cube_int_or_percent (cube_view_element (root, 1), 10, TRUE, &n));
  g_assert_cmpint (n, ==, 3);
  g_assert_true (cube_int_or_percent (cube_view_element (root, 1), 10, FALSE, &n));
  g_assert_cmpint (n, ==, 2);
  for (guint i = 2; i < 5; i++)
    g_assert_false (cube_int_or_percent (cube_view_element (root, i), 10, FALSE, &n));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scalar/quantities", test_quantities);
  g_test_add_func ("/scalar/arithmetic", test_arithmetic);
  g_test_add_func ("/scalar/times", test_times);
  g_test_add_func ("/scalar/durations", test_durations);
  g_test_add_func ("/scalar/names", test_names);
  g_test_add_func ("/scalar/int-or-percent", test_int_or_percent);
  return g_test_run ();
}
