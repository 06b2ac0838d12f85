/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"
#include "url.h"
#include <errno.h>
#include <string.h>

#define MAX_PARAMETERS 1000

gboolean
http_query_parse (const char *text, HttpQuery *ret_query, GError **error)
{
  ret_query->pairs = NULL;
  if (text == NULL || *text == '\0')
    return TRUE;
  g_autoptr (GPtrArray) pairs = g_ptr_array_new_with_free_func (g_free);
  for (const char *at = text; *at != '\0';)
    {
      gsize length = strcspn (at, "&");
      if (length > 0)
        {
          const char *equals = memchr (at, '=', length);
          gsize key_length = equals != NULL ? (gsize) (equals - at) : length;
          char *key = http_query_unescape (at, key_length, error);
          if (key == NULL)
            return FALSE;
          g_ptr_array_add (pairs, key);
          char *value = equals != NULL ? http_query_unescape (equals + 1, length - key_length - 1, error) : g_strdup ("");
          if (value == NULL)
            return FALSE;
          g_ptr_array_add (pairs, value);
          if (pairs->len > 2 * MAX_PARAMETERS)
            {
              g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "more than %d query parameters", MAX_PARAMETERS);
              return FALSE;
            }
        }
      at += length + (at[length] == '&');
    }
  ret_query->pairs = g_steal_pointer (&pairs);
  return TRUE;
}

void
http_query_clear (HttpQuery *query)
{
  g_clear_pointer (&query->pairs, g_ptr_array_unref);
}

const char *
http_query_get (const HttpQuery *query, const char *key)
{
  for (guint i = 0; query->pairs != NULL && i + 1 < query->pairs->len; i += 2)
    if (strcmp (query->pairs->pdata[i], key) == 0)
      return query->pairs->pdata[i + 1];
  return NULL;
}

char **
http_query_get_all (const HttpQuery *query, const char *key)
{
  g_autoptr (GPtrArray) values = g_ptr_array_new ();
  for (guint i = 0; query->pairs != NULL && i + 1 < query->pairs->len; i += 2)
    if (strcmp (query->pairs->pdata[i], key) == 0)
      g_ptr_array_add (values, g_strdup (query->pairs->pdata[i + 1]));
  g_ptr_array_add (values, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&values), FALSE);
}

gboolean
http_query_bool (const HttpQuery *query, const char *key)
{
  const char *value = http_query_get (query, key);
  return value != NULL && strcmp (value, "0") != 0 && g_ascii_strcasecmp (value, "false") != 0;
}

gboolean
http_query_int (const HttpQuery *query, const char *key, gint64 fallback, gint64 *ret_value, GError **error)
{
  const char *text = http_query_get (query, key);
  *ret_value = fallback;
  if (text == NULL || *text == '\0')
    return TRUE;
  char *end;
  errno = 0;
  gint64 value = g_ascii_strtoll (text, &end, 10);
  if (errno == ERANGE || *end != '\0' || end == text || g_ascii_isspace (text[0]))
    {
      g_autofree char *shown = g_strescape (text, NULL);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "strconv.ParseInt: parsing \"%s\": %s", shown,
                   errno == ERANGE ? "value out of range" : "invalid syntax");
      return FALSE;
    }
  *ret_value = value;
  return TRUE;
}

static const char *
options_kind (CubeVerb verb)
{
  switch (verb)
    {
    case CUBE_VERB_CREATE: return "CreateOptions";
    case CUBE_VERB_UPDATE: return "UpdateOptions";
    case CUBE_VERB_PATCH: return "PatchOptions";
    case CUBE_VERB_DELETE:
    case CUBE_VERB_DELETE_COLLECTION: return "DeleteOptions";
    default: return "ListOptions";
    }
}

/* <Kind>.meta.k8s.io "" is invalid: <field>: <body> */
static gboolean
invalid_option (CubeVerb verb, const char *reason, const char *field, const char *body, GError **error)
{
  const char *kind = options_kind (verb);
  GError *invalid = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "%s.meta.k8s.io \"\" is invalid: %s: %s", kind, field, body);
  cube_error_set_object (invalid, "meta.k8s.io", kind, NULL);
  cube_error_add_cause (invalid, reason, field, "%s", body);
  g_propagate_error (error, invalid);
  return FALSE;
}

static char *
go_quote (const char *text)
{
  g_autofree char *escaped = g_strescape (text, NULL);
  return g_strdup_printf ("\"%s\"", escaped);
}

static gboolean
check_field_manager (const CubeRequest *request, const char *manager, GError **error)
{
  if (manager == NULL || *manager == '\0')
    {
      if (request->verb == CUBE_VERB_PATCH && request->patch_type == CUBE_PATCH_APPLY)
        return invalid_option (request->verb, "FieldValueRequired", "fieldManager", "Required value: is required for apply patch", error);
      return TRUE;
    }
  if (strlen (manager) > HTTP_MAX_FIELD_MANAGER)
    return invalid_option (request->verb, "FieldValueTooLong", "fieldManager", "Too long: may not be more than 128 bytes", error);
  for (const char *p = manager; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      if (g_unichar_isprint (c))
        continue;
      g_autofree char *quoted = go_quote (manager);
      g_autofree char *body =
          g_strdup_printf ("Invalid value: %s: invalid character U+%04X (at position %d)", quoted, c, (int) (p - manager));
      return invalid_option (request->verb, "FieldValueInvalid", "fieldManager", body, error);
    }
  return TRUE;
}

