/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of dynamic resource allocation: claims, classes, slices. Expressions are not compiled here. */
#include "validate-more.h"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- shared ---- */

static void
check_selectors (CubeFieldErrors *errors, const CubePath *path, CubeView object)
{
  CubePath list = CUBE_AT (path, "selectors");
  CubeIter it;
  CubeView v;
  guint i = 0;
  cube_check_count (errors, path, object, "selectors", 32);
  for (cube_iter_init (&it, cube_view_member (object, "selectors")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), cel_at = CUBE_AT (&at, "cel");
      if (!cube_view_exists (cube_view_member (v, "cel")))
        cube_check_add (errors, "Required", &cel_at, cube_view_none (), "%s", "");
      cube_check_bytes (errors, &cel_at, cube_view_member (v, "cel"), "expression", 10240);
    }
}

static void
check_tolerations (CubeFieldErrors *errors, const CubePath *path, CubeView request)
{
  CubePath list = CUBE_AT (path, "tolerations");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (request, "tolerations")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      cube_check_name (errors, &at, v, "key", cube_name_check_qualified);
      if (g_strcmp0 (cube_view_get_string (v, "operator"), "Exists") == 0 && !cube_is_empty (cube_view_member (v, "value")))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "value"), cube_view_member (v, "value"), "must be empty for operator `Exists`");
    }
}

static void
check_config (CubeFieldErrors *errors, const CubePath *path, CubeView object)
{
  CubePath list = CUBE_AT (path, "config");
  CubeIter it;
  CubeView v;
  guint i = 0;
  cube_check_count (errors, path, object, "config", 32);
  for (cube_iter_init (&it, cube_view_member (object, "config")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), opaque_at = CUBE_AT (&at, "opaque"), parameters_at = CUBE_AT (&opaque_at, "parameters");
      CubeView opaque = cube_view_member (v, "opaque"), parameters = cube_view_member (opaque, "parameters");
      if (!cube_view_exists (opaque))
        {
          cube_check_add (errors, "Required", &opaque_at, cube_view_none (), "%s", "");
          continue;
        }
      cube_check_driver_name (errors, &opaque_at, opaque, "driver");
      g_autofree char *json = cube_view_exists (parameters) ? cube_view_to_json (parameters, NULL) : NULL;
      if (json == NULL || cube_view_type (parameters) == CUBE_VALUE_NULL)
        cube_check_add (errors, "Required", &parameters_at, cube_view_none (), "%s", "");
      else if (cube_view_type (parameters) != CUBE_VALUE_OBJECT)
        cube_check_add_text (errors, "Invalid", &parameters_at, "<value omitted>", "must be a valid JSON object");
      else if (strlen (json) > 10240)
        cube_check_add (errors, "TooLong", &parameters_at, cube_view_none (), "may not be more than 10240 bytes");
    }
}

/* domain/name: both given, the name a C identifier. */
static const char *
attribute_problem (const char *text, gboolean needs_domain)
{
  const char *slash = strchr (text, '/'), *name = slash == NULL ? text : slash + 1;
  if (slash == NULL && needs_domain)
    return "a fully qualified name must be a domain and a name separated by a slash";
  if (slash == text)
    return "the domain must not be empty";
  if (*name == '\0')
    return "the name must not be empty";
  return NULL;
}

/* ---- ResourceClaim ---- */

static void
check_request_body (CubeFieldErrors *errors, const CubePath *at, CubeView request)
{
  CubeView count = cube_view_member (request, "count");
  const char *mode = cube_view_string_or (cube_view_member (request, "allocationMode"), "");
  cube_check_name (errors, at, request, "deviceClassName", cube_name_check_dns1123_subdomain);
  check_selectors (errors, at, request);
  check_tolerations (errors, at, request);
  if (strcmp (mode, "All") == 0 && cube_view_int (count, 0) != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "count"), count, "must not be specified when allocationMode is 'All'");
  if (strcmp (mode, "ExactCount") == 0 && cube_view_int (count, 0) <= 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "count"), count, "must be greater than zero");
}

