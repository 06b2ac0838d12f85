/* SPDX-License-Identifier: Apache-2.0 */
/* Conditional defaults of pods, services and the smaller kinds. */
#include "defaults.h"

/* What follows the last colon of "host:5000/name:tag@digest"; "latest" when neither tag nor digest is there. */
static gboolean
image_is_latest (const char *image)
{
  if (image == NULL || *image == '\0')
    return FALSE;
  const char *slash = strrchr (image, '/'), *name = slash == NULL ? image : slash + 1;
  const char *digest = strchr (name, '@'), *tag = strchr (name, ':');
  if (tag != NULL && (digest == NULL || tag < digest))
    {
      gsize length = digest == NULL ? strlen (tag + 1) : (gsize) (digest - tag - 1);
      return length == 6 && strncmp (tag + 1, "latest", 6) == 0;
    }
  return digest == NULL;
}

static void
container (CubeMut *object)
{
  const char *image = cube_mut_string (cube_mut_member (object, "image"));
  cube_mut_default_string (object, "imagePullPolicy", image_is_latest (image) ? "Always" : "IfNotPresent");
}

static void
image_volume (CubeMut *object)
{
  const char *reference = cube_mut_string (cube_mut_member (object, "reference"));
  cube_mut_default_string (object, "pullPolicy", image_is_latest (reference) ? "Always" : "IfNotPresent");
}

static void
volume (CubeMut *object)
{
  guint named = cube_mut_member (object, "name") != NULL ? 1 : 0;
  if (cube_mut_length (object) == named)
    cube_mut_set_object (object, "emptyDir");
}

static void
copy_map_if_absent (CubeMut *from, CubeMut *to)
{
  for (guint i = 0; i < cube_mut_length (from); i++)
    {
      const char *key;
      CubeMut *value = cube_mut_member_at (from, i, &key);
      if (cube_mut_member (to, key) == NULL)
        cube_mut_set (to, key, cube_mut_new_copy (cube_mut_builder (to), value));
    }
}

static void
pod_containers (CubeMut *spec, const char *list_name, gboolean host_network)
{
  CubeMut *list = cube_mut_member (spec, list_name);
  for (guint i = 0; i < cube_mut_length (list); i++)
    {
      CubeMut *item = cube_mut_element (list, i);
      CubeMut *limits = cube_mut_get (item, "resources", "limits");
      if (cube_mut_length (limits) > 0)
        copy_map_if_absent (limits, cube_mut_ensure (item, "resources", "requests"));
      CubeMut *ports = host_network ? cube_mut_member (item, "ports") : NULL;
      for (guint p = 0; p < cube_mut_length (ports); p++)
        {
          CubeMut *port = cube_mut_element (ports, p);
          if (cube_mut_int (cube_mut_member (port, "hostPort"), 0) == 0 && cube_mut_member (port, "containerPort") != NULL)
            cube_mut_set_int (port, "hostPort", cube_mut_int (cube_mut_member (port, "containerPort"), 0));
        }
    }
}

/* Pod-level resources: a request that is missing is the sum of the containers' requests, else the limit. */
static void
pod_level_resources (CubeMut *spec)
{
  CubeMut *limits = cube_mut_get (spec, "resources", "limits");
  for (guint i = 0; i < cube_mut_length (limits); i++)
    {
      const char *key;
      CubeMut *limit = cube_mut_member_at (limits, i, &key);
      CubeMut *requests = cube_mut_ensure (spec, "resources", "requests");
      gboolean sums = strcmp (key, "cpu") == 0 || strcmp (key, "memory") == 0;
      if (cube_mut_member (requests, key) != NULL || (!sums && !g_str_has_prefix (key, "hugepages-")))
        continue;
      CubeQuantity total, one;
      guint n = 0;
      CubeMut *list = sums ? cube_mut_member (spec, "containers") : NULL;
      for (guint c = 0; c < cube_mut_length (list); c++)
        {
          const char *text = cube_mut_string (cube_mut_get (cube_mut_element (list, c), "resources", "requests", key));
          if (text == NULL || !cube_quantity_parse (text, &one, NULL))
            continue;
          if (n++ == 0)
            total = one;
          else
            cube_quantity_add (&total, &one);
        }
      if (n > 0)
        {
          char text[64];
          cube_quantity_format (&total, text);
          cube_mut_set_string (requests, key, text);
        }
      else
        {
          cube_mut_set (requests, key, cube_mut_new_copy (cube_mut_builder (requests), limit));
        }
    }
}

