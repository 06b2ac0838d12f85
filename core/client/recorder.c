/* SPDX-License-Identifier: Apache-2.0 */
/* The event recorder, with client-go's correlation: a repeated event raises a count instead of being new, many similar ones become one, and a source that
 * floods an object is cut. The caller only files the event; a worker sends. */
#include "client-private.h"

#define CACHE_MAX 4096
#define SIMILAR_MAX 10
#define SIMILAR_WINDOW_US (600 * G_USEC_PER_SEC)
#define SPAM_BURST 25.0
#define SPAM_PER_S (1.0 / 300.0)
#define PENDING_MAX 1000
#define SEND_TRIES 12
#define SEND_RETRY_US (10 * G_USEC_PER_SEC)
#define MESSAGE_MAX 1024

/* One remembered thing of the correlation; which members count depends on the table it is in. */
typedef struct {
  char *key;
  GList link;           /* its place in the order of use */
  GHashTable *messages; /* similar: the messages seen */
  gint64 at;            /* similar, spam: last time */
  double tokens;        /* spam */
  guint count;          /* repeats */
  char *name, *first;   /* repeats: the event's name and firstTimestamp */
} Memory;

typedef struct {
  GHashTable *table; /* key → Memory */
  GQueue order;      /* least recently used first */
} Cache;

typedef struct {
  CubeValue *event;
  char *ns, *name;
  guint count; /* > 1: a repeat, sent as a patch */
  guint tries;
} Pending;

struct _CubeRecorder {
  gint ref_count;
  CubeContext *context;
  CubeClient *client;
  const CubeResource *events;
  CubeLoop *loop;
  char *component, *host;
  GMutex lock;
  Cache similar, repeats, spam;
  GQueue pending;      /* of Pending */
  gboolean is_sending; /* a worker has the queue, or will soon */
  gboolean is_in_call; /* a worker is at the server */
  gboolean is_stopping;
  GCond idle;
  CubeTimer *timer;
  gint64 last_ns;
};

/* ---- memory ---- */

static void
memory_free (Memory *memory)
{
  g_clear_pointer (&memory->messages, g_hash_table_unref);
  g_free (memory->key);
  g_free (memory->name);
  g_free (memory->first);
  g_free (memory);
}

static void
cache_init (Cache *cache)
{
  cache->table = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) memory_free);
  g_queue_init (&cache->order);
}

static Memory *
recall (Cache *cache, const char *key, gboolean *ret_is_new)
{
  Memory *memory = g_hash_table_lookup (cache->table, key);

  *ret_is_new = memory == NULL;
  if (memory != NULL)
    g_queue_unlink (&cache->order, &memory->link);
  else
    {
      if (g_hash_table_size (cache->table) >= CACHE_MAX)
        {
          Memory *oldest = cache->order.head->data;

          g_queue_unlink (&cache->order, &oldest->link);
          g_hash_table_remove (cache->table, oldest->key);
        }
      memory = g_new0 (Memory, 1);
      memory->key = g_strdup (key);
      memory->link.data = memory;
      g_hash_table_insert (cache->table, memory->key, memory);
    }
  g_queue_push_tail_link (&cache->order, &memory->link);
  return memory;
}

static void
pending_free (Pending *pending)
{
  cube_value_unref (pending->event);
  g_free (pending->ns);
  g_free (pending->name);
  g_free (pending);
}

static CubeRecorder *
recorder_ref (CubeRecorder *recorder)
{
  g_atomic_int_inc (&recorder->ref_count);
  return recorder;
}

static void
recorder_unref (gpointer data)
{
  CubeRecorder *recorder = data;
  Cache *caches[] = { &recorder->similar, &recorder->repeats, &recorder->spam };

  if (!g_atomic_int_dec_and_test (&recorder->ref_count))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (caches); i++)
    g_hash_table_unref (caches[i]->table);
  g_queue_clear_full (&recorder->pending, (GDestroyNotify) pending_free);
  cube_client_unref (recorder->client);
  g_mutex_clear (&recorder->lock);
  g_cond_clear (&recorder->idle);
  g_free (recorder->component);
  g_free (recorder->host);
  g_free (recorder);
}

