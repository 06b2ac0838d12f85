/* SPDX-License-Identifier: Apache-2.0 */
/* Pods as policies see them. What follows from the scheduling needs alone is worked out once a class. */
#include "driver.h"
#include <cube/schema.h>
#include <string.h>

#define DEFAULT_CPU_MILLIS 100 /* of a container without request, for scoring only */
#define DEFAULT_MEMORY_BYTES (200 * 1024 * 1024LL)

/* ---- the hash of a class ---- */

static guint64
mix (guint64 hash, guint64 more)
{
  hash ^= more + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccdULL;
}

static guint64
hash_containers (CubeView list, guint64 seed)
{
  static const char *const keys[] = { "image", "resources", "ports", "restartPolicy", "securityContext" };
  guint64 hash = seed;
  CubeView container;
  CubeIter it;

  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &container);)
    for (guint i = 0; i < G_N_ELEMENTS (keys); i++)
      {
        CubeView part = cube_view_member (container, keys[i]);

        if (cube_view_exists (part))
          hash = mix (hash, cube_view_hash (part, seed + i));
      }
  return hash;
}

/* Volumes that tie a pod to no node are left out: the token's volume has a name of its own in every pod. */
static guint64
hash_volumes (CubeView list, guint64 seed)
{
  static const char *const free_kinds[] = { "projected", "secret", "configMap", "emptyDir", "downwardAPI" };
  guint64 hash = seed;
  CubeView volume;
  CubeIter it;

  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &volume);)
    {
      gboolean is_free = FALSE;

      for (guint i = 0; i < G_N_ELEMENTS (free_kinds) && !is_free; i++)
        is_free = cube_view_exists (cube_view_member (volume, free_kinds[i]));
      if (!is_free)
        hash = mix (hash, cube_view_hash (volume, seed));
    }
  return hash;
}

static guint64
hash_needs (CubeView value, guint64 seed)
{
  static const char *const apart[] = { "nodeName", "hostname", "containers", "initContainers", "ephemeralContainers", "volumes" };
  CubeView metadata = cube_view_member (value, "metadata"), spec = cube_view_member (value, "spec"), member;
  guint64 hash = mix (seed, cube_view_hash (cube_view_member (metadata, "labels"), seed));
  guint64 members = 0;
  const char *key;
  CubeIter it;

  hash = mix (hash, cube_view_hash (cube_view_member (metadata, "namespace"), seed));
  for (cube_iter_init (&it, spec); cube_iter_next (&it, &key, &member);)
    {
      gboolean is_apart = FALSE;

      for (guint i = 0; i < G_N_ELEMENTS (apart) && !is_apart; i++)
        is_apart = strcmp (key, apart[i]) == 0;
      if (!is_apart)
        members += mix (cube_view_hash (member, seed), g_str_hash (key));
    }
  hash = mix (hash, members);
  hash = mix (hash, hash_containers (cube_view_member (spec, "containers"), seed));
  hash = mix (hash, hash_containers (cube_view_member (spec, "initContainers"), seed + 1));
  return mix (hash, hash_volumes (cube_view_member (spec, "volumes"), seed + 2));
}

/* ---- what a class asks for ---- */

static gint64
add_saturating (gint64 a, gint64 b)
{
  gint64 sum;

  return __builtin_add_overflow (a, b, &sum) ? G_MAXINT64 : sum;
}

static gint64
container_request (CubeView container, const char *resource, gint64 fallback)
{
  CubeQuantity quantity;

  if (!cube_quantity_from_view (cube_view_get (container, "resources", "requests", resource), &quantity))
    return fallback;
  return strcmp (resource, "cpu") == 0 ? cube_quantity_millis (&quantity) : cube_quantity_value (&quantity);
}

