/* SPDX-License-Identifier: Apache-2.0 */
/* Listening: one SoupServer a worker on the same port, connections counted, timed and bounded. */
#include "engine.h"
#include "http.h"
#include "stream.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REAP_US (100 * 1000)
#define SWEEP_US (5 * G_USEC_PER_SEC)
#define RENEWAL_US (30 * 24 * 3600 * (gint64) G_USEC_PER_SEC)
#define DRAIN_US (5 * G_USEC_PER_SEC)

static GQuark conn_quark;
static void arm_sweep (HttpWorker *worker);

/* ---- connections ---- */

static void
worker_unref (gpointer data)
{
  HttpWorker *worker = data;
  if (!g_atomic_int_dec_and_test (&worker->ref_count))
    return;
  g_clear_object (&worker->local_address);
  g_clear_pointer (&worker->credentials, http_credentials_unref);
  g_string_free (worker->scratch, TRUE);
  g_free (worker->inbox);
  g_free (worker);
}

HttpConn *
http_conn_new (HttpWorker *worker, GSocketAddress *address)
{
  HttpConn *conn = g_new0 (HttpConn, 1);
  conn->worker = worker;
  g_atomic_int_inc (&worker->ref_count);
  g_atomic_int_add (&worker->server->n_connections, 1);
  conn->link.data = conn;
  g_queue_push_tail_link (&worker->conns, &conn->link);
  conn->address = address;
  g_object_set_qdata (G_OBJECT (address), conn_quark, conn);
  conn->is_loopback = -1;
  conn->write_us = worker->server->config.write_us;
  http_conn_set_phase (conn, HTTP_PHASE_IDLE);
  arm_sweep (worker);
  return conn;
}

void
http_conn_free (HttpConn *conn)
{
  if (conn->soup != NULL)
    g_object_remove_weak_pointer (conn->soup, (gpointer *) &conn->soup);
  g_queue_unlink (&conn->worker->conns, &conn->link);
  g_atomic_int_add (&conn->worker->server->n_connections, -1);
  g_object_set_qdata (G_OBJECT (conn->address), conn_quark, NULL);
  g_object_unref (conn->address);
  cube_user_unref (conn->user);
  worker_unref (conn->worker);
  g_free (conn->remote);
  g_free (conn);
}

/* libsoup hands the address on as it is: an object of this connection alone. */
HttpConn *
http_conn_get (SoupServerMessage *msg)
{
  GSocketAddress *address = soup_server_message_get_remote_address (msg);
  return address != NULL ? g_object_get_qdata (G_OBJECT (address), conn_quark) : NULL;
}

void
http_conn_set_phase (HttpConn *conn, HttpPhase phase)
{
  if (conn == NULL)
    return;
  conn->phase = phase;
  conn->since_us = cube_context_monotonic_us (conn->worker->server->context);
}

void
http_conn_abort (HttpConn *conn)
{
  http_wire_flush (conn->wire);
  if (conn->wire->fd >= 0)
    shutdown (conn->wire->fd, SHUT_RDWR);
}

static GInetAddress *
inet_of (const HttpConn *conn)
{
  return G_IS_INET_SOCKET_ADDRESS (conn->address) ? g_inet_socket_address_get_address (G_INET_SOCKET_ADDRESS (conn->address)) : NULL;
}

const char *
http_conn_remote (HttpConn *conn)
{
  if (conn->remote == NULL)
    conn->remote = inet_of (conn) != NULL ? g_inet_address_to_string (inet_of (conn)) : g_strdup ("");
  return conn->remote;
}

gboolean
http_conn_is_loopback (HttpConn *conn)
{
  if (conn->is_loopback < 0)
    conn->is_loopback = inet_of (conn) != NULL && g_inet_address_get_is_loopback (inet_of (conn));
  return conn->is_loopback;
}

static void sweep (gpointer data);
static void reap_all (gpointer data);

