/* SPDX-License-Identifier: Apache-2.0 */
/* Every policy by its own functions: words, verdicts, numbers. */
#include "fixture.h"

typedef struct {
  CubeProcess *process;
  CubeRegistry *registry;
  Cache *cache;
  GHashTable *classes;
  CubeCycle cycle;
} World;

static void
world_init (World *world)
{
  *world = (World){ .process = cube_process_new_simulated (1, 1), .registry = cube_registry_new (), .cache = cache_new () };
  world->classes = g_hash_table_new (g_int64_hash, g_int64_equal);
  policies_add (world->registry, world->process, FALSE);
  world->cycle = (CubeCycle){ .struct_size = sizeof (CubeCycle) };
}

static void
world_clear (World *world)
{
  cache_free (world->cache);
  g_hash_table_unref (world->classes);
  cube_process_free (world->process);
  cube_registry_free (world->registry);
}

static Node *
add_node (World *world, const char *name, const char *metadata, const char *spec, const char *allocatable, const char *status)
{
  g_autoptr (CubeObject) object = node_object (name, metadata, spec, allocatable, status);

  cache_put_node (world->cache, object);
  world->cycle.nodes = (const CubeNodeInfo *const *) world->cache->nodes->pdata;
  world->cycle.n_nodes = world->cache->nodes->len;
  return g_hash_table_lookup (world->cache->by_name, name);
}

static CubeFit
filter (World *world, const char *id, const Pod *pod, const Node *node, const char **ret_reason)
{
  gpointer state, data = NULL;
  const CubeFilterOps *ops = filter_ops_of (world->registry, id, &state);
  g_autofree char *reason = NULL;
  CubeFit fit = CUBE_FIT_OK;

  *ret_reason = NULL;
  if (ops->pre_filter != NULL)
    fit = ops->pre_filter (state, &world->cycle, &pod->info, &data, &reason);
  if (fit == CUBE_FIT_OK)
    fit = ops->filter (state, &world->cycle, data, &pod->info, &node->info, ret_reason);
  if (data != NULL)
    ops->free_data (state, data);
  return fit;
}

static void
expect (World *world, const char *id, const char *spec, const char *container, const Node *node, CubeFit fit, const char *reason)
{
  Pod *pod = test_pod (world->classes, "p", "", spec, container);
  const char *found;

  g_assert_cmpint (filter (world, id, pod, node, &found), ==, fit);
  g_assert_cmpstr (found, ==, reason);
  pod_unref (pod);
}

/* G_MININT64 = skipped */
static gint64
score (World *world, const char *id, const char *spec, const char *container, const Node *node)
{
  Pod *pod = test_pod (world->classes, "p", "", spec, container);
  gpointer state, data = NULL;
  const CubeScoreOps *ops = score_ops_of (world->registry, id, &state);
  gint64 result = G_MININT64;

  if (ops->pre_score == NULL
      || ops->pre_score (state, &world->cycle, &pod->info, world->cycle.nodes, world->cycle.n_nodes, &data) == CUBE_FIT_OK)
    result = ops->score (state, &world->cycle, data, &pod->info, &node->info);
  if (data != NULL)
    ops->free_data (state, data);
  pod_unref (pod);
  return result;
}

static void
test_fit (void)
{
  World world;
  Node *node;
  Pod *pod;

  world_init (&world);
  node = add_node (&world, "n", "", "", "'cpu':'2','memory':'1Gi','pods':'2','example.com/gpu':'1','ephemeral-storage':'1Gi'", "");
  expect (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'2','memory':'1Gi','example.com/gpu':'1'}}", node, CUBE_FIT_OK,
          NULL);
  expect (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'2001m'}}", node, CUBE_FIT_UNRESOLVABLE, "Insufficient cpu");
  expect (&world, "NodeResourcesFit", "",
          "'resources':{'requests':{'cpu':'3','memory':'2Gi','example.com/gpu':'2','ephemeral-storage':'2Gi'}}", node,
          CUBE_FIT_UNRESOLVABLE, "Insufficient cpu\nInsufficient memory\nInsufficient ephemeral-storage\nInsufficient example.com/gpu");
  pod = test_pod (world.classes, "one", "", "", "'resources':{'requests':{'cpu':'1500m'}}");
  cache_add_pod (world.cache, pod, "n");
  expect (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'1'}}", node, CUBE_FIT_UNSCHEDULABLE, "Insufficient cpu");
  /* 100m and 200 MiB stand for what is not said, in scores only */
  g_assert_cmpint (node->info.nonzero_cpu_millis, ==, 1500);
  g_assert_cmpint (node->info.nonzero_memory_bytes, ==, 200 * 1024 * 1024);
  cache_add_pod (world.cache, pod, "n");
  expect (&world, "NodeResourcesFit", "", "", node, CUBE_FIT_UNSCHEDULABLE, "Too many pods");
  cache_remove_pod (world.cache, pod, node);
  cache_remove_pod (world.cache, pod, node);
  g_assert_cmpint (node->info.requested_cpu_millis, ==, 0);
  pod_unref (pod);
  world_clear (&world);
}

