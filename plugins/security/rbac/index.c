/* SPDX-License-Identifier: Apache-2.0 */
#include "index.h"

#include <string.h>

typedef struct {
  guint uses; /* bindings that refer to it */
  Role *role; /* (nullable) absent */
  char *ns, *name;
} Slot;

typedef struct {
  char *ns, *name;
  Slot *slot;
  GPtrArray *subjects; /* (element-type Subject) borrowed, each once */
} Binding;

typedef struct {
  GHashTable *table; /* where it lives */
  char *name;
  GPtrArray *cluster; /* (element-type Binding) borrowed */
  GHashTable *by_ns;  /* namespace → GPtrArray of Binding */
  const char *kind;   /* "User", "Group", "ServiceAccount" of the last binding: for reasons only */
} Subject;

struct _Index {
  GRWLock lock;
  GHashTable *slots;          /* "ns/name" → Slot */
  GHashTable *bindings;       /* "ns/name" → Binding */
  GHashTable *users, *groups; /* name → Subject */
};

static void
slot_free (gpointer data)
{
  Slot *slot = data;

  role_unref (slot->role);
  g_free (slot->ns);
  g_free (slot->name);
  g_free (slot);
}

static void
subject_free (gpointer data)
{
  Subject *subject = data;

  g_ptr_array_unref (subject->cluster);
  g_hash_table_unref (subject->by_ns);
  g_free (subject->name);
  g_free (subject);
}

static void
binding_free (gpointer data)
{
  Binding *binding = data;

  g_ptr_array_unref (binding->subjects);
  g_free (binding->ns);
  g_free (binding->name);
  g_free (binding);
}

Index *
index_new (void)
{
  Index *index = g_new0 (Index, 1);

  g_rw_lock_init (&index->lock);
  index->slots = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, slot_free);
  index->bindings = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, binding_free);
  index->users = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, subject_free);
  index->groups = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, subject_free);
  return index;
}

void
index_free (Index *index)
{
  if (index == NULL)
    return;
  g_hash_table_unref (index->bindings);
  g_hash_table_unref (index->users);
  g_hash_table_unref (index->groups);
  g_hash_table_unref (index->slots);
  g_rw_lock_clear (&index->lock);
  g_free (index);
}

/* ---- changes ---- */

static Slot *
get_slot (Index *index, const char *ns, const char *name)
{
  char *key = g_strconcat (ns, "/", name, NULL);
  Slot *slot = g_hash_table_lookup (index->slots, key);

  if (slot != NULL)
    {
      g_free (key);
      return slot;
    }
  slot = g_new0 (Slot, 1);
  slot->ns = g_strdup (ns);
  slot->name = g_strdup (name);
  g_hash_table_insert (index->slots, key, slot);
  return slot;
}

static void
drop_slot_if_unused (Index *index, Slot *slot)
{
  g_autofree char *key = NULL;

  if (slot->uses > 0 || slot->role != NULL)
    return;
  key = g_strconcat (slot->ns, "/", slot->name, NULL);
  g_hash_table_remove (index->slots, key);
}

void
index_put_role (Index *index, const char *ns, const char *name, CubeView object)
{
  Role *role = cube_view_exists (object) ? role_new (cube_view_member (object, "rules")) : NULL, *old;
  Slot *slot;

  g_rw_lock_writer_lock (&index->lock);
  slot = get_slot (index, ns, name);
  old = slot->role;
  slot->role = role;
  drop_slot_if_unused (index, slot);
  g_rw_lock_writer_unlock (&index->lock);
  role_unref (old);
}

static Subject *
get_subject (GHashTable *table, const char *name, const char *kind)
{
  Subject *subject = g_hash_table_lookup (table, name);

  if (subject == NULL)
    {
      subject = g_new0 (Subject, 1);
      subject->table = table;
      subject->name = g_strdup (name);
      subject->cluster = g_ptr_array_new ();
      subject->by_ns = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
      g_hash_table_insert (table, subject->name, subject);
    }
  subject->kind = kind;
  return subject;
}

static GPtrArray *
bindings_of (Subject *subject, const char *ns, gboolean can_make)
{
  GPtrArray *list;

  if (*ns == '\0')
    return subject->cluster;
  list = g_hash_table_lookup (subject->by_ns, ns);
  if (list == NULL && can_make)
    {
      list = g_ptr_array_new ();
      g_hash_table_insert (subject->by_ns, g_strdup (ns), list);
    }
  return list;
}

