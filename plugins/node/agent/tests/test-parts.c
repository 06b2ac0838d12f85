/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's parts by themselves: logs, image names, expansion, sub-paths, files, HTTP. */
#include "agent.h"

#include <context/context.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- logs ---- */

typedef struct {
  CubeProcess *process;
  NodeAgent agent;
  char *dir, *path;
  GMutex lock;
  GCond changed;
  GString *text;
  gboolean is_closed, wants_no_more;
  gint is_running;
} Logs;

static gboolean
take_data (gpointer data, guint channel, const void *bytes, gsize length)
{
  Logs *logs = data;
  g_mutex_lock (&logs->lock);
  g_string_append_len (logs->text, bytes, (gssize) length);
  gboolean go_on = !logs->wants_no_more;
  g_cond_broadcast (&logs->changed);
  g_mutex_unlock (&logs->lock);
  return go_on;
}

static void
take_end (gpointer data, CubeValue *status)
{
  Logs *logs = data;
  g_mutex_lock (&logs->lock);
  logs->is_closed = TRUE;
  g_cond_broadcast (&logs->changed);
  g_mutex_unlock (&logs->lock);
}

static const CubeStreamSinkOps sink_ops = { sizeof sink_ops, take_data, take_end };

static gboolean
still_running (gpointer data)
{
  return g_atomic_int_get (&((Logs *) data)->is_running);
}

static void
logs_init (Logs *logs)
{
  memset (logs, 0, sizeof *logs);
  logs->process = cube_process_new ();
  logs->agent.context = cube_process_new_context (logs->process, "test", cube_view_none ());
  logs->agent.loop = cube_context_get_loop (logs->agent.context, "node");
  logs->dir = g_dir_make_tmp ("cube-logs-XXXXXX", NULL);
  logs->path = g_build_filename (logs->dir, "0.log", NULL);
  logs->text = g_string_new (NULL);
  g_mutex_init (&logs->lock);
  g_cond_init (&logs->changed);
}

static void
logs_clear (Logs *logs)
{
  cube_process_free (logs->process);
  g_autoptr (GError) error = NULL;
  g_assert_true (node_files_remove_tree (logs->dir, &error));
  g_string_free (logs->text, TRUE);
  g_free (logs->path);
  g_free (logs->dir);
  g_mutex_clear (&logs->lock);
  g_cond_clear (&logs->changed);
}

static void
append (Logs *logs, const char *text)
{
  FILE *file = fopen (logs->path, "a");
  g_assert_nonnull (file);
  fputs (text, file);
  fclose (file);
}

static void
wait_for_text (Logs *logs, const char *expected)
{
  gint64 until = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  g_mutex_lock (&logs->lock);
  while (!g_str_equal (logs->text->str, expected) && g_cond_wait_until (&logs->changed, &logs->lock, until))
    ;
  g_assert_cmpstr (logs->text->str, ==, expected);
  g_mutex_unlock (&logs->lock);
}

static void
wait_for_end (Logs *logs)
{
  gint64 until = g_get_monotonic_time () + 10 * G_USEC_PER_SEC;
  g_mutex_lock (&logs->lock);
  while (!logs->is_closed && g_cond_wait_until (&logs->changed, &logs->lock, until))
    ;
  g_assert_true (logs->is_closed);
  g_mutex_unlock (&logs->lock);
}

static void
read_with (Logs *logs, const CubeLogOptions *options, const char *expected)
{
  CubeStream stream;
  g_autoptr (GError) error = NULL;
  logs->is_closed = FALSE;
  g_string_truncate (logs->text, 0);
  g_assert_true (node_logs_open (&logs->agent, logs->path, options, still_running, logs, NULL, &sink_ops, logs, &stream, &error));
  wait_for_end (logs);
  stream.ops->close (stream.stream);
  g_assert_cmpstr (logs->text->str, ==, expected);
}

#define LINE(second, tag, text) "2026-01-01T00:00:0" second ".000000000Z stdout " tag " " text "\n"

