/* SPDX-License-Identifier: Apache-2.0 */
/* Tables: the columns and cells of `kubectl get`. */
#include "table.h"
#include "discovery.h"

void
cube_cell_string (const CubeRow *row, const char *text)
{
  cube_json_append_string (row->out, text == NULL ? "" : text, -1);
}

void
cube_cell_or (const CubeRow *row, const char *text, const char *fallback)
{
  cube_cell_string (row, text == NULL || *text == '\0' ? fallback : text);
}

void
cube_cell_format (const CubeRow *row, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  cube_cell_string (row, text);
}

CubeView
cube_row_path (CubeView view, const char *path)
{
  char key[128];
  while (cube_view_exists (view) && *path == '.')
    {
      gsize length = strcspn (++path, ".:");
      if (length == 0 || length >= sizeof key)
        return cube_view_none ();
      memcpy (key, path, length);
      key[length] = '\0';
      view = cube_view_member (view, key);
      path += length;
    }
  return view;
}

void
cube_age_text (const CubeRow *row, const char *time, char ret_text[32])
{
  gint64 us;
  if (time == NULL || !cube_time_parse (time, &us))
    g_strlcpy (ret_text, "<unknown>", 32);
  else
    cube_duration_human (row->now_us - us, ret_text);
}

char *
cube_join_strings (CubeView array, const char *separator)
{
  GString *text = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, array); cube_iter_next (&it, NULL, &v);)
    {
      if (text->len > 0)
        g_string_append (text, separator);
      if (cube_view_type (v) == CUBE_VALUE_STRING)
        g_string_append (text, cube_view_string (v));
      else
        cube_view_append_json (v, text);
    }
  return g_string_free (text, FALSE);
}

static int
compare_text (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

char *
cube_labels_text (CubeView map)
{
  g_autoptr (GPtrArray) list = g_ptr_array_new_with_free_func (g_free);
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, map); cube_iter_next (&it, &key, &v);)
    g_ptr_array_add (list, g_strdup_printf ("%s=%s", key, cube_view_string_or (v, "")));
  if (list->len == 0)
    return g_strdup ("<none>");
  g_ptr_array_sort (list, compare_text);
  g_ptr_array_add (list, NULL);
  return g_strjoinv (",", (char **) list->pdata);
}

/* ---- cells every kind may use ---- */

static void
cell_path (const CubeRow *row, const char *path, const CubeColumn *column)
{
  CubeView view = cube_row_path (row->object, path);
  gboolean integer = strcmp (column->type, "integer") == 0;
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_NONE:
    case CUBE_VALUE_NULL: g_string_append (row->out, integer ? "0" : strcmp (column->type, "boolean") == 0 ? "false" : "\"\""); break;
    case CUBE_VALUE_STRING: cube_cell_string (row, cube_view_string (view)); break;
    case CUBE_VALUE_INT:
    case CUBE_VALUE_BOOL: cube_view_append_json (view, row->out); break;
    default:
      {
        g_autofree char *text = cube_view_to_json (view, NULL);
        cube_cell_string (row, text);
      }
    }
}

static void
cell_age (const CubeRow *row, const char *argument)
{
  char text[32];
  cube_age_text (row, cube_view_get_string (row->object, "metadata", "creationTimestamp"), text);
  cube_cell_string (row, text);
}

static void
cell_scalar_or (const CubeRow *row, const char *path, const char *fallback)
{
  CubeView view = cube_row_path (row->object, path);
  g_autofree char *text = NULL;
  if (cube_view_type (view) == CUBE_VALUE_STRING)
    text = g_strdup (cube_view_string (view));
  else if (cube_view_type (view) > CUBE_VALUE_NULL)
    text = cube_view_to_json (view, NULL);
  cube_cell_or (row, text, fallback);
}

static void
cell_none (const CubeRow *row, const char *argument)
{
  cell_scalar_or (row, argument, "<none>");
}

static void
cell_unset (const CubeRow *row, const char *argument)
{
  cell_scalar_or (row, argument, "<unset>");
}

static void
cell_unknown (const CubeRow *row, const char *argument)
{
  cell_scalar_or (row, argument, "<unknown>");
}

static void
cell_na (const CubeRow *row, const char *argument)
{
  cell_scalar_or (row, argument, "N/A");
}

static void
cell_int (const CubeRow *row, const char *argument)
{
  g_string_append_printf (row->out, "%" G_GINT64_FORMAT, cube_view_int (cube_row_path (row->object, argument), 0));
}

static void
cell_bool (const CubeRow *row, const char *argument)
{
  g_string_append (row->out, cube_view_bool (cube_row_path (row->object, argument), FALSE) ? "true" : "false");
}

/* Elements of one or more lists or maps: ".data:.binaryData". */
static void
cell_count (const CubeRow *row, const char *argument)
{
  guint n = 0;
  for (const char *path = argument; path != NULL; path = strchr (path, ':'))
    {
      if (*path == ':')
        path++;
      n += cube_view_length (cube_row_path (row->object, path));
    }
  g_string_append_printf (row->out, "%u", n);
}

