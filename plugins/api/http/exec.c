/* SPDX-License-Identifier: Apache-2.0 */
/* exec, attach and port-forward: the handshakes of Kubernetes' streaming clients and the subprotocols over WebSocket. */
#include "exec.h"
#include "tunnel.h"
#include <string.h>

#define CLOSE_SIGNAL 255

static const struct {
  const char *name;
  guint version;
  gboolean is_base64;
} protocols[] = {
  { "v5.channel.k8s.io", 5, FALSE }, { "v4.channel.k8s.io", 4, FALSE },    { "v4.base64.channel.k8s.io", 4, TRUE },
  { "channel.k8s.io", 1, FALSE },    { "base64.channel.k8s.io", 1, TRUE },
};

/* ---- frames ---- */

static void
append_message (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length)
{
  if (!session->is_base64)
    {
      guint8 prefix = (guint8) channel;
      http_ws_append (out, HTTP_WS_BINARY, &prefix, 1, bytes, length);
      return;
    }
  g_autofree char *text = g_base64_encode (bytes != NULL ? bytes : (const guint8 *) "", length);
  char prefix = (char) ('0' + channel);
  http_ws_append (out, HTTP_WS_TEXT, &prefix, 1, text, strlen (text));
}

static void
append_close (GByteArray *out, guint16 code)
{
  guint8 payload[2] = { (guint8) (code >> 8), (guint8) code };
  http_ws_append (out, HTTP_WS_CLOSE, NULL, 0, payload, sizeof payload);
}

GString *
http_exec_end_text (HttpSession *session, const CubeValue *status)
{
  GString *text = g_string_new (NULL);
  CubeView root = status != NULL ? cube_value_root (status) : cube_view_none ();
  gboolean is_success = status == NULL || g_strcmp0 (cube_view_get_string (root, "status"), "Success") == 0;
  if (session->version >= 4)
    {
      if (status != NULL)
        cube_view_append_json (root, text);
      else
        g_string_append (text, "{\"metadata\":{},\"status\":\"Success\"}");
    }
  else if (!is_success)
    g_string_append (text, cube_view_string_or (cube_view_member (root, "message"), "failed"));
  return text;
}

static void
exec_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
  g_autoptr (GString) text = http_exec_end_text (session, status);
  if (text->len > 0)
    append_message (session, out, CUBE_CHANNEL_ERROR, text->str, text->len);
  append_close (out, 1000);
}

static char *
ws_make_head (HttpSession *session)
{
  GString *head = g_string_new ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  g_string_append_printf (head, "Sec-WebSocket-Accept: %s\r\n", session->accept);
  if (session->protocol != NULL)
    g_string_append_printf (head, "Sec-WebSocket-Protocol: %s\r\n", session->protocol);
  g_string_append (head, "\r\n");
  return g_string_free (head, FALSE);
}

/* ---- from the client ---- */

static void
break_off (HttpSession *session, guint16 code)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  append_close (out, code);
  http_session_write (session, out);
  http_session_close (session);
}

void
http_exec_resize (HttpSession *session, const char *json, gsize length)
{
  CubeParseLimits limits = { .max_bytes = 1024, .max_depth = 4 };
  g_autoptr (CubeValue) size = cube_value_from_json (json, (gssize) length, &limits, NULL);
  if (size == NULL)
    return;
  gint64 columns = cube_view_int (cube_value_get (size, "Width"), 0), rows = cube_view_int (cube_value_get (size, "Height"), 0);
  if (columns > 0 && columns <= G_MAXUINT16 && rows > 0 && rows <= G_MAXUINT16)
    http_session_resize (session, (guint16) columns, (guint16) rows);
}

