/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who has which cluster IP and node port. Any thread. An owner is a Service's uid; what an owner has, it may take again. */
#include <cube/types.h>

typedef struct _Ledger Ledger;
typedef enum { LEDGER_OK, LEDGER_TAKEN, LEDGER_OUTSIDE, LEDGER_FULL } LedgerResult;

/* @cidr an IPv4 range of at most /8 and at least /30; @port_range "30000-32767". */
Ledger *ledger_new (const char *cidr, const char *port_range, GError **error);
void ledger_free (Ledger *ledger);
const char *ledger_cidr (Ledger *ledger);
const char *ledger_port_range (Ledger *ledger);

/* Addresses in host order. @is_new (nullable): the owner did not have it before. @is_dry_run: only asks. */
LedgerResult ledger_take_ip (Ledger *ledger, guint32 ip, const char *owner, gboolean is_dry_run, gboolean *is_new);
/* Some free one: above the band for requested addresses first, from a place @random says. */
LedgerResult ledger_pick_ip (Ledger *ledger, guint64 random, const char *owner, gboolean is_dry_run, guint32 *ret_ip);
void ledger_release_ip (Ledger *ledger, guint32 ip, const char *owner);

LedgerResult ledger_take_port (Ledger *ledger, guint16 port, const char *owner, gboolean is_dry_run, gboolean *is_new);
LedgerResult ledger_pick_port (Ledger *ledger, guint64 random, const char *owner, gboolean is_dry_run, guint16 *ret_port);
void ledger_release_port (Ledger *ledger, guint16 port, const char *owner);

void ledger_release_all (Ledger *ledger, const char *owner);
/* TRUE when it is @owner's (or nobody's). */
gboolean ledger_has_ip (Ledger *ledger, guint32 ip, const char *owner);
gboolean ledger_has_port (Ledger *ledger, guint16 port, const char *owner);
gboolean ledger_contains_ip (Ledger *ledger, guint32 ip);
gboolean ledger_contains_port (Ledger *ledger, guint16 port);
/* Every owner there is: (transfer full) (element-type utf8) set */
GHashTable *ledger_owners (Ledger *ledger);
guint ledger_n_free_ips (Ledger *ledger);
