/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text to a value: the fast parser's tape is turned into ours in place and packed; whatever it refuses goes to the scanner. */
#include "json-scan.h"
#include "json-shim.h"
#include "parse-limits.h"
#include <cube/error.h>

CubeParseLimits
cube_parse_limits (const CubeParseLimits *limits)
{
  CubeParseLimits result = limits != NULL ? *limits : (CubeParseLimits){ 0 };
  if (result.max_bytes == 0)
    result.max_bytes = 3 * 1024 * 1024;
  result.max_bytes = MIN (result.max_bytes, (gsize) 1 << 30);
  if (result.max_depth == 0)
    result.max_depth = 128;
  result.max_depth = MIN (result.max_depth, CUBE_PARSE_MAX_DEPTH);
  if (result.max_nodes == 0)
    result.max_nodes = 1000000;
  return result;
}

void
cube_text_position (const char *data, gsize offset, guint *ret_line, guint *ret_column)
{
  guint line = 1, column = 1;
  for (gsize i = 0; i < offset; i++)
    {
      if (data[i] == '\n')
        {
          line++;
          column = 1;
        }
      else if (((guchar) data[i] & 0xc0) != 0x80)
        {
          column++;
        }
    }
  *ret_line = line;
  *ret_column = column;
}

static void
set_parse_error (GError **error, const char *data, const CubeJsonError *problem)
{
  guint line, column;
  cube_text_position (data, problem->offset, &line, &column);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid JSON at byte %" G_GSIZE_FORMAT " (line %u, column %u): %s",
               problem->offset, line, column, problem->problem);
}

typedef struct {
  guint64 *tape;
  gsize n_in, n_out, n_strings;
  guint depth, max_depth;
  gsize n_nodes;
} Convert;

/* A string of the fast parser's tape: offset in 56 bits. */
static inline void
convert_string (Convert *c, const CubeJsonShim *shim, guint64 word)
{
  guint32 offset = (guint32) word, length;
  memcpy (&length, shim->strings + offset, 4);
  c->tape[c->n_out++] = cube_word_make (CUBE_VALUE_STRING, MIN (length, CUBE_TAPE_MAX_COUNT), offset);
  c->n_strings = (gsize) offset + length + 5;
}

static inline void
convert_number (Convert *c, char tag, guint64 payload)
{
  if (tag == 'l' && cube_int_is_short ((gint64) payload))
    {
      c->tape[c->n_out++] = cube_word_int ((gint64) payload);
      return;
    }
  if (tag == 'u')
    { /* beyond gint64 */
      double real = (double) payload;
      memcpy (&payload, &real, sizeof payload);
    }
  c->tape[c->n_out++] = cube_word_make (tag == 'l' ? CUBE_TAG_LONG : CUBE_VALUE_DOUBLE, 0, 0);
  c->tape[c->n_out++] = payload;
}

/* Ours is never longer than theirs, so it is written over it. At an opening word the matching closing word's place takes our index. */
static gboolean
convert (Convert *c, const CubeJsonShim *shim)
{
  guint64 *tape = c->tape;
  for (gsize i = 1; i + 1 < c->n_in; i++)
    {
      guint64 word = tape[i];
      char tag = (char) (word >> 56);
      switch (tag)
        {
        case '"': convert_string (c, shim, word); break;
        case '{':
        case '[':
          if (++c->depth > c->max_depth)
            return FALSE;
          tape[(guint32) word - 1] = cube_word_make ((guint) tag + 2, 0, (guint32) c->n_out); /* '{' + 2 == '}' */
          tape[c->n_out++] =
              (word & G_GUINT64_CONSTANT (0x00ffffff00000000)) | ((guint64) (tag == '{' ? CUBE_VALUE_OBJECT : CUBE_VALUE_ARRAY) << 56);
          break;
        case '}':
        case ']':
          c->depth--;
          tape[(guint32) word] |= c->n_out;
          break;
        case 't':
        case 'f': tape[c->n_out++] = cube_word_make (CUBE_VALUE_BOOL, 0, tag == 't'); break;
        case 'n': tape[c->n_out++] = cube_word_make (CUBE_VALUE_NULL, 0, 0); break;
        default: convert_number (c, tag, tape[++i]);
        }
    }
  return TRUE;
}

static CubeValue *
pack (const Convert *c, const CubeJsonShim *shim)
{
  CubeValue *value = g_malloc (sizeof *value + c->n_out * sizeof (guint64) + c->n_strings);
  g_atomic_ref_count_init (&value->refs);
  value->n_words = (guint32) c->n_out;
  value->n_bytes = (guint32) c->n_strings;
  memcpy (value->tape, c->tape, c->n_out * sizeof (guint64));
  memcpy (value->tape + c->n_out, shim->strings, c->n_strings);
  return value;
}

static gsize
count_nodes (const guint64 *tape, gsize n)
{
  gsize nodes = 0;
  for (gsize i = 0; i < n; i++)
    {
      guint tag = cube_word_tag (tape[i]);
      nodes++;
      if (tag == CUBE_VALUE_DOUBLE || tag == CUBE_TAG_LONG)
        i++;
    }
  return nodes;
}

static CubeValue *
parse_fast (const char *data, gsize length, const CubeParseLimits *limits)
{
  CubeJsonShim shim;
  if (!cube_json_shim_parse (data, length, limits->max_depth, &shim))
    return NULL;
  Convert c = { .tape = shim.tape, .n_in = shim.n_tape, .max_depth = limits->max_depth };
  if (!convert (&c, &shim))
    return NULL;
  /* Keys have words too: what is certainly below the bound need not be counted. */
  if (c.n_out > limits->max_nodes && count_nodes (c.tape, c.n_out) / 2 > limits->max_nodes)
    return NULL;
  return pack (&c, &shim);
}

static CubeValue *
parse_slow (const char *data, gsize length, const CubeParseLimits *limits, GError **error)
{
  g_auto (CubeTapeWriter) writer;
  CubeJsonError problem = { NULL };
  cube_tape_writer_init (&writer);
  if (!cube_json_scan (data, length, limits->max_depth, limits->max_nodes, &writer, &problem))
    {
      set_parse_error (error, data, &problem);
      return NULL;
    }
  CubeValue *value = cube_tape_writer_end (&writer);
  if (value == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_REQUEST_TOO_LARGE, "JSON document is too large");
  return value;
}

CubeValue *
cube_value_from_json (const char *data, gssize length, const CubeParseLimits *limits, GError **error)
{
  g_return_val_if_fail (data != NULL || length == 0, NULL);
  CubeParseLimits bounds = cube_parse_limits (limits);
  gsize size = length < 0 ? strlen (data) : (gsize) length;
  if (size > bounds.max_bytes)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "JSON document of %" G_GSIZE_FORMAT " bytes exceeds the limit of %" G_GSIZE_FORMAT " bytes", size, bounds.max_bytes);
      return NULL;
    }
  CubeValue *value = parse_fast (data != NULL ? data : "", size, &bounds);
  cube_json_shim_trim ();
  return value != NULL ? value : parse_slow (data != NULL ? data : "", size, &bounds, error);
}
