/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"
#include "engine.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define RECORD (16 * 1024)        /* what one TLS record holds */
#define WRITE_AT_ONCE (64 * 1024) /* of plain text taken by one write */
#define DISCARD_AT_ONCE (1024 * 1024)

/* ---- the socket under GnuTLS ---- */

static ssize_t
take_raw (HttpWire *wire, void *buffer, size_t size)
{
  gsize n = MIN (size, wire->raw_length - wire->raw_at);
  memcpy (buffer, wire->raw + wire->raw_at, n);
  wire->raw_at += n;
  if (wire->raw_at == wire->raw_length)
    {
      g_clear_pointer (&wire->raw, g_free);
      wire->raw_at = wire->raw_length = 0;
    }
  return (ssize_t) n;
}

static ssize_t
fail_pull (HttpWire *wire, int code)
{
  gnutls_transport_set_errno (wire->session, code);
  return -1;
}

/* One system call for a record, though GnuTLS asks for its head first; and none to hear that there is nothing more: a short read has told it. */
static ssize_t
pull (gnutls_transport_ptr_t data, void *buffer, size_t size)
{
  HttpWire *wire = data;
  guint8 *inbox = wire->conn->worker->inbox;
  ssize_t n;
  if (wire->raw_at < wire->raw_length)
    return take_raw (wire, buffer, size);
  if (wire->is_ended || wire->fd < 0 || !wire->is_readable)
    return fail_pull (wire, EAGAIN); /* an end would make the session useless for writing too: our callers look at is_ended */
  do
    n = recv (wire->fd, inbox, HTTP_INBOX, 0);
  while (n < 0 && errno == EINTR);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    {
      wire->is_readable = FALSE;
      return fail_pull (wire, EAGAIN);
    }
  if (n < 0)
    {
      wire->is_broken = TRUE;
      return fail_pull (wire, errno);
    }
  if (n == 0)
    {
      wire->is_ended = TRUE;
      return fail_pull (wire, EAGAIN);
    }
  if (n < HTTP_INBOX && !wire->is_hung_up)
    wire->is_readable = FALSE;
  if ((size_t) n > size)
    {
      wire->raw_length = (gsize) n - size;
      wire->raw = g_memdup2 (inbox + size, wire->raw_length);
      n = (ssize_t) size;
    }
  memcpy (buffer, inbox, (size_t) n);
  return n;
}

/* The socket has no more room: the rest is kept, and GnuTLS hears that it went. */
static void
keep_cipher (HttpWire *wire, const giovec_t *parts, int n_parts, gsize skip)
{
  gsize rest = wire->cipher_length - wire->cipher_at, more = 0;
  for (int i = 0; i < n_parts; i++)
    more += parts[i].iov_len;
  guint8 *cipher = g_malloc (rest + more - skip), *at = cipher + rest;
  if (rest > 0)
    memcpy (cipher, wire->cipher + wire->cipher_at, rest);
  for (int i = 0; i < n_parts; i++)
    {
      gsize omit = MIN (skip, parts[i].iov_len);
      memcpy (at, (const guint8 *) parts[i].iov_base + omit, parts[i].iov_len - omit);
      at += parts[i].iov_len - omit;
      skip -= omit;
    }
  g_free (wire->cipher);
  wire->cipher = cipher;
  wire->cipher_at = 0;
  wire->cipher_length = (gsize) (at - cipher);
}

