/* SPDX-License-Identifier: Apache-2.0 */
/* The work queue: a key waits once however often it is added, is never with two workers at once, and comes back after a delay that grows with its
 * failures. Shared by threads under one short lock; process() runs outside it. */
#include "client-private.h"

#define BACKOFF_BASE_US 5000
#define BACKOFF_MAX_US (1000 * G_USEC_PER_SEC)
#define BUCKET_RATE 10.0   /* failures a second over all keys … */
#define BUCKET_BURST 100.0 /* … after this many at once: client-go's default controller limiter */
#define BATCH 16           /* keys one worker job takes before it lets others at the pool */

typedef struct {
  char *key;
  gboolean is_ready; /* waits in `ready` */
  gboolean is_processing;
  gboolean is_dirty; /* added while processing: again afterwards */
  guint failures;
  gint64 due;             /* monotonic; 0 = not delayed */
  GSequenceIter *delayed; /* its place in `delayed` */
} Item;

struct _CubeQueue {
  gint ref_count;
  CubeContext *context;
  char *name, *metric_labels;
  CubeLoop *loop;
  guint workers;
  CubeQueueFunc process;
  gpointer data;
  GMutex lock;
  GCond idle;
  GHashTable *items;  /* key → Item */
  GQueue ready;       /* of Item */
  GSequence *delayed; /* of Item by due */
  CubeTimer *timer;
  gint64 timer_due;
  guint jobs; /* posted or running */
  guint processing;
  gboolean is_stopping;
  double tokens;
  gint64 tokens_at;
};

static CubeQueue *
queue_ref (CubeQueue *queue)
{
  g_atomic_int_inc (&queue->ref_count);
  return queue;
}

static void
queue_unref (gpointer data)
{
  CubeQueue *queue = data;

  if (!g_atomic_int_dec_and_test (&queue->ref_count))
    return;
  g_queue_clear (&queue->ready);
  g_sequence_free (queue->delayed);
  g_hash_table_unref (queue->items);
  g_mutex_clear (&queue->lock);
  g_cond_clear (&queue->idle);
  g_free (queue->name);
  g_free (queue->metric_labels);
  g_free (queue);
}

static void
item_free (Item *item)
{
  g_free (item->key);
  g_free (item);
}

CubeQueue *
cube_queue_new (CubeContext *context, const char *name, CubeLoop *loop, guint workers, CubeQueueFunc process, gpointer data)
{
  CubeQueue *queue = g_new0 (CubeQueue, 1);

  queue->ref_count = 1;
  queue->context = context;
  queue->name = g_strdup (name);
  queue->metric_labels = g_strdup_printf ("name=\"%s\"", name);
  queue->loop = loop;
  queue->workers = workers;
  queue->process = process;
  queue->data = data;
  g_mutex_init (&queue->lock);
  g_cond_init (&queue->idle);
  queue->items = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) item_free);
  g_queue_init (&queue->ready);
  queue->delayed = g_sequence_new (NULL);
  queue->tokens = BUCKET_BURST;
  queue->tokens_at = cube_context_monotonic_us (context);
  return queue;
}

/* ---- all below with the lock held, unless said otherwise ---- */

static Item *
item_of (CubeQueue *queue, const char *key)
{
  Item *item = g_hash_table_lookup (queue->items, key);

  if (item == NULL)
    {
      item = g_new0 (Item, 1);
      item->key = g_strdup (key);
      g_hash_table_insert (queue->items, item->key, item);
    }
  return item;
}

static void
undelay (Item *item)
{
  if (item->delayed != NULL)
    g_sequence_remove (item->delayed);
  item->delayed = NULL;
  item->due = 0;
}

/* Forgets an item that nothing is known of. */
static void
drop_if_idle (CubeQueue *queue, Item *item)
{
  if (!item->is_ready && !item->is_processing && !item->is_dirty && item->delayed == NULL && item->failures == 0)
    g_hash_table_remove (queue->items, item->key);
}

