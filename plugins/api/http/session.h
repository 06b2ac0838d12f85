/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A stream between a client's connection (a worker's loop) and a node's agent (threads of its own): bounded both ways, closed with its owner.
 * Logs, exec, attach and port-forward are sessions of different framing. */
#include "http.h"
#include "stream.h"
#include "ws.h"

typedef struct _HttpSession HttpSession;
typedef struct {
  /* On a blocking worker: asks the agent; fills session->backend or sets an error. Nothing was answered to the client yet. */
  gboolean (*open) (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error);
  char *(*make_head) (HttpSession *session);                                                             /* on the loop: the answer's head */
  void (*append) (HttpSession *session, GByteArray *out, guint channel, const void *bytes, gsize length); /* any thread, locked: frames what came out */
  void (*append_end) (HttpSession *session, GByteArray *out, const CubeValue *status);                    /* on the loop */
  void (*received) (HttpSession *session, const void *bytes, gsize length);                               /* (nullable) on the loop */
  void (*drained) (HttpSession *session), (*ended) (HttpSession *session);                                /* (nullable) on the loop */
} HttpSessionOps;

struct _HttpSession {
  gint ref_count;
  const HttpSessionOps *ops;
  HttpServer *server;
  HttpWorker *worker;
  SoupServerMessage *msg;  /* until the connection is taken over */
  HttpCall *call;
  HttpStream *stream;      /* on the loop */
  HttpSession *parent;     /* whose connection this one shares */
  gboolean is_raw;         /* SPDY on the connection itself; else the frames of children lie in WebSocket messages */
  guint32 spdy_ids[5];     /* of a child: its SPDY streams by channel (port-forward: 0 and CUBE_CHANNEL_ERROR); 0 = not there */
  const CubeImpl *agent;
  CubeStream backend;
  GError *error;
  /* what is asked for */
  char *ns, *pod, *uid, *container, *node, *kind;
  char **command;
  gboolean has_stdin, has_stdout, has_stderr, tty;
  CubeLogOptions log;
  gboolean is_plain;       /* HTTP/1.0: no chunks */
  guint16 ports[32];
  guint n_ports;
  /* WebSocket */
  char *protocol, *accept;
  gboolean is_base64;
  guint version;           /* of channel.k8s.io: 1, 4, 5 */
  HttpWsReader reader;
  gpointer tunnel;         /* SPDY, when that is spoken */
  /* out: from the agent's threads to the loop */
  GMutex lock;
  GCond room;
  GByteArray *out;
  CubeValue *status;       /* the end was said */
  gboolean is_ended, is_gone, is_posted, is_open;
  gboolean is_closed;      /* on the loop */
  /* in: from the loop to a blocking worker */
  GQueue in;               /* Inbound */
  gsize in_bytes;
  gboolean is_writing, is_held;
};

HttpSession *http_session_new (HttpCall *call, const HttpSessionOps *ops);
HttpSession *http_session_ref (HttpSession *session);
void http_session_unref (HttpSession *session);
/* Looks for the pod and its agent, opens, answers. Takes the caller's reference. */
void http_session_start (HttpSession *session);
/* A session over the connection of @parent, to the same pod. */
HttpSession *http_session_new_child (HttpSession *parent, const HttpSessionOps *ops);
void http_session_start_child (HttpSession *session); /* takes the caller's reference */
void http_session_flush (HttpSession *session);       /* loop */
/* Loop: bytes for the agent's channel; @bytes NULL = the channel's end. */
void http_session_send (HttpSession *session, guint channel, const void *bytes, gsize length);
void http_session_resize (HttpSession *session, guint16 columns, guint16 rows);
/* Loop: writes frames made by the caller now (pong, close). */
void http_session_write (HttpSession *session, GByteArray *frames);
/* Loop: hangs up. */
void http_session_close (HttpSession *session);
extern const CubeStreamSinkOps http_session_sink;
