/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <stdlib.h>

/* protobuf-c asks this for every piece of a message.  What it gives is plain
 * malloc memory, so the message is freed with protobuf-c's default allocator;
 * what it adds is an end to what a small hostile message may grow to. */
static void *
budget_alloc (void *data, size_t size)
{
  size_t *left = data;

  if (size > *left)
    return NULL;
  *left -= size;
  return malloc (size);
}

static void
budget_free (void *data G_GNUC_UNUSED, void *pointer)
{
  free (pointer);
}

grpc_byte_buffer *
cube_grpc_message_pack (const ProtobufCMessage *message, GError **error)
{
  size_t size = protobuf_c_message_get_packed_size (message);
  grpc_slice slice;
  grpc_byte_buffer *buffer;

  if (size > CUBE_GRPC_MAX_MESSAGE_BYTES)
    {
      g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_RESOURCE_EXHAUSTED, "request of %zu bytes, at most %d are sent", size,
                   CUBE_GRPC_MAX_MESSAGE_BYTES);
      return NULL;
    }
  slice = grpc_slice_malloc (size);
  protobuf_c_message_pack (message, GRPC_SLICE_START_PTR (slice));
  buffer = grpc_raw_byte_buffer_create (&slice, 1);
  grpc_slice_unref (slice);
  return buffer;
}

CubeGrpcMessage *
cube_grpc_message_unpack (grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *descriptor, GError **error)
{
  size_t left = CUBE_GRPC_MAX_DECODED_BYTES;
  ProtobufCAllocator allocator = { budget_alloc, budget_free, &left };
  grpc_byte_buffer_reader reader;
  CubeGrpcMessage *message = NULL;
  size_t size = grpc_byte_buffer_length (buffer);

  if (grpc_byte_buffer_reader_init (&reader, buffer))
    {
      grpc_slice slice = grpc_byte_buffer_reader_readall (&reader);

      message = protobuf_c_message_unpack (descriptor, &allocator, GRPC_SLICE_LENGTH (slice), GRPC_SLICE_START_PTR (slice));
      grpc_slice_unref (slice);
      grpc_byte_buffer_reader_destroy (&reader);
    }
  if (message == NULL)
    g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INTERNAL, "answer of %zu bytes is no %s", size, descriptor->name);
  return message;
}

void
cube_grpc_message_free (CubeGrpcMessage *message)
{
  if (message != NULL)
    protobuf_c_message_free_unpacked (message, NULL);
}
