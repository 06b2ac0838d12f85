/* SPDX-License-Identifier: Apache-2.0 */
/* Gives each Node its range of pod addresses: spec.podCIDR, a /24 of the cluster's range. */
#include <arpa/inet.h>
#include <cube/controller.h>
#include <cube/plugin.h>
#include <string.h>

#define NODE_BITS 24

typedef struct {
  CubeContext *context;
  GMutex lock;
  guint32 base; /* host order */
  guint n_ranges;
  guint8 *is_taken;   /* one a range */
  GHashTable *owners; /* node name → index + 1 */
} Ipam;

static gboolean
parse_cidr (const char *text, guint32 *ret_base, guint *ret_bits)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  struct in_addr address;
  guint64 bits;
  if (parts[0] == NULL || parts[1] == NULL || inet_pton (AF_INET, parts[0], &address) != 1
      || !g_ascii_string_to_unsigned (parts[1], 10, 0, 32, &bits, NULL))
    return FALSE;
  *ret_bits = (guint) bits;
  *ret_base = bits == 0 ? 0 : ntohl (address.s_addr) & (0xffffffffu << (32 - bits));
  return TRUE;
}

/* Does a route of this host lead into base/16? */
static gboolean
is_routed (guint32 base, const char *routes)
{
  g_auto (GStrv) lines = g_strsplit (routes, "\n", -1);
  for (guint i = 1; lines[0] != NULL && lines[i] != NULL; i++)
    {
      g_auto (GStrv) words = g_strsplit (lines[i], "\t", 9);
      if (g_strv_length (words) < 8)
        continue;
      guint32 destination = ntohl ((guint32) g_ascii_strtoull (words[1], NULL, 16)),
              mask = ntohl ((guint32) g_ascii_strtoull (words[7], NULL, 16));
      if (mask != 0 && (((destination ^ base) & mask) == 0 || ((destination ^ base) & 0xffff0000u) == 0))
        return TRUE;
    }
  return FALSE;
}

/* A /16 nobody here routes: from 10.244.0.0 on, so that several clusters live side by side. */
static char *
choose_range (Ipam *ipam)
{
  g_autofree char *routes = NULL;
  if (cube_context_is_simulated (ipam->context) || !g_file_get_contents ("/proc/net/route", &routes, NULL, NULL))
    return g_strdup ("10.244.0.0/16");
  for (guint i = 0; i < 64; i++)
    {
      guint second = i == 0 ? 244 : 64 + i;
      guint32 base = (10u << 24) | (second << 16);
      if (!is_routed (base, routes))
        return g_strdup_printf ("10.%u.0.0/16", second);
    }
  return g_strdup ("10.244.0.0/16");
}

/* The range a cluster chose before: any node's range tells. */
static char *
range_in_use (CubeControllerEnv *env)
{
  const CubeResource *nodes = cube_schema_resource (cube_client_schema (env->client), "v1", "nodes");
  g_autoptr (GPtrArray) list = cube_client_list (env->client, nodes, NULL, NULL, NULL, NULL);
  for (guint i = 0; list != NULL && i < list->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (list->pdata[i]);
      const char *cidr = cube_view_string (cube_value_get (value, "spec", "podCIDR"));
      guint32 base;
      guint bits;
      if (cidr != NULL && parse_cidr (cidr, &base, &bits))
        return g_strdup_printf ("%u.%u.0.0/16", base >> 24, (base >> 16) & 255);
    }
  return NULL;
}

static gboolean
start (gpointer state, CubeControllerEnv *env, GError **error)
{
  Ipam *ipam = state;
  guint bits;
  g_autofree char *range = cube_context_fact (env->context, "cluster-cidr");
  if (range == NULL)
    {
      range = range_in_use (env);
      if (range == NULL)
        range = choose_range (ipam);
      cube_context_set_fact (env->context, "cluster-cidr", range);
    }
  if (!parse_cidr (range, &ipam->base, &bits) || bits > NODE_BITS || bits < 8)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "clusterCIDR \"%s\": expected an IPv4 range of /8 to /%d", range, NODE_BITS);
      return FALSE;
    }
  ipam->n_ranges = 1u << (NODE_BITS - bits);
  ipam->is_taken = g_new0 (guint8, ipam->n_ranges);
  ipam->owners = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  const CubeResource *nodes = cube_schema_resource (cube_client_schema (env->client), "v1", "nodes");
  g_autoptr (GPtrArray) list = cube_client_list (env->client, nodes, NULL, NULL, NULL, NULL);
  for (guint i = 0; list != NULL && i < list->len; i++) /* who has one keeps it, before anybody new is served */
    {
      g_autoptr (CubeValue) value = cube_object_value (list->pdata[i]);
      const char *cidr = cube_view_string (cube_value_get (value, "spec", "podCIDR"));
      guint32 base;
      guint node_bits, index;
      if (cidr == NULL || !parse_cidr (cidr, &base, &node_bits) || base < ipam->base
          || (index = (base - ipam->base) >> (32 - NODE_BITS)) >= ipam->n_ranges)
        continue;
      ipam->is_taken[index] = 1;
      g_hash_table_insert (ipam->owners, g_strdup (cube_object_name (list->pdata[i])), GUINT_TO_POINTER (index + 1));
    }
  return TRUE;
}