static void
pod (CubeMut *object)
{
  CubeMut *spec = cube_mut_member (object, "spec");
  if (cube_mut_type (spec) != CUBE_VALUE_OBJECT)
    return;
  gboolean host_network = cube_mut_bool (cube_mut_member (spec, "hostNetwork"), FALSE);
  pod_containers (spec, "containers", host_network);
  pod_containers (spec, "initContainers", host_network);
  pod_level_resources (spec);
  cube_mut_default_bool (spec, "enableServiceLinks", TRUE);
}

static void
pod_spec (CubeMut *object)
{
  const char *name = cube_mut_string (cube_mut_member (object, "serviceAccountName"));
  const char *old = cube_mut_string (cube_mut_member (object, "serviceAccount"));
  if (name == NULL || *name == '\0')
    name = old;
  if (name == NULL || *name == '\0')
    return;
  g_autofree char *copy = g_strdup (name);
  cube_mut_set_string (object, "serviceAccountName", copy);
  cube_mut_set_string (object, "serviceAccount", copy);
}

static void
service_spec (CubeMut *object)
{
  if (cube_mut_string_is (object, "sessionAffinity", "None"))
    cube_mut_remove (object, "sessionAffinityConfig");
  else if (cube_mut_string_is (object, "sessionAffinity", "ClientIP"))
    cube_mut_default_int (cube_mut_ensure (object, "sessionAffinityConfig", "clientIP"), "timeoutSeconds", 10800);
  gboolean balanced = cube_mut_string_is (object, "type", "LoadBalancer");
  gboolean node_port = balanced || cube_mut_string_is (object, "type", "NodePort");
  gboolean cluster = cube_mut_string_is (object, "type", "ClusterIP");
  if (node_port || (cluster && cube_mut_length (cube_mut_member (object, "externalIPs")) > 0))
    cube_mut_default_string (object, "externalTrafficPolicy", "Cluster");
  if (node_port || cluster)
    cube_mut_default_string (object, "internalTrafficPolicy", "Cluster");
  if (balanced)
    cube_mut_default_bool (object, "allocateLoadBalancerNodePorts", TRUE);
}

static void
service_port (CubeMut *object)
{
  CubeMut *target = cube_mut_member (object, "targetPort"), *port = cube_mut_member (object, "port");
  const char *name = cube_mut_string (target);
  if (port != NULL && (target == NULL || (name != NULL && *name == '\0') || (name == NULL && cube_mut_int (target, 1) == 0)))
    cube_mut_set (object, "targetPort", cube_mut_new_copy (cube_mut_builder (object), port));
}

static void
service (CubeMut *object)
{
  if (!cube_mut_string_is (cube_mut_member (object, "spec"), "type", "LoadBalancer"))
    return;
  CubeMut *ingress = cube_mut_get (object, "status", "loadBalancer", "ingress");
  for (guint i = 0; i < cube_mut_length (ingress); i++)
    {
      CubeMut *one = cube_mut_element (ingress, i);
      if (cube_mut_string (cube_mut_member (one, "ip")) != NULL)
        cube_mut_default_string (one, "ipMode", "VIP");
    }
}

static void
namespace_label (CubeMut *object)
{
  const char *name = cube_mut_string (cube_mut_get (object, "metadata", "name"));
  if (name == NULL || *name == '\0')
    return;
  g_autofree char *copy = g_strdup (name);
  cube_mut_set_string (cube_mut_ensure (object, "metadata", "labels"), "kubernetes.io/metadata.name", copy);
}

static void
node_status (CubeMut *object)
{
  CubeMut *capacity = cube_mut_member (object, "capacity");
  if (capacity != NULL && cube_mut_member (object, "allocatable") == NULL)
    cube_mut_set (object, "allocatable", cube_mut_new_copy (cube_mut_builder (object), capacity));
}

static void
limit_range_item (CubeMut *object)
{
  if (!cube_mut_string_is (object, "type", "Container"))
    return;
  if (cube_mut_length (cube_mut_member (object, "max")) > 0)
    copy_map_if_absent (cube_mut_member (object, "max"), cube_mut_ensure_object (object, "default"));
  if (cube_mut_length (cube_mut_member (object, "default")) > 0)
    copy_map_if_absent (cube_mut_member (object, "default"), cube_mut_ensure_object (object, "defaultRequest"));
  if (cube_mut_length (cube_mut_member (object, "min")) > 0)
    copy_map_if_absent (cube_mut_member (object, "min"), cube_mut_ensure_object (object, "defaultRequest"));
}

