/* SPDX-License-Identifier: Apache-2.0 */
#include "negotiate.h"
#include <string.h>

#define ACCEPTED "application/json, application/yaml"
#define MAX_CLAUSES 64

typedef struct {
  char *type, *group, *version, *as, *stream; /* lower-case type; NULL = not given */
  double q;
  guint order;
} Clause;

static void
clause_free (gpointer data)
{
  Clause *clause = data;
  g_free (clause->type);
  g_free (clause->group);
  g_free (clause->version);
  g_free (clause->as);
  g_free (clause->stream);
  g_free (clause);
}

static void
set_parameter (Clause *clause, const char *name, const char *value)
{
  char **slot = NULL;
  if (g_ascii_strcasecmp (name, "g") == 0)
    slot = &clause->group;
  else if (g_ascii_strcasecmp (name, "v") == 0)
    slot = &clause->version;
  else if (g_ascii_strcasecmp (name, "as") == 0)
    slot = &clause->as;
  else if (g_ascii_strcasecmp (name, "stream") == 0)
    slot = &clause->stream;
  else if (g_ascii_strcasecmp (name, "q") == 0)
    clause->q = CLAMP (g_ascii_strtod (value, NULL), 0, 1);
  if (slot != NULL && *slot == NULL)
    *slot = g_strdup (value);
}

static Clause *
parse_clause (const char *text, guint order)
{
  g_auto (GStrv) parts = g_strsplit (text, ";", 16);
  Clause *clause = g_new0 (Clause, 1);
  clause->q = 1;
  clause->order = order;
  clause->type = g_ascii_strdown (parts[0] != NULL ? g_strstrip (parts[0]) : "", -1);
  for (guint i = 1; parts[0] != NULL && parts[i] != NULL; i++)
    {
      char *equals = strchr (parts[i], '=');
      if (equals == NULL)
        continue;
      *equals = '\0';
      char *value = g_strstrip (equals + 1);
      gsize length = strlen (value);
      if (length >= 2 && value[0] == '"' && value[length - 1] == '"')
        {
          value[length - 1] = '\0';
          value++;
        }
      set_parameter (clause, g_strstrip (parts[i]), value);
    }
  return clause;
}

static int
compare_clauses (gconstpointer a, gconstpointer b)
{
  const Clause *x = *(const Clause *const *) a, *y = *(const Clause *const *) b;
  if (x->q != y->q)
    return x->q > y->q ? -1 : 1;
  return x->order < y->order ? -1 : x->order > y->order;
}

static GPtrArray *
parse_list (const char *header)
{
  g_autoptr (GPtrArray) clauses = g_ptr_array_new_with_free_func (clause_free);
  g_auto (GStrv) texts = g_strsplit (header, ",", MAX_CLAUSES);
  for (guint i = 0; texts[i] != NULL; i++)
    if (*g_strstrip (texts[i]) != '\0')
      g_ptr_array_add (clauses, parse_clause (texts[i], i));
  g_ptr_array_sort (clauses, compare_clauses);
  return g_steal_pointer (&clauses);
}

static gboolean
match_encoding (const char *type, HttpEncoding *ret_encoding)
{
  if (strcmp (type, "application/json") == 0 || strcmp (type, "*/*") == 0 || strcmp (type, "application/*") == 0)
    *ret_encoding = HTTP_ENCODING_JSON;
  else if (strcmp (type, "application/yaml") == 0)
    *ret_encoding = HTTP_ENCODING_YAML;
  else
    return FALSE;
  return TRUE;
}

/* The shape named by as, g and v. FALSE: one we do not have. */
static gboolean
match_shape (const Clause *clause, gboolean is_discovery, HttpFormat *format)
{
  if (clause->as == NULL)
    return TRUE;
  if (is_discovery)
    {
      format->is_aggregated_discovery = TRUE;
      return strcmp (clause->as, "APIGroupDiscoveryList") == 0 && g_strcmp0 (clause->group, "apidiscovery.k8s.io") == 0
             && g_strcmp0 (clause->version, "v2") == 0;
    }
  if (g_strcmp0 (clause->group, "meta.k8s.io") != 0 || g_strcmp0 (clause->version, "v1") != 0)
    return FALSE;
  if (strcmp (clause->as, "Table") == 0)
    format->shape = HTTP_SHAPE_TABLE;
  else if (strcmp (clause->as, "PartialObjectMetadata") == 0)
    format->shape = HTTP_SHAPE_PARTIAL;
  else if (strcmp (clause->as, "PartialObjectMetadataList") == 0)
    format->shape = HTTP_SHAPE_PARTIAL_LIST;
  else
    return FALSE;
  return TRUE;
}

