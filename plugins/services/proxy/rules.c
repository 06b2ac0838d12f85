/* SPDX-License-Identifier: Apache-2.0 */
#include "rules.h"
#include "batch.h"
#include "front.h"
#include "ruleset.h"
#include <arpa/inet.h>
#include <string.h>

#define RETIRED_MAX 1000

/* Addresses in a set that several fronts put there. Some stay a while after the last front, and always until the commit after: a packet on its way to
 * an endpoint that just went still needs them further down the path. What its first packet missed there, a connection never gets. */
typedef struct {
  GHashTable *counts;  /* address → how many */
  GHashTable *touched; /* set of addresses whose count changed */
  GHashTable *written; /* address the kernel has → its link in retired, or NULL */
  GQueue retired;      /* addresses without a front, oldest first, each once */
  guint set, n_stay;
} Shared;

struct _Rules {
  Layout layout;
  char *table, *service_cidr;
  GHashTable *fronts;      /* set of Front */
  GHashTable *services;    /* key → GPtrArray of Front, borrowed */
  GHashTable *staged;      /* key → GPtrArray of Front, not yet in fronts */
  GHashTable *losers;      /* keys of services that wanted a front another has */
  GHashTable *chains;      /* interned names the kernel has */
  GArray *removed, *added; /* Element */
  GPtrArray *stale_flows;
  Shared hairpin, cluster_ips;
  NftBatch *batch;
  char **pod_cidrs;
  gboolean is_complete; /* the kernel has all of it */
  gboolean had_release; /* a front became free while somebody waits */
};

static void
shared_init (Shared *shared, guint set, guint n_stay)
{
  shared->set = set;
  shared->n_stay = n_stay;
  g_queue_init (&shared->retired);
  shared->written = g_hash_table_new (NULL, NULL);
  shared->counts = g_hash_table_new (NULL, NULL);
  shared->touched = g_hash_table_new (NULL, NULL);
}

static void
shared_clear (Shared *shared)
{
  g_hash_table_unref (shared->counts);
  g_hash_table_unref (shared->touched);
  g_hash_table_unref (shared->written);
  g_queue_clear (&shared->retired);
}

static void
shared_change (Shared *shared, guint32 ip, int by)
{
  gpointer key = GUINT_TO_POINTER (ip);
  int count = GPOINTER_TO_INT (g_hash_table_lookup (shared->counts, key));

  g_hash_table_add (shared->touched, key);
  if (count + by > 0)
    g_hash_table_insert (shared->counts, key, GINT_TO_POINTER (count + by));
  else
    g_hash_table_remove (shared->counts, key);
}

static Element
shared_element (const Shared *shared, guint32 ip)
{
  Element element = { .set = (guint8) shared->set, .key_size = shared->set == SET_HAIRPIN ? 8 : 4 };

  memcpy (element.key, &ip, 4);
  if (shared->set == SET_HAIRPIN)
    memcpy (element.key + 4, &ip, 4);
  return element;
}

Rules *
rules_new (const Layout *layout)
{
  Rules *rules = g_new0 (Rules, 1);

  rules->table = g_strdup (layout->table);
  rules->service_cidr = g_strdup (layout->service_cidr);
  rules->layout = (Layout){ rules->table, rules->service_cidr, layout->is_bridge_filtered };
  rules->fronts = g_hash_table_new_full (front_hash, front_equal, (GDestroyNotify) front_free, NULL);
  rules->services = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  rules->staged = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  rules->losers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  rules->chains = g_hash_table_new (NULL, NULL);
  rules->removed = g_array_new (FALSE, FALSE, sizeof (Element));
  rules->added = g_array_new (FALSE, FALSE, sizeof (Element));
  rules->batch = nft_batch_new (layout->table);
  shared_init (&rules->hairpin, SET_HAIRPIN, RETIRED_MAX);
  shared_init (&rules->cluster_ips, SET_CLUSTER_IPS, 0);
  return rules;
}

