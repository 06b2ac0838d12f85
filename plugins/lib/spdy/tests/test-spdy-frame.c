/* SPDX-License-Identifier: Apache-2.0 */
#include <gio/gio.h>
#include <string.h>
#include <zlib.h>

#include "cube-spdy.h"
#include "frame.h"
#include "header-block.h"
#include "upgrade.h"

static void
test_dictionary (void)
{
  gsize size;
  const guint8 *dictionary = cube_spdy_dictionary (&size);

  g_assert_cmpuint (size, ==, 1423);
  g_assert_cmphex (adler32 (adler32 (0, NULL, 0), dictionary, (uInt) size), ==, CUBE_SPDY_DICTIONARY_ADLER);
}

static void
test_headers (void)
{
  const char *const first[] = { "streamType", "stdin", "X-Empty", "", NULL };
  const char *const second[] = { "streamType", "error", "port", "8080", "requestID", "0", NULL };
  g_autoptr (CubeSpdyDeflater) deflater = cube_spdy_deflater_new ();
  g_autoptr (CubeSpdyInflater) inflater = cube_spdy_inflater_new ();

  /* The second block refers back to the first. */
  for (guint i = 0; i < 10; i++)
    {
      g_autoptr (GByteArray) block = g_byte_array_new ();
      g_autoptr (GHashTable) headers = NULL;
      g_autoptr (GError) error = NULL;

      cube_spdy_deflater_add (deflater, i % 2 == 0 ? first : second, block);
      if (i == 0)
        g_assert_cmphex (cube_spdy_read_u32 (block->data + 2), ==, CUBE_SPDY_DICTIONARY_ADLER);
      headers = cube_spdy_inflater_read (inflater, block->data, block->len, &error);
      g_assert_no_error (error);
      g_assert_cmpstr (g_hash_table_lookup (headers, "streamtype"), ==, i % 2 == 0 ? "stdin" : "error");
      g_assert_cmpstr (g_hash_table_lookup (headers, i % 2 == 0 ? "x-empty" : "port"), ==, i % 2 == 0 ? "" : "8080");
    }
}

/* Deflates raw bytes as a block would be. */
static GByteArray *
deflate_raw (const guint8 *bytes, gsize size)
{
  GByteArray *out = g_byte_array_new ();
  z_stream z = { 0 };
  gsize dictionary_size;
  const guint8 *dictionary = cube_spdy_dictionary (&dictionary_size);

  deflateInit (&z, 9);
  deflateSetDictionary (&z, dictionary, (uInt) dictionary_size);
  g_byte_array_set_size (out, (guint) deflateBound (&z, size) + 64);
  z.next_in = (Bytef *) bytes;
  z.avail_in = (uInt) size;
  z.next_out = out->data;
  z.avail_out = out->len;
  deflate (&z, Z_SYNC_FLUSH);
  g_byte_array_set_size (out, (guint) (out->len - z.avail_out));
  deflateEnd (&z);
  return out;
}

static void
assert_refused (const guint8 *bytes, gsize size, gboolean is_compressed)
{
  g_autoptr (CubeSpdyInflater) inflater = cube_spdy_inflater_new ();
  g_autoptr (GByteArray) block = NULL;
  g_autoptr (GError) error = NULL;

  if (is_compressed)
    block = g_byte_array_append (g_byte_array_new (), bytes, (guint) size);
  else
    block = deflate_raw (bytes, size);
  g_assert_null (cube_spdy_inflater_read (inflater, block->data, block->len, &error));
  g_assert_error (error, CUBE_SPDY_ERROR, 0);
}

static void
test_hostile_headers (void)
{
  gsize bomb_size = 8 * 1024 * 1024;
  g_autofree guint8 *bomb = g_malloc0 (bomb_size);
  const guint8 too_many[] = { 0, 0, 1, 0 };
  const guint8 too_long[] = { 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 'a' };
  const guint8 no_value[] = { 0, 0, 0, 1, 0, 0, 0, 1, 'a' };
  const guint8 short_count[] = { 0, 0 };
  const guint8 nothing[] = { 0 };

  assert_refused (bomb, bomb_size, FALSE);
  assert_refused (too_many, sizeof too_many, FALSE);
  assert_refused (too_long, sizeof too_long, FALSE);
  assert_refused (no_value, sizeof no_value, FALSE);
  assert_refused (short_count, sizeof short_count, FALSE);
  assert_refused ((const guint8 *) "no zlib at all", 14, TRUE);
  assert_refused (nothing, 0, TRUE);
}

