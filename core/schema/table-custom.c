/* SPDX-License-Identifier: Apache-2.0 */
/* Cells of custom kinds: additionalPrinterColumns. */
#include "json-path.h"
#include "table.h"

void
cube_cell_json_path (const CubeRow *row, const char *path, const CubeColumn *column)
{
  g_autofree char *text = cube_json_path_text (row->object, path);
  CubeView first = cube_json_path_first (row->object, path);
  char age[32];
  if (!cube_view_exists (first))
    {
      g_string_append (row->out, "null");
    }
  else if (strcmp (column->type, "date") == 0)
    {
      cube_age_text (row, text, age);
      cube_cell_string (row, strcmp (age, "<unknown>") == 0 ? "<invalid>" : age);
    }
  else if (cube_view_type (first) == CUBE_VALUE_INT && (strcmp (column->type, "integer") == 0 || strcmp (column->type, "number") == 0))
    {
      cube_view_append_json (first, row->out);
    }
  else if (cube_view_type (first) == CUBE_VALUE_BOOL && strcmp (column->type, "boolean") == 0)
    {
      cube_view_append_json (first, row->out);
    }
  else
    {
      cube_cell_string (row, text);
    }
}
