/* SPDX-License-Identifier: Apache-2.0 */
/* cube.Component "kubernetes-service": default/kubernetes, its Endpoints and EndpointSlice, kept as they should be. */
#include "address.h"
#include "documents.h"
#include "loopcall.h"
#include <cube/client.h>

#define CHECK_US (10 * G_USEC_PER_SEC)
#define ATTEMPTS 3

typedef struct {
  CubeContext *context;
  CubeLoop *loop;
  CubeTimer *timer;
  gboolean is_working; /* on a worker; only the loop writes it */
  gint is_stopping;    /* atomic */
} State;

static const char *const watched[] = { "spec", "subsets", "endpoints", "ports", "addressType", NULL };

/* Everything @wanted says stands in @found the same way (the server's own additions do not matter). */
static gboolean
covers (CubeView found, CubeView wanted)
{
  CubeView value;
  const char *key;
  CubeIter it;
  guint index = 0;

  if (cube_view_type (wanted) == CUBE_VALUE_ARRAY && cube_view_length (found) != cube_view_length (wanted))
    return FALSE;
  if (cube_view_type (wanted) != CUBE_VALUE_ARRAY && cube_view_type (wanted) != CUBE_VALUE_OBJECT)
    return cube_view_equal (found, wanted);
  for (cube_iter_init (&it, wanted); cube_iter_next (&it, &key, &value); index++)
    if (!covers (key != NULL ? cube_view_member (found, key) : cube_view_element (found, index), value))
      return FALSE;
  return TRUE;
}

/* The stored object with @wanted's parts in it. */
static CubeValue *
merge (CubeView found, CubeView wanted)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (found);
  CubeMut *root = cube_builder_root (builder);

  for (guint i = 0; watched[i] != NULL; i++)
    {
      CubeView part = cube_view_member (wanted, watched[i]);

      if (cube_view_type (part) == CUBE_VALUE_OBJECT)
        cube_patch_merge (cube_mut_ensure_object (root, watched[i]), part);
      else if (cube_view_exists (part))
        cube_mut_set_view (root, watched[i], part);
    }
  return cube_builder_end (builder);
}

static gboolean
is_as_wanted (CubeView found, CubeView wanted)
{
  for (guint i = 0; watched[i] != NULL; i++)
    {
      CubeView part = cube_view_member (wanted, watched[i]);

      if (cube_view_exists (part) && !covers (cube_view_member (found, watched[i]), part))
        return FALSE;
    }
  return TRUE;
}

