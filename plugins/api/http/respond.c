/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: Status objects, documents, objects in the format asked for, warnings. */
#include "http.h"
#include <string.h>
#include <zlib.h>

#define MAX_WARNING 256
#define MAX_WARNINGS 16

const char *
http_reason_phrase (guint status)
{
  return status == 422 ? "Unprocessable Entity" : status == 429 ? "Too Many Requests" : soup_status_get_phrase (status);
}

static void
set_status (HttpCall *call, guint status)
{
  call->status = status;
  soup_server_message_set_status (call->msg, status, http_reason_phrase (status));
}

gboolean
http_wants_gzip (HttpCall *call)
{
  if (!call->server->config.use_gzip)
    return FALSE;
  HttpConn *conn = http_conn_get (call->msg);
  /* on the machine itself copying is cheaper than compressing */
  if (conn == NULL || http_conn_is_loopback (conn))
    return FALSE;
  return http_accepts_coding (soup_message_headers_get_list (soup_server_message_get_request_headers (call->msg), "Accept-Encoding"),
                              "gzip");
}

void
http_set_gzip_headers (HttpCall *call)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  soup_message_headers_replace (headers, "Content-Encoding", "gzip");
  soup_message_headers_append (headers, "Vary", "Accept-Encoding");
}

/* The whole of a text, compressed; NULL = zlib cannot. (transfer full) */
static char *
compress_text (const char *text, gsize size, gsize *ret_size)
{
  z_stream z = { 0 };
  if (deflateInit2 (&z, HTTP_GZIP_LEVEL, Z_DEFLATED, HTTP_GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK)
    return NULL;
  gsize bound = deflateBound (&z, size);
  g_autofree char *out = g_malloc (bound);
  z.next_in = (Bytef *) text;
  z.avail_in = (uInt) size;
  z.next_out = (Bytef *) out;
  z.avail_out = (uInt) bound;
  int result = deflate (&z, Z_FINISH);
  *ret_size = bound - z.avail_out;
  deflateEnd (&z);
  return result == Z_STREAM_END ? g_steal_pointer (&out) : NULL;
}

void
http_respond_text (HttpCall *call, guint status, const char *content_type, char *text, gssize length)
{
  set_status (call, status);
  gsize size = length >= 0 ? (gsize) length : strlen (text);
  gsize packed_size;
  char *packed = size > HTTP_GZIP_FROM && size < G_MAXINT32 && http_wants_gzip (call) ? compress_text (text, size, &packed_size) : NULL;
  if (packed != NULL)
    {
      g_free (text);
      text = packed;
      size = packed_size;
      http_set_gzip_headers (call);
    }
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  soup_message_headers_replace (headers, "Content-Type", content_type);
  soup_message_body_append (soup_server_message_get_response_body (call->msg), SOUP_MEMORY_TAKE, text, size);
  if (size == 0)
    soup_message_headers_set_content_length (headers, 0);
}

void
http_respond_plain (HttpCall *call, guint status, const char *text)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  soup_message_headers_replace (headers, "X-Content-Type-Options", "nosniff");
  http_respond_text (call, status, "text/plain; charset=utf-8", g_strdup (text), -1);
}

static void
append_pretty (GString *json)
{
  g_autoptr (CubeValue) value = cube_value_from_json (json->str, (gssize) json->len, &(CubeParseLimits){ .max_bytes = G_MAXUINT32 }, NULL);
  if (value == NULL)
    return;
  g_string_truncate (json, 0);
  cube_view_append_json_pretty (cube_value_root (value), json, 2);
  g_string_append_c (json, '\n');
}

void
http_respond_json (HttpCall *call, guint status, GString *json)
{
  HttpFormat *format = &call->format;
  if (format->encoding == HTTP_ENCODING_YAML)
    {
      CubeParseLimits limits = { .max_bytes = G_MAXUINT32, .max_nodes = G_MAXUINT32 };
      g_autoptr (CubeValue) value = cube_value_from_json (json->str, (gssize) json->len, &limits, NULL);
      gsize length = 0;
      char *yaml = value != NULL ? cube_view_to_yaml (cube_value_root (value), &length) : NULL;
      if (yaml != NULL)
        {
          g_string_free (json, TRUE);
          http_respond_text (call, status, "application/yaml", yaml, (gssize) length);
          return;
        }
    }
  else if (format->is_pretty)
    append_pretty (json);
  gsize length = json->len;
  http_respond_text (call, status, http_format_content_type (format), g_string_free (json, FALSE), (gssize) length);
}

void
http_respond_value (HttpCall *call, guint status, const CubeValue *value)
{
  GString *json = g_string_sized_new (512);
  cube_view_append_json (cube_value_root (value), json);
  http_respond_json (call, status, json);
}

void
http_respond_object (HttpCall *call, guint status, CubeObject *object)
{
  HttpFormat *format = &call->format;
  if (format->shape == HTTP_SHAPE_PLAIN && format->encoding == HTTP_ENCODING_JSON && !format->is_pretty)
    {
      g_autoptr (GBytes) bytes = cube_object_bytes (object);
      if (g_bytes_get_size (bytes) > HTTP_GZIP_FROM && http_wants_gzip (call))
        {
          gsize size;
          char *copy = g_bytes_unref_to_data (g_steal_pointer (&bytes), &size);
          http_respond_text (call, status, "application/json", copy, (gssize) size);
          return;
        }
      set_status (call, status);
      soup_message_headers_replace (soup_server_message_get_response_headers (call->msg), "Content-Type", "application/json");
      soup_message_body_append_bytes (soup_server_message_get_response_body (call->msg), bytes);
      return;
    }
  GString *json = g_string_sized_new (2048);
  http_render_object (format, call->resource, object, http_query_get (&call->query, "includeObject"), TRUE,
                      cube_context_now_us (call->server->context), json);
  http_respond_json (call, status, json);
}

void
http_respond_error (HttpCall *call, GError *error)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  guint code = (guint) cube_error_http_code (error);
  const CubeErrorDetails *details = cube_error_get_details (error);
  if (details != NULL && details->retry_after_s > 0)
    {
      g_autofree char *seconds = g_strdup_printf ("%d", details->retry_after_s);
      soup_message_headers_replace (headers, "Retry-After", seconds);
    }
  if (code == 403)
    soup_message_headers_replace (headers, "X-Content-Type-Options", "nosniff");
  if (code >= 500)
    g_debug ("%s %s: %s", call->method, call->url.path != NULL ? call->url.path : "?", error->message);
  g_autoptr (CubeValue) status = cube_error_to_status (error);
  soup_message_body_truncate (soup_server_message_get_response_body (call->msg));
  HttpFormat asked = call->format;
  call->format = (HttpFormat){ .encoding = asked.encoding, .is_pretty = asked.is_pretty };
  http_respond_value (call, code, status);
  call->format = asked;
  g_error_free (error);
}

/* 299 - "text", quotes and backslashes escaped, control characters left out. */
void
http_add_warning (SoupMessageHeaders *headers, const char *text)
{
  GString *out = g_string_new ("299 - \"");
  for (const char *p = text; *p != '\0' && out->len < MAX_WARNING * 4; p++)
    {
      if (*p == '"' || *p == '\\')
        g_string_append_c (out, '\\');
      if (!g_ascii_iscntrl (*p))
        g_string_append_c (out, *p);
    }
  g_string_append_c (out, '"');
  soup_message_headers_append (headers, "Warning", out->str);
  g_string_free (out, TRUE);
}
