/* SPDX-License-Identifier: Apache-2.0 */
#include "front.h"
#include <arpa/inet.h>
#include <string.h>

/* ---- making ---- */

/* Parts of a concatenation begin at multiples of four. */
static void
set_key (Front *front, guint32 ip, CubeProtocol protocol, guint16 port)
{
  guint8 *at = front->key;
  guint16 wire = htons (port);

  if (front->plane == PLANE_ADDRESS)
    {
      memcpy (at, &ip, 4);
      at += 4;
    }
  at[0] = (guint8) protocol;
  memcpy (at + 4, &wire, 2);
  front->key_size = (guint8) (at + 8 - front->key);
}

static gboolean
has_target (const Front *front, const Target *wanted, guint *ret_at)
{
  for (guint i = 0; i < front->targets->len; i++)
    {
      const Target *target = &g_array_index (front->targets, Target, i);

      if (target->ip == wanted->ip && target->port == wanted->port)
        {
          if (ret_at != NULL)
            *ret_at = i;
          return TRUE;
        }
    }
  return FALSE;
}

static void
add_targets (Front *front, const CubeFront *source)
{
  g_autoptr (GHashTable) seen = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autofree gint64 *numbers = g_new (gint64, source->n_endpoints + 1);

  for (guint i = 0; i < source->n_endpoints && front->targets->len < LAYOUT_ID_MAX; i++)
    {
      Target target = { .port = htons (source->endpoints[i].port) };
      struct in_addr address;

      if (inet_pton (AF_INET, source->endpoints[i].ip, &address) != 1)
        continue;
      target.ip = address.s_addr;
      numbers[i] = ((gint64) target.ip << 16) | target.port;
      if (g_hash_table_add (seen, &numbers[i]))
        g_array_append_val (front->targets, target);
    }
}

static void
add_allowed (Front *front, const char *const *ranges)
{
  for (guint i = 0; ranges[i] != NULL; i++)
    {
      g_auto (GStrv) parts = g_strsplit (ranges[i], "/", 2);
      struct in_addr address;
      guint64 prefix = 32;
      guint32 mask, pair[2];

      g_strstrip (parts[0]);
      if (inet_pton (AF_INET, parts[0], &address) != 1
          || (parts[1] != NULL && !g_ascii_string_to_unsigned (g_strstrip (parts[1]), 10, 1, 32, &prefix, NULL)))
        continue;
      mask = G_MAXUINT32 << (32 - prefix);
      pair[0] = ntohl (address.s_addr) & mask;
      pair[1] = pair[0] | ~mask;
      g_array_append_vals (front->allowed, pair, 2);
    }
}

Front *
front_new (const CubeFront *source, const char *owner)
{
  struct in_addr address = { 0 };
  Front *front;

  if (source->kind != CUBE_FRONT_NODE_PORT && inet_pton (AF_INET, source->ip, &address) != 1)
    return NULL;
  front = g_new0 (Front, 1);
  front->plane = source->kind == CUBE_FRONT_NODE_PORT ? PLANE_PORT : PLANE_ADDRESS;
  front->kind = source->kind;
  front->protocol = source->protocol;
  front->owner = g_strdup (owner);
  front->is_drop = source->is_drop;
  front->is_masqueraded = source->needs_masquerade;
  front->affinity_seconds = source->affinity_seconds;
  front->targets = g_array_new (FALSE, TRUE, sizeof (Target));
  front->allowed = g_array_new (FALSE, FALSE, sizeof (guint32));
  front->is_guarded = source->allowed_sources != NULL && front->plane == PLANE_ADDRESS;
  set_key (front, address.s_addr, source->protocol, source->port);
  add_targets (front, source);
  if (front->is_guarded)
    add_allowed (front, source->allowed_sources);
  return front;
}

void
front_free (Front *front)
{
  g_array_unref (front->targets);
  g_array_unref (front->allowed);
  g_free (front->owner);
  g_free (front);
}

guint
front_hash (gconstpointer data)
{
  const Front *front = data;
  guint hash = front->plane;

  for (guint i = 0; i < front->key_size; i++)
    hash = hash * 31 + front->key[i];
  return hash;
}

gboolean
front_equal (gconstpointer a, gconstpointer b)
{
  const Front *one = a, *two = b;

  return one->plane == two->plane && memcmp (one->key, two->key, one->key_size) == 0;
}

/* ---- places ---- */

static guint16
free_id (const guint8 *used)
{
  guint id = 1;

  while (id < LAYOUT_ID_MAX && used[id])
    id++;
  return (guint16) id;
}

static gint
compare_targets (gconstpointer a, gconstpointer b)
{
  return memcmp (a, b, 6);
}

/* Those that stay, at their place; 0 where one went. (transfer full) */
static GArray *
staying (const Front *front, const Front *before, guint8 *used)
{
  GArray *places = g_array_sized_new (FALSE, TRUE, sizeof (Target), front->targets->len);

  for (guint i = 0; before != NULL && i < before->targets->len; i++)
    {
      Target target = g_array_index (before->targets, Target, i), empty = { 0 };

      if (g_array_binary_search (front->targets, &target, compare_targets, NULL))
        used[target.id] = TRUE;
      else
        target = empty;
      g_array_append_val (places, target);
    }
  return places;
}

