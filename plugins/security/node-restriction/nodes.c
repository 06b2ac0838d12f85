/* SPDX-License-Identifier: Apache-2.0 */
/* What a node may write into its own Node. */
#include "restriction.h"

#include <string.h>

static const char *const own_labels[] = {
  "kubernetes.io/hostname",
  "topology.kubernetes.io/zone",
  "topology.kubernetes.io/region",
  "failure-domain.beta.kubernetes.io/zone",
  "failure-domain.beta.kubernetes.io/region",
  "node.kubernetes.io/instance-type",
  "beta.kubernetes.io/instance-type",
  "kubernetes.io/os",
  "kubernetes.io/arch",
  "beta.kubernetes.io/os",
  "beta.kubernetes.io/arch",
  NULL,
};
static const char *const own_spec[] = { "podCIDR", "podCIDRs", "providerID", "unschedulable", NULL };

static gboolean
is_forbidden_label (const char *key)
{
  const char *slash = strchr (key, '/');
  g_autofree char *domain = slash != NULL ? g_strndup (key, (gsize) (slash - key)) : g_strdup ("");

  if (!g_str_equal (domain, "kubernetes.io") && !g_str_equal (domain, "k8s.io") && !g_str_has_suffix (domain, ".kubernetes.io")
      && !g_str_has_suffix (domain, ".k8s.io"))
    return FALSE;
  return !g_strv_contains (own_labels, key) && !g_str_equal (domain, "kubelet.kubernetes.io")
         && !g_str_has_suffix (domain, ".kubelet.kubernetes.io") && !g_str_equal (domain, "node.kubernetes.io")
         && !g_str_has_suffix (domain, ".node.kubernetes.io");
}

static void
add_differing (GPtrArray *out, CubeView labels, CubeView others)
{
  CubeIter it;
  const char *key;
  CubeView value;

  for (cube_iter_init (&it, labels); cube_iter_next (&it, &key, &value);)
    if (key != NULL && !cube_view_equal (value, cube_view_member (others, key)) && is_forbidden_label (key)
        && !g_ptr_array_find_with_equal_func (out, key, g_str_equal, NULL))
      g_ptr_array_add (out, (gpointer) key);
}

static int
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(char *const *) a, *(char *const *) b);
}

char *
restriction_forbidden_labels (CubeView before, CubeView now)
{
  g_autoptr (GPtrArray) keys = g_ptr_array_new ();

  add_differing (keys, now, before);
  add_differing (keys, before, now);
  if (keys->len == 0)
    return NULL;
  g_ptr_array_sort (keys, compare);
  g_ptr_array_add (keys, NULL);
  return g_strjoinv (", ", (char **) keys->pdata);
}

/* Absent and empty are the same. */
static gboolean
same (CubeView a, CubeView b)
{
  return cube_view_equal (a, b)
         || (cube_view_length (a) == 0 && cube_view_length (b) == 0 && cube_view_string (a) == NULL && cube_view_string (b) == NULL);
}

static gboolean
check_spec (const char *node, const CubeAdmissionRequest *request, CubeView before, CubeView now, GError **error)
{
  CubeIter it;
  const char *key;
  CubeView value;

  for (cube_iter_init (&it, now); cube_iter_next (&it, &key, &value);)
    if (!g_strv_contains (own_spec, key) && !same (value, cube_view_member (before, key)))
      return admission_forbid (request, error, "node \"%s\" is not allowed to modify spec.%s", node, key);
  for (cube_iter_init (&it, before); cube_iter_next (&it, &key, &value);)
    if (!g_strv_contains (own_spec, key) && !same (value, cube_view_member (now, key)))
      return admission_forbid (request, error, "node \"%s\" is not allowed to modify spec.%s", node, key);
  return TRUE;
}

static gboolean
check_metadata (const char *node, const CubeAdmissionRequest *request, CubeView before, CubeView now, GError **error)
{
  static const char *const fixed[] = { "ownerReferences", "finalizers" };
  g_autofree char *labels = restriction_forbidden_labels (cube_view_member (before, "labels"), cube_view_member (now, "labels"));

  for (guint i = 0; i < G_N_ELEMENTS (fixed); i++) /* an owner that goes takes the node along, and with it what guards it */
    if (!same (cube_view_member (before, fixed[i]), cube_view_member (now, fixed[i])))
      return admission_forbid (request, error, "node \"%s\" is not allowed to modify %s", node, fixed[i]);
  if (labels == NULL)
    return TRUE;
  return request->verb == CUBE_VERB_CREATE
             ? admission_forbid (request, error, "node \"%s\" is not allowed to set the following labels: %s", node, labels)
             : admission_forbid (request, error, "node \"%s\" is not allowed to modify labels: %s", node, labels);
}

gboolean
restriction_check_node (const char *node, const CubeAdmissionRequest *request, CubeView object, GError **error)
{
  CubeView before = request->old;

  if (!g_str_equal (request->name, node))
    return admission_forbid (request, error, "node \"%s\" is not allowed to modify node \"%s\"", node, request->name);
  if (request->verb == CUBE_VERB_DELETE)
    return admission_forbid (request, error, "node \"%s\" is not allowed to delete itself", node);
  if (!admission_is_whole (request->subresource) && !g_str_equal (request->subresource, "status"))
    return admission_forbid (request, error, "node \"%s\" is not allowed to write nodes/%s", node, request->subresource);
  if (!check_metadata (node, request, cube_view_member (before, "metadata"), cube_view_member (object, "metadata"), error))
    return FALSE;
  if (request->verb == CUBE_VERB_CREATE)
    return !cube_view_exists (cube_view_get (object, "spec", "configSource"))
           || admission_forbid (request, error, "node \"%s\" is not allowed to create pods with a non-nil configSource", node);
  if (!same (cube_view_get (before, "spec", "taints"), cube_view_get (object, "spec", "taints")))
    return admission_forbid (request, error, "node \"%s\" is not allowed to modify taints", node);
  return check_spec (node, request, cube_view_member (before, "spec"), cube_view_member (object, "spec"), error);
}