/* -- frames: what was read, as text */

static gboolean
log_control (const CubeSpdyFrame *frame, gpointer data, GError **error G_GNUC_UNUSED)
{
  g_string_append_printf (data, "%u/%x/%u/%u/%zu ", frame->type, frame->flags, frame->stream, frame->value, frame->block_size);
  return TRUE;
}

static gboolean
log_data (guint32 stream, const guint8 *bytes, gsize size, gboolean is_fin, gpointer data, GError **error G_GNUC_UNUSED)
{
  g_string_append_printf (data, "D%u:%.*s%s ", stream, (int) size, (const char *) bytes, is_fin ? "." : "");
  return TRUE;
}

static const CubeSpdyReaderFuncs log_funcs = { log_control, log_data };

static GByteArray *
some_frames (void)
{
  GByteArray *out = g_byte_array_new ();

  cube_spdy_write_syn_stream (out, 1, (const guint8 *) "xyz", 3);
  cube_spdy_write_syn_reply (out, 1, (const guint8 *) "ab", 2);
  cube_spdy_write_data (out, 1, (const guint8 *) "hi", 2, FALSE);
  cube_spdy_write_data (out, 1, NULL, 0, TRUE);
  cube_spdy_write_ping (out, 7);
  cube_spdy_write_window_update (out, 0, 1000);
  cube_spdy_write_rst_stream (out, 3, CUBE_SPDY_CANCEL);
  cube_spdy_write_goaway (out, 1, 0);
  return out;
}

static void
test_frames (void)
{
  g_autoptr (GByteArray) frames = some_frames ();
  const char *wanted = "1/0/1/0/3 2/0/1/0/2 D1:hi D1:. 6/0/0/7/0 9/0/0/1000/0 3/0/3/5/0 7/0/1/0/0 ";
  g_autoptr (GString) whole = g_string_new (NULL), pieces = g_string_new (NULL);
  g_autoptr (CubeSpdyReader) reader = cube_spdy_reader_new (&log_funcs, whole);
  g_autoptr (CubeSpdyReader) slow_reader = cube_spdy_reader_new (&log_funcs, pieces);
  g_autoptr (GError) error = NULL;

  g_assert_true (cube_spdy_reader_feed (reader, frames->data, frames->len, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (whole->str, ==, wanted);
  for (guint i = 0; i < frames->len; i++)
    g_assert_true (cube_spdy_reader_feed (slow_reader, frames->data + i, 1, &error));
  g_assert_cmpstr (pieces->str, ==, "1/0/1/0/3 2/0/1/0/2 D1:h D1:i D1:. 6/0/0/7/0 9/0/0/1000/0 3/0/3/5/0 7/0/1/0/0 ");
}

static void
test_bad_frames (void)
{
  static const struct {
    guint8 bytes[16];
    gsize size;
  } bad[] = {
    { { 0x80, 2, 0, 1, 0, 0, 0, 10 }, 8 },         /* SPDY/2 */
    { { 0x80, 3, 0, 1, 0, 0, 0, 9 }, 8 },          /* SYN_STREAM too short */
    { { 0x80, 3, 0, 3, 0, 0, 0, 4 }, 8 },          /* RST_STREAM too short */
    { { 0x80, 3, 0, 6, 0, 0, 0, 0 }, 8 },          /* PING of nothing */
    { { 0x80, 3, 0, 8, 0, 0xff, 0xff, 0xff }, 8 }, /* HEADERS of 16 MiB */
  };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GString) log = g_string_new (NULL);
      g_autoptr (CubeSpdyReader) reader = cube_spdy_reader_new (&log_funcs, log);
      g_autoptr (GError) error = NULL;

      g_assert_false (cube_spdy_reader_feed (reader, bad[i].bytes, bad[i].size, &error));
      g_assert_error (error, CUBE_SPDY_ERROR, 0);
    }
}

