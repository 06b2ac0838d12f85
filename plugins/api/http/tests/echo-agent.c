/* SPDX-License-Identifier: Apache-2.0 */
/* A node's agent without containers, for tests of the streams: its id is the node "echo".
 *   exec cat          standard input comes back, ends with it
 *   exec exit N       ends with that code
 *   exec big N        N KiB of output
 *   exec size         says terminal sizes as they come
 *   exec deaf         reads no input: who writes waits until interrupted; its closing is counted as test_echo_deaf_closed_total
 *   logs              "line 0" … as many as tailLines (default 3), then waits when following
 *   port-forward      what comes in goes back in upper case; port 9 is refused */
#include <cube/cube.h>
#include <string.h>

typedef struct {
  gint ref_count;
  CubeContext *context;
  const CubeStreamSinkOps *sink_ops;
  gpointer sink;
  GMutex lock;
  GCond cond;
  gboolean is_closed, is_interrupted, is_upper, is_cat, is_size, is_deaf;
  guint kib, lines, code;
} Echo;

static void
echo_unref (Echo *echo)
{
  if (!g_atomic_int_dec_and_test (&echo->ref_count))
    return;
  g_mutex_clear (&echo->lock);
  g_cond_clear (&echo->cond);
  g_free (echo);
}

static gboolean
emit (Echo *echo, guint channel, const void *bytes, gsize length)
{
  g_mutex_lock (&echo->lock);
  gboolean is_fine = !echo->is_closed && echo->sink_ops->data (echo->sink, channel, bytes, length);
  g_mutex_unlock (&echo->lock);
  return is_fine;
}

static void
end (Echo *echo, guint code)
{
  g_autofree char *text =
      code == 0
          ? g_strdup ("{\"metadata\":{},\"status\":\"Success\"}")
          : g_strdup_printf ("{\"metadata\":{},\"status\":\"Failure\",\"message\":\"command terminated with non-zero exit code\","
                             "\"reason\":\"NonZeroExitCode\",\"details\":{\"causes\":[{\"reason\":\"ExitCode\",\"message\":\"%u\"}]}}",
                             code);
  g_autoptr (CubeValue) status = cube_value_from_json (text, -1, NULL, NULL);
  g_mutex_lock (&echo->lock);
  if (!echo->is_closed)
    echo->sink_ops->closed (echo->sink, status);
  g_mutex_unlock (&echo->lock);
}

static gboolean
echo_write (gpointer stream, guint channel, const void *bytes, gsize length, GError **error)
{
  Echo *echo = stream;
  if (echo->is_upper)
    {
      g_autofree char *upper = g_ascii_strup (bytes, (gssize) length);
      return emit (echo, channel, upper, length);
    }
  g_mutex_lock (&echo->lock);
  while (echo->is_deaf && !echo->is_interrupted)
    g_cond_wait (&echo->cond, &echo->lock);
  g_mutex_unlock (&echo->lock);
  return !echo->is_cat || emit (echo, CUBE_CHANNEL_STDOUT, bytes, length);
}

static void
echo_close_channel (gpointer stream, guint channel)
{
  Echo *echo = stream;
  if (echo->is_cat || echo->is_upper)
    end (echo, 0);
}

static void
echo_resize (gpointer stream, guint16 columns, guint16 rows)
{
  Echo *echo = stream;
  g_autofree char *text = g_strdup_printf ("%ux%u\n", columns, rows);
  if (echo->is_size)
    emit (echo, CUBE_CHANNEL_STDOUT, text, strlen (text));
}

static void
echo_interrupt (gpointer stream)
{
  Echo *echo = stream;
  g_mutex_lock (&echo->lock);
  echo->is_interrupted = TRUE;
  g_cond_broadcast (&echo->cond);
  g_mutex_unlock (&echo->lock);
}

