/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes of an object: as it lies, as metadata only, as a row of a Table. Works on the object's bytes; nothing is decoded for it. */
#include "http.h"
#include <string.h>

#define PARTIAL_HEAD "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":"

/* Behind the string that starts at @p (on its quote). */
static const char *
skip_string (const char *p, const char *end)
{
  for (p++; p < end; p++)
    {
      const char *quote = memchr (p, '"', (gsize) (end - p));
      if (quote == NULL)
        return end;
      gsize backslashes = 0;
      while (quote - backslashes > p && quote[-1 - (gssize) backslashes] == '\\')
        backslashes++;
      if (backslashes % 2 == 0)
        return quote + 1;
      p = quote;
    }
  return end;
}

/* Behind the value that starts at @p. */
static const char *
skip_value (const char *p, const char *end)
{
  guint depth = 0;
  while (p < end)
    {
      char c = *p;
      if (c == '"')
        {
          p = skip_string (p, end);
          if (depth == 0)
            return p;
          continue;
        }
      if (c == '{' || c == '[')
        depth++;
      else if (c == '}' || c == ']')
        {
          if (depth == 0)
            return p;
          if (--depth == 0)
            return p + 1;
        }
      else if (c == ',' && depth == 0)
        return p;
      p++;
    }
  return end;
}

gboolean
http_find_member (const char *json, gsize length, const char *key, const char **ret_value, gsize *ret_length)
{
  const char *end = json + length, *p = json;
  gsize key_length = strlen (key);
  if (length == 0 || *p++ != '{')
    return FALSE;
  while (p < end && *p == '"')
    {
      const char *name = p + 1;
      p = skip_string (p, end);
      gsize name_length = (gsize) (p - name) - 1;
      if (p >= end || *p != ':')
        return FALSE;
      const char *value = ++p;
      p = skip_value (p, end);
      if (name_length == key_length && memcmp (name, key, key_length) == 0)
        {
          *ret_value = value;
          *ret_length = (gsize) (p - value);
          return TRUE;
        }
      if (p < end && *p == ',')
        p++;
    }
  return FALSE;
}

void
http_render_partial (CubeObject *object, GString *out)
{
  gsize length, span = 2;
  const char *json = cube_object_json (object, &length), *metadata = "{}";
  http_find_member (json, length, "metadata", &metadata, &span);
  g_string_append (out, PARTIAL_HEAD);
  g_string_append_len (out, metadata, (gssize) span);
  g_string_append_c (out, '}');
}

void
http_render_row (const CubeResource *resource, CubeObject *object, const char *include_object, gint64 now_us, GString *out)
{
  g_string_append (out, "{\"cells\":");
  cube_schema_append_cells (resource, object, now_us, out);
  if (g_strcmp0 (include_object, "None") != 0)
    {
      g_string_append (out, ",\"object\":");
      if (g_strcmp0 (include_object, "Object") == 0)
        {
          gsize length;
          const char *json = cube_object_json (object, &length);
          g_string_append_len (out, json, (gssize) length);
        }
      else
        http_render_partial (object, out);
    }
  g_string_append_c (out, '}');
}

void
http_render_object (const HttpFormat *format, const CubeResource *resource, CubeObject *object, const char *include_object,
                    gboolean with_columns, gint64 now_us, GString *out)
{
  gsize length;
  const char *json = cube_object_json (object, &length);
  switch (format->shape)
    {
    case HTTP_SHAPE_TABLE:
      g_string_append_printf (out,
                              "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"%" G_GUINT64_FORMAT
                              "\"},"
                              "\"columnDefinitions\":",
                              cube_object_revision (object));
      if (with_columns)
        cube_schema_append_columns (resource, out);
      else
        g_string_append (out, "null");
      g_string_append (out, ",\"rows\":[");
      http_render_row (resource, object, include_object, now_us, out);
      g_string_append (out, "]}");
      break;
    case HTTP_SHAPE_PARTIAL:
    case HTTP_SHAPE_PARTIAL_LIST: http_render_partial (object, out); break;
    default: g_string_append_len (out, json, (gssize) length); break;
    }
}

static void
append_column (GString *out, const char *name, const char *type, const char *format)
{
  g_string_append_printf (out, "{\"name\":\"%s\",\"type\":\"%s\",\"format\":\"%s\",\"description\":\"\",\"priority\":0}", name, type,
                          format);
}

void
http_render_scale (CubeView scale, gint64 now_us, GString *out)
{
  CubeView metadata = cube_view_member (scale, "metadata");
  char age[32] = "<unknown>";
  gint64 created_us;
  if (cube_time_parse (cube_view_string_or (cube_view_member (metadata, "creationTimestamp"), ""), &created_us))
    cube_duration_human (now_us - created_us, age);
  g_string_append (out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{},\"columnDefinitions\":[");
  append_column (out, "Name", "string", "name");
  g_string_append_c (out, ',');
  append_column (out, "Desired", "integer", "");
  g_string_append_c (out, ',');
  append_column (out, "Available", "integer", "");
  g_string_append_c (out, ',');
  append_column (out, "Age", "string", "");
  g_string_append (out, "],\"rows\":[{\"cells\":[");
  cube_json_append_string (out, cube_view_string_or (cube_view_member (metadata, "name"), ""), -1);
  g_string_append_printf (out, ",%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",\"%s\"],\"object\":" PARTIAL_HEAD,
                          cube_view_get_int (scale, 0, "spec", "replicas"), cube_view_get_int (scale, 0, "status", "replicas"), age);
  cube_view_append_json (metadata, out);
  g_string_append (out, "}}]}");
}
