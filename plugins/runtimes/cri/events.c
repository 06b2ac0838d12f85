/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

#include "events.pb-c.h"

#define BACKOFF_FIRST_US (100 * 1000)
#define BACKOFF_LAST_US (3 * G_USEC_PER_SEC)
/* A stream that lasted this long was a good one: the next begins at once. */
#define GOOD_STREAM_US (5 * G_USEC_PER_SEC)
#define SETTLE_FIRST_US 2000
#define SETTLE_LAST_US (100 * 1000)
#define SETTLE_TOTAL_US (5 * G_USEC_PER_SEC)

/* In the order they are tried: containerd has had its own events from the first
 * and tells more by them. */
typedef enum { SOURCE_CONTAINERD, SOURCE_CRI, SOURCE_NONE } Source;

struct _CriEvents {
  Cri *cri;
  CubeLoop *loop;
  GMutex lock;
  GCond changed;
  /* under lock */
  CubeRuntimeEventFunc func;
  gpointer func_data;
  guint n_calling; /* func under way */
  guint n_active;  /* the listener and settlings under way */
  gboolean is_listening, is_stopping;
  GCancellable *cancellable;
  /* the listener's: one thread at a time */
  CubeTimer *timer;
  Source source;
  gint64 backoff_us, opened_us;
  gboolean was_open;
};

/* An exit is told when the runtime's own view shows it. */
typedef struct {
  CriEvents *events;
  char *id;
  gint64 delay_us, spent_us;
  gboolean is_settled;
  CubeTimer *timer;
} Settling;

static void listen_begin (gpointer data);

