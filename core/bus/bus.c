/* SPDX-License-Identifier: Apache-2.0 */
/* The event bus: topics (one ring of changes a resource), subscriptions (a cursor each) and the loops they are woken on.
 *
 * Locks: bus->lock guards the two maps; topic->lock a topic's ring, its groups and the lists of its subscriptions; waker->lock what waits to be
 * dispatched on a loop. Order: topic → waker. None is held over a call out. */
#include "bus.h"
#include "ring.h"

typedef struct _Group Group;

/* Whatever of one loop waits to be told; one post per batch for all of it. Counted: a posted task holds a reference. */
typedef struct {
  gint ref_count;
  CubeLoop *loop;
  GMutex lock;
  GPtrArray *fired; /* Group with something new for armed subscriptions */
  gboolean is_posted;
} Waker;

typedef struct {
  CubeBus *bus; /* the bus owns it */
  char *key;
  GMutex lock;
  CubeRing ring;
  GPtrArray *groups; /* Group */
} Topic;

/* The subscriptions of one loop to one topic. */
struct _Group {
  Topic *topic;
  Waker *waker;
  CubeSubscription *armed; /* head of a list: want to be told */
  gboolean is_fired;
};

struct _CubeBus {
  gint ref_count; /* the owner and every subscription */
  guint window;
  GMutex lock;
  GHashTable *topics; /* key → Topic */
  GHashTable *wakers; /* CubeLoop → Waker */
  guint64 newest;     /* atomic */
  guint64 floor;
};

struct _CubeSubscription {
  CubeBus *bus;
  Topic *topic;
  Group *group;
  guint64 cursor; /* position in the topic's ring */
  guint64 after;  /* changes at or before it are skipped */
  CubeTask ready;
  gpointer data;
  CubeSubscription *next, **link; /* the list it is in: its group's armed, or one being dispatched; link NULL = none */
};

/* ---- wakers ---- */

static Waker *
waker_new (CubeLoop *loop)
{
  Waker *waker = g_new0 (Waker, 1);
  waker->ref_count = 1;
  waker->loop = loop;
  g_mutex_init (&waker->lock);
  waker->fired = g_ptr_array_new ();
  return waker;
}

static void
waker_unref (gpointer data)
{
  Waker *waker = data;
  if (!g_atomic_int_dec_and_test (&waker->ref_count))
    return;
  g_ptr_array_unref (waker->fired);
  g_mutex_clear (&waker->lock);
  g_free (waker);
}

/* ---- lists of subscriptions (topic lock held) ---- */

static void
subscription_link (CubeSubscription *subscription, CubeSubscription **head)
{
  subscription->next = *head;
  if (subscription->next != NULL)
    subscription->next->link = &subscription->next;
  subscription->link = head;
  *head = subscription;
}

static void
subscription_unlink (CubeSubscription *subscription)
{
  if (subscription->link == NULL)
    return;
  *subscription->link = subscription->next;
  if (subscription->next != NULL)
    subscription->next->link = subscription->link;
  subscription->next = NULL;
  subscription->link = NULL;
}

/* ---- dispatch, on the loop ---- */

static void bus_unref (CubeBus *bus);

static void
group_dispatch (Group *group)
{
  Topic *topic = group->topic;
  CubeSubscription *told = NULL;
  g_mutex_lock (&topic->lock);
  group->is_fired = FALSE;
  told = g_steal_pointer (&group->armed);
  if (told != NULL)
    told->link = &told;
  while (told != NULL)
    {
      /* A callback may free any subscription of this loop: what it frees leaves the list, so only the head is ever looked at. */
      CubeSubscription *subscription = told;
      subscription_unlink (subscription);
      g_mutex_unlock (&topic->lock);
      subscription->ready (subscription->data);
      g_mutex_lock (&topic->lock);
    }
  g_mutex_unlock (&topic->lock);
}

static void
waker_run (gpointer data)
{
  Waker *waker = data;
  g_mutex_lock (&waker->lock);
  waker->is_posted = FALSE;
  /* What fires from here on has a post of its own, so that the loop's other work gets its turn. Freeing the bus in a callback empties the list. */
  for (guint n = waker->fired->len; n > 0 && waker->fired->len > 0; n--)
    {
      Group *group = g_ptr_array_remove_index (waker->fired, 0);
      CubeBus *bus = group->topic->bus;
      g_atomic_int_inc (&bus->ref_count);
      g_mutex_unlock (&waker->lock);
      group_dispatch (group);
      bus_unref (bus);
      g_mutex_lock (&waker->lock);
    }
  g_mutex_unlock (&waker->lock);
}

/* Topic lock held. Puts @group on its loop's list; the loop to post to, or NULL when it is on its way already. (transfer full) */
static Waker *
group_fire (Group *group)
{
  Waker *waker = group->waker;
  if (group->armed == NULL || group->is_fired)
    return NULL;
  group->is_fired = TRUE;
  g_mutex_lock (&waker->lock);
  g_ptr_array_add (waker->fired, group);
  gboolean must_post = !waker->is_posted;
  waker->is_posted = TRUE;
  if (must_post)
    g_atomic_int_inc (&waker->ref_count);
  g_mutex_unlock (&waker->lock);
  return must_post ? waker : NULL;
}