static void
rbac_subject (CubeMut *object)
{
  if (cube_mut_string_is (object, "kind", "User") || cube_mut_string_is (object, "kind", "Group"))
    cube_mut_default_string (object, "apiGroup", "rbac.authorization.k8s.io");
}

static void
device_request (CubeMut *object)
{
  if (cube_mut_string_is (object, "allocationMode", "ExactCount") && cube_mut_int (cube_mut_member (object, "count"), 0) == 0)
    cube_mut_set_int (object, "count", 1);
}

static void
network_policy_spec (CubeMut *object)
{
  if (cube_mut_length (cube_mut_member (object, "policyTypes")) > 0)
    return;
  CubeMut *types = cube_mut_set_array (object, "policyTypes");
  cube_mut_append_string (types, "Ingress");
  if (cube_mut_length (cube_mut_member (object, "egress")) > 0)
    cube_mut_append_string (types, "Egress");
}

static void
crd_names (CubeMut *object)
{
  const char *kind = cube_mut_string (cube_mut_member (object, "kind"));
  if (kind == NULL || *kind == '\0')
    return;
  g_autofree char *lower = g_ascii_strdown (kind, -1), *list = g_strconcat (kind, "List", NULL);
  cube_mut_default_string (object, "singular", lower);
  cube_mut_default_string (object, "listKind", list);
}

static void
crd (CubeMut *object)
{
  CubeMut *versions = cube_mut_get (object, "spec", "versions");
  if (cube_mut_length (cube_mut_get (object, "status", "storedVersions")) > 0)
    return;
  for (guint i = 0; i < cube_mut_length (versions); i++)
    {
      CubeMut *version = cube_mut_element (versions, i);
      const char *name = cube_mut_string (cube_mut_member (version, "name"));
      if (name != NULL && cube_mut_bool (cube_mut_member (version, "storage"), FALSE))
        {
          g_autofree char *copy = g_strdup (name);
          cube_mut_append_string (cube_mut_set_array (cube_mut_ensure (object, "status", NULL), "storedVersions"), copy);
          return;
        }
    }
}

/* stringData is written only: it goes into data, over what is there. */
static void
secret (CubeMut *object)
{
  CubeMut *texts = cube_mut_member (object, "stringData");
  guint n = cube_mut_length (texts);
  if (cube_mut_type (texts) != CUBE_VALUE_OBJECT)
    return;
  for (guint i = 0; i < n; i++)
    {
      const char *key, *text = cube_mut_string (cube_mut_member_at (texts, i, &key));
      if (text == NULL)
        continue;
      g_autofree char *encoded = g_base64_encode ((const guchar *) text, strlen (text));
      cube_mut_set_string (cube_mut_ensure_object (object, "data"), key, encoded);
    }
  cube_mut_remove (object, "stringData");
}

void
cube_default_hook (CubeDefaultHook hook, CubeMut *object)
{
  static void (*const hooks[CUBE_DEFAULT_N]) (CubeMut *) = {
    [CUBE_DEFAULT_CONTAINER] = container,
    [CUBE_DEFAULT_IMAGE_VOLUME] = image_volume,
    [CUBE_DEFAULT_VOLUME] = volume,
    [CUBE_DEFAULT_POD] = pod,
    [CUBE_DEFAULT_POD_SPEC] = pod_spec,
    [CUBE_DEFAULT_SERVICE_SPEC] = service_spec,
    [CUBE_DEFAULT_SERVICE_PORT] = service_port,
    [CUBE_DEFAULT_SERVICE] = service,
    [CUBE_DEFAULT_NAMESPACE] = namespace_label,
    [CUBE_DEFAULT_NODE_STATUS] = node_status,
    [CUBE_DEFAULT_LIMIT_RANGE_ITEM] = limit_range_item,
    [CUBE_DEFAULT_RBAC_SUBJECT] = rbac_subject,
    [CUBE_DEFAULT_DEVICE_REQUEST] = device_request,
    [CUBE_DEFAULT_NETWORK_POLICY_SPEC] = network_policy_spec,
    [CUBE_DEFAULT_CRD_NAMES] = crd_names,
    [CUBE_DEFAULT_CRD] = crd,
    [CUBE_DEFAULT_SECRET] = secret,
  };
  if (hooks[hook] != NULL)
    hooks[hook](object);
  else
    cube_default_hook_workload (hook, object);
}
