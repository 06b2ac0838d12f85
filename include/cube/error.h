/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The API error domain. Codes are the reasons of Kubernetes' Status; one table maps them to HTTP codes.
 * An error of this domain can carry details (kind, name, causes) which become Status.details.
 * Messages: lower case, no full stop, name the object, what was found, what was wanted. */
#include <cube/types.h>
CUBE_BEGIN_DECLS

typedef enum {
  CUBE_ERROR_UNKNOWN = 0,           /* 500, reason "" */
  CUBE_ERROR_BAD_REQUEST,           /* 400 BadRequest */
  CUBE_ERROR_UNAUTHORIZED,          /* 401 Unauthorized */
  CUBE_ERROR_FORBIDDEN,             /* 403 Forbidden */
  CUBE_ERROR_NOT_FOUND,             /* 404 NotFound */
  CUBE_ERROR_METHOD_NOT_ALLOWED,    /* 405 MethodNotAllowed */
  CUBE_ERROR_NOT_ACCEPTABLE,        /* 406 NotAcceptable */
  CUBE_ERROR_ALREADY_EXISTS,        /* 409 AlreadyExists */
  CUBE_ERROR_CONFLICT,              /* 409 Conflict */
  CUBE_ERROR_GONE,                  /* 410 Gone */
  CUBE_ERROR_EXPIRED,               /* 410 Expired: resource version or continue token too old */
  CUBE_ERROR_REQUEST_TOO_LARGE,     /* 413 RequestEntityTooLarge */
  CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE,/* 415 UnsupportedMediaType */
  CUBE_ERROR_INVALID,               /* 422 Invalid: causes name the fields */
  CUBE_ERROR_TOO_MANY_REQUESTS,     /* 429 TooManyRequests */
  CUBE_ERROR_INTERNAL,              /* 500 InternalError */
  CUBE_ERROR_NOT_IMPLEMENTED,       /* 501 NotImplemented: the configured parts cannot do this */
  CUBE_ERROR_SERVICE_UNAVAILABLE,   /* 503 ServiceUnavailable */
  CUBE_ERROR_SERVER_TIMEOUT,        /* 500 ServerTimeout */
  CUBE_ERROR_TIMEOUT,               /* 504 Timeout */
  CUBE_ERROR_STORE_READ_ERROR,      /* 500 StorageReadError */
  CUBE_ERROR_NO_SPACE,              /* 507, as InternalError: the disk is full; reads go on */
  CUBE_ERROR_N
} CubeErrorCode;

#define CUBE_ERROR (cube_error_quark ())
CUBE_EXPORT GQuark cube_error_quark (void);

typedef struct {
  char *reason;  /* FieldValueInvalid, FieldValueRequired, FieldManagerConflict …; NULL = none */
  char *message; /* human text */
  char *field;   /* path, e.g. "spec.replicas"; NULL = none */
} CubeCause;

typedef struct {
  char *group, *kind; /* Status.details.group, .kind (the *resource* for most errors, as Kubernetes does); NULL = none */
  char *name, *uid;
  gint32 retry_after_s; /* 0 = none */
  GPtrArray *causes;    /* (element-type CubeCause) (nullable) */
  char *continue_token; /* Status.metadata.continue: of an expired continue token, a fresh one; NULL = none */
} CubeErrorDetails;

/* Details carried by @error; NULL if it is of another domain. (transfer none) Valid as long as @error. */
CUBE_EXPORT CubeErrorDetails *cube_error_get_details (const GError *error);
/* Sets group/kind/name on @error (of CUBE_ERROR domain; else ignored). Strings are copied, NULL leaves as is. */
CUBE_EXPORT void cube_error_set_object (GError *error, const char *group, const char *kind, const char *name);
CUBE_EXPORT void cube_error_add_cause (GError *error, const char *reason, const char *field, const char *format, ...) G_GNUC_PRINTF (4, 5);

/* Fills `NotFound`, `AlreadyExists`, `Conflict` … in Kubernetes' words with details, e.g.
 * pods "x" not found; deployments.apps "x" already exists. @resource is the plural. */
CUBE_EXPORT GError *cube_error_not_found (const char *group, const char *resource, const char *name);
CUBE_EXPORT GError *cube_error_already_exists (const char *group, const char *resource, const char *name);
/* Operation cannot be fulfilled on pods "x": @why */
CUBE_EXPORT GError *cube_error_conflict (const char *group, const char *resource, const char *name, const char *why);

CUBE_EXPORT int cube_error_http_code (const GError *error);          /* any domain: foreign → 500 */
CUBE_EXPORT const char *cube_error_reason (const GError *error);     /* "NotFound"; "InternalError" for foreign domains */
CUBE_EXPORT CubeErrorCode cube_error_code_from_reason (const char *reason, int http_code);
/* The Status object (kind Status, apiVersion v1) of an error. (transfer full) */
CUBE_EXPORT CubeValue *cube_error_to_status (const GError *error);
/* The error of a Status object as a remote server sent it. (transfer full) */
CUBE_EXPORT GError *cube_error_from_status (const CubeValue *status, int http_code);
CUBE_END_DECLS
