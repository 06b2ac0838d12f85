/* SPDX-License-Identifier: Apache-2.0 */
#include "json-scan.h"
#include <math.h>

typedef struct {
  const char *data, *at, *end;
  CubeTapeWriter *writer;
  CubeJsonError *error;
  guint max_depth;
  gsize max_nodes, n_nodes;
} Scanner;

static gboolean
fail (Scanner *s, const char *at, const char *problem)
{
  s->error->problem = problem;
  s->error->offset = (gsize) (at - s->data);
  return FALSE;
}

static void
skip_space (Scanner *s)
{
  while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
    s->at++;
}

gsize
cube_utf8_error_offset (const char *data, gsize length)
{
  gsize done = 0;
  while (done < length)
    {
      const char *bad = NULL;
      if (g_utf8_validate_len (data + done, length - done, &bad))
        return length;
      done = (gsize) (bad - data);
      if (*bad != '\0') /* GLib stops at NUL bytes, which are valid */
        return done;
      done++;
    }
  return length;
}

static gboolean
read_hex4 (Scanner *s, guint *ret_code)
{
  guint code = 0;
  for (guint i = 0; i < 4; i++, s->at++)
    {
      int digit = s->at < s->end ? g_ascii_xdigit_value (*s->at) : -1;
      if (digit < 0)
        return fail (s, s->at, "invalid \\u escape, wanted four hexadecimal digits");
      code = code * 16 + (guint) digit;
    }
  *ret_code = code;
  return TRUE;
}

