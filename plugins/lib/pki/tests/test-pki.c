/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <gio/gio.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
test_base64url (void)
{
  static const struct {
    const char *text;
    gssize length;
  } cases[] = {
    { "", 0 },   { "QQ", 1 },    { "QUI", 2 }, { "QUJD", 3 },  { "QUJDRA", 4 }, { "-_-_", 3 },                   /* good */
    { "A", -1 }, { "QQ==", -1 }, { "QR", -1 }, { "QU J", -1 }, { "QUI/", -1 },  { "QUI+", -1 }, { "QUJDR", -1 }, /* not */
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      gsize n = 0;
      g_autofree guint8 *data = pki_base64url_decode (cases[i].text, strlen (cases[i].text), 100, &n);

      g_assert_cmpint (data != NULL ? (gssize) n : -1, ==, cases[i].length);
      if (data != NULL)
        {
          g_autofree char *again = pki_base64url (data, n);
          g_assert_cmpstr (again, ==, cases[i].text);
        }
    }
  {
    gsize n = 0;
    g_assert_null (pki_base64url_decode ("QUJDRA", 6, 3, &n)); /* longer than allowed */
  }
}

static void
remove_all (const char *dir)
{
  g_autoptr (GDir) d = g_dir_open (dir, 0, NULL);
  const char *name;

  while (d != NULL && (name = g_dir_read_name (d)) != NULL)
    {
      g_autofree char *path = g_build_filename (dir, name, NULL);
      unlink (path);
    }
  rmdir (dir);
}

static void
test_key_file (void)
{
  g_autofree char *dir = g_dir_make_tmp ("pki-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (dir, "sa.key", NULL), *link = g_build_filename (dir, "link.key", NULL);
  g_autoptr (GError) error = NULL;
  g_auto (gnutls_x509_privkey_t) first = pki_key_load_or_make (path, &error);
  g_auto (gnutls_x509_privkey_t) second = NULL;
  char *a, *b;
  struct stat st;

  g_assert_no_error (error);
  g_assert_cmpint (stat (path, &st), ==, 0);
  g_assert_cmpuint (st.st_mode & 0777, ==, 0600);
  second = pki_key_load_or_make (path, &error);
  g_assert_no_error (error);
  a = pki_key_to_pem (first, NULL);
  b = pki_key_to_pem (second, NULL);
  g_assert_cmpstr (a, ==, b);
  pki_wipe (a);
  pki_wipe (b);

  g_assert_cmpint (chmod (path, 0640), ==, 0);
  g_assert_null (pki_key_load_or_make (path, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  g_assert_nonnull (strstr (error->message, "found mode 640"));
  g_clear_error (&error);
  g_assert_cmpint (chmod (path, 0600), ==, 0);

  g_assert_cmpint (symlink (path, link), ==, 0);
  g_assert_null (pki_key_load_or_make (link, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);

  g_assert_true (pki_write_file (path, "nonsense", 0600, NULL));
  g_assert_null (pki_key_load_or_make (path, &error));
  g_assert_nonnull (error);
  remove_all (dir);
}

static void
test_directory (void)
{
  g_autofree char *dir = g_dir_make_tmp ("pki-XXXXXX", NULL), *sub = g_build_filename (dir, "pki", NULL);
  g_autoptr (GError) error = NULL;

  g_assert_true (pki_ensure_directory (sub, &error));
  g_assert_true (pki_ensure_directory (sub, &error));
  g_assert_cmpint (chmod (sub, 0750), ==, 0);
  g_assert_false (pki_ensure_directory (sub, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED);
  rmdir (sub);
  rmdir (dir);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/pki/base64url", test_base64url);
  g_test_add_func ("/pki/key-file", test_key_file);
  g_test_add_func ("/pki/directory", test_directory);
  return g_test_run ();
}
