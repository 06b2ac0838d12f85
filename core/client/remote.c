/* SPDX-License-Identifier: Apache-2.0 */
/* The back over HTTP: requests. */
#include "remote-private.h"

#define REQUEST_TIMEOUT_S 65 /* a little more than the server gives itself */
#define MAX_CONNECTIONS 512
#define MAX_PER_HOST 256

static const CubeClientOps remote_ops;

/* One request under way. */
typedef struct {
  CubeRemote *remote;
  SoupMessage *message;
  CubeVerb verb;
  const CubeResource *resource;
  gboolean is_subresource;
  /* the answer */
  CubeResponse *response;
  GError *error;
  /* who waits: a thread … */
  GMutex lock;
  GCond cond;
  gboolean is_waited, is_done;
  /* … or a loop */
  CubeLoop *loop;
  CubeResponseDone done;
  gpointer data;
} Exchange;

/* ---- the back ---- */

CubeRemote *
cube_remote_ref (CubeRemote *remote)
{
  g_atomic_int_inc (&remote->ref_count);
  return remote;
}

static gpointer
back_ref (gpointer back)
{
  return cube_remote_ref (back);
}

static void
free_on_loop (gpointer data)
{
  CubeRemote *remote = data;

  g_clear_object (&remote->requests);
  g_clear_object (&remote->watches);
  cube_kubeconfig_unref (remote->config);
  g_mutex_clear (&remote->lock);
  g_free (remote);
}

void
cube_remote_unref (gpointer back)
{
  CubeRemote *remote = back;

  if (!g_atomic_int_dec_and_test (&remote->ref_count))
    return;
  if (cube_loop_is_current (remote->loop) || (remote->requests == NULL && remote->watches == NULL))
    free_on_loop (remote);
  else
    cube_loop_post (remote->loop, free_on_loop, remote, NULL); /* the sessions are of that thread */
}

CubeKubeconfig *
cube_remote_config (CubeRemote *remote)
{
  CubeKubeconfig *config;

  g_mutex_lock (&remote->lock);
  config = cube_kubeconfig_ref (remote->config);
  g_mutex_unlock (&remote->lock);
  return config;
}

/* On the loop. Connections of the old identity end: requests under way with their answers, watches at once (their owners begin anew). */
static void
drop_sessions (gpointer data)
{
  CubeRemote *remote = data;

  if (remote->watches != NULL)
    soup_session_abort (remote->watches);
  g_clear_object (&remote->watches);
  g_clear_object (&remote->requests);
}

gboolean
cube_client_reload_remote (CubeClient *client, const char *kubeconfig_path, GError **error)
{
  CubeKubeconfig *config = cube_kubeconfig_read (kubeconfig_path, error);
  CubeRemote *remote = client->back;
  CubeKubeconfig *old;

  g_return_val_if_fail (client->ops == &remote_ops, FALSE);
  if (config == NULL)
    return FALSE;
  g_mutex_lock (&remote->lock);
  old = remote->config;
  remote->config = config;
  g_mutex_unlock (&remote->lock);
  cube_kubeconfig_unref (old);
  cube_loop_post (remote->loop, drop_sessions, cube_remote_ref (remote), cube_remote_unref);
  return TRUE;
}

SoupSession *
cube_remote_session (CubeRemote *remote, gboolean is_watch)
{
  SoupSession **session = is_watch ? &remote->watches : &remote->requests;
  g_autoptr (CubeKubeconfig) config = cube_remote_config (remote);

  if (*session != NULL)
    return *session;
  *session = soup_session_new_with_options ("max-conns", MAX_CONNECTIONS, "max-conns-per-host", MAX_PER_HOST, "timeout",
                                            is_watch ? 0 : REQUEST_TIMEOUT_S, "idle-timeout", 90, "proxy-resolver", NULL, "user-agent",
                                            "cube", NULL);
  if (config->authorities->len > 0)
    soup_session_set_tls_database (*session, NULL); /* ours are asked; the system's would cost tens of megabytes */
  return *session;
}

CubeClient *
cube_client_new_remote (CubeContext *context, const char *kubeconfig_path, GError **error)
{
  CubeLoop *loop = cube_context_get_loop (context, "client");
  g_autoptr (CubeKubeconfig) config = NULL;
  CubeRemote *remote;
  g_autoptr (CubeUser) user = NULL;

  if (cube_loop_get_main_context (loop) == NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_NOT_IMPLEMENTED,
                           "a remote client needs a real clock and a network: there is none under simulation");
      return NULL;
    }
  config = cube_kubeconfig_read (kubeconfig_path, error);
  if (config == NULL)
    return NULL;
  user = cube_user_new (config->user != NULL ? config->user : "", NULL, NULL);
  remote = g_new0 (CubeRemote, 1);
  remote->ref_count = 1;
  remote->context = context;
  remote->loop = loop;
  remote->schema = cube_context_schema (context) != NULL ? cube_context_schema (context) : cube_schema_get_default ();
  g_mutex_init (&remote->lock);
  remote->config = g_steal_pointer (&config);
  return cube_client_new (&remote_ops, remote, context, remote->schema, user, "cube");
}

