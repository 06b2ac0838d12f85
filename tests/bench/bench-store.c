/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the store over sqlite: bench-store [DIRECTORY [PODS|load [keep]]]. Writes below DIRECTORY (default: a temporary one), which should be on
 * a real disk. keep: leaves the database there; load: only loads what was left. */
#include "../../core/tests/store/fixture.h"
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double
cpu_s (void)
{
  struct rusage usage;
  getrusage (RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static guint64
disk_bytes (void)
{
  g_autofree char *text = NULL;
  if (!g_file_get_contents ("/proc/self/io", &text, NULL, NULL))
    return 0;
  const char *at = strstr (text, "\nwrite_bytes:");
  return at != NULL ? g_ascii_strtoull (at + strlen ("\nwrite_bytes:"), NULL, 10) : 0;
}

/* Like a Pod of a Deployment after it was bound: 2.2 KB. */
static char *
pod_json (const char *name, guint number, gsize *ret_length)
{
  g_autoptr (GString) json = g_string_new (NULL);
  g_string_append_printf (
      json,
      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s\",\"generateName\":\"web-7d4b9c6f5d-\",\"namespace\":\"default\","
      "\"uid\":\"%08x-%04x-4c1b-9d7e-%012x\",\"resourceVersion\":\"0\",\"creationTimestamp\":\"2026-11-24T15:%02u:%02uZ\",",
      name, number * 2654435761u, number & 0xffff, number * 40503u, number / 60 % 60, number % 60);
  g_string_append_printf (
      json,
      "\"labels\":{\"app\":\"web\",\"pod-template-hash\":\"7d4b9c6f5d\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","
      "\"name\":\"web-7d4b9c6f5d\",\"uid\":\"5f0e2a11-%04x-4e0c-8d3c-0a1b2c3d4e5f\",\"controller\":true,\"blockOwnerDeletion\":true}],",
      number / 100);
  g_string_append (
      json,
      "\"managedFields\":[{\"manager\":\"cube-controllers\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"time\":\"2026-11-24T15:00:00Z\",\"fieldsType\":\"FieldsV1\","
      "\"fieldsV1\":{\"f:metadata\":{\"f:generateName\":{},\"f:labels\":{\".\":{},\"f:app\":{},\"f:pod-template-hash\":{}},\"f:ownerReferences\":{}},\"f:spec\":{"
      "\"f:containers\":{\"k:{\\\"name\\\":\\\"web\\\"}\":{\".\":{},\"f:image\":{},\"f:name\":{},\"f:ports\":{},\"f:resources\":{}}}}}}]},");
  g_string_append (
      json,
      "\"spec\":{\"volumes\":[{\"name\":\"kube-api-access\",\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,\"path\":\"token\"}},"
      "{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}}],\"defaultMode\":420}}],\"containers\":[{\"name\":\"web\","
      "\"image\":\"cube.local/web:v1\",\"ports\":[{\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"POD_NAME\",\"valueFrom\":{\"fieldRef\":{\"apiVersion\":\"v1\","
      "\"fieldPath\":\"metadata.name\"}}}],\"resources\":{\"limits\":{\"cpu\":\"500m\",\"memory\":\"128Mi\"},\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"}},");
  g_string_append_printf (
      json,
      "\"terminationMessagePath\":\"/dev/termination-log\",\"terminationMessagePolicy\":\"File\",\"imagePullPolicy\":\"IfNotPresent\"}],\"restartPolicy\":\"Always\","
      "\"terminationGracePeriodSeconds\":30,\"dnsPolicy\":\"ClusterFirst\",\"serviceAccountName\":\"default\",\"nodeName\":\"node-%u\",\"schedulerName\":\"default-scheduler\"},",
      number % 100);
  g_string_append_printf (
      json,
      "\"status\":{\"phase\":\"Running\",\"podIP\":\"10.42.%u.%u\",\"qosClass\":\"Burstable\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\","
      "\"lastTransitionTime\":\"2026-11-24T15:00:01Z\"}]}}",
      number / 256 % 256, number % 256);
  *ret_length = json->len;
  return g_string_free (g_steal_pointer (&json), FALSE);
}

static CubeObject *
bench_pod (guint number)
{
  g_autofree char *name = g_strdup_printf ("web-7d4b9c6f5d-%05x%u", number * 2654435761u >> 12, number);
  gsize length;
  g_autofree char *json = pod_json (name, number, &length);
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) value = cube_value_from_json (json, length, NULL, &error);
  g_assert_no_error (error);
  CubeObject *object = cube_object_new (cube_value_root (value), 0, &error);
  g_assert_no_error (error);
  return object;
}

typedef struct {
  GMutex lock;
  GCond cond;
  guint in_flight;
  GArray *latencies; /* gint64 µs */
} Flight;

typedef struct {
  Flight *flight;
  gint64 began;
} Sent;

