/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A control plane's core without a network: store in memory, schema, registry, in-process client. */
#include <client/client-private.h>
#include <context/context.h>
#include <plugin/registry.h>

typedef struct {
  CubeProcess *process;
  CubeContext *context;
  CubeRegistry *registry;
  gpointer storage;
  CubeStore *store;
  CubeClient *local;  /* the pipeline itself */
  CubeClient *client; /* the back under test */
  CubeLoop *loop;     /* "main" */
  gboolean is_simulated;
} Fixture;

void fixture_init (Fixture *fixture, gboolean is_simulated, guint history);
void fixture_clear (Fixture *fixture);
/* Turns the loop until @test holds; fails the test when it does not within 20 s (virtual under simulation). */
typedef gboolean (*FixtureTest) (gpointer data);
void fixture_wait (Fixture *fixture, FixtureTest test, gpointer data);
void fixture_run (Fixture *fixture, gint64 duration_us); /* simulation only */

CubeValue *json (const char *format, ...) G_GNUC_PRINTF (1, 2); /* ' stands for " */
const CubeResource *resource (Fixture *fixture, const char *api_version, const char *plural);
CubeObject *create (Fixture *fixture, const char *api_version, const char *plural, const char *ns, const CubeValue *value); /* asserts success; takes nothing */
CubeObject *create_pod (Fixture *fixture, const char *name, const char *labels /* JSON members, "" = none */);
CubeObject *create_config_map (Fixture *fixture, const char *name, const char *value);
CubeResponse *execute (Fixture *fixture, CubeRequest *request); /* asserts success */
#define assert_error(error_, code_, text_)                                                                   \
  G_STMT_START                                                                                               \
  {                                                                                                          \
    g_assert_error (error_, CUBE_ERROR, code_);                                                              \
    g_assert_cmpstr ((error_)->message, ==, text_);                                                          \
    g_clear_error (&(error_));                                                                               \
  }                                                                                                          \
  G_STMT_END
