/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of storage classes, attachments and CSI drivers. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- classes ---- */

static void
check_parameters (CubeFieldErrors *errors, CubeView parameters, gboolean needs_one)
{
  static const CubePath at = { NULL, "parameters", 0, FALSE };
  CubeIter it;
  const char *key;
  CubeView v;
  gsize total = 0;
  if (cube_view_length (parameters) > 512)
    cube_check_add (errors, "TooLong", &at, cube_view_none (), "may not be more than 512 bytes");
  for (cube_iter_init (&it, parameters); cube_iter_next (&it, &key, &v);)
    {
      if (*key == '\0')
        cube_check_add_text (errors, "Invalid", &at, "", "field can not be empty.");
      total += strlen (key) + cube_view_string_length (v);
    }
  if (total > 262144)
    cube_check_add (errors, "TooLong", &at, cube_view_none (), "may not be more than 262144 bytes");
  if (needs_one && cube_view_length (parameters) == 0)
    cube_check_add (errors, "Required", &at, cube_view_none (), "must contain at least one key/value pair");
}

static void
check_topology (CubeFieldErrors *errors, CubeView terms)
{
  static const CubePath list = { NULL, "allowedTopologies", 0, FALSE };
  g_autoptr (GPtrArray) earlier = g_ptr_array_new_with_free_func (g_free);
  CubeIter it, inner;
  CubeView term, v;
  guint i = 0;
  for (cube_iter_init (&it, terms); cube_iter_next (&it, NULL, &term); i++)
    {
      g_autoptr (GHashTable) keys = NULL;
      CubePath at = CUBE_AT_INDEX (&list, i), expressions = CUBE_AT (&at, "matchLabelExpressions");
      guint j = 0;
      for (cube_iter_init (&inner, cube_view_member (term, "matchLabelExpressions")); cube_iter_next (&inner, NULL, &v); j++)
        {
          CubePath expression = CUBE_AT_INDEX (&expressions, j);
          CubeView key = cube_view_member (v, "key");
          const char *text = cube_view_string_or (key, ""), *why = cube_name_check_qualified (text);
          if (cube_view_length (cube_view_member (v, "values")) == 0)
            cube_check_add (errors, "Required", &CUBE_AT (&expression, "values"), cube_view_none (), "%s", "");
          cube_check_distinct (errors, &CUBE_AT (&expression, "values"), cube_view_member (v, "values"));
          if (why != NULL)
            cube_check_add_text (errors, "Invalid", &CUBE_AT (&expression, "key"), text, "%s", why);
          if (!cube_check_unique (&keys, text))
            cube_check_add (errors, "Duplicate", &CUBE_AT (&expression, "key"), key, "%s", "");
        }
      g_autofree char *json = cube_view_to_json (term, NULL);
      gboolean is_known = FALSE;
      for (guint e = 0; e < earlier->len && !is_known; e++)
        is_known = strcmp (earlier->pdata[e], json) == 0;
      if (is_known)
        cube_check_add_text (errors, "Duplicate", &expressions, "", "%s", "");
      g_ptr_array_add (earlier, g_steal_pointer (&json));
    }
}

void
cube_hook_storage_class (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView name = cube_view_member (object, "provisioner");
  static const char *const policies[] = { "Delete", "Retain", NULL };
  g_autofree char *lower = g_ascii_strdown (cube_view_string_or (name, ""), -1);
  const char *why = cube_name_check_qualified (lower);
  check_topology (errors, cube_view_member (object, "allowedTopologies"));
  if (cube_view_exists (old))
    return; /* the rest cannot have changed */
  if (*lower != '\0' && why != NULL)
    cube_check_add_text (errors, "Invalid", &((CubePath){ NULL, "provisioner", 0, FALSE }), lower, "%s", why);
  check_parameters (errors, cube_view_member (object, "parameters"), FALSE);
  cube_check_one_of (errors, NULL, object, "reclaimPolicy", policies);
}

void
cube_hook_attributes_class (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const fixed[] = { "driverName", "parameters" };
  if (!cube_view_exists (old))
    {
      cube_check_driver_name (errors, NULL, object, "driverName");
      check_parameters (errors, cube_view_member (object, "parameters"), TRUE);
      return;
    }
  for (guint i = 0; i < 2; i++)
    {
      CubeView now = cube_view_member (object, fixed[i]), before = cube_view_member (old, fixed[i]);
      if (!cube_view_equal (now, before) && !(cube_is_empty (now) && cube_is_empty (before)))
        cube_check_add (errors, "Forbidden", &CUBE_AT (NULL, fixed[i]), cube_view_none (), "updates to %s are forbidden.", fixed[i]);
    }
}

