/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a builder: making, reading, changing. */
#include "builder.h"
#include "json-scan.h"
#include "members.h"
#include <math.h>

static CubeMut *
new_node (CubeBuilder *builder, CubeValueType type)
{
  CubeMut *node = cube_builder_alloc (builder, sizeof *node);
  memset (node, 0, sizeof *node);
  node->builder = builder;
  node->type = (guint8) type;
  return node;
}

/* What is not valid UTF-8 would make the document unreadable for everybody else: it becomes U+FFFD. */
static const char *
copy_text (CubeBuilder *builder, const char *text, gsize *length)
{
  g_autofree char *valid = NULL;
  if (G_UNLIKELY (cube_utf8_error_offset (text, *length) < *length))
    {
      text = valid = g_utf8_make_valid (text, (gssize) *length);
      *length = strlen (valid);
    }
  char *copy = cube_builder_alloc (builder, *length + 1);
  memcpy (copy, text, *length);
  copy[*length] = '\0';
  return copy;
}

CubeMut *
cube_mut_new_object (CubeBuilder *builder)
{
  CubeMut *node = new_node (builder, CUBE_VALUE_OBJECT);
  node->object = cube_members_new (builder, 0);
  return node;
}

CubeMut *
cube_mut_new_array (CubeBuilder *builder)
{
  return new_node (builder, CUBE_VALUE_ARRAY);
}

CubeMut *
cube_mut_new_string (CubeBuilder *builder, const char *text, gssize length)
{
  CubeMut *node = new_node (builder, CUBE_VALUE_STRING);
  gsize size = text == NULL ? 0 : length < 0 ? strlen (text) : (gsize) length;
  node->string.length = size;
  node->string.text = copy_text (builder, text != NULL ? text : "", &node->string.length);
  return node;
}

CubeMut *
cube_mut_new_int (CubeBuilder *builder, gint64 number)
{
  CubeMut *node = new_node (builder, CUBE_VALUE_INT);
  node->integer = number;
  return node;
}

CubeMut *
cube_mut_new_double (CubeBuilder *builder, double number)
{
  if (!isfinite (number)) /* JSON has no word for it */
    return cube_mut_new_null (builder);
  CubeMut *node = new_node (builder, CUBE_VALUE_DOUBLE);
  node->real = number;
  return node;
}

CubeMut *
cube_mut_new_bool (CubeBuilder *builder, gboolean truth)
{
  CubeMut *node = new_node (builder, CUBE_VALUE_BOOL);
  node->integer = truth ? 1 : 0;
  return node;
}

CubeMut *
cube_mut_new_null (CubeBuilder *builder)
{
  return new_node (builder, CUBE_VALUE_NULL);
}

CubeMut *
cube_mut_new_view (CubeBuilder *builder, CubeView view)
{
  if (!cube_view_exists (view))
    return cube_mut_new_null (builder);
  CubeMut *node = new_node (builder, CUBE_VALUE_NONE);
  node->is_view = TRUE;
  node->view = view;
  cube_builder_hold (builder, view.doc);
  return node;
}

CubeMut *
cube_mut_new_copy (CubeBuilder *builder, const CubeMut *node)
{
  g_return_val_if_fail (node != NULL, NULL);
  if (node->is_view)
    return cube_mut_new_view (builder, node->view);
  switch (node->type)
    {
    case CUBE_VALUE_STRING: return cube_mut_new_string (builder, node->string.text, (gssize) node->string.length);
    case CUBE_VALUE_ARRAY:
    case CUBE_VALUE_OBJECT:
      {
        g_autoptr (CubeValue) value = cube_mut_to_value (node);
        return value != NULL ? cube_mut_new_view (builder, cube_value_root (value)) : cube_mut_new_null (builder);
      }
    default:
      {
        CubeMut *copy = new_node (builder, node->type);
        copy->integer = node->integer; /* as wide as a double */
        return copy;
      }
    }
}

