/* SPDX-License-Identifier: Apache-2.0 */
#include "bootstrap.h"

#include "policy.h"
#include "rules.h"

#include <string.h>

#define API_VERSION "rbac.authorization.k8s.io/v1"
#define AUTOUPDATE "rbac.authorization.kubernetes.io/autoupdate"
#define RETRY_MIN_US 50000
#define RETRY_MAX_US 5000000

struct _Bootstrap {
  gint ref_count;
  CubeContext *context;
  CubeLoop *loop;
  GPtrArray *items; /* PolicyItem; those that are in place are taken out */
  guint n_pending;
  CubeTimer *timer;
  gint64 retry_us;
  gint is_done; /* atomic */
  gboolean is_stopped;
};

typedef struct {
  Bootstrap *bootstrap;
  CubeRequest request;
  char *ns, *name;
  CubeValue *body;
} Write;

static void run_round (gpointer data);

static void
bootstrap_unref (Bootstrap *bootstrap)
{
  if (--bootstrap->ref_count > 0)
    return;
  g_ptr_array_unref (bootstrap->items);
  g_free (bootstrap);
}

/* ---- what differs ---- */

static gboolean
add_missing_members (CubeMut *object, const char *key, CubeView wanted)
{
  gboolean is_changed = FALSE;
  CubeIter it;
  const char *name;
  CubeView value;

  for (cube_iter_init (&it, wanted); cube_iter_next (&it, &name, &value);)
    {
      CubeMut *map = cube_mut_ensure_object (object, key);

      if (g_strcmp0 (cube_mut_string (cube_mut_member (map, name)), cube_view_string (value)) == 0)
        continue;
      cube_mut_set_view (map, name, value);
      is_changed = TRUE;
    }
  return is_changed;
}

static gboolean
add_missing_rules (CubeMut *root, CubeView current, CubeView wanted)
{
  g_autoptr (Role) have = role_new (cube_view_member (current, "rules"));
  gboolean is_changed = FALSE;
  CubeIter it;
  CubeView rule;

  for (cube_iter_init (&it, cube_view_member (wanted, "rules")); cube_iter_next (&it, NULL, &rule);)
    {
      g_autoptr (GPtrArray) one = g_ptr_array_new_with_free_func ((GDestroyNotify) rule_free), missing = NULL;

      g_ptr_array_add (one, rule_new (rule));
      missing = rules_not_covered (role_rules (have), one);
      if (missing->len == 0)
        continue;
      cube_mut_append (cube_mut_ensure_array (root, "rules"), cube_mut_new_view (cube_mut_builder (root), rule));
      is_changed = TRUE;
    }
  return is_changed;
}

static gboolean
same_text (CubeView a, CubeView b, const char *key)
{
  return g_str_equal (cube_view_string_or (cube_view_member (a, key), ""), cube_view_string_or (cube_view_member (b, key), ""));
}

static gboolean
has_subject (CubeView subjects, CubeView wanted)
{
  CubeIter it;
  CubeView subject;

  for (cube_iter_init (&it, subjects); cube_iter_next (&it, NULL, &subject);)
    if (same_text (subject, wanted, "kind") && same_text (subject, wanted, "name") && same_text (subject, wanted, "namespace"))
      return TRUE;
  return FALSE;
}

static gboolean
add_missing_subjects (CubeMut *root, CubeView current, CubeView wanted)
{
  gboolean is_changed = FALSE;
  CubeIter it;
  CubeView subject;

  for (cube_iter_init (&it, cube_view_member (wanted, "subjects")); cube_iter_next (&it, NULL, &subject);)
    if (!has_subject (cube_view_member (current, "subjects"), subject))
      {
        cube_mut_append (cube_mut_ensure_array (root, "subjects"), cube_mut_new_view (cube_mut_builder (root), subject));
        is_changed = TRUE;
      }
  return is_changed;
}

CubeValue *
bootstrap_reconcile (const char *resource, CubeView current, CubeView wanted, gboolean *ret_must_replace)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (current);
  CubeMut *root = cube_builder_root (builder), *metadata = cube_mut_ensure_object (root, "metadata");
  gboolean is_changed;

  *ret_must_replace = FALSE;
  if (g_strcmp0 (cube_view_get_string (current, "metadata", "annotations", AUTOUPDATE), "false") == 0)
    return NULL;
  is_changed = add_missing_members (metadata, "labels", cube_view_get (wanted, "metadata", "labels"));
  is_changed |= add_missing_members (metadata, "annotations", cube_view_get (wanted, "metadata", "annotations"));
  if (g_str_has_suffix (resource, "bindings"))
    {
      CubeView a = cube_view_member (current, "roleRef"), b = cube_view_member (wanted, "roleRef");

      *ret_must_replace = !same_text (a, b, "kind") || !same_text (a, b, "name");
      is_changed |= add_missing_subjects (root, current, wanted);
    }
  else if (!cube_view_exists (cube_view_member (wanted, "aggregationRule"))) /* its rules are the aggregation's */
    is_changed |= add_missing_rules (root, current, wanted);
  else if (!cube_view_exists (cube_view_member (current, "aggregationRule")))
    {
      cube_mut_set_view (root, "aggregationRule", cube_view_member (wanted, "aggregationRule"));
      is_changed = TRUE;
    }
  return is_changed || *ret_must_replace ? cube_builder_end (builder) : NULL;
}

/* ---- writing it ---- */

static void
on_timer (gpointer data)
{
  Bootstrap *bootstrap = data;

  g_clear_pointer (&bootstrap->timer, cube_timer_cancel);
  run_round (bootstrap);
}

