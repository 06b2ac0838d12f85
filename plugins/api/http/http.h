/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of this plugin share: the server and its workers, connections, one request ("call"). */
#include "negotiate.h"
#include "query.h"
#include "url.h"
#include <cube/cube.h>
#include <libsoup/soup.h>

#define HTTP_MAX_BODY (3 * 1024 * 1024)
#define HTTP_GZIP_FROM (128 * 1024) /* as Kubernetes: smaller answers are not worth it */
#define HTTP_GZIP_LEVEL 1
#define HTTP_GZIP_WINDOW (15 + 16) /* zlib's way to ask for gzip's frame */
#define HTTP_INBOX (32 * 1024)     /* read from a socket at once */
#define HTTP_BLOCK (32 * 1024)     /* what a streamed answer keeps in memory at a time */

typedef struct _HttpServer HttpServer;
typedef struct _HttpWorker HttpWorker;
typedef struct _HttpConn HttpConn;
typedef struct _HttpCall HttpCall;
typedef struct _HttpWire HttpWire;               /* wire.h */
typedef struct _HttpCredentials HttpCredentials; /* the server's certificate and key, counted */

typedef struct {
  gint max_connections, max_in_flight, max_mutating;
  gint workers;                                 /* 0 = one per core, at most 8 */
  gint64 header_us, idle_us, body_us, write_us; /* how long a connection may stay in a phase */
  gboolean use_gzip;
} HttpConfig;

struct _HttpServer {
  CubeContext *context;
  CubeRegistry *registry;
  CubeSchema *schema;
  CubeClient *client;
  HttpConfig config;
  GPtrArray *workers;           /* HttpWorker */
  HttpCredentials *credentials; /* lock */
  GTlsCertificate *ca;
  CubeTimer *renewal;
  gint is_stopping, is_started;
  gint n_connections, n_reading, n_mutating; /* atomic; the latter two: calls in flight */
  GMutex lock;                               /* start and stop */
  GCond cond;
  GError *start_error;
  guint n_pending;
  char *address; /* host:port for discovery */
};

struct _HttpWorker {
  HttpServer *server;
  guint index;
  CubeLoop *loop;
  SoupServer *soup;
  HttpCredentials *credentials;
  GSocketAddress *local_address;
  int listen_fd, silent_fd;
  GQueue conns;   /* HttpConn, by link */
  gint ref_count; /* the server's and one a connection */
  CubeTimer *sweep, *reaper, *linger, *accept_pause;
  int epoll_fd; /* of the listening socket and of all connections */
  GSource *engine;
  gboolean is_hurried;       /* the engine's next round waits for nothing */
  guint8 *inbox;             /* HTTP_INBOX bytes, for one read at a time */
  GQueue flushes, lingering; /* HttpWire, by their links */
  GQueue streams;            /* HttpStream, by link */
  GString *scratch;          /* for one task at a time */
  SoupSession *proxies;      /* (nullable) to what the proxy subresources lead to */
};

/* ---- connections ---- */
typedef enum { HTTP_PHASE_IDLE = 0, HTTP_PHASE_READING, HTTP_PHASE_RUNNING, HTTP_PHASE_WRITING, HTTP_PHASE_STREAMING } HttpPhase;
struct _HttpConn {
  HttpWorker *worker;
  GList link;
  HttpWire *wire;          /* borrowed: it owns this struct */
  GSocketAddress *address; /* of the peer; this struct is its data */
  HttpPhase phase;
  gint64 since_us;
  gint64 write_us;  /* how long its client may take nothing of what waits for it */
  GObject *soup;    /* (weak) libsoup's own of it */
  gboolean is_used; /* a request was seen */
  gboolean is_certificate_checked;
  gint8 is_loopback;    /* -1 = not looked */
  gboolean is_verified; /* the peer's certificate verifies against the cluster's authority */
  CubeUser *user;       /* what the certificate stands for, for a short while */
  gint64 user_until_us;
  guint64 user_generation;
  char *remote;
};
HttpConn *http_conn_new (HttpWorker *worker, GSocketAddress *address /* (transfer full) */);
void http_conn_free (HttpConn *conn);
void http_conn_open (HttpConn *conn);             /* may ask */
HttpConn *http_conn_get (SoupServerMessage *msg); /* NULL once the connection is gone */
void http_conn_set_phase (HttpConn *conn, HttpPhase phase);
void http_conn_hung_up (HttpConn *conn); /* the client says no more */
void http_conn_abort (HttpConn *conn);
const char *http_conn_remote (HttpConn *conn);
gboolean http_conn_is_loopback (HttpConn *conn);

