/* SPDX-License-Identifier: Apache-2.0 */
#include "streaming.h"

#include <cube/error.h>
#include <string.h>

#include "cube-spdy.h"

#define EXEC_PROTOCOL "v4.channel.k8s.io"
#define FORWARD_PROTOCOL "portforward.k8s.io"
#define MAX_STATUS_BYTES 65536
#define MAX_PORTS 64
#define NO_STREAM G_MAXUINT

/* One exec, attach or port-forward.  Streams of the connection are counted in
 * the order they are opened; channels are Cube's. */
typedef struct {
  const CubeStreamSinkOps *sink_ops;
  gpointer sink;
  CubeSpdy *spdy;
  GArray *channels;   /* (element-type guint) of each stream */
  GByteArray *status; /* what came on the error channel */
  gboolean is_forward;
  gboolean status_has_ended; /* … and it was all */
} Session;

/* -- the executor: the socket on the plugin's loop, the work on the workers */

typedef struct {
  void (*work) (gpointer data);
  gpointer data;
} Job;

static void
run_job (gpointer data)
{
  Job *job = data;

  job->work (job->data);
  g_free (job);
}

static void
run_blocking (gpointer executor, void (*work) (gpointer data), gpointer data)
{
  Job *job = g_new (Job, 1);

  job->work = work;
  job->data = data;
  cube_context_run_stream (executor, run_job, NULL, NULL, job);
}

/* -- from the runtime */

static guint
channel_of (const Session *self, guint stream)
{
  return g_array_index (self->channels, guint, stream);
}

static gboolean
on_data (guint stream, const guint8 *bytes, gsize size, gpointer data)
{
  Session *self = data;
  guint channel = channel_of (self, stream);

  if (self->is_forward || channel != CUBE_CHANNEL_ERROR)
    return self->sink_ops->data (self->sink, channel, bytes, size);
  if (self->status->len + size > MAX_STATUS_BYTES)
    return FALSE;
  g_byte_array_append (self->status, bytes, (guint) size);
  return TRUE;
}

static void
on_ended (guint stream, gboolean is_reset, gpointer data)
{
  Session *self = data;

  if (!self->is_forward && channel_of (self, stream) == CUBE_CHANNEL_ERROR && !is_reset)
    self->status_has_ended = TRUE;
}

static CubeValue *
make_success (void)
{
  return cube_value_from_json ("{\"metadata\":{},\"status\":\"Success\"}", -1, NULL, NULL);
}

static CubeValue *
make_failure (const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_INTERNAL, message);

  return cube_error_to_status (error);
}

/* What the runtime says of the end; older protocols say nothing of a success. */
static CubeValue *
read_status (Session *self, const GError *error)
{
  g_autoptr (GError) parse_error = NULL;
  CubeValue *status;

  if (self->status->len == 0)
    {
      if (self->is_forward ? error == NULL : self->status_has_ended)
        return make_success ();
      return make_failure (error != NULL ? error->message : "the stream ended without a status");
    }
  status = cube_value_from_json ((const char *) self->status->data, (gssize) self->status->len, NULL, &parse_error);
  if (status != NULL && cube_view_get_string (cube_value_root (status), "status") != NULL)
    return status;
  cube_value_unref (status);
  return make_failure ("the runtime's status of the stream is no Status object");
}

static void
on_closed (const GError *error, gpointer data)
{
  Session *self = data;
  CubeValue *status = read_status (self, error);

  self->sink_ops->closed (self->sink, status);
  cube_value_unref (status);
}

static const CubeSpdyFuncs spdy_funcs = { on_data, on_ended, on_closed };

/* -- to the runtime */

static guint
stream_of (const Session *self, guint channel)
{
  for (guint i = 0; i < self->channels->len; i++)
    if (channel_of (self, i) == channel)
      return i;
  return NO_STREAM;
}

