/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that fall silent, taints, evictions and the removal of pods nobody else removes, on a virtual clock. */
#include "room.h"

extern const CubePluginDescriptor cube_plugin_controllers_node_lifecycle, cube_plugin_controllers_pod_gc;
#define S G_USEC_PER_SEC

static void
begin (Room *room)
{
  room_init (room);
  room_load (room, &cube_plugin_controllers_node_lifecycle, NULL);
  room_load (room, &cube_plugin_controllers_pod_gc, "{'terminated-pod-threshold':2}");
}

static void
put_node (Room *room, const char *name)
{
  put (room, "v1", "nodes", NULL, "{'apiVersion':'v1','kind':'Node','metadata':{'name':'%s'},'spec':{}}", name);
  merge (room, "v1", "nodes", "status", NULL, name,
         "{'status':{'conditions':[{'type':'Ready','status':'True','lastHeartbeatTime':'2023-11-14T22:13:20Z'}]}}");
  put (
      room, "coordination.k8s.io/v1", "leases", "kube-node-lease",
      "{'apiVersion':'coordination.k8s.io/v1','kind':'Lease','metadata':{'name':'%s'},'spec':{'holderIdentity':'%s','renewTime':'2023-11-14T22:13:20.000000Z'}}",
      name, name);
}

static void
renew (Room *room, const char *name)
{
  char now[40];
  cube_time_format_micro (room_now (room), now);
  merge (room, "coordination.k8s.io/v1", "leases", NULL, "kube-node-lease", name, "{'spec':{'renewTime':'%s'}}", now);
}

/* @alive (NULL-terminated) renew every ten seconds. */
static void
live (Room *room, gint64 seconds, const char *const *alive)
{
  for (gint64 done = 0; done < seconds; done += 10)
    {
      for (guint i = 0; alive[i] != NULL; i++)
        renew (room, alive[i]);
      room_run (room, MIN (10, seconds - done) * S);
    }
}

static void
put_pod (Room *room, const char *name, const char *node, const char *tolerations)
{
  put (
      room, "v1", "pods", "default",
      "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'%s'},'spec':{'nodeName':'%s','tolerations':[%s],'containers':[{'name':'c','image':'i'}]}}",
      name, node, tolerations);
  merge (room, "v1", "pods", "status", "default", name, "{'status':{'phase':'Running','conditions':[{'type':'Ready','status':'True'}]}}");
}

static char *
status_of (Room *room, const char *node)
{
  g_autoptr (CubeValue) value = look (room, "v1", "nodes", NULL, node);
  return text_at (value, "status.conditions[0].status");
}

static gboolean
has_taint (Room *room, const char *node, const char *key, const char *effect)
{
  g_autoptr (CubeValue) value = look (room, "v1", "nodes", NULL, node);
  CubeIter it;
  CubeView taint;
  for (cube_iter_init (&it, cube_value_get (value, "spec", "taints")); cube_iter_next (&it, NULL, &taint);)
    if (g_strcmp0 (cube_view_get_string (taint, "key"), key) == 0 && g_strcmp0 (cube_view_get_string (taint, "effect"), effect) == 0)
      return TRUE;
  return FALSE;
}

static void
assert_status (Room *room, const char *node, const char *wanted)
{
  g_autofree char *status = status_of (room, node);
  g_assert_cmpstr (status, ==, wanted);
}

