/* SPDX-License-Identifier: Apache-2.0 */
#include <cube/error.h>
#include <string.h>

#include "fixture.h"

typedef struct {
  GMutex lock;
  GCond changed;
  GByteArray *output[5]; /* by channel, under lock */
  CubeValue *status;     /* under lock */
  guint n_closed;
  gsize stop_after; /* refuse data after so many bytes; 0 never */
} Sink;

static gboolean
sink_data (gpointer data, guint channel, const void *bytes, gsize length)
{
  Sink *sink = data;
  gboolean goes_on;

  g_assert_cmpuint (channel, <, 5);
  g_mutex_lock (&sink->lock);
  g_assert_cmpuint (sink->n_closed, ==, 0);
  g_byte_array_append (sink->output[channel], bytes, (guint) length);
  goes_on = sink->stop_after == 0 || sink->output[channel]->len < sink->stop_after;
  g_cond_broadcast (&sink->changed);
  g_mutex_unlock (&sink->lock);
  return goes_on;
}

static void
sink_closed (gpointer data, CubeValue *status)
{
  Sink *sink = data;

  g_mutex_lock (&sink->lock);
  sink->n_closed++;
  sink->status = cube_value_ref (status);
  g_cond_broadcast (&sink->changed);
  g_mutex_unlock (&sink->lock);
}

static const CubeStreamSinkOps sink_ops = { sizeof (CubeStreamSinkOps), sink_data, sink_closed };

static void
sink_init (Sink *sink)
{
  memset (sink, 0, sizeof *sink);
  g_mutex_init (&sink->lock);
  g_cond_init (&sink->changed);
  for (guint i = 0; i < G_N_ELEMENTS (sink->output); i++)
    sink->output[i] = g_byte_array_new ();
}

static void
sink_clear (Sink *sink)
{
  for (guint i = 0; i < G_N_ELEMENTS (sink->output); i++)
    g_byte_array_unref (sink->output[i]);
  cube_value_unref (sink->status);
  g_cond_clear (&sink->changed);
  g_mutex_clear (&sink->lock);
}

static void
wait_closed (Sink *sink)
{
  gint64 end = g_get_monotonic_time () + SECONDS (30);

  g_mutex_lock (&sink->lock);
  while (sink->n_closed == 0)
    if (!g_cond_wait_until (&sink->changed, &sink->lock, end))
      g_error ("the stream did not end");
  g_mutex_unlock (&sink->lock);
}

static void
wait_output (Sink *sink, guint channel, const char *text)
{
  gint64 end = g_get_monotonic_time () + SECONDS (30);

  g_mutex_lock (&sink->lock);
  while (sink->output[channel]->len == 0 || memmem (sink->output[channel]->data, sink->output[channel]->len, text, strlen (text)) == NULL)
    if (!g_cond_wait_until (&sink->changed, &sink->lock, end))
      g_error ("no '%s' on channel %u: %.*s", text, channel, (int) sink->output[channel]->len, (char *) sink->output[channel]->data);
  g_mutex_unlock (&sink->lock);
}

static const char *
status_text (Sink *sink, const char *key)
{
  return cube_view_get_string (cube_value_root (sink->status), key);
}

static void
begin_exec (Fixture *fixture, const char *id, const char *script, gboolean has_stdin, gboolean tty, Sink *sink, CubeStream *stream)
{
  const char *const command[] = { "/bin/sh", "-c", script, NULL };
  g_autoptr (GError) error = NULL;

  sink_init (sink);
  fixture->harness.ops->exec (fixture->harness.state, id, command, has_stdin, TRUE, TRUE, tty, &sink_ops, sink, stream, &error);
  g_assert_no_error (error);
}

