/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"
#include <string.h>

#define OUT_LIMIT (256 * 1024) /* then the agent waits */
#define IN_LIMIT (256 * 1024)  /* then the client waits */

typedef enum { INBOUND_BYTES, INBOUND_END, INBOUND_RESIZE, INBOUND_HANG_UP } InboundType;
typedef struct {
  InboundType type;
  guint channel;
  guint16 columns, rows;
  GBytes *bytes;
} Inbound;

static void
inbound_free (gpointer data)
{
  Inbound *inbound = data;
  g_clear_pointer (&inbound->bytes, g_bytes_unref);
  g_free (inbound);
}

/* ---- life ---- */

static HttpSession *
session_alloc (HttpWorker *worker, const HttpSessionOps *ops)
{
  HttpSession *session = g_new0 (HttpSession, 1);
  session->ref_count = 1;
  session->ops = ops;
  session->server = worker->server;
  session->worker = worker;
  session->log = (CubeLogOptions) CUBE_LOG_OPTIONS_INIT;
  session->out = g_byte_array_new ();
  g_mutex_init (&session->lock);
  g_cond_init (&session->room);
  g_queue_init (&session->in);
  http_ws_reader_init (&session->reader);
  return session;
}

HttpSession *
http_session_new (HttpCall *call, const HttpSessionOps *ops)
{
  HttpSession *session = session_alloc (call->worker, ops);
  session->call = call;
  session->msg = g_object_ref (call->msg);
  session->ns = g_strdup (call->url.ns);
  session->pod = g_strdup (call->url.name);
  session->kind = g_strdup (call->sub->name);
  session->container = g_strdup (http_query_get (&call->query, "container"));
  return session;
}

HttpSession *
http_session_new_child (HttpSession *parent, const HttpSessionOps *ops)
{
  HttpSession *session = session_alloc (parent->worker, ops);
  session->parent = http_session_ref (parent);
  session->ns = g_strdup (parent->ns);
  session->pod = g_strdup (parent->pod);
  session->uid = g_strdup (parent->uid);
  session->kind = g_strdup (parent->kind);
  session->node = g_strdup (parent->node);
  session->agent = cube_impl_ref (parent->agent);
  return session;
}

HttpSession *
http_session_ref (HttpSession *session)
{
  g_atomic_int_inc (&session->ref_count);
  return session;
}

void
http_session_unref (HttpSession *session)
{
  if (!g_atomic_int_dec_and_test (&session->ref_count))
    return;
  g_queue_clear_full (&session->in, inbound_free);
  g_byte_array_unref (session->out);
  cube_value_unref (session->status);
  http_ws_reader_clear (&session->reader);
  g_clear_error (&session->error);
  if (session->agent != NULL)
    cube_impl_unref (session->agent);
  if (session->parent != NULL)
    http_session_unref (session->parent);
  g_free (session->ns);
  g_free (session->pod);
  g_free (session->uid);
  g_free (session->container);
  g_free (session->node);
  g_free (session->kind);
  g_free (session->protocol);
  g_free (session->accept);
  g_strfreev (session->command);
  g_mutex_clear (&session->lock);
  g_cond_clear (&session->room);
  g_free (session);
}

static void
unref_task (gpointer data)
{
  http_session_unref (data);
}

/* ---- from the agent ---- */

/* The connection it writes to; NULL = gone. */
static HttpStream *
target (HttpSession *session)
{
  return session->is_closed ? NULL : session->parent != NULL ? session->parent->stream : session->stream;
}

