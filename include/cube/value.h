/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Values: immutable JSON documents packed in one arena (a tape), read through borrowed views without allocation,
 * changed through a builder that yields a new value.
 *
 * Threads: a CubeValue is immutable and may be shared by any thread. A CubeBuilder belongs to one thread at a time. */
#include <cube/types.h>
#include <gio/gio.h>
#include <json-glib/json-glib.h>
CUBE_BEGIN_DECLS

typedef enum {
  CUBE_VALUE_NONE = 0, /* no such thing: what reading a missing path gives */
  CUBE_VALUE_NULL,
  CUBE_VALUE_BOOL,
  CUBE_VALUE_INT,    /* fits gint64 */
  CUBE_VALUE_DOUBLE, /* any other number */
  CUBE_VALUE_STRING, /* valid UTF-8; may hold NUL bytes as \u0000 */
  CUBE_VALUE_ARRAY,
  CUBE_VALUE_OBJECT  /* members in document order; duplicate keys are kept, lookup finds the last */
} CubeValueType;

/* A borrowed position in a value: valid as long as somebody holds the CubeValue. Passed by value. */
typedef struct {
  const CubeValue *doc; /* NULL = none */
  guint32 at;           /* tape index, private */
} CubeView;

typedef struct {
  gsize max_bytes;  /* 0 = 3 MiB */
  guint max_depth;  /* 0 = 128 */
  guint max_nodes;  /* 0 = 1,000,000: bounds the memory a hostile document can ask for */
} CubeParseLimits;

/* ---- documents ---- */
CUBE_EXPORT CubeValue *cube_value_ref (CubeValue *value);
CUBE_EXPORT void cube_value_unref (CubeValue *value); /* NULL is fine */
CUBE_EXPORT CubeView cube_value_root (const CubeValue *value);
CUBE_EXPORT gsize cube_value_memory (const CubeValue *value); /* bytes held */

/* Parses one JSON document. @length -1 = NUL-terminated. Invalid UTF-8, depth, size, number range, trailing bytes are refused
 * with CUBE_ERROR_BAD_REQUEST and the byte offset (and line:column) in the message. Numbers: integers within gint64 are INT,
 * other finite numbers DOUBLE, beyond → refused. (transfer full) */
CUBE_EXPORT CubeValue *cube_value_from_json (const char *data, gssize length, const CubeParseLimits *limits, GError **error);
/* Parses a YAML stream, every document of it (empty ones are left out): (transfer full) (element-type CubeValue).
 * YAML 1.1 core scalars as Kubernetes reads them (yes/no/on/off are booleans, as sigs.k8s.io/yaml does), aliases and anchors with
 * aliases refused, tags other than the core ones refused, merge keys refused, duplicate keys kept. Errors name line and column. */
CUBE_EXPORT GPtrArray *cube_values_from_yaml (const char *data, gssize length, const CubeParseLimits *limits, GError **error);
CUBE_EXPORT char *cube_view_to_yaml (CubeView view, gsize *ret_length); /* block style, strings quoted where needed */
CUBE_EXPORT void cube_view_append_json (CubeView view, GString *out);   /* compact; members in document order */
CUBE_EXPORT char *cube_view_to_json (CubeView view, gsize *ret_length); /* (transfer full) NUL-terminated */
CUBE_EXPORT void cube_view_append_json_pretty (CubeView view, GString *out, guint indent);
CUBE_EXPORT void cube_json_append_string (GString *out, const char *text, gssize length); /* quoted and escaped */
CUBE_EXPORT JsonNode *cube_view_to_json_node (CubeView view);           /* (transfer full) */
CUBE_EXPORT CubeValue *cube_value_from_json_node (JsonNode *node, GError **error);
CUBE_EXPORT CubeValue *cube_value_new_copy (CubeView view); /* a document of its own; shares the arena when @view is a root */
/* Paths ("spec.template.spec.containers[0].name") of keys that occur twice in one object: (transfer full) NULL when none. */
CUBE_EXPORT char **cube_value_duplicate_keys (const CubeValue *value);

