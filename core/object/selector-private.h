/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <cube/selector.h>

typedef enum {
  CUBE_SELECTOR_EQUALS,
  CUBE_SELECTOR_NOT_EQUALS,
  CUBE_SELECTOR_IN,
  CUBE_SELECTOR_NOT_IN,
  CUBE_SELECTOR_EXISTS,
  CUBE_SELECTOR_ABSENT,
  CUBE_SELECTOR_GT,
  CUBE_SELECTOR_LT
} CubeSelectorOp;

typedef struct {
  char *key;
  CubeSelectorOp op;
  guint order, n_values;
  char **values; /* sorted, without duplicates */
  gint64 number; /* of GT, LT */
} CubeRequirement;

struct _CubeSelector {
  gatomicrefcount refs;
  gboolean is_nothing, is_fields;
  GPtrArray *requirements; /* CubeRequirement, sorted by key */
};

G_GNUC_INTERNAL CubeSelector *cube_selector_new (gboolean is_nothing);
G_GNUC_INTERNAL CubeRequirement *cube_requirement_new (char *key, CubeSelectorOp op, GPtrArray *values); /* takes @key, copies @values */
G_GNUC_INTERNAL void cube_selector_add (CubeSelector *selector, CubeRequirement *requirement);
G_GNUC_INTERNAL void cube_selector_sort (CubeSelector *selector);
