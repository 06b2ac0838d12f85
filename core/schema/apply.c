/* SPDX-License-Identifier: Apache-2.0 */
/* The doors of field ownership: server-side apply, and the book-keeping of ordinary writes. */
#include "apply.h"

#define MAX_UPDATERS 10u
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

/* ---- managers ---- */

typedef struct {
  char *manager, *operation, *api_version, *subresource, *time;
  CubeFieldSet *set;
} Manager;

static void
manager_free (gpointer data)
{
  Manager *manager = data;
  g_free (manager->manager);
  g_free (manager->operation);
  g_free (manager->api_version);
  g_free (manager->subresource);
  g_free (manager->time);
  cube_field_set_free (manager->set);
  g_free (manager);
}

static gboolean
is_update (const Manager *manager)
{
  return strcmp (manager->operation, "Update") == 0;
}

static Manager *
add_manager (GPtrArray *managers, const char *name, const char *operation, const char *api_version, const char *subresource)
{
  Manager *manager = g_new0 (Manager, 1);
  manager->manager = g_strdup (name);
  manager->operation = g_strdup (operation);
  manager->api_version = g_strdup (api_version);
  manager->subresource = g_strdup (subresource);
  g_ptr_array_add (managers, manager);
  return manager;
}

/* One apply entry a manager and subresource, whatever the version; update entries by version too. */
static Manager *
find_manager (GPtrArray *managers, const char *name, const char *operation, const char *api_version, const char *subresource)
{
  for (guint i = 0; i < managers->len; i++)
    {
      Manager *manager = g_ptr_array_index (managers, i);
      if (strcmp (manager->manager, name) == 0 && strcmp (manager->operation, operation) == 0
          && strcmp (manager->subresource, subresource) == 0 && (!is_update (manager) || strcmp (manager->api_version, api_version) == 0))
        return manager;
    }
  return NULL;
}

/* NULL when an entry is none that we or Kubernetes would write. */
static GPtrArray *
read_managers (CubeView entries)
{
  g_autoptr (GPtrArray) managers = g_ptr_array_new_with_free_func (manager_free);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, entries); cube_iter_next (&it, NULL, &v);)
    {
      const char *operation = cube_view_get_string (v, "operation"), *fields_type = cube_view_get_string (v, "fieldsType");
      if (operation == NULL || (strcmp (operation, "Apply") != 0 && strcmp (operation, "Update") != 0)
          || g_strcmp0 (fields_type, "FieldsV1") != 0)
        return NULL;
      Manager *manager = add_manager (managers, cube_view_string_or (cube_view_member (v, "manager"), ""), operation,
                                      cube_view_string_or (cube_view_member (v, "apiVersion"), ""),
                                      cube_view_string_or (cube_view_member (v, "subresource"), ""));
      manager->time = g_strdup (cube_view_get_string (v, "time"));
      manager->set = cube_field_set_from_view (cube_view_member (v, "fieldsV1"));
    }
  return g_steal_pointer (&managers);
}

static int
compare_managers (gconstpointer a, gconstpointer b)
{
  const Manager *left = *(const Manager *const *) a, *right = *(const Manager *const *) b;
  int order = strcmp (left->operation, right->operation);
  order = order != 0 ? order : g_strcmp0 (left->time, right->time);
  order = order != 0 ? order : strcmp (left->manager, right->manager);
  order = order != 0 ? order : strcmp (left->api_version, right->api_version);
  return order != 0 ? order : strcmp (left->subresource, right->subresource);
}

/* At most so many update entries: the oldest ones become one. */
static void
cap_managers (GPtrArray *managers)
{
  guint n = 0;
  for (guint i = 0; i < managers->len; i++)
    n += is_update (g_ptr_array_index (managers, i));
  g_ptr_array_sort (managers, compare_managers);
  for (guint i = 0; i < managers->len && n > MAX_UPDATERS;)
    {
      Manager *oldest = g_ptr_array_index (managers, i);
      if (!is_update (oldest) || strcmp (oldest->manager, "ancient-changes") == 0)
        {
          i++;
          continue;
        }
      Manager *ancient = find_manager (managers, "ancient-changes", "Update", oldest->api_version, oldest->subresource);
      if (ancient == NULL)
        {
          g_free (oldest->manager);
          oldest->manager = g_strdup ("ancient-changes");
          i++;
          continue;
        }
      cube_field_set_add_all (ancient->set, oldest->set);
      g_free (ancient->time);
      ancient->time = g_strdup (oldest->time);
      g_ptr_array_remove_index (managers, i);
      n--;
    }
  g_ptr_array_sort (managers, compare_managers);
}

