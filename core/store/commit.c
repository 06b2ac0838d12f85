/* SPDX-License-Identifier: Apache-2.0 */
/* One batch: check → number → store → apply → publish → tell. Committer only. */
#include "store-private.h"
#include <string.h>

typedef struct {
  CubeStore *store;
  GPtrArray *accepted; /* CubeProposal, in order of revision */
  GHashTable *overlay; /* key → CubeProposal: newest accepted of this batch; NULL for a batch of one */
  gboolean has_volatile, has_stored;
  guint64 mark, mark_revision; /* a new mark to write, 0 = none */
} Batch;

void
cube_proposal_free (CubeProposal *proposal)
{
  g_clear_pointer (&proposal->object, cube_object_unref);
  g_clear_pointer (&proposal->old, cube_object_unref);
  g_clear_pointer (&proposal->published, cube_object_unref);
  g_clear_error (&proposal->error);
  g_free (proposal);
}

/* ---- check ---- */

static CubeObject *
batch_current (Batch *batch, CubeProposal *proposal)
{
  CubeProposal *earlier = batch->overlay != NULL ? g_hash_table_lookup (batch->overlay, proposal->key) : NULL;
  if (earlier != NULL)
    {
      proposal->depends = TRUE;
      return earlier->object != NULL ? earlier->published : NULL;
    }
  /* No lock: only this thread changes trees. */
  return cube_tree_lookup (&proposal->table->tree, proposal->ns, proposal->name);
}

/* A name that is not the object's own would put it where it cannot be found. */
static gboolean
proposal_check (CubeProposal *proposal, CubeObject *current)
{
  const char *slash = *proposal->ns != '\0' ? "/" : "", *key = proposal->table->key;
  CubeObject *object = proposal->object;
  if (*proposal->name == '\0' || strpbrk (proposal->name, CUBE_STORE_SEPARATOR) != NULL
      || strpbrk (proposal->ns, CUBE_STORE_SEPARATOR) != NULL
      || (object != NULL
          && (strcmp (cube_object_name (object), proposal->name) != 0 || strcmp (cube_object_namespace (object), proposal->ns) != 0)))
    g_set_error (&proposal->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%s %s%s%s: not the name of the object (%s%s%s)", key, proposal->ns,
                 slash, proposal->name, object != NULL ? cube_object_namespace (object) : "", slash,
                 object != NULL ? cube_object_name (object) : "none");
  else if (proposal->expected == CUBE_REVISION_ANY)
    {
      if (current == NULL && proposal->object == NULL)
        g_set_error (&proposal->error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "%s %s%s%s not found", key, proposal->ns, slash, proposal->name);
    }
  else if (proposal->expected == 0 && current != NULL)
    g_set_error (&proposal->error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS, "%s %s%s%s already exists", key, proposal->ns, slash,
                 proposal->name);
  else if (proposal->expected != 0 && current == NULL)
    g_set_error (&proposal->error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "%s %s%s%s not found", key, proposal->ns, slash, proposal->name);
  else if (proposal->expected != 0 && cube_object_revision (current) != proposal->expected)
    g_set_error (&proposal->error, CUBE_ERROR, CUBE_ERROR_CONFLICT,
                 "%s %s%s%s: resourceVersion %" G_GUINT64_FORMAT ", expected %" G_GUINT64_FORMAT, key, proposal->ns, slash, proposal->name,
                 cube_object_revision (current), proposal->expected);
  else if (current == NULL && proposal->object == NULL)
    g_set_error (&proposal->error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "%s %s%s%s not found", key, proposal->ns, slash, proposal->name);
  return proposal->error == NULL;
}

/* Numbers the change and makes what will be published. */
static gboolean
proposal_number (CubeProposal *proposal, guint64 revision)
{
  if (proposal->object != NULL)
    {
      cube_object_set_revision (proposal->object, revision);
      proposal->published = cube_object_ref (proposal->object);
    }
  else
    {
      gsize length;
      const char *json = cube_object_json (proposal->old, &length);
      proposal->published = cube_object_new_from_json (json, length, revision, &proposal->error);
    }
  proposal->revision = revision;
  return proposal->published != NULL;
}

static void
batch_add (Batch *batch, CubeProposal *proposal)
{
  CubeStore *store = batch->store;
  CubeObject *current = batch_current (batch, proposal);
  proposal->old = current != NULL ? cube_object_ref (current) : NULL;
  if (!proposal_check (proposal, current))
    return;
  if (proposal->table->is_volatile && batch->mark == 0 && store->last_assigned + 1 > store->mark)
    {
      batch->mark_revision = ++store->last_assigned;
      batch->mark = batch->mark_revision + CUBE_STORE_MARK_STEP;
    }
  if (!proposal_number (proposal, store->last_assigned + 1))
    return;
  store->last_assigned++;
  if (proposal->table->is_volatile)
    batch->has_volatile = TRUE;
  else
    batch->has_stored = TRUE;
  g_ptr_array_add (batch->accepted, proposal);
  if (batch->overlay != NULL)
    g_hash_table_insert (batch->overlay, proposal->key, proposal);
}

/* ---- store ---- */

