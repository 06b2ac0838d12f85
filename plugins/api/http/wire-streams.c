/* SPDX-License-Identifier: Apache-2.0 */
/* The GObjects of a wire: a GTlsConnection (libsoup asks for the type to know that it speaks https) and its two pollable streams. */
#include "engine.h"

/* A stream may outlive its wire by a reference of somebody's: it is an ended one then. */
typedef struct {
  GInputStream parent_instance;
  HttpWire *wire;
} WireInput;

typedef struct {
  GOutputStream parent_instance;
  HttpWire *wire;
  CubeLoop *loop;
} WireOutput;

/* ---- sources ----
 * Without a descriptor: the engine's is the only one that is polled. It is attached first, so that these, asked after it, know what it has heard. What
 * is ready without an event to come, the engine is told, so that the loop does not sleep. */

typedef struct {
  GSource source;
  GObject *stream;
} WireSource;

static GType input_type, output_type;

static HttpWire *
wire_of (WireSource *source)
{
  return G_TYPE_FROM_INSTANCE (source->stream) == input_type ? ((WireInput *) source->stream)->wire : ((WireOutput *) source->stream)->wire;
}

static gboolean
is_ready (WireSource *source)
{
  HttpWire *wire = wire_of (source);
  if (wire == NULL)
    return TRUE;
  return G_TYPE_FROM_INSTANCE (source->stream) == input_type ? http_wire_can_read (wire) : http_wire_can_write (wire);
}

static void
arm (WireSource *source)
{
  HttpWire *wire = wire_of (source);
  if (wire == NULL)
    g_source_set_ready_time (&source->source, 0);
  else if (is_ready (source))
    http_engine_hurry (wire);
}

static gboolean
source_check (GSource *source)
{
  return is_ready ((WireSource *) source);
}

/* For g_source_set_dummy_callback (), the only closure these sources are ever given. */
static gboolean
go_on (GObject *stream, gpointer data)
{
  return G_SOURCE_CONTINUE;
}

static gboolean
source_dispatch (GSource *source, GSourceFunc callback, gpointer data)
{
  if (callback != NULL && !((GPollableSourceFunc) (void (*) (void)) callback) (((WireSource *) source)->stream, data))
    return G_SOURCE_REMOVE;
  if (callback == (GSourceFunc) (void (*) (void)) go_on)
    return G_SOURCE_CONTINUE; /* a part of libsoup's source, which reads now and makes a new one */
  arm ((WireSource *) source);
  return G_SOURCE_CONTINUE;
}

static void
source_finalize (GSource *source)
{
  g_object_unref (((WireSource *) source)->stream);
}


static GSourceFuncs source_funcs = {
  .check = source_check,
  .dispatch = source_dispatch,
  .finalize = source_finalize,
  .closure_callback = (GSourceFunc) (void (*) (void)) go_on,
};

static GSource *
new_source (GObject *stream, GCancellable *cancellable)
{
  GSource *source = g_source_new (&source_funcs, sizeof (WireSource));
  ((WireSource *) source)->stream = g_object_ref (stream);
  arm ((WireSource *) source);
  if (cancellable != NULL)
    {
      GSource *child = g_cancellable_source_new (cancellable);
      g_source_set_dummy_callback (child);
      g_source_add_child_source (source, child);
      g_source_unref (child);
    }
  return source;
}

/* ---- streams ---- */

static gboolean
has_wire (const HttpWire *wire, GError **error)
{
  if (wire == NULL)
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_CLOSED, "the connection is gone");
  return wire != NULL;
}

static gssize
input_read (GPollableInputStream *stream, void *buffer, gsize size, GError **error)
{
  HttpWire *wire = ((WireInput *) stream)->wire;
  return has_wire (wire, error) ? http_wire_read (wire, buffer, size, error) : -1;
}

static gssize
output_write (GPollableOutputStream *stream, const void *buffer, gsize size, GError **error)
{
  HttpWire *wire = ((WireOutput *) stream)->wire;
  return has_wire (wire, error) ? http_wire_write (wire, buffer, size, error) : -1;
}

