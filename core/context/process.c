/* SPDX-License-Identifier: Apache-2.0 */
/* The process and its contexts. */
#include "context.h"
#include "loop.h"
#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct _CubeProcess {
  CubeSim *sim;
  GMutex lock;         /* loops, contexts, facts */
  GPtrArray *loops;    /* CubeLoop */
  GPtrArray *contexts; /* CubeContext */
  GHashTable *facts;   /* utf8 → utf8 */
  GThreadPool *workers, *stream_workers;
  CubeSchema *schema;
  CubeRegistry *registry;
  CubeClient *client;
  char *data_dir, *node_name;
};

struct _CubeContext {
  CubeProcess *process;
  char *name;
  CubeValue *config;
  CubeClient *client;
  gint64 spent_us; /* atomic */
  gboolean is_healthy;
  char *health_message;
};

typedef struct {
  CubeTask work, done;
  CubeLoop *loop;
  gpointer data;
} Work;

#define MAX_WORKERS 64         /* calls that block at once; idle workers end after a while */
#define MAX_STREAM_WORKERS 512 /* streams that wait for their other end */

static void
work_run (gpointer item, gpointer unused)
{
  g_autofree Work *work = item;
  work->work (work->data);
  if (work->done != NULL)
    cube_loop_post (work->loop, work->done, work->data, NULL);
}

static CubeProcess *
process_new (void)
{
  CubeProcess *process = g_new0 (CubeProcess, 1);
  g_mutex_init (&process->lock);
  process->loops = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_loop_free);
  process->contexts = g_ptr_array_new ();
  process->facts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return process;
}

CubeProcess *
cube_process_new (void)
{
  CubeProcess *process = process_new ();
  process->workers = g_thread_pool_new (work_run, NULL, MAX_WORKERS, FALSE, NULL);
  process->stream_workers = g_thread_pool_new (work_run, NULL, MAX_STREAM_WORKERS, FALSE, NULL);
  g_ptr_array_add (process->loops, cube_loop_new_main ());
  return process;
}

CubeProcess *
cube_process_new_simulated (guint64 seed, gint64 start_us)
{
  CubeProcess *process = process_new ();
  process->sim = cube_sim_new (seed, start_us);
  return process;
}

void
cube_process_stop_workers (CubeProcess *process)
{
  g_mutex_lock (&process->lock);
  GThreadPool *workers = g_steal_pointer (&process->workers), *stream_workers = g_steal_pointer (&process->stream_workers);
  g_mutex_unlock (&process->lock);
  if (stream_workers != NULL)
    g_thread_pool_free (stream_workers, FALSE, TRUE);
  if (workers != NULL)
    g_thread_pool_free (workers, FALSE, TRUE);
}

void
cube_process_stop_loops (CubeProcess *process)
{
  cube_process_stop_workers (process);
  for (guint i = 0; i < process->loops->len; i++)
    cube_loop_stop (process->loops->pdata[i]);
}

static void
context_free (CubeContext *context)
{
  g_free (context->name);
  g_free (context->health_message);
  cube_value_unref (context->config);
  g_free (context);
}

void
cube_process_free (CubeProcess *process)
{
  if (process == NULL)
    return;
  cube_process_stop_loops (process);
  for (guint i = 0; i < process->contexts->len; i++)
    {
      CubeContext *context = process->contexts->pdata[i];
      if (context->client != NULL)
        cube_client_unref (context->client);
      context_free (context);
    }
  g_ptr_array_unref (process->contexts);
  g_ptr_array_unref (process->loops);
  g_clear_pointer (&process->sim, cube_sim_free);
  g_hash_table_unref (process->facts);
  g_free (process->data_dir);
  g_free (process->node_name);
  g_mutex_clear (&process->lock);
  g_free (process);
}

gboolean
cube_process_step (CubeProcess *process, gint64 until_us)
{
  g_return_val_if_fail (process->sim != NULL, FALSE);
  return cube_sim_step (process->sim, until_us);
}

void
cube_process_run_until (CubeProcess *process, gint64 until_us)
{
  while (cube_process_step (process, until_us))
    ;
}

