/* SPDX-License-Identifier: Apache-2.0 */
/* The whole scheduler on a simulated process, over the store and the in-process client. */
#include "fixture.h"

typedef struct {
  Fixture base;
  Driver *driver;
} World;

static void
world_init (World *world, const char *config)
{
  g_autoptr (CubeValue) value = *config != '\0' ? json ("%s", config) : NULL;
  g_autoptr (CubeValue) ns = json ("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'kube-system'}}");
  g_autoptr (GError) error = NULL;
  CubeContext *context;

  fixture_init (&world->base, TRUE, 0);
  cube_object_unref (create (&world->base, "v1", "namespaces", NULL, ns));
  policies_add (world->base.registry, world->base.process, TRUE);
  context = cube_process_new_context (world->base.process, "scheduler-driver", value != NULL ? cube_value_root (value) : cube_view_none ());
  world->driver = driver_new (context, &error);
  g_assert_no_error (error);
  g_assert_true (driver_start (world->driver, FALSE, &error));
}

static void
world_clear (World *world)
{
  driver_stop (world->driver);
  for (guint i = 0; i < world->driver->profiles->len; i++)
    g_clear_pointer (&((Profile *) world->driver->profiles->pdata[i])->recorder, cube_recorder_free);
  fixture_run (&world->base, G_USEC_PER_SEC);
  driver_unref (world->driver);
  fixture_clear (&world->base);
}

static void
add_node (World *world, const char *name, const char *labels, const char *spec, const char *cpu)
{
  g_autoptr (CubeValue) value =
      json ("{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s','labels':{%s}},'spec':{%s},"
            "'status':{'allocatable':{'cpu':'%s','memory':'8Gi','pods':'110'},'capacity':{'cpu':'%s','memory':'8Gi','pods':'110'}}}",
            name, labels, spec, cpu, cpu);

  cube_object_unref (create (&world->base, "v1", "nodes", NULL, value));
}

static void
add_pod (World *world, const char *name, const char *spec, const char *cpu)
{
  g_autoptr (CubeValue) value =
      json ("{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s'},'spec':{'containers':[{'name':'a','image':'x',"
            "'resources':{'requests':{'cpu':'%s'}}}]%s%s}}",
            name, cpu, *spec != '\0' ? "," : "", spec);

  cube_object_unref (create (&world->base, "v1", "pods", "default", value));
}

static CubeValue *
get (World *world, const char *plural, const char *ns, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeObject) object = cube_client_get (world->base.client, resource (&world->base, "v1", plural), ns, name, &error);

  g_assert_no_error (error);
  return cube_object_value (object);
}

static void
assert_on (World *world, const char *pod, const char *node)
{
  g_autoptr (CubeValue) value = get (world, "pods", "default", pod);

  g_assert_cmpstr (cube_view_string (cube_value_get (value, "spec", "nodeName")), ==, node);
}

static void
assert_refused (World *world, const char *pod, const char *message)
{
  g_autoptr (CubeValue) value = get (world, "pods", "default", pod);
  CubeView condition = cube_view_element (cube_value_get (value, "status", "conditions"), 0);

  g_assert_null (cube_view_string (cube_value_get (value, "spec", "nodeName")));
  g_assert_cmpstr (cube_view_get_string (condition, "type"), ==, "PodScheduled");
  g_assert_cmpstr (cube_view_get_string (condition, "status"), ==, "False");
  g_assert_cmpstr (cube_view_get_string (condition, "reason"), ==, "Unschedulable");
  g_assert_cmpstr (cube_view_get_string (condition, "message"), ==, message);
}

/* The message of the event of @reason about @pod. (transfer full) */
static char *
event_about (World *world, const char *pod, const char *reason)
{
  g_autoptr (GPtrArray) events =
      cube_client_list (world->base.client, resource (&world->base, "v1", "events"), "default", NULL, NULL, NULL);

  for (guint i = 0; i < events->len; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (events->pdata[i]);

      if (g_strcmp0 (cube_view_string (cube_value_get (value, "involvedObject", "name")), pod) == 0
          && g_strcmp0 (cube_view_string (cube_value_get (value, "reason")), reason) == 0)
        return g_strdup (cube_view_string (cube_value_get (value, "message")));
    }
  return NULL;
}

