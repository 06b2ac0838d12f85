/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* The rules a table cannot say: cross-field validation and warnings of single kinds. hooks-*.c and validate-*.c.
 * @old NONE on create; @subresource "" = the object itself. Called after the structural checks, whose errors are already in @errors. */
G_GNUC_INTERNAL void cube_hooks_validate (const CubeResource *resource, const char *subresource, CubeView object, CubeView old,
                                          CubeFieldErrors *errors);
G_GNUC_INTERNAL void cube_hooks_warn (const CubeResource *resource, CubeView object, CubeView old, GPtrArray *warnings);
