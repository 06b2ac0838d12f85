/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy subresources: a request is handed to a pod, a service's pod or a node, its answer streamed back a block at a time. No redirect is followed, no
 * credential of ours or the client's goes along, the connection goes to the address that was checked. */
#include "http.h"
#include "proxy-target.h"
#include <string.h>

typedef struct {
  HttpCall *call; /* NULL once the client has gone */
  SoupServerMessage *msg;
  HttpWorker *worker;
  HttpProxyTarget target;
  GError *error;
  CubeValue *summary; /* the agent's answer */
  SoupMessage *upstream;
  GInputStream *stream;
  GCancellable *cancellable;
  gboolean is_reading, is_ended;
  char *resource, *ns, *name; /* copies for the worker's thread */
  char *path;                 /* behind …/proxy, escaped, "" or with its slash */
} Proxy;

static void
proxy_free (gpointer data)
{
  Proxy *proxy = data;
  http_proxy_target_clear (&proxy->target);
  g_clear_error (&proxy->error);
  cube_value_unref (proxy->summary);
  g_clear_object (&proxy->stream);
  g_clear_object (&proxy->upstream);
  g_object_unref (proxy->cancellable);
  g_object_unref (proxy->msg);
  g_free (proxy->resource);
  g_free (proxy->ns);
  g_free (proxy->name);
  g_free (proxy->path);
  g_free (proxy);
}

/* ---- what goes on and what does not ---- */

static gboolean
is_between_neighbours (const char *name)
{
  static const char *const hop_by_hop[] = {
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade",    NULL
  };
  g_autofree char *lower = g_ascii_strdown (name, -1);
  return g_strv_contains (hop_by_hop, lower);
}

static void
copy_request_header (const char *name, const char *value, gpointer data)
{
  if (is_between_neighbours (name) || g_ascii_strcasecmp (name, "Host") == 0 || g_ascii_strcasecmp (name, "Authorization") == 0
      || g_ascii_strcasecmp (name, "Content-Length") == 0 || g_ascii_strcasecmp (name, "Expect") == 0
      || g_ascii_strncasecmp (name, "Impersonate-", 12) == 0 || g_ascii_strncasecmp (name, "X-Remote-", 9) == 0
      || g_ascii_strncasecmp (name, "X-Forwarded-", 12) == 0)
    return;
  soup_message_headers_append (data, name, value);
}

static void
copy_answer_header (const char *name, const char *value, gpointer data)
{
  static const char *const of_our_origin[] = { "access-control-allow-origin",   "access-control-allow-methods",
                                               "access-control-allow-headers",  "access-control-allow-credentials",
                                               "access-control-expose-headers", NULL };
  g_autofree char *lower = g_ascii_strdown (name, -1);
  if (is_between_neighbours (name) || g_strv_contains (of_our_origin, lower) || strcmp (lower, "content-length") == 0
      || strcmp (lower, "location") == 0 || strcmp (lower, "audit-id") == 0)
    return;
  soup_message_headers_append (data, name, value);
}

/* What the client must ask for to get there: a place on the same host is below …/proxy. */
static void
copy_location (Proxy *proxy, SoupMessageHeaders *from, SoupMessageHeaders *to)
{
  const char *location = soup_message_headers_get_one (from, "Location");
  GUri *base = soup_message_get_uri (proxy->upstream);
  g_autoptr (GUri) there = location != NULL ? g_uri_parse_relative (base, location, SOUP_HTTP_URI_FLAGS, NULL) : NULL;
  const char *own = g_uri_get_path (soup_server_message_get_uri (proxy->msg)), *end = strstr (own, "/proxy");
  if (location == NULL)
    return;
  if (there == NULL || end == NULL || g_strcmp0 (g_uri_get_host (there), g_uri_get_host (base)) != 0
      || g_uri_get_port (there) != g_uri_get_port (base))
    {
      soup_message_headers_append (to, "Location", location);
      return;
    }
  g_autofree char *text =
      g_strdup_printf ("%.*s/proxy%s%s%s", (int) (end - own), own, g_uri_get_path (there), g_uri_get_query (there) != NULL ? "?" : "",
                       g_uri_get_query (there) != NULL ? g_uri_get_query (there) : "");
  soup_message_headers_append (to, "Location", text);
}

/* ---- the answer ---- */

static void read_block (Proxy *proxy);

static void
append_block (Proxy *proxy, GBytes *bytes)
{
  SoupMessageBody *body = soup_server_message_get_response_body (proxy->msg);
  if (g_bytes_get_size (bytes) > 0)
    soup_message_body_append_bytes (body, bytes);
  else
    {
      proxy->is_ended = TRUE;
      soup_message_body_complete (body);
    }
  soup_server_message_unpause (proxy->msg);
}

