/* SPDX-License-Identifier: Apache-2.0 */
#include "pki.h"

#include <errno.h>
#include <fcntl.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_LIMIT 65536

static gboolean
fail_errno (GError **error, const char *verb, const char *path)
{
  int saved = errno;

  g_set_error (error, G_IO_ERROR, g_io_error_from_errno (saved), "cannot %s %s: %s", verb, path, g_strerror (saved));
  return FALSE;
}

gboolean
pki_fail (GError **error, int code, const char *what)
{
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "%s: %s", what, gnutls_strerror (code));
  return FALSE;
}

gboolean
pki_ensure_directory (const char *path, GError **error)
{
  struct stat st;

  if (g_mkdir_with_parents (path, 0700) != 0)
    return fail_errno (error, "make directory", path);
  if (lstat (path, &st) != 0)
    return fail_errno (error, "look at", path);
  if (!S_ISDIR (st.st_mode) || st.st_uid != geteuid () || (st.st_mode & 077) != 0)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                   "%s: found mode %03o, owner %u; wanted a directory of mode 700, owner %u", path, (guint) st.st_mode & 0777,
                   (guint) st.st_uid, (guint) geteuid ());
      return FALSE;
    }
  return TRUE;
}

static gboolean
write_all (int fd, const char *text, gsize length)
{
  while (length > 0)
    {
      gssize n = write (fd, text, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return FALSE;
      text += n;
      length -= (gsize) n;
    }
  return fsync (fd) == 0;
}

static gboolean
sync_directory_of (const char *path, GError **error)
{
  g_autofree char *dir = g_path_get_dirname (path);
  int fd = open (dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean is_done;

  if (fd < 0)
    return fail_errno (error, "open", dir);
  is_done = fsync (fd) == 0 || fail_errno (error, "sync", dir);
  close (fd);
  return is_done;
}

gboolean
pki_write_file (const char *path, const char *text, guint mode, GError **error)
{
  g_autofree char *temporary = g_strdup_printf ("%s.XXXXXX", path);
  int fd = g_mkstemp_full (temporary, O_RDWR | O_CLOEXEC, 0600);
  gboolean is_written;

  if (fd < 0)
    return fail_errno (error, "make", temporary);
  is_written = fchmod (fd, mode) == 0 && write_all (fd, text, strlen (text));
  if (!is_written)
    fail_errno (error, "write", temporary);
  if (close (fd) != 0 && is_written)
    is_written = fail_errno (error, "close", temporary);
  if (is_written && rename (temporary, path) != 0)
    is_written = fail_errno (error, "rename to", path);
  if (!is_written)
    {
      unlink (temporary);
      return FALSE;
    }
  return sync_directory_of (path, error);
}

static gboolean
check_secret (const char *path, const struct stat *st, GError **error)
{
  if (st->st_uid == geteuid () && (st->st_mode & 077) == 0)
    return TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
               "private key %s: found mode %03o, owner %u; wanted mode 600, owner %u: nobody else may read it (chmod 600, chown)", path,
               (guint) st->st_mode & 0777, (guint) st->st_uid, (guint) geteuid ());
  return FALSE;
}

static char *
read_fd (int fd, gsize size)
{
  g_autofree char *text = g_malloc0 (size + 1);
  gsize at = 0;

  while (at < size)
    {
      gssize n = read (fd, text + at, size - at);

      if (n < 0 && errno == EINTR)
        continue;
      if (n < 0)
        return NULL;
      if (n == 0)
        break;
      at += (gsize) n;
    }
  text[at] = '\0';
  return g_steal_pointer (&text);
}

static gboolean
read_open_file (int fd, const char *path, gboolean is_secret, char **ret_text, GError **error)
{
  struct stat st;
  char *text;

  if (fstat (fd, &st) != 0)
    return fail_errno (error, "look at", path);
  if (!S_ISREG (st.st_mode) || st.st_size > FILE_LIMIT)
    {
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "%s: wanted a regular file of at most %d bytes", path, FILE_LIMIT);
      return FALSE;
    }
  if (is_secret && !check_secret (path, &st, error))
    return FALSE;
  text = read_fd (fd, (gsize) st.st_size);
  if (text == NULL)
    return fail_errno (error, "read", path);
  *ret_text = text;
  return TRUE;
}

