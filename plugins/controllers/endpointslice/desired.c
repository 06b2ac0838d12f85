/* SPDX-License-Identifier: Apache-2.0 */
#include "endpointslice.h"
#include <string.h>

static void
desired_free (gpointer data)
{
  Desired *desired = data;
  cube_value_unref (desired->value);
  g_free (desired->key);
  g_free (desired);
}

static void
group_free (gpointer data)
{
  Group *group = data;
  cube_value_unref (group->ports);
  g_ptr_array_unref (group->endpoints);
  g_hash_table_unref (group->by_key);
  g_free (group);
}

char *
endpoint_key (CubeView endpoint)
{
  const char *uid = cube_view_get_string (endpoint, "targetRef", "uid");
  const char *address = cube_view_string (cube_view_element (cube_view_member (endpoint, "addresses"), 0));
  return g_strconcat (uid != NULL ? uid : "", "|", address != NULL ? address : "", NULL);
}

/* ---- what all slices of the service share ---- */

static gboolean
is_reserved (const char *label)
{
  return strcmp (label, LABEL_SERVICE) == 0 || strcmp (label, LABEL_MANAGED_BY) == 0 || strcmp (label, LABEL_HEADLESS) == 0;
}

static void
compute_labels (Pass *pass)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *labels = cube_builder_root (builder);
  for (guint i = 0; i < cube_object_n_labels (pass->object); i++)
    {
      const char *key, *value;
      cube_object_label_at (pass->object, i, &key, &value);
      if (!is_reserved (key))
        cube_mut_set_string (labels, key, value);
    }
  if (service_is_headless (pass->view))
    cube_mut_set_string (labels, LABEL_HEADLESS, "");
  cube_mut_set_string (labels, LABEL_MANAGED_BY, MANAGER);
  cube_mut_set_string (labels, LABEL_SERVICE, cube_object_name (pass->object));
  pass->labels = cube_builder_end (builder);
}

/* ---- one endpoint ---- */

static const char *
zone_of (Pass *pass, const char *node_name)
{
  const char *known = g_hash_table_lookup (pass->zones, node_name);
  if (known != NULL)
    return known;
  g_autoptr (CubeObject) node = cube_client_get (pass->env->client, pass->nodes, NULL, node_name, NULL);
  const char *zone = node != NULL ? cube_object_label (node, "topology.kubernetes.io/zone") : NULL;
  g_hash_table_insert (pass->zones, g_strdup (node_name), g_strdup (zone != NULL ? zone : ""));
  return g_hash_table_lookup (pass->zones, node_name);
}

static void
set_hints (Pass *pass, CubeMut *endpoint, const char *zone, const char *node)
{
  const char *distribution = cube_view_get_string (pass->view, "spec", "trafficDistribution");
  gboolean by_node = g_strcmp0 (distribution, "PreferSameNode") == 0;
  gboolean by_zone = by_node || g_strcmp0 (distribution, "PreferClose") == 0 || g_strcmp0 (distribution, "PreferSameZone") == 0;
  if (by_zone && *zone != '\0')
    cube_mut_set_string (cube_mut_append_object (cube_mut_ensure_array (cube_mut_ensure_object (endpoint, "hints"), "forZones")), "name",
                         zone);
  if (by_node && node != NULL)
    cube_mut_set_string (cube_mut_append_object (cube_mut_ensure_array (cube_mut_ensure_object (endpoint, "hints"), "forNodes")), "name",
                         node);
}

static CubeValue *
new_endpoint (Pass *pass, CubeView pod, const char *ip)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  const char *node = cube_view_get_string (pod, "spec", "nodeName"), *zone = "";
  gboolean is_serving = service_pod_is_ready (pod),
           is_terminating = cube_view_exists (cube_view_get (pod, "metadata", "deletionTimestamp"));
  gboolean is_ready = cube_view_get_bool (pass->view, FALSE, "spec", "publishNotReadyAddresses") || (is_serving && !is_terminating);

  cube_mut_append_string (cube_mut_set_array (root, "addresses"), ip);
  CubeMut *conditions = cube_mut_set_object (root, "conditions");
  cube_mut_set_bool (conditions, "ready", is_ready);
  cube_mut_set_bool (conditions, "serving", is_serving);
  cube_mut_set_bool (conditions, "terminating", is_terminating);
  cube_mut_set_string (root, "hostname", service_pod_hostname (pod, pass->view));
  if (node != NULL && *node != '\0')
    {
      cube_mut_set_string (root, "nodeName", node);
      zone = zone_of (pass, node);
    }
  else
    node = NULL;
  service_set_target (root, pod);
  if (*zone != '\0')
    cube_mut_set_string (root, "zone", zone);
  if (is_ready)
    set_hints (pass, root, zone, node);
  return cube_builder_end (builder);
}

