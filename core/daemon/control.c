/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: who may open it (mode 0600, same user) is the operator of this machine. */
#include "daemon.h"
#include <errno.h>
#include <fcntl.h>
#include <gio/gunixsocketaddress.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_REQUEST 4096

struct _CubeControl {
  GSocketService *service;
  char *path;
  CubeControlFunc func;
  gpointer data;
};

/* sockaddr_un holds 107 bytes: the folder is named through its descriptor, so any data directory works. (transfer full) */
static GSocketAddress *
control_address (const char *data_dir, int *ret_dir_fd, GError **error)
{
  int fd = open (data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    {
      g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno), "%s: %s", data_dir, g_strerror (errno));
      return NULL;
    }
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d/cube.sock", fd);
  *ret_dir_fd = fd;
  return g_unix_socket_address_new (path);
}

typedef struct {
  CubeControl *control;
  GSocketConnection *connection;
  char buffer[MAX_REQUEST];
} Call;

static void
call_free (Call *call)
{
  g_io_stream_close (G_IO_STREAM (call->connection), NULL, NULL);
  g_object_unref (call->connection);
  g_free (call);
}

static void
answered (GObject *stream, GAsyncResult *result, gpointer data)
{
  g_output_stream_write_all_finish (G_OUTPUT_STREAM (stream), result, NULL, NULL);
  call_free (data);
}

static CubeValue *
answer (CubeControl *control, const char *text, gssize length)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CubeValue) request = cube_value_from_json (text, length, NULL, &error);
  const char *op = request != NULL ? cube_view_string (cube_value_get (request, "op")) : NULL;
  CubeValue *value = op != NULL ? control->func (op, cube_value_root (request), control->data) : NULL;
  if (value != NULL)
    return value;
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  cube_mut_set_string (cube_builder_root (builder), "error", error != NULL ? error->message : "unknown operation");
  return cube_builder_end (builder);
}

static void
received (GObject *stream, GAsyncResult *result, gpointer data)
{
  Call *call = data;
  gssize n = g_input_stream_read_finish (G_INPUT_STREAM (stream), result, NULL);
  if (n <= 0)
    {
      call_free (call);
      return;
    }
  g_autoptr (CubeValue) value = answer (call->control, call->buffer, n);
  gsize length;
  char *json = cube_view_to_json (cube_value_root (value), &length);
  g_object_set_data_full (G_OBJECT (call->connection), "answer", json, g_free);
  g_output_stream_write_all_async (g_io_stream_get_output_stream (G_IO_STREAM (call->connection)), json, length, G_PRIORITY_DEFAULT, NULL,
                                   answered, call);
}

static gboolean
incoming (GSocketService *service, GSocketConnection *connection, GObject *source, gpointer data)
{
  g_autoptr (GCredentials) peer = g_socket_get_credentials (g_socket_connection_get_socket (connection), NULL);
  uid_t uid = peer != NULL ? g_credentials_get_unix_user (peer, NULL) : (uid_t) -1;
  if (uid != geteuid () && uid != 0)
    return TRUE;
  Call *call = g_new0 (Call, 1);
  call->control = data;
  call->connection = g_object_ref (connection);
  g_socket_set_timeout (g_socket_connection_get_socket (connection), 10);
  g_input_stream_read_async (g_io_stream_get_input_stream (G_IO_STREAM (connection)), call->buffer, sizeof call->buffer, G_PRIORITY_DEFAULT,
                             NULL, received, call);
  return TRUE;
}

CubeControl *
cube_control_listen (const char *data_dir, CubeControlFunc func, gpointer data, GError **error)
{
  int dir_fd = -1;
  g_autoptr (GSocketAddress) address = control_address (data_dir, &dir_fd, error);
  if (address == NULL)
    return NULL;
  CubeControl *control = g_new0 (CubeControl, 1);
  control->path = g_build_filename (data_dir, "cube.sock", NULL);
  control->func = func;
  control->data = data;
  control->service = g_socket_service_new ();
  g_unlink (control->path); /* the lock says nobody else lives here */
  mode_t mask = umask (0177);
  gboolean ok = g_socket_listener_add_address (G_SOCKET_LISTENER (control->service), address, G_SOCKET_TYPE_STREAM,
                                               G_SOCKET_PROTOCOL_DEFAULT, NULL, NULL, error);
  umask (mask);
  close (dir_fd);
  if (!ok)
    {
      cube_control_free (control);
      return NULL;
    }
  g_signal_connect (control->service, "incoming", G_CALLBACK (incoming), control);
  g_socket_service_start (control->service);
  return control;
}

void
cube_control_free (CubeControl *control)
{
  if (control == NULL)
    return;
  g_socket_service_stop (control->service);
  g_socket_listener_close (G_SOCKET_LISTENER (control->service));
  g_object_unref (control->service);
  g_unlink (control->path);
  g_free (control->path);
  g_free (control);
}

CubeValue *
cube_control_ask (const char *data_dir, const CubeValue *asked, GError **error)
{
  int dir_fd = -1;
  g_autoptr (GSocketAddress) address = control_address (data_dir, &dir_fd, error);
  if (address == NULL)
    return NULL;
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_socket_client_set_timeout (client, 30);
  g_autoptr (GSocketConnection) connection = g_socket_client_connect (client, G_SOCKET_CONNECTABLE (address), NULL, error);
  close (dir_fd);
  if (connection == NULL)
    return NULL;
  g_autofree char *request = cube_view_to_json (cube_value_root (asked), NULL);
  if (!g_output_stream_write_all (g_io_stream_get_output_stream (G_IO_STREAM (connection)), request, strlen (request), NULL, NULL, error))
    return NULL;
  g_autoptr (GOutputStream) all = g_memory_output_stream_new_resizable ();
  if (g_output_stream_splice (all, g_io_stream_get_input_stream (G_IO_STREAM (connection)), G_OUTPUT_STREAM_SPLICE_CLOSE_TARGET, NULL,
                              error)
      < 0)
    return NULL;
  return cube_value_from_json (g_memory_output_stream_get_data (G_MEMORY_OUTPUT_STREAM (all)),
                               (gssize) g_memory_output_stream_get_data_size (G_MEMORY_OUTPUT_STREAM (all)),
                               &(CubeParseLimits){ .max_bytes = 64 << 20 }, error);
}

CubeValue *
cube_control_call (const char *data_dir, const char *op, GError **error)
{
  g_autoptr (CubeBuilder) builder = cube_builder_new ();
  cube_mut_set_string (cube_builder_root (builder), "op", op);
  g_autoptr (CubeValue) request = cube_builder_end (builder);
  return cube_control_ask (data_dir, request, error);
}
