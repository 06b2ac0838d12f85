/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The table's fixed part: sets, maps, hooks and the few kinds of chains, as text for nft. */
#include <glib.h>

typedef enum { PLANE_ADDRESS, PLANE_PORT } Plane; /* fronts with an address of their own; ports of every local address */
enum {
  SET_FRONTS, SET_ENDPOINTS, SET_SLOTS, SET_IDS, SET_REJECT, /* once for each plane */
  SETS_PER_PLANE,
  SET_HAIRPIN = 2 * SETS_PER_PLANE, SET_CLUSTER_IPS, SET_GUARDED, SET_ALLOWED,
  N_SETS
};

#define LAYOUT_MASQUERADE 0x4000u       /* the mark's bit: source NAT on the way out */
#define LAYOUT_ID_BASE 0x43000000u      /* marks of this shape are numbers of endpoints, for as long as a packet is in the balancing chains */
#define LAYOUT_ID_MAX 0x3fffu
#define LAYOUT_READY_CHAINS 16u         /* chains for so many endpoints are made at once, without affinity; others when a front needs them */

typedef struct {
  const char *table;
  const char *service_cidr;  /* (nullable) */
  gboolean is_bridge_filtered; /* bridged packets pass the IP hooks: answers between pods of one node are seen */
} Layout;

const char *layout_set_name (guint set);
guint layout_set (Plane plane, guint set);
/* The whole fixed part, replacing what there was. @ret_marker: a chain whose name says which layout it is. (transfer full) */
char *layout_text (const Layout *layout, char **ret_marker);
/* The chain that balances over @n endpoints; interned. @affinity_seconds 0 = none. */
const char *layout_chain_name (Plane plane, gboolean is_masqueraded, guint32 affinity_seconds, guint n);
/* Text that makes that chain (and the one it ends in), whether or not it is there. */
void layout_append_chain (GString *text, const char *table, Plane plane, gboolean is_masqueraded, guint32 affinity_seconds, guint n);
