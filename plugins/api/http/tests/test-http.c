/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, queries, negotiation and shapes: the parts that meet bytes from outside first. */
#include "negotiate.h"
#include "query.h"
#include "url.h"
#include "http.h"
#include "ws.h"
#include <string.h>

typedef struct {
  const char *path, *group, *version, *resource, *ns, *name, *sub, *subpath;
  gboolean is_watch;
} Good;

static void
test_url_resources (void)
{
  static const Good good[] = {
    { "/api/v1/pods", "", "v1", "pods", NULL, NULL, NULL, NULL, FALSE },
    { "/api/v1/namespaces/default/pods", "", "v1", "pods", "default", NULL, NULL, NULL, FALSE },
    { "/api/v1/namespaces/default/pods/web", "", "v1", "pods", "default", "web", NULL, NULL, FALSE },
    { "/api/v1/namespaces/default/pods/web/log", "", "v1", "pods", "default", "web", "log", NULL, FALSE },
    { "/api/v1/namespaces/default/services/web/proxy/a/b", "", "v1", "services", "default", "web", "proxy", "/a/b", FALSE },
    { "/api/v1/namespaces", "", "v1", "namespaces", NULL, NULL, NULL, NULL, FALSE },
    { "/api/v1/namespaces/x", "", "v1", "namespaces", NULL, "x", NULL, NULL, FALSE },
    { "/api/v1/namespaces/x/status", "", "v1", "namespaces", NULL, "x", "status", NULL, FALSE },
    { "/api/v1/namespaces/x/finalize", "", "v1", "namespaces", NULL, "x", "finalize", NULL, FALSE },
    { "/apis/apps/v1/namespaces/x/deployments/web/scale", "apps", "v1", "deployments", "x", "web", "scale", NULL, FALSE },
    { "/api/v1/watch/pods", "", "v1", "pods", NULL, NULL, NULL, NULL, TRUE },
    { "/api/v1/watch/namespaces/x/pods/web", "", "v1", "pods", "x", "web", NULL, NULL, TRUE },
    { "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode", "rbac.authorization.k8s.io", "v1", "clusterroles", NULL,
      "system:node", NULL, NULL, FALSE },
  };
  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    {
      HttpUrl url;
      g_autoptr (GError) error = NULL;
      g_assert_true (http_url_parse (good[i].path, &url, &error));
      g_assert_no_error (error);
      g_assert_true (url.is_resource);
      g_assert_cmpstr (url.group, ==, good[i].group);
      g_assert_cmpstr (url.version, ==, good[i].version);
      g_assert_cmpstr (url.resource, ==, good[i].resource);
      g_assert_cmpstr (url.ns, ==, good[i].ns);
      g_assert_cmpstr (url.name, ==, good[i].name);
      g_assert_cmpstr (url.subresource, ==, good[i].sub);
      g_assert_cmpstr (url.subpath, ==, good[i].subpath);
      g_assert_cmpint (url.is_watch_path, ==, good[i].is_watch);
      http_url_clear (&url);
    }
}

static void
test_url_paths (void)
{
  static const char *const paths[][2] = {
    { "/", "/" }, { "/api", "/api" }, { "/api/", "/api" }, { "/apis/apps/v1/", "/apis/apps/v1" }, { "/version/", "/version" }
  };
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    {
      HttpUrl url;
      g_assert_true (http_url_parse (paths[i][0], &url, NULL));
      g_assert_false (url.is_resource);
      g_assert_cmpstr (url.path, ==, paths[i][1]);
      http_url_clear (&url);
    }
}

static void
test_url_hostile (void)
{
  static const char *const bad[] = {
    "",
    "api/v1/pods",
    "//api/v1/pods",
    "/api//v1/pods",
    "/api/v1//pods",
    "/api/v1/pods//",
    "/api/v1/./pods",
    "/api/v1/../pods",
    "/api/v1/namespaces/x/pods/..",
    "/api/v1/namespaces/x/pods/%2e%2e",
    "/api/v1/namespaces/%2E%2e/secrets",
    "/api/v1/namespaces/x%2Fpods/a",
    "/api/v1/namespaces/x%2f..%2fkube-system/secrets",
    "/api/v1/pods/%",
    "/api/v1/pods/%4",
    "/api/v1/pods/%zz",
    "/api/v1/pods/a%00b",
    "/api/v1/pods/a%0d%0ab",
    "/api/v1/pods/a%7f",
    "/api/v1/pods/%ff%fe",
    "/api/v1/pods/a%25b",
    "/api/v1/pods/a\\b",
    "/api/v1/pods/a%5cb",
    "/api/v1/pods/\xc3(",
    "/%2e/api",
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      HttpUrl url;
      g_autoptr (GError) error = NULL;
      if (http_url_parse (bad[i], &url, &error))
        g_error ("accepted: %s", bad[i]);
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
      g_assert_true (g_utf8_validate (error->message, -1, NULL));
      http_url_clear (&url);
    }
  g_autofree char *deep = g_strnfill (20000, 'a');
  deep[0] = '/';
  HttpUrl url;
  g_assert_false (http_url_parse (deep, &url, NULL));
  http_url_clear (&url);
  for (guint i = 0; i < 8000; i += 2)
    memcpy (deep + i, "/a", 2);
  deep[8000] = '\0';
  g_assert_false (http_url_parse (deep, &url, NULL));
  http_url_clear (&url);
}

