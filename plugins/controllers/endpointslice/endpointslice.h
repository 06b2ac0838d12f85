/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The steps of one pass over a service: what it should have (desired.c), what is to be written (plan.c). */
#include <servicepods/servicepods.h>

#define SLICE_MAX 100
#define LABEL_SERVICE "kubernetes.io/service-name"
#define LABEL_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define LABEL_HEADLESS "service.kubernetes.io/headless"
#define MANAGER "endpointslice-controller.k8s.io"
#define ANNOTATION_TRIGGER "endpoints.kubernetes.io/last-change-trigger-time"

/* One endpoint that should be. */
typedef struct {
  CubeValue *value;
  char *key;            /* uid of its pod and address */
  gboolean is_placed;
} Desired;

/* Endpoints of one address type that have the same ports. */
typedef struct {
  gboolean is_ipv6;
  CubeValue *ports;     /* an array */
  GPtrArray *endpoints; /* of Desired, in order of pods */
  GHashTable *by_key;   /* key → Desired, borrowed */
} Group;

typedef struct {
  CubeControllerEnv *env;
  CubeObject *object;      /* the Service */
  CubeValue *value;
  CubeView view;
  CubeValue *labels;       /* what each slice has */
  GPtrArray *groups;       /* of Group */
  GHashTable *zones;       /* node → zone, "" = none */
  const CubeResource *slices, *nodes;
  char *trigger;           /* newest time among the changes that are written, NULL = none */
} Pass;

/* One slice that is, and what it becomes. */
typedef struct {
  CubeObject *object;      /* NULL = made new */
  CubeValue *value;
  Group *group;            /* NULL = of no group any more */
  gboolean is_ipv6, is_changed, is_doomed;
  GPtrArray *endpoints;    /* of CubeValue: what it shall hold */
} Slice;

char *endpoint_key (CubeView endpoint);
/* Fills pass->groups and pass->labels from the service's pods. */
gboolean desired_compute (Pass *pass, GError **error);
void desired_clear (Pass *pass);
/* What becomes of @existing (element-type CubeObject): (transfer full) (element-type Slice). */
GPtrArray *plan_make (Pass *pass, GPtrArray *existing);
