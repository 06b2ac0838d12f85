/* SPDX-License-Identifier: Apache-2.0 */
#include "channel.h"

#include <grpc/grpc_security.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <limits.h>
#include <string.h>
#include <sys/un.h>

#define G_LOG_DOMAIN_GRPC "cube-grpc"
/* A server that listens but does not speak yet, as one that starts, is waited for. */
#define CONNECT_TIMEOUT_MS 10000

struct _CubeGrpcChannel {
  gatomicrefcount refs;
  char *target;
  GMutex lock;
  grpc_channel *channel; /* under lock */
  GHashTable *calls;     /* set of grpc_call, under lock */
  gboolean is_shut;      /* under lock */
};

G_DEFINE_QUARK (cube - grpc - error - quark, cube_grpc_error)

static const char *const status_names[] = {
  "OK",       "Canceled",        "Unknown",          "InvalidArgument",   "DeadlineExceeded",
  "NotFound", "AlreadyExists",   "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
  "Aborted",  "OutOfRange",      "Unimplemented",    "Internal",          "Unavailable",
  "DataLoss", "Unauthenticated",
};

const char *
cube_grpc_status_name (int status)
{
  if (status < 0 || status >= (int) G_N_ELEMENTS (status_names))
    return "Unknown";
  return status_names[status];
}

/* The library's own complaints are no event of ours: a failed call says what
 * matters.  They go where debugging looks for them. */
static void
log_to_glib (gpr_log_func_args *args)
{
  g_log (G_LOG_DOMAIN_GRPC, G_LOG_LEVEL_DEBUG, "%s", args->message);
}

static grpc_arg
int_arg (const char *key, int value)
{
  grpc_arg arg = { .type = GRPC_ARG_INTEGER, .key = (char *) key, .value.integer = value };

  return arg;
}

static grpc_channel *
make_channel (const char *target)
{
  grpc_arg args[] = {
    int_arg (GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, CUBE_GRPC_MAX_MESSAGE_BYTES),
    int_arg (GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, CUBE_GRPC_MAX_MESSAGE_BYTES),
    /* Not what its name says: the least time a connection attempt is given. */
    int_arg (GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS),
    int_arg (GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, INT_MAX),
    int_arg (GRPC_ARG_ENABLE_HTTP_PROXY, 0),
    int_arg (GRPC_ARG_ENABLE_RETRIES, 0),
    int_arg (GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1),
    int_arg (GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
  };
  grpc_channel_args channel_args = { G_N_ELEMENTS (args), args };
  grpc_channel_credentials *credentials = grpc_insecure_credentials_create ();
  grpc_channel *channel = grpc_channel_create (target, credentials, &channel_args);

  grpc_channel_credentials_release (credentials);
  return channel;
}

CubeGrpcChannel *
cube_grpc_channel_new_unix (const char *path, GError **error)
{
  struct sockaddr_un address;
  CubeGrpcChannel *channel;

  g_return_val_if_fail (path != NULL, NULL);

  if (path[0] != '/' || strlen (path) >= sizeof address.sun_path)
    {
      g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_INVALID_ARGUMENT, "socket '%s': wanted an absolute path shorter than %zu bytes", path,
                   sizeof address.sun_path);
      return NULL;
    }
  gpr_set_log_function (log_to_glib);
  grpc_init ();
  channel = g_new0 (CubeGrpcChannel, 1);
  g_atomic_ref_count_init (&channel->refs);
  g_mutex_init (&channel->lock);
  channel->target = g_strconcat ("unix:", path, NULL);
  channel->calls = g_hash_table_new (NULL, NULL);
  channel->channel = make_channel (channel->target);
  return channel;
}

CubeGrpcChannel *
cube_grpc_channel_ref (CubeGrpcChannel *channel)
{
  g_return_val_if_fail (channel != NULL, NULL);

  g_atomic_ref_count_inc (&channel->refs);
  return channel;
}

void
cube_grpc_channel_unref (CubeGrpcChannel *channel)
{
  if (channel == NULL || !g_atomic_ref_count_dec (&channel->refs))
    return;
  grpc_channel_destroy (channel->channel);
  g_hash_table_unref (channel->calls);
  g_mutex_clear (&channel->lock);
  g_free (channel->target);
  g_free (channel);
  grpc_shutdown ();
}

void
cube_grpc_channel_shutdown (CubeGrpcChannel *channel)
{
  GHashTableIter iter;
  gpointer call;

  g_return_if_fail (channel != NULL);

  g_mutex_lock (&channel->lock);
  channel->is_shut = TRUE;
  g_hash_table_iter_init (&iter, channel->calls);
  while (g_hash_table_iter_next (&iter, &call, NULL))
    grpc_call_cancel (call, NULL);
  g_mutex_unlock (&channel->lock);
}

/* After a failed attempt the C core lets calls fail until its back-off is over,
 * and goes on connecting only while some call is waited for.  A channel made
 * anew connects for the call at hand, which costs next to nothing on a unix
 * socket, and the call says how that went.  Calls under way keep the old one. */
static grpc_channel *
usable_channel (CubeGrpcChannel *self)
{
  if (grpc_channel_check_connectivity_state (self->channel, 0) == GRPC_CHANNEL_TRANSIENT_FAILURE)
    {
      grpc_channel_destroy (self->channel);
      self->channel = make_channel (self->target);
    }
  return self->channel;
}

grpc_call *
cube_grpc_channel_begin (CubeGrpcChannel *channel, const char *method, gint64 timeout_ms, grpc_completion_queue *queue, GError **error)
{
  gpr_timespec deadline = gpr_inf_future (GPR_CLOCK_MONOTONIC);
  grpc_slice path = grpc_slice_from_copied_string (method);
  grpc_call *call = NULL;

  if (timeout_ms > 0)
    deadline = gpr_time_add (gpr_now (GPR_CLOCK_MONOTONIC), gpr_time_from_millis (timeout_ms, GPR_TIMESPAN));
  g_mutex_lock (&channel->lock);
  if (!channel->is_shut)
    {
      call = grpc_channel_create_call (usable_channel (channel), NULL, GRPC_PROPAGATE_DEFAULTS, queue, path, NULL, deadline, NULL);
      g_hash_table_add (channel->calls, call);
    }
  g_mutex_unlock (&channel->lock);
  grpc_slice_unref (path);
  if (call == NULL)
    g_set_error (error, CUBE_GRPC_ERROR, CUBE_GRPC_CANCELLED, "%s: the channel is shut down", method);
  return call;
}

void
cube_grpc_channel_end (CubeGrpcChannel *channel, grpc_call *call)
{
  g_mutex_lock (&channel->lock);
  g_hash_table_remove (channel->calls, call);
  g_mutex_unlock (&channel->lock);
  grpc_call_unref (call);
}