static gboolean
session_write (gpointer stream, guint channel, const void *bytes, gsize length, GError **error)
{
  Session *self = stream;
  guint index = stream_of (self, channel);

  if (index == NO_STREAM)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "channel %u is not open", channel);
      return FALSE;
    }
  return cube_spdy_write (self->spdy, index, bytes, length, error);
}

static void
session_close_channel (gpointer stream, guint channel)
{
  Session *self = stream;
  guint index = stream_of (self, channel);

  if (index != NO_STREAM)
    cube_spdy_finish (self->spdy, index);
}

static void
session_resize (gpointer stream, guint16 columns, guint16 rows)
{
  Session *self = stream;
  guint index = self->is_forward ? NO_STREAM : stream_of (self, CUBE_CHANNEL_RESIZE);
  g_autofree char *size = NULL;

  if (index == NO_STREAM)
    return;
  size = g_strdup_printf ("{\"Width\":%u,\"Height\":%u}\n", columns, rows);
  cube_spdy_write (self->spdy, index, (const guint8 *) size, strlen (size), NULL);
}

static void
session_interrupt (gpointer stream)
{
  cube_spdy_interrupt (((Session *) stream)->spdy);
}

/* A closing from within the sink leaves the session to the call it is in. */
static void
session_close (gpointer stream)
{
  Session *self = stream;

  cube_spdy_close (self->spdy);
  g_array_unref (self->channels);
  g_byte_array_unref (self->status);
  g_free (self);
}

static const CubeStreamOps session_ops = {
  .ops_size = sizeof (CubeStreamOps),
  .write = session_write,
  .close_channel = session_close_channel,
  .resize = session_resize,
  .close = session_close,
  .interrupt = session_interrupt,
};

/* -- beginning */

static void
open_stream (Session *self, guint channel, const char *type)
{
  const char *const headers[] = { "streamType", type, NULL };

  cube_spdy_open (self->spdy, headers);
  g_array_append_val (self->channels, channel);
}

static Session *
session_new (Cri *cri, CubeGrpcMessage *answer, const char *protocol, const CubeStreamSinkOps *sink_ops, gpointer sink, GError **error)
{
  const Cri__StreamingResponse *response = (const Cri__StreamingResponse *) answer;
  CubeSpdyExecutor executor = {
    .main_context = cube_loop_get_main_context (cube_context_get_loop (cri->context, "cri")),
    .run_blocking = run_blocking,
    .executor = cri->context,
  };
  g_autoptr (GError) own_error = NULL;
  CubeSpdy *spdy = cube_spdy_connect (response->url, protocol, &executor, NULL, &own_error);
  Session *self;

  if (spdy == NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, own_error->message);
      return NULL;
    }
  self = g_new0 (Session, 1);
  self->spdy = spdy;
  self->sink_ops = sink_ops;
  self->sink = sink;
  self->channels = g_array_new (FALSE, FALSE, sizeof (guint));
  self->status = g_byte_array_new ();
  return self;
}

static void
session_begin (Session *self, CubeStream *ret_stream)
{
  ret_stream->ops = &session_ops;
  ret_stream->stream = self;
  cube_spdy_start (self->spdy, &spdy_funcs, self);
}

/* The error stream comes first: the server waits for it before all else. */
static gboolean
begin_remote_command (Cri *cri, CubeGrpcMessage *answer, const gboolean *has_channel, gboolean tty, const CubeStreamSinkOps *sink_ops,
                      gpointer sink, CubeStream *ret_stream, GError **error)
{
  Session *self = session_new (cri, answer, EXEC_PROTOCOL, sink_ops, sink, error);

  if (self == NULL)
    return FALSE;
  open_stream (self, CUBE_CHANNEL_ERROR, "error");
  if (has_channel[CUBE_CHANNEL_STDIN])
    open_stream (self, CUBE_CHANNEL_STDIN, "stdin");
  if (has_channel[CUBE_CHANNEL_STDOUT])
    open_stream (self, CUBE_CHANNEL_STDOUT, "stdout");
  if (has_channel[CUBE_CHANNEL_STDERR] && !tty)
    open_stream (self, CUBE_CHANNEL_STDERR, "stderr");
  if (tty)
    open_stream (self, CUBE_CHANNEL_RESIZE, "resize");
  session_begin (self, ret_stream);
  return TRUE;
}

