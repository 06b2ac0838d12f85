/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Whole connections, against a server in this process that does what the test
 * says: an ordinary one, and ones that keep no rule.
 */
#include <gio/gio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cube-spdy.h"
#include "frame.h"
#include "header-block.h"

#define PROTOCOL "test"
#define PATIENCE_US (60 * G_USEC_PER_SEC) /* valgrind takes half of it */

typedef struct _Fixture Fixture;
struct _Fixture {
  /* the client's loop and workers */
  GMainContext *context;
  GMainLoop *loop;
  GThread *loop_thread;
  GThreadPool *workers;
  /* the server */
  GSocket *listener;
  GThread *server_thread;
  void (*serve) (Fixture *fixture, GSocket *socket);
  CubeSpdyDeflater *deflater;
  CubeSpdyInflater *inflater;
  /* what the client saw; under lock */
  GMutex lock;
  GCond changed;
  CubeSpdy *spdy;
  GByteArray *received[4];
  gboolean has_ended[4], was_reset[4];
  guint n_closed;
  GError *closed_error;
};

/* -- the client's side */

typedef struct {
  void (*work) (gpointer data);
  gpointer data;
} Job;

static void
run_job (gpointer item, gpointer data G_GNUC_UNUSED)
{
  Job *job = item;

  job->work (job->data);
  g_free (job);
}

static void
run_blocking (gpointer executor, void (*work) (gpointer data), gpointer data)
{
  Job *job = g_new (Job, 1);

  job->work = work;
  job->data = data;
  g_thread_pool_push (executor, job, NULL);
}

static gboolean
on_data (guint stream, const guint8 *bytes, gsize size, gpointer data)
{
  Fixture *fixture = data;

  g_mutex_lock (&fixture->lock);
  g_assert_cmpuint (fixture->n_closed, ==, 0);
  g_byte_array_append (fixture->received[stream], bytes, (guint) size);
  g_cond_broadcast (&fixture->changed);
  g_mutex_unlock (&fixture->lock);
  return TRUE;
}

static void
on_ended (guint stream, gboolean is_reset, gpointer data)
{
  Fixture *fixture = data;

  g_mutex_lock (&fixture->lock);
  g_assert_false (fixture->has_ended[stream]);
  fixture->has_ended[stream] = TRUE;
  fixture->was_reset[stream] = is_reset;
  g_cond_broadcast (&fixture->changed);
  g_mutex_unlock (&fixture->lock);
}

static void
on_closed (const GError *error, gpointer data)
{
  Fixture *fixture = data;

  g_mutex_lock (&fixture->lock);
  fixture->n_closed++;
  fixture->closed_error = error != NULL ? g_error_copy (error) : NULL;
  g_cond_broadcast (&fixture->changed);
  g_mutex_unlock (&fixture->lock);
}

static const CubeSpdyFuncs funcs = { on_data, on_ended, on_closed };

static void
wait_closed (Fixture *fixture)
{
  gint64 end = g_get_monotonic_time () + PATIENCE_US;

  g_mutex_lock (&fixture->lock);
  while (fixture->n_closed == 0)
    g_assert_true (g_cond_wait_until (&fixture->changed, &fixture->lock, end));
  g_mutex_unlock (&fixture->lock);
}

static gpointer
run_loop (gpointer data)
{
  Fixture *fixture = data;

  g_main_context_push_thread_default (fixture->context);
  g_main_loop_run (fixture->loop);
  g_main_context_pop_thread_default (fixture->context);
  return NULL;
}

static gboolean
quit_loop (gpointer data)
{
  g_main_loop_quit (data);
  return G_SOURCE_REMOVE;
}

/* By way of the loop: one that has not begun to run cannot be told to end. */
static void
end_loop (Fixture *fixture)
{
  g_autoptr (GSource) source = g_idle_source_new ();

  g_source_set_callback (source, quit_loop, fixture->loop, NULL);
  g_source_attach (source, fixture->context);
  g_thread_join (fixture->loop_thread);
}

/* -- the server's side */

