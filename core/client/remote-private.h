/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: the back over HTTP. Everything of libsoup runs on one loop, "client"; callers wait or are called back on theirs. */
#include "client-private.h"
#include "remote-config.h"
#include <libsoup/soup.h>

typedef struct {
  gint ref_count;
  CubeContext *context;
  CubeLoop *loop;             /* "client": owns the sessions */
  CubeSchema *schema;
  GMutex lock;                /* over config */
  CubeKubeconfig *config;     /* as last read */
  SoupSession *requests;      /* with a timeout; made on the loop at first use */
  SoupSession *watches;       /* without */
} CubeRemote;

CubeRemote *cube_remote_ref (CubeRemote *remote);
void cube_remote_unref (gpointer remote);
/* The configuration in force. Any thread. (transfer full) */
CubeKubeconfig *cube_remote_config (CubeRemote *remote);
/* On the loop. */
SoupSession *cube_remote_session (CubeRemote *remote, gboolean is_watch);
/* The message of a request: method, URL, headers, body. Any thread. NULL with @error. (transfer full) */
SoupMessage *cube_remote_message (CubeClient *client, const CubeRequest *request, GError **error);
/* The error of an answer that is no success. (transfer full) */
GError *cube_remote_error (guint status, const char *body, gsize length);
/* An item of a list or event: object of @resource with apiVersion and kind filled in where the server leaves them out. */
CubeObject *cube_remote_object (const CubeResource *resource, CubeView view, GError **error);
GError *cube_remote_transport_error (CubeRemote *remote, const GError *cause);

CubeWatch *cube_remote_watch (CubeClient *client, const CubeRequest *request, CubeLoop *loop, CubeTask ready, gpointer data, GError **error);
