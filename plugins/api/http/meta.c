/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that are no resources: version, health, metrics, discovery, OpenAPI, OpenID. */
#include "http.h"
#include <string.h>
#include <sys/utsname.h>

typedef void (*PathFunc) (HttpCall *call, const char *rest /* behind the path, without its slash; "" = none */);

static void
not_found (HttpCall *call)
{
  http_respond_plain (call, 404, "404 page not found\n");
}

/* A document already in JSON; NULL = there is none. */
static void
respond_document (HttpCall *call, char *json)
{
  if (json == NULL)
    not_found (call);
  else if (call->format.encoding == HTTP_ENCODING_JSON && !call->format.is_pretty)
    http_respond_text (call, 200, http_format_content_type (&call->format), json, -1);
  else
    {
      http_respond_json (call, 200, g_string_new (json));
      g_free (json);
    }
}

/* ---- version ---- */

static void
run_version (HttpCall *call, const char *rest)
{
  g_autofree char *version = cube_context_fact (call->server->context, "version");
  struct utsname name;
  const char *machine = uname (&name) == 0 ? name.machine : "unknown";
  const char *arch = strcmp (machine, "x86_64") == 0 ? "amd64" : strcmp (machine, "aarch64") == 0 ? "arm64" : machine;
  char *text =
      g_strdup_printf ("{\n  \"major\": \"1\",\n  \"minor\": \"36\",\n  \"emulationMajor\": \"1\",\n  \"emulationMinor\": \"36\",\n"
                       "  \"minCompatibilityMajor\": \"1\",\n  \"minCompatibilityMinor\": \"35\",\n  \"gitVersion\": \"v1.36.2-cube%s\",\n"
                       "  \"gitCommit\": \"\",\n  \"gitTreeState\": \"clean\",\n  \"buildDate\": \"\",\n  \"goVersion\": \"\",\n"
                       "  \"compiler\": \"gcc\",\n  \"platform\": \"linux/%s\"\n}",
                       version != NULL ? version : "", arch);
  http_respond_text (call, 200, "application/json", text, -1);
}

/* ---- health ---- */

typedef struct {
  char *name, *why; /* why NULL = fine */
} Check;

static void
check_free (gpointer data)
{
  Check *check = data;
  g_free (check->name);
  g_free (check->why);
  g_free (check);
}

static void
add_check (GPtrArray *checks, const char *name, char *why)
{
  Check *check = g_new0 (Check, 1);
  check->name = g_strdup (name);
  check->why = why;
  g_ptr_array_add (checks, check);
}

/* Liveness asks this process only; readiness every component that is active here. */
static GPtrArray *
collect_checks (HttpCall *call, gboolean is_readiness)
{
  GPtrArray *checks = g_ptr_array_new_with_free_func (check_free);
  gboolean is_stopping = g_atomic_int_get (&call->server->is_stopping);
  add_check (checks, "ping", NULL);
  add_check (checks, "log", NULL);
  if (!is_readiness)
    return checks;
  g_autoptr (GPtrArray) impls = cube_registry_list (call->server->registry, CUBE_COMPONENT);
  for (guint i = 0; i < impls->len; i++)
    {
      const CubeImpl *impl = impls->pdata[i];
      const CubeComponentOps *ops = impl->ops;
      char *why = NULL;
      if (ops->role != NULL && *ops->role != '\0' && !cube_context_has_role (call->server->context, ops->role))
        continue;
      gboolean is_ready = !CUBE_OPS_HAS (ops, is_ready) || ops->is_ready (impl->state, &why);
      if (is_ready)
        g_clear_pointer (&why, g_free);
      else if (why == NULL)
        why = g_strdup ("not ready");
      add_check (checks, impl->id, why);
    }
  add_check (checks, "shutdown", is_stopping ? g_strdup ("the server is shutting down") : NULL);
  return checks;
}

static gboolean
is_excluded (char **excluded, const char *name)
{
  return g_strv_contains ((const char *const *) excluded, name);
}

static void
respond_all_checks (HttpCall *call, const char *path, GPtrArray *checks)
{
  g_auto (GStrv) excluded = http_query_get_all (&call->query, "exclude");
  g_autoptr (GString) out = g_string_new (NULL);
  gboolean is_failed = FALSE;
  for (guint i = 0; i < checks->len; i++)
    {
      const Check *check = checks->pdata[i];
      if (is_excluded (excluded, check->name))
        g_string_append_printf (out, "[+]%s excluded: ok\n", check->name);
      else if (check->why == NULL)
        g_string_append_printf (out, "[+]%s ok\n", check->name);
      else
        {
          is_failed = TRUE;
          g_string_append_printf (out, "[-]%s failed: %s\n", check->name, check->why);
        }
    }
  g_string_append_printf (out, "%s check %s\n", path + 1, is_failed ? "failed" : "passed");
  if (is_failed)
    http_respond_plain (call, 500, out->str);
  else
    http_respond_plain (call, 200, http_query_get (&call->query, "verbose") != NULL ? out->str : "ok");
}

