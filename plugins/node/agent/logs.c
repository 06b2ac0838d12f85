/* SPDX-License-Identifier: Apache-2.0 */
/* Reads logs in CRI's form: TIME STREAM TAG TEXT, where the tag P means that the line goes on. */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_FOLLOWERS 24 /* each holds a worker */
#define FOLLOW_CHECK_MS 1000
#define BLOCK 65536

typedef struct {
  NodeAgent *agent;
  char *path;
  CubeLogOptions options;
  gboolean (*is_running) (gpointer data);
  gpointer data;
  GDestroyNotify destroy;
  const CubeStreamSinkOps *sink_ops;
  gpointer sink;
  int fd, wake_fd, watch_fd;
  gint64 left;         /* bytes that may still be sent; -1 = any */
  gint64 since_us;     /* 0 = all */
  gboolean goes_on;    /* the last piece ended in the middle of a line */
  GByteArray *pending; /* an incomplete raw line */
  gint is_closing;     /* atomic */
  GMutex lock;
  GCond changed;
  gboolean is_over;
} Log;

static gint n_followers;

static void
log_free (Log *log)
{
  if (log->destroy != NULL)
    log->destroy (log->data);
  if (log->fd >= 0)
    close (log->fd);
  if (log->watch_fd >= 0)
    close (log->watch_fd);
  close (log->wake_fd);
  g_byte_array_unref (log->pending);
  g_free (log->path);
  g_mutex_clear (&log->lock);
  g_cond_clear (&log->changed);
  g_free (log);
}

/* ---- lines ---- */

static gboolean
send_bytes (Log *log, const char *bytes, gsize length)
{
  if (log->left >= 0)
    length = MIN (length, (gsize) log->left);
  if (length > 0 && !log->sink_ops->data (log->sink, CUBE_CHANNEL_STDOUT, bytes, length))
    return FALSE;
  if (log->left >= 0)
    log->left -= (gint64) length;
  return log->left != 0;
}

/* One raw line without its newline. FALSE: that is all. */
static gboolean
send_line (Log *log, const char *line, gsize length)
{
  const char *end = line + length, *stream = memchr (line, ' ', length);
  const char *tag = stream != NULL ? memchr (stream + 1, ' ', (gsize) (end - stream - 1)) : NULL;
  const char *text = tag != NULL ? memchr (tag + 1, ' ', (gsize) (end - tag - 1)) : NULL;
  gint64 at;
  if (tag == NULL)
    return TRUE; /* not of that form: a line torn by a crash */
  gboolean is_partial = tag + 1 < end && tag[1] == 'P';
  text = text != NULL ? text + 1 : end;
  if (log->since_us > 0)
    {
      g_autofree char *time = g_strndup (line, (gsize) (stream - line));
      if (cube_time_parse (time, &at) && at < log->since_us)
        return TRUE;
    }
  if (log->options.timestamps && !log->goes_on && (!send_bytes (log, line, (gsize) (stream - line)) || !send_bytes (log, " ", 1)))
    return FALSE;
  log->goes_on = is_partial;
  if (text < end && !send_bytes (log, text, (gsize) (end - text)))
    return FALSE;
  return is_partial || send_bytes (log, "\n", 1);
}

static gboolean
take_block (Log *log, const char *block, gsize length)
{
  while (length > 0)
    {
      const char *newline = memchr (block, '\n', length);
      if (newline == NULL)
        {
          if (log->pending->len < 1 << 20)
            g_byte_array_append (log->pending, (const guint8 *) block, (guint) length);
          return TRUE;
        }
      gsize n = (gsize) (newline - block);
      gboolean ok;
      if (log->pending->len > 0)
        {
          g_byte_array_append (log->pending, (const guint8 *) block, (guint) n);
          ok = send_line (log, (const char *) log->pending->data, log->pending->len);
          g_byte_array_set_size (log->pending, 0);
        }
      else
        ok = send_line (log, block, n);
      if (!ok)
        return FALSE;
      block += n + 1;
      length -= n + 1;
    }
  return TRUE;
}

/* To the end of the file. FALSE: no more is wanted. */
static gboolean
drain (Log *log)
{
  g_autofree char *block = g_malloc (BLOCK);
  for (;;)
    {
      if (g_atomic_int_get (&log->is_closing))
        return FALSE;
      ssize_t n = log->fd >= 0 ? read (log->fd, block, BLOCK) : 0;
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return TRUE;
      if (!take_block (log, block, (gsize) n))
        return FALSE;
    }
}

/* Where the last @lines lines begin. */
static off_t
find_tail (int fd, gint64 lines)
{
  off_t at = lseek (fd, 0, SEEK_END);
  g_autofree char *block = g_malloc (BLOCK);
  gboolean is_first = TRUE;
  if (lines == 0)
    return at;
  while (at > 0)
    {
      gsize want = (gsize) MIN (at, BLOCK);
      ssize_t n = pread (fd, block, want, at - (off_t) want);
      if (n <= 0)
        return 0;
      for (ssize_t i = n - 1; i >= 0; i--)
        {
          if (block[i] == '\n' && !(is_first && i == n - 1) && --lines == 0)
            return at - (off_t) want + i + 1;
        }
      is_first = FALSE;
      at -= (off_t) want;
    }
  return 0;
}

/* ---- following ---- */

static gboolean
was_rotated (Log *log)
{
  struct stat now, ours;
  if (stat (log->path, &now) != 0)
    return FALSE;
  return log->fd < 0 || fstat (log->fd, &ours) != 0 || now.st_ino != ours.st_ino || now.st_dev != ours.st_dev;
}

static void
reopen (Log *log)
{
  if (log->fd >= 0)
    close (log->fd);
  log->fd = open (log->path, O_RDONLY | O_CLOEXEC);
}

