/* SPDX-License-Identifier: Apache-2.0 */
/* Strategic merge patch. Source: Kubernetes' community document "strategic-merge-patch" and the order rules of its implementation. */
#include "types.h"

#define DIRECTIVE "$patch"
#define RETAIN_KEYS "$retainKeys"
#define SET_ORDER "$setElementOrder/"
#define DELETE_PRIMITIVES "$deleteFromPrimitiveList/"
#define MAX_DEPTH 128u

/* What the schema says of a place; an unknown one merges objects and replaces lists. */
typedef struct {
  const CubeTypeTable *table;
  guint16 shape; /* 0 = unknown */
  guint16 flags; /* of the field */
  const char *merge_key;
} Place;

static gboolean merge_object (const Place *place, CubeMut *target, CubeView patch, guint depth, GError **error);

static gboolean refuse (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "%s", text);
  return FALSE;
}

static Place
place_of_member (const Place *parent, const char *key)
{
  Place place = { parent->table, 0, 0, NULL };
  const CubeShape *shape = &parent->table->shapes[parent->shape];
  guint16 type = 0;
  switch (shape->kind)
    {
    case CUBE_SHAPE_REF:
    case CUBE_SHAPE_SCHEMA_OR_BOOL:
    case CUBE_SHAPE_SCHEMA_OR_ARRAY:
    case CUBE_SHAPE_SCHEMA_OR_STRINGS: type = shape->ref; break;
    case CUBE_SHAPE_MAP: place.shape = shape->ref; return place;
    default: return place;
    }
  const CubeField *field = cube_type_find (parent->table, &parent->table->types[type], key, strlen (key));
  if (field == NULL)
    return place;
  place.shape = field->shape;
  place.flags = field->flags;
  place.merge_key = cube_pool (parent->table, field->merge_key);
  return place;
}

static Place
place_of_element (const Place *list)
{
  const CubeShape *shape = &list->table->shapes[list->shape];
  Place place = { list->table, shape->kind == CUBE_SHAPE_LIST ? shape->ref : 0, 0, NULL };
  return place;
}

static gboolean
is_directive (const char *key)
{
  return strcmp (key, DIRECTIVE) == 0 || strcmp (key, RETAIN_KEYS) == 0 || g_str_has_prefix (key, SET_ORDER)
         || g_str_has_prefix (key, DELETE_PRIMITIVES);
}

/* A value taken as it is: without directives and nulls. */
static CubeMut *
clean_copy (CubeBuilder *builder, CubeView value, guint depth)
{
  CubeIter it;
  const char *key;
  CubeView v;
  if (depth > MAX_DEPTH)
    return cube_mut_new_null (builder);
  switch (cube_view_type (value))
    {
    case CUBE_VALUE_OBJECT:
      {
        CubeMut *copy = cube_mut_new_object (builder);
        for (cube_iter_init (&it, value); cube_iter_next (&it, &key, &v);)
          if (!is_directive (key) && cube_view_type (v) != CUBE_VALUE_NULL)
            cube_mut_set (copy, key, clean_copy (builder, v, depth + 1));
        return copy;
      }
    case CUBE_VALUE_ARRAY:
      {
        CubeMut *copy = cube_mut_new_array (builder);
        for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v);)
          {
            const char *directive = cube_view_get_string (v, DIRECTIVE);
            if (g_strcmp0 (directive, "delete") != 0 && !(directive != NULL && cube_view_length (v) == 1))
              cube_mut_append (copy, clean_copy (builder, v, depth + 1));
          }
        return copy;
      }
    default: return cube_mut_new_view (builder, value);
    }
}

/* ---- order ---- */

static gboolean
same_item (CubeMut *item, CubeView other, const char *merge_key)
{
  if (merge_key == NULL)
    return cube_mut_equal_view (item, other);
  return cube_mut_member (item, merge_key) != NULL
         && cube_mut_equal_view (cube_mut_member (item, merge_key), cube_view_member (other, merge_key));
}

static int
index_in (CubeView list, CubeMut *item, const char *merge_key)
{
  CubeIter it;
  CubeView v;
  int index = 0;
  for (cube_iter_init (&it, list); cube_iter_next (&it, NULL, &v); index++)
    if (same_item (item, v, merge_key))
      return index;
  return -1;
}

typedef struct {
  CubeMut *item;
  int rank, server; /* place in the patch's order, in the old list; -1 = not there */
} Ranked;

static int
compare_rank (gconstpointer a, gconstpointer b)
{
  const Ranked *x = a, *y = b;
  return x->rank - y->rank;
}

