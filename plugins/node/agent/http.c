/* SPDX-License-Identifier: Apache-2.0 */
/* One GET for probes and hooks: blocking, no keep-alive, no proxy, TLS not verified; a redirect only within the same host. */
#include "agent.h"
#include <string.h>

#define MAX_BODY 10240
#define MAX_HEAD 65536
#define MAX_REDIRECTS 10

typedef struct {
  char *scheme, *host, *path;
  guint16 port;
} Target;

static void
target_clear (Target *target)
{
  g_free (target->scheme);
  g_free (target->host);
  g_free (target->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Target, target_clear)

static gboolean
accept_any (GTlsConnection *connection, GTlsCertificate *certificate, GTlsCertificateFlags errors, gpointer data)
{
  return TRUE;
}

static void
on_client_event (GSocketClient *client, GSocketClientEvent event, GSocketConnectable *connectable, GIOStream *stream, gpointer data)
{
  if (event == G_SOCKET_CLIENT_TLS_HANDSHAKING)
    g_signal_connect (stream, "accept-certificate", G_CALLBACK (accept_any), NULL);
}

/* A header of the user's may not bring a line of its own. */
static gboolean
is_clean (const char *text)
{
  return text != NULL && strpbrk (text, "\r\n") == NULL;
}

static char *
format_request (const NodeHttpRequest *request, const Target *target)
{
  g_autoptr (GString) head = g_string_new (NULL);
  g_autoptr (GString) more = g_string_new (NULL);
  const char *host = NULL, *agent = request->user_agent, *accept = "*/*";
  gboolean is_default_port = (g_str_equal (target->scheme, "https") ? 443 : 80) == target->port;
  CubeIter it;
  CubeView header;
  for (cube_iter_init (&it, request->headers); cube_iter_next (&it, NULL, &header);)
    {
      const char *name = cube_view_get_string (header, "name"), *value = cube_view_get_string (header, "value");
      if (!is_clean (name) || !is_clean (value))
        continue;
      if (g_ascii_strcasecmp (name, "Host") == 0)
        host = value;
      else if (g_ascii_strcasecmp (name, "User-Agent") == 0)
        agent = value;
      else if (g_ascii_strcasecmp (name, "Accept") == 0)
        accept = value;
      else
        g_string_append_printf (more, "%s: %s\r\n", name, value);
    }
  g_string_append_printf (head, "GET %s HTTP/1.1\r\n", target->path);
  if (host != NULL)
    g_string_append_printf (head, "Host: %s\r\n", host);
  else if (is_default_port)
    g_string_append_printf (head, "Host: %s\r\n", target->host);
  else
    g_string_append_printf (head, strchr (target->host, ':') != NULL ? "Host: [%s]:%u\r\n" : "Host: %s:%u\r\n", target->host, target->port);
  g_string_append_printf (head, "User-Agent: %s\r\n", agent);
  if (*accept != '\0')
    g_string_append_printf (head, "Accept: %s\r\n", accept);
  g_string_append_printf (head, "%sConnection: close\r\n\r\n", more->str);
  return g_string_free (g_steal_pointer (&head), FALSE);
}

/* "HTTP/1.1 200 OK" → 200; 0 = no answer of that kind */
static guint
parse_status (const char *line)
{
  const char *space = strchr (line, ' ');
  return g_str_has_prefix (line, "HTTP/") && space != NULL ? (guint) g_ascii_strtoull (space + 1, NULL, 10) : 0;
}

static gboolean
read_answer (GInputStream *input, GCancellable *cancellable, guint *ret_status, char **ret_location, GString *body, GError **error)
{
  g_autoptr (GDataInputStream) lines = g_data_input_stream_new (input);
  gsize spent = 0;
  g_data_input_stream_set_newline_type (lines, G_DATA_STREAM_NEWLINE_TYPE_ANY);
  g_autofree char *first = g_data_input_stream_read_line (lines, NULL, cancellable, error);
  if (first == NULL || (*ret_status = parse_status (first)) == 0)
    {
      if (error != NULL && *error == NULL)
        g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, first == NULL ? "EOF" : "malformed HTTP response");
      return FALSE;
    }
  for (;;)
    {
      g_autofree char *line = g_data_input_stream_read_line (lines, NULL, cancellable, error);
      if (line == NULL || *line == '\0')
        break;
      if ((spent += strlen (line)) > MAX_HEAD)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "response head is larger than %d bytes", MAX_HEAD);
          return FALSE;
        }
      if (g_ascii_strncasecmp (line, "Location:", 9) == 0)
        {
          g_free (*ret_location);
          *ret_location = g_strdup (g_strstrip (line + 9));
        }
    }
  while (body->len < MAX_BODY)
    {
      char chunk[2048];
      gssize n = g_input_stream_read (G_INPUT_STREAM (lines), chunk, MIN (sizeof chunk, MAX_BODY - body->len), cancellable, NULL);
      if (n <= 0)
        break;
      g_string_append_len (body, chunk, n);
    }
  return TRUE;
}