/* On the loop: what has come out goes to the client, as far as it takes it. */
static void
flush (gpointer data)
{
  HttpSession *session = data;
  g_autoptr (GByteArray) out = NULL;
  g_mutex_lock (&session->lock);
  session->is_posted = FALSE;
  gboolean is_free = session->is_open && target (session) != NULL && http_stream_queued (target (session)) == 0;
  if (is_free && session->out->len > 0)
    {
      out = session->out;
      session->out = g_byte_array_new ();
      g_cond_broadcast (&session->room);
    }
  gboolean is_ended = session->is_ended && session->out->len == 0;
  g_mutex_unlock (&session->lock);
  if (!is_free)
    return;
  if (out != NULL)
    http_session_write (session, out);
  if (!is_ended || target (session) == NULL)
    return;
  g_autoptr (GByteArray) tail = g_byte_array_new ();
  session->ops->append_end (session, tail, session->status);
  http_session_write (session, tail);
  http_session_close (session);
}

void
http_session_flush (HttpSession *session)
{
  flush (session);
}

static void
post_flush (HttpSession *session)
{
  if (session->is_posted || !session->is_open)
    return;
  session->is_posted = TRUE;
  cube_loop_post (session->worker->loop, flush, http_session_ref (session), unref_task);
}

static gboolean
sink_data (gpointer sink, guint channel, const void *bytes, gsize length)
{
  HttpSession *session = sink;
  g_mutex_lock (&session->lock);
  while (session->out->len > OUT_LIMIT && !session->is_gone)
    g_cond_wait (&session->room, &session->lock);
  gboolean is_wanted = !session->is_gone;
  if (is_wanted && length > 0)
    {
      session->ops->append (session, session->out, channel, bytes, length);
      post_flush (session);
    }
  g_mutex_unlock (&session->lock);
  return is_wanted;
}

static void
sink_closed (gpointer sink, CubeValue *status)
{
  HttpSession *session = sink;
  g_mutex_lock (&session->lock);
  if (!session->is_ended)
    {
      session->is_ended = TRUE;
      session->status = status != NULL ? cube_value_ref (status) : NULL;
      post_flush (session);
    }
  g_mutex_unlock (&session->lock);
}

const CubeStreamSinkOps http_session_sink = { .ops_size = sizeof (CubeStreamSinkOps), .data = sink_data, .closed = sink_closed };

/* ---- to the agent ---- */

static void
deliver (HttpSession *session, const Inbound *inbound)
{
  const CubeStreamOps *ops = session->backend.ops;
  gsize length = 0;
  if (ops == NULL)
    return;
  switch (inbound->type)
    {
    case INBOUND_BYTES:
      ops->write (session->backend.stream, inbound->channel, g_bytes_get_data (inbound->bytes, &length), g_bytes_get_size (inbound->bytes),
                  NULL);
      break;
    case INBOUND_END: ops->close_channel (session->backend.stream, inbound->channel); break;
    case INBOUND_RESIZE: ops->resize (session->backend.stream, inbound->columns, inbound->rows); break;
    case INBOUND_HANG_UP:
      ops->close (session->backend.stream);
      session->backend.ops = NULL;
      break;
    }
}

static void
release_held (gpointer data)
{
  HttpSession *session = data;
  g_mutex_lock (&session->lock);
  gboolean is_free = session->is_held && session->in_bytes < IN_LIMIT / 2;
  if (is_free)
    session->is_held = FALSE;
  g_mutex_unlock (&session->lock);
  if (is_free && target (session) != NULL)
    http_stream_hold (target (session), FALSE);
}

/* One job at a time hands the client's bytes on; it may block in the agent. */
static void
deliver_work (gpointer data)
{
  HttpSession *session = data;
  g_mutex_lock (&session->lock);
  for (;;)
    {
      Inbound *inbound = g_queue_pop_head (&session->in);
      if (inbound == NULL)
        break;
      gsize length = inbound->bytes != NULL ? g_bytes_get_size (inbound->bytes) : 0;
      /* nobody is there any more: only the hanging up counts */
      gboolean is_dropped = session->is_gone && inbound->type != INBOUND_HANG_UP;
      g_mutex_unlock (&session->lock);
      if (!is_dropped)
        deliver (session, inbound);
      inbound_free (inbound);
      g_mutex_lock (&session->lock);
      session->in_bytes -= length;
      if (session->is_held && session->in_bytes < IN_LIMIT / 2)
        cube_loop_post (session->worker->loop, release_held, http_session_ref (session), unref_task);
    }
  session->is_writing = FALSE;
  g_mutex_unlock (&session->lock);
  http_session_unref (session);
}

