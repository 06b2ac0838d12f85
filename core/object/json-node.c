/* SPDX-License-Identifier: Apache-2.0 */
/* To and from json-glib, for plugin authors who want it. */
#include "tape.h"
#include <cube/error.h>
#include <math.h>

JsonNode *
cube_view_to_json_node (CubeView view)
{
  JsonNode *node;
  CubeIter iter;
  const char *key;
  CubeView child;
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_BOOL: return json_node_init_boolean (json_node_alloc (), cube_view_bool (view, FALSE));
    case CUBE_VALUE_INT: return json_node_init_int (json_node_alloc (), cube_view_int (view, 0));
    case CUBE_VALUE_DOUBLE: return json_node_init_double (json_node_alloc (), cube_view_double (view, 0));
    case CUBE_VALUE_STRING: return json_node_init_string (json_node_alloc (), cube_view_string (view));
    case CUBE_VALUE_ARRAY:
      {
        JsonArray *array = json_array_new ();
        for (cube_iter_init (&iter, view); cube_iter_next (&iter, NULL, &child);)
          json_array_add_element (array, cube_view_to_json_node (child));
        node = json_node_new (JSON_NODE_ARRAY);
        json_node_take_array (node, array);
        return node;
      }
    case CUBE_VALUE_OBJECT:
      {
        JsonObject *object = json_object_new ();
        for (cube_iter_init (&iter, view); cube_iter_next (&iter, &key, &child);)
          json_object_set_member (object, key, cube_view_to_json_node (child));
        node = json_node_new (JSON_NODE_OBJECT);
        json_node_take_object (node, object);
        return node;
      }
    default: return json_node_init_null (json_node_alloc ());
    }
}

static gboolean write_node (CubeTapeWriter *writer, JsonNode *node, GError **error);

static gboolean
check_text (const char *text, GError **error)
{
  if (g_utf8_validate (text, -1, NULL))
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "JSON node holds a string that is not valid UTF-8");
  return FALSE;
}

static gboolean
write_object (CubeTapeWriter *writer, JsonObject *object, GError **error)
{
  JsonObjectIter iter;
  const char *key;
  JsonNode *child;
  cube_tape_open (writer, CUBE_VALUE_OBJECT);
  json_object_iter_init_ordered (&iter, object);
  while (json_object_iter_next_ordered (&iter, &key, &child))
    {
      if (!check_text (key, error))
        return FALSE;
      cube_tape_key (writer, key, strlen (key));
      if (!write_node (writer, child, error))
        return FALSE;
    }
  cube_tape_close (writer);
  return TRUE;
}

static gboolean
write_array (CubeTapeWriter *writer, JsonArray *array, GError **error)
{
  cube_tape_open (writer, CUBE_VALUE_ARRAY);
  for (guint i = 0; i < json_array_get_length (array); i++)
    if (!write_node (writer, json_array_get_element (array, i), error))
      return FALSE;
  cube_tape_close (writer);
  return TRUE;
}

static gboolean
write_scalar (CubeTapeWriter *writer, JsonNode *node, GError **error)
{
  GType type = json_node_get_value_type (node);
  if (type == G_TYPE_BOOLEAN)
    {
      cube_tape_bool (writer, json_node_get_boolean (node));
    }
  else if (type == G_TYPE_STRING)
    {
      const char *text = json_node_get_string (node);
      if (text == NULL)
        text = "";
      if (!check_text (text, error))
        return FALSE;
      cube_tape_string_value (writer, text, strlen (text));
    }
  else if (type == G_TYPE_DOUBLE || type == G_TYPE_FLOAT)
    {
      double number = json_node_get_double (node);
      if (!isfinite (number))
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "JSON node holds a number that is not finite");
          return FALSE;
        }
      cube_tape_double (writer, number);
    }
  else
    {
      cube_tape_int (writer, json_node_get_int (node));
    }
  return TRUE;
}

static gboolean
write_node (CubeTapeWriter *writer, JsonNode *node, GError **error)
{
  if (writer->depth > CUBE_PARSE_MAX_DEPTH)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "JSON node is nested too deeply");
      return FALSE;
    }
  switch (node == NULL ? JSON_NODE_NULL : json_node_get_node_type (node))
    {
    case JSON_NODE_OBJECT: return write_object (writer, json_node_get_object (node), error);
    case JSON_NODE_ARRAY: return write_array (writer, json_node_get_array (node), error);
    case JSON_NODE_VALUE: return write_scalar (writer, node, error);
    case JSON_NODE_NULL:
    default: cube_tape_null (writer); return TRUE;
    }
}

CubeValue *
cube_value_from_json_node (JsonNode *node, GError **error)
{
  g_auto (CubeTapeWriter) writer;
  cube_tape_writer_init (&writer);
  if (!write_node (&writer, node, error))
    return NULL;
  CubeValue *value = cube_tape_writer_end (&writer);
  if (value == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE, "JSON node is too large");
  return value;
}
