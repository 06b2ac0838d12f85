/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of configuration, nodes, leases, limits, quotas, events. */
#include "validate-more.h"

#define MAX_DATA 1048576u

static const CubePath spec_path = { NULL, "spec", 0, FALSE };

/* ---- ConfigMap and Secret ---- */

/* Keys, and the size of the values; base64 text counts decoded. */
static gsize
check_keys (CubeView object, const char *field, gboolean is_encoded, CubeFieldErrors *errors)
{
  CubePath at = { NULL, field, 0, FALSE };
  CubeIter it;
  const char *key, *why;
  CubeView v;
  gsize total = 0;
  for (cube_iter_init (&it, cube_view_member (object, field)); cube_iter_next (&it, &key, &v);)
    {
      gsize length = cube_view_string_length (v);
      const char *text = cube_view_string_or (v, "");
      if ((why = cube_name_check_config_map_key (key)) != NULL)
        cube_check_add_text (errors, "Invalid", &CUBE_AT_KEY (&at, key), key, "%s", why);
      if (is_encoded && length >= 4)
        length = length / 4 * 3 - (text[length - 1] == '=') - (text[length - 2] == '=');
      total += length;
    }
  return total;
}

static void
check_frozen (CubeView object, CubeView old, const char *field, CubeFieldErrors *errors)
{
  if (!cube_view_equal (cube_view_member (object, field), cube_view_member (old, field)))
    cube_field_errors_add (errors, "Forbidden", field, cube_view_none (), "field is immutable when `immutable` is set");
}

void
cube_hook_config_map (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView binary = cube_view_member (object, "binaryData");
  CubePath at = { NULL, "data", 0, FALSE };
  CubeIter it;
  const char *key;
  if (*subresource != '\0')
    return;
  gsize total = check_keys (object, "data", FALSE, errors) + check_keys (object, "binaryData", TRUE, errors);
  for (cube_iter_init (&it, cube_view_member (object, "data")); cube_view_length (binary) > 0 && cube_iter_next (&it, &key, NULL);)
    if (cube_view_exists (cube_view_member (binary, key)))
      cube_check_add_text (errors, "Invalid", &CUBE_AT_KEY (&at, key), key, "duplicate of key present in binaryData");
  if (total > MAX_DATA)
    cube_field_errors_add (errors, "TooLong", "[]", cube_view_none (), "may not be more than %u bytes", MAX_DATA);
  if (!cube_view_bool (cube_view_member (old, "immutable"), FALSE))
    return;
  if (!cube_view_bool (cube_view_member (object, "immutable"), FALSE))
    cube_field_errors_add (errors, "Forbidden", "immutable", cube_view_none (), "field is immutable when `immutable` is set");
  check_frozen (object, old, "data", errors);
  check_frozen (object, old, "binaryData", errors);
}

static void
check_secret_json (CubeView data, const char *key, CubeFieldErrors *errors)
{
  CubePath at = { NULL, "data", 0, FALSE };
  const char *text = cube_view_string (cube_view_member (data, key));
  if (text == NULL)
    {
      cube_check_add (errors, "Required", &CUBE_AT_KEY (&at, key), cube_view_none (), "%s", "");
      return;
    }
  gsize length;
  g_autofree guchar *bytes = g_base64_decode (text, &length);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json ((const char *) bytes, (gssize) length, NULL, &error);
  if (value == NULL || cube_view_type (cube_value_root (value)) != CUBE_VALUE_OBJECT)
    cube_check_add_text (errors, "Invalid", &CUBE_AT_KEY (&at, key), "<secret contents redacted>", "%s",
                         error != NULL ? error->message : "json: cannot unmarshal into an object");
}

