/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What exec and attach have in common over WebSocket and over SPDY. */
#include "session.h"

/* HttpSessionOps.open */
gboolean http_exec_open (HttpSession *session, const CubeNodeAgentOps *agent, gpointer state, GError **error);
/* What the error channel says at the end: a Status for v4 and later, bare text of a failure before; "" = nothing. (transfer full) */
GString *http_exec_end_text (HttpSession *session, const CubeValue *status);
/* The size of a terminal as the client's JSON; anything else is ignored. */
void http_exec_resize (HttpSession *session, const char *json, gsize length);
