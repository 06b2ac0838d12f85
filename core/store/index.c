/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"
#include <string.h>

#define MAX_KEYS 32 /* owners of one object that are looked at */

typedef struct {
  char *keys[MAX_KEYS];
  guint n;
} Keys;

/* What is indexed: one line an index. */
typedef struct {
  const char *resource_key; /* NULL = all */
  void (*extract) (CubeObject *object, Keys *keys);
} IndexDefinition;

typedef struct {
  const char *resource_key;
  CubeTree tree;
} BucketPart;

struct _CubeIndex {
  const IndexDefinition *definition;
  GMutex lock;
  GHashTable *buckets; /* utf8 → GArray of BucketPart */
};

static void
keys_add (Keys *keys, const char *text, gsize length)
{
  if (keys->n < MAX_KEYS && length > 0)
    keys->keys[keys->n++] = g_strndup (text, length);
}

static void
keys_clear (Keys *keys)
{
  for (guint i = 0; i < keys->n; i++)
    g_free (keys->keys[i]);
}

static gboolean
keys_has (const Keys *keys, const char *key)
{
  for (guint i = 0; i < keys->n; i++)
    if (strcmp (keys->keys[i], key) == 0)
      return TRUE;
  return FALSE;
}

static void
extract_owners (CubeObject *object, Keys *keys)
{
  guint n;
  const CubeOwnerRef *owners = cube_object_owners (object, &n);
  for (guint i = 0; i < n; i++)
    if (owners[i].uid != NULL)
      keys_add (keys, owners[i].uid, strlen (owners[i].uid));
}

static void
extract_node (CubeObject *object, Keys *keys)
{
  gsize length, json_length;
  const char *json = cube_object_json (object, &json_length), *text;
  if (cube_extract_node_name (json, json_length, &text, &length))
    keys_add (keys, text, length);
}

static const IndexDefinition definitions[CUBE_INDEX_N] = {
  [CUBE_INDEX_OWNER] = { NULL, extract_owners },
  [CUBE_INDEX_NODE] = { "/pods", extract_node },
};

static void
bucket_free (gpointer data)
{
  GArray *bucket = data;
  for (guint i = 0; i < bucket->len; i++)
    cube_tree_clear (&g_array_index (bucket, BucketPart, i).tree);
  g_array_unref (bucket);
}

CubeIndex *
cube_index_new (CubeIndexId id)
{
  CubeIndex *index = g_new0 (CubeIndex, 1);
  index->definition = &definitions[id];
  g_mutex_init (&index->lock);
  index->buckets = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, bucket_free);
  return index;
}

void
cube_index_free (CubeIndex *index)
{
  if (index == NULL)
    return;
  g_hash_table_unref (index->buckets);
  g_mutex_clear (&index->lock);
  g_free (index);
}

gboolean
cube_index_covers (const CubeIndex *index, const char *resource_key)
{
  return index->definition->resource_key == NULL || strcmp (index->definition->resource_key, resource_key) == 0;
}

static BucketPart *
bucket_part (GArray *bucket, const char *resource_key, gboolean make)
{
  for (guint i = 0; i < bucket->len; i++)
    if (strcmp (g_array_index (bucket, BucketPart, i).resource_key, resource_key) == 0)
      return &g_array_index (bucket, BucketPart, i);
  if (!make)
    return NULL;
  BucketPart part = { resource_key, { NULL, 0 } };
  g_array_append_val (bucket, part);
  return &g_array_index (bucket, BucketPart, bucket->len - 1);
}

static CubeObject *
index_remove (CubeIndex *index, const char *resource_key, const char *key, CubeObject *old)
{
  GArray *bucket = g_hash_table_lookup (index->buckets, key);
  BucketPart *part = bucket != NULL ? bucket_part (bucket, resource_key, FALSE) : NULL;
  if (part == NULL)
    return NULL;
  CubeObject *removed = cube_tree_remove (&part->tree, cube_object_namespace (old), cube_object_name (old));
  if (part->tree.length == 0)
    g_array_remove_index_fast (bucket, part - (BucketPart *) (gpointer) bucket->data);
  if (bucket->len == 0)
    g_hash_table_remove (index->buckets, key);
  return removed;
}

static CubeObject *
index_put (CubeIndex *index, const char *resource_key, const char *key, CubeObject *object)
{
  GArray *bucket = g_hash_table_lookup (index->buckets, key);
  if (bucket == NULL)
    {
      bucket = g_array_new (FALSE, FALSE, sizeof (BucketPart));
      g_hash_table_insert (index->buckets, g_strdup (key), bucket);
    }
  return cube_tree_put (&bucket_part (bucket, resource_key, TRUE)->tree, object);
}

static void
drop (CubeObject *object)
{
  if (object != NULL)
    cube_object_unref (object);
}

void
cube_index_change (CubeIndex *index, const char *resource_key, CubeObject *old, CubeObject *object)
{
  Keys before = { .n = 0 }, after = { .n = 0 };
  if (old != NULL)
    index->definition->extract (old, &before);
  if (object != NULL)
    index->definition->extract (object, &after);
  for (guint i = 0; i < before.n; i++)
    if (!keys_has (&after, before.keys[i]))
      {
        g_mutex_lock (&index->lock);
        CubeObject *removed = index_remove (index, resource_key, before.keys[i], old);
        g_mutex_unlock (&index->lock);
        drop (removed);
      }
  for (guint i = 0; i < after.n; i++)
    {
      g_mutex_lock (&index->lock);
      CubeObject *replaced = index_put (index, resource_key, after.keys[i], object);
      g_mutex_unlock (&index->lock);
      drop (replaced);
    }
  keys_clear (&before);
  keys_clear (&after);
}

typedef struct {
  const char *resource_key;
  CubeIndexHit hit;
  gpointer data;
} Found;

static gboolean
found_visit (CubeObject *object, gpointer data)
{
  Found *found = data;
  found->hit (found->resource_key, object, found->data);
  return TRUE;
}

void
cube_index_find (CubeIndex *index, const char *key, CubeIndexHit hit, gpointer data)
{
  g_autoptr (GArray) parts = g_array_new (FALSE, FALSE, sizeof (BucketPart));
  g_mutex_lock (&index->lock);
  GArray *bucket = g_hash_table_lookup (index->buckets, key);
  for (guint i = 0; bucket != NULL && i < bucket->len; i++)
    {
      BucketPart part = g_array_index (bucket, BucketPart, i);
      part.tree = cube_tree_copy (&part.tree);
      g_array_append_val (parts, part);
    }
  g_mutex_unlock (&index->lock);
  for (guint i = 0; i < parts->len; i++)
    {
      BucketPart *part = &g_array_index (parts, BucketPart, i);
      Found found = { part->resource_key, hit, data };
      cube_tree_visit (&part->tree, NULL, NULL, NULL, found_visit, &found);
      cube_tree_clear (&part->tree);
    }
}
