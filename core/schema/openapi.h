/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* An OpenAPI document being written: v2 (definitions) or v3 (components). */
typedef struct {
  GString *out;
  gboolean is_v3;
  guint8 *wanted; /* per built-in type: has to be described */
} CubeOpenApi;
G_GNUC_INTERNAL void cube_openapi_want (CubeOpenApi *doc, guint16 type);               /* and everything below it */
G_GNUC_INTERNAL char *cube_openapi_type_name (const char *name);                       /* "apps/v1.Deployment" → "io.k8s.api.apps.v1.Deployment" */
G_GNUC_INTERNAL char *cube_openapi_kind_name (const CubeResource *resource, const char *kind);
G_GNUC_INTERNAL void cube_openapi_ref (CubeOpenApi *doc, const char *name);            /* {"$ref":"…"} */
G_GNUC_INTERNAL void cube_openapi_types (CubeOpenApi *doc);                            /* "name":{…},… of all wanted ones */
G_GNUC_INTERNAL void cube_openapi_kind (CubeOpenApi *doc, const CubeResource *resource); /* its list type, and itself when custom */
G_GNUC_INTERNAL void cube_openapi_paths (CubeOpenApi *doc, const CubeResource *resource, gboolean *is_first);
