/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI: paths and operations. */
#include "openapi.h"

#define STATUS "io.k8s.apimachinery.pkg.apis.meta.v1.Status"
#define PATCH "io.k8s.apimachinery.pkg.apis.meta.v1.Patch"

typedef struct {
  CubeVerb verb;
  const char *method, *action, *verb_word;
} Method;

static const Method collection_methods[] = {
  { CUBE_VERB_LIST, "get", "list", "list" },
  { CUBE_VERB_CREATE, "post", "post", "create" },
  { CUBE_VERB_DELETE_COLLECTION, "delete", "deletecollection", "deleteCollection" },
};
static const Method item_methods[] = {
  { CUBE_VERB_GET, "get", "get", "read" },
  { CUBE_VERB_CREATE, "post", "post", "create" },
  { CUBE_VERB_UPDATE, "put", "put", "replace" },
  { CUBE_VERB_PATCH, "patch", "patch", "patch" },
  { CUBE_VERB_DELETE, "delete", "delete", "delete" },
};

typedef struct {
  const char *name, *type;
} Parameter;

static const Parameter write_parameters[] = { { "dryRun", "string" }, { "fieldManager", "string" }, { "fieldValidation", "string" } };
static const Parameter list_parameters[] = { { "allowWatchBookmarks", "boolean" },
                                             { "continue", "string" },
                                             { "fieldSelector", "string" },
                                             { "labelSelector", "string" },
                                             { "limit", "integer" },
                                             { "resourceVersion", "string" },
                                             { "resourceVersionMatch", "string" },
                                             { "sendInitialEvents", "boolean" },
                                             { "timeoutSeconds", "integer" },
                                             { "watch", "boolean" } };
static const Parameter delete_parameters[] = {
  { "dryRun", "string" }, { "gracePeriodSeconds", "integer" }, { "orphanDependents", "boolean" }, { "propagationPolicy", "string" }
};

static void
append_parameters (CubeOpenApi *doc, const Parameter *list, guint n, gboolean is_first)
{
  for (guint i = 0; i < n; i++)
    g_string_append_printf (doc->out,
                            doc->is_v3 ? "%s{\"name\":\"%s\",\"in\":\"query\",\"schema\":{\"type\":\"%s\",\"uniqueItems\":true}}"
                                       : "%s{\"name\":\"%s\",\"in\":\"query\",\"type\":\"%s\",\"uniqueItems\":true}",
                            is_first && i == 0 ? "" : ",", list[i].name, list[i].type);
}

static void
append_path_parameter (CubeOpenApi *doc, const char *name, gboolean *is_first)
{
  g_string_append_printf (
      doc->out,
      doc->is_v3 ? "%s{\"name\":\"%s\",\"in\":\"path\",\"required\":true,\"schema\":{\"type\":\"string\",\"uniqueItems\":true}}"
                 : "%s{\"name\":\"%s\",\"in\":\"path\",\"required\":true,\"type\":\"string\",\"uniqueItems\":true}",
      *is_first ? "" : ",", name);
  *is_first = FALSE;
}

static void
append_body (CubeOpenApi *doc, const char *schema, const Method *method, gboolean is_custom)
{
  static const char *const patches[] = { "application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
                                         "application/strategic-merge-patch+json" };
  g_string_append (doc->out, ",\"requestBody\":{\"content\":{");
  if (method->verb == CUBE_VERB_PATCH)
    {
      for (guint i = 0; i < G_N_ELEMENTS (patches) - (is_custom ? 1 : 0); i++)
        {
          g_string_append_printf (doc->out, "%s\"%s\":{\"schema\":", i > 0 ? "," : "", patches[i]);
          cube_openapi_ref (doc, PATCH);
          g_string_append_c (doc->out, '}');
        }
    }
  else
    {
      g_string_append (doc->out, "\"*/*\":{\"schema\":");
      cube_openapi_ref (doc, schema);
      g_string_append_c (doc->out, '}');
    }
  g_string_append (doc->out, "}}");
}

static char *
operation_id (const CubeResource *resource, const Method *method, const char *subresource, gboolean all_namespaces)
{
  g_autoptr (GString) id = g_string_new (method->verb_word);
  g_auto (GStrv) parts = g_strsplit (*resource->group == '\0' ? "core" : resource->group, ".", 2);
  g_string_append_printf (id, "%c%s%c%s", g_ascii_toupper (parts[0][0]), parts[0] + 1, g_ascii_toupper (resource->version[0]),
                          resource->version + 1);
  g_string_append_printf (id, "%s%s", resource->is_namespaced && !all_namespaces ? "Namespaced" : "", resource->kind);
  if (subresource != NULL)
    g_string_append_printf (id, "%c%s", g_ascii_toupper (subresource[0]), subresource + 1);
  if (all_namespaces)
    g_string_append (id, "ForAllNamespaces");
  return g_strdup (id->str);
}

typedef struct {
  const CubeResource *resource;
  const CubeSubresource *sub; /* NULL = the resource itself */
  gboolean is_item, all_namespaces;
  const char *body; /* schema of requests and single answers */
} PathKind;

