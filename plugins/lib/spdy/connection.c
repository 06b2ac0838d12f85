/* SPDX-License-Identifier: Apache-2.0 */
#include "cube-spdy.h"

#include <string.h>

#include "frame.h"
#include "header-block.h"
#include "upgrade.h"

#define READ_BYTES 65536
/* What a worker hands on before it lets others have their turn. */
#define TURN_BYTES (1024 * 1024)
#define CHUNK_BYTES 16384
/* A writer waits while more than this is unsent; the peer's pings and our
 * answers to them may add as much again before that is taken for an attack. */
#define OUT_LIMIT_BYTES 65536
#define OUT_MAX_BYTES (4 * OUT_LIMIT_BYTES)
#define MAX_STREAMS 256
#define MAX_WINDOW 0x7fffffff
/* What a peer may send before it has to hear of us again.  Not reading the socket is what holds it back; and a server that
 * closes while something of ours lies unread makes its kernel drop what it had still to send. */
#define OUR_WINDOW 0x40000000

typedef struct {
  guint32 id;
  gboolean is_open;     /* the peer replied: before, it drops what is sent */
  gboolean is_finished; /* we send no more */
  gboolean owes_fin;    /* … which the peer is told once the stream is open */
  gboolean has_ended;   /* the peer sends no more */
  gint64 window;        /* bytes the peer takes; meant only when it keeps windows */
  guint unacknowledged; /* bytes we took since our last WINDOW_UPDATE */
} Stream;

struct _CubeSpdy {
  gatomicrefcount refs;
  GSocket *socket;
  CubeSpdyExecutor executor;
  CubeSpdyFuncs funcs;
  gpointer user_data;
  /* the worker's: one at a time */
  CubeSpdyReader *reader;
  CubeSpdyInflater *inflater;
  GByteArray *early; /* came with the answer to the upgrade */
  /* under lock */
  GMutex lock;
  GCond changed;
  CubeSpdyDeflater *deflater;
  GArray *streams; /* (element-type Stream) */
  GByteArray *out;
  gsize out_sent; /* of out, gone already */
  GSource *in_source, *out_source;
  /* Servers built on spdystream know no windows and never raise one; who has
   * raised one is held to keep them from the start. */
  gboolean keeps_windows, keeps_whole_window;
  gint64 window; /* of the whole connection */
  gint64 initial_window;
  guint unacknowledged;
  gboolean is_over;    /* nothing more is sent or read */
  gboolean is_closed;  /* cube_spdy_close() was called */
  GThread *delivering; /* the thread that runs funcs */
};

static void watch_input (CubeSpdy *self);
static gboolean on_control (const CubeSpdyFrame *frame, gpointer data, GError **error);
static gboolean on_data (guint32 id, const guint8 *bytes, gsize size, gboolean is_fin, gpointer data, GError **error);

static const CubeSpdyReaderFuncs reader_funcs = { on_control, on_data };

