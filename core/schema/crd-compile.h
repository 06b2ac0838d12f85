/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "crd.h"
/* Compiles an openAPIV3Schema (NONE = keeps everything) to a table whose type 1 is the kind itself. It lives for ever. */
G_GNUC_INTERNAL const CubeTypeTable *cube_crd_compile (CubeView schema, const char *type_name, GError **error);
