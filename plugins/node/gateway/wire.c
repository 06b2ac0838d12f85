/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include <cube/error.h>
#include <string.h>

#define HEADER 6
#define BLOCK (32 * 1024)
#define FAREWELL_S 5

/* ---- frames ---- */

void
wire_reader_init (WireReader *reader)
{
  reader->bytes = g_byte_array_new ();
  reader->taken = 0;
}

void
wire_reader_clear (WireReader *reader)
{
  g_clear_pointer (&reader->bytes, g_byte_array_unref);
}

void
wire_reader_add (WireReader *reader, const void *bytes, gsize size)
{
  g_byte_array_append (reader->bytes, bytes, (guint) size);
}

/* The frame at the front: its size with the header, 0 = not whole. */
static gsize
whole_frame (const GByteArray *bytes, WireFrame *ret_frame, GError **error)
{
  const guint8 *at = bytes->data;
  gsize size;

  if (bytes->len < HEADER)
    return 0;
  size = ((gsize) at[2] << 24) | ((gsize) at[3] << 16) | ((gsize) at[4] << 8) | at[5];
  if (at[0] < WIRE_OPEN || at[0] > WIRE_STATUS || size > WIRE_MAX_PAYLOAD)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "frame of type %u and %zu bytes: expected type 1 to 7, at most %d bytes",
                   at[0], size, WIRE_MAX_PAYLOAD);
      return 0;
    }
  if (bytes->len < HEADER + size)
    return 0;
  *ret_frame = (WireFrame){ (WireType) at[0], at[1], at + HEADER, size };
  return HEADER + size;
}

gboolean
wire_reader_next (WireReader *reader, WireFrame *ret_frame, GError **error)
{
  if (reader->taken > 0) /* the payload of the frame before was lent until now */
    g_byte_array_remove_range (reader->bytes, 0, reader->taken);
  reader->taken = (guint) whole_frame (reader->bytes, ret_frame, error);
  return reader->taken > 0;
}

static void
append_one (GByteArray *out, WireType type, guint channel, const guint8 *payload, gsize size)
{
  const guint8 header[HEADER] = { (guint8) type,         (guint8) channel,     (guint8) (size >> 24),
                                  (guint8) (size >> 16), (guint8) (size >> 8), (guint8) size };

  g_byte_array_append (out, header, HEADER);
  if (size > 0)
    g_byte_array_append (out, payload, (guint) size);
}

void
wire_append (GByteArray *out, WireType type, guint channel, const void *payload, gsize size)
{
  const guint8 *at = payload;

  do
    {
      gsize piece = MIN (size, WIRE_MAX_PAYLOAD);

      append_one (out, type, channel, at, piece);
      at += piece;
      size -= piece;
    }
  while (size > 0);
}

/* ---- a connection ---- */

struct _Wire {
  gint ref_count;
  CubeContext *context;
  CubeLoop *loop;
  GIOStream *stream;
  GCancellable *cancellable; /* of everything that waits */
  const WireFuncs *funcs;
  gpointer data;
  WireReader reader; /* the reading job's */
  GSource *source;   /* on the loop */
  GMutex write_lock;
  GMutex lock;
  GCond idle;
  GThread *reading;   /* who runs a function now; under lock */
  gboolean is_closed; /* under lock */
};

static Wire *
wire_ref (Wire *wire)
{
  g_atomic_int_inc (&wire->ref_count);
  return wire;
}

static void
wire_unref (gpointer data)
{
  Wire *wire = data;

  if (!g_atomic_int_dec_and_test (&wire->ref_count))
    return;
  wire_reader_clear (&wire->reader);
  g_object_unref (wire->stream);
  g_object_unref (wire->cancellable);
  g_mutex_clear (&wire->write_lock);
  g_mutex_clear (&wire->lock);
  g_cond_clear (&wire->idle);
  g_free (wire);
}

Wire *
wire_new (CubeContext *context, CubeLoop *loop, GIOStream *stream)
{
  Wire *wire = g_new0 (Wire, 1);

  wire->ref_count = 1;
  wire->context = context;
  wire->loop = loop;
  wire->stream = g_object_ref (stream);
  wire->cancellable = g_cancellable_new ();
  wire_reader_init (&wire->reader);
  g_mutex_init (&wire->write_lock);
  g_mutex_init (&wire->lock);
  g_cond_init (&wire->idle);
  return wire;
}

gboolean
wire_receive (Wire *wire, WireFrame *ret_frame, GError **error)
{
  g_autoptr (GError) problem = NULL;
  g_autofree guint8 *block = g_malloc (BLOCK);

  while (!wire_reader_next (&wire->reader, ret_frame, &problem))
    {
      gssize n = problem == NULL
                     ? g_input_stream_read (g_io_stream_get_input_stream (wire->stream), block, BLOCK, wire->cancellable, &problem)
                     : -1;

      if (n == 0)
        g_set_error (&problem, CUBE_ERROR, CUBE_ERROR_SERVICE_UNAVAILABLE, "the connection was closed");
      if (n <= 0)
        {
          g_propagate_error (error, g_steal_pointer (&problem));
          return FALSE;
        }
      wire_reader_add (&wire->reader, block, (gsize) n);
    }
  return TRUE;
}

