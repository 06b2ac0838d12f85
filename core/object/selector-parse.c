/* SPDX-License-Identifier: Apache-2.0 */
/* The text forms of selectors: a lexer and a parser for labels, a splitter for fields. */
#include "selector-private.h"
#include <cube/error.h>
#include <cube/scalar.h>
#include <string.h>

#define MAX_TEXT (64 * 1024)
#define MAX_REQUIREMENTS 1024

typedef enum { TOKEN_END, TOKEN_WORD, TOKEN_SYMBOL } TokenType;

typedef struct {
  const char *text, *at;
  TokenType type;
  char token[4096]; /* no key or value is as long */
  GError **error;
} Parser;

static gboolean refuse (Parser *p, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
refuse (Parser *p, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *message = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (p->error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unable to parse requirement: %s", message);
  return FALSE;
}

static gboolean
is_symbol (char c)
{
  return c == '=' || c == '!' || c == '(' || c == ')' || c == ',' || c == '>' || c == '<';
}

static gboolean
is_space (char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Reads the next token. */
static gboolean
next (Parser *p)
{
  gsize n = 0;
  while (is_space (*p->at))
    p->at++;
  if (*p->at == '\0')
    {
      p->type = TOKEN_END;
    }
  else if (is_symbol (*p->at))
    {
      p->type = TOKEN_SYMBOL;
      p->token[n++] = *p->at++;
      gboolean is_pair = (p->token[0] == '=' || p->token[0] == '!') && *p->at == '=';
      if (is_pair)
        p->token[n++] = *p->at++;
    }
  else
    {
      p->type = TOKEN_WORD;
      while (*p->at != '\0' && !is_symbol (*p->at) && !is_space (*p->at))
        {
          if (n + 1 == sizeof p->token)
            return refuse (p, "a word of more than %u bytes", (guint) sizeof p->token - 1);
          p->token[n++] = *p->at++;
        }
    }
  p->token[n] = '\0';
  return TRUE;
}

static gboolean
is_token (const Parser *p, const char *text)
{
  return p->type != TOKEN_END && strcmp (p->token, text) == 0;
}

static gboolean
check_key (Parser *p, const char *key)
{
  const char *problem = cube_name_check_qualified (key);
  if (problem == NULL)
    return TRUE;
  return refuse (p, "<nil>: Invalid value: \"%s\": %s", key, problem);
}

static gboolean
check_value (Parser *p, const char *key, const char *value, guint index)
{
  const char *problem = cube_name_check_label_value (value);
  if (problem == NULL)
    return TRUE;
  return refuse (p, "values[%u][%s]: Invalid value: \"%s\": %s", index, key, value, problem);
}

/* "(x,y)": at the word after the operator. An empty place is the empty value. */
static gboolean
parse_set (Parser *p, const char *key, GPtrArray *values)
{
  gboolean after_comma = TRUE;
  if (!next (p))
    return FALSE;
  if (!is_token (p, "("))
    return refuse (p, "found '%s' expected: '('", p->token);
  while (TRUE)
    {
      if (!next (p))
        return FALSE;
      if (p->type == TOKEN_WORD && after_comma)
        {
          if (!check_value (p, key, p->token, values->len))
            return FALSE;
          g_ptr_array_add (values, g_strdup (p->token));
          after_comma = FALSE;
        }
      else if (is_token (p, ",") || is_token (p, ")"))
        {
          if (after_comma)
            g_ptr_array_add (values, g_strdup (""));
          after_comma = TRUE;
          if (*p->token == ')')
            return next (p);
        }
      else
        {
          return refuse (p, "found '%s', expected: ',' or ')'", p->token);
        }
    }
}

/* "a=b", "a>1": the value, empty if there is none. */
static gboolean
parse_single (Parser *p, const char *key, CubeSelectorOp op, GPtrArray *values)
{
  gint64 number;
  if (!next (p))
    return FALSE;
  gboolean is_empty = p->type == TOKEN_END || is_token (p, ",");
  if (!is_empty && p->type != TOKEN_WORD)
    return refuse (p, "found '%s', expected: identifier", p->token);
  const char *value = is_empty ? "" : p->token;
  if (!check_value (p, key, value, 0))
    return FALSE;
  if ((op == CUBE_SELECTOR_GT || op == CUBE_SELECTOR_LT) && !g_ascii_string_to_signed (value, 10, G_MININT64, G_MAXINT64, &number, NULL))
    return refuse (p, "values[0]: Invalid value: \"%s\": for 'Gt', 'Lt' operators, the value must be an integer", value);
  g_ptr_array_add (values, g_strdup (value));
  return is_empty ? TRUE : next (p);
}

static gboolean
parse_operator (Parser *p, CubeSelectorOp *ret_op)
{
  static const struct {
    const char *text;
    CubeSelectorOp op;
  } ops[] = { { "=", CUBE_SELECTOR_EQUALS }, { "==", CUBE_SELECTOR_EQUALS },    { "!=", CUBE_SELECTOR_NOT_EQUALS },
              { "in", CUBE_SELECTOR_IN },    { "notin", CUBE_SELECTOR_NOT_IN }, { ">", CUBE_SELECTOR_GT },
              { "<", CUBE_SELECTOR_LT } };
  for (guint i = 0; i < G_N_ELEMENTS (ops); i++)
    {
      if (!is_token (p, ops[i].text))
        continue;
      *ret_op = ops[i].op;
      return TRUE;
    }
  return refuse (p, "found '%s', expected: in, notin, =, ==, !=, gt, lt", p->token);
}

static gboolean
parse_requirement (Parser *p, CubeSelector *selector)
{
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);
  CubeSelectorOp op = CUBE_SELECTOR_EXISTS;
  gboolean is_absent = is_token (p, "!");
  if (is_absent && !next (p))
    return FALSE;
  if (p->type != TOKEN_WORD)
    return refuse (p, "found '%s', expected: !, identifier, or 'end of string'", p->type == TOKEN_END ? "" : p->token);
  g_autofree char *key = g_strdup (p->token);
  if (!check_key (p, key) || !next (p))
    return FALSE;
  if (is_absent)
    {
      op = CUBE_SELECTOR_ABSENT;
    }
  else if (p->type != TOKEN_END && !is_token (p, ","))
    {
      if (!parse_operator (p, &op))
        return FALSE;
      gboolean is_set = op == CUBE_SELECTOR_IN || op == CUBE_SELECTOR_NOT_IN;
      if (is_set ? !parse_set (p, key, values) : !parse_single (p, key, op, values))
        return FALSE;
    }
  cube_selector_add (selector, cube_requirement_new (g_steal_pointer (&key), op, values));
  return TRUE;
}

static gboolean
check_size (const char *text, GError **error)
{
  if (strlen (text) <= MAX_TEXT && g_utf8_validate (text, -1, NULL))
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unable to parse requirement: a selector must be valid UTF-8 of at most %d bytes",
               MAX_TEXT);
  return FALSE;
}

static gboolean
check_count (const CubeSelector *selector, GError **error)
{
  if (selector->requirements->len < MAX_REQUIREMENTS)
    return TRUE;
  g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "unable to parse requirement: more than %d requirements", MAX_REQUIREMENTS);
  return FALSE;
}

