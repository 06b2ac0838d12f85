/* SPDX-License-Identifier: Apache-2.0 */
/* A wire against GnuTLS's client over a socket pair; the engine is a few lines here, so that each round is the test's. */
#include "engine.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
  HttpServer server;
  HttpWorker worker;
  HttpCredentials *credentials;
  HttpWire *wire;
  gnutls_session_t client;
  gnutls_certificate_credentials_t client_credentials;
  int peer;
  gboolean is_step_wise; /* the client's bytes come one by one */
  guint n_open, n_hung_up, n_freed;
  GThread *thread;
  GAsyncQueue *jobs;
} Fixture;

static Fixture *fixture_now;

/* ---- the engine and connections, as far as a wire asks for them ---- */

void
http_engine_queue (HttpWire *wire)
{
  wire->is_flush_queued = TRUE;
}

void
http_engine_forget (HttpWire *wire)
{
  wire->is_flush_queued = FALSE;
}

void
http_engine_remove (HttpWire *wire)
{
}

void
http_engine_hurry (HttpWire *wire)
{
  wire->conn->worker->is_hurried = TRUE;
}

void
http_engine_touch (HttpWire *wire)
{
}

gboolean
http_engine_linger (HttpWire *wire)
{
  wire->is_lingering = TRUE;
  g_object_ref (wire);
  return TRUE;
}

void
http_engine_let_go (HttpWire *wire)
{
  if (!wire->is_lingering)
    return;
  wire->is_lingering = FALSE;
  g_object_unref (wire);
}

void
http_engine_shake (HttpWire *wire)
{
  g_autoptr (GError) error = NULL;
  if (http_wire_handshake (wire, &error) == HTTP_WIRE_OPEN)
    fixture_now->n_open++;
}

void
http_conn_free (HttpConn *conn)
{
  fixture_now->n_freed++;
  g_free (conn);
}

void
http_conn_hung_up (HttpConn *conn)
{
  fixture_now->n_hung_up++;
}

/* The fixture's thread is the worker's loop; others hand over here. */
typedef struct {
  CubeTask task;
  gpointer data;
  GDestroyNotify destroy;
} Job;

gboolean
cube_loop_is_current (CubeLoop *loop)
{
  return g_thread_self () == fixture_now->thread;
}

void
cube_loop_post (CubeLoop *loop, CubeTask task, gpointer data, GDestroyNotify destroy)
{
  Job job = { task, data, destroy };
  g_async_queue_push (fixture_now->jobs, g_memdup2 (&job, sizeof job));
}

static void
run_job (Fixture *fixture, gboolean is_dropped)
{
  g_autofree Job *job = g_async_queue_pop (fixture->jobs);
  if (!is_dropped)
    job->task (job->data);
  job->destroy (job->data);
}

/* One round: what a real engine hears of the socket, and its flush. */
static void
turn (Fixture *fixture)
{
  HttpWire *wire = fixture->wire;
  struct pollfd ask = { .fd = wire->fd, .events = POLLIN | POLLOUT | POLLRDHUP };
  if (wire->fd < 0 || poll (&ask, 1, 0) < 0)
    return;
  guint events = (guint) ask.revents; /* epoll's have the same numbers */
  g_object_ref (wire);
  if (http_wire_note (wire, events))
    http_wire_dispatch (wire, events);
  if (wire->is_flush_queued)
    {
      wire->is_flush_queued = FALSE;
      http_wire_flush (wire);
    }
  g_object_unref (wire);
}

/* ---- the client ---- */

static ssize_t
client_push (gnutls_transport_ptr_t data, const void *bytes, size_t size)
{
  Fixture *fixture = data;
  for (gsize at = 0; at < size;)
    {
      ssize_t n = send (fixture->peer, (const char *) bytes + at, fixture->is_step_wise ? 1 : size - at, MSG_NOSIGNAL);
      g_assert_cmpint (n, >, 0);
      at += (gsize) n;
      if (fixture->is_step_wise)
        turn (fixture);
    }
  return (ssize_t) size;
}

