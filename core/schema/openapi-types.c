/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI: the description of types. */
#include "openapi.h"
#include "crd.h"
#include "discovery.h"

#define META "io.k8s.apimachinery.pkg.apis.meta.v1."

void
cube_openapi_want (CubeOpenApi *doc, guint16 type)
{
  const CubeTypeTable *table = &cube_builtin_types;
  if (type == 0 || doc->wanted[type])
    return;
  doc->wanted[type] = 1;
  const CubeType *t = &table->types[type];
  for (guint i = 0; i < t->n_fields; i++)
    {
      const CubeShape *shape = &table->shapes[table->fields[t->first_field + i].shape];
      while (shape->kind == CUBE_SHAPE_LIST || shape->kind == CUBE_SHAPE_MAP)
        shape = &table->shapes[shape->ref];
      if (shape->kind == CUBE_SHAPE_REF || shape->kind >= CUBE_SHAPE_SCHEMA_OR_BOOL)
        cube_openapi_want (doc, shape->ref);
    }
}

char *
cube_openapi_type_name (const char *name)
{
  static const char *const prefixes[][2] = {
    { "meta/", "io.k8s.apimachinery.pkg.apis.meta." },
    { "runtime/", "io.k8s.apimachinery.pkg.runtime." },
    { "apiextensions/", "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions." },
    { "apiregistration/", "io.k8s.kube-aggregator.pkg.apis.apiregistration." },
  };
  for (guint i = 0; i < G_N_ELEMENTS (prefixes); i++)
    if (g_str_has_prefix (name, prefixes[i][0]))
      return g_strconcat (prefixes[i][1], name + strlen (prefixes[i][0]), NULL);
  const char *slash = strchr (name, '/');
  if (slash == NULL)
    return g_strconcat ("io.k8s.apimachinery.pkg.", name, NULL);
  return g_strdup_printf ("io.k8s.api.%.*s.%s", (int) (slash - name), name, slash + 1);
}

/* example.com → com.example */
static char *
reverse_domain (const char *group)
{
  g_auto (GStrv) parts = g_strsplit (group, ".", -1);
  guint n = g_strv_length (parts);
  for (guint i = 0; i < n / 2; i++)
    {
      char *swap = parts[i];
      parts[i] = parts[n - 1 - i];
      parts[n - 1 - i] = swap;
    }
  return g_strjoinv (".", parts);
}

char *
cube_openapi_kind_name (const CubeResource *resource, const char *kind)
{
  if (resource->is_custom)
    {
      g_autofree char *domain = reverse_domain (resource->group);
      return g_strdup_printf ("%s.%s.%s", domain, resource->version, kind);
    }
  const CubeResourceType *type = cube_resource_type (resource);
  g_autofree char *name = g_strdup (type->table->pool + type->table->types[type->type].name);
  char *dot = strchr (name, '.');
  *dot = '\0';
  g_autofree char *full = g_strconcat (name, ".", kind, NULL);
  return cube_openapi_type_name (full);
}

void
cube_openapi_ref (CubeOpenApi *doc, const char *name)
{
  g_string_append_printf (doc->out, "{\"$ref\":\"#/%s/%s\"}", doc->is_v3 ? "components/schemas" : "definitions", name);
}

/* ---- scalars that have a definition of their own ---- */

static const char *
scalar_ref (guint8 kind)
{
  switch (kind)
    {
    case CUBE_SHAPE_QUANTITY: return "io.k8s.apimachinery.pkg.api.resource.Quantity";
    case CUBE_SHAPE_INT_OR_STRING: return "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    case CUBE_SHAPE_TIME: return META "Time";
    case CUBE_SHAPE_MICROTIME: return META "MicroTime";
    default: return NULL;
    }
}

