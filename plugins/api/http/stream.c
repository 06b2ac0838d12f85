/* SPDX-License-Identifier: Apache-2.0 */
#include "stream.h"
#include <glib-unix.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define IS_CONN 1u /* in an epoll event's data: a connection of libsoup's, not a stream */
#define LINGER_US (2 * G_USEC_PER_SEC)
#define STALLED_MS (10 * 60 * 1000u) /* a peer that takes nothing for so long is gone */

struct _HttpStream {
  HttpWorker *worker;
  GList link;
  GIOStream *io;
  GSocket *socket;
  char *queue; /* not yet written: queue[queue_at … queue_length) */
  gsize queue_at, queue_length;
  const HttpStreamOps *ops; /* NULL = finishing or freed: nobody to call */
  gpointer owner;
  guint busy;         /* calls in progress: freed by the last of them */
  gint64 finished_us; /* when finish was asked for */
  gboolean is_dead, is_held, is_finishing, is_freed, is_unlinked, was_read;
};

static void
stream_destroy (HttpStream *stream)
{
  int fd = g_socket_get_fd (stream->socket);
  epoll_ctl (stream->worker->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
  /* an orderly TLS end only when the line is free: it must not block */
  if (stream->queue_length > stream->queue_at || stream->is_dead)
    shutdown (fd, SHUT_RDWR);
  g_io_stream_close (stream->io, NULL, NULL);
  g_clear_object (&stream->io);
  g_clear_object (&stream->socket);
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
  GPollableOutputStream *out = G_POLLABLE_OUTPUT_STREAM (g_io_stream_get_output_stream (stream->io));
  gsize done = 0;
  while (done < length)
    {
      g_autoptr (GError) error = NULL;
      gssize n = g_pollable_output_stream_write_nonblocking (out, bytes + done, length - done, NULL, &error);
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
      shutdown (g_socket_get_fd (stream->socket), SHUT_RDWR);
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
  if (stream->queue_at < stream->queue_length)
    return TRUE;
  g_clear_pointer (&stream->queue, g_free);
  stream->queue_at = stream->queue_length = 0;
  if (stream->ops != NULL && stream->ops->drained != NULL)
    stream->ops->drained (stream->owner);
  return !stream->is_freed;
}

/* Until it would block: the descriptor is watched by edge. */
static gboolean
read_all (HttpStream *stream)
{
  GPollableInputStream *in = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (stream->io));
  char buffer[16384];
  stream->was_read = TRUE;
  while (!stream->is_held && !stream->is_freed)
    {
      g_autoptr (GError) error = NULL;
      gssize n = g_pollable_input_stream_read_nonblocking (in, buffer, sizeof buffer, NULL, &error);
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

/* The peer closes once it has read everything; closing first, with something of it unread, would reset the connection and lose the tail. */
static void
linger (gpointer data)
{
  HttpWorker *worker = data;
  g_clear_pointer (&worker->linger, cube_timer_cancel);
  gint64 now = cube_context_monotonic_us (worker->server->context);
  gboolean is_any = FALSE;
  GList *next;
  for (GList *l = worker->streams.head; l != NULL; l = next)
    {
      HttpStream *stream = l->data;
      next = l->next;
      if (!stream->is_finishing)
        continue;
      gint64 waited = now - stream->finished_us;
      if (waited >= (stream->queue_length == stream->queue_at ? LINGER_US : STALLED_MS * G_GINT64_CONSTANT (1000)))
        http_stream_free (stream);
      else
        is_any = TRUE;
    }
  if (is_any)
    worker->linger = cube_loop_after (worker->loop, LINGER_US, linger, worker, NULL);
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
  stream->finished_us = cube_context_monotonic_us (stream->worker->server->context);
  if (stream->worker->linger == NULL)
    stream->worker->linger = cube_loop_after (stream->worker->loop, LINGER_US, linger, stream->worker, NULL);
  http_stream_hold (stream, FALSE);
}

static gboolean
epoll_ready (gint fd, GIOCondition condition, gpointer data)
{
  struct epoll_event events[64];
  int n = epoll_wait (fd, events, G_N_ELEMENTS (events), 0);
  for (int i = 0; i < n; i++)
    if (events[i].data.u64 & IS_CONN)
      http_conn_hung_up (GSIZE_TO_POINTER (events[i].data.u64 & ~(guint64) IS_CONN));
    else
      hold_ref (events[i].data.ptr); /* one stream's callback may free another of the batch */
  for (int i = 0; i < n; i++)
    {
      HttpStream *stream = events[i].data.ptr;
      if (events[i].data.u64 & IS_CONN)
        continue;
      gboolean is_alive = !stream->is_freed;
      if (is_alive && stream->is_dead)
        {
          stream_died (stream);
          is_alive = FALSE;
        }
      if (is_alive && (events[i].events & EPOLLOUT))
        is_alive = flush (stream);
      /* the first time in any case: what the TLS layer already holds makes no edge */
      if (is_alive && (!stream->was_read || (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))))
        read_all (stream);
      drop_ref (stream);
    }
  return G_SOURCE_CONTINUE;
}

void
http_stream_watch_conn (HttpConn *conn)
{
  struct epoll_event event = { .events = EPOLLRDHUP | EPOLLET, .data.u64 = GPOINTER_TO_SIZE (conn) | IS_CONN };
  epoll_ctl (conn->worker->epoll_fd, EPOLL_CTL_ADD, g_socket_get_fd (conn->socket), &event);
}

HttpStream *
http_stream_steal (HttpWorker *worker, SoupServerMessage *msg, const HttpStreamOps *ops, gpointer owner)
{
  GSocket *socket = soup_server_message_get_socket (msg);
  HttpConn *conn = http_conn_get (msg);
  if (socket == NULL || conn == NULL || g_socket_is_closed (socket))
    return NULL;
  g_object_ref (socket);
  GIOStream *io = soup_server_message_steal_connection (msg);
  if (io == NULL)
    {
      g_object_unref (socket);
      return NULL;
    }
  http_conn_set_phase (conn, HTTP_PHASE_STREAMING);
  g_clear_pointer (&conn->user, cube_user_unref);
  HttpStream *stream = g_new0 (HttpStream, 1);
  stream->worker = worker;
  stream->io = io;
  stream->socket = socket;
  stream->ops = ops;
  stream->owner = owner;
  stream->link.data = stream;
  g_queue_push_tail_link (&worker->streams, &stream->link);
  guint stalled_ms = STALLED_MS;
  setsockopt (g_socket_get_fd (socket), IPPROTO_TCP, TCP_USER_TIMEOUT, &stalled_ms, sizeof stalled_ms);
  struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = stream };
  if (epoll_ctl (worker->epoll_fd, EPOLL_CTL_MOD, g_socket_get_fd (socket), &event) != 0)
    {
      http_stream_free (stream);
      return NULL;
    }
  return stream;
}

void
http_streams_start (HttpWorker *worker)
{
  worker->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  worker->epoll_source = g_unix_fd_source_new (worker->epoll_fd, G_IO_IN);
  g_source_set_callback (worker->epoll_source, G_SOURCE_FUNC (epoll_ready), worker, NULL);
  g_source_attach (worker->epoll_source, cube_loop_get_main_context (worker->loop));
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

void
http_streams_stop (HttpWorker *worker)
{
  http_streams_close (worker);
  g_clear_pointer (&worker->linger, cube_timer_cancel);
  if (worker->epoll_source != NULL)
    g_source_destroy (worker->epoll_source);
  g_clear_pointer (&worker->epoll_source, g_source_unref);
  if (worker->epoll_fd >= 0)
    close (worker->epoll_fd);
  worker->epoll_fd = -1;
}
