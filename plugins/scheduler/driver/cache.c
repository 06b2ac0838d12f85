/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes with what is bound or assumed on them. A change of a node's pods goes into a ring that ranked lists read; any other change that matters makes
 * them anew. */
#include "driver.h"
#include <string.h>

static void
amount_clear (gpointer data)
{
  g_free ((char *) ((CubeResourceAmount *) data)->name);
}

static GArray *
amounts_new (void)
{
  GArray *amounts = g_array_new (FALSE, FALSE, sizeof (CubeResourceAmount));

  g_array_set_clear_func (amounts, amount_clear);
  return amounts;
}

static void
add_amount (GArray *amounts, const char *name, gint64 amount)
{
  for (guint i = 0; i < amounts->len; i++)
    {
      CubeResourceAmount *one = &g_array_index (amounts, CubeResourceAmount, i);

      if (strcmp (one->name, name) == 0)
        {
          one->amount += amount;
          return;
        }
    }
  CubeResourceAmount fresh = { g_strdup (name), amount };
  g_array_append_val (amounts, fresh);
}

/* The arrays may have moved. */
static void
publish (Cache *cache, Node *node)
{
  CubeNodeInfo *info = &node->info;

  info->pods = (const CubePodInfo *const *) node->pods->pdata;
  info->n_pods = node->pods->len;
  info->allocatable_extended = (const CubeResourceAmount *) (gconstpointer) node->allocatable_extended->data;
  info->n_allocatable_extended = node->allocatable_extended->len;
  info->requested_extended = (const CubeResourceAmount *) (gconstpointer) node->requested_extended->data;
  info->n_requested_extended = node->requested_extended->len;
  info->generation = ++cache->generation;
}

static Node *
node_new (Cache *cache, const char *name)
{
  Node *node = g_new0 (Node, 1);

  node->info.struct_size = sizeof node->info;
  node->name = g_strdup (name);
  node->info.name = node->name;
  node->pods = g_ptr_array_new_with_free_func ((GDestroyNotify) pod_unref);
  node->allocatable_extended = amounts_new ();
  node->requested_extended = amounts_new ();
  g_hash_table_insert (cache->by_name, node->name, node);
  publish (cache, node);
  return node;
}

static void
node_free (gpointer data)
{
  Node *node = data;

  cube_object_unref (node->info.object);
  cube_value_unref (node->value);
  g_ptr_array_unref (node->pods);
  g_array_unref (node->allocatable_extended);
  g_array_unref (node->requested_extended);
  g_free (node->name);
  g_free (node);
}

Cache *
cache_new (void)
{
  Cache *cache = g_new0 (Cache, 1);

  cache->by_name = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, node_free);
  cache->nodes = g_ptr_array_new ();
  cache->changes = g_new0 (guint32, CHANGE_LOG);
  return cache;
}

void
cache_free (Cache *cache)
{
  g_ptr_array_unref (cache->nodes);
  g_hash_table_unref (cache->by_name);
  g_free (cache->changes);
  g_free (cache);
}

/* ---- nodes ---- */

static gint64
quantity_of (CubeView allocatable, const char *name)
{
  CubeQuantity quantity;

  if (!cube_quantity_from_view (cube_view_member (allocatable, name), &quantity))
    return 0;
  return strcmp (name, "cpu") == 0 ? cube_quantity_millis (&quantity) : cube_quantity_value (&quantity);
}

static void
read_allocatable (Node *node, CubeView view)
{
  CubeView allocatable = cube_view_get (view, "status", "allocatable"), value;
  CubeNodeInfo *info = &node->info;
  const char *key;
  CubeIter it;

  info->allocatable_cpu_millis = quantity_of (allocatable, "cpu");
  info->allocatable_memory_bytes = quantity_of (allocatable, "memory");
  info->allocatable_ephemeral_bytes = quantity_of (allocatable, "ephemeral-storage");
  info->allocatable_pods = quantity_of (allocatable, "pods");
  g_array_set_size (node->allocatable_extended, 0);
  for (cube_iter_init (&it, allocatable); cube_iter_next (&it, &key, &value);)
    if (strcmp (key, "cpu") != 0 && strcmp (key, "memory") != 0 && strcmp (key, "ephemeral-storage") != 0 && strcmp (key, "pods") != 0)
      add_amount (node->allocatable_extended, key, quantity_of (allocatable, key));
}

static gboolean
same_conditions (CubeView a, CubeView b)
{
  CubeIter x, y;
  CubeView one, two;

  cube_iter_init (&x, a);
  cube_iter_init (&y, b);
  for (;;)
    {
      gboolean has_one = cube_iter_next (&x, NULL, &one), has_two = cube_iter_next (&y, NULL, &two);

      if (!has_one || !has_two)
        return has_one == has_two;
      if (g_strcmp0 (cube_view_get_string (one, "type"), cube_view_get_string (two, "type")) != 0
          || g_strcmp0 (cube_view_get_string (one, "status"), cube_view_get_string (two, "status")) != 0)
        return FALSE;
    }
}

