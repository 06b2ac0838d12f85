/* SPDX-License-Identifier: Apache-2.0 */
/* Informer, election, recorder, controllers and event expiry, on a virtual clock. */
#include "fixture.h"

/* ---- informer ---- */

typedef struct {
  GString *log;
} Seen;

static void
on_changed (CubeEventType type, CubeObject *object, CubeObject *old, gpointer data)
{
  Seen *seen = data;

  g_assert_true ((type == CUBE_EVENT_ADDED) == (old == NULL));
  g_string_append_printf (seen->log, "%c%s ", "+~-"[type], cube_object_name (object));
}

static void
test_informer (void)
{
  Fixture fixture;
  Seen seen = { g_string_new (NULL) };
  CubeInformer *informer;
  g_autoptr (CubeObject) got = NULL;
  g_autoptr (GPtrArray) list = NULL;

  fixture_init (&fixture, TRUE, 0);
  cube_object_unref (create_config_map (&fixture, "a", "1"));
  informer = cube_informer_new (fixture.client, resource (&fixture, "v1", "configmaps"), NULL, NULL, NULL, fixture.loop, on_changed, &seen);
  g_assert_false (cube_informer_has_synced (informer));
  fixture_run (&fixture, 1000);
  g_assert_true (cube_informer_has_synced (informer));
  g_assert_cmpstr (seen.log->str, ==, "+a ");
  cube_object_unref (create_config_map (&fixture, "b", "1"));
  g_assert_true (cube_client_delete (fixture.client, resource (&fixture, "v1", "configmaps"), "default", "a", NULL, -1,
                                     CUBE_PROPAGATION_DEFAULT, NULL));
  fixture_run (&fixture, 1000);
  g_assert_cmpstr (seen.log->str, ==, "+a +b -a ");
  got = cube_informer_get (informer, "default", "b");
  g_assert_nonnull (got);
  list = cube_informer_list (informer, NULL, NULL);
  g_assert_cmpuint (list->len, ==, 1);
  /* Watches end after half an hour to an hour: the informer goes on as if nothing had been. */
  fixture_run (&fixture, G_GINT64_CONSTANT (3) * 3600 * G_USEC_PER_SEC);
  g_assert_cmpstr (seen.log->str, ==, "+a +b -a ");
  cube_object_unref (create_config_map (&fixture, "c", "1"));
  fixture_run (&fixture, 1000);
  g_assert_cmpstr (seen.log->str, ==, "+a +b -a +c ");
  cube_informer_free (informer);
  g_string_free (seen.log, TRUE);
  fixture_clear (&fixture);
}

/* More changes than the history holds while the informer does not look: it lists again and tells the difference. */
static void
test_informer_gap (void)
{
  Fixture fixture;
  Seen seen = { g_string_new (NULL) };
  CubeInformer *informer;
  const CubeResource *maps;

  fixture_init (&fixture, TRUE, 16);
  maps = resource (&fixture, "v1", "configmaps");
  cube_object_unref (create_config_map (&fixture, "gone", "1"));
  cube_object_unref (create_config_map (&fixture, "stays", "1"));
  informer = cube_informer_new (fixture.client, maps, NULL, NULL, NULL, fixture.loop, on_changed, &seen);
  fixture_run (&fixture, 1000);
  g_string_truncate (seen.log, 0);
  g_assert_true (cube_client_delete (fixture.client, maps, "default", "gone", NULL, -1, CUBE_PROPAGATION_DEFAULT, NULL));
  for (guint i = 0; i < 5000; i++)
    {
      g_autoptr (CubeValue) patch = json ("{'data':{'key':'%u'}}", i);

      cube_object_unref (cube_client_patch (fixture.client, maps, NULL, "default", "stays", CUBE_PATCH_MERGE, patch, NULL));
    }
  cube_object_unref (create_config_map (&fixture, "new", "1"));
  fixture_run (&fixture, G_USEC_PER_SEC);
  g_assert_cmpstr (seen.log->str, ==, "+new ~stays -gone ");
  cube_informer_free (informer);
  g_string_free (seen.log, TRUE);
  fixture_clear (&fixture);
}

/* ---- a page too late ---- */

