/* SPDX-License-Identifier: Apache-2.0 */
/* From the server to the agent of a pod's node. */
#include "gateway.h"

#include "pki.h"

#include <cube/client.h>
#include <string.h>

#define RENEW_US (24 * 3600 * (gint64) G_USEC_PER_SEC)

/* ---- who we are ---- */

static gboolean
make_credentials (GatewayTo *to, PeerCredentials *credentials, GError **error)
{
  static const char *const organizations[] = { PEER_MASTERS, NULL };
  CubeCertificateRequest request = { .common_name = PEER_SERVER, .organizations = organizations, .is_client = TRUE };
  g_autoptr (GPtrArray) list = cube_registry_list (cube_context_registry (to->context), CUBE_CERTIFICATE_AUTHORITY);
  g_autofree char *authority = NULL, *certificate = NULL, *both = NULL;
  char *key = NULL;

  if (list->len == 0)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "no plugin offers " CUBE_CERTIFICATE_AUTHORITY);
      return FALSE;
    }
  const CubeImpl *impl = list->pdata[0];
  const CubeCertificateAuthorityOps *ops = impl->ops;
  if (!ops->get_ca (impl->state, &authority, error) || !ops->issue (impl->state, &request, &certificate, &key, error))
    return FALSE;
  both = g_strconcat (certificate, "\n", key, NULL);
  pki_wipe (key);
  credentials->authority = g_tls_certificate_new_from_pem (authority, -1, error);
  credentials->identity = credentials->authority != NULL ? g_tls_certificate_new_from_pem (both, -1, error) : NULL;
  pki_wipe (g_steal_pointer (&both));
  return credentials->identity != NULL;
}

/* Made at first use and every day. */
static gboolean
get_credentials (GatewayTo *to, PeerCredentials *ret_credentials, GError **error)
{
  g_auto (PeerCredentials) fresh = { NULL, NULL };
  gint64 now = cube_context_monotonic_us (to->context);
  gboolean ok;

  g_mutex_lock (&to->lock);
  ok = to->credentials.identity != NULL && now - to->made_us < RENEW_US;
  if (!ok && make_credentials (to, &fresh, error))
    {
      peer_credentials_clear (&to->credentials);
      to->credentials = fresh;
      fresh = (PeerCredentials){ NULL, NULL };
      to->made_us = now;
      ok = TRUE;
    }
  if (ok)
    *ret_credentials = (PeerCredentials){ g_object_ref (to->credentials.identity), g_object_ref (to->credentials.authority) };
  g_mutex_unlock (&to->lock);
  return ok;
}

/* ---- where the agent is ---- */

typedef struct {
  char *node, *address;
  guint16 port;
} Place;

static void
place_clear (Place *place)
{
  g_free (place->node);
  g_free (place->address);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Place, place_clear)

static gboolean
read_place (CubeView node, Place *place)
{
  gint64 port = cube_view_get_int (node, 0, "status", "daemonEndpoints", "kubeletEndpoint", "Port");
  CubeIter it;
  CubeView address;

  for (cube_iter_init (&it, cube_view_get (node, "status", "addresses")); cube_iter_next (&it, NULL, &address);)
    if (place->address == NULL && g_strcmp0 (cube_view_get_string (address, "type"), "InternalIP") == 0)
      place->address = g_strdup (cube_view_get_string (address, "address"));
  place->port = (guint16) port;
  return port > 0 && port <= G_MAXUINT16 && place->address != NULL && g_hostname_is_ip_address (place->address);
}

