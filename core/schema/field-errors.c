/* SPDX-License-Identifier: Apache-2.0 */
/* Field errors and their aggregate, in the words of Kubernetes' field.Error. */
#include "types.h"

typedef struct {
  const char *reason; /* of the cause */
  char *field, *body;
} Entry;

struct _CubeFieldErrors {
  GArray *entries;
};

static const struct {
  const char *type, *text, *reason;
  gboolean shows_value;
} kinds[] = {
  { "Required", "Required value", "FieldValueRequired", FALSE },
  { "Invalid", "Invalid value", "FieldValueInvalid", TRUE },
  { "NotSupported", "Unsupported value", "FieldValueNotSupported", TRUE },
  { "Forbidden", "Forbidden", "FieldValueForbidden", FALSE },
  { "Duplicate", "Duplicate value", "FieldValueDuplicate", TRUE },
  { "TooLong", "Too long", "FieldValueTooLong", FALSE },
  { "TooShort", "Too short", "FieldValueTooShort", FALSE },
  { "TooMany", "Too many", "FieldValueTooMany", TRUE },
  { "TooFew", "Too few", "FieldValueTooFew", TRUE },
  { "NotFound", "Not found", "FieldValueNotFound", TRUE },
  { "InternalError", "Internal error", "InternalError", FALSE },
  { "TypeInvalid", "Invalid value", "FieldValueTypeInvalid", TRUE },
};

static void
entry_clear (gpointer data)
{
  Entry *entry = data;
  g_free (entry->field);
  g_free (entry->body);
}

CubeFieldErrors *
cube_field_errors_new (void)
{
  CubeFieldErrors *errors = g_new0 (CubeFieldErrors, 1);
  return errors;
}

void
cube_field_errors_free (CubeFieldErrors *errors)
{
  if (errors == NULL)
    return;
  if (errors->entries != NULL)
    g_array_unref (errors->entries);
  g_free (errors);
}

guint
cube_field_errors_count (const CubeFieldErrors *errors)
{
  return errors->entries == NULL ? 0 : errors->entries->len;
}

/* Go's %q: what JSON escapes, with \x7f and the like left to \u. */
static void
append_quoted (GString *out, const char *text, gsize length)
{
  g_string_append_c (out, '"');
  for (const char *at = text; at < text + length;)
    {
      gunichar c = g_utf8_get_char (at);
      const char *next = g_utf8_next_char (at);
      if (c == '"' || c == '\\')
        g_string_append_printf (out, "\\%c", (char) c);
      else if (c == '\n')
        g_string_append (out, "\\n");
      else if (c == '\t')
        g_string_append (out, "\\t");
      else if (c == '\r')
        g_string_append (out, "\\r");
      else if (c < 0x20 || c == 0x7f)
        g_string_append_printf (out, "\\x%02x", c);
      else if (!g_unichar_isprint (c))
        g_string_append_printf (out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
      else
        g_string_append_len (out, at, next - at);
      at = next;
    }
  g_string_append_c (out, '"');
}

static void
append_value (GString *out, CubeView value)
{
  if (cube_view_type (value) == CUBE_VALUE_STRING)
    append_quoted (out, cube_view_string (value), cube_view_string_length (value));
  else
    cube_view_append_json (value, out);
}

/* What the tables say of a field, a rule of the kind says more exactly: "Required value" with its reason, the values a client may choose.
 * The entry is taken over then. */
static gboolean
says_again (CubeFieldErrors *errors, Entry *entry)
{
  const char *values = strstr (entry->body, ": supported values: ");
  gsize length = g_str_has_prefix (entry->body, "Required value: ") ? strlen ("Required value")
                 : values == NULL                                   ? 0
                                                                    : (gsize) (values - entry->body);
  for (guint i = 0; length > 0 && errors->entries != NULL && i < errors->entries->len; i++)
    {
      Entry *earlier = &g_array_index (errors->entries, Entry, i);
      const char *rest = strncmp (earlier->body, entry->body, length) == 0 ? earlier->body + length : NULL;
      if (rest == NULL || strcmp (earlier->field, entry->field) != 0
          || !(*rest == '\0' || (values != NULL && g_str_has_prefix (rest, ": supported values: "))))
        continue;
      entry_clear (earlier);
      *earlier = *entry;
      return TRUE;
    }
  return FALSE;
}

void
cube_field_errors_add (CubeFieldErrors *errors, const char *type, const char *field, CubeView value, const char *format, ...)
{
  guint kind = 0;
  while (kind < G_N_ELEMENTS (kinds) - 1 && strcmp (kinds[kind].type, type) != 0)
    kind++;
  g_autofree char *detail = NULL;
  va_list args;
  va_start (args, format);
  detail = g_strdup_vprintf (format, args);
  va_end (args);
  GString *body = g_string_new (kinds[kind].text);
  if (kinds[kind].shows_value && cube_view_exists (value))
    {
      g_string_append (body, ": ");
      append_value (body, value);
    }
  if (*detail != '\0')
    g_string_append_printf (body, ": %s", detail);
  Entry entry = { kinds[kind].reason, g_strdup (field), g_string_free (body, FALSE) };
  if (says_again (errors, &entry))
    return;
  if (errors->entries == NULL)
    {
      errors->entries = g_array_new (FALSE, FALSE, sizeof (Entry));
      g_array_set_clear_func (errors->entries, entry_clear);
    }
  g_array_append_val (errors->entries, entry);
}

GError *
cube_field_errors_to_error (const CubeFieldErrors *errors, const char *group, const char *kind, const char *name)
{
  if (cube_field_errors_count (errors) == 0)
    return NULL;
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GString) list = g_string_new (NULL);
  guint distinct = 0;
  for (guint i = 0; i < errors->entries->len; i++)
    {
      const Entry *entry = &g_array_index (errors->entries, Entry, i);
      char *text = g_strdup_printf ("%s%s%s", entry->field, *entry->field != '\0' ? ": " : "", entry->body);
      if (!g_hash_table_add (seen, text))
        continue;
      g_string_append_printf (list, distinct++ > 0 ? ", %s" : "%s", text);
    }
  gboolean has_group = group != NULL && *group != '\0';
  GError *error =
      g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "%s%s%s \"%s\" is invalid: %s%s%s", kind, has_group ? "." : "", has_group ? group : "",
                   name == NULL ? "" : name, distinct > 1 ? "[" : "", list->str, distinct > 1 ? "]" : "");
  cube_error_set_object (error, group, kind, name);
  for (guint i = 0; i < errors->entries->len; i++)
    {
      const Entry *entry = &g_array_index (errors->entries, Entry, i);
      cube_error_add_cause (error, entry->reason, entry->field, "%s", entry->body);
    }
  return error;
}
