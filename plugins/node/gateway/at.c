/* SPDX-License-Identifier: Apache-2.0 */
/* At the agent: the server's connections, each one stream of the agent in this process. */
#include "gateway.h"

#include "loopcall.h"

#include <string.h>

#define MAX_GUESTS 48 /* a worker each while they shake hands, and what the agent itself allows */
#define MAX_PORTS 32

struct _GatewayAt {
  gint ref_count;
  CubeContext *context;
  CubeLoop *loop;
  char *kubeconfig;
  GSocketService *service;
  guint16 port;
  GMutex lock;
  guint n_guests;   /* under lock */
  GPtrArray *wires; /* Guest, under lock: those that run */
  gboolean is_closed;
};

static void
at_unref (GatewayAt *at)
{
  if (!g_atomic_int_dec_and_test (&at->ref_count))
    return;
  g_free (at->kubeconfig);
  g_ptr_array_unref (at->wires);
  g_mutex_clear (&at->lock);
  g_free (at);
}

/* ---- one of them ---- */

typedef struct {
  gint ref_count;
  GatewayAt *at;
  GSocketConnection *connection;
  Wire *wire;
  CubeStream backend;
  GMutex lock;
  GCond changed;
  GThread *opener; /* who opens the backend: what comes out on that thread waits in @early */
  GByteArray *early;
  gboolean is_open, is_over;
} Guest;

static void
guest_unref (Guest *guest)
{
  if (!g_atomic_int_dec_and_test (&guest->ref_count))
    return;
  g_mutex_lock (&guest->at->lock);
  guest->at->n_guests--;
  g_mutex_unlock (&guest->at->lock);
  at_unref (guest->at);
  g_object_unref (guest->connection);
  g_byte_array_unref (guest->early);
  g_mutex_clear (&guest->lock);
  g_cond_clear (&guest->changed);
  g_free (guest);
}

/* Nothing goes out before the answer to the question has. TRUE: now it may; FALSE: it was put aside, or all is over. */
static gboolean
wait_until_open (Guest *guest, WireType type, guint channel, const void *bytes, gsize length)
{
  gboolean may;

  g_mutex_lock (&guest->lock);
  if (!guest->is_open && !guest->is_over && guest->opener == g_thread_self ())
    wire_append (guest->early, type, channel, bytes, length);
  else
    while (!guest->is_open && !guest->is_over)
      g_cond_wait (&guest->changed, &guest->lock);
  may = guest->is_open && !guest->is_over;
  g_mutex_unlock (&guest->lock);
  return may;
}

static gboolean
sink_data (gpointer sink, guint channel, const void *bytes, gsize length)
{
  Guest *guest = sink;

  if (wait_until_open (guest, WIRE_DATA, channel, bytes, length))
    return wire_send (guest->wire, WIRE_DATA, channel, bytes, length, NULL);
  return guest->opener == g_thread_self () && !guest->is_open && !guest->is_over;
}

static void
sink_closed (gpointer sink, CubeValue *status)
{
  Guest *guest = sink;
  gsize length = 2;
  g_autofree char *text = status != NULL ? cube_view_to_json (cube_value_root (status), &length) : g_strdup ("{}");

  if (wait_until_open (guest, WIRE_STATUS, 0, text, MIN (length, WIRE_MAX_PAYLOAD)))
    wire_send (guest->wire, WIRE_STATUS, 0, text, MIN (length, WIRE_MAX_PAYLOAD), NULL);
}

static const CubeStreamSinkOps sink_ops = { .ops_size = sizeof sink_ops, .data = sink_data, .closed = sink_closed };

static gboolean
on_frame (const WireFrame *frame, gpointer data)
{
  Guest *guest = data;
  const CubeStreamOps *ops = guest->backend.ops;
  const guint8 *p = frame->payload;

  if (frame->type == WIRE_DATA)
    return ops->write (guest->backend.stream, frame->channel, p, frame->size, NULL) || TRUE; /* its end is said by the status */
  if (frame->type == WIRE_END)
    ops->close_channel (guest->backend.stream, frame->channel);
  else if (frame->type == WIRE_RESIZE && frame->size == 4)
    ops->resize (guest->backend.stream, (guint16) (p[0] << 8 | p[1]), (guint16) (p[2] << 8 | p[3]));
  else
    return FALSE;
  return TRUE;
}

/* The server has gone, or will hear no more: the stream ends with it. */
static void
on_closed (gpointer data)
{
  Guest *guest = data;
  gboolean was_running;

  g_mutex_lock (&guest->lock);
  guest->is_over = TRUE;
  g_cond_broadcast (&guest->changed);
  g_mutex_unlock (&guest->lock);
  wire_interrupt (guest->wire); /* a sender that waits leaves */
  guest->backend.ops->close (guest->backend.stream);
  g_mutex_lock (&guest->at->lock);
  was_running = g_ptr_array_remove_fast (guest->at->wires, guest);
  g_mutex_unlock (&guest->at->lock);
  wire_close (guest->wire);
  if (was_running)
    guest_unref (guest);
}

