/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a text is a cron schedule: five fields or a macro, in the syntax and with the complaints of the parser Kubernetes uses. */
#include "validate.h"

typedef struct {
  guint min, max;
  const char *const *words; /* the first stands for @min */
} Bounds;

static const char *const months[] = { "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL };
static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL };
static const Bounds bounds[] = {
  { 0, 59, NULL }, { 0, 23, NULL }, { 1, 31, NULL }, { 1, 12, months }, { 0, 6, days }, /* minute, hour, day, month, day of the week */
};

static char *
parse_number (const char *text, const Bounds *field, guint *ret_number)
{
  gint64 number;
  for (guint i = 0; field != NULL && field->words != NULL && field->words[i] != NULL; i++)
    if (g_ascii_strcasecmp (text, field->words[i]) == 0)
      {
        *ret_number = field->min + i;
        return NULL;
      }
  if (!g_ascii_string_to_signed (text, 10, -G_MAXINT32, G_MAXINT32, &number, NULL))
    return g_strdup_printf ("failed to parse int from %s: strconv.Atoi: parsing \"%s\": invalid syntax", text, text);
  if (number < 0)
    return g_strdup_printf ("negative number (%d) not allowed: %s", (int) number, text);
  *ret_number = (guint) number;
  return NULL;
}

/* NUMBER | NUMBER-NUMBER | *, each perhaps with /NUMBER */
static char *
check_range (const char *text, const Bounds *field)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", -1);
  g_auto (GStrv) ends = g_strsplit (parts[0] != NULL ? parts[0] : "", "-", -1);
  guint n_parts = g_strv_length (parts), n_ends = g_strv_length (ends), first = field->min, last = field->max, step = 1;
  const char *begin = n_ends > 0 ? ends[0] : "";
  char *problem = NULL;
  if (strcmp (begin, "*") != 0 && strcmp (begin, "?") != 0)
    {
      if ((problem = parse_number (begin, field, &first)) != NULL)
        return problem;
      last = n_parts == 2 && n_ends <= 1 ? field->max : first; /* "N/step" runs to the end */
      if (n_ends == 2 && (problem = parse_number (ends[1], field, &last)) != NULL)
        return problem;
      if (n_ends > 2)
        return g_strdup_printf ("too many hyphens: %s", text);
    }
  if (n_parts > 2)
    return g_strdup_printf ("too many slashes: %s", text);
  if (n_parts == 2 && (problem = parse_number (parts[1], NULL, &step)) != NULL)
    return problem;
  if (first < field->min)
    return g_strdup_printf ("beginning of range (%u) below minimum (%u): %s", first, field->min, text);
  if (last > field->max)
    return g_strdup_printf ("end of range (%u) above maximum (%u): %s", last, field->max, text);
  if (first > last)
    return g_strdup_printf ("beginning of range (%u) beyond end of range (%u): %s", first, last, text);
  return step == 0 ? g_strdup_printf ("step of range should be a positive number: %s", text) : NULL;
}

static char *
check_macro (const char *text)
{
  static const char *const macros[] = { "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", NULL };
  gint64 duration;
  if (g_strv_contains (macros, text))
    return NULL;
  if (!g_str_has_prefix (text, "@every "))
    return g_strdup_printf ("unrecognized descriptor: %s", text);
  if (cube_duration_parse (text + strlen ("@every "), &duration))
    return NULL;
  return g_strdup_printf ("failed to parse duration %s: time: invalid duration \"%s\"", text, text + strlen ("@every "));
}

char *
cube_cron_problem (const char *schedule)
{
  g_autofree char *text = g_strstrip (g_strdup (schedule));
  const char *rest = text;
  if (g_str_has_prefix (text, "TZ=") || g_str_has_prefix (text, "CRON_TZ="))
    rest = strchr (text, ' ') != NULL ? strchr (text, ' ') + 1 : "";
  if (*rest == '@')
    return check_macro (rest);
  g_auto (GStrv) words = g_strsplit_set (rest, " \t\n", -1);
  g_autoptr (GPtrArray) fields = g_ptr_array_new ();
  for (guint i = 0; words[i] != NULL; i++)
    if (*words[i] != '\0')
      g_ptr_array_add (fields, words[i]);
  if (fields->len != G_N_ELEMENTS (bounds))
    {
      guint n = fields->len;
      g_ptr_array_add (fields, NULL);
      g_autofree char *joined = g_strjoinv (" ", (char **) fields->pdata);
      return g_strdup_printf ("expected exactly 5 fields, found %u: [%s]", n, joined);
    }
  for (guint i = 0; i < fields->len; i++)
    {
      g_auto (GStrv) ranges = g_strsplit (fields->pdata[i], ",", -1);
      for (guint j = 0; ranges[j] != NULL; j++)
        {
          char *problem = *ranges[j] == '\0' ? NULL : check_range (ranges[j], &bounds[i]);
          if (problem != NULL)
            return problem;
        }
    }
  return NULL;
}