/* Halfway the only way to say that something is missing is to break off. */
static void
break_off (Proxy *proxy)
{
  HttpConn *conn = http_conn_get (proxy->msg);
  proxy->is_ended = TRUE;
  if (conn != NULL)
    http_conn_abort (conn);
  soup_message_body_complete (soup_server_message_get_response_body (proxy->msg));
  soup_server_message_unpause (proxy->msg);
}

static void
block_read (GObject *source, GAsyncResult *result, gpointer data)
{
  Proxy *proxy = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_input_stream_read_bytes_finish (G_INPUT_STREAM (source), result, &error);
  proxy->is_reading = FALSE;
  if (proxy->call == NULL)
    proxy_free (proxy);
  else if (bytes != NULL)
    append_block (proxy, bytes);
  else
    break_off (proxy);
}

static void
read_block (Proxy *proxy)
{
  proxy->is_reading = TRUE;
  g_input_stream_read_bytes_async (proxy->stream, HTTP_BLOCK, G_PRIORITY_DEFAULT, proxy->cancellable, block_read, proxy);
}

static void
wrote_chunk (SoupServerMessage *msg, gpointer data)
{
  Proxy *proxy = data;
  if (!proxy->is_ended && !proxy->is_reading)
    read_block (proxy);
}

/* The exchange is over, or the client has gone. */
static void
finished (SoupServerMessage *msg, gpointer data)
{
  Proxy *proxy = data;
  g_signal_handlers_disconnect_by_data (msg, proxy);
  proxy->call = NULL;
  g_cancellable_cancel (proxy->cancellable);
  if (!proxy->is_reading)
    cube_loop_post (proxy->worker->loop, proxy_free, proxy, NULL);
}

static void
fail (Proxy *proxy, GError *error)
{
  HttpCall *call = proxy->call;
  g_signal_handlers_disconnect_by_data (proxy->msg, proxy);
  http_respond_error (call, error);
  http_call_finish (call);
  proxy_free (proxy);
}

static void
begin_answer (Proxy *proxy)
{
  HttpCall *call = proxy->call;
  SoupMessageHeaders *from = soup_message_get_response_headers (proxy->upstream),
                     *to = soup_server_message_get_response_headers (proxy->msg);
  gboolean has_length = soup_message_headers_get_encoding (from) == SOUP_ENCODING_CONTENT_LENGTH;
  call->status = soup_message_get_status (proxy->upstream);
  soup_server_message_set_status (proxy->msg, call->status, soup_message_get_reason_phrase (proxy->upstream));
  soup_message_headers_remove (to, "Cache-Control"); /* the answer's own, if any */
  soup_message_headers_foreach (from, copy_answer_header, to);
  copy_location (proxy, from, to);
  if (has_length)
    soup_message_headers_set_content_length (to, soup_message_headers_get_content_length (from));
  else if (soup_server_message_get_http_version (proxy->msg) == SOUP_HTTP_1_0)
    soup_message_headers_set_encoding (to, SOUP_ENCODING_EOF);
  else
    soup_message_headers_set_encoding (to, SOUP_ENCODING_CHUNKED);
  if (call->status == 204 || call->status == 304) /* libsoup ends the connection after an answer without a length: the client is to know */
    {
      soup_message_headers_set_encoding (to, SOUP_ENCODING_NONE);
      soup_message_headers_replace (to, "Connection", "close");
    }
  soup_message_body_set_accumulate (soup_server_message_get_response_body (proxy->msg), FALSE);
  g_signal_connect (proxy->msg, "wrote-chunk", G_CALLBACK (wrote_chunk), proxy);
  call->is_paused = FALSE;
  read_block (proxy); /* the head goes with it */
}

/* In the words clients of Kubernetes know. */
static GError *
unreachable (Proxy *proxy, const GError *why)
{
  const char *known = g_error_matches (why, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED)    ? "connection refused"
                      : g_error_matches (why, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE)    ? "no route to host"
                      : g_error_matches (why, G_IO_ERROR, G_IO_ERROR_NETWORK_UNREACHABLE) ? "network is unreachable"
                      : g_error_matches (why, G_IO_ERROR, G_IO_ERROR_TIMED_OUT)           ? "connection timed out"
                                                                                          : NULL;
  guint port = proxy->target.port > 0 ? proxy->target.port : strcmp (proxy->target.scheme, "https") == 0 ? 443 : 80;
  if (known == NULL)
    return g_error_new (CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "error trying to reach service: %s", why->message);
  return g_error_new (CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "error trying to reach service: dial tcp %s:%u: connect: %s",
                      proxy->target.host, port, known);
}

