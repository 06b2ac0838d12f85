/* SPDX-License-Identifier: Apache-2.0 */
/* The server an agent works for: is it there, is it the right one, does it know us? */
#include "doctor.h"
#include <client/remote-config.h>
#include <gio/gio.h>
#include <stdio.h>
#include <string.h>

#define TIMEOUT_S 5

typedef struct {
  CubeKubeconfig *config;
  GSocketConnectable *address;
} Server;

static gboolean
accept_certificate (GTlsConnection *connection, GTlsCertificate *certificate, GTlsCertificateFlags flags, gpointer data)
{
  const Server *server = data;
  g_autoptr (GSocketConnectable) named = server->config->tls_server_name != NULL
                                             ? g_network_address_new (server->config->tls_server_name, 443)
                                             : g_object_ref (server->address);
  if (server->config->is_insecure)
    return TRUE;
  if (server->config->authorities->len == 0)
    return flags == 0;
  for (guint i = 0; i < server->config->authorities->len; i++)
    if (g_tls_certificate_verify (certificate, named, server->config->authorities->pdata[i]) == 0)
      return TRUE;
  return FALSE;
}

/* The HTTP status of /version, asked as whom the file says; 0 = no answer. */
static guint
ask_version (Server *server, GIOStream *stream, GError **error)
{
  g_autofree char *token = g_strdup (server->config->token);
  char answer[256];
  gsize length = 0;
  guint status = 0;
  if (token == NULL && server->config->token_file != NULL && g_file_get_contents (server->config->token_file, &token, NULL, error))
    g_strstrip (token);
  if (*error != NULL)
    return 0;
  g_autofree char *request =
      g_strdup_printf ("GET /version HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s%s%s\r\n", strstr (server->config->server, "://") + 3,
                       token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "", token != NULL ? "\r\n" : "");
  if (!g_output_stream_write_all (g_io_stream_get_output_stream (stream), request, strlen (request), NULL, NULL, error)
      || !g_input_stream_read_all (g_io_stream_get_input_stream (stream), answer, 16, &length, NULL, error))
    return 0;
  answer[length] = '\0';
  if (sscanf (answer, "HTTP/1.%*u %u", &status) != 1)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "what answers there does not speak HTTP");
  return status;
}

static guint
ask_server (Server *server, GError **error)
{
  g_autoptr (GSocketClient) client = g_socket_client_new ();
  g_socket_client_set_timeout (client, TIMEOUT_S);
  g_autoptr (GSocketConnection) plain = g_socket_client_connect (client, server->address, NULL, error);
  if (plain == NULL)
    return 0;
  g_autoptr (GIOStream) tls = g_tls_client_connection_new (G_IO_STREAM (plain), server->address, error);
  if (tls == NULL)
    return 0;
  g_signal_connect (tls, "accept-certificate", G_CALLBACK (accept_certificate), server);
  if (server->config->identity != NULL)
    g_tls_connection_set_certificate (G_TLS_CONNECTION (tls), server->config->identity);
  return g_tls_connection_handshake (G_TLS_CONNECTION (tls), NULL, error) ? ask_version (server, tls, error) : 0;
}

void
doctor_check_server (Doctor *doctor, Finding *finding)
{
  static const char name_file[] =
      "on the server's machine, cube token create prints the command to join with; or name a file: cube agent --kubeconfig FILE";
  g_autoptr (GError) error = NULL;
  if (doctor->options->kubeconfig == NULL)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, name_file, "nothing says which");
      return;
    }
  g_autoptr (CubeKubeconfig) config = cube_kubeconfig_read (doctor->options->kubeconfig, &error);
  g_autoptr (GSocketConnectable) address = config != NULL ? g_network_address_parse_uri (config->server, 443, &error) : NULL;
  if (address == NULL)
    {
      doctor_bad (finding, DOCTOR_PROBLEM, name_file, "%s", error->message);
      return;
    }
  Server server = { config, address };
  guint status = ask_server (&server, &error);
  if (status == 200)
    doctor_ok (finding, "%s answers and knows us", config->server);
  else if (status == 401)
    doctor_bad (finding, DOCTOR_PROBLEM, name_file, "%s does not know who %s says we are", config->server, doctor->options->kubeconfig);
  else if (status != 0)
    doctor_bad (finding, DOCTOR_WARNING, "cube status, on the server's machine", "%s answers /version with status %u", config->server,
                status);
  else
    doctor_bad (finding, DOCTOR_PROBLEM,
                "is the server up, and its port open on the way? On its machine: cube status; here: ping and nc -vz HOST PORT", "%s: %s",
                config->server, error->message);
}
