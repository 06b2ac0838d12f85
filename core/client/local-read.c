/* SPDX-License-Identifier: Apache-2.0 */
/* get and list: from memory, at one revision. */
#include "local-private.h"

gboolean
cube_parse_revision (const char *text, guint64 *ret_revision, GError **error)
{
  guint64 number = 0;

  if (text == NULL || *text == '\0')
    {
      *ret_revision = 0;
      return TRUE;
    }
  if (!g_ascii_string_to_unsigned (text, 10, 0, G_MAXUINT64 - 1, &number, NULL))
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid resource version: %.64s", text);
      return FALSE;
    }
  *ret_revision = number;
  return TRUE;
}

GError *
cube_error_future_revision (guint64 asked, guint64 current)
{
  GError *error = g_error_new (CUBE_ERROR, CUBE_ERROR_TIMEOUT,
                               "Timeout: Too large resource version: %" G_GUINT64_FORMAT ", current: %" G_GUINT64_FORMAT, asked, current);
  CubeErrorDetails *details = cube_error_get_details (error);

  cube_error_add_cause (error, "ResourceVersionTooLarge", NULL, "Too large resource version");
  if (details != NULL)
    details->retry_after_s = 1;
  return error;
}

/* ---- get ---- */

CubeCallState
cube_local_get (CubeCall *call)
{
  guint64 asked = 0, current;
  GError *error = NULL;

  if (*call->name == '\0')
    return cube_call_fail_bad_request (call, "name must be provided");
  if (!cube_parse_revision (call->request->resource_version, &asked, &error))
    return cube_call_fail (call, error);
  current = cube_store_revision (call->local->store);
  if (asked > current)
    return cube_call_fail (call, cube_error_future_revision (asked, current));
  if (!cube_call_read_old (call))
    return CUBE_CALL_DONE;
  return cube_call_answer_object (call, call->old);
}

/* ---- selectors ---- */

typedef struct {
  const CubeResource *resource;
  GError **error;
} FieldCheck;

static gboolean
check_field (const char *key, const char *op, const char *const *values, gpointer data)
{
  FieldCheck *check = data;

  if (cube_schema_is_selectable (check->resource, key))
    return TRUE;
  if (g_str_equal (check->resource->kind, "Job") && g_str_equal (check->resource->group, "batch"))
    g_set_error (check->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "field label \"%s\" not supported for Job", key);
  else if (cube_strategy_has_own_fields (check->resource))
    g_set_error (check->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "field label not supported: %s", key);
  else
    g_set_error (check->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                 "\"%s\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", key);
  return FALSE;
}

gboolean
cube_local_check_fields (const CubeResource *resource, const CubeSelector *fields, GError **error)
{
  FieldCheck check = { resource, error };

  return cube_selector_is_everything (fields) || cube_selector_visit (fields, check_field, &check);
}

gboolean
cube_local_matches (const CubeResource *resource, const CubeSelector *labels, const CubeSelector *fields, CubeObject *object)
{
  if (!cube_selector_is_everything (labels) && !cube_selector_matches_object (labels, object))
    return FALSE;
  return cube_selector_is_everything (fields) || cube_selector_matches_resource (fields, resource, object);
}

/* ---- list options ---- */

static GError *
list_options_error (const char *field, const char *format, ...)
{
  va_list args;
  g_autofree char *text = NULL, *body = NULL;
  GError *error;

  va_start (args, format);
  body = g_strdup_vprintf (format, args);
  va_end (args);
  error = g_error_new (CUBE_ERROR, CUBE_ERROR_INVALID, "ListOptions.meta.k8s.io \"\" is invalid: %s: %s", field, body);
  cube_error_set_object (error, "meta.k8s.io", "ListOptions", NULL);
  cube_error_add_cause (error, "FieldValueForbidden", field, "%s", body);
  return error;
}

