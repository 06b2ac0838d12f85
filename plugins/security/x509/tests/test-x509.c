/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made by openssl, so that maker and judge are different programs. */
#include "verifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *dir;

static void
run (const char *line)
{
  g_autofree char *command = g_strdup_printf ("cd '%s' && (%s) >log 2>&1", dir, line);
  const char *argv[] = { "/bin/sh", "-c", command, NULL };
  int status = 0;

  g_assert_true (g_spawn_sync (NULL, (char **) argv, NULL, 0, NULL, NULL, NULL, NULL, &status, NULL));
  if (status != 0)
    g_error ("%s", line);
}

static char *
slurp (const char *name)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *text = NULL;

  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  return text;
}

static GTlsCertificate *
load (const char *name)
{
  g_autofree char *text = slurp (name);
  g_autoptr (GError) error = NULL;
  GTlsCertificate *certificate = g_tls_certificate_new_from_pem (text, -1, &error);

  g_assert_no_error (error);
  return certificate;
}

static void
make_files (void)
{
  const char *leaf =
      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj '%s' -out r.csr && "
      "printf '%s' > ext && openssl x509 -req -in r.csr -CA %s.pem -CAkey %s.key -CAcreateserial -days 30 -extfile ext -out %s.pem";
  static const char *const leaves[][4] = {
    { "/O=dev/O=system:masters/CN=jane", "extendedKeyUsage=clientAuth", "ca", "good" },
    { "/O=dev/CN=nousage", "basicConstraints=CA:FALSE", "ca", "nousage" },
    { "/CN=apiserver", "extendedKeyUsage=serverAuth", "ca", "server" },
    { "/O=only", "extendedKeyUsage=clientAuth", "ca", "nobody" },
    { "/O=system:masters/CN=mallory", "extendedKeyUsage=clientAuth", "other", "foreign" },
    { "/O=system:masters/CN=mallory", "extendedKeyUsage=clientAuth", "nousage", "under-leaf" },
  };

  run (
      "for c in ca other; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $c.key -subj /CN=cube-ca -days 60 "
      "-out $c.pem; done");
  for (guint i = 0; i < G_N_ELEMENTS (leaves); i++)
    {
      const char *const *l = leaves[i];
      g_autofree char *line = g_strdup_printf (leaf, l[0], l[1], l[2], l[2], l[3]);
      g_autofree char *keep = g_strdup_printf ("cp k.pem %s.key", l[3]);

      run (line);
      run (keep);
    }
}

static gboolean
check (const char *name, gint64 offset_days, CubeUser **ret_user, GError **error)
{
  g_autofree char *ca = slurp ("ca.pem");
  g_autoptr (Verifier) verifier = verifier_new (ca, NULL);
  g_autoptr (GTlsCertificate) certificate = load (name);

  g_assert_nonnull (verifier);
  return verifier_check (verifier, certificate, g_get_real_time () + offset_days * 86400 * G_USEC_PER_SEC, ret_user, error);
}

static void
test_good (void)
{
  g_autofree char *ca = slurp ("ca.pem");
  g_autoptr (Verifier) verifier = verifier_new (ca, NULL);
  g_autoptr (GTlsCertificate) certificate = load ("good.pem");

  for (guint i = 0; i < 3; i++) /* the second and third from the cache */
    {
      g_autoptr (CubeUser) user = NULL;
      g_autoptr (GError) error = NULL;
      char **id;

      g_assert_true (verifier_check (verifier, certificate, g_get_real_time (), &user, &error));
      g_assert_no_error (error);
      g_assert_cmpstr (user->name, ==, "jane");
      g_assert_true (cube_user_in_group (user, "dev"));
      g_assert_true (cube_user_in_group (user, "system:masters"));
      g_assert_true (cube_user_in_group (user, "system:authenticated"));
      id = g_hash_table_lookup (user->extra, "authentication.kubernetes.io/credential-id");
      g_assert_true (g_str_has_prefix (id[0], "X509SHA256="));
    }
}

static void
test_time (void)
{
  g_autofree char *ca = slurp ("ca.pem");
  g_autoptr (Verifier) verifier = verifier_new (ca, NULL);
  g_autoptr (GTlsCertificate) certificate = load ("good.pem");
  static const int days[] = { 0, 31, -2, 1 };

  for (guint i = 0; i < G_N_ELEMENTS (days); i++) /* also when the cache knows it */
    {
      g_autoptr (CubeUser) user = NULL;
      g_autoptr (GError) error = NULL;
      gboolean is_good = days[i] == 0 || days[i] == 1;

      g_assert_cmpint (
          verifier_check (verifier, certificate, g_get_real_time () + (gint64) days[i] * 86400 * G_USEC_PER_SEC, &user, &error), ==,
          is_good);
      g_assert_true (is_good == (user != NULL));
      if (!is_good)
        g_assert_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED);
    }
}

static void
test_refused (void)
{
  static const char *const names[] = { "server.pem", "foreign.pem", "under-leaf.pem" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      CubeUser *user = NULL;
      g_autoptr (GError) error = NULL;

      g_assert_false (check (names[i], 0, &user, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_UNAUTHORIZED);
      g_assert_null (user);
    }
}

/* A leaf that signs for others, sent along as an intermediate. */
static void
test_chain_through_leaf (void)
{
  g_autofree char *ca = slurp ("ca.pem"), *a = slurp ("under-leaf.pem"), *b = slurp ("nousage.pem"), *both = g_strconcat (a, b, NULL);
  g_autofree char *path = g_build_filename (dir, "chain.pem", NULL);
  g_autoptr (Verifier) verifier = verifier_new (ca, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GTlsCertificate) certificate = NULL;
  CubeUser *user = NULL;

  g_assert_true (g_file_set_contents (path, both, -1, NULL));
  certificate = g_tls_certificate_new_from_file (path, &error);
  g_assert_no_error (error);
  g_assert_false (verifier_check (verifier, certificate, g_get_real_time (), &user, &error));
  g_assert_null (user);
}

static void
test_no_usage_is_any (void)
{
  g_autoptr (CubeUser) user = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (check ("nousage.pem", 0, &user, &error));
  g_assert_no_error (error);
  g_assert_cmpstr (user->name, ==, "nousage");
}

static void
test_nobody (void)
{
  CubeUser *user = (gpointer) 1;
  g_autoptr (GError) error = NULL;

  g_assert_true (check ("nobody.pem", 0, &user, &error));
  g_assert_no_error (error);
  g_assert_null (user);
}

int
main (int argc, char **argv)
{
  g_autofree char *clean = NULL;
  int result;

  g_test_init (&argc, &argv, NULL);
  dir = g_dir_make_tmp ("x509-XXXXXX", NULL);
  make_files ();
  g_test_add_func ("/x509/good", test_good);
  g_test_add_func ("/x509/time", test_time);
  g_test_add_func ("/x509/refused", test_refused);
  g_test_add_func ("/x509/chain-through-leaf", test_chain_through_leaf);
  g_test_add_func ("/x509/no-usage-is-any", test_no_usage_is_any);
  g_test_add_func ("/x509/nobody", test_nobody);
  result = g_test_run ();
  clean = g_strdup_printf ("rm -rf '%s'", dir);
  if (system (clean) != 0)
    g_warning ("cannot remove %s", dir);
  g_free (dir);
  return result;
}