static void run_job (gpointer data);

/* Starts a job for every ready key a worker is free for. Leaves and takes the lock again: posting calls out. */
static void
dispatch (CubeQueue *queue)
{
  guint most = MAX (queue->workers, 1);

  while (!queue->is_stopping && queue->jobs < most && queue->jobs - queue->processing < g_queue_get_length (&queue->ready))
    {
      queue->jobs++;
      queue_ref (queue);
      g_mutex_unlock (&queue->lock);
      if (queue->workers == 0)
        cube_loop_post (queue->loop, run_job, queue, NULL);
      else
        cube_context_run_blocking (queue->context, run_job, queue->loop, NULL, queue);
      g_mutex_lock (&queue->lock);
    }
}

static void
make_ready (CubeQueue *queue, Item *item)
{
  undelay (item);
  if (item->is_processing)
    item->is_dirty = TRUE;
  else if (!item->is_ready)
    {
      item->is_ready = TRUE;
      g_queue_push_tail (&queue->ready, item);
    }
}

static int
compare_due (gconstpointer a, gconstpointer b, gpointer data)
{
  gint64 one = ((const Item *) a)->due, two = ((const Item *) b)->due;

  return one < two ? -1 : one > two;
}

static void on_timer (gpointer data);

/* One timer for the earliest delayed key. */
static void
arm_timer (CubeQueue *queue)
{
  GSequenceIter *first = g_sequence_get_begin_iter (queue->delayed);
  CubeTimer *stale = NULL;
  gint64 due;

  if (g_sequence_iter_is_end (first) || queue->is_stopping)
    return;
  due = ((Item *) g_sequence_get (first))->due;
  if (queue->timer != NULL && queue->timer_due <= due)
    return;
  stale = g_steal_pointer (&queue->timer);
  queue->timer_due = due;
  queue->timer =
      cube_loop_after (queue->loop, MAX (due - cube_context_monotonic_us (queue->context), 0), on_timer, queue_ref (queue), queue_unref);
  if (stale != NULL)
    {
      g_mutex_unlock (&queue->lock);
      cube_timer_cancel (stale);
      g_mutex_lock (&queue->lock);
    }
}

static void
delay (CubeQueue *queue, Item *item, gint64 delay_us)
{
  gint64 due = cube_context_monotonic_us (queue->context) + delay_us;

  if (item->delayed != NULL && item->due <= due)
    return;
  undelay (item);
  item->due = due;
  item->delayed = g_sequence_insert_sorted (queue->delayed, item, compare_due, NULL);
  arm_timer (queue);
}

/* client-go: the longer of the key's own back-off and the bucket of all keys. */
static gint64
failure_delay (CubeQueue *queue, Item *item)
{
  gint64 now = cube_context_monotonic_us (queue->context);
  gint64 backoff = item->failures >= 28 ? BACKOFF_MAX_US : MIN ((gint64) BACKOFF_BASE_US << item->failures, BACKOFF_MAX_US);
  gint64 bucket;

  item->failures++;
  queue->tokens = MIN (BUCKET_BURST, queue->tokens + (double) (now - queue->tokens_at) / G_USEC_PER_SEC * BUCKET_RATE);
  queue->tokens_at = now;
  queue->tokens -= 1.0;
  bucket = queue->tokens >= 0 ? 0 : (gint64) (-queue->tokens / BUCKET_RATE * G_USEC_PER_SEC);
  return MAX (backoff, bucket);
}

static void
take_due (CubeQueue *queue)
{
  gint64 now = cube_context_monotonic_us (queue->context);

  for (;;)
    {
      GSequenceIter *first = g_sequence_get_begin_iter (queue->delayed);
      Item *item = g_sequence_iter_is_end (first) ? NULL : g_sequence_get (first);

      if (item == NULL || item->due > now)
        return;
      make_ready (queue, item);
    }
}

