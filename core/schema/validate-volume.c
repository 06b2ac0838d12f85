/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of a pod. */
#include "validate-more.h"

static void
check_mode (CubeFieldErrors *errors, const CubePath *path, CubeView source, const char *field)
{
  CubeView mode = cube_view_member (source, field);
  if (cube_view_int (mode, 0) < 0 || cube_view_int (mode, 0) > 0777)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, field), mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

static void
check_local_path (CubeFieldErrors *errors, const CubePath *path, CubeView value)
{
  const char *text = cube_view_string_or (value, "");
  guint before = cube_field_errors_count (errors);
  cube_check_relative_path (errors, path, value);
  if (cube_field_errors_count (errors) == before && g_str_has_prefix (text, ".."))
    cube_check_add (errors, "Invalid", path, value, "must not start with '..'");
}

static void
note_path (GHashTable **paths, CubeFieldErrors *errors, const CubePath *projected, CubeView value)
{
  const char *text = cube_view_string_or (value, "");
  if (paths != NULL && *text != '\0' && !cube_check_unique (paths, text))
    cube_check_add_text (errors, "Invalid", projected, text, "conflicting duplicate paths");
}

static void
check_items (CubeFieldErrors *errors, const CubePath *path, CubeView items, GHashTable **paths, const CubePath *projected)
{
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, items); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView where = cube_view_member (v, "path");
      check_local_path (errors, &CUBE_AT (&at, "path"), where);
      check_mode (errors, &at, v, "mode");
      note_path (paths, errors, projected, where);
    }
}

static void
check_downward (CubeFieldErrors *errors, const CubePath *path, CubeView items, GHashTable **paths, const CubePath *projected)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, items); cube_iter_next (&it, NULL, &v);)
    {
      CubeView field = cube_view_member (v, "fieldRef"), resource = cube_view_member (v, "resourceFieldRef"),
               where = cube_view_member (v, "path");
      check_local_path (errors, &CUBE_AT (path, "path"), where);
      note_path (paths, errors, projected, where);
      if (cube_view_exists (field))
        {
          cube_check_field_ref (errors, &CUBE_AT (path, "fieldRef"), field, TRUE);
          if (cube_view_exists (resource))
            cube_check_add_text (errors, "Invalid", path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
        }
      else if (cube_view_exists (resource))
        {
          cube_check_resource_field_ref (errors, &CUBE_AT (path, "resourceFieldRef"), resource, TRUE);
        }
      else
        {
          cube_check_add (errors, "Required", path, cube_view_none (), "one of fieldRef and resourceFieldRef is required");
        }
      check_mode (errors, path, v, "mode");
    }
}

/* ---- projected ---- */

static void
check_token (const CubePodCheck *pod, const CubePath *path, const CubePath *at, CubeView token)
{
  CubeView seconds = cube_view_member (token, "expirationSeconds"), where = cube_view_member (token, "path");
  if (!pod->is_template && cube_is_empty (cube_view_member (pod->spec, "serviceAccountName")))
    cube_check_add (pod->errors, "Forbidden", at, cube_view_none (), "must not be specified when serviceAccountName is not set");
  if (cube_view_exists (seconds) && cube_view_int (seconds, 0) < 600)
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (at, "expirationSeconds"), seconds, "may not specify a duration less than 10 minutes");
  if (cube_view_int (seconds, 0) > (gint64) 1 << 32)
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (at, "expirationSeconds"), seconds,
                    "may not specify a duration larger than 2^32 seconds");
  if (!cube_is_empty (where))
    check_local_path (pod->errors, &CUBE_AT (path, "path"), where);
}

static void
check_bundle (CubeFieldErrors *errors, const CubePath *at, CubeView bundle)
{
  gboolean has_name = cube_view_exists (cube_view_member (bundle, "name")),
           has_signer = cube_view_exists (cube_view_member (bundle, "signerName"));
  if (has_name && has_signer)
    cube_check_add (errors, "Invalid", at, bundle, "only one of name and signerName may be used");
  if (!has_name && !has_signer)
    cube_check_add (errors, "Required", at, cube_view_none (), "either name or signerName must be specified");
}