static void
link_subject (Binding *binding, Subject *subject)
{
  if (g_ptr_array_find (binding->subjects, subject, NULL))
    return;
  g_ptr_array_add (binding->subjects, subject);
  g_ptr_array_add (bindings_of (subject, binding->ns, TRUE), binding);
}

static void
unlink_subject (Binding *binding, Subject *subject)
{
  GPtrArray *list = bindings_of (subject, binding->ns, FALSE);

  if (list != NULL)
    g_ptr_array_remove_fast (list, binding);
  if (list != NULL && list->len == 0 && *binding->ns != '\0')
    g_hash_table_remove (subject->by_ns, binding->ns);
  if (subject->cluster->len == 0 && g_hash_table_size (subject->by_ns) == 0)
    g_hash_table_remove (subject->table, subject->name);
}

static void
remove_binding (Index *index, const char *key)
{
  Binding *binding = g_hash_table_lookup (index->bindings, key);

  if (binding == NULL)
    return;
  for (guint i = 0; i < binding->subjects->len; i++)
    unlink_subject (binding, binding->subjects->pdata[i]);
  binding->slot->uses--;
  drop_slot_if_unused (index, binding->slot);
  g_hash_table_remove (index->bindings, key);
}

/* A service account is the user of its name; without a namespace of its own it is of the binding's. */
static void
add_subject (Index *index, Binding *binding, CubeView view)
{
  const char *kind = cube_view_string (cube_view_member (view, "kind")), *name = cube_view_string (cube_view_member (view, "name"));
  const char *ns = cube_view_string_or (cube_view_member (view, "namespace"), "");

  if (kind == NULL || name == NULL)
    return;
  if (g_str_equal (kind, "User"))
    link_subject (binding, get_subject (index->users, name, "User"));
  else if (g_str_equal (kind, "Group"))
    link_subject (binding, get_subject (index->groups, name, "Group"));
  else if (g_str_equal (kind, "ServiceAccount") && (*ns != '\0' || *binding->ns != '\0'))
    {
      g_autofree char *user = g_strconcat ("system:serviceaccount:", *ns != '\0' ? ns : binding->ns, ":", name, NULL);
      link_subject (binding, get_subject (index->users, user, "ServiceAccount"));
    }
}

static void
add_binding (Index *index, char *key, const char *ns, const char *name, CubeView object)
{
  CubeView ref = cube_view_member (object, "roleRef"), subject;
  const char *kind = cube_view_string_or (cube_view_member (ref, "kind"), ""),
             *role = cube_view_string_or (cube_view_member (ref, "name"), "");
  Binding *binding = g_new0 (Binding, 1);
  CubeIter it;

  binding->ns = g_strdup (ns);
  binding->name = g_strdup (name);
  binding->subjects = g_ptr_array_new ();
  binding->slot = get_slot (index, g_str_equal (kind, "Role") ? ns : "", role);
  binding->slot->uses++;
  for (cube_iter_init (&it, cube_view_member (object, "subjects")); cube_iter_next (&it, NULL, &subject);)
    add_subject (index, binding, subject);
  g_hash_table_insert (index->bindings, key, binding);
}

void
index_put_binding (Index *index, const char *ns, const char *name, CubeView object)
{
  char *key = g_strconcat (ns, "/", name, NULL);

  g_rw_lock_writer_lock (&index->lock);
  remove_binding (index, key);
  if (cube_view_exists (object))
    add_binding (index, g_steal_pointer (&key), ns, name, object);
  g_rw_lock_writer_unlock (&index->lock);
  g_free (key);
}

/* ---- questions ---- */

/* TRUE = stop. */
typedef gboolean (*Visit) (const Subject *subject, const Binding *binding, gpointer data);

static gboolean
visit_list (const Subject *subject, const GPtrArray *list, Visit visit, gpointer data)
{
  for (guint i = 0; list != NULL && i < list->len; i++)
    if (visit (subject, list->pdata[i], data))
      return TRUE;
  return FALSE;
}

static gboolean
visit_subject (GHashTable *table, const char *name, const char *ns, Visit visit, gpointer data)
{
  Subject *subject = g_hash_table_lookup (table, name);

  return subject != NULL && visit_list (subject, *ns == '\0' ? subject->cluster : g_hash_table_lookup (subject->by_ns, ns), visit, data);
}

