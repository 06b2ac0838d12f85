/* SPDX-License-Identifier: Apache-2.0 */
/* Store, controllers, scheduler and simulated nodes on a virtual clock: whatever a seed does to them, once it stops the cluster becomes what was asked for. Each seed runs in a
 * process of its own; a failing one is printed: test-convergence PLUGIN-DIR --seed N replays it. The same seed gives the same run. */
#include "sim-cluster.h"
#include <cube/scalar.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_US (G_GINT64_CONSTANT (1767225600) * G_USEC_PER_SEC)
#define SETTLE_US (60 * G_USEC_PER_SEC)
#define N_DEPLOYMENTS 2

static const char *plugin_dir;

typedef struct {
  SimCluster cluster;
  GRand *random;
  gint replicas[N_DEPLOYMENTS];
  guint image[N_DEPLOYMENTS];
  gboolean is_down[8];
} Run;

static const CubeResource *
resource (const char *api_version, const char *name)
{
  return cube_schema_resource (cube_schema_get_default (), api_version, name);
}

static void
apply_json (Run *run, const CubeResource *kind, const char *name, const char *json)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (json, -1, NULL, &error);
  g_assert_no_error (error);
  g_autoptr (CubeObject) there = cube_client_get (run->cluster.client, kind, "default", name, NULL);
  g_autoptr (CubeObject) done = there == NULL
                                    ? cube_client_create (run->cluster.client, kind, "default", value, &error)
                                    : cube_client_patch (run->cluster.client, kind, NULL, "default", name, CUBE_PATCH_MERGE, value, &error);
  g_assert_no_error (error);
}

static void
set_deployment (Run *run, guint i)
{
  g_autofree char *name = g_strdup_printf ("d%u", i);
  g_autofree char *json = g_strdup_printf (
      "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"%s\"},\"spec\":{\"replicas\":%d,"
      "\"selector\":{\"matchLabels\":{\"app\":\"%s\"}},\"template\":{\"metadata\":{\"labels\":{\"app\":\"%s\"}},\"spec\":{\"containers\":"
      "[{\"name\":\"c\",\"image\":\"i:%u\",\"resources\":{\"requests\":{\"cpu\":\"100m\"}}}]}}}}",
      name, run->replicas[i], name, name, run->image[i]);
  apply_json (run, resource ("apps/v1", "deployments"), name, json);
}

static void
set_node (Run *run, guint i, gboolean is_down)
{
  g_autofree char *name = g_strdup_printf ("sim-node-%u", i);
  g_autoptr (CubeObject) node = cube_client_get (run->cluster.client, resource ("v1", "nodes"), NULL, name, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) patch = cube_value_from_json (is_down ? "{\"metadata\":{\"annotations\":{\"sim.cube.dev/down\":\"true\"}}}"
                                                              : "{\"metadata\":{\"annotations\":{\"sim.cube.dev/down\":null}}}",
                                                      -1, NULL, NULL);
  run->is_down[i] = is_down;
  if (node == NULL)
    return;
  g_autoptr (CubeObject) done =
      cube_client_patch (run->cluster.client, resource ("v1", "nodes"), NULL, NULL, name, CUBE_PATCH_MERGE, patch, &error);
  g_assert_no_error (error);
}

static void
delete_some_pod (Run *run)
{
  g_autoptr (GPtrArray) pods = cube_client_list (run->cluster.client, resource ("v1", "pods"), "default", NULL, NULL, NULL);
  if (pods->len == 0)
    return;
  const CubeObject *pod = pods->pdata[g_rand_int_range (run->random, 0, (gint32) pods->len)];
  cube_client_delete (run->cluster.client, resource ("v1", "pods"), "default", cube_object_name (pod), NULL, -1, CUBE_PROPAGATION_DEFAULT,
                      NULL);
}

static void
disturb (Run *run)
{
  guint i = (guint) g_rand_int_range (run->random, 0, N_DEPLOYMENTS),
        node = (guint) g_rand_int_range (run->random, 0, (gint32) run->cluster.n_nodes);
  switch (g_rand_int_range (run->random, 0, 7))
    {
    case 0:
    case 1:
      run->replicas[i] = g_rand_int_range (run->random, 0, 12);
      set_deployment (run, i);
      break;
    case 2:
      run->image[i] = (guint) g_rand_int_range (run->random, 1, 4);
      set_deployment (run, i);
      break;
    case 3: set_node (run, node, !run->is_down[node]); break;
    case 4:
    case 5:
      sim_cluster_crash (&run->cluster);
      sim_cluster_start (&run->cluster);
      break;
    default: delete_some_pod (run);
    }
}

/* ---- what has to hold in the end ---- */

static char *problem; /* of the last check, NULL = none */

static void complain (const char *format, ...) G_GNUC_PRINTF (1, 2);
static void
complain (const char *format, ...)
{
  va_list args;
  va_start (args, format);
  if (problem == NULL)
    problem = g_strdup_vprintf (format, args);
  va_end (args);
}

static void
check_pod (Run *run, const CubeObject *pod, guint i, guint *n_good)
{
  g_autoptr (CubeValue) value = cube_object_value (pod);
  g_autofree char *image = g_strdup_printf ("i:%u", run->image[i]);
  CubeView container = cube_view_element (cube_value_get (value, "spec", "containers"), 0);
  if (cube_object_deletion_timestamp (pod) != NULL)
    complain ("pod %s is still going", cube_object_name (pod));
  else if (cube_object_controller (pod) == NULL)
    complain ("pod %s has no owner", cube_object_name (pod));
  else if (g_strcmp0 (cube_view_string (cube_value_get (value, "status", "phase")), "Running") != 0)
    complain ("pod %s is %s on node %s", cube_object_name (pod), cube_view_string (cube_value_get (value, "status", "phase")),
              cube_view_string (cube_value_get (value, "spec", "nodeName")));
  else if (g_strcmp0 (cube_view_get_string (container, "image"), image) != 0)
    complain ("pod %s has image %s, wanted %s", cube_object_name (pod), cube_view_get_string (container, "image"), image);
  else
    (*n_good)++;
}

