/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the ring of a topic. Positions only grow; [tail, head) is there. The caller locks. */
#include "bus.h"

typedef struct {
  CubeChange *slots;
  guint capacity;      /* a power of two; grows up to what holds the window */
  guint window;        /* more than so many are never kept */
  guint64 head, tail;
  guint64 floor;       /* revision of the newest change no longer there */
} CubeRing;

void cube_ring_init (CubeRing *ring, guint window, guint64 floor);
void cube_ring_clear (CubeRing *ring);
/* Takes references. TRUE: *ret_dropped fell out; the caller clears it, outside its lock. */
gboolean cube_ring_push (CubeRing *ring, const CubeChange *change, CubeChange *ret_dropped);
guint64 cube_ring_find (const CubeRing *ring, guint64 after); /* position of the first change with a revision > @after */
static inline const CubeChange *
cube_ring_at (const CubeRing *ring, guint64 position)
{
  return &ring->slots[position & (ring->capacity - 1)];
}
