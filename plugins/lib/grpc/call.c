/* SPDX-License-Identifier: Apache-2.0 */
#include "cube-grpc.h"
#include "channel.h"
#include "message.h"

#include <grpc/support/alloc.h>
#include <string.h>

/* One call with everything its operations write into.  Each tag is one batch. */
typedef enum { TAG_SEND = 1, TAG_HEADERS, TAG_MESSAGE, TAG_STATUS } Tag;

typedef struct {
  CubeGrpcChannel *channel;
  const char *method;
  grpc_completion_queue *queue;
  grpc_call *call;
  GCancellable *cancellable;
  gulong cancel_id;
  grpc_metadata_array headers, trailers;
  grpc_status_code status;
  grpc_slice details;
} Call;

static void
on_cancelled (GCancellable *cancellable G_GNUC_UNUSED, grpc_call *call)
{
  grpc_call_cancel (call, NULL);
}

static gboolean
call_open (Call *self, CubeGrpcChannel *channel, const char *method, gint64 timeout_ms, GCancellable *cancellable, GError **error)
{
  memset (self, 0, sizeof *self);
  self->method = method;
  self->queue = grpc_completion_queue_create_for_pluck (NULL);
  self->call = cube_grpc_channel_begin (channel, method, timeout_ms, self->queue, error);
  if (self->call == NULL)
    {
      grpc_completion_queue_shutdown (self->queue);
      grpc_completion_queue_destroy (self->queue);
      return FALSE;
    }
  self->channel = cube_grpc_channel_ref (channel);
  self->status = GRPC_STATUS_UNKNOWN;
  self->details = grpc_empty_slice ();
  grpc_metadata_array_init (&self->headers);
  grpc_metadata_array_init (&self->trailers);
  if (cancellable != NULL)
    {
      self->cancellable = g_object_ref (cancellable);
      self->cancel_id = g_cancellable_connect (cancellable, G_CALLBACK (on_cancelled), self->call, NULL);
    }
  return TRUE;
}

static void
call_close (Call *self)
{
  /* Before the call goes: waits for on_cancelled() if it is running. */
  if (self->cancellable != NULL)
    g_cancellable_disconnect (self->cancellable, self->cancel_id);
  g_clear_object (&self->cancellable);
  cube_grpc_channel_end (self->channel, self->call);
  grpc_completion_queue_shutdown (self->queue);
  grpc_completion_queue_destroy (self->queue);
  grpc_metadata_array_destroy (&self->headers);
  grpc_metadata_array_destroy (&self->trailers);
  grpc_slice_unref (self->details);
  cube_grpc_channel_unref (self->channel);
}

/* Whether the batch did what it was to do; why not, the status says. */
static gboolean
call_wait (Call *self, Tag tag)
{
  grpc_event event = grpc_completion_queue_pluck (self->queue, GSIZE_TO_POINTER (tag), gpr_inf_future (GPR_CLOCK_MONOTONIC), NULL);

  return event.success != 0;
}

/* The batches here cannot be refused: their operations are ours and in order. */
static void
call_start (Call *self, const grpc_op *ops, size_t n_ops, Tag tag)
{
  grpc_call_error code = grpc_call_start_batch (self->call, ops, n_ops, GSIZE_TO_POINTER (tag), NULL);

  if (code != GRPC_CALL_OK)
    g_error ("%s: batch %d refused: %s", self->method, tag, grpc_call_error_to_string (code));
}

static void
call_start_status (Call *self)
{
  grpc_op op = { .op = GRPC_OP_RECV_STATUS_ON_CLIENT };

  op.data.recv_status_on_client.trailing_metadata = &self->trailers;
  op.data.recv_status_on_client.status = &self->status;
  op.data.recv_status_on_client.status_details = &self->details;
  call_start (self, &op, 1, TAG_STATUS);
}

static void
call_start_headers (Call *self)
{
  grpc_op op = { .op = GRPC_OP_RECV_INITIAL_METADATA };

  op.data.recv_initial_metadata.recv_initial_metadata = &self->headers;
  call_start (self, &op, 1, TAG_HEADERS);
}

static void
call_start_send (Call *self, grpc_byte_buffer *request)
{
  grpc_op ops[3] = {
    { .op = GRPC_OP_SEND_INITIAL_METADATA },
    { .op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = request },
    { .op = GRPC_OP_SEND_CLOSE_FROM_CLIENT },
  };

  call_start (self, ops, G_N_ELEMENTS (ops), TAG_SEND);
}

/* The next message, NULL at the end of the stream. */
static grpc_byte_buffer *
call_receive (Call *self)
{
  grpc_byte_buffer *message = NULL;
  grpc_op op = { .op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &message };

  call_start (self, &op, 1, TAG_MESSAGE);
  call_wait (self, TAG_MESSAGE);
  return message;
}

/* Waits for the end of everything that was started.  FALSE with the server's
 * error if its status is not OK. */
