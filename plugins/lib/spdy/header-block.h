/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Name/value blocks of SPDY/3: pairs packed with lengths and compressed with
 * zlib and the protocol's dictionary.  One compressor and one decompressor
 * live as long as the connection, since each block builds on those before.
 */
#pragma once

#include <glib.h>

/* What a peer may make of one block. */
#define CUBE_SPDY_MAX_HEADER_BYTES 65536
#define CUBE_SPDY_MAX_HEADERS 128

/* Adler-32 of the dictionary as it stands in each stream's zlib header. */
#define CUBE_SPDY_DICTIONARY_ADLER 0xe3c6a7c2u

/* The dictionary.  Source: SPDY Protocol draft 3, 2.6.10.1. (transfer none) */
const guint8 *cube_spdy_dictionary (gsize *ret_size);

typedef struct _CubeSpdyDeflater CubeSpdyDeflater;
typedef struct _CubeSpdyInflater CubeSpdyInflater;

CubeSpdyDeflater *cube_spdy_deflater_new (void);
void cube_spdy_deflater_free (CubeSpdyDeflater *deflater);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeSpdyDeflater, cube_spdy_deflater_free)

CubeSpdyInflater *cube_spdy_inflater_new (void);
void cube_spdy_inflater_free (CubeSpdyInflater *inflater);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeSpdyInflater, cube_spdy_inflater_free)

/* Appends to @out the block of @pairs: name, value, name, value, …, NULL.
 * Names are sent in lower case. */
void cube_spdy_deflater_add (CubeSpdyDeflater *deflater, const char *const *pairs, GByteArray *out);

/* The pairs of a block, names in lower case; NULL with an error of
 * %CUBE_SPDY_ERROR if the block is broken or over a limit, after which the
 * inflater is of no more use. (transfer full) (element-type utf8 utf8) */
GHashTable *cube_spdy_inflater_read (CubeSpdyInflater *inflater,
                                     const guint8 *bytes,
                                     gsize size,
                                     GError **error);
