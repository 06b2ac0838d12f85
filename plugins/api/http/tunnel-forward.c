/* SPDX-License-Identifier: Apache-2.0 */
/* port-forward over SPDY: each forwarded connection is a pair of streams, data and error. */
#include "tunnel.h"
#include <frame.h>
#include <string.h>

#define MAX_STREAMS 512

typedef struct {
  char *request_id;
  guint32 data_id, error_id; /* 0 = not there yet */
  guint16 port;
  HttpSession *session; /* NULL before both streams are there */
} Pair;

typedef struct {
  GHashTable *streams; /* id → Pair */
  GPtrArray *pairs;
} Forward;

static void
pair_free (gpointer data)
{
  Pair *pair = data;
  if (pair->session != NULL)
    {
      http_session_close (pair->session);
      http_session_unref (pair->session);
    }
  g_free (pair->request_id);
  g_free (pair);
}

/* ---- one forwarded connection ---- */

static gboolean
pair_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error)
{
  return agent->port_forward (state, session->ns, session->pod, session->uid, session->ports, 1, &http_session_sink, session,
                              &session->backend, error);
}

static void
pair_append (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length)
{
  cube_spdy_write_data (out, session->spdy_ids[channel == 0 ? 0 : CUBE_CHANNEL_ERROR], bytes, length, FALSE);
}

static void
pair_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
  const char *failure = "";
  if (status != NULL && g_strcmp0 (cube_view_string (cube_value_get (status, "status")), "Success") != 0)
    failure = cube_view_string_or (cube_value_get (status, "message"), "port-forward failed");
  cube_spdy_write_data (out, session->spdy_ids[CUBE_CHANNEL_ERROR], (const guint8 *) failure, strlen (failure), TRUE);
  cube_spdy_write_data (out, session->spdy_ids[0], (const guint8 *) "", 0, TRUE);
}

static const HttpSessionOps pair_ops = { .open = pair_open, .append = pair_append, .append_end = pair_append_end };

static void
start_pair (HttpTunnel *tunnel, Pair *pair)
{
  HttpSession *session = http_session_new_child (tunnel->session, &pair_ops);
  session->ports[0] = pair->port;
  session->n_ports = 1;
  session->spdy_ids[0] = pair->data_id;
  session->spdy_ids[CUBE_CHANNEL_ERROR] = pair->error_id;
  pair->session = http_session_ref (session);
  http_session_start_child (session);
}

/* ---- streams ---- */

static Pair *
find_pair (Forward *forward, const char *request_id, guint16 port)
{
  for (guint i = 0; i < forward->pairs->len; i++)
    if (strcmp (((Pair *) forward->pairs->pdata[i])->request_id, request_id) == 0)
      return forward->pairs->pdata[i];
  Pair *pair = g_new0 (Pair, 1);
  pair->request_id = g_strdup (request_id);
  pair->port = port;
  g_ptr_array_add (forward->pairs, pair);
  return pair;
}

static gboolean
forward_take (HttpTunnel *tunnel, guint32 stream, GHashTable *headers, guint32 *ret_status)
{
  Forward *forward = tunnel->streams;
  const char *type = g_hash_table_lookup (headers, "streamtype"), *port_text = g_hash_table_lookup (headers, "port");
  const char *request_id = g_hash_table_lookup (headers, "requestid");
  guint64 port;
  gboolean is_error = g_strcmp0 (type, "error") == 0;
  if (g_hash_table_contains (forward->streams, GUINT_TO_POINTER (stream)) || g_hash_table_size (forward->streams) >= MAX_STREAMS
      || port_text == NULL || !g_ascii_string_to_unsigned (port_text, 10, 1, G_MAXUINT16, &port, NULL)
      || (!is_error && g_strcmp0 (type, "data") != 0))
    return FALSE;
  /* clients without request ids open the error stream, then the data stream next to it */
  g_autofree char *derived = request_id == NULL ? g_strdup_printf ("%u", is_error ? stream : stream - 2) : NULL;
  Pair *pair = find_pair (forward, request_id != NULL ? request_id : derived, (guint16) port);
  guint32 *slot = is_error ? &pair->error_id : &pair->data_id;
  if (*slot != 0)
    {
      *ret_status = CUBE_SPDY_PROTOCOL_ERROR;
      return FALSE;
    }
  *slot = stream;
  g_hash_table_insert (forward->streams, GUINT_TO_POINTER (stream), pair);
  return TRUE;
}

static void
forward_taken (HttpTunnel *tunnel, guint32 stream)
{
  Forward *forward = tunnel->streams;
  Pair *pair = g_hash_table_lookup (forward->streams, GUINT_TO_POINTER (stream));
  if (pair->data_id != 0 && pair->error_id != 0)
    start_pair (tunnel, pair);
}

static void
forward_reset (HttpTunnel *tunnel, guint32 stream)
{
  Forward *forward = tunnel->streams;
  Pair *pair = g_hash_table_lookup (forward->streams, GUINT_TO_POINTER (stream));
  if (pair == NULL)
    return;
  g_hash_table_remove (forward->streams, GUINT_TO_POINTER (pair->data_id));
  g_hash_table_remove (forward->streams, GUINT_TO_POINTER (pair->error_id));
  g_ptr_array_remove_fast (forward->pairs, pair);
}

static void
forward_data (HttpTunnel *tunnel, guint32 stream, const guint8 *bytes, gsize length, gboolean is_fin)
{
  Forward *forward = tunnel->streams;
  Pair *pair = g_hash_table_lookup (forward->streams, GUINT_TO_POINTER (stream));
  if (pair == NULL || pair->session == NULL || stream != pair->data_id)
    return;
  if (length > 0)
    http_session_send (pair->session, 0, bytes, length);
  if (is_fin)
    http_session_send (pair->session, 0, NULL, 0);
}

/* ---- life ---- */

static gpointer
forward_create (HttpTunnel *tunnel)
{
  Forward *forward = g_new0 (Forward, 1);
  forward->streams = g_hash_table_new (NULL, NULL);
  forward->pairs = g_ptr_array_new_with_free_func (pair_free);
  return forward;
}

static void
each_session (HttpTunnel *tunnel, void (*func) (HttpSession *session))
{
  Forward *forward = tunnel->streams;
  for (guint i = 0; i < forward->pairs->len; i++)
    {
      Pair *pair = forward->pairs->pdata[i];
      if (pair->session != NULL)
        func (pair->session);
    }
}

static void
forward_drained (HttpTunnel *tunnel)
{
  each_session (tunnel, http_session_flush);
}

static void
forward_close (HttpTunnel *tunnel)
{
  each_session (tunnel, http_session_close);
}

static void
forward_free (gpointer streams)
{
  Forward *forward = streams;
  g_hash_table_unref (forward->streams);
  g_ptr_array_unref (forward->pairs);
  g_free (forward);
}

const HttpTunnelOps http_tunnel_forward = {
  .create = forward_create,
  .take = forward_take,
  .taken = forward_taken,
  .data = forward_data,
  .reset = forward_reset,
  .drained = forward_drained,
  .close = forward_close,
  .free = forward_free,
};
