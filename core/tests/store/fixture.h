/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A store over a real storage plugin, for tests. */
#include <context/context.h>
#include <store/store.h>
#include "../../../tests/fault/fault-storage.h"

#define PODS "/pods"
#define LEASES "coordination.k8s.io/leases"

typedef enum { STORAGE_MEMORY, STORAGE_SQLITE } StorageKind;

typedef struct {
  CubeProcess *process;
  CubeContext *context;
  StorageKind kind;
  char *directory; /* sqlite; a temporary one, removed by fixture_clear */
  gpointer state;
  FaultStorage *fault;
  CubeStore *store;
  guint history;
  gint64 compact_every_us;
} Fixture;

const CubePluginDescriptor *storage_plugin (StorageKind kind);
const CubeStorageOps *storage_ops (StorageKind kind);

void fixture_init (Fixture *fixture, StorageKind kind, gboolean is_simulated); /* opens nothing yet: set history … first */
void fixture_open (Fixture *fixture);   /* asserts success */
gboolean fixture_try_open (Fixture *fixture, GError **error);
void fixture_close (Fixture *fixture);  /* store and storage; opening again is a restart */
void fixture_clear (Fixture *fixture);

CubeObject *make_object (const char *kind, const char *ns, const char *name, const char *node, const char *owner_uid, guint pad);
CubeObject *make_pod (const char *ns, const char *name, guint pad);
/* Asserts success; the revision. */
guint64 put_pod (Fixture *fixture, const char *name, guint64 expected, guint pad);
guint64 delete_pod (Fixture *fixture, const char *name, guint64 expected);
void remove_tree (const char *directory);
