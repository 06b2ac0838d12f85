/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Frames on a connection between a server and an agent: a type, a channel, a length of four bytes (big endian), the payload. An idle connection costs
 * a GSource; what arrives is handed on by workers, one at a time, and nothing more is read meanwhile: that is the back-pressure. */
#include <cube/context.h>
#include <gio/gio.h>

#define WIRE_MAX_PAYLOAD 65536

typedef enum {
  WIRE_OPEN = 1, /* to the agent, once, first: what is wanted, JSON */
  WIRE_OPENED,   /* from it: fine, {} */
  WIRE_REFUSED,  /* from it: a Status */
  WIRE_DATA,
  WIRE_END,      /* of a channel, to the agent */
  WIRE_RESIZE,   /* to the agent: columns and rows, two bytes each */
  WIRE_STATUS    /* from the agent: the end, a Status */
} WireType;

/* ---- reading frames out of bytes as they come ---- */
typedef struct {
  GByteArray *bytes;
  guint taken;
} WireReader;
typedef struct {
  WireType type;
  guint channel;
  const guint8 *payload; /* (transfer none) until the next call */
  gsize size;
} WireFrame;
void wire_reader_init (WireReader *reader);
void wire_reader_clear (WireReader *reader);
void wire_reader_add (WireReader *reader, const void *bytes, gsize size);
/* TRUE: @ret_frame is the next one. FALSE without an error: it has not come whole. FALSE with one: no frames at all. */
gboolean wire_reader_next (WireReader *reader, WireFrame *ret_frame, GError **error);
void wire_append (GByteArray *out, WireType type, guint channel, const void *payload, gsize size); /* cut into frames */

/* ---- a connection ---- */
typedef struct _Wire Wire;
typedef struct {
  gboolean (*frame) (const WireFrame *frame, gpointer data); /* a worker; FALSE ends the connection */
  void (*closed) (gpointer data);                            /* the last call; not after wire_close */
} WireFuncs;
/* Takes a reference of @stream, on which nobody else reads from wire_start on. */
Wire *wire_new (CubeContext *context, CubeLoop *loop, GIOStream *stream);
/* Blocking, before wire_start: the next frame, its payload valid until the next call. */
gboolean wire_receive (Wire *wire, WireFrame *ret_frame, GError **error);
void wire_start (Wire *wire, const WireFuncs *funcs, gpointer data);
/* Blocks until written; not on a loop. FALSE: the connection is over. */
gboolean wire_send (Wire *wire, WireType type, guint channel, const void *payload, gsize size, GError **error);
/* A wire_send that waits, and every later one, returns FALSE. */
void wire_interrupt (Wire *wire);
/* Ends the connection and gives the wire up. No function runs after it returned, except the one that called it. */
void wire_close (Wire *wire);