static const WireFuncs wire_funcs = { on_frame, on_closed };

/* ---- what is asked for ---- */

static gboolean
open_logs (const CubeImpl *agent, CubeView asked, Guest *guest, GError **error)
{
  const CubeNodeAgentOps *ops = agent->ops;
  CubeLogOptions options = { .follow = cube_view_get_bool (asked, FALSE, "follow"),
                             .previous = cube_view_get_bool (asked, FALSE, "previous"),
                             .timestamps = cube_view_get_bool (asked, FALSE, "timestamps"),
                             .since_seconds = cube_view_get_int (asked, -1, "sinceSeconds"),
                             .since_time_us = cube_view_get_int (asked, 0, "sinceTimeMicros"),
                             .tail_lines = cube_view_get_int (asked, -1, "tailLines"),
                             .limit_bytes = cube_view_get_int (asked, -1, "limitBytes") };

  return ops->logs (agent->state, cube_view_get_string (asked, "namespace"), cube_view_get_string (asked, "pod"),
                    cube_view_get_string (asked, "uid"), cube_view_get_string (asked, "container"), &options, &sink_ops, guest,
                    &guest->backend, error);
}

static gboolean
open_command (const CubeImpl *agent, CubeView asked, gboolean is_exec, Guest *guest, GError **error)
{
  const CubeNodeAgentOps *ops = agent->ops;
  const char *ns = cube_view_get_string (asked, "namespace"), *pod = cube_view_get_string (asked, "pod"),
             *uid = cube_view_get_string (asked, "uid"), *container = cube_view_get_string (asked, "container");
  gboolean in = cube_view_get_bool (asked, FALSE, "stdin"), out = cube_view_get_bool (asked, FALSE, "stdout"),
           err = cube_view_get_bool (asked, FALSE, "stderr"), tty = cube_view_get_bool (asked, FALSE, "tty");
  g_autoptr (GPtrArray) command = g_ptr_array_new ();
  CubeIter it;
  CubeView word;

  if (!is_exec)
    return ops->attach (agent->state, ns, pod, uid, container, in, out, err, tty, &sink_ops, guest, &guest->backend, error);
  for (cube_iter_init (&it, cube_view_member (asked, "command")); cube_iter_next (&it, NULL, &word);)
    g_ptr_array_add (command, (gpointer) cube_view_string_or (word, ""));
  g_ptr_array_add (command, NULL);
  return ops->exec (agent->state, ns, pod, uid, container, (const char *const *) command->pdata, in, out, err, tty, &sink_ops, guest,
                    &guest->backend, error);
}

static gboolean
open_ports (const CubeImpl *agent, CubeView asked, Guest *guest, GError **error)
{
  const CubeNodeAgentOps *ops = agent->ops;
  guint16 ports[MAX_PORTS];
  guint n = 0;
  CubeIter it;
  CubeView port;

  for (cube_iter_init (&it, cube_view_member (asked, "ports")); n < MAX_PORTS && cube_iter_next (&it, NULL, &port);)
    ports[n++] = (guint16) g_ascii_strtoull (cube_view_string_or (port, "0"), NULL, 10);
  return ops->port_forward (agent->state, cube_view_get_string (asked, "namespace"), cube_view_get_string (asked, "pod"),
                            cube_view_get_string (asked, "uid"), ports, n, &sink_ops, guest, &guest->backend, error);
}

static gboolean
open_backend (Guest *guest, const WireFrame *frame, GError **error)
{
  CubeContext *context = guest->at->context;
  const CubeImpl *agent = cube_registry_lookup (cube_context_registry (context), CUBE_NODE_AGENT, cube_context_node_name (context));
  g_autoptr (CubeValue) value = cube_value_from_json ((const char *) frame->payload, (gssize) frame->size, NULL, error);
  CubeView asked = value != NULL ? cube_value_root (value) : cube_view_none ();
  const char *verb = cube_view_string_or (cube_view_member (asked, "verb"), "");
  gboolean ok = FALSE;

  if (value == NULL)
    g_prefix_error (error, "the server's question: ");
  else if (agent == NULL || cube_view_get_string (asked, "namespace") == NULL || cube_view_get_string (asked, "pod") == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                 agent == NULL ? "the agent of this node does not run" : "a question without a pod");
  else if (g_str_equal (verb, "logs"))
    ok = open_logs (agent, asked, guest, error);
  else if (g_str_equal (verb, "exec") || g_str_equal (verb, "attach"))
    ok = open_command (agent, asked, g_str_equal (verb, "exec"), guest, error);
  else if (g_str_equal (verb, "port-forward"))
    ok = open_ports (agent, asked, guest, error);
  else
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "verb \"%.32s\" is unknown", verb);
  if (agent != NULL)
    cube_impl_unref (agent);
  return ok;
}