void
rules_free (Rules *rules)
{
  g_hash_table_unref (rules->services);
  g_hash_table_unref (rules->fronts);
  g_hash_table_unref (rules->staged);
  g_hash_table_unref (rules->losers);
  g_hash_table_unref (rules->chains);
  g_array_unref (rules->removed);
  g_array_unref (rules->added);
  g_clear_pointer (&rules->stale_flows, g_ptr_array_unref);
  shared_clear (&rules->hairpin);
  shared_clear (&rules->cluster_ips);
  nft_batch_free (rules->batch);
  g_strfreev (rules->pod_cidrs);
  g_free (rules->table);
  g_free (rules->service_cidr);
  g_free (rules);
}

void
rules_set_service (Rules *rules, const char *key, const CubeFront *fronts, guint n)
{
  GPtrArray *list = g_ptr_array_new_with_free_func ((GDestroyNotify) front_free);

  for (guint i = 0; i < n; i++)
    {
      Front *front = front_new (&fronts[i], key);

      if (front != NULL)
        g_ptr_array_add (list, front);
    }
  g_hash_table_replace (rules->staged, g_strdup (key), list);
}

/* ---- the difference ---- */

static void
count_addresses (Rules *rules, const Front *front, int by)
{
  guint32 ip;

  for (guint i = 0; i < front->targets->len; i++)
    shared_change (&rules->hairpin, g_array_index (front->targets, Target, i).ip, by);
  memcpy (&ip, front->key, 4);
  if (front->kind == CUBE_FRONT_CLUSTER_IP)
    shared_change (&rules->cluster_ips, ip, by);
}

/* Elements of @before that @after has not, and the other way round; either may be NULL. */
static void
append_difference (Rules *rules, const Front *before, const Front *after)
{
  g_autoptr (GArray) old = g_array_new (FALSE, FALSE, sizeof (Element)), new = g_array_new (FALSE, FALSE, sizeof (Element));
  g_autoptr (GHashTable) index = NULL;

  if (before != NULL)
    front_append_elements (before, old);
  if (after != NULL)
    front_append_elements (after, new);
  if (old->len == 0 || new->len == 0)
    {
      g_array_append_vals (rules->removed, old->data, old->len);
      g_array_append_vals (rules->added, new->data, new->len);
      return;
    }
  index = g_hash_table_new (element_hash, element_same_key);
  for (guint i = 0; i < old->len; i++)
    g_hash_table_add (index, &g_array_index (old, Element, i));
  for (guint i = 0; i < new->len; i++)
    {
      Element *element = &g_array_index (new, Element, i), *was = g_hash_table_lookup (index, element);

      if (was != NULL)
        g_hash_table_remove (index, was);
      if (was != NULL && element_equal (was, element))
        continue;
      if (was != NULL)
        g_array_append_val (rules->removed, *was);
      g_array_append_val (rules->added, *element);
    }
  GHashTableIter it;
  gpointer left;

  for (g_hash_table_iter_init (&it, index); g_hash_table_iter_next (&it, &left, NULL);)
    g_array_append_val (rules->removed, *(Element *) left);
}

static void
append_stale_flow (Rules *rules, const Front *front, const Target *target)
{
  char front_text[INET_ADDRSTRLEN] = "", target_text[INET_ADDRSTRLEN];
  g_autoptr (GStrvBuilder) arguments = g_strv_builder_new ();
  g_autofree char *port = NULL;
  guint16 wire;

  memcpy (&wire, front->key + front->key_size - 4, 2);
  port = g_strdup_printf ("%u", ntohs (wire));
  inet_ntop (AF_INET, &target->ip, target_text, sizeof target_text);
  g_strv_builder_add_many (arguments, "-D", "-p", "udp", "--orig-port-dst", port, "--dst-nat", target_text, NULL);
  if (front->plane == PLANE_ADDRESS)
    g_strv_builder_add_many (arguments, "--orig-dst", inet_ntop (AF_INET, front->key, front_text, sizeof front_text), NULL);
  if (rules->stale_flows == NULL)
    rules->stale_flows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  g_ptr_array_add (rules->stale_flows, g_strv_builder_end (arguments));
}