static void
arm_sweep (HttpWorker *worker)
{
  if (worker->sweep == NULL)
    worker->sweep = cube_loop_after (worker->loop, SWEEP_US, sweep, worker, NULL);
}

static gint64
allowed_us (const HttpConfig *config, const HttpConn *conn)
{
  switch (conn->phase)
    {
    case HTTP_PHASE_IDLE: return conn->is_used ? config->idle_us : config->header_us;
    case HTTP_PHASE_READING: return config->body_us;
    case HTTP_PHASE_WRITING: return conn->write_us;
    default: return G_MAXINT64;
    }
}

/* ---- what libsoup before 3.4 forgets ----
 * It never disconnects a kept-alive connection whose client goes away between two requests: descriptor, TLS state and all would stay for ever. This
 * is put right here; where libsoup did its part there is nothing left to find. */

static _Thread_local GObject *current_soup; /* the SoupServerConnection whose signal is being emitted */
static gulong request_hook;
static GMutex hook_lock;

static gboolean
on_request_started (GSignalInvocationHint *hint, guint n_values, const GValue *values, gpointer data)
{
  current_soup = g_value_get_object (&values[0]);
  return TRUE;
}

/* The type exists once the first connection does. */
static void
add_request_hook (void)
{
  g_mutex_lock (&hook_lock);
  GType type = request_hook == 0 ? g_type_from_name ("SoupServerConnection") : 0;
  guint signal = type != 0 ? g_signal_lookup ("request-started", type) : 0;
  if (signal != 0)
    request_hook = g_signal_add_emission_hook (signal, 0, on_request_started, NULL, NULL);
  g_mutex_unlock (&hook_lock);
}

static void
remove_request_hook (void)
{
  g_mutex_lock (&hook_lock);
  GType type = g_type_from_name ("SoupServerConnection");
  if (request_hook != 0 && type != 0)
    g_signal_remove_emission_hook (g_signal_lookup ("request-started", type), request_hook);
  request_hook = 0;
  g_mutex_unlock (&hook_lock);
}

static void
remember_soup (HttpConn *conn)
{
  if (conn->soup == NULL && current_soup != NULL)
    {
      conn->soup = current_soup;
      g_object_add_weak_pointer (conn->soup, (gpointer *) &conn->soup);
    }
  current_soup = NULL;
}

/* TRUE: the connection is gone. */
static gboolean
reap (HttpConn *conn)
{
  /* a message still there would be told "disconnected" and then go on reading: only when the server's list alone holds the connection */
  if (!conn->wire->is_hung_up || conn->phase != HTTP_PHASE_IDLE || conn->soup == NULL
      || g_atomic_int_get ((gint *) &conn->soup->ref_count) != 1 || !http_wire_is_over (conn->wire))
    return FALSE;
  g_signal_emit_by_name (conn->soup, "disconnected"); /* the server lets go of it */
  return TRUE;
}

void
http_conn_hung_up (HttpConn *conn)
{
  HttpWorker *worker = conn->worker;
  if (worker->reaper == NULL)
    worker->reaper = cube_loop_after (worker->loop, REAP_US, reap_all, worker, NULL);
}

static void
reap_all (gpointer data)
{
  HttpWorker *worker = data;
  GList *next;
  gboolean is_any = FALSE;
  g_clear_pointer (&worker->reaper, cube_timer_cancel);
  for (GList *l = worker->conns.head; l != NULL; l = next)
    {
      HttpConn *conn = l->data;
      next = l->next;
      if (!reap (conn) && conn->wire->is_hung_up && !conn->wire->is_closed && conn->phase == HTTP_PHASE_IDLE)
        is_any = TRUE; /* libsoup has not read the end yet */
    }
  if (is_any && !g_atomic_int_get (&worker->server->is_stopping))
    worker->reaper = cube_loop_after (worker->loop, REAP_US, reap_all, worker, NULL);
}

