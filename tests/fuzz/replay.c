/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the fuzz target over a folder of inputs and over seeded mutations of them, without a fuzzer. Usage: replay FOLDER [ROUNDS] */
#include <glib.h>
#include <string.h>

int LLVMFuzzerTestOneInput (const guint8 *data, gsize size);

static GPtrArray *
load (const char *folder)
{
  GPtrArray *inputs = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &error);
  g_assert_no_error (error);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL;)
    {
      g_autofree char *path = g_build_filename (folder, name, NULL);
      char *data;
      gsize length;
      if (g_file_get_contents (path, &data, &length, NULL))
        g_ptr_array_add (inputs, g_bytes_new_take (data, length));
    }
  return inputs;
}

/* One of: another byte, bytes removed, a piece of the same or another input put in. */
static void
mutate (GByteArray *input, GRand *rand, GPtrArray *inputs)
{
  static const char bytes[] = "{}[],:\"\\/0123456789eE+-.~%&*!<>()=|? \n\tabtfnumkKMGTPi\x01\x80\xc3\xff";
  guint at = (guint) g_rand_int_range (rand, 1, (gint32) input->len);
  int kind = g_rand_int_range (rand, 0, 3);
  if (kind == 0)
    {
      input->data[at] = (guint8) bytes[g_rand_int_range (rand, 0, sizeof bytes - 1)];
    }
  else if (kind == 1)
    {
      guint n = (guint) g_rand_int_range (rand, 1, 9);
      g_byte_array_remove_range (input, at, MIN (n, input->len - at));
    }
  else
    {
      gsize size;
      const guint8 *other = g_bytes_get_data (inputs->pdata[g_rand_int_range (rand, 0, (gint32) inputs->len)], &size);
      guint from = (guint) g_rand_int_range (rand, 0, (gint32) size), n = MIN (32, (guint) size - from);
      g_autofree guint8 *tail = g_memdup2 (input->data + at, input->len - at);
      guint n_tail = input->len - at;
      g_byte_array_set_size (input, at);
      g_byte_array_append (input, other + from, n);
      g_byte_array_append (input, tail, n_tail);
    }
}

int
main (int argc, char **argv)
{
  if (argc < 2)
    return 2;
  guint rounds = argc > 2 ? (guint) g_ascii_strtoull (argv[2], NULL, 10) : 200;
  g_autoptr (GPtrArray) inputs = load (argv[1]);
  g_autoptr (GRand) rand = g_rand_new_with_seed (argc > 3 ? (guint32) g_ascii_strtoull (argv[3], NULL, 10) : 1);
  g_assert_cmpuint (inputs->len, >, 0);
  for (guint i = 0; i < inputs->len; i++)
    {
      gsize size;
      const guint8 *data = g_bytes_get_data (inputs->pdata[i], &size);
      LLVMFuzzerTestOneInput (data, size);
      for (guint round = 0; round < rounds && size > 1; round++)
        {
          g_autoptr (GByteArray) input = g_byte_array_new ();
          g_byte_array_append (input, data, (guint) size);
          for (int n = g_rand_int_range (rand, 1, 5); n > 0 && input->len > 1; n--)
            mutate (input, rand, inputs);
          LLVMFuzzerTestOneInput (input->data, input->len);
        }
    }
  g_print ("%u inputs, %u mutations each\n", inputs->len, rounds);
  return 0;
}
