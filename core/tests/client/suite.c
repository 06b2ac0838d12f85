/* SPDX-License-Identifier: Apache-2.0 */
#include "suite.h"

typedef struct {
  BackInit init;
  BackClear clear;
  void (*test) (Fixture *fixture);
} Case;

/* ---- create, get, update ---- */

static void
test_create_get (Fixture *fixture)
{
  const CubeResource *pods = resource (fixture, "v1", "pods");
  g_autoptr (CubeObject) made = create_pod (fixture, "web", "'app':'web'");
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) got = cube_client_get (fixture->client, pods, "default", "web", &error), none = NULL, again = NULL;
  g_autoptr (CubeValue) value = NULL, same = NULL;

  g_assert_no_error (error);
  g_assert_cmpstr (cube_object_uid (got), ==, cube_object_uid (made));
  g_assert_cmpuint (strlen (cube_object_uid (got)), ==, 36);
  g_assert_nonnull (cube_object_creation_timestamp (got));
  g_assert_cmpuint (cube_object_revision (got), >, 0);
  g_assert_cmpuint (cube_object_revision (got), ==, cube_object_revision (made));
  g_assert_cmpstr (cube_object_label (got, "app"), ==, "web");
  value = cube_object_value (got);
  g_assert_cmpstr (cube_view_string (cube_value_get (value, "spec", "restartPolicy")), ==, "Always");
  g_assert_cmpstr (cube_view_string (cube_value_get (value, "status", "phase")), ==, "Pending");
  none = cube_client_get (fixture->client, pods, "default", "nobody", &error);
  assert_error (error, CUBE_ERROR_NOT_FOUND, "pods \"nobody\" not found");
  same = json ("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web'},'spec':{'containers':[{'name':'a','image':'b'}]}}");
  again = cube_client_create (fixture->client, pods, "default", same, &error);
  assert_error (error, CUBE_ERROR_ALREADY_EXISTS, "pods \"web\" already exists");
}

static void
test_generate_name (Fixture *fixture)
{
  g_autoptr (GHashTable) names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (CubeValue) value = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'generateName':'web-'}}");

  for (guint i = 0; i < 50; i++)
    {
      g_autoptr (CubeObject) made = create (fixture, "v1", "configmaps", "default", value);

      g_assert_true (g_str_has_prefix (cube_object_name (made), "web-"));
      g_assert_cmpuint (strlen (cube_object_name (made)), ==, 9);
      g_assert_true (g_hash_table_add (names, g_strdup (cube_object_name (made))));
    }
}

static void
test_create_refused (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  g_autoptr (GError) error = NULL;
  struct {
    const char *body, *ns;
    int http_code;
    const char *text;
  } cases[] = {
    { "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','namespace':'other'}}", "default", 400,
      "the namespace of the provided object does not match the namespace sent on the request" },
    { "{'apiVersion':'v2','kind':'ConfigMap','metadata':{'name':'a'}}", "default", 400,
      "the API version in the data (v2) does not match the expected API version (v1)" },
    { "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','resourceVersion':'7'}}", "default", 500,
      "resourceVersion should not be set on objects to be created" },
    { "{'apiVersion':'v1','kind':'ConfigMap','metadata':{}}", "default", 422,
      "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeValue) value = json ("%s", cases[i].body);
      g_autoptr (CubeObject) made = cube_client_create (fixture->client, maps, cases[i].ns, value, &error);

      g_assert_null (made);
      g_assert_cmpint (cube_error_http_code (error), ==, cases[i].http_code);
      g_assert_cmpstr (error->message, ==, cases[i].text);
      g_clear_error (&error);
    }
}

static void
test_update (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  g_autoptr (CubeObject) made = create_config_map (fixture, "map", "one"), second = NULL, stale = NULL, free_write = NULL, noop = NULL,
                         wrong_uid = NULL;
  g_autoptr (CubeValue) value = cube_object_value (made), changed = NULL, blind = NULL, uid = NULL, current = NULL;
  g_autoptr (CubeBuilder) builder = cube_builder_new_from (cube_value_root (value));
  g_autoptr (GError) error = NULL;

  cube_mut_set_string (cube_mut_ensure (cube_builder_root (builder), "data"), "key", "two");
  changed = cube_builder_end (builder);
  second = cube_client_update (fixture->client, maps, NULL, "default", "map", changed, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cube_object_revision (second), >, cube_object_revision (made));
  g_assert_cmpstr (cube_object_uid (second), ==, cube_object_uid (made));

  stale = cube_client_update (fixture->client, maps, NULL, "default", "map", changed, &error);
  assert_error (
      error, CUBE_ERROR_CONFLICT,
      "Operation cannot be fulfilled on configmaps \"map\": the object has been modified; please apply your changes to the latest version and try again");

  current = cube_object_value (second);
  noop = cube_client_update (fixture->client, maps, NULL, "default", "map", current, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cube_object_revision (noop), ==, cube_object_revision (second));

  blind = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'map'},'data':{'key':'three'}}");
  free_write = cube_client_update (fixture->client, maps, NULL, "default", "map", blind, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (cube_object_revision (free_write), >, cube_object_revision (second));

  uid = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'map','uid':'other'},'data':{'key':'four'}}");
  wrong_uid = cube_client_update (fixture->client, maps, NULL, "default", "map", uid, &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_CONFLICT);
  g_assert_nonnull (strstr (error->message, "Precondition failed: UID in precondition: other, UID in object meta: "));
}