static void
check_projected_source (const CubePodCheck *pod, const CubePath *path, const CubePath *at, CubeView source, GHashTable **paths)
{
  CubeIter it;
  const char *key;
  CubeView v;
  guint n = 0;
  for (cube_iter_init (&it, source); cube_iter_next (&it, &key, &v);)
    {
      CubePath here = CUBE_AT (at, key);
      if (n++ > 0)
        {
          cube_check_add (pod->errors, "Forbidden", &here, cube_view_none (), "may not specify more than 1 volume type per source");
          continue;
        }
      if (strcmp (key, "secret") == 0 || strcmp (key, "configMap") == 0)
        {
          cube_check_required (pod->errors, &here, v, "name", "");
          check_items (pod->errors, &CUBE_AT (&here, "items"), cube_view_member (v, "items"), paths, path);
        }
      else if (strcmp (key, "downwardAPI") == 0)
        {
          check_downward (pod->errors, &here, cube_view_member (v, "items"), paths, path);
        }
      else if (strcmp (key, "serviceAccountToken") == 0)
        {
          check_token (pod, path, &here, v);
        }
      else if (strcmp (key, "clusterTrustBundle") == 0)
        {
          check_bundle (pod->errors, &here, v);
          cube_check_trust_bundle (pod->errors, &here, v);
        }
      else if (strcmp (key, "podCertificate") == 0)
        {
          cube_check_pod_certificate (pod->errors, &here, v);
        }
    }
}

static void
check_projected (const CubePodCheck *pod, const CubePath *path, CubeView source)
{
  g_autoptr (GHashTable) paths = NULL;
  CubePath list = CUBE_AT (path, "sources");
  CubeIter it;
  CubeView v;
  guint i = 0;
  check_mode (pod->errors, path, source, "defaultMode");
  for (cube_iter_init (&it, cube_view_member (source, "sources")); cube_iter_next (&it, NULL, &v); i++)
    check_projected_source (pod, path, &CUBE_AT_INDEX (&list, i), v, &paths);
}

/* ---- single kinds ---- */

static void
check_host_path (CubeFieldErrors *errors, const CubePath *path, CubeView source)
{
  CubeView where = cube_view_member (source, "path");
  g_autofree char *padded = g_strdup_printf ("/%s/", cube_view_string_or (where, ""));
  if (strstr (padded, "/../") != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, "path"), where, "must not contain '..'");
}

static void
check_csi (CubeFieldErrors *errors, const CubePath *path, CubeView source)
{
  CubeView driver = cube_view_member (source, "driver"), secret = cube_view_member (source, "nodePublishSecretRef");
  g_autofree char *lower = g_ascii_strdown (cube_view_string_or (driver, ""), -1);
  const char *why;
  if (strlen (lower) > 63)
    cube_check_add (errors, "TooLong", &CUBE_AT (path, "driver"), cube_view_none (), "may not be more than 63 bytes");
  if (*lower != '\0' && (why = cube_name_check_dns1123_subdomain (lower)) != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (path, "driver"), driver, "%s", why);
  if (!cube_view_exists (secret))
    return;
  cube_check_required (errors, &CUBE_AT (path, "nodePublishSecretRef"), secret, "name", "");
  cube_check_name (errors, path, secret, "name", cube_name_check_dns1123_subdomain); /* the path is csi.name there */
}

static void
check_size_limit (CubeFieldErrors *errors, const CubePath *path, CubeView source)
{
  CubeQuantity quantity;
  if (cube_quantity_from_view (cube_view_member (source, "sizeLimit"), &quantity) && quantity.mantissa < 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (path, "sizeLimit"), cube_view_none (),
                    "SizeLimit field must be a valid resource quantity");
}

