/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of CustomResourceDefinition beyond what compiling it finds. */
#include "validate-more.h"

#define APPROVED "api-approved.kubernetes.io"
#define SEE "see https://github.com/kubernetes/enhancements/pull/1111"

static const CubePath spec_path = { NULL, "spec", 0, FALSE };
static const CubePath status_path = { NULL, "status", 0, FALSE };

/* ---- names ---- */

static gboolean
is_protected (const char *group)
{
  return strcmp (group, "k8s.io") == 0 || strcmp (group, "kubernetes.io") == 0 || g_str_has_suffix (group, ".k8s.io")
         || g_str_has_suffix (group, ".kubernetes.io");
}

static void
check_approval (CubeFieldErrors *errors, CubeView object, const char *group)
{
  static const CubePath metadata = { NULL, "metadata", 0, FALSE };
  CubePath list = CUBE_AT (&metadata, "annotations"), at = CUBE_AT_KEY (&list, APPROVED);
  CubeView value = cube_view_get (object, "metadata", "annotations", APPROVED);
  const char *text = cube_view_string_or (value, "");
  if (!is_protected (group))
    return;
  if (*text == '\0')
    cube_check_add (errors, "Required", &at, cube_view_none (), "protected groups must have approval annotation \"" APPROVED "\", " SEE);
  else if (!g_str_has_prefix (text, "unapproved") && strstr (text, "://") == NULL)
    cube_check_add (errors, "Invalid", &at, value,
                    "protected groups must have approval annotation \"" APPROVED
                    "\" with either a URL or a reason starting with \"unapproved\", " SEE);
}

static void
check_names (CubeFieldErrors *errors, CubeView names)
{
  static const char *const plain[] = { "plural", "singular" }, *const mixed[] = { "kind", "listKind" },
                           *const lists[] = { "shortNames", "categories" };
  CubePath at = CUBE_AT (&spec_path, "names");
  CubeIter it;
  CubeView v;
  for (guint i = 0; i < 2; i++)
    {
      CubeView name = cube_view_member (names, mixed[i]);
      g_autofree char *lower = g_ascii_strdown (cube_view_string_or (name, ""), -1);
      const char *why = cube_name_check_dns1035_label (lower);
      cube_check_required (errors, &at, names, plain[i], "");
      cube_check_name (errors, &at, names, plain[i], cube_name_check_dns1035_label);
      if (*lower == '\0')
        cube_check_add (errors, "Required", &CUBE_AT (&at, mixed[i]), cube_view_none (), "%s", "");
      else if (why != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, mixed[i]), name, "may have mixed case, but should otherwise match: %s", why);
      CubePath list = CUBE_AT (&at, lists[i]);
      guint j = 0;
      for (cube_iter_init (&it, cube_view_member (names, lists[i])); cube_iter_next (&it, NULL, &v); j++)
        if ((why = cube_name_check_dns1035_label (cube_view_string_or (v, ""))) != NULL)
          cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, j), v, "%s", why);
    }
  v = cube_view_member (names, "listKind");
  if (!cube_is_empty (v) && cube_view_equal (v, cube_view_member (names, "kind")))
    cube_check_add (errors, "Invalid", &CUBE_AT (&at, "listKind"), v, "kind and listKind may not be the same");
}

/* ---- versions ---- */

static void
check_deprecation (CubeFieldErrors *errors, const CubePath *path, CubeView version)
{
  CubeView warning = cube_view_member (version, "deprecationWarning");
  CubePath at = CUBE_AT (path, "deprecationWarning");
  const char *text = cube_view_string_or (warning, "");
  if (!cube_view_exists (warning))
    return;
  if (!cube_view_bool (cube_view_member (version, "deprecated"), FALSE))
    cube_check_add (errors, "Invalid", &at, warning, "can only be set for deprecated versions");
  if (cube_view_string_length (warning) > 256)
    cube_check_add (errors, "Invalid", &at, warning, "must be <= 256 characters long");
  if (*text == '\0')
    cube_check_add (errors, "Invalid", &at, warning, "must not be an empty string");
  for (const char *c = text; *c != '\0'; c = g_utf8_next_char (c))
    if (!g_unichar_isprint (g_utf8_get_char (c)))
      {
        cube_check_add (errors, "Invalid", &at, warning,
                        "must only contain printable UTF-8 characters; non-printable character found at index %d", (int) (c - text));
        break;
      }
}