static void
test_update_missing (Fixture *fixture)
{
  g_autoptr (CubeValue) map = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'none'}}");
  g_autoptr (CubeValue) lease =
      json ("{'apiVersion':'coordination.k8s.io/v1','kind':'Lease','metadata':{'name':'new'},'spec':{'holderIdentity':'me'}}");
  g_autoptr (CubeValue) renamed = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'other'}}");
  const CubeResource *maps = resource (fixture, "v1", "configmaps"), *leases = resource (fixture, "coordination.k8s.io/v1", "leases");
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) none = cube_client_update (fixture->client, maps, NULL, "default", "none", map, &error), made = NULL, wrong = NULL,
                         blind = NULL;

  assert_error (error, CUBE_ERROR_NOT_FOUND, "configmaps \"none\" not found");
  made = cube_client_update (fixture->client, leases, NULL, "default", "new", lease, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (cube_object_name (made), ==, "new");
  blind = cube_client_update (fixture->client, leases, NULL, "default", "new", lease, &error);
  assert_error (
      error, CUBE_ERROR_INVALID,
      "Lease.coordination.k8s.io \"new\" is invalid: metadata.resourceVersion: Invalid value: \"\": must be specified for an update");
  wrong = cube_client_update (fixture->client, maps, NULL, "default", "none", renamed, &error);
  assert_error (error, CUBE_ERROR_BAD_REQUEST, "the name of the object (other) does not match the name on the URL (none)");
}

static void
test_dry_run (Fixture *fixture)
{
  g_autoptr (CubeValue) value = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'dry'}}");
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) none = NULL;

  request.verb = CUBE_VERB_CREATE;
  request.resource = maps;
  request.ns = "default";
  request.body = value;
  request.is_dry_run = TRUE;
  response = execute (fixture, &request);
  g_assert_cmpstr (cube_object_name (response->object), ==, "dry");
  none = cube_client_get (fixture->client, maps, "default", "dry", &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
}

/* kubectl delete --dry-run=server says so in the body only. */
static void
test_dry_run_in_body (Fixture *fixture)
{
  static const CubeVerb verbs[] = { CUBE_VERB_DELETE, CUBE_VERB_DELETE_COLLECTION };
  g_autoptr (CubeValue) options = json ("{'kind':'DeleteOptions','apiVersion':'v1','dryRun':['All']}");
  const CubeResource *pods = resource (fixture, "v1", "pods");

  cube_object_unref (create_pod (fixture, "stays", ""));
  for (guint i = 0; i < G_N_ELEMENTS (verbs); i++)
    {
      CubeRequest request = CUBE_REQUEST_INIT;
      g_autoptr (CubeResponse) response = NULL;
      g_autoptr (CubeObject) still = NULL;

      request.verb = verbs[i];
      request.resource = pods;
      request.ns = "default";
      request.name = verbs[i] == CUBE_VERB_DELETE ? "stays" : NULL;
      request.body = options;
      response = execute (fixture, &request);
      still = cube_client_get (fixture->client, pods, "default", "stays", NULL);
      g_assert_nonnull (still);
    }
}

/* ---- patch ---- */

static const char *
data_key (CubeObject *object, char buffer[64])
{
  g_autoptr (CubeValue) value = cube_object_value (object);

  g_strlcpy (buffer, cube_view_string_or (cube_value_get (value, "data", "key"), ""), 64);
  return buffer;
}

static void
test_patch (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  g_autoptr (CubeObject) made = create_config_map (fixture, "map", "one");
  g_autoptr (GError) error = NULL;
  char buffer[64];
  struct {
    CubePatchType type;
    const char *patch, *result;
  } cases[] = {
    { CUBE_PATCH_MERGE, "{'data':{'key':'merge'}}", "merge" },
    { CUBE_PATCH_STRATEGIC, "{'data':{'key':'strategic'}}", "strategic" },
    { CUBE_PATCH_JSON, "[{'op':'replace','path':'/data/key','value':'json'}]", "json" },
  };
  guint64 last = cube_object_revision (made);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autoptr (CubeValue) patch = json ("%s", cases[i].patch);
      g_autoptr (CubeObject) patched = cube_client_patch (fixture->client, maps, NULL, "default", "map", cases[i].type, patch, &error),
                             same = NULL;

      g_assert_no_error (error);
      g_assert_cmpstr (data_key (patched, buffer), ==, cases[i].result);
      g_assert_cmpuint (cube_object_revision (patched), >, last);
      last = cube_object_revision (patched);
      same = cube_client_patch (fixture->client, maps, NULL, "default", "map", cases[i].type, patch, &error);
      g_assert_no_error (error);
      g_assert_cmpuint (cube_object_revision (same), ==, last);
    }
  {
    g_autoptr (CubeValue) bad = json ("[{'op':'test','path':'/data/key','value':'no'}]"),
                          stale = json ("{'metadata':{'resourceVersion':'1'},'data':{'key':'x'}}");
    g_autoptr (CubeObject) none = cube_client_patch (fixture->client, maps, NULL, "default", "map", CUBE_PATCH_JSON, bad, &error),
                           conflict = NULL;

    assert_error (error, CUBE_ERROR_INVALID, "the server rejected our request due to an error in our request");
    conflict = cube_client_patch (fixture->client, maps, NULL, "default", "map", CUBE_PATCH_MERGE, stale, &error);
    g_assert_error (error, CUBE_ERROR, CUBE_ERROR_CONFLICT);
  }
}