static void
spdy_unref (gpointer data)
{
  CubeSpdy *self = data;

  if (!g_atomic_ref_count_dec (&self->refs))
    return;
  g_socket_close (self->socket, NULL);
  g_object_unref (self->socket);
  cube_spdy_reader_free (self->reader);
  cube_spdy_inflater_free (self->inflater);
  cube_spdy_deflater_free (self->deflater);
  g_byte_array_unref (self->early);
  g_byte_array_unref (self->out);
  g_array_unref (self->streams);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static CubeSpdy *
spdy_ref (CubeSpdy *self)
{
  g_atomic_ref_count_inc (&self->refs);
  return self;
}

static Stream *
stream_at (CubeSpdy *self, guint index)
{
  return &g_array_index (self->streams, Stream, index);
}

/* A client's streams are 1, 3, 5, …; @ret_index its number with us. */
static Stream *
find_stream (CubeSpdy *self, guint32 id, guint *ret_index)
{
  guint index = id / 2;

  if (id % 2 == 0 || index >= self->streams->len)
    return NULL;
  *ret_index = index;
  return stream_at (self, index);
}

/* -- sending; the lock is held */

static void
drop_source (GSource **source)
{
  if (*source == NULL)
    return;
  g_source_destroy (*source);
  g_clear_pointer (source, g_source_unref);
}

/* What is to be done when the connection is lost while sending is left to the
 * reading side, which will see it too. */
static void
end_sending (CubeSpdy *self)
{
  self->is_over = TRUE;
  g_byte_array_set_size (self->out, 0);
  self->out_sent = 0;
  g_socket_shutdown (self->socket, TRUE, TRUE, NULL);
  g_cond_broadcast (&self->changed);
}

static gsize
unsent (const CubeSpdy *self)
{
  return self->out->len - self->out_sent;
}

static gboolean on_writable (GSocket *socket, GIOCondition condition, gpointer data);

static void
flush (CubeSpdy *self)
{
  while (unsent (self) > 0)
    {
      g_autoptr (GError) error = NULL;
      gssize sent = g_socket_send (self->socket, (const char *) self->out->data + self->out_sent, unsent (self), NULL, &error);

      if (sent < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        break;
      if (sent < 0)
        {
          end_sending (self);
          return;
        }
      self->out_sent += (gsize) sent;
    }
  if (unsent (self) == 0)
    {
      g_byte_array_set_size (self->out, 0);
      self->out_sent = 0;
    }
  else if (self->out_source == NULL)
    {
      self->out_source = g_socket_create_source (self->socket, G_IO_OUT, NULL);
      g_source_set_callback (self->out_source, G_SOURCE_FUNC (on_writable), spdy_ref (self), spdy_unref);
      g_source_attach (self->out_source, self->executor.main_context);
    }
}

static gboolean
on_writable (GSocket *socket G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
  CubeSpdy *self = data;
  gboolean is_done;

  g_mutex_lock (&self->lock);
  flush (self);
  /* What has gone is taken off in one move, not byte by byte. */
  if (self->out_sent > 0)
    {
      g_byte_array_remove_range (self->out, 0, (guint) self->out_sent);
      self->out_sent = 0;
    }
  is_done = self->is_over || unsent (self) == 0;
  if (is_done)
    g_clear_pointer (&self->out_source, g_source_unref);
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  return is_done ? G_SOURCE_REMOVE : G_SOURCE_CONTINUE;
}

/* -- receiving; a worker runs, the lock is taken where needed */

static gboolean
raise_window (CubeSpdy *self, const CubeSpdyFrame *frame, GError **error)
{
  Stream *stream = NULL;
  guint index;
  gint64 *window = &self->window;

  if (frame->stream != 0)
    {
      stream = find_stream (self, frame->stream, &index);
      if (stream == NULL)
        return TRUE;
      window = &stream->window;
    }
  *window += frame->value & MAX_WINDOW;
  if (*window > MAX_WINDOW)
    return cube_spdy_fail (error, "stream %u: a window of more than 2 GiB", frame->stream);
  if (frame->stream != 0)
    self->keeps_windows = TRUE;
  else
    self->keeps_whole_window = TRUE;
  return TRUE;
}

/* Entries are flags (8 bit), id (24 bit), value; one says the initial window. */
static void
apply_settings (CubeSpdy *self, const CubeSpdyFrame *frame)
{
  for (gsize i = 0; i < frame->value && (i + 1) * 8 <= frame->block_size; i++)
    {
      guint32 id = cube_spdy_read_u32 (frame->block + i * 8) & 0xffffff;
      gint64 value = cube_spdy_read_u32 (frame->block + i * 8 + 4) & MAX_WINDOW;

      if (id != CUBE_SPDY_SETTINGS_INITIAL_WINDOW)
        continue;
      for (guint s = 0; s < self->streams->len; s++)
        stream_at (self, s)->window += value - self->initial_window;
      self->initial_window = value;
      self->keeps_windows = TRUE;
    }
}

/* Marks the end of what the peer sends on a stream.  TRUE if it is news. */
static gboolean
note_end (CubeSpdy *self, guint32 id, gboolean is_reset, guint *ret_index)
{
  Stream *stream = find_stream (self, id, ret_index);

  if (stream == NULL)
    return FALSE;
  if (is_reset)
    stream->is_finished = TRUE;
  if (stream->has_ended)
    return FALSE;
  stream->has_ended = TRUE;
  return TRUE;
}

static void
end_stream (CubeSpdy *self, guint32 id, gboolean is_reset)
{
  gboolean is_news;
  guint index = 0;

  g_mutex_lock (&self->lock);
  is_news = note_end (self, id, is_reset, &index) && !self->is_closed;
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  if (is_news)
    self->funcs.ended (index, is_reset, self->user_data);
}

static void
send_fin (CubeSpdy *self, Stream *stream)
{
  stream->owes_fin = FALSE;
  cube_spdy_write_data (self->out, stream->id, NULL, 0, TRUE);
}

/* A block must be read even if nobody wants it: the next builds on it. */
static gboolean
read_block (CubeSpdy *self, const CubeSpdyFrame *frame, GError **error)
{
  g_autoptr (GHashTable) headers = cube_spdy_inflater_read (self->inflater, frame->block, frame->block_size, error);

  return headers != NULL;
}

static gboolean
handle_control (CubeSpdy *self, const CubeSpdyFrame *frame, GError **error)
{
  gboolean is_fine = TRUE;
  Stream *stream;
  guint index;

  switch (frame->type)
    {
    case CUBE_SPDY_SYN_STREAM:
      is_fine = read_block (self, frame, error);
      cube_spdy_write_rst_stream (self->out, frame->stream, CUBE_SPDY_REFUSED_STREAM);
      break;
    case CUBE_SPDY_SYN_REPLY:
      is_fine = read_block (self, frame, error);
      stream = find_stream (self, frame->stream, &index);
      if (stream != NULL)
        stream->is_open = TRUE;
      if (stream != NULL && stream->owes_fin)
        send_fin (self, stream);
      break;
    case CUBE_SPDY_HEADERS: is_fine = read_block (self, frame, error); break;
    case CUBE_SPDY_PING:
      /* Ours would be odd; we send none. */
      if (frame->value % 2 == 0)
        cube_spdy_write_ping (self->out, frame->value);
      break;
    case CUBE_SPDY_WINDOW_UPDATE: is_fine = raise_window (self, frame, error); break;
    case CUBE_SPDY_SETTINGS: apply_settings (self, frame); break;
    default: /* GOAWAY opens no new streams, and neither do we */ break;
    }
  if (is_fine && unsent (self) > OUT_MAX_BYTES)
    is_fine = cube_spdy_fail (error, "the peer asks for more answers than it reads");
  return is_fine;
}

static gboolean
on_control (const CubeSpdyFrame *frame, gpointer data, GError **error)
{
  CubeSpdy *self = data;
  gboolean is_fine;

  g_mutex_lock (&self->lock);
  is_fine = handle_control (self, frame, error);
  if (is_fine)
    flush (self);
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
  if (!is_fine)
    return FALSE;
  if (frame->type == CUBE_SPDY_RST_STREAM)
    end_stream (self, frame->stream, TRUE);
  else if ((frame->type == CUBE_SPDY_SYN_REPLY || frame->type == CUBE_SPDY_HEADERS) && (frame->flags & CUBE_SPDY_FLAG_FIN) != 0)
    end_stream (self, frame->stream, FALSE);
  return TRUE;
}

/* Tells the peer that what it sent has been taken, in large steps. */
static void
acknowledge (CubeSpdy *self, Stream *stream, gsize size)
{
  self->unacknowledged += (guint) size;
  if (self->unacknowledged >= OUR_WINDOW / 2)
    {
      cube_spdy_write_window_update (self->out, 0, self->unacknowledged);
      self->unacknowledged = 0;
    }
  if (stream != NULL)
    {
      stream->unacknowledged += (guint) size;
      if (stream->unacknowledged >= OUR_WINDOW / 2 && !stream->has_ended)
        {
          cube_spdy_write_window_update (self->out, stream->id, stream->unacknowledged);
          stream->unacknowledged = 0;
        }
    }
  flush (self);
}

static gboolean
on_data (guint32 id, const guint8 *bytes, gsize size, gboolean is_fin, gpointer data, GError **error)
{
  CubeSpdy *self = data;
  Stream *stream;
  guint index = 0;
  gboolean is_wanted;

  g_mutex_lock (&self->lock);
  stream = find_stream (self, id, &index);
  is_wanted = stream != NULL && !stream->has_ended && !self->is_closed;
  g_mutex_unlock (&self->lock);
  if (is_wanted && size > 0 && !self->funcs.data (index, bytes, size, self->user_data))
    return cube_spdy_fail (error, "the receiver has gone");
  if (is_fin)
    end_stream (self, id, FALSE);
  g_mutex_lock (&self->lock);
  acknowledge (self, find_stream (self, id, &index), size);
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static gboolean
all_ended (CubeSpdy *self)
{
  gboolean answer = TRUE;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < self->streams->len; i++)
    answer = answer && stream_at (self, i)->has_ended;
  g_mutex_unlock (&self->lock);
  return answer;
}

/* Reads what is there.  TRUE when the connection goes on. */
static gboolean
receive (CubeSpdy *self, GError **error)
{
  g_autofree guint8 *buffer = NULL;
  gsize total = self->early->len;

  if (total > 0)
    {
      gboolean is_fine = cube_spdy_reader_feed (self->reader, self->early->data, total, error);

      g_byte_array_set_size (self->early, 0);
      if (!is_fine)
        return FALSE;
    }
  buffer = g_malloc (READ_BYTES);
  while (total < TURN_BYTES)
    {
      gssize n = g_socket_receive (self->socket, (char *) buffer, READ_BYTES, NULL, error);

      if (n < 0 && g_error_matches (*error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          g_clear_error (error);
          return TRUE;
        }
      if (n == 0)
        cube_spdy_fail (error, "the streaming server hung up");
      if (n <= 0 || !cube_spdy_reader_feed (self->reader, buffer, (gsize) n, error))
        return FALSE;
      total += (gsize) n;
    }
  return TRUE;
}

static void
deliver (gpointer data)
{
  CubeSpdy *self = data;
  g_autoptr (GError) error = NULL;
  gboolean goes_on, is_closed;

  g_mutex_lock (&self->lock);
  is_closed = self->is_closed;
  if (!is_closed)
    self->delivering = g_thread_self ();
  g_mutex_unlock (&self->lock);
  if (is_closed)
    {
      spdy_unref (self);
      return;
    }
  goes_on = receive (self, &error) && !all_ended (self);
  if (!goes_on)
    {
      g_mutex_lock (&self->lock);
      is_closed = self->is_closed;
      end_sending (self);
      g_mutex_unlock (&self->lock);
      if (!is_closed)
        self->funcs.closed (all_ended (self) ? NULL : error, self->user_data);
    }
  g_mutex_lock (&self->lock);
  self->delivering = NULL;
  g_cond_broadcast (&self->changed);
  if (goes_on && !self->is_closed)
    watch_input (self);
  g_mutex_unlock (&self->lock);
  spdy_unref (self);
}

static gboolean
on_readable (GSocket *socket G_GNUC_UNUSED, GIOCondition condition G_GNUC_UNUSED, gpointer data)
{
  CubeSpdy *self = data;
  gboolean is_closed;

  g_mutex_lock (&self->lock);
  is_closed = self->is_closed;
  if (!is_closed)
    g_clear_pointer (&self->in_source, g_source_unref);
  g_mutex_unlock (&self->lock);
  if (!is_closed)
    self->executor.run_blocking (self->executor.executor, deliver, spdy_ref (self));
  return G_SOURCE_REMOVE;
}

/* The lock is held. */
static void
watch_input (CubeSpdy *self)
{
  self->in_source = g_socket_create_source (self->socket, G_IO_IN, NULL);
  g_source_set_callback (self->in_source, G_SOURCE_FUNC (on_readable), spdy_ref (self), spdy_unref);
  g_source_attach (self->in_source, self->executor.main_context);
}

/* -- what the library offers */

CubeSpdy *
cube_spdy_connect (const char *url, const char *protocol, const CubeSpdyExecutor *executor, GCancellable *cancellable, GError **error)
{
  g_autoptr (GByteArray) early = g_byte_array_new ();
  GSocket *socket;
  CubeSpdy *self;

  g_return_val_if_fail (url != NULL && protocol != NULL && executor != NULL, NULL);

  socket = cube_spdy_upgrade (url, protocol, early, cancellable, error);
  if (socket == NULL)
    return NULL;
  self = g_new0 (CubeSpdy, 1);
  g_atomic_ref_count_init (&self->refs);
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
  self->socket = socket;
  self->executor = *executor;
  self->early = g_steal_pointer (&early);
  self->reader = cube_spdy_reader_new (&reader_funcs, self);
  self->inflater = cube_spdy_inflater_new ();
  self->deflater = cube_spdy_deflater_new ();
  self->streams = g_array_new (FALSE, TRUE, sizeof (Stream));
  self->out = g_byte_array_new ();
  self->window = self->initial_window = CUBE_SPDY_INITIAL_WINDOW;
  cube_spdy_write_settings (self->out, CUBE_SPDY_SETTINGS_INITIAL_WINDOW, OUR_WINDOW);
  cube_spdy_write_window_update (self->out, 0, OUR_WINDOW - CUBE_SPDY_INITIAL_WINDOW);
  return self;
}

guint
cube_spdy_open (CubeSpdy *self, const char *const *headers)
{
  g_autoptr (GByteArray) block = g_byte_array_new ();
  Stream stream = { 0 };

  g_return_val_if_fail (self->streams->len < MAX_STREAMS, 0);

  stream.id = self->streams->len * 2 + 1;
  stream.window = self->initial_window;
  g_array_append_val (self->streams, stream);
  cube_spdy_deflater_add (self->deflater, headers, block);
  cube_spdy_write_syn_stream (self->out, stream.id, block->data, block->len);
  return self->streams->len - 1;
}

void
cube_spdy_start (CubeSpdy *self, const CubeSpdyFuncs *funcs, gpointer user_data)
{
  gboolean is_early = self->early->len > 0;

  self->funcs = *funcs;
  self->user_data = user_data;
  g_mutex_lock (&self->lock);
  flush (self);
  if (!is_early)
    watch_input (self);
  g_mutex_unlock (&self->lock);
  if (is_early)
    self->executor.run_blocking (self->executor.executor, deliver, spdy_ref (self));
}

/* Waits until a piece of the stream may be sent.  The size of the piece, 0
 * with an error when none may ever be.  The lock is held. */
static gsize
wait_for_room (CubeSpdy *self, guint index, gsize wanted, GError **error)
{
  while (TRUE)
    {
      Stream *stream = stream_at (self, index);
      gsize room = MIN (wanted, CHUNK_BYTES);

      if (self->is_over || self->is_closed || stream->is_finished)
        {
          g_set_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE, "stream %u is closed", index);
          return 0;
        }
      if (self->keeps_windows)
        room = (gsize) CLAMP (stream->window, 0, (gint64) room);
      if (self->keeps_whole_window)
        room = (gsize) CLAMP (self->window, 0, (gint64) room);
      if (stream->is_open && room > 0 && unsent (self) < OUT_LIMIT_BYTES)
        return room;
      g_cond_wait (&self->changed, &self->lock);
    }
}

gboolean
cube_spdy_write (CubeSpdy *self, guint index, const guint8 *bytes, gsize size, GError **error)
{
  gboolean is_fine = TRUE;

  g_return_val_if_fail (index < self->streams->len, FALSE);

  spdy_ref (self); /* it may be closed while we wait */
  g_mutex_lock (&self->lock);
  while (is_fine && size > 0)
    {
      gsize piece = wait_for_room (self, index, size, error);

      is_fine = piece > 0;
      if (!is_fine)
        break;
      cube_spdy_write_data (self->out, stream_at (self, index)->id, bytes, piece, FALSE);
      stream_at (self, index)->window -= (gint64) piece;
      self->window -= (gint64) piece;
      bytes += piece;
      size -= piece;
      flush (self);
    }
  g_mutex_unlock (&self->lock);
  spdy_unref (self);
  return is_fine;
}

void
cube_spdy_finish (CubeSpdy *self, guint index)
{
  Stream *stream;

  g_return_if_fail (index < self->streams->len);

  g_mutex_lock (&self->lock);
  stream = stream_at (self, index);
  if (!stream->is_finished && !self->is_over && !self->is_closed)
    {
      stream->is_finished = TRUE;
      stream->owes_fin = TRUE;
      if (stream->is_open)
        send_fin (self, stream);
      flush (self);
      g_cond_broadcast (&self->changed);
    }
  g_mutex_unlock (&self->lock);
}

void
cube_spdy_interrupt (CubeSpdy *self)
{
  g_mutex_lock (&self->lock);
  if (!self->is_over && !self->is_closed)
    end_sending (self);
  g_mutex_unlock (&self->lock);
}

void
cube_spdy_close (CubeSpdy *self)
{
  if (self == NULL)
    return;
  g_mutex_lock (&self->lock);
  self->is_closed = TRUE;
  if (!self->is_over)
    {
      cube_spdy_write_goaway (self->out, 0, 0);
      flush (self);
    }
  end_sending (self);
  drop_source (&self->in_source);
  drop_source (&self->out_source);
  while (self->delivering != NULL && self->delivering != g_thread_self ())
    g_cond_wait (&self->changed, &self->lock);
  g_mutex_unlock (&self->lock);
  spdy_unref (self);
}