static gboolean
call_finish (Call *self, GError **error)
{
  g_autofree char *details = NULL;

  call_wait (self, TAG_HEADERS);
  call_wait (self, TAG_STATUS);
  if (self->status == GRPC_STATUS_OK)
    return TRUE;
  details = g_utf8_make_valid ((const char *) GRPC_SLICE_START_PTR (self->details), (gssize) GRPC_SLICE_LENGTH (self->details));
  g_set_error (error, CUBE_GRPC_ERROR, (int) self->status, "rpc error: code = %s desc = %s", cube_grpc_status_name ((int) self->status),
               details);
  return FALSE;
}

static gboolean
check_method (const char *method, GError **error)
{
  const char *slash = method[0] == '/' ? strchr (method + 1, '/') : NULL;

  if (slash != NULL && slash > method + 1 && slash[1] != '\0')
    return TRUE;
  g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INVALID_ARGUMENT, "method '%s': wanted /package.Service/Method", method);
  return FALSE;
}

CubeGrpcMessage *
cube_grpc_channel_unary (CubeGrpcChannel *channel, const char *method, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *response, gint64 timeout_ms, GCancellable *cancellable, GError **error)
{
  Call call;
  grpc_byte_buffer *packed, *answer;
  CubeGrpcMessage *message = NULL;

  g_return_val_if_fail (channel != NULL && method != NULL, NULL);
  g_return_val_if_fail (request != NULL && response != NULL, NULL);

  if (!check_method (method, error))
    return NULL;
  packed = cube_grpc_message_pack (request, error);
  if (packed == NULL)
    return NULL;
  if (!call_open (&call, channel, method, timeout_ms, cancellable, error))
    {
      grpc_byte_buffer_destroy (packed);
      return NULL;
    }
  call_start_status (&call);
  call_start_headers (&call);
  call_start_send (&call, packed);
  answer = call_receive (&call);
  call_wait (&call, TAG_SEND);
  if (call_finish (&call, error))
    {
      if (answer != NULL)
        message = cube_grpc_message_unpack (answer, response, error);
      else
        g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INTERNAL, "no answer");
      if (message == NULL)
        g_prefix_error (error, "%s: ", strrchr (method, '/') + 1);
    }
  if (answer != NULL)
    grpc_byte_buffer_destroy (answer);
  grpc_byte_buffer_destroy (packed);
  call_close (&call);
  return message;
}

/* Hands messages on until the stream or the caller's interest ends.  FALSE
 * with an error if a message does not decode; *ret_is_done if func said so. */
static gboolean
stream_messages (Call *call, const ProtobufCMessageDescriptor *response, CubeGrpcStreamFunc func, gpointer user_data, gboolean *ret_is_done,
                 GError **error)
{
  while (TRUE)
    {
      grpc_byte_buffer *packed = call_receive (call);
      g_autoptr (CubeGrpcMessage) message = NULL;

      if (packed == NULL)
        return TRUE;
      message = cube_grpc_message_unpack (packed, response, error);
      grpc_byte_buffer_destroy (packed);
      if (message == NULL)
        {
          g_prefix_error (error, "%s: ", strrchr (call->method, '/') + 1);
          return FALSE;
        }
      if (!func (message, user_data))
        {
          *ret_is_done = TRUE;
          return TRUE;
        }
    }
}

gboolean
cube_grpc_channel_server_stream (CubeGrpcChannel *channel, const char *method, const ProtobufCMessage *request,
                                 const ProtobufCMessageDescriptor *response, gint64 timeout_ms, GCancellable *cancellable,
                                 CubeGrpcStreamFunc func, gpointer user_data, GError **error)
{
  Call call;
  grpc_byte_buffer *packed;
  gboolean is_done = FALSE, is_fine = TRUE;

  g_return_val_if_fail (channel != NULL && method != NULL && func != NULL, FALSE);
  g_return_val_if_fail (request != NULL && response != NULL, FALSE);

  if (!check_method (method, error))
    return FALSE;
  packed = cube_grpc_message_pack (request, error);
  if (packed == NULL)
    return FALSE;
  if (!call_open (&call, channel, method, timeout_ms, cancellable, error))
    {
      grpc_byte_buffer_destroy (packed);
      return FALSE;
    }
  call_start_status (&call);
  /* Not waited for here: a server need not send headers before its first message. */
  call_start_headers (&call);
  call_start_send (&call, packed);
  if (call_wait (&call, TAG_SEND))
    is_done = !func (NULL, user_data);
  grpc_byte_buffer_destroy (packed);
  if (!is_done)
    is_fine = stream_messages (&call, response, func, user_data, &is_done, error);
  if (is_done || !is_fine)
    {
      grpc_call_cancel (call.call, NULL);
      call_finish (&call, NULL);
    }
  else
    is_fine = call_finish (&call, error);
  call_close (&call);
  return is_fine;
}