static CubeMut *
append_entry (CubeMut *entries, const char *manager, const char *operation, const char *api_version, const char *time, CubeMut *fields,
              const char *subresource)
{
  CubeMut *entry = cube_mut_append_object (entries);
  cube_mut_set_string (entry, "manager", manager);
  cube_mut_set_string (entry, "operation", operation);
  cube_mut_set_string (entry, "apiVersion", api_version);
  if (time != NULL)
    cube_mut_set_string (entry, "time", time);
  cube_mut_set_string (entry, "fieldsType", "FieldsV1");
  cube_mut_set (entry, "fieldsV1", fields);
  if (*subresource != '\0')
    cube_mut_set_string (entry, "subresource", subresource);
  return entry;
}

static void
write_managers (GPtrArray *managers, CubeMut *metadata)
{
  for (guint i = managers->len; i-- > 0;)
    if (cube_field_set_is_empty (((Manager *) g_ptr_array_index (managers, i))->set))
      g_ptr_array_remove_index (managers, i);
  cap_managers (managers);
  if (managers->len == 0)
    {
      cube_mut_remove (metadata, "managedFields");
      return;
    }
  CubeMut *entries = cube_mut_set_array (metadata, "managedFields");
  for (guint i = 0; i < managers->len; i++)
    {
      const Manager *manager = g_ptr_array_index (managers, i);
      append_entry (entries, manager->manager, manager->operation, manager->api_version, manager->time,
                    cube_field_set_to_mut (manager->set, cube_mut_builder (metadata)), manager->subresource);
    }
}

/* ---- ordinary writes ---- */

static void
manage_new (const CubeResource *resource, const char *subresource, CubeMut *root, const char *manager, const char *now)
{
  CubePlace place = cube_place_root (resource);
  g_autoptr (CubeValue) fields = cube_apply_fields_of_new (&place, cube_mut_pack (root));
  CubeMut *metadata = cube_mut_member (root, "metadata");
  if (fields == NULL || cube_view_length (cube_value_root (fields)) == 0)
    {
      cube_mut_remove (metadata, "managedFields");
      return;
    }
  append_entry (cube_mut_set_array (metadata, "managedFields"), manager, "Update", resource->api_version, now,
                cube_mut_new_view (cube_mut_builder (root), cube_value_root (fields)), subresource);
}

/* A list with nothing in it, or with one empty entry, asks for the end of all ownership. */
static gboolean
is_reset (CubeView given)
{
  if (cube_view_type (given) != CUBE_VALUE_ARRAY)
    return FALSE;
  guint n = cube_view_length (given);
  return n == 0 || (n == 1 && cube_view_length (cube_view_element (given, 0)) == 0);
}

/* What @diff took or changed leaves every manager but @own. */
static gboolean
take_from_others (GPtrArray *managers, const Manager *own, const CubeFieldSet *changed, const CubeFieldSet *removed)
{
  gboolean is_changed = FALSE;
  for (guint i = 0; i < managers->len; i++)
    {
      Manager *manager = g_ptr_array_index (managers, i);
      if (manager != own)
        is_changed |= cube_field_set_subtract (manager->set, changed, FALSE);
      is_changed |= cube_field_set_subtract (manager->set, removed, TRUE);
    }
  return is_changed;
}

void
cube_schema_update_managed (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView old, const char *manager,
                            const char *now)
{
  const char *door = subresource == NULL ? "" : subresource;
  CubeMut *metadata = cube_mut_member (root, "metadata");
  if (metadata == NULL || manager == NULL || cube_mut_type (metadata) != CUBE_VALUE_OBJECT)
    return;
  if (!cube_view_exists (old))
    {
      manage_new (resource, door, root, manager, now);
      return;
    }
  CubeView object = cube_mut_pack (root), given = cube_view_get (object, "metadata", "managedFields");
  metadata = cube_mut_member (root, "metadata");
  CubeView live = cube_view_get (old, "metadata", "managedFields");
  if (is_reset (given))
    {
      cube_mut_remove (metadata, "managedFields");
      return;
    }
  g_autoptr (GPtrArray) managers = cube_view_length (given) > 0 ? read_managers (given) : NULL;
  if (managers == NULL)
    {
      given = live;
      managers = read_managers (live);
    }
  if (managers == NULL || managers->len == 0)
    {
      cube_mut_set_view (metadata, "managedFields", live); /* ownership is tracked from a create or an apply on */
      return;
    }
  CubePlace place = cube_place_root (resource);
  g_autoptr (CubeFieldSet) changed = cube_field_set_new (NULL), removed = cube_field_set_new (NULL);
  cube_apply_diff (&place, old, object, changed, removed);
  cube_apply_strip (resource, door, changed);
  cube_apply_strip (resource, door, removed);
  Manager *own = find_manager (managers, manager, "Update", resource->api_version, door);
  gboolean is_changed = take_from_others (managers, own, changed, removed);
  if (!cube_field_set_is_empty (changed))
    {
      if (own == NULL)
        {
          own = add_manager (managers, manager, "Update", resource->api_version, door);
          own->set = cube_field_set_new (NULL);
        }
      cube_field_set_add_all (own->set, changed);
      g_free (own->time);
      own->time = g_strdup (now);
      is_changed = TRUE;
    }
  if (is_changed)
    write_managers (managers, metadata);
  else
    cube_mut_set_view (metadata, "managedFields", given);
}

