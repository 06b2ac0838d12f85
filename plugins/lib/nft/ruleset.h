/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <gio/gio.h>

/* Runs @text with `nft -f -`: one transaction. Blocks. Errors carry nft's own words. */
gboolean nft_ruleset_run (const char *text, GError **error);
/* Whether table @table of family ip has the chain @chain. Blocks. */
gboolean nft_ruleset_has_chain (const char *table, const char *chain);