/* Frames with bytes changed, in pieces of any size: read or refused, no more. */
static void
test_mutated_frames (void)
{
  for (guint round = 0; round < 20000; round++)
    {
      g_autoptr (GByteArray) frames = some_frames ();
      g_autoptr (GString) log = g_string_new (NULL);
      g_autoptr (CubeSpdyReader) reader = cube_spdy_reader_new (&log_funcs, log);
      guint at = 0;

      for (int i = g_test_rand_int_range (1, 6); i > 0; i--)
        frames->data[g_test_rand_int_range (0, (gint32) frames->len)] = (guint8) g_test_rand_int ();
      while (at < frames->len)
        {
          guint take = (guint) g_test_rand_int_range (1, 40);

          take = MIN (take, frames->len - at);
          if (!cube_spdy_reader_feed (reader, frames->data + at, take, NULL))
            break;
          at += take;
        }
    }
}

static void
test_mutated_headers (void)
{
  const char *const pairs[] = { "streamType", "stdin", "port", "8080", NULL };

  for (guint round = 0; round < 5000; round++)
    {
      g_autoptr (CubeSpdyDeflater) deflater = cube_spdy_deflater_new ();
      g_autoptr (CubeSpdyInflater) inflater = cube_spdy_inflater_new ();
      g_autoptr (GByteArray) block = g_byte_array_new ();
      g_autoptr (GHashTable) headers = NULL;

      cube_spdy_deflater_add (deflater, pairs, block);
      for (int i = g_test_rand_int_range (1, 4); i > 0; i--)
        block->data[g_test_rand_int_range (0, (gint32) block->len)] = (guint8) g_test_rand_int ();
      headers = cube_spdy_inflater_read (inflater, block->data, block->len, NULL);
    }
}

/* -- the upgrade */

static void
test_responses (void)
{
  static const struct {
    const char *header;
    gboolean is_fine;
  } cases[] = {
    { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: p", TRUE },
    { "HTTP/1.1 101 Switching Protocols\r\nupgrade: spdy/3.1\r\nx-stream-protocol-version:p ", TRUE },
    { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1", FALSE },
    { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: q", FALSE },
    { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-Stream-Protocol-Version: p", FALSE },
    { "HTTP/1.1 200 OK\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: p", FALSE },
    { "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: p", FALSE },
    { "HTTP/1.1 1010 \r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: p", FALSE },
    { "", FALSE },
    { "\xff\xfe", FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_cmpint (cube_spdy_check_response (cases[i].header, "p", &error), ==, cases[i].is_fine);
      g_assert_true ((error == NULL) == cases[i].is_fine);
    }
}

static void
test_urls (void)
{
  static const char *const urls[] = {
    "http://10.0.0.1:80/exec/x",
    "http://example.org:80/exec/x",
    "https://127.0.0.1:80/exec/x",
    "http://127.0.0.1/exec/x",
    "http://127.0.0.1.example.org:80/",
    "unix:///run/x",
    "http://[2001:db8::1]:80/exec/x",
    "http://169.254.169.254:80/",
    "",
    "http:///exec/x",
    "/exec/x",
    "http://0.0.0.0:80/",
  };
  CubeSpdyExecutor executor = { NULL, NULL, NULL };

  for (guint i = 0; i < G_N_ELEMENTS (urls); i++)
    {
      g_autoptr (GError) error = NULL;

      g_assert_null (cube_spdy_connect (urls[i], "p", &executor, NULL, &error));
      g_assert_nonnull (error);
      g_assert_false (error->domain == G_IO_ERROR);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/spdy/dictionary", test_dictionary);
  g_test_add_func ("/spdy/headers", test_headers);
  g_test_add_func ("/spdy/hostile-headers", test_hostile_headers);
  g_test_add_func ("/spdy/frames", test_frames);
  g_test_add_func ("/spdy/bad-frames", test_bad_frames);
  g_test_add_func ("/spdy/mutated-frames", test_mutated_frames);
  g_test_add_func ("/spdy/mutated-headers", test_mutated_headers);
  g_test_add_func ("/spdy/responses", test_responses);
  g_test_add_func ("/spdy/urls", test_urls);
  return g_test_run ();
}