static void
answered (GObject *session, GAsyncResult *result, gpointer data)
{
  Proxy *proxy = data;
  g_autoptr (GError) error = NULL;
  proxy->stream = soup_session_send_finish (SOUP_SESSION (session), result, &error);
  proxy->is_reading = FALSE;
  if (proxy->call == NULL)
    proxy_free (proxy);
  else if (proxy->stream == NULL)
    fail (proxy, unreachable (proxy, error));
  else
    begin_answer (proxy);
}

/* ---- the request ---- */

static gboolean
accept_any_certificate (SoupMessage *msg, GTlsCertificate *certificate, GTlsCertificateFlags errors, gpointer data)
{
  return TRUE; /* a pod's certificate names nobody: as Kubernetes */
}

static void
add_forwarded (Proxy *proxy, SoupMessageHeaders *headers)
{
  SoupMessageHeaders *asked = soup_server_message_get_request_headers (proxy->msg);
  const char *host = soup_message_headers_get_one (asked, "Host"), *before = soup_message_headers_get_list (asked, "X-Forwarded-For");
  HttpConn *conn = http_conn_get (proxy->msg);
  const char *remote = conn != NULL ? http_conn_remote (conn) : "";
  g_autofree char *chain = before != NULL ? g_strdup_printf ("%s, %s", before, remote) : g_strdup (remote);
  soup_message_headers_replace (headers, "X-Forwarded-For", chain);
  soup_message_headers_replace (headers, "X-Forwarded-Uri", g_uri_get_path (soup_server_message_get_uri (proxy->msg)));
  soup_message_headers_replace (headers, "X-Forwarded-Proto", "https");
  if (host != NULL)
    soup_message_headers_replace (headers, "X-Forwarded-Host", host);
}

static SoupSession *
get_session (HttpWorker *worker)
{
  if (worker->proxies == NULL)
    {
      worker->proxies = g_object_new (SOUP_TYPE_SESSION, "max-conns", 256, "max-conns-per-host", 64, "idle-timeout", 10, "timeout", 0,
                                      "proxy-resolver", NULL, "user-agent", NULL, NULL);
      soup_session_remove_feature_by_type (worker->proxies, SOUP_TYPE_CONTENT_DECODER);
    }
  return worker->proxies;
}

static void
send_request (Proxy *proxy)
{
  HttpCall *call = proxy->call;
  g_autoptr (GUri) uri = g_uri_build (SOUP_HTTP_URI_FLAGS | G_URI_FLAGS_ENCODED, proxy->target.scheme, NULL, proxy->target.host,
                                      proxy->target.port > 0 ? proxy->target.port : -1, *proxy->path != '\0' ? proxy->path : "/",
                                      g_uri_get_query (soup_server_message_get_uri (proxy->msg)), NULL);
  g_autoptr (GBytes) body = soup_message_body_flatten (soup_server_message_get_request_body (proxy->msg));
  SoupMessageHeaders *asked = soup_server_message_get_request_headers (proxy->msg);
  proxy->upstream = soup_message_new_from_uri (call->method, uri);
  soup_message_add_flags (proxy->upstream, SOUP_MESSAGE_NO_REDIRECT | SOUP_MESSAGE_DO_NOT_USE_AUTH_CACHE);
  g_signal_connect (proxy->upstream, "accept-certificate", G_CALLBACK (accept_any_certificate), NULL);
  SoupMessageHeaders *headers = soup_message_get_request_headers (proxy->upstream);
  if (body != NULL && g_bytes_get_size (body) > 0)
    soup_message_set_request_body_from_bytes (proxy->upstream, NULL, body);
  soup_message_headers_foreach (asked, copy_request_header, headers);
  add_forwarded (proxy, headers);
  soup_message_body_truncate (soup_server_message_get_request_body (proxy->msg));
  proxy->is_reading = TRUE;
  soup_session_send_async (get_session (proxy->worker), proxy->upstream, G_PRIORITY_DEFAULT, proxy->cancellable, answered, proxy);
}

/* ---- the node's agent, in place of a kubelet's port ---- */