/* ---- reading; all accept a NONE view and answer the default ---- */
static inline CubeView cube_view_none (void) { CubeView v = { NULL, 0 }; return v; }
static inline gboolean cube_view_exists (CubeView v) { return v.doc != NULL; } /* null exists */
CUBE_EXPORT CubeValueType cube_view_type (CubeView view);
CUBE_EXPORT const char *cube_value_type_name (CubeValueType type); /* "string", "array", "object", "integer", "number", "boolean", "null" */
CUBE_EXPORT gboolean cube_view_bool (CubeView view, gboolean fallback);
CUBE_EXPORT gint64 cube_view_int (CubeView view, gint64 fallback); /* a DOUBLE with an exact integral value converts */
CUBE_EXPORT double cube_view_double (CubeView view, double fallback);
CUBE_EXPORT const char *cube_view_string (CubeView view);          /* NULL unless a string; NUL-terminated */
CUBE_EXPORT const char *cube_view_string_or (CubeView view, const char *fallback);
CUBE_EXPORT gsize cube_view_string_length (CubeView view);
CUBE_EXPORT guint cube_view_length (CubeView view);                /* elements or members; 0 for scalars */
CUBE_EXPORT CubeView cube_view_member (CubeView object, const char *key);
CUBE_EXPORT CubeView cube_view_element (CubeView array, guint index);
CUBE_EXPORT CubeView cube_view_path (CubeView view, const char *const *keys); /* NULL-terminated keys */
CUBE_EXPORT CubeView cube_view_dotted (CubeView view, const char *path);      /* "spec.containers[0].name"; slow, for CLI and tests */
#define cube_view_get(view, ...) cube_view_path ((view), (const char *const[]){ __VA_ARGS__, NULL })
#define cube_value_get(value, ...) cube_view_path (cube_value_root (value), (const char *const[]){ __VA_ARGS__, NULL })
#define cube_view_get_string(view, ...) cube_view_string (cube_view_get (view, __VA_ARGS__))
#define cube_view_get_int(view, fallback, ...) cube_view_int (cube_view_get (view, __VA_ARGS__), (fallback))
#define cube_view_get_bool(view, fallback, ...) cube_view_bool (cube_view_get (view, __VA_ARGS__), (fallback))
/* Semantic equality: member order does not matter, 1 == 1.0. NONE equals NONE only. */
CUBE_EXPORT gboolean cube_view_equal (CubeView a, CubeView b);
CUBE_EXPORT guint64 cube_view_hash (CubeView view, guint64 seed); /* order-independent for members; equal views hash equal */

typedef struct {
  CubeView container;
  guint32 at, end, index; /* private */
} CubeIter;
/* Iterates an object or array (anything else: nothing). In an array @ret_key is NULL.
 *   CubeIter it; const char *key; CubeView v;
 *   for (cube_iter_init (&it, obj); cube_iter_next (&it, &key, &v);) … */
CUBE_EXPORT void cube_iter_init (CubeIter *iter, CubeView container);
CUBE_EXPORT gboolean cube_iter_next (CubeIter *iter, const char **ret_key, CubeView *ret_value);

/* ---- changing ----
 * A builder holds a mutable tree in an arena. Nodes start as lazy references to views and are expanded when touched.
 * A CubeMut* is valid until its builder is freed (also after removal from the tree). Strings are copied into the arena. */
CUBE_EXPORT CubeBuilder *cube_builder_new (void);                /* root: an empty object */
CUBE_EXPORT CubeBuilder *cube_builder_new_from (CubeView base);  /* keeps a reference on base's document; NONE = empty object */
CUBE_EXPORT void cube_builder_free (CubeBuilder *builder);
CUBE_EXPORT CubeMut *cube_builder_root (CubeBuilder *builder);
CUBE_EXPORT void cube_builder_set_root (CubeBuilder *builder, CubeMut *root);
CUBE_EXPORT CubeValue *cube_builder_end (CubeBuilder *builder);  /* packs the tree; the builder stays usable. (transfer full) */
CUBE_EXPORT CubeValue *cube_mut_to_value (const CubeMut *node);  /* packs a subtree. (transfer full) */
/* Packs a subtree and puts the packed form in its place: reading it again, or packing what contains it, then costs no walk.
 * Nodes got from below @node before are no longer part of the tree. The view lives as long as the builder; NONE when too large. */
CUBE_EXPORT CubeView cube_mut_pack (CubeMut *node);
CUBE_EXPORT void cube_mut_append_json (const CubeMut *node, GString *out);
CUBE_EXPORT CubeBuilder *cube_mut_builder (const CubeMut *node);

CUBE_EXPORT CubeMut *cube_mut_new_object (CubeBuilder *builder);
CUBE_EXPORT CubeMut *cube_mut_new_array (CubeBuilder *builder);
CUBE_EXPORT CubeMut *cube_mut_new_string (CubeBuilder *builder, const char *text, gssize length);
CUBE_EXPORT CubeMut *cube_mut_new_int (CubeBuilder *builder, gint64 number);
CUBE_EXPORT CubeMut *cube_mut_new_double (CubeBuilder *builder, double number);
CUBE_EXPORT CubeMut *cube_mut_new_bool (CubeBuilder *builder, gboolean truth);
CUBE_EXPORT CubeMut *cube_mut_new_null (CubeBuilder *builder);
CUBE_EXPORT CubeMut *cube_mut_new_view (CubeBuilder *builder, CubeView view); /* lazy copy; keeps a reference on its document */
CUBE_EXPORT CubeMut *cube_mut_new_copy (CubeBuilder *builder, const CubeMut *node); /* deep copy, also across builders */

