/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* WebSocket framing (RFC 6455), the server's side, without I/O. */
#include <glib.h>

typedef enum { HTTP_WS_CONTINUATION = 0, HTTP_WS_TEXT = 1, HTTP_WS_BINARY = 2, HTTP_WS_CLOSE = 8, HTTP_WS_PING = 9, HTTP_WS_PONG = 10 } HttpWsOpcode;

/* Sec-WebSocket-Accept of a Sec-WebSocket-Key. (transfer full) */
char *http_ws_accept (const char *key);
/* Appends one unmasked, final frame whose payload is @prefix and @bytes. */
void http_ws_append (GByteArray *out, HttpWsOpcode opcode, const void *prefix, gsize prefix_length, const void *bytes, gsize length);

typedef struct {
  GByteArray *input, *message; /* private */
  HttpWsOpcode opcode;
  gboolean is_open;            /* a fragmented message is being gathered */
} HttpWsReader;
/* A whole message or a control frame. Must not free the reader. */
typedef void (*HttpWsFunc) (HttpWsOpcode opcode, const guint8 *bytes, gsize length, gpointer data);
void http_ws_reader_init (HttpWsReader *reader);
void http_ws_reader_clear (HttpWsReader *reader);
/* FALSE: the peer broke the protocol (unmasked, reserved bits, oversized …); close with 1002. */
gboolean http_ws_read (HttpWsReader *reader, const void *bytes, gsize length, HttpWsFunc func, gpointer data);
