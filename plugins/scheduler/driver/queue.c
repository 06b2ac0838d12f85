/* SPDX-License-Identifier: Apache-2.0 */
/* Pods that wait: active (priority, then time), in back-off, unschedulable until something happens that can help them, gated. */
#include "driver.h"

#define FLUSH_US (5 * 60 * G_USEC_PER_SEC) /* unschedulable pods are tried again after this whatever happens */

typedef gboolean (*Before) (const Record *a, const Record *b);

static gboolean
is_sooner_active (const Record *a, const Record *b)
{
  if (a->pod->info.priority != b->pod->info.priority)
    return a->pod->info.priority > b->pod->info.priority;
  return a->added_us != b->added_us ? a->added_us < b->added_us : a->order < b->order;
}

static gboolean
is_sooner_due (const Record *a, const Record *b)
{
  return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

/* ---- heaps ---- */

static void
place_at (GPtrArray *heap, guint slot, Record *record)
{
  heap->pdata[slot] = record;
  record->slot = slot;
}

static void
sift_up (GPtrArray *heap, Before before, guint slot)
{
  Record *record = heap->pdata[slot];

  for (; slot > 0 && before (record, heap->pdata[(slot - 1) / 2]); slot = (slot - 1) / 2)
    place_at (heap, slot, heap->pdata[(slot - 1) / 2]);
  place_at (heap, slot, record);
}

static void
sift_down (GPtrArray *heap, Before before, guint slot)
{
  Record *record = heap->pdata[slot];

  for (guint child; (child = 2 * slot + 1) < heap->len; slot = child)
    {
      if (child + 1 < heap->len && before (heap->pdata[child + 1], heap->pdata[child]))
        child++;
      if (!before (heap->pdata[child], record))
        break;
      place_at (heap, slot, heap->pdata[child]);
    }
  place_at (heap, slot, record);
}

static void
heap_push (GPtrArray *heap, Before before, Record *record)
{
  g_ptr_array_add (heap, record);
  sift_up (heap, before, heap->len - 1);
}

static void
heap_remove (GPtrArray *heap, Before before, Record *record)
{
  guint slot = record->slot;
  Record *last = g_ptr_array_steal_index (heap, heap->len - 1);

  if (last == record)
    return;
  place_at (heap, slot, last);
  sift_up (heap, before, slot);
  sift_down (heap, before, last->slot);
}

/* ---- the parts ---- */

void
queue_init (Queue *queue)
{
  *queue =
      (Queue){ .active = g_ptr_array_new (), .backoff = g_ptr_array_new (), .initial_us = G_USEC_PER_SEC, .max_us = 10 * G_USEC_PER_SEC };
  g_queue_init (&queue->unschedulable);
  g_queue_init (&queue->gated);
}

void
queue_clear (Queue *queue)
{
  g_clear_pointer (&queue->active, g_ptr_array_unref);
  g_clear_pointer (&queue->backoff, g_ptr_array_unref);
}

static void
push_active (Queue *queue, Record *record, gint64 now_us)
{
  record->place = PLACE_ACTIVE;
  record->added_us = now_us;
  if (record->order == 0)
    record->order = ++queue->next_order;
  heap_push (queue->active, is_sooner_active, record);
}

static void
push_list (GQueue *list, Record *record, Place place, gint64 now_us)
{
  record->place = place;
  record->added_us = now_us;
  record->link.data = record;
  g_queue_push_tail_link (list, &record->link);
}

static gint64
backoff_us (const Queue *queue, guint attempts)
{
  gint64 us = queue->initial_us;

  for (guint i = 1; i < attempts && us < queue->max_us; i++)
    us *= 2;
  return attempts == 0 ? 0 : MIN (us, queue->max_us);
}

void
queue_add (Queue *queue, Record *record, gint64 now_us)
{
  if (record->pod->class->is_gated)
    push_list (&queue->gated, record, PLACE_GATED, now_us);
  else
    push_active (queue, record, now_us);
}

void
queue_add_unschedulable (Queue *queue, Record *record, gint64 now_us)
{
  record->due_us = now_us + backoff_us (queue, record->attempts);
  record->is_error = FALSE;
  push_list (&queue->unschedulable, record, PLACE_UNSCHEDULABLE, now_us);
}

void
queue_add_error (Queue *queue, Record *record, gint64 now_us)
{
  record->errors++;
  record->due_us = now_us + backoff_us (queue, record->errors);
  record->is_error = TRUE;
  record->place = PLACE_BACKOFF;
  record->added_us = now_us;
  heap_push (queue->backoff, is_sooner_due, record);
}

void
queue_remove (Queue *queue, Record *record)
{
  switch (record->place)
    {
    case PLACE_ACTIVE: heap_remove (queue->active, is_sooner_active, record); break;
    case PLACE_BACKOFF: heap_remove (queue->backoff, is_sooner_due, record); break;
    case PLACE_UNSCHEDULABLE: g_queue_unlink (&queue->unschedulable, &record->link); break;
    case PLACE_GATED: g_queue_unlink (&queue->gated, &record->link); break;
    case PLACE_NONE:
    case PLACE_BINDING:
    case PLACE_BOUND:
    default: return;
    }
  record->place = PLACE_NONE;
}

/* Out of the unschedulable part: to the active one when its back-off is over. */
static void
move_on (Queue *queue, Record *record, gint64 now_us)
{
  g_queue_unlink (&queue->unschedulable, &record->link);
  if (record->due_us <= now_us)
    {
      push_active (queue, record, now_us);
      return;
    }
  record->place = PLACE_BACKOFF;
  heap_push (queue->backoff, is_sooner_due, record);
}

void
queue_wake (Queue *queue, guint32 bits, gint64 now_us)
{
  for (GList *link = queue->unschedulable.head, *next; link != NULL; link = next)
    {
      Record *record = link->data;

      next = link->next;
      if (record->wake_on == 0 || (record->wake_on & bits) != 0)
        move_on (queue, record, now_us);
    }
}

void
queue_wake_one (Queue *queue, Record *record, gint64 now_us)
{
  if (record->place == PLACE_UNSCHEDULABLE)
    move_on (queue, record, now_us);
}

static void
flush (Queue *queue, gint64 now_us)
{
  while (queue->backoff->len > 0 && ((Record *) queue->backoff->pdata[0])->due_us <= now_us)
    {
      Record *record = queue->backoff->pdata[0];

      heap_remove (queue->backoff, is_sooner_due, record);
      push_active (queue, record, now_us);
    }
  while (!g_queue_is_empty (&queue->unschedulable) && ((Record *) queue->unschedulable.head->data)->added_us + FLUSH_US <= now_us)
    move_on (queue, queue->unschedulable.head->data, now_us);
}

Record *
queue_pop (Queue *queue, gint64 now_us)
{
  Record *record = NULL;

  flush (queue, now_us);
  if (queue->active->len > 0)
    {
      record = queue->active->pdata[0];
      heap_remove (queue->active, is_sooner_active, record);
    }
  else if (queue->backoff->len > 0 && !((Record *) queue->backoff->pdata[0])->is_error)
    {
      /* Nothing else to do: a woken pod need not sit its back-off out. After an error it must. */
      record = queue->backoff->pdata[0];
      heap_remove (queue->backoff, is_sooner_due, record);
    }
  if (record == NULL)
    return NULL;
  record->place = PLACE_NONE;
  record->attempts++;
  return record;
}

gint64
queue_next_us (Queue *queue)
{
  gint64 next = -1;

  if (queue->backoff->len > 0)
    next = ((Record *) queue->backoff->pdata[0])->due_us;
  if (!g_queue_is_empty (&queue->unschedulable))
    {
      gint64 flush_us = ((Record *) queue->unschedulable.head->data)->added_us + FLUSH_US;

      next = next < 0 ? flush_us : MIN (next, flush_us);
    }
  return next;
}

guint
queue_length (const Queue *queue)
{
  return queue->active->len + queue->backoff->len + queue->unschedulable.length + queue->gated.length;
}
