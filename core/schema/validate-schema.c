/* SPDX-License-Identifier: Apache-2.0 */
/* The schema inside a CustomResourceDefinition: what it may say, and that it is structural. Expressions and patterns are not compiled here. */
#include "validate-more.h"

typedef enum { LEVEL_ROOT, LEVEL_ITEM, LEVEL_FIELD } Level;

#define IS(schema, field) cube_view_bool (cube_view_member ((schema), (field)), FALSE)

static const char *const nested_lists[] = { "allOf", "anyOf", "oneOf" };

/* ---- what a schema may not say at all ---- */

static void
check_words (CubeFieldErrors *errors, const CubePath *at, CubeView schema)
{
  static const char *const types[] = { "array", "boolean", "integer", "number", "object", "string", NULL };
  static const char *const never[] = { "id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref" };
  CubeView keeps = cube_view_member (schema, "x-kubernetes-preserve-unknown-fields");
  if (g_strcmp0 (cube_view_get_string (schema, "type"), "null") == 0)
    cube_check_forbidden (errors, &CUBE_AT (at, "type"), "type cannot be set to null, use nullable as an alternative");
  else
    cube_check_one_of (errors, at, schema, "type", types);
  if (IS (schema, "uniqueItems"))
    cube_check_forbidden (errors, &CUBE_AT (at, "uniqueItems"),
                          "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
  if (cube_view_exists (cube_view_member (schema, "additionalProperties")) && cube_view_length (cube_view_member (schema, "properties")) > 0
      && !(cube_view_type (cube_view_member (schema, "additionalProperties")) == CUBE_VALUE_BOOL && !IS (schema, "additionalProperties")))
    cube_check_forbidden (errors, &CUBE_AT (at, "additionalProperties"), "additionalProperties and properties are mutual exclusive");
  for (guint i = 0; i < G_N_ELEMENTS (never); i++)
    if (!cube_is_empty (cube_view_member (schema, never[i])))
      cube_check_add (errors, "Forbidden", &CUBE_AT (at, never[i]), cube_view_none (), "%s is not supported", never[i]);
  if (cube_view_type (cube_view_member (schema, "items")) == CUBE_VALUE_ARRAY)
    cube_check_forbidden (errors, &CUBE_AT (at, "items"), "items must be a schema object and not an array");
  if (cube_view_exists (keeps) && !cube_view_bool (keeps, FALSE))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "x-kubernetes-preserve-unknown-fields"), keeps, "must be true or undefined");
}

/* ---- lists and maps ---- */

