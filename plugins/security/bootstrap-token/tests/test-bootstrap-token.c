/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include <cube/scalar.h>

#define ID "abcdef"
#define SECRET "0123456789abcdef"
#define NOW_US (1800000000 * (gint64) G_USEC_PER_SEC)

typedef struct {
  const char *type, *id, *secret, *expiration, *usage, *groups;
} Parts;
#define PARTS_GOOD                                                                                                                         \
  {                                                                                                                                        \
    TOKEN_SECRET_TYPE, ID, SECRET, NULL, "true", NULL                                                                                      \
  }

static void
add (CubeMut *data, const char *key, const char *text)
{
  g_autofree char *encoded = text != NULL ? g_base64_encode ((const guchar *) text, strlen (text)) : NULL;

  if (encoded != NULL)
    cube_mut_set_string (data, key, encoded);
}

static CubeValue *
make_secret (const Parts *parts)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *data = cube_mut_set_object (root, "data");

  cube_mut_set_string (root, "type", parts->type);
  add (data, "token-id", parts->id);
  add (data, "token-secret", parts->secret);
  add (data, "expiration", parts->expiration);
  add (data, "usage-bootstrap-authentication", parts->usage);
  add (data, "auth-extra-groups", parts->groups);
  return cube_builder_end (builder);
}

static CubeUser *
check (const Parts *parts, GError **error)
{
  g_autoptr (CubeValue) secret = make_secret (parts);

  return token_check (cube_value_root (secret), ID, SECRET, NOW_US, error);
}

static void
test_split (void)
{
  static const char *const bad[] = { "",
                                     "abcdef",
                                     "abcdef.",
                                     "abcdef.0123456789abcde",
                                     "abcdef.0123456789abcdef0",
                                     "ABCDEF.0123456789abcdef",
                                     "abcdef-0123456789abcdef",
                                     "abc/ef.0123456789abcdef",
                                     "abcdef.0123456789abcde\n" };
  char id[TOKEN_ID_LENGTH + 1];
  const char *secret;

  g_assert_true (token_split (ID "." SECRET, id, &secret));
  g_assert_cmpstr (id, ==, ID);
  g_assert_cmpstr (secret, ==, SECRET);
  g_assert_false (token_split (NULL, id, &secret));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    g_assert_false (token_split (bad[i], id, &secret));
}

static void
test_good (void)
{
  Parts parts = PARTS_GOOD;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeUser) user = NULL;

  parts.groups = "system:bootstrappers:kubeadm:default-node-token,system:bootstrappers:a";
  user = check (&parts, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (user->name, ==, "system:bootstrap:" ID);
  g_assert_true (cube_user_in_group (user, "system:bootstrappers"));
  g_assert_true (cube_user_in_group (user, "system:bootstrappers:kubeadm:default-node-token"));
  g_assert_true (cube_user_in_group (user, "system:authenticated"));
  g_assert_false (cube_user_in_group (user, "system:masters"));
}

static void
test_refused (void)
{
  static const struct {
    Parts parts;
    const char *word;
  } cases[] = {
    { { "Opaque", ID, SECRET, NULL, "true", NULL }, "another type" },
    { { TOKEN_SECRET_TYPE, "zzzzzz", SECRET, NULL, "true", NULL }, "wrong secret" },
    { { TOKEN_SECRET_TYPE, ID, "0123456789abcdeg", NULL, "true", NULL }, "wrong secret" },
    { { TOKEN_SECRET_TYPE, ID, "", NULL, "true", NULL }, "wrong secret" },
    { { TOKEN_SECRET_TYPE, ID, NULL, NULL, "true", NULL }, "wrong secret" },
    { { TOKEN_SECRET_TYPE, ID, SECRET, "2027-01-15T07:59:59Z", "true", NULL }, "expired" },
    { { TOKEN_SECRET_TYPE, ID, SECRET, "tomorrow", "true", NULL }, "expired" },
    { { TOKEN_SECRET_TYPE, ID, SECRET, NULL, "false", NULL }, "not for authentication" },
    { { TOKEN_SECRET_TYPE, ID, SECRET, NULL, NULL, NULL }, "not for authentication" },
    { { TOKEN_SECRET_TYPE, ID, SECRET, NULL, "true", "system:masters" }, "auth-extra-groups" },
    { { TOKEN_SECRET_TYPE, ID, SECRET, NULL, "true", "system:bootstrappers:X" }, "auth-extra-groups" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (CubeUser) user = check (&cases[i].parts, &error);

      g_assert_null (user);
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED);
      g_assert_nonnull (strstr (error->message, cases[i].word));
      g_assert_null (strstr (error->message, SECRET));
    }
}

static void
test_expiry (void)
{
  Parts parts = PARTS_GOOD;
  g_autoptr (CubeUser) user = NULL;

  parts.expiration = "2027-01-15T08:00:01Z"; /* a second after now */
  user = check (&parts, NULL);
  g_assert_nonnull (user);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/security/bootstrap-token/split", test_split);
  g_test_add_func ("/security/bootstrap-token/good", test_good);
  g_test_add_func ("/security/bootstrap-token/refused", test_refused);
  g_test_add_func ("/security/bootstrap-token/expiry", test_expiry);
  return g_test_run ();
}
