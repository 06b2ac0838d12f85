/* SPDX-License-Identifier: Apache-2.0 */
/* Resizes of pods: amounts of processor and memory change, all else stays. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- names and the pod's own resources ---- */

static void
check_pod_level (CubeFieldErrors *errors, CubeView object, CubeView old)
{
  static const char *const lists[] = { "containers", "initContainers" }, *const sides[] = { "requests", "limits" };
  CubeView resources = cube_view_get (object, "spec", "resources"), before = cube_view_get (old, "spec", "resources");
  CubePath resources_at = CUBE_AT (&spec_path, "resources");
  CubeIter it;
  const char *key;
  for (guint i = 0; i < 2; i++)
    {
      CubePath at = CUBE_AT (&spec_path, lists[i]);
      CubeView now = cube_view_get (object, "spec", lists[i]), past = cube_view_get (old, "spec", lists[i]);
      for (guint c = 0; c < cube_view_length (now) && cube_view_length (now) == cube_view_length (past); c++)
        if (!cube_view_equal (cube_view_member (cube_view_element (now, c), "name"),
                              cube_view_member (cube_view_element (past, c), "name")))
          {
            CubePath here = CUBE_AT_INDEX (&at, c);
            cube_check_add (errors, "Forbidden", &CUBE_AT (&here, "name"), cube_view_none (),
                            "%s may not be renamed or reordered on resize", lists[i]);
          }
    }
  if (!cube_view_exists (before))
    return;
  if (!cube_view_exists (resources))
    {
      cube_check_forbidden (errors, &resources_at, "pod-level resources cannot be removed");
      return;
    }
  for (guint i = 0; i < 2; i++)
    for (cube_iter_init (&it, cube_view_member (before, sides[i])); cube_iter_next (&it, &key, NULL);)
      if (!cube_view_exists (cube_view_get (resources, sides[i], key)))
        {
          cube_check_add (errors, "Forbidden", &CUBE_AT (&resources_at, sides[i]), cube_view_none (),
                          "pod-level resource %s cannot be removed", sides[i]);
          break;
        }
}

/* ---- what else may not change ---- */

static gboolean
same_others (CubeView now, CubeView before)
{
  static const char *const sides[] = { "requests", "limits" };
  CubeIter it;
  const char *key;
  CubeView v;
  for (guint s = 0; s < 2; s++)
    for (guint turn = 0; turn < 2; turn++)
      {
        CubeView a = cube_view_member (turn == 0 ? now : before, sides[s]), b = cube_view_member (turn == 0 ? before : now, sides[s]);
        for (cube_iter_init (&it, a); cube_iter_next (&it, &key, &v);)
          if (strcmp (key, "cpu") != 0 && strcmp (key, "memory") != 0 && !cube_view_equal (v, cube_view_member (b, key)))
            return FALSE;
      }
  return TRUE;
}

static gboolean
restarts_on_resize (CubeView container)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (container, "resizePolicy")); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "restartPolicy"), "RestartContainer") == 0)
      return TRUE;
  return FALSE;
}

static void
check_init_containers (CubeFieldErrors *errors, CubeView now, CubeView before)
{
  CubePath list = CUBE_AT (&spec_path, "initContainers");
  for (guint i = 0; i < cube_view_length (now) && i < cube_view_length (before); i++)
    {
      CubeView a = cube_view_element (now, i), b = cube_view_element (before, i);
      CubePath at = CUBE_AT_INDEX (&list, i);
      if (!same_others (cube_view_member (a, "resources"), cube_view_member (b, "resources")))
        cube_check_forbidden (errors, &at, "only cpu and memory resources for init or sidecar containers are mutable");
      else if (g_strcmp0 (cube_view_get_string (a, "restartPolicy"), "Always") != 0 && restarts_on_resize (a)
               && !cube_view_equal (cube_view_member (a, "resources"), cube_view_member (b, "resources")))
        cube_check_forbidden (errors, &at, "non-sidecar init containers with a resize policy of RestartContainer cannot be resized");
    }
}