static gboolean
find_place (GatewayTo *to, const char *ns, const char *pod_name, Place *ret_place, GError **error)
{
  CubeClient *client = cube_context_client (to->context);
  CubeSchema *schema = cube_context_schema (to->context);
  g_autoptr (CubeObject) pod = cube_client_get (client, cube_schema_resource (schema, "v1", "pods"), ns, pod_name, error), node = NULL;
  g_autoptr (CubeValue) pod_value = pod != NULL ? cube_object_value (pod) : NULL, value = NULL;
  const char *name = pod_value != NULL ? cube_view_string (cube_value_get (pod_value, "spec", "nodeName")) : NULL;
  g_auto (Place) place = { 0 };

  if (pod == NULL)
    return FALSE;
  node = name != NULL ? cube_client_get (client, cube_schema_resource (schema, "v1", "nodes"), NULL, name, NULL) : NULL;
  value = node != NULL ? cube_object_value (node) : NULL;
  if (value == NULL || !read_place (cube_value_root (value), &place))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "the agent of node \"%s\" cannot be reached from this server",
                   name != NULL ? name : "");
      return FALSE;
    }
  place.node = g_strdup (name);
  *ret_place = place;
  place = (Place){ 0 };
  return TRUE;
}

/* ---- the connection ---- */

typedef struct {
  const char *node;
  GTlsCertificate *authority;
  GError *error;
} Judgement;

/* The agent's certificate says which node it is; its address says nothing. */
static gboolean
on_certificate (GTlsConnection *connection, GTlsCertificate *certificate, GTlsCertificateFlags flags, gpointer data)
{
  Judgement *judgement = data;
  g_autofree char *name = g_strconcat (PEER_NODE_PREFIX, judgement->node, NULL);

  g_clear_error (&judgement->error);
  return peer_check (certificate, judgement->authority, name, PEER_NODES, &judgement->error);
}

static GIOStream *
shake_hands (GatewayTo *to, const Place *place, GSocketConnection *connection, GError **error)
{
  g_auto (PeerCredentials) credentials = { NULL, NULL };
  Judgement judgement = { .node = place->node };
  g_autoptr (GIOStream) tls =
      get_credentials (to, &credentials, error) ? g_tls_client_connection_new (G_IO_STREAM (connection), NULL, error) : NULL;
  gulong handler;
  gboolean ok;

  if (tls == NULL)
    return NULL;
  judgement.authority = credentials.authority;
  g_tls_connection_set_certificate (G_TLS_CONNECTION (tls), credentials.identity);
  g_tls_connection_set_database (G_TLS_CONNECTION (tls), NULL); /* the system's authorities have no say */
  handler = g_signal_connect (tls, "accept-certificate", G_CALLBACK (on_certificate), &judgement);
  ok = g_tls_connection_handshake (G_TLS_CONNECTION (tls), NULL, error);
  g_signal_handler_disconnect (tls, handler);
  if (!ok && judgement.error != NULL)
    {
      g_clear_error (error);
      g_propagate_error (error, g_steal_pointer (&judgement.error));
    }
  g_clear_error (&judgement.error);
  return ok ? g_steal_pointer (&tls) : NULL;
}

static Wire *
dial (GatewayTo *to, const Place *place, GSocket **ret_socket, GError **error)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_autoptr (GSocketConnection) connection = NULL;
  g_autoptr (GIOStream) tls = NULL;

  g_socket_client_set_timeout (client, GATEWAY_TIMEOUT_S);
  g_socket_client_set_enable_proxy (client, FALSE);
  connection = g_socket_client_connect_to_host (client, place->address, place->port, NULL, error);
  tls = connection != NULL ? shake_hands (to, place, connection, error) : NULL;
  if (tls == NULL)
    return NULL;
  *ret_socket = g_socket_connection_get_socket (connection);
  g_socket_set_keepalive (*ret_socket, TRUE);
  return wire_new (to->context, cube_context_get_loop (to->context, "gateway"), tls);
}

/* ---- a stream ---- */

typedef struct {
  Wire *wire;
  const CubeStreamSinkOps *sink_ops;
  gpointer sink;
  char *node;
  gboolean has_status;
} Remote;