static void
sent_done (guint64 revision, CubeObject *object, const GError *error, gpointer data)
{
  g_autofree Sent *sent = data;
  gint64 took = g_get_monotonic_time () - sent->began;
  g_assert_no_error (error);
  g_mutex_lock (&sent->flight->lock);
  sent->flight->in_flight--;
  g_array_append_val (sent->flight->latencies, took);
  g_cond_signal (&sent->flight->cond);
  g_mutex_unlock (&sent->flight->lock);
}

static int
compare_times (gconstpointer a, gconstpointer b)
{
  gint64 x = *(const gint64 *) a, y = *(const gint64 *) b;
  return x < y ? -1 : x > y;
}

static gint64
percentile (GArray *times, double part)
{
  g_array_sort (times, compare_times);
  return times->len > 0 ? g_array_index (times, gint64, (guint) ((times->len - 1) * part)) : 0;
}

static void
send (Fixture *f, Flight *flight, CubeObject *pod, guint most)
{
  Sent *sent = g_new (Sent, 1);
  g_mutex_lock (&flight->lock);
  while (flight->in_flight >= most)
    g_cond_wait (&flight->cond, &flight->lock);
  flight->in_flight++;
  g_mutex_unlock (&flight->lock);
  *sent = (Sent){ flight, g_get_monotonic_time () };
  cube_store_propose (f->store, PODS, cube_object_namespace (pod), cube_object_name (pod), pod, 0, sent_done, sent);
}

static guint next_number;

static void
bench_commits (Fixture *f, guint most, guint n)
{
  Flight flight = { .latencies = g_array_new (FALSE, FALSE, sizeof (gint64)) };
  g_autofree CubeObject **pods = g_new (CubeObject *, n);
  gsize bytes = 0, length;
  for (guint i = 0; i < n; i++)
    {
      pods[i] = bench_pod (next_number++);
      cube_object_json (pods[i], &length);
      bytes += length;
    }
  guint64 disk = disk_bytes ();
  double cpu = cpu_s ();
  gint64 began = g_get_monotonic_time ();
  for (guint i = 0; i < n; i++)
    send (f, &flight, pods[i], most);
  g_mutex_lock (&flight.lock);
  while (flight.in_flight > 0)
    g_cond_wait (&flight.cond, &flight.lock);
  g_mutex_unlock (&flight.lock);
  double took = (g_get_monotonic_time () - began) / 1e6;
  printf ("commits, %3u in flight: %7.0f/s  p50 %5" G_GINT64_FORMAT " p99 %6" G_GINT64_FORMAT " us  cpu %5.1f us  disk %.2f x the bytes\n",
          most, n / took, percentile (flight.latencies, 0.5), percentile (flight.latencies, 0.99), (cpu_s () - cpu) / n * 1e6,
          (double) (disk_bytes () - disk) / bytes);
  g_array_unref (flight.latencies);
}

/* ---- commit → a subscriber's callback on another loop ---- */

typedef struct {
  Fixture *f;
  CubeSubscription *subscription;
  GMutex lock;
  GCond cond;
  guint64 seen;
  gint64 seen_us;
  gboolean is_gone;
} Listener;

static void
listener_ready (gpointer data)
{
  Listener *listener = data;
  gint64 now = g_get_monotonic_time ();
  CubeChange change;
  g_mutex_lock (&listener->lock);
  while (cube_subscription_next (listener->subscription, &change, NULL, NULL))
    {
      listener->seen = change.revision;
      cube_change_clear (&change);
    }
  listener->seen_us = now;
  g_cond_signal (&listener->cond);
  g_mutex_unlock (&listener->lock);
}

static void
listener_start (gpointer data)
{
  Listener *listener = data;
  g_mutex_lock (&listener->lock);
  listener->subscription = cube_bus_subscribe (cube_store_bus (listener->f->store), PODS, cube_store_revision (listener->f->store),
                                               cube_context_get_loop (listener->f->context, "bench"), listener_ready, listener, NULL);
  g_cond_signal (&listener->cond);
  g_mutex_unlock (&listener->lock);
}

static void
listener_stop (gpointer data)
{
  Listener *listener = data;
  g_mutex_lock (&listener->lock);
  cube_subscription_free (listener->subscription);
  listener->is_gone = TRUE;
  g_cond_signal (&listener->cond);
  g_mutex_unlock (&listener->lock);
}

typedef struct {
  gint64 done_us;
  guint64 revision;
} Timed;

static void
timed_done (guint64 revision, CubeObject *object, const GError *error, gpointer data)
{
  Timed *timed = data;
  g_assert_no_error (error);
  __atomic_store_n (&timed->done_us, g_get_monotonic_time (), __ATOMIC_RELAXED);
  __atomic_store_n (&timed->revision, revision, __ATOMIC_RELEASE);
}