static void
test_requests (void)
{
  World world;
  Pod *pod;

  world_init (&world);
  pod = test_pod (world.classes, "p", "",
                  "'initContainers':[{'name':'side','image':'x','restartPolicy':'Always','resources':{'requests':{'cpu':'100m'}}},"
                  "{'name':'init','image':'x','resources':{'requests':{'cpu':'2'}}}],'overhead':{'cpu':'10m'}",
                  "'resources':{'requests':{'cpu':'300m'}}");
  g_assert_cmpint (pod->info.cpu_millis, ==, 2110);
  g_assert_cmpint (pod->info.memory_bytes, ==, 0);
  g_assert_cmpint (pod->info.nonzero_memory_bytes, ==, 400 * 1024 * 1024);
  pod_unref (pod);
  world_clear (&world);
}

static void
test_strategies (void)
{
  World world;
  Node *node;

  world_init (&world);
  node = add_node (&world, "n", "", "", "'cpu':'4','memory':'4Gi','pods':'9'", "");
  g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'1','memory':'2Gi'}}", node), ==, (75 + 50) / 2);
  g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'5','memory':'2Gi'}}", node), ==, (0 + 50) / 2);
  {
    g_autoptr (CubeValue) args =
        json ("{'scoringStrategy':{'type':'MostAllocated','resources':[{'name':'cpu','weight':3},{'name':'memory','weight':1}]}}");

    world.cycle.args = cube_value_root (args);
    g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'1','memory':'2Gi'}}", node), ==,
                     (3 * 25 + 50) / 4);
    g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'9','memory':'2Gi'}}", node), ==,
                     (3 * 100 + 50) / 4);
  }
  {
    g_autoptr (CubeValue) args = json (
        "{'scoringStrategy':{'type':'RequestedToCapacityRatio','resources':[{'name':'cpu','weight':1}],"
        "'requestedToCapacityRatio':{'shape':[{'utilization':0,'score':0},{'utilization':50,'score':10},{'utilization':100,'score':0}]}}}");

    world.cycle.args = cube_value_root (args);
    g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'1'}}", node), ==, 50);
    g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'3'}}", node), ==, 50);
    g_assert_cmpint (score (&world, "NodeResourcesFit", "", "'resources':{'requests':{'cpu':'2'}}", node), ==, 100);
  }
  world_clear (&world);
}

static void
test_balanced (void)
{
  World world;
  Node *node;

  world_init (&world);
  node = add_node (&world, "n", "", "", "'cpu':'10','memory':'10Gi','pods':'9'", "");
  g_assert_cmpint (score (&world, "NodeResourcesBalancedAllocation", "", "", node), ==, G_MININT64);
  /* fractions 0.5 and 0.5: as balanced as before, 50 + 50 / 2 */
  g_assert_cmpint (score (&world, "NodeResourcesBalancedAllocation", "", "'resources':{'requests':{'cpu':'5','memory':'5Gi'}}", node), ==,
                   75);
  /* 0.5 and 0: spread 0.25, from 100 to 75 */
  g_assert_cmpint (score (&world, "NodeResourcesBalancedAllocation", "", "'resources':{'requests':{'cpu':'5'}}", node), ==,
                   50 + (50 + 75 - 100) / 2);
  world_clear (&world);
}

