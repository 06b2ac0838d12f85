/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of Pod: what a create may say, what an update may change, and warnings. */
#include "validate-more.h"

#define MIRROR "kubernetes.io/config.mirror"
#define MAY_CHANGE                                                                                                                                  \
  "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"            \
  "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously " \
  "negative)"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath metadata_path = { NULL, "metadata", 0, FALSE };

static void
check_annotations (CubeView metadata, CubeView spec, gboolean is_create, CubeFieldErrors *errors)
{
  CubeView annotations = cube_view_member (metadata, "annotations");
  if (cube_view_length (annotations) == 0)
    return;
  if (cube_has_profiles (annotations))
    {
      cube_check_profiles (errors, &CUBE_AT (&metadata_path, "annotations"), annotations, spec);
      if (is_create)
        cube_check_profiles_match (errors, &spec_path, annotations, spec);
    }
  CubeView mirror = cube_view_member (annotations, MIRROR),
           cost = cube_view_member (annotations, "controller.kubernetes.io/pod-deletion-cost");
  CubePath at = CUBE_AT (&metadata_path, "annotations");
  if (cube_view_exists (mirror) && cube_view_length (cube_view_member (spec, "resourceClaims")) > 0)
    cube_field_errors_add (errors, "Forbidden", "", cube_view_none (), "static pods do not support resource claims");
  if (cube_view_exists (mirror) && cube_is_empty (cube_view_member (spec, "nodeName")))
    cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, MIRROR), mirror, "must set spec.nodeName if mirror pod annotation is set");
  if (cube_view_exists (cost))
    {
      const char *text = cube_view_string_or (cost, "");
      char *end, canonical[24];
      gint64 number = g_ascii_strtoll (text, &end, 10);
      g_snprintf (canonical, sizeof canonical, "%" G_GINT64_FORMAT, number);
      if (*text == '\0' || *end != '\0' || number < G_MININT32 || number > G_MAXINT32 || strcmp (canonical, text) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT_KEY (&at, "controller.kubernetes.io/pod-deletion-cost"), cost,
                        "must be a 32bit integer");
    }
}

static void
check_create (CubeView spec, CubeFieldErrors *errors)
{
  if (cube_view_length (cube_view_member (spec, "ephemeralContainers")) > 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, "ephemeralContainers"), cube_view_none (), "cannot be set on create");
  if (!cube_is_empty (cube_view_member (spec, "nodeName")) && cube_view_length (cube_view_member (spec, "schedulingGates")) > 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, "nodeName"), cube_view_none (),
                    "cannot be set until all schedulingGates have been cleared");
}

/* ---- update ---- */

static void
check_deadline (CubeView spec, CubeView old, CubeFieldErrors *errors)
{
  CubeView now = cube_view_member (spec, "activeDeadlineSeconds"), before = cube_view_member (old, "activeDeadlineSeconds");
  CubePath at = CUBE_AT (&spec_path, "activeDeadlineSeconds");
  if (cube_view_int (now, 0) < 0 || cube_view_int (now, 0) > G_MAXINT32)
    {
      cube_check_add (errors, "Invalid", &at, now, "must be between 0 and 2147483647, inclusive");
      return;
    }
  if (!cube_view_exists (before))
    return;
  if (!cube_view_exists (now))
    cube_check_add (errors, "Invalid", &at, now, "must not update from a positive integer to nil value");
  else if (cube_view_int (now, 0) > cube_view_int (before, 0))
    cube_check_add (errors, "Invalid", &at, now, "must be less than or equal to previous value");
}

static gboolean
same_toleration (CubeView a, CubeView b)
{
  static const char *const fields[] = { "key", "operator", "value", "effect" };
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (strcmp (cube_view_string_or (cube_view_member (a, fields[i]), ""), cube_view_string_or (cube_view_member (b, fields[i]), "")) != 0)
      return FALSE;
  return TRUE;
}

static void
check_old_tolerations (CubeView spec, CubeView old, CubeFieldErrors *errors)
{
  CubeView now = cube_view_member (spec, "tolerations"), v, w;
  CubeIter it, inner;
  if (cube_view_equal (now, cube_view_member (old, "tolerations")))
    return;
  for (cube_iter_init (&it, cube_view_member (old, "tolerations")); cube_iter_next (&it, NULL, &v);)
    {
      gboolean is_kept = FALSE;
      for (cube_iter_init (&inner, now); !is_kept && cube_iter_next (&inner, NULL, &w);)
        is_kept = same_toleration (v, w);
      if (!is_kept)
        {
          cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, "tolerations"), cube_view_none (),
                          "existing toleration can not be modified except its tolerationSeconds");
          return;
        }
    }
}