static void
test_url_scope (void)
{
  static const struct {
    const char *path;
    gboolean is_fine;
  } cases[] = {
    { "/api/v1/namespaces/x/pods/web", TRUE },
    { "/api/v1/pods", TRUE },
    { "/api/v1/nodes/a", TRUE },
    { "/api/v1/nodes", TRUE },
    { "/api/v1/namespaces/x/nodes", FALSE },
    { "/api/v1/namespaces/x/nodes/a", FALSE },
    { "/api/v1/pods/web", FALSE },
    { "/api/v1/widgets", FALSE },
    { "/api/v2/pods", FALSE },
    { "/apis/apps/v1/pods", FALSE },
    { "/api/v1/namespaces/x/pods/web/nonsense", FALSE },
    { "/api/v1/namespaces/x/pods/web/log", TRUE },
    { "/api/v1/namespaces/x/pods/web/log/more", FALSE },
    { "/api/v1/namespaces/x/pods/", FALSE },
    { "/api/v1/Pods", FALSE },
    { "/api/v1/namespaces/x/namespaces/y", FALSE },
    { "/api/v1/watch/namespaces/x/pods/web/log", FALSE },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      HttpUrl url;
      const CubeSubresource *sub = NULL;
      g_autoptr (GError) error = NULL;
      g_assert_true (http_url_parse (cases[i].path, &url, &error));
      const CubeResource *resource = http_url_resolve (&url, cube_schema_get_default (), &sub, &error);
      if ((resource != NULL) != cases[i].is_fine)
        g_error ("%s: %s", cases[i].path, resource != NULL ? "accepted" : "refused");
      if (resource == NULL)
        g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
      http_url_clear (&url);
    }
}

