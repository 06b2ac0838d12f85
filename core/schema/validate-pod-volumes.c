/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of a pod that are used less: disks of clouds and networks, bundles and certificates of projected volumes. */
#include "validate-more.h"

/* ---- iSCSI and Fibre Channel ---- */

static gboolean
all_of (const char *text, const char *set)
{
  return *text != '\0' && text[strspn (text, set)] == '\0';
}

/* iqn.YYYY-MM.domain[:name], eui.16-hex, naa.32-hex */
static const char *
iqn_problem (const char *text)
{
  static const char *const hex = "0123456789abcdefABCDEF";
  if (g_str_has_prefix (text, "iqn"))
    {
      gsize length = strlen (text);
      gboolean fits = length > 12 && text[3] == '.' && text[8] == '-' && text[11] == '.' && strspn (text + 4, "0123456789") == 4
                      && strspn (text + 9, "0123456789") == 2;
      const char *colon = strchr (text, ':');
      for (const char *at = text + 12; fits && *at != '\0' && at != colon; at++)
        fits = g_ascii_isalnum (*at) || *at == '-' || *at == '.';
      return fits && (colon == NULL || (colon[1] != '\0' && strpbrk (colon + 1, ",;*&$ ") == NULL)) ? NULL : "must be valid format";
    }
  if (g_str_has_prefix (text, "eui"))
    return text[3] == '.' && strlen (text) == 20 && all_of (text + 4, hex) ? NULL : "must be valid format";
  if (g_str_has_prefix (text, "naa"))
    return text[3] == '.' && strlen (text) == 36 && all_of (text + 4, hex) ? NULL : "must be valid format";
  return "must be valid format starting with iqn, eui, or naa";
}

static void
check_iscsi (CubeFieldErrors *errors, const CubePath *volume, const CubePath *at, CubeView source, CubeView name)
{
  CubeView iqn = cube_view_member (source, "iqn"), initiator = cube_view_member (source, "initiatorName"),
           portal = cube_view_member (source, "targetPortal");
  const char *why = cube_is_empty (iqn) ? NULL : iqn_problem (cube_view_string_or (iqn, ""));
  if (why != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "iqn"), iqn, "%s", why);
  cube_check_range (errors, at, source, "lun", 0, 255);
  if ((cube_view_bool (cube_view_member (source, "chapAuthDiscovery"), FALSE)
       || cube_view_bool (cube_view_member (source, "chapAuthSession"), FALSE))
      && !cube_view_exists (cube_view_member (source, "secretRef")))
    cube_check_add (errors, "Required", &CUBE_AT (at, "secretRef"), cube_view_none (), "%s", "");
  if (!cube_view_exists (initiator))
    return;
  if ((why = iqn_problem (cube_view_string_or (initiator, ""))) != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "initiatorname"), initiator, "%s", why);
  g_autofree char *both = g_strdup_printf ("%s:%s", cube_view_string_or (name, ""), cube_view_string_or (portal, ""));
  if (strlen (both) > 64)
    cube_check_add_text (
        errors, "Invalid", &CUBE_AT (volume, "name"), both,
        "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.");
}

static void
check_fibre (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  CubeView targets = cube_view_member (source, "targetWWNs"), ids = cube_view_member (source, "wwids"),
           lun = cube_view_member (source, "lun");
  if (cube_view_length (targets) == 0 && cube_view_length (ids) == 0)
    cube_check_add (errors, "Required", &CUBE_AT (at, "targetWWNs"), cube_view_none (),
                    "must specify either targetWWNs or wwids, but not both");
  if (cube_view_length (targets) > 0 && cube_view_length (ids) > 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "targetWWNs"), targets, "targetWWNs and wwids can not be specified simultaneously");
  if (cube_view_length (targets) > 0 && !cube_view_exists (lun))
    cube_check_add (errors, "Required", &CUBE_AT (at, "lun"), cube_view_none (), "lun is required if targetWWNs is specified");
  cube_check_range (errors, at, source, "lun", 0, 255);
}

/* ---- clouds ---- */

static void
check_quobyte (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  static const char *const detail = "must be a host:port pair or multiple pairs separated by commas";
  CubeView registry = cube_view_member (source, "registry");
  g_auto (GStrv) pairs = g_strsplit (cube_view_string_or (registry, ""), ",", -1);
  if (cube_is_empty (registry))
    cube_check_add (errors, "Required", &CUBE_AT (at, "registry"), cube_view_none (), "%s", detail);
  for (guint i = 0; pairs[i] != NULL; i++)
    {
      const char *colon = strrchr (pairs[i], ':');
      if (colon == NULL || colon == pairs[i] || colon[1] == '\0')
        {
          cube_check_add (errors, "Invalid", &CUBE_AT (at, "registry"), registry, "%s", detail);
          break;
        }
    }
  if (cube_view_string_length (cube_view_member (source, "tenant")) >= 65)
    cube_check_add (errors, "Required", &CUBE_AT (at, "tenant"), cube_view_none (),
                    "must be a UUID and may not exceed a length of 64 characters");
}