static void
check_map_keys (CubeFieldErrors *errors, const CubePath *at, CubeView schema)
{
  g_autoptr (GHashTable) seen = NULL;
  CubeView keys = cube_view_member (schema, "x-kubernetes-list-map-keys"), items = cube_view_member (schema, "items"), v;
  CubePath keys_at = CUBE_AT (at, "x-kubernetes-list-map-keys"), items_at = CUBE_AT (at, "items"), list = CUBE_AT (&items_at, "properties");
  gboolean is_known = TRUE, is_unique = TRUE;
  CubeIter it;
  for (cube_iter_init (&it, keys); cube_iter_next (&it, NULL, &v);)
    {
      const char *key = cube_view_string_or (v, "");
      CubeView property = cube_view_get (items, "properties", key);
      CubePath property_at = CUBE_AT_KEY (&list, key);
      is_unique &= cube_check_unique (&seen, key);
      is_known &= cube_view_exists (property);
      if (!cube_view_exists (property))
        continue;
      const char *type = cube_view_string_or (cube_view_member (property, "type"), "");
      if (strcmp (type, "array") == 0 || strcmp (type, "object") == 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&property_at, "type"), cube_view_member (property, "type"),
                        "must be a scalar type if parent array's x-kubernetes-list-type is map");
      if (!cube_view_exists (cube_view_member (property, "default")) && !cube_list_has (cube_view_member (items, "required"), key))
        cube_check_add (errors, "Required", &CUBE_AT (&property_at, "default"), cube_view_none (),
                        "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
      if (IS (property, "nullable"))
        cube_check_forbidden (errors, &CUBE_AT (&property_at, "nullable"),
                              "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
    }
  if (!is_known)
    cube_check_add (errors, "Invalid", &keys_at, keys, "entries must all be names of item properties");
  if (!is_unique)
    cube_check_add (errors, "Invalid", &keys_at, keys, "must not contain duplicate entries");
}

static void
check_needs_type (CubeFieldErrors *errors, const CubePath *at, CubeView schema, const char *wanted, const char *why)
{
  CubeView type = cube_view_member (schema, "type");
  if (g_strcmp0 (cube_view_string (type), wanted) != 0)
    cube_check_add (errors, cube_is_empty (type) ? "Required" : "Invalid", &CUBE_AT (at, "type"), type, "must be %s if %s", wanted, why);
}

static void
check_kinds_of_lists (CubeFieldErrors *errors, const CubePath *at, CubeView schema)
{
  static const char *const maps[] = { "atomic", "granular", NULL }, *const lists[] = { "atomic", "set", "map", NULL };
  CubePath list_at = CUBE_AT (at, "x-kubernetes-list-type"), items_at = CUBE_AT (at, "items");
  CubeView list = cube_view_member (schema, "x-kubernetes-list-type"), keys = cube_view_member (schema, "x-kubernetes-list-map-keys"),
           items = cube_view_member (schema, "items"), item_type = cube_view_member (items, "type");
  const char *text = cube_view_string_or (list, "");
  gboolean is_map = strcmp (text, "map") == 0, is_set = strcmp (text, "set") == 0;
  if (cube_view_exists (cube_view_member (schema, "x-kubernetes-map-type")))
    check_needs_type (errors, at, schema, "object", "x-kubernetes-map-type is specified");
  cube_check_one_of (errors, at, schema, "x-kubernetes-map-type", maps);
  if (cube_view_exists (list))
    check_needs_type (errors, at, schema, "array", "x-kubernetes-list-type is specified");
  cube_check_one_of (errors, at, schema, "x-kubernetes-list-type", lists);
  if (cube_view_length (keys) > 0 && !is_map)
    cube_check_add (errors, cube_view_exists (list) ? "Invalid" : "Required", &list_at, list,
                    "must be map if x-kubernetes-list-map-keys is non-empty");
  if ((is_map || is_set) && IS (items, "nullable"))
    cube_check_add (errors, "Forbidden", &CUBE_AT (&items_at, "nullable"), cube_view_none (),
                    "cannot be nullable when x-kubernetes-list-type is %s", text);
  if (is_set && g_strcmp0 (cube_view_string (item_type), "object") == 0
      && g_strcmp0 (cube_view_get_string (items, "x-kubernetes-map-type"), "atomic") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&items_at, "x-kubernetes-map-type"), cube_view_member (items, "x-kubernetes-map-type"),
                    "must be atomic as item of a list with x-kubernetes-list-type=set");
  if (!is_map)
    return;
  if (cube_view_length (keys) == 0)
    cube_check_add (errors, "Required", &CUBE_AT (at, "x-kubernetes-list-map-keys"), cube_view_none (),
                    "must not be empty if x-kubernetes-list-type is map");
  if (!cube_view_exists (items))
    cube_check_add (errors, "Required", &items_at, cube_view_none (), "must have a schema if x-kubernetes-list-type is map");
  else if (g_strcmp0 (cube_view_string (item_type), "object") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (&items_at, "type"), item_type,
                    "must be object if parent array's x-kubernetes-list-type is map");
  else
    check_map_keys (errors, at, schema);
}

/* ---- expressions ---- */

static void
check_rules (CubeFieldErrors *errors, const CubePath *path, CubeView schema)
{
  static const char *const reasons[] = { "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired", NULL };
  CubePath list = CUBE_AT (path, "x-kubernetes-validations");
  CubeIter it;
  CubeView v;
  guint i = 0;
  for (cube_iter_init (&it, cube_view_member (schema, "x-kubernetes-validations")); cube_iter_next (&it, NULL, &v); i++)
    {
      CubePath at = CUBE_AT_INDEX (&list, i);
      CubeView message = cube_view_member (v, "message"), computed = cube_view_member (v, "messageExpression");
      const char *rule = cube_view_string_or (cube_view_member (v, "rule"), ""), *text = cube_view_string_or (message, "");
      if (rule[strspn (rule, " \t\r\n")] == '\0')
        cube_check_add (errors, "Required", &CUBE_AT (&at, "rule"), cube_view_none (), "rule is not specified");
      if (*text != '\0' && text[strspn (text, " \t\r\n")] == '\0')
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "message"), message, "must be non-empty if specified");
      else if (strpbrk (text, "\r\n") != NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "message"), message, "must not contain line breaks");
      else if (*text == '\0' && strpbrk (rule, "\r\n") != NULL)
        cube_check_add (errors, "Required", &CUBE_AT (&at, "message"), cube_view_none (),
                        "message must be specified if rule contains line breaks");
      const char *expression = cube_view_string_or (computed, "");
      if (*expression != '\0' && expression[strspn (expression, " \t\r\n")] == '\0')
        cube_check_add (errors, "Required", &CUBE_AT (&at, "messageExpression"), cube_view_none (),
                        "messageExpression must be non-empty if specified");
      if (cube_view_exists (cube_view_member (v, "optionalOldSelf")) && strstr (rule, "oldSelf") == NULL)
        cube_check_add (errors, "Invalid", &CUBE_AT (&at, "optionalOldSelf"), cube_view_member (v, "optionalOldSelf"),
                        "may not be set if oldSelf is not used in rule");
      cube_check_one_of (errors, &at, v, "reason", reasons);
    }
}

