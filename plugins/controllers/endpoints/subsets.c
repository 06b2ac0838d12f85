/* SPDX-License-Identifier: Apache-2.0 */
/* Subsets: the (address, port) pairs of a service, packed so that addresses with the same ports share one subset. */
#include "endpoints.h"
#include <string.h>

typedef struct {
  CubeValue *ports;             /* an array */
  GPtrArray *ready, *not_ready; /* of CubeValue */
} Subset;

static void
subset_free (gpointer data)
{
  Subset *subset = data;
  cube_value_unref (subset->ports);
  g_ptr_array_unref (subset->ready);
  g_ptr_array_unref (subset->not_ready);
  g_free (subset);
}

static Subset *
subset_for (GPtrArray *subsets, CubeValue *ports)
{
  for (guint i = 0; i < subsets->len; i++)
    {
      Subset *subset = subsets->pdata[i];
      if (cube_view_equal (cube_value_root (subset->ports), cube_value_root (ports)))
        return subset;
    }
  Subset *subset = g_new0 (Subset, 1);
  subset->ports = cube_value_ref (ports);
  subset->ready = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  subset->not_ready = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_value_unref);
  g_ptr_array_add (subsets, subset);
  return subset;
}

static CubeValue *
ports_of (CubeView service, CubeView pod)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *ports = cube_mut_new_array (builder);
  CubeIter it;
  CubeView service_port;
  for (cube_iter_init (&it, cube_view_get (service, "spec", "ports")); cube_iter_next (&it, NULL, &service_port);)
    {
      gint64 number;
      if (!service_find_port (pod, service_port, &number))
        continue;
      const char *name = cube_view_get_string (service_port, "name");
      CubeMut *port = cube_mut_append_object (ports);
      if (name != NULL && *name != '\0')
        cube_mut_set_string (port, "name", name);
      cube_mut_set_int (port, "port", number);
      cube_mut_set_string (port, "protocol", cube_view_string_or (cube_view_member (service_port, "protocol"), "TCP"));
      cube_mut_set_string (port, "appProtocol", cube_view_get_string (service_port, "appProtocol"));
    }
  cube_builder_set_root (builder, ports);
  return cube_builder_end (builder);
}

static CubeValue *
address_of (CubeView service, CubeView pod, const char *ip)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  const char *node = cube_view_get_string (pod, "spec", "nodeName");
  cube_mut_set_string (root, "ip", ip);
  cube_mut_set_string (root, "hostname", service_pod_hostname (pod, service));
  if (node != NULL && *node != '\0')
    cube_mut_set_string (root, "nodeName", node);
  service_set_target (root, pod);
  return cube_builder_end (builder);
}

static void
add_pod (GPtrArray *subsets, CubeView service, CubeView pod)
{
  gboolean publishes_all = cube_view_get_bool (service, FALSE, "spec", "publishNotReadyAddresses");
  const char *ip = service_pod_ip (pod, service_first_family_is_ipv6 (service));
  if (ip == NULL || !service_pod_is_candidate (pod, publishes_all))
    return;
  g_autoptr (CubeValue) ports = ports_of (service, pod);
  if (cube_view_length (cube_value_root (ports)) == 0
      && !(service_is_headless (service) && cube_view_length (cube_view_get (service, "spec", "ports")) == 0))
    return;
  Subset *subset = subset_for (subsets, ports);
  g_ptr_array_add (publishes_all || service_pod_is_ready (pod) ? subset->ready : subset->not_ready, address_of (service, pod, ip));
}

/* ---- at most ENDPOINTS_MAX, ready ones first, each subset its share ---- */

static guint
count (GPtrArray *subsets, gboolean is_ready)
{
  guint n = 0;
  for (guint i = 0; i < subsets->len; i++)
    n += is_ready ? ((Subset *) subsets->pdata[i])->ready->len : ((Subset *) subsets->pdata[i])->not_ready->len;
  return n;
}

static void
cut (GPtrArray *subsets, gboolean is_ready, guint keep)
{
  guint total = count (subsets, is_ready), left = keep;
  for (guint i = 0; i < subsets->len; i++)
    {
      Subset *subset = subsets->pdata[i];
      GPtrArray *addresses = is_ready ? subset->ready : subset->not_ready;
      guint share = total > 0 ? MIN ((guint) ((guint64) addresses->len * keep / total), left) : 0;
      g_ptr_array_set_size (addresses, share);
      left -= share;
    }
}

static gboolean
truncate_subsets (GPtrArray *subsets)
{
  guint n_ready = count (subsets, TRUE), n_other = count (subsets, FALSE);
  if (n_ready + n_other <= ENDPOINTS_MAX)
    return FALSE;
  if (n_ready > ENDPOINTS_MAX)
    cut (subsets, TRUE, ENDPOINTS_MAX);
  cut (subsets, FALSE, n_ready >= ENDPOINTS_MAX ? 0 : ENDPOINTS_MAX - n_ready);
  return TRUE;
}

/* ---- the answer ---- */

static void
put_addresses (CubeMut *root, const char *key, GPtrArray *addresses)
{
  if (addresses->len == 0)
    return;
  CubeMut *array = cube_mut_set_array (root, key);
  for (guint i = 0; i < addresses->len; i++)
    cube_mut_append (array, cube_mut_new_view (cube_mut_builder (root), cube_value_root (addresses->pdata[i])));
}

CubeValue *
subsets_make (CubeView service, GPtrArray *pods, gboolean *ret_truncated)
{
  g_autoptr (GPtrArray) subsets = g_ptr_array_new_with_free_func (subset_free);
  for (guint i = 0; i < pods->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (pods->pdata[i]);
      add_pod (subsets, service, cube_value_root (value));
    }
  *ret_truncated = truncate_subsets (subsets);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *array = cube_mut_new_array (builder);
  for (guint i = 0; i < subsets->len; i++)
    {
      Subset *subset = subsets->pdata[i];
      if (subset->ready->len + subset->not_ready->len == 0)
        continue;
      CubeMut *entry = cube_mut_append_object (array);
      put_addresses (entry, "addresses", subset->ready);
      put_addresses (entry, "notReadyAddresses", subset->not_ready);
      if (cube_view_length (cube_value_root (subset->ports)) > 0)
        cube_mut_set_view (entry, "ports", cube_value_root (subset->ports));
    }
  cube_builder_set_root (builder, array);
  return cube_builder_end (builder);
}
