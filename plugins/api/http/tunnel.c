/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"
#include <frame.h>
#include <header-block.h>
#include <string.h>

#define MAX_STREAMS 512

typedef struct {
  char *request_id;
  guint32 data_id, error_id; /* 0 = not there yet */
  guint16 port;
  HttpSession *session; /* NULL before both streams are there */
} Pair;

struct _HttpTunnel {
  HttpSession *session;
  CubeSpdyReader *reader;
  CubeSpdyDeflater *deflater;
  CubeSpdyInflater *inflater;
  GHashTable *streams; /* id → Pair */
  GPtrArray *pairs;
};

static void
pair_free (gpointer data)
{
  Pair *pair = data;
  if (pair->session != NULL)
    {
      http_session_close (pair->session);
      http_session_unref (pair->session);
    }
  g_free (pair->request_id);
  g_free (pair);
}

static void
drop_pair (HttpTunnel *tunnel, Pair *pair)
{
  g_hash_table_remove (tunnel->streams, GUINT_TO_POINTER (pair->data_id));
  g_hash_table_remove (tunnel->streams, GUINT_TO_POINTER (pair->error_id));
  g_ptr_array_remove_fast (tunnel->pairs, pair);
}

/* ---- one forwarded connection ---- */

static gboolean
pair_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error)
{
  return agent->port_forward (state, session->ns, session->pod, session->uid, session->ports, 1, &http_session_sink, session,
                              &session->backend, error);
}

static void
pair_append (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length)
{
  cube_spdy_write_data (out, channel == 0 ? session->data_id : session->error_id, bytes, length, FALSE);
}

static void
pair_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
  const char *failure = NULL;
  if (status != NULL && g_strcmp0 (cube_view_string (cube_value_get (status, "status")), "Success") != 0)
    failure = cube_view_string_or (cube_value_get (status, "message"), "port-forward failed");
  cube_spdy_write_data (out, session->error_id, (const guint8 *) (failure != NULL ? failure : ""), failure != NULL ? strlen (failure) : 0,
                        TRUE);
  cube_spdy_write_data (out, session->data_id, (const guint8 *) "", 0, TRUE);
}

static const HttpSessionOps pair_ops = { .open = pair_open, .append = pair_append, .append_end = pair_append_end };

static void
start_pair (HttpTunnel *tunnel, Pair *pair)
{
  HttpSession *session = http_session_new_child (tunnel->session, &pair_ops);
  session->ports[0] = pair->port;
  session->n_ports = 1;
  session->data_id = pair->data_id;
  session->error_id = pair->error_id;
  pair->session = http_session_ref (session);
  http_session_start_child (session);
}

/* ---- frames ---- */

static void
reply (HttpTunnel *tunnel, guint32 stream)
{
  g_autoptr (GByteArray) block = g_byte_array_new (), frames = g_byte_array_new (), out = g_byte_array_new ();
  const char *const none[] = { NULL };
  cube_spdy_deflater_add (tunnel->deflater, none, block);
  cube_spdy_write_syn_reply (frames, stream, block->data, block->len);
  http_ws_append (out, HTTP_WS_BINARY, NULL, 0, frames->data, frames->len);
  http_session_write (tunnel->session, out);
}

static void
reset (HttpTunnel *tunnel, guint32 stream, guint32 status)
{
  g_autoptr (GByteArray) frames = g_byte_array_new (), out = g_byte_array_new ();
  cube_spdy_write_rst_stream (frames, stream, status);
  http_ws_append (out, HTTP_WS_BINARY, NULL, 0, frames->data, frames->len);
  http_session_write (tunnel->session, out);
}

static Pair *
find_pair (HttpTunnel *tunnel, const char *request_id, guint16 port)
{
  for (guint i = 0; i < tunnel->pairs->len; i++)
    if (strcmp (((Pair *) tunnel->pairs->pdata[i])->request_id, request_id) == 0)
      return tunnel->pairs->pdata[i];
  Pair *pair = g_new0 (Pair, 1);
  pair->request_id = g_strdup (request_id);
  pair->port = port;
  g_ptr_array_add (tunnel->pairs, pair);
  return pair;
}

