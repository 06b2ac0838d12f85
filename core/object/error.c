/* SPDX-License-Identifier: Apache-2.0 */
#include <cube/error.h>
#include <cube/value.h>
#include <stdarg.h>
#include <string.h>

typedef CubeErrorDetails CubeErrorPrivate;

static void
cause_free (gpointer data)
{
  CubeCause *cause = data;
  g_free (cause->reason);
  g_free (cause->message);
  g_free (cause->field);
  g_free (cause);
}

static CubeCause *
cause_new (const char *reason, const char *message, const char *field)
{
  CubeCause *cause = g_new0 (CubeCause, 1);
  cause->reason = g_strdup (reason);
  cause->message = g_strdup (message);
  cause->field = g_strdup (field);
  return cause;
}

static void
cube_error_private_init (CubeErrorPrivate *details)
{
}

static void
cube_error_private_copy (const CubeErrorPrivate *from, CubeErrorPrivate *to)
{
  to->group = g_strdup (from->group);
  to->kind = g_strdup (from->kind);
  to->name = g_strdup (from->name);
  to->uid = g_strdup (from->uid);
  to->retry_after_s = from->retry_after_s;
  to->continue_token = g_strdup (from->continue_token);
  if (from->causes == NULL)
    return;
  to->causes = g_ptr_array_new_full (from->causes->len, cause_free);
  for (guint i = 0; i < from->causes->len; i++)
    {
      const CubeCause *cause = from->causes->pdata[i];
      g_ptr_array_add (to->causes, cause_new (cause->reason, cause->message, cause->field));
    }
}

static void
cube_error_private_clear (CubeErrorPrivate *details)
{
  g_clear_pointer (&details->group, g_free);
  g_clear_pointer (&details->kind, g_free);
  g_clear_pointer (&details->name, g_free);
  g_clear_pointer (&details->uid, g_free);
  g_clear_pointer (&details->continue_token, g_free);
  g_clear_pointer (&details->causes, g_ptr_array_unref);
}

G_DEFINE_EXTENDED_ERROR (CubeError, cube_error)

static const struct {
  const char *reason;
  int http_code;
} table[CUBE_ERROR_N] = {
  [CUBE_ERROR_UNKNOWN] = { "", 500 },
  [CUBE_ERROR_BAD_REQUEST] = { "BadRequest", 400 },
  [CUBE_ERROR_UNAUTHORIZED] = { "Unauthorized", 401 },
  [CUBE_ERROR_FORBIDDEN] = { "Forbidden", 403 },
  [CUBE_ERROR_NOT_FOUND] = { "NotFound", 404 },
  [CUBE_ERROR_METHOD_NOT_ALLOWED] = { "MethodNotAllowed", 405 },
  [CUBE_ERROR_NOT_ACCEPTABLE] = { "NotAcceptable", 406 },
  [CUBE_ERROR_ALREADY_EXISTS] = { "AlreadyExists", 409 },
  [CUBE_ERROR_CONFLICT] = { "Conflict", 409 },
  [CUBE_ERROR_GONE] = { "Gone", 410 },
  [CUBE_ERROR_EXPIRED] = { "Expired", 410 },
  [CUBE_ERROR_REQUEST_TOO_LARGE] = { "RequestEntityTooLarge", 413 },
  [CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE] = { "UnsupportedMediaType", 415 },
  [CUBE_ERROR_INVALID] = { "Invalid", 422 },
  [CUBE_ERROR_TOO_MANY_REQUESTS] = { "TooManyRequests", 429 },
  [CUBE_ERROR_INTERNAL] = { "InternalError", 500 },
  [CUBE_ERROR_NOT_IMPLEMENTED] = { "NotImplemented", 501 },
  [CUBE_ERROR_SERVICE_UNAVAILABLE] = { "ServiceUnavailable", 503 },
  [CUBE_ERROR_SERVER_TIMEOUT] = { "ServerTimeout", 500 },
  [CUBE_ERROR_TIMEOUT] = { "Timeout", 504 },
  [CUBE_ERROR_STORE_READ_ERROR] = { "StorageReadError", 500 },
  [CUBE_ERROR_NO_SPACE] = { "InternalError", 507 }, /* Kubernetes has no reason of its own for it */
};

