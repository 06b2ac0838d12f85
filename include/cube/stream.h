/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Byte streams of exec, attach, port-forward and logs between a front end and whoever runs the container. */
#include <cube/plugin.h>
CUBE_BEGIN_DECLS

typedef enum { CUBE_CHANNEL_STDIN = 0, CUBE_CHANNEL_STDOUT, CUBE_CHANNEL_STDERR, CUBE_CHANNEL_ERROR, CUBE_CHANNEL_RESIZE } CubeChannel;

typedef struct _CubeStream CubeStream;
/* The receiving side: functions called in order, one at a time, from any thread of the one who runs the stream; must not block long. */
typedef struct {
  guint32 ops_size;
  /* Bytes that came out (STDOUT, STDERR; for port-forward @channel is 2 × port index, + 1 for its error text). FALSE = stop, I am gone. The sender waits while it
   * runs: returning late is the back-pressure. */
  gboolean (*data) (gpointer sink, guint channel, const void *bytes, gsize length);
  /* The end, once. @status: a Status object (v1) as v4.channel.k8s.io defines it: Success, or Failure with reason NonZeroExitCode and the ExitCode cause. */
  void (*closed) (gpointer sink, CubeValue *status);
} CubeStreamSinkOps;

/* The sending side, implemented by who runs the container. Thread-safe; write may block until there is room (never on a loop). */
typedef struct {
  guint32 ops_size;
  gboolean (*write) (gpointer stream, guint channel, const void *bytes, gsize length, GError **error);
  void (*close_channel) (gpointer stream, guint channel);                 /* standard input's end */
  void (*resize) (gpointer stream, guint16 columns, guint16 rows);
  void (*close) (gpointer stream);                                        /* hang up; no sink call after it returns; frees the stream */
  /* (nullable) A write that waits for room, and every later one, returns FALSE. Beside any other call but close; must not block. Without it a front end
   * whose client has gone closes only once the write returned. Since: 0.2 */
  void (*interrupt) (gpointer stream);
} CubeStreamOps;
struct _CubeStream { const CubeStreamOps *ops; gpointer stream; };
CUBE_END_DECLS
