/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/value.h>

/* Lets @pod stay @seconds on a node that is not ready or not to be reached, unless it says something about that itself. */
void tolerations_add (CubeMut *pod, gint64 not_ready_seconds, gint64 unreachable_seconds);