CubeRecorder *
cube_recorder_new (CubeContext *context, CubeClient *client, const char *component, const char *host)
{
  CubeRecorder *recorder = g_new0 (CubeRecorder, 1);

  recorder->ref_count = 1;
  recorder->context = context;
  recorder->client = cube_client_ref (client);
  recorder->events = cube_schema_resource (cube_client_schema (client), "v1", "events");
  recorder->loop = cube_context_get_loop (context, "main");
  recorder->component = g_strdup (component);
  recorder->host = g_strdup (host != NULL ? host : "");
  g_mutex_init (&recorder->lock);
  g_cond_init (&recorder->idle);
  cache_init (&recorder->similar);
  cache_init (&recorder->repeats);
  cache_init (&recorder->spam);
  g_queue_init (&recorder->pending);
  return recorder;
}

/* ---- sending: on a worker, one at a time, in order ---- */

static gboolean
patch_repeat (CubeRecorder *recorder, const Pending *pending, GError **error)
{
  static const char *const sent[] = { "count", "lastTimestamp", "message" };
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  g_autoptr (CubeValue) patch = NULL;
  g_autoptr (CubeObject) written = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (sent); i++)
    cube_mut_set_view (cube_builder_root (builder), sent[i], cube_value_get (pending->event, sent[i]));
  patch = cube_builder_end (builder);
  written = cube_client_patch (recorder->client, recorder->events, NULL, pending->ns, pending->name, CUBE_PATCH_MERGE, patch, error);
  return written != NULL;
}

/* TRUE = done with it, for better or worse; FALSE = the server is away. */
static gboolean
send (CubeRecorder *recorder, Pending *pending)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) made = NULL;

  if (pending->count > 1 && patch_repeat (recorder, pending, &error))
    return TRUE;
  if (pending->count <= 1 || g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_clear_error (&error);
      made = cube_client_create (recorder->client, recorder->events, pending->ns, pending->event, &error);
      if (made != NULL)
        return TRUE;
    }
  if (error->domain == CUBE_ERROR && error->code != CUBE_ERROR_SERVICE_UNAVAILABLE && error->code != CUBE_ERROR_SERVER_TIMEOUT
      && error->code != CUBE_ERROR_TIMEOUT && error->code != CUBE_ERROR_TOO_MANY_REQUESTS && error->code != CUBE_ERROR_NO_SPACE)
    {
      g_debug ("event %s/%s: %s", pending->ns, pending->name, error->message); /* the server refused it: again would be refused again */
      return TRUE;
    }
  if (++pending->tries < SEND_TRIES)
    return FALSE;
  g_message ("event %s/%s: given up after %u tries: %s", pending->ns, pending->name, pending->tries, error->message);
  return TRUE;
}

static void work (gpointer data);

static void
on_retry (gpointer data)
{
  CubeRecorder *recorder = data;
  CubeTimer *timer;

  g_mutex_lock (&recorder->lock);
  timer = g_steal_pointer (&recorder->timer);
  g_mutex_unlock (&recorder->lock);
  cube_context_run_blocking (recorder->context, work, recorder->loop, NULL, recorder_ref (recorder));
  cube_timer_cancel (timer);
}

static void
work (gpointer data)
{
  CubeRecorder *recorder = data;

  g_mutex_lock (&recorder->lock);
  while (recorder->is_sending && !recorder->is_stopping)
    {
      Pending *pending = g_queue_pop_head (&recorder->pending);
      gboolean is_done;

      if (pending == NULL)
        {
          recorder->is_sending = FALSE;
          break;
        }
      recorder->is_in_call = TRUE;
      g_mutex_unlock (&recorder->lock);
      is_done = send (recorder, pending);
      g_mutex_lock (&recorder->lock);
      recorder->is_in_call = FALSE;
      g_cond_broadcast (&recorder->idle);
      if (is_done)
        {
          pending_free (pending);
          continue;
        }
      g_queue_push_head (&recorder->pending, pending);
      if (recorder->is_stopping)
        break;
      recorder->timer = cube_loop_after (recorder->loop, SEND_RETRY_US, on_retry, recorder_ref (recorder), recorder_unref);
      break;
    }
  g_mutex_unlock (&recorder->lock);
  recorder_unref (recorder);
}

/* ---- correlation: with the lock held ---- */

/* Is the source flooding this object? A bucket of 25, one more every five minutes. */
static gboolean
is_spam (CubeRecorder *recorder, const char *key)
{
  gint64 now = cube_context_monotonic_us (recorder->context);
  gboolean is_new;
  Memory *memory = recall (&recorder->spam, key, &is_new);

  memory->tokens = is_new ? SPAM_BURST : MIN (SPAM_BURST, memory->tokens + (double) (now - memory->at) / G_USEC_PER_SEC * SPAM_PER_S);
  memory->at = now;
  if (memory->tokens < 1.0)
    return TRUE;
  memory->tokens -= 1.0;
  return FALSE;
}