static void
emit (CriEvents *self, CubeRuntimeEventType type, const char *id)
{
  CubeRuntimeEventFunc func;
  gpointer data;

  g_mutex_lock (&self->lock);
  func = self->is_stopping ? NULL : self->func;
  data = self->func_data;
  if (func != NULL)
    self->n_calling++;
  g_mutex_unlock (&self->lock);
  if (func == NULL)
    return;
  func (type, id, data);
  g_mutex_lock (&self->lock);
  self->n_calling--;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

/* FALSE when the end has been asked for; else one more is under way. */
static gboolean
begin_activity (CriEvents *self)
{
  gboolean is_on;

  g_mutex_lock (&self->lock);
  is_on = !self->is_stopping;
  if (is_on)
    self->n_active++;
  g_mutex_unlock (&self->lock);
  return is_on;
}

static void
end_activity (CriEvents *self)
{
  g_mutex_lock (&self->lock);
  self->n_active--;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

static gboolean
is_stopping (CriEvents *self)
{
  gboolean answer;

  g_mutex_lock (&self->lock);
  answer = self->is_stopping;
  g_mutex_unlock (&self->lock);
  return answer;
}

/* -- exits
 *
 * containerd tells of a task's exit before its CRI part has noted it, so who
 * asked for the container's status at once would read "running" and go back to
 * sleep.  The status is asked for until it shows the exit, then the event is
 * handed on. */

static gboolean
shows_exit (CriEvents *self, const char *id)
{
  g_autoptr (GError) error = NULL;
  CubeContainer *container = cri_container_status (self->cri, id, &error);
  CubeSandbox *sandbox;
  gboolean is_over;

  if (container != NULL)
    {
      is_over = container->state == CUBE_CONTAINER_EXITED || container->state == CUBE_CONTAINER_UNKNOWN;
      cube_container_free (container);
      return is_over;
    }
  if (!cri_is_gone (&error))
    return FALSE;
  sandbox = cri_sandbox_status (self->cri, id, &error);
  is_over = sandbox != NULL ? !sandbox->is_ready : cri_is_gone (&error);
  cube_sandbox_free (sandbox);
  return is_over;
}

static void
settle_work (gpointer data)
{
  Settling *settling = data;

  settling->is_settled = is_stopping (settling->events) || shows_exit (settling->events, settling->id);
}

static void settle_done (gpointer data);

static void
settle_again (gpointer data)
{
  Settling *settling = data;

  cube_timer_cancel (g_steal_pointer (&settling->timer));
  cube_context_run_blocking (settling->events->cri->context, settle_work, settling->events->loop, settle_done, settling);
}

static void
settle_done (gpointer data)
{
  Settling *settling = data;
  CriEvents *self = settling->events;

  if (!settling->is_settled && settling->spent_us < SETTLE_TOTAL_US)
    {
      settling->spent_us += settling->delay_us;
      settling->timer = cube_loop_after (self->loop, settling->delay_us, settle_again, settling, NULL);
      settling->delay_us = MIN (settling->delay_us * 2, SETTLE_LAST_US);
      return;
    }
  emit (self, CUBE_RUNTIME_EVENT_STOPPED, settling->id);
  g_free (settling->id);
  g_free (settling);
  end_activity (self);
}

static void
settle (CriEvents *self, const char *id)
{
  Settling *settling;

  if (!begin_activity (self))
    return;
  settling = g_new0 (Settling, 1);
  settling->events = self;
  settling->id = g_utf8_make_valid (id, -1);
  settling->delay_us = SETTLE_FIRST_US;
  settle_again (settling);
}

/* -- containerd's events */

static void
handle_task_exit (CriEvents *self, const ProtobufCBinaryData *value)
{
  Ctd__TaskExit *exit_event = ctd__task_exit__unpack (NULL, value->len, value->data);

  if (exit_event == NULL)
    return;
  /* An exec's end has an id of its own and is nobody's death. */
  if (exit_event->id[0] == '\0' || g_str_equal (exit_event->id, exit_event->container_id))
    settle (self, exit_event->container_id);
  ctd__task_exit__free_unpacked (exit_event, NULL);
}

static const struct {
  const char *topic;
  CubeRuntimeEventType type;
} topics[] = {
  { "/tasks/exit", CUBE_RUNTIME_EVENT_STOPPED },
  { "/tasks/start", CUBE_RUNTIME_EVENT_STARTED },
  { "/tasks/oom", CUBE_RUNTIME_EVENT_OOM },
  { "/containers/create", CUBE_RUNTIME_EVENT_CREATED },
  { "/containers/delete", CUBE_RUNTIME_EVENT_DELETED },
};

static void
handle_envelope (CriEvents *self, const Ctd__Envelope *envelope)
{
  Ctd__Subject *subject;

  if (envelope->event == NULL)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (topics); i++)
    {
      if (!g_str_equal (envelope->topic, topics[i].topic))
        continue;
      if (topics[i].type == CUBE_RUNTIME_EVENT_STOPPED)
        {
          handle_task_exit (self, &envelope->event->value);
          return;
        }
      subject = ctd__subject__unpack (NULL, envelope->event->value.len, envelope->event->value.data);
      if (subject != NULL)
        {
          g_autofree char *id = g_utf8_make_valid (subject->id, -1);

          emit (self, topics[i].type, id);
          ctd__subject__free_unpacked (subject, NULL);
        }
      return;
    }
}

/* -- the runtime's own events */

static void
handle_container_event (CriEvents *self, const Cri__ContainerEventResponse *event)
{
  static const CubeRuntimeEventType types[] = {
    CUBE_RUNTIME_EVENT_CREATED,
    CUBE_RUNTIME_EVENT_STARTED,
    CUBE_RUNTIME_EVENT_STOPPED,
    CUBE_RUNTIME_EVENT_DELETED,
  };
  g_autofree char *id = g_utf8_make_valid (event->container_id, -1);

  if ((guint) event->container_event_type < G_N_ELEMENTS (types))
    emit (self, types[event->container_event_type], id);
}

/* -- listening: one blocking call on a worker, again and again */

static gboolean
on_message (const CubeGrpcMessage *message, gpointer data)
{
  CriEvents *self = data;

  if (message == NULL)
    {
      self->was_open = TRUE;
      self->opened_us = cube_context_monotonic_us (self->cri->context);
      cri_set_reachable (self->cri, TRUE, NULL);
      emit (self, CUBE_RUNTIME_EVENT_LOST, NULL);
    }
  else if (self->source == SOURCE_CRI)
    handle_container_event (self, (const Cri__ContainerEventResponse *) message);
  else
    handle_envelope (self, (const Ctd__Envelope *) message);
  return !is_stopping (self);
}

static gboolean
listen_cri (CriEvents *self, CubeGrpcChannel *channel, GError **error)
{
  Cri__Empty request = CRI__EMPTY__INIT;

  return cube_grpc_channel_server_stream (channel, "/runtime.v1.RuntimeService/GetContainerEvents", &request.base,
                                          &cri__container_event_response__descriptor, 0, self->cancellable, on_message, self, error);
}

static gboolean
listen_containerd (CriEvents *self, CubeGrpcChannel *channel, GError **error)
{
  Ctd__SubscribeRequest request = CTD__SUBSCRIBE_REQUEST__INIT;
  g_autoptr (GPtrArray) filters = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < G_N_ELEMENTS (topics); i++)
    g_ptr_array_add (filters, g_strdup_printf ("namespace==\"k8s.io\",topic==\"%s\"", topics[i].topic));
  request.filters = (char **) filters->pdata;
  request.n_filters = filters->len;
  return cube_grpc_channel_server_stream (channel, "/containerd.services.events.v1.Events/Subscribe", &request.base,
                                          &ctd__envelope__descriptor, 0, self->cancellable, on_message, self, error);
}