static gboolean
on_frame (const WireFrame *frame, gpointer data)
{
  Remote *remote = data;

  if (frame->type == WIRE_DATA)
    return frame->size == 0 || remote->sink_ops->data (remote->sink, frame->channel, frame->payload, frame->size);
  if (frame->type != WIRE_STATUS || remote->has_status)
    return FALSE;
  g_autoptr (CubeValue) status = cube_value_from_json ((const char *) frame->payload, (gssize) frame->size, NULL, NULL);
  if (status == NULL)
    return FALSE;
  remote->has_status = TRUE;
  remote->sink_ops->closed (remote->sink, status);
  return TRUE;
}

static void
on_closed (gpointer data)
{
  Remote *remote = data;

  if (remote->has_status)
    return;
  g_autoptr (GError) error = g_error_new (CUBE_ERROR, CUBE_ERROR_INTERNAL, "the connection to the agent of node %s was lost", remote->node);
  g_autoptr (CubeValue) status = cube_error_to_status (error);
  remote->has_status = TRUE;
  remote->sink_ops->closed (remote->sink, status);
}

static const WireFuncs wire_funcs = { on_frame, on_closed };

static gboolean
remote_write (gpointer stream, guint channel, const void *bytes, gsize length, GError **error)
{
  return wire_send (((Remote *) stream)->wire, WIRE_DATA, channel, bytes, length, error);
}

static void
remote_close_channel (gpointer stream, guint channel)
{
  wire_send (((Remote *) stream)->wire, WIRE_END, channel, NULL, 0, NULL);
}

static void
remote_resize (gpointer stream, guint16 columns, guint16 rows)
{
  const guint8 size[] = { (guint8) (columns >> 8), (guint8) columns, (guint8) (rows >> 8), (guint8) rows };

  wire_send (((Remote *) stream)->wire, WIRE_RESIZE, CUBE_CHANNEL_RESIZE, size, sizeof size, NULL);
}

static void
remote_close (gpointer stream)
{
  Remote *remote = stream;

  wire_close (remote->wire);
  g_free (remote->node);
  g_free (remote);
}

static void
remote_interrupt (gpointer stream)
{
  wire_interrupt (((Remote *) stream)->wire);
}

static const CubeStreamOps remote_ops = { .ops_size = sizeof remote_ops,
                                          .write = remote_write,
                                          .close_channel = remote_close_channel,
                                          .resize = remote_resize,
                                          .close = remote_close,
                                          .interrupt = remote_interrupt };

/* The agent's word on @request: opened, or why not. */
static gboolean
ask (Wire *wire, CubeValue *request, GError **error)
{
  gsize length;
  g_autofree char *text = cube_view_to_json (cube_value_root (request), &length);
  WireFrame frame;

  if (length > WIRE_MAX_PAYLOAD)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE, "a command of %zu bytes, at most %d go to another machine", length,
                   WIRE_MAX_PAYLOAD);
      return FALSE;
    }
  if (!wire_send (wire, WIRE_OPEN, 0, text, length, error) || !wire_receive (wire, &frame, error))
    return FALSE;
  if (frame.type == WIRE_OPENED)
    return TRUE;
  g_autoptr (CubeValue) status =
      frame.type == WIRE_REFUSED ? cube_value_from_json ((const char *) frame.payload, (gssize) frame.size, NULL, NULL) : NULL;
  if (status != NULL)
    g_propagate_error (error, cube_error_from_status (status, (int) cube_view_int (cube_value_get (status, "code"), 500)));
  else
    g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "the agent's answer cannot be read");
  return FALSE;
}