/* Another round looks at everything again: what went well is found in place and leaves the list. */
static void
after_round (Bootstrap *bootstrap)
{
  if (bootstrap->is_stopped || bootstrap->n_pending > 0)
    return;
  if (bootstrap->items->len == 0)
    {
      g_atomic_int_set (&bootstrap->is_done, 1);
      return;
    }
  bootstrap->timer = cube_loop_after (bootstrap->loop, bootstrap->retry_us, on_timer, bootstrap, NULL);
  bootstrap->retry_us = MIN (bootstrap->retry_us * 2, RETRY_MAX_US);
}

static void
forget_item (Bootstrap *bootstrap, const Write *write)
{
  for (guint i = 0; i < bootstrap->items->len; i++)
    {
      PolicyItem *item = bootstrap->items->pdata[i];

      if (g_str_equal (item->name, write->name) && g_str_equal (item->ns, write->ns)
          && g_str_equal (item->resource, write->request.resource->resource))
        {
          g_ptr_array_remove_index (bootstrap->items, i);
          return;
        }
    }
}

static void
on_written (CubeResponse *response, GError *error, gpointer data)
{
  Write *write = data;
  Bootstrap *bootstrap = write->bootstrap;

  if (error == NULL && write->request.verb != CUBE_VERB_DELETE)
    forget_item (bootstrap, write);
  else if (error != NULL)
    g_debug ("bootstrap of %s %s/%s: %s", write->request.resource->resource, write->ns, write->name, error->message);
  cube_response_unref (response);
  g_clear_error (&error);
  cube_value_unref (write->body);
  g_free (write->ns);
  g_free (write->name);
  g_free (write);
  bootstrap->n_pending--;
  after_round (bootstrap);
  bootstrap_unref (bootstrap);
}

static void
begin_write (Bootstrap *bootstrap, const CubeResource *resource, const PolicyItem *item, CubeVerb verb, CubeValue *body)
{
  Write *write = g_new0 (Write, 1);
  CubeRequest request = CUBE_REQUEST_INIT;

  write->bootstrap = bootstrap;
  write->ns = g_strdup (item->ns);
  write->name = g_strdup (item->name);
  write->body = body;
  request.verb = verb;
  request.resource = resource;
  request.ns = write->ns;
  request.name = verb == CUBE_VERB_CREATE ? NULL : write->name;
  request.body = body;
  write->request = request;
  bootstrap->ref_count++;
  bootstrap->n_pending++;
  cube_client_execute_async (cube_context_client (bootstrap->context), &write->request, bootstrap->loop, on_written, write);
}

/* FALSE = in place already. */
static gboolean
begin_item (Bootstrap *bootstrap, const PolicyItem *item)
{
  const CubeResource *resource = cube_schema_resource (cube_context_schema (bootstrap->context), API_VERSION, item->resource);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) current = NULL;
  g_autoptr (CubeValue) value = NULL;
  CubeValue *body;
  gboolean must_replace = FALSE;

  if (resource == NULL)
    return FALSE;
  current = cube_client_get (cube_context_client (bootstrap->context), resource, item->ns, item->name, &error);
  if (current == NULL)
    {
      if (g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND))
        begin_write (bootstrap, resource, item, CUBE_VERB_CREATE, cube_value_ref (item->object));
      return TRUE;
    }
  value = cube_object_value (current);
  body = bootstrap_reconcile (item->resource, cube_value_root (value), cube_value_root (item->object), &must_replace);
  if (must_replace)
    g_clear_pointer (&body, cube_value_unref);
  if (body != NULL || must_replace)
    begin_write (bootstrap, resource, item, must_replace ? CUBE_VERB_DELETE : CUBE_VERB_UPDATE, body);
  return body != NULL || must_replace;
}

static void
run_round (gpointer data)
{
  Bootstrap *bootstrap = data;
  g_autoptr (GPtrArray) items = g_ptr_array_sized_new (bootstrap->items->len), done = g_ptr_array_new ();

  for (guint i = 0; i < bootstrap->items->len; i++)
    g_ptr_array_add (items, bootstrap->items->pdata[i]);
  bootstrap->n_pending++; /* an answer may come while we still ask */
  bootstrap->ref_count++;
  for (guint i = 0; i < items->len; i++)
    if (g_ptr_array_find (bootstrap->items, items->pdata[i], NULL) && !begin_item (bootstrap, items->pdata[i]))
      g_ptr_array_add (done, items->pdata[i]);
  for (guint i = 0; i < done->len; i++)
    g_ptr_array_remove (bootstrap->items, done->pdata[i]);
  bootstrap->n_pending--;
  after_round (bootstrap);
  bootstrap_unref (bootstrap);
}

Bootstrap *
bootstrap_start (CubeContext *context, CubeLoop *loop, GError **error)
{
  GPtrArray *items = policy_parse (policy_text, error);
  Bootstrap *bootstrap;

  if (items == NULL)
    return NULL;
  bootstrap = g_new0 (Bootstrap, 1);
  bootstrap->ref_count = 1;
  bootstrap->context = context;
  bootstrap->loop = loop;
  bootstrap->items = items;
  bootstrap->retry_us = RETRY_MIN_US;
  run_round (bootstrap);
  return bootstrap;
}

void
bootstrap_stop (Bootstrap *bootstrap)
{
  if (bootstrap == NULL)
    return;
  bootstrap->is_stopped = TRUE;
  g_clear_pointer (&bootstrap->timer, cube_timer_cancel);
  bootstrap_unref (bootstrap);
}

gboolean
bootstrap_is_done (Bootstrap *bootstrap)
{
  return g_atomic_int_get (&bootstrap->is_done);
}