static void
waker_post (Waker *waker)
{
  cube_loop_post (waker->loop, waker_run, waker, waker_unref);
}

/* ---- topics ---- */

static void
topic_free (gpointer data)
{
  Topic *topic = data;
  cube_ring_clear (&topic->ring);
  for (guint i = 0; i < topic->groups->len; i++)
    {
      Group *group = topic->groups->pdata[i];
      waker_unref (group->waker);
      g_free (group);
    }
  g_ptr_array_unref (topic->groups);
  g_mutex_clear (&topic->lock);
  g_free (topic->key);
  g_free (topic);
}

static Topic *
bus_topic (CubeBus *bus, const char *key)
{
  g_mutex_lock (&bus->lock);
  Topic *topic = g_hash_table_lookup (bus->topics, key);
  if (topic == NULL)
    {
      topic = g_new0 (Topic, 1);
      topic->bus = bus;
      topic->key = g_strdup (key);
      g_mutex_init (&topic->lock);
      cube_ring_init (&topic->ring, bus->window, bus->floor);
      topic->groups = g_ptr_array_new ();
      g_hash_table_insert (bus->topics, topic->key, topic);
    }
  g_mutex_unlock (&bus->lock);
  return topic;
}

static Waker *
bus_waker (CubeBus *bus, CubeLoop *loop)
{
  g_mutex_lock (&bus->lock);
  Waker *waker = g_hash_table_lookup (bus->wakers, loop);
  if (waker == NULL)
    {
      waker = waker_new (loop);
      g_hash_table_insert (bus->wakers, loop, waker);
    }
  g_atomic_int_inc (&waker->ref_count);
  g_mutex_unlock (&bus->lock);
  return waker;
}

/* Topic lock held. */
static Group *
topic_group (Topic *topic, Waker *waker)
{
  for (guint i = 0; i < topic->groups->len; i++)
    {
      Group *group = topic->groups->pdata[i];
      if (group->waker == waker)
        return group;
    }
  Group *group = g_new0 (Group, 1);
  group->topic = topic;
  group->waker = waker;
  g_atomic_int_inc (&waker->ref_count);
  g_ptr_array_add (topic->groups, group);
  return group;
}

/* ---- the bus ---- */

CubeBus *
cube_bus_new (guint window)
{
  CubeBus *bus = g_new0 (CubeBus, 1);
  bus->ref_count = 1;
  bus->window = MAX (window, 1);
  g_mutex_init (&bus->lock);
  bus->topics = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, topic_free);
  bus->wakers = g_hash_table_new_full (NULL, NULL, NULL, waker_unref);
  return bus;
}

static void
bus_unref (CubeBus *bus)
{
  if (!g_atomic_int_dec_and_test (&bus->ref_count))
    return;
  g_hash_table_unref (bus->topics);
  g_hash_table_unref (bus->wakers);
  g_mutex_clear (&bus->lock);
  g_free (bus);
}

void
cube_bus_free (CubeBus *bus)
{
  if (bus == NULL)
    return;
  GHashTableIter iter;
  gpointer value;
  g_mutex_lock (&bus->lock);
  g_hash_table_iter_init (&iter, bus->wakers);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Waker *waker = value;
      g_mutex_lock (&waker->lock);
      g_ptr_array_set_size (waker->fired, 0);
      g_mutex_unlock (&waker->lock);
    }
  g_mutex_unlock (&bus->lock);
  bus_unref (bus);
}

void
cube_bus_set_floor (CubeBus *bus, guint64 revision)
{
  GHashTableIter iter;
  gpointer value;
  g_mutex_lock (&bus->lock);
  bus->floor = revision;
  g_hash_table_iter_init (&iter, bus->topics);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      Topic *topic = value;
      g_mutex_lock (&topic->lock);
      topic->ring.floor = MAX (topic->ring.floor, revision);
      g_mutex_unlock (&topic->lock);
    }
  g_mutex_unlock (&bus->lock);
}

void
cube_bus_set_resource_floor (CubeBus *bus, const char *resource_key, guint64 revision)
{
  Topic *topic = bus_topic (bus, resource_key);
  g_mutex_lock (&topic->lock);
  topic->ring.floor = MAX (topic->ring.floor, revision);
  g_mutex_unlock (&topic->lock);
}

void
cube_bus_set_newest (CubeBus *bus, guint64 revision)
{
  __atomic_store_n (&bus->newest, revision, __ATOMIC_RELEASE);
}

guint64
cube_bus_newest (CubeBus *bus)
{
  return __atomic_load_n (&bus->newest, __ATOMIC_ACQUIRE);
}

static void
topic_push (Topic *topic, const CubeChange *change)
{
  CubeChange dropped;
  g_mutex_lock (&topic->lock);
  gboolean has_dropped = cube_ring_push (&topic->ring, change, &dropped);
  g_mutex_unlock (&topic->lock);
  if (has_dropped)
    cube_change_clear (&dropped);
}

