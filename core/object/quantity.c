/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities: exact decimals. What is finer than 10^-9 is rounded away from zero, as in Kubernetes; binary quantities stop at 2^63 - 1; what exceeds
 * the 128-bit mantissa at scale 18 (about 10^56) saturates. */
#include "tape.h"
#include <cube/error.h>
#include <cube/scalar.h>

#define MIN_SCALE (-9)
#define MAX_SCALE 18
#define MAX_MANTISSA ((__int128) (((unsigned __int128) 1 << 127) - 1))
#define MAX_DIGITS 37

static __int128
power10 (guint n)
{
  __int128 result = 1;
  while (n-- > 0)
    result *= 10;
  return result;
}

/* @number / 10^@n away from zero. */
static __int128
divide_up (__int128 number, guint n, gboolean has_rest)
{
  if (n > 38)
    return number > 0 ? 1 : number < 0 ? -1 : has_rest;
  __int128 unit = power10 (n), quotient = number / unit;
  has_rest |= number % unit != 0;
  return has_rest ? (number < 0 ? quotient - 1 : quotient + 1) : quotient;
}

/* Brings a number with any exponent into the range of scales. @has_rest: digits were cut off behind it. */
static void
normalise (CubeQuantity *quantity, __int128 mantissa, gint64 scale, gboolean has_rest)
{
  if (mantissa == 0 && !has_rest)
    scale = 0;
  if (scale < MIN_SCALE)
    {
      mantissa = divide_up (mantissa, (guint) MIN (MIN_SCALE - scale, 64), has_rest);
      scale = MIN_SCALE;
    }
  else if (has_rest)
    {
      mantissa += mantissa < 0 ? -1 : 1;
    }
  while (scale > MAX_SCALE)
    {
      if (__builtin_mul_overflow (mantissa, (__int128) 10, &mantissa))
        {
          mantissa = mantissa < 0 ? -MAX_MANTISSA : MAX_MANTISSA;
          scale = MAX_SCALE;
          break;
        }
      scale--;
    }
  quantity->mantissa = mantissa;
  quantity->scale = (gint16) scale;
}

typedef struct {
  gboolean is_negative, has_rest;
  __int128 mantissa;
  gint64 scale;
  guint n_digits; /* seen, any */
} Digits;

static void
read_digits (const char **at, Digits *digits)
{
  guint kept = 0;
  gboolean after_point = FALSE;
  for (;; (*at)++)
    {
      if (**at == '.' && !after_point)
        {
          after_point = TRUE;
          continue;
        }
      if (!g_ascii_isdigit (**at))
        return;
      digits->n_digits++;
      if (kept >= MAX_DIGITS)
        {
          digits->has_rest |= **at != '0';
          digits->scale += after_point ? 0 : 1;
          continue;
        }
      digits->mantissa = digits->mantissa * 10 + (**at - '0');
      kept += digits->mantissa != 0;
      digits->scale -= after_point ? 1 : 0;
    }
}

typedef struct {
  CubeQuantityFormat format;
  gint64 exponent; /* of 10, or of 2 in the binary format */
} Suffix;

static gboolean
read_suffix (const char *text, Suffix *ret_suffix)
{
  static const char binary[] = "KMGTPE", decimal[] = "num kMGTPE"; /* 10^-9 … 10^18 in steps of 3 */
  const char *found;
  ret_suffix->format = CUBE_QUANTITY_DECIMAL_SI;
  ret_suffix->exponent = 0;
  if (*text == '\0')
    return TRUE;
  if (text[1] == '\0' && *text != ' ' && (found = strchr (decimal, *text)) != NULL)
    {
      ret_suffix->exponent = (found - decimal) * 3 - 9;
      return TRUE;
    }
  if (text[1] == 'i' && text[2] == '\0' && (found = strchr (binary, *text)) != NULL)
    {
      ret_suffix->format = CUBE_QUANTITY_BINARY_SI;
      ret_suffix->exponent = (found - binary + 1) * 10;
      return TRUE;
    }
  if (*text != 'e' && *text != 'E')
    return FALSE;
  ret_suffix->format = CUBE_QUANTITY_DECIMAL_EXPONENT;
  const char *digits = text[1] == '+' || text[1] == '-' ? text + 2 : text + 1;
  gint64 exponent = 0;
  if (*digits == '\0')
    return FALSE;
  for (; g_ascii_isdigit (*digits); digits++)
    exponent = MIN (exponent * 10 + (*digits - '0'), 1000000);
  ret_suffix->exponent = text[1] == '-' ? -exponent : exponent;
  return *digits == '\0';
}

/* The form of the whole: sign, digits and points, letters, sign, digits. */
static gboolean
is_well_formed (const char *text)
{
  text += *text == '+' || *text == '-';
  gsize n = strspn (text, "0123456789.");
  if (n == 0)
    return FALSE;
  text += n;
  text += strspn (text, "eEinumkKMGTP");
  text += *text == '+' || *text == '-';
  return text[strspn (text, "0123456789")] == '\0';
}

