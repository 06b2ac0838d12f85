/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of custom objects against their openAPIV3Schema. Texts follow go-openapi's, as Kubernetes prints them.
 * Rules in CEL (x-kubernetes-validations) are not judged here. */
#include "crd.h"
#include "crd-format.h"
#include <math.h>

#define MAX_DEPTH 128u

typedef struct {
  CubeCustom *custom;
  CubeFieldErrors *errors; /* NULL: only whether it is valid is asked */
  guint n_errors;
} Validator;

GRegex *
cube_crd_pattern (CubeCustom *custom, const char *pattern)
{
  gpointer regex;
  g_mutex_lock (&custom->lock);
  if (custom->patterns == NULL)
    custom->patterns = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  if (!g_hash_table_lookup_extended (custom->patterns, pattern, NULL, &regex))
    {
      regex = g_regex_new (pattern, G_REGEX_OPTIMIZE | G_REGEX_DOLLAR_ENDONLY, 0, NULL);
      g_hash_table_insert (custom->patterns, g_strdup (pattern), regex);
    }
  g_mutex_unlock (&custom->lock);
  return regex;
}

static void report (Validator *validator, const char *type, const CubePath *path, CubeView value, const char *format, ...)
    G_GNUC_PRINTF (5, 6);

/* A %p-less printf whose text may start with the path: "@ in body …" has @ replaced. */
static void
report (Validator *validator, const char *type, const CubePath *path, CubeView value, const char *format, ...)
{
  validator->n_errors++;
  if (validator->errors == NULL)
    return;
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *place = cube_path_to_string (path);
  if (text[0] == '@')
    cube_field_errors_add (validator->errors, type, place, value, "%s%s", place, text + 1);
  else
    cube_field_errors_add (validator->errors, type, place, value, "%s", text);
}

static void
report_type (Validator *validator, const CubePath *path, CubeView value, const char *wanted)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  const char *have = cube_value_type_name (cube_view_type (value));
  g_autoptr (CubeValue) name = cube_mut_to_value (cube_mut_new_string (builder, have, -1));
  report (validator, "TypeInvalid", path, cube_value_root (name), "@ in body must be of type %s: \"%s\"", wanted, have);
}

/* @old: the value at the same place of the stored object, NONE without one: what did not change is not judged again. */
static void validate (Validator *validator, CubeView schema, CubeView value, CubeView old, const CubePath *path, guint depth,
                      gboolean is_root);

/* ---- scalars ---- */

static gboolean
has_type (CubeView value, const char *type)
{
  CubeValueType have = cube_view_type (value);
  if (strcmp (type, "string") == 0)
    return have == CUBE_VALUE_STRING;
  if (strcmp (type, "boolean") == 0)
    return have == CUBE_VALUE_BOOL;
  if (strcmp (type, "integer") == 0)
    return have == CUBE_VALUE_INT || (have == CUBE_VALUE_DOUBLE && trunc (cube_view_double (value, 0)) == cube_view_double (value, 0));
  if (strcmp (type, "number") == 0)
    return have == CUBE_VALUE_INT || have == CUBE_VALUE_DOUBLE;
  if (strcmp (type, "array") == 0)
    return have == CUBE_VALUE_ARRAY;
  return strcmp (type, "object") != 0 || have == CUBE_VALUE_OBJECT;
}

static gboolean
check_type (Validator *validator, CubeView schema, CubeView value, const CubePath *path)
{
  const char *type = cube_view_get_string (schema, "type");
  if (cube_view_get_bool (schema, FALSE, "x-kubernetes-int-or-string"))
    {
      if (has_type (value, "integer") || has_type (value, "string"))
        return TRUE;
      report_type (validator, path, value, "integer,string");
      return FALSE;
    }
  if (type == NULL || has_type (value, type))
    return TRUE;
  report_type (validator, path, value, type);
  return FALSE;
}

static void
check_enum (Validator *validator, CubeView schema, CubeView value, const CubePath *path)
{
  CubeView list = cube_view_member (schema, "enum");
  if (cube_view_type (list) != CUBE_VALUE_ARRAY)
    return;
  g_autoptr (GString) text = g_string_new ("supported values: ");
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    {
      if (cube_view_equal (v, value))
        return;
      if (text->str[text->len - 1] == '"')
        g_string_append (text, ", ");
      g_autofree char *plain = cube_view_type (v) == CUBE_VALUE_STRING ? g_strdup (cube_view_string (v)) : cube_view_to_json (v, NULL);
      cube_json_append_string (text, plain, -1);
    }
  report (validator, "NotSupported", path, value, "%s", text->str);
}

