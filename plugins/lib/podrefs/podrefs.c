/* SPDX-License-Identifier: Apache-2.0 */
#include "podrefs.h"

#include <string.h>

#define MAX_DEPTH 64

typedef struct {
  const char *pod_name;
  PodrefVisit visit;
  gpointer data;
} Walk;

static const struct {
  const char *member, *inner, *resource;
} objects[] = {
  /* a member that is an object naming one */
  { "secret", "secretName", "secrets" },       { "secret", "name", "secrets" },
  { "configMap", "name", "configmaps" },       { "configMapRef", "name", "configmaps" },
  { "configMapKeyRef", "name", "configmaps" }, { "secretKeyRef", "name", "secrets" },
};

static const struct {
  const char *member, *resource;
} texts[] = {
  /* a member that is a name itself */
  { "secretName", "secrets" },
  { "claimName", "persistentvolumeclaims" },
  { "resourceClaimName", "resourceclaims" },
  { "serviceAccountName", "serviceaccounts" },
};

static gboolean
found (const Walk *walk, const char *resource, CubeView name)
{
  const char *text = cube_view_string (name);

  return text != NULL && *text != '\0' && walk->visit (resource, text, walk->data);
}

static gboolean
visit_pull_secrets (const Walk *walk, CubeView array)
{
  CubeIter it;
  CubeView element;

  for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &element);)
    if (found (walk, "secrets", cube_view_member (element, "name")))
      return TRUE;
  return FALSE;
}

static gboolean
visit_member (const Walk *walk, const char *key, CubeView value)
{
  for (guint i = 0; i < G_N_ELEMENTS (objects); i++)
    if (g_str_equal (objects[i].member, key) && found (walk, objects[i].resource, cube_view_member (value, objects[i].inner)))
      return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (g_str_equal (texts[i].member, key) && found (walk, texts[i].resource, value))
      return TRUE;
  /* secretRef of envFrom and of old volumes, nodePublishSecretRef … */
  if ((g_str_has_suffix (key, "SecretRef") || g_str_equal (key, "secretRef")) && found (walk, "secrets", cube_view_member (value, "name")))
    return TRUE;
  return g_str_equal (key, "imagePullSecrets") && visit_pull_secrets (walk, value);
}

/* The claim of an ephemeral volume is called after pod and volume. */
static gboolean
visit_ephemeral (const Walk *walk, CubeView object)
{
  const char *volume = cube_view_string (cube_view_member (object, "name"));
  g_autofree char *name = NULL;

  if (volume == NULL || walk->pod_name == NULL || cube_view_type (cube_view_member (object, "ephemeral")) != CUBE_VALUE_OBJECT)
    return FALSE;
  name = g_strconcat (walk->pod_name, "-", volume, NULL);
  return walk->visit ("persistentvolumeclaims", name, walk->data);
}

static gboolean
walk_view (const Walk *walk, CubeView view, guint depth)
{
  CubeIter it;
  const char *key;
  CubeView value;
  CubeValueType type = cube_view_type (view);

  if (depth > MAX_DEPTH || (type != CUBE_VALUE_OBJECT && type != CUBE_VALUE_ARRAY))
    return FALSE;
  if (type == CUBE_VALUE_OBJECT && visit_ephemeral (walk, view))
    return TRUE;
  for (cube_iter_init (&it, view); cube_iter_next (&it, &key, &value);)
    if ((key != NULL && visit_member (walk, key, value)) || walk_view (walk, value, depth + 1))
      return TRUE;
  return FALSE;
}

gboolean
podrefs_visit (CubeView pod, PodrefVisit visit, gpointer data)
{
  Walk walk = { cube_view_get_string (pod, "metadata", "name"), visit, data };
  CubeView claims = cube_view_get (pod, "status", "resourceClaimStatuses");

  return walk_view (&walk, cube_view_member (pod, "spec"), 0) || walk_view (&walk, claims, 0);
}

typedef struct {
  const char *resource, *name;
} Wanted;

static gboolean
is_wanted (const char *resource, const char *name, gpointer data)
{
  const Wanted *wanted = data;

  return g_str_equal (resource, wanted->resource) && (wanted->name == NULL || g_str_equal (name, wanted->name));
}

gboolean
podrefs_has (CubeView pod, const char *resource, const char *name)
{
  Wanted wanted = { resource, name };

  return podrefs_visit (pod, is_wanted, &wanted);
}
