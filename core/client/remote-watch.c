/* SPDX-License-Identifier: Apache-2.0 */
/* Watches over HTTP: a stream of one JSON document a line, read on the loop "client", handed over in a bounded queue. */
#include "remote-private.h"

#define READ_SIZE (64 * 1024)
#define LINE_MAX_BYTES (8 * 1024 * 1024)
#define QUEUE_HIGH 4096                   /* reading pauses here … */
#define QUEUE_LOW 1024                    /* … and goes on here */
#define SILENCE_US (150 * G_USEC_PER_SEC) /* bookmarks come each minute: after this the server is taken for gone */

/* Shared by the reading loop and the owner's. */
typedef struct {
  CubeWatch watch;
  gint ref_count;
  CubeRemote *remote;
  const CubeResource *resource;
  CubeLoop *loop;
  CubeTask ready;
  gpointer data;
  gboolean is_freed; /* owner's loop only */
  SoupMessage *message;
  GCancellable *cancellable;
  /* reading loop only */
  GInputStream *stream;
  GByteArray *line;
  CubeTimer *silence;
  gboolean has_bookmarks;
  /* both */
  GMutex lock;
  GQueue events; /* of CubeEvent */
  GError *end;   /* the stream's end, after the events */
  gboolean is_posted, is_paused;
} RemoteWatch;

static void
event_free (CubeEvent *event)
{
  cube_event_clear (event);
  g_free (event);
}

static RemoteWatch *
watch_ref (RemoteWatch *watch)
{
  g_atomic_int_inc (&watch->ref_count);
  return watch;
}

static void
watch_free (gpointer data)
{
  RemoteWatch *watch = data;

  g_queue_clear_full (&watch->events, (GDestroyNotify) event_free);
  g_clear_error (&watch->end);
  g_clear_object (&watch->message);
  g_clear_object (&watch->cancellable);
  g_clear_object (&watch->stream);
  g_byte_array_unref (watch->line);
  g_mutex_clear (&watch->lock);
  cube_remote_unref (watch->remote);
  g_free (watch);
}

/* The stream is libsoup's and closes where it was made. */
static void
watch_unref (gpointer data)
{
  RemoteWatch *watch = data;

  if (!g_atomic_int_dec_and_test (&watch->ref_count))
    return;
  if (cube_loop_is_current (watch->remote->loop))
    watch_free (watch);
  else
    cube_loop_post (watch->remote->loop, watch_free, watch, NULL);
}

/* ---- to the owner ---- */

static void
run_ready (gpointer data)
{
  RemoteWatch *watch = data;

  g_mutex_lock (&watch->lock);
  watch->is_posted = FALSE;
  g_mutex_unlock (&watch->lock);
  if (!watch->is_freed)
    watch->ready (watch->data);
}

/* With the lock held. */
static void
wake (RemoteWatch *watch)
{
  if (watch->is_posted)
    return;
  watch->is_posted = TRUE;
  cube_loop_post (watch->loop, run_ready, watch_ref (watch), watch_unref);
}

static void
end_with (RemoteWatch *watch, GError *error)
{
  g_clear_pointer (&watch->silence, cube_timer_cancel);
  g_mutex_lock (&watch->lock);
  if (watch->end == NULL)
    watch->end = error;
  else
    g_error_free (error);
  wake (watch);
  g_mutex_unlock (&watch->lock);
}

/* ---- reading ---- */

static gboolean
fill_event (RemoteWatch *watch, const char *type, CubeView object, CubeEvent *event, GError **error)
{
  static const char *const types[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };
  const char *revision = cube_view_get_string (object, "metadata", "resourceVersion");
  guint which = 0;

  while (which < G_N_ELEMENTS (types) && g_strcmp0 (type, types[which]) != 0)
    which++;
  if (which == G_N_ELEMENTS (types))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "watch of %s: the server sent an event of type \"%.32s\"",
                   watch->resource->resource, type != NULL ? type : "");
      return FALSE;
    }
  event->type = (CubeEventType) which;
  if (revision != NULL)
    g_ascii_string_to_unsigned (revision, 10, 0, G_MAXUINT64, &event->revision, NULL);
  if (event->type == CUBE_EVENT_BOOKMARK)
    {
      event->is_initial_end =
          g_strcmp0 (cube_view_get_string (object, "metadata", "annotations", "k8s.io/initial-events-end"), "true") == 0;
      return TRUE;
    }
  event->object = cube_remote_object (watch->resource, object, error);
  return event->object != NULL;
}