static void
take_message (HttpSession *session, guint channel, const guint8 *bytes, gsize length)
{
  gboolean is_forward = session->n_ports > 0;
  if (is_forward)
    {
      if (channel % 2 == 0 && channel / 2 < session->n_ports && length > 0)
        http_session_send (session, channel, bytes, length);
    }
  else if (channel == CUBE_CHANNEL_STDIN && session->has_stdin)
    {
      /* before v5 an empty message is the only way to say the end */
      if (length > 0)
        http_session_send (session, CUBE_CHANNEL_STDIN, bytes, length);
      else if (session->version < 5)
        http_session_send (session, CUBE_CHANNEL_STDIN, NULL, 0);
    }
  else if (channel == CUBE_CHANNEL_RESIZE && session->tty)
    http_exec_resize (session, (const char *) bytes, length);
  else if (channel == CLOSE_SIGNAL && session->version >= 5 && length == 1 && bytes[0] == CUBE_CHANNEL_STDIN && session->has_stdin)
    http_session_send (session, CUBE_CHANNEL_STDIN, NULL, 0);
}

static void
take_text (HttpSession *session, const guint8 *bytes, gsize length)
{
  gsize n = 0;
  g_autofree char *text = g_strndup ((const char *) bytes + 1, length - 1);
  g_autofree guint8 *decoded = g_base64_decode (text, &n);
  take_message (session, (guint) (bytes[0] - '0'), decoded, n);
}

static void
on_frame (HttpWsOpcode opcode, const guint8 *bytes, gsize length, gpointer data)
{
  HttpSession *session = data;
  g_autoptr (GByteArray) out = NULL;
  if (session->stream == NULL)
    return;
  switch (opcode)
    {
    case HTTP_WS_PING:
      out = g_byte_array_new ();
      http_ws_append (out, HTTP_WS_PONG, NULL, 0, bytes, length);
      http_session_write (session, out);
      break;
    case HTTP_WS_CLOSE: break_off (session, 1000); break;
    case HTTP_WS_TEXT:
    case HTTP_WS_BINARY:
      if (session->tunnel != NULL)
        {
          if (!http_tunnel_feed (session->tunnel, bytes, length))
            break_off (session, 1002);
        }
      else if (length > 0 && session->is_base64)
        take_text (session, bytes, length);
      else if (length > 0)
        take_message (session, bytes[0], bytes + 1, length - 1);
      break;
    default: break;
    }
}

static void
ws_received (HttpSession *session, const void *bytes, gsize length)
{
  if (session->stream != NULL && !http_ws_read (&session->reader, bytes, length, on_frame, session))
    break_off (session, 1002);
}

/* ---- to the agent ---- */

gboolean
http_exec_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error)
{
  gboolean is_exec = strcmp (session->kind, "exec") == 0;
  if (is_exec && CUBE_OPS_HAS (agent, exec))
    return agent->exec (state, session->ns, session->pod, session->uid, session->container, (const char *const *) session->command,
                        session->has_stdin, session->has_stdout, session->has_stderr, session->tty, &http_session_sink, session,
                        &session->backend, error);
  if (!is_exec && CUBE_OPS_HAS (agent, attach))
    return agent->attach (state, session->ns, session->pod, session->uid, session->container, session->has_stdin, session->has_stdout,
                          session->has_stderr, session->tty, &http_session_sink, session, &session->backend, error);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED, "the agent of node \"%s\" has no %s", session->node, session->kind);
  return FALSE;
}

static gboolean
forward_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error)
{
  if (!CUBE_OPS_HAS (agent, port_forward))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED, "the agent of node \"%s\" has no port-forward", session->node);
      return FALSE;
    }
  if (session->n_ports == 0) /* the tunnel asks for each port when a connection comes */
    return TRUE;
  return agent->port_forward (state, session->ns, session->pod, session->uid, session->ports, session->n_ports, &http_session_sink, session,
                              &session->backend, error);
}

static void
forward_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
  append_close (out, 1000);
}

/* Channels of the legacy form begin with their port number. */
static char *
forward_make_head (HttpSession *session)
{
  g_autoptr (GByteArray) frames = g_byte_array_new ();
  for (guint i = 0; i < session->n_ports; i++)
    for (guint j = 0; j < 2; j++)
      {
        guint8 port[2] = { (guint8) session->ports[i], (guint8) (session->ports[i] >> 8) };
        append_message (session, frames, 2 * i + j, port, sizeof port);
      }
  g_mutex_lock (&session->lock);
  g_byte_array_prepend (session->out, frames->data, frames->len);
  g_mutex_unlock (&session->lock);
  if (session->n_ports == 0)
    session->tunnel = http_tunnel_new (session, &http_tunnel_forward);
  return ws_make_head (session);
}