CubeSelector *
cube_selector_parse_labels (const char *text, GError **error)
{
  g_autoptr (CubeSelector) selector = cube_selector_new (FALSE);
  if (text == NULL)
    return g_steal_pointer (&selector);
  if (!check_size (text, error))
    return NULL;
  g_autofree Parser *p = g_new0 (Parser, 1);
  p->text = p->at = text;
  p->error = error;
  if (!next (p))
    return NULL;
  while (p->type != TOKEN_END)
    {
      if (!check_count (selector, error) || !parse_requirement (p, selector))
        return NULL;
      if (p->type == TOKEN_END)
        break;
      if (!is_token (p, ","))
        {
          refuse (p, "found '%s', expected: ',' or 'end of string'", p->token);
          return NULL;
        }
      if (!next (p))
        return NULL;
      if (p->type == TOKEN_END)
        {
          refuse (p, "found '', expected: identifier after ','");
          return NULL;
        }
    }
  cube_selector_sort (selector);
  return g_steal_pointer (&selector);
}

/* ---- fields ---- */

/* The value with its escapes resolved: \\ \, \= only. */
static char *
unescape (const char *text, gsize length, GError **error)
{
  GString *out = g_string_sized_new (length);
  for (gsize i = 0; i < length; i++)
    {
      if (text[i] == '\\')
        {
          i++;
          if (i == length || strchr ("\\,=", text[i]) == NULL)
            {
              g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid field selector: invalid escape sequence in %.*s",
                           (int) length, text);
              g_string_free (out, TRUE);
              return NULL;
            }
        }
      else if (text[i] == ',' || text[i] == '=')
        {
          g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST,
                       "invalid field selector: unescaped character in field selector value %.*s: %c", (int) length, text, text[i]);
          g_string_free (out, TRUE);
          return NULL;
        }
      g_string_append_c (out, text[i]);
    }
  return g_string_free (out, FALSE);
}

/* The end of a term: a comma that is not escaped. */
static gsize
term_length (const char *text)
{
  gsize n = 0;
  while (text[n] != '\0' && text[n] != ',')
    n += text[n] == '\\' && text[n + 1] != '\0' ? 2 : 1;
  return n;
}

static gboolean
parse_term (CubeSelector *selector, const char *term, gsize length, GError **error)
{
  CubeSelectorOp op = CUBE_SELECTOR_EQUALS;
  gsize at = 0, skip = 1;
  while (at < length && term[at] != '=' && !(term[at] == '!' && at + 1 < length && term[at + 1] == '='))
    at++;
  if (at >= length)
    {
      g_set_error (error, CUBE_ERROR, CUBE_ERROR_BAD_REQUEST, "invalid selector: '%.*s'; can't understand '%.*s'", (int) length, term,
                   (int) length, term);
      return FALSE;
    }
  if (term[at] == '!')
    op = CUBE_SELECTOR_NOT_EQUALS;
  if (term[at] == '!' || (at + 1 < length && term[at + 1] == '='))
    skip = 2;
  char *value = unescape (term + at + skip, length - at - skip, error);
  if (value == NULL)
    return FALSE;
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (values, value);
  cube_selector_add (selector, cube_requirement_new (g_strndup (term, at), op, values));
  return TRUE;
}

CubeSelector *
cube_selector_parse_fields (const char *text, GError **error)
{
  g_autoptr (CubeSelector) selector = cube_selector_new (FALSE);
  selector->is_fields = TRUE;
  if (text == NULL)
    return g_steal_pointer (&selector);
  if (!check_size (text, error))
    return NULL;
  while (*text != '\0')
    {
      gsize length = term_length (text);
      if (length > 0 && (!check_count (selector, error) || !parse_term (selector, text, length, error)))
        return NULL;
      text += length;
      text += *text == ',';
    }
  cube_selector_sort (selector);
  return g_steal_pointer (&selector);
}
