// The proxy as OAuth client of the official suite's authorization servers, and its connector doors as
// authorization server of the suite's client:
//   node tests/conformance/login.mjs all PROXY OUT [ONLY]    every scenario of every revision, as a table
//   node tests/conformance/login.mjs drive PROXY URL  as COMMAND of `run client`, which appends URL
// `drive` starts the proxy with the suite's URL as its only upstream, calls a tool, opens the link
// that it is given in a browser without scripts, signs in with the key, and calls again.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Browser, port, servePublic } from './serving.mjs';

const OLD = ['metadata-default', 'metadata-var1', 'metadata-var2', 'metadata-var3', 'basic-cimd',
  'scope-from-www-authenticate', 'scope-from-scopes-supported', 'scope-omitted-when-undefined', 'scope-step-up',
  'scope-retry-limit', 'token-endpoint-auth-basic', 'token-endpoint-auth-post', 'token-endpoint-auth-none',
  'pre-registration', 'client-credentials-jwt', 'client-credentials-basic'];
const NEW = [...OLD, 'resource-mismatch', 'offline-access-scope', 'offline-access-not-supported',
  'authorization-server-migration', 'iss-supported', 'iss-not-advertised', 'iss-supported-missing',
  'iss-wrong-issuer', 'iss-unexpected', 'iss-normalized', 'metadata-issuer-mismatch'];
const SETS = { '2025-03-26': ['2025-03-26-oauth-metadata-backcompat', '2025-03-26-oauth-endpoint-fallback'],
  '2025-11-25': OLD, '2026-07-28': NEW };
/** Of the suite's client for authorization servers, in one run each. */
const SERVER = ['authorization-server-metadata-endpoint', 'authorization-code-grant'];
/** Scenarios at a time: most of one is processes that start. */
const LANES = 4;

const own = fileURLToPath(import.meta.url);
const [mode, program, last, only] = process.argv.slice(2);

/** Lets the suite run; gives all that it said, and tells each piece of it to `hear`. */
async function suite(args, out, hear = () => {}) {
  // What an earlier run has left there would be counted too.
  fs.rmSync(out, { recursive: true, force: true });
  const child = spawn(path.join(path.dirname(own), 'run'), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes) => {
      said += bytes;
      hear(said);
    });
  }
  await new Promise((done) => child.once('close', done));
  return said;
}

/** One line of the table; false when something was lost. */
function tell(revision, name, files, said, log) {
  const counts = { SUCCESS: 0, FAILURE: 0, WARNING: 0 };
  const bad = [];
  for (const check of files.flatMap((file) => JSON.parse(fs.readFileSync(file, 'utf8')))) {
    counts[check.status] += 1;
    if (check.status === 'FAILURE' || check.status === 'WARNING') bad.push(check.id);
  }
  const good = counts.SUCCESS > 0 && bad.length === 0;
  if (!good) fs.writeFileSync(`${log}.log`, said);
  const sum = `${counts.SUCCESS} of ${counts.SUCCESS + bad.length}`;
  console.log(`| ${revision} | ${name} | ${good ? 'green' : 'LOST'} | ${sum} | ${bad.join(', ')} |`);
  return good;
}

function found(folder) {
  return fs.readdirSync(folder, { recursive: true }).filter((name) => name.endsWith('checks.json'))
    .map((name) => path.join(folder, name));
}

async function asClient(revision, name) {
  const out = path.join(last, `${revision}-${name}`);
  const said = await suite(['client', `node ${own} drive ${program}`, `auth/${name}`, revision, out,
    '--timeout', '100000',
    // Scenarios of extensions belong to no revision.
    ...(name.startsWith('client-credentials') ? ['--force'] : [])], out);
  return tell(revision, name, found(out), said, out);
}

/** Where a page leads on to by itself. */
function onward(answer) {
  return answer.headers.get('refresh')?.replace('0;url=', '');
}