static void
push (HttpSession *session, Inbound *inbound)
{
  g_mutex_lock (&session->lock);
  g_queue_push_tail (&session->in, inbound);
  if (inbound->bytes != NULL)
    session->in_bytes += g_bytes_get_size (inbound->bytes);
  gboolean is_full = session->in_bytes > IN_LIMIT && !session->is_held;
  if (is_full)
    session->is_held = TRUE;
  gboolean needs_job = session->is_open && !session->is_writing; /* before the backend is there it waits */
  if (needs_job)
    session->is_writing = TRUE;
  g_mutex_unlock (&session->lock);
  if (is_full && target (session) != NULL)
    http_stream_hold (target (session), TRUE);
  if (needs_job)
    cube_context_run_stream (session->server->context, deliver_work, NULL, NULL, http_session_ref (session));
}

/* What came in before the backend was there. */
static void
start_delivery (HttpSession *session)
{
  g_mutex_lock (&session->lock);
  gboolean needs_job = session->is_open && !session->is_writing && session->in.length > 0;
  if (needs_job)
    session->is_writing = TRUE;
  g_mutex_unlock (&session->lock);
  if (needs_job)
    cube_context_run_stream (session->server->context, deliver_work, NULL, NULL, http_session_ref (session));
}

void
http_session_send (HttpSession *session, guint channel, const void *bytes, gsize length)
{
  Inbound *inbound = g_new0 (Inbound, 1);
  inbound->type = bytes != NULL ? INBOUND_BYTES : INBOUND_END;
  inbound->channel = channel;
  inbound->bytes = bytes != NULL ? g_bytes_new (bytes, length) : NULL;
  push (session, inbound);
}

void
http_session_resize (HttpSession *session, guint16 columns, guint16 rows)
{
  Inbound *inbound = g_new0 (Inbound, 1);
  inbound->type = INBOUND_RESIZE;
  inbound->columns = columns;
  inbound->rows = rows;
  push (session, inbound);
}

/* ---- the connection ---- */

void
http_session_write (HttpSession *session, GByteArray *frames)
{
  HttpStream *stream = target (session);
  if (stream == NULL || frames->len == 0)
    return;
  if (session->parent == NULL || session->parent->is_raw)
    {
      http_stream_write (stream, frames->data, frames->len);
      return;
    }
  g_autoptr (GByteArray) message = g_byte_array_new ();
  http_ws_append (message, HTTP_WS_BINARY, NULL, 0, frames->data, frames->len);
  http_stream_write (stream, message->data, message->len);
}

void
http_session_close (HttpSession *session)
{
  if (session->is_closed)
    return;
  session->is_closed = TRUE;
  HttpStream *stream = g_steal_pointer (&session->stream);
  if (session->ops->ended != NULL)
    session->ops->ended (session);
  g_mutex_lock (&session->lock);
  session->is_gone = TRUE;
  g_cond_broadcast (&session->room);
  gboolean is_writing = session->is_writing;
  g_mutex_unlock (&session->lock);
  /* the hanging up waits behind a write that is under way, which may wait for ever: for a program that reads no input */
  if (is_writing && session->backend.ops != NULL && CUBE_OPS_HAS (session->backend.ops, interrupt))
    session->backend.ops->interrupt (session->backend.stream);
  http_stream_finish (stream);
  if (session->is_open && session->backend.ops != NULL)
    {
      Inbound *inbound = g_new0 (Inbound, 1);
      inbound->type = INBOUND_HANG_UP;
      push (session, inbound);
    }
  if (session->parent == NULL || session->is_open)
    http_session_unref (session);
}

