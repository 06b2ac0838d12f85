/* SPDX-License-Identifier: Apache-2.0 */
/* From a chosen node to a bound pod: assume, Reserve, Permit, PreBind, Bind, PostBind. Many are under way at once, so that the store commits them together. */
#include "driver.h"
#include <string.h>

#define PERMIT_POLL_US (100 * 1000)
#define PERMIT_MAX_US (15 * 60 * G_USEC_PER_SEC)

typedef struct {
  Driver *driver;
  Profile *profile;
  Pod *pod;
  char *node;
  GArray *binds;                /* Hook, held: the binders in order */
  guint at;                     /* the one under way */
  gint64 since_us, deadline_us; /* of waiting */
  char *problem;                /* what went wrong, set by a worker */
  gboolean is_refusal;          /* the problem is a policy's no, not an error */
  gboolean is_skipped;
} Binding;

static void bind_next (Binding *binding);
static void bind_first (Binding *binding);

/* ---- holding on ---- */

static GArray *
hold_hooks (const GArray *hooks)
{
  GArray *held = g_array_sized_new (FALSE, FALSE, sizeof (Hook), hooks->len);

  for (guint i = 0; i < hooks->len; i++)
    {
      Hook hook = g_array_index (hooks, Hook, i);

      cube_impl_ref (hook.impl);
      g_array_append_val (held, hook);
    }
  return held;
}

static void
release_hooks (GArray *hooks)
{
  for (guint i = 0; i < hooks->len; i++)
    cube_impl_unref (g_array_index (hooks, Hook, i).impl);
  g_array_unref (hooks);
}

static void
unreserve (Binding *binding)
{
  GArray *hooks = binding->profile->reserves;

  for (guint i = hooks->len; i-- > 0;)
    {
      const Hook *hook = &g_array_index (hooks, Hook, i);
      const CubeReserveOps *ops = hook->ops;

      if (CUBE_OPS_HAS (ops, unreserve))
        ops->unreserve (hook->impl->state, &binding->pod->info, binding->node);
    }
}

/* @problem NULL = bound. Frees @binding. */
static void
end (Binding *binding, const char *problem, gboolean is_error)
{
  Driver *driver = binding->driver;

  if (problem != NULL)
    unreserve (binding);
  driver->n_binding--;
  driver_settle (driver, binding->pod, binding->node, problem, is_error);
  if (binding->binds != NULL)
    release_hooks (binding->binds);
  pod_unref (binding->pod);
  g_free (binding->node);
  g_free (binding->problem);
  g_slice_free (Binding, binding);
  driver_kick (driver);
  driver_unref (driver);
}

/* ---- Reserve and Permit ---- */

static gboolean
reserve (Binding *binding)
{
  GArray *hooks = binding->profile->reserves;

  for (guint i = 0; i < hooks->len; i++)
    {
      const Hook *hook = &g_array_index (hooks, Hook, i);
      const CubeReserveOps *ops = hook->ops;
      g_autofree char *reason = NULL;
      CubeFit fit = ops->reserve (hook->impl->state, &binding->pod->info, binding->node, &reason);

      if (fit == CUBE_FIT_OK || fit == CUBE_FIT_SKIP)
        continue;
      g_autofree char *text = g_strdup (reason != NULL ? reason : hook->impl->id);
      end (binding, text, fit == CUBE_FIT_ERROR);
      return FALSE;
    }
  return TRUE;
}

static void ask_again (gpointer data);

static void
wait_for_permit (Binding *binding, gint64 timeout_us)
{
  Driver *driver = binding->driver;

  if (binding->deadline_us == 0)
    {
      binding->since_us = cube_context_monotonic_us (driver->context);
      binding->deadline_us = binding->since_us + CLAMP (timeout_us, 0, PERMIT_MAX_US);
    }
  g_ptr_array_add (driver->permits, binding);
  if (driver->permit_timer == NULL)
    driver->permit_timer = cube_loop_after (driver->loop, PERMIT_POLL_US, ask_again, driver, NULL);
}

/* TRUE = all agree; FALSE = it waits or has ended. */
static gboolean
permit (Binding *binding)
{
  GArray *hooks = binding->profile->permits;

  for (guint i = 0; i < hooks->len; i++)
    {
      const Hook *hook = &g_array_index (hooks, Hook, i);
      const CubePermitOps *ops = hook->ops;
      g_autofree char *reason = NULL;
      gint64 timeout_us = PERMIT_MAX_US, now_us = cube_context_monotonic_us (binding->driver->context);
      CubeFit fit = ops->permit (hook->impl->state, &binding->pod->info, binding->node, &timeout_us, &reason);

      if (fit == CUBE_FIT_OK || fit == CUBE_FIT_SKIP)
        continue;
      if (fit == CUBE_FIT_WAIT && (binding->deadline_us == 0 || now_us < binding->deadline_us))
        {
          wait_for_permit (binding, timeout_us);
          return FALSE;
        }
      g_autofree char *text = fit == CUBE_FIT_WAIT
                                  ? g_strdup_printf ("rejected due to timeout after waiting %" G_GINT64_FORMAT "s at plugin %s",
                                                     (now_us - binding->since_us) / G_USEC_PER_SEC, hook->impl->id)
                                  : g_strdup (reason != NULL ? reason : hook->impl->id);
      end (binding, text, fit == CUBE_FIT_ERROR);
      return FALSE;
    }
  return TRUE;
}

