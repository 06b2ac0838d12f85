/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

void
cube_ring_init (CubeRing *ring, guint window, guint64 floor)
{
  *ring = (CubeRing){ .window = window, .floor = floor };
}

void
cube_ring_clear (CubeRing *ring)
{
  for (; ring->tail < ring->head; ring->tail++)
    cube_change_clear (&ring->slots[ring->tail & (ring->capacity - 1)]);
  g_clear_pointer (&ring->slots, g_free);
  ring->capacity = 0;
}

static void
ring_grow (CubeRing *ring)
{
  guint capacity = MAX (16, ring->capacity * 2);
  CubeChange *slots = g_new (CubeChange, capacity);
  for (guint64 i = ring->tail; i < ring->head; i++)
    slots[i & (capacity - 1)] = *cube_ring_at (ring, i);
  g_free (ring->slots);
  ring->slots = slots;
  ring->capacity = capacity;
}

gboolean
cube_ring_push (CubeRing *ring, const CubeChange *change, CubeChange *ret_dropped)
{
  gboolean has_dropped = FALSE;
  if (ring->head - ring->tail >= ring->window)
    {
      *ret_dropped = *cube_ring_at (ring, ring->tail++);
      ring->floor = ret_dropped->revision;
      has_dropped = TRUE;
    }
  if (ring->head - ring->tail == ring->capacity)
    ring_grow (ring);
  CubeChange *slot = &ring->slots[ring->head++ & (ring->capacity - 1)];
  *slot = *change;
  cube_object_ref (slot->object);
  if (slot->old != NULL)
    cube_object_ref (slot->old);
  return has_dropped;
}

guint64
cube_ring_find (const CubeRing *ring, guint64 after)
{
  guint64 low = ring->tail, high = ring->head;
  while (low < high)
    {
      guint64 middle = low + (high - low) / 2;
      if (cube_ring_at (ring, middle)->revision <= after)
        low = middle + 1;
      else
        high = middle;
    }
  return low;
}