/* Ends what stays too long in a phase: a request that never finishes, an idle connection, an answer nobody reads. */
static void
sweep (gpointer data)
{
  HttpWorker *worker = data;
  g_clear_pointer (&worker->sweep, cube_timer_cancel);
  gint64 now = cube_context_monotonic_us (worker->server->context);
  GList *next;
  for (GList *l = worker->conns.head; l != NULL; l = next)
    {
      HttpConn *conn = l->data;
      next = l->next;
      if (!reap (conn) && now - conn->since_us > allowed_us (&worker->server->config, conn))
        http_conn_abort (conn);
    }
  if (worker->conns.length > 0)
    arm_sweep (worker);
}

/* The handshake is done: libsoup may have it. */
void
http_conn_open (HttpConn *conn)
{
  g_autoptr (GError) error = NULL;
  if (!soup_server_accept_iostream (conn->worker->soup, G_IO_STREAM (conn->wire), conn->worker->local_address, conn->address, &error))
    g_warning ("%s: connection not accepted: %s", http_conn_remote (conn), error != NULL ? error->message : "?");
}

/* libsoup starts the first message of a connection when it is given it, further ones at their first byte. */
static void
request_started (SoupServer *soup, SoupServerMessage *msg, gpointer data)
{
  HttpConn *conn = http_conn_get (msg);
  if (conn == NULL)
    return;
  add_request_hook ();
  remember_soup (conn);
  if (conn->is_used)
    http_conn_set_phase (conn, HTTP_PHASE_READING);
}

static void
request_read (SoupServer *soup, SoupServerMessage *msg, gpointer data)
{
  HttpConn *conn = http_conn_get (msg);
  if (conn != NULL && conn->phase == HTTP_PHASE_READING)
    http_conn_set_phase (conn, HTTP_PHASE_RUNNING);
}

static void
request_ended (SoupServer *soup, SoupServerMessage *msg, gpointer data)
{
  HttpConn *conn = http_conn_get (msg);
  if (conn == NULL || conn->phase == HTTP_PHASE_STREAMING)
    return;
  http_conn_set_phase (conn, HTTP_PHASE_IDLE);
  if (conn->wire->is_hung_up)
    http_conn_hung_up (conn);
}

/* ---- sockets ---- */

static int
bind_socket (const char *address, guint16 port, gboolean is_shared, GError **error)
{
  g_autoptr (GInetAddress) inet = g_inet_address_new_from_string (address);
  if (inet == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "listen address \"%s\" is not an IP address", address);
      errno = EINVAL;
      return -1;
    }
  g_autoptr (GSocketAddress) socket_address = g_inet_socket_address_new (inet, port);
  struct sockaddr_storage native;
  gssize size = g_socket_address_get_native_size (socket_address);
  if (!g_socket_address_to_native (socket_address, &native, sizeof native, error))
    {
      errno = EINVAL;
      return -1;
    }
  int fd = socket (native.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
  if (fd >= 0)
    {
      setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (is_shared)
        setsockopt (fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
      if (bind (fd, (struct sockaddr *) &native, (socklen_t) size) == 0 && listen (fd, 1024) == 0)
        return fd;
    }
  int saved = errno;
  if (fd >= 0)
    close (fd);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "listen on %s port %u: %s%s", address, port, g_strerror (saved),
               saved == EADDRINUSE ? "; another program has the port: choose another one with --listen ADDR:PORT" : "");
  errno = saved;
  return -1;
}

static guint16
bound_port (int fd)
{
  struct sockaddr_storage native;
  socklen_t size = sizeof native;
  if (getsockname (fd, (struct sockaddr *) &native, &size) != 0)
    return 0;
  return native.ss_family == AF_INET6 ? ntohs (((struct sockaddr_in6 *) &native)->sin6_port)
                                      : ntohs (((struct sockaddr_in *) &native)->sin_port);
}

/* One socket a worker on one port. SO_REUSEPORT must be set before GLib sees the descriptor; it would also let two servers share a port
 * unnoticed, so a plain socket asks first. */
