/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to say a rule. */
#include "validate.h"
#include <arpa/inet.h>

void
cube_check_add (CubeFieldErrors *errors, const char *type, const CubePath *path, CubeView value, const char *format, ...)
{
  g_autofree char *detail = NULL, *text = cube_path_to_string (path);
  va_list args;
  va_start (args, format);
  detail = g_strdup_vprintf (format, args);
  va_end (args);
  cube_field_errors_add (errors, type, text, value, "%s", detail);
}

void
cube_check_add_text (CubeFieldErrors *errors, const char *type, const CubePath *path, const char *text, const char *format, ...)
{
  g_autofree char *detail = NULL, *where = cube_path_to_string (path);
  va_list args;
  va_start (args, format);
  detail = g_strdup_vprintf (format, args);
  va_end (args);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (CubeValue) value = cube_mut_to_value (cube_mut_new_string (builder, text, -1));
  cube_field_errors_add (errors, type, where, cube_value_root (value), "%s", detail);
}

gboolean
cube_is_empty (CubeView value)
{
  switch (cube_view_type (value))
    {
    case CUBE_VALUE_STRING: return cube_view_string_length (value) == 0;
    case CUBE_VALUE_ARRAY:
    case CUBE_VALUE_OBJECT: return cube_view_length (value) == 0;
    case CUBE_VALUE_NONE:
    case CUBE_VALUE_NULL: return TRUE;
    default: return FALSE;
    }
}

void
cube_check_required (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, const char *detail)
{
  if (cube_is_empty (cube_view_member (object, field)))
    cube_check_add (errors, "Required", &CUBE_AT (path, field), cube_view_none (), "%s", detail);
}

void
cube_check_name (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, CubeNameCheck check)
{
  CubeView value = cube_view_member (object, field);
  const char *text = cube_view_string (value), *why;
  if (text != NULL && *text != '\0' && (why = check (text)) != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, field), value, "%s", why);
}

void
cube_check_range (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field, gint64 min, gint64 max)
{
  CubeView value = cube_view_member (object, field);
  gint64 number = cube_view_int (value, min);
  if (number < min || number > max)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, field), value,
                    "must be between %" G_GINT64_FORMAT " and %" G_GINT64_FORMAT ", inclusive", min, max);
}

void
cube_check_not_negative (CubeFieldErrors *errors, const CubePath *path, CubeView object, const char *field)
{
  CubeView value = cube_view_member (object, field);
  if (cube_view_int (value, 0) < 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, field), value, "must be greater than or equal to 0");
}

void
cube_check_immutable (CubeFieldErrors *errors, const CubePath *path, CubeView object, CubeView old, const char *field, const char *detail)
{
  CubeView now = cube_view_member (object, field), before = cube_view_member (old, field);
  if (cube_view_equal (now, before) || (cube_is_empty (now) && cube_is_empty (before)))
    return;
  g_autoptr (CubeValue) null = cube_value_from_json ("null", -1, NULL, NULL);
  cube_check_add (errors, "Invalid", &CUBE_AT (path, field), cube_view_exists (now) ? now : cube_value_root (null), "%s", detail);
}

static gboolean
has_backstep (const char *text)
{
  for (const char *at = text; (at = strstr (at, "..")) != NULL; at += 2)
    if ((at == text || at[-1] == '/') && (at[2] == '\0' || at[2] == '/'))
      return TRUE;
  return FALSE;
}

void
cube_check_no_backsteps (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  if (has_backstep (cube_view_string_or (value, "")))
    cube_check_add (errors, "Invalid", path, value, "must not contain '..'");
}

void
cube_check_relative_path (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  const char *text = cube_view_string_or (value, "");
  if (*text == '/')
    cube_check_add (errors, "Invalid", path, value, "must be a relative path");
  cube_check_no_backsteps (errors, path, value);
}

int
cube_ip_family (const char *text)
{
  struct in6_addr address;
  if (text == NULL)
    return 0;
  return inet_pton (AF_INET, text, &address) == 1 ? 4 : inet_pton (AF_INET6, text, &address) == 1 ? 6 : 0;
}

