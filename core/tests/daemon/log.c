/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the log. */
#include <daemon/log.h>
#include <cube/value.h>
#include <string.h>

#define TIME_US 1700000000123456

static void
check (CubeLogFormat format, CubeLogLevel level, const char *message, const char *wanted)
{
  g_autofree char *line = cube_log_line (format, TIME_US, level, "store", message);
  g_assert_cmpstr (line, ==, wanted);
}

static void
test_text (void)
{
  check (CUBE_LOG_TEXT, CUBE_LOG_INFO, "writes work again", "2023-11-14T22:13:20.123456Z info    store: writes work again\n");
  check (CUBE_LOG_TEXT, CUBE_LOG_WARNING, "größer", "2023-11-14T22:13:20.123456Z warning store: größer\n");
  check (CUBE_LOG_JOURNAL, CUBE_LOG_ERROR, "gone", "<3>store: gone\n");
  check (CUBE_LOG_JOURNAL, CUBE_LOG_DEBUG, "seen", "<7>store: seen\n");
}

/* Neither a second line nor a terminal's escape comes from a message. */
static void
test_escapes (void)
{
  check (CUBE_LOG_TEXT, CUBE_LOG_INFO, "a\nb\x1b[31m\r\t\x7f",
         "2023-11-14T22:13:20.123456Z info    store: a\\nb\\x1b[31m\\x0d\\x09\\x7f\n");
  check (CUBE_LOG_TEXT, CUBE_LOG_INFO,
         "\xc2\x9b"
         "2J",
         "2023-11-14T22:13:20.123456Z info    store: \\x9b2J\n");
  check (CUBE_LOG_TEXT, CUBE_LOG_INFO, "\xff", "2023-11-14T22:13:20.123456Z info    store: \xef\xbf\xbd\n");
}

static void
test_json (void)
{
  g_autofree char *line = cube_log_line (CUBE_LOG_JSON, TIME_US, CUBE_LOG_INFO, "store", "a \"b\"\n\xff\x1b");
  g_autoptr (GError) error = NULL;
  g_assert_cmpuint (strcspn (line, "\n"), ==, strlen (line) - 1);
  g_autoptr (CubeValue) value = cube_value_from_json (line, -1, NULL, &error);
  g_assert_no_error (error);
  CubeView root = cube_value_root (value);
  g_assert_cmpstr (cube_view_get_string (root, "time"), ==, "2023-11-14T22:13:20.123456Z");
  g_assert_cmpstr (cube_view_get_string (root, "level"), ==, "info");
  g_assert_cmpstr (cube_view_get_string (root, "from"), ==, "store");
  g_assert_cmpstr (cube_view_get_string (root, "message"), ==, "a \"b\"\n\xef\xbf\xbd\x1b");
}

static void
test_names (void)
{
  CubeLogLevel level = CUBE_LOG_DEBUG;
  CubeLogFormat format;
  g_assert_true (cube_log_level_from_name ("warning", &level));
  g_assert_cmpint (level, ==, CUBE_LOG_WARNING);
  g_assert_false (cube_log_level_from_name ("loud", &level));
  g_assert_true (cube_log_format_from_name ("json", &format) && format == CUBE_LOG_JSON);
  g_assert_true (cube_log_format_from_name ("text", &format) && format == CUBE_LOG_TEXT);
  g_assert_false (cube_log_format_from_name ("xml", &format));
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/daemon/log/text", test_text);
  g_test_add_func ("/daemon/log/escapes", test_escapes);
  g_test_add_func ("/daemon/log/json", test_json);
  g_test_add_func ("/daemon/log/names", test_names);
  return g_test_run ();
}