/* What went wrong in the words that Kubernetes' users know. */
static void
set_words (GError **error, const GError *problem, const char *host, guint16 port)
{
  g_autofree char *address = g_strdup_printf (strchr (host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
  if (g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_CONNECTION_REFUSED))
    g_set_error (error, problem->domain, problem->code, "dial tcp %s: connect: connection refused", address);
  else if (g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    g_set_error (error, problem->domain, problem->code, "dial tcp %s: i/o timeout", address);
  else if (g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_HOST_UNREACHABLE))
    g_set_error (error, problem->domain, problem->code, "dial tcp %s: connect: no route to host", address);
  else
    g_set_error (error, problem->domain, problem->code, "dial tcp %s: %s", address, problem->message);
}

static gboolean
get_once (const NodeHttpRequest *request, const Target *target, guint *ret_status, char **ret_location, GString *body, GError **error)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autofree char *text = format_request (request, target);
  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_set_timeout (client, (guint) MAX (request->timeout_us / G_USEC_PER_SEC, 1));
  if (g_str_equal (target->scheme, "https"))
    {
      g_socket_client_set_tls (client, TRUE);
      g_signal_connect (client, "event", G_CALLBACK (on_client_event), NULL);
    }
  g_autoptr (GError) problem = NULL;
  g_autoptr (GSocketConnection) connection =
      g_socket_client_connect_to_host (client, target->host, target->port, request->cancellable, &problem);
  if (connection == NULL)
    {
      set_words (error, problem, target->host, target->port);
      return FALSE;
    }
  if (!g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), text, strlen (text), NULL, request->cancellable,
                                  error))
    return FALSE;
  gboolean ok =
      read_answer (g_io_stream_get_input_stream (G_IO_STREAM (connection)), request->cancellable, ret_status, ret_location, body, &problem);
  if (g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    g_set_error (error, problem->domain, problem->code, "context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
  else if (problem != NULL)
    g_propagate_error (error, g_steal_pointer (&problem));
  g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
  return ok;
}

/* Where a redirect leads; FALSE: to another host, or nowhere. */
static gboolean
follow (Target *target, const char *location)
{
  if (*location == '/' && location[1] != '/')
    {
      g_free (target->path);
      target->path = g_strdup (location);
      return is_clean (location);
    }
  g_autoptr (GUri) uri = g_uri_parse (location, G_URI_FLAGS_ENCODED, NULL);
  if (uri == NULL || g_uri_get_host (uri) == NULL || g_ascii_strcasecmp (g_uri_get_host (uri), target->host) != 0
      || (!g_str_equal (g_uri_get_scheme (uri), "http") && !g_str_equal (g_uri_get_scheme (uri), "https")))
    return FALSE;
  gboolean is_tls = g_str_equal (g_uri_get_scheme (uri), "https");
  g_free (target->scheme);
  g_free (target->path);
  target->scheme = g_strdup (g_uri_get_scheme (uri));
  target->port = (guint16) (g_uri_get_port (uri) > 0 ? g_uri_get_port (uri) : is_tls ? 443 : 80);
  target->path = g_uri_get_query (uri) != NULL ? g_strdup_printf ("%s?%s", g_uri_get_path (uri), g_uri_get_query (uri))
                                               : g_strdup (g_uri_get_path (uri));
  return is_clean (target->path);
}

/* What may stand in a request line: the rest is escaped. */
static char *
clean_path (const char *path)
{
  g_autofree char *escaped = g_uri_escape_string (path != NULL ? path : "/", "/?&=:@!$'()*+,;%~-._[]", FALSE);
  return *escaped == '/' ? g_steal_pointer (&escaped) : g_strconcat ("/", escaped, NULL);
}

gboolean
node_http_get (const NodeHttpRequest *request, guint *ret_status, char **ret_body, gboolean *ret_is_foreign_redirect, GError **error)
{
  g_auto (Target) target = { g_ascii_strdown (request->scheme != NULL ? request->scheme : "http", -1), g_strdup (request->host),
                             clean_path (request->path), request->port };
  for (guint hop = 0; hop <= MAX_REDIRECTS; hop++)
    {
      g_autofree char *location = NULL;
      g_autoptr (GString) body = g_string_new (NULL);
      if (!get_once (request, &target, ret_status, &location, body, error))
        {
          g_prefix_error (error, strchr (target.host, ':') != NULL ? "Get \"%s://[%s]:%u%s\": " : "Get \"%s://%s:%u%s\": ", target.scheme,
                          target.host, target.port, target.path);
          return FALSE;
        }
      gboolean is_redirect = (*ret_status >= 301 && *ret_status <= 303) || *ret_status == 307 || *ret_status == 308;
      if (is_redirect && location != NULL && follow (&target, location))
        continue;
      *ret_is_foreign_redirect = *ret_status >= 300 && *ret_status < 400;
      *ret_body = g_utf8_make_valid (body->str, (gssize) body->len);
      return TRUE;
    }
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "Get \"%s\": stopped after %d redirects", target.path, MAX_REDIRECTS);
  return FALSE;
}