static ssize_t
client_pull (gnutls_transport_ptr_t data, void *buffer, size_t size)
{
  Fixture *fixture = data;
  ssize_t n = recv (fixture->peer, buffer, size, MSG_DONTWAIT);
  if (n < 0)
    gnutls_transport_set_errno (fixture->client, errno);
  return n;
}

static void
make_identity (char **ret_certificate, char **ret_key)
{
  gnutls_x509_privkey_t key;
  gnutls_x509_crt_t certificate;
  gnutls_datum_t pem;
  g_assert_cmpint (gnutls_x509_privkey_init (&key), ==, 0);
  g_assert_cmpint (gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0), ==, 0);
  g_assert_cmpint (gnutls_x509_crt_init (&certificate), ==, 0);
  gnutls_x509_crt_set_version (certificate, 3);
  gnutls_x509_crt_set_serial (certificate, "\x01", 1);
  gnutls_x509_crt_set_dn (certificate, "CN=wire", NULL);
  gnutls_x509_crt_set_activation_time (certificate, 0);
  gnutls_x509_crt_set_expiration_time (certificate, G_GINT64_CONSTANT (4000000000));
  gnutls_x509_crt_set_key (certificate, key);
  g_assert_cmpint (gnutls_x509_crt_sign2 (certificate, certificate, key, GNUTLS_DIG_SHA256, 0), ==, 0);
  g_assert_cmpint (gnutls_x509_crt_export2 (certificate, GNUTLS_X509_FMT_PEM, &pem), ==, 0);
  *ret_certificate = g_strndup ((const char *) pem.data, pem.size);
  gnutls_free (pem.data);
  g_assert_cmpint (gnutls_x509_privkey_export2 (key, GNUTLS_X509_FMT_PEM, &pem), ==, 0);
  *ret_key = g_strndup ((const char *) pem.data, pem.size);
  gnutls_free (pem.data);
  gnutls_x509_crt_deinit (certificate);
  gnutls_x509_privkey_deinit (key);
}

static void
client_start (Fixture *fixture, const char *certificate, const char *key)
{
  gnutls_datum_t crt = { (unsigned char *) certificate, (unsigned int) strlen (certificate) };
  gnutls_datum_t secret = { (unsigned char *) key, (unsigned int) strlen (key) };
  g_assert_cmpint (gnutls_certificate_allocate_credentials (&fixture->client_credentials), ==, 0);
  g_assert_cmpint (gnutls_certificate_set_x509_key_mem (fixture->client_credentials, &crt, &secret, GNUTLS_X509_FMT_PEM), >=, 0);
  g_assert_cmpint (gnutls_init (&fixture->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL), ==, 0);
  g_assert_cmpint (gnutls_set_default_priority (fixture->client), ==, 0);
  g_assert_cmpint (gnutls_credentials_set (fixture->client, GNUTLS_CRD_CERTIFICATE, fixture->client_credentials), ==, 0);
  gnutls_transport_set_ptr (fixture->client, fixture);
  gnutls_transport_set_push_function (fixture->client, client_push);
  gnutls_transport_set_pull_function (fixture->client, client_pull);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  int pair[2], room = 64 * 1024;
  g_autofree char *certificate = NULL, *key = NULL;
  g_autoptr (GError) error = NULL;
  HttpConn *conn = g_new0 (HttpConn, 1);
  fixture_now = fixture;
  fixture->thread = g_thread_self ();
  fixture->jobs = g_async_queue_new ();
  fixture->worker.server = &fixture->server;
  fixture->worker.inbox = g_malloc (HTTP_INBOX);
  conn->worker = &fixture->worker;
  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), ==, 0);
  g_assert_cmpint (fcntl (pair[0], F_SETFL, O_NONBLOCK), ==, 0);
  setsockopt (pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  fixture->peer = pair[1];
  make_identity (&certificate, &key);
  fixture->credentials = http_credentials_new (certificate, key, &error);
  g_assert_no_error (error);
  fixture->wire = http_wire_new (conn, pair[0], fixture->credentials, &error);
  g_assert_no_error (error);
  conn->wire = fixture->wire;
  client_start (fixture, certificate, key);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  if (fixture->wire != NULL)
    {
      g_io_stream_close (G_IO_STREAM (fixture->wire), NULL, NULL);
      http_engine_let_go (fixture->wire);
      g_object_unref (fixture->wire);
    }
  g_assert_cmpuint (fixture->n_freed, ==, 1);
  gnutls_deinit (fixture->client);
  gnutls_certificate_free_credentials (fixture->client_credentials);
  http_credentials_unref (fixture->credentials);
  close (fixture->peer);
  g_free (fixture->worker.inbox);
  g_async_queue_unref (fixture->jobs);
}

