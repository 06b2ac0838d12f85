/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One front as elements of the shared sets and maps. */
#include "layout.h"
#include <cube/service.h>

typedef struct {
  guint32 ip;   /* network order */
  guint16 port; /* network order */
  guint16 id;   /* of this endpoint in its front, while it is there; from 1 */
} Target;

typedef struct {
  guint8 key[12];
  guint8 key_size;
  Plane plane;
  CubeFrontKind kind;
  CubeProtocol protocol;
  char *owner;           /* the service's key */
  gboolean is_drop, is_masqueraded, is_guarded;
  guint32 affinity_seconds;
  GArray *targets;       /* (element-type Target) */
  GArray *allowed;       /* (element-type guint32) pairs of first and last address in host order */
} Front;

typedef enum { VERDICT_NONE, VERDICT_GOTO, VERDICT_DROP } Verdict;
typedef struct {
  guint8 set, key_size, data_size, verdict;
  gboolean is_range;
  guint8 key[16], key_end[16], data[8];
  const char *chain;     /* interned */
} Element;

/* NULL when @front is of another family than IPv4. */
Front *front_new (const CubeFront *front, const char *owner);
void front_free (Front *front);
guint front_hash (gconstpointer front);
gboolean front_equal (gconstpointer a, gconstpointer b); /* same key */
/* Orders @front's targets so that those @before had keep their place and number. */
void front_settle (Front *front, const Front *before);
void front_append_elements (const Front *front, GArray *elements);
const char *front_chain (const Front *front); /* NULL = none */

guint element_hash (gconstpointer element);
gboolean element_same_key (gconstpointer a, gconstpointer b);
gboolean element_equal (const Element *a, const Element *b);
