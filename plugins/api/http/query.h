/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Query parameters: decoded once, then turned into a request's options with Kubernetes' checks and words. */
#include <cube/client.h>

typedef struct {
  GPtrArray *pairs; /* (nullable) key, value, key, value … */
} HttpQuery;

#define HTTP_MAX_FIELD_MANAGER 128 /* bytes */

/* @text NULL or "" = no parameters. At most 1,000. Errors: CUBE_ERROR_BAD_REQUEST. */
gboolean http_query_parse (const char *text, HttpQuery *ret_query, GError **error);
void http_query_clear (HttpQuery *query);
const char *http_query_get (const HttpQuery *query, const char *key); /* the first; NULL = absent */
char **http_query_get_all (const HttpQuery *query, const char *key);  /* (transfer full) */
gboolean http_query_bool (const HttpQuery *query, const char *key);
gboolean http_query_int (const HttpQuery *query, const char *key, gint64 fallback, gint64 *ret_value, GError **error);

/* Fills the options of @request (verb and patch type set) from @query. Strings point into @query; selectors are made and owned by the caller of
 * http_query_clear_selectors. */
gboolean http_query_apply (const HttpQuery *query, CubeRequest *request, GError **error);
void http_query_clear_selectors (CubeRequest *request);
/* Whose fields a write without a fieldManager are: the User-Agent up to its slash. (transfer full) */
char *http_manager_of (const char *user_agent);
