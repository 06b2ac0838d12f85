/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* Validates an object of a custom kind against its structural schema. @old NONE on create. */
G_GNUC_INTERNAL void cube_crd_validate (const CubeResource *resource, CubeView object, CubeView old, CubeFieldErrors *errors);
