/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The packed form of a value, private to core/object. One allocation: header, tape of 64-bit words, string area.
 *
 * A word is tag (8 bits, a CubeValueType or CUBE_TAG_LONG) and payload (56 bits):
 *   NULL    -
 *   BOOL    0 or 1
 *   INT     the number, signed 56 bits
 *   LONG    the number is the next word (an INT that needs more than 56 bits)
 *   DOUBLE  the number is the next word
 *   STRING  24 bits min (length, 0xffffff), 32 bits offset of its record in the string area
 *   ARRAY   24 bits min (count, 0xffffff), 32 bits tape index just past the last element
 *   OBJECT  the same; keys (STRING words) and values alternate
 * A string record is a 32-bit length (unaligned), the bytes, a NUL. */
#include <cube/value.h>
#include <string.h>

#define CUBE_TAG_LONG 8
#define CUBE_TAPE_MAX_COUNT 0xffffffu
#define CUBE_PARSE_MAX_DEPTH 10000u /* no caller may ask for more: reading recurses */

struct _CubeValue {
  gatomicrefcount refs;
  guint32 n_words;
  guint32 n_bytes; /* of the string area */
  guint64 tape[];
};

static inline const char *
cube_tape_strings (const CubeValue *value)
{
  return (const char *) (value->tape + value->n_words);
}

static inline guint
cube_word_tag (guint64 word)
{
  return (guint) (word >> 56);
}

static inline guint64
cube_word_make (guint tag, guint count, guint32 low)
{
  return ((guint64) tag << 56) | ((guint64) MIN (count, CUBE_TAPE_MAX_COUNT) << 32) | low;
}

static inline guint64
cube_word_int (gint64 number)
{
  return ((guint64) CUBE_VALUE_INT << 56) | ((guint64) number & G_GUINT64_CONSTANT (0x00ffffffffffffff));
}

static inline gint64
cube_word_get_int (guint64 word)
{
  return (gint64) (word << 8) >> 8;
}

static inline gboolean
cube_int_is_short (gint64 number)
{
  return number >= -((gint64) 1 << 55) && number < ((gint64) 1 << 55);
}

static inline guint
cube_word_count (guint64 word)
{
  return (guint) (word >> 32) & CUBE_TAPE_MAX_COUNT;
}

/* The index just past the value at @at. */
static inline guint32
cube_tape_next (const CubeValue *value, guint32 at)
{
  guint64 word = value->tape[at];
  switch (cube_word_tag (word)) {
  case CUBE_VALUE_ARRAY:
  case CUBE_VALUE_OBJECT:
    return (guint32) word;
  case CUBE_VALUE_DOUBLE:
  case CUBE_TAG_LONG:
    return at + 2;
  default:
    return at + 1;
  }
}

static inline const char *
cube_tape_string (const CubeValue *value, guint32 at, guint32 *ret_length)
{
  const char *record = cube_tape_strings (value) + (guint32) value->tape[at];
  memcpy (ret_length, record, 4);
  return record + 4;
}

/* The key as cube_iter_next () gives it, with its length. */
G_GNUC_INTERNAL gboolean cube_iter_next_full (CubeIter *iter, const char **ret_key, guint32 *ret_key_length, CubeView *ret_value);
G_GNUC_INTERNAL const char *cube_view_string_full (CubeView view, guint32 *ret_length);
G_GNUC_INTERNAL guint64 cube_bytes_hash (const void *data, gsize length, guint64 seed);
G_GNUC_INTERNAL guint64 cube_hash_seed (void); /* one random number a process, for tables of keys from outside */

/* ---- writing a tape from front to back ---- */
typedef struct {
  guint64 *words;
  gsize n_words, words_size;
  char *strings;
  gsize n_bytes, strings_size;
  guint32 *open; /* indices of open containers */
  guint32 *counts;
  guint depth, open_size;
  gboolean overflow; /* beyond 32-bit indices */
} CubeTapeWriter;

G_GNUC_INTERNAL void cube_tape_writer_init (CubeTapeWriter *writer);
G_GNUC_INTERNAL void cube_tape_writer_clear (CubeTapeWriter *writer);
G_GNUC_INTERNAL CubeValue *cube_tape_writer_end (CubeTapeWriter *writer); /* NULL on overflow; clears the writer */
G_GNUC_INTERNAL void cube_tape_null (CubeTapeWriter *writer);
G_GNUC_INTERNAL void cube_tape_bool (CubeTapeWriter *writer, gboolean truth);
G_GNUC_INTERNAL void cube_tape_int (CubeTapeWriter *writer, gint64 number);
G_GNUC_INTERNAL void cube_tape_double (CubeTapeWriter *writer, double number);
G_GNUC_INTERNAL void cube_tape_string_value (CubeTapeWriter *writer, const char *text, gsize length);
G_GNUC_INTERNAL void cube_tape_key (CubeTapeWriter *writer, const char *text, gsize length);
G_GNUC_INTERNAL char *cube_tape_reserve_string (CubeTapeWriter *writer, gsize max_length);  /* then … */
G_GNUC_INTERNAL void cube_tape_commit_string (CubeTapeWriter *writer, gsize length, gboolean is_key);
G_GNUC_INTERNAL void cube_tape_open (CubeTapeWriter *writer, CubeValueType type);
G_GNUC_INTERNAL void cube_tape_close (CubeTapeWriter *writer);
G_GNUC_INTERNAL void cube_tape_view (CubeTapeWriter *writer, CubeView view); /* a copy of it; @view exists */
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CubeTapeWriter, cube_tape_writer_clear)

G_GNUC_INTERNAL void cube_double_to_text (double number, char ret_text[40]);
