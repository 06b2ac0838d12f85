/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A strict JSON scanner of our own (RFC 8259), private: it names the place of an error, reads what the fast parser refuses though it is valid
 * (integers beyond 64 bits) and checks the fast parser in tests. No recursion. */
#include "tape.h"

typedef struct {
  const char *problem; /* static text; NULL = none */
  gsize offset;        /* bytes from the start */
} CubeJsonError;

/* Scans one document into @writer. FALSE and @ret_error set when it is not valid. */
G_GNUC_INTERNAL gboolean cube_json_scan (const char *data, gsize length, guint max_depth, gsize max_nodes, CubeTapeWriter *writer,
                                         CubeJsonError *ret_error);
/* The offset of the first byte that is not valid UTF-8, or @length. */
G_GNUC_INTERNAL gsize cube_utf8_error_offset (const char *data, gsize length);
