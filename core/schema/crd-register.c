/* SPDX-License-Identifier: Apache-2.0 */
/* CustomResourceDefinitions become resources of the registry. What was once served stays in memory: a CubeResource lives as long
 * as the process; a definition that did not change keeps its resources. */
#include "crd-compile.h"
#include "discovery.h"
#include "registry.h"

/* ---- the documented schema, kept small ---- */

static GBytes *
convert_bytes (GConverter *converter, gconstpointer data, gsize length)
{
  g_autoptr (GInputStream) memory = g_memory_input_stream_new_from_data (data, (gssize) length, NULL);
  g_autoptr (GInputStream) stream = g_converter_input_stream_new (memory, converter);
  g_autoptr (GOutputStream) out = g_memory_output_stream_new_resizable ();
  if (g_output_stream_splice (out, stream, G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET, NULL, NULL) < 0)
    return NULL;
  return g_memory_output_stream_steal_as_bytes (G_MEMORY_OUTPUT_STREAM (out));
}

static GBytes *
compress_schema (CubeView schema)
{
  gsize length;
  g_autofree char *json = cube_view_to_json (schema, &length);
  g_autoptr (GZlibCompressor) compressor = g_zlib_compressor_new (G_ZLIB_COMPRESSOR_FORMAT_RAW, 6);
  return convert_bytes (G_CONVERTER (compressor), json, length);
}

CubeValue *
cube_crd_documented_schema (const CubeResource *resource)
{
  CubeCustom *custom = cube_resource_type (resource)->custom;
  if (custom == NULL || custom->documented == NULL)
    return NULL;
  gsize length;
  gconstpointer data = g_bytes_get_data (custom->documented, &length);
  g_autoptr (GZlibDecompressor) decompressor = g_zlib_decompressor_new (G_ZLIB_COMPRESSOR_FORMAT_RAW);
  g_autoptr (GBytes) plain = convert_bytes (G_CONVERTER (decompressor), data, length);
  if (plain == NULL)
    return NULL;
  data = g_bytes_get_data (plain, &length);
  return cube_value_from_json (data, (gssize) length, NULL, NULL);
}

/* Descriptions are most of a schema and say nothing to validation. A property may be called description, so only texts go. */
static void
strip_descriptions (CubeMut *schema, guint depth)
{
  if (depth > 200)
    return;
  if (cube_mut_type (schema) == CUBE_VALUE_OBJECT && cube_mut_type (cube_mut_member (schema, "description")) == CUBE_VALUE_STRING)
    cube_mut_remove (schema, "description");
  for (guint i = 0; cube_mut_type (schema) == CUBE_VALUE_OBJECT && i < cube_mut_length (schema); i++)
    strip_descriptions (cube_mut_member_at (schema, i, NULL), depth + 1);
  for (guint i = 0; cube_mut_type (schema) == CUBE_VALUE_ARRAY && i < cube_mut_length (schema); i++)
    strip_descriptions (cube_mut_element (schema, i), depth + 1);
}

static CubeCustom *
custom_new (CubeView schema)
{
  CubeCustom *custom = g_new0 (CubeCustom, 1);
  g_mutex_init (&custom->lock);
  if (!cube_view_exists (schema))
    return custom;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (schema);
  strip_descriptions (cube_builder_root (builder), 0);
  custom->schema = cube_builder_end (builder);
  custom->documented = compress_schema (schema);
  return custom;
}

/* ---- one version ---- */

static const char *const *
string_list (CubeView array)
{
  GPtrArray *list = g_ptr_array_new ();
  for (guint i = 0; i < cube_view_length (array); i++)
    g_ptr_array_add (list, g_strdup (cube_view_string_or (cube_view_element (array, i), "")));
  g_ptr_array_add (list, NULL);
  return (const char *const *) g_ptr_array_free (list, FALSE);
}

