/* SPDX-License-Identifier: Apache-2.0 */
#include "frame.h"

#include <string.h>

#define HEADER_SIZE 8
#define VERSION 3
#define ID_MASK 0x7fffffffu

struct _CubeSpdyReader {
  CubeSpdyReaderFuncs funcs;
  gpointer user_data;
  guint8 header[HEADER_SIZE];
  gsize header_have;
  gsize body_left;     /* of the frame whose header is complete */
  GByteArray *control; /* body of a control frame so far */
};

G_DEFINE_QUARK (cube - spdy - error - quark, cube_spdy_error)

gboolean
cube_spdy_fail (GError **error, const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list args;

  va_start (args, format);
  message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error_literal (error, CUBE_SPDY_ERROR, 0, message);
  return FALSE;
}

guint32
cube_spdy_read_u32 (const guint8 *bytes)
{
  return (guint32) bytes[0] << 24 | (guint32) bytes[1] << 16 | (guint32) bytes[2] << 8 | bytes[3];
}

CubeSpdyReader *
cube_spdy_reader_new (const CubeSpdyReaderFuncs *funcs, gpointer user_data)
{
  CubeSpdyReader *self = g_new0 (CubeSpdyReader, 1);

  self->funcs = *funcs;
  self->user_data = user_data;
  self->control = g_byte_array_new ();
  return self;
}

void
cube_spdy_reader_free (CubeSpdyReader *self)
{
  if (self == NULL)
    return;
  g_byte_array_unref (self->control);
  g_free (self);
}

static gboolean
is_control (const CubeSpdyReader *self)
{
  return (self->header[0] & 0x80) != 0;
}

/* The least body of each type; SIZE_MAX for types that are skipped. */
static gsize
least_body (guint type)
{
  switch (type)
    {
    case CUBE_SPDY_SYN_STREAM: return 10;
    case CUBE_SPDY_SYN_REPLY:
    case CUBE_SPDY_SETTINGS:
    case CUBE_SPDY_PING:
    case CUBE_SPDY_HEADERS: return 4;
    case CUBE_SPDY_RST_STREAM:
    case CUBE_SPDY_GOAWAY:
    case CUBE_SPDY_WINDOW_UPDATE: return 8;
    default: return G_MAXSIZE;
    }
}

static gboolean
check_header (const CubeSpdyReader *self, GError **error)
{
  guint version = (self->header[0] & 0x7fu) << 8 | self->header[1];
  guint type = (guint) self->header[2] << 8 | self->header[3];

  if (!is_control (self))
    return TRUE;
  if (version != VERSION)
    return cube_spdy_fail (error, "control frame of SPDY/%u, wanted %d", version, VERSION);
  if (self->body_left > CUBE_SPDY_MAX_CONTROL_BYTES)
    return cube_spdy_fail (error, "control frame of %zu bytes, at most %d are read", self->body_left, CUBE_SPDY_MAX_CONTROL_BYTES);
  if (least_body (type) != G_MAXSIZE && self->body_left < least_body (type))
    return cube_spdy_fail (error, "control frame of type %u and %zu bytes, wanted %zu", type, self->body_left, least_body (type));
  return TRUE;
}

static gboolean
dispatch_control (CubeSpdyReader *self, GError **error)
{
  const guint8 *body = self->control->data;
  CubeSpdyFrame frame = {
    .type = (guint) self->header[2] << 8 | self->header[3],
    .flags = self->header[4],
  };

  if (least_body (frame.type) == G_MAXSIZE)
    return TRUE;
  switch (frame.type)
    {
    case CUBE_SPDY_SYN_STREAM:
      frame.stream = cube_spdy_read_u32 (body) & ID_MASK;
      frame.block = body + 10;
      frame.block_size = self->control->len - 10;
      break;
    case CUBE_SPDY_SYN_REPLY:
    case CUBE_SPDY_HEADERS:
      frame.stream = cube_spdy_read_u32 (body) & ID_MASK;
      frame.block = body + 4;
      frame.block_size = self->control->len - 4;
      break;
    case CUBE_SPDY_SETTINGS:
      frame.value = cube_spdy_read_u32 (body);
      frame.block = body + 4;
      frame.block_size = self->control->len - 4;
      break;
    case CUBE_SPDY_PING: frame.value = cube_spdy_read_u32 (body); break;
    default:
      frame.stream = cube_spdy_read_u32 (body) & ID_MASK;
      frame.value = cube_spdy_read_u32 (body + 4);
      break;
    }
  return self->funcs.control (&frame, self->user_data, error);
}

