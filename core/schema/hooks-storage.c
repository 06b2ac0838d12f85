/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of volumes, claims and classes. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };
static const char *const access_modes[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod", NULL };

/* ---- shared ---- */

static void
check_modes (CubeFieldErrors *errors, const CubePath *at, CubeView spec, const char *detail)
{
  CubeView modes = cube_view_member (spec, "accessModes");
  if (cube_view_length (modes) == 0)
    cube_check_add (errors, "Required", &CUBE_AT (at, "accessModes"), cube_view_none (), "%s", detail);
  cube_check_each_of (errors, at, spec, "accessModes", access_modes, TRUE);
  if (cube_view_length (modes) > 1 && cube_list_has (modes, "ReadWriteOncePod"))
    cube_check_forbidden (errors, &CUBE_AT (at, "accessModes"), "may not use ReadWriteOncePod with other access modes");
}

/* @text NULL: only "may not be negative". */
static void
check_amount (CubeFieldErrors *errors, const CubePath *at, CubeView amount, gboolean positive, CubeView shown)
{
  CubeQuantity quantity;
  if (!cube_quantity_from_view (amount, &quantity))
    return;
  if (quantity.mantissa < 0)
    cube_check_add (errors, "Invalid", at, shown, "must be a valid resource quantity");
  if (positive && quantity.mantissa <= 0)
    cube_check_add (errors, "Invalid", at, shown, "must be greater than zero");
}

/* ---- PersistentVolume ---- */

static const char *const volume_sources[] = { "hostPath",
                                              "gcePersistentDisk",
                                              "awsElasticBlockStore",
                                              "glusterfs",
                                              "flocker",
                                              "nfs",
                                              "rbd",
                                              "quobyte",
                                              "cephfs",
                                              "iscsi",
                                              "cinder",
                                              "fc",
                                              "flexVolume",
                                              "azureFile",
                                              "vsphereVolume",
                                              "photonPersistentDisk",
                                              "portworxVolume",
                                              "azureDisk",
                                              "scaleIO",
                                              "local",
                                              "storageos",
                                              "csi" };

static void
check_secret (CubeFieldErrors *errors, const CubePath *path, CubeView source, const char *field, gboolean needs_namespace)
{
  CubeView secret = cube_view_member (source, field);
  CubePath at = CUBE_AT (path, field);
  if (!cube_view_exists (secret))
    return;
  cube_check_required (errors, &at, secret, "name", "");
  cube_check_name (errors, &at, secret, "name", cube_name_check_dns1123_subdomain);
  if (needs_namespace)
    cube_check_required (errors, &at, secret, "namespace", "");
  if (needs_namespace)
    cube_check_name (errors, &at, secret, "namespace", cube_name_check_dns1123_label);
}

static void
check_source (CubeFieldErrors *errors, const CubePath *at, const char *kind, CubeView source, const char *volume)
{
  static const char *const csi_secrets[] = { "controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef",
                                             "nodeExpandSecretRef" };
  if (strcmp (kind, "local") == 0)
    {
      const char *path = cube_view_string_or (cube_view_member (source, "path"), "");
      g_auto (GStrv) parts = g_strsplit (path, "/", -1);
      if (g_strv_contains ((const char *const *) parts, ".."))
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "path"), cube_view_member (source, "path"), "must not contain '..'");
    }
  else if (strcmp (kind, "csi") == 0)
    {
      cube_check_driver_name (errors, at, source, "driver");
      for (guint i = 0; i < G_N_ELEMENTS (csi_secrets); i++)
        check_secret (errors, at, source, csi_secrets[i], TRUE);
    }
  else if (strcmp (kind, "iscsi") == 0)
    {
      CubeView portal = cube_view_member (source, "targetPortal");
      cube_check_range (errors, at, source, "lun", 0, 255);
      if (cube_view_exists (cube_view_member (source, "secretRef")))
        cube_check_required (errors, &CUBE_AT (at, "secretRef"), cube_view_member (source, "secretRef"), "name", "");
      if (cube_view_exists (cube_view_member (source, "initiatorName")) && strlen (volume) + 1 + cube_view_string_length (portal) > 64)
        cube_check_add (
            errors, "Invalid", &CUBE_AT (at, "targetportal"), portal,
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.");
    }
  else if (strcmp (kind, "cinder") == 0 || strcmp (kind, "storageos") == 0)
    {
      CubeView secret = cube_view_member (source, "secretRef");
      if (cube_view_exists (secret))
        {
          cube_check_required (errors, &CUBE_AT (at, "secretRef"), secret, "name", "");
          cube_check_required (errors, &CUBE_AT (at, "secretRef"), secret, "namespace", "");
        }
    }
  else if (strcmp (kind, "glusterfs") == 0)
    {
      CubeView space = cube_view_member (source, "endpointsNamespace");
      if (cube_view_exists (space) && cube_is_empty (space))
        cube_check_add (errors, "Invalid", &CUBE_AT (at, "endpointsNamespace"), space,
                        "if the endpointnamespace is set, it must be a valid namespace name");
    }
  else if (strcmp (kind, "azureFile") == 0)
    {
      CubeView space = cube_view_member (source, "secretNamespace");
      if (cube_view_exists (space) && cube_is_empty (space))
        cube_check_add (errors, "Required", &CUBE_AT (at, "secretNamespace"), cube_view_none (), "%s", "");
    }
}