static void
test_logs (void)
{
  Logs logs;
  CubeLogOptions all = CUBE_LOG_OPTIONS_INIT, tail = CUBE_LOG_OPTIONS_INIT, since = CUBE_LOG_OPTIONS_INIT, limit = CUBE_LOG_OPTIONS_INIT,
                 stamps = CUBE_LOG_OPTIONS_INIT, none = CUBE_LOG_OPTIONS_INIT;
  logs_init (&logs);
  append (&logs,
          LINE ("1", "F", "one") LINE ("2", "P", "two ") LINE ("2", "F", "more") "torn\n" LINE ("3", "F", "") LINE ("4", "F", "four"));
  read_with (&logs, &all, "one\ntwo more\n\nfour\n");
  tail.tail_lines = 2;
  read_with (&logs, &tail, "\nfour\n");
  none.tail_lines = 0;
  read_with (&logs, &none, "");
  g_assert_true (cube_time_parse ("2026-01-01T00:00:03Z", &since.since_time_us));
  read_with (&logs, &since, "\nfour\n");
  limit.limit_bytes = 6;
  read_with (&logs, &limit, "one\ntw");
  stamps.timestamps = TRUE;
  stamps.tail_lines = 1;
  read_with (&logs, &stamps, "2026-01-01T00:00:04.000000000Z four\n");
  g_autofree char *words = node_logs_tail (logs.path, 2, 1000);
  g_assert_cmpstr (words, ==, "\nfour\n");
  logs_clear (&logs);
}

static void
test_follow (void)
{
  Logs logs;
  CubeLogOptions options = CUBE_LOG_OPTIONS_INIT;
  CubeStream stream;
  logs_init (&logs);
  options.follow = TRUE;
  logs.is_running = TRUE;
  append (&logs, LINE ("1", "F", "one"));
  g_assert_true (node_logs_open (&logs.agent, logs.path, &options, still_running, &logs, NULL, &sink_ops, &logs, &stream, NULL));
  wait_for_text (&logs, "one\n");
  append (&logs, LINE ("2", "F", "two"));
  wait_for_text (&logs, "one\ntwo\n");
  g_autofree char *aside = g_strconcat (logs.path, ".20260101-000000", NULL); /* rotated */
  g_assert_cmpint (g_rename (logs.path, aside), ==, 0);
  append (&logs, LINE ("3", "F", "three"));
  wait_for_text (&logs, "one\ntwo\nthree\n");
  append (&logs, LINE ("4", "F", "four"));
  g_atomic_int_set (&logs.is_running, FALSE);
  wait_for_end (&logs);
  g_assert_cmpstr (logs.text->str, ==, "one\ntwo\nthree\nfour\n");
  stream.ops->close (stream.stream);
  logs.is_running = TRUE; /* hung up in the middle: close returns, nothing comes after it */
  g_assert_true (node_logs_open (&logs.agent, logs.path, &options, still_running, &logs, NULL, &sink_ops, &logs, &stream, NULL));
  stream.ops->close (stream.stream);
  logs_clear (&logs);
}

/* ---- names ---- */

static void
test_image_names (void)
{
  static const struct {
    const char *image, *normal;
  } cases[] = {
    { "web", "web:latest" },
    { "cube.local/web:v1", "cube.local/web:v1" },
    { "localhost:5000/a/b", "localhost:5000/a/b:latest" },
    { "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
      "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" },
    { "Not/Valid", NULL },
    { "", NULL },
    { "a b", NULL },
    { "web:", NULL },
    { "web:-x", NULL },
    { "/web", NULL },
    { "web@sha256:12", NULL },
    { "a..b", NULL },
    { "x\n", NULL },
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *normal = NULL;
      gboolean ok = node_image_check_name (cases[i].image, &normal);
      g_test_message ("%s", cases[i].image);
      g_assert_cmpint (ok, ==, cases[i].normal != NULL);
      g_assert_cmpstr (normal, ==, cases[i].normal);
    }
}