/* Items the patch speaks of stand in the patch's order, the others in their old one; the two are merged by old places. */
static void
order_list (CubeMut *list, CubeView order, CubeView old, const char *merge_key)
{
  g_autoptr (GArray) mine = g_array_new (FALSE, FALSE, sizeof (Ranked)), others = g_array_new (FALSE, FALSE, sizeof (Ranked));
  for (guint i = 0; i < cube_mut_length (list); i++)
    {
      CubeMut *item = cube_mut_element (list, i);
      Ranked ranked = { item, index_in (order, item, merge_key), index_in (old, item, merge_key) };
      g_array_append_val (ranked.rank >= 0 ? mine : others, ranked);
    }
  g_array_sort (mine, compare_rank);
  CubeMut *sorted = cube_mut_new_array (cube_mut_builder (list));
  guint i = 0, j = 0;
  while (i < others->len || j < mine->len)
    {
      const Ranked *left = i < others->len ? &g_array_index (others, Ranked, i) : NULL;
      const Ranked *right = j < mine->len ? &g_array_index (mine, Ranked, j) : NULL;
      gboolean take_left = right == NULL || (left != NULL && left->server >= 0 && right->server >= 0 && left->server < right->server);
      cube_mut_append (sorted, take_left ? left->item : right->item);
      if (take_left)
        i++;
      else
        j++;
    }
  cube_mut_become (list, sorted);
}

/* ---- lists ---- */

static CubeMut *
find_item (CubeMut *list, CubeView wanted, const char *merge_key, guint *ret_index)
{
  for (guint i = 0; i < cube_mut_length (list); i++)
    if (same_item (cube_mut_element (list, i), wanted, merge_key))
      {
        *ret_index = i;
        return cube_mut_element (list, i);
      }
  return NULL;
}

static gboolean
has_replace (CubeView patch)
{
  CubeIter it;
  CubeView v;
  for (cube_iter_init (&it, patch); cube_iter_next (&it, NULL, &v);)
    if (g_strcmp0 (cube_view_get_string (v, DIRECTIVE), "replace") == 0)
      return TRUE;
  return FALSE;
}

static gboolean
merge_item (const Place *list_place, CubeMut *list, CubeView item, guint depth, GError **error)
{
  Place element = place_of_element (list_place);
  const char *directive = cube_view_get_string (item, DIRECTIVE);
  guint index;
  if (directive != NULL && strcmp (directive, "delete") != 0)
    return refuse (error,
                   strcmp (directive, "merge") == 0 ? "merging lists cannot yet be specified in the patch" : "unknown patch type found: %s",
                   directive);
  if (!cube_view_exists (cube_view_member (item, list_place->merge_key)))
    {
      g_autofree char *text = cube_view_to_json (item, NULL);
      return refuse (error, "map: %s does not contain declared merge key: %s", text, list_place->merge_key);
    }
  CubeMut *found = find_item (list, item, list_place->merge_key, &index);
  if (directive != NULL)
    {
      for (; found != NULL; found = find_item (list, item, list_place->merge_key, &index))
        cube_mut_remove_element (list, index);
      return TRUE;
    }
  if (found != NULL)
    return merge_object (&element, found, item, depth + 1, error);
  cube_mut_append (list, clean_copy (cube_mut_builder (list), item, depth));
  return TRUE;
}

/* The patch without its directives, as the order its items shall have. */
static gboolean
merge_list (const Place *place, CubeMut *list, CubeView patch, gboolean keep_order, guint depth, GError **error)
{
  CubeIter it;
  CubeView v;
  CubeBuilder *builder = cube_mut_builder (list);
  g_autoptr (CubeValue) old = cube_mut_to_value (list);
  if (has_replace (patch))
    {
      cube_mut_become (list, clean_copy (builder, patch, depth));
      return TRUE;
    }
  for (cube_iter_init (&it, patch); cube_iter_next (&it, NULL, &v);)
    {
      guint index;
      if (place->merge_key != NULL)
        {
          if (cube_view_type (v) != CUBE_VALUE_OBJECT)
            return refuse (error, "expected an object with the merge key %s in a list of the patch", place->merge_key);
          if (!merge_item (place, list, v, depth, error))
            return FALSE;
        }
      else if (find_item (list, v, NULL, &index) == NULL)
        {
          cube_mut_append (list, clean_copy (builder, v, depth));
        }
    }
  if (!keep_order && old != NULL)
    order_list (list, patch, cube_value_root (old), place->merge_key);
  return TRUE;
}

static void
delete_primitives (CubeMut *list, CubeView gone)
{
  for (guint i = 0; i < cube_mut_length (list);)
    if (index_in (gone, cube_mut_element (list, i), NULL) >= 0)
      cube_mut_remove_element (list, i);
    else
      i++;
}

/* ---- objects ---- */

static void
retain_keys (CubeMut *target, CubeView keys)
{
  for (guint i = 0; i < cube_mut_length (target);)
    {
      const char *key;
      cube_mut_member_at (target, i, &key);
      gboolean kept = FALSE;
      for (guint k = 0; k < cube_view_length (keys) && !kept; k++)
        kept = g_strcmp0 (cube_view_string (cube_view_element (keys, k)), key) == 0;
      if (kept)
        {
          i++;
          continue;
        }
      g_autofree char *name = g_strdup (key);
      cube_mut_remove (target, name);
    }
}