static void
test_apply (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  g_autoptr (CubeValue) one = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'map'},'data':{'key':'one'}}");
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) created = NULL, same = NULL;

  request.verb = CUBE_VERB_PATCH;
  request.patch_type = CUBE_PATCH_APPLY;
  request.resource = maps;
  request.ns = "default";
  request.name = "map";
  request.field_manager = "alice";
  request.body = one;
  created = execute (fixture, &request);
  g_assert_true (created->is_created);
  same = execute (fixture, &request);
  g_assert_false (same->is_created);
  g_assert_cmpuint (cube_object_revision (same->object), ==, cube_object_revision (created->object));
}

static void
test_apply_conflict (Fixture *fixture)
{
  g_autoptr (CubeValue) one = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'map'},'data':{'key':'one'}}");
  g_autoptr (CubeValue) two = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'map'},'data':{'key':'two'}}");
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) created = NULL, refused = NULL, forced = NULL;
  g_autoptr (GError) error = NULL;
  char buffer[64];

  request.verb = CUBE_VERB_PATCH;
  request.patch_type = CUBE_PATCH_APPLY;
  request.resource = resource (fixture, "v1", "configmaps");
  request.ns = "default";
  request.name = "map";
  request.field_manager = "alice";
  request.body = one;
  created = execute (fixture, &request);
  request.field_manager = "bob";
  request.body = two;
  refused = cube_client_execute (fixture->client, &request, &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_CONFLICT);
  g_assert_nonnull (strstr (error->message, "Apply failed with 1 conflict: conflict with \"alice\""));
  request.force = TRUE;
  forced = execute (fixture, &request);
  g_assert_cmpstr (data_key (forced->object, buffer), ==, "two");
}

/* ---- delete ---- */

static void
test_delete (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  g_autoptr (CubeObject) made = create_config_map (fixture, "map", "one");
  g_autoptr (GError) error = NULL;
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;

  g_assert_false (cube_client_delete (fixture->client, maps, "default", "map", "not-it", -1, CUBE_PROPAGATION_DEFAULT, &error));
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_CONFLICT);
  g_assert_true (g_str_has_prefix (
      error->message, "Operation cannot be fulfilled on ConfigMap \"map\": the UID in the precondition (not-it) does not match "));
  g_clear_error (&error);
  request.verb = CUBE_VERB_DELETE;
  request.resource = maps;
  request.ns = "default";
  request.name = "map";
  response = execute (fixture, &request);
  g_assert_false (response->is_deletion_pending);
  g_assert_cmpstr (cube_view_string (cube_value_get (response->value, "status")), ==, "Success");
  g_assert_cmpstr (cube_view_string (cube_value_get (response->value, "details", "uid")), ==, cube_object_uid (made));
  g_assert_false (cube_client_delete (fixture->client, maps, "default", "map", NULL, -1, CUBE_PROPAGATION_DEFAULT, &error));
  assert_error (error, CUBE_ERROR_NOT_FOUND, "configmaps \"map\" not found");
}

static void
test_finalizers (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  g_autoptr (CubeValue) value =
      json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'held','finalizers':['example.com/hold']}}");
  g_autoptr (CubeValue) release = json ("{'metadata':{'finalizers':null}}");
  g_autoptr (CubeObject) made = create (fixture, "v1", "configmaps", "default", value), pending = NULL, last = NULL, none = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (cube_client_delete (fixture->client, maps, "default", "held", NULL, -1, CUBE_PROPAGATION_FOREGROUND, &error));
  g_assert_no_error (error);
  pending = cube_client_get (fixture->client, maps, "default", "held", &error);
  g_assert_no_error (error);
  g_assert_nonnull (cube_object_deletion_timestamp (pending));
  g_assert_true (cube_object_has_finalizer (pending, "foregroundDeletion"));
  g_assert_true (cube_object_has_finalizer (pending, "example.com/hold"));
  last = cube_client_patch (fixture->client, maps, NULL, "default", "held", CUBE_PATCH_MERGE, release, &error);
  g_assert_no_error (error);
  g_assert_nonnull (last);
  none = cube_client_get (fixture->client, maps, "default", "held", &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
}

static void
bind (Fixture *fixture, const char *name, const char *node, GError **error)
{
  g_autoptr (CubeValue) binding =
      json ("{'apiVersion':'v1','kind':'Binding','metadata':{'name':'%s'},'target':{'kind':'Node','name':'%s'}}", name, node);
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;

  request.verb = CUBE_VERB_CREATE;
  request.resource = resource (fixture, "v1", "pods");
  request.subresource = "binding";
  request.ns = "default";
  request.name = name;
  request.body = binding;
  response = cube_client_execute (fixture->client, &request, error);
}

