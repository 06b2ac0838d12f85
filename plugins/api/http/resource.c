/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for resources: the verb of a method and a path, the body, the request to the pipeline, its answer. */
#include "http.h"
#include <string.h>

GError *
http_no_such_method (void)
{
  GError *error =
      g_error_new_literal (CUBE_ERROR, CUBE_ERROR_METHOD_NOT_ALLOWED, "the server does not allow this method on the requested resource");
  cube_error_set_object (error, "", "", NULL);
  return error;
}

static gboolean
not_allowed (GError **error)
{
  g_propagate_error (error, http_no_such_method ());
  return FALSE;
}

/* FALSE: the method has no meaning there. */
static gboolean
find_verb (HttpCall *call, CubeVerb *ret_verb)
{
  const char *method = call->method;
  gboolean is_named = call->url.name != NULL;
  gboolean is_watch = call->url.is_watch_path || (!is_named && http_query_bool (&call->query, "watch"));
  if (strcmp (method, "GET") == 0 || strcmp (method, "HEAD") == 0)
    *ret_verb = is_watch ? CUBE_VERB_WATCH : is_named ? CUBE_VERB_GET : CUBE_VERB_LIST;
  else if (call->url.is_watch_path)
    return FALSE;
  else if (strcmp (method, "POST") == 0)
    *ret_verb = CUBE_VERB_CREATE;
  else if (strcmp (method, "PUT") == 0)
    *ret_verb = CUBE_VERB_UPDATE;
  else if (strcmp (method, "PATCH") == 0)
    *ret_verb = CUBE_VERB_PATCH;
  else if (strcmp (method, "DELETE") == 0)
    *ret_verb = is_named ? CUBE_VERB_DELETE : CUBE_VERB_DELETE_COLLECTION;
  else
    return FALSE;
  return TRUE;
}

static gboolean
is_stream (const CubeSubresource *sub)
{
  static const char *const streams[] = { "log", "exec", "attach", "portforward", NULL };
  return sub != NULL && g_strv_contains (streams, sub->name);
}

static gboolean
is_proxy (const CubeSubresource *sub)
{
  return sub != NULL && strcmp (sub->name, "proxy") == 0;
}

static gboolean
check_method (HttpCall *call, CubeVerb verb, GError **error)
{
  const CubeResource *resource = call->resource;
  gboolean is_named = call->url.name != NULL;
  gboolean needs_ns = resource->is_namespaced && verb != CUBE_VERB_LIST && verb != CUBE_VERB_WATCH;
  if (call->sub != NULL)
    {
      if (verb == CUBE_VERB_WATCH || !(call->sub->verbs & (1u << verb)))
        return not_allowed (error);
      return TRUE;
    }
  if (!(resource->verbs & (1u << verb)) || (needs_ns && call->url.ns == NULL))
    return not_allowed (error);
  if ((verb == CUBE_VERB_CREATE) == is_named && (verb == CUBE_VERB_CREATE || verb == CUBE_VERB_UPDATE || verb == CUBE_VERB_PATCH))
    return not_allowed (error);
  if ((verb == CUBE_VERB_UPDATE || verb == CUBE_VERB_PATCH) && !is_named)
    return not_allowed (error);
  return TRUE;
}

/* exec, attach and portforward change things by whatever method they come: they need the verb create as well. */
static gboolean
authorize_stream (HttpCall *call, CubeVerb verb, GError **error)
{
  if (call->sub == NULL || strcmp (call->sub->name, "log") == 0 || verb == CUBE_VERB_CREATE)
    return TRUE;
  return http_authorize (call, "create", error);
}

static gboolean
is_write (CubeVerb verb)
{
  return verb == CUBE_VERB_CREATE || verb == CUBE_VERB_UPDATE || verb == CUBE_VERB_PATCH;
}

static gboolean
add_name_selector (HttpCall *call, GError **error)
{
  g_autofree char *text = g_strdup_printf ("metadata.name=%s", call->url.name);
  if (call->request.fields != NULL)
    {
      if (g_strcmp0 (cube_selector_requires (call->request.fields, "metadata.name"), call->url.name) == 0)
        return TRUE;
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "fieldSelector metadata.name doesn't match requested name");
      return FALSE;
    }
  call->request.fields = cube_selector_parse_fields (text, error);
  return call->request.fields != NULL;
}

static gboolean
prepare_patch (HttpCall *call, GError **error)
{
  const char *type = soup_message_headers_get_one (soup_server_message_get_request_headers (call->msg), "Content-Type");
  return http_patch_type (type, call->resource->is_custom, &call->request.patch_type, error);
}

