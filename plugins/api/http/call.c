/* SPDX-License-Identifier: Apache-2.0 */
/* One request's life: headers → identity → permission → options → body → handler → answer. Everything that can be refused before the body is. */
#include "http.h"
#include <string.h>

static GQuark call_quark;

HttpCall *
http_call_get (SoupServerMessage *msg)
{
  return g_object_get_qdata (G_OBJECT (msg), call_quark);
}

static void
record (HttpCall *call)
{
  char labels[256];
  const char *resource = call->resource != NULL ? call->resource->resource : "";
  const char *verb = call->verb_label != NULL ? call->verb_label : call->method;
  g_snprintf (labels, sizeof labels, "verb=\"%s\",resource=\"%s\",subresource=\"%s\",code=\"%u\"", verb, resource,
              call->sub != NULL ? call->sub->name : "", call->status);
  cube_metric_add ("apiserver_request_total", labels, 1);
  if (call->is_long)
    return;
  g_snprintf (labels, sizeof labels, "verb=\"%s\",resource=\"%s\"", verb, resource);
  gint64 spent = cube_context_monotonic_us (call->server->context) - call->started_us;
  cube_metric_observe ("apiserver_request_duration_seconds", labels, (double) spent / G_USEC_PER_SEC);
  cube_context_add_time (call->server->context, 0);
}

static void
uncount (HttpCall *call)
{
  HttpServer *server = call->server;
  if (!call->is_counted)
    return;
  call->is_counted = FALSE;
  g_atomic_int_add (call->is_mutating ? &server->n_mutating : &server->n_reading, -1);
  if (!g_atomic_int_get (&server->is_stopping))
    return;
  g_mutex_lock (&server->lock);
  g_cond_broadcast (&server->cond);
  g_mutex_unlock (&server->lock);
}

static void
call_free (gpointer data)
{
  HttpCall *call = data;
  uncount (call);
  record (call);
  http_url_clear (&call->url);
  http_query_clear_selectors (&call->request);
  http_query_clear (&call->query);
  cube_value_unref (call->body);
  g_strfreev (call->duplicates);
  g_free (call->manager);
  cube_user_unref (call->user);
  if (call->response != NULL)
    cube_response_unref (call->response);
  g_free (call);
}

static void
set_standard_headers (HttpCall *call)
{
  char audit_id[37];
  cube_uuid_format (cube_context_random (call->server->context), cube_context_random (call->server->context), audit_id);
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  soup_message_headers_append (headers, "Audit-Id", audit_id);
  soup_message_headers_append (headers, "Cache-Control", "no-cache, private");
}

static gboolean
is_write (const char *method)
{
  return strcmp (method, "GET") != 0 && strcmp (method, "HEAD") != 0 && strcmp (method, "OPTIONS") != 0;
}

/* Bounded: what waits in the pipeline is memory. Long-running requests are bounded by the number of connections. */
static gboolean
count_in (HttpCall *call)
{
  HttpServer *server = call->server;
  call->is_mutating = is_write (call->method);
  gint *count = call->is_mutating ? &server->n_mutating : &server->n_reading;
  gint limit = call->is_mutating ? server->config.max_mutating : server->config.max_in_flight;
  call->is_counted = TRUE;
  if (g_atomic_int_add (count, 1) < limit)
    return TRUE;
  soup_message_headers_replace (soup_server_message_get_response_headers (call->msg), "Retry-After", "1");
  http_respond_plain (call, 429, "Too many requests, please try again later.\n");
  return FALSE;
}

static GError *
too_large (void)
{
  return g_error_new (CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE, "Request entity too large: limit is %d", HTTP_MAX_BODY);
}

/* A refused request's body is read and dropped, within the time a body may take; then the connection ends. */
static void
drop_body (HttpCall *call)
{
  SoupMessageBody *body = soup_server_message_get_request_body (call->msg);
  soup_message_body_set_accumulate (body, FALSE);
  soup_message_body_truncate (body);
}

static void
got_chunk (SoupServerMessage *msg, GBytes *chunk, gpointer data)
{
  HttpCall *call = data;
  call->body_bytes += g_bytes_get_size (chunk);
  if (call->body_bytes <= HTTP_MAX_BODY || soup_server_message_get_status (msg) != 0)
    return;
  drop_body (call);
  soup_message_headers_replace (soup_server_message_get_response_headers (msg), "Connection", "close");
  http_respond_error (call, too_large ());
}

static gboolean
check_length (HttpCall *call, GError **error)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (call->msg);
  if (soup_message_headers_get_encoding (headers) != SOUP_ENCODING_CONTENT_LENGTH
      || soup_message_headers_get_content_length (headers) <= HTTP_MAX_BODY)
    return TRUE;
  soup_message_headers_replace (soup_server_message_get_response_headers (call->msg), "Connection", "close");
  g_propagate_error (error, too_large ());
  return FALSE;
}

static gboolean
is_served_method (const char *method)
{
  static const char *const served[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", NULL };
  return g_strv_contains (served, method);
}

static gboolean
unfit (HttpCall *call, const char *format, GError **error)
{
  g_autofree char *first = g_strndup (call->resource->group, strcspn (call->resource->group, "."));
  g_autofree char *type = g_strdup_printf ("*%s.%s", *first != '\0' ? first : "core",
                                           call->request.verb == CUBE_VERB_LIST ? call->resource->list_kind : call->resource->kind);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_ACCEPTABLE, format, type);
  return FALSE;
}