static void
append_operation (CubeOpenApi *doc, const PathKind *path, const Method *method)
{
  const CubeResource *resource = path->resource;
  const CubeSubresource *sub = path->sub;
  g_autofree char *id = operation_id (resource, method, sub == NULL ? NULL : sub->name, path->all_namespaces);
  g_autofree char *list = cube_openapi_kind_name (resource, resource->list_kind);
  gboolean foreign = sub != NULL && sub->version != NULL;
  gboolean writes = method->verb == CUBE_VERB_CREATE || method->verb == CUBE_VERB_UPDATE || method->verb == CUBE_VERB_PATCH;
  gboolean deletes = method->verb == CUBE_VERB_DELETE || method->verb == CUBE_VERB_DELETE_COLLECTION;
  g_string_append_printf (doc->out,
                          "\"%s\":{\"operationId\":\"%s\",\"x-kubernetes-action\":\"%s\",\"x-kubernetes-group-version-kind\":"
                          "{\"group\":\"%s\",\"version\":\"%s\",\"kind\":\"%s\"},\"parameters\":[",
                          method->method, id, method->action, foreign ? sub->group : resource->group,
                          foreign ? sub->version : resource->version, sub == NULL ? resource->kind : sub->kind);
  if (method->verb == CUBE_VERB_LIST)
    append_parameters (doc, list_parameters, G_N_ELEMENTS (list_parameters), TRUE);
  else if (writes)
    append_parameters (doc, write_parameters, G_N_ELEMENTS (write_parameters), TRUE);
  else if (deletes)
    append_parameters (doc, delete_parameters, G_N_ELEMENTS (delete_parameters), TRUE);
  if (method->verb == CUBE_VERB_PATCH)
    append_parameters (doc, &(Parameter){ "force", "boolean" }, 1, FALSE);
  if (writes && !doc->is_v3)
    {
      g_string_append (doc->out, ",{\"name\":\"body\",\"in\":\"body\",\"required\":true,\"schema\":");
      cube_openapi_ref (doc, method->verb == CUBE_VERB_PATCH ? PATCH : path->body);
      g_string_append_c (doc->out, '}');
    }
  g_string_append_c (doc->out, ']');
  if (writes && doc->is_v3)
    append_body (doc, path->body, method, resource->is_custom);
  g_string_append (doc->out, ",\"responses\":{\"200\":{\"description\":\"OK\",");
  g_string_append (doc->out, doc->is_v3 ? "\"content\":{\"application/json\":{\"schema\":" : "\"schema\":");
  cube_openapi_ref (doc, method->verb == CUBE_VERB_LIST ? list : deletes ? STATUS : path->body);
  g_string_append (doc->out, doc->is_v3 ? "}}}}}" : "}}}");
}

static void
append_path (CubeOpenApi *doc, const PathKind *path, gboolean *is_first)
{
  const CubeResource *resource = path->resource;
  const Method *methods = path->is_item ? item_methods : collection_methods;
  guint n = path->is_item ? G_N_ELEMENTS (item_methods) : G_N_ELEMENTS (collection_methods), written = 0;
  guint32 verbs = path->sub == NULL ? resource->verbs : path->sub->verbs;
  if (path->is_item && path->sub == NULL)
    verbs &= ~(1u << CUBE_VERB_CREATE);
  if (path->all_namespaces)
    verbs &= 1u << CUBE_VERB_LIST;
  GString *text = g_string_new (NULL), *out = doc->out;
  doc->out = text;
  for (guint i = 0; i < n; i++)
    if ((verbs & (1u << methods[i].verb)) != 0)
      {
        g_string_append (text, written++ > 0 ? "," : "");
        append_operation (doc, path, &methods[i]);
      }
  doc->out = out;
  if (written > 0)
    {
      gboolean in_namespace = resource->is_namespaced && !path->all_namespaces, first = TRUE;
      g_string_append_printf (out, "%s\"/%s%s%s/%s/%s%s%s%s%s\":{%s,\"parameters\":[", *is_first ? "" : ",",
                              *resource->group == '\0' ? "api" : "apis", *resource->group == '\0' ? "" : "/", resource->group,
                              resource->version, in_namespace ? "namespaces/{namespace}/" : "", resource->resource,
                              path->is_item ? "/{name}" : "", path->sub == NULL ? "" : "/", path->sub == NULL ? "" : path->sub->name,
                              text->str);
      if (path->is_item)
        append_path_parameter (doc, "name", &first);
      if (in_namespace)
        append_path_parameter (doc, "namespace", &first);
      g_string_append (out, "]}");
      *is_first = FALSE;
    }
  g_string_free (text, TRUE);
}

static const char *
body_name (const CubeResource *resource, const CubeSubresource *sub)
{
  const CubeTypeTable *table;
  const CubeType *type = cube_resource_body_type (resource, sub == NULL ? "" : sub->name, &table);
  return type == NULL || table != &cube_builtin_types ? NULL : table->pool + type->name;
}

void
cube_openapi_paths (CubeOpenApi *doc, const CubeResource *resource, gboolean *is_first)
{
  g_autofree char *own = cube_openapi_kind_name (resource, resource->kind);
  PathKind path = { resource, NULL, FALSE, FALSE, own };
  if (resource->is_namespaced)
    {
      path.all_namespaces = TRUE;
      append_path (doc, &path, is_first);
      path.all_namespaces = FALSE;
    }
  append_path (doc, &path, is_first);
  path.is_item = TRUE;
  append_path (doc, &path, is_first);
  for (const CubeSubresource *sub = resource->subresources; sub->name != NULL; sub++)
    {
      const char *name = body_name (resource, sub);
      g_autofree char *body = name == NULL ? g_strdup (own) : cube_openapi_type_name (name);
      if (name != NULL)
        cube_openapi_want (doc, cube_builtin_type_index (name));
      path.sub = sub;
      path.body = body;
      append_path (doc, &path, is_first);
    }
}