static void
append_scalars (CubeOpenApi *doc)
{
  g_string_append (
      doc->out, doc->is_v3 ? "\"io.k8s.apimachinery.pkg.api.resource.Quantity\":{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"number\"}]},"
                             "\"io.k8s.apimachinery.pkg.util.intstr.IntOrString\":{\"oneOf\":[{\"type\":\"integer\"},"
                             "{\"type\":\"string\"}],\"format\":\"int-or-string\"},"
                           : "\"io.k8s.apimachinery.pkg.api.resource.Quantity\":{\"type\":\"string\"},"
                             "\"io.k8s.apimachinery.pkg.util.intstr.IntOrString\":{\"type\":\"string\",\"format\":\"int-or-string\"},");
  g_string_append (doc->out, "\"" META "Time\":{\"type\":\"string\",\"format\":\"date-time\"},"
                             "\"" META "MicroTime\":{\"type\":\"string\",\"format\":\"date-time\"}");
}

/* The members of a shape, without braces. */
static void
append_shape (CubeOpenApi *doc, guint16 shape_index)
{
  const CubeTypeTable *table = &cube_builtin_types;
  const CubeShape *shape = &table->shapes[shape_index];
  static const char *const simple[CUBE_SHAPE_N] = {
    [CUBE_SHAPE_STRING] = "\"type\":\"string\"",
    [CUBE_SHAPE_INT32] = "\"type\":\"integer\",\"format\":\"int32\"",
    [CUBE_SHAPE_INT64] = "\"type\":\"integer\",\"format\":\"int64\"",
    [CUBE_SHAPE_BOOL] = "\"type\":\"boolean\"",
    [CUBE_SHAPE_DOUBLE] = "\"type\":\"number\",\"format\":\"double\"",
    [CUBE_SHAPE_BYTES] = "\"type\":\"string\",\"format\":\"byte\"",
    [CUBE_SHAPE_DURATION] = "\"type\":\"string\"",
    [CUBE_SHAPE_OBJECT] = "\"type\":\"object\"",
  };
  const char *ref = scalar_ref (shape->kind);
  if (ref != NULL)
    {
      g_string_append_printf (doc->out, "\"$ref\":\"#/%s/%s\"", doc->is_v3 ? "components/schemas" : "definitions", ref);
    }
  else if (shape->kind == CUBE_SHAPE_REF)
    {
      g_autofree char *name = cube_openapi_type_name (table->pool + table->types[shape->ref].name);
      g_string_append_printf (doc->out, "\"$ref\":\"#/%s/%s\"", doc->is_v3 ? "components/schemas" : "definitions", name);
    }
  else if (shape->kind == CUBE_SHAPE_LIST)
    {
      g_string_append (doc->out, "\"type\":\"array\",\"items\":{");
      append_shape (doc, shape->ref);
      g_string_append_c (doc->out, '}');
    }
  else if (shape->kind == CUBE_SHAPE_MAP)
    {
      g_string_append (doc->out, "\"type\":\"object\",\"additionalProperties\":{");
      append_shape (doc, shape->ref);
      g_string_append_c (doc->out, '}');
    }
  else if (simple[shape->kind] != NULL)
    {
      g_string_append (doc->out, simple[shape->kind]);
    }
}

static void
append_extension (GString *text, const char *name, const char *value)
{
  if (text->len > 0)
    g_string_append_c (text, ',');
  g_string_append_printf (text, "\"x-kubernetes-%s\":\"%s\"", name, value);
}

static void
append_extensions (GString *text, const CubeField *field)
{
  const CubeTypeTable *table = &cube_builtin_types;
  gboolean merge = (field->flags & CUBE_FIELD_PATCH_MERGE) != 0, retain = (field->flags & CUBE_FIELD_RETAIN_KEYS) != 0;
  if ((field->flags & CUBE_FIELD_LIST_MAP) != 0 && field->list_keys != 0)
    {
      g_auto (GStrv) keys = g_strsplit (table->pool + field->list_keys, ",", -1);
      g_autofree char *list = g_strjoinv ("\",\"", keys);
      g_string_append_printf (text, "\"x-kubernetes-list-map-keys\":[\"%s\"]", list);
      append_extension (text, "list-type", "map");
    }
  else if ((field->flags & CUBE_FIELD_LIST_SET) != 0)
    {
      append_extension (text, "list-type", "set");
    }
  else if ((field->flags & CUBE_FIELD_LIST_ATOMIC) != 0)
    {
      append_extension (text, "list-type", "atomic");
    }
  if ((field->flags & CUBE_FIELD_MAP_ATOMIC) != 0)
    append_extension (text, "map-type", "atomic");
  if (field->merge_key != 0)
    append_extension (text, "patch-merge-key", table->pool + field->merge_key);
  if (merge || retain)
    append_extension (text, "patch-strategy", merge && retain ? "merge,retainKeys" : merge ? "merge" : "retainKeys");
  else if ((field->flags & CUBE_FIELD_PATCH_REPLACE) != 0)
    append_extension (text, "patch-strategy", "replace");
}

