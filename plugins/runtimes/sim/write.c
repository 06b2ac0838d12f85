/* SPDX-License-Identifier: Apache-2.0 */
#include "sim.h"

typedef struct {
  CubeRequest request;
  char *ns, *name, *subresource, *uid;
  CubeValue *body;
  CubeTask done;
  gpointer data;
} Write;

static void
write_free (Write *write)
{
  g_free (write->ns);
  g_free (write->name);
  g_free (write->subresource);
  g_free (write->uid);
  cube_value_unref (write->body);
  g_free (write);
}

static void
answered (CubeResponse *response, GError *error, gpointer data)
{
  Write *write = data;
  if (error != NULL && !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_NOT_FOUND)
      && !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_CONFLICT) && !g_error_matches (error, CUBE_ERROR, CUBE_ERROR_ALREADY_EXISTS))
    g_warning ("%s %s/%s: %s", cube_verb_name (write->request.verb), write->request.resource->resource,
               write->name != NULL ? write->name : "", error->message);
  if (write->done != NULL)
    write->done (write->data);
  g_clear_error (&error);
  cube_response_unref (response);
  write_free (write);
}

void
sim_write (Sim *sim, const CubeRequest *request, CubeValue *body, CubeTask done, gpointer data)
{
  Write *write = g_new0 (Write, 1);
  write->request = *request;
  write->request.ns = write->ns = g_strdup (request->ns);
  write->request.name = write->name = g_strdup (request->name);
  write->request.subresource = write->subresource = g_strdup (request->subresource);
  write->request.precondition_uid = write->uid = g_strdup (request->precondition_uid);
  write->request.body = write->body = body;
  write->done = done;
  write->data = data;
  cube_client_execute_async (sim->client, &write->request, sim->loop, answered, write);
}
