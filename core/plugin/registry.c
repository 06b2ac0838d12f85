/* SPDX-License-Identifier: Apache-2.0 */
#include "registry.h"
#include <string.h>

typedef struct {
  CubeImpl impl; /* first: CubeImpl * is Entry * */
  gint ref_count;
  gboolean is_pinned; /* registry's lock */
  CubeRegistry *registry;
} Entry;

typedef struct {
  guint64 generation;
  GPtrArray *entries; /* Entry *, by id; each held by the registry */
} Interface;

struct _CubeRegistryWatch {
  CubeRegistry *registry;
  const char *interface;
  CubeLoop *loop;
  CubeTask changed;
  gpointer data;
  gint ref_count, is_gone;
};

struct _CubeRegistry {
  GMutex lock;
  GCond released;
  GHashTable *interfaces; /* interned name → Interface */
  GPtrArray *watches;
  GPtrArray *live; /* Entry *: every one not yet freed, weak */
};

static void
interface_free (gpointer data)
{
  Interface *interface = data;
  g_ptr_array_unref (interface->entries);
  g_free (interface);
}

static void
entry_release (gpointer data)
{
  cube_impl_unref (data);
}

CubeRegistry *
cube_registry_new (void)
{
  CubeRegistry *registry = g_new0 (CubeRegistry, 1);
  g_mutex_init (&registry->lock);
  g_cond_init (&registry->released);
  registry->interfaces = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, interface_free);
  registry->watches = g_ptr_array_new ();
  registry->live = g_ptr_array_new ();
  return registry;
}

void
cube_registry_free (CubeRegistry *registry)
{
  if (registry == NULL)
    return;
  g_hash_table_unref (registry->interfaces);
  g_ptr_array_unref (registry->watches);
  g_ptr_array_unref (registry->live);
  g_cond_clear (&registry->released);
  g_mutex_clear (&registry->lock);
  g_free (registry);
}

static Interface *
get_interface (CubeRegistry *registry, const char *name)
{
  Interface *interface = g_hash_table_lookup (registry->interfaces, name);
  if (interface == NULL)
    {
      interface = g_new0 (Interface, 1);
      interface->entries = g_ptr_array_new_with_free_func (entry_release);
      g_hash_table_insert (registry->interfaces, (gpointer) g_intern_string (name), interface);
    }
  return interface;
}

const CubeImpl *
cube_impl_ref (const CubeImpl *impl)
{
  g_atomic_int_inc (&((Entry *) impl)->ref_count);
  return impl;
}

void
cube_impl_unref (const CubeImpl *impl)
{
  if (impl == NULL)
    return;
  Entry *entry = (Entry *) impl;
  if (!g_atomic_int_dec_and_test (&entry->ref_count))
    return;
  CubeRegistry *registry = entry->registry;
  g_mutex_lock (&registry->lock);
  g_ptr_array_remove_fast (registry->live, entry);
  g_cond_broadcast (&registry->released);
  g_mutex_unlock (&registry->lock);
  g_free (entry);
}

/* ---- watching ---- */

static void
watch_unref (gpointer data)
{
  CubeRegistryWatch *watch = data;
  if (g_atomic_int_dec_and_test (&watch->ref_count))
    g_free (watch);
}

static void
watch_fire (gpointer data)
{
  CubeRegistryWatch *watch = data;
  if (!g_atomic_int_get (&watch->is_gone))
    watch->changed (watch->data);
}

/* Lock held. */
static void
notify (CubeRegistry *registry, const char *interface)
{
  get_interface (registry, interface)->generation++;
  for (guint i = 0; i < registry->watches->len; i++)
    {
      CubeRegistryWatch *watch = registry->watches->pdata[i];
      if (strcmp (watch->interface, interface) != 0)
        continue;
      g_atomic_int_inc (&watch->ref_count);
      cube_loop_post (watch->loop, watch_fire, watch, watch_unref);
    }
}

CubeRegistryWatch *
cube_registry_watch (CubeRegistry *registry, const char *interface, CubeLoop *loop, CubeTask changed, gpointer data)
{
  CubeRegistryWatch *watch = g_new0 (CubeRegistryWatch, 1);
  *watch = (CubeRegistryWatch){ registry, g_intern_string (interface), loop, changed, data, 1, FALSE };
  g_mutex_lock (&registry->lock);
  g_ptr_array_add (registry->watches, watch);
  g_mutex_unlock (&registry->lock);
  return watch;
}

