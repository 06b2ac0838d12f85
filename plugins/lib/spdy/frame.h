/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Frames of SPDY/3.1, apart from any socket: building them, and reading them
 * out of bytes as they arrive.
 */
#pragma once

#include <glib.h>

#define CUBE_SPDY_ERROR (cube_spdy_error_quark ())
GQuark cube_spdy_error_quark (void);
/* Sets an error of that domain, code 0; always FALSE. */
gboolean cube_spdy_fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

typedef enum {
  CUBE_SPDY_SYN_STREAM = 1,
  CUBE_SPDY_SYN_REPLY = 2,
  CUBE_SPDY_RST_STREAM = 3,
  CUBE_SPDY_SETTINGS = 4,
  CUBE_SPDY_PING = 6,
  CUBE_SPDY_GOAWAY = 7,
  CUBE_SPDY_HEADERS = 8,
  CUBE_SPDY_WINDOW_UPDATE = 9,
} CubeSpdyFrameType;

#define CUBE_SPDY_FLAG_FIN 0x01
#define CUBE_SPDY_INITIAL_WINDOW 65536
#define CUBE_SPDY_SETTINGS_INITIAL_WINDOW 7
/* RST_STREAM status codes */
#define CUBE_SPDY_PROTOCOL_ERROR 1
#define CUBE_SPDY_REFUSED_STREAM 3
#define CUBE_SPDY_CANCEL 5
/* The largest control frame read; data frames are read in pieces of any size. */
#define CUBE_SPDY_MAX_CONTROL_BYTES 65536

typedef struct {
  guint type;             /* CubeSpdyFrameType; others are skipped */
  guint8 flags;
  guint32 stream;         /* 0 where the type has none */
  guint32 value;          /* status of RST_STREAM and GOAWAY, id of PING, delta of WINDOW_UPDATE */
  const guint8 *block;    /* compressed pairs, or the entries of SETTINGS; (transfer none) */
  gsize block_size;
} CubeSpdyFrame;

typedef struct {
  gboolean (*control) (const CubeSpdyFrame *frame, gpointer user_data, GError **error);
  /* A piece of a data frame; @is_fin with the last piece of a frame with FIN,
   * which may be of no bytes. */
  gboolean (*data) (guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin,
                    gpointer user_data, GError **error);
} CubeSpdyReaderFuncs;

typedef struct _CubeSpdyReader CubeSpdyReader;

CubeSpdyReader *cube_spdy_reader_new (const CubeSpdyReaderFuncs *funcs, gpointer user_data);
void cube_spdy_reader_free (CubeSpdyReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeSpdyReader, cube_spdy_reader_free)
/* Takes bytes as they come, calling back for what they complete.  FALSE with
 * an error when they are no SPDY or a callback failed; then of no more use. */
gboolean cube_spdy_reader_feed (CubeSpdyReader *reader, const guint8 *bytes, gsize size, GError **error);

guint32 cube_spdy_read_u32 (const guint8 *bytes);

void cube_spdy_write_data (GByteArray *out, guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin);
void cube_spdy_write_syn_stream (GByteArray *out, guint32 stream, const guint8 *block, gsize size);
void cube_spdy_write_syn_reply (GByteArray *out, guint32 stream, const guint8 *block, gsize size);
void cube_spdy_write_rst_stream (GByteArray *out, guint32 stream, guint32 status);
void cube_spdy_write_ping (GByteArray *out, guint32 id);
void cube_spdy_write_goaway (GByteArray *out, guint32 last_stream, guint32 status);
void cube_spdy_write_settings (GByteArray *out, guint32 id, guint32 value); /* one entry */
void cube_spdy_write_window_update (GByteArray *out, guint32 stream, guint32 delta);