static void
check_secret_type (CubeView object, CubeFieldErrors *errors)
{
  static const struct {
    const char *type, *key;
  } needed[] = { { "kubernetes.io/ssh-auth", "ssh-privatekey" }, { "kubernetes.io/tls", "tls.crt" }, { "kubernetes.io/tls", "tls.key" } };
  const char *type = cube_view_string_or (cube_view_member (object, "type"), "");
  CubeView data = cube_view_member (object, "data");
  CubePath at = { NULL, "data", 0, FALSE };
  for (guint i = 0; i < G_N_ELEMENTS (needed); i++)
    if (strcmp (type, needed[i].type) == 0 && !cube_view_exists (cube_view_member (data, needed[i].key)))
      cube_check_add (errors, "Required", &CUBE_AT_KEY (&at, needed[i].key), cube_view_none (), "%s", "");
  if (strcmp (type, "kubernetes.io/service-account-token") == 0
      && cube_is_empty (cube_view_get (object, "metadata", "annotations", "kubernetes.io/service-account.name")))
    cube_field_errors_add (errors, "Required", "metadata.annotations[kubernetes.io/service-account.name]", cube_view_none (), "%s", "");
  if (strcmp (type, "kubernetes.io/dockercfg") == 0)
    check_secret_json (data, ".dockercfg", errors);
  if (strcmp (type, "kubernetes.io/dockerconfigjson") == 0)
    check_secret_json (data, ".dockerconfigjson", errors);
  if (strcmp (type, "kubernetes.io/basic-auth") == 0 && !cube_view_exists (cube_view_member (data, "username"))
      && !cube_view_exists (cube_view_member (data, "password")))
    {
      cube_check_add (errors, "Required", &CUBE_AT_KEY (&at, "username"), cube_view_none (), "%s", "");
      cube_check_add (errors, "Required", &CUBE_AT_KEY (&at, "password"), cube_view_none (), "%s", "");
    }
}

void
cube_hook_secret (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  if (*subresource != '\0')
    return;
  if (check_keys (object, "data", TRUE, errors) > MAX_DATA)
    cube_field_errors_add (errors, "TooLong", "data", cube_view_none (), "may not be more than %u bytes", MAX_DATA);
  check_secret_type (object, errors);
  if (!cube_view_bool (cube_view_member (old, "immutable"), FALSE))
    return;
  if (!cube_view_bool (cube_view_member (object, "immutable"), FALSE))
    cube_field_errors_add (errors, "Forbidden", "immutable", cube_view_none (), "field is immutable when `immutable` is set");
  check_frozen (object, old, "data", errors);
}

/* ---- Node ---- */

static void
check_taints (CubeView spec, CubeFieldErrors *errors)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath metadata = { NULL, "metadata", 0, FALSE }, list = CUBE_AT (&metadata, "taints");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (spec, "taints")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView effect = cube_view_member (v, "effect");
      const char *text = cube_view_string_or (effect, "");
      cube_check_name (errors, &at, v, "key", cube_name_check_qualified);
      cube_check_name (errors, &at, v, "value", cube_name_check_label_value);
      if (*text == '\0')
        cube_check_add (errors, "Required", &CUBE_AT (&at, "effect"), cube_view_none (), "%s", "");
      else if (strcmp (text, "NoSchedule") != 0 && strcmp (text, "PreferNoSchedule") != 0 && strcmp (text, "NoExecute") != 0)
        cube_check_add (errors, "NotSupported", &CUBE_AT (&at, "effect"), effect,
                        "supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"");
      g_autofree char *pair = g_strdup_printf ("%s\n%s", cube_view_string_or (cube_view_member (v, "key"), ""), text);
      if (!cube_check_unique (&seen, pair))
        cube_check_add (errors, "Duplicate", &at, v, "taints must be unique by key and effect pair");
    }
}

void
cube_hook_node (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), old_spec = cube_view_member (old, "spec"), v;
  CubePath cidrs = CUBE_AT (&spec_path, "podCIDRs");
  CubeIter it;
  guint i = 0;
  cube_check_node_status (errors, cube_view_member (object, "status"), cube_view_exists (old));
  if (*subresource != '\0')
    return;
  if (cube_view_exists (old)
      && g_strcmp0 (cube_view_string (cube_view_member (spec, "externalID")), cube_view_string (cube_view_member (old_spec, "externalID")))
             != 0)
    cube_check_forbidden (errors, &CUBE_AT (&spec_path, "externalID"), "may not be updated");
  check_taints (spec, errors);
  for (cube_iter_init (&it, cube_view_member (spec, "podCIDRs")); cube_iter_next (&it, NULL, &v); i++)
    cube_check_cidr (errors, &CUBE_AT_INDEX (&cidrs, i), v);
  if (cube_view_length (cube_view_member (spec, "podCIDRs")) > 2)
    cube_check_add (errors, "Invalid", &cidrs, cube_view_member (spec, "podCIDRs"), "may specify no more than one CIDR for each IP family");
  if (!cube_view_exists (old))
    return;
  if (!cube_is_empty (cube_view_member (old_spec, "podCIDRs"))
      && !cube_view_equal (cube_view_member (spec, "podCIDRs"), cube_view_member (old_spec, "podCIDRs")))
    cube_check_add (errors, "Forbidden", &cidrs, cube_view_none (), "node updates may not change podCIDR except from \"\" to valid");
  if (!cube_is_empty (cube_view_member (old_spec, "providerID"))
      && !cube_view_equal (cube_view_member (spec, "providerID"), cube_view_member (old_spec, "providerID")))
    cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, "providerID"), cube_view_none (),
                    "node updates may not change providerID except from \"\" to valid");
}