CubeErrorDetails *
cube_error_get_details (const GError *error)
{
  return error != NULL && error->domain == CUBE_ERROR ? cube_error_get_private (error) : NULL;
}

static void
set_text (char **place, const char *text)
{
  if (text != NULL)
    {
      g_free (*place);
      *place = g_strdup (text);
    }
}

void
cube_error_set_object (GError *error, const char *group, const char *kind, const char *name)
{
  CubeErrorDetails *details = cube_error_get_details (error);
  if (details == NULL)
    return;
  set_text (&details->group, group);
  set_text (&details->kind, kind);
  set_text (&details->name, name);
}

static void
add_cause (CubeErrorDetails *details, CubeCause *cause)
{
  if (details->causes == NULL)
    details->causes = g_ptr_array_new_with_free_func (cause_free);
  g_ptr_array_add (details->causes, cause);
}

void
cube_error_add_cause (GError *error, const char *reason, const char *field, const char *format, ...)
{
  CubeErrorDetails *details = cube_error_get_details (error);
  va_list args;
  if (details == NULL)
    return;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  add_cause (details, cause_new (reason, message, field));
}

static char *
qualified_resource (const char *group, const char *resource)
{
  return group == NULL || *group == '\0' ? g_strdup (resource) : g_strdup_printf ("%s.%s", resource, group);
}

GError *
cube_error_not_found (const char *group, const char *resource, const char *name)
{
  g_autofree char *full = qualified_resource (group, resource);
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_NOT_FOUND, "%s \"%s\" not found", full, name);
  cube_error_set_object (error, group, resource, name);
  return error;
}

GError *
cube_error_already_exists (const char *group, const char *resource, const char *name)
{
  g_autofree char *full = qualified_resource (group, resource);
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS, "%s \"%s\" already exists", full, name);
  cube_error_set_object (error, group, resource, name);
  return error;
}

GError *
cube_error_conflict (const char *group, const char *resource, const char *name, const char *why)
{
  g_autofree char *full = qualified_resource (group, resource);
  GError *error =
      g_error_new (CUBE_ERROR, CUBE_ERROR_CONFLICT, "Operation cannot be fulfilled on %s \"%s\": %s", full, name, why != NULL ? why : "");
  cube_error_set_object (error, group, resource, name);
  return error;
}

static gboolean
is_ours (const GError *error)
{
  return error != NULL && error->domain == CUBE_ERROR && error->code >= 0 && error->code < CUBE_ERROR_N;
}

int
cube_error_http_code (const GError *error)
{
  return is_ours (error) ? table[error->code].http_code : 500;
}

const char *
cube_error_reason (const GError *error)
{
  return is_ours (error) ? table[error->code].reason : table[CUBE_ERROR_INTERNAL].reason;
}

CubeErrorCode
cube_error_code_from_reason (const char *reason, int http_code)
{
  CubeErrorCode found = CUBE_ERROR_UNKNOWN;
  for (guint code = CUBE_ERROR_N - 1; reason != NULL && *reason != '\0' && code > 0; code--)
    if (g_str_equal (table[code].reason, reason) && (found == CUBE_ERROR_UNKNOWN || table[found].http_code != http_code))
      found = (CubeErrorCode) code;
  if (found != CUBE_ERROR_UNKNOWN)
    return found;
  if (http_code == 500)
    return CUBE_ERROR_INTERNAL;
  if (http_code == 409)
    return CUBE_ERROR_CONFLICT;
  for (guint code = 1; code < CUBE_ERROR_N; code++)
    if (table[code].http_code == http_code)
      return (CubeErrorCode) code;
  return http_code >= 400 && http_code < 500 ? CUBE_ERROR_BAD_REQUEST : CUBE_ERROR_UNKNOWN;
}