/* ---- conflicts ---- */

typedef struct {
  GPtrArray *managers;         /* printed */
  GPtrArray *paths;            /* beside it */
  const CubeFieldSet *excused; /* (nullable) */
  const char *current;
} Conflicts;

static void
note_conflict (const char *path, gpointer data)
{
  Conflicts *conflicts = data;
  g_ptr_array_add (conflicts->managers, g_strdup (conflicts->current));
  g_ptr_array_add (conflicts->paths, g_strdup (path));
}

static char *
print_manager (const Manager *manager)
{
  GString *text = g_string_new (NULL);
  cube_json_append_string (text, manager->manager, -1);
  if (*manager->subresource != '\0')
    {
      g_string_append (text, " with subresource ");
      cube_json_append_string (text, manager->subresource, -1);
    }
  if (is_update (manager))
    g_string_append_printf (text, " using %s", manager->api_version);
  return g_string_free (text, FALSE);
}

static void
set_conflict_error (const Conflicts *conflicts, GError **error)
{
  guint n = conflicts->paths->len;
  g_autoptr (GString) text = g_string_new (NULL);
  if (n == 1)
    {
      g_string_append_printf (text, "conflict with %s: %s", (char *) conflicts->managers->pdata[0], (char *) conflicts->paths->pdata[0]);
    }
  else
    {
      for (guint i = 0; i < n; i++)
        {
          if (i == 0 || strcmp (conflicts->managers->pdata[i], conflicts->managers->pdata[i - 1]) != 0)
            g_string_append_printf (text, "%sconflicts with %s:", i == 0 ? "" : "\n", (char *) conflicts->managers->pdata[i]);
          g_string_append_printf (text, "\n- %s", (char *) conflicts->paths->pdata[i]);
        }
    }
  GError *failure = g_error_new (CUBE_ERROR, CUBE_ERROR_CONFLICT, "Apply failed with %u conflict%s: %s", n, n == 1 ? "" : "s", text->str);
  for (guint i = 0; i < n; i++)
    cube_error_add_cause (failure, "FieldManagerConflict", conflicts->paths->pdata[i], "conflict with %s",
                          (char *) conflicts->managers->pdata[i]);
  g_propagate_error (error, failure);
}

/* What kubectl wrote before it applied on the server: its own fields of then are no conflict. */
static CubeFieldSet *
last_applied_fields (const CubePlace *place, CubeView live, const char *manager)
{
  const char *text = cube_view_get_string (live, "metadata", "annotations", LAST_APPLIED);
  if (text == NULL || strcmp (manager, "kubectl") != 0)
    return NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (text, -1, NULL, NULL);
  return value == NULL ? NULL : cube_apply_fields_of (place, cube_value_root (value));
}

static gboolean
check_conflicts (GPtrArray *managers, const Manager *own, const CubeFieldSet *changed, const CubeFieldSet *excused, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free), paths = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (CubeFieldSet) disputed = cube_field_set_new (NULL);
  cube_field_set_add_all (disputed, changed);
  if (excused != NULL)
    cube_field_set_subtract (disputed, excused, FALSE);
  g_ptr_array_sort (managers, compare_managers);
  for (guint i = 0; i < managers->len; i++)
    {
      const Manager *manager = g_ptr_array_index (managers, i);
      if (manager == own)
        continue;
      g_autofree char *printed = print_manager (manager);
      Conflicts conflicts = { names, paths, NULL, printed };
      cube_field_set_visit_common (manager->set, disputed, note_conflict, &conflicts);
    }
  if (paths->len == 0)
    return TRUE;
  Conflicts all = { names, paths, NULL, NULL };
  set_conflict_error (&all, error);
  return FALSE;
}

/* ---- apply ---- */

static gboolean
check_applied (const CubeResource *resource, CubeMut *root, CubeView applied, GError **error)
{
  if (cube_view_type (applied) != CUBE_VALUE_OBJECT || cube_mut_type (root) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "error decoding YAML: the applied configuration of %s is no object",
                   resource->resource);
      return FALSE;
    }
  if (cube_view_exists (cube_view_get (applied, "metadata", "managedFields")))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "metadata.managedFields must be nil");
      return FALSE;
    }
  return TRUE;
}