/* ---- server.c ---- */
gboolean http_server_start (HttpServer *server, GError **error);
void http_server_stop (HttpServer *server);
void http_handle_early (SoupServer *soup, SoupServerMessage *msg, const char *path, GHashTable *query, gpointer data);
void http_handle (SoupServer *soup, SoupServerMessage *msg, const char *path, GHashTable *query, gpointer data);

/* ---- tls.c ---- */
gboolean http_make_credentials (HttpServer *server, HttpCredentials **ret_credentials, GTlsCertificate **ret_ca, GError **error);

/* ---- credentials.c ---- */
HttpCredentials *http_credentials_new (const char *chain_pem, const char *key_pem, GError **error);
HttpCredentials *http_credentials_ref (HttpCredentials *credentials);
void http_credentials_unref (HttpCredentials *credentials);
int http_credentials_set (HttpCredentials *credentials, gpointer session /* a gnutls_session_t */); /* a code of GnuTLS's */

/* ---- one request ---- */
struct _HttpCall {
  HttpWorker *worker;
  HttpServer *server;
  SoupServerMessage *msg; /* borrowed: the call is the message's data */
  const char *method;     /* of libsoup, interned */
  HttpUrl url;
  HttpQuery query;
  HttpFormat format;
  CubeUser *user;
  const CubeResource *resource;
  const CubeSubresource *sub;
  CubeRequest request;
  CubeValue *body;
  char **duplicates;
  char *manager; /* of fields, by the client's name: see http_manager_of () */
  gint64 started_us;
  gsize body_bytes;
  guint status;
  gboolean is_counted, is_mutating, is_done, is_paused, is_executing, is_long;
  const char *verb_label;
  CubeResponse *response; /* while a list is streamed */
};
HttpCall *http_call_get (SoupServerMessage *msg);

/* ---- respond.c ---- */
/* Answers; the call's status is set afterwards. */
void http_respond_error (HttpCall *call, GError *error /* (transfer full) */);
void http_respond_text (HttpCall *call, guint status, const char *content_type, char *text /* (transfer full) */, gssize length);
void http_respond_plain (HttpCall *call, guint status, const char *text);                   /* text/plain */
void http_respond_json (HttpCall *call, guint status, GString *json /* (transfer full) */); /* in the format asked for */
void http_respond_object (HttpCall *call, guint status, CubeObject *object);
void http_respond_value (HttpCall *call, guint status, const CubeValue *value);
void http_add_warning (SoupMessageHeaders *headers, const char *text);
const char *http_reason_phrase (guint status);

/* The client takes gzip, and compressing for it pays. */
gboolean http_wants_gzip (HttpCall *call);
void http_set_gzip_headers (HttpCall *call);

/* ---- render.c ---- */
/* The object as it goes out in the call's shape, a table of one row for a Table. */
void http_render_object (const HttpFormat *format, const CubeResource *resource, CubeObject *object, const char *include_object,
                         gboolean with_columns, gint64 now_us, GString *out);
void http_render_row (const CubeResource *resource, CubeObject *object, const char *include_object, gint64 now_us, GString *out);
/* A Table of one autoscaling/v1 Scale, which has no schema of its own. */
void http_render_scale (CubeView scale, gint64 now_us, GString *out);
void http_render_partial (CubeObject *object, GString *out);
/* The span of a top-level member's value in compact JSON. */
gboolean http_find_member (const char *json, gsize length, const char *key, const char **ret_value, gsize *ret_length);

/* ---- resource.c, list.c, meta.c, watch.c, logs.c, exec.c ---- */
void http_run_resource (HttpCall *call);
GError *http_no_such_method (void);
gboolean http_prepare_resource (HttpCall *call, GError **error); /* verb, options, format, before the body is read */
void http_execute (HttpCall *call, CubeResponseDone done);
void http_respond_list (HttpCall *call, CubeResponse *response /* (transfer full) */);
void http_run_path (HttpCall *call);
void http_run_watch (HttpCall *call);
void http_run_stream (HttpCall *call); /* log, exec, attach, portforward */
void http_run_proxy (HttpCall *call);  /* the proxy subresources */
void http_run_exec (HttpCall *call);   /* the latter three */
/* After an answer was set from outside the handler. */
void http_call_finish (HttpCall *call);

/* ---- auth.c ---- */
gboolean http_authenticate (HttpCall *call, GError **error);
gboolean http_impersonate (HttpCall *call, GError **error);
gboolean http_authorize (HttpCall *call, const char *verb, GError **error);