CUBE_EXPORT CubeValueType cube_mut_type (const CubeMut *node); /* NULL → NONE */
CUBE_EXPORT const char *cube_mut_string (const CubeMut *node);
CUBE_EXPORT gint64 cube_mut_int (const CubeMut *node, gint64 fallback);
CUBE_EXPORT double cube_mut_double (const CubeMut *node, double fallback);
CUBE_EXPORT gboolean cube_mut_bool (const CubeMut *node, gboolean fallback);
CUBE_EXPORT guint cube_mut_length (const CubeMut *node);
CUBE_EXPORT CubeMut *cube_mut_member (CubeMut *object, const char *key);      /* NULL if absent or not an object; object may be NULL */
CUBE_EXPORT CubeMut *cube_mut_element (CubeMut *array, guint index);
CUBE_EXPORT CubeMut *cube_mut_member_at (CubeMut *object, guint index, const char **ret_key);
CUBE_EXPORT CubeMut *cube_mut_path (CubeMut *node, const char *const *keys);
CUBE_EXPORT CubeMut *cube_mut_ensure_path (CubeMut *node, const char *const *keys); /* makes objects on the way; replaces non-objects */
#define cube_mut_get(node, ...) cube_mut_path ((node), (const char *const[]){ __VA_ARGS__, NULL })
#define cube_mut_ensure(node, ...) cube_mut_ensure_path ((node), (const char *const[]){ __VA_ARGS__, NULL })

/* Sets or replaces a member (keeping its place); appends a new one. @child must be of the same builder and in no other place. */
CUBE_EXPORT void cube_mut_set (CubeMut *object, const char *key, CubeMut *child);
CUBE_EXPORT void cube_mut_set_string (CubeMut *object, const char *key, const char *text); /* NULL text removes */
CUBE_EXPORT void cube_mut_set_int (CubeMut *object, const char *key, gint64 number);
CUBE_EXPORT void cube_mut_set_double (CubeMut *object, const char *key, double number);
CUBE_EXPORT void cube_mut_set_bool (CubeMut *object, const char *key, gboolean truth);
CUBE_EXPORT void cube_mut_set_null (CubeMut *object, const char *key);
CUBE_EXPORT void cube_mut_set_view (CubeMut *object, const char *key, CubeView view); /* NONE removes */
CUBE_EXPORT CubeMut *cube_mut_set_object (CubeMut *object, const char *key); /* an empty object, returned */
CUBE_EXPORT CubeMut *cube_mut_set_array (CubeMut *object, const char *key);
CUBE_EXPORT CubeMut *cube_mut_ensure_object (CubeMut *object, const char *key); /* the existing object member or a new one */
CUBE_EXPORT CubeMut *cube_mut_ensure_array (CubeMut *object, const char *key);
CUBE_EXPORT gboolean cube_mut_remove (CubeMut *object, const char *key); /* all members of that key; TRUE if there was one */
CUBE_EXPORT void cube_mut_append (CubeMut *array, CubeMut *child);
CUBE_EXPORT void cube_mut_append_string (CubeMut *array, const char *text);
CUBE_EXPORT CubeMut *cube_mut_append_object (CubeMut *array);
CUBE_EXPORT void cube_mut_insert (CubeMut *array, guint index, CubeMut *child);
CUBE_EXPORT void cube_mut_replace_element (CubeMut *array, guint index, CubeMut *child);
CUBE_EXPORT gboolean cube_mut_remove_element (CubeMut *array, guint index);
CUBE_EXPORT void cube_mut_become (CubeMut *node, CubeMut *other); /* node takes over other's content */
CUBE_EXPORT gboolean cube_mut_equal_view (const CubeMut *node, CubeView view);
CUBE_EXPORT gboolean cube_mut_equal (const CubeMut *a, const CubeMut *b);

/* ---- patches without a schema ---- */
/* RFC 7386 onto @target, in place. */
CUBE_EXPORT void cube_patch_merge (CubeMut *target, CubeView patch);
/* RFC 6902; in place; FALSE leaves @builder in an undefined state (free it). @max_operations 0 = 10,000; a growing result is bounded
 * by @max_bytes (0 = 6 MiB). Errors: CUBE_ERROR_INVALID for a failing operation, CUBE_ERROR_BAD_REQUEST for a malformed one. */
CUBE_EXPORT gboolean cube_patch_json (CubeBuilder *builder, CubeView patch, guint max_operations, gsize max_bytes, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeValue, cube_value_unref)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeBuilder, cube_builder_free)
CUBE_END_DECLS
