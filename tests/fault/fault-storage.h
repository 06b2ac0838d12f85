/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A cube.Storage around another that fails and dawdles on command. Compile fault-storage.c into a test. */
#include <cube/storage.h>

typedef struct _FaultStorage FaultStorage;

FaultStorage *fault_storage_new (const CubeStorageOps *ops, gpointer state); /* neither is owned */
void fault_storage_free (FaultStorage *fault);
extern const CubeStorageOps fault_storage_ops; /* its state is the FaultStorage */

/* The @nth commit from now (1 = the next) and the @count - 1 after it fail with @code (CubeErrorCode) before anything is written;
 * @count G_MAXUINT = until fault_storage_heal. */
void fault_storage_fail (FaultStorage *fault, guint nth, guint count, int code);
void fault_storage_heal (FaultStorage *fault);
void fault_storage_delay (FaultStorage *fault, gint64 delay_us);  /* every commit takes so much longer */
void fault_storage_hold (FaultStorage *fault, gboolean is_held);  /* commits wait while held; for tests that need a batch to build up */
void fault_storage_wait_held (FaultStorage *fault);               /* returns when a commit is waiting */
guint fault_storage_commits (FaultStorage *fault);                /* transactions that reached the storage */
guint fault_storage_changes (FaultStorage *fault);                /* changes in them */