static void
check_columns (CubeFieldErrors *errors, const CubePath *path, CubeView version)
{
  static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
  static const char *const formats[] = { "byte", "date", "date-time", "double", "float", "int32", "int64", "password", NULL };
  CubePath list = CUBE_AT (path, "additionalPrinterColumns");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (version, "additionalPrinterColumns")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView type = cube_view_member (v, "type"), format = cube_view_member (v, "format"), where = cube_view_member (v, "jsonPath");
      if (cube_is_empty (type))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "type"), cube_view_none (), "must be one of boolean,date,integer,number,string");
      else if (!g_strv_contains (types, cube_view_string_or (type, "")))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "type"), type, "must be one of boolean,date,integer,number,string");
      if (!cube_is_empty (format) && !g_strv_contains (formats, cube_view_string_or (format, "")))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "format"), format,
                        "must be one of byte,date,date-time,double,float,int32,int64,password");
      if (cube_is_empty (where))
        cube_check_add (errors, "Required", &CUBE_AT (&at, "JSONPath"), cube_view_none (), "%s", "");
      else if (*cube_view_string_or (where, ".") != '.')
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "JSONPath"), where, "must be a simple json path starting with .");
    }
}

/* A path of plain names that ends at a number, a list or an object. */
static gboolean
points_to_object (CubeView schema, const char *path)
{
  static const char *const no[] = { "object", "array", "number", NULL };
  if (*path != '.' || strpbrk (path, "[]'\"\\") != NULL)
    return FALSE;
  g_auto (GStrv) steps = g_strsplit (path + 1, ".", -1);
  for (guint i = 0; steps[i] != NULL; i++)
    schema = cube_view_get (schema, "properties", steps[i]);
  const char *type = cube_view_string (cube_view_member (schema, "type"));
  return type != NULL && g_strv_contains (no, type);
}

static void
check_selectable (CubeFieldErrors *errors, const CubePath *path, CubeView version)
{
  g_autoptr (GHashTable) seen = NULL;
  CubePath list = CUBE_AT (path, "selectableFields");
  CubeView fields = cube_view_member (version, "selectableFields"), v;
  CubeIter it;
  guint i = 0;
  if (cube_view_length (fields) == 0)
    return;
  if (!cube_view_exists (cube_view_get (version, "schema", "openAPIV3Schema")))
    cube_check_add_text (errors, "Invalid", &list, "", "may only be set when `version.schema.openAPIV3Schema` is not included");
  cube_check_count (errors, path, version, "selectableFields", 8);
  for (cube_iter_init (&it, fields); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView where = cube_view_member (v, "jsonPath");
      const char *text = cube_view_string_or (where, "");
      if (g_str_has_prefix (text, ".metadata.") || strcmp (text, ".metadata") == 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "jsonPath"), where, "must not point to fields in metadata");
      else if (points_to_object (cube_view_get (version, "schema", "openAPIV3Schema"), text))
        cube_check_add (
            errors, "Invalid", &CUBE_AT (&at, "jsonPath"), where,
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
      if (*text != '\0' && !cube_check_unique (&seen, text))
        cube_check_add (errors, "Duplicate", &CUBE_AT (&at, "jsonPath"), where, "%s", "");
    }
}

static void
check_scale (CubeFieldErrors *errors, const CubePath *path, CubeView scale)
{
  static const char *const sides[][3] = { { "specReplicasPath", ".spec.", "should be a json path under .spec" },
                                          { "statusReplicasPath", ".status.", "should be a json path under .status" } };
  CubePath subresources = CUBE_AT (path, "subresources"), at = CUBE_AT (&subresources, "scale");
  CubeView label = cube_view_member (scale, "labelSelectorPath");
  const char *text = cube_view_string_or (label, "");
  for (guint i = 0; i < 2; i++)
    {
      CubeView value = cube_view_member (scale, sides[i][0]);
      if (!cube_is_empty (value) && !g_str_has_prefix (cube_view_string_or (value, ""), sides[i][1]))
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, sides[i][0]), value, "%s", sides[i][2]);
    }
  if (*text != '\0' && !g_str_has_prefix (text, ".spec.") && !g_str_has_prefix (text, ".status."))
    cube_check_add (errors, "Invalid", &CUBE_AT (&at, "labelSelectorPath"), label, "should be a json path under either .spec or .status");
}

