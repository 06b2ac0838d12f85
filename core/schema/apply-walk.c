/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over objects beside sets of fields: what an object names, what changed, what to merge and to prune. */
#include "apply.h"
#include "object/tape.h"

/* The way from the root to where a walk is, made into a set only where something is found. */
typedef struct _Trail Trail;
struct _Trail {
  const Trail *parent;
  const char *prefix, *text; /* "f:" and the key, or "" and a whole element */
};

static CubeFieldSet *
trail_find (CubeFieldSet *set, const Trail *trail)
{
  if (trail == NULL)
    return set;
  g_autofree char *name = g_strconcat (trail->prefix, trail->text, NULL);
  return cube_field_set_ensure (trail_find (set, trail->parent), name);
}

static gboolean
is_empty_container (CubeView value)
{
  CubeValueType type = cube_view_type (value);
  return (type == CUBE_VALUE_OBJECT || type == CUBE_VALUE_ARRAY) && cube_view_length (value) == 0;
}

/* ---- the fields an applied object names ---- */

static void
collect (const CubePlace *place, CubeView value, CubeFieldSet *set, guint depth)
{
  CubePlaceKind kind = depth > CUBE_APPLY_MAX_DEPTH ? CUBE_PLACE_LEAF : cube_place_kind (place, value);
  CubeIter it;
  const char *key;
  guint32 length;
  CubeView v;
  if (kind == CUBE_PLACE_LEAF)
    {
      set->is_member = TRUE;
    }
  else if (kind == CUBE_PLACE_MAP)
    {
      for (cube_iter_init (&it, value); cube_iter_next_full (&it, &key, &length, &v);)
        {
          gboolean is_declared;
          CubePlace member = cube_place_member (place, key, length, &is_declared);
          g_autofree char *name = g_strconcat ("f:", key, NULL);
          CubeFieldSet *child = cube_field_set_ensure (set, name);
          if (!is_declared || (cube_view_type (v) == CUBE_VALUE_OBJECT && cube_view_length (v) == 0))
            child->is_member = TRUE;
          collect (&member, v, child, depth + 1);
        }
    }
  else
    {
      CubePlace element = cube_place_element (place);
      g_autoptr (GString) name = g_string_new (NULL);
      for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v);)
        {
          g_string_truncate (name, 0);
          cube_place_append_key (place, kind, v, name);
          CubeFieldSet *child = cube_field_set_ensure (set, name->str);
          child->is_member = TRUE;
          if (kind == CUBE_PLACE_LIST_MAP)
            collect (&element, v, child, depth + 1);
        }
    }
}

CubeFieldSet *
cube_apply_fields_of (const CubePlace *place, CubeView object)
{
  CubeFieldSet *set = cube_field_set_new (NULL);
  collect (place, object, set, 0);
  return set;
}

/* ---- what changed ---- */

typedef struct {
  CubeFieldSet *changed, *removed;
} Diff;

/* Members of another object by key, in the order of this one when they agree, else by table: linear in both. */
typedef struct {
  CubeIter it;
  CubeView object;
  GHashTable *table;
} Lookup;

static void
lookup_init (Lookup *lookup, CubeView object)
{
  cube_iter_init (&lookup->it, object);
  lookup->object = object;
  lookup->table = NULL;
}

static CubeView
lookup_get (Lookup *lookup, const char *key)
{
  CubeIter next = lookup->it;
  const char *have;
  CubeView v;
  if (cube_iter_next (&next, &have, &v) && have != NULL && strcmp (have, key) == 0)
    {
      lookup->it = next;
      return v;
    }
  if (cube_view_length (lookup->object) < 32)
    return cube_view_member (lookup->object, key);
  if (lookup->table == NULL)
    {
      lookup->table = g_hash_table_new (g_str_hash, g_str_equal);
      CubeIter it;
      for (cube_iter_init (&it, lookup->object); cube_iter_next (&it, &have, &v);)
        g_hash_table_insert (lookup->table, (gpointer) have, GUINT_TO_POINTER (v.at));
    }
  gpointer at;
  if (!g_hash_table_lookup_extended (lookup->table, key, NULL, &at))
    return cube_view_none ();
  v.doc = lookup->object.doc;
  v.at = GPOINTER_TO_UINT (at);
  return v;
}

