// A server that asks, on the TypeScript SDK 1.x, with the helpers that this SDK has for it.
//   node server_ts1.mjs         speaks over its pipes
//   node server_ts1.mjs PORT    prints `listening on http://…/mcp`
import { randomUUID } from 'node:crypto';
import http from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';
import { form, record, sampling, text, visit, withTools } from './asking.mjs';

function made() {
  const server = new McpServer({ name: 'server_ts1', version: '1.0.0' });
  const { server: peer } = server;
  const tool = (name, run) => server.registerTool(name, { inputSchema: { tag: z.string() } },
    async ({ tag }, extra) => text(await run(tag, extra, { relatedRequestId: extra.requestId })));

  tool('ask_form', (tag, _, related) => peer.elicitInput(form(tag), related));
  tool('ask_url', (tag, _, related) =>
    peer.elicitInput({ mode: 'url', elicitationId: tag, ...visit(tag) }, related));
  tool('sample', (tag, _, related) => peer.createMessage(sampling(tag), related));
  tool('sample_with_tools', (tag, _, related) => peer.createMessage(withTools(tag), related));
  // As most authors write it: related to nothing, which over HTTP goes on the stream of its own.
  tool('roots', () => peer.listRoots());
  tool('two_questions', async (tag, _, related) => {
    const [who, said] = await Promise.all(
      [peer.elicitInput(form(tag), related), peer.createMessage(sampling(tag), related)]);
    return { who, said };
  });
  tool('two_rounds', async (tag, _, related) => {
    const first = await peer.elicitInput(form(tag), related);
    return { first, second: await peer.elicitInput(form(`${tag} again`), related) };
  });
  tool('after_progress', async (tag, extra, related) => {
    for (let progress = 1; progress <= 3; progress++) {
      await extra.sendNotification({ method: 'notifications/progress',
        params: { progressToken: extra._meta?.progressToken, progress, total: 3 } });
    }
    return peer.elicitInput(form(tag), related);
  });
  tool('slow_ask', async (tag, { signal }, related) => {
    record.asked.push(tag);
    signal.addEventListener('abort', () => record.cancelled.push(tag));
    const answer = await peer.elicitInput(form(tag), { ...related, signal });
    record.answered.push(tag);
    return answer;
  });
  tool('record', () => record);
  return server;
}

const port = process.argv[2];
if (port === undefined) {
  await made().connect(new StdioServerTransport());
} else {
  const sessions = new Map();
  http.createServer(async (request, response) => {
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
    await transport.handleRequest(request, response);
  }).listen(Number(port), '127.0.0.1', function () {
    console.log(`listening on http://127.0.0.1:${this.address().port}/mcp`);
  });
}
