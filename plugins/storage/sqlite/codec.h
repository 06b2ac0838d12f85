/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How an object's JSON lies in a row: as text, or compressed (a BLOB: the dictionary's version, then a zstd frame with its length and checksum). */
#include <glib.h>

typedef struct _Codec Codec;

Codec *codec_new (void);
void codec_free (Codec *codec);
/* The compressed form, valid until the next call; NULL: leave it text, it is too small to gain. What does not compress is packed all the same, for the
 * checksum. */
const void *codec_pack (Codec *codec, const char *json, gsize length, gsize *ret_length);
/* The JSON, valid until the next call; NULL when @data is damaged. */
const char *codec_unpack (Codec *codec, const void *data, gsize length, gsize *ret_length);
