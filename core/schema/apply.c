/* SPDX-License-Identifier: Apache-2.0 */
/* Field ownership: the set of fields an applied object names, and the merge by list keys. */
#include "types.h"

#define MAX_DEPTH 128u

typedef struct {
  const CubeTypeTable *table;
  guint16 shape, flags;
  const char *list_keys;
} Place;

static Place
place_of_member (const Place *parent, const char *key)
{
  Place place = { parent->table, 0, 0, NULL };
  const CubeShape *shape = &parent->table->shapes[parent->shape];
  const CubeType *type = NULL;
  if (shape->kind == CUBE_SHAPE_REF)
    type = &parent->table->types[shape->ref];
  else if (shape->kind == CUBE_SHAPE_BUILTIN_REF)
    type = &(place.table = &cube_builtin_types)->types[shape->ref];
  else if (shape->kind == CUBE_SHAPE_MAP)
    place.shape = shape->ref;
  const CubeField *field = type == NULL ? NULL : cube_type_find (place.table, type, key, strlen (key));
  if (field != NULL) {
    place.shape = field->shape;
    place.flags = field->flags;
    place.list_keys = cube_pool (place.table, field->list_keys);
  }
  return place;
}

static Place
place_of_element (const Place *list)
{
  const CubeShape *shape = &list->table->shapes[list->shape];
  Place place = { list->table, shape->kind == CUBE_SHAPE_LIST ? shape->ref : 0, 0, NULL };
  return place;
}

/* k:{"name":"x"} with the keys in order of name. */
static char *
element_key (CubeView element, const char *list_keys)
{
  g_auto (GStrv) keys = g_strsplit (list_keys, ",", -1);
  GString *text = g_string_new ("k:{");
  for (guint i = 0; keys[i] != NULL; i++) {
    CubeView value = cube_view_member (element, keys[i]);
    if (!cube_view_exists (value))
      continue;
    g_string_append_printf (text, "%s\"%s\":", text->str[text->len - 1] == '{' ? "" : ",", keys[i]);
    cube_view_append_json (value, text);
  }
  g_string_append_c (text, '}');
  return g_string_free (text, FALSE);
}

static void
collect (const Place *place, CubeView value, CubeMut *set, guint depth)
{
  CubeIter it;
  const char *key;
  CubeView v;
  if (depth > MAX_DEPTH)
    return;
  if (cube_view_type (value) == CUBE_VALUE_OBJECT && (place->flags & CUBE_FIELD_MAP_ATOMIC) == 0) {
    for (cube_iter_init (&it, value); cube_iter_next (&it, &key, &v);) {
      Place member = place_of_member (place, key);
      g_autofree char *name = g_strconcat ("f:", key, NULL);
      collect (&member, v, cube_mut_set_object (set, name), depth + 1);
    }
  } else if (cube_view_type (value) == CUBE_VALUE_ARRAY && (place->flags & CUBE_FIELD_LIST_MAP) != 0 && place->list_keys != NULL) {
    Place element = place_of_element (place);
    for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v);) {
      g_autofree char *name = element_key (v, place->list_keys);
      CubeMut *inner = cube_mut_set_object (set, name);
      cube_mut_set_object (inner, ".");
      collect (&element, v, inner, depth + 1);
    }
  } else if (cube_view_type (value) == CUBE_VALUE_ARRAY && (place->flags & CUBE_FIELD_LIST_SET) != 0) {
    for (cube_iter_init (&it, value); cube_iter_next (&it, NULL, &v);) {
      g_autofree char *json = cube_view_to_json (v, NULL), *name = g_strconcat ("v:", json, NULL);
      cube_mut_set_object (set, name);
    }
  }
}

/* ---- the merge ---- */

static gboolean
same_element (CubeMut *have, CubeView wanted, const char *list_keys)
{
  g_auto (GStrv) keys = g_strsplit (list_keys, ",", -1);
  for (guint i = 0; keys[i] != NULL; i++)
    if (!cube_mut_equal_view (cube_mut_member (have, keys[i]), cube_view_member (wanted, keys[i])))
      return FALSE;
  return TRUE;
}

static void merge (const Place *place, CubeMut *target, CubeView applied, guint depth);

static void
merge_list (const Place *place, CubeMut *target, CubeView applied, guint depth)
{
  Place element = place_of_element (place);
  CubeIter it;
  CubeView v;
  gboolean is_set = (place->flags & CUBE_FIELD_LIST_SET) != 0;
  for (cube_iter_init (&it, applied); cube_iter_next (&it, NULL, &v);) {
    CubeMut *found = NULL;
    for (guint i = 0; i < cube_mut_length (target) && found == NULL; i++) {
      CubeMut *have = cube_mut_element (target, i);
      if (is_set ? cube_mut_equal_view (have, v) : same_element (have, v, place->list_keys))
        found = have;
    }
    if (found == NULL)
      cube_mut_append (target, cube_mut_new_view (cube_mut_builder (target), v));
    else if (!is_set)
      merge (&element, found, v, depth + 1);
  }
}

