/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * A pod's sandbox in the containerd of CRI_TEST_DIR, and the events that came.
 */
#pragma once

#include "harness.h"

#define SECONDS(n) ((n) * G_USEC_PER_SEC)

typedef struct {
  CubeRuntimeEventType type;
  char *id;
} Event;

typedef struct {
  Harness harness;
  GMutex lock;
  GCond changed;
  GPtrArray *events;        /* (element-type Event) under lock */
  char *sandbox;
  CubeSandboxConfig config;
} Fixture;

/* NULL when there is no containerd to test with. */
const char *fixture_dir (void);
void fixture_set_up (Fixture *fixture, gconstpointer data);
void fixture_tear_down (Fixture *fixture, gconstpointer data);
/* Waits for the event, among those that came and those that come. */
void fixture_wait_for_event (Fixture *fixture, CubeRuntimeEventType type, const char *id);
void fixture_forget_events (Fixture *fixture);
CubeContainer *fixture_status_of (Fixture *fixture, const char *id);
/* A started container that runs the script; its id. */
char *fixture_start_container (Fixture *fixture, const char *name, const char *script);

/* test-streaming.c */
void add_streaming_tests (void);
