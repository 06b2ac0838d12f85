/* SPDX-License-Identifier: Apache-2.0 */
/* A request as an HTTP message, and an answer's parts as objects and errors. */
#include "remote-private.h"

/* ---- the URL ---- */

static void
append_segment (GString *url, const char *segment)
{
  g_string_append_c (url, '/');
  g_string_append_uri_escaped (url, segment, NULL, FALSE);
}

static gboolean
is_set (const char *text)
{
  return text != NULL && *text != '\0';
}

static void
append_path (GString *url, const CubeRequest *request)
{
  const CubeResource *resource = request->resource;

  g_string_append (url, *resource->group != '\0' ? "/apis" : "/api");
  if (*resource->group != '\0')
    append_segment (url, resource->group);
  append_segment (url, resource->version);
  if (resource->is_namespaced && is_set (request->ns))
    {
      g_string_append (url, "/namespaces");
      append_segment (url, request->ns);
    }
  append_segment (url, resource->resource);
  if (is_set (request->name))
    append_segment (url, request->name);
  if (is_set (request->subresource))
    append_segment (url, request->subresource);
}

static void
append_query (GString *url, const char *key, const char *value)
{
  g_string_append_c (url, strchr (url->str, '?') != NULL ? '&' : '?');
  g_string_append (url, key);
  g_string_append_c (url, '=');
  g_string_append_uri_escaped (url, value, NULL, FALSE);
}

static void
append_number (GString *url, const char *key, gint64 number)
{
  char text[24];

  g_snprintf (text, sizeof text, "%" G_GINT64_FORMAT, number);
  append_query (url, key, text);
}

static void
append_read_options (GString *url, const CubeRequest *request)
{
  if (is_set (request->resource_version))
    append_query (url, "resourceVersion", request->resource_version);
  if (request->revision_match != CUBE_MATCH_UNSET)
    append_query (url, "resourceVersionMatch", request->revision_match == CUBE_MATCH_EXACT ? "Exact" : "NotOlderThan");
  if (!cube_selector_is_everything (request->labels))
    {
      g_autofree char *text = cube_selector_to_string (request->labels);

      append_query (url, "labelSelector", text);
    }
  if (!cube_selector_is_everything (request->fields))
    {
      g_autofree char *text = cube_selector_to_string (request->fields);

      append_query (url, "fieldSelector", text);
    }
  if (request->limit > 0)
    append_number (url, "limit", request->limit);
  if (is_set (request->continue_token))
    append_query (url, "continue", request->continue_token);
  if (request->verb != CUBE_VERB_WATCH)
    return;
  append_query (url, "watch", "true");
  if (request->send_initial_events)
    append_query (url, "sendInitialEvents", "true");
  if (request->allow_bookmarks)
    append_query (url, "allowWatchBookmarks", "true");
  if (request->timeout_us > 0)
    append_number (url, "timeoutSeconds", MAX (request->timeout_us / G_USEC_PER_SEC, 1));
}

static void
append_write_options (GString *url, CubeClient *client, const CubeRequest *request)
{
  static const char *const validations[] = { NULL, "Ignore", "Warn", "Strict" };
  const char *manager = is_set (request->field_manager) ? request->field_manager : client->field_manager;

  if (request->is_dry_run)
    append_query (url, "dryRun", "All");
  if (request->verb == CUBE_VERB_DELETE || request->verb == CUBE_VERB_DELETE_COLLECTION)
    return;
  if (is_set (manager))
    append_query (url, "fieldManager", manager);
  if (request->force)
    append_query (url, "force", "true");
  if ((guint) request->field_validation < G_N_ELEMENTS (validations) && validations[request->field_validation] != NULL)
    append_query (url, "fieldValidation", validations[request->field_validation]);
}

/* ---- the body ---- */

static char *
delete_options (const CubeRequest *request)
{
  static const char *const policies[] = { NULL, "Orphan", "Background", "Foreground" };
  g_autoptr (CubeBuilder) builder = request->body != NULL ? cube_builder_new_from (cube_value_root (request->body)) : cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  GString *text = g_string_new (NULL);

  cube_mut_set_string (root, "kind", "DeleteOptions");
  cube_mut_set_string (root, "apiVersion", "v1");
  if (request->grace_seconds >= 0 && cube_mut_member (root, "gracePeriodSeconds") == NULL)
    cube_mut_set_int (root, "gracePeriodSeconds", request->grace_seconds);
  if (request->propagation != CUBE_PROPAGATION_DEFAULT && cube_mut_member (root, "propagationPolicy") == NULL)
    cube_mut_set_string (root, "propagationPolicy", policies[request->propagation]);
  if (is_set (request->precondition_uid) && cube_mut_get (root, "preconditions", "uid") == NULL)
    cube_mut_set_string (cube_mut_ensure_object (root, "preconditions"), "uid", request->precondition_uid);
  if (is_set (request->precondition_revision) && cube_mut_get (root, "preconditions", "resourceVersion") == NULL)
    cube_mut_set_string (cube_mut_ensure_object (root, "preconditions"), "resourceVersion", request->precondition_revision);
  cube_mut_append_json (root, text);
  return g_string_free (text, FALSE);
}

static void
set_body (SoupMessage *message, const CubeRequest *request)
{
  static const char *const types[] = { "application/json", "application/json-patch+json", "application/merge-patch+json",
                                       "application/strategic-merge-patch+json", "application/apply-patch+yaml" };
  const char *type = "application/json";
  char *text = NULL;

  if (request->verb == CUBE_VERB_DELETE || request->verb == CUBE_VERB_DELETE_COLLECTION)
    text = delete_options (request);
  else if (request->body != NULL)
    text = cube_view_to_json (cube_value_root (request->body), NULL);
  if (request->verb == CUBE_VERB_PATCH)
    type = types[MIN ((guint) request->patch_type, G_N_ELEMENTS (types) - 1)];
  if (text != NULL)
    {
      g_autoptr (GBytes) bytes = g_bytes_new_take (text, strlen (text));

      soup_message_set_request_body_from_bytes (message, type, bytes);
    }
}