static void
merge (const Place *place, CubeMut *target, CubeView applied, guint depth)
{
  CubeValueType type = cube_view_type (applied);
  CubeBuilder *builder = cube_mut_builder (target);
  gboolean same = cube_mut_type (target) == type && depth <= MAX_DEPTH;
  gboolean keyed = (place->flags & CUBE_FIELD_LIST_SET) != 0 || ((place->flags & CUBE_FIELD_LIST_MAP) != 0 && place->list_keys != NULL);
  if (same && type == CUBE_VALUE_ARRAY && keyed) {
    merge_list (place, target, applied, depth);
  } else if (same && type == CUBE_VALUE_OBJECT && (place->flags & CUBE_FIELD_MAP_ATOMIC) == 0) {
    CubeIter it;
    const char *key;
    CubeView v;
    for (cube_iter_init (&it, applied); cube_iter_next (&it, &key, &v);) {
      Place member = place_of_member (place, key);
      CubeMut *current = cube_mut_member (target, key);
      if (current != NULL)
        merge (&member, current, v, depth + 1);
      else
        cube_mut_set (target, key, cube_mut_new_view (builder, v));
    }
  } else {
    cube_mut_become (target, cube_mut_new_view (builder, applied));
  }
}

/* ---- managedFields ---- */

static CubeMut *
find_entry (CubeMut *entries, const char *manager, const char *operation, const char *subresource)
{
  for (guint i = 0; i < cube_mut_length (entries); i++) {
    CubeMut *entry = cube_mut_element (entries, i);
    const char *own = cube_mut_string (cube_mut_member (entry, "subresource"));
    if (g_strcmp0 (cube_mut_string (cube_mut_member (entry, "manager")), manager) == 0 &&
        g_strcmp0 (cube_mut_string (cube_mut_member (entry, "operation")), operation) == 0 &&
        strcmp (own == NULL ? "" : own, subresource == NULL ? "" : subresource) == 0)
      return entry;
  }
  return cube_mut_append_object (entries);
}

static void
record (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView applied, const char *manager, const char *now)
{
  const CubeResourceType *type = cube_resource_type (resource);
  CubeMut *entries = cube_mut_ensure_array (cube_mut_ensure_object (root, "metadata"), "managedFields");
  CubeMut *entry = find_entry (entries, manager, "Apply", subresource);
  cube_mut_set_string (entry, "manager", manager);
  cube_mut_set_string (entry, "operation", "Apply");
  cube_mut_set_string (entry, "apiVersion", resource->api_version);
  cube_mut_set_string (entry, "time", now);
  cube_mut_set_string (entry, "fieldsType", "FieldsV1");
  CubeMut *set = cube_mut_set_object (entry, "fieldsV1");
  if (subresource != NULL && *subresource != '\0')
    cube_mut_set_string (entry, "subresource", subresource);
  Place place = { type->table, cube_type_shape (type->table, type->type), 0, NULL };
  collect (&place, applied, set, 0);
  static const char *const system[] = { "f:apiVersion", "f:kind" };
  for (guint i = 0; i < G_N_ELEMENTS (system); i++)
    cube_mut_remove (set, system[i]);
  CubeMut *metadata = cube_mut_member (set, "f:metadata");
  static const char *const meta_system[] = { "f:name", "f:namespace", "f:managedFields", "f:uid", "f:resourceVersion", "f:creationTimestamp" };
  for (guint i = 0; i < G_N_ELEMENTS (meta_system) && metadata != NULL; i++)
    cube_mut_remove (metadata, meta_system[i]);
  if (metadata != NULL && cube_mut_length (metadata) == 0)
    cube_mut_remove (set, "f:metadata");
}

gboolean
cube_schema_apply (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView applied, const char *manager,
                   gboolean force, const char *now, GError **error)
{
  if (cube_view_type (applied) != CUBE_VALUE_OBJECT || cube_mut_type (root) != CUBE_VALUE_OBJECT) {
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "error decoding YAML: the applied configuration of %s is no object",
                 resource->resource);
    return FALSE;
  }
  if (cube_view_exists (cube_view_get (applied, "metadata", "managedFields"))) {
    g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "metadata.managedFields must be nil");
    return FALSE;
  }
  const CubeResourceType *type = cube_resource_type (resource);
  Place place = { type->table, cube_type_shape (type->table, type->type), 0, NULL };
  merge (&place, root, applied, 0);
  record (resource, subresource, root, applied, manager, now);
  return TRUE;
}

void
cube_schema_update_managed (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView old, const char *manager,
                            const char *now)
{
  /* What others own stays theirs: a client may not write managedFields itself, except to clear them. */
  CubeMut *metadata = cube_mut_member (root, "metadata");
  CubeMut *given = cube_mut_member (metadata, "managedFields");
  if (metadata == NULL || (given != NULL && cube_mut_length (given) == 0))
    return;
  cube_mut_set_view (metadata, "managedFields", cube_view_get (old, "metadata", "managedFields"));
}
