/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's state machine: a whole control plane's core in one thread on a virtual clock, with a runtime that does what it is told. */
#include "fake-runtime.h"

#include <cube/node.h>
#include <glib/gstdio.h>
#include <string.h>
#include <tests/client/fixture.h>

extern const CubePluginDescriptor cube_plugin_node_agent;

typedef struct {
  Fixture core;
  FakeRuntime *fake;
  gpointer agent;
  const CubeComponentOps *component;
  char *dir;
  guint n_asked;           /* status calls to the runtime */
  gboolean was_registered; /* … and whether the Node was there at the first */
} World;

#define SECOND ((gint64) G_USEC_PER_SEC)

/* ---- the world ---- */

static void
start_agent (World *world)
{
  g_autoptr (GError) error = NULL;
  CubeContext *context = cube_process_new_context (world->core.process, "node-agent", cube_view_none ());
  g_assert_true (cube_plugin_node_agent.load (context, &world->agent, &error));
  world->component = cube_plugin_node_agent.impls[0].ops;
  g_assert_true (world->component->start (world->agent, &error));
  g_assert_no_error (error);
}

static void
stop_agent (World *world)
{
  world->component->stop (world->agent);
  cube_plugin_node_agent.unload (world->agent);
  world->agent = NULL;
}

static void
create_named (World *world, const char *api_version, const char *kind, const char *plural, const char *name)
{
  g_autoptr (CubeValue) value = json ("{'apiVersion':'%s','kind':'%s','metadata':{'name':'%s'}}", api_version, kind, name);
  g_autoptr (CubeObject) object = cube_client_create (world->core.client, resource (&world->core, api_version, plural), NULL, value, NULL);
  g_assert_nonnull (object);
}

static void
runtime_asked (gpointer data)
{
  World *world = data;
  g_autoptr (CubeObject) node = cube_client_get (world->core.client, resource (&world->core, "v1", "nodes"), NULL, "n1", NULL);
  if (world->n_asked++ == 0)
    world->was_registered = node != NULL;
}

static void
world_init (World *world)
{
  CubeInterfaceImpl impl = { CUBE_RUNTIME, CUBE_RUNTIME_VERSION, sizeof (CubeRuntimeOps), "cri", &fake_runtime_ops };
  memset (world, 0, sizeof *world);
  fixture_init (&world->core, TRUE, 0);
  world->dir = g_dir_make_tmp ("cube-agent-XXXXXX", NULL);
  cube_process_set_data_dir (world->core.process, world->dir);
  cube_process_set_node_name (world->core.process, "n1");
  cube_context_set_fact (world->core.context, "runtime", "cri");
  cube_context_set_fact (world->core.context, "advertise-address", "192.0.2.7");
  world->fake = fake_runtime_new (world->core.context);
  world->fake->asked = runtime_asked;
  world->fake->asked_data = world;
  g_assert_true (cube_registry_add (world->core.registry, &impl, "fake", world->fake, world->core.context, NULL));
  create_named (world, "v1", "Namespace", "namespaces", "default");
  create_named (world, "v1", "Namespace", "namespaces", "kube-node-lease");
  g_hash_table_add (world->fake->images, g_strdup ("img:1"));
  start_agent (world);
  fixture_run (&world->core, SECOND);
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = g_dir_open (path, 0, NULL);
  const char *name;
  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    {
      g_autofree char *child = g_build_filename (path, name, NULL);
      remove_tree (child);
    }
  g_remove (path);
}

static void
world_clear (World *world)
{
  stop_agent (world);
  fixture_clear (&world->core);
  fake_runtime_free (world->fake);
  remove_tree (world->dir);
  g_free (world->dir);
}

static void
run_seconds (World *world, gint64 seconds)
{
  fixture_run (&world->core, seconds * SECOND);
}

static void
add_pod (World *world, const char *name, const char *spec)
{
  g_autofree char *text = g_strdup_printf (
      "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s','namespace':'default'},'spec':{'nodeName':'n1',%s}}", name, spec);
  g_autoptr (CubeValue) value = json ("%s", text);
  g_autoptr (CubeObject) pod = create (&world->core, "v1", "pods", "default", value);
}