static void
test_pod_life (Fixture *fixture)
{
  const CubeResource *pods = resource (fixture, "v1", "pods");
  g_autoptr (CubeObject) made = create_pod (fixture, "web", ""), other = create_pod (fixture, "other", ""), bound = NULL, dying = NULL,
                         none = NULL;
  g_autoptr (CubeValue) value = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) on_node = NULL;

  bind (fixture, "web", "node-1", &error);
  g_assert_no_error (error);
  bound = cube_client_get (fixture->client, pods, "default", "web", &error);
  value = cube_object_value (bound);
  g_assert_cmpstr (cube_view_string (cube_value_get (value, "spec", "nodeName")), ==, "node-1");
  bind (fixture, "web", "node-2", &error);
  assert_error (error, CUBE_ERROR_CONFLICT,
                "Operation cannot be fulfilled on pods/binding \"web\": pod web is already assigned to node \"node-1\"");
  on_node = cube_client_list_pods_on (fixture->client, "node-1", &error);
  g_assert_no_error (error);
  g_assert_cmpuint (on_node->len, ==, 1);

  /* A bound pod gets its grace; an unbound one goes at once. */
  g_assert_true (cube_client_delete (fixture->client, pods, "default", "web", NULL, 20, CUBE_PROPAGATION_DEFAULT, &error));
  dying = cube_client_get (fixture->client, pods, "default", "web", &error);
  g_assert_no_error (error);
  g_assert_nonnull (cube_object_deletion_timestamp (dying));
  g_assert_true (cube_client_delete (fixture->client, pods, "default", "web", NULL, 0, CUBE_PROPAGATION_DEFAULT, &error));
  none = cube_client_get (fixture->client, pods, "default", "web", &error);
  assert_error (error, CUBE_ERROR_NOT_FOUND, "pods \"web\" not found");
  g_assert_true (cube_client_delete (fixture->client, pods, "default", "other", NULL, -1, CUBE_PROPAGATION_DEFAULT, &error));
  none = cube_client_get (fixture->client, pods, "default", "other", &error);
  assert_error (error, CUBE_ERROR_NOT_FOUND, "pods \"other\" not found");
}

/* ---- list ---- */

static void
test_list (Fixture *fixture)
{
  const CubeResource *pods = resource (fixture, "v1", "pods");
  g_autoptr (CubeSelector) web = cube_selector_parse_labels ("app in (web,db),tier!=back", NULL),
                           bad_field = cube_selector_parse_fields ("spec.nope=1", NULL);
  g_autoptr (CubeSelector) pending = cube_selector_parse_fields ("status.phase=Pending,metadata.name!=a", NULL);
  g_autoptr (GPtrArray) all = NULL, some = NULL;
  g_autoptr (GError) error = NULL;
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) by_field = NULL, refused = NULL;
  guint64 revision = 0;

  cube_object_unref (create_pod (fixture, "a", "'app':'web'"));
  cube_object_unref (create_pod (fixture, "b", "'app':'db','tier':'back'"));
  cube_object_unref (create_pod (fixture, "c", "'app':'db'"));
  cube_object_unref (create_pod (fixture, "d", ""));
  all = cube_client_list (fixture->client, pods, "default", NULL, &revision, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (all->len, ==, 4);
  g_assert_cmpstr (cube_object_name (all->pdata[3]), ==, "d");
  g_assert_cmpuint (revision, >=, cube_object_revision (all->pdata[3]));
  some = cube_client_list (fixture->client, pods, NULL, web, NULL, &error);
  g_assert_cmpuint (some->len, ==, 2);
  request.verb = CUBE_VERB_LIST;
  request.resource = pods;
  request.fields = pending;
  by_field = execute (fixture, &request);
  g_assert_cmpuint (by_field->objects->len, ==, 3);
  request.fields = bad_field;
  refused = cube_client_execute (fixture->client, &request, &error);
  assert_error (error, CUBE_ERROR_BAD_REQUEST, "field label not supported: spec.nope");
}

static void
test_paging (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autofree char *token = NULL;
  g_autoptr (GError) error = NULL;
  guint pages = 0, total = 0;
  guint64 revision = 0;

  for (guint i = 0; i < 25; i++)
    {
      g_autofree char *name = g_strdup_printf ("map-%02u", i);

      cube_object_unref (create_config_map (fixture, name, "x"));
    }
  request.verb = CUBE_VERB_LIST;
  request.resource = maps;
  request.ns = "default";
  request.limit = 10;
  do
    {
      g_autoptr (CubeResponse) page = NULL;

      request.continue_token = token;
      page = execute (fixture, &request);
      g_assert_cmpuint (page->objects->len, <=, 10);
      if (pages == 0)
        revision = page->revision;
      g_assert_cmpuint (page->revision, ==, revision);
      g_assert_cmpint (page->remaining, ==, pages == 0 ? 15 : pages == 1 ? 5 : -1);
      total += page->objects->len;
      pages++;
      g_free (token);
      token = g_strdup (page->continue_token);
      /* What happens between pages does not show: the pages are of one moment. */
      if (pages == 1)
        {
          g_assert_true (cube_client_delete (fixture->client, maps, "default", "map-20", NULL, -1, CUBE_PROPAGATION_DEFAULT, NULL));
          cube_object_unref (create_config_map (fixture, "map-21a", "x"));
        }
    }
  while (token != NULL);
  g_assert_cmpuint (pages, ==, 3);
  g_assert_cmpuint (total, ==, 25);
  {
    g_autoptr (CubeResponse) none = NULL;

    request.continue_token = "!!";
    none = cube_client_execute (fixture->client, &request, &error);
    g_assert_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST);
  }
}