static void
note_stale_flows (Rules *rules, const Front *before, const Front *after)
{
  if (before->protocol != CUBE_PROTOCOL_UDP)
    return;
  for (guint i = 0; i < before->targets->len; i++)
    {
      const Target *target = &g_array_index (before->targets, Target, i);
      gboolean is_there = FALSE;

      for (guint j = 0; after != NULL && j < after->targets->len && !is_there; j++)
        is_there =
            g_array_index (after->targets, Target, j).ip == target->ip && g_array_index (after->targets, Target, j).port == target->port;
      if (!is_there)
        append_stale_flow (rules, before, target);
    }
}

static gboolean
lists (GPtrArray *fronts, const Front *wanted)
{
  for (guint i = 0; i < fronts->len; i++)
    if (front_equal (fronts->pdata[i], wanted))
      return TRUE;
  return FALSE;
}

/* First what services give up, so that another may have it in the same transaction. */
static void
drop_fronts (Rules *rules, const char *key, GPtrArray *wanted)
{
  GPtrArray *have = g_hash_table_lookup (rules->services, key);

  for (guint i = 0; have != NULL && i < have->len;)
    {
      Front *front = have->pdata[i];

      if (lists (wanted, front))
        {
          i++;
          continue;
        }
      append_difference (rules, front, NULL);
      note_stale_flows (rules, front, NULL);
      count_addresses (rules, front, -1);
      g_ptr_array_remove_index_fast (have, i);
      g_hash_table_remove (rules->fronts, front);
      rules->had_release = TRUE;
    }
}

static void
put_fronts (Rules *rules, const char *key, GPtrArray *wanted)
{
  GPtrArray *have = g_ptr_array_new ();

  g_hash_table_remove (rules->losers, key);
  for (guint i = 0; i < wanted->len; i++)
    {
      Front *front = wanted->pdata[i], *before = g_hash_table_lookup (rules->fronts, front);

      if ((before != NULL && !g_str_equal (before->owner, key)) || lists (have, front))
        {
          g_debug ("service %s: an address and port of it belongs to another service", key);
          g_hash_table_add (rules->losers, g_strdup (key));
          front_free (front);
          continue;
        }
      front_settle (front, before);
      append_difference (rules, before, front);
      count_addresses (rules, front, 1);
      if (before != NULL)
        {
          note_stale_flows (rules, before, front);
          count_addresses (rules, before, -1);
        }
      g_hash_table_replace (rules->fronts, front, front);
      g_ptr_array_add (have, front);
    }
  g_ptr_array_set_free_func (wanted, NULL);
  if (have->len > 0)
    g_hash_table_replace (rules->services, g_strdup (key), have);
  else
    {
      g_hash_table_remove (rules->services, key);
      g_ptr_array_unref (have);
    }
}

/* The oldest of those that went in earlier commits. */
static void
expire_shared (Rules *rules, Shared *shared)
{
  while (shared->retired.length > shared->n_stay)
    {
      gpointer ip = g_queue_pop_head (&shared->retired);
      Element element = shared_element (shared, GPOINTER_TO_UINT (ip));

      g_hash_table_remove (shared->written, ip);
      g_array_append_val (rules->removed, element);
    }
}

static void
retire (Shared *shared, gpointer ip)
{
  GList *link = g_hash_table_lookup (shared->written, ip);

  if (link != NULL || !g_hash_table_contains (shared->written, ip))
    return;
  g_queue_push_tail (&shared->retired, ip);
  g_hash_table_insert (shared->written, ip, shared->retired.tail);
}

static void
employ (Rules *rules, Shared *shared, gpointer ip)
{
  GList *link = g_hash_table_lookup (shared->written, ip);
  Element element = shared_element (shared, GPOINTER_TO_UINT (ip));

  if (link != NULL)
    g_queue_delete_link (&shared->retired, link);
  if (g_hash_table_insert (shared->written, ip, NULL))
    g_array_append_val (rules->added, element);
}

