/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What controllers that own pods share: claiming by label, making and deleting pods, judging them. Every call may block on the client; none keeps state. */
#include <cube/controller.h>
#include <cube/scalar.h>

/* ---- pods ---- */
gboolean workload_pod_is_active (CubeView pod);   /* not Succeeded, not Failed, not being deleted */
gboolean workload_pod_is_ready (CubeView pod);
/* Ready for @min_ready_s seconds. @ret_wait_us (nullable): for a ready pod that is not yet available, the time until it will be; else untouched. */
gboolean workload_pod_is_available (CubeView pod, gint64 min_ready_s, gint64 now_us, gint64 *ret_wait_us);

/* ---- claiming ---- */
typedef struct {
  const CubeResource *resource; /* of the owned */
  const CubeObject *owner;
  const CubeSelector *selector;
} WorkloadClaim;
/* The objects that belong to the owner: its own that match, orphans that match and were adopted; its own that stopped matching are released.
 * An owner being deleted adopts nothing. (transfer full) (element-type CubeObject); NULL on error. */
GPtrArray *workload_claim (CubeControllerEnv *env, const WorkloadClaim *claim, GError **error);
/* Reconciles every @owner_resource of the namespace whose selector matches an orphan. @selector_of answers a workload's selector (transfer full). */
typedef CubeSelector *(*WorkloadSelectorOf) (CubeView workload);
void workload_map_pod (CubeControllerEnv *env, const char *kind, const CubeResource *owner_resource, WorkloadSelectorOf selector_of, CubeEventType type,
                       CubeObject *object, CubeObject *old);

/* ---- making and deleting pods ---- */
/* Makes @n pods of @template for @owner in batches of 1, 2, 4 …, stopping at the first batch with an error (which is told in @error with what was made in
 * *ret_made). Events SuccessfulCreate / FailedCreate on the owner. */
gboolean workload_create_pods (CubeControllerEnv *env, const CubeObject *owner, CubeView pod_template, guint n, guint *ret_made, GError **error);
/* The same for prepared objects (named by ordinal, by node …): (element-type CubeValue). */
gboolean workload_create_objects (CubeControllerEnv *env, const CubeObject *owner, const CubeResource *resource, GPtrArray *objects, guint *ret_made, GError **error);
/* A Pod of @template owned by @owner; @name NULL: generateName "<owner>-". The caller may change it further. */
CubeBuilder *workload_new_pod (const CubeObject *owner, CubeView pod_template, const char *name);
gboolean workload_delete_pods (CubeControllerEnv *env, const CubeObject *owner, GPtrArray *pods, GError **error);
void workload_set_owner (CubeMut *metadata, const CubeObject *owner); /* appends the controlling ownerReference */

/* ---- which pods go first when there are too many ---- */
/* Sorts @pods (element-type CubeObject) so that those to delete come first: Kubernetes' ActivePodsWithRanks. @related (nullable): active pods whose number per
 * node counts. */
void workload_rank_for_deletion (GPtrArray *pods, GPtrArray *related, gint64 now_us);

/* ---- conditions of a status ---- */
/* Sets the condition @type; TRUE if something changed. lastTransitionTime stays when @status is the same; a replaced one moves to the end.
 * @with_update_time: Deployment's lastUpdateTime too. */
gboolean workload_set_condition (CubeMut *status_root, const char *type, const char *status, const char *reason, const char *message, gint64 now_us, gboolean with_update_time);
gboolean workload_remove_condition (CubeMut *status_root, const char *type);
/* The entry of that type in a list being changed, or NULL; @ret_index (nullable): its place. */
CubeMut *workload_find_condition (CubeMut *conditions, const char *type, guint *ret_index);
/* The same for kinds that always say all their conditions: reason and message follow, the order stays. @now: RFC 3339. */
void workload_state_condition (CubeMut *conditions, const char *type, gboolean is_true, const char *reason, const char *message, const char *now);

/* ---- replica counts (ReplicaSet and ReplicationController) ---- */
typedef struct {
  const char *api_version, *resource_name, *kind;
  WorkloadSelectorOf selector_of;
} ReplicasKind;
gint64 replicas_reconcile (const ReplicasKind *kind, CubeControllerEnv *env, const char *key, GError **error);
void replicas_map_pod (const ReplicasKind *kind, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old);
