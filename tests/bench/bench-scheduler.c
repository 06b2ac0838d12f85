/* SPDX-License-Identifier: Apache-2.0 */
/* Pods per second of the scheduler.
 *   bench-scheduler [NODES [PODS [CLASSES]]]
 * In memory: pods arrive as objects, are parsed, queued, decided by the default policies and assumed; the binder answers at once. Then with each pod of a class of its own: no list is ever used twice. Then through a store in memory with the DefaultBinder, events and conditions. */
#include "fixture.h"
#include <sys/resource.h>

static void
bind_at_once (gpointer state, const CubePodInfo *pod, const char *node_name, CubeLoop *loop, CubeBindDone done, gpointer data)
{
  done (NULL, data);
}

static const CubeBindOps at_once_ops = { .ops_size = sizeof at_once_ops, .bind_async = bind_at_once };
static const CubeInterfaceImpl at_once = CUBE_IMPL (CUBE_BIND_PLUGIN, CUBE_BIND_VERSION, "AtOnce", at_once_ops);

static double
cpu_seconds (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return (double) usage.ru_utime.tv_sec + (double) usage.ru_stime.tv_sec + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static GPtrArray *
make_pods (guint n, guint n_classes)
{
  GPtrArray *pods = g_ptr_array_new_with_free_func ((GDestroyNotify) cube_object_unref);

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("web-7d4b9c-%u", i);
      g_autofree char *metadata = g_strdup_printf ("'labels':{'app':'web-%u','pod-template-hash':'7d4b9c'}", i % n_classes);

      g_ptr_array_add (
          pods,
          pod_object (
              name, metadata,
              "'serviceAccountName':'default','restartPolicy':'Always','dnsPolicy':'ClusterFirst','enableServiceLinks':true,'priority':0,"
              "'preemptionPolicy':'PreemptLowerPriority','schedulerName':'default-scheduler','terminationGracePeriodSeconds':30,"
              "'tolerations':[{'key':'node.kubernetes.io/not-ready','operator':'Exists','effect':'NoExecute','tolerationSeconds':300},"
              "{'key':'node.kubernetes.io/unreachable','operator':'Exists','effect':'NoExecute','tolerationSeconds':300}],"
              "'volumes':[{'name':'kube-api-access','projected':{'sources':[{'serviceAccountToken':{'path':'token'}}]}}]",
              "'resources':{'requests':{'cpu':'10m','memory':'32Mi'}},'ports':[{'containerPort':8080,'protocol':'TCP'}],"
              "'env':[{'name':'A','value':'b'}],'imagePullPolicy':'IfNotPresent','terminationMessagePath':'/dev/termination-log'"));
    }
  return pods;
}

static void
in_memory (const char *title, guint n_nodes, guint n_pods, guint n_classes)
{
  CubeProcess *process = cube_process_new_simulated (1, 1);
  CubeRegistry *registry = cube_registry_new ();
  CubeContext *context = cube_process_new_context (process, "scheduler-driver", cube_view_none ());
  g_autoptr (GPtrArray) pods = make_pods (n_pods, n_classes);
  gint64 since;
  double cpu;
  Driver *driver;

  cube_process_set_registry (process, registry);
  policies_add (registry, process, FALSE);
  g_assert_true (cube_registry_add (registry, &at_once, "at-once", NULL, context, NULL));
  driver = driver_new (context, NULL);
  driver_start (driver, TRUE, NULL);
  for (guint i = 0; i < n_nodes; i++)
    {
      g_autofree char *name = g_strdup_printf ("node-%05u", i);
      g_autoptr (CubeObject) node =
          node_object (name, "'labels':{'kubernetes.io/os':'linux'}", "", "'cpu':'32','memory':'128Gi','pods':'110'", "");

      driver_on_node (CUBE_EVENT_ADDED, node, NULL, driver);
    }
  cube_process_run_until (process, 2);
  since = g_get_monotonic_time ();
  cpu = cpu_seconds ();
  for (guint i = 0; i < n_pods; i++)
    driver_on_pod (CUBE_EVENT_ADDED, pods->pdata[i], NULL, driver);
  while (driver->n_scheduled + driver->n_refused + driver->n_errors < n_pods)
    g_assert_true (cube_process_step (process, G_USEC_PER_SEC));
  cpu = cpu_seconds () - cpu;
  g_print ("%-38s %6u nodes %7u pods %6u classes: %8.0f pods/s, %6.2f us of CPU a pod, %" G_GUINT64_FORMAT " placed\n", title, n_nodes,
           n_pods, n_classes, n_pods * 1e6 / (double) (g_get_monotonic_time () - since), cpu * 1e6 / n_pods, driver->n_scheduled);
  driver_stop (driver);
  driver_unref (driver);
  cube_process_free (process);
  cube_registry_free (registry);
}

