/* SPDX-License-Identifier: Apache-2.0 */
/* The admission chain around one write. */
#include "local-private.h"

/* Time spent goes on the plugin's account; returns the new mark. */
static gint64
account (CubeCall *call, const CubeImpl *impl, gint64 since)
{
  gint64 now = cube_context_monotonic_us (call->local->context);

  if (impl->context != NULL && now > since)
    cube_context_add_time (impl->context, now - since);
  return now;
}

static void
set_error_default (GError **error, const CubeImpl *impl)
{
  if (error != NULL && *error == NULL)
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_FORBIDDEN, "admission plugin \"%s\" refused the request", impl->id);
}

static void
begin_run (CubeCall *call, CubeVerb verb, CubeView old)
{
  CubeAdmissionRun *run = &call->admission;

  run->chain = cube_chain_get (call->local->registry, CUBE_CHAIN_ADMISSION);
  run->n = 0;
  run->slots = run->chain->n > 0 ? g_new0 (CubeAdmissionSlot, run->chain->n) : NULL;
  run->old = old.doc != NULL ? cube_value_ref ((CubeValue *) old.doc) : NULL;
  run->request.verb = verb;
  run->request.resource = call->resource;
  run->request.subresource = call->sub;
  run->request.ns = call->ns;
  run->request.name = call->name;
  run->request.user = call->user;
  run->request.old = old;
  run->request.options =
      call->request->verb == CUBE_VERB_DELETE && call->request->body != NULL ? cube_value_root (call->request->body) : cube_view_none ();
  run->request.is_dry_run = call->is_dry_run;
  run->request.reservation = NULL;
}

gboolean
cube_admission_begin (CubeCall *call, CubeVerb verb, CubeMut *object, CubeView old, GError **error)
{
  CubeAdmissionRun *run = &call->admission;
  gint64 mark;

  cube_admission_finish (call, NULL, FALSE);
  begin_run (call, verb, old);
  mark = run->chain->n > 0 ? cube_context_monotonic_us (call->local->context) : 0;
  for (guint i = 0; i < run->chain->n; i++)
    {
      const CubeImpl *impl = run->chain->impls[i];
      const CubeAdmissionOps *ops = impl->ops;

      if (!ops->handles (impl->state, verb, call->resource, call->sub))
        continue;
      run->request.reservation = NULL;
      if (CUBE_OPS_HAS (ops, mutate) && !ops->mutate (impl->state, &run->request, object, error))
        {
          set_error_default (error, impl);
          return FALSE;
        }
      run->slots[run->n].impl = impl;
      run->slots[run->n++].reservation = run->request.reservation;
      mark = account (call, impl, mark);
    }
  return TRUE;
}

gboolean
cube_admission_validate (CubeCall *call, CubeView object, GError **error)
{
  CubeAdmissionRun *run = &call->admission;
  gint64 mark = run->n > 0 ? cube_context_monotonic_us (call->local->context) : 0;

  for (guint i = 0; i < run->n; i++)
    {
      CubeAdmissionSlot *slot = &run->slots[i];
      const CubeAdmissionOps *ops = slot->impl->ops;
      gboolean is_admitted;

      if (!CUBE_OPS_HAS (ops, validate))
        continue;
      run->request.reservation = slot->reservation;
      is_admitted = ops->validate (slot->impl->state, &run->request, object, error);
      slot->reservation = run->request.reservation;
      if (!is_admitted)
        {
          set_error_default (error, slot->impl);
          return FALSE;
        }
      mark = account (call, slot->impl, mark);
    }
  return TRUE;
}

gboolean
cube_admission_pass (CubeCall *call, CubeView body, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (body);

  return cube_admission_begin (call, CUBE_VERB_CREATE, cube_builder_root (builder), cube_view_none (), error)
         && cube_admission_validate (call, body, error);
}

void
cube_admission_finish (CubeCall *call, const CubeObject *object, gboolean is_committed)
{
  CubeAdmissionRun *run = &call->admission;

  if (run->chain == NULL)
    return;
  for (guint i = 0; i < run->n; i++)
    {
      CubeAdmissionSlot *slot = &run->slots[i];
      const CubeAdmissionOps *ops = slot->impl->ops;

      if (!CUBE_OPS_HAS (ops, finish))
        continue;
      run->request.reservation = slot->reservation;
      ops->finish (slot->impl->state, &run->request, object, is_committed);
    }
  run->n = 0;
  g_clear_pointer (&run->slots, g_free);
  g_clear_pointer (&run->old, cube_value_unref);
  g_clear_pointer (&run->chain, cube_chain_unref);
}