/* (transfer full) NULL = gone */
static CubeValue *
get_pod (World *world, const char *name)
{
  g_autoptr (CubeObject) object = cube_client_get (world->core.client, resource (&world->core, "v1", "pods"), "default", name, NULL);
  return object != NULL ? cube_object_value (object) : NULL;
}

static void
assert_text (World *world, const char *name, const char *path, const char *expected)
{
  g_autoptr (CubeValue) pod = get_pod (world, name);
  g_assert_nonnull (pod);
  CubeView view = cube_view_dotted (cube_value_root (pod), path);
  g_autofree char *text = cube_view_type (view) == CUBE_VALUE_STRING ? g_strdup (cube_view_string (view))
                          : cube_view_exists (view)                  ? cube_view_to_json (view, NULL)
                                                                     : g_strdup ("(none)");
  if (g_strcmp0 (text, expected) != 0)
    {
      g_autofree char *status = cube_view_to_json (cube_value_get (pod, "status"), NULL);
      g_test_message ("%s", status);
    }
  g_assert_cmpstr (text, ==, expected);
}

static const char *
condition_status (CubeValue *pod, const char *type)
{
  CubeIter it;
  CubeView condition;
  for (cube_iter_init (&it, cube_value_get (pod, "status", "conditions")); cube_iter_next (&it, NULL, &condition);)
    if (g_strcmp0 (cube_view_get_string (condition, "type"), type) == 0)
      return cube_view_get_string (condition, "status");
  return "(none)";
}

static void
assert_condition (World *world, const char *name, const char *type, const char *expected)
{
  g_autoptr (CubeValue) pod = get_pod (world, name);
  g_assert_cmpstr (condition_status (pod, type), ==, expected);
}

static gboolean
has_event (World *world, const char *reason, const char *message)
{
  g_autoptr (GPtrArray) events =
      cube_client_list (world->core.client, resource (&world->core, "v1", "events"), "default", NULL, NULL, NULL);
  for (guint i = 0; i < events->len; i++)
    {
      g_autoptr (CubeValue) event = cube_object_value (events->pdata[i]);
      if (g_strcmp0 (cube_view_string (cube_value_get (event, "reason")), reason) == 0
          && (message == NULL || g_strcmp0 (cube_view_string (cube_value_get (event, "message")), message) == 0))
        return TRUE;
    }
  return FALSE;
}

static void
delete_pod (World *world, const char *name, gint64 grace_seconds)
{
  g_autoptr (GError) error = NULL;
  g_assert_true (cube_client_delete (world->core.client, resource (&world->core, "v1", "pods"), "default", name, NULL, grace_seconds,
                                     CUBE_PROPAGATION_DEFAULT, &error));
  g_assert_no_error (error);
}

/* ---- tests ---- */

static gboolean
set_cidr (CubeMut *root, CubeView current, gpointer data)
{
  cube_mut_set_string (cube_mut_ensure_object (root, "spec"), "podCIDR", "10.77.1.0/24");
  return TRUE;
}

static void
test_node (void)
{
  World world;
  world_init (&world);
  g_autoptr (CubeObject) node = cube_client_get (world.core.client, resource (&world.core, "v1", "nodes"), NULL, "n1", NULL);
  g_assert_nonnull (node);
  g_assert_true (world.was_registered); /* a runtime that is slow to answer keeps nobody from giving the node its range */
  g_autoptr (CubeValue) value = cube_object_value (node);
  g_assert_cmpstr (condition_status (value, "Ready"), ==, "True");
  g_assert_cmpstr (condition_status (value, "MemoryPressure"), ==, "False");
  g_assert_cmpstr (cube_object_label (node, "kubernetes.io/os"), ==, "linux");
  g_assert_cmpstr (cube_view_string (cube_view_dotted (cube_value_root (value), "status.addresses[0].address")), ==, "192.0.2.7");
  g_autoptr (CubeObject) before =
      cube_client_get (world.core.client, resource (&world.core, "coordination.k8s.io/v1", "leases"), "kube-node-lease", "n1", NULL);
  g_assert_nonnull (before);
  g_autoptr (CubeObject) changed =
      cube_client_modify (world.core.client, resource (&world.core, "v1", "nodes"), NULL, NULL, "n1", set_cidr, NULL, NULL);
  g_assert_nonnull (changed);
  guint64 revision = cube_object_revision (changed);
  run_seconds (&world, 60);
  g_autoptr (CubeObject) after =
      cube_client_get (world.core.client, resource (&world.core, "coordination.k8s.io/v1", "leases"), "kube-node-lease", "n1", NULL);
  g_assert_cmpuint (cube_object_revision (after), >, cube_object_revision (before));
  g_autoptr (CubeObject) later = cube_client_get (world.core.client, resource (&world.core, "v1", "nodes"), NULL, "n1", NULL);
  g_assert_cmpuint (cube_object_revision (later), ==, revision); /* nothing changed: nothing is written */
  g_autofree char *path = g_build_filename (world.dir, "containerd", "cni", "net.d", "10-cube.conflist", NULL);
  g_autofree char *text = NULL;
  g_assert_true (g_file_get_contents (path, &text, NULL, NULL));
  g_assert_nonnull (strstr (text, "10.77.1.0/24"));
  world_clear (&world);
}