static void
lookup_clear (Lookup *lookup)
{
  g_clear_pointer (&lookup->table, g_hash_table_unref);
}

static void diff (const CubePlace *place, CubeView old, CubeView now, gboolean whole, const Trail *trail, Diff *out, guint depth);

static void
diff_map (const CubePlace *place, CubeView old, CubeView now, gboolean whole, const Trail *trail, Diff *out, guint depth)
{
  Lookup lookup;
  CubeIter it;
  const char *key;
  guint32 length;
  CubeView v;
  lookup_init (&lookup, old);
  for (cube_iter_init (&it, now); cube_iter_next_full (&it, &key, &length, &v);)
    {
      CubePlace member = cube_place_member (place, key, length, NULL);
      Trail step = { trail, "f:", key };
      diff (&member, lookup_get (&lookup, key), v, whole, &step, out, depth + 1);
    }
  lookup_clear (&lookup);
  lookup_init (&lookup, now);
  for (cube_iter_init (&it, old); cube_iter_next (&it, &key, &v);)
    {
      Trail step = { trail, "f:", key };
      if (!cube_view_exists (lookup_get (&lookup, key)))
        trail_find (out->removed, &step)->is_member = TRUE;
    }
  lookup_clear (&lookup);
}

static void
diff_list (const CubePlace *place, CubePlaceKind kind, CubeView old, CubeView now, gboolean whole, const Trail *trail, Diff *out,
           guint depth)
{
  CubePlace element = cube_place_element (place);
  g_autoptr (GHashTable) before = cube_place_index (place, kind, old), after = cube_place_index (place, kind, now);
  GHashTableIter it;
  gpointer key, value;
  for (g_hash_table_iter_init (&it, after); g_hash_table_iter_next (&it, &key, &value);)
    {
      Trail step = { trail, "", key };
      guint at = GPOINTER_TO_UINT (g_hash_table_lookup (before, key));
      if (at == 0)
        trail_find (out->changed, &step)->is_member = TRUE;
      if (kind == CUBE_PLACE_LIST_MAP)
        diff (&element, at == 0 ? cube_view_none () : cube_view_element (old, at - 1),
              cube_view_element (now, GPOINTER_TO_UINT (value) - 1), whole || at == 0, &step, out, depth + 1);
    }
  for (g_hash_table_iter_init (&it, before); g_hash_table_iter_next (&it, &key, NULL);)
    {
      Trail step = { trail, "", key };
      if (!g_hash_table_contains (after, key))
        trail_find (out->removed, &step)->is_member = TRUE;
    }
}

/* @whole: something above is new, so that all containers below count as new too. */
static void
diff (const CubePlace *place, CubeView old, CubeView now, gboolean whole, const Trail *trail, Diff *out, guint depth)
{
  CubePlaceKind kind = depth > CUBE_APPLY_MAX_DEPTH ? CUBE_PLACE_LEAF : cube_place_kind (place, now);
  if (kind == CUBE_PLACE_LEAF)
    {
      if (!cube_view_equal (old, now))
        trail_find (out->changed, trail)->is_member = TRUE;
      return;
    }
  if (cube_view_exists (old) && cube_view_type (old) != cube_view_type (now))
    {
      trail_find (out->changed, trail)->is_member = TRUE;
      old = cube_view_none ();
    }
  if (!cube_view_exists (old) && trail != NULL && (whole || !cube_place_is_always (place)))
    {
      whole = TRUE;
      trail_find (out->changed, trail)->is_member = TRUE;
    }
  if (is_empty_container (now) && (!cube_view_exists (old) || is_empty_container (old)))
    return;
  if (kind == CUBE_PLACE_MAP)
    diff_map (place, old, now, whole, trail, out, depth);
  else
    diff_list (place, kind, old, now, whole, trail, out, depth);
}

void
cube_apply_diff (const CubePlace *place, CubeView old, CubeView object, CubeFieldSet *changed, CubeFieldSet *removed)
{
  Diff out = { changed, removed };
  diff (place, old, object, FALSE, NULL, &out, 0);
}

