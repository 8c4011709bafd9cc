// Tells what a Node application is told: method, target, headers with their spelling and
// repetition, and the body; of a profile, the bytes that it decodes to.
const http = require('node:http');

function decoded(text) {
  try {
    return Buffer.from(decodeURIComponent(text || '')).toString('hex');
  } catch {
    return null;
  }
}

const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {
    response.setHeader('Content-Type', 'application/json');
    response.end(JSON.stringify({
      method: request.method,
      url: request.url,
      rawHeaders: request.rawHeaders,
      decoded: {
        nickname: decoded(request.headers['x-nickname']),
        avatar: decoded(request.headers['x-avatar']),
        phone: decoded(request.headers['x-phone']),
      },
      body: Buffer.concat(pieces).toString(),
    }));
  });
});

server.listen(0, '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`listening on ${address}:${port}`);
});
