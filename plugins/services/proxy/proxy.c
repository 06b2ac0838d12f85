/* SPDX-License-Identifier: Apache-2.0 */
/* cube.Component "service-proxy": what the service types say of Services and their endpoints, as packet rules of this node. */
#include "endpoints.h"
#include "fronts.h"
#include "host.h"
#include "loopcall.h"
#include "rules.h"
#include <string.h>

#define RETRY_MIN_US 100000
#define RETRY_MAX_US (10 * G_USEC_PER_SEC)
#define SYNC_POLL_US 5000

typedef struct {
  CubeContext *context;
  CubeLoop *loop;
  CubeInformer *service_informer, *slice_informer, *node_informer;
  CubeRegistryWatch *types_watch;
  GPtrArray *types;      /* (element-type CubeImpl) (nullable) read when needed */
  GHashTable *services;  /* key → CubeObject */
  GHashTable *slices;    /* service key → (slice name → CubeObject) */
  GHashTable *pod_cidrs; /* node name → range */
  GHashTable *dirty;     /* service keys */
  Rules *rules;
  CubeTimer *timer; /* the next flush, when it is not posted */
  gint64 retry_us;
  gboolean is_posted, is_started, are_cidrs_dirty;
  gint is_ready; /* atomic */
} Proxy;

static void flush (gpointer data);

static void
schedule (Proxy *proxy, gint64 delay_us)
{
  if (!proxy->is_started || (proxy->timer != NULL && delay_us == 0 && proxy->retry_us > RETRY_MIN_US))
    return;
  if (delay_us == 0 && proxy->is_posted)
    return;
  cube_timer_cancel (g_steal_pointer (&proxy->timer));
  proxy->is_posted = delay_us == 0;
  proxy->timer = cube_loop_after (proxy->loop, delay_us, flush, proxy, NULL);
}

static void
mark_dirty (Proxy *proxy, const char *key)
{
  g_hash_table_add (proxy->dirty, g_strdup (key));
  schedule (proxy, 0);
}

/* ---- one service ---- */

static gboolean
concerns (const char *implemented, const char *wanted)
{
  if (g_str_equal (implemented, "ClusterIP") || g_str_equal (implemented, wanted))
    return TRUE;
  return g_str_equal (implemented, "NodePort") && g_str_equal (wanted, "LoadBalancer");
}

static void
compile_types (Proxy *proxy, CubeView service, GArray **by_port, guint n, GArray *fronts)
{
  const char *type = cube_view_string_or (cube_view_get (service, "spec", "type"), "ClusterIP"),
             *node = cube_context_node_name (proxy->context);

  if (proxy->types == NULL)
    proxy->types = cube_registry_list (cube_context_registry (proxy->context), CUBE_SERVICE_TYPE);
  for (guint i = 0; i < proxy->types->len; i++)
    {
      const CubeImpl *impl = proxy->types->pdata[i];
      const CubeServiceTypeOps *ops = impl->ops;

      if (concerns (ops->type, type))
        ops->compile (impl->state, service, (const GArray *const *) by_port, n, node, fronts);
    }
}

static GPtrArray *
slices_of (Proxy *proxy, const char *key)
{
  GHashTable *slices = g_hash_table_lookup (proxy->slices, key);
  GPtrArray *values = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  GHashTableIter it;
  gpointer object;

  if (slices == NULL)
    return values;
  for (g_hash_table_iter_init (&it, slices); g_hash_table_iter_next (&it, NULL, &object);)
    g_ptr_array_add (values, cube_object_value (object));
  return values;
}

static void
compile (Proxy *proxy, const char *key)
{
  const CubeObject *object = g_hash_table_lookup (proxy->services, key);
  g_autoptr (CubeValue) value = object != NULL ? cube_object_value (object) : NULL;
  g_autoptr (GPtrArray) slices = NULL;
  g_autoptr (GArray) fronts = NULL;
  GArray **by_port;
  guint n;

  if (value == NULL || !endpoints_is_served (object, cube_value_root (value)))
    {
      rules_set_service (proxy->rules, key, NULL, 0);
      return;
    }
  fronts = g_array_new (FALSE, FALSE, sizeof (CubeFront));
  g_array_set_clear_func (fronts, front_clear);
  slices = slices_of (proxy, key);
  by_port = endpoints_by_port (cube_value_root (value), slices, cube_context_node_name (proxy->context), &n);
  compile_types (proxy, cube_value_root (value), by_port, n, fronts);
  rules_set_service (proxy->rules, key, (const CubeFront *) (void *) fronts->data, fronts->len);
  endpoints_free (by_port, n);
}