/* Bytes sent; -1 = broken. Sets is_writable to FALSE when the socket is full. */
static gssize
send_parts (HttpWire *wire, const giovec_t *parts, int n_parts)
{
  struct iovec rest[32]; /* as many as GnuTLS gives */
  gsize total = 0, sent = 0;
  int n = MIN (n_parts, (int) G_N_ELEMENTS (rest)), at = 0;
  for (int i = 0; i < n; i++)
    {
      rest[i] = (struct iovec){ parts[i].iov_base, parts[i].iov_len };
      total += parts[i].iov_len;
    }
  while (sent < total)
    {
      struct msghdr message = { .msg_iov = rest + at, .msg_iovlen = (size_t) (n - at) };
      gssize done = wire->fd >= 0 ? sendmsg (wire->fd, &message, MSG_NOSIGNAL) : -1;
      if (done < 0 && wire->fd >= 0 && errno == EINTR)
        continue;
      if (done < 0 && wire->fd >= 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        {
          wire->is_writable = FALSE;
          break;
        }
      if (done < 0)
        {
          wire->is_broken = TRUE;
          return -1;
        }
      sent += (gsize) done;
      for (gsize left = (gsize) done; left > 0 && at < n;)
        {
          gsize omit = MIN (left, rest[at].iov_len);
          rest[at].iov_base = (guint8 *) rest[at].iov_base + omit;
          rest[at].iov_len -= omit;
          left -= omit;
          if (rest[at].iov_len == 0)
            at++;
        }
    }
  return (gssize) sent;
}

/* TRUE: nothing is left of what the socket had no room for. */
static gboolean
send_cipher (HttpWire *wire)
{
  if (wire->cipher_length == wire->cipher_at)
    return TRUE;
  if (!wire->is_writable)
    return FALSE;
  giovec_t part = { wire->cipher + wire->cipher_at, wire->cipher_length - wire->cipher_at };
  gssize sent = send_parts (wire, &part, 1);
  if (sent > 0)
    wire->cipher_at += (gsize) sent;
  if (wire->cipher_at < wire->cipher_length && !wire->is_broken)
    return FALSE;
  g_clear_pointer (&wire->cipher, g_free);
  wire->cipher_at = wire->cipher_length = 0;
  return TRUE;
}

static ssize_t
push (gnutls_transport_ptr_t data, const giovec_t *parts, int n_parts)
{
  HttpWire *wire = data;
  gsize total = 0;
  gssize sent = 0;
  for (int i = 0; i < n_parts; i++)
    total += parts[i].iov_len;
  if (wire->cipher_length == wire->cipher_at && wire->is_writable)
    sent = send_parts (wire, parts, n_parts);
  if (sent < 0)
    return fail_pull (wire, EPIPE);
  if ((gsize) sent < total)
    keep_cipher (wire, parts, n_parts, (gsize) sent);
  send_cipher (wire); /* more parts than one call took */
  return (ssize_t) total;
}

static gboolean
encrypt (HttpWire *wire, const guint8 *bytes, gsize size)
{
  while (size > 0)
    {
      ssize_t n = gnutls_record_send (wire->session, bytes, MIN (size, RECORD));
      if (n == GNUTLS_E_INTERRUPTED || n == GNUTLS_E_AGAIN)
        continue; /* push () never asks for patience: not seen */
      if (n <= 0)
        {
          wire->is_broken = TRUE;
          return FALSE;
        }
      bytes += n;
      size -= (gsize) n;
    }
  return TRUE;
}

static gboolean
encrypt_plain (HttpWire *wire)
{
  g_autofree guint8 *plain = g_steal_pointer (&wire->plain);
  gsize size = wire->plain_length;
  wire->plain_length = 0;
  return size == 0 || encrypt (wire, plain, size);
}

/* ---- for its users ---- */

gboolean
http_wire_can_read (HttpWire *wire)
{
  return wire->is_readable || wire->is_ended || wire->is_broken || wire->is_closed || wire->raw_at < wire->raw_length
         || gnutls_record_check_pending (wire->session) > 0;
}

gboolean
http_wire_can_write (HttpWire *wire)
{
  return wire->is_broken || wire->is_closed || wire->cipher_length == wire->cipher_at;
}

gboolean
http_wire_is_over (HttpWire *wire)
{
  char byte;
  if (wire->raw_at < wire->raw_length || gnutls_record_check_pending (wire->session) > 0)
    return FALSE;
  return wire->is_ended || wire->is_broken || wire->fd < 0 || recv (wire->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* What GnuTLS would get if it asked again. */
static gboolean
has_more (HttpWire *wire)
{
  return wire->raw_at < wire->raw_length || (wire->is_readable && !wire->is_ended);
}

static gssize
would_block (GError **error)
{
  if (error != NULL)
    *error = g_error_new_literal (G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK, "would block");
  return -1;
}

gssize
http_wire_read (HttpWire *wire, void *buffer, gsize size, GError **error)
{
  if (wire->is_closed)
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "the connection is closed");
      return -1;
    }
  if (size == 0)
    return 0;
  for (;;)
    {
      ssize_t n = gnutls_record_recv (wire->session, buffer, size);
      if (n >= 0)
        return n;
      if (n == GNUTLS_E_INTERRUPTED || (n == GNUTLS_E_AGAIN && has_more (wire)))
        continue;
      if (n == GNUTLS_E_AGAIN && wire->is_ended) /* the end without TLS's farewell: HTTP has lengths of its own */
        return 0;
      if (n == GNUTLS_E_AGAIN)
        return would_block (error);
      if (n == GNUTLS_E_REHANDSHAKE && gnutls_alert_send (wire->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION) >= 0)
        continue;
      wire->is_broken = TRUE;
      g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "TLS: %s", gnutls_strerror ((int) n));
      return -1;
    }
}

