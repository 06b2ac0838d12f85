/* SPDX-License-Identifier: Apache-2.0 */
#include "servicepods.h"
#include <string.h>

#define QUIET_DELAY_US 1000
#define REST 3 /* times as long as a pass took it rests before the next */
#define MAX_DELAY_US G_USEC_PER_SEC

typedef struct {
  CubeSelector *selector;    /* NULL = not the controllers' business */
  gint64 ended_us, spent_us; /* the last pass, monotonic */
} Tracked;

struct _ServicePods {
  GMutex lock;
  GHashTable *namespaces; /* name → GHashTable: service name → Tracked */
};

static void
tracked_free (gpointer data)
{
  Tracked *tracked = data;
  cube_selector_unref (tracked->selector);
  g_free (tracked);
}

ServicePods *
service_pods_new (void)
{
  ServicePods *self = g_new0 (ServicePods, 1);
  g_mutex_init (&self->lock);
  self->namespaces = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_hash_table_unref);
  return self;
}

void
service_pods_free (ServicePods *self)
{
  if (self == NULL)
    return;
  g_hash_table_unref (self->namespaces);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
service_pods_reset (ServicePods *self)
{
  g_mutex_lock (&self->lock);
  g_hash_table_remove_all (self->namespaces);
  g_mutex_unlock (&self->lock);
}

static Tracked *
find (ServicePods *self, const char *ns, const char *name)
{
  GHashTable *services = g_hash_table_lookup (self->namespaces, ns);
  return services != NULL ? g_hash_table_lookup (services, name) : NULL;
}

static void
put (ServicePods *self, CubeObject *service)
{
  const char *ns = cube_object_namespace (service), *name = cube_object_name (service);
  g_autoptr (CubeValue) value = cube_object_value (service);
  CubeView view = cube_value_root (value);
  GHashTable *services = g_hash_table_lookup (self->namespaces, ns);
  if (services == NULL)
    {
      services = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, tracked_free);
      g_hash_table_insert (self->namespaces, g_strdup (ns), services);
    }
  Tracked *tracked = g_hash_table_lookup (services, name);
  if (tracked == NULL)
    {
      tracked = g_new0 (Tracked, 1);
      g_hash_table_insert (services, g_strdup (name), tracked);
    }
  g_clear_pointer (&tracked->selector, cube_selector_unref);
  if (service_has_pods (view))
    tracked->selector = cube_selector_from_map (cube_view_get (view, "spec", "selector"));
}

static void
drop (ServicePods *self, CubeObject *service)
{
  GHashTable *services = g_hash_table_lookup (self->namespaces, cube_object_namespace (service));
  if (services == NULL)
    return;
  g_hash_table_remove (services, cube_object_name (service));
  if (g_hash_table_size (services) == 0)
    g_hash_table_remove (self->namespaces, cube_object_namespace (service));
}

static void
enqueue (Tracked *tracked, CubeControllerEnv *env, const char *ns, const char *name)
{
  g_autofree char *key = g_strconcat (ns, "/", name, NULL);
  gint64 wait = QUIET_DELAY_US;
  if (tracked != NULL && tracked->spent_us > 0)
    wait = MAX (wait, tracked->ended_us + tracked->spent_us * REST - cube_context_monotonic_us (env->context));
  cube_queue_add_after (env->queue, key, MIN (wait, MAX_DELAY_US));
}

void
service_pods_enqueue (ServicePods *self, CubeControllerEnv *env, const char *ns, const char *name)
{
  g_mutex_lock (&self->lock);
  enqueue (find (self, ns, name), env, ns, name);
  g_mutex_unlock (&self->lock);
}

void
service_pods_took (ServicePods *self, CubeControllerEnv *env, const char *ns, const char *name, gint64 started_us)
{
  g_mutex_lock (&self->lock);
  Tracked *tracked = find (self, ns, name);
  if (tracked != NULL)
    {
      tracked->ended_us = cube_context_monotonic_us (env->context);
      tracked->spent_us = tracked->ended_us - started_us;
    }
  g_mutex_unlock (&self->lock);
}

void
service_pods_map_service (ServicePods *self, CubeControllerEnv *env, CubeEventType type, CubeObject *service)
{
  g_mutex_lock (&self->lock);
  if (type == CUBE_EVENT_DELETED)
    drop (self, service);
  else
    put (self, service);
  enqueue (NULL, env, cube_object_namespace (service), cube_object_name (service));
  g_mutex_unlock (&self->lock);
}

/* Does anything differ that an endpoint shows? */
static gboolean
is_news (CubeObject *pod, CubeObject *old)
{
  g_autoptr (CubeValue) now_value = cube_object_value (pod), old_value = cube_object_value (old);
  CubeView now = cube_value_root (now_value), was = cube_value_root (old_value);
  return strcmp (cube_object_uid (pod), cube_object_uid (old)) != 0
         || (cube_object_deletion_timestamp (pod) == NULL) != (cube_object_deletion_timestamp (old) == NULL)
         || service_pod_is_ready (now) != service_pod_is_ready (was)
         || g_strcmp0 (cube_view_get_string (now, "status", "phase"), cube_view_get_string (was, "status", "phase")) != 0
         || g_strcmp0 (cube_view_get_string (now, "status", "podIP"), cube_view_get_string (was, "status", "podIP")) != 0
         || !cube_view_equal (cube_view_get (now, "status", "podIPs"), cube_view_get (was, "status", "podIPs"))
         || g_strcmp0 (cube_view_get_string (now, "spec", "nodeName"), cube_view_get_string (was, "spec", "nodeName")) != 0;
}

void
service_pods_map_pod (ServicePods *self, CubeControllerEnv *env, CubeEventType type, CubeObject *pod, CubeObject *old)
{
  const char *ns = cube_object_namespace (pod);
  gboolean is_update = type == CUBE_EVENT_MODIFIED && old != NULL;
  int news = -1; /* not looked at yet */
  GHashTableIter iter;
  gpointer name, data;

  g_mutex_lock (&self->lock);
  GHashTable *services = g_hash_table_lookup (self->namespaces, ns);
  if (services != NULL)
    for (g_hash_table_iter_init (&iter, services); g_hash_table_iter_next (&iter, &name, &data);)
      {
        Tracked *tracked = data;
        if (tracked->selector == NULL)
          continue;
        gboolean matches = cube_selector_matches_object (tracked->selector, pod),
                 did = is_update && cube_selector_matches_object (tracked->selector, old);
        if (!matches && !did)
          continue;
        if (matches && did && news < 0)
          news = is_news (pod, old);
        if (matches != did || news > 0)
          enqueue (tracked, env, ns, name);
      }
  g_mutex_unlock (&self->lock);
}
