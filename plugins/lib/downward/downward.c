/* SPDX-License-Identifier: Apache-2.0 */
#include "downward.h"

#include <cube/error.h>
#include <cube/scalar.h>
#include <string.h>

/* ---- downward API: fieldRef ---- */

static char *
subscript (const char *path)
{
  const char *open = strstr (path, "['");
  gsize length = open != NULL ? strlen (open) : 0;
  return length > 4 && g_str_has_suffix (open, "']") ? g_strndup (open + 2, length - 4) : NULL;
}

static gint
compare_keys (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* key="value" lines, sorted */
static char *
format_map (CubeView map)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();
  g_autoptr (GString) out = g_string_new (NULL);
  CubeIter it;
  const char *key;
  for (cube_iter_init (&it, map); cube_iter_next (&it, &key, NULL);)
    g_ptr_array_add (keys, (gpointer) key);
  g_ptr_array_sort (keys, compare_keys);
  for (guint i = 0; i < keys->len; i++)
    {
      const char *value = cube_view_string_or (cube_view_member (map, keys->pdata[i]), "");
      g_string_append_printf (out, "%s%s=\"", i > 0 ? "\n" : "", (const char *) keys->pdata[i]);
      for (const char *at = value; *at != '\0'; at++)
        switch (*at)
          {
          case '"': g_string_append (out, "\\\""); break;
          case '\\': g_string_append (out, "\\\\"); break;
          case '\n': g_string_append (out, "\\n"); break;
          case '\t': g_string_append (out, "\\t"); break;
          case '\r': g_string_append (out, "\\r"); break;
          default: g_string_append_c (out, *at);
          }
      g_string_append_c (out, '"');
    }
  return g_string_free (g_steal_pointer (&out), FALSE);
}

char *
cube_downward_field (CubeView pod, const char *path, const CubeDownwardNode *node, char **ips, GError **error)
{
  if (path == NULL)
    path = "";
  for (guint i = 0; i < 2; i++)
    {
      const char *field = i == 0 ? "labels" : "annotations";
      g_autofree char *prefix = g_strconcat ("metadata.", field, NULL);
      if (!g_str_has_prefix (path, prefix))
        continue;
      g_autofree char *key = subscript (path);
      CubeView map = cube_view_get (pod, "metadata", field);
      return key != NULL ? g_strdup (cube_view_string_or (cube_view_member (map, key), "")) : format_map (map);
    }
  if (g_str_equal (path, "metadata.name") || g_str_equal (path, "metadata.namespace") || g_str_equal (path, "metadata.uid"))
    return g_strdup (cube_view_string_or (cube_view_get (pod, "metadata", path + strlen ("metadata.")), ""));
  if (g_str_equal (path, "spec.nodeName"))
    return g_strdup (node->name);
  if (g_str_equal (path, "spec.serviceAccountName"))
    return g_strdup (cube_view_string_or (cube_view_get (pod, "spec", "serviceAccountName"), ""));
  if (g_str_equal (path, "status.hostIP") || g_str_equal (path, "status.hostIPs"))
    return g_strdup (node->ip);
  if (g_str_equal (path, "status.podIP"))
    return g_strdup (ips != NULL && ips[0] != NULL ? ips[0] : "");
  if (g_str_equal (path, "status.podIPs"))
    return ips != NULL ? g_strjoinv (",", ips) : g_strdup ("");
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "unsupported fieldPath: %s", path);
  return NULL;
}

/* ---- downward API: resourceFieldRef ---- */

static gboolean
node_default (const CubeDownwardNode *node, const char *resource, CubeQuantity *ret)
{
  if (g_str_equal (resource, "cpu"))
    cube_quantity_set_int (ret, node->cpu_millis, -3, CUBE_QUANTITY_DECIMAL_SI);
  else if (g_str_equal (resource, "memory"))
    cube_quantity_set_int (ret, node->memory_bytes, 0, CUBE_QUANTITY_BINARY_SI);
  else if (g_str_equal (resource, "ephemeral-storage"))
    cube_quantity_set_int (ret, node->disk_bytes, 0, CUBE_QUANTITY_BINARY_SI);
  else
    return FALSE;
  return TRUE;
}

char *
cube_downward_resource (CubeView pod, CubeView container, const char *resource, const char *divisor, const CubeDownwardNode *node,
                        GError **error)
{
  CubeQuantity value, unit;
  const char *dot = resource != NULL ? strchr (resource, '.') : NULL;
  if (dot == NULL || (!g_str_has_prefix (resource, "limits.") && !g_str_has_prefix (resource, "requests.")))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "unsupported container resource : %s", resource != NULL ? resource : "");
      return NULL;
    }
  g_autofree char *list = g_strndup (resource, (gsize) (dot - resource));
  gboolean found =
      cube_quantity_from_view (cube_view_get (container, "resources", list, dot + 1), &value) && cube_quantity_value (&value) > 0;
  if (!found && g_str_equal (list, "limits"))
    found = cube_quantity_from_view (cube_view_get (pod, "spec", "resources", "limits", dot + 1), &value)
            || node_default (node, dot + 1, &value);
  if (!found)
    cube_quantity_set_int (&value, 0, 0, CUBE_QUANTITY_DECIMAL_SI);
  if (divisor == NULL || !cube_quantity_parse (divisor, &unit, NULL) || cube_quantity_millis (&unit) <= 0)
    cube_quantity_set_int (&unit, 1, 0, CUBE_QUANTITY_DECIMAL_SI);
  gboolean is_cpu = g_str_equal (dot + 1, "cpu");
  gint64 a = is_cpu ? cube_quantity_millis (&value) : cube_quantity_value (&value);
  gint64 b = MAX (is_cpu ? cube_quantity_millis (&unit) : cube_quantity_value (&unit), 1);
  return g_strdup_printf ("%" G_GINT64_FORMAT, a / b + (a % b > 0));
}
