/* SPDX-License-Identifier: Apache-2.0 */
/* The controller framework: one leader election for all controllers of the process; for each its informers, its queue, its workers. Everything here runs
 * on the loop "controllers" but reconcile, which runs on workers. */
#include "client-private.h"
#include <unistd.h>

#define DEFAULT_WORKERS 2
#define UNHEALTHY_AFTER 10 /* failures in a row over all keys */
#define STOP_WAIT_S 20

typedef struct _Running Running;

typedef struct {
  Running *running;
  const CubeControllerWatch *watch;
  CubeInformer *informer;
} Source;

struct _Running {
  const CubeImpl *impl;
  const CubeControllerOps *ops;
  CubeControllerEnv env;
  Source *sources;
  guint n_sources;
  gint failures; /* atomic: in a row */
  gboolean was_started;
};

struct _CubeControllers {
  CubeContext *context;
  CubeClient *client;
  CubeLoop *loop;
  CubeRegistry *registry;
  CubeRegistryWatch *watch;
  CubeElection *election;
  GPtrArray *running; /* of Running */
  gint is_leading;    /* atomic */
  GMutex lock;
  GCond cond;
  gboolean is_stopped;
};

/* ---- keys ---- */

void
cube_key_split (const char *key, char **ret_ns, char **ret_name)
{
  const char *slash = strchr (key, '/');

  *ret_ns = slash != NULL ? g_strndup (key, slash - key) : g_strdup ("");
  *ret_name = g_strdup (slash != NULL ? slash + 1 : key);
}

void
cube_map_owner (CubeControllerEnv *env, const CubeObject *object, const char *kind)
{
  const CubeOwnerRef *owner = cube_object_controller (object);
  g_autofree char *key = NULL;

  if (owner == NULL || g_strcmp0 (owner->kind, kind) != 0)
    return;
  key = *cube_object_namespace (object) != '\0' ? g_strdup_printf ("%s/%s", cube_object_namespace (object), owner->name)
                                                : g_strdup (owner->name);
  cube_queue_add (env->queue, key);
}

/* ---- one controller ---- */

static void
on_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Source *source = data;
  Running *running = source->running;
  gint64 since = cube_context_monotonic_us (running->env.context);

  if (source->watch->map != NULL)
    source->watch->map (running->impl->state, &running->env, type, object, old);
  else
    {
      g_autofree char *key = cube_object_key (object);

      cube_queue_add (running->env.queue, key);
    }
  cube_context_add_time (running->env.context, cube_context_monotonic_us (running->env.context) - since);
}

static void
note_failure (Running *running, const char *key, const GError *error)
{
  const char *message = error != NULL ? error->message : "reconcile failed without a reason";

  if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_CONFLICT))
    g_debug ("controller %s: %s: %s; again", running->impl->id, key, message);
  else
    g_message ("controller %s: %s: %s", running->impl->id, key, message);
  cube_metric_add ("cube_controller_errors_total", NULL, 1);
  if (g_atomic_int_add (&running->failures, 1) + 1 == UNHEALTHY_AFTER)
    cube_context_set_health (running->env.context, FALSE, message);
}

static gint64
process (const char *key, gpointer data)
{
  Running *running = data;
  g_autoptr (GError) error = NULL;
  gint64 since = cube_context_monotonic_us (running->env.context);
  gint64 answer = running->ops->reconcile (running->impl->state, &running->env, key, &error);

  cube_context_add_time (running->env.context, cube_context_monotonic_us (running->env.context) - since);
  if (answer < 0 || error != NULL)
    {
      note_failure (running, key, error);
      return -1;
    }
  if (g_atomic_int_get (&running->failures) >= UNHEALTHY_AFTER)
    cube_context_set_health (running->env.context, TRUE, NULL);
  g_atomic_int_set (&running->failures, 0);
  return answer;
}