static void
settle_shared (Rules *rules, Shared *shared)
{
  GHashTableIter it;
  gpointer ip;

  for (g_hash_table_iter_init (&it, shared->touched); g_hash_table_iter_next (&it, &ip, NULL);)
    if (g_hash_table_contains (shared->counts, ip))
      employ (rules, shared, ip);
  if (shared->n_stay > 0)
    expire_shared (rules, shared);
  for (g_hash_table_iter_init (&it, shared->touched); g_hash_table_iter_next (&it, &ip, NULL);)
    if (!g_hash_table_contains (shared->counts, ip))
      retire (shared, ip);
  if (shared->n_stay == 0)
    expire_shared (rules, shared);
  g_hash_table_remove_all (shared->touched);
}

static void
settle (Rules *rules)
{
  GHashTableIter it;
  gpointer key, wanted;

  for (g_hash_table_iter_init (&it, rules->staged); g_hash_table_iter_next (&it, &key, &wanted);)
    drop_fronts (rules, key, wanted);
  for (g_hash_table_iter_init (&it, rules->staged); g_hash_table_iter_next (&it, &key, &wanted);)
    put_fronts (rules, key, wanted);
  g_hash_table_remove_all (rules->staged);
  settle_shared (rules, &rules->hairpin);
  settle_shared (rules, &rules->cluster_ips);
}

/* ---- to the kernel ---- */

static gint
compare_sets (gconstpointer a, gconstpointer b)
{
  return (int) ((const Element *) a)->set - (int) ((const Element *) b)->set;
}

static void
write_element (NftBatch *batch, const Element *element, gboolean is_added)
{
  const char *set = layout_set_name (element->set);

  if (!is_added)
    nft_batch_delete (batch, set, element->key, element->is_range ? element->key_end : NULL, element->key_size);
  else if (element->verdict == VERDICT_GOTO)
    nft_batch_add_goto (batch, set, element->key, element->key_size, element->chain);
  else if (element->verdict == VERDICT_DROP)
    nft_batch_add_drop (batch, set, element->key, element->key_size);
  else if (element->is_range)
    nft_batch_add_range (batch, set, element->key, element->key_end, element->key_size);
  else
    nft_batch_add (batch, set, element->key, element->key_size, element->data_size > 0 ? element->data : NULL, element->data_size);
}

static void
write_elements (NftBatch *batch, GArray *elements, gboolean is_added)
{
  g_array_sort (elements, compare_sets);
  for (guint i = 0; i < elements->len; i++)
    write_element (batch, &g_array_index (elements, Element, i), is_added);
  g_array_set_size (elements, 0);
}

static gboolean
ensure_chains (Rules *rules, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autoptr (GHashTable) made = g_hash_table_new (NULL, NULL);
  GHashTableIter it;
  gpointer item;

  for (guint i = 0; i < rules->added->len; i++)
    {
      const Element *element = &g_array_index (rules->added, Element, i);

      if (element->chain != NULL && !g_hash_table_contains (rules->chains, element->chain))
        g_hash_table_add (made, (gpointer) element->chain);
    }
  if (g_hash_table_size (made) == 0)
    return TRUE;
  for (g_hash_table_iter_init (&it, rules->fronts); g_hash_table_iter_next (&it, &item, NULL);)
    {
      const Front *front = item;
      const char *chain = front_chain (front);

      if (chain == NULL || g_hash_table_contains (rules->chains, chain) || !g_hash_table_contains (made, chain))
        continue;
      layout_append_chain (text, rules->table, front->plane, front->is_masqueraded, front->affinity_seconds, front->targets->len);
      g_hash_table_add (rules->chains, (gpointer) chain);
    }
  if (nft_ruleset_run (text->str, error))
    return TRUE;
  g_hash_table_remove_all (rules->chains);
  return FALSE;
}

static void
collect_shared (Rules *rules, Shared *shared)
{
  GHashTableIter it;
  gpointer ip;

  g_hash_table_remove_all (shared->touched);
  g_hash_table_remove_all (shared->written);
  g_queue_clear (&shared->retired);
  for (g_hash_table_iter_init (&it, shared->counts); g_hash_table_iter_next (&it, &ip, NULL);)
    {
      Element element = shared_element (shared, GPOINTER_TO_UINT (ip));

      g_hash_table_insert (shared->written, ip, NULL);
      g_array_append_val (rules->added, element);
    }
}