static void
test_exec (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  CubeStream stream;
  Sink sink;

  begin_exec (fixture, id, "echo out; echo err >&2", FALSE, FALSE, &sink, &stream);
  wait_closed (&sink);
  g_assert_cmpmem (sink.output[CUBE_CHANNEL_STDOUT]->data, sink.output[CUBE_CHANNEL_STDOUT]->len, "out\n", 4);
  g_assert_cmpmem (sink.output[CUBE_CHANNEL_STDERR]->data, sink.output[CUBE_CHANNEL_STDERR]->len, "err\n", 4);
  g_assert_cmpstr (status_text (&sink, "status"), ==, "Success");
  stream.ops->close (stream.stream);
  g_assert_cmpuint (sink.n_closed, ==, 1);
  sink_clear (&sink);
}

static void
test_exec_exit_code (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  CubeStream stream;
  CubeView cause;
  Sink sink;

  begin_exec (fixture, id, "exit 42", FALSE, FALSE, &sink, &stream);
  wait_closed (&sink);
  g_assert_cmpstr (status_text (&sink, "status"), ==, "Failure");
  g_assert_cmpstr (status_text (&sink, "reason"), ==, "NonZeroExitCode");
  cause = cube_view_element (cube_value_get (sink.status, "details", "causes"), 0);
  g_assert_cmpstr (cube_view_get_string (cause, "reason"), ==, "ExitCode");
  g_assert_cmpstr (cube_view_get_string (cause, "message"), ==, "42");
  stream.ops->close (stream.stream);
  sink_clear (&sink);
}

/* More than every buffer on the way, there and back, to its end. */
static void
test_exec_stdin (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  gsize size = 8 * 1024 * 1024;
  g_autofree guint8 *bytes = g_malloc (size);
  g_autoptr (GError) error = NULL;
  gint64 begin = g_get_monotonic_time ();
  CubeStream stream;
  Sink sink;

  for (gsize i = 0; i < size; i++)
    bytes[i] = (guint8) (i * 2654435761u >> 24);
  begin_exec (fixture, id, "cat; echo done >&2", TRUE, FALSE, &sink, &stream);
  g_assert_true (stream.ops->write (stream.stream, CUBE_CHANNEL_STDIN, bytes, size, &error));
  g_assert_no_error (error);
  stream.ops->close_channel (stream.stream, CUBE_CHANNEL_STDIN);
  wait_closed (&sink);
  g_assert_cmpstr (status_text (&sink, "status"), ==, "Success");
  g_assert_cmpmem (sink.output[CUBE_CHANNEL_STDOUT]->data, sink.output[CUBE_CHANNEL_STDOUT]->len, bytes, size);
  g_assert_cmpmem (sink.output[CUBE_CHANNEL_STDERR]->data, sink.output[CUBE_CHANNEL_STDERR]->len, "done\n", 5);
  g_test_message ("8 MiB there and back in %" G_GINT64_FORMAT " ms", (g_get_monotonic_time () - begin) / 1000);
  g_assert_false (stream.ops->write (stream.stream, CUBE_CHANNEL_STDIN, bytes, 1, &error));
  stream.ops->close (stream.stream);
  sink_clear (&sink);
}

/* Closed before the server has answered, and with nothing in it. */
static void
test_exec_empty_stdin (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");

  for (guint i = 0; i < 10; i++)
    {
      CubeStream stream;
      Sink sink;

      begin_exec (fixture, id, "wc -c", TRUE, FALSE, &sink, &stream);
      stream.ops->close_channel (stream.stream, CUBE_CHANNEL_STDIN);
      wait_closed (&sink);
      g_assert_cmpmem (sink.output[CUBE_CHANNEL_STDOUT]->data, sink.output[CUBE_CHANNEL_STDOUT]->len, "0\n", 2);
      stream.ops->close (stream.stream);
      sink_clear (&sink);
    }
}

