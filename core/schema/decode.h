/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* Decodes @root as @type; see cube_schema_decode (). */
G_GNUC_INTERNAL gboolean cube_decode_type (const CubeTypeTable *table, const CubeType *type, const char *kind, const char *version,
                                           CubeMut *root, CubeStrictness strictness, char **duplicates, GPtrArray *warnings, GError **error);
