// The way of each client's file: import, serve, connect --write, and what the client reads then.
// Started by `run`, which says what it needs. Prints a line for each thing that is looked at.
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";

const here = path.dirname(fileURLToPath(import.meta.url));
const { MCP_PROXY_BIN: PROXY, CLIENTS_HOME: PACKAGES } = process.env;
const from = createRequire(path.join(PACKAGES, "package.json"));
const BIN = path.join(PACKAGES, "node_modules", ".bin");
const NICE = ["nice", "-n", "19"];

// Where each client keeps its file, what holds its servers, what our entry is in it, and who reads it.
// `variables` are set for the client, `inputs` are what it asks a person for; `exact` is what reaches the
// servers, letter by letter; `waits` are servers that want a login first, `held` tokens that are sealed for
// one of them, and `left` those of entries that cannot be taken over.
const CLIENTS = {
  "claude-desktop": {
    file: "claude-desktop.json", place: ".config/Claude/claude_desktop_config.json", member: "mcpServers",
    upstreams: ["filesystem", "brave-search", "github", "postgres", "remote-example"], read: strict, speak: shim,
    exact: ["BRAVE_API_KEY=BSATOKEN1", "GITHUB_PERSONAL_ACCESS_TOKEN=ghp_TOKEN2", "Bearer TOKEN4"],
    reader: "JSON.parse, as Electron has it (no package of it), and mcp-remote is started as it says",
  },
  "claude-code": {
    file: "claude-code.json", place: ".claude.json", member: "mcpServers",
    variables: { SENTRY_TOKEN: "TOKEN5" }, upstreams: ["airtable", "sentry", "database-tools"], read: claude, speak: header,
    exact: ["AIRTABLE_API_KEY=patTOKEN1.TOKEN2", "Bearer TOKEN5", "X-API-Key\nTOKEN3"],
    reader: "@anthropic-ai/claude-code: `claude mcp list`, `claude mcp get mcp-proxy`",
  },
  cursor: {
    file: "cursor.json", place: ".cursor/mcp.json", member: "mcpServers",
    variables: { MY_SERVICE_TOKEN: "TOKEN5" }, upstreams: ["local-stdio", "remote-http", "in-the-url"], waits: ["oauth-server"],
    held: ["TOKEN4"], read: jsonc, speak: header,
    reader: "jsonc-parser, which VS Code has (Cursor is made from it and has no package)",
  },
  vscode: {
    file: "vscode.json", place: ".config/Code/User/mcp.json", member: "servers",
    inputs: { PERPLEXITY: "TOKEN2" }, upstreams: ["perplexity", "fetch", "github"], read: jsonc, speak: header,
    reader: "jsonc-parser, by which VS Code reads it",
  },
  codex: {
    file: "codex.toml", place: ".codex/config.toml",
    variables: { LOCAL_TOKEN: "TOKEN3", FIGMA_OAUTH_TOKEN: "TOKEN4", FIGMA_KEY: "TOKEN5" },
    upstreams: ["context7", "figma", "chrome-devtools"], read: codex, speak: header,
    reader: "@openai/codex: `codex mcp list --json`",
  },
  gemini: {
    file: "gemini.json", place: ".gemini/settings.json", member: "mcpServers",
    variables: { DB_CONNECTION_STRING: "TOKEN3", EXTERNAL_API_KEY: "TOKEN4" },
    upstreams: ["pythontools", "httpserverwithauth", "filteredserver"], read: gemini, speak: header,
    reader: "@google/gemini-cli: `gemini mcp list`",
  },
  windsurf: {
    file: "windsurf.json", place: ".codeium/windsurf/mcp_config.json", member: "mcpServers",
    variables: { GITHUB_TOKEN: "TOKEN4" }, upstreams: ["github", "figma", "slack"], read: strict, speak: header,
    exact: ["SLACK_BOT_TOKEN=xoxb-TOKEN2", "SLACK_TEAM_ID=TTOKEN3", "GITHUB_PERSONAL_ACCESS_TOKEN=TOKEN4", "API_KEY\nBearer TOKEN1"],
    reader: "JSON.parse, which is the strictest (no package, no source)",
  },
  zed: {
    file: "zed.json", place: ".config/zed/settings.json", member: "context_servers",
    upstreams: ["local-mcp-server", "remote-mcp-server"], left: ["TOKEN4"], read: lenient, speak: header,
    reader: "serde_json_lenient, by which Zed reads it",
  },
};