/* What is asked for must fit what is answered: an object or a list. */
static gboolean
check_shape (HttpCall *call, GError **error)
{
  const char *include = http_query_get (&call->query, "includeObject");
  HttpShape shape = call->format.shape;
  if (!call->url.is_resource)
    return TRUE;
  if (shape == HTTP_SHAPE_PARTIAL && call->request.verb == CUBE_VERB_LIST)
    return unfit (call, "you requested PartialObjectMetadata, but the requested object is a list (%s)", error);
  if (shape == HTTP_SHAPE_PARTIAL_LIST && call->request.verb == CUBE_VERB_GET)
    return unfit (call, "you requested PartialObjectMetadataList, but the requested object is not a list (%s)", error);
  if (shape != HTTP_SHAPE_TABLE || include == NULL || *include == '\0' || strcmp (include, "Object") == 0
      || strcmp (include, "Metadata") == 0 || strcmp (include, "None") == 0)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unrecognized includeObject value: \"%s\"", include);
  return FALSE;
}

static gboolean
negotiate (HttpCall *call, GError **error)
{
  const char *accept = soup_message_headers_get_list (soup_server_message_get_request_headers (call->msg), "Accept");
  gboolean is_discovery = strcmp (call->url.path, "/api") == 0 || strcmp (call->url.path, "/apis") == 0;
  /* documents and health texts are served whatever is asked for */
  if (!call->url.is_resource && !is_discovery)
    return TRUE;
  if (call->sub != NULL && call->is_long)
    return TRUE;
  if (!http_negotiate (accept, is_discovery, &call->format, error))
    return FALSE;
  const char *pretty = http_query_get (&call->query, "pretty");
  call->format.is_pretty = pretty != NULL && strcmp (pretty, "0") != 0 && g_ascii_strcasecmp (pretty, "false") != 0;
  return check_shape (call, error);
}

static gboolean
begin (HttpCall *call, GError **error)
{
  const char *path = g_uri_get_path (soup_server_message_get_uri (call->msg));
  const char *query = g_uri_get_query (soup_server_message_get_uri (call->msg));
  gboolean is_parsed = http_url_parse (path == NULL || *path == '\0' ? "/" : path, &call->url, error);
  /* nobody learns anything, not even that a path is malformed, before they say who they are */
  g_autoptr (GError) unauthorized = NULL;
  if (!http_authenticate (call, &unauthorized))
    {
      g_clear_error (error);
      g_propagate_error (error, g_steal_pointer (&unauthorized));
      return FALSE;
    }
  if (!is_parsed || !http_query_parse (query, &call->query, error) || !http_impersonate (call, error))
    return FALSE;
  if (!is_served_method (call->method))
    {
      g_propagate_error (error, http_no_such_method ());
      return FALSE;
    }
  if (call->url.is_resource)
    {
      if (!http_prepare_resource (call, error))
        return FALSE;
    }
  else
    {
      g_autofree char *verb = g_ascii_strdown (call->method, -1);
      if (!http_authorize (call, strcmp (verb, "head") == 0 ? "get" : verb, error))
        return FALSE;
    }
  return negotiate (call, error) && check_length (call, error);
}

void
http_handle_early (SoupServer *soup, SoupServerMessage *msg, const char *path, GHashTable *query, gpointer data)
{
  HttpWorker *worker = data;
  if (call_quark == 0)
    call_quark = g_quark_from_static_string ("cube-http-call");
  HttpCall *call = g_new0 (HttpCall, 1);
  call->worker = worker;
  call->server = worker->server;
  call->msg = msg;
  call->method = soup_server_message_get_method (msg);
  call->started_us = cube_context_monotonic_us (worker->server->context);
  call->request = (CubeRequest) CUBE_REQUEST_INIT;
  g_object_set_qdata_full (G_OBJECT (msg), call_quark, call, call_free);
  HttpConn *conn = http_conn_get (msg);
  if (conn != NULL)
    {
      conn->is_used = TRUE;
      http_conn_set_phase (conn, HTTP_PHASE_READING);
    }
  soup_message_headers_remove (soup_server_message_get_request_headers (msg), "Range");
  set_standard_headers (call);
  GError *error = NULL;
  if (!begin (call, &error))
    http_respond_error (call, error);
  else if (call->is_long || count_in (call))
    {
      if (is_write (call->method))
        g_signal_connect (msg, "got-chunk", G_CALLBACK (got_chunk), call);
      return;
    }
  drop_body (call);
}

void
http_handle (SoupServer *soup, SoupServerMessage *msg, const char *path, GHashTable *query, gpointer data)
{
  HttpCall *call = http_call_get (msg);
  if (call == NULL)
    return;
  http_conn_set_phase (http_conn_get (msg), HTTP_PHASE_RUNNING);
  call->is_executing = TRUE;
  g_object_ref (msg);
  if (strcmp (call->method, "OPTIONS") == 0)
    http_respond_plain (call, 405, "Method Not Allowed\n");
  else if (call->url.is_resource)
    http_run_resource (call);
  else
    http_run_path (call);
  g_object_unref (msg);
}

void
http_call_finish (HttpCall *call)
{
  http_conn_set_phase (http_conn_get (call->msg), HTTP_PHASE_WRITING);
  if (call->is_paused)
    {
      call->is_paused = FALSE;
      soup_server_message_unpause (call->msg);
    }
}
