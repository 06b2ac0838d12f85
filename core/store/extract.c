/* SPDX-License-Identifier: Apache-2.0 */
/* Reads one member out of compact, valid JSON (what CubeObject holds) by skipping over the others. */
#include "index.h"
#include <string.h>

/* Past the string that starts (after its quote) at @at; the position of its closing quote in *ret_end. */
static const char *
skip_string (const char *at, const char *end, const char **ret_end)
{
  while (at < end)
    {
      const char *quote = memchr (at, '"', end - at);
      if (quote == NULL)
        return NULL;
      const char *back = quote;
      while (back > at && back[-1] == '\\')
        back--;
      if ((quote - back) % 2 == 0)
        {
          *ret_end = quote;
          return quote + 1;
        }
      at = quote + 1;
    }
  return NULL;
}

static const char *
skip_value (const char *at, const char *end)
{
  guint depth = 0;
  const char *unused;
  while (at != NULL && at < end)
    {
      char c = *at;
      if (c == '"')
        {
          at = skip_string (at + 1, end, &unused);
          if (depth == 0)
            return at;
          continue;
        }
      if (c == '{' || c == '[')
        depth++;
      else if (c == '}' || c == ']')
        {
          if (depth == 0)
            return at; /* the end of what the scalar stood in */
          if (--depth == 0)
            return at + 1;
        }
      else if (c == ',' && depth == 0)
        return at;
      at++;
    }
  return at;
}

/* @at: an object's opening brace. The value of its member @key, or NULL. */
static const char *
find_member (const char *at, const char *end, const char *key)
{
  gsize key_length = strlen (key);
  if (at == NULL || at >= end || *at != '{')
    return NULL;
  at++;
  while (at != NULL && at < end && *at == '"')
    {
      const char *name = at + 1, *name_end;
      at = skip_string (name, end, &name_end);
      if (at == NULL || at >= end || *at != ':')
        return NULL;
      at++;
      if ((gsize) (name_end - name) == key_length && memcmp (name, key, key_length) == 0)
        return at;
      at = skip_value (at, end);
      if (at == NULL || at >= end || *at != ',')
        return NULL;
      at++;
    }
  return NULL;
}

gboolean
cube_extract_node_name (const char *json, gsize length, const char **ret_text, gsize *ret_length)
{
  static const char pattern[] = "\"nodeName\":";
  const char *end = json + length, *text_end;
  if (memmem (json, length, pattern, sizeof pattern - 1) == NULL)
    return FALSE; /* most of what is not bound yet ends here */
  const char *value = find_member (find_member (json, end, "spec"), end, "nodeName");
  if (value == NULL || value >= end || *value != '"' || skip_string (value + 1, end, &text_end) == NULL || text_end == value + 1)
    return FALSE;
  *ret_text = value + 1;
  *ret_length = text_end - value - 1;
  return TRUE;
}