static void
set_binary (CubeQuantity *quantity, Digits *digits, gint64 exponent)
{
  const __int128 limit = G_MAXINT64;
  __int128 mantissa = digits->mantissa;
  gboolean has_rest = digits->has_rest;
  /* At most 18 digits leave room for 2^60; the integral ones among more are above the limit anyway. */
  while (mantissa >= power10 (18) && digits->scale < 0)
    {
      has_rest |= mantissa % 10 != 0;
      mantissa /= 10;
      digits->scale++;
    }
  gboolean is_over = mantissa >= power10 (18) || digits->scale > 0;
  if (!is_over)
    normalise (quantity, mantissa << exponent, digits->scale, has_rest);
  if (is_over || cube_quantity_compare (quantity, &(CubeQuantity){ limit, 0, CUBE_QUANTITY_BINARY_SI }) > 0)
    {
      quantity->mantissa = limit;
      quantity->scale = 0;
    }
  /* Below one there is no binary form. */
  if (quantity->mantissa > 0 && cube_quantity_compare (quantity, &(CubeQuantity){ 1, 0, CUBE_QUANTITY_BINARY_SI }) < 0)
    quantity->format = CUBE_QUANTITY_DECIMAL_SI;
}

gboolean
cube_quantity_parse (const char *text, CubeQuantity *ret_quantity, GError **error)
{
  Digits digits = { 0 };
  Suffix suffix;
  const char *at = text;
  if (text == NULL || !is_well_formed (text))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
      return FALSE;
    }
  digits.is_negative = *at == '-';
  at += *at == '-' || *at == '+';
  read_digits (&at, &digits);
  if (digits.n_digits == 0 || *at == '.')
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unable to parse numeric part of quantity");
      return FALSE;
    }
  if (!read_suffix (at, &suffix))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unable to parse quantity's suffix");
      return FALSE;
    }
  CubeQuantity quantity = { .format = suffix.format };
  if (suffix.format == CUBE_QUANTITY_BINARY_SI)
    set_binary (&quantity, &digits, suffix.exponent);
  else
    normalise (&quantity, digits.mantissa, digits.scale + suffix.exponent, digits.has_rest);
  if (digits.is_negative)
    quantity.mantissa = -quantity.mantissa;
  *ret_quantity = quantity;
  return TRUE;
}

gboolean
cube_quantity_from_view (CubeView view, CubeQuantity *ret_quantity)
{
  char text[40];
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_STRING: return cube_quantity_parse (cube_view_string (view), ret_quantity, NULL);
    case CUBE_VALUE_INT: cube_quantity_set_int (ret_quantity, cube_view_int (view, 0), 0, CUBE_QUANTITY_DECIMAL_SI); return TRUE;
    case CUBE_VALUE_DOUBLE: cube_double_to_text (cube_view_double (view, 0), text); return cube_quantity_parse (text, ret_quantity, NULL);
    default: return FALSE;
    }
}

void
cube_quantity_set_int (CubeQuantity *quantity, gint64 value, gint16 scale, CubeQuantityFormat format)
{
  quantity->format = format;
  normalise (quantity, value, scale, FALSE);
}

/* ---- arithmetic ---- */

int
cube_quantity_compare (const CubeQuantity *a, const CubeQuantity *b)
{
  __int128 x = a->mantissa, y = b->mantissa;
  int sign_x = x > 0 ? 1 : x < 0 ? -1 : 0, sign_y = y > 0 ? 1 : y < 0 ? -1 : 0;
  if (sign_x != sign_y || sign_x == 0)
    return sign_x < sign_y ? -1 : sign_x > sign_y ? 1 : 0;
  /* The one of larger scale is brought to the other's; overflow means it is larger in magnitude. */
  if (a->scale > b->scale && __builtin_mul_overflow (x, power10 ((guint) (a->scale - b->scale)), &x))
    return sign_x;
  if (b->scale > a->scale && __builtin_mul_overflow (y, power10 ((guint) (b->scale - a->scale)), &y))
    return -sign_x;
  return x < y ? -1 : x > y ? 1 : 0;
}

static void
add (CubeQuantity *a, CubeQuantity b)
{
  __int128 sum;
  if (a->mantissa == 0)
    a->format = b.format;
  if (a->mantissa == 0) /* zero has every scale */
    a->scale = b.scale;
  if (b.mantissa == 0)
    return;
  CubeQuantity *coarse = a->scale > b.scale ? a : &b, *fine = coarse == a ? &b : a;
  while (coarse->scale > fine->scale)
    {
      __int128 scaled;
      if (!__builtin_mul_overflow (coarse->mantissa, (__int128) 10, &scaled))
        {
          coarse->mantissa = scaled;
          coarse->scale--;
        }
      else
        {
          fine->mantissa = divide_up (fine->mantissa, 1, FALSE);
          fine->scale++;
        }
    }
  if (__builtin_add_overflow (a->mantissa, b.mantissa, &sum))
    sum = b.mantissa > 0 ? MAX_MANTISSA : -MAX_MANTISSA;
  a->mantissa = sum;
  a->scale = fine->scale;
}

