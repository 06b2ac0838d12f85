#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the schema files of core/schema/api into C tables. Usage: gen-schema.py OUT.c OUT.h FILE.schema...

The format is described in core/schema/README.md, the tables in core/schema/types.h."""
import base64
import hashlib
import re
import shlex
import struct
import sys

SCALARS = {'string': 'STRING', 'int32': 'INT32', 'int64': 'INT64', 'bool': 'BOOL', 'double': 'DOUBLE', 'bytes': 'BYTES',
           'quantity': 'QUANTITY', 'int-or-string': 'INT_OR_STRING', 'time': 'TIME', 'microtime': 'MICROTIME',
           'duration': 'DURATION', 'object': 'OBJECT', 'any': 'ANY'}
SCHEMA_OR = {'schema-or-bool': 'SCHEMA_OR_BOOL', 'schema-or-array': 'SCHEMA_OR_ARRAY', 'schema-or-strings': 'SCHEMA_OR_STRINGS'}
JSON_SCHEMA = 'apiextensions/v1.JSONSchemaProps'
ALIASES = {'ref<apiextensions/v1.JSON>': 'any', 'ref<apiextensions/v1.JSONSchemaPropsOrBool>': 'schema-or-bool',
           'ref<apiextensions/v1.JSONSchemaPropsOrArray>': 'schema-or-array',
           'ref<apiextensions/v1.JSONSchemaPropsOrStringArray>': 'schema-or-strings',
           'ref<meta/v1.Time>': 'time', 'ref<meta/v1.MicroTime>': 'microtime', 'ref<resource.Quantity>': 'quantity',
           'ref<intstr.IntOrString>': 'int-or-string'}
STRATEGY = {'status': 'STATUS', 'status-on-create': 'STATUS_ON_CREATE', 'status-keeps-labels': 'STATUS_KEEPS_LABELS',
            'status-keeps-metadata': 'STATUS_KEEPS_METADATA', 'update-keeps-spec': 'UPDATE_KEEPS_SPEC',
            'create-on-update': 'CREATE_ON_UPDATE', 'unconditional-update': 'UNCONDITIONAL'}
VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection']
MASK64 = (1 << 64) - 1


class Bad(Exception):
    pass


class Type:
    def __init__(self, name):
        self.name, self.fields, self.gvk, self.hook, self.atomic = name, [], None, None, False


class Field:
    def __init__(self, name, ftype):
        self.name, self.ftype = name, ftype
        self.flags, self.default, self.merge_key, self.list_keys = set(), None, None, None
        self.enums, self.gate, self.minimum, self.format, self.proto = None, None, 0, None, (0, 0, 0)


class Resource:
    def __init__(self, name, type_name):
        self.name, self.type = name, type_name
        self.scope, self.verbs, self.singular, self.short, self.categories = None, [], '', [], []
        self.subresources, self.columns, self.selectable, self.strategy = [], [], [], []
        self.generation, self.hooks, self.stored, self.name_rule = None, {}, None, 'dns-subdomain'


def parse_field(line):
    words = shlex_keep(line)
    field = Field(words[0], ALIASES.get(words[1], words[1]))
    for word in words[2:]:
        key, _, value = word.partition('=')
        if word[0] == '#':
            numbers = [int(n) for n in word[1:].split('/')]
            field.proto = tuple((numbers + [0, 0])[:3])
        elif word in ('required', 'documented', 'always', 'pointer', 'immutable'):
            field.flags.add(word.upper())
        elif key == 'default':
            field.default = value
        elif key in ('enum', 'open-enum'):
            field.enums = value.strip('"').split('|')
            if key == 'open-enum':
                field.flags.add('OPEN_ENUM')
        elif key == 'patch':
            strategy, _, field.merge_key = value.partition(':')
            for s in filter(None, strategy.split(',')):
                field.flags.add({'merge': 'PATCH_MERGE', 'replace': 'PATCH_REPLACE', 'retainKeys': 'RETAIN_KEYS'}[s])
        elif key == 'list':
            kind, _, field.list_keys = value.partition(':')
            field.flags.add('LIST_' + kind.upper())
        elif key == 'map':
            if value == 'atomic':
                field.flags.add('MAP_ATOMIC')
        elif key == 'union':
            if value == 'discriminator':
                field.flags.add('DISCRIMINATOR')
        elif key == 'gate':
            field.gate = value
        elif key == 'min':
            field.minimum = int(value)
            field.flags.add('MINIMUM')
        elif key == 'format':
            field.format = value
        else:
            raise Bad('unknown word %r' % word)
    if field.ftype.startswith('ref<') and 'POINTER' not in field.flags:
        field.flags.add('STRUCT')
    return field


def shlex_keep(line):
    """Words; a quoted part keeps its quotes, so that default="a b" stays JSON."""
    return re.findall(r'(?:[^\s"]|"(?:[^"\\]|\\.)*")+', line)


def parse_resource_line(resource, line):
    words = shlex.split(line)
    key, rest = words[0], words[1:]
    if key == 'scope':
        resource.scope = rest[0]
    elif key in ('verbs', 'short', 'categories'):
        setattr(resource, key, rest[0].split(','))
    elif key == 'name-rule':
        resource.name_rule = rest[0]
    elif key == 'singular':
        resource.singular = rest[0]
    elif key == 'subresource':
        resource.subresources.append((rest[0], rest[1], rest[2].split(',')))
    elif key == 'stored':
        resource.stored = (rest[0], rest[1])
    elif key == 'selectable':
        resource.selectable = rest
    elif key == 'column':
        ctype, _, cformat = rest[1].partition(':')
        resource.columns.append((rest[0], ctype, cformat, int(rest[2]), rest[3]))
    elif key == 'strategy':
        for word in rest:
            name, eq, value = word.partition('=')
            if name == 'generation':
                resource.generation = value
            elif name in ('create-hook', 'update-hook'):
                resource.hooks[name] = value
            elif word in STRATEGY:
                resource.strategy.append(STRATEGY[word])
            else:
                raise Bad('unknown strategy %r' % word)
    else:
        raise Bad('unknown line %r' % key)


class Schema:
    def __init__(self):
        self.types, self.groups, self.resources = {}, [], []

    def parse(self, path):
        group = current = None
        with open(path, encoding='utf-8') as lines:
            for number, line in enumerate(lines, 1):
                line = line.rstrip()
                if not line or line.startswith('#'):
                    continue
                try:
                    if line[0] == ' ':
                        if isinstance(current, Type):
                            current.fields.append(parse_field(line))
                        else:
                            parse_resource_line(current, line)
                        continue
                    words = line.split()
                    if words[0] == 'group':
                        opts = dict(w.split('=') for w in words[2:])
                        group = ('' if words[1] == 'core' else words[1], int(opts['order']), opts['versions'].split(','))
                        self.groups.append(group)
                    elif words[0] == 'resource':
                        current = Resource(words[1], words[2])
                        current.group = group[0]
                        current.version = words[2].split('/')[1].split('.')[0]
                        self.resources.append(current)
                    elif words[0] == 'type':
                        current = Type(words[1])
                        if words[1] in self.types:
                            raise Bad('type twice')
                        self.types[words[1]] = current
                        for word in words[2:]:
                            key, _, value = word.partition('=')
                            if key == 'kind':
                                current.gvk = value
                            elif key == 'map':
                                current.atomic = value == 'atomic'
                            elif key == 'default-hook':
                                current.hook = value
                            else:
                                raise Bad('unknown word %r' % word)
                    else:
                        raise Bad('unknown line %r' % words[0])
                except (Bad, KeyError, IndexError, ValueError, TypeError) as error:
                    sys.exit('%s:%d: %s: %r' % (path, number, error, line))


def key_hash(name):
    raw = name.encode()
    if len(raw) >= 8:
        head, tail = struct.unpack('<Q', raw[:8])[0], struct.unpack('<Q', raw[-8:])[0]
    else:
        head = tail = int.from_bytes(raw, 'little')
    mix = (head * 0x9e3779b97f4a7c15 & MASK64) ^ (tail * 0xc2b2ae3d27d4eb4f & MASK64) ^ len(raw)
    return (mix * 0xff51afd7ed558ccd & MASK64) >> 32


class Pool:
    def __init__(self):
        self.data, self.known = bytearray(b'\0'), {}

    def add(self, text):
        if text is None:
            return 0
        raw = text.encode() if isinstance(text, str) else text
        if raw not in self.known:
            self.known[raw] = len(self.data)
            self.data += raw + b'\0'
        return self.known[raw]

    def emit(self, out):
        out.append('static const char pool[] = {')
        text = self.data
        for at in range(0, len(text), 40):
            out.append(','.join(str(b) for b in text[at:at + 40]) + ',')
        out.append('};')


class Tables:
    def __init__(self, schema):
        self.schema, self.pool = schema, Pool()
        self.names = sorted(schema.types)
        self.index = {name: i + 1 for i, name in enumerate(self.names)}
        self.shapes, self.shape_index = [('NONE', 0)], {}
        self.hooks, self.strategy_hooks, self.formats = [], [], []

    def shape(self, ftype):
        ftype = ALIASES.get(ftype, ftype)
        if ftype in self.shape_index:
            return self.shape_index[ftype]
        if ftype in SCALARS:
            entry = (SCALARS[ftype], 0)
        elif ftype in SCHEMA_OR:
            entry = (SCHEMA_OR[ftype], self.index[JSON_SCHEMA])
        elif ftype.startswith('list<'):
            entry = ('LIST', self.shape(ftype[5:-1]))
        elif ftype.startswith('map<'):
            entry = ('MAP', self.shape(ftype[4:-1]))
        elif ftype.startswith('ref<') and ftype[4:-1] in self.index:
            entry = ('REF', self.index[ftype[4:-1]])
        else:
            sys.exit('unknown type %r' % ftype)
        self.shapes.append(entry)
        self.shape_index[ftype] = len(self.shapes) - 1
        return self.shape_index[ftype]

    def below(self, ftype):
        while ftype[:4] in ('list', 'map<'):
            ftype = ftype[ftype.index('<') + 1:-1]
        return ftype[4:-1] if ftype.startswith('ref<') else JSON_SCHEMA if ftype in SCHEMA_OR else None

    def with_defaults(self):
        return self.closure(lambda t: t.hook or any(f.default is not None or 'STRUCT' in f.flags for f in t.fields))

    def with_rules(self):
        return self.closure(lambda t: any((f.enums and 'OPEN_ENUM' not in f.flags) or f.flags & {'REQUIRED', 'MINIMUM'} for f in t.fields))

    def closure(self, holds):
        """The types of which it holds, and those that contain one."""
        types = self.schema.types
        have = {n for n, t in types.items() if holds(t)}
        grew = True
        while grew:
            more = {n for n, t in types.items() if n not in have and any(self.below(f.ftype) in have for f in t.fields)}
            have |= more
            grew = bool(more)
        return have

    @staticmethod
    def number(names, name):
        if name is None:
            return 0
        if name not in names:
            names.append(name)
        return names.index(name) + 1

    def emit_types(self, out):
        fields, types, slots = [], ['{0},'], ['0']
        defaults, rules = self.with_defaults(), self.with_rules()
        for name in self.names:
            t = self.schema.types[name]
            first = len(fields)
            size = 1
            while size < 2 * len(t.fields):
                size *= 2
            table = [0] * size
            t.fields.sort(key=lambda f: f.name)
            for number, f in enumerate(t.fields, 1):
                at = key_hash(f.name) & (size - 1)
                while table[at]:
                    at = (at + 1) & (size - 1)
                table[at] = number
                flags = '|'.join('CUBE_FIELD_' + x for x in sorted(f.flags)) or '0'
                enums = None if f.enums is None else b''.join(e.encode() + b'\0' for e in f.enums) + b'\1'
                fields.append('{%d,%d,%d,%d,%d,%d,%d,%d,%s,%d,{%d,%d,%d},%d},' % (
                    self.pool.add(f.name), self.pool.add(f.default), self.pool.add(f.merge_key or None),
                    self.pool.add(f.list_keys or None), self.pool.add(enums), self.pool.add(f.gate), f.minimum,
                    self.shape(f.ftype), flags, self.number(self.formats, f.format), *f.proto, len(f.name)))
            flags = (['CUBE_TYPE_MAP_ATOMIC'] if t.atomic else []) + (['CUBE_TYPE_HAS_DEFAULTS'] if name in defaults else [])
            flags += ['CUBE_TYPE_HAS_RULES'] if name in rules else []
            types.append('{%d,%d,%d,%d,%d,%d,%s,%d},' % (
                self.pool.add(name), self.pool.add(t.gvk), len(slots), first, len(t.fields), size - 1, '|'.join(flags) or '0',
                self.number(self.hooks, t.hook)))
            slots += [str(s) for s in table]
        for name in self.names:
            if self.schema.types[name].gvk:
                self.shape('ref<%s>' % name)
        out.append('static const CubeField fields[] = {\n' + '\n'.join(fields) + '\n};')
        out.append('static const CubeType types[] = {\n' + '\n'.join(types) + '\n};')
        out.append('static const guint16 slots[] = {')
        out += [','.join(slots[at:at + 40]) + ',' for at in range(0, len(slots), 40)]
        out.append('};')
        out.append('static const CubeShape shapes[] = {')
        out += ['{CUBE_SHAPE_%s,0,%d,0},' % entry for entry in self.shapes]
        out.append('};')
        self.pool.emit(out)
        out.append('const CubeTypeTable cube_builtin_types = { pool, types, fields, shapes, slots, NULL, G_N_ELEMENTS (types), '
                   'G_N_ELEMENTS (fields), G_N_ELEMENTS (shapes) };')

    def emit_resource(self, number, r, out, stored):
        kind = r.type.split('.')[-1]
        gv = r.group + '/' + r.version if r.group else r.version
        ident = 'r%d' % number
        for name, values in (('short', r.short), ('categories', r.categories), ('selectable', r.selectable),
                             ('cells', [c[4] for c in r.columns])):
            out.append('static const char *const %s_%s[] = { %s NULL };' % (ident, name, ''.join(quote(v) + ', ' for v in values)))
        out.append('static const CubeSubresource %s_subresources[] = {' % ident)
        for name, type_name, verbs in r.subresources:
            own = type_name.split('/')[0] == r.type.split('/')[0] and type_name.split('/')[1].split('.')[0] == r.version
            body = type_name.split('/')
            out.append('  { %s, %s, %s, %s, %s },' % (
                quote(name), quote(type_name.split('.')[-1]), 'NULL' if own else quote(self.full_group(body[0])),
                'NULL' if own else quote(body[1].split('.')[0]), verb_mask(verbs)))
        out.append('  { NULL, NULL, NULL, NULL, 0 } };')
        out.append('static const guint16 %s_bodies[] = { %s };' % (ident, ''.join('%d, ' % self.index[s[1]] for s in r.subresources) + '0'))
        out.append('static const CubeColumn %s_columns[] = {' % ident)
        for name, ctype, cformat, priority, _ in r.columns:
            out.append('  { %s, %s, %s, "", %d },' % (quote(name), quote(ctype), quote(cformat), priority))
        out.append('  { NULL, NULL, NULL, NULL, 0 } };')
        out.append('static const CubeResourceType %s_type = { &cube_builtin_types, %d, %s, %d, %d, CUBE_NAME_%s, %s, %s_selectable, %s_cells, %s_bodies, '
                   'NULL, NULL, NULL, NULL };' % (
                       ident, self.index[r.type], '|'.join('CUBE_STRATEGY_' + s for s in r.strategy) or '0',
                       self.number(self.strategy_hooks, r.hooks.get('create-hook')),
                       self.number(self.strategy_hooks, r.hooks.get('update-hook')),
                       r.name_rule.upper().replace('-', '_'), 'NULL' if r.generation is None else quote(r.generation), ident, ident, ident))
        hub = self.schema.resources[stored]
        path = r.group + '/' + r.version + '/' + kind
        digest = base64.b64encode(hashlib.sha256(self.hub_path(hub).encode()).digest()[:8]).decode()
        out.append('static const CubeResource %s = { sizeof (CubeResource), %s, %s, %s, %s, %s, %s, %s, %s, %s, FALSE, %s, %s_short, '
                   '%s_categories, %s_subresources, %s_columns, %s, &r%d, &%s_type };' % (
                       ident, quote(r.group), quote(r.version), quote(r.name), quote(r.singular), quote(kind), quote(kind + 'List'), quote(gv),
                       quote(hub.group + '/' + hub.name), 'TRUE' if r.scope == 'namespaced' else 'FALSE', verb_mask(r.verbs), ident, ident,
                       ident, ident, quote(digest if 'list' in r.verbs and path else ''), stored, ident))

    @staticmethod
    def hub_path(r):
        return '%s/%s/%s' % (r.group, r.version, r.type.split('.')[-1])

    def full_group(self, short):
        for r in self.schema.resources:
            if r.type.split('/')[0] == short:
                return r.group
        return short

    def emit_resources(self, out):
        resources = self.schema.resources
        order = {g[0]: (g[1], g[2]) for g in self.schema.groups}
        resources.sort(key=lambda r: (order[r.group][0], order[r.group][1].index(r.version), r.name))
        where = {(r.name, r.type): i for i, r in enumerate(resources)}
        for i, r in enumerate(resources):
            out.append('static const CubeResource r%d;' % i)
        for i, r in enumerate(resources):
            self.emit_resource(i, r, out, where[r.stored] if r.stored else i)
        out.append('const CubeResource *const cube_builtin_resources[] = { %s NULL };' % ''.join('&r%d, ' % i for i in range(len(resources))))
        groups = sorted(self.schema.groups, key=lambda g: g[1])
        for i, g in enumerate(groups):
            out.append('static const char *const g%d_versions[] = { %s NULL };' % (i, ''.join(quote(v) + ', ' for v in g[2])))
        out.append('const CubeGroup cube_builtin_groups[] = {')
        out += ['  { %s, g%d_versions },' % (quote(g[0]), i) for i, g in enumerate(groups)]
        out.append('  { NULL, NULL } };')


def quote(text):
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'


def verb_mask(verbs):
    return '0x%xu' % sum(1 << VERBS.index(v) for v in verbs)


def enum(name, prefix, names):
    lines = ['typedef enum {', '  %s_NONE = 0,' % prefix]
    lines += ['  %s_%s,' % (prefix, n.upper().replace('-', '_')) for n in names]
    return lines + ['  %s_N' % prefix, '} %s;' % name, '']


def main():
    out_c, out_h, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    schema = Schema()
    for path in sorted(files):
        schema.parse(path)
    tables = Tables(schema)
    out = ['/* made by gen-schema.py */', '#include "types.h"', '#include "schema-tables.h"']
    tables.emit_types(out)
    tables.emit_resources(out)
    with open(out_c, 'w', encoding='utf-8') as f:
        f.write('\n'.join(out) + '\n')
    header = ['/* made by gen-schema.py */', '#pragma once']
    header += enum('CubeDefaultHook', 'CUBE_DEFAULT', tables.hooks)
    header += enum('CubeStrategyHook', 'CUBE_STRATEGY_HOOK', tables.strategy_hooks)
    header += enum('CubeFormat', 'CUBE_FORMAT', tables.formats)
    with open(out_h, 'w', encoding='utf-8') as f:
        f.write('\n'.join(header))


if __name__ == '__main__':
    main()