/* ---- to the kernel ---- */

static gboolean
has_synced (Proxy *proxy)
{
  return cube_informer_has_synced (proxy->service_informer) && cube_informer_has_synced (proxy->slice_informer)
         && cube_informer_has_synced (proxy->node_informer);
}

static gboolean
write_pod_cidrs (Proxy *proxy, GError **error)
{
  g_autofree char *cluster = cube_context_fact (proxy->context, "cluster-cidr");
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  GHashTableIter it;
  gpointer cidr;

  if (!proxy->are_cidrs_dirty)
    return TRUE;
  if (cluster != NULL && *cluster != '\0')
    g_ptr_array_add (list, cluster);
  for (g_hash_table_iter_init (&it, proxy->pod_cidrs); g_hash_table_iter_next (&it, NULL, &cidr);)
    g_ptr_array_add (list, cidr);
  g_ptr_array_add (list, NULL);
  proxy->are_cidrs_dirty = !rules_set_pod_cidrs (proxy->rules, (const char *const *) list->pdata, error);
  return !proxy->are_cidrs_dirty;
}

static void
on_failure (Proxy *proxy, const GError *error)
{
  g_warning ("%s; all of them again in %" G_GINT64_FORMAT " ms", error->message, proxy->retry_us / 1000);
  cube_context_set_health (proxy->context, FALSE, error->message);
  cube_metric_add ("kubeproxy_sync_proxy_rules_nftables_sync_failures_total", NULL, 1);
  rules_forget_kernel (proxy->rules);
  schedule (proxy, proxy->retry_us);
  proxy->retry_us = MIN (proxy->retry_us * 2, RETRY_MAX_US);
}

static void
on_success (Proxy *proxy)
{
  g_autoptr (GPtrArray) flows = rules_take_stale_flows (proxy->rules), waiting = rules_take_waiting (proxy->rules);

  if (proxy->retry_us != RETRY_MIN_US || g_atomic_int_get (&proxy->is_ready) == 0)
    cube_context_set_health (proxy->context, TRUE, NULL);
  proxy->retry_us = RETRY_MIN_US;
  g_atomic_int_set (&proxy->is_ready, 1);
  if (flows != NULL)
    host_delete_flows (flows);
  for (guint i = 0; waiting != NULL && i < waiting->len; i++)
    mark_dirty (proxy, waiting->pdata[i]);
}

static void
flush (gpointer data)
{
  Proxy *proxy = data;
  gint64 began = cube_context_monotonic_us (proxy->context), spent;
  g_autoptr (GError) error = NULL;
  GHashTableIter it;
  gpointer key;

  cube_timer_cancel (g_steal_pointer (&proxy->timer));
  proxy->is_posted = FALSE;
  if (!has_synced (proxy)) /* never a part of it over the rules of an earlier run */
    {
      schedule (proxy, SYNC_POLL_US);
      return;
    }
  for (g_hash_table_iter_init (&it, proxy->dirty); g_hash_table_iter_next (&it, &key, NULL);)
    compile (proxy, key);
  g_hash_table_remove_all (proxy->dirty);
  if (!write_pod_cidrs (proxy, &error) || !rules_commit (proxy->rules, &error))
    on_failure (proxy, error);
  else
    on_success (proxy);
  spent = cube_context_monotonic_us (proxy->context) - began;
  cube_context_add_time (proxy->context, spent);
  cube_metric_observe ("kubeproxy_sync_proxy_rules_duration_seconds", "ip_family=\"IPv4\"", (double) spent / G_USEC_PER_SEC);
}

/* ---- what changes ---- */

static void
on_service (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Proxy *proxy = data;
  g_autofree char *key = cube_object_key (object);

  if (type == CUBE_EVENT_DELETED)
    g_hash_table_remove (proxy->services, key);
  else
    g_hash_table_replace (proxy->services, g_strdup (key), cube_object_ref (object));
  mark_dirty (proxy, key);
}