static void
send_bytes (GSocket *socket, const void *bytes, gsize size)
{
  const char *at = bytes;

  while (size > 0)
    {
      gssize sent = g_socket_send (socket, at, size, NULL, NULL);

      if (sent <= 0)
        return;
      at += sent;
      size -= (gsize) sent;
    }
}

static void
send_frames (GSocket *socket, GByteArray *frames)
{
  send_bytes (socket, frames->data, frames->len);
  g_byte_array_set_size (frames, 0);
}

static void
answer_upgrade (GSocket *socket)
{
  const char *answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
                       "X-Stream-Protocol-Version: " PROTOCOL "\r\n\r\n";
  g_autoptr (GString) request = g_string_new (NULL);
  char byte;

  while (!g_str_has_suffix (request->str, "\r\n\r\n") && g_socket_receive (socket, &byte, 1, NULL, NULL) == 1)
    g_string_append_c (request, byte);
  g_assert_true (g_str_has_prefix (request->str, "POST /exec/token?q=1 HTTP/1.1\r\n"));
  g_assert_nonnull (strstr (request->str, "\r\nUpgrade: SPDY/3.1\r\n"));
  send_bytes (socket, answer, strlen (answer));
}

static gpointer
accept_one (gpointer data)
{
  Fixture *fixture = data;
  g_autoptr (GSocket) socket = g_socket_accept (fixture->listener, NULL, NULL);

  g_assert_nonnull (socket);
  answer_upgrade (socket);
  fixture->serve (fixture, socket);
  return NULL;
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GInetAddress) loopback = g_inet_address_new_loopback (G_SOCKET_FAMILY_IPV4);
  g_autoptr (GSocketAddress) any = g_inet_socket_address_new (loopback, 0), bound = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *url = NULL;
  CubeSpdyExecutor executor;

  fixture->serve = (void (*) (Fixture *, GSocket *)) data;
  fixture->context = g_main_context_new ();
  fixture->loop = g_main_loop_new (fixture->context, FALSE);
  fixture->loop_thread = g_thread_new ("loop", run_loop, fixture);
  fixture->workers = g_thread_pool_new (run_job, NULL, 4, FALSE, NULL);
  fixture->deflater = cube_spdy_deflater_new ();
  fixture->inflater = cube_spdy_inflater_new ();
  g_mutex_init (&fixture->lock);
  g_cond_init (&fixture->changed);
  for (guint i = 0; i < G_N_ELEMENTS (fixture->received); i++)
    fixture->received[i] = g_byte_array_new ();

  fixture->listener = g_socket_new (G_SOCKET_FAMILY_IPV4, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_TCP, &error);
  g_assert_true (g_socket_bind (fixture->listener, any, TRUE, &error));
  g_assert_true (g_socket_listen (fixture->listener, &error));
  bound = g_socket_get_local_address (fixture->listener, &error);
  g_assert_no_error (error);
  fixture->server_thread = g_thread_new ("server", accept_one, fixture);

  url = g_strdup_printf ("http://127.0.0.1:%u/exec/token?q=1", g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (bound)));
  executor = (CubeSpdyExecutor){ fixture->context, run_blocking, fixture->workers };
  fixture->spdy = cube_spdy_connect (url, PROTOCOL, &executor, NULL, &error);
  g_assert_no_error (error);
}

static void
start (Fixture *fixture, guint n_streams)
{
  const char *const headers[] = { "streamType", "stdin", NULL };

  for (guint i = 0; i < n_streams; i++)
    g_assert_cmpuint (cube_spdy_open (fixture->spdy, headers), ==, i);
  cube_spdy_start (fixture->spdy, &funcs, fixture);
}

static void
tear_down (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  cube_spdy_close (fixture->spdy);
  g_thread_join (fixture->server_thread);
  g_thread_pool_free (fixture->workers, FALSE, TRUE);
  end_loop (fixture);
  g_main_loop_unref (fixture->loop);
  g_main_context_unref (fixture->context);
  g_object_unref (fixture->listener);
  cube_spdy_deflater_free (fixture->deflater);
  cube_spdy_inflater_free (fixture->inflater);
  for (guint i = 0; i < G_N_ELEMENTS (fixture->received); i++)
    g_byte_array_unref (fixture->received[i]);
  g_clear_error (&fixture->closed_error);
  g_cond_clear (&fixture->changed);
  g_mutex_clear (&fixture->lock);
}

