'use strict';

/*
 * The service behind the gateway: returns the received request as JSON, with the status at the end
 * of `…/says/STATUS`. A WebSocket gets the user's openid as its first message. `/slow` gets its
 * response when a request to `/release` comes.
 */

const http = require('node:http');

let slow = [];

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    const { method, url, headers } = request;
    const path = url.split('?')[0];
    const [, status] = /\/says\/(\d+)$/.exec(path) || [];
    const answer = () => {
      response.writeHead(Number(status || 200), { 'Content-Type': 'application/json' });
      response.end(JSON.stringify({ method, url, headers, body: Buffer.concat(pieces).toString() }));
    };
    if (path === '/slow') {
      slow.push(answer);
      return;
    }
    if (path === '/release') {
      slow.forEach((waiting) => waiting());
      slow = [];
    }
    answer();
  });
});

server.on('upgrade', (request, socket) => {
  const text = Buffer.from(JSON.stringify({ url: request.url, openid: request.headers['x-openid'], skey: request.headers.skey }));
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  // One final frame of text, shorter than 126 bytes.
  socket.write(Buffer.concat([Buffer.from([0x81, text.length]), text]));
  socket.on('error', () => {});
});

server.listen(0, '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`listening on ${address}:${port}`);
});
