/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * Exec, attach and port-forward: byte streams by way of the runtime's
 * streaming server.
 */
#pragma once

#include "cri.h"

gboolean cri_exec (gpointer state, const char *id, const char *const *command, gboolean has_stdin,
                   gboolean has_stdout, gboolean has_stderr, gboolean tty,
                   const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream,
                   GError **error);
gboolean cri_attach (gpointer state, const char *id, gboolean has_stdin, gboolean has_stdout,
                     gboolean has_stderr, gboolean tty, const CubeStreamSinkOps *sink_ops,
                     gpointer sink, CubeStream *ret_stream, GError **error);
gboolean cri_port_forward (gpointer state, const char *sandbox_id, const guint16 *ports, guint n_ports,
                           const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream,
                           GError **error);
