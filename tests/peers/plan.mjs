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
//   {"call":…,"say":{METHOD:RESULT,…},"leave":"cancel"|"die"}    a call whose questions are answered so;
//   with `leave` the first question makes the client give up the call, or kills the client
// A client whose plan says nothing declares that it cannot be asked.
// Report: {"protocol","server","steps":[{"ok":true,"result":…} | {"ok":false,"error","code"}]}, one
// entry per step in order; exit 0 also where steps failed, 1 where no connection was made. A step with
// `say` tells in addition `progress`: [number] and `asked`: [{"method","params","after"}], where `after`
// counts the progress before the question.
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

/** Who is asked: what there is to say, what was asked, and how the call is given up. */
const live = process.argv[4] === '-';
const plan = live ? [] : JSON.parse(process.argv[4]);
const person = { say: {}, asked: [], progress: [], leave: undefined };

/** What a client declares that can be asked; nothing where nobody says anything. */
export const declared = plan.some((step) => step.say)
  ? { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} } : {};

/** Sets what answers each kind of question. */
export function listen(each) {
  const methods = { elicitation: 'elicitation/create', sampling: 'sampling/createMessage', roots: 'roots/list' };
  for (const [kind, method] of Object.entries(methods)) {
    if (declared[kind]) each(kind, method, ({ params }) => answer(method, params));
  }
}

function answer(method, params) {
  person.asked.push({ method, params, after: person.progress.length });
  if (person.leave === 'die') process.kill(process.pid, 'SIGKILL');
  if (person.leave) {
    person.gone.abort('no longer needed');
    // A client of the newer era waits for its person all the same; it has to hear that he is gone.
    if (process.argv[3] !== 'legacy') throw new Error('no longer here');
    return new Promise(() => {});
  }
  return person.say[method];
}

/** Makes a call with somebody there who can be asked. */
async function talk(peer, step) {
  Object.assign(person, { say: step.say, asked: [], progress: [], leave: step.leave, gone: new AbortController() });
  const onprogress = ({ progress }) => person.progress.push(progress);
  try {
    return await peer.call({ name: step.call, arguments: step.arguments ?? {} },
      { onprogress, signal: person.gone.signal });
  } finally {
    person.leave = undefined;
  }
}

function take(peer, step) {
  const { client } = peer;
  if (step.say) return talk(peer, step);
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
  const [url, era] = process.argv.slice(2);
  const headers = process.env.MCP_KEY ? { Authorization: `Bearer ${process.env.MCP_KEY}` } : {};
  let peer;
  try {
    peer = await connect(program ? undefined : new URL(url), headers, era);
  } catch (error) {
    console.log(JSON.stringify({ failed: String(error?.message ?? error) }));
    process.exit(1);
  }
  const steps = [];
  if (live) console.log(JSON.stringify({ connected: peer.protocol() }));
  for await (const step of live ? told() : plan) {
    const outcome = {};
    try {
      Object.assign(outcome, { ok: true, result: await take(peer, step) });
    } catch (error) {
      Object.assign(outcome, { ok: false, error: String(error?.message ?? error), code: error?.code });
    }
    if (step.say) Object.assign(outcome, { asked: person.asked, progress: person.progress });
    steps.push(outcome);
    if (live) console.log(JSON.stringify({ step: steps.length, ...outcome }));
  }
  const report = { protocol: peer.protocol(), server: peer.client.getServerVersion(), steps };
  await peer.close();
  process.stdout.write(JSON.stringify(report) + '\n', () => process.exit(0));
}
