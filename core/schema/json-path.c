/* SPDX-License-Identifier: Apache-2.0 */
/* The part of JSONPath that CustomResourceDefinitions use: .a.b, ['a'], [0], [*], [?(@.a=="b")], with \. for a dot in a name. */
#include "json-path.h"

static void walk (CubeView view, const char *path, CubeJsonPathVisit visit, gpointer data);

static void
walk_all (CubeView view, const char *rest, CubeJsonPathVisit visit, gpointer data)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, view); cube_iter_next (&it, NULL, &v);)
    walk (v, rest, visit, data);
}

/* ?(@.type=="Ready") */
static void
walk_filter (CubeView view, const char *filter, gsize length, const char *rest, CubeJsonPathVisit visit, gpointer data)
{
  g_autofree char *text = g_strndup (filter, length);
  char *operator= strstr (text, "==");
  gboolean negated = operator== NULL && (operator= strstr (text, "!=")) != NULL;
  if (operator== NULL || !g_str_has_prefix (text, "?(@."))
    return;
  g_autofree char *path = g_strndup (text + 3, (gsize) (operator- text - 3));
  g_strchomp (path);
  char *wanted = g_strstrip (operator+ 2);
  gsize n = strlen (wanted);
  if (n > 0 && wanted[n - 1] == ')')
    wanted[--n] = '\0';
  g_strstrip (wanted);
  n = strlen (wanted);
  if (n >= 2 && (wanted[0] == '"' || wanted[0] == '\'') && wanted[n - 1] == wanted[0])
    {
      wanted[n - 1] = '\0';
      wanted++;
    }
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, view); cube_iter_next (&it, NULL, &v);)
    {
      g_autofree char *have = cube_json_path_text (v, path);
      if ((g_strcmp0 (have, wanted) == 0) != negated)
        walk (v, rest, visit, data);
    }
}

static void
walk_bracket (CubeView view, const char *path, CubeJsonPathVisit visit, gpointer data)
{
  const char *end = strchr (path, ']');
  if (path[1] == '?' && end != NULL && strstr (path, ")]") != NULL)
    end = strstr (path, ")]") + 1;
  if (end == NULL)
    return;
  gsize length = (gsize) (end - path) - 1;
  if (path[1] == '*')
    {
      walk_all (view, end + 1, visit, data);
    }
  else if (path[1] == '?')
    {
      walk_filter (view, path + 1, length, end + 1, visit, data);
    }
  else if ((path[1] == '\'' || path[1] == '"') && length >= 2)
    {
      g_autofree char *key = g_strndup (path + 2, length - 2);
      walk (cube_view_member (view, key), end + 1, visit, data);
    }
  else
    {
      gint64 index = g_ascii_strtoll (path + 1, NULL, 10);
      if (index < 0)
        index += cube_view_length (view);
      if (index >= 0 && cube_view_type (view) == CUBE_VALUE_ARRAY && index < cube_view_length (view))
        walk (cube_view_element (view, (guint) index), end + 1, visit, data);
    }
}

static void
walk (CubeView view, const char *path, CubeJsonPathVisit visit, gpointer data)
{
  if (!cube_view_exists (view))
    return;
  if (*path == '\0')
    {
      visit (view, data);
      return;
    }
  if (*path == '[')
    {
      walk_bracket (view, path, visit, data);
      return;
    }
  if (*path != '.')
    return;
  path++;
  if (*path == '*')
    {
      walk_all (view, path + 1, visit, data);
      return;
    }
  g_autoptr (GString) key = g_string_new (NULL);
  for (; *path != '\0' && *path != '.' && *path != '['; path++)
    {
      if (*path == '\\' && path[1] != '\0')
        path++;
      g_string_append_c (key, *path);
    }
  walk (key->len == 0 ? view : cube_view_member (view, key->str), path, visit, data);
}

void
cube_json_path_visit (CubeView root, const char *path, CubeJsonPathVisit visit, gpointer data)
{
  gsize length = strlen (path);
  if (length >= 2 && path[0] == '{' && path[length - 1] == '}')
    {
      g_autofree char *inner = g_strndup (path + 1, length - 2);
      walk (root, *inner == '$' ? inner + 1 : inner, visit, data);
    }
  else if (*path != '.' && *path != '[')
    {
      g_autofree char *dotted = g_strconcat (".", path, NULL);
      walk (root, dotted, visit, data);
    }
  else
    {
      walk (root, path, visit, data);
    }
}

static void
take_first (CubeView view, gpointer data)
{
  CubeView *first = data;
  if (!cube_view_exists (*first))
    *first = view;
}

CubeView
cube_json_path_first (CubeView root, const char *path)
{
  CubeView first = cube_view_none ();
  cube_json_path_visit (root, path, take_first, &first);
  return first;
}

static void
append_text (CubeView view, gpointer data)
{
  GString *text = data;
  if (text->len > 0)
    g_string_append_c (text, ',');
  if (cube_view_type (view) == CUBE_VALUE_STRING)
    g_string_append (text, cube_view_string (view));
  else
    cube_view_append_json (view, text);
}

char *
cube_json_path_text (CubeView root, const char *path)
{
  GString *text = g_string_new (NULL);
  cube_json_path_visit (root, path, append_text, text);
  return g_string_free (text, FALSE);
}
