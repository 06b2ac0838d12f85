/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A worker's sockets behind one epoll descriptor: accepts, drives handshakes, tells wires what they can do, sends at the end of each round of the
 * loop what they gathered in it, and keeps closed ones until their peers have everything. Everything here runs on the worker's loop. */
#include "wire.h"

/* Takes the listening descriptor over. */
gboolean http_engine_start (HttpWorker *worker, GError **error);
void http_engine_stop (HttpWorker *worker);

/* ---- for wires ---- */
gboolean http_engine_add (HttpWire *wire);
void http_engine_remove (HttpWire *wire);
void http_engine_poke (HttpWire *wire);       /* its events come anew */
void http_engine_queue (HttpWire *wire);      /* something to flush */
void http_engine_hurry (HttpWire *wire);      /* one of its sources is ready already: the next round must not wait */
gboolean http_engine_linger (HttpWire *wire); /* keeps it; FALSE: no time for that */
void http_engine_touch (HttpWire *wire);      /* its peer takes what waits: time starts anew */
void http_engine_let_go (HttpWire *wire);
void http_engine_forget (HttpWire *wire); /* it is being freed */
void http_engine_shake (HttpWire *wire);  /* the handshake's next step */
