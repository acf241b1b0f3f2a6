// The proxy as a client of the suite's server: starts the proxy with the suite's URL as its only
// upstream, drives it with the TypeScript SDK as the scenario wants, and ends both.
//   node client.mjs PROXY PEERS ERA URL     as COMMAND of `run client`, which appends URL
// PROXY: the program; PEERS: where tests/peers/install has put the SDK; ERA: legacy, or the
// revision that the driving client speaks, whatever the suite's server does. The suite says in
// MCP_CONFORMANCE_SCENARIO which scenario it is and in MCP_CONFORMANCE_CONTEXT what it wants called.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { serve } from './serving.mjs';

const [program, peers, era, upstream] = process.argv.slice(2);
const scenario = process.env.MCP_CONFORMANCE_SCENARIO;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const { Client, StreamableHTTPClientTransport } =
  createRequire(path.join(peers, 'package.json'))('@modelcontextprotocol/client');

/** What the user answers: the defaults of the form where it has some, yes otherwise. */
function answered({ requestedSchema }) {
  const fields = Object.entries(requestedSchema?.properties ?? {});
  const said = ([name, field]) => [name, field.default ?? (field.type === 'boolean' ? true : 'yes')];
  return { action: 'accept', content: Object.fromEntries(fields.map(said)) };
}

/** Calls what is there, and only that. */
async function callAll(client) {
  const { tools } = await client.listTools();
  for (const { name } of tools) await client.callTool({ name, arguments: { region: 'here' } });
  return tools.map(({ name }) => name);
}

const drives = {
  initialize: (client) => client.listTools(),
  tools_call: async (client) => {
    await client.listTools();
    const { content } = await client.callTool({ name: 'add_numbers', arguments: { a: 5, b: 3 } });
    assert.equal(content[0].text, 'The sum of 5 and 3 is 8');
  },
  'elicitation-sep1034-client-defaults': async (client) => {
    await client.listTools();
    const { content } = await client.callTool({ name: 'test_client_elicitation_defaults', arguments: {} });
    assert.match(content[0].text, /^Elicitation completed/);
  },
  'sse-retry': async (client) => {
    await client.listTools();
    const { content } = await client.callTool({ name: 'test_reconnection', arguments: {} });
    assert.equal(content[0].text, 'Reconnection test completed successfully');
  },
  'request-metadata': async (client) => {
    await client.listTools();
  },
  'http-standard-headers': async (client) => {
    await callAll(client);
    const { resources } = await client.listResources();
    for (const { uri } of resources) await client.readResource({ uri });
    const { prompts } = await client.listPrompts();
    for (const { name } of prompts) await client.getPrompt({ name });
  },
  'http-custom-headers': async (client) => {
    await client.listTools();
    for (const call of context.toolCalls) await client.callTool(call);
  },
  'http-invalid-tool-headers': async (client) => {
    assert.deepEqual(await callAll(client), ['valid_tool']);
    // A client that knows the name from elsewhere does not get it through either.
    await assert.rejects(client.callTool({ name: 'invalid_empty_header', arguments: { value: 'x' } }));
  },
  'sep-2322-client-request-state': async (client) => {
    await client.listTools();
    const texts = ['echo_state', 'no_state', 'unrelated', 'no_result_type'].map(async (name) => {
      const { content } = await client.callTool({ name: `test_mrtr_${name}`, arguments: {} });
      return content[0].text;
    });
    const wanted = ['echo-state-ok', 'no-state-ok', 'unrelated-ok', 'no-result-type-test-ok'];
    assert.deepEqual(await Promise.all(texts), wanted);
  },
  'json-schema-ref-no-deref': async (client) => {
    const { tools } = await client.listTools();
    assert.match(tools[0].inputSchema.properties.profile.$ref, /^http:/);
  },
  'json-schema-2020-12-preservation': async (client) => {
    const { tools } = await client.listTools();
    const { inputSchema } = tools.find(({ name }) => name !== 'json_schema_echo');
    await client.callTool({ name: 'json_schema_echo', arguments: { schema: inputSchema } });
  },
};

const proxy = await serve(program, `[server]\nlisten = "127.0.0.1:0"\n[upstreams.up]\nurl = "${upstream}"\n`);
// The suite's own limit would leave the proxy behind.
const late = setTimeout(() => proxy.stop().then(() => process.exit(1)), 25_000);
let failed = false;
try {
  const mode = era === 'legacy' ? era : { pin: era };
  const client = new Client({ name: 'conformance', version: '1.0.0' },
    { versionNegotiation: { mode }, capabilities: { elicitation: { form: {} } } });
  client.setRequestHandler('elicitation/create', ({ params }) => answered(params));
  const headers = { Authorization: `Bearer ${proxy.key}` };
  const transport = new StreamableHTTPClientTransport(new URL(`${proxy.url}/mcp/up`), { requestInit: { headers } });
  await client.connect(transport);
  await drives[scenario](client);
  if (transport.sessionId !== undefined) await transport.terminateSession();
  await client.close();
} catch (error) {
  failed = true;
  console.error(error);
}
clearTimeout(late);
await proxy.stop();
process.exit(failed ? 1 : 0);
