// A client on the TypeScript SDK 2.x: ERA is legacy, auto, or the revision to pin. See plan.mjs.
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { program, run } from './plan.mjs';

await run(async (url, headers, era) => {
  const transport = program ? new StdioClientTransport(program)
    : new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  const mode = era === 'legacy' || era === 'auto' ? era : { pin: era };
  const client = new Client({ name: 'ts2', version: '2.0.0' }, { versionNegotiation: { mode } });
  await client.connect(transport);
  const close = async () => {
    if (!program && transport.sessionId !== undefined) await transport.terminateSession();
    await client.close();
  };
  return { client, protocol: () => client.getNegotiatedProtocolVersion(), close };
});
