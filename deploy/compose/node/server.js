// Answers with the caller as skeygate tells it: no WeChat code, no session code, no AppSecret.
// A header that is missing means an anonymous caller (a route with auth = "optional").
'use strict';

const http = require('node:http');

// Reachable by the gateway alone: whoever else gets here can write these headers himself.
const host = process.env.HOST ?? '127.0.0.1';
const port = Number(process.env.PORT ?? 3000);

const server = http.createServer((request, response) => {
  const { headers } = request;
  const body = JSON.stringify({
    backend: 'node',
    path: request.url.split('?', 1)[0],
    openid: headers['x-openid'] ?? null,
    user_id: headers['x-user-id'] ?? null,
    unionid: headers['x-unionid'] ?? null,
    appid: headers['x-wx-appid'] ?? null,
  });
  response.setHeader('Content-Type', 'application/json');
  response.end(`${body}\n`);
});

server.listen(port, host, () => console.log(`listening on ${host}:${server.address().port}`));
process.on('SIGTERM', () => server.close());