/* What of a node differs, in CUBE_WAKE_* bits; heartbeats differ in nothing. */
static guint32
difference (CubeView a, CubeView b)
{
  guint32 bits = 0;

  if (!cube_view_equal (cube_view_get (a, "status", "allocatable"), cube_view_get (b, "status", "allocatable")))
    bits |= CUBE_WAKE_NODE_ALLOCATABLE;
  if (!cube_view_equal (cube_view_get (a, "metadata", "labels"), cube_view_get (b, "metadata", "labels")))
    bits |= CUBE_WAKE_NODE_LABEL;
  if (!cube_view_equal (cube_view_get (a, "spec", "taints"), cube_view_get (b, "spec", "taints"))
      || cube_view_get_bool (a, FALSE, "spec", "unschedulable") != cube_view_get_bool (b, FALSE, "spec", "unschedulable"))
    bits |= CUBE_WAKE_NODE_TAINT;
  if (!same_conditions (cube_view_get (a, "status", "conditions"), cube_view_get (b, "status", "conditions")))
    bits |= CUBE_WAKE_NODE_CONDITION;
  if (!cube_view_equal (cube_view_get (a, "status", "images"), cube_view_get (b, "status", "images"))
      || !cube_view_equal (cube_view_get (a, "metadata", "annotations"), cube_view_get (b, "metadata", "annotations")))
    bits |= CUBE_WAKE_OTHER;
  return bits;
}

guint32
cache_put_node (Cache *cache, CubeObject *object)
{
  Node *node = g_hash_table_lookup (cache->by_name, cube_object_name (object));
  CubeValue *value = cube_object_value (object);
  CubeView view = cube_value_root (value);
  guint32 bits = CUBE_WAKE_NODE_ADD;

  if (node == NULL)
    node = node_new (cache, cube_object_name (object));
  if (node->is_real)
    bits = difference (cube_value_root (node->value), view);
  else
    {
      node->index = cache->nodes->len;
      g_ptr_array_add (cache->nodes, node);
      node->is_real = TRUE;
    }
  cube_value_unref (node->value);
  node->value = value;
  cube_object_unref (node->info.object);
  node->info.object = cube_object_ref (object);
  node->info.view = view;
  node->info.spec = cube_view_member (view, "spec");
  node->info.labels = cube_view_get (view, "metadata", "labels");
  if (bits == 0)
    return 0;
  node->info.is_unschedulable = cube_view_get_bool (view, FALSE, "spec", "unschedulable");
  read_allocatable (node, view);
  publish (cache, node);
  cache->structure++;
  return bits;
}

void
cache_remove_node (Cache *cache, const char *name)
{
  Node *node = g_hash_table_lookup (cache->by_name, name);

  if (node == NULL || !node->is_real)
    return;
  g_ptr_array_remove_index (cache->nodes, node->index);
  for (guint i = node->index; i < cache->nodes->len; i++)
    ((Node *) cache->nodes->pdata[i])->index = i;
  node->is_real = FALSE;
  cache->structure++;
  if (node->pods->len == 0)
    g_hash_table_remove (cache->by_name, name);
}

/* ---- pods ---- */

static void
count_pod (Cache *cache, Node *node, const CubePodInfo *pod, gint sign)
{
  CubeNodeInfo *info = &node->info;

  info->requested_cpu_millis += sign * pod->cpu_millis;
  info->requested_memory_bytes += sign * pod->memory_bytes;
  info->requested_ephemeral_bytes += sign * pod->ephemeral_bytes;
  info->nonzero_cpu_millis += sign * pod->nonzero_cpu_millis;
  info->nonzero_memory_bytes += sign * pod->nonzero_memory_bytes;
  for (guint i = 0; i < pod->n_extended; i++)
    add_amount (node->requested_extended, pod->extended[i].name, sign * pod->extended[i].amount);
  publish (cache, node);
  if (node->is_real)
    cache->changes[cache->n_changes++ % CHANGE_LOG] = node->index;
}

Node *
cache_add_pod (Cache *cache, Pod *pod, const char *node_name)
{
  Node *node = g_hash_table_lookup (cache->by_name, node_name);

  if (node == NULL)
    node = node_new (cache, node_name);
  g_ptr_array_add (node->pods, pod_ref (pod));
  count_pod (cache, node, &pod->info, 1);
  return node;
}

void
cache_remove_pod (Cache *cache, Pod *pod, Node *node)
{
  pod_ref (pod);
  if (g_ptr_array_remove_fast (node->pods, pod))
    count_pod (cache, node, &pod->info, -1);
  pod_unref (pod);
  if (!node->is_real && node->pods->len == 0)
    g_hash_table_remove (cache->by_name, node->name);
}

void
cache_swap_pod (Cache *cache, Node *node, Pod *stale, Pod *fresh)
{
  guint index;

  if (!g_ptr_array_find (node->pods, stale, &index))
    return;
  node->pods->pdata[index] = pod_ref (fresh);
  pod_unref (stale);
}