/* One of two nodes dies: Unknown after 50 s, tainted, its pods not ready, evicted when their tolerations end. */
static void
test_dead_node (void)
{
  const char *const both[] = { "a", "b", NULL }, *const only_b[] = { "b", NULL };
  Room room;
  begin (&room);
  put_node (&room, "a");
  put_node (&room, "b");
  put_pod (&room, "plain", "a", "");
  put_pod (&room, "patient", "a",
           "{'key':'node.kubernetes.io/unreachable','operator':'Exists','effect':'NoExecute','tolerationSeconds':100}");
  put_pod (&room, "forever", "a", "{'operator':'Exists'}");
  room_start (&room);
  live (&room, 200, both);
  assert_status (&room, "a", "True");
  live (&room, 30, only_b);
  assert_status (&room, "a", "True");
  live (&room, 30, only_b);
  assert_status (&room, "a", "Unknown");
  assert_status (&room, "b", "True");
  {
    g_autoptr (CubeValue) node = look (&room, "v1", "nodes", NULL, "a"), pod = look (&room, "v1", "pods", "default", "patient"),
                          plain = look (&room, "v1", "pods", "default", "plain");
    g_autofree char *message = event_message (&room, "default", "TaintManagerEviction"),
                    *told = event_message (&room, NULL, "NodeNotReady");
    assert_at (node, "status.conditions[0].reason", "NodeStatusUnknown");
    assert_at (node, "status.conditions[0].message", "Kubelet stopped posting node status.");
    assert_at (node, "status.conditions[1].reason", "NodeStatusNeverUpdated");
    assert_at (pod, "status.conditions[0].status", "False");
    assert_at (plain, "status.conditions[1].type", "DisruptionTarget");
    assert_at (plain, "status.conditions[1].reason", "DeletionByTaintManager");
    assert_at (plain, "status.conditions[1].message", "Taint manager: deleting due to NoExecute taint");
    g_assert_true (cube_view_exists (cube_value_get (plain, "metadata", "deletionTimestamp")));
    g_assert_cmpstr (message, ==, "Marking for deletion Pod default/plain");
    g_assert_nonnull (told);
  }
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoSchedule"));
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoExecute"));
  /* A controller that starts anew in between does not start the wait anew. */
  room_stop (&room);
  live (&room, 50, only_b);
  room_start (&room);
  live (&room, 20, only_b);
  {
    g_autoptr (CubeValue) pod = look (&room, "v1", "pods", "default", "patient");
    assert_at (pod, "metadata.deletionTimestamp", "");
  }
  live (&room, 40, only_b);
  g_autoptr (CubeValue) patient = look (&room, "v1", "pods", "default", "patient"),
                        forever = look (&room, "v1", "pods", "default", "forever");
  g_assert_true (cube_view_exists (cube_value_get (patient, "metadata", "deletionTimestamp")));
  assert_at (forever, "metadata.deletionTimestamp", "");
  /* It is back. */
  merge (&room, "v1", "nodes", "status", NULL, "a",
         "{'status':{'conditions':[{'type':'Ready','status':'True','lastHeartbeatTime':'2023-11-15T22:13:20Z'}]}}");
  live (&room, 20, both);
  g_assert_false (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoSchedule"));
  g_assert_false (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoExecute"));
  room_clear (&room);
}

/* All are silent: it is more likely us. Unknown, but nobody is evicted; the first that returns gives everybody time. */
static void
test_all_down (void)
{
  const char *const nobody[] = { NULL }, *const both[] = { "a", "b", NULL }, *const only_b[] = { "b", NULL };
  Room room;
  begin (&room);
  put_node (&room, "a");
  put_node (&room, "b");
  put_pod (&room, "plain", "a", "");
  room_start (&room);
  live (&room, 50, both);
  live (&room, 300, nobody);
  assert_status (&room, "a", "Unknown");
  assert_status (&room, "b", "Unknown");
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoSchedule"));
  g_assert_false (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoExecute")
                  || has_taint (&room, "b", "node.kubernetes.io/unreachable", "NoExecute"));
  {
    g_autoptr (CubeValue) plain = look (&room, "v1", "pods", "default", "plain");
    assert_at (plain, "metadata.deletionTimestamp", "");
  }
  /* b returns first: a has a whole grace period from then, and is lost only after it. */
  merge (&room, "v1", "nodes", "status", NULL, "b",
         "{'status':{'conditions':[{'type':'Ready','status':'True','lastHeartbeatTime':'2023-11-15T22:13:20Z'}]}}");
  live (&room, 40, only_b);
  {
    g_autoptr (CubeValue) plain = look (&room, "v1", "pods", "default", "plain");
    assert_at (plain, "metadata.deletionTimestamp", "");
  }
  live (&room, 30, only_b);
  {
    g_autoptr (CubeValue) plain = look (&room, "v1", "pods", "default", "plain");
    g_assert_true (cube_view_exists (cube_value_get (plain, "metadata", "deletionTimestamp")));
  }
  room_clear (&room);
}

/* Conditions and cordons become taints, and go with them. A node that never posts is Unknown after a minute. */
static void
test_taints (void)
{
  const char *const alive[] = { "a", NULL };
  Room room;
  begin (&room);
  room_start (&room);
  put_node (&room, "a");
  put (&room, "v1", "nodes", NULL, "{'apiVersion':'v1','kind':'Node','metadata':{'name':'mute'}}");
  merge (&room, "v1", "nodes", NULL, NULL, "a", "{'spec':{'unschedulable':true}}");
  merge (&room, "v1", "nodes", "status", NULL, "a",
         "{'status':{'conditions':[{'type':'Ready','status':'True'},{'type':'DiskPressure','status':'True'}]}}");
  live (&room, 10, alive);
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/unschedulable", "NoSchedule"));
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/disk-pressure", "NoSchedule"));
  merge (&room, "v1", "nodes", NULL, NULL, "a", "{'spec':{'unschedulable':null}}");
  merge (&room, "v1", "nodes", "status", NULL, "a",
         "{'status':{'conditions':[{'type':'Ready','status':'True'},{'type':'DiskPressure','status':'False'}]}}");
  live (&room, 30, alive);
  g_assert_false (has_taint (&room, "a", "node.kubernetes.io/unschedulable", "NoSchedule"));
  g_assert_false (has_taint (&room, "a", "node.kubernetes.io/disk-pressure", "NoSchedule"));
  assert_status (&room, "mute", "");
  live (&room, 40, alive);
  assert_status (&room, "mute", "Unknown");
  g_autoptr (CubeValue) mute = look (&room, "v1", "nodes", NULL, "mute");
  assert_at (mute, "status.conditions[0].message", "Kubelet never posted node status.");
  room_clear (&room);
}

/* Nodes of one zone get their NoExecute taint one after another. */
static void
test_turns (void)
{
  const char *const alive[] = { "c", "d", "e", NULL }, *const five[] = { "a", "b", "c", "d", "e", NULL };
  Room room;
  begin (&room);
  for (guint i = 0; i < 5; i++)
    put_node (&room, five[i]);
  room_start (&room);
  live (&room, 50, five);
  live (&room, 50, alive);
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoExecute")
                 != has_taint (&room, "b", "node.kubernetes.io/unreachable", "NoExecute"));
  live (&room, 10, alive);
  g_assert_true (has_taint (&room, "a", "node.kubernetes.io/unreachable", "NoExecute")
                 && has_taint (&room, "b", "node.kubernetes.io/unreachable", "NoExecute"));
  room_clear (&room);
}

static gboolean
exists (Room *room, const char *name)
{
  g_autoptr (CubeValue) value = look (room, "v1", "pods", "default", name);
  return value != NULL;
}

static void
test_orphans (void)
{
  const char *const alive[] = { "a", NULL };
  Room room;
  begin (&room);
  put_node (&room, "a");
  put_node (&room, "gone");
  put_pod (&room, "stays", "a", "");
  put_pod (&room, "orphan", "gone", "");
  put_pod (&room, "stranger", "never-was", "");
  put (
      &room, "v1", "pods", "default",
      "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'held','finalizers':['x.y/z']},'spec':{'nodeName':'gone','containers':[{'name':'c','image':'i'}]}}");
  room_start (&room);
  live (&room, 10, alive);
  drop (&room, "v1", "nodes", NULL, "gone", CUBE_PROPAGATION_DEFAULT);
  live (&room, 30, alive);
  g_assert_true (exists (&room, "orphan"));
  live (&room, 20, alive);
  g_assert_false (exists (&room, "orphan"));
  g_assert_false (exists (&room, "stranger"));
  g_assert_true (exists (&room, "stays"));
  g_autoptr (CubeValue) held = look (&room, "v1", "pods", "default", "held");
  assert_at (held, "status.phase", "Failed");
  assert_at (held, "status.conditions[0].message", "PodGC: node no longer exists");
  assert_at (held, "status.conditions[0].reason", "DeletionByPodGC");
  room_clear (&room);
}

/* Ended pods beyond the threshold: the evicted first, then the oldest. */
static void
test_ended (void)
{
  const char *const alive[] = { "a", NULL };
  Room room;
  begin (&room);
  put_node (&room, "a");
  room_start (&room);
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *name = g_strdup_printf ("done-%u", i);
      put_pod (&room, name, "a", "");
      room_run (&room, 2 * S);
    }
  put_pod (&room, "runs", "a", "");
  merge (&room, "v1", "pods", "status", "default", "done-0", "{'status':{'phase':'Succeeded'}}");
  merge (&room, "v1", "pods", "status", "default", "done-1", "{'status':{'phase':'Succeeded'}}");
  merge (&room, "v1", "pods", "status", "default", "done-2", "{'status':{'phase':'Failed','reason':'Evicted'}}");
  merge (&room, "v1", "pods", "status", "default", "done-3", "{'status':{'phase':'Succeeded'}}");
  live (&room, 30, alive);
  g_assert_false (exists (&room, "done-2"));
  g_assert_false (exists (&room, "done-0"));
  g_assert_true (exists (&room, "done-1"));
  g_assert_true (exists (&room, "done-3"));
  g_assert_true (exists (&room, "runs"));
  room_clear (&room);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/controllers/nodes/dead", test_dead_node);
  g_test_add_func ("/controllers/nodes/all-down", test_all_down);
  g_test_add_func ("/controllers/nodes/taints", test_taints);
  g_test_add_func ("/controllers/nodes/turns", test_turns);
  g_test_add_func ("/controllers/pods/orphans", test_orphans);
  g_test_add_func ("/controllers/pods/ended", test_ended);
  return g_test_run ();
}