typedef struct {
  Driver *driver;
  guint n;
} Wait;

static gboolean
all_decided (gpointer data)
{
  Wait *wait = data;

  return wait->driver->n_scheduled >= wait->n;
}

static void
start_on_loop (gpointer data)
{
  driver_start (data, FALSE, NULL);
}

static void
through_store (guint n_nodes, guint n_pods)
{
  Fixture base;
  g_autoptr (GPtrArray) pods = make_pods (n_pods, 1);
  g_autoptr (CubeValue) ns = json ("{'apiVersion':'v1','kind':'Namespace','metadata':{'name':'kube-system'}}");
  CubeContext *context;
  Wait wait = { .n = n_pods };
  gint64 since;
  double cpu;

  fixture_init (&base, FALSE, 0);
  policies_add (base.registry, base.process, TRUE);
  cube_object_unref (create (&base, "v1", "namespaces", NULL, ns));
  for (guint i = 0; i < n_nodes; i++)
    {
      g_autofree char *name = g_strdup_printf ("node-%05u", i);
      g_autoptr (CubeObject) node =
          node_object (name, "'labels':{'kubernetes.io/os':'linux'}", "", "'cpu':'32','memory':'128Gi','pods':'110'", "");
      g_autoptr (CubeValue) value = cube_object_value (node);

      cube_object_unref (create (&base, "v1", "nodes", NULL, value));
    }
  for (guint i = 0; i < n_pods; i++)
    {
      g_autoptr (CubeValue) value = cube_object_value (pods->pdata[i]);

      cube_object_unref (create (&base, "v1", "pods", "default", value));
    }
  context = cube_process_new_context (base.process, "scheduler-driver", cube_view_none ());
  wait.driver = driver_new (context, NULL);
  since = g_get_monotonic_time ();
  cpu = cpu_seconds ();
  cube_loop_post (cube_context_get_loop (context, "scheduler"), start_on_loop, wait.driver, NULL);
  fixture_wait (&base, all_decided, &wait);
  g_print ("%-38s %6u nodes %7u pods: %8.0f pods/s bound, %6.2f us of CPU a pod (binding, Scheduled event, watches)\n",
           "through the store in memory", n_nodes, n_pods, n_pods * 1e6 / (double) (g_get_monotonic_time () - since),
           (cpu_seconds () - cpu) * 1e6 / n_pods);
  exit (0); /* the threads go with the process */
}

int
main (int argc, char **argv)
{
  guint n_nodes = argc > 1 ? (guint) atoi (argv[1]) : 5000, n_pods = argc > 2 ? (guint) atoi (argv[2]) : 50000;
  guint n_classes = argc > 3 ? (guint) atoi (argv[3]) : 1;

  in_memory ("in memory, one template", n_nodes, n_pods, n_classes);
  in_memory ("in memory, ten templates in turn", n_nodes, n_pods, 10);
  in_memory ("in memory, every pod its own", n_nodes, MIN (n_pods, 2000), MIN (n_pods, 2000));
  through_store (n_nodes, MIN (n_pods, 10000));
}