/* -- servers */

static gboolean
drain_control (const CubeSpdyFrame *frame G_GNUC_UNUSED, gpointer data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean
drain_data (guint32 stream G_GNUC_UNUSED, const guint8 *bytes G_GNUC_UNUSED, gsize size G_GNUC_UNUSED, gboolean is_fin G_GNUC_UNUSED,
            gpointer data G_GNUC_UNUSED, GError **error G_GNUC_UNUSED)
{
  return TRUE;
}

/* Reads until the client hangs up. */
static void
drain (GSocket *socket, CubeSpdyReader *reader)
{
  static const CubeSpdyReaderFuncs nothing = { drain_control, drain_data };
  g_autoptr (CubeSpdyReader) own = reader == NULL ? cube_spdy_reader_new (&nothing, NULL) : NULL;
  char buffer[4096];
  gssize n;

  while ((n = g_socket_receive (socket, buffer, sizeof buffer, NULL, NULL)) > 0)
    if (!cube_spdy_reader_feed (reader != NULL ? reader : own, (guint8 *) buffer, (gsize) n, NULL))
      break;
}

typedef struct {
  Fixture *fixture;
  GSocket *socket;
  gsize window; /* 0: knows no windows */
  gsize taken;  /* of the window, data we were sent */
} Echo;

static void
reply_to (Echo *echo, guint32 stream)
{
  const char *const none[] = { NULL };
  g_autoptr (GByteArray) block = g_byte_array_new (), out = g_byte_array_new ();

  cube_spdy_deflater_add (echo->fixture->deflater, none, block);
  cube_spdy_write_syn_reply (out, stream, block->data, block->len);
  send_frames (echo->socket, out);
}

static gboolean
echo_control (const CubeSpdyFrame *frame, gpointer data, GError **error)
{
  Echo *echo = data;
  g_autoptr (GHashTable) headers = NULL;

  if (frame->type != CUBE_SPDY_SYN_STREAM)
    return TRUE;
  headers = cube_spdy_inflater_read (echo->fixture->inflater, frame->block, frame->block_size, error);
  g_assert_cmpstr (g_hash_table_lookup (headers, "streamtype"), ==, "stdin");
  if (echo->window > 0)
    {
      /* One byte more than at first: now the client knows that windows count. */
      g_autoptr (GByteArray) out = g_byte_array_new ();

      cube_spdy_write_window_update (out, 0, 1);
      cube_spdy_write_window_update (out, frame->stream, 1);
      send_frames (echo->socket, out);
      echo->window++;
    }
  reply_to (echo, frame->stream);
  return TRUE;
}

static gboolean
echo_data (guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin, gpointer data, GError **error G_GNUC_UNUSED)
{
  Echo *echo = data;
  g_autoptr (GByteArray) out = g_byte_array_new ();

  echo->taken += size;
  if (echo->window > 0)
    {
      g_assert_cmpuint (echo->taken, <=, echo->window);
      if (echo->taken == echo->window)
        {
          cube_spdy_write_window_update (out, 0, (guint32) echo->taken);
          cube_spdy_write_window_update (out, stream, (guint32) echo->taken);
          echo->taken = 0;
        }
    }
  cube_spdy_write_data (out, stream, bytes, size, is_fin);
  send_frames (echo->socket, out);
  return TRUE;
}

static const CubeSpdyReaderFuncs echo_funcs = { echo_control, echo_data };

static void
serve_echo (Fixture *fixture, GSocket *socket)
{
  Echo echo = { .fixture = fixture, .socket = socket };
  g_autoptr (CubeSpdyReader) reader = cube_spdy_reader_new (&echo_funcs, &echo);

  drain (socket, reader);
}

static void
serve_windows (Fixture *fixture, GSocket *socket)
{
  Echo echo = { .fixture = fixture, .socket = socket, .window = CUBE_SPDY_INITIAL_WINDOW };
  g_autoptr (CubeSpdyReader) reader = cube_spdy_reader_new (&echo_funcs, &echo);

  drain (socket, reader);
}

static void
serve_reset (Fixture *fixture G_GNUC_UNUSED, GSocket *socket)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  cube_spdy_write_data (out, 1, (const guint8 *) "last words", 10, FALSE);
  cube_spdy_write_rst_stream (out, 1, CUBE_SPDY_CANCEL);
  cube_spdy_write_rst_stream (out, 1, CUBE_SPDY_CANCEL);
  cube_spdy_write_data (out, 1, (const guint8 *) "from beyond", 11, TRUE);
  cube_spdy_write_data (out, 99, (const guint8 *) "of no stream", 12, TRUE);
  cube_spdy_write_data (out, 2, (const guint8 *) "of an even one", 14, TRUE);
  cube_spdy_write_rst_stream (out, 3, CUBE_SPDY_CANCEL);
  send_frames (socket, out);
  drain (socket, NULL);
}

