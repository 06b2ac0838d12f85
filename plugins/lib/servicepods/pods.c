/* SPDX-License-Identifier: Apache-2.0 */
#include "servicepods.h"
#include <string.h>

#define IPV6 "IPv6"

gboolean
service_has_pods (CubeView service)
{
  return g_strcmp0 (cube_view_get_string (service, "spec", "type"), "ExternalName") != 0
         && cube_view_type (cube_view_get (service, "spec", "selector")) == CUBE_VALUE_OBJECT
         && cube_view_length (cube_view_get (service, "spec", "selector")) > 0;
}

gboolean
service_is_headless (CubeView service)
{
  return g_strcmp0 (cube_view_get_string (service, "spec", "clusterIP"), "None") == 0;
}

gboolean
service_first_family_is_ipv6 (CubeView service)
{
  const char *family = cube_view_string (cube_view_element (cube_view_get (service, "spec", "ipFamilies"), 0));
  const char *ip = cube_view_get_string (service, "spec", "clusterIP");
  return family != NULL ? strcmp (family, IPV6) == 0 : ip != NULL && strchr (ip, ':') != NULL;
}

gboolean
service_wants_family (CubeView service, gboolean is_ipv6)
{
  CubeView families = cube_view_get (service, "spec", "ipFamilies"), family;
  CubeIter it;
  if (cube_view_length (families) == 0)
    return service_first_family_is_ipv6 (service) == is_ipv6;
  for (cube_iter_init (&it, families); cube_iter_next (&it, NULL, &family);)
    if ((g_strcmp0 (cube_view_string (family), IPV6) == 0) == is_ipv6)
      return TRUE;
  return FALSE;
}

static CubeView
ready_condition (CubeView pod)
{
  return cube_condition_find (cube_view_member (pod, "status"), "Ready");
}

gboolean
service_pod_is_ready (CubeView pod)
{
  return g_strcmp0 (cube_view_get_string (ready_condition (pod), "status"), "True") == 0;
}

const char *
service_pod_ready_since (CubeView pod)
{
  return cube_view_get_string (ready_condition (pod), "lastTransitionTime");
}

const char *
service_pod_ip (CubeView pod, gboolean is_ipv6)
{
  CubeIter it;
  CubeView entry;
  for (cube_iter_init (&it, cube_view_get (pod, "status", "podIPs")); cube_iter_next (&it, NULL, &entry);)
    {
      const char *ip = cube_view_get_string (entry, "ip");
      if (ip != NULL && *ip != '\0' && (strchr (ip, ':') != NULL) == is_ipv6)
        return ip;
    }
  const char *ip = cube_view_get_string (pod, "status", "podIP");
  return ip != NULL && *ip != '\0' && (strchr (ip, ':') != NULL) == is_ipv6 ? ip : NULL;
}

gboolean
service_pod_is_candidate (CubeView pod, gboolean with_terminating)
{
  const char *phase = cube_view_get_string (pod, "status", "phase");
  if (g_strcmp0 (phase, "Succeeded") == 0 || g_strcmp0 (phase, "Failed") == 0)
    return FALSE;
  if (!with_terminating && cube_view_exists (cube_view_get (pod, "metadata", "deletionTimestamp")))
    return FALSE;
  return service_pod_ip (pod, FALSE) != NULL || service_pod_ip (pod, TRUE) != NULL;
}

const char *
service_pod_hostname (CubeView pod, CubeView service)
{
  const char *hostname = cube_view_get_string (pod, "spec", "hostname");
  if (hostname == NULL || *hostname == '\0')
    return NULL;
  return g_strcmp0 (cube_view_get_string (pod, "spec", "subdomain"), cube_view_get_string (service, "metadata", "name")) == 0 ? hostname
                                                                                                                              : NULL;
}

gboolean
service_find_port (CubeView pod, CubeView service_port, gint64 *ret_port)
{
  CubeView target = cube_view_member (service_port, "targetPort"), container, port;
  const char *protocol = cube_view_string_or (cube_view_member (service_port, "protocol"), "TCP"), *name = cube_view_string (target);
  CubeContainerIter containers;
  CubeContainerKind kind;
  if (name == NULL)
    {
      *ret_port = cube_view_int (target, cube_view_get_int (service_port, 0, "port"));
      return TRUE;
    }
  for (cube_containers_init (&containers, cube_view_member (pod, "spec"), CUBE_CONTAINER_REGULAR | CUBE_CONTAINER_INIT);
       cube_containers_next (&containers, &container, &kind, NULL);)
    {
      CubeIter it;
      if (kind == CUBE_CONTAINER_INIT && g_strcmp0 (cube_view_get_string (container, "restartPolicy"), "Always") != 0)
        continue;
      for (cube_iter_init (&it, cube_view_member (container, "ports")); cube_iter_next (&it, NULL, &port);)
        if (g_strcmp0 (cube_view_get_string (port, "name"), name) == 0
            && strcmp (cube_view_string_or (cube_view_member (port, "protocol"), "TCP"), protocol) == 0)
          {
            *ret_port = cube_view_get_int (port, 0, "containerPort");
            return TRUE;
          }
    }
  return FALSE;
}

void
service_set_target (CubeMut *endpoint, CubeView pod)
{
  CubeMut *target = cube_mut_set_object (endpoint, "targetRef");
  cube_mut_set_string (target, "kind", "Pod");
  cube_mut_set_view (target, "name", cube_view_get (pod, "metadata", "name"));
  cube_mut_set_view (target, "namespace", cube_view_get (pod, "metadata", "namespace"));
  cube_mut_set_view (target, "uid", cube_view_get (pod, "metadata", "uid"));
}