static void
test_expired_page (void)
{
  Fixture fixture;
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (CubeResponse) first = NULL, late = NULL, rest = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *fresh = NULL;

  fixture_init (&fixture, TRUE, 16);
  for (guint i = 0; i < 6; i++)
    {
      g_autofree char *name = g_strdup_printf ("m%u", i);

      cube_object_unref (create_config_map (&fixture, name, "x"));
    }
  request.verb = CUBE_VERB_LIST;
  request.resource = resource (&fixture, "v1", "configmaps");
  request.limit = 4;
  first = execute (&fixture, &request);
  /* The kept image ages out, and the history moves on. */
  fixture_run (&fixture, G_GINT64_CONSTANT (20) * 60 * G_USEC_PER_SEC);
  for (guint i = 0; i < 5000; i++)
    {
      g_autoptr (CubeValue) patch = json ("{'data':{'key':'%u'}}", i);

      cube_object_unref (cube_client_patch (fixture.client, request.resource, NULL, "default", "m5", CUBE_PATCH_MERGE, patch, NULL));
    }
  {
    CubeRequest other = CUBE_REQUEST_INIT; /* keeping another image lets the store look at the ages */
    g_autoptr (CubeResponse) page = NULL;

    other.verb = CUBE_VERB_LIST;
    other.resource = request.resource;
    other.limit = 1;
    page = execute (&fixture, &other);
  }
  request.continue_token = first->continue_token;
  late = cube_client_execute (fixture.client, &request, &error);
  g_assert_error (error, CUBE_ERROR, CUBE_ERROR_EXPIRED);
  fresh = g_strdup (cube_error_get_details (error)->continue_token);
  g_assert_nonnull (fresh);
  request.continue_token = fresh;
  rest = execute (&fixture, &request);
  g_assert_cmpuint (rest->objects->len, ==, 2);
  g_assert_cmpstr (cube_object_name (rest->objects->pdata[0]), ==, "m4");
  fixture_clear (&fixture);
}

/* ---- election ---- */

typedef struct {
  guint started, stopped;
} Led;

static void
on_started (gpointer data)
{
  ((Led *) data)->started++;
}

static void
on_stopped (gpointer data)
{
  ((Led *) data)->stopped++;
}

static void
test_election (void)
{
  Fixture fixture;
  Led one = { 0 }, two = { 0 };
  CubeElection *first, *second;
  g_autoptr (CubeObject) lease = NULL;
  g_autoptr (CubeValue) value = NULL;

  fixture_init (&fixture, TRUE, 0);
  first = cube_election_new (fixture.context, fixture.client, "kube-system", "test", "one", fixture.loop, on_started, on_stopped, &one);
  fixture_run (&fixture, 1000);
  g_assert_true (cube_election_is_leader (first));
  second = cube_election_new (fixture.context, fixture.client, "kube-system", "test", "two", fixture.loop, on_started, on_stopped, &two);
  fixture_run (&fixture, 120 * G_USEC_PER_SEC);
  g_assert_true (cube_election_is_leader (first));
  g_assert_false (cube_election_is_leader (second));
  g_assert_cmpuint (one.started, ==, 1);
  lease = cube_client_get (fixture.client, resource (&fixture, "coordination.k8s.io/v1", "leases"), "kube-system", "test", NULL);
  value = cube_object_value (lease);
  g_assert_cmpstr (cube_view_string (cube_value_get (value, "spec", "holderIdentity")), ==, "one");
  g_assert_cmpint (cube_view_int (cube_value_get (value, "spec", "leaseDurationSeconds"), 0), ==, 15);
  /* Given back, it is taken at once; not given back, after it stood still for 15 s. */
  cube_election_free (first);
  fixture_run (&fixture, 5 * G_USEC_PER_SEC);
  g_assert_true (cube_election_is_leader (second));
  g_assert_cmpuint (two.started, ==, 1);
  {
    g_autoptr (CubeValue) steal = json ("{'spec':{'holderIdentity':'three'}}");
    Led three = { 0 };

    cube_object_unref (cube_client_patch (fixture.client, resource (&fixture, "coordination.k8s.io/v1", "leases"), NULL, "kube-system",
                                          "test", CUBE_PATCH_MERGE, steal, NULL));
    fixture_run (&fixture, 7 * G_USEC_PER_SEC);
    g_assert_cmpuint (two.stopped, ==, 0); /* it may still be its turn: 10 s since it renewed */
    fixture_run (&fixture, 5 * G_USEC_PER_SEC);
    g_assert_cmpuint (two.stopped, ==, 1);
    first =
        cube_election_new (fixture.context, fixture.client, "kube-system", "test", "four", fixture.loop, on_started, on_stopped, &three);
    fixture_run (&fixture, 30 * G_USEC_PER_SEC);
    g_assert_cmpuint (three.started + two.started, ==, 2); /* one of them took over, three being silent */
    g_assert_true (cube_election_is_leader (first) != cube_election_is_leader (second));
    cube_election_free (first);
  }
  cube_election_free (second);
  fixture_clear (&fixture);
}