static void
test_query (void)
{
  HttpQuery query;
  g_autoptr (GError) error = NULL;
  g_assert_true (http_query_parse ("a=1&b=x+y%26z&&c&a=2&watch=false", &query, &error));
  g_assert_cmpstr (http_query_get (&query, "a"), ==, "1");
  g_assert_cmpstr (http_query_get (&query, "b"), ==, "x y&z");
  g_assert_true (http_query_bool (&query, "c"));
  g_assert_false (http_query_bool (&query, "watch"));
  g_assert_false (http_query_bool (&query, "none"));
  g_auto (GStrv) all = http_query_get_all (&query, "a");
  g_assert_cmpuint (g_strv_length (all), ==, 2);
  http_query_clear (&query);
  g_assert_false (http_query_parse ("a=%f", &query, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
  g_clear_error (&error);
  g_autoptr (GString) many = g_string_new (NULL);
  for (guint i = 0; i < 2000; i++)
    g_string_append (many, "a=b&");
  g_assert_false (http_query_parse (many->str, &query, &error));
}

static void
test_options (void)
{
  static const struct {
    CubeVerb verb;
    CubePatchType patch;
    const char *query, *message;
  } cases[] = {
    { CUBE_VERB_LIST, 0, "limit=abc", "strconv.ParseInt: parsing \"abc\": invalid syntax" },
    { CUBE_VERB_LIST, 0, "resourceVersion=x", "invalid resource version: strconv.ParseUint: parsing \"x\": invalid syntax" },
    { CUBE_VERB_LIST, 0, "resourceVersionMatch=Exact",
      "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided" },
    { CUBE_VERB_LIST, 0, "sendInitialEvents=true",
      "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list" },
    { CUBE_VERB_CREATE, 0, "fieldValidation=Loud",
      "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Loud\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"" },
    { CUBE_VERB_CREATE, 0, "dryRun=Some",
      "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"" },
    { CUBE_VERB_PATCH, CUBE_PATCH_APPLY, "",
      "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch" },
    { CUBE_VERB_PATCH, CUBE_PATCH_MERGE, "force=true",
      "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch" },
    { CUBE_VERB_DELETE, 0, "propagationPolicy=Later",
      "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"Later\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"" },
    { CUBE_VERB_LIST, 0, "limit=5&labelSelector=a%3Db&timeoutSeconds=9", NULL },
    { CUBE_VERB_DELETE, 0, "propagationPolicy=Foreground&gracePeriodSeconds=3", NULL },
    { CUBE_VERB_WATCH, 0, "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=1", NULL },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      HttpQuery query;
      CubeRequest request = CUBE_REQUEST_INIT;
      g_autoptr (GError) error = NULL;
      request.verb = cases[i].verb;
      request.patch_type = cases[i].patch;
      g_assert_true (http_query_parse (cases[i].query, &query, &error));
      gboolean is_fine = http_query_apply (&query, &request, &error);
      g_assert_cmpstr (error != NULL ? error->message : NULL, ==, cases[i].message);
      g_assert_cmpint (is_fine, ==, cases[i].message == NULL);
      http_query_clear_selectors (&request);
      http_query_clear (&query);
    }
}

static void
test_negotiate (void)
{
  static const struct {
    const char *accept;
    gboolean is_discovery;
    int shape, encoding, aggregated;
  } cases[] = {
    { NULL, FALSE, 0, 0, 0 },
    { "*/*", FALSE, 0, 0, 0 },
    { "application/yaml", FALSE, 0, 1, 0 },
    { "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", FALSE,
      HTTP_SHAPE_TABLE, 0, 0 },
    { "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", FALSE, HTTP_SHAPE_PLAIN, 0, 0 },
    { "application/vnd.kubernetes.protobuf,application/json", FALSE, 0, 0, 0 },
    { "application/vnd.kubernetes.protobuf, */*", FALSE, 0, 0, 0 },
    { "application/json;q=0.1, application/yaml;q=0.9", FALSE, 0, 1, 0 },
    { "application/json;q=0, application/yaml", FALSE, 0, 1, 0 },
    { "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", FALSE, HTTP_SHAPE_PARTIAL_LIST, 0, 0 },
    { "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
      TRUE, 0, 0, 1 },
    { "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", TRUE, 0, 0, 0 },
    { "text/html", FALSE, -1, 0, 0 },
    { "application/vnd.kubernetes.protobuf", FALSE, -1, 0, 0 },
    { "application/json;as=Chair;g=meta.k8s.io;v=v1", FALSE, -1, 0, 0 },
    { ";;;===,,,q=", FALSE, -1, 0, 0 },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      HttpFormat format = { 0 };
      g_autoptr (GError) error = NULL;
      gboolean is_fine = http_negotiate (cases[i].accept, cases[i].is_discovery, &format, &error);
      g_assert_cmpint (is_fine, ==, cases[i].shape >= 0);
      if (!is_fine)
        {
          g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_ACCEPTABLE);
          continue;
        }
      g_assert_cmpint (format.shape, ==, cases[i].shape);
      g_assert_cmpint (format.encoding, ==, cases[i].encoding);
      g_assert_cmpint (format.is_aggregated_discovery, ==, cases[i].aggregated);
    }
  CubePatchType type;
  g_autoptr (GError) error = NULL;
  g_assert_true (http_patch_type ("application/merge-patch+json; charset=utf-8", FALSE, &type, NULL));
  g_assert_cmpint (type, ==, CUBE_PATCH_MERGE);
  g_assert_false (http_patch_type ("application/strategic-merge-patch+json", TRUE, &type, NULL));
  g_assert_false (http_patch_type ("application/json", FALSE, &type, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE);
  g_assert_true (http_accepts_coding ("deflate, gzip;q=1.0, *;q=0.5", "gzip"));
  g_assert_false (http_accepts_coding ("gzip;q=0", "gzip"));
  g_assert_false (http_accepts_coding (NULL, "gzip"));
}

static void
test_find_member (void)
{
  static const char json[] = "{\"kind\":\"a\\\\\\\"b,}\",\"n\":12,\"metadata\":{\"x\":[\"]\",{}],\"y\":\"}\\\"\"},\"z\":null}";
  const char *value;
  gsize length;
  g_assert_true (http_find_member (json, strlen (json), "metadata", &value, &length));
  g_autofree char *text = g_strndup (value, length);
  g_assert_cmpstr (text, ==, "{\"x\":[\"]\",{}],\"y\":\"}\\\"\"}");
  g_assert_true (http_find_member (json, strlen (json), "z", &value, &length));
  g_assert_cmpuint (length, ==, 4);
  g_assert_true (http_find_member (json, strlen (json), "n", &value, &length));
  g_assert_cmpuint (length, ==, 2);
  g_assert_false (http_find_member (json, strlen (json), "x", &value, &length));
  for (gsize cut = 0; cut < strlen (json); cut++) /* no prefix is read past its end */
    {
      g_autofree char *part = g_memdup2 (json, cut + 1);
      http_find_member (part, cut, "z", &value, &length);
    }
}

typedef struct {
  GString *text;
  guint n_control;
} Seen;

static void
on_frame (HttpWsOpcode opcode, const guint8 *bytes, gsize length, gpointer data)
{
  Seen *seen = data;
  if (opcode >= HTTP_WS_CLOSE)
    seen->n_control++;
  else
    g_string_append_len (seen->text, (const char *) bytes, (gssize) length);
}

static void
append_masked (GByteArray *out, guint8 first, const char *text)
{
  gsize length = strlen (text);
  guint8 head[6] = { first, (guint8) (0x80 | length), 1, 2, 3, 4 };
  g_byte_array_append (out, head, sizeof head);
  for (gsize i = 0; i < length; i++)
    {
      guint8 byte = (guint8) text[i] ^ head[2 + (i & 3)];
      g_byte_array_append (out, &byte, 1);
    }
}

static void
test_ws_read (void)
{
  g_autoptr (GByteArray) wire = g_byte_array_new ();
  append_masked (wire, 0x82, "one ");
  append_masked (wire, 0x02, "two ");
  append_masked (wire, 0x89, "ping");
  append_masked (wire, 0x80, "three");
  append_masked (wire, 0x82, "");
  for (guint piece = 1; piece <= wire->len; piece++) /* however it is cut */
    {
      HttpWsReader reader;
      Seen seen = { g_string_new (NULL), 0 };
      http_ws_reader_init (&reader);
      for (guint at = 0; at < wire->len; at += piece)
        g_assert_true (http_ws_read (&reader, wire->data + at, MIN (piece, wire->len - at), on_frame, &seen));
      g_assert_cmpstr (seen.text->str, ==, "one two three");
      g_assert_cmpuint (seen.n_control, ==, 1);
      g_string_free (seen.text, TRUE);
      http_ws_reader_clear (&reader);
    }
}

static void
test_ws_hostile (void)
{
  static const struct {
    const char *bytes;
    gsize length;
  } bad[] = {
    { "\x82\x01x", 3 },                                         /* not masked */
    { "\xc2\x80\0\0\0\0", 6 },                                  /* reserved bit */
    { "\x80\x80\0\0\0\0", 6 },                                  /* continues nothing */
    { "\x83\x80\0\0\0\0", 6 },                                  /* no such opcode */
    { "\x8b\x80\0\0\0\0", 6 },                                  /* nor this */
    { "\x09\x80\0\0\0\0", 6 },                                  /* a ping in pieces */
    { "\x89\xfe\0\x7e\0\0\0\0", 8 },                            /* a long ping */
    { "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 14 }, /* too long */
    { "\x02\x80\0\0\0\0\x82\x80\0\0\0\0", 12 },                 /* a message within a message */
  };
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      HttpWsReader reader;
      Seen seen = { g_string_new (NULL), 0 };
      http_ws_reader_init (&reader);
      g_assert_false (http_ws_read (&reader, bad[i].bytes, bad[i].length, on_frame, &seen));
      g_string_free (seen.text, TRUE);
      http_ws_reader_clear (&reader);
    }
}

static void
test_ws_write (void)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autofree char *text = g_strnfill (70000, 'x');
  http_ws_append (out, HTTP_WS_BINARY, "\1", 1, "ab", 2);
  g_assert_cmpmem (out->data, out->len, "\x82\x03\1ab", 5);
  g_byte_array_set_size (out, 0);
  http_ws_append (out, HTTP_WS_BINARY, NULL, 0, text, 200);
  g_assert_cmpmem (out->data, 4, "\x82\x7e\0\xc8", 4);
  g_byte_array_set_size (out, 0);
  http_ws_append (out, HTTP_WS_BINARY, NULL, 0, text, 70000);
  g_assert_cmpmem (out->data, 10, "\x82\x7f\0\0\0\0\0\1\x11\x70", 10);
  g_assert_cmpuint (out->len, ==, 70010);
  g_autofree char *accept = http_ws_accept ("dGhlIHNhbXBsZSBub25jZQ=="); /* RFC 6455, 1.3 */
  g_assert_cmpstr (accept, ==, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/http/url/resources", test_url_resources);
  g_test_add_func ("/http/url/paths", test_url_paths);
  g_test_add_func ("/http/url/hostile", test_url_hostile);
  g_test_add_func ("/http/url/scope", test_url_scope);
  g_test_add_func ("/http/query", test_query);
  g_test_add_func ("/http/options", test_options);
  g_test_add_func ("/http/negotiate", test_negotiate);
  g_test_add_func ("/http/find-member", test_find_member);
  g_test_add_func ("/http/ws/read", test_ws_read);
  g_test_add_func ("/http/ws/hostile", test_ws_hostile);
  g_test_add_func ("/http/ws/write", test_ws_write);
  return g_test_run ();
}