void
cube_quantity_add (CubeQuantity *a, const CubeQuantity *b)
{
  add (a, *b);
}

void
cube_quantity_sub (CubeQuantity *a, const CubeQuantity *b)
{
  CubeQuantity negated = *b;
  negated.mantissa = -negated.mantissa;
  add (a, negated);
}

/* quantity / 10^@unit, away from zero, saturating. */
static gint64
scaled (const CubeQuantity *quantity, int unit)
{
  __int128 value = quantity->mantissa;
  int shift = quantity->scale - unit;
  if (shift < 0)
    value = divide_up (value, (guint) -shift, FALSE);
  else if (__builtin_mul_overflow (value, power10 ((guint) shift), &value))
    return quantity->mantissa < 0 ? G_MININT64 : G_MAXINT64;
  return value > G_MAXINT64 ? G_MAXINT64 : value < G_MININT64 ? G_MININT64 : (gint64) value;
}

gint64
cube_quantity_value (const CubeQuantity *quantity)
{
  return scaled (quantity, 0);
}

gint64
cube_quantity_millis (const CubeQuantity *quantity)
{
  return scaled (quantity, -3);
}

/* ---- text ---- */

static char *
append_number (char *out, __int128 number)
{
  char digits[48];
  gsize n = 0;
  unsigned __int128 rest = number < 0 ? -(unsigned __int128) number : (unsigned __int128) number;
  do
    {
      digits[n++] = (char) ('0' + (int) (rest % 10));
      rest /= 10;
    }
  while (rest > 0);
  if (number < 0)
    *out++ = '-';
  while (n > 0)
    *out++ = digits[--n];
  *out = '\0';
  return out;
}

/* The integral value if the quantity has a binary form: an integer of magnitude 1024 or more. */
static gboolean
binary_value (const CubeQuantity *quantity, __int128 *ret_value)
{
  __int128 value = quantity->mantissa;
  if (quantity->scale >= 0)
    {
      if (__builtin_mul_overflow (value, power10 ((guint) quantity->scale), &value))
        return FALSE;
    }
  else
    {
      __int128 unit = power10 ((guint) -quantity->scale);
      if (value % unit != 0)
        return FALSE;
      value /= unit;
    }
  *ret_value = value;
  return value >= 1024 || value <= -1024;
}

static void
format_binary (__int128 value, char *text)
{
  static const char *const suffixes[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
  guint power = 0;
  for (; value % 1024 == 0 && power + 1 < G_N_ELEMENTS (suffixes); power++)
    value /= 1024;
  strcpy (append_number (text, value), suffixes[power]);
}

static void
format_decimal (__int128 mantissa, int exponent, gboolean is_exponent, char *text)
{
  static const char *const suffixes[] = { "n", "u", "m", "", "k", "M", "G", "T", "P", "E" };
  while (mantissa % 10 == 0 && exponent < 45)
    {
      mantissa /= 10;
      exponent++;
    }
  char *end = append_number (text, mantissa);
  /* An exponent divisible by three, for suffixes not above 18. Zeros are written, not multiplied in: the mantissa may be full. */
  while (exponent % 3 != 0 || (!is_exponent && exponent > MAX_SCALE))
    {
      *end++ = '0';
      exponent--;
    }
  *end = '\0';
  if (!is_exponent)
    strcpy (end, suffixes[exponent / 3 + 3]);
  else if (exponent != 0)
    g_snprintf (end, 8, "e%d", exponent);
}

void
cube_quantity_format (const CubeQuantity *quantity, char ret_text[64])
{
  __int128 value;
  if (quantity->mantissa == 0)
    strcpy (ret_text, "0");
  else if (quantity->format == CUBE_QUANTITY_BINARY_SI && binary_value (quantity, &value))
    format_binary (value, ret_text);
  else
    format_decimal (quantity->mantissa, quantity->scale, quantity->format == CUBE_QUANTITY_DECIMAL_EXPONENT, ret_text);
}

/* ---- int or percent ---- */

gboolean
cube_int_or_percent (CubeView view, int total, gboolean round_up, int *ret_value)
{
  if (cube_view_type (view) == CUBE_VALUE_INT)
    {
      gint64 number = cube_view_int (view, 0);
      if (number < G_MININT32 || number > G_MAXINT32)
        return FALSE;
      *ret_value = (int) number;
      return TRUE;
    }
  const char *text = cube_view_string (view);
  if (text == NULL)
    return FALSE;
  gsize length = strlen (text);
  if (length < 2 || text[length - 1] != '%')
    return FALSE;
  g_autofree char *digits = g_strndup (text, length - 1);
  gint64 percent;
  if (!g_ascii_string_to_signed (digits[0] == '+' ? digits + 1 : digits, 10, G_MININT32, G_MAXINT32, &percent, NULL))
    return FALSE;
  gint64 product = percent * total, value = product / 100, rest = product % 100;
  if (rest > 0 && round_up)
    value++;
  if (rest < 0 && !round_up) /* floor */
    value--;
  *ret_value = (int) CLAMP (value, G_MININT32, G_MAXINT32);
  return TRUE;
}