static void
check_old_gates (CubeView spec, CubeView old, CubeFieldErrors *errors)
{
  CubePath at = CUBE_AT (&spec_path, "schedulingGates");
  CubeIter it, inner;
  CubeView v, w;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "schedulingGates")); cube_iter_next (&it, NULL, &v); i++)
    {
      gboolean is_known = FALSE;
      for (cube_iter_init (&inner, cube_view_member (old, "schedulingGates")); !is_known && cube_iter_next (&inner, NULL, &w);)
        is_known = cube_view_equal (cube_view_member (v, "name"), cube_view_member (w, "name"));
      if (!is_known)
        {
          CubePath gate = CUBE_AT_INDEX (&at, i);
          cube_check_add (errors, "Forbidden", &CUBE_AT (&gate, "name"), cube_view_none (),
                          "only deletion is allowed, but found new scheduling gate '%s'",
                          cube_view_string_or (cube_view_member (v, "name"), ""));
        }
    }
}

static gboolean
starts_with (CubeView list, CubeView start)
{
  for (guint i = 0; i < cube_view_length (start); i++)
    if (!cube_view_equal (cube_view_element (list, i), cube_view_element (start, i)))
      return FALSE;
  return TRUE;
}

/* A term that says nothing matches nothing: it stays as it is. */
static void
check_gated_term (CubeView term, CubeView old, guint index, CubeFieldErrors *errors)
{
  CubeView expressions = cube_view_member (old, "matchExpressions"), fields = cube_view_member (old, "matchFields");
  gboolean is_same = cube_view_length (expressions) == 0 && cube_view_length (fields) == 0
                         ? cube_view_length (cube_view_member (term, "matchExpressions")) == 0
                               && cube_view_length (cube_view_member (term, "matchFields")) == 0
                         : starts_with (cube_view_member (term, "matchExpressions"), expressions)
                               && starts_with (cube_view_member (term, "matchFields"), fields);
  g_autofree char *path =
      g_strdup_printf ("spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[%u]", index);
  if (!is_same)
    cube_field_errors_add (errors, "Invalid", path, term, "only additions are allowed (no mutations or deletions)");
}