void
cube_warn_node (CubeView object, CubeView old, GPtrArray *warnings)
{
  if (cube_view_exists (cube_view_get (object, "spec", "configSource")))
    g_ptr_array_add (warnings, g_strdup ("spec.configSource: the feature is removed"));
  if (!cube_is_empty (cube_view_get (object, "spec", "externalID")))
    g_ptr_array_add (warnings, g_strdup ("spec.externalID: this field is deprecated, and is unused by Kubernetes"));
}

/* ---- Lease ---- */

void
cube_hook_lease (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), seconds = cube_view_member (spec, "leaseDurationSeconds");
  if (cube_view_exists (seconds) && cube_view_int (seconds, 0) <= 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "leaseDurationSeconds"), seconds, "must be greater than 0");
  cube_check_not_negative (errors, &spec_path, spec, "leaseTransitions");
  if (!cube_is_empty (cube_view_member (spec, "preferredHolder")) && cube_is_empty (cube_view_member (spec, "strategy")))
    cube_check_add (errors, "Forbidden", &CUBE_AT (&spec_path, "preferredHolder"), cube_view_none (),
                    "may only be specified if `strategy` is defined");
  CubeView strategy = cube_view_member (spec, "strategy");
  const char *text = cube_view_string_or (strategy, "");
  CubePath strategy_at = CUBE_AT (&spec_path, "strategy");
  if (*text != '\0' && strchr (text, '/') == NULL && strcmp (text, "OldestEmulationVersion") != 0)
    cube_check_add (errors, "NotSupported", &CUBE_AT (&strategy_at, "strategy"), strategy, "supported values: \"OldestEmulationVersion\"");
}

/* ---- LimitRange ---- */

/* @low of a map may not be above @high; the text has both amounts. */
static void
check_order (CubeFieldErrors *errors, const CubePath *at, CubeView low, CubeView high, CubeView shown, const char *low_word,
             const char *high_word)
{
  CubeQuantity a, b;
  if (cube_quantity_from_view (low, &a) && cube_quantity_from_view (high, &b) && cube_quantity_compare (&a, &b) > 0)
    cube_check_add (errors, "Invalid", at, shown, "%s value %s is greater than %s value %s", low_word, cube_view_string_or (low, ""),
                    high_word, cube_view_string_or (high, ""));
}

static void
check_limit (CubeFieldErrors *errors, const CubePath *path, CubeView item)
{
  static const char *const maps[] = { "max", "min", "default", "defaultRequest", "maxLimitRequestRatio" };
  const char *type = cube_view_string_or (cube_view_member (item, "type"), ""), *name;
  gboolean is_pod = strcmp (type, "Pod") == 0, is_container = strcmp (type, "Container") == 0;
  CubeIter it;
  CubeView v;
  for (guint i = 0; i < G_N_ELEMENTS (maps); i++)
    {
      CubeView map = cube_view_member (item, maps[i]);
      CubePath at = CUBE_AT (path, maps[i]);
      if (is_pod && (i == 2 || i == 3) && cube_view_length (map) > 0)
        {
          cube_check_add (errors, "Forbidden", &at, cube_view_none (), "may not be specified when `type` is 'Pod'");
          continue;
        }
      cube_check_resources (errors, &at, map, is_pod || is_container);
      for (cube_iter_init (&it, map); cube_iter_next (&it, &name, &v);)
        {
          CubePath key = CUBE_AT_KEY (&at, name);
          CubeView low = cube_view_get (item, "min", name), high = cube_view_get (item, "max", name),
                   limit = cube_view_get (item, "default", name);
          if (i == 1)
            check_order (errors, &key, v, high, v, "min", "max");
          if (i == 2)
            {
              check_order (errors, &key, low, v, v, "min", "default");
              check_order (errors, &key, v, high, v, "default", "max");
            }
          if (i == 3)
            {
              check_order (errors, &key, low, v, v, "min", "default request");
              check_order (errors, &key, v, high, v, "default request", "max");
              check_order (errors, &key, v, limit, v, "default request", "default limit");
            }
        }
    }
  cube_check_limit_ratio (errors, path, item);
  if (strcmp (type, "PersistentVolumeClaim") == 0 && !cube_view_exists (cube_view_get (item, "min", "storage"))
      && !cube_view_exists (cube_view_get (item, "max", "storage")))
    cube_check_add (errors, "Required", &CUBE_AT (path, "limits"), cube_view_none (),
                    "either minimum or maximum storage value is required, but neither was provided");
}

