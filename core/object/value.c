/* SPDX-License-Identifier: Apache-2.0 */
/* Documents and reading through views. */
#include "tape.h"
#include <math.h>

CubeValue *
cube_value_ref (CubeValue *value)
{
  g_return_val_if_fail (value != NULL, NULL);
  g_atomic_ref_count_inc (&value->refs);
  return value;
}

void
cube_value_unref (CubeValue *value)
{
  if (value != NULL && g_atomic_ref_count_dec (&value->refs))
    g_free (value);
}

CubeView
cube_value_root (const CubeValue *value)
{
  CubeView view = { value, 0 };
  return view;
}

gsize
cube_value_memory (const CubeValue *value)
{
  return value == NULL ? 0 : sizeof *value + (gsize) value->n_words * sizeof (guint64) + value->n_bytes;
}

CubeValue *
cube_value_new_copy (CubeView view)
{
  if (view.doc == NULL)
    return NULL;
  if (view.at == 0)
    return cube_value_ref ((CubeValue *) view.doc);
  g_auto (CubeTapeWriter) writer;
  cube_tape_writer_init (&writer);
  cube_tape_view (&writer, view);
  return cube_tape_writer_end (&writer);
}

CubeValueType
cube_view_type (CubeView view)
{
  if (view.doc == NULL)
    return CUBE_VALUE_NONE;
  guint tag = cube_word_tag (view.doc->tape[view.at]);
  return tag == CUBE_TAG_LONG ? CUBE_VALUE_INT : (CubeValueType) tag;
}

const char *
cube_value_type_name (CubeValueType type)
{
  switch (type)
    {
    case CUBE_VALUE_NULL: return "null";
    case CUBE_VALUE_BOOL: return "boolean";
    case CUBE_VALUE_INT: return "integer";
    case CUBE_VALUE_DOUBLE: return "number";
    case CUBE_VALUE_STRING: return "string";
    case CUBE_VALUE_ARRAY: return "array";
    case CUBE_VALUE_OBJECT: return "object";
    case CUBE_VALUE_NONE:
    default: return "none";
    }
}

gboolean
cube_view_bool (CubeView view, gboolean fallback)
{
  if (view.doc == NULL)
    return fallback;
  guint64 word = view.doc->tape[view.at];
  return cube_word_tag (word) == CUBE_VALUE_BOOL ? (gboolean) (word & 1) : fallback;
}

static double
tape_double (CubeView view)
{
  double number;
  memcpy (&number, &view.doc->tape[view.at + 1], sizeof number);
  return number;
}

gint64
cube_view_int (CubeView view, gint64 fallback)
{
  if (view.doc == NULL)
    return fallback;
  guint64 word = view.doc->tape[view.at];
  switch (cube_word_tag (word))
    {
    case CUBE_VALUE_INT: return cube_word_get_int (word);
    case CUBE_TAG_LONG: return (gint64) view.doc->tape[view.at + 1];
    case CUBE_VALUE_DOUBLE:
      {
        double number = tape_double (view);
        if (number >= -9223372036854775808.0 && number < 9223372036854775808.0 && number == trunc (number))
          return (gint64) number;
        return fallback;
      }
    default: return fallback;
    }
}

double
cube_view_double (CubeView view, double fallback)
{
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_INT: return (double) cube_view_int (view, 0);
    case CUBE_VALUE_DOUBLE: return tape_double (view);
    default: return fallback;
    }
}

const char *
cube_view_string_full (CubeView view, guint32 *ret_length)
{
  *ret_length = 0;
  if (view.doc == NULL || cube_word_tag (view.doc->tape[view.at]) != CUBE_VALUE_STRING)
    return NULL;
  return cube_tape_string (view.doc, view.at, ret_length);
}

const char *
cube_view_string (CubeView view)
{
  guint32 length;
  return cube_view_string_full (view, &length);
}

const char *
cube_view_string_or (CubeView view, const char *fallback)
{
  const char *text = cube_view_string (view);
  return text != NULL ? text : fallback;
}

gsize
cube_view_string_length (CubeView view)
{
  guint32 length;
  cube_view_string_full (view, &length);
  return length;
}

static gboolean
is_container (CubeView view)
{
  guint tag = view.doc == NULL ? 0 : cube_word_tag (view.doc->tape[view.at]);
  return tag == CUBE_VALUE_ARRAY || tag == CUBE_VALUE_OBJECT;
}

