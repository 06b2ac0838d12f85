/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of served resources: the built-in ones and those of CustomResourceDefinitions. */
#include "registry.h"

static const char *const verb_names[CUBE_VERB_N] = { "get", "list", "watch", "create", "update", "patch", "delete", "deletecollection" };

const char *
cube_verb_name (CubeVerb verb)
{
  return (guint) verb < CUBE_VERB_N ? verb_names[verb] : "";
}

/* "group/version/name" on the stack of the caller; FALSE when it cannot be one of ours. */
static gboolean
make_key (char key[512], const char *group, const char *version, const char *name)
{
  if (group == NULL || version == NULL || name == NULL)
    return FALSE;
  const char *parts[] = { group, version, name };
  gsize at = 0;
  for (guint i = 0; i < 3; i++)
    {
      gsize length = strlen (parts[i]);
      if (length >= 512 - at - 1)
        return FALSE;
      memcpy (key + at, parts[i], length);
      at += length;
      key[at++] = i < 2 ? '/' : '\0';
    }
  return TRUE;
}

void
cube_schema_add_locked (CubeSchema *schema, const CubeResource *resource)
{
  const char *slash = resource->group[0] != '\0' ? "" : "/";
  g_hash_table_replace (schema->by_resource, g_strdup_printf ("%s%s/%s", slash, resource->api_version, resource->resource),
                        (gpointer) resource);
  g_hash_table_replace (schema->by_kind, g_strdup_printf ("%s%s/%s", slash, resource->api_version, resource->kind), (gpointer) resource);
  if (resource->storage == resource)
    g_hash_table_replace (schema->by_key, g_strdup (resource->key), (gpointer) resource);
}

static CubeSchema *
schema_new (void)
{
  CubeSchema *schema = g_new0 (CubeSchema, 1);
  g_rw_lock_init (&schema->lock);
  schema->by_resource = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  schema->by_kind = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  schema->by_key = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  schema->custom = g_ptr_array_new ();
  schema->retired = g_ptr_array_new ();
  schema->custom_specs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; cube_builtin_resources[i] != NULL; i++)
    cube_schema_add_locked (schema, cube_builtin_resources[i]);
  return schema;
}

CubeSchema *
cube_schema_get_default (void)
{
  static CubeSchema *schema;
  if (g_once_init_enter (&schema))
    g_once_init_leave (&schema, schema_new ());
  return schema;
}

static const CubeResource *
lookup (CubeSchema *schema, GHashTable *table, const char *key)
{
  g_rw_lock_reader_lock (&schema->lock);
  const CubeResource *resource = g_hash_table_lookup (table, key);
  g_rw_lock_reader_unlock (&schema->lock);
  return resource;
}

const CubeResource *
cube_schema_find (CubeSchema *schema, const char *group, const char *version, const char *resource)
{
  char key[512];
  g_return_val_if_fail (schema != NULL, NULL);
  return make_key (key, group, version, resource) ? lookup (schema, schema->by_resource, key) : NULL;
}

/* Splits "apps/v1" or "v1". */
static gboolean
split_api_version (const char *api_version, char group[256], const char **ret_version)
{
  const char *slash = strchr (api_version, '/');
  gsize length = slash == NULL ? 0 : (gsize) (slash - api_version);
  if (length >= 256)
    return FALSE;
  memcpy (group, api_version, length);
  group[length] = '\0';
  *ret_version = slash == NULL ? api_version : slash + 1;
  return TRUE;
}

const CubeResource *
cube_schema_resource (CubeSchema *schema, const char *api_version, const char *resource)
{
  char group[256];
  const char *version;
  if (api_version == NULL || !split_api_version (api_version, group, &version))
    return NULL;
  return cube_schema_find (schema, group, version, resource);
}

const CubeResource *
cube_schema_find_kind (CubeSchema *schema, const char *api_version, const char *kind)
{
  char group[256], key[512];
  const char *version;
  g_return_val_if_fail (schema != NULL, NULL);
  if (api_version == NULL || !split_api_version (api_version, group, &version) || !make_key (key, group, version, kind))
    return NULL;
  return lookup (schema, schema->by_kind, key);
}