static gboolean
start_sources (Running *running, GError **error)
{
  CubeSchema *schema = cube_client_schema (running->env.client);

  while (running->ops->watches[running->n_sources].resource != NULL)
    running->n_sources++;
  running->sources = g_new0 (Source, running->n_sources);
  for (guint i = 0; i < running->n_sources; i++)
    {
      const CubeControllerWatch *watch = &running->ops->watches[i];
      const CubeResource *resource = cube_schema_resource (schema, watch->api_version, watch->resource);

      if (resource == NULL)
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "controller %s watches %s of %s, which is not served", running->impl->id,
                       watch->resource, watch->api_version);
          return FALSE;
        }
      running->sources[i].running = running;
      running->sources[i].watch = watch;
      running->sources[i].informer =
          cube_informer_new (running->env.client, resource, NULL, NULL, NULL, running->env.loop, on_changed, &running->sources[i]);
    }
  return TRUE;
}

static void
stop_one (gpointer data)
{
  Running *running = data;

  for (guint i = 0; i < running->n_sources; i++)
    cube_informer_free (running->sources[i].informer);
  cube_queue_free (running->env.queue);
  if (running->was_started && CUBE_OPS_HAS (running->ops, stop))
    running->ops->stop (running->impl->state, &running->env);
  cube_recorder_free (running->env.recorder);
  cube_client_unref (running->env.client);
  cube_impl_unref (running->impl);
  g_free (running->sources);
  g_free (running);
}

static CubeClient *
client_of (CubeControllers *controllers, const char *id)
{
  static const char *const groups[] = { "system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated", NULL };
  g_autofree char *name = g_strdup_printf ("system:serviceaccount:kube-system:%s-controller", id);
  g_autoptr (CubeUser) user = cube_user_new (name, NULL, groups);

  return cube_client_as (controllers->client, user, "kube-controller-manager");
}

static Running *
start_one (CubeControllers *controllers, const CubeImpl *impl)
{
  Running *running = g_new0 (Running, 1);
  g_autofree char *component = g_strdup_printf ("%s-controller", impl->id);
  g_autoptr (GError) error = NULL;
  guint workers;

  running->impl = cube_impl_ref (impl);
  running->ops = impl->ops;
  workers = running->ops->ops_size >= G_STRUCT_OFFSET (CubeControllerOps, workers) + sizeof (guint) && running->ops->workers > 0
                ? running->ops->workers
                : DEFAULT_WORKERS;
  running->env.context = impl->context != NULL ? impl->context : controllers->context;
  running->env.client = client_of (controllers, impl->id);
  running->env.recorder = cube_recorder_new (controllers->context, running->env.client, component, "");
  running->env.loop = controllers->loop;
  running->env.queue = cube_queue_new (controllers->context, impl->id, controllers->loop, workers, process, running);
  running->was_started = !CUBE_OPS_HAS (running->ops, start) || running->ops->start (impl->state, &running->env, &error);
  if (running->was_started && start_sources (running, &error))
    {
      cube_context_set_health (running->env.context, TRUE, NULL);
      return running;
    }
  g_warning ("controller %s did not start: %s", impl->id, error != NULL ? error->message : "no reason given");
  cube_context_set_health (running->env.context, FALSE, error != NULL ? error->message : "start failed");
  stop_one (running);
  return NULL;
}

/* ---- all of them ---- */

static Running *
find_running (CubeControllers *controllers, const CubeImpl *impl)
{
  for (guint i = 0; i < controllers->running->len; i++)
    {
      Running *running = controllers->running->pdata[i];

      if (running->impl->ops == impl->ops && running->impl->state == impl->state && g_str_equal (running->impl->id, impl->id))
        return running;
    }
  return NULL;
}

static gboolean
is_listed (GPtrArray *impls, Running *running)
{
  for (guint i = 0; i < impls->len; i++)
    {
      const CubeImpl *impl = impls->pdata[i];

      if (running->impl->ops == impl->ops && running->impl->state == impl->state && g_str_equal (running->impl->id, impl->id))
        return TRUE;
    }
  return FALSE;
}