static void
on_received (gpointer owner, const void *bytes, gsize length)
{
  HttpSession *session = owner;
  http_session_ref (session);
  if (session->ops->received != NULL)
    session->ops->received (session, bytes, length);
  http_session_unref (session);
}

static void
on_drained (gpointer owner)
{
  HttpSession *session = owner;
  http_session_ref (session);
  flush (session);
  if (session->ops->drained != NULL)
    session->ops->drained (session);
  http_session_unref (session);
}

static void
on_closed (gpointer owner)
{
  http_session_close (owner);
}

static const HttpStreamOps stream_ops = { .received = on_received, .drained = on_drained, .closed = on_closed };

/* ---- opening ---- */

static gboolean
has_container (CubeView pod_spec, const char *name)
{
  CubeContainerIter iter;
  CubeView container;
  cube_containers_init (&iter, pod_spec, CUBE_CONTAINER_ALL);
  while (cube_containers_next (&iter, &container, NULL, NULL))
    if (g_strcmp0 (cube_view_get_string (container, "name"), name) == 0)
      return TRUE;
  return FALSE;
}

static char *
container_names (CubeView pod_spec, CubeContainerKind kind, guint *ret_n)
{
  GString *out = g_string_new (NULL);
  CubeContainerIter iter;
  CubeView container;
  guint n = 0;
  cube_containers_init (&iter, pod_spec, kind);
  while (cube_containers_next (&iter, &container, NULL, NULL))
    g_string_append_printf (out, "%s%s", n++ > 0 ? " " : "", cube_view_string_or (cube_view_member (container, "name"), ""));
  if (ret_n != NULL)
    *ret_n = n;
  return g_string_free (out, FALSE);
}

static gboolean
choose_container (HttpSession *session, CubeView spec, GError **error)
{
  if (session->container != NULL && *session->container != '\0')
    {
      if (has_container (spec, session->container))
        return TRUE;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "container %s is not valid for pod %s", session->container, session->pod);
      return FALSE;
    }
  guint n, n_init;
  g_autofree char *names = container_names (spec, CUBE_CONTAINER_REGULAR, &n);
  g_autofree char *init_names = container_names (spec, CUBE_CONTAINER_INIT, &n_init);
  if (n == 1)
    {
      g_free (session->container);
      session->container = g_steal_pointer (&names);
      return TRUE;
    }
  g_autofree char *init_text = n_init > 0 ? g_strdup_printf (" or one of the init containers: [%s]", init_names) : g_strdup ("");
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "a container name must be specified for pod %s, choose one of: [%s]%s",
               session->pod, names, init_text);
  return FALSE;
}

static gboolean
look_at_pod (HttpSession *session, GError **error)
{
  const CubeResource *pods = cube_schema_resource (session->server->schema, "v1", "pods");
  g_autoptr (CubeObject) object = cube_client_get (session->server->client, pods, session->ns, session->pod, error);
  if (object == NULL)
    return FALSE;
  g_autoptr (CubeValue) value = cube_object_value (object);
  CubeView spec = cube_value_get (value, "spec");
  const char *node = cube_view_get_string (spec, "nodeName"), *phase = cube_view_string (cube_value_get (value, "status", "phase"));
  gboolean is_log = strcmp (session->kind, "log") == 0;
  session->uid = g_strdup (cube_object_uid (object));
  session->node = g_strdup (node != NULL ? node : "");
  if (strcmp (session->kind, "portforward") != 0 && !choose_container (session, spec, error))
    return FALSE;
  if (!is_log && (g_strcmp0 (phase, "Succeeded") == 0 || g_strcmp0 (phase, "Failed") == 0))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "cannot exec into a container in a completed pod; current phase is %s",
                   phase);
      return FALSE;
    }
  if (*session->node == '\0' && !is_log)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "pod %s does not have a host assigned", session->pod);
      return FALSE;
    }
  return TRUE;
}