static gboolean
is_usable (HttpWire *wire, GError **error)
{
  if (wire->is_closed || wire->is_broken)
    g_set_error_literal (error, G_IO_ERROR, wire->is_closed ? G_IO_ERROR_CLOSED : G_IO_ERROR_BROKEN_PIPE, "the connection is closed");
  return !wire->is_closed && !wire->is_broken;
}

gssize
http_wire_send (HttpWire *wire, const void *buffer, gsize size, GError **error)
{
  if (!is_usable (wire, error))
    return -1;
  if (!send_cipher (wire))
    return would_block (error);
  size = MIN (size, WRITE_AT_ONCE);
  if (!encrypt_plain (wire) || !encrypt (wire, buffer, size))
    {
      g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE, "the connection is broken");
      return -1;
    }
  return (gssize) size;
}

gboolean
http_wire_append (HttpWire *wire, const void *buffer, gsize size, GError **error)
{
  if (!is_usable (wire, error))
    return FALSE;
  wire->plain = g_realloc (wire->plain, wire->plain_length + size);
  memcpy (wire->plain + wire->plain_length, buffer, size);
  wire->plain_length += size;
  http_engine_queue (wire);
  return TRUE;
}

gssize
http_wire_write (HttpWire *wire, const void *buffer, gsize size, GError **error)
{
  if (wire->plain_length + size > RECORD)
    return http_wire_send (wire, buffer, size, error);
  if (is_usable (wire, NULL) && !send_cipher (wire))
    return would_block (error);
  return http_wire_append (wire, buffer, size, error) ? (gssize) size : -1;
}

void
http_wire_flush (HttpWire *wire)
{
  if (!wire->is_broken && !encrypt_plain (wire) && wire->fd >= 0)
    shutdown (wire->fd, SHUT_RDWR); /* whoever reads it hears of it */
}

void
http_wire_watch (HttpWire *wire, HttpWireReady ready, gpointer owner)
{
  wire->ready = ready;
  wire->owner = owner;
}

/* ---- handshake ---- */

HttpWireShake
http_wire_handshake (HttpWire *wire, GError **error)
{
  int code;
  do
    code = gnutls_handshake (wire->session);
  while (code == GNUTLS_E_INTERRUPTED || code == GNUTLS_E_WARNING_ALERT_RECEIVED || code == GNUTLS_E_GOT_APPLICATION_DATA
         || (code == GNUTLS_E_AGAIN && has_more (wire)));
  if (code == GNUTLS_E_AGAIN && !wire->is_ended)
    return HTTP_WIRE_SHAKING;
  if (code == GNUTLS_E_AGAIN)
    code = GNUTLS_E_PREMATURE_TERMINATION;
  if (code == GNUTLS_E_SUCCESS)
    {
      wire->is_open = TRUE;
      return HTTP_WIRE_OPEN;
    }
  if (!wire->is_broken && !wire->is_ended)
    gnutls_alert_send_appropriate (wire->session, code);
  wire->is_broken = TRUE;
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_FAILED, "TLS handshake: %s", gnutls_strerror (code));
  return HTTP_WIRE_FAILED;
}

GTlsCertificate *
http_wire_peer (HttpWire *wire)
{
  guint n = 0;
  const gnutls_datum_t *list = wire->is_open ? gnutls_certificate_get_peers (wire->session, &n) : NULL;
  GTlsCertificate *certificate = NULL;
  GType type = g_tls_backend_get_certificate_type (g_tls_backend_get_default ());
  while (list != NULL && n-- > 0)
    {
      g_autoptr (GTlsCertificate) issuer = g_steal_pointer (&certificate);
      g_autoptr (GByteArray) der = g_byte_array_sized_new (list[n].size);
      g_byte_array_append (der, list[n].data, list[n].size);
      certificate = g_initable_new (type, NULL, NULL, "certificate", der, "issuer", issuer, NULL);
      if (certificate == NULL)
        return NULL;
    }
  return certificate;
}

/* ---- the end ---- */

static void
disconnect (HttpWire *wire)
{
  if (wire->fd < 0)
    return;
  http_engine_remove (wire);
  close (wire->fd);
  wire->fd = -1;
}