/* Resources that are still served and have a better. Source: the +k8s:prerelease-lifecycle marks of Kubernetes' types. */
static void
warn_of_age (HttpCall *call)
{
  if (*call->resource->group == '\0' && strcmp (call->resource->resource, "endpoints") == 0)
    http_add_warning (soup_server_message_get_response_headers (call->msg),
                      "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice");
}

gboolean
http_prepare_resource (HttpCall *call, GError **error)
{
  CubeRequest *request = &call->request;
  CubeVerb verb;
  if (!find_verb (call, &verb))
    return not_allowed (error);
  call->verb_label = cube_verb_name (verb);
  /* an address that is none is told apart from one that is forbidden only to those who may ask */
  g_autoptr (GError) unknown = NULL;
  call->resource = http_url_resolve (&call->url, call->server->schema, &call->sub, &unknown);
  call->is_long = verb == CUBE_VERB_WATCH || is_stream (call->sub) || is_proxy (call->sub);
  if (!http_authorize (call, cube_verb_name (verb), error))
    return FALSE;
  if (call->resource == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&unknown));
      return FALSE;
    }
  if (!check_method (call, verb, error))
    return FALSE;
  warn_of_age (call);
  request->verb = verb;
  request->resource = call->resource;
  request->subresource = call->sub != NULL ? call->sub->name : "";
  request->ns = call->url.ns;
  request->name = call->url.name;
  request->user = call->user;
  if ((is_stream (call->sub) || is_proxy (call->sub)) && strcmp (call->sub->name, "log") != 0
      && http_query_get (&call->query, "dryRun") != NULL)
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "dryRun is not supported");
      return FALSE;
    }
  if (is_stream (call->sub))
    return authorize_stream (call, verb, error);
  if (is_proxy (call->sub))
    return TRUE;
  if (verb == CUBE_VERB_PATCH && !prepare_patch (call, error))
    return FALSE;
  if (!http_query_apply (&call->query, request, error))
    return FALSE;
  if (is_write (verb) && (request->field_manager == NULL || *request->field_manager == '\0'))
    request->field_manager = call->manager =
        http_manager_of (soup_message_headers_get_one (soup_server_message_get_request_headers (call->msg), "User-Agent"));
  return verb != CUBE_VERB_WATCH || call->url.name == NULL || add_name_selector (call, error);
}

/* ---- bodies ---- */

static char *
summary (const char *data, gsize length)
{
  if (length == 0)
    return g_strdup ("<empty>");
  gsize n = MIN (length, 30);
  GString *out = g_string_new (NULL);
  if (data[0] == '{')
    {
      g_autofree char *valid = g_utf8_make_valid (data, (gssize) n);
      g_string_append (out, valid);
    }
  else
    for (gsize i = 0; i < n; i++)
      g_string_append_printf (out, "%02x", (guchar) data[i]);
  if (length > n)
    g_string_append (out, " ...");
  return g_string_free (out, FALSE);
}

static CubeValue *
parse_yaml (const char *data, gsize length, GError **error)
{
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (data, (gssize) length, NULL, error);
  if (documents == NULL)
    return NULL;
  if (documents->len == 1)
    return cube_value_ref (documents->pdata[0]);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%u YAML documents, expected one", documents->len);
  return NULL;
}

static gboolean
refuse_body (HttpCall *call, const char *data, gsize length, GError *why, GError **error)
{
  CubePatchType patch = call->request.verb == CUBE_VERB_PATCH ? call->request.patch_type : CUBE_PATCH_NONE;
  g_autoptr (GError) cause = why;
  if (patch == CUBE_PATCH_APPLY)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "error decoding YAML: %s", why->message);
  else if (patch != CUBE_PATCH_NONE)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "error decoding patch: %s", why->message);
  else
    {
      gboolean is_delete = call->request.verb == CUBE_VERB_DELETE || call->request.verb == CUBE_VERB_DELETE_COLLECTION;
      const char *kind = is_delete ? "DeleteOptions" : call->sub != NULL ? call->sub->kind : call->resource->kind;
      g_autofree char *shown = summary (data, length);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse error: %s (%s)", kind,
                   why->message, shown);
    }
  return FALSE;
}

