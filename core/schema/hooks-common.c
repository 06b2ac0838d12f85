/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kinds with rules of their own. */
#include "validate.h"

typedef struct {
  const char *group, *kind;
  void (*validate) (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors);
  void (*warn) (CubeView object, CubeView old, GPtrArray *warnings);
} KindHook;

/* ---- the selector of a workload must select its own template ---- */

static void
validate_template_labels (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView selector_view = cube_view_get (object, "spec", "selector"), labels = cube_view_get (object, "spec", "template", "metadata", "labels");
  if (*subresource != '\0' || !cube_view_exists (selector_view))
    return;
  g_autoptr (CubeSelector) selector = cube_selector_from_view (selector_view, NULL);
  if (selector == NULL || cube_selector_is_everything (selector)) {
    cube_field_errors_add (errors, "Invalid", "spec.selector", selector_view, "%s",
                           selector == NULL ? "invalid label selector" : "empty selector is invalid for deployment");
    return;
  }
  if (!cube_selector_matches_labels (selector, labels))
    cube_field_errors_add (errors, "Invalid", "spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
}

static const KindHook kind_hooks[] = {
  { "", "Pod", cube_hook_pod, cube_warn_pod_object },
  { "apps", "Deployment", validate_template_labels, NULL },
  { "apps", "ReplicaSet", validate_template_labels, NULL },
  { "apps", "StatefulSet", validate_template_labels, NULL },
  { "apps", "DaemonSet", validate_template_labels, NULL },
};

static const KindHook *
find_hook (const CubeResource *resource)
{
  for (guint i = 0; i < G_N_ELEMENTS (kind_hooks); i++)
    if (strcmp (kind_hooks[i].kind, resource->kind) == 0 && strcmp (kind_hooks[i].group, resource->group) == 0)
      return &kind_hooks[i];
  return NULL;
}

void
cube_hooks_validate (const CubeResource *resource, const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  const KindHook *hook = find_hook (resource);
  if (hook != NULL && hook->validate != NULL)
    hook->validate (subresource, object, old, errors);
}

void
cube_hooks_warn (const CubeResource *resource, CubeView object, CubeView old, GPtrArray *warnings)
{
  const KindHook *hook = find_hook (resource);
  if (hook != NULL && hook->warn != NULL)
    hook->warn (object, old, warnings);
}
