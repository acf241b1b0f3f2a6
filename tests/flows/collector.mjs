// Takes what is sent to it, as a collector of traces does, and prints a line for each request.
import http from 'node:http';

http.createServer(async (request, response) => {
  let bytes = 0;
  for await (const part of request) bytes += part.length;
  console.log(`${request.method} ${request.url} ${bytes}`);
  response.setHeader('Content-Type', request.headers['content-type'] ?? 'text/plain');
  response.end();
}).listen(0, '127.0.0.1', function () {
  console.log(`listening on http://127.0.0.1:${this.address().port}`);
});
