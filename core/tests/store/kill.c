/* SPDX-License-Identifier: Apache-2.0 */
/* R1: no acknowledged write is lost, none that was not asked for appears. A process with eight clients writes through a store and tells what was
 * acknowledged over a pipe; it is killed at a random point; what the next one finds is compared with what was told.
 * CUBE_KILLS: how often (default 25). */
#include "fixture.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 8
#define KEYS 40 /* of each client */

/* What a client is about to do, then what it was answered. Written whole: shorter than PIPE_BUF. */
typedef struct {
  guint client, key;
  gboolean is_delete, is_acknowledged;
  guint64 stamp;    /* unique: the object's content */
  guint64 revision; /* acknowledged at */
} Note;

typedef struct {
  guint64 stamp, revision; /* acknowledged state; stamp 0 = deleted or never there */
  gboolean is_open;        /* something was asked since and not answered */
  guint64 open_stamp;      /* of it; 0 = a deletion */
} KeyState;

/* ---- the writing process ---- */

typedef struct {
  CubeStore *store;
  int pipe;
  guint client;
  guint64 base; /* of the stamps */
} Client;

static void
tell (int fd, const Note *note)
{
  if (write (fd, note, sizeof *note) != sizeof *note)
    _exit (3);
}

static void
client_step (Client *client, GRand *rand, guint64 stamp)
{
  Note note = { client->client, g_rand_int_range (rand, 0, KEYS), g_rand_int_range (rand, 0, 5) == 0, FALSE, stamp, 0 };
  g_autofree char *name = g_strdup_printf ("c%u-k%u", note.client, note.key), *node = g_strdup_printf ("%" G_GUINT64_FORMAT, stamp);
  g_autoptr (CubeObject) current = cube_store_get (client->store, PODS, "default", name);
  g_autoptr (GError) error = NULL;
  if (current == NULL)
    note.is_delete = FALSE;
  CubeObject *object = note.is_delete ? NULL : make_object ("Pod", "default", name, node, NULL, g_rand_int_range (rand, 0, 3000));
  tell (client->pipe, &note);
  g_autoptr (CubeObject) done =
      cube_store_commit (client->store, PODS, "default", name, object, current != NULL ? cube_object_revision (current) : 0, NULL, &error);
  g_assert_no_error (error);
  note.is_acknowledged = TRUE;
  note.revision = cube_object_revision (done);
  tell (client->pipe, &note);
}

static gpointer
client_run (gpointer data)
{
  Client *client = data;
  g_autoptr (GRand) rand = g_rand_new ();
  for (guint64 i = 1;; i++)
    client_step (client, rand, client->base + i * CLIENTS + client->client);
  return NULL;
}

static void G_GNUC_NORETURN
writer_main (const char *directory, int fd, guint round)
{
  Fixture f;
  fixture_init (&f, STORAGE_SQLITE, FALSE);
  remove_tree (f.directory);
  f.directory = g_strdup (directory);
  f.history = 50; /* compaction too happens between kills */
  fixture_open (&f);
  for (guint i = 0; i < CLIENTS; i++)
    {
      Client *client = g_new0 (Client, 1);
      *client = (Client){ f.store, fd, i, (guint64) (round + 1) << 32 };
      g_thread_unref (g_thread_new ("client", client_run, client));
    }
  for (;;)
    pause ();
}

/* ---- the judge ---- */

typedef struct {
  KeyState keys[CLIENTS][KEYS];
  guint64 newest; /* acknowledged revision */
  guint acknowledged;
} Judge;

static void
judge_note (Judge *judge, const Note *note)
{
  KeyState *key = &judge->keys[note->client][note->key];
  key->is_open = !note->is_acknowledged;
  key->open_stamp = note->is_delete ? 0 : note->stamp;
  if (!note->is_acknowledged)
    return;
  key->stamp = key->open_stamp;
  key->revision = note->revision;
  judge->newest = MAX (judge->newest, note->revision);
  judge->acknowledged++;
}

static guint64
stamp_of (CubeObject *object)
{
  if (object == NULL)
    return 0;
  g_autoptr (CubeValue) value = cube_object_value (object);
  return g_ascii_strtoull (cube_view_string_or (cube_value_get (value, "spec", "nodeName"), "0"), NULL, 10);
}

/* Each key is as acknowledged, or as last asked when the answer did not come before the end. */
static void
judge_store (Judge *judge, CubeStore *store)
{
  guint live = 0;
  g_assert_cmpuint (cube_store_revision (store), >=, judge->newest);
  for (guint c = 0; c < CLIENTS; c++)
    for (guint k = 0; k < KEYS; k++)
      {
        KeyState *key = &judge->keys[c][k];
        g_autofree char *name = g_strdup_printf ("c%u-k%u", c, k);
        g_autoptr (CubeObject) object = cube_store_get (store, PODS, "default", name);
        guint64 stamp = stamp_of (object);
        if (stamp != key->stamp && !(key->is_open && stamp == key->open_stamp))
          g_error ("%s: found %" G_GUINT64_FORMAT ", acknowledged %" G_GUINT64_FORMAT " at %" G_GUINT64_FORMAT, name, stamp, key->stamp,
                   key->revision);
        if (object != NULL && stamp == key->stamp && !key->is_open)
          g_assert_cmpuint (cube_object_revision (object), ==, key->revision);
        live += object != NULL;
        key->revision = object != NULL ? cube_object_revision (object) : 0;
        key->stamp = stamp;
        key->is_open = FALSE;
      }
  CubeSnapshot *snapshot = cube_store_snapshot (store, PODS);
  g_assert_cmpuint (cube_snapshot_length (snapshot), ==, live);
  cube_snapshot_unref (snapshot);
}

static void
run_and_kill (Judge *judge, const char *directory, guint round, guint wanted)
{
  int fds[2];
  guint seen = 0;
  Note note;
  g_assert_cmpint (pipe (fds), ==, 0);
  g_autofree char *fd_text = g_strdup_printf ("%d", fds[1]), *round_text = g_strdup_printf ("%u", round);
  pid_t pid = fork ();
  if (pid == 0)
    {
      close (fds[0]);
      execl ("/proc/self/exe", "test-store-kill", "--writer", directory, fd_text, round_text, NULL);
      _exit (4);
    }
  close (fds[1]);
  for (ssize_t n; (n = read (fds[0], &note, sizeof note)) == sizeof note;)
    {
      judge_note (judge, &note);
      if (note.is_acknowledged && ++seen == wanted)
        kill (pid, SIGKILL); /* and read what was told before it died */
    }
  close (fds[0]);
  int status;
  g_assert_cmpint (waitpid (pid, &status, 0), ==, pid);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
}

static void
test_kill (void)
{
  const char *text = g_getenv ("CUBE_KILLS");
  guint kills = text != NULL ? (guint) atoi (text) : 25;
  g_autofree Judge *judge = g_new0 (Judge, 1);
  Fixture f;
  fixture_init (&f, STORAGE_SQLITE, FALSE);
  for (guint round = 0; round < kills; round++)
    {
      run_and_kill (judge, f.directory, round, g_random_int_range (1, 400));
      fixture_open (&f);
      judge_store (judge, f.store);
      fixture_close (&f);
    }
  g_test_message ("%u kills, %u acknowledged writes, none lost", kills, judge->acknowledged);
  fixture_clear (&f);
}

int
main (int argc, char **argv)
{
  if (argc == 5 && g_str_equal (argv[1], "--writer"))
    writer_main (argv[2], atoi (argv[3]), atoi (argv[4]));
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/store/kill", test_kill);
  return g_test_run ();
}