static const Record *
record_of (World *world, const char *pod)
{
  g_autoptr (CubeValue) value = get (world, "pods", "default", pod);

  return driver_record (world->driver, cube_view_string (cube_value_get (value, "metadata", "uid")));
}

static void
patch (World *world, const char *plural, const char *ns, const char *name, const char *text)
{
  g_autoptr (CubeValue) body = json ("%s", text);
  g_autoptr (GError) error = NULL;
  CubeObject *object =
      cube_client_patch (world->base.client, resource (&world->base, "v1", plural), NULL, ns, name, CUBE_PATCH_MERGE, body, &error);

  g_assert_no_error (error);
  cube_object_unref (object);
}

static void
settle (World *world)
{
  fixture_run (&world->base, 3 * G_USEC_PER_SEC);
}

static void
test_spread (void)
{
  guint counts[4] = { 0 };
  World world;

  world_init (&world, "");
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *name = g_strdup_printf ("n%u", i);

      add_node (&world, name, "", "", "4");
    }
  for (guint i = 0; i < 12; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);

      add_pod (&world, name, "", "1");
    }
  settle (&world);
  for (guint i = 0; i < 12; i++)
    {
      g_autofree char *name = g_strdup_printf ("p%u", i);
      g_autoptr (CubeValue) pod = get (&world, "pods", "default", name);
      const char *node = cube_view_string (cube_value_get (pod, "spec", "nodeName"));

      g_assert_nonnull (node);
      counts[node[1] - '0']++;
    }
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (counts[i], ==, 3);
  g_autofree char *event = event_about (&world, "p0", "Scheduled");
  g_assert_true (g_str_has_prefix (event, "Successfully assigned default/p0 to n"));
  g_assert_cmpuint (world.driver->n_binding, ==, 0);
  world_clear (&world);
}

static void
test_refused (void)
{
  World world;

  world_init (&world, "");
  add_node (&world, "full", "", "", "1");
  add_node (&world, "tainted", "", "'taints':[{'key':'k','effect':'NoSchedule'}]", "8");
  add_node (&world, "cordoned", "", "'unschedulable':true", "8");
  add_pod (&world, "p", "", "2");
  settle (&world);
  assert_refused (&world, "p",
                  "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.");
  {
    g_autofree char *event = event_about (&world, "p", "FailedScheduling");

    g_assert_cmpstr (event, ==,
                     "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.");
  }
  patch (&world, "nodes", NULL, "tainted", "{'spec':{'taints':null}}");
  settle (&world);
  assert_on (&world, "p", "tainted");
  world_clear (&world);
}

static void
test_hints (void)
{
  g_autoptr (GError) error = NULL;
  World world;

  world_init (&world, "");
  add_node (&world, "n", "", "", "1");
  add_pod (&world, "first", "", "1");
  settle (&world);
  assert_on (&world, "first", "n");
  add_pod (&world, "labelled", "'nodeSelector':{'disk':'ssd'}", "0");
  add_pod (&world, "waiting", "", "1");
  settle (&world);
  assert_refused (&world, "labelled", "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.");
  assert_refused (&world, "waiting", "0/1 nodes are available: 1 Insufficient cpu.");
  g_assert_true (cube_client_delete (world.base.client, resource (&world.base, "v1", "pods"), "default", "first", NULL, 0,
                                     CUBE_PROPAGATION_DEFAULT, &error));
  settle (&world);
  assert_on (&world, "waiting", "n");
  g_assert_cmpuint (record_of (&world, "labelled")->attempts, ==, 1); /* a deleted pod cannot help it */
  patch (&world, "nodes", NULL, "n", "{'metadata':{'labels':{'disk':'ssd'}}}");
  settle (&world);
  assert_on (&world, "labelled", "n");
  world_clear (&world);
}

