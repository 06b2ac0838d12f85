/* SPDX-License-Identifier: Apache-2.0 */
#include "upgrade.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "frame.h"

/* The value of a header, case of names aside; NULL if there is none. */
static char *
find_header (char **lines, const char *name)
{
  gsize length = strlen (name);

  for (guint i = 1; lines[i] != NULL; i++)
    if (g_ascii_strncasecmp (lines[i], name, length) == 0 && lines[i][length] == ':')
      return g_strstrip (g_strdup (lines[i] + length + 1));
  return NULL;
}

gboolean
cube_spdy_check_response (const char *header, const char *protocol, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (header, "\r\n", -1);
  g_autofree char *upgrade = NULL, *version = NULL, *status = NULL;

  status = g_utf8_make_valid (lines[0] != NULL ? lines[0] : "", -1);
  if (!g_str_has_prefix (status, "HTTP/1.1 101 "))
    return cube_spdy_fail (error, "unable to upgrade connection: the streaming server answered '%s'", status);
  upgrade = find_header (lines, "Upgrade");
  if (upgrade == NULL || g_ascii_strcasecmp (upgrade, "SPDY/3.1") != 0)
    return cube_spdy_fail (error, "unable to upgrade connection: the streaming server did not choose SPDY/3.1");
  version = find_header (lines, "X-Stream-Protocol-Version");
  if (version == NULL || !g_str_equal (version, protocol))
    return cube_spdy_fail (error, "unable to upgrade connection: the streaming server did not choose %s", protocol);
  return TRUE;
}

/* The address named, if it is this machine's own: a name would have to be
 * resolved, and another machine is none of the runtime's. */
static GSocketAddress *
parse_address (GUri *uri, GError **error)
{
  const char *host = g_uri_get_host (uri);
  int port = g_uri_get_port (uri);
  g_autoptr (GInetAddress) address = NULL;

  if (!g_str_equal (g_uri_get_scheme (uri), "http"))
    {
      cube_spdy_fail (error, "streaming server: scheme '%s', wanted http", g_uri_get_scheme (uri));
      return NULL;
    }
  if (host != NULL)
    address = g_inet_address_new_from_string (g_str_equal (host, "localhost") ? "127.0.0.1" : host);
  if (address == NULL || !g_inet_address_get_is_loopback (address))
    {
      cube_spdy_fail (error, "streaming server: host '%s', wanted a loopback address", host != NULL ? host : "");
      return NULL;
    }
  if (port <= 0)
    {
      cube_spdy_fail (error, "streaming server: no port");
      return NULL;
    }
  return g_inet_socket_address_new (address, (guint16) port);
}

static char *
make_request (GUri *uri, const char *protocol)
{
  const char *query = g_uri_get_query (uri);
  const char *path = g_uri_get_path (uri);

  return g_strdup_printf ("POST %s%s%s HTTP/1.1\r\n"
                          "Host: %s:%d\r\n"
                          "Connection: Upgrade\r\n"
                          "Upgrade: SPDY/3.1\r\n"
                          "X-Stream-Protocol-Version: %s\r\n"
                          "Content-Length: 0\r\n\r\n",
                          path[0] != '\0' ? path : "/", query != NULL ? "?" : "", query != NULL ? query : "", g_uri_get_host (uri),
                          g_uri_get_port (uri), protocol);
}

static gboolean
send_all (GSocket *socket, const char *text, GCancellable *cancellable, GError **error)
{
  gsize left = strlen (text);

  while (left > 0)
    {
      gssize sent = g_socket_send (socket, text, left, cancellable, error);

      if (sent < 0)
        return FALSE;
      text += sent;
      left -= (gsize) sent;
    }
  return TRUE;
}

/* Reads up to the empty line; what follows it goes to @rest. */
static char *
read_header (GSocket *socket, GByteArray *rest, GCancellable *cancellable, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  while (text->len < CUBE_SPDY_MAX_RESPONSE_BYTES)
    {
      char piece[2048];
      gssize n = g_socket_receive (socket, piece, sizeof piece, cancellable, error);
      const char *end;

      if (n < 0)
        return NULL;
      if (n == 0)
        {
          cube_spdy_fail (error, "streaming server: hung up before it answered");
          return NULL;
        }
      g_string_append_len (text, piece, n);
      end = memmem (text->str, text->len, "\r\n\r\n", 4);
      if (end != NULL)
        {
          gsize size = (gsize) (end - text->str);

          if (memchr (text->str, '\0', size) != NULL)
            {
              cube_spdy_fail (error, "streaming server: no HTTP answer");
              return NULL;
            }
          g_byte_array_append (rest, (const guint8 *) end + 4, (guint) (text->len - size - 4));
          return g_strndup (text->str, size);
        }
    }
  cube_spdy_fail (error, "streaming server: an answer's header of more than %d bytes", CUBE_SPDY_MAX_RESPONSE_BYTES);
  return NULL;
}

GSocket *
cube_spdy_upgrade (const char *url, const char *protocol, GByteArray *ret_rest, GCancellable *cancellable, GError **error)
{
  g_autoptr (GUri) uri = g_uri_parse (url, G_URI_FLAGS_ENCODED, error);
  g_autoptr (GSocketAddress) address = NULL;
  g_autoptr (GSocket) socket = NULL;
  g_autofree char *request = NULL, *header = NULL;

  if (uri == NULL)
    return NULL;
  address = parse_address (uri, error);
  if (address == NULL)
    return NULL;
  socket = g_socket_new (g_socket_address_get_family (address), G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, error);
  if (socket == NULL)
    return NULL;
  g_socket_set_timeout (socket, CUBE_SPDY_CONNECT_TIMEOUT_S);
  request = make_request (uri, protocol);
  if (!g_socket_connect (socket, address, cancellable, error) || !send_all (socket, request, cancellable, error))
    return NULL;
  header = read_header (socket, ret_rest, cancellable, error);
  if (header == NULL || !cube_spdy_check_response (header, protocol, error))
    return NULL;
  g_socket_set_timeout (socket, 0);
  g_socket_set_blocking (socket, FALSE);
  g_socket_set_option (socket, IPPROTO_TCP, TCP_NODELAY, 1, NULL);
  return g_steal_pointer (&socket);
}