static void
shake (Fixture *fixture)
{
  int code;
  for (guint i = 0; i < 10000; i++)
    {
      code = gnutls_handshake (fixture->client);
      turn (fixture);
      if (code == 0 && fixture->n_open > 0)
        break;
      g_assert_true (code == 0 || code == GNUTLS_E_AGAIN || code == GNUTLS_E_INTERRUPTED);
    }
  g_assert_cmpuint (fixture->n_open, ==, 1);
}

static void
say (Fixture *fixture, const char *text)
{
  g_assert_cmpint (gnutls_record_send (fixture->client, text, strlen (text)), ==, (gssize) strlen (text));
}

static void
expect (Fixture *fixture, const char *text)
{
  char buffer[256] = "";
  g_autoptr (GError) error = NULL;
  gssize n = http_wire_read (fixture->wire, buffer, sizeof buffer - 1, &error);
  g_assert_no_error (error);
  g_assert_cmpint (n, ==, (gssize) strlen (text));
  g_assert_cmpstr (buffer, ==, text);
}

static void
expect_nothing_yet (Fixture *fixture)
{
  char buffer[16];
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (http_wire_read (fixture->wire, buffer, sizeof buffer, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
  g_assert_false (http_wire_can_read (fixture->wire));
}

/* ---- tests ---- */

static void
test_talk (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GTlsCertificate) peer = NULL;
  char buffer[64] = "";
  fixture->is_step_wise = GPOINTER_TO_INT (data);
  shake (fixture);
  peer = http_wire_peer (fixture->wire);
  g_assert_nonnull (peer);
  expect_nothing_yet (fixture);
  say (fixture, "one");
  say (fixture, "two");
  turn (fixture);
  expect (fixture, "one"); /* a record each, both of one read of the socket */
  g_assert_true (http_wire_can_read (fixture->wire));
  expect (fixture, "two");
  expect_nothing_yet (fixture);
  g_assert_cmpint (http_wire_write (fixture->wire, "answer", 6, NULL), ==, 6);
  turn (fixture);
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer, sizeof buffer), ==, 6);
  g_assert_cmpstr (buffer, ==, "answer");
}

/* Head and body of an answer leave as one record. */
static void
test_gather (Fixture *fixture, gconstpointer data)
{
  char buffer[64] = "";
  shake (fixture);
  http_wire_write (fixture->wire, "head ", 5, NULL);
  http_wire_write (fixture->wire, "body", 4, NULL);
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer, sizeof buffer), ==, GNUTLS_E_AGAIN);
  turn (fixture);
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer, sizeof buffer), ==, 9);
  g_assert_cmpstr (buffer, ==, "head body");
  /* what is sent at once does not overtake what waits */
  http_wire_write (fixture->wire, "first ", 6, NULL);
  http_wire_send (fixture->wire, "second", 6, NULL);
  memset (buffer, 0, sizeof buffer);
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer, sizeof buffer), ==, 6);
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer + 6, sizeof buffer - 6), ==, 6);
  g_assert_cmpstr (buffer, ==, "first second");
}

static guint8
byte_at (gsize at)
{
  return (guint8) (at * 7 + at / 251);
}

static gsize
read_checked (Fixture *fixture, gsize at)
{
  guint8 buffer[10000];
  ssize_t n;
  while ((n = gnutls_record_recv (fixture->client, buffer, sizeof buffer)) > 0)
    for (ssize_t i = 0; i < n; i++)
      g_assert_cmpuint (buffer[i], ==, byte_at (at++));
  return at;
}