static void
test_gated (void)
{
  World world;

  world_init (&world, "");
  add_node (&world, "n", "", "", "1");
  add_pod (&world, "p", "'schedulingGates':[{'name':'example.com/wait'}]", "1");
  settle (&world);
  assert_on (&world, "p", NULL);
  g_assert_cmpint (record_of (&world, "p")->place, ==, PLACE_GATED);
  patch (&world, "pods", "default", "p", "{'spec':{'schedulingGates':null}}");
  settle (&world);
  assert_on (&world, "p", "n");
  world_clear (&world);
}

static void
test_profiles (void)
{
  World world;

  world_init (
      &world,
      "{'profiles':[{'schedulerName':'default-scheduler'},{'schedulerName':'packer','plugins':{'score':{'disabled':[{'name':'*'}],"
      "'enabled':[{'name':'NodeResourcesFit'}]}},'pluginConfig':[{'name':'NodeResourcesFit','args':{'scoringStrategy':{'type':'MostAllocated'}}}]}]}");
  add_node (&world, "a", "", "", "4");
  add_node (&world, "b", "", "", "4");
  add_pod (&world, "first", "'nodeSelector':{}", "1");
  settle (&world);
  g_autoptr (CubeValue) first = get (&world, "pods", "default", "first");
  const char *node = cube_view_string (cube_value_get (first, "spec", "nodeName"));
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("packed%u", i);

      add_pod (&world, name, "'schedulerName':'packer'", "1");
    }
  add_pod (&world, "foreign", "'schedulerName':'somebody-else'", "1");
  settle (&world);
  assert_on (&world, "packed0", node);
  assert_on (&world, "packed1", node);
  assert_on (&world, "packed2", node);
  assert_on (&world, "foreign", NULL);
  world_clear (&world);
}

static void
test_bad_profiles (void)
{
  static const char *const bad[] = { "{'profiles':[{},{}]}", "{'profiles':[{'schedulerName':'a'},{'schedulerName':'a'}]}",
                                     "{'profiles':{}}", "{'percentageOfNodesToScore':101}",
                                     "{'profiles':[{'plugins':{'score':{'enabled':[{'name':'x','weight':101}]}}}]}" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    {
      g_autoptr (CubeValue) config = json ("%s", bad[i]);
      g_autoptr (GError) error = NULL;

      g_assert_null (profiles_new (cube_value_root (config), &error));
      g_assert_error (error, CUBE_ERROR, CUBE_ERROR_INVALID);
    }
}

/* ---- policies that come and go ---- */

static gint64
score_last (gpointer state, const CubeCycle *cycle, gpointer cycle_data, const CubePodInfo *pod, const CubeNodeInfo *node)
{
  return g_str_equal (node->name, "z") ? 100 : 0;
}

static const CubeScoreOps last_ops = { .ops_size = sizeof last_ops, .default_weight = 50, .score = score_last };

static void
test_hot_plug (void)
{
  const CubeInterfaceImpl impl = CUBE_IMPL (CUBE_SCORE_PLUGIN, CUBE_SCORE_VERSION, "Last", last_ops);
  World world;

  world_init (&world, "");
  add_node (&world, "a", "", "", "100");
  add_node (&world, "z", "", "", "4");
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("before%u", i);

      add_pod (&world, name, "", "1");
    }
  settle (&world);
  assert_on (&world, "before2", "a");
  g_assert_true (cube_registry_add (world.base.registry, &impl, "last", NULL, world.base.context, NULL));
  for (guint i = 0; i < 3; i++)
    {
      g_autofree char *name = g_strdup_printf ("with%u", i);

      add_pod (&world, name, "", "1");
    }
  settle (&world);
  assert_on (&world, "with0", "z");
  assert_on (&world, "with2", "z");
  cube_registry_remove_plugin (world.base.registry, "last");
  settle (&world);
  g_assert_true (cube_registry_drain (world.base.registry, "last", 0)); /* nobody holds it */
  add_pod (&world, "after", "", "1");
  settle (&world);
  assert_on (&world, "after", "a");
  world_clear (&world);
}

/* ---- binders, Reserve, Permit ---- */

