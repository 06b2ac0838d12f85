/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "types.h"
/* A row being written. A cell function appends one JSON value to @out. */
typedef struct {
  const CubeResource *resource;
  CubeView object;
  gint64 now_us;
  GString *out;
} CubeRow;
/* @argument: what stands behind the colon in the schema file ("" = nothing). */
typedef void (*CubeCell) (const CubeRow *row, const char *argument);
typedef struct {
  const char *name;
  CubeCell cell;
} CubeCellEntry;
extern const CubeCellEntry cube_cells_pod[] G_GNUC_INTERNAL;   /* table-pods.c; each ends with name == NULL */
extern const CubeCellEntry cube_cells_kind[] G_GNUC_INTERNAL;  /* table-kinds.c */
extern const CubeCellEntry cube_cells_more[] G_GNUC_INTERNAL;  /* table-more.c */

G_GNUC_INTERNAL void cube_cell_string (const CubeRow *row, const char *text); /* quoted; NULL = "" */
G_GNUC_INTERNAL void cube_cell_or (const CubeRow *row, const char *text, const char *fallback); /* when NULL or empty */
G_GNUC_INTERNAL void cube_cell_format (const CubeRow *row, const char *format, ...) G_GNUC_PRINTF (2, 3);
G_GNUC_INTERNAL CubeView cube_row_path (CubeView view, const char *path); /* ".spec.nodeName" */
G_GNUC_INTERNAL void cube_age_text (const CubeRow *row, const char *time, char ret_text[32]); /* "<unknown>" without one */
G_GNUC_INTERNAL char *cube_join_strings (CubeView array, const char *separator);
G_GNUC_INTERNAL char *cube_labels_text (CubeView map);           /* a=b,c=d; "<none>" */
G_GNUC_INTERNAL gboolean cube_table_knows_cell (const char *cell); /* for tests of the schema files */
/* Cells of custom kinds: JSONPath. */
G_GNUC_INTERNAL void cube_cell_json_path (const CubeRow *row, const char *path, const CubeColumn *column);