/* An object from before ownership was tracked: what it holds belongs to nobody in particular. */
static void
adopt_untracked (const CubeResource *resource, const CubePlace *place, GPtrArray *managers, CubeView live, const char *now)
{
  if (managers->len > 0 || cube_view_length (live) == 0)
    return;
  Manager *before = add_manager (managers, "before-first-apply", "Update", resource->api_version, "");
  g_autoptr (CubeValue) fields = cube_apply_fields_of_new (place, live);
  before->set = fields == NULL ? cube_field_set_new (NULL) : cube_field_set_from_view (cube_value_root (fields));
  cube_apply_strip (resource, "", before->set);
  before->time = g_strdup (now);
}

/* Fields that @own named before and that nobody names now go. */
static void
prune_dropped (const CubePlace *place, CubeMut *root, GPtrArray *managers, const CubeFieldSet *last)
{
  g_autoptr (CubeFieldSet) kept = cube_field_set_new (NULL);
  for (guint i = 0; i < managers->len; i++)
    cube_field_set_add_all (kept, ((Manager *) g_ptr_array_index (managers, i))->set);
  cube_apply_prune (place, root, last, kept);
}

static void
write_last_applied (CubeMut *root, CubeView live, CubeView applied, const char *manager)
{
  if (strcmp (manager, "kubectl") != 0 || !cube_view_exists (cube_view_get (live, "metadata", "annotations", LAST_APPLIED)))
    return;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (applied);
  cube_mut_remove (cube_mut_get (cube_builder_root (builder), "metadata", "annotations"), LAST_APPLIED);
  g_autoptr (GString) json = g_string_new (NULL);
  cube_mut_append_json (cube_builder_root (builder), json);
  g_string_append_c (json, '\n');
  cube_mut_set_string (cube_mut_ensure (root, "metadata", "annotations"), LAST_APPLIED, json->str);
}

static gboolean
apply_as (const CubeResource *resource, const char *door, CubeMut *root, CubeView live, CubeView applied, GPtrArray *managers, Manager *own,
          gboolean force, const char *now, GError **error)
{
  CubePlace place = cube_place_root (resource);
  g_autoptr (CubeFieldSet) last = g_steal_pointer (&own->set), changed = cube_field_set_new (NULL), removed = cube_field_set_new (NULL);
  own->set = cube_apply_fields_of (&place, applied);
  cube_apply_strip (resource, door, own->set);
  gboolean is_changed = last == NULL || !cube_field_set_equal (last, own->set);
  cube_apply_merge (&place, root, applied);
  if (last != NULL)
    prune_dropped (&place, root, managers, last);
  g_autoptr (CubeValue) merged = cube_mut_to_value (root);
  cube_apply_diff (&place, live, cube_value_root (merged), changed, removed);
  cube_apply_strip (resource, door, changed);
  cube_apply_strip (resource, door, removed);
  g_autoptr (CubeFieldSet) excused = last_applied_fields (&place, live, own->manager);
  if (!force && !check_conflicts (managers, own, changed, excused, error))
    return FALSE;
  write_last_applied (root, live, applied, own->manager); /* after the comparison: the annotation is nobody's claim */
  is_changed |= !cube_field_set_is_empty (changed) || !cube_field_set_is_empty (removed);
  is_changed |= take_from_others (managers, own, changed, removed);
  if (!is_changed)
    return TRUE; /* managedFields stay as they are, times too */
  g_free (own->time);
  own->time = g_strdup (now);
  g_free (own->api_version);
  own->api_version = g_strdup (resource->api_version);
  write_managers (managers, cube_mut_ensure_object (root, "metadata"));
  return TRUE;
}

gboolean
cube_schema_apply (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView applied, const char *manager,
                   gboolean force, const char *now, GError **error)
{
  const char *door = subresource == NULL ? "" : subresource;
  if (!check_applied (resource, root, applied, error))
    return FALSE;
  g_autoptr (CubeValue) live_value = cube_mut_to_value (root);
  CubeView live = cube_value_root (live_value);
  CubePlace place = cube_place_root (resource);
  g_autoptr (GPtrArray) managers = read_managers (cube_view_get (live, "metadata", "managedFields"));
  if (managers == NULL)
    managers = g_ptr_array_new_with_free_func (manager_free);
  adopt_untracked (resource, &place, managers, live, now);
  Manager *own = find_manager (managers, manager, "Apply", resource->api_version, door);
  if (own == NULL)
    own = add_manager (managers, manager, "Apply", resource->api_version, door);
  return apply_as (resource, door, root, live, applied, managers, own, force, now, error);
}