static guint n_fails, n_unreserved, n_asked;

static void
bind_fails (gpointer state, const CubePodInfo *pod, const char *node_name, CubeLoop *loop, CubeBindDone done, gpointer data)
{
  n_fails++;
  done (g_error_new_literal (CUBE_ERROR, CUBE_ERROR_TIMEOUT, "no answer"), data);
}

static CubeFit
reserve (gpointer state, const CubePodInfo *pod, const char *node_name, char **ret_reason)
{
  return CUBE_FIT_OK;
}

static void
unreserve (gpointer state, const CubePodInfo *pod, const char *node_name)
{
  n_unreserved++;
}

static CubeFit
permit (gpointer state, const CubePodInfo *pod, const char *node_name, gint64 *ret_timeout_us, char **ret_reason)
{
  *ret_timeout_us = 10 * G_USEC_PER_SEC;
  return ++n_asked < 20 ? CUBE_FIT_WAIT : CUBE_FIT_OK;
}

static const CubeBindOps bad_ops = { .ops_size = sizeof bad_ops, .bind_async = bind_fails };
static const CubeReserveOps reserve_ops = { .ops_size = sizeof reserve_ops, .reserve = reserve, .unreserve = unreserve };
static const CubePermitOps permit_ops = { .ops_size = sizeof permit_ops, .permit = permit };

static void
test_failed_bind (void)
{
  const CubeInterfaceImpl bad = CUBE_IMPL (CUBE_BIND_PLUGIN, CUBE_BIND_VERSION, "Bad", bad_ops);
  const CubeInterfaceImpl reserving = CUBE_IMPL (CUBE_RESERVE_PLUGIN, CUBE_RESERVE_VERSION, "Reserving", reserve_ops);
  World world;

  n_fails = n_unreserved = 0;
  world_init (&world, "");
  g_assert_true (cube_registry_add (world.base.registry, &bad, "bad", NULL, world.base.context, NULL));
  g_assert_true (cube_registry_add (world.base.registry, &reserving, "reserving", NULL, world.base.context, NULL));
  add_node (&world, "n", "", "", "1");
  add_pod (&world, "p", "", "1");
  settle (&world);
  g_assert_cmpuint (n_fails, >=, 2);
  g_assert_cmpuint (n_unreserved, ==, n_fails);
  {
    g_autofree char *event = event_about (&world, "p", "FailedScheduling");

    g_assert_cmpstr (event, ==, "running Bind plugin \"Bad\": no answer");
  }
  cube_registry_remove_plugin (world.base.registry, "bad");
  fixture_run (&world.base, 20 * G_USEC_PER_SEC);
  assert_on (&world, "p", "n"); /* the room was given back */
  world_clear (&world);
}

static void
test_permit (void)
{
  const CubeInterfaceImpl waiting = CUBE_IMPL (CUBE_PERMIT_PLUGIN, CUBE_PERMIT_VERSION, "Waiting", permit_ops);
  World world;

  n_asked = 0;
  world_init (&world, "");
  g_assert_true (cube_registry_add (world.base.registry, &waiting, "waiting", NULL, world.base.context, NULL));
  add_node (&world, "n", "", "", "1");
  add_pod (&world, "p", "", "1");
  fixture_run (&world.base, G_USEC_PER_SEC);
  assert_on (&world, "p", NULL);
  settle (&world);
  assert_on (&world, "p", "n");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scheduler/driver/spread", test_spread);
  g_test_add_func ("/scheduler/driver/refused", test_refused);
  g_test_add_func ("/scheduler/driver/hints", test_hints);
  g_test_add_func ("/scheduler/driver/gated", test_gated);
  g_test_add_func ("/scheduler/driver/profiles", test_profiles);
  g_test_add_func ("/scheduler/driver/bad-profiles", test_bad_profiles);
  g_test_add_func ("/scheduler/driver/hot-plug", test_hot_plug);
  g_test_add_func ("/scheduler/driver/failed-bind", test_failed_bind);
  g_test_add_func ("/scheduler/driver/permit", test_permit);
  return g_test_run ();
}