static gboolean
batch_write (Batch *batch, GError **error)
{
  CubeStore *store = batch->store;
  g_autofree char *mark = batch->mark != 0 ? cube_store_mark_json (batch->mark) : NULL;
  g_autofree CubeStorageChange *changes = g_new (CubeStorageChange, batch->accepted->len + 1);
  guint n = 0;
  gboolean is_mark_due = mark != NULL;
  for (guint i = 0; i <= batch->accepted->len; i++)
    {
      CubeProposal *proposal = i < batch->accepted->len ? batch->accepted->pdata[i] : NULL;
      if (is_mark_due && (proposal == NULL || proposal->revision > batch->mark_revision))
        {
          changes[n++] = (CubeStorageChange){ CUBE_STORE_MARK_KEY, mark, strlen (mark), batch->mark_revision, store->mark_revision };
          is_mark_due = FALSE;
        }
      if (proposal == NULL || proposal->table->is_volatile)
        continue;
      CubeStorageChange *change = &changes[n++];
      *change = (CubeStorageChange){ .key = proposal->key, .revision = proposal->revision };
      change->previous = proposal->old != NULL ? cube_object_revision (proposal->old) : 0;
      if (proposal->object != NULL)
        change->json = cube_object_json (proposal->object, &change->length);
    }
  gint64 began = cube_context_monotonic_us (store->context);
  if (!cube_store_may_write (store, error) || !store->ops->commit (store->storage, changes, n, error))
    return FALSE;
  cube_metric_observe ("cube_store_commit_duration_seconds", NULL, (cube_context_monotonic_us (store->context) - began) / 1e6);
  store->newest_stored = changes[n - 1].revision;
  if (batch->mark != 0)
    {
      store->mark = batch->mark;
      store->mark_revision = batch->mark_revision;
    }
  return TRUE;
}

static void
proposal_fail (CubeProposal *proposal, const GError *error)
{
  g_clear_error (&proposal->error);
  proposal->error = g_error_copy (error);
  g_clear_pointer (&proposal->old, cube_object_unref); /* may never have been */
}

/* The storage refused: nothing of what goes to it happened. What it does not concern goes on. */
static void
batch_fail (Batch *batch, CubeProposal *first, const GError *error)
{
  gboolean all = batch->mark != 0;
  for (CubeProposal *proposal = first; proposal != NULL; proposal = proposal->next)
    if ((proposal->error == NULL || proposal->depends) && (all || !proposal->table->is_volatile))
      proposal_fail (proposal, error);
  for (guint i = batch->accepted->len; i > 0; i--)
    if (((CubeProposal *) batch->accepted->pdata[i - 1])->error != NULL)
      g_ptr_array_remove_index (batch->accepted, i - 1);
}

/* ---- apply and publish ---- */

static void
batch_apply (Batch *batch)
{
  CubeStore *store = batch->store;
  for (guint i = 0; i < batch->accepted->len; i++)
    {
      CubeProposal *proposal = batch->accepted->pdata[i];
      CubeTable *table = proposal->table;
      CubeObject *replaced;
      g_mutex_lock (&table->lock);
      if (proposal->object != NULL)
        replaced = cube_tree_put (&table->tree, proposal->published);
      else
        replaced = cube_tree_remove (&table->tree, proposal->ns, proposal->name);
      __atomic_store_n (&store->revision, proposal->revision, __ATOMIC_RELEASE);
      g_mutex_unlock (&table->lock);
      cube_store_change_indexes (store, table, replaced, proposal->object);
      g_clear_pointer (&replaced, cube_object_unref);
    }
}

static void
batch_publish (Batch *batch)
{
  g_autofree CubeBusEntry *entries = g_new (CubeBusEntry, batch->accepted->len);
  for (guint i = 0; i < batch->accepted->len; i++)
    {
      CubeProposal *proposal = batch->accepted->pdata[i];
      entries[i] =
          (CubeBusEntry){ proposal->table->key, { proposal->revision, proposal->published, proposal->old, proposal->object == NULL } };
    }
  if (batch->accepted->len > 0)
    cube_bus_publish (batch->store->bus, entries, batch->accepted->len, entries[batch->accepted->len - 1].change.revision);
}

static void
batch_tell (CubeProposal *first)
{
  for (CubeProposal *proposal = first, *next; proposal != NULL; proposal = next)
    {
      next = proposal->next;
      if (proposal->error != NULL)
        proposal->done (0, proposal->old, proposal->error, proposal->data);
      else
        proposal->done (proposal->revision, proposal->published, NULL, proposal->data);
      cube_proposal_free (proposal);
    }
}

void
cube_store_run_batch (CubeStore *store, CubeProposal *first)
{
  Batch batch = { .store = store, .accepted = g_ptr_array_new () };
  g_autoptr (GError) error = NULL;
  if (first->next != NULL)
    batch.overlay = g_hash_table_new (g_str_hash, g_str_equal);
  for (CubeProposal *proposal = first; proposal != NULL; proposal = proposal->next)
    batch_add (&batch, proposal);
  if (batch.has_stored || batch.mark != 0)
    {
      if (batch_write (&batch, &error))
        cube_store_note_success (store);
      else
        {
          cube_store_note_failure (store, error);
          batch_fail (&batch, first, error);
        }
    }
  batch_apply (&batch);
  batch_publish (&batch);
  g_clear_pointer (&batch.overlay, g_hash_table_unref);
  g_ptr_array_unref (batch.accepted);
  store->committer.is_critical = FALSE;
  batch_tell (first);
}