/* FALSE with @error ends the watch. */
static gboolean
take_line (RemoteWatch *watch, const char *text, gsize length, GError **error)
{
  CubeParseLimits limits = { .max_bytes = LINE_MAX_BYTES };
  g_autoptr (CubeValue) value = cube_value_from_json (text, (gssize) length, &limits, error);
  const char *type;
  CubeView object;
  CubeEvent *event;

  if (value == NULL)
    return FALSE;
  type = cube_view_string (cube_value_get (value, "type"));
  object = cube_value_get (value, "object");
  if (g_strcmp0 (type, "ERROR") == 0)
    {
      g_autoptr (CubeValue) status = cube_value_new_copy (object);

      g_propagate_error (error, cube_error_from_status (status, (int) cube_view_int (cube_view_member (object, "code"), 500)));
      return FALSE;
    }
  event = g_new0 (CubeEvent, 1);
  if (!fill_event (watch, type, object, event, error))
    {
      event_free (event);
      return FALSE;
    }
  g_mutex_lock (&watch->lock);
  g_queue_push_tail (&watch->events, event);
  wake (watch);
  g_mutex_unlock (&watch->lock);
  return TRUE;
}

/* Cuts the lines out of what was read so far. */
static gboolean
take_bytes (RemoteWatch *watch, const guint8 *data, gsize length, GError **error)
{
  gsize from = 0;
  const guint8 *newline;

  g_byte_array_append (watch->line, data, (guint) length);
  while ((newline = memchr (watch->line->data + from, '\n', watch->line->len - from)) != NULL)
    {
      gsize end = (gsize) (newline - watch->line->data);

      if (end > from && !take_line (watch, (const char *) watch->line->data + from, end - from, error))
        return FALSE;
      from = end + 1;
    }
  if (from > 0)
    g_byte_array_remove_range (watch->line, 0, (guint) from);
  if (watch->line->len <= LINE_MAX_BYTES)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "watch of %s: an event is longer than %d bytes", watch->resource->resource,
               LINE_MAX_BYTES);
  return FALSE;
}

static void read_more (RemoteWatch *watch);

static void
on_silence (gpointer data)
{
  RemoteWatch *watch = data;

  g_clear_pointer (&watch->silence, cube_timer_cancel);
  g_cancellable_cancel (watch->cancellable); /* the read ends with it */
}

static void
on_read (GObject *stream, GAsyncResult *result, gpointer data)
{
  RemoteWatch *watch = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = g_input_stream_read_bytes_finish (G_INPUT_STREAM (stream), result, &error);
  GError *failure = NULL;

  g_clear_pointer (&watch->silence, cube_timer_cancel);
  if (bytes == NULL)
    end_with (watch, cube_remote_transport_error (watch->remote, error));
  else if (g_bytes_get_size (bytes) == 0)
    end_with (watch, g_error_new (CUBE_ERROR, CUBE_ERROR_TIMEOUT, "watch of %s: the server ended it", watch->resource->resource));
  else if (!take_bytes (watch, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &failure))
    end_with (watch, failure);
  else
    read_more (watch);
  watch_unref (watch);
}

static void
read_more (RemoteWatch *watch)
{
  gboolean is_full;

  if (g_cancellable_is_cancelled (watch->cancellable))
    return;
  g_mutex_lock (&watch->lock);
  is_full = g_queue_get_length (&watch->events) >= QUEUE_HIGH;
  watch->is_paused = is_full;
  g_mutex_unlock (&watch->lock);
  if (is_full)
    return;
  if (watch->has_bookmarks)
    watch->silence = cube_loop_after (watch->remote->loop, SILENCE_US, on_silence, watch_ref (watch), watch_unref);
  g_input_stream_read_bytes_async (watch->stream, READ_SIZE, G_PRIORITY_DEFAULT, watch->cancellable, on_read, watch_ref (watch));
}