static void
test_list_revisions (Fixture *fixture)
{
  const CubeResource *maps = resource (fixture, "v1", "configmaps");
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) now = NULL, then = NULL, none = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  cube_object_unref (create_config_map (fixture, "a", "x"));
  cube_object_unref (create_config_map (fixture, "b", "x"));
  request.verb = CUBE_VERB_LIST;
  request.resource = maps;
  request.ns = "default";
  now = execute (fixture, &request);
  text = g_strdup_printf ("%" G_GUINT64_FORMAT, now->revision);
  g_assert_true (cube_client_delete (fixture->client, maps, "default", "a", NULL, -1, CUBE_PROPAGATION_DEFAULT, NULL));
  cube_object_unref (create_config_map (fixture, "c", "x"));
  request.resource_version = text;
  request.revision_match = CUBE_MATCH_EXACT;
  then = execute (fixture, &request);
  g_assert_cmpuint (then->revision, ==, now->revision);
  g_assert_cmpuint (then->objects->len, ==, 2);
  g_assert_cmpstr (cube_object_name (then->objects->pdata[0]), ==, "a");
  request.resource_version = "999999";
  request.revision_match = CUBE_MATCH_NOT_OLDER_THAN;
  none = cube_client_execute (fixture->client, &request, &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_TIMEOUT);
  g_assert_true (g_str_has_prefix (error->message, "Timeout: Too large resource version: 999999, current: "));
  g_clear_error (&error);
  request.resource_version = "0";
  request.revision_match = CUBE_MATCH_EXACT;
  none = cube_client_execute (fixture->client, &request, &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
  g_assert_true (
      g_str_has_prefix (error->message, "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch"));
}

/* ---- watch ---- */

typedef struct {
  CubeWatch *watch;
  GString *seen; /* "+a ~a -a ^": ADDED, MODIFIED, DELETED, the bookmark that ends the initial events */
  GError *error;
  guint64 revision;
  const char *wanted;
} Watched;

static void
on_ready (gpointer data)
{
  Watched *watched = data;
  CubeEvent event;

  while (watched->watch != NULL && watched->error == NULL && cube_watch_next (watched->watch, &event, &watched->error))
    {
      if (event.type != CUBE_EVENT_BOOKMARK)
        g_string_append_printf (watched->seen, "%c%s ", "+~-"[event.type], cube_object_name (event.object));
      else if (event.is_initial_end)
        g_string_append (watched->seen, "^ ");
      g_assert_cmpuint (event.revision, >=, event.type == CUBE_EVENT_ADDED ? 0 : watched->revision);
      watched->revision = MAX (watched->revision, event.revision);
      cube_event_clear (&event);
    }
}

static gboolean
has_seen (gpointer data)
{
  Watched *watched = data;

  return watched->error != NULL || g_str_equal (watched->seen->str, watched->wanted);
}

static void
watch_start (Fixture *fixture, Watched *watched, CubeRequest *request)
{
  memset (watched, 0, sizeof *watched);
  watched->seen = g_string_new (NULL);
  request->verb = CUBE_VERB_WATCH;
  watched->watch = cube_client_watch (fixture->client, request, fixture->loop, on_ready, watched, &watched->error);
  g_assert_no_error (watched->error);
}

static void
watch_expect (Fixture *fixture, Watched *watched, const char *wanted)
{
  watched->wanted = wanted;
  fixture_wait (fixture, has_seen, watched);
  g_assert_no_error (watched->error);
  g_assert_cmpstr (watched->seen->str, ==, wanted);
}

static void
watch_end (Watched *watched)
{
  cube_watch_free (watched->watch);
  g_string_free (watched->seen, TRUE);
  g_clear_error (&watched->error);
}

static void
put_label (Fixture *fixture, const char *name, const char *value)
{
  g_autoptr (CubeValue) patch = json ("{'metadata':{'labels':{'app':%s}}}", value);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) patched =
      cube_client_patch (fixture->client, resource (fixture, "v1", "pods"), NULL, "default", name, CUBE_PATCH_MERGE, patch, &error);

  g_assert_no_error (error);
}