static void
set_columns (CubeResource *resource, CubeResourceType *type, CubeView version)
{
  CubeView columns = cube_view_member (version, "additionalPrinterColumns");
  guint n = cube_view_length (columns), given = n;
  CubeColumn *list = g_new0 (CubeColumn, MAX (n, 1) + 2);
  const char **cells = g_new0 (const char *, MAX (n, 1) + 2);
  list[0] = (CubeColumn){ "Name", "string", "name", "Name must be unique within a namespace.", 0 };
  cells[0] = ".metadata.name";
  for (guint i = 0; i < n; i++)
    {
      CubeView column = cube_view_element (columns, i);
      list[i + 1].name = g_strdup (cube_view_string_or (cube_view_member (column, "name"), ""));
      list[i + 1].type = g_strdup (cube_view_string_or (cube_view_member (column, "type"), "string"));
      list[i + 1].format = g_strdup (cube_view_string_or (cube_view_member (column, "format"), ""));
      list[i + 1].description = g_strdup (cube_view_string_or (cube_view_member (column, "description"), ""));
      list[i + 1].priority = (int) cube_view_get_int (column, 0, "priority");
      cells[i + 1] = g_strdup (cube_view_string_or (cube_view_member (column, "jsonPath"), ""));
    }
  if (given == 0)
    {
      list[1] = (CubeColumn){ "Age", "date", "", "", 0 };
      cells[1] = ".metadata.creationTimestamp";
    }
  resource->columns = list;
  type->cells = cells;
}

static void
set_subresources (CubeResource *resource, CubeResourceType *type, CubeView version)
{
  CubeView subresources = cube_view_member (version, "subresources"), scale = cube_view_member (subresources, "scale");
  guint32 verbs = 1u << CUBE_VERB_GET | 1u << CUBE_VERB_UPDATE | 1u << CUBE_VERB_PATCH;
  CubeSubresource *list = g_new0 (CubeSubresource, 3);
  guint n = 0;
  type->generation = "*";
  if (cube_view_exists (cube_view_member (subresources, "status")))
    {
      list[n++] = (CubeSubresource){ "status", resource->kind, NULL, NULL, verbs };
      type->strategy |= CUBE_STRATEGY_STATUS;
      type->generation = "*-status";
    }
  if (cube_view_exists (scale))
    {
      list[n++] = (CubeSubresource){ "scale", "Scale", "autoscaling", "v1", verbs };
      type->scale_spec = g_strdup (cube_view_get_string (scale, "specReplicasPath"));
      type->scale_status = g_strdup (cube_view_get_string (scale, "statusReplicasPath"));
      type->scale_selector = g_strdup (cube_view_get_string (scale, "labelSelectorPath"));
    }
  resource->subresources = list;
}

static void
set_selectable (CubeResource *resource, CubeResourceType *type, CubeView version)
{
  CubeView fields = cube_view_member (version, "selectableFields");
  GPtrArray *list = g_ptr_array_new ();
  g_ptr_array_add (list, (gpointer) "metadata.name");
  if (resource->is_namespaced)
    g_ptr_array_add (list, (gpointer) "metadata.namespace");
  for (guint i = 0; i < cube_view_length (fields); i++)
    {
      const char *path = cube_view_string_or (cube_view_member (cube_view_element (fields, i), "jsonPath"), "");
      g_ptr_array_add (list, g_strdup (*path == '.' ? path + 1 : path));
    }
  g_ptr_array_add (list, NULL);
  type->selectable = (const char *const *) g_ptr_array_free (list, FALSE);
}