/* ---- Status objects ---- */

static void
set_unless_empty (CubeMut *object, const char *key, const char *text)
{
  if (text != NULL && *text != '\0')
    cube_mut_set_string (object, key, text);
}

static void
write_details (CubeMut *status, const CubeErrorDetails *from)
{
  guint n_causes = from->causes != NULL ? from->causes->len : 0;
  if (from->name == NULL && from->group == NULL && from->kind == NULL && from->uid == NULL && from->retry_after_s == 0 && n_causes == 0)
    return;
  CubeMut *details = cube_mut_set_object (status, "details");
  set_unless_empty (details, "name", from->name);
  set_unless_empty (details, "group", from->group);
  set_unless_empty (details, "kind", from->kind);
  set_unless_empty (details, "uid", from->uid);
  if (n_causes > 0)
    {
      CubeMut *causes = cube_mut_set_array (details, "causes");
      for (guint i = 0; i < n_causes; i++)
        {
          const CubeCause *cause = from->causes->pdata[i];
          CubeMut *entry = cube_mut_append_object (causes);
          set_unless_empty (entry, "reason", cause->reason);
          set_unless_empty (entry, "message", cause->message);
          set_unless_empty (entry, "field", cause->field);
        }
    }
  if (from->retry_after_s > 0)
    cube_mut_set_int (details, "retryAfterSeconds", from->retry_after_s);
}

CubeValue *
cube_error_to_status (const GError *error)
{
  g_return_val_if_fail (error != NULL, NULL);
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *status = cube_builder_root (builder);
  const CubeErrorDetails *details = cube_error_get_details (error);
  cube_mut_set_string (status, "kind", "Status");
  cube_mut_set_string (status, "apiVersion", "v1");
  set_unless_empty (cube_mut_set_object (status, "metadata"), "continue", details != NULL ? details->continue_token : NULL);
  cube_mut_set_string (status, "status", "Failure");
  set_unless_empty (status, "message", error->message);
  set_unless_empty (status, "reason", cube_error_reason (error));
  if (details != NULL)
    write_details (status, details);
  cube_mut_set_int (status, "code", cube_error_http_code (error));
  return cube_builder_end (builder);
}

GError *
cube_error_from_status (const CubeValue *status, int http_code)
{
  CubeView view = status != NULL ? cube_value_root (status) : cube_view_none ();
  CubeView from = cube_view_member (view, "details"), causes = cube_view_member (from, "causes"), entry;
  int code = (int) CLAMP (cube_view_get_int (view, http_code, "code"), 0, 999);
  const char *message = cube_view_get_string (view, "message");
  GError *error = g_error_new (CUBE_ERROR, (int) cube_error_code_from_reason (cube_view_get_string (view, "reason"), code), "%s",
                               message != NULL ? message : "the server answered without a message");
  CubeErrorDetails *details = cube_error_get_details (error);
  cube_error_set_object (error, cube_view_get_string (from, "group"), cube_view_get_string (from, "kind"),
                         cube_view_get_string (from, "name"));
  set_text (&details->uid, cube_view_get_string (from, "uid"));
  set_text (&details->continue_token, cube_view_get_string (view, "metadata", "continue"));
  details->retry_after_s = (gint32) CLAMP (cube_view_get_int (from, 0, "retryAfterSeconds"), 0, G_MAXINT32);
  CubeIter iter;
  for (cube_iter_init (&iter, causes); cube_iter_next (&iter, NULL, &entry);)
    add_cause (details, cause_new (cube_view_get_string (entry, "reason"), cube_view_get_string (entry, "message"),
                                   cube_view_get_string (entry, "field")));
  return error;
}