/* What the peer still says is nobody's; unread, it would make the kernel reset the connection, and the peer lose the tail of the answer. */
static void
discard (HttpWire *wire)
{
  gsize left = DISCARD_AT_ONCE;
  while (wire->fd >= 0 && !wire->is_ended && left > 0)
    {
      ssize_t n = recv (wire->fd, wire->conn->worker->inbox, HTTP_INBOX, 0);
      if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        wire->is_ended = TRUE;
      if (n < 0 && errno == EAGAIN)
        break;
      left -= MIN (left, (gsize) MAX (n, 1));
    }
}

void
http_wire_cut (HttpWire *wire)
{
  disconnect (wire);
  http_engine_let_go (wire);
}

void
http_wire_close (HttpWire *wire)
{
  if (wire->is_closed)
    return;
  wire->ready = NULL;
  if (wire->is_open && !wire->is_broken && encrypt_plain (wire))
    gnutls_bye (wire->session, GNUTLS_SHUT_WR);
  wire->is_closed = TRUE;
  gboolean is_sent = wire->is_broken || wire->cipher_length == wire->cipher_at;
  discard (wire);
  if (wire->is_broken || (is_sent && wire->is_ended) || !http_engine_linger (wire))
    disconnect (wire);
  else if (is_sent)
    shutdown (wire->fd, SHUT_WR);
}

void
http_wire_finalize (HttpWire *wire)
{
  disconnect (wire);
  http_engine_forget (wire);
  if (wire->session != NULL)
    gnutls_deinit (wire->session);
  g_free (wire->raw);
  g_free (wire->plain);
  g_free (wire->cipher);
  http_credentials_unref (wire->credentials);
  if (wire->conn != NULL)
    http_conn_free (wire->conn);
}

/* ---- what the engine hears of the socket ---- */

gboolean
http_wire_note (HttpWire *wire, guint events)
{
  gboolean is_over = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
    wire->is_readable = TRUE;
  if (is_over)
    wire->is_hung_up = TRUE;
  if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
    {
      wire->is_writable = TRUE;
      send_cipher (wire);
    }
  return !wire->is_open || wire->ready != NULL || wire->is_closed || is_over;
}

void
http_wire_dispatch (HttpWire *wire, guint events)
{
  if (wire->is_closed)
    {
      if (!wire->is_lingering)
        return;
      if (events & EPOLLOUT)
        http_engine_touch (wire);
      discard (wire);
      gboolean is_sent = wire->cipher_length == wire->cipher_at;
      if (wire->is_broken || (is_sent && wire->is_ended))
        http_wire_cut (wire);
      else if (is_sent)
        shutdown (wire->fd, SHUT_WR);
    }
  else if (!wire->is_open)
    http_engine_shake (wire);
  else if (wire->ready != NULL)
    wire->ready (wire->owner, events);
  else if (wire->is_hung_up)
    http_conn_hung_up (wire->conn);
}

HttpWire *
http_wire_new (HttpConn *conn, int fd, HttpCredentials *credentials, GError **error)
{
  static const gnutls_datum_t protocol = { (unsigned char *) "http/1.1", sizeof "http/1.1" - 1 };
  gnutls_session_t session = NULL;
  int code = gnutls_init (&session, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
  if (code == 0)
    code = http_credentials_set (credentials, session);
  if (code == 0)
    code = gnutls_alpn_set_protocols (session, &protocol, 1, 0);
  if (code != 0)
    {
      if (session != NULL)
        gnutls_deinit (session);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_INTERNAL, "TLS session: %s", gnutls_strerror (code));
      return NULL;
    }
  /* whether what the peer shows is an identity is judged later: there are tokens too (auth.c) */
  gnutls_certificate_server_set_request (session, GNUTLS_CERT_REQUEST);
  gnutls_handshake_set_timeout (session, 0); /* the sweep's task (server.c) */
  HttpWire *wire = g_object_new (HTTP_TYPE_WIRE, NULL);
  gnutls_transport_set_ptr (session, wire);
  gnutls_transport_set_pull_function (session, pull);
  gnutls_transport_set_vec_push_function (session, push);
  wire->session = session;
  wire->credentials = http_credentials_ref (credentials);
  wire->conn = conn;
  wire->fd = fd;
  wire->is_readable = wire->is_writable = TRUE;
  wire->flush_link.data = wire->linger_link.data = wire;
  http_wire_init_streams (wire);
  return wire;
}