void
cube_hook_limit_range (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (&spec_path, "limits");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_get (object, "spec", "limits")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView type = cube_view_member (v, "type");
      const char *text = cube_view_string_or (type, "");
      if (*text != '\0' && strcmp (text, "Pod") != 0 && strcmp (text, "Container") != 0 && strcmp (text, "PersistentVolumeClaim") != 0
          && strchr (text, '/') == NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "type"), type, "must be a standard limit type or fully qualified");
      if (*text != '\0' && !cube_check_unique (&seen, text))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "type"), type, "%s", "");
      check_limit (errors, &at, v);
    }
}

/* ---- ResourceQuota ---- */

void
cube_hook_resource_quota (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), scopes = cube_view_member (spec, "scopes");
  CubePath hard = CUBE_AT (&spec_path, "hard"), scopes_at = CUBE_AT (&spec_path, "scopes");
  if (*subresource != '\0')
    return;
  cube_check_resources (errors, &hard, cube_view_member (spec, "hard"), FALSE);
  cube_check_quota_amounts (errors, &hard, cube_view_member (spec, "hard"));
  cube_check_quota_scopes (errors, spec);
  if ((cube_list_has (scopes, "BestEffort") && cube_list_has (scopes, "NotBestEffort"))
      || (cube_list_has (scopes, "Terminating") && cube_list_has (scopes, "NotTerminating")))
    cube_check_add (errors, "Invalid", &scopes_at, scopes, "conflicting scopes");
  if (cube_view_exists (old))
    cube_check_immutable (errors, &spec_path, spec, cube_view_member (old, "spec"), "scopes", "field is immutable");
}

/* ---- PriorityClass ---- */

void
cube_hook_priority_class (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const struct {
    const char *name;
    gint64 value;
  } known[] = { { "system-cluster-critical", 2000000000 }, { "system-node-critical", 2000001000 } };
  const char *name = cube_view_string_or (cube_view_get (object, "metadata", "name"), "");
  static const char *const policies[] = { "PreemptLowerPriority", "Never", NULL };
  gint64 value = cube_view_get_int (object, 0, "value");
  cube_check_one_of (errors, NULL, object, "preemptionPolicy", policies);
  if (cube_view_exists (old))
    {
      if (value != cube_view_get_int (old, 0, "value"))
        cube_field_errors_add (errors, "Forbidden", "value", cube_view_none (), "may not be changed in an update.");
      return;
    }
  if (!g_str_has_prefix (name, "system-"))
    {
      if (value > 1000000000)
        cube_field_errors_add (errors, "Forbidden", "value", cube_view_none (),
                               "maximum allowed value of a user defined priority is 1000000000");
      return;
    }
  g_autofree char *why = g_strdup_printf ("%s is not a known system priority class", name);
  for (guint i = 0; i < G_N_ELEMENTS (known); i++)
    if (strcmp (name, known[i].name) == 0)
      {
        g_free (why);
        why = value != known[i].value ? g_strdup_printf ("value of %s PriorityClass must be %" G_GINT64_FORMAT, name, known[i].value)
              : cube_view_get_bool (object, FALSE, "globalDefault")
                  ? g_strdup_printf ("globalDefault of %s PriorityClass must be false", name)
                  : NULL;
      }
  if (why != NULL)
    cube_field_errors_add (errors, "Forbidden", "metadata.name", cube_view_none (),
                           "priority class names with 'system-' prefix are reserved for system use only. error: %s", why);
}

/* ---- Event ---- */

void
cube_hook_event (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  const char *own = cube_view_string_or (cube_view_get (object, "metadata", "namespace"), "");
  CubeView view = cube_view_get (object, "involvedObject", "namespace");
  if (!cube_view_exists (view))
    view = cube_view_get (object, "regarding", "namespace");
  const char *other = cube_view_string_or (view, "");
  gboolean is_fine =
      *other != '\0' ? strcmp (own, other) == 0 : strcmp (own, "default") == 0 || strcmp (own, "kube-system") == 0 || *own == '\0';
  if (!is_fine)
    cube_check_add_text (errors, "Invalid", &CUBE_AT (&((CubePath){ NULL, "involvedObject", 0, FALSE }), "namespace"), other,
                         "does not match event.namespace");
  if (cube_view_exists (cube_view_member (object, "eventTime")) && cube_view_exists (cube_view_member (object, "involvedObject")))
    cube_check_timed_event (errors, object);
}