/* "ns/service" of a slice, NULL when it is none's or not for proxies. (transfer full) */
static char *
slice_service (const CubeObject *slice)
{
  const char *name = cube_object_label (slice, "kubernetes.io/service-name");

  if (name == NULL || *name == '\0' || cube_object_label (slice, "service.kubernetes.io/headless") != NULL)
    return NULL;
  return g_strdup_printf ("%s/%s", cube_object_namespace (slice), name);
}

static void
forget_slice (Proxy *proxy, const CubeObject *slice)
{
  g_autofree char *key = slice_service (slice);
  GHashTable *slices = key != NULL ? g_hash_table_lookup (proxy->slices, key) : NULL;

  if (slices == NULL || !g_hash_table_remove (slices, cube_object_name (slice)))
    return;
  if (g_hash_table_size (slices) == 0)
    g_hash_table_remove (proxy->slices, key);
  mark_dirty (proxy, key);
}

static void
on_slice (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Proxy *proxy = data;
  g_autofree char *key = slice_service (object);
  GHashTable *slices;

  if (old != NULL || type == CUBE_EVENT_DELETED)
    forget_slice (proxy, old != NULL ? old : object);
  if (type == CUBE_EVENT_DELETED || key == NULL)
    return;
  slices = g_hash_table_lookup (proxy->slices, key);
  if (slices == NULL)
    {
      slices = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cube_object_unref);
      g_hash_table_insert (proxy->slices, g_strdup (key), slices);
    }
  g_hash_table_replace (slices, g_strdup (cube_object_name (object)), cube_object_ref (object));
  mark_dirty (proxy, key);
}

/* An IPv4 range in digits, and nothing that could mean more in the rules' text. */
static gboolean
is_range (const char *text)
{
  return text != NULL && strchr (text, '.') != NULL && strspn (text, "0123456789./") == strlen (text) && strlen (text) < 20;
}

static void
on_node (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Proxy *proxy = data;
  g_autoptr (CubeValue) value = type != CUBE_EVENT_DELETED ? cube_object_value (object) : NULL;
  const char *cidr = value != NULL ? cube_view_string (cube_value_get (value, "spec", "podCIDR")) : NULL;
  const char *before = g_hash_table_lookup (proxy->pod_cidrs, cube_object_name (object));

  if (!is_range (cidr))
    cidr = NULL;
  if (g_strcmp0 (cidr, before) == 0)
    return;
  if (cidr != NULL)
    g_hash_table_replace (proxy->pod_cidrs, g_strdup (cube_object_name (object)), g_strdup (cidr));
  else
    g_hash_table_remove (proxy->pod_cidrs, cube_object_name (object));
  proxy->are_cidrs_dirty = TRUE;
  schedule (proxy, 0);
}

static void
on_types (gpointer data)
{
  Proxy *proxy = data;
  GHashTableIter it;
  gpointer key;

  g_clear_pointer (&proxy->types, g_ptr_array_unref);
  for (g_hash_table_iter_init (&it, proxy->services); g_hash_table_iter_next (&it, &key, NULL);)
    g_hash_table_add (proxy->dirty, g_strdup (key));
  schedule (proxy, 0);
}

/* ---- life ---- */

static CubeInformer *
watch (Proxy *proxy, const char *api_version, const char *plural, CubeInformerFunc changed)
{
  const CubeResource *resource = cube_schema_resource (cube_context_schema (proxy->context), api_version, plural);

  return cube_informer_new (cube_context_client (proxy->context), resource, NULL, NULL, NULL, proxy->loop, changed, proxy);
}

static void
start_on_loop (gpointer data)
{
  Proxy *proxy = data;

  proxy->retry_us = RETRY_MIN_US;
  proxy->is_started = proxy->are_cidrs_dirty = TRUE;
  proxy->node_informer = watch (proxy, "v1", "nodes", on_node);
  proxy->service_informer = watch (proxy, "v1", "services", on_service);
  proxy->slice_informer = watch (proxy, "discovery.k8s.io/v1", "endpointslices", on_slice);
  proxy->types_watch = cube_registry_watch (cube_context_registry (proxy->context), CUBE_SERVICE_TYPE, proxy->loop, on_types, proxy);
  schedule (proxy, 0);
}

