/* SPDX-License-Identifier: Apache-2.0 */
/* pods/log: a plain text answer, chunk by chunk as the agent gives it. */
#include "session.h"
#include <string.h>

static gboolean
log_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error)
{
  if (!CUBE_OPS_HAS (agent, logs))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED, "the agent of node \"%s\" has no logs", session->node);
      return FALSE;
    }
  return agent->logs (state, session->ns, session->pod, session->uid, session->container, &session->log, &http_session_sink, session,
                      &session->backend, error);
}

static char *
log_make_head (HttpSession *session)
{
  GString *head = g_string_new ("HTTP/1.1 200 OK\r\n");
  SoupMessageHeadersIter iter;
  const char *name, *value;
  soup_message_headers_iter_init (&iter, soup_server_message_get_response_headers (session->call->msg));
  while (soup_message_headers_iter_next (&iter, &name, &value))
    g_string_append_printf (head, "%s: %s\r\n", name, value);
  g_string_append (head, "Content-Type: text/plain\r\nConnection: close\r\n");
  g_string_append (head, session->is_plain ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
  return g_string_free (head, FALSE);
}

static void
log_append (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length)
{
  char head[24];
  if (session->is_plain)
    {
      g_byte_array_append (out, bytes, (guint) length);
      return;
    }
  int n = g_snprintf (head, sizeof head, "%" G_GSIZE_MODIFIER "x\r\n", length);
  g_byte_array_append (out, (const guint8 *) head, (guint) n);
  g_byte_array_append (out, bytes, (guint) length);
  g_byte_array_append (out, (const guint8 *) "\r\n", 2);
}

static void
log_append_end (HttpSession *session, GByteArray *out, const CubeValue *status)
{
  if (!session->is_plain)
    g_byte_array_append (out, (const guint8 *) "0\r\n\r\n", 5);
}

static const HttpSessionOps log_ops = { .open = log_open, .make_head = log_make_head, .append = log_append, .append_end = log_append_end };

/* ---- options ---- */

static gboolean
invalid (const char *field, const char *body, GError **error)
{
  GError *own = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "PodLogOptions \"\" is invalid: %s: %s", field, body);
  cube_error_set_object (own, NULL, "PodLogOptions", NULL);
  cube_error_add_cause (own, g_str_has_prefix (body, "Forbidden") ? "FieldValueForbidden" : "FieldValueInvalid", field, "%s", body);
  g_propagate_error (error, own);
  return FALSE;
}

static gboolean
read_number (const HttpQuery *query, const char *field, gint64 least, gint64 *ret_value, GError **error)
{
  if (!http_query_int (query, field, -1, ret_value, error))
    return FALSE;
  const char *text = http_query_get (query, field);
  if (text == NULL || *text == '\0' || *ret_value >= least)
    return TRUE;
  g_autofree char *body =
      g_strdup_printf ("Invalid value: %" G_GINT64_FORMAT ": must be greater than %s0", *ret_value, least == 0 ? "or equal to " : "");
  return invalid (field, body, error);
}

static gboolean
read_options (const HttpQuery *query, CubeLogOptions *options, GError **error)
{
  options->follow = http_query_bool (query, "follow");
  options->previous = http_query_bool (query, "previous");
  options->timestamps = http_query_bool (query, "timestamps");
  options->insecure = http_query_bool (query, "insecureSkipTLSVerifyBackend");
  if (!read_number (query, "tailLines", 0, &options->tail_lines, error)
      || !read_number (query, "limitBytes", 1, &options->limit_bytes, error)
      || !read_number (query, "sinceSeconds", 1, &options->since_seconds, error))
    return FALSE;
  const char *since = http_query_get (query, "sinceTime");
  if (since == NULL || *since == '\0')
    return TRUE;
  if (options->since_seconds >= 0)
    return invalid ("sinceSeconds", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified", error);
  if (cube_time_parse (since, &options->since_time_us))
    return TRUE;
  g_autofree char *shown = g_strescape (since, NULL);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "parsing time \"%s\": wanted RFC 3339", shown);
  return FALSE;
}

void
http_run_stream (HttpCall *call)
{
  GError *error = NULL;
  if (strcmp (call->sub->name, "log") != 0)
    {
      http_run_exec (call);
      return;
    }
  HttpSession *session = http_session_new (call, &log_ops);
  session->is_plain = soup_server_message_get_http_version (call->msg) == SOUP_HTTP_1_0;
  if (read_options (&call->query, &session->log, &error))
    {
      http_session_start (session);
      return;
    }
  http_respond_error (call, error);
  g_clear_object (&session->msg);
  http_session_unref (session);
}