/* ---- a new object, straight to fieldsV1: the path of every create ---- */

typedef struct {
  CubeTapeWriter writer;
  GString *text;
} Writer;

static void
write_leaf (Writer *out)
{
  cube_tape_open (&out->writer, CUBE_VALUE_OBJECT);
  cube_tape_close (&out->writer);
}

static void
write_key (Writer *out, const char *prefix, const char *key, gsize length)
{
  char name[256];
  if (length + 2 > sizeof name)
    {
      g_string_assign (out->text, prefix);
      g_string_append_len (out->text, key, (gssize) length);
      cube_tape_key (&out->writer, out->text->str, out->text->len);
      return;
    }
  memcpy (name, prefix, 2);
  memcpy (name + 2, key, length);
  cube_tape_key (&out->writer, name, length + 2);
}

static gboolean
is_system_field (const char *key, guint depth)
{
  static const char *const metadata[] = { "name",       "namespace",       "uid",           "creationTimestamp",
                                          "generation", "resourceVersion", "managedFields", "selfLink" };
  if (depth == 0)
    return strcmp (key, "apiVersion") == 0 || strcmp (key, "kind") == 0;
  for (guint i = 0; i < G_N_ELEMENTS (metadata); i++)
    if (strcmp (key, metadata[i]) == 0)
      return TRUE;
  return FALSE;
}

/* Something below a struct that is there anyway. */
static gboolean
names_something (const CubePlace *place, CubeView value, gboolean is_metadata)
{
  CubeIter it;
  const char *key;
  guint32 length;
  CubeView v;
  if (cube_view_type (value) != CUBE_VALUE_OBJECT)
    return cube_view_length (value) > 0;
  for (cube_iter_init (&it, value); cube_iter_next_full (&it, &key, &length, &v);)
    {
      if (is_metadata && is_system_field (key, 1))
        continue;
      CubePlace member = cube_place_member (place, key, length, NULL);
      if (!cube_place_is_always (&member) || cube_place_kind (&member, v) == CUBE_PLACE_LEAF || names_something (&member, v, FALSE))
        return TRUE;
    }
  return FALSE;
}

static void write_fields (const CubePlace *place, CubePlaceKind kind, CubeView value, gboolean whole, guint depth, gboolean is_metadata,
                          Writer *out);

static void
write_list (const CubePlace *place, CubePlaceKind kind, CubeView value, guint depth, Writer *out)
{
  CubePlace element = cube_place_element (place);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v);)
    {
      g_string_truncate (out->text, 0);
      cube_place_append_key (place, kind, v, out->text);
      cube_tape_key (&out->writer, out->text->str, out->text->len);
      CubePlaceKind inner = cube_place_kind (&element, v);
      if (kind == CUBE_PLACE_LIST_SET || inner == CUBE_PLACE_LEAF)
        write_leaf (out);
      else
        write_fields (&element, inner, v, TRUE, depth + 1, FALSE, out);
    }
}

static void
write_member (const CubePlace *place, const char *key, guint32 length, CubeView value, gboolean whole, guint depth, gboolean is_metadata,
              Writer *out)
{
  CubePlace member = cube_place_member (place, key, length, NULL);
  CubePlaceKind kind = depth > CUBE_APPLY_MAX_DEPTH ? CUBE_PLACE_LEAF : cube_place_kind (&member, value);
  gboolean is_there = !whole && cube_place_is_always (&member);
  if (kind != CUBE_PLACE_LEAF && is_there && !names_something (&member, value, is_metadata))
    return;
  write_key (out, "f:", key, length);
  if (kind == CUBE_PLACE_LEAF || is_empty_container (value))
    write_leaf (out);
  else
    write_fields (&member, kind, value, !is_there, depth + 1, is_metadata, out);
}