/* One table for each cluster on the machine. (transfer full) */
static char *
table_name (Proxy *proxy)
{
  const char *data_dir = cube_context_data_dir (proxy->context);
  g_autofree char *digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, data_dir != NULL ? data_dir : "", -1);

  digest[12] = '\0';
  return g_strdup_printf ("cube-%s", digest);
}

static gboolean
proxy_start (gpointer data, GError **error)
{
  Proxy *proxy = data;
  g_autofree char *runtime = cube_context_fact (proxy->context, "runtime"), *cidr = cube_context_fact (proxy->context, "service-cidr"),
                  *table = NULL;
  Layout layout = { 0 };

  if (g_strcmp0 (runtime, "cri") != 0)
    return TRUE;
  if (!host_prepare (&layout.is_bridge_filtered, error))
    return FALSE;
  table = table_name (proxy);
  layout.table = table;
  layout.service_cidr = is_range (cidr) ? cidr : NULL;
  proxy->rules = rules_new (&layout);
  proxy->loop = cube_context_get_loop (proxy->context, "proxy");
  loopcall_sync (proxy->loop, start_on_loop, proxy);
  return TRUE;
}

static void
stop_on_loop (gpointer data)
{
  Proxy *proxy = data;

  proxy->is_started = FALSE;
  cube_timer_cancel (g_steal_pointer (&proxy->timer));
  proxy->is_posted = FALSE;
  g_clear_pointer (&proxy->types_watch, cube_registry_unwatch);
  g_clear_pointer (&proxy->types, g_ptr_array_unref);
  g_clear_pointer (&proxy->service_informer, cube_informer_free);
  g_clear_pointer (&proxy->slice_informer, cube_informer_free);
  g_clear_pointer (&proxy->node_informer, cube_informer_free);
  g_hash_table_remove_all (proxy->services);
  g_hash_table_remove_all (proxy->slices);
  g_hash_table_remove_all (proxy->pod_cidrs);
  g_hash_table_remove_all (proxy->dirty);
}

/* The table stays on a plain restart: traffic goes on meanwhile. */
static void
proxy_stop (gpointer data)
{
  Proxy *proxy = data;
  g_autofree char *teardown = cube_context_fact (proxy->context, "teardown");
  g_autoptr (GError) error = NULL;

  if (proxy->rules == NULL)
    return;
  loopcall_sync (proxy->loop, stop_on_loop, proxy);
  if (g_strcmp0 (teardown, "true") == 0 && !rules_remove_table (proxy->rules, &error))
    g_warning ("%s", error->message);
  g_clear_pointer (&proxy->rules, rules_free);
  g_atomic_int_set (&proxy->is_ready, 0);
}

static gboolean
proxy_is_ready (gpointer data, char **ret_why)
{
  Proxy *proxy = data;

  if (proxy->rules == NULL || g_atomic_int_get (&proxy->is_ready) != 0)
    return TRUE;
  if (ret_why != NULL)
    *ret_why = g_strdup ("the packet rules are not written yet");
  return FALSE;
}

static gboolean
proxy_load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Proxy *proxy = g_new0 (Proxy, 1);

  proxy->context = context;
  proxy->services = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cube_object_unref);
  proxy->slices = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  proxy->pod_cidrs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  proxy->dirty = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  *ret_state = proxy;
  return TRUE;
}

static void
proxy_unload (gpointer data)
{
  Proxy *proxy = data;

  g_hash_table_unref (proxy->services);
  g_hash_table_unref (proxy->slices);
  g_hash_table_unref (proxy->pod_cidrs);
  g_hash_table_unref (proxy->dirty);
  g_free (proxy);
}

static const CubeComponentOps component_ops = {
  .ops_size = sizeof component_ops, .role = "node", .order = 35, .start = proxy_start, .stop = proxy_stop, .is_ready = proxy_is_ready
};

static const CubeInterfaceImpl impls[] = {
  CUBE_IMPL (CUBE_COMPONENT, CUBE_COMPONENT_VERSION, "service-proxy", component_ops),
  { NULL },
};

CUBE_PLUGIN_DEFINE (.name = "services-proxy", .version = "1", .description = "services as packet rules (nftables)", .license = "Apache-2.0",
                    .impls = impls, .load = proxy_load, .unload = proxy_unload);