static void
check_flocker (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  CubeView name = cube_view_member (source, "datasetName"), uuid = cube_view_member (source, "datasetUUID");
  if (cube_is_empty (name) && cube_is_empty (uuid))
    cube_check_add (errors, "Required", at, cube_view_none (), "one of datasetName and datasetUUID is required");
  if (!cube_is_empty (name) && !cube_is_empty (uuid))
    cube_check_add_text (errors, "Invalid", at, "resource", "datasetName and datasetUUID can not be specified simultaneously");
  if (strchr (cube_view_string_or (name, ""), '/') != NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "datasetName"), name, "must not contain '/'");
}

static void
check_flex (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  CubePath list = CUBE_AT (at, "options");
  CubeIter it;
  const char *key;
  for (cube_iter_init (&it, cube_view_member (source, "options")); cube_iter_next (&it, &key, NULL);)
    {
      const char *slash = strchr (key, '/');
      g_autofree char *space = g_strndup (key, slash == NULL ? 0 : (gsize) (slash - key));
      if (strcmp (space, "kubernetes.io") == 0 || strcmp (space, "k8s.io") == 0 || g_str_has_suffix (space, ".kubernetes.io")
          || g_str_has_suffix (space, ".k8s.io"))
        cube_check_add_text (errors, "Invalid", &CUBE_AT_KEY (&list, key), key, "kubernetes.io and k8s.io namespaces are reserved");
    }
}

static void
check_secret_name (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  if (cube_view_exists (cube_view_member (source, "secretRef")))
    cube_check_required (errors, &CUBE_AT (at, "secretRef"), cube_view_member (source, "secretRef"), "name", "");
}

static void
check_partition (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  CubeView partition = cube_view_member (source, "partition");
  if (cube_view_int (partition, 0) < 0 || cube_view_int (partition, 0) > 255)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "partition"), partition, "must be between 1 and 255, inclusive");
}

static void
check_azure_disk (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  static const char *const managed = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
  static const char *const blob = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
  CubeView uri = cube_view_member (source, "diskURI");
  const char *kind = cube_view_string (cube_view_member (source, "kind")), *text = cube_view_string_or (uri, "");
  gboolean is_managed = g_strcmp0 (kind, "Managed") == 0;
  if (kind != NULL && *text != '\0' && !g_str_has_prefix (text, is_managed ? "/subscriptions/" : "https://"))
    cube_check_add (errors, "NotSupported", &CUBE_AT (at, "diskURI"), uri, "supported values: \"%s\"", is_managed ? managed : blob);
}

/* ---- volumes with a claim of their own ---- */

static void
check_template_metadata (CubeFieldErrors *errors, const CubePath *path, CubeView metadata)
{
  static const char *const never[][2] = { { "name", "Name" },
                                          { "generateName", "GenerateName" },
                                          { "namespace", "Namespace" },
                                          { "uid", "UID" },
                                          { "resourceVersion", "ResourceVersion" },
                                          { "generation", "Generation" },
                                          { "ownerReferences", "OwnerReferences" },
                                          { "finalizers", "Finalizers" } };
  cube_check_annotations (errors, &CUBE_AT (path, "annotations"), cube_view_member (metadata, "annotations"));
  cube_check_labels (errors, &CUBE_AT (path, "labels"), cube_view_member (metadata, "labels"));
  for (guint i = 0; i < G_N_ELEMENTS (never); i++)
    {
      CubeView value = cube_view_member (metadata, never[i][0]);
      if (cube_view_type (value) == CUBE_VALUE_INT ? cube_view_int (value, 0) != 0 : !cube_is_empty (value))
        cube_check_forbidden (errors, &CUBE_AT (path, never[i][1]), "cannot be set");
    }
}

void
cube_check_ephemeral_volume (const CubePodCheck *pod, const CubePath *path, CubeView template, CubeView name)
{
  CubePath at = CUBE_AT (path, "volumeClaimTemplate");
  const char *pod_name = cube_view_string_or (cube_view_member (pod->metadata, "name"), "");
  if (!cube_view_exists (template))
    {
      cube_check_add (pod->errors, "Required", &at, cube_view_none (), "%s", "");
      return;
    }
  check_template_metadata (pod->errors, &CUBE_AT (&at, "metadata"), cube_view_member (template, "metadata"));
  cube_check_claim_spec (pod->errors, &CUBE_AT (&at, "spec"), cube_view_member (template, "spec"));
  if (*pod_name == '\0')
    return;
  g_autofree char *claim = g_strdup_printf ("%s-%s", pod_name, cube_view_string_or (name, ""));
  const char *why = cube_name_check_dns1123_subdomain (claim);
  if (why != NULL && cube_name_check_dns1123_label (cube_view_string_or (name, "")) == NULL)
    cube_check_add (pod->errors, "Invalid", &CUBE_AT (path->parent, "name"), name, "PVC name \"%s\": %s", claim, why);
}

