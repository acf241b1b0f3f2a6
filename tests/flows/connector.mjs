// A client that does OAuth with the code of the official TypeScript SDK: ts1 (1.x) or ts2 (2.x).
//   connector.mjs CLIENT ERA URL STATE PHASE     DOCUMENT is the URL of its client document, if it has one
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';

const [client, era, url, place, phase] = process.argv.slice(2);
const state = existsSync(place) ? JSON.parse(readFileSync(place)) : {};
const keep = (name, value) => { state[name] = value; writeFileSync(place, JSON.stringify(state)); };
const sdk = client === 'ts1' ? {
  ...await import('@modelcontextprotocol/sdk/client/index.js'),
  ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
} : await import('@modelcontextprotocol/client');
const callback = state.callback ?? `http://127.0.0.1:${20_000 + Math.floor(Math.random() * 20_000)}/callback`;
keep('callback', callback);
let led;
const provider = {
  redirectUrl: callback,
  clientMetadataUrl: process.env.DOCUMENT || undefined,
  clientMetadata: { client_name: `App on ${client}`, redirect_uris: [callback], token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], application_type: 'native' },
  state: () => 'state-of-the-sdk',
  clientInformation: () => state.client,
  saveClientInformation: (value) => keep('client', value),
  tokens: () => state.tokens,
  saveTokens: (value) => keep('tokens', value),
  codeVerifier: () => state.verifier,
  saveCodeVerifier: (value) => keep('verifier', value),
  redirectToAuthorization: (to) => { led = to.href; },
  invalidateCredentials: (what) => {
    const names = { all: ['tokens', 'client', 'verifier'], tokens: ['tokens'], client: ['client'], verifier: ['verifier'] };
    for (const name of names[what] ?? []) keep(name, undefined);
  },
  discoveryState: () => state.discovery,
  saveDiscoveryState: (value) => keep('discovery', value),
};
const transport = () => new sdk.StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
const versions = client === 'ts2' ? { versionNegotiation: { mode: era === 'legacy' ? era : { pin: era } } } : {};
async function work() {
  const made = new sdk.Client({ name: client, version: '1' }, { capabilities: {}, ...versions });
  const way = transport();
  try {
    await made.connect(way);
    let tools = [];
    for (let tries = 0; tries < 50 && tools.length === 0; tries += 1) {
      ({ tools } = await made.listTools());
      if (tools.length === 0) await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
    const name = tools.find((tool) => tool.name === 'demo__echo')?.name;
    const said = await made.callTool({ name, arguments: { text: 'hello' } });
    return `${name}: ${said.content[0].text}`;
  } finally {
    await made.close();
  }
}
if (phase === 'refresh') {
  const before = state.tokens;
  keep('tokens', { ...before, access_token: 'no-longer-good' });
  const said = await work();
  const changed = state.tokens.refresh_token !== before.refresh_token && state.tokens.access_token !== 'no-longer-good';
  console.log(changed ? `${said}, refreshed` : said);
} else {
  let said;
  try {
    said = await work();
  } catch (error) {
    if (led === undefined) throw error;
    if (phase === 'again') {
      said = 'refused';
    } else {
      const { stdout } = await promisify(execFile)(process.execPath, ['browser.mjs', led]);
      const back = new URL(stdout.trim());
      if (back.searchParams.get('state') !== 'state-of-the-sdk') throw new Error(`another state: ${back}`);
      const way = transport();
      await (client === 'ts1' ? way.finishAuth(back.searchParams.get('code')) : way.finishAuth(back.searchParams));
      said = await work();
    }
  }
  const registered = (state.client?.client_id ?? '').startsWith('https:');
  console.log(registered === Boolean(process.env.DOCUMENT) ? said : `${said}, registered otherwise`);
}
process.exit(0);
