/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates are judged by openssl, not by the library that made them. */
#include "authority.h"

#include "pki.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
  char *dir, *pki;
  gint64 now_us;
  Authority *authority;
} Fixture;

static gint64
test_now (gpointer data)
{
  return ((Fixture *) data)->now_us;
}

static void
test_random (gpointer data, void *buffer, gsize length)
{
  for (gsize i = 0; i < length; i++)
    ((guint8 *) buffer)[i] = (guint8) g_random_int ();
}

static void
fixture_open (Fixture *f)
{
  AuthoritySeams seams = { test_now, test_random, f };

  authority_free (f->authority);
  f->authority = authority_new (f->pki, &seams);
}

static void
set_up (Fixture *f, gconstpointer data)
{
  f->dir = g_dir_make_tmp ("ca-XXXXXX", NULL);
  f->pki = g_build_filename (f->dir, "pki", NULL);
  f->now_us = g_get_real_time ();
  fixture_open (f);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);
      remove_tree (child);
    }
  remove (path);
}

static void
tear_down (Fixture *f, gconstpointer data)
{
  authority_free (f->authority);
  remove_tree (f->dir);
  g_free (f->dir);
  g_free (f->pki);
}

static char *
put (Fixture *f, const char *name, const char *text)
{
  char *path = g_build_filename (f->dir, name, NULL);

  g_assert_true (g_file_set_contents (path, text, -1, NULL));
  return path;
}

/* Runs a shell line in the fixture's folder; its standard output. */
static char *
run (Fixture *f, const char *line, int *ret_status)
{
  g_autofree char *command = g_strdup_printf ("cd '%s' && %s 2>&1", f->dir, line);
  const char *argv[] = { "/bin/sh", "-c", command, NULL };
  char *out = NULL;
  int status = 0;
  g_autoptr (GError) error = NULL;

  g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, &out, NULL, &status, &error);
  g_assert_no_error (error);
  if (ret_status != NULL)
    *ret_status = status;
  else if (status != 0)
    g_error ("%s: %s", line, out);
  return out;
}

static void
put_ca (Fixture *f)
{
  g_autofree char *pem = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (authority_get_ca (f->authority, &pem, &error));
  g_assert_no_error (error);
  g_free (put (f, "ca.pem", pem));
}

static void
test_server (Fixture *f, gconstpointer data)
{
  const char *const dns[] = { "localhost", "kubernetes.default.svc", NULL }, *const ips[] = { "127.0.0.1", "::1", NULL };
  CubeCertificateRequest request = { .common_name = "kube-apiserver", .dns_names = dns, .ip_addresses = ips, .is_server = TRUE };
  g_autofree char *certificate = NULL, *key = NULL, *text = NULL, *path = NULL;
  g_autoptr (GError) error = NULL;
  int status = 0;

  g_assert_true (authority_issue (f->authority, &request, &certificate, &key, &error));
  g_assert_no_error (error);
  put_ca (f);
  g_free (put (f, "leaf.pem", certificate));
  g_free (put (f, "leaf.key", key));
  g_free (run (f, "openssl verify -x509_strict -purpose sslserver -verify_ip 127.0.0.1 -CAfile ca.pem leaf.pem", NULL));
  g_free (run (f, "openssl verify -x509_strict -purpose sslserver -verify_ip ::1 -CAfile ca.pem leaf.pem", NULL));
  g_free (run (f, "openssl verify -x509_strict -purpose sslserver -verify_hostname kubernetes.default.svc -CAfile ca.pem leaf.pem", NULL));
  g_free (run (f, "openssl verify -purpose sslclient -CAfile ca.pem leaf.pem", &status));
  g_assert_cmpint (status, !=, 0);
  g_free (run (f, "test \"$(openssl x509 -in leaf.pem -noout -pubkey)\" = \"$(openssl pkey -in leaf.key -pubout)\"", NULL));
  text = run (f, "openssl x509 -in leaf.pem -noout -text", NULL);
  g_assert_nonnull (strstr (text, "X509v3 Authority Key Identifier"));
  g_assert_nonnull (strstr (text, "X509v3 Subject Key Identifier"));
  g_assert_nonnull (strstr (text, "X509v3 Basic Constraints: critical"));
  g_assert_nonnull (strstr (text, "CA:FALSE"));
  g_assert_nonnull (strstr (text, "ecdsa-with-SHA256"));
}

