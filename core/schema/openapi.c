/* SPDX-License-Identifier: Apache-2.0 */
/* OpenAPI documents, made on demand from the tables. */
#include "openapi.h"
#include "config.h"

#define VERSION "v1.36.2"
#define PATCH "\"io.k8s.apimachinery.pkg.apis.meta.v1.Patch\":{\"type\":\"object\"},"

static gboolean
is_in (const CubeResource *resource, const char *path)
{
  const char *rest = g_str_has_prefix (path, "apis/") ? path + 5 : g_str_has_prefix (path, "api/") ? path + 4 : NULL;
  if (rest == NULL || (path[3] == '/') != (*resource->group == '\0'))
    return FALSE;
  return strcmp (rest, resource->api_version) == 0;
}

static void
want_resource (CubeOpenApi *doc, const CubeResource *resource)
{
  if (!resource->is_custom)
    cube_openapi_want (doc, cube_resource_type (resource)->type);
  cube_openapi_want (doc, cube_builtin_type_index ("meta/v1.ObjectMeta"));
}

/* All documents are written alike; @path NULL = every group. */
static char *
make_document (CubeSchema *schema, const char *path, gboolean is_v3)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  g_autofree guint8 *wanted = g_new0 (guint8, cube_builtin_types.n_types);
  CubeOpenApi doc = { g_string_new (NULL), is_v3, wanted };
  gboolean first = TRUE, found = FALSE;
  static const char *const always[] = { "meta/v1.Status", "meta/v1.DeleteOptions", "meta/v1.ListMeta", "meta/v1.WatchEvent" };
  for (guint i = 0; i < G_N_ELEMENTS (always); i++)
    cube_openapi_want (&doc, cube_builtin_type_index (always[i]));
  g_string_append (doc.out, is_v3 ? "{\"openapi\":\"3.0.0\"" : "{\"swagger\":\"2.0\"");
  g_string_append (doc.out, ",\"info\":{\"title\":\"Kubernetes\",\"version\":\"" VERSION "\"},\"paths\":{");
  for (guint i = 0; i < resources->len; i++)
    {
      if (path != NULL && !is_in (resources->pdata[i], path))
        continue;
      found = TRUE;
      want_resource (&doc, resources->pdata[i]);
      cube_openapi_paths (&doc, resources->pdata[i], &first);
    }
  g_string_append (doc.out, is_v3 ? "},\"components\":{\"schemas\":{" : "},\"definitions\":{");
  g_string_append (doc.out, PATCH);
  cube_openapi_types (&doc);
  for (guint i = 0; i < resources->len; i++)
    if (path == NULL || is_in (resources->pdata[i], path))
      cube_openapi_kind (&doc, resources->pdata[i]);
  g_string_append (doc.out, is_v3 ? "}}}" : "}}");
  if (found)
    return g_string_free (doc.out, FALSE);
  g_string_free (doc.out, TRUE);
  return NULL;
}

char *
cube_schema_openapi_v3 (CubeSchema *schema, const char *path)
{
  return path == NULL ? NULL : make_document (schema, path, TRUE);
}

char *
cube_schema_openapi_v2 (CubeSchema *schema)
{
  return make_document (schema, NULL, FALSE);
}

/* The hash names a content without making it: the build for built-in groups, the generation of custom resources for theirs. */
char *
cube_schema_openapi_v3_index (CubeSchema *schema)
{
  g_autoptr (GPtrArray) resources = cube_schema_list (schema);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal), custom = g_hash_table_new (g_str_hash, g_str_equal);
  g_autofree char *generation = g_strdup_printf ("%" G_GUINT64_FORMAT, cube_schema_generation (schema));
  GString *out = g_string_new ("{\"paths\":{");
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      if (resource->is_custom)
        g_hash_table_add (custom, (gpointer) resource->api_version);
    }
  for (guint i = 0; i < resources->len; i++)
    {
      const CubeResource *resource = resources->pdata[i];
      if (!g_hash_table_add (seen, (gpointer) resource->api_version))
        continue;
      const char *root = *resource->group == '\0' ? "api" : "apis";
      gboolean has_custom = g_hash_table_contains (custom, resource->api_version);
      g_autofree char *source = g_strdup_printf (CUBE_VERSION " %s %u %u %s", resource->api_version, cube_builtin_types.n_types,
                                                 cube_builtin_types.n_fields, has_custom ? generation : "");
      g_autofree char *hash = g_compute_checksum_for_string (G_CHECKSUM_SHA256, source, -1);
      g_autofree char *upper = g_ascii_strup (hash, -1);
      g_string_append_printf (out, "%s\"%s/%s\":{\"serverRelativeURL\":\"/openapi/v3/%s/%s?hash=%s\"}", i == 0 ? "" : ",", root,
                              resource->api_version, root, resource->api_version, upper);
    }
  g_string_append (out, "}}");
  return g_string_free (out, FALSE);
}