static void
on_timer (gpointer data)
{
  CubeQueue *queue = data;
  CubeTimer *ran;

  g_mutex_lock (&queue->lock);
  ran = queue->timer_due <= cube_context_monotonic_us (queue->context) ? g_steal_pointer (&queue->timer) : NULL;
  take_due (queue);
  arm_timer (queue);
  dispatch (queue);
  g_mutex_unlock (&queue->lock);
  cube_timer_cancel (ran);
}

/* Runs process() for @item outside the lock and files its answer. */
static void
process_item (CubeQueue *queue, Item *item)
{
  gint64 started, answer;

  item->is_ready = FALSE;
  item->is_processing = TRUE;
  queue->processing++;
  g_mutex_unlock (&queue->lock);

  started = cube_context_monotonic_us (queue->context);
  answer = queue->process (item->key, queue->data);
  cube_metric_observe ("workqueue_work_duration_seconds", queue->metric_labels,
                       (double) (cube_context_monotonic_us (queue->context) - started) / G_USEC_PER_SEC);

  g_mutex_lock (&queue->lock);
  queue->processing--;
  item->is_processing = FALSE;
  if (answer >= 0)
    item->failures = 0;
  if (item->is_dirty)
    {
      item->is_dirty = FALSE;
      make_ready (queue, item);
    }
  else if (answer > 0)
    delay (queue, item, answer);
  else if (answer < 0)
    delay (queue, item, failure_delay (queue, item));
  else
    drop_if_idle (queue, item);
}

static void
run_job (gpointer data)
{
  CubeQueue *queue = data;

  g_mutex_lock (&queue->lock);
  for (guint i = 0; i < BATCH && !queue->is_stopping && !g_queue_is_empty (&queue->ready); i++)
    process_item (queue, g_queue_pop_head (&queue->ready));
  queue->jobs--;
  dispatch (queue);
  g_cond_broadcast (&queue->idle);
  g_mutex_unlock (&queue->lock);
  queue_unref (queue);
}

/* ---- the public side ---- */

void
cube_queue_add (CubeQueue *queue, const char *key)
{
  g_mutex_lock (&queue->lock);
  if (!queue->is_stopping)
    {
      make_ready (queue, item_of (queue, key));
      dispatch (queue);
    }
  g_mutex_unlock (&queue->lock);
}

void
cube_queue_add_after (CubeQueue *queue, const char *key, gint64 delay_us)
{
  if (delay_us <= 0)
    {
      cube_queue_add (queue, key);
      return;
    }
  g_mutex_lock (&queue->lock);
  if (!queue->is_stopping)
    {
      Item *item = item_of (queue, key);

      if (!item->is_ready && !item->is_dirty)
        delay (queue, item, delay_us);
    }
  g_mutex_unlock (&queue->lock);
}

void
cube_queue_add_failed (CubeQueue *queue, const char *key)
{
  g_mutex_lock (&queue->lock);
  if (!queue->is_stopping)
    {
      Item *item = item_of (queue, key);
      gint64 wait = failure_delay (queue, item);

      if (!item->is_ready && !item->is_dirty)
        delay (queue, item, wait);
    }
  g_mutex_unlock (&queue->lock);
}

guint
cube_queue_length (CubeQueue *queue)
{
  guint length;

  g_mutex_lock (&queue->lock);
  length = g_queue_get_length (&queue->ready);
  g_mutex_unlock (&queue->lock);
  return length;
}

void
cube_queue_free (CubeQueue *queue)
{
  CubeTimer *timer;

  if (queue == NULL)
    return;
  g_mutex_lock (&queue->lock);
  queue->is_stopping = TRUE;
  timer = g_steal_pointer (&queue->timer);
  while (queue->processing > 0)
    g_cond_wait (&queue->idle, &queue->lock);
  g_mutex_unlock (&queue->lock);
  cube_timer_cancel (timer);
  queue_unref (queue);
}