/* With a status of its own door the root of a schema says less. */
static void
check_root_fields (CubeFieldErrors *errors, const CubePath *at, CubeView schema)
{
  static const char *const known[] = { "description",
                                       "type",
                                       "format",
                                       "title",
                                       "maximum",
                                       "exclusiveMaximum",
                                       "minimum",
                                       "exclusiveMinimum",
                                       "maxLength",
                                       "minLength",
                                       "pattern",
                                       "maxItems",
                                       "minItems",
                                       "uniqueItems",
                                       "multipleOf",
                                       "required",
                                       "items",
                                       "properties",
                                       "externalDocs",
                                       "example",
                                       "x-kubernetes-preserve-unknown-fields",
                                       "x-kubernetes-validations",
                                       NULL };
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, schema); cube_iter_next (&it, &key, &v);)
    if (!g_strv_contains (known, key) && !cube_is_empty (v) && (cube_view_type (v) != CUBE_VALUE_BOOL || cube_view_bool (v, FALSE)))
      {
        cube_check_add (errors, "Invalid", at, schema,
                        "only [Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern "
                        "MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields "
                        "XValidations] fields are allowed at the root of the schema if the status subresource is enabled");
        return;
      }
}

static void
check_versions (CubeFieldErrors *errors, CubeView spec)
{
  g_autoptr (GHashTable) names = NULL;
  CubePath list = CUBE_AT (&spec_path, "versions");
  CubeView versions = cube_view_member (spec, "versions"), v;
  gboolean is_unique = TRUE;
  guint i = 0, n_stored = 0;
  CubeIter it;
  for (cube_iter_init (&it, versions); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i), schema_at = CUBE_AT (&at, "schema");
      const char *name = cube_view_string_or (cube_view_member (v, "name"), ""), *why = cube_name_check_dns1035_label (name);
      is_unique &= cube_check_unique (&names, name);
      n_stored += cube_view_bool (cube_view_member (v, "storage"), FALSE);
      if (why != NULL)
        cube_check_add_text (errors, "Invalid", &CUBE_AT (&at, "name"), name, "%s", why);
      if (!cube_view_exists (cube_view_get (v, "schema", "openAPIV3Schema")))
        cube_check_add (errors, "Required", &CUBE_AT (&schema_at, "openAPIV3Schema"), cube_view_none (), "%s", "");
      else
        cube_check_definition_schema (errors, &CUBE_AT (&schema_at, "openAPIV3Schema"), cube_view_get (v, "schema", "openAPIV3Schema"));
      if (cube_view_exists (cube_view_get (v, "subresources", "status")))
        check_root_fields (errors, &CUBE_AT (&schema_at, "openAPIV3Schema"), cube_view_get (v, "schema", "openAPIV3Schema"));
      check_deprecation (errors, &at, v);
      check_columns (errors, &at, v);
      check_selectable (errors, &at, v);
      if (cube_view_exists (cube_view_get (v, "subresources", "scale")))
        check_scale (errors, &at, cube_view_get (v, "subresources", "scale"));
    }
  if (!is_unique)
    cube_check_add (errors, "Invalid", &list, versions, "must contain unique version names");
  if (n_stored != 1)
    cube_check_add (errors, "Invalid", &list, versions, "must have exactly one version marked as storage version");
}

/* ---- conversion and status ---- */

static void
check_conversion (CubeFieldErrors *errors, CubeView conversion)
{
  static const char *const strategies[] = { "None", "Webhook", NULL };
  g_autoptr (GHashTable) seen = NULL;
  CubePath at = CUBE_AT (&spec_path, "conversion"), client_at = CUBE_AT (&at, "webhookClientConfig"),
           versions_at = CUBE_AT (&at, "conversionReviewVersions");
  CubeView client = cube_view_get (conversion, "webhook", "clientConfig"),
           versions = cube_view_get (conversion, "webhook", "conversionReviewVersions"), v;
  CubeIter it;
  guint i = 0;
  if (!cube_view_exists (conversion))
    return;
  cube_check_one_of (errors, &at, conversion, "strategy", strategies);
  if (g_strcmp0 (cube_view_get_string (conversion, "strategy"), "Webhook") != 0)
    {
      if (cube_view_exists (client))
        cube_check_forbidden (errors, &client_at, "should not be set when strategy is not set to Webhook");
      if (cube_view_length (versions) > 0)
        cube_check_forbidden (errors, &versions_at, "should not be set when strategy is not set to Webhook");
      return;
    }
  if (!cube_view_exists (client))
    cube_check_add (errors, "Required", &client_at, cube_view_none (), "required when strategy is set to Webhook");
  else
    cube_check_client_config (errors, &client_at, client);
  if (cube_view_length (versions) == 0)
    {
      cube_check_add (errors, "Required", &versions_at, cube_view_none (), "%s", "");
      return;
    }
  for (cube_iter_init (&it, versions); cube_iter_next (&it, NULL, &v); i++)
    if (!cube_check_unique (&seen, cube_view_string_or (v, "")))
      cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&versions_at, i), v, "duplicate version");
  if (!cube_list_has (versions, "v1") && !cube_list_has (versions, "v1beta1"))
    cube_check_add (errors, "Invalid", &versions_at, versions, "must include at least one of v1, v1beta1");
}

