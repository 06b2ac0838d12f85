/* SPDX-License-Identifier: Apache-2.0 */
#include "cube-grpc.h"
#include "message.h"

#include <glib/gstdio.h>
#include <grpc/grpc.h>
#include <string.h>

#include "echo.pb-c.h"
#include "test-server.h"

#define LONG_MS 20000

typedef struct {
  char *folder;
  char *path;
  TestServer *server;
  CubeGrpcChannel *channel;
} Fixture;

static void
set_up (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  fixture->folder = g_dir_make_tmp ("cube-grpc-XXXXXX", &error);
  g_assert_no_error (error);
  fixture->path = g_build_filename (fixture->folder, "s", NULL);
  fixture->server = test_server_new (fixture->path);
  fixture->channel = cube_grpc_channel_new_unix (fixture->path, &error);
  g_assert_no_error (error);
}

static void
tear_down (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  cube_grpc_channel_unref (fixture->channel);
  test_server_free (fixture->server);
  g_unlink (fixture->path);
  g_rmdir (fixture->folder);
  g_free (fixture->path);
  g_free (fixture->folder);
}

static CubeGrpcMessage *
call (CubeGrpcChannel *channel, const char *method, const char *text, gint64 timeout_ms, GCancellable *cancellable, GError **error)
{
  Echo__Request request = ECHO__REQUEST__INIT;

  request.text = (char *) text;
  return cube_grpc_channel_unary (channel, method, &request.base, &echo__reply__descriptor, timeout_ms, cancellable, error);
}

static void
test_unary (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeGrpcMessage) message = NULL;

  message = call (fixture->channel, "/echo.Echo/Echo", "hello", LONG_MS, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (((Echo__Reply *) message)->text, ==, "hello");
}

static gpointer
call_often (gpointer data)
{
  for (guint i = 0; i < 200; i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeGrpcMessage) message = NULL;
      g_autofree char *text = g_strdup_printf ("%p %u", (gpointer) g_thread_self (), i);

      message = call (data, "/echo.Echo/Echo", text, LONG_MS, NULL, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (((Echo__Reply *) message)->text, ==, text);
    }
  return NULL;
}