static CubeResource *
make_version (CubeView spec, CubeView version, GError **error)
{
  CubeView names = cube_view_member (spec, "names"), schema = cube_view_get (version, "schema", "openAPIV3Schema");
  CubeResource *resource = g_new0 (CubeResource, 1);
  CubeResourceType *type = g_new0 (CubeResourceType, 1);
  resource->struct_size = sizeof *resource;
  resource->group = g_strdup (cube_view_get_string (spec, "group"));
  resource->version = g_strdup (cube_view_get_string (version, "name"));
  resource->resource = g_strdup (cube_view_get_string (names, "plural"));
  resource->kind = g_strdup (cube_view_get_string (names, "kind"));
  resource->singular = cube_view_exists (cube_view_member (names, "singular")) ? g_strdup (cube_view_get_string (names, "singular"))
                                                                               : g_ascii_strdown (resource->kind, -1);
  resource->list_kind = cube_view_exists (cube_view_member (names, "listKind")) ? g_strdup (cube_view_get_string (names, "listKind"))
                                                                                : g_strconcat (resource->kind, "List", NULL);
  resource->api_version = g_strdup_printf ("%s/%s", resource->group, resource->version);
  resource->key = g_strdup_printf ("%s/%s", resource->group, resource->resource);
  resource->is_namespaced = g_strcmp0 (cube_view_get_string (spec, "scope"), "Namespaced") == 0;
  resource->is_custom = TRUE;
  resource->verbs = (1u << CUBE_VERB_N) - 1;
  resource->short_names = string_list (cube_view_member (names, "shortNames"));
  resource->categories = string_list (cube_view_member (names, "categories"));
  type->type = 1;
  type->strategy = CUBE_STRATEGY_UNCONDITIONAL;
  set_subresources (resource, type, version);
  set_columns (resource, type, version);
  set_selectable (resource, type, version);
  g_autofree char *type_name = g_strdup_printf ("%s/%s.%s", resource->group, resource->version, resource->kind);
  gboolean keeps_all = cube_view_get_bool (spec, FALSE, "preserveUnknownFields");
  type->table = cube_crd_compile (keeps_all ? cube_view_none () : schema, type_name, error);
  type->custom = custom_new (schema);
  resource->type = type;
  return type->table == NULL ? NULL : resource;
}

/* ---- the registry ---- */

static gboolean
is_of (const CubeResource *resource, const char *group, const char *name)
{
  return strcmp (resource->group, group) == 0 && strcmp (resource->resource, name) == 0;
}

static gboolean
remove_if_of (gpointer key, gpointer value, gpointer data)
{
  const char *const *names = data;
  const CubeResource *resource = value;
  return resource->is_custom && is_of (resource, names[0], names[1]);
}

static void
remove_locked (CubeSchema *schema, const char *group, const char *resource)
{
  const char *names[2] = { group, resource };
  GHashTable *const tables[] = { schema->by_resource, schema->by_kind, schema->by_key };
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    g_hash_table_foreach_remove (tables[i], remove_if_of, names);
  for (guint i = 0; i < schema->custom->len;)
    if (is_of (schema->custom->pdata[i], group, resource))
      g_ptr_array_add (schema->retired, g_ptr_array_steal_index (schema->custom, i));
    else
      i++;
  g_autofree char *key = g_strdup_printf ("%s/%s", group, resource);
  g_hash_table_remove (schema->custom_specs, key);
}

/* Most updates of a definition are of its status. */
static gboolean
is_unchanged (CubeSchema *schema, const char *key, guint64 hash)
{
  g_rw_lock_reader_lock (&schema->lock);
  const guint64 *known = g_hash_table_lookup (schema->custom_specs, key);
  gboolean same = known != NULL && *known == hash;
  g_rw_lock_reader_unlock (&schema->lock);
  return same;
}

void
cube_schema_remove_custom (CubeSchema *schema, const char *group, const char *resource)
{
  g_return_if_fail (schema != NULL && group != NULL && resource != NULL);
  g_rw_lock_writer_lock (&schema->lock);
  remove_locked (schema, group, resource);
  schema->generation++;
  g_rw_lock_writer_unlock (&schema->lock);
}

static int
compare_by_version (gconstpointer a, gconstpointer b)
{
  const CubeResource *x = *(const CubeResource *const *) a, *y = *(const CubeResource *const *) b;
  return cube_version_compare (x->version, y->version);
}