static void
run_checks (HttpCall *call, const char *path, gboolean is_readiness, const char *rest)
{
  g_autoptr (GPtrArray) checks = collect_checks (call, is_readiness);
  if (*rest == '\0')
    {
      respond_all_checks (call, path, checks);
      return;
    }
  for (guint i = 0; i < checks->len; i++)
    {
      const Check *check = checks->pdata[i];
      if (strcmp (check->name, rest) != 0)
        continue;
      g_autofree char *text = check->why != NULL ? g_strdup_printf ("internal server error: %s\n", check->why) : g_strdup ("ok");
      http_respond_plain (call, check->why != NULL ? 500 : 200, text);
      return;
    }
  not_found (call);
}

static void
run_healthz (HttpCall *call, const char *rest)
{
  run_checks (call, "/healthz", FALSE, rest);
}
static void
run_livez (HttpCall *call, const char *rest)
{
  run_checks (call, "/livez", FALSE, rest);
}
static void
run_readyz (HttpCall *call, const char *rest)
{
  run_checks (call, "/readyz", TRUE, rest);
}

/* ---- metrics ---- */

static void
run_metrics (HttpCall *call, const char *rest)
{
  HttpServer *server = call->server;
  guint streams = 0;
  for (guint i = 0; i < server->workers->len; i++)
    streams += ((HttpWorker *) server->workers->pdata[i])->streams.length;
  cube_metric_set ("cube_http_connections", NULL, g_atomic_int_get (&server->n_connections));
  cube_metric_set ("cube_http_streams", NULL, streams);
  cube_metric_set ("apiserver_current_inflight_requests", "request_kind=\"readOnly\"", g_atomic_int_get (&server->n_reading));
  cube_metric_set ("apiserver_current_inflight_requests", "request_kind=\"mutating\"", g_atomic_int_get (&server->n_mutating));
  GString *out = g_string_sized_new (16384);
  cube_metrics_dump (out);
  gsize length = out->len;
  http_respond_text (call, 200, "text/plain; version=0.0.4; charset=utf-8", g_string_free (out, FALSE), (gssize) length);
}

/* ---- discovery ---- */

static void
respond_aggregated (HttpCall *call, gboolean is_core)
{
  SoupMessageHeaders *headers = soup_server_message_get_response_headers (call->msg);
  char *json = cube_schema_discovery_aggregated (call->server->schema, is_core, "v2");
  soup_message_headers_replace (headers, "Vary", "Accept");
  if (json == NULL)
    {
      not_found (call);
      return;
    }
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA512, json, -1);
  g_autofree char *upper = g_ascii_strup (digest, -1);
  g_autofree char *tag = g_strdup_printf ("\"%s\"", upper);
  soup_message_headers_replace (headers, "ETag", tag);
  if (g_strcmp0 (soup_message_headers_get_one (soup_server_message_get_request_headers (call->msg), "If-None-Match"), tag) == 0)
    {
      g_free (json);
      call->status = 304;
      soup_server_message_set_status (call->msg, 304, NULL);
      return;
    }
  respond_document (call, json);
}

static void
run_api (HttpCall *call, const char *rest)
{
  if (*rest != '\0')
    respond_document (call, strchr (rest, '/') == NULL ? cube_schema_discovery_resources (call->server->schema, "", rest) : NULL);
  else if (call->format.is_aggregated_discovery)
    respond_aggregated (call, TRUE);
  else
    respond_document (call, cube_schema_discovery_api (call->server->schema, call->server->address));
}

static void
run_apis (HttpCall *call, const char *rest)
{
  g_auto (GStrv) parts = g_strsplit (rest, "/", 3);
  guint n = *rest == '\0' ? 0 : g_strv_length (parts);
  if (n == 0 && call->format.is_aggregated_discovery)
    respond_aggregated (call, FALSE);
  else if (n == 0)
    respond_document (call, cube_schema_discovery_groups (call->server->schema));
  else if (n == 1)
    respond_document (call, cube_schema_discovery_group (call->server->schema, parts[0]));
  else
    respond_document (call, n == 2 ? cube_schema_discovery_resources (call->server->schema, parts[0], parts[1]) : NULL);
}

#pragma weak cube_schema_openapi_v2
#pragma weak cube_schema_openapi_v3
#pragma weak cube_schema_openapi_v3_index

/* What Go's clients ask for, with "@" or with "."; not an encoding of objects, so not known to the negotiation. */
static gboolean
wants_openapi_protobuf (HttpCall *call)
{
  const char *accept = soup_message_headers_get_list (soup_server_message_get_request_headers (call->msg), "Accept");
  return accept != NULL && strstr (accept, "application/com.github.proto-openapi.spec.v2") != NULL;
}