/* ---- ports ---- */

static CubeValue *
ports_of (Pass *pass, CubeView pod)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *ports = cube_mut_new_array (builder);
  CubeIter it;
  CubeView service_port;
  for (cube_iter_init (&it, cube_view_get (pass->view, "spec", "ports")); cube_iter_next (&it, NULL, &service_port);)
    {
      gint64 number;
      if (!service_find_port (pod, service_port, &number))
        continue;
      CubeMut *port = cube_mut_append_object (ports);
      cube_mut_set_string (port, "name", cube_view_string_or (cube_view_member (service_port, "name"), ""));
      cube_mut_set_int (port, "port", number);
      cube_mut_set_string (port, "protocol", cube_view_string_or (cube_view_member (service_port, "protocol"), "TCP"));
      cube_mut_set_string (port, "appProtocol", cube_view_get_string (service_port, "appProtocol"));
    }
  cube_builder_set_root (builder, ports);
  return cube_builder_end (builder);
}

static Group *
group_for (Pass *pass, gboolean is_ipv6, CubeValue *ports)
{
  for (guint i = 0; i < pass->groups->len; i++)
    {
      Group *group = pass->groups->pdata[i];
      if (group->is_ipv6 == is_ipv6 && cube_view_equal (cube_value_root (group->ports), cube_value_root (ports)))
        return group;
    }
  Group *group = g_new0 (Group, 1);
  group->is_ipv6 = is_ipv6;
  group->ports = cube_value_ref (ports);
  group->endpoints = g_ptr_array_new_with_free_func (desired_free);
  group->by_key = g_hash_table_new (g_str_hash, g_str_equal);
  g_ptr_array_add (pass->groups, group);
  return group;
}

static void
add_pod (Pass *pass, CubeView pod)
{
  g_autoptr (CubeValue) ports = ports_of (pass, pod);
  if (cube_view_length (cube_value_root (ports)) == 0 && cube_view_length (cube_view_get (pass->view, "spec", "ports")) > 0
      && !service_is_headless (pass->view))
    return; /* none of the service's named ports is this pod's: nothing to send there */
  for (int is_ipv6 = 0; is_ipv6 <= 1; is_ipv6++)
    {
      const char *ip = service_pod_ip (pod, is_ipv6);
      if (ip == NULL || !service_wants_family (pass->view, is_ipv6))
        continue;
      Group *group = group_for (pass, is_ipv6, ports);
      Desired *desired = g_new0 (Desired, 1);
      desired->value = new_endpoint (pass, pod, ip);
      desired->key = endpoint_key (cube_value_root (desired->value));
      if (!g_hash_table_insert (group->by_key, desired->key, desired))
        g_debug ("service %s/%s: address %s twice", cube_object_namespace (pass->object), cube_object_name (pass->object), ip);
      g_ptr_array_add (group->endpoints, desired);
    }
}

gboolean
desired_compute (Pass *pass, GError **error)
{
  CubeSchema *schema = cube_client_schema (pass->env->client);
  const CubeResource *pods = cube_schema_resource (schema, "v1", "pods");
  g_autoptr (CubeSelector) selector = cube_selector_from_map (cube_view_get (pass->view, "spec", "selector"));
  g_autoptr (GPtrArray) found = cube_client_list (pass->env->client, pods, cube_object_namespace (pass->object), selector, NULL, error);
  pass->nodes = cube_schema_resource (schema, "v1", "nodes");
  pass->groups = g_ptr_array_new_with_free_func (group_free);
  pass->zones = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  compute_labels (pass);
  for (guint i = 0; found != NULL && i < found->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (found->pdata[i]);
      if (service_pod_is_candidate (cube_value_root (value), TRUE))
        add_pod (pass, cube_value_root (value));
    }
  return found != NULL;
}

void
desired_clear (Pass *pass)
{
  g_clear_pointer (&pass->groups, g_ptr_array_unref);
  g_clear_pointer (&pass->zones, g_hash_table_unref);
  g_clear_pointer (&pass->labels, cube_value_unref);
  g_clear_pointer (&pass->value, cube_value_unref);
  g_clear_pointer (&pass->trigger, g_free);
}