static void
write_fields (const CubePlace *place, CubePlaceKind kind, CubeView value, gboolean whole, guint depth, gboolean is_metadata, Writer *out)
{
  CubeIter it;
  const char *key;
  guint32 length;
  CubeView v;
  cube_tape_open (&out->writer, CUBE_VALUE_OBJECT);
  if (whole && depth > 0)
    {
      cube_tape_key (&out->writer, ".", 1);
      write_leaf (out);
    }
  if (kind != CUBE_PLACE_MAP)
    write_list (place, kind, value, depth, out);
  else
    for (cube_iter_init (&it, value); cube_iter_next_full (&it, &key, &length, &v);)
      if ((depth > 0 && !is_metadata) || !is_system_field (key, depth))
        write_member (place, key, length, v, whole, depth, depth == 0 && strcmp (key, "metadata") == 0, out);
  cube_tape_close (&out->writer);
}

CubeValue *
cube_apply_fields_of_new (const CubePlace *place, CubeView object)
{
  Writer out = { .text = g_string_sized_new (64) };
  cube_tape_writer_init (&out.writer);
  write_fields (place, CUBE_PLACE_MAP, object, FALSE, 0, FALSE, &out);
  g_string_free (out.text, TRUE);
  return cube_tape_writer_end (&out.writer);
}

/* ---- the merge ---- */

static void merge (const CubePlace *place, CubeMut *target, CubeView applied, guint depth);

static void
merge_list (const CubePlace *place, CubePlaceKind kind, CubeMut *target, CubeView applied, guint depth)
{
  g_autoptr (CubeValue) live = cube_mut_to_value (target);
  g_autoptr (GHashTable) index = cube_place_index (place, kind, cube_value_root (live));
  g_autoptr (GString) key = g_string_new (NULL);
  CubePlace element = cube_place_element (place);
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, applied); cube_iter_next (&it, NULL, &v);)
    {
      g_string_truncate (key, 0);
      cube_place_append_key (place, kind, v, key);
      guint at = GPOINTER_TO_UINT (g_hash_table_lookup (index, key->str));
      if (at == 0)
        {
          cube_mut_append (target, cube_mut_new_view (cube_mut_builder (target), v));
          g_hash_table_insert (index, g_strdup (key->str), GUINT_TO_POINTER (cube_mut_length (target)));
        }
      else if (kind == CUBE_PLACE_LIST_MAP)
        {
          merge (&element, cube_mut_element (target, at - 1), v, depth + 1);
        }
    }
}

static void
merge (const CubePlace *place, CubeMut *target, CubeView applied, guint depth)
{
  CubePlaceKind kind = depth > CUBE_APPLY_MAX_DEPTH || cube_mut_type (target) != cube_view_type (applied)
                           ? CUBE_PLACE_LEAF
                           : cube_place_kind (place, applied);
  CubeBuilder *builder = cube_mut_builder (target);
  CubeIter it;
  const char *key;
  guint32 length;
  CubeView v;
  if (kind == CUBE_PLACE_LEAF)
    {
      if (!cube_mut_equal_view (target, applied))
        cube_mut_become (target, cube_mut_new_view (builder, applied));
      return;
    }
  if (kind != CUBE_PLACE_MAP)
    {
      merge_list (place, kind, target, applied, depth);
      return;
    }
  for (cube_iter_init (&it, applied); cube_iter_next_full (&it, &key, &length, &v);)
    {
      CubePlace member = cube_place_member (place, key, length, NULL);
      CubeMut *current = cube_mut_member (target, key);
      if (current != NULL)
        merge (&member, current, v, depth + 1);
      else
        cube_mut_set (target, key, cube_mut_new_view (builder, v));
    }
}

void
cube_apply_merge (const CubePlace *place, CubeMut *target, CubeView applied)
{
  merge (place, target, applied, 0);
}

/* ---- fields whose last owner dropped them ---- */

static gboolean
is_owned (const CubeFieldSet *kept)
{
  return !cube_field_set_is_empty (kept);
}

static void prune (const CubePlace *place, CubeMut *target, const CubeFieldSet *last, const CubeFieldSet *kept, guint depth);

/* Whether @node goes; else what is below it is pruned. */
static gboolean
prune_node (const CubePlace *place, CubeMut *node, const CubeFieldSet *last, const CubeFieldSet *kept, guint depth)
{
  if (last->is_member && !is_owned (kept))
    return TRUE;
  if (last->children == NULL || depth > CUBE_APPLY_MAX_DEPTH)
    return FALSE;
  guint before = cube_mut_length (node);
  prune (place, node, last, kept, depth + 1);
  return before > 0 && cube_mut_length (node) == 0 && (kept == NULL || !kept->is_member);
}

