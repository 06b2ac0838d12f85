/* SPDX-License-Identifier: Apache-2.0 */
/* For ThreadSanitizer builds: GLib's locks are futexes in a library that is not instrumented, so what they order is invisible. These definitions
 * come before GLib's own, say what happens and call them. Preloaded by the test setup "thread", with G_SLICE=always-malloc. */
#include <dlfcn.h>
#include <glib.h>

void __tsan_acquire (void *address);
void __tsan_release (void *address);

#define REAL(name) ((__typeof__ (&name)) real_symbol (#name))

static void *
real_symbol (const char *name)
{
  return dlsym (RTLD_NEXT, name);
}

void
g_mutex_lock (GMutex *mutex)
{
  static __typeof__ (&g_mutex_lock) real;
  if (real == NULL)
    real = REAL (g_mutex_lock);
  real (mutex);
  __tsan_acquire (mutex);
}

gboolean
g_mutex_trylock (GMutex *mutex)
{
  gboolean is_locked = REAL (g_mutex_trylock) (mutex);
  if (is_locked)
    __tsan_acquire (mutex);
  return is_locked;
}

void
g_mutex_unlock (GMutex *mutex)
{
  static __typeof__ (&g_mutex_unlock) real;
  if (real == NULL)
    real = REAL (g_mutex_unlock);
  __tsan_release (mutex);
  real (mutex);
}

void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  __tsan_release (mutex);
  REAL (g_cond_wait) (cond, mutex);
  __tsan_acquire (mutex);
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  __tsan_release (mutex);
  gboolean is_woken = REAL (g_cond_wait_until) (cond, mutex, end_time);
  __tsan_acquire (mutex);
  return is_woken;
}

/* A reader's release must not be seen by other readers alone: one address for both, which hides a little and never cries wolf. */
void
g_rw_lock_reader_lock (GRWLock *lock)
{
  REAL (g_rw_lock_reader_lock) (lock);
  __tsan_acquire (lock);
}

void
g_rw_lock_reader_unlock (GRWLock *lock)
{
  __tsan_release (lock);
  REAL (g_rw_lock_reader_unlock) (lock);
}

void
g_rw_lock_writer_lock (GRWLock *lock)
{
  REAL (g_rw_lock_writer_lock) (lock);
  __tsan_acquire (lock);
}

void
g_rw_lock_writer_unlock (GRWLock *lock)
{
  __tsan_release (lock);
  REAL (g_rw_lock_writer_unlock) (lock);
}

/* ---- thread pools: their queue has a lock that GLib takes inside ---- */

typedef struct {
  GFunc func;
  gpointer data;
} Pool;

static void
pool_run (gpointer item, gpointer data)
{
  Pool *pool = data;
  __tsan_acquire (pool);
  pool->func (item, pool->data);
}

/* The small struct lives as long as the process: nobody says when the last item has run. */
GThreadPool *
g_thread_pool_new (GFunc func, gpointer data, gint max_threads, gboolean exclusive, GError **error)
{
  Pool *pool = g_new (Pool, 1);
  *pool = (Pool){ func, data };
  return REAL (g_thread_pool_new) (pool_run, pool, max_threads, exclusive, error);
}

gboolean
g_thread_pool_push (GThreadPool *pool, gpointer item, GError **error)
{
  __tsan_release (pool->user_data);
  return REAL (g_thread_pool_push) (pool, item, error);
}

/* ---- counts of references that GLib keeps for us ---- */

static gboolean (*real_ref_count_dec) (gatomicrefcount *);

static void __attribute__ ((constructor)) find_real (void)
{
  real_ref_count_dec = real_symbol ("g_atomic_ref_count_dec");
}

gboolean (g_atomic_ref_count_dec) (gatomicrefcount *count)
{
  __tsan_release (count);
  gboolean is_last = real_ref_count_dec (count);
  if (is_last)
    __tsan_acquire (count);
  return is_last;
}
