/*
 * SPDX-License-Identifier: Apache-2.0
 *
 * A gRPC server for the tests: one thread, one call after another, except
 * that a call to /echo.Echo/Hang is kept unanswered.
 *
 *   Echo    the request's text
 *   Fail    NotFound "no such thing"
 *   Garbage bytes that are no message
 *   Count   streams `count` replies numbered from 1, then OK
 *   Forever streams one reply, then nothing
 *   Hang    nothing
 */
#pragma once

#include <glib.h>

typedef struct _TestServer TestServer;

TestServer *test_server_new (const char *socket_path);
void test_server_free (TestServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (TestServer, test_server_free)
