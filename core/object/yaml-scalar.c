/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml-scalar.h"
#include <math.h>
#include <string.h>

static gboolean
is_one_of (const char *text, const char *const *words)
{
  for (; *words != NULL; words++)
    if (strcmp (text, *words) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
resolve_word (const char *text, CubeYamlScalar *scalar)
{
  static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
  static const char *const truths[] = { "y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL };
  static const char *const lies[] = { "n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL };
  static const char *const infinities[] = { ".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF", "+.inf",
                                            "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF", NULL };
  if (is_one_of (text, nulls))
    {
      scalar->type = CUBE_VALUE_NULL;
    }
  else if (is_one_of (text, truths) || is_one_of (text, lies))
    {
      scalar->type = CUBE_VALUE_BOOL;
      scalar->truth = is_one_of (text, truths);
    }
  else if (is_one_of (text, infinities))
    {
      scalar->type = CUBE_VALUE_DOUBLE;
      scalar->is_infinite = TRUE;
    }
  else
    {
      return FALSE;
    }
  return TRUE;
}

/* Sign, then 0x, 0o, 0b or a leading zero (octal), or decimal digits. */
static gboolean
resolve_integer (const char *text, CubeYamlScalar *scalar)
{
  gboolean is_negative = *text == '-';
  const char *at = text + (*text == '-' || *text == '+');
  guint base = 10;
  if (at[0] == '0' && at[1] != '\0')
    {
      static const char letters[] = "xXoObB";
      const char *found = at[1] != '\0' ? strchr (letters, at[1]) : NULL;
      base = found == NULL ? 8 : found - letters < 2 ? 16 : found - letters < 4 ? 8 : 2;
      at += found == NULL ? 1 : 2;
    }
  if (!g_ascii_isxdigit (*at))
    return FALSE;
  guint64 number;
  if (!g_ascii_string_to_unsigned (at, base, 0, G_MAXUINT64, &number, NULL))
    return FALSE;
  scalar->type = CUBE_VALUE_INT;
  if (number <= (guint64) G_MAXINT64)
    {
      scalar->integer = is_negative ? -(gint64) number : (gint64) number;
    }
  else if (is_negative && number == (guint64) G_MAXINT64 + 1)
    {
      scalar->integer = G_MININT64;
    }
  else
    {
      scalar->type = CUBE_VALUE_DOUBLE;
      scalar->real = is_negative ? -(double) number : (double) number;
    }
  return TRUE;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static gboolean
resolve_float (const char *text, CubeYamlScalar *scalar)
{
  static const char digits[] = "0123456789";
  const char *at = text + (*text == '-' || *text == '+');
  gsize before = strspn (at, digits), after = 0;
  at += before;
  if (*at == '.')
    {
      after = strspn (++at, digits);
      at += after;
    }
  if (before + after == 0)
    return FALSE;
  if (*at == 'e' || *at == 'E')
    {
      at++;
      at += *at == '-' || *at == '+';
      gsize n = strspn (at, digits);
      if (n == 0)
        return FALSE;
      at += n;
    }
  if (*at != '\0')
    return FALSE;
  scalar->type = CUBE_VALUE_DOUBLE;
  scalar->real = g_ascii_strtod (text, NULL);
  scalar->is_infinite = !isfinite (scalar->real);
  return TRUE;
}

void
cube_yaml_resolve (const char *text, gsize length, CubeYamlScalar *ret_scalar)
{
  memset (ret_scalar, 0, sizeof *ret_scalar);
  ret_scalar->type = CUBE_VALUE_STRING;
  if (strlen (text) != length)
    return;
  if (resolve_word (text, ret_scalar))
    return;
  if (!g_ascii_isdigit (*text) && *text != '+' && *text != '-' && *text != '.')
    return;
  g_autofree char *plain = g_malloc (length + 1);
  gsize n = 0;
  for (const char *at = text; *at != '\0'; at++)
    if (*at != '_')
      plain[n++] = *at;
  plain[n] = '\0';
  if (!resolve_integer (plain, ret_scalar))
    resolve_float (plain, ret_scalar);
}

/* Dates and times: strings for us, but other readers make times of them when they are not quoted. */
gboolean
cube_yaml_is_timestamp (const char *text)
{
  static const char shape[] = "0000-00-00";
  gsize i = 0;
  for (; shape[i] != '\0'; i++)
    if (shape[i] == '0' ? !g_ascii_isdigit (text[i]) : text[i] != '-')
      return FALSE;
  return text[i] == '\0' || text[i] == 'T' || text[i] == 't' || text[i] == ' ';
}