/* Blocks on the client. */
static gboolean
ensure (State *state, const char *api_version, const char *plural, CubeValue *wanted, GError **error)
{
  CubeClient *client = cube_context_client (state->context);
  const CubeResource *resource = cube_schema_resource (cube_context_schema (state->context), api_version, plural);
  g_autoptr (GError) local = NULL;
  g_autoptr (CubeObject) found = cube_client_get (client, resource, "default", "kubernetes", &local), written = NULL;
  g_autoptr (CubeValue) value = NULL, merged = NULL;

  if (found == NULL && !g_error_matches (local, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (found == NULL)
    {
      written = cube_client_create (client, resource, "default", wanted, error);
      return written != NULL;
    }
  value = cube_object_value (found);
  if (is_as_wanted (cube_value_root (value), cube_value_root (wanted)))
    return TRUE;
  merged = merge (cube_value_root (value), cube_value_root (wanted));
  written = cube_client_update (client, resource, NULL, "default", "kubernetes", merged, error);
  return written != NULL;
}

static gboolean
ensure_namespace (State *state, GError **error)
{
  CubeClient *client = cube_context_client (state->context);
  const CubeResource *resource = cube_schema_resource (cube_context_schema (state->context), "v1", "namespaces");
  g_autoptr (CubeObject) found = cube_client_get (client, resource, NULL, "default", NULL), made = NULL;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (GError) local = NULL;

  if (found != NULL)
    return TRUE;
  value = cube_value_from_json ("{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"default\"}}", -1, NULL, NULL);
  made = cube_client_create (client, resource, NULL, value, &local);
  if (made != NULL || g_error_matches (local, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

static gboolean
ensure_all (State *state, GError **error)
{
  g_autofree char *cidr = cube_context_fact (state->context, "service-cidr"),
                  *port_text = cube_context_fact (state->context, "listen-port");
  g_autofree char *advertise = cube_context_fact (state->context, "advertise-address"),
                  *listen = cube_context_fact (state->context, "listen-address");
  g_autofree char *cluster_ip = kubernetes_first_ip (cidr), *address = kubernetes_advertised (advertise, listen);
  guint64 port = port_text != NULL ? g_ascii_strtoull (port_text, NULL, 10) : 0;
  g_autoptr (CubeValue) service = NULL, endpoints = NULL, slice = NULL;

  if (cluster_ip == NULL || port == 0 || port > G_MAXUINT16)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "service range %s, API port %s: wanted an IPv4 range and a port",
                   cidr != NULL ? cidr : "unset", port_text != NULL ? port_text : "unset");
      return FALSE;
    }
  service = kubernetes_service (cluster_ip, (guint16) port);
  endpoints = kubernetes_endpoints (address, (guint16) port);
  slice = kubernetes_slice (address, (guint16) port);
  return ensure_namespace (state, error) && ensure (state, "v1", "services", service, error)
         && ensure (state, "v1", "endpoints", endpoints, error) && ensure (state, "discovery.k8s.io/v1", "endpointslices", slice, error);
}

/* Others may write the same objects meanwhile: look again. */
static gboolean
ensure_all_patiently (State *state, GError **error)
{
  for (guint i = 0;; i++)
    {
      g_autoptr (GError) local = NULL;

      if (ensure_all (state, &local))
        return TRUE;
      if (i + 1 < ATTEMPTS
          && (g_error_matches (local, CUBE_ERROR, CUBE_ERROR_CONFLICT) || g_error_matches (local, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS)))
        continue;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
}

/* ---- now and then ---- */

static void check (gpointer data);

static void
check_work (gpointer data)
{
  State *state = data;
  g_autoptr (GError) error = NULL;

  if (g_atomic_int_get (&state->is_stopping) == 0 && !ensure_all_patiently (state, &error))
    g_message ("service default/kubernetes: %s; again in %d s", error->message, (int) (CHECK_US / G_USEC_PER_SEC));
}

static void
check_done (gpointer data)
{
  State *state = data;

  state->is_working = FALSE;
  if (g_atomic_int_get (&state->is_stopping) == 0)
    state->timer = cube_loop_after (state->loop, CHECK_US, check, state, NULL);
}

static void
check (gpointer data)
{
  State *state = data;

  cube_timer_cancel (g_steal_pointer (&state->timer));
  state->is_working = TRUE;
  cube_context_run_blocking (state->context, check_work, state->loop, check_done, state);
}

static void
start_timer (gpointer data)
{
  State *state = data;

  state->timer = cube_loop_after (state->loop, CHECK_US, check, state, NULL);
}

static gboolean
kubernetes_start (gpointer data, GError **error)
{
  State *state = data;

  if (!ensure_all_patiently (state, error))
    return FALSE;
  state->loop = cube_context_get_loop (state->context, "services");
  g_atomic_int_set (&state->is_stopping, 0);
  loopcall_sync (state->loop, start_timer, state);
  return TRUE;
}

static void
cancel_timer (gpointer data)
{
  State *state = data;

  cube_timer_cancel (g_steal_pointer (&state->timer));
}

static void
read_working (gpointer data)
{
  gpointer *pair = data;

  *(gboolean *) pair[1] = ((State *) pair[0])->is_working;
}

static void
kubernetes_stop (gpointer data)
{
  State *state = data;
  gboolean is_working = TRUE;
  gpointer pair[] = { state, &is_working };

  if (state->loop == NULL)
    return;
  g_atomic_int_set (&state->is_stopping, 1);
  loopcall_sync (state->loop, cancel_timer, state);
  while (loopcall_sync (state->loop, read_working, pair), is_working) /* a check under way ends by itself: three small writes at most */
    g_thread_yield ();
}

/* ---- the plugin ---- */

static gboolean
kubernetes_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  State *state = g_new0 (State, 1);

  state->context = context;
  *ret_state = state;
  return TRUE;
}

static const CubeComponentOps component_ops = {
  .ops_size = sizeof component_ops, .role = "api", .order = 12, .start = kubernetes_start, .stop = kubernetes_stop
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "kubernetes-service", component_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "services-kubernetes", .version = "1", .description = "the Service default/kubernetes", .license = "Apache-2.0",
                    .impls = impls, .load = kubernetes_load, .unload = g_free);