static void
check_request (CubeFieldErrors *errors, const CubePath *at, CubeView request, GHashTable **names)
{
  CubeView exactly = cube_view_member (request, "exactly"), first = cube_view_member (request, "firstAvailable"), v;
  CubePath list = CUBE_AT (at, "firstAvailable");
  const char *name = cube_view_string_or (cube_view_member (request, "name"), "");
  CubeIter it;
  guint i = 0;
  cube_check_name (errors, at, request, "name", cube_name_check_dns1123_label);
  cube_check_unique (names, name);
  if (!cube_view_exists (exactly) && cube_view_length (first) == 0)
    cube_check_add (errors, "Required", at, cube_view_none (), "exactly one of `exactly` or `firstAvailable` is required");
  if (cube_view_exists (exactly) && cube_view_length (first) > 0)
    cube_check_add (errors, "Invalid", at, request,
                    "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set");
  if (cube_view_exists (exactly))
    check_request_body (errors, &CUBE_AT (at, "exactly"), exactly);
  cube_check_count (errors, at, request, "firstAvailable", 8);
  for (cube_iter_init (&it, first); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath sub = CUBE_AT_INDEX (&list, i);
      g_autofree char *whole = g_strdup_printf ("%s/%s", name, cube_view_string_or (cube_view_member (v, "name"), ""));
      cube_check_name (errors, &sub, v, "name", cube_name_check_dns1123_label);
      if (!cube_check_unique (names, whole))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&sub, "name"), cube_view_member (v, "name"), "%s", "");
      check_request_body (errors, &sub, v);
    }
}

static void
check_request_names (CubeFieldErrors *errors, const CubePath *path, CubeView object, GHashTable *names)
{
  CubePath list = CUBE_AT (path, "requests");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (object, "requests")); cube_iter_next (&it, NULL, &v); i++)
    if (names == NULL || !g_hash_table_contains (names, cube_view_string_or (v, "")))
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v,
                      "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'");
}

static void
check_constraint (CubeFieldErrors *errors, const CubePath *at, CubeView constraint)
{
  static const char *const fields[] = { "matchAttribute", "distinctAttribute" };
  gboolean has[2];
  for (guint i = 0; i < 2; i++)
    {
      CubeView value = cube_view_member (constraint, fields[i]);
      const char *why = attribute_problem (cube_view_string_or (value, ""), TRUE);
      has[i] = cube_view_exists (value);
      if (has[i] && why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (at, fields[i]), value, "%s", why);
    }
  if (has[0] && has[1])
    cube_check_add (errors, "Required", at, cube_view_none (),
                    "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields are set");
  if (!has[0] && !has[1])
    cube_check_add (errors, "Required", &CUBE_AT (at, "matchAttribute"), cube_view_none (), "%s", "");
}

static void
check_claim_spec (CubeFieldErrors *errors, const CubePath *path, CubeView spec)
{
  g_autoptr (GHashTable) names = NULL, known = NULL;
  CubePath at = CUBE_AT (path, "devices"), requests = CUBE_AT (&at, "requests"), constraints = CUBE_AT (&at, "constraints"),
           config = CUBE_AT (&at, "config");
  CubeView devices = cube_view_member (spec, "devices"), v;
  CubeIter it;
  guint i = 0;
  cube_check_count (errors, &at, devices, "requests", 32);
  cube_check_count (errors, &at, devices, "constraints", 32);
  for (cube_iter_init (&it, cube_view_member (devices, "requests")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath request = CUBE_AT_INDEX (&requests, i);
      const char *name = cube_view_string_or (cube_view_member (v, "name"), "");
      check_request (errors, &request, v, &known);
      if (*name != '\0' && !cube_check_unique (&names, name))
        cube_check_add_text (errors, "Duplicate", &request, name, "%s", "");
    }
  i = 0;
  for (cube_iter_init (&it, cube_view_member (devices, "constraints")); cube_iter_next (&it, NULL, &v); i++)
    {
      check_constraint (errors, &CUBE_AT_INDEX (&constraints, i), v);
      check_request_names (errors, &CUBE_AT_INDEX (&constraints, i), v, known);
    }
  check_config (errors, &at, devices);
  i = 0;
  for (cube_iter_init (&it, cube_view_member (devices, "config")); cube_iter_next (&it, NULL, &v); i++)
    check_request_names (errors, &CUBE_AT_INDEX (&config, i), v, known);
}

static gboolean
is_normal_uid (const char *text)
{
  if (strlen (text) != 36)
    return FALSE;
  for (guint i = 0; i < 36; i++)
    if ((i == 8 || i == 13 || i == 18 || i == 23) ? text[i] != '-' : strchr ("0123456789abcdef", text[i]) == NULL)
      return FALSE;
  return TRUE;
}

/* @results has a device with the names of @device. */
static gboolean
is_allocated (CubeView results, CubeView device)
{
  static const char *const fields[] = { "driver", "pool", "device" };
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, results); cube_iter_next (&it, NULL, &v);)
    {
      gboolean is_same = TRUE;
      for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
        is_same &= cube_view_equal (cube_view_member (v, fields[i]), cube_view_member (device, fields[i]));
      if (is_same)
        return TRUE;
    }
  return FALSE;
}