static void
check_number (Validator *validator, CubeView schema, CubeView value, const CubePath *path)
{
  CubeView minimum = cube_view_member (schema, "minimum"), maximum = cube_view_member (schema, "maximum");
  CubeView multiple = cube_view_member (schema, "multipleOf");
  double number = cube_view_double (value, 0);
  char text[G_ASCII_DTOSTR_BUF_SIZE];
  if (cube_view_exists (maximum))
    {
      gboolean exclusive = cube_view_get_bool (schema, FALSE, "exclusiveMaximum");
      double limit = cube_view_double (maximum, 0);
      if (exclusive ? number >= limit : number > limit)
        report (validator, "Invalid", path, value, "@ in body should be less than %s%s", exclusive ? "" : "or equal to ",
                g_ascii_formatd (text, sizeof text, "%.15g", limit));
    }
  if (cube_view_exists (minimum))
    {
      gboolean exclusive = cube_view_get_bool (schema, FALSE, "exclusiveMinimum");
      double limit = cube_view_double (minimum, 0);
      if (exclusive ? number <= limit : number < limit)
        report (validator, "Invalid", path, value, "@ in body should be greater than %s%s", exclusive ? "" : "or equal to ",
                g_ascii_formatd (text, sizeof text, "%.15g", limit));
    }
  double step = cube_view_double (multiple, 0);
  if (step > 0 && fabs (number / step - round (number / step)) > 1e-9)
    report (validator, "Invalid", path, value, "@ in body should be a multiple of %s", g_ascii_formatd (text, sizeof text, "%.15g", step));
  const char *format = cube_view_get_string (schema, "format");
  if (g_strcmp0 (format, "int32") == 0 && (number < G_MININT32 || number > G_MAXINT32))
    report (validator, "Invalid", path, value, "@ in body must be of type int32: \"%s\"",
            g_ascii_formatd (text, sizeof text, "%.15g", number));
}

static void
check_string (Validator *validator, CubeView schema, CubeView value, const CubePath *path)
{
  const char *text = cube_view_string (value), *pattern = cube_view_get_string (schema, "pattern");
  const char *format = cube_view_get_string (schema, "format");
  gint64 min = cube_view_get_int (schema, -1, "minLength"), max = cube_view_get_int (schema, -1, "maxLength");
  glong length = min >= 0 || max >= 0 ? g_utf8_strlen (text, -1) : 0;
  if (max >= 0 && length > max)
    report (validator, "TooLong", path, value, "may not be more than %" G_GINT64_FORMAT " bytes", max);
  if (min >= 0 && length < min)
    report (validator, "Invalid", path, value, "@ in body should be at least %" G_GINT64_FORMAT " chars long", min);
  GRegex *regex = pattern == NULL ? NULL : cube_crd_pattern (validator->custom, pattern);
  if (regex != NULL && !g_regex_match (regex, text, 0, NULL))
    report (validator, "Invalid", path, value, "@ in body should match '%s'", pattern);
  if (format != NULL && !cube_crd_format_matches (format, text))
    {
      g_autoptr (GString) quoted = g_string_new (NULL);
      cube_json_append_string (quoted, text, -1);
      report (validator, "Invalid", path, value, "@ in body must be of type %s: %s", format, quoted->str);
    }
}

/* ---- containers ---- */

static int
compare_hash (gconstpointer a, gconstpointer b)
{
  guint64 x = *(const guint64 *) a, y = *(const guint64 *) b;
  return x < y ? -1 : x > y;
}

/* By hashes first, so that a long list costs no more than sorting it. */
static gboolean
has_duplicates (CubeView array)
{
  g_autoptr (GArray) hashes = g_array_new (FALSE, FALSE, sizeof (guint64));
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &v);)
    {
      guint64 hash = cube_view_hash (v, 1);
      g_array_append_val (hashes, hash);
    }
  g_array_sort (hashes, compare_hash);
  for (guint i = 1; i < hashes->len; i++)
    if (g_array_index (hashes, guint64, i) == g_array_index (hashes, guint64, i - 1))
      return TRUE;
  return FALSE;
}