/* ---- structure ---- */

static void
check_level (CubeFieldErrors *errors, const CubePath *at, CubeView schema, Level level)
{
  static const char *const where[] = { "at the root", "for specified array items", "for specified object fields" };
  CubeView type = cube_view_member (schema, "type");
  gboolean is_open = IS (schema, "x-kubernetes-int-or-string") || IS (schema, "x-kubernetes-preserve-unknown-fields");
  if (cube_is_empty (type) && (level == LEVEL_ROOT || !is_open))
    cube_check_add (errors, "Required", &CUBE_AT (at, "type"), cube_view_none (), "must not be empty %s", where[level]);
  if (level != LEVEL_ROOT)
    return;
  if (!cube_is_empty (type) && g_strcmp0 (cube_view_string (type), "object") != 0)
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "type"), type, "must be object at the root");
  if (IS (schema, "nullable"))
    cube_check_forbidden (errors, &CUBE_AT (at, "nullable"), "nullable cannot be true at the root");
  if (cube_view_exists (cube_view_member (schema, "additionalProperties")))
    cube_check_forbidden (errors, &CUBE_AT (at, "additionalProperties"), "must not be used at the root");
}

static void
check_embedded (CubeFieldErrors *errors, const CubePath *at, CubeView schema)
{
  if (!IS (schema, "x-kubernetes-embedded-resource"))
    return;
  check_needs_type (errors, at, schema, "object", "x-kubernetes-embedded-resource is true");
  if (cube_view_exists (cube_view_member (schema, "additionalProperties")))
    cube_check_forbidden (errors, &CUBE_AT (at, "additionalProperties"), "must not be used if x-kubernetes-embedded-resource is set");
  if (cube_view_length (cube_view_member (schema, "properties")) == 0 && !IS (schema, "x-kubernetes-preserve-unknown-fields"))
    cube_check_add (errors, "Required", &CUBE_AT (at, "properties"), cube_view_none (),
                    "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
}

/* kind, apiVersion and metadata of a whole object. */
static void
check_own_fields (CubeFieldErrors *errors, const CubePath *at, CubeView schema, gboolean is_root)
{
  static const char *const fields[][2] = { { "kind", "string" }, { "apiVersion", "string" }, { "metadata", "object" } };
  CubePath list = CUBE_AT (at, "properties");
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    {
      CubeView property = cube_view_get (schema, "properties", fields[i][0]), type = cube_view_member (property, "type");
      CubePath here = CUBE_AT_KEY (&list, fields[i][0]);
      if (cube_view_exists (property) && !cube_is_empty (type) && g_strcmp0 (cube_view_string (type), fields[i][1]) != 0)
        cube_check_add (errors, "Invalid", &CUBE_AT (&here, "type"), type, "must be %s", fields[i][1]);
      if (is_root && cube_view_exists (cube_view_member (property, "default")))
        cube_check_add (errors, "Forbidden", &CUBE_AT (&here, "default"), cube_view_none (), "must not be set in top-level %s",
                        fields[i][0]);
    }
  CubeIter it;
  const char *key;
  gboolean has_more = FALSE;
  for (cube_iter_init (&it, cube_view_get (schema, "properties", "metadata", "properties")); cube_iter_next (&it, &key, NULL);)
    has_more |= strcmp (key, "name") != 0 && strcmp (key, "generateName") != 0;
  if (has_more)
    cube_check_forbidden (errors, &CUBE_AT_KEY (&list, "metadata"),
                          "must not specify anything other than name and generateName, but metadata is implicitly specified");
}

/* A part of allOf, anyOf, oneOf or not. @open: may name the types of an int-or-string. */
static void
check_nested (CubeFieldErrors *errors, const CubePath *at, CubeView part, gboolean open, guint depth)
{
  static const char *const empty[] = { "type", "title", "description" };
  static const char *const undefined[] = { "additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type" };
  static const char *const false_only[] = { "nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource",
                                            "x-kubernetes-int-or-string" };
  CubeIter it;
  const char *key;
  CubeView v;
  if (depth > 100)
    return;
  for (guint i = 0; i < G_N_ELEMENTS (empty); i++)
    if (!cube_is_empty (cube_view_member (part, empty[i])) && !(i == 0 && open))
      cube_check_forbidden (errors, &CUBE_AT (at, empty[i]), "must be empty to be structural");
  for (guint i = 0; i < G_N_ELEMENTS (undefined); i++)
    if (cube_view_exists (cube_view_member (part, undefined[i])))
      cube_check_forbidden (errors, &CUBE_AT (at, undefined[i]), "must be undefined to be structural");
  for (guint i = 0; i < G_N_ELEMENTS (false_only); i++)
    if (IS (part, false_only[i]))
      cube_check_forbidden (errors, &CUBE_AT (at, false_only[i]), "must be false to be structural");
  for (guint l = 0; l < G_N_ELEMENTS (nested_lists); l++)
    {
      CubePath list = CUBE_AT (at, nested_lists[l]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (part, nested_lists[l])); cube_iter_next (&it, NULL, &v); i++)
        check_nested (errors, &CUBE_AT_INDEX (&list, i), v, open, depth + 1);
    }
  CubePath list = CUBE_AT (at, "properties");
  for (cube_iter_init (&it, cube_view_member (part, "properties")); cube_iter_next (&it, &key, &v);)
    check_nested (errors, &CUBE_AT_KEY (&list, key), v, FALSE, depth + 1);
  if (cube_view_type (cube_view_member (part, "items")) == CUBE_VALUE_OBJECT)
    check_nested (errors, &CUBE_AT (at, "items"), cube_view_member (part, "items"), FALSE, depth + 1);
  if (cube_view_exists (cube_view_member (part, "not")))
    check_nested (errors, &CUBE_AT (at, "not"), cube_view_member (part, "not"), FALSE, depth + 1);
}

