/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
#include "schema-tables.h"
G_GNUC_INTERNAL void cube_strategy_create_hook (CubeStrategyHook hook, CubeMut *root);
G_GNUC_INTERNAL void cube_strategy_update_hook (CubeStrategyHook hook, CubeMut *root, CubeView old);
G_GNUC_INTERNAL void cube_strategy_status_hook (CubeStrategyHook hook, CubeMut *root, CubeView old);
/* ephemeralcontainers, resize, approval, finalize */
G_GNUC_INTERNAL void cube_strategy_subresource (const char *subresource, CubeMut *root, CubeView old);