static void
test_watch (Fixture *fixture)
{
  CubeRequest request = CUBE_REQUEST_INIT;
  Watched watched;
  g_autoptr (CubeObject) a = create_pod (fixture, "a", ""), b = NULL;

  request.resource = resource (fixture, "v1", "pods");
  request.ns = "default";
  request.send_initial_events = TRUE;
  request.allow_bookmarks = TRUE;
  request.revision_match = CUBE_MATCH_NOT_OLDER_THAN;
  watch_start (fixture, &watched, &request);
  watch_expect (fixture, &watched, "+a ^ ");
  b = create_pod (fixture, "b", "");
  put_label (fixture, "b", "'x'");
  g_assert_true (cube_client_delete (fixture->client, request.resource, "default", "a", NULL, -1, CUBE_PROPAGATION_DEFAULT, NULL));
  watch_expect (fixture, &watched, "+a ^ +b ~b -a ");
  watch_end (&watched);
}

static void
test_watch_selector (Fixture *fixture)
{
  g_autoptr (CubeSelector) selector = cube_selector_parse_labels ("app=web", NULL);
  CubeRequest request = CUBE_REQUEST_INIT;
  Watched watched;

  request.resource = resource (fixture, "v1", "pods");
  request.labels = selector;
  watch_start (fixture, &watched, &request);
  cube_object_unref (create_pod (fixture, "a", ""));
  put_label (fixture, "a", "'web'");
  put_label (fixture, "a", "'db'");
  put_label (fixture, "a", "'web'");
  g_assert_true (cube_client_delete (fixture->client, request.resource, "default", "a", NULL, 0, CUBE_PROPAGATION_DEFAULT, NULL));
  watch_expect (fixture, &watched, "+a -a +a -a ");
  watch_end (&watched);
}

static void
test_watch_resume (Fixture *fixture)
{
  g_autoptr (CubeObject) a = create_config_map (fixture, "a", "x"), b = NULL;
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, cube_object_revision (a));
  Watched watched;

  b = create_config_map (fixture, "b", "x");
  request.resource = resource (fixture, "v1", "configmaps");
  request.resource_version = text;
  watch_start (fixture, &watched, &request);
  watch_expect (fixture, &watched, "+b ");
  watch_end (&watched);
}

static void
test_watch_node (Fixture *fixture)
{
  g_autoptr (CubeSelector) selector = cube_selector_parse_fields ("spec.nodeName=node-1", NULL);
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (GError) error = NULL;
  Watched watched;

  request.resource = resource (fixture, "v1", "pods");
  request.fields = selector;
  watch_start (fixture, &watched, &request);
  cube_object_unref (create_pod (fixture, "a", ""));
  cube_object_unref (create_pod (fixture, "b", ""));
  bind (fixture, "a", "node-1", &error);
  g_assert_no_error (error);
  bind (fixture, "b", "node-2", &error);
  g_assert_no_error (error);
  put_label (fixture, "b", "'x'");
  put_label (fixture, "a", "'x'");
  g_assert_true (cube_client_delete (fixture->client, request.resource, "default", "a", NULL, 0, CUBE_PROPAGATION_DEFAULT, NULL));
  watch_expect (fixture, &watched, "+a ~a -a ");
  watch_end (&watched);
}

static gboolean
has_ended (gpointer data)
{
  return ((Watched *) data)->error != NULL;
}

static void
test_watch_timeout (Fixture *fixture)
{
  CubeRequest request = CUBE_REQUEST_INIT;
  Watched watched;

  request.resource = resource (fixture, "v1", "configmaps");
  request.timeout_us = G_USEC_PER_SEC;
  watch_start (fixture, &watched, &request);
  fixture_wait (fixture, has_ended, &watched);
  g_assert_error (watched.error, CUBE_ERROR, CUBE_ERROR_TIMEOUT);
  watch_end (&watched);
}

/* ---- subresources ---- */