static void
serve_hang_up (Fixture *fixture G_GNUC_UNUSED, GSocket *socket)
{
  g_socket_shutdown (socket, TRUE, TRUE, NULL);
}

static void
serve_silence (Fixture *fixture G_GNUC_UNUSED, GSocket *socket)
{
  drain (socket, NULL);
}

static void
serve_garbage (Fixture *fixture G_GNUC_UNUSED, GSocket *socket)
{
  const char *text = "HTTP/1.1 400 Bad Request\r\n\r\n";
  guint8 bytes[64];

  /* A data frame of no stream, as it happens, and then what is no frame. */
  send_bytes (socket, text, strlen (text));
  memset (bytes, 0x80, sizeof bytes);
  for (guint i = 0; i < 400000; i++)
    send_bytes (socket, bytes, sizeof bytes);
}

/* Streams of its own, and pings whose answers it never reads. */
static void
serve_flood (Fixture *fixture, GSocket *socket)
{
  const char *const pairs[] = { "a", "b", NULL };
  g_autoptr (GByteArray) out = g_byte_array_new (), block = g_byte_array_new ();

  cube_spdy_deflater_add (fixture->deflater, pairs, block);
  cube_spdy_write_syn_stream (out, 2, block->data, block->len);
  for (guint i = 0; i < 3000; i++)
    cube_spdy_write_ping (out, 2);
  for (guint i = 0; i < 3000 && !g_socket_is_closed (socket); i++)
    {
      gsize size = out->len;

      if (g_socket_send (socket, (char *) out->data, size, NULL, NULL) < 0)
        break;
      /* The first round had the stream; its block would not inflate again. */
      g_byte_array_set_size (out, 0);
      for (guint p = 0; p < 3000; p++)
        cube_spdy_write_ping (out, 2);
    }
}

static void
serve_window_overflow (Fixture *fixture G_GNUC_UNUSED, GSocket *socket)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();

  cube_spdy_write_window_update (out, 1, 0x7fffffff);
  cube_spdy_write_window_update (out, 1, 0x7fffffff);
  send_frames (socket, out);
  drain (socket, NULL);
}


/* -- tests */