/* Makes what runs equal to what the registry lists. */
static void
synchronize (gpointer data)
{
  CubeControllers *controllers = data;
  g_autoptr (GPtrArray) impls = cube_registry_list (controllers->registry, CUBE_CONTROLLER);

  for (guint i = controllers->running->len; i-- > 0;)
    if (!g_atomic_int_get (&controllers->is_leading) || !is_listed (impls, controllers->running->pdata[i]))
      g_ptr_array_remove_index (controllers->running, i);
  for (guint i = 0; i < impls->len && g_atomic_int_get (&controllers->is_leading); i++)
    if (find_running (controllers, impls->pdata[i]) == NULL)
      {
        Running *running = start_one (controllers, impls->pdata[i]);

        if (running != NULL)
          g_ptr_array_add (controllers->running, running);
      }
}

static void
on_started_leading (gpointer data)
{
  CubeControllers *controllers = data;

  g_atomic_int_set (&controllers->is_leading, TRUE);
  synchronize (controllers);
}

static void
on_stopped_leading (gpointer data)
{
  CubeControllers *controllers = data;

  g_atomic_int_set (&controllers->is_leading, FALSE);
  synchronize (controllers);
}

static void
begin (gpointer data)
{
  CubeControllers *controllers = data;
  char host[65] = "", uuid[37];
  g_autofree char *identity = NULL;

  if (cube_context_is_simulated (controllers->context) || gethostname (host, sizeof host - 1) != 0)
    g_strlcpy (host, "cube", sizeof host);
  cube_uuid_format (cube_context_random (controllers->context), cube_context_random (controllers->context), uuid);
  identity = g_strdup_printf ("%s_%s", host, uuid);
  controllers->watch = cube_registry_watch (controllers->registry, CUBE_CONTROLLER, controllers->loop, synchronize, controllers);
  controllers->election = cube_election_new (controllers->context, controllers->client, "kube-system", "kube-controller-manager", identity,
                                             controllers->loop, on_started_leading, on_stopped_leading, controllers);
}

CubeControllers *
cube_controllers_start (CubeContext *context, CubeClient *client)
{
  CubeControllers *controllers = g_new0 (CubeControllers, 1);

  controllers->context = context;
  controllers->client = cube_client_ref (client);
  controllers->loop = cube_context_get_loop (context, "controllers");
  controllers->registry = cube_context_registry (context);
  controllers->running = g_ptr_array_new_with_free_func (stop_one);
  g_mutex_init (&controllers->lock);
  g_cond_init (&controllers->cond);
  cube_loop_post (controllers->loop, begin, controllers, NULL);
  return controllers;
}

static void
end (gpointer data)
{
  CubeControllers *controllers = data;

  g_clear_pointer (&controllers->watch, cube_registry_unwatch);
  g_atomic_int_set (&controllers->is_leading, FALSE);
  g_ptr_array_set_size (controllers->running, 0);
  g_clear_pointer (&controllers->election, cube_election_free);
  g_mutex_lock (&controllers->lock);
  controllers->is_stopped = TRUE;
  g_cond_broadcast (&controllers->cond);
  g_mutex_unlock (&controllers->lock);
}

void
cube_controllers_stop (CubeControllers *controllers)
{
  gboolean is_stopped = TRUE;
  gint64 until;

  if (controllers == NULL)
    return;
  if (cube_loop_is_current (controllers->loop) || cube_context_is_simulated (controllers->context))
    end (controllers);
  else
    {
      until = cube_context_monotonic_us (controllers->context) + STOP_WAIT_S * G_USEC_PER_SEC;
      cube_loop_post (controllers->loop, end, controllers, NULL);
      g_mutex_lock (&controllers->lock);
      while (!controllers->is_stopped && is_stopped)
        is_stopped = g_cond_wait_until (&controllers->cond, &controllers->lock, until);
      is_stopped = controllers->is_stopped;
      g_mutex_unlock (&controllers->lock);
    }
  if (!is_stopped)
    {
      g_warning ("controllers did not stop within %d s; left as they are", STOP_WAIT_S);
      return; /* its memory is still theirs */
    }
  g_ptr_array_unref (controllers->running);
  cube_client_unref (controllers->client);
  g_mutex_clear (&controllers->lock);
  g_cond_clear (&controllers->cond);
  g_free (controllers);
}

gboolean
cube_controllers_is_leading (CubeControllers *controllers)
{
  return g_atomic_int_get (&controllers->is_leading);
}
