/* SPDX-License-Identifier: Apache-2.0 */
/* exec and attach over SPDY: the client opens a stream for each channel, then the command starts. */
#include "exec.h"
#include "tunnel.h"
#include <frame.h>
#include <string.h>

#define N_CHANNELS 5
#define MAX_RESIZE 1024

typedef struct {
  HttpSession *session; /* towards the agent; what arrives before it is open waits in it */
  GString *resize;      /* a size not yet whole */
  gboolean is_started;
} Command;

/* ---- to the client ---- */

static void
command_append (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length)
{
  if (channel < N_CHANNELS && session->spdy_ids[channel] != 0)
    cube_spdy_write_data (out, session->spdy_ids[channel], bytes, length, FALSE);
}

static void
command_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
  static const CubeChannel order[] = { CUBE_CHANNEL_STDOUT, CUBE_CHANNEL_STDERR, CUBE_CHANNEL_ERROR, CUBE_CHANNEL_STDIN,
                                       CUBE_CHANNEL_RESIZE };
  g_autoptr (GString) text = http_exec_end_text (session, status);
  command_append (session, out, CUBE_CHANNEL_ERROR, text->str, text->len);
  for (guint i = 0; i < G_N_ELEMENTS (order); i++)
    if (session->spdy_ids[order[i]] != 0)
      cube_spdy_write_data (out, session->spdy_ids[order[i]], (const guint8 *) "", 0, TRUE);
}

/* The command's end is the connection's. */
static void
command_ended (HttpSession *session)
{
  http_session_close (session->parent);
}

static const HttpSessionOps command_ops = {
  .open = http_exec_open, .append = command_append, .append_end = command_append_end, .ended = command_ended
};

/* ---- streams ---- */

static gboolean
is_wanted (const HttpSession *session, guint channel)
{
  switch (channel)
    {
    case CUBE_CHANNEL_STDIN: return session->has_stdin;
    case CUBE_CHANNEL_STDOUT: return session->has_stdout;
    case CUBE_CHANNEL_STDERR: return session->has_stderr;
    case CUBE_CHANNEL_ERROR: return TRUE;
    default: return session->tty && session->version >= 3;
    }
}

static gboolean
command_take (HttpTunnel *tunnel, guint32 stream, GHashTable *headers, guint32 *ret_status)
{
  static const char *const names[N_CHANNELS] = { "stdin", "stdout", "stderr", "error", "resize" };
  Command *command = tunnel->streams;
  const char *type = g_hash_table_lookup (headers, "streamtype");
  for (guint channel = 0; channel < N_CHANNELS; channel++)
    {
      if (g_strcmp0 (type, names[channel]) != 0 || command->session->spdy_ids[channel] != 0 || !is_wanted (command->session, channel))
        continue;
      command->session->spdy_ids[channel] = stream;
      return TRUE;
    }
  return FALSE;
}

static void
command_taken (HttpTunnel *tunnel, guint32 stream)
{
  Command *command = tunnel->streams;
  for (guint channel = 0; channel < N_CHANNELS; channel++)
    if (command->session->spdy_ids[channel] == 0 && is_wanted (command->session, channel))
      return;
  if (command->is_started)
    return;
  command->is_started = TRUE;
  http_session_start_child (http_session_ref (command->session));
}

/* Sizes are JSON objects, one a line. */
static void
take_sizes (Command *command, const guint8 *bytes, gsize length)
{
  g_string_append_len (command->resize, (const char *) bytes, (gssize) MIN (length, MAX_RESIZE));
  char *end;
  while ((end = memchr (command->resize->str, '\n', command->resize->len)) != NULL)
    {
      gsize size = (gsize) (end - command->resize->str);
      http_exec_resize (command->session, command->resize->str, size);
      g_string_erase (command->resize, 0, (gssize) size + 1);
    }
  if (command->resize->len > MAX_RESIZE)
    g_string_truncate (command->resize, 0);
}

static void
command_data (HttpTunnel *tunnel, guint32 stream, const guint8 *bytes, gsize length, gboolean is_fin)
{
  Command *command = tunnel->streams;
  const guint32 *ids = command->session->spdy_ids;
  if (stream == ids[CUBE_CHANNEL_RESIZE])
    take_sizes (command, bytes, length);
  if (stream != ids[CUBE_CHANNEL_STDIN])
    return;
  if (length > 0)
    http_session_send (command->session, CUBE_CHANNEL_STDIN, bytes, length);
  if (is_fin)
    http_session_send (command->session, CUBE_CHANNEL_STDIN, NULL, 0);
}

static void
command_reset (HttpTunnel *tunnel, guint32 stream)
{
  command_data (tunnel, stream, NULL, 0, TRUE);
}

/* ---- life ---- */

static gpointer
command_create (HttpTunnel *tunnel)
{
  Command *command = g_new0 (Command, 1);
  HttpSession *parent = tunnel->session, *session = http_session_new_child (parent, &command_ops);
  session->container = g_strdup (parent->container);
  session->command = g_strdupv (parent->command);
  session->has_stdin = parent->has_stdin;
  session->has_stdout = parent->has_stdout;
  session->has_stderr = parent->has_stderr;
  session->tty = parent->tty;
  session->version = parent->version;
  command->session = session;
  command->resize = g_string_new (NULL);
  return command;
}

static void
command_drained (HttpTunnel *tunnel)
{
  http_session_flush (((Command *) tunnel->streams)->session);
}

static void
command_close (HttpTunnel *tunnel)
{
  http_session_close (((Command *) tunnel->streams)->session);
}

static void
command_free (gpointer streams)
{
  Command *command = streams;
  http_session_unref (command->session);
  g_string_free (command->resize, TRUE);
  g_free (command);
}

const HttpTunnelOps http_tunnel_command = {
  .create = command_create,
  .take = command_take,
  .taken = command_taken,
  .data = command_data,
  .reset = command_reset,
  .drained = command_drained,
  .close = command_close,
  .free = command_free,
};