static void
echo_close (gpointer stream)
{
  Echo *echo = stream;
  if (echo->is_deaf)
    cube_metric_add ("test_echo_deaf_closed_total", NULL, 1);
  g_mutex_lock (&echo->lock);
  echo->is_closed = TRUE;
  g_mutex_unlock (&echo->lock);
  echo_unref (echo);
}

static const CubeStreamOps stream_ops = { .ops_size = sizeof stream_ops,
                                          .write = echo_write,
                                          .close_channel = echo_close_channel,
                                          .resize = echo_resize,
                                          .close = echo_close,
                                          .interrupt = echo_interrupt };

static void
work (gpointer data)
{
  Echo *echo = data;
  char block[1024];
  memset (block, 'x', sizeof block);
  gboolean is_fine = TRUE;
  for (guint i = 0; i < echo->kib && is_fine; i++)
    is_fine = emit (echo, CUBE_CHANNEL_STDOUT, block, sizeof block);
  for (guint i = 0; i < echo->lines && is_fine; i++)
    {
      g_autofree char *line = g_strdup_printf ("line %u\n", i);
      is_fine = emit (echo, CUBE_CHANNEL_STDOUT, line, strlen (line));
    }
  if (!echo->is_cat && !echo->is_size && !echo->is_upper)
    end (echo, echo->code);
  echo_unref (echo);
}

static Echo *
begin (gpointer state, const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream)
{
  Echo *echo = g_new0 (Echo, 1);
  echo->ref_count = 2;
  echo->context = state;
  echo->sink_ops = sink_ops;
  echo->sink = sink;
  g_mutex_init (&echo->lock);
  g_cond_init (&echo->cond);
  ret_stream->ops = &stream_ops;
  ret_stream->stream = echo;
  return echo;
}

static gboolean
agent_logs (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const CubeLogOptions *options,
            const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  if (options->previous)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "previous terminated container \"%s\" in pod \"%s\" not found", container,
                   pod);
      return FALSE;
    }
  Echo *echo = begin (state, sink_ops, sink, ret_stream);
  echo->lines = options->tail_lines >= 0 ? (guint) options->tail_lines : 3;
  echo->is_size = options->follow; /* stays open */
  cube_context_run_blocking (echo->context, work, NULL, NULL, echo);
  return TRUE;
}

static gboolean
agent_exec (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const char *const *command,
            gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink,
            CubeStream *ret_stream, GError **error)
{
  Echo *echo = begin (state, sink_ops, sink, ret_stream);
  echo->is_cat = strcmp (command[0], "cat") == 0 && has_stdin;
  echo->is_deaf = strcmp (command[0], "deaf") == 0;
  echo->is_size = echo->is_deaf || strcmp (command[0], "size") == 0;
  guint number = command[1] != NULL ? (guint) g_ascii_strtoull (command[1], NULL, 10) : 0;
  echo->kib = strcmp (command[0], "big") == 0 ? number : 0;
  echo->code = strcmp (command[0], "exit") == 0 ? number : 0;
  cube_context_run_blocking (echo->context, work, NULL, NULL, echo);
  return TRUE;
}

static gboolean
agent_port_forward (gpointer state, const char *ns, const char *pod, const char *uid, const guint16 *ports, guint n_ports,
                    const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  if (ports[0] == 9)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "connection refused");
      return FALSE;
    }
  Echo *echo = begin (state, sink_ops, sink, ret_stream);
  echo->is_upper = TRUE;
  cube_context_run_blocking (echo->context, work, NULL, NULL, echo);
  return TRUE;
}

static const CubeNodeAgentOps agent_ops = {
  .ops_size = sizeof agent_ops, .logs = agent_logs, .exec = agent_exec, .port_forward = agent_port_forward
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_NODE_AGENT, CUBE_NODE_AGENT_VERSION, "echo", agent_ops), { 0 } };

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  *ret_state = context;
  return TRUE;
}

CUBE_PLUGIN_DEFINE (.name = "test-echo-agent", .version = "1", .description = "streams for tests", .license = "Apache-2.0", .impls = impls,
                    .load = load);