static gboolean
input_is_readable (GPollableInputStream *stream)
{
  HttpWire *wire = ((WireInput *) stream)->wire;
  return wire == NULL || http_wire_can_read (wire);
}

static gboolean
output_is_writable (GPollableOutputStream *stream)
{
  HttpWire *wire = ((WireOutput *) stream)->wire;
  return wire == NULL || http_wire_can_write (wire);
}

static GSource *
input_source (GPollableInputStream *stream, GCancellable *cancellable)
{
  return new_source (G_OBJECT (stream), cancellable);
}

static GSource *
output_source (GPollableOutputStream *stream, GCancellable *cancellable)
{
  return new_source (G_OBJECT (stream), cancellable);
}

/* Nobody may block a worker. */
static gssize
blocking_read (GInputStream *stream, void *buffer, gsize size, GCancellable *cancellable, GError **error)
{
  return input_read (G_POLLABLE_INPUT_STREAM (stream), buffer, size, error);
}

/* libsoup closes a chunked body's stream asynchronously, which GLib does on a thread of its own: the last chunk is written from there. */
typedef struct {
  WireOutput *stream;
  const void *buffer;
  gsize size;
  GMutex lock;
  GCond cond;
  gboolean is_written, is_done;
  GError *error;
} Handed;

static void
handed_write (gpointer data)
{
  Handed *handed = data;
  handed->is_written = has_wire (handed->stream->wire, &handed->error)
                       && http_wire_append (handed->stream->wire, handed->buffer, handed->size, &handed->error);
}

/* Also when the loop has ended before it came to it. */
static void
handed_done (gpointer data)
{
  Handed *handed = data;
  g_mutex_lock (&handed->lock);
  handed->is_done = TRUE;
  g_cond_signal (&handed->cond);
  g_mutex_unlock (&handed->lock);
}

static gssize
blocking_write (GOutputStream *stream, const void *buffer, gsize size, GCancellable *cancellable, GError **error)
{
  Handed handed = { .stream = (WireOutput *) stream, .buffer = buffer, .size = size };
  if (cube_loop_is_current (handed.stream->loop))
    handed_write (&handed);
  else
    {
      g_mutex_init (&handed.lock);
      g_cond_init (&handed.cond);
      cube_loop_post (handed.stream->loop, handed_write, &handed, handed_done);
      g_mutex_lock (&handed.lock);
      while (!handed.is_done)
        g_cond_wait (&handed.cond, &handed.lock);
      g_mutex_unlock (&handed.lock);
      g_mutex_clear (&handed.lock);
      g_cond_clear (&handed.cond);
    }
  if (handed.is_written)
    return (gssize) size;
  if (handed.error == NULL)
    has_wire (NULL, &handed.error);
  g_propagate_error (error, handed.error);
  return -1;
}

static void
input_class_init (gpointer class, gpointer data)
{
  G_INPUT_STREAM_CLASS (class)->read_fn = blocking_read;
}

static void
output_class_init (gpointer class, gpointer data)
{
  G_OUTPUT_STREAM_CLASS (class)->write_fn = blocking_write;
}

static void
pollable_input_init (gpointer face, gpointer data)
{
  GPollableInputStreamInterface *pollable = face;
  pollable->is_readable = input_is_readable;
  pollable->create_source = input_source;
  pollable->read_nonblocking = input_read;
}

static void
pollable_output_init (gpointer face, gpointer data)
{
  GPollableOutputStreamInterface *pollable = face;
  pollable->is_writable = output_is_writable;
  pollable->create_source = output_source;
  pollable->write_nonblocking = output_write;
}

/* ---- the connection ---- */

static GObjectClass *wire_parent;

static GInputStream *
wire_input (GIOStream *stream)
{
  return ((HttpWire *) stream)->in;
}

static GOutputStream *
wire_output (GIOStream *stream)
{
  return ((HttpWire *) stream)->out;
}

