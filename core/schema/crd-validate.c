/* SPDX-License-Identifier: Apache-2.0 */
#include "crd.h"
void
cube_crd_validate (const CubeResource *resource, CubeView object, CubeView old, CubeFieldErrors *errors)
{
}