/* ---- the beginning, on a worker ---- */

typedef struct {
  GTlsCertificate *authority;
} Judge;

static gboolean
on_certificate (GTlsConnection *connection, GTlsCertificate *certificate, GTlsCertificateFlags flags, gpointer data)
{
  g_autoptr (GError) error = NULL;

  if (peer_check (certificate, ((Judge *) data)->authority, PEER_SERVER, PEER_MASTERS, &error))
    return TRUE;
  g_message ("a connection is refused: %s", error->message);
  return FALSE;
}

/* The certificate is read anew each time: it may have been renewed. */
static GIOStream *
shake_hands (Guest *guest, GError **error)
{
  g_auto (PeerCredentials) credentials = { NULL, NULL };
  Judge judge;
  g_autoptr (GIOStream) tls = NULL;
  gulong handler;
  gboolean ok;

  if (!peer_read_kubeconfig (guest->at->kubeconfig, cube_context_node_name (guest->at->context), &credentials, error))
    return NULL;
  tls = g_tls_server_connection_new (G_IO_STREAM (guest->connection), credentials.identity, error);
  if (tls == NULL)
    return NULL;
  judge.authority = credentials.authority;
  g_object_set (tls, "authentication-mode", G_TLS_AUTHENTICATION_REQUIRED, NULL);
  g_tls_connection_set_database (G_TLS_CONNECTION (tls), NULL); /* the system's authorities have no say */
  handler = g_signal_connect (tls, "accept-certificate", G_CALLBACK (on_certificate), &judge);
  ok = g_tls_connection_handshake (G_TLS_CONNECTION (tls), NULL, error);
  g_signal_handler_disconnect (tls, handler);
  if (ok
      && !peer_check (g_tls_connection_get_peer_certificate (G_TLS_CONNECTION (tls)), credentials.authority, PEER_SERVER, PEER_MASTERS,
                      error))
    ok = FALSE;
  return ok ? g_steal_pointer (&tls) : NULL;
}

/* The answer, what came out meanwhile, and from then on everything as it comes. */
static gboolean
say_opened (Guest *guest)
{
  gboolean ok = wire_send (guest->wire, WIRE_OPENED, 0, "{}", 2, NULL);
  WireReader reader = { guest->early, 0 };
  WireFrame frame;

  g_mutex_lock (&guest->lock);
  while (ok && wire_reader_next (&reader, &frame, NULL))
    ok = wire_send (guest->wire, frame.type, frame.channel, frame.payload, frame.size, NULL);
  guest->is_open = TRUE;
  guest->opener = NULL;
  g_cond_broadcast (&guest->changed);
  g_mutex_unlock (&guest->lock);
  return ok;
}

static gboolean
serve (Guest *guest, GError **error)
{
  GSocket *socket = g_socket_connection_get_socket (guest->connection);
  g_autoptr (GIOStream) tls = NULL;
  g_autoptr (GError) problem = NULL;
  WireFrame frame;

  g_socket_set_timeout (socket, GATEWAY_TIMEOUT_S);
  g_socket_set_keepalive (socket, TRUE);
  tls = shake_hands (guest, error);
  if (tls == NULL)
    return FALSE;
  guest->wire = wire_new (guest->at->context, guest->at->loop, tls);
  guest->opener = g_thread_self ();
  if (!wire_receive (guest->wire, &frame, error))
    return FALSE;
  if (frame.type != WIRE_OPEN || !open_backend (guest, &frame, &problem))
    {
      g_autoptr (CubeValue) status = problem != NULL ? cube_error_to_status (problem) : NULL;
      gsize length;
      g_autofree char *text = status != NULL ? cube_view_to_json (cube_value_root (status), &length) : NULL;

      if (text != NULL)
        wire_send (guest->wire, WIRE_REFUSED, 0, text, MIN (length, WIRE_MAX_PAYLOAD), NULL);
      return FALSE;
    }
  g_socket_set_timeout (socket, 0);
  return say_opened (guest) || TRUE; /* a server that has gone meanwhile is noticed by reading */
}

static void
guest_work (gpointer data)
{
  Guest *guest = data;
  g_autoptr (GError) error = NULL;
  gboolean is_wanted;

  if (!serve (guest, &error))
    {
      if (error != NULL)
        g_debug ("a connection ended early: %s", error->message);
      g_mutex_lock (&guest->lock);
      guest->is_over = TRUE;
      g_cond_broadcast (&guest->changed);
      g_mutex_unlock (&guest->lock);
      if (guest->wire != NULL)
        wire_close (guest->wire);
      guest_unref (guest);
      return;
    }
  g_mutex_lock (&guest->at->lock);
  is_wanted = !guest->at->is_closed;
  g_ptr_array_add (guest->at->wires, guest); /* the reference goes along; on_closed takes it out */
  g_mutex_unlock (&guest->at->lock);
  wire_start (guest->wire, &wire_funcs, guest);
  if (!is_wanted)
    wire_interrupt (guest->wire);
}