static gboolean
open_stream (GatewayTo *to, const char *ns, const char *pod, CubeBuilder *builder, const CubeStreamSinkOps *sink_ops, gpointer sink,
             CubeStream *ret_stream, GError **error)
{
  g_autoptr (CubeValue) request = cube_builder_end (builder);
  g_auto (Place) place = { 0 };
  g_autoptr (GError) problem = NULL;
  GSocket *socket = NULL;
  Wire *wire;
  Remote *remote;

  if (!find_place (to, ns, pod, &place, error))
    return FALSE;
  wire = dial (to, &place, &socket, &problem);
  if (wire == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "the agent of node \"%s\" at %s port %u cannot be reached: %s",
                   place.node, place.address, place.port, problem->message);
      return FALSE;
    }
  if (!ask (wire, request, error))
    {
      wire_close (wire);
      return FALSE;
    }
  g_socket_set_timeout (socket, 0); /* from here on it may be silent for long */
  remote = g_new0 (Remote, 1);
  *remote = (Remote){ .wire = wire, .sink_ops = sink_ops, .sink = sink, .node = g_strdup (place.node) };
  *ret_stream = (CubeStream){ &remote_ops, remote };
  wire_start (wire, &wire_funcs, remote);
  return TRUE;
}

/* ---- cube.node.Agent ---- */

static CubeMut *
begin (CubeBuilder *builder, const char *verb, const char *ns, const char *pod, const char *uid, const char *container)
{
  CubeMut *root = cube_builder_root (builder);

  cube_mut_set_string (root, "verb", verb);
  cube_mut_set_string (root, "namespace", ns);
  cube_mut_set_string (root, "pod", pod);
  cube_mut_set_string (root, "uid", uid);
  cube_mut_set_string (root, "container", container);
  return root;
}

static gboolean
to_logs (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const CubeLogOptions *options,
         const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = begin (builder, "logs", ns, pod, uid, container);

  cube_mut_set_bool (root, "follow", options->follow);
  cube_mut_set_bool (root, "previous", options->previous);
  cube_mut_set_bool (root, "timestamps", options->timestamps);
  cube_mut_set_int (root, "sinceSeconds", options->since_seconds);
  cube_mut_set_int (root, "sinceTimeMicros", options->since_time_us);
  cube_mut_set_int (root, "tailLines", options->tail_lines);
  cube_mut_set_int (root, "limitBytes", options->limit_bytes);
  return open_stream (state, ns, pod, builder, sink_ops, sink, ret_stream, error);
}

static void
set_channels (CubeMut *root, gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty)
{
  cube_mut_set_bool (root, "stdin", has_stdin);
  cube_mut_set_bool (root, "stdout", has_stdout);
  cube_mut_set_bool (root, "stderr", has_stderr);
  cube_mut_set_bool (root, "tty", tty);
}

static gboolean
to_exec (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const char *const *command,
         gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink,
         CubeStream *ret_stream, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = begin (builder, "exec", ns, pod, uid, container), *list = cube_mut_set_array (root, "command");

  for (; *command != NULL; command++)
    cube_mut_append_string (list, *command);
  set_channels (root, has_stdin, has_stdout, has_stderr, tty);
  return open_stream (state, ns, pod, builder, sink_ops, sink, ret_stream, error);
}

static gboolean
to_attach (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, gboolean has_stdin, gboolean has_stdout,
           gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();

  set_channels (begin (builder, "attach", ns, pod, uid, container), has_stdin, has_stdout, has_stderr, tty);
  return open_stream (state, ns, pod, builder, sink_ops, sink, ret_stream, error);
}

static gboolean
to_port_forward (gpointer state, const char *ns, const char *pod, const char *uid, const guint16 *ports, guint n_ports,
                 const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *list = cube_mut_set_array (begin (builder, "port-forward", ns, pod, uid, NULL), "ports");

  for (guint i = 0; i < n_ports; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u", ports[i]);
      cube_mut_append_string (list, text);
    }
  return open_stream (state, ns, pod, builder, sink_ops, sink, ret_stream, error);
}

const CubeNodeAgentOps gateway_to_ops = {
  .ops_size = sizeof gateway_to_ops, .logs = to_logs, .exec = to_exec, .attach = to_attach, .port_forward = to_port_forward
};