static void
check_other_resources (CubeFieldErrors *errors, CubeView object, CubeView old)
{
  CubeView spec = cube_view_member (object, "spec"), before = cube_view_member (old, "spec");
  CubeView now = cube_view_member (spec, "containers"), past = cube_view_member (before, "containers");
  if (cube_view_length (cube_view_get (old, "status", "nodeAllocatableResourceClaimStatuses")) > 0)
    cube_check_forbidden (errors, &spec_path, "pods with node allocatable resource claims cannot be resized");
  if (!same_others (cube_view_member (spec, "resources"), cube_view_member (before, "resources")))
    cube_check_forbidden (errors, &spec_path, "only cpu and memory resources are mutable at pod-level");
  for (guint i = 0; i < cube_view_length (now) && i < cube_view_length (past); i++)
    if (!same_others (cube_view_get (cube_view_element (now, i), "resources"), cube_view_get (cube_view_element (past, i), "resources")))
      {
        cube_check_forbidden (errors, &spec_path, "only cpu and memory resources are mutable");
        break;
      }
  check_init_containers (errors, cube_view_member (spec, "initContainers"), cube_view_member (before, "initContainers"));
}

static void
check_resize_keys (CubeView now, CubeView before, const CubePath *path, CubeFieldErrors *errors)
{
  static const char *const sides[][2] = { { "requests", "resource requests cannot be removed" },
                                          { "limits", "resource limits cannot be removed" } };
  CubeIter it;
  const char *key;
  for (guint i = 0; i < G_N_ELEMENTS (sides); i++)
    for (cube_iter_init (&it, cube_view_get (before, "resources", sides[i][0])); cube_iter_next (&it, &key, NULL);)
      if (!cube_view_exists (cube_view_get (now, "resources", sides[i][0], key)))
        {
          CubePath at = CUBE_AT (path, "resources");
          cube_check_add (errors, "Forbidden", &CUBE_AT (&at, sides[i][0]), cube_view_none (), "%s", sides[i][1]);
          break;
        }
}

void
cube_check_pod_resize (CubeFieldErrors *errors, CubeView object, CubeView old)
{
  static const char *const lists[] = { "containers", "initContainers" };
  CubeView spec = cube_view_member (object, "spec"), old_spec = cube_view_member (old, "spec");
  check_pod_level (errors, object, old);
  check_other_resources (errors, object, old);
  if (cube_view_exists (cube_view_get (object, "metadata", "annotations", "kubernetes.io/config.mirror")))
    cube_field_errors_add (errors, "Forbidden", "", cube_view_none (), "static pods cannot be resized");
  if (g_strcmp0 (cube_view_get_string (spec, "os", "name"), "windows") == 0)
    cube_field_errors_add (errors, "Forbidden", "", cube_view_none (), "windows pods cannot be resized");
  if (strcmp (cube_pod_qos_class (spec), cube_view_string_or (cube_view_get (old, "status", "qosClass"), cube_pod_qos_class (old_spec)))
      != 0)
    cube_check_add_text (errors, "Invalid", &spec_path, cube_pod_qos_class (spec), "Pod QOS Class may not change as a result of resizing");
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      CubePath at = CUBE_AT (&spec_path, lists[i]);
      CubeView now = cube_view_member (spec, lists[i]), before = cube_view_member (old_spec, lists[i]);
      if (cube_view_length (now) != cube_view_length (before))
        {
          cube_check_add (errors, "Forbidden", &at, cube_view_none (), "%s may not be added or removed on resize", lists[i]);
          continue;
        }
      for (guint c = 0; c < cube_view_length (now); c++)
        check_resize_keys (cube_view_element (now, c), cube_view_element (before, c), &CUBE_AT_INDEX (&at, c), errors);
    }
}