/* ---- recorder ---- */

static GPtrArray *
events (Fixture *fixture)
{
  return cube_client_list (fixture->client, resource (fixture, "v1", "events"), NULL, NULL, NULL, NULL);
}

static void
test_recorder (void)
{
  Fixture fixture;
  CubeRecorder *recorder;
  g_autoptr (CubeObject) about = NULL;
  g_autoptr (GPtrArray) found = NULL;
  g_autoptr (CubeValue) event = NULL;

  fixture_init (&fixture, TRUE, 0);
  about = create_pod (&fixture, "web", "");
  recorder = cube_recorder_new (fixture.context, fixture.client, "test-controller", "host-1");
  for (guint i = 0; i < 5; i++)
    {
      cube_recorder_event (recorder, about, "spec.containers{web}", "Warning", "BackOff", "back-off %s", "restarting");
      fixture_run (&fixture, G_USEC_PER_SEC);
    }
  found = events (&fixture);
  g_assert_cmpuint (found->len, ==, 1);
  event = cube_object_value (found->pdata[0]);
  g_assert_cmpint (cube_view_int (cube_value_get (event, "count"), 0), ==, 5);
  g_assert_cmpstr (cube_view_string (cube_value_get (event, "reason")), ==, "BackOff");
  g_assert_cmpstr (cube_view_string (cube_value_get (event, "message")), ==, "back-off restarting");
  g_assert_cmpstr (cube_view_string (cube_value_get (event, "source", "component")), ==, "test-controller");
  g_assert_cmpstr (cube_view_string (cube_value_get (event, "involvedObject", "fieldPath")), ==, "spec.containers{web}");
  g_assert_cmpstr (cube_view_string (cube_value_get (event, "involvedObject", "uid")), ==, cube_object_uid (about));
  g_assert_true (g_str_has_prefix (cube_object_name (found->pdata[0]), "web."));
  g_assert_cmpstr (cube_view_string (cube_value_get (event, "firstTimestamp")), !=,
                   cube_view_string (cube_value_get (event, "lastTimestamp")));
  cube_recorder_free (recorder);
  fixture_clear (&fixture);
}

static void
test_recorder_flood (void)
{
  Fixture fixture;
  CubeRecorder *recorder;
  g_autoptr (CubeObject) about = NULL;
  g_autoptr (GPtrArray) found = NULL;
  guint combined = 0, total = 0;

  fixture_init (&fixture, TRUE, 0);
  about = create_pod (&fixture, "web", "");
  recorder = cube_recorder_new (fixture.context, fixture.client, "test-controller", "");
  for (guint i = 0; i < 100; i++)
    cube_recorder_event (recorder, about, NULL, "Normal", "Same", "message %u", i);
  fixture_run (&fixture, G_USEC_PER_SEC);
  found = events (&fixture);
  for (guint i = 0; i < found->len; i++)
    {
      g_autoptr (CubeValue) event = cube_object_value (found->pdata[i]);

      combined += g_str_has_prefix (cube_view_string_or (cube_value_get (event, "message"), ""), "(combined from similar events): ");
      total += cube_view_int (cube_value_get (event, "count"), 0);
    }
  g_assert_cmpuint (found->len, ==, 10); /* nine told apart, the rest as one */
  g_assert_cmpuint (combined, ==, 1);
  g_assert_cmpuint (total, ==, 25); /* the burst a source has for one object */
  cube_recorder_free (recorder);
  fixture_clear (&fixture);
}

static void
test_event_expiry (void)
{
  Fixture fixture;
  CubeRecorder *recorder;
  g_autoptr (CubeObject) about = NULL;
  g_autoptr (GPtrArray) soon = NULL, later = NULL;

  fixture_init (&fixture, TRUE, 0);
  about = create_pod (&fixture, "web", "");
  recorder = cube_recorder_new (fixture.context, fixture.client, "test-controller", "");
  cube_recorder_event (recorder, about, NULL, "Normal", "Old", "old");
  fixture_run (&fixture, G_GINT64_CONSTANT (50) * 60 * G_USEC_PER_SEC);
  cube_recorder_event (recorder, about, NULL, "Normal", "Young", "young");
  fixture_run (&fixture, G_GINT64_CONSTANT (8) * 60 * G_USEC_PER_SEC);
  soon = events (&fixture);
  g_assert_cmpuint (soon->len, ==, 2);
  fixture_run (&fixture, G_GINT64_CONSTANT (8) * 60 * G_USEC_PER_SEC);
  later = events (&fixture);
  g_assert_cmpuint (later->len, ==, 1);
  cube_recorder_free (recorder);
  fixture_clear (&fixture);
}

