/* SPDX-License-Identifier: Apache-2.0 */
#include "test-server.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <string.h>

#include "echo.pb-c.h"

struct _TestServer {
  grpc_server *server;
  grpc_completion_queue *queue;      /* new calls, and the end */
  grpc_completion_queue *call_queue; /* what happens on calls */
  GThread *thread;
  GPtrArray *open_calls;
};

static char tag_new, tag_batch, tag_stop;

static gpr_timespec
forever (void)
{
  return gpr_inf_future (GPR_CLOCK_MONOTONIC);
}

static void
run_batch (TestServer *self, grpc_call *call, const grpc_op *ops, size_t n_ops)
{
  grpc_event event;

  g_assert_cmpint (grpc_call_start_batch (call, ops, n_ops, &tag_batch, NULL), ==, GRPC_CALL_OK);
  event = grpc_completion_queue_next (self->call_queue, forever (), NULL);
  g_assert_true (event.tag == &tag_batch);
}

static void
send_bytes (TestServer *self, grpc_call *call, const guint8 *bytes, size_t size)
{
  grpc_slice slice = grpc_slice_from_copied_buffer ((const char *) bytes, size);
  grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create (&slice, 1);
  grpc_op op = { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer };

  run_batch (self, call, &op, 1);
  grpc_byte_buffer_destroy (buffer);
  grpc_slice_unref (slice);
}

static void
send_reply (TestServer *self, grpc_call *call, const char *text, guint number)
{
  Echo__Reply reply = ECHO__REPLY__INIT;
  g_autofree guint8 *bytes = NULL;
  size_t size;

  reply.text = (char *) text;
  reply.number = number;
  bytes = g_malloc (echo__reply__get_packed_size (&reply) + 1);
  size = echo__reply__pack (&reply, bytes);
  send_bytes (self, call, bytes, size);
}

static void
send_status (TestServer *self, grpc_call *call, grpc_status_code code, const char *details)
{
  grpc_slice slice = grpc_slice_from_copied_string (details);
  grpc_op op = { .op = GRPC_OP_SEND_STATUS_FROM_SERVER };

  op.data.send_status_from_server.status = code;
  op.data.send_status_from_server.status_details = &slice;
  run_batch (self, call, &op, 1);
  grpc_slice_unref (slice);
}

/* NULL when the client has given up already. */
static Echo__Request *
read_request (TestServer *self, grpc_call *call)
{
  grpc_byte_buffer *buffer = NULL;
  grpc_op ops[2] = {
    { .op = GRPC_OP_SEND_INITIAL_METADATA },
    { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &buffer },
  };
  grpc_byte_buffer_reader reader;
  grpc_slice slice;
  Echo__Request *request;

  run_batch (self, call, ops, G_N_ELEMENTS (ops));
  if (buffer == NULL)
    return NULL;
  grpc_byte_buffer_reader_init (&reader, buffer);
  slice = grpc_byte_buffer_reader_readall (&reader);
  request = echo__request__unpack (NULL, GRPC_SLICE_LENGTH (slice), GRPC_SLICE_START_PTR (slice));
  grpc_slice_unref (slice);
  grpc_byte_buffer_reader_destroy (&reader);
  grpc_byte_buffer_destroy (buffer);
  g_assert_nonnull (request);
  return request;
}

/* FALSE if the call stays open. */
static gboolean
answer (TestServer *self, grpc_call *call, const char *method)
{
  Echo__Request *request = read_request (self, call);
  gboolean is_answered = TRUE;

  if (request == NULL)
    return TRUE;
  if (g_str_equal (method, "/echo.Echo/Echo"))
    send_reply (self, call, request->text, 0);
  else if (g_str_equal (method, "/echo.Echo/Garbage"))
    send_bytes (self, call, (const guint8 *) "\x0a\xff\xff", 3);
  else if (g_str_equal (method, "/echo.Echo/Count"))
    for (guint i = 1; i <= request->count; i++)
      send_reply (self, call, request->text, i);
  else
    is_answered = FALSE;

  if (g_str_equal (method, "/echo.Echo/Forever"))
    send_reply (self, call, "one", 1);
  if (is_answered)
    send_status (self, call, GRPC_STATUS_OK, "");
  else if (g_str_equal (method, "/echo.Echo/Fail"))
    {
      send_status (self, call, GRPC_STATUS_NOT_FOUND, "no such thing");
      is_answered = TRUE;
    }
  echo__request__free_unpacked (request, NULL);
  return is_answered;
}

static gpointer
serve (gpointer data)
{
  TestServer *self = data;

  while (TRUE)
    {
      grpc_call *call = NULL;
      grpc_call_details details;
      grpc_metadata_array metadata;
      g_autofree char *method = NULL;
      grpc_event event;

      grpc_call_details_init (&details);
      grpc_metadata_array_init (&metadata);
      grpc_server_request_call (self->server, &call, &details, &metadata, self->call_queue, self->queue, &tag_new);
      do
        event = grpc_completion_queue_next (self->queue, forever (), NULL);
      while (event.tag == &tag_stop);
      if (event.success)
        {
          method = g_strndup ((const char *) GRPC_SLICE_START_PTR (details.method), GRPC_SLICE_LENGTH (details.method));
          if (answer (self, call, method))
            grpc_call_unref (call);
          else
            g_ptr_array_add (self->open_calls, call);
        }
      grpc_call_details_destroy (&details);
      grpc_metadata_array_destroy (&metadata);
      /* A server that is shut down refuses what was asked of it. */
      if (!event.success)
        return NULL;
    }
}

TestServer *
test_server_new (const char *socket_path)
{
  TestServer *self = g_new0 (TestServer, 1);
  g_autofree char *address = g_strconcat ("unix:", socket_path, NULL);
  grpc_server_credentials *credentials;

  grpc_init ();
  credentials = grpc_insecure_server_credentials_create ();
  self->open_calls = g_ptr_array_new_with_free_func ((GDestroyNotify) grpc_call_unref);
  self->queue = grpc_completion_queue_create_for_next (NULL);
  self->call_queue = grpc_completion_queue_create_for_next (NULL);
  self->server = grpc_server_create (NULL, NULL);
  grpc_server_register_completion_queue (self->server, self->queue, NULL);
  grpc_server_register_completion_queue (self->server, self->call_queue, NULL);
  g_assert_cmpint (grpc_server_add_http2_port (self->server, address, credentials), !=, 0);
  grpc_server_credentials_release (credentials);
  grpc_server_start (self->server);
  self->thread = g_thread_new ("test-server", serve, self);
  return self;
}

static void
end_queue (grpc_completion_queue *queue)
{
  grpc_completion_queue_shutdown (queue);
  while (grpc_completion_queue_next (queue, forever (), NULL).type != GRPC_QUEUE_SHUTDOWN)
    continue;
  grpc_completion_queue_destroy (queue);
}

void
test_server_free (TestServer *self)
{
  grpc_server_shutdown_and_notify (self->server, self->queue, &tag_stop);
  grpc_server_cancel_all_calls (self->server);
  g_thread_join (self->thread);
  g_ptr_array_unref (self->open_calls);
  end_queue (self->queue);
  end_queue (self->call_queue);
  grpc_server_destroy (self->server);
  g_free (self);
  grpc_shutdown ();
}