static void
test_client (Fixture *f, gconstpointer data)
{
  const char *const groups[] = { "system:masters", "second group", NULL };
  CubeCertificateRequest request = { .common_name = "kubernetes-admin", .organizations = groups, .is_client = TRUE, .valid_seconds = 3600 };
  g_autofree char *certificate = NULL, *key = NULL, *subject = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (authority_issue (f->authority, &request, &certificate, &key, &error));
  g_assert_no_error (error);
  put_ca (f);
  g_free (put (f, "leaf.pem", certificate));
  g_free (run (f, "openssl verify -x509_strict -purpose sslclient -CAfile ca.pem leaf.pem", NULL));
  g_free (run (f, "openssl x509 -in leaf.pem -noout -checkend 3000", NULL));
  g_free (run (f, "! openssl x509 -in leaf.pem -noout -checkend 3700", NULL));
  subject = run (f, "openssl x509 -in leaf.pem -noout -subject -nameopt RFC2253", NULL);
  g_assert_nonnull (strstr (subject, "CN=kubernetes-admin,O=second group,O=system:masters"));
}

static void
test_refused_requests (Fixture *f, gconstpointer data)
{
  const char *const bad_ip[] = { "1.2.3", NULL }, *const bad_dns[] = { "a b", NULL };
  const CubeCertificateRequest cases[] = {
    { .common_name = "x" },                                         /* no usage */
    { .common_name = "", .is_client = TRUE },                       /* no name */
    { .is_client = TRUE },                                          /* no name */
    { .common_name = "x", .is_client = TRUE, .valid_seconds = -1 }, /* never valid */
    { .common_name = "x", .is_server = TRUE, .ip_addresses = bad_ip },
    { .common_name = "x", .is_server = TRUE, .dns_names = bad_dns },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (GError) error = NULL;
      char *certificate = NULL, *key = NULL;

      g_assert_false (authority_issue (f->authority, &cases[i], &certificate, &key, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
      g_assert_null (certificate);
    }
}

static void
test_files (Fixture *f, gconstpointer data)
{
  g_autofree char *first = NULL, *second = NULL, *key = g_build_filename (f->pki, "ca.key", NULL);
  g_autofree char *crt = g_build_filename (f->pki, "ca.crt", NULL), *pem = NULL;
  g_autoptr (GError) error = NULL;
  struct stat st;

  g_assert_false (g_file_test (f->pki, G_FILE_TEST_EXISTS)); /* made at first use only */
  g_assert_true (authority_get_ca (f->authority, &first, &error));
  g_assert_cmpint (stat (key, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0600);
  g_assert_cmpint (stat (f->pki, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0700);
  fixture_open (f);
  g_assert_true (authority_get_ca (f->authority, &second, &error));
  g_assert_cmpstr (first, ==, second);

  g_assert_cmpint (chmod (key, 0644), ==, 0);
  fixture_open (f);
  g_assert_false (authority_get_ca (f->authority, &pem, &error));
  g_assert_nonnull (strstr (error->message, "nobody else may read it"));
  g_clear_error (&error);

  g_assert_cmpint (g_unlink (key), ==, 0); /* a certificate without its key is never overwritten */
  fixture_open (f);
  g_assert_false (authority_get_ca (f->authority, &pem, &error));
  g_assert_nonnull (strstr (error->message, "is missing"));
  g_clear_error (&error);
  g_assert_true (g_file_test (crt, G_FILE_TEST_EXISTS));
  g_assert_false (g_file_test (key, G_FILE_TEST_EXISTS));
}

static void
test_mismatch_and_expiry (Fixture *f, gconstpointer data)
{
  g_autofree char *pem = NULL, *key = g_build_filename (f->pki, "ca.key", NULL);
  g_autoptr (GError) error = NULL;
  g_auto (gnutls_x509_privkey_t) other = NULL;

  g_assert_true (authority_get_ca (f->authority, &pem, &error));
  f->now_us += G_GINT64_CONSTANT (3651) * 86400 * G_USEC_PER_SEC;
  fixture_open (f);
  g_clear_pointer (&pem, g_free);
  g_assert_false (authority_get_ca (f->authority, &pem, &error));
  g_assert_nonnull (strstr (error->message, "expired"));
  g_clear_error (&error);
  g_assert_cmpint (g_unlink (key), ==, 0);
  other = pki_key_load_or_make (key, &error);
  g_assert_no_error (error);
  fixture_open (f);
  g_assert_false (authority_get_ca (f->authority, &pem, &error));
  g_assert_nonnull (strstr (error->message, "does not belong to the key"));
}

static void
test_csr (Fixture *f, gconstpointer data)
{
  g_autofree char *csr = NULL, *certificate = NULL, *broken = NULL, *subject = NULL;
  g_autoptr (GError) error = NULL;
  CubeCertificateRequest client = { .is_client = TRUE, .valid_seconds = 600 }, server = { .is_server = TRUE };
  char *eol;

  g_free (run (f,
               "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj '/O=dev/O=ops/CN=jane' -out r.csr",
               NULL));
  csr = run (f, "cat r.csr", NULL);
  g_assert_true (authority_sign_csr (f->authority, csr, &client, &certificate, &error));
  g_assert_no_error (error);
  put_ca (f);
  g_free (put (f, "leaf.pem", certificate));
  g_free (run (f, "openssl verify -x509_strict -purpose sslclient -CAfile ca.pem leaf.pem", NULL));
  subject = run (f, "openssl x509 -in leaf.pem -noout -subject -nameopt RFC2253", NULL);
  g_assert_nonnull (strstr (subject, "CN=jane,O=ops,O=dev"));
  g_clear_pointer (&certificate, g_free);

  /* no usage at all, neither from the request nor from the caller */
  g_assert_false (authority_sign_csr (f->authority, csr, NULL, &certificate, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
  g_clear_error (&error);

  /* another subject under the old signature */
  broken = g_strdup (csr);
  eol = strchr (broken, '\n');
  eol[30] = eol[30] == 'A' ? 'B' : 'A';
  g_assert_false (authority_sign_csr (f->authority, broken, &client, &certificate, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
  g_clear_error (&error);

  g_assert_false (authority_sign_csr (f->authority, "", &client, &certificate, &error));
  g_clear_error (&error);

  /* a client's request is not made a server certificate */
  g_clear_pointer (&csr, g_free);
  g_free (run (f, "openssl req -new -key k.pem -subj /CN=jane -addext extendedKeyUsage=clientAuth -out r.csr", NULL));
  csr = run (f, "cat r.csr", NULL);
  g_assert_false (authority_sign_csr (f->authority, csr, &server, &certificate, &error));
  g_assert_nonnull (strstr (error->message, "beyond those it asks for"));
  g_clear_error (&error);
  g_assert_true (authority_sign_csr (f->authority, csr, NULL, &certificate, &error));
  g_assert_no_error (error);
}

static void
test_csr_refused (Fixture *f, gconstpointer data)
{
  static const char *const lines[] = {
    "openssl req -new -newkey rsa:1024 -nodes -keyout k.pem -subj /CN=a -out r.csr",
    "openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=a -addext basicConstraints=CA:TRUE -out r.csr",
    "openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=a -addext extendedKeyUsage=codeSigning -out r.csr",
    "openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=a -addext subjectAltName=email:a@b.c -out r.csr",
    "openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /O=a -out r.csr",
  };
  CubeCertificateRequest client = { .is_client = TRUE };

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    {
      g_autofree char *csr = NULL, *certificate = NULL;
      g_autoptr (GError) error = NULL;

      g_free (run (f, lines[i], NULL));
      csr = run (f, "cat r.csr", NULL);
      g_assert_false (authority_sign_csr (f->authority, csr, &client, &certificate, &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
    }
}

#define ADD(path, func) g_test_add (path, Fixture, NULL, set_up, func, tear_down)

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  ADD ("/ca/server", test_server);
  ADD ("/ca/client", test_client);
  ADD ("/ca/refused-requests", test_refused_requests);
  ADD ("/ca/files", test_files);
  ADD ("/ca/mismatch-and-expiry", test_mismatch_and_expiry);
  ADD ("/ca/csr", test_csr);
  ADD ("/ca/csr-refused", test_csr_refused);
  return g_test_run ();
}
