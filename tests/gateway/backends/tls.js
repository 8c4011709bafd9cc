// Ends TLS in front of another server on loopback. Arguments: certificate, key, the other's port.
const fs = require('fs');
const net = require('net');
const tls = require('tls');

const [cert, key, port] = process.argv.slice(2);

const server = tls.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) }, (plain) => {
  const behind = net.connect(port, '127.0.0.1');
  plain.pipe(behind).pipe(plain);
  [plain, behind].forEach((socket) => socket.on('error', () => { plain.destroy(); behind.destroy(); }));
});
server.on('tlsClientError', (error) => console.log(`refused: ${error.message}`));
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
