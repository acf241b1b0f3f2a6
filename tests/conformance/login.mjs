// The proxy as OAuth client of the official suite's authorization servers. By hand, since it needs
// the suite from the npm registry:
//   node tests/conformance/login.mjs all PROXY OUT [ONLY]    every scored scenario of both revisions, and a table
//   node tests/conformance/login.mjs drive PROXY URL  as COMMAND of `run client`, which appends URL
// `drive` starts the proxy with the suite's URL as its only upstream, calls a tool, opens the link
// that it is given in a browser without scripts, signs in with the key, and calls again.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const OLD = ['metadata-default', 'metadata-var1', 'metadata-var2', 'metadata-var3', 'basic-cimd',
  'scope-from-www-authenticate', 'scope-from-scopes-supported', 'scope-omitted-when-undefined', 'scope-step-up',
  'scope-retry-limit', 'token-endpoint-auth-basic', 'token-endpoint-auth-post', 'token-endpoint-auth-none',
  'pre-registration', 'client-credentials-jwt', 'client-credentials-basic'];
const NEW = [...OLD, 'resource-mismatch', 'offline-access-scope', 'offline-access-not-supported',
  'authorization-server-migration', 'iss-supported', 'iss-not-advertised', 'iss-supported-missing',
  'iss-wrong-issuer', 'iss-unexpected', 'iss-normalized', 'metadata-issuer-mismatch'];
const SETS = { '2025-03-26': ['2025-03-26-oauth-metadata-backcompat', '2025-03-26-oauth-endpoint-fallback'],
  '2025-11-25': OLD, '2026-07-28': NEW };

const own = fileURLToPath(import.meta.url);
const [mode, program, last, only] = process.argv.slice(2);

if (mode === 'all') {
  let lost = 0;
  for (const [revision, scenarios] of Object.entries(SETS)) {
    for (const name of scenarios) {
      if (only && !`${revision}-${name}`.match(only)) continue;
      const out = path.join(last, `${revision}-${name}`);
      const ran = spawnSync(path.join(path.dirname(own), 'run'),
        ['client', `node ${own} drive ${program}`, `auth/${name}`, revision, out,
          // Scenarios of extensions belong to no revision.
          ...(name.startsWith('client-credentials') ? ['--force'] : [])], { encoding: 'utf8' });
      const counts = { SUCCESS: 0, FAILURE: 0, WARNING: 0 };
      const bad = [];
      for (const file of fs.globSync?.(`${out}/**/checks.json`) ?? found(out)) {
        for (const check of JSON.parse(fs.readFileSync(file, 'utf8'))) {
          counts[check.status] += 1;
          if (check.status === 'FAILURE' || check.status === 'WARNING') bad.push(check.id);
        }
      }
      const good = counts.SUCCESS > 0 && counts.FAILURE + counts.WARNING === 0;
      if (!good) {
        lost += 1;
        fs.writeFileSync(`${out}.log`, ran.stdout + ran.stderr);
      }
      console.log(`| ${revision} | ${name} | ${good ? 'green' : 'LOST'} | ${counts.SUCCESS} of ${counts.SUCCESS + counts.FAILURE + counts.WARNING} | ${bad.join(', ')} |`);
    }
  }
  process.exit(lost === 0 ? 0 : 1);
}

function found(folder) {
  return fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('checks.json'))
    .map((name) => path.join(folder, name));
}

