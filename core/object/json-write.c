/* SPDX-License-Identifier: Apache-2.0 */
#include "tape.h"
#include <math.h>

static void
append_escape (GString *out, guchar c) /* leaves the text NUL-terminated */
{
  switch (c)
    {
    case '"': g_string_append_len (out, "\\\"", 2); break;
    case '\\': g_string_append_len (out, "\\\\", 2); break;
    case '\n': g_string_append_len (out, "\\n", 2); break;
    case '\r': g_string_append_len (out, "\\r", 2); break;
    case '\t': g_string_append_len (out, "\\t", 2); break;
    case '\b': g_string_append_len (out, "\\b", 2); break;
    case '\f': g_string_append_len (out, "\\f", 2); break;
    default:
      {
        static const char hex[] = "0123456789abcdef";
        char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
        g_string_append_len (out, text, 6);
      }
    }
}

static inline gboolean
needs_escape (guchar c)
{
  return c < 0x20 || c == '"' || c == '\\';
}

#define REPEAT(byte) (G_GUINT64_CONSTANT (0x0101010101010101) * (byte))
#define HAS_ZERO(word) (((word) -REPEAT (0x01)) & ~(word) &REPEAT (0x80))

/* The number of leading bytes that can stand as they are; eight at a time. */
static inline gboolean
word_needs_escape (guint64 word)
{
  guint64 control = (word - REPEAT (0x20)) & ~word & REPEAT (0x80);
  guint64 quote = word ^ REPEAT ('"'), slash = word ^ REPEAT ('\\');
  return (control | HAS_ZERO (quote) | HAS_ZERO (slash)) != 0;
}

static inline gsize
plain_length (const char *text, gsize length)
{
  gsize i = 0;
  guint64 word;
  for (; i + 8 <= length; i += 8)
    {
      memcpy (&word, text + i, 8);
      if (word_needs_escape (word))
        break;
    }
  if (i + 8 > length && length >= 4) /* the rest, and again some before it */
    {
      guint32 first, last;
      memcpy (&first, text + (length >= 8 ? length - 8 : 0), 4);
      memcpy (&last, text + length - 4, 4);
      if (!word_needs_escape (first | (guint64) last << 32))
        return length;
    }
  while (i < length && !needs_escape ((guchar) text[i]))
    i++;
  return i;
}

/* Makes room for @n more bytes and the NUL, so that what follows can be written straight. */
static inline char *
reserve (GString *out, gsize n)
{
  if (G_UNLIKELY (out->len + n >= out->allocated_len))
    {
      gsize length = out->len;
      g_string_set_size (out, length + MAX (n, length)); /* doubles */
      out->len = length;
    }
  return out->str + out->len;
}

static inline void
append_byte (GString *out, char c)
{
  *reserve (out, 1) = c;
  out->len++;
}

static inline void
append_bytes (GString *out, const char *text, gsize length)
{
  memcpy (reserve (out, length), text, length);
  out->len += length;
}

static void
append_escaped (GString *out, const char *text, gsize size)
{
  append_byte (out, '"');
  for (gsize i = 0; i < size;)
    {
      gsize plain = plain_length (text + i, size - i);
      append_bytes (out, text + i, plain);
      i += plain;
      if (i < size)
        {
          out->str[out->len] = '\0';
          append_escape (out, (guchar) text[i++]);
        }
    }
  append_byte (out, '"');
}

static void
append_string (GString *out, const char *text, gsize size)
{
  if (plain_length (text, size) < size)
    {
      append_escaped (out, text, size);
      return;
    }
  char *at = reserve (out, size + 2);
  *at = '"';
  memcpy (at + 1, text, size);
  at[size + 1] = '"';
  out->len += size + 2;
}

static inline void
end_text (GString *out)
{
  *reserve (out, 0) = '\0';
}

void
cube_json_append_string (GString *out, const char *text, gssize length)
{
  append_string (out, text, text == NULL ? 0 : length < 0 ? strlen (text) : (gsize) length);
  end_text (out);
}