/* As cube_pod_request, with @fallback for containers that do not say. */
static gint64
nonzero_request (CubeView spec, const char *resource, gint64 fallback)
{
  gint64 total = 0, sidecars = 0, highest = 0;
  CubeContainerKind kind;
  CubeContainerIter iter;
  CubeQuantity quantity;
  CubeView container;

  if (cube_view_exists (cube_view_get (spec, "resources", "requests", resource)))
    return cube_pod_request (spec, resource);
  cube_containers_init (&iter, spec, CUBE_CONTAINER_INIT | CUBE_CONTAINER_REGULAR);
  while (cube_containers_next (&iter, &container, &kind, NULL))
    {
      gint64 own = container_request (container, resource, fallback);

      if (kind == CUBE_CONTAINER_REGULAR)
        total = add_saturating (total, own);
      else if (g_strcmp0 (cube_view_get_string (container, "restartPolicy"), "Always") == 0)
        {
          sidecars = add_saturating (sidecars, own);
          highest = MAX (highest, sidecars);
        }
      else
        highest = MAX (highest, add_saturating (sidecars, own));
    }
  total = MAX (add_saturating (total, sidecars), highest);
  if (cube_quantity_from_view (cube_view_get (spec, "overhead", resource), &quantity))
    total = add_saturating (total, strcmp (resource, "cpu") == 0 ? cube_quantity_millis (&quantity) : cube_quantity_value (&quantity));
  return total;
}

static void
add_extended (GArray *amounts, CubeView spec, CubeView requests)
{
  const char *key;
  CubeView value;
  CubeIter it;

  for (cube_iter_init (&it, requests); cube_iter_next (&it, &key, &value);)
    {
      CubeResourceAmount amount = { key, 0 };
      gboolean is_known = g_str_equal (key, "cpu") || g_str_equal (key, "memory") || g_str_equal (key, "ephemeral-storage");

      for (guint i = 0; i < amounts->len && !is_known; i++)
        is_known = strcmp (g_array_index (amounts, CubeResourceAmount, i).name, key) == 0;
      if (is_known)
        continue;
      amount.amount = cube_pod_request (spec, key);
      if (amount.amount > 0)
        g_array_append_val (amounts, amount);
    }
}

static void
read_extended (Class *class, CubeView spec)
{
  GArray *amounts = g_array_new (FALSE, FALSE, sizeof (CubeResourceAmount));
  CubeContainerIter iter;
  CubeView container;

  cube_containers_init (&iter, spec, CUBE_CONTAINER_INIT | CUBE_CONTAINER_REGULAR);
  while (cube_containers_next (&iter, &container, NULL, NULL))
    add_extended (amounts, spec, cube_view_get (container, "resources", "requests"));
  add_extended (amounts, spec, cube_view_get (spec, "resources", "requests"));
  add_extended (amounts, spec, cube_view_member (spec, "overhead"));
  class->n_extended = amounts->len;
  class->extended = (CubeResourceAmount *) (gpointer) g_array_free (amounts, FALSE);
}

static void
read_ports (Class *class, CubeView spec)
{
  GArray *ports = g_array_new (FALSE, FALSE, sizeof (CubeHostPort));
  CubeContainerKind kind;
  CubeContainerIter iter;
  CubeView container, port;
  CubeIter it;

  cube_containers_init (&iter, spec, CUBE_CONTAINER_INIT | CUBE_CONTAINER_REGULAR);
  while (cube_containers_next (&iter, &container, &kind, NULL))
    {
      if (kind == CUBE_CONTAINER_INIT && g_strcmp0 (cube_view_get_string (container, "restartPolicy"), "Always") != 0)
        continue;
      for (cube_iter_init (&it, cube_view_member (container, "ports")); cube_iter_next (&it, NULL, &port);)
        {
          CubeHostPort one = { cube_view_string_or (cube_view_member (port, "protocol"), "TCP"),
                               cube_view_string_or (cube_view_member (port, "hostIP"), ""),
                               (gint32) CLAMP (cube_view_int (cube_view_member (port, "hostPort"), 0), 0, 65535) };

          if (one.port > 0)
            g_array_append_val (ports, one);
        }
    }
  class->n_host_ports = ports->len;
  class->host_ports = (CubeHostPort *) (gpointer) g_array_free (ports, FALSE);
}