static void
test_expand (void)
{
  static const struct {
    const char *text, *expected;
  } cases[] = {
    { "$(A)", "1" }, { "x$(A)y$(B)", "x1y$(B)" }, { "$$(A)", "$(A)" }, { "$$$(A)", "$1" }, { "$A $(", "$A $(" }, { "", "" }, { "a$", "a$" },
  };
  g_autoptr (GHashTable) map = g_hash_table_new (g_str_hash, g_str_equal);
  g_hash_table_insert (map, (gpointer) "A", (gpointer) "1");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    {
      g_autofree char *text = node_env_expand (cases[i].text, map);
      g_assert_cmpstr (text, ==, cases[i].expected);
    }
}

/* ---- files ---- */

static char *
resolve (const char *dir, const char *sub_path, GError **error)
{
  int fd = node_volumes_open_sub_path (dir, sub_path, error);
  if (fd < 0)
    return NULL;
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  char *path = g_file_read_link (link, NULL);
  close (fd);
  return path;
}

static void
test_sub_path (void)
{
  g_autofree char *dir = g_dir_make_tmp ("cube-subpath-XXXXXX", NULL);
  g_autofree char *escape = g_build_filename (dir, "escape", NULL);
  g_autofree char *inside = g_build_filename (dir, "inside", NULL);
  g_autofree char *made = NULL;
  g_autoptr (GError) error = NULL;
  g_assert_cmpint (symlink ("/etc", escape), ==, 0);
  g_assert_cmpint (symlink ("a/b", inside), ==, 0);
  made = resolve (dir, "a/b", &error);
  if (error != NULL && strstr (error->message, g_strerror (ENOSYS)) != NULL)
    {
      g_test_skip ("no openat2: valgrind does not know it");
      node_files_remove_tree (dir, NULL);
      return;
    }
  g_assert_no_error (error);
  g_autofree char *expected = g_build_filename (dir, "a", "b", NULL);
  g_assert_cmpstr (made, ==, expected);
  g_autofree char *through = resolve (dir, "inside", &error);
  g_assert_cmpstr (through, ==, expected);
  static const char *const hostile[] = { "escape", "escape/passwd", "../x", "/etc", "a/../../x" };
  for (guint i = 0; i < G_N_ELEMENTS (hostile); i++)
    {
      g_autofree char *path = resolve (dir, hostile[i], &error);
      g_assert_null (path);
      g_assert_nonnull (error);
      g_clear_error (&error);
    }
  g_assert_true (node_files_remove_tree (dir, &error));
  g_assert_true (g_file_test ("/etc/passwd", G_FILE_TEST_EXISTS)); /* the link went, not what it pointed to */
}

static void
test_uids (void)
{
  g_assert_true (node_files_is_uid ("79f0e355-9fe2-4bec-895b-8db16ad14c5c"));
  g_assert_false (node_files_is_uid (".."));
  g_assert_false (node_files_is_uid ("a/b"));
  g_assert_false (node_files_is_uid (""));
  g_assert_false (node_files_is_uid (NULL));
}

static void
test_backoff (void)
{
  g_autoptr (GHashTable) backoffs = g_hash_table_new (g_str_hash, g_str_equal);
  gint64 now = 1000 * (gint64) G_USEC_PER_SEC, left = 0, expected = 10;
  g_assert_false (node_backoff_is_waiting (backoffs, "c", now, now, NULL));
  for (guint i = 0; i < 8; i++)
    {
      node_backoff_next (backoffs, "c", now, now, NULL);
      g_assert_true (node_backoff_is_waiting (backoffs, "c", now, now, &left));
      g_assert_cmpint (left / G_USEC_PER_SEC, ==, expected);
      expected = MIN (expected * 2, 300);
      now += 301 * (gint64) G_USEC_PER_SEC;
    }
  now += 601 * (gint64) G_USEC_PER_SEC;
  node_backoff_next (backoffs, "c", now, now, NULL);
  g_assert_true (node_backoff_is_waiting (backoffs, "c", now, now, &left));
  g_assert_cmpint (left / G_USEC_PER_SEC, ==, 10);
  NodeBackoff *backoff = g_hash_table_lookup (backoffs, "c");
  gpointer key = NULL;
  g_hash_table_steal_extended (backoffs, "c", &key, NULL);
  g_free (key);
  g_free (backoff);
}

/* ---- HTTP ---- */

typedef struct {
  GSocketListener *listener;
  guint16 port;
  const char *answer;
  char *request;
  GThread *thread;
} Server;