static void
test_run (void)
{
  World world;
  world_init (&world);
  add_pod (&world, "web", "'containers':[{'name':'web','image':'img:1'},{'name':'aux','image':'img:1'}]");
  run_seconds (&world, 2);
  assert_text (&world, "web", "status.phase", "Running");
  assert_text (&world, "web", "status.qosClass", "BestEffort");
  assert_text (&world, "web", "status.hostIP", "192.0.2.7");
  assert_text (&world, "web", "status.podIP", "10.9.0.1");
  assert_text (&world, "web", "status.containerStatuses[0].name", "aux");
  assert_text (&world, "web", "status.containerStatuses[1].ready", "true");
  assert_text (&world, "web", "status.containerStatuses[1].restartCount", "0");
  assert_condition (&world, "web", "Ready", "True");
  assert_condition (&world, "web", "PodReadyToStartContainers", "True");
  g_assert_true (has_event (&world, "Pulled", "Container image \"img:1\" already present on machine and can be accessed by the pod"));
  g_assert_true (has_event (&world, "Started", "Container started"));
  run_seconds (&world, 300);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start "), ==, 2);
  g_assert_cmpuint (fake_runtime_count (world.fake, "sandbox "), ==, 1);
  world_clear (&world);
}

static void
test_crash_loop (void)
{
  World world;
  world_init (&world);
  *fake_runtime_script (world.fake, "c") = (FakeScript){ .lives_us = 1000, .exit_code = 3 };
  add_pod (&world, "crash", "'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 5); /* 0 s and at once again; then 10, 20, 40 … s */
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c"), ==, 2);
  assert_text (&world, "crash", "status.phase", "Running");
  assert_text (&world, "crash", "status.containerStatuses[0].state.waiting.reason", "CrashLoopBackOff");
  assert_text (&world, "crash", "status.containerStatuses[0].lastState.terminated.exitCode", "3");
  assert_text (&world, "crash", "status.containerStatuses[0].restartCount", "1");
  g_autoptr (CubeValue) pod = get_pod (&world, "crash");
  g_autofree char *message = g_strdup_printf ("back-off 10s restarting failed container=c pod=crash_default(%s)",
                                              cube_view_string (cube_value_get (pod, "metadata", "uid")));
  assert_text (&world, "crash", "status.containerStatuses[0].state.waiting.message", message);
  run_seconds (&world, 15);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c"), ==, 3);
  run_seconds (&world, 20);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c"), ==, 4);
  run_seconds (&world, 60 * 60);
  guint after_an_hour = fake_runtime_count (world.fake, "start c");
  g_assert_cmpuint (after_an_hour, >=, 14);
  g_assert_cmpuint (after_an_hour, <=, 19);                             /* every five minutes at most */
  g_assert_cmpuint (g_hash_table_size (world.fake->containers), <=, 3); /* dead ones do not pile up */
  world_clear (&world);
}

static void
test_restart_policies (void)
{
  World world;
  world_init (&world);
  *fake_runtime_script (world.fake, "good") = (FakeScript){ .lives_us = 1000 };
  *fake_runtime_script (world.fake, "wrong") = (FakeScript){ .lives_us = 1000, .exit_code = 1 };
  add_pod (&world, "done", "'restartPolicy':'Never','containers':[{'name':'good','image':'img:1'}]");
  add_pod (&world, "failed", "'restartPolicy':'Never','containers':[{'name':'wrong','image':'img:1'}]");
  add_pod (&world, "retry", "'restartPolicy':'OnFailure','containers':[{'name':'good','image':'img:1'}]");
  run_seconds (&world, 30);
  assert_text (&world, "done", "status.phase", "Succeeded");
  assert_text (&world, "done", "status.containerStatuses[0].state.terminated.reason", "Completed");
  assert_text (&world, "failed", "status.phase", "Failed");
  assert_text (&world, "retry", "status.phase", "Succeeded");
  assert_condition (&world, "done", "Ready", "False");
  g_assert_cmpuint (fake_runtime_count (world.fake, "start good"), ==, 2);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start wrong"), ==, 1);
  g_assert_cmpuint (fake_runtime_count (world.fake, "stop-sandbox"), ==, 3);
  delete_pod (&world, "done", -1);
  run_seconds (&world, 3);
  g_autoptr (CubeValue) gone = get_pod (&world, "done");
  g_assert_null (gone);
  world_clear (&world);
}

static void
test_init_order (void)
{
  World world;
  world_init (&world);
  *fake_runtime_script (world.fake, "first") = (FakeScript){ .lives_us = 5 * SECOND };
  *fake_runtime_script (world.fake, "second") = (FakeScript){ .lives_us = SECOND };
  add_pod (
      &world, "p",
      "'initContainers':[{'name':'first','image':'img:1'},{'name':'side','image':'img:1','restartPolicy':'Always'},{'name':'second','image':'img:1'}],"
      "'containers':[{'name':'main','image':'img:1'}]");
  run_seconds (&world, 3);
  assert_text (&world, "p", "status.phase", "Pending");
  assert_text (&world, "p", "status.containerStatuses[0].state.waiting.reason", "PodInitializing");
  assert_condition (&world, "p", "Initialized", "False");
  g_assert_cmpint (fake_runtime_index (world.fake, "start side"), ==, -1);
  run_seconds (&world, 10);
  int first = fake_runtime_index (world.fake, "start first"), side = fake_runtime_index (world.fake, "start side"),
      second = fake_runtime_index (world.fake, "start second"), main_index = fake_runtime_index (world.fake, "start main");
  g_assert_cmpint (first, <, side);
  g_assert_cmpint (side, <, second);
  g_assert_cmpint (second, <, main_index);
  assert_text (&world, "p", "status.phase", "Running");
  assert_condition (&world, "p", "Initialized", "True");
  assert_condition (&world, "p", "Ready", "True");
  fake_runtime_exit (world.fake, "side", 0);
  run_seconds (&world, 5);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start side"), ==, 2); /* a sidecar goes on whatever its exit code */
  g_assert_cmpuint (fake_runtime_count (world.fake, "start second"), ==, 1);
  delete_pod (&world, "p", -1);
  run_seconds (&world, 5);
  g_assert_cmpint (fake_runtime_index (world.fake, "stop main"), <, fake_runtime_index (world.fake, "stop side"));
  world_clear (&world);
}

static void
test_init_failure (void)
{
  World world;
  world_init (&world);
  *fake_runtime_script (world.fake, "first") = (FakeScript){ .lives_us = 1000, .exit_code = 1 };
  add_pod (&world, "p",
           "'restartPolicy':'Never','initContainers':[{'name':'first','image':'img:1'}],'containers':[{'name':'main','image':'img:1'}]");
  run_seconds (&world, 5);
  assert_text (&world, "p", "status.phase", "Failed");
  g_assert_cmpuint (fake_runtime_count (world.fake, "start main"), ==, 0);
  world_clear (&world);
}

static void
test_probes (void)
{
  World world;
  world_init (&world);
  FakeScript *script = fake_runtime_script (world.fake, "c");
  script->exec_exit_code = 1;
  add_pod (&world, "p", "'containers':[{'name':'c','image':'img:1','readinessProbe':{'exec':{'command':['ready']},'periodSeconds':2}}]");
  run_seconds (&world, 5);
  assert_text (&world, "p", "status.phase", "Running");
  assert_condition (&world, "p", "Ready", "False");
  g_assert_true (has_event (&world, "Unhealthy", NULL));
  script->exec_exit_code = 0;
  run_seconds (&world, 3);
  assert_condition (&world, "p", "Ready", "True");
  script->exec_exit_code = 1;
  run_seconds (&world, 3);
  assert_condition (&world, "p", "Ready", "True"); /* three in a row make it unready */
  run_seconds (&world, 5);
  assert_condition (&world, "p", "Ready", "False");
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c"), ==, 1);
  world_clear (&world);
}

static void
test_liveness (void)
{
  World world;
  world_init (&world);
  FakeScript *script = fake_runtime_script (world.fake, "c");
  add_pod (&world, "p",
           "'containers':[{'name':'c','image':'img:1','livenessProbe':{'exec':{'command':['live']},'periodSeconds':1,'failureThreshold':2},"
           "'startupProbe':{'exec':{'command':['up']},'periodSeconds':1}}]");
  run_seconds (&world, 10);
  assert_condition (&world, "p", "Ready", "True");
  g_assert_cmpuint (fake_runtime_count (world.fake, "exec c up"), ==, 1);
  script->exec_exit_code = 1;
  run_seconds (&world, 4);
  g_assert_true (has_event (&world, "Killing", "Container c failed liveness probe, will be restarted"));
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c"), ==, 2);
  assert_text (&world, "p", "status.containerStatuses[0].restartCount", "1");
  assert_text (&world, "p", "status.containerStatuses[0].started", "false");
  world_clear (&world);
}

static void
test_deletion (void)
{
  World world;
  world_init (&world);
  add_pod (
      &world, "p",
      "'terminationGracePeriodSeconds':17,'containers':[{'name':'c','image':'img:1','lifecycle':{'preStop':{'exec':{'command':['bye']}}}}]");
  run_seconds (&world, 2);
  delete_pod (&world, "p", -1);
  run_seconds (&world, 2);
  g_autoptr (CubeValue) gone = get_pod (&world, "p");
  g_assert_null (gone);
  g_assert_cmpuint (fake_runtime_count (world.fake, "stop c 17"), ==, 1);
  g_assert_cmpint (fake_runtime_index (world.fake, "exec c bye"), <, fake_runtime_index (world.fake, "stop c"));
  g_assert_cmpint (fake_runtime_index (world.fake, "exec c bye"), >=, 0);
  g_assert_cmpuint (g_hash_table_size (world.fake->sandboxes), ==, 0);
  g_assert_cmpuint (g_hash_table_size (world.fake->containers), ==, 0);
  g_assert_true (has_event (&world, "Killing", "Stopping container c"));
  add_pod (&world, "q", "'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 2);
  delete_pod (&world, "q", 0); /* gone from the API at once, ended here after it */
  run_seconds (&world, 2);
  g_assert_cmpuint (g_hash_table_size (world.fake->sandboxes), ==, 0);
  world_clear (&world);
}

/* A container that was made and never started has nothing to stop, and does not hold its pod. */
static void
test_deletion_before_start (void)
{
  World world;
  world_init (&world);
  fake_runtime_script (world.fake, "c")->stays_created = TRUE;
  add_pod (&world, "p", "'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 2);
  g_assert_cmpuint (g_hash_table_size (world.fake->containers), >=, 1);
  delete_pod (&world, "p", -1);
  run_seconds (&world, 5);
  g_autoptr (CubeValue) gone = get_pod (&world, "p");
  g_assert_null (gone);
  g_assert_cmpuint (fake_runtime_count (world.fake, "stop c"), ==, 0);
  g_assert_cmpuint (g_hash_table_size (world.fake->containers), ==, 0);
  world_clear (&world);
}

/* A runtime that stops nothing is asked again, and not without end. */
static void
test_deletion_ignored (void)
{
  World world;
  world_init (&world);
  fake_runtime_script (world.fake, "c")->ignores_stop = TRUE;
  add_pod (&world, "p", "'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 2);
  delete_pod (&world, "p", -1);
  run_seconds (&world, 10);
  g_assert_cmpuint (fake_runtime_count (world.fake, "stop c 30"), >=, 2);
  g_assert_cmpuint (fake_runtime_count (world.fake, "stop c 30"), <=, 20);
  fake_runtime_script (world.fake, "c")->ignores_stop = FALSE;
  run_seconds (&world, 5);
  g_autoptr (CubeValue) gone = get_pod (&world, "p");
  g_assert_null (gone);
  world_clear (&world);
}

static void
test_agent_restart (void)
{
  World world;
  world_init (&world);
  add_pod (&world, "stays", "'containers':[{'name':'c','image':'img:1'}]");
  add_pod (&world, "goes", "'containers':[{'name':'d','image':'img:1'}]");
  run_seconds (&world, 2);
  fake_runtime_exit (world.fake, "c", 1);
  run_seconds (&world, 2);
  assert_text (&world, "stays", "status.containerStatuses[0].restartCount", "1");
  stop_agent (&world);
  g_assert_cmpuint (fake_runtime_running (world.fake), ==, 2); /* they live without us */
  delete_pod (&world, "goes", 0);
  start_agent (&world);
  run_seconds (&world, 10);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c"), ==, 2); /* not started again */
  g_assert_cmpuint (fake_runtime_count (world.fake, "stop d"), ==, 1);  /* nobody wants it any more */
  g_assert_cmpuint (g_hash_table_size (world.fake->sandboxes), ==, 1);
  assert_text (&world, "stays", "status.containerStatuses[0].restartCount", "1");
  assert_condition (&world, "stays", "Ready", "True");
  world_clear (&world);
}

static void
test_sandbox_death (void)
{
  World world;
  world_init (&world);
  add_pod (&world, "p", "'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 2);
  fake_runtime_kill_sandbox (world.fake, "p");
  run_seconds (&world, 15);
  g_assert_cmpuint (fake_runtime_count (world.fake, "sandbox p 1"), ==, 1);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c 1"), ==, 1);
  g_assert_true (has_event (&world, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created."));
  assert_condition (&world, "p", "Ready", "True");
  assert_text (&world, "p", "status.containerStatuses[0].restartCount", "1");
  world.fake->is_mute = TRUE; /* no event tells: the listing does */
  fake_runtime_exit (world.fake, "c", 1);
  run_seconds (&world, 60);
  g_assert_cmpuint (fake_runtime_count (world.fake, "start c 2"), ==, 1);
  world_clear (&world);
}

static void
test_images (void)
{
  World world;
  world_init (&world);
  world.fake->pull_error = g_strdup ("no route to registry");
  add_pod (&world, "p", "'containers':[{'name':'c','image':'other:2'}]");
  add_pod (&world, "never", "'containers':[{'name':'c','image':'absent:2','imagePullPolicy':'Never'}]");
  add_pod (&world, "invalid", "'containers':[{'name':'c','image':'Not/Valid'}]");
  run_seconds (&world, 2);
  assert_text (&world, "p", "status.phase", "Pending");
  g_assert_true (has_event (&world, "Pulling", "Pulling image \"other:2\""));
  g_assert_true (has_event (&world, "Failed", "Failed to pull image \"other:2\": no route to registry"));
  g_assert_true (has_event (&world, "Failed", "Error: ErrImagePull"));
  assert_text (&world, "never", "status.containerStatuses[0].state.waiting.reason", "ErrImageNeverPull");
  assert_text (&world, "never", "status.containerStatuses[0].state.waiting.message",
               "Container image \"absent:2\" is not present with pull policy of Never");
  assert_text (&world, "invalid", "status.containerStatuses[0].state.waiting.reason", "InvalidImageName");
  run_seconds (&world, 600);
  g_assert_cmpuint (world.fake->n_pulls, >=, 4);
  g_assert_cmpuint (world.fake->n_pulls, <=, 8);
  assert_text (&world, "p", "status.containerStatuses[0].state.waiting.reason", "ImagePullBackOff");
  assert_text (&world, "p", "status.containerStatuses[0].state.waiting.message",
               "Back-off pulling image \"other:2\": ErrImagePull: no route to registry");
  g_clear_pointer (&world.fake->pull_error, g_free);
  run_seconds (&world, 320);
  assert_text (&world, "p", "status.phase", "Running");
  world_clear (&world);
}

static void
test_configuration_error (void)
{
  World world;
  world_init (&world);
  add_pod (&world, "p",
           "'containers':[{'name':'c','image':'img:1','env':[{'name':'A','valueFrom':{'configMapKeyRef':{'name':'cm','key':'key'}}}]}]");
  run_seconds (&world, 3);
  assert_text (&world, "p", "status.containerStatuses[0].state.waiting.reason", "CreateContainerConfigError");
  assert_text (&world, "p", "status.containerStatuses[0].state.waiting.message", "configmap \"cm\" not found");
  g_autoptr (CubeObject) map = create_config_map (&world.core, "cm", "v");
  run_seconds (&world, 20);
  assert_text (&world, "p", "status.phase", "Running");
  world_clear (&world);
}

static void
test_admission (void)
{
  World world;
  world_init (&world);
  add_pod (&world, "big", "'containers':[{'name':'c','image':'img:1','resources':{'requests':{'cpu':'100000'}}}]");
  add_pod (&world, "picky", "'nodeSelector':{'disk':'fast'},'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 3);
  assert_text (&world, "big", "status.phase", "Failed");
  assert_text (&world, "big", "status.reason", "OutOfcpu");
  assert_text (&world, "picky", "status.reason", "NodeAffinity");
  assert_text (&world, "picky", "status.message",
               "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
  g_assert_cmpuint (fake_runtime_count (world.fake, "sandbox"), ==, 0);
  world_clear (&world);
}

static void
test_deadline (void)
{
  World world;
  world_init (&world);
  add_pod (&world, "p", "'activeDeadlineSeconds':30,'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 20);
  assert_text (&world, "p", "status.phase", "Running");
  run_seconds (&world, 15);
  assert_text (&world, "p", "status.phase", "Failed");
  assert_text (&world, "p", "status.reason", "DeadlineExceeded");
  g_assert_cmpuint (fake_runtime_running (world.fake), ==, 0);
  world_clear (&world);
}

static void
test_sandbox_error (void)
{
  World world;
  world_init (&world);
  world.fake->sandbox_error = g_strdup ("no address left");
  add_pod (&world, "p", "'containers':[{'name':'c','image':'img:1'}]");
  run_seconds (&world, 3);
  g_assert_true (has_event (&world, "FailedCreatePodSandBox", "Failed to create pod sandbox: no address left"));
  assert_text (&world, "p", "status.containerStatuses[0].state.waiting.reason", "ContainerCreating");
  g_clear_pointer (&world.fake->sandbox_error, g_free);
  run_seconds (&world, 20);
  assert_text (&world, "p", "status.phase", "Running");
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/agent/node", test_node);
  g_test_add_func ("/agent/run", test_run);
  g_test_add_func ("/agent/crash-loop", test_crash_loop);
  g_test_add_func ("/agent/restart-policies", test_restart_policies);
  g_test_add_func ("/agent/init-order", test_init_order);
  g_test_add_func ("/agent/init-failure", test_init_failure);
  g_test_add_func ("/agent/probes", test_probes);
  g_test_add_func ("/agent/liveness", test_liveness);
  g_test_add_func ("/agent/deletion", test_deletion);
  g_test_add_func ("/agent/deletion-before-start", test_deletion_before_start);
  g_test_add_func ("/agent/deletion-ignored", test_deletion_ignored);
  g_test_add_func ("/agent/agent-restart", test_agent_restart);
  g_test_add_func ("/agent/sandbox-death", test_sandbox_death);
  g_test_add_func ("/agent/images", test_images);
  g_test_add_func ("/agent/configuration-error", test_configuration_error);
  g_test_add_func ("/agent/admission", test_admission);
  g_test_add_func ("/agent/deadline", test_deadline);
  g_test_add_func ("/agent/sandbox-error", test_sandbox_error);
  return g_test_run ();
}