CubeContext *
cube_process_new_context (CubeProcess *process, const char *name, CubeView config)
{
  CubeContext *context = g_new0 (CubeContext, 1);
  context->process = process;
  context->name = g_strdup (name);
  context->config = cube_view_exists (config) ? cube_value_new_copy (config) : NULL;
  context->is_healthy = TRUE;
  g_mutex_lock (&process->lock);
  g_ptr_array_add (process->contexts, context);
  g_mutex_unlock (&process->lock);
  return context;
}

void
cube_process_set_schema (CubeProcess *process, CubeSchema *schema)
{
  process->schema = schema;
}

void
cube_process_set_registry (CubeProcess *process, CubeRegistry *registry)
{
  process->registry = registry;
}

void
cube_process_set_client (CubeProcess *process, CubeClient *client)
{
  process->client = client;
}

void
cube_process_set_data_dir (CubeProcess *process, const char *data_dir)
{
  g_free (process->data_dir);
  process->data_dir = g_strdup (data_dir);
}

void
cube_process_set_node_name (CubeProcess *process, const char *node_name)
{
  g_free (process->node_name);
  process->node_name = g_strdup (node_name);
}

/* ---- loops and work ---- */

CubeLoop *
cube_context_get_loop (CubeContext *context, const char *name)
{
  CubeProcess *process = context->process;
  CubeLoop *found = NULL;
  g_mutex_lock (&process->lock);
  for (guint i = 0; i < process->loops->len && found == NULL; i++)
    if (g_str_equal (cube_loop_name (process->loops->pdata[i]), name))
      found = process->loops->pdata[i];
  if (found == NULL)
    {
      found = process->sim != NULL ? cube_sim_new_loop (process->sim, name) : cube_loop_new_thread (name);
      g_ptr_array_add (process->loops, found);
    }
  g_mutex_unlock (&process->lock);
  return found;
}

static void
work_run_simulated (gpointer item)
{
  work_run (item, NULL);
}

static void
run (CubeContext *context, gboolean is_stream, CubeTask work_task, CubeLoop *loop, CubeTask done, gpointer data)
{
  Work *work = g_new0 (Work, 1);
  *work = (Work){ work_task, done, loop, data };
  CubeProcess *process = context->process;
  if (process->sim != NULL)
    {
      cube_loop_post (loop != NULL ? loop : cube_context_get_loop (context, "main"), work_run_simulated, work, NULL);
      return;
    }
  g_mutex_lock (&process->lock);
  GThreadPool *workers = is_stream ? process->stream_workers : process->workers;
  gboolean is_taken = workers != NULL;
  if (is_taken)
    g_thread_pool_push (workers, work, NULL);
  g_mutex_unlock (&process->lock);
  if (!is_taken) /* the process is ending: the work is not done, its data stays with the caller's owner */
    g_free (work);
}

void
cube_context_run_blocking (CubeContext *context, CubeTask work, CubeLoop *loop, CubeTask done, gpointer data)
{
  run (context, FALSE, work, loop, done, data);
}

void
cube_context_run_stream (CubeContext *context, CubeTask work, CubeLoop *loop, CubeTask done, gpointer data)
{
  run (context, TRUE, work, loop, done, data);
}

/* ---- clock and randomness ---- */

gint64
cube_context_now_us (CubeContext *context)
{
  return context->process->sim != NULL ? cube_sim_now (context->process->sim) : g_get_real_time ();
}

gint64
cube_context_monotonic_us (CubeContext *context)
{
  return context->process->sim != NULL ? cube_sim_now (context->process->sim) : g_get_monotonic_time ();
}

void
cube_context_random_bytes (CubeContext *context, void *buffer, gsize length)
{
  guint8 *at = buffer;
  if (context->process->sim != NULL)
    {
      for (gsize i = 0; i < length; i++)
        at[i] = (guint8) cube_sim_random (context->process->sim);
      return;
    }
  while (length > 0)
    {
      ssize_t n = getrandom (at, MIN (length, 256), 0);
      if (n < 0 && errno != EINTR)
        g_error ("getrandom: %s", g_strerror (errno)); /* no randomness: no keys, no names; nothing can go on */
      if (n > 0)
        {
          at += n;
          length -= (gsize) n;
        }
    }
}