const CubeResource *
cube_schema_find_key (CubeSchema *schema, const char *key)
{
  g_return_val_if_fail (schema != NULL, NULL);
  return key == NULL ? NULL : lookup (schema, schema->by_key, key);
}

GPtrArray *
cube_schema_list (CubeSchema *schema)
{
  GPtrArray *list = g_ptr_array_new ();
  for (guint i = 0; cube_builtin_resources[i] != NULL; i++)
    g_ptr_array_add (list, (gpointer) cube_builtin_resources[i]);
  g_rw_lock_reader_lock (&schema->lock);
  for (guint i = 0; i < schema->custom->len; i++)
    g_ptr_array_add (list, schema->custom->pdata[i]);
  g_rw_lock_reader_unlock (&schema->lock);
  return list;
}

const CubeSubresource *
cube_resource_find_subresource (const CubeResource *resource, const char *name)
{
  g_return_val_if_fail (resource != NULL, NULL);
  for (const CubeSubresource *sub = resource->subresources; name != NULL && sub->name != NULL; sub++)
    if (strcmp (sub->name, name) == 0)
      return sub;
  return NULL;
}

guint64
cube_schema_generation (CubeSchema *schema)
{
  g_rw_lock_reader_lock (&schema->lock);
  guint64 generation = schema->generation;
  g_rw_lock_reader_unlock (&schema->lock);
  return generation;
}

gboolean
cube_schema_allows_create_on_update (const CubeResource *resource)
{
  return (cube_resource_type (resource)->strategy & CUBE_STRATEGY_CREATE_ON_UPDATE) != 0;
}

gboolean
cube_schema_allows_unconditional_update (const CubeResource *resource)
{
  return (cube_resource_type (resource)->strategy & CUBE_STRATEGY_UNCONDITIONAL) != 0;
}

/* ---- types ---- */

guint16
cube_builtin_type_index (const char *name)
{
  const CubeTypeTable *table = &cube_builtin_types;
  guint low = 1, high = table->n_types;
  while (low < high)
    {
      guint middle = (low + high) / 2;
      int order = strcmp (name, table->pool + table->types[middle].name);
      if (order == 0)
        return (guint16) middle;
      if (order < 0)
        high = middle;
      else
        low = middle + 1;
    }
  return 0;
}

guint16
cube_type_shape (const CubeTypeTable *table, guint16 type)
{
  for (guint i = 1; i < table->n_shapes; i++)
    if (table->shapes[i].kind == CUBE_SHAPE_REF && table->shapes[i].ref == type)
      return (guint16) i;
  return 0;
}

const CubeType *
cube_resource_body_type (const CubeResource *resource, const char *subresource, const CubeTypeTable **ret_table)
{
  const CubeResourceType *type = cube_resource_type (resource);
  *ret_table = type->table;
  if (subresource == NULL || *subresource == '\0')
    return &type->table->types[type->type];
  const CubeSubresource *sub = cube_resource_find_subresource (resource, subresource);
  if (sub == NULL)
    return NULL;
  if (resource->is_custom)
    {
      if (strcmp (subresource, "status") == 0)
        return &type->table->types[type->type];
      *ret_table = &cube_builtin_types;
      guint16 scale = cube_builtin_type_index ("autoscaling/v1.Scale");
      return scale == 0 ? NULL : &cube_builtin_types.types[scale];
    }
  guint16 body = type->subresource_types[sub - resource->subresources];
  return body == 0 ? NULL : &type->table->types[body];
}

/* ---- paths ---- */

static void
append_path (GString *text, const CubePath *path)
{
  if (path == NULL)
    return;
  append_path (text, path->parent);
  if (path->name == NULL)
    g_string_append_printf (text, "[%u]", path->index);
  else if (path->is_key)
    g_string_append_printf (text, "[%s]", path->name);
  else
    g_string_append_printf (text, text->len > 0 ? ".%s" : "%s", path->name);
}

char *
cube_path_to_string (const CubePath *path)
{
  GString *text = g_string_new (NULL);
  append_path (text, path);
  return g_string_free (text, FALSE);
}
