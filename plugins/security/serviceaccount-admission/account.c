/* SPDX-License-Identifier: Apache-2.0 */
#include "account.h"

#define MOUNT_PATH "/var/run/secrets/kubernetes.io/serviceaccount"
#define VOLUME_PREFIX "kube-api-access-"
#define TOKEN_SECONDS 3607 /* an hour and a bit: the mark by which the issuer knows an injected token */

const char *
account_name (CubeMut *pod)
{
  const char *name = cube_mut_string (cube_mut_get (pod, "spec", "serviceAccountName"));

  if (name == NULL || *name == '\0')
    name = cube_mut_string (cube_mut_get (pod, "spec", "serviceAccount"));
  return name != NULL && *name != '\0' ? name : "default";
}

void
account_set_name (CubeMut *pod, const char *name)
{
  CubeMut *spec = cube_mut_ensure_object (pod, "spec");

  cube_mut_set_string (spec, "serviceAccountName", name);
  cube_mut_set_string (spec, "serviceAccount", name);
}

/* ---- mirror pods ---- */

gboolean
account_is_mirror (CubeMut *pod)
{
  return cube_mut_get (pod, "metadata", "annotations", "kubernetes.io/config.mirror") != NULL;
}

static gboolean
uses_token (CubeMut *volume)
{
  CubeMut *sources = cube_mut_get (volume, "projected", "sources");

  for (guint i = 0; i < cube_mut_length (sources); i++)
    if (cube_mut_member (cube_mut_element (sources, i), "serviceAccountToken") != NULL)
      return TRUE;
  return FALSE;
}

gboolean
account_check_mirror (const CubeAdmissionRequest *request, CubeMut *pod, GError **error)
{
  const char *name = cube_mut_string (cube_mut_get (pod, "spec", "serviceAccountName"));
  CubeMut *volumes = cube_mut_get (pod, "spec", "volumes");

  if (name != NULL && *name != '\0')
    return admission_forbid (request, error, "a mirror pod may not reference service accounts");
  for (guint i = 0; i < cube_mut_length (volumes); i++)
    {
      CubeMut *volume = cube_mut_element (volumes, i);

      if (cube_mut_member (volume, "secret") != NULL)
        return admission_forbid (request, error, "a mirror pod may not reference secrets");
      if (uses_token (volume))
        return admission_forbid (request, error, "a mirror pod may not use ServiceAccountToken volume projections");
    }
  return TRUE;
}

/* ---- the token volume ---- */

static gboolean
has_mount (CubeMut *container)
{
  CubeMut *mounts = cube_mut_member (container, "volumeMounts");

  for (guint i = 0; i < cube_mut_length (mounts); i++)
    if (g_strcmp0 (cube_mut_string (cube_mut_member (cube_mut_element (mounts, i), "mountPath")), MOUNT_PATH) == 0)
      return TRUE;
  return FALSE;
}

static gboolean
add_mounts (CubeMut *containers, const char *volume)
{
  gboolean is_changed = FALSE;

  for (guint i = 0; i < cube_mut_length (containers); i++)
    {
      CubeMut *container = cube_mut_element (containers, i), *mount;

      if (cube_mut_type (container) != CUBE_VALUE_OBJECT || has_mount (container))
        continue;
      mount = cube_mut_append_object (cube_mut_ensure_array (container, "volumeMounts"));
      cube_mut_set_string (mount, "name", volume);
      cube_mut_set_bool (mount, "readOnly", TRUE);
      cube_mut_set_string (mount, "mountPath", MOUNT_PATH);
      is_changed = TRUE;
    }
  return is_changed;
}

static void
add_volume (CubeMut *spec, const char *name)
{
  CubeMut *volume = cube_mut_append_object (cube_mut_ensure_array (spec, "volumes")), *projected, *sources, *source, *item;

  cube_mut_set_string (volume, "name", name);
  projected = cube_mut_set_object (volume, "projected");
  sources = cube_mut_set_array (projected, "sources");
  source = cube_mut_set_object (cube_mut_append_object (sources), "serviceAccountToken");
  cube_mut_set_int (source, "expirationSeconds", TOKEN_SECONDS);
  cube_mut_set_string (source, "path", "token");
  source = cube_mut_set_object (cube_mut_append_object (sources), "configMap");
  cube_mut_set_string (source, "name", "kube-root-ca.crt");
  item = cube_mut_append_object (cube_mut_set_array (source, "items"));
  cube_mut_set_string (item, "key", "ca.crt");
  cube_mut_set_string (item, "path", "ca.crt");
  source = cube_mut_set_object (cube_mut_append_object (sources), "downwardAPI");
  item = cube_mut_append_object (cube_mut_set_array (source, "items"));
  cube_mut_set_string (item, "path", "namespace");
  item = cube_mut_set_object (item, "fieldRef");
  cube_mut_set_string (item, "apiVersion", "v1");
  cube_mut_set_string (item, "fieldPath", "metadata.namespace");
  cube_mut_set_int (projected, "defaultMode", 0644);
}

static const char *
existing_volume (CubeMut *spec)
{
  CubeMut *volumes = cube_mut_member (spec, "volumes");

  for (guint i = 0; i < cube_mut_length (volumes); i++)
    {
      const char *name = cube_mut_string (cube_mut_member (cube_mut_element (volumes, i), "name"));

      if (name != NULL && g_str_has_prefix (name, VOLUME_PREFIX))
        return name;
    }
  return NULL;
}

static gboolean
wants_token (CubeMut *spec, CubeView account)
{
  CubeMut *own = cube_mut_member (spec, "automountServiceAccountToken");

  if (cube_mut_type (own) == CUBE_VALUE_BOOL)
    return cube_mut_bool (own, TRUE);
  return cube_view_get_bool (account, TRUE, "automountServiceAccountToken");
}

/* Ephemeral containers cannot be there at create, and get none later, as upstream. */
static void
mount_token (CubeMut *spec, const char *suffix)
{
  const char *existing = existing_volume (spec);
  g_autofree char *name = existing != NULL ? g_strdup (existing) : g_strconcat (VOLUME_PREFIX, suffix, NULL);
  gboolean is_mounted = add_mounts (cube_mut_member (spec, "initContainers"), name);

  is_mounted |= add_mounts (cube_mut_member (spec, "containers"), name);
  if (is_mounted && existing == NULL)
    add_volume (spec, name);
}

void
account_apply (CubeMut *pod, CubeView account, const char *suffix)
{
  CubeMut *spec = cube_mut_ensure_object (pod, "spec");
  CubeView secrets = cube_view_member (account, "imagePullSecrets");

  if (wants_token (spec, account))
    mount_token (spec, suffix);
  if (cube_mut_length (cube_mut_member (spec, "imagePullSecrets")) == 0 && cube_view_length (secrets) > 0)
    cube_mut_set_view (spec, "imagePullSecrets", secrets);
}
