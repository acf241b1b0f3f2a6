// What the servers of both TypeScript SDK lines ask, and what they remember of it. Each question
// carries the tag of its call; asking.py has the same for Python.
export const form = (tag) => ({
  mode: 'form', message: `Who are you? ${tag}`,
  requestedSchema: { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] },
});
export const visit = (tag) => ({ message: `Sign in ${tag}`, url: `https://example.com/sign-in?${tag}` });
export const sampling = (tag) => ({
  messages: [{ role: 'user', content: { type: 'text', text: `Say hello ${tag}` } }], maxTokens: 50,
});
export const withTools = (tag) => ({
  ...sampling(tag), toolChoice: { mode: 'auto' },
  tools: [{ name: 'weather', description: tag, inputSchema: { type: 'object', properties: { city: { type: 'string' } } } }],
});

/** What became of the calls of `slow_ask`, by their tags. */
export const record = { asked: [], answered: [], cancelled: [] };

export const text = (value) => ({ content: [{ type: 'text', text: JSON.stringify(value) }] });