static void
test_scale_status (Fixture *fixture)
{
  const CubeResource *sets = resource (fixture, "apps/v1", "replicasets");
  g_autoptr (CubeValue) set = json (
      "{'apiVersion':'apps/v1','kind':'ReplicaSet','metadata':{'name':'rs'},'spec':{'replicas':2,'selector':{'matchLabels':{'a':'b'}},"
      "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}}}");
  g_autoptr (CubeValue) patch = json ("{'spec':{'replicas':5}}"), status = json ("{'status':{'replicas':3},'spec':{'replicas':9}}"),
                        negative = json ("{'spec':{'replicas':-1}}");
  g_autoptr (CubeObject) made = create (fixture, "apps/v1", "replicasets", "default", set), after = NULL;
  g_autoptr (CubeResponse) scale = NULL, scaled = NULL, none = NULL;
  g_autoptr (CubeValue) value = NULL;
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (GError) error = NULL;

  request.verb = CUBE_VERB_GET;
  request.resource = sets;
  request.subresource = "scale";
  request.ns = "default";
  request.name = "rs";
  scale = execute (fixture, &request);
  g_assert_cmpstr (cube_view_string (cube_value_get (scale->value, "kind")), ==, "Scale");
  g_assert_cmpint (cube_view_int (cube_value_get (scale->value, "spec", "replicas"), 0), ==, 2);
  g_assert_cmpstr (cube_view_string (cube_value_get (scale->value, "status", "selector")), ==, "a=b");
  request.verb = CUBE_VERB_PATCH;
  request.patch_type = CUBE_PATCH_MERGE;
  request.body = patch;
  scaled = execute (fixture, &request);
  g_assert_cmpint (cube_view_int (cube_value_get (scaled->value, "spec", "replicas"), 0), ==, 5);
  request.body = negative;
  none = cube_client_execute (fixture->client, &request, &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
  g_clear_error (&error);

  /* status takes the status and leaves the spec */
  after = cube_client_patch (fixture->client, sets, "status", "default", "rs", CUBE_PATCH_MERGE, status, &error);
  g_assert_no_error (error);
  value = cube_object_value (after);
  g_assert_cmpint (cube_view_int (cube_value_get (value, "spec", "replicas"), 0), ==, 5);
  g_assert_cmpint (cube_view_int (cube_value_get (value, "status", "replicas"), 0), ==, 3);
  g_assert_cmpint (cube_object_generation (after), ==, 2);
}

static void
test_namespace (Fixture *fixture)
{
  const CubeResource *namespaces = resource (fixture, "v1", "namespaces");
  g_autoptr (CubeValue) value = json ("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'team'}}"), status = NULL, final = NULL;
  g_autoptr (CubeObject) made = create (fixture, "v1", "namespaces", NULL, value), dying = NULL, last = NULL, none = NULL;
  g_autoptr (GError) error = NULL;

  g_assert_true (cube_client_delete (fixture->client, namespaces, NULL, "team", NULL, -1, CUBE_PROPAGATION_DEFAULT, &error));
  dying = cube_client_get (fixture->client, namespaces, NULL, "team", &error);
  g_assert_no_error (error);
  status = cube_object_value (dying);
  g_assert_cmpstr (cube_view_string (cube_value_get (status, "status", "phase")), ==, "Terminating");
  g_assert_cmpuint (cube_view_length (cube_value_get (status, "spec", "finalizers")), ==, 1);
  final = json ("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'team'},'spec':{'finalizers':[]}}");
  last = cube_client_update (fixture->client, namespaces, "finalize", NULL, "team", final, &error);
  g_assert_no_error (error);
  none = cube_client_get (fixture->client, namespaces, NULL, "team", &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND);
}

static void
test_delete_collection (Fixture *fixture)
{
  g_autoptr (CubeSelector) selector = cube_selector_parse_labels ("app=web", NULL);
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) response = NULL;
  g_autoptr (GPtrArray) left = NULL;

  cube_object_unref (create_pod (fixture, "a", "'app':'web'"));
  cube_object_unref (create_pod (fixture, "b", "'app':'web'"));
  cube_object_unref (create_pod (fixture, "c", ""));
  request.verb = CUBE_VERB_DELETE_COLLECTION;
  request.resource = resource (fixture, "v1", "pods");
  request.ns = "default";
  request.labels = selector;
  response = execute (fixture, &request);
  g_assert_cmpuint (response->objects->len, ==, 2);
  left = cube_client_list (fixture->client, request.resource, "default", NULL, NULL, NULL);
  g_assert_cmpuint (left->len, ==, 1);
}

static void
test_unknown_fields (Fixture *fixture)
{
  g_autoptr (CubeValue) value = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'odd'},'nope':1}");
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) warned = NULL, refused = NULL;
  g_autoptr (GError) error = NULL;

  request.verb = CUBE_VERB_CREATE;
  request.resource = resource (fixture, "v1", "configmaps");
  request.ns = "default";
  request.body = value;
  request.field_validation = CUBE_VALIDATION_STRICT;
  refused = cube_client_execute (fixture->client, &request, &error);
  assert_error (error, CUBE_ERROR_BAD_REQUEST,
                "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"nope\"");
  request.field_validation = CUBE_VALIDATION_DEFAULT;
  warned = execute (fixture, &request);
  g_assert_nonnull (warned->warnings);
  g_assert_cmpuint (warned->warnings->len, ==, 1);
  g_assert_cmpstr (warned->warnings->pdata[0], ==, "unknown field \"nope\"");
}

static void
test_owned (Fixture *fixture)
{
  g_autoptr (CubeObject) owner = create_config_map (fixture, "owner", "x"), child = NULL;
  g_autoptr (CubeValue) value =
      json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'child','ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap',"
            "'name':'owner','uid':'%s','controller':true}]}}",
            cube_object_uid (owner));
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) owned = NULL;

  child = create (fixture, "v1", "configmaps", "default", value);
  owned = cube_client_list_owned (fixture->client, resource (fixture, "v1", "configmaps"), "default", cube_object_uid (owner), &error);
  g_assert_no_error (error);
  g_assert_cmpuint (owned->len, ==, 1);
  g_assert_cmpstr (cube_object_name (owned->pdata[0]), ==, "child");
}

