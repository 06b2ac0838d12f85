/* SPDX-License-Identifier: Apache-2.0 */
/* CPU of the request pipeline: creates, gets, lists and watch deliveries in-process, over the memory storage. */
#include "fixture.h"
#include <sys/resource.h>

#define PODS 20000
#define IN_FLIGHT 256

static const char pod_json[] =
    "{'apiVersion':'v1','kind':'Pod','metadata':{'generateName':'bench-','labels':{'app':'bench','tier':'web','release':'stable'},"
    "'annotations':{'example.com/note':'a pod as a workload controller would write it','example.com/checksum':"
    "'9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'}},"
    "'spec':{'containers':[{'name':'web','image':'cube.local/web:v1','args':['--port','8080'],'env':[{'name':'A','value':'1'},{'name':'POD','valueFrom':"
    "{'fieldRef':{'fieldPath':'metadata.name'}}}],'ports':[{'containerPort':8080,'name':'http'}],'resources':{'requests':{'cpu':'100m','memory':'64Mi'},"
    "'limits':{'cpu':'200m','memory':'128Mi'}},'readinessProbe':{'httpGet':{'path':'/healthz','port':8080}},'volumeMounts':[{'name':'data','mountPath':"
    "'/data'}]}],'volumes':[{'name':'data','emptyDir':{}}],'nodeSelector':{'kubernetes.io/os':'linux'},'tolerations':[{'key':'node.kubernetes.io/not-ready',"
    "'operator':'Exists','effect':'NoExecute','tolerationSeconds':300},{'key':'node.kubernetes.io/unreachable','operator':'Exists','effect':'NoExecute',"
    "'tolerationSeconds':300}]}}";

typedef struct {
  Fixture *fixture;
  CubeRequest request;
  guint started, done;
} Run;

static double
cpu_seconds (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void
on_created (CubeResponse *response, GError *error, gpointer data)
{
  Run *run = data;

  g_assert_no_error (error);
  cube_response_unref (response);
  run->done++;
  if (run->started < PODS)
    {
      run->started++;
      cube_client_execute_async (run->fixture->client, &run->request, run->fixture->loop, on_created, run);
    }
}

static void
report (const char *what, guint n, double cpu, gint64 wall_us)
{
  g_print ("%-28s %8.2f us CPU, %8.0f/s\n", what, cpu / n * 1e6, n / (wall_us / 1e6));
}

static void
count_event (CubeWatch *watch, guint *n)
{
  CubeEvent event;

  while (cube_watch_next (watch, &event, NULL))
    {
      (*n)++;
      cube_event_clear (&event);
    }
}

static void
nothing (gpointer data)
{
}

int
main (void)
{
  Fixture fixture;
  g_autoptr (CubeValue) pod = json ("%s", pod_json);
  Run run = { .fixture = &fixture, .request = CUBE_REQUEST_INIT };
  CubeRequest request = CUBE_REQUEST_INIT;
  g_autoptr (GPtrArray) pods = NULL;
  double cpu;
  gint64 wall;
  guint n = 0;

  fixture_init (&fixture, FALSE, 0);
  run.request.verb = CUBE_VERB_CREATE;
  run.request.resource = resource (&fixture, "v1", "pods");
  run.request.ns = "default";
  run.request.body = pod;
  run.request.field_manager = "bench";
  cpu = cpu_seconds ();
  wall = g_get_monotonic_time ();
  for (run.started = 0; run.started < IN_FLIGHT; run.started++)
    cube_client_execute_async (fixture.client, &run.request, fixture.loop, on_created, &run);
  while (run.done < PODS)
    g_main_context_iteration (NULL, TRUE);
  report ("create (async)", PODS, cpu_seconds () - cpu, g_get_monotonic_time () - wall);

  cpu = cpu_seconds ();
  wall = g_get_monotonic_time ();
  for (guint i = 0; i < 20; i++)
    {
      g_clear_pointer (&pods, g_ptr_array_unref);
      pods = cube_client_list (fixture.client, run.request.resource, NULL, NULL, NULL, NULL);
    }
  report ("list, an object", 20 * PODS, cpu_seconds () - cpu, g_get_monotonic_time () - wall);
  {
    gsize length;
    CubeObject *object = pods->pdata[0];

    cube_object_json (object, &length);
    g_print ("object %zu bytes of JSON, %zu in memory\n", length, cube_object_memory (object));
  }

  cpu = cpu_seconds ();
  wall = g_get_monotonic_time ();
  for (guint i = 0; i < PODS; i++)
    cube_object_unref (cube_client_get (fixture.client, run.request.resource, "default", cube_object_name (pods->pdata[i]), NULL));
  report ("get", PODS, cpu_seconds () - cpu, g_get_monotonic_time () - wall);

  request.resource = run.request.resource;
  request.verb = CUBE_VERB_WATCH;
  cpu = cpu_seconds ();
  wall = g_get_monotonic_time ();
  for (guint i = 0; i < 20; i++)
    {
      CubeWatch *watch = cube_client_watch (fixture.client, &request, fixture.loop, nothing, NULL, NULL);

      count_event (watch, &n);
      cube_watch_free (watch);
    }
  report ("watch, an initial event", n, cpu_seconds () - cpu, g_get_monotonic_time () - wall);
  g_clear_pointer (&pods, g_ptr_array_unref);
  fixture_clear (&fixture);
  return 0;
}
