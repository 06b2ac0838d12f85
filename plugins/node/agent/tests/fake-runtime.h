/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A container runtime of the tests: it keeps accounts, and does what a test tells it. One thread (the simulated process). */
#include <context/context.h>
#include <cube/runtime.h>

typedef struct {
  CubeContext *context;
  GHashTable *sandboxes, *containers; /* id → FakeSandbox / FakeContainer */
  GHashTable *images;                 /* set of names that are present */
  GHashTable *scripts;                /* container name → FakeScript */
  GPtrArray *calls;                   /* (element-type utf8) "start web 0", "stop web 30" … in order */
  CubeRuntimeEventFunc func;
  gpointer func_data;
  guint serial, n_pulls;
  char *pull_error, *sandbox_error;   /* NULL = succeeds */
  gboolean is_mute;                   /* no events: only listings tell */
  void (*asked) (gpointer data);      /* (nullable) at each status call */
  gpointer asked_data;
} FakeRuntime;

typedef struct {
  gint64 lives_us;        /* ends by itself after so long; 0 = goes on */
  gint32 exit_code;
  gint32 exec_exit_code;  /* of exec_sync */
  gboolean fails_to_start;
  gboolean stays_created; /* its start fails and leaves it as it was */
  gboolean ignores_stop;  /* stopping succeeds, and it runs on */
} FakeScript;

extern const CubeRuntimeOps fake_runtime_ops;
FakeRuntime *fake_runtime_new (CubeContext *context);
void fake_runtime_free (FakeRuntime *fake);
FakeScript *fake_runtime_script (FakeRuntime *fake, const char *container); /* to be filled in */
guint fake_runtime_count (FakeRuntime *fake, const char *call); /* how often */
int fake_runtime_index (FakeRuntime *fake, const char *call);   /* the first; -1 = never */
void fake_runtime_exit (FakeRuntime *fake, const char *container, gint32 code); /* the running one of that name */
void fake_runtime_kill_sandbox (FakeRuntime *fake, const char *pod);
guint fake_runtime_running (FakeRuntime *fake);