static void
run_openapi_v2 (HttpCall *call, const char *rest)
{
  g_autoptr (GBytes) wire = *rest == '\0' && wants_openapi_protobuf (call) ? cube_schema_openapi_v2_protobuf (call->server->schema) : NULL;
  if (wire != NULL)
    {
      gsize length;
      gpointer bytes = g_bytes_unref_to_data (g_steal_pointer (&wire), &length);
      http_respond_text (call, 200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf", bytes, (gssize) length);
      return;
    }
  respond_document (call, *rest == '\0' ? cube_schema_openapi_v2 (call->server->schema) : NULL);
}

static void
run_openapi_v3 (HttpCall *call, const char *rest)
{
  respond_document (call, *rest == '\0' ? cube_schema_openapi_v3_index (call->server->schema)
                                        : cube_schema_openapi_v3 (call->server->schema, rest));
}

/* ---- OpenID: the keys service-account tokens verify with ---- */

static void
respond_issuer (HttpCall *call, gboolean is_keys)
{
  g_autoptr (GPtrArray) impls = cube_registry_list (call->server->registry, CUBE_TOKEN_ISSUER);
  char *json = NULL;
  if (impls->len > 0)
    {
      const CubeImpl *impl = impls->pdata[0];
      const CubeTokenIssuerOps *ops = impl->ops;
      if (is_keys && CUBE_OPS_HAS (ops, get_jwks))
        json = ops->get_jwks (impl->state);
      else if (!is_keys && CUBE_OPS_HAS (ops, get_openid_configuration))
        json = ops->get_openid_configuration (impl->state);
    }
  if (json == NULL)
    not_found (call);
  else
    http_respond_text (call, 200, is_keys ? "application/jwk-set+json" : "application/json", json, -1);
}

static void
run_jwks (HttpCall *call, const char *rest)
{
  if (*rest == '\0')
    respond_issuer (call, TRUE);
  else
    not_found (call);
}

static void
run_openid_configuration (HttpCall *call, const char *rest)
{
  if (*rest == '\0')
    respond_issuer (call, FALSE);
  else
    not_found (call);
}

/* ---- the list of paths ---- */

static const struct {
  const char *path;
  PathFunc run;
} paths[] = {
  { "/.well-known/openid-configuration", run_openid_configuration },
  { "/api", run_api },
  { "/apis", run_apis },
  { "/healthz", run_healthz },
  { "/livez", run_livez },
  { "/metrics", run_metrics },
  { "/openapi/v2", run_openapi_v2 },
  { "/openapi/v3", run_openapi_v3 },
  { "/openid/v1/jwks", run_jwks },
  { "/readyz", run_readyz },
  { "/version", run_version },
};

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static void
run_root (HttpCall *call)
{
  g_autoptr (GPtrArray) all = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    g_ptr_array_add (all, g_strdup (paths[i].path));
  g_autoptr (GPtrArray) resources = cube_schema_list (call->server->schema);
  g_autoptr (GHashTable) seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      gboolean is_core = *resource->group == '\0';
      char *group = is_core ? NULL : g_strdup_printf ("/apis/%s", resource->group);
      if (group != NULL && g_hash_table_add (seen, g_strdup (group)))
        g_ptr_array_add (all, g_strdup (group));
      g_free (group);
      char *version = g_strdup_printf (is_core ? "/api/%s" : "/apis/%s", resource->api_version);
      if (g_hash_table_add (seen, g_strdup (version)))
        g_ptr_array_add (all, g_strdup (version));
      g_free (version);
    }
  g_ptr_array_sort (all, compare_strings);
  GString *json = g_string_new ("{\n  \"paths\": [\n");
  for (guint i = 0; i < all->len; i++)
    g_string_append_printf (json, "    \"%s\"%s\n", (const char *) all->pdata[i], i + 1 < all->len ? "," : "");
  g_string_append (json, "  ]\n}");
  gsize length = json->len;
  http_respond_text (call, 200, "application/json", g_string_free (json, FALSE), (gssize) length);
}

void
http_run_path (HttpCall *call)
{
  const char *path = call->url.path;
  if (strcmp (call->method, "GET") != 0 && strcmp (call->method, "HEAD") != 0)
    {
      http_respond_error (call, http_no_such_method ());
      return;
    }
  if (strcmp (path, "/") == 0)
    {
      run_root (call);
      return;
    }
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      gsize length = strlen (paths[i].path);
      if (strncmp (path, paths[i].path, length) != 0 || (path[length] != '\0' && path[length] != '/'))
        continue;
      paths[i].run (call, path[length] == '/' ? path + length + 1 : "");
      return;
    }
  not_found (call);
}
