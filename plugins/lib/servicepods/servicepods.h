/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the endpoint controllers share: which services a pod concerns, and what of a pod an endpoint is made of. */
#include <cube/controller.h>
#include <cube/scalar.h>

/* ---- from pods to services: selectors by namespace, kept from service events ---- */
typedef struct _ServicePods ServicePods;
ServicePods *service_pods_new (void);
void service_pods_free (ServicePods *self);
void service_pods_reset (ServicePods *self); /* forgets everything: before the first event of a new term */
/* Bodies for CubeWatchMap; they add keys of services. */
void service_pods_map_service (ServicePods *self, CubeControllerEnv *env, CubeEventType type, CubeObject *service);
void service_pods_map_pod (ServicePods *self, CubeControllerEnv *env, CubeEventType type, CubeObject *pod, CubeObject *old);
/* Adds a key: within a millisecond when the service was quiet, later when its last passes were long and recent (at most a quarter of the time is spent on one
 * service). */
void service_pods_enqueue (ServicePods *self, CubeControllerEnv *env, const char *ns, const char *name);
void service_pods_took (ServicePods *self, CubeControllerEnv *env, const char *ns, const char *name, gint64 started_us); /* monotonic */

/* ---- of one service ---- */
gboolean service_has_pods (CubeView service);     /* a selector, and not ExternalName */
gboolean service_is_headless (CubeView service);
gboolean service_wants_family (CubeView service, gboolean is_ipv6);
gboolean service_first_family_is_ipv6 (CubeView service);

/* ---- of one pod ---- */
gboolean service_pod_is_ready (CubeView pod);
gboolean service_pod_is_candidate (CubeView pod, gboolean with_terminating); /* has an address, has not ended */
const char *service_pod_ip (CubeView pod, gboolean is_ipv6);                 /* the first of the family, NULL = none */
const char *service_pod_hostname (CubeView pod, CubeView service);           /* set for pods of the service's own subdomain */
const char *service_pod_ready_since (CubeView pod);                          /* lastTransitionTime of Ready, NULL = none */
gboolean service_find_port (CubeView pod, CubeView service_port, gint64 *ret_port); /* FALSE: no container has a port of that name */
void service_set_target (CubeMut *endpoint, CubeView pod);                   /* targetRef */
