/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Between protobuf-c messages and gRPC byte buffers; private to the library.
 */
#pragma once

#include <grpc/byte_buffer.h>
#include "cube-grpc.h"

/* The packed request, or NULL with CUBE_GRPC_RESOURCE_EXHAUSTED if it is too large. */
grpc_byte_buffer *cube_grpc_message_pack (const ProtobufCMessage *message, GError **error);

/* The decoded answer, or NULL with CUBE_GRPC_INTERNAL if it does not decode
 * or would take more than CUBE_GRPC_MAX_DECODED_BYTES. */
CubeGrpcMessage *cube_grpc_message_unpack (grpc_byte_buffer *buffer,
                                           const ProtobufCMessageDescriptor *descriptor,
                                           GError **error);