/* ---- who we are, and who they are ---- */

static void
set_token (SoupMessage *message, const CubeKubeconfig *config)
{
  g_autofree char *from_file = NULL, *header = NULL;
  const char *token = config->token;

  if (token == NULL && config->token_file != NULL && g_file_get_contents (config->token_file, &from_file, NULL, NULL))
    token = g_strstrip (from_file);
  if (token == NULL)
    return;
  header = g_strdup_printf ("Bearer %s", token);
  soup_message_headers_replace (soup_message_get_request_headers (message), "Authorization", header);
}

/* The server's certificate is good when one of the cluster's authorities signed it for the host we asked for. */
static gboolean
on_accept_certificate (SoupMessage *message, GTlsCertificate *certificate, GTlsCertificateFlags flags, gpointer data)
{
  const CubeKubeconfig *config = data;
  g_autoptr (GSocketConnectable) identity = NULL;

  if (config->is_insecure)
    return TRUE;
  if (config->authorities->len == 0)
    return flags == 0;
  identity = g_network_address_new (
      config->tls_server_name != NULL ? config->tls_server_name : g_uri_get_host (soup_message_get_uri (message)), 0);
  for (guint i = 0; i < config->authorities->len; i++)
    if (g_tls_certificate_verify (certificate, identity, config->authorities->pdata[i]) == 0)
      return TRUE;
  return FALSE;
}

SoupMessage *
cube_remote_message (CubeClient *client, const CubeRequest *request, GError **error)
{
  static const char *const methods[] = { "GET", "GET", "GET", "POST", "PUT", "PATCH", "DELETE", "DELETE" };
  g_autoptr (CubeKubeconfig) config = cube_remote_config (client->back);
  g_autoptr (GString) url = g_string_new (config->server);
  SoupMessage *message;

  append_path (url, request);
  append_read_options (url, request);
  if (request->verb >= CUBE_VERB_CREATE)
    append_write_options (url, client, request);
  message = soup_message_new (methods[request->verb], url->str);
  if (message == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "no URL can be made of this request: %s", url->str);
      return NULL;
    }
  soup_message_add_flags (message, SOUP_MESSAGE_NO_REDIRECT); /* credentials go nowhere else */
  soup_message_headers_replace (soup_message_get_request_headers (message), "Accept", "application/json");
  set_token (message, config);
  if (config->identity != NULL)
    soup_message_set_tls_client_certificate (message, config->identity);
  g_signal_connect_data (message, "accept-certificate", G_CALLBACK (on_accept_certificate), cube_kubeconfig_ref (config),
                         (GClosureNotify) (void (*) (void)) cube_kubeconfig_unref, 0);
  set_body (message, request);
  return message;
}

/* ---- answers ---- */

GError *
cube_remote_error (guint status, const char *body, gsize length)
{
  static const struct {
    guint status;
    const char *text;
  } fallbacks[] = { { 401, "the server has asked for the client to provide credentials" },
                    { 404, "the server could not find the requested resource" },
                    { 405, "the server does not allow this method on the requested resource" },
                    { 409, "the server reported a conflict" },
                    { 429, "the server has received too many requests and has asked us to try again later" },
                    { 503, "the server is currently unable to handle the request" } };
  g_autoptr (CubeValue) value = length > 0 && *body == '{' ? cube_value_from_json (body, (gssize) length, NULL, NULL) : NULL;

  if (value != NULL && g_strcmp0 (cube_view_string (cube_value_get (value, "kind")), "Status") == 0)
    return cube_error_from_status (value, (int) status);
  for (guint i = 0; i < G_N_ELEMENTS (fallbacks); i++)
    if (fallbacks[i].status == status)
      return g_error_new_literal (CUBE_ERROR, cube_error_code_from_reason (NULL, (int) status), fallbacks[i].text);
  {
    g_autofree char *text = g_utf8_make_valid (body, (gssize) MIN (length, 200));

    return g_error_new (CUBE_ERROR, cube_error_code_from_reason (NULL, (int) status),
                        "an error on the server (\"%s\") has prevented the request from succeeding", text);
  }
}

CubeObject *
cube_remote_object (const CubeResource *resource, CubeView view, GError **error)
{
  g_autoptr (CubeBuilder) builder = NULL;
  g_autoptr (CubeValue) filled = NULL;
  guint64 revision = 0;
  const char *text = cube_view_get_string (view, "metadata", "resourceVersion");

  if (text != NULL)
    g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64, &revision, NULL);
  if (cube_view_string (cube_view_member (view, "kind")) != NULL && cube_view_string (cube_view_member (view, "apiVersion")) != NULL)
    return cube_object_new (view, revision, error);
  builder = cube_builder_new_from (view);
  cube_mut_set_string (cube_builder_root (builder), "kind", resource->kind);
  cube_mut_set_string (cube_builder_root (builder), "apiVersion", resource->api_version);
  filled = cube_builder_end (builder);
  return cube_object_new (cube_value_root (filled), revision, error);
}

GError *
cube_remote_transport_error (CubeRemote *remote, const GError *cause)
{
  g_autoptr (CubeKubeconfig) config = cube_remote_config (remote);

  if (g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_TIMED_OUT))
    return g_error_new (CUBE_ERROR, CUBE_ERROR_TIMEOUT, "%s: %s", config->server, cause->message);
  return g_error_new (CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "%s: %s", config->server, cause->message);
}
