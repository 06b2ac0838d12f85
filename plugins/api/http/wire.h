/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One TLS connection: GnuTLS right on a non-blocking socket, without a thread and without a poll entry of its own. libsoup sees a GTlsConnection
 * whose streams are pollable; the worker's engine (engine.h) tells it what the socket can do.
 *
 * Small writes wait for the end of the loop's round, so that head and body of an answer are one record and one system call. What the socket does not
 * take stays here, encrypted, and goes out as it can, also after the close.
 *
 * Everything runs on the worker's loop. */
#include "http.h"
#include <gnutls/gnutls.h>

typedef void (*HttpWireReady) (gpointer owner, guint events /* EPOLL… */);

/* Owns `fd` and `conn`, which is freed with it. (transfer full); NULL: GnuTLS refuses; `fd` and `conn` are the caller's then. */
HttpWire *http_wire_new (HttpConn *conn, int fd, HttpCredentials *credentials, GError **error);

typedef enum { HTTP_WIRE_FAILED = -1, HTTP_WIRE_SHAKING, HTTP_WIRE_OPEN } HttpWireShake;
/* Goes on with the handshake as far as what has come allows. */
HttpWireShake http_wire_handshake (HttpWire *wire, GError **error);
/* What the peer showed, with its issuers. (transfer full) (nullable): nothing, or nothing that can be read. */
GTlsCertificate *http_wire_peer (HttpWire *wire);

/* -1 with G_IO_ERROR_WOULD_BLOCK when there is nothing (more) now; 0 = the peer's end. */
gssize http_wire_read (HttpWire *wire, void *buffer, gsize size, GError **error);
gssize http_wire_write (HttpWire *wire, const void *buffer, gsize size, GError **error); /* may take less */
gssize http_wire_send (HttpWire *wire, const void *buffer, gsize size, GError **error);  /* … and goes out at once */
gboolean http_wire_can_read (HttpWire *wire);
gboolean http_wire_can_write (HttpWire *wire);
/* Never too much: for the few bytes of somebody who cannot wait. */
gboolean http_wire_append (HttpWire *wire, const void *buffer, gsize size, GError **error);
/* Encrypts and sends what waits. */
void http_wire_flush (HttpWire *wire);
/* Nothing of the peer's is left to read, and nothing will come. */
gboolean http_wire_is_over (HttpWire *wire);

/* Somebody else than libsoup's sources wants to know what the socket can do; NULL = nobody. */
void http_wire_watch (HttpWire *wire, HttpWireReady ready, gpointer owner);

/* ---- for the engine ---- */
/* Takes note; TRUE: http_wire_dispatch () has something to do. */
gboolean http_wire_note (HttpWire *wire, guint events);
void http_wire_dispatch (HttpWire *wire, guint events);
/* Ends a closed wire whose peer has not closed. */
void http_wire_cut (HttpWire *wire);

/* ---- wire-streams.c: GLib's view of it ---- */
#define HTTP_TYPE_WIRE (http_wire_get_type ())
GType http_wire_get_type (void);
typedef struct _HttpWireStream HttpWireStream;

struct _HttpWire {
  GTlsConnection parent_instance;
  HttpConn *conn;
  HttpCredentials *credentials;
  gnutls_session_t session;
  GInputStream *in;
  GOutputStream *out;
  HttpWireReady ready;
  gpointer owner;
  guint8 *raw;    /* received, not yet asked for by TLS: raw[raw_at … raw_length) */
  guint8 *plain;  /* waits for the end of the round */
  guint8 *cipher; /* the socket would not take it */
  gsize raw_at, raw_length, plain_length, cipher_at, cipher_length;
  GList flush_link, linger_link;
  gint64 closed_us;
  int fd;                /* -1 = closed */
  guint is_readable : 1; /* as far as we know */
  guint is_writable : 1;
  guint is_hung_up : 1; /* the peer's last byte is in the socket */
  guint is_ended : 1;   /* … and read */
  guint is_broken : 1;
  guint is_open : 1;   /* the handshake is done */
  guint is_closed : 1; /* by this side */
  guint is_flush_queued : 1;
  guint is_lingering : 1; /* closed, kept by the engine until the peer closes too */
};
void http_wire_init_streams (HttpWire *wire);
void http_wire_forget_streams (HttpWire *wire);
void http_wire_finalize (HttpWire *wire);
void http_wire_close (HttpWire *wire);
