/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "admission.h"

typedef struct {
  const char *name;              /* "" = no class */
  gint64 value;
  const char *preemption_policy; /* NULL = not said */
} PriorityClass;

#define PRIORITY_NO_CLASS { "", 0, NULL }

/* The classes every cluster has; NULL for any other name. */
const PriorityClass *priority_system_class (const char *name);
const char *priority_system_description (const char *name);
extern const char *const priority_system_names[];
PriorityClass priority_class_of (CubeView object); /* borrows from it */
/* Fills class, priority and policy of a new pod; refuses values that differ from the class's. */
gboolean priority_apply (const CubeAdmissionRequest *request, CubeMut *pod, const PriorityClass *chosen, GError **error);
