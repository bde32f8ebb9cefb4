// What Expo's command line does for dev tools plugins, without Metro: serves the pages of the plugins that autolinking
// finds in the app of the first argument, and passes messages between apps and pages. Prints where it listens.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const cli = dirname(createRequire(require.resolve('expo/package.json')).resolve('@expo/cli/package.json'));
const load = (file) => require(join(cli, 'build/src/start/server', file));
const { DevToolsPluginMiddleware } = load('middleware/DevToolsPluginMiddleware.js');
const { default: DevToolsPluginManager } = load('DevToolsPluginManager.js');
const { createDevToolsPluginWebsocketEndpoint } = load('metro/DevToolsPluginWebsocketEndpoint.js');

const app = process.argv[2];
const pages = new DevToolsPluginMiddleware(app, new DevToolsPluginManager(app)).getHandler();
const sockets = createDevToolsPluginWebsocketEndpoint();

const server = createServer((request, response) => {
  pages(request, response, (error) => {
    response.writeHead(error ? 500 : 404).end(String(error ?? ''));
  });
});
server.on('upgrade', (request, socket, head) => {
  const endpoint = sockets[new URL(request.url, 'http://localhost').pathname];
  if (!endpoint) {
    socket.destroy();
    return;
  }
  endpoint.handleUpgrade(request, socket, head, (opened) => {
    endpoint.emit('connection', opened, request);
  });
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
