/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger.h"
#include <arpa/inet.h>
#include <cube/error.h>
#include <stdio.h>
#include <string.h>

/* A run of numbers somebody can have: addresses or ports. */
typedef struct {
  guint32 first, size; /* usable numbers */
  guint32 band;        /* the lowest ones, kept for those who ask for a number */
  GHashTable *owners;  /* number → owner's uid */
} Space;

struct _Ledger {
  GMutex lock;
  Space ips, ports;
  char *cidr, *port_range;
};

/* Kubernetes' band: at least 16, at most a limit, a part of the whole; none in a small range. */
static guint32
band_of (guint32 size, guint32 part, guint32 limit)
{
  return size <= 16 ? 0 : MIN (MAX (16, size / part), limit);
}

static gboolean
parse_cidr (const char *text, guint32 *ret_base, guint *ret_prefix)
{
  g_auto (GStrv) parts = g_strsplit (text, "/", 2);
  struct in_addr address;
  guint64 prefix;

  if (parts[0] == NULL || parts[1] == NULL || inet_pton (AF_INET, parts[0], &address) != 1
      || !g_ascii_string_to_unsigned (parts[1], 10, 8, 30, &prefix, NULL))
    return FALSE;
  *ret_prefix = (guint) prefix;
  *ret_base = ntohl (address.s_addr) & (G_MAXUINT32 << (32 - prefix));
  return TRUE;
}

static gboolean
parse_ports (const char *text, guint32 *ret_first, guint32 *ret_size)
{
  guint first, last;
  char rest;

  if (sscanf (text, "%5u-%5u%c", &first, &last, &rest) != 2 || first < 1 || last > G_MAXUINT16 || last < first)
    return FALSE;
  *ret_first = first;
  *ret_size = last - first + 1;
  return TRUE;
}

Ledger *
ledger_new (const char *cidr, const char *port_range, GError **error)
{
  guint32 base, first_port, n_ports, whole;
  guint prefix;
  Ledger *ledger;

  if (!parse_cidr (cidr, &base, &prefix))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "service address range \"%s\", wanted an IPv4 range from /8 to /30 such as 10.96.0.0/16", cidr);
      return NULL;
    }
  if (!parse_ports (port_range, &first_port, &n_ports))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "node port range \"%s\", wanted two ports such as 30000-32767", port_range);
      return NULL;
    }
  whole = 1u << (32 - prefix);
  ledger = g_new0 (Ledger, 1);
  g_mutex_init (&ledger->lock);
  ledger->cidr = g_strdup (cidr);
  ledger->port_range = g_strdup (port_range);
  /* Never the network's own address nor the broadcast one. */
  ledger->ips = (Space){ base + 1, whole - 2, band_of (whole, 16, 256), g_hash_table_new_full (NULL, NULL, NULL, g_free) };
  ledger->ports = (Space){ first_port, n_ports, band_of (n_ports, 32, 128), g_hash_table_new_full (NULL, NULL, NULL, g_free) };
  if (ledger->ips.band > 0)
    ledger->ips.band -= 1; /* the band counts from the network's address */
  return ledger;
}

void
ledger_free (Ledger *ledger)
{
  g_hash_table_unref (ledger->ips.owners);
  g_hash_table_unref (ledger->ports.owners);
  g_mutex_clear (&ledger->lock);
  g_free (ledger->cidr);
  g_free (ledger->port_range);
  g_free (ledger);
}

const char *
ledger_cidr (Ledger *ledger)
{
  return ledger->cidr;
}

const char *
ledger_port_range (Ledger *ledger)
{
  return ledger->port_range;
}

/* ---- one space; under the lock ---- */

static gboolean
contains (const Space *space, guint32 number)
{
  return number >= space->first && number - space->first < space->size;
}

static LedgerResult
take (Space *space, guint32 number, const char *owner, gboolean is_dry_run, gboolean *is_new)
{
  const char *has = g_hash_table_lookup (space->owners, GUINT_TO_POINTER (number));

  if (is_new != NULL)
    *is_new = FALSE;
  if (!contains (space, number))
    return LEDGER_OUTSIDE;
  if (has != NULL)
    return g_str_equal (has, owner) ? LEDGER_OK : LEDGER_TAKEN;
  if (is_new != NULL)
    *is_new = TRUE;
  if (!is_dry_run)
    g_hash_table_insert (space->owners, GUINT_TO_POINTER (number), g_strdup (owner));
  return LEDGER_OK;
}

/* The first free number of @n from @first on, beginning at a place @random says. 0 = none. */
static guint32
find_free (const Space *space, guint32 first, guint32 n, guint64 random)
{
  guint32 start = n > 0 ? (guint32) (random % n) : 0;

  for (guint32 i = 0; i < n; i++)
    {
      guint32 number = first + (start + i) % n;

      if (!g_hash_table_contains (space->owners, GUINT_TO_POINTER (number)))
        return number;
    }
  return 0;
}

