/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
G_GNUC_INTERNAL void cube_json_member (GString *out, const char *key, const char *text); /* ,"key":"text" */
G_GNUC_INTERNAL int cube_version_compare (const char *a, const char *b); /* Kubernetes' version priority, best first */