static void
test_taints (void)
{
  World world;
  Node *node, *soft, *cordoned;
  gint64 scores[] = { 0, 1, 2 }, none[] = { 0, 0 };

  world_init (&world);
  node = add_node (&world, "n", "", "'taints':[{'key':'k','value':'v','effect':'NoExecute'}]", "", "");
  soft =
      add_node (&world, "soft", "", "'taints':[{'key':'k','effect':'PreferNoSchedule'},{'key':'l','effect':'PreferNoSchedule'}]", "", "");
  cordoned = add_node (&world, "cordoned", "", "'unschedulable':true", "", "");
  expect (&world, "TaintToleration", "", "", node, CUBE_FIT_UNRESOLVABLE, "node(s) had untolerated taint(s)");
  expect (&world, "TaintToleration", "'tolerations':[{'key':'k','operator':'Exists'}]", "", node, CUBE_FIT_OK, NULL);
  expect (&world, "TaintToleration", "'tolerations':[{'key':'k','value':'v'}]", "", node, CUBE_FIT_OK, NULL);
  expect (&world, "TaintToleration", "'tolerations':[{'key':'k','value':'w'}]", "", node, CUBE_FIT_UNRESOLVABLE,
          "node(s) had untolerated taint(s)");
  expect (&world, "TaintToleration", "'tolerations':[{'key':'k','value':'v','effect':'NoSchedule'}]", "", node, CUBE_FIT_UNRESOLVABLE,
          "node(s) had untolerated taint(s)");
  expect (&world, "TaintToleration", "'tolerations':[{'operator':'Exists'}]", "", node, CUBE_FIT_OK, NULL);
  expect (&world, "TaintToleration", "", "", soft, CUBE_FIT_OK, NULL);
  g_assert_cmpint (score (&world, "TaintToleration", "'tolerations':[{'key':'l','operator':'Exists'}]", "", soft), ==, 1);
  expect (&world, "NodeUnschedulable", "", "", cordoned, CUBE_FIT_UNRESOLVABLE, "node(s) were unschedulable");
  expect (&world, "NodeUnschedulable",
          "'tolerations':[{'key':'node.kubernetes.io/unschedulable','operator':'Exists','effect':'NoSchedule'}]", "", cordoned, CUBE_FIT_OK,
          NULL);
  cube_score_normalize (scores, 3, 100, TRUE);
  g_assert_cmpint (scores[0], ==, 100);
  g_assert_cmpint (scores[1], ==, 50);
  g_assert_cmpint (scores[2], ==, 0);
  cube_score_normalize (none, 2, 100, TRUE);
  g_assert_cmpint (none[0], ==, 100);
  world_clear (&world);
}

#define REQUIRED(expressions)                                                                                                              \
  "'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[" expressions "]}}}"

static void
test_affinity (void)
{
  static const char words[] = "node(s) didn't match Pod's node affinity/selector";
  World world;
  Node *node;

  world_init (&world);
  node = add_node (&world, "n", "'labels':{'disk':'ssd','n':'5'}", "", "", "");
  expect (&world, "NodeAffinity", "", "", node, CUBE_FIT_SKIP, NULL);
  expect (&world, "NodeAffinity", "'nodeSelector':{'disk':'ssd'}", "", node, CUBE_FIT_OK, NULL);
  expect (&world, "NodeAffinity", "'nodeSelector':{'disk':'hdd'}", "", node, CUBE_FIT_UNRESOLVABLE, words);
  expect (
      &world, "NodeAffinity",
      REQUIRED ("{'matchExpressions':[{'key':'disk','operator':'In','values':['a','ssd']},{'key':'n','operator':'Gt','values':['4']}]}"),
      "", node, CUBE_FIT_OK, NULL);
  expect (&world, "NodeAffinity", REQUIRED ("{'matchExpressions':[{'key':'n','operator':'Lt','values':['5']}]}"), "", node,
          CUBE_FIT_UNRESOLVABLE, words);
  expect (&world, "NodeAffinity",
          REQUIRED ("{'matchExpressions':[{'key':'x','operator':'NotIn','values':['y']},{'key':'x','operator':'DoesNotExist'}]}"), "", node,
          CUBE_FIT_OK, NULL);
  expect (&world, "NodeAffinity", REQUIRED ("{},{'matchFields':[{'key':'metadata.name','operator':'In','values':['n']}]}"), "", node,
          CUBE_FIT_OK, NULL);
  expect (&world, "NodeAffinity", REQUIRED ("{}"), "", node, CUBE_FIT_UNRESOLVABLE, words);
  g_assert_cmpint (score (&world, "NodeAffinity", "", "", node), ==, G_MININT64);
  g_assert_cmpint (score (&world, "NodeAffinity",
                          "'affinity':{'nodeAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':["
                          "{'weight':7,'preference':{'matchExpressions':[{'key':'disk','operator':'Exists'}]}},"
                          "{'weight':2,'preference':{'matchExpressions':[{'key':'gone','operator':'Exists'}]}}]}}",
                          "", node),
                   ==, 7);
  {
    g_autoptr (CubeValue) args =
        json ("{'addedAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':[{'matchExpressions':"
              "[{'key':'pool','operator':'Exists'}]}]}}}");

    world.cycle.args = cube_value_root (args);
    expect (&world, "NodeAffinity", "", "", node, CUBE_FIT_UNRESOLVABLE, "node(s) didn't match scheduler-enforced node affinity");
  }
  world_clear (&world);
}

