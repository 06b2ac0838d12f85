/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens.h"

#include "pki.h"

#include <string.h>

#define ISSUER "https://kubernetes.default.svc.cluster.local"
#define START G_GINT64_CONSTANT (1800000000)

typedef struct {
  gint64 now; /* seconds */
  guint64 random;
  const char *account_uid, *pod_uid, *node_uid; /* NULL = absent */
  gint64 pod_deletion;                          /* seconds; 0 = none */
  Tokens *tokens;
} Fixture;

static gint64
test_now (gpointer data)
{
  return ((Fixture *) data)->now * G_USEC_PER_SEC;
}

static guint64
test_random (gpointer data)
{
  return ((Fixture *) data)->random += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15);
}

static TokenObjectState
test_look_up (gpointer data, const char *resource, const char *ns, const char *name, char **ret_uid, gint64 *ret_deletion_us)
{
  Fixture *f = data;
  const char *uid = g_str_equal (resource, "serviceaccounts") ? f->account_uid
                    : g_str_equal (resource, "pods")          ? f->pod_uid
                    : g_str_equal (resource, "nodes")         ? f->node_uid
                                                              : NULL;

  if (g_str_equal (resource, "pods"))
    *ret_deletion_us = f->pod_deletion * G_USEC_PER_SEC;
  *ret_uid = g_strdup (uid);
  return uid != NULL ? TOKEN_OBJECT_PRESENT : TOKEN_OBJECT_ABSENT;
}

static void
set_up (Fixture *f, gconstpointer data)
{
  TokenSeams seams = { test_now, test_random, test_look_up, f };
  g_autoptr (GError) error = NULL;
  JwtKey *key = jwt_key_open (NULL, &error);

  g_assert_no_error (error);
  f->now = START;
  f->account_uid = "sa-uid";
  f->pod_uid = "pod-uid";
  f->node_uid = "node-uid";
  f->tokens = tokens_new (key, ISSUER, NULL, &seams);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  tokens_free (f->tokens);
}

static CubeTokenRequest
pod_request (gint64 seconds)
{
  CubeTokenRequest request = { .ns = "ns",
                               .service_account = "sa",
                               .service_account_uid = "sa-uid",
                               .pod_name = "p",
                               .pod_uid = "pod-uid",
                               .node_name = "n",
                               .node_uid = "node-uid",
                               .expiration_seconds = seconds };
  return request;
}

static char *
issue (Fixture *f, const CubeTokenRequest *request)
{
  g_autoptr (GError) error = NULL;
  gint64 expires = 0;
  char *token = tokens_issue (f->tokens, request, &expires, &error);

  g_assert_no_error (error);
  g_assert_cmpint (expires, ==, (f->now + request->expiration_seconds) * G_USEC_PER_SEC);
  return token;
}

/* @words NULL: it is good; "": not ours; else part of the refusal. */
static void
expect (Fixture *f, const char *token, const char *const *audiences, const char *words)
{
  g_autoptr (CubeUser) user = NULL;
  g_autoptr (GError) error = NULL;
  gboolean is_good = tokens_check (f->tokens, token, audiences, &user, NULL, &error);

  if (words == NULL)
    g_assert_no_error (error);
  g_assert_cmpint (is_good, ==, words == NULL || *words == '\0');
  g_assert_true ((user != NULL) == (words == NULL));
  if (words != NULL && *words != '\0')
    {
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED);
      if (strstr (error->message, words) == NULL)
        g_error ("found \"%s\", wanted \"%s\"", error->message, words);
    }
}