let failed = 0;
const table = [];
let row;
function step(what, good, more = "") {
  row.steps.push([what, good]);
  if (!good) failed++;
  console.log(`${good ? "ok  " : "FAIL"}  ${row.client}: ${what}${good || !more ? "" : `\n      ${String(more).replaceAll("\n", "\n      ")}`}`);
}

// --- A server that writes down what reaches it.
const heard = [];
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    heard.push(`${request.url}\n${request.rawHeaders.join("\n")}`);
    const say = (status, value) => {
      response.writeHead(status, { "content-type": "application/json", connection: "close" });
      response.end(value === undefined ? "" : JSON.stringify(value));
    };
    if (request.method !== "POST") return say(405, {});
    const { id, method, params } = JSON.parse(body);
    if (id === undefined) return say(202);
    const answer = (result) => say(200, { jsonrpc: "2.0", id, result });
    const tool = { name: "open", description: "Opens.", inputSchema: { type: "object" } };
    if (method === "initialize") {
      const serverInfo = { name: "written-down", version: "1" };
      return answer({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo });
    }
    if (method === "tools/list") return answer({ tools: [tool] });
    return say(400, { jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } });
  });
});
await new Promise((done) => server.listen(0, "127.0.0.1", done));
const SERVER = `http://127.0.0.1:${server.address().port}`;

async function freePort() {
  const socket = net.createServer();
  await new Promise((done) => socket.listen(0, "127.0.0.1", done));
  const { port } = socket.address();
  await new Promise((done) => socket.close(done));
  return port;
}