static gboolean
make_sockets (HttpServer *server, const char *address, guint16 *port, guint n, int *fds, GError **error)
{
  g_autoptr (GError) why = NULL;
  int probe = bind_socket (address, *port, FALSE, &why);
  /* a server killed a moment ago may not be gone altogether */
  for (guint i = 0; probe < 0 && errno == EADDRINUSE && i < 10; i++)
    {
      g_clear_error (&why);
      g_usleep (100 * 1000);
      probe = bind_socket (address, *port, FALSE, &why);
    }
  if (probe < 0)
    {
      g_propagate_error (error, g_steal_pointer (&why));
      return FALSE;
    }
  close (probe);
  for (guint i = 0; i < n; i++)
    {
      fds[i] = bind_socket (address, *port, TRUE, error);
      if (fds[i] < 0)
        {
          while (i-- > 0)
            close (fds[i]);
          return FALSE;
        }
      if (*port == 0)
        *port = bound_port (fds[i]);
    }
  return TRUE;
}

/* ---- start ---- */

static void
report (HttpServer *server, GError *error)
{
  g_mutex_lock (&server->lock);
  if (error != NULL && server->start_error == NULL)
    server->start_error = g_steal_pointer (&error);
  g_clear_error (&error);
  server->n_pending--;
  g_cond_broadcast (&server->cond);
  g_mutex_unlock (&server->lock);
}

static void
wait_pending (HttpServer *server)
{
  g_mutex_lock (&server->lock);
  while (server->n_pending > 0)
    g_cond_wait (&server->cond, &server->lock);
  g_mutex_unlock (&server->lock);
}

/* libsoup keeps no connection alive unless it listens itself: it gets a socket on which nothing can ever come. */
static gboolean
keep_alive (HttpWorker *worker, GError **error)
{
  int pair[2];
  if (socketpair (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "socketpair: %s", g_strerror (errno));
      return FALSE;
    }
  worker->silent_fd = pair[1];
  g_autoptr (GSocket) socket = g_socket_new_from_fd (pair[0], error);
  if (socket == NULL)
    close (pair[0]);
  return socket != NULL && soup_server_listen_socket (worker->soup, socket, 0, error);
}

static void
worker_start (gpointer data)
{
  HttpWorker *worker = data;
  GError *error = NULL;
  worker->soup = g_object_new (SOUP_TYPE_SERVER, "raw-paths", TRUE, "server-header", NULL, NULL);
  g_signal_connect (worker->soup, "request-started", G_CALLBACK (request_started), worker);
  g_signal_connect (worker->soup, "request-read", G_CALLBACK (request_read), worker);
  g_signal_connect (worker->soup, "request-finished", G_CALLBACK (request_ended), worker);
  g_signal_connect (worker->soup, "request-aborted", G_CALLBACK (request_ended), worker);
  soup_server_add_early_handler (worker->soup, NULL, http_handle_early, worker, NULL);
  soup_server_add_handler (worker->soup, NULL, http_handle, worker, NULL);
  if (keep_alive (worker, &error))
    http_engine_start (worker, &error);
  report (worker->server, error);
}

static gboolean
add_worker (HttpServer *server, guint index, int fd, GError **error)
{
  g_autofree char *name = g_strdup_printf ("api-%u", index);
  HttpWorker *worker = g_new0 (HttpWorker, 1);
  worker->ref_count = 1;
  worker->server = server;
  worker->index = index;
  worker->epoll_fd = worker->silent_fd = -1;
  worker->listen_fd = fd;
  worker->credentials = http_credentials_ref (server->credentials);
  worker->scratch = g_string_new (NULL);
  worker->loop = cube_context_get_loop (server->context, name);
  g_ptr_array_add (server->workers, worker);
  struct sockaddr_storage native;
  socklen_t size = sizeof native;
  if (getsockname (fd, (struct sockaddr *) &native, &size) == 0)
    worker->local_address = g_socket_address_new_from_native (&native, size);
  if (cube_loop_get_main_context (worker->loop) == NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED,
                           "the HTTP front end needs real loops; it does not run under simulation");
      return FALSE;
    }
  return TRUE;
}