static GError *
check_list_options (const CubeRequest *request)
{
  const char *revision = request->resource_version != NULL ? request->resource_version : "";
  gboolean has_continue = request->continue_token != NULL && *request->continue_token != '\0';

  if (request->send_initial_events)
    return list_options_error ("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list");
  if (request->revision_match != CUBE_MATCH_UNSET)
    {
      if (has_continue)
        return list_options_error ("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden when continue is provided");
      if (*revision == '\0')
        return list_options_error ("resourceVersionMatch",
                                   "Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided");
      if (request->revision_match == CUBE_MATCH_EXACT && g_str_equal (revision, "0"))
        return list_options_error ("resourceVersionMatch",
                                   "Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
  if (has_continue && *revision != '\0' && !g_str_equal (revision, "0"))
    return g_error_new_literal (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "specifying resource version is not allowed when using continue");
  return NULL;
}

/* ---- continue tokens: base64 of {"v","rv","start","r"}; r binds it to the resource ---- */

static char *
make_token (const char *resource_key, gint64 revision, const char *ns, const char *name)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder);
  g_autofree char *start = g_strdup_printf ("%s/%s", ns, name);
  g_autoptr (GString) json = g_string_new (NULL);
  char *token, *end;

  cube_mut_set_string (root, "v", "meta.k8s.io/v1");
  cube_mut_set_int (root, "rv", revision);
  cube_mut_set_string (root, "start", start);
  cube_mut_set_string (root, "r", resource_key);
  cube_mut_append_json (root, json);
  token = g_base64_encode ((const guchar *) json->str, json->len);
  for (char *c = token; *c != '\0'; c++)
    *c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
  end = strchr (token, '=');
  if (end != NULL)
    *end = '\0';
  return token;
}

typedef struct {
  gint64 revision; /* -1 = wherever we are now */
  char *ns, *name; /* list strictly after these */
} Token;

