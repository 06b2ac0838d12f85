/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One transaction of set and map elements in a table of family ip. */
#include <glib.h>

typedef struct _NftBatch NftBatch;

NftBatch *nft_batch_new (const char *table);
void nft_batch_free (NftBatch *batch);
/* Elements of one set put one after the other share a message: put them in order of set. */
void nft_batch_add (NftBatch *batch, const char *set, gconstpointer key, guint key_size, gconstpointer data, guint data_size); /* data NULL = none */
void nft_batch_add_range (NftBatch *batch, const char *set, gconstpointer key, gconstpointer key_end, guint key_size);
void nft_batch_add_goto (NftBatch *batch, const char *map, gconstpointer key, guint key_size, const char *chain);
void nft_batch_add_drop (NftBatch *batch, const char *map, gconstpointer key, guint key_size);
void nft_batch_delete (NftBatch *batch, const char *set, gconstpointer key, gconstpointer key_end, guint key_size); /* @key_end NULL unless a range */
void nft_batch_flush (NftBatch *batch, const char *set); /* every element of it */
gboolean nft_batch_is_empty (NftBatch *batch);
/* All or nothing; the batch is empty afterwards either way. Blocks for the kernel's work (about 1 µs an element). */
gboolean nft_batch_commit (NftBatch *batch, GError **error);
