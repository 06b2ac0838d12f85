/* SPDX-License-Identifier: Apache-2.0 */
/* Load over HTTPS against a running server, one thread a connection:
 *   bench-api create --kubeconfig FILE [--pid PID] [-n OBJECTS] [-c CLIENTS] [--prefix P]   Pods in namespace default
 *   bench-api list   --kubeconfig FILE [--pid PID] [-n LISTS]   [-c CLIENTS]
 *   bench-api watch  --kubeconfig FILE [--pid PID] [-n WRITES]  [-c WATCHERS] [--gap MS]      ConfigMaps in namespace default
 * One JSON line: rate, latencies in ms; with --pid the server's CPU (ms an operation or delivery) and resident memory (MB: before, after). */
#include <arpa/inet.h>
#include <cube/value.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFER (256 * 1024)
#define PODS "/api/v1/namespaces/default/pods"
#define MAPS "/api/v1/namespaces/default/configmaps"

static char *kubeconfig, *prefix;
static int server_pid, n_total = 1000, n_clients = 1, gap_ms = 5;

static char *host, *port;
static gnutls_certificate_credentials_t credentials;
static gint next, n_failed, n_watching, n_delivered;
static GMutex lock;
static GArray *latencies; /* double, ms */

/* ---- the server to talk to ---- */

static void
fail (const char *what, const char *why)
{
  fprintf (stderr, "bench-api: %s: %s\n", what, why);
  exit (1);
}

static gnutls_datum_t
embedded (CubeView entry, const char *key)
{
  gsize length;
  const char *text = cube_view_get_string (entry, key);
  if (text == NULL)
    fail (key, "not in the kubeconfig");
  guchar *bytes = g_base64_decode (text, &length);
  return (gnutls_datum_t){ bytes, (unsigned) length };
}

static void
read_kubeconfig (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;
  gsize length;
  if (kubeconfig == NULL || !g_file_get_contents (kubeconfig, &text, &length, &error))
    fail ("--kubeconfig", error != NULL ? error->message : "wanted");
  g_autoptr (GPtrArray) documents = cube_values_from_yaml (text, (gssize) length, NULL, &error);
  if (documents == NULL || documents->len == 0)
    fail (kubeconfig, error != NULL ? error->message : "empty");
  CubeView root = cube_value_root (documents->pdata[0]);
  CubeView cluster = cube_view_dotted (root, "clusters[0].cluster"), user = cube_view_dotted (root, "users[0].user");
  const char *server = cube_view_get_string (cluster, "server");
  if (server == NULL || !g_str_has_prefix (server, "https://"))
    fail (kubeconfig, "no https server");
  const char *colon = strrchr (server + 8, ':');
  if (colon == NULL)
    fail (kubeconfig, "the server has no port");
  host = g_strndup (server + 8, (gsize) (colon - server - 8));
  port = g_strdup (colon + 1);
  gnutls_datum_t authority = embedded (cluster, "certificate-authority-data"), certificate = embedded (user, "client-certificate-data"),
                 key = embedded (user, "client-key-data");
  gnutls_certificate_allocate_credentials (&credentials);
  if (gnutls_certificate_set_x509_trust_mem (credentials, &authority, GNUTLS_X509_FMT_PEM) < 1
      || gnutls_certificate_set_x509_key_mem (credentials, &certificate, &key, GNUTLS_X509_FMT_PEM) < 0)
    fail (kubeconfig, "certificates cannot be used");
}

/* ---- one connection ---- */

typedef struct {
  gnutls_session_t tls;
  int fd;
  char *data; /* read, not yet used; BUFFER bytes and a NUL */
  gsize at, end;
} Connection;