/* Counts @message among the similar ones; TRUE when they are too many to be told apart. */
static gboolean
is_one_of_many (CubeRecorder *recorder, const char *key, const char *message)
{
  gint64 now = cube_context_monotonic_us (recorder->context);
  gboolean is_new;
  Memory *memory = recall (&recorder->similar, key, &is_new);

  if (memory->messages == NULL || now - memory->at > SIMILAR_WINDOW_US)
    {
      g_clear_pointer (&memory->messages, g_hash_table_unref);
      memory->messages = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
    }
  g_hash_table_add (memory->messages, g_strdup (message));
  memory->at = now;
  if (g_hash_table_size (memory->messages) < SIMILAR_MAX)
    return FALSE;
  {
    GHashTableIter iter; /* room for the next: any one goes */

    g_hash_table_iter_init (&iter, memory->messages);
    if (g_hash_table_iter_next (&iter, NULL, NULL))
      g_hash_table_iter_remove (&iter);
  }
  return TRUE;
}

/* The event's name: <object>.<hex of the time in ns>, never twice. */
static char *
event_name (CubeRecorder *recorder, const CubeObject *about)
{
  gint64 ns = cube_context_now_us (recorder->context) * 1000;
  g_autofree char *name = NULL;

  recorder->last_ns = ns > recorder->last_ns ? ns : recorder->last_ns + 1;
  name = g_strdup_printf ("%s.%" G_GINT64_MODIFIER "x", cube_object_name (about), recorder->last_ns);
  if (cube_name_check_dns1123_subdomain (name) != NULL)
    {
      char uuid[37];

      cube_uuid_format (cube_context_random (recorder->context), cube_context_random (recorder->context), uuid);
      return g_strdup (uuid);
    }
  return g_steal_pointer (&name);
}

typedef struct {
  const CubeObject *about, *related;
  const char *field_path, *type, *reason, *action;
} Facts;

static void
set_reference (CubeMut *parent, const char *key, const CubeObject *object, const char *field_path)
{
  CubeMut *reference = cube_mut_set_object (parent, key);
  char revision[24];

  cube_mut_set_string (reference, "kind", cube_object_kind (object));
  if (*cube_object_namespace (object) != '\0')
    cube_mut_set_string (reference, "namespace", cube_object_namespace (object));
  cube_mut_set_string (reference, "name", cube_object_name (object));
  if (*cube_object_uid (object) != '\0')
    cube_mut_set_string (reference, "uid", cube_object_uid (object));
  cube_mut_set_string (reference, "apiVersion", cube_object_api_version (object));
  g_snprintf (revision, sizeof revision, "%" G_GUINT64_FORMAT, cube_object_revision (object));
  if (cube_object_revision (object) != 0)
    cube_mut_set_string (reference, "resourceVersion", revision);
  cube_mut_set_string (reference, "fieldPath", field_path);
}

static Pending *
make_pending (CubeRecorder *recorder, const Facts *facts, const char *message, Memory *repeat)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *metadata, *source;
  Pending *pending = g_new0 (Pending, 1);
  char now[32];

  cube_time_format (cube_context_now_us (recorder->context), now);
  if (repeat->count++ == 0)
    {
      repeat->name = event_name (recorder, facts->about);
      repeat->first = g_strdup (now);
    }
  pending->count = repeat->count;
  pending->name = g_strdup (repeat->name);
  pending->ns = g_strdup (*cube_object_namespace (facts->about) != '\0' ? cube_object_namespace (facts->about) : "default");
  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "Event");
  metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", pending->name);
  cube_mut_set_string (metadata, "namespace", pending->ns);
  set_reference (root, "involvedObject", facts->about, facts->field_path);
  if (facts->related != NULL)
    set_reference (root, "related", facts->related, NULL);
  cube_mut_set_string (root, "action", facts->action);
  cube_mut_set_string (root, "reason", facts->reason);
  cube_mut_set_string (root, "message", message);
  cube_mut_set_string (root, "type", facts->type);
  source = cube_mut_set_object (root, "source");
  cube_mut_set_string (source, "component", recorder->component);
  if (*recorder->host != '\0')
    cube_mut_set_string (source, "host", recorder->host);
  cube_mut_set_string (root, "firstTimestamp", repeat->first);
  cube_mut_set_string (root, "lastTimestamp", now);
  cube_mut_set_int (root, "count", repeat->count);
  cube_mut_set_string (root, "reportingComponent", recorder->component);
  cube_mut_set_string (root, "reportingInstance", recorder->host);
  pending->event = cube_builder_end (builder);
  return pending;
}