/** The connector doors as authorization server: the suite prints a URL for a browser, and waits. */
async function asServer(revision) {
  const out = path.join(last, `${revision}-server`);
  const at = await port();
  const proxy = await servePublic(program, '[connect.clients.suite]\nname = "The suite"\n'
    + `redirects = ["http://127.0.0.1:${at}/callback"]\n[upstreams.demo]\ncommand = ["mcp-proxy", "demo"]\n`);
  let asked;
  const visit = async (url) => {
    const browser = new Browser();
    let page = await browser.open(url);
    const action = `${proxy.url}/connect/authorize`;
    page = await browser.press(page, { answer: 'key', key: proxy.key }, action);
    page = await browser.press(page, { answer: 'allow' }, action);
    await browser.open(onward(page.answer));
  };
  const said = await suite(['server-of-tokens', `${proxy.url}/connect`, 'suite', `${proxy.url}/connect/mcp`,
    String(at), revision, out], out, (text) => {
    const url = new RegExp(`${proxy.url}/connect/authorize\\?\\S+(?=\\s)`).exec(text)?.[0];
    if (url) asked ??= visit(url).catch((error) => console.error(error));
  });
  await proxy.stop();
  const all = found(out);
  let good = true;
  for (const name of SERVER) {
    const files = all.filter((file) => file.includes(name));
    good = tell(revision, name, files, said, `${out}-${name}`) && good;
  }
  return good;
}

if (mode === 'all') {
  const jobs = Object.entries(SETS).flatMap(([revision, names]) => names.map((name) =>
    [`${revision}-${name}`, () => asClient(revision, name)]));
  for (const revision of ['2025-11-25', '2026-07-28']) jobs.push([`${revision}-server`, () => asServer(revision)]);
  const wanted = jobs.filter(([name]) => !only || name.match(only));
  fs.mkdirSync(last, { recursive: true });
  let lost = 0;
  await Promise.all(Array.from({ length: LANES }, async () => {
    for (let job = wanted.shift(); job; job = wanted.shift()) if (!await job[1]()) lost += 1;
  }));
  process.exit(lost === 0 ? 0 : 1);
}

const scenario = (process.env.MCP_CONFORMANCE_SCENARIO ?? '').replace(/^auth\//, '');
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');

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

let number = 0;
async function ask(proxy, method, params) {
  const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'conformance', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {} };
  const headers = { Authorization: `Bearer ${proxy.key}`, 'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': method };
  if (params.name) headers['Mcp-Name'] = params.name;
  const body = { jsonrpc: '2.0', id: ++number, method, params: { ...params, _meta: meta } };
  const answer = await fetch(`${proxy.url}/mcp/up`, { method: 'POST', headers, body: JSON.stringify(body) });
  const text = await answer.text();
  const data = text.startsWith('{') ? text : text.split('\n').filter((line) => line.startsWith('data:')).at(-1)?.slice(5);
  console.error(`${method}: ${text.slice(0, 400)}`);
  return JSON.parse(data ?? '{}');
}

const browser = new Browser();
async function visit(proxy, link) {
  let page = await browser.open(link);
  if (page.text.includes('Proxy key')) {
    await browser.press(page, { do: 'sign-in', key: proxy.key });
    page = await browser.open(link);
  }
  const { answer, text } = await browser.press(page, { do: 'log-in' });
  let next = onward(answer);
  if (!next) {
    console.error(`no login: ${text.replace(/<style>.*<\/style>/s, '').slice(-300)}`);
    return false;
  }
  for (let hops = 0; next && hops < 6; hops += 1) {
    const page = await browser.open(next);
    if (next.startsWith(`${proxy.url}/connect/callback`)) return page.answer.status === 200;
    const to = page.answer.headers.get('location');
    next = to && new URL(to, next).href;
  }
  return false;
}

const secret = context.private_key_pem ?? context.client_secret ?? '';
const oauth = entry();
const proxy = await servePublic(program, `[upstreams.up]\nurl = "${last}"\nallow_private = true\noauth = { ${oauth} }\n`,
  { MCP_PROXY_LOG: 'debug', ...(oauth.includes('{secret') && { SECRET: secret.trim().replaceAll('\n', ' ') }) });
// The suite's own limit would leave the proxy behind.
const late = setTimeout(() => proxy.stop().then(() => process.exit(1)), 90_000);
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