void
front_settle (Front *front, const Front *before)
{
  g_autofree guint8 *used = g_malloc0 (LAYOUT_ID_MAX + 1);
  GArray *places;
  guint hole = 0;

  g_array_sort (front->targets, compare_targets);
  places = staying (front, before, used);
  for (guint i = 0; i < front->targets->len; i++)
    {
      Target target = g_array_index (front->targets, Target, i);

      if (before != NULL && has_target (before, &target, NULL))
        continue;
      target.id = free_id (used);
      used[target.id] = TRUE;
      while (hole < places->len && g_array_index (places, Target, hole).id != 0)
        hole++;
      if (hole < places->len)
        g_array_index (places, Target, hole) = target;
      else
        g_array_append_val (places, target);
    }
  for (guint i = 0; i < places->len;)
    if (g_array_index (places, Target, i).id == 0)
      g_array_remove_index_fast (places, i); /* the last one takes the place */
    else
      i++;
  g_array_unref (front->targets);
  front->targets = places;
}

/* ---- elements ---- */

const char *
front_chain (const Front *front)
{
  if (front->targets->len == 0)
    return NULL;
  return layout_chain_name (front->plane, front->is_masqueraded, front->affinity_seconds, front->targets->len);
}

static Element
element_of (const Front *front, guint set)
{
  Element element = { .set = (guint8) layout_set (front->plane, set), .key_size = front->key_size };

  memcpy (element.key, front->key, front->key_size);
  return element;
}

static void
append_number (Element *element, guint32 number)
{
  memcpy (element->key + element->key_size, &number, 4); /* as the packet path has it: the machine's order */
  element->key_size += 4;
}

static void
set_target (Element *element, const Target *target)
{
  memcpy (element->data, &target->ip, 4);
  memcpy (element->data + 4, &target->port, 2);
  element->data_size = 8;
}

static void
append_targets (const Front *front, GArray *elements)
{
  for (guint i = 0; i < front->targets->len; i++)
    {
      const Target *target = &g_array_index (front->targets, Target, i);
      gboolean is_sticky = front->affinity_seconds > 0;
      guint32 mark = LAYOUT_ID_BASE | target->id | (front->is_masqueraded ? LAYOUT_MASQUERADE : 0);
      Element element = element_of (front, is_sticky ? SET_IDS : SET_ENDPOINTS);

      append_number (&element, is_sticky ? mark : i);
      set_target (&element, target);
      g_array_append_val (elements, element);
      if (!is_sticky)
        continue;
      element = element_of (front, SET_SLOTS);
      append_number (&element, i);
      memcpy (element.data, &mark, 4);
      element.data_size = 4;
      g_array_append_val (elements, element);
    }
}

static void
append_guard (const Front *front, GArray *elements)
{
  Element guard = element_of (front, 0);

  guard.set = SET_GUARDED;
  g_array_append_val (elements, guard);
  for (guint i = 0; i + 1 < front->allowed->len; i += 2)
    {
      Element element = guard;
      guint32 first = htonl (g_array_index (front->allowed, guint32, i)), last = htonl (g_array_index (front->allowed, guint32, i + 1));

      element.set = SET_ALLOWED;
      element.is_range = TRUE;
      memcpy (element.key_end, element.key, element.key_size);
      memcpy (element.key + element.key_size, &first, 4);
      memcpy (element.key_end + element.key_size, &last, 4);
      element.key_size += 4;
      g_array_append_val (elements, element);
    }
}

void
front_append_elements (const Front *front, GArray *elements)
{
  const char *chain = front_chain (front);
  Element element = element_of (front, chain != NULL || front->is_drop ? SET_FRONTS : SET_REJECT);

  if (chain != NULL)
    element.verdict = VERDICT_GOTO;
  else if (front->is_drop)
    element.verdict = VERDICT_DROP;
  element.chain = chain;
  g_array_append_val (elements, element);
  append_targets (front, elements);
  if (front->is_guarded)
    append_guard (front, elements);
}

guint
element_hash (gconstpointer data)
{
  const Element *element = data;
  guint hash = element->set;

  for (guint i = 0; i < element->key_size; i++)
    hash = hash * 31 + element->key[i];
  return hash;
}

gboolean
element_same_key (gconstpointer a, gconstpointer b)
{
  const Element *one = a, *two = b;

  return one->set == two->set && one->key_size == two->key_size && memcmp (one->key, two->key, one->key_size) == 0
         && memcmp (one->key_end, two->key_end, sizeof one->key_end) == 0;
}

gboolean
element_equal (const Element *a, const Element *b)
{
  return element_same_key (a, b) && a->data_size == b->data_size && memcmp (a->data, b->data, sizeof a->data) == 0
         && a->verdict == b->verdict && a->chain == b->chain;
}