/* One level: the children become lazy nodes, allocated together. */
void
cube_mut_expand (CubeMut *node)
{
  if (node == NULL || !node->is_view)
    return;
  CubeView view = node->view, child;
  CubeValueType type = cube_view_type (view);
  if (type != CUBE_VALUE_ARRAY && type != CUBE_VALUE_OBJECT)
    return;
  guint n = cube_view_length (view);
  CubeMut *children = n > 0 ? cube_builder_alloc (node->builder, n * sizeof *children) : NULL;
  CubeIter iter;
  const char *key;
  guint32 length;
  node->is_view = FALSE;
  node->type = (guint8) type;
  if (type == CUBE_VALUE_OBJECT)
    {
      node->object = cube_members_new (node->builder, n);
    }
  else
    {
      node->array.items = n > 0 ? cube_builder_alloc (node->builder, n * sizeof (CubeMut *)) : NULL;
      node->array.n = node->array.size = n;
    }
  for (cube_iter_init (&iter, view); cube_iter_next_full (&iter, &key, &length, &child);)
    {
      CubeMut *lazy = &children[iter.index - 1];
      lazy->builder = node->builder;
      lazy->type = CUBE_VALUE_NONE;
      lazy->is_view = TRUE;
      lazy->view = child;
      if (type == CUBE_VALUE_OBJECT)
        cube_members_append (node->builder, node->object, key, length, lazy);
      else
        node->array.items[iter.index - 1] = lazy;
    }
}

/* ---- reading ---- */

CubeValueType
cube_mut_type (const CubeMut *node)
{
  if (node == NULL)
    return CUBE_VALUE_NONE;
  return node->is_view ? cube_view_type (node->view) : (CubeValueType) node->type;
}

const char *
cube_mut_string_full (const CubeMut *node, gsize *ret_length)
{
  *ret_length = 0;
  if (node == NULL)
    return NULL;
  if (node->is_view)
    {
      *ret_length = cube_view_string_length (node->view);
      return cube_view_string (node->view);
    }
  if (node->type != CUBE_VALUE_STRING)
    return NULL;
  *ret_length = node->string.length;
  return node->string.text;
}

const char *
cube_mut_string (const CubeMut *node)
{
  gsize length;
  return cube_mut_string_full (node, &length);
}

gint64
cube_mut_int (const CubeMut *node, gint64 fallback)
{
  if (node == NULL)
    return fallback;
  if (node->is_view)
    return cube_view_int (node->view, fallback);
  if (node->type == CUBE_VALUE_DOUBLE && node->real == trunc (node->real) && fabs (node->real) < 9223372036854775808.0)
    return (gint64) node->real;
  return node->type == CUBE_VALUE_INT ? node->integer : fallback;
}

double
cube_mut_double (const CubeMut *node, double fallback)
{
  if (node == NULL)
    return fallback;
  if (node->is_view)
    return cube_view_double (node->view, fallback);
  if (node->type == CUBE_VALUE_INT)
    return (double) node->integer;
  return node->type == CUBE_VALUE_DOUBLE ? node->real : fallback;
}

gboolean
cube_mut_bool (const CubeMut *node, gboolean fallback)
{
  if (node == NULL)
    return fallback;
  if (node->is_view)
    return cube_view_bool (node->view, fallback);
  return node->type == CUBE_VALUE_BOOL ? node->integer != 0 : fallback;
}

guint
cube_mut_length (const CubeMut *node)
{
  if (node == NULL)
    return 0;
  if (node->is_view)
    return cube_view_length (node->view);
  if (node->type == CUBE_VALUE_ARRAY)
    return node->array.n;
  return node->type == CUBE_VALUE_OBJECT ? node->object->n - node->object->n_removed : 0;
}

CubeMut *
cube_mut_member_full (CubeMut *object, const char *key, gsize length)
{
  if (cube_mut_type (object) != CUBE_VALUE_OBJECT)
    return NULL;
  cube_mut_expand (object);
  CubeMember *member = cube_members_find (object->builder, object->object, key, length);
  return member != NULL ? member->child : NULL;
}

