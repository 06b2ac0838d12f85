/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the object store. Reads never wait for the disk; writes are proposals to the committer, acknowledged when durable. Any thread. */
#include <bus/bus.h>
#include <cube/storage.h>

typedef struct _CubeStore CubeStore;
typedef struct _CubeSnapshot CubeSnapshot;

typedef struct {
  guint history;            /* changes kept per resource for watches; 0 = 10,000 */
  gint64 compact_every_us;  /* 0 = 5 min */
  const char *const *volatile_resources; /* store keys never written to the storage (NULL-terminated; nullable): Leases, by choice Events */
} CubeStoreOptions;

/* @storage: an opened storage. Loads everything. Under simulation commits happen inline in propose. */
CubeStore *cube_store_new (CubeContext *context, const CubeStorageOps *storage, gpointer storage_state, const CubeStoreOptions *options, GError **error);
void cube_store_free (CubeStore *store); /* commits what was accepted, joins the committer */
CubeBus *cube_store_bus (CubeStore *store);
guint64 cube_store_revision (CubeStore *store); /* newest published */

CubeObject *cube_store_get (CubeStore *store, const char *resource_key, const char *ns, const char *name); /* (transfer full), NULL = none */
/* A consistent image of one resource at its revision; O(1) to take. */
CubeSnapshot *cube_store_snapshot (CubeStore *store, const char *resource_key);
CubeSnapshot *cube_snapshot_ref (CubeSnapshot *snapshot);
void cube_snapshot_unref (CubeSnapshot *snapshot);
guint64 cube_snapshot_revision (const CubeSnapshot *snapshot); /* store revision it reflects */
guint cube_snapshot_length (const CubeSnapshot *snapshot);
/* Visits in order of (namespace, name) strictly after (@after_ns, @after_name) (NULL = from the start), only @ns when not NULL. @object is borrowed.
 * Return FALSE to stop. */
typedef gboolean (*CubeSnapshotVisit) (CubeObject *object, gpointer data);
void cube_snapshot_visit (const CubeSnapshot *snapshot, const char *ns, const char *after_ns, const char *after_name, CubeSnapshotVisit visit, gpointer data);
/* Keeps a snapshot findable by revision for paging (continue tokens); bounded in number and age. NULL = no longer known. */
void cube_store_keep_snapshot (CubeStore *store, CubeSnapshot *snapshot);
CubeSnapshot *cube_store_find_snapshot (CubeStore *store, const char *resource_key, guint64 revision);
/* Objects whose ownerReferences name @uid, any resource. (transfer full) (element-type CubeObject), each with its resource key by cube_store_key_of. */
typedef struct { const char *resource_key; CubeObject *object; } CubeStoreHit;
GArray *cube_store_find_owned (CubeStore *store, const char *owner_uid); /* (element-type CubeStoreHit) objects referenced */
/* Pods by spec.nodeName (index). (transfer full) (element-type CubeObject) */
GPtrArray *cube_store_find_pods_on (CubeStore *store, const char *node_name);
/* Distinct resource keys that hold objects, and how many. */
GHashTable *cube_store_count (CubeStore *store); /* key → GUINT; (transfer full) */

#define CUBE_REVISION_ANY ((guint64) -1)
typedef struct _CubeProposal CubeProposal;
/* Runs on the committer thread (inline under simulation): must not block. @error NULL = committed at @revision; @object: as published (for a
 * deletion the last state). On error CONFLICT/ALREADY_EXISTS/NOT_FOUND @object is the current one or NULL. */
typedef void (*CubeProposalDone) (guint64 revision, CubeObject *object, const GError *error, gpointer data);
/* Proposes @object (NULL = delete) at (resource_key, ns, name) expecting revision @expected (0 = must not exist; CUBE_REVISION_ANY).
 * The object's revision is spliced in by the committer: the caller gives up its exclusive reference. Error domain CUBE_ERROR; messages for
 * conflicts are the pipeline's work (it knows group and resource names). Bounded queue: waits when 4,096 are pending. */
void cube_store_propose (CubeStore *store, const char *resource_key, const char *ns, const char *name, CubeObject *object, guint64 expected,
                         CubeProposalDone done, gpointer data);
/* The same, waiting for the answer. Not on the committer thread. (transfer full) NULL on error, @ret_current (nullable) set then. */
CubeObject *cube_store_commit (CubeStore *store, const char *resource_key, const char *ns, const char *name, CubeObject *object, guint64 expected,
                               CubeObject **ret_current, GError **error);