/* ---- SPDY on the connection itself ---- */

static gboolean
spdy_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error)
{
  return TRUE; /* the tunnel asks the agent once the client has opened its streams */
}

static char *
spdy_make_head (HttpSession *session)
{
  gboolean is_forward = strcmp (session->kind, "portforward") == 0;
  session->tunnel = http_tunnel_new (session, is_forward ? &http_tunnel_forward : &http_tunnel_command);
  return g_strdup_printf ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n%s%s%s\r\n",
                          session->protocol != NULL ? "X-Stream-Protocol-Version: " : "",
                          session->protocol != NULL ? session->protocol : "", session->protocol != NULL ? "\r\n" : "");
}

static void
spdy_received (HttpSession *session, const void *bytes, gsize length)
{
  if (session->tunnel != NULL && !http_tunnel_feed (session->tunnel, bytes, length))
    http_session_close (session);
}

static void
spdy_append (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length)
{
  /* its children write for themselves */
}

static void
spdy_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
}

static const HttpSessionOps spdy_ops = { .open = spdy_open,
                                         .make_head = spdy_make_head,
                                         .append = spdy_append,
                                         .append_end = spdy_append_end,
                                         .received = spdy_received,
                                         .drained = http_tunnel_drained,
                                         .ended = http_tunnel_end };

static const HttpSessionOps exec_ops = {
  .open = http_exec_open, .make_head = ws_make_head, .append = append_message, .append_end = exec_append_end, .received = ws_received
};
static const HttpSessionOps forward_ops = { .open = forward_open,
                                            .make_head = forward_make_head,
                                            .append = append_message,
                                            .append_end = forward_append_end,
                                            .received = ws_received,
                                            .drained = http_tunnel_drained,
                                            .ended = http_tunnel_end };

/* ---- the handshake ---- */

static gboolean
bad_request (const char *message, GError **error)
{
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, message);
  return FALSE;
}

static gboolean
choose_protocol (HttpSession *session, const char *offered, GError **error)
{
  gboolean is_forward = strcmp (session->kind, "portforward") == 0;
  g_auto (GStrv) names = g_strsplit (offered != NULL ? offered : "", ",", 16);
  session->version = 1;
  if (names[0] == NULL)
    return is_forward ? bad_request ("unable to upgrade: no tunneling spdy protocols provided", error) : TRUE;
  for (guint i = 0; names[i] != NULL; i++)
    {
      const char *name = g_strstrip (names[i]);
      if (is_forward && strcmp (name, HTTP_TUNNEL_PROTOCOL) == 0)
        {
          session->protocol = g_strdup (name);
          return TRUE;
        }
      for (guint j = 0; j < G_N_ELEMENTS (protocols); j++)
        {
          if (strcmp (name, protocols[j].name) != 0 || (is_forward && protocols[j].version != 4))
            continue;
          session->protocol = g_strdup (name);
          session->version = protocols[j].version;
          session->is_base64 = protocols[j].is_base64;
          return TRUE;
        }
    }
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "unable to upgrade: unable to negotiate protocol: client supports [%s]", offered);
  return FALSE;
}

/* No version offered is the first one. */
static gboolean
choose_spdy_version (HttpSession *session, const char *offered, GError **error)
{
  static const char *const versions[] = { "channel.k8s.io", "v2.channel.k8s.io", "v3.channel.k8s.io", "v4.channel.k8s.io" };
  gboolean is_forward = strcmp (session->kind, "portforward") == 0;
  g_auto (GStrv) names = g_strsplit (offered != NULL ? offered : "", ",", 16);
  session->version = 1;
  if (names[0] == NULL && !is_forward)
    return TRUE;
  for (guint i = 0; names[i] != NULL; i++)
    {
      const char *name = g_strstrip (names[i]);
      gboolean is_known = is_forward && strcmp (name, "portforward.k8s.io") == 0;
      for (guint j = 0; !is_forward && j < G_N_ELEMENTS (versions); j++)
        if (strcmp (name, versions[j]) == 0)
          {
            session->version = j + 1;
            is_known = TRUE;
          }
      if (is_known)
        {
          session->protocol = g_strdup (name);
          return TRUE;
        }
    }
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "unable to upgrade: unable to negotiate protocol: client supports [%s]",
               offered != NULL ? offered : "");
  return FALSE;
}

