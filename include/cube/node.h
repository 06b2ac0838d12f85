/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The node agent's interfaces: volumes, and what a front end asks of the agent of a node (logs, exec …). */
#include <cube/client.h>
#include <cube/runtime.h>
CUBE_BEGIN_DECLS

/* ---- cube.node.Volume: one kind of volume source; id = the source's field name ("emptyDir", "secret") ---- */
#define CUBE_VOLUME "cube.node.Volume"
#define CUBE_VOLUME_VERSION 1
typedef struct {
  CubeContext *context; CubeClient *client;
  const CubeObject *pod; CubeView pod_view;
  const char *volume_name; CubeView source;  /* the member named by id */
  const char *dir;          /* <pods>/<uid>/volumes/<kind>/<name>: the plugin's to create and own */
  gint64 fs_group;          /* -1 = none */
} CubeVolumeRequest;
typedef struct {
  guint32 ops_size;
  /* Makes the volume's content; idempotent; called again to refresh (configMap, secret, projected: atomically, by symlink swap). Blocking worker.
   * @ret_host_path (transfer full): what is mounted. Errors keep the pod waiting and become FailedMount events. */
  gboolean (*set_up) (gpointer state, const CubeVolumeRequest *request, char **ret_host_path, GError **error);
  gboolean (*tear_down) (gpointer state, const CubeVolumeRequest *request, GError **error); /* idempotent; pod_view may be NONE after a restart */
  gboolean needs_refresh;   /* the agent calls set_up again when referenced objects change or every minute */
} CubeVolumeOps;

/* ---- cube.node.Agent: the agent of a node in this process or reachable from it; id = node name, or "*" for a gateway to all others ---- */
#define CUBE_NODE_AGENT "cube.node.Agent"
#define CUBE_NODE_AGENT_VERSION 1
typedef struct {
  gboolean follow, previous, timestamps, insecure; gint64 since_seconds /* -1 */, since_time_us /* 0 */, tail_lines /* -1 */, limit_bytes /* -1 */;
} CubeLogOptions;
#define CUBE_LOG_OPTIONS_INIT { .since_seconds = -1, .tail_lines = -1, .limit_bytes = -1 }
typedef struct {
  guint32 ops_size;
  /* Streams a container's log to @sink channel STDOUT (already merged and cut per options); closed(status) at its end. Returns at once; the stream's close ends it.
   * Errors before the first byte: BAD_REQUEST with Kubernetes' words (container "x" in pod "y" is waiting to start: …). Any thread; may block briefly. */
  gboolean (*logs) (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const CubeLogOptions *options,
                    const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  gboolean (*exec) (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, const char *const *command, gboolean has_stdin, gboolean has_stdout,
                    gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  gboolean (*attach) (gpointer state, const char *ns, const char *pod, const char *uid, const char *container, gboolean has_stdin, gboolean has_stdout, gboolean has_stderr, gboolean tty,
                      const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  gboolean (*port_forward) (gpointer state, const char *ns, const char *pod, const char *uid, const guint16 *ports, guint n_ports,
                            const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error);
  CubeValue *(*stats_summary) (gpointer state, GError **error); /* (nullable) kubelet's /stats/summary */
} CubeNodeAgentOps;
CUBE_END_DECLS