static Connection *
connection_open (void)
{
  struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *address;
  int yes = 1, result;
  Connection *connection = g_new0 (Connection, 1);
  connection->data = g_malloc (BUFFER + 1);
  if (getaddrinfo (host, port, &hints, &address) != 0)
    fail (host, "cannot be resolved");
  connection->fd = socket (address->ai_family, SOCK_STREAM, 0);
  if (connect (connection->fd, address->ai_addr, address->ai_addrlen) != 0)
    fail (host, g_strerror (errno));
  freeaddrinfo (address);
  setsockopt (connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  gnutls_init (&connection->tls, GNUTLS_CLIENT);
  gnutls_set_default_priority (connection->tls);
  gnutls_credentials_set (connection->tls, GNUTLS_CRD_CERTIFICATE, credentials);
  gnutls_session_set_verify_cert (connection->tls, host, 0);
  gnutls_transport_set_int (connection->tls, connection->fd);
  do
    result = gnutls_handshake (connection->tls);
  while (result < 0 && gnutls_error_is_fatal (result) == 0);
  if (result < 0)
    fail ("TLS", gnutls_strerror (result));
  return connection;
}

static void
connection_close (Connection *connection)
{
  close (connection->fd);
  gnutls_deinit (connection->tls);
  g_free (connection->data);
  g_free (connection);
}

static gboolean
read_more (Connection *connection)
{
  if (connection->at > 0)
    memmove (connection->data, connection->data + connection->at, connection->end - connection->at);
  connection->end -= connection->at;
  connection->at = 0;
  ssize_t n;
  do
    n = gnutls_record_recv (connection->tls, connection->data + connection->end, BUFFER - connection->end);
  while (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_AGAIN);
  if (n <= 0)
    return FALSE;
  connection->end += (gsize) n;
  connection->data[connection->end] = '\0';
  return TRUE;
}

/* The text up to @mark, which ends it: its length; what follows stays. */
static gssize
read_until (Connection *connection, const char *mark)
{
  for (;;)
    {
      char *found =
          connection->end == 0 ? NULL : memmem (connection->data + connection->at, connection->end - connection->at, mark, strlen (mark));
      if (found != NULL)
        return found + strlen (mark) - (connection->data + connection->at);
      if ((connection->end - connection->at == BUFFER) || !read_more (connection))
        return -1;
    }
}

static gboolean
skip (Connection *connection, gsize n)
{
  while (n > 0)
    {
      gsize have = MIN (n, connection->end - connection->at);
      connection->at += have;
      n -= have;
      if (n > 0 && !read_more (connection))
        return FALSE;
    }
  return TRUE;
}

static void
send_request (Connection *connection, const char *method, const char *path, const char *body)
{
  g_autofree char *text = g_strdup_printf ("%s %s HTTP/1.1\r\nHost: %s:%s\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
                                           "Content-Length: %zu\r\n\r\n%s",
                                           method, path, host, port, body != NULL ? strlen (body) : 0, body != NULL ? body : "");
  for (gsize at = 0, length = strlen (text); at < length;)
    {
      ssize_t n = gnutls_record_send (connection->tls, text + at, length - at);
      if (n > 0)
        at += (gsize) n;
      else if (n != GNUTLS_E_AGAIN && n != GNUTLS_E_INTERRUPTED)
        fail ("send", gnutls_strerror ((int) n));
    }
}

/* The status of an answer; its length in @ret_length, -1 = in chunks. */
static int
read_head (Connection *connection, gssize *ret_length)
{
  gssize n = read_until (connection, "\r\n\r\n");
  if (n < 0)
    return 0;
  g_autofree char *head = g_ascii_strdown (connection->data + connection->at, n);
  const char *length = strstr (head, "content-length:");
  *ret_length = length != NULL ? atol (length + 15) : -1;
  connection->at += (gsize) n;
  return n > 12 ? atoi (head + 9) : 0;
}

/* The length of the chunk that begins here; 0 = the last, -1 = the connection ended. */
static gssize
read_chunk_head (Connection *connection)
{
  gssize n = read_until (connection, "\r\n");
  if (n < 0)
    return -1;
  gssize length = (gssize) strtoul (connection->data + connection->at, NULL, 16);
  connection->at += (gsize) n;
  return length;
}

static gboolean
skip_body (Connection *connection, gssize length)
{
  if (length >= 0)
    return skip (connection, (gsize) length);
  for (;;)
    {
      length = read_chunk_head (connection);
      if (length < 0 || !skip (connection, (gsize) length + 2))
        return FALSE;
      if (length == 0)
        return TRUE;
    }
}

static gboolean
call (Connection *connection, const char *method, const char *path, const char *body)
{
  gssize length;
  send_request (connection, method, path, body);
  int status = read_head (connection, &length);
  return skip_body (connection, length) && status >= 200 && status < 300;
}

static void
note (double ms)
{
  g_mutex_lock (&lock);
  g_array_append_val (latencies, ms);
  g_mutex_unlock (&lock);
}

/* ---- the modes ---- */

static const char pod[] =
    "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"%s-%d\",\"labels\":{\"app\":\"bench\",\"pod-template-hash\":\"5d7f9c8b6d\"},"
    "\"annotations\":{\"bench/pad\":\"%s\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"bench-5d7f9c8b6d\","
    "\"uid\":\"0f0e9d8c-7b6a-5948-3726-150403020100\",\"controller\":true,\"blockOwnerDeletion\":true}]},\"spec\":{\"restartPolicy\":\"Always\","
    "\"terminationGracePeriodSeconds\":30,\"serviceAccountName\":\"default\",\"containers\":[{\"name\":\"c\",\"image\":\"registry.local/bench:1\","
    "\"command\":[\"/bin/app\",\"--flag=1\"],\"ports\":[{\"containerPort\":8080,\"protocol\":\"TCP\"}],\"env\":[{\"name\":\"A\",\"value\":\"1\"},"
    "{\"name\":\"B\",\"value\":\"2\"}],\"resources\":{\"requests\":{\"cpu\":\"100m\",\"memory\":\"64Mi\"},\"limits\":{\"cpu\":\"500m\",\"memory\":\"128Mi\"}},"
    "\"volumeMounts\":[{\"name\":\"tmp\",\"mountPath\":\"/tmp\"}],\"livenessProbe\":{\"httpGet\":{\"path\":\"/healthz\",\"port\":8080},"
    "\"periodSeconds\":10}}],\"volumes\":[{\"name\":\"tmp\",\"emptyDir\":{}}],\"tolerations\":[{\"key\":\"node.kubernetes.io/not-ready\","
    "\"operator\":\"Exists\",\"effect\":\"NoExecute\",\"tolerationSeconds\":300},{\"key\":\"node.kubernetes.io/unreachable\",\"operator\":\"Exists\","
    "\"effect\":\"NoExecute\",\"tolerationSeconds\":300}]}}";

static gpointer
request_thread (gpointer mode)
{
  Connection *connection = connection_open ();
  g_autofree char *pad = g_strnfill (500, 'x');
  for (int i; (i = g_atomic_int_add (&next, 1)) < n_total;)
    {
      g_autofree char *body = g_str_equal (mode, "create") ? g_strdup_printf (pod, prefix, i, pad) : NULL;
      gint64 from = g_get_monotonic_time ();
      gboolean is_fine = call (connection, body != NULL ? "POST" : "GET", PODS, body);
      note ((double) (g_get_monotonic_time () - from) / 1000);
      if (!is_fine)
        g_atomic_int_inc (&n_failed);
    }
  connection_close (connection);
  return NULL;
}

/* Each event says when it was written. */
static gpointer
watch_thread (gpointer unused_data)
{
  Connection *connection = connection_open ();
  gssize length;
  send_request (connection, "GET", MAPS "?watch=1&labelSelector=bench%3Dwatch&timeoutSeconds=600", NULL);
  if (read_head (connection, &length) != 200)
    fail ("watch", "refused");
  g_atomic_int_inc (&n_watching);
  for (int n_seen = 0; n_seen < n_total;)
    {
      gssize n = read_until (connection, "\"written\":\"");
      if (n < 0)
        break;
      connection->at += (gsize) n;
      if (read_until (connection, "\"") < 0)
        break;
      note ((double) (g_get_monotonic_time () - g_ascii_strtoll (connection->data + connection->at, NULL, 10)) / 1000);
      g_atomic_int_inc (&n_delivered);
      n_seen++;
    }
  connection_close (connection);
  return NULL;
}

static void
write_maps (void)
{
  Connection *connection = connection_open ();
  for (int i = 0; i < n_total; i++)
    {
      g_autofree char *body = g_strdup_printf ("{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"%s-w%d\",\"labels\":"
                                               "{\"bench\":\"watch\"}},\"data\":{\"written\":\"%" G_GINT64_FORMAT "\"}}",
                                               prefix, i, g_get_monotonic_time ());
      if (!call (connection, "POST", MAPS, body))
        g_atomic_int_inc (&n_failed);
      g_usleep ((gulong) gap_ms * 1000);
    }
  connection_close (connection);
}

/* ---- the server's CPU and memory ---- */

typedef struct {
  double cpu_s;
  long rss_mb;
} Usage;

static Usage
usage_now (void)
{
  Usage usage = { 0, 0 };
  g_autofree char *path = g_strdup_printf ("/proc/%d/stat", server_pid), *text = NULL;
  unsigned long user = 0, kernel = 0;
  long pages = 0;
  if (server_pid == 0 || !g_file_get_contents (path, &text, NULL, NULL))
    return usage;
  const char *after = strrchr (text, ')');
  if (after == NULL
      || sscanf (after + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &user, &kernel,
                 &pages)
             != 3)
    return usage;
  usage.cpu_s = (double) (user + kernel) / (double) sysconf (_SC_CLK_TCK);
  usage.rss_mb = pages * sysconf (_SC_PAGESIZE) / (1024 * 1024);
  return usage;
}

static int
compare_numbers (gconstpointer a, gconstpointer b)
{
  double x = *(const double *) a, y = *(const double *) b;
  return (x > y) - (x < y);
}

static double
percentile (double part)
{
  return latencies->len == 0 ? 0 : g_array_index (latencies, double, (guint) ((double) (latencies->len - 1) * part));
}

static void
report (const char *mode, double seconds, Usage before, int n_operations)
{
  Usage after = usage_now ();
  g_array_sort (latencies, compare_numbers);
  printf ("{\"mode\":\"%s\",\"clients\":%d,\"operations\":%d,\"failed\":%d,\"seconds\":%.3f,\"per_s\":%.1f,\"p50_ms\":%.3f,\"p90_ms\":%.3f,"
          "\"p99_ms\":%.3f,\"max_ms\":%.3f",
          mode, n_clients, n_operations, n_failed, seconds, n_operations / seconds, percentile (0.5), percentile (0.9), percentile (0.99),
          percentile (1));
  if (server_pid != 0)
    printf (",\"server_cpu_ms\":%.4f,\"server_rss_mb\":[%ld,%ld]", (after.cpu_s - before.cpu_s) * 1000 / MAX (n_operations, 1),
            before.rss_mb, after.rss_mb);
  printf ("}\n");
}

static gint64
run_requests (char *mode)
{
  g_autofree GThread **threads = g_new0 (GThread *, (gsize) n_clients);
  gint64 from = g_get_monotonic_time ();
  for (int i = 0; i < n_clients; i++)
    threads[i] = g_thread_new ("client", request_thread, mode);
  for (int i = 0; i < n_clients; i++)
    g_thread_join (threads[i]);
  return g_get_monotonic_time () - from;
}

static gint64
run_watches (Usage *ret_before)
{
  g_autofree GThread **threads = g_new0 (GThread *, (gsize) n_clients);
  for (int i = 0; i < n_clients; i++)
    threads[i] = g_thread_new ("watcher", watch_thread, NULL);
  while (g_atomic_int_get (&n_watching) < n_clients)
    g_usleep (10 * 1000);
  *ret_before = usage_now ();
  gint64 from = g_get_monotonic_time ();
  write_maps ();
  for (int i = 0; i < n_clients; i++)
    g_thread_join (threads[i]);
  return g_get_monotonic_time () - from;
}

int
main (int argc, char **argv)
{
  const GOptionEntry entries[] = {
    { "kubeconfig", 0, 0, G_OPTION_ARG_FILENAME, &kubeconfig, "whom to ask, and as whom", "FILE" },
    { "pid", 0, 0, G_OPTION_ARG_INT, &server_pid, "the server's process, to say its CPU and memory", "PID" },
    { "operations", 'n', 0, G_OPTION_ARG_INT, &n_total, "objects, lists or writes (1000)", "N" },
    { "clients", 'c', 0, G_OPTION_ARG_INT, &n_clients, "connections (1)", "N" },
    { "prefix", 0, 0, G_OPTION_ARG_STRING, &prefix, "of the objects' names (made of the time)", "TEXT" },
    { "gap", 0, 0, G_OPTION_ARG_INT, &gap_ms, "between writes of watch mode (5)", "MS" },
    { NULL },
  };
  g_autoptr (GError) error = NULL;
  g_autoptr (GOptionContext) options = g_option_context_new ("create|list|watch");
  g_option_context_add_main_entries (options, entries, NULL);
  if (!g_option_context_parse (options, &argc, &argv, &error))
    fail ("options", error->message);
  const char *const modes[] = { "create", "list", "watch", NULL };
  if (argc != 2 || !g_strv_contains (modes, argv[1]) || n_clients < 1 || n_total < 1 || gap_ms < 0)
    fail ("usage", "bench-api create|list|watch --kubeconfig FILE (see --help)");
  if (prefix == NULL)
    prefix = g_strdup_printf ("b%" G_GINT64_FORMAT, g_get_real_time () / 1000);
  read_kubeconfig ();
  latencies = g_array_new (FALSE, FALSE, sizeof (double));
  gboolean is_watch = g_str_equal (argv[1], "watch");
  Usage before = usage_now ();
  gint64 spent_us = is_watch ? run_watches (&before) : run_requests (argv[1]);
  report (argv[1], (double) spent_us / G_USEC_PER_SEC, before, is_watch ? n_delivered : n_total);
  gboolean is_whole = n_failed == 0 && (!is_watch || n_delivered == n_total * n_clients);
  return is_whole ? 0 : 1;
}