static void
test_user (Fixture *f, gconstpointer data)
{
  CubeTokenRequest request = pod_request (3600);
  g_autofree char *token = issue (f, &request);
  g_autoptr (CubeUser) user = NULL;
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) audiences = NULL;
  char **value;

  for (guint i = 0; i < 2; i++)
    {
      g_clear_pointer (&user, cube_user_unref);
      g_clear_pointer (&audiences, g_strfreev);
      g_assert_true (tokens_check (f->tokens, token, NULL, &user, &audiences, &error));
    }
  g_assert_cmpstr (user->name, ==, "system:serviceaccount:ns:sa");
  g_assert_cmpstr (user->uid, ==, "sa-uid");
  g_assert_true (cube_user_in_group (user, "system:serviceaccounts"));
  g_assert_true (cube_user_in_group (user, "system:serviceaccounts:ns"));
  g_assert_true (cube_user_in_group (user, "system:authenticated"));
  g_assert_cmpstr (audiences[0], ==, ISSUER);
  value = g_hash_table_lookup (user->extra, "authentication.kubernetes.io/pod-name");
  g_assert_cmpstr (value[0], ==, "p");
  value = g_hash_table_lookup (user->extra, "authentication.kubernetes.io/node-uid");
  g_assert_cmpstr (value[0], ==, "node-uid");
  value = g_hash_table_lookup (user->extra, "authentication.kubernetes.io/credential-id");
  g_assert_true (g_str_has_prefix (value[0], "JTI=") && strlen (value[0]) == 40);
}

static void
test_claims (Fixture *f, gconstpointer data)
{
  CubeTokenRequest plain = pod_request (3600), projected = pod_request (3607);
  g_autofree char *a = issue (f, &plain), *b = issue (f, &projected);
  g_autoptr (CubeValue) first = jwt_peek (a), second = jwt_peek (b);
  CubeView root = cube_value_root (first);

  g_assert_cmpstr (cube_view_get_string (root, "iss"), ==, ISSUER);
  g_assert_cmpstr (cube_view_get_string (root, "sub"), ==, "system:serviceaccount:ns:sa");
  g_assert_cmpstr (cube_view_string (cube_view_dotted (root, "aud[0]")), ==, ISSUER);
  g_assert_cmpint (cube_view_get_int (root, 0, "exp"), ==, START + 3600);
  g_assert_cmpint (cube_view_get_int (root, 0, "nbf"), ==, START);
  g_assert_cmpstr (cube_view_get_string (root, "kubernetes.io", "namespace"), ==, "ns");
  g_assert_cmpstr (cube_view_get_string (root, "kubernetes.io", "serviceaccount", "uid"), ==, "sa-uid");
  g_assert_cmpstr (cube_view_get_string (root, "kubernetes.io", "pod", "name"), ==, "p");
  g_assert_cmpstr (cube_view_get_string (root, "kubernetes.io", "node", "name"), ==, "n");
  g_assert_false (cube_view_exists (cube_view_get (root, "kubernetes.io", "secret")));
  g_assert_false (cube_view_exists (cube_view_get (root, "kubernetes.io", "warnafter")));
  root = cube_value_root (second);
  g_assert_cmpint (cube_view_get_int (root, 0, "exp"), ==, START + 31536000);
  g_assert_cmpint (cube_view_get_int (root, 0, "kubernetes.io", "warnafter"), ==, START + 3607);
}

static void
test_time_and_bonds (Fixture *f, gconstpointer data)
{
  CubeTokenRequest request = pod_request (600), node = { .ns = "ns",
                                                         .service_account = "sa",
                                                         .service_account_uid = "sa-uid",
                                                         .node_name = "n",
                                                         .node_uid = "node-uid",
                                                         .expiration_seconds = 600 };
  CubeTokenRequest secret = {
    .ns = "ns", .service_account = "sa", .service_account_uid = "sa-uid", .secret_name = "s", .secret_uid = "x", .expiration_seconds = 600
  };
  g_autofree char *token = issue (f, &request), *of_node = issue (f, &node), *of_secret = issue (f, &secret);

  expect (f, token, NULL, NULL);
  expect (f, of_node, NULL, NULL);
  expect (f, of_secret, NULL, "service account token has been invalidated");
  f->now = START + 599;
  expect (f, token, NULL, NULL);
  f->now = START + 600;
  expect (f, token, NULL, "service account token has expired");
  f->now = START - 59;
  expect (f, token, NULL, NULL);
  f->now = START - 61;
  expect (f, token, NULL, "service account token is not valid yet");
  f->now = START + 100;
  f->pod_deletion = START + 50;
  expect (f, token, NULL, NULL); /* going, within a minute */
  f->pod_deletion = START + 30;
  expect (f, token, NULL, "service account token has been invalidated");
  f->pod_deletion = 0;
  f->pod_uid = "other";
  expect (f, token, NULL, "pod UID (other) does not match service account pod ref claim (pod-uid)");
  f->pod_uid = NULL;
  expect (f, token, NULL, "service account token has been invalidated");
  f->pod_uid = "pod-uid";
  f->node_uid = NULL;
  expect (f, token, NULL, NULL); /* the node of a pod is information */
  expect (f, of_node, NULL, "service account token has been invalidated");
  f->account_uid = "new";
  expect (f, token, NULL, "service account UID (new) does not match claim (sa-uid)");
  f->account_uid = NULL;
  expect (f, token, NULL, "service account ns/sa has been deleted");
}

