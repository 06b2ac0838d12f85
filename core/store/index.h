/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: secondary indexes: a text taken from an object → the objects that have it. Changed by the committer, read by any thread. */
#include "tree.h"

typedef enum { CUBE_INDEX_OWNER = 0, CUBE_INDEX_NODE, CUBE_INDEX_N } CubeIndexId;

typedef struct _CubeIndex CubeIndex;
CubeIndex *cube_index_new (CubeIndexId id);
void cube_index_free (CubeIndex *index);
gboolean cube_index_covers (const CubeIndex *index, const char *resource_key);
/* @old, @object: nullable. @resource_key lives as long as the index. */
void cube_index_change (CubeIndex *index, const char *resource_key, CubeObject *old, CubeObject *object);
typedef void (*CubeIndexHit) (const char *resource_key, CubeObject *object, gpointer data); /* object borrowed */
void cube_index_find (CubeIndex *index, const char *key, CubeIndexHit hit, gpointer data);

/* The text of spec.nodeName in an object's compact JSON, read without parsing the rest. FALSE = none. Borrowed, not NUL-terminated. */
gboolean cube_extract_node_name (const char *json, gsize length, const char **ret_text, gsize *ret_length);