/* Lists of type set and map: no element, no key twice. */
static void
check_list_type (Validator *validator, CubeView schema, CubeView value, const CubePath *path)
{
  const char *type = cube_view_get_string (schema, "x-kubernetes-list-type");
  CubeView keys = cube_view_member (schema, "x-kubernetes-list-map-keys");
  gboolean is_map = g_strcmp0 (type, "map") == 0;
  if (!is_map && g_strcmp0 (type, "set") != 0)
    return;
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  CubePath child = { path, NULL, 0, FALSE };
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v); child.index++)
    {
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      for (guint k = 0; is_map && k < cube_view_length (keys); k++)
        {
          const char *key = cube_view_string_or (cube_view_element (keys, k), "");
          cube_mut_set_view (cube_builder_root (builder), key, cube_view_member (v, key));
        }
      g_autoptr (CubeValue) key_value = cube_builder_end (builder);
      CubeView key = is_map ? cube_value_root (key_value) : v;
      if (!g_hash_table_add (seen, cube_view_to_json (key, NULL)))
        report (validator, "Duplicate", &child, key, "%s", "");
    }
}

/* The element of the old list with the same keys; only lists of type map keep track of their elements. */
static CubeView
old_element (CubeView schema, CubeView old, CubeView element)
{
  CubeView keys = cube_view_member (schema, "x-kubernetes-list-map-keys");
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, old); cube_view_length (keys) > 0 && cube_iter_next (&it, NULL, &v);)
    {
      gboolean same = TRUE;
      for (guint i = 0; i < cube_view_length (keys) && same; i++)
        {
          const char *key = cube_view_string_or (cube_view_element (keys, i), "");
          same = cube_view_equal (cube_view_member (v, key), cube_view_member (element, key));
        }
      if (same)
        return v;
    }
  return cube_view_none ();
}

static void
check_array (Validator *validator, CubeView schema, CubeView value, CubeView old, const CubePath *path, guint depth)
{
  CubeView items = cube_view_member (schema, "items");
  gint64 n = cube_view_length (value), min = cube_view_get_int (schema, -1, "minItems"), max = cube_view_get_int (schema, -1, "maxItems");
  if (max >= 0 && n > max)
    {
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      g_autoptr (CubeValue) count = cube_mut_to_value (cube_mut_new_int (builder, n));
      report (validator, "TooMany", path, cube_value_root (count), "must have at most %" G_GINT64_FORMAT " item%s", max,
              max == 1 ? "" : "s");
    }
  if (min >= 0 && n < min)
    report (validator, "Invalid", path, value, "@ in body should have at least %" G_GINT64_FORMAT " items", min);
  if (cube_view_get_bool (schema, FALSE, "uniqueItems") && has_duplicates (value))
    report (validator, "Invalid", path, value, "@ in body shouldn't contain duplicates");
  check_list_type (validator, schema, value, path);
  CubePath child = { path, NULL, 0, FALSE };
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, value); cube_view_exists (items) && cube_iter_next (&it, NULL, &v); child.index++)
    validate (validator, items, v, old_element (schema, old, v), &child, depth + 1, FALSE);
}

static void
check_object (Validator *validator, CubeView schema, CubeView value, CubeView old, const CubePath *path, guint depth, gboolean is_root)
{
  CubeView properties = cube_view_member (schema, "properties"), additional = cube_view_member (schema, "additionalProperties");
  CubeView required = cube_view_member (schema, "required");
  gint64 n = cube_view_length (value), min = cube_view_get_int (schema, -1, "minProperties"),
         max = cube_view_get_int (schema, -1, "maxProperties");
  if (max >= 0 && n > max)
    {
      g_autoptr (CubeBuilder) builder = cube_builder_new ();
      g_autoptr (CubeValue) count = cube_mut_to_value (cube_mut_new_int (builder, n));
      report (validator, "TooMany", path, cube_value_root (count), "must have at most %" G_GINT64_FORMAT " item%s", max,
              max == 1 ? "" : "s");
    }
  if (min >= 0 && n < min)
    report (validator, "Invalid", path, value, "@ in body should have at least %" G_GINT64_FORMAT " properties", min);
  for (guint i = 0; i < cube_view_length (required); i++)
    {
      CubePath child = { path, cube_view_string (cube_view_element (required, i)), 0, FALSE };
      if (child.name != NULL && !cube_view_exists (cube_view_member (value, child.name)))
        report (validator, "Required", &child, cube_view_none (), "%s", "");
    }
  CubeIter it;
  CubeView v;
  CubePath child = { path, NULL, 0, FALSE };
  for (cube_iter_init (&it, value); cube_iter_next (&it, &child.name, &v);)
    {
      if (is_root && (strcmp (child.name, "metadata") == 0 || strcmp (child.name, "apiVersion") == 0 || strcmp (child.name, "kind") == 0))
        continue;
      CubeView property = cube_view_member (properties, child.name);
      if (!cube_view_exists (property) && cube_view_type (additional) == CUBE_VALUE_OBJECT)
        property = additional;
      if (cube_view_exists (property))
        validate (validator, property, v, cube_view_member (old, child.name), &child, depth + 1, FALSE);
    }
}