/* After "\u". */
static gboolean
read_unicode (Scanner *s, char *out, gsize *length)
{
  const char *start = s->at - 2;
  guint code, low;
  if (!read_hex4 (s, &code))
    return FALSE;
  if (code >= 0xdc00 && code < 0xe000)
    return fail (s, start, "unpaired surrogate in string");
  if (code >= 0xd800 && code < 0xdc00)
    {
      if (s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
        return fail (s, start, "unpaired surrogate in string");
      s->at += 2;
      if (!read_hex4 (s, &low))
        return FALSE;
      if (low < 0xdc00 || low >= 0xe000)
        return fail (s, start, "unpaired surrogate in string");
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
  *length += (gsize) g_unichar_to_utf8 (code, out + *length);
  return TRUE;
}

static gboolean
read_escape (Scanner *s, char *out, gsize *length)
{
  static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
  s->at++;
  if (s->at >= s->end)
    return fail (s, s->at, "unterminated string");
  if (*s->at == 'u')
    {
      s->at++;
      return read_unicode (s, out, length);
    }
  const char *found = *s->at != '\0' ? strchr (names, *s->at) : NULL;
  if (found == NULL)
    return fail (s, s->at - 1, "invalid escape in string");
  out[(*length)++] = meanings[found - names];
  s->at++;
  return TRUE;
}

/* At the opening quote. */
static gboolean
scan_string (Scanner *s, gboolean is_key)
{
  const char *start = s->at++;
  const char *close = s->at;
  while (close < s->end && *close != '"')
    close += *close == '\\' && close + 1 < s->end ? 2 : 1;
  if (close >= s->end)
    return fail (s, start, "unterminated string");
  char *out = cube_tape_reserve_string (s->writer, (gsize) (close - s->at));
  gsize length = 0;
  while (*s->at != '"')
    {
      if (*s->at == '\\')
        {
          if (!read_escape (s, out, &length))
            return FALSE;
        }
      else if ((guchar) *s->at < 0x20)
        {
          return fail (s, s->at, "control character in string");
        }
      else
        {
          out[length++] = *s->at++;
        }
    }
  s->at++;
  cube_tape_commit_string (s->writer, length, is_key);
  return TRUE;
}

static gboolean
scan_digits (Scanner *s)
{
  const char *start = s->at;
  while (s->at < s->end && g_ascii_isdigit (*s->at))
    s->at++;
  return s->at > start ? TRUE : fail (s, s->at, "invalid number, wanted a digit");
}

static gboolean
scan_number (Scanner *s)
{
  const char *start = s->at;
  gboolean is_integer = TRUE;
  if (*s->at == '-')
    s->at++;
  const char *digits = s->at;
  if (!scan_digits (s))
    return FALSE;
  if (*digits == '0' && s->at - digits > 1)
    return fail (s, digits, "invalid number, leading zero");
  if (s->at < s->end && *s->at == '.')
    {
      is_integer = FALSE;
      s->at++;
      if (!scan_digits (s))
        return FALSE;
    }
  if (s->at < s->end && (*s->at == 'e' || *s->at == 'E'))
    {
      is_integer = FALSE;
      s->at++;
      if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
        s->at++;
      if (!scan_digits (s))
        return FALSE;
    }
  gsize length = (gsize) (s->at - start);
  char buffer[64]; /* longer ones are rare */
  g_autofree char *copy = NULL;
  const char *text = buffer;
  if (length < sizeof buffer)
    {
      memcpy (buffer, start, length);
      buffer[length] = '\0';
    }
  else
    {
      text = copy = g_strndup (start, length);
    }
  gint64 number;
  if (is_integer && g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, &number, NULL))
    {
      cube_tape_int (s->writer, number);
      return TRUE;
    }
  double real = g_ascii_strtod (text, NULL);
  if (!isfinite (real))
    return fail (s, start, "number out of range");
  cube_tape_double (s->writer, real);
  return TRUE;
}

static gboolean
scan_word (Scanner *s, const char *word)
{
  gsize length = strlen (word);
  if ((gsize) (s->end - s->at) < length || memcmp (s->at, word, length) != 0)
    return fail (s, s->at, "unexpected character, wanted a value");
  s->at += length;
  return TRUE;
}

static gboolean
scan_scalar (Scanner *s)
{
  if (s->at >= s->end)
    return fail (s, s->at, "unexpected end, wanted a value");
  switch (*s->at)
    {
    case '"': return scan_string (s, FALSE);
    case 't':
      if (!scan_word (s, "true"))
        return FALSE;
      cube_tape_bool (s->writer, TRUE);
      return TRUE;
    case 'f':
      if (!scan_word (s, "false"))
        return FALSE;
      cube_tape_bool (s->writer, FALSE);
      return TRUE;
    case 'n':
      if (!scan_word (s, "null"))
        return FALSE;
      cube_tape_null (s->writer);
      return TRUE;
    default:
      if (*s->at == '-' || g_ascii_isdigit (*s->at))
        return scan_number (s);
      return fail (s, s->at, "unexpected character, wanted a value");
    }
}

/* A key and its colon; the value follows. */
static gboolean
scan_key (Scanner *s)
{
  skip_space (s);
  if (s->at >= s->end)
    return fail (s, s->at, "unexpected end, wanted a member name");
  if (*s->at != '"')
    return fail (s, s->at, "unexpected character, wanted a member name");
  if (!scan_string (s, TRUE))
    return FALSE;
  skip_space (s);
  if (s->at >= s->end || *s->at != ':')
    return fail (s, s->at, s->at >= s->end ? "unexpected end, wanted ':'" : "unexpected character, wanted ':'");
  s->at++;
  return TRUE;
}

static gboolean
in_object (Scanner *s)
{
  CubeTapeWriter *w = s->writer;
  return w->depth > 0 && cube_word_tag (w->words[w->open[w->depth - 1]]) == CUBE_VALUE_OBJECT;
}

/* After a value: closes what ends here. Sets @ret_more when another value of the innermost container follows. */
static gboolean
scan_after_value (Scanner *s, gboolean *ret_more)
{
  *ret_more = FALSE;
  while (s->writer->depth > 0)
    {
      gboolean is_object = in_object (s);
      skip_space (s);
      if (s->at >= s->end)
        return fail (s, s->at, is_object ? "unexpected end, wanted ',' or '}'" : "unexpected end, wanted ',' or ']'");
      if (*s->at == ',')
        {
          s->at++;
          *ret_more = TRUE;
          return is_object ? scan_key (s) : TRUE;
        }
      if (*s->at != (is_object ? '}' : ']'))
        return fail (s, s->at, is_object ? "unexpected character, wanted ',' or '}'" : "unexpected character, wanted ',' or ']'");
      s->at++;
      cube_tape_close (s->writer);
    }
  return TRUE;
}

/* At '{' or '['. @ret_value: its first value follows. */
static gboolean
scan_open (Scanner *s, gboolean *ret_value)
{
  gboolean is_object = *s->at == '{';
  if (s->writer->depth >= s->max_depth)
    return fail (s, s->at, "nested too deeply");
  s->at++;
  cube_tape_open (s->writer, is_object ? CUBE_VALUE_OBJECT : CUBE_VALUE_ARRAY);
  skip_space (s);
  *ret_value = TRUE;
  if (s->at < s->end && *s->at == (is_object ? '}' : ']'))
    {
      s->at++;
      cube_tape_close (s->writer);
      *ret_value = FALSE;
      return TRUE;
    }
  return is_object ? scan_key (s) : TRUE;
}

static gboolean
scan_document (Scanner *s)
{
  gboolean more = TRUE;
  while (more)
    {
      gboolean opened = FALSE;
      skip_space (s);
      if (++s->n_nodes > s->max_nodes)
        return fail (s, s->at, "too many values");
      if (s->at < s->end && (*s->at == '{' || *s->at == '['))
        {
          if (!scan_open (s, &opened))
            return FALSE;
          if (opened)
            continue;
        }
      else if (!scan_scalar (s))
        {
          return FALSE;
        }
      if (!scan_after_value (s, &more))
        return FALSE;
    }
  skip_space (s);
  return s->at == s->end ? TRUE : fail (s, s->at, "unexpected data after the document");
}

gboolean
cube_json_scan (const char *data, gsize length, guint max_depth, gsize max_nodes, CubeTapeWriter *writer, CubeJsonError *ret_error)
{
  Scanner s = { data, data, data + length, writer, ret_error, max_depth, max_nodes, 0 };
  gsize bad = cube_utf8_error_offset (data, length);
  ret_error->problem = NULL;
  if (bad < length)
    return fail (&s, data + bad, "invalid UTF-8");
  return scan_document (&s);
}
