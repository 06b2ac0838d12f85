/* SPDX-License-Identifier: Apache-2.0 */
#include "codec.h"
#include "dictionary.h"
#include <string.h>
#include <zstd.h>

#define LEVEL -1                /* 3 µs for a Pod, a fifth of its bytes; higher levels gain a few per cent for twice the time */
#define MIN_BYTES 128           /* smaller ones stay text */
#define KEEP_BYTES (256 * 1024) /* a buffer that had to be bigger is not kept */
#define MAX_BYTES (64 * 1024 * 1024)
#define DICTIONARY_VERSION 1 /* a change of the text is a new version beside this one: old rows need theirs */

struct _Codec {
  ZSTD_CCtx *packer;
  ZSTD_DCtx *unpacker;
  ZSTD_CDict *pack_dictionary;
  ZSTD_DDict *unpack_dictionary;
  char *buffer;
  gsize size;
};

Codec *
codec_new (void)
{
  Codec *codec = g_new0 (Codec, 1);
  codec->packer = ZSTD_createCCtx ();
  codec->unpacker = ZSTD_createDCtx ();
  codec->pack_dictionary = ZSTD_createCDict (codec_dictionary, strlen (codec_dictionary), LEVEL);
  codec->unpack_dictionary = ZSTD_createDDict (codec_dictionary, strlen (codec_dictionary));
  ZSTD_CCtx_setParameter (codec->packer, ZSTD_c_checksumFlag, 1);
  ZSTD_CCtx_refCDict (codec->packer, codec->pack_dictionary);
  ZSTD_DCtx_refDDict (codec->unpacker, codec->unpack_dictionary);
  return codec;
}

void
codec_free (Codec *codec)
{
  if (codec == NULL)
    return;
  ZSTD_freeCCtx (codec->packer);
  ZSTD_freeDCtx (codec->unpacker);
  ZSTD_freeCDict (codec->pack_dictionary);
  ZSTD_freeDDict (codec->unpack_dictionary);
  g_free (codec->buffer);
  g_free (codec);
}

static char *
codec_buffer (Codec *codec, gsize size)
{
  if (codec->size < size || (codec->size > KEEP_BYTES && size <= KEEP_BYTES))
    {
      g_free (codec->buffer);
      codec->size = MAX (size, 4096);
      codec->buffer = g_malloc (codec->size);
    }
  return codec->buffer;
}

const void *
codec_pack (Codec *codec, const char *json, gsize length, gsize *ret_length)
{
  if (length < MIN_BYTES)
    return NULL;
  gsize bound = ZSTD_compressBound (length);
  char *buffer = codec_buffer (codec, bound + 1);
  gsize packed = ZSTD_compress2 (codec->packer, buffer + 1, bound, json, length);
  if (ZSTD_isError (packed))
    return NULL;
  buffer[0] = DICTIONARY_VERSION;
  *ret_length = packed + 1;
  return buffer;
}

const char *
codec_unpack (Codec *codec, const void *data, gsize length, gsize *ret_length)
{
  const char *bytes = data;
  if (length < 2 || bytes[0] != DICTIONARY_VERSION)
    return NULL;
  unsigned long long size = ZSTD_getFrameContentSize (bytes + 1, length - 1);
  if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN || size > MAX_BYTES)
    return NULL;
  char *buffer = codec_buffer (codec, size + 1);
  gsize unpacked = ZSTD_decompressDCtx (codec->unpacker, buffer, size, bytes + 1, length - 1);
  if (ZSTD_isError (unpacked) || unpacked != size)
    return NULL;
  *ret_length = unpacked;
  return buffer;
}