static LedgerResult
pick (Space *space, guint64 random, const char *owner, gboolean is_dry_run, guint32 *ret_number)
{
  guint32 number = 0;

  if (g_hash_table_size (space->owners) < space->size)
    number = find_free (space, space->first + space->band, space->size - space->band, random);
  if (number == 0)
    number = find_free (space, space->first, space->band, random);
  if (number == 0)
    return LEDGER_FULL;
  *ret_number = number;
  return take (space, number, owner, is_dry_run, NULL);
}

static void
release (Space *space, guint32 number, const char *owner)
{
  const char *has = g_hash_table_lookup (space->owners, GUINT_TO_POINTER (number));

  if (has != NULL && g_str_equal (has, owner))
    g_hash_table_remove (space->owners, GUINT_TO_POINTER (number));
}

static gboolean
is_owner (gpointer number, gpointer has, gpointer owner)
{
  return g_str_equal (has, owner);
}

/* ---- the two spaces ---- */

LedgerResult
ledger_take_ip (Ledger *ledger, guint32 ip, const char *owner, gboolean is_dry_run, gboolean *is_new)
{
  g_mutex_lock (&ledger->lock);
  LedgerResult result = take (&ledger->ips, ip, owner, is_dry_run, is_new);
  g_mutex_unlock (&ledger->lock);
  return result;
}

LedgerResult
ledger_pick_ip (Ledger *ledger, guint64 random, const char *owner, gboolean is_dry_run, guint32 *ret_ip)
{
  g_mutex_lock (&ledger->lock);
  LedgerResult result = pick (&ledger->ips, random, owner, is_dry_run, ret_ip);
  g_mutex_unlock (&ledger->lock);
  return result;
}

void
ledger_release_ip (Ledger *ledger, guint32 ip, const char *owner)
{
  g_mutex_lock (&ledger->lock);
  release (&ledger->ips, ip, owner);
  g_mutex_unlock (&ledger->lock);
}

LedgerResult
ledger_take_port (Ledger *ledger, guint16 port, const char *owner, gboolean is_dry_run, gboolean *is_new)
{
  g_mutex_lock (&ledger->lock);
  LedgerResult result = take (&ledger->ports, port, owner, is_dry_run, is_new);
  g_mutex_unlock (&ledger->lock);
  return result;
}

LedgerResult
ledger_pick_port (Ledger *ledger, guint64 random, const char *owner, gboolean is_dry_run, guint16 *ret_port)
{
  guint32 number = 0;

  g_mutex_lock (&ledger->lock);
  LedgerResult result = pick (&ledger->ports, random, owner, is_dry_run, &number);
  g_mutex_unlock (&ledger->lock);
  if (result == LEDGER_OK)
    *ret_port = (guint16) number;
  return result;
}

void
ledger_release_port (Ledger *ledger, guint16 port, const char *owner)
{
  g_mutex_lock (&ledger->lock);
  release (&ledger->ports, port, owner);
  g_mutex_unlock (&ledger->lock);
}

void
ledger_release_all (Ledger *ledger, const char *owner)
{
  g_mutex_lock (&ledger->lock);
  g_hash_table_foreach_remove (ledger->ips.owners, is_owner, (gpointer) owner);
  g_hash_table_foreach_remove (ledger->ports.owners, is_owner, (gpointer) owner);
  g_mutex_unlock (&ledger->lock);
}

/* ---- questions ---- */

static gboolean
is_owned (Ledger *ledger, const Space *space, guint32 number, const char *owner)
{
  const char *has;
  gboolean is;

  g_mutex_lock (&ledger->lock);
  has = g_hash_table_lookup (space->owners, GUINT_TO_POINTER (number));
  is = has == NULL || g_str_equal (has, owner);
  g_mutex_unlock (&ledger->lock);
  return is;
}

gboolean
ledger_has_ip (Ledger *ledger, guint32 ip, const char *owner)
{
  return is_owned (ledger, &ledger->ips, ip, owner);
}

gboolean
ledger_has_port (Ledger *ledger, guint16 port, const char *owner)
{
  return is_owned (ledger, &ledger->ports, port, owner);
}

gboolean
ledger_contains_ip (Ledger *ledger, guint32 ip)
{
  return contains (&ledger->ips, ip);
}

gboolean
ledger_contains_port (Ledger *ledger, guint16 port)
{
  return contains (&ledger->ports, port);
}

GHashTable *
ledger_owners (Ledger *ledger)
{
  GHashTable *owners = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  const Space *spaces[] = { &ledger->ips, &ledger->ports };
  GHashTableIter it;
  gpointer owner;

  g_mutex_lock (&ledger->lock);
  for (guint i = 0; i < G_N_ELEMENTS (spaces); i++)
    for (g_hash_table_iter_init (&it, spaces[i]->owners); g_hash_table_iter_next (&it, NULL, &owner);)
      g_hash_table_add (owners, g_strdup (owner));
  g_mutex_unlock (&ledger->lock);
  return owners;
}

guint
ledger_n_free_ips (Ledger *ledger)
{
  g_mutex_lock (&ledger->lock);
  guint n = ledger->ips.size - g_hash_table_size (ledger->ips.owners);
  g_mutex_unlock (&ledger->lock);
  return n;
}