static void
ask_agent (Proxy *proxy)
{
  const CubeImpl *agent = cube_registry_lookup (proxy->worker->server->registry, CUBE_NODE_AGENT, proxy->target.node);
  if (agent == NULL)
    agent = cube_registry_lookup (proxy->worker->server->registry, CUBE_NODE_AGENT, "*");
  const CubeNodeAgentOps *ops = agent != NULL ? agent->ops : NULL;
  if (strcmp (proxy->path, "/stats/summary") != 0 && strcmp (proxy->path, "/healthz") != 0)
    g_set_error_literal (&proxy->error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "the server could not find the requested resource");
  else if (ops == NULL || (strcmp (proxy->path, "/stats/summary") == 0 && !CUBE_OPS_HAS (ops, stats_summary)))
    g_set_error (&proxy->error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE,
                 "error trying to reach service: the agent of node \"%s\" cannot be reached from this server", proxy->target.node);
  else if (strcmp (proxy->path, "/stats/summary") == 0)
    proxy->summary = ops->stats_summary (agent->state, &proxy->error);
  if (agent != NULL)
    cube_impl_unref (agent);
}

static void
answer_of_agent (Proxy *proxy)
{
  HttpCall *call = proxy->call;
  g_signal_handlers_disconnect_by_data (proxy->msg, proxy);
  if (proxy->summary != NULL)
    http_respond_value (call, 200, proxy->summary);
  else
    http_respond_plain (call, 200, "ok");
  http_call_finish (call);
  proxy_free (proxy);
}

/* ---- beginning ---- */

static void
find_work (gpointer data)
{
  Proxy *proxy = data;
  HttpServer *server = proxy->worker->server;
  if (http_proxy_find (server->client, server->schema, proxy->resource, proxy->ns, proxy->name, &proxy->target, &proxy->error)
      && proxy->target.node != NULL)
    ask_agent (proxy);
}

static void
found (gpointer data)
{
  Proxy *proxy = data;
  proxy->is_reading = FALSE;
  if (proxy->call == NULL)
    proxy_free (proxy);
  else if (proxy->error != NULL)
    fail (proxy, g_steal_pointer (&proxy->error));
  else if (proxy->target.node != NULL)
    answer_of_agent (proxy);
  else
    send_request (proxy);
}

/* The rest of the path as it is to be asked for: the parser's segments, escaped again. */
static char *
escape_path (const HttpUrl *url)
{
  g_autofree char *rest =
      url->subpath != NULL ? g_uri_escape_string (url->subpath, G_URI_RESERVED_CHARS_SUBCOMPONENT_DELIMITERS ":@/", FALSE) : NULL;
  return g_strconcat (rest != NULL ? rest : "", url->has_trailing_slash ? "/" : "", NULL);
}

/* …/proxy without a slash is no place relative links could start from. */
static gboolean
redirect_to_root (HttpCall *call)
{
  if (call->url.subpath != NULL || call->url.has_trailing_slash
      || (strcmp (call->method, "GET") != 0 && strcmp (call->method, "HEAD") != 0))
    return FALSE;
  GUri *uri = soup_server_message_get_uri (call->msg);
  g_autofree char *location = g_strdup_printf ("%s/%s%s", g_uri_get_path (uri), g_uri_get_query (uri) != NULL ? "?" : "",
                                               g_uri_get_query (uri) != NULL ? g_uri_get_query (uri) : "");
  soup_message_headers_replace (soup_server_message_get_response_headers (call->msg), "Location", location);
  http_respond_text (call, 301, "text/html; charset=utf-8", g_strdup (""), 0);
  return TRUE;
}

void
http_run_proxy (HttpCall *call)
{
  if (redirect_to_root (call))
    return;
  if (soup_message_headers_get_list (soup_server_message_get_request_headers (call->msg), "Upgrade") != NULL)
    {
      http_respond_error (
          call, g_error_new_literal (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "proxy: protocol upgrades are not proxied; use port-forward"));
      return;
    }
  Proxy *proxy = g_new0 (Proxy, 1);
  proxy->call = call;
  proxy->msg = g_object_ref (call->msg);
  proxy->worker = call->worker;
  proxy->cancellable = g_cancellable_new ();
  proxy->resource = g_strdup (call->resource->resource);
  proxy->ns = g_strdup (call->url.ns);
  proxy->name = g_strdup (call->url.name);
  proxy->path = escape_path (&call->url);
  g_signal_connect (proxy->msg, "finished", G_CALLBACK (finished), proxy);
  g_signal_connect (proxy->msg, "disconnected", G_CALLBACK (finished), proxy);
  call->is_paused = TRUE;
  soup_server_message_pause (call->msg);
  proxy->is_reading = TRUE;
  cube_context_run_blocking (call->server->context, find_work, call->worker->loop, found, proxy);
}