/* ---- answers ---- */

/* Warning: 299 - "text" */
static void
take_warning (const char *name, const char *value, gpointer data)
{
  CubeResponse *response = data;
  g_autoptr (GString) text = NULL;
  const char *at;

  if (g_ascii_strcasecmp (name, "Warning") != 0 || !g_str_has_prefix (value, "299 ") || (at = strchr (value, '"')) == NULL)
    return;
  text = g_string_new (NULL);
  for (at++; *at != '\0' && *at != '"'; at++)
    {
      if (*at == '\\' && at[1] != '\0')
        at++;
      g_string_append_c (text, *at);
    }
  if (response->warnings == NULL)
    response->warnings = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (response->warnings, g_strdup (text->str));
}

static gboolean
take_list (Exchange *exchange, CubeView root)
{
  CubeResponse *response = exchange->response;
  const char *text = cube_view_get_string (root, "metadata", "resourceVersion"),
             *token = cube_view_get_string (root, "metadata", "continue"), *key;
  CubeView item;
  CubeIter it;

  response->objects = g_ptr_array_new_full (cube_view_length (cube_view_member (root, "items")), (GDestroyNotify) cube_object_unref);
  if (text != NULL)
    g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &response->revision, NULL);
  response->continue_token = token != NULL && *token != '\0' ? g_strdup (token) : NULL;
  response->remaining = cube_view_get_int (root, -1, "metadata", "remainingItemCount");
  for (cube_iter_init (&it, cube_view_member (root, "items")); cube_iter_next (&it, &key, &item);)
    {
      CubeObject *object = cube_remote_object (exchange->resource, item, &exchange->error);

      if (object == NULL)
        return FALSE;
      g_ptr_array_add (response->objects, object);
    }
  return TRUE;
}

static void
take_success (Exchange *exchange, CubeValue *value, guint status)
{
  CubeView root = cube_value_root (value);
  const char *kind = cube_view_string_or (cube_view_member (root, "kind"), "");
  gboolean is_delete = exchange->verb == CUBE_VERB_DELETE;

  exchange->response->is_created = status == 201;
  if ((exchange->verb == CUBE_VERB_LIST || exchange->verb == CUBE_VERB_DELETE_COLLECTION) && g_str_has_suffix (kind, "List"))
    {
      take_list (exchange, root);
      return;
    }
  if (!g_str_equal (kind, exchange->resource->kind) || cube_view_get_string (root, "metadata", "name") == NULL)
    {
      exchange->response->value = cube_value_ref (value);
      return;
    }
  exchange->response->object = cube_remote_object (exchange->resource, root, &exchange->error);
  if (is_delete && exchange->response->object != NULL)
    exchange->response->is_deletion_pending = cube_object_deletion_timestamp (exchange->response->object) != NULL;
}

static void
take_answer (Exchange *exchange, GBytes *body)
{
  guint status = soup_message_get_status (exchange->message);
  CubeParseLimits limits = { .max_bytes = G_MAXUINT32, .max_nodes = G_MAXUINT32 };
  g_autoptr (CubeValue) value = NULL;
  gsize length = 0;
  const char *text = g_bytes_get_data (body, &length);

  if (status < 200 || status > 299)
    {
      exchange->error = cube_remote_error (status, text != NULL ? text : "", length);
      return;
    }
  exchange->response = cube_response_new ();
  soup_message_headers_foreach (soup_message_get_response_headers (exchange->message), take_warning, exchange->response);
  value = cube_value_from_json (text, (gssize) length, &limits, &exchange->error);
  if (value != NULL)
    take_success (exchange, value, status);
  else
    g_prefix_error (&exchange->error, "the server's answer cannot be read: ");
}

/* ---- exchanges ---- */

static void
exchange_free (Exchange *exchange)
{
  g_clear_object (&exchange->message);
  cube_response_unref (exchange->response);
  g_clear_error (&exchange->error);
  g_mutex_clear (&exchange->lock);
  g_cond_clear (&exchange->cond);
  cube_remote_unref (exchange->remote);
  g_free (exchange);
}

static void
deliver (gpointer data)
{
  Exchange *exchange = data;
  CubeResponse *response = exchange->error == NULL ? g_steal_pointer (&exchange->response) : NULL;

  exchange->done (response, g_steal_pointer (&exchange->error), exchange->data);
  exchange_free (exchange);
}

static void
finish (Exchange *exchange)
{
  if (!exchange->is_waited)
    {
      cube_loop_post (exchange->loop, deliver, exchange, NULL);
      return;
    }
  g_mutex_lock (&exchange->lock);
  exchange->is_done = TRUE;
  g_cond_signal (&exchange->cond);
  g_mutex_unlock (&exchange->lock);
}

