/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: what the request pipeline (core/client) asks of the schema. All pure: no clock, no store, any thread. */
#include <cube/schema.h>

/* ---- field errors ---- */
typedef struct _CubeFieldErrors CubeFieldErrors;
CubeFieldErrors *cube_field_errors_new (void);
void cube_field_errors_free (CubeFieldErrors *errors);
guint cube_field_errors_count (const CubeFieldErrors *errors);
/* @type: "Required", "Invalid", "NotSupported", "Forbidden", "Duplicate", "TooLong", "TooMany", "NotFound", "InternalError", "TypeInvalid";
 * @value NONE = none to show. The text follows Kubernetes' field.Error. */
void cube_field_errors_add (CubeFieldErrors *errors, const char *type, const char *field, CubeView value, const char *format, ...) G_GNUC_PRINTF (5, 6);
/* Kubernetes' aggregate: `Deployment.apps "x" is invalid: spec.a: …` / `[…, …]`, with causes. (transfer full); NULL if there are none */
GError *cube_field_errors_to_error (const CubeFieldErrors *errors, const char *group, const char *kind, const char *name);

/* ---- decoding ---- */
typedef enum { CUBE_STRICT_IGNORE = 0, CUBE_STRICT_WARN, CUBE_STRICT_STRICT } CubeStrictness; /* fieldValidation= */
/* In place: checks kinds of values against the schema, prunes unknown fields (lists `unknown field "spec.x"` into @warnings in WARN,
 * error in STRICT), drops nulls as Kubernetes does, canonicalises quantities. @duplicates: from cube_value_duplicate_keys.
 * Errors: CUBE_ERROR_BAD_REQUEST with Kubernetes' decode texts. */
gboolean cube_schema_decode (const CubeResource *resource, const char *subresource, CubeMut *root, CubeStrictness strictness,
                             char **duplicates, GPtrArray *warnings, GError **error);
void cube_schema_set_defaults (const CubeResource *resource, CubeMut *root);

/* ---- strategies ---- */
/* Create: resets what a client may not set (status, generation = 1 where the kind has generations …). metadata itself (uid, timestamps,
 * names) is the pipeline's. */
void cube_schema_prepare_create (const CubeResource *resource, CubeMut *root);
/* Update of @subresource ("" = the object itself, "status", …): restores from @old what this door may not change, and raises
 * metadata.generation when the spec changed. */
void cube_schema_prepare_update (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView old);
/* Create: metadata included. Update: without metadata, for which the two functions below are. */
void cube_schema_validate_create (const CubeResource *resource, CubeView object, CubeFieldErrors *errors);
void cube_schema_validate_update (const CubeResource *resource, const char *subresource, CubeView object, CubeView old, CubeFieldErrors *errors);
/* Kubernetes' warnings (headers) for an object: deprecated fields, duplicate env … appended to @warnings (element-type utf8). */
void cube_schema_warnings (const CubeResource *resource, CubeView object, CubeView old, GPtrArray *warnings);
/* ObjectMeta rules shared by all kinds. */
void cube_schema_validate_metadata (const CubeResource *resource, CubeView metadata, CubeFieldErrors *errors);
void cube_schema_validate_metadata_update (CubeView metadata, CubeView old, CubeFieldErrors *errors);

/* ---- patches ---- */
/* Strategic merge patch in place onto @root ($patch, $setElementOrder, $deleteFromPrimitiveList, $retainKeys). Custom kinds: CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE. */
gboolean cube_schema_patch_strategic (const CubeResource *resource, CubeMut *root, CubeView patch, GError **error);

/* ---- field ownership (managedFields) ---- */
/* Server-side apply of @applied by @manager onto @root (the live object; an empty object when it does not exist). Conflicts → CUBE_ERROR_CONFLICT
 * with FieldManagerConflict causes unless @force. Updates metadata.managedFields. @now: RFC 3339. */
gboolean cube_schema_apply (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView applied,
                            const char *manager, gboolean force, const char *now, GError **error);
/* Other writes: gives @manager (operation Update) what @root changed against @old (NONE on create). */
void cube_schema_update_managed (const CubeResource *resource, const char *subresource, CubeMut *root, CubeView old,
                                 const char *manager, const char *now);

/* ---- doors ---- */
/* A PUT of an absent name creates it (Lease, Service, Role …); an update without resourceVersion is accepted. */
gboolean cube_schema_allows_create_on_update (const CubeResource *resource);
gboolean cube_schema_allows_unconditional_update (const CubeResource *resource);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CubeFieldErrors, cube_field_errors_free)
/* Decodes a body that is no resource, by its type name: "meta/v1.DeleteOptions", "policy/v1.Eviction", "autoscaling/v1.Scale". */
gboolean cube_schema_decode_kind (const char *type_name, CubeMut *root, CubeStrictness strictness, char **duplicates, GPtrArray *warnings,
                                  GError **error);

/* ---- scale ---- */
/* The autoscaling/v1 Scale of an object that has the subresource. (transfer full) */
CubeValue *cube_schema_scale_of (const CubeResource *resource, CubeView object);
/* Writes spec.replicas (and a given resourceVersion) of @scale to the object @root. Errors: CUBE_ERROR_INVALID. */
gboolean cube_schema_set_scale (const CubeResource *resource, CubeMut *root, CubeView scale, GError **error);