static void
test_threads (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  GThread *threads[8];

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("caller", call_often, fixture->channel);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

static void
test_server_error (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (call (fixture->channel, "/echo.Echo/Fail", "x", LONG_MS, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_NOT_FOUND);
  g_assert_cmpstr (error->message, ==, "rpc error: code = NotFound desc = no such thing");
}

static void
test_garbage (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (call (fixture->channel, "/echo.Echo/Garbage", "x", LONG_MS, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INTERNAL);
}

static void
test_bad_method (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  const char *const methods[] = { "", "/", "Echo", "/echo.Echo", "/echo.Echo/", "//x" };

  for (guint i = 0; i < G_N_ELEMENTS (methods); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (call (fixture->channel, methods[i], "x", LONG_MS, NULL, &error));
      g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INVALID_ARGUMENT);
    }
}

static void
test_deadline (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (call (fixture->channel, "/echo.Echo/Hang", "x", 50, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_DEADLINE_EXCEEDED);
}

static gpointer
hang (gpointer data)
{
  Fixture *fixture = data;
  g_autoptr (GError) error = NULL;

  g_assert_null (call (fixture->channel, "/echo.Echo/Hang", "x", 0, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_CANCELLED);
  return NULL;
}

static void
test_cancel (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  g_autoptr (GError) error = NULL;

  g_cancellable_cancel (cancellable);
  g_assert_null (call (fixture->channel, "/echo.Echo/Hang", "x", 0, cancellable, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_CANCELLED);
}

static void
test_shutdown (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  GThread *thread = g_thread_new ("hang", hang, fixture);

  g_thread_yield ();
  cube_grpc_channel_shutdown (fixture->channel);
  g_thread_join (thread);
  g_assert_null (call (fixture->channel, "/echo.Echo/Echo", "x", LONG_MS, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_CANCELLED);
}

typedef struct {
  guint opened, messages, limit;
  GCancellable *cancellable;
} Counter;

static gboolean
count (const CubeGrpcMessage *message, gpointer data)
{
  Counter *counter = data;

  if (message == NULL)
    {
      counter->opened++;
      return TRUE;
    }
  counter->messages++;
  g_assert_cmpuint (((const Echo__Reply *) message)->number, ==, counter->messages);
  if (counter->cancellable != NULL)
    g_cancellable_cancel (counter->cancellable);
  return counter->messages != counter->limit;
}

static gboolean
stream (Fixture *fixture, const char *method, guint n, Counter *counter, GError **error)
{
  Echo__Request request = ECHO__REQUEST__INIT;

  request.text = (char *) "x";
  request.count = n;
  return cube_grpc_channel_server_stream (fixture->channel, method, &request.base, &echo__reply__descriptor, LONG_MS, counter->cancellable,
                                          count, counter, error);
}

static void
test_stream (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  Counter counter = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_true (stream (fixture, "/echo.Echo/Count", 500, &counter, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (counter.opened, ==, 1);
  g_assert_cmpuint (counter.messages, ==, 500);
}

static void
test_stream_stopped (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  Counter counter = { .limit = 1 };
  g_autoptr (GError) error = NULL;

  g_assert_true (stream (fixture, "/echo.Echo/Forever", 0, &counter, &error));
  g_assert_no_error (error);
  g_assert_cmpuint (counter.messages, ==, 1);
}

static void
test_stream_cancelled (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  Counter counter = { .cancellable = cancellable };
  g_autoptr (GError) error = NULL;

  g_assert_false (stream (fixture, "/echo.Echo/Forever", 0, &counter, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_CANCELLED);
  g_assert_cmpuint (counter.messages, ==, 1);
}

static void
test_unavailable (void)
{
  g_autofree char *folder = g_dir_make_tmp ("cube-grpc-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (folder, "s", NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeGrpcChannel) channel = cube_grpc_channel_new_unix (path, &error);
  g_autoptr (CubeGrpcMessage) message = NULL;
  TestServer *server;

  g_assert_no_error (error);
  g_assert_null (call (channel, "/echo.Echo/Echo", "x", LONG_MS, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_UNAVAILABLE);
  g_clear_error (&error);

  /* The server comes, goes, and comes again: each call finds what there is. */
  for (guint i = 0; i < 2; i++)
    {
      server = test_server_new (path);
      message = call (channel, "/echo.Echo/Echo", "x", LONG_MS, NULL, &error);
      g_assert_no_error (error);
      g_assert_nonnull (message);
      g_clear_pointer (&message, cube_grpc_message_free);
      test_server_free (server);
      g_unlink (path);
      g_assert_null (call (channel, "/echo.Echo/Echo", "x", LONG_MS, NULL, &error));
      g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_UNAVAILABLE);
      g_clear_error (&error);
    }
  g_rmdir (folder);
}

static void
test_bad_path (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *path = g_strnfill (200, '/');

  g_assert_null (cube_grpc_channel_new_unix ("relative", &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INVALID_ARGUMENT);
  g_clear_error (&error);
  g_assert_null (cube_grpc_channel_new_unix (path, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INVALID_ARGUMENT);
}

static void
test_too_large (Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
  g_autofree char *text = g_strnfill (CUBE_GRPC_MAX_MESSAGE_BYTES + 1, 'x');
  g_autoptr (GError) error = NULL;

  g_assert_null (call (fixture->channel, "/echo.Echo/Echo", text, LONG_MS, NULL, &error));
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_RESOURCE_EXHAUSTED);
}

/* Two bytes on the wire make a message of some seventy in memory: an answer
 * within the size limit must still not decode to more than the budget. */
static void
test_decode_budget (void)
{
  gsize pairs = CUBE_GRPC_MAX_MESSAGE_BYTES / 2;
  g_autofree guint8 *bytes = g_malloc (pairs * 2);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeGrpcMessage) message = NULL;
  grpc_slice slice;
  grpc_byte_buffer *buffer;

  for (gsize i = 0; i < pairs; i++)
    {
      bytes[2 * i] = 0x1a;
      bytes[2 * i + 1] = 0;
    }
  grpc_init ();
  slice = grpc_slice_from_copied_buffer ((char *) bytes, pairs * 2);
  buffer = grpc_raw_byte_buffer_create (&slice, 1);
  message = cube_grpc_message_unpack (buffer, &echo__reply__descriptor, &error);
  g_assert_null (message);
  g_assert_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INTERNAL);
  grpc_byte_buffer_destroy (buffer);
  grpc_slice_unref (slice);
  grpc_shutdown ();
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, function) g_test_add ("/grpc/" name, Fixture, NULL, set_up, function, tear_down)
  ADD ("unary", test_unary);
  ADD ("threads", test_threads);
  ADD ("server-error", test_server_error);
  ADD ("garbage", test_garbage);
  ADD ("bad-method", test_bad_method);
  ADD ("deadline", test_deadline);
  ADD ("cancel", test_cancel);
  ADD ("shutdown", test_shutdown);
  ADD ("stream", test_stream);
  ADD ("stream-stopped", test_stream_stopped);
  ADD ("stream-cancelled", test_stream_cancelled);
  ADD ("too-large", test_too_large);
  g_test_add_func ("/grpc/unavailable", test_unavailable);
  g_test_add_func ("/grpc/bad-path", test_bad_path);
  g_test_add_func ("/grpc/decode-budget", test_decode_budget);
  return g_test_run ();
}
