/* SPDX-License-Identifier: Apache-2.0 */
/* Times (RFC 3339) and durations (Go's text form), by arithmetic: no locale, no time zone data. */
#include <cube/scalar.h>
#include <string.h>

#define US_PER_S G_GINT64_CONSTANT (1000000)
#define NS_PER_S G_GINT64_CONSTANT (1000000000)

/* Days since 1970-01-01 in the proleptic Gregorian calendar. */
static gint64
days_from_civil (gint64 year, guint month, guint day)
{
  year -= month <= 2;
  gint64 era = (year >= 0 ? year : year - 399) / 400;
  guint year_of_era = (guint) (year - era * 400);
  guint day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  return era * 146097 + (gint64) (year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year) - 719468;
}

static void
civil_from_days (gint64 days, gint64 *ret_year, guint *ret_month, guint *ret_day)
{
  days += 719468;
  gint64 era = (days >= 0 ? days : days - 146096) / 146097;
  guint day_of_era = (guint) (days - era * 146097);
  guint year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  guint day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  guint shifted = (5 * day_of_year + 2) / 153;
  *ret_day = day_of_year - (153 * shifted + 2) / 5 + 1;
  *ret_month = shifted < 10 ? shifted + 3 : shifted - 9;
  *ret_year = (gint64) year_of_era + era * 400 + (*ret_month <= 2);
}

static gboolean
read_digits (const char **at, guint n, guint *ret_number)
{
  guint number = 0;
  for (guint i = 0; i < n; i++)
    {
      if (!g_ascii_isdigit ((*at)[i]))
        return FALSE;
      number = number * 10 + (guint) ((*at)[i] - '0');
    }
  *at += n;
  *ret_number = number;
  return TRUE;
}

static gboolean
read_field (const char **at, guint n, guint low, guint high, char before, guint *ret_number)
{
  if (before != '\0' && *(*at)++ != before)
    return FALSE;
  return read_digits (at, n, ret_number) && *ret_number >= low && *ret_number <= high;
}

