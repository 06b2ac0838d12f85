/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * gRPC over GLib: blocking unary and server-streaming calls on gRPC's C core
 * with protobuf-c messages.
 *
 * Every function may be called from any thread.  A call blocks its caller and
 * nobody else: each has a completion queue of its own, so any number of
 * threads use one channel at once.  Nothing wakes up while no call is under
 * way.
 */
#pragma once

#include <gio/gio.h>
#include <protobuf-c/protobuf-c.h>

G_BEGIN_DECLS

/* The largest message sent or accepted, bytes. */
#define CUBE_GRPC_MAX_MESSAGE_BYTES (16 * 1024 * 1024)
/* The most memory one decoded answer may take, bytes. */
#define CUBE_GRPC_MAX_DECODED_BYTES (128 * 1024 * 1024)

/**
 * CubeGrpcStatus:
 *
 * The status codes of gRPC, with their numbers on the wire; the codes of
 * %CUBE_GRPC_ERROR.  Source: gRPC "Status codes and their use".
 */
typedef enum {
  CUBE_GRPC_OK = 0,
  CUBE_GRPC_CANCELLED = 1,
  CUBE_GRPC_UNKNOWN = 2,
  CUBE_GRPC_INVALID_ARGUMENT = 3,
  CUBE_GRPC_DEADLINE_EXCEEDED = 4,
  CUBE_GRPC_NOT_FOUND = 5,
  CUBE_GRPC_ALREADY_EXISTS = 6,
  CUBE_GRPC_PERMISSION_DENIED = 7,
  CUBE_GRPC_RESOURCE_EXHAUSTED = 8,
  CUBE_GRPC_FAILED_PRECONDITION = 9,
  CUBE_GRPC_ABORTED = 10,
  CUBE_GRPC_OUT_OF_RANGE = 11,
  CUBE_GRPC_UNIMPLEMENTED = 12,
  CUBE_GRPC_INTERNAL = 13,
  CUBE_GRPC_UNAVAILABLE = 14,
  CUBE_GRPC_DATA_LOSS = 15,
  CUBE_GRPC_UNAUTHENTICATED = 16,
} CubeGrpcStatus;

#define CUBE_GRPC_ERROR (cube_grpc_error_quark ())
GQuark cube_grpc_error_quark (void);

/* "NotFound" for CUBE_GRPC_NOT_FOUND; "Unknown" for a number gRPC has not. */
const char *cube_grpc_status_name (int status);

/* A decoded answer, freed by g_autoptr. */
typedef ProtobufCMessage CubeGrpcMessage;
void cube_grpc_message_free (CubeGrpcMessage *message);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeGrpcMessage, cube_grpc_message_free)

typedef struct _CubeGrpcChannel CubeGrpcChannel;

/**
 * cube_grpc_channel_new_unix:
 * @path: absolute path of a unix socket; nothing need listen there yet
 *
 * Connects when a call is made and no connection stands.  While nobody listens
 * each call tries, and fails with %CUBE_GRPC_UNAVAILABLE at once; one that
 * listens but does not answer yet is waited for, 10 s at most.
 *
 * Returns: (transfer full) (nullable): the channel; %CUBE_GRPC_INVALID_ARGUMENT
 *   if @path is not absolute or is too long for a socket address
 */
CubeGrpcChannel *cube_grpc_channel_new_unix (const char *path, GError **error);

CubeGrpcChannel *cube_grpc_channel_ref (CubeGrpcChannel *channel);
void cube_grpc_channel_unref (CubeGrpcChannel *channel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeGrpcChannel, cube_grpc_channel_unref)

/**
 * cube_grpc_channel_shutdown:
 *
 * Cancels every call under way and refuses new ones with
 * %CUBE_GRPC_CANCELLED.  Does not wait for them; may be called twice.
 */
void cube_grpc_channel_shutdown (CubeGrpcChannel *channel);

/**
 * cube_grpc_channel_unary:
 * @method: "/package.Service/Method"
 * @request: the request
 * @response: the descriptor of the answer
 * @timeout_ms: deadline from now, milliseconds; 0 for none
 * @cancellable: (nullable): cancels the call, which then fails with
 *   %CUBE_GRPC_CANCELLED
 *
 * Calls and waits for the answer.
 *
 * Returns: (transfer full) (nullable): a message of type @response, or %NULL
 *   with an error of %CUBE_GRPC_ERROR; the server's reads, as every user of
 *   gRPC knows it, "rpc error: code = NotFound desc = what the server said"
 */
CubeGrpcMessage *cube_grpc_channel_unary (CubeGrpcChannel *channel,
                                          const char *method,
                                          const ProtobufCMessage *request,
                                          const ProtobufCMessageDescriptor *response,
                                          gint64 timeout_ms,
                                          GCancellable *cancellable,
                                          GError **error);

/**
 * CubeGrpcStreamFunc:
 * @message: (nullable): the next message, freed when the function returns;
 *   %NULL once, when the request has been handed to the server
 *
 * Called on the thread that called cube_grpc_channel_server_stream(), which
 * reads no further message meanwhile.
 *
 * Returns: %FALSE to end the stream
 */
typedef gboolean (*CubeGrpcStreamFunc) (const CubeGrpcMessage *message, gpointer user_data);

/**
 * cube_grpc_channel_server_stream:
 *
 * Calls and hands each message of the answer to @func until the server ends
 * the stream, @func returns %FALSE, the deadline passes or @cancellable is
 * cancelled.  Parameters as for cube_grpc_channel_unary().
 *
 * Returns: %TRUE if the server ended the stream with OK or @func ended it
 */
gboolean cube_grpc_channel_server_stream (CubeGrpcChannel *channel,
                                          const char *method,
                                          const ProtobufCMessage *request,
                                          const ProtobufCMessageDescriptor *response,
                                          gint64 timeout_ms,
                                          GCancellable *cancellable,
                                          CubeGrpcStreamFunc func,
                                          gpointer user_data,
                                          GError **error);

G_END_DECLS