/* While it is gated a pod may narrow where it goes. */
static void
check_gated_placement (CubeView spec, CubeView old, CubeFieldErrors *errors)
{
  CubeIter it;
  const char *key;
  CubeView v, now = cube_view_member (spec, "nodeSelector");
  for (cube_iter_init (&it, cube_view_member (old, "nodeSelector")); cube_iter_next (&it, &key, &v);)
    if (!cube_view_equal (cube_view_member (now, key), v))
      {
        cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "nodeSelector"), now,
                        "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
        break;
      }
  CubeView terms = cube_view_get (spec, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms");
  CubeView old_terms =
      cube_view_get (old, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms");
  if (cube_view_length (old_terms) > 0 && cube_view_length (terms) != cube_view_length (old_terms))
    cube_field_errors_add (errors, "Invalid", "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms",
                           terms, "no additions/deletions to non-empty NodeSelectorTerms list are allowed");
  else
    for (guint i = 0; i < cube_view_length (old_terms); i++)
      check_gated_term (cube_view_element (terms, i), cube_view_element (old_terms, i), i, errors);
}

static void
keep_images (CubeMut *spec, CubeView old, const char *list)
{
  CubeMut *containers = cube_mut_member (spec, list);
  CubeView before = cube_view_member (old, list);
  for (guint i = 0; i < cube_mut_length (containers); i++)
    cube_mut_set_view (cube_mut_element (containers, i), "image", cube_view_member (cube_view_element (before, i), "image"));
}

static void
check_other_fields (CubeView spec, CubeView old, CubeFieldErrors *errors)
{
  static const char *const free_fields[] = { "activeDeadlineSeconds", "tolerations", "schedulingGates", "ephemeralContainers" };
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (spec);
  CubeMut *root = cube_builder_root (builder);
  keep_images (root, old, "containers");
  keep_images (root, old, "initContainers");
  for (guint i = 0; i < G_N_ELEMENTS (free_fields); i++)
    if (strcmp (free_fields[i], "ephemeralContainers") != 0)
      cube_mut_set_view (root, free_fields[i], cube_view_member (old, free_fields[i]));
  gint64 grace = cube_view_get_int (old, 0, "terminationGracePeriodSeconds");
  if (grace < 0 && cube_view_get_int (spec, 0, "terminationGracePeriodSeconds") == 1)
    cube_mut_set_int (root, "terminationGracePeriodSeconds", grace);
  if (cube_view_length (cube_view_member (old, "schedulingGates")) > 0)
    {
      cube_mut_set_view (root, "nodeSelector", cube_view_member (old, "nodeSelector"));
      CubeView affinity = cube_view_member (old, "affinity"), node = cube_view_member (affinity, "nodeAffinity");
      if (cube_view_exists (node))
        cube_mut_set_view (cube_mut_ensure_object (root, "affinity"), "nodeAffinity", node);
      else if (cube_mut_member (root, "affinity") != NULL)
        cube_mut_remove (cube_mut_member (root, "affinity"), "nodeAffinity");
      if (!cube_view_exists (affinity) && cube_mut_length (cube_mut_member (root, "affinity")) == 0)
        cube_mut_remove (root, "affinity");
    }
  if (cube_mut_equal_view (root, old))
    return;
  g_autoptr (GString) fields = g_string_new (NULL);
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, old); cube_iter_next (&it, &key, &v);)
    if (!cube_mut_equal_view (cube_mut_member (root, key), v))
      g_string_append_printf (fields, "\n- spec.%s", key);
  for (guint i = 0; i < cube_mut_length (root); i++)
    {
      cube_mut_member_at (root, i, &key);
      if (!cube_view_exists (cube_view_member (old, key)))
        g_string_append_printf (fields, "\n+ spec.%s", key);
    }
  cube_check_add (errors, "Forbidden", &spec_path, cube_view_none (), MAY_CHANGE "%s", fields->str);
}

static void
check_update (CubeView object, CubeView old_object, CubeFieldErrors *errors)
{
  static const char *const lists[] = { "containers", "initContainers" };
  CubeView spec = cube_view_member (object, "spec"), old = cube_view_member (old_object, "spec");
  CubeView mirror = cube_view_get (object, "metadata", "annotations", MIRROR),
           old_mirror = cube_view_get (old_object, "metadata", "annotations", MIRROR);
  if (!cube_view_equal (mirror, old_mirror))
    {
      CubePath at = CUBE_AT (&metadata_path, "annotations");
      cube_check_add (errors, "Forbidden", &CUBE_AT_KEY (&at, MIRROR), cube_view_none (), "may not %s mirror pod annotation",
                      cube_view_exists (old_mirror) ? "remove or update" : "add");
    }
  cube_check_profiles_kept (errors, &CUBE_AT (&metadata_path, "annotations"), cube_view_get (object, "metadata", "annotations"),
                            cube_view_get (old_object, "metadata", "annotations"));
  if (cube_view_equal (spec, old))
    return;
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    if (cube_view_length (cube_view_member (spec, lists[i])) != cube_view_length (cube_view_member (old, lists[i])))
      {
        cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, lists[i]), cube_view_none (),
                        "pod updates may not add or remove containers");
        return;
      }
  check_deadline (spec, old, errors);
  check_old_tolerations (spec, old, errors);
  check_old_gates (spec, old, errors);
  if (cube_view_length (cube_view_member (old, "schedulingGates")) > 0)
    check_gated_placement (spec, old, errors);
  check_other_fields (spec, old, errors);
}

/* ---- other doors ---- */

static void
check_ephemeral_update (CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView now = cube_view_get (object, "spec", "ephemeralContainers"), v, w;
  CubeIter it, inner;
  CubePath at = CUBE_AT (&spec_path, "ephemeralContainers");
  if (cube_view_exists (cube_view_get (object, "metadata", "annotations", MIRROR)))
    cube_field_errors_add (errors, "Forbidden", "", cube_view_none (), "static pods do not support ephemeral containers");
  for (cube_iter_init (&it, cube_view_get (old, "spec", "ephemeralContainers")); cube_iter_next (&it, NULL, &v);)
    {
      const char *name = cube_view_string_or (cube_view_member (v, "name"), "");
      gboolean is_found = FALSE;
      for (cube_iter_init (&inner, now); !is_found && cube_iter_next (&inner, NULL, &w);)
        is_found = g_strcmp0 (cube_view_string (cube_view_member (w, "name")), name) == 0;
      if (!is_found)
        cube_check_add (errors, "Forbidden", &at, cube_view_none (), "existing ephemeral containers \"%s\" may not be removed\n", name);
      else if (!cube_view_equal (v, w))
        cube_check_add (errors, "Forbidden", &at, cube_view_none (), "existing ephemeral containers \"%s\" may not be changed\n", name);
    }
}

