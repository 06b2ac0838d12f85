/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "admission.h"

gboolean lifecycle_handles (CubeVerb verb, const CubeResource *resource, const char *subresource);
/* @found: the request's namespace, NULL = absent; not looked at for the deletion of a namespace. */
gboolean lifecycle_check (const CubeAdmissionRequest *request, const CubeObject *found, GError **error);