static void
check_reserved (CubeFieldErrors *errors, CubeView object, CubeView old)
{
  static const char *const needed[] = { "resource", "name", "uid" };
  g_autoptr (GHashTable) uids = NULL;
  CubePath list = CUBE_AT (&status_path, "reservedFor");
  CubeView status = cube_view_member (object, "status"), users = cube_view_member (status, "reservedFor"), v;
  CubeIter it;
  guint i = 0;
  cube_check_count (errors, &status_path, status, "reservedFor", 256);
  for (cube_iter_init (&it, users); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView uid = cube_view_member (v, "uid");
      for (guint n = 0; n < G_N_ELEMENTS (needed); n++)
        cube_check_required (errors, &at, v, needed[n], "");
      if (!cube_is_empty (uid) && !cube_check_unique (&uids, cube_view_string_or (uid, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "uid"), uid, "%s", "");
    }
  if (cube_view_length (users) > 0 && !cube_view_exists (cube_view_member (status, "allocation")))
    cube_check_forbidden (errors, &list, "may not be specified when `allocated` is not set");
  if (cube_view_exists (cube_view_get (object, "metadata", "deletionTimestamp"))
      && cube_view_length (users) > cube_view_length (cube_view_get (old, "status", "reservedFor")))
    cube_check_forbidden (errors, &list, "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set");
}

static void
check_claim_status (CubeFieldErrors *errors, CubeView object, CubeView old)
{
  CubeView status = cube_view_member (object, "status"), allocation = cube_view_member (status, "allocation"),
           before = cube_view_get (old, "status", "allocation"), results = cube_view_get (allocation, "devices", "results"), v;
  CubePath devices = CUBE_AT (&status_path, "devices"), allocation_at = CUBE_AT (&status_path, "allocation"),
           in_allocation = CUBE_AT (&allocation_at, "devices"), list = CUBE_AT (&in_allocation, "results");
  CubeIter it;
  guint i = 0;
  check_reserved (errors, object, old);
  if (cube_view_exists (allocation) && cube_view_exists (before) && !cube_view_equal (allocation, before))
    cube_check_add (errors, "Invalid", &allocation_at, allocation, "field is immutable");
  for (cube_iter_init (&it, results); cube_iter_next (&it, NULL, &v); i++)
    {
      CubeView share = cube_view_member (v, "shareID");
      CubePath at = CUBE_AT_INDEX (&list, i);
      if (cube_view_exists (share) && !is_normal_uid (cube_view_string_or (share, "")))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "shareID"), share,
                        "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal "
                        "characters");
    }
  i = 0;
  for (cube_iter_init (&it, cube_view_member (status, "devices")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&devices, i);
      if (!is_allocated (results, v))
        cube_check_add (errors, "Invalid", &at, v, "must be an allocated device in the claim");
      cube_check_count (errors, &at, v, "conditions", 8);
    }
}

void
cube_hook_resource_claim (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  if (strcmp (subresource, "status") == 0)
    check_claim_status (errors, object, old);
  if (*subresource == '\0' && !cube_view_exists (old))
    check_claim_spec (errors, &spec_path, cube_view_member (object, "spec"));
}

void
cube_hook_claim_template (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  if (!cube_view_exists (old))
    check_claim_spec (errors, &CUBE_AT (&spec_path, "spec"), cube_view_get (object, "spec", "spec"));
}

void
cube_hook_device_class (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  CubeView spec = cube_view_member (object, "spec"), name = cube_view_member (spec, "extendedResourceName");
  const char *text = cube_view_string_or (name, "");
  check_selectors (errors, &spec_path, spec);
  check_config (errors, &spec_path, spec);
  if (cube_view_exists (name)
      && (strchr (text, '/') == NULL || strstr (text, "kubernetes.io/") != NULL || g_str_has_prefix (text, "requests.")
          || cube_name_check_qualified (text) != NULL))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "extendedResourceName"), name, "must be a valid extended resource name");
}

/* ---- ResourceSlice ---- */

#define NODE_CHOICE "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"

static guint
count_set (CubeView object, const char *const *fields)
{
  guint n = 0;
  for (guint i = 0; fields[i] != NULL; i++)
    n += cube_view_exists (cube_view_member (object, fields[i]));
  return n;
}