/* The shortest of 15, 16 or 17 digits that reads back as the same number, laid out as Go's encoding/json does: an exponent below 1e-6 and from 1e21 on. */
void
cube_double_to_text (double number, char ret_text[40])
{
  char digits[40], *out = ret_text;
  if (!isfinite (number) || number == 0)
    {
      strcpy (ret_text, signbit (number) && number == 0 ? "-0" : "0");
      return;
    }
  if (fabs (number) >= 9007199254740992.0 && fabs (number) < 9223372036854775808.0)
    {
      /* It will be read as an integer, so rounded digits would be another number. */
      g_snprintf (ret_text, 40, "%" G_GINT64_FORMAT, (gint64) number);
      return;
    }
  for (int precision = 14; precision <= 16; precision++)
    {
      char format[8] = { '%', '.', '1', (char) ('0' + precision - 10), 'e', '\0' };
      g_ascii_formatd (digits, sizeof digits, format, number);
      if (g_ascii_strtod (digits, NULL) == number)
        break;
    }
  if (digits[0] == '-')
    *out++ = '-';
  char *mantissa = digits + (digits[0] == '-');
  char *e = strchr (mantissa, 'e');
  int exponent = atoi (e + 1);
  memmove (mantissa + 1, mantissa + 2, (gsize) (e - mantissa - 2)); /* the point */
  int n = (int) (e - mantissa) - 1;
  while (n > 1 && mantissa[n - 1] == '0')
    n--;
  if (exponent < -6 || exponent >= 21)
    {
      *out++ = mantissa[0];
      if (n > 1)
        {
          *out++ = '.';
          memcpy (out, mantissa + 1, (gsize) n - 1);
          out += n - 1;
        }
      g_snprintf (out, 8, "e%c%02d", exponent < 0 ? '-' : '+', ABS (exponent));
      if (exponent < 0 && exponent > -10) /* e-09 → e-9, as Go does */
        memmove (out + 2, out + 3, 2);
      return;
    }
  if (exponent < 0)
    {
      memcpy (out, "0.000000", 8);
      out += 1 - exponent;
      memcpy (out, mantissa, (gsize) n);
      out[n] = '\0';
      return;
    }
  for (int i = 0; i < MAX (n, exponent + 1); i++)
    {
      if (i == exponent + 1)
        *out++ = '.';
      *out++ = i < n ? mantissa[i] : '0';
    }
  *out = '\0';
}

static void
append_int (GString *out, gint64 number)
{
  char text[24], *at = text + sizeof text;
  guint64 rest = number < 0 ? -(guint64) number : (guint64) number;
  do
    {
      *--at = (char) ('0' + rest % 10);
      rest /= 10;
    }
  while (rest > 0);
  if (number < 0)
    *--at = '-';
  append_bytes (out, at, (gsize) (text + sizeof text - at));
}

static void
append_scalar (const CubeValue *doc, guint32 at, GString *out)
{
  guint64 word = doc->tape[at];
  guint32 length;
  const char *text;
  switch (cube_word_tag (word))
    {
    case CUBE_VALUE_STRING:
      text = cube_tape_string (doc, at, &length);
      append_string (out, text, length);
      break;
    case CUBE_VALUE_BOOL:
      if ((word & 1) != 0)
        append_bytes (out, "true", 4);
      else
        append_bytes (out, "false", 5);
      break;
    case CUBE_VALUE_INT: append_int (out, cube_word_get_int (word)); break;
    case CUBE_TAG_LONG: append_int (out, (gint64) doc->tape[at + 1]); break;
    case CUBE_VALUE_DOUBLE:
      {
        char number[40];
        double real;
        memcpy (&real, &doc->tape[at + 1], sizeof real);
        cube_double_to_text (real, number);
        append_bytes (out, number, strlen (number));
        break;
      }
    default: append_bytes (out, "null", 4);
    }
}

static void
append_break (GString *out, guint columns)
{
  append_byte (out, '\n');
  for (guint i = 0; i < columns; i++)
    append_byte (out, ' ');
}

/* @indent 0 = compact. Returns the index just past the value. */
static guint32
append_value (const CubeValue *doc, guint32 at, GString *out, guint indent, guint column)
{
  guint64 word = doc->tape[at];
  gboolean is_object = cube_word_tag (word) == CUBE_VALUE_OBJECT;
  if (!is_object && cube_word_tag (word) != CUBE_VALUE_ARRAY)
    {
      append_scalar (doc, at, out);
      return cube_tape_next (doc, at);
    }
  guint32 first = at + 1, end = (guint32) word;
  append_byte (out, is_object ? '{' : '[');
  for (at = first; at < end;)
    {
      if (at > first)
        append_byte (out, ',');
      if (indent > 0)
        append_break (out, column + indent);
      if (is_object)
        {
          append_scalar (doc, at++, out);
          append_byte (out, ':');
          if (indent > 0)
            append_byte (out, ' ');
        }
      at = append_value (doc, at, out, indent, column + indent);
    }
  if (indent > 0 && end > first)
    append_break (out, column);
  append_byte (out, is_object ? '}' : ']');
  return end;
}

static void
append_view (CubeView view, GString *out, guint indent)
{
  if (view.doc != NULL)
    append_value (view.doc, view.at, out, indent, 0);
  else
    append_bytes (out, "null", 4);
  end_text (out);
}

void
cube_view_append_json (CubeView view, GString *out)
{
  append_view (view, out, 0);
}

void
cube_view_append_json_pretty (CubeView view, GString *out, guint indent)
{
  append_view (view, out, MAX (indent, 1));
}

char *
cube_view_to_json (CubeView view, gsize *ret_length)
{
  gsize expected = view.doc == NULL ? 0 : view.at > 0 ? 512 : (gsize) view.doc->n_bytes + 2 * (gsize) view.doc->n_words;
  GString *out = g_string_sized_new (MAX (expected, 64));
  append_view (view, out, 0);
  if (ret_length != NULL)
    *ret_length = out->len;
  return g_string_free (out, FALSE);
}