static Class *
class_new (CubeView value, guint64 hash)
{
  Class *class = g_new0 (Class, 1);
  CubeView spec;

  class->ref_count = 1;
  class->hash = hash;
  class->value = cube_value_new_copy (value);
  spec = cube_value_get (class->value, "spec");
  class->cpu_millis = cube_pod_request (spec, "cpu");
  class->memory_bytes = cube_pod_request (spec, "memory");
  class->ephemeral_bytes = cube_pod_request (spec, "ephemeral-storage");
  class->nonzero_cpu_millis = nonzero_request (spec, "cpu", DEFAULT_CPU_MILLIS);
  class->nonzero_memory_bytes = nonzero_request (spec, "memory", DEFAULT_MEMORY_BYTES);
  class->priority = (gint32) CLAMP (cube_view_get_int (spec, 0, "priority"), G_MININT32, G_MAXINT32);
  class->scheduler_name = cube_view_string_or (cube_view_member (spec, "schedulerName"), "default-scheduler");
  class->is_gated = cube_view_length (cube_view_member (spec, "schedulingGates")) > 0;
  read_extended (class, spec);
  read_ports (class, spec);
  return class;
}

Class *
class_ref (Class *class)
{
  class->ref_count++;
  return class;
}

void
class_unref (Class *class)
{
  if (--class->ref_count > 0)
    return;
  g_hash_table_remove (class->table, &class->hash);
  g_hash_table_unref (class->table);
  cube_value_unref (class->value);
  g_free (class->extended);
  g_free (class->host_ports);
  g_free (class);
}

Class *
class_of (GHashTable *table, CubeView value, guint64 seed)
{
  guint64 hash = hash_needs (value, seed);
  Class *class = g_hash_table_lookup (table, &hash);

  if (class != NULL)
    return class_ref (class);
  class = class_new (value, hash);
  class->table = g_hash_table_ref (table);
  g_hash_table_insert (table, &class->hash, class);
  return class;
}

/* ---- one pod ---- */

Pod *
pod_new (CubeObject *object, Class *class)
{
  Pod *pod = g_slice_new0 (Pod);
  CubePodInfo *info = &pod->info;

  pod->ref_count = 1;
  pod->class = class_ref (class);
  info->struct_size = sizeof *info;
  info->object = cube_object_ref (object);
  info->ns = cube_object_namespace (object);
  info->name = cube_object_name (object);
  info->uid = cube_object_uid (object);
  info->scheduler_name = class->scheduler_name;
  info->priority = class->priority;
  info->cpu_millis = class->cpu_millis;
  info->memory_bytes = class->memory_bytes;
  info->ephemeral_bytes = class->ephemeral_bytes;
  info->nonzero_cpu_millis = class->nonzero_cpu_millis;
  info->nonzero_memory_bytes = class->nonzero_memory_bytes;
  info->extended = class->extended;
  info->n_extended = class->n_extended;
  info->host_ports = class->host_ports;
  info->n_host_ports = class->n_host_ports;
  info->class_hash = class->hash;
  pod_forget (pod);
  return pod;
}

Pod *
pod_ref (Pod *pod)
{
  g_atomic_int_inc (&pod->ref_count);
  return pod;
}

void
pod_unref (Pod *pod)
{
  if (pod == NULL || !g_atomic_int_dec_and_test (&pod->ref_count))
    return;
  cube_object_unref (pod->info.object);
  cube_value_unref (pod->value);
  class_unref (pod->class);
  g_slice_free (Pod, pod);
}

void
pod_parse (Pod *pod)
{
  if (pod->value != NULL)
    return;
  pod->value = cube_object_value (pod->info.object);
  pod->info.view = cube_value_root (pod->value);
  pod->info.spec = cube_view_member (pod->info.view, "spec");
}

void
pod_forget (Pod *pod)
{
  g_clear_pointer (&pod->value, cube_value_unref);
  pod->info.view = cube_value_root (pod->class->value);
  pod->info.spec = cube_view_member (pod->info.view, "spec");
}

const char *
pod_node_name (CubeView value)
{
  return cube_view_string_or (cube_view_get (value, "spec", "nodeName"), "");
}

gboolean
pod_is_terminal (CubeView value)
{
  const char *phase = cube_view_get_string (value, "status", "phase");

  return phase != NULL && (strcmp (phase, "Succeeded") == 0 || strcmp (phase, "Failed") == 0);
}