/* A reader that does not read stops the writer; nothing is lost or out of order, and what is still here at the close goes out after it. */
static void
test_slow_reader (Fixture *fixture, gconstpointer data)
{
  gboolean is_gathered = GPOINTER_TO_INT (data), is_blocked = FALSE;
  gsize total = 3 * 1000 * 1000, at = 0, seen = 0, chunk = is_gathered ? 3000 : 100000;
  g_autofree guint8 *bytes = g_malloc (total);
  shake (fixture);
  for (gsize i = 0; i < total; i++)
    bytes[i] = byte_at (i);
  while (at < total)
    {
      g_autoptr (GError) error = NULL;
      gsize size = MIN (chunk, total - at);
      gssize n = is_gathered ? http_wire_write (fixture->wire, bytes + at, size, &error)
                             : http_wire_send (fixture->wire, bytes + at, size, &error);
      if (n > 0)
        {
          at += (gsize) n;
          continue;
        }
      g_assert_error (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK);
      g_assert_false (http_wire_can_write (fixture->wire));
      g_assert_cmpuint (fixture->wire->cipher_length, <, 200 * 1000);
      is_blocked = TRUE;
      seen = read_checked (fixture, seen);
      turn (fixture);
    }
  g_assert_true (is_blocked);
  g_io_stream_close (G_IO_STREAM (fixture->wire), NULL, NULL);
  g_assert_true (fixture->wire->is_lingering);
  for (guint i = 0; i < 1000 && seen < total; i++)
    {
      seen = read_checked (fixture, seen);
      turn (fixture);
    }
  g_assert_cmpuint (seen, ==, total);
  g_assert_cmpint (gnutls_record_recv (fixture->client, bytes, 1), ==, 0); /* an orderly end */
  shutdown (fixture->peer, SHUT_WR);
  turn (fixture);
  g_assert_cmpint (fixture->wire->fd, ==, -1);
}

/* … though it has said its last word before. */
static void
test_slow_reader_left (Fixture *fixture, gconstpointer data)
{
  gsize total = 64 * 1000, n_sent = 0;
  g_autofree guint8 *bytes = g_malloc0 (total);
  shake (fixture);
  for (; http_wire_can_write (fixture->wire); n_sent++)
    g_assert_cmpint (http_wire_send (fixture->wire, bytes, total, NULL), ==, (gssize) total);
  shutdown (fixture->peer, SHUT_WR);
  turn (fixture);
  g_io_stream_close (G_IO_STREAM (fixture->wire), NULL, NULL);
  turn (fixture); /* the peer's end is heard again while something waits */
  gsize wanted = n_sent * total, got = 0;
  for (guint i = 0; i < 1000 && got < wanted; i++)
    {
      ssize_t n;
      while ((n = gnutls_record_recv (fixture->client, bytes, total)) > 0)
        got += (gsize) n;
      turn (fixture);
    }
  g_assert_cmpuint (got, ==, wanted);
  turn (fixture);
  g_assert_cmpint (fixture->wire->fd, ==, -1);
}

/* A client that still talks when the server closes gets the answer whole. */
static void
test_close_unread (Fixture *fixture, gconstpointer data)
{
  char buffer[64] = "";
  shake (fixture);
  say (fixture, "much that nobody reads");
  http_wire_write (fixture->wire, "enough", 6, NULL);
  g_io_stream_close (G_IO_STREAM (fixture->wire), NULL, NULL);
  say (fixture, "and more");
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer, sizeof buffer), ==, 6);
  g_assert_cmpstr (buffer, ==, "enough");
  g_assert_cmpint (fixture->wire->fd, >=, 0);
  turn (fixture);
  shutdown (fixture->peer, SHUT_WR);
  turn (fixture);
  g_assert_cmpint (fixture->wire->fd, ==, -1);
}