static gboolean
on_incoming (GSocketService *service, GSocketConnection *connection, GObject *source, gpointer data)
{
  GatewayAt *at = data;
  Guest *guest;
  gboolean may;

  g_mutex_lock (&at->lock);
  may = at->n_guests < MAX_GUESTS && !at->is_closed;
  at->n_guests += may;
  g_mutex_unlock (&at->lock);
  if (!may)
    return TRUE;
  guest = g_new0 (Guest, 1);
  guest->ref_count = 1;
  g_atomic_int_inc (&at->ref_count);
  guest->at = at;
  guest->connection = g_object_ref (connection);
  guest->early = g_byte_array_new ();
  g_mutex_init (&guest->lock);
  g_cond_init (&guest->changed);
  cube_context_run_blocking (at->context, guest_work, NULL, NULL, guest);
  return TRUE;
}

/* ---- listening ---- */

/* Kubernetes' port, or another when somebody has it: the Node says which. */
static gboolean
listen_somewhere (GatewayAt *at, GError **error)
{
  g_autofree char *address = cube_context_fact (at->context, "advertise-address");
  const guint16 ports[] = { GATEWAY_PORT, 0 };

  for (guint i = 0; i < G_N_ELEMENTS (ports); i++)
    {
      g_autoptr (GSocketAddress) wanted = g_inet_socket_address_new_from_string (address != NULL ? address : "0.0.0.0", ports[i]),
                                 got = NULL;
      g_autoptr (GError) problem = NULL;

      if (wanted != NULL
          && g_socket_listener_add_address (G_SOCKET_LISTENER (at->service), wanted, G_SOCKET_TYPE_STREAM, G_SOCKET_PROTOCOL_DEFAULT, NULL,
                                            &got, &problem))
        {
          at->port = g_inet_socket_address_get_port (G_INET_SOCKET_ADDRESS (got));
          return TRUE;
        }
      if (wanted == NULL || ports[i] == 0 || !g_error_matches (problem, G_IO_ERROR, G_IO_ERROR_ADDRESS_IN_USE))
        {
          if (problem != NULL)
            g_propagate_prefixed_error (error, g_steal_pointer (&problem), "streams of pods: ");
          else
            g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "streams of pods: \"%s\" is no address", address);
          return FALSE;
        }
    }
  return FALSE;
}

typedef struct {
  GatewayAt *at;
  GError **error;
  gboolean ok;
} Starting;

/* The service's sources belong to the loop it is made on. */
static void
start_listening (gpointer data)
{
  Starting *starting = data;
  GatewayAt *at = starting->at;
  GMainContext *main_context = cube_loop_get_main_context (at->loop);

  g_main_context_push_thread_default (main_context);
  at->service = g_socket_service_new ();
  starting->ok = listen_somewhere (at, starting->error);
  g_signal_connect (at->service, "incoming", G_CALLBACK (on_incoming), at);
  if (starting->ok)
    g_socket_service_start (at->service);
  g_main_context_pop_thread_default (main_context);
}


GatewayAt *
gateway_at_new (CubeContext *context, const char *kubeconfig, GError **error)
{
  GatewayAt *at = g_new0 (GatewayAt, 1);
  Starting starting = { at, error, FALSE };

  at->ref_count = 1;
  at->context = context;
  at->loop = cube_context_get_loop (context, "gateway");
  at->kubeconfig = g_strdup (kubeconfig);
  at->wires = g_ptr_array_new ();
  g_mutex_init (&at->lock);
  loopcall_sync (at->loop, start_listening, &starting);
  if (starting.ok)
    return at;
  gateway_at_free (at);
  return NULL;
}

guint16
gateway_at_port (GatewayAt *at)
{
  return at->port;
}

static void
stop_listening (gpointer data)
{
  GatewayAt *at = data;

  g_signal_handlers_disconnect_by_data (at->service, at);
  g_socket_service_stop (at->service);
  g_socket_listener_close (G_SOCKET_LISTENER (at->service));
  g_clear_object (&at->service);
}

void
gateway_at_free (GatewayAt *at)
{
  if (at == NULL)
    return;
  loopcall_sync (at->loop, stop_listening, at);
  g_mutex_lock (&at->lock);
  at->is_closed = TRUE;
  for (guint i = 0; i < at->wires->len; i++)
    wire_interrupt (((Guest *) at->wires->pdata[i])->wire);
  g_mutex_unlock (&at->lock);
  at_unref (at);
}