const scenario = (process.env.MCP_CONFORMANCE_SCENARIO ?? '').replace(/^auth\//, '');
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const key = crypto.randomBytes(32).toString('hex');

/** A port that nobody listens at. */
async function port() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** What the file says about who we are. */
function entry() {
  const id = context.client_id ?? 'pre-registered-client';
  if (scenario === 'client-credentials-jwt') {
    return `grant = "client_credentials", client_id = "${id}", private_key = "{secret.private}"`;
  }
  if (scenario === 'client-credentials-basic') {
    return `grant = "client_credentials", client_id = "${id}", client_secret = "{secret.private}"`;
  }
  if (scenario === 'pre-registration') return `client_id = "${id}", client_secret = "{secret.private}"`;
  if (scenario === 'basic-cimd') return 'client_id = "https://conformance-test.local/client-metadata.json"';
  return '';
}

async function started() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'conformance-'));
  const file = path.join(folder, 'mcp-proxy.toml');
  const address = `127.0.0.1:${await port()}`;
  const oauth = entry();
  const secret = context.private_key_pem ?? context.client_secret ?? '';
  fs.writeFileSync(file, `[server]\nlisten = "${address}"\npublic_url = "http://${address}"\n[upstreams.up]\n`
    + `url = "${last}"\nallow_private = true\noauth = { ${oauth} }\n[tenants.test]\n`
    + 'keys = [{ name = "test", env = "TEST_KEY", role = "admin" }]\n'
    + (oauth.includes('{secret') ? 'secrets = { up = { private = { env = "SECRET" } } }\n' : ''));
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TEST_KEY: key, MCP_PROXY_LOG: 'debug',
    SECRET: secret.trim().replaceAll('\n', ' ') };
  const child = spawn(program, ['serve', '--config', file], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise((done) => child.once('close', done));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    fs.rmSync(folder, { recursive: true });
  };
  const ready = new Promise((done) => {
    let log = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (bytes) => {
        process.stderr.write(bytes);
        log += bytes;
        if (/listening.*?http:\/\/[\d.:]+/i.test(log)) done(true);
      });
    }
  });
  assert.equal(await Promise.race([ready, ended]), true, 'the proxy ended at once');
  return { url: `http://${address}`, stop };
}

let number = 0;
async function ask(proxy, method, params) {
  const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'conformance', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {} };
  const headers = { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method };
  if (params.name) headers['Mcp-Name'] = params.name;
  const body = { jsonrpc: '2.0', id: ++number, method, params: { ...params, _meta: meta } };
  const answer = await fetch(`${proxy.url}/mcp/up`, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  const data = text.startsWith('{') ? text : text.split('\n').filter((line) => line.startsWith('data:')).at(-1)?.slice(5);
  console.error(`${method}: ${text.slice(0, 400)}`);
  return JSON.parse(data ?? '{}');
}

const cookies = new Map();
async function open(url, form) {
  const target = new URL(url);
  const headers = { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
  const answer = await fetch(target, { method: form ? 'POST' : 'GET', headers, redirect: 'manual',
    body: form && new URLSearchParams(form) });
  for (const cookie of answer.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
    cookies.set(name, value);
  }
  return { answer, text: await answer.text() };
}

async function press(link, what) {
  const { text } = await open(link);
  const [, token] = /name="token" value="([^"]+)"/.exec(text) ?? [];
  return open(link, { do: what, key, token: token ?? '' });
}

async function visit(proxy, link) {
  if ((await open(link)).text.includes('Proxy key')) await press(link, 'sign-in');
  const { answer, text } = await press(link, 'log-in');
  let next = answer.headers.get('refresh')?.replace('0;url=', '');
  if (!next) {
    console.error(`no login: ${text.replace(/<style>.*<\/style>/s, '').slice(-300)}`);
    return false;
  }
  for (let hops = 0; next && hops < 6; hops += 1) {
    const page = await open(next);
    if (next.startsWith(`${proxy.url}/connect/callback`)) return page.answer.status === 200;
    const to = page.answer.headers.get('location');
    next = to && new URL(to, next).href;
  }
  return false;
}

const proxy = await started();
const late = setTimeout(() => proxy.stop().then(() => process.exit(1)), 25_000);
let good = 0;
try {
  let name = 'test-tool';
  for (let round = 0; round < 8 && good < 3; round += 1) {
    const listed = await ask(proxy, 'tools/list', {});
    name = listed.result?.tools?.[0]?.name ?? name;
    const called = await ask(proxy, 'tools/call', { name, arguments: {} });
    const text = called.result?.content?.[0]?.text ?? called.error?.message ?? '';
    const link = /http:\/\/127[^ ]*\/connect\/upstreams\/[^ ]*/.exec(text)?.[0];
    if (link) {
      if (!await visit(proxy, link)) break;
    } else if (called.result && !called.result.isError) {
      good += 1;
    } else {
      break;
    }
  }
} catch (error) {
  console.error(error);
}
clearTimeout(late);
await proxy.stop();
process.exit(good > 0 ? 0 : 1);
