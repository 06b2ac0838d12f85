/* SPDX-License-Identifier: Apache-2.0 */
/* More short ways to say a rule. */
#include "validate-more.h"

static char *
supported (const char *const *values)
{
  GString *out = g_string_new ("supported values: ");
  for (guint i = 0; values[i] != NULL; i++)
    g_string_append_printf (out, "%s\"%s\"", i > 0 ? ", " : "", values[i]);
  return g_string_free (out, FALSE);
}

void
cube_check_one_of (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, const char *const *values)
{
  CubeView value = cube_view_member (object, field);
  const char *text = cube_view_string_or (value, "");
  if (*text == '\0' || g_strv_contains (values, text))
    return;
  g_autofree char *detail = supported (values);
  cube_check_add (errors, "NotSupported", &CUBE_AT (path, field), value, "%s", detail);
}

void
cube_check_each_of (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, const char *const *values,
                    gboolean plain)
{
  CubePath at = CUBE_AT (path, field);
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (object, field)); cube_iter_next (&it, NULL, &v); i++)
    if (!g_strv_contains (values, cube_view_string_or (v, "")))
      {
        g_autofree char *detail = supported (values);
        cube_check_add (errors, "NotSupported", plain ? &at : &CUBE_AT_INDEX (&at, i), v, "%s", detail);
      }
}

void
cube_check_bytes (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gsize most)
{
  if (cube_view_string_length (cube_view_member (object, field)) > most)
    cube_check_add (errors, "TooLong", &CUBE_AT (path, field), cube_view_none (), "may not be more than %" G_GSIZE_FORMAT " bytes", most);
}

void
cube_check_count (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, guint most)
{
  guint n = cube_view_length (cube_view_member (object, field));
  if (n <= most)
    return;
  char number[16];
  g_snprintf (number, sizeof number, "%u", n);
  g_autoptr (CubeValue) shown = cube_value_from_json (number, -1, NULL, NULL);
  cube_check_add (errors, "TooMany", &CUBE_AT (path, field), cube_value_root (shown), "must have at most %u items", most);
}

void
cube_check_least (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gint64 min, const char *detail)
{
  CubeView value = cube_view_member (object, field);
  if (cube_view_exists (value) && cube_view_int (value, min) < min)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, field), value, "%s", detail);
}

void
cube_check_most (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gint64 max, const char *detail)
{
  CubeView value = cube_view_member (object, field);
  if (cube_view_exists (value) && cube_view_int (value, max) > max)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, field), value, "%s", detail);
}

void
cube_check_forbidden (CubeFieldErrors *errors, const CubePath *path, const char *detail)
{
  cube_check_add (errors, "Forbidden", path, cube_view_none (), "%s", detail);
}

void
cube_check_add_null (CubeFieldErrors *errors, const char *type, const CubePath *path, const char *detail)
{
  g_autoptr (CubeValue) null = cube_value_from_json ("null", -1, NULL, NULL);
  cube_check_add (errors, type, path, cube_value_root (null), "%s", detail);
}

void
cube_check_distinct (CubeFieldErrors *errors, const CubePath *path, CubeView list)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); i++)
    if (!cube_check_unique (&seen, cube_view_string_or (v, "")))
      cube_check_add (errors, "Duplicate", &CUBE_AT_INDEX (path, i), v, "%s", "");
}

gboolean
cube_list_has (CubeView list, const char *text)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_string (v), text) == 0)
      return TRUE;
  return FALSE;
}

/* ---- names ---- */

const char *
cube_name_check_lower_subdomain (const char *text)
{
  g_autofree char *lower = g_ascii_strdown (text, -1);
  return cube_name_check_dns1123_subdomain (lower);
}

const char *
cube_name_check_domain_path (const char *text)
{
  const char *slash = strchr (text, '/');
  if (slash == NULL || slash == text || slash[1] == '\0')
    return "must be a domain-prefixed path (such as \"acme.io/foo\")";
  g_autofree char *host = g_strndup (text, (gsize) (slash - text));
  const char *why = cube_name_check_dns1123_subdomain (host);
  if (why != NULL)
    return why;
  for (const char *at = slash + 1; *at != '\0'; at++)
    if (!g_ascii_isalnum (*at) && strchr ("/-._~%!$&'()*+,;=:", *at) == NULL)
      return "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
  return NULL;
}

