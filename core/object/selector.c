/* SPDX-License-Identifier: Apache-2.0 */
/* Selectors: requirements sorted by key, all of which must hold. */
#include "selector-private.h"
#include "tape.h"
#include <cube/error.h>
#include <cube/scalar.h>

static const char *const op_names[] = { "=", "!=", "in", "notin", "exists", "!", "gt", "lt" };

static void
requirement_free (gpointer data)
{
  CubeRequirement *requirement = data;
  g_free (requirement->key);
  g_strfreev (requirement->values);
  g_free (requirement);
}

CubeSelector *
cube_selector_new (gboolean is_nothing)
{
  CubeSelector *selector = g_new0 (CubeSelector, 1);
  g_atomic_ref_count_init (&selector->refs);
  selector->requirements = g_ptr_array_new_with_free_func (requirement_free);
  selector->is_nothing = is_nothing;
  return selector;
}

CubeSelector *
cube_selector_ref (CubeSelector *selector)
{
  g_return_val_if_fail (selector != NULL, NULL);
  g_atomic_ref_count_inc (&selector->refs);
  return selector;
}

void
cube_selector_unref (CubeSelector *selector)
{
  if (selector == NULL || !g_atomic_ref_count_dec (&selector->refs))
    return;
  g_ptr_array_unref (selector->requirements);
  g_free (selector);
}

static int
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

CubeRequirement *
cube_requirement_new (char *key, CubeSelectorOp op, GPtrArray *values)
{
  CubeRequirement *requirement = g_new0 (CubeRequirement, 1);
  requirement->key = key;
  requirement->op = op;
  guint n = values != NULL ? values->len : 0, kept = 0;
  requirement->values = g_new0 (char *, n + 1);
  if (values == NULL)
    return requirement;
  g_ptr_array_sort (values, compare_text);
  for (guint i = 0; i < n; i++)
    {
      char *text = values->pdata[i];
      if (kept == 0 || strcmp (requirement->values[kept - 1], text) != 0)
        requirement->values[kept++] = g_strdup (text);
    }
  requirement->n_values = kept;
  if (op == CUBE_SELECTOR_GT || op == CUBE_SELECTOR_LT)
    requirement->number = g_ascii_strtoll (requirement->values[0], NULL, 10);
  return requirement;
}

