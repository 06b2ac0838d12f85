/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* What the tables alone can say of a value: required, enums, minimum, immutable. Built-in kinds. */
G_GNUC_INTERNAL void cube_structure_validate (const CubeTypeTable *table, const CubeType *type, CubeView object, const CubePath *path,
                                              CubeFieldErrors *errors);
G_GNUC_INTERNAL void cube_structure_validate_update (const CubeTypeTable *table, const CubeType *type, CubeView object, CubeView old,
                                                     const CubePath *path, CubeFieldErrors *errors);