/* Takes of the body what is there; the frame may be of no bytes at all. */
static gboolean
take_body (CubeSpdyReader *self, const guint8 *bytes, gsize size, GError **error)
{
  gboolean is_last = size == self->body_left;
  gboolean is_fine = TRUE;

  self->body_left -= size;
  if (is_control (self))
    {
      g_byte_array_append (self->control, bytes, (guint) size);
      if (is_last)
        is_fine = dispatch_control (self, error);
    }
  else
    {
      gboolean is_fin = is_last && (self->header[4] & CUBE_SPDY_FLAG_FIN) != 0;

      is_fine = self->funcs.data (cube_spdy_read_u32 (self->header), bytes, size, is_fin, self->user_data, error);
    }
  if (is_last)
    {
      self->header_have = 0;
      g_byte_array_set_size (self->control, 0);
    }
  return is_fine;
}

gboolean
cube_spdy_reader_feed (CubeSpdyReader *self, const guint8 *bytes, gsize size, GError **error)
{
  while (size > 0)
    {
      gsize take;

      if (self->header_have < HEADER_SIZE)
        {
          take = MIN (size, HEADER_SIZE - self->header_have);
          memcpy (self->header + self->header_have, bytes, take);
          self->header_have += take;
          bytes += take;
          size -= take;
          if (self->header_have < HEADER_SIZE)
            return TRUE;
          self->body_left = cube_spdy_read_u32 (self->header + 4) & 0xffffffu;
          if (!check_header (self, error))
            return FALSE;
          if (self->body_left > 0)
            continue;
        }
      take = MIN (size, self->body_left);
      if (!take_body (self, bytes, take, error))
        return FALSE;
      bytes += take;
      size -= take;
    }
  return TRUE;
}

static void
append_u32 (GByteArray *out, guint32 value)
{
  guint32 big = GUINT32_TO_BE (value);

  g_byte_array_append (out, (const guint8 *) &big, sizeof big);
}

static void
append_control (GByteArray *out, guint type, guint8 flags, gsize size)
{
  append_u32 (out, 0x80000000u | VERSION << 16 | type);
  append_u32 (out, (guint32) flags << 24 | (guint32) size);
}

void
cube_spdy_write_data (GByteArray *out, guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin)
{
  g_return_if_fail (size <= 0xffffffu);

  append_u32 (out, stream & ID_MASK);
  append_u32 (out, (is_fin ? (guint32) CUBE_SPDY_FLAG_FIN << 24 : 0) | (guint32) size);
  if (size > 0)
    g_byte_array_append (out, bytes, (guint) size);
}

void
cube_spdy_write_syn_stream (GByteArray *out, guint32 stream, const guint8 *block, gsize size)
{
  const guint8 priority_and_slot[2] = { 0, 0 };

  append_control (out, CUBE_SPDY_SYN_STREAM, 0, 10 + size);
  append_u32 (out, stream & ID_MASK);
  append_u32 (out, 0);
  g_byte_array_append (out, priority_and_slot, 2);
  g_byte_array_append (out, block, (guint) size);
}

void
cube_spdy_write_syn_reply (GByteArray *out, guint32 stream, const guint8 *block, gsize size)
{
  append_control (out, CUBE_SPDY_SYN_REPLY, 0, 4 + size);
  append_u32 (out, stream & ID_MASK);
  g_byte_array_append (out, block, (guint) size);
}

static void
append_two (GByteArray *out, guint type, guint32 first, guint32 second)
{
  append_control (out, type, 0, 8);
  append_u32 (out, first);
  append_u32 (out, second);
}

void
cube_spdy_write_rst_stream (GByteArray *out, guint32 stream, guint32 status)
{
  append_two (out, CUBE_SPDY_RST_STREAM, stream & ID_MASK, status);
}

void
cube_spdy_write_ping (GByteArray *out, guint32 id)
{
  append_control (out, CUBE_SPDY_PING, 0, 4);
  append_u32 (out, id);
}

void
cube_spdy_write_goaway (GByteArray *out, guint32 last_stream, guint32 status)
{
  append_two (out, CUBE_SPDY_GOAWAY, last_stream & ID_MASK, status);
}

void
cube_spdy_write_window_update (GByteArray *out, guint32 stream, guint32 delta)
{
  append_two (out, CUBE_SPDY_WINDOW_UPDATE, stream & ID_MASK, delta);
}

void
cube_spdy_write_settings (GByteArray *out, guint32 id, guint32 value)
{
  append_control (out, CUBE_SPDY_SETTINGS, 0, 12);
  append_u32 (out, 1);
  append_u32 (out, id & 0xffffff);
  append_u32 (out, value);
}