static guint
days_in_month (guint year, guint month)
{
  static const guint8 days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  gboolean is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* Digits after the point; what is finer than a microsecond is cut off. */
static gboolean
read_fraction (const char **at, gint64 *ret_us)
{
  gint64 us = 0, unit = US_PER_S / 10;
  if (**at != '.' && **at != ',')
    return TRUE;
  (*at)++;
  if (!g_ascii_isdigit (**at))
    return FALSE;
  for (; g_ascii_isdigit (**at); (*at)++, unit /= 10)
    us += (**at - '0') * unit;
  *ret_us = us;
  return TRUE;
}

gboolean
cube_time_parse (const char *rfc3339, gint64 *ret_us)
{
  guint year, month, day, hour, minute, second, zone_hour = 0, zone_minute = 0;
  gint64 us = 0, sign = 0;
  const char *at = rfc3339;
  if (at == NULL || !read_field (&at, 4, 0, 9999, '\0', &year) || !read_field (&at, 2, 1, 12, '-', &month)
      || !read_field (&at, 2, 1, 31, '-', &day) || !read_field (&at, 2, 0, 23, 'T', &hour) || !read_field (&at, 2, 0, 59, ':', &minute)
      || !read_field (&at, 2, 0, 59, ':', &second))
    return FALSE;
  if (day > days_in_month (year, month) || !read_fraction (&at, &us))
    return FALSE;
  if (*at == 'Z')
    {
      at++;
    }
  else if (*at == '+' || *at == '-')
    {
      sign = *at++ == '-' ? -1 : 1;
      if (!read_field (&at, 2, 0, 23, '\0', &zone_hour) || !read_field (&at, 2, 0, 59, ':', &zone_minute))
        return FALSE;
    }
  else
    {
      return FALSE;
    }
  if (*at != '\0')
    return FALSE;
  gint64 seconds = days_from_civil (year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
  seconds -= sign * (gint64) (zone_hour * 3600 + zone_minute * 60);
  *ret_us = seconds * US_PER_S + us;
  return TRUE;
}

static char *
put_digits (char *at, guint number, guint n)
{
  for (guint i = n; i > 0; i--, number /= 10)
    at[i - 1] = (char) ('0' + number % 10);
  return at + n;
}

static void
format_time (gint64 us, gboolean is_micro, char *text /* 28 bytes at most */)
{
  gint64 seconds = us / US_PER_S, rest = us % US_PER_S, year;
  guint month, day;
  if (rest < 0)
    {
      rest += US_PER_S;
      seconds--;
    }
  gint64 days = seconds / 86400, of_day = seconds % 86400;
  if (of_day < 0)
    {
      of_day += 86400;
      days--;
    }
  civil_from_days (days, &year, &month, &day);
  year = CLAMP (year, 0, 9999);
  /* by hand: every object has a few of them */
  char *at = put_digits (text, (guint) year, 4);
  *at++ = '-';
  at = put_digits (at, month, 2);
  *at++ = '-';
  at = put_digits (at, day, 2);
  *at++ = 'T';
  at = put_digits (at, (guint) (of_day / 3600), 2);
  *at++ = ':';
  at = put_digits (at, (guint) (of_day / 60 % 60), 2);
  *at++ = ':';
  at = put_digits (at, (guint) (of_day % 60), 2);
  if (is_micro)
    {
      *at++ = '.';
      at = put_digits (at, (guint) rest, 6);
    }
  *at++ = 'Z';
  *at = '\0';
}

void
cube_time_format (gint64 us, char ret_text[32])
{
  format_time (us, FALSE, ret_text);
}

void
cube_time_format_micro (gint64 us, char ret_text[40])
{
  format_time (us, TRUE, ret_text);
}

/* ---- durations ---- */

static gboolean
read_unit (const char **at, gint64 *ret_ns)
{
  static const struct {
    const char *name;
    gint64 ns;
  } units[] = { { "ns", 1 },       { "us", 1000 },    { "µs", 1000 },         { "μs", 1000 },
                { "ms", 1000000 }, { "s", NS_PER_S }, { "m", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S } };
  for (guint i = 0; i < G_N_ELEMENTS (units); i++)
    {
      if (!g_str_has_prefix (*at, units[i].name))
        continue;
      *at += strlen (units[i].name);
      *ret_ns = units[i].ns;
      return TRUE;
    }
  return FALSE;
}

/* One "<number><unit>". */
static gboolean
read_part (const char **at, guint64 *total)
{
  guint64 whole = 0, part = 0;
  double fraction = 0, scale = 1;
  gint64 unit;
  const char *start = *at;
  guint n = 0;
  for (; g_ascii_isdigit (**at); (*at)++, n++)
    {
      if (whole > (G_GUINT64_CONSTANT (1) << 63) / 10)
        return FALSE;
      whole = whole * 10 + (guint64) (**at - '0');
    }
  if (**at == '.')
    {
      for ((*at)++; g_ascii_isdigit (**at); (*at)++, n++)
        {
          fraction = scale < 1e17 ? fraction * 10 + (**at - '0') : fraction;
          scale = scale < 1e17 ? scale * 10 : scale;
        }
    }
  if (n == 0 || *at == start || !read_unit (at, &unit))
    return FALSE;
  if (whole > (G_GUINT64_CONSTANT (1) << 63) / (guint64) unit)
    return FALSE;
  part = whole * (guint64) unit + (guint64) (fraction * ((double) unit / scale));
  if (part > (G_GUINT64_CONSTANT (1) << 63) || *total > (G_GUINT64_CONSTANT (1) << 63) - part)
    return FALSE;
  *total += part;
  return TRUE;
}

gboolean
cube_duration_parse (const char *text, gint64 *ret_ns)
{
  guint64 total = 0;
  const char *at = text;
  if (at == NULL)
    return FALSE;
  gboolean is_negative = *at == '-';
  if (*at == '-' || *at == '+')
    at++;
  if (g_str_equal (at, "0"))
    {
      *ret_ns = 0;
      return TRUE;
    }
  if (*at == '\0')
    return FALSE;
  while (*at != '\0')
    if (!read_part (&at, &total))
      return FALSE;
  if (total > (guint64) G_MAXINT64 && !(is_negative && total == (G_GUINT64_CONSTANT (1) << 63)))
    return FALSE;
  *ret_ns = is_negative ? (gint64) -total : (gint64) total;
  return TRUE;
}

/* @value / 10^@digits without trailing zeros. */
static char *
append_decimal (char *out, guint64 value, guint digits)
{
  guint64 unit = 1;
  for (guint i = 0; i < digits; i++)
    unit *= 10;
  out += g_snprintf (out, 24, "%" G_GUINT64_FORMAT, value / unit);
  guint64 fraction = value % unit;
  if (fraction == 0)
    return out;
  char text[24];
  g_snprintf (text, sizeof text, "%0*" G_GUINT64_FORMAT, (int) digits, fraction);
  gsize n = digits;
  while (n > 0 && text[n - 1] == '0')
    n--;
  *out++ = '.';
  memcpy (out, text, n);
  out[n] = '\0';
  return out + n;
}

void
cube_duration_format (gint64 ns, char ret_text[40])
{
  char *out = ret_text;
  guint64 rest = ns < 0 ? -(guint64) ns : (guint64) ns;
  if (ns < 0)
    *out++ = '-';
  if (rest == 0)
    {
      strcpy (out, "0s");
    }
  else if (rest < 1000)
    {
      strcpy (append_decimal (out, rest, 0), "ns");
    }
  else if (rest < 1000000)
    {
      strcpy (append_decimal (out, rest, 3), "µs");
    }
  else if (rest < (guint64) NS_PER_S)
    {
      strcpy (append_decimal (out, rest, 6), "ms");
    }
  else
    {
      guint64 minutes = rest / (guint64) (60 * NS_PER_S);
      if (minutes >= 60)
        out += g_snprintf (out, 24, "%" G_GUINT64_FORMAT "h", minutes / 60);
      if (minutes > 0)
        out += g_snprintf (out, 24, "%" G_GUINT64_FORMAT "m", minutes % 60);
      strcpy (append_decimal (out, rest % (guint64) (60 * NS_PER_S), 9), "s");
    }
}

/* "<first><a>" or, when the second is not 0, "<first><a><second><b>". */
static void
human_pair (char *text, gint64 first, char a, gint64 second, char b)
{
  if (second == 0)
    g_snprintf (text, 32, "%" G_GINT64_FORMAT "%c", first, a);
  else
    g_snprintf (text, 32, "%" G_GINT64_FORMAT "%c%" G_GINT64_FORMAT "%c", first, a, second, b);
}

void
cube_duration_human (gint64 us, char ret_text[32])
{
  gint64 seconds = us / US_PER_S, minutes = seconds / 60, hours = minutes / 60;
  if (seconds < -1)
    strcpy (ret_text, "<invalid>");
  else if (seconds < 0)
    strcpy (ret_text, "0s");
  else if (seconds < 120)
    human_pair (ret_text, seconds, 's', 0, ' ');
  else if (minutes < 10)
    human_pair (ret_text, minutes, 'm', seconds % 60, 's');
  else if (minutes < 180)
    human_pair (ret_text, minutes, 'm', 0, ' ');
  else if (hours < 8)
    human_pair (ret_text, hours, 'h', minutes % 60, 'm');
  else if (hours < 48)
    human_pair (ret_text, hours, 'h', 0, ' ');
  else if (hours < 192)
    human_pair (ret_text, hours / 24, 'd', hours % 24, 'h');
  else if (hours < 24 * 365 * 2)
    human_pair (ret_text, hours / 24, 'd', 0, ' ');
  else if (hours < 24 * 365 * 8)
    human_pair (ret_text, hours / 24 / 365, 'y', hours / 24 % 365, 'd');
  else
    human_pair (ret_text, hours / 24 / 365, 'y', 0, ' ');
}