static void
cell_join (const CubeRow *row, const char *argument)
{
  g_autofree char *text = cube_join_strings (cube_row_path (row->object, argument), ",");
  cube_cell_or (row, text, "<none>");
}

static void
cell_labels (const CubeRow *row, const char *argument)
{
  g_autofree char *text = cube_labels_text (cube_row_path (row->object, argument));
  cube_cell_string (row, text);
}

static void
cell_selector (const CubeRow *row, const char *argument)
{
  g_autoptr (CubeSelector) selector = cube_selector_from_view (cube_row_path (row->object, argument), NULL);
  if (selector == NULL || cube_selector_is_everything (selector) || cube_selector_is_empty_set (selector))
    {
      cube_cell_string (row, selector == NULL ? "<error>" : "<none>");
      return;
    }
  g_autofree char *text = cube_selector_to_string (selector);
  cube_cell_or (row, text, "<none>");
}

static void
join_containers (const CubeRow *row, const char *path, const char *field)
{
  g_autoptr (GString) text = g_string_new (NULL);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, cube_view_member (cube_row_path (row->object, path), "containers")); cube_iter_next (&it, NULL, &v);)
    g_string_append_printf (text, "%s%s", text->len > 0 ? "," : "", cube_view_string_or (cube_view_member (v, field), ""));
  cube_cell_string (row, text->str);
}

static void
cell_containers (const CubeRow *row, const char *argument)
{
  join_containers (row, argument, "name");
}

static void
cell_images (const CubeRow *row, const char *argument)
{
  join_containers (row, argument, "image");
}

static void
cell_none_age (const CubeRow *row, const char *argument)
{
  const char *time = cube_view_string (cube_row_path (row->object, argument));
  char text[32] = "<none>";
  if (time != NULL)
    cube_age_text (row, time, text);
  cube_cell_string (row, text);
}

static const CubeCellEntry common[] = {
  { "age", cell_age },
  { "none", cell_none },
  { "unset", cell_unset },
  { "unknown", cell_unknown },
  { "na", cell_na },
  { "int", cell_int },
  { "bool", cell_bool },
  { "count", cell_count },
  { "join", cell_join },
  { "labels", cell_labels },
  { "selector", cell_selector },
  { "containers", cell_containers },
  { "images", cell_images },
  { "none-age", cell_none_age },
  { NULL, NULL },
};

static CubeCell
find_cell (const char *name, gsize length)
{
  const CubeCellEntry *const lists[] = { common, cube_cells_pod, cube_cells_kind, cube_cells_more };
  for (guint l = 0; l < G_N_ELEMENTS (lists); l++)
    for (const CubeCellEntry *entry = lists[l]; entry->name != NULL; entry++)
      if (strncmp (entry->name, name, length) == 0 && entry->name[length] == '\0')
        return entry->cell;
  return NULL;
}

static void
append_cell (const CubeRow *row, const char *cell, const CubeColumn *column)
{
  if (row->resource->is_custom)
    {
      cube_cell_json_path (row, cell, column);
      return;
    }
  if (*cell != '@')
    {
      cell_path (row, cell, column);
      return;
    }
  gsize length = strcspn (cell + 1, ":");
  CubeCell function = find_cell (cell + 1, length);
  const char *argument = cell + 1 + length;
  if (function == NULL)
    cube_cell_string (row, "");
  else
    function (row, *argument == ':' ? argument + 1 : argument);
}

gboolean
cube_table_knows_cell (const char *cell)
{
  return *cell != '@' || find_cell (cell + 1, strcspn (cell + 1, ":")) != NULL;
}

void
cube_schema_append_cells (const CubeResource *resource, const CubeObject *object, gint64 now_us, GString *out)
{
  const char *const *cells = cube_resource_type (resource)->cells;
  g_autoptr (CubeValue) value = cube_object_value (object);
  CubeRow row = { resource, cube_value_root (value), now_us, out };
  g_string_append_c (out, '[');
  for (guint i = 0; cells[i] != NULL; i++)
    {
      if (i > 0)
        g_string_append_c (out, ',');
      append_cell (&row, cells[i], &resource->columns[i]);
    }
  g_string_append_c (out, ']');
}

void
cube_schema_append_columns (const CubeResource *resource, GString *out)
{
  g_string_append_c (out, '[');
  for (const CubeColumn *column = resource->columns; column->name != NULL; column++)
    {
      g_string_append (out, column == resource->columns ? "{" : ",{");
      cube_json_member (out, "name", column->name);
      cube_json_member (out, "type", column->type);
      cube_json_member (out, "format", column->format);
      cube_json_member (out, "description", column->description);
      g_string_append_printf (out, ",\"priority\":%d}", column->priority);
    }
  g_string_append_c (out, ']');
}