int
cube_cidr_family (const char *text)
{
  char address[64];
  const char *slash = text == NULL ? NULL : strchr (text, '/');
  if (slash == NULL || (gsize) (slash - text) >= sizeof address || !g_ascii_isdigit (slash[1]) || (slash[1] == '0' && slash[2] != '\0'))
    return 0;
  memcpy (address, text, (gsize) (slash - text));
  address[slash - text] = '\0';
  char *end;
  guint64 bits = g_ascii_strtoull (slash + 1, &end, 10);
  int family = cube_ip_family (address);
  return *end != '\0' || bits > (family == 4 ? 32u : 128u) ? 0 : family;
}

void
cube_check_ip (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  if (cube_ip_family (cube_view_string_or (value, "")) == 0)
    cube_check_add (errors, "Invalid", path, value, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
}

void
cube_check_cidr (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  if (cube_cidr_family (cube_view_string_or (value, "")) == 0)
    cube_check_add (errors, "Invalid", path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

void
cube_check_port (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  if (cube_view_type (value) == CUBE_VALUE_STRING)
    {
      const char *why = cube_name_check_port_name (cube_view_string (value));
      if (why != NULL)
        cube_check_add (errors, "Invalid", path, value, "%s", why);
    }
  else if (cube_view_int (value, 0) < 1 || cube_view_int (value, 0) > 65535)
    {
      cube_check_add (errors, "Invalid", path, value, "must be between 1 and 65535, inclusive");
    }
}

gboolean
cube_check_unique (GHashTable **seen, const char *text)
{
  if (*seen == NULL)
    *seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  return g_hash_table_add (*seen, g_strdup (text));
}

const char *
cube_name_check_env_relaxed (const char *text)
{
  if (*text == '\0')
    return "environment variable name must be non-empty";
  for (; *text != '\0'; text++)
    if (*text < ' ' || *text > '~' || *text == '=')
      return "a valid environment variable name must consist only of printable ASCII characters other than '='";
  return NULL;
}

const char *
cube_name_check_header (const char *text)
{
  gboolean is_valid = *text != '\0';
  for (; *text != '\0'; text++)
    is_valid &= g_ascii_isalnum (*text) || *text == '-';
  return is_valid
             ? NULL
             : "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is "
               "'[-A-Za-z0-9]+')";
}

/* ---- labels ---- */

void
cube_check_labels (CubeFieldErrors *errors, const CubePath *path, CubeView labels)
{
  CubeIter it;
  const char *key, *why;
  CubeView v;
  for (cube_iter_init (&it, labels); cube_iter_next (&it, &key, &v);)
    {
      if (key != NULL && (why = cube_name_check_qualified (key)) != NULL)
        cube_check_add_text (errors, "Invalid", path, key, "%s", why);
      const char *text = cube_view_string (v);
      if (text != NULL && (why = cube_name_check_label_value (text)) != NULL)
        cube_check_add (errors, "Invalid", path, v, "%s", why);
    }
}

void
cube_check_annotations (CubeFieldErrors *errors, const CubePath *path, CubeView annotations)
{
  CubeIter it;
  const char *key, *why;
  CubeView v;
  gsize total = 0;
  for (cube_iter_init (&it, annotations); cube_iter_next (&it, &key, &v);)
    {
      g_autofree char *lower = g_ascii_strdown (key == NULL ? "" : key, -1);
      if ((why = cube_name_check_qualified (lower)) != NULL)
        cube_check_add_text (errors, "Invalid", path, lower, "%s", why);
      total += strlen (lower) + cube_view_string_length (v);
    }
  if (total > 262144)
    cube_check_add (errors, "TooLong", path, cube_view_none (), "may not be more than 262144 bytes");
}

static void
check_requirement (CubeFieldErrors *errors, const CubePath *path, CubeView requirement)
{
  CubeView operator= cube_view_member (requirement, "operator"), values = cube_view_member (requirement, "values"), v;
  const char *text = cube_view_string_or (operator, ""), *why;
  CubePath values_path = CUBE_AT (path, "values");
  if (strcmp (text, "In") == 0 || strcmp (text, "NotIn") == 0)
    {
      if (cube_view_length (values) == 0)
        cube_check_add (errors, "Required", &values_path, cube_view_none (), "must be specified when `operator` is 'In' or 'NotIn'");
    }
  else if (strcmp (text, "Exists") == 0 || strcmp (text, "DoesNotExist") == 0)
    {
      if (cube_view_length (values) > 0)
        cube_check_add (errors, "Forbidden", &values_path, cube_view_none (),
                        "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  else
    {
      cube_check_add (errors, "Invalid", &CUBE_AT (path, "operator"), operator, "not a valid selector operator");
    }
  CubeView key = cube_view_member (requirement, "key");
  if ((why = cube_name_check_qualified (cube_view_string_or (key, ""))) != NULL)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (path, "key"), cube_view_string_or (key, ""), "%s", why);
  CubeIter it;
  guint i = 0;
  for (cube_iter_init (&it, values); cube_iter_next (&it, NULL, &v); i++)
    if ((why = cube_name_check_label_value (cube_view_string_or (v, ""))) != NULL)
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&values_path, i), v, "%s", why);
}

void
cube_check_label_selector (CubeFieldErrors *errors, const CubePath *path, CubeView selector)
{
  CubeIter it;
  CubeView v;
  guint i = 0;
  cube_check_labels (errors, &CUBE_AT (path, "matchLabels"), cube_view_member (selector, "matchLabels"));
  CubePath list = CUBE_AT (path, "matchExpressions");
  for (cube_iter_init (&it, cube_view_member (selector, "matchExpressions")); cube_iter_next (&it, NULL, &v); i++)
    check_requirement (errors, &CUBE_AT_INDEX (&list, i), v);
}

/* ---- resources ---- */

static const char no_resource[] = "must be a standard resource type or fully qualified";

const char *
cube_check_resource_name (const char *name, gboolean container)
{
  static const char *const standard[] = { "cpu", "memory", "ephemeral-storage", NULL };
  static const char *const counted[] = { "cpu",
                                         "memory",
                                         "ephemeral-storage",
                                         "storage",
                                         "requests.cpu",
                                         "requests.memory",
                                         "requests.storage",
                                         "requests.ephemeral-storage",
                                         "limits.cpu",
                                         "limits.memory",
                                         "limits.ephemeral-storage",
                                         "pods",
                                         "resourcequotas",
                                         "services",
                                         "replicationcontrollers",
                                         "secrets",
                                         "configmaps",
                                         "persistentvolumeclaims",
                                         "services.nodeports",
                                         "services.loadbalancers",
                                         NULL };
  const char *why = cube_name_check_qualified (name);
  if (why != NULL)
    return why;
  if (strchr (name, '/') != NULL)
    {
      if (g_str_has_prefix (name, "requests.") && strstr (name, "kubernetes.io/") == NULL && container)
        return "doesn't follow extended resource name standard";
      return NULL;
    }
  if (g_strv_contains (standard, name) || g_str_has_prefix (name, "hugepages-"))
    return NULL;
  if (!g_strv_contains (counted, name) && !g_str_has_prefix (name, "requests.hugepages-"))
    return no_resource;
  return container ? "must be a standard resource for containers" : NULL;
}

static gboolean
is_whole_only (const char *name)
{
  return strchr (name, '/') != NULL && strstr (name, "kubernetes.io/") == NULL;
}

void
cube_check_resources (CubeFieldErrors *errors, const CubePath *path, CubeView resources, gboolean container)
{
  CubeIter it;
  const char *name, *why;
  CubeView v;
  for (cube_iter_init (&it, resources); cube_iter_next (&it, &name, &v);)
    {
      CubeQuantity quantity;
      CubePath at = CUBE_AT_KEY (path, name);
      if (name == NULL)
        return;
      if ((why = cube_check_resource_name (name, container)) != NULL)
        {
          cube_check_add_text (errors, "Invalid", &at, name, "%s", why);
          if (container && strcmp (why, no_resource) == 0)
            cube_check_add_text (errors, "Invalid", &at, name, "must be a standard resource for containers");
        }
      if (!cube_quantity_from_view (v, &quantity))
        continue;
      if (quantity.mantissa < 0)
        cube_check_add (errors, "Invalid", &at, v, "must be greater than or equal to 0");
      if (is_whole_only (name) && quantity.scale < 0)
        {
          CubeQuantity whole;
          cube_quantity_set_int (&whole, cube_quantity_value (&quantity), 0, CUBE_QUANTITY_DECIMAL_SI);
          if (cube_quantity_compare (&whole, &quantity) != 0)
            cube_check_add (errors, "Invalid", &at, v, "must be an integer");
        }
    }
}
