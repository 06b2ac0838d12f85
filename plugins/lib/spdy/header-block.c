/* SPDX-License-Identifier: Apache-2.0 */
#include "header-block.h"

#include <string.h>
#include <zlib.h>

#include "frame.h"

struct _CubeSpdyDeflater {
  z_stream z;
};
struct _CubeSpdyInflater {
  z_stream z;
};

/* The dictionary is a block's layout: words with their lengths, then text. */
static const char *const dictionary_words[] = {
  "options",
  "head",
  "post",
  "put",
  "delete",
  "trace",
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "accept-ranges",
  "age",
  "allow",
  "authorization",
  "cache-control",
  "connection",
  "content-base",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "date",
  "etag",
  "expect",
  "expires",
  "from",
  "host",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "pragma",
  "proxy-authenticate",
  "proxy-authorization",
  "range",
  "referer",
  "retry-after",
  "server",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "user-agent",
  "vary",
  "via",
  "warning",
  "www-authenticate",
  "method",
  "get",
  "status",
  "200 OK",
  "version",
  "HTTP/1.1",
  "url",
  "public",
  "set-cookie",
  "keep-alive",
  "origin",
};
static const char dictionary_text[] = "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
                                      "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
                                      "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
                                      "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, "
                                      "Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
                                      "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdch"
                                      "charset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

static void
append_u32 (GByteArray *out, guint32 value)
{
  guint32 big = GUINT32_TO_BE (value);

  g_byte_array_append (out, (const guint8 *) &big, sizeof big);
}

static void
append_text (GByteArray *out, const char *text)
{
  append_u32 (out, (guint32) strlen (text));
  g_byte_array_append (out, (const guint8 *) text, (guint) strlen (text));
}

const guint8 *
cube_spdy_dictionary (gsize *ret_size)
{
  static gsize once;
  static GByteArray *dictionary;

  if (g_once_init_enter (&once))
    {
      dictionary = g_byte_array_new ();
      for (guint i = 0; i < G_N_ELEMENTS (dictionary_words); i++)
        append_text (dictionary, dictionary_words[i]);
      g_byte_array_append (dictionary, (const guint8 *) dictionary_text, sizeof dictionary_text - 1);
      g_once_init_leave (&once, 1);
    }
  *ret_size = dictionary->len;
  return dictionary->data;
}

/* zlib reports running out of memory only; GLib's way with that is to abort. */
CubeSpdyDeflater *
cube_spdy_deflater_new (void)
{
  CubeSpdyDeflater *self = g_new0 (CubeSpdyDeflater, 1);
  gsize size;
  const guint8 *dictionary = cube_spdy_dictionary (&size);

  if (deflateInit (&self->z, Z_DEFAULT_COMPRESSION) != Z_OK || deflateSetDictionary (&self->z, dictionary, (uInt) size) != Z_OK)
    g_error ("zlib: out of memory");
  return self;
}

void
cube_spdy_deflater_free (CubeSpdyDeflater *self)
{
  if (self == NULL)
    return;
  deflateEnd (&self->z);
  g_free (self);
}

CubeSpdyInflater *
cube_spdy_inflater_new (void)
{
  CubeSpdyInflater *self = g_new0 (CubeSpdyInflater, 1);

  if (inflateInit (&self->z) != Z_OK)
    g_error ("zlib: out of memory");
  return self;
}

void
cube_spdy_inflater_free (CubeSpdyInflater *self)
{
  if (self == NULL)
    return;
  inflateEnd (&self->z);
  g_free (self);
}

void
cube_spdy_deflater_add (CubeSpdyDeflater *self, const char *const *pairs, GByteArray *out)
{
  g_autoptr (GByteArray) plain = g_byte_array_new ();
  guint8 piece[1024];
  guint n = 0;

  while (pairs[n] != NULL)
    n++;
  append_u32 (plain, n / 2);
  for (guint i = 0; i + 1 < n; i += 2)
    {
      g_autofree char *name = g_ascii_strdown (pairs[i], -1);

      append_text (plain, name);
      append_text (plain, pairs[i + 1]);
    }
  self->z.next_in = plain->data;
  self->z.avail_in = plain->len;
  do
    {
      self->z.next_out = piece;
      self->z.avail_out = sizeof piece;
      deflate (&self->z, Z_SYNC_FLUSH);
      g_byte_array_append (out, piece, (guint) (sizeof piece - self->z.avail_out));
    }
  while (self->z.avail_out == 0);
}

static gboolean
inflate_block (z_stream *z, const guint8 *bytes, gsize size, GByteArray *out, GError **error)
{
  gsize dictionary_size;
  const guint8 *dictionary = cube_spdy_dictionary (&dictionary_size);
  guint8 piece[4096];

  z->next_in = (Bytef *) bytes;
  z->avail_in = (uInt) size;
  do
    {
      int result;

      z->next_out = piece;
      z->avail_out = sizeof piece;
      result = inflate (z, Z_SYNC_FLUSH);
      if (result == Z_NEED_DICT)
        result = inflateSetDictionary (z, dictionary, (uInt) dictionary_size);
      g_byte_array_append (out, piece, (guint) (sizeof piece - z->avail_out));
      if (result == Z_BUF_ERROR && z->avail_in == 0)
        return TRUE;
      if (result != Z_OK)
        return cube_spdy_fail (error, "header block does not inflate: %s", z->msg != NULL ? z->msg : "broken stream");
      if (out->len > CUBE_SPDY_MAX_HEADER_BYTES)
        return cube_spdy_fail (error, "header block of more than %d bytes", CUBE_SPDY_MAX_HEADER_BYTES);
    }
  while (z->avail_in > 0 || z->avail_out == 0);
  return TRUE;
}

/* Moves past one text; NULL if it reaches beyond the end. */
static char *
take_text (const guint8 **at, gsize *left)
{
  guint32 length;
  char *text;

  if (*left < 4)
    return NULL;
  length = cube_spdy_read_u32 (*at);
  if (length > *left - 4)
    return NULL;
  text = g_strndup ((const char *) *at + 4, length);
  *at += 4 + length;
  *left -= 4 + length;
  return text;
}

GHashTable *
cube_spdy_inflater_read (CubeSpdyInflater *self, const guint8 *bytes, gsize size, GError **error)
{
  g_autoptr (GByteArray) plain = g_byte_array_new ();
  g_autoptr (GHashTable) pairs = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  const guint8 *at;
  gsize left;
  guint32 n;

  if (!inflate_block (&self->z, bytes, size, plain, error))
    return NULL;
  if (plain->len < 4)
    {
      cube_spdy_fail (error, "header block of %u bytes has no count", plain->len);
      return NULL;
    }
  at = plain->data + 4;
  left = plain->len - 4;
  n = cube_spdy_read_u32 (plain->data);
  if (n > CUBE_SPDY_MAX_HEADERS)
    {
      cube_spdy_fail (error, "%u headers, at most %d are read", n, CUBE_SPDY_MAX_HEADERS);
      return NULL;
    }
  for (guint32 i = 0; i < n; i++)
    {
      g_autofree char *name = take_text (&at, &left);
      g_autofree char *value = name != NULL ? take_text (&at, &left) : NULL;

      if (value == NULL)
        {
          cube_spdy_fail (error, "header %u of %u reaches beyond its block", i + 1, n);
          return NULL;
        }
      g_hash_table_insert (pairs, g_ascii_strdown (name, -1), g_steal_pointer (&value));
    }
  return g_steal_pointer (&pairs);
}
