/* SPDX-License-Identifier: Apache-2.0 */
#include "tape.h"

#define FIRST_WORDS 512 /* a Pod's, so that few values grow while they are written */
#define FIRST_BYTES 4096

void
cube_tape_writer_init (CubeTapeWriter *writer)
{
  memset (writer, 0, sizeof *writer);
}

void
cube_tape_writer_clear (CubeTapeWriter *writer)
{
  g_free (writer->words);
  g_free (writer->strings);
  g_free (writer->open);
  g_free (writer->counts);
  memset (writer, 0, sizeof *writer);
}

static inline guint64 *
add_words (CubeTapeWriter *writer, guint n)
{
  if (G_UNLIKELY (writer->n_words + n > writer->words_size))
    {
      writer->words_size = MAX (MAX (FIRST_WORDS, writer->words_size * 2), writer->n_words + n);
      writer->words = g_realloc_n (writer->words, writer->words_size, sizeof (guint64));
    }
  guint64 *at = writer->words + writer->n_words;
  writer->n_words += n;
  if (G_UNLIKELY (writer->n_words > G_MAXUINT32 - 8))
    writer->overflow = TRUE;
  return at;
}

static inline void
count_value (CubeTapeWriter *writer)
{
  if (writer->depth > 0)
    writer->counts[writer->depth - 1]++;
}

void
cube_tape_null (CubeTapeWriter *writer)
{
  *add_words (writer, 1) = cube_word_make (CUBE_VALUE_NULL, 0, 0);
  count_value (writer);
}

void
cube_tape_bool (CubeTapeWriter *writer, gboolean truth)
{
  *add_words (writer, 1) = cube_word_make (CUBE_VALUE_BOOL, 0, truth ? 1 : 0);
  count_value (writer);
}

void
cube_tape_int (CubeTapeWriter *writer, gint64 number)
{
  if (cube_int_is_short (number))
    {
      *add_words (writer, 1) = cube_word_int (number);
    }
  else
    {
      guint64 *words = add_words (writer, 2);
      words[0] = cube_word_make (CUBE_TAG_LONG, 0, 0);
      words[1] = (guint64) number;
    }
  count_value (writer);
}

void
cube_tape_double (CubeTapeWriter *writer, double number)
{
  guint64 *words = add_words (writer, 2);
  words[0] = cube_word_make (CUBE_VALUE_DOUBLE, 0, 0);
  memcpy (&words[1], &number, sizeof number);
  count_value (writer);
}

char *
cube_tape_reserve_string (CubeTapeWriter *writer, gsize max_length)
{
  gsize need = writer->n_bytes + max_length + 5;
  if (G_UNLIKELY (need > writer->strings_size))
    {
      writer->strings_size = MAX (MAX (FIRST_BYTES, writer->strings_size * 2), need);
      writer->strings = g_realloc (writer->strings, writer->strings_size);
    }
  return writer->strings + writer->n_bytes + 4;
}

void
cube_tape_commit_string (CubeTapeWriter *writer, gsize length, gboolean is_key)
{
  char *record = writer->strings + writer->n_bytes;
  guint32 length32 = (guint32) length;
  memcpy (record, &length32, 4);
  record[4 + length] = '\0';
  *add_words (writer, 1) = cube_word_make (CUBE_VALUE_STRING, (guint) MIN (length, CUBE_TAPE_MAX_COUNT), (guint32) writer->n_bytes);
  writer->n_bytes += length + 5;
  if (G_UNLIKELY (writer->n_bytes > G_MAXUINT32 - 8))
    writer->overflow = TRUE;
  if (!is_key)
    count_value (writer);
}

static void
add_string (CubeTapeWriter *writer, const char *text, gsize length, gboolean is_key)
{
  if (G_UNLIKELY (length > G_MAXUINT32 - 16))
    {
      writer->overflow = TRUE;
      length = 0;
    }
  char *at = cube_tape_reserve_string (writer, length);
  if (length > 0)
    memcpy (at, text, length);
  cube_tape_commit_string (writer, length, is_key);
}

void
cube_tape_string_value (CubeTapeWriter *writer, const char *text, gsize length)
{
  add_string (writer, text, length, FALSE);
}

void
cube_tape_key (CubeTapeWriter *writer, const char *text, gsize length)
{
  add_string (writer, text, length, TRUE);
}

void
cube_tape_open (CubeTapeWriter *writer, CubeValueType type)
{
  if (writer->depth == writer->open_size)
    {
      writer->open_size = MAX (16, writer->open_size * 2);
      writer->open = g_renew (guint32, writer->open, writer->open_size);
      writer->counts = g_renew (guint32, writer->counts, writer->open_size);
    }
  count_value (writer);
  writer->open[writer->depth] = (guint32) writer->n_words;
  writer->counts[writer->depth] = 0;
  writer->depth++;
  *add_words (writer, 1) = cube_word_make (type, 0, 0);
}