static void
write_and_compare (Fixture *fixture, gsize size)
{
  g_autofree guint8 *bytes = g_malloc (size);
  g_autoptr (GError) error = NULL;

  for (gsize i = 0; i < size; i++)
    bytes[i] = (guint8) (i * 2654435761u >> 24);
  start (fixture, 1);
  g_assert_true (cube_spdy_write (fixture->spdy, 0, bytes, size, &error));
  g_assert_no_error (error);
  cube_spdy_finish (fixture->spdy, 0);
  wait_closed (fixture);
  g_assert_no_error (fixture->closed_error);
  g_assert_true (fixture->has_ended[0]);
  g_assert_false (fixture->was_reset[0]);
  g_assert_cmpmem (fixture->received[0]->data, fixture->received[0]->len, bytes, size);
  g_assert_false (cube_spdy_write (fixture->spdy, 0, bytes, 1, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
}

static void
test_echo (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  write_and_compare (fixture, 3 * 1024 * 1024);
}

static void
test_windows (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  write_and_compare (fixture, 1024 * 1024);
}

static void
test_finish_at_once (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  start (fixture, 3);
  for (guint i = 0; i < 3; i++)
    cube_spdy_finish (fixture->spdy, i);
  wait_closed (fixture);
  g_assert_no_error (fixture->closed_error);
}

static void
test_reset (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  start (fixture, 2);
  wait_closed (fixture);
  g_assert_no_error (fixture->closed_error);
  g_assert_true (fixture->was_reset[0]);
  g_assert_cmpmem (fixture->received[0]->data, fixture->received[0]->len, "last words", 10);
  g_assert_cmpuint (fixture->received[1]->len, ==, 0);
  g_assert_false (cube_spdy_write (fixture->spdy, 0, (const guint8 *) "x", 1, NULL));
}

static void
test_broken (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  start (fixture, 1);
  wait_closed (fixture);
  g_assert_nonnull (fixture->closed_error);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
  g_assert_false (cube_spdy_write (fixture->spdy, 0, (const guint8 *) "x", 1, NULL));
}

static gpointer
write_forever (gpointer data)
{
  Fixture *fixture = data;
  static const guint8 bytes[65536];

  while (cube_spdy_write (fixture->spdy, 0, bytes, sizeof bytes, NULL))
    continue;
  return NULL;
}

/* A writer that waits for a stream that is never opened ends with the
 * connection; its last reference is the test's until it has. */
static void
test_end_while_writing (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  GThread *writer;

  start (fixture, 1);
  writer = g_thread_new ("writer", write_forever, fixture);
  g_socket_close (fixture->listener, NULL);
  wait_closed (fixture);
  g_thread_join (writer);
}

typedef struct {
  Fixture *fixture;
  gint thread_id; /* atomic; 0 = not begun */
} Writer;

static gpointer
write_once (gpointer data)
{
  Writer *writer = data;
  g_autoptr (GError) error = NULL;
  gboolean is_written;

  g_atomic_int_set (&writer->thread_id, (gint) syscall (SYS_gettid));
  is_written = cube_spdy_write (writer->fixture->spdy, 0, (const guint8 *) "x", 1, &error);
  g_assert_false (is_written);
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  return NULL;
}

/* Until the thread sleeps: the one place where the writer does is where it waits for room. */
static void
wait_asleep (Writer *writer)
{
  while (TRUE)
    {
      gint id = g_atomic_int_get (&writer->thread_id);
      g_autofree char *path = g_strdup_printf ("/proc/self/task/%d/stat", id), *text = NULL;
      const char *end;

      if (id != 0 && g_file_get_contents (path, &text, NULL, NULL) && (end = strrchr (text, ')')) != NULL && end[2] == 'S')
        return;
      g_thread_yield ();
    }
}

/* A closing beside a write that waits: the writer is the last to use the connection. */
static void
test_close_while_writing (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  Writer writer = { fixture, 0 };
  GThread *thread;

  start (fixture, 1);
  thread = g_thread_new ("writer", write_once, &writer);
  wait_asleep (&writer);
  cube_spdy_close (fixture->spdy);
  g_thread_join (thread);
  fixture->spdy = NULL;
}

static void
test_interrupt (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  Writer writer = { fixture, 0 };
  GThread *thread;

  start (fixture, 1);
  thread = g_thread_new ("writer", write_once, &writer);
  wait_asleep (&writer);
  cube_spdy_interrupt (fixture->spdy);
  g_thread_join (thread);
  wait_closed (fixture);
  g_assert_cmpuint (fixture->n_closed, ==, 1);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, serve, function) g_test_add ("/spdy/" name, Fixture, serve, set_up, function, tear_down)
  ADD ("echo", serve_echo, test_echo);
  ADD ("windows", serve_windows, test_windows);
  ADD ("finish-at-once", serve_echo, test_finish_at_once);
  ADD ("reset", serve_reset, test_reset);
  ADD ("hang-up", serve_hang_up, test_broken);
  ADD ("hang-up-while-writing", serve_hang_up, test_end_while_writing);
  ADD ("close-while-writing", serve_silence, test_close_while_writing);
  ADD ("interrupt", serve_silence, test_interrupt);
  ADD ("garbage", serve_garbage, test_broken);
  ADD ("flood", serve_flood, test_broken);
  ADD ("window-overflow", serve_window_overflow, test_broken);
  return g_test_run ();
}