static void
worker_renew (gpointer data)
{
  HttpWorker *worker = data;
  HttpServer *server = worker->server;
  g_mutex_lock (&server->lock);
  HttpCredentials *old = g_steal_pointer (&worker->credentials);
  worker->credentials = http_credentials_ref (server->credentials);
  g_mutex_unlock (&server->lock);
  http_credentials_unref (old);
}

static void
renew_work (gpointer data)
{
  HttpServer *server = data;
  g_autoptr (GError) error = NULL;
  HttpCredentials *credentials = NULL;
  GTlsCertificate *ca = NULL;
  if (!http_make_credentials (server, &credentials, &ca, &error))
    {
      g_warning ("server certificate not renewed: %s", error->message);
      return;
    }
  g_mutex_lock (&server->lock);
  HttpCredentials *old = g_steal_pointer (&server->credentials);
  server->credentials = credentials;
  g_mutex_unlock (&server->lock);
  http_credentials_unref (old);
  g_clear_object (&ca);
  for (guint i = 0; i < server->workers->len; i++)
    {
      HttpWorker *worker = server->workers->pdata[i];
      cube_loop_post (worker->loop, worker_renew, worker, NULL);
    }
}

static void
renew (gpointer data)
{
  HttpServer *server = data;
  CubeLoop *loop = cube_context_get_loop (server->context, "api-0");
  g_clear_pointer (&server->renewal, cube_timer_cancel);
  if (g_atomic_int_get (&server->is_stopping))
    return;
  cube_context_run_blocking (server->context, renew_work, loop, NULL, server);
  server->renewal = cube_loop_after (loop, RENEWAL_US, renew, server, NULL);
}

static void
set_facts (HttpServer *server, const char *listen_address, guint16 port)
{
  g_autofree char *port_text = g_strdup_printf ("%u", port);
  g_autofree char *advertised = cube_context_fact (server->context, "advertise-address");
  const char *host = listen_address;
  if (strcmp (host, "0.0.0.0") == 0)
    host = "127.0.0.1";
  else if (strcmp (host, "::") == 0)
    host = "::1";
  gboolean is_v6 = strchr (host, ':') != NULL;
  g_autofree char *url = g_strdup_printf (is_v6 ? "https://[%s]:%u" : "https://%s:%u", host, port);
  const char *shown = advertised != NULL ? advertised : host;
  server->address = g_strdup_printf (strchr (shown, ':') != NULL ? "[%s]:%u" : "%s:%u", shown, port);
  cube_context_set_fact (server->context, "listen-port", port_text);
  cube_context_set_fact (server->context, "server", url);
}

static guint
worker_count (const HttpConfig *config)
{
  return config->workers > 0 ? (guint) config->workers : CLAMP (g_get_num_processors (), 1, 8);
}