static void
prune_list (const CubePlace *place, CubePlaceKind kind, CubeMut *target, CubeView view, const CubeFieldSet *last, const CubeFieldSet *kept,
            guint depth)
{
  CubePlace element = cube_place_element (place);
  g_autoptr (GHashTable) index = cube_place_index (place, kind, view);
  g_autofree guint8 *goes = g_malloc0 (cube_mut_length (target) + 1);
  for (guint i = 0; i < last->children->len; i++)
    {
      const CubeFieldSet *child = g_ptr_array_index (last->children, i);
      guint at = GPOINTER_TO_UINT (g_hash_table_lookup (index, child->name));
      if (at != 0)
        goes[at - 1] =
            (guint8) prune_node (&element, cube_mut_element (target, at - 1), child, cube_field_set_child (kept, child->name), depth);
    }
  for (guint i = cube_mut_length (target); i-- > 0;)
    if (goes[i])
      cube_mut_remove_element (target, i);
}

static void
prune (const CubePlace *place, CubeMut *target, const CubeFieldSet *last, const CubeFieldSet *kept, guint depth)
{
  if (last->children == NULL)
    return;
  if (cube_mut_type (target) == CUBE_VALUE_ARRAY)
    {
      g_autoptr (CubeValue) value = cube_mut_to_value (target);
      CubePlaceKind kind = cube_place_kind (place, cube_value_root (value));
      if (kind != CUBE_PLACE_LEAF)
        prune_list (place, kind, target, cube_value_root (value), last, kept, depth);
      return;
    }
  for (guint i = 0; i < last->children->len; i++)
    {
      const CubeFieldSet *child = g_ptr_array_index (last->children, i);
      const char *key = g_str_has_prefix (child->name, "f:") ? child->name + 2 : NULL;
      CubeMut *node = key == NULL ? NULL : cube_mut_member (target, key);
      if (node == NULL)
        continue;
      CubePlace member = cube_place_member (place, key, strlen (key), NULL);
      if (prune_node (&member, node, child, cube_field_set_child (kept, child->name), depth))
        cube_mut_remove (target, key);
    }
}

void
cube_apply_prune (const CubePlace *place, CubeMut *target, const CubeFieldSet *last, const CubeFieldSet *kept)
{
  prune (place, target, last, kept, 0);
}

void
cube_apply_strip (const CubeResource *resource, const char *subresource, CubeFieldSet *set)
{
  static const char *const names[] = { "f:name",       "f:namespace",       "f:uid",           "f:creationTimestamp",
                                       "f:generation", "f:resourceVersion", "f:managedFields", "f:selfLink",
                                       "f:clusterName" };
  guint strategy = cube_resource_type (resource)->strategy;
  CubeFieldSet *metadata = cube_field_set_child (set, "f:metadata");
  set->is_member = FALSE;
  cube_field_set_drop (set, "f:apiVersion");
  cube_field_set_drop (set, "f:kind");
  for (guint i = 0; metadata != NULL && i < G_N_ELEMENTS (names); i++)
    cube_field_set_drop (metadata, names[i]);
  if (metadata != NULL)
    {
      metadata->is_member = FALSE;
      if (cube_field_set_is_empty (metadata))
        cube_field_set_drop (set, "f:metadata");
    }
  /* what this door does not write is not owned through it */
  if (strcmp (subresource, "status") == 0)
    {
      for (guint i = set->children == NULL ? 0 : set->children->len; i-- > 0;)
        {
          g_autofree char *name = g_strdup (((CubeFieldSet *) g_ptr_array_index (set->children, i))->name);
          gboolean is_kept =
              strcmp (name, "f:status") == 0
              || (strcmp (name, "f:metadata") == 0 && !resource->is_custom && (strategy & CUBE_STRATEGY_STATUS_KEEPS_METADATA) == 0);
          if (!is_kept)
            cube_field_set_drop (set, name);
        }
    }
  else if ((strategy & CUBE_STRATEGY_STATUS) != 0)
    {
      cube_field_set_drop (set, "f:status");
    }
}
