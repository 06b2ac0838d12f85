/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The mutable tree, private to core/object. */
#include "tape.h"

typedef struct {
  const char *key; /* NULL = removed */
  guint32 length;
  guint32 hash;
  CubeMut *child;
} CubeMember;

typedef struct {
  CubeMember *members; /* in the arena, as everything here */
  guint32 n, size, n_removed;
  guint32 *index;     /* open addressing: place + 1; NULL = not made */
  guint32 index_size; /* power of two */
} CubeMembers;

struct _CubeMut {
  CubeBuilder *builder;
  guint8 type; /* CubeValueType, meaningful unless is_view */
  guint8 is_view;
  union {
    CubeView view;
    gint64 integer; /* INT, BOOL */
    double real;
    struct {
      const char *text;
      gsize length;
    } string;
    struct {
      CubeMut **items;
      guint32 n, size;
    } array;
    CubeMembers *object;
  };
};

struct _CubeBuilder {
  CubeMut *root;
  struct CubeChunk *chunks;
  char *free_at, *free_end;
  GPtrArray *docs; /* references held for lazy nodes */
};

G_GNUC_INTERNAL gpointer cube_builder_alloc (CubeBuilder *builder, gsize size);
G_GNUC_INTERNAL void cube_builder_hold (CubeBuilder *builder, const CubeValue *doc);
G_GNUC_INTERNAL void cube_mut_expand (CubeMut *node); /* a lazy container becomes a real one; scalars stay views */
G_GNUC_INTERNAL const char *cube_mut_string_full (const CubeMut *node, gsize *ret_length);
G_GNUC_INTERNAL void cube_mut_write (const CubeMut *node, CubeTapeWriter *writer);
G_GNUC_INTERNAL CubeMut *cube_mut_member_full (CubeMut *object, const char *key, gsize length);
G_GNUC_INTERNAL void cube_mut_set_full (CubeMut *object, const char *key, gsize length, CubeMut *child);
G_GNUC_INTERNAL gboolean cube_mut_remove_full (CubeMut *object, const char *key, gsize length);
G_GNUC_INTERNAL guint cube_mut_depth (const CubeMut *node, guint enough); /* nesting; stops counting at @enough */
G_GNUC_INTERNAL gsize cube_mut_size (const CubeMut *node); /* about the length of its JSON */
G_GNUC_INTERNAL guint cube_view_depth (CubeView view, guint enough);
