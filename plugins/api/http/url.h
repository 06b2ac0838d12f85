/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The one URL parser: what it says alone feeds authorization and the request. Strict: no empty or dot segments, no encoded slash. */
#include <cube/auth.h>

typedef struct {
  char *path;                /* decoded, starts with a slash, without a trailing one (but "/") */
  gboolean is_resource;      /* the rest is set only then */
  gboolean is_watch_path;    /* the old /api/v1/watch/… form */
  gboolean has_trailing_slash;
  gboolean has_namespace;    /* …/namespaces/NS/… was there, also for the namespace itself */
  char *group, *version, *resource;        /* "" = the core group */
  char *ns, *name, *subresource, *subpath; /* NULL = none. For a namespace object ns is NULL, name its name */
} HttpUrl;

/* @path as it stood in the request line, without the query. Errors: CUBE_ERROR_BAD_REQUEST. */
gboolean http_url_parse (const char *path, HttpUrl *ret_url, GError **error);
void http_url_clear (HttpUrl *url);

/* Decodes one query part: percent and plus. NULL + CUBE_ERROR_BAD_REQUEST when malformed or not UTF-8. */
char *http_query_unescape (const char *text, gsize length, GError **error);

/* The resource named by @url. NULL + CUBE_ERROR_NOT_FOUND when it is not served or the scope does not fit. @ret_sub NULL = the resource itself. */
const CubeResource *http_url_resolve (const HttpUrl *url, CubeSchema *schema, const CubeSubresource **ret_sub, GError **error);
GError *http_no_such_resource (void);