static void
check_volume_source (CubeFieldErrors *errors, CubeView spec, const char *volume)
{
  guint n = 0;
  for (guint i = 0; i < G_N_ELEMENTS (volume_sources); i++)
    {
      CubeView source = cube_view_member (spec, volume_sources[i]);
      CubePath at = CUBE_AT (&spec_path, volume_sources[i]);
      if (!cube_view_exists (source))
        continue;
      if (n++ > 0)
        cube_check_forbidden (errors, strcmp (volume_sources[i], "cephfs") == 0 ? &CUBE_AT (&spec_path, "cephFS") : &at,
                              "may not specify more than 1 volume type");
      else
        check_source (errors, &at, volume_sources[i], source, volume);
    }
  if (n == 0)
    cube_check_add (errors, "Required", &spec_path, cube_view_none (), "must specify a volume type");
}

static void
check_capacity (CubeFieldErrors *errors, CubeView capacity)
{
  CubePath at = CUBE_AT (&spec_path, "capacity");
  CubeIter it;
  const char *key;
  CubeView v;
  if (cube_view_length (capacity) == 0)
    cube_check_add (errors, "Required", &at, cube_view_none (), "%s", "");
  if (!cube_view_exists (cube_view_member (capacity, "storage")) || cube_view_length (capacity) > 1)
    cube_check_add (errors, "NotSupported", &at, capacity, "supported values: \"storage\"");
  for (cube_iter_init (&it, capacity); cube_iter_next (&it, &key, &v);)
    check_amount (errors, &CUBE_AT_KEY (&at, key), v, TRUE, v);
}

static void
check_volume (CubeFieldErrors *errors, CubeView spec, const char *name)
{
  CubeView affinity = cube_view_member (spec, "nodeAffinity"), required = cube_view_member (affinity, "required"),
           class = cube_view_member (spec, "volumeAttributesClassName");
  CubePath affinity_at = CUBE_AT (&spec_path, "nodeAffinity");
  check_modes (errors, &spec_path, spec, "");
  check_capacity (errors, cube_view_member (spec, "capacity"));
  if (cube_view_exists (affinity) && !cube_view_exists (required))
    cube_check_add (errors, "Required", &CUBE_AT (&affinity_at, "required"), cube_view_none (), "must specify required node constraints");
  else if (cube_view_exists (required))
    cube_check_node_selector (errors, &CUBE_AT (&affinity_at, "required"), required);
  check_volume_source (errors, spec, name);
  if (cube_view_exists (cube_view_member (spec, "local")) && !cube_view_exists (affinity))
    cube_check_add (errors, "Required", &affinity_at, cube_view_none (), "Local volume requires node affinity");
  if (g_strcmp0 (cube_view_get_string (spec, "hostPath", "path"), "/") == 0
      && g_strcmp0 (cube_view_string (cube_view_member (spec, "persistentVolumeReclaimPolicy")), "Recycle") == 0)
    cube_check_forbidden (errors, &CUBE_AT (&spec_path, "persistentVolumeReclaimPolicy"),
                          "may not be 'recycle' for a hostPath mount of '/'");
  cube_check_name (errors, &spec_path, spec, "storageClassName", cube_name_check_dns1123_subdomain);
  if (!cube_view_exists (class))
    return;
  if (cube_is_empty (class))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "volumeAttributesClassName"), cube_view_none (),
                    "an empty string is disallowed");
  cube_check_name (errors, &spec_path, spec, "volumeAttributesClassName", cube_name_check_dns1123_subdomain);
  if (!cube_view_exists (cube_view_member (spec, "csi")))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "csi"), cube_view_none (),
                    "has to be specified when using volumeAttributesClassName");
}

