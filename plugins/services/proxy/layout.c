/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

static const char *const set_names[N_SETS] = {
  "vip-fronts", "vip-endpoints", "vip-slots",   "vip-ids", "vip-reject",  "port-fronts", "port-endpoints",
  "port-slots", "port-ids",      "port-reject", "hairpin", "cluster-ips", "vip-guarded", "vip-allowed",
};
static const char *const prefixes[] = { "vip", "port" };
static const char *const keys[] = { "ip daddr . meta l4proto . th dport", "meta l4proto . th dport" };
static const char *const types[] = { "ipv4_addr . inet_proto . inet_service", "inet_proto . inet_service" };
/* The same bytes; rules added later than such a map are refused when it is described by `th` (nft 1.0.6). */
static const char *const indexed[] = { "ip daddr . meta l4proto . tcp dport . numgen random mod 65536",
                                       "meta l4proto . tcp dport . numgen random mod 65536" };

const char *
layout_set_name (guint set)
{
  return set_names[set];
}

guint
layout_set (Plane plane, guint set)
{
  return plane * SETS_PER_PLANE + set;
}

const char *
layout_chain_name (Plane plane, gboolean is_masqueraded, guint32 affinity_seconds, guint n)
{
  char name[64];

  if (affinity_seconds > 0)
    g_snprintf (name, sizeof name, "%s-stay-%u-%u", prefixes[plane], affinity_seconds, n);
  else
    g_snprintf (name, sizeof name, "%s-%s%u", prefixes[plane], is_masqueraded ? "masq-" : "", n);
  return g_intern_string (name);
}

static void
begin_chain (GString *text, const char *table, const char *chain)
{
  g_string_append_printf (text, "add chain ip %s %s\nflush chain ip %s %s\n", table, chain, table, chain);
}

static void append_rule (GString *text, const char *table, const char *chain, const char *format, ...) G_GNUC_PRINTF (4, 5);

static void
append_rule (GString *text, const char *table, const char *chain, const char *format, ...)
{
  va_list args;

  g_string_append_printf (text, "add rule ip %s %s ", table, chain);
  va_start (args, format);
  g_string_append_vprintf (text, format, args);
  va_end (args);
  g_string_append_c (text, '\n');
}

/* A packet may meet the map of one transaction and the endpoints of the next: the index it drew is then gone. The first endpoint takes it; none: the
 * client sends again. */
static void
append_plain (GString *text, const char *table, Plane plane, guint n)
{
  const char *chain = layout_chain_name (plane, FALSE, 0, n);

  begin_chain (text, table, chain);
  append_rule (text, table, chain, "dnat ip to %s . numgen random mod %u map @%s-endpoints", keys[plane], n, prefixes[plane]);
  append_rule (text, table, chain, "dnat ip to %s . numgen random mod 1 map @%s-endpoints", keys[plane], prefixes[plane]);
  append_rule (text, table, chain, "drop");
}

/* The client's endpoint is remembered as a number; a number whose endpoint is gone is not found, and another is drawn. */
static void
append_sticky (GString *text, const char *table, Plane plane, guint32 seconds, guint n)
{
  const char *chain = layout_chain_name (plane, FALSE, seconds, n), *key = keys[plane], *prefix = prefixes[plane];

  begin_chain (text, table, chain);
  append_rule (text, table, chain, "meta mark set ip saddr . %s map @%s-affinity", key, prefix);
  append_rule (text, table, chain, "update @%s-affinity { ip saddr . %s timeout %us : meta mark } dnat ip to %s . meta mark map @%s-ids",
               prefix, key, seconds, key, prefix);
  append_rule (text, table, chain, "delete @%s-affinity { ip saddr . %s : meta mark }", prefix, key);
  append_rule (text, table, chain, "meta mark set %s . numgen random mod %u map @%s-slots", key, n, prefix);
  append_rule (text, table, chain, "update @%s-affinity { ip saddr . %s timeout %us : meta mark }", prefix, key, seconds);
  append_rule (text, table, chain, "dnat ip to %s . meta mark map @%s-ids", key, prefix);
  append_rule (text, table, chain, "drop");
}

void
layout_append_chain (GString *text, const char *table, Plane plane, gboolean is_masqueraded, guint32 affinity_seconds, guint n)
{
  const char *chain;

  if (affinity_seconds > 0)
    {
      append_sticky (text, table, plane, affinity_seconds, n);
      return;
    }
  append_plain (text, table, plane, n);
  if (!is_masqueraded)
    return;
  chain = layout_chain_name (plane, TRUE, 0, n);
  begin_chain (text, table, chain);
  append_rule (text, table, chain, "meta mark set meta mark or 0x%x goto %s", LAYOUT_MASQUERADE, layout_chain_name (plane, FALSE, 0, n));
}

/* ---- the fixed part ---- */