static void
test_hang_up (Fixture *fixture, gconstpointer data)
{
  char buffer[16];
  shake (fixture);
  say (fixture, "last words");
  if (GPOINTER_TO_INT (data))
    gnutls_bye (fixture->client, GNUTLS_SHUT_WR);
  shutdown (fixture->peer, SHUT_WR);
  turn (fixture);
  g_assert_cmpuint (fixture->n_hung_up, ==, 1);
  g_assert_false (http_wire_is_over (fixture->wire));
  expect (fixture, "last words");
  g_assert_cmpint (http_wire_read (fixture->wire, buffer, sizeof buffer, NULL), ==, 0);
  g_assert_cmpint (http_wire_read (fixture->wire, buffer, sizeof buffer, NULL), ==, 0);
  g_assert_true (http_wire_is_over (fixture->wire));
  g_assert_cmpint (http_wire_write (fixture->wire, "x", 1, NULL), ==, 1); /* it may still listen */
}

static void
test_gone (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  shake (fixture);
  close (fixture->peer);
  fixture->peer = -1;
  http_wire_write (fixture->wire, "x", 1, NULL);
  turn (fixture);
  g_assert_cmpint (http_wire_write (fixture->wire, "x", 1, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
}

static void
test_no_tls (Fixture *fixture, gconstpointer data)
{
  static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (send (fixture->peer, request, sizeof request - 1, 0), >, 0);
  g_assert_cmpint (http_wire_handshake (fixture->wire, &error), ==, HTTP_WIRE_FAILED);
  g_assert_nonnull (strstr (error->message, "TLS handshake: "));
  g_assert_null (http_wire_peer (fixture->wire));
}

static void
test_left_while_greeting (Fixture *fixture, gconstpointer data)
{
  g_assert_cmpint (http_wire_handshake (fixture->wire, NULL), ==, HTTP_WIRE_SHAKING);
  g_assert_cmpint (gnutls_handshake (fixture->client), ==, GNUTLS_E_AGAIN);
  shutdown (fixture->peer, SHUT_WR);
  turn (fixture);
  g_assert_cmpint (http_wire_handshake (fixture->wire, NULL), ==, HTTP_WIRE_FAILED);
}

/* Bytes changed on the way: an error, never data. */
static void
test_tampered (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GError) error = NULL;
  char buffer[64], junk[64];
  shake (fixture);
  memset (junk, 0x17, sizeof junk);
  memcpy (junk, "\x17\x03\x03\x00\x3b", 5);
  g_assert_cmpint (send (fixture->peer, junk, sizeof junk, 0), ==, sizeof junk);
  turn (fixture);
  g_assert_cmpint (http_wire_read (fixture->wire, buffer, sizeof buffer, &error), ==, -1);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_FAILED);
  g_assert_true (http_wire_can_read (fixture->wire)); /* whoever waits hears of it */
}

/* ---- sources ---- */

static gboolean
on_ready (GObject *stream, gpointer data)
{
  ++*(guint *) data;
  return G_SOURCE_CONTINUE;
}

static void
test_sources (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GMainContext) context = g_main_context_new ();
  GInputStream *in = g_io_stream_get_input_stream (G_IO_STREAM (fixture->wire));
  gboolean *is_hurried = &fixture->worker.is_hurried;
  guint n = 0;
  shake (fixture);
  g_assert_true (G_IS_TLS_CONNECTION (fixture->wire));
  expect_nothing_yet (fixture);
  g_autoptr (GSource) source = g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (in), NULL);
  g_source_set_callback (source, (GSourceFunc) (void (*) (void)) on_ready, &n, NULL);
  g_source_attach (source, context);
  g_assert_false (g_main_context_iteration (context, FALSE));
  g_assert_false (*is_hurried);
  say (fixture, "a");
  say (fixture, "b");
  turn (fixture);
  g_assert_true (g_main_context_iteration (context, FALSE));
  g_assert_true (*is_hurried); /* nothing was read: the loop must not sleep on it */
  expect (fixture, "a");
  g_assert_true (g_main_context_iteration (context, FALSE)); /* what TLS holds already makes no event */
  expect (fixture, "b");
  g_assert_false (g_main_context_iteration (context, FALSE));
  g_assert_cmpuint (n, ==, 2);
  expect_nothing_yet (fixture);
  /* one made when there is something to read */
  say (fixture, "c");
  turn (fixture);
  *is_hurried = FALSE;
  g_source_unref (g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (in), NULL));
  g_assert_true (*is_hurried);
  expect (fixture, "c");
  /* a stream outlives its wire as an ended one */
  g_object_ref (in);
  g_io_stream_close (G_IO_STREAM (fixture->wire), NULL, NULL);
  http_engine_let_go (fixture->wire);
  g_clear_object (&fixture->wire);
  n = 0;
  g_assert_true (g_main_context_iteration (context, FALSE));
  g_assert_cmpuint (n, ==, 1);
  g_assert_cmpint (g_pollable_input_stream_read_nonblocking (G_POLLABLE_INPUT_STREAM (in), &n, 1, NULL, NULL), ==, -1);
  g_source_destroy (source);
  g_object_unref (in);
}

