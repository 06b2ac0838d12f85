/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Connections taken over from libsoup (watches, logs, WebSockets): an idle one costs neither a GSource nor anything of libsoup's. Everything here
 * runs on the worker's loop. */
#include "http.h"

typedef struct _HttpStream HttpStream;
typedef struct {
  void (*received) (gpointer owner, const void *bytes, gsize length); /* (nullable): bytes are dropped */
  void (*drained) (gpointer owner);                                   /* (nullable) what was queued has been written */
  void (*closed) (gpointer owner);                                    /* the peer went, or the server stops: free the stream */
} HttpStreamOps;

/* NULL: the connection is gone. The message must not be touched afterwards. */
HttpStream *http_stream_steal (HttpWorker *worker, SoupServerMessage *msg, const HttpStreamOps *ops, gpointer owner);
/* Writes what it can and queues the rest. FALSE = dead (closed() will come). */
gboolean http_stream_write (HttpStream *stream, const void *bytes, gsize length);
gsize http_stream_queued (const HttpStream *stream);
/* Stops and resumes reading: back-pressure towards the peer. */
void http_stream_hold (HttpStream *stream, gboolean is_held);
/* Closes once everything queued is written; no callback follows. */
void http_stream_finish (HttpStream *stream);
/* Closes at once; no callback follows. */
void http_stream_free (HttpStream *stream);

void http_streams_close (HttpWorker *worker); /* tells every stream's owner */