static void
append_sets (GString *text)
{
  for (guint plane = 0; plane < 2; plane++)
    {
      const char *prefix = prefixes[plane], *type = types[plane];

      g_string_append_printf (text, "  map %s-fronts { type %s : verdict; }\n", prefix, type);
      g_string_append_printf (text, "  map %s-endpoints { typeof %s : ip daddr . tcp dport; }\n", prefix, indexed[plane]);
      g_string_append_printf (text, "  map %s-slots { typeof %s : meta mark; }\n", prefix, indexed[plane]);
      g_string_append_printf (text, "  map %s-ids { type %s . mark : ipv4_addr . inet_service; }\n", prefix, type);
      g_string_append_printf (text, "  map %s-affinity { type ipv4_addr . %s : mark; flags dynamic,timeout; size 1048576; }\n", prefix,
                              type);
      g_string_append_printf (text, "  set %s-reject { type %s; }\n", prefix, type);
    }
  g_string_append (text, "  set hairpin { type ipv4_addr . ipv4_addr; }\n"
                         "  set cluster-ips { type ipv4_addr; }\n"
                         "  set vip-guarded { type ipv4_addr . inet_proto . inet_service; }\n"
                         "  set vip-allowed { type ipv4_addr . inet_proto . inet_service . ipv4_addr; flags interval; }\n"
                         "  set pod-cidrs { type ipv4_addr; flags interval; auto-merge; }\n");
}

static void
append_nat (GString *text, const Layout *layout)
{
  g_string_append (
      text, "  chain services {\n"
            "    ip daddr . meta l4proto . th dport @vip-guarded ip daddr . meta l4proto . th dport . ip saddr != @vip-allowed drop\n"
            "    ip daddr . meta l4proto . th dport vmap @vip-fronts\n"
            "    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @port-fronts\n"
            "  }\n"
            "  chain nat-prerouting { type nat hook prerouting priority -100; meta l4proto { tcp, udp, sctp } jump services; }\n"
            "  chain nat-output { type nat hook output priority -100; meta l4proto { tcp, udp, sctp } jump services; }\n"
            "  chain nat-postrouting { type nat hook postrouting priority 100;\n");
  g_string_append_printf (text, "    meta mark and 0x%x != 0 meta mark set meta mark xor 0x%x masquerade fully-random\n", LAYOUT_MASQUERADE,
                          LAYOUT_MASQUERADE);
  g_string_append (text, "    ip saddr . ip daddr @hairpin ct status dnat masquerade fully-random\n");
  if (layout->service_cidr != NULL)
    g_string_append_printf (text, "    ct status dnat ct original ip daddr %s ip saddr != @pod-cidrs masquerade fully-random\n",
                            layout->service_cidr);
  if (!layout->is_bridge_filtered) /* else an answer would go from pod to pod past the translation */
    g_string_append (text, "    ct status dnat ip saddr @pod-cidrs ip daddr @pod-cidrs masquerade fully-random\n");
  g_string_append (
      text, "    ip saddr @pod-cidrs ip daddr != @pod-cidrs ip daddr != 224.0.0.0/4 oifname != \"lo\" masquerade fully-random\n  }\n");
}

static void
append_filter (GString *text, const Layout *layout)
{
  g_string_append (text, "  chain refuse { meta l4proto tcp reject with tcp reset\n    reject with icmp type port-unreachable\n  }\n"
                         "  chain new-packets {\n"
                         "    ip daddr . meta l4proto . th dport @vip-reject goto refuse\n"
                         "    ip daddr @cluster-ips goto refuse\n");
  if (layout->service_cidr != NULL)
    g_string_append_printf (text, "    ip daddr %s drop\n", layout->service_cidr);
  g_string_append (text, "    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport @port-reject goto refuse\n  }\n");
  for (guint i = 0; i < 2; i++)
    {
      const char *hook = i == 0 ? "prerouting" : "output";

      g_string_append_printf (text,
                              "  chain filter-%s { type filter hook %s priority -99;\n"
                              "    meta mark and 0xff000000 == 0x%x meta mark set meta mark and 0x%x\n"
                              "    ct state new jump new-packets\n  }\n",
                              hook, hook, LAYOUT_ID_BASE, LAYOUT_MASQUERADE);
    }
}

char *
layout_text (const Layout *layout, char **ret_marker)
{
  g_autoptr (GString) body = g_string_new (NULL), chains = g_string_new (NULL);
  g_autofree char *digest = NULL;

  append_sets (body);
  append_nat (body, layout);
  append_filter (body, layout);
  for (guint plane = 0; plane < 2; plane++)
    for (guint n = 1; n <= LAYOUT_READY_CHAINS; n++)
      layout_append_chain (chains, layout->table, plane, TRUE, 0, n);
  digest = g_compute_checksum_for_string (G_CHECKSUM_SHA256, body->str, (gssize) body->len);
  digest[12] = '\0';
  *ret_marker = g_strdup_printf ("layout-%s", digest);
  return g_strdup_printf ("add table ip %s\ndelete table ip %s\ntable ip %s {\n%s  chain %s { }\n}\n%s", layout->table, layout->table,
                          layout->table, body->str, *ret_marker, chains->str);
}