static gboolean
same_source (CubeView now, CubeView before, const char *kind)
{
  if (cube_view_equal (now, before) || strcmp (kind, "csi") != 0 || !cube_view_exists (now) || !cube_view_exists (before))
    return cube_view_equal (now, before) || (!cube_view_exists (now) && !cube_view_exists (before));
  if (cube_view_exists (cube_view_member (before, "controllerExpandSecretRef")))
    return FALSE;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (now);
  cube_mut_remove (cube_builder_root (builder), "controllerExpandSecretRef");
  return cube_mut_equal_view (cube_builder_root (builder), before);
}

static void
check_volume_update (CubeFieldErrors *errors, CubeView spec, CubeView old)
{
  static const CubePath mode_path = { NULL, "volumeMode", 0, FALSE };
  g_autoptr (GString) changed = g_string_new (NULL);
  for (guint i = 0; i < G_N_ELEMENTS (volume_sources); i++)
    if (!same_source (cube_view_member (spec, volume_sources[i]), cube_view_member (old, volume_sources[i]), volume_sources[i]))
      g_string_append_printf (changed, "\n- spec.%s", volume_sources[i]);
  if (changed->len > 0)
    cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, "persistentvolumesource"), cube_view_none (),
                    "spec.persistentvolumesource is immutable after creation%s", changed->str);
  CubeView mode = cube_view_member (spec, "volumeMode");
  if (!cube_view_equal (mode, cube_view_member (old, "volumeMode")) && cube_view_exists (cube_view_member (old, "volumeMode")))
    cube_check_add (errors, "Invalid", &mode_path, mode, "field is immutable");
  if (cube_view_exists (cube_view_member (old, "volumeAttributesClassName"))
      && !cube_view_exists (cube_view_member (spec, "volumeAttributesClassName")))
    cube_check_forbidden (errors, &CUBE_AT (&spec_path, "volumeAttributesClassName"), "update from non-nil value to nil is forbidden");
}

/* A key of nodes and the name it has today; NULL: it has one name. */
static const char *
today (const char *key)
{
  static const char *const keys[][2] = { { "failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone" },
                                         { "failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region" },
                                         { "beta.kubernetes.io/os", "kubernetes.io/os" },
                                         { "beta.kubernetes.io/arch", "kubernetes.io/arch" },
                                         { "beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type" } };
  for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
    if (strcmp (key, keys[i][0]) == 0)
      return keys[i][1];
  return NULL;
}

/* The affinity stays, but for old keys that take the names of today. */
static void
check_affinity_update (CubeFieldErrors *errors, CubeView spec, CubeView old)
{
  CubeView now = cube_view_member (spec, "nodeAffinity"), before = cube_view_member (old, "nodeAffinity"),
           terms = cube_view_get (now, "required", "nodeSelectorTerms");
  if (!cube_view_exists (now) || !cube_view_exists (before) || cube_view_equal (now, before))
    return;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (before);
  CubeMut *old_terms = cube_mut_get (cube_builder_root (builder), "required", "nodeSelectorTerms");
  for (guint i = 0; i < cube_mut_length (old_terms); i++)
    {
      CubeMut *list = cube_mut_member (cube_mut_element (old_terms, i), "matchExpressions");
      for (guint j = 0; j < cube_mut_length (list); j++)
        {
          CubeMut *expression = cube_mut_element (list, j);
          CubeView given = cube_view_element (cube_view_member (cube_view_element (terms, i), "matchExpressions"), j);
          const char *key = cube_mut_string (cube_mut_member (expression, "key")), *name = key == NULL ? NULL : today (key);
          if (name != NULL && g_strcmp0 (cube_view_get_string (given, "key"), name) == 0)
            cube_mut_set_string (expression, "key", name);
        }
    }
  if (!cube_mut_equal_view (cube_builder_root (builder), now))
    cube_field_errors_add (errors, "Invalid", "nodeAffinity", now, "field is immutable, except for updating from beta label to GA");
}

void
cube_hook_persistent_volume (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), old_spec = cube_view_member (old, "spec");
  if (*subresource != '\0')
    return;
  check_volume (errors, spec, cube_view_string_or (cube_view_get (object, "metadata", "name"), ""));
  if (cube_view_exists (old))
    {
      check_volume_update (errors, spec, old_spec);
      check_affinity_update (errors, spec, old_spec);
    }
}

