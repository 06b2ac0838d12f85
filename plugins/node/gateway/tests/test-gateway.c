/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <cube/error.h>
#include <string.h>

/* Whatever pieces the bytes come in, the frames are the same. */
static void
test_pieces (void)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  g_autofree guint8 *big = g_malloc0 (WIRE_MAX_PAYLOAD + 1);

  wire_append (bytes, WIRE_OPEN, 0, "{}", 2);
  wire_append (bytes, WIRE_END, 7, NULL, 0);
  wire_append (bytes, WIRE_DATA, 1, big, WIRE_MAX_PAYLOAD + 1); /* two frames */
  for (guint step = 1; step < 5000; step = step * 3 + 1)
    {
      static const struct {
        WireType type;
        guint channel;
        gsize size;
      } wanted[] = { { WIRE_OPEN, 0, 2 }, { WIRE_END, 7, 0 }, { WIRE_DATA, 1, WIRE_MAX_PAYLOAD }, { WIRE_DATA, 1, 1 } };
      WireReader reader;
      WireFrame frame;
      guint n = 0;

      wire_reader_init (&reader);
      for (guint at = 0; at < bytes->len; at += step)
        {
          g_autoptr (GError) error = NULL;

          wire_reader_add (&reader, bytes->data + at, MIN (step, bytes->len - at));
          for (; wire_reader_next (&reader, &frame, &error); n++)
            {
              g_assert_cmpuint (n, <, G_N_ELEMENTS (wanted));
              g_assert_cmpint (frame.type, ==, wanted[n].type);
              g_assert_cmpuint (frame.channel, ==, wanted[n].channel);
              g_assert_cmpuint (frame.size, ==, wanted[n].size);
            }
          g_assert_no_error (error);
        }
      g_assert_cmpuint (n, ==, G_N_ELEMENTS (wanted));
      wire_reader_clear (&reader);
    }
}

static void
test_no_frames (void)
{
  static const guint8 bad[][6] = { { 0, 0, 0, 0, 0, 0 },
                                   { 8, 0, 0, 0, 0, 0 },
                                   { WIRE_DATA, 0, 0, 1, 0, 1 },
                                   { WIRE_DATA, 0, 255, 255, 255, 255 },
                                   { 'G', 'E', 'T', ' ', '/', ' ' } };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (GError) error = NULL;
      WireReader reader;
      WireFrame frame;

      wire_reader_init (&reader);
      wire_reader_add (&reader, bad[i], sizeof bad[i]);
      g_assert_false (wire_reader_next (&reader, &frame, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
      wire_reader_clear (&reader);
    }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/node/gateway/pieces", test_pieces);
  g_test_add_func ("/node/gateway/no-frames", test_no_frames);
  return g_test_run ();
}