/* ---- allOf, anyOf, oneOf, not ---- */

static guint
count_valid (Validator *validator, CubeView list, CubeView value, const CubePath *path, guint depth)
{
  guint valid = 0;
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v);)
    {
      Validator probe = { validator->custom, NULL, 0 };
      validate (&probe, v, value, cube_view_none (), path, depth + 1, FALSE);
      valid += probe.n_errors == 0 ? 1 : 0;
    }
  return valid;
}

static void
check_combinations (Validator *validator, CubeView schema, CubeView value, const CubePath *path, guint depth)
{
  CubeView all = cube_view_member (schema, "allOf"), any = cube_view_member (schema, "anyOf"), one = cube_view_member (schema, "oneOf");
  CubeView not = cube_view_member (schema, "not");
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, all); cube_iter_next (&it, NULL, &v);)
    validate (validator, v, value, cube_view_none (), path, depth + 1, FALSE);
  if (cube_view_length (any) > 0 && count_valid (validator, any, value, path, depth) == 0)
    report (validator, "Invalid", path, value, "@ in body must validate at least one schema (anyOf)");
  if (cube_view_length (one) > 0)
    {
      guint valid = count_valid (validator, one, value, path, depth);
      if (valid == 0)
        report (validator, "Invalid", path, value, "@ in body must validate one and only one schema (oneOf). Found none valid");
      else if (valid > 1)
        report (validator, "Invalid", path, value, "@ in body must validate one and only one schema (oneOf). Found %u valid alternatives",
                valid);
    }
  if (cube_view_exists (not ))
    {
      Validator probe = { validator->custom, NULL, 0 };
      validate (&probe, not, value, cube_view_none (), path, depth + 1, FALSE);
      if (probe.n_errors == 0)
        report (validator, "Invalid", path, value, "@ in body must not validate the schema (not)");
    }
}

static void
validate (Validator *validator, CubeView schema, CubeView value, CubeView old, const CubePath *path, guint depth, gboolean is_root)
{
  if (depth > MAX_DEPTH || (cube_view_exists (old) && cube_view_equal (value, old)))
    return;
  if (cube_view_type (value) == CUBE_VALUE_NULL)
    {
      if (!cube_view_get_bool (schema, FALSE, "nullable") && cube_view_get_string (schema, "type") != NULL)
        report_type (validator, path, value, cube_view_get_string (schema, "type"));
      return;
    }
  if (!check_type (validator, schema, value, path))
    return;
  check_enum (validator, schema, value, path);
  switch (cube_view_type (value))
    {
    case CUBE_VALUE_INT:
    case CUBE_VALUE_DOUBLE: check_number (validator, schema, value, path); break;
    case CUBE_VALUE_STRING: check_string (validator, schema, value, path); break;
    case CUBE_VALUE_ARRAY: check_array (validator, schema, value, old, path, depth); break;
    case CUBE_VALUE_OBJECT: check_object (validator, schema, value, old, path, depth, is_root); break;
    default: break;
    }
  check_combinations (validator, schema, value, path, depth);
}

void
cube_crd_validate (const CubeResource *resource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeCustom *custom = cube_resource_type (resource)->custom;
  if (custom == NULL || custom->schema == NULL)
    return;
  Validator validator = { custom, errors, 0 };
  validate (&validator, cube_value_root (custom->schema), object, old, NULL, 0, TRUE);
}