/* ---- the kinds ---- */

void
cube_check_rare_volume (CubeFieldErrors *errors, const CubePath *volume, const char *kind, CubeView source, CubeView name)
{
  CubePath at = CUBE_AT (volume, kind), disk = CUBE_AT (volume, "persistentDisk");
  if (strcmp (kind, "iscsi") == 0)
    check_iscsi (errors, volume, &at, source, name);
  else if (strcmp (kind, "fc") == 0)
    check_fibre (errors, &at, source);
  else if (strcmp (kind, "gcePersistentDisk") == 0)
    {
      cube_check_required (errors, &disk, source, "pdName", "");
      check_partition (errors, &disk, source);
    }
  else if (strcmp (kind, "awsElasticBlockStore") == 0)
    check_partition (errors, &at, source);
  else if (strcmp (kind, "quobyte") == 0)
    check_quobyte (errors, &at, source);
  else if (strcmp (kind, "flocker") == 0)
    check_flocker (errors, &at, source);
  else if (strcmp (kind, "flexVolume") == 0)
    check_flex (errors, &at, source);
  else if (strcmp (kind, "cinder") == 0)
    check_secret_name (errors, &at, source);
  else if (strcmp (kind, "gitRepo") == 0)
    cube_check_relative_path (errors, &CUBE_AT (&at, "directory"), cube_view_member (source, "directory"));
  else if (strcmp (kind, "azureDisk") == 0)
    check_azure_disk (errors, &at, source);
  else if (strcmp (kind, "scaleIO") == 0)
    cube_check_required (errors, &at, source, "volumeName", "");
  else if (strcmp (kind, "storageos") == 0)
    {
      cube_check_required (errors, &at, source, "volumeName", "");
      cube_check_name (errors, &at, source, "volumeName", cube_name_check_dns1123_label);
      cube_check_name (errors, &at, source, "volumeNamespace", cube_name_check_dns1123_label);
      check_secret_name (errors, &at, source);
    }
}

/* ---- projected ---- */

void
cube_check_trust_bundle (CubeFieldErrors *errors, const CubePath *at, CubeView bundle)
{
  CubeView name = cube_view_member (bundle, "name"), signer = cube_view_member (bundle, "signerName"),
           labels = cube_view_member (bundle, "labelSelector");
  if (cube_view_exists (name))
    {
      const char *text = cube_view_string_or (name, ""), *why = cube_name_check_dns1123_subdomain (text);
      if (*text == '\0')
        cube_check_add (errors, "Required", &CUBE_AT (at, "name"), cube_view_none (), "must be a valid object name");
      else if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "name"), name, "not a valid clustertrustbundlename: %s", why);
      if (cube_view_exists (labels))
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "labelSelector"), labels, "labelSelector must be unset if name is specified");
    }
  else if (cube_view_exists (signer))
    {
      if (cube_is_empty (signer))
        cube_check_add (errors, "Required", &CUBE_AT (at, "signerName"), cube_view_none (), "must be a valid signer name");
      cube_check_label_selector (errors, &CUBE_AT (at, "labelSelector"), labels);
    }
}

void
cube_check_pod_certificate (CubeFieldErrors *errors, const CubePath *at, CubeView source)
{
  static const char *const keys[] = { "RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519", NULL };
  static const char *const paths[] = { "credentialBundlePath", "keyPath", "certificateChainPath" };
  CubeView seconds = cube_view_member (source, "maxExpirationSeconds");
  const char *signer = cube_view_string_or (cube_view_member (source, "signerName"), "");
  int most = g_str_has_prefix (signer, "kubernetes.io/") ? 86400 : 7862400;
  gboolean has_path = FALSE;
  cube_check_one_of (errors, at, source, "keyType", keys);
  cube_check_least (errors, at, source, "maxExpirationSeconds", 3600, "if provided, maxExpirationSeconds must be >= 3600");
  if (cube_view_int (seconds, 0) > most)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "maxExpirationSeconds"), seconds, "if provided, maxExpirationSeconds must be <= %d",
                    most);
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      CubeView where = cube_view_member (source, paths[i]);
      has_path |= !cube_is_empty (where);
      if (!cube_is_empty (where))
        cube_check_relative_path (errors, &CUBE_AT (at, paths[i]), where);
    }
  if (!has_path)
    cube_check_add (errors, "Required", at, cube_view_none (),
                    "specify at least one of credentialBundlePath, keyPath, and certificateChainPath");
  CubeIter it;
  const char *key;
  for (cube_iter_init (&it, cube_view_member (source, "userAnnotations")); cube_iter_next (&it, &key, NULL);)
    if (cube_name_check_qualified (key) != NULL || strchr (key, '/') == NULL)
      cube_check_add_text (errors, "Invalid", &CUBE_AT (at, "userAnnotations"), key,
                           "must be a domain-prefixed key (such as \"acme.io/foo\")");
}