/* Who made a CertificateSigningRequest is for the server to say. */
static void
test_requester (Fixture *fixture)
{
  g_autoptr (CubeValue) csr =
      json ("{'apiVersion':'certificates.k8s.io/v1','kind':'CertificateSigningRequest','metadata':{'name':'csr'},'spec':{"
            "'username':'somebody-else','groups':['system:masters-not'],'signerName':'example.com/signer','usages':['client auth'],"
            "'request':'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K'}}");
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) made =
      cube_client_create (fixture->client, resource (fixture, "certificates.k8s.io/v1", "certificatesigningrequests"), NULL, csr, &error);

  if (made != NULL)
    {
      g_autoptr (CubeValue) value = cube_object_value (made);

      g_assert_cmpstr (cube_view_string (cube_value_get (value, "spec", "username")), !=, "somebody-else");
      g_assert_cmpstr (cube_view_string (cube_view_element (cube_value_get (value, "spec", "groups"), 0)), ==, "system:masters");
      return;
    }
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID); /* a server that reads the request refuses this one */
}

/* ---- modify and the asynchronous door ---- */

static gboolean
count_up (CubeMut *root, CubeView current, gpointer data)
{
  g_autofree char *text = g_strdup_printf ("%d", atoi (cube_view_string_or (cube_view_get (current, "data", "key"), "0")) + 1);

  cube_mut_set_string (cube_mut_ensure (root, "data"), "key", text);
  return TRUE;
}

static void
test_modify (Fixture *fixture)
{
  g_autoptr (CubeObject) made = create_config_map (fixture, "map", "0");
  g_autoptr (GError) error = NULL;
  char buffer[64];

  for (guint i = 1; i <= 3; i++)
    {
      g_autoptr (CubeObject) changed =
          cube_client_modify (fixture->client, resource (fixture, "v1", "configmaps"), NULL, "default", "map", count_up, NULL, &error);

      g_assert_no_error (error);
      g_assert_cmpint (atoi (data_key (changed, buffer)), ==, (int) i);
    }
}

typedef struct {
  guint created, refused, wanted;
} Counts;

static void
on_response (CubeResponse *response, GError *error, gpointer data)
{
  Counts *counts = data;

  if (response != NULL)
    counts->created++;
  else
    {
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS);
      counts->refused++;
    }
  cube_response_unref (response);
  g_clear_error (&error);
}

static gboolean
has_counted (gpointer data)
{
  Counts *counts = data;

  return counts->created + counts->refused == counts->wanted;
}

static void
test_async (Fixture *fixture)
{
  CubeRequest requests[40];
  CubeValue *bodies[40];
  Counts counts = { .wanted = G_N_ELEMENTS (requests) };

  for (guint i = 0; i < G_N_ELEMENTS (requests); i++)
    {
      bodies[i] = json ("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'map-%u'}}", i / 2);
      requests[i] = (CubeRequest) CUBE_REQUEST_INIT;
      requests[i].verb = CUBE_VERB_CREATE;
      requests[i].resource = resource (fixture, "v1", "configmaps");
      requests[i].ns = "default";
      requests[i].body = bodies[i];
      cube_client_execute_async (fixture->client, &requests[i], fixture->loop, on_response, &counts);
    }
  g_assert_cmpuint (counts.created + counts.refused, ==, 0);
  fixture_wait (fixture, has_counted, &counts);
  g_assert_cmpuint (counts.created, ==, 20);
  g_assert_cmpuint (counts.refused, ==, 20);
  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++)
    cube_value_unref (bodies[i]);
}

/* ---- the suite ---- */

static void
run_case (gconstpointer data)
{
  const Case *one = data;
  Fixture fixture;

  one->init (&fixture);
  one->test (&fixture);
  one->clear (&fixture);
}

void
suite_add (const char *prefix, BackInit init, BackClear clear)
{
  static const struct {
    const char *name;
    void (*test) (Fixture *fixture);
  } tests[] = {
    { "create-get", test_create_get },
    { "generate-name", test_generate_name },
    { "create-refused", test_create_refused },
    { "update", test_update },
    { "update-missing", test_update_missing },
    { "dry-run", test_dry_run },
    { "dry-run-in-body", test_dry_run_in_body },
    { "patch", test_patch },
    { "apply", test_apply },
    { "apply-conflict", test_apply_conflict },
    { "watch-node", test_watch_node },
    { "delete", test_delete },
    { "finalizers", test_finalizers },
    { "pod-life", test_pod_life },
    { "list", test_list },
    { "paging", test_paging },
    { "list-revisions", test_list_revisions },
    { "watch", test_watch },
    { "watch-selector", test_watch_selector },
    { "watch-resume", test_watch_resume },
    { "watch-timeout", test_watch_timeout },
    { "scale-status", test_scale_status },
    { "namespace", test_namespace },
    { "delete-collection", test_delete_collection },
    { "unknown-fields", test_unknown_fields },
    { "owned", test_owned },
    { "requester", test_requester },
    { "modify", test_modify },
    { "async", test_async },
  };

  for (guint i = 0; i < G_N_ELEMENTS (tests); i++)
    {
      g_autofree char *path = g_strdup_printf ("/client/%s/%s", prefix, tests[i].name);
      Case *one = g_new (Case, 1);

      *one = (Case){ init, clear, tests[i].test };
      g_test_add_data_func_full (path, one, run_case, g_free);
    }
}
