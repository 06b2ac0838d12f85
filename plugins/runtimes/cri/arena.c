/* SPDX-License-Identifier: Apache-2.0 */
#include "cri.h"

gpointer
cri_arena_take (CriArena *arena, gpointer memory)
{
  g_ptr_array_add (arena, memory);
  return memory;
}

/* protobuf-c never writes through a message it packs. */
char *
cri_text (const char *text)
{
  return text != NULL ? (char *) text : (char *) protobuf_c_empty_string;
}

Cri__Pair **
cri_arena_pairs (CriArena *arena, const CubePair *pairs, size_t *ret_n)
{
  Cri__Pair **array;
  Cri__Pair *messages;
  size_t n = 0;

  while (pairs != NULL && pairs[n].key != NULL)
    n++;
  array = cri_arena_array (arena, Cri__Pair *, n);
  messages = cri_arena_array (arena, Cri__Pair, n);
  for (size_t i = 0; i < n; i++)
    {
      cri__pair__init (&messages[i]);
      messages[i].key = cri_text (pairs[i].key);
      messages[i].value = cri_text (pairs[i].value);
      array[i] = &messages[i];
    }
  *ret_n = n;
  return array;
}

char **
cri_texts (const char *const *texts, size_t *ret_n)
{
  *ret_n = texts != NULL ? g_strv_length ((char **) texts) : 0;
  return (char **) texts;
}
