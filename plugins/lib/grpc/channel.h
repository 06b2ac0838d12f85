/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * What calls need of a channel; private to the library.
 */
#pragma once

#include <grpc/grpc.h>
#include "cube-grpc.h"

/* A new call on a queue of its own, known to the channel so that a shutdown
 * cancels it; NULL with CUBE_GRPC_CANCELLED after a shutdown. */
grpc_call *cube_grpc_channel_begin (CubeGrpcChannel *channel,
                                    const char *method,
                                    gint64 timeout_ms,
                                    grpc_completion_queue *queue,
                                    GError **error);

/* The call is over: forgotten and released. */
void cube_grpc_channel_end (CubeGrpcChannel *channel, grpc_call *call);