static gpointer
write_elsewhere (gpointer stream)
{
  return GINT_TO_POINTER (g_output_stream_write_all (stream, "last chunk", 10, NULL, NULL, NULL));
}

/* GLib closes libsoup's streams on threads of its own: what they write is written by the worker. */
static void
test_other_thread (Fixture *fixture, gconstpointer data)
{
  char buffer[64] = "";
  GOutputStream *out = g_object_ref (g_io_stream_get_output_stream (G_IO_STREAM (fixture->wire)));
  shake (fixture);
  http_wire_write (fixture->wire, "first ", 6, NULL);
  GThread *thread = g_thread_new ("other", write_elsewhere, out);
  run_job (fixture, FALSE);
  g_assert_true (GPOINTER_TO_INT (g_thread_join (thread)));
  turn (fixture);
  g_assert_cmpint (gnutls_record_recv (fixture->client, buffer, sizeof buffer), ==, 16);
  g_assert_cmpstr (buffer, ==, "first last chunk");
  /* the loop ended before it came to it */
  thread = g_thread_new ("other", write_elsewhere, out);
  run_job (fixture, TRUE);
  g_assert_false (GPOINTER_TO_INT (g_thread_join (thread)));
  /* the connection went away meanwhile */
  thread = g_thread_new ("other", write_elsewhere, out);
  g_io_stream_close (G_IO_STREAM (fixture->wire), NULL, NULL);
  http_engine_let_go (fixture->wire);
  g_clear_object (&fixture->wire);
  run_job (fixture, FALSE);
  g_assert_false (GPOINTER_TO_INT (g_thread_join (thread)));
  g_object_unref (out);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, data, test) g_test_add (path, Fixture, data, set_up, test, tear_down)
  ADD ("/wire/talk", GINT_TO_POINTER (FALSE), test_talk);
  ADD ("/wire/talk-byte-by-byte", GINT_TO_POINTER (TRUE), test_talk);
  ADD ("/wire/gather", NULL, test_gather);
  ADD ("/wire/slow-reader", GINT_TO_POINTER (FALSE), test_slow_reader);
  ADD ("/wire/slow-reader-gathered", GINT_TO_POINTER (TRUE), test_slow_reader);
  ADD ("/wire/slow-reader-left", NULL, test_slow_reader_left);
  ADD ("/wire/close-unread", NULL, test_close_unread);
  ADD ("/wire/hang-up", GINT_TO_POINTER (FALSE), test_hang_up);
  ADD ("/wire/hang-up-orderly", GINT_TO_POINTER (TRUE), test_hang_up);
  ADD ("/wire/gone", NULL, test_gone);
  ADD ("/wire/no-tls", NULL, test_no_tls);
  ADD ("/wire/left-while-greeting", NULL, test_left_while_greeting);
  ADD ("/wire/tampered", NULL, test_tampered);
  ADD ("/wire/sources", NULL, test_sources);
  ADD ("/wire/other-thread", NULL, test_other_thread);
  return g_test_run ();
}