void
cube_hook_pod (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), metadata = cube_view_member (object, "metadata");
  gboolean is_resize = strcmp (subresource, "resize") == 0, is_ephemeral = strcmp (subresource, "ephemeralcontainers") == 0;
  if (strcmp (subresource, "status") == 0)
    {
      CubeView now = cube_view_get (object, "status", "qosClass"), before = cube_view_get (old, "status", "qosClass");
      if (cube_view_exists (before) && !cube_view_equal (now, before))
        cube_field_errors_add (errors, "Invalid", "status.qosClass", now, "field is immutable");
      cube_check_pod_status (errors, object, old);
      return;
    }
  if (*subresource != '\0' && !is_resize && !is_ephemeral)
    return;
  /* an update that leaves the spec alone (labels, finalizers) has nothing new to check */
  if (!cube_view_exists (old) || !cube_view_equal (spec, cube_view_member (old, "spec")))
    cube_check_pod_spec (errors, &spec_path, spec, metadata, FALSE);
  check_annotations (metadata, spec, !cube_view_exists (old), errors);
  if (is_resize)
    cube_check_pod_resize (errors, object, old);
  else if (is_ephemeral)
    check_ephemeral_update (object, old, errors);
  else if (cube_view_exists (old))
    check_update (object, old, errors);
  else
    check_create (spec, errors);
}

/* ---- warnings ---- */

static void
warn (GPtrArray *warnings, const CubePath *path, const char *format, ...)
{
  g_autofree char *text = NULL, *where = path == NULL ? NULL : cube_path_to_string (path);
  va_list args;
  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_ptr_array_add (warnings, where == NULL ? g_steal_pointer (&text) : g_strdup_printf ("%s: %s", where, text));
}

static void
warn_env (GPtrArray *warnings, const CubePath *path, CubeView env)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  if (cube_view_length (env) < 2)
    return;
  for (cube_iter_init (&it, env); cube_iter_next (&it, NULL, &v); i++)
    {
      const char *name = cube_view_string_or (cube_view_member (v, "name"), "");
      g_autofree char *reference = g_strdup_printf ("$(%s)", name);
      if (!cube_check_unique (&seen, name) && strstr (cube_view_string_or (cube_view_member (v, "value"), ""), reference) == NULL)
        warn (warnings, &CUBE_AT_INDEX (path, i), "hides previous definition of \"%s\", which may be dropped when using apply", name);
    }
}

static void
warn_resources (GPtrArray *warnings, const CubePath *path, CubeView resources)
{
  static const char *const sides[] = { "limits", "requests" }, *const names[] = { "memory", "ephemeral-storage" };
  for (guint s = 0; s < 2; s++)
    for (guint n = 0; n < 2; n++)
      {
        CubeView amount = cube_view_get (resources, sides[s], names[n]);
        CubeQuantity quantity;
        if (!cube_quantity_from_view (amount, &quantity) || quantity.scale >= 0 || cube_quantity_millis (&quantity) % 1000 == 0)
          continue;
        CubePath side = CUBE_AT (path, sides[s]);
        warn (warnings, &CUBE_AT_KEY (&side, names[n]), "fractional byte value \"%s\" is invalid, must be an integer",
              cube_view_string_or (amount, ""));
      }
}

