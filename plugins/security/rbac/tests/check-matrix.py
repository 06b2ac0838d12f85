#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The authorizer against an independent model: the bootstrap policy read anew here, generated roles and bindings, and a matrix of subjects,
verbs, resources, subresources, names, namespaces and paths."""
import json
import os
import random
import subprocess
import sys

SETS = {'@read': 'get,list,watch', '@write': 'create,update,patch,delete,deletecollection', '@change': 'get,list,watch,update,patch',
        '@events': 'create,patch,update'}
SETS['@all'] = SETS['@read'] + ',' + SETS['@write']
ROLES, BINDINGS = {}, []   # (ns, name) -> rules; (ns, (role ns, role), [subjects])


def words(text):
    return ['' if w == 'core' else w for w in text.split(',')]


def subject(text):
    kind, name = text.split(':', 1)
    if kind == 'sa':
        return ('user', 'system:serviceaccount:' + name.replace('/', ':'))
    return (kind, name)


def read_policy(path):
    key = None
    for line in open(path, encoding='utf-8'):
        w = line.split()
        if not w or w[0].startswith('#'):
            continue
        if w[0] in ('role', 'controller'):
            name = 'system:controller:' + w[1] if w[0] == 'controller' else w[1]
            key = tuple(name.split('/')) if '/' in name else ('', name)
            ROLES[key] = []
            if w[0] == 'controller':
                BINDINGS.append(('', key, [('user', 'system:serviceaccount:kube-system:' + w[1])]))
        elif w[0] == 'rule':
            names = w[4][6:].split(',') if len(w) > 4 else []
            ROLES[key].append({'verbs': words(SETS.get(w[1], w[1])), 'groups': words(w[2]), 'resources': words(w[3]), 'names': names, 'urls': []})
        elif w[0] == 'url':
            ROLES[key].append({'verbs': words(w[1]), 'groups': [], 'resources': [], 'names': [], 'urls': words(w[2])})
        elif w[0] == 'bind':
            ns = w[1].split('/')[0] if '/' in w[1] else ''
            BINDINGS.append((ns, (ns, w[2]), [subject(s) for s in w[3:]]))


def rule_allows(rule, q):
    if '*' not in rule['verbs'] and q['verb'] not in rule['verbs']:
        return False
    if 'resource' not in q:
        return any(u == q['path'] or (u.endswith('*') and q['path'].startswith(u[:-1])) for u in rule['urls'])
    if '*' not in rule['groups'] and q['group'] not in rule['groups']:
        return False
    whole = q['resource'] + ('/' + q['subresource'] if q['subresource'] else '')
    accepted = {'*', whole} | ({'*/' + q['subresource']} if q['subresource'] else set())
    return bool(accepted & set(rule['resources'])) and (not rule['names'] or q['name'] in rule['names'])


def allows(q):
    who = {('user', q['user'])} | {('group', g) for g in q['groups']}
    for ns, role, subjects in BINDINGS:
        if ns and (('resource' not in q) or q['namespace'] != ns):
            continue
        if who & set(subjects) and any(rule_allows(r, q) for r in ROLES.get(role, [])):
            return True
    return False


def generate(rng):
    """Random roles and bindings, added to the model and returned as objects."""
    objects = []
    pick = lambda pool, most: rng.sample(pool, rng.randint(1, most))
    for i in range(60):
        ns = rng.choice(['', '', 'a', 'b'])
        rules = []
        for _ in range(rng.randint(0, 4)):
            if ns == '' and rng.random() < 0.2:
                rules.append({'verbs': pick(['get', 'post', '*'], 2), 'nonResourceURLs': pick(['/x', '/x/*', '/logs*', '*'], 2)})
                continue
            rule = {'verbs': pick(['get', 'list', 'create', 'odd', 'delete', '*'], 3), 'apiGroups': pick(['', 'apps', 'x.io', '*'], 2),
                    'resources': pick(['pods', 'pods/log', 'pods/exec', '*/scale', 'deployments', 'deployments/scale', 'widgets', '*/*', '*'], 3)}
            if rng.random() < 0.4:
                rule['resourceNames'] = pick(['n1', 'n2', '*'], 2)
            rules.append(rule)
        name = 'gen-%d' % i
        meta = {'name': name, **({'namespace': ns} if ns else {})}
        objects.append({'kind': 'Role' if ns else 'ClusterRole', 'metadata': meta, 'rules': rules})
        ROLES[(ns, name)] = [{'verbs': r['verbs'], 'groups': r.get('apiGroups', []), 'resources': r.get('resources', []),
                              'names': r.get('resourceNames', []), 'urls': r.get('nonResourceURLs', [])} for r in rules]
    for i in range(80):
        ns = rng.choice(['', 'a', 'b'])
        local = ns != '' and rng.random() < 0.5
        role = 'gen-%d' % rng.randrange(70)   # some are missing
        subjects, plain = [], []
        for _ in range(rng.randint(0, 3)):
            kind = rng.choice(['User', 'Group', 'ServiceAccount'])
            name = rng.choice(['u1', 'u2', 'u3', 'g1', 'g2'])
            account_ns = rng.choice(['a', 'b', ''])
            subjects.append({'kind': kind, 'name': name, **({'namespace': account_ns} if kind == 'ServiceAccount' and account_ns else {})})
            if kind == 'ServiceAccount':
                if account_ns or ns:
                    plain.append(('user', 'system:serviceaccount:%s:%s' % (account_ns or ns, name)))
            else:
                plain.append((kind.lower(), name))
        objects.append({'kind': 'RoleBinding' if ns else 'ClusterRoleBinding', 'metadata': {'name': 'bind-%d' % i, **({'namespace': ns} if ns else {})},
                        'roleRef': {'kind': 'Role' if local else 'ClusterRole', 'name': role}, 'subjects': subjects})
        BINDINGS.append((ns, (ns if local else '', role), plain))
    return objects


USERS = [('u1', []), ('u2', ['g1']), ('u3', ['g1', 'g2']), ('nobody', []), ('system:anonymous', ['system:unauthenticated']),
         ('root', ['system:masters', 'system:authenticated']), ('jane', ['system:authenticated']), ('system:kube-scheduler', ['system:authenticated']),
         ('system:kube-controller-manager', ['system:authenticated']), ('system:kube-proxy', []), ('mon', ['system:monitoring']),
         ('system:serviceaccount:a:u1', ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated']),
         ('system:serviceaccount:b:u2', ['system:serviceaccounts']), ('system:serviceaccount:kube-system:deployment-controller', []),
         ('system:serviceaccount:kube-system:horizontal-pod-autoscaler', []), ('system:node:n', ['system:nodes'])]
VERBS = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection', 'odd', 'escalate', 'impersonate']
RESOURCES = [('', 'pods'), ('', 'secrets'), ('', 'nodes'), ('apps', 'deployments'), ('apps', 'replicasets'), ('x.io', 'widgets'),
             ('coordination.k8s.io', 'leases'), ('rbac.authorization.k8s.io', 'clusterroles'), ('authorization.k8s.io', 'selfsubjectaccessreviews')]
SUBRESOURCES = ['', 'log', 'status', 'scale', 'exec', '*']
NAMES = ['', 'n1', 'kube-scheduler', '*']
NAMESPACES = ['', 'a', 'b', 'kube-system']
PATHS = ['/healthz', '/api', '/apis/apps/v1', '/version', '/metrics', '/x', '/x/y', '/logs', '/logs/', '/openid/v1/jwks', '', '/', '*']


def questions():
    for user, groups in USERS:
        for verb in VERBS:
            for group, resource in RESOURCES:
                for sub in SUBRESOURCES:
                    for name in NAMES:
                        for ns in NAMESPACES:
                            yield {'user': user, 'groups': groups, 'verb': verb, 'group': group, 'resource': resource, 'subresource': sub,
                                   'name': name, 'namespace': ns}
        for verb in VERBS + ['post', 'head']:
            for path in PATHS:
                yield {'user': user, 'groups': groups, 'verb': verb, 'path': path}


def main():
    seed = int(os.environ.get('RBAC_SEED', '7'))
    rng = random.Random(seed)
    read_policy(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'policy.txt'))
    objects = generate(rng)
    asked = list(questions())
    if len(asked) > 60000:
        asked = rng.sample(asked, 60000)
    document = json.dumps({'objects': objects, 'questions': asked})
    run = subprocess.run([sys.argv[1]] + sys.argv[2:], input=document.encode(), stdout=subprocess.PIPE, check=True)
    answers = run.stdout.decode().strip()
    wrong, n_allowed = [], 0
    for q, answer in zip(asked, answers):
        expected = allows(q)
        n_allowed += expected
        if (answer == '1') != expected:
            wrong.append((expected, q))
    print('TAP version 13\n1..2')
    ok = len(answers) == len(asked) and not wrong
    print('%s 1 - %d cells agree with the model (seed %d, %d wrong)' % ('ok' if ok else 'not ok', len(asked), seed, len(wrong)))
    for expected, q in wrong[:10]:
        print('# expected %s: %s' % (expected, q))
    print('%s 2 - both answers occur (%d allowed)' % ('ok' if 0 < n_allowed < len(asked) else 'not ok', n_allowed))
    return 0


sys.exit(main())