guint
cube_view_length (CubeView view)
{
  if (!is_container (view))
    return 0;
  guint64 word = view.doc->tape[view.at];
  guint count = cube_word_count (word);
  if (count < CUBE_TAPE_MAX_COUNT)
    return count;
  gboolean is_object = cube_word_tag (word) == CUBE_VALUE_OBJECT;
  count = 0;
  for (guint32 at = view.at + 1; at < (guint32) word; at = cube_tape_next (view.doc, at))
    {
      at += is_object ? 1 : 0;
      count++;
    }
  return count;
}

static CubeView
find_member (CubeView object, const char *key, gsize key_length)
{
  CubeView found = cube_view_none ();
  const CubeValue *doc = object.doc;
  if (doc == NULL || cube_word_tag (doc->tape[object.at]) != CUBE_VALUE_OBJECT)
    return found;
  const char *strings = cube_tape_strings (doc);
  guint32 end = (guint32) doc->tape[object.at];
  guint64 want = cube_word_make (CUBE_VALUE_STRING, (guint) MIN (key_length, CUBE_TAPE_MAX_COUNT), 0) >> 32;
  for (guint32 at = object.at + 1; at < end; at = cube_tape_next (doc, at + 1))
    {
      guint64 word = doc->tape[at];
      if (word >> 32 != want)
        continue;
      const char *record = strings + (guint32) word;
      guint32 length;
      memcpy (&length, record, 4);
      if (length == key_length && memcmp (record + 4, key, key_length) == 0)
        {
          found.doc = doc;
          found.at = at + 1;
        }
    }
  return found;
}

CubeView
cube_view_member (CubeView object, const char *key)
{
  g_return_val_if_fail (key != NULL, cube_view_none ());
  return find_member (object, key, strlen (key));
}

CubeView
cube_view_element (CubeView array, guint index)
{
  if (array.doc == NULL || cube_word_tag (array.doc->tape[array.at]) != CUBE_VALUE_ARRAY)
    return cube_view_none ();
  guint32 end = (guint32) array.doc->tape[array.at];
  guint32 at = array.at + 1;
  for (; at < end && index > 0; index--)
    at = cube_tape_next (array.doc, at);
  if (at >= end)
    return cube_view_none ();
  CubeView view = { array.doc, at };
  return view;
}

CubeView
cube_view_path (CubeView view, const char *const *keys)
{
  for (; *keys != NULL && view.doc != NULL; keys++)
    view = cube_view_member (view, *keys);
  return view;
}

CubeView
cube_view_dotted (CubeView view, const char *path)
{
  while (*path != '\0' && view.doc != NULL)
    {
      if (*path == '.')
        {
          path++;
        }
      else if (*path == '[')
        {
          char *end = NULL;
          guint64 index = g_ascii_strtoull (path + 1, &end, 10);
          if (end == path + 1 || *end != ']' || index > G_MAXUINT)
            return cube_view_none ();
          view = cube_view_element (view, (guint) index);
          path = end + 1;
        }
      else
        {
          gsize length = strcspn (path, ".[");
          view = find_member (view, path, length);
          path += length;
        }
    }
  return view;
}

void
cube_iter_init (CubeIter *iter, CubeView container)
{
  iter->container = container;
  iter->index = 0;
  if (is_container (container))
    {
      iter->at = container.at + 1;
      iter->end = (guint32) container.doc->tape[container.at];
    }
  else
    {
      iter->at = iter->end = 0;
    }
}

gboolean
cube_iter_next_full (CubeIter *iter, const char **ret_key, guint32 *ret_key_length, CubeView *ret_value)
{
  if (iter->at >= iter->end)
    return FALSE;
  const CubeValue *doc = iter->container.doc;
  const char *key = NULL;
  *ret_key_length = 0;
  if (cube_word_tag (doc->tape[iter->container.at]) == CUBE_VALUE_OBJECT)
    key = cube_tape_string (doc, iter->at++, ret_key_length);
  if (ret_key != NULL)
    *ret_key = key;
  if (ret_value != NULL)
    {
      ret_value->doc = doc;
      ret_value->at = iter->at;
    }
  iter->at = cube_tape_next (doc, iter->at);
  iter->index++;
  return TRUE;
}

gboolean
cube_iter_next (CubeIter *iter, const char **ret_key, CubeView *ret_value)
{
  guint32 length;
  return cube_iter_next_full (iter, ret_key, &length, ret_value);
}
