/* SPDX-License-Identifier: Apache-2.0 */
#include "heap.h"
#include <string.h>
#include <sys/mman.h>

#define SPAN_BYTES (256 * 1024) /* of address space, aligned to it; memory only where it was written */
#define MIN_SHIFT 7             /* 128 bytes: the smallest class */
#define STEPS_SHIFT 4           /* sixteen classes a doubling: at most 6 % are lost */
#define N_CLASSES (((15 - MIN_SHIFT) << STEPS_SHIFT) + 1)
#define N_SPARE 4              /* empty spans kept, without their memory */
#define KEEP_BYTES (64 * 1024) /* of memory in the last span of a class, which stays when it is empty */

/* Sanitizers watch malloc only. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define USE_MALLOC 1
#else
#define USE_MALLOC 0
#endif

typedef struct _Span Span;
struct _Span {
  Span *next, *prev;                              /* of its class, while it has room */
  gpointer free;                                  /* pieces given back, each beginning with the next */
  guint32 n_used, n_fresh, n_pieces, piece_bytes; /* fresh: never given out yet, at the end */
};

typedef struct {
  GMutex lock;
  Span *with_room;
} Class;

static Class classes[N_CLASSES];
static GMutex spare_lock;
static gpointer spares[N_SPARE];
static guint n_spares;

static guint
class_of (gsize size, gsize *ret_bytes)
{
  size = MAX (size, 1 << MIN_SHIFT) - 1;
  guint shift = (guint) g_bit_storage (size) - 1;
  if (shift < MIN_SHIFT)
    {
      *ret_bytes = 1 << MIN_SHIFT;
      return 0;
    }
  guint step_shift = shift - STEPS_SHIFT;
  guint step = (guint) (size >> step_shift) & ((1u << STEPS_SHIFT) - 1);
  *ret_bytes = ((gsize) (step + 1) << step_shift) + ((gsize) 1 << shift);
  return ((shift - MIN_SHIFT) << STEPS_SHIFT) + step + 1;
}

static gpointer
map_span (void)
{
  g_mutex_lock (&spare_lock);
  gpointer span = n_spares > 0 ? spares[--n_spares] : NULL;
  g_mutex_unlock (&spare_lock);
  if (span != NULL)
    return span;
  char *from = mmap (NULL, 2 * SPAN_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (from == MAP_FAILED)
    g_error ("out of memory: no room for %d bytes of objects", SPAN_BYTES);
  gsize before = (SPAN_BYTES - (gsize) from % SPAN_BYTES) % SPAN_BYTES;
  if (before > 0)
    munmap (from, before);
  munmap (from + before + SPAN_BYTES, SPAN_BYTES - before);
  return from + before;
}

static void
unmap_span (gpointer span)
{
  madvise (span, SPAN_BYTES, MADV_DONTNEED);
  g_mutex_lock (&spare_lock);
  gboolean is_kept = n_spares < N_SPARE;
  if (is_kept)
    spares[n_spares++] = span;
  g_mutex_unlock (&spare_lock);
  if (!is_kept)
    munmap (span, SPAN_BYTES);
}

static void
link_span (Class *class, Span *span)
{
  span->prev = NULL;
  span->next = class->with_room;
  if (span->next != NULL)
    span->next->prev = span;
  class->with_room = span;
}

static void
unlink_span (Class *class, Span *span)
{
  if (span->prev != NULL)
    span->prev->next = span->next;
  else
    class->with_room = span->next;
  if (span->next != NULL)
    span->next->prev = span->prev;
}

static gsize
header_bytes (void)
{
  return (sizeof (Span) + 15) & ~(gsize) 15;
}

/* Lock held. */
static Span *
new_span (Class *class, gsize piece_bytes)
{
  Span *span = map_span ();
  *span = (Span){ .piece_bytes = (guint32) piece_bytes, .n_pieces = (guint32) ((SPAN_BYTES - header_bytes ()) / piece_bytes) };
  span->n_fresh = span->n_pieces;
  link_span (class, span);
  return span;
}

static gpointer
take (Span *span)
{
  gpointer piece = span->free;
  span->n_used++;
  if (piece != NULL)
    {
      memcpy (&span->free, piece, sizeof (gpointer));
      return piece;
    }
  return (char *) span + header_bytes () + (gsize) (span->n_pieces - span->n_fresh--) * span->piece_bytes;
}

/* Lock held. The only span with room stays for what comes next, as if it were new: where one object comes and goes no page does. */
static gboolean
reset_last (Class *class, Span *span)
{
  if (class->with_room != span || span->next != NULL)
    return FALSE;
  gsize touched = (gsize) (span->n_pieces - span->n_fresh) * span->piece_bytes;
  span->free = NULL;
  span->n_fresh = span->n_pieces;
  if (touched > KEEP_BYTES)
    madvise ((char *) span + KEEP_BYTES, SPAN_BYTES - KEEP_BYTES, MADV_DONTNEED);
  return TRUE;
}

gpointer
cube_heap_alloc (gsize size)
{
  if (USE_MALLOC || size > CUBE_HEAP_MAX_BYTES)
    return g_malloc (size);
  gsize bytes;
  Class *class = &classes[class_of (size, &bytes)];
  g_mutex_lock (&class->lock);
  Span *span = class->with_room != NULL ? class->with_room : new_span (class, bytes);
  gpointer piece = take (span);
  if (span->n_used == span->n_pieces)
    unlink_span (class, span);
  g_mutex_unlock (&class->lock);
  return piece;
}

void
cube_heap_free (gpointer memory, gsize size)
{
  if (USE_MALLOC || size > CUBE_HEAP_MAX_BYTES)
    {
      g_free (memory);
      return;
    }
  gsize bytes;
  Class *class = &classes[class_of (size, &bytes)];
  Span *span = (Span *) ((gsize) memory & ~(gsize) (SPAN_BYTES - 1));
  g_mutex_lock (&class->lock);
  if (span->n_used == span->n_pieces)
    link_span (class, span);
  memcpy (memory, &span->free, sizeof (gpointer));
  span->free = memory;
  gboolean must_go = --span->n_used == 0 && !reset_last (class, span);
  if (must_go)
    unlink_span (class, span);
  g_mutex_unlock (&class->lock);
  if (must_go)
    unmap_span (span);
}