static gboolean
wire_close (GIOStream *stream, GCancellable *cancellable, GError **error)
{
  http_wire_close ((HttpWire *) stream);
  return TRUE;
}

static void
wire_finalize (GObject *object)
{
  HttpWire *wire = (HttpWire *) object;
  http_wire_forget_streams (wire);
  http_wire_finalize (wire);
  wire_parent->finalize (object);
}

/* GTlsConnection's properties must have somebody; nobody sets or reads them here. */
static void
wire_get_property (GObject *object, guint id, GValue *value, GParamSpec *pspec)
{
  g_param_value_set_default (pspec, value);
}

static void
wire_set_property (GObject *object, guint id, const GValue *value, GParamSpec *pspec)
{
}

static void
wire_class_init (gpointer class, gpointer data)
{
  static const char *const names[] = { "base-io-stream",       "use-system-certdb",   "database",
                                       "certificate",          "interaction",         "require-close-notify",
                                       "rehandshake-mode",     "peer-certificate",    "peer-certificate-errors",
                                       "advertised-protocols", "negotiated-protocol", "protocol-version",
                                       "ciphersuite-name" };
  GObjectClass *object_class = class;
  GIOStreamClass *stream_class = class;
  wire_parent = g_type_class_peek_parent (class);
  object_class->finalize = wire_finalize;
  object_class->get_property = wire_get_property;
  object_class->set_property = wire_set_property;
  stream_class->get_input_stream = wire_input;
  stream_class->get_output_stream = wire_output;
  stream_class->close_fn = wire_close;
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_object_class_find_property (object_class, names[i]) != NULL)
      g_object_class_override_property (object_class, i + 1, names[i]);
}

void
http_wire_init_streams (HttpWire *wire)
{
  wire->in = g_object_new (input_type, NULL);
  wire->out = g_object_new (output_type, NULL);
  ((WireInput *) wire->in)->wire = wire;
  ((WireOutput *) wire->out)->wire = wire;
  ((WireOutput *) wire->out)->loop = wire->conn->worker->loop;
}

void
http_wire_forget_streams (HttpWire *wire)
{
  if (wire->in != NULL)
    ((WireInput *) wire->in)->wire = NULL;
  if (wire->out != NULL)
    ((WireOutput *) wire->out)->wire = NULL;
  g_clear_object (&wire->in);
  g_clear_object (&wire->out);
}

/* A plugin's newer build registers its types beside those of the older one, which stay. */
static GType
register_type (GType parent, const char *name, guint16 class_size, guint16 size, GClassInitFunc class_init)
{
  GTypeInfo info = { .class_size = class_size, .instance_size = size, .class_init = class_init };
  g_autofree char *free_name = g_strdup (name);
  for (guint i = 2; g_type_from_name (free_name) != 0; i++)
    {
      g_free (free_name);
      free_name = g_strdup_printf ("%s%u", name, i);
    }
  return g_type_register_static (parent, free_name, &info, 0);
}

GType
http_wire_get_type (void)
{
  static gsize type;
  if (g_once_init_enter (&type))
    {
      GInterfaceInfo pollable_input = { .interface_init = pollable_input_init };
      GInterfaceInfo pollable_output = { .interface_init = pollable_output_init };
      input_type =
          register_type (G_TYPE_INPUT_STREAM, "CubeHttpWireInput", sizeof (GInputStreamClass), sizeof (WireInput), input_class_init);
      g_type_add_interface_static (input_type, G_TYPE_POLLABLE_INPUT_STREAM, &pollable_input);
      output_type =
          register_type (G_TYPE_OUTPUT_STREAM, "CubeHttpWireOutput", sizeof (GOutputStreamClass), sizeof (WireOutput), output_class_init);
      g_type_add_interface_static (output_type, G_TYPE_POLLABLE_OUTPUT_STREAM, &pollable_output);
      g_once_init_leave (
          &type, register_type (G_TYPE_TLS_CONNECTION, "CubeHttpWire", sizeof (GTlsConnectionClass), sizeof (HttpWire), wire_class_init));
    }
  return type;
}