static void
wait_for_more (Log *log)
{
  struct pollfd fds[2] = { { .fd = log->wake_fd, .events = POLLIN }, { .fd = log->watch_fd, .events = POLLIN } };
  char events[4096];
  poll (fds, log->watch_fd >= 0 ? 2 : 1, FOLLOW_CHECK_MS);
  if (log->watch_fd >= 0 && fds[1].revents != 0 && read (log->watch_fd, events, sizeof events) < 0 && errno != EAGAIN)
    g_debug ("%s: %s", log->path, g_strerror (errno));
}

static void
follow (Log *log)
{
  g_autofree char *dir = g_path_get_dirname (log->path);
  log->watch_fd = inotify_init1 (IN_CLOEXEC | IN_NONBLOCK);
  if (log->watch_fd >= 0)
    inotify_add_watch (log->watch_fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
  while (drain (log))
    {
      gboolean is_running = log->is_running == NULL || log->is_running (log->data);
      if (was_rotated (log))
        {
          reopen (log);
          continue;
        }
      if (!is_running)
        {
          drain (log);
          return;
        }
      wait_for_more (log);
    }
}

static void
log_work (gpointer data)
{
  Log *log = data;
  static const char success[] = "{\"metadata\":{},\"status\":\"Success\"}";
  if (log->fd >= 0 && log->options.tail_lines >= 0)
    lseek (log->fd, find_tail (log->fd, log->options.tail_lines), SEEK_SET);
  if (log->left != 0)
    {
      if (log->options.follow)
        follow (log);
      else if (drain (log) && log->pending->len > 0)
        send_line (log, (const char *) log->pending->data, log->pending->len);
    }
  if (!g_atomic_int_get (&log->is_closing))
    {
      g_autoptr (CubeValue) status = cube_value_from_json (success, -1, NULL, NULL);
      log->sink_ops->closed (log->sink, status);
    }
  if (log->options.follow)
    g_atomic_int_add (&n_followers, -1);
  g_mutex_lock (&log->lock);
  log->is_over = TRUE;
  g_cond_broadcast (&log->changed);
  g_mutex_unlock (&log->lock);
}

/* ---- the stream ---- */

static gboolean
stream_write (gpointer stream, guint channel, const void *bytes, gsize length, GError **error)
{
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "a log takes no input");
  return FALSE;
}

static void
stream_close_channel (gpointer stream, guint channel)
{
}

static void
stream_resize (gpointer stream, guint16 columns, guint16 rows)
{
}

static void
stream_close (gpointer stream)
{
  Log *log = stream;
  g_atomic_int_set (&log->is_closing, TRUE);
  eventfd_write (log->wake_fd, 1);
  g_mutex_lock (&log->lock);
  while (!log->is_over)
    g_cond_wait (&log->changed, &log->lock);
  g_mutex_unlock (&log->lock);
  log_free (log);
}

static const CubeStreamOps log_stream_ops = { sizeof log_stream_ops, stream_write, stream_close_channel, stream_resize, stream_close };

gboolean
node_logs_open (NodeAgent *agent, const char *path, const CubeLogOptions *options, gboolean (*is_running) (gpointer data), gpointer data,
                GDestroyNotify destroy, const CubeStreamSinkOps *sink_ops, gpointer sink, CubeStream *ret_stream, GError **error)
{
  if (options->follow && g_atomic_int_add (&n_followers, 1) >= MAX_FOLLOWERS)
    {
      g_atomic_int_add (&n_followers, -1);
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_TOO_MANY_REQUESTS, "%d logs are being followed on this node already", MAX_FOLLOWERS);
      if (destroy != NULL)
        destroy (data);
      return FALSE;
    }
  Log *log = g_new0 (Log, 1);
  log->agent = agent;
  log->path = g_strdup (path);
  log->options = *options;
  log->is_running = is_running;
  log->data = data;
  log->destroy = destroy;
  log->sink_ops = sink_ops;
  log->sink = sink;
  log->left = options->limit_bytes;
  log->since_us = options->since_time_us;
  if (options->since_seconds >= 0)
    log->since_us = cube_context_now_us (agent->context) - options->since_seconds * G_USEC_PER_SEC;
  log->wake_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
  log->watch_fd = -1;
  log->fd = open (path, O_RDONLY | O_CLOEXEC);
  log->pending = g_byte_array_new ();
  g_mutex_init (&log->lock);
  g_cond_init (&log->changed);
  *ret_stream = (CubeStream){ &log_stream_ops, log };
  cube_context_run_stream (agent->context, log_work, agent->loop, NULL, log);
  return TRUE;
}

/* ---- the last words ---- */

char *
node_logs_tail (const char *path, guint max_lines, gsize max_bytes)
{
  g_autoptr (GString) text = g_string_new (NULL);
  g_autofree char *raw = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return NULL;
  off_t start = find_tail (fd, max_lines), size = lseek (fd, 0, SEEK_END);
  if (size - start > (off_t) max_bytes * 4)
    start = size - (off_t) max_bytes * 4;
  raw = g_malloc0 ((gsize) (size - start) + 1);
  ssize_t n = pread (fd, raw, (gsize) (size - start), start);
  close (fd);
  if (n <= 0)
    return NULL;
  g_auto (GStrv) lines = g_strsplit (raw, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    {
      g_auto (GStrv) fields = g_strsplit (lines[i], " ", 4);
      if (g_strv_length (fields) == 4)
        g_string_append_printf (text, "%s%s", fields[3], *fields[2] == 'P' ? "" : "\n");
    }
  const char *cut = text->len > max_bytes ? text->str + text->len - max_bytes : text->str;
  return *cut != '\0' ? g_utf8_make_valid (cut, -1) : NULL;
}
