/* SPDX-License-Identifier: Apache-2.0 */
/* Semantic equality, hashes, duplicate keys. */
#include "tape.h"
#include <math.h>

guint64
cube_bytes_hash (const void *data, gsize length, guint64 seed)
{
  const guint8 *at = data;
  guint64 hash = seed ^ (length * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15)), word;
  for (; length >= 8; at += 8, length -= 8)
    {
      memcpy (&word, at, 8);
      unsigned __int128 product = (unsigned __int128) (hash ^ word) * G_GUINT64_CONSTANT (0xd6e8feb86659fd93);
      hash = (guint64) product ^ (guint64) (product >> 64) ^ seed;
    }
  word = 0;
  memcpy (&word, at, length);
  hash = (hash ^ word) * G_GUINT64_CONSTANT (0xff51afd7ed558ccd);
  hash ^= hash >> 32;
  hash *= G_GUINT64_CONSTANT (0xc4ceb9fe1a85ec53);
  return hash ^ (hash >> 29);
}

guint64
cube_hash_seed (void)
{
  static gsize seed;
  if (g_once_init_enter (&seed))
    g_once_init_leave (&seed, ((gsize) g_random_int () << 32) | g_random_int () | 1);
  return seed;
}

static gboolean
equal_numbers (CubeView a, CubeView b)
{
  if (cube_view_type (a) == CUBE_VALUE_INT && cube_view_type (b) == CUBE_VALUE_INT)
    return cube_view_int (a, 0) == cube_view_int (b, 0);
  if (cube_view_type (a) == CUBE_VALUE_DOUBLE && cube_view_type (b) == CUBE_VALUE_DOUBLE)
    return cube_view_double (a, 0) == cube_view_double (b, 0);
  /* One of each: equal when the double is that integer exactly. */
  gint64 first = cube_view_int (a, 0);
  return first == cube_view_int (b, 0) && first == cube_view_int (a, 1) && first == cube_view_int (b, 1);
}

static CubeView
find (CubeView object, const char *key, guint32 key_length)
{
  CubeIter iter;
  const char *name;
  guint32 length;
  CubeView child, found = cube_view_none ();
  for (cube_iter_init (&iter, object); cube_iter_next_full (&iter, &name, &length, &child);)
    if (length == key_length && memcmp (name, key, length) == 0)
      found = child;
  return found;
}

typedef struct {
  const char *key;
  guint32 length, index;
  CubeView value;
} Member;