static void
test_audiences (Fixture *f, gconstpointer data)
{
  const char *const vault[] = { "vault", "other", NULL }, *const asked[] = { "x", "other", NULL }, *const wrong[] = { "x", NULL };
  CubeTokenRequest request = pod_request (3607);
  g_autofree char *token = NULL;
  g_autoptr (CubeValue) claims = NULL;
  g_auto (GStrv) common = NULL;
  g_autoptr (CubeUser) user = NULL;
  g_autoptr (GError) error = NULL;
  gint64 expires = 0;

  request.audiences = vault;
  token = tokens_issue (f->tokens, &request, &expires, &error);
  claims = jwt_peek (token);
  g_assert_cmpint (cube_view_get_int (cube_value_root (claims), 0, "exp"), ==, START + 3607); /* no year for others */
  expect (f, token, NULL, "is invalid for the target audiences");
  expect (f, token, wrong, "is invalid for the target audiences");
  g_assert_true (tokens_check (f->tokens, token, asked, &user, &common, &error));
  g_assert_cmpstr (common[0], ==, "other");
  g_assert_null (common[1]);
  request.expiration_seconds = 599;
  g_assert_null (tokens_issue (f->tokens, &request, &expires, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
}

/* ---- tampering ---- */

static char *
with_header (const char *token, const char *header)
{
  g_autofree char *head = pki_base64url (header, strlen (header));

  return g_strconcat (head, strchr (token, '.'), NULL);
}

static char *
with_payload (const char *token, const char *payload)
{
  g_auto (GStrv) parts = g_strsplit (token, ".", 3);
  g_autofree char *body = pki_base64url (payload, strlen (payload));

  return g_strjoin (".", parts[0], body, parts[2], NULL);
}

static void
expect_free (Fixture *f, char *token, const char *words)
{
  expect (f, token, NULL, words);
  g_free (token);
}

static void
test_tampering (Fixture *f, gconstpointer data)
{
  CubeTokenRequest request = pod_request (3600);
  g_autofree char *token = issue (f, &request), *other_kid = g_strdup_printf ("{\"alg\":\"ES256\",\"kid\":\"%s\",\"crit\":[\"b64\"]}",
                                                                              jwt_key_id (tokens_key (f->tokens)));
  g_autofree char *doubled = g_strdup_printf ("{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"%s\"}", jwt_key_id (tokens_key (f->tokens)));
  g_autofree char *huge = g_strnfill (100000, 'A'), *deep = g_strnfill (9000, '['),
                  *cut = g_strndup (token, (gsize) (strrchr (token, '.') - token + 1));
  g_auto (GStrv) parts = g_strsplit (token, ".", 3);
  g_autofree char *flipped = g_strdup (token);
  char *last;

  expect_free (f, with_header (token, "{\"alg\":\"none\"}"), "not ES256");
  expect_free (f, with_header (token, "{\"alg\":\"HS256\",\"kid\":\"x\"}"), "not ES256");
  expect_free (f, with_header (token, "{\"alg\":\"ES256\"}"), "another key");
  expect_free (f, with_header (token, "{\"alg\":\"ES256\",\"kid\":\"x\"}"), "another key");
  expect_free (f, with_header (token, "{\"alg\":7}"), "not ES256");
  expect_free (f, with_header (token, "[]"), "unreadable header");
  expect_free (f, with_header (token, other_kid), "critical");
  expect_free (f, with_header (token, doubled), "unreadable header");
  expect (f, cut, NULL, "unreadable signature");
  last = flipped + strlen (flipped) - 10;
  *last = *last == 'A' ? 'B' : 'A';
  expect (f, flipped, NULL, "wrong signature");
  expect_free (f, with_payload (token, "{\"iss\":\"" ISSUER "\",\"sub\":\"system:serviceaccount:kube-system:admin\"}"), "wrong signature");
  expect_free (f, with_payload (token, "{\"iss\":\"somebody else\"}"), "");
  expect_free (f, with_payload (token, "{\"iss\":\"" ISSUER "\",\"iss\":\"" ISSUER "\"}"), "");
  expect_free (f, with_payload (token, deep), "");
  expect (f, huge, NULL, "");
  expect_free (f, g_strjoin (".", huge, huge, huge, NULL), "");
  expect_free (f, g_strconcat (token, ".", NULL), "");
  expect_free (f, g_strconcat (token, "=", NULL), "unreadable signature");
  expect_free (f, g_strjoin (".", parts[0], parts[2], parts[1], NULL), "");
  expect (f, "", NULL, "");
  expect (f, ".", NULL, "");
  expect (f, "..", NULL, "");
  expect (f, "a.b.c", NULL, "");
  expect (f, "\xff\xfe.\x01.\x80", NULL, "");
}

/* Another cluster's key, same issuer. */
static void
test_other_key (Fixture *f, gconstpointer data)
{
  Fixture other = { 0 };
  CubeTokenRequest request = pod_request (3600);
  g_autofree char *token = NULL;

  set_up (&other, NULL);
  token = issue (&other, &request);
  expect (f, token, NULL, "another key");
  tear_down (&other, NULL);
}

/* Numbers of the signature that are short of 32 bytes come up once in 128. */
static void
test_many (Fixture *f, gconstpointer data)
{
  CubeTokenRequest request = pod_request (3600);

  for (guint i = 0; i < 400; i++)
    expect_free (f, issue (f, &request), NULL);
}

/* Random bytes over good tokens: never a user, never a crash. */
static void
test_mutations (Fixture *f, gconstpointer data)
{
  CubeTokenRequest request = pod_request (3600);
  g_autofree char *token = issue (f, &request);
  gsize length = strlen (token);

  for (guint i = 0; i < 20000; i++)
    {
      g_autofree char *bad = g_strdup (token);
      g_autoptr (CubeUser) user = NULL;
      g_autoptr (GError) error = NULL;
      guint n = 1 + (guint) g_test_rand_int_range (0, 3);

      for (guint j = 0; j < n; j++)
        bad[g_test_rand_int_range (0, (gint32) length)] = (char) g_test_rand_int_range (1, 256);
      if (g_str_equal (bad, token))
        continue;
      tokens_check (f->tokens, bad, NULL, &user, NULL, &error);
      g_assert_null (user);
    }
}

static void
test_jwks (Fixture *f, gconstpointer data)
{
  g_autofree char *text = jwt_key_to_jwks (tokens_key (f->tokens));
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, NULL);
  CubeView key = cube_view_dotted (cube_value_root (value), "keys[0]");

  g_assert_cmpstr (cube_view_get_string (key, "kid"), ==, jwt_key_id (tokens_key (f->tokens)));
  g_assert_cmpstr (cube_view_get_string (key, "crv"), ==, "P-256");
  g_assert_cmpuint (strlen (cube_view_get_string (key, "x")), ==, 43);
  g_assert_cmpuint (strlen (cube_view_get_string (key, "y")), ==, 43);
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/tokens/user", test_user);
  ADD ("/tokens/claims", test_claims);
  ADD ("/tokens/time-and-bonds", test_time_and_bonds);
  ADD ("/tokens/audiences", test_audiences);
  ADD ("/tokens/tampering", test_tampering);
  ADD ("/tokens/other-key", test_other_key);
  ADD ("/tokens/many", test_many);
  ADD ("/tokens/mutations", test_mutations);
  ADD ("/tokens/jwks", test_jwks);
  return g_test_run ();
}
