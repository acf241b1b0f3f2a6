// A client on the TypeScript SDK 1.x, which knows the revisions with initialize. See plan.mjs.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { run } from './plan.mjs';

await run(async (url, headers, era) => {
  if (era !== 'legacy') throw new Error(`this SDK does not know the era ${era}`);
  const transport = new StreamableHTTPClientTransport(url, { requestInit: { headers } });
  const client = new Client({ name: 'ts1', version: '1.0.0' });
  await client.connect(transport);
  const close = async () => {
    await transport.terminateSession();
    await client.close();
  };
  return { client, protocol: () => transport.protocolVersion, close };
});
