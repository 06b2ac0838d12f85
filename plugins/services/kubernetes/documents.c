/* SPDX-License-Identifier: Apache-2.0 */
#include "documents.h"

static CubeMut *
begin (CubeBuilder *builder, const char *api_version, const char *kind)
{
  CubeMut *root = cube_builder_root (builder), *metadata;

  cube_mut_set_string (root, "apiVersion", api_version);
  cube_mut_set_string (root, "kind", kind);
  metadata = cube_mut_set_object (root, "metadata");
  cube_mut_set_string (metadata, "name", "kubernetes");
  cube_mut_set_string (metadata, "namespace", "default");
  return cube_mut_set_object (metadata, "labels");
}

static CubeMut *
append_port (CubeMut *owner, guint16 port)
{
  CubeMut *item = cube_mut_append_object (cube_mut_set_array (owner, "ports"));

  cube_mut_set_string (item, "name", "https");
  cube_mut_set_string (item, "protocol", "TCP");
  cube_mut_set_int (item, "port", port);
  return item;
}

CubeValue *
kubernetes_service (const char *cluster_ip, guint16 port)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *labels = begin (builder, "v1", "Service"), *spec;

  cube_mut_set_string (labels, "component", "apiserver");
  cube_mut_set_string (labels, "provider", "kubernetes");
  spec = cube_mut_set_object (cube_builder_root (builder), "spec");
  cube_mut_set_string (spec, "type", "ClusterIP");
  cube_mut_set_string (spec, "clusterIP", cluster_ip);
  cube_mut_set_string (spec, "sessionAffinity", "None");
  cube_mut_set_int (append_port (spec, 443), "targetPort", port);
  return cube_builder_end (builder);
}

CubeValue *
kubernetes_endpoints (const char *address, guint16 port)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *labels = begin (builder, "v1", "Endpoints"), *subsets, *subset;

  cube_mut_set_string (labels, "endpointslice.kubernetes.io/skip-mirror", "true");
  subsets = cube_mut_set_array (cube_builder_root (builder), "subsets");
  if (address == NULL)
    return cube_builder_end (builder);
  subset = cube_mut_append_object (subsets);
  cube_mut_set_string (cube_mut_append_object (cube_mut_set_array (subset, "addresses")), "ip", address);
  append_port (subset, port);
  return cube_builder_end (builder);
}

CubeValue *
kubernetes_slice (const char *address, guint16 port)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *labels = begin (builder, "discovery.k8s.io/v1", "EndpointSlice"), *root = cube_builder_root (builder), *endpoints;

  cube_mut_set_string (labels, "kubernetes.io/service-name", "kubernetes");
  cube_mut_set_string (root, "addressType", "IPv4");
  endpoints = cube_mut_set_array (root, "endpoints");
  if (address != NULL)
    {
      CubeMut *endpoint = cube_mut_append_object (endpoints);

      cube_mut_append_string (cube_mut_set_array (endpoint, "addresses"), address);
      cube_mut_set_bool (cube_mut_set_object (endpoint, "conditions"), "ready", TRUE);
    }
  append_port (root, port);
  return cube_builder_end (builder);
}