static gboolean
read_body (HttpCall *call, GError **error)
{
  CubeRequest *request = &call->request;
  gboolean is_delete = request->verb == CUBE_VERB_DELETE || request->verb == CUBE_VERB_DELETE_COLLECTION;
  if (request->verb == CUBE_VERB_GET || request->verb == CUBE_VERB_LIST)
    return TRUE;
  g_autoptr (GBytes) bytes = soup_message_body_flatten (soup_server_message_get_request_body (call->msg));
  gsize length = 0;
  const char *data = bytes != NULL ? g_bytes_get_data (bytes, &length) : NULL;
  if (length == 0 && is_delete)
    return TRUE;
  HttpEncoding encoding = request->patch_type == CUBE_PATCH_APPLY ? HTTP_ENCODING_YAML : HTTP_ENCODING_JSON;
  const char *type = soup_message_headers_get_one (soup_server_message_get_request_headers (call->msg), "Content-Type");
  if (request->verb != CUBE_VERB_PATCH && !http_body_encoding (type, &encoding, error))
    return FALSE;
  if (encoding == HTTP_ENCODING_YAML && length > 0 && data[0] == '{') /* JSON is YAML, and parsed much faster */
    encoding = HTTP_ENCODING_JSON;
  GError *why = NULL;
  if (length == 0)
    why = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unexpected end of JSON input");
  else if (encoding == HTTP_ENCODING_PROTOBUF)
    call->body = cube_schema_decode_protobuf (data, length, &why);
  else if (encoding == HTTP_ENCODING_YAML)
    call->body = parse_yaml (data, length, &why);
  else
    call->body = cube_value_from_json (data, (gssize) length, NULL, &why);
  /* the parsed form is enough from here on */
  soup_message_body_truncate (soup_server_message_get_request_body (call->msg));
  if (call->body == NULL)
    return refuse_body (call, data, length, why, error);
  request->body = call->body;
  if (!is_delete && request->field_validation != CUBE_VALIDATION_IGNORE)
    request->body_duplicates = call->duplicates = cube_value_duplicate_keys (call->body);
  return TRUE;
}

/* ---- answers ---- */

static void
respond_success (HttpCall *call, guint status)
{
  GString *json = g_string_new ("{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"details\":{");
  if (call->url.name != NULL)
    {
      g_string_append (json, "\"name\":");
      cube_json_append_string (json, call->url.name, -1);
      g_string_append_c (json, ',');
    }
  if (*call->resource->group != '\0')
    g_string_append_printf (json, "\"group\":\"%s\",", call->resource->group);
  g_string_append_printf (json, "\"kind\":\"%s\"}}", call->resource->resource);
  call->format.shape = HTTP_SHAPE_PLAIN;
  http_respond_json (call, status, json);
}

static void
respond_response (HttpCall *call, CubeResponse *response)
{
  guint status = response->is_created || (call->request.verb == CUBE_VERB_CREATE) ? 201 : 200;
  if (response->object != NULL)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeObject) object = call->sub == NULL || call->sub->kind == NULL || g_strcmp0 (call->sub->kind, call->resource->kind) == 0
                                          ? cube_schema_convert (call->resource, response->object, &error)
                                          : cube_object_ref (response->object);
      if (object == NULL)
        http_respond_error (call, g_steal_pointer (&error));
      else
        http_respond_object (call, status, object);
    }
  else if (response->value != NULL && call->format.shape == HTTP_SHAPE_TABLE && call->sub != NULL
           && g_strcmp0 (call->sub->kind, "Scale") == 0)
    {
      GString *json = g_string_new (NULL);
      http_render_scale (cube_value_root (response->value), cube_context_now_us (call->server->context), json);
      http_respond_json (call, status, json);
    }
  else if (response->value != NULL)
    {
      call->format.shape = HTTP_SHAPE_PLAIN;
      http_respond_value (call, status, response->value);
    }
  else
    respond_success (call, status);
}

static void
executed (CubeResponse *response, GError *error, gpointer data)
{
  HttpCall *call = data;
  SoupServerMessage *msg = call->msg;
  call->is_done = TRUE;
  if (response != NULL && response->warnings != NULL)
    for (guint i = 0; i < response->warnings->len && i < 100; i++)
      http_add_warning (soup_server_message_get_response_headers (msg), response->warnings->pdata[i]);
  if (error != NULL)
    http_respond_error (call, error);
  else if (response->objects != NULL)
    http_respond_list (call, cube_response_ref (response));
  else
    respond_response (call, response);
  if (response != NULL)
    cube_response_unref (response);
  http_call_finish (call);
  g_object_unref (msg);
}

void
http_execute (HttpCall *call, CubeResponseDone done)
{
  g_object_ref (call->msg);
  cube_client_execute_async (call->server->client, &call->request, call->worker->loop, done, call);
  if (call->is_done)
    return;
  call->is_paused = TRUE;
  soup_server_message_pause (call->msg);
}

void
http_run_resource (HttpCall *call)
{
  GError *error = NULL;
  if (is_stream (call->sub))
    http_run_stream (call);
  else if (call->request.verb == CUBE_VERB_WATCH)
    http_run_watch (call);
  else if (is_proxy (call->sub))
    http_run_proxy (call);
  else if (!read_body (call, &error))
    http_respond_error (call, error);
  else
    http_execute (call, executed);
}