char *
http_manager_of (const char *user_agent)
{
  g_autofree char *valid = g_utf8_make_valid (user_agent != NULL ? user_agent : "", -1);
  GString *out = g_string_new (NULL);
  for (const char *p = valid; *p != '\0' && *p != '/'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);
      gsize length = (gsize) (g_utf8_next_char (p) - p);
      if (!g_unichar_isprint (c))
        continue;
      if (out->len + length > HTTP_MAX_FIELD_MANAGER)
        break;
      g_string_append_len (out, p, (gssize) length);
    }
  if (out->len == 0)
    g_string_append (out, "unknown");
  return g_string_free (out, FALSE);
}

static gboolean
apply_write_options (const HttpQuery *query, CubeRequest *request, GError **error)
{
  g_auto (GStrv) dry_run = http_query_get_all (query, "dryRun");
  for (guint i = 0; dry_run[i] != NULL; i++)
    {
      if (strcmp (dry_run[i], "All") != 0)
        {
          g_autofree char *quoted = go_quote (dry_run[i]);
          g_autofree char *body = g_strdup_printf ("Unsupported value: [%s]: supported values: \"All\"", quoted);
          return invalid_option (request->verb, "FieldValueNotSupported", "dryRun", body, error);
        }
      request->is_dry_run = TRUE;
    }
  const char *validation = http_query_get (query, "fieldValidation");
  if (validation == NULL || *validation == '\0')
    request->field_validation = CUBE_VALIDATION_DEFAULT;
  else if (strcmp (validation, "Ignore") == 0)
    request->field_validation = CUBE_VALIDATION_IGNORE;
  else if (strcmp (validation, "Warn") == 0)
    request->field_validation = CUBE_VALIDATION_WARN;
  else if (strcmp (validation, "Strict") == 0)
    request->field_validation = CUBE_VALIDATION_STRICT;
  else if (request->verb != CUBE_VERB_DELETE && request->verb != CUBE_VERB_DELETE_COLLECTION)
    {
      g_autofree char *quoted = go_quote (validation);
      g_autofree char *body = g_strdup_printf ("Unsupported value: %s: supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"", quoted);
      return invalid_option (request->verb, "FieldValueNotSupported", "fieldValidation", body, error);
    }
  request->field_manager = http_query_get (query, "fieldManager");
  if (!check_field_manager (request, request->field_manager, error))
    return FALSE;
  request->force = http_query_bool (query, "force");
  if (http_query_get (query, "force") != NULL && request->verb == CUBE_VERB_PATCH && request->patch_type != CUBE_PATCH_APPLY)
    return invalid_option (request->verb, "FieldValueForbidden", "force", "Forbidden: may not be specified for non-apply patch", error);
  return TRUE;
}

static gboolean
apply_delete_options (const HttpQuery *query, CubeRequest *request, GError **error)
{
  const char *policy = http_query_get (query, "propagationPolicy");
  const char *orphan = http_query_get (query, "orphanDependents");
  if (policy != NULL && orphan != NULL)
    {
      g_autofree char *quoted = go_quote (policy);
      g_autofree char *body = g_strdup_printf ("Invalid value: %s: orphanDependents and deletionPropagation cannot be both set", quoted);
      return invalid_option (request->verb, "FieldValueInvalid", "propagationPolicy", body, error);
    }
  if (orphan != NULL)
    request->propagation = http_query_bool (query, "orphanDependents") ? CUBE_PROPAGATION_ORPHAN : CUBE_PROPAGATION_BACKGROUND;
  if (policy != NULL && strcmp (policy, "Orphan") == 0)
    request->propagation = CUBE_PROPAGATION_ORPHAN;
  else if (policy != NULL && strcmp (policy, "Background") == 0)
    request->propagation = CUBE_PROPAGATION_BACKGROUND;
  else if (policy != NULL && strcmp (policy, "Foreground") == 0)
    request->propagation = CUBE_PROPAGATION_FOREGROUND;
  else if (policy != NULL && *policy != '\0')
    {
      g_autofree char *quoted = go_quote (policy);
      g_autofree char *body =
          g_strdup_printf ("Unsupported value: %s: supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"", quoted);
      return invalid_option (request->verb, "FieldValueNotSupported", "propagationPolicy", body, error);
    }
  return http_query_int (query, "gracePeriodSeconds", -1, &request->grace_seconds, error);
}

static gboolean
check_revision_match (const HttpQuery *query, CubeRequest *request, GError **error)
{
  const char *match = http_query_get (query, "resourceVersionMatch");
  gboolean is_watch = request->verb == CUBE_VERB_WATCH;
  gboolean has_initial = http_query_get (query, "sendInitialEvents") != NULL;
  if (has_initial && !is_watch)
    return invalid_option (request->verb, "FieldValueForbidden", "sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list",
                           error);
  if (has_initial && g_strcmp0 (match, "NotOlderThan") != 0)
    return invalid_option (request->verb, "FieldValueForbidden", "resourceVersionMatch",
                           "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan", error);
  if (match == NULL || *match == '\0')
    return TRUE;
  if (is_watch && !has_initial)
    return invalid_option (request->verb, "FieldValueForbidden", "resourceVersionMatch",
                           "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided", error);
  if (request->continue_token != NULL)
    return invalid_option (request->verb, "FieldValueForbidden", "resourceVersionMatch",
                           "Forbidden: resourceVersionMatch is forbidden when continue is provided", error);
  if (!is_watch && request->resource_version == NULL)
    return invalid_option (request->verb, "FieldValueForbidden", "resourceVersionMatch",
                           "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided", error);
  if (strcmp (match, "Exact") == 0)
    request->revision_match = CUBE_MATCH_EXACT;
  else if (strcmp (match, "NotOlderThan") == 0)
    request->revision_match = CUBE_MATCH_NOT_OLDER_THAN;
  else
    {
      g_autofree char *quoted = go_quote (match);
      g_autofree char *body = g_strdup_printf ("Unsupported value: %s: supported values: \"Exact\", \"NotOlderThan\", \"\"", quoted);
      return invalid_option (request->verb, "FieldValueNotSupported", "resourceVersionMatch", body, error);
    }
  if (request->revision_match == CUBE_MATCH_EXACT && g_strcmp0 (request->resource_version, "0") == 0)
    return invalid_option (request->verb, "FieldValueForbidden", "resourceVersionMatch",
                           "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"", error);
  return TRUE;
}

static const char *
non_empty (const char *text)
{
  return text != NULL && *text != '\0' ? text : NULL;
}

static gboolean
check_revision (const char *revision, GError **error)
{
  for (const char *p = revision != NULL ? revision : ""; *p != '\0'; p++)
    if (!g_ascii_isdigit (*p))
      {
        g_autofree char *shown = g_strescape (revision, NULL);
        g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                     "invalid resource version: strconv.ParseUint: parsing \"%s\": invalid syntax", shown);
        return FALSE;
      }
  return TRUE;
}

static gboolean
apply_list_options (const HttpQuery *query, CubeRequest *request, GError **error)
{
  gint64 number;
  request->resource_version = non_empty (http_query_get (query, "resourceVersion"));
  request->continue_token = g_strdup (non_empty (http_query_get (query, "continue")));
  request->allow_bookmarks = http_query_bool (query, "allowWatchBookmarks");
  request->send_initial_events = http_query_bool (query, "sendInitialEvents");
  if (http_query_bool (query, "export"))
    {
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                           "the export parameter, deprecated since v1.14, is no longer supported");
      return FALSE;
    }
  if (!check_revision (request->resource_version, error) || !http_query_int (query, "limit", 0, &number, error))
    return FALSE;
  request->limit = (guint) CLAMP (number, 0, G_MAXINT32);
  if (!http_query_int (query, "timeoutSeconds", 0, &number, error))
    return FALSE;
  request->timeout_us = CLAMP (number, 0, 24 * 3600) * G_USEC_PER_SEC;
  if (!check_revision_match (query, request, error))
    return FALSE;
  const char *labels = non_empty (http_query_get (query, "labelSelector"));
  if (labels != NULL && (request->labels = cube_selector_parse_labels (labels, error)) == NULL)
    return FALSE;
  const char *fields = non_empty (http_query_get (query, "fieldSelector"));
  if (fields != NULL && (request->fields = cube_selector_parse_fields (fields, error)) == NULL)
    return FALSE;
  return TRUE;
}

gboolean
http_query_apply (const HttpQuery *query, CubeRequest *request, GError **error)
{
  switch (request->verb)
    {
    case CUBE_VERB_GET:
      request->resource_version = non_empty (http_query_get (query, "resourceVersion"));
      return check_revision (request->resource_version, error);
    case CUBE_VERB_LIST:
    case CUBE_VERB_WATCH: return apply_list_options (query, request, error);
    case CUBE_VERB_DELETE: return apply_write_options (query, request, error) && apply_delete_options (query, request, error);
    case CUBE_VERB_DELETE_COLLECTION:
      return apply_write_options (query, request, error) && apply_delete_options (query, request, error)
             && apply_list_options (query, request, error);
    default: return apply_write_options (query, request, error);
    }
}

void
http_query_clear_selectors (CubeRequest *request)
{
  cube_selector_unref ((CubeSelector *) request->labels);
  cube_selector_unref ((CubeSelector *) request->fields);
  request->labels = request->fields = NULL;
  g_free ((char *) request->continue_token);
  request->continue_token = NULL;
}
