/* SPDX-License-Identifier: Apache-2.0 */
/* Ranked lists of classes against looking at every node for every pod. */
#include "fixture.h"

typedef struct {
  CubeProcess *process;
  CubeContext *context;
  CubeRegistry *registry;
  Cache *cache;
  Engine engine;
  GPtrArray *profiles;
  Profile *profile;
  GHashTable *classes;
} World;

static void
world_init (World *world, guint64 seed)
{
  g_autoptr (GError) error = NULL;

  *world = (World){ .process = cube_process_new_simulated (seed, 1), .registry = cube_registry_new (), .cache = cache_new () };
  world->context = cube_process_new_context (world->process, "test", cube_view_none ());
  cube_process_set_registry (world->process, world->registry);
  policies_add (world->registry, world->process, FALSE);
  world->profiles = profiles_new (cube_view_none (), &error);
  g_assert_no_error (error);
  world->profile = world->profiles->pdata[0];
  profile_load (world->profile, world->context, world->registry);
  engine_init (&world->engine, world->cache, world->context);
  world->classes = g_hash_table_new (g_int64_hash, g_int64_equal);
}

static void
world_clear (World *world)
{
  engine_clear (&world->engine);
  g_ptr_array_unref (world->profiles);
  cache_free (world->cache);
  g_hash_table_unref (world->classes);
  cube_process_free (world->process);
  cube_registry_free (world->registry);
}

static void
add_random_node (World *world, guint i)
{
  static const char *const specs[] = { "",
                                       "'unschedulable':true",
                                       "'taints':[{'key':'a','effect':'NoSchedule'}]",
                                       "'taints':[{'key':'a','effect':'PreferNoSchedule'},{'key':'b','effect':'PreferNoSchedule'}]",
                                       "'taints':[{'key':'c','effect':'PreferNoSchedule'}]",
                                       "" };
  guint64 bits = cube_context_random (world->context);
  g_autofree char *name = g_strdup_printf ("n%u", i);
  g_autofree char *metadata = g_strdup_printf ("'labels':{'zone':'z%u','rank':'%u'}", (guint) (bits >> 8) % 3, (guint) (bits >> 16) % 9);
  g_autofree char *allocatable = g_strdup_printf ("'cpu':'%u','memory':'%uGi','pods':'%u'", 2 + (guint) (bits >> 24) % 4,
                                                  2 + (guint) (bits >> 32) % 4, 5 + (guint) (bits >> 40) % 6);
  g_autoptr (CubeObject) node = node_object (name, metadata, specs[bits % G_N_ELEMENTS (specs)], allocatable, "");

  cache_put_node (world->cache, node);
}

static Pod *
random_pod (World *world, guint i)
{
  static const char *const specs[] = {
    "", "'tolerations':[{'operator':'Exists'}]", "'nodeSelector':{'zone':'z1'}",
    "'affinity':{'nodeAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':10,'preference':{'matchExpressions':[{'key':'zone',"
    "'operator':'In','values':['z0']}]}},{'weight':3,'preference':{'matchExpressions':[{'key':'rank','operator':'Gt','values':['4']}]}}]}}"
  };
  static const char *const containers[] = { "'resources':{'requests':{'cpu':'300m','memory':'200Mi'}}", "" };
  guint64 bits = cube_context_random (world->context);
  g_autofree char *name = g_strdup_printf ("p%u", i);

  return test_pod (world->classes, name, "", specs[bits % G_N_ELEMENTS (specs)], containers[(bits >> 8) % 2]);
}

/* The total of @node among all nodes, and the best there is; -1 = no node fits. */
static void
look_at_all (World *world, Pod *pod, const Node *node, gint64 *ret_own, gint64 *ret_best, char **ret_message)
{
  Refusal refusal;
  const Node *chosen;

  world->profile->percentage = 100;
  chosen = engine_choose (&world->engine, world->profile, pod, &refusal);
  world->profile->percentage = 0;
  *ret_own = *ret_best = -1;
  *ret_message = g_steal_pointer (&refusal.message);
  refusal_clear (&refusal);
  if (chosen == NULL)
    return;
  if (world->engine.feasible->len == 1)
    {
      *ret_best = 0;
      *ret_own = chosen == node ? 0 : -1;
      return;
    }
  for (guint i = 0; i < world->engine.feasible->len; i++)
    {
      gint64 total = g_array_index (world->engine.total, gint64, i);

      *ret_best = MAX (*ret_best, total);
      if (g_array_index (world->engine.feasible, Node *, i) == node)
        *ret_own = total;
    }
}

