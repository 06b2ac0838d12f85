/* SPDX-License-Identifier: Apache-2.0 */
#include "url.h"
#include <string.h>

#define MAX_PATH_BYTES 8192
#define MAX_SEGMENTS 64

static gboolean
refuse (GError **error, const char *path, const char *why)
{
  g_autofree char *shown = g_strescape (path, NULL);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "request path \"%.200s\": %s", shown, why);
  return FALSE;
}

/* Decodes %XX of @length bytes into @out (at least length + 1). FALSE: malformed. */
static gboolean
decode (const char *text, gsize length, gboolean plus_is_space, char *out, gsize *ret_length)
{
  gsize n = 0;
  for (gsize i = 0; i < length; i++)
    {
      char c = text[i];
      if (c == '%')
        {
          if (i + 2 >= length || !g_ascii_isxdigit (text[i + 1]) || !g_ascii_isxdigit (text[i + 2]))
            return FALSE;
          c = (char) (g_ascii_xdigit_value (text[i + 1]) << 4 | g_ascii_xdigit_value (text[i + 2]));
          i += 2;
        }
      else if (c == '+' && plus_is_space)
        c = ' ';
      out[n++] = c;
    }
  out[n] = '\0';
  *ret_length = n;
  return TRUE;
}

char *
http_query_unescape (const char *text, gsize length, GError **error)
{
  g_autofree char *out = g_malloc (length + 1);
  gsize n;
  if (!decode (text, length, TRUE, out, &n) || !g_utf8_validate_len (out, n, NULL))
    {
      g_autofree char *shown = g_strndup (text, MIN (length, 100));
      g_autofree char *escaped = g_strescape (shown, NULL);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid URL escape in query \"%s\"", escaped);
      return NULL;
    }
  return g_steal_pointer (&out);
}

/* What one decoded segment must not be. NULL = fine. */
static const char *
check_segment (const char *segment, gsize length)
{
  if (length == 0)
    return "empty segment";
  if (strcmp (segment, ".") == 0 || strcmp (segment, "..") == 0)
    return "dot segment";
  for (gsize i = 0; i < length; i++)
    {
      guchar c = (guchar) segment[i];
      if (c == '/')
        return "encoded slash";
      if (c == '%' || c == '\\')
        return "character that is not allowed in a name";
      if (c < 0x20 || c == 0x7f)
        return "control character";
    }
  return g_utf8_validate_len (segment, length, NULL) ? NULL : "not UTF-8";
}

/* Splits into decoded segments. */
static GPtrArray *
split (const char *path, gboolean *ret_trailing_slash, GError **error)
{
  g_autoptr (GPtrArray) segments = g_ptr_array_new_with_free_func (g_free);
  gsize length = strlen (path);
  if (length == 0 || path[0] != '/' || length > MAX_PATH_BYTES)
    return refuse (error, path, length > MAX_PATH_BYTES ? "too long" : "does not start with a slash"), NULL;
  *ret_trailing_slash = length > 1 && path[length - 1] == '/';
  const char *end = path + length - (*ret_trailing_slash ? 1 : 0);
  for (const char *at = path + 1; at <= end && length > 1;)
    {
      const char *slash = memchr (at, '/', (gsize) (end - at));
      const char *stop = slash != NULL ? slash : end;
      gsize n;
      char *segment = g_malloc ((gsize) (stop - at) + 1);
      g_ptr_array_add (segments, segment);
      /* an encoded dot is a disguise: no client needs it */
      const char *why = NULL;
      for (const char *p = at; p + 2 < stop && why == NULL; p++)
        if (p[0] == '%' && p[1] == '2' && (p[2] == 'e' || p[2] == 'E'))
          why = "encoded dot";
      if (why == NULL && !decode (at, (gsize) (stop - at), FALSE, segment, &n))
        why = "malformed percent escape";
      if (why == NULL)
        why = check_segment (segment, n);
      if (why == NULL && segments->len > MAX_SEGMENTS)
        why = "too many segments";
      if (why != NULL)
        return refuse (error, path, why), NULL;
      at = stop + 1;
    }
  return g_steal_pointer (&segments);
}

static char *
join (GPtrArray *segments, guint from, const char *prefix)
{
  GString *out = g_string_new (NULL);
  for (guint i = from; i < segments->len; i++)
    {
      g_string_append (out, i == from ? prefix : "/");
      g_string_append (out, segments->pdata[i]);
    }
  return g_string_free (out, FALSE);
}

