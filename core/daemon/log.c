/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include <cube/value.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const level_names[] = { "error", "warning", "info", "debug" };
static const int priorities[] = { 3, 4, 6, 7 }; /* syslog's, as the journal reads them */

static struct {
  CubeLogLevel level;
  CubeLogFormat format;
  char *path; /* of the file that standard error is; NULL = something else */
} log_state = { CUBE_LOG_INFO, CUBE_LOG_TEXT, NULL };

gboolean
cube_log_level_from_name (const char *name, CubeLogLevel *ret_level)
{
  for (guint i = 0; i < G_N_ELEMENTS (level_names); i++)
    if (g_str_equal (level_names[i], name))
      {
        *ret_level = (CubeLogLevel) i;
        return TRUE;
      }
  return FALSE;
}

gboolean
cube_log_format_from_name (const char *name, CubeLogFormat *ret_format)
{
  *ret_format = g_str_equal (name, "json") ? CUBE_LOG_JSON : CUBE_LOG_TEXT;
  return g_str_equal (name, "json") || g_str_equal (name, "text");
}

/* ---- a line ---- */

/* Nothing that moves a cursor, and no second line that looks like one of ours. */
static void
append_escaped (GString *out, const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  for (const char *at = valid; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);
      if (c == '\n')
        g_string_append (out, "\\n");
      else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
        g_string_append_printf (out, "\\x%02x", c);
      else
        g_string_append_unichar (out, c);
    }
}

static void
append_time (GString *out, gint64 time_us)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (time_us / G_USEC_PER_SEC);
  g_autofree char *text = g_date_time_format (time, "%Y-%m-%dT%H:%M:%S");
  g_string_append_printf (out, "%s.%06dZ", text, (int) (time_us % G_USEC_PER_SEC));
}

static void
append_json (GString *out, gint64 time_us, CubeLogLevel level, const char *from, const char *message)
{
  g_autofree char *valid = g_utf8_make_valid (message, -1);
  g_string_append (out, "{\"time\":\"");
  append_time (out, time_us);
  g_string_append_printf (out, "\",\"level\":\"%s\",\"from\":", level_names[level]);
  cube_json_append_string (out, from, (gssize) strlen (from));
  g_string_append (out, ",\"message\":");
  cube_json_append_string (out, valid, (gssize) strlen (valid));
  g_string_append_c (out, '}');
}

char *
cube_log_line (CubeLogFormat format, gint64 time_us, CubeLogLevel level, const char *from, const char *message)
{
  GString *out = g_string_sized_new (160);
  if (format == CUBE_LOG_JSON)
    append_json (out, time_us, level, from, message);
  else
    {
      if (format == CUBE_LOG_JOURNAL)
        g_string_append_printf (out, "<%d>%s: ", priorities[level], from);
      else
        {
          append_time (out, time_us);
          g_string_append_printf (out, " %-7s %s: ", level_names[level], from);
        }
      append_escaped (out, message);
    }
  g_string_append_c (out, '\n');
  return g_string_free (out, FALSE);
}

/* ---- where it goes ---- */

static CubeLogLevel
level_of (GLogLevelFlags flags)
{
  return flags & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL) ? CUBE_LOG_ERROR
         : flags & G_LOG_LEVEL_WARNING                      ? CUBE_LOG_WARNING
         : flags & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO) ? CUBE_LOG_INFO
                                                            : CUBE_LOG_DEBUG;
}

/* One write a line: several threads, and appending, keep lines whole. A full disk is no reason to stop. */
static gboolean
write_line (CubeLogLevel level, const char *from, const char *message)
{
  g_autofree char *line = cube_log_line (log_state.format, g_get_real_time (), level, from, message);
  gsize length = strlen (line);
  return write (STDERR_FILENO, line, length) == (ssize_t) length;
}

void
cube_log_error (const char *message)
{
  write_line (CUBE_LOG_ERROR, "cube", message);
}

static GLogWriterOutput
write_log (GLogLevelFlags flags, const GLogField *fields, gsize n_fields, gpointer data)
{
  CubeLogLevel level = level_of (flags);
  const char *from = "", *message = "";
  if (level > log_state.level)
    return G_LOG_WRITER_HANDLED;
  for (gsize i = 0; i < n_fields; i++)
    if (fields[i].length == -1 && g_str_equal (fields[i].key, "MESSAGE"))
      message = fields[i].value;
    else if (fields[i].length == -1 && g_str_equal (fields[i].key, "GLIB_DOMAIN"))
      from = fields[i].value;
  if (g_str_has_prefix (from, "cube-"))
    from += strlen ("cube-");
  return write_line (level, *from != '\0' ? from : "cube", message) ? G_LOG_WRITER_HANDLED : G_LOG_WRITER_UNHANDLED;
}

static gboolean
is_stderr (const char *path)
{
  struct stat file, error;
  return stat (path, &file) == 0 && fstat (STDERR_FILENO, &error) == 0 && file.st_dev == error.st_dev && file.st_ino == error.st_ino;
}

void
cube_log_start (CubeLogLevel level, CubeLogFormat format, const char *path)
{
  log_state.level = level;
  log_state.format = format == CUBE_LOG_TEXT && g_log_writer_is_journald (STDERR_FILENO) ? CUBE_LOG_JOURNAL : format;
  log_state.path = is_stderr (path) ? g_strdup (path) : NULL;
  g_log_set_writer_func (write_log, NULL, NULL);
}

gboolean
cube_log_is_file (void)
{
  return log_state.path != NULL;
}

void
cube_log_reopen (void)
{
  int fd = log_state.path != NULL ? open (log_state.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
  if (log_state.path != NULL && fd < 0)
    g_warning ("log %s cannot be opened again: %s", log_state.path, g_strerror (errno));
  if (fd < 0)
    return;
  dup2 (fd, STDOUT_FILENO);
  dup2 (fd, STDERR_FILENO);
  close (fd);
  g_message ("log opened again");
}