/* ---- PersistentVolumeClaim ---- */

static void
check_data_source (CubeFieldErrors *errors, const CubePath *path, CubeView spec, const char *field)
{
  CubeView source = cube_view_member (spec, field), group = cube_view_member (source, "apiGroup"), kind = cube_view_member (source, "kind");
  CubePath at = CUBE_AT (path, field);
  if (!cube_view_exists (source))
    return;
  if (cube_is_empty (group) && g_strcmp0 (cube_view_string (kind), "PersistentVolumeClaim") != 0)
    cube_check_add (errors, "Invalid", &at, kind, "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
  cube_check_name (errors, &at, source, "apiGroup", cube_name_check_dns1123_subdomain);
  cube_check_name (errors, &at, source, "namespace", cube_name_check_dns1123_label);
}

void
cube_check_claim_spec (CubeFieldErrors *errors, const CubePath *path, CubeView spec)
{
  CubeView size = cube_view_get (spec, "resources", "requests", "storage"), source = cube_view_member (spec, "dataSource"),
           reference = cube_view_member (spec, "dataSourceRef");
  CubePath resources_at = CUBE_AT (path, "resources"), storage_at = CUBE_AT_KEY (&resources_at, "storage");
  check_modes (errors, path, spec, "at least 1 access mode is required");
  if (cube_view_exists (cube_view_member (spec, "selector")))
    cube_check_label_selector (errors, &CUBE_AT (path, "selector"), cube_view_member (spec, "selector"));
  if (!cube_view_exists (size))
    cube_check_add (errors, "Required", &storage_at, cube_view_none (), "%s", "");
  else
    check_amount (errors, &storage_at, size, TRUE, size);
  cube_check_name (errors, path, spec, "storageClassName", cube_name_check_dns1123_subdomain);
  cube_check_name (errors, path, spec, "volumeAttributesClassName", cube_name_check_dns1123_subdomain);
  check_data_source (errors, path, spec, "dataSource");
  check_data_source (errors, path, spec, "dataSourceRef");
  if (!cube_view_exists (source) || !cube_view_exists (reference))
    return;
  if (!cube_is_empty (cube_view_member (reference, "namespace")))
    cube_check_add (errors, "Invalid", path, source, "may not be specified when dataSourceRef.namespace is specified");
  else if (g_strcmp0 (cube_view_get_string (source, "kind"), cube_view_get_string (reference, "kind")) != 0
           || g_strcmp0 (cube_view_get_string (source, "name"), cube_view_get_string (reference, "name")) != 0
           || strcmp (cube_view_string_or (cube_view_member (source, "apiGroup"), ""),
                      cube_view_string_or (cube_view_member (reference, "apiGroup"), ""))
                  != 0)
    cube_check_add (errors, "Invalid", path, source, "must match dataSourceRef");
}

/* What may change once the claim is there. */
static void
check_claim_rest (CubeFieldErrors *errors, CubeView spec, CubeView old, gboolean is_bound)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (spec);
  CubeMut *root = cube_builder_root (builder);
  if (cube_is_empty (cube_view_member (old, "volumeName")))
    cube_mut_set_view (root, "volumeName", cube_view_member (old, "volumeName"));
  if (!cube_view_exists (cube_view_member (old, "storageClassName")))
    cube_mut_remove (root, "storageClassName");
  if (!cube_view_exists (cube_view_member (old, "volumeMode")))
    cube_mut_remove (root, "volumeMode");
  if (is_bound)
    {
      CubeView size = cube_view_get (old, "resources", "requests", "storage");
      if (cube_view_exists (size))
        cube_mut_set_view (cube_mut_ensure (root, "resources", "requests"), "storage", size);
      cube_mut_set_view (root, "volumeAttributesClassName", cube_view_member (old, "volumeAttributesClassName"));
    }
  if (cube_mut_equal_view (root, old))
    return;
  g_autoptr (GString) changed = g_string_new (NULL);
  for (guint i = 0; i < cube_mut_length (root); i++)
    {
      const char *key;
      CubeMut *member = cube_mut_member_at (root, i, &key);
      if (!cube_mut_equal_view (member, cube_view_member (old, key)))
        g_string_append_printf (changed, "\n- spec.%s", key);
    }
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, old); cube_iter_next (&it, &key, &v);)
    if (cube_mut_member (root, key) == NULL)
      g_string_append_printf (changed, "\n- spec.%s", key);
  cube_check_add (errors, "Forbidden", &spec_path, cube_view_none (),
                  "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims%s",
                  changed->str);
}