static void
check_node_choice (CubeFieldErrors *errors, CubeView spec)
{
  static const char *const choices[] = { "nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection", NULL };
  static const char *const flags[] = { "allNodes", "perDeviceNodeSelection" };
  CubeView node = cube_view_member (spec, "nodeName"), terms = cube_view_get (spec, "nodeSelector", "nodeSelectorTerms");
  CubePath selector = CUBE_AT (&spec_path, "nodeSelector");
  guint n = count_set (spec, choices);
  if (n == 0)
    cube_check_add (errors, "Required", &spec_path, cube_view_none (), NODE_CHOICE);
  if (n > 1)
    cube_check_add (errors, "Invalid", &spec_path, spec, NODE_CHOICE ", but multiple fields are set");
  if (cube_view_exists (node) && cube_is_empty (node))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "nodeName"), node, "must be either unset or set to a non-empty string");
  cube_check_name (errors, &spec_path, spec, "nodeName", cube_name_check_dns1123_subdomain);
  if (cube_view_exists (cube_view_member (spec, "nodeSelector")) && cube_view_length (terms) != 1)
    cube_check_add (errors, "Invalid", &CUBE_AT (&selector, "nodeSelectorTerms"), terms, "must have exactly one node selector term");
  for (guint i = 0; i < 2; i++)
    {
      CubeView flag = cube_view_member (spec, flags[i]);
      if (cube_view_exists (flag) && !cube_view_bool (flag, FALSE))
        cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, flags[i]), flag, "must be either unset or set to true");
    }
}

static void
check_attributes (CubeFieldErrors *errors, const CubePath *path, CubeView device)
{
  static const char *const values[] = { "bool", "int", "string", "version", "bools", "ints", "strings", "versions", NULL };
  CubePath list = CUBE_AT (path, "attributes");
  CubeView attributes = cube_view_member (device, "attributes"), v;
  CubeIter it;
  const char *key;
  guint n_values = 0;
  for (cube_iter_init (&it, attributes); cube_iter_next (&it, &key, &v);)
    {
      CubePath at = CUBE_AT_KEY (&list, key);
      const char *why = attribute_problem (key, FALSE);
      if (why != NULL)
        cube_check_add_text (errors, "Invalid", &at, key, "%s", why);
      if (count_set (v, values) != 1)
        cube_check_add (errors, "Invalid", &at, v, "exactly one value must be specified");
      cube_check_bytes (errors, &at, v, "string", 64);
      cube_check_bytes (errors, &at, v, "version", 64);
      n_values += 1;
      for (guint i = 4; values[i] != NULL; i++)
        {
          CubeView some = cube_view_member (v, values[i]);
          if (cube_view_exists (some) && cube_view_length (some) == 0)
            cube_check_add (errors, "Invalid", &CUBE_AT (&at, values[i]), some, "must not be empty if specified");
          n_values += cube_view_length (some) > 0 ? cube_view_length (some) - 1 : 0;
        }
    }
  if (cube_view_length (attributes) + cube_view_length (cube_view_member (device, "capacity")) > 32)
    cube_check_add (errors, "Invalid", path, device, "the total number of attributes and capacities must not exceed 32");
  if (n_values > 48)
    cube_check_add (errors, "Invalid", path, device, "the total number of attribute values must not exceed 48");
}

static void
check_capacities (CubeFieldErrors *errors, const CubePath *path, CubeView device)
{
  static const char *const forms[] = { "validValues", "validRange" };
  gboolean is_shared = cube_view_bool (cube_view_member (device, "allowMultipleAllocations"), FALSE);
  CubePath list = CUBE_AT (path, "capacity");
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (device, "capacity")); cube_iter_next (&it, &key, &v);)
    {
      CubePath at = CUBE_AT_KEY (&list, key), policy_at = CUBE_AT (&at, "requestPolicy");
      CubeView policy = cube_view_member (v, "requestPolicy");
      if (!cube_view_exists (policy))
        continue;
      if (!is_shared)
        cube_check_forbidden (errors, &policy_at, "allowMultipleAllocations must be true");
      if (!cube_is_empty (cube_view_member (policy, forms[0])) && cube_view_exists (cube_view_member (policy, forms[1])))
        cube_check_forbidden (errors, &policy_at,
                              "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time");
      for (guint i = 0; i < 2; i++)
        if (!cube_is_empty (cube_view_member (policy, forms[i])) && !cube_view_exists (cube_view_member (policy, "default")))
          cube_check_add (errors, "Required", &CUBE_AT (&policy_at, "default"), cube_view_none (), "required when %s is defined", forms[i]);
    }
}

