/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Memory of objects, apart from everything else's: objects live for hours, the scratch of a request for a millisecond, and where the two are mixed
 * every page of a burst is held by a few objects. Spans of one size class each; an empty span goes back to the system. Any thread. */
#include <glib.h>

#define CUBE_HEAP_MAX_BYTES (32 * 1024) /* larger ones come from malloc */

G_GNUC_INTERNAL gpointer cube_heap_alloc (gsize size); /* never NULL; 8-byte aligned */
G_GNUC_INTERNAL void cube_heap_free (gpointer memory, gsize size); /* @size as it was asked for */