CubeMut *
cube_mut_member (CubeMut *object, const char *key)
{
  g_return_val_if_fail (key != NULL, NULL);
  return cube_mut_member_full (object, key, strlen (key));
}

CubeMut *
cube_mut_element (CubeMut *array, guint index)
{
  if (cube_mut_type (array) != CUBE_VALUE_ARRAY)
    return NULL;
  cube_mut_expand (array);
  return index < array->array.n ? array->array.items[index] : NULL;
}

CubeMut *
cube_mut_member_at (CubeMut *object, guint index, const char **ret_key)
{
  if (cube_mut_type (object) != CUBE_VALUE_OBJECT)
    return NULL;
  cube_mut_expand (object);
  cube_members_compact (object->object);
  if (index >= object->object->n)
    return NULL;
  if (ret_key != NULL)
    *ret_key = object->object->members[index].key;
  return object->object->members[index].child;
}

CubeMut *
cube_mut_path (CubeMut *node, const char *const *keys)
{
  for (; *keys != NULL && node != NULL; keys++)
    node = cube_mut_member (node, *keys);
  return node;
}

CubeMut *
cube_mut_ensure_path (CubeMut *node, const char *const *keys)
{
  if (node != NULL && cube_mut_type (node) != CUBE_VALUE_OBJECT)
    cube_mut_become (node, cube_mut_new_object (node->builder));
  for (; *keys != NULL && node != NULL; keys++)
    node = cube_mut_ensure_object (node, *keys);
  return node;
}

/* ---- changing objects ---- */

void
cube_mut_set_full (CubeMut *object, const char *key, gsize length, CubeMut *child)
{
  cube_mut_expand (object);
  CubeMember *member = cube_members_find (object->builder, object->object, key, length);
  if (member != NULL)
    member->child = child;
  if (member != NULL)
    return;
  const char *copy = copy_text (object->builder, key, &length);
  cube_members_append (object->builder, object->object, copy, length, child);
}

void
cube_mut_set (CubeMut *object, const char *key, CubeMut *child)
{
  g_return_if_fail (key != NULL && child != NULL && cube_mut_type (object) == CUBE_VALUE_OBJECT);
  g_return_if_fail (child->builder == object->builder);
  cube_mut_set_full (object, key, strlen (key), child);
}

void
cube_mut_set_string (CubeMut *object, const char *key, const char *text)
{
  g_return_if_fail (object != NULL);
  if (text == NULL)
    cube_mut_remove (object, key);
  else
    cube_mut_set (object, key, cube_mut_new_string (object->builder, text, -1));
}

void
cube_mut_set_int (CubeMut *object, const char *key, gint64 number)
{
  g_return_if_fail (object != NULL);
  cube_mut_set (object, key, cube_mut_new_int (object->builder, number));
}

void
cube_mut_set_double (CubeMut *object, const char *key, double number)
{
  g_return_if_fail (object != NULL);
  cube_mut_set (object, key, cube_mut_new_double (object->builder, number));
}

void
cube_mut_set_bool (CubeMut *object, const char *key, gboolean truth)
{
  g_return_if_fail (object != NULL);
  cube_mut_set (object, key, cube_mut_new_bool (object->builder, truth));
}

void
cube_mut_set_null (CubeMut *object, const char *key)
{
  g_return_if_fail (object != NULL);
  cube_mut_set (object, key, cube_mut_new_null (object->builder));
}

void
cube_mut_set_view (CubeMut *object, const char *key, CubeView view)
{
  g_return_if_fail (object != NULL);
  if (!cube_view_exists (view))
    cube_mut_remove (object, key);
  else
    cube_mut_set (object, key, cube_mut_new_view (object->builder, view));
}

CubeMut *
cube_mut_set_object (CubeMut *object, const char *key)
{
  g_return_val_if_fail (object != NULL, NULL);
  CubeMut *child = cube_mut_new_object (object->builder);
  cube_mut_set (object, key, child);
  return child;
}