async function until(what, look) {
  const end = Date.now() + 60_000;
  for (;;) {
    const found = await look().catch((error) => ({ error }));
    if (found && !found.error) return found;
    if (Date.now() > end) throw new Error(`${what}: ${found?.error ?? "not within a minute"}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// --- MCP, as little as is needed.
async function rpc(url, headers, method, params = {}, session) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json", accept: "application/json, text/event-stream", ...headers,
      ...(session ? { "mcp-session-id": session } : {}),
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  if (response.status !== 200) throw new Error(`${method}: ${response.status} ${await response.text()}`);
  const text = await response.text();
  const data = text.startsWith("{") ? text : text.split("\n").find((line) => line.startsWith("data: {")).slice(6);
  return { result: JSON.parse(data).result, session: response.headers.get("mcp-session-id") };
}
const hello = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "trip", version: "1" } };
async function tools(url, headers) {
  const { session } = await rpc(url, headers, "initialize", hello);
  const names = [];
  let cursor;
  do {
    const { result } = await rpc(url, headers, "tools/list", cursor ? { cursor } : {}, session);
    names.push(...result.tools.map((tool) => tool.name));
    cursor = result.nextCursor;
  } while (cursor);
  return names;
}

// --- Which bytes are new: old is new without these pieces, as few as can be. Null when it is not so.
function inserted(old, now) {
  for (let most = 1; most <= 4; most++) {
    const pieces = without(old, now, most);
    if (pieces) return pieces;
  }
  return null;
}
function without(old, now, most) {
  let at = 0;
  while (at < old.length && old[at] === now[at]) at++;
  if (at === old.length) return now.length > at ? [now.subarray(at)] : [];
  if (most === 0) return null;
  for (let length = 1; at + length <= now.length && now.length - length >= old.length - at; length++) {
    if (now[at + length] !== old[at]) continue;
    const rest = without(old.subarray(at), now.subarray(at + length), most - 1);
    if (rest) return [now.subarray(at, at + length), ...rest];
  }
  return null;
}

// --- What the clients say of their file. Each gives the entry as the client has it.
function strict(text) {
  return JSON.parse(text);
}
function jsonc(text) {
  const { parse } = from("jsonc-parser");
  const errors = [];
  const value = parse(text, errors, { allowTrailingComma: true });
  if (errors.length) throw new Error(`jsonc-parser: ${JSON.stringify(errors)}`);
  return value;
}
function lenient(text) {
  const program = path.join(PACKAGES, "zed/target/debug/zed-settings");
  if (!fs.existsSync(program)) throw new Skip("no cargo here, so the parser of Zed is not built");
  const done = spawnSync(program, { input: text, encoding: "utf8" });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout);
}
class Skip extends Error {}
function program(world, name, words) {
  const file = path.join(BIN, name);
  if (!fs.existsSync(file)) throw new Skip(`${name} could not be installed`);
  const done = spawnSync(NICE[0], [...NICE.slice(1), file, ...words], {
    cwd: world.work, env: world.env, encoding: "utf8", timeout: 180_000, input: "",
  });
  return words.includes("--json") ? done.stdout : `${done.stdout}${done.stderr}`;
}
function claude(text, world) {
  const list = program(world, "claude", ["mcp", "list"]);
  const get = program(world, "claude", ["mcp", "get", "mcp-proxy"]);
  world.said = `${list}\n${get}`;
  step("`claude mcp list` has the other entries too", /airtable/.test(list) && /sentry/.test(list), list);
  step("`claude mcp get` says that it is connected", /Connected/.test(get) && get.includes(world.url), get);
  return JSON.parse(text);
}
function gemini(text, world) {
  const list = program(world, "gemini", ["mcp", "list"]);
  world.said = list;
  step("`gemini mcp list` has the other entries too", /pythonTools/.test(list) && /filteredServer/.test(list), list);
  const ours = list.split("\n").find((line) => line.includes("mcp-proxy:")) ?? "";
  step("`gemini mcp list` has ours, and it is connected", ours.includes(world.url) && /Connected/.test(ours), list);
  return jsonc(text);
}
function codex(text, world) {
  const list = JSON.parse(program(world, "codex", ["mcp", "list", "--json"]));
  const named = (name) => list.find((entry) => entry.name === name);
  step("`codex mcp list` has the other entries as before", world.before.every((entry) => {
    return isDeepStrictEqual(named(entry.name), entry);
  }), JSON.stringify(list));
  const { transport } = named("mcp-proxy");
  const Authorization = `Bearer \${${transport.bearer_token_env_var}}`;
  return { entry: { url: transport.url, headers: { Authorization } } };
}

// --- Our entry, used as the client uses it.
async function header(entry, world) {
  const value = entry.headers.Authorization.replace(/\$\{(?:env:)?([A-Z_]+)\}/, (_, name) => world.env[name])
    .replace("${input:mcp-proxy-key}", world.key);
  return tools(entry.url ?? entry.serverUrl ?? entry.httpUrl, { Authorization: value });
}
async function shim(entry, world) {
  if (!fs.existsSync(path.join(BIN, "mcp-remote"))) throw new Skip("mcp-remote could not be installed");
  const child = spawn(NICE[0], [...NICE.slice(1), entry.command, ...entry.args], {
    cwd: PACKAGES, env: { ...world.env, ...entry.env }, stdio: ["pipe", "pipe", "pipe"], detached: true,
  });
  let out = "", errors = "";
  child.stdout.on("data", (part) => (out += part));
  child.stderr.on("data", (part) => (errors += part));
  const say = (message) => child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  const answer = (id) => until(`mcp-remote (${errors})`, async () => {
    const lines = out.split("\n").slice(0, -1).map((line) => JSON.parse(line));
    return lines.find((message) => message.id === id)?.result;
  });
  try {
    say({ id: 1, method: "initialize", params: hello });
    await answer(1);
    say({ method: "notifications/initialized" });
    say({ id: 2, method: "tools/list", params: {} });
    return (await answer(2)).tools.map((tool) => tool.name);
  } finally {
    try { process.kill(-child.pid, "SIGTERM"); } catch {}
  }
}

async function trip(name) {
  const client = CLIENTS[name];
  row = { client: name, steps: [], reader: client.reader };
  table.push(row);
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "trip-"));
  const [home, own, stubs, work] = ["home", "proxy", "bin", "work"].map((part) => path.join(folder, part));
  for (const part of [home, own, stubs, work]) fs.mkdirSync(part);
  const tokens = Object.fromEntries([1, 2, 3, 4, 5].map((n) => [`TOKEN${n}`, `7${randomBytes(14).toString("hex")}`]));
  let text = fs.readFileSync(path.join(here, "files", client.file), "utf8").replaceAll("%SERVER%", SERVER);
  const inFile = Object.keys(tokens).filter((token) => text.includes(`%${token}%`));
  for (const token of inFile) text = text.replaceAll(`%${token}%`, tokens[token]);
  const place = path.join(home, client.place);
  fs.mkdirSync(path.dirname(place), { recursive: true });
  fs.writeFileSync(place, text);
  // The programs of the entries: each writes down how it was started, and is the demo.
  const log = path.join(folder, "started.log");
  for (const stub of ["npx", "uvx", "uv", "docker", "python"]) {
    const lines = `#!/bin/sh\n{ echo "argv ${stub} $*"; env; } >>'${log}'\nexec '${PROXY}' demo\n`;
    fs.writeFileSync(path.join(stubs, stub), lines, { mode: 0o755 });
  }
  const variables = Object.fromEntries(Object.entries(client.variables ?? {}).map(([key, token]) => [key, tokens[token]]));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/mcp`;
  fs.writeFileSync(path.join(own, "mcp-proxy.toml"), `[server]\nlisten = "127.0.0.1:${port}"\n`);
  const env = { HOME: home, PATH: `${stubs}:/usr/bin:/bin`, LC_ALL: "C.UTF-8", ...variables };
  const proxy = (words, more = {}) => spawnSync(NICE[0], [...NICE.slice(1), PROXY, ...words], {
    cwd: own, env: { ...env, ...more.env }, encoding: "utf8", input: more.input ?? "", timeout: 120_000,
  });
  const secrets = () => inFile.concat(Object.values(client.variables ?? {})).map((token) => tokens[token]);
  const unseen = (said) => !secrets().some((secret) => said.includes(secret));
  let child;
  try {
    // 1. import
    let done = proxy(["import", name]);
    const imported = done.stdout + done.stderr;
    step("import", done.status === 0, imported);
    if (process.env.VERBOSE) console.log(imported);
    step("every server is taken over", [...client.upstreams, ...(client.waits ?? [])].every((one) => imported.includes(`upstream \`${one}\``)), imported);
    step("no credential is printed", unseen(imported), imported);
    step("the client's file is as it was", fs.readFileSync(place, "utf8") === text);
    for (const line of imported.matchAll(/^ {2}mcp-proxy (secret set .*?) {3}#/gm)) {
      const words = line[1].split(" ");
      const token = Object.entries(client.inputs ?? {}).find(([part]) => words.at(-1).toUpperCase().includes(part))?.[1];
      if (!token) { step(`nothing is asked for: ${line[1]}`, false, imported); continue; }
      done = proxy(words, { input: tokens[token] });
      step(`what only a person knows is asked for and set (${words.slice(-2).join(" ")})`, done.status === 0, done.stderr);
      inFile.push(token);
    }
    done = proxy(["check"]);
    step("check", done.status === 0, done.stdout + done.stderr);
    const written = fs.readFileSync(path.join(own, "mcp-proxy.toml"), "utf8");
    if (process.env.VERBOSE) console.log(written);
    const files = fs.readdirSync(own).map((file) => path.join(own, file)).filter((file) => fs.statSync(file).isFile());
    step(`${inFile.length} credentials of its file: none is in a file of the proxy`, unseen(files.map((file) => fs.readFileSync(file, "latin1")).join("\n")), written);
    const list = proxy(["secret", "list"]).stdout;
    row.sealed = list.trim().split("\n").length - 1;

    // 2. serve
    done = proxy(["key", "create", "--tenant", "default", "--name", "trip"]);
    const key = (done.stdout + done.stderr).match(/mcpp_[A-Za-z0-9_]+/)?.[0];
    child = spawn(PROXY, ["serve"], { cwd: own, env, stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (part) => (said += part));
    child.stderr.on("data", (part) => (said += part));
    heard.length = 0;
    const served = await until("the tools", async () => {
      const names = await tools(url, { Authorization: `Bearer ${key}` });
      const lacks = client.upstreams.filter((one) => !names.some((tool) => tool.startsWith(`${one}__`)));
      if (lacks.length) throw new Error(`nothing of ${lacks}: ${names}\n${said.slice(-2000)}`);
      return names;
    }).catch((error) => error);
    step(`the proxy serves ${client.upstreams.length} servers`, Array.isArray(served), served);
    const started = fs.existsSync(log) ? fs.readFileSync(log, "utf8") : "";
    const argv = started.split("\n").filter((line) => line.startsWith("argv ")).join("\n");
    const reached = `${started}\n${heard.join("\n")}`;
    const expected = [...inFile, ...Object.values(client.variables ?? {})].filter((token) => !client.left?.includes(token) && !client.held?.includes(token));
    const missing = expected.filter((token) => !reached.includes(tokens[token]));
    step(`${expected.length} credentials reach the servers that they are for`, missing.length === 0, `${missing}\n${reached.slice(0, 3000)}`);
    const named = (words) => words.replace(/TOKEN\d/g, (token) => tokens[token]);
    const inexact = (client.exact ?? []).filter((words) => !reached.toLowerCase().includes(named(words).toLowerCase()));
    step("letter by letter", inexact.length === 0, `${inexact}\n${reached.slice(0, 6000)}`);
    step("none on a command line", unseen(argv), argv);
    step("none in the log", unseen(said), said);

    // 3. connect --write
    const world = { env: { ...env, PATH: `${BIN}:${process.env.PATH}`, MCP_PROXY_KEY: key, npm_config_cache: path.join(PACKAGES, ".npm"), CI: "1", GEMINI_API_KEY: "x", GEMINI_CLI_TRUST_WORKSPACE: "true" }, url, key, work };
    if (name === "codex" && fs.existsSync(path.join(BIN, "codex"))) {
      world.before = JSON.parse(program(world, "codex", ["mcp", "list", "--json"]));
    }
    done = proxy(["connect", name, "--write", "--yes"], { env: { MCP_PROXY_KEY: key } });
    step("connect --write", done.status === 0, done.stdout + done.stderr);
    step("the key is not printed", !(done.stdout + done.stderr).includes(key));
    const now = fs.readFileSync(place);
    if (process.env.VERBOSE) console.log(now.toString());
    step("the old file is kept beside it", fs.readFileSync(`${place}.bak`, "utf8") === text);
    const pieces = inserted(Buffer.from(text), now)?.map(String);
    const fits = (piece) => piece === "," || piece.includes("mcp-proxy");
    step("nothing else in the file changed", pieces?.length > 0 && pieces.every(fits), JSON.stringify(pieces));
    row.bytes = pieces ? `${pieces.length} insertions, ${pieces.join("").length} bytes` : "changed";
    // Another URL changes the entry where it stands, and back again.
    proxy(["connect", name, "--write", "--yes", "--url", "http://127.0.0.1:9/mcp"], { env: { MCP_PROXY_KEY: key } });
    const other = fs.readFileSync(place, "utf8");
    step("another URL changes the URL alone", other === now.toString().replaceAll(url, "http://127.0.0.1:9/mcp"), other);
    proxy(["connect", name, "--write", "--yes"], { env: { MCP_PROXY_KEY: key } });
    step("and back", fs.readFileSync(place).equals(now));

    // 4. the client
    try {
      const value = client.read(now.toString(), world);
      const entry = value.entry ?? value[client.member]["mcp-proxy"];
      const before = value.entry ? null : Object.keys(client.member ? jsonc(text)[client.member] : {});
      const others = before === null || before.every((one) => isDeepStrictEqual(value[client.member][one], jsonc(text)[client.member][one]));
      step("the client's parser reads it, the other entries as before", Boolean(entry) && others, JSON.stringify(value));
      const names = await client.speak(entry, world);
      step("and what it reads connects", names.some((tool) => tool.includes("__")), names);
      row.read = "yes";
    } catch (error) {
      if (!(error instanceof Skip)) throw error;
      row.read = `not asked: ${error.message}`;
      console.log(`skip  ${name}: ${error.message}`);
    }

    // 5. once more
    const again = proxy(["import", name]);
    const more = again.stdout + again.stderr;
    step("a second import takes nothing, and knows our entry", again.status === 0 && /mcp-proxy: left out; it is this proxy itself/.test(more) && !/^\+ /m.test(more), more);
  } catch (error) {
    step("goes to its end", false, error.stack);
  } finally {
    if (child) {
      child.kill("SIGTERM");
      await new Promise((gone) => child.exitCode === null && child.signalCode === null ? child.once("exit", gone) : gone());
    }
    if (!process.env.KEEP) fs.rmSync(folder, { recursive: true, force: true });
    else console.log(`      ${folder}`);
  }
}

const wanted = process.argv.slice(2);
for (const name of wanted.length ? wanted : Object.keys(CLIENTS)) await trip(name);
server.close();
console.log("\nclient          steps  sealed  outside the entry              read by");
for (const { client, steps, sealed = "-", bytes = "-", read = "no", reader } of table) {
  const good = `${steps.filter(([, one]) => one).length}/${steps.length}`;
  console.log(`${client.padEnd(15)} ${good.padEnd(6)} ${String(sealed).padEnd(7)} ${bytes.padEnd(30)} ${read === "yes" ? "" : `(${read}) `}${reader}`);
}
process.exitCode = failed ? 1 : 0;
