// A client on the TypeScript SDK 1.x, which knows the revisions with initialize. See plan.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { CreateMessageRequestSchema, ElicitRequestSchema, ListRootsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { declared, listen, program, run } from './plan.mjs';

const schemas = { elicitation: ElicitRequestSchema, sampling: CreateMessageRequestSchema, roots: ListRootsRequestSchema };

await run(async (url, headers, era) => {
  if (era !== 'legacy') throw new Error(`this SDK does not know the era ${era}`);
  const requestInit = { headers };
  const transport = program ? new StdioClientTransport(program)
    : /^\/sse\b/.test(url.pathname) ? new SSEClientTransport(url, { requestInit })
    : new StreamableHTTPClientTransport(url, { requestInit });
  let protocol;
  // Not every transport tells what was agreed upon; each is told.
  const told = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = version => { protocol = version; told?.(version); };
  const client = new Client({ name: 'ts1', version: '1.0.0' }, { capabilities: declared });
  listen((kind, _, answer) => client.setRequestHandler(schemas[kind], answer));
  await client.connect(transport);
  const close = async () => {
    await transport.terminateSession?.();
    await client.close();
  };
  const call = (params, options) => client.callTool(params, undefined, options);
  return { client, call, protocol: () => protocol, close };
});
