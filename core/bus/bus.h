/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the event bus. One ring of changes per resource, a cursor per subscription. A slow subscriber costs the others nothing: past the
 * ring's window it gets CUBE_ERROR_EXPIRED and lists again. */
#include <cube/context.h>
#include <cube/object.h>
#include <cube/error.h>

typedef struct _CubeBus CubeBus;
typedef struct _CubeSubscription CubeSubscription;

typedef struct {
  guint64 revision;
  CubeObject *object; /* after the change; for a deletion the last state, carrying the deletion's revision */
  CubeObject *old;    /* before; NULL for a creation */
  gboolean is_delete;
} CubeChange;

CubeBus *cube_bus_new (guint window); /* changes kept per resource at least */
void cube_bus_free (CubeBus *bus);
/* Committer only, in order of revision over all resources: publishes a batch, then wakes each waiting subscriber's loop once. References are taken. */
typedef struct { const char *resource_key; CubeChange change; } CubeBusEntry;
void cube_bus_publish (CubeBus *bus, const CubeBusEntry *entries, guint n, guint64 newest_revision);
/* History known from before a restart, oldest first (before any subscriber). */
void cube_bus_preload (CubeBus *bus, const char *resource_key, const CubeChange *change);
void cube_bus_set_floor (CubeBus *bus, guint64 revision); /* no history at or before it is known: resuming from below is EXPIRED */
void cube_bus_set_resource_floor (CubeBus *bus, const char *resource_key, guint64 revision); /* the same for one resource, when it is higher */
void cube_bus_set_newest (CubeBus *bus, guint64 revision); /* everything up to it is known (after preloading) */
guint64 cube_bus_newest (CubeBus *bus);

/* Changes of @resource_key with revision > @after. @ready runs on @loop when there is something to take (coalesced: once until drained).
 * Errors: CUBE_ERROR_EXPIRED `too old resource version: A (B)`. (transfer full) */
CubeSubscription *cube_bus_subscribe (CubeBus *bus, const char *resource_key, guint64 after, CubeLoop *loop, CubeTask ready, gpointer data, GError **error);
/* Takes the next change (references owned by the caller: cube_change_clear). FALSE without error: nothing now, *ret_progress is the revision up to
 * which nothing more will come (for bookmarks). FALSE with error: lost its place (EXPIRED). */
gboolean cube_subscription_next (CubeSubscription *subscription, CubeChange *ret_change, guint64 *ret_progress, GError **error);
void cube_subscription_free (CubeSubscription *subscription); /* on its loop; @ready does not run afterwards */
void cube_change_clear (CubeChange *change);