static gboolean
write_pod_cidrs (Rules *rules, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *joined = rules->pod_cidrs != NULL ? g_strjoinv (", ", rules->pod_cidrs) : NULL;

  if (joined == NULL || *joined == '\0')
    return TRUE;
  g_string_append_printf (text, "flush set ip %s pod-cidrs\nadd element ip %s pod-cidrs { %s }\n", rules->table, rules->table, joined);
  return nft_ruleset_run (text->str, error);
}

static void
note_ready_chains (Rules *rules)
{
  for (guint plane = 0; plane < 2; plane++)
    for (guint n = 1; n <= LAYOUT_READY_CHAINS; n++)
      for (guint is_masqueraded = 0; is_masqueraded < 2; is_masqueraded++)
        g_hash_table_add (rules->chains, (gpointer) layout_chain_name (plane, is_masqueraded != 0, 0, n));
}

/* A table of the same layout stays, and its traffic flows on: only the elements are replaced, all at once. */
static gboolean
begin_full (Rules *rules, GError **error)
{
  g_autofree char *marker = NULL, *text = layout_text (&rules->layout, &marker);
  GHashTableIter it;
  gpointer front;

  g_hash_table_remove_all (rules->chains);
  if (!nft_ruleset_has_chain (rules->table, marker) && !nft_ruleset_run (text, error))
    return FALSE;
  note_ready_chains (rules);
  if (!write_pod_cidrs (rules, error))
    return FALSE;
  g_array_set_size (rules->removed, 0);
  g_array_set_size (rules->added, 0);
  for (g_hash_table_iter_init (&it, rules->fronts); g_hash_table_iter_next (&it, &front, NULL);)
    front_append_elements (front, rules->added);
  collect_shared (rules, &rules->hairpin);
  collect_shared (rules, &rules->cluster_ips);
  for (guint set = 0; set < N_SETS; set++)
    nft_batch_flush (rules->batch, layout_set_name (set));
  return TRUE;
}

gboolean
rules_commit (Rules *rules, GError **error)
{
  settle (rules);
  if (!rules->is_complete && !begin_full (rules, error))
    return FALSE;
  if (!ensure_chains (rules, error))
    {
      rules->is_complete = FALSE;
      g_array_set_size (rules->removed, 0);
      g_array_set_size (rules->added, 0);
      return FALSE;
    }
  write_elements (rules->batch, rules->removed, FALSE);
  write_elements (rules->batch, rules->added, TRUE);
  rules->is_complete = nft_batch_commit (rules->batch, error);
  return rules->is_complete;
}

void
rules_forget_kernel (Rules *rules)
{
  rules->is_complete = FALSE;
}

gboolean
rules_set_pod_cidrs (Rules *rules, const char *const *cidrs, GError **error)
{
  g_strfreev (rules->pod_cidrs);
  rules->pod_cidrs = g_strdupv ((char **) cidrs);
  return !rules->is_complete || write_pod_cidrs (rules, error);
}

GPtrArray *
rules_take_waiting (Rules *rules)
{
  GPtrArray *waiting;
  GHashTableIter it;
  gpointer key;

  if (!rules->had_release)
    return NULL;
  rules->had_release = FALSE;
  if (g_hash_table_size (rules->losers) == 0)
    return NULL;
  waiting = g_ptr_array_new_with_free_func (g_free);
  for (g_hash_table_iter_init (&it, rules->losers); g_hash_table_iter_next (&it, &key, NULL);)
    g_ptr_array_add (waiting, g_strdup (key));
  return waiting;
}

GPtrArray *
rules_take_stale_flows (Rules *rules)
{
  return g_steal_pointer (&rules->stale_flows);
}

gboolean
rules_remove_table (Rules *rules, GError **error)
{
  g_autofree char *text = g_strdup_printf ("add table ip %s\ndelete table ip %s\n", rules->table, rules->table);

  rules->is_complete = FALSE;
  return nft_ruleset_run (text, error);
}

guint
rules_n_fronts (Rules *rules)
{
  return g_hash_table_size (rules->fronts);
}