CubeMut *
cube_mut_set_array (CubeMut *object, const char *key)
{
  g_return_val_if_fail (object != NULL, NULL);
  CubeMut *child = cube_mut_new_array (object->builder);
  cube_mut_set (object, key, child);
  return child;
}

CubeMut *
cube_mut_ensure_object (CubeMut *object, const char *key)
{
  CubeMut *child = cube_mut_member (object, key);
  return cube_mut_type (child) == CUBE_VALUE_OBJECT ? child : cube_mut_set_object (object, key);
}

CubeMut *
cube_mut_ensure_array (CubeMut *object, const char *key)
{
  CubeMut *child = cube_mut_member (object, key);
  return cube_mut_type (child) == CUBE_VALUE_ARRAY ? child : cube_mut_set_array (object, key);
}

gboolean
cube_mut_remove_full (CubeMut *object, const char *key, gsize length)
{
  if (cube_mut_type (object) != CUBE_VALUE_OBJECT)
    return FALSE;
  cube_mut_expand (object);
  return cube_members_remove (object->builder, object->object, key, length);
}

gboolean
cube_mut_remove (CubeMut *object, const char *key)
{
  g_return_val_if_fail (key != NULL, FALSE);
  return cube_mut_remove_full (object, key, strlen (key));
}

/* ---- changing arrays ---- */

void
cube_mut_insert (CubeMut *array, guint index, CubeMut *child)
{
  g_return_if_fail (child != NULL && cube_mut_type (array) == CUBE_VALUE_ARRAY && child->builder == array->builder);
  cube_mut_expand (array);
  guint32 n = array->array.n;
  index = MIN (index, n);
  if (n == array->array.size)
    {
      guint32 size = MAX (4, n * 2);
      CubeMut **items = cube_builder_alloc (array->builder, size * sizeof *items);
      if (n > 0)
        memcpy (items, array->array.items, n * sizeof *items);
      array->array.items = items;
      array->array.size = size;
    }
  memmove (array->array.items + index + 1, array->array.items + index, (n - index) * sizeof (CubeMut *));
  array->array.items[index] = child;
  array->array.n++;
}

void
cube_mut_append (CubeMut *array, CubeMut *child)
{
  cube_mut_insert (array, G_MAXUINT, child);
}

void
cube_mut_append_string (CubeMut *array, const char *text)
{
  g_return_if_fail (array != NULL && text != NULL);
  cube_mut_append (array, cube_mut_new_string (array->builder, text, -1));
}

CubeMut *
cube_mut_append_object (CubeMut *array)
{
  g_return_val_if_fail (array != NULL, NULL);
  CubeMut *child = cube_mut_new_object (array->builder);
  cube_mut_append (array, child);
  return child;
}

void
cube_mut_replace_element (CubeMut *array, guint index, CubeMut *child)
{
  g_return_if_fail (child != NULL && cube_mut_type (array) == CUBE_VALUE_ARRAY && child->builder == array->builder);
  cube_mut_expand (array);
  if (index < array->array.n)
    array->array.items[index] = child;
}

gboolean
cube_mut_remove_element (CubeMut *array, guint index)
{
  if (cube_mut_type (array) != CUBE_VALUE_ARRAY)
    return FALSE;
  cube_mut_expand (array);
  if (index >= array->array.n)
    return FALSE;
  array->array.n--;
  memmove (array->array.items + index, array->array.items + index + 1, (array->array.n - index) * sizeof (CubeMut *));
  return TRUE;
}

void
cube_mut_become (CubeMut *node, CubeMut *other)
{
  g_return_if_fail (node != NULL && other != NULL && node->builder == other->builder);
  if (node == other)
    return;
  *node = *other;
  memset (other, 0, sizeof *other);
  other->builder = node->builder;
  other->type = CUBE_VALUE_NULL;
}