static void
resume (gpointer data)
{
  read_more (data);
}

/* A refusal has a body that says why: it is short. */
static void
on_refusal (GObject *stream, GAsyncResult *result, gpointer data)
{
  RemoteWatch *watch = data;
  g_autoptr (GBytes) bytes = g_input_stream_read_bytes_finish (G_INPUT_STREAM (stream), result, NULL);
  gsize length = 0;
  const char *text = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;

  end_with (watch, cube_remote_error (soup_message_get_status (watch->message), text != NULL ? text : "", length));
  watch_unref (watch);
}

static void
on_stream (GObject *session, GAsyncResult *result, gpointer data)
{
  RemoteWatch *watch = data;
  g_autoptr (GError) error = NULL;

  watch->stream = soup_session_send_finish (SOUP_SESSION (session), result, &error);
  if (watch->stream == NULL)
    end_with (watch, cube_remote_transport_error (watch->remote, error));
  else if (soup_message_get_status (watch->message) != 200)
    g_input_stream_read_bytes_async (watch->stream, READ_SIZE, G_PRIORITY_DEFAULT, watch->cancellable, on_refusal, watch_ref (watch));
  else
    read_more (watch);
  watch_unref (watch);
}

static void
begin (gpointer data)
{
  RemoteWatch *watch = data;

  soup_session_send_async (cube_remote_session (watch->remote, TRUE), watch->message, G_PRIORITY_DEFAULT, watch->cancellable, on_stream,
                           watch_ref (watch));
}

/* ---- the owner's side ---- */

static gboolean
remote_watch_next (CubeWatch *base, CubeEvent *ret_event, GError **error)
{
  RemoteWatch *watch = (RemoteWatch *) base;
  gboolean must_resume;
  CubeEvent *event;

  g_mutex_lock (&watch->lock);
  event = g_queue_pop_head (&watch->events);
  if (event == NULL && watch->end != NULL)
    g_propagate_error (error, g_error_copy (watch->end));
  must_resume = watch->is_paused && g_queue_get_length (&watch->events) < QUEUE_LOW;
  if (must_resume)
    watch->is_paused = FALSE;
  g_mutex_unlock (&watch->lock);
  if (must_resume)
    cube_loop_post (watch->remote->loop, resume, watch_ref (watch), watch_unref);
  if (event == NULL)
    return FALSE;
  *ret_event = *event;
  g_free (event);
  return TRUE;
}

static void
cancel (gpointer data)
{
  RemoteWatch *watch = data;

  g_clear_pointer (&watch->silence, cube_timer_cancel);
  g_cancellable_cancel (watch->cancellable);
}

static void
remote_watch_free (CubeWatch *base)
{
  RemoteWatch *watch = (RemoteWatch *) base;

  watch->is_freed = TRUE;
  cube_loop_post (watch->remote->loop, cancel, watch, watch_unref); /* the owner's reference goes with it */
}

static const CubeWatchOps watch_ops = { remote_watch_next, remote_watch_free };

CubeWatch *
cube_remote_watch (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error)
{
  CubeRequest watching = *request;
  SoupMessage *message;
  RemoteWatch *watch;

  watching.verb = CUBE_VERB_WATCH;
  message = cube_remote_message (client, &watching, error);
  if (message == NULL)
    return NULL;
  watch = g_new0 (RemoteWatch, 1);
  watch->watch.ops = &watch_ops;
  watch->ref_count = 1;
  watch->remote = cube_remote_ref (client->back);
  watch->resource = request->resource;
  watch->loop = loop;
  watch->ready = ready;
  watch->data = data;
  watch->message = message;
  watch->cancellable = g_cancellable_new ();
  watch->line = g_byte_array_new ();
  watch->has_bookmarks = request->allow_bookmarks;
  g_mutex_init (&watch->lock);
  g_queue_init (&watch->events);
  cube_loop_post (watch->remote->loop, begin, watch_ref (watch), watch_unref);
  return &watch->watch;
}