gboolean
http_server_start (HttpServer *server, GError **error)
{
  conn_quark = g_quark_from_static_string ("cube-http-connection");
  g_autofree char *address = cube_context_fact (server->context, "listen-address");
  g_autofree char *port_text = cube_context_fact (server->context, "listen-port");
  const char *where = address != NULL && *address != '\0' ? address : "127.0.0.1";
  guint64 port_wanted = port_text != NULL ? g_ascii_strtoull (port_text, NULL, 10) : 0;
  if (port_wanted > G_MAXUINT16)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "listen port %s, wanted 0 to 65535", port_text);
      return FALSE;
    }
  guint16 port = (guint16) port_wanted;
  guint n = worker_count (&server->config);
  int fds[64];
  n = MIN (n, G_N_ELEMENTS (fds));
  server->client = cube_context_client (server->context);
  server->schema = cube_context_schema (server->context);
  g_atomic_int_set (&server->is_stopping, 0);
  if (!http_make_credentials (server, &server->credentials, &server->ca, error) || !make_sockets (server, where, &port, n, fds, error))
    return FALSE;
  server->workers = g_ptr_array_new_with_free_func (worker_unref);
  for (guint i = 0; i < n; i++)
    if (!add_worker (server, i, fds[i], error))
      {
        for (guint j = i + 1; j < n; j++)
          close (fds[j]);
        return FALSE;
      }
  set_facts (server, where, port);
  server->n_pending = n;
  for (guint i = 0; i < n; i++)
    {
      HttpWorker *worker = server->workers->pdata[i];
      cube_loop_post (worker->loop, worker_start, worker, NULL);
    }
  wait_pending (server);
  g_atomic_int_set (&server->is_started, 1);
  if (server->start_error != NULL)
    {
      g_propagate_error (error, g_steal_pointer (&server->start_error));
      http_server_stop (server);
      return FALSE;
    }
  server->renewal = cube_loop_after (cube_context_get_loop (server->context, "api-0"), RENEWAL_US, renew, server, NULL);
  g_info ("listening on %s port %u with %u workers", where, port, n);
  return TRUE;
}

/* ---- stop ---- */

static void
worker_close (gpointer data)
{
  HttpWorker *worker = data;
  http_streams_close (worker);
  report (worker->server, NULL);
}

/* Those in the middle of their handshake are the engine's alone. */
static void
close_greetings (HttpWorker *worker)
{
  GList *next;
  for (GList *l = worker->conns.head; l != NULL; l = next)
    {
      HttpWire *wire = ((HttpConn *) l->data)->wire;
      next = l->next;
      if (wire->is_open || wire->is_closed)
        continue;
      http_wire_close (wire);
      g_object_unref (wire);
    }
}

static void
worker_stop (gpointer data)
{
  HttpWorker *worker = data;
  http_streams_close (worker);
  if (worker->soup != NULL)
    soup_server_disconnect (worker->soup);
  close_greetings (worker);
  g_clear_object (&worker->soup);
  if (worker->proxies != NULL)
    soup_session_abort (worker->proxies);
  g_clear_object (&worker->proxies);
  reap_all (worker);
  http_engine_stop (worker);
  if (worker->silent_fd >= 0)
    close (worker->silent_fd);
  worker->silent_fd = -1;
  g_clear_pointer (&worker->sweep, cube_timer_cancel);
  if (worker->index == 0)
    g_clear_pointer (&worker->server->renewal, cube_timer_cancel);
  report (worker->server, NULL);
}

static void
on_all_workers (HttpServer *server, CubeTask task)
{
  server->n_pending = server->workers->len;
  for (guint i = 0; i < server->workers->len; i++)
    {
      HttpWorker *worker = server->workers->pdata[i];
      cube_loop_post (worker->loop, task, worker, NULL);
    }
  wait_pending (server);
}

void
http_server_stop (HttpServer *server)
{
  if (server->workers == NULL)
    return;
  g_atomic_int_set (&server->is_stopping, 1);
  if (g_atomic_int_get (&server->is_started))
    {
      on_all_workers (server, worker_close);
      gint64 end = g_get_monotonic_time () + DRAIN_US;
      g_mutex_lock (&server->lock);
      while (g_atomic_int_get (&server->n_reading) + g_atomic_int_get (&server->n_mutating) > 0
             && g_cond_wait_until (&server->cond, &server->lock, end))
        ;
      g_mutex_unlock (&server->lock);
      on_all_workers (server, worker_stop);
      remove_request_hook ();
    }
  g_atomic_int_set (&server->is_started, 0);
  g_clear_pointer (&server->workers, g_ptr_array_unref);
  g_clear_pointer (&server->credentials, http_credentials_unref);
  g_clear_object (&server->ca);
  g_clear_pointer (&server->address, g_free);
}
