/* SPDX-License-Identifier: Apache-2.0 */
/* The API over HTTPS as a plugin: descriptor, configuration, component. */
#include "http.h"

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  CubeView config = cube_context_config (context);
  HttpServer *server = g_new0 (HttpServer, 1);
  g_mutex_init (&server->lock);
  g_cond_init (&server->cond);
  server->context = context;
  server->registry = cube_context_registry (context);
  server->config = (HttpConfig){
    .max_connections = (gint) cube_view_get_int (config, 8192, "max-connections"),
    .max_in_flight = (gint) cube_view_get_int (config, 400, "max-requests-inflight"),
    .max_mutating = (gint) cube_view_get_int (config, 400, "max-mutating-requests-inflight"),
    .workers = (gint) CLAMP (cube_view_get_int (config, 0, "workers"), 0, 64),
    .header_us = cube_view_get_int (config, 20, "header-timeout-seconds") * G_USEC_PER_SEC,
    .body_us = cube_view_get_int (config, 60, "body-timeout-seconds") * G_USEC_PER_SEC,
    .write_us = cube_view_get_int (config, 60, "write-timeout-seconds") * G_USEC_PER_SEC,
    .idle_us = cube_view_get_int (config, 180, "idle-timeout-seconds") * G_USEC_PER_SEC,
    .use_gzip = cube_view_get_bool (config, TRUE, "gzip"),
  };
  *ret_state = server;
  return TRUE;
}

static void
unload (gpointer state)
{
  HttpServer *server = state;
  if (g_atomic_int_get (&server->n_connections) > 0)
    return; /* a connection in some last write still counts down */
  g_mutex_clear (&server->lock);
  g_cond_clear (&server->cond);
  g_free (server);
}

static gboolean
component_start (gpointer state, GError **error)
{
  return http_server_start (state, error);
}

static void
component_stop (gpointer state)
{
  http_server_stop (state);
}

static gboolean
component_is_ready (gpointer state, char **ret_why)
{
  HttpServer *server = state;
  if (g_atomic_int_get (&server->is_started))
    return TRUE;
  *ret_why = g_strdup ("not listening yet");
  return FALSE;
}

static const CubeComponentOps component_ops = { .ops_size = sizeof (CubeComponentOps),
                                                .role = "api",
                                                .order = 10,
                                                .start = component_start,
                                                .stop = component_stop,
                                                .is_ready = component_is_ready };

static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "api-http", component_ops), { 0 } };

CUBE_PLUGIN_DEFINE (.name = "api-http", .version = "1", .description = "the Kubernetes API over HTTPS", .license = "Apache-2.0",
                    .impls = impls, .load = load, .unload = unload,
                    .config_schema = "workers int 0 worker threads, 0 = one per core up to 8\n"
                                     "max-connections int 8192 open connections\n"
                                     "max-requests-inflight int 400 reads at once\n"
                                     "max-mutating-requests-inflight int 400 writes at once\n"
                                     "header-timeout-seconds int 20 from connect to a complete request head\n"
                                     "body-timeout-seconds int 60 for a request's body\n"
                                     "write-timeout-seconds int 60 without progress on an answer\n"
                                     "idle-timeout-seconds int 180 between requests of a connection\n"
                                     "gzip bool true compress answers above 128 KiB for clients on other machines\n");