static int
compare_keys (const Member *a, const Member *b)
{
  int order = memcmp (a->key, b->key, MIN (a->length, b->length));
  return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static int
compare_members (gconstpointer a, gconstpointer b)
{
  const Member *x = a, *y = b;
  int order = compare_keys (x, y);
  return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* Members sorted by key, duplicates next to each other in document order. */
static Member *
sorted_members (CubeView object, guint *ret_n)
{
  guint n = cube_view_length (object);
  Member *members = g_new (Member, n + 1);
  CubeIter iter;
  cube_iter_init (&iter, object);
  for (guint i = 0; i < n; i++)
    {
      members[i].index = i;
      cube_iter_next_full (&iter, &members[i].key, &members[i].length, &members[i].value);
    }
  qsort (members, n, sizeof *members, compare_members);
  *ret_n = n;
  return members;
}

/* The last of each key stays. */
static guint
drop_duplicates (Member *members, guint n)
{
  guint kept = 0;
  for (guint i = 0; i < n; i++)
    if (i + 1 == n || compare_keys (&members[i], &members[i + 1]) != 0)
      members[kept++] = members[i];
  return kept;
}

static gboolean
equal_sorted (CubeView a, CubeView b)
{
  guint n_a, n_b;
  g_autofree Member *in_a = sorted_members (a, &n_a);
  g_autofree Member *in_b = sorted_members (b, &n_b);
  n_a = drop_duplicates (in_a, n_a);
  n_b = drop_duplicates (in_b, n_b);
  if (n_a != n_b)
    return FALSE;
  for (guint i = 0; i < n_a; i++)
    if (compare_keys (&in_a[i], &in_b[i]) != 0 || !cube_view_equal (in_a[i].value, in_b[i].value))
      return FALSE;
  return TRUE;
}

/* Same keys in the same order without duplicates is the common case; small objects are searched, others sorted. */
static gboolean
equal_objects (CubeView a, CubeView b)
{
  CubeIter in_a, in_b;
  const char *key_a, *key_b;
  guint32 length_a, length_b;
  CubeView child_a, child_b;
  guint n = cube_view_length (a);
  if (n > 16 || n != cube_view_length (b))
    return equal_sorted (a, b);
  cube_iter_init (&in_b, b);
  for (cube_iter_init (&in_a, a); cube_iter_next_full (&in_a, &key_a, &length_a, &child_a);)
    {
      cube_iter_next_full (&in_b, &key_b, &length_b, &child_b);
      if (length_a != length_b || memcmp (key_a, key_b, length_a) != 0)
        return equal_sorted (a, b);
      child_a = find (a, key_a, length_a);
      child_b = find (b, key_b, length_b);
      if (!cube_view_equal (child_a, child_b))
        return FALSE;
    }
  return TRUE;
}

static gboolean
equal_arrays (CubeView a, CubeView b)
{
  CubeIter in_a, in_b;
  CubeView child_a, child_b;
  if (cube_view_length (a) != cube_view_length (b))
    return FALSE;
  cube_iter_init (&in_b, b);
  for (cube_iter_init (&in_a, a); cube_iter_next (&in_a, NULL, &child_a);)
    if (!cube_iter_next (&in_b, NULL, &child_b) || !cube_view_equal (child_a, child_b))
      return FALSE;
  return TRUE;
}

gboolean
cube_view_equal (CubeView a, CubeView b)
{
  CubeValueType type = cube_view_type (a), other = cube_view_type (b);
  gboolean is_number = type == CUBE_VALUE_INT || type == CUBE_VALUE_DOUBLE;
  if (a.doc == b.doc && a.at == b.at)
    return TRUE;
  if (is_number && (other == CUBE_VALUE_INT || other == CUBE_VALUE_DOUBLE))
    return equal_numbers (a, b);
  if (type != other)
    return FALSE;
  switch (type)
    {
    case CUBE_VALUE_BOOL: return cube_view_bool (a, FALSE) == cube_view_bool (b, FALSE);
    case CUBE_VALUE_STRING:
      {
        gsize length = cube_view_string_length (a);
        return length == cube_view_string_length (b) && memcmp (cube_view_string (a), cube_view_string (b), length) == 0;
      }
    case CUBE_VALUE_ARRAY: return equal_arrays (a, b);
    case CUBE_VALUE_OBJECT: return equal_objects (a, b);
    default: return TRUE;
    }
}

static guint64
hash_number (CubeView view, guint64 seed)
{
  double real = cube_view_double (view, 0);
  gint64 integer = cube_view_int (view, 0);
  /* Whatever equals an integer hashes as that integer. */
  if (cube_view_type (view) == CUBE_VALUE_INT || integer != 0 || real == 0)
    return cube_bytes_hash (&integer, sizeof integer, seed + CUBE_VALUE_INT);
  return cube_bytes_hash (&real, sizeof real, seed + CUBE_VALUE_DOUBLE);
}

static guint64
hash_object (CubeView view, guint64 seed)
{
  guint n;
  g_autofree Member *members = sorted_members (view, &n);
  n = drop_duplicates (members, n);
  guint64 hash = seed + CUBE_VALUE_OBJECT + n;
  for (guint i = 0; i < n; i++)
    {
      hash = cube_bytes_hash (members[i].key, members[i].length, hash);
      hash = cube_view_hash (members[i].value, hash);
    }
  return hash;
}

guint64
cube_view_hash (CubeView view, guint64 seed)
{
  CubeIter iter;
  CubeView child;
  guint64 hash = seed;
  switch (cube_view_type (view))
    {
    case CUBE_VALUE_BOOL: return cube_bytes_hash ("", 0, seed + (cube_view_bool (view, FALSE) ? 102 : 101));
    case CUBE_VALUE_INT:
    case CUBE_VALUE_DOUBLE: return hash_number (view, seed);
    case CUBE_VALUE_STRING: return cube_bytes_hash (cube_view_string (view), cube_view_string_length (view), seed + CUBE_VALUE_STRING);
    case CUBE_VALUE_ARRAY:
      hash = cube_bytes_hash ("", 0, seed + CUBE_VALUE_ARRAY);
      for (cube_iter_init (&iter, view); cube_iter_next (&iter, NULL, &child);)
        hash = cube_view_hash (child, hash);
      return cube_bytes_hash ("", 0, hash + 7);
    case CUBE_VALUE_OBJECT: return hash_object (view, seed);
    default: return cube_bytes_hash ("", 0, seed + (guint64) cube_view_type (view));
    }
}

#define FEW_KEYS 24 /* compared each with each; more are sorted */

/* The words of two keys: their kind and length, then where their bytes are. */
static gboolean
same_key (const CubeValue *doc, guint64 a, guint64 b)
{
  if (a >> 32 != b >> 32)
    return FALSE;
  const char *first = cube_tape_strings (doc) + (guint32) a, *second = cube_tape_strings (doc) + (guint32) b;
  guint32 length, other;
  memcpy (&length, first, 4);
  memcpy (&other, second, 4);
  return length == other && memcmp (first + 4, second + 4, length) == 0;
}

static gboolean
has_duplicates (CubeView object, guint n)
{
  const CubeValue *doc = object.doc;
  guint64 keys[FEW_KEYS];
  guint32 at = object.at + 1;
  if (n > FEW_KEYS)
    {
      g_autofree Member *members = sorted_members (object, &n);
      return drop_duplicates (members, n) < n;
    }
  for (guint i = 0; i < n; i++, at = cube_tape_next (doc, at + 1))
    {
      keys[i] = doc->tape[at];
      for (guint k = 0; k < i; k++)
        if (same_key (doc, keys[k], keys[i]))
          return TRUE;
    }
  return FALSE;
}

static void
collect_own_duplicates (CubeView object, GString *path, GPtrArray *found)
{
  guint n;
  gsize length = path->len;
  g_autofree Member *members = sorted_members (object, &n);
  for (guint i = 1; i < n; i++)
    {
      gboolean is_second = compare_keys (&members[i - 1], &members[i]) == 0;
      gboolean is_third = i >= 2 && compare_keys (&members[i - 2], &members[i]) == 0;
      if (!is_second || is_third)
        continue;
      g_string_append_printf (path, "%s%s", length > 0 ? "." : "", members[i].key);
      g_ptr_array_add (found, g_strdup (path->str));
      g_string_truncate (path, length);
    }
}

static void
collect_duplicates (CubeView view, GString *path, GPtrArray *found)
{
  CubeIter iter;
  const char *key;
  CubeView child;
  gsize length = path->len;
  if (cube_view_type (view) == CUBE_VALUE_OBJECT)
    collect_own_duplicates (view, path, found);
  for (cube_iter_init (&iter, view); cube_iter_next (&iter, &key, &child);)
    {
      CubeValueType type = cube_view_type (child);
      if (type != CUBE_VALUE_OBJECT && type != CUBE_VALUE_ARRAY)
        continue;
      if (key != NULL)
        g_string_append_printf (path, "%s%s", length > 0 ? "." : "", key);
      else
        g_string_append_printf (path, "[%u]", iter.index - 1);
      collect_duplicates (child, path, found);
      g_string_truncate (path, length);
    }
}

/* The tape is every container after the other, whatever their depth. */
static gboolean
is_free_of_duplicates (const CubeValue *value)
{
  for (guint32 at = 0; at < value->n_words;)
    {
      CubeView view = { value, at };
      guint64 word = value->tape[at];
      guint tag = cube_word_tag (word);
      if (tag == CUBE_VALUE_OBJECT && has_duplicates (view, cube_view_length (view)))
        return FALSE;
      at += tag == CUBE_VALUE_DOUBLE || tag == CUBE_TAG_LONG ? 2 : 1;
    }
  return TRUE;
}

char **
cube_value_duplicate_keys (const CubeValue *value)
{
  if (is_free_of_duplicates (value))
    return NULL;
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GString) path = g_string_new (NULL);
  collect_duplicates (cube_value_root (value), path, found);
  g_ptr_array_add (found, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&found), FALSE);
}
