/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Core-private: how this process logs, and how it tells whoever started it. */
#include <glib.h>

typedef enum { CUBE_LOG_ERROR, CUBE_LOG_WARNING, CUBE_LOG_INFO, CUBE_LOG_DEBUG } CubeLogLevel;
typedef enum { CUBE_LOG_TEXT, CUBE_LOG_JSON, CUBE_LOG_JOURNAL } CubeLogFormat;

/* FALSE: @name is none. "error", "warning", "info", "debug"; "text", "json". */
gboolean cube_log_level_from_name (const char *name, CubeLogLevel *ret_level);
gboolean cube_log_format_from_name (const char *name, CubeLogFormat *ret_format);

/* From here on every GLib message goes to standard error in one line of its own. CUBE_LOG_TEXT becomes CUBE_LOG_JOURNAL where standard error is the
 * journal: that keeps time and priority itself. When standard error is the file @path, cube_log_reopen makes it anew. Once a process. */
void cube_log_start (CubeLogLevel level, CubeLogFormat format, const char *path);
void cube_log_error (const char *message); /* of level error, without GLib's notion of a critical, which may be fatal */
gboolean cube_log_is_file (void);
void cube_log_reopen (void);
/* One line, with its end. Control characters and bytes that are no UTF-8 are escaped. @time_us: wall clock. (transfer full) */
char *cube_log_line (CubeLogFormat format, gint64 time_us, CubeLogLevel level, const char *from, const char *message);

/* ---- notify.c ---- */
/* Tells systemd (NOTIFY_SOCKET, sd_notify(3)), when it asked: "READY=1", "STATUS=…", "STOPPING=1". Main thread. */
void cube_notify (const char *state);
/* The reason this process ends, for the `cube up` that started it: it named a pipe in CUBE_REASON_FD. Nobody asked: nothing is done. */
#define CUBE_REASON_FD "CUBE_REASON_FD"
void cube_notify_reason (const char *reason);
/* Takes both out of the environment, so that no child speaks for us. Before anything is started. */
void cube_notify_init (void);