/* Under the lock: bindings of @ns ("" = the cluster's) that name the user or a group of theirs. */
static gboolean
visit_user (Index *index, const CubeUser *user, const char *ns, Visit visit, gpointer data)
{
  if (visit_subject (index->users, user->name, ns, visit, data))
    return TRUE;
  for (char **group = user->groups; group != NULL && *group != NULL; group++)
    if (visit_subject (index->groups, *group, ns, visit, data))
      return TRUE;
  return FALSE;
}

typedef struct {
  const CubeAttributes *attributes;
  char **ret_reason;
  GPtrArray *missing; /* (nullable) texts */
} Question;

static void
note_missing (Question *question, const Slot *slot)
{
  if (question->ret_reason == NULL)
    return;
  if (question->missing == NULL)
    question->missing = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (question->missing, g_strdup_printf ("%s.rbac.authorization.k8s.io \"%s\" not found",
                                                       *slot->ns == '\0' ? "clusterrole" : "role", slot->name));
}

static char *
allow_reason (const Subject *subject, const Binding *binding)
{
  const Slot *slot = binding->slot;
  const char *role = *slot->ns == '\0' ? "ClusterRole" : "Role";

  if (*binding->ns == '\0')
    return g_strdup_printf ("RBAC: allowed by ClusterRoleBinding \"%s\" of %s \"%s\" to %s \"%s\"", binding->name, role, slot->name,
                            subject->kind, subject->name);
  return g_strdup_printf ("RBAC: allowed by RoleBinding \"%s/%s\" of %s \"%s\" to %s \"%s\"", binding->name, binding->ns, role, slot->name,
                          subject->kind, subject->name);
}

static gboolean
ask_binding (const Subject *subject, const Binding *binding, gpointer data)
{
  Question *question = data;

  if (binding->slot->role == NULL)
    {
      note_missing (question, binding->slot);
      return FALSE;
    }
  if (!role_allows (binding->slot->role, question->attributes))
    return FALSE;
  if (question->ret_reason != NULL)
    *question->ret_reason = allow_reason (subject, binding);
  return TRUE;
}

static void
deny_reason (Question *question)
{
  g_autofree char *joined = NULL;
  guint n;

  if (question->missing == NULL)
    return;
  n = question->missing->len;
  g_ptr_array_add (question->missing, NULL);
  joined = g_strjoinv (", ", (char **) question->missing->pdata);
  *question->ret_reason = n == 1 ? g_strconcat ("RBAC: ", joined, NULL) : g_strdup_printf ("RBAC: [%s]", joined);
}

gboolean
index_allows (Index *index, const CubeAttributes *attributes, char **ret_reason)
{
  Question question = { attributes, ret_reason, NULL };
  gboolean is_allowed;

  g_rw_lock_reader_lock (&index->lock);
  is_allowed = visit_user (index, attributes->user, "", ask_binding, &question);
  if (!is_allowed && attributes->resource != NULL && attributes->ns != NULL && *attributes->ns != '\0')
    is_allowed = visit_user (index, attributes->user, attributes->ns, ask_binding, &question);
  g_rw_lock_reader_unlock (&index->lock);
  if (!is_allowed)
    deny_reason (&question);
  g_clear_pointer (&question.missing, g_ptr_array_unref);
  return is_allowed;
}

static gboolean
collect_role (const Subject *subject, const Binding *binding, gpointer data)
{
  if (binding->slot->role != NULL)
    g_ptr_array_add (data, role_ref (binding->slot->role));
  return FALSE;
}

GPtrArray *
index_roles_of (Index *index, const CubeUser *user, const char *ns)
{
  GPtrArray *roles = g_ptr_array_new_with_free_func ((GDestroyNotify) role_unref);

  g_rw_lock_reader_lock (&index->lock);
  visit_user (index, user, "", collect_role, roles);
  if (*ns != '\0')
    visit_user (index, user, ns, collect_role, roles);
  g_rw_lock_reader_unlock (&index->lock);
  return roles;
}

Role *
index_get_role (Index *index, const char *ns, const char *name)
{
  g_autofree char *key = g_strconcat (ns, "/", name, NULL);
  Slot *slot;
  Role *role = NULL;

  g_rw_lock_reader_lock (&index->lock);
  slot = g_hash_table_lookup (index->slots, key);
  if (slot != NULL && slot->role != NULL)
    role = role_ref (slot->role);
  g_rw_lock_reader_unlock (&index->lock);
  return role;
}