void
cube_tape_close (CubeTapeWriter *writer)
{
  writer->depth--;
  guint64 *word = &writer->words[writer->open[writer->depth]];
  *word = cube_word_make (cube_word_tag (*word), writer->counts[writer->depth], (guint32) writer->n_words);
}

/* Where the string records of the words from @at to @end begin and end, when they lie in the words' order without a gap: so every writer lays
 * them. */
static gboolean
strings_in_order (const CubeValue *doc, guint32 at, guint32 end, guint32 *ret_from, guint32 *ret_to)
{
  guint32 from = 0, to = 0;
  gboolean is_first = TRUE;
  while (at < end)
    {
      guint64 word = doc->tape[at];
      guint tag = cube_word_tag (word);
      if (tag == CUBE_VALUE_STRING)
        {
          guint length = cube_word_count (word);
          if (length == CUBE_TAPE_MAX_COUNT || (!is_first && (guint32) word != to))
            return FALSE;
          if (is_first)
            from = (guint32) word;
          is_first = FALSE;
          to = (guint32) word + length + 5;
        }
      at += tag == CUBE_VALUE_DOUBLE || tag == CUBE_TAG_LONG ? 2 : 1;
    }
  *ret_from = from;
  *ret_to = to;
  return TRUE;
}

static inline guint64
moved (guint64 word, guint32 shift)
{
  return (word & ~(guint64) G_MAXUINT32) | (guint32) ((guint32) word + shift);
}

/* The words as they are, but for places in the tape and among the strings, which all move by the same. */
static void
copy_words (CubeTapeWriter *writer, const CubeValue *doc, guint32 at, guint32 end, guint32 strings_shift)
{
  guint32 shift = (guint32) writer->n_words - at;
  guint64 *out = add_words (writer, end - at);
  for (guint32 i = at; i < end; i++, out++)
    {
      guint64 word = doc->tape[i];
      switch (cube_word_tag (word))
        {
        case CUBE_VALUE_STRING: *out = moved (word, strings_shift); break;
        case CUBE_VALUE_ARRAY:
        case CUBE_VALUE_OBJECT: *out = moved (word, shift); break;
        case CUBE_VALUE_DOUBLE:
        case CUBE_TAG_LONG:
          *out++ = word;
          *out = doc->tape[++i];
          break;
        default: *out = word;
        }
    }
}

/* Copies a subtree whose strings lie one by one somewhere. */
static void
copy_scattered (CubeTapeWriter *writer, const CubeValue *doc, guint32 at, guint32 end)
{
  gint64 shift = (gint64) writer->n_words - at;
  for (guint32 i = at; i < end; i++)
    {
      guint64 word = doc->tape[i], *out;
      guint32 length;
      const char *text;
      switch (cube_word_tag (word))
        {
        case CUBE_VALUE_STRING:
          text = cube_tape_string (doc, i, &length);
          add_string (writer, text, length, TRUE); /* counts of copied containers are known */
          break;
        case CUBE_VALUE_ARRAY:
        case CUBE_VALUE_OBJECT:
          *add_words (writer, 1) =
              cube_word_make (cube_word_tag (word), cube_word_count (word), (guint32) ((gint64) (guint32) word + shift));
          break;
        case CUBE_VALUE_DOUBLE:
        case CUBE_TAG_LONG:
          out = add_words (writer, 2);
          out[0] = word;
          out[1] = doc->tape[++i];
          break;
        default: *add_words (writer, 1) = word;
        }
    }
}

void
cube_tape_view (CubeTapeWriter *writer, CubeView view)
{
  const CubeValue *doc = view.doc;
  guint32 end = cube_tape_next (doc, view.at), from, to;
  if (strings_in_order (doc, view.at, end, &from, &to))
    {
      guint32 strings_shift = (guint32) writer->n_bytes - from;
      if (to > from)
        {
          char *at = cube_tape_reserve_string (writer, to - from) - 4; /* the first record's length included */
          memcpy (at, cube_tape_strings (doc) + from, to - from);
          writer->n_bytes += to - from;
          writer->overflow |= writer->n_bytes > G_MAXUINT32 - 8;
        }
      copy_words (writer, doc, view.at, end, strings_shift);
    }
  else
    {
      copy_scattered (writer, doc, view.at, end);
    }
  count_value (writer);
}

CubeValue *
cube_tape_writer_end (CubeTapeWriter *writer)
{
  CubeValue *value = NULL;
  if (!writer->overflow && writer->n_words > 0 && writer->depth == 0)
    {
      value = g_malloc (sizeof *value + writer->n_words * sizeof (guint64) + writer->n_bytes);
      g_atomic_ref_count_init (&value->refs);
      value->n_words = (guint32) writer->n_words;
      value->n_bytes = (guint32) writer->n_bytes;
      memcpy (value->tape, writer->words, writer->n_words * sizeof (guint64));
      if (writer->n_bytes > 0)
        memcpy ((char *) (value->tape + value->n_words), writer->strings, writer->n_bytes);
    }
  cube_tape_writer_clear (writer);
  return value;
}
