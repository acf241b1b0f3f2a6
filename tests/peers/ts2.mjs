// A client on the TypeScript SDK 2.x: ERA is legacy, auto, or the revision to pin. See plan.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { declared, listen, program, run } from './plan.mjs';

await run(async (url, headers, era) => {
  const transport = program ? new StdioClientTransport(program)
    : new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  const mode = era === 'legacy' || era === 'auto' ? era : { pin: era };
  const client = new Client({ name: 'ts2', version: '2.0.0' },
    { capabilities: declared, versionNegotiation: { mode } });
  listen((_, method, answer) => client.setRequestHandler(method, answer));
  await client.connect(transport);
  const close = async () => {
    if (!program && transport.sessionId !== undefined) await transport.terminateSession();
    await client.close();
  };
  const call = (params, options) => client.callTool(params, options);
  return { client, call, protocol: () => client.getNegotiatedProtocolVersion(), close };
});