static void
one_step (World *world, GPtrArray *placed, guint i)
{
  Pod *pod = random_pod (world, i);
  g_autofree char *message = NULL;
  Refusal refusal;
  gint64 own, best;
  Node *node;

  pod->class->n_seen = 1; /* straight to the ranked list */
  pod->class->structure = world->cache->structure;
  node = engine_choose (&world->engine, world->profile, pod, &refusal);
  look_at_all (world, pod, node, &own, &best, &message);
  if (node == NULL)
    g_assert_cmpstr (refusal.message, ==, message);
  g_assert_cmpint (own, ==, best);
  refusal_clear (&refusal);
  if (node != NULL)
    {
      cache_add_pod (world->cache, pod, node->name);
      g_ptr_array_add (placed, pod_ref (pod));
    }
  pod_unref (pod);
}

static void
take_one_away (World *world, GPtrArray *placed)
{
  guint at = (guint) (cube_context_random (world->context) % placed->len);
  Pod *pod = g_ptr_array_steal_index_fast (placed, at);

  for (guint i = 0; i < world->cache->nodes->len; i++)
    if (g_ptr_array_find (((Node *) world->cache->nodes->pdata[i])->pods, pod, NULL))
      {
        cache_remove_pod (world->cache, pod, world->cache->nodes->pdata[i]);
        break;
      }
  pod_unref (pod);
}

static void
test_ranked (void)
{
  for (guint seed = 1; seed <= 20; seed++)
    {
      g_autoptr (GPtrArray) placed = g_ptr_array_new_with_free_func ((GDestroyNotify) pod_unref);
      World world;

      world_init (&world, seed);
      for (guint i = 0; i < 25; i++)
        add_random_node (&world, i);
      for (guint i = 0; i < 400; i++)
        {
          one_step (&world, placed, i);
          if (placed->len > 0 && cube_context_random (world.context) % 4 == 0)
            take_one_away (&world, placed);
          if (cube_context_random (world.context) % 50 == 0)
            add_random_node (&world, (guint) (cube_context_random (world.context) % 30));
          if (cube_context_random (world.context) % 97 == 0)
            cache_remove_node (world.cache, "n3");
        }
      world_clear (&world);
    }
}

static void
test_ties (void)
{
  guint hits[4] = { 0 };
  World world;

  world_init (&world, 3);
  for (guint i = 0; i < 4; i++)
    {
      g_autofree char *name = g_strdup_printf ("n%u", i);
      g_autoptr (CubeObject) node = node_object (name, "", "", "", "");

      cache_put_node (world.cache, node);
    }
  for (guint i = 0; i < 400; i++)
    {
      Pod *pod = test_pod (world.classes, "p", "", "", "");
      Refusal refusal;

      hits[engine_choose (&world.engine, world.profile, pod, &refusal)->index]++;
      pod_unref (pod);
    }
  for (guint i = 0; i < 4; i++)
    g_assert_cmpuint (hits[i], >, 60);
  world_clear (&world);
}

static void
test_empty (void)
{
  World world;
  Pod *pod;
  Refusal refusal;

  world_init (&world, 3);
  pod = test_pod (world.classes, "p", "", "", "");
  g_assert_null (engine_choose (&world.engine, world.profile, pod, &refusal));
  g_assert_cmpstr (refusal.message, ==, "no nodes available to schedule pods");
  refusal_clear (&refusal);
  pod_unref (pod);
  world_clear (&world);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/scheduler/engine/ranked", test_ranked);
  g_test_add_func ("/scheduler/engine/ties", test_ties);
  g_test_add_func ("/scheduler/engine/empty", test_empty);
  return g_test_run ();
}
