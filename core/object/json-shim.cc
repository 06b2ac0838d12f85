/* SPDX-License-Identifier: Apache-2.0 */
#include "json-shim.h"
#include <memory>
#include <cstring>
#include <new>
#include <simdjson.h>

namespace {

constexpr gsize keep_bytes = 64 * 1024; /* a thread keeps buffers for documents up to this size */
constexpr gsize first_bytes = 16 * 1024;

struct Parser {
  simdjson::dom::parser parser;
  std::unique_ptr<char[]> input;
  gsize input_size = 0;
  gsize depth = 0;
};

thread_local std::unique_ptr<Parser> the_parser;

bool
prepare (Parser &p, gsize length, gsize depth)
{
  if (length > p.input_size) {
    gsize size = first_bytes;
    while (size < length)
      size *= 2;
    p.input.reset (new (std::nothrow) char[size + simdjson::SIMDJSON_PADDING]);
    p.input_size = p.input ? size : 0;
    if (!p.input)
      return false;
  }
  if (p.parser.capacity () < length || p.depth < depth) {
    if (p.parser.allocate (p.input_size, depth) != simdjson::SUCCESS || p.parser.doc.allocate (p.input_size) != simdjson::SUCCESS) {
      p.depth = 0;
      return false;
    }
    p.depth = depth;
  }
  return true;
}

} // namespace

extern "C" gboolean
cube_json_shim_parse (const char *data, gsize length, guint max_depth, CubeJsonShim *ret_result)
{
  if (length == 0) // nothing was allocated yet, perhaps; and it is no document
    return FALSE;
  try {
    if (!the_parser)
      the_parser.reset (new Parser);
    Parser &p = *the_parser;
    if (!prepare (p, length, max_depth < 1024 ? 1024 : max_depth))
      return FALSE;
    std::memcpy (p.input.get (), data, length);
    std::memset (p.input.get () + length, 0, simdjson::SIMDJSON_PADDING);
    simdjson::dom::element root;
    if (p.parser.parse (p.input.get (), length, false).get (root) != simdjson::SUCCESS)
      return FALSE;
    ret_result->tape = p.parser.doc.tape.get ();
    ret_result->n_tape = (gsize) (ret_result->tape[0] & G_GUINT64_CONSTANT (0x00ffffffffffffff));
    ret_result->strings = p.parser.doc.string_buf.get ();
    return TRUE;
  } catch (...) {
    the_parser.reset ();
    return FALSE;
  }
}

extern "C" void
cube_json_shim_trim (void)
{
  if (the_parser && the_parser->input_size > keep_bytes)
    the_parser.reset ();
}
