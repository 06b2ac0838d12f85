/* SPDX-License-Identifier: Apache-2.0 */
#include "config-schema.h"
#include <cube/error.h>
#include <cube/scalar.h>
#include <string.h>

static gboolean
is_string_list (CubeView value)
{
  CubeIter it;
  CubeView element;
  if (cube_view_type (value) != CUBE_VALUE_ARRAY)
    return FALSE;
  for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &element);)
    if (cube_view_type (element) != CUBE_VALUE_STRING)
      return FALSE;
  return TRUE;
}

static gboolean
value_has_type (CubeView value, const char *type)
{
  CubeValueType have = cube_view_type (value);
  gint64 ns;
  CubeQuantity quantity;
  if (g_str_equal (type, "string"))
    return have == CUBE_VALUE_STRING;
  if (g_str_equal (type, "int"))
    return have == CUBE_VALUE_INT;
  if (g_str_equal (type, "bool"))
    return have == CUBE_VALUE_BOOL;
  if (g_str_equal (type, "duration"))
    return have == CUBE_VALUE_STRING && cube_duration_parse (cube_view_string (value), &ns);
  if (g_str_equal (type, "quantity"))
    return cube_quantity_from_view (value, &quantity);
  if (g_str_equal (type, "string-list"))
    return is_string_list (value);
  if (g_str_equal (type, "object"))
    return have == CUBE_VALUE_OBJECT;
  return g_str_equal (type, "any");
}

/* The type of @key in @schema, or NULL. (transfer full) */
static char *
find_type (const char *schema, const char *key)
{
  g_auto (GStrv) lines = g_strsplit (schema, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit_set (g_strstrip (lines[i]), " \t", 3);
      if (g_strv_length (words) >= 2 && g_str_equal (words[0], key))
        return g_strdup (words[1]);
    }
  return NULL;
}

static char *
known_keys (const char *schema)
{
  GString *out = g_string_new (NULL);
  g_auto (GStrv) lines = g_strsplit (schema, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit_set (g_strstrip (lines[i]), " \t", 2);
      if (words[0] != NULL && *words[0] != '\0')
        g_string_append_printf (out, "%s%s", out->len > 0 ? ", " : "", words[0]);
    }
  return g_string_free (out, FALSE);
}

gboolean
cube_config_validate (const char *schema, CubeView config, const char *where, GError **error)
{
  CubeIter it;
  const char *key;
  CubeView value;
  if (!cube_view_exists (config) || cube_view_type (config) == CUBE_VALUE_NULL)
    return TRUE;
  if (cube_view_type (config) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: found %s, expected an object", where,
                   cube_value_type_name (cube_view_type (config)));
      return FALSE;
    }
  for (cube_iter_init (&it, config); cube_iter_next (&it, &key, &value);)
    {
      g_autofree char *type = schema != NULL ? find_type (schema, key) : NULL;
      if (type == NULL)
        {
          g_autofree char *keys = schema != NULL ? known_keys (schema) : g_strdup ("none");
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: unknown key \"%s\" (known: %s)", where, key, keys);
          return FALSE;
        }
      if (!value_has_type (value, type))
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "%s: key \"%s\": found %s, expected %s", where, key,
                       cube_value_type_name (cube_view_type (value)), type);
          return FALSE;
        }
    }
  return TRUE;
}