void
cube_bus_preload (CubeBus *bus, const char *resource_key, const CubeChange *change)
{
  topic_push (bus_topic (bus, resource_key), change);
}

static void
bus_wake (GPtrArray *topics)
{
  g_autoptr (GPtrArray) posts = g_ptr_array_new ();
  for (guint i = 0; i < topics->len; i++)
    {
      Topic *topic = topics->pdata[i];
      g_mutex_lock (&topic->lock);
      for (guint j = 0; j < topic->groups->len; j++)
        {
          Waker *waker = group_fire (topic->groups->pdata[j]);
          if (waker != NULL)
            g_ptr_array_add (posts, waker);
        }
      g_mutex_unlock (&topic->lock);
    }
  for (guint i = 0; i < posts->len; i++)
    waker_post (posts->pdata[i]);
}

void
cube_bus_publish (CubeBus *bus, const CubeBusEntry *entries, guint n, guint64 newest_revision)
{
  g_autoptr (GPtrArray) touched = g_ptr_array_new ();
  Topic *topic = NULL;
  for (guint i = 0; i < n; i++)
    {
      if (topic == NULL || (entries[i].resource_key != topic->key && !g_str_equal (entries[i].resource_key, topic->key)))
        topic = bus_topic (bus, entries[i].resource_key);
      if (!g_ptr_array_find (touched, topic, NULL))
        g_ptr_array_add (touched, topic);
      topic_push (topic, &entries[i].change);
    }
  cube_bus_set_newest (bus, newest_revision);
  bus_wake (touched);
}

/* ---- subscriptions ---- */

CubeSubscription *
cube_bus_subscribe (CubeBus *bus, const char *resource_key, guint64 after, CubeLoop *loop, CubeTask ready, gpointer data, GError **error)
{
  g_return_val_if_fail (bus != NULL && loop != NULL && ready != NULL, NULL);
  Topic *topic = bus_topic (bus, resource_key);
  Waker *waker = bus_waker (bus, loop);
  CubeSubscription *subscription = g_new0 (CubeSubscription, 1);
  Waker *post = NULL;
  g_mutex_lock (&topic->lock);
  guint64 floor = topic->ring.floor;
  if (after < floor)
    {
      g_mutex_unlock (&topic->lock);
      waker_unref (waker);
      g_free (subscription);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED, "too old resource version: %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT ")", after,
                   floor);
      return NULL;
    }
  g_atomic_int_inc (&bus->ref_count);
  *subscription =
      (CubeSubscription){ .bus = bus, .topic = topic, .group = topic_group (topic, waker), .after = after, .ready = ready, .data = data };
  subscription->cursor = cube_ring_find (&topic->ring, after);
  subscription_link (subscription, &subscription->group->armed);
  if (subscription->cursor < topic->ring.head)
    post = group_fire (subscription->group);
  g_mutex_unlock (&topic->lock);
  waker_unref (waker);
  if (post != NULL)
    waker_post (post);
  return subscription;
}

gboolean
cube_subscription_next (CubeSubscription *subscription, CubeChange *ret_change, guint64 *ret_progress, GError **error)
{
  Topic *topic = subscription->topic;
  CubeRing *ring = &topic->ring;
  /* Read first: whatever is published up to it is in the ring by then. */
  guint64 newest = cube_bus_newest (subscription->bus);
  gboolean is_lost = FALSE, found = FALSE;
  g_mutex_lock (&topic->lock);
  guint64 floor = ring->floor;
  if (subscription->cursor < ring->tail)
    is_lost = TRUE;
  while (!is_lost && !found && subscription->cursor < ring->head)
    {
      const CubeChange *change = cube_ring_at (ring, subscription->cursor++);
      if (change->revision <= subscription->after)
        continue;
      *ret_change = *change;
      cube_object_ref (ret_change->object);
      if (ret_change->old != NULL)
        cube_object_ref (ret_change->old);
      found = TRUE;
    }
  if (found)
    subscription->after = ret_change->revision;
  else if (!is_lost && subscription->link == NULL)
    subscription_link (subscription, &subscription->group->armed);
  g_mutex_unlock (&topic->lock);
  if (is_lost)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED, "too old resource version: %" G_GUINT64_FORMAT " (%" G_GUINT64_FORMAT ")",
                 subscription->after, floor);
  else if (!found && ret_progress != NULL)
    *ret_progress = MAX (newest, subscription->after);
  return found;
}

void
cube_subscription_free (CubeSubscription *subscription)
{
  if (subscription == NULL)
    return;
  g_mutex_lock (&subscription->topic->lock);
  subscription_unlink (subscription);
  g_mutex_unlock (&subscription->topic->lock);
  bus_unref (subscription->bus);
  g_free (subscription);
}

void
cube_change_clear (CubeChange *change)
{
  g_clear_pointer (&change->object, cube_object_unref);
  g_clear_pointer (&change->old, cube_object_unref);
}