/* Not a claim that is made for an ephemeral volume of the same pod. */
static void
check_claim_name (const CubePodCheck *pod, const CubePath *path, CubeView claim)
{
  const char *name = cube_view_string (cube_view_member (pod->metadata, "name")), *text = cube_view_string_or (claim, "");
  gsize length = name == NULL ? 0 : strlen (name);
  CubeIter it;
  CubeView v;
  if (length == 0 || strncmp (text, name, length) != 0 || text[length] != '-')
    return;
  for (cube_iter_init (&it, pod->volumes); cube_iter_next (&it, NULL, &v);)
    if (cube_view_exists (cube_view_member (v, "ephemeral")) && g_strcmp0 (cube_view_get_string (v, "name"), text + length + 1) == 0)
      cube_check_add (pod->errors, "Invalid", &CUBE_AT (path, "claimName"), claim,
                      "must not reference a PVC that gets created for an ephemeral volume");
}

static void
check_source (const CubePodCheck *pod, const CubePath *path, const char *kind, CubeView v, CubeView name)
{
  CubeFieldErrors *errors = pod->errors;
  if (strcmp (kind, "emptyDir") == 0)
    {
      check_size_limit (errors, path, v);
    }
  else if (strcmp (kind, "hostPath") == 0)
    {
      check_host_path (errors, path, v);
    }
  else if (strcmp (kind, "secret") == 0 || strcmp (kind, "configMap") == 0)
    {
      cube_check_required (errors, path, v, *kind == 's' ? "secretName" : "name", "");
      check_mode (errors, path, v, "defaultMode");
      check_items (errors, &CUBE_AT (path, "items"), cube_view_member (v, "items"), NULL, path);
    }
  else if (strcmp (kind, "downwardAPI") == 0)
    {
      check_mode (errors, path, v, "defaultMode");
      check_downward (errors, path, cube_view_member (v, "items"), NULL, path);
    }
  else if (strcmp (kind, "projected") == 0)
    {
      check_projected (pod, path, v);
    }
  else if (strcmp (kind, "nfs") == 0)
    {
      CubeView where = cube_view_member (v, "path");
      if (!cube_is_empty (where) && *cube_view_string_or (where, "") != '/')
        cube_check_add (errors, "Invalid", &CUBE_AT (path, "path"), where, "must be an absolute path");
    }
  else if (strcmp (kind, "persistentVolumeClaim") == 0)
    {
      check_claim_name (pod, path, cube_view_member (v, "claimName"));
    }
  else if (strcmp (kind, "csi") == 0)
    {
      check_csi (errors, path, v);
    }
  else if (strcmp (kind, "ephemeral") == 0)
    {
      cube_check_ephemeral_volume (pod, path, cube_view_member (v, "volumeClaimTemplate"), name);
    }
  else if (strcmp (kind, "image") == 0)
    {
      if (!pod->is_template)
        cube_check_required (errors, path, v, "reference", "");
    }
  else
    {
      cube_check_rare_volume (errors, path->parent, kind, v, name);
    }
}

void
cube_check_volumes (const CubePodCheck *pod, const CubePath *path)
{
  g_autoptr (GHashTable) names = NULL;
  CubeIter it, inner;
  CubeView v, source;
  const char *key;
  guint i = 0;
  for (cube_iter_init (&it, pod->volumes); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (path, i);
      CubeView name = cube_view_member (v, "name");
      guint n = 0;
      for (cube_iter_init (&inner, v); cube_iter_next (&inner, &key, &source);)
        {
          CubePath here = CUBE_AT (&at, key);
          if (key == NULL || strcmp (key, "name") == 0)
            continue;
          if (n++ > 0)
            cube_check_add (pod->errors, "Forbidden", &here, cube_view_none (), "may not specify more than 1 volume type");
          else
            check_source (pod, &here, key, source, cube_view_member (v, "name"));
        }
      if (n == 0)
        cube_check_add (pod->errors, "Required", &at, cube_view_none (), "must specify a volume type");
      cube_check_name (pod->errors, &at, v, "name", cube_name_check_dns1123_label);
      if (!cube_is_empty (name) && !cube_check_unique (&names, cube_view_string_or (name, "")))
        cube_check_add (pod->errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
    }
}