static GPtrArray *
make_versions (CubeView spec, GError **error)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new ();
  CubeView versions = cube_view_member (spec, "versions");
  CubeResource *storage = NULL;
  for (guint i = 0; i < cube_view_length (versions); i++)
    {
      CubeView version = cube_view_element (versions, i);
      gboolean is_served = cube_view_get_bool (version, FALSE, "served"), is_storage = cube_view_get_bool (version, FALSE, "storage");
      if (cube_view_get_string (version, "name") == NULL || (!is_served && !is_storage))
        continue;
      CubeResource *resource = make_version (spec, version, error);
      if (resource == NULL)
        return NULL;
      if (is_storage)
        storage = resource;
      if (is_served)
        g_ptr_array_add (list, resource);
    }
  for (guint i = 0; i < list->len && storage != NULL; i++)
    {
      CubeResource *resource = list->pdata[i];
      g_autofree char *path = g_strdup_printf ("%s/%s/%s", storage->group, storage->version, storage->kind);
      guint8 digest[32];
      gsize length = sizeof digest;
      g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
      g_checksum_update (sum, (const guchar *) path, -1);
      g_checksum_get_digest (sum, digest, &length);
      resource->storage_version_hash = g_base64_encode (digest, 8);
      resource->storage = storage;
    }
  if (storage != NULL && storage->storage == NULL)
    { /* stored but not served */
      storage->storage = storage;
      storage->storage_version_hash = "";
    }
  g_ptr_array_sort (list, compare_by_version);
  if (storage != NULL)
    return g_steal_pointer (&list);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "customresourcedefinition of %s: no version has storage: true",
               cube_view_string_or (cube_view_get (spec, "names", "plural"), "?"));
  return NULL;
}

gboolean
cube_schema_put_custom (CubeSchema *schema, CubeView crd, GError **error)
{
  g_return_val_if_fail (schema != NULL, FALSE);
  CubeView spec = cube_view_member (crd, "spec");
  const char *group = cube_view_get_string (spec, "group"), *plural = cube_view_get_string (spec, "names", "plural");
  if (!cube_view_exists (spec))
    {
      const char *name = cube_view_string_or (cube_view_get (crd, "metadata", "name"), ""), *dot = strchr (name, '.');
      g_autofree char *resource = dot == NULL ? NULL : g_strndup (name, (gsize) (dot - name));
      if (resource != NULL)
        cube_schema_remove_custom (schema, dot + 1, resource);
      return TRUE;
    }
  if (group == NULL || *group == '\0' || plural == NULL || *plural == '\0' || cube_view_get_string (spec, "names", "kind") == NULL)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID,
                   "customresourcedefinition %s: spec.group, spec.names.plural and spec.names.kind are needed",
                   cube_view_string_or (cube_view_get (crd, "metadata", "name"), ""));
      return FALSE;
    }
  g_autofree char *key = g_strdup_printf ("%s/%s", group, plural);
  const CubeResource *existing = cube_schema_find_key (schema, key);
  if (existing != NULL && !existing->is_custom)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INVALID, "customresourcedefinition %s.%s: a built-in resource has that name", plural,
                   group);
      return FALSE;
    }
  guint64 hash = cube_view_hash (spec, 0);
  if (is_unchanged (schema, key, hash))
    return TRUE;
  g_autoptr (GPtrArray) list = make_versions (spec, error);
  if (list == NULL)
    return FALSE;
  g_rw_lock_writer_lock (&schema->lock);
  remove_locked (schema, group, plural);
  for (guint i = 0; i < list->len; i++)
    {
      const CubeResource *resource = list->pdata[i];
      g_ptr_array_add (schema->custom, (gpointer) resource);
      cube_schema_add_locked (schema, resource);
    }
  const CubeResource *storage = list->len > 0 ? ((CubeResource *) list->pdata[0])->storage : NULL;
  if (storage != NULL)
    g_hash_table_replace (schema->by_key, g_strdup (storage->key), (gpointer) storage);
  g_hash_table_replace (schema->custom_specs, g_strdup (key), g_memdup2 (&hash, sizeof hash));
  schema->generation++;
  g_rw_lock_writer_unlock (&schema->lock);
  return TRUE;
}
