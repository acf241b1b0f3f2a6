// A SaaS with its MCP server, on the TypeScript SDK 1.x, that tells what reached it. See tests/flows.
//   node server_saas.mjs         speaks over its pipes, and writes a line on standard error for each call
//   node server_saas.mjs PORT    prints `listening on http://…/mcp`; GET /seen tells what was asked and who
//                                called, POST /forget ends all sessions
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';
import { text } from './asking.mjs';

/** Each call that arrived, tool and Authorization, and how often each method was asked. */
const seen = [];
const asked = {};
const tasks = [];

function made() {
  const server = new McpServer({ name: 'saas', version: '1.0.0' }, { capabilities: { logging: {} } });
  const tool = (name, inputSchema, annotations, run) =>
    server.registerTool(name, { description: `The tool ${name}.`, inputSchema, annotations }, async (given, extra) => {
      const authorization = extra.requestInfo?.headers?.authorization ?? null;
      seen.push({ name, authorization });
      if (process.argv[2] === undefined) console.error(`call ${seen.length}: ${name}`);
      return text(await run(given, { ...extra, authorization }));
    });
  const reads = { readOnlyHint: true };

  tool('list_projects', {}, reads, (_, { authorization }) => ({ authorization, projects: ['one', 'two'] }));
  tool('list_tasks', {}, reads, () => ({ tasks }));
  tool('create_task', { title: z.string() }, {}, ({ title }) => ({ task: tasks.push(title), title }));
  tool('search_documents', { query: z.string(), api_key: z.string() }, reads, (given) => ({ given }));
  tool('where', {}, reads, () => ({
    pid: process.pid, cwd: process.cwd(), plan: process.env.PLAN ?? null, token: process.env.SAAS_TOKEN ?? null,
  }));
  tool('report', { pages: z.number() }, reads, async ({ pages }, { _meta, sendNotification }) => {
    for (let progress = 1; progress <= pages; progress++) {
      await sendNotification({ method: 'notifications/progress',
        params: { progressToken: _meta?.progressToken, progress, total: pages } });
    }
    return { pages };
  });
  tool('grow', {}, {}, () => {
    server.registerTool(`grown_${seen.length}`, { description: 'A newer tool.' }, () => text({}));
    return { grown: seen.length };
  });
  return server;
}

const port = process.argv[2];
if (port === undefined) {
  console.error('ready for work');
  await made().connect(new StdioServerTransport());
} else {
  const sessions = new Map();
  http.createServer(async (request, response) => {
    if (request.url === '/seen') {
      response.end(JSON.stringify({ seen, asked }));
      return;
    }
    if (request.url === '/forget') {
      sessions.clear();
      response.end();
      return;
    }
    let body = '';
    for await (const part of request) body += part;
    const message = body ? JSON.parse(body) : undefined;
    if (message) asked[message.method] = (asked[message.method] ?? 0) + 1;
    let transport = sessions.get(request.headers['mcp-session-id']);
    if (transport === undefined && request.headers['mcp-session-id'] !== undefined) {
      response.writeHead(404).end();
      return;
    }
    if (transport === undefined) {
      transport = new StreamableHTTPServerTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (id) => sessions.set(id, transport),
        onsessionclosed: (id) => sessions.delete(id),
      });
      await made().connect(transport);
    }
    await transport.handleRequest(request, response, message);
  }).listen(Number(port), '127.0.0.1', function () {
    console.log(`listening on http://127.0.0.1:${this.address().port}/mcp`);
  });
}
