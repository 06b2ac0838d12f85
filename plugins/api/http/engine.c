/* SPDX-License-Identifier: Apache-2.0 */
#include "engine.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_AT_ONCE 32
#define ACCEPT_PAUSE_US (500 * 1000)
#define LINGER_US (2 * G_USEC_PER_SEC)

typedef struct {
  HttpWire *wire; /* with a reference */
  guint events;
} Pending;

typedef struct {
  GSource source;
  HttpWorker *worker;
  GPollFD poll;
  guint n_pending;
  gboolean is_accepting;
  Pending pending[128];
} Engine;

/* ---- what wires ask for ---- */

static gboolean
control (HttpWire *wire, int operation)
{
  struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = wire };
  return epoll_ctl (wire->conn->worker->epoll_fd, operation, wire->fd, &event) == 0;
}

gboolean
http_engine_add (HttpWire *wire)
{
  return control (wire, EPOLL_CTL_ADD);
}

void
http_engine_poke (HttpWire *wire)
{
  control (wire, EPOLL_CTL_MOD);
}

void
http_engine_remove (HttpWire *wire)
{
  if (wire->conn->worker->epoll_fd >= 0)
    epoll_ctl (wire->conn->worker->epoll_fd, EPOLL_CTL_DEL, wire->fd, NULL);
}

void
http_engine_queue (HttpWire *wire)
{
  if (wire->is_flush_queued)
    return;
  wire->is_flush_queued = TRUE;
  g_queue_push_tail_link (&wire->conn->worker->flushes, &wire->flush_link);
}

void
http_engine_hurry (HttpWire *wire)
{
  wire->conn->worker->is_hurried = TRUE;
}

static void
linger (gpointer data)
{
  HttpWorker *worker = data;
  g_clear_pointer (&worker->linger, cube_timer_cancel);
  gint64 now = cube_context_monotonic_us (worker->server->context);
  GList *next;
  for (GList *l = worker->lingering.head; l != NULL; l = next)
    {
      HttpWire *wire = l->data;
      gint64 allowed = wire->cipher_length > wire->cipher_at ? MAX (wire->conn->write_us, LINGER_US) : LINGER_US;
      next = l->next;
      if (now - wire->closed_us >= allowed)
        http_wire_cut (wire);
    }
  if (worker->lingering.length > 0)
    worker->linger = cube_loop_after (worker->loop, LINGER_US, linger, worker, NULL);
}

void
http_engine_touch (HttpWire *wire)
{
  wire->closed_us = cube_context_monotonic_us (wire->conn->worker->server->context);
}

gboolean
http_engine_linger (HttpWire *wire)
{
  HttpWorker *worker = wire->conn->worker;
  if (worker->engine == NULL)
    return FALSE;
  wire->is_lingering = TRUE;
  http_engine_touch (wire);
  g_object_ref (wire);
  g_queue_push_tail_link (&worker->lingering, &wire->linger_link);
  if (worker->linger == NULL)
    worker->linger = cube_loop_after (worker->loop, LINGER_US, linger, worker, NULL);
  return TRUE;
}

void
http_engine_let_go (HttpWire *wire)
{
  if (!wire->is_lingering)
    return;
  wire->is_lingering = FALSE;
  g_queue_unlink (&wire->conn->worker->lingering, &wire->linger_link);
  g_object_unref (wire);
}

void
http_engine_forget (HttpWire *wire)
{
  if (wire->is_flush_queued)
    g_queue_unlink (&wire->conn->worker->flushes, &wire->flush_link);
  wire->is_flush_queued = FALSE;
}

void
http_engine_shake (HttpWire *wire)
{
  g_autoptr (GError) error = NULL;
  HttpWireShake shake = http_wire_handshake (wire, &error);
  if (shake == HTTP_WIRE_SHAKING)
    return;
  if (shake == HTTP_WIRE_OPEN)
    http_conn_open (wire->conn);
  else
    {
      g_debug ("%s: %s", http_conn_remote (wire->conn), error->message);
      g_io_stream_close (G_IO_STREAM (wire), NULL, NULL);
    }
  g_object_unref (wire); /* the one it was accepted with */
}

/* ---- accepting ---- */

static void
set_listening (HttpWorker *worker, gboolean is_on)
{
  struct epoll_event event = { .events = is_on ? EPOLLIN : 0, .data.ptr = NULL };
  epoll_ctl (worker->epoll_fd, EPOLL_CTL_MOD, worker->listen_fd, &event);
}

static void
listen_again (gpointer data)
{
  HttpWorker *worker = data;
  g_clear_pointer (&worker->accept_pause, cube_timer_cancel);
  if (worker->listen_fd >= 0)
    set_listening (worker, TRUE);
}