gboolean
http_negotiate (const char *accept, gboolean is_discovery, HttpFormat *ret_format, GError **error)
{
  HttpFormat format = { 0 };
  /* the common cases, without a list */
  if (accept == NULL || *accept == '\0' || strcmp (accept, "*/*") == 0 || strcmp (accept, "application/json") == 0)
    {
      *ret_format = format;
      return TRUE;
    }
  g_autoptr (GPtrArray) clauses = parse_list (accept);
  for (guint i = 0; i < clauses->len; i++)
    {
      const Clause *clause = clauses->pdata[i];
      memset (&format, 0, sizeof format);
      if (clause->q > 0 && match_encoding (clause->type, &format.encoding) && match_shape (clause, is_discovery, &format)
          && (clause->stream == NULL || strcmp (clause->stream, "watch") == 0))
        {
          *ret_format = format;
          return TRUE;
        }
    }
  g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_NOT_ACCEPTABLE, "only the following media types are accepted: " ACCEPTED);
  return FALSE;
}

static char *
bare_type (const char *content_type)
{
  gsize length = strcspn (content_type, ";");
  g_autofree char *bare = g_strndup (content_type, length);
  return g_ascii_strdown (g_strstrip (bare), -1);
}

static gboolean
unknown_media_type (const char *accepted, GError **error)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_UNSUPPORTED_MEDIA_TYPE,
               "the body of the request was in an unknown format - accepted media types include: %s", accepted);
  return FALSE;
}

gboolean
http_body_encoding (const char *content_type, HttpEncoding *ret_encoding, GError **error)
{
  *ret_encoding = HTTP_ENCODING_JSON;
  if (content_type == NULL || *content_type == '\0' || strcmp (content_type, "application/json") == 0)
    return TRUE;
  g_autofree char *type = bare_type (content_type);
  if (match_encoding (type, ret_encoding))
    return TRUE;
  if (strcmp (type, "application/vnd.kubernetes.protobuf") == 0)
    {
      *ret_encoding = HTTP_ENCODING_PROTOBUF;
      return TRUE;
    }
  return unknown_media_type (ACCEPTED ", application/vnd.kubernetes.protobuf", error);
}

gboolean
http_patch_type (const char *content_type, gboolean is_custom, CubePatchType *ret_type, GError **error)
{
  g_autofree char *type = bare_type (content_type != NULL ? content_type : "");
  if (strcmp (type, "application/json-patch+json") == 0)
    *ret_type = CUBE_PATCH_JSON;
  else if (strcmp (type, "application/merge-patch+json") == 0)
    *ret_type = CUBE_PATCH_MERGE;
  else if (strcmp (type, "application/strategic-merge-patch+json") == 0 && !is_custom)
    *ret_type = CUBE_PATCH_STRATEGIC;
  else if (strcmp (type, "application/apply-patch+yaml") == 0)
    *ret_type = CUBE_PATCH_APPLY;
  else
    return unknown_media_type (is_custom ? "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
                                         : "application/json-patch+json, application/merge-patch+json, "
                                           "application/strategic-merge-patch+json, application/apply-patch+yaml",
                               error);
  return TRUE;
}

gboolean
http_accepts_coding (const char *accept_encoding, const char *name)
{
  if (accept_encoding == NULL)
    return FALSE;
  if (strcmp (accept_encoding, name) == 0)
    return TRUE;
  g_autoptr (GPtrArray) clauses = parse_list (accept_encoding);
  for (guint i = 0; i < clauses->len; i++)
    {
      const Clause *clause = clauses->pdata[i];
      if (strcmp (clause->type, name) == 0)
        return clause->q > 0;
    }
  return FALSE;
}

const char *
http_format_content_type (const HttpFormat *format)
{
  if (format->is_aggregated_discovery)
    return "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
  return format->encoding == HTTP_ENCODING_YAML ? "application/yaml" : "application/json";
}
