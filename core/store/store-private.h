/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: what the files of the store share.
 *
 * Threads: the committer alone changes tables, indexes and the storage (before it starts: the thread of cube_store_new; under simulation: the
 * one thread). A table's lock is held for one change of its tree or one look at it, never over a call out. */
#include "index.h"
#include "store.h"
#include "tree.h"

#define CUBE_STORE_SEPARATOR "\x1f"
#define CUBE_STORE_MARK_KEY "\x01revision" /* row of the storage that keeps revisions from going back, not an object */
#define CUBE_STORE_MARK_STEP 10000

typedef struct {
  char *key;
  gboolean is_volatile;
  GMutex lock;
  CubeTree tree;
} CubeTable;

struct _CubeProposal {
  CubeProposal *next;
  CubeTable *table;
  CubeObject *object; /* proposed; NULL = delete */
  guint64 expected;
  CubeProposalDone done;
  gpointer data;
  /* outcome */
  guint64 revision;
  CubeObject *old;       /* current when it was checked */
  CubeObject *published; /* what goes to the bus */
  GError *error;
  gboolean depends;      /* judged against an earlier proposal of the same batch */
  const char *ns, *name; /* in key */
  char key[];            /* the storage's key, NUL, namespace, NUL, name, NUL */
};

typedef struct {
  GThread *thread;
  GMutex lock;
  GCond work, space;
  CubeProposal *first, **last;
  guint n_pending;
  gboolean is_waiting, must_stop;
  gboolean is_critical; /* simulation: a batch is between check and publication */
} CubeCommitter;

struct _CubeStore {
  CubeContext *context;
  const CubeStorageOps *ops;
  gpointer storage;
  CubeBus *bus;
  guint history;
  gint64 compact_every_us;
  char **volatile_resources;
  GRWLock tables_lock;
  GHashTable *tables; /* key → CubeTable; never removed */
  CubeIndex *indexes[CUBE_INDEX_N];
  GMutex kept_lock;
  GQueue kept; /* Kept, newest first */
  guint64 revision; /* atomic: newest published */
  CubeCommitter committer;
  /* committer only */
  guint64 last_assigned;
  guint64 mark, mark_revision; /* no revision beyond mark is given to a volatile change; revision of the row that says so */
  guint64 newest_stored;
  guint64 compacted, compact_target, compact_candidate; /* forgotten in the storage; to be forgotten; newest at the last interval */
  gint64 next_compact_us;
  GError *trouble; /* set: read-only */
  gint64 next_probe_us;
};

CubeTable *cube_store_table (CubeStore *store, const char *resource_key, gboolean make);
void cube_store_change_indexes (CubeStore *store, CubeTable *table, CubeObject *old, CubeObject *object);
void cube_store_drop_kept (CubeStore *store); /* what is too old of the kept snapshots */

/* load.c */
gboolean cube_store_load (CubeStore *store, GError **error);

/* commit.c: one batch through */
void cube_store_run_batch (CubeStore *store, CubeProposal *first);
void cube_proposal_free (CubeProposal *proposal);

/* upkeep.c: trouble and compaction (committer) */
gboolean cube_store_may_write (CubeStore *store, GError **error); /* FALSE while read-only and no new attempt is due */
void cube_store_note_failure (CubeStore *store, const GError *error);
void cube_store_note_success (CubeStore *store);
/* Does what is due; monotonic µs of the next. @is_idle: nobody waits for a commit. */
gint64 cube_store_upkeep (CubeStore *store, gboolean is_idle);
gboolean cube_store_write_mark (CubeStore *store, GError **error);
char *cube_store_mark_json (guint64 mark);

/* committer.c */
void cube_store_start_committer (CubeStore *store);
void cube_store_stop_committer (CubeStore *store);