void
cube_registry_unwatch (CubeRegistryWatch *watch)
{
  if (watch == NULL)
    return;
  g_atomic_int_set (&watch->is_gone, TRUE);
  g_mutex_lock (&watch->registry->lock);
  g_ptr_array_remove (watch->registry->watches, watch);
  g_mutex_unlock (&watch->registry->lock);
  watch_unref (watch);
}

guint64
cube_registry_generation (CubeRegistry *registry, const char *interface)
{
  g_mutex_lock (&registry->lock);
  guint64 generation = get_interface (registry, interface)->generation;
  g_mutex_unlock (&registry->lock);
  return generation;
}

/* ---- adding and removing ---- */

static guint
find_place (const Interface *interface, const char *id, gboolean *ret_is_taken)
{
  guint place = 0;
  *ret_is_taken = FALSE;
  for (; place < interface->entries->len; place++)
    {
      int order = strcmp (((Entry *) interface->entries->pdata[place])->impl.id, id);
      *ret_is_taken = order == 0;
      if (order >= 0)
        break;
    }
  return place;
}

static gboolean
is_named (const char *const *names, const char *name)
{
  return names != NULL && g_strv_contains (names, name);
}

/* Lock held. FALSE when one of @impls is taken, by another or by one of @impls itself. */
static gboolean
check_free (CubeRegistry *registry, const char *const *gone, const CubeInterfaceImpl *impls, const char *plugin, GError **error)
{
  for (const CubeInterfaceImpl *impl = impls; impl != NULL && impl->interface != NULL; impl++)
    {
      Interface *interface = get_interface (registry, impl->interface);
      gboolean is_taken;
      guint place = find_place (interface, impl->id, &is_taken);
      const char *owner = is_taken ? ((Entry *) interface->entries->pdata[place])->impl.plugin : NULL;
      if (owner != NULL && is_named (gone, owner))
        owner = NULL;
      for (const CubeInterfaceImpl *other = impls; other != impl && owner == NULL; other++)
        if (g_str_equal (other->interface, impl->interface) && g_str_equal (other->id, impl->id))
          owner = plugin;
      if (owner == NULL)
        continue;
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS, "%s \"%s\" is already provided by plugin %s", impl->interface, impl->id,
                   owner);
      return FALSE;
    }
  return TRUE;
}

/* Lock held. */
static void
insert (CubeRegistry *registry, const CubeInterfaceImpl *impl, const char *plugin, gpointer state, CubeContext *context)
{
  Interface *interface = get_interface (registry, impl->interface);
  gboolean is_taken;
  guint place = find_place (interface, impl->id, &is_taken);
  Entry *entry = g_new0 (Entry, 1);
  entry->impl =
      (CubeImpl){ g_intern_string (impl->interface), g_intern_string (impl->id), g_intern_string (plugin), impl->ops, state, context };
  entry->ref_count = 1;
  entry->registry = registry;
  g_ptr_array_add (registry->live, entry);
  g_ptr_array_insert (interface->entries, (gint) place, entry);
}

/* Lock held. Moves what @plugins offer to @dropped, and the names of what changed to @changed. */
static void
take_out (CubeRegistry *registry, const char *const *plugins, GPtrArray *dropped, GHashTable *changed)
{
  GHashTableIter iter;
  gpointer name, value;
  g_hash_table_iter_init (&iter, registry->interfaces);
  while (g_hash_table_iter_next (&iter, &name, &value))
    {
      Interface *interface = value;
      for (guint i = interface->entries->len; i-- > 0;)
        if (is_named (plugins, ((Entry *) interface->entries->pdata[i])->impl.plugin))
          {
            g_ptr_array_add (dropped, g_ptr_array_steal_index (interface->entries, i));
            g_hash_table_add (changed, name);
          }
    }
}

