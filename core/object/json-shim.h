/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The only door to the JSON parser library. C interface; no exception leaves it. */
#include <glib.h>
G_BEGIN_DECLS

typedef struct {
  guint64 *tape; /* simdjson's documented tape; may be overwritten by the caller */
  gsize n_tape;
  const guint8 *strings; /* records: 32-bit length, bytes, NUL */
} CubeJsonShim;

/* Parses into this thread's parser. FALSE: not accepted (the caller finds out why with its own scanner). The result is valid until the next call on this thread. */
G_GNUC_INTERNAL gboolean cube_json_shim_parse (const char *data, gsize length, guint max_depth, CubeJsonShim *ret_result);
/* Gives memory back when the last document was large. */
G_GNUC_INTERNAL void cube_json_shim_trim (void);
G_END_DECLS