/* ---- VolumeAttachment ---- */

static void
check_inline (CubeFieldErrors *errors, const CubePath *at, CubeView volume)
{
  static const char *const never[] = { "claimRef", "capacity", "nodeAffinity", "storageClassName" };
  CubeView csi = cube_view_member (volume, "csi");
  CubePath csi_at = CUBE_AT (at, "csi");
  for (guint i = 0; i < G_N_ELEMENTS (never); i++)
    if (!cube_is_empty (cube_view_member (volume, never[i])))
      {
        cube_check_forbidden (errors, &CUBE_AT (at, never[i]), "may not be specified in the context of inline volumes");
        break;
      }
  if (!cube_view_exists (csi))
    cube_check_add (errors, "Required", &csi_at, cube_view_none (), "has to be specified in the context of inline volumes");
  else
    cube_check_driver_name (errors, &csi_at, csi, "driver");
  if (!cube_is_empty (cube_view_member (volume, "persistentVolumeReclaimPolicy"))
      && g_strcmp0 (cube_view_get_string (volume, "persistentVolumeReclaimPolicy"), "Retain") != 0)
    cube_check_forbidden (errors, &CUBE_AT (at, "persistentVolumeReclaimPolicy"), "may only be Retain in the context of inline volumes");
  if (cube_view_exists (cube_view_member (volume, "volumeMode"))
      && g_strcmp0 (cube_view_get_string (volume, "volumeMode"), "Filesystem") != 0)
    cube_check_forbidden (errors, &CUBE_AT (at, "volumeMode"),
                          "may not specify volumeMode other than Filesystem in the context of inline volumes");
}

static void
check_attachment_status (CubeFieldErrors *errors, CubeView status)
{
  static const char *const faults[] = { "attachError", "detachError" };
  CubeIter it;
  const char *key;
  CubeView v;
  gsize total = 0;
  for (cube_iter_init (&it, cube_view_member (status, "attachmentMetadata")); cube_iter_next (&it, &key, &v);)
    total += strlen (key) + cube_view_string_length (v);
  if (total > 262144)
    cube_check_add (errors, "TooLong", &CUBE_AT (&status_path, "attachmentMetadata"), cube_view_none (),
                    "may not be more than 262144 bytes");
  for (guint i = 0; i < 2; i++)
    {
      CubePath at = CUBE_AT (&status_path, faults[i]);
      CubeView fault = cube_view_member (status, faults[i]);
      if (cube_view_string_length (cube_view_member (fault, "message")) > 1024)
        cube_check_add (errors, "TooLong", &CUBE_AT (&at, "message"), cube_view_none (), "may not be more than 262144 bytes");
      cube_check_range (errors, &at, fault, "errorCode", 0, G_MAXINT32);
    }
}

void
cube_hook_volume_attachment (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), source = cube_view_member (spec, "source"),
           volume = cube_view_member (source, "inlineVolumeSpec"), name = cube_view_member (source, "persistentVolumeName");
  CubePath at = CUBE_AT (&spec_path, "source");
  check_attachment_status (errors, cube_view_member (object, "status"));
  if (*subresource != '\0' || cube_view_exists (old))
    return; /* the spec cannot have changed */
  cube_check_driver_name (errors, &spec_path, spec, "attacher");
  cube_check_name (errors, &spec_path, spec, "nodeName", cube_name_check_dns1123_subdomain);
  if (!cube_view_exists (volume) && !cube_view_exists (name))
    cube_check_add (errors, "Required", &at, cube_view_none (), "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
  if (cube_view_exists (volume) && cube_view_exists (name))
    cube_check_forbidden (errors, &at, "must specify exactly one of inlineVolumeSpec and persistentVolumeName");
  if (cube_view_exists (name) && cube_is_empty (name))
    cube_check_add (errors, "Required", &CUBE_AT (&at, "persistentVolumeName"), cube_view_none (),
                    "must specify non empty persistentVolumeName");
  if (cube_view_exists (volume))
    check_inline (errors, &CUBE_AT (&at, "inlineVolumeSpec"), volume);
}

/* ---- CSI ---- */

static void
check_token_requests (CubeFieldErrors *errors, CubeView spec)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (&spec_path, "tokenRequests");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "tokenRequests")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      const char *audience = cube_view_string_or (cube_view_member (v, "audience"), "");
      if (!cube_check_unique (&seen, audience))
        cube_check_add_text (errors, "Duplicate", &CUBE_AT (&at, "audience"), audience, "%s", "");
      cube_check_least (errors, &at, v, "expirationSeconds", 600, "may not specify a duration less than 10 minutes");
      cube_check_most (errors, &at, v, "expirationSeconds", G_GINT64_CONSTANT (1) << 32,
                       "may not specify a duration larger than 2^32 seconds");
    }
}

