/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/value.h>
/* @limits with the defaults filled in and the hard bounds applied. */
G_GNUC_INTERNAL CubeParseLimits cube_parse_limits (const CubeParseLimits *limits);
/* Line and column (in characters), both from 1. */
G_GNUC_INTERNAL void cube_text_position (const char *data, gsize offset, guint *ret_line, guint *ret_column);