static void
check_claim_update (CubeFieldErrors *errors, CubeView object, CubeView old_object)
{
  static const CubePath mode_path = { NULL, "volumeMode", 0, FALSE };
  static const char *const beta = "volume.beta.kubernetes.io/storage-class";
  CubeView spec = cube_view_member (object, "spec"), old = cube_view_member (old_object, "spec"), v;
  CubePath class_at = CUBE_AT (&spec_path, "volumeAttributesClassName"), resources_at = CUBE_AT (&spec_path, "resources"),
           requests_at = CUBE_AT (&resources_at, "requests");
  check_claim_rest (errors, spec, old, g_strcmp0 (cube_view_get_string (old_object, "status", "phase"), "Bound") == 0);
  CubeQuantity now, before, real;
  if (cube_quantity_from_view (cube_view_get (spec, "resources", "requests", "storage"), &now)
      && cube_quantity_from_view (cube_view_get (old, "resources", "requests", "storage"), &before)
      && cube_quantity_compare (&now, &before) < 0
      && cube_quantity_from_view (cube_view_get (old_object, "status", "capacity", "storage"), &real)
      && cube_quantity_compare (&now, &real) <= 0)
    cube_check_forbidden (errors, &CUBE_AT (&requests_at, "storage"), "field can not be less than status.capacity");
  v = cube_view_get (object, "metadata", "annotations", beta);
  CubeView old_class = cube_view_get (old_object, "metadata", "annotations", beta);
  if (!cube_view_equal (v, old_class) && (cube_view_exists (v) || cube_view_exists (old_class)))
    cube_check_add_text (errors, "Invalid", &CUBE_AT (&CUBE_AT (&((CubePath){ NULL, "metadata", 0, FALSE }), "annotations"), beta),
                         cube_view_string_or (v, ""), "field is immutable");
  v = cube_view_member (spec, "volumeMode");
  if (cube_view_exists (cube_view_member (old, "volumeMode")) && !cube_view_equal (v, cube_view_member (old, "volumeMode")))
    cube_check_add (errors, "Invalid", &mode_path, v, "field is immutable");
  v = cube_view_member (spec, "volumeAttributesClassName");
  if (!cube_view_exists (cube_view_get (old_object, "status", "currentVolumeAttributesClassName")) || !cube_is_empty (v))
    return;
  cube_check_add (errors, "Forbidden", &class_at, cube_view_none (),
                  "update to %s is forbidden when status.currentVolumeAttributesClassName is not nil",
                  cube_view_exists (v) ? "empty string" : "nil");
}

static void
check_claim_status (CubeFieldErrors *errors, CubeView status)
{
  static const char *const maps[] = { "capacity", "allocatedResources" };
  static const char *const states[] = { "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress",
                                        "NodeResizeInfeasible",       "NodeResizePending",          NULL };
  CubePath states_at = CUBE_AT (&status_path, "allocatedResourceStatuses");
  CubeIter it;
  const char *key;
  CubeView v;
  for (guint i = 0; i < 2; i++)
    {
      CubePath at = CUBE_AT (&status_path, maps[i]);
      for (cube_iter_init (&it, cube_view_member (status, maps[i])); cube_iter_next (&it, &key, &v);)
        check_amount (errors, &CUBE_AT_KEY (&at, key), v, FALSE, v);
    }
  for (cube_iter_init (&it, cube_view_member (status, "allocatedResourceStatuses")); cube_iter_next (&it, &key, &v);)
    {
      if (strcmp (key, "storage") != 0 && strchr (key, '/') == NULL)
        cube_check_add_text (errors, "NotSupported", &states_at, key, "supported values: \"storage\"");
      if (!g_strv_contains (states, cube_view_string_or (v, "")))
        cube_check_add_text (errors, "NotSupported", &states_at, key,
                             "supported values: \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", "
                             "\"NodeResizeInProgress\", \"NodeResizeInfeasible\", \"NodeResizePending\"");
    }
}

void
cube_hook_volume_claim (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  if (strcmp (subresource, "status") == 0)
    check_claim_status (errors, cube_view_member (object, "status"));
  if (*subresource != '\0')
    return;
  cube_check_claim_spec (errors, &spec_path, cube_view_member (object, "spec"));
  if (cube_view_exists (old))
    check_claim_update (errors, object, old);
}