static gpointer
serve (gpointer data)
{
  Server *server = data;
  g_autoptr (GSocketConnection) connection = g_socket_listener_accept (server->listener, NULL, NULL, NULL);
  char request[4096] = "";
  gsize length = 0;
  while (connection != NULL && strstr (request, "\r\n\r\n") == NULL && length < sizeof request - 1)
    {
      gssize n = g_input_stream_read (g_io_stream_get_input_stream (G_IO_STREAM (connection)), request + length,
                                      sizeof request - 1 - length, NULL, NULL);
      if (n <= 0)
        break;
      length += (gsize) n;
    }
  server->request = g_strdup (request);
  if (connection != NULL)
    g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), server->answer, strlen (server->answer), NULL,
                               NULL, NULL);
  return NULL;
}

static void
server_start (Server *server, const char *answer)
{
  memset (server, 0, sizeof *server);
  server->answer = answer;
  server->listener = g_socket_listener_new ();
  server->port = g_socket_listener_add_any_inet_port (server->listener, NULL, NULL);
  server->thread = g_thread_new ("server", serve, server);
}

static void
server_stop (Server *server)
{
  g_thread_join (server->thread);
  g_socket_listener_close (server->listener);
  g_object_unref (server->listener);
  g_free (server->request);
}

static gboolean
get (guint16 port, const char *path, CubeView headers, guint *ret_status, char **ret_body, gboolean *ret_is_foreign, GError **error)
{
  NodeHttpRequest request = { .scheme = "HTTP",
                              .host = "127.0.0.1",
                              .path = path,
                              .port = port,
                              .headers = headers,
                              .user_agent = "kube-probe/1.36",
                              .timeout_us = 5 * G_USEC_PER_SEC };
  return node_http_get (&request, ret_status, ret_body, ret_is_foreign, error);
}

static void
test_http (void)
{
  Server server;
  guint status = 0;
  gboolean is_foreign = FALSE;
  g_autofree char *body = NULL;
  g_autofree char *moved = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) headers =
      cube_value_from_json ("[{\"name\":\"X-A\",\"value\":\"1\"},{\"name\":\"X-B\",\"value\":\"2\\r\\nX-Evil: 3\"}]", -1, NULL, NULL);
  server_start (&server, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy");
  g_assert_true (get (server.port, "/health z?x=1", cube_value_root (headers), &status, &body, &is_foreign, &error));
  g_assert_cmpuint (status, ==, 503);
  g_assert_cmpstr (body, ==, "busy");
  g_thread_join (server.thread);
  g_assert_true (g_str_has_prefix (server.request, "GET /health%20z?x=1 HTTP/1.1\r\n"));
  g_assert_nonnull (strstr (server.request, "X-A: 1\r\n"));
  g_assert_null (strstr (server.request, "X-Evil"));
  g_assert_nonnull (strstr (server.request, "User-Agent: kube-probe/1.36\r\n"));
  g_socket_listener_close (server.listener);
  g_object_unref (server.listener);
  g_free (server.request);
  server_start (&server, "HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\n\r\n");
  g_assert_true (get (server.port, "/", cube_view_none (), &status, &moved, &is_foreign, &error));
  g_assert_true (is_foreign);
  server_stop (&server);
  g_assert_false (get (server.port, "/", cube_view_none (), &status, &body, &is_foreign, &error));
  g_autofree char *expected =
      g_strdup_printf ("Get \"http://127.0.0.1:%u/\": dial tcp 127.0.0.1:%u: connect: connection refused", server.port, server.port);
  g_assert_cmpstr (error->message, ==, expected);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/agent/logs", test_logs);
  g_test_add_func ("/agent/follow", test_follow);
  g_test_add_func ("/agent/image-names", test_image_names);
  g_test_add_func ("/agent/expand", test_expand);
  g_test_add_func ("/agent/sub-path", test_sub_path);
  g_test_add_func ("/agent/uids", test_uids);
  g_test_add_func ("/agent/backoff", test_backoff);
  g_test_add_func ("/agent/http", test_http);
  return g_test_run ();
}
