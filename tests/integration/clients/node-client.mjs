// SPDX-License-Identifier: Apache-2.0
// The unmodified @kubernetes/client-node against the cluster of $KUBECONFIG; $CUBE_CLIENTS is the folder of tools/clients.
import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { PassThrough } from 'node:stream';

const k8s = await import(`${process.env.CUBE_CLIENTS}/node/node_modules/@kubernetes/client-node/dist/index.js`);
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const leases = config.makeApiClient(k8s.CoordinationV1Api);
const namespace = 'node';

function once(what, seconds, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what}: not within ${seconds} s`)), seconds * 1000);
    start((value) => { clearTimeout(timer); resolve(value); }, reject);
  });
}

async function text(stream) {
  let all = '';
  for await (const piece of stream) all += piece;
  return all;
}

const tests = {
  async objects() {
    await core.createNamespace({ body: { metadata: { name: namespace } } });
    const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { generateName: 'a-' }, data: { x: 'y' } } });
    assert.match(made.metadata.name, /^a-.....$/);
    assert.ok(made.metadata.creationTimestamp instanceof Date);
    const name = made.metadata.name;
    const replaced = await core.replaceNamespacedConfigMap({ namespace, name, body: { ...made, data: { x: 'z' } } });
    assert.equal(replaced.data.x, 'z');
    await assert.rejects(core.replaceNamespacedConfigMap({ namespace, name, body: made }), (error) => error.code === 409);
    await assert.rejects(core.readNamespacedConfigMap({ namespace, name: 'none' }), (error) => error.code === 404 && JSON.parse(error.body).reason === 'NotFound');
    const listed = await core.listNamespacedConfigMap({ namespace, limit: 1 });
    assert.equal(listed.items.length, 1);
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 's' }, stringData: { p: 'secret' } } });
    assert.equal(Buffer.from((await core.readNamespacedSecret({ namespace, name: 's' })).data.p, 'base64').toString(), 'secret');
    await core.deleteNamespacedConfigMap({ namespace, name });
  },

  async patches() {
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'p' }, data: { a: '1' } } });
    const patch = (body, type, more = {}) => core.patchNamespacedConfigMap({ namespace, name: 'p', body, ...more }, k8s.setHeaderOptions('Content-Type', type));
    assert.equal((await patch([{ op: 'replace', path: '/data/a', value: '2' }], k8s.PatchStrategy.JsonPatch)).data.a, '2');
    assert.equal((await patch({ data: { b: '3' } }, k8s.PatchStrategy.MergePatch)).data.b, '3');
    assert.equal((await patch({ data: { b: null } }, k8s.PatchStrategy.StrategicMergePatch)).data.b, undefined);
    const apply = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'p' }, data: { c: '4' } };
    const applied = await patch(apply, k8s.PatchStrategy.ServerSideApply, { fieldManager: 'js' });
    assert.equal(applied.data.c, '4');
    assert.ok(applied.metadata.managedFields.some((m) => m.manager === 'js' && m.operation === 'Apply'));
    const objects = k8s.KubernetesObjectApi.makeApiClient(config);
    assert.equal((await objects.read({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'p', namespace } })).data.c, '4');
  },

  async watch_and_informer() {
    const watch = new k8s.Watch(config);
    const seen = [];
    let request;
    const ended = once('the watch', 20, async (resolve, reject) => {
      request = await watch.watch(`/api/v1/namespaces/${namespace}/configmaps`, { allowWatchBookmarks: true }, (type, object) => {
        if (object.metadata.name.startsWith('w')) seen.push(`${type} ${object.metadata.name}`);
        if (type === 'DELETED') resolve();
      }, (error) => { if (seen.length < 3) reject(error); });
      await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'w' } } });
      await core.replaceNamespacedConfigMap({ namespace, name: 'w', body: { metadata: { name: 'w' }, data: { x: 'y' } } });
      await core.deleteNamespacedConfigMap({ namespace, name: 'w' });
    });
    await ended;
    request.abort();
    assert.deepEqual(seen, ['ADDED w', 'MODIFIED w', 'DELETED w']);
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/configmaps`, () => core.listNamespacedConfigMap({ namespace }));
    await once('the informer', 20, (resolve, reject) => {
      informer.on('add', (object) => { if (object.metadata.name === 'i') resolve(); });
      informer.on('error', reject);
      informer.start().then(() => core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'i' } } }), reject);
    });
    assert.ok(informer.list().length >= 2);
    await informer.stop();
  },

  async workloads() {
    const labels = { app: 'web' };
    await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: 'web' }, spec: { replicas: 1, selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'web', image: 'cube.local/web:v1' }] } } } } });
    const scale = await apps.patchNamespacedDeploymentScale({ name: 'web', namespace, body: { spec: { replicas: 2 } } },
      k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch));
    assert.equal(scale.spec.replicas, 2);
    assert.equal((await apps.readNamespacedDeploymentScale({ name: 'web', namespace })).status.selector, 'app=web');
    const watch = new k8s.Watch(config);
    let request;
    await once('two ready replicas', 60, async (resolve, reject) => {
      request = await watch.watch(`/apis/apps/v1/namespaces/${namespace}/deployments`, {}, (type, object) => {
        if (object.status?.readyReplicas === 2) resolve();
      }, reject);
    });
    request.abort();
  },

  async streams() {
    const pod = (await core.listNamespacedPod({ namespace, labelSelector: 'app=web' })).items[0].metadata.name;
    const out = new PassThrough(), err = new PassThrough(), input = new PassThrough();
    const status = once('exec', 20, (resolve, reject) => {
      new k8s.Exec(config).exec(namespace, pod, 'web', ['/bin/sh', '-c', 'read x; echo got $x; echo oops >&2; exit 3'], out, err, input, false, (s) => { out.end(); err.end(); resolve(s); })
        .catch(reject);
      input.write('hello\n');
    });
    const texts = Promise.all([text(out), text(err)]);
    const ended = await status;
    assert.equal(ended.status, 'Failure');
    assert.equal(ended.details.causes[0].message, '3');
    assert.deepEqual(await texts, ['got hello\n', 'oops\n']);

    const log = new PassThrough();
    const controller = await new k8s.Log(config).log(namespace, pod, 'web', log, { follow: true, tailLines: 10 });
    const [first] = await once('the log', 20, (resolve) => log.once('data', (data) => resolve([data.toString()])));
    assert.match(first, /listening/);
    controller.abort();

    const forward = new k8s.PortForward(config);
    const server = net.createServer((socket) => forward.portForward(namespace, pod, [8080], socket, null, socket));
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const answer = await once('the forwarded port', 20, (resolve, reject) => {
      http.get({ port: server.address().port, agent: false }, async (response) => resolve(await text(response))).on('error', reject);
    });
    assert.equal(answer, `web v1 ${pod}\n`);
    server.close();

    await core.createNamespacedPod({ namespace, body: { metadata: { name: 'cat' }, spec: { terminationGracePeriodSeconds: 0,
      containers: [{ name: 'c', image: 'cube.local/busybox:1', stdin: true, command: ['/bin/sh', '-c', 'while read x; do echo said $x; done'] }] } } });
    while ((await core.readNamespacedPod({ name: 'cat', namespace })).status.phase !== 'Running') await new Promise((resolve) => setTimeout(resolve, 50));
    const said = new PassThrough(), say = new PassThrough();
    const socket = await new k8s.Attach(config).attach(namespace, 'cat', 'c', said, null, say, false);
    say.write('boo\n');
    assert.equal(String(await once('attach', 20, (resolve) => said.once('data', resolve))), 'said boo\n');
    socket.close();
  },

  async lease() {
    const now = new k8s.V1MicroTime();
    await leases.createNamespacedLease({ namespace, body: { metadata: { name: 'l' }, spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: now } } });
    const lease = await leases.readNamespacedLease({ name: 'l', namespace });
    lease.spec.holderIdentity = 'b';
    await leases.replaceNamespacedLease({ name: 'l', namespace, body: lease });
    assert.equal((await leases.readNamespacedLease({ name: 'l', namespace })).spec.holderIdentity, 'b');
  },

  async remove() {
    await core.deleteCollectionNamespacedPod({ namespace, gracePeriodSeconds: 0 });
    await core.deleteNamespace({ name: namespace });
  },
};

for (const [name, test] of Object.entries(tests)) {
  console.log(`# ${name}`);
  await test();
}
process.exit(0);