static void
check_schema (CubeFieldErrors *errors, const CubePath *at, CubeView schema, Level level, guint depth)
{
  gboolean is_free = IS (schema, "x-kubernetes-int-or-string");
  CubeView items = cube_view_member (schema, "items"), more = cube_view_member (schema, "additionalProperties"), v;
  CubeIter it;
  const char *key;
  if (depth > 100)
    return;
  check_words (errors, at, schema);
  check_level (errors, at, schema, level);
  check_kinds_of_lists (errors, at, schema);
  check_rules (errors, at, schema);
  check_embedded (errors, at, schema);
  if (level == LEVEL_ROOT || IS (schema, "x-kubernetes-embedded-resource"))
    check_own_fields (errors, at, schema, level == LEVEL_ROOT);
  if (is_free && IS (schema, "x-kubernetes-preserve-unknown-fields"))
    cube_check_add (errors, "Invalid", &CUBE_AT (at, "x-kubernetes-preserve-unknown-fields"),
                    cube_view_member (schema, "x-kubernetes-preserve-unknown-fields"),
                    "must be false if x-kubernetes-int-or-string is true");
  if (g_strcmp0 (cube_view_get_string (schema, "type"), "array") == 0 && !cube_view_exists (items))
    cube_check_add (errors, "Required", &CUBE_AT (at, "items"), cube_view_none (), "must be specified");
  for (guint l = 0; l < G_N_ELEMENTS (nested_lists); l++)
    {
      CubePath list = CUBE_AT (at, nested_lists[l]);
      guint i = 0;
      for (cube_iter_init (&it, cube_view_member (schema, nested_lists[l])); cube_iter_next (&it, NULL, &v); i++)
        check_nested (errors, &CUBE_AT_INDEX (&list, i), v, is_free, depth + 1);
    }
  if (cube_view_exists (cube_view_member (schema, "not")))
    check_nested (errors, &CUBE_AT (at, "not"), cube_view_member (schema, "not"), FALSE, depth + 1);
  CubePath list = CUBE_AT (at, "properties");
  for (cube_iter_init (&it, cube_view_member (schema, "properties")); cube_iter_next (&it, &key, &v);)
    if (!(level == LEVEL_ROOT && (strcmp (key, "metadata") == 0 || strcmp (key, "kind") == 0 || strcmp (key, "apiVersion") == 0)))
      check_schema (errors, &CUBE_AT_KEY (&list, key), v, LEVEL_FIELD, depth + 1);
  if (cube_view_type (items) == CUBE_VALUE_OBJECT)
    check_schema (errors, &CUBE_AT (at, "items"), items, LEVEL_ITEM, depth + 1);
  if (cube_view_type (more) == CUBE_VALUE_OBJECT)
    check_schema (errors, &CUBE_AT (at, "additionalProperties"), more, LEVEL_FIELD, depth + 1);
}

void
cube_check_definition_schema (CubeFieldErrors *errors, const CubePath *path, CubeView schema)
{
  check_schema (errors, path, schema, LEVEL_ROOT, 0);
}