static void
check_stored (CubeFieldErrors *errors, CubeView spec, CubeView stored)
{
  CubePath list = CUBE_AT (&status_path, "storedVersions");
  CubeIter it, inner;
  CubeView v, w;
  guint i = 0;
  if (cube_view_length (stored) == 0)
    cube_check_add (errors, "Invalid", &list, stored, "must have at least one stored version");
  for (cube_iter_init (&it, cube_view_member (spec, "versions")); cube_iter_next (&it, NULL, &v);)
    if (cube_view_bool (cube_view_member (v, "storage"), FALSE)
        && !cube_list_has (stored, cube_view_string_or (cube_view_member (v, "name"), "")))
      cube_check_add (errors, "Invalid", &list, stored, "must have the storage version %s",
                      cube_view_string_or (cube_view_member (v, "name"), ""));
  for (cube_iter_init (&it, stored); cube_iter_next (&it, NULL, &v); i++)
    {
      gboolean is_known = FALSE;
      const char *name = cube_view_string_or (v, "");
      for (cube_iter_init (&inner, cube_view_member (spec, "versions")); !is_known && cube_iter_next (&inner, NULL, &w);)
        is_known = g_strcmp0 (cube_view_string (cube_view_member (w, "name")), name) == 0;
      if (!is_known)
        cube_check_add (errors, "Invalid", &CUBE_AT_INDEX (&list, i), v,
                        "missing from spec.versions; %s was previously a storage version, and must remain in spec.versions until a storage "
                        "migration ensures no data remains persisted in %s and removes %s from status.storedVersions",
                        name, name, name);
    }
}

static gboolean
is_established (CubeView object)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_get (object, "status", "conditions")); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, "type"), "Established") == 0)
      return g_strcmp0 (cube_view_get_string (v, "status"), "True") == 0;
  return FALSE;
}

static void
check_crd_update (CubeFieldErrors *errors, CubeView spec, CubeView old_object)
{
  CubePath names = CUBE_AT (&spec_path, "names");
  CubeView old = cube_view_member (old_object, "spec");
  if (!is_established (old_object))
    return;
  cube_check_immutable (errors, &spec_path, spec, old, "scope", "field is immutable");
  cube_check_immutable (errors, &names, cube_view_member (spec, "names"), cube_view_member (old, "names"), "kind", "field is immutable");
}

void
cube_hook_definition (const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
  static const char *const places[] = { "Cluster", "Namespaced", NULL };
  CubeView spec = cube_view_member (object, "spec"), group = cube_view_member (spec, "group"),
           name = cube_view_get (object, "metadata", "name"), stored = cube_view_get (object, "status", "storedVersions"),
           keeps = cube_view_member (spec, "preserveUnknownFields");
  const char *text = cube_view_string_or (group, "");
  if (cube_view_exists (stored) || strcmp (subresource, "status") == 0)
    check_stored (errors, spec, stored);
  if (*subresource != '\0')
    return;
  g_autofree char *whole = g_strdup_printf ("%s.%s", cube_view_string_or (cube_view_get (spec, "names", "plural"), ""), text);
  if (!cube_view_exists (old))
    {
      if (g_strcmp0 (cube_view_string (name), whole) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&((CubePath){ NULL, "metadata", 0, FALSE }), "name"), name,
                        "must be spec.names.plural+\".\"+spec.group");
      check_approval (errors, object, text);
    }
  cube_check_name (errors, &spec_path, spec, "group", cube_name_check_dns1123_subdomain);
  if (*text != '\0' && strchr (text, '.') == NULL)
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "group"), group, "should be a domain with at least one dot");
  cube_check_one_of (errors, &spec_path, spec, "scope", places);
  if (cube_view_bool (keeps, FALSE) && !cube_view_get_bool (old, FALSE, "spec", "preserveUnknownFields"))
    cube_check_add (errors, "Invalid", &CUBE_AT (&spec_path, "preserveUnknownFields"), keeps,
                    "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
  check_names (errors, cube_view_member (spec, "names"));
  check_versions (errors, spec);
  check_conversion (errors, cube_view_member (spec, "conversion"));
  if (cube_view_exists (old))
    check_crd_update (errors, spec, old);
}