gboolean
cri_exec (gpointer state, const char *id, const char *const *command, gboolean has_stdin, gboolean has_stdout, gboolean has_stderr,
          gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  const gboolean has_channel[] = { has_stdin, has_stdout, has_stderr };
  Cri__ExecRequest request = CRI__EXEC_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;

  request.container_id = cri_text (id);
  request.cmd = cri_texts (command, &request.n_cmd);
  request.tty = tty;
  request.stdin_ = has_stdin;
  request.stdout_ = has_stdout;
  request.stderr_ = has_stderr && !tty;
  answer = cri_call (state, CRI_EXEC, &request.base, CRI_TIMEOUT_MS, NULL, error);
  return answer != NULL && begin_remote_command (state, answer, has_channel, tty, sink_ops, sink, ret_stream, error);
}

gboolean
cri_attach (gpointer state, const char *id, gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty,
            const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  const gboolean has_channel[] = { has_stdin, has_stdout, has_stderr };
  Cri__AttachRequest request = CRI__ATTACH_REQUEST__INIT;
  g_autoptr (CubeGrpcMessage) answer = NULL;

  request.container_id = cri_text (id);
  request.tty = tty;
  request.stdin_ = has_stdin;
  request.stdout_ = has_stdout;
  request.stderr_ = has_stderr && !tty;
  answer = cri_call (state, CRI_ATTACH, &request.base, CRI_TIMEOUT_MS, NULL, error);
  return answer != NULL && begin_remote_command (state, answer, has_channel, tty, sink_ops, sink, ret_stream, error);
}

/* A port's two streams, by the number of the request they make. */
static void
open_port (Session *self, guint request, guint16 port)
{
  g_autofree char *port_text = g_strdup_printf ("%u", port);
  g_autofree char *request_text = g_strdup_printf ("%u", request);
  guint data_channel = 2 * request, error_channel = 2 * request + 1;
  const char *headers[] = { "streamType", "error", "port", port_text, "requestID", request_text, NULL };
  guint stream = cube_spdy_open (self->spdy, headers);

  g_array_append_val (self->channels, error_channel);
  cube_spdy_finish (self->spdy, stream);
  headers[1] = "data";
  cube_spdy_open (self->spdy, headers);
  g_array_append_val (self->channels, data_channel);
}

gboolean
cri_port_forward (gpointer state, const char *sandbox_id, const guint16 *ports, guint n_ports, const CubeStreamSinkOps *sink_ops,
                  gpointer sink, CubeStream *ret_stream, GError **error)
{
  Cri__PortForwardRequest request = CRI__PORT_FORWARD_REQUEST__INIT;
  gint32 numbers[MAX_PORTS];
  g_autoptr (CubeGrpcMessage) answer = NULL;
  Session *self;

  if (n_ports == 0 || n_ports > MAX_PORTS)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%u ports, wanted 1 to %d", n_ports, MAX_PORTS);
      return FALSE;
    }
  for (guint i = 0; i < n_ports; i++)
    numbers[i] = ports[i];
  request.pod_sandbox_id = cri_text (sandbox_id);
  request.port = numbers;
  request.n_port = n_ports;
  answer = cri_call (state, CRI_PORT_FORWARD, &request.base, CRI_TIMEOUT_MS, NULL, error);
  if (answer == NULL)
    return FALSE;
  self = session_new (state, answer, FORWARD_PROTOCOL, sink_ops, sink, error);
  if (self == NULL)
    return FALSE;
  self->is_forward = TRUE;
  for (guint i = 0; i < n_ports; i++)
    open_port (self, i, ports[i]);
  session_begin (self, ret_stream);
  return TRUE;
}