static gboolean
find_agent (HttpSession *session, GError **error)
{
  session->agent = cube_registry_lookup (session->server->registry, CUBE_NODE_AGENT, session->node);
  if (session->agent == NULL)
    session->agent = cube_registry_lookup (session->server->registry, CUBE_NODE_AGENT, "*");
  if (session->agent != NULL)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "the agent of node \"%s\" cannot be reached from this server",
               session->node);
  return FALSE;
}

static void
open_work (gpointer data)
{
  HttpSession *session = data;
  if (!look_at_pod (session, &session->error))
    return;
  if (*session->node == '\0') /* not scheduled: an empty log */
    {
      session->is_ended = TRUE;
      return;
    }
  if (find_agent (session, &session->error) && !session->ops->open (session, session->agent->ops, session->agent->state, &session->error)
      && session->error == NULL)
    session->error = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_INTERNAL, "the agent gave no reason");
}

static void
hang_up_work (gpointer data)
{
  HttpSession *session = data;
  g_mutex_lock (&session->lock);
  session->is_gone = TRUE;
  g_cond_broadcast (&session->room);
  g_mutex_unlock (&session->lock);
  session->backend.ops->close (session->backend.stream);
  session->backend.ops = NULL;
  http_session_unref (session);
}

/* The agent has answered: only now is the connection taken over. */
static void
opened (gpointer data)
{
  HttpSession *session = data;
  HttpCall *call = session->call;
  SoupServerMessage *msg = g_steal_pointer (&session->msg);
  session->call = NULL;
  if (session->error != NULL)
    {
      http_respond_error (call, g_steal_pointer (&session->error));
      http_call_finish (call);
      g_object_unref (msg);
      http_session_unref (session);
      return;
    }
  session->call = call;
  g_autofree char *head = session->ops->make_head (session);
  session->call = NULL;
  call->status = strcmp (session->kind, "log") == 0 ? 200 : 101;
  session->stream = http_stream_steal (session->worker, msg, &stream_ops, session);
  g_object_unref (msg);
  if (session->stream == NULL)
    {
      if (session->backend.ops != NULL)
        cube_context_run_blocking (session->server->context, hang_up_work, NULL, NULL, session);
      else
        http_session_unref (session);
      return;
    }
  http_session_ref (session);
  http_stream_write (session->stream, head, strlen (head));
  g_mutex_lock (&session->lock);
  session->is_open = TRUE;
  g_mutex_unlock (&session->lock);
  flush (session);
  http_session_unref (session);
}

/* ---- children ---- */

static void
open_child_work (gpointer data)
{
  HttpSession *session = data;
  if (!session->ops->open (session, session->agent->ops, session->agent->state, &session->error) && session->error == NULL)
    session->error = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_INTERNAL, "the agent gave no reason");
}

static void
child_opened (gpointer data)
{
  HttpSession *session = data;
  if (session->error != NULL && session->status == NULL)
    {
      session->status = cube_error_to_status (session->error);
      session->is_ended = TRUE;
    }
  gboolean is_closed = session->is_closed; /* the client was faster */
  if (is_closed && session->backend.ops != NULL)
    {
      cube_context_run_blocking (session->server->context, hang_up_work, NULL, NULL, session);
      return;
    }
  if (is_closed)
    {
      http_session_unref (session);
      return;
    }
  http_session_ref (session);
  g_mutex_lock (&session->lock);
  session->is_open = TRUE;
  g_mutex_unlock (&session->lock);
  flush (session);
  start_delivery (session);
  http_session_unref (session);
}

void
http_session_start_child (HttpSession *session)
{
  cube_context_run_blocking (session->server->context, open_child_work, session->worker->loop, child_opened, session);
}

void
http_session_start (HttpSession *session)
{
  HttpCall *call = session->call;
  call->is_paused = TRUE;
  soup_server_message_pause (call->msg);
  cube_context_run_blocking (session->server->context, open_work, session->worker->loop, opened, session);
}
