/* SPDX-License-Identifier: Apache-2.0 */
#include "ws.h"
#include <string.h>

#define MAX_MESSAGE (1024 * 1024)

char *
http_ws_accept (const char *key)
{
  guint8 digest[20];
  gsize size = sizeof digest;
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA1);
  g_checksum_update (sum, (const guchar *) key, -1);
  g_checksum_update (sum, (const guchar *) "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", -1);
  g_checksum_get_digest (sum, digest, &size);
  return g_base64_encode (digest, size);
}

void
http_ws_append (GByteArray *out, HttpWsOpcode opcode, const void *prefix, gsize prefix_length, const void *bytes, gsize length)
{
  gsize total = prefix_length + length;
  guint8 head[10] = { (guint8) (0x80 | opcode) };
  guint n = 2;
  if (total < 126)
    head[1] = (guint8) total;
  else if (total <= G_MAXUINT16)
    {
      head[1] = 126;
      head[2] = (guint8) (total >> 8);
      head[3] = (guint8) total;
      n = 4;
    }
  else
    {
      head[1] = 127;
      for (guint i = 0; i < 8; i++)
        head[2 + i] = (guint8) ((guint64) total >> (56 - 8 * i));
      n = 10;
    }
  g_byte_array_append (out, head, n);
  if (prefix_length > 0)
    g_byte_array_append (out, prefix, (guint) prefix_length);
  if (length > 0)
    g_byte_array_append (out, bytes, (guint) length);
}

void
http_ws_reader_init (HttpWsReader *reader)
{
  memset (reader, 0, sizeof *reader);
  reader->input = g_byte_array_new ();
  reader->message = g_byte_array_new ();
}

void
http_ws_reader_clear (HttpWsReader *reader)
{
  g_clear_pointer (&reader->input, g_byte_array_unref);
  g_clear_pointer (&reader->message, g_byte_array_unref);
}

typedef struct {
  guint8 opcode;
  gboolean is_final;
  guint64 length;
  guint head; /* bytes before the payload, the mask included */
  guint8 mask[4];
} Frame;

/* 1 = a head is there, 0 = more is needed, -1 = broken. */
static int
parse_head (const guint8 *p, gsize available, Frame *frame)
{
  if (available < 2)
    return 0;
  guint8 size = p[1] & 0x7f;
  guint extra = size == 126 ? 2 : size == 127 ? 8 : 0;
  frame->opcode = p[0] & 0x0f;
  frame->is_final = (p[0] & 0x80) != 0;
  frame->head = 2 + extra + 4;
  if ((p[0] & 0x70) != 0 || (p[1] & 0x80) == 0)
    return -1;
  if (frame->opcode >= HTTP_WS_CLOSE && (!frame->is_final || extra != 0 || frame->opcode > HTTP_WS_PONG))
    return -1;
  if (frame->opcode > HTTP_WS_BINARY && frame->opcode < HTTP_WS_CLOSE)
    return -1;
  if (available < frame->head)
    return 0;
  frame->length = extra == 0 ? size : 0;
  for (guint i = 0; i < extra; i++)
    frame->length = frame->length << 8 | p[2 + i];
  memcpy (frame->mask, p + 2 + extra, 4);
  return frame->length <= MAX_MESSAGE ? 1 : -1;
}

static void
unmask (guint8 *payload, gsize length, const guint8 *mask)
{
  for (gsize i = 0; i < length; i++)
    payload[i] ^= mask[i & 3];
}

static gboolean
take_frame (HttpWsReader *reader, const Frame *frame, const guint8 *payload, HttpWsFunc func, gpointer data)
{
  if (frame->opcode >= HTTP_WS_CLOSE)
    {
      func (frame->opcode, payload, (gsize) frame->length, data);
      return TRUE;
    }
  if ((frame->opcode == HTTP_WS_CONTINUATION) != reader->is_open)
    return FALSE;
  if (!reader->is_open && frame->is_final)
    {
      func (frame->opcode, payload, (gsize) frame->length, data);
      return TRUE;
    }
  if (!reader->is_open)
    reader->opcode = frame->opcode;
  if (reader->message->len + frame->length > MAX_MESSAGE)
    return FALSE;
  g_byte_array_append (reader->message, payload, (guint) frame->length);
  reader->is_open = !frame->is_final;
  if (frame->is_final)
    {
      func (reader->opcode, reader->message->data, reader->message->len, data);
      g_byte_array_set_size (reader->message, 0);
    }
  return TRUE;
}

gboolean
http_ws_read (HttpWsReader *reader, const void *bytes, gsize length, HttpWsFunc func, gpointer data)
{
  GByteArray *input = reader->input;
  gsize at = 0;
  g_byte_array_append (input, bytes, (guint) length);
  for (;;)
    {
      Frame frame;
      int state = parse_head (input->data + at, input->len - at, &frame);
      if (state < 0)
        return FALSE;
      if (state == 0 || input->len - at - frame.head < frame.length)
        break;
      guint8 *payload = input->data + at + frame.head;
      unmask (payload, (gsize) frame.length, frame.mask);
      at += frame.head + (gsize) frame.length;
      if (!take_frame (reader, &frame, payload, func, data))
        return FALSE;
    }
  if (at > 0)
    g_byte_array_remove_range (input, 0, (guint) at);
  return TRUE;
}
