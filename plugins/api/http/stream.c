/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"
#include "engine.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define STALLED_MS (10 * 60 * 1000u) /* a peer that takes nothing for so long is gone: somebody may be reading a log page by page */

struct _HttpStream {
  HttpWorker *worker;
  GList link;
  HttpWire *wire;
  GInputStream *early; /* (nullable) of libsoup: what it has read beyond the request */
  char *queue;         /* not yet written: queue[queue_at … queue_length) */
  gsize queue_at, queue_length;
  const HttpStreamOps *ops; /* NULL = finishing or freed: nobody to call */
  gpointer owner;
  guint busy; /* calls in progress: freed by the last of them */
  gboolean is_dead, is_held, is_finishing, is_freed, is_unlinked, was_read;
};

static void
stream_destroy (HttpStream *stream)
{
  http_wire_watch (stream->wire, NULL, NULL);
  if (stream->queue_length > stream->queue_at || stream->is_dead) /* nobody takes it any more */
    http_conn_abort (stream->wire->conn);
  g_io_stream_close (G_IO_STREAM (stream->wire), NULL, NULL);
  g_clear_object (&stream->early);
  g_clear_object (&stream->wire);
  g_free (stream->queue);
  g_free (stream);
}

static void
stream_unlink (HttpStream *stream)
{
  if (stream->is_unlinked)
    return;
  stream->is_unlinked = TRUE;
  g_queue_unlink (&stream->worker->streams, &stream->link);
}

static void
hold_ref (HttpStream *stream)
{
  stream->busy++;
}

static void
drop_ref (HttpStream *stream)
{
  if (--stream->busy == 0 && stream->is_freed)
    stream_destroy (stream);
}

void
http_stream_free (HttpStream *stream)
{
  if (stream == NULL || stream->is_freed)
    return;
  stream->ops = NULL;
  stream->is_freed = TRUE;
  stream_unlink (stream);
  if (stream->busy == 0)
    stream_destroy (stream);
}

/* Tells the owner once. */
static void
stream_died (HttpStream *stream)
{
  const HttpStreamOps *ops = stream->ops;
  stream->is_dead = TRUE;
  stream->ops = NULL;
  if (ops != NULL)
    ops->closed (stream->owner);
  else if (stream->is_finishing)
    http_stream_free (stream);
}

/* Bytes written, 0 = would block, -1 = dead. */
static gssize
write_some (HttpStream *stream, const char *bytes, gsize length)
{
  gsize done = 0;
  while (done < length)
    {
      g_autoptr (GError) error = NULL;
      gssize n = http_wire_send (stream->wire, bytes + done, length - done, &error);
      if (n > 0)
        done += (gsize) n;
      else if (g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        break;
      else
        return -1;
    }
  return (gssize) done;
}

static void
enqueue (HttpStream *stream, const char *bytes, gsize length)
{
  gsize rest = stream->queue_length - stream->queue_at;
  char *queue = g_malloc (rest + length);
  if (rest > 0)
    memcpy (queue, stream->queue + stream->queue_at, rest);
  memcpy (queue + rest, bytes, length);
  g_free (stream->queue);
  stream->queue = queue;
  stream->queue_at = 0;
  stream->queue_length = rest + length;
}

gboolean
http_stream_write (HttpStream *stream, const void *bytes, gsize length)
{
  if (stream->is_dead)
    return FALSE;
  gssize done = 0;
  if (stream->queue_length == stream->queue_at)
    done = write_some (stream, bytes, length);
  if (done < 0)
    {
      stream->is_dead = TRUE; /* closed() comes from the loop: the caller may be in the middle of something */
      http_conn_abort (stream->wire->conn);
      return FALSE;
    }
  if ((gsize) done < length)
    enqueue (stream, (const char *) bytes + done, length - (gsize) done);
  return TRUE;
}

gsize
http_stream_queued (const HttpStream *stream)
{
  return stream->queue_length - stream->queue_at;
}

/* FALSE: the stream is freed. */
static gboolean
flush (HttpStream *stream)
{
  if (stream->queue_length == stream->queue_at)
    return TRUE;
  gssize done = write_some (stream, stream->queue + stream->queue_at, stream->queue_length - stream->queue_at);
  if (done < 0)
    {
      stream_died (stream);
      return !stream->is_freed;
    }
  stream->queue_at += (gsize) done;
  if (stream->is_finishing && done > 0)
    http_conn_set_phase (stream->wire->conn, HTTP_PHASE_WRITING);
  if (stream->queue_at < stream->queue_length)
    return TRUE;
  g_clear_pointer (&stream->queue, g_free);
  stream->queue_at = stream->queue_length = 0;
  if (stream->is_finishing)
    http_stream_free (stream);
  else if (stream->ops != NULL && stream->ops->drained != NULL)
    stream->ops->drained (stream->owner);
  return !stream->is_freed;
}

/* First what libsoup has read ahead: all of it, so that its stream is needed no more. */
static gssize
read_some (HttpStream *stream, char *buffer, gsize size, GError **error)
{
  if (stream->early != NULL)
    {
      g_autoptr (GError) early_error = NULL;
      gssize n = g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (stream->early), buffer, size, NULL, &early_error);
      if (n > 0)
        return n;
      g_clear_object (&stream->early);
    }
  return http_wire_read (stream->wire, buffer, size, error);
}

