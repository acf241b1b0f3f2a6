// Walks a plan with a client of either SDK line and prints the report.
//   node tsN.mjs URL ERA PLAN      MCP_KEY=… is sent as bearer key
//   node tsN.mjs - ERA PLAN        MCP_PROGRAM=[PROGRAM,ARGUMENT…] is started, with MCP_PROXY_KEY=MCP_KEY
//   node tsN.mjs … -               takes its steps from standard input, one a line, until that ends, and
//                                  prints {"connected":PROTOCOL}, then {"step":N,…} after each, from 1
// PLAN: a JSON array of steps, each one of
//   {"list":"tools"|"prompts"|"resources"|"templates"}    all pages
//   {"call":NAME,"arguments":{…}}  {"read":URI}  {"prompt":NAME,"arguments":{…}}
//   {"complete":{"ref":{…},"argument":{…}}}
//   {"until":FILE}    makes FILE.reached, and goes on when FILE is there
// Report: {"protocol","server","steps":[{"ok":true,"result":…} | {"ok":false,"error","code"}]}, one
// entry per step in order; exit 0 also where steps failed, 1 where no connection was made.
import fs from 'node:fs';
import readline from 'node:readline';

const lists = {
  tools: ['listTools', 'tools'], prompts: ['listPrompts', 'prompts'],
  resources: ['listResources', 'resources'], templates: ['listResourceTemplates', 'resourceTemplates'],
};

async function until(file) {
  fs.writeFileSync(`${file}.reached`, '');
  while (!fs.existsSync(file)) await new Promise((done) => setTimeout(done, 20));
  return {};
}

async function all(client, [method, field]) {
  const found = [];
  for (let cursor; ;) {
    const page = await client[method](cursor === undefined ? {} : { cursor });
    found.push(...page[field]);
    if ((cursor = page.nextCursor) === undefined) return { [field]: found };
  }
}

function take(client, step) {
  if (step.list) return all(client, lists[step.list]);
  if (step.call) return client.callTool({ name: step.call, arguments: step.arguments ?? {} });
  if (step.read) return client.readResource({ uri: step.read });
  if (step.prompt) return client.getPrompt({ name: step.prompt, arguments: step.arguments ?? {} });
  if (step.until) return until(step.until);
  if (step.complete) return client.complete(step.complete);
  throw new Error(`not a step: ${JSON.stringify(step)}`);
}

/** Steps as they are told. */
async function* told() {
  for await (const line of readline.createInterface({ input: process.stdin })) yield JSON.parse(line);
}

/** What is started instead of connecting to a URL. */
const [command, ...args] = JSON.parse(process.env.MCP_PROGRAM ?? '[]');
const env = { PATH: process.env.PATH, HOME: process.env.HOME, MCP_PROXY_KEY: process.env.MCP_KEY, TEST_KEY: process.env.MCP_KEY };
export const program = command && { command, args, env };

export async function run(connect) {
  const [url, era, plan] = process.argv.slice(2);
  const headers = process.env.MCP_KEY ? { Authorization: `Bearer ${process.env.MCP_KEY}` } : {};
  let peer;
  try {
    peer = await connect(program ? undefined : new URL(url), headers, era);
  } catch (error) {
    console.log(JSON.stringify({ failed: String(error?.message ?? error) }));
    process.exit(1);
  }
  const steps = [], live = plan === '-';
  if (live) console.log(JSON.stringify({ connected: peer.protocol() }));
  for await (const step of live ? told() : JSON.parse(plan)) {
    try {
      steps.push({ ok: true, result: await take(peer.client, step) });
    } catch (error) {
      steps.push({ ok: false, error: String(error?.message ?? error), code: error?.code });
    }
    if (live) console.log(JSON.stringify({ step: steps.length, ...steps.at(-1) }));
  }
  const report = { protocol: peer.protocol(), server: peer.client.getServerVersion(), steps };
  await peer.close();
  process.stdout.write(JSON.stringify(report) + '\n', () => process.exit(0));
}