static GError *
token_error (const char *detail)
{
  return g_error_new (CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid continue token: continue key is not valid: %s", detail);
}

static GError *
parse_token_value (CubeView root, const char *resource_key, Token *ret_token)
{
  const char *version = cube_view_get_string (root, "v"), *start = cube_view_get_string (root, "start"),
             *key = cube_view_get_string (root, "r");
  gint64 revision = cube_view_get_int (root, 0, "rv");
  const char *slash;

  if (g_strcmp0 (version, "meta.k8s.io/v1") != 0)
    {
      g_autofree char *detail =
          g_strdup_printf ("server does not recognize this encoded version \"%.32s\"", version != NULL ? version : "");

      return token_error (detail);
    }
  if (revision == 0 || revision < -1)
    return token_error ("incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
  if (start == NULL || *start == '\0')
    return token_error ("encoded start key empty (version meta.k8s.io/v1)");
  slash = strchr (start, '/');
  if (slash == NULL || g_strcmp0 (key, resource_key) != 0)
    return token_error ("it was made by another list");
  ret_token->revision = revision;
  ret_token->ns = g_strndup (start, slash - start);
  ret_token->name = g_strdup (slash + 1);
  return NULL;
}

static GError *
parse_token (const char *text, const char *resource_key, Token *ret_token)
{
  g_autofree char *padded = NULL;
  g_autofree guchar *bytes = NULL;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (GError) error = NULL;
  gsize length = strlen (text);

  if (length > 4096 || strspn (text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=") != length)
    return token_error ("illegal base64 data");
  padded = g_strdup_printf ("%s%.*s", text, (int) ((4 - length % 4) % 4), "===");
  for (char *c = padded; *c != '\0'; c++)
    *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
  bytes = g_base64_decode (padded, &length);
  value = cube_value_from_json ((const char *) bytes, (gssize) length, NULL, &error);
  if (value == NULL)
    return token_error (error->message);
  return parse_token_value (cube_value_root (value), resource_key, ret_token);
}

/* ---- images at a revision ---- */

/* The objects of one resource, in order, as they were: rebuilt from a snapshot of now by taking back the changes since. NULL when they are no longer
 * known. (transfer full) (element-type CubeObject) */
static int
compare_names (const CubeObject *a, const char *ns, const char *name)
{
  int order = strcmp (cube_object_namespace (a), ns);

  return order != 0 ? order : strcmp (cube_object_name (a), name);
}

static int
compare_objects (gconstpointer a, gconstpointer b)
{
  const CubeObject *one = *(CubeObject *const *) a, *two = *(CubeObject *const *) b;

  return compare_names (one, cube_object_namespace (two), cube_object_name (two));
}

static void
do_nothing (gpointer data)
{
}

static gboolean
collect_all (CubeObject *object, gpointer data)
{
  g_ptr_array_add (data, cube_object_ref (object));
  return TRUE;
}

/* key → the object as it was at the revision, NULL = it did not exist. FALSE when the history does not reach that far back. */
static gboolean
collect_undo (CubeLocal *local, const char *key, guint64 revision, guint64 until, GHashTable *undo)
{
  CubeSubscription *subscription = cube_bus_subscribe (cube_store_bus (local->store), key, revision,
                                                       cube_context_get_loop (local->context, "main"), do_nothing, NULL, NULL);
  g_autoptr (GError) error = NULL;
  CubeChange change;
  guint64 progress;

  if (subscription == NULL)
    return FALSE;
  while (cube_subscription_next (subscription, &change, &progress, &error))
    {
      gboolean is_later = change.revision > until;
      char *name = cube_object_key (change.object);

      if (!is_later && !g_hash_table_contains (undo, name))
        g_hash_table_insert (undo, g_steal_pointer (&name), change.old != NULL ? cube_object_ref (change.old) : NULL);
      g_free (name);
      cube_change_clear (&change);
      if (is_later)
        break;
    }
  cube_subscription_free (subscription);
  return error == NULL;
}

static GPtrArray *
image_at (CubeLocal *local, const char *key, guint64 revision)
{
  g_autoptr (GHashTable) undo = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) cube_object_unref);
  g_autoptr (GPtrArray) now = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  GPtrArray *then = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  CubeSnapshot *snapshot = cube_store_snapshot (local->store, key);
  GHashTableIter iter;
  gpointer object;

  cube_snapshot_visit (snapshot, NULL, NULL, NULL, collect_all, now);
  if (!collect_undo (local, key, revision, cube_snapshot_revision (snapshot), undo))
    {
      cube_snapshot_unref (snapshot);
      g_ptr_array_unref (then);
      return NULL;
    }
  cube_snapshot_unref (snapshot);
  for (guint i = 0; i < now->len; i++)
    {
      g_autofree char *name = cube_object_key (now->pdata[i]);

      if (!g_hash_table_contains (undo, name))
        g_ptr_array_add (then, cube_object_ref (now->pdata[i]));
    }
  g_hash_table_iter_init (&iter, undo);
  while (g_hash_table_iter_next (&iter, NULL, &object))
    if (object != NULL)
      g_ptr_array_add (then, cube_object_ref (object));
  g_ptr_array_sort (then, compare_objects);
  return then;
}

/* ---- list ---- */

typedef struct {
  const CubeResource *resource, *storage;
  const CubeSelector *labels, *fields;
  guint limit;
  GPtrArray *found;
  gint64 beyond; /* matching objects after the page was full */
  gboolean counts_beyond;
  GError *error;
} Page;

static gboolean
page_take (Page *page, CubeObject *object)
{
  CubeObject *converted;

  if (!cube_local_matches (page->storage, page->labels, page->fields, object))
    return TRUE;
  if (page->limit > 0 && page->found->len == page->limit)
    {
      page->beyond++;
      return page->counts_beyond;
    }
  converted = cube_schema_convert (page->resource, object, &page->error);
  if (converted == NULL)
    return FALSE;
  g_ptr_array_add (page->found, converted);
  return TRUE;
}

static gboolean
page_visit (CubeObject *object, gpointer data)
{
  return page_take (data, object);
}

static void
page_from_image (Page *page, GPtrArray *image, const char *ns, const Token *after)
{
  for (guint i = 0; i < image->len; i++)
    {
      CubeObject *object = image->pdata[i];

      if (ns != NULL && !g_str_equal (cube_object_namespace (object), ns))
        continue;
      if (after->name != NULL && compare_names (object, after->ns, after->name) <= 0)
        continue;
      if (!page_take (page, object))
        return;
    }
}

/* A selector that names one object or one node is answered by an index. TRUE when it was. */
static gboolean
page_from_index (Page *page, CubeLocal *local, const char *ns)
{
  const char *name = page->fields != NULL ? cube_selector_requires (page->fields, "metadata.name") : NULL;
  const char *node = page->fields != NULL ? cube_selector_requires (page->fields, "spec.nodeName") : NULL;

  if (name != NULL && (ns != NULL || !page->resource->is_namespaced))
    {
      g_autoptr (CubeObject) object = cube_store_get (local->store, page->storage->key, ns != NULL ? ns : "", name);

      if (object != NULL)
        page_take (page, object);
      return TRUE;
    }
  if (node != NULL && *node != '\0' && g_str_equal (page->storage->key, "/pods"))
    {
      g_autoptr (GPtrArray) pods = cube_store_find_pods_on (local->store, node);

      g_ptr_array_sort (pods, compare_objects);
      for (guint i = 0; i < pods->len; i++)
        if (ns == NULL || g_str_equal (cube_object_namespace (pods->pdata[i]), ns))
          if (!page_take (page, pods->pdata[i]))
            break;
      return TRUE;
    }
  return FALSE;
}

static void
token_clear (Token *token)
{
  g_free (token->ns);
  g_free (token->name);
}

static CubeCallState
answer_expired_token (CubeCall *call, const Token *token)
{
  g_autofree char *fresh = make_token (call->storage->key, -1, token->ns, token->name);
  GError *error = g_error_new_literal (
      CUBE_ERROR, CUBE_ERROR_EXPIRED,
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the "
      "continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects "
      "that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.");

  if (cube_error_get_details (error) != NULL)
    cube_error_get_details (error)->continue_token = g_steal_pointer (&fresh);
  return cube_call_fail (call, error);
}

static CubeCallState
finish_list (CubeCall *call, Page *page, gint64 revision, CubeSnapshot *keep)
{
  CubeResponse *response = call->response;

  response->revision = (guint64) revision;
  if (page->error != NULL)
    return cube_call_fail (call, g_steal_pointer (&page->error));
  if (page->beyond > 0)
    {
      CubeObject *last = page->found->pdata[page->found->len - 1];

      response->continue_token = make_token (call->storage->key, revision, cube_object_namespace (last), cube_object_name (last));
      if (page->counts_beyond)
        response->remaining = page->beyond;
      if (keep != NULL)
        cube_store_keep_snapshot (call->local->store, keep);
    }
  return CUBE_CALL_DONE;
}

/* List at an exact past revision. */
static CubeCallState
list_at (CubeCall *call, Page *page, gint64 revision, const Token *token)
{
  const char *ns = *call->ns != '\0' ? call->ns : NULL;
  CubeSnapshot *snapshot = cube_store_find_snapshot (call->local->store, call->storage->key, (guint64) revision);
  g_autoptr (GPtrArray) image = NULL;

  if (snapshot != NULL)
    {
      CubeCallState state;

      cube_snapshot_visit (snapshot, ns, token->ns, token->name, page_visit, page);
      state = finish_list (call, page, revision, snapshot);
      cube_snapshot_unref (snapshot);
      return state;
    }
  image = image_at (call->local, call->storage->key, (guint64) revision);
  if (image == NULL && token->name != NULL)
    return answer_expired_token (call, token);
  if (image == NULL)
    return cube_call_fail (call,
                           g_error_new_literal (CUBE_ERROR, CUBE_ERROR_EXPIRED, "The resourceVersion for the provided list is too old."));
  page_from_image (page, image, ns, token);
  return finish_list (call, page, revision, NULL);
}

static CubeCallState
list_now (CubeCall *call, Page *page, const Token *token)
{
  const char *ns = *call->ns != '\0' ? call->ns : NULL;
  CubeSnapshot *snapshot = cube_store_snapshot (call->local->store, call->storage->key);
  CubeCallState state;

  if (page->limit > 0 || token->name != NULL || !page_from_index (page, call->local, ns))
    {
      if (page->limit == 0 && ns == NULL && cube_selector_is_everything (page->labels) && cube_selector_is_everything (page->fields))
        {
          g_ptr_array_unref (page->found);
          page->found = g_ptr_array_new_full (cube_snapshot_length (snapshot), (GDestroyNotify) cube_object_unref);
          call->response->objects = page->found;
        }
      cube_snapshot_visit (snapshot, ns, token->ns, token->name, page_visit, page);
    }
  state = finish_list (call, page, (gint64) cube_snapshot_revision (snapshot), snapshot);
  cube_snapshot_unref (snapshot);
  return state;
}

static CubeCallState
list_with_token (CubeCall *call, Page *page, Token *token)
{
  const CubeRequest *request = call->request;
  guint64 asked = 0, current = cube_store_revision (call->local->store);
  gboolean is_exact;
  GError *error = NULL;

  if (token->revision > 0)
    return (guint64) token->revision == current ? list_now (call, page, token) : list_at (call, page, token->revision, token);
  if (token->revision < 0)
    return list_now (call, page, token);
  if (!cube_parse_revision (request->resource_version, &asked, &error))
    return cube_call_fail (call, error);
  if (asked > current)
    return cube_call_fail (call, cube_error_future_revision (asked, current));
  is_exact =
      request->revision_match == CUBE_MATCH_EXACT || (request->revision_match == CUBE_MATCH_UNSET && asked > 0 && request->limit > 0);
  if (request->resource_version != NULL && g_str_equal (request->resource_version, "0"))
    page->limit = 0; /* a list at "0" is never paged */
  return is_exact && asked < current ? list_at (call, page, (gint64) asked, token) : list_now (call, page, token);
}

CubeCallState
cube_local_list (CubeCall *call)
{
  const CubeRequest *request = call->request;
  Page page = {
    .resource = call->resource, .storage = call->storage, .labels = request->labels, .fields = request->fields, .limit = request->limit
  };
  Token token = { 0 };
  CubeCallState state;
  GError *error = check_list_options (request);

  if (error != NULL)
    return cube_call_fail (call, error);
  if (!cube_local_check_fields (call->resource, request->fields, &error))
    return cube_call_fail (call, error);
  if (request->continue_token != NULL && *request->continue_token != '\0')
    {
      error = parse_token (request->continue_token, call->storage->key, &token);
      if (error != NULL)
        return cube_call_fail (call, error);
    }
  page.found = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  page.counts_beyond = cube_selector_is_everything (request->labels) && cube_selector_is_everything (request->fields);
  call->response->objects = page.found;
  state = list_with_token (call, &page, &token);
  token_clear (&token);
  return state;
}

/* ---- componentstatuses: answered from what the process knows ---- */

static CubeObject *
component_status (const char *name, const char *message)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  CubeMut *root = cube_builder_root (builder), *condition;
  g_autoptr (CubeValue) value = NULL;

  cube_mut_set_string (root, "apiVersion", "v1");
  cube_mut_set_string (root, "kind", "ComponentStatus");
  cube_mut_set_string (cube_mut_set_object (root, "metadata"), "name", name);
  condition = cube_mut_append_object (cube_mut_set_array (root, "conditions"));
  cube_mut_set_string (condition, "type", "Healthy");
  cube_mut_set_string (condition, "status", "True");
  cube_mut_set_string (condition, "message", message);
  value = cube_builder_end (builder);
  return cube_object_new (cube_value_root (value), 0, NULL);
}

CubeCallState
cube_local_component_status (CubeCall *call)
{
  static const char *const names[][2] = { { "controller-manager", "ok" }, { "etcd-0", "ok" }, { "scheduler", "ok" } };

  cube_call_warn (call, "v1 ComponentStatus is deprecated in v1.19+");
  if (call->request->verb == CUBE_VERB_LIST)
    call->response->objects = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      if (call->request->verb == CUBE_VERB_LIST)
        g_ptr_array_add (call->response->objects, component_status (names[i][0], names[i][1]));
      else if (g_str_equal (call->name, names[i][0]))
        call->response->object = component_status (names[i][0], names[i][1]);
    }
  if (call->request->verb != CUBE_VERB_LIST && call->response->object == NULL)
    return cube_call_fail (call, cube_call_not_found (call));
  call->response->revision = cube_store_revision (call->local->store);
  return CUBE_CALL_DONE;
}
