/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* CubeObject: one API object at rest: refcounted, immutable; its JSON bytes and a header read once. Any thread. */
#include <cube/value.h>
CUBE_BEGIN_DECLS

typedef struct {
  const char *api_version, *kind, *name, *uid;
  gboolean is_controller, blocks_owner_deletion;
} CubeOwnerRef;

/* Encodes @view (an object with apiVersion, kind, metadata.name). metadata.resourceVersion in it is ignored and replaced by
 * @revision (0 = none yet): the encoding keeps room for it so that cube_object_set_revision can splice.
 * Errors: CUBE_ERROR_BAD_REQUEST. (transfer full) */
CUBE_EXPORT CubeObject *cube_object_new (CubeView view, guint64 revision, GError **error);
/* From bytes that cube_object_json () gave (storage). Anything malformed is an error, never a crash. */
CUBE_EXPORT CubeObject *cube_object_new_from_json (const char *json, gsize length, guint64 revision, GError **error);
CUBE_EXPORT CubeObject *cube_object_ref (CubeObject *object);
CUBE_EXPORT void cube_object_unref (CubeObject *object);
/* Writes the revision into the bytes. Only by the one who just made the object, before any other thread sees it. */
CUBE_EXPORT void cube_object_set_revision (CubeObject *object, guint64 revision);

CUBE_EXPORT const char *cube_object_api_version (const CubeObject *object);
CUBE_EXPORT const char *cube_object_kind (const CubeObject *object);
CUBE_EXPORT const char *cube_object_namespace (const CubeObject *object); /* "" when cluster-scoped; never NULL */
CUBE_EXPORT const char *cube_object_name (const CubeObject *object);
CUBE_EXPORT const char *cube_object_uid (const CubeObject *object); /* "" if none */
CUBE_EXPORT guint64 cube_object_revision (const CubeObject *object);
CUBE_EXPORT gint64 cube_object_generation (const CubeObject *object);
CUBE_EXPORT const char *cube_object_creation_timestamp (const CubeObject *object); /* RFC 3339 text, NULL = none */
CUBE_EXPORT const char *cube_object_deletion_timestamp (const CubeObject *object); /* NULL = not being deleted */
CUBE_EXPORT guint cube_object_n_labels (const CubeObject *object);
CUBE_EXPORT const char *cube_object_label (const CubeObject *object, const char *key); /* NULL = absent */
CUBE_EXPORT void cube_object_label_at (const CubeObject *object, guint index, const char **ret_key, const char **ret_value); /* sorted by key */
CUBE_EXPORT const CubeOwnerRef *cube_object_owners (const CubeObject *object, guint *ret_n); /* (transfer none) */
CUBE_EXPORT const CubeOwnerRef *cube_object_controller (const CubeObject *object); /* the owner with controller=true, NULL */
CUBE_EXPORT const char *const *cube_object_finalizers (const CubeObject *object); /* NULL-terminated, never NULL */
CUBE_EXPORT gboolean cube_object_has_finalizer (const CubeObject *object, const char *finalizer);
CUBE_EXPORT const char *cube_object_json (const CubeObject *object, gsize *ret_length); /* compact JSON, not NUL-terminated, borrowed */
CUBE_EXPORT GBytes *cube_object_bytes (CubeObject *object); /* the same bytes, holding a reference on the object */
CUBE_EXPORT CubeValue *cube_object_value (const CubeObject *object); /* parsed. (transfer full); cheap to call (1–3 µs), not to hold */
CUBE_EXPORT gsize cube_object_memory (const CubeObject *object);
/* "namespace/name" or "name". (transfer full) */
CUBE_EXPORT char *cube_object_key (const CubeObject *object);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeObject, cube_object_unref)
CUBE_END_DECLS