void
cube_hook_csi_driver (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const policies[] = { "File", "None", "ReadWriteOnceWithFSType", NULL };
  static const char *const modes[] = { "Persistent", "Ephemeral", NULL };
  CubeView spec = cube_view_member (object, "spec"), attach = cube_view_member (spec, "attachRequired");
  if (cube_view_exists (old) && !cube_view_equal (attach, cube_view_get (old, "spec", "attachRequired")))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "attachedRequired"), attach, "field is immutable");
  if (!cube_view_exists (attach))
    cube_check_add (errors, "Required", &CUBE_AT (&spec_path, "attachedRequired"), cube_view_none (), "%s", "");
  cube_check_one_of (errors, &spec_path, spec, "fsGroupPolicy", policies);
  check_token_requests (errors, spec);
  cube_check_each_of (errors, &spec_path, spec, "volumeLifecycleModes", modes, TRUE);
  cube_check_least (errors, &spec_path, spec, "nodeAllocatableUpdatePeriodSeconds", 10, "must be greater than or equal to 10 seconds");
  CubeView secrets = cube_view_member (spec, "serviceAccountTokenInSecrets");
  if (cube_view_exists (secrets) && cube_view_length (cube_view_member (spec, "tokenRequests")) == 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "serviceAccountTokenInSecrets"), secrets,
                    "serviceAccountTokenInSecrets is set but no tokenRequests are specified");
}

static gboolean
same_driver (CubeView now, CubeView before)
{
  static const char *const fields[] = { "nodeID", "topologyKeys" };
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      CubeView a = cube_view_member (now, fields[i]), b = cube_view_member (before, fields[i]);
      if (!cube_view_equal (a, b) && !(cube_is_empty (a) && cube_is_empty (b)))
        return FALSE;
    }
  return TRUE;
}

static void
check_node_driver (CubeFieldErrors *errors, const CubePath *at, CubeView driver)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeView node = cube_view_member (driver, "nodeID"), v;
  CubeIter it;
  cube_check_driver_name (errors, at, driver, "name");
  if (cube_view_string_length (node) > 256)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "nodeID"), node, "must be 256 characters or less");
  for (cube_iter_init (&it, cube_view_member (driver, "topologyKeys")); cube_iter_next (&it, NULL, &v);)
    {
      const char *key = cube_view_string_or (v, ""), *why = cube_name_check_qualified (key);
      if (*key == '\0')
        cube_check_add (errors, "Required", at, cube_view_none (), "%s", "");
      else if (why != NULL)
        cube_check_add (errors, "Invalid", at, v, "%s", why);
      if (!cube_check_unique (&seen, key))
        cube_check_add (errors, "Duplicate", at, v, "%s", "");
    }
}

void
cube_hook_csi_node (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (&spec_path, "drivers");
  CubeView drivers = cube_view_get (object, "spec", "drivers"), before = cube_view_get (old, "spec", "drivers"), v, w;
  CubeIter it, inner;
  guint i = 0;
  for (cube_iter_init (&it, drivers); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      check_node_driver (errors, &at, v);
      if (!cube_is_empty (name) && !cube_check_unique (&seen, cube_view_string_or (name, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
      for (cube_iter_init (&inner, before); cube_iter_next (&inner, NULL, &w);)
        if (cube_view_equal (name, cube_view_member (w, "name")) && !same_driver (v, w))
          cube_check_add (errors, "Invalid", &list, drivers, "field is immutable");
    }
}

void
cube_hook_storage_capacity (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const sizes[] = { "capacity", "maximumVolumeSize" };
  CubeQuantity quantity;
  for (guint i = 0; i < 2; i++)
    if (cube_quantity_from_view (cube_view_member (object, sizes[i]), &quantity) && quantity.mantissa < 0)
      cube_check_add (errors, "Invalid", &CUBE_AT (NULL, sizes[i]), cube_view_member (object, sizes[i]),
                      "must be greater than or equal to 0");
  if (cube_view_exists (cube_view_member (object, "nodeTopology")))
    cube_check_label_selector (errors, &CUBE_AT (NULL, "nodeTopology"), cube_view_member (object, "nodeTopology"));
  cube_check_name (errors, NULL, object, "storageClassName", cube_name_check_dns1123_subdomain);
}
