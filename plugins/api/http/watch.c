/* SPDX-License-Identifier: Apache-2.0 */
/* Watches: the connection is taken over; events that wait go out together as one chunk, or each as a WebSocket's message when the client asks for one
 * (fabric8's does). An idle watch holds no buffer. */
#include "http.h"
#include "stream.h"
#include "ws.h"
#include <string.h>

#define FLUSH_AT (64 * 1024)
#define CHUNK_HEAD 10 /* eight hexadecimal digits, CR, LF */

typedef struct {
  HttpWorker *worker;
  HttpStream *stream;
  CubeWatch *watch;
  const CubeResource *resource;
  HttpFormat format;
  char *include_object;
  gboolean is_chunked, has_columns, is_pumping, is_ended;
  HttpWsReader *ws; /* NULL: not over a WebSocket */
  gboolean is_left; /* its client said the end */
} Watch;

static void
watch_free (Watch *watch)
{
  if (watch->watch != NULL)
    cube_watch_free (watch->watch);
  cube_metric_add ("cube_http_watches_ended_total", NULL, 1);
  if (watch->ws != NULL)
    http_ws_reader_clear (watch->ws);
  g_free (watch->ws);
  g_free (watch->include_object);
  g_free (watch);
}

/* ---- events as text ---- */

static void
append_bookmark (Watch *watch, const CubeEvent *event, GString *out)
{
  const CubeResource *resource = watch->resource;
  g_autoptr (GString) metadata = g_string_new (NULL);
  g_string_printf (metadata, "{\"resourceVersion\":\"%" G_GUINT64_FORMAT "\",\"creationTimestamp\":null%s}", event->revision,
                   event->is_initial_end ? ",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}" : "");
  switch (watch->format.shape)
    {
    case HTTP_SHAPE_TABLE:
      g_string_append_printf (out,
                              "{\"kind\":\"Table\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":{\"resourceVersion\":\"%" G_GUINT64_FORMAT
                              "\"},"
                              "\"columnDefinitions\":null,\"rows\":[{\"cells\":[],\"object\":{\"kind\":\"PartialObjectMetadata\","
                              "\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":%s}}]}",
                              event->revision, metadata->str);
      break;
    case HTTP_SHAPE_PARTIAL:
    case HTTP_SHAPE_PARTIAL_LIST:
      g_string_append_printf (out, "{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"meta.k8s.io/v1\",\"metadata\":%s}", metadata->str);
      break;
    default:
      g_string_append_printf (out, "{\"kind\":\"%s\",\"apiVersion\":\"%s\",\"metadata\":%s}", resource->kind, resource->api_version,
                              metadata->str);
      break;
    }
}

/* The end of an event that began at @start: a line, or a message. */
static void
finish_event (Watch *watch, gsize start, GString *out)
{
  if (watch->ws == NULL)
    {
      g_string_append_c (out, '\n');
      return;
    }
  g_autoptr (GByteArray) frame = g_byte_array_new ();
  http_ws_append (frame, HTTP_WS_TEXT, NULL, 0, out->str + start, out->len - start);
  g_string_truncate (out, start);
  g_string_append_len (out, (const char *) frame->data, frame->len);
}

static void
append_event (Watch *watch, const CubeEvent *event, GString *out)
{
  gsize start = out->len;
  g_string_append_printf (out, "{\"type\":\"%s\",\"object\":", cube_event_type_name (event->type));
  if (event->type == CUBE_EVENT_BOOKMARK || event->object == NULL)
    append_bookmark (watch, event, out);
  else
    {
      g_autoptr (CubeObject) converted = NULL;
      CubeObject *object = event->object;
      if (watch->resource->storage != NULL && watch->resource != watch->resource->storage)
        {
          converted = cube_schema_convert (watch->resource, object, NULL);
          if (converted != NULL)
            object = converted;
        }
      gint64 now = watch->format.shape == HTTP_SHAPE_TABLE ? cube_context_now_us (watch->worker->server->context) : 0;
      http_render_object (&watch->format, watch->resource, object, watch->include_object, !watch->has_columns, now, out);
      watch->has_columns = TRUE;
    }
  g_string_append_c (out, '}');
  finish_event (watch, start, out);
}