static void
append_enum (GString *out, const char *enums)
{
  g_string_append (out, ",\"enum\":[");
  for (const char *at = enums; *at != '\001'; at += strlen (at) + 1)
    {
      if (at != enums)
        g_string_append_c (out, ',');
      cube_json_append_string (out, at, -1);
    }
  g_string_append_c (out, ']');
}

static void
append_field (CubeOpenApi *doc, const CubeField *field)
{
  const CubeTypeTable *table = &cube_builtin_types;
  const CubeShape *shape = &table->shapes[field->shape];
  gboolean is_ref = shape->kind == CUBE_SHAPE_REF || scalar_ref (shape->kind) != NULL;
  g_autoptr (GString) extensions = g_string_new (NULL);
  append_extensions (extensions, field);
  g_string_append_printf (doc->out, "\"%s\":{", table->pool + field->name);
  if (is_ref && extensions->len > 0 && doc->is_v3)
    {
      g_string_append (doc->out, "\"allOf\":[{");
      append_shape (doc, field->shape);
      g_string_append (doc->out, "}]");
    }
  else
    {
      append_shape (doc, field->shape);
    }
  if (field->enums != 0 && shape->kind == CUBE_SHAPE_STRING)
    append_enum (doc->out, table->pool + field->enums);
  if (field->default_json != 0 && !is_ref && strcmp (table->pool + field->default_json, "{}") != 0)
    g_string_append_printf (doc->out, ",\"default\":%s", table->pool + field->default_json);
  if (extensions->len > 0)
    g_string_append_printf (doc->out, "%s%s", doc->out->str[doc->out->len - 1] == '{' ? "" : ",", extensions->str);
  g_string_append_c (doc->out, '}');
}

static void
append_gvk (GString *out, const char *group, const char *version, const char *kind)
{
  g_string_append_printf (out, "{\"group\":\"%s\",\"kind\":\"%s\",\"version\":\"%s\"}", group, kind, version);
}

static void
append_type (CubeOpenApi *doc, const CubeType *type)
{
  const CubeTypeTable *table = &cube_builtin_types;
  g_autofree char *name = cube_openapi_type_name (table->pool + type->name);
  g_string_append_printf (doc->out, ",\"%s\":{\"type\":\"object\"", name);
  gboolean first = TRUE;
  for (guint i = 0; i < type->n_fields; i++)
    {
      const CubeField *field = &table->fields[type->first_field + i];
      if ((field->flags & (CUBE_FIELD_REQUIRED | CUBE_FIELD_DOCUMENTED)) == 0)
        continue;
      g_string_append_printf (doc->out, "%s\"%s\"", first ? ",\"required\":[" : ",", table->pool + field->name);
      first = FALSE;
    }
  g_string_append (doc->out, first ? "" : "]");
  if (type->n_fields > 0)
    g_string_append (doc->out, ",\"properties\":{");
  for (guint i = 0; i < type->n_fields; i++)
    {
      if (i > 0)
        g_string_append_c (doc->out, ',');
      append_field (doc, &table->fields[type->first_field + i]);
    }
  g_string_append (doc->out, type->n_fields > 0 ? "}" : "");
  if ((type->flags & CUBE_TYPE_MAP_ATOMIC) != 0)
    g_string_append (doc->out, ",\"x-kubernetes-map-type\":\"atomic\"");
  if (type->gvk != 0)
    {
      g_auto (GStrv) gvk = g_strsplit (table->pool + type->gvk, "/", 3); /* "apps/v1/Deployment", "v1/Pod" */
      guint n = g_strv_length (gvk);
      if (n >= 2)
        {
          g_string_append (doc->out, ",\"x-kubernetes-group-version-kind\":[");
          append_gvk (doc->out, n == 3 ? gvk[0] : "", gvk[n - 2], gvk[n - 1]);
          g_string_append_c (doc->out, ']');
        }
    }
  g_string_append_c (doc->out, '}');
}

