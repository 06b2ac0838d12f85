/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* cube.controller.Controller: a reconciler. The framework (core/client) owns informers, queue, workers, leader election, retry, metrics: it
 * starts every registered controller when the role "controllers" is active and this process leads. */
#include <cube/client.h>
#include <cube/plugin.h>
CUBE_BEGIN_DECLS
#define CUBE_CONTROLLER "cube.controller.Controller"
#define CUBE_CONTROLLER_VERSION 1

/* What a controller is handed; the same for its whole life. */
typedef struct {
  CubeContext *context;
  CubeClient *client;       /* acts as system:serviceaccount:kube-system:<id>-controller */
  CubeRecorder *recorder;   /* component "<id>-controller" */
  CubeQueue *queue;         /* its own: cube_queue_add to reconcile a key */
  CubeLoop *loop;           /* where its informer callbacks run */
} CubeControllerEnv;

/* Adds to env->queue the keys an event concerns. On the loop, quick. @old (nullable). */
typedef void (*CubeWatchMap) (gpointer state, CubeControllerEnv *env, CubeEventType type, CubeObject *object, CubeObject *old);
typedef struct {
  const char *api_version, *resource; /* "apps/v1", "deployments" */
  CubeWatchMap map;                   /* NULL = key is the object's own; see also cube_map_owner */
} CubeControllerWatch;

typedef struct {
  guint32 ops_size;
  const CubeControllerWatch *watches; /* ends with resource == NULL; the first is the controller's own kind */
  /* Brings the world of @key ("ns/name" or "name") one step nearer. On a worker; may block on the client. Never two at once for one key.
   * Returns as CubeQueueFunc: 0 done, > 0 again after µs; on failure -1 with @error set (logged once, retried with back-off). */
  gint64 (*reconcile) (gpointer state, CubeControllerEnv *env, const char *key, GError **error);
  gboolean (*start) (gpointer state, CubeControllerEnv *env, GError **error); /* (nullable) before the first event, on the loop */
  void (*stop) (gpointer state, CubeControllerEnv *env);                      /* (nullable) after the last */
  guint workers;                      /* at once; 0 = 2 */
} CubeControllerOps;

/* A CubeWatchMap body for owned objects: adds the key of the controlling owner when it is of @kind. */
CUBE_EXPORT void cube_map_owner (CubeControllerEnv *env, const CubeObject *object, const char *kind);
/* Splits "ns/name" (or "name") in place of two strings. (transfer full) */
CUBE_EXPORT void cube_key_split (const char *key, char **ret_ns, char **ret_name);
/* Expectations: a create or delete issued for @key that the informer has not shown yet. In-process reads are never stale, so these only matter for remote
 * controllers; harmless otherwise. */
CUBE_END_DECLS