static void
append_error (Watch *watch, const GError *error, GString *out)
{
  g_autoptr (CubeValue) status = cube_error_to_status (error);
  gsize start = out->len;
  g_string_append (out, "{\"type\":\"ERROR\",\"object\":");
  cube_view_append_json (cube_value_root (status), out);
  g_string_append_c (out, '}');
  finish_event (watch, start, out);
}

/* ---- chunks ---- */

static void
begin_chunk (GString *out)
{
  g_string_truncate (out, 0);
  g_string_append_len (out, "          ", CHUNK_HEAD);
}

static gboolean
send_chunk (Watch *watch, GString *out)
{
  gsize length = out->len - CHUNK_HEAD;
  if (length == 0)
    return TRUE;
  if (!watch->is_chunked)
    return http_stream_write (watch->stream, out->str + CHUNK_HEAD, length);
  char head[CHUNK_HEAD + 1];
  g_snprintf (head, sizeof head, "%08x\r\n", (guint) length);
  memcpy (out->str, head, CHUNK_HEAD);
  g_string_append (out, "\r\n");
  return http_stream_write (watch->stream, out->str, out->len);
}

/* The end of the answer; the watch is gone after it. */
static void
end_watch (Watch *watch)
{
  HttpStream *stream = g_steal_pointer (&watch->stream);
  if (watch->is_chunked)
    http_stream_write (stream, "0\r\n\r\n", 5);
  else if (watch->ws != NULL)
    http_stream_write (stream, "\x88\x02\x03\xe8", 4); /* close, 1000 */
  http_stream_finish (stream);
  watch_free (watch);
}

static void pump (gpointer data);

/* TIMEOUT is the ordinary end; all else is said in an ERROR event. */
static void
watch_ended (Watch *watch, const GError *error, GString *out)
{
  if (!g_error_matches (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT))
    append_error (watch, error, out);
  send_chunk (watch, out);
  end_watch (watch);
}

/* Called when the watch has something, and when what was queued is written. While something is queued nothing is taken: the bus keeps it, and once
 * it cannot any more the watch ends with EXPIRED. */
static void
pump (gpointer data)
{
  Watch *watch = data;
  if (watch->watch == NULL || watch->stream == NULL || watch->is_pumping || http_stream_queued (watch->stream) > 0)
    return;
  watch->is_pumping = TRUE;
  GString *out = watch->worker->scratch;
  gboolean is_dead = FALSE;
  begin_chunk (out);
  for (;;)
    {
      g_autoptr (GError) error = NULL;
      CubeEvent event = { 0 };
      gboolean has_event = cube_watch_next (watch->watch, &event, &error);
      if (has_event)
        {
          append_event (watch, &event, out);
          cube_event_clear (&event);
          if (out->len < FLUSH_AT)
            continue;
        }
      else if (error != NULL)
        {
          watch_ended (watch, error, out);
          return;
        }
      is_dead = !send_chunk (watch, out);
      begin_chunk (out);
      if (!has_event || is_dead || http_stream_queued (watch->stream) > 0)
        break;
    }
  if (out->allocated_len > 4 * FLUSH_AT)
    {
      g_string_free (out, TRUE);
      watch->worker->scratch = g_string_new (NULL);
    }
  watch->is_pumping = FALSE;
}

static void
stream_closed (gpointer owner)
{
  Watch *watch = owner;
  HttpStream *stream = g_steal_pointer (&watch->stream);
  watch_free (watch);
  http_stream_free (stream);
}

/* ---- over a WebSocket ---- */

static void
on_frame (HttpWsOpcode opcode, const guint8 *bytes, gsize length, gpointer data)
{
  Watch *watch = data;
  if (opcode == HTTP_WS_CLOSE)
    watch->is_left = TRUE;
  if (opcode != HTTP_WS_PING || watch->is_left)
    return; /* what a client says on a watch is nothing to us */
  g_autoptr (GByteArray) out = g_byte_array_new ();
  http_ws_append (out, HTTP_WS_PONG, NULL, 0, bytes, length);
  http_stream_write (watch->stream, out->data, out->len);
}