/* Queues @pending and wakes the sender if it sleeps. TRUE = the caller must post it. */
static gboolean
file (CubeRecorder *recorder, Pending *pending)
{
  if (g_queue_get_length (&recorder->pending) >= PENDING_MAX)
    {
      cube_metric_add ("cube_events_dropped_total", NULL, 1);
      pending_free (pending);
      return FALSE;
    }
  g_queue_push_tail (&recorder->pending, pending);
  if (recorder->is_sending)
    return FALSE;
  recorder->is_sending = TRUE;
  return TRUE;
}

static gboolean
correlate (CubeRecorder *recorder, const Facts *facts, const char *message)
{
  const CubeObject *about = facts->about;
  g_autofree char *object_key = g_strdup_printf ("%s\x1f%s\x1f%s\x1f%s\x1f%s", cube_object_kind (about), cube_object_namespace (about),
                                                 cube_object_name (about), cube_object_uid (about), cube_object_api_version (about));
  g_autofree char *similar_key = g_strdup_printf ("%s\x1f%s\x1f%s", object_key, facts->type, facts->reason);
  g_autofree char *combined = NULL, *repeat_key = NULL;
  gboolean is_new;
  Memory *repeat;

  if (is_one_of_many (recorder, similar_key, message))
    {
      combined = g_strdup_printf ("(combined from similar events): %s", message);
      repeat_key = g_strdup (similar_key);
      message = combined;
    }
  else
    repeat_key = g_strdup_printf ("%s\x1f%s\x1f%s", similar_key, facts->field_path != NULL ? facts->field_path : "", message);
  repeat = recall (&recorder->repeats, repeat_key, &is_new);
  if (is_spam (recorder, object_key))
    {
      if (is_new)
        {
          g_queue_unlink (&recorder->repeats.order, &repeat->link);
          g_hash_table_remove (recorder->repeats.table, repeat_key);
        }
      return FALSE;
    }
  return file (recorder, make_pending (recorder, facts, message, repeat));
}

static void
record (CubeRecorder *recorder, const Facts *facts, const char *format, va_list args)
{
  g_autofree char *text = g_strdup_vprintf (format, args);
  g_autofree char *message = g_utf8_make_valid (text, MIN (strlen (text), MESSAGE_MAX));
  gboolean must_post;

  if (recorder->events == NULL)
    return;
  g_mutex_lock (&recorder->lock);
  must_post = !recorder->is_stopping && correlate (recorder, facts, message);
  g_mutex_unlock (&recorder->lock);
  if (must_post)
    cube_context_run_blocking (recorder->context, work, recorder->loop, NULL, recorder_ref (recorder));
}

void
cube_recorder_event (CubeRecorder *recorder, const CubeObject *about, const char *field_path, const char *type, const char *reason,
                     const char *format, ...)
{
  Facts facts = { .about = about, .field_path = field_path, .type = type, .reason = reason };
  va_list args;

  if (recorder == NULL)
    return;
  va_start (args, format);
  record (recorder, &facts, format, args);
  va_end (args);
}

void
cube_recorder_event_related (CubeRecorder *recorder, const CubeObject *about, const CubeObject *related, const char *action,
                             const char *type, const char *reason, const char *format, ...)
{
  Facts facts = { .about = about, .related = related, .action = action, .type = type, .reason = reason };
  va_list args;

  if (recorder == NULL)
    return;
  va_start (args, format);
  record (recorder, &facts, format, args);
  va_end (args);
}

void
cube_recorder_free (CubeRecorder *recorder)
{
  CubeTimer *timer;

  if (recorder == NULL)
    return;
  g_mutex_lock (&recorder->lock);
  recorder->is_stopping = TRUE;
  while (recorder->is_in_call)
    g_cond_wait (&recorder->idle, &recorder->lock);
  timer = g_steal_pointer (&recorder->timer);
  g_mutex_unlock (&recorder->lock);
  cube_timer_cancel (timer);
  /* No worker touches the queue any more. What waits is sent now, until the server is away. */
  for (Pending *pending = g_queue_pop_head (&recorder->pending); pending != NULL; pending = g_queue_pop_head (&recorder->pending))
    {
      gboolean is_done = send (recorder, pending);

      pending_free (pending);
      if (!is_done)
        break;
    }
  recorder_unref (recorder);
}
