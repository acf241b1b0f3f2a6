// A server that asks, on the TypeScript SDK 2.x: its tools give back what they need, and the SDK
// puts that into the words of the era, a result of 2026-07-28 or a request of before.
//   node server_ts2.mjs         speaks over its pipes, either era
//   node server_ts2.mjs PORT    prints `listening on http://…/mcp`; this SDK's handler for HTTP keeps
//                               no session for the older era, so that it asks in the newer one only
import http from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import { McpServer, createMcpHandler, createRequestStateCodec, inputRequired } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { z } from 'zod';
import { form, record, sampling, text, visit, withTools } from './asking.mjs';

const states = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) });

function made() {
  const server = new McpServer({ name: 'server_ts2', version: '2.0.0' },
    { requestState: { verify: states.verify } });
  const tool = (name, run) =>
    server.registerTool(name, { inputSchema: z.object({ tag: z.string() }) }, ({ tag }, ctx) => run(tag, ctx.mcpReq));
  /** One round of questions, and then what `told` makes of the answers. */
  const asks = (name, questions, told = (answers) => answers.q) => tool(name, async (tag, request) =>
    request.inputResponses ? text(told(request.inputResponses)) : inputRequired({ inputRequests: questions(tag) }));

  asks('ask_form', (tag) => ({ q: inputRequired.elicit(form(tag)) }));
  asks('ask_url', (tag) => ({ q: inputRequired.elicitUrl(visit(tag)) }));
  asks('sample', (tag) => ({ q: inputRequired.createMessage(sampling(tag)) }));
  asks('sample_with_tools', (tag) => ({ q: inputRequired.createMessage(withTools(tag)) }));
  asks('roots', () => ({ q: inputRequired.listRoots() }));
  asks('two_questions', (tag) => ({
    who: inputRequired.elicit(form(tag)), said: inputRequired.createMessage(sampling(tag)),
  }), (answers) => answers);
  tool('two_rounds', async (tag, request) => {
    const first = request.requestState();
    const answer = request.inputResponses?.q;
    if (first !== undefined) return text({ first, second: answer });
    if (answer === undefined) return inputRequired({ inputRequests: { q: inputRequired.elicit(form(tag)) } });
    return inputRequired({
      inputRequests: { q: inputRequired.elicit(form(`${tag} again`)) }, requestState: await states.mint(answer),
    });
  });
  tool('after_progress', async (tag, request) => {
    if (request.inputResponses) return text(request.inputResponses.q);
    for (let progress = 1; progress <= 3; progress++) {
      await request.notify({ method: 'notifications/progress',
        params: { progressToken: request._meta?.progressToken, progress, total: 3 } });
    }
    return inputRequired({ inputRequests: { q: inputRequired.elicit(form(tag)) } });
  });
  tool('slow_ask', async (tag, request) => {
    if (request.inputResponses) {
      record.answered.push(tag);
      return text(request.inputResponses.q);
    }
    record.asked.push(tag);
    // In the newer era the call is over with the question; nothing is left that could be cancelled.
    // In the older one the SDK asks, and then runs this again.
    if (!request.envelope) request.signal.addEventListener('abort', () => record.answered.includes(tag) || record.cancelled.push(tag));
    return inputRequired({ inputRequests: { q: inputRequired.elicit(form(tag)) } });
  });
  tool('record', async () => text(record));
  return server;
}

const port = process.argv[2];
if (port === undefined) {
  serveStdio(made);
} else {
  http.createServer(toNodeHandler(createMcpHandler(made))).listen(Number(port), '127.0.0.1', function () {
    console.log(`listening on http://127.0.0.1:${this.address().port}/mcp`);
  });
}