static void
stop (gpointer state, CubeControllerEnv *env)
{
  Ipam *ipam = state;
  g_clear_pointer (&ipam->owners, g_hash_table_unref);
  g_clear_pointer (&ipam->is_taken, g_free);
}

static void
give_back (Ipam *ipam, const char *node)
{
  g_mutex_lock (&ipam->lock);
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (ipam->owners, node));
  if (index > 0)
    ipam->is_taken[index - 1] = 0;
  g_hash_table_remove (ipam->owners, node);
  g_mutex_unlock (&ipam->lock);
}

/* @node came with a range, or got one from somebody else: it is not for others. */
static void
keep (Ipam *ipam, const char *node, const char *cidr)
{
  guint32 base;
  guint bits, index;
  if (!parse_cidr (cidr, &base, &bits) || base < ipam->base || (index = (base - ipam->base) >> (32 - NODE_BITS)) >= ipam->n_ranges)
    return;
  g_mutex_lock (&ipam->lock);
  guint had = GPOINTER_TO_UINT (g_hash_table_lookup (ipam->owners, node));
  if (had > 0 && had != index + 1)
    ipam->is_taken[had - 1] = 0;
  if (had != index + 1)
    {
      ipam->is_taken[index] = 1;
      g_hash_table_insert (ipam->owners, g_strdup (node), GUINT_TO_POINTER (index + 1));
    }
  g_mutex_unlock (&ipam->lock);
}

/* The node's range, made at first asking. (transfer full) NULL: none is left. */
static char *
take (Ipam *ipam, const char *node)
{
  g_mutex_lock (&ipam->lock);
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (ipam->owners, node));
  for (guint i = 0; index == 0 && i < ipam->n_ranges; i++)
    if (!ipam->is_taken[i])
      {
        ipam->is_taken[i] = 1;
        index = i + 1;
        g_hash_table_insert (ipam->owners, g_strdup (node), GUINT_TO_POINTER (index));
      }
  g_mutex_unlock (&ipam->lock);
  if (index == 0)
    return NULL;
  guint32 base = ipam->base + ((index - 1) << (32 - NODE_BITS));
  return g_strdup_printf ("%u.%u.%u.%u/%d", base >> 24, (base >> 16) & 255, (base >> 8) & 255, base & 255, NODE_BITS);
}

static gboolean
set_range (CubeMut *root, CubeView current, gpointer data)
{
  if (cube_view_get_string (current, "spec", "podCIDR") != NULL)
    return FALSE;
  CubeMut *spec = cube_mut_ensure_object (root, "spec");
  cube_mut_set_string (spec, "podCIDR", data);
  cube_mut_append_string (cube_mut_set_array (spec, "podCIDRs"), data);
  return TRUE;
}

static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  Ipam *ipam = state;
  g_autoptr (GError) problem = NULL;
  const CubeResource *nodes = cube_schema_resource (cube_client_schema (env->client), "v1", "nodes");
  g_autoptr (CubeObject) node = cube_client_get (env->client, nodes, NULL, key, &problem);
  if (node == NULL && g_error_matches (problem, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
    {
      give_back (ipam, key);
      return 0;
    }
  if (node == NULL)
    {
      g_propagate_error (error, g_steal_pointer (&problem));
      return -1;
    }
  g_autoptr (CubeValue) value = cube_object_value (node);
  const char *has = cube_view_string (cube_value_get (value, "spec", "podCIDR"));
  if (has != NULL)
    {
      keep (ipam, key, has);
      return 0;
    }
  g_autofree char *cidr = take (ipam, key);
  if (cidr == NULL)
    {
      cube_recorder_event (env->recorder, node, NULL, "Normal", "CIDRNotAvailable", "Node %s status is now: CIDRNotAvailable", key);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_NO_SPACE,
                   "CIDR allocation failed; there are no remaining CIDRs left to allocate in the accepted range");
      return -1;
    }
  g_autoptr (CubeObject) changed = cube_client_modify (env->client, nodes, NULL, NULL, key, set_range, cidr, error);
  return changed != NULL ? 0 : -1;
}

static gboolean
load (CubeContext *context, gpointer *ret_state, GError **error)
{
  Ipam *ipam = g_new0 (Ipam, 1);
  ipam->context = context;
  g_mutex_init (&ipam->lock);
  *ret_state = ipam;
  return TRUE;
}

static void
unload (gpointer state)
{
  Ipam *ipam = state;
  g_mutex_clear (&ipam->lock);
  g_free (ipam);
}

static const CubeControllerWatch watches[] = { { "v1", "nodes", NULL }, { NULL, NULL, NULL } };
static const CubeControllerOps ops = {
  .ops_size = sizeof (CubeControllerOps),
  .watches = watches,
  .reconcile = reconcile,
  .start = start,
  .stop = stop,
  .workers = 2,
};
static const CubeInterfaceImpl impls[] = { CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "node-ipam", ops),
                                           { NULL, 0, 0, NULL, NULL } };
CUBE_PLUGIN_DEFINE (.name = "controllers-node-ipam", .version = "1.0", .license = "Apache-2.0",
                    .description = "gives each node its range of pod addresses", .impls = impls, .load = load, .unload = unload);