/* ---- controllers ---- */

static guint reconciled, failed_first, was_started, was_stopped;

/* Labels every config map with its key's length. */
static gint64
reconcile (gpointer state, CubeControllerEnv *env, const char *key, GError **error)
{
  const CubeResource *maps = cube_schema_resource (cube_client_schema (env->client), "v1", "configmaps");
  g_autofree char *ns = NULL, *name = NULL;
  g_autoptr (CubeValue) patch = json ("{'metadata':{'labels':{'length':'%u'}}}", (guint) strlen (key));
  g_autoptr (CubeObject) patched = NULL;

  reconciled++;
  if (failed_first > 0)
    {
      failed_first--;
      g_set_error_literal (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "not yet");
      return -1;
    }
  cube_key_split (key, &ns, &name);
  patched = cube_client_patch (env->client, maps, NULL, ns, name, CUBE_PATCH_MERGE, patch, error);
  return patched != NULL ? 0 : -1;
}

static gboolean
controller_start (gpointer state, CubeControllerEnv *env, GError **error)
{
  was_started++;
  return TRUE;
}

static void
controller_stop (gpointer state, CubeControllerEnv *env)
{
  was_stopped++;
}

static const CubeControllerWatch watches[] = { { "v1", "configmaps", NULL }, { NULL } };
static const CubeControllerOps controller_ops = {
  .ops_size = sizeof (CubeControllerOps), .watches = watches, .reconcile = reconcile, .start = controller_start, .stop = controller_stop
};

static void
test_controllers (void)
{
  static const CubeInterfaceImpl impl = CUBE_IMPL (CUBE_CONTROLLER, CUBE_CONTROLLER_VERSION, "labeller", controller_ops);
  Fixture fixture;
  CubeControllers *controllers;
  g_autoptr (CubeObject) labelled = NULL, late = NULL, lease = NULL;

  fixture_init (&fixture, TRUE, 0);
  cube_object_unref (create_config_map (&fixture, "early", "1"));
  controllers = cube_controllers_start (fixture.context, fixture.client);
  fixture_run (&fixture, G_USEC_PER_SEC);
  g_assert_true (cube_controllers_is_leading (controllers));
  failed_first = 2;
  /* It comes while everything runs. */
  g_assert_true (cube_registry_add (fixture.registry, &impl, "labeller-plugin", NULL, fixture.context, NULL));
  fixture_run (&fixture, G_USEC_PER_SEC);
  g_assert_cmpuint (was_started, ==, 1);
  labelled = cube_client_get (fixture.client, resource (&fixture, "v1", "configmaps"), "default", "early", NULL);
  g_assert_cmpstr (cube_object_label (labelled, "length"), ==, "13");
  g_assert_cmpuint (reconciled, >=, 3);
  cube_object_unref (create_config_map (&fixture, "late", "1"));
  fixture_run (&fixture, G_USEC_PER_SEC);
  late = cube_client_get (fixture.client, resource (&fixture, "v1", "configmaps"), "default", "late", NULL);
  g_assert_cmpstr (cube_object_label (late, "length"), ==, "12");
  /* And goes. */
  cube_registry_remove_plugin (fixture.registry, "labeller-plugin");
  fixture_run (&fixture, G_USEC_PER_SEC);
  g_assert_cmpuint (was_stopped, ==, 1);
  g_assert_true (cube_registry_drain (fixture.registry, "labeller-plugin", 0));
  cube_controllers_stop (controllers);
  lease = cube_client_get (fixture.client, resource (&fixture, "coordination.k8s.io/v1", "leases"), "kube-system",
                           "kube-controller-manager", NULL);
  {
    g_autoptr (CubeValue) value = cube_object_value (lease);

    g_assert_cmpstr (cube_view_string_or (cube_value_get (value, "spec", "holderIdentity"), ""), ==, "");
  }
  fixture_clear (&fixture);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/client/informer/changes", test_informer);
  g_test_add_func ("/client/informer/gap", test_informer_gap);
  g_test_add_func ("/client/expired-page", test_expired_page);
  g_test_add_func ("/client/election", test_election);
  g_test_add_func ("/client/recorder/repeats", test_recorder);
  g_test_add_func ("/client/recorder/flood", test_recorder_flood);
  g_test_add_func ("/client/recorder/expiry", test_event_expiry);
  g_test_add_func ("/client/controllers", test_controllers);
  return g_test_run ();
}