static void
warn_ports (GPtrArray *warnings, const CubePath *path, CubeView ports)
{
  for (guint i = 1; i < MIN (cube_view_length (ports), 256u); i++)
    for (guint j = 0; j < i; j++)
      {
        CubeView a = cube_view_element (ports, i), b = cube_view_element (ports, j);
        gint64 host_a = cube_view_get_int (a, 0, "hostPort"), host_b = cube_view_get_int (b, 0, "hostPort");
        const char *ip_a = cube_view_string_or (cube_view_member (a, "hostIP"), ""),
                   *ip_b = cube_view_string_or (cube_view_member (b, "hostIP"), "");
        if (!cube_view_equal (cube_view_member (a, "containerPort"), cube_view_member (b, "containerPort"))
            || strcmp (cube_view_string_or (cube_view_member (a, "protocol"), "TCP"),
                       cube_view_string_or (cube_view_member (b, "protocol"), "TCP"))
                   != 0)
          continue;
        g_autofree char *other = cube_path_to_string (&CUBE_AT_INDEX (path, j));
        if (host_a == host_b && strcmp (ip_a, ip_b) == 0)
          warn (warnings, &CUBE_AT_INDEX (path, i), "duplicate port definition with %s", other);
        else if (host_a == 0 || host_b == 0)
          warn (warnings, &CUBE_AT_INDEX (path, i), "overlapping port definition with %s", other);
        else if (host_a == host_b && (*ip_a == '\0' || *ip_b == '\0'))
          warn (warnings, &CUBE_AT_INDEX (path, i), "dangerously ambiguous port definition with %s", other);
      }
}

static void
warn_containers (GPtrArray *warnings, const CubePath *path, CubeView spec)
{
  CubeContainerIter iter;
  CubeView container;
  CubeContainerKind kind;
  guint index;
  cube_containers_init (&iter, spec, CUBE_CONTAINER_ALL);
  while (cube_containers_next (&iter, &container, &kind, &index))
    {
      CubePath list = CUBE_AT (path, kind == CUBE_CONTAINER_INIT      ? "initContainers"
                                     : kind == CUBE_CONTAINER_REGULAR ? "containers"
                                                                      : "ephemeralContainers");
      CubePath at = CUBE_AT_INDEX (&list, index);
      warn_env (warnings, &CUBE_AT (&at, "env"), cube_view_member (container, "env"));
      warn_resources (warnings, &CUBE_AT (&at, "resources"), cube_view_member (container, "resources"));
      warn_ports (warnings, &CUBE_AT (&at, "ports"), cube_view_member (container, "ports"));
    }
}

static void
warn_volumes (GPtrArray *warnings, const CubePath *path, CubeView volumes)
{
  static const char *const old_kinds[][2] = { { "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+" },
                                              { "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+" },
                                              { "scaleIO", "deprecated in v1.16, non-functional in v1.22+" },
                                              { "flocker", "deprecated in v1.22, non-functional in v1.25+" },
                                              { "storageos", "deprecated in v1.22, non-functional in v1.25+" },
                                              { "quobyte", "deprecated in v1.22, non-functional in v1.25+" },
                                              { "glusterfs", "deprecated in v1.25, non-functional in v1.26+" },
                                              { "cephfs", "deprecated in v1.28, non-functional in v1.31+" },
                                              { "rbd", "deprecated in v1.28, non-functional in v1.31+" } };
  CubeIter it, inner;
  CubeView v;
  const char *key;
  guint i = 0;
  for (cube_iter_init (&it, volumes); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView projected = cube_view_member (v, "projected");
      for (cube_iter_init (&inner, v); cube_iter_next (&inner, &key, NULL);)
        for (guint k = 0; k < G_N_ELEMENTS (old_kinds); k++)
          if (strcmp (key, old_kinds[k][0]) == 0)
            warn (warnings, &CUBE_AT (&at, key), "%s", old_kinds[k][1]);
      if (cube_view_exists (projected) && cube_view_length (cube_view_member (projected, "sources")) == 0)
        warn (warnings, NULL, "volume \"%s\" (Projected) has no sources provided", cube_view_string_or (cube_view_member (v, "name"), ""));
    }
}

static void
warn_repeated (GPtrArray *warnings, const CubePath *path, CubeView list, const char *field)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      const char *text = cube_view_string_or (cube_view_member (v, field), "");
      if (*text == '\0' && strcmp (field, "name") == 0)
        warn (warnings, &CUBE_AT (&at, field), "invalid empty name \"\"");
      else if (!cube_check_unique (&seen, text))
        warn (warnings, &CUBE_AT (&at, field), "duplicate %s \"%s\"", field, text);
    }
}