static void
ask_again (gpointer data)
{
  Driver *driver = data;
  g_autoptr (GPtrArray) waiting = driver->permits;

  g_clear_pointer (&driver->permit_timer, cube_timer_cancel);
  driver->permits = g_ptr_array_new ();
  for (guint i = 0; i < waiting->len; i++)
    if (permit (waiting->pdata[i]))
      bind_first (waiting->pdata[i]);
}

void
bind_stop (Driver *driver)
{
  g_autoptr (GPtrArray) waiting = driver->permits;

  g_clear_pointer (&driver->permit_timer, cube_timer_cancel);
  driver->permits = g_ptr_array_new ();
  for (guint i = 0; i < waiting->len; i++)
    end (waiting->pdata[i], "the scheduler stops", TRUE);
}

/* ---- PreBind, on a worker ---- */

static void
work_pre_bind (gpointer data)
{
  Binding *binding = data;

  for (guint i = 0; i < binding->binds->len && binding->problem == NULL; i++)
    {
      const Hook *hook = &g_array_index (binding->binds, Hook, i);
      const CubeBindOps *ops = hook->ops;
      g_autofree char *reason = NULL;
      CubeFit fit;

      if (!CUBE_OPS_HAS (ops, pre_bind))
        continue;
      fit = ops->pre_bind (hook->impl->state, &binding->pod->info, binding->node, &reason);
      if (fit == CUBE_FIT_OK || fit == CUBE_FIT_SKIP)
        continue;
      binding->is_refusal = fit != CUBE_FIT_ERROR;
      binding->problem = g_strdup_printf ("running PreBind plugin \"%s\": %s", hook->impl->id, reason != NULL ? reason : "refused");
    }
}

static void
pre_bind_done (gpointer data)
{
  Binding *binding = data;

  if (binding->problem != NULL)
    end (binding, binding->problem, !binding->is_refusal);
  else
    bind_next (binding);
}

/* ---- Bind ---- */

static void
bound (GError *error, gpointer data)
{
  Binding *binding = data;

  if (error != NULL)
    {
      binding->problem =
          g_strdup_printf ("running Bind plugin \"%s\": %s", g_array_index (binding->binds, Hook, binding->at).impl->id, error->message);
      g_error_free (error);
      end (binding, binding->problem, TRUE);
      return;
    }
  for (guint i = 0; i < binding->binds->len; i++)
    {
      const Hook *hook = &g_array_index (binding->binds, Hook, i);
      const CubeBindOps *ops = hook->ops;

      if (CUBE_OPS_HAS (ops, post_bind))
        ops->post_bind (hook->impl->state, &binding->pod->info, binding->node);
    }
  end (binding, NULL, FALSE);
}

static void
work_bind (gpointer data)
{
  Binding *binding = data;
  const Hook *hook = &g_array_index (binding->binds, Hook, binding->at);
  const CubeBindOps *ops = hook->ops;
  g_autoptr (GError) error = NULL;
  CubeFit fit = ops->bind (hook->impl->state, &binding->pod->info, binding->node, &error);

  binding->is_skipped = fit == CUBE_FIT_SKIP;
  if (fit != CUBE_FIT_OK && fit != CUBE_FIT_SKIP)
    binding->problem = g_strdup (error != NULL ? error->message : "failed without saying why");
}

static void
bind_done (gpointer data)
{
  Binding *binding = data;

  if (binding->is_skipped)
    {
      binding->at++;
      bind_next (binding);
      return;
    }
  g_autofree char *problem = g_steal_pointer (&binding->problem);
  bound (problem != NULL ? g_error_new_literal (CUBE_ERROR, CUBE_ERROR_INTERNAL, problem) : NULL, binding);
}

static void
bind_next (Binding *binding)
{
  Driver *driver = binding->driver;

  for (; binding->at < binding->binds->len; binding->at++)
    {
      const Hook *hook = &g_array_index (binding->binds, Hook, binding->at);
      const CubeBindOps *ops = hook->ops;

      if (CUBE_OPS_HAS (ops, bind_async))
        {
          ops->bind_async (hook->impl->state, &binding->pod->info, binding->node, driver->loop, bound, binding);
          return;
        }
      if (CUBE_OPS_HAS (ops, bind))
        {
          cube_context_run_blocking (driver->context, work_bind, driver->loop, bind_done, binding);
          return;
        }
    }
  end (binding, "no binder took the pod: is the DefaultBinder loaded?", TRUE);
}

static void
bind_first (Binding *binding)
{
  gboolean has_pre_bind = FALSE;

  binding->binds = hold_hooks (binding->profile->binds);
  for (guint i = 0; i < binding->binds->len; i++)
    {
      const CubeBindOps *ops = g_array_index (binding->binds, Hook, i).ops;

      has_pre_bind |= CUBE_OPS_HAS (ops, pre_bind);
    }
  if (has_pre_bind)
    cube_context_run_blocking (binding->driver->context, work_pre_bind, binding->driver->loop, pre_bind_done, binding);
  else
    bind_next (binding);
}

void
bind_begin (Driver *driver, Profile *profile, Record *record, Node *node)
{
  Binding *binding = g_slice_new0 (Binding);

  binding->driver = driver_ref (driver);
  binding->profile = profile;
  binding->pod = pod_ref (record->pod);
  binding->node = g_strdup (node->name);
  record->node = cache_add_pod (driver->cache, record->pod, node->name);
  record->place = PLACE_BINDING;
  driver->n_binding++;
  if (reserve (binding) && permit (binding))
    bind_first (binding);
}