static void
received (gpointer owner, const void *bytes, gsize length)
{
  Watch *watch = owner;
  if (watch->ws == NULL || watch->stream == NULL)
    return;
  if (!http_ws_read (watch->ws, bytes, length, on_frame, watch) || watch->is_left)
    end_watch (watch);
}

static gboolean
wants_websocket (HttpCall *call)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (call->msg);
  const char *key = soup_message_headers_get_one (headers, "Sec-WebSocket-Key");
  return soup_message_headers_header_contains (headers, "Upgrade", "websocket")
         && soup_message_headers_header_contains (headers, "Connection", "Upgrade")
         && soup_message_headers_header_equals (headers, "Sec-WebSocket-Version", "13") && key != NULL && strlen (key) == 24;
}

static char *
make_websocket_head (HttpCall *call)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (call->msg);
  g_autofree char *accept = http_ws_accept (soup_message_headers_get_one (headers, "Sec-WebSocket-Key"));
  return g_strdup_printf (
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
}

/* ---- the beginning ---- */

static const HttpStreamOps watch_stream_ops = { .received = received, .drained = pump, .closed = stream_closed };

static char *
make_head (HttpCall *call, gboolean is_chunked)
{
  g_autoptr (GString) head = g_string_new ("HTTP/1.1 200 OK\r\n");
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  SoupMessageHeadersIter iter;
  const char *name, *value;
  soup_message_headers_iter_init (&iter, headers);
  while (soup_message_headers_iter_next (&iter, &name, &value))
    g_string_append_printf (head, "%s: %s\r\n", name, value);
  g_string_append (head, "Content-Type: application/json\r\n");
  g_string_append (head, is_chunked ? "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" : "Connection: close\r\n\r\n");
  return g_strdup (head->str);
}

void
http_run_watch (HttpCall *call)
{
  GError *error = NULL;
  if (strcmp (call->method, "HEAD") == 0)
    {
      http_respond_text (call, 200, "application/json", g_strdup (""), 0);
      return;
    }
  if (call->format.encoding != HTTP_ENCODING_JSON)
    call->format.encoding = HTTP_ENCODING_JSON; /* a stream of documents has no YAML form */
  Watch *watch = g_new0 (Watch, 1);
  watch->worker = call->worker;
  watch->resource = call->resource;
  watch->format = call->format;
  if (wants_websocket (call))
    {
      watch->ws = g_new0 (HttpWsReader, 1);
      http_ws_reader_init (watch->ws);
    }
  watch->is_chunked = watch->ws == NULL && soup_server_message_get_http_version (call->msg) != SOUP_HTTP_1_0;
  watch->include_object = g_strdup (http_query_get (&call->query, "includeObject"));
  watch->is_pumping = TRUE; /* nothing before the head is out */
  watch->watch = cube_client_watch (call->server->client, &call->request, call->worker->loop, pump, watch, &error);
  if (watch->watch == NULL && !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_EXPIRED))
    {
      http_respond_error (call, error);
      watch_free (watch);
      return;
    }
  g_autofree char *head = watch->ws != NULL ? make_websocket_head (call) : make_head (call, watch->is_chunked);
  call->status = watch->ws != NULL ? 101 : 200;
  watch->stream = http_stream_steal (call->worker, call->msg, &watch_stream_ops, watch);
  if (watch->stream == NULL)
    {
      g_clear_error (&error);
      watch_free (watch);
      return;
    }
  cube_metric_add ("cube_http_watches_started_total", NULL, 1);
  http_stream_write (watch->stream, head, strlen (head));
  watch->is_pumping = FALSE;
  if (error != NULL) /* a revision that is gone is said on the stream, as clients expect */
    {
      begin_chunk (call->worker->scratch);
      watch_ended (watch, error, call->worker->scratch);
      g_error_free (error);
      return;
    }
  pump (watch);
}