void
cube_openapi_types (CubeOpenApi *doc)
{
  append_scalars (doc);
  for (guint i = 1; i < cube_builtin_types.n_types; i++)
    if (doc->wanted[i])
      append_type (doc, &cube_builtin_types.types[i]);
}

/* ---- kinds: lists of all, the schema of custom ones ---- */

static void
append_list_type (CubeOpenApi *doc, const CubeResource *resource)
{
  g_autofree char *list = cube_openapi_kind_name (resource, resource->list_kind), *item = cube_openapi_kind_name (resource, resource->kind);
  g_string_append_printf (doc->out,
                          ",\"%s\":{\"type\":\"object\",\"required\":[\"items\"],\"properties\":{\"apiVersion\":{\"type\":\"string\"},"
                          "\"kind\":{\"type\":\"string\"},\"metadata\":",
                          list);
  cube_openapi_ref (doc, META "ListMeta");
  g_string_append (doc->out, ",\"items\":{\"type\":\"array\",\"items\":");
  cube_openapi_ref (doc, item);
  g_string_append (doc->out, "}},\"x-kubernetes-group-version-kind\":[");
  append_gvk (doc->out, resource->group, resource->version, resource->list_kind);
  g_string_append (doc->out, "]}");
}

static void
append_custom_type (CubeOpenApi *doc, const CubeResource *resource)
{
  g_autofree char *name = cube_openapi_kind_name (resource, resource->kind);
  g_autoptr (CubeValue) schema = cube_crd_documented_schema (resource);
  CubeIter it;
  const char *key;
  CubeView v, root = schema == NULL ? cube_view_none () : cube_value_root (schema);
  g_string_append_printf (doc->out, ",\"%s\":{\"type\":\"object\"", name);
  for (cube_iter_init (&it, root); cube_iter_next (&it, &key, &v);)
    {
      if (strcmp (key, "type") == 0 || strcmp (key, "properties") == 0)
        continue;
      g_string_append_c (doc->out, ',');
      cube_json_append_string (doc->out, key, -1);
      g_string_append_c (doc->out, ':');
      cube_view_append_json (v, doc->out);
    }
  g_string_append (doc->out, ",\"properties\":{\"apiVersion\":{\"type\":\"string\"},\"kind\":{\"type\":\"string\"},\"metadata\":");
  cube_openapi_ref (doc, META "ObjectMeta");
  for (cube_iter_init (&it, cube_view_member (root, "properties")); cube_iter_next (&it, &key, &v);)
    {
      if (strcmp (key, "apiVersion") == 0 || strcmp (key, "kind") == 0 || strcmp (key, "metadata") == 0)
        continue;
      g_string_append_c (doc->out, ',');
      cube_json_append_string (doc->out, key, -1);
      g_string_append_c (doc->out, ':');
      cube_view_append_json (v, doc->out);
    }
  g_string_append (doc->out, "},\"x-kubernetes-group-version-kind\":[");
  append_gvk (doc->out, resource->group, resource->version, resource->kind);
  g_string_append (doc->out, "]}");
}

void
cube_openapi_kind (CubeOpenApi *doc, const CubeResource *resource)
{
  if (resource->is_custom)
    append_custom_type (doc, resource);
  if ((resource->verbs & (1u << CUBE_VERB_LIST)) != 0)
    append_list_type (doc, resource);
}