gboolean
node_port_resolve (CubeView port, CubeView container, guint16 *ret_port, GError **error)
{
  const char *name = cube_view_string (port);
  gint64 number = cube_view_int (port, 0);
  CubeIter it;
  CubeView entry;
  if (name != NULL)
    {
      char *end = NULL;
      for (cube_iter_init (&it, cube_view_member (container, "ports")); cube_iter_next (&it, NULL, &entry);)
        if (g_strcmp0 (cube_view_get_string (entry, "name"), name) == 0)
          number = cube_view_get_int (entry, 0, "containerPort");
      if (number == 0)
        {
          number = g_ascii_strtoll (name, &end, 10);
          if (end == name || *end != '\0')
            {
              g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "strconv.Atoi: parsing \"%s\": invalid syntax", name);
              return FALSE;
            }
        }
    }
  if (number <= 0 || number > 65535)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "invalid port number: %" G_GINT64_FORMAT, number);
      return FALSE;
    }
  *ret_port = (guint16) number;
  return TRUE;
}

gboolean
node_tcp_probe (const char *host, guint16 port, gint64 timeout_us, GError **error)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_socket_client_set_enable_proxy (client, FALSE);
  g_socket_client_set_timeout (client, (guint) MAX (timeout_us / G_USEC_PER_SEC, 1));
  g_autoptr (GError) problem = NULL;
  g_autoptr (GSocketConnection) connection = g_socket_client_connect_to_host (client, host, port, NULL, &problem);
  if (connection == NULL)
    {
      set_words (error, problem, host, port);
      return FALSE;
    }
  g_io_stream_close (G_IO_STREAM (connection), NULL, NULL);
  return TRUE;
}