/* A runtime without one kind of events may have the other; one with neither is
 * watched by whoever lists its containers now and then. */
static gboolean
try_next_source (CriEvents *self, const GError *error)
{
  if (!g_error_matches (error, CUBE_GRPC_ERROR, CUBE_GRPC_UNIMPLEMENTED))
    return FALSE;
  self->source++;
  self->was_open = FALSE;
  if (self->source == SOURCE_NONE)
    g_message ("the runtime tells of no events; its containers are listed instead");
  return self->source != SOURCE_NONE;
}

static void
listen_work (gpointer data)
{
  CriEvents *self = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeGrpcChannel) channel = cri_get_channel (self->cri, &error);

  self->was_open = FALSE;
  if (channel != NULL)
    {
      do
        {
          g_clear_error (&error);
          if (self->source == SOURCE_CRI)
            listen_cri (self, channel, &error);
          else
            listen_containerd (self, channel, &error);
        }
      while (try_next_source (self, error) && !is_stopping (self));
    }
  if (self->source != SOURCE_NONE && !is_stopping (self))
    cri_set_reachable (self->cri, FALSE, error != NULL ? error->message : "the event stream ended");
}

static void
listen_done (gpointer data)
{
  CriEvents *self = data;
  gint64 now = cube_context_monotonic_us (self->cri->context);

  if (is_stopping (self) || self->source == SOURCE_NONE)
    {
      end_activity (self);
      return;
    }
  if (self->was_open)
    {
      if (now - self->opened_us >= GOOD_STREAM_US)
        self->backoff_us = BACKOFF_FIRST_US;
      emit (self, CUBE_RUNTIME_EVENT_LOST, NULL);
    }
  /* A restarted runtime may be another, with other events. */
  self->source = SOURCE_CONTAINERD;
  self->timer = cube_loop_after (self->loop, self->backoff_us, listen_begin, self, NULL);
  self->backoff_us = MIN (self->backoff_us * 2, BACKOFF_LAST_US);
}

static void
drop_timer (CriEvents *self)
{
  cube_timer_cancel (self->timer);
  self->timer = NULL;
}

static void
listen_begin (gpointer data)
{
  CriEvents *self = data;

  drop_timer (self);
  cube_context_run_blocking (self->cri->context, listen_work, self->loop, listen_done, self);
}

/* On the loop: a listener that waits for its timer waits no more. */
static void
listen_stop (gpointer data)
{
  CriEvents *self = data;

  if (self->timer != NULL)
    {
      drop_timer (self);
      end_activity (self);
    }
  end_activity (self);
}

/* All of it with the lock: the end may be asked for at any moment from another thread, and must find the loop and come after the beginning. */
void
cri_events_start (CriEvents *self)
{
  CubeLoop *loop = cube_context_get_loop (self->cri->context, "cri");

  g_mutex_lock (&self->lock);
  if (self->is_listening)
    {
      g_mutex_unlock (&self->lock);
      return;
    }
  self->is_listening = TRUE;
  self->is_stopping = FALSE;
  self->n_active++;
  g_clear_object (&self->cancellable);
  self->cancellable = g_cancellable_new ();
  self->loop = loop;
  self->source = SOURCE_CONTAINERD;
  self->backoff_us = BACKOFF_FIRST_US;
  cube_loop_post (self->loop, listen_begin, self, NULL);
  g_mutex_unlock (&self->lock);
}

void
cri_events_stop (CriEvents *self)
{
  g_mutex_lock (&self->lock);
  if (!self->is_listening)
    {
      g_mutex_unlock (&self->lock);
      return;
    }
  self->is_stopping = TRUE;
  self->n_active++; /* listen_stop */
  g_mutex_unlock (&self->lock);
  g_cancellable_cancel (self->cancellable);
  cube_loop_post (self->loop, listen_stop, self, NULL);
  g_mutex_lock (&self->lock);
  while (self->n_active > 0 || self->n_calling > 0)
    g_cond_wait (&self->changed, &self->lock);
  self->is_listening = FALSE;
  g_mutex_unlock (&self->lock);
}

CriEvents *
cri_events_new (Cri *cri)
{
  CriEvents *self = g_new0 (CriEvents, 1);

  self->cri = cri;
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  return self;
}

void
cri_events_free (CriEvents *self)
{
  if (self == NULL)
    return;
  cri_events_stop (self);
  g_clear_object (&self->cancellable);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
cri_set_event_func (gpointer state, CubeRuntimeEventFunc func, gpointer data)
{
  CriEvents *self = ((Cri *) state)->events;

  if (func == NULL)
    cri_events_stop (self);
  g_mutex_lock (&self->lock);
  self->func = func;
  self->func_data = data;
  g_mutex_unlock (&self->lock);
  if (func != NULL)
    cri_events_start (self);
}