static const char *
at (GPtrArray *segments, guint index)
{
  return index < segments->len ? segments->pdata[index] : NULL;
}

/* …/namespaces/NS/{status,finalize} are of the namespace itself. */
static gboolean
is_namespace_subresource (const char *word)
{
  return g_strcmp0 (word, "status") == 0 || g_strcmp0 (word, "finalize") == 0;
}

static void
parse_resource (GPtrArray *segments, guint i, HttpUrl *url)
{
  if (g_strcmp0 (at (segments, i), "watch") == 0 && at (segments, i + 1) != NULL)
    {
      url->is_watch_path = TRUE;
      i++;
    }
  if (g_strcmp0 (at (segments, i), "namespaces") == 0 && at (segments, i + 1) != NULL)
    {
      url->has_namespace = TRUE;
      if (at (segments, i + 2) != NULL && !is_namespace_subresource (at (segments, i + 2)))
        {
          url->ns = g_strdup (at (segments, i + 1));
          i += 2;
        }
    }
  url->resource = g_strdup (at (segments, i));
  url->name = g_strdup (at (segments, i + 1));
  url->subresource = g_strdup (at (segments, i + 2));
  if (at (segments, i + 3) != NULL)
    url->subpath = join (segments, i + 3, "/");
}

gboolean
http_url_parse (const char *path, HttpUrl *ret_url, GError **error)
{
  memset (ret_url, 0, sizeof *ret_url);
  g_autoptr (GPtrArray) segments = split (path, &ret_url->has_trailing_slash, error);
  if (segments == NULL)
    return FALSE;
  ret_url->path = segments->len == 0 ? g_strdup ("/") : join (segments, 0, "/");
  guint first = 0;
  if (g_strcmp0 (at (segments, 0), "api") == 0 && segments->len > 2)
    first = 2;
  else if (g_strcmp0 (at (segments, 0), "apis") == 0 && segments->len > 3)
    first = 3;
  if (first == 0)
    return TRUE;
  ret_url->is_resource = TRUE;
  ret_url->group = g_strdup (first == 2 ? "" : at (segments, 1));
  ret_url->version = g_strdup (at (segments, first - 1));
  parse_resource (segments, first, ret_url);
  return TRUE;
}

void
http_url_clear (HttpUrl *url)
{
  g_clear_pointer (&url->path, g_free);
  g_clear_pointer (&url->group, g_free);
  g_clear_pointer (&url->version, g_free);
  g_clear_pointer (&url->resource, g_free);
  g_clear_pointer (&url->ns, g_free);
  g_clear_pointer (&url->name, g_free);
  g_clear_pointer (&url->subresource, g_free);
  g_clear_pointer (&url->subpath, g_free);
}

GError *
http_no_such_resource (void)
{
  GError *error = g_error_new_literal (CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "the server could not find the requested resource");
  cube_error_set_object (error, "", "", NULL);
  return error;
}

const CubeResource *
http_url_resolve (const HttpUrl *url, CubeSchema *schema, const CubeSubresource **ret_sub, GError **error)
{
  const CubeSubresource *sub = NULL;
  /* what is behind …/proxy is another server's path, in which the slash at the end means something */
  gboolean is_misplaced_slash = url->has_trailing_slash && g_strcmp0 (url->subresource, "proxy") != 0;
  const CubeResource *resource = is_misplaced_slash ? NULL : cube_schema_find (schema, url->group, url->version, url->resource);
  if (resource != NULL && url->subresource != NULL)
    sub = cube_resource_find_subresource (resource, url->subresource);
  gboolean is_fitting = resource != NULL && (url->subresource == NULL || sub != NULL);
  /* a scope that does not fit the resource is no address of anything */
  if (is_fitting && url->ns != NULL && !resource->is_namespaced)
    is_fitting = FALSE;
  if (is_fitting && url->ns == NULL && resource->is_namespaced && url->name != NULL)
    is_fitting = FALSE;
  if (is_fitting && url->subpath != NULL && g_strcmp0 (url->subresource, "proxy") != 0)
    is_fitting = FALSE;
  if (is_fitting && url->is_watch_path && url->subresource != NULL)
    is_fitting = FALSE;
  if (!is_fitting)
    {
      g_propagate_error (error, http_no_such_resource ());
      return NULL;
    }
  *ret_sub = sub;
  return resource;
}
