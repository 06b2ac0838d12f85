/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cube.Storage: where the store keeps what it acknowledged. One implementation is chosen by configuration (default "sqlite").
 * Called by the committer thread only (open/load by the main thread before it starts). May block. */
#include <cube/plugin.h>
CUBE_BEGIN_DECLS
#define CUBE_STORAGE "cube.Storage"
#define CUBE_STORAGE_VERSION 1

typedef struct {
  const char *key;        /* "<resource key>\x1f<namespace>\x1f<name>": opaque to the storage, ordered bytewise */
  const char *json;       /* NULL = delete */
  gsize length;
  guint64 revision;       /* assigned by the store; strictly growing over all changes */
  guint64 previous;       /* revision the key has now, 0 = none: storages shared by several servers check it */
} CubeStorageChange;

/* One stored row. Return FALSE to stop. Bytes are borrowed. */
typedef gboolean (*CubeStorageRow) (const char *key, const char *json, gsize length, guint64 revision, gpointer data);
/* One historical change, oldest first; json NULL = deletion. */
typedef gboolean (*CubeStorageHistoryRow) (const char *key, const char *json, gsize length, guint64 revision, gpointer data);

typedef struct {
  guint32 ops_size;
  /* Opens (creating when absent) under @location (a directory for sqlite, endpoints for etcd, NULL for memory). A corrupt or newer database is
   * refused with a sentence that says the way out, never overwritten. */
  gboolean (*open) (gpointer state, const char *location, GError **error);
  void (*close) (gpointer state);
  /* Revision of the newest change ever committed and the oldest still in the history. */
  gboolean (*get_revision) (gpointer state, guint64 *ret_newest, guint64 *ret_oldest, GError **error);
  /* Every live row, once, in any order. */
  gboolean (*load) (gpointer state, CubeStorageRow row, gpointer data, GError **error);
  /* Changes after @revision still kept, so that watches resume across a restart. Before them, for keys changed since, the row they had at
   * @revision (its revision is <= @revision): the state before the first change. */
  gboolean (*load_history) (gpointer state, guint64 revision, CubeStorageHistoryRow row, gpointer data, GError **error);
  /* All or nothing; durable (fsync) when it returns TRUE. Errors: CUBE_ERROR_NO_SPACE, CUBE_ERROR_CONFLICT (shared storages), CUBE_ERROR_INTERNAL. */
  gboolean (*commit) (gpointer state, const CubeStorageChange *changes, guint n_changes, GError **error);
  gboolean (*compact) (gpointer state, guint64 revision, GError **error); /* forget history up to @revision */
  gboolean (*backup) (gpointer state, const char *path, GError **error);  /* (nullable) a consistent copy */
  /* (nullable) Reads what is kept under @location, which nobody has open, and changes nothing: FALSE with what open would say, or what is damaged.
   * Nothing there yet is fine. Called instead of open, by `cube doctor`. */
  gboolean (*check) (gpointer state, const char *location, GError **error);
} CubeStorageOps;
CUBE_END_DECLS
