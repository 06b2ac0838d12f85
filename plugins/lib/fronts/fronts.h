/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What service types share: one front of a Service's port, its endpoints chosen by policy. */
#include <cube/service.h>

typedef struct {
  CubeFrontKind kind;
  const char *ip;      /* "" = every address of the node; NULL, "None" or anything that is no address: nothing is added */
  gint64 port;         /* outside 1…65535: nothing is added */
  const char *policy;  /* "Cluster" or "Local" */
  gboolean is_external;
  const char **allowed_sources; /* (transfer container) */
} FrontSpec;

void front_append (GArray *fronts, CubeView service, CubeView port, const FrontSpec *spec, const GArray *endpoints);
/* For the array's clear function. */
void front_clear (gpointer front);