static gboolean
check_upgrade (HttpSession *session, GError **error)
{
  SoupMessageHeaders *headers = soup_server_message_get_request_headers (session->call->msg);
  const char *upgrade = soup_message_headers_get_list (headers, "Upgrade"),
             *key = soup_message_headers_get_one (headers, "Sec-WebSocket-Key");
  if (upgrade != NULL && soup_header_contains (upgrade, "SPDY/3.1")
      && soup_message_headers_header_contains (headers, "Connection", "Upgrade"))
    {
      session->ops = &spdy_ops;
      session->is_raw = TRUE;
      return choose_spdy_version (session, soup_message_headers_get_list (headers, "X-Stream-Protocol-Version"), error);
    }
  if (upgrade == NULL || !soup_header_contains (upgrade, "websocket"))
    return bad_request ("Upgrade request required", error);
  if (strcmp (session->call->method, "GET") != 0 || !soup_message_headers_header_contains (headers, "Connection", "Upgrade"))
    return bad_request ("a WebSocket begins with GET and Connection: Upgrade", error);
  if (!soup_message_headers_header_equals (headers, "Sec-WebSocket-Version", "13") || key == NULL || strlen (key) != 24)
    return bad_request ("wanted Sec-WebSocket-Version 13 and a key of 16 bytes", error);
  session->accept = http_ws_accept (key);
  return choose_protocol (session, soup_message_headers_get_list (headers, "Sec-WebSocket-Protocol"), error);
}

static gboolean
read_ports (HttpSession *session, const HttpQuery *query, GError **error)
{
  if (session->is_raw || (session->protocol != NULL && strcmp (session->protocol, HTTP_TUNNEL_PROTOCOL) == 0))
    return TRUE;
  g_auto (GStrv) texts = http_query_get_all (query, "ports");
  for (guint i = 0; texts[i] != NULL; i++)
    {
      g_auto (GStrv) parts = g_strsplit (texts[i], ",", -1);
      for (guint j = 0; parts[j] != NULL; j++)
        {
          guint64 port;
          if (session->n_ports >= G_N_ELEMENTS (session->ports) || !g_ascii_string_to_unsigned (parts[j], 10, 1, G_MAXUINT16, &port, NULL))
            return bad_request ("query parameter \"ports\": wanted up to 32 numbers from 1 to 65535", error);
          session->ports[session->n_ports++] = (guint16) port;
        }
    }
  return session->n_ports > 0 || bad_request ("query parameter \"ports\" is required", error);
}

static gboolean
read_options (HttpSession *session, const HttpQuery *query, GError **error)
{
  if (strcmp (session->kind, "portforward") == 0)
    return read_ports (session, query, error);
  session->has_stdin = http_query_bool (query, "stdin");
  session->has_stdout = http_query_bool (query, "stdout");
  session->tty = http_query_bool (query, "tty");
  session->has_stderr = http_query_bool (query, "stderr") && !session->tty;
  session->command = http_query_get_all (query, "command");
  if (!session->has_stdin && !session->has_stdout && !session->has_stderr)
    return bad_request ("you must specify at least 1 of stdin, stdout, stderr", error);
  if (strcmp (session->kind, "exec") == 0 && session->command[0] == NULL)
    return bad_request ("you must specify at least one command for the container", error);
  return TRUE;
}

void
http_run_exec (HttpCall *call)
{
  gboolean is_forward = strcmp (call->sub->name, "portforward") == 0;
  HttpSession *session = http_session_new (call, is_forward ? &forward_ops : &exec_ops);
  GError *error = NULL;
  if (check_upgrade (session, &error) && read_options (session, &call->query, &error))
    {
      http_session_start (session);
      return;
    }
  http_respond_error (call, error);
  g_clear_object (&session->msg);
  http_session_unref (session);
}