static guint
count_dots (const char *text)
{
  guint n = 0;
  for (; *text != '\0'; text++)
    n += *text == '.';
  return n;
}

const char *
cube_name_check_three_segments (const char *text)
{
  const char *why = cube_name_check_dns1123_subdomain (text);
  return why != NULL ? why : count_dots (text) < 2 ? "should be a domain with at least three segments separated by dots" : NULL;
}

const char *
cube_name_check_two_segments (const char *text)
{
  g_autofree char *plain = g_strdup (text);
  gsize length = strlen (plain);
  if (length > 0 && plain[length - 1] == '.')
    plain[length - 1] = '\0';
  const char *why = cube_name_check_dns1123_subdomain (plain);
  if (why != NULL)
    return why;
  if (count_dots (plain) < 1)
    return "should be a domain with at least two segments separated by dots";
  g_auto (GStrv) labels = g_strsplit (plain, ".", -1);
  for (guint i = 0; labels[i] != NULL; i++)
    if ((why = cube_name_check_dns1123_label (labels[i])) != NULL)
      return why;
  return NULL;
}

void
cube_check_driver_name (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field)
{
  cube_check_bytes (errors, path, object, field, 63);
  cube_check_name (errors, path, object, field, cube_name_check_lower_subdomain);
}

/* ---- addresses of load balancers ---- */

void
cube_check_balancer_status (CubeFieldErrors *errors, const CubePath *path, CubeView balancer, gboolean modes)
{
  static const char *const known[] = { "Proxy", "VIP", NULL };
  CubePath list = CUBE_AT (path, "ingress");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (balancer, "ingress")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView ip = cube_view_member (v, "ip"), host = cube_view_member (v, "hostname"), mode = cube_view_member (v, "ipMode");
      if (!cube_is_empty (ip))
        cube_check_ip (errors, &CUBE_AT (&at, "ip"), ip);
      if (modes && !cube_is_empty (ip) && !cube_view_exists (mode))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "ipMode"), cube_view_none (), "must be specified when `ip` is set");
      else if (modes && cube_is_empty (ip) && cube_view_exists (mode))
        cube_check_forbidden (errors, &CUBE_AT (&at, "ipMode"), "may not be specified when `ip` is not set");
      else if (modes)
        cube_check_one_of (errors, &at, v, "ipMode", known);
      cube_check_name (errors, &at, v, "hostname", cube_name_check_dns1123_subdomain);
      if (cube_ip_family (cube_view_string (host)) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "hostname"), host, "must be a DNS name, not an IP address");
    }
}

/* ---- conditions ---- */

/* A letter, then letters, digits, "_,:"; the last is a letter, a digit or "_". */
static gboolean
is_reason (const char *text)
{
  char last = *text;
  if (!g_ascii_isalpha (*text))
    return FALSE;
  for (; *text != '\0'; last = *text++)
    if (!g_ascii_isalnum (*text) && strchr ("_,:", *text) == NULL)
      return FALSE;
  return g_ascii_isalnum (last) || last == '_';
}

static void
check_condition (CubeFieldErrors *errors, const CubePath *at, CubeView condition)
{
  static const char *const states[] = { "False", "True", "Unknown", NULL };
  const char *type = cube_view_string_or (cube_view_member (condition, "type"), ""), *why = cube_name_check_qualified (type);
  CubeView reason = cube_view_member (condition, "reason");
  if (why != NULL)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (at, "type"), type, "%s", why);
  cube_check_one_of (errors, at, condition, "status", states);
  cube_check_least (errors, at, condition, "observedGeneration", 0, "must be greater than or equal to zero");
  cube_check_required (errors, at, condition, "lastTransitionTime", "");
  cube_check_required (errors, at, condition, "reason", "");
  if (!cube_is_empty (reason) && !is_reason (cube_view_string_or (reason, "")))
    cube_check_add (
        errors, "Invalid", &CUBE_AT (at, "reason"), reason,
        "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or "
        "'_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or "
        "'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')");
  cube_check_bytes (errors, at, condition, "reason", 1024);
  cube_check_bytes (errors, at, condition, "message", 32768);
}

void
cube_check_conditions (CubeFieldErrors *errors, const CubePath *path, CubeView conditions)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, conditions); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView type = cube_view_member (v, "type");
      if (!cube_check_unique (&seen, cube_view_string_or (type, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "type"), type, "%s", "");
      check_condition (errors, &at, v);
    }
}