gboolean
pki_read_file (const char *path, gboolean is_secret, char **ret_text, GError **error)
{
  int fd = open (path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  gboolean is_read;

  if (fd < 0 && errno == ENOENT)
    {
      *ret_text = NULL;
      return TRUE;
    }
  if (fd < 0)
    return fail_errno (error, "open", path);
  is_read = read_open_file (fd, path, is_secret, ret_text, error);
  close (fd);
  return is_read;
}

gnutls_x509_privkey_t
pki_key_new (GError **error)
{
  g_auto (gnutls_x509_privkey_t) key = NULL;
  int code = gnutls_x509_privkey_init (&key);

  if (code >= 0)
    code = gnutls_x509_privkey_generate (key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS (GNUTLS_ECC_CURVE_SECP256R1), 0);
  if (code < 0)
    {
      pki_fail (error, code, "cannot make a key");
      return NULL;
    }
  return g_steal_pointer (&key);
}

gnutls_x509_privkey_t
pki_key_from_pem (const char *pem, GError **error)
{
  gnutls_datum_t datum = { (guchar *) pem, (guint) strlen (pem) };
  g_auto (gnutls_x509_privkey_t) key = NULL;
  int code = gnutls_x509_privkey_init (&key);

  if (code >= 0)
    code = gnutls_x509_privkey_import2 (key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
  if (code < 0)
    {
      pki_fail (error, code, "not a private key in PEM");
      return NULL;
    }
  return g_steal_pointer (&key);
}

char *
pki_key_to_pem (gnutls_x509_privkey_t key, GError **error)
{
  gnutls_datum_t out = { NULL, 0 };
  int code = gnutls_x509_privkey_export2_pkcs8 (key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &out);
  char *text;

  if (code < 0)
    {
      pki_fail (error, code, "cannot export a key");
      return NULL;
    }
  text = g_strndup ((const char *) out.data, out.size);
  gnutls_memset (out.data, 0, out.size);
  gnutls_free (out.data);
  return text;
}

gnutls_x509_privkey_t
pki_key_load_or_make (const char *path, GError **error)
{
  g_auto (gnutls_x509_privkey_t) key = NULL;
  char *pem = NULL;
  gboolean is_kept;

  if (path == NULL)
    return pki_key_new (error);
  if (!pki_read_file (path, TRUE, &pem, error))
    return NULL;
  if (pem != NULL)
    {
      key = pki_key_from_pem (pem, error);
      pki_wipe (pem);
      if (key == NULL)
        g_prefix_error (error, "%s: ", path);
      return g_steal_pointer (&key);
    }
  key = pki_key_new (error);
  pem = key != NULL ? pki_key_to_pem (key, error) : NULL;
  is_kept = pem != NULL && pki_write_file (path, pem, 0600, error);
  pki_wipe (pem);
  return is_kept ? g_steal_pointer (&key) : NULL;
}

void
pki_wipe (char *text)
{
  if (text != NULL)
    gnutls_memset (text, 0, strlen (text));
  g_free (text);
}

char *
pki_base64url (const void *data, gsize length)
{
  char *text = g_base64_encode (data, length);

  g_strdelimit (text, "+", '-');
  g_strdelimit (text, "/", '_');
  text[strcspn (text, "=")] = '\0';
  return text;
}

static int
sextet (char c)
{
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

guint8 *
pki_base64url_decode (const char *text, gsize length, gsize max, gsize *ret_length)
{
  gsize n = length / 4 * 3 + (length % 4 == 0 ? 0 : length % 4 - 1), at = 0;
  g_autofree guint8 *out = NULL;
  guint32 bits = 0;
  guint n_bits = 0;

  if (length % 4 == 1 || n > max)
    return NULL;
  out = g_malloc (n + 1);
  for (gsize i = 0; i < length; i++)
    {
      int six = sextet (text[i]);

      if (six < 0)
        return NULL;
      bits = (bits << 6) | (guint32) six;
      n_bits += 6;
      if (n_bits >= 8)
        {
          n_bits -= 8;
          out[at++] = (guint8) (bits >> n_bits);
          bits &= (1u << n_bits) - 1;
        }
    }
  if (bits != 0) /* RFC 4648 §3.5: the bits left over are zero, or two texts would mean the same */
    return NULL;
  out[at] = 0;
  *ret_length = at;
  return g_steal_pointer (&out);
}

char *
pki_datum_to_string (gnutls_datum_t *datum)
{
  char *text = g_strndup ((const char *) datum->data, datum->size);

  gnutls_free (datum->data);
  datum->data = NULL;
  datum->size = 0;
  return text;
}
