/* SPDX-License-Identifier: Apache-2.0 */
/* The objects' memory: what is given out is nobody else's, whatever comes and goes, from any thread. */
#include "object/heap.h"
#include <cube/object.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  guint8 *memory;
  gsize size;
  guint8 mark;
} Piece;

static void
check_piece (const Piece *piece)
{
  g_assert_cmpint (piece->memory[0], ==, piece->mark);
  g_assert_cmpint (piece->memory[piece->size - 1], ==, piece->mark);
  for (gsize i = 0; i < piece->size; i += 61)
    g_assert_cmpint (piece->memory[i], ==, piece->mark);
}

static void
churn (GRand *rand, guint n_pieces, guint n_steps, gsize most)
{
  g_autofree Piece *pieces = g_new0 (Piece, n_pieces);
  for (guint step = 0; step < n_steps; step++)
    {
      Piece *piece = &pieces[g_rand_int_range (rand, 0, (gint32) n_pieces)];
      if (piece->memory != NULL)
        {
          check_piece (piece);
          cube_heap_free (piece->memory, piece->size);
          piece->memory = NULL;
          continue;
        }
      piece->size = (gsize) g_rand_int_range (rand, 8, (gint32) most);
      piece->mark = (guint8) g_rand_int (rand);
      piece->memory = cube_heap_alloc (piece->size);
      g_assert_cmpint ((gsize) piece->memory % 8, ==, 0);
      memset (piece->memory, piece->mark, piece->size);
    }
  for (guint i = 0; i < n_pieces; i++)
    if (pieces[i].memory != NULL)
      {
        check_piece (&pieces[i]);
        cube_heap_free (pieces[i].memory, pieces[i].size);
      }
}

static void
test_churn (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);
  churn (rand, 2000, 20000, 6000);            /* several spans of a class */
  churn (rand, 300, 3000, 40 * 1024);         /* also beyond the largest class */
  churn (rand, 1, 1000, CUBE_HEAP_MAX_BYTES); /* one that comes and goes */
}

static void
test_sizes (void)
{
  for (gsize size = 1; size <= CUBE_HEAP_MAX_BYTES + 2; size += size < 600 ? 1 : 97)
    {
      Piece first = { cube_heap_alloc (size), size, 1 }, second = { cube_heap_alloc (size), size, 2 };
      memset (first.memory, 1, size);
      memset (second.memory, 2, size);
      check_piece (&first);
      check_piece (&second);
      cube_heap_free (first.memory, size);
      cube_heap_free (second.memory, size);
    }
}

static gpointer
churn_thread (gpointer data)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (GPOINTER_TO_UINT (data));
  churn (rand, 500, 20000, 3000);
  return NULL;
}

static void
test_threads (void)
{
  GThread *threads[4];
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("churn", churn_thread, GUINT_TO_POINTER (i + 1));
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* theirs keep what is freed */
static gsize
resident_bytes (void)
{
  g_autofree char *text = NULL;
  gsize pages = 0;
  g_assert_true (g_file_get_contents ("/proc/self/statm", &text, NULL, NULL));
  g_assert_cmpint (sscanf (text, "%*u %zu", &pages), ==, 1);
  return pages * 4096;
}

/* What was given back is given back to the system too. */
static void
test_memory_returns (void)
{
  enum { N = 20000, SIZE = 4600 };
  g_autofree gpointer *memory = g_new0 (gpointer, N);
  gsize before = resident_bytes ();
  for (guint i = 0; i < N; i++)
    memory[i] = memset (cube_heap_alloc (SIZE), 1, SIZE);
  gsize full = resident_bytes ();
  g_assert_cmpuint (full - before, >, (gsize) N * SIZE * 9 / 10);
  g_assert_cmpuint (full - before, <, (gsize) N * SIZE * 11 / 10);
  for (guint i = 0; i < N; i++)
    cube_heap_free (memory[i], SIZE);
  g_assert_cmpuint (resident_bytes (), <, before + 4 * 1024 * 1024);
}
#endif

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/object/heap/churn", test_churn);
  g_test_add_func ("/object/heap/sizes", test_sizes);
  g_test_add_func ("/object/heap/threads", test_threads);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  g_test_add_func ("/object/heap/memory-returns", test_memory_returns);
#endif
  return g_test_run ();
}