static int
compare_requirements (gconstpointer a, gconstpointer b)
{
  const CubeRequirement *x = *(CubeRequirement *const *) a, *y = *(CubeRequirement *const *) b;
  int order = strcmp (x->key, y->key);
  return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

void
cube_selector_add (CubeSelector *selector, CubeRequirement *requirement)
{
  requirement->order = selector->requirements->len;
  g_ptr_array_add (selector->requirements, requirement);
}

void
cube_selector_sort (CubeSelector *selector)
{
  g_ptr_array_sort (selector->requirements, compare_requirements);
}

/* ---- from objects ---- */

static void
add_equals (CubeSelector *selector, const char *key, const char *value)
{
  g_autoptr (GPtrArray) values = g_ptr_array_new ();
  g_ptr_array_add (values, (gpointer) value);
  cube_selector_add (selector, cube_requirement_new (g_strdup (key), CUBE_SELECTOR_EQUALS, values));
}

CubeSelector *
cube_selector_from_map (CubeView map)
{
  CubeSelector *selector = cube_selector_new (cube_view_length (map) == 0);
  CubeIter iter;
  const char *key;
  CubeView value;
  for (cube_iter_init (&iter, map); cube_iter_next (&iter, &key, &value);)
    if (key != NULL)
      add_equals (selector, key, cube_view_string_or (value, ""));
  cube_selector_sort (selector);
  return selector;
}

static gboolean bad (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
bad (GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, message);
  return FALSE;
}

static gboolean
add_match_label (CubeSelector *selector, const char *key, CubeView value, GError **error)
{
  const char *text = cube_view_string (value), *problem = cube_name_check_qualified (key);
  if (problem != NULL)
    return bad (error, "key: Invalid value: \"%s\": %s", key, problem);
  if (text == NULL)
    return bad (error, "values[0][%s]: Invalid value: must be a string, found %s", key, cube_value_type_name (cube_view_type (value)));
  problem = cube_name_check_label_value (text);
  if (problem != NULL)
    return bad (error, "values[0][%s]: Invalid value: \"%s\": %s", key, text, problem);
  add_equals (selector, key, text);
  return TRUE;
}

static gboolean
add_expression (CubeSelector *selector, CubeView expression, GError **error)
{
  static const struct {
    const char *name;
    CubeSelectorOp op;
  } ops[] = { { "In", CUBE_SELECTOR_IN },
              { "NotIn", CUBE_SELECTOR_NOT_IN },
              { "Exists", CUBE_SELECTOR_EXISTS },
              { "DoesNotExist", CUBE_SELECTOR_ABSENT } };
  const char *key = cube_view_string_or (cube_view_member (expression, "key"), ""), *problem = cube_name_check_qualified (key);
  const char *op = cube_view_string_or (cube_view_member (expression, "operator"), "");
  CubeView values = cube_view_member (expression, "values"), value;
  g_autoptr (GPtrArray) texts = g_ptr_array_new ();
  CubeIter iter;
  guint i = 0;
  while (i < G_N_ELEMENTS (ops) && !g_str_equal (ops[i].name, op))
    i++;
  if (i == G_N_ELEMENTS (ops))
    return bad (error, "\"%s\" is not a valid label selector operator", op);
  if (problem != NULL)
    return bad (error, "key: Invalid value: \"%s\": %s", key, problem);
  for (cube_iter_init (&iter, values); cube_iter_next (&iter, NULL, &value);)
    {
      const char *text = cube_view_string_or (value, "");
      problem = cube_name_check_label_value (text);
      if (problem != NULL)
        return bad (error, "values[%u][%s]: Invalid value: \"%s\": %s", texts->len, key, text, problem);
      g_ptr_array_add (texts, (gpointer) text);
    }
  if (i < 2 && texts->len == 0)
    return bad (error, "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty");
  if (i >= 2 && texts->len > 0)
    return bad (error, "values: Invalid value: values set must be empty for exists and does not exist");
  cube_selector_add (selector, cube_requirement_new (g_strdup (key), ops[i].op, texts));
  return TRUE;
}

CubeSelector *
cube_selector_from_view (CubeView label_selector, GError **error)
{
  CubeValueType type = cube_view_type (label_selector);
  if (type == CUBE_VALUE_NONE || type == CUBE_VALUE_NULL)
    return cube_selector_new (TRUE);
  g_autoptr (CubeSelector) selector = cube_selector_new (FALSE);
  CubeView entries = cube_view_member (label_selector, "matchLabels"), entry;
  CubeIter iter;
  const char *key;
  for (cube_iter_init (&iter, entries); cube_iter_next (&iter, &key, &entry);)
    if (key != NULL && !add_match_label (selector, key, entry, error))
      return NULL;
  entries = cube_view_member (label_selector, "matchExpressions");
  for (cube_iter_init (&iter, entries); cube_iter_next (&iter, NULL, &entry);)
    if (!add_expression (selector, entry, error))
      return NULL;
  cube_selector_sort (selector);
  return g_steal_pointer (&selector);
}

/* ---- matching ---- */

static gboolean
has_value (const CubeRequirement *requirement, const char *text)
{
  guint low = 0, high = requirement->n_values;
  while (low < high)
    {
      guint middle = (low + high) / 2;
      int order = strcmp (requirement->values[middle], text);
      if (order == 0)
        return TRUE;
      if (order < 0)
        low = middle + 1;
      else
        high = middle;
    }
  return FALSE;
}

/* @text NULL: the key is not there. */
static gboolean
requirement_matches (const CubeRequirement *requirement, const char *text)
{
  gint64 number;
  switch (requirement->op)
    {
    case CUBE_SELECTOR_EQUALS:
    case CUBE_SELECTOR_IN: return text != NULL && has_value (requirement, text);
    case CUBE_SELECTOR_NOT_EQUALS:
    case CUBE_SELECTOR_NOT_IN: return text == NULL || !has_value (requirement, text);
    case CUBE_SELECTOR_EXISTS: return text != NULL;
    case CUBE_SELECTOR_ABSENT: return text == NULL;
    default:
      if (text == NULL || !g_ascii_string_to_signed (text, 10, G_MININT64, G_MAXINT64, &number, NULL))
        return FALSE;
      return requirement->op == CUBE_SELECTOR_GT ? number > requirement->number : number < requirement->number;
    }
}

gboolean
cube_selector_is_everything (const CubeSelector *selector)
{
  return selector == NULL || (!selector->is_nothing && selector->requirements->len == 0);
}

gboolean
cube_selector_is_empty_set (const CubeSelector *selector)
{
  return selector != NULL && selector->is_nothing;
}

typedef const char *(*Lookup) (const char *key, gpointer data);

static gboolean
matches (const CubeSelector *selector, Lookup lookup, gpointer data)
{
  if (selector == NULL)
    return TRUE;
  if (selector->is_nothing)
    return FALSE;
  for (guint i = 0; i < selector->requirements->len; i++)
    {
      const CubeRequirement *requirement = selector->requirements->pdata[i];
      if (!requirement_matches (requirement, lookup (requirement->key, data)))
        return FALSE;
    }
  return TRUE;
}

static const char *
object_lookup (const char *key, gpointer data)
{
  return cube_object_label (data, key);
}

gboolean
cube_selector_matches_object (const CubeSelector *selector, const CubeObject *object)
{
  return matches (selector, object_lookup, (gpointer) object);
}

static const char *
map_lookup (const char *key, gpointer data)
{
  return cube_view_string (cube_view_member (*(CubeView *) data, key));
}

gboolean
cube_selector_matches_labels (const CubeSelector *selector, CubeView map)
{
  return matches (selector, map_lookup, &map);
}

typedef struct {
  CubeFieldGetter get;
  gpointer data;
} FieldLookup;

static const char *
field_lookup (const char *key, gpointer data)
{
  FieldLookup *lookup = data;
  const char *text = lookup->get (key, lookup->data);
  return text != NULL ? text : "";
}

gboolean
cube_selector_matches_fields (const CubeSelector *selector, CubeFieldGetter get, gpointer data)
{
  FieldLookup lookup = { get, data };
  return matches (selector, field_lookup, &lookup);
}

/* ---- looking inside ---- */

gboolean
cube_selector_visit (const CubeSelector *selector, CubeRequirementVisit visit, gpointer data)
{
  for (guint i = 0; selector != NULL && i < selector->requirements->len; i++)
    {
      const CubeRequirement *requirement = selector->requirements->pdata[i];
      if (!visit (requirement->key, op_names[requirement->op], (const char *const *) requirement->values, data))
        return FALSE;
    }
  return TRUE;
}

const char *
cube_selector_requires (const CubeSelector *selector, const char *key)
{
  for (guint i = 0; selector != NULL && i < selector->requirements->len; i++)
    {
      const CubeRequirement *requirement = selector->requirements->pdata[i];
      gboolean is_equal = requirement->op == CUBE_SELECTOR_EQUALS || requirement->op == CUBE_SELECTOR_IN;
      if (is_equal && requirement->n_values == 1 && strcmp (requirement->key, key) == 0)
        return requirement->values[0];
    }
  return NULL;
}

static void
append_escaped (GString *out, const char *text)
{
  for (; *text != '\0'; text++)
    {
      if (*text == '\\' || *text == ',' || *text == '=')
        g_string_append_c (out, '\\');
      g_string_append_c (out, *text);
    }
}

static void
append_requirement (GString *out, const CubeRequirement *requirement, gboolean is_fields)
{
  static const char *const middle[] = { "=", "!=", " in (", " notin (", "", "", ">", "<" };
  if (requirement->op == CUBE_SELECTOR_ABSENT)
    g_string_append_c (out, '!');
  g_string_append (out, requirement->key);
  g_string_append (out, middle[requirement->op]);
  for (guint i = 0; i < requirement->n_values; i++)
    {
      if (i > 0)
        g_string_append_c (out, ',');
      if (is_fields)
        append_escaped (out, requirement->values[i]);
      else
        g_string_append (out, requirement->values[i]);
    }
  if (requirement->op == CUBE_SELECTOR_IN || requirement->op == CUBE_SELECTOR_NOT_IN)
    g_string_append_c (out, ')');
}

char *
cube_selector_to_string (const CubeSelector *selector)
{
  GString *out = g_string_new (NULL);
  for (guint i = 0; selector != NULL && i < selector->requirements->len; i++)
    {
      if (i > 0)
        g_string_append_c (out, ',');
      append_requirement (out, selector->requirements->pdata[i], selector->is_fields);
    }
  return g_string_free (out, FALSE);
}