static void
on_answer (GObject *session, GAsyncResult *result, gpointer data)
{
  Exchange *exchange = data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) body = soup_session_send_and_read_finish (SOUP_SESSION (session), result, &error);

  if (body != NULL)
    take_answer (exchange, body);
  else
    exchange->error = cube_remote_transport_error (exchange->remote, error);
  g_clear_object (&exchange->message); /* here, where its session is */
  finish (exchange);
}

static void
begin (gpointer data)
{
  Exchange *exchange = data;

  soup_session_send_and_read_async (cube_remote_session (exchange->remote, FALSE), exchange->message, G_PRIORITY_DEFAULT, NULL, on_answer,
                                    exchange);
}

static Exchange *
exchange_new (CubeClient *client, const CubeRequest *request, GError **error)
{
  SoupMessage *message;
  Exchange *exchange;

  if (request->resource == NULL || request->verb == CUBE_VERB_WATCH || (guint) request->verb >= CUBE_VERB_N)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "request without a resource or with a verb that is not executed");
      return NULL;
    }
  if (request->name == NULL
      && (request->verb == CUBE_VERB_GET || request->verb == CUBE_VERB_UPDATE || request->verb == CUBE_VERB_PATCH
          || request->verb == CUBE_VERB_DELETE))
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "name must be provided"); /* else it would be the collection's URL */
      return NULL;
    }
  message = cube_remote_message (client, request, error);
  if (message == NULL)
    return NULL;
  exchange = g_new0 (Exchange, 1);
  exchange->remote = cube_remote_ref (client->back);
  exchange->message = message;
  exchange->verb = request->verb;
  exchange->resource = request->resource;
  g_mutex_init (&exchange->lock);
  g_cond_init (&exchange->cond);
  return exchange;
}

static CubeResponse *
remote_execute (CubeClient *client, const CubeRequest *request, GError **error)
{
  Exchange *exchange = exchange_new (client, request, error);
  CubeResponse *response = NULL;

  if (exchange == NULL)
    return NULL;
  exchange->is_waited = TRUE;
  cube_loop_post (exchange->remote->loop, begin, exchange, NULL);
  g_mutex_lock (&exchange->lock);
  while (!exchange->is_done)
    g_cond_wait (&exchange->cond, &exchange->lock);
  g_mutex_unlock (&exchange->lock);
  if (exchange->error != NULL)
    g_propagate_error (error, g_steal_pointer (&exchange->error));
  else
    response = g_steal_pointer (&exchange->response);
  exchange_free (exchange);
  return response;
}

static void
remote_execute_async (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeResponseDone done, gpointer data)
{
  GError *error = NULL;
  Exchange *exchange = exchange_new (client, request, &error);

  if (exchange == NULL) /* answered on the loop like everything else */
    {
      exchange = g_new0 (Exchange, 1);
      exchange->remote = cube_remote_ref (client->back);
      exchange->error = error;
      g_mutex_init (&exchange->lock);
      g_cond_init (&exchange->cond);
    }
  exchange->loop = loop;
  exchange->done = done;
  exchange->data = data;
  if (exchange->error != NULL)
    finish (exchange);
  else
    cube_loop_post (exchange->remote->loop, begin, exchange, NULL);
}

/* ---- lists without an index of our own ---- */

static GPtrArray *
remote_list_owned (CubeClient *client, const CubeResource *resource, const char *ns, const char *owner_uid, GError **error)
{
  g_autoptr (GPtrArray) all = cube_client_list (client, resource, ns, NULL, NULL, error);
  GPtrArray *found;

  if (all == NULL)
    return NULL;
  found = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  for (guint i = 0; i < all->len; i++)
    {
      guint n = 0;
      const CubeOwnerRef *owners = cube_object_owners (all->pdata[i], &n);

      for (guint j = 0; j < n; j++)
        if (g_strcmp0 (owners[j].uid, owner_uid) == 0)
          {
            g_ptr_array_add (found, cube_object_ref (all->pdata[i]));
            break;
          }
    }
  return found;
}

static GPtrArray *
remote_list_pods_on (CubeClient *client, const char *node_name, GError **error)
{
  g_autofree char *text = g_strdup_printf ("spec.nodeName=%s", node_name);
  g_autoptr (CubeSelector) fields = cube_selector_parse_fields (text, error);
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;

  if (fields == NULL)
    return NULL;
  request.verb = CUBE_VERB_LIST;
  request.resource = cube_schema_resource (client->schema, "v1", "pods");
  request.fields = fields;
  response = remote_execute (client, &request, error);
  if (response == NULL)
    return NULL;
  return response->objects != NULL ? g_ptr_array_ref (response->objects)
                                   : g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
}

static const CubeClientOps remote_ops = {
  .execute = remote_execute,
  .execute_async = remote_execute_async,
  .watch = cube_remote_watch,
  .list_owned = remote_list_owned,
  .list_pods_on = remote_list_pods_on,
  .peek = NULL,
  .back_ref = back_ref,
  .back_unref = cube_remote_unref,
};