gboolean
cube_registry_swap (CubeRegistry *registry, const char *const *gone, const CubeInterfaceImpl *impls, const char *plugin, gpointer state,
                    CubeContext *context, GError **error)
{
  g_autoptr (GPtrArray) dropped = g_ptr_array_new_with_free_func (entry_release); /* after the lock */
  g_autoptr (GHashTable) changed = g_hash_table_new (g_str_hash, g_str_equal);
  GHashTableIter iter;
  gpointer name;
  g_mutex_lock (&registry->lock);
  gboolean is_free = check_free (registry, gone, impls, plugin, error);
  if (is_free)
    take_out (registry, gone, dropped, changed);
  for (const CubeInterfaceImpl *impl = impls; is_free && impl != NULL && impl->interface != NULL; impl++)
    {
      insert (registry, impl, plugin, state, context);
      g_hash_table_add (changed, (gpointer) g_intern_string (impl->interface));
    }
  g_hash_table_iter_init (&iter, changed);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    notify (registry, name);
  g_mutex_unlock (&registry->lock);
  return is_free;
}

gboolean
cube_registry_add (CubeRegistry *registry, const CubeInterfaceImpl *impl, const char *plugin, gpointer state, CubeContext *context,
                   GError **error)
{
  const CubeInterfaceImpl one[] = { *impl, { NULL, 0, 0, NULL, NULL } };
  return cube_registry_swap (registry, NULL, one, plugin, state, context, error);
}

void
cube_registry_remove_plugin (CubeRegistry *registry, const char *plugin)
{
  const char *const gone[] = { plugin, NULL };
  cube_registry_swap (registry, gone, NULL, NULL, NULL, NULL, NULL);
}

/* ---- who holds what ---- */

void
cube_registry_pin (CubeRegistry *registry, const CubeImpl *impl)
{
  g_mutex_lock (&registry->lock);
  ((Entry *) impl)->is_pinned = TRUE;
  g_mutex_unlock (&registry->lock);
}

gboolean
cube_registry_is_held (CubeRegistry *registry, const CubeContext *context, gboolean *ret_is_pinned)
{
  gboolean is_held = FALSE, is_pinned = FALSE;
  g_mutex_lock (&registry->lock);
  for (guint i = 0; i < registry->live->len; i++)
    {
      const Entry *entry = registry->live->pdata[i];
      is_held |= entry->impl.context == context;
      is_pinned |= entry->impl.context == context && entry->is_pinned;
    }
  g_mutex_unlock (&registry->lock);
  if (ret_is_pinned != NULL)
    *ret_is_pinned = is_pinned;
  return is_held;
}

static gboolean
is_held (CubeRegistry *registry, const char *plugin)
{
  for (guint i = 0; i < registry->live->len; i++)
    if (strcmp (((Entry *) registry->live->pdata[i])->impl.plugin, plugin) == 0)
      return TRUE;
  return FALSE;
}

gboolean
cube_registry_drain (CubeRegistry *registry, const char *plugin, gint64 timeout_us)
{
  gint64 deadline = g_get_monotonic_time () + timeout_us;
  gboolean in_time = TRUE;
  g_mutex_lock (&registry->lock);
  while (in_time && is_held (registry, plugin))
    in_time = g_cond_wait_until (&registry->released, &registry->lock, deadline);
  gboolean is_free = !is_held (registry, plugin);
  g_mutex_unlock (&registry->lock);
  return is_free;
}

/* ---- looking up ---- */

const CubeImpl *
cube_registry_lookup (CubeRegistry *registry, const char *interface_name, const char *id)
{
  const CubeImpl *found = NULL;
  g_mutex_lock (&registry->lock);
  Interface *interface = g_hash_table_lookup (registry->interfaces, interface_name);
  if (interface != NULL)
    {
      gboolean is_there;
      guint place = find_place (interface, id, &is_there);
      if (is_there)
        found = cube_impl_ref (interface->entries->pdata[place]);
    }
  g_mutex_unlock (&registry->lock);
  return found;
}

GPtrArray *
cube_registry_list (CubeRegistry *registry, const char *interface_name)
{
  GPtrArray *list = g_ptr_array_new_with_free_func (entry_release);
  g_mutex_lock (&registry->lock);
  Interface *interface = g_hash_table_lookup (registry->interfaces, interface_name);
  for (guint i = 0; interface != NULL && i < interface->entries->len; i++)
    g_ptr_array_add (list, (gpointer) cube_impl_ref (interface->entries->pdata[i]));
  g_mutex_unlock (&registry->lock);
  return list;
}