static void
warn_selectors (GPtrArray *warnings, const CubePath *path, CubeView spec)
{
  static const char *const sides[] = { "podAffinity", "podAntiAffinity" };
  static const char *const lists[] = { "requiredDuringSchedulingIgnoredDuringExecution",
                                       "preferredDuringSchedulingIgnoredDuringExecution" };
  CubePath spread = CUBE_AT (path, "topologySpreadConstraints"), affinity = CUBE_AT (path, "affinity");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "topologySpreadConstraints")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&spread, i);
      if (!cube_view_exists (cube_view_member (v, "labelSelector")))
        warn (warnings, &CUBE_AT (&at, "labelSelector"), "a null labelSelector results in matching no pod");
    }
  if (!cube_view_exists (cube_view_member (spec, "affinity")))
    return;
  for (guint s = 0; s < 2; s++)
    for (guint l = 0; l < 2; l++)
      {
        CubePath side = CUBE_AT (&affinity, sides[s]), list = CUBE_AT (&side, lists[l]);
        i = 0;
        for (cube_iter_init (&it, cube_view_get (spec, "affinity", sides[s], lists[l])); cube_iter_next (&it, NULL, &v); i++)
          {
            CubePath at = CUBE_AT_INDEX (&list, i), term = CUBE_AT (&at, "podAffinityTerm");
            CubeView selector = l == 0 ? cube_view_member (v, "labelSelector") : cube_view_get (v, "podAffinityTerm", "labelSelector");
            if (!cube_view_exists (selector))
              warn (warnings, &CUBE_AT (l == 0 ? &at : &term, "labelSelector"), "a null labelSelector results in matching no pod");
          }
      }
}

static void
warn_annotations (GPtrArray *warnings, const CubePath *metadata_at, CubeView annotations)
{
  static const char *const old_keys[][2] = {
    { "scheduler.alpha.kubernetes.io/critical-pod", "non-functional in v1.16+; use the \"priorityClassName\" field instead" },
    { "security.alpha.kubernetes.io/sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead" },
    { "security.alpha.kubernetes.io/unsafe-sysctls", "non-functional in v1.11+; use the \"sysctls\" field instead" },
    { "seccomp.security.alpha.kubernetes.io/pod", "non-functional in v1.27+; use the \"seccompProfile\" field instead" }
  };
  CubePath at = CUBE_AT (metadata_at, "annotations");
  if (cube_view_length (annotations) == 0)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (old_keys); i++)
    if (cube_view_exists (cube_view_member (annotations, old_keys[i][0])))
      warn (warnings, &CUBE_AT_KEY (&at, old_keys[i][0]), "%s", old_keys[i][1]);
}

/* @path: of what holds metadata and spec; NULL = the object. */
void
cube_warn_pod (CubeView metadata, CubeView spec, const CubePath *path, GPtrArray *warnings)
{
  CubePath spec_at = CUBE_AT (path, "spec"), metadata_at = CUBE_AT (path, "metadata");
  warn_selectors (warnings, &spec_at, spec);
  warn_annotations (warnings, &metadata_at, cube_view_member (metadata, "annotations"));
  warn_volumes (warnings, &CUBE_AT (&spec_at, "volumes"), cube_view_member (spec, "volumes"));
  warn_repeated (warnings, &CUBE_AT (&spec_at, "hostAliases"), cube_view_member (spec, "hostAliases"), "ip");
  warn_repeated (warnings, &CUBE_AT (&spec_at, "imagePullSecrets"), cube_view_member (spec, "imagePullSecrets"), "name");
  warn_containers (warnings, &spec_at, spec);
  if (cube_view_get_int (spec, 0, "terminationGracePeriodSeconds") < 0)
    warn (warnings, &CUBE_AT (&spec_at, "terminationGracePeriodSeconds"),
          "must be >= 0; negative values are invalid and will be treated as 1");
}

void
cube_warn_pod_object (CubeView object, CubeView old, GPtrArray *warnings)
{
  if (cube_view_exists (old))
    return;
  const char *name = cube_view_string_or (cube_view_get (object, "metadata", "name"), ""), *why = cube_name_check_dns1123_label (name);
  if (*name != '\0' && why != NULL)
    g_ptr_array_add (warnings,
                     g_strdup_printf ("metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; "
                                      "a DNS label is recommended: [%s]",
                                      why));
  cube_warn_pod (cube_view_member (object, "metadata"), cube_view_member (object, "spec"), NULL, warnings);
}