guint64
cube_context_random (CubeContext *context)
{
  if (context->process->sim != NULL)
    return cube_sim_random (context->process->sim);
  static _Thread_local guint64 pool[32];
  static _Thread_local guint left = 0;
  if (left == 0)
    {
      cube_context_random_bytes (context, pool, sizeof pool);
      left = G_N_ELEMENTS (pool);
    }
  guint64 bits = pool[--left];
  pool[left] = 0;
  return bits;
}

gboolean
cube_context_is_simulated (CubeContext *context)
{
  return context->process->sim != NULL;
}

/* ---- what the process is ---- */

CubeClient *
cube_context_client (CubeContext *context)
{
  CubeProcess *process = context->process;
  g_mutex_lock (&process->lock);
  if (context->client == NULL && process->client != NULL)
    {
      g_autofree char *name = g_strconcat ("system:cube:", context->name, NULL);
      const char *const groups[] = { "system:masters", "system:authenticated", NULL };
      g_autoptr (CubeUser) user = cube_user_new (name, "", groups);
      context->client = cube_client_as (process->client, user, context->name);
    }
  CubeClient *client = context->client;
  g_mutex_unlock (&process->lock);
  return client;
}

CubeRegistry *
cube_context_registry (CubeContext *context)
{
  return context->process->registry;
}

CubeSchema *
cube_context_schema (CubeContext *context)
{
  return context->process->schema != NULL ? context->process->schema : cube_schema_get_default ();
}

CubeView
cube_context_config (CubeContext *context)
{
  return context->config != NULL ? cube_value_root (context->config) : cube_view_none ();
}

const char *
cube_context_data_dir (CubeContext *context)
{
  return context->process->data_dir;
}

const char *
cube_context_node_name (CubeContext *context)
{
  return context->process->node_name;
}

char *
cube_context_fact (CubeContext *context, const char *name)
{
  g_mutex_lock (&context->process->lock);
  char *value = g_strdup (g_hash_table_lookup (context->process->facts, name));
  g_mutex_unlock (&context->process->lock);
  return value;
}

void
cube_context_set_fact (CubeContext *context, const char *name, const char *value)
{
  g_mutex_lock (&context->process->lock);
  if (value != NULL)
    g_hash_table_insert (context->process->facts, g_strdup (name), g_strdup (value));
  else
    g_hash_table_remove (context->process->facts, name);
  g_mutex_unlock (&context->process->lock);
}

gboolean
cube_context_has_role (CubeContext *context, const char *role)
{
  g_autofree char *roles = cube_context_fact (context, "roles");
  if (roles == NULL)
    return FALSE;
  g_auto (GStrv) list = g_strsplit (roles, ",", -1);
  return g_strv_contains ((const char *const *) list, role);
}

const char *
cube_context_name (CubeContext *context)
{
  return context->name;
}

CubeProcess *
cube_context_process (CubeContext *context)
{
  return context->process;
}

/* ---- health ---- */

void
cube_context_set_health (CubeContext *context, gboolean is_healthy, const char *message)
{
  g_mutex_lock (&context->process->lock);
  context->is_healthy = is_healthy;
  g_free (context->health_message);
  context->health_message = g_strdup (message);
  g_mutex_unlock (&context->process->lock);
}

gboolean
cube_context_get_health (CubeContext *context, char **ret_message)
{
  g_mutex_lock (&context->process->lock);
  gboolean is_healthy = context->is_healthy;
  if (ret_message != NULL)
    *ret_message = g_strdup (context->health_message);
  g_mutex_unlock (&context->process->lock);
  return is_healthy;
}

void
cube_context_add_time (CubeContext *context, gint64 spent_us)
{
  __atomic_fetch_add (&context->spent_us, spent_us, __ATOMIC_RELAXED);
}

gint64
cube_context_get_time (CubeContext *context)
{
  return __atomic_load_n (&context->spent_us, __ATOMIC_RELAXED);
}