static gboolean
merge_member (const Place *parent, CubeMut *target, const char *key, CubeView value, gboolean keep_order, guint depth, GError **error)
{
  CubeMut *current = cube_mut_member (target, key);
  CubeValueType type = cube_view_type (value);
  Place place = place_of_member (parent, key);
  if (type == CUBE_VALUE_NULL)
    {
      cube_mut_remove (target, key);
      return TRUE;
    }
  gboolean same_kind = current != NULL && cube_mut_type (current) == type;
  if (same_kind && type == CUBE_VALUE_OBJECT && (place.flags & CUBE_FIELD_PATCH_REPLACE) == 0)
    return merge_object (&place, current, value, depth + 1, error);
  if (same_kind && type == CUBE_VALUE_ARRAY && (place.flags & CUBE_FIELD_PATCH_MERGE) != 0)
    return merge_list (&place, current, value, keep_order, depth, error);
  cube_mut_set (target, key, clean_copy (cube_mut_builder (target), value, depth));
  return TRUE;
}

/* $setElementOrder/x: orders list x after it was merged. */
static void
set_element_order (const Place *parent, CubeMut *target, const char *key, CubeView order, CubeView old)
{
  const char *name = key + strlen (SET_ORDER);
  Place place = place_of_member (parent, name);
  CubeMut *list = cube_mut_member (target, name);
  if (cube_mut_type (list) == CUBE_VALUE_ARRAY && (place.flags & CUBE_FIELD_PATCH_MERGE) != 0)
    order_list (list, order, cube_view_member (old, name), place.merge_key);
}

static gboolean
has_order_of (CubeView patch, const char *key)
{
  g_autofree char *name = g_strconcat (SET_ORDER, key, NULL);
  return cube_view_exists (cube_view_member (patch, name));
}

static gboolean
merge_object (const Place *place, CubeMut *target, CubeView patch, guint depth, GError **error)
{
  if (depth > MAX_DEPTH)
    return refuse (error, "the patch is nested deeper than %u", MAX_DEPTH);
  const char *directive = cube_view_get_string (patch, DIRECTIVE);
  if (directive != NULL && strcmp (directive, "replace") == 0)
    {
      cube_mut_become (target, clean_copy (cube_mut_builder (target), patch, depth));
      return TRUE;
    }
  if (directive != NULL && strcmp (directive, "delete") == 0)
    {
      cube_mut_become (target, cube_mut_new_object (cube_mut_builder (target)));
      return TRUE;
    }
  if (directive != NULL && strcmp (directive, "merge") != 0)
    return refuse (error, "unknown patch type found: %s", directive);
  CubeView retained = cube_view_member (patch, RETAIN_KEYS);
  if (cube_view_type (retained) == CUBE_VALUE_ARRAY)
    retain_keys (target, retained);

  g_autoptr (CubeValue) old = NULL; /* for the order of lists */
  CubeIter it;
  const char *key;
  CubeView v;
  for (cube_iter_init (&it, patch); cube_iter_next (&it, &key, &v);)
    {
      if (g_str_has_prefix (key, DELETE_PRIMITIVES))
        delete_primitives (cube_mut_member (target, key + strlen (DELETE_PRIMITIVES)), v);
      else if (old == NULL && g_str_has_prefix (key, SET_ORDER))
        old = cube_mut_to_value (target);
    }
  for (cube_iter_init (&it, patch); cube_iter_next (&it, &key, &v);)
    if (!is_directive (key)
        && !merge_member (place, target, key, v, cube_view_type (v) == CUBE_VALUE_ARRAY && has_order_of (patch, key), depth, error))
      return FALSE;
  for (cube_iter_init (&it, patch); old != NULL && cube_iter_next (&it, &key, &v);)
    if (g_str_has_prefix (key, SET_ORDER))
      set_element_order (place, target, key, v, cube_value_root (old));
  return TRUE;
}

gboolean
cube_schema_patch_strategic (const CubeResource *resource, CubeMut *root, CubeView patch, GError **error)
{
  if (resource->is_custom)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE,
                   "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, "
                   "application/merge-patch+json, application/apply-patch+yaml");
      return FALSE;
    }
  if (cube_view_type (patch) != CUBE_VALUE_OBJECT || cube_mut_type (root) != CUBE_VALUE_OBJECT)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                   "error decoding patch: json: cannot unmarshal %s into Go value of type map[string]interface {}",
                   cube_value_type_name (cube_view_type (patch)));
      return FALSE;
    }
  const CubeResourceType *type = cube_resource_type (resource);
  Place place = { type->table, cube_type_shape (type->table, type->type), 0, NULL };
  return merge_object (&place, root, patch, 0, error);
}
