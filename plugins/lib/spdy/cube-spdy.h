/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * A client of SPDY/3.1 as Kubernetes' streaming servers speak it: an HTTP
 * upgrade, then a few streams of bytes each way on one connection.
 *
 * Nothing here has a thread: the socket is watched on a main context of the
 * caller's, what arrives is handed on by the caller's workers.  An idle
 * connection costs a source.  All functions but those that say so may be
 * called from any thread.
 */
#pragma once

#include <gio/gio.h>

G_BEGIN_DECLS

typedef struct _CubeSpdy CubeSpdy;

/* How the connection gets its work done. */
typedef struct {
  GMainContext *main_context;           /* runs somewhere; (transfer none), outlives the connection */
  /* Runs @work, which may block, on a thread that is not main_context's. */
  void (*run_blocking) (gpointer executor, void (*work) (gpointer data), gpointer data);
  gpointer executor;
} CubeSpdyExecutor;

/* Called by the workers, one at a time, in order.  The connection reads no
 * further while one runs: returning late holds the peer up. */
typedef struct {
  /* Bytes of a stream; FALSE ends the connection. */
  gboolean (*data) (guint stream, const guint8 *bytes, gsize size, gpointer user_data);
  /* The peer sends no more on this stream; @is_reset: it gave the stream up. */
  void (*ended) (guint stream, gboolean is_reset, gpointer user_data);
  /* The connection is over; the last call, but not after cube_spdy_close().
   * @error is NULL if every stream had ended. */
  void (*closed) (const GError *error, gpointer user_data);
} CubeSpdyFuncs;

/**
 * cube_spdy_connect:
 * @url: "http://HOST:PORT/PATH"; HOST must be a loopback address
 * @protocol: for X-Stream-Protocol-Version, which the server must repeat
 *
 * Connects and upgrades, which may block for 30 s.  No redirect is followed.
 *
 * Returns: (transfer full) (nullable): a connection of which nothing is read
 *   before cube_spdy_start(); G_IO_ERROR or CUBE_SPDY_ERROR otherwise
 */
CubeSpdy *cube_spdy_connect (const char *url,
                             const char *protocol,
                             const CubeSpdyExecutor *executor,
                             GCancellable *cancellable,
                             GError **error);

/**
 * cube_spdy_open:
 * @headers: name, value, …, NULL
 *
 * Opens a stream.  Before cube_spdy_start() only.
 *
 * Returns: its number: 0 for the first, and so on
 */
guint cube_spdy_open (CubeSpdy *spdy, const char *const *headers);

/* Sends what opens the streams and begins to read. */
void cube_spdy_start (CubeSpdy *spdy, const CubeSpdyFuncs *funcs, gpointer user_data);

/* Sends bytes; blocks until there is room for all of them, so not on the main
 * context's thread.  FALSE when the stream or the connection is over. */
gboolean cube_spdy_write (CubeSpdy *spdy, guint stream, const guint8 *bytes, gsize size, GError **error);

/* Nothing more will be sent on the stream.  Does not block. */
void cube_spdy_finish (CubeSpdy *spdy, guint stream);

/* A write that waits, and every later one, returns FALSE; the connection is
 * over, which @funcs are told.  Does not block. */
void cube_spdy_interrupt (CubeSpdy *spdy);

/* Ends the connection and frees it.  No function of @funcs runs after it
 * returned, except the one that called it.  A write that waits on another
 * thread returns FALSE; no call may begin any more. */
void cube_spdy_close (CubeSpdy *spdy);

G_END_DECLS
