/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Field ownership, private to core/schema: places in a type, sets of fields, and the walks between them and objects. */
#include "types.h"

#define CUBE_APPLY_MAX_DEPTH 128u

/* ---- places: what the schema says of a value met on a walk ---- */
typedef struct {
  const CubeTypeTable *table;
  const CubeType *type;   /* the object type here; NULL = none declared */
  const CubeShape *shape; /* NULL at the root and where nothing is declared */
  guint16 flags;          /* of the field */
  const char *list_keys;  /* "containerPort,protocol" */
} CubePlace;

typedef enum { CUBE_PLACE_LEAF = 0, CUBE_PLACE_MAP, CUBE_PLACE_LIST_MAP, CUBE_PLACE_LIST_SET } CubePlaceKind;

G_GNUC_INTERNAL CubePlace cube_place_root (const CubeResource *resource);
/* @ret_is_declared (nullable): the member is a declared field, not a key of a map. */
G_GNUC_INTERNAL CubePlace cube_place_member (const CubePlace *place, const char *key, gsize length, gboolean *ret_is_declared);
G_GNUC_INTERNAL CubePlace cube_place_element (const CubePlace *list);
/* How @value is owned here: as one thing, by member, by list key, by value. */
G_GNUC_INTERNAL CubePlaceKind cube_place_kind (const CubePlace *place, CubeView value);
/* A struct by value or a list that is always written: there even when nobody set it. */
G_GNUC_INTERNAL gboolean cube_place_is_always (const CubePlace *place);
/* Appends k:{"name":"x"} or v:"x" of an element of a list of @kind. */
G_GNUC_INTERNAL void cube_place_append_key (const CubePlace *list, CubePlaceKind kind, CubeView element, GString *out);
/* Key text → index + 1 of the elements. (transfer full) */
G_GNUC_INTERNAL GHashTable *cube_place_index (const CubePlace *list, CubePlaceKind kind, CubeView array);

/* ---- sets: a tree of path elements "f:name", "k:{…}", "v:…", "i:0" ---- */
typedef struct _CubeFieldSet CubeFieldSet;
struct _CubeFieldSet {
  char *name;
  gboolean is_member;
  GPtrArray *children; /* NULL = none */
  GHashTable *index;   /* name → child, once there are many */
};
G_GNUC_INTERNAL CubeFieldSet *cube_field_set_new (const char *name);
G_GNUC_INTERNAL void cube_field_set_free (CubeFieldSet *set);
G_GNUC_INTERNAL CubeFieldSet *cube_field_set_child (const CubeFieldSet *set, const char *name); /* (nullable); @set may be NULL */
G_GNUC_INTERNAL CubeFieldSet *cube_field_set_ensure (CubeFieldSet *set, const char *name);
G_GNUC_INTERNAL void cube_field_set_drop (CubeFieldSet *set, const char *name);
G_GNUC_INTERNAL CubeFieldSet *cube_field_set_from_view (CubeView fields); /* (transfer full) */
G_GNUC_INTERNAL CubeMut *cube_field_set_to_mut (const CubeFieldSet *set, CubeBuilder *builder);
G_GNUC_INTERNAL gboolean cube_field_set_is_empty (const CubeFieldSet *set); /* no member at all */
G_GNUC_INTERNAL gboolean cube_field_set_equal (const CubeFieldSet *a, const CubeFieldSet *b);
G_GNUC_INTERNAL void cube_field_set_add_all (CubeFieldSet *set, const CubeFieldSet *other);
/* Takes the members of @other from @set; with @whole, all below them too. TRUE if something went. */
G_GNUC_INTERNAL gboolean cube_field_set_subtract (CubeFieldSet *set, const CubeFieldSet *other, gboolean whole);
typedef void (*CubeFieldSetVisit) (const char *path, gpointer data); /* .spec.containers[name="x"].image */
/* Visits the members of @set that are in @other too. */
G_GNUC_INTERNAL void cube_field_set_visit_common (const CubeFieldSet *set, const CubeFieldSet *other, CubeFieldSetVisit visit, gpointer data);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeFieldSet, cube_field_set_free)

/* ---- walks ---- */
/* All fields that @object names, as an apply owns them. */
G_GNUC_INTERNAL CubeFieldSet *cube_apply_fields_of (const CubePlace *place, CubeView object);
/* What changed from @old (NONE: it is new) to @object. */
G_GNUC_INTERNAL void cube_apply_diff (const CubePlace *place, CubeView old, CubeView object, CubeFieldSet *changed, CubeFieldSet *removed);
/* The set of all fields of a new object, written at once. (transfer full) */
G_GNUC_INTERNAL CubeValue *cube_apply_fields_of_new (const CubePlace *place, CubeView object);
G_GNUC_INTERNAL void cube_apply_merge (const CubePlace *place, CubeMut *target, CubeView applied);
/* Removes from @target what @last names and @kept does not (nor anything below it). */
G_GNUC_INTERNAL void cube_apply_prune (const CubePlace *place, CubeMut *target, const CubeFieldSet *last, const CubeFieldSet *kept);
/* Fields nobody owns: names, versions, what the system sets. */
G_GNUC_INTERNAL void cube_apply_strip (const CubeResource *resource, const char *subresource, CubeFieldSet *set);