static void
test_exec_tty (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  const char *input = "stty size; exit\n";
  g_autoptr (GError) error = NULL;
  CubeStream stream;
  Sink sink;

  begin_exec (fixture, id, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done", TRUE, TRUE, &sink, &stream);
  wait_output (&sink, CUBE_CHANNEL_STDOUT, "ready");
  stream.ops->resize (stream.stream, 132, 43);
  wait_output (&sink, CUBE_CHANNEL_STDOUT, "43 132");
  g_assert_true (stream.ops->write (stream.stream, CUBE_CHANNEL_STDIN, input, strlen (input), &error));
  stream.ops->close (stream.stream);
  g_assert_cmpuint (sink.n_closed, ==, 0);
  sink_clear (&sink);
}

static void
test_exec_receiver_gone (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "sleep 1000");
  CubeStream stream;
  Sink sink;

  begin_exec (fixture, id, "sleep 0.2; cat /dev/zero", FALSE, FALSE, &sink, &stream);
  g_mutex_lock (&sink.lock);
  sink.stop_after = 1;
  g_mutex_unlock (&sink.lock);
  wait_closed (&sink);
  g_assert_cmpstr (status_text (&sink, "status"), ==, "Failure");
  stream.ops->close (stream.stream);
  sink_clear (&sink);
}

static void
test_exec_missing (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  const char *const command[] = { "/bin/true", NULL };
  g_autoptr (GError) error = NULL;
  CubeStream stream;
  Sink sink;

  sink_init (&sink);
  g_assert_false (
      fixture->harness.ops->exec (fixture->harness.state, "none", command, FALSE, TRUE, TRUE, FALSE, &sink_ops, &sink, &stream, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
  sink_clear (&sink);
}

static void
test_attach (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "while :; do echo tick; sleep 0.05; done");
  g_autoptr (GError) error = NULL;
  CubeStream stream;
  Sink sink;

  sink_init (&sink);
  fixture->harness.ops->attach (fixture->harness.state, id, FALSE, TRUE, TRUE, FALSE, &sink_ops, &sink, &stream, &error);
  g_assert_no_error (error);
  wait_output (&sink, CUBE_CHANNEL_STDOUT, "tick\ntick\n");
  stream.ops->close (stream.stream);
  sink_clear (&sink);
}

static void
test_port_forward (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *id = fixture_start_container (fixture, "main", "nc -l -p 8080 -e cat & echo up; wait");
  const guint16 ports[] = { 8080, 8081 };
  g_autoptr (GError) error = NULL;
  g_autofree char *log = NULL;
  CubeContainer *container = fixture_status_of (fixture, id);
  CubeStream stream;
  Sink sink;

  while (log == NULL || strstr (log, "up") == NULL)
    {
      g_clear_pointer (&log, g_free);
      g_assert_true (g_file_get_contents (container->log_path, &log, NULL, &error));
    }
  cube_container_free (container);
  sink_init (&sink);
  fixture->harness.ops->port_forward (fixture->harness.state, fixture->sandbox, ports, 2, &sink_ops, &sink, &stream, &error);
  g_assert_no_error (error);
  g_assert_true (stream.ops->write (stream.stream, 0, "hello", 5, &error));
  wait_output (&sink, 0, "hello");
  /* Nobody listens on the second port: its error channel says so. */
  wait_output (&sink, 3, "8081");
  stream.ops->close (stream.stream);
  sink_clear (&sink);
}

void
add_streaming_tests (void)
{
#define ADD(name, function) g_test_add ("/cri/streaming/" name, Fixture, NULL, fixture_set_up, function, fixture_tear_down)
  ADD ("exec", test_exec);
  ADD ("exit-code", test_exec_exit_code);
  ADD ("stdin", test_exec_stdin);
  ADD ("empty-stdin", test_exec_empty_stdin);
  ADD ("tty", test_exec_tty);
  ADD ("receiver-gone", test_exec_receiver_gone);
  ADD ("missing", test_exec_missing);
  ADD ("attach", test_attach);
  ADD ("port-forward", test_port_forward);
}
