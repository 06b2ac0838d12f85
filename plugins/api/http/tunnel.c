/* SPDX-License-Identifier: Apache-2.0 */
#include "tunnel.h"
#include <frame.h>
#include <header-block.h>

typedef struct {
  CubeSpdyReader *reader;
  CubeSpdyDeflater *deflater;
  CubeSpdyInflater *inflater;
} Frames;

static void
send_frames (HttpTunnel *tunnel, GByteArray *frames)
{
  if (tunnel->session->is_raw)
    {
      http_session_write (tunnel->session, frames);
      return;
    }
  g_autoptr (GByteArray) out = g_byte_array_new ();
  http_ws_append (out, HTTP_WS_BINARY, NULL, 0, frames->data, frames->len);
  http_session_write (tunnel->session, out);
}

static void
reply (HttpTunnel *tunnel, guint32 stream)
{
  Frames *frames = tunnel->frames;
  g_autoptr (GByteArray) block = g_byte_array_new (), out = g_byte_array_new ();
  const char *const none[] = { NULL };
  cube_spdy_deflater_add (frames->deflater, none, block);
  cube_spdy_write_syn_reply (out, stream, block->data, block->len);
  send_frames (tunnel, out);
}

static gboolean
take_stream (HttpTunnel *tunnel, const CubeSpdyFrame *frame, GError **error)
{
  Frames *frames = tunnel->frames;
  g_autoptr (GHashTable) headers = cube_spdy_inflater_read (frames->inflater, frame->block, frame->block_size, error);
  guint32 status = CUBE_SPDY_REFUSED_STREAM;
  if (headers == NULL)
    return FALSE;
  if (tunnel->ops->take (tunnel, frame->stream, headers, &status))
    {
      reply (tunnel, frame->stream);
      tunnel->ops->taken (tunnel, frame->stream);
      return TRUE;
    }
  g_autoptr (GByteArray) out = g_byte_array_new ();
  cube_spdy_write_rst_stream (out, frame->stream, status);
  send_frames (tunnel, out);
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
      g_autoptr (GByteArray) out = g_byte_array_new ();
      cube_spdy_write_ping (out, frame->value);
      send_frames (tunnel, out);
    }
  else if (frame->type == CUBE_SPDY_RST_STREAM)
    tunnel->ops->reset (tunnel, frame->stream);
  else if (frame->type == CUBE_SPDY_HEADERS) /* nothing in it for us, but the compression goes on with it */
    {
      Frames *frames = tunnel->frames;
      g_autoptr (GHashTable) headers = cube_spdy_inflater_read (frames->inflater, frame->block, frame->block_size, error);
      return headers != NULL;
    }
  return TRUE;
}

static gboolean
on_data (guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin, gpointer data, GError **error)
{
  HttpTunnel *tunnel = data;
  tunnel->ops->data (tunnel, stream, bytes, size, is_fin);
  return TRUE;
}

static const CubeSpdyReaderFuncs reader_funcs = { on_control, on_data };

gboolean
http_tunnel_feed (HttpTunnel *tunnel, const guint8 *bytes, gsize length)
{
  g_autoptr (GError) error = NULL;
  Frames *frames = tunnel->frames;
  gboolean is_fine = cube_spdy_reader_feed (frames->reader, bytes, length, &error);
  if (!is_fine)
    g_debug ("%s over SPDY: %s", tunnel->session->kind, error->message);
  return is_fine;
}

HttpTunnel *
http_tunnel_new (HttpSession *session, const HttpTunnelOps *ops)
{
  HttpTunnel *tunnel = g_new0 (HttpTunnel, 1);
  Frames *frames = g_new0 (Frames, 1);
  tunnel->session = session;
  tunnel->ops = ops;
  tunnel->frames = frames;
  frames->reader = cube_spdy_reader_new (&reader_funcs, tunnel);
  frames->deflater = cube_spdy_deflater_new ();
  frames->inflater = cube_spdy_inflater_new ();
  tunnel->streams = ops->create (tunnel);
  return tunnel;
}

void
http_tunnel_drained (HttpSession *session)
{
  HttpTunnel *tunnel = session->tunnel;
  if (tunnel != NULL)
    tunnel->ops->drained (tunnel);
}

static void
tunnel_free (gpointer data)
{
  HttpTunnel *tunnel = data;
  Frames *frames = tunnel->frames;
  tunnel->ops->free (tunnel->streams);
  cube_spdy_reader_free (frames->reader);
  cube_spdy_deflater_free (frames->deflater);
  cube_spdy_inflater_free (frames->inflater);
  g_free (frames);
  g_free (tunnel);
}

/* Perhaps from within a feed: freed by a later turn of the loop. */
void
http_tunnel_end (HttpSession *session)
{
  HttpTunnel *tunnel = g_steal_pointer (&session->tunnel);
  if (tunnel == NULL)
    return;
  tunnel->ops->close (tunnel);
  cube_loop_post (session->worker->loop, tunnel_free, tunnel, NULL);
}
