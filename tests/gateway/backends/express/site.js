// An Express application with the defaults of Express: routes without letter case and with a slash
// more at the end, and files.
const express = require('express');
const methodOverride = require('method-override');

const [root] = process.argv.slice(2);
const app = express();
app.use(methodOverride());
app.get('/admin/secret', (request, response) => response.send('the secret of admin'));
app.delete('/items/:id', (request, response) => response.send(`deleted ${request.params.id}`));
app.patch('/items/:id', (request, response) => response.send(`patched ${request.params.id}`));
app.post('/items/:id', (request, response) => response.send(`posted ${request.params.id}`));
app.use(express.static(root));

const server = app.listen(0, '127.0.0.1', () => {
  const { address, port } = server.address();
  console.log(`listening on ${address}:${port}`);
});