static void
test_ports (void)
{
  static const char words[] = "node(s) didn't have free ports for the requested pod ports";
  World world;
  Node *node;
  Pod *pod;

  world_init (&world);
  node = add_node (&world, "n", "", "", "", "");
  pod = test_pod (world.classes, "one", "", "", "'ports':[{'containerPort':80,'hostPort':80,'hostIP':'10.0.0.1'}]");
  cache_add_pod (world.cache, pod, "n");
  expect (&world, "NodePorts", "", "", node, CUBE_FIT_SKIP, NULL);
  expect (&world, "NodePorts", "", "'ports':[{'containerPort':1,'hostPort':80}]", node, CUBE_FIT_UNSCHEDULABLE, words);
  expect (&world, "NodePorts", "", "'ports':[{'containerPort':1,'hostPort':80,'hostIP':'10.0.0.2'}]", node, CUBE_FIT_OK, NULL);
  expect (&world, "NodePorts", "", "'ports':[{'containerPort':1,'hostPort':80,'protocol':'UDP'}]", node, CUBE_FIT_OK, NULL);
  expect (&world, "NodePorts", "", "'ports':[{'containerPort':1,'hostPort':81}]", node, CUBE_FIT_OK, NULL);
  expect (&world, "NodeName", "'nodeName':'other'", "", node, CUBE_FIT_UNRESOLVABLE, "node(s) didn't match the requested node name");
  expect (&world, "NodeName", "'nodeName':'n'", "", node, CUBE_FIT_OK, NULL);
  expect (&world, "NodeName", "", "", node, CUBE_FIT_SKIP, NULL);
  pod_unref (pod);
  world_clear (&world);
}

static void
test_images (void)
{
  World world;
  Node *with, *without;

  world_init (&world);
  with = add_node (&world, "with", "", "", "", "'images':[{'names':['x:latest'],'sizeBytes':1073741824}]");
  without = add_node (&world, "without", "", "", "", "");
  /* 1 GiB on one node of two counts 512 MiB, between 23 and 1000 MiB */
  g_assert_cmpint (score (&world, "ImageLocality", "", "", with), ==, 100 * (512 - 23) / (1000 - 23));
  g_assert_cmpint (score (&world, "ImageLocality", "", "", without), ==, 0);
  g_assert_cmpint (score (&world, "ImageLocality", "'initContainers':[{'name':'i','image':'reg:5000/y'}]", "", with), ==,
                   100 * (512 - 23) / (2000 - 23));
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scheduler/policies/fit", test_fit);
  g_test_add_func ("/scheduler/policies/requests", test_requests);
  g_test_add_func ("/scheduler/policies/strategies", test_strategies);
  g_test_add_func ("/scheduler/policies/balanced", test_balanced);
  g_test_add_func ("/scheduler/policies/taints", test_taints);
  g_test_add_func ("/scheduler/policies/affinity", test_affinity);
  g_test_add_func ("/scheduler/policies/ports-and-names", test_ports);
  g_test_add_func ("/scheduler/policies/images", test_images);
  return g_test_run ();
}