static void
bench_latency (Fixture *f, guint n)
{
  Listener listener = { .f = f };
  CubeLoop *loop = cube_context_get_loop (f->context, "bench");
  g_autoptr (GArray) times = g_array_new (FALSE, FALSE, sizeof (gint64));
  cube_loop_post (loop, listener_start, &listener, NULL);
  g_mutex_lock (&listener.lock);
  while (listener.subscription == NULL)
    g_cond_wait (&listener.cond, &listener.lock);
  for (guint i = 0; i < n; i++)
    {
      Timed timed = { 0, 0 };
      CubeObject *pod = bench_pod (next_number++);
      g_mutex_unlock (&listener.lock);
      guint64 before = cube_store_revision (f->store);
      cube_store_propose (f->store, PODS, "default", cube_object_name (pod), pod, 0, timed_done, &timed);
      g_mutex_lock (&listener.lock);
      while (listener.seen <= before || __atomic_load_n (&timed.revision, __ATOMIC_ACQUIRE) == 0)
        g_cond_wait_until (&listener.cond, &listener.lock, g_get_monotonic_time () + 1000);
      gint64 lag = listener.seen_us - timed.done_us;
      g_array_append_val (times, lag);
    }
  g_mutex_unlock (&listener.lock);
  cube_loop_post (loop, listener_stop, &listener, NULL);
  g_mutex_lock (&listener.lock);
  while (!listener.is_gone)
    g_cond_wait (&listener.cond, &listener.lock);
  g_mutex_unlock (&listener.lock);
  printf ("published -> subscriber's callback: p50 %" G_GINT64_FORMAT " p99 %" G_GINT64_FORMAT " us\n", percentile (times, 0.5),
          percentile (times, 0.99));
}

/* ---- reading, loading ---- */

static gboolean
add_length (CubeObject *object, gpointer data)
{
  gsize length;
  cube_object_json (object, &length);
  *(gsize *) data += length;
  return TRUE;
}

static void
bench_reading (Fixture *f)
{
  gint64 began = g_get_monotonic_time ();
  gsize bytes = 0;
  CubeSnapshot *snapshot = cube_store_snapshot (f->store, PODS);
  gint64 taken = g_get_monotonic_time ();
  cube_snapshot_visit (snapshot, NULL, NULL, NULL, add_length, &bytes);
  gint64 visited = g_get_monotonic_time ();
  guint n = cube_snapshot_length (snapshot);
  cube_snapshot_unref (snapshot);
  printf ("snapshot of %u: %" G_GINT64_FORMAT " us, visit %" G_GINT64_FORMAT " us (%.1f MB)\n", n, taken - began, visited - taken,
          bytes / 1e6);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < 1000; i++)
    g_ptr_array_add (names, g_strdup_printf ("web-7d4b9c6f5d-%05x%u", (i * 7) * 2654435761u >> 12, i * 7));
  began = g_get_monotonic_time ();
  for (guint i = 0; i < 100000; i++)
    {
      CubeObject *object = cube_store_get (f->store, PODS, "default", names->pdata[i % 1000]);
      if (object != NULL)
        cube_object_unref (object);
    }
  printf ("point reads: %.2f us each\n", (g_get_monotonic_time () - began) / 100000.0);
}

static void
bench_loading (Fixture *f)
{
  fixture_close (f);
  malloc_trim (0);
  struct mallinfo2 before = mallinfo2 ();
  double cpu = cpu_s ();
  gint64 began = g_get_monotonic_time ();
  fixture_open (f);
  gint64 took = g_get_monotonic_time () - began;
  cpu = cpu_s () - cpu;
  struct mallinfo2 after = mallinfo2 ();
  gsize json = 0;
  CubeSnapshot *snapshot = cube_store_snapshot (f->store, PODS);
  cube_snapshot_visit (snapshot, NULL, NULL, NULL, add_length, &json);
  guint n = cube_snapshot_length (snapshot);
  cube_snapshot_unref (snapshot);
  printf ("load of %u: %.0f ms (cpu %.0f ms), heap %.2f x the JSON (%.1f MB)\n", n, took / 1e3, cpu * 1e3,
          (double) (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / json, json / 1e6);
}

static void
bench_all (Fixture *f, guint pods)
{
  fixture_open (f);
  bench_commits (f, 1, 1000);
  bench_commits (f, 32, 4000);
  bench_commits (f, 256, 4000);
  bench_latency (f, 1000);
  if (pods > next_number)
    bench_commits (f, 1024, pods - next_number);
  bench_reading (f);
}

int
main (int argc, char **argv)
{
  Fixture f;
  fixture_init (&f, STORAGE_SQLITE, FALSE);
  if (argc > 1)
    {
      remove_tree (f.directory);
      g_free (f.directory);
      f.directory = g_build_filename (argv[1], "bench-store", NULL);
    }
  if (argc < 3 || !g_str_equal (argv[2], "load"))
    bench_all (&f, argc > 2 ? (guint) atoi (argv[2]) : 10000);
  bench_loading (&f);
  if (argc > 3)
    {
      fixture_close (&f);
      g_clear_pointer (&f.directory, g_free);
    }
  fixture_clear (&f);
  return 0;
}