/* Until it would block: the descriptor is watched by edge. */
static gboolean
read_all (HttpStream *stream)
{
  char buffer[16384];
  stream->was_read = TRUE;
  while (!stream->is_held && !stream->is_freed)
    {
      g_autoptr (GError) error = NULL;
      gssize n = read_some (stream, buffer, sizeof buffer, &error);
      if (n > 0)
        {
          if (stream->ops != NULL && stream->ops->received != NULL)
            stream->ops->received (stream->owner, buffer, (gsize) n);
        }
      else if (n < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        break;
      else
        {
          stream_died (stream);
          break;
        }
    }
  return !stream->is_freed;
}

void
http_stream_hold (HttpStream *stream, gboolean is_held)
{
  if (stream->is_held == is_held)
    return;
  stream->is_held = is_held;
  if (is_held || stream->is_dead)
    return;
  hold_ref (stream);
  read_all (stream);
  drop_ref (stream);
}

void
http_stream_finish (HttpStream *stream)
{
  if (stream == NULL || stream->is_freed)
    return;
  if (stream->is_dead)
    {
      http_stream_free (stream);
      return;
    }
  stream->is_finishing = TRUE;
  stream->ops = NULL;
  if (stream->queue_length == stream->queue_at)
    http_stream_free (stream); /* the wire lets the peer read to the end */
  else
    {
      http_conn_set_phase (stream->wire->conn, HTTP_PHASE_WRITING); /* bounds it */
      http_stream_hold (stream, FALSE);
    }
}

static void
wire_ready (gpointer owner, guint events)
{
  HttpStream *stream = owner;
  hold_ref (stream);
  if (stream->is_dead)
    stream_died (stream);
  else if (flush (stream))
    /* the first time in any case: what was read already makes no event */
    if (!stream->was_read || (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)))
      read_all (stream);
  drop_ref (stream);
}

HttpStream *
http_stream_steal (HttpWorker *worker, SoupServerMessage *msg, const HttpStreamOps *ops, gpointer owner)
{
  HttpConn *conn = http_conn_get (msg);
  if (conn == NULL || conn->wire->fd < 0)
    return NULL;
  HttpWire *wire = g_object_ref (conn->wire);
  g_autoptr (GIOStream) io = soup_server_message_steal_connection (msg);
  if (io == NULL)
    {
      g_object_unref (wire);
      return NULL;
    }
  http_conn_set_phase (conn, HTTP_PHASE_STREAMING);
  g_clear_pointer (&conn->user, cube_user_unref);
  HttpStream *stream = g_new0 (HttpStream, 1);
  stream->worker = worker;
  stream->wire = wire;
  stream->early = g_object_ref (g_io_stream_get_input_stream (io));
  stream->ops = ops;
  stream->owner = owner;
  stream->link.data = stream;
  g_queue_push_tail_link (&worker->streams, &stream->link);
  guint stalled_ms = STALLED_MS;
  conn->write_us = STALLED_MS * G_GINT64_CONSTANT (1000);
  setsockopt (wire->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stalled_ms, sizeof stalled_ms);
  http_wire_watch (wire, wire_ready, stream);
  http_engine_poke (wire);
  return stream;
}

void
http_streams_close (HttpWorker *worker)
{
  HttpStream *stream;
  while ((stream = g_queue_peek_head (&worker->streams)) != NULL)
    {
      hold_ref (stream);
      stream_died (stream);
      http_stream_free (stream);
      drop_ref (stream);
    }
}
