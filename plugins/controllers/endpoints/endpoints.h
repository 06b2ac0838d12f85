/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <servicepods/servicepods.h>

#define ENDPOINTS_MAX 1000
/* The subsets of @service over @pods (element-type CubeObject): addresses with the same ports together. *ret_truncated when ENDPOINTS_MAX cut some. (transfer full) */
CubeValue *subsets_make (CubeView service, GPtrArray *pods, gboolean *ret_truncated);
