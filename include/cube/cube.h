/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Everything. A plugin may include just what it needs. */
#include <cube/auth.h>
#include <cube/client.h>
#include <cube/context.h>
#include <cube/controller.h>
#include <cube/error.h>
#include <cube/node.h>
#include <cube/object.h>
#include <cube/plugin.h>
#include <cube/runtime.h>
#include <cube/scalar.h>
#include <cube/scheduler.h>
#include <cube/schema.h>
#include <cube/selector.h>
#include <cube/service.h>
#include <cube/storage.h>
#include <cube/stream.h>
#include <cube/types.h>
#include <cube/value.h>
