/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: sent block by block from the objects' bytes as they lie. Beyond the references a list holds one block in memory. */
#include "http.h"
#include <string.h>
#include <zlib.h>

typedef struct {
  HttpCall *call;
  CubeResponse *response;
  guint next;
  gboolean is_ended, is_waiting;
  gint64 now_us;
  GString *block;
  z_stream *deflate; /* NULL = as is */
} List;

static void
list_free (gpointer data)
{
  List *list = data;
  if (list->deflate != NULL)
    {
      deflateEnd (list->deflate);
      g_free (list->deflate);
    }
  cube_response_unref (list->response);
  g_string_free (list->block, TRUE);
  g_free (list);
}

static void
append_list_metadata (List *list, GString *out)
{
  CubeResponse *response = list->response;
  g_string_append_printf (out, "\"metadata\":{\"resourceVersion\":\"%" G_GUINT64_FORMAT "\"", response->revision);
  if (response->continue_token != NULL && *response->continue_token != '\0')
    {
      g_string_append (out, ",\"continue\":");
      cube_json_append_string (out, response->continue_token, -1);
      if (response->remaining >= 0)
        g_string_append_printf (out, ",\"remainingItemCount\":%" G_GINT64_FORMAT, response->remaining);
    }
  g_string_append_c (out, '}');
}

static void
append_head (List *list, GString *out)
{
  const CubeResource *resource = list->call->resource;
  switch (list->call->format.shape)
    {
    case HTTP_SHAPE_TABLE:
      g_string_append (out, "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",");
      append_list_metadata (list, out);
      g_string_append (out, ",\"columnDefinitions\":");
      cube_schema_append_columns (resource, out);
      g_string_append (out, ",\"rows\":[");
      break;
    case HTTP_SHAPE_PARTIAL:
    case HTTP_SHAPE_PARTIAL_LIST:
      g_string_append (out, "{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"meta.k8s.io/v1\",");
      append_list_metadata (list, out);
      g_string_append (out, ",\"items\":[");
      break;
    default:
      g_string_append_printf (out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",", resource->list_kind, resource->api_version);
      append_list_metadata (list, out);
      g_string_append (out, ",\"items\":[");
      break;
    }
}

static void
append_item (List *list, CubeObject *object, GString *out)
{
  HttpCall *call = list->call;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) converted = NULL;
  if (call->resource != call->resource->storage && call->resource->storage != NULL)
    {
      converted = cube_schema_convert (call->resource, object, &error);
      if (converted == NULL)
        g_warning ("%s %s: %s", call->resource->resource, cube_object_name (object), error->message);
      else
        object = converted;
    }
  if (call->format.shape == HTTP_SHAPE_TABLE)
    http_render_row (call->resource, object, http_query_get (&call->query, "includeObject"), list->now_us, out);
  else
    http_render_object (&call->format, call->resource, object, NULL, FALSE, list->now_us, out);
}

/* The next block's worth of text; the last has the tail. */
static void
fill (List *list, gsize wanted)
{
  GPtrArray *objects = list->response->objects;
  GString *out = list->block;
  g_string_truncate (out, 0);
  if (list->next == 0)
    append_head (list, out);
  while (list->next < objects->len && out->len < wanted)
    {
      if (list->next > 0)
        g_string_append_c (out, ',');
      append_item (list, objects->pdata[list->next++], out);
    }
  if (list->next < objects->len)
    return;
  g_string_append (out, "]}");
  list->is_ended = TRUE;
}

static GBytes *
deflate_block (List *list)
{
  GByteArray *out = g_byte_array_sized_new (HTTP_BLOCK / 2);
  z_stream *z = list->deflate;
  guint8 buffer[16384];
  z->next_in = (Bytef *) list->block->str;
  z->avail_in = (uInt) list->block->len;
  do
    {
      z->next_out = buffer;
      z->avail_out = sizeof buffer;
      deflate (z, list->is_ended ? Z_FINISH : Z_NO_FLUSH);
      g_byte_array_append (out, buffer, (guint) (sizeof buffer - z->avail_out));
    }
  while (z->avail_out == 0);
  return g_byte_array_free_to_bytes (out);
}

static GBytes *
take_block (List *list)
{
  gsize length = list->block->len;
  char *text = g_string_free (list->block, FALSE);
  list->block = g_string_sized_new (list->is_ended ? 0 : HTTP_BLOCK + HTTP_BLOCK / 4);
  return g_bytes_new_take (text, length);
}

/* Puts one more block into the answer; called again when that one is on its way. */
static void
send_block (List *list)
{
  SoupMessageBody *body = soup_server_message_get_response_body (list->call->msg);
  while (!list->is_ended)
    {
      fill (list, HTTP_BLOCK);
      g_autoptr (GBytes) bytes = list->deflate != NULL ? deflate_block (list) : take_block (list);
      if (g_bytes_get_size (bytes) == 0)
        continue;
      soup_message_body_append_bytes (body, bytes);
      break;
    }
  if (list->is_ended)
    soup_message_body_complete (body);
}

static void
wrote_chunk (SoupServerMessage *msg, gpointer data)
{
  List *list = data;
  http_conn_set_phase (http_conn_get (msg), HTTP_PHASE_WRITING);
  if (!list->is_ended)
    send_block (list);
}

static void
stream_list (HttpCall *call, List *list, gboolean is_compressed)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  SoupMessageBody *body = soup_server_message_get_response_body (call->msg);
  call->status = 200;
  soup_server_message_set_status (call->msg, 200, NULL);
  soup_message_headers_replace (headers, "Content-Type", "application/json");
  soup_message_headers_set_encoding (headers, SOUP_ENCODING_CHUNKED);
  soup_message_body_set_accumulate (body, FALSE);
  if (is_compressed)
    {
      list->deflate = g_new0 (z_stream, 1);
      if (deflateInit2 (list->deflate, HTTP_GZIP_LEVEL, Z_DEFLATED, HTTP_GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK)
        http_set_gzip_headers (call);
      else
        g_clear_pointer (&list->deflate, g_free);
    }
  g_object_set_data_full (G_OBJECT (call->msg), "cube-http-list", list, list_free);
  g_signal_connect (call->msg, "wrote-chunk", G_CALLBACK (wrote_chunk), list);
  send_block (list);
}

/* Rough size, without looking at more than a few. */
static gboolean
is_large (GPtrArray *objects, gsize limit)
{
  gsize total = 0;
  for (guint i = 0; i < objects->len && total <= limit; i++)
    {
      gsize length;
      cube_object_json (objects->pdata[i], &length);
      total += length;
    }
  return total > limit;
}

void
http_respond_list (HttpCall *call, CubeResponse *response)
{
  HttpFormat *format = &call->format;
  List *list = g_new0 (List, 1);
  list->call = call;
  list->response = response;
  list->now_us = cube_context_now_us (call->server->context);
  list->block = g_string_new (NULL);
  gboolean is_whole = format->encoding == HTTP_ENCODING_YAML || format->is_pretty
                      || soup_server_message_get_http_version (call->msg) == SOUP_HTTP_1_0 || strcmp (call->method, "HEAD") == 0;
  if (!is_whole && is_large (response->objects, HTTP_BLOCK))
    {
      stream_list (call, list, is_large (response->objects, HTTP_GZIP_FROM) && http_wants_gzip (call));
      return;
    }
  fill (list, G_MAXSIZE);
  GString *json = list->block;
  list->block = g_string_new (NULL);
  list_free (list);
  format->is_aggregated_discovery = FALSE;
  http_respond_json (call, 200, json);
}
