/* SPDX-License-Identifier: Apache-2.0 */
/* Values as block-style YAML, laid out as kubectl prints it: sequences are not indented below their key. */
#include "tape.h"
#include "yaml-scalar.h"

static void
append_spaces (GString *out, guint n)
{
  while (n-- > 0)
    g_string_append_c (out, ' ');
}

/* Only what every YAML reader takes as it is. */
static gboolean
is_printable (const char *text, gsize length, gboolean allow_lines)
{
  const char *end = text + length;
  while (text < end)
    {
      gunichar c = g_utf8_get_char (text);
      gboolean is_fine = (c >= 0x20 && c < 0x7f) || (c >= 0xa0 && c != 0x2028 && c != 0x2029 && c != 0xfeff && c != 0xfffe && c != 0xffff)
                         || (allow_lines && (c == '\n' || c == '\t'));
      if (!is_fine)
        return FALSE;
      text = g_utf8_next_char (text);
    }
  return TRUE;
}

static gboolean
is_ambiguous (const char *text, gsize length)
{
  CubeYamlScalar scalar;
  cube_yaml_resolve (text, length, &scalar);
  return scalar.type != CUBE_VALUE_STRING || cube_yaml_is_timestamp (text) || g_str_equal (text, "<<") || g_str_equal (text, "=");
}

/* Can it stand without quotes, given that it is printable and means a string? */
static gboolean
is_plain (const char *text, gsize length)
{
  if (length == 0 || strchr ("?:-,[]{}#&*!|>'\"%@` ", *text) != NULL)
    {
      gboolean may_follow = length > 1 && (*text == '-' || *text == '?' || *text == ':') && text[1] != ' ' && text[1] != '-';
      if (!may_follow)
        return FALSE;
    }
  if (text[length - 1] == ' ' || text[length - 1] == ':')
    return FALSE;
  return strstr (text, ": ") == NULL && strstr (text, " #") == NULL && !g_str_has_prefix (text, "...");
}

/* A literal block needs a first line that does not start with a space, and lines whose ends survive. */
static gboolean
is_literal (const char *text, gsize length)
{
  if (length < 2 || memchr (text, '\n', length) == NULL || *text == ' ' || *text == '\n' || *text == '\t')
    return FALSE;
  return is_printable (text, length, TRUE);
}

static void
append_single_quoted (GString *out, const char *text)
{
  g_string_append_c (out, '\'');
  for (; *text != '\0'; text++)
    {
      if (*text == '\'')
        g_string_append_c (out, '\'');
      g_string_append_c (out, *text);
    }
  g_string_append_c (out, '\'');
}

/* JSON strings are YAML double-quoted scalars; what YAML does not allow bare is escaped as well. */
static void
append_double_quoted (GString *out, const char *text, gsize length)
{
  g_autoptr (GString) json = g_string_new (NULL);
  cube_json_append_string (json, text, (gssize) length);
  for (const char *at = json->str; *at != '\0'; at = g_utf8_next_char (at))
    {
      gunichar c = g_utf8_get_char (at);
      if (c == 0x7f || (c >= 0x80 && c < 0xa0) || c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff)
        g_string_append_printf (out, "\\u%04x", c);
      else
        g_string_append_unichar (out, c);
    }
}

static void
append_literal (GString *out, const char *text, gsize length, guint column)
{
  gboolean ends_line = text[length - 1] == '\n', ends_lines = ends_line && text[length - 2] == '\n';
  g_string_append (out, ends_lines ? "|+" : ends_line ? "|" : "|-");
  gsize end = ends_line ? length - 1 : length;
  for (gsize at = 0; at <= end;)
    {
      const char *newline = memchr (text + at, '\n', end - at);
      gsize stop = newline != NULL ? (gsize) (newline - text) : end;
      g_string_append_c (out, '\n');
      if (stop > at)
        append_spaces (out, column);
      g_string_append_len (out, text + at, (gssize) (stop - at));
      at = stop + 1;
    }
}

static void
append_string (GString *out, const char *text, gsize length, guint column, gboolean is_key)
{
  if (!is_key && is_literal (text, length))
    append_literal (out, text, length, column);
  else if (!is_printable (text, length, FALSE) || length == 0 || is_ambiguous (text, length))
    append_double_quoted (out, text, length);
  else if (is_plain (text, length))
    g_string_append_len (out, text, (gssize) length);
  else
    append_single_quoted (out, text);
}

static void append_block (CubeView view, GString *out, guint column, gboolean in_line);

static gboolean
is_block (CubeView view)
{
  return cube_view_length (view) > 0;
}

static void
append_scalar (CubeView view, GString *out, guint column)
{
  guint32 length;
  const char *text = cube_view_string_full (view, &length);
  if (text != NULL)
    append_string (out, text, length, column, FALSE);
  else
    cube_view_append_json (view, out); /* numbers, words, {} and [] */
}

/* @in_line: the first entry continues a "- ". */
static void
append_mapping (CubeView view, GString *out, guint column, gboolean in_line)
{
  CubeIter iter;
  const char *key;
  guint32 length;
  CubeView value;
  for (cube_iter_init (&iter, view); cube_iter_next_full (&iter, &key, &length, &value); in_line = FALSE)
    {
      if (!in_line)
        append_spaces (out, column);
      append_string (out, key, length, column, TRUE);
      g_string_append_c (out, ':');
      if (!is_block (value))
        {
          g_string_append_c (out, ' ');
          append_scalar (value, out, column + 2);
          g_string_append_c (out, '\n');
        }
      else
        {
          g_string_append_c (out, '\n');
          append_block (value, out, cube_view_type (value) == CUBE_VALUE_OBJECT ? column + 2 : column, FALSE);
        }
    }
}

static void
append_sequence (CubeView view, GString *out, guint column, gboolean in_line)
{
  CubeIter iter;
  CubeView value;
  for (cube_iter_init (&iter, view); cube_iter_next (&iter, NULL, &value); in_line = FALSE)
    {
      if (!in_line)
        append_spaces (out, column);
      g_string_append (out, "- ");
      if (is_block (value))
        {
          append_block (value, out, column + 2, TRUE);
        }
      else
        {
          append_scalar (value, out, column + 2);
          g_string_append_c (out, '\n');
        }
    }
}

static void
append_block (CubeView view, GString *out, guint column, gboolean in_line)
{
  if (cube_view_type (view) == CUBE_VALUE_OBJECT)
    append_mapping (view, out, column, in_line);
  else
    append_sequence (view, out, column, in_line);
}

char *
cube_view_to_yaml (CubeView view, gsize *ret_length)
{
  GString *out = g_string_new (NULL);
  if (is_block (view))
    {
      append_block (view, out, 0, FALSE);
    }
  else
    {
      append_scalar (view, out, 2);
      g_string_append_c (out, '\n');
    }
  if (ret_length != NULL)
    *ret_length = out->len;
  return g_string_free (out, FALSE);
}