static void
set_options (int fd)
{
  int on = 1, idle = 30, interval = 10, count = 3;
  guint user_timeout_ms = 60000;
  setsockopt (fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt (fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  setsockopt (fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt (fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof user_timeout_ms);
}

static void
greet (HttpWorker *worker, int fd, struct sockaddr_storage *native, socklen_t size)
{
  HttpServer *server = worker->server;
  g_autoptr (GError) error = NULL;
  if (g_atomic_int_get (&server->n_connections) >= server->config.max_connections || g_atomic_int_get (&server->is_stopping))
    {
      cube_metric_add ("cube_http_connections_refused_total", NULL, 1);
      close (fd);
      return;
    }
  set_options (fd);
  HttpConn *conn = http_conn_new (worker, g_socket_address_new_from_native (native, size));
  HttpWire *wire = http_wire_new (conn, fd, g_atomic_pointer_get (&worker->credentials), &error);
  if (wire == NULL)
    {
      g_warning ("connection refused: %s", error->message);
      http_conn_free (conn);
      close (fd);
      return;
    }
  conn->wire = wire;
  if (!http_engine_add (wire))
    {
      g_object_unref (wire);
      return;
    }
  http_engine_shake (wire);
}

static void
accept_some (HttpWorker *worker)
{
  for (guint i = 0; i < ACCEPT_AT_ONCE && worker->listen_fd >= 0; i++)
    {
      struct sockaddr_storage native;
      socklen_t size = sizeof native;
      int fd = accept4 (worker->listen_fd, (struct sockaddr *) &native, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0)
        greet (worker, fd, &native, size);
      else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
        {
          g_warning ("no connection is accepted for a moment: %s", g_strerror (errno));
          set_listening (worker, FALSE);
          if (worker->accept_pause == NULL)
            worker->accept_pause = cube_loop_after (worker->loop, ACCEPT_PAUSE_US, listen_again, worker, NULL);
          return;
        }
      else if (errno == EAGAIN || errno == EWOULDBLOCK)
        return;
    }
}

/* ---- the source ---- */

static void
flush_all (HttpWorker *worker)
{
  GList *link;
  while ((link = g_queue_pop_head_link (&worker->flushes)) != NULL)
    {
      HttpWire *wire = link->data;
      wire->is_flush_queued = FALSE;
      http_wire_flush (wire);
    }
}

static gboolean
engine_prepare (GSource *source, int *timeout)
{
  HttpWorker *worker = ((Engine *) source)->worker;
  flush_all (worker);
  *timeout = worker->is_hurried ? 0 : -1;
  worker->is_hurried = FALSE;
  return FALSE;
}

static gboolean
engine_check (GSource *source)
{
  Engine *engine = (Engine *) source;
  struct epoll_event events[G_N_ELEMENTS (engine->pending)];
  if (engine->n_pending > 0 || engine->is_accepting)
    return TRUE; /* asked twice without a dispatch between */
  if ((engine->poll.revents & G_IO_IN) == 0)
    return FALSE;
  int n = epoll_wait (engine->worker->epoll_fd, events, G_N_ELEMENTS (events), 0);
  for (int i = 0; i < n; i++)
    {
      HttpWire *wire = events[i].data.ptr;
      if (wire == NULL)
        engine->is_accepting = TRUE;
      else if (http_wire_note (wire, events[i].events))
        engine->pending[engine->n_pending++] = (Pending){ g_object_ref (wire), events[i].events };
    }
  return engine->n_pending > 0 || engine->is_accepting;
}

static gboolean
engine_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  Engine *engine = (Engine *) source;
  /* a wire's reference is held until all have been told: one's owner may free another's */
  for (guint i = 0; i < engine->n_pending; i++)
    http_wire_dispatch (engine->pending[i].wire, engine->pending[i].events);
  for (guint i = 0; i < engine->n_pending; i++)
    g_object_unref (engine->pending[i].wire);
  engine->n_pending = 0;
  if (engine->is_accepting)
    accept_some (engine->worker);
  engine->is_accepting = FALSE;
  return G_SOURCE_CONTINUE;
}

static void
engine_finalize (GSource *source)
{
  Engine *engine = (Engine *) source;
  for (guint i = 0; i < engine->n_pending; i++)
    g_object_unref (engine->pending[i].wire);
}

static GSourceFuncs engine_funcs = {
  .prepare = engine_prepare, .check = engine_check, .dispatch = engine_dispatch, .finalize = engine_finalize
};

gboolean
http_engine_start (HttpWorker *worker, GError **error)
{
  struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };
  worker->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
  if (worker->epoll_fd < 0 || epoll_ctl (worker->epoll_fd, EPOLL_CTL_ADD, worker->listen_fd, &event) != 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "epoll: %s", g_strerror (errno));
      return FALSE;
    }
  worker->inbox = g_malloc (HTTP_INBOX);
  worker->engine = g_source_new (&engine_funcs, sizeof (Engine));
  g_source_set_static_name (worker->engine, "http-engine");
  Engine *engine = (Engine *) worker->engine;
  engine->worker = worker;
  /* not as a "unix fd", which is dispatched for each of its events; and never taken out of the poll while it is, which would wake the loop twice (it
   * runs no other loop inside) */
  engine->poll = (GPollFD){ .fd = worker->epoll_fd, .events = G_IO_IN };
  g_source_add_poll (worker->engine, &engine->poll);
  g_source_set_can_recurse (worker->engine, TRUE);
  g_source_attach (worker->engine, cube_loop_get_main_context (worker->loop));
  return TRUE;
}

void
http_engine_stop (HttpWorker *worker)
{
  HttpWire *wire;
  g_clear_pointer (&worker->accept_pause, cube_timer_cancel);
  if (worker->listen_fd >= 0)
    close (worker->listen_fd);
  worker->listen_fd = -1;
  flush_all (worker);
  if (worker->engine != NULL)
    g_source_destroy (worker->engine);
  g_clear_pointer (&worker->engine, g_source_unref);
  while ((wire = g_queue_peek_head (&worker->lingering)) != NULL)
    http_wire_cut (wire);
  g_clear_pointer (&worker->linger, cube_timer_cancel);
  if (worker->epoll_fd >= 0)
    close (worker->epoll_fd);
  worker->epoll_fd = -1;
}
