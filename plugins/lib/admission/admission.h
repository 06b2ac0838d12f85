/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What admission plugins share: refusals in Kubernetes' words, and the questions every `handles` asks. */
#include <cube/client.h>

/* <resource>[.<group>] "<name>" is forbidden: <text>, with the object in the error's details. Always FALSE. */
gboolean admission_forbid (const CubeAdmissionRequest *request, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);
gboolean admission_is (const CubeResource *resource, const char *group, const char *name);
static inline gboolean
admission_is_whole (const char *subresource)
{
  return subresource == NULL || *subresource == '\0';
}
/* A read of the store's memory. NULL without an error: absent. (transfer full) */
CubeObject *admission_look_up (CubeContext *context, const char *api_version, const char *resource, const char *ns, const char *name, GError **error);
