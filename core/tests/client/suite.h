/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The semantics of a client, as tests that run against every back. */
#include "fixture.h"

typedef void (*BackInit) (Fixture *fixture);
typedef void (*BackClear) (Fixture *fixture);
/* Adds every test of the suite below /client/@prefix; each gets a fixture of its own made by @init. */
void suite_add (const char *prefix, BackInit init, BackClear clear);