/* Runs @wire's function unless it is closed; wire_close waits for it. */
static gboolean
enter (Wire *wire)
{
  gboolean may;

  g_mutex_lock (&wire->lock);
  may = !wire->is_closed;
  if (may)
    wire->reading = g_thread_self ();
  g_mutex_unlock (&wire->lock);
  return may;
}

static void
leave (Wire *wire)
{
  g_mutex_lock (&wire->lock);
  wire->reading = NULL;
  g_cond_broadcast (&wire->idle);
  g_mutex_unlock (&wire->lock);
}

/* Hands on what came whole. FALSE: the connection is over. */
static gboolean
hand_on (Wire *wire)
{
  WireFrame frame;
  gboolean is_fine = TRUE;

  while (is_fine && enter (wire))
    {
      g_autoptr (GError) error = NULL;
      gboolean is_whole = wire_reader_next (&wire->reader, &frame, &error);

      is_fine = is_whole && wire->funcs->frame (&frame, wire->data);
      leave (wire);
      if (!is_whole)
        return error == NULL;
    }
  return FALSE;
}

static void
tell_closed (Wire *wire)
{
  if (enter (wire))
    {
      wire->funcs->closed (wire->data);
      leave (wire);
    }
}

static void arm (gpointer data);

/* A worker: what is there is read and handed on, then the loop watches again. */
static void
read_work (gpointer data)
{
  Wire *wire = data;
  GPollableInputStream *input = G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (wire->stream));
  g_autofree guint8 *block = g_malloc (BLOCK);

  while (hand_on (wire))
    {
      g_autoptr (GError) error = NULL;
      gssize n = g_pollable_input_stream_read_nonblocking (input, block, BLOCK, wire->cancellable, &error);

      if (n < 0 && g_error_matches (error, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
        {
          cube_loop_post (wire->loop, arm, wire, wire_unref); /* with this job's reference */
          return;
        }
      if (n <= 0)
        break;
      wire_reader_add (&wire->reader, block, (gsize) n);
    }
  tell_closed (wire);
  wire_unref (wire);
}

static gboolean
on_readable (GObject *stream, gpointer data)
{
  Wire *wire = data;

  g_clear_pointer (&wire->source, g_source_unref);
  cube_context_run_blocking (wire->context, read_work, NULL, NULL, wire_ref (wire));
  return G_SOURCE_REMOVE;
}

static void
arm (gpointer data)
{
  Wire *wire = data;

  wire->source =
      g_pollable_input_stream_create_source (G_POLLABLE_INPUT_STREAM (g_io_stream_get_input_stream (wire->stream)), wire->cancellable);
  g_source_set_callback (wire->source, (GSourceFunc) (void (*) (void)) on_readable, wire_ref (wire), wire_unref);
  g_source_attach (wire->source, cube_loop_get_main_context (wire->loop));
}

void
wire_start (Wire *wire, const WireFuncs *funcs, gpointer data)
{
  wire->funcs = funcs;
  wire->data = data;
  cube_context_run_blocking (wire->context, read_work, NULL, NULL, wire_ref (wire)); /* something may have come along already */
}

gboolean
wire_send (Wire *wire, WireType type, guint channel, const void *payload, gsize size, GError **error)
{
  g_autoptr (GByteArray) bytes = g_byte_array_sized_new ((guint) (size + HEADER));
  gboolean is_written;

  wire_append (bytes, type, channel, payload, size);
  g_mutex_lock (&wire->write_lock);
  is_written =
      g_output_stream_write_all (g_io_stream_get_output_stream (wire->stream), bytes->data, bytes->len, NULL, wire->cancellable, error);
  g_mutex_unlock (&wire->write_lock);
  return is_written;
}

void
wire_interrupt (Wire *wire)
{
  g_cancellable_cancel (wire->cancellable);
}

static void
close_work (gpointer data)
{
  Wire *wire = data;
  g_autoptr (GIOStream) base = NULL;

  if (G_IS_TLS_CONNECTION (wire->stream))
    g_object_get (wire->stream, "base-io-stream", &base, NULL);
  if (G_IS_SOCKET_CONNECTION (base)) /* the farewell of one that reads nothing any more is not waited for long */
    g_socket_set_timeout (g_socket_connection_get_socket (G_SOCKET_CONNECTION (base)), FAREWELL_S);
  g_mutex_lock (&wire->write_lock);
  g_io_stream_close (wire->stream, NULL, NULL);
  g_mutex_unlock (&wire->write_lock);
  wire_unref (wire);
}

void
wire_close (Wire *wire)
{
  g_mutex_lock (&wire->lock);
  wire->is_closed = TRUE;
  g_mutex_unlock (&wire->lock);
  g_cancellable_cancel (wire->cancellable);
  g_mutex_lock (&wire->lock);
  while (wire->reading != NULL && wire->reading != g_thread_self ())
    g_cond_wait (&wire->idle, &wire->lock);
  g_mutex_unlock (&wire->lock);
  cube_context_run_blocking (wire->context, close_work, NULL, NULL, wire); /* its reference goes along */
}