static void
check (Run *run)
{
  g_autoptr (GPtrArray) pods = cube_client_list (run->cluster.client, resource ("v1", "pods"), "default", NULL, NULL, NULL);
  g_clear_pointer (&problem, g_free);
  for (guint i = 0; i < N_DEPLOYMENTS; i++)
    {
      g_autofree char *name = g_strdup_printf ("d%u", i);
      g_autoptr (CubeObject) deployment = cube_client_get (run->cluster.client, resource ("apps/v1", "deployments"), "default", name, NULL);
      g_autoptr (CubeValue) value = cube_object_value (deployment);
      guint n_good = 0;
      for (guint j = 0; j < pods->len; j++)
        if (g_strcmp0 (cube_object_label (pods->pdata[j], "app"), name) == 0)
          check_pod (run, pods->pdata[j], i, &n_good);
      if ((gint) n_good != run->replicas[i])
        complain ("deployment %s has %u good pods, wanted %d", name, n_good, run->replicas[i]);
      if (cube_view_int (cube_value_get (value, "status", "availableReplicas"), 0) != run->replicas[i])
        complain ("deployment %s says %" G_GINT64_FORMAT " are available, wanted %d", name,
                  cube_view_int (cube_value_get (value, "status", "availableReplicas"), 0), run->replicas[i]);
    }
}

static guint64
run_seed (guint64 seed)
{
  Run run = { .cluster = { .plugin_dir = plugin_dir, .seed = seed, .disk = sim_disk_new (), .now_us = START_US } };
  run.random = g_rand_new_with_seed ((guint32) seed);
  run.cluster.n_nodes = (guint) g_rand_int_range (run.random, 1, 6);
  sim_cluster_start (&run.cluster);
  for (guint i = 0; i < N_DEPLOYMENTS; i++)
    {
      run.replicas[i] = g_rand_int_range (run.random, 1, 8);
      run.image[i] = 1;
      set_deployment (&run, i);
    }
  for (gint n = g_rand_int_range (run.random, 4, 20); n > 0; n--)
    {
      sim_cluster_run (&run.cluster, g_rand_int_range (run.random, 0, 3000) * 1000);
      disturb (&run);
    }
  for (guint i = 0; i < run.cluster.n_nodes; i++)
    if (run.is_down[i])
      set_node (&run, i, FALSE);
  check (&run);
  for (gint64 left = SETTLE_US; left > 0 && problem != NULL; left -= G_USEC_PER_SEC)
    {
      sim_cluster_run (&run.cluster, G_USEC_PER_SEC);
      check (&run);
    }
  return sim_disk_digest (run.cluster.disk);
}

/* ---- seeds, each in a process of its own ---- */

static gboolean
run_apart (guint64 seed, guint64 *ret_digest)
{
  int pipes[2], status = 0;
  char text[1024] = "";
  guint64 digest = 0;
  g_assert_cmpint (pipe (pipes), ==, 0);
  fflush (NULL);
  pid_t pid = fork ();
  if (pid == 0)
    {
      digest = run_seed (seed);
      g_autofree char *answer = g_strdup_printf ("%" G_GUINT64_FORMAT " %s", digest, problem != NULL ? problem : "");
      _exit (write (pipes[1], answer, strlen (answer)) < 0 || problem != NULL ? 1 : 0);
    }
  close (pipes[1]);
  gssize n, length = 0;
  while (length < (gssize) sizeof text - 1 && (n = read (pipes[0], text + length, sizeof text - 1 - (gsize) length)) > 0)
    length += n;
  close (pipes[0]);
  waitpid (pid, &status, 0);
  char *rest = NULL;
  *ret_digest = g_ascii_strtoull (text, &rest, 10);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 0)
    return TRUE;
  g_test_message ("seed %" G_GUINT64_FORMAT ": %s", seed, WIFSIGNALED (status) ? g_strsignal (WTERMSIG (status)) : rest);
  return FALSE;
}

static void
test_seeds (void)
{
  const char *wanted = g_getenv ("CUBE_SIM_SEEDS");
  guint n = wanted != NULL ? (guint) atoi (wanted) : 200, n_failed = 0;
  for (guint seed = 1; seed <= n; seed++)
    {
      guint64 digest;
      n_failed += !run_apart (seed, &digest);
    }
  g_assert_cmpuint (n_failed, ==, 0);
}

static void
test_same_seed_same_run (void)
{
  for (guint seed = 1; seed <= 10; seed++)
    {
      guint64 first, second;
      run_apart (seed, &first);
      run_apart (seed, &second);
      g_assert_cmpuint (first, ==, second);
      g_assert_cmpuint (first, !=, 0);
    }
}

int
main (int argc, char **argv)
{
  g_assert_cmpint (argc, >=, 2);
  plugin_dir = argv[1];
  if (argc == 4 && strcmp (argv[2], "--seed") == 0) /* before g_test_init, which has a --seed of its own */
    {
      run_seed (g_ascii_strtoull (argv[3], NULL, 10));
      printf ("%s\n", problem != NULL ? problem : "converged");
      return problem != NULL;
    }
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/sim/same-seed-same-run", test_same_seed_same_run);
  g_test_add_func ("/sim/seeds", test_seeds);
  return g_test_run ();
}