static gboolean
take_stream (HttpTunnel *tunnel, const CubeSpdyFrame *frame, GError **error)
{
  g_autoptr (GHashTable) headers = cube_spdy_inflater_read (tunnel->inflater, frame->block, frame->block_size, error);
  if (headers == NULL)
    return FALSE;
  const char *type = g_hash_table_lookup (headers, "streamtype"), *port_text = g_hash_table_lookup (headers, "port");
  const char *request_id = g_hash_table_lookup (headers, "requestid");
  guint64 port;
  gboolean is_error = g_strcmp0 (type, "error") == 0;
  if (g_hash_table_contains (tunnel->streams, GUINT_TO_POINTER (frame->stream)) || g_hash_table_size (tunnel->streams) >= MAX_STREAMS
      || port_text == NULL || !g_ascii_string_to_unsigned (port_text, 10, 1, G_MAXUINT16, &port, NULL)
      || (!is_error && g_strcmp0 (type, "data") != 0))
    {
      reset (tunnel, frame->stream, CUBE_SPDY_REFUSED_STREAM);
      return TRUE;
    }
  /* clients without request ids open the error stream, then the data stream next to it */
  g_autofree char *derived = request_id == NULL ? g_strdup_printf ("%u", is_error ? frame->stream : frame->stream - 2) : NULL;
  Pair *pair = find_pair (tunnel, request_id != NULL ? request_id : derived, (guint16) port);
  guint32 *slot = is_error ? &pair->error_id : &pair->data_id;
  if (*slot != 0)
    {
      reset (tunnel, frame->stream, CUBE_SPDY_PROTOCOL_ERROR);
      return TRUE;
    }
  *slot = frame->stream;
  g_hash_table_insert (tunnel->streams, GUINT_TO_POINTER (frame->stream), pair);
  reply (tunnel, frame->stream);
  if (pair->data_id != 0 && pair->error_id != 0)
    start_pair (tunnel, pair);
  return TRUE;
}

static gboolean
on_control (const CubeSpdyFrame *frame, gpointer data, GError **error)
{
  HttpTunnel *tunnel = data;
  if (frame->type == CUBE_SPDY_SYN_STREAM)
    return take_stream (tunnel, frame, error);
  if (frame->type == CUBE_SPDY_PING)
    {
      g_autoptr (GByteArray) frames = g_byte_array_new (), out = g_byte_array_new ();
      cube_spdy_write_ping (frames, frame->value);
      http_ws_append (out, HTTP_WS_BINARY, NULL, 0, frames->data, frames->len);
      http_session_write (tunnel->session, out);
    }
  else if (frame->type == CUBE_SPDY_RST_STREAM)
    {
      Pair *pair = g_hash_table_lookup (tunnel->streams, GUINT_TO_POINTER (frame->stream));
      if (pair != NULL)
        drop_pair (tunnel, pair);
    }
  else if (frame->type == CUBE_SPDY_HEADERS) /* nothing in it for us, but the compression goes on with it */
    {
      g_autoptr (GHashTable) headers = cube_spdy_inflater_read (tunnel->inflater, frame->block, frame->block_size, error);
      return headers != NULL;
    }
  return TRUE;
}

static gboolean
on_data (guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin, gpointer data, GError **error)
{
  HttpTunnel *tunnel = data;
  Pair *pair = g_hash_table_lookup (tunnel->streams, GUINT_TO_POINTER (stream));
  if (pair == NULL || pair->session == NULL || stream != pair->data_id)
    return TRUE;
  if (size > 0)
    http_session_send (pair->session, 0, bytes, size);
  if (is_fin)
    http_session_send (pair->session, 0, NULL, 0);
  return TRUE;
}

static const CubeSpdyReaderFuncs reader_funcs = { on_control, on_data };

gboolean
http_tunnel_feed (HttpTunnel *tunnel, const guint8 *bytes, gsize length)
{
  g_autoptr (GError) error = NULL;
  gboolean is_fine = cube_spdy_reader_feed (tunnel->reader, bytes, length, &error);
  if (!is_fine)
    g_debug ("port-forward tunnel: %s", error->message);
  return is_fine;
}

HttpTunnel *
http_tunnel_new (HttpSession *session)
{
  HttpTunnel *tunnel = g_new0 (HttpTunnel, 1);
  tunnel->session = session;
  tunnel->reader = cube_spdy_reader_new (&reader_funcs, tunnel);
  tunnel->deflater = cube_spdy_deflater_new ();
  tunnel->inflater = cube_spdy_inflater_new ();
  tunnel->streams = g_hash_table_new (NULL, NULL);
  tunnel->pairs = g_ptr_array_new_with_free_func (pair_free);
  return tunnel;
}

void
http_tunnel_drained (HttpSession *session)
{
  HttpTunnel *tunnel = session->tunnel;
  for (guint i = 0; tunnel != NULL && i < tunnel->pairs->len; i++)
    {
      Pair *pair = tunnel->pairs->pdata[i];
      if (pair->session != NULL)
        http_session_flush (pair->session);
    }
}

static void
tunnel_free (gpointer data)
{
  HttpTunnel *tunnel = data;
  g_hash_table_unref (tunnel->streams);
  g_ptr_array_unref (tunnel->pairs);
  cube_spdy_reader_free (tunnel->reader);
  cube_spdy_deflater_free (tunnel->deflater);
  cube_spdy_inflater_free (tunnel->inflater);
  g_free (tunnel);
}

/* Perhaps from within a feed: freed by a later turn of the loop. */
void
http_tunnel_end (HttpSession *session)
{
  HttpTunnel *tunnel = g_steal_pointer (&session->tunnel);
  if (tunnel == NULL)
    return;
  for (guint i = 0; i < tunnel->pairs->len; i++)
    {
      Pair *pair = tunnel->pairs->pdata[i];
      if (pair->session != NULL)
        http_session_close (pair->session);
    }
  cube_loop_post (session->worker->loop, tunnel_free, tunnel, NULL);
}