static void
check_binding (CubeFieldErrors *errors, const CubePath *path, CubeView device)
{
  CubeView wanted = cube_view_member (device, "bindingConditions"), failing = cube_view_member (device, "bindingFailureConditions"), v;
  CubePath list = CUBE_AT (path, "bindingFailureConditions");
  CubeIter it;
  guint i = 0;
  if (cube_view_length (wanted) == 0 && cube_view_length (failing) > 0)
    cube_check_add_null (errors, "Invalid", &CUBE_AT (path, "bindingConditions"),
                         "bindingConditions are required to use bindingFailureConditions");
  if (cube_view_length (wanted) > 0 && cube_view_length (failing) == 0)
    cube_check_add_null (errors, "Invalid", &list, "bindingFailureConditions are required to use bindingConditions");
  for (cube_iter_init (&it, failing); cube_iter_next (&it, NULL, &v); i++)
    if (cube_list_has (wanted, cube_view_string_or (v, "")))
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v, "bindingFailureConditions must not overlap with bindingConditions");
}

static void
check_device (CubeFieldErrors *errors, const CubePath *at, CubeView device, gboolean per_device)
{
  static const char *const places[] = { "nodeName", "nodeSelector", "allNodes", NULL };
  CubePath taints = CUBE_AT (at, "taints");
  guint n = count_set (device, places), i = 0;
  CubeIter it;
  CubeView v;
  cube_check_name (errors, at, device, "name", cube_name_check_dns1123_label);
  check_attributes (errors, at, device);
  check_capacities (errors, at, device);
  check_binding (errors, at, device);
  if (!per_device && n > 0)
    cube_check_add (errors, "Invalid", at, device,
                    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the "
                    "ResourceSlice spec");
  if (per_device && n == 0)
    cube_check_add (errors, "Required", at, cube_view_none (),
                    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in "
                    "the ResourceSlice spec");
  for (cube_iter_init (&it, cube_view_member (device, "taints")); cube_iter_next (&it, NULL, &v); i++)
    cube_check_required (errors, &CUBE_AT_INDEX (&taints, i), v, "effect", "");
}

static gboolean
has_special (CubeView devices)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, devices); cube_iter_next (&it, NULL, &v);)
    if (cube_view_length (cube_view_member (v, "taints")) > 0 || cube_view_length (cube_view_member (v, "consumesCounters")) > 0)
      return TRUE;
  return FALSE;
}

void
cube_hook_resource_slice (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  g_autoptr (GHashTable) names = NULL;
  CubeView spec = cube_view_member (object, "spec"), pool = cube_view_member (spec, "pool"), devices = cube_view_member (spec, "devices"),
           v;
  CubePath pool_at = CUBE_AT (&spec_path, "pool"), list = CUBE_AT (&spec_path, "devices");
  gboolean per_device = cube_view_bool (cube_view_member (spec, "perDeviceNodeSelection"), FALSE);
  CubeIter it;
  guint i = 0;
  cube_check_driver_name (errors, &spec_path, spec, "driver");
  cube_check_bytes (errors, &pool_at, pool, "name", 253);
  if (cube_view_get_int (pool, 0, "resourceSliceCount") <= 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&pool_at, "resourceSliceCount"), cube_view_member (pool, "resourceSliceCount"),
                    "must be greater than zero");
  if (cube_view_get_int (pool, 0, "generation") < 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&pool_at, "generation"), cube_view_member (pool, "generation"),
                    "must be greater than or equal to zero");
  check_node_choice (errors, spec);
  if (cube_view_length (devices) > 0 && cube_view_length (cube_view_member (spec, "sharedCounters")) > 0)
    cube_check_add (errors, "Invalid", &spec_path, spec, "only one of `sharedCounters` or `devices` is allowed");
  cube_check_count (errors, &spec_path, spec, "sharedCounters", 8);
  cube_check_count (errors, &spec_path, spec, "devices", has_special (devices) ? 64 : 128);
  for (cube_iter_init (&it, devices); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView name = cube_view_member (v, "name");
      check_device (errors, &at, v, per_device);
      if (!cube_is_empty (name) && !cube_check_unique (&names, cube_view_string_or (name, "")))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "name"), name, "%s", "");
    }
  if (!cube_view_exists (old))
    return;
  CubeView old_spec = cube_view_member (old, "spec");
  cube_check_immutable (errors, &pool_at, pool, cube_view_member (old_spec, "pool"), "name", "field is immutable");
  cube_check_immutable (errors, &spec_path, spec, old_spec, "driver", "field is immutable");
  cube_check_immutable (errors, &spec_path, spec, old_spec, "nodeName", "field is immutable");
}
